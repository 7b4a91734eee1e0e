/* journal_sqlite_test.c: appending, waiting, loading, the durability levels, metadata, schema changes. */
#include "journal_fixture.h"

#include <pthread.h>
#include <time.h>

static void sleep_ms(long ms) { nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL); }

static uint64_t durable(iu_journal *j) { return iu__journal_durable(j, NULL, NULL); }

static void commits_come_back(iu_durability level, uint64_t fold_bytes, unsigned commits) {
  fixture f;
  random_source r = random_begin("commits come back");
  model m = {0}, back = {0};
  iu_journal_config c;
  iu_error err;

  fixture_begin(&f);
  m.f = back.f = &f;
  c = config_for(&f);
  c.durability = level;
  c.fold_bytes = fold_bytes;
  for (int round = 0; round < 3; round++) {
    iu_journal_recovery recovery;
    iu_journal *j = open_loaded(&c, &f, &back, &recovery);

    assert_model_equal(&m, &back);
    assert_int_equal(recovery.last_sequence, m.sequence);
    assert_true(recovery.clean);
    assert_int_equal(iu__journal_is_new(j), round == 0);
    for (unsigned i = 0; i < commits; i++) assert_ok(step(j, &m, &r, &err), &err);
    if (round == 1) assert_ok(iu__journal_wait(j, m.sequence, -1, &err), &err);
    close_ok(j);
    model_free(&back);
    back.f = &f;
  }
  model_free(&m);
  fixture_end(&f);
}

static void test_commits_come_back_full(void **state) { (void)state; commits_come_back(IU_DUR_FULL, 64u << 20, 60); }
static void test_commits_come_back_normal(void **state) { (void)state; commits_come_back(IU_DUR_NORMAL, 64u << 20, 2000); }
static void test_commits_come_back_off(void **state) { (void)state; commits_come_back(IU_DUR_OFF, 64u << 20, 2000); }
static void test_commits_come_back_through_folds(void **state) { (void)state; commits_come_back(IU_DUR_NORMAL, 0, 3000); }

/* Replay without a fold: the file is copied while it is open. */
static void test_a_journal_that_was_not_folded_is_replayed(void **state) {
  fixture f;
  random_source r = random_begin("replay");
  model m = {0}, back = {0};
  iu_journal_config c;
  iu_journal *j;
  iu_journal_recovery recovery;
  iu_error err;
  char command[1024], copy[160];

  (void)state;
  fixture_begin(&f);
  m.f = back.f = &f;
  c = config_for(&f);
  c.fold_idle_ms = 60000;
  j = open_loaded(&c, &f, NULL, NULL);
  for (int i = 0; i < 500; i++) {
    assert_ok(step(j, &m, &r, &err), &err);
    if (i % 50 == 0) assert_ok(iu__journal_wait(j, m.sequence, -1, &err), &err);
  }
  assert_ok(iu__journal_wait(j, m.sequence, -1, &err), &err);
  snprintf(copy, sizeof copy, "%s/copy.universe", f.folder);
  snprintf(command, sizeof command, "cp %s %s && cp %s-wal %s-wal", f.path, copy, f.path, copy);
  assert_int_equal(system(command), 0);
  close_ok(j);

  c.path = copy;
  j = open_loaded(&c, &f, &back, &recovery);
  assert_int_equal(recovery.frames_replayed, 500);
  assert_int_equal(recovery.table_rows, 0);
  assert_false(recovery.clean);
  assert_false(iu__journal_is_new(j));
  assert_model_equal(&m, &back);
  /* What was replayed counts on from there. */
  assert_ok(step(j, &m, &r, &err), &err);
  close_ok(j);
  model_free(&back);
  back.f = &f;
  close_ok(open_loaded(&c, &f, &back, &recovery));
  assert_int_equal(recovery.frames_replayed, 0);
  assert_true(recovery.clean);
  assert_model_equal(&m, &back);
  model_free(&m);
  model_free(&back);
  fixture_end(&f);
}

