/* filter_value.h: the values filters and orders compare: what a field of a row holds, or what a filter was given.
 *
 * A view, not a copy: texts point into the row, a document or a scratch buffer of the reader, and are good until those change.
 * Numbers compare exactly, whatever their kind: 2^53 + 1 is not the float 2^53.
 */
#ifndef IU_QUERY_FILTER_VALUE_H
#define IU_QUERY_FILTER_VALUE_H

#include "../sats/bsatn.h"
#include "../sats/json.h"

typedef enum iu_fv_kind {
  IU_FV_NULL,   /* null, or nothing there */
  IU_FV_BOOL, IU_FV_INT,
  IU_FV_BIG,    /* an integer outside i64: decimal text, no leading zeros */
  IU_FV_DOUBLE, IU_FV_STRING,
  IU_FV_TEXT,   /* an array or object as JSON text */
  IU_FV_ARRAY,  /* an array as BSATN: u32 count, elements of `type` */
  IU_FV_DOC     /* an array or object as a document */
} iu_fv_kind;

typedef struct iu_fv {
  uint8_t kind;
  bool owned;    /* the text is heap memory of whoever keeps the value (see kept.h) */
  size_t len;    /* of s, p */
  union { bool b; int64_t i; double d; const char *s; const uint8_t *p; const iu_json *doc; } u;
  const iu_type *type;
} iu_fv;

static inline iu_fv iu__fv(iu_fv_kind kind) {
  iu_fv v = {(uint8_t)kind, false, 0, {0}, NULL};
  return v;
}
static inline iu_fv iu__fv_int(int64_t i) {
  iu_fv v = iu__fv(IU_FV_INT);
  v.u.i = i;
  return v;
}
static inline iu_fv iu__fv_text(iu_fv_kind kind, const void *s, size_t len) {
  iu_fv v = iu__fv(kind);
  v.u.s = s != NULL ? s : ""; /* an empty buffer has no memory */
  v.len = len;
  return v;
}
static inline bool iu__fv_is_number(const iu_fv *v) { return v->kind == IU_FV_INT || v->kind == IU_FV_BIG || v->kind == IU_FV_DOUBLE; }
static inline bool iu__fv_is_scalar(const iu_fv *v) { return v->kind <= IU_FV_STRING; }

/* Of a document's node; scalars by value. */
iu_fv iu__fv_of_json(const iu_json *v);
/* Of a number's JSON text (or decimal digits); NULL kind when it is none or overflows. */
iu_fv iu__fv_of_number(const char *text, size_t len);

/* Scalars: same kind (numbers are one kind) and same value. NaN equals nothing. Arrays and objects: never. */
bool iu__fv_equal(const iu_fv *a, const iu_fv *b);
/* < 0, 0, > 0 in *c when both are booleans, numbers (no NaN) or strings; else false: they are unordered. */
bool iu__fv_ordered(const iu_fv *a, const iu_fv *b, int *c);
/* The order of results: null (rank 0), booleans, numbers, NaN, strings, the rest as equal (rank 5). */
int iu__fv_rank(const iu_fv *v);
int iu__fv_rank_compare(const iu_fv *a, const iu_fv *b);
/* Deep equality of documents, key order aside. */
bool iu__json_equal(const iu_json *a, const iu_json *b);

#endif
