/* host_misuse_test.c: what hosts do wrong, and what they may do at awkward moments: NULL everywhere, closed handles, wrong columns, wrong types, waiting
 * in callbacks, closing and freeing inside them, numbers that are stale, options that do not fit. */
#include "host_fixture.h"

static void null_is_an_error(void **state) {
  const iu_arg key = iu_arg_text("x");
  iu_universe *u;
  iu_runtime *rt;
  iu_cursor *c;
  uint64_t n;
  bool found;
  uint8_t id[32];
  (void)state;
  BAD(iu_runtime_new(NULL, NULL, &now.err), IU_E_VALIDATION, "out: expected one, got NULL");
  BAD(iu_open(NULL, "memory:", NULL, &u, &now.err), IU_E_VALIDATION, "runtime");
  BAD(iu_open(now.rt, NULL, NULL, &u, &now.err), IU_E_VALIDATION, "target");
  BAD(iu_open(now.rt, "memory:", NULL, NULL, &now.err), IU_E_VALIDATION, "out");
  BAD(iu_call(NULL, "x", NULL, 0, 0, &now.err), IU_E_VALIDATION, "universe");
  BAD(iu_call(now.u, NULL, NULL, 0, 0, &now.err), IU_E_VALIDATION, "reducer");
  BAD(iu_call(now.u, "create_entity", NULL, 2, 0, &now.err), IU_E_VALIDATION, "args");
  BAD(iu_call_json(now.u, "create_entity", NULL, 0, &now.err), IU_E_VALIDATION, "json");
  BAD(iu_query_once(now.u, NULL, 0, &c, &now.err), IU_E_VALIDATION, "sql");
  BAD(iu_query_once(now.u, "SELECT * FROM entity", 0, NULL, &now.err), IU_E_VALIDATION, "out");
  BAD(iu_query_once_async(now.u, "SELECT * FROM entity", 0, NULL, NULL, &now.err), IU_E_VALIDATION, "done");
  BAD(iu_get(now.u, NULL, &key, NULL, &found, &now.err), IU_E_VALIDATION, "table");
  BAD(iu_get(now.u, "entity", NULL, NULL, &found, &now.err), IU_E_VALIDATION, "key");
  BAD(iu_get(now.u, "entity", &key, NULL, NULL, &now.err), IU_E_VALIDATION, "found");
  BAD(iu_find(now.u, "entity", "id", NULL, 1, &c, &now.err), IU_E_VALIDATION, "key");
  BAD(iu_scan(now.u, "entity", NULL, NULL, NULL, false, NULL, &now.err), IU_E_VALIDATION, "out");
  BAD(iu_count(now.u, "entity", NULL, &now.err), IU_E_VALIDATION, "count");
  BAD(iu_on_row(now.u, "entity", IU_ON_ALL, NULL, NULL, &n, &now.err), IU_E_VALIDATION, "fn");
  BAD(iu_on_row(now.u, "entity", 0, hear_row, NULL, &n, &now.err), IU_E_VALIDATION, "what: expected some of IU_ON_ALL, got 0");
  BAD(iu_on_row(now.u, "entity", 8, hear_row, NULL, &n, &now.err), IU_E_VALIDATION, "got 8");
  BAD(iu_on_row(now.u, "entitty", 1, hear_row, NULL, &n, &now.err), IU_E_VALIDATION, "did you mean");
  BAD(iu_subscribe(now.u, NULL, 1, 0, NULL, NULL, NULL, &now.err), IU_E_VALIDATION, "queries");
  BAD(iu_subscribe(now.u, (const char *const[]){NULL}, 1, 0, NULL, NULL, NULL, &now.err), IU_E_VALIDATION, "queries[0]");
  BAD(iu_subscribe(now.u, (const char *const[]){NULL}, 0, 0, NULL, NULL, NULL, &now.err), IU_E_VALIDATION, "at least one");
  BAD(iu_subscribe(now.u, (const char *const[]){NULL}, 1001, 0, NULL, NULL, NULL, &now.err), IU_E_VALIDATION, "the limit is 1000");
  BAD(iu_identity(now.u, NULL, &now.err), IU_E_VALIDATION, "out");
  BAD(iu_identity(NULL, id, &now.err), IU_E_VALIDATION, "universe");
  BAD(iu_get_info(now.u, NULL, &now.err), IU_E_VALIDATION, "out");
  BAD(iu_step(NULL, 0, NULL, &now.err), IU_E_VALIDATION, "runtime");
  BAD(iu_wait(NULL, 0, NULL, &now.err), IU_E_VALIDATION, "runtime");
  BAD(iu_cursor_status(NULL, &now.err), IU_E_VALIDATION, "cursor");
  assert_false(iu_cursor_next(NULL, NULL));
  assert_int_equal(iu_cursor_count(NULL), 0);
  assert_null(iu_get_schema(NULL));
  assert_int_equal(iu_schema_tables(NULL), 0);
  assert_null(iu_schema_table_name(NULL, 0));
  assert_null(iu_event_reducer(NULL));
  assert_int_equal(iu_runtime_fd(NULL), -1);
  assert_int_equal(iu_call(now.u, NULL, NULL, 0, 0, NULL), IU_E_VALIDATION); /* nobody wants the words */
  iu_cursor_free(NULL);
  iu_free(NULL);
  iu_string_free(NULL);
  iu_runtime_wake(NULL);
  assert_int_equal(iu_close(NULL, NULL), IU_OK);
  assert_int_equal(iu_runtime_free(NULL, NULL), IU_OK);
  GOOD(iu_runtime_new(NULL, &rt, &now.err));
  GOOD(iu_runtime_free(rt, &now.err));
}

