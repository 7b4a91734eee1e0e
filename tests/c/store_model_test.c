/* The store, with and without its hash of primary keys, against a naive model under random operations: writes, savepoints, commits, aborts, reclaim, pins, and iterators left open over
 * all of them. IU_SEED runs one seed, IU_STEPS another number of steps. */
#include "store_naive.h"

#define PINS 4
#define ITERS 8
#define MARKS 6
#define STEPS 6000

typedef struct written { int table; bytes key; } written;
typedef struct writelog { written *list; size_t count, cap; } writelog;
typedef struct snapshot { rowset tables[TABLES]; } snapshot;
typedef struct savepoint { size_t mark; snapshot cur; writelog log; } savepoint;
typedef struct reader { bool open; iu_pin pin; snapshot seen; } reader;
typedef struct open_iter { iu_iter *it; rowset want; const iu_row **given; size_t given_count, at; bool in_tx; size_t mark; } open_iter;

typedef struct model {
  fixture fx;
  iu_store *store;
  snapshot base, cur;
  writelog log;              /* keys written in this transaction, in order of their last write */
  savepoint marks[MARKS];
  size_t mark_count;
  reader readers[PINS];
  open_iter iters[ITERS];
  uint64_t rng, epoch;
  iu_buf buf;
  unsigned long commits, conflicts, iterated, ended;
} model;

static uint32_t below(model *m, uint32_t n) { return rng_below(&m->rng, n); }
static iu_table *table_of(model *m, int table) { return iu__store_table(m->store, (uint32_t)table); }

static snapshot snapshot_copy(const snapshot *s) {
  snapshot c;
  int i;

  for (i = 0; i < TABLES; i++) c.tables[i] = rowset_copy(&s->tables[i]);
  return c;
}

static void snapshot_free(snapshot *s) {
  int i;

  for (i = 0; i < TABLES; i++) rowset_free(&s->tables[i]);
}

/* ---- the log of keys ---- */

static void log_remove(writelog *l, size_t i) {
  free(l->list[i].key.p);
  memmove(&l->list[i], &l->list[i + 1], (l->count - i - 1) * sizeof *l->list);
  l->count--;
}

static void log_add(writelog *l, int table, const void *key, size_t len) {
  size_t i;

  for (i = 0; i < l->count; i++)
    if (l->list[i].table == table && bytes_equal(l->list[i].key, key, len)) {
      log_remove(l, i);
      break;
    }
  if (l->count == l->cap) {
    l->cap = l->cap != 0 ? l->cap * 2 : 16;
    l->list = realloc(l->list, l->cap * sizeof *l->list);
    assert_non_null(l->list);
  }
  l->list[l->count].table = table;
  l->list[l->count++].key = bytes_copy(key, len);
}

static void log_free(writelog *l) {
  while (l->count > 0) log_remove(l, l->count - 1);
  free(l->list);
  memset(l, 0, sizeof *l);
}

static writelog log_copy(const writelog *l) {
  writelog c = {NULL, 0, 0};
  size_t i;

  for (i = 0; i < l->count; i++) log_add(&c, l->list[i].table, l->list[i].key.p, l->list[i].key.len);
  return c;
}

static void note(model *m, int table, bytes row) {
  const iu_table_def *def = &m->fx.tables[table];
  iu_slice key = def->primary_key >= 0 ? column_of(def, (uint32_t)def->primary_key, row) : (iu_slice){row.p, row.len};

  log_add(&m->log, table, key.p, key.len);
}

static const bytes *with_key(const model *m, const snapshot *s, const written *w) {
  const iu_table_def *def = &m->fx.tables[w->table];
  const rowset *rows = &s->tables[w->table];
  size_t i;

  for (i = 0; i < rows->count; i++) {
    iu_slice key = def->primary_key >= 0 ? column_of(def, (uint32_t)def->primary_key, rows->rows[i]) : (iu_slice){rows->rows[i].p, rows->rows[i].len};
    if (bytes_equal(w->key, key.p, key.len)) return &rows->rows[i];
  }
  return NULL;
}

