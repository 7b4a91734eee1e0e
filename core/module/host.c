/* host.c: the database as the reducers see it: point reads, scans and writes over the host's imports.
 *
 * A point read is two host calls (open the range, take its only row) and no copy but the host's; a row goes straight into scratch memory. Ids of
 * tables and indexes are asked for once an instance. An errno that no check of ours explains becomes a PERSISTENCE refusal; the host
 * may know better (over its size cap, say) and puts its own words in its place.
 */
#include "internal.h"

#define ROW_GUESS 1024u
#define BATCH_BYTES (64u << 10) /* twice the host's chunk, so that most rows come in one call */

static bool failed(nerv_call *c, const char *what, const char *table, int32_t code) {
  return iu__nerv_refuse(c, "PERSISTENCE", "%s of table `%s` failed with host error %d", what, table, (int64_t)code);
}

static const char *table_of(nerv_index index) { return iu__nerv_tables[iu__nerv_indexes[index].table].name; }

static bool resolve_table(nerv_call *c, uint32_t i) {
  const char *name = iu__nerv_tables[i].name;
  int32_t rc = IU_ABI(c->self, table_id_from_name, name, (uint32_t)strlen(name), &c->self->table[i]);
  return rc == IU_ABI_OK || failed(c, "look-up", name, rc);
}

static bool resolve_index(nerv_call *c, uint32_t i) {
  nerv_out name = iu__nerv_out_of(c);
  int32_t rc;
  iu__nerv_put_raw(&name, table_of((nerv_index)i));
  iu__nerv_put_u8(&name, '_');
  iu__nerv_put_raw(&name, iu__nerv_indexes[i].column);
  iu__nerv_put_raw(&name, "_idx_btree");
  if (!iu__nerv_wrote(c, &name)) return false;
  rc = IU_ABI(c->self, index_id_from_name, name.p, (uint32_t)name.n, &c->self->index[i]);
  return rc == IU_ABI_OK || failed(c, "index look-up", table_of((nerv_index)i), rc);
}

bool iu__nerv_resolve(nerv_call *c) {
  if (c->self->resolved) return true;
  for (uint32_t i = 0; i < NERV_TABLE_COUNT; i++) {
    if (!resolve_table(c, i)) return false;
  }
  for (uint32_t i = 0; i < NERV_INDEX_COUNT; i++) {
    if (!resolve_index(c, i)) return false;
  }
  c->self->resolved = true;
  return true;
}

/* ---- ranges ---- */

static void put_bound(nerv_out *o, const nerv_slice *key) {
  iu__nerv_put_u8(o, key != NULL ? 0 : 2); /* included, unbounded */
  if (key != NULL) iu__nerv_put_slice(o, *key);
}

static bool open_range(nerv_call *c, nerv_index index, const nerv_slice *low, const nerv_slice *high, uint32_t *iter) {
  nerv_mark mark = iu__nerv_mem_mark(&c->self->mem);
  nerv_out bounds = iu__nerv_out_of(c);
  size_t split;
  int32_t rc;
  put_bound(&bounds, low);
  split = bounds.n;
  if (low != high) put_bound(&bounds, high);
  else split = 0; /* a point: the same bytes twice */
  if (!iu__nerv_wrote(c, &bounds)) return false;
  rc = IU_ABI(c->self, datastore_index_scan_range_bsatn, c->self->index[index], "", 0, 0, bounds.p,
              (uint32_t)(split != 0 ? split : bounds.n), bounds.p + split, (uint32_t)(bounds.n - split), iter);
  iu__nerv_mem_release(&c->self->mem, mark);
  return rc == IU_ABI_OK || failed(c, "read", table_of(index), rc);
}

/* One step of an iterator behind the `keep` first bytes of `into`. *open stays true while it has more. */
static bool advance(nerv_call *c, nerv_index index, uint32_t iter, nerv_out *into, size_t guess, bool *open) {
  uint32_t room = (uint32_t)guess;
  for (;;) {
    int32_t rc;
    if (!iu__nerv_reserve(into, room)) return iu__nerv_no_memory(c);
    room = (uint32_t)(into->cap - into->n);
    rc = IU_ABI(c->self, row_iter_bsatn_advance, iter, into->p + into->n, &room);
    if (rc == IU_ABI_BUFFER_TOO_SMALL) continue; /* room says how much it takes */
    if (rc != IU_ABI_OK && rc != IU_ABI_EXHAUSTED) return failed(c, "read", table_of(index), rc);
    into->n += room;
    *open = rc == IU_ABI_OK;
    return true;
  }
}

