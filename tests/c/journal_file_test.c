/* journal_file_test.c: what opening refuses and in which words, and that it leaves every byte as it was; the lock. */
#include "journal_fixture.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "../../core/base/hash.h"
#include "../../core/journal/backup.h"
#include "../../core/journal/check.h"
#include "../../core/journal/db.h"
#include "../../core/journal/lock.h"
#include "../../core/journal/snapshot.h"

#define DAMAGES 200

static int count_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw);
static int entries;
static int count_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
  (void)path, (void)st, (void)flag, (void)ftw;
  entries++;
  return 0;
}
static int entries_of(const char *folder) {
  entries = -1; /* the folder itself */
  nftw(folder, count_entry, 16, FTW_PHYS);
  return entries;
}

/* Opening (and loading) fails with this status and these words; the file's bytes and its folder's entries stay. */
static void refused(fixture *f, iu_status expected, const char *says) {
  iu_journal_config c = config_for(f);
  iu_journal *j = NULL;
  iu_journal_recovery recovery;
  model m = {.f = f};
  iu_error err;
  size_t before_len, after_len;
  uint8_t *before = read_all(f->path, &before_len), *after;
  int files = entries_of(f->folder);
  iu_status status = iu__journal_open(&c, &j, &err);

  if (status == IU_OK) {
    status = load_model(j, &m, &recovery, &err);
    iu__journal_close(j, NULL);
  }
  assert_int_equal(status, expected);
  assert_int_equal(err.status, expected);
  assert_says(&err, says);
  after = read_all(f->path, &after_len);
  assert_int_equal(before_len, after_len);
  assert_memory_equal(before, after, before_len);
  assert_int_equal(entries_of(f->folder), files);
  free(before);
  free(after);
  model_free(&m);
}

/* A universe with some folded rows, closed. */
static void make_universe(fixture *f, model *m, unsigned commits) {
  random_source r = random_begin("universe");
  iu_journal_config c = config_for(f);
  iu_journal *j = open_loaded(&c, f, NULL, NULL);
  iu_error err;

  m->f = f;
  for (unsigned i = 0; i < commits; i++) assert_ok(step(j, m, &r, &err), &err);
  close_ok(j);
}

static void put_u32_big(uint8_t *p, uint32_t v) {
  p[0] = (uint8_t)(v >> 24), p[1] = (uint8_t)(v >> 16), p[2] = (uint8_t)(v >> 8), p[3] = (uint8_t)v;
}

