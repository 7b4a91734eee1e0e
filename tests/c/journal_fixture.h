/* journal_fixture.h: a schema with every kind of key, a model of its tables, deterministic random commits, temporary folders.
 *
 * The model is what the file must give back: rows by table, found by primary key or whole row. A commit is made by `commit_random` from the
 * model and a generator only, so a second model with the same seed repeats it.
 */
#ifndef IU_TESTS_JOURNAL_FIXTURE_H
#define IU_TESTS_JOURNAL_FIXTURE_H

#include "base_fixture.h"
#include "sql_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../core/journal/journal.h"

enum { T_PERSON, T_COUNTER, T_TAG, T_READING, T_NOTE, T_COUNT };

/* ---- schema: rows are written by the row_* functions below ---- */

typedef struct fixture {
  iu_typespace types;
  iu_schema schema;
  iu_table_def tables[T_COUNT];
  iu_index_def unique_tag;
  iu_sequence_def counter_sequence;
  iu_store *store;
  char folder[64];
  char path[128];
} fixture;

static inline const iu_type *product_of(iu_typespace *ts, uint32_t count, const iu_field *fields) {
  const iu_type *t = iu__type_product(ts, count, fields);
  assert_non_null(t);
  return t;
}

static inline void fixture_schema(fixture *f) {
  iu_typespace *ts = &f->types;
  const iu_type *string = iu__type_scalar(IU_T_STRING);
  iu_field meta[] = {{"name", iu__type_option(ts, string)}, {"tags", iu__type_array(ts, string)}, {"score", iu__type_scalar(IU_T_F64)}};
  iu_field person[] = {{"id", string}, {"age", iu__type_scalar(IU_T_U32)}, {"metadata", product_of(ts, 3, meta)}};
  iu_field counter[] = {{"id", iu__type_scalar(IU_T_U64)}, {"value", iu__type_scalar(IU_T_I64)}};
  iu_field tag[] = {{"a", string}, {"b", iu__type_scalar(IU_T_U16)}};
  iu_field reading[] = {{"at", iu__type_scalar(IU_T_F64)}, {"note", string}};
  iu_field note[] = {{"key", iu__type_scalar(IU_T_I64)}, {"data", iu__type_special(IU_S_BYTES)}};
  static const uint16_t both[] = {0, 1};

  f->unique_tag = (iu_index_def){"tag_a_b_idx", "a_b", 2, both, false};
  f->counter_sequence = (iu_sequence_def){"counter_id_seq", 0, 1, 1, INT64_MAX, 1};
  f->tables[T_PERSON] = (iu_table_def){.name = "person", .row = product_of(ts, 3, person), .primary_key = 0, .schedule_reducer = -1};
  f->tables[T_COUNTER] = (iu_table_def){.name = "counter", .row = product_of(ts, 2, counter), .primary_key = 0, .schedule_reducer = -1,
                                        .sequence_count = 1, .sequences = &f->counter_sequence};
  f->tables[T_TAG] = (iu_table_def){.name = "tag", .row = product_of(ts, 2, tag), .primary_key = -1, .schedule_reducer = -1};
  f->tables[T_READING] = (iu_table_def){.name = "reading", .row = product_of(ts, 2, reading), .primary_key = 0, .schedule_reducer = -1};
  f->tables[T_NOTE] = (iu_table_def){.name = "note", .row = product_of(ts, 2, note), .primary_key = 0, .schedule_reducer = -1};
  assert_int_equal(iu__typespace_link(ts, NULL), IU_OK);
  f->schema.tables = f->tables;
  f->schema.table_count = T_COUNT;
  assert_int_equal(iu__store_new(&f->schema, &f->store, NULL), IU_OK);
}

static inline int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
  (void)st, (void)flag, (void)ftw;
  return remove(path);
}

static inline void fixture_begin(fixture *f) {
  const char *base = getenv("TMPDIR");

  memset(f, 0, sizeof *f);
  fixture_schema(f);
  snprintf(f->folder, sizeof f->folder, "%s/iu-journal-XXXXXX", base != NULL && strlen(base) < 40 ? base : "/tmp");
  assert_non_null(mkdtemp(f->folder));
  snprintf(f->path, sizeof f->path, "%s/world.universe", f->folder);
}

