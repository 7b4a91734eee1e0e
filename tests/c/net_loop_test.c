/* The loop: jobs, timers, wake-ups, turns, deadlines, a host's own uv loop. Waits are bounded from above generously (a loaded machine is slow)
 * and from below exactly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <uv.h>

#include "../../core/base/clock.h"
#include "../../core/base/errinj.h"
#include "../../core/net/loop.h"
#include "../../core/net/work.h"

#define MS 1000000u

typedef struct world world;
typedef struct actor { world *w; char name; iu_job job; iu_timer *timer; iu_wake *wake; int count; struct actor *other; bool flag; } actor;
struct world { iu_loop *l; iu_error err; char log[256]; size_t len; actor a, b, c; };

static void note(world *w, char c) {
  assert_true(w->len + 1 < sizeof w->log);
  w->log[w->len++] = c;
  w->log[w->len] = '\0';
}

static void job_note(void *ud) {
  actor *a = ud;
  a->count++;
  note(a->w, a->name);
}

static void actor_init(world *w, actor *a, char name) {
  a->w = w;
  a->name = name;
  a->job.fn = job_note;
  a->job.ud = a;
}

static int setup(void **state) {
  world *w = calloc(1, sizeof *w);
  assert_non_null(w);
  assert_int_equal(iu__loop_new(NULL, &w->l, &w->err), IU_OK);
  actor_init(w, &w->a, 'a');
  actor_init(w, &w->b, 'b');
  actor_init(w, &w->c, 'c');
  *state = w;
  return 0;
}

static int teardown(void **state) {
  world *w = *state;
  iu__loop_free(w->l);
  free(w);
  return 0;
}

/* ---- jobs ---- */

static void jobs_run_in_order_of_posting_once(void **state) {
  world *w = *state;
  iu__job_post(w->l, &w->b.job);
  iu__job_post(w->l, &w->a.job);
  iu__job_post(w->l, &w->c.job);
  iu__job_post(w->l, &w->b.job); /* twice is once, at its first place */
  assert_string_equal(w->log, "");
  iu__loop_turn(w->l, 0);
  assert_string_equal(w->log, "bac");
  assert_false(iu__loop_turn(w->l, 0));
  assert_string_equal(w->log, "bac");
}

static void repost(void *ud) {
  actor *a = ud;
  note(a->w, a->name);
  if (++a->count < 3) iu__job_post(a->w->l, &a->job);
  if (a->other != NULL) iu__job_post(a->w->l, &a->other->job);
}

static void a_job_posted_from_a_job_runs_in_the_turn_after(void **state) {
  world *w = *state;
  w->a.job.fn = repost;
  w->a.other = &w->b;
  iu__job_post(w->l, &w->a.job);
  iu__loop_turn(w->l, 0);
  assert_string_equal(w->log, "a");
  iu__loop_turn(w->l, 0);
  assert_string_equal(w->log, "aab");
  iu__loop_turn(w->l, 0);
  assert_string_equal(w->log, "aaba"); /* b, still posted when a posted it again, ran once */
  iu__loop_turn(w->l, 0);
  assert_string_equal(w->log, "aabab");
  assert_false(iu__loop_turn(w->l, 0));
}

static void cancel_other(void *ud) {
  actor *a = ud;
  note(a->w, a->name);
  iu__job_cancel(a->w->l, &a->other->job);
}

/* Before the poll, in any order; one that is posted by another one too; a cancelled one does not run. */
static void post_early_other(void *ud) {
  actor *a = ud;
  job_note(ud);
  if (a->other != NULL) iu__job_post_early(a->w->l, &a->other->job);
}

