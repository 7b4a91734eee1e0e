/* journal.h: durability behind a handful of functions.
 *
 * Two implementations of one interface: `sqlite` (a file, two steps: append groups, fold later; a thread of its own) and `null` (keeps nothing,
 * for memory:). The owner thread calls everything here; the journal's thread never calls out except `wake`.
 *
 * Order of calls: open -> load (once) -> append/flush/poll... -> close. Opening locks the file, checks that it is ours and of a format we know,
 * and compares the stored table definitions with the schema: tables that are new are created, columns added at the end with a default value and unique
 * constraints are brought to the file when it is loaded (alter.h); any other difference is IU_E_MIGRATION with a list.
 * A file that is damaged, foreign, of a newer format, in a folder that cannot be written: IU_E_STORAGE saying which, the file's bytes
 * untouched. Locked by another process (or another universe of this one): IU_E_UNIVERSE_LOCKED with the holder's process id.
 *
 * A commit becomes a frame with a sequence number. Groups of frames become one row of `_iu_journal` (sequence, frames, checksum): durable when that
 * SQLite transaction is. Folding moves frames into one SQL table per table, last state of a row only, and deletes them in the same transaction.
 * A failed write or fsync is final: poll reports it, further appends are refused, and the error says which sequences were applied but not saved.
 */
#ifndef IU_JOURNAL_JOURNAL_H
#define IU_JOURNAL_JOURNAL_H

#include "../base/log.h"
#include "../store/store.h"

/* Bytes of one set of metadata, of one commit as it is queued (a transaction's cap is far below), and what a queue block holds. */
#define IU_JOURNAL_META_MAX 4096
#define IU_JOURNAL_COMMIT_MAX (256u << 20)
#define IU_JOURNAL_COLUMNS_MAX 1999     /* of one table: SQLite's own limit is 2000, one is `_row` */
/* What marks a file as ours (PRAGMA application_id, "IUnv"), and the newest layout this library reads and writes (PRAGMA user_version). */
#define IU_JOURNAL_APPLICATION_ID 0x49556e76
#define IU_JOURNAL_FORMAT 1

typedef enum iu_durability { IU_DUR_FULL, IU_DUR_NORMAL, IU_DUR_OFF } iu_durability;

/* One thing in which the file's table differs from the schema's, in words; both borrowed. It may not call anything here. */
typedef void (*iu_difference_fn)(void *ud, const char *table, const char *what);

typedef struct iu_journal_config {
  const char *path;              /* borrowed; NULL: keep nothing */
  bool snapshot;                 /* start with what the file at `path` holds, and keep nothing: no lock, no change to it (snapshot.h) */
  bool known_only;               /* with snapshot: tables of the file that the schema has not are left out; else they are a difference */
  bool recover_prefix;           /* a journal that is damaged: keep the commits before the damage, the rest is set aside; else it is refused */
  const iu_schema *schema;       /* held */
  iu_durability durability;
  uint32_t flush_interval_ms;    /* `normal`: longest time a commit waits for its fsync (default 20) */
  uint64_t fold_bytes;           /* journal bytes in the file that start a fold (default 64 MiB) */
  uint64_t pending_bytes_max;    /* commits not yet written, in memory (default 256 MiB); past it the journal is full */
  uint32_t fold_idle_ms;         /* fold after this long without commits (default 1000) */
  uint32_t busy_timeout_ms;      /* how long to wait for other readers of the file (default 5000) */
  iu_difference_fn differs;      /* hears of every difference, before the open ends with IU_E_MIGRATION, whose message names the first few; may be NULL */
  void *differs_ud;
  void (*wake)(void *ud);        /* called on the journal's thread after progress or failure: schedule a poll; may be NULL */
  void *wake_ud;
} iu_journal_config;

typedef struct iu_journal iu_journal;
void iu__journal_config_init(iu_journal_config *c);
iu_status iu__journal_open(const iu_journal_config *c, iu_journal **out, iu_error *err);
/* true when the open made a new, empty universe, or found one in which nothing was ever committed or set. */
bool iu__journal_is_new(const iu_journal *j);

/* Small named blobs of the file itself (owner identity, sequences, ...), read at open, written with the next group. */
typedef enum iu_meta { IU_META_OWNER /* 32 bytes */, IU_META_DATABASE_IDENTITY /* 32 bytes */, IU_META_MODULES /* 8 bytes each */, IU_META_COUNT } iu_meta;
/* NULL when absent. Borrowed until close or the next set. */
const uint8_t *iu__journal_meta(const iu_journal *j, iu_meta which, size_t *len);
iu_status iu__journal_set_meta(iu_journal *j, iu_meta which, const void *bytes, size_t len, iu_error *err);

/* Gives back everything stored: rows of the folded tables, then the frames that are not folded, in order. `put` replaces the row of the same key.
 * `del` gets the key column's BSATN (or the whole row where there is no primary key). `sequence` restores auto-increment positions. */
