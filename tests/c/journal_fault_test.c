/* journal_fault_test.c: writes, syncs, folds and allocations that fail; full disks. A failure is final, said in words, names the commits that were
 * applied but not saved, and takes nothing of what was durable. */
#include "journal_vfs.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "../../core/base/errinj.h"

typedef struct world { fixture f; random_source r; model m; iu_journal_config c; iu_journal *j; } world;

static void world_begin(world *w, const char *what) {
  memset(w, 0, sizeof *w);
  w->r = random_begin(what);
  fixture_begin(&w->f);
  w->m.f = &w->f;
  w->c = config_for(&w->f);
  w->c.fold_idle_ms = 3600000;
  w->j = open_loaded(&w->c, &w->f, NULL, NULL);
}

static void world_end(world *w) {
  model_free(&w->m);
  fixture_end(&w->f);
}

static void steps(world *w, int n) {
  iu_error err;
  for (int i = 0; i < n; i++) assert_ok(step(w->j, &w->m, &w->r, &err), &err);
}

static void saved(world *w) {
  iu_error err;
  assert_ok(iu__journal_wait(w->j, w->m.sequence, -1, &err), &err);
}

/* The file holds the state after `sequence` commits of the world's seed. */
static void assert_file_holds(world *w, random_source from, uint64_t sequence) {
  model then = {.f = &w->f}, back = {.f = &w->f};
  iu_journal_recovery recovery;

  while (then.sequence < sequence) {
    commit c;
    commit_random(&c, &then, &from);
    commit_apply(&c, &then);
  }
  w->j = open_loaded(&w->c, &w->f, &back, &recovery);
  assert_int_equal(recovery.last_sequence, sequence);
  assert_model_equal(&then, &back);
  model_free(&then);
  model_free(&back);
  close_ok(w->j);
}

/* Every call on a failed journal says the same. */
static void assert_failed_for_good(world *w, const char *lost, const char *cause) {
  iu_error err;
  iu_status failed;
  iu_journal_stats stats;

  assert_int_equal(step(w->j, &w->m, &w->r, &err), IU_E_STORAGE);
  assert_says(&err, lost);
  assert_says(&err, cause);
  assert_int_equal(iu__journal_ready(w->j, 1, &err), IU_E_STORAGE);
  iu__journal_durable(w->j, &failed, &err);
  assert_int_equal(failed, IU_E_STORAGE);
  assert_says(&err, lost);
  iu__journal_hurry(w->j);
  iu__journal_get_stats(w->j, &stats);
  assert_true(stats.failed);
  assert_int_equal(stats.pending_bytes, 0);
  assert_int_equal(iu__journal_close(w->j, &err), IU_E_STORAGE);
  assert_says(&err, lost);
  assert_says(&err, cause);
  assert_false(file_exists(w->f.path, ".lock"));
}

static void write_fails(iu_errinj_point point, const char *cause, bool held) {
  world w;
  random_source start;
  iu_error err;

  world_begin(&w, "write");
  start = w.r;
  w.c.durability = IU_DUR_FULL;
  steps(&w, 10);
  saved(&w);
  iu__errinj_arm(point, 0);
  if (held) iu__journal_hold(w.j, true);
  steps(&w, 1);
  assert_int_equal(iu__journal_wait(w.j, 11, -1, &err), IU_E_STORAGE);
  if (held) iu__journal_hold(w.j, false);
  assert_says(&err, "commits 11 to 11 were applied but not saved");
  assert_says(&err, w.f.path);
  assert_int_equal(iu__journal_durable(w.j, NULL, NULL), 10);
  assert_ok(iu__journal_wait(w.j, 10, -1, &err), &err);
  assert_int_equal(iu__journal_fold(w.j, -1, &err), IU_E_STORAGE);
  assert_failed_for_good(&w, "commits 11 to 11 were applied but not saved", cause);
  iu__errinj_arm(point, -1);
  assert_file_holds(&w, start, 10);
  world_end(&w);
}

static void test_a_write_fails(void **state) { (void)state; write_fails(IU_ERRINJ_JOURNAL_WRITE, "disk I/O error", false); }
static void test_a_sync_fails(void **state) { (void)state; write_fails(IU_ERRINJ_JOURNAL_FSYNC, "disk I/O error", false); }
static void test_a_write_of_the_waiting_thread_fails(void **state) { (void)state; write_fails(IU_ERRINJ_JOURNAL_WRITE, "disk I/O error", true); }
static void test_a_sync_of_the_waiting_thread_fails(void **state) { (void)state; write_fails(IU_ERRINJ_JOURNAL_FSYNC, "disk I/O error", true); }

