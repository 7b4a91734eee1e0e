/* module_def.c: the schema answer of a server, RawModuleDefV9 as SATS-JSON (or V10, which module_def_v10.c turns into it). RawModuleDefV9 is itself
 * described as an algebraic type here, so that one call turns the JSON into the BSATN which iu__schema_decode takes and judges. Depth is bounded by the JSON
 * reader (IU_JSON_DEPTH_MAX) and by IU_TYPE_DEPTH_MAX for the value: compounds nested without refs, which only Option and Result may be, up to 14.
 */
#include "../sats/sats_json.h"
#include "message_internal.h"

/* The type's own type, types[0], is recursive through refs to itself. */
enum { ALGEBRAIC_TYPE };
#define RULES_COLUMN 5
#define VERSION_9 1

#define COUNT(list) (uint32_t)(sizeof(list) / sizeof *(list))
#define PRODUCT(ts, ...) iu__type_product(ts, COUNT(((iu_field[]){__VA_ARGS__})), (iu_field[]){__VA_ARGS__})
#define SUM(ts, ...) iu__type_sum(ts, COUNT(((iu_field[]){__VA_ARGS__})), (iu_field[]){__VA_ARGS__})

static const iu_type *text(void) { return iu__type_scalar(IU_T_STRING); }
static const iu_type *unit(void) { return iu__type_special(IU_S_UNIT); }
static const iu_type *u16(void) { return iu__type_scalar(IU_T_U16); }
static const iu_type *u32(void) { return iu__type_scalar(IU_T_U32); }
static const iu_type *boolean(void) { return iu__type_scalar(IU_T_BOOL); }
static const iu_type *name(iu_typespace *ts) { return iu__type_option(ts, text()); }
static const iu_type *columns(iu_typespace *ts) { return iu__type_array(ts, u16()); }
static const iu_type *type_ref(iu_typespace *ts) { return iu__type_ref(ts, ALGEBRAIC_TYPE); }

/* SumType and ProductType: [{name, algebraic_type}] under one key. */
static const iu_type *parts(iu_typespace *ts, const char *key) {
  const iu_type *part = PRODUCT(ts, {"name", name(ts)}, {"algebraic_type", type_ref(ts)});
  return PRODUCT(ts, {key, iu__type_array(ts, part)});
}

static const iu_type *params(iu_typespace *ts) { return parts(ts, "elements"); }

static const iu_type *algebraic_type(iu_typespace *ts) {
  return SUM(ts, {"Ref", u32()}, {"Sum", parts(ts, "variants")}, {"Product", params(ts)}, {"Array", type_ref(ts)}, {"String", unit()},
             {"Bool", unit()}, {"I8", unit()}, {"U8", unit()}, {"I16", unit()}, {"U16", unit()}, {"I32", unit()}, {"U32", unit()}, {"I64", unit()},
             {"U64", unit()}, {"I128", unit()}, {"U128", unit()}, {"I256", unit()}, {"U256", unit()}, {"F32", unit()}, {"F64", unit()});
}

static const iu_type *index_type(iu_typespace *ts) {
  const iu_type *algorithm = SUM(ts, {"BTree", columns(ts)}, {"Hash", columns(ts)}, {"Direct", u16()});
  return PRODUCT(ts, {"name", name(ts)}, {"accessor_name", name(ts)}, {"algorithm", algorithm});
}

static const iu_type *constraint_type(iu_typespace *ts) {
  const iu_type *data = SUM(ts, {"Unique", PRODUCT(ts, {"columns", columns(ts)})});
  return PRODUCT(ts, {"name", name(ts)}, {"data", data});
}

static const iu_type *sequence_type(iu_typespace *ts) {
  const iu_type *i128 = iu__type_scalar(IU_T_I128), *optional = iu__type_option(ts, i128);
  return PRODUCT(ts, {"name", name(ts)}, {"column", u16()}, {"start", optional}, {"min_value", optional}, {"max_value", optional}, {"increment", i128});
}

static const iu_type *table_type(iu_typespace *ts) {
  const iu_type *schedule = PRODUCT(ts, {"name", name(ts)}, {"reducer_name", text()}, {"scheduled_at_column", u16()});
  return PRODUCT(ts, {"name", text()}, {"product_type_ref", u32()}, {"primary_key", columns(ts)}, {"indexes", iu__type_array(ts, index_type(ts))},
                 {"constraints", iu__type_array(ts, constraint_type(ts))}, {"sequences", iu__type_array(ts, sequence_type(ts))},
                 {"schedule", iu__type_option(ts, schedule)}, {"table_type", SUM(ts, {"System", unit()}, {"User", unit()})},
                 {"table_access", SUM(ts, {"Public", unit()}, {"Private", unit()})});
}

