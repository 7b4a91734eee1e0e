/* compact.h: a universe file without its unused pages, its tables in order. */
#ifndef IU_JOURNAL_COMPACT_H
#define IU_JOURNAL_COMPACT_H

#include "../base/error.h"

/* The file must be closed properly (open and close it before: that folds); its lock is held meanwhile. The new file is written beside it, synced, and renamed over it:
 * killed at any moment the universe is there, as before or compact. Needs as much room as the file takes. Bytes before and after. */
iu_status iu__compact(const char *path, uint64_t *before, uint64_t *after, iu_error *err);

#endif
