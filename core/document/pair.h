/* pair.h: elements of two short runs that are nowhere matched: which of one is likely to have become which of the other. */
#ifndef IU_DOCUMENT_PAIR_H
#define IU_DOCUMENT_PAIR_H

#include "../sats/json.h"

#define IU_PAIR_NONE UINT32_MAX
#define IU_PAIR_CELLS_MAX 4096 /* n * m up to which all ways are weighed; above, the first goes with the first and so on */

/* partner[j]: the position in `a` of what b[j] is paired with, or IU_PAIR_NONE; ascending. free_a, free_b: which may be paired at all. false: no memory. */
bool iu__pair_up(const iu_json *a, uint32_t n, const iu_json *b, uint32_t m, const bool *free_a, const bool *free_b, uint32_t *partner);

#endif
