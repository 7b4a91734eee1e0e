/* query_join.c: two tables at once: what a pair must satisfy, and running a join at an epoch.
 *
 * One table is walked, by its plan; the partners of each of its rows are looked up in an index of the other one on the column of ON. Where neither
 * table has such an index (one-off queries only) a hash table of the smaller side's rows is made for the run. Cost: the rows walked plus the pairs.
 */
#include "query_internal.h"

#include "../base/alloc.h"
#include "../base/hash.h"
#include "cursor.h"

bool iu__query_is_join(const iu_query *q) { return q->join; }
const iu_query_side *iu__query_sides(const iu_query *q) { return q->sides; }

bool iu__query_side_may(const iu_query *q, int side, const uint8_t *row, size_t len) {
  iu_slice rows[2] = {{NULL, 0}, {NULL, 0}};
  rows[side] = (iu_slice){row, len};
  return !q->parts[side].sieves || iu__pred_matches(&q->parts[side].may, rows);
}

static bool pair_matches(const iu_query *q, const iu_row *const pair[2]) {
  const iu_slice rows[2] = {{pair[0]->data, pair[0]->len}, {pair[1]->data, pair[1]->len}};
  return iu__pred_matches(&q->predicate, rows);
}

bool iu__query_pair_matches(const iu_query *q, const iu_row *selected, const iu_row *other) {
  const iu_row *const pair[2] = {selected, other};
  return pair_matches(q, pair);
}

iu_slice iu__query_join_value(const iu_query *q, int side, const uint8_t *row, size_t len) {
  iu_slice value = {NULL, 0};
  (void)iu__locate(&q->parts[side].on, row, len, &value);
  return value;
}

iu_slice iu__query_join_key(const iu_query *q, int side, const uint8_t *row, size_t len, uint8_t room[8]) {
  iu_slice value = iu__query_join_value(q, side, row, len);
  double f;
  if ((q->on.cls != IU_SC_F32 && q->on.cls != IU_SC_F64) || value.p == NULL) return value;
  f = iu__scalar_f64(q->on, value.p);
  if (f == 0) f = 0; /* -0.0 equals 0.0 */
  memset(room, 0xff, 8); /* NaN equals NaN */
  if (f == f) memcpy(room, &f, sizeof f);
  return (iu_slice){room, 8};
}

/* ---- partners by an index ---- */

typedef struct run {
  const iu_query *q;
  iu_store *s;
  uint64_t epoch;
  int outer, inner;
  const iu_row *row;     /* of the outer side, whose partners are looked up */
  bool stopped;
  iu_pair_fn pair;
  void *ud;
  iu_status status;
  iu_error *err;
} run;

static bool give_partner(void *ud, const iu_row *partner) {
  run *r = ud;
  const iu_row *pair[2];
  pair[r->outer] = r->row;
  pair[r->inner] = partner;
  r->stopped = !r->pair(r->ud, pair);
  return !r->stopped;
}

/* false: stop. */
static bool look_up(run *r, const iu_row *row) {
  uint64_t looked = 0;
  r->row = row;
  r->status = iu__query_partners(r->q, r->outer, row, r->s, r->epoch, give_partner, r, &looked, r->err);
  return r->status == IU_OK && !r->stopped;
}

/* ---- partners by a hash table made for the run ---- */

typedef struct entry { uint64_t hash; const iu_row *row; uint32_t next; } entry;
typedef struct lookup { entry *entries; uint32_t count, cap, *heads, mask; } lookup;

static uint64_t hash_of(const run *r, int side, const iu_row *row) {
  uint8_t room[8];
  iu_slice key = iu__query_join_key(r->q, side, row->data, row->len, room);
  return iu__hash64(key.p, key.len);
}

static bool add(run *r, lookup *l, const iu_row *row) {
  if (l->count == l->cap) {
    uint32_t cap = l->cap == 0 ? 64 : l->cap * 2;
    entry *more = cap > l->cap ? iu__realloc_array(l->entries, cap, sizeof *more) : NULL;
    if (more == NULL) {
      r->status = iu__fail_nomem(r->err);
      return false;
    }
    l->entries = more;
    l->cap = cap;
  }
  l->entries[l->count++] = (entry){hash_of(r, r->inner, row), row, UINT32_MAX};
  return true;
}

static void link_entries(run *r, lookup *l) {
  uint32_t buckets = 16;
  while (buckets < l->count && buckets < 1u << 30) buckets *= 2;
  l->heads = iu__alloc((size_t)buckets * sizeof *l->heads);
  if (l->heads == NULL) {
    r->status = iu__fail_nomem(r->err);
    return;
  }
  memset(l->heads, 0xff, (size_t)buckets * sizeof *l->heads);
  l->mask = buckets - 1;
  for (uint32_t i = l->count; i-- > 0;) { /* so that partners come in the order of their table */
    uint32_t *head = &l->heads[l->entries[i].hash & l->mask];
    l->entries[i].next = *head;
    *head = i;
  }
}

static bool probe(run *r, const lookup *l, const iu_row *row) {
  uint64_t hash = hash_of(r, r->outer, row);
  for (uint32_t i = l->heads[hash & l->mask]; i != UINT32_MAX; i = l->entries[i].next) {
    const iu_row *pair[2];
    pair[r->outer] = row;
    pair[r->inner] = l->entries[i].row;
    if (l->entries[i].hash == hash && pair_matches(r->q, pair) && !r->pair(r->ud, pair)) return false;
  }
  return true;
}

/* ---- one side, row by row ---- */

typedef bool (*step_fn)(run *r, lookup *l, const iu_row *row);

static bool step_look_up(run *r, lookup *l, const iu_row *row) {
  (void)l;
  return look_up(r, row);
}
static bool step_probe(run *r, lookup *l, const iu_row *row) { return probe(r, l, row); }

static void walk(run *r, int side, step_fn step, lookup *l) {
  const iu_query_part *part = &r->q->parts[side];
  const iu_range *range = part->plan.index == IU_INDEX_MAIN ? NULL : &part->plan.range;
  const iu_row *row;
  iu_iter *it;
  r->status = iu__table_iter(iu__store_table(r->s, r->q->sides[side].table), r->epoch, part->plan.index, range, false, &it, r->err);
  if (r->status != IU_OK) return;
  while ((row = iu__iter_next(it)) != NULL) {
    if (iu__query_side_may(r->q, side, row->data, row->len) && !step(r, l, row)) break;
  }
  iu__iter_close(it);
}

iu_status iu__query_run_join(const iu_query *q, iu_store *s, uint64_t epoch, iu_pair_fn pair, void *ud, iu_error *err) {
  run r = {.q = q, .s = s, .epoch = epoch, .outer = 0, .inner = 1, .pair = pair, .ud = ud, .status = IU_OK, .err = err};
  bool by_other = q->sides[1].index != IU_INDEX_MAIN, by_selected = q->sides[0].index != IU_INDEX_MAIN;
  lookup l = {0};
  /* Walked is the side that conditions narrow, where the other one can be looked up. */
  if (by_selected && (!by_other || (q->parts[0].plan.index == IU_INDEX_MAIN && q->parts[1].plan.index != IU_INDEX_MAIN))) {
    r.outer = 1;
    r.inner = 0;
  }
  if (by_other || by_selected) {
    walk(&r, r.outer, step_look_up, NULL);
    return r.status;
  }
  walk(&r, r.inner, add, &l);
  if (r.status == IU_OK) link_entries(&r, &l);
  if (r.status == IU_OK) walk(&r, r.outer, step_probe, &l);
  iu__free(l.entries);
  iu__free(l.heads);
  return r.status;
}
