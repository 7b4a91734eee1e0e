/* json_scan.h: pieces of a parser, for those who make something of their own of JSON text, as fast as the text can be looked at.
 *
 * The caller walks through the containers himself: it sees the next character with iu__json_scan_next, passes brackets, commas and colons by moving p, and
 * counts its depth (IU_JSON_DEPTH_MAX). Scalars are read here: common ones at once, all else (escapes, long numbers) by the pull reader. A piece that
 * is not there gives IU_J_ERROR; what was wrong is then found by reading the text again with the reader (iu__json_scan_explain): so there is one set
 * of rules, and its words are in one place. */
#ifndef IU_SATS_JSON_SCAN_H
#define IU_SATS_JSON_SCAN_H

#include "../base/text.h"
#include "json_internal.h"

typedef struct iu_json_scan {
  const char *p, *end;   /* borrowed text */
  uint32_t depth;        /* the caller's */
  bool nomem;            /* why IU_J_ERROR was given, if not for the text */
  iu_arena *keep;        /* where decoded strings go; NULL: they are valid until the next call */
  iu_json_reader reader; /* for what is not common */
} iu_json_scan;

void iu__json_scan_init(iu_json_scan *s, const char *text, size_t len, iu_arena *keep);
void iu__json_scan_free(iu_json_scan *s);
/* After a failure. */
void iu__json_scan_explain(const iu_json_scan *s, iu_error *err);
/* The scalar at p, as the pull reader has it. */
iu_json iu__json_scan_slowly(iu_json_scan *s);
/* The number at p. */
iu_json iu__json_scan_number(iu_json_scan *s);
/* Over white space. */
const char *iu__json_scan_space(const char *p, const char *end);

/* Moves p to what is no white space and returns that; 0 at the end. (0 in the text is no part of JSON either.) */
static inline char iu__json_scan_next(iu_json_scan *s) {
  if (s->p < s->end && *s->p > ' ') return *s->p;
  s->p = iu__json_scan_space(s->p, s->end);
  return s->p < s->end ? *s->p : 0;
}

/* The string whose opening quote is at p. */
static inline iu_json iu__json_scan_string(iu_json_scan *s) {
  const char *start = s->p + 1, *end;
  iu_json v = {IU_J_STRING, 0, {0}};
  bool ascii;

  end = iu__json_bare(start, s->end, &ascii);
  if (end == s->end || *end != '"') return iu__json_scan_slowly(s);
  v.len = (uint32_t)(end - start);
  v.u.s = start;
  if (!ascii && iu__utf8_check(start, v.len) != v.len) v.token = IU_J_ERROR;
  s->p = end + 1;
  return v;
}

static inline iu_json iu__json_scan_literal(iu_json_scan *s, const char *word, size_t len, iu_json_token token) {
  iu_json v = {IU_J_ERROR, 0, {0}};

  if ((size_t)(s->end - s->p) < len || memcmp(s->p, word, len) != 0) return v;
  v.token = (uint8_t)token;
  s->p += len;
  return v;
}

/* The scalar at p, which begins with c. */
static inline iu_json iu__json_scan_scalar(iu_json_scan *s, char c) {
  switch (c) {
  case '"': return iu__json_scan_string(s);
  case 't': return iu__json_scan_literal(s, "true", 4, IU_J_TRUE);
  case 'f': return iu__json_scan_literal(s, "false", 5, IU_J_FALSE);
  case 'n': return iu__json_scan_literal(s, "null", 4, IU_J_NULL);
  default: return iu__json_scan_number(s);
  }
}

#endif
