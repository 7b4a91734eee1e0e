/* Views: whole-table and row holds that overlap, edges, views that lag behind, stable iteration; and a random run against the naive model.
 * IU_SEED runs one seed. */
#include "store_naive.h"

static fixture fx;
static iu_store *store;
static iu_view *view;
static iu_buf buf;

static int setup(void **state) {
  (void)state;
  naive_ids = 60;
  fixture_init(&fx);
  store = fixture_store(&fx);
  assert_int_equal(iu__view_new(store, &view, NULL), IU_OK);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  iu__view_free(view);
  iu__store_reclaim(store);
  check_store(store);
  iu__store_free(store);
  fixture_free(&fx);
  iu__buf_free(&buf);
  return 0;
}

static const iu_row *add_pair(int32_t a, const char *b) {
  const iu_row *row;

  assert_int_equal(iu__store_begin(store, NULL), IU_OK);
  pair_row(&buf, a, b);
  assert_int_equal(iu__tx_insert(iu__store_table(store, PAIR), buf.data, buf.len, &row, NULL, NULL), IU_OK);
  assert_int_equal(iu__store_commit(store, NULL, NULL), IU_OK);
  return row;
}

static void remove_pair(const iu_row *row) {
  assert_int_equal(iu__store_begin(store, NULL), IU_OK);
  assert_int_equal(iu__tx_delete(iu__store_table(store, PAIR), row, NULL), IU_OK);
  assert_int_equal(iu__store_commit(store, NULL, NULL), IU_OK);
}

static bool hold(const iu_row *row) {
  bool edge;
  assert_int_equal(iu__view_hold_row(view, PAIR, row, &edge, NULL), IU_OK);
  return edge;
}

static bool drop(const iu_row *row) {
  bool edge;
  iu__view_drop_row(view, PAIR, row, &edge);
  return edge;
}

static bool hold_table(void) {
  bool edge;
  iu__view_hold_table(view, PAIR, &edge);
  return edge;
}

static bool drop_table(void) {
  bool edge;
  iu__view_drop_table(view, PAIR, &edge);
  return edge;
}

static void overlapping_row_holds_add_up(void **state) {
  const iu_row *row = add_pair(1, "x"), *other = add_pair(2, "y");
  (void)state;

  iu__view_set_epoch(view, iu__store_epoch(store));
  assert_false(iu__view_has_row(view, PAIR, row));
  assert_true(hold(row));
  assert_false(hold(row));
  assert_true(iu__view_has_row(view, PAIR, row));
  assert_false(iu__view_has_row(view, PAIR, other));
  assert_int_equal(iu__view_count(view, PAIR), 1);
  assert_false(drop(row));
  assert_true(iu__view_has_row(view, PAIR, row));
  assert_true(drop(row));
  assert_false(iu__view_has_row(view, PAIR, row));
  assert_false(drop(row));
  assert_int_equal(iu__view_count(view, PAIR), 0);
}

static void whole_table_holds_cover_row_holds(void **state) {
  const iu_row *row = add_pair(1, "x"), *other = add_pair(2, "y");
  (void)state;

  iu__view_set_epoch(view, iu__store_epoch(store));
  assert_false(drop_table());
  assert_true(hold(row));
  assert_true(hold_table());
  assert_false(hold_table());
  assert_true(iu__view_holds_table(view, PAIR));
  assert_false(hold(other));
  assert_false(hold(row));
  assert_false(drop(row));
  assert_int_equal(iu__view_count(view, PAIR), 2);
  assert_false(drop(other));
  assert_true(iu__view_has_row(view, PAIR, other));
  assert_false(drop_table());
  assert_true(drop_table());
  assert_false(iu__view_holds_table(view, PAIR));
  assert_true(iu__view_has_row(view, PAIR, row));
  assert_false(iu__view_has_row(view, PAIR, other));
  assert_int_equal(iu__view_count(view, PAIR), 1);
  assert_true(drop(row));
}