static void early_jobs_run_before_the_loop_looks_for_events(void **state) {
  world *w = *state;
  w->a.job.fn = post_early_other;
  w->a.other = &w->b;
  iu__job_post_early(w->l, &w->a.job);
  iu__job_post_early(w->l, &w->a.job);
  iu__job_post_early(w->l, &w->c.job);
  iu__job_cancel(w->l, &w->c.job);
  assert_int_equal(iu__loop_timeout_ms(w->l), 0); /* a host that sleeps by itself turns the loop before, whatever is cancelled */
  iu__job_post(w->l, &w->c.job); /* keeps the turn from ending at once */
  iu__loop_turn(w->l, 0);
  assert_string_equal(w->log, "cab");
}

static void a_cancelled_job_does_not_run(void **state) {
  world *w = *state;
  uint64_t start = iu__clock_mono_ns();
  iu__job_cancel(w->l, &w->a.job); /* not posted: nothing happens */
  iu__job_post(w->l, &w->a.job);
  iu__job_cancel(w->l, &w->a.job);
  assert_false(iu__loop_turn(w->l, -1)); /* and keeps nothing awake */
  assert_true(iu__clock_mono_ns() - start < 5000u * MS);
  /* first, middle, last; posting still works at the end */
  iu__job_post(w->l, &w->a.job);
  iu__job_post(w->l, &w->b.job);
  iu__job_post(w->l, &w->c.job);
  iu__job_cancel(w->l, &w->c.job);
  iu__job_cancel(w->l, &w->a.job);
  iu__job_post(w->l, &w->c.job);
  iu__loop_turn(w->l, 0);
  assert_string_equal(w->log, "bc");
}

static void a_job_may_cancel_one_of_its_own_turn(void **state) {
  world *w = *state;
  w->a.job.fn = cancel_other;
  w->a.other = &w->b;
  iu__job_post(w->l, &w->a.job);
  iu__job_post(w->l, &w->b.job);
  iu__job_post(w->l, &w->c.job);
  iu__loop_turn(w->l, 0);
  iu__loop_turn(w->l, 0);
  assert_string_equal(w->log, "ac");
}

static void free_me(void *ud) {
  actor *a = ud;
  note(a->w, a->name);
  free(a);
}

static void a_job_may_free_itself(void **state) {
  world *w = *state;
  actor *own = calloc(1, sizeof *own);
  assert_non_null(own);
  actor_init(w, own, 'x');
  own->job.fn = free_me;
  iu__job_post(w->l, &own->job);
  iu__job_post(w->l, &w->a.job);
  iu__loop_turn(w->l, 0);
  assert_string_equal(w->log, "xa");
}

/* ---- timers ---- */

static void timer_note(void *ud) {
  actor *a = ud;
  a->count++;
  note(a->w, a->name);
}

static void timer_close_self(void *ud) {
  actor *a = ud;
  timer_note(ud);
  if (a->count < 3) return;
  iu__timer_close(a->timer);
  a->timer = NULL;
}

static void a_timer_fires_once_not_before_its_time(void **state) {
  world *w = *state;
  uint64_t start = iu__clock_mono_ns();
  assert_int_equal(iu__timer_start(w->l, 20, 0, timer_note, &w->a, &w->a.timer, &w->err), IU_OK);
  assert_int_equal(iu__loop_timeout_ms(w->l) <= 20, 1);
  while (w->a.count == 0) assert_true(iu__loop_turn(w->l, -1) || w->a.count > 0);
  assert_true(iu__clock_mono_ns() - start >= 19u * MS);
  assert_false(iu__loop_turn(w->l, 0));
  assert_int_equal(w->a.count, 1);
  iu__timer_close(w->a.timer);
}

static void a_repeating_timer_may_close_itself(void **state) {
  world *w = *state;
  assert_int_equal(iu__timer_start(w->l, 1, 1, timer_close_self, &w->a, &w->a.timer, &w->err), IU_OK);
  while (w->a.timer != NULL) iu__loop_turn(w->l, -1);
  for (int i = 0; i < 5; i++) iu__loop_turn(w->l, 2);
  assert_int_equal(w->a.count, 3);
}

static void timer_close_other(void *ud) {
  actor *a = ud;
  timer_note(ud);
  iu__timer_close(a->other->timer);
}

