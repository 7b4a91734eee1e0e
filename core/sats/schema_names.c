/* schema_names.c: names: identifiers, duplicates, sorted look-up, suggestions. */
#include <stdio.h>
#include <stdlib.h>

#include "../base/text.h"
#include "schema_raw.h"

static bool is_letter(uint32_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static bool is_digit(uint32_t c) { return c >= '0' && c <= '9'; }

/* Beyond ASCII a server takes what Unicode calls XID_Start and XID_Continue, in NFC. Its tables are not repeated here: what comes from a server has
 * passed them. Refused is what is in no name anywhere and would harm where names are shown: controls, blanks, punctuation, symbols, what directs
 * the writing, private use, no characters. First and last of each range, in order. */
static const uint32_t unfit[][2] = {
    {0x80, 0xA9}, {0xAB, 0xB4}, {0xB6, 0xB6}, {0xB8, 0xB9}, {0xBB, 0xBF}, {0xD7, 0xD7}, {0xF7, 0xF7}, {0x61C, 0x61C}, {0x1680, 0x1680}, {0x180E, 0x180E}, {0x2000, 0x203E},
    {0x2041, 0x2053}, {0x2055, 0x2070}, {0x20A0, 0x20CF}, {0x2190, 0x2BFF}, {0x2E00, 0x2E7F}, {0x2FF0, 0x3004}, {0x3008, 0x3020}, {0x3030, 0x3030},
    {0xD800, 0xF8FF}, {0xFDD0, 0xFDEF}, {0xFE10, 0xFE1F}, {0xFE30, 0xFE32}, {0xFE35, 0xFE4C}, {0xFE50, 0xFE6F}, {0xFEFF, 0xFF0F}, {0xFF1A, 0xFF20},
    {0xFFE0, 0xFFFF}, {0x1F000, 0x1FAFF}, {0x1FFFE, 0x1FFFF}, {0x2FFFE, 0x2FFFF}, {0xE0000, 0xE00FF}, {0xE01F0, 0x10FFFF}};

static bool is_fit(uint32_t c) {
  size_t low = 0, high = sizeof unfit / sizeof *unfit;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (c > unfit[middle][1]) low = middle + 1;
    else high = middle;
  }
  return low == sizeof unfit / sizeof *unfit || c < unfit[low][0];
}

bool iu__is_identifier(const char *text, size_t len) { return iu__is_identifier_within(text, len, IU_SCHEMA_NAME_MAX); }

bool iu__is_identifier_within(const char *text, size_t len, size_t most) {
  if (len == 0 || len > most || iu__utf8_check(text, len) != len) return false;
  for (size_t i = 0; i < len;) {
    uint32_t c;
    size_t n = iu__utf8_decode(text + i, &c);
    if (!(c < 0x80 ? is_letter(c) || (i != 0 && is_digit(c)) : is_fit(c))) return false;
    i += n;
  }
  return true;
}

/* "a.b.name": each part is an identifier. */
bool iu__is_dotted_identifier(const char *text, size_t len, size_t most) {
  while (true) {
    const char *dot = memchr(text, '.', len);
    size_t part = dot != NULL ? (size_t)(dot - text) : len;
    if (!iu__is_identifier_within(text, part, most)) return false;
    if (dot == NULL) return true;
    text += part + 1;
    len -= part + 1;
  }
}

/* ---- duplicates ---- */

static int fold(char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : (unsigned char)c; }

int iu__compare_folded(const char *a, const char *b) {
  while (*a != '\0' && fold(*a) == fold(*b)) {
    a++;
    b++;
  }
  return fold(*a) - fold(*b);
}

static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }
static int by_folded(const void *a, const void *b) { return iu__compare_folded(*(const char *const *)a, *(const char *const *)b); }

const char *iu__find_duplicate(const char **names, size_t count, bool folded) {
  int (*compare)(const void *, const void *) = folded ? by_folded : by_name;
  if (count < 2) return NULL;
  qsort(names, count, sizeof *names, compare);
  for (size_t i = 1; i < count; i++) {
    if (compare(&names[i - 1], &names[i]) == 0) return names[i];
  }
  return NULL;
}

/* ---- sorted look-up ---- */

typedef struct items { const char *base; size_t stride; } items;

static const char *name_at(const items *list, uint32_t i) { return *(const char *const *)(list->base + list->stride * i); }

