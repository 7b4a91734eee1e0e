/* apply.c: see apply.h. Each operation walks its path from the root of a draft (draft.h), thawing what is on the way. */
#include "apply.h"

#include <stdio.h>

#include "draft.h"

#define SHOWN 48 /* bytes of a path or key in a message */

typedef struct applier {
  iu_draft draft;
  const iu_operation *op;
  iu_buf segment; /* the one read last */
  const char *p, *end; /* what is left of the path */
  iu_error *err;
} applier;

static iu_status refuse(applier *a, const char *fmt, const char *what) {
  char shown[SHOWN * 4 + 4];

  iu__fail(a->err, IU_E_VALIDATION, fmt, what);
  iu__error_prefix(a->err, "path \"%s\"", iu__printable(shown, SHOWN, a->op->path, a->op->path_len));
  return IU_E_VALIDATION;
}

static iu_status no_memory(applier *a) { return iu__fail_nomem(a->err); }

static const char *kind_name(const iu_json *slot) {
  switch (iu__draft_token(slot)) {
  case IU_J_ARRAY: return "an array";
  case IU_J_OBJECT: return "an object";
  case IU_J_STRING: return "a string";
  case IU_J_NULL: return "null";
  case IU_J_TRUE:
  case IU_J_FALSE: return "a boolean";
  default: return "a number";
  }
}

/* ---- paths ---- */

static iu_status next_segment(applier *a) {
  size_t len = iu__path_segment(&a->p, a->end, (char *)a->segment.data);

  if (len == SIZE_MAX && a->p < a->end && *a->p == '\\') return refuse(a, "%s", "a backslash must come before a dot or another backslash, or be the whole segment \\e");
  if (len == SIZE_MAX) return refuse(a, "%s", "an empty segment (an empty key is written \\e)");
  a->segment.len = len;
  if (a->p == a->end) return IU_OK;
  a->p++;
  if (a->p == a->end) return refuse(a, "%s", "an empty segment (an empty key is written \\e)");
  return IU_OK;
}

static iu_status no_member(applier *a) {
  char shown[SHOWN * 4 + 4];
  return refuse(a, "there is no member \"%s\"", iu__printable(shown, SHOWN, a->segment.data, a->segment.len));
}

/* The index that the segment is, below `limit`. */
static iu_status segment_index(applier *a, const iu_json *array, uint32_t *index) {
  uint64_t i = iu__path_index((const char *)a->segment.data, a->segment.len);
  char shown[SHOWN * 4 + 4], text[SHOWN * 4 + 64];

  iu__printable(shown, SHOWN, a->segment.data, a->segment.len);
  if (i == UINT64_MAX) return refuse(a, "\"%s\" is no index of an array", shown);
  if (i >= iu__draft_count(array)) {
    snprintf(text, sizeof text, "%s is past the end of %u elements", shown, iu__draft_count(array));
    return refuse(a, "index %s", text);
  }
  *index = (uint32_t)i;
  return IU_OK;
}

/* From the container in *slot to what the segment names. */
static iu_status descend(applier *a, iu_json **slot) {
  uint32_t index;
  iu_status status;

  if (iu__draft_token(*slot) == IU_J_OBJECT) {
    iu_json *member;
    if (!iu__draft_member(&a->draft, *slot, (const char *)a->segment.data, a->segment.len, false, &member)) return no_memory(a);
    if (member == NULL) return no_member(a);
    *slot = member;
    return IU_OK;
  }
  if (iu__draft_token(*slot) != IU_J_ARRAY) return refuse(a, "it leads into %s", kind_name(*slot));
  status = segment_index(a, *slot, &index);
  if (status != IU_OK) return status;
  *slot = iu__draft_element(&a->draft, *slot, index);
  return *slot != NULL ? IU_OK : no_memory(a);
}

/* Walks the path; `parent`: up to the container that its last segment is in, which is then in a->segment. *depth: containers passed. */
static iu_status walk(applier *a, bool parent, iu_json **slot, uint32_t *depth) {
  const iu_operation *op = a->op;
  iu_status status;

  *slot = &a->draft.root;
  *depth = 0;
  a->segment.len = 0;
  if (!iu__buf_reserve(&a->segment, op->path_len + 1)) return no_memory(a);
  for (a->p = op->path, a->end = op->path + op->path_len; a->p < a->end;) {
    status = next_segment(a);
    if (status != IU_OK || (parent && a->p == a->end)) return status;
    status = descend(a, slot);
    if (status != IU_OK) return status;
    ++*depth;
  }
  return IU_OK;
}

