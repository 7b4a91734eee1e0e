/* import_rows and remove_rows: a universe's rows in another one, byte for byte, and what is refused. */
#include "module_fixture.h"

#include "../../core/module/internal.h"

#define HEAD "SELECT * FROM event_head WHERE id = 0"
#define HISTORY_HEAD "SELECT * FROM event_head WHERE id = 2"

/* ---- rows and arguments as bytes ---- */

static void put_u32(iu_buf *b, size_t n) {
  for (int i = 0; i < 4; i++) iu__buf_put_u8(b, (uint8_t)(n >> 8 * i));
}

static void put_text(iu_buf *b, const void *p, size_t n) {
  put_u32(b, n);
  iu__buf_put(b, p, n);
}

static iu_buf arguments(const char *table, const iu_buf *list, size_t count) {
  iu_buf args = {0};
  put_text(&args, table, strlen(table));
  put_u32(&args, count);
  iu__buf_put(&args, list->data, list->len);
  return args;
}

static iu_status send_list(universe *u, iu_connection *c, const char *reducer, const char *table, const iu_buf *list, size_t count) {
  iu_buf args = arguments(table, list, count);
  iu_status status = call_bytes(u, c, reducer, args.data, args.len);
  iu__buf_free(&args);
  return status;
}

static iu_status import_one(universe *u, const char *table, const void *row, size_t len) {
  iu_buf list = {0};
  iu_status status;
  put_text(&list, row, len);
  status = send_list(u, u->owner, "import_rows", table, &list, 1);
  iu__buf_free(&list);
  return status;
}

static iu_status remove_one(universe *u, const char *table, const char *key) {
  iu_buf list = {0};
  iu_status status;
  put_text(&list, key, strlen(key));
  status = send_list(u, u->owner, "remove_rows", table, &list, 1);
  iu__buf_free(&list);
  return status;
}

static void says(universe *u, iu_status status, iu_status want, const char *message) {
  assert_string_equal(u->err.message, message);
  assert_int_equal(status, want);
}

/* The only row that `sql` gives; valid while `rows` is held. */
static iu_slice row_bytes(universe *u, const char *sql, iu_rows **rows) {
  *rows = rows_of(u, sql);
  if ((*rows)->count != 1) fail_msg("%s: %llu rows", sql, (unsigned long long)(*rows)->count);
  return (iu_slice){(*rows)->rows[0]->data, (*rows)->rows[0]->len};
}

static bool is_own(const char *table, iu_slice row) {
  return strcmp(table, "config") == 0 && row.len > 9 && (memcmp(row.p + 4, "owner", 5) == 0 || memcmp(row.p + 4, "schema_version", 14) == 0);
}

/* All rows of a table in one call; *skipped: those that belong to one universe. */
static void transplant(universe *from, universe *to, const char *table) {
  char sql[80];
  iu_rows *rows = rows_of(from, FORMAT(sql, "SELECT * FROM %s", table));
  iu_buf list = {0};
  size_t count = 0;
  for (uint64_t i = 0; i < rows->count; i++) {
    iu_slice row = {rows->rows[i]->data, rows->rows[i]->len};
    if (is_own(table, row)) continue;
    put_text(&list, row.p, row.len);
    count++;
  }
  if (send_list(to, to->owner, "import_rows", table, &list, count) != IU_OK) fail_msg("%s: %s", table, to->err.message);
  iu__buf_free(&list);
  iu__rows_release(rows);
}

static void same_rows(universe *a, universe *b, const char *table) {
  char sql[80];
  iu_rows *left = rows_of(a, FORMAT(sql, "SELECT * FROM %s", table)), *right = rows_of(b, sql);
  assert_int_equal(left->count, right->count);
  for (uint64_t i = 0; i < left->count; i++) {
    bool found = is_own(table, (iu_slice){left->rows[i]->data, left->rows[i]->len});
    for (uint64_t j = 0; j < right->count && !found; j++) {
      found = left->rows[i]->len == right->rows[j]->len && memcmp(left->rows[i]->data, right->rows[j]->data, left->rows[i]->len) == 0;
    }
    if (!found) fail_msg("%s: row %llu is not there", table, (unsigned long long)i);
  }
  iu__rows_release(left);
  iu__rows_release(right);
}

