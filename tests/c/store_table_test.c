/* Tables, unique keys, savepoints, net change sets and reclaim, one behaviour a test. */
#include "store_fixture.h"

static fixture fx;
static iu_store *store;
static iu_buf buf;

static int setup(void **state) {
  (void)state;
  fixture_init(&fx);
  store = fixture_store(&fx);
  return 0;
}

/* As a client's replica is: no map of the primary keys, change sets that pin. */
static int setup_lean(void **state) {
  setup(state);
  iu__store_be_lean(store);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  check_store(store);
  iu__store_free(store);
  fixture_free(&fx);
  iu__buf_free(&buf);
  return 0;
}

static iu_table *table(uint32_t i) { return iu__store_table(store, i); }

static const iu_row *insert_item(const char *id, const char *kind, int64_t at, uint64_t score, const char *note) {
  const iu_row *row;
  bool existing;
  iu_error err;

  item_row(&buf, id, kind, at, score, note);
  assert_int_equal(iu__tx_insert(table(ITEM), buf.data, buf.len, &row, &existing, &err), IU_OK);
  assert_false(existing);
  return row;
}

static const iu_row *get_item(uint64_t epoch, const char *id) {
  iu_slice key = text_key(&buf, id);
  return iu__table_get(table(ITEM), epoch, key.p, key.len);
}

static iu_changeset *commit(void) {
  iu_changeset *c;
  iu_error err;

  assert_int_equal(iu__store_commit(store, &c, &err), IU_OK);
  return c;
}

static void begin(void) { assert_int_equal(iu__store_begin(store, NULL), IU_OK); }

static void every_write_and_every_undone_one_is_counted(void **state) {
  uint64_t seen[8], other = iu__table_writes(table(PAIR));
  const iu_row *row;
  size_t mark;
  iu_error err;
  (void)state;

  seen[0] = iu__table_writes(table(ITEM));
  assert_true(seen[0] > 0);
  begin();
  row = insert_item("a", "k", 1, 1, "n");
  seen[1] = iu__table_writes(table(ITEM));
  mark = iu__tx_mark(store);
  assert_int_equal(iu__tx_delete(table(ITEM), row, &err), IU_OK);
  seen[2] = iu__table_writes(table(ITEM));
  iu__tx_rollback_to(store, mark);
  seen[3] = iu__table_writes(table(ITEM));
  item_row(&buf, "a", "k", 2, 2, "m");
  assert_int_equal(iu__tx_update(table(ITEM), row, buf.data, buf.len, &row, &err), IU_OK);
  seen[4] = iu__table_writes(table(ITEM));
  iu__store_abort(store);
  seen[5] = iu__table_writes(table(ITEM));
  for (int i = 1; i <= 5; i++) assert_true(seen[i] > seen[i - 1]);
  begin();
  assert_null(commit());
  assert_int_equal(iu__table_writes(table(ITEM)), seen[5]);
  assert_int_equal(iu__table_writes(table(PAIR)), other);
}

static void a_row_is_seen_from_its_epoch_on(void **state) {
  iu_changeset *c;
  const iu_row *row;
  (void)state;

  begin();
  row = insert_item("a", "k", 1, 1, "n");
  assert_int_equal(row->from, 1);
  assert_ptr_equal(get_item(IU_EPOCH_LATEST, "a"), row);
  assert_null(get_item(0, "a"));
  assert_int_equal(iu__table_count(table(ITEM), IU_EPOCH_LATEST), 1);
  assert_int_equal(iu__table_count(table(ITEM), 0), 0);
  c = commit();
  assert_int_equal(c->epoch, 1);
  assert_int_equal(iu__store_epoch(store), 1);
  assert_int_equal(c->count, 1);
  assert_null(c->changes[0].old_row);
  assert_ptr_equal(c->changes[0].new_row, row);
  assert_ptr_equal(get_item(1, "a"), row);
  assert_null(get_item(0, "a"));
  iu__changeset_release(store, c);
}