static void staged_rows_come_into_sight_and_leave_it_at_once(void **state) {
  const iu_row *rows[40];
  iu_view_iter *it;
  (void)state;

  for (int i = 0; i < 40; i++) rows[i] = add_pair(i, "x");
  iu__view_set_epoch(view, iu__store_epoch(store));
  assert_true(hold(rows[0]));
  iu__view_stage(view, PAIR, IU_VIEW_ENTERING);
  assert_false(hold(rows[0])); /* it was there */
  for (int i = 1; i < 40; i++) assert_true(hold(rows[i]));
  assert_false(hold(rows[39]));
  assert_int_equal(iu__view_count(view, PAIR), 1);
  assert_true(iu__view_has_row(view, PAIR, rows[0]));
  assert_false(iu__view_has_row(view, PAIR, rows[39]));
  assert_true(iu__view_counts_row(view, PAIR, rows[39]));
  assert_int_equal(iu__view_iter(view, PAIR, IU_INDEX_MAIN, NULL, false, &it, NULL), IU_OK);
  assert_ptr_equal(iu__view_iter_next(it), rows[0]);
  assert_null(iu__view_iter_next(it));
  iu__view_iter_close(it);
  iu__view_show(view, PAIR);
  assert_int_equal(iu__view_count(view, PAIR), 40);
  assert_true(iu__view_has_row(view, PAIR, rows[39]));

  iu__view_stage(view, PAIR, IU_VIEW_LEAVING);
  assert_false(drop(rows[0]));
  assert_false(drop(rows[39]));
  for (int i = 1; i < 40; i++) assert_true(drop(rows[i]));
  assert_int_equal(iu__view_count(view, PAIR), 40);
  assert_true(iu__view_has_row(view, PAIR, rows[39]));
  assert_false(iu__view_counts_row(view, PAIR, rows[39]));
  iu__view_show(view, PAIR);
  assert_int_equal(iu__view_count(view, PAIR), 1);
  assert_false(iu__view_has_row(view, PAIR, rows[39]));
  for (int i = 0; i < 40; i++) iu__view_sweep_row(view, PAIR, rows[i]); /* the first one is left alone */
  assert_int_equal(iu__view_count(view, PAIR), 1);
  iu__view_stage(view, PAIR, IU_VIEW_ENTERING);
  assert_true(hold(rows[5]));
  iu__view_show(view, PAIR);
  assert_true(drop(rows[5]) && drop(rows[0]));
  assert_int_equal(iu__view_count(view, PAIR), 0);
}

#define MANY 3000

/* The counts grow and shrink; rows are found on their way from the old slots to the new ones. */
static void many_rows_come_and_go_in_any_order(void **state) {
  const iu_row **rows = calloc(MANY, sizeof *rows);
  uint64_t rng = 88172645463325252u, held = 0;
  uint8_t *counts = calloc(MANY, 1);
  (void)state;

  assert_true(rows != NULL && counts != NULL);
  for (int i = 0; i < MANY; i++) rows[i] = add_pair(i, "x");
  iu__view_set_epoch(view, iu__store_epoch(store));
  for (int step = 0; step < 20 * MANY; step++) {
    uint32_t i = rng_below(&rng, MANY);
    bool grows = step / (4 * MANY) % 2 == 0 ? rng_below(&rng, 8) != 0 : rng_below(&rng, 8) == 0;
    if (grows && counts[i] < 200) assert_int_equal(hold(rows[i]), counts[i]++ == 0), held += counts[i] == 1;
    if (!grows && counts[i] > 0) assert_int_equal(drop(rows[i]), --counts[i] == 0), held -= counts[i] == 0;
    assert_int_equal(iu__view_count(view, PAIR), held);
    if (step % 500 != 0) continue;
    for (int j = 0; j < MANY; j++) assert_int_equal(iu__view_has_row(view, PAIR, rows[j]), counts[j] > 0);
  }
  for (int i = 0; i < MANY; i++)
    for (; counts[i] > 0; counts[i]--) assert_int_equal(drop(rows[i]), counts[i] == 1);
  assert_int_equal(iu__view_count(view, PAIR), 0);
  free(rows);
  free(counts);
}

static void a_lagging_view_sees_its_own_epoch(void **state) {
  const iu_row *first = add_pair(1, "x"), *second;
  uint64_t then = iu__store_epoch(store);
  (void)state;

  iu__view_set_epoch(view, then);
  (void)hold_table();
  remove_pair(first);
  second = add_pair(2, "y");
  iu__store_reclaim(store);
  assert_int_equal(iu__view_epoch(view), then);
  assert_int_equal(iu__view_count(view, PAIR), 1);
  assert_int_equal(iu__view_count(view, PAIR), 1);
  assert_true(iu__view_has_row(view, PAIR, first));
  assert_false(iu__view_has_row(view, PAIR, second));
  iu__view_set_epoch(view, then + 1);
  assert_int_equal(iu__view_count(view, PAIR), 0);
  iu__view_set_epoch(view, then); /* never back */
  assert_int_equal(iu__view_epoch(view), then + 1);
  iu__view_set_epoch(view, then + 2);
  assert_int_equal(iu__view_count(view, PAIR), 1);
  iu__store_reclaim(store);
  assert_int_equal(store->rows, 1);
}

