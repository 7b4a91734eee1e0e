/* A disk that fails: every write and every sync of a universe's life once, short writes; files cut off at every page and with flipped bits. What was durable is there
 * again, or its loss is told: never a crash, never a silent difference. */
#include "journal_vfs.h"

#include "../../core/journal/check.h"
#include "../../core/journal/db.h"

#define LIFE_COMMITS 12
#define FLIPS 400

static const char make_index[] =
    "CREATE TABLE IF NOT EXISTS _iu_text_index (table_name TEXT PRIMARY KEY NOT NULL, json TEXT NOT NULL, texts TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS _iu_text_person_key (n INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);"
    "CREATE VIRTUAL TABLE IF NOT EXISTS _iu_text_person USING fts5 (name);"
    "INSERT INTO _iu_text_person_key (key) SELECT id FROM person WHERE id NOT IN (SELECT key FROM _iu_text_person_key);"
    "INSERT INTO _iu_text_person (rowid, name) SELECT n, json_extract(p.metadata, '$.name') FROM _iu_text_person_key JOIN person AS p ON p.id = key "
    "WHERE n NOT IN (SELECT rowid FROM _iu_text_person);"
    "INSERT OR IGNORE INTO _iu_text_index VALUES ('person', 'metadata', 'name')";

typedef enum fault { WRITE_FAILS, WRITE_IS_SHORT, DISK_IS_FULL_ONCE, SYNC_FAILS, FAULT_COUNT } fault;

static iu_status no_errors(void *ud, bool warning, const char *table, const char *message) {
  (void)ud;
  if (!warning) fail_msg("%s: %s", table != NULL ? table : "the file", message);
  return IU_OK;
}

/* Opens, commits, folds, makes an index, closes; how far it was durable when something failed. The status of what failed first. */
static iu_status live(const fixture *f, random_source *r, uint64_t *durable, iu_error *err) {
  model m = {.f = f}, loaded = {.f = f};
  iu_journal_config c = config_for(f);
  iu_journal *j = NULL;
  iu_journal_recovery recovery;
  iu_status status, closed, extended = IU_OK;
  iu_error ignored;

  *durable = 0;
  c.fold_idle_ms = 3600000;
  status = iu__journal_open(&c, &j, err);
  if (status != IU_OK) return status;
  status = load_model(j, &loaded, &recovery, err);
  for (int i = 0; i < LIFE_COMMITS && status == IU_OK; i++) {
    status = step(j, &m, r, err);
    if (status == IU_OK) status = iu__journal_wait(j, m.sequence, -1, err);
    if (status == IU_OK && i % 5 == 4) status = iu__journal_fold(j, -1, err);
    if (status == IU_OK && i == 6) status = iu__journal_ask_extend(j, make_index, err);
    if (status == IU_OK && i == 6) {
      for (int turn = 0; turn < 4000 && !iu__journal_extended(j, &extended, err); turn++) usleep(1000);
      status = extended;
    }
  }
  *durable = iu__journal_durable(j, NULL, NULL);
  closed = iu__journal_close(j, status == IU_OK ? err : &ignored);
  model_free(&m);
  model_free(&loaded);
  return status != IU_OK ? status : closed;
}

/* Where no fault is left: the file holds a beginning of the commits, all that were durable with it. */
static void holds(const fixture *f, random_source r, uint64_t durable) {
  model expected = {.f = f}, found = {.f = f};
  iu_journal_config c = config_for(f);
  iu_journal_recovery recovery;
  iu_journal *j;
  iu_check_counts n;
  iu_error err;

  if (!file_exists(f->path, "")) {
    assert_int_equal(durable, 0);
    return;
  }
  j = open_loaded(&c, f, &found, &recovery);
  if (recovery.last_sequence < durable) fail_msg("%llu was durable, %llu is there", (unsigned long long)durable, (unsigned long long)recovery.last_sequence);
  while (expected.sequence < recovery.last_sequence) {
    commit one;
    commit_random(&one, &expected, &r);
    commit_apply(&one, &expected);
  }
  assert_model_equal(&expected, &found);
  close_ok(j);
  assert_int_equal(iu__check_file(f->path, &f->schema, no_errors, NULL, &n, &err), IU_OK);
  assert_false(file_exists(f->path, ".lock"));
  model_free(&expected);
  model_free(&found);
}