static void test_a_fold_fails(void **state) {
  world w;
  random_source start;
  iu_error err;

  (void)state;
  world_begin(&w, "fold");
  start = w.r;
  steps(&w, 10);
  saved(&w);
  iu__errinj_arm(IU_ERRINJ_JOURNAL_FOLD, 0);
  assert_int_equal(iu__journal_fold(w.j, -1, &err), IU_E_STORAGE);
  assert_says(&err, "cannot be written any more (everything committed is saved)");
  assert_failed_for_good(&w, "everything committed is saved", "folding the journal");
  iu__errinj_arm(IU_ERRINJ_JOURNAL_FOLD, -1);
  assert_file_holds(&w, start, 10);
  world_end(&w);
}

static void test_the_last_write_of_a_close_fails(void **state) {
  world w;
  random_source start;
  iu_error err;

  (void)state;
  world_begin(&w, "close");
  start = w.r;
  steps(&w, 10);
  saved(&w);
  assert_ok(iu__journal_fold(w.j, -1, &err), &err);
  iu__errinj_arm(IU_ERRINJ_JOURNAL_FSYNC, 0);
  assert_int_equal(iu__journal_close(w.j, &err), IU_E_STORAGE);
  assert_says(&err, "everything committed is saved");
  iu__errinj_arm(IU_ERRINJ_JOURNAL_FSYNC, -1);
  assert_file_holds(&w, start, 10);
  world_end(&w);
}

/* A disk that loses pages on a failed sync and says so once: nothing may be acknowledged on the strength of a later sync. */
static void test_a_failed_sync_is_not_tried_again(void **state) {
  world w;
  random_source start;
  iu_error err;
  long syncs;

  (void)state;
  vfs_install();
  world_begin(&w, "fsync once");
  start = w.r;
  steps(&w, 20);
  saved(&w);
  pthread_mutex_lock(&vfs.mutex);
  vfs.fail_sync_in = 1;
  vfs.fail_code = SQLITE_IOERR_FSYNC;
  pthread_mutex_unlock(&vfs.mutex);
  steps(&w, 5);
  assert_int_equal(iu__journal_wait(w.j, w.m.sequence, -1, &err), IU_E_STORAGE);
  assert_says(&err, "commits 21 to 25");
  syncs = vfs_syncs(w.f.path, "-wal");
  assert_failed_for_good(&w, "commits 21 to 25 were applied but not saved", "disk I/O error");
  assert_int_equal(vfs_syncs(w.f.path, "-wal"), syncs);
  assert_int_equal(vfs_syncs(w.f.path, ""), vfs_syncs(w.f.path, ""));
  /* What the disk has after losing power now. */
  vfs.path = w.f.path;
  pthread_mutex_lock(&vfs.mutex);
  vfs_images();
  pthread_mutex_unlock(&vfs.mutex);
  vfs_restore(w.f.path);
  vfs_uninstall();
  {
    model back = {.f = &w.f};
    iu_journal_recovery recovery;
    close_ok(open_loaded(&w.c, &w.f, &back, &recovery));
    assert_true(recovery.last_sequence >= 20);
    model_free(&back);
    assert_file_holds(&w, start, recovery.last_sequence);
  }
  world_end(&w);
}

static void test_a_full_disk(void **state) {
  (void)state;
  for (long at = 1; at < 40; at += 3) {
    world w;
    random_source start;
    iu_error err;
    uint64_t durable;
    iu_status status;

    vfs_install();
    world_begin(&w, "full");
    start = w.r;
    w.c.fold_bytes = 0;
    steps(&w, 5);
    saved(&w);
    pthread_mutex_lock(&vfs.mutex);
    vfs.fail_write_in = at;
    vfs.fail_code = SQLITE_FULL;
    pthread_mutex_unlock(&vfs.mutex);
    do {
      status = step(w.j, &w.m, &w.r, &err);
      if (status == IU_OK) status = iu__journal_wait(w.j, w.m.sequence, -1, &err);
      if (status == IU_OK) status = iu__journal_fold(w.j, -1, &err);
    } while (status == IU_OK);
    assert_int_equal(status, IU_E_STORAGE);
    assert_says(&err, "the disk is full");
    durable = iu__journal_durable(w.j, NULL, NULL);
    assert_true(durable >= 5);
    assert_int_equal(iu__journal_close(w.j, &err), IU_E_STORAGE);
    pthread_mutex_lock(&vfs.mutex);
    vfs.fail_write_in = 0;
    pthread_mutex_unlock(&vfs.mutex);
    vfs_uninstall();
    assert_file_holds(&w, start, durable);
    world_end(&w);
  }
}

