/* type_text.c: types in words, for messages. */
#include "type_node.h"

static const char *const scalar_names[IU_T_COUNT] = {
    "Ref", "sum", "product", "array", "String", "Bool", "I8", "U8", "I16", "U16",
    "I32", "U32", "I64", "U64", "I128", "U128", "I256", "U256", "F32", "F64",
};

static const char *const special_names[] = {
    [IU_S_NONE] = NULL, [IU_S_IDENTITY] = "Identity", [IU_S_CONNECTION_ID] = "ConnectionId",
    [IU_S_TIMESTAMP] = "Timestamp", [IU_S_TIME_DURATION] = "TimeDuration", [IU_S_UUID] = "Uuid",
    [IU_S_OPTION] = "Option", [IU_S_RESULT] = "Result", [IU_S_SCHEDULE_AT] = "ScheduleAt",
    [IU_S_BYTES] = "bytes", [IU_S_UNIT] = "unit",
};

const char *iu__type_label(const iu_type *t) {
  if (t->tag == IU_T_REF && t->u.target == NULL) return "Ref";
  t = iu__type_deref(t);
  return t->special != IU_S_NONE ? special_names[t->special] : scalar_names[t->tag];
}

typedef struct writer { iu_buf *out; size_t stop; const char *const *names; } writer;

static void describe(const writer *w, const iu_type *t);

static void describe_fields(const writer *w, const iu_type *t) {
  bool sum = t->tag == IU_T_SUM;
  iu__buf_put_u8(w->out, '(');
  for (uint32_t i = 0; i < t->count && !w->out->failed; i++) {
    const iu_field *f = &t->u.fields[i];
    if (i != 0) iu__buf_put_str(w->out, sum ? " | " : ", ");
    if (w->out->len > w->stop) {
      iu__buf_put_str(w->out, "...");
      break;
    }
    if (f->name != NULL) iu__buf_put_str(w->out, f->name);
    if (sum && f->name != NULL && f->type->special == IU_S_UNIT) continue;
    if (f->name != NULL) iu__buf_put_str(w->out, ": ");
    describe(w, f->type);
  }
  iu__buf_put_u8(w->out, ')');
}

static void describe_ref(const writer *w, const iu_type *t) {
  const char *name = w->names != NULL ? w->names[t->count] : NULL;
  if (name != NULL) iu__buf_put_str(w->out, name);
  else iu__buf_printf(w->out, "Ref(%u)", t->count);
}

/* Depth is bounded by iu_type.depth: refs are not followed. */
static void describe(const writer *w, const iu_type *t) {
  if (w->out->len > w->stop) {
    iu__buf_put_str(w->out, "...");
    return;
  }
  if (t->special == IU_S_OPTION || t->special == IU_S_RESULT) {
    iu__buf_put_str(w->out, t->special == IU_S_OPTION ? "Option<" : "Result<");
    describe(w, t->u.fields[0].type);
    if (t->special == IU_S_RESULT) {
      iu__buf_put_str(w->out, ", ");
      describe(w, t->u.fields[1].type);
    }
    iu__buf_put_u8(w->out, '>');
    return;
  }
  switch (t->tag) {
    case IU_T_REF: describe_ref(w, t); break;
    case IU_T_ARRAY:
      iu__buf_put_str(w->out, "Array<");
      describe(w, t->u.element);
      iu__buf_put_u8(w->out, '>');
      break;
    case IU_T_PRODUCT: case IU_T_SUM:
      if (t->special != IU_S_NONE && t->special != IU_S_UNIT) iu__buf_put_str(w->out, special_names[t->special]);
      else describe_fields(w, t);
      break;
    default: iu__buf_put_str(w->out, scalar_names[t->tag]); break;
  }
}

void iu__type_describe_named(const iu_type *t, const char *const *names, iu_buf *out) {
  writer w = {out, out->len + IU_TYPE_TEXT_MAX, names};
  describe(&w, t);
}

void iu__type_describe(const iu_type *t, iu_buf *out) { iu__type_describe_named(t, NULL, out); }
