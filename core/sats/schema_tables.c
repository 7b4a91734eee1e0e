/* schema_tables.c: the rules about tables: columns, primary key, indexes, unique constraints, sequences, schedules, names;
 * and the iu_table_defs made from what holds.
 */
#include "bsatn.h"
#include "schema_raw.h"

typedef struct build {
  iu_schema *s;
  iu_raw_schema *raw;
  const iu_raw_table *from;
  iu_table_def *to;
  const char **names; /* of tables, indexes, constraints, sequences, schedules: one namespace */
  size_t name_count;
  iu_error *err;
} build;

static bool refuse(build *b, const char *what) {
  iu__fail(b->err, IU_E_VALIDATION, "%s", what);
  return false;
}

static bool refuse_name(build *b, const char *what, const char *name) {
  iu__fail(b->err, IU_E_VALIDATION, what, name);
  return false;
}

static bool no_memory(build *b) {
  iu__fail_nomem(b->err);
  return false;
}

/* ---- names ---- */

/* "{table}_{a_b}{ending}"; table NULL: the columns alone. In the schema's arena, NULL on no memory. */
static const char *join_names(build *b, const char *table, iu_raw_columns on, const char *ending) {
  iu_buf text = {0};
  if (table != NULL) iu__buf_put_str(&text, table);
  for (uint32_t i = 0; i < on.count; i++) {
    if (text.len != 0) iu__buf_put_u8(&text, '_');
    iu__buf_put_str(&text, b->to->row->u.fields[on.at[i]].name);
  }
  iu__buf_put_str(&text, ending);
  const char *name = text.failed ? NULL : iu__arena_strndup(&b->s->arena, (const char *)text.data, text.len);
  iu__buf_free(&text);
  if (name == NULL) no_memory(b);
  return name;
}

/* The given name or the generated one, taken down for the namespace. */
static const char *settle_name(build *b, const char *given, iu_raw_columns on, const char *ending) {
  const char *name = given != NULL ? given : join_names(b, b->from->name, on, ending);
  if (name != NULL) b->names[b->name_count++] = name;
  return name;
}

static bool starts_with(const char *name, const char *prefix) {
  for (; *prefix != '\0'; name++, prefix++) {
    char c = *name >= 'A' && *name <= 'Z' ? (char)(*name - 'A' + 'a') : *name;
    if (c != *prefix) return false;
  }
  return true;
}

static bool check_table_name(build *b) {
  const char *name = b->from->name;
  if (b->raw->served) return true;
  if (strncmp(name, "st_", 3) == 0) return refuse(b, "names that start with `st_` are the server's");
  if (starts_with(name, "_iu_") || starts_with(name, "sqlite_")) return refuse(b, "names that start with `_iu_` or `sqlite_` are reserved");
  b->names[b->name_count++] = name;
  return true;
}

static bool check_column_names(build *b) {
  const iu_type *row = b->to->row;
  const char **names = iu__arena_zero(&b->raw->arena, row->count + 1, sizeof *names);
  if (names == NULL) return no_memory(b);
  for (uint32_t i = 0; i < row->count; i++) {
    names[i] = row->u.fields[i].name;
    if (names[i] == NULL) return refuse(b, "a column has no name");
    if (b->raw->served) continue;
    if (starts_with(names[i], "_iu_") || iu__compare_folded(names[i], "_row") == 0) {
      return refuse_name(b, "the column name `%s` is reserved", names[i]);
    }
  }
  const char *twice = iu__find_duplicate(names, row->count, !b->raw->served);
  return twice == NULL || refuse_name(b, b->raw->served ? "two columns are named `%s`" : "two columns are named `%s`, case aside", twice);
}

/* ---- columns of indexes and constraints ---- */

static bool same_set(iu_raw_columns a, iu_raw_columns b) {
  return a.count == b.count && memcmp(a.sorted, b.sorted, a.count * sizeof *a.sorted) == 0;
}

static bool check_columns(build *b, iu_raw_columns on) {
  if (on.count == 0) return refuse(b, "it is on no columns");
  for (uint32_t i = 0; i < on.count; i++) {
    if (on.sorted[i] >= b->to->row->count) {
      iu__fail(b->err, IU_E_VALIDATION, "column %u does not exist, there are %u", on.sorted[i], b->to->row->count);
      return false;
    }
    if (i != 0 && on.sorted[i - 1] == on.sorted[i]) {
      return refuse_name(b, "it names column `%s` twice", b->to->row->u.fields[on.sorted[i]].name);
    }
  }
  return true;
}

/* ---- indexes and constraints ---- */

