/* json_reader.c: the pull reader of json.h: structure, literals, numbers. Strings are in json_string.c.
 *
 * The state says what may come next; open containers are one bit each in `stack`. A key's colon is consumed with the key. After
 * IU_J_ERROR or IU_J_END the reader gives the same token again. Cost: one pass, no allocation but for strings with escapes. */
#include "json_reader.h"

#include "../base/text.h"

#define TEXT_OF_TOKEN(x) #x
#define TEXT_OF(x) TEXT_OF_TOKEN(x)

enum { /* iu_json_reader.state */
  S_VALUE,
  S_FIRST_ELEMENT, /* a value or ']' */
  S_FIRST_KEY,     /* a key or '}' */
  S_AFTER,         /* in a container, behind a value */
  S_DONE,          /* behind the one value */
  S_FAILED
};

void iu__json_reader_init(iu_json_reader *r, const void *text, size_t len, iu_error *err) {
  memset(r, 0, sizeof *r);
  r->base = r->p = r->at = len != 0 ? text : "";
  r->end = r->base + len;
  r->err = err;
  r->state = S_VALUE;
}

void iu__json_reader_free(iu_json_reader *r) { iu__buf_free(&r->scratch); }

iu_json_token iu__json_reader_fail(iu_json_reader *r, const char *at, const char *what) {
  size_t offset = (size_t)(at - r->base);
  char found[4 * 4 + 4];
  size_t n = 1;

  r->state = S_FAILED;
  r->p = at;
  if (r->scratch.failed) {
    iu__fail_nomem(r->err);
    return IU_J_ERROR;
  }
  if (r->err == NULL) return IU_J_ERROR;
  if (at == r->end) {
    iu__fail_at(r->err, IU_E_VALIDATION, offset, "invalid JSON at byte %zu: %s, found the end of the text", offset, what);
    return IU_J_ERROR;
  }
  while (n < 4 && at + n < r->end && ((unsigned char)at[n] & 0xC0) == 0x80) n++; /* a whole character */
  iu__printable(found, n, at, n);
  iu__fail_at(r->err, IU_E_VALIDATION, offset, "invalid JSON at byte %zu: %s, found '%s'", offset, what, found);
  return IU_J_ERROR;
}

static void skip_space(iu_json_reader *r) {
  const char *p = r->p;

  while (p < r->end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) p++;
  r->p = p;
}

static bool in_object(const iu_json_reader *r) {
  uint32_t level = r->depth - 1;
  return (r->stack[level / 8] >> (level % 8) & 1) != 0;
}

static void value_done(iu_json_reader *r) { r->state = r->depth != 0 ? S_AFTER : S_DONE; }

static iu_json_token open_container(iu_json_reader *r, bool object) {
  uint32_t level = r->depth;

  if (level == IU_JSON_DEPTH_MAX) return iu__json_reader_fail(r, r->p, "more than " TEXT_OF(IU_JSON_DEPTH_MAX) " containers inside each other");
  if (object) r->stack[level / 8] |= (uint8_t)(1u << (level % 8));
  else r->stack[level / 8] &= (uint8_t)~(1u << (level % 8));
  r->depth++;
  r->p++;
  r->state = object ? S_FIRST_KEY : S_FIRST_ELEMENT;
  return object ? IU_J_OBJECT : IU_J_ARRAY;
}

static iu_json_token close_container(iu_json_reader *r, iu_json_token token) {
  r->at = r->p++;
  r->depth--;
  value_done(r);
  return token;
}

static iu_json_token read_literal(iu_json_reader *r, const char *word, size_t len, iu_json_token token) {
  if ((size_t)(r->end - r->p) < len || memcmp(r->p, word, len) != 0)
    return iu__json_reader_fail(r, r->p, "expected a value");
  r->p += len;
  value_done(r);
  return token;
}

static bool is_digit(char c) { return (unsigned char)(c - '0') < 10; }

static iu_json_token read_double(iu_json_reader *r, const char *p) {
  while (p < r->end && (is_digit(*p) || *p == '.' || *p == '+' || *p == '-' || (*p | 0x20) == 'e')) p++;
  if (!iu__f64_parse(r->p, (size_t)(p - r->p), &r->d)) return iu__json_reader_fail(r, r->p, "malformed number");
  if (r->d - r->d != 0.0) return iu__json_reader_fail(r, r->p, "number too large for a double");
  r->p = p;
  value_done(r);
  return IU_J_DOUBLE;
}