/* The head of the log says what the log holds. */
static void check_head(universe *u, const char *table, const char *head) {
  char sql[80];
  iu_rows *rows = rows_of(u, FORMAT(sql, "SELECT * FROM %s", table));
  uint64_t bytes = 0, n = rows->count;
  for (uint64_t i = 0; i < n; i++) bytes += rows->rows[i]->len;
  iu__rows_release(rows);
  assert_int_equal(number(u, head, "count"), n);
  assert_int_equal(number(u, head, "bytes"), bytes);
}

static void fill(universe *u) {
  must(u, "update_config", "[\"enable_row_history\",\"entity,relation\",\"\"]");
  must(u, "create_entity", "[\"T\",{\"name\":" SOME("\"n\"") ",\"description\":" NONE ",\"tags\":[\"a\",\"b\"],\"properties\":\"{\\\"a\\\":9007199254740993}\"}," SOME("\"e\"") "]");
  must(u, "create_entity", "[\"T\"," PLAIN "," NONE "]");
  must(u, "update_entity", "[\"e\"," PLAIN "]");
  must(u, "create_relation", "[\"e\",\"e\",\"R\"," LINK "," SOME("\"r\"") "]");
  must(u, "commit_state_version",
       "[\"\",\"d\",\"h\",\"\",\"a\",[\"t\"],\"{}\",\"\",\"\"," NONE ",{\"some\":{\"base_version_id\":\"\",\"operations\":[{\"Set\":[\"a\",\"1\"]},{\"Delete\":"
       "[\"x\"]},{\"Insert\":[\"a\",{\"some\":1},\"1\"]},{\"Insert\":[\"a\"," NONE ",\"[]\"]},{\"Remove\":[\"a\",1]},{\"Patch\":[\"a\",\"{}\"]}],\"metadata\":" NOTE
       ",\"id\":" NONE "}},[[\"raw\",\"00ff\"]]," SOME("\"v\"") "]");
  must(u, "publish_event", "[\"T\",\"s\",\"[1]\"," SOME("\"x\"") "]");
  must(u, "advance_cursor", "[\"c\",2," NONE "]");
  must(u, "grant", "[\"role:x\",\"create_entity\",\"T\"]");
  must(u, "grant", "[\"role:y\",\"create_entity\",\"\"]");
  must(u, "record_migration", "[\"1\",\"n\",\"c\",\"applied\",0,\"\",\"\",5]");
  must(u, "put_record", "[\"k\",\"v\"," NONE "," NONE "]");
  must(u, "transact", "[[]," SOME("\"key\"") "]");
}

static const char *const tables[] = {"entity", "relation", "state_version", "delta_record", "state_snapshot", "state_branch", "event_log", "event_head",
                                     "event_cursor", "row_history", "config", "permission", "applied_request", "schema_migration", "plugin_record"};
#define TABLES (sizeof tables / sizeof *tables)

/* ---- tests ---- */

static void a_universe_moves_byte_for_byte(void **state) {
  universe *from = *state, *to;
  void *other;
  universe_open(&other);
  to = other;
  fill(from);
  must(to, "update_config", "[\"enable_audit_log\",\"false\",\"\"]"); /* nothing of its own while rows come in, and no head that counts it */
  must(to, "prune_events", "[" NONE "," SOME("0") "," NONE "," NONE ",[],0]");
  assert_int_equal(remove_one(to, "config", "enable_audit_log"), IU_OK);
  for (int twice = 0; twice < 2; twice++) {
    for (size_t i = 0; i < TABLES; i++) transplant(from, to, tables[i]);
    for (size_t i = 0; i < TABLES; i++) same_rows(from, to, tables[i]);
  }
  /* and goes on from there */
  must(to, "publish_event", "[\"T\",\"\",\"1\"," SOME("\"next\"") "]");
  assert_int_equal(number(to, "SELECT * FROM event_log WHERE event_id = 'next'", "sequence"), number(from, HEAD, "sequence") + 1);
  must(to, "update_entity", "[\"e\"," PLAIN "]");
  assert_int_equal(number(to, HISTORY_HEAD, "sequence"), number(from, HISTORY_HEAD, "sequence") + 1);
  check_head(to, "event_log", HEAD);
  check_head(to, "row_history", HISTORY_HEAD);
  universe_close(&other);
}