static const iu_type *reducer_type(iu_typespace *ts) {
  const iu_type *lifecycle = SUM(ts, {"Init", unit()}, {"OnConnect", unit()}, {"OnDisconnect", unit()});
  return PRODUCT(ts, {"name", text()}, {"params", params(ts)}, {"lifecycle", iu__type_option(ts, lifecycle)});
}

static const iu_type *named_type(iu_typespace *ts) {
  const iu_type *scoped = PRODUCT(ts, {"scope", iu__type_array(ts, text())}, {"name", text()});
  return PRODUCT(ts, {"name", scoped}, {"ty", u32()}, {"custom_ordering", boolean()});
}

static const iu_type *export_type(iu_typespace *ts) {
  const iu_type *value = PRODUCT(ts, {"table", text()}, {"col_id", u16()}, {"value", iu__type_special(IU_S_BYTES)});
  const iu_type *procedure = PRODUCT(ts, {"name", text()}, {"params", params(ts)}, {"return_type", type_ref(ts)});
  const iu_type *view = PRODUCT(ts, {"name", text()}, {"index", u32()}, {"is_public", boolean()}, {"is_anonymous", boolean()}, {"params", params(ts)},
                                {"return_type", type_ref(ts)});
  return SUM(ts, {"ColumnDefaultValue", value}, {"Procedure", procedure}, {"View", view});
}

/* `type`, made with the type's own type, in ts, linked; NULL and *err on no memory. */
static const iu_type *settle(iu_typespace *ts, const iu_type *type, iu_error *err) {
  const iu_type *types[1] = {algebraic_type(ts)};
  if (types[0] != NULL && type != NULL) ts->types = iu__arena_alloc(&ts->arena, sizeof types);
  if (ts->types == NULL) {
    iu__fail_nomem(err);
    return NULL;
  }
  ts->types[ALGEBRAIC_TYPE] = types[0];
  ts->count = 1;
  return iu__typespace_link(ts, err) == IU_OK ? type : NULL;
}

/* RawModuleDefV9. */
static const iu_type *module_type(iu_typespace *ts, iu_error *err) {
  const iu_type *space = PRODUCT(ts, {"types", iu__type_array(ts, type_ref(ts))}), *rule = PRODUCT(ts, {"sql", text()});
  const iu_type *module = PRODUCT(ts, {"typespace", space}, {"tables", iu__type_array(ts, table_type(ts))},
                                  {"reducers", iu__type_array(ts, reducer_type(ts))}, {"types", iu__type_array(ts, named_type(ts))},
                                  {"misc_exports", iu__type_array(ts, export_type(ts))}, {"row_level_security", iu__type_array(ts, rule)});
  return settle(ts, module, err);
}

const iu_type *iu__product_type_type(iu_typespace *ts, iu_error *err) { return settle(ts, params(ts), err); }

/* The rules of row level security are the last column: an empty list in their place. */
static iu_status drop_rules(const iu_type *module, iu_buf *definition, iu_error *err) {
  iu_slice rules = iu__bsatn_column(module, RULES_COLUMN, definition->data + 1, definition->len - 1);
  definition->len = (size_t)(rules.p - definition->data);
  iu__buf_put_u32(definition, 0);
  return iu__buf_status(definition, err, "module definition");
}

static iu_status convert(const void *json, size_t len, iu_buf *definition, iu_error *err) {
  iu_typespace ts = {0};
  const iu_type *module = module_type(&ts, err);
  iu_status status = IU_E_NOMEM;
  if (module != NULL) {
    iu__buf_put_u8(definition, VERSION_9);
    status = iu__sats_from_json(module, json, len, definition, err);
    if (status == IU_OK) status = drop_rules(module, definition, err);
  }
  iu__typespace_free(&ts);
  return status;
}

static iu_status read_v9(const void *json, size_t len, iu_schema **out, iu_error *err) {
  iu_buf definition;
  iu__buf_init(&definition, IU_SCHEMA_BYTES_MAX);
  iu_status status = convert(json, len, &definition, err);
  if (status == IU_OK) status = iu__schema_decode_served(definition.data, definition.len, out, err);
  iu__buf_free(&definition);
  return status;
}

