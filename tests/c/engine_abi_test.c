/* engine_abi_test.c: spacetime_10.0 as a module sees it (protocol sheet 8.3), driven from inside a reducer. */
#include "engine_fixture.h"

static int32_t names_body(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  uint32_t id;
  (void)f; (void)args; (void)err;
  assert_int_equal(iu__stdb_table_id_from_name(h, "item", 4, &id), IU_ABI_OK);
  assert_int_equal(iu__stdb_table_id_from_name(h, "items", 5, &id), IU_ABI_NO_SUCH_TABLE);
  assert_int_equal(iu__stdb_index_id_from_name(h, "item_grp_idx_btree", 18, &id), IU_ABI_OK);
  assert_int_equal(iu__stdb_index_id_from_name(h, "grp", 3, &id), IU_ABI_NO_SUCH_INDEX);
  uint64_t n;
  assert_int_equal(iu__stdb_datastore_table_row_count(h, 4095, &n), IU_ABI_NO_SUCH_TABLE);
  return 0;
}
static void names_are_found_only_inside_a_transaction(void **state) {
  fixture *f = *state;
  uint32_t id;
  assert_int_equal(run(f, names_body), IU_OK);
  assert_int_equal(iu__stdb_table_id_from_name(f->host, "item", 4, &id), IU_ABI_NOT_IN_TRANSACTION);
  assert_int_equal(iu__stdb_index_id_from_name(f->host, "item_grp_idx_btree", 18, &id), IU_ABI_NOT_IN_TRANSACTION);
}

static int32_t sequence_body(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  uint64_t a = 0, b = 0, c = 10, d = 0;
  (void)f; (void)args; (void)err;
  assert_int_equal(put_item(h, &a, 1, "a"), 0);
  assert_int_equal(put_item(h, &b, 1, "b"), 0);
  assert_int_equal(put_item(h, &c, 1, "c"), 0);
  assert_int_equal(put_item(h, &d, 1, "d"), 0);
  assert_int_equal(b, a + 1);
  assert_int_equal(c, 10);
  assert_int_equal(d, b + 1); /* a given number does not move the sequence */
  return 0;
}
static int32_t fail_body(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  uint64_t id = 0;
  uint32_t len = 22;
  (void)f; (void)args;
  assert_int_equal(put_item(h, &id, 1, "lost"), 0);
  f->sub = id;
  iu__stdb_bytes_sink_write(h, err, "VALIDATION: not like so", &len);
  return 1;
}
static int32_t after_failure_body(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  uint64_t id = 0, n;
  (void)args; (void)err;
  assert_int_equal(iu__stdb_datastore_table_row_count(h, table_id(h, "item"), &n), 0);
  assert_int_equal(n, 4);
  assert_int_equal(put_item(h, &id, 1, "next"), 0);
  assert_int_equal(id, f->sub + 1);
  return 0;
}
static void sequences_fill_zeros_and_are_not_rolled_back(void **state) {
  fixture *f = *state;
  assert_int_equal(run(f, sequence_body), IU_OK);
  assert_int_equal(run(f, fail_body), IU_E_VALIDATION);
  assert_string_equal(f->err.message, "not like s");
  assert_int_equal(run(f, after_failure_body), IU_OK);
}

static int32_t unique_body(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  uint64_t a = 1, again = 1, other = 2;
  uint8_t bad[3] = {1, 2, 3};
  uint32_t len = 3;
  (void)f; (void)args; (void)err;
  assert_int_equal(put_item(h, &a, 1, "a"), IU_ABI_OK);
  assert_int_equal(put_item(h, &again, 1, "a"), IU_ABI_OK); /* the same row: set semantics */
  assert_int_equal(put_item(h, &again, 2, "z"), IU_ABI_UNIQUE_ALREADY_EXISTS);
  assert_int_equal(put_item(h, &other, 1, "a"), IU_ABI_UNIQUE_ALREADY_EXISTS);
  assert_int_equal(iu__stdb_datastore_insert_bsatn(h, table_id(h, "item"), bad, &len), IU_ABI_BSATN_DECODE_ERROR);
  assert_int_equal(iu__stdb_datastore_insert_bsatn(h, 1, bad, &len), IU_ABI_NO_SUCH_TABLE);
  return 0;
}
static void inserts_check_rows_and_unique_keys(void **state) { assert_int_equal(run(*state, unique_body), IU_OK); }

