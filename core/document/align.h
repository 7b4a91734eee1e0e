/* align.h: which elements of two sequences belong together, known by 64-bit symbols: a common subsequence, long where that is cheap to find.
 *
 * Equal ends are matched first. Symbols that occur once on both sides are anchors: the longest increasing run of them is kept. Between anchors a bounded
 * greedy search for the shortest edit (Myers) runs over the elements whose symbol the other side has at all; where it needs more than IU_ALIGN_EDITS
 * edits, what it reached by then is taken and it goes on from there. So the time is O(n log n + n * IU_ALIGN_EDITS), whatever the input.
 */
#ifndef IU_DOCUMENT_ALIGN_H
#define IU_DOCUMENT_ALIGN_H

#include <stdbool.h>
#include <stdint.h>

#define IU_ALIGN_EDITS 256
#define IU_ALIGN_NONE UINT32_MAX

/* match[j]: the position in `a` that b[j] is matched with, or IU_ALIGN_NONE; ascending. Borrowed arrays, n and m below 2^31. false: no memory. */
bool iu__align(const uint64_t *a, uint32_t n, const uint64_t *b, uint32_t m, uint32_t *match);

/* Whether no symbol occurs twice: *unique. false: no memory. */
bool iu__align_unique(const uint64_t *symbols, uint32_t count, bool *unique);

/* lone[i] for a[i], then lone[n + j] for b[j]: whether its symbol is not on the other side. false: no memory. */
bool iu__align_lone(const uint64_t *a, uint32_t n, const uint64_t *b, uint32_t m, bool *lone);

#endif
