/* file.h: the universe file before anything is read from it: finding it, telling what it is, creating it, opening it.
 *
 * iu__jfile_identify reads a few bytes and changes nothing; SQLite sees only files that it recognised. Because closing any descriptor of a
 * file drops all of a process's SQLite locks on it, it may only be called while the universe's own lock (lock.h) is held.
 */
#ifndef IU_JOURNAL_FILE_H
#define IU_JOURNAL_FILE_H

#include "db.h"
#include "catalog.h"

/* The absolute path with symbolic links resolved, given to the caller. IU_E_STORAGE: missing folder, a directory or another thing that is no file. */
iu_status iu__jfile_resolve(const char *path, char **out, iu_error *err);
/* *is_new: there is no file, or it is empty. IU_E_STORAGE: not a universe, a newer format, cannot be read or written, or the file is
 * missing while its log is still there (SQLite would replay that into a new file). */
iu_status iu__jfile_identify(const char *path, bool *is_new, iu_error *err);
/* The same for one that is only read. SQLite's locks are of no matter to a reader of a file that this process has not open. */
iu_status iu__jfile_look(const char *path, bool *is_new, iu_error *err);
iu_status iu__jfile_newer(int64_t format, const char *path, iu_error *err);   /* that error */
/* Makes an empty universe with the tables of the catalog beside `path` and renames it there: it is there completely or not at all, also after a
 * power loss. */
iu_status iu__jfile_create(const char *path, iu_catalog *l, iu_error *err);
/* The path with a suffix, given to the caller; NULL: no memory. */
char *iu__jfile_beside(const char *path, const char *suffix);
/* The same; what one that was killed left there is removed. */
iu_status iu__jfile_temporary(const char *path, const char *suffix, char **out, iu_error *err);
/* Makes it, empty, for the content of `like`: nobody may read it who may not read that one. */
iu_status iu__jfile_reserve(const char *temporary, const char *like, iu_error *err);
/* Syncs it and renames it to `path`, durably. A file that is there is replaced and passes its mode and owner on. */
iu_status iu__jfile_publish(const char *temporary, const char *path, iu_error *err);
/* With what SQLite keeps beside it. */
void iu__jfile_remove(const char *path);
/* Opens for reading; creates nothing as long as the file was closed properly. Where a log was left behind, a close leaves it and the file as they
 * are until SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE is cleared. */
iu_status iu__jfile_open(const char *path, uint32_t busy_timeout_ms, sqlite3 **out, iu_error *err);
/* Before the first write: write-ahead log, every commit synced. */
iu_status iu__jfile_make_writable(sqlite3 *db, const char *path, iu_error *err);
/* Is there a file of this name and suffix ("-wal") with anything in it? */
bool iu__jfile_has(const char *path, const char *suffix);

#endif
