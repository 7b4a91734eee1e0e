/* journal_file_fuzz.c: libFuzzer target for what reads a universe file. At the start a small universe is made and copied while it is open, so
 * that there are folded rows, groups in the journal and a write-ahead log. The first byte of the input chooses:
 *   0  the rest is the file
 *   1  bytes of the file are overwritten, or it is cut     2  the same with its log beside it
 *   3  a group of the rest's frames is appended to the journal, with its checksum
 *   4  rows, values and definitions are overwritten through SQL: a sound database with anything in it
 * Then it is opened and loaded: an error that says something and leaves the bytes as they were, or a state that another commit, a close and the
 * next open agree on.
 */
#include "../c/journal_fixture.h"

#include "input.h"

#include "../../core/base/hash.h"

#define COMMITS 24
#define GROUP_FRAMES_MAX 16
#define EDITS_MAX 8

typedef struct file_bytes { uint8_t *p; size_t len; } file_bytes;

static fixture fx;
static file_bytes with_log, the_log, alone; /* a universe that was not closed: the file, its log; both in one file */
static uint64_t last_sequence;

/* ---- files ---- */

static const char *name_of(const char *suffix) {
  static char name[192];
  snprintf(name, sizeof name, "%s%s", fx.path, suffix);
  return name;
}

static void write_file(const char *suffix, const void *p, size_t len) {
  FILE *f = fopen(name_of(suffix), "wb");
  MUST(f != NULL && fwrite(p, 1, len, f) == len && fclose(f) == 0);
}

static file_bytes read_file(const char *suffix) {
  file_bytes b = {0};
  FILE *f = fopen(name_of(suffix), "rb");
  if (f == NULL) return b;
  MUST(fseek(f, 0, SEEK_END) == 0);
  long size = ftell(f);
  MUST(size >= 0 && fseek(f, 0, SEEK_SET) == 0);
  b.len = (size_t)size;
  b.p = malloc(b.len + 1);
  MUST(b.p != NULL && fread(b.p, 1, b.len, f) == b.len);
  fclose(f);
  return b;
}

static void remove_files(void) {
  static const char *const suffixes[] = {"", "-wal", "-shm", "-journal", ".lock", ".iu-new"};
  for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) remove(name_of(suffixes[i]));
}

static void leave_nothing(void) {
  remove_files();
  rmdir(fx.folder);
}

/* ---- the universe that inputs change ---- */

static void make(void) {
  const char *memory = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
  model m = {.f = &fx};
  random_source r = {UINT64_C(0x9e3779b97f4a7c15)};
  iu_error err;
  if (getenv("TMPDIR") == NULL) setenv("TMPDIR", memory, 1); /* every input is a file that is synced */
  fixture_begin(&fx);
  atexit(leave_nothing);
  iu_journal_config c = config_for(&fx);
  iu_journal *j = open_loaded(&c, &fx, &m, NULL);
  for (int i = 0; i < COMMITS; i++) {
    assert_ok(step(j, &m, &r, &err), &err);
    if (i == COMMITS / 2) assert_ok(iu__journal_fold(j, -1, &err), &err);
    assert_ok(iu__journal_wait(j, m.sequence, -1, &err), &err);
  }
  last_sequence = m.sequence;
  with_log = read_file("");
  the_log = read_file("-wal");
  close_ok(j);
  remove_files();
  write_file("", with_log.p, with_log.len);
  write_file("-wal", the_log.p, the_log.len);
  sql_exec(fx.path, "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode=DELETE");
  alone = read_file("");
  remove_files();
  model_free(&m);
}

/* ---- what the input makes of it ---- */

/* Each: where (over the file, then its log), how many, the bytes. Nothing to write cuts the file there. */
static void patch(input *in, bool log) {
  const file_bytes *base = log ? &with_log : &alone;
  size_t len[2] = {base->len, log ? the_log.len : 0};
  uint8_t *copy = malloc(len[0] + len[1] + 1);
  MUST(copy != NULL);
  memcpy(copy, base->p, len[0]);
  if (log) memcpy(copy + len[0], the_log.p, len[1]);
  while (in->len > 3) {
    size_t at = (take_u16(in) | (size_t)take(in) << 16) % (base->len + (log ? the_log.len : 0));
    iu_slice bytes = take_bytes(in, take(in));
    if (bytes.len == 0) len[at >= base->len] = at >= base->len ? at - base->len : at;
    for (size_t i = 0; i < bytes.len && at + i < base->len + (log ? the_log.len : 0); i++) copy[at + i] = bytes.p[i];
  }
  write_file("", copy, len[0]);
  if (log) write_file("-wal", copy + base->len, len[1]);
  free(copy);
}

