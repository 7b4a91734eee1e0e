/* Checking and compacting a universe file: what is found, what is not mistaken for damage, and that the file is what it was. */
#include "journal_fixture.h"

#include <signal.h>
#include <sys/wait.h>


#include "../../core/journal/check.h"
#include "../../core/journal/compact.h"

typedef struct findings { char text[8192]; uint32_t count; } findings;

static iu_status note(void *ud, bool warning, const char *table, const char *message) {
  findings *f = ud;
  size_t len = strlen(f->text);
  snprintf(f->text + len, sizeof f->text - len, "%s %s: %s\n", warning ? "warning" : "error", table != NULL ? table : "-", message);
  f->count++;
  return IU_OK;
}

static uint64_t sum_of(const char *path) {
  FILE *file = fopen(path, "rb");
  uint64_t sum = 1469598103934665603u;
  int c;
  assert_non_null(file);
  while ((c = fgetc(file)) != EOF) sum = (sum ^ (uint64_t)c) * 1099511628211u;
  fclose(file);
  return sum;
}

/* Rows in the tables, and a proper close. */
static void make(fixture *f, model *m, int commits) {
  random_source r = random_begin("check");
  iu_journal_config c = config_for(f);
  iu_journal *j;
  iu_error err;
  m->f = f;
  j = open_loaded(&c, f, NULL, NULL);
  for (int i = 0; i < commits; i++) assert_ok(step(j, m, &r, &err), &err);
  close_ok(j);
}

static void nothing_is_wrong(void **state) {
  fixture f;
  model m = {0};
  findings found = {.count = 0};
  iu_check_counts n;
  iu_error err;
  uint64_t before;
  (void)state;
  fixture_begin(&f);
  make(&f, &m, 400);
  before = sum_of(f.path);
  assert_ok(iu__check_file(f.path, &f.schema, note, &found, &n, &err), &err);
  /* Rows of the counter have random keys, which its auto-increment column knows nothing of. */
  if (n.errors != 0) fail_msg("%s", found.text);
  assert_int_equal(n.rows, m.count);
  assert_int_equal(n.tables, T_COUNT);
  assert_int_equal(n.last_sequence, 400);
  assert_true(n.closed);
  assert_int_equal(sum_of(f.path), before);
  assert_false(file_exists(f.path, "-wal"));
  assert_false(file_exists(f.path, ".lock"));
  model_free(&m);
  fixture_end(&f);
}

static void a_file_in_use_is_looked_at(void **state) {
  fixture f;
  model m = {0};
  findings found = {.count = 0};
  iu_check_counts n;
  iu_journal_config c;
  iu_journal *j;
  iu_error err;
  random_source r = random_begin("in use");
  (void)state;
  fixture_begin(&f);
  m.f = &f;
  c = config_for(&f);
  c.fold_idle_ms = 3600000;
  j = open_loaded(&c, &f, NULL, NULL);
  for (int i = 0; i < 50; i++) assert_ok(step(j, &m, &r, &err), &err);
  assert_ok(iu__journal_wait(j, m.sequence, -1, &err), &err);
  assert_ok(iu__check_file(f.path, &f.schema, note, &found, &n, &err), &err);
  if (n.errors != 0) fail_msg("%s", found.text);
  assert_int_equal(n.journal_commits, 50);
  assert_false(n.closed);
  close_ok(j);
  model_free(&m);
  fixture_end(&f);
}

/* A file of 300 rows, to which `before` is done and in which nothing is found then, is damaged by `sql`: a check by those who know the tables (or know none) says so, in
 * words among which is `says`, and leaves the file as it is. before and says may be NULL. */
static void is_found(bool tables_known, const char *before, const char *sql, const char *says) {
  static const iu_schema none = {.table_count = 0};
  fixture f;
  model m = {0};
  findings found = {.count = 0};
  iu_check_counts n;
  iu_error err;
  uint64_t sum;
  fixture_begin(&f);
  make(&f, &m, 300);
  if (before != NULL) {
    sql_exec(f.path, before);
    assert_ok(iu__check_file(f.path, &f.schema, note, &found, &n, &err), &err);
    if (n.errors != 0) fail_msg("%s", found.text);
    found = (findings){.count = 0};
  }
  sql_exec(f.path, sql);
  sum = sum_of(f.path);
  assert_ok(iu__check_file(f.path, tables_known ? &f.schema : &none, note, &found, &n, &err), &err);
  if (n.errors == 0 || (says != NULL && strstr(found.text, says) == NULL)) fail_msg("%s: found %llu: %s", sql, (unsigned long long)n.errors, found.text);
  assert_int_equal(found.count, n.errors + n.warnings);
  assert_int_equal(sum_of(f.path), sum);
  model_free(&m);
  fixture_end(&f);
}