static void unique_violations_name_table_columns_and_value(void **state) {
  const iu_row *row = (const iu_row *)&fx;
  bool existing = true;
  iu_error err;
  (void)state;

  begin();
  insert_item("a", "k", 1, 7, "n");
  item_row(&buf, "a", "k", 1, 8, "other");
  assert_int_equal(iu__tx_insert(table(ITEM), buf.data, buf.len, &row, &existing, &err), IU_E_CONFLICT);
  assert_string_equal(err.message, "table `item`: a row with id = \"a\" is already there");
  assert_null(row);
  assert_false(existing);
  item_row(&buf, "b", "k", 1, 7, "n");
  assert_int_equal(iu__tx_insert(table(ITEM), buf.data, buf.len, NULL, NULL, &err), IU_E_CONFLICT);
  assert_string_equal(err.message, "table `item`: a row with score = 7 is already there");
  assert_int_equal(iu__tx_insert(table(ITEM), buf.data, buf.len, NULL, NULL, NULL), IU_E_CONFLICT);
  row = insert_item("b", "k", 1, 8, "n");
  item_row(&buf, "b", "k", 1, 7, "n");
  assert_int_equal(iu__tx_update(table(ITEM), row, buf.data, buf.len, NULL, &err), IU_E_CONFLICT);
  assert_int_equal(row->gone, UINT64_MAX);
  assert_int_equal(iu__tx_changes(store), 2);
  iu__store_abort(store);
}

static void a_long_value_is_cut_at_a_character(void **state) {
  char id[1000];
  iu_error err;
  size_t i;
  (void)state;

  for (i = 0; i + 2 < sizeof id; i += 2) memcpy(id + i, "\xc3\xa4", 2);
  id[i] = '\0';
  begin();
  insert_item(id, "k", 1, 7, "n");
  item_row(&buf, id, "k", 1, 8, "n");
  assert_int_equal(iu__tx_insert(table(ITEM), buf.data, buf.len, NULL, NULL, &err), IU_E_CONFLICT);
  assert_non_null(strstr(err.message, "\xc3\xa4... is already there"));
  assert_true(strlen(err.message) < 300);
  iu__store_abort(store);
}

static void an_identical_row_is_not_inserted_twice(void **state) {
  const iu_row *row, *again;
  bool existing;
  (void)state;

  begin();
  row = insert_item("a", "k", 1, 1, "n");
  item_row(&buf, "a", "k", 1, 1, "n");
  assert_int_equal(iu__tx_insert(table(ITEM), buf.data, buf.len, &again, &existing, NULL), IU_OK);
  assert_true(existing);
  assert_ptr_equal(row, again);
  pair_row(&buf, 1, "x");
  assert_int_equal(iu__tx_insert(table(PAIR), buf.data, buf.len, &row, &existing, NULL), IU_OK);
  assert_false(existing);
  assert_int_equal(iu__tx_insert(table(PAIR), buf.data, buf.len, &again, &existing, NULL), IU_OK);
  assert_true(existing);
  assert_ptr_equal(row, again);
  assert_ptr_equal(iu__table_find_row(table(PAIR), IU_EPOCH_LATEST, buf.data, buf.len), row);
  assert_null(iu__table_get(table(PAIR), IU_EPOCH_LATEST, buf.data, buf.len));
  assert_int_equal(iu__tx_changes(store), 2);
  iu__store_abort(store);
  assert_int_equal(iu__table_count(table(PAIR), IU_EPOCH_LATEST), 0);
}