static void test_foreign_files(void **state) {
  fixture f;
  char junk[300];

  (void)state;
  fixture_begin(&f);
  write_all(f.path, "hello", 5);
  refused(&f, IU_E_STORAGE, "is not a universe file (and not an SQLite database)");
  memset(junk, 'x', sizeof junk);
  write_all(f.path, junk, sizeof junk);
  refused(&f, IU_E_STORAGE, "not an SQLite database");
  remove(f.path);
  {
    sqlite3 *db;
    assert_int_equal(sqlite3_open(f.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA journal_mode=WAL; CREATE TABLE a (b); INSERT INTO a VALUES (1)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
  }
  assert_false(file_exists(f.path, "-wal"));
  refused(&f, IU_E_STORAGE, "SQLite database of another program");
  fixture_end(&f);
}

static void test_a_newer_format(void **state) {
  fixture f;
  model m = {0};
  uint8_t *bytes;
  size_t len;

  (void)state;
  fixture_begin(&f);
  make_universe(&f, &m, 50);
  bytes = read_all(f.path, &len);
  put_u32_big(bytes + 60, IU_JOURNAL_FORMAT + 6);
  write_all(f.path, bytes, len);
  refused(&f, IU_E_STORAGE, "has format 7; this version reads and writes format 1");
  free(bytes);
  model_free(&m);
  fixture_end(&f);
}

static void test_an_empty_file_becomes_a_universe(void **state) {
  fixture f;
  iu_journal_config c;
  iu_journal *j;
  struct stat st;

  (void)state;
  fixture_begin(&f);
  write_all(f.path, "", 0);
  assert_int_equal(chmod(f.path, 0600), 0);
  c = config_for(&f);
  j = open_loaded(&c, &f, NULL, NULL);
  assert_true(iu__journal_is_new(j));
  close_ok(j);
  assert_int_equal(stat(f.path, &st), 0);
  assert_int_equal(st.st_mode & 07777, 0600);
  assert_sql(f.path, "SELECT count(*) FROM person", "0");
  assert_sql(f.path, "PRAGMA application_id", "1230335606");
  assert_int_equal(entries_of(f.folder), 1);
  fixture_end(&f);
}

static void test_paths_that_cannot_be(void **state) {
  fixture f;
  iu_journal_config c;
  iu_journal *j;
  iu_error err;
  char path[192], target[192];

  (void)state;
  fixture_begin(&f);
  c = config_for(&f);
  c.path = f.folder;
  assert_int_equal(iu__journal_open(&c, &j, &err), IU_E_STORAGE);
  assert_says(&err, "is a folder, not a universe file");
  c.path = path;
  snprintf(path, sizeof path, "%s/missing/world.universe", f.folder);
  assert_int_equal(iu__journal_open(&c, &j, &err), IU_E_STORAGE);
  assert_says(&err, "its folder does not exist");
  snprintf(path, sizeof path, "%s/world/", f.folder);
  assert_int_equal(iu__journal_open(&c, &j, &err), IU_E_STORAGE);
  assert_says(&err, "names a folder");
  c.path = "";
  assert_int_equal(iu__journal_open(&c, &j, &err), IU_E_STORAGE);
  c.path = "/dev/null";
  assert_int_equal(iu__journal_open(&c, &j, &err), IU_E_STORAGE);
  assert_says(&err, "not a regular file");
  c.path = path;
  snprintf(path, sizeof path, "%s/pipe", f.folder);
  assert_int_equal(mkfifo(path, 0600), 0);
  assert_int_equal(iu__journal_open(&c, &j, &err), IU_E_STORAGE);
  remove(path);
  snprintf(path, sizeof path, "%s/link", f.folder);
  snprintf(target, sizeof target, "%s/nowhere", f.folder);
  assert_int_equal(symlink(target, path), 0);
  assert_int_equal(iu__journal_open(&c, &j, &err), IU_E_STORAGE);
  assert_says(&err, "leads nowhere");
  assert_int_equal(entries_of(f.folder), 1);
  fixture_end(&f);
}

/* In a folder that a child which gave up root's rights may enter: not the runner's. */
static void fixture_for_others(fixture *f) {
  char *base = getenv("TMPDIR") != NULL ? strdup(getenv("TMPDIR")) : NULL;

  unsetenv("TMPDIR");
  fixture_begin(f);
  if (base != NULL) setenv("TMPDIR", base, 1);
  free(base);
}

/* Root may write anywhere, so a child gives that up first. */
static void test_read_only_folder_and_file(void **state) {
  fixture f;
  model m = {0};
  pid_t pid;
  int status;

  (void)state;
  fixture_for_others(&f);
  make_universe(&f, &m, 10);
  model_free(&m);
  fflush(stdout);
  pid = fork();
  if (pid == 0) {
    iu_journal_config c = config_for(&f);
    iu_journal *j;
    iu_error err;
    char path[192];

    if (chmod(f.folder, 0555) != 0 || (geteuid() == 0 && (setegid(65534) != 0 || seteuid(65534) != 0))) _exit(10);
    if (iu__journal_open(&c, &j, &err) != IU_E_STORAGE || strstr(err.message, "cannot be written: Permission denied") == NULL) { fprintf(stderr, "%s\n", err.message); _exit(11); }
    snprintf(path, sizeof path, "%s/new.universe", f.folder);
    c.path = path;
    if (iu__journal_open(&c, &j, &err) != IU_E_STORAGE || strstr(err.message, "cannot be written: Permission denied") == NULL) _exit(12);
    _exit(0);
  }
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_int_equal(WEXITSTATUS(status), 0);
  assert_int_equal(chmod(f.folder, 0777), 0);
  assert_int_equal(chmod(f.path, 0444), 0);
  pid = fork();
  if (pid == 0) {
    iu_journal_config c = config_for(&f);
    iu_journal *j;
    iu_error err;

    if (geteuid() == 0 && (setegid(65534) != 0 || seteuid(65534) != 0)) _exit(10);
    if (iu__journal_open(&c, &j, &err) != IU_E_STORAGE || strstr(err.message, "cannot be written") == NULL) { fprintf(stderr, "%s\n", err.message); _exit(11); }
    if (file_exists(f.path, ".lock")) _exit(12);
    _exit(0);
  }
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_int_equal(WEXITSTATUS(status), 0);
  assert_int_equal(entries_of(f.folder), 1);
  fixture_end(&f);
}

static void test_a_log_without_its_file(void **state) {
  fixture f;
  iu_journal_config c;
  iu_journal *j;
  iu_error err;
  char wal[256];

  (void)state;
  fixture_begin(&f);
  c = config_for(&f);
  snprintf(wal, sizeof wal, "%s-wal", f.path);
  write_all(wal, "left behind", 11);
  assert_int_equal(iu__journal_open(&c, &j, &err), IU_E_STORAGE);
  assert_says(&err, "is missing but its log");
  assert_int_equal(entries_of(f.folder), 1);
  fixture_end(&f);
}

/* ---- a write left half done ---- */

/* What a process leaves that runs this SQL on the file and dies: `spill`, with what it has changed so far in the file itself. */
static void leave_behind(const char *path, const char *sql, bool spill, const char *left) {
  pid_t child = fork();
  int status;

  assert_true(child >= 0);
  if (child == 0) {
    sqlite3 *db;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) _exit(2);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) _exit(3);
    _exit(!spill || sqlite3_db_cacheflush(db) == SQLITE_OK ? 0 : 4);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
  assert_true(file_exists(path, left));
}

/* Pages are changed in the file, what they were is in SQLite's rollback journal. */
static void leave_half_written(const char *path) {
  leave_behind(path, "PRAGMA journal_mode=DELETE; BEGIN IMMEDIATE; UPDATE _iu_meta SET value=99; DELETE FROM person", true, "-journal");
}

static iu_status nothing_found(void *ud, bool warning, const char *table, const char *message) {
  (void)ud, (void)warning;
  fail_msg("%s: %s", table != NULL ? table : "the file", message);
  return IU_OK;
}

/* Whoever only reads (a snapshot, a check, a backup) has to read what was there before. */
static void test_a_write_left_half_done_is_undone_by_readers(void **state) {
  fixture f;
  model m = {0}, back;
  iu_journal_config c;
  iu_check_counts counts;
  iu_backup *b;
  iu_error err;
  char copy[192];
  uint64_t done, total;

  (void)state;
  fixture_begin(&f);
  make_universe(&f, &m, 60);
  snprintf(copy, sizeof copy, "%s/copy", f.folder);

  leave_half_written(f.path);
  c = config_for(&f);
  c.snapshot = true;
  back = (model){.f = &f};
  close_ok(open_loaded(&c, &f, &back, NULL));
  assert_model_equal(&m, &back);
  model_free(&back);

  leave_half_written(f.path);
  assert_ok(iu__check_file(f.path, &f.schema, nothing_found, NULL, &counts, &err), &err);
  assert_int_equal(counts.rows, m.count);

  leave_half_written(f.path);
  assert_ok(iu__backup_new(f.path, copy, true, false, &b, &err), &err);
  do assert_ok(iu__backup_run(b, 0, &err), &err);
  while (!iu__backup_progress(b, &done, &total));
  iu__backup_free(b);
  c.path = copy;
  back = (model){.f = &f};
  close_ok(open_loaded(&c, &f, &back, NULL));
  assert_model_equal(&m, &back);
  model_free(&back);
  model_free(&m);
  fixture_end(&f);
}

static int read_people(const char *path) {
  iu_error err;
  sqlite3 *db;
  int64_t people = 0;

  if (iu__jsnapshot_open(path, &db, &err) != IU_OK) {
    if (strstr(err.message, path) != NULL && strstr(err.message, "who may write it and its folder has to open it once") != NULL) return 1;
    fprintf(stderr, "%s\n", err.message);
    return 11;
  }
  if (iu__jdb_int(db, "SELECT count(*) FROM person", 0, &people, "reading", &err) != IU_OK) fprintf(stderr, "%s\n", err.message);
  sqlite3_close(db);
  return people > 0 ? 0 : 12;
}

/* What `reader` returns in a process that may not write the folder. */
static int as_reader(const fixture *f, int (*reader)(const char *path)) {
  int status;
  pid_t pid;

  assert_int_equal(chmod(f->folder, 0555), 0);
  fflush(stdout);
  pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) _exit(geteuid() == 0 && (setegid(65534) != 0 || seteuid(65534) != 0) ? 10 : reader(f->path));
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  assert_int_equal(chmod(f->folder, 0777), 0);
  return WEXITSTATUS(status);
}