static void a_closed_universe_says_so(void **state) {
  const iu_arg key = iu_arg_text("x");
  static const char *const queries[] = {ROBOT_QUERY};
  iu_info info = {.size = sizeof info};
  iu_universe *other;
  iu_cursor *c;
  uint8_t id[32];
  bool found;
  uint64_t n;
  (void)state;
  subscribe_robots(now.u);
  GOOD(iu_close(now.u, &now.err));
  GOOD(iu_close(now.u, &now.err));
  assert_true(iu_is_closed(now.u));
  BAD(iu_call(now.u, "create_entity", NULL, 0, 0, &now.err), IU_E_CLOSED, "the universe is closed");
  BAD(iu_call_async(now.u, "create_entity", NULL, 0, 0, hear_end, &now, &now.err), IU_E_CLOSED, "closed");
  BAD(iu_procedure(now.u, "x", NULL, 0, 0, &c, &now.err), IU_E_CLOSED, "closed");
  BAD(iu_query_once(now.u, ROBOT_QUERY, 0, &c, &now.err), IU_E_CLOSED, "closed");
  BAD(iu_flush(now.u, 0, &now.err), IU_E_CLOSED, "closed");
  BAD(iu_flush_async(now.u, 0, hear_end, &now, &now.err), IU_E_CLOSED, "closed");
  BAD(iu_refresh_schema(now.u, 0, &now.err), IU_E_CLOSED, "closed");
  BAD(iu_subscribe(now.u, queries, 1, 0, NULL, NULL, NULL, &now.err), IU_E_CLOSED, "closed");
  BAD(iu_subscribe_async(now.u, queries, 1, NULL, NULL, NULL, &now.err), IU_E_CLOSED, "closed");
  BAD(iu_unsubscribe(now.u, 1, &now.err), IU_E_CLOSED, "closed");
  BAD(iu_on_row(now.u, "entity", 1, hear_row, &now, NULL, &now.err), IU_E_CLOSED, "closed");
  BAD(iu_cancel(now.u, 1, &now.err), IU_E_CLOSED, "closed");
  BAD(iu_get(now.u, "entity", &key, NULL, &found, &now.err), IU_E_CLOSED, "closed");
  BAD(iu_count(now.u, "entity", &n, &now.err), IU_E_CLOSED, "closed");
  BAD(iu_find(now.u, "entity", "id", &key, 1, &c, &now.err), IU_E_CLOSED, "closed");
  BAD(iu_scan(now.u, "entity", NULL, NULL, NULL, false, &c, &now.err), IU_E_CLOSED, "closed");
  BAD(iu_identity(now.u, id, &now.err), IU_E_CLOSED, "closed");
  BAD(iu_get_info(now.u, &info, &now.err), IU_E_CLOSED, "closed");
  BAD(iu_open_session(now.u, NULL, &other, &now.err), IU_E_CLOSED, "closed");
  assert_true(iu_schema_tables(iu_get_schema(now.u)) > 0); /* until it is freed */
  heard("");
}

