/* weigh.c: how each change is said in the fewest bytes of JSON text.
 *
 * Bottom up, two numbers a change: said by operations of its own, or inside a merge patch of an object around it (which says the path once for many
 * changes, but cannot set null and cannot address elements of arrays). A change of a container is also weighed against its whole new value. The size of
 * a new value is only counted as far as it can matter; what was counted of a large one is remembered, so that the containers around it need not
 * count it again.
 */
#include "compare_internal.h"

#include "../base/text.h"

#define TEXT_SIZE(text) (sizeof(text) - 1 + 1) /* with the comma behind it */
#define SET_BYTES TEXT_SIZE("{\"op\":\"set\",\"path\":\"\",\"value\":}")
#define DELETE_BYTES TEXT_SIZE("{\"op\":\"delete\",\"path\":\"\"}")
#define INSERT_BYTES TEXT_SIZE("{\"op\":\"insert\",\"path\":\"\",\"index\":,\"value\":}")
#define REMOVE_BYTES TEXT_SIZE("{\"op\":\"remove\",\"path\":\"\",\"index\":}")
#define PATCH_BYTES TEXT_SIZE("{\"op\":\"patch\",\"path\":\"\",\"patch\":}")
#define REMEMBER_MIN 512 /* bytes of a value whose size is remembered */

typedef struct weigher {
  iu_node_map sizes; /* size * 2, + 1 when the value is at least so large */
  bool failed;
} weigher;

static size_t digits(uint32_t v) {
  char text[IU_I64_TEXT_MAX + 1];
  return iu__u64_format(v, text);
}

/* A key as a segment of a path, as JSON text. */
static size_t segment_size(const char *key, size_t len) {
  size_t size = iu__json_string_size(key, len) - 2, i;

  if (len == 0) return 3;
  for (i = 0; i < len; i++) size += key[i] == '.' || key[i] == '\\' ? 2 : 0;
  return size;
}

/* As iu__tree_text_size; *exact = false when it may be larger than what is said. */
static size_t size_of(const weigher *w, const iu_json *v, size_t limit, bool *exact) {
  uint64_t known;
  size_t size;
  uint32_t i;

  if (!iu__tree_is_container(v)) return iu__tree_text_size(v, limit);
  if (v->len == 0) return 2;
  if (iu__node_map_get(&w->sizes, v, &known)) {
    if (known & 1) *exact = false;
    return (size_t)(known / 2);
  }
  size = (size_t)v->len + 1;
  for (i = 0; i < v->len; i++) {
    if (size > limit) {
      *exact = false;
      return size;
    }
    if (v->token == IU_J_ARRAY) {
      size += size_of(w, &v->u.elements[i], limit - size, exact);
    } else {
      size += iu__json_string_size(v->u.members[i].key, v->u.members[i].key_len) + 1;
      size += size_of(w, &v->u.members[i].value, limit > size ? limit - size : 0, exact);
    }
  }
  return size;
}

/* The new value's size when it is smaller than `limit`, else IU_WEIGHT_NONE. */
static size_t whole_size(weigher *w, const iu_json *v, size_t limit) {
  bool exact = true;
  size_t size = size_of(w, v, limit, &exact);

  if (size >= REMEMBER_MIN && iu__tree_is_container(v) && !iu__node_map_put(&w->sizes, v, (uint64_t)size * 2 + !exact)) w->failed = true;
  return exact && size < limit ? size : IU_WEIGHT_NONE;
}

/* A merge patch would take a null inside as "delete"; arrays it takes as they are. */
static bool has_null(const iu_json *v) {
  uint32_t i;

  if (v->token == IU_J_NULL) return true;
  if (v->token != IU_J_OBJECT) return false;
  for (i = 0; i < v->len; i++)
    if (has_null(&v->u.members[i].value)) return true;
  return false;
}

static void weigh(weigher *w, iu_change *c, size_t path);

static void weigh_set(weigher *w, iu_change *c, size_t path) {
  size_t size = whole_size(w, c->value, IU_WEIGHT_NONE);

  c->apart = SET_BYTES + path + size;
  c->inside = has_null(c->value) ? IU_WEIGHT_NONE : size;
}

static void weigh_text(iu_change *c, size_t path) {
  size_t size = iu__json_string_size(c->value->u.s, c->value->len), edits = PATCH_BYTES + iu__tree_text_size(c->edits, SIZE_MAX);

  c->inside = size;
  c->form = edits < SET_BYTES + size ? IU_FORM_PARTS : IU_FORM_WHOLE;
  c->apart = path + (edits < SET_BYTES + size ? edits : SET_BYTES + size);
}

/* Takes the whole new value where that is smaller than `apart`; its size, or IU_WEIGHT_NONE when it is not. */
static size_t or_whole(weigher *w, iu_change *c, size_t path) {
  size_t whole = whole_size(w, c->value, c->apart);

  if (whole == IU_WEIGHT_NONE || SET_BYTES + path + whole >= c->apart) return whole;
  c->apart = SET_BYTES + path + whole;
  c->form = IU_FORM_WHOLE;
  return whole;
}

static void weigh_object(weigher *w, iu_change *c, size_t path) {
  size_t apart = 0, inside = 2;
  uint32_t merged = 0;
  iu_change *part;

  for (part = c->first; part != NULL; part = part->next) {
    size_t key = iu__json_string_size(part->key, part->key_len) + 2;
    weigh(w, part, path + (path > 0) + segment_size(part->key, part->key_len));
    apart += part->apart;
    part->merged = key + part->inside <= part->apart;
    merged += part->merged;
    inside += part->merged ? key + part->inside : part->apart;
  }
  c->inside = merged > 0 ? inside : IU_WEIGHT_NONE;
  c->form = merged > 1 && PATCH_BYTES + path + inside < apart ? IU_FORM_PATCH : IU_FORM_PARTS;
  c->apart = c->form == IU_FORM_PATCH ? PATCH_BYTES + path + inside : apart;
  or_whole(w, c, path);
}

static void weigh_array(weigher *w, iu_change *c, size_t path) {
  iu_change *part;

  c->apart = 0;
  c->form = IU_FORM_PARTS;
  for (part = c->first; part != NULL; part = part->next) {
    size_t index = digits(part->index);
    if (part->kind == IU_CHANGE_REMOVE) part->apart = REMOVE_BYTES + path + index;
    else if (part->kind == IU_CHANGE_INSERT) part->apart = INSERT_BYTES + path + index + whole_size(w, part->value, IU_WEIGHT_NONE);
    else weigh(w, part, path + (path > 0) + index);
    c->apart += part->apart;
  }
  c->inside = or_whole(w, c, path);
}

/* `path`: bytes of the path to it, as JSON text. */
static void weigh(weigher *w, iu_change *c, size_t path) {
  switch (c->kind) {
  case IU_CHANGE_SET: weigh_set(w, c, path); break;
  case IU_CHANGE_TEXT: weigh_text(c, path); break;
  case IU_CHANGE_OBJECT: weigh_object(w, c, path); break;
  case IU_CHANGE_ARRAY: weigh_array(w, c, path); break;
  default:
    c->apart = DELETE_BYTES + path;
    c->inside = 4;
    break;
  }
}

bool iu__weigh(iu_change *root) {
  weigher w = {{NULL, 0, 0}, false};

  weigh(&w, root, 0);
  iu__node_map_free(&w.sizes);
  return !w.failed;
}
