/* A store that was loaded at once beside one that was written row by row: the same rows in all indexes, found by the same keys, and the same after the same
 * later writes. IU_SEED runs one seed. */
#include "store_naive.h"

#define LATER 1500 /* writes after the load */

typedef struct both {
  fixture fx;
  iu_store *written, *loaded;
  rowset rows[TABLES]; /* what is stored, by table */
  uint64_t rng;
  iu_buf buf;
} both;

static uint32_t below(both *b, uint32_t n) { return rng_below(&b->rng, n); }

/* ---- comparing ---- */

/* Rows of both in the order of an index; returns how many. */
static uint64_t compare_index(both *b, uint32_t table, uint32_t index, bool descending) {
  const iu_row *x, *y;
  iu_iter *i, *j;
  uint64_t n = 0;

  assert_int_equal(iu__table_iter(iu__store_table(b->written, table), IU_EPOCH_LATEST, index, NULL, descending, &i, NULL), IU_OK);
  assert_int_equal(iu__table_iter(iu__store_table(b->loaded, table), IU_EPOCH_LATEST, index, NULL, descending, &j, NULL), IU_OK);
  do {
    x = iu__iter_next(i);
    y = iu__iter_next(j);
    assert_true((x == NULL) == (y == NULL));
    if (x == NULL) break;
    assert_int_equal(x->len, y->len);
    assert_memory_equal(x->data, y->data, x->len);
    n++;
  } while (x != NULL);
  iu__iter_close(i);
  iu__iter_close(j);
  return n;
}

static void compare_points(both *b, int table) {
  const iu_table_def *def = &b->fx.tables[table];
  const iu_table *t = iu__store_table(b->loaded, (uint32_t)table), *w = iu__store_table(b->written, (uint32_t)table);
  iu_buf key = {0};

  for (int i = 0; i < 200; i++) {
    const iu_row *x, *y;
    random_row(table, &b->buf, &b->rng);
    bytes row = {b->buf.data, b->buf.len};
    x = iu__table_find_row(w, IU_EPOCH_LATEST, row.p, row.len);
    y = iu__table_find_row(t, IU_EPOCH_LATEST, row.p, row.len);
    assert_true((x == NULL) == (y == NULL));
    for (uint32_t j = 0; j < def->index_count; j++) {
      if (!def->indexes[j].unique) continue;
      key_of(def, j, 0, def->indexes[j].column_count, row, &key);
      x = iu__table_find_unique(w, j, IU_EPOCH_LATEST, key.data, key.len);
      y = iu__table_find_unique(t, j, IU_EPOCH_LATEST, key.data, key.len);
      assert_true((x == NULL) == (y == NULL));
      if (x != NULL) assert_true(x->len == y->len && memcmp(x->data, y->data, x->len) == 0);
    }
  }
  for (size_t i = 0; i < b->rows[table].count; i += 1 + b->rows[table].count / 100) {
    bytes row = b->rows[table].rows[i];
    assert_non_null(iu__table_find_row(t, IU_EPOCH_LATEST, row.p, row.len));
  }
  iu__buf_free(&key);
}

static void compare(both *b) {
  check_store(b->loaded);
  for (uint32_t t = 0; t < TABLES; t++) {
    uint64_t n = compare_index(b, t, IU_INDEX_MAIN, false);
    assert_true(n == b->rows[t].count);
    assert_true(iu__table_count(iu__store_table(b->loaded, t), IU_EPOCH_LATEST) == n);
    for (uint32_t i = 0; i < b->fx.tables[t].index_count; i++) assert_true(compare_index(b, t, i, below(b, 2) == 0) == n);
    compare_points(b, (int)t);
  }
}

/* ---- filling ---- */

static void write_rows(both *b, uint32_t tries) {
  assert_int_equal(iu__store_begin(b->written, NULL), IU_OK);
  for (uint32_t i = 0; i < tries; i++) {
    int table = (int)below(b, TABLES);
    bool existing;
    random_row(table, &b->buf, &b->rng);
    iu_status status = iu__tx_insert(iu__store_table(b->written, (uint32_t)table), b->buf.data, b->buf.len, NULL, &existing, NULL);
    if (status == IU_OK && !existing) rowset_add(&b->rows[table], b->buf.data, b->buf.len);
  }
  assert_int_equal(iu__store_commit(b->written, NULL, NULL), IU_OK);
}

