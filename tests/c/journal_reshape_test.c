/* journal_reshape_test.c: the tables of a file without their modules: what comes, goes, is renamed, defined and written anew, against what an open then finds; numbers that go on,
 * constraints that are kept, and what is undone. */
#include "journal_fixture.h"

#include "../../core/base/errinj.h"
#include "../../core/journal/file_schema.h"
#include "../../core/journal/reshape.h"
#include "../../core/journal/snapshot.h"

/* ---- helpers ---- */

typedef struct scene { fixture f; model m; random_source r; iu_reshape *s; } scene;

static void scene_begin(scene *s, const char *name) {
  iu_journal_config c;
  iu_journal *j;
  iu_error err;

  memset(s, 0, sizeof *s);
  s->r = random_begin(name);
  fixture_begin(&s->f);
  s->m.f = &s->f;
  c = config_for(&s->f);
  j = open_loaded(&c, &s->f, NULL, NULL);
  for (int i = 0; i < 200; i++) assert_ok(step(j, &s->m, &s->r, &err), &err);
  close_ok(j);
  assert_ok(iu__reshape_open(s->f.path, &s->s, &err), &err);
}

static void scene_end(scene *s) {
  iu__reshape_close(s->s);
  model_free(&s->m);
  fixture_end(&s->f);
}

/* Everything that the file has, with the tables as it declares them now, checked as an open checks it. */
typedef struct found { uint32_t tables; uint64_t rows[16]; int64_t next[16]; iu_file_schema schema; } found;

static iu_status found_put(void *ud, uint32_t table, const void *row, size_t len, iu_error *err) {
  (void)row, (void)len, (void)err;
  ((found *)ud)->rows[table]++;
  return IU_OK;
}
static iu_status found_del(void *ud, uint32_t table, const void *key, size_t len, iu_error *err) {
  (void)ud, (void)table, (void)key, (void)len, (void)err;
  return IU_OK;
}
static iu_status found_sequence(void *ud, uint32_t table, uint32_t sequence, int64_t next, iu_error *err) {
  (void)err;
  assert_int_equal(sequence, 0);
  ((found *)ud)->next[table] = next;
  return IU_OK;
}

static void look(const scene *s, found *out) {
  iu_journal_config c = config_for(&s->f);
  iu_journal_sink sink = {out, found_put, found_del, found_sequence, NULL};
  iu_journal_recovery recovery;
  iu_journal *j;
  iu_error err;
  sqlite3 *db;

  memset(out, 0, sizeof *out);
  assert_sql(s->f.path, "PRAGMA integrity_check", "ok");
  assert_ok(iu__jsnapshot_open(s->f.path, &db, &err), &err);
  assert_ok(iu__jfile_schema_read(db, NULL, false, &out->schema, &err), &err);
  sqlite3_close(db);
  c.schema = &out->schema.schema;
  out->tables = c.schema->table_count;
  assert_ok(iu__journal_open(&c, &j, &err), &err);
  assert_ok(iu__journal_load(j, &sink, &recovery, &err), &err);
  close_ok(j);
}

static uint64_t rows_of(const found *l, const char *table) {
  for (uint32_t i = 0; i < l->tables; i++) {
    if (strcmp(l->schema.schema.tables[i].name, table) == 0) return l->rows[i];
  }
  fail_msg("no table %s", table);
  return 0;
}
static int64_t next_of(const found *l, const char *table) {
  for (uint32_t i = 0; i < l->tables; i++) {
    if (strcmp(l->schema.schema.tables[i].name, table) == 0) return l->next[i];
  }
  return -1;
}

static uint64_t model_rows(const model *m, uint32_t table) {
  uint64_t n = 0;
  for (uint32_t i = 0; i < m->count; i++) n += m->rows[i].table == table;
  return n;
}

static iu_reshape_writer *writer(scene *s, iu_reshape_mode mode, const char *name, const char *definition) {
  iu_reshape_writer *w;
  iu_error err;
  assert_ok(iu__reshape_writer_new(s->s, mode, name, definition, &w, &err), &err);
  return w;
}

