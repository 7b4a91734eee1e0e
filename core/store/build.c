/* build.c: a tree made whole from rows that are in order: full leaves, then the inner nodes level by level; see tree.h. */
#include "tree.h"

#include "../base/alloc.h"

typedef struct child { void *node; iu_row *first; } child;

static iu_leaf *append_leaf(iu_tree *t) {
  iu_leaf *leaf = iu__alloc(sizeof *leaf);

  if (leaf == NULL) return NULL;
  memset(leaf, 0, offsetof(iu_leaf, node.common));
  leaf->next = NULL;
  leaf->prev = t->last;
  if (t->last != NULL) t->last->next = leaf;
  else t->first = leaf;
  t->last = leaf;
  t->leaves++;
  return leaf;
}

/* Where the next row goes wrong, if it does: `norm` is its normal form, `before` that of the row before it. */
static iu_build compare(const iu_key *k, const iu_row *a, const iu_row *b, const uint8_t *before, const uint8_t *norm) {
  int c = memcmp(before, norm, IU_NORM_SIZE);

  if (c == 0) c = iu__key_compare_columns(k, a, b);
  return c < 0 ? IU_BUILD_DONE : c == 0 ? IU_BUILD_SAME : IU_BUILD_UNSORTED;
}

static iu_build build_leaves(iu_tree *t, iu_row *const *rows, size_t count, size_t *at) {
  uint8_t norms[IU_NODE_SLOTS][IU_NORM_SIZE], before[IU_NORM_SIZE];
  size_t done, i;

  for (done = 0; done < count; done += i) {
    size_t n = count - done < IU_NODE_SLOTS ? count - done : IU_NODE_SLOTS;
    iu_leaf *leaf;
    for (i = 0; i < n; i++) {
      iu_build order = IU_BUILD_DONE;
      iu__key_norm(t->key, rows[done + i], norms[i]);
      *at = done + i;
      if (*at > 0) order = compare(t->key, rows[*at - 1], rows[*at], i > 0 ? norms[i - 1] : before, norms[i]);
      if (order != IU_BUILD_DONE) return order;
    }
    memcpy(before, norms[n - 1], IU_NORM_SIZE);
    leaf = append_leaf(t);
    if (leaf == NULL) return IU_BUILD_NOMEM;
    iu__node_fill(&leaf->node, &rows[done], (unsigned)n, norms);
    leaf->node.last = (uint8_t)(n - 1);
  }
  return IU_BUILD_DONE;
}

static void free_children(const child *list, size_t count, uint32_t height) {
  iu_tree part = {0};
  size_t i;

  for (i = 0; i < count; i++) {
    part.root = list[i].node;
    part.height = height;
    iu__tree_free(&part);
  }
}

static iu_inner *new_inner(const iu_tree *t, const child *list, unsigned n) {
  iu_inner *inner = iu__alloc(sizeof *inner);
  uint8_t norm[IU_NORM_SIZE];
  unsigned i;

  if (inner == NULL) return NULL;
  memset(inner, 0, sizeof *inner);
  inner->node.count = 1;
  inner->child[0] = list[0].node;
  for (i = 1; i < n; i++) {
    iu__key_norm(t->key, list[i].first, norm);
    iu__node_put(&inner->node, 1, i, list[i].first, norm);
    inner->child[i] = list[i].node;
  }
  return inner;
}

/* Puts the nodes of one level under those of the next, in place; false: no memory, all of them are freed. */
static bool raise_level(iu_tree *t, child *list, size_t *count) {
  size_t made = 0, at = 0;

  while (at < *count) {
    unsigned n = *count - at < IU_NODE_SLOTS ? (unsigned)(*count - at) : IU_NODE_SLOTS;
    iu_inner *inner = new_inner(t, &list[at], n);
    if (inner == NULL) {
      free_children(list, made, t->height + 1);
      free_children(&list[at], *count - at, t->height);
      return false;
    }
    list[made++] = (child){inner, list[at].first};
    t->inners++;
    at += n;
  }
  *count = made;
  t->height++;
  return true;
}

static bool build_inners(iu_tree *t, child *list) {
  size_t count = 0;
  iu_leaf *leaf;

  for (leaf = t->first; leaf != NULL; leaf = leaf->next) list[count++] = (child){leaf, leaf->node.row[0]};
  while (count > 1)
    if (!raise_level(t, list, &count)) return false;
  t->root = list[0].node;
  return true;
}

static void free_leaves(iu_tree *t) {
  while (t->first != NULL) {
    iu_leaf *leaf = t->first;
    t->first = leaf->next;
    iu__free(leaf);
  }
  iu__tree_init(t, t->key);
}

iu_build iu__tree_build(iu_tree *t, iu_row *const *rows, size_t count, size_t *at) {
  iu_build built = build_leaves(t, rows, count, at);
  child *list;

  if (built != IU_BUILD_DONE) {
    free_leaves(t);
    return built;
  }
  if (count == 0) return IU_BUILD_DONE;
  list = iu__realloc_array(NULL, (size_t)t->leaves, sizeof *list);
  if (list == NULL) {
    free_leaves(t);
    return IU_BUILD_NOMEM;
  }
  if (!build_inners(t, list)) {
    iu__free(list);
    iu__tree_init(t, t->key);
    return IU_BUILD_NOMEM;
  }
  iu__free(list);
  t->count = count;
  t->version++;
  return IU_BUILD_DONE;
}
