/* Every allocation of a scripted scenario fails once: the operation says so and has changed nothing, works when tried again, and the end is the same. */
#include "store_naive.h"

#include "../../core/base/hash.h"

#define ITEMS 200
#define PAIRS 80

static fixture fx;

typedef struct run {
  iu_store *s;
  iu_buf row, key;
  int failed;         /* operations that ran out of memory */
  uint64_t digest;    /* of what is visible */
} run;

/* Of all rows visible at LATEST, in order; allocates nothing. */
static uint64_t digest(const iu_store *s) {
  uint64_t h = s->in_tx ? s->log_count : 0;
  uint32_t i;

  for (i = 0; i < s->table_count; i++) {
    const iu_leaf *leaf;
    unsigned j;
    for (leaf = s->tables[i].trees[0].first; leaf != NULL; leaf = leaf->next)
      for (j = 0; j < leaf->node.count; j++)
        if (leaf->node.row[j]->gone == IU_GONE_NEVER) h = h * 31 + iu__hash64(leaf->node.row[j]->data, leaf->node.row[j]->len);
  }
  return h;
}

/* After a failure: nothing has changed. */
static void check_failed(run *r, iu_status status, uint64_t before) {
  assert_int_equal(status, IU_E_NOMEM);
  check_store(r->s);
  assert_true(digest(r->s) == before);
  r->failed++;
}

#define TRY(r, call)                                  \
  do {                                                \
    uint64_t before_ = digest((r)->s);                \
    iu_status status_ = (call);                       \
    if (status_ != IU_OK) {                           \
      check_failed((r), status_, before_);            \
      status_ = (call);                               \
    }                                                 \
    assert_int_equal(status_, IU_OK);                 \
  } while (0)

static iu_table *table(run *r, uint32_t i) { return iu__store_table(r->s, i); }

static iu_buf *nth_item(run *r, int i, const char *note) {
  char id[40];

  snprintf(id, sizeof id, "0197f3a2-1b4c-7%03d-8000-000000000000", i * 37 % 1000);
  return item_row(&r->row, id, i % 3 ? "Person" : "Place", i % 11, (uint64_t)i, note);
}

static const iu_row *stored_item(run *r, int i, const char *note) {
  const iu_row *row;

  nth_item(r, i, note);
  row = iu__table_find_row(table(r, ITEM), IU_EPOCH_LATEST, r->row.data, r->row.len);
  assert_non_null(row);
  return row;
}

static void insert_items(run *r, int from, int to) {
  const iu_row *row;
  int i;

  for (i = from; i < to; i++) {
    nth_item(r, i, "");
    TRY(r, iu__tx_insert(table(r, ITEM), r->row.data, r->row.len, &row, NULL, NULL));
  }
}

static void update_items(run *r, int from, int to) {
  int i;

  for (i = from; i < to; i++) {
    const iu_row *row = stored_item(r, i, "");
    nth_item(r, i, "updated");
    TRY(r, iu__tx_update(table(r, ITEM), row, r->row.data, r->row.len, NULL, NULL));
  }
}

static void delete_items(run *r, int from, int to, const char *note) {
  int i;

  for (i = from; i < to; i++) {
    const iu_row *row = stored_item(r, i, note);
    TRY(r, iu__tx_delete(table(r, ITEM), row, NULL));
  }
}

static void insert_pairs(run *r) {
  int i;

  for (i = 0; i < PAIRS; i++) {
    pair_row(&r->row, i % 7, i % 2 ? "x" : "y");
    TRY(r, iu__tx_insert(table(r, PAIR), r->row.data, r->row.len, NULL, NULL, NULL));
  }
}

static void commit(run *r, iu_changeset **c) { TRY(r, iu__store_commit(r->s, c, NULL)); }

static void first_transaction(run *r) {
  iu_changeset *c;
  size_t mark;
  iu_status status;
  iu_error err;

  TRY(r, iu__store_begin(r->s, NULL));
  insert_items(r, 0, ITEMS);
  insert_pairs(r);
  mark = iu__tx_mark(r->s);
  update_items(r, 0, 60);
  iu__tx_rollback_to(r->s, mark);
  nth_item(r, 1, "in the way");
  status = iu__tx_insert(table(r, ITEM), r->row.data, r->row.len, NULL, NULL, &err);
  if (status == IU_E_NOMEM) {
    r->failed++;
    status = iu__tx_insert(table(r, ITEM), r->row.data, r->row.len, NULL, NULL, &err);
  }
  assert_int_equal(status, IU_E_CONFLICT);
  commit(r, &c);
  iu__changeset_release(r->s, c);
}

