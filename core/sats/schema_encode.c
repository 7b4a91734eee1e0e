/* schema_encode.c: what schema_read.c reads, written: V9 bytes from raw schemas, several behind each other where they are merged. */
#include "schema_raw.h"
#include "type_node.h"

static void put_text(iu_buf *out, const char *text) { iu__buf_put_bytes(out, text, strlen(text)); }

static void put_option(iu_buf *out, const char *text) {
  iu__buf_put_u8(out, text != NULL ? 0 : 1);
  if (text != NULL) put_text(out, text);
}

static void put_columns(iu_buf *out, iu_raw_columns on) {
  iu__buf_put_u32(out, on.count);
  for (uint32_t i = 0; i < on.count; i++) iu__buf_put_u16(out, on.at[i]);
}

/* What was over is cut to the nearest 64 bits: for limits of a sequence, which the column's type cuts anyway. */
static void put_i128(iu_buf *out, iu_raw_i128 v) {
  iu__buf_put_u64(out, (uint64_t)v.value);
  iu__buf_put_u64(out, v.value < 0 ? UINT64_MAX : 0);
}

static void put_optional_i128(iu_buf *out, iu_raw_i128 v) {
  iu__buf_put_u8(out, v.present ? 0 : 1);
  if (v.present) put_i128(out, v);
}

/* ---- tables ---- */

static void put_index(iu_buf *out, const iu_raw_index *index) {
  put_option(out, index->name);
  put_option(out, index->accessor);
  iu__buf_put_u8(out, index->algorithm);
  if (index->algorithm == IU_RAW_DIRECT) iu__buf_put_u16(out, index->on.at[0]);
  else put_columns(out, index->on);
}

static void put_sequence(iu_buf *out, const iu_raw_sequence *q) {
  put_option(out, q->name);
  iu__buf_put_u16(out, q->column);
  put_optional_i128(out, q->start);
  put_optional_i128(out, q->min);
  put_optional_i128(out, q->max);
  put_i128(out, q->increment);
}

static void put_table(iu_buf *out, const iu_raw_table *t, uint32_t base) {
  put_text(out, t->name);
  iu__buf_put_u32(out, t->row_type + base);
  put_columns(out, t->primary_key);
  iu__buf_put_u32(out, t->index_count);
  for (uint32_t i = 0; i < t->index_count; i++) put_index(out, &t->indexes[i]);
  iu__buf_put_u32(out, t->constraint_count);
  for (uint32_t i = 0; i < t->constraint_count; i++) {
    put_option(out, t->constraints[i].name);
    iu__buf_put_u8(out, 0); /* Unique */
    put_columns(out, t->constraints[i].on);
  }
  iu__buf_put_u32(out, t->sequence_count);
  for (uint32_t i = 0; i < t->sequence_count; i++) put_sequence(out, &t->sequences[i]);
  iu__buf_put_u8(out, t->scheduled ? 0 : 1);
  if (t->scheduled) {
    put_option(out, t->schedule_name);
    put_text(out, t->schedule_reducer);
    iu__buf_put_u16(out, t->schedule_column);
  }
  iu__buf_put_u8(out, t->is_system ? 0 : 1);
  iu__buf_put_u8(out, t->is_public ? 0 : 1);
}

/* ---- the rest ---- */

static void put_reducer(iu_buf *out, const iu_reducer_def *d, const char *prefix, uint32_t base) {
  if (prefix == NULL || d->lifecycle == IU_LC_NONE) put_text(out, d->name);
  else {
    size_t at = out->len;
    iu__buf_put_u32(out, 0);
    iu__buf_printf(out, "%s_%s", prefix, d->name);
    if (!out->failed) iu__buf_patch_u32(out, at, (uint32_t)(out->len - at - 4));
  }
  iu__product_encode_moved(d->params, base, out);
  iu__buf_put_u8(out, d->lifecycle == IU_LC_NONE);
  if (d->lifecycle != IU_LC_NONE) iu__buf_put_u8(out, (uint8_t)(d->lifecycle - 1));
}