static inline void fixture_end(fixture *f) {
  iu__store_free(f->store);
  iu__typespace_free(&f->types);
  nftw(f->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- the model ---- */

typedef struct model_row { uint32_t table; iu_row *row; } model_row;
typedef struct model {
  const fixture *f;
  model_row *rows;
  uint32_t count, cap;
  int64_t next;      /* the counter's auto-increment position */
  uint64_t sequence; /* commits applied */
} model;

static inline iu_slice row_key(const fixture *f, uint32_t table, const void *row, size_t len) {
  const iu_table_def *def = &f->tables[table];
  if (def->primary_key < 0) return (iu_slice){row, len};
  return iu__bsatn_column(def->row, (uint32_t)def->primary_key, row, len);
}

static inline int model_find(const model *m, uint32_t table, iu_slice key) {
  for (uint32_t i = 0; i < m->count; i++) {
    iu_slice k;
    if (m->rows[i].table != table) continue;
    k = row_key(m->f, table, m->rows[i].row->data, m->rows[i].row->len);
    if (k.len == key.len && memcmp(k.p, key.p, k.len) == 0) return (int)i;
  }
  return -1;
}

static inline iu_row *row_copy(const void *bytes, size_t len) {
  iu_row *r = calloc(1, sizeof *r + len);
  assert_non_null(r);
  r->gone = UINT64_MAX;
  r->len = (uint32_t)len;
  memcpy(r->data, bytes, len);
  return r;
}

static inline void model_remove(model *m, uint32_t table, iu_slice key) {
  int at = model_find(m, table, key);
  if (at < 0) return;
  free(m->rows[at].row);
  m->rows[at] = m->rows[--m->count];
}

static inline void model_put(model *m, uint32_t table, const void *row, size_t len) {
  model_remove(m, table, row_key(m->f, table, row, len));
  if (m->count == m->cap) {
    m->cap = m->cap == 0 ? 64 : m->cap * 2;
    m->rows = realloc(m->rows, m->cap * sizeof *m->rows);
    assert_non_null(m->rows);
  }
  m->rows[m->count++] = (model_row){table, row_copy(row, len)};
}

static inline void model_free(model *m) {
  for (uint32_t i = 0; i < m->count; i++) free(m->rows[i].row);
  free(m->rows);
  memset(m, 0, sizeof *m);
}

/* The first difference as text, or NULL. */
static inline const char *model_difference(const model *a, const model *b, char out[160]) {
  if (a->next != b->next) return snprintf(out, 160, "position %lld, not %lld", (long long)a->next, (long long)b->next), out;
  for (uint32_t i = 0; i < a->count; i++) {
    const model_row *r = &a->rows[i];
    int at = model_find(b, r->table, row_key(a->f, r->table, r->row->data, r->row->len));
    if (at < 0) return snprintf(out, 160, "a row of table %s is missing", a->f->tables[r->table].name), out;
    if (b->rows[at].row->len != r->row->len || memcmp(b->rows[at].row->data, r->row->data, r->row->len) != 0)
      return snprintf(out, 160, "a row of table %s is another", a->f->tables[r->table].name), out;
  }
  if (a->count != b->count) return snprintf(out, 160, "%u rows, not %u", b->count, a->count), out;
  return NULL;
}

static inline void assert_model_equal(const model *a, const model *b) {
  char text[160];
  const char *difference = model_difference(a, b, text);
  if (difference != NULL) fail_msg("%s", difference);
}

/* ---- loading into a model ---- */

static inline iu_status sink_put(void *ud, uint32_t table, const void *row, size_t len, iu_error *err) {
  (void)err;
  model_put(ud, table, row, len);
  return IU_OK;
}
static inline iu_status sink_del(void *ud, uint32_t table, const void *key, size_t len, iu_error *err) {
  (void)err;
  model_remove(ud, table, (iu_slice){key, len});
  return IU_OK;
}
static inline iu_status sink_sequence(void *ud, uint32_t table, uint32_t sequence, int64_t next, iu_error *err) {
  (void)err, (void)sequence;
  assert_int_equal(table, T_COUNTER);
  ((model *)ud)->next = next;
  return IU_OK;
}
static inline iu_status load_model(iu_journal *j, model *m, iu_journal_recovery *r, iu_error *err) {
  iu_journal_sink sink = {m, sink_put, sink_del, sink_sequence, NULL};
  return iu__journal_load(j, &sink, r, err);
}

/* ---- commits ---- */

#define COMMIT_MAX 16
typedef struct commit {
  const fixture *f;
  iu_change changes[COMMIT_MAX];
  uint32_t tables[COMMIT_MAX];
  iu_changeset set;
  iu_sequence_value next;
  uint32_t next_count;
} commit;

static inline void commit_change(commit *c, uint32_t table, iu_row *old_row, iu_row *new_row) {
  assert_true(c->set.count < COMMIT_MAX);
  c->tables[c->set.count] = table;
  c->changes[c->set.count++] = (iu_change){.table = iu__store_table(c->f->store, table), .old_row = old_row, .new_row = new_row};
}

static inline void commit_begin(commit *c, const fixture *f) {
  memset(c, 0, sizeof *c);
  c->f = f;
  c->set.changes = c->changes;
}

/* The commit's effect on a model; rows of the commit are freed. */
static inline void commit_apply(commit *c, model *m) {
  for (uint32_t i = 0; i < c->set.count; i++) {
    const iu_row *o = c->changes[i].old_row, *n = c->changes[i].new_row;
    if (o != NULL) model_remove(m, c->tables[i], row_key(c->f, c->tables[i], o->data, o->len));
    if (n != NULL) model_put(m, c->tables[i], n->data, n->len);
  }
  if (c->next_count != 0) m->next = c->next.next;
  m->sequence++;
  for (uint32_t i = 0; i < c->set.count; i++) {
    free((void *)c->changes[i].old_row);
    free((void *)c->changes[i].new_row);
  }
}

static inline iu_status commit_append(commit *c, iu_journal *j, uint64_t *seq, iu_error *err) {
  return iu__journal_append(j, &c->set, &c->next, c->next_count, seq, err);
}

static inline iu_row *row_from(iu_buf *b) {
  iu_row *r;
  assert_int_equal(iu__buf_status(b, NULL, "row"), IU_OK);
  r = row_copy(b->data, b->len);
  iu__buf_free(b);
  return r;
}
static inline void put_text_value(iu_buf *b, const char *s) { iu__buf_put_bytes(b, s, strlen(s)); }
static inline void put_f64_value(iu_buf *b, double v) { iu__buf_put_u64(b, bits_of(v)); }

static inline iu_row *row_person(const char *id, uint32_t age, const char *name, double score) {
  iu_buf b = {0};
  put_text_value(&b, id);
  iu__buf_put_u32(&b, age);
  iu__buf_put_u8(&b, name != NULL ? 0 : 1);
  if (name != NULL) put_text_value(&b, name);
  iu__buf_put_u32(&b, 1);
  put_text_value(&b, "a tag");
  put_f64_value(&b, score);
  return row_from(&b);
}
static inline iu_row *row_counter(uint64_t id, int64_t value) {
  iu_buf b = {0};
  iu__buf_put_u64(&b, id);
  iu__buf_put_u64(&b, (uint64_t)value);
  return row_from(&b);
}
static inline iu_row *row_tag(const char *a, uint16_t n) {
  iu_buf b = {0};
  put_text_value(&b, a);
  iu__buf_put_u16(&b, n);
  return row_from(&b);
}
static inline iu_row *row_reading(double at, const char *note) {
  iu_buf b = {0};
  put_f64_value(&b, at);
  put_text_value(&b, note);
  return row_from(&b);
}
static inline iu_row *row_note(int64_t key, const void *data, size_t len) {
  iu_buf b = {0};
  iu__buf_put_u64(&b, (uint64_t)key);
  iu__buf_put_bytes(&b, data, len);
  return row_from(&b);
}

/* Few keys, so that commits meet the same rows again and again. */
static inline iu_row *row_random(uint32_t table, random_source *r) {
  static const double ats[] = {0.0, -0.0, 1.5, -2.25, INFINITY, -INFINITY, NAN, 1e300};
  char text[40];
  uint8_t data[512];
  size_t len = random_below(r, sizeof data);

  snprintf(text, sizeof text, "k%llu", (unsigned long long)random_below(r, 24));
  switch (table) {
    case T_PERSON: return row_person(text, (uint32_t)random_next(r), random_below(r, 2) ? "Ada" : NULL, (double)random_below(r, 1000) / 8);
    case T_COUNTER: return row_counter(random_below(r, 16) + (random_below(r, 2) ? UINT64_MAX - 15 : 0), (int64_t)random_next(r));
    case T_TAG: return row_tag(text, (uint16_t)random_below(r, 3));
    case T_READING: return row_reading(ats[random_below(r, 8)], text);
    default:
      for (size_t i = 0; i < len; i++) data[i] = (uint8_t)random_next(r);
      return row_note((int64_t)random_below(r, 20) - 10, data, len);
  }
}

/* 1 to 8 changes of different rows: inserts, updates (also of the key), deletes. */
static inline void commit_random(commit *c, const model *m, random_source *r) {
  uint32_t wanted = 1 + (uint32_t)random_below(r, 8);

  commit_begin(c, m->f);
  for (uint32_t i = 0; i < wanted; i++) {
    uint32_t table = (uint32_t)random_below(r, T_COUNT);
    iu_row *n = row_random(table, r);
    int at = model_find(m, table, row_key(m->f, table, n->data, n->len));
    uint64_t choice = random_below(r, 3);
    bool seen = false;

    for (uint32_t k = 0; k < c->set.count; k++) seen = seen || c->tables[k] == table;
    if (seen) { /* one change a table keeps the rows of a commit apart */
      free(n);
      continue;
    }
    if (at < 0 && choice == 0 && m->count != 0) { /* another row of the table takes this key */
      uint32_t victim = (uint32_t)random_below(r, m->count);
      if (m->rows[victim].table == table) at = (int)victim;
    }
    if (at < 0) commit_change(c, table, NULL, n);
    else if (choice == 2) commit_change(c, table, row_copy(m->rows[at].row->data, m->rows[at].row->len), (free(n), NULL));
    else commit_change(c, table, row_copy(m->rows[at].row->data, m->rows[at].row->len), n);
  }
  if (random_below(r, 4) == 0) {
    c->next = (iu_sequence_value){T_COUNTER, 0, m->next + 1 + (int64_t)random_below(r, 10)};
    c->next_count = 1;
  }
}

/* Appends one random commit and applies it to the model. */
static inline iu_status step(iu_journal *j, model *m, random_source *r, iu_error *err) {
  commit c;
  uint64_t seq = 0;
  iu_status status;

  commit_random(&c, m, r);
  status = commit_append(&c, j, &seq, err);
  if (status == IU_OK) {
    commit_apply(&c, m);
    assert_int_equal(seq, m->sequence);
    return IU_OK;
  }
  for (uint32_t i = 0; i < c.set.count; i++) {
    free((void *)c.changes[i].old_row);
    free((void *)c.changes[i].new_row);
  }
  return status;
}

/* ---- journals ---- */

static inline iu_journal_config config_for(const fixture *f) {
  iu_journal_config c;
  iu__journal_config_init(&c);
  c.path = f->path;
  c.schema = &f->schema;
  return c;
}

#define assert_ok(expression, err)                                             \
  do {                                                                         \
    iu_error *e_ = (err);                                                      \
    iu_status s_ = (expression);                                               \
    if (s_ != IU_OK) fail_msg("%s: %s: %s", #expression, iu_status_code(s_), e_->message); \
  } while (0)

#define assert_says(err, part)                                                              \
  do {                                                                                      \
    if (strstr((err)->message, part) == NULL) fail_msg("`%s` is not in `%s`", part, (err)->message); \
  } while (0)

/* Opened and loaded; what was loaded goes to *m when given. */
static inline iu_journal *open_loaded(const iu_journal_config *c, const fixture *f, model *m, iu_journal_recovery *r) {
  iu_journal *j = NULL;
  iu_error err;
  model own = {.f = f};
  iu_journal_recovery recovery;

  assert_ok(iu__journal_open(c, &j, &err), &err);
  assert_ok(load_model(j, m != NULL ? m : &own, r != NULL ? r : &recovery, &err), &err);
  model_free(&own);
  return j;
}

static inline void close_ok(iu_journal *j) {
  iu_error err;
  assert_ok(iu__journal_close(j, &err), &err);
}

static inline bool file_exists(const char *path, const char *suffix) {
  char name[192];
  struct stat st;
  snprintf(name, sizeof name, "%s%s", path, suffix);
  return stat(name, &st) == 0;
}

/* ---- files as bytes ---- */

static inline uint8_t *read_all(const char *path, size_t *len) {
  FILE *file = fopen(path, "rb");
  uint8_t *bytes;
  long size;

  assert_non_null(file);
  fseek(file, 0, SEEK_END);
  size = ftell(file);
  rewind(file);
  bytes = malloc((size_t)size + 1);
  assert_int_equal(fread(bytes, 1, (size_t)size, file), (size_t)size);
  fclose(file);
  *len = (size_t)size;
  return bytes;
}

static inline void write_all(const char *path, const void *bytes, size_t len) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, len, file), len);
  fclose(file);
}

#endif
