/* prune.c: retention of the event log and of row_history: the oldest rows go while a limit is exceeded.
 *
 * Rows are collected in order of age first and deleted afterwards, so that no scan runs over what it deletes. What was there before this call comes
 * before what it wrote, history of one time by its sequence: a scan alone does not promise that. Cost: the rows removed, plus, for
 * prune_events with types, the older rows of other types that are stepped over; for prune_history, the rows of the first time that stays.
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

static nerv_slice u64_key(uint64_t value, uint8_t key[8]) {
  for (int i = 0; i < 8; i++) key[i] = (uint8_t)(value >> 8 * i);
  return (nerv_slice){key, 8};
}

/* The events of a range of sequences, oldest first, until one stays; *more tells whether none did. */
static bool collect_events(nerv_call *c, pruning *p, const nerv_slice *low, const nerv_slice *high, bool *more) {
  nerv_scan s;
  nerv_slice row;
  if (!*more) return true;
  if (!iu__nerv_scan(c, NERV_EVENT_SEQUENCE, low, high, &s)) return false;
  while (*more && iu__nerv_next(c, &s, &row)) *more = consider_event(p, row);
  iu__nerv_scan_end(c, &s);
  return !c->refused;
}

static bool collect_all_events(nerv_call *c, pruning *p) {
  uint8_t old_key[8], own_key[8];
  nerv_slice old = u64_key(p->head->stored, old_key), own = u64_key(p->head->stored + 1, own_key);
  bool more = true;
  p->keys = iu__nerv_out_of(c);
  return collect_events(c, p, NULL, &old, &more) && collect_events(c, p, &own, NULL, &more) && iu__nerv_wrote(c, &p->keys);
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
  if (!iu__nerv_head(c, NERV_HEAD_EVENTS, &p.head) || !collect_all_events(c, &p)) return false;
  keys = iu__nerv_reader(iu__nerv_written(&p.keys));
  for (uint32_t i = 0; i < p.count; i++) {
    if (!iu__nerv_delete(c, NERV_EVENT_SEQUENCE, (nerv_slice){keys.p + 8 * (size_t)i, 8}, NULL)) return false;
  }
  return true;
}

/* The rows of one time, in order; false at the first that stays. */
static bool consider_history(pruning *p, nerv_items *same, int64_t timestamp) {
  iu__nerv_items_sort(same);
  for (size_t i = 0; i < same->n; i++) {
    if (p->count == p->limit || !iu__nerv_over(&p->limits, p->head, timestamp)) return false;
    iu__nerv_put_text(&p->keys, same->p[i].key);
    drop(p, same->p[i].row.n);
  }
  same->n = 0;
  return true;
}

/* The rows that this call wrote (own), or all others, of a range of times until one stays; *more tells whether none did. */
static bool collect_history(nerv_call *c, pruning *p, const nerv_slice *time, bool own, bool *more) {
  nerv_items same = {NULL, 0, 0};
  int64_t timestamp = 0;
  nerv_scan s;
  nerv_slice row;
  if (!iu__nerv_scan(c, NERV_HISTORY_TIMESTAMP, time, time, &s)) return false;
  while (*more && !c->refused && iu__nerv_next(c, &s, &row)) {
    nerv_reader r = iu__nerv_reader(row);
    nerv_slice key = iu__nerv_get_text(&r);
    uint64_t sequence;
    int64_t its_time;
    iu__nerv_get_text(&r);
    iu__nerv_get_text(&r);
    sequence = iu__nerv_get_u64(&r);
    its_time = (int64_t)iu__nerv_get_u64(&r);
    if ((sequence > p->head->stored) != own) continue;
    if (same.n > 0 && its_time != timestamp) *more = consider_history(p, &same, timestamp);
    timestamp = its_time;
    if (*more && iu__nerv_copy(c, key, &key)) iu__nerv_items_add(c, &same, (nerv_item){sequence, key, {NULL, row.n}});
  }
  iu__nerv_scan_end(c, &s);
  if (c->refused) return false;
  if (*more) *more = consider_history(p, &same, timestamp);
  return true;
}

static bool collect_all_history(nerv_call *c, pruning *p) {
  uint8_t now[8];
  nerv_slice own = u64_key((uint64_t)c->now, now);
  bool more = true;
  p->keys = iu__nerv_out_of(c);
  if (!collect_history(c, p, NULL, false, &more)) return false;
  if (more && p->head->sequence > p->head->stored && !collect_history(c, p, &own, true, &more)) return false;
  return iu__nerv_wrote(c, &p->keys);
}

bool iu__nerv_prune_history(nerv_call *c, nerv_reader *r) {
  pruning p = {.count = 0};
  nerv_reader keys;
  if (!iu__nerv_read_limits(c, r, &p.limits)) return false;
  p.limit = iu__nerv_get_u32(r);
  if (!iu__nerv_read(c, r) || !iu__nerv_check_limit(c, &p.limit) || !iu__nerv_owner_only(c, "prune_history")) return false;
  if (!iu__nerv_head(c, NERV_HEAD_HISTORY, &p.head) || !collect_all_history(c, &p)) return false;
  keys = iu__nerv_reader(iu__nerv_written(&p.keys));
  for (uint32_t i = 0; i < p.count; i++) {
    if (!iu__nerv_delete_text(c, NERV_HISTORY_KEY, iu__nerv_get_text(&keys), NULL)) return false;
  }
  return true;
}
