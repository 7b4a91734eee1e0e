/* schema_write.c: see schema_write.h. What is declared is kept as a raw schema; the end names what is missing, makes the products of rows and parameters, and
 * has schema_encode.c write the bytes. Whether they make sense is the decoder's business: it judges them before they are given out. */
#include "schema_write.h"

#include "../base/alloc.h"
#include "schema_raw.h"

typedef struct fields { iu_field *at; uint32_t count, cap; } fields; /* names in the arena */
typedef struct entry { const char *name; const iu_type *type; } entry; /* of the typespace; type NULL: not defined yet */

struct iu_schema_writer {
  iu_schema s;       /* its typespace, its arena, its reducers */
  iu_raw_schema raw;
  entry *entries; uint32_t entry_count, entry_cap;
  fields *rows; uint32_t table_cap;       /* per table */
  fields *params; uint32_t reducer_cap;   /* per reducer */
  uint32_t default_cap;
  bool ended;
  iu_error err;      /* the first one */
};

iu_schema_writer *iu__schema_writer_new(void) { return iu__alloc_zero(1, sizeof(iu_schema_writer)); }

void iu__schema_writer_free(iu_schema_writer *w) {
  if (w == NULL) return;
  for (uint32_t i = 0; i < w->raw.table_count; i++) iu__free(w->rows[i].at);
  for (uint32_t i = 0; i < w->s.reducer_count; i++) iu__free(w->params[i].at);
  iu__free(w->rows);
  iu__free(w->params);
  iu__free(w->entries);
  iu__free(w->raw.tables);
  iu__free(w->raw.defaults);
  iu__free(w->raw.types);
  iu__free(w->s.reducers);
  iu__free(w->s.types.types);
  iu__typespace_free(&w->s.types);
  iu__arena_free(&w->s.arena);
  iu__arena_free(&w->raw.arena);
  iu__free(w);
}

/* ---- errors: the first one stays ---- */

iu_status iu__schema_writer_status(const iu_schema_writer *w, iu_error *err) {
  if (err != NULL) *err = w->err;
  return w->err.status;
}

#define refuse(w, err, ...) (iu__fail(&(w)->err, IU_E_VALIDATION, __VA_ARGS__), iu__schema_writer_status((w), (err)))

static iu_status no_memory(iu_schema_writer *w, iu_error *err) {
  iu__fail_nomem(&w->err);
  return iu__schema_writer_status(w, err);
}

/* ---- names and room ---- */

static bool good_name(iu_schema_writer *w, const char *what, const char *name) {
  char shown[4 * 64 + 4];
  if (name != NULL && iu__is_identifier(name, strlen(name))) return true;
  iu__fail(&w->err, IU_E_VALIDATION, "the %s name `%s` is no identifier: a letter or _, then letters, digits and _, at most %d bytes", what,
           name != NULL ? iu__printable(shown, 64, name, strlen(name)) : "", IU_SCHEMA_NAME_MAX);
  return false;
}

static const char *keep(iu_schema_writer *w, const char *name) {
  const char *copy = iu__arena_strndup(&w->s.arena, name, strlen(name));
  if (copy == NULL) iu__fail_nomem(&w->err);
  return copy;
}

/* Room for one more behind `count`, zeroed. */
static bool grow(iu_schema_writer *w, void **items, uint32_t count, uint32_t *cap, size_t size) {
  if (count < *cap) return true;
  uint32_t more = *cap == 0 ? 8 : *cap * 2;
  void *p = iu__realloc_array(*items, more, size);
  if (p == NULL) {
    iu__fail_nomem(&w->err);
    return false;
  }
  memset((char *)p + (size_t)*cap * size, 0, (size_t)(more - *cap) * size);
  *items = p;
  *cap = more;
  return true;
}

/* ---- types ---- */

iu_typespace *iu__schema_writer_types(iu_schema_writer *w) { return &w->s.types; }

