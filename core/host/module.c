/* module.c: modules declared in C (inner_universe.h, section 9): declarations go to a writer of definitions, functions are kept beside. What runs inside a
 * reducer is ctx.c. A module is counted: its handle and every universe that it is open in.
 */
#include "module.h"

static iu_status check(iu_module *m, iu_error *err) {
  if (m == NULL) return iu__missing("module", err);
  if (m->writer == NULL) return iu__fail(err, IU_E_CONFLICT, "module `%s`: it is open already: nothing can be added", m->name);
  return iu__schema_writer_status(m->writer, err);
}

iu_status iu_module_new(const char *name, iu_module **out, iu_error *err) {
  if (out == NULL) return iu__missing("out", err);
  *out = NULL;
  if (name == NULL) return iu__missing("name", err);
  iu__alloc_seal();
  iu_module *m = iu__alloc_zero(1, sizeof *m);
  if (m == NULL) return iu__fail_nomem(err);
  m->refs = 1;
  m->name = iu__strndup(name, strlen(name));
  m->writer = iu__schema_writer_new();
  if (m->name == NULL || m->writer == NULL) {
    iu_module_free(m);
    return iu__fail_nomem(err);
  }
  *out = m;
  return IU_OK;
}

void iu__module_drop(iu_module *m) {
  if (--m->refs > 0) return;
  iu__schema_writer_free(m->writer);
  iu__buf_free(&m->definition);
  iu__free(m->reducers);
  iu__free(m->name);
  iu__free(m);
}

void iu_module_free(iu_module *m) {
  if (m != NULL) iu__module_drop(m);
}

/* ---- types in words ---- */

static const struct { const char *word; uint8_t tag, special; } words[] = {
    {"string", IU_T_STRING, 0}, {"bool", IU_T_BOOL, 0}, {"i8", IU_T_I8, 0}, {"u8", IU_T_U8, 0}, {"i16", IU_T_I16, 0}, {"u16", IU_T_U16, 0},
    {"i32", IU_T_I32, 0}, {"u32", IU_T_U32, 0}, {"i64", IU_T_I64, 0}, {"u64", IU_T_U64, 0}, {"i128", IU_T_I128, 0}, {"u128", IU_T_U128, 0},
    {"i256", IU_T_I256, 0}, {"u256", IU_T_U256, 0}, {"f32", IU_T_F32, 0}, {"f64", IU_T_F64, 0}, {"bytes", 0, IU_S_BYTES},
    {"identity", 0, IU_S_IDENTITY}, {"connection_id", 0, IU_S_CONNECTION_ID}, {"timestamp", 0, IU_S_TIMESTAMP},
    {"time_duration", 0, IU_S_TIME_DURATION}, {"uuid", 0, IU_S_UUID}, {"schedule_at", 0, IU_S_SCHEDULE_AT}, {"unit", 0, IU_S_UNIT}};

static iu_status parse_type(iu_module *m, const char *text, size_t len, uint32_t depth, const iu_type **out, iu_error *err) {
  iu_typespace *ts = iu__schema_writer_types(m->writer);
  const iu_type *inner = NULL;
  iu_status status;
  char name[IU_SCHEMA_NAME_MAX + 1];
  *out = NULL;
  if (depth > IU_TYPE_DEPTH_MAX) return iu__fail(err, IU_E_VALIDATION, "a type nested over %d deep", IU_TYPE_DEPTH_MAX);
  if (len > 1 && (text[len - 1] == '?' || (text[0] == '[' && text[len - 1] == ']'))) {
    bool option = text[len - 1] == '?';
    status = option ? parse_type(m, text, len - 1, depth + 1, &inner, err) : parse_type(m, text + 1, len - 2, depth + 1, &inner, err);
    if (status != IU_OK) return status;
    *out = option ? iu__type_option(ts, inner) : iu__type_array(ts, inner);
    return IU_OK; /* NULL: the writer says why */
  }
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (strlen(words[i].word) != len || memcmp(words[i].word, text, len) != 0) continue;
    *out = words[i].special != 0 ? iu__type_special((iu_special)words[i].special) : iu__type_scalar((iu_type_tag)words[i].tag);
    return IU_OK;
  }
  if (len == 0 || len >= sizeof name) return iu__fail(err, IU_E_VALIDATION, "a type is expected, got %s", len == 0 ? "an empty text" : "a very long one");
  memcpy(name, text, len);
  name[len] = '\0';
  *out = iu__schema_writer_type_ref(m->writer, name);
  return iu__schema_writer_status(m->writer, err);
}

