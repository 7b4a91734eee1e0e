/* tree_hash_digest.c: from values and the hashes below to a node's hash. README.md, "The tree hash", has what is hashed, byte for byte. */
#include "../base/alloc.h"
#include "../base/hash.h"
#include "tree_hash_internal.h"

bool iu__hash_text(iu_hash_tree *t, const void *bytes, size_t len, uint8_t digest[32]) { return iu__sha256(bytes, len, digest, t->err) == IU_OK; }

static bool hash_scratch(iu_hash_tree *t, uint8_t digest[32]) {
  if (iu__buf_status(&t->scratch, t->err, "a node's text") != IU_OK) return false;
  return iu__hash_text(t, t->scratch.data, t->scratch.len, digest);
}

static void begin(iu_hash_tree *t, char kind, uint32_t count) {
  iu__buf_reset(&t->scratch);
  iu__buf_put_u8(&t->scratch, (uint8_t)kind);
  iu__buf_put_u32(&t->scratch, count);
}

static void put_text(iu_buf *out, char short_kind, char long_kind, const slot *s) {
  bool is_long = s->v.len > LONG_TEXT;
  iu__buf_put_u8(out, (uint8_t)(is_long ? long_kind : short_kind));
  if (is_long) {
    iu__buf_put(out, s->x.digest, 32);
  } else {
    iu__buf_put_u32(out, s->v.len);
    iu__buf_put(out, s->v.u.s, s->v.len);
  }
}

/* What stands for a value in the text of its container; a container's hash is up to date. */
static void put_value(iu_buf *out, const slot *s) {
  uint64_t bits = 0;

  switch (iu__hash_token(s)) {
  case IU_J_TRUE: iu__buf_put_u8(out, 't'); return;
  case IU_J_FALSE: iu__buf_put_u8(out, 'f'); return;
  case IU_J_INT:
  case IU_J_DOUBLE:
    memcpy(&bits, &s->v.u, sizeof bits);
    iu__buf_put_u8(out, s->v.token == IU_J_INT ? 'i' : 'd');
    iu__buf_put_u64(out, bits);
    return;
  case IU_J_STRING: put_text(out, 's', 'S', s); return;
  case IU_J_BIGINT: put_text(out, 'b', 'B', s); return;
  case IU_J_ARRAY:
  case IU_J_OBJECT:
    iu__buf_put_u8(out, iu__hash_token(s) == IU_J_ARRAY ? 'a' : 'o');
    iu__buf_put(out, s->v.token == OPENED ? s->x.node->digest : s->x.digest, 32);
    return;
  default: iu__buf_put_u8(out, 'n'); return;
  }
}

static bool refresh_slot(iu_hash_tree *t, slot *s) { return s->v.token != OPENED || iu__hash_refresh(t, s->x.node); }

/* ---- arrays ---- */

static bool hash_elements(iu_hash_tree *t, char kind, slot *elements, uint32_t count, uint8_t digest[32]) {
  uint32_t i;

  for (i = 0; i < count; i++)
    if (!refresh_slot(t, &elements[i])) return false;
  begin(t, kind, count);
  for (i = 0; i < count; i++) put_value(&t->scratch, &elements[i]);
  return hash_scratch(t, digest);
}

static bool hash_hashes(iu_hash_tree *t, char kind, uint32_t number, const uint8_t *hashes, uint32_t count, uint8_t digest[32]) {
  begin(t, kind, number);
  iu__buf_put(&t->scratch, hashes, (size_t)count * 32);
  return hash_scratch(t, digest);
}

static bool level_room(iu_hash_tree *t, hash_node *n, uint32_t level, uint32_t count) {
  uint8_t *larger;
  uint32_t room = count + count / 2;

  if (n->level_rooms[level] >= count) return true;
  larger = iu__realloc_array(n->levels[level], room, 32);
  if (larger == NULL) {
    iu__fail_nomem(t->err);
    return false;
  }
  n->levels[level] = larger;
  n->level_rooms[level] = room;
  return true;
}

