/* alloc.h: the one allocation entry of the library; iu_set_allocator puts the host's behind it. All return NULL on failure (and on overflow); nothing aborts.
 * Tests make any single allocation fail through errinj.h. */
#ifndef IU_BASE_ALLOC_H
#define IU_BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

void *iu__alloc(size_t size);
void *iu__alloc_zero(size_t count, size_t size);
void *iu__realloc(void *p, size_t size);
void *iu__realloc_array(void *p, size_t count, size_t size);
char *iu__strndup(const char *s, size_t len); /* adds the terminator */
void iu__alloc_seal(void);                    /* from here on the allocator stays */
void iu__free(void *p);                       /* NULL is fine */
/* Blocks of IU_ALLOC_BLOCK bytes, each one huge page where the system has them: what is filled soon costs one fault instead of 512, what is read all over misses
 * the translation cache less. Other allocations of that size and more ask for huge pages for what is whole ones of them. */
#define IU_ALLOC_BLOCK ((size_t)2 << 20)
void *iu__alloc_block(void);
void iu__free_block(void *p);
/* While work goes on in slices no memory is taken in huge pages: where the system has to make one first (or, under a virtual machine, its host) that takes
 * milliseconds at once, which small pages spread. For all threads, and only a hint. */
void iu__alloc_in_slices(bool on);
/* After much memory was freed at once: gives back to the system what the C library would keep. Does nothing where it has no such call, or the host allocates. */
void iu__alloc_trim(void);

#endif
