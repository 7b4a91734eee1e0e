/* catalog_text.c: a table's definition as text, one fact a line. It is stored and compared byte for byte for the life of a file, so every name in
 * it is written down here and nowhere else. Types are spelled out with their refs followed (positions in a typespace shift when a schema
 * grows); a ref to a type that is being spelled out, as in a recursive type (columns of modules have none), is `^n`, n levels up. file_schema.c reads it back.
 */
#include "../base/alloc.h"
#include "catalog.h"

#define DEFINITION_MAX (1u << 20)
#define REFS_MAX 64 /* nesting through refs */

typedef struct type_walk {
  iu_buf *out;
  const iu_type *open[REFS_MAX];
  uint32_t depth;
  bool too_deep;
} type_walk;

static const char *const scalar_names[IU_T_COUNT] = {
    [IU_T_STRING] = "String", [IU_T_BOOL] = "Bool", [IU_T_I8] = "I8",     [IU_T_U8] = "U8",     [IU_T_I16] = "I16",
    [IU_T_U16] = "U16",       [IU_T_I32] = "I32",   [IU_T_U32] = "U32",   [IU_T_I64] = "I64",   [IU_T_U64] = "U64",
    [IU_T_I128] = "I128",     [IU_T_U128] = "U128", [IU_T_I256] = "I256", [IU_T_U256] = "U256", [IU_T_F32] = "F32",
    [IU_T_F64] = "F64"};

static const char *special_name(uint8_t special) {
  switch (special) {
    case IU_S_IDENTITY: return "Identity";
    case IU_S_CONNECTION_ID: return "ConnectionId";
    case IU_S_TIMESTAMP: return "Timestamp";
    case IU_S_TIME_DURATION: return "TimeDuration";
    case IU_S_UUID: return "Uuid";
    case IU_S_SCHEDULE_AT: return "ScheduleAt";
    case IU_S_BYTES: return "Bytes";
    default: return NULL;
  }
}

const char *iu__jtype_name(uint8_t tag, uint8_t special) {
  const char *name = special_name(special);

  return name != NULL || tag >= IU_T_COUNT ? name : scalar_names[tag];
}

static void put_type(type_walk *w, const iu_type *t);

static void put_fields(type_walk *w, const iu_type *t, const char *open, const char *between, const char *close) {
  iu__buf_put_str(w->out, open);
  for (uint32_t i = 0; i < t->count; i++) {
    if (i != 0) iu__buf_put_str(w->out, between);
    if (t->u.fields[i].name != NULL) iu__buf_put_str(w->out, t->u.fields[i].name);
    iu__buf_put_str(w->out, ": ");
    put_type(w, t->u.fields[i].type);
  }
  iu__buf_put_str(w->out, close);
}

static void put_plain(type_walk *w, const iu_type *t) {
  const char *name = iu__jtype_name(t->tag, t->special);

  if (name != NULL) {
    iu__buf_put_str(w->out, name);
  } else if (t->special == IU_S_OPTION || t->tag == IU_T_ARRAY) {
    iu__buf_put_str(w->out, t->special == IU_S_OPTION ? "Option<" : "Array<");
    put_type(w, t->special == IU_S_OPTION ? t->u.fields[0].type : t->u.element);
    iu__buf_put_str(w->out, ">");
  } else if (t->tag == IU_T_SUM) {
    put_fields(w, t, "{", " | ", "}");
  } else {
    put_fields(w, t, "(", ", ", ")");
  }
}

/* Depth: written types nest at most IU_TYPE_DEPTH_MAX between two refs, refs at most REFS_MAX. */
static void put_type(type_walk *w, const iu_type *t) {
  const iu_type *target = iu__type_deref(t);

  if (w->out->failed || w->too_deep) return;
  if (t->tag != IU_T_REF) {
    put_plain(w, t);
    return;
  }
  for (uint32_t up = 0; up < w->depth; up++) {
    if (w->open[w->depth - 1 - up] != target) continue;
    iu__buf_printf(w->out, "^%u", up);
    return;
  }
  if (w->depth == REFS_MAX) {
    w->too_deep = true;
    return;
  }
  w->open[w->depth++] = target;
  put_plain(w, target);
  w->depth--;
}

static void put_constraints(iu_buf *out, const iu_table_def *def) {
  if (def->primary_key >= 0) iu__buf_printf(out, "primary key %s\n", def->row->u.fields[def->primary_key].name);
  for (uint32_t i = 0; i < def->index_count; i++) {
    const iu_index_def *index = &def->indexes[i];

    if (!index->unique || (index->column_count == 1 && index->columns[0] == def->primary_key)) continue;
    iu__buf_put_str(out, "unique");
    for (uint32_t k = 0; k < index->column_count; k++) iu__buf_printf(out, " %s", def->row->u.fields[index->columns[k]].name);
    iu__buf_put_str(out, "\n");
  }
  for (uint32_t i = 0; i < def->sequence_count; i++)
    iu__buf_printf(out, "auto increment %s\n", def->row->u.fields[def->sequences[i].column].name);
}

iu_status iu__jcatalog_define(const iu_table_def *def, char **out, iu_error *err) {
  iu_buf text;
  type_walk w = {&text, {NULL}, 0, false};
  iu_status status;

  *out = NULL;
  iu__buf_init(&text, DEFINITION_MAX);
  for (uint32_t i = 0; i < def->row->count; i++) {
    iu__buf_printf(&text, "column %s ", def->row->u.fields[i].name);
    put_type(&w, def->row->u.fields[i].type);
    iu__buf_put_str(&text, "\n");
  }
  put_constraints(&text, def);
  iu__buf_put_u8(&text, 0);
  status = iu__buf_status(&text, err, "a table's definition");
  if (status == IU_OK && w.too_deep)
    status = iu__fail(err, IU_E_VALIDATION, "table `%s`: its types nest deeper than %d references", def->name, REFS_MAX);
  if (status == IU_OK) *out = (char *)iu__buf_take(&text, &(size_t){0});
  iu__buf_free(&text);
  return status;
}