static void damage_is_found(void **state) {
  static const struct { const char *sql, *says; } cases[] = {
      {"UPDATE person SET age = age + 1 WHERE rowid = (SELECT min(rowid) FROM person)", "error person: the row `k"},
      {"UPDATE person SET metadata = '{}' WHERE rowid = (SELECT min(rowid) FROM person)", "the column `metadata` is not what the row holds"},
      {"UPDATE person SET _row = substr(_row, 1, length(_row) - 1)", "is no valid row"},
      {"UPDATE person SET _row = 'text'", "is no blob"},
      {"UPDATE note SET data = x'00' WHERE key = (SELECT min(key) FROM note)", "error note: "},
      {"UPDATE reading SET note = note || '!'", "error reading: row number 1: the column `note`"},
      {"UPDATE _iu_sequence SET sequence = 9", "error -: _iu_sequence names an unknown auto-increment column (table 2, column 9)"},
      {"UPDATE _iu_meta SET value = 7 WHERE key = 'folded'; INSERT INTO _iu_journal VALUES (9, 9, 1, x'00')", "journal: commits 8 to 8 are missing"},
      {"INSERT INTO _iu_journal VALUES (1000, 1000, 1, x'00')", "do not match their checksum"},
      {"DROP TABLE tag", "no such table: tag"},
      {"CREATE INDEX broken ON person (age); PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'CREATE INDEX broken ON person (age, id)' WHERE name = 'broken'",
       "SQLite: "},
  };
  (void)state;
  for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) is_found(true, NULL, cases[i].sql, cases[i].says);
}

/* ---- tables that nobody here declares ---- */

/* The same file, checked by those who know only the first so many of its tables. */
static void tables_of_others_are_looked_at(void **state) {
  fixture f;
  model m = {0};
  iu_check_counts n;
  iu_error err;
  (void)state;
  fixture_begin(&f);
  make(&f, &m, 300);
  for (uint32_t known = 0; known <= T_COUNT; known++) {
    iu_schema schema = f.schema;
    findings found = {.count = 0};
    schema.table_count = known;
    assert_ok(iu__check_file(f.path, &schema, note, &found, &n, &err), &err);
    if (n.errors != 0) fail_msg("%s", found.text);
    assert_int_equal(n.rows, m.count);
    assert_int_equal(n.tables, T_COUNT);
  }
  iu_schema none = {.table_count = 0};
  findings found = {.count = 0};
  sql_exec(f.path, "UPDATE note SET data = x'00' WHERE key = (SELECT min(key) FROM note); UPDATE person SET _row = substr(_row, 1, length(_row) - 1)");
  assert_ok(iu__check_file(f.path, &none, note, &found, &n, &err), &err);
  if (strstr(found.text, "error note: ") == NULL || strstr(found.text, "is no valid row") == NULL) fail_msg("%s", found.text);
  model_free(&m);
  fixture_end(&f);
}

/* A definition that cannot be read back, or is made to break out of the SQL it goes into, is damage, and the rest is looked at as far as it goes. */
static void strange_definitions_are_damage(void **state) {
  static const char *const cases[] = {
      "", "column", "column id String", "column id String\nprimary key other\n", "column id Strong\n", "column id (a: String\n", "column id Option<Option<String>\n",
      "column id String\nunique\n", "column id String\nauto increment x\n", "column id {a: ^0}\n", "column i\"d String\n", "column id String\nnonsense\n",
      "column id (: String, : U8)\ncolumn age U32\n"};
  (void)state;
  for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
    fixture f;
    model m = {0};
    findings found = {.count = 0};
    iu_schema none = {.table_count = 0};
    iu_check_counts n;
    iu_error err;
    char sql[512];
    fixture_begin(&f);
    make(&f, &m, 20);
    snprintf(sql, sizeof sql, "UPDATE _iu_table SET definition = '%s' WHERE name = 'person'", cases[i]);
    sql_exec(f.path, sql);
    assert_ok(iu__check_file(f.path, &none, note, &found, &n, &err), &err);
    if (n.errors == 0) fail_msg("%s: nothing was found", cases[i]);
    if (i + 1 < sizeof cases / sizeof *cases && strstr(found.text, "the definition of table `person` cannot be understood") == NULL && cases[i][0] != '\0') fail_msg("%s: %s", cases[i], found.text);
    model_free(&m);
    fixture_end(&f);
  }
  fixture f;
  model m = {0};
  findings found = {.count = 0};
  iu_schema none = {.table_count = 0};
  iu_check_counts n;
  iu_error err;
  fixture_begin(&f);
  make(&f, &m, 20);
  sql_exec(f.path, "UPDATE _iu_table SET name = 'person\" --' WHERE name = 'person'");
  assert_ok(iu__check_file(f.path, &none, note, &found, &n, &err), &err);
  assert_non_null(strstr(found.text, "cannot be understood"));
  model_free(&m);
  fixture_end(&f);
}