static void a_held_row_outlives_its_deletion(void **state) {
  const iu_row *row = add_pair(1, "x");
  (void)state;

  assert_true(hold(row));
  remove_pair(row);
  iu__view_set_epoch(view, iu__store_epoch(store));
  iu__store_reclaim(store);
  assert_true(iu__view_has_row(view, PAIR, row));
  assert_memory_equal(row->data + 8, "x", 1);
  assert_true(drop(row));
  assert_int_equal(store->rows, 0);
}

static void few_held_rows_of_a_large_table_come_in_order(void **state) {
  const iu_row *held[5];
  const iu_row *row;
  iu_view_iter *it;
  iu_changeset *c;
  int i;
  (void)state;

  assert_int_equal(iu__store_begin(store, NULL), IU_OK);
  for (i = 0; i < 3000; i++) {
    pair_row(&buf, (i * 7919) % 3001, "x");
    assert_int_equal(iu__tx_insert(iu__store_table(store, PAIR), buf.data, buf.len, &row, NULL, NULL), IU_OK);
    if (i % 600 == 5) held[i / 600] = row;
  }
  assert_int_equal(iu__store_commit(store, &c, NULL), IU_OK);
  iu__changeset_release(store, c);
  iu__view_set_epoch(view, iu__store_epoch(store));
  for (i = 0; i < 5; i++) assert_true(hold(held[i]));
  for (i = 0; i < 2; i++) {
    int32_t last = i == 0 ? INT32_MIN : INT32_MAX, n = 0;
    assert_int_equal(iu__view_iter(view, PAIR, i == 0 ? IU_INDEX_MAIN : PAIR_A, NULL, i == 1, &it, NULL), IU_OK);
    while ((row = iu__view_iter_next(it)) != NULL) {
      int32_t a = (int32_t)iu__load_u32(row->data);
      assert_true(i == 0 ? a > last : a < last);
      last = a;
      n++;
      (void)drop(row); /* does not disturb the iterator */
    }
    assert_int_equal(n, 5);
    iu__view_iter_close(it);
    assert_int_equal(iu__view_count(view, PAIR), 0);
    for (n = 0; n < 5; n++) assert_true(hold(held[n]));
  }
  iu__view_iter_close(NULL);
}

static void opening_an_iterator_without_memory_leaves_nothing(void **state) {
  const iu_row *row = add_pair(1, "x");
  iu_view_iter *it;
  long n;
  (void)state;

  iu__view_set_epoch(view, iu__store_epoch(store));
  (void)hold(row);
  for (n = 0;; n++) {
    iu_status status;
    iu__errinj_arm(IU_ERRINJ_ALLOC, n);
    status = iu__view_iter(view, PAIR, IU_INDEX_MAIN, NULL, false, &it, NULL);
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    if (status == IU_OK) break;
    assert_int_equal(status, IU_E_NOMEM);
    assert_null(it);
    assert_int_equal(store->open_iters, 0);
  }
  assert_true(n >= 2);
  assert_ptr_equal(iu__view_iter_next(it), row);
  iu__view_iter_close(it);
}

/* ---- random ---- */

#define FILTERS 3
#define BACKLOG 6

typedef struct pending { iu_changeset *changes; rowset after[TABLES]; } pending;

typedef struct tracked {
  iu_view *v;
  bool filter[TABLES][FILTERS];
  int whole[TABLES];
  rowset at[TABLES];          /* all rows of the tables at the view's epoch */
  pending backlog[BACKLOG];
  int backlog_count;
} tracked;

static bool matches(const void *row, size_t len, int filter) {
  const uint8_t *p = row;
  unsigned sum = 0;
  size_t i;

  for (i = 0; i < len; i++) sum = sum * 31 + p[i];
  return filter == 0 ? sum % 2 == 0 : filter == 1 ? sum % 3 == 0 : sum % 40 == 0;
}

static int model_count(const tracked *k, int table, const void *row, size_t len) {
  int i, n = 0;

  for (i = 0; i < FILTERS; i++) n += k->filter[table][i] && matches(row, len, i);
  return n;
}

static rowset in_view(const tracked *k, int table) {
  rowset out = {NULL, 0, 0};
  size_t i;

  for (i = 0; i < k->at[table].count; i++) {
    bytes r = k->at[table].rows[i];
    if (k->whole[table] > 0 || model_count(k, table, r.p, r.len) > 0) rowset_add(&out, r.p, r.len);
  }
  return out;
}

static void hold_matching(tracked *k, int table, const iu_row *row, int filter, int before) {
  bool edge;

  if (!matches(row->data, row->len, filter)) return;
  assert_int_equal(iu__view_hold_row(k->v, (uint32_t)table, row, &edge, NULL), IU_OK);
  assert_int_equal(edge, before == 0 && k->whole[table] == 0);
}