static void test_normal_writes_within_its_window(void **state) {
  fixture f;
  random_source r = random_begin("window");
  model m = {0};
  iu_journal_config c;
  iu_journal *j;
  iu_error err;

  (void)state;
  fixture_begin(&f);
  m.f = &f;
  c = config_for(&f);
  c.flush_interval_ms = 200;
  j = open_loaded(&c, &f, NULL, NULL);
  assert_ok(step(j, &m, &r, &err), &err);
  sleep_ms(20);
  assert_int_equal(durable(j), 0); /* the window is open */
  for (int i = 0; i < 100 && durable(j) == 0; i++) sleep_ms(20);
  assert_int_equal(durable(j), 1);
  /* Who waits does not wait for the window. */
  c.flush_interval_ms = 3600000;
  close_ok(j);
  j = open_loaded(&c, &f, NULL, NULL);
  assert_ok(step(j, &m, &r, &err), &err);
  assert_ok(iu__journal_wait(j, 2, 10000, &err), &err);
  assert_ok(step(j, &m, &r, &err), &err);
  iu__journal_hurry(j);
  for (int i = 0; i < 500 && durable(j) < 3; i++) sleep_ms(10);
  assert_int_equal(durable(j), 3);
  close_ok(j);
  model_free(&m);
  fixture_end(&f);
}

static void test_off_writes_only_when_asked_or_half_full(void **state) {
  fixture f;
  random_source r = random_begin("off");
  model m = {0};
  iu_journal_config c;
  iu_journal *j;
  iu_journal_stats stats;
  iu_error err;

  (void)state;
  fixture_begin(&f);
  m.f = &f;
  c = config_for(&f);
  c.durability = IU_DUR_OFF;
  c.flush_interval_ms = 1;
  c.pending_bytes_max = 64 << 10;
  j = open_loaded(&c, &f, NULL, NULL);
  assert_ok(step(j, &m, &r, &err), &err);
  sleep_ms(60);
  assert_int_equal(durable(j), 0);
  iu__journal_hurry(j);
  for (int i = 0; i < 500 && durable(j) == 0; i++) sleep_ms(10);
  assert_int_equal(durable(j), 1);
  do {
    assert_ok(step(j, &m, &r, &err), &err);
    iu__journal_get_stats(j, &stats);
  } while (stats.pending_bytes < (32u << 10) && stats.durable_sequence == 1);
  for (int i = 0; i < 500 && durable(j) < m.sequence; i++) sleep_ms(10);
  assert_int_equal(durable(j), m.sequence);
  close_ok(j);
  model_free(&m);
  fixture_end(&f);
}

static void test_a_full_queue_says_so(void **state) {
  fixture f;
  random_source r = random_begin("cap");
  model m = {0}, back = {0};
  iu_journal_config c;
  iu_journal *j;
  iu_error err;

  (void)state;
  fixture_begin(&f);
  m.f = back.f = &f;
  c = config_for(&f);
  c.flush_interval_ms = 3600000;
  c.pending_bytes_max = 1000;
  j = open_loaded(&c, &f, NULL, NULL);
  assert_false(iu__journal_full(j));
  for (int i = 0; i < 100000 && !iu__journal_full(j); i++) assert_ok(step(j, &m, &r, &err), &err);
  assert_true(m.sequence > 0);
  /* Those that have begun are let in all the same. */
  assert_ok(iu__journal_ready(j, 10, &err), &err);
  assert_ok(step(j, &m, &r, &err), &err);
  assert_ok(iu__journal_wait(j, m.sequence, -1, &err), &err);
  assert_false(iu__journal_full(j));
  assert_int_equal(iu__journal_ready(j, IU_JOURNAL_COMMIT_MAX, &err), IU_E_OVERLOADED);
  close_ok(j);
  close_ok(open_loaded(&c, &f, &back, NULL));
  assert_model_equal(&m, &back);
  model_free(&m);
  model_free(&back);
  fixture_end(&f);
}