static void load_row(both *b, int table, bytes row) {
  assert_int_equal(iu__store_load_row(iu__store_table(b->loaded, (uint32_t)table), row.p, row.len, NULL), IU_OK);
}

/* In the order of the primary key, in any order, in that but for a few; some rows twice. */
static void load_rows(both *b) {
  for (int t = 0; t < TABLES; t++) {
    rowset *r = &b->rows[t];
    uint32_t shuffled = below(b, 3), repeated = below(b, 2);
    if (shuffled != 1) {
      const iu_row *row;
      iu_iter *it;
      size_t n = 0;
      assert_int_equal(iu__table_iter(iu__store_table(b->written, (uint32_t)t), IU_EPOCH_LATEST, IU_INDEX_MAIN, NULL, false, &it, NULL), IU_OK);
      while ((row = iu__iter_next(it)) != NULL) {
        free(r->rows[n].p);
        r->rows[n++] = bytes_copy(row->data, row->len);
      }
      iu__iter_close(it);
    }
    for (size_t i = 0; shuffled != 0 && i < r->count; i++) {
      size_t j = below(b, (uint32_t)r->count);
      bytes swap = r->rows[i];
      if (shuffled == 2 && i > 3) break;
      r->rows[i] = r->rows[j];
      r->rows[j] = swap;
    }
    for (size_t i = 0; i < r->count; i++) {
      load_row(b, t, r->rows[i]);
      if (repeated != 0 && below(b, 8) == 0) load_row(b, t, r->rows[below(b, (uint32_t)i + 1)]);
    }
  }
}

static void fill(both *b, uint32_t ids, uint32_t tries, bool lean) {
  memset(b->rows, 0, sizeof b->rows);
  b->buf = (iu_buf){0};
  naive_ids = ids;
  fixture_init(&b->fx);
  b->written = fixture_store(&b->fx);
  b->loaded = fixture_store(&b->fx);
  if (lean) iu__store_be_lean(b->loaded);
  if (below(b, 2) == 0) b->loaded->parallel_min = 1; /* by several threads */
  write_rows(b, tries);
}

static void drop(both *b) {
  iu__store_free(b->written);
  iu__store_free(b->loaded);
  for (int t = 0; t < TABLES; t++) rowset_free(&b->rows[t]);
  iu__buf_free(&b->buf);
  fixture_free(&b->fx);
}

/* ---- writing on ---- */

static void later_insert(both *b, int table) {
  bool x, y;

  random_row(table, &b->buf, &b->rng);
  iu_status status = iu__tx_insert(iu__store_table(b->written, (uint32_t)table), b->buf.data, b->buf.len, NULL, &x, NULL);
  assert_int_equal(iu__tx_insert(iu__store_table(b->loaded, (uint32_t)table), b->buf.data, b->buf.len, NULL, &y, NULL), status);
  if (status == IU_OK) assert_true(x == y);
  if (status == IU_OK && !x) rowset_add(&b->rows[table], b->buf.data, b->buf.len);
}

static void later_change(both *b, int table, bool update) {
  iu_table *w = iu__store_table(b->written, (uint32_t)table), *l = iu__store_table(b->loaded, (uint32_t)table);
  rowset *r = &b->rows[table];
  size_t at = below(b, (uint32_t)r->count);
  const iu_row *x = iu__table_find_row(w, IU_EPOCH_LATEST, r->rows[at].p, r->rows[at].len);
  const iu_row *y = iu__table_find_row(l, IU_EPOCH_LATEST, r->rows[at].p, r->rows[at].len);
  iu_status status;

  assert_true(x != NULL && y != NULL);
  random_row(table, &b->buf, &b->rng);
  status = update ? iu__tx_update(w, x, b->buf.data, b->buf.len, NULL, NULL) : iu__tx_delete(w, x, NULL);
  assert_int_equal(update ? iu__tx_update(l, y, b->buf.data, b->buf.len, NULL, NULL) : iu__tx_delete(l, y, NULL), status);
  if (status != IU_OK) return;
  rowset_remove(r, at);
  if (update) rowset_add(r, b->buf.data, b->buf.len);
}