static void heads_follow_what_comes_and_goes(void **state) {
  universe *u = *state;
  iu_rows *rows;
  iu_slice row;
  uint8_t copy[256];
  uint64_t last;
  must(u, "publish_event", "[\"T\",\"s\",\"[1]\"," SOME("\"x\"") "]");
  last = number(u, HEAD, "sequence");
  row = row_bytes(u, "SELECT * FROM event_log WHERE event_id = 'x'", &rows);
  memcpy(copy, row.p, row.len);
  copy[4] = 'y'; /* another event ... */
  assert_int_equal(import_one(u, "event_log", copy, row.len), IU_E_CONFLICT);
  assert_string_equal(u->err.message, "rows[0]: sequence: 3 is event \"x\" here, not \"y\"");
  copy[5] = 100; /* ... at a sequence of its own: 100 */
  assert_int_equal(import_one(u, "event_log", copy, row.len), IU_OK);
  assert_int_equal(number(u, HEAD, "sequence"), 100);
  check_head(u, "event_log", HEAD);
  copy[5] = 50; /* moved */
  assert_int_equal(import_one(u, "event_log", copy, row.len), IU_OK);
  assert_int_equal(number(u, HEAD, "sequence"), 100);
  check_head(u, "event_log", HEAD);
  assert_int_equal(remove_one(u, "event_log", "x"), IU_OK);
  assert_int_equal(remove_one(u, "event_log", "x"), IU_OK); /* gone already */
  check_head(u, "event_log", HEAD);
  must(u, "publish_event", "[\"T\",\"s\",\"[1]\"," SOME("\"z\"") "]");
  assert_int_equal(number(u, "SELECT * FROM event_log WHERE event_id = 'z'", "sequence"), 101);
  copy[5] = 0;
  says(u, import_one(u, "event_log", copy, row.len), IU_E_VALIDATION, "rows[0]: sequence: 0, expected 1 or more");
  copy[12] = 0x40;
  copy[5] = 1;
  says(u, import_one(u, "event_log", copy, row.len), IU_E_VALIDATION,
       "rows[0]: sequence: 4611686018427387905, expected at most 4611686018427387904");
  iu__rows_release(rows);
  assert_true(last == 3);
}

static void a_head_only_goes_forward(void **state) {
  universe *u = *state;
  const uint8_t back[28] = {0, 0, 0, 0, 1}, forth[28] = {0, 0, 0, 0, 200, 0, 0, 0, 0, 0, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0, 99}, none[28] = {3};
  assert_int_equal(import_one(u, "event_head", back, sizeof back), IU_OK);
  assert_int_equal(number(u, HEAD, "sequence"), 2);
  assert_int_equal(import_one(u, "event_head", forth, sizeof forth), IU_OK);
  assert_int_equal(number(u, HEAD, "sequence"), 200);
  check_head(u, "event_log", HEAD); /* what it counts is here, not there */
  says(u, import_one(u, "event_head", none, sizeof none), IU_E_VALIDATION, "rows[0]: id: 3, expected less than 3");
}

static void nothing_is_noted_of_it(void **state) {
  universe *u = *state;
  iu_rows *rows;
  iu_slice row;
  uint8_t copy[256];
  uint64_t events, history;
  must(u, "update_config", "[\"enable_row_history\",\"entity,relation\",\"\"]");
  must(u, "create_entity", "[\"T\"," PLAIN "," SOME("\"e\"") "]");
  row = row_bytes(u, "SELECT * FROM entity", &rows);
  memcpy(copy, row.p, row.len);
  events = number(u, HEAD, "sequence");
  history = number(u, HISTORY_HEAD, "sequence");
  copy[9] = 'U'; /* its type */
  for (size_t i = 10; i < 17; i++) copy[i] = 9; /* its times */
  assert_int_equal(import_one(u, "entity", copy, row.len), IU_OK);
  copy[4] = 'f';
  assert_int_equal(import_one(u, "entity", copy, row.len), IU_OK);
  assert_int_equal(remove_one(u, "entity", "f"), IU_OK);
  assert_int_equal(count(u, "SELECT * FROM entity"), 1);
  assert_int_equal(number(u, HEAD, "sequence"), events);
  assert_int_equal(number(u, HISTORY_HEAD, "sequence"), history);
  iu__rows_release(rows);
}

