/* schema_read.c: the layout of RawModuleDef V9, read into an iu_raw_schema. Every count is held against the bytes left before
 * anything is allocated for it; every name must be an identifier. Errors carry the offset in the definition.
 */
#include "schema_raw.h"

typedef struct input {
  iu_reader r;
  iu_schema *s;
  iu_raw_schema *raw;
  iu_error *err; /* never NULL here */
} input;

static bool bad(input *in, size_t at, const char *what) {
  if (in->err->status == IU_OK) {
    iu__fail_at(in->err, IU_E_VALIDATION, at, "module definition: %s at byte %zu", what, at);
  }
  return false;
}

static bool no_memory(input *in) {
  iu__fail_nomem(in->err);
  return false;
}

/* ---- parts ---- */

static size_t here(const input *in) { return iu__reader_offset(&in->r); }

static bool read_tag(input *in, uint8_t variants, uint8_t *tag, const char *what) {
  size_t at = here(in);
  *tag = iu__read_u8(&in->r);
  return (!in->r.failed && *tag < variants) || bad(in, at, what);
}

static bool read_bool(input *in, bool *value) {
  uint8_t tag;
  if (!read_tag(in, 2, &tag, "expected a Bool")) return false;
  *value = tag == 1;
  return true;
}

/* Option: tag 0 is some. */
static bool read_some(input *in, bool *some) {
  uint8_t tag;
  if (!read_tag(in, 2, &tag, "expected an Option")) return false;
  *some = tag == 0;
  return true;
}

static bool read_u16(input *in, uint16_t *value) {
  size_t at = here(in);
  *value = iu__read_u16(&in->r);
  return !in->r.failed || bad(in, at, "expected a U16");
}

static bool read_u32(input *in, uint32_t *value) {
  size_t at = here(in);
  *value = iu__read_u32(&in->r);
  return !in->r.failed || bad(in, at, "expected a U32");
}

/* A list's count, at most `most`, and zeroed room for it; `least` is the smallest encoding of an element. NULL on error. */
static void *read_list(input *in, iu_arena *arena, uint32_t most, size_t least, size_t size, uint32_t *count) {
  size_t at = here(in);
  *count = iu__read_u32(&in->r);
  bool fits = !in->r.failed && *count <= iu__reader_left(&in->r) / least;
  if (!fits || *count > most) {
    *count = 0;
    bad(in, at, fits ? "more tables, indexes, constraints or sequences than the limit" : "more elements than bytes");
    return NULL;
  }
  void *items = iu__arena_zero(arena, *count != 0 ? *count : 1, size);
  if (items == NULL) no_memory(in);
  return items;
}

static bool read_text(input *in, const uint8_t **text, uint32_t *len, const char *what) {
  size_t at = here(in);
  *text = iu__read_bytes(&in->r, len);
  return *text != NULL || bad(in, at, what);
}

static bool read_name_within(input *in, size_t most, const char **name) {
  size_t at = here(in);
  const uint8_t *text;
  uint32_t len;
  if (!read_text(in, &text, &len, "expected a name")) return false;
  bool (*is_name)(const char *, size_t, size_t) = in->raw->served ? iu__is_dotted_identifier : iu__is_identifier_within;
  if (!is_name((const char *)text, len, most)) {
    char shown[4 * 64 + 4];
    iu__fail_at(in->err, IU_E_VALIDATION, at, "module definition: the name `%s` at byte %zu is no identifier",
                iu__printable(shown, 64, text, len), at);
    return false;
  }
  *name = iu__arena_strndup(&in->s->arena, (const char *)text, len);
  return *name != NULL || no_memory(in);
}

static bool read_name(input *in, const char **name) { return read_name_within(in, IU_SCHEMA_NAME_MAX, name); }

/* Of an index, a constraint, a sequence, a schedule. */
static bool read_optional_name(input *in, const char **name) {
  bool some;
  *name = NULL;
  return read_some(in, &some) && (!some || read_name_within(in, in->raw->served ? IU_SCHEMA_INDEX_NAME_MAX : IU_SCHEMA_NAME_MAX, name));
}

static void sort_columns(uint16_t *columns, uint32_t count) {
  for (uint32_t i = 1; i < count; i++) {
    uint16_t c = columns[i];
    uint32_t j = i;
    for (; j > 0 && columns[j - 1] > c; j--) columns[j] = columns[j - 1];
    columns[j] = c;
  }
}

static bool read_some_columns(input *in, uint32_t count, iu_raw_columns *columns) {
  uint16_t *at = iu__arena_zero(&in->s->arena, count + 1, sizeof *at);
  uint16_t *sorted = iu__arena_zero(&in->raw->arena, count + 1, sizeof *sorted);
  if (at == NULL || sorted == NULL) return no_memory(in);
  for (uint32_t i = 0; i < count; i++) {
    if (!read_u16(in, &at[i])) return false;
  }
  memcpy(sorted, at, count * sizeof *at);
  sort_columns(sorted, count);
  *columns = (iu_raw_columns){count, at, sorted};
  return true;
}