/* What a Direct index may be on: a small unsigned integer or a plain enum. */
static bool is_direct(const iu_type *t) {
  t = iu__type_deref(t);
  if (t->tag == IU_T_U8 || t->tag == IU_T_U16 || t->tag == IU_T_U32 || t->tag == IU_T_U64) return true;
  for (uint32_t i = 0; i < t->count && t->tag == IU_T_SUM; i++) {
    if (t->u.fields[i].type->special != IU_S_UNIT) return false;
  }
  return t->tag == IU_T_SUM && t->count != 0;
}

static bool build_index(build *b, const iu_raw_index *raw, iu_index_def *index) {
  static const char *const endings[] = {"_idx_btree", "_idx_hash", "_idx_direct"};
  if (!check_columns(b, raw->on)) return false;
  if (raw->algorithm == IU_RAW_DIRECT && !b->raw->served && !is_direct(b->to->row->u.fields[raw->on.at[0]].type)) {
    return refuse(b, "a direct index must be on U8, U16, U32, U64 or a plain enum");
  }
  index->column_count = raw->on.count;
  index->columns = raw->on.at;
  index->name = settle_name(b, raw->name, raw->on, endings[raw->algorithm]);
  index->accessor = raw->accessor != NULL ? raw->accessor : join_names(b, NULL, raw->on, "");
  for (uint32_t i = 0; i < b->from->constraint_count; i++) {
    if (same_set(b->from->constraints[i].on, raw->on)) index->unique = true;
  }
  return index->name != NULL && index->accessor != NULL;
}

/* Accessors that were not given yield to the index's name where two indexes are on the same columns. */
static bool settle_accessors(build *b, iu_index_def *indexes) {
  const iu_raw_table *t = b->from;
  const char **names = iu__arena_zero(&b->raw->arena, t->index_count + 1, sizeof *names);
  if (names == NULL) return no_memory(b);
  for (uint32_t i = 0; i < t->index_count; i++) {
    for (uint32_t j = 0; j < i && (t->indexes[i].accessor == NULL || b->raw->served); j++) {
      if (strcmp(indexes[j].accessor, indexes[i].accessor) == 0) indexes[i].accessor = indexes[i].name;
    }
    names[i] = indexes[i].accessor;
  }
  if (b->raw->served) return true; /* the first one is found */
  const char *twice = iu__find_duplicate(names, t->index_count, false);
  return twice == NULL || refuse_name(b, "two indexes have the accessor `%s`", twice);
}

static bool build_indexes(build *b) {
  const iu_raw_table *t = b->from;
  iu_index_def *indexes = iu__arena_zero(&b->s->arena, t->index_count + 1, sizeof *indexes);
  if (indexes == NULL) return no_memory(b);
  for (uint32_t i = 0; i < t->index_count; i++) {
    if (build_index(b, &t->indexes[i], &indexes[i])) continue;
    iu__error_prefix(b->err, "index %u", i);
    return false;
  }
  b->to->indexes = indexes;
  b->to->index_count = t->index_count;
  return settle_accessors(b, indexes);
}

static bool has_index(const build *b, iu_raw_columns on) {
  for (uint32_t i = 0; i < b->from->index_count; i++) {
    if (same_set(b->from->indexes[i].on, on)) return true;
  }
  return false;
}

static bool check_constraints(build *b) {
  for (uint32_t i = 0; i < b->from->constraint_count; i++) {
    const iu_raw_constraint *c = &b->from->constraints[i];
    bool good = check_columns(b, c->on) && (has_index(b, c->on) || refuse(b, "it needs an index on the same columns")) &&
                settle_name(b, c->name, c->on, "_key") != NULL;
    if (good) continue;
    iu__error_prefix(b->err, "unique constraint %u", i);
    return false;
  }
  return true;
}

static bool check_primary_key(build *b) {
  iu_raw_columns key = b->from->primary_key;
  b->to->primary_key = -1;
  if (key.count == 0) return true;
  if (key.count > 1) return refuse(b, "a primary key has one column");
  if (key.at[0] >= b->to->row->count) return refuse(b, "the primary key's column does not exist");
  b->to->primary_key = key.at[0];
  for (uint32_t i = 0; i < b->from->constraint_count; i++) {
    if (same_set(b->from->constraints[i].on, key)) return true;
  }
  return refuse(b, "the primary key needs a unique constraint on its column");
}

/* ---- sequences ---- */

/* The values of an integer type that 64 signed bits can say. */
static bool integer_range(const iu_type *t, int64_t *low, int64_t *high) {
  uint32_t bits = 8 * (t->fixed_size < 8 ? t->fixed_size : 8);
  *low = 0;
  *high = INT64_MAX;
  switch (t->tag) {
    case IU_T_U8: case IU_T_U16: case IU_T_U32: *high = (int64_t)(UINT64_MAX >> (64 - bits)); return true;
    case IU_T_U64: case IU_T_U128: case IU_T_U256: return true;
    case IU_T_I8: case IU_T_I16: case IU_T_I32: case IU_T_I64: case IU_T_I128: case IU_T_I256:
      *high = (int64_t)(UINT64_MAX >> (65 - bits));
      *low = -*high - 1;
      return true;
    default: return false;
  }
}