static void test_large_rows(void **state) {
  fixture f;
  model m = {0}, back = {0};
  iu_journal_config c;
  iu_journal *j;
  iu_error err;
  const size_t sizes[] = {0, 1, IU_JOURNAL_META_MAX, 256u << 10, (256u << 10) + 1, 5u << 20};
  uint8_t *bytes = calloc(1, 5u << 20);

  (void)state;
  fixture_begin(&f);
  m.f = back.f = &f;
  c = config_for(&f);
  j = open_loaded(&c, &f, NULL, NULL);
  for (int round = 0; round < 2; round++) {
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
      commit one;
      uint64_t seq;
      int at;

      memset(bytes, (int)(i + 7 * (unsigned)round), sizes[i]);
      commit_begin(&one, &f);
      commit_change(&one, T_NOTE, NULL, row_note((int64_t)i, bytes, sizes[i]));
      at = model_find(&m, T_NOTE, (iu_slice){one.changes[0].new_row->data, 8});
      if (at >= 0) one.changes[0].old_row = row_copy(m.rows[at].row->data, m.rows[at].row->len);
      assert_ok(iu__journal_ready(j, sizes[i], &err), &err);
      assert_ok(commit_append(&one, j, &seq, &err), &err);
      commit_apply(&one, &m);
    }
  }
  close_ok(j);
  close_ok(open_loaded(&c, &f, &back, NULL));
  assert_model_equal(&m, &back);
  assert_sql(f.path, "SELECT length(data) FROM note WHERE key = 5", "5242880");
  free(bytes);
  model_free(&m);
  model_free(&back);
  fixture_end(&f);
}

static void test_metadata_is_kept(void **state) {
  fixture f;
  iu_journal_config c;
  iu_journal *j;
  iu_error err;
  uint8_t big[IU_JOURNAL_META_MAX + 1] = {1, 2, 3};
  const uint8_t *p;
  size_t len;

  (void)state;
  fixture_begin(&f);
  c = config_for(&f);
  assert_ok(iu__journal_open(&c, &j, &err), &err);
  assert_null(iu__journal_meta(j, IU_META_OWNER, &len));
  assert_ok(iu__journal_set_meta(j, IU_META_OWNER, "0123456789abcdef0123456789abcdef", 32, &err), &err);
  close_ok(j); /* never loaded: nothing is written, the file is as new */
  j = open_loaded(&c, &f, NULL, NULL);
  assert_true(iu__journal_is_new(j));
  assert_null(iu__journal_meta(j, IU_META_OWNER, &len));
  assert_ok(iu__journal_set_meta(j, IU_META_OWNER, "0123456789abcdef0123456789abcdef", 32, &err), &err);
  assert_ok(iu__journal_set_meta(j, IU_META_DATABASE_IDENTITY, big, IU_JOURNAL_META_MAX, &err), &err);
  assert_int_equal(iu__journal_set_meta(j, IU_META_OWNER, big, sizeof big, &err), IU_E_VALIDATION);
  assert_int_equal(iu__journal_set_meta(j, IU_META_COUNT, big, 1, &err), IU_E_VALIDATION);
  close_ok(j); /* without any commit */
  j = open_loaded(&c, &f, NULL, NULL);
  assert_false(iu__journal_is_new(j));
  p = iu__journal_meta(j, IU_META_OWNER, &len);
  assert_int_equal(len, 32);
  assert_memory_equal(p, "0123456789abcdef0123456789abcdef", 32);
  p = iu__journal_meta(j, IU_META_DATABASE_IDENTITY, &len);
  assert_int_equal(len, IU_JOURNAL_META_MAX);
  assert_memory_equal(p, big, IU_JOURNAL_META_MAX);
  assert_null(iu__journal_meta(j, IU_META_COUNT, &len));
  close_ok(j);
  fixture_end(&f);
}