static void begin_tx(scene *s, bool schema) {
  iu_error err;
  assert_ok(iu__reshape_begin(s->s, schema, &err), &err);
}
static void end_tx(scene *s) {
  iu_error err;
  assert_ok(iu__reshape_commit(s->s, &err), &err);
}

static const char pairs[] = "column a U32\ncolumn b String\nprimary key a\nunique b\nauto increment a\n";

static iu_row *pair(uint32_t a, const char *b) {
  iu_buf row = {0};
  iu__buf_put_u32(&row, a);
  put_text_value(&row, b);
  return row_from(&row);
}

static iu_status put(iu_reshape_writer *w, iu_row *row, bool over, iu_error *err) {
  iu_status status = iu__reshape_put(w, row->data, row->len, over, err);
  free(row);
  return status;
}

/* ---- tables ---- */

static void test_tables_come_go_and_are_renamed(void **state) {
  scene s;
  found l;
  iu_error err;

  (void)state;
  scene_begin(&s, "tables");
  assert_int_equal(iu__reshape_count(s.s), T_COUNT);
  begin_tx(&s, true);
  assert_ok(iu__reshape_drop(s.s, "counter", &err), &err); /* with a position, and an id in the middle */
  assert_ok(iu__reshape_rename(s.s, "person", "human", &err), &err);
  iu_reshape_writer *w = writer(&s, IU_RESHAPE_CREATE, "pair", pairs);
  for (int i = 0; i < 5; i++) {
    char text[16];
    snprintf(text, sizeof text, "p%d", i);
    assert_ok(put(w, pair(0, text), false, &err), &err);
  }
  assert_ok(iu__reshape_finish(w, true, &err), &err);
  iu__reshape_writer_free(w);
  end_tx(&s);
  assert_int_equal(iu__reshape_find(s.s, "counter"), -1);
  assert_true(iu__reshape_find(s.s, "human") >= 0);
  iu__reshape_close(s.s);
  s.s = NULL;
  look(&s, &l);
  assert_int_equal(l.tables, T_COUNT);
  assert_int_equal(rows_of(&l, "human"), model_rows(&s.m, T_PERSON));
  assert_int_equal(rows_of(&l, "tag"), model_rows(&s.m, T_TAG));
  assert_int_equal(rows_of(&l, "reading"), model_rows(&s.m, T_READING));
  assert_int_equal(rows_of(&l, "note"), model_rows(&s.m, T_NOTE));
  assert_int_equal(rows_of(&l, "pair"), 5);
  assert_int_equal(next_of(&l, "pair"), 6);
  assert_sql(s.f.path, "SELECT count(DISTINCT id) || ' ' || max(id) FROM _iu_table", "5 5");
  assert_sql(s.f.path, "SELECT group_concat(b) FROM pair", "p0,p1,p2,p3,p4");
  iu__jfile_schema_free(&l.schema);
  scene_end(&s);
}

/* Any order of changes leaves ids without gaps, and a file that opens. */
static void test_any_order_of_changes_opens(void **state) {
  scene s;
  iu_error err;

  (void)state;
  scene_begin(&s, "any order");
  for (int round = 0; round < 30; round++) {
    found l;
    begin_tx(&s, true);
    for (int i = 0; i < 4; i++) {
      uint32_t count = iu__reshape_count(s.s), at = (uint32_t)random_below(&s.r, count);
      char name[64], old[64];
      snprintf(old, sizeof old, "%s", iu__reshape_table(s.s, at)->name);
      snprintf(name, sizeof name, "t%d_%d", round, i);
      switch (random_below(&s.r, 4)) {
        case 0:
          if (count > 1) assert_ok(iu__reshape_drop(s.s, old, &err), &err);
          break;
        case 1: assert_ok(iu__reshape_rename(s.s, old, name, &err), &err); break;
        default: {
          iu_reshape_writer *w = writer(&s, IU_RESHAPE_CREATE, name, pairs);
          for (int k = 0; k < 3; k++) {
            char text[16];
            snprintf(text, sizeof text, "x%d", k);
            assert_ok(put(w, pair(0, text), false, &err), &err);
          }
          assert_ok(iu__reshape_finish(w, true, &err), &err);
          iu__reshape_writer_free(w);
        }
      }
      if (random_below(&s.r, 2) == 0 || i == 3) {
        if (random_below(&s.r, 4) == 0) iu__reshape_rollback(s.s);
        else end_tx(&s);
        if (i < 3) begin_tx(&s, true);
      } else {
        break; /* the list is that of the last commit: one change at a time is looked up there */
      }
    }
    iu__reshape_rollback(s.s);
    iu__reshape_close(s.s);
    look(&s, &l);
    iu__jfile_schema_free(&l.schema);
    assert_ok(iu__reshape_open(s.f.path, &s.s, &err), &err);
  }
  scene_end(&s);
}

