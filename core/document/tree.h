/* tree.h: questions about the trees of core/sats/json.h that versioning asks: equality, 64-bit hashes, size as text, depth.
 *
 * Equality is exact: 1 and 1.0 differ, 0.0 and -0.0 differ, [] and {} differ, null and absent differ, integers of any size digit for digit; the order
 * of an object's members does not matter. All walks recurse once a level: trees are at most IU_JSON_DEPTH_MAX deep.
 */
#ifndef IU_DOCUMENT_TREE_H
#define IU_DOCUMENT_TREE_H

#include <stddef.h>

#include "../sats/json.h"

static inline bool iu__tree_is_container(const iu_json *v) { return v->token == IU_J_ARRAY || v->token == IU_J_OBJECT; }

/* Of two values that are not both arrays or both objects. */
static inline bool iu__tree_scalar_equal(const iu_json *a, const iu_json *b) {
  if (a->token != b->token) return false;
  switch (a->token) {
  case IU_J_INT: return a->u.i == b->u.i;
  case IU_J_DOUBLE: return memcmp(&a->u.d, &b->u.d, sizeof a->u.d) == 0;
  case IU_J_STRING:
  case IU_J_BIGINT: return a->len == b->len && (a->len == 0 || memcmp(a->u.s, b->u.s, a->len) == 0);
  default: return true;
  }
}

static inline bool iu__tree_same_key(const iu_json_member *a, const iu_json_member *b) {
  return a->key_len == b->key_len && (a->key_len == 0 || memcmp(a->key, b->key, a->key_len) == 0);
}

/* The position of the member of `object` whose value this is. */
static inline uint32_t iu__tree_member_of(const iu_json *object, const iu_json *value) {
  return (uint32_t)((const iu_json_member *)(const void *)((const char *)value - offsetof(iu_json_member, value)) - object->u.members);
}

/* The member of `object` with the key of `m`, looked for at position `hint` first; UINT32_MAX: none. */
uint32_t iu__tree_find_member(const iu_json *object, const iu_json_member *m, uint32_t hint);

bool iu__tree_equal(const iu_json *a, const iu_json *b);

/* Where equality ended, for whoever then looks closer at the same pair: of the pair at each depth, how many elements (or members of `a`) from the
 * front have their equal. Facts about immutable trees: an entry that is left from an earlier pair is still true. */
typedef struct iu_tree_trail { struct { const iu_json *a, *b; uint32_t equal; } at[IU_JSON_DEPTH_MAX + 1]; } iu_tree_trail;
bool iu__tree_equal_trail(const iu_json *a, const iu_json *b, iu_tree_trail *trail, uint32_t depth);

/* Equal values have equal hashes; the order of members does not matter. */
uint64_t iu__tree_hash64(const iu_json *v);
/* The hash of an array or object of which the hashes of the values are known is put together by these. */
static inline uint64_t iu__tree_mix(uint64_t h) {
  h ^= h >> 32;
  h *= UINT64_C(0xD6E8FEB86659FD93);
  h ^= h >> 32;
  h *= UINT64_C(0xD6E8FEB86659FD93);
  return h ^ h >> 32;
}
uint64_t iu__tree_scalar_hash64(const iu_json *v);
static inline uint64_t iu__tree_array_hash64(uint64_t so_far, uint64_t element) { return iu__tree_mix(so_far * 3 + element); }
uint64_t iu__tree_member_hash64(const iu_json_member *m, uint64_t value); /* an object's is the sum of its members' */
static inline uint64_t iu__tree_container_hash64(const iu_json *v, uint64_t sum) { return iu__tree_mix(sum ^ ((uint64_t)v->token << 56) ^ v->len); }

/* Bytes of the compact text, exact when at most `limit`; more than limit otherwise (the walk ends early). */
size_t iu__tree_text_size(const iu_json *v, size_t limit);

/* Levels of containers: 0 for a scalar. */
uint32_t iu__tree_depth(const iu_json *v);

#endif