static void drop_matching(tracked *k, int table, const iu_row *row, int filter, int before) {
  bool edge;

  if (!matches(row->data, row->len, filter)) return;
  iu__view_drop_row(k->v, (uint32_t)table, row, &edge);
  assert_int_equal(edge, before == 1 && k->whole[table] == 0);
}

static void apply(tracked *k) {
  pending p = k->backlog[0];
  uint32_t i;
  int j;

  memmove(&k->backlog[0], &k->backlog[1], sizeof k->backlog - sizeof k->backlog[0]);
  k->backlog_count--;
  for (i = 0; i < p.changes->count; i++) {
    const iu_change *c = &p.changes->changes[i];
    int table = (int)iu__table_index(c->table), dropped = 0, held = 0;
    for (j = 0; j < FILTERS; j++) {
      if (!k->filter[table][j]) continue;
      if (c->old_row != NULL) {
        int all = model_count(k, table, c->old_row->data, c->old_row->len);
        drop_matching(k, table, c->old_row, j, all - dropped);
        dropped += matches(c->old_row->data, c->old_row->len, j);
      }
      if (c->new_row != NULL) {
        hold_matching(k, table, c->new_row, j, held);
        held += matches(c->new_row->data, c->new_row->len, j);
      }
    }
  }
  iu__view_set_epoch(k->v, p.changes->epoch);
  iu__changeset_release(store, p.changes);
  for (j = 0; j < TABLES; j++) {
    rowset_free(&k->at[j]);
    k->at[j] = p.after[j];
  }
}

static void toggle_filter(tracked *k, int table, int filter) {
  bool on = !k->filter[table][filter];
  const iu_row *row;
  iu_iter *it;

  assert_int_equal(iu__table_iter(iu__store_table(store, (uint32_t)table), iu__view_epoch(k->v), IU_INDEX_MAIN, NULL, false, &it, NULL), IU_OK);
  while ((row = iu__iter_next(it)) != NULL) {
    int before = model_count(k, table, row->data, row->len);
    if (on) hold_matching(k, table, row, filter, before);
    else drop_matching(k, table, row, filter, before);
  }
  iu__iter_close(it);
  k->filter[table][filter] = on;
}

static void toggle_table(tracked *k, int table, uint64_t *rng) {
  bool edge;

  if (rng_below(rng, 2) || k->whole[table] == 0) {
    iu__view_hold_table(k->v, (uint32_t)table, &edge);
    assert_int_equal(edge, k->whole[table]++ == 0);
  } else {
    iu__view_drop_table(k->v, (uint32_t)table, &edge);
    assert_int_equal(edge, --k->whole[table] == 0);
  }
}

static void check_view(tracked *k, int table, uint64_t *rng) {
  const iu_table_def *def = &fx.tables[table];
  uint32_t index = random_index(def, rng);
  bool descending = rng_below(rng, 2) != 0;
  rowset all = in_view(k, table), want;
  const iu_row *row;
  iu_view_iter *it;
  test_range r;
  size_t at = 0;

  assert_true(iu__view_count(k->v, (uint32_t)table) == all.count);
  random_range(&r, table, def, index, rng);
  want = naive_select(def, index, range_of(&r), descending, &all);
  assert_int_equal(iu__view_iter(k->v, (uint32_t)table, index, range_of(&r), descending, &it, NULL), IU_OK);
  while ((row = iu__view_iter_next(it)) != NULL) {
    assert_true(at < want.count);
    assert_true(bytes_equal(want.rows[at++], row->data, row->len));
    assert_true(iu__view_has_row(k->v, (uint32_t)table, row));
  }
  assert_int_equal(at, want.count);
  iu__view_iter_close(it);
  if (def->primary_key >= 0 && k->at[table].count > 0) {
    bytes some = k->at[table].rows[rng_below(rng, (uint32_t)k->at[table].count)];
    iu_slice key = column_of(def, (uint32_t)def->primary_key, some);
    row = iu__view_get(k->v, (uint32_t)table, key.p, key.len);
    assert_int_equal(row != NULL, rowset_find(&all, some.p, some.len) >= 0);
  }
  test_range_free(&r);
  rowset_free(&want);
  rowset_free(&all);
}

