/* ahead.h: rows read by a thread of its own, some ahead of the caller, who checks and keeps them meanwhile.
 *
 * `next` gives a row at a time (*row false: there are no more), on the reading thread; whatever it reads from belongs to that thread until iu__jahead_rows
 * returns. `take` gets the rows in their order, on the caller's thread. What fails ends it: of both sides what comes first in the order of the rows, so
 * that the outcome is that of a plain loop.
 */
#ifndef IU_JOURNAL_AHEAD_H
#define IU_JOURNAL_AHEAD_H

#include "../sats/bsatn.h"

#define IU_AHEAD_BATCHES 3u
#define IU_AHEAD_BATCH_BYTES (256u << 10)  /* of one batch, and whatever its last row has more */

typedef struct iu_ahead_ends {
  iu_status (*next)(void *ud, bool *row, iu_slice *bytes, iu_error *err);
  iu_status (*take)(void *ud, iu_slice bytes, iu_error *err);
  void *ud;
} iu_ahead_ends;

iu_status iu__jahead_rows(const iu_ahead_ends *ends, iu_error *err);

#endif
