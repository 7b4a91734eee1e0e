/* sort.c: see sort.h. */
#include "sort.h"

#define DIGITS 8u
#define SAMPLES 64u

/* ---- numbers ---- */

static unsigned digit_of(uint64_t number, unsigned digit) { return (unsigned)(number >> (8 * digit)) & 0xff; }

static void scatter(const iu_sort_entry *from, iu_sort_entry *to, size_t count, unsigned digit, const size_t counts[256]) {
  size_t at[256], next = 0, i;

  for (i = 0; i < 256; i++) {
    at[i] = next;
    next += counts[i];
  }
  for (i = 0; i < count; i++) to[at[digit_of(from[i].number, digit)]++] = from[i];
}

iu_sort_entry *iu__sort_numbers(iu_sort_entry *entries, iu_sort_entry *spare, size_t count) {
  size_t counts[DIGITS][256] = {{0}}, i;
  unsigned digit;

  for (i = 0; i < count; i++)
    for (digit = 0; digit < DIGITS; digit++) counts[digit][digit_of(entries[i].number, digit)]++;
  for (digit = 0; digit < DIGITS && count > 1; digit++) {
    iu_sort_entry *from = entries;
    if (counts[digit][digit_of(entries[0].number, digit)] == count) continue; /* the same in all */
    scatter(from, spare, count, digit, counts[digit]);
    entries = spare;
    spare = from;
  }
  return entries;
}

/* ---- rows whose numbers are equal ---- */

static bool in_order(const iu_key *k, const iu_sort_entry *a, const iu_sort_entry *b) { return iu__key_compare_columns(k, a->row, b->row) <= 0; }

static size_t run_end(const iu_key *k, const iu_sort_entry *e, size_t from, size_t count) {
  if (from < count) from++;
  while (from < count && in_order(k, &e[from - 1], &e[from])) from++;
  return from;
}

static void merge(const iu_key *k, const iu_sort_entry *from, size_t middle, size_t end, iu_sort_entry *to) {
  size_t a = 0, b = middle, n = 0;

  while (a < middle && b < end) to[n++] = in_order(k, &from[a], &from[b]) ? from[a++] : from[b++];
  memcpy(&to[n], &from[a], (middle - a) * sizeof *from);
  memcpy(&to[n + middle - a], &from[b], (end - b) * sizeof *from);
}

/* Merges ascending runs, two at a time, until one is left: rows that are in order already cost one comparison each. */
static void sort_group(const iu_key *k, iu_sort_entry *e, iu_sort_entry *spare, size_t count) {
  iu_sort_entry *from = e, *to = spare, *swap;

  while (run_end(k, from, 0, count) < count) {
    size_t at = 0;
    while (at < count) {
      size_t middle = run_end(k, from, at, count), end = run_end(k, from, middle, count);
      merge(k, from + at, middle - at, end - at, to + at);
      at = end;
    }
    swap = from;
    from = to;
    to = swap;
  }
  if (from != e) memcpy(e, from, count * sizeof *e);
}

static void sort_groups(const iu_key *k, iu_sort_entry *e, iu_sort_entry *spare, size_t count) {
  size_t i, end;

  for (i = 0; i < count; i = end) {
    for (end = i + 1; end < count && e[end].number == e[i].number;) end++;
    if (end - i > 1) sort_group(k, &e[i], &spare[i], end - i);
  }
}

/* ---- numbers of rows ---- */

/* The normal form of the index's columns, filled up with 0, and its length; IU_NORM_SIZE when there is more. */
static size_t norm_of(const iu_key *k, const iu_row *row, uint8_t out[IU_NORM_SIZE]) {
  iu_walk w = iu__walk(k->layout, row->data, row->len);
  bool stop = false;
  size_t n = 0;
  uint32_t i;

  for (i = 0; i < k->count && n < IU_NORM_SIZE && !stop; i++)
    n = iu__column_norm(&k->layout->columns[k->columns[i]], iu__walk_to(&w, k->columns[i]), out, n, IU_NORM_SIZE, &stop);
  memset(out + n, 0, IU_NORM_SIZE - n);
  return stop ? IU_NORM_SIZE : n;
}

static uint64_t load_big(const uint8_t *p) {
  uint64_t v = 0;
  int i;

  for (i = 0; i < 8; i++) v = v << 8 | p[i];
  return v;
}

static size_t shared(const uint8_t *a, const uint8_t *b, size_t most) {
  size_t i = 0;

  while (i < most && a[i] == b[i]) i++;
  return i;
}

/* false: a row shares less than *skip bytes with the first one, *skip says how many. */
static bool number_rows(const iu_key *k, iu_row *const *rows, size_t count, const uint8_t *first, size_t *skip, iu_sort_entry *out, bool *exact) {
  uint8_t norm[IU_NORM_SIZE];
  size_t i;

  *exact = true;
  for (i = 0; i < count; i++) {
    size_t len = norm_of(k, rows[i], norm), same = shared(norm, first, *skip);
    if (same < *skip) {
      *skip = same;
      return false;
    }
    if (len > *skip + 8 || len == IU_NORM_SIZE) *exact = false;
    out[i] = (iu_sort_entry){load_big(norm + *skip), rows[i]};
  }
  return true;
}

iu_row **iu__sort_rows(const iu_key *key, iu_row *const *rows, size_t count, iu_sort_entry *room) {
  uint8_t first[IU_NORM_SIZE], norm[IU_NORM_SIZE];
  size_t skip = IU_NORM_SIZE - 8, i, step = count / SAMPLES + 1;
  iu_row **sorted = (iu_row **)(void *)room;
  iu_sort_entry *in = room;
  iu_key columns = *key; /* without what tells rows apart: they come in that order */
  bool exact;

  columns.count = key->index_columns;
  if (count == 0) return sorted;
  norm_of(&columns, rows[0], first);
  for (i = 0; i < count; i += step) { /* mostly right, so that one walk over all rows is enough */
    norm_of(&columns, rows[i], norm);
    skip = shared(norm, first, skip);
  }
  while (!number_rows(&columns, rows, count, first, &skip, room, &exact)) {}
  in = iu__sort_numbers(room, room + count, count);
  if (!exact) sort_groups(&columns, in, in == room ? room + count : room, count);
  for (i = 0; i < count; i++) { /* never ahead of what is read */
    iu_row *row = in[i].row;
    sorted[i] = row;
  }
  return sorted;
}