static int32_t update_body(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  uint64_t a = 1, b = 2;
  iu_buf row = {0};
  uint32_t len, t = table_id(h, "item"), pk = index_id(h, "item_id_idx_btree"), grp = index_id(h, "item_grp_idx_btree");
  (void)f; (void)args; (void)err;
  assert_int_equal(put_item(h, &a, 1, "a"), 0);
  assert_int_equal(put_item(h, &b, 1, "b"), 0);
  iu__buf_put_u64(&row, 1);
  iu__buf_put_u32(&row, 7);
  put_text(&row, "A");
  len = (uint32_t)row.len;
  assert_int_equal(iu__stdb_datastore_update_bsatn(h, t, pk, row.data, &len), IU_ABI_OK);
  assert_int_equal(len, 0);
  len = (uint32_t)row.len;
  assert_int_equal(iu__stdb_datastore_update_bsatn(h, t, grp, row.data, &len), IU_ABI_INDEX_NOT_UNIQUE);
  assert_int_equal(iu__stdb_datastore_update_bsatn(h, t, 1, row.data, &len), IU_ABI_NO_SUCH_INDEX);
  row.data[0] = 9;
  assert_int_equal(iu__stdb_datastore_update_bsatn(h, t, pk, row.data, &len), IU_ABI_NO_SUCH_ROW);
  row.data[0] = 2; /* would take 1's name */
  assert_int_equal(iu__stdb_datastore_update_bsatn(h, t, pk, row.data, &len), IU_ABI_UNIQUE_ALREADY_EXISTS);
  iu__buf_free(&row);
  return 0;
}
static void updates_go_by_a_unique_index(void **state) {
  fixture *f = *state;
  iu_rows *rows;
  uint64_t pending;
  assert_int_equal(run(f, update_body), IU_OK);
  assert_int_equal(f->c->vtable->query(f->c, "SELECT * FROM item WHERE grp = 7", 32, &rows, &pending, &f->err), IU_OK);
  assert_int_equal(rows->count, 1);
  iu__rows_release(rows);
}

static uint32_t read_all(struct iu_host *h, uint32_t iter, uint32_t room, uint32_t *calls) {
  uint8_t *buf = malloc(room);
  uint32_t total = 0;
  int32_t rc = 0;
  *calls = 0;
  while (rc == 0) {
    uint32_t len = room;
    rc = iu__stdb_row_iter_bsatn_advance(h, iter, buf, &len);
    if (rc == IU_ABI_BUFFER_TOO_SMALL) {
      assert_true(len > room);
      room = len;
      free(buf);
      buf = malloc(room);
      rc = 0;
      continue;
    }
    total += len;
    (*calls)++;
  }
  assert_int_equal(rc, IU_ABI_EXHAUSTED);
  assert_int_equal(iu__stdb_row_iter_bsatn_advance(h, iter, buf, &room), IU_ABI_NO_SUCH_ITER);
  free(buf);
  return total;
}

static int32_t scan_body(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  uint32_t it, calls, deleted, t = table_id(h, "item"), grp = index_id(h, "item_grp_idx_btree"), pk = index_id(h, "item_id_idx_btree");
  uint8_t low[5] = {0, 3, 0, 0, 0}, high[5] = {1, 5, 0, 0, 0}, open_end[1] = {2}, bad[1] = {3}, key[9] = {0, 17};
  (void)f; (void)args; (void)err;
  for (uint32_t i = 0; i < 100; i++) {
    char name[16];
    uint64_t id = i + 1;
    snprintf(name, sizeof name, "n%03u", i);
    assert_int_equal(put_item(h, &id, i % 10, name), 0);
  }
  assert_int_equal(iu__stdb_datastore_table_scan_bsatn(h, t, &it), 0);
  assert_int_equal(read_all(h, it, 1, &calls), 100 * 20);
  assert_int_equal(iu__stdb_datastore_index_scan_range_bsatn(h, grp, "", 0, 0, low, 5, high, 5, &it), 0);
  assert_int_equal(read_all(h, it, 65536, &calls), 20 * 20); /* groups 3 and 4 */
  assert_int_equal(iu__stdb_datastore_index_scan_range_bsatn(h, grp, "", 0, 0, low, 5, open_end, 1, &it), 0);
  assert_int_equal(iu__stdb_row_iter_bsatn_close(h, it), 0);
  assert_int_equal(iu__stdb_row_iter_bsatn_close(h, it), IU_ABI_NO_SUCH_ITER);
  assert_int_equal(iu__stdb_datastore_index_scan_range_bsatn(h, pk, "", 0, 0, key, 9, key, 9, &it), 0);
  assert_int_equal(read_all(h, it, 65536, &calls), 20);
  assert_int_equal(iu__stdb_datastore_index_scan_range_bsatn(h, grp, "", 0, 0, bad, 1, high, 5, &it), IU_ABI_BSATN_DECODE_ERROR);
  assert_int_equal(iu__stdb_datastore_index_scan_range_bsatn(h, grp, low + 1, 4, 1, low, 5, high, 5, &it), IU_ABI_BSATN_DECODE_ERROR);
  assert_int_equal(iu__stdb_datastore_delete_by_index_scan_range_bsatn(h, grp, "", 0, 0, low, 5, high, 5, &deleted), 0);
  assert_int_equal(deleted, 20);
  uint8_t rel[4 + 20] = {1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 'n', '0', '0', '0'};
  assert_int_equal(iu__stdb_datastore_delete_all_by_eq_bsatn(h, t, rel, sizeof rel, &deleted), 0);
  assert_int_equal(deleted, 1);
  assert_int_equal(iu__stdb_datastore_delete_all_by_eq_bsatn(h, t, rel, sizeof rel, &deleted), 0);
  assert_int_equal(deleted, 0);
  /* One left open: the call's end closes it. */
  assert_int_equal(iu__stdb_datastore_table_scan_bsatn(h, t, &it), 0);
  return 0;
}
static void scans_and_deletes_by_range(void **state) {
  fixture *f = *state;
  assert_int_equal(run(f, scan_body), IU_OK);
  iu_rows *rows;
  uint64_t pending;
  assert_int_equal(f->c->vtable->query(f->c, "SELECT * FROM item", 18, &rows, &pending, &f->err), IU_OK);
  assert_int_equal(rows->count, 79);
  iu__rows_release(rows);
}