/* The entry of that name, made where there is none; -1 on error. */
static int64_t entry_of(iu_schema_writer *w, const char *name) {
  void *items = w->entries;
  if (w->err.status != IU_OK || !good_name(w, "type", name)) return -1;
  for (uint32_t i = 0; i < w->entry_count; i++) {
    if (strcmp(w->entries[i].name, name) == 0) return i;
  }
  if (w->entry_count >= IU_TYPE_NODES_MAX) {
    iu__fail(&w->err, IU_E_VALIDATION, "more than %d named types", IU_TYPE_NODES_MAX);
    return -1;
  }
  if (!grow(w, &items, w->entry_count, &w->entry_cap, sizeof *w->entries)) return -1;
  w->entries = items;
  if ((w->entries[w->entry_count].name = keep(w, name)) == NULL) return -1;
  return w->entry_count++;
}

const iu_type *iu__schema_writer_type_ref(iu_schema_writer *w, const char *name) {
  int64_t at = entry_of(w, name);
  const iu_type *ref = at >= 0 ? iu__type_ref(&w->s.types, (uint32_t)at) : NULL;
  if (at < 0 || ref != NULL) return ref;
  if (w->s.types.no_memory) iu__fail_nomem(&w->err);
  else iu__fail(&w->err, IU_E_VALIDATION, "type `%s`: more than %d types", name, IU_TYPE_NODES_MAX);
  return NULL;
}

static iu_status need_type(iu_schema_writer *w, const char *what, const char *owner, const char *name, const iu_type *type, iu_error *err) {
  if (type != NULL) return IU_OK;
  if (w->s.types.no_memory) {
    iu__fail_nomem(&w->err);
    return iu__schema_writer_status(w, err);
  }
  return refuse(w, err, "%s `%s`%s%s: its type is nested over %d deep, or there are more than %d types", what, owner, name != NULL ? ", " : "",
                name != NULL ? name : "", IU_TYPE_DEPTH_MAX, IU_TYPE_NODES_MAX);
}

iu_status iu__schema_writer_type(iu_schema_writer *w, const char *name, const iu_type *type, iu_error *err) {
  int64_t at = entry_of(w, name);
  if (at < 0) return iu__schema_writer_status(w, err);
  if (need_type(w, "type", name, NULL, type, err) != IU_OK) return w->err.status;
  if (type->tag != IU_T_PRODUCT && type->tag != IU_T_SUM) {
    return refuse(w, err, "type `%s`: a named type is a product or a sum, this is %s", name, iu__type_label(type));
  }
  if (w->entries[at].type != NULL) return refuse(w, err, "two types are named `%s`", name);
  w->entries[at].type = type;
  return IU_OK;
}

/* ---- tables ---- */

static bool good_table(iu_schema_writer *w, uint32_t table) {
  if (w->err.status != IU_OK) return false;
  if (table < w->raw.table_count) return true;
  iu__fail(&w->err, IU_E_VALIDATION, "table number %u does not exist, there are %u", table, w->raw.table_count);
  return false;
}

iu_status iu__schema_writer_table(iu_schema_writer *w, const char *name, bool is_public, uint32_t *table, iu_error *err) {
  void *tables = w->raw.tables, *rows = w->rows;
  uint32_t n = w->raw.table_count, cap = w->table_cap;
  int64_t row;
  *table = UINT32_MAX;
  if (w->err.status != IU_OK || !good_name(w, "table", name)) return iu__schema_writer_status(w, err);
  for (uint32_t i = 0; i < n; i++) {
    if (iu__compare_folded(w->raw.tables[i].name, name) == 0) return refuse(w, err, "two tables are named `%s`, case aside", name);
  }
  if (n >= IU_SCHEMA_TABLES_MAX) return refuse(w, err, "more than %d tables", IU_SCHEMA_TABLES_MAX);
  if ((row = entry_of(w, name)) < 0) return iu__schema_writer_status(w, err);
  if (!grow(w, &tables, n, &cap, sizeof *w->raw.tables)) return iu__schema_writer_status(w, err);
  w->raw.tables = tables;
  if (!grow(w, &rows, n, &w->table_cap, sizeof *w->rows)) return iu__schema_writer_status(w, err);
  w->rows = rows;
  iu_raw_table *t = &w->raw.tables[n];
  *t = (iu_raw_table){.name = keep(w, name), .row_type = (uint32_t)row, .is_public = is_public};
  t->indexes = iu__arena_zero(&w->raw.arena, IU_TABLE_INDEXES_MAX, sizeof *t->indexes);
  t->constraints = iu__arena_zero(&w->raw.arena, IU_TABLE_INDEXES_MAX, sizeof *t->constraints);
  t->sequences = iu__arena_zero(&w->raw.arena, IU_TABLE_INDEXES_MAX, sizeof *t->sequences);
  if (t->name == NULL || t->indexes == NULL || t->constraints == NULL || t->sequences == NULL) return no_memory(w, err);
  w->rows[n] = (fields){0};
  *table = w->raw.table_count++;
  return IU_OK;
}

