/* json_writer.c: strings and numbers as JSON text (json.h). Failures are the buffer's sticky ones. */
#include "json_internal.h"

#include "../base/text.h"

/* The two-character escape of c, or 0. */
static char short_escape(unsigned char c) {
  switch (c) {
  case '"': return '"';
  case '\\': return '\\';
  case '\b': return 'b';
  case '\t': return 't';
  case '\n': return 'n';
  case '\f': return 'f';
  case '\r': return 'r';
  default: return 0;
  }
}

static void put_unit(iu_buf *b, uint32_t unit) {
  static const char digits[] = "0123456789abcdef";
  char text[6] = {'\\', 'u', digits[unit >> 12 & 15], digits[unit >> 8 & 15], digits[unit >> 4 & 15], digits[unit & 15]};

  iu__buf_put(b, text, sizeof text);
}

static void put_control(iu_buf *b, unsigned char c) {
  char text[2] = {'\\', short_escape(c)};

  if (text[1] != 0) iu__buf_put(b, text, 2);
  else put_unit(b, c);
}

/* The character at p, that may not stand bare; returns its length. */
static size_t put_escaped(iu_buf *b, const char *p) {
  uint32_t c;
  size_t n;

  if ((unsigned char)*p < 0x7F) {
    put_control(b, (unsigned char)*p);
    return 1;
  }
  n = iu__utf8_decode(p, &c);
  if (c >= 0x10000) {
    put_unit(b, 0xD800 + ((c - 0x10000) >> 10));
    put_unit(b, 0xDC00 + ((c - 0x10000) & 0x3FF));
  } else {
    put_unit(b, c);
  }
  return n;
}

#ifdef __SSE2__
/* Which of 16 bytes are not bare, a bit each. */
static inline unsigned special_bits(__m128i bytes, bool ascii) {
  __m128i special = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));

  special = _mm_or_si128(special, _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1F)), bytes));
  if (ascii) special = _mm_or_si128(special, _mm_cmpeq_epi8(_mm_max_epu8(bytes, _mm_set1_epi8(0x7F)), bytes));
  return (unsigned)_mm_movemask_epi8(special);
}

/* Blocks of 16, the last one overlapping the one before. */
static inline size_t copy_long(uint8_t *out, const char *p, size_t n, bool ascii, bool *high) {
  size_t i = 0;

  for (;;) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
    unsigned found = special_bits(bytes, ascii), above = (unsigned)_mm_movemask_epi8(bytes);
    _mm_storeu_si128((__m128i *)(void *)(out + i), bytes);
    *high |= above != 0;
    if (found != 0) return i + (size_t)__builtin_ctz(found);
    i += 16;
    if (i >= n) return n;
    if (n - i < 16) i = n - 16;
  }
}
#endif

/* Copies to `out` the bare characters that [p, p + n) begins with and returns their count; behind them it may write up to n. *high: whether one
 * of the bytes is above 0x7f, for sure where none is. */
static inline size_t copy_bare(uint8_t *out, const char *p, size_t n, bool ascii, bool *high) {
  size_t i;

#ifdef __SSE2__
  if (n >= 16) return copy_long(out, p, n, ascii, high);
#endif
  for (i = 0; n - i >= 4;) {
    uint64_t word;
    if (n - i >= 8) {
      memcpy(&word, p + i, 8);
      memcpy(out + i, &word, 8);
      *high |= (word & IU__JSON_EVERY_BYTE(0x80)) != 0;
      if (iu__json_special(word, ascii) != 0) break;
      i += 8;
    } else {
      uint32_t first, last;
      memcpy(&first, p + i, 4);
      memcpy(&last, p + n - 4, 4);
      word = first | (uint64_t)last << 32;
      if (iu__json_special(word, ascii) != 0) break;
      *high |= (word & IU__JSON_EVERY_BYTE(0x80)) != 0;
      memcpy(out + i, &first, 4);
      memcpy(out + n - 4, &last, 4);
      return n;
    }
  }
  for (; i < n; i++) {
    unsigned char c = (unsigned char)p[i];
    if (c < 0x20 || c == '"' || c == '\\' || (ascii && c >= 0x7F)) break;
    out[i] = c;
    *high |= c >= 0x80;
  }
  return i;
}

/* The string and what stands around it. Returns whether a byte above 0x7f was seen. */
static inline bool put_string(iu_buf *b, const char *p, size_t n, bool ascii, char before, char after) {
  bool high = false;

  if (b->failed || b->cap - b->len < n + 4) {
    if (n > SIZE_MAX - 4 || !iu__buf_reserve(b, n + 4)) return true;
  }
  if (before != 0) b->data[b->len++] = (uint8_t)before;
  b->data[b->len++] = '"';
  for (;;) {
    size_t bare = copy_bare(b->data + b->len, p, n, ascii, &high);
    b->len += bare;
    p += bare;
    n -= bare;
    if (n == 0) break;
    do {
      size_t len;
      if ((unsigned char)*p >= 0x80) high = true;
      len = put_escaped(b, p);
      p += len;
      n -= len;
    } while (ascii && n > 0 && (unsigned char)*p >= 0x80);
    if (!iu__buf_reserve(b, n + 2)) return high; /* without memory there is no point in going on */
  }
  b->data[b->len++] = '"';
  if (after != 0) b->data[b->len++] = (uint8_t)after;
  return high;
}

void iu__json_put_string(iu_buf *b, const char *s, size_t len) { (void)put_string(b, s, len, false, 0, 0); }
void iu__json_put_string_ascii(iu_buf *b, const char *s, size_t len) { (void)put_string(b, s, len, true, 0, 0); }

size_t iu__json_put_text(iu_buf *b, char before, const char *s, size_t len, char after) {
  return put_string(b, s, len, false, before, after) ? iu__utf8_check(s, len) : len;
}

void iu__json_put_f64(iu_buf *b, double v) {
  if (v - v != 0.0) iu__buf_put(b, "null", 4);
  else if (iu__buf_reserve(b, IU_F64_TEXT_MAX)) b->len += iu__f64_format(v, (char *)b->data + b->len);
}

void iu__json_put_i64(iu_buf *b, int64_t v) {
  if (iu__buf_reserve(b, IU_I64_TEXT_MAX + 1)) b->len += iu__i64_format(v, (char *)b->data + b->len);
}