static uint32_t groups_of(uint32_t count) { return count / GROUP + (count % GROUP != 0); }

/* How many levels of hashes an array has. */
static uint32_t height_of(uint32_t count) {
  uint32_t height = 0;

  for (; count > GROUP; height++) count = groups_of(count);
  return height;
}

static bool refresh_array(iu_hash_tree *t, hash_node *n) {
  uint32_t count = groups_of(n->count), above, level = 0, height = height_of(n->count), i;
  uint8_t *stale = n->stale_groups;

  if (n->height != height) memset(stale, 1, count > 0 ? count : 1); /* a level that is new has no hashes yet */
  n->height = 0;
  if (height == 0) return hash_elements(t, 'a', n->elements, n->count, n->digest);
  if (!level_room(t, n, 0, count)) return false;
  for (i = 0; i < count; i++) {
    uint32_t left = n->count - i * GROUP;
    if (stale[i] && !hash_elements(t, 'e', n->elements + (size_t)i * GROUP, left < GROUP ? left : GROUP, n->levels[0] + (size_t)i * 32)) return false;
  }
  for (; count > GROUP; count = above, level++) {
    above = groups_of(count);
    if (!level_room(t, n, level + 1, above)) return false;
    for (i = 0; i < above; i++) { /* the marks of a level take the place of those of the level below, which were read */
      uint32_t left = count - i * GROUP, here = left < GROUP ? left : GROUP;
      bool any = memchr(stale + (size_t)i * GROUP, 1, here) != NULL;
      if (any && !hash_hashes(t, 'h', here, n->levels[level] + (size_t)i * GROUP * 32, here, n->levels[level + 1] + (size_t)i * 32)) return false;
      stale[i] = any;
    }
  }
  memset(stale, 0, groups_of(n->count));
  n->height = height;
  return hash_hashes(t, 'A', n->count, n->levels[level], count, n->digest);
}

/* ---- objects ---- */

static bool refresh_branch(iu_hash_tree *t, branch *b) {
  static const uint8_t nothing[32] = {0};
  uint32_t i;

  if (!b->stale) return true;
  if (b->children != NULL) {
    for (i = 0; i < FANOUT; i++)
      if (b->children[i] != NULL && !refresh_branch(t, b->children[i])) return false;
    begin(t, 'O', b->count);
    for (i = 0; i < FANOUT; i++) iu__buf_put(&t->scratch, b->children[i] != NULL ? b->children[i]->digest : nothing, 32);
  } else {
    for (i = 0; i < b->count; i++)
      if (!refresh_slot(t, &b->entries[i].s)) return false;
    begin(t, 'o', b->count);
    for (i = 0; i < b->count; i++) {
      iu__buf_put_u32(&t->scratch, b->entries[i].key_len);
      iu__buf_put(&t->scratch, b->entries[i].key, b->entries[i].key_len);
      put_value(&t->scratch, &b->entries[i].s);
    }
  }
  if (!hash_scratch(t, b->digest)) return false;
  b->stale = false;
  return true;
}

bool iu__hash_refresh(iu_hash_tree *t, hash_node *n) {
  if (!n->stale) return true;
  if (n->token == IU_J_ARRAY) {
    if (!refresh_array(t, n)) return false;
  } else {
    if (!refresh_branch(t, &n->top)) return false;
    memcpy(n->digest, n->top.digest, 32);
  }
  n->stale = false;
  return true;
}

bool iu__hash_slot_digest(iu_hash_tree *t, slot *s, uint8_t digest[32]) {
  if (!refresh_slot(t, s)) return false;
  if (s->v.token == OPENED || iu__tree_is_container(&s->v)) {
    memcpy(digest, s->v.token == OPENED ? s->x.node->digest : s->x.digest, 32);
    return true;
  }
  iu__buf_reset(&t->scratch);
  put_value(&t->scratch, s);
  return hash_scratch(t, digest);
}
