/* host_abi.c: spacetime_10.0 for native modules: the names, error codes and semantics of the protocol sheet, section 8.3.
 *
 * What differs from a wasm host: a row that does not decode answers BSATN_DECODE_ERROR where SpacetimeDB traps, since there
 * is no instance to throw away; and a write over the transaction's cap answers NO_SPACE and makes the call fail whatever the
 * reducer returns. Rows are handed out as many whole ones as fit (SpacetimeDB's host thinks in chunks of 32 KiB).
 *
 * Ids: table = IU_ABI_TABLE_BASE + position in the schema; index = IU_ABI_INDEX_BASE + running number over all tables. Iterators are slots,
 * numbered from 1; the only byte source and the only sink of a call are both 1.
 */
#include "internal.h"

#include "../base/alloc.h"
#include "../base/clock.h"

void iu__host_end_call(iu_host *h) {
  for (uint32_t i = 0; i < h->iter_count; i++) {
    if (h->iters[i].used) iu__iter_close(h->iters[i].it);
    h->iters[i] = (iu_host_iter){0};
  }
  h->iter_count = 0;
  h->args = NULL;
  h->args_open = false;
  for (uint32_t i = 0; i < IU_HOST_TIMERS_MAX; i++) h->timers[i] = 0;
}

static iu_table *table_of(iu_host *h, uint32_t id) {
  if (id < IU_ABI_TABLE_BASE || id - IU_ABI_TABLE_BASE >= h->engine->schema->table_count) return NULL;
  return iu__store_table(h->engine->store, id - IU_ABI_TABLE_BASE);
}

/* The table and its index number; NULL when there is none. */
static iu_table *index_of(iu_host *h, uint32_t id, uint32_t *index) {
  const iu_engine *e = h->engine;
  uint32_t n = id - IU_ABI_INDEX_BASE, low = 0, high = e->schema->table_count;
  if (id < IU_ABI_INDEX_BASE || n >= e->index_total) return NULL;
  while (high - low > 1) {
    uint32_t mid = low + (high - low) / 2;
    if (e->index_base[mid] <= n) low = mid;
    else high = mid;
  }
  *index = n - e->index_base[low];
  return iu__store_table(e->store, low);
}

int32_t iu__stdb_table_id_from_name(struct iu_host *h, const void *name, uint32_t len, uint32_t *out) {
  int t = iu__schema_table(h->engine->schema, name, len);
  if (!iu__store_in_tx(h->engine->store)) return IU_ABI_NOT_IN_TRANSACTION;
  if (t < 0) return IU_ABI_NO_SUCH_TABLE;
  *out = IU_ABI_TABLE_BASE + (uint32_t)t;
  return IU_ABI_OK;
}

int32_t iu__stdb_index_id_from_name(struct iu_host *h, const void *name, uint32_t len, uint32_t *out) {
  const iu_engine *e = h->engine;
  if (!iu__store_in_tx(e->store)) return IU_ABI_NOT_IN_TRANSACTION;
  for (uint32_t t = 0; t < e->schema->table_count; t++) {
    const iu_table_def *def = &e->schema->tables[t];
    for (uint32_t i = 0; i < def->index_count; i++) {
      if (strlen(def->indexes[i].name) == len && memcmp(def->indexes[i].name, name, len) == 0) {
        *out = IU_ABI_INDEX_BASE + e->index_base[t] + i;
        return IU_ABI_OK;
      }
    }
  }
  return IU_ABI_NO_SUCH_INDEX;
}

int32_t iu__stdb_datastore_table_row_count(struct iu_host *h, uint32_t table, uint64_t *out) {
  iu_table *t = table_of(h, table);
  if (!iu__store_in_tx(h->engine->store)) return IU_ABI_NOT_IN_TRANSACTION;
  if (t == NULL) return IU_ABI_NO_SUCH_TABLE;
  *out = iu__table_count(t, IU_EPOCH_LATEST);
  return IU_ABI_OK;
}

uint64_t iu__host_table_writes(struct iu_host *h, uint32_t table) {
  const iu_table *t = table_of(h, table);
  return t != NULL ? iu__table_writes(t) : 0;
}

/* ---- iterators ---- */

static int32_t out_of_memory(iu_host *h) {
  iu__fail_nomem(&h->failure);
  return IU_ABI_NO_SPACE;
}