static void rules_come_with_their_number(void **state) {
  universe *from = *state, *to;
  iu_connection *guest;
  void *other;
  const char marker[] = "\x0b\0\0\0action:nope\0\0\0\0\4\0\0\0nope\1\0\0\0" "7";
  universe_open(&other);
  to = other;
  fill(from);
  guest = session(to);
  assert_int_equal(call_as(to, guest, "create_entity", "[\"T\"," PLAIN "," NONE "]"), IU_OK);
  transplant(from, to, "permission");
  transplant(from, to, "permission");
  same_rows(from, to, "permission");
  assert_int_equal(call_as(to, guest, "create_entity", "[\"T\"," PLAIN "," NONE "]"), IU_E_AUTHORIZATION);
  assert_int_equal(remove_one(to, "permission", "role:x:create_entity:T"), IU_OK);
  assert_int_equal(remove_one(to, "permission", "action:create_entity"), IU_OK); /* the number is not a rule */
  assert_int_equal(call_as(to, guest, "create_entity", "[\"T\"," PLAIN "," NONE "]"), IU_E_AUTHORIZATION);
  assert_int_equal(remove_one(to, "permission", "role:y:create_entity:*"), IU_OK);
  assert_int_equal(call_as(to, guest, "create_entity", "[\"T\"," PLAIN "," NONE "]"), IU_OK);
  assert_int_equal(count(to, "SELECT * FROM permission"), 0);
  says(to, import_one(to, "permission", marker, sizeof marker - 2), IU_E_VALIDATION, "rows[0]: the bytes are not a row of `permission`");
  session_end(guest);
  universe_close(&other);
}

static void put_rule(iu_buf *b, const char *key, const char *principal, const char *action, const char *subject) {
  const char *const fields[] = {key, principal, action, subject};
  iu__buf_reset(b);
  for (int i = 0; i < 4; i++) put_text(b, fields[i], strlen(fields[i]));
}

static void rules_have_the_key_that_grant_gives(void **state) {
  universe *u = *state;
  iu_buf row = {0};
  put_rule(&row, "role:x:a:b", "role:x", "a", "c");
  says(u, import_one(u, "permission", row.data, row.len), IU_E_VALIDATION, "rows[0]: key: \"role:x:a:b\", expected \"role:x:a:c\"");
  put_rule(&row, "nobody:a:b", "nobody", "a", "b");
  says(u, import_one(u, "permission", row.data, row.len), IU_E_VALIDATION,
       "rows[0]: principal: \"nobody\", expected an identity of 64 hex digits or role:name");
  put_rule(&row, "role:x:a:*", "role:x", "a", "");
  says(u, import_one(u, "permission", row.data, row.len), IU_E_VALIDATION, "rows[0]: principal: \"role:x\", expected a rule as grant writes it");
  put_rule(&row, "action:b", "", "a", "not a number");
  says(u, import_one(u, "permission", row.data, row.len), IU_E_VALIDATION, "rows[0]: key: \"action:b\", expected \"action:a\"");
  put_rule(&row, "action:a", "", "a", "not a number"); /* passed over */
  assert_int_equal(import_one(u, "permission", row.data, row.len), IU_OK);
  assert_int_equal(count(u, "SELECT * FROM permission"), 0);
  iu__buf_free(&row);
}

