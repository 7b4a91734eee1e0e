/* draft.c: see draft.h.
 *
 * A thawed array is a list of chunks of at most CHUNK_MAX elements. At first each is a stretch of the old array (room 0); what is changed becomes a copy. The
 * chunk that was used last is remembered, so that changes in order find theirs at once.
 *
 * A thawed object has its members copied in their order, with room for more behind them; a deleted one has key NULL. Old ones are found through the old object,
 * added ones through a table of hashes once there are several.
 */
#include "draft.h"

#include "../base/hash.h"
#include "draft_internal.h"

static thawed *thawed_of(const iu_json *slot) { return (thawed *)(uintptr_t)slot->u.s; }

void iu__draft_begin(iu_draft *d, const iu_json *root, iu_arena *arena, size_t drop_limit) {
  memset(d, 0, sizeof *d);
  d->arena = arena;
  d->root = *root;
  d->drop_limit = drop_limit;
}

void iu__draft_end(iu_draft *d) { iu__arena_free(&d->scratch); }

iu_json_token iu__draft_token(const iu_json *slot) {
  return slot->token == IU_DRAFT_THAWED ? (iu_json_token)thawed_of(slot)->token : (iu_json_token)slot->token;
}

uint32_t iu__draft_count(const iu_json *slot) { return slot->token == IU_DRAFT_THAWED ? thawed_of(slot)->count : slot->len; }

/* Bytes that a tree takes, roughly; ends early past `limit`. */
static size_t memory_of(const iu_json *v, size_t limit) {
  size_t bytes = v->token == IU_J_STRING || v->token == IU_J_BIGINT ? v->len : 0;
  uint32_t i;

  if (!iu__tree_is_container(v)) return bytes;
  bytes = v->len * (v->token == IU_J_ARRAY ? sizeof(iu_json) : sizeof(iu_json_member));
  for (i = 0; i < v->len && bytes < limit; i++)
    bytes += memory_of(v->token == IU_J_ARRAY ? &v->u.elements[i] : &v->u.members[i].value, limit - bytes);
  return bytes;
}

static void drop(iu_draft *d, const iu_json *slot) {
  if (d->dropped < d->drop_limit) d->dropped += memory_of(slot, d->drop_limit - d->dropped);
}

void iu__draft_set(iu_draft *d, iu_json *slot, const iu_json *value) {
  drop(d, slot);
  *slot = *value;
}

/* ---- arrays ---- */

static thawed *thaw(iu_draft *d, iu_json *slot) {
  thawed *t = iu__arena_zero(&d->scratch, 1, sizeof *t);

  if (t == NULL) return NULL;
  t->token = slot->token;
  t->count = slot->len;
  t->from = *slot;
  return t;
}

static void set_thawed(iu_json *slot, thawed *t) {
  memset(slot, 0, sizeof *slot);
  slot->token = IU_DRAFT_THAWED;
  slot->u.s = (const char *)t;
}

static thawed *thaw_array(iu_draft *d, iu_json *slot) {
  thawed *t;
  uint32_t i, chunks;

  if (slot->token == IU_DRAFT_THAWED) return thawed_of(slot);
  t = thaw(d, slot);
  if (t == NULL) return NULL;
  chunks = t->count / CHUNK_FILL + 1;
  t->chunks = iu__arena_alloc(&d->scratch, chunks * sizeof *t->chunks);
  if (t->chunks == NULL) return NULL;
  t->chunk_count = t->chunk_room = chunks;
  for (i = 0; i < chunks; i++) {
    uint32_t rest = t->count - i * CHUNK_FILL;
    t->chunks[i] = (chunk){t->count > 0 ? t->from.u.elements + (size_t)i * CHUNK_FILL : NULL, rest < CHUNK_FILL ? rest : CHUNK_FILL, 0};
  }
  set_thawed(slot, t);
  return t;
}