/* What a reader without the right to write gets: 0 the rows, 1 the word that somebody else has to open it first. */
static int reads(const fixture *f) { return as_reader(f, read_people); }

/* The log of a process that was killed, without its index: only one who may write beside the file can read it. */
static void leave_log_alone(const char *path) {
  leave_behind(path, "PRAGMA journal_mode=WAL; UPDATE _iu_meta SET value=value+1; UPDATE _iu_meta SET value=value-1", false, "-wal");
}

/* Who may not write cannot bring in order what a killed process left; the message says who can. */
static void test_who_may_only_read_is_told_who_has_to_open_the_file(void **state) {
  fixture f;
  model m = {0};
  char beside[160];
  sqlite3 *db;
  iu_error err;

  (void)state;
  fixture_for_others(&f);
  make_universe(&f, &m, 20);
  model_free(&m);
  assert_int_equal(chmod(f.path, 0444), 0);
  assert_int_equal(reads(&f), 0);
  assert_int_equal(chmod(f.path, 0644), 0);

  leave_half_written(f.path);
  snprintf(beside, sizeof beside, "%s-journal", f.path);
  assert_int_equal(chmod(beside, 0444), 0);
  assert_int_equal(chmod(f.path, 0444), 0);
  assert_int_equal(reads(&f), 1);
  assert_int_equal(chmod(f.path, 0644), 0);
  assert_int_equal(chmod(beside, 0644), 0);
  assert_ok(iu__jsnapshot_open(f.path, &db, &err), &err); /* by one who may */
  sqlite3_close(db);
  assert_int_equal(reads(&f), 0);

  leave_log_alone(f.path);
  snprintf(beside, sizeof beside, "%s-shm", f.path);
  assert_int_equal(unlink(beside), 0);
  assert_int_equal(reads(&f), 1);
  fixture_end(&f);
}

/* 0: copied, 1: it is open elsewhere. */
static int back_up(const char *path) {
  char copy[] = "/tmp/iu_copy_XXXXXX";
  iu_backup *b = NULL;
  iu_error err;
  uint64_t done, total;
  int result = 0, fd = mkstemp(copy);

  if (fd < 0 || close(fd) != 0) return 13;
  iu_status status = iu__backup_new(path, copy, true, true, &b, &err);
  while (status == IU_OK && !iu__backup_progress(b, &done, &total)) status = iu__backup_run(b, 0, &err);
  iu__backup_free(b);
  if (status == IU_E_UNIVERSE_LOCKED) result = 1;
  else if (status == IU_OK) result = read_people(copy);
  else fprintf(stderr, "%s\n", err.message), result = 14;
  unlink(copy);
  return result;
}

/* 0: it may not be written here, 1: it is open elsewhere. */
static int open_to_write(const char *path) {
  const fixture f = {.path = ""};
  iu_journal_config c = config_for(&f);
  iu_journal *j;
  iu_error err;

  c.path = path;
  iu_status status = iu__journal_open(&c, &j, &err);
  if (status == IU_E_UNIVERSE_LOCKED) return 1;
  if (status == IU_E_STORAGE && strstr(err.message, "cannot be written") != NULL) return 0;
  fprintf(stderr, "%s\n", err.message);
  return 15;
}