static void a_closed_timer_never_fires(void **state) {
  world *w = *state;
  assert_int_equal(iu__timer_start(w->l, 0, 0, timer_close_other, &w->a, &w->a.timer, &w->err), IU_OK);
  assert_int_equal(iu__timer_start(w->l, 0, 0, timer_note, &w->b, &w->b.timer, &w->err), IU_OK); /* due in the same turn */
  assert_int_equal(iu__timer_start(w->l, 0, 0, timer_note, &w->c, &w->c.timer, &w->err), IU_OK);
  w->a.other = &w->b;
  iu__timer_close(w->c.timer);
  for (int i = 0; i < 4; i++) iu__loop_turn(w->l, 1);
  assert_string_equal(w->log, "a");
  iu__timer_close(w->a.timer);
  iu__timer_close(NULL);
}

static void a_delay_counts_from_the_call_even_when_the_loop_slept_long(void **state) {
  world *w = *state;
  struct timespec nap = {0, 30 * MS};
  iu__loop_turn(w->l, 0);
  nanosleep(&nap, NULL); /* the loop's clock stands still meanwhile */
  uint64_t start = iu__clock_mono_ns();
  assert_int_equal(iu__timer_start(w->l, 20, 0, timer_note, &w->a, &w->a.timer, &w->err), IU_OK);
  while (w->a.count == 0) iu__loop_turn(w->l, -1);
  assert_true(iu__clock_mono_ns() - start >= 19u * MS);
  iu__timer_close(w->a.timer);
}

/* ---- turns ---- */

static void turn_inside(void *ud) {
  actor *a = ud;
  assert_true(iu__loop_turning(a->w->l));
  a->flag = iu__loop_turn(a->w->l, 0);
  note(a->w, a->name);
}

static void a_turn_inside_a_turn_does_nothing(void **state) {
  world *w = *state;
  w->a.job.fn = turn_inside;
  w->a.flag = true;
  iu__job_post(w->l, &w->a.job);
  iu__job_post(w->l, &w->b.job);
  assert_false(iu__loop_turning(w->l));
  iu__loop_turn(w->l, 0);
  assert_false(iu__loop_turning(w->l));
  assert_false(w->a.flag);
  assert_string_equal(w->log, "ab");
}

static void a_turn_waits_no_longer_than_it_was_told(void **state) {
  world *w = *state;
  uint64_t start;
  assert_int_equal(iu__timer_start(w->l, 60000, 0, timer_note, &w->a, &w->a.timer, &w->err), IU_OK);
  start = iu__clock_mono_ns();
  assert_true(iu__loop_turn(w->l, 25));
  uint64_t took = iu__clock_mono_ns() - start;
  assert_true(took >= 24u * MS && took < 10000u * MS);
  start = iu__clock_mono_ns();
  assert_true(iu__loop_turn(w->l, 0));
  assert_true(iu__clock_mono_ns() - start < 5000u * MS);
  iu__timer_close(w->a.timer);
  start = iu__clock_mono_ns();
  iu__loop_turn(w->l, -1); /* nothing could ever happen: at once */
  assert_true(iu__clock_mono_ns() - start < 5000u * MS);
  assert_false(iu__loop_turn(w->l, -1));
}

static void a_posted_job_keeps_a_turn_from_waiting(void **state) {
  world *w = *state;
  uint64_t start = iu__clock_mono_ns();
  assert_int_equal(iu__timer_start(w->l, 60000, 0, timer_note, &w->b, &w->b.timer, &w->err), IU_OK);
  iu__job_post(w->l, &w->a.job);
  assert_int_equal(iu__loop_timeout_ms(w->l), 0);
  iu__loop_turn(w->l, 30000);
  assert_true(iu__clock_mono_ns() - start < 10000u * MS);
  assert_string_equal(w->log, "a");
  iu__timer_close(w->b.timer);
}