static void test_calls_out_of_order_are_refused(void **state) {
  fixture f;
  random_source r = random_begin("order");
  model m = {0};
  iu_journal_config c;
  iu_journal *j;
  iu_journal_recovery recovery;
  iu_error err;

  (void)state;
  fixture_begin(&f);
  m.f = &f;
  c = config_for(&f);
  assert_ok(iu__journal_open(&c, &j, &err), &err);
  assert_int_equal(step(j, &m, &r, &err), IU_E_VALIDATION);
  assert_int_equal(iu__journal_ready(j, 1, &err), IU_E_VALIDATION);
  assert_int_equal(iu__journal_wait(j, 0, 0, &err), IU_E_VALIDATION);
  assert_int_equal(iu__journal_fold(j, 0, &err), IU_E_VALIDATION);
  assert_ok(load_model(j, &m, &recovery, &err), &err);
  assert_int_equal(load_model(j, &m, &recovery, &err), IU_E_VALIDATION);
  assert_int_equal(iu__journal_wait(j, 1, 0, &err), IU_E_VALIDATION);
  assert_ok(iu__journal_wait(j, 0, 0, &err), &err);
  close_ok(j);
  assert_int_equal(iu__journal_close(NULL, &err), IU_OK);
  model_free(&m);
  fixture_end(&f);
}

static void test_waits_end_in_time(void **state) {
  fixture f;
  random_source r = random_begin("timeouts");
  model m = {0};
  iu_journal_config c;
  iu_journal *j;
  sqlite3 *other;
  iu_error err;

  (void)state;
  fixture_begin(&f);
  m.f = &f;
  c = config_for(&f);
  c.busy_timeout_ms = 20000;
  j = open_loaded(&c, &f, NULL, NULL);
  /* Another program writes: ours waits for it. */
  assert_int_equal(sqlite3_open(f.path, &other), SQLITE_OK);
  assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
  assert_ok(step(j, &m, &r, &err), &err);
  assert_int_equal(iu__journal_wait(j, 1, 50, &err), IU_E_TIMEOUT);
  assert_int_equal(iu__journal_fold(j, 50, &err), IU_E_TIMEOUT);
  assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
  assert_ok(iu__journal_wait(j, 1, -1, &err), &err);
  assert_ok(iu__journal_fold(j, -1, &err), &err);
  sqlite3_close(other);
  close_ok(j);
  model_free(&m);
  fixture_end(&f);
}

typedef struct woken { pthread_mutex_t mutex; int count; } woken;
static void count_wake(void *ud) {
  woken *w = ud;
  pthread_mutex_lock(&w->mutex);
  w->count++;
  pthread_mutex_unlock(&w->mutex);
}

static void test_progress_wakes_the_owner(void **state) {
  fixture f;
  random_source r = random_begin("wake");
  model m = {0};
  woken w = {PTHREAD_MUTEX_INITIALIZER, 0};
  iu_journal_config c;
  iu_journal *j;
  iu_journal_stats stats;
  iu_error err;

  (void)state;
  fixture_begin(&f);
  m.f = &f;
  c = config_for(&f);
  c.wake = count_wake;
  c.wake_ud = &w;
  c.fold_idle_ms = 30;
  j = open_loaded(&c, &f, NULL, NULL);
  for (int i = 0; i < 3; i++) {
    assert_ok(step(j, &m, &r, &err), &err);
    assert_ok(iu__journal_wait(j, m.sequence, -1, &err), &err);
  }
  /* Idle, it folds by itself. */
  for (int i = 0; i < 500; i++) {
    iu__journal_get_stats(j, &stats);
    if (stats.folded_sequence == 3) break;
    sleep_ms(10);
  }
  assert_int_equal(stats.folded_sequence, 3);
  assert_int_equal(stats.frames_folded, 3);
  assert_int_equal(stats.journal_bytes, 0);
  assert_int_equal(stats.pending_bytes, 0);
  assert_int_equal(stats.groups_written, 3);
  assert_int_equal(stats.format, IU_JOURNAL_FORMAT);
  assert_false(stats.failed);
  close_ok(j);
  assert_true(w.count >= 3);
  model_free(&m);
  fixture_end(&f);
}

