/* document.h: an immutable JSON value in memory, reference counted, that others are made of by operations.
 *
 * A document made by iu__document_apply shares with its base whatever did not change, and keeps it alive. When what a chain of such documents holds has
 * grown by as much as the value itself takes (at least IU_DOCUMENT_SPARE_MIN), or the chain is IU_DOCUMENT_CHAIN_MAX long, the new one is a
 * copy that needs no base: so any number of applies neither keeps more than about twice the value nor costs more than a constant factor.
 *
 * Not for several threads at once: the count of references is a plain number.
 */
#ifndef IU_DOCUMENT_DOCUMENT_H
#define IU_DOCUMENT_DOCUMENT_H

#include "operations.h"

#define IU_DOCUMENT_CHAIN_MAX 1000
#define IU_DOCUMENT_SPARE_MIN (64 * 1024)

typedef struct iu_document {
  const iu_json *root;
  uint32_t refs, chain;     /* documents below it */
  struct iu_document *base; /* held, or NULL */
  iu_arena arena;
  size_t spare, whole;      /* bytes of the arenas above the lowest of the chain, and dropped on the way; of the lowest's arena */
} iu_document;

/* NULL and *err: bad text or no memory. One reference. */
iu_document *iu__document_parse(const void *text, size_t len, iu_error *err);
static inline iu_document *iu__document_hold(iu_document *d) {
  d->refs++;
  return d;
}
void iu__document_release(iu_document *d); /* NULL is fine */

/* The operations' effect on `node`, which is in `base` (its root, or a part of it). `arena`, which operations and their values lie in, is taken, also on
 * failure. NULL and *err: IU_E_VALIDATION as apply.h says it, or no memory. */
iu_document *iu__document_apply(iu_document *base, const iu_json *node, const iu_operations *ops, iu_arena *arena, iu_error *err);

#endif