static int32_t args_body(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  uint8_t bytes[64];
  uint32_t n = 0, len = 3;
  int32_t rc;
  (void)f; (void)err;
  while ((rc = iu__stdb_bytes_source_read(h, args, bytes + n, &len)) == 0) {
    n += len;
    len = 3;
  }
  n += len;
  assert_int_equal(rc, IU_ABI_EXHAUSTED);
  assert_int_equal(n, 4 + 11);
  assert_memory_equal(bytes + 4, "hello there", 11);
  len = 3;
  assert_int_equal(iu__stdb_bytes_source_read(h, args, bytes, &len), IU_ABI_NO_SUCH_BYTES);
  assert_int_equal(iu__stdb_bytes_source_read(h, 0, bytes, &len), IU_ABI_NO_SUCH_BYTES);
  return 0;
}
static void arguments_are_read_in_pieces(void **state) {
  fixture *f = *state;
  assert_int_equal(run_on(f, f->c, args_body, "hello there", NULL), IU_OK);
}

static int32_t too_much_body(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  char *big = malloc((5u << 20) + 1);
  int32_t rc = 0;
  (void)f; (void)args; (void)err;
  memset(big, 'x', 5u << 20);
  big[5u << 20] = '\0';
  for (int i = 0; rc == 0 && i < 20; i++) {
    uint64_t id = 0;
    big[0] = (char)('a' + i);
    rc = put_item(h, &id, 1, big);
  }
  free(big);
  assert_int_equal(rc, IU_ABI_NO_SPACE);
  return 0; /* the reducer swallows it: the call fails all the same */
}
static void a_transaction_over_its_cap_is_refused_whole(void **state) {
  fixture *f = *state;
  iu_rows *rows;
  uint64_t pending;
  assert_int_equal(run(f, too_much_body), IU_E_OVERLOADED);
  assert_int_equal(f->c->vtable->query(f->c, "SELECT * FROM item", 18, &rows, &pending, &f->err), IU_OK);
  assert_int_equal(rows->count, 0);
  iu__rows_release(rows);
}

