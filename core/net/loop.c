/* loop.c: the libuv loop behind loop.h.
 *
 * libuv frees handles only after a close callback, so every handle is a small heap block of its own that frees itself there; its owner's
 * pointer is dead from the moment it asks. The loop struct counts those blocks and goes when the last is gone: with an
 * own uv loop that happens inside iu__loop_free, with a host's loop in one of the host's later turns.
 *
 * Posted jobs run from an idle handle that is active only while there are any: an active idle handle keeps the poll from sleeping. What is posted while
 * the loop polls (a message came) runs behind the poll, in the same turn, from a check handle, unless older jobs wait for the next turn. Jobs posted for
 * before the poll run from a prepare handle. Each turn's number goes up at those places, so that a job that posts itself waits for the next turn.
 */
#include "loop_internal.h"

#include "../base/alloc.h"
#include "../base/clock.h"

typedef enum handle_kind { HANDLE_TIMER, HANDLE_WAKE, HANDLE_IDLE, HANDLE_PREPARE, HANDLE_CHECK } handle_kind;

typedef struct handle {
  union { uv_handle_t any; uv_timer_t timer; uv_async_t async; uv_idle_t idle; uv_prepare_t prepare; uv_check_t check; } uv;
  iu_loop *loop;
  iu_loop_fn fn; /* NULL once closed */
  void *ud;
} handle;

struct iu_timer { handle h; };
struct iu_wake { handle h; };

struct iu_loop {
  uv_loop_t *uv;
  uv_loop_t own;
  bool is_own, freed, turning, frames;
  uint32_t handles;
  uint64_t deadline, turn, poll; /* poll: the turn's number since it began to poll */
  handle *idle, *prepare, *check, *limit; /* jobs; the bound of a waiting turn */
  iu__guest *guest;     /* core/net's sockets, or NULL */
  iu_job *first, *last; /* posted */
  iu_job *early;        /* posted for before the poll, the newest first */
};
#define UNTIMED_MS 3600000u      /* a bound that is never reached */
#define TURN_EARLY UINT64_MAX /* the turn of a job in `early` */

static void loop_unref(iu_loop *l) {
  if (--l->handles == 0 && l->freed && !l->is_own) iu__free(l);
}

static void handle_closed(uv_handle_t *uv) {
  handle *h = uv->data;
  iu_loop *l = h->loop;
  iu__free(h);
  loop_unref(l);
}

static void handle_close(handle *h) {
  h->fn = NULL;
  if (!uv_is_closing(&h->uv.any)) uv_close(&h->uv.any, handle_closed);
}

/* libuv runs the timers that are due before it looks for events, and would then wait for those all the same. A turn in which something happened ends: what the
 * timer did may be all that its caller waits for. */
static void on_timer(uv_timer_t *t) {
  handle *h = t->data;
  iu_loop *l = h->loop;
  if (h->fn != NULL) h->fn(h->ud);
  if (l->turning) uv_stop(t->loop); /* in a loop that the host runs it would end the host's */
}

static void on_wake(uv_async_t *a) {
  handle *h = a->data;
  if (h->fn != NULL) h->fn(h->ud);
}

static void on_limit(void *ud) { (void)ud; } /* what the loop's own handles are made with */

/* Jobs posted from here on carry this turn's number and wait for the next. */
static void run_jobs(iu_loop *l) {
  uint64_t turn = ++l->turn;
  while (l->first != NULL && l->first->turn < turn) {
    iu_job *job = l->first;
    l->first = job->next;
    if (l->first == NULL) l->last = NULL;
    job->posted = false;
    job->next = NULL;
    job->fn(job->ud); /* may free the job */
    if (iu__loop_over_deadline(l)) break;
  }
  if (l->first == NULL && l->early == NULL) uv_idle_stop(&l->idle->uv.idle); /* an early one that was posted here waits for the next turn */
}

static void on_idle(uv_idle_t *i) {
  handle *h = i->data;
  if (h->fn != NULL) run_jobs(h->loop);
}

static void on_prepare(uv_prepare_t *p) {
  handle *h = p->data;
  iu_loop *l = h->loop;
  if (h->fn == NULL) return;
  while (l->early != NULL) { /* one that is posted meanwhile runs, too: the poll may sleep */
    iu_job *job = l->early;
    l->early = job->next;
    job->posted = false;
    job->next = NULL;
    job->fn(job->ud);
  }
  if (l->first == NULL) uv_idle_stop(&l->idle->uv.idle);
  l->poll = ++l->turn;
}