static void test_names_are_exchanged_and_positions_stay(void **state) {
  scene s;
  iu_error err;
  int64_t next = 0;

  (void)state;
  scene_begin(&s, "redefine");
  begin_tx(&s, true);
  iu_reshape_writer *w = writer(&s, IU_RESHAPE_CREATE, "pair", pairs);
  for (uint32_t i = 0; i < 9; i++) {
    char text[16];
    snprintf(text, sizeof text, "p%u", i);
    assert_ok(put(w, pair(0, text), false, &err), &err);
  }
  assert_ok(iu__reshape_finish(w, true, &err), &err);
  iu__reshape_writer_free(w);
  end_tx(&s);
  begin_tx(&s, true);
  assert_ok(iu__reshape_redefine(s.s, "pair", "column b U32\ncolumn a String\nprimary key b\nauto increment b\n", &err), &err);
  end_tx(&s);
  assert_ok(iu__reshape_position(s.s, (uint32_t)iu__reshape_find(s.s, "pair"), 0, &next, &err), &err);
  assert_int_equal(next, 10);
  assert_sql(s.f.path, "SELECT group_concat(a) FROM pair WHERE b < 4", "p0,p1,p2");
  begin_tx(&s, true);
  assert_int_equal(iu__reshape_redefine(s.s, "pair", "column b U64\ncolumn a String\nprimary key b\n", &err), IU_E_VALIDATION);
  assert_int_equal(iu__reshape_redefine(s.s, "pair", "column b U32\ncolumn a String\nprimary key a\n", &err), IU_E_VALIDATION);
  assert_int_equal(iu__reshape_redefine(s.s, "pare", "column b U32\n", &err), IU_E_VALIDATION);
  iu__reshape_rollback(s.s);
  scene_end(&s);
}

/* ---- rows ---- */

static void test_keys_and_unique_values_are_kept_apart(void **state) {
  scene s;
  iu_error err;

  (void)state;
  scene_begin(&s, "unique");
  begin_tx(&s, true);
  iu_reshape_writer *w = writer(&s, IU_RESHAPE_CREATE, "pair", pairs);
  assert_ok(put(w, pair(3, "x"), false, &err), &err);
  assert_int_equal(put(w, pair(3, "y"), false, &err), IU_E_CONFLICT);
  assert_says(&err, "table `pair`: a row with a = 3 is already there");
  assert_ok(put(w, pair(0, "y"), false, &err), &err); /* 4: behind the largest */
  assert_ok(put(w, pair(0, "x"), false, &err), &err);
  assert_int_equal(iu__reshape_finish(w, true, &err), IU_E_CONFLICT);
  assert_says(&err, "table `pair`: more than one row with b = \"x\"");
  iu__reshape_writer_free(w);
  iu__reshape_rollback(s.s);
  assert_int_equal(iu__reshape_find(s.s, "pair"), -1);

  /* A key that is none of SQL's. */
  begin_tx(&s, false);
  w = writer(&s, IU_RESHAPE_APPEND, "reading", NULL);
  iu_row *row = row_reading(123.5, "one");
  assert_ok(iu__reshape_put(w, row->data, row->len, true, &err), &err);
  free(row);
  row = row_reading(123.5, "two");
  assert_ok(iu__reshape_put(w, row->data, row->len, true, &err), &err); /* in its place */
  free(row);
  assert_ok(iu__reshape_finish(w, true, &err), &err);
  iu__reshape_writer_free(w);
  end_tx(&s);
  assert_sql(s.f.path, "SELECT group_concat(note) FROM reading WHERE at = 123.5", "two");
  begin_tx(&s, false);
  w = writer(&s, IU_RESHAPE_APPEND, "reading", NULL);
  row = row_reading(123.5, "three");
  assert_ok(iu__reshape_put(w, row->data, row->len, false, &err), &err);
  free(row);
  assert_int_equal(iu__reshape_finish(w, true, &err), IU_E_CONFLICT);
  assert_says(&err, "at = 123.5");
  iu__reshape_writer_free(w);
  iu__reshape_rollback(s.s);
  scene_end(&s);
}

