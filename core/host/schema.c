/* schema.c: what a schema declares, and what an event says, for hosts. Positions out of range are answered, not followed. */
#include "internal.h"


const iu_schema *iu_get_schema(const iu_universe *u) { return u != NULL && u->c != NULL ? u->c->schema : NULL; }

/* ---- names ---- */

uint32_t iu_schema_tables(const iu_schema *s) { return s != NULL ? s->table_count : 0; }
uint32_t iu_schema_reducers(const iu_schema *s) { return s != NULL ? s->reducer_count : 0; }
uint32_t iu_schema_procedures(const iu_schema *s) { return s != NULL ? s->procedure_count : 0; }
const char *iu_schema_table_name(const iu_schema *s, uint32_t table) { return table < iu_schema_tables(s) ? s->tables[table].name : NULL; }
const char *iu_schema_reducer_name(const iu_schema *s, uint32_t reducer) { return reducer < iu_schema_reducers(s) ? s->reducers[reducer].name : NULL; }
const char *iu_schema_procedure_name(const iu_schema *s, uint32_t procedure) {
  return procedure < iu_schema_procedures(s) ? s->procedures[procedure].name : NULL;
}
int64_t iu_schema_table_named(const iu_schema *s, const char *name) { return s != NULL && name != NULL ? iu__schema_table(s, name, strlen(name)) : -1; }
int64_t iu_schema_reducer_named(const iu_schema *s, const char *name) { return s != NULL && name != NULL ? iu__schema_reducer(s, name, strlen(name)) : -1; }

/* ---- tables ---- */

static const iu_table_def *table_at(const iu_schema *s, uint32_t table) { return table < iu_schema_tables(s) ? &s->tables[table] : NULL; }

static const iu_field *column_at(const iu_schema *s, uint32_t table, uint32_t column) {
  const iu_table_def *def = table_at(s, table);
  return def != NULL && column < def->row->count ? &def->row->u.fields[column] : NULL;
}

static const iu_index_def *index_at(const iu_schema *s, uint32_t table, uint32_t index) {
  const iu_table_def *def = table_at(s, table);
  return def != NULL && index < def->index_count ? &def->indexes[index] : NULL;
}

bool iu_table_is_public(const iu_schema *s, uint32_t table) { return table_at(s, table) != NULL && table_at(s, table)->is_public; }
int64_t iu_table_primary_key(const iu_schema *s, uint32_t table) { return table_at(s, table) != NULL ? table_at(s, table)->primary_key : -1; }
uint32_t iu_table_columns(const iu_schema *s, uint32_t table) { return table_at(s, table) != NULL ? table_at(s, table)->row->count : 0; }

const char *iu_table_column_name(const iu_schema *s, uint32_t table, uint32_t column) {
  const iu_field *f = column_at(s, table, column);
  return f != NULL ? f->name : NULL;
}

iu_kind iu_table_column_kind(const iu_schema *s, uint32_t table, uint32_t column) {
  const iu_field *f = column_at(s, table, column);
  return f != NULL ? iu__kind_of_type(f->type) : IU_KIND_INVALID;
}

static iu_status give(iu_buf *text, char *out, size_t size, size_t *needed, iu_error *err) {
  iu_status status = iu__buf_status(text, err, "text");
  if (status == IU_OK) iu__text_out((const char *)text->data, text->len, out, size, needed);
  iu__buf_free(text);
  return status;
}

iu_status iu_table_column_type(const iu_schema *s, uint32_t table, uint32_t column, char *out, size_t size, size_t *needed, iu_error *err) {
  const iu_field *f = column_at(s, table, column);
  iu_buf text = {0};
  if (f == NULL) return iu__fail(err, IU_E_VALIDATION, "column %u of table %u does not exist", column, table);
  iu__type_describe_named(f->type, s->type_names, &text);
  return give(&text, out, size, needed, err);
}

uint32_t iu_table_indexes(const iu_schema *s, uint32_t table) { return table_at(s, table) != NULL ? table_at(s, table)->index_count : 0; }

const char *iu_table_index_name(const iu_schema *s, uint32_t table, uint32_t index) {
  const iu_index_def *i = index_at(s, table, index);
  return i != NULL ? i->accessor : NULL;
}

bool iu_table_index_is_unique(const iu_schema *s, uint32_t table, uint32_t index) {
  const iu_index_def *i = index_at(s, table, index);
  return i != NULL && i->unique;
}

uint32_t iu_table_index_columns(const iu_schema *s, uint32_t table, uint32_t index) {
  const iu_index_def *i = index_at(s, table, index);
  return i != NULL ? i->column_count : 0;
}

int64_t iu_table_index_column(const iu_schema *s, uint32_t table, uint32_t index, uint32_t position) {
  const iu_index_def *i = index_at(s, table, index);
  return i != NULL && position < i->column_count ? i->columns[position] : -1;
}

iu_status iu_reducer_signature_text(const iu_schema *s, uint32_t reducer, char *out, size_t size, size_t *needed, iu_error *err) {
  iu_buf text = {0};
  if (reducer >= iu_schema_reducers(s)) return iu__fail(err, IU_E_VALIDATION, "reducer %u does not exist", reducer);
  iu__reducer_signature(s, &s->reducers[reducer], &text);
  return give(&text, out, size, needed, err);
}

/* ---- events ---- */

static bool is_known(const iu_event *e) { return e != NULL && !e->subscribed && (e->reducer != NULL || e->timestamp != 0); }

bool iu_event_is_subscription(const iu_event *e) { return e != NULL && e->subscribed; }
const char *iu_event_reducer(const iu_event *e) { return e != NULL && !e->subscribed && e->reducer != NULL ? e->reducer->name : NULL; }
bool iu_event_is_own(const iu_event *e) { return e != NULL && e->own; }
int64_t iu_event_timestamp(const iu_event *e) { return e != NULL ? e->timestamp : 0; }
uint64_t iu_event_transaction(const iu_event *e) { return e != NULL ? e->transaction : 0; }

bool iu_event_args(const iu_event *e, iu_value *out) {
  if (iu_event_reducer(e) == NULL || out == NULL) return false;
  *out = iu__value(NULL, e->reducer->params, e->args.p, e->args.len);
  return true;
}

bool iu_event_caller(const iu_event *e, uint8_t identity[32], uint8_t connection_id[16]) {
  if (!is_known(e)) return false;
  if (identity != NULL) memcpy(identity, e->caller, 32);
  if (connection_id != NULL) memcpy(connection_id, e->connection_id, 16);
  return true;
}
