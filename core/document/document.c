/* document.c: see document.h. */
#include "document.h"

#include "../base/alloc.h"

static iu_document *document_new(iu_error *err) {
  iu_document *d = iu__alloc_zero(1, sizeof *d);

  if (d == NULL) iu__fail_nomem(err);
  else d->refs = 1;
  return d;
}

iu_document *iu__document_parse(const void *text, size_t len, iu_error *err) {
  iu_document *d = document_new(err);

  if (d == NULL) return NULL;
  d->root = iu__json_parse(&d->arena, text, len, err);
  d->whole = d->arena.total;
  if (d->root != NULL) return d;
  iu__document_release(d);
  return NULL;
}

void iu__document_release(iu_document *d) {
  while (d != NULL && --d->refs == 0) { /* a loop: chains are long */
    iu_document *base = d->base;
    iu__arena_free(&d->arena);
    iu__free(d);
    d = base;
  }
}
