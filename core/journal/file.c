/* file.c: see file.h.
 *
 * Choices of SQLite's settings, and why:
 *   journal_mode WAL while open: readers of the file never hold up commits. It is switched back to DELETE on a clean close (sqlite.c), so that
 *     a closed universe is one file, readable from a read-only medium too, and opening one creates nothing before the first write.
 *   synchronous FULL: WAL with NORMAL does not sync a commit, so it could not be called durable. The fold uses NORMAL between commits
 *     (fold.c): losing a fold loses nothing.
 *   page_size 4096: a small commit in `full` writes one or two pages.
 *   auto_vacuum INCREMENTAL: pages of a folded journal can be given back on close.
 *   wal_autocheckpoint 0: the journal's thread checkpoints itself, after those who wait were told.
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/alloc.h"
#include "journal.h"

#define TEXT_OF(x) TEXT_OF_(x)
#define TEXT_OF_(x) #x
#define HEADER_SIZE 100 /* of an SQLite file */
#define HEADER_USER_VERSION 60
#define HEADER_APPLICATION_ID 68
#define NEW_SUFFIX ".iu-new"
#define CACHE_KIB 16384

char *iu__jfile_beside(const char *path, const char *suffix) {
  size_t na = strlen(path), nb = strlen(suffix);
  char *s = iu__alloc(na + nb + 1);

  if (s == NULL) return NULL;
  memcpy(s, path, na);
  memcpy(s + na, suffix, nb + 1);
  return s;
}

/* ---- finding ---- */

static iu_status resolve_failed(const char *path, int e, iu_error *err) {
  if (e == ENOENT || e == ENOTDIR) return iu__fail(err, IU_E_STORAGE, "%s: its folder does not exist", path);
  return iu__fail(err, IU_E_STORAGE, "%s cannot be opened: %s", path, strerror(e));
}

/* The path of a file that is not there yet: its folder must be. */
static iu_status resolve_new(const char *path, char **out, iu_error *err) {
  const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
  char resolved[PATH_MAX];
  char *folder;
  struct stat st;
  bool found;

  if (*name == '\0') return iu__fail(err, IU_E_STORAGE, "%s names a folder, not a file", path);
  /* Not a link: another process has made the file since. */
  if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode)) return iu__fail(err, IU_E_STORAGE, "%s is a symbolic link that leads nowhere", path);
  folder = slash == NULL ? iu__strndup(".", 1) : iu__strndup(path, slash == path ? 1 : (size_t)(slash - path));
  if (folder == NULL) return iu__fail_nomem(err);
  found = realpath(folder, resolved) != NULL;
  iu__free(folder);
  if (!found) return resolve_failed(path, errno, err);
  if (stat(resolved, &st) != 0 || !S_ISDIR(st.st_mode)) return resolve_failed(path, ENOTDIR, err);
  if (strlen(resolved) + strlen(name) + 2 > PATH_MAX) return resolve_failed(path, ENAMETOOLONG, err);
  if (strcmp(resolved, "/") != 0) strcat(resolved, "/");
  strcat(resolved, name);
  *out = iu__strndup(resolved, strlen(resolved));
  return *out != NULL ? IU_OK : iu__fail_nomem(err);
}

iu_status iu__jfile_resolve(const char *path, char **out, iu_error *err) {
  char resolved[PATH_MAX];
  struct stat st;

  *out = NULL;
  if (*path == '\0') return iu__fail(err, IU_E_STORAGE, "the path of a universe is empty");
  if (stat(path, &st) != 0) {
    if (errno != ENOENT) return resolve_failed(path, errno, err);
    return resolve_new(path, out, err);
  }
  if (S_ISDIR(st.st_mode)) return iu__fail(err, IU_E_STORAGE, "%s is a folder, not a universe file", path);
  if (!S_ISREG(st.st_mode)) return iu__fail(err, IU_E_STORAGE, "%s is not a regular file", path);
  if (realpath(path, resolved) == NULL) return resolve_failed(path, errno, err);
  *out = iu__strndup(resolved, strlen(resolved));
  return *out != NULL ? IU_OK : iu__fail_nomem(err);
}