static void close_iter(nerv_call *c, uint32_t iter) {
  (void)c; /* wasm32 has no host pointer */
  (void)IU_ABI(c->self, row_iter_bsatn_close, iter);
}

bool iu__nerv_find(nerv_call *c, nerv_index index, nerv_slice key, nerv_slice *row, bool *found) {
  uint32_t iter;
  bool open = true;
  nerv_out into;
  if (!open_range(c, index, &key, &key, &iter)) return false;
  into = iu__nerv_out_of(c);
  while (open && into.n == 0) {
    if (!advance(c, index, iter, &into, ROW_GUESS, &open)) {
      close_iter(c, iter);
      return false;
    }
  }
  if (open) close_iter(c, iter);
  iu__nerv_trim(&c->self->mem, into.p, into.cap, into.n);
  *found = into.n > 0;
  *row = iu__nerv_written(&into);
  return true;
}

/* The key of a text in scratch memory. */
static bool text_key(nerv_call *c, nerv_slice text, nerv_slice *key) {
  nerv_out o = iu__nerv_out_of(c);
  iu__nerv_put_text(&o, text);
  *key = iu__nerv_written(&o);
  return iu__nerv_wrote(c, &o);
}

bool iu__nerv_find_text(nerv_call *c, nerv_index index, nerv_slice text, nerv_slice *row, bool *found) {
  nerv_slice key;
  return text_key(c, text, &key) && iu__nerv_find(c, index, key, row, found);
}

bool iu__nerv_has_text(nerv_call *c, nerv_index index, nerv_slice text, bool *found) {
  nerv_mark mark = iu__nerv_mem_mark(&c->self->mem);
  nerv_slice key;
  uint32_t iter;
  bool open = true, ok;
  nerv_out into;
  if (!text_key(c, text, &key) || !open_range(c, index, &key, &key, &iter)) return false;
  into = iu__nerv_out_of(c);
  *found = false;
  ok = iu__nerv_reserve(&into, ROW_GUESS) || iu__nerv_no_memory(c);
  while (ok && open && !*found) {
    uint32_t room = (uint32_t)into.cap;
    int32_t rc = IU_ABI(c->self, row_iter_bsatn_advance, iter, into.p, &room);
    *found = rc == IU_ABI_BUFFER_TOO_SMALL || room > 0;
    open = rc != IU_ABI_EXHAUSTED;
    if (rc != IU_ABI_OK && rc != IU_ABI_EXHAUSTED && rc != IU_ABI_BUFFER_TOO_SMALL) ok = failed(c, "read", table_of(index), rc);
  }
  if (open) close_iter(c, iter);
  iu__nerv_mem_release(&c->self->mem, mark);
  return ok;
}

/* ---- scans ---- */

bool iu__nerv_scan(nerv_call *c, nerv_index index, const nerv_slice *low, const nerv_slice *high, nerv_scan *s) {
  *s = (nerv_scan){.table = iu__nerv_indexes[index].table, .open = true};
  s->rows = iu__nerv_reader((nerv_slice){(const uint8_t *)"", 0});
  s->buffer = iu__nerv_out_of(c);
  return open_range(c, index, low, high, &s->iter);
}

bool iu__nerv_scan_text(nerv_call *c, nerv_index index, nerv_slice text, nerv_scan *s) {
  nerv_slice key;
  return text_key(c, text, &key) && iu__nerv_scan(c, index, &key, &key, s);
}