static void test_numbers_end_with_their_type(void **state) {
  scene s;
  iu_error err;

  (void)state;
  scene_begin(&s, "numbers");
  begin_tx(&s, true);
  iu_reshape_writer *w = writer(&s, IU_RESHAPE_CREATE, "small", "column n U8\nprimary key n\nauto increment n\n");
  for (int i = 0; i < 255; i++) {
    uint8_t row[1] = {0};
    assert_ok(iu__reshape_put(w, row, 1, false, &err), &err);
    assert_int_equal(row[0], i + 1);
  }
  uint8_t row[1] = {0};
  assert_int_equal(iu__reshape_put(w, row, 1, false, &err), IU_E_OVERLOADED);
  assert_says(&err, "column `n` has no further numbers");
  iu__reshape_writer_free(w);
  w = writer(&s, IU_RESHAPE_CREATE, "wide", "column n I128\nauto increment n\n");
  iu__reshape_writer_position(w, 0, 41);
  for (int i = 0; i < 2; i++) {
    uint8_t number[16] = {0};
    assert_ok(iu__reshape_put(w, number, 16, false, &err), &err);
    assert_int_equal(number[0], 41 + i);
  }
  uint8_t negative[16];
  memset(negative, 0xff, 16);
  assert_ok(iu__reshape_put(w, negative, 16, false, &err), &err);
  assert_ok(iu__reshape_finish(w, true, &err), &err);
  iu__reshape_writer_free(w);
  end_tx(&s);
  assert_sql(s.f.path, "SELECT next FROM _iu_sequence ORDER BY table_id DESC LIMIT 1", "43");
  scene_end(&s);
}

static void test_rows_are_read_found_and_deleted(void **state) {
  scene s;
  iu_error err;

  (void)state;
  scene_begin(&s, "rows");
  for (uint32_t table = 0; table < T_COUNT; table++) {
    uint32_t at = (uint32_t)iu__reshape_find(s.s, s.f.tables[table].name);
    iu_reshape_reader *r;
    iu_slice bytes;
    uint64_t rows = 0, n = 0;
    bool row = true;
    assert_ok(iu__reshape_rows(s.s, at, &rows, &err), &err);
    assert_int_equal(rows, model_rows(&s.m, table));
    assert_ok(iu__reshape_reader_new(s.s, at, &r, &err), &err);
    for (;;) {
      iu_buf again = {0};
      bool there = false;
      assert_ok(iu__reshape_next(r, &row, &bytes, &err), &err);
      if (!row) break;
      n++;
      iu_slice key = row_key(&s.f, table, bytes.p, bytes.len);
      assert_true(model_find(&s.m, table, key) >= 0);
      if (s.f.tables[table].primary_key >= 0) {
        assert_ok(iu__reshape_get(s.s, at, key, &there, &again, &err), &err);
        assert_true(there);
        assert_int_equal(again.len, bytes.len);
        assert_memory_equal(again.data, bytes.p, bytes.len);
      } else {
        assert_int_equal(iu__reshape_get(s.s, at, key, &there, &again, &err), IU_E_VALIDATION);
      }
      iu__buf_free(&again);
    }
    assert_int_equal(n, rows);
    iu__reshape_reader_free(r);
  }
  begin_tx(&s, false);
  for (uint32_t i = 0; i < s.m.count; i++) {
    const model_row *m = &s.m.rows[i];
    bool was_there;
    iu_reshape_writer *w = writer(&s, IU_RESHAPE_APPEND, s.f.tables[m->table].name, NULL);
    iu_slice key = row_key(&s.f, m->table, m->row->data, m->row->len);
    assert_ok(iu__reshape_delete(w, key, &was_there, &err), &err);
    assert_true(was_there);
    assert_ok(iu__reshape_delete(w, key, &was_there, &err), &err);
    assert_false(was_there);
    assert_ok(iu__reshape_finish(w, true, &err), &err);
    iu__reshape_writer_free(w);
  }
  end_tx(&s);
  for (uint32_t table = 0; table < T_COUNT; table++) {
    uint64_t rows = 1;
    assert_ok(iu__reshape_rows(s.s, table, &rows, &err), &err);
    assert_int_equal(rows, 0);
  }
  scene_end(&s);
}