/* ---- writes ---- */

static void ensure_tx(model *m) {
  if (!iu__store_in_tx(m->store)) assert_int_equal(iu__store_begin(m->store, NULL), IU_OK);
}

/* Whether a row other than cur[except] stands in the way. */
static bool conflicts(model *m, int table, bytes row, int except) {
  const iu_table_def *def = &m->fx.tables[table];
  rowset *rows = &m->cur.tables[table];
  size_t i;
  uint32_t j;

  for (i = 0; i < rows->count; i++) {
    if ((int)i == except) continue;
    if (same_key(def, IU_INDEX_MAIN, rows->rows[i], row)) return true;
    for (j = 0; j < def->index_count; j++)
      if (def->indexes[j].unique && same_key(def, j, rows->rows[i], row)) return true;
  }
  return false;
}

static const iu_row *stored_row(model *m, int table, size_t i) {
  bytes b = m->cur.tables[table].rows[i];
  const iu_row *row = iu__table_find_row(table_of(m, table), IU_EPOCH_LATEST, b.p, b.len);

  assert_non_null(row);
  return row;
}

static void do_insert(model *m) {
  int table = (int)below(m, TABLES);
  const iu_row *stored;
  bool existing;
  iu_status status;
  bytes row;

  ensure_tx(m);
  random_row(table, &m->buf, &m->rng);
  row = (bytes){m->buf.data, m->buf.len};
  status = iu__tx_insert(table_of(m, table), row.p, row.len, &stored, &existing, NULL);
  if (rowset_find(&m->cur.tables[table], row.p, row.len) >= 0) {
    assert_int_equal(status, IU_OK);
    assert_true(existing);
    assert_true(bytes_equal(row, stored->data, stored->len));
  } else if (conflicts(m, table, row, -1)) {
    assert_int_equal(status, IU_E_CONFLICT);
    m->conflicts++;
  } else {
    assert_int_equal(status, IU_OK);
    assert_false(existing);
    assert_true(bytes_equal(row, stored->data, stored->len));
    assert_true(stored->from == m->epoch + 1);
    rowset_add(&m->cur.tables[table], row.p, row.len);
    note(m, table, row);
  }
}

static void do_delete(model *m) {
  int table = (int)below(m, TABLES);
  rowset *rows = &m->cur.tables[table];
  size_t i;

  if (rows->count == 0) return;
  ensure_tx(m);
  i = below(m, (uint32_t)rows->count);
  assert_int_equal(iu__tx_delete(table_of(m, table), stored_row(m, table, i), NULL), IU_OK);
  note(m, table, rows->rows[i]);
  rowset_remove(rows, i);
}

static void do_update(model *m) {
  int table = (int)below(m, TABLES);
  rowset *rows = &m->cur.tables[table];
  const iu_row *stored;
  iu_status status;
  size_t i;
  bytes row;

  if (rows->count == 0) return;
  ensure_tx(m);
  i = below(m, (uint32_t)rows->count);
  random_row(table, &m->buf, &m->rng);
  if (table == ITEM && below(m, 2)) { /* the same key, so that versions of one row follow each other */
    iu_buf b = {0};
    iu_slice id = column_of(&m->fx.tables[table], 0, rows->rows[i]), other = column_of(&m->fx.tables[table], 0, (bytes){m->buf.data, m->buf.len});
    iu__buf_put(&b, id.p, id.len);
    iu__buf_put(&b, m->buf.data + other.len, m->buf.len - other.len);
    iu__buf_free(&m->buf);
    m->buf = b;
  }
  row = (bytes){m->buf.data, m->buf.len};
  status = iu__tx_update(table_of(m, table), stored_row(m, table, i), row.p, row.len, &stored, NULL);
  if (bytes_equal(rows->rows[i], row.p, row.len)) {
    assert_int_equal(status, IU_OK);
  } else if (conflicts(m, table, row, (int)i)) {
    assert_int_equal(status, IU_E_CONFLICT);
    m->conflicts++;
  } else {
    assert_int_equal(status, IU_OK);
    assert_true(bytes_equal(row, stored->data, stored->len));
    note(m, table, rows->rows[i]);
    rowset_remove(rows, i);
    rowset_add(rows, row.p, row.len);
    note(m, table, row);
  }
}