bool iu__nerv_next(nerv_call *c, nerv_scan *s, nerv_slice *row) {
  const nerv_table_spec *spec = &iu__nerv_tables[s->table];
  *row = (nerv_slice){NULL, 0};
  while (s->rows.p == s->rows.end) {
    if (!s->open) return false;
    s->buffer.n = 0;
    if (!advance(c, spec->primary, s->iter, &s->buffer, BATCH_BYTES, &s->open)) return false;
    s->rows = iu__nerv_reader(iu__nerv_written(&s->buffer));
  }
  *row = iu__nerv_skip(&s->rows, spec->shape);
  return !s->rows.bad || failed(c, "decoding", spec->name, IU_ABI_BSATN_DECODE_ERROR);
}

void iu__nerv_scan_end(nerv_call *c, nerv_scan *s) {
  if (s->open) close_iter(c, s->iter);
  s->open = false;
}

/* ---- writing ---- */

bool iu__nerv_writes(nerv_call *c, nerv_table table, uint64_t *number) {
#ifdef __wasm__
  (void)c, (void)table, (void)number;
  return false;
#else
  *number = iu__host_table_writes(c->self->host, c->self->table[table]);
  return true;
#endif
}

bool iu__nerv_count_rows(nerv_call *c, nerv_table table, uint64_t *count) {
  int32_t rc = IU_ABI(c->self, datastore_table_row_count, c->self->table[table], count);
  return rc == IU_ABI_OK || failed(c, "count", iu__nerv_tables[table].name, rc);
}

/* A row that is there byte for byte is accepted silently by the host, so the count tells whether anything was inserted. */
bool iu__nerv_insert(nerv_call *c, nerv_table table, nerv_out *row, bool *taken) {
  uint32_t len = (uint32_t)row->n;
  uint64_t before = 0, after = 1;
  int32_t rc;
  if (!iu__nerv_wrote(c, row)) return false;
  if (taken != NULL && !iu__nerv_count_rows(c, table, &before)) return false;
  rc = IU_ABI(c->self, datastore_insert_bsatn, c->self->table[table], row->p, &len);
  if (taken == NULL) return rc == IU_ABI_OK || failed(c, "insert", iu__nerv_tables[table].name, rc);
  if (rc != IU_ABI_OK && rc != IU_ABI_UNIQUE_ALREADY_EXISTS) return failed(c, "insert", iu__nerv_tables[table].name, rc);
  if (rc == IU_ABI_OK && !iu__nerv_count_rows(c, table, &after)) return false;
  *taken = rc != IU_ABI_OK || after == before;
  return true;
}

bool iu__nerv_update(nerv_call *c, nerv_table table, nerv_out *row) {
  uint32_t len = (uint32_t)row->n;
  int32_t rc;
  if (!iu__nerv_wrote(c, row)) return false;
  rc = IU_ABI(c->self, datastore_update_bsatn, c->self->table[table], c->self->index[iu__nerv_tables[table].primary], row->p, &len);
  return rc == IU_ABI_OK || failed(c, "update", iu__nerv_tables[table].name, rc);
}

bool iu__nerv_put_row(nerv_call *c, nerv_table table, nerv_out *row, bool exists) {
  return exists ? iu__nerv_update(c, table, row) : iu__nerv_insert(c, table, row, NULL);
}

bool iu__nerv_delete(nerv_call *c, nerv_index index, nerv_slice key, uint32_t *count) {
  nerv_mark mark = iu__nerv_mem_mark(&c->self->mem);
  nerv_out bound = iu__nerv_out_of(c);
  uint32_t deleted = 0;
  int32_t rc;
  put_bound(&bound, &key);
  if (!iu__nerv_wrote(c, &bound)) return false;
  rc = IU_ABI(c->self, datastore_delete_by_index_scan_range_bsatn, c->self->index[index], "", 0, 0, bound.p, (uint32_t)bound.n, bound.p,
              (uint32_t)bound.n, &deleted);
  iu__nerv_mem_release(&c->self->mem, mark);
  if (count != NULL) *count = deleted;
  return rc == IU_ABI_OK || failed(c, "delete", table_of(index), rc);
}

bool iu__nerv_delete_text(nerv_call *c, nerv_index index, nerv_slice text, uint32_t *count) {
  nerv_slice key;
  return text_key(c, text, &key) && iu__nerv_delete(c, index, key, count);
}
