/* key.c: see key.h. */
#include "key.h"

#include "../base/alloc.h"

static bool has_column(const uint16_t *columns, uint32_t count, uint16_t column) {
  uint32_t i;

  for (i = 0; i < count; i++)
    if (columns[i] == column) return true;
  return false;
}

/* Numbers have a normal form as long as they are, and no two the same. */
static uint16_t exact_bytes(const iu_key *k) {
  uint32_t bytes = 0, i;

  for (i = 0; i < k->count && bytes <= IU_NORM_SIZE; i++) {
    const iu_column *c = &k->layout->columns[k->columns[i]];
    if (c->kind > IU_COLUMN_FLOAT || c->size > IU_NORM_SIZE) return 0;
    bytes += c->size;
  }
  return bytes <= IU_NORM_SIZE ? (uint16_t)bytes : 0;
}

bool iu__key_init(iu_key *k, const iu_layout *layout, const uint16_t *columns, uint32_t column_count, int32_t primary, bool unique) {
  uint32_t tie = 0, i;

  if (!unique && primary < 0) tie = layout->count;
  else if (!unique && !has_column(columns, column_count, (uint16_t)primary)) tie = 1;
  memset(k, 0, sizeof *k);
  k->columns = iu__alloc_zero((size_t)column_count + tie, sizeof *k->columns);
  if (k->columns == NULL) return false;
  k->layout = layout;
  k->index_columns = column_count;
  k->count = column_count + tie;
  if (column_count != 0) memcpy(k->columns, columns, column_count * sizeof *columns);
  if (tie == 1 && primary >= 0) k->columns[column_count] = (uint16_t)primary;
  else
    for (i = 0; i < tie; i++) k->columns[column_count + i] = (uint16_t)i;
  k->exact = exact_bytes(k);
  return true;
}

bool iu__key_init_whole(iu_key *k, const iu_layout *layout) {
  if (!iu__key_init(k, layout, NULL, 0, -1, false)) return false;
  k->index_columns = k->count;
  k->whole = true;
  return true;
}

void iu__key_free(iu_key *k) {
  iu__free(k->columns);
  memset(k, 0, sizeof *k);
}

int iu__key_compare_columns(const iu_key *k, const iu_row *a, const iu_row *b) {
  iu_walk wa = iu__walk(k->layout, a->data, a->len), wb = iu__walk(k->layout, b->data, b->len);
  uint32_t i;

  if (a == b) return 0;
  for (i = 0; i < k->count; i++) {
    uint16_t column = k->columns[i];
    iu_slice va = iu__walk_to(&wa, column), vb = iu__walk_to(&wb, column);
    int c = iu__column_compare(&k->layout->columns[column], va, vb);
    if (c != 0) return c;
  }
  return 0;
}

bool iu__key_same_bytes(const iu_key *k, const iu_row *a, const iu_row *b) {
  iu_walk wa = iu__walk(k->layout, a->data, a->len), wb = iu__walk(k->layout, b->data, b->len);
  uint32_t i;

  for (i = 0; i < k->count; i++) {
    iu_slice va = iu__walk_to(&wa, k->columns[i]), vb = iu__walk_to(&wb, k->columns[i]);
    if (va.len != vb.len || (va.len != 0 && memcmp(va.p, vb.p, va.len) != 0)) return false;
  }
  return true;
}

int iu__key_compare_rows(const iu_key *k, const iu_row *a, const iu_row *b) {
  int c = iu__key_compare_columns(k, a, b);

  return c != 0 ? c : iu__key_compare_versions(a, b);
}

void iu__key_norm(const iu_key *k, const iu_row *row, uint8_t out[IU_NORM_SIZE]) {
  if (k->ops != NULL) k->ops->norm(k, row, out);
  else iu__key_norm_from(k, row, out, 0);
}

void iu__key_norm_from(const iu_key *k, const iu_row *row, uint8_t out[IU_NORM_SIZE], size_t n) {
  iu_walk w = iu__walk(k->layout, row->data, row->len);
  bool stop = false;
  uint32_t i;

  if (n == 0 && k->count == 1 && iu__column_norm_word(&k->layout->columns[k->columns[0]], row->data, out)) return;
  for (i = 0; i < k->count && n < IU_NORM_SIZE && !stop; i++)
    n = iu__column_norm(&k->layout->columns[k->columns[i]], iu__walk_to(&w, k->columns[i]), out, n, IU_NORM_SIZE, &stop);
  memset(out + n, 0, IU_NORM_SIZE - n);
}

void iu__probe_row(iu_probe *p, const iu_key *k, const iu_row *row) {
  p->key = k;
  p->row = row;
  iu__key_norm(k, row, p->norm);
}

/* Filled up with 0 the value is before all its extensions, with 255 after them. Where a column without normal form follows,
 * rows are filled with 0 from there, and so is the value: the comparison then goes to the row. */
void iu__probe_value(iu_probe *p, const iu_key *k, uint32_t columns, const uint8_t *bytes, size_t len, iu_place place, uint64_t epoch) {
  const uint8_t *at = bytes, *end = bytes + len;
  size_t n = 0;
  bool stop = false;
  uint32_t i;

  p->key = k;
  p->row = NULL;
  p->bytes = bytes;
  p->len = len;
  p->columns = columns;
  p->place = place;
  p->epoch = epoch;
  for (i = 0; i < columns && n < IU_NORM_SIZE && !stop; i++) {
    const iu_column *c = &k->layout->columns[k->columns[i]];
    const uint8_t *next = iu__column_skip(c, at, end);
    iu_slice v = {at, (size_t)(next - at)};
    n = iu__column_norm(c, v, p->norm, n, IU_NORM_SIZE, &stop);
    at = next;
  }
  memset(p->norm + n, place == IU_PLACE_AFTER && !stop ? 0xff : 0, IU_NORM_SIZE - n);
}

int iu__probe_compare_value(const iu_probe *p, const iu_row *row) {
  iu_walk w = iu__walk(p->key->layout, row->data, row->len);
  const uint8_t *at = p->bytes, *end = p->bytes + p->len;
  uint32_t i;

  for (i = 0; i < p->columns; i++) {
    uint16_t column = p->key->columns[i];
    const iu_column *c = &p->key->layout->columns[column];
    const uint8_t *next = iu__column_skip(c, at, end);
    iu_slice v = {at, (size_t)(next - at)};
    int order = iu__column_compare(c, v, iu__walk_to(&w, column));
    if (order != 0) return order;
    at = next;
  }
  return 0;
}

int iu__probe_compare(const iu_probe *p, const iu_row *row) {
  int c;

  if (p->key->ops != NULL) return p->row != NULL ? p->key->ops->compare(p->key, p->row, row) : p->key->ops->compare_value(p, row);
  if (p->row != NULL) return iu__key_compare_rows(p->key, p->row, row);
  c = iu__probe_compare_value(p, row);
  if (c != 0) return c;
  if (p->place == IU_PLACE_AT_EPOCH) return row->from <= p->epoch ? 1 : -1;
  return p->place == IU_PLACE_AFTER ? 1 : -1;
}
