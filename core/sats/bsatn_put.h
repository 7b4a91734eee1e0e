/* bsatn_put.h: scalars that come from outside (a script, a host, a text) written as a type wants them. Each appends to `out` and says whether the value
 * fits the type; where it does not, nothing is written and the caller names the place.
 */
#ifndef IU_SATS_BSATN_PUT_H
#define IU_SATS_BSATN_PUT_H

#include "type.h"

/* t: an integer of any size; Timestamp and TimeDuration count as I64. */
bool iu__put_i64(const iu_type *t, int64_t v, iu_buf *out);
bool iu__put_u64(const iu_type *t, uint64_t v, iu_buf *out);
/* Decimal or 0x digits, as iu__wide_parse reads them. */
bool iu__put_digits(const iu_type *t, const char *text, size_t len, iu_buf *out);
/* t: F32 (rounded; a finite value that becomes infinite does not fit) or F64. */
bool iu__put_f64(const iu_type *t, double v, iu_buf *out);
/* t: Identity, ConnectionId or Uuid, as people write them: big-endian hex with or without 0x; a Uuid's dashes. */
bool iu__put_hex(const iu_type *t, const char *text, size_t len, iu_buf *out);
/* Is t an integer? Its size in bytes (0: none), and whether it is signed. */
size_t iu__integer_size(const iu_type *t, bool *is_signed);

#endif