/* Takes `it` (NULL for the point read of `single`). */
static int32_t iter_open(iu_host *h, iu_iter *it, const iu_row *single, uint32_t *out) {
  uint32_t slot = 0;
  while (slot < h->iter_count && h->iters[slot].used) slot++;
  if (slot == h->iter_cap) {
    uint32_t cap = h->iter_cap == 0 ? 8 : h->iter_cap * 2;
    iu_host_iter *more = slot < IU_HOST_ITERS_MAX ? iu__realloc_array(h->iters, cap, sizeof *more) : NULL;
    if (more == NULL) {
      iu__iter_close(it);
      if (slot < IU_HOST_ITERS_MAX) return out_of_memory(h);
      iu__fail(&h->failure, IU_E_OVERLOADED, "more than %d open iterators in one reducer", IU_HOST_ITERS_MAX);
      return IU_ABI_NO_SPACE;
    }
    h->iters = more;
    h->iter_cap = cap;
  }
  if (slot == h->iter_count) h->iter_count++;
  h->iters[slot] = (iu_host_iter){.it = it, .next = it != NULL ? iu__iter_next(it) : single, .used = true};
  *out = slot + 1;
  return IU_ABI_OK;
}

static iu_host_iter *iter_of(iu_host *h, uint32_t id) {
  if (id == 0 || id > h->iter_count || !h->iters[id - 1].used) return NULL;
  return &h->iters[id - 1];
}

static void iter_step(iu_host_iter *slot) { slot->next = slot->it != NULL ? iu__iter_next(slot->it) : NULL; }

static void iter_end(iu_host_iter *slot) {
  iu__iter_close(slot->it);
  *slot = (iu_host_iter){0};
}

int32_t iu__stdb_datastore_table_scan_bsatn(struct iu_host *h, uint32_t table, uint32_t *iter) {
  iu_table *t = table_of(h, table);
  iu_iter *it;
  if (!iu__store_in_tx(h->engine->store)) return IU_ABI_NOT_IN_TRANSACTION;
  if (t == NULL) return IU_ABI_NO_SUCH_TABLE;
  if (iu__table_iter(t, IU_EPOCH_LATEST, IU_INDEX_MAIN, NULL, false, &it, &h->failure) != IU_OK) return IU_ABI_NO_SPACE;
  return iter_open(h, it, NULL, iter);
}

static bool read_bound(const void *bytes, uint32_t len, const iu_type *type, iu_bound *out) {
  iu_reader r = iu__reader(bytes, len);
  uint8_t tag = iu__read_u8(&r);
  if (r.failed || tag > 2) return false;
  out->kind = (iu_bound_kind)tag;
  out->key = (iu_slice){NULL, 0};
  if (tag == IU_BOUND_UNBOUNDED) return true;
  out->key = (iu_slice){r.p, iu__reader_left(&r)};
  return iu__bsatn_check_all(type, r.p, iu__reader_left(&r), NULL) == IU_OK;
}

static int32_t read_range(iu_host *h, uint32_t id, const void *prefix, uint32_t prefix_len, uint32_t prefix_elems, const void *rstart,
                          uint32_t rstart_len, const void *rend, uint32_t rend_len, iu_table **table, uint32_t *index, iu_range *range) {
  const iu_index_def *def;
  const iu_table_def *td;
  iu_reader r;
  if (!iu__store_in_tx(h->engine->store)) return IU_ABI_NOT_IN_TRANSACTION;
  if ((*table = index_of(h, id, index)) == NULL) return IU_ABI_NO_SUCH_INDEX;
  td = iu__table_def(*table);
  def = &td->indexes[*index];
  if (prefix_elems >= def->column_count) return IU_ABI_BSATN_DECODE_ERROR;
  r = iu__reader(prefix_elems > 0 ? prefix : "", prefix_elems > 0 ? prefix_len : 0);
  for (uint32_t i = 0; i < prefix_elems; i++) {
    if (iu__bsatn_check(td->row->u.fields[def->columns[i]].type, &r, NULL) != IU_OK) return IU_ABI_BSATN_DECODE_ERROR;
  }
  if (iu__reader_left(&r) != 0) return IU_ABI_BSATN_DECODE_ERROR;
  range->prefix = (iu_slice){r.base, (size_t)(r.end - r.base)};
  range->prefix_columns = prefix_elems;
  const iu_type *next = td->row->u.fields[def->columns[prefix_elems]].type;
  if (!read_bound(rstart, rstart_len, next, &range->low) || !read_bound(rend, rend_len, next, &range->high)) return IU_ABI_BSATN_DECODE_ERROR;
  return IU_ABI_OK;
}