iu_status iu__schema_writer_table_named(iu_schema_writer *w, const char *name, uint32_t *table, iu_error *err) {
  char shown[4 * 64 + 4];
  if (w->err.status != IU_OK) return iu__schema_writer_status(w, err);
  for (*table = 0; *table < w->raw.table_count; ++*table) {
    if (strcmp(w->raw.tables[*table].name, name) == 0) return IU_OK;
  }
  return refuse(w, err, "table `%s` is not declared", iu__printable(shown, 64, name, strlen(name)));
}

const iu_type *iu__schema_writer_row_ref(iu_schema_writer *w, uint32_t table) {
  return good_table(w, table) ? iu__schema_writer_type_ref(w, w->raw.tables[table].name) : NULL;
}

static bool add_field(iu_schema_writer *w, fields *list, const char *what, const char *owner, const char *name, const iu_type *type) {
  void *items = list->at;
  if (!good_name(w, what, name)) return false;
  for (uint32_t i = 0; i < list->count; i++) {
    if (strcmp(list->at[i].name, name) != 0) continue;
    iu__fail(&w->err, IU_E_VALIDATION, "`%s`: two %ss are named `%s`", owner, what, name);
    return false;
  }
  if (list->count >= IU_TYPE_FIELDS_MAX) {
    iu__fail(&w->err, IU_E_VALIDATION, "`%s`: more than %d %ss", owner, IU_TYPE_FIELDS_MAX, what);
    return false;
  }
  if (!grow(w, &items, list->count, &list->cap, sizeof *list->at)) return false;
  list->at = items;
  if ((list->at[list->count].name = keep(w, name)) == NULL) return false;
  list->at[list->count++].type = type;
  return true;
}

static iu_status add_default(iu_schema_writer *w, uint32_t table, const void *value, size_t len, iu_error *err) {
  void *items = w->raw.defaults;
  uint8_t *copy = iu__arena_alloc(&w->s.arena, len != 0 ? len : 1);
  if (copy == NULL || !grow(w, &items, w->raw.default_count, &w->default_cap, sizeof *w->raw.defaults)) return no_memory(w, err);
  if (len != 0) memcpy(copy, value, len);
  w->raw.defaults = items;
  w->raw.defaults[w->raw.default_count++] = (iu_raw_default){w->raw.tables[table].name, (uint16_t)(w->rows[table].count - 1), copy, (uint32_t)len};
  return IU_OK;
}

iu_status iu__schema_writer_column(iu_schema_writer *w, uint32_t table, const char *name, const iu_type *type, const void *value, size_t len, iu_error *err) {
  if (!good_table(w, table)) return iu__schema_writer_status(w, err);
  const char *owner = w->raw.tables[table].name;
  if (!good_name(w, "column", name) || need_type(w, "table", owner, name, type, err) != IU_OK) return iu__schema_writer_status(w, err);
  if (len > IU_SCHEMA_BYTES_MAX) return refuse(w, err, "table `%s`: the default value of `%s` has more than %u bytes", owner, name, IU_SCHEMA_BYTES_MAX);
  if (!add_field(w, &w->rows[table], "column", owner, name, type)) return iu__schema_writer_status(w, err);
  return value != NULL ? add_default(w, table, value, len, err) : IU_OK;
}

/* ---- what stands on columns ---- */

