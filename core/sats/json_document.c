/* json_document.c: the in-memory document of json.h: building, look-up, compact writing.
 *
 * Values of open containers wait in one growing list; closing a container moves its part of the list into one arena block:
 * the elements, or the members. An object's block starts with the sorted index when it needs one:
 * [index][members], see iu__json_index. Walks recurse at most IU_JSON_DEPTH_MAX deep: the reader allows no more. */
#include "json_internal.h"

#include "../base/alloc.h"

typedef iu_json_member pending; /* key NULL outside objects */

typedef struct builder {
  iu_arena *arena;
  iu_json_reader reader;
  iu_buf list;                      /* of pending */
  size_t starts[IU_JSON_DEPTH_MAX]; /* where each open container's part begins; its own entry lies before it */
} builder;

static pending *pending_at(builder *b, size_t i) { return (pending *)(void *)b->list.data + i; }
static size_t pending_count(const builder *b) { return b->list.len / sizeof(pending); }

/* Strings that lie in the text stay there; decoded ones are copied out of the scratch. */
static const char *keep_string(builder *b) {
  const iu_json_reader *r = &b->reader;

  if (r->len == 0) return "";
  if (r->s != (const char *)r->scratch.data) return r->s;
  return iu__arena_strndup(b->arena, r->s, r->len);
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
  uint32_t *spare = iu__alloc(count * sizeof *spare), *order = (uint32_t *)m - count, kept;

  if (spare == NULL) return 0;
  iu__json_sort(m, count, order, spare);
  kept = drop_duplicates(m, count, order);
  if (kept < count) iu__json_sort(m, kept, (uint32_t *)m - kept, spare);
  iu__free(spare);
  return kept;
}

static bool close_object(builder *b, iu_json *object, const pending *list, size_t count) {
  size_t index_size = count > IU_JSON_LINEAR_MAX ? (count * sizeof(uint32_t) + 15) / 16 * 16 : 0;
  iu_json_member *members;
  char *block;

  if (count == 0) return true;
  if (count > UINT32_MAX) return false;
  block = iu__arena_alloc(b->arena, index_size + count * sizeof *members);
  if (block == NULL) return false;
  members = (iu_json_member *)(void *)(block + index_size);
  memcpy(members, list, count * sizeof *members);
  object->u.members = members;
  if (count <= IU_JSON_LINEAR_MAX) object->len = order_few(members, (uint32_t)count);
  else object->len = order_many(members, (uint32_t)count);
  return object->len != 0;
}

static bool close_array(builder *b, iu_json *array, const pending *list, size_t count) {
  iu_json *elements;
  size_t i;

  if (count == 0) return true;
  if (count > UINT32_MAX) return false;
  elements = iu__arena_alloc(b->arena, count * sizeof *elements);
  if (elements == NULL) return false;
  for (i = 0; i < count; i++) elements[i] = list[i].value;
  array->u.elements = elements;
  array->len = (uint32_t)count;
  return true;
}

static bool close_container(builder *b, bool object) {
  size_t start = b->starts[b->reader.depth];
  pending *owner = pending_at(b, start - 1);
  size_t count = pending_count(b) - start;

  b->list.len = start * sizeof(pending);
  return object ? close_object(b, &owner->value, owner + 1, count) : close_array(b, &owner->value, owner + 1, count);
}

static bool fill_value(builder *b, iu_json_token t, iu_json *v) {
  const iu_json_reader *r = &b->reader;

  memset(v, 0, sizeof *v);
  v->token = (uint8_t)t;
  switch (t) {
  case IU_J_INT: v->u.i = r->i; return true;
  case IU_J_DOUBLE: v->u.d = r->d; return true;
  case IU_J_STRING:
  case IU_J_BIGINT:
    v->len = (uint32_t)r->len;
    v->u.s = keep_string(b);
    return v->u.s != NULL;
  case IU_J_ARRAY:
  case IU_J_OBJECT: b->starts[r->depth - 1] = pending_count(b) + 1; return true;
  default: return true;
  }
}