static void test_new_tables_are_made(void **state) {
  fixture f;
  random_source r = random_begin("new tables");
  model m = {0}, back = {0};
  iu_journal_config c;
  iu_journal *j;
  iu_error err;
  iu_table_def reordered[T_COUNT];
  iu_schema schema;

  (void)state;
  fixture_begin(&f);
  m.f = back.f = &f;
  c = config_for(&f);
  f.schema.table_count = T_READING; /* the first three */
  j = open_loaded(&c, &f, NULL, NULL);
  close_ok(j);
  f.schema.table_count = T_COUNT;
  j = open_loaded(&c, &f, NULL, NULL);
  for (int i = 0; i < 300; i++) assert_ok(step(j, &m, &r, &err), &err);
  close_ok(j);
  close_ok(open_loaded(&c, &f, &back, NULL));
  assert_model_equal(&m, &back);
  /* The order in the schema may change. */
  for (int i = 0; i < T_COUNT; i++) reordered[i] = f.tables[T_COUNT - 1 - i];
  schema = f.schema;
  schema.tables = reordered;
  c.schema = &schema;
  assert_ok(iu__journal_open(&c, &j, &err), &err);
  close_ok(j);
  model_free(&m);
  model_free(&back);
  fixture_end(&f);
}

static uint64_t hash_of_file(const char *path) {
  FILE *file = fopen(path, "rb");
  uint64_t h = 1469598103934665603u;
  int ch;
  assert_non_null(file);
  while ((ch = fgetc(file)) != EOF) h = (h ^ (uint64_t)ch) * 1099511628211u;
  fclose(file);
  return h;
}

static void test_other_differences_are_listed(void **state) {
  fixture f;
  iu_journal_config c;
  iu_journal *j = NULL;
  iu_error err;
  iu_field fields[] = {{"id", iu__type_scalar(IU_T_STRING)}, {"age", iu__type_scalar(IU_T_U64)}};
  uint64_t before;

  (void)state;
  fixture_begin(&f);
  c = config_for(&f);
  close_ok(open_loaded(&c, &f, NULL, NULL));
  before = hash_of_file(f.path);
  f.tables[T_PERSON].row = product_of(&f.types, 2, fields);
  f.tables[T_TAG].primary_key = 0;
  f.tables[T_COUNTER].sequence_count = 0;
  f.schema.table_count = T_NOTE; /* and one is gone */
  assert_int_equal(iu__journal_open(&c, &j, &err), IU_E_MIGRATION);
  assert_null(j);
  assert_says(&err, "table `person`: `column age U32` in the file is `column age U64` in the schema");
  assert_says(&err, "`column metadata (name: Option<String>, tags: Array<String>, score: F64)` in the file is nothing in the schema");
  assert_says(&err, "table `tag`: nothing in the file is `primary key a` in the schema");
  assert_says(&err, "table `counter`: `auto increment id` in the file is nothing");
  assert_says(&err, "table `note`: is not in the schema");
  {
    iu_field swapped[] = {{"b", iu__type_scalar(IU_T_U16)}, {"a", iu__type_scalar(IU_T_STRING)}};
    fixture g;
    fixture_begin(&g);
    c.schema = &g.schema;
    g.tables[T_TAG].row = product_of(&g.types, 2, swapped);
    assert_int_equal(iu__journal_open(&c, &j, &err), IU_E_MIGRATION);
    assert_says(&err, "table `tag`: its columns are in another order");
    fixture_end(&g);
  }
  assert_int_equal(hash_of_file(f.path), before);
  assert_false(file_exists(f.path, "-wal"));
  assert_false(file_exists(f.path, ".lock"));
  fixture_end(&f);
}