static void test_no_room_to_create_leaves_nothing(void **state) {
  (void)state;
  for (long at = 1; at < 30; at++) {
    fixture f;
    iu_journal_config c;
    iu_journal *j;
    iu_error err;
    iu_status status;

    vfs_install();
    fixture_begin(&f);
    c = config_for(&f);
    vfs.fail_write_in = at;
    vfs.fail_code = SQLITE_FULL;
    status = iu__journal_open(&c, &j, &err);
    if (status == IU_OK) {
      close_ok(j); /* fewer writes than that */
    } else {
      assert_int_equal(status, IU_E_STORAGE);
      assert_says(&err, "creating the file: the disk is full");
      assert_false(file_exists(f.path, ""));
      assert_false(file_exists(f.path, ".iu-new"));
      assert_false(file_exists(f.path, ".lock"));
    }
    vfs_uninstall();
    fixture_end(&f);
  }
}

/* ---- the system's own limits, each in a child ---- */

/* Commits until the system refuses; 0 when that was reported as it should be and a reopened file holds what was durable. */
static int fill_up(const char *folder, bool limit_size) {
  fixture f;
  model m = {0}, back = {0};
  random_source r = {12345}, again = {12345};
  iu_journal_config c;
  iu_journal *j;
  iu_journal_recovery recovery;
  iu_error err;
  iu_status status = IU_OK;
  uint64_t durable;
  struct rlimit limit = {512 << 10, RLIM_INFINITY};
  char text[160];

  setenv("TMPDIR", folder, 1);
  fixture_begin(&f);
  m.f = back.f = &f;
  c = config_for(&f);
  c.fold_idle_ms = 3600000;
  if (iu__journal_open(&c, &j, &err) != IU_OK || load_model(j, &back, &recovery, &err) != IU_OK) return 2;
  if (limit_size && setrlimit(RLIMIT_FSIZE, &limit) != 0) return 3;
  for (int i = 0; i < 1000000 && status == IU_OK; i++) status = step(j, &m, &r, &err);
  if (status != IU_E_STORAGE || strstr(err.message, "applied but not saved") == NULL) return 4;
  if (strstr(err.message, limit_size ? "File too large" : "the disk is full") == NULL) {
    fprintf(stderr, "%s\n", err.message);
    return 5;
  }
  durable = iu__journal_durable(j, NULL, NULL);
  if (iu__journal_close(j, &err) != IU_E_STORAGE) return 6;
  limit.rlim_cur = RLIM_INFINITY;
  if (limit_size) setrlimit(RLIMIT_FSIZE, &limit);
  else if (mount("none", folder, "tmpfs", MS_REMOUNT, "size=64m") != 0) return 7;
  if (iu__journal_open(&c, &j, &err) != IU_OK || load_model(j, &back, &recovery, &err) != IU_OK) return 8;
  if (recovery.last_sequence < durable) return 9;
  model_free(&m);
  m = (model){.f = &f};
  while (m.sequence < recovery.last_sequence) {
    commit one;
    commit_random(&one, &m, &again);
    commit_apply(&one, &m);
  }
  if (model_difference(&m, &back, text) != NULL) return 10;
  if (iu__journal_close(j, &err) != IU_OK) return 11;
  model_free(&m);
  model_free(&back);
  fixture_end(&f);
  return 0;
}

static int child_status(pid_t pid) {
  int status;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  return WEXITSTATUS(status);
}

static void test_a_file_size_limit(void **state) {
  pid_t pid;
  (void)state;
  fflush(stdout);
  pid = fork();
  if (pid == 0) _exit(fill_up("/tmp", true));
  assert_int_equal(child_status(pid), 0);
}

static void test_a_really_full_disk(void **state) {
  pid_t pid;
  int status;
  (void)state;
  fflush(stdout);
  pid = fork();
  if (pid == 0) {
    char folder[] = "/tmp/iu-full-XXXXXX";
    if (mkdtemp(folder) == NULL) _exit(20);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", folder, "tmpfs", 0, "size=2m") != 0) {
      rmdir(folder);
      _exit(77);
    }
    status = fill_up(folder, false);
    umount(folder);
    rmdir(folder);
    _exit(status);
  }
  status = child_status(pid);
  if (status == 77) skip(); /* needs the right to mount */
  assert_int_equal(status, 0);
}

/* ---- memory ---- */

#define PREPARED 24

