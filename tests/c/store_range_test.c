/* Ordered reads against the naive ones: every index, prefix length, bound kind and direction; and ranges that must be refused. */
#include "store_naive.h"

static fixture fx;
static iu_store *store;
static rowset naive[TABLES];

static void fill(int table, int count, uint64_t *rng) {
  iu_table *t = iu__store_table(store, (uint32_t)table);
  iu_buf b = {0};
  bool existing;
  int i;

  for (i = 0; i < count; i++) {
    random_row(table, &b, rng);
    if (iu__tx_insert(t, b.data, b.len, NULL, &existing, NULL) == IU_OK && !existing) rowset_add(&naive[table], b.data, b.len);
  }
  iu__buf_free(&b);
}

static int setup(void **state) {
  uint64_t rng = 42;
  iu_changeset *c;
  (void)state;

  fixture_init(&fx);
  store = fixture_store(&fx);
  assert_int_equal(iu__store_begin(store, NULL), IU_OK);
  fill(ITEM, 400, &rng);
  fill(PAIR, 400, &rng);
  fill(ODD, 400, &rng);
  assert_int_equal(iu__store_commit(store, &c, NULL), IU_OK);
  iu__changeset_release(store, c);
  return 0;
}

static int teardown(void **state) {
  int i;
  (void)state;

  for (i = 0; i < TABLES; i++) rowset_free(&naive[i]);
  iu__store_free(store);
  fixture_free(&fx);
  return 0;
}

static size_t compare_read(int table, uint32_t index, const iu_range *range, bool descending) {
  iu_table *t = iu__store_table(store, (uint32_t)table);
  rowset want = naive_select(iu__table_def(t), index, range, descending, &naive[table]);
  const iu_row *row;
  size_t got = 0;
  iu_iter *it;

  assert_int_equal(iu__table_iter(t, IU_EPOCH_LATEST, index, range, descending, &it, NULL), IU_OK);
  while ((row = iu__iter_next(it)) != NULL) {
    assert_true(got < want.count);
    assert_true(bytes_equal(want.rows[got], row->data, row->len));
    got++;
  }
  assert_null(iu__iter_next(it));
  assert_int_equal(got, want.count);
  iu__iter_close(it);
  rowset_free(&want);
  return got;
}

static void every_kind_of_range_reads_what_the_naive_one_does(void **state) {
  uint64_t rng = 7;
  size_t met = 0;
  int table;
  (void)state;

  for (table = 0; table < TABLES; table++) {
    const iu_table_def *def = &fx.tables[table];
    uint32_t i;
    for (i = 0; i <= def->index_count; i++) {
      uint32_t index = i == def->index_count ? IU_INDEX_MAIN : i, columns[8], n = index_columns(def, index, columns), prefix;
      (void)compare_read(table, index, NULL, false);
      (void)compare_read(table, index, NULL, true);
      for (prefix = 0; prefix <= n; prefix++) {
        int kinds;
        for (kinds = 0; kinds < 9 * 12; kinds++) {
          test_range r;
          make_range(&r, table, def, index, prefix, (iu_bound_kind)(kinds % 3), (iu_bound_kind)(kinds / 3 % 3), &rng);
          met += compare_read(table, index, &r.range, kinds % 2 == 0);
          met += compare_read(table, index, &r.range, kinds % 2 != 0);
          test_range_free(&r);
        }
      }
    }
  }
  assert_true(met > 10000); /* the ranges were not all empty */
}

static iu_status open_with(int table, uint32_t index, iu_slice prefix, uint32_t columns, iu_bound low, iu_error *err) {
  iu_range r = {prefix, columns, low, {IU_BOUND_UNBOUNDED, {NULL, 0}}};
  iu_iter *it;
  iu_status status = iu__table_iter(iu__store_table(store, (uint32_t)table), IU_EPOCH_LATEST, index, &r, false, &it, err);

  if (status == IU_OK) iu__iter_close(it);
  else assert_null(it);
  return status;
}

static void ranges_that_are_no_ranges_are_refused(void **state) {
  static const uint8_t cut[] = {5, 0, 0, 0, 'a'}, extra[] = {1, 0, 0, 0, 'a', 'b'}, latin[] = {1, 0, 0, 0, 0xe4};
  static const uint8_t key[] = {1, 0, 0, 0, 'a', 1, 0, 0, 0, 'b'};
  iu_bound open = {IU_BOUND_UNBOUNDED, {NULL, 0}}, bad = {IU_BOUND_INCLUDED, {cut, 3}};
  iu_slice none = {NULL, 0};
  iu_error err;
  (void)state;

  assert_int_equal(open_with(ITEM, 99, none, 0, open, &err), IU_E_VALIDATION);
  assert_non_null(strstr(err.message, "table `item` has no index 99"));
  assert_int_equal(open_with(ITEM, ITEM_KIND, (iu_slice){cut, sizeof cut}, 1, open, &err), IU_E_VALIDATION);
  assert_non_null(strstr(err.message, "prefix of a range of table `item`"));
  assert_int_equal(open_with(ITEM, ITEM_KIND, (iu_slice){extra, sizeof extra}, 1, open, &err), IU_E_VALIDATION);
  assert_int_equal(err.offset, 5);
  assert_int_equal(open_with(ITEM, ITEM_KIND, (iu_slice){latin, sizeof latin}, 1, open, &err), IU_E_VALIDATION);
  assert_int_equal(open_with(ITEM, ITEM_KIND, (iu_slice){key, sizeof key}, 2, open, &err), IU_E_VALIDATION);
  assert_int_equal(open_with(ITEM, IU_INDEX_MAIN, (iu_slice){key, sizeof key}, 2, open, &err), IU_E_VALIDATION);
  assert_int_equal(open_with(ITEM, ITEM_AT, none, 0, bad, &err), IU_E_VALIDATION);
  assert_non_null(strstr(err.message, "lower bound"));
  assert_int_equal(open_with(ITEM, ITEM_KIND, (iu_slice){key, 5}, 1, bad, &err), IU_OK); /* nothing left to bound */
}

/* Random bytes as bounds: refused or read, never a crash. */
static void bounds_of_any_bytes_are_refused_or_read(void **state) {
  uint64_t seed = 99, rng = seed;
  int i, refused = 0;
  (void)state;

  for (i = 0; i < 20000; i++) {
    int table = (int)rng_below(&rng, TABLES);
    const iu_table_def *def = &fx.tables[table];
    uint32_t index = random_index(def, &rng);
    test_range r;
    iu_buf *hit;
    random_range(&r, table, def, index, &rng);
    hit = rng_below(&rng, 2) ? &r.low : &r.prefix;
    if (hit->len != 0) hit->data[rng_below(&rng, (uint32_t)hit->len)] = (uint8_t)rng_next(&rng);
    if (r.range.low.kind != IU_BOUND_UNBOUNDED && rng_below(&rng, 3) == 0) r.range.low.key.len = rng_below(&rng, (uint32_t)r.range.low.key.len + 1);
    refused += open_with(table, index, r.range.prefix, r.range.prefix_columns, r.range.low, NULL) != IU_OK;
    test_range_free(&r);
  }
  printf("seed %llu: %d of 20000 refused\n", (unsigned long long)seed, refused);
  assert_true(refused > 1000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(every_kind_of_range_reads_what_the_naive_one_does, setup, teardown),
      cmocka_unit_test_setup_teardown(ranges_that_are_no_ranges_are_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(bounds_of_any_bytes_are_refused_or_read, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