/* The chunk that holds `index`, or ends at it (`behind`: for inserting); *at: the place in it. */
static chunk *find_chunk(thawed *t, uint32_t index, bool behind, uint32_t *at) {
  uint32_t i = t->last, start = t->last_start;

  while (index < start) start -= t->chunks[--i].count;
  while (index - start > t->chunks[i].count || (!behind && index - start == t->chunks[i].count)) start += t->chunks[i++].count;
  t->last = i;
  t->last_start = start;
  *at = index - start;
  return &t->chunks[i];
}

/* Makes the chunk a copy with room for `room` elements. */
static bool own(iu_draft *d, chunk *c, uint32_t room) {
  iu_json *e;

  if (c->room >= room && c->room > 0) return true;
  e = iu__arena_alloc(&d->scratch, room * sizeof *e);
  if (e == NULL) return false;
  if (c->count > 0) memcpy(e, c->e, c->count * sizeof *e);
  c->e = e;
  c->room = room;
  return true;
}

static bool split(iu_draft *d, thawed *t, uint32_t i) {
  chunk half = {NULL, 0, 0}, *chunks = t->chunks;
  uint32_t keep = chunks[i].count / 2;

  if (t->chunk_count == t->chunk_room) {
    chunks = iu__arena_alloc(&d->scratch, (size_t)t->chunk_room * 2 * sizeof *chunks);
    if (chunks == NULL) return false;
    memcpy(chunks, t->chunks, t->chunk_count * sizeof *chunks);
    t->chunks = chunks;
    t->chunk_room *= 2;
  }
  half.e = chunks[i].e + keep;
  half.count = chunks[i].count - keep;
  if (!own(d, &half, CHUNK_MAX)) return false;
  chunks[i].count = keep;
  memmove(chunks + i + 2, chunks + i + 1, (t->chunk_count - i - 1) * sizeof *chunks);
  chunks[i + 1] = half;
  t->chunk_count++;
  return true;
}

iu_json *iu__draft_element(iu_draft *d, iu_json *array, uint32_t index) {
  thawed *t = thaw_array(d, array);
  uint32_t at;
  chunk *c = t != NULL ? find_chunk(t, index, false, &at) : NULL;

  return c != NULL && own(d, c, c->count) ? &c->e[at] : NULL;
}

bool iu__draft_insert(iu_draft *d, iu_json *array, uint32_t index, const iu_json *value) {
  thawed *t = thaw_array(d, array);
  uint32_t at;
  chunk *c;

  if (t == NULL || t->count == UINT32_MAX) return false;
  c = find_chunk(t, index, true, &at);
  if (c->count >= CHUNK_MAX) {
    if (!split(d, t, t->last)) return false;
    c = find_chunk(t, index, true, &at);
  }
  if (c->count >= c->room && !own(d, c, c->count < 4 ? 8 : c->count * 2 < CHUNK_MAX ? c->count * 2 : CHUNK_MAX)) return false;
  memmove(c->e + at + 1, c->e + at, (c->count - at) * sizeof *c->e);
  c->e[at] = *value;
  c->count++;
  t->count++;
  return true;
}

bool iu__draft_remove(iu_draft *d, iu_json *array, uint32_t index) {
  thawed *t = thaw_array(d, array);
  uint32_t at;
  chunk *c = t != NULL ? find_chunk(t, index, false, &at) : NULL;

  if (c == NULL || !own(d, c, c->count)) return false;
  drop(d, &c->e[at]);
  c->count--;
  t->count--;
  memmove(c->e + at, c->e + at + 1, (c->count - at) * sizeof *c->e);
  return true;
}

/* ---- objects ---- */

static thawed *thaw_object(iu_draft *d, iu_json *slot) {
  thawed *t;

  if (slot->token == IU_DRAFT_THAWED) return thawed_of(slot);
  t = thaw(d, slot);
  if (t == NULL) return NULL;
  t->slots = t->count;
  t->room = t->count;
  t->members = iu__json_members_new(d->arena, t->room);
  if (t->members == NULL) return NULL;
  if (t->count > 0) memcpy(t->members, t->from.u.members, t->count * sizeof *t->members);
  set_thawed(slot, t);
  return t;
}