/* ---- values ---- */

static void wrong_columns_and_types_are_refused(void **state) {
  const iu_arg key = iu_arg_text("ada");
  iu_value row, v, nothing = {0};
  bool found, b;
  int64_t i;
  uint64_t u64;
  double d;
  const char *text;
  const uint8_t *bytes;
  uint8_t id[32];
  size_t len;
  char out[8];
  (void)state;
  create(now.u, "ada");
  subscribe_robots(now.u);
  GOOD(iu_get(now.u, "entity", &key, &row, &found, &now.err));
  assert_true(found);
  BAD(iu_value_field(&row, "names", &v, &now.err), IU_E_VALIDATION, "no field `names`");
  BAD(iu_value_field(&row, NULL, &v, &now.err), IU_E_VALIDATION, "name");
  BAD(iu_value_at(&row, 5, &v, &now.err), IU_E_VALIDATION, "it has 5 parts, number 5 does not exist");
  BAD(iu_value_at(&row, 0, NULL, &now.err), IU_E_VALIDATION, "out");
  BAD(iu_column_i64(&row, "id", &i, &now.err), IU_E_VALIDATION, "id: value: expected an integer of 64 bits, it is String");
  BAD(iu_column_bool(&row, "created_at", &b, &now.err), IU_E_VALIDATION, "created_at: value: expected Bool");
  BAD(iu_column_f64(&row, "id", &d, &now.err), IU_E_VALIDATION, "expected F32 or F64, it is String");
  BAD(iu_column_string(&row, "created_at", &text, &len, &now.err), IU_E_VALIDATION, "expected String");
  BAD(iu_column_u64(&row, "nothing", &u64, &now.err), IU_E_VALIDATION, "no field `nothing`");
  GOOD(iu_value_field(&row, "id", &v, &now.err));
  BAD(iu_value_bytes(&v, &bytes, &len, &now.err), IU_E_VALIDATION, "expected Array<U8>, it is String");
  BAD(iu_value_fixed(&v, id, 32, &now.err), IU_E_VALIDATION, "it is String");
  BAD(iu_value_variant(&v, NULL, NULL, NULL, &now.err), IU_E_VALIDATION, "expected a sum, it is String");
  BAD(iu_value_string(&v, &text, NULL, &now.err), IU_E_VALIDATION, "len");
  BAD(iu_value_field(&v, "x", &v, &now.err), IU_E_VALIDATION, "expected a product, it is String");
  assert_int_equal(iu_value_count(&v), 0);
  GOOD(iu_value_field(&row, "metadata", &v, &now.err));
  GOOD(iu_value_field(&v, "description", &v, &now.err));
  assert_true(iu_value_is_none(&v));
  assert_int_equal(iu_value_count(&v), 0);
  BAD(iu_value_string(&v, &text, &len, &now.err), IU_E_VALIDATION, "an Option without a value");
  BAD(iu_value_at(&v, 0, &v, &now.err), IU_E_VALIDATION, "it has 0 parts");
  assert_int_equal(iu_value_kind(&nothing), IU_KIND_INVALID);
  assert_int_equal(iu_value_kind(NULL), IU_KIND_INVALID);
  BAD(iu_value_i64(&nothing, &i, &now.err), IU_E_VALIDATION, "no value");
  BAD(iu_value_i64(NULL, &i, &now.err), IU_E_VALIDATION, "NULL");
  BAD(iu_value_text(&nothing, out, sizeof out, NULL, &now.err), IU_E_VALIDATION, "no value");
  BAD(iu_value_bsatn(NULL, &bytes, &len, &now.err), IU_E_VALIDATION, "NULL");
}

/* ---- in callbacks ---- */

