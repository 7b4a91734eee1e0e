/* Text indexes in a universe file: made beside running commits, kept by the fold through random commits and reopens, and nothing else that such a script could do. */
#include "journal_fixture.h"

static const char make_index[] =
    "CREATE TABLE IF NOT EXISTS _iu_text_index (table_name TEXT PRIMARY KEY NOT NULL, json TEXT NOT NULL, texts TEXT NOT NULL);"
    "CREATE TABLE _iu_text_person_key (n INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);"
    "CREATE VIRTUAL TABLE _iu_text_person USING fts5 (name);"
    "INSERT INTO _iu_text_person_key (key) SELECT id FROM person;"
    "INSERT INTO _iu_text_person (rowid, name) SELECT n, json_extract(metadata, '$.name') FROM _iu_text_person_key JOIN person ON id = key;"
    "INSERT INTO _iu_text_index VALUES ('person', 'metadata', 'name')";

static iu_status extend(iu_journal *j, const char *sql, iu_error *err) {
  iu_status status = iu__journal_ask_extend(j, sql, err);
  if (status != IU_OK) return status;
  for (int i = 0; i < 2000 && !iu__journal_extended(j, &status, err); i++) usleep(5000);
  assert_false(iu__journal_extended(j, &status, err)); /* told once */
  return status;
}

static int64_t ask(const char *path, const char *sql) {
  sqlite3 *db;
  sqlite3_stmt *st;
  int64_t n;
  assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
  if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK) fail_msg("%s: %s", sql, sqlite3_errmsg(db));
  assert_int_equal(sqlite3_step(st), SQLITE_ROW);
  n = sqlite3_column_int64(st, 0);
  sqlite3_finalize(st);
  sqlite3_close(db);
  return n;
}

/* The index and the table say the same. */
static void agrees(const fixture *f, const model *m) {
  int64_t persons = 0;
  for (uint32_t i = 0; i < m->count; i++) persons += m->rows[i].table == T_PERSON;
  assert_int_equal(ask(f->path, "SELECT count(*) FROM _iu_text_person_key"), persons);
  assert_int_equal(ask(f->path, "SELECT count(*) FROM _iu_text_person"), persons);
  assert_int_equal(ask(f->path, "SELECT count(*) FROM _iu_text_person WHERE _iu_text_person MATCH 'ada'"),
                   ask(f->path, "SELECT count(*) FROM person WHERE json_extract(metadata, '$.name') = 'Ada'"));
  assert_int_equal(ask(f->path, "SELECT count(*) FROM _iu_text_person_key k JOIN person p ON p.id = k.key JOIN _iu_text_person t ON t.rowid = k.n"
                                " WHERE t.name IS NOT json_extract(p.metadata, '$.name')"), 0);
}

static void kept_through_commits_and_reopens(void **state) {
  random_source r = random_begin("text");
  fixture f;
  model m = {0};
  iu_journal_config c;
  iu_journal *j;
  iu_error err;
  (void)state;
  fixture_begin(&f);
  m.f = &f;
  c = config_for(&f);
  c.fold_bytes = 0; /* folds all the time */
  j = open_loaded(&c, &f, NULL, NULL);
  for (int round = 0; round < 6; round++) {
    for (int i = 0; i < 150; i++) assert_ok(step(j, &m, &r, &err), &err);
    if (round == 1) assert_ok(extend(j, make_index, &err), &err);
    assert_ok(iu__journal_fold(j, -1, &err), &err);
    if (round >= 1) agrees(&f, &m);
    if (round % 2 == 0) continue;
    model again = {.f = &f};
    close_ok(j);
    j = open_loaded(&c, &f, &again, NULL);
    assert_model_equal(&m, &again);
    model_free(&again);
  }
  close_ok(j);
  agrees(&f, &m);
  model_free(&m);
  fixture_end(&f);
}