/* ---- telling what it is ---- */

bool iu__jfile_has(const char *path, const char *suffix) {
  char name[PATH_MAX + 16]; /* the path is resolved, so it fits */
  struct stat st;

  snprintf(name, sizeof name, "%s%s", path, suffix);
  return stat(name, &st) == 0 && st.st_size > 0;
}

static iu_status judge_missing(const char *path, iu_error *err) {
  const char *left = iu__jfile_has(path, "-wal") ? "-wal" : iu__jfile_has(path, "-journal") ? "-journal" : NULL;

  if (left == NULL) return IU_OK;
  return iu__fail(err, IU_E_STORAGE, "%s is missing but its log %s%s is there: put the file back, or remove the log", path, path, left);
}

static uint32_t big_endian(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }

iu_status iu__jfile_newer(int64_t format, const char *path, iu_error *err) {
  return iu__fail(err, IU_E_STORAGE, "%s has format %lld; this version reads and writes format %d: a newer release is needed", path,
                  (long long)format, IU_JOURNAL_FORMAT);
}

static iu_status judge_header(const char *path, const uint8_t *header, ssize_t n, iu_error *err) {
  if (n < HEADER_SIZE || memcmp(header, "SQLite format 3", 16) != 0)
    return iu__fail(err, IU_E_STORAGE, "%s is not a universe file (and not an SQLite database)", path);
  if (big_endian(header + HEADER_APPLICATION_ID) != IU_JOURNAL_APPLICATION_ID)
    return iu__fail(err, IU_E_STORAGE, "%s is an SQLite database of another program, not a universe file", path);
  if (big_endian(header + HEADER_USER_VERSION) > IU_JOURNAL_FORMAT)
    return iu__jfile_newer(big_endian(header + HEADER_USER_VERSION), path, err);
  return IU_OK;
}

iu_status iu__jfile_look(const char *path, bool *is_new, iu_error *err) {
  uint8_t header[HEADER_SIZE];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  iu_status status;
  ssize_t n;
  int e;

  *is_new = false;
  if (fd < 0 && errno == ENOENT) {
    *is_new = true;
    return judge_missing(path, err);
  }
  if (fd < 0) return iu__fail(err, IU_E_STORAGE, "%s cannot be opened: %s", path, strerror(errno));
  n = pread(fd, header, sizeof header, 0);
  e = errno;
  close(fd);
  if (n < 0) return iu__fail(err, IU_E_STORAGE, "%s cannot be read: %s", path, strerror(e));
  status = n == 0 ? judge_missing(path, err) : judge_header(path, header, n, err);
  *is_new = n == 0;
  return status;
}

iu_status iu__jfile_identify(const char *path, bool *is_new, iu_error *err) {
  iu_status status = iu__jfile_look(path, is_new, err);

  if (status == IU_OK && (!*is_new || access(path, F_OK) == 0) && faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) != 0)
    status = iu__fail(err, IU_E_STORAGE, "%s cannot be written: %s", path, strerror(errno));
  return status;
}

/* ---- creating ---- */

static const char create_sql[] =
    "PRAGMA application_id=" TEXT_OF(IU_JOURNAL_APPLICATION_ID) ";"
    "PRAGMA user_version=" TEXT_OF(IU_JOURNAL_FORMAT) ";"
    "CREATE TABLE _iu_meta (key TEXT PRIMARY KEY NOT NULL, value) WITHOUT ROWID;"
    "CREATE TABLE _iu_table (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, definition TEXT NOT NULL);"
    "CREATE TABLE _iu_sequence (table_id INTEGER NOT NULL, sequence INTEGER NOT NULL, next INTEGER NOT NULL,"
    " PRIMARY KEY (table_id, sequence)) WITHOUT ROWID;"
    "CREATE TABLE _iu_journal (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, checksum INTEGER NOT NULL, frames BLOB NOT NULL);"
    "INSERT INTO _iu_meta VALUES ('folded', 0), ('closed', 1);";