static bool read_columns(input *in, iu_raw_columns *columns) {
  size_t at = here(in);
  uint32_t count;
  if (!read_u32(in, &count)) return false;
  if (count > IU_INDEX_COLUMNS_MAX) return bad(in, at, "more than 32 columns");
  return read_some_columns(in, count, columns);
}

static bool read_i128(input *in, iu_raw_i128 *value) {
  size_t at = here(in);
  uint64_t low = iu__read_u64(&in->r), high = iu__read_u64(&in->r);
  if (in->r.failed) return bad(in, at, "expected an I128");
  bool negative = high >> 63 != 0;
  value->present = true;
  value->over = high != (low >> 63 != 0 ? UINT64_MAX : 0);
  value->value = !value->over ? (int64_t)low : negative ? INT64_MIN : INT64_MAX;
  return true;
}

static bool read_optional_i128(input *in, iu_raw_i128 *value) {
  bool some;
  return read_some(in, &some) && (!some || read_i128(in, value));
}

/* ---- tables ---- */

static bool read_index(input *in, iu_raw_index *index) {
  if (!read_optional_name(in, &index->name) || !read_optional_name(in, &index->accessor)) return false;
  if (!read_tag(in, 3, &index->algorithm, "expected an index algorithm")) return false;
  return index->algorithm == IU_RAW_DIRECT ? read_some_columns(in, 1, &index->on) : read_columns(in, &index->on);
}

static bool read_constraint(input *in, iu_raw_constraint *constraint) {
  uint8_t kind;
  return read_optional_name(in, &constraint->name) && read_tag(in, 1, &kind, "expected a Unique constraint") &&
         read_columns(in, &constraint->on);
}

static bool read_sequence(input *in, iu_raw_sequence *q) {
  return read_optional_name(in, &q->name) && read_u16(in, &q->column) && read_optional_i128(in, &q->start) &&
         read_optional_i128(in, &q->min) && read_optional_i128(in, &q->max) && read_i128(in, &q->increment);
}

static bool read_schedule(input *in, iu_raw_table *t) {
  if (!read_some(in, &t->scheduled)) return false;
  return !t->scheduled || (read_optional_name(in, &t->schedule_name) && read_name(in, &t->schedule_reducer) &&
                           read_u16(in, &t->schedule_column));
}

static bool read_table_parts(input *in, iu_raw_table *t) {
  iu_arena *arena = &in->raw->arena;
  t->indexes = read_list(in, arena, IU_TABLE_INDEXES_MAX, 5, sizeof *t->indexes, &t->index_count);
  if (t->indexes == NULL) return false;
  for (uint32_t i = 0; i < t->index_count; i++) {
    if (!read_index(in, &t->indexes[i])) return false;
  }
  t->constraints = read_list(in, arena, IU_TABLE_INDEXES_MAX, 6, sizeof *t->constraints, &t->constraint_count);
  if (t->constraints == NULL) return false;
  for (uint32_t i = 0; i < t->constraint_count; i++) {
    if (!read_constraint(in, &t->constraints[i])) return false;
  }
  t->sequences = read_list(in, arena, IU_TABLE_INDEXES_MAX, 22, sizeof *t->sequences, &t->sequence_count);
  if (t->sequences == NULL) return false;
  for (uint32_t i = 0; i < t->sequence_count; i++) {
    if (!read_sequence(in, &t->sequences[i])) return false;
  }
  return true;
}

static bool read_table(input *in, iu_raw_table *t) {
  uint8_t type, access;
  if (!read_name(in, &t->name) || !read_u32(in, &t->row_type) || !read_columns(in, &t->primary_key)) return false;
  if (!read_table_parts(in, t) || !read_schedule(in, t)) return false;
  if (!read_tag(in, 2, &type, "expected a table type") || !read_tag(in, 2, &access, "expected a table access")) return false;
  t->is_system = type == 0;
  t->is_public = access == 0;
  return true;
}

static bool read_tables(input *in) {
  iu_raw_schema *raw = in->raw;
  raw->tables = read_list(in, &raw->arena, IU_SCHEMA_TABLES_MAX, 27, sizeof *raw->tables, &raw->table_count);
  if (raw->tables == NULL) return false;
  for (uint32_t i = 0; i < raw->table_count; i++) {
    if (!read_table(in, &raw->tables[i])) return false;
  }
  return true;
}

/* ---- the rest ---- */

static bool read_params(input *in, const iu_type **params) {
  *params = iu__product_decode(&in->s->types, &in->r, in->err);
  return *params != NULL;
}

