/* emit.c: the operations of a weighed tree of changes. An array's parts come in ascending order, so that each index is that of the new array. */
#include "compare_internal.h"

#include "../base/text.h"
#include "../base/alloc.h"

typedef struct emitter {
  iu_arena *arena;
  iu_buf path, list; /* dotted; of iu_operation */
  bool failed;
} emitter;

/* Adds a segment; the path's length before it. */
static size_t push_segment(emitter *e, const iu_change *part, bool in_array) {
  size_t before = e->path.len;
  uint32_t i;

  if (before > 0) iu__buf_put_u8(&e->path, '.');
  if (in_array) {
    char text[IU_I64_TEXT_MAX + 1];
    iu__buf_put(&e->path, text, iu__u64_format(part->index, text));
    return before;
  }
  if (part->key_len == 0) iu__buf_put(&e->path, "\\e", 2);
  for (i = 0; i < part->key_len; i++) {
    if (part->key[i] == '.' || part->key[i] == '\\') iu__buf_put_u8(&e->path, '\\');
    iu__buf_put_u8(&e->path, (uint8_t)part->key[i]);
  }
  return before;
}

static void add(emitter *e, uint8_t kind, const iu_json *value) {
  iu_operation op = {kind, false, 0, NULL, e->path.len, value};

  op.path = iu__arena_strndup(e->arena, (const char *)e->path.data, e->path.len);
  if (op.path == NULL) e->failed = true;
  else iu__buf_put(&e->list, &op, sizeof op);
}

static void add_indexed(emitter *e, uint8_t kind, const iu_change *part) {
  add(e, kind, kind == IU_OP_INSERT ? part->value : NULL);
  if (e->failed || e->list.failed) return;
  iu_operation *op = (iu_operation *)(void *)(e->list.data + e->list.len) - 1;
  op->has_index = true;
  op->index = part->index;
}

static void emit(emitter *e, const iu_change *c);

static void emit_part(emitter *e, const iu_change *part, bool in_array) {
  size_t before = push_segment(e, part, in_array);

  emit(e, part);
  e->path.len = before;
}

static void fill_patch(emitter *e, const iu_change *c, iu_json *patch);

/* The value that stands for a change in the merge patch around it. */
static void fill_merged(emitter *e, const iu_change *part, iu_json *value) {
  size_t before;

  if (part->kind == IU_CHANGE_OBJECT) {
    before = push_segment(e, part, false);
    fill_patch(e, part, value);
    e->path.len = before;
  } else if (part->kind == IU_CHANGE_DELETE) {
    value->token = IU_J_NULL;
  } else {
    *value = *part->value;
  }
}

/* A merge patch of what is said in one, and operations for the rest. */
static void fill_patch(emitter *e, const iu_change *c, iu_json *patch) {
  uint32_t count = 0, i = 0;
  const iu_change *part;
  iu_json_member *members;

  for (part = c->first; part != NULL; part = part->next) count += part->merged;
  members = iu__json_members_new(e->arena, count);
  if (members == NULL) {
    e->failed = true;
    return;
  }
  for (part = c->first; part != NULL && !e->failed; part = part->next) {
    if (!part->merged) {
      emit_part(e, part, false);
      continue;
    }
    members[i].key = part->key;
    members[i].key_len = part->key_len;
    fill_merged(e, part, &members[i++].value);
  }
  if (!e->failed && !iu__json_object_make(patch, members, count)) e->failed = true;
}

static void emit_patch(emitter *e, const iu_change *c) {
  iu_json *patch = iu__arena_zero(e->arena, 1, sizeof *patch);

  if (patch == NULL) {
    e->failed = true;
    return;
  }
  add(e, IU_OP_PATCH, patch); /* before what fill_patch adds */
  fill_patch(e, c, patch);
}

static void emit(emitter *e, const iu_change *c) {
  const iu_change *part;

  if (e->failed || e->path.failed || e->list.failed) return;
  if (c->kind == IU_CHANGE_DELETE) {
    add(e, IU_OP_DELETE, NULL);
  } else if (c->kind == IU_CHANGE_SET || c->form == IU_FORM_WHOLE) {
    add(e, IU_OP_SET, c->value);
  } else if (c->kind == IU_CHANGE_TEXT) {
    add(e, IU_OP_PATCH, c->edits);
  } else if (c->form == IU_FORM_PATCH) {
    emit_patch(e, c);
  } else {
    for (part = c->first; part != NULL; part = part->next) {
      if (part->kind == IU_CHANGE_INSERT) add_indexed(e, IU_OP_INSERT, part);
      else if (part->kind == IU_CHANGE_REMOVE) add_indexed(e, IU_OP_REMOVE, part);
      else emit_part(e, part, c->kind == IU_CHANGE_ARRAY);
    }
  }
}

bool iu__emit(const iu_change *root, iu_arena *arena, iu_operations *out) {
  emitter e = {arena, {0}, {0}, false};
  bool ok;

  emit(&e, root);
  ok = !e.failed && !e.path.failed && !e.list.failed && e.list.len / sizeof(iu_operation) <= UINT32_MAX;
  if (ok) {
    out->count = (uint32_t)(e.list.len / sizeof(iu_operation));
    out->list = iu__arena_alloc(arena, e.list.len);
    ok = out->list != NULL;
    if (ok) memcpy(out->list, e.list.data, e.list.len);
  }
  iu__buf_free(&e.path);
  iu__buf_free(&e.list);
  return ok;
}