static iu_status type_of(iu_module *m, const char *owner, const char *name, const char *text, const iu_type **out, iu_error *err) {
  if (text == NULL || name == NULL) return iu__fail(err, IU_E_VALIDATION, "`%s`: a name and a type are expected, got NULL", owner);
  iu_status status = parse_type(m, text, strlen(text), 0, out, err);
  if (status == IU_E_VALIDATION) iu__error_prefix(err, "`%s`: `%s`", owner, name);
  return status;
}

static iu_status compound(iu_module *m, const char *name, const iu_member *members, size_t count, bool sum, iu_error *err) {
  iu_status status = check(m, err);
  if (status != IU_OK) return status;
  if (name == NULL || (members == NULL && count > 0)) return iu__missing(name == NULL ? "name" : "members", err);
  if (count > IU_TYPE_FIELDS_MAX) return iu__fail(err, IU_E_VALIDATION, "type `%s`: more than %d members", name, IU_TYPE_FIELDS_MAX);
  iu_field *fields = iu__alloc_zero(count + 1, sizeof *fields);
  if (fields == NULL) return iu__fail_nomem(err);
  for (size_t i = 0; i < count && status == IU_OK; i++) {
    fields[i].name = members[i].name;
    status = type_of(m, name, members[i].name, members[i].type, &fields[i].type, err);
  }
  iu_typespace *ts = iu__schema_writer_types(m->writer);
  if (status == IU_OK) {
    const iu_type *t = sum ? iu__type_sum(ts, (uint32_t)count, fields) : iu__type_product(ts, (uint32_t)count, fields);
    status = iu__schema_writer_type(m->writer, name, t, err);
  }
  iu__free(fields);
  return status;
}

iu_status iu_module_product(iu_module *m, const char *name, const iu_member *fields, size_t count, iu_error *err) {
  return compound(m, name, fields, count, false, err);
}
iu_status iu_module_sum(iu_module *m, const char *name, const iu_member *variants, size_t count, iu_error *err) {
  return compound(m, name, variants, count, true, err);
}

/* ---- tables ---- */

iu_status iu_module_table(iu_module *m, const char *name, unsigned flags, iu_error *err) {
  uint32_t table;
  iu_status status = check(m, err);
  if (status != IU_OK) return status;
  if (name == NULL) return iu__missing("name", err);
  if ((flags & ~(unsigned)IU_TABLE_PRIVATE) != 0) return iu__fail(err, IU_E_VALIDATION, "table `%s`: unknown flags %#x", name, flags);
  return iu__schema_writer_table(m->writer, name, (flags & IU_TABLE_PRIVATE) == 0, &table, err);
}

static iu_status table_of(iu_module *m, const char *name, uint32_t *table, iu_error *err) {
  iu_status status = check(m, err);
  if (status != IU_OK) return status;
  if (name == NULL) return iu__missing("table", err);
  return iu__schema_writer_table_named(m->writer, name, table, err);
}

static iu_status set_flags(iu_module *m, uint32_t table, const char *column, unsigned flags, iu_error *err) {
  iu_status status = IU_OK;
  if ((flags & IU_COLUMN_PRIMARY_KEY) != 0) status = iu__schema_writer_primary_key(m->writer, table, column, err);
  if (status == IU_OK && (flags & IU_COLUMN_UNIQUE) != 0) status = iu__schema_writer_unique(m->writer, table, &column, 1, err);
  if (status == IU_OK && (flags & IU_COLUMN_INDEXED) != 0) status = iu__schema_writer_index(m->writer, table, NULL, &column, 1, err);
  if (status == IU_OK && (flags & IU_COLUMN_AUTO_INC) != 0) status = iu__schema_writer_auto_inc(m->writer, table, column, err);
  return status;
}

