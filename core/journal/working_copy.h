/* working_copy.h: a private copy of a universe file, to be changed at leisure and then published over the original in one step, or thrown away.
 *
 *   new -> fill -> { run (elsewhere) }... -> (work on the file `iu__working_copy_file`) -> { publish -> { run }... -> (go on working) }... -> release
 *
 * From `new` to the last release the original is locked as an open universe locks it, so no universe is open there, and nothing but `publish` writes to it. The
 * copy stands beside it (`<path>.iu-work`); what one that was killed left there is removed by `new`.
 *
 * Publishing writes all pages of the copy into the original in one SQLite transaction, through the write-ahead log, which is synced before it counts: after a crash
 * or a power loss at any moment the original holds entirely what it held before, or entirely what the copy held. It stays the same file (links, owner, mode), and
 * programs that read it by SQLite see the old content until they begin anew. Rename would be cheaper; but a reader that has the old file open would then take the next
 * universe's log for its own, for logs go by name. A failure leaves the original as it was.
 *
 * A copy is folded: its journal is empty. fill gives back what is in the original now, also later again (then what the copy held is lost).
 *
 * Runs work in slices, on any one thread at a time; in between the copy must not be open. All else, and the last release, on the owner's.
 */
#ifndef IU_JOURNAL_WORKING_COPY_H
#define IU_JOURNAL_WORKING_COPY_H

#include "../base/error.h"

#define IU_WORKING_COPY_SLICE_MS 50u /* of a run, about */

typedef struct iu_working_copy iu_working_copy;

/* One reference is given. IU_E_UNIVERSE_LOCKED: it is open. IU_E_STORAGE: there is no universe, or it cannot be read or written. */
iu_status iu__working_copy_new(const char *path, iu_working_copy **out, iu_error *err);
void iu__working_copy_retain(iu_working_copy *w);
/* The last one ends what runs, removes the copy and unlocks the original. */
void iu__working_copy_release(iu_working_copy *w);
/* Both absolute; borrowed. */
const char *iu__working_copy_file(const iu_working_copy *w);
const char *iu__working_copy_target(const iu_working_copy *w);

/* What the next runs do. IU_E_CONFLICT: something is on its way. */
iu_status iu__working_copy_fill(iu_working_copy *w, iu_error *err);
iu_status iu__working_copy_publish(iu_working_copy *w, iu_error *err);
/* A slice. A failure ends it: the copy is empty (fill), or the original as before (publish: IU_E_CONFLICT where others changed it meanwhile). */
iu_status iu__working_copy_run(iu_working_copy *w, uint32_t slice_ms, iu_error *err);
/* Runs end with IU_E_TIMEOUT past this time of iu__clock_mono_ns; 0: none. */
void iu__working_copy_limit(iu_working_copy *w, uint64_t deadline_ns);
/* Bytes; true when nothing is left to be done. */
bool iu__working_copy_progress(const iu_working_copy *w, uint64_t *done, uint64_t *total);
/* Between runs: what is on its way is given up, as by a failure. */
void iu__working_copy_stop(iu_working_copy *w);
/* From any thread: the run ends with IU_E_CLOSED. */
void iu__working_copy_cancel(iu_working_copy *w);

#endif
