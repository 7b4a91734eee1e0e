/* journal_power_test.c: what a power loss leaves. SQLite runs over a simulated disk (journal_vfs.h) that forgets, tears or keeps whatever was
 * not synced; commits that were reported durable must be in the file, and nothing half. */
#include "journal_vfs.h"

#include <time.h>

#include "../../core/journal/backup.h"
#include "../../core/journal/check.h"

#define SNAPSHOTS 150

static void sleep_us(long us) { nanosleep(&(struct timespec){0, us * 1000}, NULL); }

static void model_copy(model *to, const model *from) {
  *to = *from;
  to->rows = calloc(from->count + 1, sizeof *to->rows);
  to->cap = from->count + 1;
  for (uint32_t i = 0; i < from->count; i++)
    to->rows[i] = (model_row){from->rows[i].table, row_copy(from->rows[i].row->data, from->rows[i].row->len)};
}

static void advance(model *m, random_source *r, uint64_t to) {
  while (m->sequence < to) {
    commit c;
    commit_random(&c, m, r);
    commit_apply(&c, m);
  }
}

/* Loads the snapshot and compares with the model at its sequence; `behind` trails at what was durable. */
static void check_snapshot(const fixture *f, const iu_journal_config *config, model *behind, random_source *behind_r) {
  iu_journal_config c = *config;
  char copy[256];
  iu_journal *j;
  iu_journal_recovery recovery;
  model back = {.f = f}, then;
  random_source r;
  iu_error err;

  snprintf(copy, sizeof copy, "%s/copy.universe", f->folder);
  vfs_restore(copy);
  c.path = copy;
  c.wake = NULL;
  assert_ok(iu__journal_open(&c, &j, &err), &err);
  assert_ok(load_model(j, &back, &recovery, &err), &err);
  if (recovery.last_sequence < vfs.durable_at_snapshot)
    fail_msg("%llu was durable, the disk has %llu", (unsigned long long)vfs.durable_at_snapshot, (unsigned long long)recovery.last_sequence);
  advance(behind, behind_r, vfs.durable_at_snapshot);
  model_copy(&then, behind);
  r = *behind_r;
  advance(&then, &r, recovery.last_sequence);
  assert_model_equal(&then, &back);
  model_free(&then);
  model_free(&back);
  close_ok(j);
  assert_sql(copy, "PRAGMA integrity_check", "ok");
  for (int i = 0; i < 3; i++) {
    char path[512];
    snprintf(path, sizeof path, "%s%s", copy, vfs.images[i].suffix);
    remove(path);
  }
}

static void remember_durable(iu_journal *j) {
  uint64_t durable = iu__journal_durable(j, NULL, NULL);
  pthread_mutex_lock(&vfs.mutex);
  vfs.reported = durable;
  pthread_mutex_unlock(&vfs.mutex);
}

static bool taken(void) {
  bool yes;
  pthread_mutex_lock(&vfs.mutex);
  yes = vfs.taken;
  pthread_mutex_unlock(&vfs.mutex);
  return yes;
}

static iu_status no_finding(void *ud, bool warning, const char *table, const char *message) {
  (void)ud, (void)table;
  if (!warning) fail_msg("a finished backup: %s", message);
  return IU_OK;
}

/* A slice of a backup that goes on beside everything else; a finished one is whole, and another begins. */
static void back_up_some(const fixture *f, iu_backup **b) {
  char target[256];
  uint64_t done, total;
  iu_check_counts n;
  iu_error err;

  snprintf(target, sizeof target, "%s/backup.universe", f->folder);
  if (*b == NULL) assert_ok(iu__backup_new(f->path, target, false, true, b, &err), &err);
  assert_ok(iu__backup_run(*b, 0, &err), &err);
  if (!iu__backup_progress(*b, &done, &total)) return;
  iu__backup_free(*b);
  *b = NULL;
  assert_ok(iu__check_file(target, &f->schema, no_finding, NULL, &n, &err), &err);
  assert_int_equal(n.errors, 0);
}

static void test_power_loss_at_any_moment(void **state) {
  fixture f;
  random_source r, behind_r, choice = random_begin("power");
  model m = {0}, behind = {0};
  iu_journal_config c;
  iu_journal *j = NULL;
  iu_backup *backup = NULL;
  iu_error err;
  int opened = 0;

  (void)state;
  vfs_install();
  fixture_begin(&f);
  m.f = behind.f = &f;
  r.s = behind_r.s = random_next(&choice) | 1;
  vfs.random.s = random_next(&choice) | 1;
  vfs.path = f.path;
  c = config_for(&f);
  c.flush_interval_ms = 1;
  c.fold_idle_ms = 5;
  for (int i = 0; i < SNAPSHOTS; i++) {
    pthread_mutex_lock(&vfs.mutex);
    vfs.taken = false;
    vfs.snapshot_in = 1 + (long)random_below(&choice, i % 10 == 0 ? 2000 : 200);
    pthread_mutex_unlock(&vfs.mutex);
    while (!taken()) {
      if (j == NULL) {
        c.durability = (iu_durability)random_below(&choice, 3);
        c.fold_bytes = random_below(&choice, 3) * 4000;
        j = open_loaded(&c, &f, NULL, NULL);
        opened++;
      }
      bool held = random_below(&choice, 2) == 0;
      if (held) iu__journal_hold(j, true);
      for (uint64_t k = random_below(&choice, held ? 4 : 30); k > 0; k--) {
        assert_ok(step(j, &m, &r, &err), &err);
        if (random_below(&choice, 10) == 0) sleep_us(50);
        remember_durable(j);
      }
      if (random_below(&choice, held ? 1 : 4) == 0) assert_ok(iu__journal_wait(j, m.sequence, -1, &err), &err);
      if (held) iu__journal_hold(j, false);
      remember_durable(j);
      if (random_below(&choice, 8) == 0) back_up_some(&f, &backup);
      if (random_below(&choice, 20) == 0) {
        iu__backup_free(backup);
        backup = NULL;
        close_ok(j);
        j = NULL;
        pthread_mutex_lock(&vfs.mutex);
        vfs.reported = m.sequence;
        pthread_mutex_unlock(&vfs.mutex);
      }
    }
    check_snapshot(&f, &c, &behind, &behind_r);
  }
  iu__backup_free(backup);
  if (j != NULL) close_ok(j);
  printf("%d power losses over %llu commits and %d opens\n", SNAPSHOTS, (unsigned long long)m.sequence, opened);
  model_free(&m);
  model_free(&behind);
  fixture_end(&f);
  vfs_uninstall();
}

