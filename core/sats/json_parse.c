/* json_parse.c: JSON text to the tree of json.h.
 *
 * Elements and members of open containers wait in one growing list; closing a container moves its part into one arena block. An object's block
 * starts with the sorted index when it needs one: [index][members], see iu__json_index. Recurses at most IU_JSON_DEPTH_MAX deep. */
#include "json_scan.h"

#include "../base/alloc.h"

#define LIST_START 4096

typedef struct parser {
  iu_json_scan scan;
  char *list; /* owned */
  size_t used, cap;
} parser;

static const iu_json nothing = {IU_J_ERROR, 0, {0}};

static iu_json parse_value(parser *s);

static iu_json out_of_memory(parser *s) {
  s->scan.nomem = true;
  return nothing;
}

static bool list_grow(parser *s) {
  size_t cap = s->cap != 0 ? 2 * s->cap : LIST_START;
  char *list = iu__realloc(s->list, cap);

  if (list == NULL) {
    s->scan.nomem = true;
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
  uint32_t order[IU_JSON_LINEAR_MAX], i, j;

  for (i = 1; i < count; i++)
    for (j = 0; j < i; j++)
      if (m[i].key_len == m[j].key_len && memcmp(m[i].key, m[j].key, m[i].key_len) == 0) {
        (void)iu__json_sort(m, count, order); /* so few take no memory */
        return drop_duplicates(m, count, order);
      }
  return count;
}

/* Many members: sorts into the index in front of them. Returns how many stay, 0 when memory ran out. */
static uint32_t order_many(iu_json_member *m, uint32_t count) {
  uint32_t *order = (uint32_t *)m - count, i, kept;

  for (i = 1; i < count && iu__json_key_compare(&m[i - 1], m[i].key, m[i].key_len) < 0; i++) order[i] = i;
  order[0] = 0;
  if (i == count) return count; /* written in order, as machines do */
  if (!iu__json_sort(m, count, order)) return 0;
  kept = drop_duplicates(m, count, order);
  return kept == count || iu__json_sort(m, kept, (uint32_t *)m - kept) ? kept : 0;
}

static iu_json close_object(parser *s, size_t start) {
  size_t size = s->used - start, count = size / sizeof(iu_json_member); /* the text has fewer than UINT32_MAX bytes */
  iu_json v = {IU_J_OBJECT, 0, {0}};

  s->scan.p++;
  s->scan.depth--;
  if (count == 0) return v;
  v.u.members = iu__json_members_new(s->scan.keep, (uint32_t)count);
  if (v.u.members == NULL) return out_of_memory(s);
  memcpy(v.u.members, s->list + start, size);
  s->used = start;
  if (count <= IU_JSON_LINEAR_MAX) v.len = order_few(v.u.members, (uint32_t)count);
  else v.len = order_many(v.u.members, (uint32_t)count);
  return v.len != 0 ? v : out_of_memory(s);
}

static iu_json parse_object(parser *s) {
  size_t start = s->used;
  char c;

  if (s->scan.depth++ == IU_JSON_DEPTH_MAX) return nothing;
  s->scan.p++;
  c = iu__json_scan_next(&s->scan);
  if (c == '}') return close_object(s, start);
  for (;;) {
    iu_json_member m;
    if (c != '"') return nothing;
    m.value = iu__json_scan_string(&s->scan);
    if (m.value.token == IU_J_ERROR) return nothing;
    m.key = m.value.u.s;
    m.key_len = m.value.len;
    if (iu__json_scan_next(&s->scan) != ':') return nothing;
    s->scan.p++;
    m.value = parse_value(s);
    if (m.value.token == IU_J_ERROR || !list_put(s, &m, sizeof m)) return nothing;
    c = iu__json_scan_next(&s->scan);
    if (c == '}') return close_object(s, start);
    if (c != ',') return nothing;
    s->scan.p++;
    c = iu__json_scan_next(&s->scan);
  }
}

static iu_json close_array(parser *s, size_t start) {
  size_t size = s->used - start;
  iu_json v = {IU_J_ARRAY, 0, {0}};

  s->scan.p++;
  s->scan.depth--;
  if (size == 0) return v;
  v.u.elements = iu__arena_alloc(s->scan.keep, size);
  if (v.u.elements == NULL) return out_of_memory(s);
  memcpy(v.u.elements, s->list + start, size);
  v.len = (uint32_t)(size / sizeof *v.u.elements);
  s->used = start;
  return v;
}

static iu_json parse_array(parser *s) {
  size_t start = s->used;
  char c;

  if (s->scan.depth++ == IU_JSON_DEPTH_MAX) return nothing;
  s->scan.p++;
  if (iu__json_scan_next(&s->scan) == ']') return close_array(s, start);
  for (;;) {
    iu_json v = parse_value(s);
    if (v.token == IU_J_ERROR || !list_put(s, &v, sizeof v)) return nothing;
    c = iu__json_scan_next(&s->scan);
    if (c == ']') return close_array(s, start);
    if (c != ',') return nothing;
    s->scan.p++;
  }
}

/* IU_J_ERROR when the text is bad, or memory ran out. */
static iu_json parse_value(parser *s) {
  char c = iu__json_scan_next(&s->scan);

  if (c == '{') return parse_object(s);
  if (c == '[') return parse_array(s);
  return c != 0 ? iu__json_scan_scalar(&s->scan, c) : nothing;
}

iu_json *iu__json_parse_borrowed(iu_arena *arena, const char *text, size_t len, iu_error *err) {
  parser s;
  iu_json v, *root = NULL;

  if (len > UINT32_MAX) {
    iu__fail(err, IU_E_VALIDATION, "JSON text of %zu bytes, at most %u can be held", len, UINT32_MAX);
    return NULL;
  }
  s.list = NULL;
  s.used = s.cap = 0;
  iu__json_scan_init(&s.scan, text, len, arena);
  v = parse_value(&s);
  if (v.token != IU_J_ERROR && iu__json_scan_next(&s.scan) == 0 && s.scan.p == s.scan.end) {
    root = iu__arena_alloc(arena, sizeof *root);
    if (root != NULL) *root = v;
    else s.scan.nomem = true;
  }
  if (root == NULL) iu__json_scan_explain(&s.scan, err);
  iu__json_scan_free(&s.scan);
  iu__free(s.list);
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
