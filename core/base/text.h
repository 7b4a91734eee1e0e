/* text.h: numbers and text without a C library and without locale, so that core/module compiles it to wasm32 too.
 *
 * Freestanding: includes nothing but stdint/stddef/stdbool, calls nothing outside text*.c (supply memcpy yourself if the
 * compiler asks for it).
 *
 * iu__f64_format prints the shortest digits that read back as the same double, the closest of them to it, in the form
 * of Python's repr: 1.0, 0.1, 1e+16, 1e-07, 1.5e+300, 5e-324, -0.0. The value must be finite.
 * iu__f64_parse reads a JSON number's text, correctly rounded (ties to even); false when the text is no JSON number;
 * overflow gives an infinity, for the caller to refuse.
 */
#ifndef IU_BASE_TEXT_H
#define IU_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IU_F64_TEXT_MAX 32
size_t iu__f64_format(double v, char out[IU_F64_TEXT_MAX]);   /* returns the length; not terminated */
bool iu__f64_parse(const char *text, size_t len, double *out);
/* digits * 10^exponent, correctly rounded, where that takes no big integers; false where it would. For who has read the digits already. */
bool iu__f64_from_decimal(uint64_t digits, int exponent, double *out);
#define IU_I64_TEXT_MAX 20
size_t iu__i64_format(int64_t v, char out[IU_I64_TEXT_MAX + 1]);
size_t iu__u64_format(uint64_t v, char out[IU_I64_TEXT_MAX + 1]);

/* Index of the first byte that is not well-formed UTF-8 (surrogates and overlong forms are not), or len. */
size_t iu__utf8_check(const char *text, size_t len);
/* Decodes one code point from valid UTF-8; returns its length. */
size_t iu__utf8_decode(const char *text, uint32_t *code_point);
size_t iu__utf8_encode(uint32_t code_point, char out[4]);

/* Wide integers, little-endian bytes, two's complement when `is_signed`; size 16 or 32.
 * Decimal text needs at most 80 characters, hex 68 ("-0x" and 64 digits). Returned lengths; not terminated. */
size_t iu__wide_format(const uint8_t *bytes, size_t size, bool is_signed, char out[80]);
size_t iu__wide_format_hex(const uint8_t *bytes, size_t size, bool is_signed, char out[68]);
/* Optional sign, decimal digits or 0x and hex digits. false when it is no integer or does not fit. */
bool iu__wide_parse(const char *text, size_t len, bool is_signed, uint8_t *bytes, size_t size);
int iu__wide_compare(const uint8_t *a, const uint8_t *b, size_t size, bool is_signed);

/* Edit distance (insert, delete, replace, swap of neighbours), for "did you mean"; inputs over 64 bytes count as far. */
size_t iu__edit_distance(const char *a, size_t alen, const char *b, size_t blen);

#endif
