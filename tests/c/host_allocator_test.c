/* host_allocator_test.c: a host's allocator gets every request of the library, and everything back. A program of its own: it is set before anything else. */
#include <stdatomic.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../core/include/inner_universe.h"

static atomic_long blocks, calls;
static atomic_long refuse_after = -1;

static bool refused(void) {
  atomic_fetch_add(&calls, 1);
  return atomic_load(&refuse_after) >= 0 && atomic_fetch_sub(&refuse_after, 1) == 0;
}
static void *take(void *ud, size_t size) {
  void *p;
  assert_ptr_equal(ud, &blocks);
  assert_int_not_equal(size, 0);
  if (refused() || (p = malloc(size + 16)) == NULL) return NULL;
  memset(p, 0xa5, size + 16); /* a head of its own, so that a foreign free is seen */
  memcpy(p, "allocator", 9);
  atomic_fetch_add(&blocks, 1);
  return (char *)p + 16;
}
static void *retake(void *ud, void *p, size_t size) {
  if (p == NULL) return take(ud, size);
  char *head = (char *)p - 16;
  assert_memory_equal(head, "allocator", 9);
  if (refused() || (head = realloc(head, size + 16)) == NULL) return NULL;
  return head + 16;
}
static void give_back(void *ud, void *p) {
  char *head = (char *)p - 16;
  (void)ud;
  assert_non_null(p);
  assert_memory_equal(head, "allocator", 9);
  atomic_fetch_sub(&blocks, 1);
  free(head);
}

static iu_status live(iu_error *err) {
  iu_runtime *rt = NULL;
  iu_universe *u = NULL;
  iu_arg args[] = {iu_arg_text("k"), iu_arg_text("v"), iu_arg_none(), iu_arg_none()};
  iu_status status = iu_runtime_new(NULL, &rt, err);
  if (status == IU_OK) status = iu_open(rt, "memory:", NULL, &u, err);
  if (status == IU_OK) status = iu_call(u, "put_record", args, 4, 0, err);
  iu_free(u);
  iu_runtime_free(rt, NULL);
  return status;
}

static void every_block_comes_from_the_host_and_goes_back(void **state) {
  iu_allocator mine = {take, retake, give_back, &blocks};
  iu_error err;
  (void)state;
  assert_int_equal(iu_set_allocator(&(iu_allocator){take, NULL, give_back, NULL}, &err), IU_E_VALIDATION);
  assert_int_equal(iu_set_allocator(&mine, &err), IU_OK);
  assert_int_equal(iu_set_allocator(&mine, &err), IU_E_CONFLICT);
  if (live(&err) != IU_OK) fail_msg("%s", err.message);
  assert_true(atomic_load(&calls) > 100);
  assert_int_equal(atomic_load(&blocks), 0);
  for (long i = 0; i < 2000; i += 7) {
    atomic_store(&refuse_after, i);
    iu_status status = live(&err);
    atomic_store(&refuse_after, -1);
    if (status != IU_OK && status != IU_E_NOMEM && status != IU_E_CLOSED && status != IU_E_PERSISTENCE) fail_msg("%ld: %d %s", i, status, err.message);
    assert_int_equal(atomic_load(&blocks), 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_block_comes_from_the_host_and_goes_back)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
