/* journal_working_copy_test.c: a private copy of a universe's file, and its publishing: what a power loss at any moment of it leaves, what a disk that fails leaves, who is kept
 * out meanwhile, and what is taken along. */
#include "journal_vfs.h"

#include "../../core/base/errinj.h"
#include "../../core/journal/backup.h"
#include "../../core/journal/compact.h"
#include "../../core/journal/reshape.h"
#include "../../core/journal/working_copy.h"

#define LOSSES 120
#define COMMITS 40

/* ---- helpers ---- */

static iu_status run_all(iu_working_copy *w, iu_error *err) {
  uint64_t done, total;
  iu_status status;

  do status = iu__working_copy_run(w, 0, err);
  while (status == IU_OK && !iu__working_copy_progress(w, &done, &total));
  return status;
}

static iu_working_copy *filled(const char *path) {
  iu_working_copy *w;
  iu_error err;

  assert_ok(iu__working_copy_new(path, &w, &err), &err);
  assert_ok(iu__working_copy_fill(w, &err), &err);
  assert_ok(run_all(w, &err), &err);
  return w;
}

static iu_status publish(iu_working_copy *w, iu_error *err) {
  iu_status status = iu__working_copy_publish(w, err);
  return status == IU_OK ? run_all(w, err) : status;
}

static void load_file(const fixture *f, const char *path, model *m) {
  iu_journal_config c = config_for(f);

  memset(m, 0, sizeof *m);
  m->f = f;
  c.path = path;
  close_ok(open_loaded(&c, f, m, NULL));
}

static void assert_file_is(const fixture *f, const char *path, const model *expected) {
  model found;

  load_file(f, path, &found); /* which recovers what a crash left: who only reads cannot */
  assert_sql(path, "PRAGMA integrity_check", "ok");
  assert_model_equal(expected, &found);
  model_free(&found);
}

/* A universe at f->path with some commits; `crashed`: as a process that died left it, with its log and journal. */
static void build(fixture *f, random_source *r, bool crashed) {
  iu_journal_config c = config_for(f);
  model m = {.f = f};
  char path[160];
  iu_journal *j;
  iu_error err;

  snprintf(path, sizeof path, "%s/source.universe", f->folder);
  if (crashed) c.path = path;
  c.fold_idle_ms = crashed ? 3600000 : 1;
  vfs.path = c.path;
  j = open_loaded(&c, f, NULL, NULL);
  for (int i = 0; i < COMMITS; i++) assert_ok(step(j, &m, r, &err), &err);
  assert_ok(iu__journal_wait(j, m.sequence, -1, &err), &err);
  if (crashed) {
    pthread_mutex_lock(&vfs.mutex);
    vfs_images();
    vfs_restore(f->path);
    pthread_mutex_unlock(&vfs.mutex);
  }
  close_ok(j);
  model_free(&m);
  vfs_reset();
  vfs.path = f->path;
}

static iu_reshape *session(iu_working_copy *w) {
  iu_reshape *s;
  iu_error err;

  assert_ok(iu__reshape_open(iu__working_copy_file(w), &s, &err), &err);
  return s;
}

/* Rows that come, change and go. */
static void change_rows(const fixture *f, iu_working_copy *w, random_source *r) {
  iu_reshape *s = session(w);
  iu_reshape_writer *out;
  iu_error err;

  assert_ok(iu__reshape_begin(s, false, &err), &err);
  for (uint32_t table = 0; table < T_COUNT; table++) {
    assert_ok(iu__reshape_writer_new(s, IU_RESHAPE_APPEND, f->tables[table].name, NULL, &out, &err), &err);
    for (int i = 0; i < 30; i++) {
      iu_row *row = row_random(table, r);
      assert_ok(iu__reshape_put(out, row->data, row->len, true, &err), &err);
      free(row);
    }
    for (int i = 0; i < 5; i++) {
      iu_row *row = row_random(table, r);
      bool was_there;
      assert_ok(iu__reshape_delete(out, row_key(f, table, row->data, row->len), &was_there, &err), &err);
      free(row);
    }
    assert_ok(iu__reshape_finish(out, true, &err), &err);
    iu__reshape_writer_free(out);
  }
  assert_ok(iu__reshape_commit(s, &err), &err);
  iu__reshape_close(s);
}

typedef struct scene { fixture f; model old, now; iu_working_copy *w; random_source r; } scene;

static void scene_begin(scene *s, random_source *r, bool crashed) {
  memset(s, 0, sizeof *s);
  fixture_begin(&s->f);
  s->r.s = random_next(r) | 1;
  build(&s->f, &s->r, crashed);
  s->w = filled(s->f.path);
  load_file(&s->f, iu__working_copy_file(s->w), &s->old);
  change_rows(&s->f, s->w, &s->r);
  load_file(&s->f, iu__working_copy_file(s->w), &s->now);
}