static void nothing_else_may_be_written(void **state) {
  static const char *const scripts[] = {
      "DELETE FROM person", "UPDATE _iu_meta SET value = 0", "DROP TABLE tag", "CREATE TABLE mine (a)", "CREATE TRIGGER t AFTER INSERT ON person BEGIN SELECT 1; END",
      "INSERT INTO _iu_journal VALUES (1, 1, 1, x'')", "ATTACH ':memory:' AS other", "COMMIT", "CREATE TABLE _iu_text_a (a); DELETE FROM tag", "nonsense",
  };
  fixture f;
  model m = {0};
  iu_journal_config c;
  iu_journal *j;
  iu_error err;
  random_source r = random_begin("refused");
  (void)state;
  fixture_begin(&f);
  m.f = &f;
  c = config_for(&f);
  j = open_loaded(&c, &f, NULL, NULL);
  for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
    assert_int_equal(extend(j, scripts[i], &err), IU_E_STORAGE);
    assert_says(&err, "extending the file");
    assert_ok(step(j, &m, &r, &err), &err); /* it goes on */
    assert_ok(iu__journal_wait(j, m.sequence, -1, &err), &err);
  }
  assert_int_equal(ask(f.path, "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%text%' OR name = 'mine'"), 0);
  close_ok(j);
  model_free(&m);
  fixture_end(&f);
}

static bool file_has(const char *path, const char *name) {
  char sql[120];
  snprintf(sql, sizeof sql, "SELECT count(*) FROM sqlite_schema WHERE name = '%s'", name);
  return ask(path, sql) != 0;
}

/* What was made is there; whether its outcome was taken is not known of it. */
static void until_made(const fixture *f, const char *name) {
  for (int i = 0; i < 2000 && !file_has(f->path, name); i++) usleep(1000);
  assert_true(file_has(f->path, name));
  usleep(20000); /* and its outcome is there to be taken */
}

static void an_outcome_that_was_not_taken_is_not_lost(void **state) {
  fixture f;
  iu_journal_config c;
  iu_journal *j;
  iu_status status = IU_E_NOMEM;
  iu_error err;
  (void)state;
  fixture_begin(&f);
  c = config_for(&f);
  j = open_loaded(&c, &f, NULL, NULL);
  assert_ok(iu__journal_ask_extend(j, "CREATE TABLE _iu_text_a (a)", &err), &err);
  until_made(&f, "_iu_text_a");
  assert_int_equal(iu__journal_ask_extend(j, "CREATE TABLE _iu_text_b (b)", &err), IU_E_OVERLOADED);
  for (int i = 0; i < 2000 && !iu__journal_extended(j, &status, &err); i++) usleep(1000);
  assert_int_equal(status, IU_OK);
  assert_ok(iu__journal_ask_extend(j, "CREATE TABLE _iu_text_b (b)", &err), &err);
  (void)iu__journal_extended(j, NULL, NULL); /* who asked has gone, whether it is done or not */
  until_made(&f, "_iu_text_b");
  assert_false(iu__journal_extended(j, &status, &err));
  assert_ok(extend(j, "CREATE TABLE _iu_text_c (c)", &err), &err);
  close_ok(j);
  fixture_end(&f);
}

static void a_damaged_list_of_indexes_is_refused(void **state) {
  static const char *const changes[] = {"table_name = 'nobody'", "json = 'nothing'", "texts = 'name''); DROP TABLE person; --'", "texts = ''", "texts = 'name,,name'"};
  (void)state;
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
    fixture f;
    model m = {0};
    iu_journal_config c;
    iu_journal *j;
    iu_error err;
    sqlite3 *db;
    char sql[200];
    fixture_begin(&f);
    m.f = &f;
    c = config_for(&f);
    j = open_loaded(&c, &f, NULL, NULL);
    assert_ok(extend(j, make_index, &err), &err);
    close_ok(j);
    snprintf(sql, sizeof sql, "UPDATE _iu_text_index SET %s", changes[i]);
    assert_int_equal(sqlite3_open(f.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_ok(iu__journal_open(&c, &j, &err), &err);
    iu_journal_recovery recovery;
    assert_int_equal(load_model(j, &m, &recovery, &err), IU_E_STORAGE);
    assert_says(&err, "_iu_text_index");
    iu__journal_close(j, NULL);
    model_free(&m);
    fixture_end(&f);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(kept_through_commits_and_reopens), cmocka_unit_test(nothing_else_may_be_written), cmocka_unit_test(an_outcome_that_was_not_taken_is_not_lost),
                                     cmocka_unit_test(a_damaged_list_of_indexes_is_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