static bool has_key(const iu_json_member *m, const char *key, size_t len) {
  return m->key != NULL && m->key_len == len && (len == 0 || memcmp(m->key, key, len) == 0);
}

static uint32_t table_start(const thawed *t, const char *key, size_t len) { return (uint32_t)iu__hash64(key, len) & (t->table_size - 1); }

static void table_add(thawed *t, uint32_t position) {
  uint32_t at = table_start(t, t->members[position].key, t->members[position].key_len);

  while (t->table[at] != 0) at = (at + 1) & (t->table_size - 1);
  t->table[at] = position + 1;
}

/* Room for one more added member in the table, which there is from ADDED_LINEAR_MAX on. */
static bool table_grow(iu_draft *d, thawed *t) {
  uint32_t added = t->slots - t->from.len, i;

  if (added < ADDED_LINEAR_MAX || added < t->table_size / 2) return true;
  t->table_size = t->table_size == 0 ? ADDED_LINEAR_MAX * 4 : t->table_size * 2;
  t->table = iu__arena_zero(&d->scratch, t->table_size, sizeof *t->table);
  if (t->table == NULL) return false;
  for (i = t->from.len; i < t->slots; i++)
    if (t->members[i].key != NULL) table_add(t, i);
  return true;
}

static iu_json_member *find_member(const thawed *t, const char *key, size_t len) {
  const iu_json *old = iu__json_get(&t->from, key, len);
  uint32_t i;

  if (old != NULL) {
    iu_json_member *m = &t->members[iu__tree_member_of(&t->from, old)];
    if (m->key != NULL) return m;
  }
  if (t->table_size == 0) {
    for (i = t->from.len; i < t->slots; i++)
      if (has_key(&t->members[i], key, len)) return &t->members[i];
    return NULL;
  }
  for (i = table_start(t, key, len); t->table[i] != 0; i = (i + 1) & (t->table_size - 1))
    if (has_key(&t->members[t->table[i] - 1], key, len)) return &t->members[t->table[i] - 1];
  return NULL;
}

static iu_json_member *add_member(iu_draft *d, thawed *t, const char *key, size_t len) {
  iu_json_member *m;
  char *copy = iu__arena_strndup(d->arena, key, len);

  if (copy == NULL || t->slots == UINT32_MAX) return NULL;
  if (t->slots == t->room) {
    uint32_t room = t->room < 4 ? 4 : t->room < UINT32_MAX / 2 ? t->room + t->room / 2 : UINT32_MAX;
    iu_json_member *larger = iu__json_members_new(d->arena, room);
    if (larger == NULL) return NULL;
    memcpy(larger, t->members, t->slots * sizeof *larger);
    t->members = larger;
    t->room = room;
  }
  if (!table_grow(d, t)) return NULL;
  m = &t->members[t->slots];
  memset(m, 0, sizeof *m);
  m->key = copy;
  m->key_len = (uint32_t)len;
  m->value.token = IU_J_NULL;
  if (t->table_size > 0) table_add(t, t->slots);
  t->slots++;
  t->count++;
  t->keys_changed = true;
  return m;
}

bool iu__draft_member(iu_draft *d, iu_json *object, const char *key, size_t len, bool make, iu_json **slot) {
  thawed *t = thaw_object(d, object);
  iu_json_member *m = t != NULL ? find_member(t, key, len) : NULL;

  *slot = m != NULL ? &m->value : NULL;
  if (t == NULL || m != NULL || !make) return t != NULL;
  m = add_member(d, t, key, len);
  if (m != NULL) *slot = &m->value;
  return m != NULL;
}

bool iu__draft_delete(iu_draft *d, iu_json *object, const char *key, size_t len, bool *found) {
  thawed *t = thaw_object(d, object);
  iu_json_member *m = t != NULL ? find_member(t, key, len) : NULL;

  *found = m != NULL;
  if (m == NULL) return t != NULL;
  drop(d, &m->value);
  m->key = NULL;
  t->count--;
  t->keys_changed = true;
  return true;
}