/* Reads the whole text; the root is the list's only entry afterwards. */
static iu_status build(builder *b, iu_error *err) {
  pending entry = {NULL, 0, {0}};

  for (;;) {
    iu_json_token t = iu__json_next(&b->reader);
    switch (t) {
    case IU_J_ERROR: return iu__json_reader_status(&b->reader);
    case IU_J_END: return IU_OK;
    case IU_J_KEY:
      entry.key = keep_string(b);
      entry.key_len = (uint32_t)b->reader.len;
      if (entry.key == NULL) return iu__fail_nomem(err);
      continue;
    case IU_J_ARRAY_END:
    case IU_J_OBJECT_END:
      if (!close_container(b, t == IU_J_OBJECT_END)) return iu__fail_nomem(err);
      continue;
    default:
      if (!fill_value(b, t, &entry.value)) return iu__fail_nomem(err);
      iu__buf_put(&b->list, &entry, sizeof entry);
      if (b->list.failed) return iu__fail_nomem(err);
      entry.key = NULL;
    }
  }
}

iu_json *iu__json_parse_borrowed(iu_arena *arena, const char *text, size_t len, iu_error *err) {
  builder b;
  iu_json *root = NULL;

  if (len > UINT32_MAX) {
    iu__fail(err, IU_E_VALIDATION, "JSON text of %zu bytes, at most %u can be held", len, UINT32_MAX);
    return NULL;
  }
  b.arena = arena;
  iu__buf_init(&b.list, 0);
  iu__json_reader_init(&b.reader, text, len, err);
  if (build(&b, err) == IU_OK) {
    root = iu__arena_alloc(arena, sizeof *root);
    if (root != NULL) *root = pending_at(&b, 0)->value;
    else iu__fail_nomem(err);
  }
  iu__json_reader_free(&b.reader);
  iu__buf_free(&b.list);
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

const iu_json *iu__json_get(const iu_json *object, const char *key, size_t len) {
  const uint32_t *index;
  size_t low = 0, high, i;

  if (object->token != IU_J_OBJECT) return NULL;
  if (object->len <= IU_JSON_LINEAR_MAX) {
    for (i = 0; i < object->len; i++)
      if (iu__json_key_compare(&object->u.members[i], key, len) == 0) return &object->u.members[i].value;
    return NULL;
  }
  index = iu__json_index(object);
  for (high = object->len; low < high;) {
    size_t middle = low + (high - low) / 2;
    const iu_json_member *m = &object->u.members[index[middle]];
    int order = iu__json_key_compare(m, key, len);
    if (order == 0) return &m->value;
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return NULL;
}

static void write_array(const iu_json *v, iu_buf *out) {
  size_t i;

  iu__buf_put_u8(out, '[');
  for (i = 0; i < v->len && !out->failed; i++) {
    if (i > 0) iu__buf_put_u8(out, ',');
    iu__json_write(&v->u.elements[i], out);
  }
  iu__buf_put_u8(out, ']');
}

static void write_object(const iu_json *v, iu_buf *out) {
  size_t i;

  iu__buf_put_u8(out, '{');
  for (i = 0; i < v->len && !out->failed; i++) {
    if (i > 0) iu__buf_put_u8(out, ',');
    iu__json_put_string(out, v->u.members[i].key, v->u.members[i].key_len);
    iu__buf_put_u8(out, ':');
    iu__json_write(&v->u.members[i].value, out);
  }
  iu__buf_put_u8(out, '}');
}

void iu__json_write(const iu_json *v, iu_buf *out) {
  switch (v->token) {
  case IU_J_NULL: iu__buf_put(out, "null", 4); break;
  case IU_J_TRUE: iu__buf_put(out, "true", 4); break;
  case IU_J_FALSE: iu__buf_put(out, "false", 5); break;
  case IU_J_INT: iu__json_put_i64(out, v->u.i); break;
  case IU_J_BIGINT: iu__buf_put(out, v->u.s, v->len); break;
  case IU_J_DOUBLE: iu__json_put_f64(out, v->u.d); break;
  case IU_J_STRING: iu__json_put_string(out, v->u.s, v->len); break;
  case IU_J_ARRAY: write_array(v, out); break;
  default: write_object(v, out); break;
  }
}
