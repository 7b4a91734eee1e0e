/* keymap.c: see keymap.h. */
#include "keymap.h"

#include "../base/alloc.h"
#include "../base/hash.h"

#define SLOTS_MIN 16u
#define COMBINE UINT64_C(0x9e3779b97f4a7c15)

void iu__keymap_init(iu_keymap *m, const iu_key *key) {
  memset(m, 0, sizeof *m);
  m->key = key;
}

void iu__keymap_free(iu_keymap *m) {
  iu__free(m->rows);
  iu__keymap_init(m, m->key);
}

uint64_t iu__keymap_bytes(const iu_keymap *m) {
  return m->rows == NULL ? 0 : (uint64_t)m->slots * (sizeof *m->rows + sizeof *m->tags);
}

/* Tags and homes ascend together: a map is made larger, or built from sorted tags, in one walk over its memory. */
static uint32_t home(const iu_keymap *m, uint32_t tag) { return (uint32_t)((uint64_t)tag * m->slots >> 32); }
static uint32_t after(const iu_keymap *m, uint32_t at) { return ++at < m->slots ? at : 0; }
static uint32_t distance(const iu_keymap *m, uint32_t from, uint32_t to) { return to >= from ? to - from : to + (m->slots - from); }

static uint32_t tag_of(uint64_t hash) {
  uint32_t tag = (uint32_t)(hash ^ hash >> 32);
  return tag != 0 ? tag : 1;
}

static uint64_t combine(uint64_t hash, iu_slice v) { return (hash ^ iu__hash64(v.p, v.len)) * COMBINE; }

static uint32_t tag_of_data(const iu_key *k, const uint8_t *data, size_t len) {
  iu_walk w = iu__walk(k->layout, data, len);
  uint64_t hash = 0;
  uint32_t i;

  if (k->whole) return tag_of(iu__hash64(data, len));
  if (k->index_columns == 1) {
    iu_slice v = iu__walk_to(&w, k->columns[0]);
    return tag_of(iu__hash64(v.p, v.len));
  }
  for (i = 0; i < k->index_columns; i++) hash = combine(hash, iu__walk_to(&w, k->columns[i]));
  return tag_of(hash);
}

static uint32_t tag_of_row(const iu_key *k, const iu_row *row) { return tag_of_data(k, row->data, row->len); }

/* false: the bytes are no such key. */
static bool tag_of_key(const iu_key *k, const uint8_t *bytes, size_t len, uint32_t *tag) {
  const uint8_t *p = bytes, *end = bytes + len;
  uint64_t hash = 0;
  uint32_t i;

  if (k->whole || k->index_columns == 1) {
    *tag = tag_of(iu__hash64(bytes, len));
    return true;
  }
  for (i = 0; i < k->index_columns; i++) {
    iu_slice v = {p, 0};
    p = iu__column_skip(&k->layout->columns[k->columns[i]], p, end);
    if (p == NULL) return false;
    v.len = (size_t)(p - v.p);
    hash = combine(hash, v);
  }
  *tag = tag_of(hash);
  return p == end;
}

static bool same_bytes(const void *a, const void *b, size_t len) { return len == 0 || memcmp(a, b, len) == 0; }

static bool row_has_key(const iu_key *k, const iu_row *row, const uint8_t *bytes, size_t len) {
  iu_walk w = iu__walk(k->layout, row->data, row->len);
  uint32_t i;

  if (k->whole) return row->len == len && same_bytes(row->data, bytes, len);
  for (i = 0; i < k->index_columns; i++) {
    iu_slice v = iu__walk_to(&w, k->columns[i]);
    if (len < v.len || !same_bytes(v.p, bytes, v.len)) return false;
    bytes += v.len;
    len -= v.len;
  }
  return len == 0;
}

static bool rows_share_key(const iu_key *k, const iu_row *a, const iu_row *b) {
  iu_walk wa = iu__walk(k->layout, a->data, a->len), wb = iu__walk(k->layout, b->data, b->len);
  uint32_t i;

  if (k->whole) return a->len == b->len && same_bytes(a->data, b->data, a->len);
  for (i = 0; i < k->index_columns; i++) {
    iu_slice va = iu__walk_to(&wa, k->columns[i]), vb = iu__walk_to(&wb, k->columns[i]);
    if (va.len != vb.len || !same_bytes(va.p, vb.p, va.len)) return false;
  }
  return true;
}

static bool make_slots(iu_keymap *m, uint64_t slots) {
  m->rows = iu__alloc((size_t)slots * (sizeof *m->rows + sizeof *m->tags));
  if (m->rows == NULL) return false;
  m->tags = (uint32_t *)(void *)(m->rows + slots);
  m->slots = (uint32_t)slots;
  memset(m->tags, 0, (size_t)slots * sizeof *m->tags);
  return true;
}