static int32_t strange_code_body(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  (void)f; (void)h; (void)args; (void)err;
  return 77;
}
/* Rows of `secret` from first_secret on; then a delete of all of them in one go. */
static uint64_t first_secret, secrets;
static int32_t add_secrets(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  uint32_t id = table_id(h, "secret");
  int32_t rc = 0;
  (void)f; (void)args; (void)err;
  for (uint64_t i = 0; i < secrets && rc == 0; i++) {
    uint8_t row[8];
    uint32_t len = sizeof row;
    iu__store_u64(row, first_secret + i);
    rc = iu__stdb_datastore_insert_bsatn(h, id, row, &len);
  }
  return rc;
}
static int32_t delete_secrets(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  uint8_t low[9] = {0}, high[9] = {0};
  uint32_t count = 0;
  (void)f; (void)args; (void)err;
  memset(high + 1, 0xff, 8);
  int32_t rc = iu__stdb_datastore_delete_by_index_scan_range_bsatn(h, index_id(h, "secret_id_idx_btree"), NULL, 0, 0, low, 9, high, 9, &count);
  assert_int_equal(count, rc == 0 ? secrets : IU_ENGINE_TX_ROWS_MAX);
  return rc;
}
static void a_transaction_over_its_rows_is_refused_whole(void **state) {
  fixture *f = *state;
  secrets = IU_ENGINE_TX_ROWS_MAX + 1u;
  first_secret = 1;
  assert_int_equal(run(f, add_secrets), IU_E_OVERLOADED);
  assert_non_null(strstr(f->err.message, "transaction over 1000000 rows: split it into several"));
  secrets = IU_ENGINE_TX_ROWS_MAX;
  assert_int_equal(run(f, add_secrets), IU_OK);
  secrets = 1;
  first_secret = 0;
  assert_int_equal(run(f, add_secrets), IU_OK);
  assert_int_equal(run(f, delete_secrets), IU_E_OVERLOADED); /* deletes count as well */
  assert_non_null(strstr(f->err.message, "transaction over 1000000 rows"));
  iu_engine_status s;
  iu__engine_get_status(f->c, &s);
  assert_int_equal(s.store.rows, IU_ENGINE_TX_ROWS_MAX + 1u);
}

static void a_strange_return_code_is_a_failure(void **state) {
  fixture *f = *state;
  assert_int_equal(run(f, strange_code_body), IU_E_PERSISTENCE);
  assert_non_null(strstr(f->err.message, "77"));
}

static int32_t nested_body(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  uint64_t pending;
  iu_error e;
  uint8_t note[4] = {0};
  (void)h; (void)args; (void)err;
  assert_int_equal(f->c->vtable->call(f->c, 0, note, 4, &pending, &e), IU_E_CONFLICT);
  return 0;
}
static void a_reducer_cannot_call_through_a_connection(void **state) { assert_int_equal(run(*state, nested_body), IU_OK); }

static int32_t schedule_body(fixture *f, struct iu_host *h, uint32_t args, uint32_t err);
static int32_t scheduled_body(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  (void)h; (void)args; (void)err;
  note_down(f, "scheduled");
  return 0;
}
static int32_t schedule_body(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  uint8_t note[4] = {0};
  (void)args; (void)err;
  iu__stdb_volatile_nonatomic_schedule_immediate(h, "run", 3, note, 4);
  iu__stdb_volatile_nonatomic_schedule_immediate(h, "nobody", 6, note, 4);
  f->body = scheduled_body;
  return 0;
}
static void a_scheduled_call_runs_after_the_transaction(void **state) {
  fixture *f = *state;
  assert_int_equal(run(f, schedule_body), IU_OK);
  assert_int_equal(f->logged, 0);
  settle(f);
  expect_log(f, "scheduled");
}

static void hostile_arguments_are_refused_with_an_offset(void **state) {
  fixture *f = *state;
  uint64_t pending;
  uint8_t short_args[6] = {200, 0, 0, 0, 'a', 'b'}, trailing[6] = {1, 0, 0, 0, 'a', 'b'}, bad_text[5] = {1, 0, 0, 0, 0xff};
  assert_int_equal(f->c->vtable->call(f->c, 0, short_args, 6, &pending, &f->err), IU_E_VALIDATION);
  assert_non_null(strstr(f->err.message, "run"));
  assert_int_equal(f->c->vtable->call(f->c, 0, trailing, 6, &pending, &f->err), IU_E_VALIDATION);
  assert_int_equal(f->err.offset, 5);
  assert_int_equal(f->c->vtable->call(f->c, 0, bad_text, 5, &pending, &f->err), IU_E_VALIDATION);
  assert_int_equal(f->c->vtable->call(f->c, 99, bad_text, 5, &pending, &f->err), IU_E_VALIDATION);
  assert_int_equal(f->c->vtable->call(f->c, 1, "", 0, &pending, &f->err), IU_E_VALIDATION); /* lifecycle */
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
int main(void) {
  const struct CMUnitTest tests[] = {
      T(names_are_found_only_inside_a_transaction), T(sequences_fill_zeros_and_are_not_rolled_back), T(inserts_check_rows_and_unique_keys),
      T(updates_go_by_a_unique_index), T(scans_and_deletes_by_range), T(arguments_are_read_in_pieces),
      T(a_transaction_over_its_cap_is_refused_whole), T(a_transaction_over_its_rows_is_refused_whole), T(a_strange_return_code_is_a_failure), T(a_reducer_cannot_call_through_a_connection),
      T(a_scheduled_call_runs_after_the_transaction), T(hostile_arguments_are_refused_with_an_offset)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