static bool build_sequence(build *b, const iu_raw_sequence *raw, iu_sequence_def *q) {
  iu_raw_columns on = {1, &raw->column, &raw->column};
  int64_t low, high;
  if (!check_columns(b, on)) return false;
  if (!integer_range(iu__type_deref(b->to->row->u.fields[raw->column].type), &low, &high)) {
    return refuse(b, "its column is no integer");
  }
  q->column = raw->column;
  q->start = raw->start.present ? raw->start.value : 1;
  q->min = raw->min.present ? raw->min.value : q->start < 1 ? q->start : 1;
  q->max = raw->max.present ? raw->max.value : high;
  q->increment = raw->increment.value;
  if (raw->min.present && !raw->start.present && q->start < q->min) q->start = q->min;
  if (raw->max.present && !raw->start.present && q->start > q->max) q->start = q->max;
  if (q->min < low) q->min = low;
  if (q->max > high) q->max = high;
  if (raw->start.over || q->min > q->start || q->start > q->max) return refuse(b, "it needs min <= start <= max within the column's type");
  uint64_t span = (uint64_t)q->max - (uint64_t)q->min;
  uint64_t step = q->increment < 0 ? -(uint64_t)q->increment : (uint64_t)q->increment;
  if (step == 0 || raw->increment.over || step >= span) return refuse(b, "its increment must not be 0 and must be smaller than max - min");
  q->name = settle_name(b, raw->name, on, "_seq");
  return q->name != NULL;
}

static bool build_sequences(build *b) {
  const iu_raw_table *t = b->from;
  iu_sequence_def *sequences = iu__arena_zero(&b->s->arena, t->sequence_count + 1, sizeof *sequences);
  if (sequences == NULL) return no_memory(b);
  b->to->sequences = sequences;
  if (b->raw->served) return true;
  for (uint32_t i = 0; i < t->sequence_count; i++) {
    bool good = build_sequence(b, &t->sequences[i], &sequences[i]);
    for (uint32_t j = 0; j < i && good; j++) {
      if (sequences[j].column == sequences[i].column) good = refuse(b, "its column has another sequence");
    }
    if (!good) {
      iu__error_prefix(b->err, "sequence %u", i);
      return false;
    }
    b->to->sequence_count = i + 1;
  }
  return true;
}

/* ---- schedules ---- */

static bool build_schedule(build *b) {
  const iu_raw_table *t = b->from;
  const iu_type *row = b->to->row;
  b->to->schedule_reducer = -1;
  if (!t->scheduled) return true;
  if (t->schedule_column >= row->count || iu__type_deref(row->u.fields[t->schedule_column].type)->special != IU_S_SCHEDULE_AT) {
    return refuse(b, "the schedule's column is no ScheduleAt");
  }
  if (b->to->primary_key < 0 || iu__type_deref(row->u.fields[b->to->primary_key].type)->tag != IU_T_U64) {
    return refuse(b, "a scheduled table needs a primary key of type U64");
  }
  int reducer = iu__schema_reducer(b->s, t->schedule_reducer, strlen(t->schedule_reducer));
  if (reducer < 0 && b->raw->served) return true; /* a procedure */
  if (reducer < 0) return refuse_name(b, "the scheduled reducer `%s` does not exist", t->schedule_reducer);
  const iu_type *params = b->s->reducers[reducer].params;
  if (params->count != 1 || params->u.fields[0].type->tag != IU_T_REF || iu__type_deref(params->u.fields[0].type) != row) {
    return refuse_name(b, "the scheduled reducer `%s` must take one row of the table", t->schedule_reducer);
  }
  b->to->schedule_reducer = reducer;
  b->to->schedule_column = t->schedule_column;
  return settle_name(b, t->schedule_name, (iu_raw_columns){0, NULL, NULL}, "_sched") != NULL;
}

/* ---- all of it ---- */

static bool build_table(build *b) {
  if (b->from->is_system) return refuse(b, "a module cannot declare system tables");
  b->to->name = b->from->name;
  b->to->row = iu__type_deref(b->s->types.types[b->from->row_type]);
  b->to->is_public = b->from->is_public;
  return check_table_name(b) && check_column_names(b) && build_indexes(b) && check_constraints(b) && check_primary_key(b) &&
         build_sequences(b) && build_schedule(b);
}