static iu_status fill_new(sqlite3 *db, iu_catalog *l, iu_error *err) {
  /* Nobody sees the file before it is renamed, so SQLite need not protect it from crashes: it is synced once, as a whole. */
  iu_status status = iu__jdb_exec(db, "PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF; PRAGMA page_size=4096;"
                                      "PRAGMA auto_vacuum=INCREMENTAL; BEGIN IMMEDIATE", "creating the file", err);

  if (status == IU_OK) status = iu__jdb_exec(db, create_sql, "creating the file", err);
  if (status == IU_OK) status = iu__jcatalog_read(l, db, NULL, NULL, err);
  if (status == IU_OK) status = iu__jcatalog_create(l, db, err);
  if (status == IU_OK) status = iu__jdb_exec(db, "COMMIT", "creating the file", err);
  return status;
}

static iu_status make_new(const char *temporary, iu_catalog *l, iu_error *err) {
  sqlite3 *db = NULL;
  int rc = sqlite3_open_v2(temporary, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_EXRESCODE, NULL);
  iu_status status = rc == SQLITE_OK ? fill_new(db, l, err) : iu__jdb_fail(db, rc, "creating the file", err);

  if (sqlite3_close(db) != SQLITE_OK && status == IU_OK) status = iu__fail(err, IU_E_STORAGE, "creating the file: it could not be closed");
  return status;
}

static iu_status sync_path(const char *path, int flags, iu_error *err) {
  iu_status status = IU_OK;
  int fd = open(path, O_RDONLY | O_CLOEXEC | flags);

  /* Some file systems cannot sync a folder (EINVAL); there is nothing to be done there. */
  if (fd < 0 || (fsync(fd) != 0 && !(errno == EINVAL && flags == O_DIRECTORY)))
    status = iu__fail(err, IU_E_STORAGE, "%s cannot be synced: %s", path, strerror(errno));
  if (fd >= 0) close(fd);
  return status;
}

static iu_status sync_folder(const char *path, iu_error *err) {
  const char *slash = strrchr(path, '/'); /* the path is absolute */
  char *folder = iu__strndup(path, slash == path ? 1 : (size_t)(slash - path));
  iu_status status = folder != NULL ? sync_path(folder, O_DIRECTORY, err) : iu__fail_nomem(err);

  iu__free(folder);
  return status;
}

void iu__jfile_remove(const char *path) {
  static const char *const logs[] = {"-journal", "-wal", "-shm"};

  unlink(path);
  for (size_t i = 0; i < sizeof logs / sizeof logs[0]; i++) {
    char *log = iu__jfile_beside(path, logs[i]);

    if (log != NULL) unlink(log);
    iu__free(log);
  }
}

iu_status iu__jfile_temporary(const char *path, const char *suffix, char **out, iu_error *err) {
  *out = iu__jfile_beside(path, suffix);
  if (*out == NULL) return iu__fail_nomem(err);
  iu__jfile_remove(*out); /* of one that was killed */
  return IU_OK;
}

iu_status iu__jfile_reserve(const char *temporary, const char *like, iu_error *err) {
  struct stat st, made;
  int fd;

  if (stat(like, &st) != 0) return iu__fail(err, IU_E_STORAGE, "%s cannot be looked at: %s", like, strerror(errno));
  fd = open(temporary, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600 | (st.st_mode & 0066));
  if (fd < 0) return iu__fail(err, IU_E_STORAGE, "%s cannot be created: %s", temporary, strerror(errno));
  /* The group that may read it has to be the same one. */
  if (fstat(fd, &made) != 0 || (made.st_gid != st.st_gid && fchown(fd, (uid_t)-1, st.st_gid) != 0 && fchmod(fd, made.st_mode & 0707) != 0)) {
    (void)iu__fail(err, IU_E_STORAGE, "%s: its mode cannot be set: %s", temporary, strerror(errno));
    close(fd);
    return IU_E_STORAGE;
  }
  close(fd);
  return IU_OK;
}

