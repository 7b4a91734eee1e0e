/* prune.c: retention of the event log and of row_history: the oldest rows go while a limit is exceeded.
 *
 * Rows are collected in order of age first and deleted afterwards, so that no scan runs over what it deletes. Cost: the rows removed, plus, for
 * prune_events with types, the older rows of other types that are stepped over.
 */
#include "internal.h"

bool iu__nerv_read_limits(nerv_call *c, nerv_reader *r, nerv_limits *l) {
  l->before = (int64_t)iu__nerv_get_u64_option(r, &l->by_time);
  l->max_count = iu__nerv_get_u64_option(r, &l->by_count);
  l->max_bytes = iu__nerv_get_u64_option(r, &l->by_bytes);
  return iu__nerv_read(c, r);
}

bool iu__nerv_check_limit(nerv_call *c, uint32_t *limit) {
  if (*limit == 0) *limit = NERV_PRUNE_DEFAULT;
  return *limit <= NERV_PRUNE_MAX ||
         iu__nerv_refuse(c, "VALIDATION", "limit: %u, expected at most %u", (uint64_t)*limit, (uint64_t)NERV_PRUNE_MAX);
}

bool iu__nerv_over(const nerv_limits *l, const nerv_head *head, int64_t timestamp) {
  return (l->by_time && timestamp < l->before) || (l->by_count && head->count > l->max_count) ||
         (l->by_bytes && head->bytes > l->max_bytes);
}

static bool has_type(nerv_slice types, nerv_slice type) {
  nerv_reader r = iu__nerv_reader(types);
  uint32_t count = iu__nerv_get_u32(&r);
  if (count == 0) return true;
  for (; count > 0; count--) {
    if (iu__nerv_same(iu__nerv_get_text(&r), type)) return true;
  }
  return false;
}

typedef struct pruning {
  nerv_limits limits;
  nerv_slice types;         /* BSATN [String]; prune_events only, as are the next two */
  bool up_to_given;
  uint64_t up_to;
  uint32_t limit, count;    /* rows at most, rows so far */
  nerv_head *head;
  nerv_out keys;            /* of the rows that go */
} pruning;

static void drop(pruning *p, size_t bytes) {
  p->count++;
  p->head->count -= p->head->count > 0;
  p->head->bytes -= bytes < p->head->bytes ? bytes : p->head->bytes;
  p->head->dirty = true;
}

/* Notes the sequence of an event that goes. false at the first that stays. */
static bool consider_event(pruning *p, nerv_slice row) {
  nerv_reader r = iu__nerv_reader(row);
  uint64_t sequence;
  nerv_slice type;
  int64_t timestamp;
  iu__nerv_get_text(&r);
  sequence = iu__nerv_get_u64(&r);
  type = iu__nerv_get_text(&r);
  iu__nerv_get_text(&r);
  timestamp = (int64_t)iu__nerv_get_u64(&r);
  if (p->count == p->limit || (p->up_to_given && sequence > p->up_to) || !iu__nerv_over(&p->limits, p->head, timestamp)) return false;
  if (has_type(p->types, type)) {
    iu__nerv_put_u64(&p->keys, sequence);
    drop(p, row.n);
  }
  return true;
}

/* Runs `consider` over an index, oldest first, until it says stop. */
static bool collect(nerv_call *c, nerv_index index, pruning *p, bool (*consider)(pruning *p, nerv_slice row)) {
  nerv_scan s;
  nerv_slice row;
  bool more = true;
  p->keys = iu__nerv_out_of(c);
  if (!iu__nerv_scan(c, index, NULL, NULL, &s)) return false;
  while (more && iu__nerv_next(c, &s, &row)) more = consider(p, row);
  iu__nerv_scan_end(c, &s);
  return !c->refused && iu__nerv_wrote(c, &p->keys);
}

bool iu__nerv_prune_events(nerv_call *c, nerv_reader *r) {
  pruning p = {.count = 0};
  nerv_reader keys;
  if (!iu__nerv_read_limits(c, r, &p.limits)) return false;
  p.up_to = iu__nerv_get_u64_option(r, &p.up_to_given);
  if (!iu__nerv_read_tags(c, "event_types", r, &p.types)) return false;
  p.limit = iu__nerv_get_u32(r);
  if (!iu__nerv_read(c, r) || !iu__nerv_check_limit(c, &p.limit) || !iu__nerv_owner_only(c, "prune_events")) return false;
  if (iu__nerv_load_u32(p.types.p) > 0 && (p.limits.by_count || p.limits.by_bytes)) {
    return iu__nerv_refuse(c, "VALIDATION", "event_types: expected none with max_count or max_bytes, which count all events");
  }
  if (!iu__nerv_head(c, NERV_HEAD_EVENTS, &p.head) || !collect(c, NERV_EVENT_SEQUENCE, &p, consider_event)) return false;
  keys = iu__nerv_reader(iu__nerv_written(&p.keys));
  for (uint32_t i = 0; i < p.count; i++) {
    if (!iu__nerv_delete(c, NERV_EVENT_SEQUENCE, (nerv_slice){keys.p + 8 * (size_t)i, 8}, NULL)) return false;
  }
  return true;
}

static bool consider_history(pruning *p, nerv_slice row) {
  nerv_reader r = iu__nerv_reader(row);
  nerv_slice key = iu__nerv_get_text(&r);
  int64_t timestamp;
  iu__nerv_get_text(&r);
  iu__nerv_get_text(&r);
  iu__nerv_get_u64(&r);
  timestamp = (int64_t)iu__nerv_get_u64(&r);
  if (p->count == p->limit || !iu__nerv_over(&p->limits, p->head, timestamp)) return false;
  iu__nerv_put_text(&p->keys, key);
  drop(p, row.n);
  return true;
}

bool iu__nerv_prune_history(nerv_call *c, nerv_reader *r) {
  pruning p = {.count = 0};
  nerv_reader keys;
  if (!iu__nerv_read_limits(c, r, &p.limits)) return false;
  p.limit = iu__nerv_get_u32(r);
  if (!iu__nerv_read(c, r) || !iu__nerv_check_limit(c, &p.limit) || !iu__nerv_owner_only(c, "prune_history")) return false;
  if (!iu__nerv_head(c, NERV_HEAD_HISTORY, &p.head) || !collect(c, NERV_HISTORY_TIMESTAMP, &p, consider_history)) return false;
  keys = iu__nerv_reader(iu__nerv_written(&p.keys));
  for (uint32_t i = 0; i < p.count; i++) {
    if (!iu__nerv_delete_text(c, NERV_HISTORY_KEY, iu__nerv_get_text(&keys), NULL)) return false;
  }
  return true;
}
