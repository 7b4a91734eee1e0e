/* Rows read ahead by a thread: in their order, all of them; what fails is what a plain loop would have met first. */
#include "base_fixture.h"

#include <pthread.h>
#include <sched.h>

#include "../../core/journal/ahead.h"

typedef struct numbers {
  uint32_t count, reader_fails, taker_fails; /* at which row; UINT32_MAX: never */
  uint32_t read, taken;
  size_t len;                                /* of each row, at least 4 */
  uint8_t *row;
} numbers;

static iu_status next(void *ud, bool *row, iu_slice *bytes, iu_error *err) {
  numbers *n = ud;
  uint8_t at[8];

  if (n->read == n->reader_fails) return iu__fail(err, IU_E_STORAGE, "reading %u", n->read);
  *row = n->read < n->count;
  iu__store_u64(at, n->read++);
  memcpy(n->row, at, 4);
  *bytes = (iu_slice){n->row, n->len};
  return IU_OK;
}

static iu_status take(void *ud, iu_slice bytes, iu_error *err) {
  numbers *n = ud;

  assert_int_equal(bytes.len, n->len);
  assert_int_equal(iu__load_u32(bytes.p), n->taken);
  if (n->taken == n->taker_fails) return iu__fail(err, IU_E_CONFLICT, "taking %u", n->taken);
  n->taken++;
  return IU_OK;
}

static numbers run(uint32_t count, size_t len, uint32_t reader_fails, uint32_t taker_fails, iu_status expected, const char *message) {
  numbers n = {.count = count, .reader_fails = reader_fails, .taker_fails = taker_fails, .len = len, .row = calloc(1, len)};
  const iu_ahead_ends ends = {next, take, &n};
  iu_error err;

  assert_int_equal(iu__jahead_rows(&ends, &err), expected);
  if (expected != IU_OK) assert_string_equal(err.message, message);
  free(n.row);
  return n;
}

static void run_all(void) {
  static const uint32_t counts[] = {0, 1, 2, 1000, 100000};
  enum { NEVER = UINT32_MAX };

  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) assert_int_equal(run(counts[i], 100, NEVER, NEVER, IU_OK, NULL).taken, counts[i]);
  assert_int_equal(run(20, 3 * IU_AHEAD_BATCH_BYTES, NEVER, NEVER, IU_OK, NULL).taken, 20);
  for (uint32_t at = 0; at < 30000; at = at * 3 + 1) {
    char read[32], taken[32];
    snprintf(read, sizeof read, "reading %u", at);
    snprintf(taken, sizeof taken, "taking %u", at);
    assert_int_equal(run(30000, 100, at, NEVER, IU_E_STORAGE, read).taken, at);
    assert_int_equal(run(30000, 100, NEVER, at, IU_E_CONFLICT, taken).taken, at);
    assert_int_equal(run(30000, 100, at + 1, at, IU_E_CONFLICT, taken).taken, at);
    assert_int_equal(run(30000, 100, at, at, IU_E_STORAGE, read).taken, at);
  }
}

static void rows_come_in_order_and_the_first_failure_counts(void **state) {
  (void)state;
  run_all();
}

static void one_processor_reads_without_a_thread(void **state) {
  cpu_set_t all, one;
  int cpu = 0;
  (void)state;
  assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
  while (!CPU_ISSET(cpu, &all)) cpu++;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
  run_all();
  assert_int_equal(run(30000, 100, UINT32_MAX, 5, IU_E_CONFLICT, "taking 5").read, 6); /* nothing ahead */
  assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
}

/* The buffers' memory is asked for by the reading thread. */
static void want_of_memory_is_told(void **state) {
  long at;
  iu_status status = IU_E_NOMEM;
  (void)state;
#ifdef IU_ERRINJ
  for (at = 0; status != IU_OK; at++) {
    numbers n = {.count = 20000, .reader_fails = UINT32_MAX, .taker_fails = UINT32_MAX, .len = 100, .row = calloc(1, 100)};
    const iu_ahead_ends ends = {next, take, &n};
    iu__errinj_arm(IU_ERRINJ_ALLOC, at);
    status = iu__jahead_rows(&ends, NULL);
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    free(n.row);
    if (status == IU_OK) assert_int_equal(n.taken, 20000);
    else assert_int_equal(status, IU_E_NOMEM);
  }
#else
  (void)at;
  (void)status;
#endif
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_come_in_order_and_the_first_failure_counts),
      cmocka_unit_test(one_processor_reads_without_a_thread),
      cmocka_unit_test(want_of_memory_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