static size_t count_rest(iu_iter *it) {
  size_t n = 0;

  while (iu__iter_next(it) != NULL) n++;
  return n;
}

/* Iterators from before, from inside, and a commit while both are open. */
static void second_transaction(run *r) {
  iu_changeset *c;
  iu_iter *outside, *inside;

  TRY(r, iu__table_iter(table(r, ITEM), IU_EPOCH_LATEST, ITEM_KIND, NULL, false, &outside, NULL));
  TRY(r, iu__store_begin(r->s, NULL));
  delete_items(r, 0, 90, "");
  TRY(r, iu__table_iter(table(r, ITEM), IU_EPOCH_LATEST, ITEM_AT, NULL, true, &inside, NULL));
  assert_non_null(iu__iter_next(inside));
  insert_items(r, 0, 30);
  update_items(r, 100, 150);
  commit(r, &c);
  assert_int_equal(c->count, 60 + 50);
  assert_int_equal(count_rest(outside), ITEMS);
  assert_int_equal(count_rest(inside), ITEMS - 90 - 1);
  iu__iter_close(outside);
  iu__iter_close(inside);
  iu__changeset_release(r->s, c);
}

static void view_steps(run *r) {
  iu_view *v = NULL;
  iu_view_iter *it;
  size_t n = 0;
  int i;

  TRY(r, iu__view_new(r->s, &v, NULL));
  for (i = 0; i < 30; i++) {
    const iu_row *row = stored_item(r, i, "");
    bool edge = false;
    TRY(r, iu__view_hold_row(v, ITEM, row, &edge, NULL));
    assert_true(edge);
  }
  TRY(r, iu__view_iter(v, ITEM, ITEM_KIND, NULL, true, &it, NULL));
  while (iu__view_iter_next(it) != NULL) n++;
  assert_int_equal(n, 30);
  iu__view_iter_close(it);
  for (i = 0; i < 30; i++) iu__view_drop_row(v, ITEM, stored_item(r, i, ""), NULL);
  assert_int_equal(iu__view_count(v, ITEM), 0);
  iu__view_free(v);
}

static void third_transaction(run *r) {
  iu_changeset *c;

  TRY(r, iu__store_begin(r->s, NULL));
  delete_items(r, 100, 150, "updated");
  iu__store_abort(r->s);
  TRY(r, iu__store_begin(r->s, NULL));
  delete_items(r, 100, 150, "updated");
  delete_items(r, 150, ITEMS, "");
  commit(r, &c);
  iu__changeset_release(r->s, c);
  iu__store_reclaim(r->s);
}

static void scenario(run *r) {
  if (iu__store_new(&fx.schema, &r->s, NULL) != IU_OK) {
    assert_null(r->s);
    r->failed++;
    assert_int_equal(iu__store_new(&fx.schema, &r->s, NULL), IU_OK);
  }
  first_transaction(r);
  second_transaction(r);
  view_steps(r);
  third_transaction(r);
  check_store(r->s);
  assert_int_equal(r->s->rows, 30 + 10 + iu__table_count(table(r, PAIR), IU_EPOCH_LATEST));
  r->digest = digest(r->s);
}

/* Returns how many allocations were asked for. */
static long run_with_fault(long at, int *failed, uint64_t *result) {
  run r = {0};
  long asked;

  assert_true(iu__buf_reserve(&r.row, 4096)); /* the test's own memory does not fail */
  assert_true(iu__buf_reserve(&r.key, 4096));
  iu__errinj_arm(IU_ERRINJ_ALLOC, at);
  scenario(&r);
  asked = iu__errinj_count(IU_ERRINJ_ALLOC);
  iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
  *failed += r.failed;
  *result = r.digest;
  iu__store_free(r.s);
  iu__buf_free(&r.row);
  iu__buf_free(&r.key);
  return asked;
}

static void every_allocation_may_fail_once(void **state) {
  uint64_t clean, result;
  int failed = 0;
  long n, asked;
  (void)state;

  asked = run_with_fault(-1, &failed, &clean);
  assert_int_equal(failed, 0);
  for (n = 0; n <= asked; n++) {
    (void)run_with_fault(n, &failed, &result);
    assert_true(result == clean);
  }
  printf("%ld allocations, %d operations failed and were tried again\n", asked, failed);
  assert_true(failed > asked / 2); /* the others may do without: shrinking, the value in a message */
}

static int setup(void **state) {
  (void)state;
  fixture_init(&fx);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  fixture_free(&fx);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(every_allocation_may_fail_once, setup, teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