/* Whose it is comes before what may be done there. */
static void test_who_may_not_write_is_told_who_has_it_open(void **state) {
  fixture f;
  model m = {0};
  iu_lock lock;
  iu_error err;

  (void)state;
  fixture_for_others(&f);
  make_universe(&f, &m, 5);
  model_free(&m);
  assert_int_equal(as_reader(&f, open_to_write), 0);
  assert_ok(iu__jlock_take(f.path, &lock, &err), &err);
  assert_int_equal(as_reader(&f, open_to_write), 1);
  iu__jlock_release(&lock, true);
  assert_int_equal(as_reader(&f, open_to_write), 0);
  fixture_end(&f);
}

/* An archive in a folder that is not ours is backed up without a lock; not one that somebody has open. */
static void test_who_may_only_read_backs_up(void **state) {
  fixture f;
  model m = {0};
  iu_lock lock;
  iu_error err;
  FILE *stale;
  char beside[160];

  (void)state;
  fixture_for_others(&f);
  make_universe(&f, &m, 20);
  model_free(&m);
  assert_int_equal(as_reader(&f, back_up), 0);
  assert_int_equal(entries_of(f.folder), 1);

  assert_ok(iu__jlock_take(f.path, &lock, &err), &err);
  assert_int_equal(as_reader(&f, back_up), 1);
  iu__jlock_release(&lock, true);

  snprintf(beside, sizeof beside, "%s.lock", f.path); /* of a process that was killed */
  stale = fopen(beside, "w");
  assert_non_null(stale);
  fputs("12345\n", stale);
  fclose(stale);
  assert_int_equal(as_reader(&f, back_up), 0);
  assert_true(file_exists(f.path, ".lock"));
  unlink(beside);
  fixture_end(&f);
}

/* ---- damage ---- */

/* The open universe's files as a crash would leave them. */
static void copy_while_open(const fixture *f, const char *to) {
  char command[1024];
  snprintf(command, sizeof command, "cp %s %s && cp %s-wal %s-wal", f->path, to, f->path, to);
  assert_int_equal(system(command), 0);
}

/* A crashed universe with three groups in its journal, of random commits from `r`, in f.path. */
static void make_crashed_from(fixture *f, model *m, random_source r) {
  iu_journal_config c = config_for(f);
  iu_journal *j;
  iu_error err;
  char copy[192], command[1024];

  c.fold_idle_ms = 3600000;
  c.flush_interval_ms = 3600000; /* a group ends where it is waited for */
  m->f = f;
  j = open_loaded(&c, f, NULL, NULL);
  for (int i = 0; i < 3; i++) {
    for (int k = 0; k < 4; k++) assert_ok(step(j, m, &r, &err), &err);
    assert_ok(iu__journal_wait(j, m->sequence, -1, &err), &err);
  }
  snprintf(copy, sizeof copy, "%s/copy", f->folder);
  copy_while_open(f, copy);
  close_ok(j);
  snprintf(command, sizeof command, "mv %s %s && mv %s-wal %s-wal", copy, f->path, copy, f->path);
  assert_int_equal(system(command), 0);
}

/* With `full` the log is longer than what was written into it. */
static void test_a_log_with_room_ahead_is_read_to_its_last_commit(void **state) {
  fixture f;
  model m = {.f = &f}, back = {.f = &f};
  random_source r = random_begin("room");
  iu_journal_recovery recovery;
  iu_journal *j;
  iu_error err;
  uint8_t *log;
  size_t len, used;
  char copy[192], name[200];

  (void)state;
  fixture_begin(&f);
  iu_journal_config c = config_for(&f);
  c.durability = IU_DUR_FULL;
  c.fold_idle_ms = 3600000;
  j = open_loaded(&c, &f, NULL, NULL);
  for (int i = 0; i < 100; i++) {
    assert_ok(step(j, &m, &r, &err), &err);
    assert_ok(iu__journal_wait(j, m.sequence, -1, &err), &err);
  }
  snprintf(copy, sizeof copy, "%s/copy", f.folder);
  snprintf(name, sizeof name, "%s-wal", copy);
  copy_while_open(&f, copy);
  close_ok(j);
  log = read_all(name, &len);
  for (used = len; used > 0 && log[used - 1] == 0; used--) {}
  assert_true(len > used + 64 * 1024 && used > 32 * 4096);
  free(log);
  c.path = copy;
  j = open_loaded(&c, &f, &back, &recovery);
  assert_int_equal(recovery.last_sequence, m.sequence);
  assert_model_equal(&back, &m);
  close_ok(j);
  model_free(&m);
  model_free(&back);
  fixture_end(&f);
}

static void make_crashed(fixture *f, model *m) { make_crashed_from(f, m, random_begin("crashed")); }