static void the_deadline_is_over_when_its_time_is(void **state) {
  world *w = *state;
  assert_false(iu__loop_over_deadline(w->l));
  iu__loop_set_deadline(w->l, iu__clock_mono_ns() + 60000ull * MS);
  assert_false(iu__loop_over_deadline(w->l));
  iu__loop_set_deadline(w->l, iu__clock_mono_ns());
  assert_true(iu__loop_over_deadline(w->l));
  iu__loop_set_deadline(w->l, 0);
  assert_false(iu__loop_over_deadline(w->l));
  assert_true(iu__loop_fd(w->l) >= 0);
}

/* ---- wake-ups ---- */

static void *send_soon(void *ud) {
  struct timespec nap = {0, 10 * MS};
  nanosleep(&nap, NULL);
  for (int i = 0; i < 3; i++) iu__wake_send(((actor *)ud)->wake);
  return NULL;
}

static void a_wake_up_comes_from_another_thread(void **state) {
  world *w = *state;
  pthread_t thread;
  assert_int_equal(iu__wake_new(w->l, timer_note, &w->a, &w->a.wake, &w->err), IU_OK);
  assert_false(iu__loop_turn(w->l, -1)); /* not held: it keeps nothing waiting */
  iu__wake_hold(w->a.wake, true);
  assert_int_equal(pthread_create(&thread, NULL, send_soon, &w->a), 0);
  while (w->a.count == 0) assert_true(iu__loop_turn(w->l, -1)); /* held: sleeps until it comes */
  pthread_join(thread, NULL);
  iu__loop_turn(w->l, 0);
  assert_true(w->a.count >= 1 && w->a.count <= 3); /* merged */
  iu__wake_hold(w->a.wake, true);
  iu__wake_hold(w->a.wake, false);
  assert_false(iu__loop_turn(w->l, -1));
  iu__wake_close(w->a.wake);
  iu__wake_close(NULL);
}

static void wake_close_self(void *ud) {
  actor *a = ud;
  timer_note(ud);
  iu__wake_close(a->wake);
}

static void a_wake_up_may_close_itself_and_is_then_silent(void **state) {
  world *w = *state;
  assert_int_equal(iu__wake_new(w->l, wake_close_self, &w->a, &w->a.wake, &w->err), IU_OK);
  assert_int_equal(iu__wake_new(w->l, timer_note, &w->b, &w->b.wake, &w->err), IU_OK);
  iu__wake_send(w->a.wake);
  iu__wake_send(w->b.wake);
  iu__wake_close(w->b.wake); /* sent, not yet heard */
  for (int i = 0; i < 4; i++) iu__loop_turn(w->l, 0);
  assert_string_equal(w->log, "a");
}

/* ---- life ---- */

static void freeing_drains_what_was_closed_and_forgets_jobs(void **state) {
  world *w = *state;
  assert_int_equal(iu__timer_start(w->l, 0, 1, timer_note, &w->a, &w->a.timer, &w->err), IU_OK);
  assert_int_equal(iu__timer_start(w->l, 60000, 0, timer_note, &w->b, &w->b.timer, &w->err), IU_OK);
  assert_int_equal(iu__wake_new(w->l, timer_note, &w->c, &w->c.wake, &w->err), IU_OK);
  iu__wake_send(w->c.wake);
  iu__job_post(w->l, &w->c.job);
  iu__timer_close(w->a.timer);
  iu__timer_close(w->b.timer);
  iu__wake_close(w->c.wake);
  iu__loop_free(w->l);
  w->l = NULL;
  assert_string_equal(w->log, "");
  iu__loop_free(NULL);
}

static void host_timer_closed(uv_handle_t *h) { *(int *)h->data += 1; }
static void host_timer(uv_timer_t *t) {
  *(int *)t->data += 1;
  uv_close((uv_handle_t *)t, host_timer_closed);
}

