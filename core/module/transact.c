/* transact.c: many operations in one transaction, all or none, and at most once for a request key.
 *
 * An operation's payload is its reducer's parameters, so it is run by the reducer itself, permission and audit included. `Expect`
 * proves that a row is still what its reader saw: that is how a client's transaction finds out that it lost. A key is remembered for
 * REQUEST_KEPT (24 hours); each keyed call forgets at most FORGET_MAX older ones.
 */
#include "internal.h"

#define REQUEST_KEPT (INT64_C(24) * 3600 * 1000000) /* microseconds */
#define FORGET_MAX 64u

#define HANDLER(symbol, type) iu__nerv_##symbol,
nerv_handler *const iu__nerv_operations[] = {NERV_OPERATIONS(HANDLER)};

static bool find_table(nerv_call *c, nerv_slice name, nerv_table *out) {
  for (uint32_t t = 0; t < NERV_TABLE_COUNT; t++) {
    if (!iu__nerv_is(name, iu__nerv_tables[t].name) || iu__nerv_tables[t].is_private) continue;
    if (t == NERV_EVENT_HEAD || t == NERV_CLIENT_CONNECTION) break; /* no text keys */
    *out = (nerv_table)t;
    return true;
  }
  return iu__nerv_refuse(c, "VALIDATION", "table: %q, expected a public table with a text as its key", &name);
}

bool iu__nerv_expect(nerv_call *c, nerv_reader *r) {
  nerv_slice name = iu__nerv_get_text(r), key = iu__nerv_get_text(r), expected, row;
  bool expects, exists;
  nerv_table table = NERV_ENTITY;
  expected = iu__nerv_get_text_option(r, &expects);
  if (!iu__nerv_read(c, r) || !find_table(c, name, &table) || !iu__nerv_check_text(c, "key", key, NERV_TEXT_MAX)) return false;
  if (!iu__nerv_find_text(c, iu__nerv_tables[table].primary, key, &row, &exists)) return false;
  if (exists == expects && (!exists || iu__nerv_same(row, expected))) return true;
  return iu__nerv_refuse(c, "CONFLICT", "row %q of `%s` %s", &key, iu__nerv_tables[table].name,
                         !expects ? "exists, expected none" : exists ? "has changed since it was read" : "is gone since it was read");
}

static bool run_operation(nerv_call *c, nerv_reader *r, uint32_t at) {
  nerv_mark mark = iu__nerv_mem_mark(&c->self->mem);
  uint8_t tag = iu__nerv_get_u8(r);
  if (r->bad || tag >= iu__nerv_operation_count) return iu__nerv_bad_arguments(c);
  c->operation = iu__nerv_reducers[iu__nerv_reducer_count + 1 - iu__nerv_operation_count + tag].name;
  c->operation_at = at;
  if (!iu__nerv_operations[tag](c, r)) return false;
  c->operation = NULL;
  iu__nerv_mem_release(&c->self->mem, mark);
  return true;
}

static bool forget_old_requests(nerv_call *c) {
  uint8_t limit[8];
  nerv_slice high = {limit, sizeof limit}, row;
  uint64_t until = (uint64_t)(c->now - REQUEST_KEPT);
  nerv_out keys = iu__nerv_out_of(c);
  nerv_reader r;
  nerv_scan s;
  uint32_t count = 0;
  for (int i = 0; i < 8; i++) limit[i] = (uint8_t)(until >> 8 * i);
  if (!iu__nerv_scan(c, NERV_REQUEST_APPLIED_AT, NULL, &high, &s)) return false;
  while (count < FORGET_MAX && iu__nerv_next(c, &s, &row)) {
    r = iu__nerv_reader(row);
    iu__nerv_put_text(&keys, iu__nerv_get_text(&r));
    count++;
  }
  iu__nerv_scan_end(c, &s);
  if (c->refused || !iu__nerv_wrote(c, &keys)) return false;
  for (r = iu__nerv_reader(iu__nerv_written(&keys)); count > 0; count--) {
    if (!iu__nerv_delete_text(c, NERV_REQUEST_KEY, iu__nerv_get_text(&r), NULL)) return false;
  }
  return true;
}

static bool note_request(nerv_call *c, nerv_slice key, bool *applied) {
  nerv_out row;
  if (!iu__nerv_has_text(c, NERV_REQUEST_KEY, key, applied)) return false;
  if (*applied) return true;
  row = iu__nerv_out_of(c);
  iu__nerv_put_text(&row, key);
  iu__nerv_put_u64(&row, (uint64_t)c->now);
  return iu__nerv_insert(c, NERV_APPLIED_REQUEST, &row, NULL) && forget_old_requests(c);
}

/* The request key stands behind the operations, but is needed before them. A valid one has no bytes below 0x20, so it is the run of such bytes at
 * the very end, with its length (whose high bytes are 0) and the tag of `some` before it; `none` ends in the byte 1. What is taken
 * for a key here is compared with the real one afterwards. */
static nerv_slice find_request_key(const nerv_reader *r) {
  const uint8_t *p = r->end;
  uint32_t n;
  while (p > r->p && p[-1] >= 0x20 && (size_t)(r->end - p) < NERV_ID_MAX) p--;
  n = (uint32_t)(r->end - p);
  if (n == 0 || (size_t)(p - r->p) < 5 || iu__nerv_load_u32(p - 4) != n || p[-5] != 0) return (nerv_slice){r->p, 0};
  return (nerv_slice){p, n};
}

static bool check_request_key(nerv_call *c, nerv_reader *r, nerv_slice noted) {
  bool there;
  nerv_slice key = iu__nerv_get_text_option(r, &there);
  if (!iu__nerv_read(c, r) || (there && !iu__nerv_check_id(c, "request_key", key))) return false;
  return iu__nerv_same(key, noted) || iu__nerv_bad_arguments(c);
}

bool iu__nerv_transact(nerv_call *c, nerv_reader *r) {
  nerv_slice key = find_request_key(r);
  uint32_t count = iu__nerv_get_u32(r);
  bool applied = false;
  if (count > NERV_TRANSACT_MAX) {
    return iu__nerv_refuse(c, "VALIDATION", "operations: %u, expected at most %u", (uint64_t)count, (uint64_t)NERV_TRANSACT_MAX);
  }
  if (key.n > 0 && (!iu__nerv_check_id(c, "request_key", key) || !note_request(c, key, &applied))) return false;
  if (applied) {
    r->p = r->end;
    return true;
  }
  for (uint32_t i = 0; i < count; i++) {
    if (!run_operation(c, r, i)) return false;
  }
  return check_request_key(c, r, key);
}
