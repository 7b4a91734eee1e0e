/* host_pressure_test.c: a full journal as a host in C meets it: iu_call waits for room in the loop, what must not wait is refused. */
#include <pthread.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../../core/include/inner_universe.h"
#include "scratch_fixture.h"

#define CAP (64u << 10)

typedef struct store { iu_runtime *rt; iu_module *m; iu_universe *u; iu_error err; sqlite3 *holder; char path[SCRATCH_PATH_MAX]; int runs, ends; iu_status last; } store;

static iu_status put(void *ud, iu_ctx *ctx, const iu_value *args, iu_error *err) {
  store *s = ud;
  uint64_t size;
  iu_status status = iu_column_u64(args, "size", &size, err);
  char *text = malloc(size + 1);
  assert_non_null(text);
  memset(text, 'x', size);
  s->runs++;
  iu_arg columns[] = {iu_arg_u64(0), iu_arg_text_n(text, size)};
  if (status == IU_OK) status = iu_ctx_insert(ctx, "t", columns, 2, NULL, err);
  free(text);
  return status;
}

static int setup(void **state) {
  static const iu_member size[] = {{"size", "u64"}};
  store *s = calloc(1, sizeof *s);
  iu_options o = iu_options_default();
  assert_non_null(s);
  assert_int_equal(iu_module_new("store", &s->m, &s->err), IU_OK);
  assert_int_equal(iu_module_table(s->m, "t", 0, &s->err), IU_OK);
  assert_int_equal(iu_module_column(s->m, "t", "id", "u64", IU_COLUMN_PRIMARY_KEY | IU_COLUMN_AUTO_INC, NULL, &s->err), IU_OK);
  assert_int_equal(iu_module_column(s->m, "t", "v", "string", 0, NULL, &s->err), IU_OK);
  assert_int_equal(iu_module_reducer(s->m, "put", size, 1, put, s, &s->err), IU_OK);
  assert_int_equal(iu_runtime_new(NULL, &s->rt, &s->err), IU_OK);
  o.modules = &s->m;
  o.module_count = 1;
  o.no_nerv = true;
  o.pending_bytes_max = CAP;
  if (iu_open(s->rt, scratch_path(s->path, "pressure"), &o, &s->u, &s->err) != IU_OK) fail_msg("open: %s", s->err.message);
  assert_int_equal(sqlite3_open(s->path, &s->holder), SQLITE_OK);
  *state = s;
  return 0;
}

static int teardown(void **state) {
  store *s = *state;
  sqlite3_close(s->holder);
  iu_free(s->u);
  iu_module_free(s->m);
  assert_int_equal(iu_runtime_free(s->rt, NULL), IU_OK);
  scratch_remove(s->path);
  free(s);
  return 0;
}

static iu_status put_bytes(store *s, uint64_t size, int64_t timeout_ms) {
  iu_arg arg = iu_arg_u64(size);
  return iu_call(s->u, "put", &arg, 1, timeout_ms, &s->err);
}

static void hold(store *s) { assert_int_equal(sqlite3_exec(s->holder, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK); }
static void *let_go_later(void *ud) {
  struct timespec t = {0, 100000000};
  nanosleep(&t, NULL);
  sqlite3_exec(ud, "COMMIT", NULL, NULL, NULL);
  return NULL;
}

static void on_end(void *ud, iu_universe *u, const iu_error *err, iu_cursor *rows) {
  store *s = ud;
  (void)u;
  iu_cursor_free(rows);
  s->ends++;
  s->last = err != NULL ? err->status : IU_OK;
}

static void a_call_waits_for_room(void **state) {
  store *s = *state;
  pthread_t thread;
  hold(s);
  assert_int_equal(put_bytes(s, 2 * CAP, 0), IU_OK);
  assert_int_equal(pthread_create(&thread, NULL, let_go_later, s->holder), 0);
  assert_int_equal(put_bytes(s, 10, 0), IU_OK);
  assert_int_equal(s->runs, 2);
  assert_int_equal(pthread_join(thread, NULL), 0);
}

static void it_waits_no_longer_than_its_timeout(void **state) {
  store *s = *state;
  hold(s);
  assert_int_equal(put_bytes(s, 2 * CAP, 0), IU_OK);
  assert_int_equal(put_bytes(s, 10, 30), IU_E_OVERLOADED);
  assert_non_null(strstr(s->err.message, "pending_bytes_max"));
  assert_int_equal(s->runs, 1);
  assert_int_equal(sqlite3_exec(s->holder, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
  assert_int_equal(put_bytes(s, 10, 0), IU_OK);
}

static void what_must_not_wait_is_refused(void **state) {
  store *s = *state;
  iu_arg arg = iu_arg_u64(10);
  iu_universe *session;
  hold(s);
  assert_int_equal(put_bytes(s, 2 * CAP, 0), IU_OK);
  assert_int_equal(iu_call_async(s->u, "put", &arg, 1, 0, on_end, s, &s->err), IU_OK);
  assert_int_equal(iu_step(s->rt, 1000, NULL, &s->err), IU_OK);
  assert_int_equal(s->ends, 1);
  assert_int_equal(s->last, IU_E_OVERLOADED);
  assert_int_equal(iu_open_session(s->u, NULL, &session, &s->err), IU_E_OVERLOADED);
  assert_int_equal(s->runs, 1);
  assert_int_equal(sqlite3_exec(s->holder, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_call_waits_for_room, setup, teardown),
      cmocka_unit_test_setup_teardown(it_waits_no_longer_than_its_timeout, setup, teardown),
      cmocka_unit_test_setup_teardown(what_must_not_wait_is_refused, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