static void an_update_may_move_to_a_key_it_frees_itself(void **state) {
  const iu_row *row, *after;
  iu_changeset *c;
  (void)state;

  begin();
  row = insert_item("a", "k", 1, 1, "n");
  iu__changeset_release(store, commit());
  begin();
  item_row(&buf, "a", "k2", 2, 1, "n");
  assert_int_equal(iu__tx_update(table(ITEM), row, buf.data, buf.len, &after, NULL), IU_OK);
  assert_int_equal(iu__tx_changes(store), 1);
  assert_ptr_equal(get_item(IU_EPOCH_LATEST, "a"), after);
  assert_ptr_equal(get_item(1, "a"), row);
  assert_int_equal(iu__tx_update(table(ITEM), row, buf.data, buf.len, NULL, NULL), IU_E_PERSISTENCE);
  assert_int_equal(iu__tx_delete(table(ITEM), row, NULL), IU_E_PERSISTENCE);
  c = commit();
  assert_int_equal(c->count, 1);
  assert_ptr_equal(c->changes[0].old_row, row);
  assert_ptr_equal(c->changes[0].new_row, after);
  iu__changeset_release(store, c);
}

static void an_update_with_the_same_bytes_does_nothing(void **state) {
  const iu_row *row, *after;
  (void)state;

  begin();
  row = insert_item("a", "k", 1, 1, "n");
  item_row(&buf, "a", "k", 1, 1, "n");
  assert_int_equal(iu__tx_update(table(ITEM), row, buf.data, buf.len, &after, NULL), IU_OK);
  assert_ptr_equal(row, after);
  assert_int_equal(iu__tx_changes(store), 1);
  iu__store_abort(store);
}

static void delete_and_insert_of_one_key_are_one_update(void **state) {
  const iu_row *row, *after;
  iu_changeset *c;
  (void)state;

  begin();
  row = insert_item("a", "k", 1, 1, "n");
  insert_item("b", "k", 1, 2, "n");
  iu__changeset_release(store, commit());
  begin();
  assert_int_equal(iu__tx_delete(table(ITEM), row, NULL), IU_OK);
  assert_int_equal(iu__tx_delete(table(ITEM), get_item(IU_EPOCH_LATEST, "b"), NULL), IU_OK);
  after = insert_item("a", "k", 1, 1, "changed");
  c = commit();
  assert_int_equal(c->count, 2);
  assert_null(c->changes[0].new_row);
  assert_ptr_equal(c->changes[1].old_row, row);
  assert_ptr_equal(c->changes[1].new_row, after);
  iu__changeset_release(store, c);
}

static void what_cancels_out_is_no_change_and_the_epoch_stays(void **state) {
  const iu_row *row;
  uint64_t rows;
  (void)state;

  begin();
  row = insert_item("a", "k", 1, 1, "n");
  iu__changeset_release(store, commit());
  rows = store->rows;
  begin();
  assert_int_equal(iu__tx_delete(table(ITEM), row, NULL), IU_OK);
  insert_item("a", "k", 1, 1, "other");
  assert_int_equal(iu__tx_delete(table(ITEM), get_item(IU_EPOCH_LATEST, "a"), NULL), IU_OK);
  insert_item("a", "k", 1, 1, "n");
  insert_item("b", "k", 1, 2, "n");
  assert_int_equal(iu__tx_delete(table(ITEM), get_item(IU_EPOCH_LATEST, "b"), NULL), IU_OK);
  assert_null(commit());
  assert_int_equal(iu__store_epoch(store), 1);
  assert_ptr_equal(get_item(IU_EPOCH_LATEST, "a"), row);
  assert_int_equal(store->rows, rows);
  begin();
  assert_null(commit());
}

static void savepoints_undo_back_to_their_mark(void **state) {
  const iu_row *row;
  uint64_t bytes;
  size_t mark;
  (void)state;

  begin();
  row = insert_item("a", "k", 1, 1, "n");
  bytes = iu__tx_bytes(store);
  assert_int_equal(bytes, row->len);
  mark = iu__tx_mark(store);
  item_row(&buf, "a", "k", 5, 9, "changed");
  assert_int_equal(iu__tx_update(table(ITEM), row, buf.data, buf.len, &row, NULL), IU_OK);
  insert_item("b", "k", 1, 1, "takes the score that a had");
  assert_int_equal(iu__tx_delete(table(ITEM), row, NULL), IU_OK);
  assert_int_equal(iu__tx_changes(store), 4);
  iu__tx_rollback_to(store, mark);
  assert_int_equal(iu__tx_changes(store), 1);
  assert_int_equal(iu__tx_bytes(store), bytes);
  row = get_item(IU_EPOCH_LATEST, "a");
  assert_non_null(row);
  assert_null(get_item(IU_EPOCH_LATEST, "b"));
  bytes = 1;
  assert_ptr_equal(iu__table_find_unique(table(ITEM), ITEM_SCORE, IU_EPOCH_LATEST, &bytes, 8), row);
  iu__store_abort(store);
  assert_null(get_item(IU_EPOCH_LATEST, "a"));
  assert_int_equal(store->rows, 0);
}