static void scene_end(scene *s) {
  iu__working_copy_release(s->w);
  assert_false(file_exists(s->f.path, ".iu-work"));
  assert_false(file_exists(s->f.path, ".iu-work.lock"));
  assert_false(file_exists(s->f.path, ".lock"));
  model_free(&s->old);
  model_free(&s->now);
  fixture_end(&s->f);
  vfs_reset();
}

/* ---- power ---- */

static void test_power_loss_at_any_moment_of_a_publish(void **state) {
  random_source r = random_begin("publish");
  long most = 200;
  int kept = 0, changed = 0;

  (void)state;
  vfs_install();
  for (int i = 0; i < LOSSES; i++) {
    scene s;
    char copy[160], difference[160];
    model found;
    iu_error err;
    bool finished, is_new;

    scene_begin(&s, &r, i % 3 == 0);
    vfs.random.s = random_next(&r) | 1;
    vfs.taken = false;
    vfs.snapshot_in = 1 + (long)random_below(&r, (uint64_t)most);
    assert_ok(publish(s.w, &err), &err);
    pthread_mutex_lock(&vfs.mutex);
    finished = !vfs.taken;
    if (finished) {
      most = most - vfs.snapshot_in > 1 ? most - vfs.snapshot_in : most; /* how many operations there were, about */
      vfs_images();
    }
    vfs.snapshot_in = 0;
    snprintf(copy, sizeof copy, "%s/copy.universe", s.f.folder);
    vfs_restore(copy);
    pthread_mutex_unlock(&vfs.mutex);
    load_file(&s.f, copy, &found);
    is_new = model_difference(&s.now, &found, difference) == NULL;
    if (!is_new && finished) fail_msg("published, and lost: %s", difference);
    if (!is_new) assert_model_equal(&s.old, &found);
    if (is_new) changed++;
    else kept++;
    assert_sql(copy, "PRAGMA integrity_check", "ok");
    model_free(&found);
    assert_file_is(&s.f, iu__working_copy_file(s.w), &s.now);
    scene_end(&s);
  }
  printf("%d power losses during a publish: %d found the old file, %d the new\n", LOSSES, kept, changed);
  assert_true(kept > 5 && changed > 5);
  vfs_uninstall();
}

/* Once a publish was reported nothing of it waits for a later sync. */
static void test_published_means_synced(void **state) {
  random_source r = random_begin("synced");
  scene s;
  char copy[160];
  iu_error err;

  (void)state;
  vfs_install();
  for (int i = 0; i < 20; i++) {
    scene_begin(&s, &r, i % 2 == 0);
    vfs.random.s = random_next(&r) | 1;
    assert_ok(publish(s.w, &err), &err);
    pthread_mutex_lock(&vfs.mutex);
    vfs_images();
    snprintf(copy, sizeof copy, "%s/copy.universe", s.f.folder);
    vfs_restore(copy);
    pthread_mutex_unlock(&vfs.mutex);
    assert_file_is(&s.f, copy, &s.now);
    scene_end(&s);
  }
  vfs_uninstall();
}

/* ---- a failing disk ---- */

/* Publishes with the nth write, or sync, failing; what is then in the file is what was there, and the next try goes well. False: there were not so many. */
static bool fail_at(random_source *r, long writes, long syncs) {
  scene s;
  iu_error err;
  iu_status status;
  bool failed;

  scene_begin(&s, r, random_below(r, 2) == 0);
  pthread_mutex_lock(&vfs.mutex);
  vfs.failed = 0;
  vfs.fail_code = writes != 0 ? SQLITE_FULL : SQLITE_IOERR_FSYNC;
  vfs.fail_write_in = writes;
  vfs.fail_sync_in = syncs;
  pthread_mutex_unlock(&vfs.mutex);
  status = publish(s.w, &err);
  pthread_mutex_lock(&vfs.mutex);
  failed = vfs.failed != 0;
  vfs.fail_write_in = vfs.fail_sync_in = 0;
  pthread_mutex_unlock(&vfs.mutex);
  if (status != IU_OK) {
    char copy[160];
    iu_journal_config c = config_for(&s.f);
    iu_journal *j;

    assert_true(failed);
    assert_int_equal(status, IU_E_STORAGE);
    c.path = s.f.path;
    assert_int_equal(iu__journal_open(&c, &j, NULL), IU_E_UNIVERSE_LOCKED);
    vfs.path = s.f.path; /* as it is, beside the lock */
    snprintf(copy, sizeof copy, "%s/copy.universe", s.f.folder);
    static const char *const suffixes[] = {"", "-wal", "-journal"};
    for (int i = 0; i < 3; i++) {
      char from[192], to[192];
      size_t len;
      uint8_t *bytes;
      snprintf(from, sizeof from, "%s%s", s.f.path, suffixes[i]);
      snprintf(to, sizeof to, "%s%s", copy, suffixes[i]);
      if (!file_exists(s.f.path, suffixes[i])) continue;
      bytes = read_all(from, &len);
      write_all(to, bytes, len);
      free(bytes);
    }
    assert_file_is(&s.f, copy, &s.old);
    assert_ok(publish(s.w, &err), &err);
  }
  iu__working_copy_release(s.w);
  s.w = NULL;
  assert_file_is(&s.f, s.f.path, &s.now);
  model_free(&s.old);
  model_free(&s.now);
  fixture_end(&s.f);
  vfs_reset();
  return failed;
}

