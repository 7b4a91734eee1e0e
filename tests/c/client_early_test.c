/* Rows of a subscription's large answer are taken while it still comes: nobody sees or hears one before the end, and whatever happens on the way (a cut, a bad
 * tail, rows that are held already, a look at the schema, a budget that is spent) leaves what a message that came at once would leave.
 */
#include "client_fixture.h"

#define V1 "v1.bsatn.spacetimedb"
#define V2 "v2.bsatn.spacetimedb"
#define ROWS 6000u
#define FIRST 1000u /* their ids begin here */

static atomic_uint row_count, tail; /* of the large answer; what its last name ends with */
static atomic_bool cut_there, others; /* the server hangs up in the middle; the ids are others than those of the small answer */

static void put_large(iu_buf *b, const asked *a, bool v1) {
  iu_buf data = {0};
  uint32_t rows = row_count, first = others ? 10 * FIRST : FIRST;
  iu__buf_put_u8(b, 0);
  iu__buf_put_u8(b, v1 ? 8 : 1);
  iu__buf_put_u32(b, a->request);
  if (v1) iu__buf_put_u64(b, 1);
  iu__buf_put_u32(b, a->set);
  iu__buf_put_u32(b, 1);
  if (v1) iu__buf_put_u32(b, 4096);
  put_name(b, "user");
  if (v1) {
    iu__buf_put_u64(b, rows);
    iu__buf_put_u32(b, 1);
    iu__buf_put_u8(b, 0);
    put_rows(b, NOBODY);
  }
  iu__buf_put_u8(b, 1);
  iu__buf_put_u32(b, rows);
  for (uint32_t i = 0; i < rows; i++) {
    char name[64];
    snprintf(name, sizeof name, "a name long enough to make many bytes of few rows, %06u%c", i, i + 1 < rows ? '.' : (char)tail);
    iu__buf_put_u64(b, data.len);
    put_person(&data, &(person){first + i, name});
  }
  iu__buf_put_bytes(b, data.data, data.len);
  iu__buf_free(&data);
}

/* In fragments; from its middle on when the test says so for the n-th time. */
static void say_large(socket_conn *s, const asked *a, int n) {
  iu_buf b = {0};
  put_large(&b, a, strcmp(s->s->protocol, V1) == 0);
  size_t half = b.len / 2, at = 0;
  for (size_t piece; at < b.len; at += piece) {
    piece = b.len - at < 10000 ? b.len - at : 10000;
    if (at < half && at + piece >= half) {
      await_cue(s, n);
      if (cut_there) break;
    }
    if (!conn_frame(&s->c, at + piece == b.len, at == 0 ? 2 : 0, b.data + at, piece)) break;
  }
  iu__buf_free(&b);
}

/* Queries with "id" in them get one row. The second socket has nothing large to say. */
static void script(socket_conn *s, int number) {
  bool v1 = strcmp(s->s->protocol, V1) == 0;
  say_hello(s, "t");
  for (;;) {
    asked a = ask_next(s);
    if (a.gone) return;
    if (a.tag == SUBSCRIBE && (number > 0 || strstr(a.text, "id") != NULL)) {
      if (v1) say_subscribed(s, &a, false, PEOPLE({FIRST + 100, "a name long enough to make many bytes of few rows, 000100."}));
    } else if (a.tag == SUBSCRIBE) {
      say_large(s, &a, 1);
      if (cut_there) return;
    } else if (a.tag == UNSUBSCRIBE && v1) {
      say_subscribed(s, &a, true, PEOPLE({FIRST + 100, "a name long enough to make many bytes of few rows, 000100."}));
    }
  }
}

/* ---- the client, which counts what it is told ---- */

static uint32_t told;
static server v;
static client k;

static void count_row(void *ud, uint32_t table, const iu_row *old_row, const iu_row *new_row, const iu_event *e) {
  (void)ud, (void)table, (void)old_row, (void)new_row, (void)e;
  told++;
}

static void begin(const char *protocol) {
  told = 0;
  row_count = ROWS;
  tail = '.';
  cut_there = others = false;
  server_start(&v, protocol, script);
  client_open(&k, &v);
  k.c->listener.row = count_row;
  wait_for(&k, "!");
}
static void end(void) {
  client_close(&k);
  server_stop(&v);
}
static iu_client_status status_of(void) {
  iu_client_status s;
  iu__client_get_status(k.c, &s);
  return s;
}
/* Until so many rows have been taken. */
static void take_rows(uint64_t rows) {
  uint64_t limit = iu__clock_mono_ns() + (uint64_t)PATIENCE_MS * MS;
  while (status_of().rows_early < rows && iu__clock_mono_ns() < limit) iu__loop_turn(k.loop, 50);
  assert_true(status_of().rows_early >= rows);
}
static bool sees(uint32_t id) { return iu__view_get(k.c->view, 0, &id, sizeof id) != NULL; }

static void nothing_is_seen_before_the_end(void **state) {
  static const char *const protocols[] = {V1, V2, "v3.bsatn.spacetimedb"};
  (void)state;
  for (int i = 0; i < 3; i++) {
    begin(protocols[i]);
    subscribe(&k, QUERY);
    take_rows(ROWS / 4);
    assert_int_equal(told, 0);
    assert_int_equal(iu__view_count(k.c->view, 0), 0);
    assert_false(sees(FIRST));
    assert_string_equal(k.trace, "? S !");
    v.cue = 1;
    wait_for(&k, "a1");
    assert_true(status_of().rows_early > ROWS / 2);
    assert_int_equal(told, ROWS);
    assert_int_equal(iu__view_count(k.c->view, 0), ROWS);
    assert_true(sees(FIRST) && sees(FIRST + ROWS - 1));
    assert_string_equal(k.trace, "? S ! a1");
    end();
  }
}