typedef struct iu_journal_sink {
  void *ud;
  iu_status (*put)(void *ud, uint32_t table, const void *row, size_t len, iu_error *err);
  iu_status (*del)(void *ud, uint32_t table, const void *key, size_t len, iu_error *err);
  iu_status (*sequence)(void *ud, uint32_t table, uint32_t sequence, int64_t next, iu_error *err);
  iu_status (*tables_read)(void *ud, iu_error *err); /* may be NULL: all rows of the tables were put, each key once; those of the frames follow */
} iu_journal_sink;
/* Lost, with recover_prefix: the commits from lost_first to lost_last, why, and the file that what is left of them was set aside in. */
#define IU_JOURNAL_FILE_MAX 4352  /* a path and a suffix */
typedef struct iu_journal_recovery {
  uint64_t table_rows;                        /* read from the tables */
  uint64_t frames_replayed, rows_replayed;    /* commits of the journal, and the rows that they put or deleted */
  uint64_t last_sequence;
  bool clean;                                 /* closed properly */
  uint64_t lost_first, lost_last;             /* 0: nothing */
  char lost_why[IU_ERROR_MESSAGE_MAX], lost_file[IU_JOURNAL_FILE_MAX];
} iu_journal_recovery;
iu_status iu__journal_load(iu_journal *j, const iu_journal_sink *sink, iu_journal_recovery *out, iu_error *err);

/* pending_bytes_max is reached: no transaction should begin. To be asked before one, since one that has begun is let in. Nothing but an append makes it
 * true, and `wake` tells when it may be false again; false, too, once the journal has failed. Costs nothing while it is false. */
bool iu__journal_full(iu_journal *j);
/* To ask before a transaction commits in the store, since a commit that cannot be queued afterwards could not be undone: IU_OK, IU_E_OVERLOADED
 * (larger than IU_JOURNAL_COMMIT_MAX), IU_E_NOMEM, or the failure. After IU_OK the next append succeeds when its rows (new ones, and old ones of
 * deletes) come to at most `bytes`; a larger one may still run out of memory. Costs as little as an append. */
iu_status iu__journal_ready(iu_journal *j, uint64_t bytes, iu_error *err);
/* Queues one commit; copies what it needs. *seq is its number. With `full` and `normal` the thread writes soon; with `off` nothing is
 * written before flush, close, or pending_bytes_max / 2. `next_values`: auto-increment positions changed by this commit. */
typedef struct iu_sequence_value { uint32_t table, sequence; int64_t next; } iu_sequence_value;
iu_status iu__journal_append(iu_journal *j, const iu_changeset *c, const iu_sequence_value *next_values, uint32_t next_count,
                             uint64_t *seq, iu_error *err);
/* Highest sequence known to be on disk; sets *err when the journal has failed (then it returns what was durable before). */
uint64_t iu__journal_durable(iu_journal *j, iu_status *failed, iu_error *err);
/* Asks for everything so far to be written and fsynced now (does not wait). */
void iu__journal_hurry(iu_journal *j);
/* The thread is not told of what is appended until this is off again or someone waits: a wait then writes it on the spot, when the thread sleeps, and spares
 * both changes of thread. Whoever turns it on turns it off before anything else than appends and one wait. */
void iu__journal_hold(iu_journal *j, bool on);
/* Blocks until `seq` is durable, the journal failed (that error), or the time is over (IU_E_TIMEOUT). timeout_ms < 0: no limit. */
iu_status iu__journal_wait(iu_journal *j, uint64_t seq, int64_t timeout_ms, iu_error *err);
/* Blocks until everything appended so far is durable and folded. */
iu_status iu__journal_fold(iu_journal *j, int64_t timeout_ms, iu_error *err);
/* Asks for that and does not wait: `wake` tells when iu__journal_folded has reached *seq, or the journal failed. */
iu_status iu__journal_ask_fold(iu_journal *j, uint64_t *seq, iu_error *err);
/* Highest sequence that is in the tables of the file. */
uint64_t iu__journal_folded(iu_journal *j);
/* Has SQL run in one transaction of the journal's thread that makes something beside the tables, kept by triggers: its names begin with `_iu_text`, and it
 * may write nothing else. One at a time (IU_E_OVERLOADED until its outcome was taken). `wake` tells when iu__journal_extended has the outcome, which it gives once;
 * status NULL: nobody will ask for it any more. Other commits wait in memory meanwhile; what is closed before it began is not made. */
iu_status iu__journal_ask_extend(iu_journal *j, const char *sql, iu_error *err);
bool iu__journal_extended(iu_journal *j, iu_status *status, iu_error *err);
/* The file, absolute and without symbolic links; NULL where nothing is kept. Borrowed until close. */
const char *iu__journal_path(const iu_journal *j);
typedef struct iu_journal_stats {
  uint64_t last_sequence, durable_sequence, folded_sequence, pending_bytes, journal_bytes, groups_written, frames_folded;
  uint32_t format; bool failed;
} iu_journal_stats;
void iu__journal_get_stats(iu_journal *j, iu_journal_stats *out);
/* Writes, folds, closes, unlocks. Always frees; the status tells whether everything was saved. */
iu_status iu__journal_close(iu_journal *j, iu_error *err);

#endif