static void test_a_disk_that_fails_leaves_the_original(void **state) {
  random_source r = random_begin("disk");
  long writes = 1, syncs = 1;

  (void)state;
  vfs_install();
  while (fail_at(&r, writes, 0)) writes += 1 + (long)random_below(&r, 3);
  while (fail_at(&r, 0, syncs)) syncs++;
  printf("publishes failed at writes up to %ld, and at %ld syncs\n", writes, syncs - 1);
  assert_true(writes > 10 && syncs > 2);
  vfs_uninstall();
}

/* ---- memory ---- */

static void test_every_allocation_may_fail(void **state) {
  random_source r = random_begin("memory");
  scene s;
  iu_error err;
  iu_status status;
  long after = 0;
  bool fired = true;

  (void)state;
  vfs_install();
  scene_begin(&s, &r, true);
  iu__working_copy_release(s.w);
  while (fired) {
    iu_reshape *session_ = NULL;
    s.w = NULL;
    iu__errinj_arm(IU_ERRINJ_ALLOC, after);
    status = iu__working_copy_new(s.f.path, &s.w, &err);
    if (status == IU_OK) status = iu__working_copy_fill(s.w, &err);
    if (status == IU_OK) status = run_all(s.w, &err);
    if (status == IU_OK) status = iu__reshape_open(iu__working_copy_file(s.w), &session_, &err);
    iu__reshape_close(session_);
    if (status == IU_OK) status = publish(s.w, &err);
    fired = iu__errinj_count(IU_ERRINJ_ALLOC) > after++;
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    if (status != IU_OK) assert_int_equal(status, IU_E_NOMEM); /* some are done without: names of what is only tidied */
    if (!fired) assert_ok(status, &err);
    iu__working_copy_release(s.w);
  }
  assert_true(after > 20);
  s.w = NULL;
  assert_file_is(&s.f, s.f.path, &s.old);
  model_free(&s.old);
  model_free(&s.now);
  fixture_end(&s.f);
  vfs_uninstall();
}

/* ---- others ---- */

static void test_the_original_is_locked_and_only_read(void **state) {
  random_source r = random_begin("locked");
  scene s;
  iu_journal_config c;
  iu_working_copy *other;
  iu_journal *j;
  iu_error err;
  size_t before_len, after_len;
  uint8_t *before, *after;

  (void)state;
  vfs_install();
  memset(&s, 0, sizeof s);
  fixture_begin(&s.f);
  build(&s.f, &r, false);
  before = read_all(s.f.path, &before_len);
  s.w = filled(s.f.path);
  change_rows(&s.f, s.w, &r);
  c = config_for(&s.f);
  assert_int_equal(iu__journal_open(&c, &j, &err), IU_E_UNIVERSE_LOCKED);
  assert_int_equal(iu__working_copy_new(s.f.path, &other, &err), IU_E_UNIVERSE_LOCKED);
  assert_says(&err, "already open in this process");
  iu__working_copy_release(s.w);
  after = read_all(s.f.path, &after_len);
  assert_int_equal(before_len, after_len);
  assert_memory_equal(before, after, before_len);
  assert_false(file_exists(s.f.path, "-wal"));
  assert_false(file_exists(s.f.path, ".iu-work"));
  free(before);
  free(after);
  close_ok(open_loaded(&c, &s.f, NULL, NULL));
  fixture_end(&s.f);
  vfs_uninstall();
}

static void sql_on(const char *path, const char *sql) {
  sqlite3 *db;
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(db);
}