/* ---- ends ---- */

static void end_tx(model *m) {
  while (m->mark_count > 0) {
    savepoint *sp = &m->marks[--m->mark_count];
    snapshot_free(&sp->cur);
    log_free(&sp->log);
  }
  log_free(&m->log);
}

static void check_changes(model *m, const iu_changeset *c) {
  uint32_t at = 0;
  size_t i;

  for (i = 0; i < m->log.count; i++) {
    const written *w = &m->log.list[i];
    const bytes *before = with_key(m, &m->base, w), *after = with_key(m, &m->cur, w);
    const iu_change *change;
    if ((before == NULL && after == NULL) || (before != NULL && after != NULL && bytes_equal(*before, after->p, after->len))) continue;
    assert_non_null(c);
    assert_true(at < c->count);
    change = &c->changes[at++];
    assert_ptr_equal(change->table, table_of(m, w->table));
    assert_true((change->old_row != NULL) == (before != NULL));
    assert_true((change->new_row != NULL) == (after != NULL));
    if (before != NULL) assert_true(bytes_equal(*before, change->old_row->data, change->old_row->len));
    if (after != NULL) assert_true(bytes_equal(*after, change->new_row->data, change->new_row->len));
  }
  assert_int_equal(at, c != NULL ? c->count : 0);
  if (c != NULL) assert_true(c->epoch == ++m->epoch);
  assert_true(iu__store_epoch(m->store) == m->epoch);
}

static void do_commit(model *m) {
  iu_changeset *c;
  int i;

  if (!iu__store_in_tx(m->store)) return;
  assert_int_equal(iu__store_commit(m->store, &c, NULL), IU_OK);
  check_changes(m, c);
  iu__changeset_release(m->store, c);
  end_tx(m);
  snapshot_free(&m->base);
  m->base = snapshot_copy(&m->cur);
  for (i = 0; i < ITERS; i++) m->iters[i].in_tx = false; /* they go on with what they saw */
  m->commits++;
}

static void iters_undone(model *m, size_t mark, bool abort) {
  int i;

  for (i = 0; i < ITERS; i++) {
    open_iter *o = &m->iters[i];
    if (o->it == NULL || !o->in_tx) continue;
    if (o->mark > mark) {
      m->ended += o->at < o->want.count;
      o->at = o->want.count;
    }
    if (abort) o->in_tx = false;
  }
}

static void do_abort(model *m) {
  if (!iu__store_in_tx(m->store)) return;
  iu__store_abort(m->store);
  end_tx(m);
  snapshot_free(&m->cur);
  m->cur = snapshot_copy(&m->base);
  iters_undone(m, 0, true);
}

static void do_mark(model *m) {
  savepoint *sp;

  if (!iu__store_in_tx(m->store) || m->mark_count == MARKS) return;
  sp = &m->marks[m->mark_count++];
  sp->mark = iu__tx_mark(m->store);
  sp->cur = snapshot_copy(&m->cur);
  sp->log = log_copy(&m->log);
}

static void do_rollback(model *m) {
  size_t to;

  if (m->mark_count == 0) return;
  to = below(m, (uint32_t)m->mark_count);
  while (m->mark_count > to + 1) {
    m->mark_count--;
    snapshot_free(&m->marks[m->mark_count].cur);
    log_free(&m->marks[m->mark_count].log);
  }
  m->mark_count = to;
  iu__tx_rollback_to(m->store, m->marks[to].mark);
  assert_int_equal(iu__tx_mark(m->store), m->marks[to].mark);
  snapshot_free(&m->cur);
  log_free(&m->log);
  m->cur = m->marks[to].cur;
  m->log = m->marks[to].log;
  iters_undone(m, m->marks[to].mark, false);
}

/* ---- readers ---- */