static void a_host_keeps_its_own_loop(void **state) {
  world *w = *state;
  uv_loop_t host;
  uv_timer_t theirs;
  int heard = 0;
  iu_loop *own = w->l;
  assert_int_equal(uv_loop_init(&host), 0);
  assert_int_equal(uv_timer_init(&host, &theirs), 0);
  theirs.data = &heard;
  uv_timer_start(&theirs, host_timer, 1, 0);
  assert_int_equal(iu__loop_new(&host, &w->l, &w->err), IU_OK);
  assert_int_equal(iu__loop_fd(w->l), uv_backend_fd(&host));
  assert_int_equal(iu__timer_start(w->l, 1, 0, timer_note, &w->a, &w->a.timer, &w->err), IU_OK);
  iu__job_post(w->l, &w->b.job);
  uv_run(&host, UV_RUN_DEFAULT); /* the host turns it: our things run in it */
  assert_int_equal(heard, 2);
  assert_string_equal(w->log, "ba");
  iu__timer_close(w->a.timer);
  iu__loop_free(w->l); /* its blocks go in the host's later turns */
  uv_run(&host, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&host), 0); /* UV_EBUSY if anything were left */
  w->l = own;
}

static void host_prepare(uv_prepare_t *p) {
  actor *a = p->data;
  if (!a->flag) iu__job_post_early(a->w->l, &a->job);
  a->flag = true;
}

static void an_early_job_that_a_host_posts_right_before_the_poll_is_not_slept_over(void **state) {
  world *w = *state;
  uv_loop_t host;
  uv_prepare_t theirs;
  iu_loop *own = w->l;
  uint64_t before = iu__clock_mono_ns();
  assert_int_equal(uv_loop_init(&host), 0);
  assert_int_equal(uv_prepare_init(&host, &theirs), 0);
  theirs.data = &w->a;
  uv_prepare_start(&theirs, host_prepare); /* the one started first is called last: after the loop's own */
  assert_int_equal(iu__loop_new(&host, &w->l, &w->err), IU_OK);
  assert_int_equal(iu__timer_start(w->l, 60000, 0, timer_note, &w->b, &w->b.timer, &w->err), IU_OK);
  for (int i = 0; i < 3 && w->a.count == 0; i++) uv_run(&host, UV_RUN_ONCE);
  assert_int_equal(w->a.count, 1);
  assert_true(iu__clock_mono_ns() - before < (uint64_t)30000 * MS);
  iu__timer_close(w->b.timer);
  uv_close((uv_handle_t *)&theirs, NULL);
  iu__loop_free(w->l);
  uv_run(&host, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&host), 0);
  w->l = own;
}

static void post_job(void *ud) {
  actor *a = ud;
  iu__job_post(a->w->l, &a->job);
}

/* A message came, its callback makes a call: the call is an early job, and a host that sleeps by itself would sleep over it. */
static void an_early_job_posted_behind_the_poll_keeps_a_host_awake(void **state) {
  world *w = *state;
  iu_wake *wake;
  assert_int_equal(iu__wake_new(w->l, post_job, &w->a, &wake, &w->err), IU_OK);
  w->a.job.fn = post_early_other;
  w->a.other = &w->b;
  iu__wake_send(wake);
  iu__loop_turn(w->l, 0);
  int timeout = iu__loop_timeout_ms(w->l);
  iu__loop_turn(w->l, 0);
  iu__wake_close(wake);
  assert_string_equal(w->log, "ab");
  assert_int_equal(timeout, 0);
}

/* Otherwise a host with poll() never sleeps while nothing is open but an embedded universe. */
static void a_host_may_sleep_when_nothing_is_to_come_and_a_wake_up_ends_with_the_turn(void **state) {
  world *w = *state;
  struct pollfd fd = {.fd = iu__loop_fd(w->l), .events = POLLIN};
  iu_wake *wake;
  assert_int_equal(iu__wake_new(w->l, timer_note, &w->a, &wake, &w->err), IU_OK);
  assert_false(iu__loop_turn(w->l, 0));
  assert_int_equal(iu__loop_timeout_ms(w->l), -1);
  assert_int_equal(poll(&fd, 1, 0), 0);
  iu__wake_send(wake);
  assert_int_equal(poll(&fd, 1, 1000), 1);
  assert_false(iu__loop_turn(w->l, 0));
  assert_string_equal(w->log, "a");
  assert_int_equal(poll(&fd, 1, 0), 0);
  assert_int_equal(iu__loop_timeout_ms(w->l), -1);
  iu__job_post(w->l, &w->b.job);
  assert_int_equal(iu__loop_timeout_ms(w->l), 0);
  assert_false(iu__loop_turn(w->l, 0));
  assert_int_equal(iu__loop_timeout_ms(w->l), -1);
  iu__wake_close(wake);
}

