/* tree.c: descent, insertion and seeking; see tree.h. Removal is in tree_remove.c.
 *
 * An insertion finds its way and allocates all nodes it will need before it changes anything.
 */
#include "tree_path.h"

#include <assert.h>

#include "../base/alloc.h"

#define RUN_MIN 4 /* ascending neighbours in a row before a full leaf is cut where the next one goes */

typedef struct spare { void *node[IU_TREE_HEIGHT_MAX + 2]; unsigned count; } spare;

void iu__tree_init(iu_tree *t, const iu_key *key) {
  memset(t, 0, sizeof *t);
  t->key = key;
}

static void free_nodes(void *node, uint32_t height) {
  unsigned i;

  if (height > 0) {
    iu_inner *inner = node;
    for (i = 0; i < inner->node.count; i++) free_nodes(inner->child[i], height - 1);
  }
  iu__free(node);
}

void iu__tree_free(iu_tree *t) {
  if (t->root != NULL) free_nodes(t->root, t->height);
  iu__tree_init(t, t->key);
}

uint64_t iu__tree_bytes(const iu_tree *t) { return t->leaves * sizeof(iu_leaf) + t->inners * sizeof(iu_inner); }

iu_leaf *iu__tree_descend(const iu_tree *t, const iu_probe *p, iu_path *path) {
  void *node = t->root;
  uint32_t level;

  for (level = 0; level < t->height; level++) {
    iu_inner *inner = node;
    unsigned pos = iu__node_upper(&inner->node, 1, p) - 1;
    if (path != NULL) {
      path->inner[level] = inner;
      path->pos[level] = (uint8_t)pos;
    }
    node = inner->child[pos];
  }
  return node;
}

/* The way to the last leaf, without comparing. */
static void path_to_end(const iu_tree *t, iu_path *path) {
  void *node = t->root;
  uint32_t level;

  for (level = 0; level < t->height; level++) {
    iu_inner *inner = node;
    path->inner[level] = inner;
    path->pos[level] = (uint8_t)(inner->node.count - 1);
    node = inner->child[inner->node.count - 1];
  }
}

void iu__tree_seek(const iu_tree *t, const iu_probe *p, iu_leaf **leaf, unsigned *pos) {
  iu_leaf *l = t->root != NULL ? iu__tree_descend(t, p, NULL) : NULL;

  *pos = 0;
  if (l != NULL) {
    *pos = iu__node_lower(&l->node, 0, p);
    if (*pos == l->node.count) {
      l = l->next;
      *pos = 0;
    }
  }
  *leaf = l;
}

uint64_t iu__tree_count_between(const iu_tree *t, const iu_probe *low, const iu_probe *high, uint64_t most) {
  iu_leaf *leaf = t->first;
  unsigned pos = 0, stop;
  uint64_t n = 0;

  if (low != NULL) iu__tree_seek(t, low, &leaf, &pos);
  for (; leaf != NULL && n < most; leaf = leaf->next) {
    stop = high != NULL ? iu__node_lower(&leaf->node, 0, high) : leaf->node.count;
    if (stop > pos) n += stop - pos;
    if (stop < leaf->node.count) break;
    pos = 0;
  }
  return n < most ? n : most;
}

/* ---- insertion ---- */

/* One leaf, one inner node for each full one above it, and a root when all are full. In spare order: leaf first. */
static bool take_spare(const iu_tree *t, const iu_path *path, spare *sp) {
  uint32_t level = t->height, inners = 0, i;

  while (level > 0 && path->inner[level - 1]->node.count == IU_NODE_SLOTS) {
    level--;
    inners++;
  }
  if (level == 0) inners++;
  sp->count = 0;
  for (i = 0; i <= inners; i++) {
    void *node = iu__alloc(i == 0 ? sizeof(iu_leaf) : sizeof(iu_inner));
    if (node == NULL) {
      while (sp->count > 0) iu__free(sp->node[--sp->count]);
      return false;
    }
    sp->node[sp->count++] = node;
  }
  return true;
}

static void note_run(iu_leaf *leaf, unsigned pos) {
  if (pos != leaf->node.last + 1u || leaf->node.count == 0) leaf->node.run = 0;
  else if (leaf->node.run < UINT8_MAX) leaf->node.run++;
  leaf->node.last = (uint8_t)pos;
}

static void put_in_leaf(iu_leaf *leaf, unsigned pos, iu_row *row, const iu_probe *p) {
  note_run(leaf, pos);
  iu__node_put(&leaf->node, 0, pos, row, p->norm);
}