typedef struct prepared { commit commits[PREPARED]; } prepared;

/* The model after `count` of them is not kept: rows must live until the end. */
static void prepare(prepared *p, const fixture *f, random_source *r) {
  model m = {.f = f};
  for (int i = 0; i < PREPARED; i++) {
    commit copy;
    commit_random(&p->commits[i], &m, r);
    copy = p->commits[i];
    for (uint32_t k = 0; k < copy.set.count; k++) {
      const iu_row *o = copy.changes[k].old_row, *n = copy.changes[k].new_row;
      if (o != NULL) copy.changes[k].old_row = row_copy(o->data, o->len);
      if (n != NULL) copy.changes[k].new_row = row_copy(n->data, n->len);
    }
    commit_apply(&copy, &m);
  }
  model_free(&m);
}

/* Everything once, with the n-th allocation failing. Gives whether that was ever reached; *appended: commits taken. */
static bool run_with_fault(const iu_journal_config *c, const fixture *f, prepared *p, long n, int *appended, bool *all_saved) {
  iu_journal *j = NULL;
  iu_journal_recovery recovery;
  model m = {.f = f};
  iu_error err;
  iu_status status;
  bool reached;

  *appended = 0;
  *all_saved = false;
  iu__errinj_arm(IU_ERRINJ_ALLOC, n);
  status = iu__journal_open(c, &j, &err);
  if (status == IU_OK) status = load_model(j, &m, &recovery, &err);
  for (int i = 0; i < PREPARED && status == IU_OK; i++) {
    uint64_t seq;
    p->commits[i].set.changes = p->commits[i].changes;
    status = iu__journal_ready(j, 3000, &err);
    if (status == IU_OK) status = commit_append(&p->commits[i], j, &seq, &err);
    if (status == IU_OK) *appended = i + 1;
    if (status == IU_OK && i % 8 == 7) {
      status = iu__journal_fold(j, -1, &err);
      if (status == IU_E_NOMEM) status = iu__journal_fold(j, -1, &err); /* a fold without memory may be asked for again */
    }
  }
  if (status != IU_OK && status != IU_E_NOMEM) fail_msg("allocation %ld: %s", n, err.message);
  if (j != NULL) {
    iu_status closed = iu__journal_close(j, &err);
    if (closed != IU_OK) fail_msg("allocation %ld: close: %s", n, err.message);
    *all_saved = closed == IU_OK;
  }
  reached = iu__errinj_count(IU_ERRINJ_ALLOC) > n;
  iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
  model_free(&m);
  return reached;
}

static void test_every_allocation_fails_once(void **state) {
  random_source r = random_begin("memory");
  bool reached = true;
  long n = 0;

  (void)state;
  for (; reached; n++) {
    fixture f;
    prepared p;
    model expected = {0}, back = {0};
    iu_journal_config c;
    int appended;
    bool all_saved;

    fixture_begin(&f);
    expected.f = back.f = &f;
    prepare(&p, &f, &r);
    c = config_for(&f);
    c.fold_idle_ms = 3600000;
    reached = run_with_fault(&c, &f, &p, n, &appended, &all_saved);
    close_ok(open_loaded(&c, &f, &back, NULL));
    for (int i = 0; i < PREPARED; i++) {
      p.commits[i].set.changes = p.commits[i].changes;
      if (i < appended) {
        commit_apply(&p.commits[i], &expected);
        continue;
      }
      for (uint32_t k = 0; k < p.commits[i].set.count; k++) {
        free((void *)p.commits[i].changes[k].old_row);
        free((void *)p.commits[i].changes[k].new_row);
      }
    }
    if (all_saved) assert_model_equal(&expected, &back);
    model_free(&expected);
    model_free(&back);
    fixture_end(&f);
  }
  printf("%ld allocations\n", n - 1);
  assert_true(n > 20);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_write_fails),
      cmocka_unit_test(test_a_sync_fails),
      cmocka_unit_test(test_a_write_of_the_waiting_thread_fails),
      cmocka_unit_test(test_a_sync_of_the_waiting_thread_fails),
      cmocka_unit_test(test_a_fold_fails),
      cmocka_unit_test(test_the_last_write_of_a_close_fails),
      cmocka_unit_test(test_a_failed_sync_is_not_tried_again),
      cmocka_unit_test(test_a_full_disk),
      cmocka_unit_test(test_no_room_to_create_leaves_nothing),
      cmocka_unit_test(test_a_file_size_limit),
      cmocka_unit_test(test_a_really_full_disk),
      cmocka_unit_test(test_every_allocation_fails_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