static void tables_of_another_schema_are_warned_of(void **state) {
  fixture f;
  model m = {0};
  findings found = {.count = 0};
  iu_table_def tables[T_COUNT];
  iu_check_counts n;
  iu_error err;
  (void)state;
  fixture_begin(&f);
  make(&f, &m, 100);
  iu_schema schema = f.schema;
  memcpy(tables, f.tables, sizeof tables);
  tables[T_TAG].row = f.tables[T_NOTE].row;         /* all of it differs */
  tables[T_COUNTER].sequence_count = 0;             /* so does a line */
  tables[T_TAG].index_count = 1, tables[T_TAG].indexes = &f.unique_tag;
  schema.tables = tables;
  assert_ok(iu__check_file(f.path, &schema, note, &found, &n, &err), &err);
  assert_int_equal(n.errors, 0);
  assert_non_null(strstr(found.text, "warning tag: `column a String` in the file is nothing in the schema"));
  assert_non_null(strstr(found.text, "warning counter: `auto increment id` in the file is nothing in the schema"));
  assert_int_equal(n.rows, m.count); /* looked at all the same */
  model_free(&m);
  fixture_end(&f);
}

/* Two rows of one key, or of a unique text, that SQLite does not know to be such. */
static void rows_that_do_not_go_together_are_found(void **state) {
  static const struct { const char *sql, *says; } cases[] = {
      {"INSERT INTO reading SELECT CAST(substr(_row, 1, 8) || x'0100000078' AS BLOB), at, 'x' FROM reading LIMIT 1", "the rows do not go together: "},
      {"UPDATE _iu_table SET definition = definition || 'unique name' || char(10) WHERE name = 'person'", NULL},
      {"UPDATE _iu_table SET definition = definition || 'unique b' || char(10) WHERE name = 'tag'", "the rows do not go together: "}};
  (void)state;
  for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) is_found(false, NULL, cases[i].sql, cases[i].says);
}

/* ---- text indexes ---- */

static const char make_index[] =
    "CREATE TABLE _iu_text_index (table_name TEXT PRIMARY KEY NOT NULL, json TEXT NOT NULL, texts TEXT NOT NULL);"
    "CREATE TABLE _iu_text_person_key (n INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);"
    "CREATE VIRTUAL TABLE _iu_text_person USING fts5 (name);"
    "INSERT INTO _iu_text_person_key (key) SELECT id FROM person;"
    "INSERT INTO _iu_text_person (rowid, name) SELECT n, json_extract(p.metadata, '$.name') FROM _iu_text_person_key JOIN person AS p ON p.id = key;"
    "INSERT INTO _iu_text_index VALUES ('person', 'metadata', 'name')";

