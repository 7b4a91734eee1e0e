/* operations.c: see operations.h. */
#include "operations.h"

#include "../base/text.h"

static const struct { const char *name; bool value, index, patch; } forms[IU_OP_COUNT] = {
    {"set", true, false, false}, {"delete", false, false, false}, {"insert", true, true, false}, {"remove", false, true, false}, {"patch", false, false, true}};

const char *iu__operation_name(uint8_t kind) { return forms[kind].name; }

static bool is_text(const iu_json *v, const char *text) { return v->len == strlen(text) && memcmp(v->u.s, text, v->len) == 0; }

static iu_status read_kind(const iu_json *v, iu_operation *op, iu_error *err) {
  const iu_json *name = iu__json_get(v, "op", 2);
  char shown[32 * 4 + 4];

  if (name == NULL || name->token != IU_J_STRING) return iu__fail(err, IU_E_VALIDATION, "op: expected set, delete, insert, remove or patch");
  for (op->kind = 0; op->kind < IU_OP_COUNT && !is_text(name, forms[op->kind].name); op->kind++) {}
  if (op->kind < IU_OP_COUNT) return IU_OK;
  return iu__fail(err, IU_E_VALIDATION, "op: expected set, delete, insert, remove or patch, got \"%s\"", iu__printable(shown, 32, name->u.s, name->len));
}

static iu_status read_index(const iu_json *v, iu_operation *op, iu_error *err) {
  const iu_json *index = iu__json_get(v, "index", 5);

  if (index == NULL && op->kind == IU_OP_INSERT) return IU_OK;
  if (index == NULL || index->token != IU_J_INT || index->u.i < 0) return iu__fail(err, IU_E_VALIDATION, "index: expected an integer from 0 on");
  op->has_index = true;
  op->index = index->u.i < UINT32_MAX ? (uint32_t)index->u.i : UINT32_MAX; /* no array is so long */
  return IU_OK;
}

static iu_status read_operation(const iu_json *v, iu_operation *op, iu_error *err) {
  const iu_json *path;
  uint32_t fields = 2;
  iu_status status;

  memset(op, 0, sizeof *op);
  if (v->token != IU_J_OBJECT) return iu__fail(err, IU_E_VALIDATION, "expected an object");
  status = read_kind(v, op, err);
  if (status != IU_OK) return status;
  path = iu__json_get(v, "path", 4);
  if (path == NULL || path->token != IU_J_STRING) return iu__fail(err, IU_E_VALIDATION, "%s: path: expected a string", forms[op->kind].name);
  op->path = path->u.s;
  op->path_len = path->len;
  if (forms[op->kind].index) {
    status = read_index(v, op, err);
    if (status != IU_OK) iu__error_prefix(err, "%s", forms[op->kind].name);
    if (status != IU_OK) return status;
    fields += op->has_index;
  }
  if (forms[op->kind].value || forms[op->kind].patch) {
    const char *field = forms[op->kind].value ? "value" : "patch";
    op->value = iu__json_get(v, field, 5);
    if (op->value == NULL) return iu__fail(err, IU_E_VALIDATION, "%s: %s is missing (null is written as null)", forms[op->kind].name, field);
    fields++;
  }
  if (v->len != fields) return iu__fail(err, IU_E_VALIDATION, "%s: has a field that it does not know", forms[op->kind].name);
  return IU_OK;
}

iu_status iu__operations_read(const iu_json *list, iu_arena *arena, iu_operations *out, iu_error *err) {
  uint32_t i;

  memset(out, 0, sizeof *out);
  if (list->token == IU_J_OBJECT && list->len == 0) return IU_OK; /* Lua's empty table */
  if (list->token != IU_J_ARRAY) return iu__fail(err, IU_E_VALIDATION, "operations: expected a list");
  if (list->len > IU_OPERATIONS_MAX) return iu__fail(err, IU_E_VALIDATION, "operations: %u of them, the limit is %u", list->len, IU_OPERATIONS_MAX);
  out->list = iu__arena_alloc(arena, list->len * sizeof *out->list);
  if (out->list == NULL) return iu__fail_nomem(err);
  for (i = 0; i < list->len; i++) {
    iu_status status = read_operation(&list->u.elements[i], &out->list[i], err);
    if (status == IU_OK) continue;
    iu__error_prefix(err, "operations[%u]", i + 1);
    return status;
  }
  out->count = list->len;
  return IU_OK;
}

void iu__operation_write(const iu_operation *op, iu_buf *out) {
  iu__buf_put_str(out, "{\"op\":\"");
  iu__buf_put_str(out, forms[op->kind].name);
  iu__buf_put_str(out, "\",\"path\":");
  iu__json_put_string(out, op->path, op->path_len);
  if (op->has_index) {
    iu__buf_put_str(out, ",\"index\":");
    iu__json_put_i64(out, op->index);
  }
  if (op->value != NULL) {
    iu__buf_put_str(out, op->kind == IU_OP_PATCH ? ",\"patch\":" : ",\"value\":");
    iu__json_write(op->value, out);
  }
  iu__buf_put_u8(out, '}');
}

void iu__operations_write(const iu_operations *ops, iu_buf *out) {
  uint32_t i;

  iu__buf_put_u8(out, '[');
  for (i = 0; i < ops->count && !out->failed; i++) {
    if (i > 0) iu__buf_put_u8(out, ',');
    iu__operation_write(&ops->list[i], out);
  }
  iu__buf_put_u8(out, ']');
}