/* Equality on a whole unique index: a hash look-up instead of a walk. */
static bool is_point(const iu_index_def *def, const iu_range *r) {
  return def->unique && def->column_count == 1 && r->low.kind == IU_BOUND_INCLUDED && r->high.kind == IU_BOUND_INCLUDED &&
         r->low.key.len == r->high.key.len && memcmp(r->low.key.p, r->high.key.p, r->low.key.len) == 0;
}

int32_t iu__stdb_datastore_index_scan_range_bsatn(struct iu_host *h, uint32_t id, const void *prefix, uint32_t prefix_len,
                                                  uint32_t prefix_elems, const void *rstart, uint32_t rstart_len, const void *rend,
                                                  uint32_t rend_len, uint32_t *iter) {
  iu_table *t;
  uint32_t index;
  iu_range range;
  iu_iter *it;
  int32_t rc = read_range(h, id, prefix, prefix_len, prefix_elems, rstart, rstart_len, rend, rend_len, &t, &index, &range);
  if (rc != IU_ABI_OK) return rc;
  if (is_point(&iu__table_def(t)->indexes[index], &range)) {
    return iter_open(h, NULL, iu__table_find_unique(t, index, IU_EPOCH_LATEST, range.low.key.p, range.low.key.len), iter);
  }
  if (iu__table_iter(t, IU_EPOCH_LATEST, index, &range, false, &it, &h->failure) != IU_OK) return IU_ABI_NO_SPACE;
  return iter_open(h, it, NULL, iter);
}

static int32_t delete_row(iu_host *h, iu_table *t, const iu_row *row) {
  iu_engine *e = h->engine;
  if (iu__tx_room_for_delete(e, &h->failure) != IU_OK || iu__tx_delete(t, row, &h->failure) != IU_OK) return IU_ABI_NO_SPACE;
  iu__tx_note_delete(&e->tx, t, row);
  return IU_ABI_OK;
}

int32_t iu__stdb_datastore_delete_by_index_scan_range_bsatn(struct iu_host *h, uint32_t id, const void *prefix, uint32_t prefix_len,
                                                            uint32_t prefix_elems, const void *rstart, uint32_t rstart_len,
                                                            const void *rend, uint32_t rend_len, uint32_t *count) {
  iu_table *t;
  uint32_t index;
  iu_range range;
  iu_iter *it;
  const iu_row *row;
  int32_t rc = read_range(h, id, prefix, prefix_len, prefix_elems, rstart, rstart_len, rend, rend_len, &t, &index, &range);
  if (rc != IU_ABI_OK) return rc;
  *count = 0;
  if (iu__table_iter(t, IU_EPOCH_LATEST, index, &range, false, &it, &h->failure) != IU_OK) return IU_ABI_NO_SPACE;
  while ((row = iu__iter_next(it)) != NULL) {
    if (delete_row(h, t, row) != IU_ABI_OK) {
      iu__iter_close(it);
      return IU_ABI_NO_SPACE;
    }
    (*count)++;
  }
  iu__iter_close(it);
  return IU_ABI_OK;
}

int32_t iu__stdb_datastore_delete_all_by_eq_bsatn(struct iu_host *h, uint32_t table, const void *rel, uint32_t rel_len, uint32_t *count) {
  iu_table *t = table_of(h, table);
  iu_reader r = iu__reader(rel, rel_len);
  uint32_t rows;
  if (!iu__store_in_tx(h->engine->store)) return IU_ABI_NOT_IN_TRANSACTION;
  if (t == NULL) return IU_ABI_NO_SUCH_TABLE;
  rows = iu__read_u32(&r);
  if (r.failed) return IU_ABI_BSATN_DECODE_ERROR;
  *count = 0;
  for (uint32_t i = 0; i < rows; i++) {
    const uint8_t *start = r.p;
    const iu_row *row;
    if (iu__bsatn_check(iu__table_def(t)->row, &r, NULL) != IU_OK) return IU_ABI_BSATN_DECODE_ERROR;
    row = iu__table_find_row(t, IU_EPOCH_LATEST, start, (size_t)(r.p - start));
    if (row == NULL) continue;
    if (delete_row(h, t, row) != IU_ABI_OK) return IU_ABI_NO_SPACE;
    (*count)++;
  }
  return IU_ABI_OK;
}

int32_t iu__stdb_row_iter_bsatn_advance(struct iu_host *h, uint32_t iter, void *buf, uint32_t *buf_len) {
  iu_host_iter *slot = iter_of(h, iter);
  uint8_t *out = buf;
  uint32_t room = *buf_len, used = 0;
  if (slot == NULL) return IU_ABI_NO_SUCH_ITER;
  while (slot->next != NULL) {
    const iu_row *row = slot->next;
    if (row->len > room - used) {
      /* Nothing is handed out twice: what is in the buffer goes first, the rest with the next call. */
      if (used == 0) {
        *buf_len = row->len;
        return IU_ABI_BUFFER_TOO_SMALL;
      }
      *buf_len = used;
      return IU_ABI_OK;
    }
    memcpy(out + used, row->data, row->len);
    used += row->len;
    iter_step(slot);
  }
  *buf_len = used;
  iter_end(slot);
  return IU_ABI_EXHAUSTED;
}

