/* backup.h: a copy of a universe file while it is written, in slices, on any one thread at a time.
 *
 *   new -> { limit -> run (elsewhere) -> progress }... -> free
 *
 * The copy is of one moment, the first run: what was durable then. It holds the journal's commits as they are, so it needs no fold. It is written beside its
 * target, synced, and renamed there by the last run: the target is whole or not there at all. Where it is made the lock of a universe is held, so that none is open
 * there. The write-ahead log of the source keeps what was not copied yet until the end.
 */
#ifndef IU_JOURNAL_BACKUP_H
#define IU_JOURNAL_BACKUP_H

#include "../base/error.h"

#define IU_BACKUP_SLICE_MS 50u       /* of a run, about */

/* iu_backup is public: inner_universe.h. */

/* `source`: a universe's file; `lock_source`: it is open nowhere, and must stay so. `target`: IU_E_VALIDATION when there is a file and `overwrite` is false,
 * when it is the source; IU_E_STORAGE when it is no universe, or one that was not closed properly; IU_E_UNIVERSE_LOCKED when it is open. */
iu_status iu__backup_new(const char *source, const char *target, bool lock_source, bool overwrite, iu_backup **out, iu_error *err);
/* Runs end with IU_E_TIMEOUT past this time of iu__clock_mono_ns; 0: none. */
void iu__backup_limit(iu_backup *b, uint64_t deadline_ns);
/* A slice. After a failure every further one fails so, too. */
iu_status iu__backup_run(iu_backup *b, uint32_t slice_ms, iu_error *err);
/* Bytes; true when the target is complete. */
bool iu__backup_progress(const iu_backup *b, uint64_t *done, uint64_t *total);
/* From any thread: the run ends with IU_E_CLOSED. */
void iu__backup_cancel(iu_backup *b);
/* Not while it runs. Removes what is not complete. */
void iu__backup_free(iu_backup *b);

#endif
