/* tree_hash.c: see tree_hash.h. Operations find their way through a hash tree, opening what they pass. */
#include "tree_hash.h"

#include "../base/alloc.h"
#include "tree_hash_internal.h"

iu_hash_tree *iu__hash_tree_new(const iu_json *root, iu_error *err) {
  iu_hash_tree *t = iu__alloc_zero(1, sizeof *t);
  uint8_t digest[32];

  if (t == NULL) {
    iu__fail_nomem(err);
    return NULL;
  }
  t->err = err;
  t->root.v.token = IU_J_NULL;
  if (iu__hash_slot_fill(t, &t->root, root) && iu__hash_slot_digest(t, &t->root, digest)) return t; /* all hashes are there: the first change costs no more than others */
  iu__hash_tree_free(t);
  return NULL;
}

void iu__hash_tree_free(iu_hash_tree *t) {
  if (t == NULL) return;
  iu__hash_slot_clear(&t->root);
  iu__arena_free(&t->arena);
  iu__buf_free(&t->scratch);
  iu__buf_free(&t->segment);
  iu__free(t);
}

iu_arena *iu__hash_tree_arena(iu_hash_tree *t) { return &t->arena; }

iu_status iu__hash_tree_root(iu_hash_tree *t, uint8_t digest[32], iu_error *err) {
  t->err = err;
  return iu__hash_slot_digest(t, &t->root, digest) ? IU_OK : err->status;
}

iu_status iu__tree_hash(const iu_json *v, uint8_t digest[32], iu_error *err) {
  iu_hash_tree *t = iu__hash_tree_new(v, err);
  iu_status status = t != NULL ? iu__hash_tree_root(t, digest, err) : err->status;

  iu__hash_tree_free(t);
  return status;
}

/* ---- operations ---- */

static iu_status does_not_fit(iu_hash_tree *t, uint32_t i, const char *why) {
  return iu__fail(t->err, IU_E_VALIDATION, "operations[%u]: %s", i, why);
}

static bool is_container(const slot *s) { return iu__hash_token(s) == IU_J_ARRAY || iu__hash_token(s) == IU_J_OBJECT; }

/* The element or member that the segment names, in an opened container; NULL: none. */
static slot *child_of(iu_hash_tree *t, hash_node *n) {
  uint64_t index;

  if (n->token == IU_J_OBJECT) return iu__hash_member(n, (const char *)t->segment.data, t->segment.len);
  index = iu__path_index((const char *)t->segment.data, t->segment.len);
  return index < n->count ? iu__hash_element(n, (uint32_t)index) : NULL;
}

/* To the container that the path ends in (`parent`: that its last segment, then in t->segment, is in), opened. */
static iu_status walk(iu_hash_tree *t, uint32_t i, const iu_operation *op, bool parent, hash_node **out, uint32_t *depth) {
  const char *p = op->path, *end = op->path + op->path_len;
  slot *at = &t->root;

  *out = NULL;
  *depth = 0;
  iu__buf_reset(&t->segment);
  if (!iu__buf_reserve(&t->segment, op->path_len + 1)) return iu__fail_nomem(t->err);
  for (;;) {
    size_t len;
    hash_node *n;
    if (!is_container(at)) return does_not_fit(t, i, "its path leads into a value that has no parts");
    n = iu__hash_slot_open(t, at);
    if (n == NULL) return t->err->status;
    ++*depth;
    *out = n;
    if (p == end) {
      n->stale = true;
      return IU_OK;
    }
    len = iu__path_segment(&p, end, (char *)t->segment.data);
    if (len == SIZE_MAX || (p < end && p + 1 == end)) return does_not_fit(t, i, "its path is none");
    t->segment.len = len;
    if (p < end) p++;
    else if (parent) return IU_OK;
    at = child_of(t, n);
    if (at == NULL) return does_not_fit(t, i, "its path leads where nothing is");
  }
}

static iu_status check_depth(iu_hash_tree *t, uint32_t i, uint32_t depth, const iu_json *value) {
  if (!iu__tree_is_container(value) || depth + iu__tree_depth(value) <= IU_JSON_DEPTH_MAX) return IU_OK;
  return iu__fail(t->err, IU_E_VALIDATION, "operations[%u]: nesting would be deeper than %d", i, IU_JSON_DEPTH_MAX);
}

static iu_status put(iu_hash_tree *t, slot *s, const iu_json *value) {
  slot new_;

  if (!iu__hash_slot_fill(t, &new_, value)) return t->err->status;
  iu__hash_slot_clear(s);
  *s = new_;
  return IU_OK;
}

static iu_status apply_set(iu_hash_tree *t, uint32_t i, const iu_operation *op) {
  hash_node *n;
  uint32_t depth;
  slot *s;
  char *key;
  iu_status status;

  if (op->path_len == 0) return put(t, &t->root, op->value);
  status = walk(t, i, op, true, &n, &depth);
  if (status == IU_OK) status = check_depth(t, i, depth, op->value);
  if (status != IU_OK) return status;
  s = child_of(t, n);
  if (s != NULL) return put(t, s, op->value);
  if (n->token == IU_J_ARRAY) return does_not_fit(t, i, "it sets an element that is not there");
  key = iu__arena_strndup(&t->arena, (const char *)t->segment.data, t->segment.len);
  if (key == NULL) return iu__fail_nomem(t->err);
  return iu__hash_add(t, n, key, t->segment.len, op->value) ? IU_OK : t->err->status;
}

static iu_status apply_delete(iu_hash_tree *t, uint32_t i, const iu_operation *op) {
  hash_node *n;
  uint32_t depth;
  bool found;
  iu_status status = op->path_len > 0 ? walk(t, i, op, true, &n, &depth) : does_not_fit(t, i, "the whole value cannot be deleted");

  if (status != IU_OK) return status;
  if (n->token != IU_J_OBJECT) return does_not_fit(t, i, "it deletes in an array");
  if (!iu__hash_delete(t, n, (const char *)t->segment.data, t->segment.len, &found)) return t->err->status;
  return found ? IU_OK : does_not_fit(t, i, "it deletes a member that is not there");
}

static iu_status apply_in_array(iu_hash_tree *t, uint32_t i, const iu_operation *op) {
  hash_node *n;
  uint32_t depth, index;
  iu_status status = walk(t, i, op, false, &n, &depth);

  if (status != IU_OK) return status;
  if (n->token != IU_J_ARRAY) return does_not_fit(t, i, "its path leads to no array");
  index = op->has_index ? op->index : n->count;
  if (index > n->count || (op->kind == IU_OP_REMOVE && index == n->count)) return does_not_fit(t, i, "its index is past the end");
  if (op->kind == IU_OP_REMOVE) {
    iu__hash_remove(n, index);
    return IU_OK;
  }
  status = check_depth(t, i, depth, op->value);
  if (status != IU_OK) return status;
  return iu__hash_insert(t, n, index, op->value) ? IU_OK : t->err->status;
}

iu_status iu__hash_tree_apply(iu_hash_tree *t, const iu_operations *ops, iu_error *err) {
  iu_status status = IU_OK;
  uint32_t i;

  t->err = err;
  for (i = 0; i < ops->count && status == IU_OK; i++) {
    const iu_operation *op = &ops->list[i];
    switch (op->kind) {
    case IU_OP_SET: status = apply_set(t, i, op); break;
    case IU_OP_DELETE: status = apply_delete(t, i, op); break;
    case IU_OP_INSERT:
    case IU_OP_REMOVE: status = apply_in_array(t, i, op); break;
    default: status = does_not_fit(t, i, "a patch is not taken");
    }
  }
  return status;
}