static void test_a_damaged_journal_row(void **state) {
  static const struct { const char *sql, *says; } cases[] = {
      {"UPDATE _iu_journal SET checksum = checksum + 1 WHERE first = 5", "commits 5 to 8 do not match their checksum"},
      {"UPDATE _iu_journal SET frames = substr(frames, 1, length(frames) - 1) WHERE first = 9", "commits 9 to 12 do not match"},
      {"UPDATE _iu_journal SET last = last + 1 WHERE first = 9", "commits 9 to 13 do not match"},
      {"UPDATE _iu_journal SET frames = zeroblob(length(frames)) WHERE first = 1", "commits 1 to 4 do not match"},
      {"DELETE FROM _iu_journal WHERE first = 5", "commit 5 is missing from the journal (the next one there is 9)"},
      {"DELETE FROM _iu_journal WHERE first = 1", "commit 1 is missing"},
      {"UPDATE _iu_table SET id = id + 100 WHERE name = 'tag'", "_iu_table gives `tag` an impossible id"},
      {"DELETE FROM _iu_table", "it has a table `person` that _iu_table does not list"},
      {"DELETE FROM _iu_table WHERE name = 'note'", "it has a table `note` that _iu_table does not list"},
      {"UPDATE _iu_meta SET value = 3 WHERE key = 'folded'", "commit 4 is missing"},
  };

  (void)state;
  for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
    fixture f;
    model m = {0};

    fixture_begin(&f);
    make_crashed(&f, &m);
    sql_exec(f.path, cases[i].sql);
    refused(&f, IU_E_STORAGE, cases[i].says);
    model_free(&m);
    fixture_end(&f);
  }
}

static uint64_t count_of(const char *path, const char *sql) {
  sqlite3 *db;
  sqlite3_stmt *st;
  uint64_t n;

  assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(st), SQLITE_ROW);
  n = (uint64_t)sqlite3_column_int64(st, 0);
  sqlite3_finalize(st);
  sqlite3_close(db);
  return n;
}

/* With recover_prefix: everything before the damage is there, what is left of the rest is set aside and told, and the universe goes on. */
static void test_the_commits_before_the_damage_are_kept(void **state) {
  static const struct { const char *sql, *why; uint64_t first, last, aside; } cases[] = {
      {"UPDATE _iu_journal SET checksum = checksum + 1 WHERE first = 5", "commits 5 to 8 do not match their checksum", 5, 12, 2},
      {"UPDATE _iu_journal SET frames = substr(frames, 1, length(frames) - 1) WHERE first = 9", "commits 9 to 12 do not match", 9, 12, 1},
      {"UPDATE _iu_journal SET frames = zeroblob(length(frames)) WHERE first = 1", "commits 1 to 4 do not match", 1, 12, 3},
      {"DELETE FROM _iu_journal WHERE first = 5", "commit 5 is missing from the journal", 5, 12, 1},
      {"UPDATE _iu_journal SET first = -7, last = -9 WHERE first = 1", "commit 1 is missing", 1, 12, 3},
      {"UPDATE _iu_journal SET last = 0 WHERE first = 9", "commits 9 to 0 do not match", 9, 8, 1},
  };

  (void)state;
  for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
    fixture f;
    model whole = {0}, expected, found, again;
    iu_journal_config c;
    iu_journal_recovery r;
    iu_journal *j;
    iu_error err;
    random_source source = random_begin("damaged"), more = {9};

    fixture_begin(&f);
    make_crashed_from(&f, &whole, source);
    expected = found = again = (model){.f = &f};
    c = config_for(&f);
    c.recover_prefix = true;
    sql_exec(f.path, cases[i].sql);
    j = open_loaded(&c, &f, &found, &r);
    assert_int_equal(r.lost_first, cases[i].first);
    if (r.lost_last != cases[i].last && cases[i].last > cases[i].first) fail_msg("case %u: lost to %llu", i, (unsigned long long)r.lost_last);
    assert_non_null(strstr(r.lost_why, cases[i].why));
    assert_int_equal(r.last_sequence, cases[i].first - 1);
    assert_int_equal(count_of(r.lost_file, "SELECT count(*) FROM lost"), cases[i].aside);
    while (expected.sequence < r.last_sequence) { /* the same commits again, up to the damage */
      commit again_one;
      commit_random(&again_one, &expected, &source);
      commit_apply(&again_one, &expected);
    }
    assert_model_equal(&expected, &found);
    found.sequence = r.last_sequence;
    for (int k = 0; k < 5; k++) assert_ok(step(j, &found, &more, &err), &err);
    close_ok(j);
    c.recover_prefix = false; /* nothing is damaged any more */
    j = open_loaded(&c, &f, &again, &r);
    assert_int_equal(r.lost_first, 0);
    assert_model_equal(&found, &again);
    close_ok(j);
    model_free(&whole);
    model_free(&expected);
    model_free(&found);
    model_free(&again);
    fixture_end(&f);
  }
}

static void test_a_damaged_row_of_a_table(void **state) {
  static const struct { const char *sql, *says; } cases[] = {
      {"UPDATE person SET _row = substr(_row, 1, length(_row) - 1) WHERE rowid = (SELECT min(rowid) FROM person)", "a row of table `person`"},
      {"UPDATE person SET _row = _row || x'00' WHERE rowid = (SELECT min(rowid) FROM person)", "a row of table `person`"},
      {"UPDATE person SET _row = 'text'", "a row of table `person` is no blob"},
      {"UPDATE _iu_sequence SET sequence = 9", "_iu_sequence names an unknown"},
      {"UPDATE _iu_sequence SET table_id = 99", "_iu_sequence names an unknown"},
      {"DROP TABLE tag", "no such table: tag"},
      {"DROP TABLE _iu_journal", "no such table: _iu_journal"},
      {"PRAGMA user_version = 0", "its format is 0"},
  };

  (void)state;
  for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
    fixture f;
    model m = {0};

    fixture_begin(&f);
    make_universe(&f, &m, 200);
    sql_exec(f.path, cases[i].sql);
    refused(&f, IU_E_STORAGE, cases[i].says);
    model_free(&m);
    fixture_end(&f);
  }
}

