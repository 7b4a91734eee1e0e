/* draft.h: a tree that is being changed while the tree it came from stays as it is.
 *
 * What is changed is thawed: a container on the way to a change gets a record of its own, its elements and members are still those of the old tree. Of a
 * large array only the stretch around a change is copied; an object's members are copied once. iu__draft_freeze makes a tree of it, which
 * shares all that was not thawed with the old one and with the values that were put in.
 *
 * A slot is where a value is: valid until the next change of the container around it. Its token is IU_DRAFT_THAWED when it was thawed.
 * Everything that can fail does so for want of memory only: false or NULL.
 */
#ifndef IU_DOCUMENT_DRAFT_H
#define IU_DOCUMENT_DRAFT_H

#include "tree.h"

#define IU_DRAFT_THAWED IU_J_ERROR

typedef struct iu_draft {
  iu_arena *arena;  /* borrowed: what the new tree gets */
  iu_arena scratch; /* what is needed until then */
  iu_json root;
  size_t dropped, drop_limit; /* bytes of what was replaced and removed, counted up to the limit */
} iu_draft;

void iu__draft_begin(iu_draft *d, const iu_json *root, iu_arena *arena, size_t drop_limit);
const iu_json *iu__draft_freeze(iu_draft *d); /* once */
void iu__draft_end(iu_draft *d);

/* What kind of value is in a slot, thawed or not; elements or members of a container. */
iu_json_token iu__draft_token(const iu_json *slot);
uint32_t iu__draft_count(const iu_json *slot);

/* The slot at an index of the array in `array` (thawed if it was not); index < count. */
iu_json *iu__draft_element(iu_draft *d, iu_json *array, uint32_t index);
bool iu__draft_insert(iu_draft *d, iu_json *array, uint32_t index, const iu_json *value); /* index <= count */
bool iu__draft_remove(iu_draft *d, iu_json *array, uint32_t index);

/* The slot of a member of the object in `object` (thawed if it was not); *slot = NULL: there is none. `make`: then null is added, with a copy of the key. */
bool iu__draft_member(iu_draft *d, iu_json *object, const char *key, size_t len, bool make, iu_json **slot);
/* Whether there was one: *found. */
bool iu__draft_delete(iu_draft *d, iu_json *object, const char *key, size_t len, bool *found);

/* Puts a value, which is shared, into a slot. */
void iu__draft_set(iu_draft *d, iu_json *slot, const iu_json *value);

#endif