static void random_write(rowset *cur, int table, uint64_t *rng) {
  iu_table *t = iu__store_table(store, (uint32_t)table);
  const iu_row *old_row = NULL;
  size_t i = 0;
  bool existing = false;
  iu_status status;
  uint32_t pick = rng_below(rng, 4);

  random_row(table, &buf, rng);
  if (pick >= 2 && cur->count > 0) {
    i = rng_below(rng, (uint32_t)cur->count);
    old_row = iu__table_find_row(t, IU_EPOCH_LATEST, cur->rows[i].p, cur->rows[i].len);
    assert_non_null(old_row);
  }
  if (old_row == NULL) status = iu__tx_insert(t, buf.data, buf.len, NULL, &existing, NULL);
  else if (pick == 2) status = iu__tx_delete(t, old_row, NULL);
  else status = iu__tx_update(t, old_row, buf.data, buf.len, NULL, NULL);
  if (status != IU_OK || existing) return;
  if (old_row != NULL) rowset_remove(cur, i);
  if (old_row == NULL || pick == 3) rowset_add(cur, buf.data, buf.len);
}

static void random_commit(rowset cur[TABLES], tracked views[2], uint64_t *rng) {
  int writes = 1 + (int)rng_below(rng, 8), i, j;
  iu_changeset *c;

  for (i = 0; i < 2; i++)
    while (views[i].backlog_count == BACKLOG) apply(&views[i]);
  assert_int_equal(iu__store_begin(store, NULL), IU_OK);
  while (writes-- > 0) {
    int table = (int)rng_below(rng, TABLES);
    random_write(&cur[table], table, rng);
  }
  assert_int_equal(iu__store_commit(store, &c, NULL), IU_OK);
  if (c == NULL) return;
  for (i = 0; i < 2; i++) {
    pending *p = &views[i].backlog[views[i].backlog_count++];
    iu__changeset_retain(c);
    p->changes = c;
    for (j = 0; j < TABLES; j++) p->after[j] = rowset_copy(&cur[j]);
  }
  iu__changeset_release(store, c);
}

static void run_random(uint64_t seed) {
  rowset cur[TABLES] = {{NULL, 0, 0}};
  tracked views[2];
  uint64_t rng = seed;
  int i, j;

  printf("seed %llu\n", (unsigned long long)seed);
  fflush(stdout);
  memset(views, 0, sizeof views);
  for (i = 0; i < 2; i++) assert_int_equal(iu__view_new(store, &views[i].v, NULL), IU_OK);
  for (i = 0; i < 4000; i++) {
    tracked *k = &views[rng_below(&rng, 2)];
    int table = (int)rng_below(&rng, TABLES);
    uint32_t pick = rng_below(&rng, 20);
    if (pick < 6) random_commit(cur, views, &rng);
    else if (pick < 13 && k->backlog_count > 0) apply(k);
    else if (pick < 14) toggle_filter(k, table, (int)rng_below(&rng, FILTERS));
    else if (pick < 15) toggle_table(k, table, &rng);
    else if (pick < 16) iu__store_reclaim(store);
    else check_view(k, table, &rng);
  }
  for (i = 0; i < 2; i++) {
    while (views[i].backlog_count > 0) apply(&views[i]);
    for (j = 0; j < TABLES; j++) {
      check_view(&views[i], j, &rng);
      rowset_free(&views[i].at[j]);
    }
    iu__view_free(views[i].v);
  }
  iu__view_set_epoch(view, iu__store_epoch(store));
  iu__store_reclaim(store);
  assert_true(store->rows == cur[0].count + cur[1].count + cur[2].count);
  for (j = 0; j < TABLES; j++) rowset_free(&cur[j]);
}

static void views_see_what_the_model_says(void **state) {
  const char *given = getenv("IU_SEED");
  uint64_t seed, last = given != NULL ? strtoull(given, NULL, 0) : 4;

  for (seed = given != NULL ? last : 1; seed <= last; seed++) {
    run_random(seed);
    (void)teardown(state);
    (void)setup(state);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(overlapping_row_holds_add_up, setup, teardown),
      cmocka_unit_test_setup_teardown(whole_table_holds_cover_row_holds, setup, teardown),
      cmocka_unit_test_setup_teardown(staged_rows_come_into_sight_and_leave_it_at_once, setup, teardown),
      cmocka_unit_test_setup_teardown(many_rows_come_and_go_in_any_order, setup, teardown),
      cmocka_unit_test_setup_teardown(a_lagging_view_sees_its_own_epoch, setup, teardown),
      cmocka_unit_test_setup_teardown(a_held_row_outlives_its_deletion, setup, teardown),
      cmocka_unit_test_setup_teardown(few_held_rows_of_a_large_table_come_in_order, setup, teardown),
      cmocka_unit_test_setup_teardown(opening_an_iterator_without_memory_leaves_nothing, setup, teardown),
      cmocka_unit_test_setup_teardown(views_see_what_the_model_says, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