static void test_a_truncated_file(void **state) {
  fixture f;
  model m = {0};
  uint8_t *bytes;
  size_t len;

  (void)state;
  fixture_begin(&f);
  make_universe(&f, &m, 300);
  bytes = read_all(f.path, &len);
  assert_true(len > 3 * 4096);
  write_all(f.path, bytes, len - 4096);
  refused(&f, IU_E_STORAGE, "the file is damaged");
  write_all(f.path, bytes, 4096);
  refused(&f, IU_E_STORAGE, "the file is damaged");
  write_all(f.path, bytes, 99);
  refused(&f, IU_E_STORAGE, "not an SQLite database");
  free(bytes);
  model_free(&m);
  fixture_end(&f);
}

/* Random bytes overwritten: never a crash, and either everything is there or an error is reported and the file untouched. Which of both cannot
 * be said beforehand: a flipped bit may hit unused space, or a text inside a row. */
static void test_random_damage_never_crashes(void **state) {
  fixture f;
  random_source r;
  model m = {0};
  uint8_t *bytes, *copy;
  size_t len;
  int reported = 0;

  (void)state;
  fixture_begin(&f);
  make_universe(&f, &m, 400);
  r = random_begin("damage");
  bytes = read_all(f.path, &len);
  copy = malloc(len);
  for (int i = 0; i < DAMAGES; i++) {
    iu_journal_config c = config_for(&f);
    iu_journal *j = NULL;
    iu_journal_recovery recovery;
    model back = {.f = &f};
    iu_error err;
    iu_status status;
    size_t hits = 1 + random_below(&r, 8);

    memcpy(copy, bytes, len);
    for (size_t k = 0; k < hits; k++) copy[random_below(&r, len)] ^= (uint8_t)(1u << random_below(&r, 8));
    if (i % 3 == 0) memset(copy + 4096 * random_below(&r, len / 4096), (int)random_below(&r, 256), 4096);
    write_all(f.path, copy, len);
    status = iu__journal_open(&c, &j, &err);
    if (status == IU_OK) {
      status = load_model(j, &back, &recovery, &err);
      iu__journal_close(j, NULL);
    }
    if (status != IU_OK) {
      size_t after_len;
      uint8_t *after = read_all(f.path, &after_len);
      reported++;
      assert_true(status == IU_E_STORAGE || status == IU_E_MIGRATION);
      assert_true(err.message[0] != '\0');
      assert_int_equal(after_len, len);
      assert_memory_equal(after, copy, len);
      free(after);
    }
    model_free(&back);
    assert_false(file_exists(f.path, ".lock"));
  }
  printf("%d of %d reported\n", reported, DAMAGES);
  assert_true(reported > 5);
  free(bytes);
  free(copy);
  model_free(&m);
  fixture_end(&f);
}

/* Frames that a checksum vouches for, and that are nonsense all the same: the decoder and the fold trust nothing. */
static void put_group(const char *path, const uint8_t *bytes, size_t len) {
  sqlite3 *db;
  sqlite3_stmt *st;

  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, "PRAGMA synchronous=OFF", NULL, NULL, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(db, "UPDATE _iu_journal SET frames = ?1, checksum = ?2 WHERE first = 1", -1, &st, NULL), SQLITE_OK);
  sqlite3_bind_blob(st, 1, bytes, (int)len, SQLITE_STATIC);
  sqlite3_bind_int64(st, 2, (sqlite3_int64)iu__hash64(bytes, len));
  assert_int_equal(sqlite3_step(st), SQLITE_DONE);
  sqlite3_finalize(st);
  sqlite3_close(db);
}

static size_t get_group(const char *path, uint8_t *out, size_t cap) {
  sqlite3 *db;
  sqlite3_stmt *st;
  size_t len;

  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(db, "SELECT frames FROM _iu_journal WHERE first = 1", -1, &st, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(st), SQLITE_ROW);
  len = (size_t)sqlite3_column_bytes(st, 0);
  assert_true(len <= cap);
  memcpy(out, sqlite3_column_blob(st, 0), len);
  sqlite3_finalize(st);
  sqlite3_close(db);
  return len;
}

static void test_hostile_frames(void **state) {
  fixture f;
  random_source r = random_begin("frames");
  model m = {0};
  uint8_t group[8192], changed[8192], *whole;
  size_t group_len, whole_len;
  int reported = 0, taken = 0;

  (void)state;
  fixture_begin(&f);
  make_crashed(&f, &m);
  group_len = get_group(f.path, group, sizeof group); /* SQLite copies the log into the file */
  whole = read_all(f.path, &whole_len);
  for (int i = 0; i < 120; i++) {
    iu_journal_config c = config_for(&f);
    iu_journal *j = NULL;
    iu_journal_recovery recovery;
    model back = {.f = &f};
    iu_error err;
    iu_status status;
    size_t len = group_len;

    memcpy(changed, group, group_len);
    for (uint64_t k = 1 + random_below(&r, 3); k > 0; k--) {
      size_t at = 16 + random_below(&r, group_len - 16); /* first and last sequence stay */
      changed[at] = random_below(&r, 2) ? (uint8_t)random_next(&r) : (uint8_t)(changed[at] ^ 1u << random_below(&r, 8));
    }
    if (i % 5 == 0) len = 16 + random_below(&r, group_len - 16);
    write_all(f.path, whole, whole_len);
    put_group(f.path, changed, len);
    status = iu__journal_open(&c, &j, &err);
    if (status == IU_OK) status = load_model(j, &back, &recovery, &err);
    if (status == IU_OK) taken++;
    else {
      assert_int_equal(status, IU_E_STORAGE);
      assert_says(&err, "the file is damaged");
      reported++;
    }
    if (j != NULL) iu__journal_close(j, NULL); /* folds what was taken */
    model_free(&back);
  }
  printf("%d reported, %d taken\n", reported, taken);
  assert_true(reported > 20);
  free(whole);
  model_free(&m);
  fixture_end(&f);
}