/* ---- order of calls ---- */

static void test_what_comes_out_of_order_is_refused(void **state) {
  scene s;
  iu_reshape_reader *r;
  iu_reshape_writer *w;
  iu_slice bytes;
  bool row;
  iu_error err;

  (void)state;
  scene_begin(&s, "order");
  assert_int_equal(iu__reshape_drop(s.s, "tag", &err), IU_E_VALIDATION);
  assert_int_equal(iu__reshape_writer_new(s.s, IU_RESHAPE_APPEND, "tag", NULL, &w, &err), IU_E_VALIDATION);
  assert_int_equal(iu__reshape_commit(s.s, &err), IU_E_VALIDATION);
  assert_ok(iu__reshape_reader_new(s.s, 0, &r, &err), &err);
  begin_tx(&s, false);
  assert_int_equal(iu__reshape_begin(s.s, false, &err), IU_E_CONFLICT);
  assert_int_equal(iu__reshape_drop(s.s, "tag", &err), IU_E_VALIDATION); /* not for tables */
  assert_int_equal(iu__reshape_writer_new(s.s, IU_RESHAPE_CREATE, "x", pairs, &w, &err), IU_E_VALIDATION);
  assert_ok(iu__reshape_next(r, &row, &bytes, &err), &err);
  end_tx(&s);
  assert_ok(iu__reshape_next(r, &row, &bytes, &err), &err);
  begin_tx(&s, true);
  assert_int_equal(iu__reshape_next(r, &row, &bytes, &err), IU_E_CLOSED);
  assert_null(iu__reshape_reader_table(r));
  iu__reshape_reader_free(r);
  w = writer(&s, IU_RESHAPE_REPLACE, "tag", "column a String\ncolumn b U16\n");
  assert_int_equal(iu__reshape_commit(s.s, &err), IU_E_VALIDATION); /* written, and not finished */
  iu__reshape_rollback(s.s);
  assert_null(iu__reshape_writer_table(w));
  uint8_t nothing[1] = {0};
  assert_int_equal(iu__reshape_put(w, nothing, 0, false, &err), IU_E_CLOSED);
  assert_int_equal(iu__reshape_finish(w, true, &err), IU_E_CLOSED);
  iu__reshape_writer_free(w);
  begin_tx(&s, true);
  assert_int_equal(iu__reshape_writer_new(s.s, IU_RESHAPE_CREATE, "x", "no definition", &w, &err), IU_E_STORAGE);
  assert_int_equal(iu__reshape_writer_new(s.s, IU_RESHAPE_REPLACE, "x", pairs, &w, &err), IU_E_VALIDATION);
  assert_ok(iu__reshape_reader_new(s.s, 0, &r, &err), &err);
  w = writer(&s, IU_RESHAPE_CREATE, "x", pairs);
  iu__reshape_close(s.s); /* ends both */
  s.s = NULL;
  assert_int_equal(iu__reshape_next(r, &row, &bytes, &err), IU_E_CLOSED);
  iu__reshape_reader_free(r);
  iu__reshape_writer_free(w);
  assert_sql(s.f.path, "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%side%'", "0");
  scene_end(&s);
}

