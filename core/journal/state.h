/* state.h: the SQLite journal's parts and which thread may touch which.
 *
 *   fixed     set by open, read by both threads
 *   the db's  owner until the thread starts, then the thread's, then (after the join in close) the owner's again
 *   shared    only under `mutex`
 *   the owner's
 */
#ifndef IU_JOURNAL_STATE_H
#define IU_JOURNAL_STATE_H

#include <pthread.h>
#include <sys/types.h>

#include "fold.h"
#include "impl.h"
#include "load.h"
#include "lock.h"

#define IU_CHECKPOINT_PAGES 4096         /* of the write-ahead log: 16 MiB */
#define IU_WRITE_EARLY_BYTES (4u << 20)  /* `normal`: queued bytes that are written before the window ends */

typedef struct iu_sqlite_journal {
  iu_journal base;

  /* fixed */
  iu_journal_config config;
  char *path;
  pid_t pid;
  bool is_new;
  iu_lock lock;
  iu_catalog catalog;   /* but its statements are the db's */
  iu_file_state found; /* in the file at open */

  /* the db's */
  sqlite3 *db;
  iu_writer writer;
  iu_fold fold;
  int wal_pages, checkpoint_at; /* of the write-ahead log */
  sqlite3_int64 wal_room;       /* bytes of it that are known to be there, used or not */

  /* shared */
  pthread_mutex_t mutex;
  pthread_cond_t work;  /* for the thread: something to do */
  pthread_cond_t done;  /* for the owner: progress, failure */
  iu_queue queue;
  iu_meta_set meta;
  bool meta_dirty;
  uint64_t last, durable, folded;
  uint64_t pending_bytes, journal_bytes, groups_written, frames_folded;
  uint64_t queued_ns;   /* when the queue stopped being empty */
  uint64_t active_ns;   /* last commit of the thread, or the start */
  uint64_t fold_target; /* asked for */
  uint64_t fold_after_ns; /* no fold before this: the last try had no memory */
  iu_status fold_trouble; /* that try's failure, for who asked */
  char *script;         /* to be run by the thread (extend.c); owned */
  bool script_waits;    /* an answer is owed, and: */
  bool script_done;
  bool script_dropped;  /* nobody asks for the answer any more */
  iu_error script_error;
  bool draining;        /* the journal passed its cap and is being folded down */
  bool hurry, stop, failed;
  bool held;            /* appends do not wake the thread */
  bool resting;         /* the thread sleeps */
  uint64_t rest_until;  /* and until when */
  bool lent;            /* the owner has what is the db's: the thread keeps off */
  iu_error error;       /* why it failed */

  /* the owner's */
  bool locks_made, loaded, load_failed, started;
  bool was_full;        /* by the last append, or when it was looked at last */
  pthread_t thread;
} iu_sqlite_journal;

/* thread.c. Starts the thread with all signals blocked. */
iu_status iu__journal_thread_start(iu_sqlite_journal *j, iu_error *err);
/* Under the mutex: writes what is queued on the caller's thread, where the journal's sleeps; false: it does not. */
bool iu__journal_write_here(iu_sqlite_journal *j);
/* extend.c. Under the mutex, on the thread: runs the script; false: the journal has failed, as *err says. */
bool iu__journal_extend(iu_sqlite_journal *j, iu_error *err);
iu_status iu__journal_sqlite_ask_extend(iu_journal *base, const char *sql, iu_error *err);
bool iu__journal_sqlite_extended(iu_journal *base, iu_status *status, iu_error *err);
/* sqlite.c. Before the thread starts: what recover_prefix lost goes out of the journal (aside.h). */
iu_status iu__journal_cut_lost(iu_sqlite_journal *j, const iu_journal_recovery *r, iu_error *err);
/* Under the mutex: says what a failed journal says to everyone who asks. Gives IU_E_STORAGE (or the cause's own status). */
iu_status iu__journal_report(const iu_sqlite_journal *j, iu_error *err);
/* tidy.c: makes a plain file of it, when everything is written and folded: gives unused pages back, notes the proper close, leaves
 * write-ahead mode. */
iu_status iu__journal_tidy(iu_sqlite_journal *j, iu_error *err);
/* Copies the write-ahead log into the file. Due when wal_pages reaches checkpoint_at. */
iu_status iu__journal_checkpoint(iu_sqlite_journal *j, iu_error *err);
/* With `full`: lengthens the write-ahead log ahead of its use, so that small commits only overwrite. */
void iu__journal_make_room(iu_sqlite_journal *j);

#endif