iu_status iu_module_column(iu_module *m, const char *table, const char *name, const char *type, unsigned flags, const iu_arg *default_value, iu_error *err) {
  const iu_type *t;
  iu_buf value = {0};
  uint32_t number;
  iu_status status = table_of(m, table, &number, err);
  if (status == IU_OK) status = type_of(m, table, name, type, &t, err);
  if (status != IU_OK) return status;
  if ((flags & ~15u) != 0) return iu__fail(err, IU_E_VALIDATION, "`%s.%s`: unknown flags %#x", table, name, flags);
  if (default_value != NULL && t != NULL) { /* no type: the writer says why */
    /* A named type may not be known yet. */
    if (!iu__type_is_whole(t)) status = iu__fail(err, IU_E_VALIDATION, "`%s.%s`: a default value for a named type is given as bytes (iu_arg_bsatn)", table, name);
    if (default_value->kind == IU_ARG_BSATN) {
      status = IU_OK;
      iu__buf_put(&value, default_value->v.p, default_value->len);
    } else if (status == IU_OK) status = iu__arg_encode(default_value, t, name, &value, err);
    if (status == IU_OK) status = iu__buf_status(&value, err, "default value");
  }
  if (status == IU_OK) {
    const void *bytes = default_value == NULL ? NULL : value.data != NULL ? value.data : (const void *)"";
    status = iu__schema_writer_column(m->writer, number, name, t, bytes, value.len, err);
  }
  iu__buf_free(&value);
  return status == IU_OK ? set_flags(m, number, name, flags, err) : status;
}

iu_status iu_module_index(iu_module *m, const char *table, const char *accessor, const char *const *columns, size_t count, bool unique, iu_error *err) {
  uint32_t number;
  iu_status status = table_of(m, table, &number, err);
  if (status != IU_OK) return status;
  if (columns == NULL) return iu__missing("columns", err);
  if (count > IU_INDEX_COLUMNS_MAX) count = IU_INDEX_COLUMNS_MAX + 1;
  if (unique) status = iu__schema_writer_unique(m->writer, number, columns, (uint32_t)count, err);
  return status == IU_OK ? iu__schema_writer_index(m->writer, number, accessor, columns, (uint32_t)count, err) : status;
}

iu_status iu_module_schedule(iu_module *m, const char *table, const char *column, const char *reducer, iu_error *err) {
  uint32_t number;
  iu_status status = table_of(m, table, &number, err);
  return status == IU_OK ? iu__schema_writer_schedule(m->writer, number, column, reducer, err) : status;
}

/* ---- reducers ---- */

static iu_status add_reducer(iu_module *m, const char *name, iu_lifecycle lifecycle, iu_reducer_fn fn, void *ud, uint32_t *number, iu_error *err) {
  iu_status status = check(m, err);
  if (status != IU_OK) return status;
  if (name == NULL || fn == NULL) return iu__missing(name == NULL ? "name" : "fn", err);
  if (m->count == m->cap) {
    uint32_t cap = m->cap == 0 ? 16 : m->cap * 2;
    iu_module_reducer_fn *more = iu__realloc_array(m->reducers, cap, sizeof *more);
    if (more == NULL) return iu__fail_nomem(err);
    m->reducers = more;
    m->cap = cap;
  }
  status = iu__schema_writer_reducer(m->writer, name, lifecycle, number, err);
  if (status == IU_OK) m->reducers[m->count++] = (iu_module_reducer_fn){fn, ud};
  return status;
}

iu_status iu_module_reducer(iu_module *m, const char *name, const iu_member *params, size_t count, iu_reducer_fn fn, void *ud, iu_error *err) {
  uint32_t number;
  if (params == NULL && count > 0) return iu__missing("params", err);
  iu_status status = add_reducer(m, name, IU_LC_NONE, fn, ud, &number, err);
  for (size_t i = 0; i < count && status == IU_OK; i++) {
    const iu_type *t;
    status = type_of(m, name, params[i].name, params[i].type, &t, err);
    if (status == IU_OK) status = iu__schema_writer_param(m->writer, number, params[i].name, t, err);
  }
  return status;
}