static void on_check(uv_check_t *c) {
  handle *h = c->data;
  iu_loop *l = h->loop;
  if (h->fn != NULL && l->first != NULL && l->first->turn >= l->poll) run_jobs(l);
}

static handle *handle_new(iu_loop *l, handle_kind kind, iu_loop_fn fn, void *ud, iu_error *err) {
  handle *h = iu__alloc_zero(1, sizeof *h);
  int rc = 0;
  if (h == NULL) {
    iu__fail_nomem(err);
    return NULL;
  }
  h->loop = l;
  h->fn = fn;
  h->ud = ud;
  if (kind == HANDLE_TIMER) rc = uv_timer_init(l->uv, &h->uv.timer);
  if (kind == HANDLE_WAKE) rc = uv_async_init(l->uv, &h->uv.async, on_wake);
  if (kind == HANDLE_IDLE) rc = uv_idle_init(l->uv, &h->uv.idle);
  if (kind == HANDLE_PREPARE) rc = uv_prepare_init(l->uv, &h->uv.prepare);
  if (kind == HANDLE_CHECK) rc = uv_check_init(l->uv, &h->uv.check);
  if (rc != 0) {
    iu__free(h);
    iu__fail(err, IU_E_PERSISTENCE, "event loop: %s", uv_strerror(rc));
    return NULL;
  }
  h->uv.any.data = h;
  l->handles++;
  return h;
}

iu_status iu__loop_new(void *host_uv_loop, iu_loop **out, iu_error *err) {
  iu_loop *l = iu__alloc_zero(1, sizeof *l);
  iu_error ignored;
  int rc;
  *out = NULL;
  if (l == NULL) return iu__fail_nomem(err);
  if (err == NULL) err = &ignored;
  l->is_own = host_uv_loop == NULL;
  l->uv = l->is_own ? &l->own : host_uv_loop;
  if (l->is_own && (rc = uv_loop_init(&l->own)) != 0) {
    iu__free(l);
    return iu__fail(err, IU_E_PERSISTENCE, "event loop: %s", uv_strerror(rc));
  }
  l->idle = handle_new(l, HANDLE_IDLE, on_limit, l, err);
  l->prepare = l->idle != NULL ? handle_new(l, HANDLE_PREPARE, on_limit, l, err) : NULL;
  l->check = l->prepare != NULL ? handle_new(l, HANDLE_CHECK, on_limit, l, err) : NULL;
  l->limit = l->check != NULL ? handle_new(l, HANDLE_TIMER, on_limit, l, err) : NULL;
  if (l->limit == NULL) {
    iu_status status = err->status;
    iu__loop_free(l);
    return status;
  }
  uv_prepare_start(&l->prepare->uv.prepare, on_prepare);
  uv_check_start(&l->check->uv.check, on_check);
  uv_unref(&l->prepare->uv.any); /* they keep nothing waiting */
  uv_unref(&l->check->uv.any);
  *out = l;
  return IU_OK;
}

void iu__loop_free(iu_loop *l) {
  if (l == NULL) return;
  l->freed = true;
  l->handles++; /* not before we are done here */
  if (l->guest != NULL) l->guest->closing(l->guest);
  if (l->idle != NULL) handle_close(l->idle);
  if (l->prepare != NULL) handle_close(l->prepare);
  if (l->check != NULL) handle_close(l->check);
  if (l->limit != NULL) handle_close(l->limit);
  if (l->is_own) {
    while (l->handles > 1) uv_run(l->uv, UV_RUN_ONCE); /* sleeps only for a name lookup that cannot be stopped any more */
    uv_loop_close(&l->own);
    iu__free(l);
    return;
  }
  loop_unref(l);
}