static void mark_events(iu_schema *s, const iu_buf *names) {
  for (size_t at = 0; at < names->len; at += strlen((const char *)names->data + at) + 1) {
    const char *name = (const char *)names->data + at;
    int table = iu__schema_table(s, name, strlen(name));
    if (table >= 0) s->tables[table].is_event = true;
  }
}

static int column_of(const iu_table_def *t, const char *name) {
  for (uint32_t i = 0; i < t->row->count; i++) {
    if (strcmp(t->row->u.fields[i].name, name) == 0) return (int)i;
  }
  return -1;
}

/* The server sees to it that no two rows of the view have the same. */
static bool give_key(iu_schema *s, iu_table_def *t, uint16_t column) {
  iu_index_def *index = iu__arena_zero(&s->arena, 1, sizeof *index);
  uint16_t *columns = iu__arena_zero(&s->arena, 1, sizeof *columns);
  iu_buf name = {0};
  const char *accessor = t->row->u.fields[column].name;
  if (index == NULL || columns == NULL) return false;
  iu__buf_printf(&name, "%s_%s_idx_btree", t->name, accessor);
  *columns = column;
  *index = (iu_index_def){.name = name.failed ? NULL : iu__arena_strndup(&s->arena, (const char *)name.data, name.len),
                          .accessor = accessor, .column_count = 1, .columns = columns, .unique = true};
  iu__buf_free(&name);
  if (index->name == NULL) return false;
  t->primary_key = column;
  t->indexes = index;
  t->index_count = 1;
  return true;
}

/* A name that means nothing here means no key. */
static iu_status give_keys(iu_schema *s, const iu_buf *keys, iu_error *err) {
  for (size_t at = 0; at < keys->len;) {
    const char *view = (const char *)keys->data + at, *column = view + strlen(view) + 1;
    int table = iu__schema_table(s, view, strlen(view));
    int found = table >= 0 && s->tables[table].is_view && s->tables[table].index_count == 0 ? column_of(&s->tables[table], column) : -1;
    if (found >= 0 && !give_key(s, &s->tables[table], (uint16_t)found)) return iu__fail_nomem(err);
    at += strlen(view) + strlen(column) + 2;
  }
  return IU_OK;
}

static iu_status read_v10(const void *json, size_t len, iu_schema **out, iu_error *err) {
  iu_buf v9, events = {0}, keys = {0};
  iu__buf_init(&v9, IU_SCHEMA_JSON_MAX);
  iu_status status = iu__module_def_v10(json, len, &v9, &events, &keys, err);
  if (status == IU_OK) status = read_v9(v9.data, v9.len, out, err);
  if (status == IU_OK) {
    mark_events(*out, &events);
    status = give_keys(*out, &keys, err);
  }
  if (status != IU_OK && *out != NULL) {
    iu__schema_free(*out);
    *out = NULL;
  }
  iu__buf_free(&v9);
  iu__buf_free(&events);
  iu__buf_free(&keys);
  return status;
}

iu_status iu__schema_from_http(const void *json, size_t len, iu_schema **out, iu_error *err) {
  iu_error own;
  *out = NULL;
  if (err == NULL) err = &own;
  if (len > IU_SCHEMA_JSON_MAX) return iu__fail(err, IU_E_OVERLOADED, "a schema of %zu bytes is over the limit of 16 MiB", len);
  iu_status status = iu__module_def_is_v10(json, len) ? read_v10(json, len, out, err) : read_v9(json, len, out, err);
  if (status != IU_OK) iu__error_prefix(err, "schema answer");
  return status;
}

iu_status iu__schema_to_http(const iu_schema *schema, iu_buf *out, iu_error *err) {
  iu_typespace ts = {0};
  iu_reader r = iu__reader(schema->definition, schema->definition_len);
  const iu_type *module = module_type(&ts, err);
  iu_status status = IU_E_NOMEM;
  if (module != NULL) {
    iu__read_u8(&r); /* the version, which a schema has only one of */
    status = iu__sats_to_json(module, &r, IU_SJ_TYPED, out, err);
  }
  iu__typespace_free(&ts);
  return status == IU_OK ? iu__buf_status(out, err, "schema answer") : status;
}