static int by_item(const void *a, const void *b, void *list) {
  return strcmp(name_at(list, *(const uint32_t *)a), name_at(list, *(const uint32_t *)b));
}

uint32_t *iu__order_by_name(iu_arena *arena, const void *base, size_t stride, uint32_t count) {
  items list = {base, stride};
  uint32_t *order = iu__arena_zero(arena, count != 0 ? count : 1, sizeof *order);
  if (order == NULL) return NULL;
  for (uint32_t i = 0; i < count; i++) order[i] = i;
  qsort_r(order, count, sizeof *order, by_item, &list);
  return order;
}

static bool is_name(const char *own, const char *name, size_t len) { return strlen(own) == len && memcmp(own, name, len) == 0; }

static int find(const items *list, const uint32_t *order, uint32_t count, const char *name, size_t len) {
  uint32_t low = 0, high = count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    const char *own = name_at(list, order[middle]);
    int c = strncmp(own, name, len);
    if (c == 0 && is_name(own, name, len)) return (int)order[middle];
    if (c < 0) low = middle + 1;
    else high = middle; /* equal so far and longer: what is sought is before it */
  }
  return -1;
}

int iu__schema_table(const iu_schema *s, const char *name, size_t len) {
  items list = {(const char *)s->tables, sizeof *s->tables};
  return find(&list, s->table_order, s->table_count, name, len);
}

int iu__schema_reducer(const iu_schema *s, const char *name, size_t len) {
  items list = {(const char *)s->reducers, sizeof *s->reducers};
  return find(&list, s->reducer_order, s->reducer_count, name, len);
}

int iu__schema_procedure(const iu_schema *s, const char *name, size_t len) {
  for (uint32_t i = 0; i < s->procedure_count; i++) {
    if (is_name(s->procedures[i].name, name, len)) return (int)i;
  }
  return -1;
}

int iu__table_def_column(const iu_table_def *t, const char *name, size_t len) { return iu__product_find(t->row, name, len); }

int iu__table_def_index(const iu_table_def *t, const char *name, size_t len) {
  for (uint32_t i = 0; i < t->index_count; i++) {
    if (is_name(t->indexes[i].accessor, name, len)) return (int)i;
  }
  for (uint32_t i = 0; i < t->index_count; i++) {
    if (is_name(t->indexes[i].name, name, len)) return (int)i;
  }
  return -1;
}

/* ---- suggestions ---- */

#define SUGGEST_MAX 64 /* longer names are neither looked for nor offered */

typedef struct guess { const char *name, *best; size_t len, distance; } guess;

static guess guess_start(const char *name, size_t len) {
  size_t most = len / 3 + 1;
  return (guess){name, NULL, len, (most < 4 ? most : 4) + 1};
}

static void guess_offer(guess *g, const char *candidate) {
  size_t len = strlen(candidate);
  if (g->len > SUGGEST_MAX || len > SUGGEST_MAX) return;
  size_t distance = iu__edit_distance(g->name, g->len, candidate, len);
  if (distance >= g->distance || distance >= len) return;
  g->distance = distance;
  g->best = candidate;
}

static void guess_end(const guess *g, char out[96]) {
  out[0] = '\0';
  if (g->best != NULL) snprintf(out, 96, ", did you mean `%s`?", g->best);
}

void iu__schema_suggest_table(const iu_schema *s, const char *name, size_t len, char out[96]) {
  guess g = guess_start(name, len);
  for (uint32_t i = 0; i < s->table_count; i++) guess_offer(&g, s->tables[i].name);
  guess_end(&g, out);
}

void iu__schema_suggest_column(const iu_table_def *t, const char *name, size_t len, char out[96]) {
  guess g = guess_start(name, len);
  for (uint32_t i = 0; i < t->row->count; i++) guess_offer(&g, t->row->u.fields[i].name);
  guess_end(&g, out);
}

void iu__schema_suggest_reducer(const iu_schema *s, const char *name, size_t len, char out[96]) {
  guess g = guess_start(name, len);
  for (uint32_t i = 0; i < s->reducer_count; i++) guess_offer(&g, s->reducers[i].name);
  guess_end(&g, out);
}

void iu__schema_suggest_procedure(const iu_schema *s, const char *name, size_t len, char out[96]) {
  guess g = guess_start(name, len);
  for (uint32_t i = 0; i < s->procedure_count; i++) guess_offer(&g, s->procedures[i].name);
  guess_end(&g, out);
}
