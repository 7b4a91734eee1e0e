/* json_internal.h: what the json_*.c files share among themselves. */
#ifndef IU_SATS_JSON_INTERNAL_H
#define IU_SATS_JSON_INTERNAL_H

#include "json.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define IU__JSON_EVERY_BYTE(v) (UINT64_C(0x0101010101010101) * (v))

/* Which of eight bytes a JSON string may not hold bare: a quote, a backslash, a control character below 0x20; with `ascii` also 0x7f and above.
 * The top bit of a byte is set in the answer exactly where the first (lowest) of them is; behind it there may be false ones. */
static inline uint64_t iu__json_special(uint64_t word, bool ascii) {
  uint64_t quote = word ^ IU__JSON_EVERY_BYTE('"'), backslash = word ^ IU__JSON_EVERY_BYTE('\\');
  uint64_t hit = ((quote - IU__JSON_EVERY_BYTE(1)) & ~quote) | ((backslash - IU__JSON_EVERY_BYTE(1)) & ~backslash) |
                 ((word - IU__JSON_EVERY_BYTE(0x20)) & ~word);

  if (ascii) hit |= word | (word + IU__JSON_EVERY_BYTE(1));
  return hit & IU__JSON_EVERY_BYTE(0x80);
}

/* The first byte of [p, end) that a string may not hold bare. *ascii: none of the bytes before it is above 0x7f (true may be taken for false). */
static inline const char *iu__json_bare(const char *p, const char *end, bool *ascii) {
  uint64_t seen = 0, word, hit;

#ifdef __SSE2__
  const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), last_control = _mm_set1_epi8(0x1F);
  unsigned high = 0;
  for (; end - p >= 16; p += 16) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i special = _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash));
    unsigned found = (unsigned)_mm_movemask_epi8(_mm_or_si128(special, _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes)));
    unsigned above = (unsigned)_mm_movemask_epi8(bytes);
    if (found != 0) {
      *ascii = (high | (above & (found ^ (found - 1)))) == 0;
      return p + __builtin_ctz(found);
    }
    high |= above;
  }
  if (high != 0) seen = IU__JSON_EVERY_BYTE(0x80);
#endif
  for (; end - p >= 8; p += 8) {
    memcpy(&word, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    seen |= word;
    hit = iu__json_special(word, false);
    if (hit == 0) continue;
    p += __builtin_ctzll(hit) >> 3;
    break;
  }
  for (; p < end; p++) {
    unsigned char c = (unsigned char)*p;
    if (c < 0x20 || c == '"' || c == '\\') break;
    seen |= c;
  }
  *ascii = (seen & IU__JSON_EVERY_BYTE(0x80)) == 0;
  return p;
}

static inline int iu__json_key_compare(const iu_json_member *a, const char *key, size_t len) {
  size_t shorter = a->key_len < len ? a->key_len : len;
  int order = shorter != 0 ? memcmp(a->key, key, shorter) : 0; /* UTF-8 sorts as its code points do */
  return order != 0 ? order : a->key_len < len ? -1 : a->key_len > len;
}

/* Fills `order` with the positions 0 ... count - 1 sorted by key, equal keys by position. false: no memory, which up to 64 do not take. */
bool iu__json_sort(const iu_json_member *members, uint32_t count, uint32_t *order);

/* IU_E_VALIDATION or IU_E_NOMEM, whichever ended the reader. */
static inline iu_status iu__json_reader_status(const iu_json_reader *r) {
  return r->scratch.failed ? IU_E_NOMEM : IU_E_VALIDATION;
}

#endif
