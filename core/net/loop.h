/* loop.h: one libuv loop for everything a universe waits for: timers, wake-ups from other threads, deferred jobs.
 *
 * A loop is made over a uv_loop_t of its own or over the host's. It is used on one thread; only iu__wake_send may be called from others.
 * Jobs: a job that is posted runs once in the loop's next turn, in order of posting; posted by what the poll brought, in the same turn, behind it. A job
 * may post itself again (then it runs in the turn after). When the deadline is over the jobs behind the one that runs wait for the next turn.
 * Handles (timers, wakes, jobs) belong to their maker, which must close them before the loop is freed; closing is immediate from
 * the caller's view: the callback will not be called again.
 */
#ifndef IU_NET_LOOP_H
#define IU_NET_LOOP_H

#include "../base/error.h"

typedef struct iu_loop iu_loop;
typedef void (*iu_loop_fn)(void *ud);

iu_status iu__loop_new(void *host_uv_loop /* NULL: own */, iu_loop **out, iu_error *err);
/* Closes what the loop made for itself and drains it; handles of others must be closed before. */
void iu__loop_free(iu_loop *l);
/* One turn: runs what is ready; waits at most wait_ms for something when nothing is (0: does not wait, < 0: without limit, but returns
 * at once when nothing could ever happen). Returns true while there is something to wait for. Not reentrant: IU_E_PERSISTENCE-like misuse returns false
 * and does nothing. */
bool iu__loop_turn(iu_loop *l, int64_t wait_ms);
bool iu__loop_turning(const iu_loop *l);
/* The time budget of the present turn, for jobs that work in slices: true when it is spent. No budget: never. */
void iu__loop_set_deadline(iu_loop *l, uint64_t mono_ns /* 0: none */);
bool iu__loop_over_deadline(const iu_loop *l);
bool iu__loop_has_deadline(const iu_loop *l);
/* The host turns it once a frame, with a budget: what takes long should wait for a turn also where it is begun between turns. Until it is said otherwise. */
void iu__loop_set_frames(iu_loop *l, bool frames);
bool iu__loop_in_frames(const iu_loop *l);
/* File descriptor to poll, for hosts with a loop of their own; -1 where there is none; and how long the host may sleep (ms, -1: no timer). */
int iu__loop_fd(const iu_loop *l);
int iu__loop_timeout_ms(iu_loop *l);

typedef struct iu_timer iu_timer;
/* One shot when repeat_ms is 0. */
iu_status iu__timer_start(iu_loop *l, uint64_t delay_ms, uint64_t repeat_ms, iu_loop_fn fn, void *ud, iu_timer **out, iu_error *err);
/* Fires once in so many milliseconds instead of whenever it would have; negative: not at all, and the loop does not wait for it. */
void iu__timer_set(iu_timer *t, int64_t delay_ms);
void iu__timer_close(iu_timer *t);

typedef struct iu_wake iu_wake;
iu_status iu__wake_new(iu_loop *l, iu_loop_fn fn, void *ud, iu_wake **out, iu_error *err);
void iu__wake_send(iu_wake *w);     /* any thread; calls are merged */
/* While someone waits for this wake-up the loop may sleep for it; otherwise it does not keep the loop waiting. */
void iu__wake_hold(iu_wake *w, bool held);
void iu__wake_close(iu_wake *w);

typedef struct iu_job { struct iu_job *next; iu_loop_fn fn; void *ud; uint64_t turn; bool posted; } iu_job;
void iu__job_post(iu_loop *l, iu_job *j);     /* posting twice is once */
/* Runs once before the loop next looks for events: for what would be said to the system piece by piece otherwise. Does not keep the loop from sleeping. */
void iu__job_post_early(iu_loop *l, iu_job *j);
void iu__job_cancel(iu_loop *l, iu_job *j);

#endif
