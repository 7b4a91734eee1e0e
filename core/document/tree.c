/* tree.c: see tree.h. */
#include "tree.h"

#include "../base/hash.h"
#include "../base/text.h"

uint32_t iu__tree_find_member(const iu_json *object, const iu_json_member *m, uint32_t hint) {
  const iu_json *value;

  if (hint < object->len && iu__tree_same_key(&object->u.members[hint], m)) return hint;
  value = iu__json_get(object, m->key, m->key_len);
  return value != NULL ? iu__tree_member_of(object, value) : UINT32_MAX;
}

bool iu__tree_equal(const iu_json *a, const iu_json *b) {
  uint32_t i, at = 0;

  if (!iu__tree_is_container(a) || a->token != b->token) return iu__tree_scalar_equal(a, b);
  if (a->len != b->len) return false;
  if (a == b || a->len == 0 || a->u.elements == b->u.elements) return true;
  if (a->token == IU_J_ARRAY) {
    for (i = 0; i < a->len; i++)
      if (!iu__tree_equal(&a->u.elements[i], &b->u.elements[i])) return false;
    return true;
  }
  for (i = 0; i < a->len; i++, at++) {
    at = iu__tree_find_member(b, &a->u.members[i], at);
    if (at == UINT32_MAX || !iu__tree_equal(&a->u.members[i].value, &b->u.members[at].value)) return false;
  }
  return true;
}

bool iu__tree_equal_trail(const iu_json *a, const iu_json *b, iu_tree_trail *trail, uint32_t depth) {
  uint32_t i, at = 0, shorter;

  if (!iu__tree_is_container(a) || a->token != b->token) return iu__tree_scalar_equal(a, b);
  if (a == b || (a->len == b->len && (a->len == 0 || a->u.elements == b->u.elements))) return true;
  shorter = a->len < b->len ? a->len : b->len;
  for (i = 0; i < shorter; i++, at++) {
    if (a->token == IU_J_ARRAY) {
      if (!iu__tree_equal_trail(&a->u.elements[i], &b->u.elements[i], trail, depth + 1)) break;
      continue;
    }
    at = iu__tree_find_member(b, &a->u.members[i], at);
    if (at == UINT32_MAX || !iu__tree_equal_trail(&a->u.members[i].value, &b->u.members[at].value, trail, depth + 1)) break;
  }
  if (i == shorter && a->len == b->len) return true;
  if (depth <= IU_JSON_DEPTH_MAX) {
    trail->at[depth].a = a;
    trail->at[depth].b = b;
    trail->at[depth].equal = i;
  }
  return false;
}

uint64_t iu__tree_scalar_hash64(const iu_json *v) {
  uint64_t bits = 0;

  switch (v->token) {
  case IU_J_INT:
  case IU_J_DOUBLE: memcpy(&bits, &v->u, sizeof bits); break;
  case IU_J_STRING:
  case IU_J_BIGINT: bits = iu__hash64(v->u.s, v->len); break;
  default: break;
  }
  return iu__tree_mix(bits + v->token * UINT64_C(0x9E3779B97F4A7C15));
}

uint64_t iu__tree_member_hash64(const iu_json_member *m, uint64_t value) {
  return iu__tree_mix(iu__hash64(m->key, m->key_len) * 5 + value);
}

uint64_t iu__tree_hash64(const iu_json *v) {
  uint64_t sum = 0;
  uint32_t i;

  if (!iu__tree_is_container(v)) return iu__tree_scalar_hash64(v);
  for (i = 0; i < v->len; i++) {
    if (v->token == IU_J_ARRAY) sum = iu__tree_array_hash64(sum, iu__tree_hash64(&v->u.elements[i]));
    else sum += iu__tree_member_hash64(&v->u.members[i], iu__tree_hash64(&v->u.members[i].value));
  }
  return iu__tree_container_hash64(v, sum);
}

size_t iu__tree_text_size(const iu_json *v, size_t limit) {
  char text[IU_F64_TEXT_MAX];
  size_t size;
  uint32_t i;

  switch (v->token) {
  case IU_J_NULL:
  case IU_J_TRUE: return 4;
  case IU_J_FALSE: return 5;
  case IU_J_INT: return iu__i64_format(v->u.i, text);
  case IU_J_DOUBLE: return iu__f64_format(v->u.d, text);
  case IU_J_BIGINT: return v->len;
  case IU_J_STRING: return iu__json_string_size(v->u.s, v->len);
  default: break;
  }
  size = v->len > 0 ? (size_t)v->len + 1 : 2; /* brackets and commas */
  for (i = 0; i < v->len && size <= limit; i++) {
    const iu_json *child = v->token == IU_J_ARRAY ? &v->u.elements[i] : &v->u.members[i].value;
    if (v->token == IU_J_OBJECT) size += iu__json_string_size(v->u.members[i].key, v->u.members[i].key_len) + 1;
    size += iu__tree_text_size(child, limit > size ? limit - size : 0);
  }
  return size;
}

uint32_t iu__tree_depth(const iu_json *v) {
  uint32_t deepest = 0, i;

  if (!iu__tree_is_container(v)) return 0;
  for (i = 0; i < v->len; i++) {
    uint32_t d = iu__tree_depth(v->token == IU_J_ARRAY ? &v->u.elements[i] : &v->u.members[i].value);
    if (d > deepest) deepest = d;
  }
  return deepest + 1;
}
