/* json.c: JSON without a C library: a check of texts from outside, and the writers that audit events need.
 *
 * The check accepts exactly what core/sats/json.h reads: RFC 8259, valid UTF-8, at most NERV_JSON_DEPTH_MAX open containers, no
 * lone surrogate escapes, no number beyond a double's range. One pass, no recursion, a bit of state a level.
 */
#include "internal.h"

#include "../base/text.h"

typedef struct checker {
  const uint8_t *p, *end;
  const char *why;
  uint32_t depth;
  uint8_t object[NERV_JSON_DEPTH_MAX / 8]; /* a bit a level: object or array */
} checker;

static bool stop(checker *k, const char *why) {
  k->why = why;
  return false;
}

static void skip_space(checker *k) {
  while (k->p < k->end && (*k->p == ' ' || *k->p == '\n' || *k->p == '\r' || *k->p == '\t')) k->p++;
}

static bool is_digit(const checker *k) { return k->p < k->end && *k->p >= '0' && *k->p <= '9'; }

static bool digits(checker *k) {
  if (!is_digit(k)) return stop(k, "a digit was expected");
  while (is_digit(k)) k->p++;
  return true;
}

/* Only a number with fraction or exponent is a double; integers may have any length. */
static bool number(checker *k) {
  const uint8_t *from = k->p;
  bool is_double = false;
  double v;
  if (*k->p == '-') k->p++;
  if (k->p < k->end && *k->p == '0') k->p++;
  else if (!digits(k)) return false;
  if (k->p < k->end && *k->p == '.') {
    is_double = true;
    k->p++;
    if (!digits(k)) return false;
  }
  if (k->p < k->end && (*k->p == 'e' || *k->p == 'E')) {
    is_double = true;
    k->p++;
    if (k->p < k->end && (*k->p == '+' || *k->p == '-')) k->p++;
    if (!digits(k)) return false;
  }
  if (is_double && (!iu__f64_parse((const char *)from, (size_t)(k->p - from), &v) || v - v != 0)) {
    k->p = from;
    return stop(k, "the number is beyond the range of a double");
  }
  return true;
}

static bool hex4(checker *k, uint32_t *out) {
  *out = 0;
  for (int i = 0; i < 4; i++) {
    uint8_t c = k->p < k->end ? *k->p : 0, low = c | 0x20;
    uint32_t v;
    if (c >= '0' && c <= '9') v = (uint32_t)(c - '0');
    else if (low >= 'a' && low <= 'f') v = (uint32_t)(low - 'a') + 10;
    else return stop(k, "four hex digits were expected");
    *out = *out << 4 | v;
    k->p++;
  }
  return true;
}

static bool escape(checker *k) { /* p is behind the backslash */
  const uint8_t *at = k->p - 1;
  uint32_t unit, low = 0;
  uint8_t c = k->p < k->end ? *k->p : 0;
  if (c != 'u') {
    for (const char *known = "\"\\/bfnrt"; *known != '\0'; known++) {
      if (c == (uint8_t)*known) {
        k->p++;
        return true;
      }
    }
    return stop(k, "unknown escape");
  }
  k->p++;
  if (!hex4(k, &unit)) return false;
  if (unit < 0xD800 || unit > 0xDFFF) return true;
  if (unit <= 0xDBFF && k->end - k->p >= 2 && k->p[0] == '\\' && k->p[1] == 'u') {
    k->p += 2;
    if (!hex4(k, &low)) return false;
  }
  if (low >= 0xDC00 && low <= 0xDFFF) return true;
  k->p = at;
  return stop(k, "lone surrogate");
}

/* The first byte that JSON would not have in a string as it is, or where fewer than eight are left. */
static const uint8_t *skip_plain(const uint8_t *p, const uint8_t *end) {
  while (end - p >= 8) {
    uint64_t word = iu__nerv_word(p);
    if ((iu__nerv_any_below(word, 0x20) | iu__nerv_any_is(word, '"') | iu__nerv_any_is(word, '\\')) != 0) break;
    p += 8;
  }
  return p;
}

static bool string(checker *k) { /* p is at the quote */
  k->p++;
  for (;;) {
    k->p = skip_plain(k->p, k->end);
    while (k->p < k->end && *k->p >= 0x20 && *k->p != '"' && *k->p != '\\') k->p++;
    if (k->p == k->end) return stop(k, "unfinished string");
    if (*k->p < 0x20) return stop(k, "control character in a string");
    if (*k->p++ == '"') return true;
    if (!escape(k)) return false;
  }
}

static bool literal(checker *k, const char *word) {
  size_t n = strlen(word);
  if ((size_t)(k->end - k->p) < n || memcmp(k->p, word, n) != 0) return stop(k, "a value was expected");
  k->p += n;
  return true;
}

static bool scalar(checker *k) {
  if (k->p == k->end) return stop(k, "a value was expected");
  switch (*k->p) {
    case '"': return string(k);
    case 't': return literal(k, "true");
    case 'f': return literal(k, "false");
    case 'n': return literal(k, "null");
    default:
      if (*k->p != '-' && !is_digit(k)) return stop(k, "a value was expected");
      return number(k);
  }
}

static bool in_object(const checker *k) { return k->depth > 0 && (k->object[(k->depth - 1) / 8] >> (k->depth - 1) % 8 & 1) != 0; }