static void test_what_others_did_meanwhile_is_not_lost(void **state) {
  random_source r = random_begin("others");
  scene s;
  char moved[192];
  iu_error err;

  (void)state;
  vfs_install();
  scene_begin(&s, &r, false);
  sql_on(s.f.path, "UPDATE _iu_meta SET value = 0 WHERE key = 'closed'");
  assert_int_equal(publish(s.w, &err), IU_E_CONFLICT);
  assert_says(&err, "changed by another program");
  assert_ok(iu__working_copy_fill(s.w, &err), &err);
  assert_ok(run_all(s.w, &err), &err);
  assert_ok(publish(s.w, &err), &err);
  snprintf(moved, sizeof moved, "%s.moved", s.f.path);
  assert_int_equal(rename(s.f.path, moved), 0);
  assert_int_equal(publish(s.w, &err), IU_E_CONFLICT);
  assert_says(&err, "moved or replaced");
  assert_int_equal(rename(moved, s.f.path), 0);
  scene_end(&s);
  vfs_uninstall();
}

static int64_t count_of(sqlite3 *db) {
  sqlite3_stmt *st;
  int64_t n;
  assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM person", -1, &st, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(st), SQLITE_ROW);
  n = sqlite3_column_int64(st, 0);
  sqlite3_finalize(st);
  return n;
}

/* A program that has the file open reads the old content, then the new, and never a mixture; the file is the same one, mode and links. */
static void test_a_reader_is_not_misled(void **state) {
  random_source r = random_begin("reader");
  scene s;
  sqlite3 *reader;
  iu_reshape *all;
  iu_error err;
  struct stat before, after;
  int64_t old_count;

  (void)state;
  vfs_install();
  scene_begin(&s, &r, false);
  assert_int_equal(chmod(s.f.path, 0640), 0);
  assert_int_equal(stat(s.f.path, &before), 0);
  assert_int_equal(sqlite3_open_v2(s.f.path, &reader, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
  old_count = count_of(reader);
  all = session(s.w);
  assert_ok(iu__reshape_begin(all, true, &err), &err);
  assert_ok(iu__reshape_drop(all, "person", &err), &err);
  assert_ok(iu__reshape_commit(all, &err), &err);
  iu__reshape_close(all);
  assert_true(old_count > 0);
  assert_ok(publish(s.w, &err), &err);
  assert_int_equal(stat(s.f.path, &after), 0);
  assert_int_equal(before.st_ino, after.st_ino);
  assert_int_equal(after.st_mode & 07777, 0640);
  assert_int_equal(sqlite3_exec(reader, "SELECT count(*) FROM person", NULL, NULL, NULL), SQLITE_ERROR); /* no such table */
  assert_int_equal(sqlite3_exec(reader, "SELECT count(*) FROM note", NULL, NULL, NULL), SQLITE_OK);
  /* One that is in the middle of reading is not pulled the file away from under it: the publish fails, and goes well afterwards. */
  assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM note", NULL, NULL, NULL), SQLITE_OK);
  all = session(s.w);
  assert_ok(iu__reshape_begin(all, true, &err), &err);
  assert_ok(iu__reshape_drop(all, "note", &err), &err);
  assert_ok(iu__reshape_commit(all, &err), &err);
  iu__reshape_close(all);
  assert_int_equal(publish(s.w, &err), IU_E_STORAGE);
  assert_says(&err, "another program holds the file");
  assert_int_equal(sqlite3_exec(reader, "SELECT count(*) FROM note; COMMIT", NULL, NULL, NULL), SQLITE_OK);
  assert_ok(publish(s.w, &err), &err);
  assert_int_equal(sqlite3_exec(reader, "SELECT count(*) FROM note", NULL, NULL, NULL), SQLITE_ERROR);
  sqlite3_close(reader);
  scene_end(&s);
  vfs_uninstall();
}

static void test_leftovers_of_a_killed_run_are_removed(void **state) {
  static const char *const left[] = {".iu-work", ".iu-work-journal", ".iu-work-wal", ".iu-work-shm", ".iu-work.lock"};
  random_source r = random_begin("left");
  scene s;

  (void)state;
  vfs_install();
  memset(&s, 0, sizeof s);
  fixture_begin(&s.f);
  build(&s.f, &r, false);
  for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) {
    char name[192];
    snprintf(name, sizeof name, "%s%s", s.f.path, left[i]);
    write_all(name, "left behind", 11);
  }
  s.w = filled(s.f.path);
  assert_sql(iu__working_copy_file(s.w), "PRAGMA integrity_check", "ok");
  iu__working_copy_release(s.w);
  for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) assert_false(file_exists(s.f.path, left[i]));
  fixture_end(&s.f);
  vfs_uninstall();
}

