/* store_lean_test.c: large transactions of a lean store: their log becomes their change set, deletes are settled in slices before the commit, and a pin
 * keeps what the change set names. */
#include "store_fixture.h"

#include "../../core/base/errinj.h"

#define ROWS 3000
#define SLICE 256
#define SLICES ((ROWS + SLICE - 1) / SLICE)

static fixture fx;
static iu_store *store;
static iu_buf buf;

static int setup(void **state) {
  iu_error err;
  (void)state;
  fixture_init(&fx);
  assert_int_equal(iu__store_new(&fx.schema, &store, &err), IU_OK);
  iu__store_be_lean(store);
  assert_true(iu__buf_reserve(&buf, 4096)); /* the test's own memory does not fail */
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

static iu_table *items(void) { return iu__store_table(store, ITEM); }

static const iu_buf *nth(int n) {
  char id[16];
  snprintf(id, sizeof id, "i%05d", n);
  return item_row(&buf, id, "kind", n, (uint64_t)n, "note");
}

static const iu_row *find(uint64_t epoch, int n) {
  nth(n);
  return iu__table_find_row(items(), epoch, buf.data, buf.len);
}

static void begin(void) { assert_int_equal(iu__store_begin(store, NULL), IU_OK); }

static void insert_all(void) {
  begin();
  for (int n = 0; n < ROWS; n++) {
    nth(n);
    assert_int_equal(iu__tx_insert(items(), buf.data, buf.len, NULL, NULL, NULL), IU_OK);
  }
}

static void delete_all(void) {
  begin();
  for (int n = 0; n < ROWS; n++) assert_int_equal(iu__tx_delete(items(), find(IU_EPOCH_LATEST, n), NULL), IU_OK);
}

static iu_changeset *commit(void) {
  iu_changeset *c;
  assert_int_equal(iu__store_commit(store, &c, NULL), IU_OK);
  return c;
}

static int settle(void) {
  int slices = 1;
  while (!iu__store_settle_some(store, SLICE)) slices++;
  return slices;
}

static int release(iu_changeset *c) {
  int slices = 1;
  while (!iu__changeset_release_some(store, c, SLICE)) slices++;
  return slices;
}

static void inserts_are_their_change_set(void **state) {
  iu_changeset *c;
  (void)state;
  insert_all();
  assert_int_equal(settle(), 1); /* there is nothing to be done */
  c = commit();
  assert_int_equal(c->count, ROWS);
  for (int n = 0; n < ROWS; n++) {
    assert_ptr_equal(c->changes[n].table, items());
    assert_null(c->changes[n].old_row);
    assert_ptr_equal(c->changes[n].new_row, find(1, n));
    assert_null(find(0, n));
  }
  assert_int_equal(iu__table_count(items(), 1), ROWS);
  assert_int_equal(release(c), SLICES);
}

static void deletes_are_settled_in_slices(void **state) {
  iu_changeset *c;
  (void)state;
  insert_all();
  release(commit());
  delete_all();
  for (int i = 1; !iu__store_settle_some(store, SLICE); i++) {
    assert_in_range(i, 1, SLICES - 1);
    assert_non_null(find(1, 0)); /* the committed epoch sees all of them */
    assert_non_null(find(1, ROWS - 1));
    assert_null(find(IU_EPOCH_LATEST, 0));
  }
  nth(0);
  assert_int_equal(iu__tx_insert(items(), buf.data, buf.len, NULL, NULL, NULL), IU_E_PERSISTENCE);
  c = commit();
  assert_int_equal(c->count, ROWS);
  assert_int_equal(iu__table_count(items(), 2), 0);
  iu__store_reclaim(store);
  assert_int_equal(store->rows, ROWS); /* the change set keeps them */
  for (int n = 0; n < ROWS; n++) {
    assert_null(c->changes[n].new_row);
    assert_ptr_equal(c->changes[n].old_row, find(1, n));
  }
  assert_int_equal(release(c), SLICES);
  iu__store_reclaim(store);
  assert_int_equal(store->rows, 0);
}

static void settling_is_undone_by_an_abort(void **state) {
  (void)state;
  insert_all();
  release(commit());
  for (int slices = 0; slices <= SLICES; slices++) {
    delete_all();
    for (int i = 0; i < slices; i++) (void)iu__store_settle_some(store, SLICE);
    iu__store_abort(store);
    assert_int_equal(store->dead_count, 0);
    assert_int_equal(iu__table_count(items(), IU_EPOCH_LATEST), ROWS);
    for (int n = 0; n < ROWS; n++) assert_non_null(find(IU_EPOCH_LATEST, n));
    check_store(store);
  }
  delete_all();
  (void)iu__store_settle_some(store, SLICE);
  release(commit()); /* the commit does the rest */
  iu__store_reclaim(store);
  assert_int_equal(store->rows, 0);
}

static void a_change_set_outlives_the_deletion_of_its_rows(void **state) {
  iu_changeset *first, *second;
  (void)state;
  insert_all();
  first = commit();
  delete_all();
  second = commit();
  iu__store_reclaim(store);
  assert_int_equal(store->rows, ROWS);
  release(second);
  iu__store_reclaim(store);
  assert_int_equal(store->rows, ROWS);
  assert_memory_equal(first->changes[7].new_row->data + 4, "i00007", 6);
  release(first);
  iu__store_reclaim(store);
  assert_int_equal(store->rows, 0);
}

/* Small and mixed ones go the other way, with the same outcome. */
static void mixed_transactions_hold_their_rows_too(void **state) {
  iu_changeset *c;
  (void)state;
  insert_all();
  release(commit());
  begin();
  for (int n = 0; n < ROWS; n++) {
    const iu_row *old = find(IU_EPOCH_LATEST, n);
    char id[16];
    snprintf(id, sizeof id, "i%05d", n);
    item_row(&buf, id, "kind", n, (uint64_t)n, "changed");
    assert_int_equal(iu__tx_update(items(), old, buf.data, buf.len, NULL, NULL), IU_OK);
  }
  assert_int_equal(settle(), 1);
  c = commit();
  assert_int_equal(c->count, ROWS);
  iu__store_reclaim(store);
  for (int n = 0; n < ROWS; n++) assert_ptr_equal(c->changes[n].old_row, find(1, n));
  release(c);
  iu__store_reclaim(store);
  assert_int_equal(store->rows, ROWS);
}

/* Whichever allocation fails: the transaction is open as it was, and can be committed or undone. */
static void no_memory_for_a_commit_changes_nothing(void **state) {
  bool failed = true;
  (void)state;
  insert_all();
  release(commit());
  for (long after = 0; failed; after++) {
    iu_changeset *c;
    assert_in_range(after, 0, 50);
    delete_all();
    iu__errinj_arm(IU_ERRINJ_ALLOC, after);
    (void)settle();
    failed = iu__store_commit(store, &c, NULL) != IU_OK;
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    if (failed) {
      assert_true(iu__store_in_tx(store));
      iu__store_abort(store);
      for (int n = 0; n < ROWS; n++) assert_non_null(find(IU_EPOCH_LATEST, n));
    } else {
      assert_int_equal(c->count, ROWS);
      iu__errinj_arm(IU_ERRINJ_ALLOC, 0); /* giving back needs none */
      release(c);
      iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    }
  }
  iu__store_reclaim(store);
  assert_int_equal(store->rows, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(inserts_are_their_change_set, setup, teardown),
      cmocka_unit_test_setup_teardown(deletes_are_settled_in_slices, setup, teardown),
      cmocka_unit_test_setup_teardown(settling_is_undone_by_an_abort, setup, teardown),
      cmocka_unit_test_setup_teardown(a_change_set_outlives_the_deletion_of_its_rows, setup, teardown),
      cmocka_unit_test_setup_teardown(mixed_transactions_hold_their_rows_too, setup, teardown),
      cmocka_unit_test_setup_teardown(no_memory_for_a_commit_changes_nothing, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
