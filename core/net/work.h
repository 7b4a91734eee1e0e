/* work.h: a function on a thread of libuv's pool, its end told on the loop: for what would hold up the owner thread (SQL over a file, a backup).
 *
 * The pool is shared with name lookups and has four threads unless UV_THREADPOOL_SIZE says otherwise: who starts work bounds how many run.
 * `run` must not touch what belongs to the owner thread. `done` comes exactly once, by the loop's turn (or while the loop is freed), also for work that
 * was stopped before it began; the iu_work is dead then. Work in flight keeps the loop waiting.
 */
#ifndef IU_NET_WORK_H
#define IU_NET_WORK_H

#include "loop.h"

typedef struct iu_work iu_work;
/* ran: false when it was stopped before it began. */
typedef void (*iu_work_done)(void *ud, bool ran);

iu_status iu__work_start(iu_loop *loop, iu_loop_fn run, iu_work_done done, void *ud, iu_work **out, iu_error *err);
/* Sees to it that `run` is not running any more and will not: work that did not begin never does, else this blocks until it ended. `done` is still to come. */
void iu__work_stop(iu_work *w);

#endif
