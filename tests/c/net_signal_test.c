/* A signal that is counted: once a delivery, in the loop's turns, and what was there before comes back. */
#include "net_fixture.h"

#include <signal.h>

#include "../../core/net/signal.h"

static volatile sig_atomic_t heard;

static void on_heard(int number) {
  (void)number;
  heard++;
}

static uint32_t counted(iu_loop *loop, const iu_signal *s, uint32_t wanted) {
  for (int i = 0; i < 1000 && iu__signal_count(s) < wanted; i++) {
    iu__loop_turn(loop, 0);
    usleep(1000);
  }
  return iu__signal_count(s);
}

static void counts_and_gives_back(void **state) {
  iu_loop *loop;
  iu_signal *s, *inner;
  iu_error err;
  (void)state;
  signal(SIGUSR1, on_heard);
  assert_int_equal(iu__loop_new(NULL, &loop, &err), IU_OK);
  assert_int_equal(iu__signal_watch(loop, SIGUSR1, &s, &err), IU_OK);
  assert_int_equal(iu__signal_count(s), 0);
  raise(SIGUSR1);
  assert_int_equal(counted(loop, s, 1), 1);
  assert_int_equal(heard, 0);
  /* Two at once; the inner one's end leaves the outer one counting. */
  assert_int_equal(iu__signal_watch(loop, SIGUSR1, &inner, &err), IU_OK);
  raise(SIGUSR1);
  assert_int_equal(counted(loop, inner, 1), 1);
  iu__signal_release(inner);
  raise(SIGUSR1);
  assert_int_equal(counted(loop, s, 3), 3);
  assert_int_equal(heard, 0);
  iu__signal_release(s);
  raise(SIGUSR1);
  assert_int_equal(heard, 1);
  iu__signal_release(NULL);
  iu__loop_free(loop);
}

static void keeps_no_loop_running(void **state) {
  iu_loop *loop;
  iu_signal *s;
  iu_error err;
  (void)state;
  assert_int_equal(iu__loop_new(NULL, &loop, &err), IU_OK);
  assert_int_equal(iu__signal_watch(loop, SIGUSR1, &s, &err), IU_OK);
  assert_false(iu__loop_turn(loop, -1)); /* there is nothing to wait for */
  iu__signal_release(s);
  iu__loop_free(loop);
}

static void refuses(void **state) {
  iu_loop *loop;
  iu_signal *s;
  iu_error err;
  (void)state;
  assert_int_equal(iu__loop_new(NULL, &loop, &err), IU_OK);
  assert_int_equal(iu__signal_watch(loop, 0, &s, &err), IU_E_VALIDATION);
  assert_int_equal(iu__signal_watch(loop, 9999, &s, &err), IU_E_VALIDATION);
  assert_int_equal(iu__signal_watch(loop, SIGKILL, &s, &err), IU_E_VALIDATION);
  assert_null(s);
  iu__errinj_arm(IU_ERRINJ_ALLOC, 0);
  assert_int_equal(iu__signal_watch(loop, SIGUSR1, &s, &err), IU_E_NOMEM);
  iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
  iu__loop_free(loop);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(counts_and_gives_back),
      cmocka_unit_test(keeps_no_loop_running),
      cmocka_unit_test(refuses),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
