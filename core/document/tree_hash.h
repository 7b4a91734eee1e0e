/* tree_hash.h: a hash of a value that follows its changes at the cost of the changes (README.md, "The tree hash").
 *
 * SHA-256 over a tree of nodes; a function of the value alone, exact as tree.h's equality is, the order of an object's members does not matter.
 * An iu_hash_tree keeps the hashes of a value's parts, and is changed by operations: each then costs the nodes on its path. Of containers with fewer
 * than IU_HASH_TREE_LIGHT values in them only one hash is kept.
 */
#ifndef IU_DOCUMENT_TREE_HASH_H
#define IU_DOCUMENT_TREE_HASH_H

#include "operations.h"

#define IU_HASH_TREE_LIGHT 256

typedef struct iu_hash_tree iu_hash_tree;

/* Of a tree that is borrowed as long as the hash tree lives. NULL and *err: no memory (or no SHA-256). */
iu_hash_tree *iu__hash_tree_new(const iu_json *root, iu_error *err);
void iu__hash_tree_free(iu_hash_tree *t); /* NULL is fine */

/* Where the operations' values must lie: freed with the hash tree. */
iu_arena *iu__hash_tree_arena(iu_hash_tree *t);
/* set, delete, insert and remove; patch is refused. After a failure (IU_E_VALIDATION: one does not fit) those before the failing one are done. */
iu_status iu__hash_tree_apply(iu_hash_tree *t, const iu_operations *ops, iu_error *err);
/* The hash of the value as it is now. */
iu_status iu__hash_tree_root(iu_hash_tree *t, uint8_t digest[32], iu_error *err);

/* The same of a value at once. */
iu_status iu__tree_hash(const iu_json *v, uint8_t digest[32], iu_error *err);

#endif