/* Where a full leaf is cut: at the insertion point when rows come in ascending order there, else in the middle. */
static unsigned leaf_cut(const iu_leaf *leaf, unsigned pos) {
  if (pos == IU_NODE_SLOTS) return pos;
  if (pos == 0 && leaf->prev == NULL) return 0;
  if (leaf->node.run >= RUN_MIN && pos == leaf->node.last + 1u) return pos;
  return IU_NODE_SLOTS / 2;
}

static iu_leaf *split_leaf(iu_tree *t, iu_leaf *leaf, iu_leaf *right, unsigned pos, iu_row *row, const iu_probe *p) {
  unsigned cut = leaf_cut(leaf, pos);

  memset(right, 0, offsetof(iu_leaf, node.common));
  right->prev = leaf;
  right->next = leaf->next;
  if (leaf->next != NULL) leaf->next->prev = right;
  else t->last = right;
  leaf->next = right;
  iu__node_split(&leaf->node, 0, cut, &right->node);
  if (cut == IU_NODE_SLOTS) put_in_leaf(right, 0, row, p);
  else if (pos <= cut) put_in_leaf(leaf, pos, row, p);
  else put_in_leaf(right, pos - cut, row, p);
  iu__node_refit(&leaf->node, 0, t->key);
  iu__node_refit(&right->node, 0, t->key);
  t->leaves++;
  return right;
}

static void put_child(iu_inner *inner, unsigned pos, void *child, iu_row *first, const uint8_t norm[IU_NORM_SIZE]) {
  memmove(&inner->child[pos + 1], &inner->child[pos], (inner->node.count - pos) * sizeof inner->child[0]);
  iu__node_put(&inner->node, 1, pos, first, norm);
  inner->child[pos] = child;
}

/* Cuts a full inner node and puts the child in one half; *first becomes the first row under the new right half. */
static void split_inner(iu_tree *t, iu_inner *inner, iu_inner *right, unsigned pos, void *child, iu_row **first) {
  unsigned cut = pos == IU_NODE_SLOTS ? pos : IU_NODE_SLOTS / 2;
  uint8_t norm[IU_NORM_SIZE];
  iu_row *up;

  memset(right, 0, offsetof(iu_inner, node.common));
  iu__node_split(&inner->node, 1, cut, &right->node);
  memcpy(right->child, &inner->child[cut], right->node.count * sizeof right->child[0]);
  iu__key_norm(t->key, *first, norm);
  if (cut == IU_NODE_SLOTS) {
    right->node.count = 1;
    right->child[0] = child;
    up = *first;
  } else {
    up = right->node.row[0];
    if (pos <= cut) put_child(inner, pos, child, *first, norm);
    else put_child(right, pos - cut, child, *first, norm);
  }
  right->node.row[0] = NULL;
  right->node.window[0] = 0;
  iu__node_refit(&inner->node, 1, t->key);
  iu__node_refit(&right->node, 1, t->key);
  *first = up;
  t->inners++;
}

static void grow_root(iu_tree *t, iu_inner *root, void *right, iu_row *first) {
  uint8_t norm[IU_NORM_SIZE];

  memset(root, 0, sizeof *root);
  root->node.count = 1;
  root->child[0] = t->root;
  iu__key_norm(t->key, first, norm);
  put_child(root, 1, right, first, norm);
  t->root = root;
  t->height++;
  t->inners++;
  assert(t->height < IU_TREE_HEIGHT_MAX);
}

/* Hangs `child`, whose first row is `first`, right of where the path went. */
static void hang(iu_tree *t, const iu_path *path, void *child, iu_row *first, spare *sp) {
  unsigned next = 1;
  uint32_t level = t->height;
  uint8_t norm[IU_NORM_SIZE];

  while (level > 0) {
    iu_inner *inner = path->inner[--level];
    unsigned pos = path->pos[level] + 1u;
    if (inner->node.count < IU_NODE_SLOTS) {
      iu__key_norm(t->key, first, norm);
      put_child(inner, pos, child, first, norm);
      return;
    }
    split_inner(t, inner, sp->node[next], pos, child, &first);
    child = sp->node[next++];
  }
  grow_root(t, sp->node[next], child, first);
}

static bool insert_first(iu_tree *t, iu_row *row, const iu_probe *p) {
  iu_leaf *leaf = iu__alloc(sizeof *leaf);

  if (leaf == NULL) return false;
  memset(leaf, 0, offsetof(iu_leaf, node.common));
  leaf->prev = leaf->next = NULL;
  put_in_leaf(leaf, 0, row, p);
  t->root = t->first = t->last = leaf;
  t->leaves = 1;
  return true;
}

