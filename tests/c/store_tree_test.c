/* The ordered index by itself: order, inner agreement and fill after many inserts and removals in several orders. */
#include "store_fixture.h"

#define ROWS 20000

static fixture fx;
static iu_store *store;
static iu_table *items;
static iu_row *rows[ROWS];

static int setup(void **state) {
  (void)state;
  fixture_init(&fx);
  store = fixture_store(&fx);
  items = iu__store_table(store, ITEM);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  iu__store_free(store);
  fixture_free(&fx);
  return 0;
}

/* Ids like time-ordered UUIDs: long common beginnings. Some kinds are long, hold bytes that the normal form escapes, or are empty. */
static void make_rows(uint64_t *rng) {
  static const char *const kinds[] = {"Person", "Place", "", "Pe\x01son", "Pers",
                                      "a kind so long that it fills the bytes a probe carries, and more of them than that"};
  iu_buf b = {0};
  char id[64];
  int i;

  for (i = 0; i < ROWS; i++) {
    snprintf(id, sizeof id, "0197f3a2-%04x-7%03x-8123-456789abcdef", i >> 8, (i & 255) * 16);
    item_row(&b, id, kinds[rng_below(rng, 6)], (int64_t)rng_below(rng, 1000) - 500, (uint64_t)i, "");
    if (i % 7 == 0) b.data[4 + strlen(id) + 4] = 0; /* a zero byte, where the kind has any */
    rows[i] = iu__row_new(store, b.data, b.len);
    assert_non_null(rows[i]);
  }
  iu__buf_free(&b);
}

static void free_rows(void) {
  int i;

  for (i = 0; i < ROWS; i++) iu__row_free(store, rows[i]);
}

static void shuffle(uint64_t *rng) {
  int i;

  for (i = ROWS - 1; i > 0; i--) {
    int j = (int)rng_below(rng, (uint32_t)i + 1);
    iu_row *r = rows[i];
    rows[i] = rows[j];
    rows[j] = r;
  }
}

static void reverse(void) {
  int i;

  for (i = 0; i < ROWS / 2; i++) {
    iu_row *r = rows[i];
    rows[i] = rows[ROWS - 1 - i];
    rows[ROWS - 1 - i] = r;
  }
}

static double fill(const iu_tree *t) { return (double)t->count / (double)(t->leaves * IU_NODE_SLOTS); }

static void insert_all(iu_tree *t) {
  int i;

  for (i = 0; i < ROWS; i++) {
    assert_true(iu__tree_insert(t, rows[i]));
    if (i % 2503 == 0) check_tree(t);
  }
  check_tree(t);
}

static void remove_all(iu_tree *t) {
  int i;

  for (i = 0; i < ROWS; i++) {
    iu__tree_remove(t, rows[i]);
    if (i % 997 == 0 || i + 100 > ROWS) check_tree(t);
  }
  assert_int_equal(t->count, 0);
  assert_null(t->root);
}

static void in_any_order(const char *name, void (*insert_order)(uint64_t *), void (*remove_order)(uint64_t *), double least) {
  static const uint32_t indexes[] = {IU_INDEX_MAIN, ITEM_KIND, ITEM_AT, ITEM_SCORE, ITEM_KIND_AT};
  uint64_t seed = 11, rng = seed;
  size_t i;

  make_rows(&rng);
  if (insert_order != NULL) insert_order(&rng);
  for (i = 0; i < sizeof indexes / sizeof *indexes; i++) {
    iu_tree *t = (iu_tree *)(uintptr_t)iu__table_tree(items, indexes[i]);
    insert_all(t);
    if (i == 0 || i == 3) assert_true(fill(t) >= least);
    printf("%s, index %d: %.2f full\n", name, (int)indexes[i], fill(t));
  }
  if (remove_order != NULL) remove_order(&rng);
  for (i = 0; i < sizeof indexes / sizeof *indexes; i++) remove_all((iu_tree *)(uintptr_t)iu__table_tree(items, indexes[i]));
  free_rows();
}

static void to_reverse(uint64_t *rng) { (void)rng; reverse(); }

static void ascending_inserts_fill_the_leaves(void **state) {
  (void)state;
  in_any_order("ascending", NULL, NULL, 0.99);
}

static void descending_inserts_fill_the_leaves(void **state) {
  (void)state;
  in_any_order("descending", to_reverse, NULL, 0.99);
}

static void random_inserts_and_removals_keep_order(void **state) {
  (void)state;
  in_any_order("random", shuffle, shuffle, 0.6);
}

static void removal_from_the_end_keeps_order(void **state) {
  (void)state;
  in_any_order("ascending, removed from the end", NULL, to_reverse, 0.99);
}

/* Each kind grows at its end, in the middle of the index. */
static void ascending_runs_in_the_middle_fill_the_leaves(void **state) {
  static const char *const kinds[] = {"Person", "Place", "Thing"};
  iu_tree *t = (iu_tree *)(uintptr_t)iu__table_tree(items, ITEM_KIND);
  iu_buf b = {0};
  char id[64];
  int i;
  (void)state;

  for (i = 0; i < ROWS; i++) {
    snprintf(id, sizeof id, "0197f3a2-%08x", i);
    item_row(&b, id, kinds[i % 3], 0, (uint64_t)i, "");
    rows[i] = iu__row_new(store, b.data, b.len);
    assert_non_null(rows[i]);
    assert_true(iu__tree_insert(t, rows[i]));
  }
  check_tree(t);
  assert_true(fill(t) > 0.95);
  iu__tree_free(t);
  free_rows();
  iu__buf_free(&b);
}

/* The queue of a log: appended at one end, removed at the other. */
static void a_moving_window_does_not_leave_nodes_behind(void **state) {
  iu_tree *t = &items->trees[0];
  uint64_t rng = 5;
  int i;
  (void)state;

  make_rows(&rng);
  for (i = 0; i < ROWS; i++) {
    assert_true(iu__tree_insert(t, rows[i]));
    if (i >= 500) iu__tree_remove(t, rows[i - 500]);
    if (i % 1009 == 0) check_tree(t);
  }
  check_tree(t);
  assert_true(t->leaves < 20);
  assert_true(t->height <= 2);
  for (i = ROWS - 500; i < ROWS; i++) iu__tree_remove(t, rows[i]);
  assert_null(t->root);
  free_rows();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(ascending_inserts_fill_the_leaves, setup, teardown),
      cmocka_unit_test_setup_teardown(descending_inserts_fill_the_leaves, setup, teardown),
      cmocka_unit_test_setup_teardown(random_inserts_and_removals_keep_order, setup, teardown),
      cmocka_unit_test_setup_teardown(removal_from_the_end_keeps_order, setup, teardown),
      cmocka_unit_test_setup_teardown(ascending_runs_in_the_middle_fill_the_leaves, setup, teardown),
      cmocka_unit_test_setup_teardown(a_moving_window_does_not_leave_nodes_behind, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