static iu_status some_work(scene *s, iu_row *new_pair, iu_row *counter, iu_error *err) {
  iu_reshape *all = NULL;
  iu_reshape_writer *w = NULL;
  iu_reshape_reader *r = NULL;
  iu_slice bytes;
  bool row = true, was_there;
  iu_status status = iu__reshape_open(s->f.path, &all, err);

  if (status == IU_OK) status = iu__reshape_begin(all, true, err);
  if (status == IU_OK) status = iu__reshape_drop(all, "note", err);
  if (status == IU_OK) status = iu__reshape_rename(all, "tag", "label", err);
  if (status == IU_OK) status = iu__reshape_writer_new(all, IU_RESHAPE_CREATE, "pair", pairs, &w, err);
  if (status == IU_OK) status = iu__reshape_put(w, new_pair->data, new_pair->len, false, err);
  if (status == IU_OK) status = iu__reshape_finish(w, true, err);
  if (status == IU_OK) status = iu__reshape_commit(all, err);
  iu__reshape_writer_free(w);
  w = NULL;
  if (status == IU_OK) status = iu__reshape_reader_new(all, 0, &r, err);
  if (status == IU_OK) status = iu__reshape_next(r, &row, &bytes, err);
  iu__reshape_reader_free(r);
  if (status == IU_OK) status = iu__reshape_begin(all, false, err);
  if (status == IU_OK) status = iu__reshape_writer_new(all, IU_RESHAPE_APPEND, "counter", NULL, &w, err);
  if (status == IU_OK) {
    status = iu__reshape_put(w, counter->data, counter->len, true, err);
    if (status == IU_OK) status = iu__reshape_delete(w, row_key(&s->f, T_COUNTER, counter->data, counter->len), &was_there, err);
  }
  if (status == IU_OK) status = iu__reshape_finish(w, true, err);
  if (status == IU_OK) status = iu__reshape_commit(all, err);
  iu__reshape_writer_free(w);
  iu__reshape_close(all);
  return status;
}

static void test_every_allocation_may_fail(void **state) {
  scene s;
  bool fired = true;
  size_t len;
  uint8_t *bytes;

  (void)state;
  scene_begin(&s, "memory");
  iu__reshape_close(s.s);
  s.s = NULL;
  bytes = read_all(s.f.path, &len);
  for (long after = 0; fired; after++) {
    iu_error err;
    iu_status status;
    iu_row *new_pair = pair(0, "x"), *counter = row_counter(0, 1);
    write_all(s.f.path, bytes, len);
    iu__errinj_arm(IU_ERRINJ_ALLOC, after);
    status = some_work(&s, new_pair, counter, &err);
    fired = iu__errinj_count(IU_ERRINJ_ALLOC) > after;
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    free(new_pair);
    free(counter);
    if (fired && status != IU_OK) assert_int_equal(status, IU_E_NOMEM);
    if (!fired) assert_ok(status, &err);
    assert_sql(s.f.path, "PRAGMA integrity_check", "ok");
  }
  free(bytes);
  scene_end(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_tables_come_go_and_are_renamed),
      cmocka_unit_test(test_any_order_of_changes_opens),
      cmocka_unit_test(test_names_are_exchanged_and_positions_stay),
      cmocka_unit_test(test_keys_and_unique_values_are_kept_apart),
      cmocka_unit_test(test_numbers_end_with_their_type),
      cmocka_unit_test(test_rows_are_read_found_and_deleted),
      cmocka_unit_test(test_what_comes_out_of_order_is_refused),
      cmocka_unit_test(test_every_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
