/* alloc.h: the one allocation entry of the library. All return NULL on failure (and on overflow); nothing aborts.
 * Tests make any single allocation fail through errinj.h. */
#ifndef IU_BASE_ALLOC_H
#define IU_BASE_ALLOC_H

#include <stddef.h>

void *iu__alloc(size_t size);
void *iu__alloc_zero(size_t count, size_t size);
void *iu__realloc(void *p, size_t size);
void *iu__realloc_array(void *p, size_t count, size_t size);
char *iu__strndup(const char *s, size_t len); /* adds the terminator */
void iu__free(void *p);                       /* NULL is fine */

#endif
