/* sort.h: puts many rows in order at once, for indexes that are built whole. Private to core/store.
 *
 * An entry is a number and a row: for an order the eight bytes of the key's normal form that follow what all keys share, for a map the tag. Entries are
 * sorted by their numbers, digit by digit, which touches no row; only rows whose numbers are equal and do not say everything are compared.
 */
#ifndef IU_STORE_SORT_H
#define IU_STORE_SORT_H

#include "key.h"

typedef struct iu_sort_entry { uint64_t number; iu_row *row; } iu_sort_entry;

/* By number, stable. `spare` has as many entries; the result is in the one that is returned. */
iu_sort_entry *iu__sort_numbers(iu_sort_entry *entries, iu_sort_entry *spare, size_t count);
/* By the columns of the index; rows that are equal there stay as they come. room: 2 * count entries; the result stands at its beginning, as rows. */
iu_row **iu__sort_rows(const iu_key *key, iu_row *const *rows, size_t count, iu_sort_entry *room);

#endif