/* "scope.scope.name" */
static void put_scoped_name(iu_buf *out, const char *name) {
  uint32_t scopes = 0;
  for (const char *p = name; (p = strchr(p, '.')) != NULL; p++) scopes++;
  iu__buf_put_u32(out, scopes);
  for (const char *dot; (dot = strchr(name, '.')) != NULL; name = dot + 1) iu__buf_put_bytes(out, name, (size_t)(dot - name));
  put_text(out, name);
}

static void put_exports(iu_buf *out, const iu_raw_part *part, uint32_t base) {
  for (uint32_t i = 0; i < part->raw->default_count; i++) {
    const iu_raw_default *d = &part->raw->defaults[i];
    iu__buf_put_u8(out, 0);
    put_text(out, d->table);
    iu__buf_put_u16(out, d->column);
    iu__buf_put_bytes(out, d->value, d->len);
  }
  for (uint32_t i = 0; i < part->s->procedure_count; i++) {
    const iu_procedure_def *d = &part->s->procedures[i];
    iu__buf_put_u8(out, 1);
    put_text(out, d->name);
    iu__product_encode_moved(d->params, base, out);
    iu__type_encode_moved(d->returns, base, out);
  }
}

/* One section of every part. base: entries of the typespaces before. */
typedef uint32_t (*count_fn)(const iu_raw_part *part);
typedef void (*put_fn)(iu_buf *out, const iu_raw_part *part, uint32_t base);

static void put_section(iu_buf *out, const iu_raw_part *parts, uint32_t count, count_fn count_of, put_fn put) {
  uint32_t total = 0, base = 0;
  for (uint32_t i = 0; i < count; i++) total += count_of(&parts[i]);
  iu__buf_put_u32(out, total);
  for (uint32_t i = 0; i < count; i++) {
    put(out, &parts[i], base);
    base += parts[i].s->types.count;
  }
}

static uint32_t count_nodes(const iu_raw_part *part) { return part->s->types.count; }
static void put_nodes(iu_buf *out, const iu_raw_part *part, uint32_t base) {
  for (uint32_t i = 0; i < part->s->types.count; i++) iu__type_encode_moved(part->s->types.types[i], base, out);
}

static uint32_t count_tables(const iu_raw_part *part) { return part->raw->table_count; }
static void put_tables(iu_buf *out, const iu_raw_part *part, uint32_t base) {
  for (uint32_t i = 0; i < part->raw->table_count; i++) put_table(out, &part->raw->tables[i], base);
}

static uint32_t count_reducers(const iu_raw_part *part) { return part->s->reducer_count; }
static void put_reducers(iu_buf *out, const iu_raw_part *part, uint32_t base) {
  for (uint32_t i = 0; i < part->s->reducer_count; i++) put_reducer(out, &part->s->reducers[i], part->prefix, base);
}

static uint32_t count_types(const iu_raw_part *part) { return part->raw->type_count; }
static void put_types(iu_buf *out, const iu_raw_part *part, uint32_t base) {
  for (uint32_t i = 0; i < part->raw->type_count; i++) {
    const iu_raw_type *t = &part->raw->types[i];
    put_scoped_name(out, t->name);
    iu__buf_put_u32(out, t->type + base);
    iu__buf_put_u8(out, t->custom_ordering);
  }
}

static uint32_t count_exports(const iu_raw_part *part) { return part->raw->default_count + part->s->procedure_count; }

void iu__schema_encode(const iu_raw_part *parts, uint32_t count, iu_buf *out) {
  iu__buf_put_u8(out, 1); /* V9 */
  put_section(out, parts, count, count_nodes, put_nodes);
  put_section(out, parts, count, count_tables, put_tables);
  put_section(out, parts, count, count_reducers, put_reducers);
  put_section(out, parts, count, count_types, put_types);
  put_section(out, parts, count, count_exports, put_exports);
  iu__buf_put_u32(out, 0); /* row level security */
}