static void features_obey_imported_configuration(void **state) {
  universe *from = *state, *to;
  iu_rows *rows;
  iu_slice row;
  void *other;
  uint64_t events;
  universe_open(&other);
  to = other;
  must(from, "update_config", "[\"enable_audit_log\",\"false\",\"\"]");
  row = row_bytes(from, "SELECT * FROM config WHERE key = 'enable_audit_log'", &rows);
  assert_int_equal(import_one(to, "config", row.p, row.len), IU_OK);
  events = number(to, HEAD, "sequence");
  must(to, "create_entity", "[\"T\"," PLAIN "," NONE "]");
  assert_int_equal(number(to, HEAD, "sequence"), events);
  assert_int_equal(remove_one(to, "config", "enable_audit_log"), IU_OK);
  must(to, "create_entity", "[\"T\"," PLAIN "," NONE "]");
  assert_int_equal(number(to, HEAD, "sequence"), events + 1);
  iu__rows_release(rows);
  row = row_bytes(from, "SELECT * FROM config WHERE key = 'owner'", &rows);
  says(to, import_one(to, "config", row.p, row.len), IU_E_VALIDATION, "rows[0]: key: \"owner\" is set once, when the universe is made");
  iu__rows_release(rows);
  row = row_bytes(from, "SELECT * FROM config WHERE key = 'schema_version'", &rows);
  says(to, import_one(to, "config", row.p, row.len), IU_E_VALIDATION, "rows[0]: key: \"schema_version\" belongs to the module");
  iu__rows_release(rows);
  says(to, remove_one(to, "config", "owner"), IU_E_VALIDATION, "keys[0]: key: \"owner\" has to stay");
  universe_close(&other);
}

static void not_every_table_takes_rows(void **state) {
  universe *u = *state;
  iu_connection *guest = session(u);
  iu_buf none = {0};
  const char *words = "table: \"client_connection\", expected a table whose rows may be brought from elsewhere";
  says(u, import_one(u, "client_connection", "", 0), IU_E_VALIDATION, words);
  says(u, remove_one(u, "client_connection", "x"), IU_E_VALIDATION, words);
  says(u, remove_one(u, "event_head", "x"), IU_E_VALIDATION, "table: \"event_head\", expected a table whose rows may be brought from elsewhere");
  says(u, import_one(u, "nothing", "", 0), IU_E_VALIDATION, "table: \"nothing\", expected a table whose rows may be brought from elsewhere");
  assert_int_equal(send_list(u, guest, "import_rows", "entity", &none, 0), IU_E_AUTHORIZATION);
  assert_int_equal(strncmp(u->err.message, "import_rows is the owner's, not permitted to ", 45), 0);
  assert_int_equal(send_list(u, guest, "remove_rows", "entity", &none, 0), IU_E_AUTHORIZATION);
  session_end(guest);
}

static void too_many_rows_are_refused(void **state) {
  universe *u = *state;
  iu_buf list = {0};
  for (size_t i = 0; i < NERV_IMPORT_MAX + 1; i++) put_u32(&list, 0);
  says(u, send_list(u, u->owner, "import_rows", "entity", &list, NERV_IMPORT_MAX + 1), IU_E_VALIDATION, "rows: 100001, expected at most 100000");
  says(u, send_list(u, u->owner, "remove_rows", "entity", &list, NERV_IMPORT_MAX + 1), IU_E_VALIDATION, "keys: 100001, expected at most 100000");
  iu__buf_free(&list);
}

