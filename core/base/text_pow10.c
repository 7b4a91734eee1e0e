/* text_pow10.c: the powers of ten that double printing and parsing share. Freestanding, constant data;
 * the rows are computed when building, by scripts/generate/pow10.lua.
 *
 * Entry k - IU__POW10_MIN holds the first 128 bits of 10^k, cut off (never rounded up), as {high, low}; the top bit is always set:
 * 10^k = entry * 2^(floor(log2(10^k)) - 127), exactly for 0 <= k <= IU__POW10_EXACT and a little more than that elsewhere. */
#include "text_internal.h"

const uint64_t iu__pow10_bits[IU__POW10_MAX - IU__POW10_MIN + 1][2] = {
#include <pow10_rows.h>
};