int32_t iu__stdb_row_iter_bsatn_close(struct iu_host *h, uint32_t iter) {
  iu_host_iter *slot = iter_of(h, iter);
  if (slot == NULL) return IU_ABI_NO_SUCH_ITER;
  iter_end(slot);
  return IU_ABI_OK;
}

/* ---- writes ---- */

static int32_t write_failed(iu_host *h, iu_status status, const iu_error *err) {
  if (status == IU_E_CONFLICT) return IU_ABI_UNIQUE_ALREADY_EXISTS;
  h->failure = *err;
  return IU_ABI_NO_SPACE;
}

static int32_t write_check(iu_host *h, iu_table *t, const void *row, uint32_t len) {
  if (!iu__store_in_tx(h->engine->store)) return IU_ABI_NOT_IN_TRANSACTION;
  if (t == NULL) return IU_ABI_NO_SUCH_TABLE;
  if (iu__bsatn_check_all(iu__table_def(t)->row, row, len, NULL) != IU_OK) return IU_ABI_BSATN_DECODE_ERROR;
  return iu__tx_room(h->engine, len, &h->failure) == IU_OK ? IU_ABI_OK : IU_ABI_NO_SPACE;
}

static int32_t draw(iu_host *h, const iu_table *t, uint8_t *row, uint32_t len, uint8_t *generated, uint32_t *generated_len) {
  uint16_t column;
  if (iu__tx_note_put(&h->engine->tx, iu__table_def(t), row, len, NULL) != IU_OK) return IU_ABI_SCHEDULE_AT_DELAY_TOO_LONG;
  return iu__sequences_draw(h->engine, t, row, len, generated, generated_len, &column) ? IU_ABI_OK : IU_ABI_AUTO_INC_OVERFLOW;
}

int32_t iu__stdb_datastore_insert_bsatn(struct iu_host *h, uint32_t table, void *row, uint32_t *row_len) {
  iu_table *t = table_of(h, table);
  uint8_t generated[IU_GENERATED_MAX];
  uint32_t generated_len;
  iu_error err;
  iu_status status;
  int32_t rc = write_check(h, t, row, *row_len);
  if (rc == IU_ABI_OK) rc = draw(h, t, row, *row_len, generated, &generated_len);
  if (rc != IU_ABI_OK) return rc;
  status = iu__tx_insert(t, row, *row_len, NULL, NULL, &err);
  if (status != IU_OK) return write_failed(h, status, &err);
  memcpy(row, generated, generated_len);
  *row_len = generated_len;
  return IU_ABI_OK;
}

int32_t iu__stdb_datastore_update_bsatn(struct iu_host *h, uint32_t table, uint32_t index_id, void *row, uint32_t *row_len) {
  iu_table *t = table_of(h, table);
  uint32_t index;
  iu_table *of = index_of(h, index_id, &index);
  uint8_t generated[IU_GENERATED_MAX];
  uint32_t generated_len;
  const iu_row *old;
  iu_buf key = {0};
  iu_slice point;
  iu_error err;
  iu_status status;
  int32_t rc = write_check(h, t, row, *row_len);
  if (rc != IU_ABI_OK) return rc;
  if (of == NULL || of != t) return IU_ABI_NO_SUCH_INDEX;
  const iu_table_def *def = iu__table_def(t);
  const iu_index_def *ix = &def->indexes[index];
  if (!ix->unique) return IU_ABI_INDEX_NOT_UNIQUE;
  point = iu__bsatn_column(def->row, ix->columns[0], row, *row_len);
  if (ix->column_count > 1) {
    for (uint32_t i = 0; i < ix->column_count; i++) {
      iu_slice c = iu__bsatn_column(def->row, ix->columns[i], row, *row_len);
      iu__buf_put(&key, c.p, c.len);
    }
    if (key.failed) {
      iu__buf_free(&key);
      return out_of_memory(h);
    }
    point = (iu_slice){key.data, key.len};
  }
  old = iu__table_find_unique(t, index, IU_EPOCH_LATEST, point.p, point.len);
  iu__buf_free(&key);
  if (old == NULL) return IU_ABI_NO_SUCH_ROW;
  rc = draw(h, t, row, *row_len, generated, &generated_len);
  if (rc != IU_ABI_OK) return rc;
  status = iu__tx_update(t, old, row, *row_len, NULL, &err);
  if (status != IU_OK) return write_failed(h, status, &err);
  if (def->primary_key < 0 || ix->column_count != 1 || ix->columns[0] != (uint32_t)def->primary_key) iu__tx_note_delete(&h->engine->tx, t, old); /* maybe another key */
  memcpy(row, generated, generated_len);
  *row_len = generated_len;
  return IU_ABI_OK;
}