static void damage_of_text_indexes_is_found(void **state) {
  static const struct { const char *sql, *says; } cases[] = {
      {"UPDATE _iu_text_person_content SET c0 = 'Eve' WHERE id = (SELECT min(id) FROM _iu_text_person_content WHERE c0 IS NOT NULL)", "the text index does not have its texts"},
      {"UPDATE _iu_text_person_content SET c0 = 'Eve' WHERE id = (SELECT min(id) FROM _iu_text_person_content WHERE c0 IS NOT NULL)", "error person: its text index: "},
      {"DELETE FROM _iu_text_person_idx; DELETE FROM _iu_text_person_data WHERE id > 10", "error person: its text index: "},
      {"DELETE FROM _iu_text_person_key WHERE n = 1", "error person: the text index has texts (number 1) of no row"},
      {"INSERT INTO _iu_text_person_key VALUES (9999, 'nobody')", "error person: the text index has a row `nobody`, and the table has not"},
      {"DELETE FROM _iu_text_person_content WHERE id = 1", "the text index does not have its texts"},
      {"DROP TABLE _iu_text_person", "text indexes: "},
      {"UPDATE _iu_text_index SET texts = 'a,b,c,d,e,f,g,h,i'", "text indexes: the file is damaged: the entry `person` of _iu_text_index"}, /* over IU_TEXT_KEYS_MAX */
      {"UPDATE _iu_text_index SET table_name = 'nothing'", "text indexes: the file is damaged: the entry `nothing` of _iu_text_index"},
      {"PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'CREATE TABLE _iu_text_person (name)' WHERE name = '_iu_text_person'", "error person: its text index: "}};
  (void)state;
  for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) is_found(true, make_index, cases[i].sql, cases[i].says);
}

static void a_position_behind_its_rows_is_a_warning(void **state) {
  fixture f;
  findings found = {.count = 0};
  iu_check_counts n;
  iu_journal_config c;
  iu_journal *j;
  iu_error err;
  commit given;
  uint64_t seq;
  model m = {0};
  (void)state;
  fixture_begin(&f);
  m.f = &f;
  c = config_for(&f);
  j = open_loaded(&c, &f, NULL, NULL);
  commit_begin(&given, &f);
  commit_change(&given, T_COUNTER, NULL, row_counter(41, 0));
  given.next = (iu_sequence_value){T_COUNTER, 0, 41};
  given.next_count = 1;
  assert_ok(commit_append(&given, j, &seq, &err), &err);
  commit_apply(&given, &m);
  close_ok(j);
  assert_ok(iu__check_file(f.path, &f.schema, note, &found, &n, &err), &err);
  assert_int_equal(n.errors, 0);
  assert_int_equal(n.warnings, 1);
  assert_non_null(strstr(found.text, "warning counter: the auto-increment column `id` goes on at 41, and a row has 41 already"));
  model_free(&m);
  fixture_end(&f);
}

static iu_status stop(void *ud, bool warning, const char *table, const char *message) {
  (void)warning, (void)table, (void)message;
  ++*(int *)ud;
  return IU_E_NOMEM;
}

static void many_findings_are_counted_and_a_caller_may_end_it(void **state) {
  fixture f;
  findings found = {.count = 0};
  iu_check_counts n;
  iu_error err;
  model m = {0};
  int told = 0;
  (void)state;
  fixture_begin(&f);
  make(&f, &m, 1);
  sql_exec(f.path, "WITH RECURSIVE c(x) AS (SELECT 100 UNION ALL SELECT x + 1 FROM c WHERE x < 1599) INSERT INTO note SELECT x'00', x, x'01' FROM c");
  assert_ok(iu__check_file(f.path, &f.schema, note, &found, &n, &err), &err);
  assert_int_equal(n.errors, 1500);
  assert_int_equal(found.count, IU_CHECK_FINDINGS_MAX);
  assert_int_equal(iu__check_file(f.path, &f.schema, stop, &told, &n, &err), IU_E_NOMEM);
  assert_int_equal(told, 1);
  model_free(&m);
  fixture_end(&f);
}

static void what_is_no_universe_is_said(void **state) {
  fixture f;
  findings found = {.count = 0};
  iu_check_counts n;
  iu_error err;
  uint64_t before, after;
  char text[] = "no database at all, just some text that somebody wrote, longer than the header of an SQLite file is, which is a hundred bytes";
  (void)state;
  fixture_begin(&f);
  assert_int_equal(iu__check_file(f.path, &f.schema, note, &found, &n, &err), IU_E_STORAGE);
  assert_int_equal(iu__compact(f.path, &before, &after, &err), IU_E_STORAGE);
  assert_says(&err, "empty, no universe");
  FILE *file = fopen(f.path, "wb");
  assert_int_equal(fwrite(text, 1, sizeof text, file), sizeof text);
  fclose(file);
  assert_int_equal(iu__check_file(f.path, &f.schema, note, &found, &n, &err), IU_E_STORAGE);
  assert_int_equal(iu__compact(f.path, &before, &after, &err), IU_E_STORAGE);
  assert_says(&err, "not a universe file");
  fixture_end(&f);
}