/* A row with one thing wrong: nothing of the call stays. */
static void a_bad_row_spoils_the_call(void **state) {
  universe *u = *state;
  iu_rows *rows, *links;
  iu_slice row, link;
  iu_buf list = {0};
  uint8_t copy[512];
  must(u, "create_entity", "[\"T\",{\"name\":" SOME("\"n\"") ",\"description\":" NONE ",\"tags\":[\"a\"],\"properties\":\"{}\"}," SOME("\"e\"") "]");
  must(u, "create_relation", "[\"e\",\"e\",\"R\"," LINK "," SOME("\"r\"") "]");
  row = row_bytes(u, "SELECT * FROM entity", &rows);
  memcpy(copy, row.p, row.len);
  copy[4] = 'f';
  put_text(&list, copy, row.len);
  put_text(&list, copy, row.len - 1);
  says(u, send_list(u, u->owner, "import_rows", "entity", &list, 2), IU_E_VALIDATION, "rows[1]: the bytes are not a row of `entity`");
  assert_int_equal(count(u, "SELECT * FROM entity"), 1);
  copy[row.len] = 0;
  says(u, import_one(u, "entity", copy, row.len + 1), IU_E_VALIDATION, "rows[0]: the bytes are not a row of `entity`");
  copy[row.len - 1] = ']';
  says(u, import_one(u, "entity", copy, row.len), IU_E_VALIDATION,
       "rows[0]: properties: \"{]\" is not valid JSON at byte 1: a key was expected");
  memcpy(copy + row.len - 2, "[]", 2);
  says(u, import_one(u, "entity", copy, row.len), IU_E_VALIDATION, "rows[0]: properties: \"[]\" is not a JSON object");
  copy[row.len - 6] = 0;
  says(u, import_one(u, "entity", copy, row.len - 2), IU_E_VALIDATION, "rows[0]: properties: \"\" is empty, expected JSON");
  memcpy(copy, row.p, row.len);
  copy[4] = '\n';
  says(u, import_one(u, "entity", copy, row.len), IU_E_VALIDATION, "rows[0]: id: \"\\x0a\" has a control character at byte 0, expected none");
  copy[4] = 0xff;
  says(u, import_one(u, "entity", copy, row.len), IU_E_VALIDATION, "rows[0]: id: invalid UTF-8 at byte 0 of \"\\xff\"");
  memcpy(copy, row.p, row.len);
  copy[26] = 2; /* the name's option */
  says(u, import_one(u, "entity", copy, row.len), IU_E_VALIDATION, "rows[0]: the bytes are not a row of `entity`");
  link = row_bytes(u, "SELECT * FROM relation", &links);
  memcpy(copy, link.p, link.len);
  memset(copy + link.len - 4 - 2 - 4 - 1 - 8, 0xff, 8); /* the strength: not a number */
  says(u, import_one(u, "relation", copy, link.len), IU_E_VALIDATION, "rows[0]: strength: expected a finite number");
  iu__buf_free(&list);
  iu__rows_release(links);
  iu__rows_release(rows);
}

static void without_memory_nothing_comes(void **state) {
#ifdef IU_ERRINJ
  universe *from = *state;
  fill(from);
  for (size_t t = 0; t < TABLES; t++) {
    bool done = false;
    for (long after = 0; !done && after < 2000; after++) {
      universe *to;
      void *other;
      char sql[80];
      iu_rows *rows = rows_of(from, FORMAT(sql, "SELECT * FROM %s", tables[t]));
      iu_buf list = {0}, args;
      size_t count = 0;
      iu_status status;
      universe_open(&other);
      to = other;
      must(to, "prune_events", "[" NONE "," SOME("0") "," NONE "," NONE ",[],0]");
      for (uint64_t i = 0; i < rows->count; i++) {
        iu_slice row = {rows->rows[i]->data, rows->rows[i]->len};
        if (is_own(tables[t], row)) continue;
        put_text(&list, row.p, row.len);
        count++;
      }
      args = arguments(tables[t], &list, count);
      iu__errinj_arm(IU_ERRINJ_ALLOC, after);
      status = call_bytes(to, to->owner, "import_rows", args.data, args.len);
      iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
      done = status == IU_OK;
      if (!done && status != IU_E_NOMEM) fail_msg("%s, %ld: %s", tables[t], after, to->err.message);
      if (done && strcmp(tables[t], "event_head") != 0) same_rows(from, to, tables[t]);
      iu__buf_free(&args);
      iu__buf_free(&list);
      iu__rows_release(rows);
      universe_close(&other);
    }
    assert_true(done);
  }
#else
  (void)state;
  skip();
#endif
}

int main(void) {
  const struct CMUnitTest tests[] = {
    MODULE_TEST(a_universe_moves_byte_for_byte), MODULE_TEST(heads_follow_what_comes_and_goes), MODULE_TEST(a_head_only_goes_forward),
    MODULE_TEST(nothing_is_noted_of_it), MODULE_TEST(rules_come_with_their_number), MODULE_TEST(rules_have_the_key_that_grant_gives),
    MODULE_TEST(features_obey_imported_configuration), MODULE_TEST(not_every_table_takes_rows), MODULE_TEST(too_many_rows_are_refused),
    MODULE_TEST(a_bad_row_spoils_the_call), MODULE_TEST(without_memory_nothing_comes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