static bool find_column(iu_schema_writer *w, uint32_t table, const char *name, uint16_t *column) {
  const fields *row = &w->rows[table];
  char shown[4 * 64 + 4];
  for (uint32_t i = 0; i < row->count; i++) {
    *column = (uint16_t)i;
    if (name != NULL && strcmp(row->at[i].name, name) == 0) return true;
  }
  iu__fail(&w->err, IU_E_VALIDATION, "table `%s` has no column `%s`", w->raw.tables[table].name,
           name != NULL ? iu__printable(shown, 64, name, strlen(name)) : "");
  return false;
}

static bool find_columns(iu_schema_writer *w, uint32_t table, const char *const *names, uint32_t count, iu_raw_columns *on) {
  if (count == 0 || count > IU_INDEX_COLUMNS_MAX) {
    iu__fail(&w->err, IU_E_VALIDATION, "table `%s`: an index is on 1 to %d columns, not %u", w->raw.tables[table].name, IU_INDEX_COLUMNS_MAX, count);
    return false;
  }
  uint16_t *at = iu__arena_zero(&w->s.arena, count, sizeof *at), *sorted = iu__arena_zero(&w->s.arena, count, sizeof *sorted);
  if (at == NULL || sorted == NULL) {
    iu__fail_nomem(&w->err);
    return false;
  }
  for (uint32_t i = 0; i < count; i++) {
    uint32_t j = i;
    if (!find_column(w, table, names[i], &at[i])) return false;
    for (; j > 0 && sorted[j - 1] > at[i]; j--) sorted[j] = sorted[j - 1];
    sorted[j] = at[i];
  }
  *on = (iu_raw_columns){count, at, sorted};
  return true;
}

static bool same(const uint16_t *a, const uint16_t *b, uint32_t count) { return memcmp(a, b, count * sizeof *a) == 0; }

/* ordered: on the same columns in the same order; else on the same set. */
static iu_raw_index *find_index(iu_raw_table *t, const iu_raw_columns *on, bool ordered) {
  for (uint32_t i = 0; i < t->index_count; i++) {
    const iu_raw_columns *other = &t->indexes[i].on;
    if (other->count == on->count && (ordered ? same(other->at, on->at, on->count) : same(other->sorted, on->sorted, on->count))) return &t->indexes[i];
  }
  return NULL;
}

static bool full(iu_schema_writer *w, const iu_raw_table *t, uint32_t count, const char *what) {
  if (count < IU_TABLE_INDEXES_MAX) return false;
  iu__fail(&w->err, IU_E_VALIDATION, "table `%s`: more than %d %s", t->name, IU_TABLE_INDEXES_MAX, what);
  return true;
}

iu_status iu__schema_writer_unique(iu_schema_writer *w, uint32_t table, const char *const *columns, uint32_t count, iu_error *err) {
  iu_raw_columns on;
  if (!good_table(w, table) || !find_columns(w, table, columns, count, &on)) return iu__schema_writer_status(w, err);
  iu_raw_table *t = &w->raw.tables[table];
  for (uint32_t i = 0; i < t->constraint_count; i++) {
    const iu_raw_columns *other = &t->constraints[i].on;
    if (other->count == on.count && same(other->sorted, on.sorted, on.count)) return IU_OK; /* said twice is said once */
  }
  if (full(w, t, t->constraint_count, "unique constraints")) return w->err.status;
  if (find_index(t, &on, false) == NULL) {
    if (full(w, t, t->index_count, "indexes")) return iu__schema_writer_status(w, err);
    t->indexes[t->index_count++] = (iu_raw_index){.algorithm = IU_RAW_BTREE, .on = on};
  }
  t->constraints[t->constraint_count++] = (iu_raw_constraint){NULL, on};
  return IU_OK;
}

iu_status iu__schema_writer_primary_key(iu_schema_writer *w, uint32_t table, const char *column, iu_error *err) {
  iu_status status = iu__schema_writer_unique(w, table, &column, 1, err);
  uint16_t *at;
  if (status != IU_OK) return status;
  iu_raw_table *t = &w->raw.tables[table];
  if (t->primary_key.count != 0) return refuse(w, err, "table `%s`: a primary key has one column, `%s` is a second one", t->name, column);
  at = iu__arena_zero(&w->s.arena, 1, sizeof *at);
  if (at == NULL) return no_memory(w, err);
  find_column(w, table, column, at);
  t->primary_key = (iu_raw_columns){1, at, at};
  return IU_OK;
}