static void test_damage_found_after_a_crash_leaves_the_log(void **state) {
  fixture f;
  model m = {0};
  uint8_t *before, *after;
  size_t before_len, after_len;
  char wal[256];
  iu_journal_config c;
  iu_journal *j;
  iu_journal_recovery recovery;
  model back = {0};
  iu_error err;
  random_source r = random_begin("log");
  char copy[192];

  (void)state;
  fixture_begin(&f);
  m.f = back.f = &f;
  c = config_for(&f);
  c.fold_bytes = 0;
  j = open_loaded(&c, &f, NULL, NULL);
  for (int i = 0; i < 100; i++) assert_ok(step(j, &m, &r, &err), &err);
  assert_ok(iu__journal_fold(j, -1, &err), &err);
  snprintf(copy, sizeof copy, "%s/copy", f.folder);
  copy_while_open(&f, copy);
  close_ok(j);
  /* The copy's tables are in the log only; damage there cuts the log short: SQLite then sees an earlier state, which is whole. */
  snprintf(wal, sizeof wal, "%s-wal", copy);
  before = read_all(wal, &before_len);
  c.path = copy;
  {
    sqlite3 *db; /* a wrong row, written by another program that did not get to copy the log either */
    int off = 1;
    assert_int_equal(sqlite3_open(copy, &db), SQLITE_OK);
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, &off);
    assert_int_equal(sqlite3_exec(db, "UPDATE person SET _row = x'ff'", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
  }
  free(before);
  before = read_all(wal, &before_len);
  assert_ok(iu__journal_open(&c, &j, &err), &err);
  assert_int_equal(load_model(j, &back, &recovery, &err), IU_E_STORAGE);
  assert_says(&err, "a row of table `person`");
  close_ok(j);
  after = read_all(wal, &after_len);
  assert_int_equal(before_len, after_len);
  assert_memory_equal(before, after, before_len);
  free(before);
  free(after);
  model_free(&m);
  model_free(&back);
  fixture_end(&f);
}

/* SQLite reads the schema with its first statement already, so the first refusal may come before anything was set. */
static void test_a_damaged_schema_after_a_crash_leaves_the_log(void **state) {
  fixture f;
  model m = {0};
  iu_journal_config c;
  iu_journal *j = NULL;
  iu_error err;
  uint8_t *file, *log, *now;
  size_t file_len, log_len, now_len;
  char wal[192];

  (void)state;
  fixture_begin(&f);
  make_crashed(&f, &m);
  snprintf(wal, sizeof wal, "%s-wal", f.path);
  file = read_all(f.path, &file_len);
  log = read_all(wal, &log_len);
  assert_true(log_len > 0);
  memset(file + 100, 0, 4096 - 100); /* the schema's page, but for the header */
  write_all(f.path, file, file_len);
  memset(log, 0, 32); /* a log without a head says nothing, and is not to be thrown away for it */
  write_all(wal, log, log_len);
  c = config_for(&f);
  assert_int_equal(iu__journal_open(&c, &j, &err), IU_E_STORAGE);
  assert_null(j);
  now = read_all(f.path, &now_len);
  assert_int_equal(now_len, file_len);
  assert_memory_equal(now, file, file_len);
  free(now);
  now = read_all(wal, &now_len);
  assert_int_equal(now_len, log_len);
  assert_memory_equal(now, log, log_len);
  free(now);
  free(log);
  free(file);
  model_free(&m);
  fixture_end(&f);
}

/* ---- the lock ---- */

static void test_a_second_opener_is_told_who_has_it(void **state) {
  fixture f;
  iu_journal_config c, by_link;
  iu_journal *j, *second = NULL;
  iu_error err;
  char text[64], link[192];
  int status;
  pid_t pid;

  (void)state;
  fixture_begin(&f);
  c = config_for(&f);
  j = open_loaded(&c, &f, NULL, NULL);
  snprintf(text, sizeof text, "%ld", (long)getpid());
  assert_int_equal(iu__journal_open(&c, &second, &err), IU_E_UNIVERSE_LOCKED);
  assert_null(second);
  assert_says(&err, text);
  assert_says(&err, "this process");
  snprintf(link, sizeof link, "%s/link", f.folder);
  assert_int_equal(symlink(f.path, link), 0);
  by_link = c;
  by_link.path = link;
  assert_int_equal(iu__journal_open(&by_link, &second, &err), IU_E_UNIVERSE_LOCKED);
  snprintf(link, sizeof link, "%s/hard", f.folder);
  assert_int_equal(linkat(AT_FDCWD, f.path, AT_FDCWD, link, 0), 0);
  assert_int_equal(iu__journal_open(&by_link, &second, &err), IU_E_UNIVERSE_LOCKED);
  assert_says(&err, "already open in this process");
  assert_says(&err, f.path);
  fflush(stdout);
  pid = fork();
  if (pid == 0) {
    bool right = iu__journal_open(&c, &second, &err) == IU_E_UNIVERSE_LOCKED && strstr(err.message, text) != NULL &&
                 strstr(err.message, "is open in process") != NULL;
    /* The copy of the parent's journal that a fork leaves in the child does nothing to the file. */
    right = right && iu__journal_wait(j, 0, -1, &err) == IU_E_STORAGE && iu__journal_close(j, &err) == IU_E_STORAGE;
    _exit(right ? 0 : 1);
  }
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_int_equal(status, 0);
  assert_true(file_exists(f.path, ".lock"));
  close_ok(j);
  assert_false(file_exists(f.path, ".lock"));
  close_ok(open_loaded(&by_link, &f, NULL, NULL)); /* once the other name is closed */
  assert_int_equal(unlink(link), 0);
  close_ok(open_loaded(&by_link, &f, NULL, NULL));
  fixture_end(&f);
}

static void test_a_dead_holders_lock_is_free(void **state) {
  fixture f;
  iu_journal_config c;
  char lock[192];

  (void)state;
  fixture_begin(&f);
  c = config_for(&f);
  snprintf(lock, sizeof lock, "%s.lock", f.path);
  write_all(lock, "999999\n", 7);
  close_ok(open_loaded(&c, &f, NULL, NULL));
  write_all(lock, "", 0);
  close_ok(open_loaded(&c, &f, NULL, NULL));
  assert_false(file_exists(f.path, ".lock"));
  fixture_end(&f);
}

static void test_another_programs_file_is_no_lock(void **state) {
  fixture f;
  iu_journal_config c;
  iu_journal *j;
  iu_error err;
  char lock[192];
  uint8_t *bytes;
  size_t len;

  (void)state;
  fixture_begin(&f);
  c = config_for(&f);
  snprintf(lock, sizeof lock, "%s.lock", f.path);
  write_all(lock, "{ \"packages\": 12 }", 18);
  assert_int_equal(iu__journal_open(&c, &j, &err), IU_E_STORAGE);
  assert_says(&err, "is not the lock file of a universe");
  bytes = read_all(lock, &len);
  assert_int_equal(len, 18);
  free(bytes);
  assert_false(file_exists(f.path, ""));
  fixture_end(&f);
}

/* Many processes open and close one file at once: one at a time has it, whoever closed removes the lock under the others. */
static void test_lock_race(void **state) {
  enum { PROCESSES = 6, TURNS = 20 };
  fixture f;
  pid_t pids[PROCESSES];
  char inside[192];

  (void)state;
  fixture_begin(&f);
  snprintf(inside, sizeof inside, "%s/inside", f.folder);
  fflush(stdout);
  for (int i = 0; i < PROCESSES; i++) {
    pids[i] = fork();
    if (pids[i] != 0) continue;
    for (int turn = 0; turn < TURNS;) {
      iu_journal_config c = config_for(&f);
      iu_journal *j;
      iu_error err;
      iu_status status = iu__journal_open(&c, &j, &err);
      if (status == IU_E_UNIVERSE_LOCKED) continue;
      if (status != IU_OK) {
        fprintf(stderr, "%s\n", err.message);
        _exit(1);
      }
      if (mkdir(inside, 0700) != 0) _exit(2); /* someone else is inside too */
      if (rmdir(inside) != 0) _exit(3);
      if (iu__journal_close(j, &err) != IU_OK) _exit(4);
      turn++;
    }
    _exit(0);
  }
  for (int i = 0; i < PROCESSES; i++) {
    int status;
    assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
    assert_int_equal(status, 0);
  }
  assert_int_equal(entries_of(f.folder), 1);
  fixture_end(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_foreign_files),
      cmocka_unit_test(test_a_newer_format),
      cmocka_unit_test(test_an_empty_file_becomes_a_universe),
      cmocka_unit_test(test_paths_that_cannot_be),
      cmocka_unit_test(test_read_only_folder_and_file),
      cmocka_unit_test(test_a_log_without_its_file),
      cmocka_unit_test(test_a_write_left_half_done_is_undone_by_readers),
      cmocka_unit_test(test_who_may_not_write_is_told_who_has_it_open),
      cmocka_unit_test(test_who_may_only_read_backs_up),
      cmocka_unit_test(test_who_may_only_read_is_told_who_has_to_open_the_file),
      cmocka_unit_test(test_a_log_with_room_ahead_is_read_to_its_last_commit),
      cmocka_unit_test(test_a_damaged_journal_row),
      cmocka_unit_test(test_the_commits_before_the_damage_are_kept),
      cmocka_unit_test(test_a_damaged_row_of_a_table),
      cmocka_unit_test(test_a_truncated_file),
      cmocka_unit_test(test_random_damage_never_crashes),
      cmocka_unit_test(test_hostile_frames),
      cmocka_unit_test(test_damage_found_after_a_crash_leaves_the_log),
      cmocka_unit_test(test_a_damaged_schema_after_a_crash_leaves_the_log),
      cmocka_unit_test(test_a_second_opener_is_told_who_has_it),
      cmocka_unit_test(test_a_dead_holders_lock_is_free),
      cmocka_unit_test(test_another_programs_file_is_no_lock),
      cmocka_unit_test(test_lock_race),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
