/* Threads of the library's own: work that is shared out is done once each, with one processor in order. */
#include "base_fixture.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

#include "../../core/base/thread.h"

#define WORK 1000

static atomic_uint done[WORK], order;
static unsigned place[WORK];

static void work(void *ud, uint32_t i) {
  assert_ptr_equal(ud, done);
  place[i] = atomic_fetch_add(&order, 1);
  atomic_fetch_add(&done[i], 1);
}

static void begin(void) {
  atomic_store(&order, 0);
  for (int i = 0; i < WORK; i++) atomic_store(&done[i], 0);
}

static void everything_is_done_once(void **state) {
  (void)state;
  for (uint32_t count = 0; count <= WORK; count = count < 8 ? count + 1 : count * 5) {
    begin();
    iu__parallel(count, work, done);
    for (uint32_t i = 0; i < WORK; i++) assert_int_equal(atomic_load(&done[i]), i < count);
  }
}

static void one_processor_does_it_in_order(void **state) {
  cpu_set_t all, one;
  int cpu = 0;
  (void)state;
  assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
  assert_true(iu__processors() == (uint32_t)CPU_COUNT(&all));
  while (!CPU_ISSET(cpu, &all)) cpu++;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
  assert_int_equal(iu__processors(), 1);
  begin();
  iu__parallel(WORK, work, done);
  for (unsigned i = 0; i < WORK; i++) assert_int_equal(place[i], i);
  assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
}

static void *blocked_signals(void *ud) {
  pthread_sigmask(SIG_SETMASK, NULL, ud);
  return NULL;
}

static void a_thread_takes_no_signals(void **state) {
  sigset_t theirs, mine;
  pthread_t thread;
  (void)state;
  sigemptyset(&theirs);
  assert_int_equal(iu__thread_start(&thread, blocked_signals, &theirs), 0);
  assert_int_equal(pthread_join(thread, NULL), 0);
  assert_true(sigismember(&theirs, SIGINT) && sigismember(&theirs, SIGTERM));
  pthread_sigmask(SIG_SETMASK, NULL, &mine);
  assert_false(sigismember(&mine, SIGINT));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(everything_is_done_once),
      cmocka_unit_test(one_processor_does_it_in_order),
      cmocka_unit_test(a_thread_takes_no_signals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