static iu_status check_depth(applier *a, uint32_t depth, const iu_json *value) {
  char text[64];

  if (!iu__tree_is_container(value) || depth + iu__tree_depth(value) <= IU_JSON_DEPTH_MAX) return IU_OK;
  snprintf(text, sizeof text, "%d", IU_JSON_DEPTH_MAX);
  return refuse(a, "nesting would be deeper than %s", text);
}

/* ---- set, delete, insert, remove ---- */

static iu_status apply_set(applier *a) {
  uint32_t depth, index;
  iu_json *slot;
  iu_status status = walk(a, true, &slot, &depth);

  if (status == IU_OK) status = check_depth(a, a->op->path_len > 0 ? depth + 1 : 0, a->op->value);
  if (status != IU_OK) return status;
  if (a->op->path_len == 0) {
    iu__draft_set(&a->draft, slot, a->op->value);
    return IU_OK;
  }
  if (iu__draft_token(slot) == IU_J_OBJECT) {
    if (!iu__draft_member(&a->draft, slot, (const char *)a->segment.data, a->segment.len, true, &slot)) return no_memory(a);
  } else if (iu__draft_token(slot) == IU_J_ARRAY) {
    status = segment_index(a, slot, &index);
    if (status != IU_OK) return status;
    slot = iu__draft_element(&a->draft, slot, index);
    if (slot == NULL) return no_memory(a);
  } else {
    return refuse(a, "it leads into %s", kind_name(slot));
  }
  iu__draft_set(&a->draft, slot, a->op->value);
  return IU_OK;
}

static iu_status apply_delete(applier *a) {
  uint32_t depth;
  iu_json *slot;
  bool found;
  iu_status status = walk(a, true, &slot, &depth);

  if (status != IU_OK) return status;
  if (a->op->path_len == 0) return refuse(a, "%s", "the whole state cannot be deleted");
  if (iu__draft_token(slot) != IU_J_OBJECT) return refuse(a, "only a member of an object can be deleted, it leads into %s", kind_name(slot));
  if (!iu__draft_delete(&a->draft, slot, (const char *)a->segment.data, a->segment.len, &found)) return no_memory(a);
  return found ? IU_OK : no_member(a);
}

static iu_status walk_to_array(applier *a, uint32_t limit_beyond, iu_json **slot, uint32_t *depth) {
  iu_status status = walk(a, false, slot, depth);
  char text[96];

  if (status != IU_OK) return status;
  if (iu__draft_token(*slot) != IU_J_ARRAY) return refuse(a, "expected an array, it is %s", kind_name(*slot));
  if (!a->op->has_index || a->op->index < (uint64_t)iu__draft_count(*slot) + limit_beyond) return IU_OK;
  snprintf(text, sizeof text, "%u is past the end of %u elements", a->op->index, iu__draft_count(*slot));
  return refuse(a, "index %s", text);
}

static iu_status apply_insert(applier *a) {
  uint32_t depth;
  iu_json *slot;
  iu_status status = walk_to_array(a, 1, &slot, &depth);

  if (status == IU_OK) status = check_depth(a, depth + 1, a->op->value);
  if (status != IU_OK) return status;
  return iu__draft_insert(&a->draft, slot, a->op->has_index ? a->op->index : iu__draft_count(slot), a->op->value) ? IU_OK : no_memory(a);
}

static iu_status apply_remove(applier *a) {
  uint32_t depth;
  iu_json *slot;
  iu_status status = walk_to_array(a, 0, &slot, &depth);

  if (status != IU_OK) return status;
  return iu__draft_remove(&a->draft, slot, a->op->index) ? IU_OK : no_memory(a);
}

/* ---- patch ---- */

static bool at_border(const iu_json *text, uint64_t at) { return at == text->len || ((unsigned char)text->u.s[at] & 0xC0) != 0x80; }

/* Checks one edit, which may begin at `from`; the next may begin at *from then. Adds its change of length. */
static iu_status check_edit(applier *a, const iu_json *old, const iu_json *edit, uint64_t *from, uint64_t *size) {
  const iu_json *e = edit->u.elements;
  uint64_t at, count;

  if (edit->token != IU_J_ARRAY || edit->len != 3 || e[0].token != IU_J_INT || e[1].token != IU_J_INT || e[2].token != IU_J_STRING || e[0].u.i < 0 || e[1].u.i < 0)
    return refuse(a, "%s", "patch of a string: expected edits [at, count, text]");
  at = (uint64_t)e[0].u.i;
  count = (uint64_t)e[1].u.i;
  if (at < *from) return refuse(a, "%s", "patch of a string: edits must be ascending and not overlap");
  if (at > old->len || count > old->len - at) return refuse(a, "%s", "patch of a string: an edit is past the end of the string");
  if (!at_border(old, at) || !at_border(old, at + count)) return refuse(a, "%s", "patch of a string: an edit is inside a code point");
  *from = at + count;
  *size += (uint64_t)e[2].len - count;
  return IU_OK;
}