static sqlite3 *open_sql(void) {
  sqlite3 *db = NULL;
  write_file("", alone.p, alone.len);
  MUST(sqlite3_open_v2(fx.path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
  MUST(sqlite3_exec(db, "PRAGMA synchronous=OFF; PRAGMA journal_mode=OFF", NULL, NULL, NULL) == SQLITE_OK);
  return db;
}

/* Refused by a constraint or not: both are fine. */
static void run_sql(sqlite3 *db, const char *sql, const int64_t numbers[3], iu_slice bytes, bool text) {
  sqlite3_stmt *st = NULL;
  MUST(sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK);
  for (int i = 0; i < 3; i++) sqlite3_bind_int64(st, i + 1, numbers[i]);
  if (text) sqlite3_bind_text(st, 4, (const char *)bytes.p, (int)bytes.len, SQLITE_STATIC);
  else sqlite3_bind_blob(st, 4, bytes.p != NULL ? (const void *)bytes.p : "", (int)bytes.len, SQLITE_STATIC);
  sqlite3_step(st);
  sqlite3_finalize(st);
}

static void append_group(input *in) {
  iu_buf group = {0};
  uint64_t count = 1 + take(in) % GROUP_FRAMES_MAX, first = last_sequence + 1, last = first + count - 1;
  sqlite3 *db = open_sql();
  iu__buf_put_u64(&group, first);
  iu__buf_put_u64(&group, last);
  iu__buf_put(&group, in->p, in->len);
  const int64_t numbers[3] = {(int64_t)first, (int64_t)last, (int64_t)iu__hash64(group.data, group.len)};
  run_sql(db, "INSERT INTO _iu_journal VALUES (?1, ?2, ?3, ?4)", numbers, (iu_slice){group.data, group.len}, false);
  sqlite3_close(db);
  iu__buf_free(&group);
}

static void edit(input *in) {
  static const char *const statements[] = {
    "UPDATE person SET _row = ?4 WHERE rowid % 8 = ?1",       "UPDATE OR REPLACE tag SET _row = ?4 WHERE (SELECT count(*) FROM tag) % 4 = ?1",
    "UPDATE counter SET _row = ?4 WHERE rowid % 4 = ?1",      "INSERT INTO note (_row, key) VALUES (?4, ?1)",
    "UPDATE reading SET _row = ?4 WHERE at IS NOT NULL",      "REPLACE INTO _iu_meta VALUES (CASE ?1 % 4 WHEN 0 THEN 'folded' WHEN 1 THEN 'closed' WHEN 2 THEN 'owner' ELSE 'x' END, ?4)",
    "REPLACE INTO _iu_meta VALUES ('folded', ?1)",            "REPLACE INTO _iu_sequence VALUES (?1, ?2, ?3)",
    "UPDATE _iu_table SET definition = ?4 WHERE id = ?1",     "UPDATE OR IGNORE _iu_table SET name = ?4 WHERE id = ?1",
    "UPDATE _iu_journal SET frames = ?4 WHERE first % 4 = ?1", "DELETE FROM _iu_journal WHERE first % 4 = ?1",
    "UPDATE OR IGNORE _iu_table SET id = ?2 WHERE id = ?1",   "UPDATE _iu_journal SET last = last + ?2 WHERE first % 4 = ?1",
  };
  sqlite3 *db = open_sql();
  for (int i = 0; i < EDITS_MAX && in->len > 0; i++) {
    uint8_t which = take(in);
    const int64_t numbers[3] = {take(in), (int8_t)take(in), (int64_t)((uint64_t)(int8_t)take(in) << (take(in) % 64))};
    iu_slice bytes = take_bytes(in, take(in));
    run_sql(db, statements[which % (sizeof statements / sizeof *statements)], numbers, bytes, which & 0x80);
  }
  sqlite3_close(db);
}

/* ---- reading it ---- */

/* An open that failed, and a load that failed, wrote nothing. */
static void check_untouched(const file_bytes *before) {
  file_bytes now = read_file("");
  MUST(now.len == before->len && (now.len == 0 || memcmp(now.p, before->p, now.len) == 0));
  free(now.p);
}

static iu_status load(iu_journal **out, model *m) {
  iu_journal_config c = config_for(&fx);
  iu_error err = {0};
  iu_journal_recovery recovery;
  *out = NULL;
  c.busy_timeout_ms = 0;
  iu_status status = iu__journal_open(&c, out, &err);
  if (status == IU_OK) status = load_model(*out, m, &recovery, &err);
  MUST((status == IU_OK) == (err.message[0] == '\0'));
  if (status == IU_OK) m->sequence = recovery.last_sequence;
  if (status != IU_OK && *out != NULL) {
    iu__journal_close(*out, NULL);
    *out = NULL;
  }
  return status;
}

/* A row of `reading` is deleted by its bytes in the file and by its key in memory: one for rows that are there, which forged frames need not name. */
static void forget_readings(model *m) {
  for (uint32_t i = 0; i < m->count;) {
    if (m->rows[i].table != T_READING) {
      i++;
      continue;
    }
    free(m->rows[i].row);
    m->rows[i] = m->rows[--m->count];
  }
}

static void check_universe(bool sound, bool has_log) {
  file_bytes before = read_file("");
  model m = {.f = &fx}, again = {.f = &fx};
  random_source r = {7};
  iu_journal *j;
  iu_error err = {0};
  if (load(&j, &m) != IU_OK) {
    if (!has_log) check_untouched(&before);
  } else {
    bool stepped = m.sequence < (uint64_t)INT64_MAX - 1 && step(j, &m, &r, &err) == IU_OK;
    iu_status closed = iu__journal_close(j, &err);
    if (sound) MUST(stepped && closed == IU_OK);
    iu_status status = load(&j, &again);
    if (sound) {
      MUST(status == IU_OK);
      char text[160];
      forget_readings(&m);
      forget_readings(&again);
      const char *difference = model_difference(&again, &m, text);
      if (difference != NULL) fprintf(stderr, "%s\n", difference);
      MUST(difference == NULL);
    }
    if (j != NULL) iu__journal_close(j, NULL);
  }
  free(before.p);
  model_free(&m);
  model_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input in = {data, size};
  if (alone.p == NULL) make();
  uint8_t mode = take(&in) % 5;
  switch (mode) {
    case 0: write_file("", in.p, in.len); break;
    case 1: patch(&in, false); break;
    case 2: patch(&in, true); break;
    case 3: append_group(&in); break;
    default: edit(&in); break;
  }
  check_universe(mode == 3, mode == 2);
  remove_files();
  return 0;
}
