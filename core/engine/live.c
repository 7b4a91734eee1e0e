/* live.c: the queries of one session: each text is parsed, evaluated and asked once, however many subscriptions have it; active ones are filed by what
 * they ask for, so that a commit finds those that its rows can match (../query/match_index.h).
 */
#include "internal.h"

#include "../base/alloc.h"
#include "../base/hash.h"

#define BUCKETS_MIN 16u

iu_status iu__live_init(iu_session *s, iu_error *err) {
  uint32_t tables = s->base.schema->table_count + 1u;
  s->live.by_row = iu__alloc_zero(tables, sizeof *s->live.by_row);
  s->live.by_partner = iu__alloc_zero(tables, sizeof *s->live.by_partner);
  s->live.joined = iu__alloc_zero(tables, sizeof *s->live.joined);
  return s->live.by_row != NULL && s->live.by_partner != NULL && s->live.joined != NULL ? IU_OK : iu__fail_nomem(err);
}

static void free_indexes(iu_session *s, iu_match_index **list) {
  for (uint32_t i = 0; list != NULL && i < s->base.schema->table_count; i++) {
    if (list[i] != NULL) iu__match_free(list[i]);
    iu__free(list[i]);
  }
  iu__free(list);
}

/* Its subscriptions and queue are gone. */
void iu__live_free(iu_session *s) {
  free_indexes(s, s->live.by_row);
  free_indexes(s, s->live.by_partner);
  iu__free(s->live.joined);
  iu__free(s->live.buckets);
}

/* ---- texts ---- */

static void link_in(iu_live_query **head, iu_live_query *q) {
  q->next = *head;
  q->link = head;
  if (q->next != NULL) q->next->link = &q->next;
  *head = q;
}

static void link_out(iu_live_query *q) {
  *q->link = q->next;
  if (q->next != NULL) q->next->link = q->link;
}

/* false: no memory, and no buckets at all. With fewer than it should have it goes on. */
static bool grow(iu_live *l) {
  uint32_t count = l->bucket_count == 0 ? BUCKETS_MIN : l->bucket_count * 2;
  iu_live_query **more;
  if (l->count < l->bucket_count) return true;
  more = iu__alloc_zero(count, sizeof *more);
  if (more == NULL) return l->bucket_count != 0;
  for (uint32_t i = 0; i < l->bucket_count; i++) {
    while (l->buckets[i] != NULL) {
      iu_live_query *q = l->buckets[i];
      link_out(q);
      link_in(&more[q->hash & (count - 1)], q);
    }
  }
  iu__free(l->buckets);
  l->buckets = more;
  l->bucket_count = count;
  return true;
}

static iu_live_query *find(const iu_live *l, uint64_t hash, iu_slice text) {
  iu_live_query *q = l->bucket_count != 0 ? l->buckets[hash & (l->bucket_count - 1)] : NULL;
  while (q != NULL && (q->hash != hash || q->len != text.len || memcmp(q->text, text.p, text.len) != 0)) q = q->next;
  return q;
}

iu_status iu__live_get(iu_session *s, iu_slice text, iu_live_query **out, iu_error *err) {
  uint64_t hash = iu__hash64(text.p, text.len);
  iu_live_query *q = find(&s->live, hash, text);
  iu_query *query;
  iu_status status;
  if (q == NULL) {
    status = iu__query_parse_for(IU_QUERY_LIVE, s->base.schema, (const char *)text.p, text.len, s->base.identity, s->base.is_owner, &query, err);
    if (status != IU_OK) return status;
    q = grow(&s->live) ? iu__alloc_zero(1, sizeof *q + text.len) : NULL;
    if (q == NULL) {
      iu__query_free(query);
      return iu__fail_nomem(err);
    }
    q->query = query;
    q->hash = hash;
    q->len = text.len;
    memcpy(q->text, text.p, text.len);
    link_in(&s->live.buckets[hash & (s->live.bucket_count - 1)], q);
    s->live.count++;
  }
  q->refs++;
  *out = q;
  return IU_OK;
}

void iu__live_put(iu_session *s, iu_live_query *q) {
  if (--q->refs > 0) return;
  iu__live_unfile(s, q); /* of a subscription that ends with its session */
  link_out(q);
  s->live.count--;
  iu__query_free(q->query);
  iu__free(q);
}

/* ---- filing ---- */

static iu_match_index *index_of(iu_session *s, iu_match_index **list, uint32_t table, iu_error *err) {
  if (list[table] != NULL) return list[table];
  list[table] = iu__alloc(sizeof *list[table]);
  if (list[table] == NULL) iu__fail_nomem(err);
  else iu__match_init(list[table], &s->base.schema->tables[table]);
  return list[table];
}

/* Of a join, to be counted where commits look for joins. */
static void count_join(iu_session *s, const iu_query *q, int by) {
  s->live.joins = (uint32_t)((int)s->live.joins + by);
  for (int side = 0; side < 2; side++) s->live.joined[iu__query_sides(q)[side].table] += (uint32_t)by;
}

iu_status iu__live_file(iu_session *s, iu_live_query *q, iu_error *err) {
  bool join = iu__query_is_join(q->query);
  uint32_t table = iu__query_table(q->query), other = join ? iu__query_sides(q->query)[1].table : 0;
  iu_match_index *rows = index_of(s, s->live.by_row, table, err), *partners = join ? index_of(s, s->live.by_partner, other, err) : NULL;
  iu_status status;
  if (rows == NULL || (join && partners == NULL)) return IU_E_NOMEM;
  status = iu__match_add(rows, &q->entries[0], q->query, 0, err);
  if (status != IU_OK || !join) return status;
  status = iu__match_add(partners, &q->entries[1], q->query, 1, err);
  if (status != IU_OK) iu__match_remove(rows, &q->entries[0]);
  else count_join(s, q->query, 1);
  q->counted = status == IU_OK;
  return status;
}

void iu__live_unfile(iu_session *s, iu_live_query *q) {
  iu_match_index *rows = s->live.by_row[iu__query_table(q->query)];
  if (rows != NULL) iu__match_remove(rows, &q->entries[0]);
  if (!q->counted) return;
  iu__match_remove(s->live.by_partner[iu__query_sides(q->query)[1].table], &q->entries[1]);
  count_join(s, q->query, -1);
  q->counted = false;
}
