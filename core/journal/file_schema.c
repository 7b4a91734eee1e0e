/* file_schema.c: see file_schema.h. A definition is taken for understood when writing it down again gives the same bytes, so the reader need not be strict.
 *
 * Products and sums that are no specials stand in the typespace, as in a module: they nest through refs there, so the depth of a type as written is no limit here.
 */
#include "file_schema.h"

#include <ctype.h>

#include "../base/alloc.h"
#include "catalog.h"
#include "db.h"

#define DEPTH_MAX 512   /* of products, sums, options and arrays within each other */
#define NAME_SHOWN 64

typedef struct parser {
  const char *p, *end;
  iu_typespace *space;
  iu_arena *arena;
  uint32_t cap;       /* of space->types */
  bool no_memory;
} parser;

static bool eat(parser *w, const char *text) {
  size_t len = strlen(text);

  if ((size_t)(w->end - w->p) < len || memcmp(w->p, text, len) != 0) return false;
  w->p += len;
  return true;
}

/* Up to one of the ends; names hold none of the signs. */
static size_t word_length(const parser *w) {
  size_t n = 0;

  while (w->p + n < w->end && strchr(" :,|<>(){}\n", w->p[n]) == NULL) n++;
  return n;
}

/* Identifiers, as modules have them: they go into SQL. */
static bool is_name(const char *p, size_t len) {
  if (len == 0 || len > IU_SCHEMA_NAME_MAX) return false;
  for (size_t i = 0; i < len; i++) {
    if (!isalnum((unsigned char)p[i]) && p[i] != '_' && (unsigned char)p[i] < 0x80) return false;
  }
  return true;
}

static const iu_type *none(parser *w) {
  w->no_memory = w->no_memory || w->space->no_memory;
  return NULL;
}

static const iu_type *named_type(const char *p, size_t len) {
  static const iu_special specials[] = {IU_S_IDENTITY, IU_S_CONNECTION_ID, IU_S_TIMESTAMP, IU_S_TIME_DURATION, IU_S_UUID, IU_S_SCHEDULE_AT, IU_S_BYTES};
  const char *name;

  for (int tag = IU_T_STRING; tag < IU_T_COUNT; tag++) {
    name = iu__jtype_name((uint8_t)tag, IU_S_NONE);
    if (name != NULL && strlen(name) == len && memcmp(name, p, len) == 0) return iu__type_scalar((iu_type_tag)tag);
  }
  for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++) {
    name = iu__jtype_name(IU_T_COUNT, (uint8_t)specials[i]);
    if (strlen(name) == len && memcmp(name, p, len) == 0) return iu__type_special(specials[i]);
  }
  return NULL;
}

static const iu_type *parse_type(parser *w, uint32_t depth);

/* In the typespace, and a ref to it. */
static const iu_type *defined(parser *w, const iu_type *t) {
  if (t == NULL || t->special != IU_S_NONE || t->count == 0) return t;
  if (w->space->count == w->cap) {
    uint32_t cap = w->cap == 0 ? 16 : 2 * w->cap;
    const iu_type **types = iu__arena_alloc(w->arena, cap * sizeof *types);

    if (types == NULL) return w->no_memory = true, NULL;
    if (w->space->count != 0) memcpy(types, w->space->types, w->space->count * sizeof *types);
    w->space->types = types;
    w->cap = cap;
  }
  w->space->types[w->space->count++] = t;
  return iu__type_ref(w->space, w->space->count - 1);
}

/* "name: type" and what is between, up to `close`. */
static const iu_type *parse_fields(parser *w, bool sum, const char *between, const char *close, uint32_t depth) {
  iu_buf list = {0};
  const iu_type *t = NULL;
  uint32_t count = 0;
  bool ok = true;

  while (ok && !eat(w, close)) {
    iu_field f = {NULL, NULL};
    size_t len;

    if (count != 0) ok = eat(w, between);
    len = word_length(w);
    if (len != 0) {
      f.name = iu__arena_strndup(w->arena, w->p, len);
      w->no_memory = w->no_memory || f.name == NULL;
    }
    w->p += len;
    ok = ok && !w->no_memory && eat(w, ": ") && (f.type = parse_type(w, depth)) != NULL;
    iu__buf_put(&list, &f, sizeof f);
    count++;
  }
  w->no_memory = w->no_memory || list.failed;
  if (ok && !list.failed) t = sum ? iu__type_sum(w->space, count, (const iu_field *)(const void *)list.data) : iu__type_product(w->space, count, (const iu_field *)(const void *)list.data);
  iu__buf_free(&list);
  return t != NULL ? defined(w, t) : none(w);
}

