/* tree.h: an ordered index: a B+tree over row pointers. Private to core/store.
 *
 * Each node keeps the bytes that the normal forms of all its keys have in common (up to IU_SKIP_MAX) and, per slot, the eight bytes after them
 * as a big-endian number: searching a node compares numbers, and rows are touched only where those are equal. A slot is 16 bytes; one of an inner node,
 * of which there are few, has the whole normal form besides. Leaves are linked both ways. Appending at the end,
 * and ascending runs in the middle, leave full leaves behind.
 *
 * Rows are borrowed: they must stay as they are until removed. insert may fail for want of memory and then has changed nothing; remove
 * never fails and never allocates. Cost O(log n). Any insert or remove changes `version` and moves rows
 * about; a leaf pointer is good until `freed` changes.
 */
#ifndef IU_STORE_TREE_H
#define IU_STORE_TREE_H

#include "key.h"

#define IU_NODE_SLOTS 64
#define IU_SKIP_MAX (IU_NORM_SIZE - 8)
#define IU_TREE_HEIGHT_MAX 16 /* the root splits only when full: 2^60 rows would not reach it */

typedef struct iu_node {
  uint16_t count;
  uint8_t skip;   /* bytes of `common` in use */
  uint8_t last;   /* leaf: where the last insert went */
  uint8_t run;    /* leaf: how many inserts in a row went right after the one before; saturates */
  uint8_t common[IU_SKIP_MAX];
  uint64_t window[IU_NODE_SLOTS];
  iu_row *row[IU_NODE_SLOTS];
} iu_node;

typedef struct iu_leaf { iu_node node; struct iu_leaf *prev, *next; } iu_leaf;
/* Slot 0 of an inner node has no row; row[i] is the first row under child[i], norm[i] its normal form: on the way down hardly a row is touched. */
typedef struct iu_inner { iu_node node; void *child[IU_NODE_SLOTS]; uint8_t norm[IU_NODE_SLOTS][IU_NORM_SIZE]; } iu_inner;

typedef struct iu_tree {
  const iu_key *key;   /* borrowed */
  void *root;          /* a leaf when height is 0; NULL when empty */
  uint32_t height;     /* inner nodes above a leaf */
  iu_leaf *first, *last;
  uint64_t count, version;
  uint64_t leaves, inners;
  uint64_t freed;      /* leaves that were, ever: while it stays a leaf that was found is still one */
  struct { iu_leaf *leaf; uint64_t freed; } in, out; /* where the last insert and the last remove went: the next one is near, mostly */
} iu_tree;

void iu__tree_init(iu_tree *t, const iu_key *key);
void iu__tree_free(iu_tree *t); /* the nodes, not the rows */
bool iu__tree_insert(iu_tree *t, iu_row *row); /* false: no memory */
/* Where a row that is not in the tree belongs: looked for once, for what is asked before the insertion and for the insertion. Of use while `version` stays. */
typedef struct iu_spot { iu_probe p; iu_leaf *leaf; unsigned pos; uint64_t version; } iu_spot;
void iu__tree_spot(const iu_tree *t, const iu_row *row, iu_spot *spot);
bool iu__tree_insert_at(iu_tree *t, iu_row *row, const iu_spot *spot);
/* The same for a row that takes the place of `old`, which is in the tree: it goes right behind it where their columns are the same. */
bool iu__tree_insert_beside(iu_tree *t, iu_row *row, const iu_row *old);
void iu__tree_remove(iu_tree *t, iu_row *row); /* must be there */
/* The first slot at or after the probe; *leaf NULL when there is none. */
void iu__tree_seek(const iu_tree *t, const iu_probe *p, iu_leaf **leaf, unsigned *pos);
/* Slots at or after `low` and before `high` (NULL: no bound), but not more than `most`: O(log n + most / IU_NODE_SLOTS). */
uint64_t iu__tree_count_between(const iu_tree *t, const iu_probe *low, const iu_probe *high, uint64_t most);
uint64_t iu__tree_bytes(const iu_tree *t);
/* Fills an empty tree with rows, which must ascend; leaves are full. Else nothing is made, and *at is the first row that does not come after the one
 * before it: it has the same key (SAME) or a smaller one (UNSORTED). */
typedef enum iu_build { IU_BUILD_DONE, IU_BUILD_NOMEM, IU_BUILD_SAME, IU_BUILD_UNSORTED } iu_build;
iu_build iu__tree_build(iu_tree *t, iu_row *const *rows, size_t count, size_t *at);

/* node.c: one node. `base` is its first slot with a row: 0 for a leaf, 1 for an inner node. */
unsigned iu__node_lower(const iu_node *n, unsigned base, const iu_probe *p); /* first slot at or after the probe */
unsigned iu__node_upper(const iu_node *n, unsigned base, const iu_probe *p); /* first slot after it */
/* The slot of a row that is in the leaf, without a look at rows; count: it is not. */
unsigned iu__node_find(const iu_node *n, const iu_row *row, const uint8_t norm[IU_NORM_SIZE]);
/* Into a leaf behind all its rows, where that costs no comparison with one of them; false: nothing was done. */
bool iu__node_append(iu_node *n, iu_row *row, const uint8_t norm[IU_NORM_SIZE]);
/* false: the key in this slot is another one than the probe's, which its row need not be asked for. */
bool iu__node_may_equal(const iu_node *n, unsigned slot, const iu_probe *p);
void iu__node_put(iu_node *n, unsigned base, unsigned pos, iu_row *row, const uint8_t norm[IU_NORM_SIZE]);
void iu__node_set(iu_node *n, unsigned base, unsigned pos, iu_row *row, const uint8_t norm[IU_NORM_SIZE]);
void iu__node_cut(iu_node *n, unsigned base, unsigned pos);
/* Slots from `at` on go to the empty node `to`. */
void iu__node_split(iu_node *n, unsigned base, unsigned at, iu_node *to);
/* Whether the probe's place is behind the last row of a leaf, as far as that shows without looking at it. */
bool iu__node_ends_before(const iu_node *n, const iu_probe *p);
/* Whether the probe's place is between the first and the last row of a leaf, as far as that shows without looking at one; false: it does not. */
bool iu__node_encloses(const iu_node *n, const iu_probe *p);
/* Rows in order into the empty leaf n, with their normal forms. */
void iu__node_fill(iu_node *n, iu_row *const *rows, unsigned count, uint8_t norms[][IU_NORM_SIZE]);
/* Lengthens `common` where that is worth touching the rows. */
void iu__node_refit(iu_node *n, unsigned base, const iu_key *key);
/* Appends the slots of `from`; all rows of a leaf are touched. */
void iu__node_join(iu_node *n, unsigned base, const iu_node *from, const iu_key *key);

#endif