iu_status iu_module_on(iu_module *m, iu_moment moment, iu_reducer_fn fn, void *ud, iu_error *err) {
  static const char *const names[] = {NULL, "init", "client_connected", "client_disconnected"};
  uint32_t number;
  if (moment < IU_MOMENT_INIT || moment > IU_MOMENT_DISCONNECTED) return iu__fail(err, IU_E_VALIDATION, "moment: expected 1 to 3, got %d", (int)moment);
  return add_reducer(m, names[moment], (iu_lifecycle)moment, fn, ud, &number, err);
}

/* ---- as a hosted one ---- */

typedef struct instance { iu_runtime *rt; iu_module *m; const iu_schema *schema; } instance;

static iu_status seal(iu_module *m, iu_error *err) {
  if (m->writer == NULL) return IU_OK;
  iu_status status = iu__schema_writer_end(m->writer, &m->definition, err);
  if (status != IU_OK) return status;
  iu__schema_writer_free(m->writer);
  m->writer = NULL;
  return IU_OK;
}

static iu_status hosted_define(void *ud, iu_buf *out, iu_error *err) {
  instance *i = ud;
  iu_status status = seal(i->m, err);
  if (status == IU_OK) iu__buf_put(out, i->m->definition.data, i->m->definition.len);
  return status;
}

static iu_status hosted_bound(void *ud, const iu_schema *schema, iu_store *store, uint32_t first_table, uint32_t first_reducer, iu_tx *tx, iu_error *err) {
  (void)store; (void)first_table; (void)first_reducer; (void)tx; (void)err;
  ((instance *)ud)->schema = schema;
  return IU_OK;
}

static iu_status hosted_run(void *ud, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  instance *i = ud;
  const iu_module_reducer_fn *f = &i->m->reducers[call->reducer];
  iu_ctx ctx = {.tx = tx, .schema = i->schema, .call = call};
  iu_value args = iu__value(i->schema, call->def->params, call->args.p, call->args.len);
  iu__error_clear(err);
  i->rt->gates++; /* as a callback: nothing waits in it, and what it frees is released later. A universe that is being opened has no handle yet to hold. */
  iu_status status = f->fn(f->ud, &ctx, &args, err);
  i->rt->gates--;
  iu__ctx_end(&ctx);
  if (status == IU_OK) return IU_OK;
  if (err->status == IU_OK || err->message[0] == '\0') iu__fail(err, status > IU_OK && status < IU_STATUS_COUNT ? status : IU_E_PERSISTENCE, "%s: it failed", call->def->name);
  return err->status;
}

static void hosted_release(void *ud) {
  iu__module_drop(((instance *)ud)->m);
  iu__free(ud);
}

iu_status iu__modules_hosted(iu_runtime *rt, const iu_options *o, iu_hosted_module **out, iu_error *err) {
  iu_status status = IU_OK;
  size_t n = 0;
  *out = NULL;
  if (o->module_count == 0) return IU_OK;
  if (o->modules == NULL) return iu__missing("options: modules", err);
  if (o->module_count > IU_ENGINE_MODULES_MAX) return iu__fail(err, IU_E_VALIDATION, "options: module_count: at most %d", IU_ENGINE_MODULES_MAX);
  iu_hosted_module *list = iu__alloc_zero(o->module_count, sizeof *list);
  if (list == NULL) return iu__fail_nomem(err);
  for (; n < o->module_count; n++) {
    instance *i = o->modules[n] != NULL ? iu__alloc_zero(1, sizeof *i) : NULL;
    if (i == NULL) {
      status = o->modules[n] == NULL ? iu__missing("options: modules", err) : iu__fail_nomem(err);
      break;
    }
    i->rt = rt;
    i->m = o->modules[n];
    i->m->refs++;
    list[n] = (iu_hosted_module){i->m->name, i, hosted_define, hosted_bound, hosted_run, hosted_release};
  }
  if (status == IU_OK) {
    *out = list;
    return IU_OK;
  }
  while (n-- > 0) hosted_release(list[n].ud);
  iu__free(list);
  return status;
}