static iu_status patch_string(applier *a, iu_json *slot, const iu_json *edits) {
  uint64_t from = 0, size = slot->len;
  iu_json text = {.token = IU_J_STRING};
  const char *old = slot->u.s;
  char *out;
  uint32_t i;

  if (edits->token != IU_J_ARRAY && !(edits->token == IU_J_OBJECT && edits->len == 0)) return refuse(a, "%s", "patch of a string: expected a list of edits");
  for (i = 0; i < edits->len; i++) {
    iu_status status = check_edit(a, slot, &edits->u.elements[i], &from, &size);
    if (status != IU_OK) return status;
  }
  if (size > UINT32_MAX) return refuse(a, "%s", "patch of a string: the string would be too long");
  out = iu__arena_alloc(a->draft.arena, (size_t)size);
  if (out == NULL) return no_memory(a);
  text.len = (uint32_t)size;
  text.u.s = out;
  for (i = 0, from = 0; i < edits->len; i++) {
    const iu_json *e = edits->u.elements[i].u.elements;
    uint64_t at = (uint64_t)e[0].u.i;
    memcpy(out, old + from, (size_t)(at - from));
    out += at - from;
    if (e[2].len > 0) memcpy(out, e[2].u.s, e[2].len);
    out += e[2].len;
    from = at + (uint64_t)e[1].u.i;
  }
  if (slot->len > from) memcpy(out, old + from, (size_t)(slot->len - from));
  iu__draft_set(&a->draft, slot, &text);
  return IU_OK;
}

/* RFC 7386. Recurses once a level of the patch. */
static bool merge(applier *a, iu_json *slot, const iu_json *patch) {
  static const iu_json empty = {.token = IU_J_OBJECT};
  uint32_t i;
  bool found;

  if (patch->token != IU_J_OBJECT) {
    iu__draft_set(&a->draft, slot, patch);
    return true;
  }
  if (iu__draft_token(slot) != IU_J_OBJECT) iu__draft_set(&a->draft, slot, &empty);
  for (i = 0; i < patch->len; i++) {
    const iu_json_member *m = &patch->u.members[i];
    iu_json *member;
    if (m->value.token == IU_J_NULL) {
      if (!iu__draft_delete(&a->draft, slot, m->key, m->key_len, &found)) return false;
      continue;
    }
    if (!iu__draft_member(&a->draft, slot, m->key, m->key_len, true, &member) || !merge(a, member, &m->value)) return false;
  }
  return true;
}

static iu_status apply_patch(applier *a) {
  const iu_json *patch = a->op->value;
  uint32_t depth;
  iu_json *slot;
  iu_status status = walk(a, false, &slot, &depth);

  if (status != IU_OK) return status;
  if (iu__draft_token(slot) == IU_J_STRING) return patch_string(a, slot, patch);
  if (iu__draft_token(slot) != IU_J_OBJECT) return refuse(a, "only a string or an object can be patched, it is %s", kind_name(slot));
  if (patch->token != IU_J_OBJECT) return refuse(a, "%s", "patch of an object: expected an object");
  status = check_depth(a, depth, patch);
  return status != IU_OK ? status : merge(a, slot, patch) ? IU_OK : no_memory(a);
}

static iu_status apply_one(applier *a) {
  switch (a->op->kind) {
  case IU_OP_SET: return apply_set(a);
  case IU_OP_DELETE: return apply_delete(a);
  case IU_OP_INSERT: return apply_insert(a);
  case IU_OP_REMOVE: return apply_remove(a);
  default: return apply_patch(a);
  }
}

iu_status iu__apply(const iu_json *root, const iu_operations *ops, iu_arena *arena, size_t drop_limit, size_t *dropped, const iu_json **out, iu_error *err) {
  iu_status status = IU_OK;
  applier a = {.err = err};
  uint32_t i;

  *out = NULL;
  iu__draft_begin(&a.draft, root, arena, dropped != NULL ? drop_limit : 0);
  for (i = 0; i < ops->count && status == IU_OK; i++) {
    a.op = &ops->list[i];
    status = apply_one(&a);
    if (status == IU_E_VALIDATION) iu__error_prefix(err, "operations[%u] %s", i + 1, iu__operation_name(a.op->kind));
  }
  if (status == IU_OK) {
    *out = iu__draft_freeze(&a.draft);
    if (*out == NULL) status = iu__fail_nomem(err);
  }
  if (dropped != NULL) *dropped = a.draft.dropped;
  iu__draft_end(&a.draft);
  iu__buf_free(&a.segment);
  return status;
}