static bool open_container(checker *k, bool object) {
  uint8_t bit = (uint8_t)(1u << k->depth % 8);
  if (k->depth == NERV_JSON_DEPTH_MAX) return stop(k, "nested too deeply");
  if (object) k->object[k->depth / 8] |= bit;
  else k->object[k->depth / 8] &= (uint8_t)~bit;
  k->depth++;
  k->p++;
  skip_space(k);
  return true;
}

static bool key(checker *k) {
  if (k->p == k->end || *k->p != '"') return stop(k, "a key was expected");
  if (!string(k)) return false;
  skip_space(k);
  if (k->p == k->end || *k->p != ':') return stop(k, "`:` was expected");
  k->p++;
  skip_space(k);
  return true;
}

/* After a value: closes what ends here; *more when another value must follow. */
static bool after_value(checker *k, bool *more) {
  *more = false;
  for (;;) {
    skip_space(k);
    if (k->depth == 0) return k->p == k->end || stop(k, "nothing more was expected");
    if (k->p < k->end && *k->p == (in_object(k) ? '}' : ']')) {
      k->p++;
      k->depth--;
      continue;
    }
    if (k->p == k->end || *k->p != ',') return stop(k, in_object(k) ? "`,` or `}` was expected" : "`,` or `]` was expected");
    k->p++;
    skip_space(k);
    *more = true;
    return !in_object(k) || key(k);
  }
}

static bool text(checker *k) {
  bool more = true;
  skip_space(k);
  while (more) {
    if (k->p < k->end && (*k->p == '{' || *k->p == '[')) {
      bool object = *k->p == '{';
      if (!open_container(k, object)) return false;
      if (k->p < k->end && *k->p == (object ? '}' : ']')) {
        k->p++;
        k->depth--;
      } else {
        if (object && !key(k)) return false;
        continue;
      }
    } else if (!scalar(k)) {
      return false;
    }
    if (!after_value(k, &more)) return false;
  }
  return true;
}

bool iu__nerv_json_check(nerv_slice v, size_t *at, const char **why) {
  checker k = {.p = v.p, .end = v.p + v.n, .why = "", .depth = 0};
  *at = iu__utf8_check((const char *)v.p, v.n);
  *why = "invalid UTF-8";
  if (*at < v.n) return false;
  if (text(&k)) return true;
  *at = (size_t)(k.p - v.p);
  *why = k.why;
  return false;
}

bool iu__nerv_json_nests(nerv_slice valid, uint32_t levels) {
  uint32_t depth = 0, limit = NERV_JSON_DEPTH_MAX - levels;
  bool quoted = false;
  if (valid.n <= 2 * limit) return true; /* a container has two brackets */
  for (uint32_t i = 0; i < valid.n; i++) {
    uint8_t c = valid.p[i];
    if (quoted) {
      if (c == '\\') i++;
      else if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      if (++depth > limit) return false;
    } else if (c == '}' || c == ']') {
      depth--;
    }
  }
  return true;
}

/* ---- writing ---- */

void iu__nerv_json_text(nerv_out *o, nerv_slice s) {
  static const char digit[] = "0123456789abcdef", named[] = "btn.fr"; /* 8 to 13; 11 has no short form */
  uint32_t from = 0;
  if (!iu__nerv_reserve(o, (size_t)s.n + 2)) return;
  iu__nerv_put_u8(o, '"');
  for (uint32_t i = (uint32_t)(skip_plain(s.p, s.p + s.n) - s.p); i < s.n; i++) {
    uint8_t c = s.p[i];
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    iu__nerv_put(o, s.p + from, i - from);
    from = i + 1;
    iu__nerv_put_u8(o, '\\');
    if (c >= 0x20) {
      iu__nerv_put_u8(o, c);
    } else if (c >= 8 && c <= 13 && c != 11) {
      iu__nerv_put_u8(o, (uint8_t)named[c - 8]);
    } else {
      char unit[5] = {'u', '0', '0', digit[c >> 4], digit[c & 15]};
      iu__nerv_put(o, unit, sizeof unit);
    }
  }
  iu__nerv_put(o, s.p + from, s.n - from);
  iu__nerv_put_u8(o, '"');
}

void iu__nerv_json_key(nerv_out *o, const char *name) {
  if (!o->failed && o->n > 0 && o->p[o->n - 1] != '{') iu__nerv_put_u8(o, ',');
  iu__nerv_put_u8(o, '"');
  iu__nerv_put_raw(o, name);
  iu__nerv_put(o, "\":", 2);
}

void iu__nerv_json_member(nerv_out *o, const char *name, nerv_slice v) {
  iu__nerv_json_key(o, name);
  iu__nerv_json_text(o, v);
}

void iu__nerv_json_member_or_null(nerv_out *o, const char *name, nerv_slice v, bool there) {
  iu__nerv_json_key(o, name);
  if (there) iu__nerv_json_text(o, v);
  else iu__nerv_put_raw(o, "null");
}

void iu__nerv_json_texts(nerv_out *o, nerv_slice raw) {
  nerv_reader r = iu__nerv_reader(raw);
  uint32_t count = iu__nerv_get_u32(&r);
  iu__nerv_put_u8(o, '[');
  for (uint32_t i = 0; i < count && !r.bad; i++) {
    if (i > 0) iu__nerv_put_u8(o, ',');
    iu__nerv_json_text(o, iu__nerv_get_text(&r));
  }
  iu__nerv_put_u8(o, ']');
}

void iu__nerv_json_f64(nerv_out *o, double v) {
  char digits_of[IU_F64_TEXT_MAX];
  iu__nerv_put(o, digits_of, iu__f64_format(v, digits_of));
}
