/* counts.h: how often rows are held, for those of a replica that are not held exactly once. A row that is not in here counts as one.
 *
 * Open addressing, keyed by the row's address. Adding may fail for want of memory; everything else cannot. An entry's position is of use until
 * the next change. */
#ifndef IU_CLIENT_COUNTS_H
#define IU_CLIENT_COUNTS_H

#include "../store/store.h"

typedef struct iu_row_count { const iu_row *row; uint32_t table, count; } iu_row_count;
typedef struct iu_counts { iu_row_count *entries; uint32_t cap, used; } iu_counts;

void iu__counts_free(iu_counts *c);
/* NULL: the row counts as one. */
iu_row_count *iu__counts_find(const iu_counts *c, const iu_row *row);
bool iu__counts_set(iu_counts *c, uint32_t table, const iu_row *row, uint32_t count);
void iu__counts_remove(iu_counts *c, const iu_row *row);

#endif
