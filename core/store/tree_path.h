/* tree_path.h: the way from the root to a leaf, for tree.c and tree_remove.c only. */
#ifndef IU_STORE_TREE_PATH_H
#define IU_STORE_TREE_PATH_H

#include "tree.h"

typedef struct iu_path {
  iu_inner *inner[IU_TREE_HEIGHT_MAX]; /* from the root down */
  uint8_t pos[IU_TREE_HEIGHT_MAX];     /* the child taken */
} iu_path;

/* The leaf where the probe belongs; path may be NULL. The tree is not empty. */
iu_leaf *iu__tree_descend(const iu_tree *t, const iu_probe *p, iu_path *path);

#endif