static void one_transaction(both *b, uint32_t writes, bool deleting) {
  rowset before[TABLES];
  bool abort = below(b, 3) == 0;

  for (int t = 0; t < TABLES; t++) before[t] = rowset_copy(&b->rows[t]);
  assert_int_equal(iu__store_begin(b->written, NULL), IU_OK);
  assert_int_equal(iu__store_begin(b->loaded, NULL), IU_OK);
  while (writes-- > 0) {
    int table = (int)below(b, TABLES);
    uint32_t kind = deleting ? 1 : below(b, 3);
    if (kind == 0 || b->rows[table].count == 0) later_insert(b, table);
    else later_change(b, table, kind == 2);
  }
  if (abort) {
    iu__store_abort(b->written);
    iu__store_abort(b->loaded);
  } else {
    assert_int_equal(iu__store_commit(b->written, NULL, NULL), IU_OK);
    assert_int_equal(iu__store_commit(b->loaded, NULL, NULL), IU_OK);
  }
  for (int t = 0; t < TABLES; t++) {
    rowset *gone = abort ? &b->rows[t] : &before[t];
    rowset_free(gone);
    if (abort) b->rows[t] = before[t];
  }
}

static void run(uint64_t seed, uint32_t ids, uint32_t tries, bool lean) {
  both b = {.rng = seed};

  printf("seed %llu, %u ids%s\n", (unsigned long long)seed, ids, lean ? ", lean" : "");
  fflush(stdout);
  fill(&b, ids, tries, lean);
  assert_int_equal(iu__store_load_begin(b.loaded, NULL), IU_OK);
  load_rows(&b);
  assert_int_equal(iu__store_load_end(b.loaded, NULL), IU_OK);
  assert_false(iu__store_in_tx(b.loaded));
  assert_true(iu__store_epoch(b.loaded) == (tries > 0));
  compare(&b);
  for (uint32_t n = 0; n < LATER; n += 150) {
    one_transaction(&b, 150, n > LATER / 2);
    iu__store_reclaim(b.written);
    iu__store_reclaim(b.loaded);
    compare(&b);
  }
  drop(&b);
}

static void a_loaded_store_is_like_a_written_one(void **state) {
  const char *given = getenv("IU_SEED");
  uint64_t from = given != NULL ? strtoull(given, NULL, 0) : 1, seed;
  (void)state;

  for (seed = from; seed < from + (given != NULL ? 1 : 4); seed++) {
    for (int lean = 0; lean < 2; lean++) {
      run(seed, 40, 200, lean);
      run(seed, 3000, 9000, lean);
    }
    run(seed, 100, (uint32_t)(seed % 2), false);
  }
  run(from, 40000, 60000, false); /* two levels of inner nodes */
}

/* Every row count at which a leaf or a level is just full. */
static void trees_of_any_size(void **state) {
  static const uint32_t sizes[] = {1, 2, 63, 64, 65, 128, 129, 4095, 4096, 4097, 4161, 8192};
  (void)state;

  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    both b = {.rng = i};
    char id[24];
    fill(&b, 10, 0, false);
    assert_int_equal(iu__store_load_begin(b.loaded, NULL), IU_OK);
    for (uint32_t n = 0; n < sizes[i]; n++) {
      snprintf(id, sizeof id, "%08u", n * 7919 % 1000003);
      item_row(&b.buf, id, n % 3 ? "a" : "b", (int64_t)(n % 5), n, "");
      load_row(&b, ITEM, (bytes){b.buf.data, b.buf.len});
    }
    assert_int_equal(iu__store_load_end(b.loaded, NULL), IU_OK);
    check_store(b.loaded);
    assert_true(iu__table_count(iu__store_table(b.loaded, ITEM), 1) == sizes[i]);
    drop(&b);
  }
}