static void each_fails_once(fault what) {
  static const char *const words[] = {"disk I/O error", "disk I/O error", "the disk is full", "disk I/O error"};
  random_source seed = random_begin("disk");
  long at = 1, told = 0;

  for (bool fired = true; fired; at++) {
    fixture f;
    random_source r = seed;
    uint64_t durable;
    iu_error err;
    iu_status status;

    vfs_install();
    fixture_begin(&f);
    pthread_mutex_lock(&vfs.mutex);
    vfs.fail_once = true;
    vfs.fail_short = what == WRITE_IS_SHORT;
    vfs.fail_code = what == DISK_IS_FULL_ONCE ? SQLITE_FULL : what == SYNC_FAILS ? SQLITE_IOERR_FSYNC : SQLITE_IOERR_WRITE;
    if (what == SYNC_FAILS) vfs.fail_sync_in = at;
    else vfs.fail_write_in = at;
    pthread_mutex_unlock(&vfs.mutex);
    status = live(&f, &r, &durable, &err);
    pthread_mutex_lock(&vfs.mutex);
    fired = vfs.failed != 0;
    vfs.fail_write_in = vfs.fail_sync_in = 0;
    pthread_mutex_unlock(&vfs.mutex);
    if (!fired) assert_int_equal(status, IU_OK);
    if (status != IU_OK) {
      assert_int_equal(status, IU_E_STORAGE);
      assert_says(&err, words[what]);
      told++;
    }
    vfs_uninstall();
    holds(&f, seed, durable);
    fixture_end(&f);
  }
  printf("%ld faults, %ld of them told\n", at - 2, told);
  assert_true(at > 10);
  assert_true(told > (at - 2) / 2);
}

static void each_write_fails_once(void **state) { (void)state; each_fails_once(WRITE_FAILS); }
static void each_write_is_short_once(void **state) { (void)state; each_fails_once(WRITE_IS_SHORT); }
static void the_disk_is_full_once(void **state) { (void)state; each_fails_once(DISK_IS_FULL_ONCE); }
static void each_sync_fails_once(void **state) { (void)state; each_fails_once(SYNC_FAILS); }

/* ---- damaged files ---- */

static iu_status count_errors(void *ud, bool warning, const char *table, const char *message) {
  (void)table, (void)message;
  *(uint64_t *)ud += !warning;
  return IU_OK;
}

/* What the file holds once only, so that no check can tell: where an auto-increment column goes on, which NaN a number is, and the sign of a zero (the readable
 * column of the first is NULL, of the second 0.0). True when nothing else differs. */
static bool same_as_shown(const fixture *f, const model *a, const model *b) {
  for (uint32_t i = 0; i < a->count; i++) {
    const model_row *r = &a->rows[i];
    bool there = false;
    for (uint32_t k = 0; k < b->count && !there; k++) {
      const iu_row *x = r->row, *y = b->rows[k].row;
      if (b->rows[k].table != r->table || x->len != y->len) continue;
      if (r->table != T_READING) {
        there = memcmp(x->data, y->data, x->len) == 0;
        continue;
      }
      double at_x, at_y;
      memcpy(&at_x, row_key(f, T_READING, x->data, x->len).p, 8);
      memcpy(&at_y, row_key(f, T_READING, y->data, y->len).p, 8);
      there = (at_x == at_y || (isnan(at_x) && isnan(at_y))) && memcmp(x->data + 8, y->data + 8, x->len - 8) == 0;
    }
    if (!there) return false;
  }
  return a->count == b->count;
}

/* 'r': refused; '=': all of it is there; '!': another one is there, and a check finds that; '~': it differs in what
 * no check can find; anything else is a failure. */
