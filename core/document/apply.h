/* apply.h: a tree that operations make of another.
 *
 * The new tree shares with the old one and with the operations' values, which must outlive it; what it adds goes into `arena`. Operations from outside are
 * safe: whatever does not fit what it meets is IU_E_VALIDATION: operations[3] set: path "a.b": ...; then nothing is changed. A list is worked off in one
 * pass: many operations on one large container cost about what a copy of it does.
 */
#ifndef IU_DOCUMENT_APPLY_H
#define IU_DOCUMENT_APPLY_H

#include "operations.h"

/* *dropped, which may be NULL: about how many bytes of `root` the new tree no longer has, counted up to drop_limit. */
iu_status iu__apply(const iu_json *root, const iu_operations *ops, iu_arena *arena, size_t drop_limit, size_t *dropped, const iu_json **out, iu_error *err);

#endif