static void test_a_publish_given_up_is_undone(void **state) {
  random_source r = random_begin("given up");
  scene s;
  uint64_t done, total;
  iu_error err;

  (void)state;
  vfs_install();
  scene_begin(&s, &r, false);
  sql_on(iu__working_copy_file(s.w), "CREATE TABLE _iu_ballast (x); INSERT INTO _iu_ballast VALUES (zeroblob(4000000))"); /* several slices */
  assert_ok(iu__working_copy_publish(s.w, &err), &err);
  assert_int_equal(iu__working_copy_publish(s.w, &err), IU_E_CONFLICT);
  assert_ok(iu__working_copy_run(s.w, 0, &err), &err);
  assert_false(iu__working_copy_progress(s.w, &done, &total));
  assert_true(done > 0 && done < total);
  iu__working_copy_stop(s.w);
  assert_ok(iu__working_copy_publish(s.w, &err), &err);
  iu__working_copy_cancel(s.w);
  assert_int_equal(iu__working_copy_run(s.w, 0, &err), IU_E_CLOSED);
  assert_ok(iu__working_copy_publish(s.w, &err), &err);
  iu__working_copy_limit(s.w, 1);
  assert_int_equal(iu__working_copy_run(s.w, 0, &err), IU_E_TIMEOUT);
  iu__working_copy_limit(s.w, 0);
  iu__working_copy_release(s.w);
  s.w = NULL;
  assert_file_is(&s.f, s.f.path, &s.old);
  model_free(&s.old);
  model_free(&s.now);
  fixture_end(&s.f);
  vfs_uninstall();
}

static mode_t mode_of(const char *path) {
  struct stat st;

  assert_int_equal(stat(path, &st), 0);
  return st.st_mode & 0777;
}

/* What only its owner may read stays that in every copy of it. */
static void test_copies_are_as_private_as_the_file(void **state) {
  static const mode_t modes[] = {0600, 0640, 0644};
  fixture f;
  random_source r = {7};
  mode_t mask = umask(022);

  (void)state;
  for (size_t i = 0; i < 3; i++) {
    iu_working_copy *w;
    iu_backup *b;
    iu_error err;
    char copy[192];
    uint64_t done, total;

    fixture_begin(&f);
    build(&f, &r, false);
    assert_int_equal(chmod(f.path, modes[i]), 0);
    w = filled(f.path);
    assert_int_equal(mode_of(iu__working_copy_file(w)), modes[i]);
    assert_ok(publish(w, &err), &err);
    iu__working_copy_release(w);
    assert_int_equal(mode_of(f.path), modes[i]);
    snprintf(copy, sizeof copy, "%s/copy", f.folder);
    assert_ok(iu__backup_new(f.path, copy, true, false, &b, &err), &err);
    do assert_ok(iu__backup_run(b, 0, &err), &err);
    while (!iu__backup_progress(b, &done, &total));
    iu__backup_free(b);
    assert_int_equal(mode_of(copy), modes[i]);
    assert_ok(iu__compact(f.path, &done, &total, &err), &err);
    assert_int_equal(mode_of(f.path), modes[i]);
    fixture_end(&f);
  }
  umask(mask);
}

static void test_what_is_no_universe_is_refused(void **state) {
  fixture f;
  iu_working_copy *w;
  iu_error err;

  (void)state;
  fixture_begin(&f);
  assert_int_equal(iu__working_copy_new(f.path, &w, &err), IU_E_STORAGE);
  write_all(f.path, "", 0);
  assert_int_equal(iu__working_copy_new(f.path, &w, &err), IU_E_STORAGE);
  assert_says(&err, "no universe");
  write_all(f.path, "not a universe at all", 21);
  assert_int_equal(iu__working_copy_new(f.path, &w, &err), IU_E_STORAGE);
  assert_int_equal(iu__working_copy_new(f.folder, &w, &err), IU_E_STORAGE);
  fixture_end(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_power_loss_at_any_moment_of_a_publish),
      cmocka_unit_test(test_published_means_synced),
      cmocka_unit_test(test_a_disk_that_fails_leaves_the_original),
      cmocka_unit_test(test_every_allocation_may_fail),
      cmocka_unit_test(test_the_original_is_locked_and_only_read),
      cmocka_unit_test(test_what_others_did_meanwhile_is_not_lost),
      cmocka_unit_test(test_a_reader_is_not_misled),
      cmocka_unit_test(test_leftovers_of_a_killed_run_are_removed),
      cmocka_unit_test(test_a_publish_given_up_is_undone),
      cmocka_unit_test(test_copies_are_as_private_as_the_file),
      cmocka_unit_test(test_what_is_no_universe_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