static void pinned_epochs_keep_their_rows(void **state) {
  const iu_row *old_row, *mid;
  iu_store_stats stats;
  iu_pin pin, later;
  uint64_t score = 1;
  (void)state;

  begin();
  old_row = insert_item("a", "k", 1, 1, "first");
  iu__changeset_release(store, commit());
  iu__pin(store, &pin, 1);
  begin();
  item_row(&buf, "a", "k", 1, 1, "second");
  assert_int_equal(iu__tx_update(table(ITEM), old_row, buf.data, buf.len, &mid, NULL), IU_OK);
  iu__changeset_release(store, commit());
  iu__pin(store, &later, 2);
  begin();
  assert_int_equal(iu__tx_delete(table(ITEM), mid, NULL), IU_OK);
  iu__changeset_release(store, commit());
  iu__store_reclaim(store);
  assert_ptr_equal(get_item(1, "a"), old_row);
  assert_ptr_equal(get_item(2, "a"), mid);
  assert_null(get_item(3, "a"));
  assert_ptr_equal(iu__table_find_unique(table(ITEM), ITEM_SCORE, 1, &score, 8), old_row);
  assert_ptr_equal(iu__table_find_unique(table(ITEM), ITEM_SCORE, 2, &score, 8), mid);
  assert_int_equal(iu__table_count(table(ITEM), 1), 1);
  iu__store_stats(store, &stats);
  assert_int_equal(stats.rows, 0);
  assert_int_equal(stats.dead_rows, 2);
  iu__pin_move(&pin, 2);
  iu__store_reclaim(store);
  assert_int_equal(store->rows, 1);
  assert_ptr_equal(get_item(2, "a"), mid);
  iu__unpin(&later);
  iu__unpin(&pin);
  iu__store_reclaim(store);
  assert_int_equal(store->rows, 0);
  assert_int_equal(store->row_bytes, 0);
}

static void a_change_set_keeps_its_rows_readable(void **state) {
  const iu_row *row;
  iu_changeset *first, *second;
  iu_store_stats stats;
  (void)state;

  begin();
  row = insert_item("a", "k", 1, 1, "n");
  first = commit();
  iu__changeset_retain(first);
  begin();
  assert_int_equal(iu__tx_delete(table(ITEM), row, NULL), IU_OK);
  second = commit();
  iu__store_reclaim(store);
  assert_int_equal(table(ITEM)->trees[0].count, 0);
  assert_ptr_equal(second->changes[0].old_row, row);
  iu__store_stats(store, &stats);
  assert_int_equal(stats.dead_rows, 1);
  iu__changeset_release(store, first);
  iu__changeset_release(store, second);
  assert_memory_equal(first->changes[0].new_row->data + 4, "a", 1);
  iu__changeset_release(store, first);
  assert_int_equal(store->rows, 0);
  iu__changeset_release(store, NULL);
}

