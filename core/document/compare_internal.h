/* compare_internal.h: what differs, as a tree that follows the compared trees; compare.c makes it, weigh.c chooses how each part is said, emit.c says it. */
#ifndef IU_DOCUMENT_COMPARE_INTERNAL_H
#define IU_DOCUMENT_COMPARE_INTERNAL_H

#include "compare.h"
#include "node_map.h"
#include "tree.h"

typedef enum iu_change_kind {
  IU_CHANGE_SET,    /* to `value` */
  IU_CHANGE_DELETE, /* a member */
  IU_CHANGE_TEXT,   /* a string: to `value`, or by `edits` */
  IU_CHANGE_OBJECT, /* in members: `first` ... */
  IU_CHANGE_ARRAY,  /* in elements: `first` ..., each at its index when those before it are done */
  IU_CHANGE_INSERT, IU_CHANGE_REMOVE /* of an element, in an array's list only */
} iu_change_kind;

/* How a change is said by itself. */
typedef enum iu_change_form {
  IU_FORM_PARTS, /* each part of an object or array by itself; the edits of a text */
  IU_FORM_PATCH, /* of an object: one merge patch, and by themselves the parts it cannot or should not hold */
  IU_FORM_WHOLE  /* the new value */
} iu_change_form;

typedef struct iu_change {
  struct iu_change *next, *first;
  uint8_t kind, form;
  bool merged;         /* is said inside the merge patch of the object around it, if that has one */
  uint32_t index;      /* in an array */
  const char *key;     /* in an object */
  uint32_t key_len;
  const iu_json *value; /* the new value */
  const iu_json *edits; /* of a text */
  size_t apart, inside; /* bytes of JSON text: said by itself; said in a merge patch of the object around it (IU_WEIGHT_NONE: cannot be) */
} iu_change;

#define IU_WEIGHT_NONE (SIZE_MAX / 4)

/* Fills in `apart`, `inside`, `form` and `merged`. false: no memory. */
bool iu__weigh(iu_change *root);

/* Appends the operations of a weighed tree. false: no memory. */
bool iu__emit(const iu_change *root, iu_arena *arena, iu_operations *out);

/* What a comparison carries along. `at`: the path of what is compared, a segment a level. */
typedef struct iu_comparer {
  iu_arena *scratch, *arena; /* changes; what operations will hold */
  const iu_compare_options *options;
  iu_path *patterns; /* of options->keys */
  iu_node_map hashes; /* of large subtrees */
  iu_tree_trail trail;
  struct { const char *key; uint32_t len; uint32_t index; } at[IU_JSON_DEPTH_MAX + 1]; /* key NULL: an index */
  bool failed; /* no memory; what is compared from then on counts as equal */
} iu_comparer;

/* NULL: equal. compare.c */
iu_change *iu__compare_values(iu_comparer *c, const iu_json *a, const iu_json *b, uint32_t depth);
iu_change *iu__change_add(iu_comparer *c, iu_change ***end, uint8_t kind, const iu_json *value); /* behind the list's `end` */
/* The changes of two arrays. compare_array.c */
iu_change *iu__compare_arrays(iu_comparer *c, const iu_json *a, const iu_json *b, uint32_t depth);

/* The edits that make `b` of `a`, as their JSON value; *edits = NULL when they would not be shorter than b. false: no memory. text_edit.c */
bool iu__text_edits(const iu_json *a, const iu_json *b, iu_arena *arena, const iu_json **edits);

#endif