static const iu_type *parse_type(parser *w, uint32_t depth) {
  const iu_type *inner, *t;
  size_t len;

  if (depth == DEPTH_MAX) return NULL;
  if (eat(w, "(")) return parse_fields(w, false, ", ", ")", depth + 1);
  if (eat(w, "{")) return parse_fields(w, true, " | ", "}", depth + 1);
  if (eat(w, "Option<") || eat(w, "Array<")) {
    bool option = w->p[-2] == 'n';

    inner = parse_type(w, depth + 1);
    if (inner == NULL || !eat(w, ">")) return NULL;
    t = option ? iu__type_option(w->space, inner) : iu__type_array(w->space, inner);
    return t != NULL ? t : none(w);
  }
  len = word_length(w);
  t = named_type(w->p, len);
  w->p += len;
  return t;
}

/* ---- one table ---- */

typedef struct draft { iu_buf fields, indexes, sequences; } draft;

static bool parse_column(parser *w, draft *d) {
  size_t len = word_length(w);
  iu_field f = {iu__arena_strndup(w->arena, w->p, len), NULL};

  w->no_memory = w->no_memory || f.name == NULL;
  w->p += len;
  if (w->no_memory || !is_name(f.name, len) || !eat(w, " ")) return false;
  f.type = parse_type(w, 0);
  iu__buf_put(&d->fields, &f, sizeof f);
  w->no_memory = w->no_memory || d->fields.failed;
  return f.type != NULL && !w->no_memory && eat(w, "\n");
}

/* The next word as the number of a column; -1: none of that name. */
static int column(parser *w, const draft *d) {
  const iu_field *fields = (const iu_field *)(const void *)d->fields.data;
  size_t len = word_length(w);
  const char *p = w->p;

  w->p += len;
  for (size_t i = 0; i < d->fields.len / sizeof *fields; i++) {
    if (strlen(fields[i].name) == len && memcmp(fields[i].name, p, len) == 0) return (int)i;
  }
  return -1;
}

static bool parse_unique(parser *w, draft *d) {
  uint16_t *columns = iu__arena_alloc(w->arena, IU_INDEX_COLUMNS_MAX * sizeof *columns);
  iu_index_def index = {"unique", "unique", 0, columns, true};

  w->no_memory = w->no_memory || columns == NULL;
  while (columns != NULL && eat(w, " ")) {
    int at = column(w, d);

    if (at < 0 || index.column_count == IU_INDEX_COLUMNS_MAX) return false;
    columns[index.column_count++] = (uint16_t)at;
  }
  iu__buf_put(&d->indexes, &index, sizeof index);
  w->no_memory = w->no_memory || d->indexes.failed;
  return !w->no_memory && index.column_count != 0 && eat(w, "\n");
}

static bool parse_sequence(parser *w, draft *d) {
  int at = column(w, d);
  iu_sequence_def sequence = {"sequence", (uint16_t)at, 1, 1, INT64_MAX, 1};

  iu__buf_put(&d->sequences, &sequence, sizeof sequence);
  w->no_memory = w->no_memory || d->sequences.failed;
  return !w->no_memory && at >= 0 && eat(w, "\n");
}

static bool parse_lines(parser *w, draft *d, int32_t *key) {
  while (w->p < w->end) {
    bool ok;

    if (eat(w, "column ")) ok = parse_column(w, d);
    else if (eat(w, "primary key ")) ok = (*key = column(w, d)) >= 0 && eat(w, "\n");
    else if (eat(w, "unique")) ok = parse_unique(w, d);
    else ok = eat(w, "auto increment ") && parse_sequence(w, d);
    if (!ok) return false;
  }
  return true;
}

static void *keep(parser *w, const iu_buf *b) {
  void *p = iu__arena_alloc(w->arena, b->len + 1);

  if (p != NULL && b->len != 0) memcpy(p, b->data, b->len);
  w->no_memory = w->no_memory || p == NULL;
  return p;
}

static bool build(parser *w, draft *d, iu_table_def *def) {
  def->primary_key = def->schedule_reducer = -1;
  if (!parse_lines(w, d, &def->primary_key)) return false;
  def->row = iu__type_product(w->space, (uint32_t)(d->fields.len / sizeof(iu_field)), (const iu_field *)(const void *)d->fields.data);
  if (def->row == NULL) return none(w) != NULL;
  def->index_count = (uint32_t)(d->indexes.len / sizeof(iu_index_def));
  def->indexes = keep(w, &d->indexes);
  def->sequence_count = (uint32_t)(d->sequences.len / sizeof(iu_sequence_def));
  def->sequences = keep(w, &d->sequences);
  return !w->no_memory;
}

