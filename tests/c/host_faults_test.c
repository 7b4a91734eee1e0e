/* host_faults_test.c: every allocation of a host's work fails once: whatever was begun ends once, nothing is lost or leaked, and the universe goes on or
 * says why it does not. */
#include "host_fixture.h"

#include "../../core/base/errinj.h"

static int begun, rows_seen;

static void count_row(void *ud, iu_universe *u, const iu_value *old_row, const iu_value *new_row, const iu_event *event) {
  char id[64];
  iu_value v;
  (void)ud;
  (void)u;
  (void)event;
  rows_seen++;
  if (iu_value_field(new_row != NULL ? new_row : old_row, "id", &v, NULL) == IU_OK) (void)iu_value_text(&v, id, sizeof id, NULL, NULL);
}

static void count_end(void *ud, iu_universe *u, const iu_error *err, iu_cursor *rows) {
  iu_value row;
  (void)ud;
  (void)u;
  if (err != NULL) assert_int_not_equal(err->status, IU_OK);
  while (iu_cursor_next(rows, &row)) (void)iu_value_kind(&row);
  iu_cursor_free(rows);
  now.ends++;
}

static void note(iu_status status) {
  if (status == IU_OK) begun++;
}

/* What a host does in an ordinary minute; nothing is asserted but that ends are counted right. */
static void work(iu_universe *u, int round) {
  static const char *const queries[] = {ROBOT_QUERY, "SELECT * FROM event_head"};
  char id[32];
  const iu_arg args[] = {iu_arg_text("Robot"), iu_arg_json("{\"name\":{\"some\":\"n\"},\"description\":null,\"tags\":[\"t\"],\"properties\":\"{}\"}"), iu_arg_text(id)};
  const iu_arg key = iu_arg_text(id), type = iu_arg_text("Robot");
  uint64_t handler = 0, sub = 0;
  iu_cursor *c = NULL;
  iu_value row;
  bool found;
  char *json;
  snprintf(id, sizeof id, "r%d", round);
  (void)iu_on_row(u, "entity", IU_ON_ALL, count_row, NULL, &handler, NULL);
  (void)iu_subscribe_async(u, queries, 2, hear_sub, &now, &sub, NULL);
  note(iu_call_async(u, "create_entity", args, 3, 60000, count_end, NULL, NULL));
  note(iu_query_once_async(u, ROBOT_QUERY, 0, count_end, NULL, NULL));
  note(iu_call_json_async(u, "create_entity", "[\"Robot\",[null,null,[],\"{}\"]]", 0, count_end, NULL, NULL));
  note(iu_flush_async(u, 0, count_end, NULL, NULL));
  (void)iu_call(u, "delete_entity", (const iu_arg[]){iu_arg_text("nobody"), iu_arg_bool(false)}, 2, 0, NULL);
  if (iu_get(u, "entity", &key, &row, &found, NULL) == IU_OK && found && iu_value_json(&row, &json, NULL, NULL) == IU_OK) iu_string_free(json);
  if (iu_find(u, "entity", "entity_type", &type, 1, &c, NULL) == IU_OK) {
    while (iu_cursor_next(c, &row)) {}
  }
  iu_cursor_free(c);
  c = NULL;
  (void)iu_query_once(u, ROBOT_QUERY, 0, &c, NULL);
  iu_cursor_free(c);
  if (sub != 0) (void)iu_unsubscribe(u, sub, NULL);
  if (handler != 0) (void)iu_cancel(u, handler, NULL);
}

static void every_allocation_fails_once(void **state) {
  long asked = 0, failing = 0;
  iu_universe *u;
  (void)state;
  if (now.kind == IN_FILE) GOOD(iu_close(now.u, &now.err));
  for (long n = 0;; n++) {
    u = NULL;
    if (now.kind == ON_SERVER) u = open_more(NULL); /* what a lost connection makes of it is another test's */
    else GOOD(iu_open(now.rt, "memory:", NULL, &u, &now.err));
    begun = now.ends = 0;
    iu__errinj_arm(IU_ERRINJ_ALLOC, n);
    work(u, (int)n);
    asked = iu__errinj_count(IU_ERRINJ_ALLOC);
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    iu_free(u);
    assert_int_equal(now.ends, begun);
    now.heard[0] = '\0';
    if (asked <= n) break; /* it was not reached any more */
    failing++;
    if (n > 20000) fail_msg("there is no end of allocations");
    if (now.kind == ON_SERVER && n > 30) n += 23; /* each is a connection; the client's many are its own tests' */
  }
  assert_true(failing > 20);
  assert_true(rows_seen > 0);
}

static void opening_without_memory(void **state) {
  long failing = 0;
  (void)state;
  for (long n = 0;; n++) {
    iu_runtime *rt = NULL;
    iu_universe *u = NULL;
    iu__errinj_arm(IU_ERRINJ_ALLOC, n);
    iu_status status = iu_runtime_new(NULL, &rt, &now.err);
    if (status == IU_OK) status = iu_open(rt, "memory:", NULL, &u, &now.err);
    long asked = iu__errinj_count(IU_ERRINJ_ALLOC);
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    if (status != IU_OK) {
      assert_null(u);
      failing++;
    }
    iu_free(u);
    GOOD(iu_runtime_free(rt, &now.err));
    if (asked <= n) break;
    if (n > 200000) fail_msg("there is no end of allocations");
    if (n > 300) n += 37; /* the module's many are the engine's tests' */
  }
  assert_true(failing > 5);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      {"every allocation fails once in memory", every_allocation_fails_once, world_open, world_close, &world_kinds[IN_MEMORY]},
      {"every allocation fails once on a server", every_allocation_fails_once, world_open, world_close, &world_kinds[ON_SERVER]},
      {"opening without memory", opening_without_memory, world_open, world_close, &world_kinds[IN_MEMORY]},
  };
  return cmocka_run_group_tests(tests, NULL, server_end);
}