iu_status iu__schema_writer_index(iu_schema_writer *w, uint32_t table, const char *accessor, const char *const *columns, uint32_t count, iu_error *err) {
  iu_raw_columns on;
  if (!good_table(w, table) || !find_columns(w, table, columns, count, &on) || (accessor != NULL && !good_name(w, "index", accessor))) {
    return iu__schema_writer_status(w, err);
  }
  iu_raw_table *t = &w->raw.tables[table];
  iu_raw_index *index = find_index(t, &on, true);
  if (index == NULL || (index->accessor != NULL && accessor != NULL && strcmp(index->accessor, accessor) != 0)) {
    if (full(w, t, t->index_count, "indexes")) return iu__schema_writer_status(w, err);
    index = &t->indexes[t->index_count++];
    *index = (iu_raw_index){.algorithm = IU_RAW_BTREE, .on = on};
  }
  if (accessor != NULL && index->accessor == NULL && (index->accessor = keep(w, accessor)) == NULL) return no_memory(w, err);
  return IU_OK;
}

iu_status iu__schema_writer_auto_inc(iu_schema_writer *w, uint32_t table, const char *column, iu_error *err) {
  uint16_t at;
  if (!good_table(w, table) || !find_column(w, table, column, &at)) return iu__schema_writer_status(w, err);
  iu_raw_table *t = &w->raw.tables[table];
  if (full(w, t, t->sequence_count, "sequences")) return iu__schema_writer_status(w, err);
  t->sequences[t->sequence_count++] = (iu_raw_sequence){.column = at, .increment = {true, false, 1}};
  return IU_OK;
}

iu_status iu__schema_writer_schedule(iu_schema_writer *w, uint32_t table, const char *column, const char *reducer, iu_error *err) {
  uint16_t at;
  if (!good_table(w, table) || !find_column(w, table, column, &at) || !good_name(w, "reducer", reducer)) return iu__schema_writer_status(w, err);
  iu_raw_table *t = &w->raw.tables[table];
  if (t->scheduled) return refuse(w, err, "table `%s` has two schedules, for `%s` and `%s`", t->name, t->schedule_reducer, reducer);
  t->scheduled = true;
  t->schedule_column = at;
  t->schedule_reducer = keep(w, reducer);
  return iu__schema_writer_status(w, err);
}

/* ---- reducers ---- */

iu_status iu__schema_writer_reducer(iu_schema_writer *w, const char *name, iu_lifecycle lifecycle, uint32_t *reducer, iu_error *err) {
  void *reducers = w->s.reducers, *params = w->params;
  uint32_t n = w->s.reducer_count, cap = w->reducer_cap;
  *reducer = UINT32_MAX;
  if (w->err.status != IU_OK || !good_name(w, "reducer", name)) return iu__schema_writer_status(w, err);
  for (uint32_t i = 0; i < n; i++) {
    if (strcmp(w->s.reducers[i].name, name) == 0) return refuse(w, err, "two reducers are named `%s`", name);
  }
  if (!grow(w, &reducers, n, &cap, sizeof *w->s.reducers)) return iu__schema_writer_status(w, err);
  w->s.reducers = reducers;
  if (!grow(w, &params, n, &w->reducer_cap, sizeof *w->params)) return iu__schema_writer_status(w, err);
  w->params = params;
  w->s.reducers[n] = (iu_reducer_def){.name = keep(w, name), .lifecycle = lifecycle};
  if (w->s.reducers[n].name == NULL) return no_memory(w, err);
  w->params[n] = (fields){0};
  *reducer = w->s.reducer_count++;
  return IU_OK;
}

iu_status iu__schema_writer_param(iu_schema_writer *w, uint32_t reducer, const char *name, const iu_type *type, iu_error *err) {
  if (w->err.status != IU_OK) return iu__schema_writer_status(w, err);
  if (reducer >= w->s.reducer_count) return refuse(w, err, "reducer number %u does not exist, there are %u", reducer, w->s.reducer_count);
  const char *owner = w->s.reducers[reducer].name;
  if (!good_name(w, "parameter", name) || need_type(w, "reducer", owner, name, type, err) != IU_OK) return iu__schema_writer_status(w, err);
  add_field(w, &w->params[reducer], "parameter", owner, name, type);
  return iu__schema_writer_status(w, err);
}