static bool check_namespace(build *b) {
  const char **tables = iu__arena_zero(&b->raw->arena, b->raw->table_count + 1, sizeof *tables);
  if (tables == NULL) return no_memory(b);
  for (uint32_t i = 0; i < b->raw->table_count; i++) tables[i] = b->raw->tables[i].name;
  const char *twice = iu__find_duplicate(tables, b->raw->table_count, !b->raw->served);
  if (twice != NULL) return refuse_name(b, b->raw->served ? "two tables are named `%s`" : "two tables are named `%s`, case aside", twice);
  if (b->raw->served) return true;
  twice = iu__find_duplicate(b->names, b->name_count, false);
  return twice == NULL || refuse_name(b, "two of the tables, indexes, constraints, sequences and schedules are named `%s`", twice);
}

static bool keep_default(build *b, iu_table_def *t, const iu_raw_default *d) {
  iu_slice *kept = (iu_slice *)(uintptr_t)t->defaults;
  if (kept == NULL) t->defaults = kept = iu__arena_zero(&b->s->arena, t->row->count, sizeof *kept);
  if (kept == NULL) return no_memory(b);
  if (kept[d->column].p != NULL) {
    iu__fail(b->err, IU_E_VALIDATION, "`%s.%s` has two default values", d->table, t->row->u.fields[d->column].name);
    return false;
  }
  kept[d->column] = (iu_slice){d->value, d->len}; /* in the definition, which the schema keeps */
  return true;
}

static bool build_defaults(build *b) {
  if (b->raw->served) return true;
  for (uint32_t i = 0; i < b->raw->default_count; i++) {
    const iu_raw_default *d = &b->raw->defaults[i];
    int table = iu__schema_table(b->s, d->table, strlen(d->table));
    if (table < 0) return refuse_name(b, "a default value is for the table `%s`, which does not exist", d->table);
    const iu_type *row = b->s->tables[table].row;
    if (d->column >= row->count) return refuse_name(b, "a default value is for a column that `%s` does not have", d->table);
    if (iu__bsatn_check_all(row->u.fields[d->column].type, d->value, d->len, b->err) != IU_OK) {
      iu__error_prefix(b->err, "default value of `%s.%s`", d->table, row->u.fields[d->column].name);
      return false;
    }
    if (!keep_default(b, &b->s->tables[table], d)) return false;
  }
  return true;
}

/* ---- views ---- */

/* Views are tables without keys and indexes (who reads the definition may give them one), behind the module's own. One with a table's name would not be found, and is left out. */
static bool build_views(build *b) {
  iu_schema *s = b->s;
  for (uint32_t i = 0; i < b->raw->view_count; i++) {
    const iu_raw_view *view = &b->raw->views[i];
    const iu_type *row = iu__raw_view_row(view);
    if (row == NULL || iu__schema_table(s, view->name, strlen(view->name)) >= 0) continue;
    if (s->table_count + s->view_count == IU_SCHEMA_TABLES_MAX) return refuse(b, "more tables and views than the limit");
    s->tables[s->table_count + s->view_count++] = (iu_table_def){
        .name = view->name, .row = iu__type_deref(row), .primary_key = -1, .is_public = view->is_public, .is_view = true, .schedule_reducer = -1};
  }
  if (s->view_count == 0) return true;
  s->table_count += s->view_count;
  s->table_order = iu__order_by_name(&s->arena, s->tables, sizeof *s->tables, s->table_count);
  return s->table_order != NULL || no_memory(b);
}

/* How many names the namespace can hold at most. */
static size_t count_names(const iu_raw_schema *raw) {
  size_t n = 1;
  for (uint32_t i = 0; i < raw->table_count; i++) {
    const iu_raw_table *t = &raw->tables[i];
    n += 2 + (size_t)t->index_count + t->constraint_count + t->sequence_count;
  }
  return n;
}

iu_status iu__schema_build_tables(iu_schema *s, iu_raw_schema *raw, iu_error *err) {
  build b = {.s = s, .raw = raw, .err = err, .names = iu__arena_zero(&raw->arena, count_names(raw), sizeof(char *))};
  s->tables = iu__arena_zero(&s->arena, (size_t)raw->table_count + raw->view_count + 1, sizeof *s->tables);
  if (b.names == NULL || s->tables == NULL) return iu__fail_nomem(err);
  for (uint32_t i = 0; i < raw->table_count; i++) {
    b.from = &raw->tables[i];
    b.to = &s->tables[i];
    if (!build_table(&b)) {
      iu__error_prefix(err, "table `%s`", b.from->name);
      return err->status;
    }
  }
  s->table_count = raw->table_count;
  if (!check_namespace(&b)) return err->status;
  s->table_order = iu__order_by_name(&s->arena, s->tables, sizeof *s->tables, s->table_count);
  if (s->table_order == NULL) return iu__fail_nomem(err);
  return build_defaults(&b) && build_views(&b) ? IU_OK : err->status;
}