/* Of so many inserts the log itself becomes the change set. */
static void a_large_change_set_of_inserts_is_in_order_and_keeps_its_rows(void **state) {
  enum { ROWS = 3000 };
  iu_changeset *large, *deletes;
  uint64_t bytes = 0;
  char id[16];
  uint32_t i;
  (void)state;

  begin();
  for (i = 0; i < ROWS; i++) {
    snprintf(id, sizeof id, "%u", i * 7919 % ROWS);
    bytes += insert_item(id, "k", i, i, "n")->len;
  }
  iu__tx_rollback_to(store, ROWS - 1);
  bytes -= buf.len;
  large = commit();
  assert_int_equal(large->count, ROWS - 1);
  assert_int_equal(large->inserted_bytes, bytes);
  begin();
  for (i = 0; i < large->count; i++) {
    const iu_change *c = &large->changes[i];
    assert_null(c->old_row);
    assert_int_equal(iu__load_u64(iu__bsatn_column(fx.tables[ITEM].row, 3, c->new_row->data, c->new_row->len).p), i);
    assert_int_equal(iu__tx_delete(c->table, c->new_row, NULL), IU_OK);
  }
  deletes = commit();
  assert_int_equal(deletes->inserted_bytes, 0);
  iu__store_reclaim(store);
  iu__changeset_release(store, deletes);
  assert_int_equal(table(ITEM)->trees[0].count, 0);
  assert_int_equal(store->rows, ROWS - 1);
  assert_false(iu__changeset_release_some(store, large, 10));
  assert_int_equal(store->rows, ROWS - 11);
  iu__changeset_release(store, large);
  assert_int_equal(store->rows, 0);
}

/* Dead versions of the same keys are still stored. */
static void a_large_change_set_of_keys_that_were_deleted_has_no_old_rows(void **state) {
  enum { ROWS = 2000 };
  iu_changeset *first, *deletes, *again;
  char id[16];
  uint32_t i;
  (void)state;

  begin();
  for (i = 0; i < ROWS; i++) {
    snprintf(id, sizeof id, "%u", i);
    insert_item(id, "k", i, i, "n");
  }
  first = commit();
  begin();
  for (i = 0; i < ROWS; i++) assert_int_equal(iu__tx_delete(table(ITEM), first->changes[i].new_row, NULL), IU_OK);
  deletes = commit();
  begin();
  for (i = 0; i < ROWS; i++) {
    snprintf(id, sizeof id, "%u", i);
    insert_item(id, "k", i, i + 1, "n");
  }
  again = commit();
  assert_int_equal(again->count, ROWS);
  for (i = 0; i < ROWS; i++) assert_null(again->changes[i].old_row);
  iu__changeset_release(store, again);
  iu__changeset_release(store, first);
  iu__changeset_release(store, deletes);
  iu__store_reclaim(store);
  assert_int_equal(store->rows, ROWS);
}

static void writing_needs_a_transaction_and_only_one_is_open(void **state) {
  iu_changeset *c = (iu_changeset *)&fx;
  (void)state;

  item_row(&buf, "a", "k", 1, 1, "n");
  assert_int_equal(iu__tx_insert(table(ITEM), buf.data, buf.len, NULL, NULL, NULL), IU_E_PERSISTENCE);
  assert_int_equal(iu__store_commit(store, &c, NULL), IU_E_PERSISTENCE);
  assert_null(c);
  begin();
  assert_true(iu__store_in_tx(store));
  assert_int_equal(iu__store_begin(store, NULL), IU_E_CONFLICT);
  iu__store_abort(store);
  assert_false(iu__store_in_tx(store));
  iu__store_abort(store);
}

static void rows_and_transactions_have_a_largest_size(void **state) {
  (void)state;
  begin();
  assert_int_equal(iu__tx_insert(table(ITEM), "", (size_t)IU_ROW_BYTES_MAX + 1, NULL, NULL, NULL), IU_E_OVERLOADED);
  store->log_count = IU_TX_WRITES_MAX;
  item_row(&buf, "a", "k", 1, 1, "n");
  assert_int_equal(iu__tx_insert(table(ITEM), buf.data, buf.len, NULL, NULL, NULL), IU_E_OVERLOADED);
  store->log_count = 0;
  iu__store_abort(store);
}

