/* json_parse.c: JSON text to the tree of json.h, as fast as the text can be looked at.
 *
 * Common text is read here: containers, white space, strings without escapes, numbers of few digits. All else (escapes, long numbers) goes through the
 * pull reader, one value at a time, and a text found bad is read again by it for the error's words: so there is one set of rules.
 *
 * Elements and members of open containers wait in one growing list; closing a container moves its part into one arena block. An object's block
 * starts with the sorted index when it needs one: [index][members], see iu__json_index. Recurses at most IU_JSON_DEPTH_MAX deep. */
#include "json_internal.h"

#include "../base/alloc.h"
#include "../base/text.h"

#define LIST_START 4096
#define WORD_DIGITS 19 /* 10^19 < 2^64 */

typedef struct parser {
  const char *p, *end;
  iu_arena *arena;
  char *list; /* owned */
  size_t used, cap;
  uint32_t depth;
  bool nomem;
  iu_json_reader reader; /* for what is not common */
} parser;

static const iu_json nothing = {IU_J_ERROR, 0, {0}};

static iu_json parse_value(parser *s);

static iu_json out_of_memory(parser *s) {
  s->nomem = true;
  return nothing;
}

static inline bool is_digit(char c) { return (unsigned char)(c - '0') < 10; }

/* ---- white space, strings, numbers ---- */

static const char *skip_long_space(const char *p, const char *end) {
  for (; p < end; p++) {
    uint64_t word;
    while (end - p >= 8 && (memcpy(&word, p, 8), word == IU__JSON_EVERY_BYTE(' '))) p += 8; /* indentation */
    if (p == end || (*p != ' ' && *p != '\n' && *p != '\r' && *p != '\t')) break;
  }
  return p;
}

/* The next character that is no white space, 0 at the end; 0 is no part of JSON outside strings either. */
static inline char next_char(parser *s) {
  if (s->p < s->end && *s->p > ' ') return *s->p;
  s->p = skip_long_space(s->p, s->end);
  return s->p < s->end ? *s->p : 0;
}

/* The value at s->p as the pull reader has it. */
static iu_json read_slowly(parser *s) {
  iu_json_reader *r = &s->reader;
  iu_json v = nothing;

  iu__json_reader_at(r, s->p);
  v.token = (uint8_t)iu__json_next(r);
  switch (v.token) {
  case IU_J_INT: v.u.i = r->i; break;
  case IU_J_DOUBLE: v.u.d = r->d; break;
  case IU_J_STRING:
  case IU_J_BIGINT:
    v.len = (uint32_t)r->len;
    v.u.s = r->s;
    if (r->len != 0 && r->s == (const char *)r->scratch.data) v.u.s = iu__arena_strndup(s->arena, r->s, r->len);
    else if (r->len == 0) v.u.s = "";
    if (v.u.s == NULL) return out_of_memory(s);
    break;
  default:
    s->nomem = r->scratch.failed != 0;
    return nothing;
  }
  s->p = r->p;
  return v;
}

/* The string whose opening quote is at s->p. */
static inline iu_json parse_string(parser *s) {
  const char *start = s->p + 1, *end;
  iu_json v = {IU_J_STRING, 0, {0}};
  bool ascii;

  end = iu__json_scan(start, s->end, &ascii);
  if (end == s->end || *end != '"') return read_slowly(s);
  v.len = (uint32_t)(end - start);
  v.u.s = start;
  if (!ascii && iu__utf8_check(start, v.len) != v.len) return nothing;
  s->p = end + 1;
  return v;
}

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

static iu_json parse_number(parser *s) {
  const char *end = s->end, *p, *first, *dot;
  iu_json v = {IU_J_INT, 0, {0}};
  bool negative = *s->p == '-';
  uint64_t word = 0;

  first = s->p + negative;
  for (p = first; p < end && is_digit(*p); p++) word = word * 10 + (uint64_t)(*p - '0');
  if (p == first || p - first >= WORD_DIGITS || (*first == '0' && p - first > 1)) return read_slowly(s);
  if (p == end || (*p != '.' && (*p | 0x20) != 'e')) {
    v.u.i = negative ? -(int64_t)word : (int64_t)word;
    s->p = p;
    return v;
  }
  if (*p != '.') return read_slowly(s);
  dot = p;
  p = read_digits(p + 1, end, &word);
  if (p - dot == 1 || p - first > WORD_DIGITS || (p < end && (*p | 0x20) == 'e')) return read_slowly(s);
  if (!iu__f64_from_decimal(word, -(int)(p - dot - 1), &v.u.d)) return read_slowly(s);
  if (negative) v.u.d = -v.u.d;
  v.token = IU_J_DOUBLE;
  s->p = p;
  return v;
}