static void every_allocation_of_a_loop_may_fail(void **state) {
  world *w = *state;
  long n;
  for (n = 0;; n++) {
    iu_loop *l = NULL;
    iu_timer *t = NULL;
    iu_wake *wake = NULL;
    iu__errinj_arm(IU_ERRINJ_ALLOC, n);
    iu_status status = iu__loop_new(NULL, &l, &w->err);
    if (status == IU_OK) status = iu__timer_start(l, 0, 0, timer_note, &w->a, &t, &w->err);
    if (status == IU_OK) status = iu__wake_new(l, timer_note, &w->b, &wake, &w->err);
    bool fired = iu__errinj_count(IU_ERRINJ_ALLOC) > n;
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    assert_int_equal(status, fired ? IU_E_NOMEM : IU_OK);
    iu__timer_close(t);
    iu__wake_close(wake);
    iu__loop_free(l);
    if (!fired) break;
  }
  assert_true(n >= 4);
}

/* ---- work on other threads ---- */

typedef struct labour { world *w; uv_sem_t begun, go; int ran, told; bool told_ran; pthread_t thread; } labour;

static void labour_run(void *ud) {
  labour *b = ud;
  uv_sem_post(&b->begun);
  uv_sem_wait(&b->go);
  b->ran++;
  b->thread = pthread_self();
}

static void labour_done(void *ud, bool ran) {
  labour *b = ud;
  b->told++;
  b->told_ran = ran;
}

static void labour_init(world *w, labour *b) {
  memset(b, 0, sizeof *b);
  b->w = w;
  assert_int_equal(uv_sem_init(&b->begun, 0), 0);
  assert_int_equal(uv_sem_init(&b->go, 0), 0);
}

static void labour_end(labour *b) {
  uv_sem_destroy(&b->begun);
  uv_sem_destroy(&b->go);
}

static void work_runs_elsewhere_and_is_told_by_the_loop(void **state) {
  world *w = *state;
  labour b;
  iu_work *work;
  labour_init(w, &b);
  assert_int_equal(iu__work_start(w->l, labour_run, labour_done, &b, &work, &w->err), IU_OK);
  uv_sem_wait(&b.begun);
  assert_true(iu__loop_turn(w->l, 0)); /* it is something to wait for */
  assert_int_equal(b.told, 0);
  uv_sem_post(&b.go);
  while (b.told == 0) iu__loop_turn(w->l, 1000);
  assert_int_equal(b.ran, 1);
  assert_true(b.told_ran);
  assert_false(pthread_equal(b.thread, pthread_self()));
  labour_end(&b);
}

static void *let_it_go(void *ud) {
  labour *b = ud;
  uv_sem_post(&b->go);
  return NULL;
}