static bool read_reducers(input *in) {
  iu_schema *s = in->s;
  s->reducers = read_list(in, &s->arena, UINT32_MAX, 10, sizeof *s->reducers, &s->reducer_count);
  if (s->reducers == NULL) return false;
  for (uint32_t i = 0; i < s->reducer_count; i++) {
    iu_reducer_def *d = &s->reducers[i];
    bool some;
    uint8_t lifecycle = 0;
    if (!read_name(in, &d->name) || !read_params(in, &d->params) || !read_some(in, &some)) return false;
    if (some && !read_tag(in, 3, &lifecycle, "expected a lifecycle")) return false;
    d->lifecycle = some ? (iu_lifecycle)(lifecycle + 1) : IU_LC_NONE;
  }
  return true;
}

/* {scope: [str], name: str} as "scope.scope.name". */
static bool read_scoped_name(input *in, const char **name) {
  iu_buf joined = {0};
  size_t at = here(in);
  uint32_t scopes;
  if (!read_u32(in, &scopes)) return false;
  bool good = scopes < iu__reader_left(&in->r) / 4 || bad(in, at, "more elements than bytes");
  for (uint32_t i = 0; good && i <= scopes; i++) {
    const char *part;
    good = read_name(in, &part);
    if (!good) break;
    if (i != 0) iu__buf_put_u8(&joined, '.');
    iu__buf_put_str(&joined, part);
  }
  if (good) {
    *name = joined.failed ? NULL : iu__arena_strndup(&in->s->arena, (const char *)joined.data, joined.len);
    good = *name != NULL || no_memory(in);
  }
  iu__buf_free(&joined);
  return good;
}

static bool read_types(input *in) {
  iu_raw_schema *raw = in->raw;
  raw->types = read_list(in, &raw->arena, UINT32_MAX, 13, sizeof *raw->types, &raw->type_count);
  if (raw->types == NULL) return false;
  for (uint32_t i = 0; i < raw->type_count; i++) {
    iu_raw_type *t = &raw->types[i];
    if (!read_scoped_name(in, &t->name) || !read_u32(in, &t->type) || !read_bool(in, &t->custom_ordering)) return false;
  }
  return true;
}

static bool read_default(input *in) {
  iu_raw_default *d = &in->raw->defaults[in->raw->default_count++];
  return read_name(in, &d->table) && read_u16(in, &d->column) && read_text(in, &d->value, &d->len, "expected a default value");
}

static bool read_procedure_or_view(input *in, bool view) {
  iu_procedure_def d = {0};
  uint32_t index;
  bool is_public = false, is_anonymous;
  if (!read_name(in, &d.name)) return false;
  in->raw->functions[in->raw->function_count++] = d.name;
  if (view && (!read_u32(in, &index) || !read_bool(in, &is_public) || !read_bool(in, &is_anonymous))) return false;
  if (!read_params(in, &d.params) || (d.returns = iu__type_decode(&in->s->types, &in->r, in->err)) == NULL) return false;
  if (view) in->raw->views[in->raw->view_count++] = (iu_raw_view){d.name, is_public, d.params, d.returns};
  else in->s->procedures[in->s->procedure_count++] = d;
  return true;
}

static bool read_misc_exports(input *in) {
  iu_raw_schema *raw = in->raw;
  uint32_t count;
  raw->defaults = read_list(in, &raw->arena, UINT32_MAX, 10, sizeof *raw->defaults, &count);
  if (raw->defaults == NULL) return false;
  raw->functions = iu__arena_zero(&raw->arena, count != 0 ? count : 1, sizeof *raw->functions);
  in->s->procedures = iu__arena_zero(&in->s->arena, count != 0 ? count : 1, sizeof *in->s->procedures);
  raw->views = iu__arena_zero(&raw->arena, count != 0 ? count : 1, sizeof *raw->views);
  if (raw->functions == NULL || in->s->procedures == NULL || raw->views == NULL) return no_memory(in);
  for (uint32_t i = 0; i < count; i++) {
    uint8_t kind;
    if (!read_tag(in, 3, &kind, "expected a miscellaneous export")) return false;
    if (kind == 0 ? !read_default(in) : !read_procedure_or_view(in, kind == 2)) return false;
  }
  return true;
}

static bool read_end(input *in) {
  size_t at = here(in);
  uint32_t rules;
  if (!read_u32(in, &rules)) return false;
  if (rules != 0) return bad(in, at, "row level security is not supported:");
  return in->r.p == in->r.end || bad(in, here(in), "unexpected bytes after the end");
}

static bool read_version(input *in) {
  uint8_t version;
  if (!read_tag(in, 3, &version, "expected a RawModuleDef")) return false;
  return version == 1 || bad(in, 0, version == 0 ? "V8 is not supported, V9 is:" : "V10 is not supported, V9 is:");
}

iu_status iu__schema_read(iu_schema *s, iu_raw_schema *raw, iu_error *err) {
  input in = {iu__reader(s->definition, s->definition_len), s, raw, err};
  iu__error_clear(err);
  if (!read_version(&in)) return err->status;
  iu_status status = iu__typespace_decode(&s->types, &in.r, err);
  if (status != IU_OK) return status;
  bool good = read_tables(&in) && read_reducers(&in) && read_types(&in) && read_misc_exports(&in) && read_end(&in);
  return good ? IU_OK : err->status;
}