static void every_allocation_fails_once(void **state) {
  fixture f;
  model m = {0};
  iu_check_counts n;
  iu_error err;
  long at = 0;
  (void)state;
  fixture_begin(&f);
  make(&f, &m, 30);
  sql_exec(f.path, make_index);
  f.schema.table_count = T_TAG; /* the rest by the file's own words */
  for (bool fired = true; fired; at++) {
    findings found = {.count = 0};
    iu__errinj_arm(IU_ERRINJ_ALLOC, at);
    iu_status status = iu__check_file(f.path, &f.schema, note, &found, &n, &err);
    fired = iu__errinj_count(IU_ERRINJ_ALLOC) > at;
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    assert_int_equal(status, fired ? IU_E_NOMEM : IU_OK);
    if (n.errors != 0) fail_msg("%s", found.text);
  }
  assert_true(at > 20);
  model_free(&m);
  fixture_end(&f);
}

/* ---- compact ---- */

static void a_compact_file_holds_the_same(void **state) {
  fixture f;
  model m = {0}, again = {0};
  iu_journal_config c;
  iu_journal *j;
  iu_error err;
  uint64_t before = 0, after = 0;
  struct stat st;
  (void)state;
  fixture_begin(&f);
  make(&f, &m, 300);
  sql_exec(f.path, "PRAGMA auto_vacuum = INCREMENTAL; CREATE TABLE big (b); INSERT INTO big SELECT zeroblob(4000000); DROP TABLE big");
  assert_int_equal(chmod(f.path, 0640), 0);
  assert_ok(iu__compact(f.path, &before, &after, &err), &err);
  assert_true(after + 3000000 < before);
  assert_int_equal(stat(f.path, &st), 0);
  assert_int_equal((uint64_t)st.st_size, after);
  assert_int_equal(st.st_mode & 07777, 0640);
  assert_false(file_exists(f.path, ".iu-compact"));
  assert_false(file_exists(f.path, ".lock"));
  c = config_for(&f);
  again.f = &f;
  j = open_loaded(&c, &f, &again, NULL);
  assert_model_equal(&m, &again);
  assert_int_equal(iu__compact(f.path, &before, &after, &err), IU_E_UNIVERSE_LOCKED);
  close_ok(j);
  model_free(&m);
  model_free(&again);
  fixture_end(&f);
}

/* Killed at random moments: the universe is whole, and what is left beside it is removed the next time. */
static void killed_at_any_moment(void **state) {
  random_source r = random_begin("killed");
  fixture f;
  model m = {0};
  uint64_t before, after;
  iu_error err;
  int killed = 0;
  (void)state;
  fixture_begin(&f);
  make(&f, &m, 300);
  sql_exec(f.path, "CREATE TABLE ballast (b); INSERT INTO ballast SELECT randomblob(8000000)");
  for (int i = 0; i < 12; i++) {
    findings found = {.count = 0};
    iu_check_counts n;
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(iu__compact(f.path, &before, &after, &err) == IU_OK ? 0 : 1);
    usleep((useconds_t)random_below(&r, 30000));
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    killed += WIFSIGNALED(status);
    assert_ok(iu__check_file(f.path, &f.schema, note, &found, &n, &err), &err);
    if (n.errors != 0) fail_msg("%s", found.text);
    assert_int_equal(n.rows, m.count);
  }
  printf("killed %d of 12\n", killed);
  assert_ok(iu__compact(f.path, &before, &after, &err), &err);
  assert_false(file_exists(f.path, ".iu-compact"));
  model_free(&m);
  fixture_end(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_is_wrong), cmocka_unit_test(a_file_in_use_is_looked_at), cmocka_unit_test(damage_is_found),
      cmocka_unit_test(tables_of_others_are_looked_at), cmocka_unit_test(strange_definitions_are_damage), cmocka_unit_test(tables_of_another_schema_are_warned_of),
      cmocka_unit_test(rows_that_do_not_go_together_are_found), cmocka_unit_test(damage_of_text_indexes_is_found),
      cmocka_unit_test(a_position_behind_its_rows_is_a_warning), cmocka_unit_test(many_findings_are_counted_and_a_caller_may_end_it),
      cmocka_unit_test(what_is_no_universe_is_said), cmocka_unit_test(every_allocation_fails_once), cmocka_unit_test(a_compact_file_holds_the_same),
      cmocka_unit_test(killed_at_any_moment)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