static void do_pin(model *m) {
  reader *r = &m->readers[below(m, PINS)];

  if (r->open && below(m, 2)) { /* forward */
    iu__pin_move(&r->pin, m->epoch);
    snapshot_free(&r->seen);
    r->seen = snapshot_copy(&m->base);
  } else if (r->open) {
    iu__unpin(&r->pin);
    snapshot_free(&r->seen);
    r->open = false;
  } else {
    iu__pin(m->store, &r->pin, m->epoch);
    r->seen = snapshot_copy(&m->base);
    r->open = true;
  }
}

/* The state at some epoch that is readable now. */
static const snapshot *pick_state(model *m, uint64_t *epoch) {
  uint32_t pick = below(m, PINS + 2);

  *epoch = pick == PINS + 1 ? m->epoch : IU_EPOCH_LATEST;
  if (pick == PINS + 1) return &m->base;
  if (pick == PINS || !m->readers[pick].open) return &m->cur;
  *epoch = m->readers[pick].pin.epoch;
  return &m->readers[pick].seen;
}

static void check_found(const iu_row *row, const rowset *rows, int at) {
  if (at < 0) {
    assert_null(row);
  } else {
    assert_non_null(row);
    assert_true(bytes_equal(rows->rows[at], row->data, row->len));
  }
}

static void do_point_reads(model *m) {
  int table = (int)below(m, TABLES);
  const iu_table_def *def = &m->fx.tables[table];
  uint64_t epoch;
  const rowset *rows = &pick_state(m, &epoch)->tables[table];
  iu_buf key = {0};
  uint32_t i;
  bytes row;

  random_row(table, &m->buf, &m->rng);
  if (rows->count > 0 && below(m, 2)) {
    bytes some = rows->rows[below(m, (uint32_t)rows->count)];
    iu__buf_reset(&m->buf);
    iu__buf_put(&m->buf, some.p, some.len);
  }
  row = (bytes){m->buf.data, m->buf.len};
  check_found(iu__table_find_row(table_of(m, table), epoch, row.p, row.len), rows, rowset_find(rows, row.p, row.len));
  assert_true(iu__table_count(table_of(m, table), epoch) == rows->count);
  if (def->primary_key >= 0) {
    key_of(def, IU_INDEX_MAIN, 0, 1, row, &key);
    check_found(iu__table_get(table_of(m, table), epoch, key.data, key.len), rows, find_same_key(def, IU_INDEX_MAIN, rows, row));
  }
  for (i = 0; i < def->index_count; i++) {
    if (!def->indexes[i].unique) continue;
    iu__buf_reset(&key);
    key_of(def, i, 0, def->indexes[i].column_count, row, &key);
    check_found(iu__table_find_unique(table_of(m, table), i, epoch, key.data, key.len), rows, find_same_key(def, i, rows, row));
  }
  iu__buf_free(&key);
}

/* Rows given stay readable until the iterator is closed, whatever happened to them. */
static void close_iter(open_iter *o) {
  size_t i;

  for (i = 0; i < o->given_count; i++) assert_true(bytes_equal(o->want.rows[i], o->given[i]->data, o->given[i]->len));
  iu__iter_close(o->it);
  free(o->given);
  rowset_free(&o->want);
  memset(o, 0, sizeof *o);
}

static void open_one(model *m, open_iter *o) {
  int table = (int)below(m, TABLES);
  const iu_table_def *def = &m->fx.tables[table];
  uint32_t index = random_index(def, &m->rng);
  bool descending = below(m, 2) != 0;
  test_range r;
  uint64_t epoch;
  const snapshot *seen = pick_state(m, &epoch);

  random_range(&r, table, def, index, &m->rng);
  if (below(m, 2)) r.none = true;
  o->want = naive_select(def, index, range_of(&r), descending, &seen->tables[table]);
  o->given = calloc(o->want.count + 1, sizeof *o->given);
  assert_non_null(o->given);
  o->in_tx = epoch == IU_EPOCH_LATEST && iu__store_in_tx(m->store);
  o->mark = iu__tx_mark(m->store);
  assert_int_equal(iu__table_iter(table_of(m, table), epoch, index, range_of(&r), descending, &o->it, NULL), IU_OK);
  test_range_free(&r);
}