static int refused;
static void try_to_wait(iu_universe *u) {
  static const char *const queries[] = {ROBOT_QUERY};
  const iu_arg args[] = {iu_arg_text("Robot"), iu_arg_json("[null,null,[],\"{}\"]")};
  iu_universe *other;
  iu_cursor *c;
  BAD(iu_call(u, "create_entity", args, 2, 0, &now.err), IU_E_VALIDATION, "iu_call_async");
  BAD(iu_query_once(u, ROBOT_QUERY, 0, &c, &now.err), IU_E_VALIDATION, "iu_query_once_async");
  BAD(iu_subscribe(u, queries, 1, 0, NULL, NULL, NULL, &now.err), IU_E_VALIDATION, "iu_subscribe_async");
  BAD(iu_flush(u, 0, &now.err), IU_E_VALIDATION, "iu_flush_async");
  BAD(iu_refresh_schema(u, 0, &now.err), IU_E_VALIDATION, "inside a callback");
  BAD(iu_step(iu_runtime_of(u), 0, NULL, &now.err), IU_E_VALIDATION, "inside a callback");
  BAD(iu_wait(iu_runtime_of(u), 0, NULL, &now.err), IU_E_VALIDATION, "inside a callback");
  BAD(iu_runtime_free(iu_runtime_of(u), &now.err), IU_E_CONFLICT, "inside a callback");
  BAD(iu_open(iu_runtime_of(u), "ws://127.0.0.1:1/x", NULL, &other, &now.err), IU_E_VALIDATION, "background");
  refused++;
}

static void wait_in_row(void *ud, iu_universe *u, const iu_value *old_row, const iu_value *new_row, const iu_event *event) {
  const iu_arg key = iu_arg_text("ada");
  iu_value row;
  iu_cursor *c;
  bool found;
  uint64_t count;
  (void)ud;
  (void)old_row;
  (void)event;
  assert_non_null(new_row);
  try_to_wait(u);
  GOOD(iu_get(u, "entity", &key, &row, &found, &now.err)); /* reads do not wait */
  assert_true(found);
  GOOD(iu_count(u, "entity", &count, &now.err));
  assert_int_equal(count, 1);
  GOOD(iu_scan(u, "entity", NULL, NULL, NULL, false, &c, &now.err));
  assert_true(iu_cursor_next(c, &row));
  assert_false(iu_cursor_next(c, &row));
  iu_cursor_free(c);
  const iu_arg args[] = {iu_arg_text("ada"), iu_arg_bool(false)};
  GOOD(iu_call_async(u, "delete_entity", args, 2, 0, hear_end, &now, &now.err));
}

static void wait_in_end(void *ud, iu_universe *u, const iu_error *err, iu_cursor *rows) {
  (void)ud;
  assert_null(err);
  assert_int_equal(iu_cursor_count(rows), 1);
  iu_cursor_free(rows);
  try_to_wait(u);
  hear("q");
}

static void waiting_in_a_callback_is_refused(void **state) {
  static const char *const queries[] = {ROBOT_QUERY};
  (void)state;
  refused = 0;
  GOOD(iu_on_row(now.u, "entity", IU_ON_INSERT, wait_in_row, NULL, NULL, &now.err));
  GOOD(iu_subscribe(now.u, queries, 1, 0, NULL, NULL, NULL, &now.err));
  create(now.u, "ada");
  assert_int_equal(refused, 1);
  turn_until_heard("=");
  uint64_t count;
  GOOD(iu_count(now.u, "entity", &count, &now.err));
  assert_int_equal(count, 0);
  GOOD(iu_query_once_async(now.u, "SELECT * FROM event_head", 0, wait_in_end, NULL, &now.err));
  turn_until_heard("q");
  assert_int_equal(refused, 2);
}

static void close_in_row(void *ud, iu_universe *u, const iu_value *old_row, const iu_value *new_row, const iu_event *event) {
  char id[64];
  (void)old_row;
  (void)event;
  hear("(");
  GOOD(iu_close(u, &now.err));
  if (ud != NULL) iu_free(u);
  hear(")");
  if (ud != NULL) return;
  id_of(new_row, id); /* its row is still good */
  assert_string_equal(id, "ada");
  BAD(iu_call_async(u, "create_entity", NULL, 0, 0, hear_end, &now, &now.err), IU_E_CLOSED, "closed");
}