static iu_status parse_table(iu_file_schema *s, const char *name, const char *text, iu_table_def *def, iu_error *err) {
  parser w = {text, text + strlen(text), &s->spaces[s->space_count++], &s->arena, 0, false};
  draft d = {{0}, {0}, {0}};
  char *again = NULL, shown[4 * NAME_SHOWN + 4];
  bool same = false;
  iu_error why;
  iu_status status = IU_OK;

  def->name = iu__arena_strndup(&s->arena, name, strlen(name));
  w.no_memory = def->name == NULL;
  if (!w.no_memory && is_name(name, strlen(name)) && build(&w, &d, def)) {
    status = iu__typespace_link(w.space, &why);
    if (status == IU_OK) status = iu__jcatalog_define(def, &again, &why);
    w.no_memory = w.no_memory || status == IU_E_NOMEM;
    same = status == IU_OK && strcmp(again, text) == 0;
  }
  iu__free(again);
  iu__buf_free(&d.fields);
  iu__buf_free(&d.indexes);
  iu__buf_free(&d.sequences);
  if (w.no_memory) return iu__fail_nomem(err);
  if (!same) return iu__fail(err, IU_E_STORAGE, "the file is damaged: the definition of table `%s` cannot be understood", iu__printable(shown, NAME_SHOWN, name, strlen(name)));
  return IU_OK;
}

/* ---- all of them ---- */

/* The known table of that name: -1: none. */
static int known_table(const iu_schema *known, const char *name) {
  for (uint32_t i = 0; known != NULL && i < known->table_count; i++) {
    if (strcmp(known->tables[i].name, name) == 0) return (int)i;
  }
  return -1;
}

static iu_status make_room(iu_file_schema *s, uint32_t tables, iu_error *err) {
  s->schema.tables = iu__alloc_zero((size_t)tables + 1, sizeof *s->schema.tables);
  s->spaces = iu__alloc_zero((size_t)tables + 1, sizeof *s->spaces);
  s->cap = tables;
  return s->schema.tables != NULL && s->spaces != NULL ? IU_OK : iu__fail_nomem(err);
}

static iu_status read_one(iu_file_schema *s, const iu_schema *known, bool all_known, const char *name, const char *definition, iu_error *err) {
  int at = known_table(known, name);
  char *text = NULL;
  bool same;
  iu_status status;

  if (at >= 0 && all_known) return IU_OK;
  if (s->schema.table_count == s->cap) return iu__fail(err, IU_E_STORAGE, "the file is damaged: _iu_table lists a table twice");
  iu_table_def *def = &s->schema.tables[s->schema.table_count++];
  if (at >= 0) {
    status = iu__jcatalog_define(&known->tables[at], &text, err);
    same = status == IU_OK && strcmp(text, definition) == 0;
    iu__free(text);
    if (same) *def = known->tables[at];
    if (same || status != IU_OK) return status;
  }
  return parse_table(s, name, definition, def, err);
}

iu_status iu__jfile_schema_read(sqlite3 *db, const iu_schema *known, bool all_known, iu_file_schema *out, iu_error *err) {
  static const char what[] = "reading the list of tables";
  sqlite3_stmt *st = NULL;
  int64_t count = 0;
  bool row;
  iu_status status;

  memset(out, 0, sizeof *out);
  status = iu__jdb_int(db, "SELECT count(*) FROM _iu_table", 0, &count, what, err);
  if (status == IU_OK && count > IU_SCHEMA_TABLES_MAX) status = iu__fail(err, IU_E_STORAGE, "the file is damaged: _iu_table lists %lld tables", (long long)count);
  if (status == IU_OK) status = make_room(out, (uint32_t)count + (all_known ? known->table_count : 0), err);
  for (uint32_t i = 0; status == IU_OK && all_known && i < known->table_count; i++) out->schema.tables[out->schema.table_count++] = known->tables[i];
  if (status == IU_OK) status = iu__jdb_prepare(db, "SELECT name, definition FROM _iu_table ORDER BY id", &st, what, err);
  row = status == IU_OK;
  while (row && status == IU_OK) {
    status = iu__jdb_step(db, st, &row, what, err);
    if (status != IU_OK || !row) break;
    const char *name = (const char *)sqlite3_column_text(st, 0), *definition = (const char *)sqlite3_column_text(st, 1);
    if (name == NULL || definition == NULL) status = iu__fail(err, IU_E_STORAGE, "the file is damaged: an entry of _iu_table is incomplete");
    else status = read_one(out, known, all_known, name, definition, err);
  }
  sqlite3_finalize(st);
  return status;
}

iu_status iu__jfile_schema_parse(const char *name, const char *definition, iu_file_schema *out, iu_error *err) {
  iu_status status;

  memset(out, 0, sizeof *out);
  status = make_room(out, 1, err);
  if (status != IU_OK) return status;
  out->schema.table_count = 1;
  return parse_table(out, name, definition, &out->schema.tables[0], err);
}

void iu__jfile_schema_free(iu_file_schema *s) {
  for (uint32_t i = 0; i < s->space_count; i++) iu__typespace_free(&s->spaces[i]);
  iu__free(s->spaces);
  iu__free(s->schema.tables);
  iu__arena_free(&s->arena);
  memset(s, 0, sizeof *s);
}