static char judge(const fixture *f, const model *m) {
  model found = {.f = f};
  iu_journal_config c = config_for(f);
  iu_journal_recovery recovery;
  iu_journal *j = NULL;
  iu_check_counts n;
  iu_error err;
  char text[160], verdict = 'r';
  uint64_t errors = 0;
  iu_status checked = iu__check_file(f->path, &f->schema, count_errors, &errors, &n, &err), status;

  if (checked != IU_OK && checked != IU_E_STORAGE) fail_msg("check: %s: %s", iu_status_code(checked), err.message); /* what cannot be read at all is told so */
  status = iu__journal_open(&c, &j, &err);
  if (status == IU_OK) status = load_model(j, &found, &recovery, &err);
  if (status == IU_OK) verdict = model_difference(m, &found, text) == NULL ? '=' : '!';
  else if ((status != IU_E_STORAGE && status != IU_E_MIGRATION) || err.message[0] == '\0') fail_msg("%s: %s", iu_status_code(status), err.message);
  if (j != NULL) iu__journal_close(j, NULL);
  if (verdict == '!' && same_as_shown(f, m, &found)) verdict = '~';
  if (verdict == '!' && checked == IU_OK && errors == 0) fail_msg("%s, and nothing tells", text);
  model_free(&found);
  return verdict;
}

static void make(fixture *f, model *m, int commits) {
  random_source r = random_begin("damaged");
  iu_journal_config c = config_for(f);
  iu_journal *j = open_loaded(&c, f, NULL, NULL);
  iu_error err;

  m->f = f;
  for (int i = 0; i < commits; i++) assert_ok(step(j, m, &r, &err), &err);
  close_ok(j);
}

static void cut_off_at_every_page(void **state) {
  fixture f;
  model m = {0};
  size_t len;
  uint8_t *bytes;

  (void)state;
  fixture_begin(&f);
  make(&f, &m, 600);
  bytes = read_all(f.path, &len);
  assert_true(len > 16 * 4096);
  for (size_t at = 4096; at < len; at += 2048) { /* every page, and every half of one */
    write_all(f.path, bytes, at);
    char verdict = judge(&f, &m);
    if (verdict != 'r') fail_msg("cut off at %zu of %zu: %c", at, len, verdict);
  }
  free(bytes);
  model_free(&m);
  fixture_end(&f);
}

static void flipped_bits(void **state) {
  random_source r = random_begin("flips");
  fixture f;
  model m = {0};
  size_t len;
  uint8_t *bytes;
  int refused = 0, same = 0, found = 0, once = 0;

  (void)state;
  fixture_begin(&f);
  make(&f, &m, 400);
  bytes = read_all(f.path, &len);
  for (int i = 0; i < FLIPS; i++) {
    size_t at = random_below(&r, len);
    uint8_t bit = (uint8_t)(1u << random_below(&r, 8));
    char verdict;

    bytes[at] ^= bit;
    write_all(f.path, bytes, len);
    verdict = judge(&f, &m);
    refused += verdict == 'r', same += verdict == '=', found += verdict == '!', once += verdict == '~';
    bytes[at] ^= bit;
  }
  printf("%d flips: %d refused, %d of no effect, %d found by a check alone, %d in what is held once\n", FLIPS, refused, same, found, once);
  assert_int_equal(refused + same + found + once, FLIPS);
  assert_true(once < FLIPS / 50);
  free(bytes);
  model_free(&m);
  fixture_end(&f);
}

/* A backup's step answers with a code that its database knows nothing of. */
static void a_code_that_the_database_has_not_heard_of_has_words(void **state) {
  (void)state;
  sqlite3 *db = NULL;
  iu_error err;
  assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
  errno = 0;
  assert_int_equal(iu__jdb_fail(db, SQLITE_FULL, "copying", &err), IU_E_STORAGE);
  assert_string_equal(err.message, "copying: the disk is full (SQLite: database or disk is full, code 13)");
  assert_int_equal(sqlite3_exec(db, "nonsense", NULL, NULL, NULL), SQLITE_ERROR);
  assert_int_equal(iu__jdb_fail(db, SQLITE_ERROR, "running", &err), IU_E_STORAGE);
  assert_non_null(strstr(err.message, "nonsense"));
  sqlite3_close(db);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(each_write_fails_once), cmocka_unit_test(each_write_is_short_once), cmocka_unit_test(the_disk_is_full_once),
                                     cmocka_unit_test(a_code_that_the_database_has_not_heard_of_has_words),
                                     cmocka_unit_test(each_sync_fails_once), cmocka_unit_test(cut_off_at_every_page), cmocka_unit_test(flipped_bits)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
