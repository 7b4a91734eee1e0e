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

/* The character at p, which iu__json_run stopped at; returns its length. */
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

static inline void put_string(iu_buf *b, const char *s, size_t len, bool ascii) {
  const char *p = s, *end;
  uint64_t seen = 0;

  if (len == 0) {
    iu__buf_put(b, "\"\"", 2);
    return;
  }
  end = s + len;
  if (len > SIZE_MAX - 2 || !iu__buf_reserve(b, len + 2)) return;
  iu__buf_put_u8(b, '"');
  while (!b->failed) { /* without memory there is no point in going on */
    const char *run = p;
    p = iu__json_run(p, end, ascii, &seen);
    iu__buf_put(b, run, (size_t)(p - run));
    if (p == end) break;
    p += put_escaped(b, p);
  }
  iu__buf_put_u8(b, '"');
}

void iu__json_put_string(iu_buf *b, const char *s, size_t len) { put_string(b, s, len, false); }
void iu__json_put_string_ascii(iu_buf *b, const char *s, size_t len) { put_string(b, s, len, true); }

void iu__json_put_f64(iu_buf *b, double v) {
  char text[IU_F64_TEXT_MAX];

  if (v - v != 0.0) iu__buf_put(b, "null", 4);
  else iu__buf_put(b, text, iu__f64_format(v, text));
}

void iu__json_put_i64(iu_buf *b, int64_t v) {
  char text[IU_I64_TEXT_MAX + 1];

  iu__buf_put(b, text, iu__i64_format(v, text));
}