static void closing_in_a_row_callback(void **state) {
  const iu_arg args[] = {iu_arg_text("Robot"), iu_arg_json("[null,null,[],\"{}\"]"), iu_arg_text("ada")};
  iu_error err;
  (void)state;
  GOOD(iu_on_row(now.u, "entity", IU_ON_INSERT, close_in_row, NULL, NULL, &now.err));
  subscribe_robots(now.u); /* the second handler hears nothing any more */
  iu_status status = iu_call(now.u, "create_entity", args, 3, 0, &err);
  if (now.kind != ON_SERVER) assert_int_equal(status, IU_OK); /* it was committed; over a network nobody can say */
  heard("()");
  assert_true(iu_is_closed(now.u));
  BAD(iu_flush(now.u, 0, &now.err), IU_E_CLOSED, "closed");
}

static void freeing_in_a_row_callback(void **state) {
  static const char *const queries[] = {ROBOT_QUERY};
  const iu_arg args[] = {iu_arg_text("Robot"), iu_arg_json("[null,null,[],\"{}\"]"), iu_arg_text("ada")};
  iu_universe *u;
  (void)state;
  if (now.kind == IN_FILE) { /* one at a time */
    GOOD(iu_close(now.u, &now.err));
  }
  u = open_more(NULL);
  GOOD(iu_on_row(u, "entity", IU_ON_INSERT, close_in_row, &now, NULL, &now.err));
  GOOD(iu_subscribe(u, queries, 1, 0, NULL, NULL, NULL, &now.err));
  GOOD(iu_call_async(u, "create_entity", args, 3, 0, hear_end, &now, &now.err)); /* ends though its universe does */
  uint64_t end = iu__clock_mono_ns() + (uint64_t)PATIENCE_MS * 1000000;
  while (now.ends == 0 && iu__clock_mono_ns() < end) GOOD(iu_wait(now.rt, 20, NULL, &now.err));
  assert_int_equal(now.ends, 1);
  assert_int_equal(strncmp(now.heard, "(", 1), 0);
  assert_non_null(strstr(now.heard, ")"));
}

static void close_in_end(void *ud, iu_universe *u, const iu_error *err, iu_cursor *rows) {
  hear_end(ud, u, err, rows);
  GOOD(iu_close(u, &now.err));
}

/* Each of many ends once, whatever ends the connection. */
static void closing_ends_every_call_once(void **state) {
  const iu_arg gone[] = {iu_arg_text("nobody"), iu_arg_bool(false)};
  (void)state;
  for (int i = 0; i < 20; i++) GOOD(iu_call_async(now.u, "delete_entity", gone, 2, 0, i == 3 ? close_in_end : hear_end, &now, &now.err));
  turn_for(&now.ends, 20);
  for (int i = 0; i < 5; i++) GOOD(iu_wait(now.rt, 1, NULL, &now.err));
  assert_int_equal(now.ends, 20);
  assert_true(iu_is_closed(now.u));
}

static void closing_outside_ends_every_call_once(void **state) {
  const iu_arg gone[] = {iu_arg_text("nobody"), iu_arg_bool(false)};
  (void)state;
  for (int i = 0; i < 20; i++) GOOD(iu_call_async(now.u, "delete_entity", gone, 2, 0, hear_end, &now, &now.err));
  GOOD(iu_close(now.u, &now.err)); /* waits for the server's answers */
  assert_int_equal(now.ends, 20);
  for (int i = 0; i < 20; i++) assert_memory_equal(now.heard + i * 17, "!ENTITY_NOT_FOUND", 17);
}

static uint64_t own_handler;
static void cancel_itself(void *ud, iu_universe *u, const iu_value *old_row, const iu_value *new_row, const iu_event *event) {
  (void)ud;
  (void)old_row;
  (void)new_row;
  (void)event;
  hear("1");
  GOOD(iu_cancel(u, own_handler, &now.err));
  GOOD(iu_on_row(u, "entity", IU_ON_ALL, hear_row, &now, NULL, &now.err)); /* hears from the next row on */
}

