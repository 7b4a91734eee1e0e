/* range.c: a range of an index as two probes. The bytes of a range come from outside: they are checked against the columns' types. */
#include "internal.h"

#include "../base/alloc.h"

static bool is_bounded(const iu_bound *b) { return b->kind != IU_BOUND_UNBOUNDED; }

size_t iu__span_bytes(const iu_range *range) {
  if (range == NULL) return 0;
  return 2 * range->prefix.len + (is_bounded(&range->low) ? range->low.key.len : 0) + (is_bounded(&range->high) ? range->high.key.len : 0);
}

static iu_status check_columns(const iu_table *t, const iu_key *k, uint32_t first, uint32_t count, iu_slice bytes, const char *what, iu_error *err) {
  iu_reader r = iu__reader(bytes.p, bytes.len);
  uint32_t i;

  for (i = 0; i < count; i++) {
    iu_status status = iu__bsatn_check(t->def->row->u.fields[k->columns[first + i]].type, &r, err);
    if (status != IU_OK) {
      iu__error_prefix(err, "%s of a range of table `%s`", what, t->def->name);
      return status;
    }
  }
  if (iu__reader_left(&r) == 0) return IU_OK;
  return iu__fail_at(err, IU_E_VALIDATION, iu__reader_offset(&r), "%s of a range of table `%s` has bytes left over", what, t->def->name);
}

static size_t append(uint8_t *to, iu_slice bytes) {
  if (bytes.len != 0) memcpy(to, bytes.p, bytes.len);
  return bytes.len;
}

/* Prefix, then the bound's key when it counts; makes the probe. Returns the bytes of storage used. */
static size_t make_probe(iu_probe *p, const iu_key *k, const iu_range *range, const iu_bound *bound, iu_place place, uint8_t *storage) {
  size_t len = append(storage, range->prefix);
  uint32_t columns = range->prefix_columns;

  if (bound != NULL) {
    len += append(storage + len, bound->key);
    columns++;
  }
  iu__probe_value(p, k, columns, storage, len, place, 0);
  return len;
}

static iu_status check_range(const iu_table *t, const iu_key *k, const iu_range *range, const iu_bound *low, const iu_bound *high, iu_error *err) {
  iu_status status;

  if (range->prefix_columns > k->index_columns)
    return iu__fail(err, IU_E_VALIDATION, "a range of table `%s` names %u columns of an index of %u", t->def->name, range->prefix_columns,
                    k->index_columns);
  status = check_columns(t, k, 0, range->prefix_columns, range->prefix, "prefix", err);
  if (status == IU_OK && low != NULL) status = check_columns(t, k, range->prefix_columns, 1, low->key, "lower bound", err);
  if (status == IU_OK && high != NULL) status = check_columns(t, k, range->prefix_columns, 1, high->key, "upper bound", err);
  return status;
}

iu_status iu__span_init(iu_span *span, const iu_table *t, uint32_t index, const iu_range *range, uint8_t *storage, iu_error *err) {
  const iu_bound *low, *high;
  const iu_key *k;
  iu_status status;
  bool open;

  span->tree = iu__table_tree(t, index);
  span->has_low = span->has_high = false;
  if (span->tree == NULL) return iu__fail(err, IU_E_VALIDATION, "table `%s` has no index %u", t->def->name, index);
  if (range == NULL) return IU_OK;
  k = span->tree->key;
  open = range->prefix_columns < k->index_columns; /* else there is no next column to bound */
  low = open && is_bounded(&range->low) ? &range->low : NULL;
  high = open && is_bounded(&range->high) ? &range->high : NULL;
  status = check_range(t, k, range, low, high, err);
  if (status != IU_OK) return status;
  span->has_low = low != NULL || range->prefix_columns > 0;
  span->has_high = high != NULL || range->prefix_columns > 0;
  if (span->has_low)
    storage += make_probe(&span->low, k, range, low, low != NULL && low->kind == IU_BOUND_EXCLUDED ? IU_PLACE_AFTER : IU_PLACE_BEFORE, storage);
  if (span->has_high)
    (void)make_probe(&span->high, k, range, high, high != NULL && high->kind == IU_BOUND_EXCLUDED ? IU_PLACE_BEFORE : IU_PLACE_AFTER, storage);
  return IU_OK;
}

bool iu__span_holds(const iu_span *span, const iu_row *row) {
  return (!span->has_low || iu__probe_compare(&span->low, row) < 0) && (!span->has_high || iu__probe_compare(&span->high, row) > 0);
}

iu_status iu__table_range_count(iu_table *t, uint32_t index, const iu_range *range, uint64_t most, uint64_t *count, iu_error *err) {
  uint8_t few[256];
  size_t bytes = iu__span_bytes(range);
  uint8_t *storage = bytes <= sizeof few ? few : iu__alloc(bytes);
  iu_span span;
  iu_status status;

  *count = 0;
  if (storage == NULL) return iu__fail_nomem(err);
  status = iu__span_init(&span, t, index, range, storage, err);
  if (status == IU_OK) *count = iu__tree_count_between(span.tree, span.has_low ? &span.low : NULL, span.has_high ? &span.high : NULL, most);
  if (storage != few) iu__free(storage);
  return status;
}