static void keys_of_any_bytes_find_nothing(void **state) {
  static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, 'a'};
  (void)state;

  begin();
  insert_item("a", "k", 1, 1, "n");
  assert_null(iu__table_get(table(ITEM), IU_EPOCH_LATEST, huge, sizeof huge));
  assert_null(iu__table_get(table(ITEM), IU_EPOCH_LATEST, NULL, 0));
  assert_null(iu__table_find_unique(table(ODD), ODD_BIG_WEIGHT, IU_EPOCH_LATEST, huge, sizeof huge));
  assert_null(iu__table_find_unique(table(ITEM), ITEM_KIND, IU_EPOCH_LATEST, huge, sizeof huge));
  assert_null(iu__table_find_unique(table(ITEM), 99, IU_EPOCH_LATEST, huge, sizeof huge));
  assert_null(iu__table_find_row(table(ITEM), IU_EPOCH_LATEST, huge, sizeof huge));
  assert_null(iu__store_table(store, TABLES));
  iu__store_abort(store);
}

/* A head row that every call updates: the number of old versions must not matter. (In a lean store it does: it has no map to the newest one.) */
static void one_row_updated_very_often_stays_fast(void **state) {
  const iu_row *row;
  iu_changeset *c;
  uint64_t i;
  (void)state;

  begin();
  row = insert_item("head", "k", 0, 0, "n");
  for (i = 1; i <= 200000; i++) {
    item_row(&buf, "head", "k", (int64_t)i, i, "n");
    assert_int_equal(iu__tx_update(table(ITEM), row, buf.data, buf.len, &row, NULL), IU_OK);
  }
  c = commit();
  assert_int_equal(c->count, 1);
  assert_null(c->changes[0].old_row);
  assert_int_equal(store->rows, 1);
  iu__changeset_release(store, c);
}

static void stats_count_rows_and_bytes(void **state) {
  iu_store_stats stats;
  const iu_row *row;
  (void)state;

  iu__store_stats(store, &stats);
  assert_int_equal(stats.rows, 0);
  begin();
  row = insert_item("a", "k", 1, 1, "n");
  iu__changeset_release(store, commit());
  iu__store_stats(store, &stats);
  assert_int_equal(stats.rows, 1);
  assert_int_equal(stats.row_bytes, row->len);
  assert_true(stats.overhead_bytes > sizeof(iu_row));
  assert_int_equal(stats.dead_rows, 0);
}

int main(void) {
#define BOTH(f) cmocka_unit_test_setup_teardown(f, setup, teardown), {#f " (lean)", f, setup_lean, teardown, NULL}
  const struct CMUnitTest tests[] = {
      BOTH(every_write_and_every_undone_one_is_counted),
      BOTH(a_row_is_seen_from_its_epoch_on),
      BOTH(unique_violations_name_table_columns_and_value),
      BOTH(a_long_value_is_cut_at_a_character),
      BOTH(an_identical_row_is_not_inserted_twice),
      BOTH(an_update_may_move_to_a_key_it_frees_itself),
      BOTH(an_update_with_the_same_bytes_does_nothing),
      BOTH(delete_and_insert_of_one_key_are_one_update),
      BOTH(what_cancels_out_is_no_change_and_the_epoch_stays),
      BOTH(savepoints_undo_back_to_their_mark),
      BOTH(pinned_epochs_keep_their_rows),
      cmocka_unit_test_setup_teardown(a_change_set_keeps_its_rows_readable, setup, teardown), /* by holds; a lean one: store_lean_test.c */
      cmocka_unit_test_setup_teardown(a_large_change_set_of_inserts_is_in_order_and_keeps_its_rows, setup, teardown), /* by holds; a lean one: store_lean_test.c */
      cmocka_unit_test_setup_teardown(a_large_change_set_of_keys_that_were_deleted_has_no_old_rows, setup, teardown),
      BOTH(writing_needs_a_transaction_and_only_one_is_open),
      BOTH(rows_and_transactions_have_a_largest_size),
      BOTH(keys_of_any_bytes_find_nothing),
      cmocka_unit_test_setup_teardown(one_row_updated_very_often_stays_fast, setup, teardown),
      BOTH(stats_count_rows_and_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