static void step_iter(model *m, open_iter *o, size_t steps) {
  while (steps-- > 0) {
    const iu_row *row = iu__iter_next(o->it);
    if (o->at == o->want.count) {
      assert_null(row);
      return;
    }
    assert_non_null(row);
    assert_true(bytes_equal(o->want.rows[o->at], row->data, row->len));
    o->given[o->given_count++] = row;
    o->at++;
    m->iterated++;
  }
}

static void do_iter(model *m) {
  open_iter *o = &m->iters[below(m, ITERS)];

  if (o->it == NULL) open_one(m, o);
  else if (below(m, 6) == 0) {
    step_iter(m, o, SIZE_MAX);
    close_iter(o);
  } else if (below(m, 8) == 0) {
    close_iter(o);
  } else {
    step_iter(m, o, 1 + below(m, 12));
  }
}

static void one_step(model *m) {
  uint32_t pick = below(m, 100);

  if (pick < 32) do_insert(m);
  else if (pick < 44) do_delete(m);
  else if (pick < 56) do_update(m);
  else if (pick < 60) do_mark(m);
  else if (pick < 63) do_rollback(m);
  else if (pick < 68) do_commit(m);
  else if (pick < 69) do_abort(m);
  else if (pick < 72) do_pin(m);
  else if (pick < 74) iu__store_reclaim(m->store);
  else if (pick < 86) do_point_reads(m);
  else do_iter(m);
}

static void run_model(uint64_t seed, uint32_t ids, bool lean) {
  const char *given = getenv("IU_STEPS");
  int steps = given != NULL ? atoi(given) : STEPS, i;
  model m;

  printf("seed %llu, %u ids%s\n", (unsigned long long)seed, ids, lean ? ", lean" : "");
  fflush(stdout);
  memset(&m, 0, sizeof m);
  naive_ids = ids;
  m.rng = seed;
  fixture_init(&m.fx);
  m.store = fixture_store(&m.fx);
  if (lean) iu__store_be_lean(m.store);
  for (i = 0; i < steps; i++) {
    one_step(&m);
    if (i % 64 == 0) check_store(m.store);
  }
  for (i = 0; i < ITERS; i++)
    if (m.iters[i].it != NULL) close_iter(&m.iters[i]);
  do_commit(&m);
  check_store(m.store);
  for (i = 0; i < PINS; i++)
    if (m.readers[i].open) {
      iu__unpin(&m.readers[i].pin);
      snapshot_free(&m.readers[i].seen);
    }
  iu__store_reclaim(m.store);
  check_store(m.store);
  assert_true(m.store->rows == m.base.tables[0].count + m.base.tables[1].count + m.base.tables[2].count);
  printf("  %lu commits, %lu conflicts, %lu rows iterated, %lu iterators ended by undo\n", m.commits, m.conflicts, m.iterated, m.ended);
  if (given == NULL) assert_true(m.commits > 20 && m.conflicts > 20 && m.iterated > 500 && m.ended > 0);
  iu__store_free(m.store);
  end_tx(&m);
  snapshot_free(&m.base);
  snapshot_free(&m.cur);
  iu__buf_free(&m.buf);
  fixture_free(&m.fx);
}

static void the_store_does_what_the_model_does(void **state) {
  const char *given = getenv("IU_SEED");
  uint64_t seed;
  (void)state;

  if (given != NULL) {
    for (int lean = 0; lean < 2; lean++) {
      run_model(strtoull(given, NULL, 0), 60, lean);
      run_model(strtoull(given, NULL, 0), 700, lean);
    }
    return;
  }
  for (seed = 1; seed <= 5; seed++) {
    for (int lean = 0; lean < 2; lean++) {
      run_model(seed, 60, lean);
      run_model(seed + 100, seed == 5 ? 3000 : 400, lean);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_store_does_what_the_model_does)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
