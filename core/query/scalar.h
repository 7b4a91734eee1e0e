/* scalar.h: the values SQL can compare: which types they are, and how two of them compare as BSATN bytes.
 *
 * Comparable: bool, every integer, f32, f64, String, bytes, Identity, ConnectionId, Timestamp, Uuid. Options, arrays, other products and sums are not.
 * Floats: -0.0 equals 0.0, NaN equals NaN and is above everything (as on a SpacetimeDB server). The order of an index
 * (iu__bsatn_compare) tells zeros and NaNs apart, so plans keep away from floats where it matters.
 */
#ifndef IU_QUERY_SCALAR_H
#define IU_QUERY_SCALAR_H

#include "../sats/bsatn.h"

typedef enum iu_scalar_class {
  IU_SC_NONE, IU_SC_UNSIGNED, IU_SC_SIGNED, IU_SC_WIDE_UNSIGNED, IU_SC_WIDE_SIGNED, IU_SC_F32, IU_SC_F64, IU_SC_BYTES
} iu_scalar_class;

typedef struct iu_scalar { uint8_t cls; uint8_t size; /* bytes; 0 for IU_SC_BYTES */ } iu_scalar;

/* cls is IU_SC_NONE when values of t cannot be compared. */
iu_scalar iu__scalar_of(const iu_type *t);
/* Both slices hold exactly one value of the class. */
int iu__scalar_compare(iu_scalar s, iu_slice a, iu_slice b);
/* 1, 2, 4 or 8 little-endian bytes. */
uint64_t iu__scalar_u64(const uint8_t *p, size_t size);
int64_t iu__scalar_i64(const uint8_t *p, size_t size);
/* A decimal integer (a sign, digits) as `size` little-endian bytes of an integer class; false when it does not fit. */
bool iu__scalar_from_decimal(iu_scalar s, const char *text, size_t len, uint8_t out[32]);
double iu__scalar_f64(iu_scalar s, const uint8_t *p);
int iu__scalar_compare_f64(double a, double b);

/* Operators as sets of the outcomes they accept: bit 0 less, bit 1 equal, bit 2 greater. */
enum { IU_CMP_LT = 1, IU_CMP_EQ = 2, IU_CMP_LE = 3, IU_CMP_GT = 4, IU_CMP_NE = 5, IU_CMP_GE = 6 };
static inline bool iu__cmp_accepts(uint8_t op, int outcome) { return (op >> ((outcome > 0) - (outcome < 0) + 1) & 1) != 0; }
/* `a op b` as `b op' a`. */
static inline uint8_t iu__cmp_mirror(uint8_t op) { return (uint8_t)((op & 2) | (op >> 2 & 1) | (op << 2 & 4)); }

#endif
