/* json_internal.h: what the json_*.c files share among themselves. */
#ifndef IU_SATS_JSON_INTERNAL_H
#define IU_SATS_JSON_INTERNAL_H

#include "json.h"

#define IU__JSON_EVERY_BYTE(v) (UINT64_C(0x0101010101010101) * (v))

/* The first byte of [p, end) that a JSON string may not hold bare: a quote, a backslash, a control character below 0x20; with
 * `ascii` also 0x7f and above. *seen collects the bits of all bytes looked at, and perhaps of a few behind, so that a clear 0x80 in each
 * byte proves plain ASCII. Eight bytes a step: a byte's high bit is set in `hit` exactly where the first offender is. */
static inline const char *iu__json_run(const char *p, const char *end, bool ascii, uint64_t *seen) {
  while (end - p >= 8) {
    uint64_t word, quote, backslash, hit;
    memcpy(&word, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    quote = word ^ IU__JSON_EVERY_BYTE('"');
    backslash = word ^ IU__JSON_EVERY_BYTE('\\');
    hit = ((quote - IU__JSON_EVERY_BYTE(1)) & ~quote) | ((backslash - IU__JSON_EVERY_BYTE(1)) & ~backslash) |
          ((word - IU__JSON_EVERY_BYTE(0x20)) & ~word);
    if (ascii) hit |= word | (word + IU__JSON_EVERY_BYTE(1));
    *seen |= word;
    hit &= IU__JSON_EVERY_BYTE(0x80);
    if (hit != 0) return p + (__builtin_ctzll(hit) >> 3);
    p += 8;
  }
  for (; p < end; p++) {
    unsigned char c = (unsigned char)*p;
    if (c < 0x20 || c == '"' || c == '\\' || (ascii && c >= 0x7F)) break;
    *seen |= c;
  }
  return p;
}

static inline int iu__json_key_compare(const iu_json_member *a, const char *key, size_t len) {
  size_t shorter = a->key_len < len ? a->key_len : len;
  int order = shorter != 0 ? memcmp(a->key, key, shorter) : 0; /* UTF-8 sorts as its code points do */
  return order != 0 ? order : a->key_len < len ? -1 : a->key_len > len;
}

/* As iu__json_parse, but strings without escapes point into `text`, which must outlive the tree. */
iu_json *iu__json_parse_borrowed(iu_arena *arena, const char *text, size_t len, iu_error *err);

/* Fills `order` with the positions 0 ... count - 1 sorted by key, equal keys by position. `spare` has room for count. */
void iu__json_sort(const iu_json_member *members, uint32_t count, uint32_t *order, uint32_t *spare);

/* IU_E_VALIDATION or IU_E_NOMEM, whichever ended the reader. */
static inline iu_status iu__json_reader_status(const iu_json_reader *r) {
  return r->scratch.failed ? IU_E_NOMEM : IU_E_VALIDATION;
}

#endif