/* Held, the waiting thread writes in the journal's place, which sleeps: what it waited for is synced all the same, and nothing stays behind. */
static void test_a_held_wait_writes_itself(void **state) {
  fixture f;
  random_source r = random_begin("held");
  model m = {0}, back = {0};
  iu_journal_config c;
  iu_journal *j;
  iu_error err;

  (void)state;
  vfs_install();
  fixture_begin(&f);
  m.f = back.f = &f;
  c = config_for(&f);
  c.durability = IU_DUR_FULL;
  c.fold_idle_ms = 20;
  j = open_loaded(&c, &f, NULL, NULL);
  for (int i = 0; i < 2000; i++) {
    long before = vfs_syncs(f.path, "-wal");
    iu__journal_hold(j, true);
    assert_ok(step(j, &m, &r, &err), &err);
    if (i % 100 == 50) sleep_us(30000); /* the thread rests again, or folds */
    if (i % 3 == 0) assert_ok(step(j, &m, &r, &err), &err);
    assert_ok(iu__journal_wait(j, m.sequence, -1, &err), &err);
    assert_int_equal(iu__journal_durable(j, NULL, NULL), m.sequence);
    assert_true(vfs_syncs(f.path, "-wal") > before);
    iu__journal_hold(j, false);
  }
  /* Let go without a wait: the thread writes it. */
  iu__journal_hold(j, true);
  assert_ok(step(j, &m, &r, &err), &err);
  iu__journal_hold(j, false);
  for (int i = 0; i < 2000 && iu__journal_durable(j, NULL, NULL) < m.sequence; i++) sleep_us(5000);
  assert_int_equal(iu__journal_durable(j, NULL, NULL), m.sequence);
  /* The thread has learnt of what was written without it. */
  for (int i = 0; i < 2000 && iu__journal_folded(j) < m.sequence; i++) sleep_us(5000);
  assert_int_equal(iu__journal_folded(j), m.sequence);
  /* With an append on its way, a close. */
  iu__journal_hold(j, true);
  assert_ok(step(j, &m, &r, &err), &err);
  close_ok(j);
  j = open_loaded(&c, &f, &back, NULL);
  assert_model_equal(&m, &back);
  close_ok(j);
  model_free(&back);
  model_free(&m);
  fixture_end(&f);
  vfs_uninstall();
}

static void test_durable_means_synced(void **state) {
  fixture f;
  random_source r = random_begin("syncs");
  model m = {0};
  iu_journal_config c;
  iu_journal *j;
  iu_error err;
  long before;

  (void)state;
  vfs_install();
  fixture_begin(&f);
  m.f = &f;
  c = config_for(&f);
  c.durability = IU_DUR_FULL;
  c.fold_idle_ms = 3600000;
  j = open_loaded(&c, &f, NULL, NULL);
  for (int i = 0; i < 10; i++) {
    before = vfs_syncs(f.path, "-wal");
    assert_ok(step(j, &m, &r, &err), &err);
    assert_ok(iu__journal_wait(j, m.sequence, -1, &err), &err);
    assert_true(vfs_syncs(f.path, "-wal") > before);
  }
  /* The fold does not sync: its work is in the journal. */
  before = vfs_syncs(f.path, "-wal");
  assert_ok(iu__journal_fold(j, -1, &err), &err);
  assert_int_equal(vfs_syncs(f.path, "-wal"), before);
  close_ok(j);
  c.durability = IU_DUR_OFF;
  j = open_loaded(&c, &f, NULL, NULL);
  before = vfs_syncs(f.path, "-wal");
  for (int i = 0; i < 10; i++) assert_ok(step(j, &m, &r, &err), &err);
  sleep_us(50000);
  assert_int_equal(vfs_syncs(f.path, "-wal"), before);
  assert_ok(iu__journal_wait(j, m.sequence, -1, &err), &err);
  assert_true(vfs_syncs(f.path, "-wal") > before);
  close_ok(j);
  model_free(&m);
  fixture_end(&f);
  vfs_uninstall();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_durable_means_synced),
      cmocka_unit_test(test_a_held_wait_writes_itself),
      cmocka_unit_test(test_power_loss_at_any_moment),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
