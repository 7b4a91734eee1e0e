/* json_string.c: strings of the JSON reader. A string without escapes is given as it lies in the text; another is decoded into
 * the reader's scratch. UTF-8 is checked run by run, and only where a byte above 0x7f was seen. */
#include "json_reader.h"

#include "../base/text.h"

/* The end of the run of bare characters at p, or NULL after a failure. */
static const char *read_run(iu_json_reader *r, const char *p) {
  bool ascii;
  const char *end = iu__json_bare(p, r->end, &ascii);
  size_t len = (size_t)(end - p);

  if (!ascii) {
    size_t good = iu__utf8_check(p, len);
    if (good < len) {
      iu__json_reader_fail(r, p + good, "expected UTF-8");
      return NULL;
    }
  }
  if (end == r->end) {
    iu__json_reader_fail(r, end, "expected the string's closing quote");
    return NULL;
  }
  if ((unsigned char)*end < 0x20) {
    iu__json_reader_fail(r, end, "a control character must be escaped");
    return NULL;
  }
  return end;
}

static int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/* Four hex digits at p, or -1. */
static int32_t read_unit(const iu_json_reader *r, const char *p) {
  int32_t unit = 0;
  int i;

  if (r->end - p < 4) return -1;
  for (i = 0; i < 4; i++) {
    int digit = hex_value(p[i]);
    if (digit < 0) return -1;
    unit = unit << 4 | digit;
  }
  return unit;
}

/* \uXXXX or a pair of them at p (the backslash). Returns what follows, NULL after a failure. */
static const char *read_unicode(iu_json_reader *r, const char *p) {
  int32_t unit = read_unit(r, p + 2), low;
  uint32_t code_point;
  char utf8[4];

  if (unit < 0) {
    iu__json_reader_fail(r, p, "expected \\u and four hex digits");
    return NULL;
  }
  code_point = (uint32_t)unit;
  if (unit >= 0xD800 && unit <= 0xDFFF) {
    low = unit <= 0xDBFF && r->end - p >= 8 && p[6] == '\\' && p[7] == 'u' ? read_unit(r, p + 8) : -1;
    if (low < 0xDC00 || low > 0xDFFF) {
      iu__json_reader_fail(r, p, "a lone surrogate is no character");
      return NULL;
    }
    code_point = 0x10000 + ((uint32_t)(unit - 0xD800) << 10 | (uint32_t)(low - 0xDC00));
    p += 6;
  }
  iu__buf_put(&r->scratch, utf8, iu__utf8_encode(code_point, utf8));
  return p + 6;
}

static const char *read_escape(iu_json_reader *r, const char *p) {
  char c;

  if (r->end - p < 2) {
    iu__json_reader_fail(r, r->end, "expected an escape");
    return NULL;
  }
  switch (p[1]) {
  case '"': case '\\': case '/': c = p[1]; break;
  case 'b': c = '\b'; break;
  case 'f': c = '\f'; break;
  case 'n': c = '\n'; break;
  case 'r': c = '\r'; break;
  case 't': c = '\t'; break;
  case 'u': return read_unicode(r, p);
  default: iu__json_reader_fail(r, p + 1, "no such escape"); return NULL;
  }
  iu__buf_put_u8(&r->scratch, (uint8_t)c);
  return p + 2;
}

static bool read_escaped(iu_json_reader *r, const char *start, const char *p) {
  iu__buf_reset(&r->scratch);
  for (;;) {
    iu__buf_put(&r->scratch, start, (size_t)(p - start));
    if (*p == '"') break;
    start = read_escape(r, p);
    if (start == NULL) return false;
    p = read_run(r, start);
    if (p == NULL) return false;
  }
  if (r->scratch.failed) {
    iu__json_reader_fail(r, p, "");
    return false;
  }
  r->s = r->scratch.len != 0 ? (const char *)r->scratch.data : "";
  r->len = r->scratch.len;
  r->p = p + 1;
  return true;
}

bool iu__json_read_string(iu_json_reader *r) {
  const char *start = r->p + 1;
  const char *end = read_run(r, start);

  if (end == NULL) return false;
  if (*end != '"') return read_escaped(r, start, end);
  r->s = start;
  r->len = (size_t)(end - start);
  r->p = end + 1;
  return true;
}
