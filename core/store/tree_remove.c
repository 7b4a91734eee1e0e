/* tree_remove.c: removal from the tree; see tree.h. Never allocates, so never fails.
 *
 * Inner nodes name the first row under each child, so a first row that goes is replaced by the next one before it may be freed. A node that
 * falls under a quarter joins a neighbour under the same parent when both fill at most three quarters of one.
 */
#include "tree_path.h"

#include <assert.h>

#include "../base/alloc.h"

#define JOIN_BELOW (IU_NODE_SLOTS / 4)
#define JOIN_MAX (IU_NODE_SLOTS * 3 / 4)

/* The subtree at path[level] (level == height: the leaf) starts with `first` now. */
static void set_first(iu_tree *t, const iu_path *path, uint32_t level, iu_row *first) {
  uint8_t norm[IU_NORM_SIZE];

  while (level > 0) {
    level--;
    if (path->pos[level] == 0) continue;
    iu__key_norm(t->key, first, norm);
    iu__node_set(&path->inner[level]->node, 1, path->pos[level], first, norm);
    return;
  }
}

static void unlink_leaf(iu_tree *t, iu_leaf *leaf) {
  if (leaf->prev != NULL) leaf->prev->next = leaf->next;
  else t->first = leaf->next;
  if (leaf->next != NULL) leaf->next->prev = leaf->prev;
  else t->last = leaf->prev;
  iu__free(leaf);
  t->leaves--;
  t->freed++;
}

/* Child `pos` > 0, already freed or emptied into a neighbour. */
static void cut_child(iu_inner *inner, unsigned pos) {
  memmove(&inner->child[pos], &inner->child[pos + 1], (inner->node.count - pos - 1u) * sizeof inner->child[0]);
  iu__node_cut(&inner->node, 1, pos);
}

static void join_leaves(iu_tree *t, iu_inner *parent, unsigned pos) {
  iu_leaf *left = parent->child[pos], *right = parent->child[pos + 1];

  iu__node_join(&left->node, 0, &right->node, t->key);
  left->node.run = 0;
  unlink_leaf(t, right);
  cut_child(parent, pos + 1);
}

static void join_inners(iu_tree *t, iu_inner *parent, unsigned pos) {
  iu_inner *left = parent->child[pos], *right = parent->child[pos + 1];

  right->node.row[0] = parent->node.row[pos + 1];
  memcpy(right->norm[0], parent->norm[pos + 1], IU_NORM_SIZE);
  memcpy(&left->child[left->node.count], right->child, right->node.count * sizeof left->child[0]);
  iu__node_join(&left->node, 1, &right->node, t->key);
  iu__free(right);
  t->inners--;
  cut_child(parent, pos + 1);
}

static unsigned child_count(const iu_inner *parent, unsigned pos) { return ((const iu_node *)parent->child[pos])->count; }

/* Joins child `pos` with its right or left neighbour if both are small. */
static void join_small(iu_tree *t, iu_inner *parent, unsigned pos, bool leaves) {
  unsigned count = child_count(parent, pos);

  if (count >= JOIN_BELOW) return;
  if (pos + 1u == parent->node.count || count + child_count(parent, pos + 1) > JOIN_MAX) {
    if (pos == 0 || count + child_count(parent, pos - 1) > JOIN_MAX) return;
    pos--;
  }
  if (leaves) join_leaves(t, parent, pos);
  else join_inners(t, parent, pos);
}

/* The child at path[level] is gone: takes it out of its parent, and the parents that are empty then. Returns the level that stays. */
static uint32_t drop_child(iu_tree *t, const iu_path *path, uint32_t level) {
  while (level > 0) {
    iu_inner *inner = path->inner[--level];
    unsigned pos = path->pos[level];
    if (inner->node.count > 1) {
      cut_child(inner, pos);
      if (pos == 0) {
        set_first(t, path, level, inner->node.row[0]);
        inner->node.row[0] = NULL;
      }
      return level;
    }
    iu__free(inner);
    t->inners--;
  }
  t->root = NULL;
  t->height = 0;
  return 0;
}

static void lower_root(iu_tree *t) {
  while (t->height > 0 && ((iu_inner *)t->root)->node.count == 1) {
    iu_inner *old = t->root;
    t->root = old->child[0];
    t->height--;
    t->inners--;
    iu__free(old);
  }
}

/* Where the last one was removed, when neither the first row of the leaf nor its size asks for more than that. */
static bool cut_near(iu_tree *t, const iu_row *row, const iu_probe *p) {
  iu_leaf *leaf = t->out.leaf;
  unsigned pos;

  if (leaf == NULL || t->out.freed != t->freed || leaf->node.count <= JOIN_BELOW || !iu__node_encloses(&leaf->node, p)) return false;
  pos = iu__node_find(&leaf->node, row, p->norm);
  if (pos == 0 || pos == leaf->node.count) return false;
  iu__node_cut(&leaf->node, 0, pos);
  t->count--;
  t->version++;
  return true;
}

void iu__tree_remove(iu_tree *t, iu_row *row) {
  iu_probe p;
  iu_path path;
  iu_leaf *leaf;
  unsigned pos;
  uint32_t height = t->height, level = height;

  iu__probe_row(&p, t->key, row);
  if (cut_near(t, row, &p)) return;
  leaf = iu__tree_descend(t, &p, &path);
  pos = iu__node_find(&leaf->node, row, p.norm);
  assert(pos < leaf->node.count && leaf->node.row[pos] == row);
  iu__node_cut(&leaf->node, 0, pos);
  t->out.leaf = leaf;
  t->out.freed = t->freed; /* no longer so where the leaf goes */
  if (leaf->node.count == 0) {
    unlink_leaf(t, leaf);
    level = drop_child(t, &path, height);
  } else if (pos == 0) {
    set_first(t, &path, height, leaf->node.row[0]);
  }
  for (; level > 0; level--) join_small(t, path.inner[level - 1], path.pos[level - 1], level == height);
  lower_root(t);
  t->count--;
  t->version++;
}