/* ---- byte sources and sinks ---- */

int32_t iu__stdb_bytes_source_read(struct iu_host *h, uint32_t source, void *buf, uint32_t *buf_len) {
  size_t left = h->args_len - h->args_at, n = *buf_len < left ? *buf_len : left;
  if (source != 1 || !h->args_open) return IU_ABI_NO_SUCH_BYTES;
  memcpy(buf, h->args + h->args_at, n);
  h->args_at += n;
  *buf_len = (uint32_t)n;
  if (h->args_at < h->args_len) return IU_ABI_OK;
  h->args_open = false;
  return IU_ABI_EXHAUSTED;
}

int32_t iu__stdb_bytes_sink_write(struct iu_host *h, uint32_t sink, const void *buf, uint32_t *buf_len) {
  if (sink != 1) return IU_ABI_NO_SUCH_BYTES;
  iu__buf_put(&h->sink, buf, *buf_len);
  return h->sink.failed ? IU_ABI_NO_SPACE : IU_ABI_OK;
}

/* ---- console ---- */

void iu__stdb_console_log(struct iu_host *h, uint32_t level, const void *target, uint32_t target_len, const void *file, uint32_t file_len,
                          uint32_t line, const void *msg, uint32_t msg_len) {
  iu_log_level ours = level > 4 ? (level == 101 ? IU_LOG_ERROR : IU_LOG_DEBUG) : (iu_log_level)level;
  (void)file; (void)file_len; (void)line;
  iu__log(&h->engine->config.log, ours, "%.*s%s%.*s", target != NULL ? (int)target_len : 0, target != NULL ? (const char *)target : "",
          target != NULL && target_len > 0 ? ": " : "", msg_len > 4096 ? 4096 : (int)msg_len, (const char *)msg);
}

uint32_t iu__stdb_console_timer_start(struct iu_host *h, const void *name, uint32_t len) {
  for (uint32_t i = 0; i < IU_HOST_TIMERS_MAX; i++) {
    if (h->timers[i] != 0) continue;
    if (len >= sizeof h->timer_names[i]) len = sizeof h->timer_names[i] - 1;
    memcpy(h->timer_names[i], name, len);
    h->timer_names[i][len] = '\0';
    h->timers[i] = iu__clock_mono_ns();
    return i + 1;
  }
  return 0;
}

int32_t iu__stdb_console_timer_end(struct iu_host *h, uint32_t timer) {
  if (timer == 0 || timer > IU_HOST_TIMERS_MAX || h->timers[timer - 1] == 0) return IU_ABI_NO_SUCH_CONSOLE_TIMER;
  iu__log(&h->engine->config.log, IU_LOG_INFO, "%s: %.3f ms", h->timer_names[timer - 1],
          (double)(iu__clock_mono_ns() - h->timers[timer - 1]) / 1e6);
  h->timers[timer - 1] = 0;
  return IU_ABI_OK;
}

void iu__stdb_identity(struct iu_host *h, void *out) { memcpy(out, h->engine->database_identity, 32); }

void iu__stdb_volatile_nonatomic_schedule_immediate(struct iu_host *h, const void *name, uint32_t len, const void *args, uint32_t args_len) {
  iu_engine *e = h->engine;
  int reducer = iu__schema_reducer(e->schema, name, len);
  iu_scheduled *s = reducer >= 0 ? iu__alloc(sizeof *s + args_len) : NULL;
  if (s == NULL) {
    iu__log(&e->config.log, IU_LOG_ERROR, "schedule: reducer `%.*s` %s", (int)(len > 200 ? 200 : len), (const char *)name,
            reducer < 0 ? "does not exist" : "could not be queued: out of memory");
    return;
  }
  s->next = NULL;
  s->reducer = (uint32_t)reducer;
  s->args_len = args_len;
  memcpy(s->args, args, args_len);
  *e->scheduled_end = s;
  e->scheduled_end = &s->next;
  iu__job_post(e->config.loop, &e->scheduled_job);
}