static void stopping_waits_for_what_runs_and_keeps_the_rest_from_running(void **state) {
  enum { MORE = 64 }; /* than any pool of threads takes at once, as set by default */
  world *w = *state;
  labour b, rest[MORE];
  iu_work *work, *works[MORE];
  pthread_t thread;
  int ran = 0;
  labour_init(w, &b);
  assert_int_equal(iu__work_start(w->l, labour_run, labour_done, &b, &work, &w->err), IU_OK);
  uv_sem_wait(&b.begun);
  for (int i = 0; i < MORE; i++) {
    labour_init(w, &rest[i]);
    assert_int_equal(iu__work_start(w->l, labour_run, labour_done, &rest[i], &works[i], &w->err), IU_OK);
  }
  assert_int_equal(pthread_create(&thread, NULL, let_it_go, &b), 0);
  iu__work_stop(work);
  assert_int_equal(b.ran, 1);
  pthread_join(thread, NULL);
  for (int i = MORE - 1; i >= 0; i--) {
    uv_sem_post(&rest[i].go); /* those that have begun must be let go */
    iu__work_stop(works[i]);
    iu__work_stop(works[i]); /* twice is once */
    ran += rest[i].ran;
  }
  assert_true(ran < MORE);
  assert_int_equal(b.told, 0); /* only the loop tells */
  iu__loop_free(w->l);
  w->l = NULL;
  assert_int_equal(b.told, 1);
  for (int i = 0; i < MORE; i++) {
    assert_int_equal(rest[i].told, 1);
    assert_int_equal(rest[i].told_ran, rest[i].ran != 0);
    labour_end(&rest[i]);
  }
  labour_end(&b);
}

static void work_without_memory_does_not_begin(void **state) {
  world *w = *state;
  labour b;
  iu_work *work;
  labour_init(w, &b);
  iu__errinj_arm(IU_ERRINJ_ALLOC, 0);
  assert_int_equal(iu__work_start(w->l, labour_run, labour_done, &b, &work, &w->err), IU_E_NOMEM);
  iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
  assert_null(work);
  labour_end(&b);
}

/* libuv runs it before it polls. */
static void a_turn_in_which_a_timer_was_due_does_not_wait(void **state) {
  world *w = *state;
  uint64_t before = iu__clock_mono_ns();
  assert_int_equal(iu__timer_start(w->l, 0, 0, job_note, &w->a, &w->a.timer, &w->err), IU_OK);
  assert_int_equal(iu__timer_start(w->l, 3600000, 0, job_note, &w->b, &w->b.timer, &w->err), IU_OK);
  for (int i = 0; i < 3; i++) {
    iu__loop_turn(w->l, 60000);
    assert_int_equal(w->a.count, i + 1);
    iu__timer_set(w->a.timer, 0);
  }
  assert_true(iu__clock_mono_ns() - before < 30000 * (uint64_t)MS);
  assert_int_equal(w->b.count, 0);
  iu__timer_close(w->a.timer);
  iu__timer_close(w->b.timer);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      T(a_turn_in_which_a_timer_was_due_does_not_wait),
      T(jobs_run_in_order_of_posting_once), T(a_job_posted_from_a_job_runs_in_the_turn_after), T(early_jobs_run_before_the_loop_looks_for_events),
      T(a_cancelled_job_does_not_run),
      T(a_job_may_cancel_one_of_its_own_turn), T(a_job_may_free_itself), T(a_timer_fires_once_not_before_its_time),
      T(a_repeating_timer_may_close_itself), T(a_closed_timer_never_fires), T(a_delay_counts_from_the_call_even_when_the_loop_slept_long),
      T(a_turn_inside_a_turn_does_nothing), T(a_turn_waits_no_longer_than_it_was_told), T(a_posted_job_keeps_a_turn_from_waiting),
      T(the_deadline_is_over_when_its_time_is), T(a_wake_up_comes_from_another_thread), T(a_wake_up_may_close_itself_and_is_then_silent),
      T(freeing_drains_what_was_closed_and_forgets_jobs), T(a_host_keeps_its_own_loop),
      T(an_early_job_that_a_host_posts_right_before_the_poll_is_not_slept_over),
      T(an_early_job_posted_behind_the_poll_keeps_a_host_awake),
      T(a_host_may_sleep_when_nothing_is_to_come_and_a_wake_up_ends_with_the_turn), T(every_allocation_of_a_loop_may_fail),
      T(work_runs_elsewhere_and_is_told_by_the_loop), T(stopping_waits_for_what_runs_and_keeps_the_rest_from_running),
      T(work_without_memory_does_not_begin)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