static void a_handler_may_cancel_itself(void **state) {
  static const char *const queries[] = {ROBOT_QUERY};
  (void)state;
  GOOD(iu_on_row(now.u, "entity", IU_ON_INSERT, cancel_itself, NULL, &own_handler, &now.err));
  GOOD(iu_subscribe(now.u, queries, 1, 0, NULL, NULL, NULL, &now.err));
  create(now.u, "ada");
  heard("1");
  create(now.u, "bob");
  heard("+bob.");
}

/* ---- options and targets ---- */

static void options_that_do_not_fit(void **state) {
  struct { iu_options o; uint64_t newer; } from_the_future = {{0}, 0};
  iu_options o = iu_options_default();
  iu_runtime_options r = iu_runtime_options_default();
  iu_universe *u;
  iu_runtime *rt;
  (void)state;
  BAD(iu_open(now.rt, "", NULL, &u, &now.err), IU_E_VALIDATION, "empty");
  BAD(iu_open(now.rt, "memory:x", NULL, &u, &now.err), IU_E_VALIDATION, "nothing may follow memory:");
  BAD(iu_open(now.rt, "file:", NULL, &u, &now.err), IU_E_VALIDATION, "no path after file:");
  BAD(iu_open(now.rt, "http://x/y", NULL, &u, &now.err), IU_E_VALIDATION, "unknown scheme 'http'");
  BAD(iu_open(now.rt, "ws://", NULL, &u, &now.err), IU_E_VALIDATION, "expected a host name or address");
  BAD(iu_open(now.rt, "ws://h:1", NULL, &u, &now.err), IU_E_VALIDATION, "no database (expected ws://host:port/database)");
  BAD(iu_open(now.rt, "wss://h:99999/d", NULL, &u, &now.err), IU_E_VALIDATION, "port out of range");
  BAD(iu_open(now.rt, "ws://h:x/d", NULL, &u, &now.err), IU_E_VALIDATION, "expected a host name");
  BAD(iu_open(now.rt, "ws://h/a/b", NULL, &u, &now.err), IU_E_VALIDATION, "expected ws://host:port/database");
  BAD(iu_open(now.rt, "ws://[::1/d", NULL, &u, &now.err), IU_E_VALIDATION, "expected a host name");
  o.durability = "ful";
  BAD(iu_open(now.rt, "memory:", &o, &u, &now.err), IU_E_VALIDATION, "durability: one of normal, full, off expected, got `ful`, did you mean `full`?");
  BAD(iu_open(now.rt, "ws://h/d", &o, &u, &now.err), IU_E_VALIDATION, "durability: for embedded universes only");
  o = iu_options_default();
  o.recover = "suffix";
  BAD(iu_open(now.rt, "/no/where", &o, &u, &now.err), IU_E_VALIDATION, "recover: one of no, prefix expected, got `suffix`");
  BAD(iu_open(now.rt, "ws://h/d", &o, &u, &now.err), IU_E_VALIDATION, "recover: for embedded universes only");
  o.recover = "prefix";
  BAD(iu_open(now.rt, "memory:", &o, &u, &now.err), IU_E_VALIDATION, "recover: a file as target expected, got memory:");
  o.snapshot = true;
  BAD(iu_open(now.rt, "/no/where", &o, &u, &now.err), IU_E_VALIDATION, "recover: a snapshot is in memory");
  o.recover = NULL;
  BAD(iu_open(now.rt, "memory:", &o, &u, &now.err), IU_E_VALIDATION, "snapshot: a file as target expected");
  BAD(iu_open(now.rt, "ws://h/d", &o, &u, &now.err), IU_E_VALIDATION, "snapshot: for embedded universes only");
  o = iu_options_default();
  o.token = "t";
  BAD(iu_open(now.rt, "memory:", &o, &u, &now.err), IU_E_VALIDATION, "token: for servers only");
  o.protocol = "v9";
  BAD(iu_open(now.rt, "ws://h/d", &o, &u, &now.err), IU_E_VALIDATION, "protocol: one of v1, v2, v3, v1.json expected");
  o.protocol = NULL;
  o.confirmed = 2;
  BAD(iu_open(now.rt, "ws://h/d", &o, &u, &now.err), IU_E_VALIDATION, "confirmed: expected -1, 0 or 1, got 2");
  o.size = 0;
  BAD(iu_open(now.rt, "memory:", &o, &u, &now.err), IU_E_VALIDATION, "size: it is 0");
  o = iu_options_default();
  o.size = offsetof(iu_options, durability); /* an old program, which knows nothing of what follows */
  o.durability = "nonsense";
  GOOD(iu_open(now.rt, "memory:", &o, &u, &now.err));
  iu_free(u);
  from_the_future.o.size = sizeof from_the_future;
  GOOD(iu_open(now.rt, "memory:", &from_the_future.o, &u, &now.err));
  iu_free(u);
  from_the_future.newer = 1;
  BAD(iu_open(now.rt, "memory:", &from_the_future.o, &u, &now.err), IU_E_VALIDATION, "does not know that field");
  r.log_level = (iu_log_level)9;
  BAD(iu_runtime_new(&r, &rt, &now.err), IU_E_VALIDATION, "log_level: expected 0 to 4, got 9");
  r.size = 0;
  BAD(iu_runtime_new(&r, &rt, &now.err), IU_E_VALIDATION, "size");
  BAD(iu_open(now.rt, "/no/such/folder/x.universe", NULL, &u, &now.err), IU_E_STORAGE, "/no/such/folder");
  assert_null(u);
}