static iu_json parse_literal(parser *s, const char *word, size_t len, iu_json_token token) {
  iu_json v = {(uint8_t)token, 0, {0}};

  if ((size_t)(s->end - s->p) < len || memcmp(s->p, word, len) != 0) return nothing;
  s->p += len;
  return v;
}

/* ---- containers ---- */

static bool list_grow(parser *s) {
  size_t cap = s->cap != 0 ? 2 * s->cap : LIST_START;
  char *list = iu__realloc(s->list, cap);

  if (list == NULL) {
    s->nomem = true;
    return false;
  }
  s->list = list;
  s->cap = cap;
  return true;
}

static inline bool list_put(parser *s, const void *entry, size_t size) {
  if (s->cap - s->used < size && !list_grow(s)) return false;
  memcpy(s->list + s->used, entry, size);
  s->used += size;
  return true;
}

/* Drops all but the last of equal keys, each at the place of the first; `order` is sorted by key, then place. */
static uint32_t drop_duplicates(iu_json_member *m, uint32_t count, const uint32_t *order) {
  iu_json_member *first = &m[order[0]];
  uint32_t i, kept = 0;

  for (i = 1; i < count; i++) {
    iu_json_member *next = &m[order[i]];
    if (iu__json_key_compare(first, next->key, next->key_len) == 0) {
      first->value = next->value;
      next->key = NULL;
    } else {
      first = next;
    }
  }
  for (i = 0; i < count; i++)
    if (m[i].key != NULL) m[kept++] = m[i];
  return kept;
}

static uint32_t order_few(iu_json_member *m, uint32_t count) {
  uint32_t order[IU_JSON_LINEAR_MAX], spare[IU_JSON_LINEAR_MAX], i, j;

  for (i = 1; i < count; i++)
    for (j = 0; j < i; j++)
      if (m[i].key_len == m[j].key_len && memcmp(m[i].key, m[j].key, m[i].key_len) == 0) {
        iu__json_sort(m, count, order, spare);
        return drop_duplicates(m, count, order);
      }
  return count;
}

/* Many members: sorts into the index in front of them. Returns how many stay, 0 when memory ran out. */
static uint32_t order_many(iu_json_member *m, uint32_t count) {
  uint32_t *order = (uint32_t *)m - count, *spare, i, kept;

  for (i = 1; i < count && iu__json_key_compare(&m[i - 1], m[i].key, m[i].key_len) < 0; i++) order[i] = i;
  order[0] = 0;
  if (i == count) return count; /* written in order, as machines do */
  spare = iu__alloc(count * sizeof *spare);
  if (spare == NULL) return 0;
  iu__json_sort(m, count, order, spare);
  kept = drop_duplicates(m, count, order);
  if (kept < count) iu__json_sort(m, kept, (uint32_t *)m - kept, spare);
  iu__free(spare);
  return kept;
}

static iu_json close_object(parser *s, size_t start) {
  const void *list = s->list + start;
  size_t size = s->used - start, count = size / sizeof(iu_json_member);
  size_t index_size = count > IU_JSON_LINEAR_MAX ? (count * sizeof(uint32_t) + 15) / 16 * 16 : 0;
  iu_json v = {IU_J_OBJECT, 0, {0}};
  char *block;

  s->p++;
  s->depth--;
  if (count == 0) return v;
  block = iu__arena_alloc(s->arena, index_size + size);
  if (block == NULL) return out_of_memory(s);
  v.u.members = memcpy(block + index_size, list, size);
  s->used = start;
  if (count <= IU_JSON_LINEAR_MAX) v.len = order_few(v.u.members, (uint32_t)count);
  else v.len = order_many(v.u.members, (uint32_t)count);
  return v.len != 0 ? v : out_of_memory(s);
}