static void load_items(both *b, const char *second, uint64_t score) {
  assert_int_equal(iu__store_load_begin(b->loaded, NULL), IU_OK);
  item_row(&b->buf, "one", "Person", 1, 5, "x");
  load_row(b, ITEM, (bytes){b->buf.data, b->buf.len});
  item_row(&b->buf, second, "Person", 1, score, "y");
  load_row(b, ITEM, (bytes){b->buf.data, b->buf.len});
}

static void tell_what_is_there_twice(uint32_t parallel_min) {
  both b = {.rng = 1};
  iu_error err;

  fill(&b, 10, 0, false);
  b.loaded->parallel_min = parallel_min;
  load_items(&b, "one", 6);
  assert_int_equal(iu__store_load_end(b.loaded, &err), IU_E_CONFLICT);
  assert_string_equal(err.message, "table `item`: a row with id = \"one\" is already there");
  assert_true(b.loaded->rows == 0 && iu__store_epoch(b.loaded) == 0);
  check_store(b.loaded);
  load_items(&b, "two", 5);
  assert_int_equal(iu__store_load_end(b.loaded, &err), IU_E_CONFLICT);
  assert_string_equal(err.message, "table `item`: a row with score = 5 is already there");
  assert_true(b.loaded->rows == 0);
  check_store(b.loaded);
  load_items(&b, "two", 6);
  assert_int_equal(iu__store_begin(b.loaded, &err), IU_E_CONFLICT);
  assert_int_equal(iu__store_load_begin(b.loaded, &err), IU_E_CONFLICT);
  assert_int_equal(iu__tx_insert(iu__store_table(b.loaded, ITEM), b.buf.data, b.buf.len, NULL, NULL, &err), IU_E_PERSISTENCE);
  assert_int_equal(iu__store_commit(b.loaded, NULL, &err), IU_E_PERSISTENCE);
  iu__store_load_cancel(b.loaded);
  assert_true(b.loaded->rows == 0 && !iu__store_in_tx(b.loaded));
  load_items(&b, "two", 6);
  assert_int_equal(iu__store_load_end(b.loaded, &err), IU_OK);
  assert_true(b.loaded->rows == 2);
  assert_int_equal(iu__store_load_begin(b.loaded, &err), IU_E_CONFLICT); /* not empty */
  check_store(b.loaded);
  drop(&b);
}

static void a_value_that_is_there_twice_is_told_and_nothing_stays(void **state) {
  (void)state;
  tell_what_is_there_twice(IU_LOAD_PARALLEL_MIN);
  tell_what_is_there_twice(1);
}

/* One that fails in the middle of its rows is freed with the store. */
static void fail_every_allocation(uint32_t parallel_min) {
  both b = {.rng = 77};
  long at, failures = 0;
  iu_status status = IU_E_NOMEM;

  fill(&b, 400, 900, false);
  b.loaded->parallel_min = parallel_min;
  for (at = 0; status != IU_OK; at++) {
    assert_int_equal(iu__store_load_begin(b.loaded, NULL), IU_OK);
    status = IU_OK;
    iu__errinj_arm(IU_ERRINJ_ALLOC, at);
    for (int t = 0; t < TABLES && status == IU_OK; t++)
      for (size_t i = 0; i < b.rows[t].count && status == IU_OK; i++)
        status = iu__store_load_row(iu__store_table(b.loaded, (uint32_t)t), b.rows[t].rows[i].p, b.rows[t].rows[i].len, NULL);
    if (status != IU_OK) iu__store_load_cancel(b.loaded);
    else status = iu__store_load_end(b.loaded, NULL);
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    if (status == IU_OK) break;
    assert_int_equal(status, IU_E_NOMEM);
    assert_true(b.loaded->rows == 0 && b.loaded->row_bytes == 0);
    check_store(b.loaded);
    failures++;
  }
  assert_true(failures > 30);
  compare(&b);
  drop(&b);
}

static void every_allocation_may_fail(void **state) {
  (void)state;
  fail_every_allocation(IU_LOAD_PARALLEL_MIN);
  fail_every_allocation(1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_loaded_store_is_like_a_written_one),
    cmocka_unit_test(trees_of_any_size),
    cmocka_unit_test(a_value_that_is_there_twice_is_told_and_nothing_stays),
    cmocka_unit_test(every_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