static void put_new(iu_keymap *m, uint32_t tag, iu_row *row) {
  uint32_t at = home(m, tag);

  while (m->tags[at] != 0) at = after(m, at);
  m->tags[at] = tag;
  m->rows[at] = row;
}

static bool resize(iu_keymap *m, uint64_t slots) {
  iu_keymap other = *m;
  uint32_t i;

  if (!make_slots(&other, slots)) return false;
  for (i = 0; i < m->slots; i++)
    if (m->tags[i] != 0) put_new(&other, m->tags[i], m->rows[i]);
  iu__free(m->rows);
  *m = other;
  return true;
}

bool iu__keymap_reserve(iu_keymap *m) {
  uint64_t slots = m->slots;

  if (((uint64_t)m->used + 1) * 4 <= slots * 3) return true;
  if (m->used >= IU_KEYMAP_ROWS_MAX) return false;
  return resize(m, slots == 0 ? SLOTS_MIN : slots + slots / 2);
}

bool iu__keymap_build(iu_keymap *m, iu_row *const *rows, uint32_t count, iu_sort_entry *room) {
  iu_sort_entry *sorted;
  uint32_t i;

  if (!make_slots(m, SLOTS_MIN + (uint64_t)count * 4 / 3 + count / 16)) return false;
  for (i = 0; i < count; i++) room[i] = (iu_sort_entry){tag_of_row(m->key, rows[i]), rows[i]};
  sorted = iu__sort_numbers(room, room + count, count);
  for (i = 0; i < count; i++) put_new(m, (uint32_t)sorted[i].number, sorted[i].row);
  m->used = count;
  return true;
}

uint32_t iu__keymap_fetch(const iu_keymap *m, const uint8_t *data, size_t len) {
  uint32_t tag = tag_of_data(m->key, data, len), at = home(m, tag);

  __builtin_prefetch(&m->tags[at], 1);
  __builtin_prefetch(&m->rows[at], 1);
  return tag;
}

iu_keyslot iu__keymap_slot(const iu_keymap *m, const iu_row *row) { return iu__keymap_slot_of(m, tag_of_row(m->key, row), row); }

iu_keyslot iu__keymap_slot_of(const iu_keymap *m, uint32_t tag, const iu_row *row) {
  iu_keyslot s = {home(m, tag), tag};

  while (m->tags[s.slot] != 0) {
    if (m->tags[s.slot] == s.tag && rows_share_key(m->key, m->rows[s.slot], row)) break;
    s.slot = after(m, s.slot);
  }
  return s;
}

iu_row *iu__keymap_at(const iu_keymap *m, iu_keyslot s) { return m->tags[s.slot] != 0 ? m->rows[s.slot] : NULL; }

void iu__keymap_put(iu_keymap *m, iu_keyslot s, iu_row *row) {
  if (m->tags[s.slot] == 0) m->used++;
  m->tags[s.slot] = s.tag;
  m->rows[s.slot] = row;
}

/* Entries behind the hole move up unless that would put them before their home. */
static void cut(iu_keymap *m, uint32_t hole) {
  uint32_t at = hole;

  for (;;) {
    at = after(m, at);
    if (m->tags[at] == 0) break;
    if (distance(m, home(m, m->tags[at]), at) < distance(m, hole, at)) continue;
    m->tags[hole] = m->tags[at];
    m->rows[hole] = m->rows[at];
    hole = at;
  }
  m->tags[hole] = 0;
  m->used--;
  if (m->slots >= 2 * SLOTS_MIN && (uint64_t)m->used * 8 < m->slots) (void)resize(m, m->slots / 2); /* without memory it stays large */
}

void iu__keymap_restore(iu_keymap *m, const iu_row *row, iu_row *before) {
  iu_keyslot s = {0, tag_of_row(m->key, row)};

  if (m->slots == 0) return;
  for (s.slot = home(m, s.tag); m->tags[s.slot] != 0; s.slot = after(m, s.slot)) {
    if (m->rows[s.slot] != row) continue;
    if (before != NULL) m->rows[s.slot] = before;
    else cut(m, s.slot);
    return;
  }
}

iu_row *iu__keymap_find(const iu_keymap *m, const void *bytes, size_t len) {
  uint32_t tag, at;

  if (m->rows == NULL || !tag_of_key(m->key, bytes, len, &tag)) return NULL;
  for (at = home(m, tag); m->tags[at] != 0; at = after(m, at))
    if (m->tags[at] == tag && row_has_key(m->key, m->rows[at], bytes, len)) return m->rows[at];
  return NULL;
}