static iu_json parse_object(parser *s) {
  size_t start = s->used;
  char c;

  if (s->depth++ == IU_JSON_DEPTH_MAX) return nothing;
  s->p++;
  c = next_char(s);
  if (c == '}') return close_object(s, start);
  for (;;) {
    iu_json_member m;
    if (c != '"') return nothing;
    m.value = parse_string(s);
    if (m.value.token == IU_J_ERROR) return nothing;
    m.key = m.value.u.s;
    m.key_len = m.value.len;
    if (next_char(s) != ':') return nothing;
    s->p++;
    m.value = parse_value(s);
    if (m.value.token == IU_J_ERROR || !list_put(s, &m, sizeof m)) return nothing;
    c = next_char(s);
    if (c == '}') return close_object(s, start);
    if (c != ',') return nothing;
    s->p++;
    c = next_char(s);
  }
}

static iu_json close_array(parser *s, size_t start) {
  size_t size = s->used - start;
  iu_json v = {IU_J_ARRAY, 0, {0}};

  s->p++;
  s->depth--;
  if (size == 0) return v;
  v.u.elements = iu__arena_alloc(s->arena, size);
  if (v.u.elements == NULL) return out_of_memory(s);
  memcpy(v.u.elements, s->list + start, size);
  v.len = (uint32_t)(size / sizeof *v.u.elements);
  s->used = start;
  return v;
}

static iu_json parse_array(parser *s) {
  size_t start = s->used;
  char c;

  if (s->depth++ == IU_JSON_DEPTH_MAX) return nothing;
  s->p++;
  if (next_char(s) == ']') return close_array(s, start);
  for (;;) {
    iu_json v = parse_value(s);
    if (v.token == IU_J_ERROR || !list_put(s, &v, sizeof v)) return nothing;
    c = next_char(s);
    if (c == ']') return close_array(s, start);
    if (c != ',') return nothing;
    s->p++;
  }
}

/* IU_J_ERROR when the text is bad, or s->nomem. */
static iu_json parse_value(parser *s) {
  switch (next_char(s)) {
  case '"': return parse_string(s);
  case '{': return parse_object(s);
  case '[': return parse_array(s);
  case 't': return parse_literal(s, "true", 4, IU_J_TRUE);
  case 'f': return parse_literal(s, "false", 5, IU_J_FALSE);
  case 'n': return parse_literal(s, "null", 4, IU_J_NULL);
  case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
    return parse_number(s);
  default: return nothing;
  }
}

/* ---- whole texts ---- */

static void explain(const parser *s, const char *text, size_t len, iu_error *err) {
  if (s->nomem) iu__fail_nomem(err);
  else if (iu__json_check(text, len, err) == IU_OK) iu__fail(err, IU_E_PERSISTENCE, "JSON read in two ways differs");
}

iu_json *iu__json_parse_borrowed(iu_arena *arena, const char *text, size_t len, iu_error *err) {
  parser s = {.p = text, .end = text + len, .arena = arena};
  iu_json v, *root = NULL;

  if (len > UINT32_MAX) {
    iu__fail(err, IU_E_VALIDATION, "JSON text of %zu bytes, at most %u can be held", len, UINT32_MAX);
    return NULL;
  }
  iu__json_reader_init(&s.reader, text, len, NULL);
  v = parse_value(&s);
  if (v.token != IU_J_ERROR && next_char(&s) == 0 && s.p == s.end) {
    root = iu__arena_alloc(arena, sizeof *root);
    if (root != NULL) *root = v;
    else s.nomem = true;
  }
  iu__json_reader_free(&s.reader);
  iu__free(s.list);
  if (root == NULL) explain(&s, text, len, err);
  return root;
}

iu_json *iu__json_parse(iu_arena *arena, const void *text, size_t len, iu_error *err) {
  char *copy = iu__arena_alloc(arena, len);

  if (copy == NULL) {
    iu__fail_nomem(err);
    return NULL;
  }
  if (len != 0) memcpy(copy, text, len);
  return iu__json_parse_borrowed(arena, copy, len, err);
}