static void a_cut_in_the_middle_leaves_nothing(void **state) {
  (void)state;
  begin(V1);
  cut_there = true;
  subscribe(&k, QUERY);
  take_rows(ROWS / 4);
  v.cue = 1;
  wait_for(&k, "~ ? ! a1");
  assert_int_equal(told, 1);
  assert_int_equal(iu__view_count(k.c->view, 0), 1);
  assert_int_equal(status_of().store.rows, 1);
  end();
}

static void closing_in_the_middle(void **state) {
  (void)state;
  for (int release = 0; release < 2; release++) {
    begin(V2);
    subscribe(&k, QUERY);
    take_rows(ROWS / 4);
    if (release == 0) assert_int_equal(k.c->vtable->close(k.c, NULL), IU_OK);
    v.cue = 1;
    end();
    assert_int_equal(told, 0);
  }
}

static void a_bad_row_at_the_end_cuts_the_connection(void **state) {
  (void)state;
  begin(V1);
  tail = 0xff; /* no UTF-8 */
  subscribe(&k, QUERY);
  take_rows(ROWS / 4);
  v.cue = 1;
  wait_for(&k, "~");
  assert_non_null(strstr(k.why, "a row of `user` that is none"));
  wait_for(&k, "! a1");
  assert_int_equal(told, 1);
  assert_int_equal(iu__view_count(k.c->view, 0), 1);
  end();
}

static void rows_that_are_held_are_counted_once_more(void **state) {
  iu_error err;
  (void)state;
  begin(V1);
  subscribe(&k, "SELECT * FROM user WHERE id = 1100");
  wait_for(&k, "a1");
  assert_int_equal(told, 1);
  v.cue = 1;
  subscribe(&k, QUERY);
  wait_for(&k, "a2");
  assert_int_equal(status_of().rows_early, 100); /* up to the row that is there */
  assert_int_equal(told, ROWS);
  assert_int_equal(iu__view_count(k.c->view, 0), ROWS);
  assert_int_equal(k.c->vtable->unsubscribe(k.c, 1, &err), IU_OK);
  wait_for(&k, "e1");
  assert_int_equal(told, ROWS);
  assert_true(sees(FIRST + 100));
  end();
}

static void what_is_held_is_read_as_before_meanwhile(void **state) {
  iu_rows *rows;
  uint64_t pending;
  iu_error err;
  (void)state;
  begin(V1);
  others = true;
  subscribe(&k, "SELECT * FROM user WHERE id = 1100");
  wait_for(&k, "a1");
  subscribe(&k, QUERY);
  take_rows(ROWS / 4);
  assert_int_equal(iu__view_count(k.c->view, 0), 1);
  assert_true(sees(FIRST + 100));
  assert_false(sees(10 * FIRST));
  assert_int_equal(k.c->vtable->query(k.c, "SELECT * FROM user WHERE id = 1100", 34, &rows, &pending, &err), IU_OK);
  if (pending == 0) {
    assert_int_equal(rows->count, 1);
    iu__rows_release(rows);
  }
  v.cue = 1;
  wait_for(&k, "a2");
  assert_int_equal(iu__view_count(k.c->view, 0), ROWS + 1);
  end();
}

static void what_comes_first_takes_the_rows_back(void **state) {
  uint64_t pending;
  iu_error err;
  (void)state;
  begin(V1);
  subscribe(&k, QUERY);
  take_rows(ROWS / 4);
  assert_true(status_of().store.rows > 0);
  assert_int_equal(k.c->vtable->refresh_schema(k.c, &pending, &err), IU_OK);
  wait_for(&k, "=1");
  assert_int_equal(status_of().store.rows, 0);
  uint64_t early = status_of().rows_early;
  v.cue = 1;
  wait_for(&k, "a1");
  assert_int_equal(status_of().rows_early, early); /* no more of that message */
  assert_int_equal(told, ROWS);
  assert_int_equal(iu__view_count(k.c->view, 0), ROWS);
  subscribe(&k, "SELECT * FROM user WHERE id = 1100");
  wait_for(&k, "a2");
  end();
}

static void a_spent_budget_takes_none(void **state) {
  (void)state;
  begin(V2);
  iu__loop_set_deadline(k.loop, 1);
  subscribe(&k, QUERY);
  turn_for(k.loop, 100);
  assert_true(status_of().bytes_sent > 0);
  assert_int_equal(status_of().rows_early, 0);
  iu__loop_set_deadline(k.loop, 0);
  v.cue = 1;
  wait_for(&k, "a1");
  assert_int_equal(told, ROWS);
  end();
}

static void an_answer_to_nothing_takes_none(void **state) {
  (void)state;
  begin(V1);
  row_count = 0; /* a table without rows: small, and whole at once */
  v.cue = 1;
  subscribe(&k, QUERY);
  wait_for(&k, "a1");
  assert_int_equal(status_of().rows_early, 0);
  assert_int_equal(told, 0);
  end();
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(nothing_is_seen_before_the_end),
    cmocka_unit_test(a_cut_in_the_middle_leaves_nothing),
    cmocka_unit_test(closing_in_the_middle),
    cmocka_unit_test(a_bad_row_at_the_end_cuts_the_connection),
    cmocka_unit_test(rows_that_are_held_are_counted_once_more),
    cmocka_unit_test(what_is_held_is_read_as_before_meanwhile),
    cmocka_unit_test(what_comes_first_takes_the_rows_back),
    cmocka_unit_test(a_spent_budget_takes_none),
    cmocka_unit_test(an_answer_to_nothing_takes_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