/* A file that was there (an empty one, made to reserve the name or to set its mode, too) passes its mode and owner on. */
static void take_over_mode(const char *path, const char *temporary) {
  struct stat st;

  if (stat(path, &st) != 0) return;
  if (chown(temporary, st.st_uid, st.st_gid) != 0) return;
  if (chmod(temporary, st.st_mode & 07777) != 0) return;
}

iu_status iu__jfile_publish(const char *temporary, const char *path, iu_error *err) {
  iu_status status = sync_path(temporary, 0, err);

  if (status != IU_OK) return status;
  take_over_mode(path, temporary);
  if (rename(temporary, path) != 0) return iu__fail(err, IU_E_STORAGE, "%s cannot be created: %s", path, strerror(errno));
  return sync_folder(path, err);
}

iu_status iu__jfile_create(const char *path, iu_catalog *l, iu_error *err) {
  char *temporary;
  iu_status status = iu__jfile_temporary(path, NEW_SUFFIX, &temporary, err);

  if (status != IU_OK) return status;
  status = make_new(temporary, l, err);
  if (status == IU_OK) status = iu__jfile_publish(temporary, path, err);
  if (status == IU_OK) iu__jcatalog_created(l);
  else iu__jfile_remove(temporary);
  iu__free(temporary);
  return status;
}

/* ---- opening ---- */

static iu_status settings(sqlite3 *db, bool crashed, uint32_t busy_timeout_ms, iu_error *err) {
  /* Until it was all read and found good, a log that was left behind is not copied into the file by a close. */
  sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, crashed ? 1 : 0, NULL);
  sqlite3_busy_timeout(db, busy_timeout_ms > INT_MAX ? INT_MAX : (int)busy_timeout_ms);
  sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
  sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
  return iu__jdb_exec(db, "PRAGMA cache_size=-" TEXT_OF(CACHE_KIB) "; PRAGMA temp_store=MEMORY; PRAGMA wal_autocheckpoint=0",
                     "opening the file", err);
}

iu_status iu__jfile_open(const char *path, uint32_t busy_timeout_ms, sqlite3 **out, iu_error *err) {
  sqlite3 *db = NULL;
  bool crashed = iu__jfile_has(path, "-wal");
  int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
  iu_status status = rc == SQLITE_OK ? settings(db, crashed, busy_timeout_ms, err) : iu__jdb_fail(db, rc, "opening the file", err);

  if (status != IU_OK) {
    sqlite3_close(db);
    db = NULL;
  }
  *out = db;
  return status;
}

iu_status iu__jfile_make_writable(sqlite3 *db, const char *path, iu_error *err) {
  sqlite3_stmt *st = NULL;
  const char *mode;
  bool row = false;
  iu_status status;

  if (sqlite3_db_readonly(db, "main")) return iu__fail(err, IU_E_STORAGE, "%s cannot be written", path);
  status = iu__jdb_prepare(db, "PRAGMA journal_mode=WAL", &st, "opening the file for writing", err);
  if (status == IU_OK) status = iu__jdb_step(db, st, &row, "opening the file for writing", err);
  mode = row ? (const char *)sqlite3_column_text(st, 0) : NULL;
  if (status == IU_OK && (mode == NULL || strcmp(mode, "wal") != 0))
    status = iu__fail(err, IU_E_STORAGE, "%s: its file system cannot hold a write-ahead log (SQLite stays in mode %s)", path,
                      mode != NULL ? mode : "unknown");
  sqlite3_finalize(st);
  if (status == IU_OK) status = iu__jdb_exec(db, "PRAGMA synchronous=FULL", "opening the file for writing", err);
  return status;
}