static void servers_that_are_not_there(void **state) {
  iu_options o = options_of();
  iu_universe *u;
  char target[600];
  (void)state;
  BAD(iu_open(now.rt, "ws://127.0.0.1:1/x", &o, &u, &now.err), IU_E_CONNECTION, "127.0.0.1:1");
  assert_null(u);
  snprintf(target, sizeof target, "%s-nope", now.target);
  BAD(iu_open(now.rt, target, &o, &u, &now.err), IU_E_NO_DATABASE, "has no database");
  o.background = true;
  u = open_more(&o);
  BAD(iu_call(u, "create_entity", NULL, 0, 0, &now.err), IU_E_CONNECTION, "not connected yet");
  GOOD(iu_on_row(u, "no_such_table_yet", IU_ON_ALL, hear_row, &now, NULL, &now.err));
  iu_free(u);
  GOOD(iu_open(now.rt, target, &o, &u, &now.err));
  turn_until_heard("X"); /* closed by itself */
  BAD(iu_flush(u, 0, &now.err), IU_E_CLOSED, "has no database");
  iu_free(u);
}

static void arguments_have_a_cap(void **state) {
  const size_t most = (32u << 20) + 4096u;
  char *text = malloc(most + 1);
  (void)state;
  assert_non_null(text);
  memset(text, 'x', most);
  text[most] = '\0';
  const iu_arg metadata[] = {iu_arg_text(text), iu_arg_none(), iu_arg_list(NULL, 0), iu_arg_text("{}")};
  const iu_arg args[] = {iu_arg_text("Robot"), iu_arg_list(metadata, 4), iu_arg_none()};
  BAD(iu_call(now.u, "create_entity", args, 3, 0, &now.err), IU_E_OVERLOADED, "33558528");
  free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      {"null is an error", null_is_an_error, world_open, world_close, &world_kinds[IN_MEMORY]},
      IN_EVERY_WORLD(arguments_have_a_cap), IN_EVERY_WORLD(a_closed_universe_says_so), IN_EVERY_WORLD(wrong_columns_and_types_are_refused), IN_EVERY_WORLD(waiting_in_a_callback_is_refused),
      IN_EVERY_WORLD(closing_in_a_row_callback), IN_EVERY_WORLD(freeing_in_a_row_callback), IN_EVERY_WORLD(closing_ends_every_call_once),
      IN_EVERY_WORLD(closing_outside_ends_every_call_once), IN_EVERY_WORLD(a_handler_may_cancel_itself),
      {"options that do not fit", options_that_do_not_fit, world_open, world_close, &world_kinds[IN_MEMORY]},
      {"servers that are not there", servers_that_are_not_there, world_open, world_close, &world_kinds[ON_SERVER]},
  };
  return cmocka_run_group_tests(tests, NULL, server_end);
}