/* ---- the end ---- */

static bool make_rows(iu_schema_writer *w) {
  for (uint32_t i = 0; i < w->raw.table_count; i++) {
    iu_raw_table *t = &w->raw.tables[i];
    entry *e = &w->entries[t->row_type];
    if (w->rows[i].count == 0) iu__fail(&w->err, IU_E_VALIDATION, "table `%s` has no columns", t->name);
    else if (e->type != NULL) iu__fail(&w->err, IU_E_VALIDATION, "the type `%s` has the name of a table: that is the name of its row", t->name);
    else if ((e->type = iu__type_product(&w->s.types, w->rows[i].count, w->rows[i].at)) == NULL) need_type(w, "table", t->name, NULL, NULL, NULL);
    if (w->err.status != IU_OK) return false;
  }
  return true;
}

/* A scheduled reducer without parameters is given the one it must have. */
static bool complete_schedules(iu_schema_writer *w) {
  for (uint32_t i = 0; i < w->raw.table_count; i++) {
    const iu_raw_table *t = &w->raw.tables[i];
    for (uint32_t r = 0; t->scheduled && r < w->s.reducer_count; r++) {
      if (strcmp(w->s.reducers[r].name, t->schedule_reducer) != 0 || w->params[r].count != 0) continue;
      if (iu__schema_writer_param(w, r, "row", iu__schema_writer_row_ref(w, i), NULL) != IU_OK) return false;
    }
  }
  return true;
}

static bool make_params(iu_schema_writer *w) {
  for (uint32_t i = 0; i < w->s.reducer_count; i++) {
    w->s.reducers[i].params = iu__type_product(&w->s.types, w->params[i].count, w->params[i].at);
    if (w->s.reducers[i].params == NULL && need_type(w, "reducer", w->s.reducers[i].name, NULL, NULL, NULL) != IU_OK) return false;
  }
  return true;
}

static bool make_entries(iu_schema_writer *w) {
  uint32_t n = w->entry_count;
  w->s.types.types = iu__alloc_zero(n + 1u, sizeof *w->s.types.types);
  w->raw.types = iu__alloc_zero(n + 1u, sizeof *w->raw.types);
  if (w->s.types.types == NULL || w->raw.types == NULL) return no_memory(w, NULL) == IU_OK;
  for (uint32_t i = 0; i < n; i++) {
    if (w->entries[i].type == NULL) {
      iu__fail(&w->err, IU_E_VALIDATION, "the type `%s` is used, but not defined", w->entries[i].name);
      return false;
    }
    w->s.types.types[i] = w->entries[i].type;
    w->raw.types[i] = (iu_raw_type){w->entries[i].name, i, true};
  }
  w->s.types.count = w->raw.type_count = n;
  return true;
}

iu_status iu__schema_writer_end(iu_schema_writer *w, iu_buf *out, iu_error *err) {
  iu_schema *judged = NULL;
  iu_buf bytes = {0};
  if (w->err.status != IU_OK) return iu__schema_writer_status(w, err);
  if (w->ended) return refuse(w, err, "the definition was written already");
  w->ended = true;
  if (!make_rows(w) || !complete_schedules(w) || !make_params(w) || !make_entries(w)) return iu__schema_writer_status(w, err);
  iu__buf_init(&bytes, IU_SCHEMA_BYTES_MAX);
  iu__schema_encode(&(iu_raw_part){&w->s, &w->raw, NULL}, 1, &bytes);
  if (iu__buf_status(&bytes, &w->err, "the definition") == IU_OK) iu__schema_decode(bytes.data, bytes.len, &judged, &w->err);
  iu__schema_free(judged);
  if (w->err.status == IU_OK) {
    iu__buf_put(out, bytes.data, bytes.len);
    iu__buf_status(out, &w->err, "the definition");
  }
  iu__buf_free(&bytes);
  return iu__schema_writer_status(w, err);
}
