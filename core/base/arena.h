/* arena.h: many small allocations with one lifetime (a schema, a parsed document). Zero-initialise; iu__arena_free
 * gives all of it back. Pointers are aligned for any type and stay put. NULL on failure. */
#ifndef IU_BASE_ARENA_H
#define IU_BASE_ARENA_H

#include <stddef.h>

typedef struct iu_arena { void *head; size_t used; size_t total; } iu_arena;

void *iu__arena_alloc(iu_arena *a, size_t size);        /* not zeroed */
void *iu__arena_zero(iu_arena *a, size_t count, size_t size);
char *iu__arena_strndup(iu_arena *a, const char *s, size_t len);
void iu__arena_free(iu_arena *a);

#endif