/* `v` is the value of `count` digits where they are no more than 19. */
static iu_json_token integer_done(iu_json_reader *r, const char *end, uint64_t v, size_t count, bool negative) {
  iu_json_token token = IU_J_INT;

  if (count > 19 || v > (uint64_t)INT64_MAX + negative) {
    r->s = r->p;
    r->len = (size_t)(end - r->p);
    token = IU_J_BIGINT;
  } else {
    r->i = (int64_t)(negative ? 0 - v : v);
  }
  r->p = end;
  value_done(r);
  return token;
}

static iu_json_token read_number(iu_json_reader *r) {
  const char *p = r->p, *first;
  bool negative = *p == '-';
  uint64_t v = 0;

  if (negative) p++;
  for (first = p; p < r->end && is_digit(*p); p++) v = v * 10 + (uint64_t)(*p - '0'); /* wraps only beyond 19 digits */
  if (p == first) return iu__json_reader_fail(r, p, "expected a digit");
  if (*first == '0' && p - first > 1) return iu__json_reader_fail(r, first, "a number must not start with 0 and another digit");
  if (p < r->end && (*p == '.' || (*p | 0x20) == 'e')) return read_double(r, p);
  return integer_done(r, p, v, (size_t)(p - first), negative);
}

static iu_json_token read_value(iu_json_reader *r) {
  skip_space(r);
  r->at = r->p;
  if (r->p == r->end) return iu__json_reader_fail(r, r->p, "expected a value");
  switch (*r->p) {
  case '"':
    if (!iu__json_read_string(r)) return IU_J_ERROR;
    value_done(r);
    return IU_J_STRING;
  case '{': return open_container(r, true);
  case '[': return open_container(r, false);
  case 't': return read_literal(r, "true", 4, IU_J_TRUE);
  case 'f': return read_literal(r, "false", 5, IU_J_FALSE);
  case 'n': return read_literal(r, "null", 4, IU_J_NULL);
  case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
    return read_number(r);
  default: return iu__json_reader_fail(r, r->p, "expected a value");
  }
}

static iu_json_token read_key(iu_json_reader *r) {
  skip_space(r);
  r->at = r->p;
  if (r->p == r->end || *r->p != '"') return iu__json_reader_fail(r, r->p, "expected a key in quotes");
  if (!iu__json_read_string(r)) return IU_J_ERROR;
  skip_space(r);
  if (r->p == r->end || *r->p != ':') return iu__json_reader_fail(r, r->p, "expected ':'");
  r->p++;
  r->state = S_VALUE;
  return IU_J_KEY;
}

static iu_json_token after_value(iu_json_reader *r) {
  bool object = in_object(r);

  skip_space(r);
  if (r->p < r->end) {
    if (*r->p == ',') {
      r->p++;
      return object ? read_key(r) : read_value(r);
    }
    if (object && *r->p == '}') return close_container(r, IU_J_OBJECT_END);
    if (!object && *r->p == ']') return close_container(r, IU_J_ARRAY_END);
  }
  return iu__json_reader_fail(r, r->p, object ? "expected ',' or '}'" : "expected ',' or ']'");
}

iu_json_token iu__json_next(iu_json_reader *r) {
  switch (r->state) {
  case S_VALUE: return read_value(r);
  case S_FIRST_ELEMENT:
    skip_space(r);
    if (r->p < r->end && *r->p == ']') return close_container(r, IU_J_ARRAY_END);
    return read_value(r);
  case S_FIRST_KEY:
    skip_space(r);
    if (r->p < r->end && *r->p == '}') return close_container(r, IU_J_OBJECT_END);
    return read_key(r);
  case S_AFTER: return after_value(r);
  case S_DONE:
    skip_space(r);
    r->at = r->p;
    if (r->p < r->end) return iu__json_reader_fail(r, r->p, "expected nothing more");
    return IU_J_END;
  default: return IU_J_ERROR;
  }
}

iu_status iu__json_skip(iu_json_reader *r, iu_json_token t) {
  uint32_t outside = r->depth;

  if (t == IU_J_ARRAY || t == IU_J_OBJECT) {
    outside--;
    while (t != IU_J_ERROR && r->depth > outside) t = iu__json_next(r);
  }
  return t == IU_J_ERROR ? iu__json_reader_status(r) : IU_OK;
}

iu_status iu__json_check(const void *text, size_t len, iu_error *err) {
  iu_json_reader r;
  iu_json_token t;
  iu_status status;

  iu__json_reader_init(&r, text, len, err);
  do t = iu__json_next(&r);
  while (t != IU_J_END && t != IU_J_ERROR);
  status = t == IU_J_END ? IU_OK : iu__json_reader_status(&r);
  iu__json_reader_free(&r);
  return status;
}