static bool insert_in(iu_tree *t, iu_row *row, const iu_spot *spot) {
  const iu_probe *p = &spot->p;
  iu_leaf *leaf = spot->leaf, *right;
  iu_path path;
  spare sp;

  if (spot->pos == leaf->node.count && iu__node_append(&leaf->node, row, p->norm)) {
    note_run(leaf, spot->pos);
    return true;
  }
  t->in.leaf = leaf;
  t->in.freed = t->freed;
  if (leaf->node.count < IU_NODE_SLOTS) {
    put_in_leaf(leaf, spot->pos, row, p);
    return true;
  }
  if (leaf == t->last) path_to_end(t, &path);
  else (void)iu__tree_descend(t, p, &path);
  if (!take_spare(t, &path, &sp)) return false;
  right = split_leaf(t, leaf, sp.node[0], spot->pos, row, p);
  hang(t, &path, right, right->node.row[0], &sp);
  return true;
}

/* Of the spot's probe. */
static void find_spot(const iu_tree *t, iu_spot *spot) {
  spot->version = t->version;
  spot->leaf = t->last;
  spot->pos = 0;
  if (t->root == NULL) return;
  if (iu__node_ends_before(&spot->leaf->node, &spot->p)) {
    spot->pos = spot->leaf->node.count;
    return;
  }
  if (t->in.leaf != NULL && t->in.freed == t->freed && iu__node_encloses(&t->in.leaf->node, &spot->p)) {
    spot->leaf = t->in.leaf;
  } else {
    spot->pos = iu__node_lower(&spot->leaf->node, 0, &spot->p);
    if (spot->pos > 0) return; /* at or after the last leaf's first row: this is the leaf */
    spot->leaf = iu__tree_descend(t, &spot->p, NULL);
  }
  spot->pos = iu__node_lower(&spot->leaf->node, 0, &spot->p);
}

void iu__tree_spot(const iu_tree *t, const iu_row *row, iu_spot *spot) {
  iu__probe_row(&spot->p, t->key, row);
  find_spot(t, spot);
}

bool iu__tree_insert_at(iu_tree *t, iu_row *row, const iu_spot *spot) {
  assert(spot->p.row == row && spot->version == t->version);
  if (t->root == NULL ? !insert_first(t, row, &spot->p) : !insert_in(t, row, spot)) return false;
  t->count++;
  t->version++;
  return true;
}

bool iu__tree_insert(iu_tree *t, iu_row *row) {
  iu_leaf *last = t->last;
  iu_spot spot;

  iu__probe_row(&spot.p, t->key, row);
  if (last == NULL || !iu__node_append(&last->node, row, spot.p.norm)) {
    find_spot(t, &spot);
    return iu__tree_insert_at(t, row, &spot);
  }
  note_run(last, last->node.count - 1u);
  t->count++;
  t->version++;
  return true;
}

static const iu_row *right_of(const iu_leaf *leaf, unsigned pos) {
  if (pos + 1u < leaf->node.count) return leaf->node.row[pos + 1];
  return leaf->next != NULL ? leaf->next->node.row[0] : NULL;
}

/* Versions stand by the epoch they start at: one of this transaction is right behind `old`, which is there since and had no later one, unless that is of this
 * transaction, too, or one that no epoch ever saw is still between. */
bool iu__tree_insert_beside(iu_tree *t, iu_row *row, const iu_row *old) {
  iu_probe p;
  iu_leaf *leaf;
  const iu_row *next;
  unsigned pos;

  if (t->key->ops != NULL || old->from >= row->from || !iu__key_same_bytes(t->key, old, row)) return iu__tree_insert(t, row);
  iu__probe_row(&p, t->key, old);
  if (t->in.leaf != NULL && t->in.freed == t->freed && iu__node_encloses(&t->in.leaf->node, &p)) leaf = t->in.leaf;
  else leaf = iu__tree_descend(t, &p, NULL);
  t->in.leaf = leaf;
  t->in.freed = t->freed;
  pos = iu__node_find(&leaf->node, old, p.norm);
  assert(pos < leaf->node.count);
  next = right_of(leaf, pos);
  if (leaf->node.count == IU_NODE_SLOTS || (next != NULL && next->from >= next->gone)) return iu__tree_insert(t, row);
  put_in_leaf(leaf, pos + 1, row, &p);
  t->count++;
  t->version++;
  return true;
}