static void test_names_that_sqlite_cannot_hold_are_refused(void **state) {
  static const struct { const char *table, *column; const char *says; } cases[] = {
      {"sqlite_x", "a", "sqlite_"}, {"t", "_row", "_row"}, {"t", "_ROW", "_ROW"}, {"t", "Id", "differ only in case"}};
  fixture f;
  iu_journal_config c;
  iu_journal *j;
  iu_error err;

  (void)state;
  fixture_begin(&f);
  c = config_for(&f);
  for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
    iu_field fields[] = {{"id", iu__type_scalar(IU_T_STRING)}, {cases[i].column, iu__type_scalar(IU_T_U64)}};
    f.tables[0].name = cases[i].table;
    f.tables[0].row = product_of(&f.types, 2, fields);
    assert_int_equal(iu__journal_open(&c, &j, &err), IU_E_VALIDATION);
    assert_says(&err, cases[i].says);
    assert_false(file_exists(f.path, ""));
  }
  fixture_end(&f);
}

static void test_column_cap(void **state) {
  fixture f;
  iu_journal_config c;
  iu_journal *j;
  iu_error err;
  iu_field *fields = calloc(IU_JOURNAL_COLUMNS_MAX + 1, sizeof *fields);
  char (*names)[16] = calloc(IU_JOURNAL_COLUMNS_MAX + 1, sizeof *names);

  (void)state;
  fixture_begin(&f);
  c = config_for(&f);
  for (int i = 0; i <= IU_JOURNAL_COLUMNS_MAX; i++) {
    snprintf(names[i], sizeof *names, "c%d", i);
    fields[i] = (iu_field){names[i], iu__type_scalar(IU_T_U8)};
  }
  f.tables[T_NOTE].row = product_of(&f.types, IU_JOURNAL_COLUMNS_MAX + 1, fields);
  assert_int_equal(iu__journal_open(&c, &j, &err), IU_E_VALIDATION);
  assert_says(&err, "2000 columns");
  f.tables[T_NOTE].row = product_of(&f.types, IU_JOURNAL_COLUMNS_MAX, fields);
  j = open_loaded(&c, &f, NULL, NULL);
  {
    commit one;
    uint64_t seq;
    uint8_t bytes[IU_JOURNAL_COLUMNS_MAX];
    memset(bytes, 7, sizeof bytes);
    commit_begin(&one, &f);
    commit_change(&one, T_NOTE, NULL, row_copy(bytes, sizeof bytes));
    assert_ok(commit_append(&one, j, &seq, &err), &err);
    free((void *)one.changes[0].new_row);
  }
  close_ok(j);
  assert_sql(f.path, "SELECT c1998 FROM note", "7");
  free(names);
  free(fields);
  fixture_end(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_commits_come_back_full),
      cmocka_unit_test(test_commits_come_back_normal),
      cmocka_unit_test(test_commits_come_back_off),
      cmocka_unit_test(test_commits_come_back_through_folds),
      cmocka_unit_test(test_a_journal_that_was_not_folded_is_replayed),
      cmocka_unit_test(test_normal_writes_within_its_window),
      cmocka_unit_test(test_off_writes_only_when_asked_or_half_full),
      cmocka_unit_test(test_a_full_queue_says_so),
      cmocka_unit_test(test_large_rows),
      cmocka_unit_test(test_metadata_is_kept),
      cmocka_unit_test(test_calls_out_of_order_are_refused),
      cmocka_unit_test(test_waits_end_in_time),
      cmocka_unit_test(test_progress_wakes_the_owner),
      cmocka_unit_test(test_new_tables_are_made),
      cmocka_unit_test(test_other_differences_are_listed),
      cmocka_unit_test(test_names_that_sqlite_cannot_hold_are_refused),
      cmocka_unit_test(test_column_cap),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
