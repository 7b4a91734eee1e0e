/* json_scan.c: the less common pieces of json_scan.h, and numbers. */
#include "json_scan.h"

#define WORD_DIGITS 19 /* 10^19 < 2^64 */

static const iu_json nothing = {IU_J_ERROR, 0, {0}};

void iu__json_scan_init(iu_json_scan *s, const char *text, size_t len, iu_arena *keep) {
  iu__json_reader_init(&s->reader, text, len, NULL);
  s->p = s->reader.p;
  s->end = s->reader.end;
  s->depth = 0;
  s->nomem = false;
  s->keep = keep;
}

void iu__json_scan_free(iu_json_scan *s) { iu__json_reader_free(&s->reader); }

void iu__json_scan_explain(const iu_json_scan *s, iu_error *err) {
  if (s->nomem) iu__fail_nomem(err);
  else if (iu__json_check(s->reader.base, (size_t)(s->end - s->reader.base), err) == IU_OK)
    iu__fail(err, IU_E_PERSISTENCE, "JSON that was read in two ways differs");
}

const char *iu__json_scan_space(const char *p, const char *end) {
  for (; p < end; p++) {
    uint64_t word;
    while (end - p >= 8 && (memcpy(&word, p, 8), word == IU__JSON_EVERY_BYTE(' '))) p += 8; /* indentation */
    if (p == end || (*p != ' ' && *p != '\n' && *p != '\r' && *p != '\t')) break;
  }
  return p;
}

iu_json iu__json_scan_slowly(iu_json_scan *s) {
  iu_json_reader *r = &s->reader;
  iu_json v = nothing;

  r->p = s->p; /* one value, as if nothing else were there */
  r->depth = 0;
  r->state = 0;
  v.token = (uint8_t)iu__json_next(r);
  switch (v.token) {
  case IU_J_INT: v.u.i = r->i; break;
  case IU_J_DOUBLE: v.u.d = r->d; break;
  case IU_J_STRING:
  case IU_J_BIGINT:
    v.len = (uint32_t)r->len;
    v.u.s = r->s;
    if (s->keep != NULL && r->len != 0 && r->s == (const char *)r->scratch.data) v.u.s = iu__arena_strndup(s->keep, r->s, r->len);
    if (v.u.s != NULL) break;
    s->nomem = true;
    return nothing;
  default:
    s->nomem = r->scratch.failed != 0;
    return nothing;
  }
  s->p = r->p;
  return v;
}

static inline bool is_digit(char c) { return (unsigned char)(c - '0') < 10; }

/* Appends the digits at p to *word, which wraps where they are too many; returns what follows them. */
static inline const char *read_digits(const char *p, const char *end, uint64_t *word) {
  uint64_t w = *word;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  while (end - p >= 8) {
    uint64_t eight, high;
    memcpy(&eight, p, 8);
    eight -= IU__JSON_EVERY_BYTE('0');
    high = eight | (eight + IU__JSON_EVERY_BYTE(0x76)); /* the lowest byte that is no digit has its top bit set here */
    if ((high & IU__JSON_EVERY_BYTE(0x80)) != 0) break;
    eight = eight * 10 + (eight >> 8); /* pairs, then fours, then all eight */
    eight = ((eight & UINT64_C(0x000000FF000000FF)) * UINT64_C(0x000F424000000064) +
             (eight >> 16 & UINT64_C(0x000000FF000000FF)) * UINT64_C(0x0000271000000001)) >> 32;
    w = w * 100000000 + eight;
    p += 8;
  }
#endif
  for (; p < end && is_digit(*p); p++) w = w * 10 + (uint64_t)(*p - '0');
  *word = w;
  return p;
}

iu_json iu__json_scan_number(iu_json_scan *s) {
  const char *end = s->end, *p, *first, *dot;
  iu_json v = {IU_J_INT, 0, {0}};
  bool negative = *s->p == '-';
  uint64_t word = 0;

  first = s->p + negative;
  for (p = first; p < end && is_digit(*p); p++) word = word * 10 + (uint64_t)(*p - '0');
  if (p == first || p - first >= WORD_DIGITS || (*first == '0' && p - first > 1)) return iu__json_scan_slowly(s);
  if (p == end || (*p != '.' && (*p | 0x20) != 'e')) {
    v.u.i = negative ? -(int64_t)word : (int64_t)word;
    s->p = p;
    return v;
  }
  if (*p != '.') return iu__json_scan_slowly(s);
  dot = p;
  p = read_digits(p + 1, end, &word);
  if (p - dot == 1 || p - first > WORD_DIGITS || (p < end && (*p | 0x20) == 'e')) return iu__json_scan_slowly(s);
  if (!iu__f64_from_decimal(word, -(int)(p - dot - 1), &v.u.d)) return iu__json_scan_slowly(s);
  if (negative) v.u.d = -v.u.d;
  v.token = IU_J_DOUBLE;
  s->p = p;
  return v;
}