bool iu__loop_turn(iu_loop *l, int64_t wait_ms) {
  if (l->turning) return false;
  l->turning = true;
  /* libuv does not look for events while nothing keeps its loop alive; a wake-up that nobody waits for would leave the descriptor readable for ever. */
  bool limited = wait_ms > 0 || (wait_ms == 0 && !uv_loop_alive(l->uv));
  if (limited) {
    uv_update_time(l->uv);
    uv_timer_start(&l->limit->uv.timer, on_timer, wait_ms > 0 ? (uint64_t)wait_ms : UNTIMED_MS, 0);
  }
  uv_run(l->uv, wait_ms == 0 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
  if (limited) uv_timer_stop(&l->limit->uv.timer);
  l->turning = false;
  return uv_loop_alive(l->uv) != 0;
}

bool iu__loop_turning(const iu_loop *l) { return l->turning; }

void iu__loop_set_deadline(iu_loop *l, uint64_t mono_ns) {
  l->deadline = mono_ns;
  iu__alloc_in_slices(mono_ns != 0);
}

bool iu__loop_has_deadline(const iu_loop *l) { return l->deadline != 0; }

bool iu__loop_over_deadline(const iu_loop *l) { return l->deadline != 0 && iu__clock_mono_ns() >= l->deadline; }

void iu__loop_set_frames(iu_loop *l, bool frames) { l->frames = frames; }
bool iu__loop_in_frames(const iu_loop *l) { return l->frames; }

int iu__loop_fd(const iu_loop *l) { return uv_backend_fd(l->uv); }

int iu__loop_timeout_ms(iu_loop *l) {
  uv_update_time(l->uv);
  return uv_loop_alive(l->uv) ? uv_backend_timeout(l->uv) : -1; /* libuv would say 0 for a loop with nothing to wait for */
}

iu_status iu__timer_start(iu_loop *l, uint64_t delay_ms, uint64_t repeat_ms, iu_loop_fn fn, void *ud, iu_timer **out, iu_error *err) {
  iu_error local;
  handle *h = handle_new(l, HANDLE_TIMER, fn, ud, err != NULL ? err : &local);
  *out = (iu_timer *)h;
  if (h == NULL) return err != NULL ? err->status : local.status;
  /* The loop's clock stands still between turns; a delay counts from now. */
  uv_update_time(l->uv);
  uv_timer_start(&h->uv.timer, on_timer, delay_ms, repeat_ms);
  return IU_OK;
}

void iu__timer_set(iu_timer *t, int64_t delay_ms) {
  if (delay_ms < 0) {
    uv_timer_stop(&t->h.uv.timer);
    return;
  }
  uv_update_time(t->h.loop->uv);
  uv_timer_start(&t->h.uv.timer, on_timer, (uint64_t)delay_ms, 0);
}

void iu__timer_close(iu_timer *t) {
  if (t != NULL) handle_close(&t->h);
}

iu_status iu__wake_new(iu_loop *l, iu_loop_fn fn, void *ud, iu_wake **out, iu_error *err) {
  iu_error local;
  handle *h = handle_new(l, HANDLE_WAKE, fn, ud, err != NULL ? err : &local);
  *out = (iu_wake *)h;
  if (h == NULL) return err != NULL ? err->status : local.status;
  uv_unref(&h->uv.any);
  return IU_OK;
}

void iu__wake_send(iu_wake *w) { uv_async_send(&w->h.uv.async); }

void iu__wake_hold(iu_wake *w, bool held) {
  if (held) uv_ref(&w->h.uv.any);
  else uv_unref(&w->h.uv.any);
}

void iu__wake_close(iu_wake *w) {
  if (w != NULL) handle_close(&w->h);
}

void iu__job_post(iu_loop *l, iu_job *j) {
  if (j->posted) return;
  j->posted = true;
  j->turn = l->turn;
  j->next = NULL;
  if (l->last != NULL) l->last->next = j;
  else l->first = j;
  l->last = j;
  uv_idle_start(&l->idle->uv.idle, on_idle);
}

void iu__job_post_early(iu_loop *l, iu_job *j) {
  if (j->posted) return;
  j->posted = true;
  j->turn = TURN_EARLY;
  j->next = l->early;
  l->early = j;
  uv_idle_start(&l->idle->uv.idle, on_idle); /* posted between our prepare handle and the poll, by a host's: the poll must not sleep */
}

void iu__job_cancel(iu_loop *l, iu_job *j) {
  iu_job **link = &l->first, *before = NULL;
  if (!j->posted) return;
  if (j->turn == TURN_EARLY) link = &l->early;
  while (*link != NULL && *link != j) { before = *link; link = &before->next; }
  if (*link == j) {
    *link = j->next;
    if (l->last == j && j->turn != TURN_EARLY) l->last = before;
  }
  j->posted = false;
  j->next = NULL;
  if (l->first == NULL && l->early == NULL) uv_idle_stop(&l->idle->uv.idle); /* nothing is left that should keep the loop awake */
}

uv_loop_t *iu__loop_uv(iu_loop *l) { return l->uv; }

iu__guest *iu__loop_guest(iu_loop *l) { return l->guest; }

void iu__loop_set_guest(iu_loop *l, iu__guest *guest) { l->guest = guest; }

void iu__loop_hold(iu_loop *l) { l->handles++; }

void iu__loop_unhold(iu_loop *l) { loop_unref(l); }
