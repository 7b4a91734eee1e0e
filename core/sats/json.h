/* json.h: an exact JSON text codec: pull reader, push writer, in-memory document, canonical form.
 *
 * Reader: RFC 8259, UTF-8 only, no extensions, depth at most IU_JSON_DEPTH_MAX (open containers). Numbers: a text without fraction and exponent is an
 * integer: i64 where it fits, else IU_J_BIGINT with its digits; `-0` is the integer 0. Others are doubles, correctly rounded; overflow
 * to infinity is an error. Strings: escapes decoded; a lone surrogate escape is an error; NUL is allowed.
 * Duplicate keys are delivered as they come; the document keeps the last (at the place of the first).
 *
 * Writer: compact, no white space; strings as UTF-8 with only `"`, `\` and control characters below 0x20 escaped
 * (\b \t \n \f \r short, others \u00XX); doubles as iu__f64_format prints them.
 *
 * Canonical: byte for byte json.dumps(value, sort_keys=True) of Python 3: separators ", " and ": ", ensure_ascii \uXXXX (surrogate
 * pairs beyond the BMP, lower-case hex, 0x7f as \u007f), keys sorted by code point, floats by repr, integers of any size digit for digit.
 */
#ifndef IU_SATS_JSON_H
#define IU_SATS_JSON_H

#include "../base/arena.h"
#include "../base/buffer.h"

#define IU_JSON_DEPTH_MAX 512

typedef enum iu_json_token {
  IU_J_ERROR, IU_J_END, /* end of text, after exactly one value */
  IU_J_NULL, IU_J_TRUE, IU_J_FALSE, IU_J_INT, IU_J_BIGINT, IU_J_DOUBLE, IU_J_STRING,
  IU_J_ARRAY, IU_J_ARRAY_END, IU_J_OBJECT, IU_J_KEY, IU_J_OBJECT_END
} iu_json_token;

typedef struct iu_json_reader {
  const char *base, *p, *end;      /* borrowed text */
  const char *at;                  /* where the last token begins in the text; a value ends at p once its last token was read */
  int64_t i;                       /* IU_J_INT */
  double d;                        /* IU_J_DOUBLE */
  const char *s; size_t len;       /* IU_J_STRING, IU_J_KEY, IU_J_BIGINT: in the text or in `scratch`; valid until the next call */
  iu_buf scratch;
  uint32_t depth;
  uint8_t state;
  uint8_t stack[IU_JSON_DEPTH_MAX / 8]; /* a bit a level: object or array */
  iu_error *err;                   /* where IU_J_ERROR is explained; may be NULL */
} iu_json_reader;

void iu__json_reader_init(iu_json_reader *r, const void *text, size_t len, iu_error *err);
void iu__json_reader_free(iu_json_reader *r);
iu_json_token iu__json_next(iu_json_reader *r);
/* Reads past the value whose first token `t` was just returned. */
iu_status iu__json_skip(iu_json_reader *r, iu_json_token t);
/* One well-formed value and nothing else? */
iu_status iu__json_check(const void *text, size_t len, iu_error *err);

void iu__json_put_string(iu_buf *b, const char *s, size_t len);        /* with quotes; s is valid UTF-8 */
size_t iu__json_string_size(const char *s, size_t len);                /* bytes that iu__json_put_string puts */
void iu__json_put_string_ascii(iu_buf *b, const char *s, size_t len);  /* as Python's ensure_ascii */
/* The same as put_string for what may not be UTF-8: returns where it is not (what was written is then no JSON), or len. `before` and `after` are
 * written around it, unless they are 0. */
size_t iu__json_put_text(iu_buf *b, char before, const char *s, size_t len, char after);
void iu__json_put_f64(iu_buf *b, double v);                            /* NaN and infinities, which JSON has not: null */
void iu__json_put_i64(iu_buf *b, int64_t v);

/* A document: an immutable tree in an arena, made by iu__json_parse only. Object members keep their order; iu__json_get finds one in
 * O(log n) through a sorted index that objects of more than IU_JSON_LINEAR_MAX members carry in front of their members. */
#define IU_JSON_LINEAR_MAX 8
typedef struct iu_json iu_json;
typedef struct iu_json_member iu_json_member;
struct iu_json {
  uint8_t token;      /* IU_J_NULL ... IU_J_ARRAY, IU_J_OBJECT */
  uint32_t len;       /* bytes of a string or bigint, elements, members */
  union {
    int64_t i; double d; const char *s; iu_json *elements; iu_json_member *members;
  } u;
};
struct iu_json_member { const char *key; uint32_t key_len; iu_json value; };
/* NULL and *err on bad text or no memory. All of it lives in `arena` (a copy of the text too); `text` is borrowed for the call. */
iu_json *iu__json_parse(iu_arena *arena, const void *text, size_t len, iu_error *err);
/* The same without the copy: strings without escapes point into `text`, which must outlive the tree. */
iu_json *iu__json_parse_borrowed(iu_arena *arena, const char *text, size_t len, iu_error *err);
const iu_json *iu__json_get(const iu_json *object, const char *key, size_t len);
void iu__json_write(const iu_json *v, iu_buf *out);   /* compact */

/* Objects made by hand, for trees that are put together of others. Room for `count` members, to be filled in; NULL: no memory. */
iu_json_member *iu__json_members_new(iu_arena *arena, uint32_t count);
/* Makes `object` of the first `count` of them, at most as many as there is room for; the keys are different. Indexes them. false: no memory. */
bool iu__json_object_make(iu_json *object, iu_json_member *members, uint32_t count);
/* The positions of an object's members in key order; only of one with more than IU_JSON_LINEAR_MAX members. */
static inline const uint32_t *iu__json_index(const iu_json *object) { return (const uint32_t *)object->u.members - object->len; }
void iu__json_write_canonical(const iu_json *v, iu_buf *out);
/* SHA-256 of the canonical text, which is never there as a whole. */
iu_status iu__json_hash(const iu_json *v, uint8_t digest[32], iu_error *err);

/* text in, canonical text out, appended to `out`; a failure of `out` is reported too. */
iu_status iu__json_canonical(const void *text, size_t len, iu_buf *out, iu_error *err);

/* The value at a dotted path directly in a JSON text, without building a tree: path segments are given parsed, those before
 * from_segment are passed over. Object keys: the last duplicate wins; array elements: decimal digits without leading zeros. *found = false
 * when there is none. The text is checked whole. */
#define IU_PATH_SEGMENTS_MAX 32
typedef struct iu_path {
  uint32_t count;
  const char *segments[IU_PATH_SEGMENTS_MAX];
  size_t lens[IU_PATH_SEGMENTS_MAX];
  char *storage; /* owned: what the segments point into */
} iu_path;
/* "a.b\\.c" -> segments; backslash escapes dot and backslash, \e is the empty segment, "" is the root (0 segments). An empty
 * segment written otherwise is an error. On failure there is nothing to free. */
iu_status iu__path_parse(iu_path *path, const char *text, size_t len, iu_error *err);
void iu__path_free(iu_path *path);
/* For paths of any length. Reads one segment of [*p, end) into `out`, which has room for the path; *p moves to the dot or the end. Returns
 * the bytes written, SIZE_MAX on a bad one: *p is at its backslash, or the segment is empty. */
size_t iu__path_segment(const char **p, const char *end, char *out);
/* A segment as array index; UINT64_MAX when it is none. */
uint64_t iu__path_index(const char *s, size_t len);
iu_status iu__json_find(const void *text, size_t len, const iu_path *path, uint32_t from_segment,
                        bool *found, size_t *value_at, size_t *value_len, iu_error *err);

#endif
