/* client_replica_test.c: a replica against a model of a database with queries: what is held, what is told, what a hostile server may say.
 * Environment: IU_SEED runs one seed. */
#include <time.h>

#include "store_fixture.h"

#include "../../core/client/replica.h"

#define NUMBERS 300   /* ids of items, and of pairs */
#define VERSIONS 4    /* of an item */
#define QUERIES 6
#define SETS 6
#define ROUNDS 700

static fixture fx;
static uint32_t name_order[TABLES] = {ITEM, ODD, PAIR};

static int setup(void **state) {
  (void)state;
  fixture_init(&fx);
  fx.schema.table_order = name_order;
  return 0;
}
static int teardown(void **state) {
  (void)state;
  fixture_free(&fx);
  return 0;
}

/* ---- messages ---- */

/* One update under construction: rows behind one another, their offsets, as they come on the wire. */
typedef struct side { iu_buf data, offsets; uint32_t count; } side;
typedef struct update { const char *table; side deletes, inserts; bool events; } update;
typedef struct message { update updates[SETS * QUERIES * 4]; uint32_t count; iu_table_update wire[SETS * QUERIES * 4]; } message;

static void side_add(side *s, const iu_buf *row) {
  iu__buf_put_u64(&s->offsets, s->data.len);
  iu__buf_put(&s->data, row->data, row->len);
  s->count++;
}

static iu_row_list side_list(const side *s) {
  iu_row_list l = {.count = s->count, .offsets = s->offsets.data, .data = s->data.data, .len = s->data.len};
  return l;
}

static update *message_update(message *m, const char *table) {
  update *u = &m->updates[m->count++];
  u->table = table;
  return u;
}

static void message_wire(message *m) {
  for (uint32_t i = 0; i < m->count; i++) {
    const update *u = &m->updates[i];
    m->wire[i] = (iu_table_update){.table = {(const uint8_t *)u->table, strlen(u->table)}, .event_table = u->events, .deletes = side_list(&u->deletes),
                                   .inserts = side_list(&u->inserts)};
  }
}

static void message_reset(message *m) {
  for (uint32_t i = 0; i < m->count; i++) {
    update *u = &m->updates[i];
    iu__buf_free(&u->deletes.data);
    iu__buf_free(&u->deletes.offsets);
    iu__buf_free(&u->inserts.data);
    iu__buf_free(&u->inserts.offsets);
  }
  memset(m->updates, 0, m->count * sizeof m->updates[0]);
  m->count = 0;
}

/* ---- the model: a database, queries, sets of queries; and what the program was told ---- */

typedef struct model {
  uint64_t rng;
  int item[NUMBERS];                          /* version, -1: none */
  bool pair[NUMBERS];
  bool set[SETS][QUERIES];                    /* subscribed */
  bool told[2][NUMBERS][VERSIONS];            /* what callbacks said */
  iu_replica *replica;
  iu_loop *loop;
  message message;
  iu_buf row;
} model;

static const iu_buf *row_of(model *m, int table, int n, int v) {
  char id[32], note[64];
  if (table == ITEM) {
    snprintf(id, sizeof id, "item-%04d", n);
    snprintf(note, sizeof note, "%*s", n % 40, "x");
    return item_row(&m->row, id, v % 2 ? "odd" : "even", v, (uint64_t)n, note);
  }
  snprintf(id, sizeof id, "p%d", n / 2);
  return pair_row(&m->row, n, id);
}

static bool matches(int query, int table, int n, int v) {
  if (query == QUERIES - 1) return table == PAIR;
  if (table == PAIR) return query % 2 == 0 && (n + query) % 3 != 0;
  return query == 0 || (n * 7 + v * 5 + query) % (query + 1) == 0;
}

static bool expected(const model *m, int table, int n, int v) {
  if (table == ITEM ? m->item[n] != v : (v != 0 || !m->pair[n])) return false;
  for (int s = 0; s < SETS; s++) {
    for (int q = 0; q < QUERIES; q++) {
      if (m->set[s][q] && matches(q, table, n, v)) return true;
    }
  }
  return false;
}

static const char *table_name(int table) { return table == ITEM ? "item" : "pair"; }

/* All rows of a query, on one side of an update of each table. */
static void put_query(model *m, int query, bool insert) {
  for (int table = ITEM; table <= PAIR; table++) {
    update *u = message_update(&m->message, table_name(table));
    side *to = insert ? &u->inserts : &u->deletes;
    for (int n = 0; n < NUMBERS; n++) {
      int v = table == ITEM ? m->item[n] : 0;
      if ((table == ITEM ? v >= 0 : m->pair[n]) && matches(query, table, n, v)) side_add(to, row_of(m, table, n, v));
    }
  }
}

static void change(model *m, int *old_item, bool *old_pair) {
  int changes = 1 + (int)rng_below(&m->rng, rng_below(&m->rng, 4) == 0 ? 250 : 8);
  memcpy(old_item, m->item, sizeof m->item);
  memcpy(old_pair, m->pair, sizeof m->pair);
  for (int i = 0; i < changes; i++) {
    int n = (int)rng_below(&m->rng, NUMBERS);
    if (rng_below(&m->rng, 3) == 0) m->pair[n] = !m->pair[n];
    else m->item[n] = (int)rng_below(&m->rng, VERSIONS + 1) - 1;
  }
}

/* What each query of each set sees of a transaction. */
static void put_transaction(model *m, const int *old_item, const bool *old_pair) {
  for (int s = 0; s < SETS; s++) {
    for (int q = 0; q < QUERIES; q++) {
      if (!m->set[s][q]) continue;
      for (int table = ITEM; table <= PAIR; table++) {
        update *u = message_update(&m->message, table_name(table));
        for (int n = 0; n < NUMBERS; n++) {
          int was = table == ITEM ? old_item[n] : old_pair[n] - 1, is = table == ITEM ? m->item[n] : m->pair[n] - 1;
          if (was == is) continue;
          if (was >= 0 && matches(q, table, n, was)) side_add(&u->deletes, row_of(m, table, n, was));
          if (is >= 0 && matches(q, table, n, is)) side_add(&u->inserts, row_of(m, table, n, is));
        }
      }
    }
  }
}

/* ---- what was told ---- */

static void read_row(int table, const iu_row *row, int *n, int *v) {
  if (table == PAIR) {
    *n = (int)iu__load_u32(row->data);
    *v = 0;
    return;
  }
  char id[16] = "";
  memcpy(id, row->data + 4, 9);
  assert_int_equal(sscanf(id, "item-%d", n), 1);
  iu_slice at = iu__bsatn_column(fx.tables[ITEM].row, 2, row->data, row->len);
  *v = (int)iu__load_u64(at.p);
}

static void tell(model *m, int table, const iu_row *row, bool there) {
  int n, v;
  read_row(table, row, &n, &v);
  assert_true(m->told[table][n][v] != there);
  m->told[table][n][v] = there;
}

static void tell_changes(model *m) {
  const iu_changeset *c = iu__replica_changes(m->replica);
  for (uint32_t i = 0; c != NULL && i < c->count; i++) {
    int table = (int)iu__table_index(c->changes[i].table);
    const iu_row *old_row = c->changes[i].old_row, *new_row = c->changes[i].new_row;
    if (old_row != NULL && new_row != NULL) assert_true(old_row->len != new_row->len || memcmp(old_row->data, new_row->data, old_row->len) != 0);
    if (old_row != NULL) tell(m, table, old_row, false);
    if (new_row != NULL) tell(m, table, new_row, true);
  }
}

static void check(model *m) {
  uint64_t counts[2] = {0, 0};
  for (int table = ITEM; table <= PAIR; table++) {
    for (int n = 0; n < NUMBERS; n++) {
      for (int v = 0; v < VERSIONS; v++) {
        bool want = expected(m, table, n, v);
        const iu_buf *row;
        if (m->told[table][n][v] != want) fail_msg("table %d, row %d version %d: told %d, expected %d", table, n, v, m->told[table][n][v], want);
        if (!want) continue;
        counts[table]++;
        row = row_of(m, table, n, v);
        assert_non_null(iu__table_find_row(iu__store_table(iu__replica_store(m->replica), (uint32_t)table),
                                           iu__view_epoch(iu__replica_view(m->replica)), row->data, row->len));
      }
    }
    assert_true(iu__view_count(iu__replica_view(m->replica), (uint32_t)table) == counts[table]);
  }
}

/* Steps with a deadline that is always over: the smallest slices there are. Nothing is visible before it is shown. */
static void run(model *m) {
  iu_error err;
  bool done = false, sliced = rng_below(&m->rng, 2) == 0;
  uint64_t before = iu__view_count(iu__replica_view(m->replica), ITEM);
  iu__loop_set_deadline(m->loop, 1);
  while (!done) {
    if (iu__replica_step(m->replica, sliced ? m->loop : NULL, &done, &err) != IU_OK) fail_msg("%s", err.message);
    assert_true(iu__view_count(iu__replica_view(m->replica), ITEM) == before);
  }
  iu__replica_show(m->replica);
  tell_changes(m);
  iu__replica_finish(m->replica);
  check(m);
}

static void apply_message(model *m) {
  iu_error err;
  message_wire(&m->message);
  if (iu__replica_begin(m->replica, m->message.wire, m->message.count, &err) != IU_OK) fail_msg("%s", err.message);
  run(m);
  message_reset(&m->message);
}

/* A connection was lost: the database went on, the sets are made again into a fresh replica. */
static void reconnect(model *m) {
  int old_item[NUMBERS];
  bool old_pair[NUMBERS], done;
  iu_replica *kept = m->replica, *fresh;
  iu_error err;
  change(m, old_item, old_pair);
  if (rng_below(&m->rng, 3) == 0) m->set[rng_below(&m->rng, SETS)][rng_below(&m->rng, QUERIES)] = false;
  assert_int_equal(iu__replica_new(&fx.schema, &fresh, &err), IU_OK);
  for (int s = 0; s < SETS; s++) {
    for (int q = 0; q < QUERIES; q++) {
      if (m->set[s][q]) put_query(m, q, true);
    }
  }
  message_wire(&m->message);
  assert_int_equal(iu__replica_begin(fresh, m->message.wire, m->message.count, &err), IU_OK);
  assert_int_equal(iu__replica_step(fresh, NULL, &done, &err), IU_OK);
  iu__replica_show(fresh);
  iu__replica_finish(fresh);
  message_reset(&m->message);
  assert_int_equal(iu__replica_adopt(kept, fresh, &err), IU_OK);
  run(m);
}

static void move(model *m) {
  iu_replica *next;
  iu_error err;
  assert_int_equal(iu__replica_new(&fx.schema, &next, &err), IU_OK);
  assert_int_equal(iu__replica_carry(next, m->replica, &err), IU_OK);
  iu__replica_free(m->replica);
  m->replica = next;
  check(m);
}

static void toggle(model *m) {
  int s = (int)rng_below(&m->rng, SETS), q = (int)rng_below(&m->rng, QUERIES);
  put_query(m, q, !m->set[s][q]);
  m->set[s][q] = !m->set[s][q];
  apply_message(m);
}

static void transact(model *m) {
  int old_item[NUMBERS];
  bool old_pair[NUMBERS];
  change(m, old_item, old_pair);
  put_transaction(m, old_item, old_pair);
  apply_message(m);
}

static void run_model(uint64_t seed) {
  model *m = calloc(1, sizeof *m);
  iu_error err;
  printf("# IU_SEED=%llu\n", (unsigned long long)seed);
  m->rng = seed;
  for (int n = 0; n < NUMBERS; n++) m->item[n] = (int)rng_below(&m->rng, VERSIONS + 1) - 1;
  assert_int_equal(iu__loop_new(NULL, &m->loop, &err), IU_OK);
  assert_int_equal(iu__replica_new(&fx.schema, &m->replica, &err), IU_OK);
  for (int round = 0; round < ROUNDS; round++) {
    switch (rng_below(&m->rng, 12)) {
      case 0: case 1: case 2: case 3: toggle(m); break;
      case 4: reconnect(m); break;
      case 5: move(m); break;
      default: transact(m); break;
    }
  }
  check_store(iu__replica_store(m->replica));
  iu__replica_free(m->replica);
  iu__loop_free(m->loop);
  iu__buf_free(&m->row);
  free(m);
}

static void a_replica_holds_and_tells_what_a_model_says(void **state) {
  const char *given = getenv("IU_SEED");
  (void)state;
  if (given != NULL) {
    run_model(strtoull(given, NULL, 10));
    return;
  }
  for (uint64_t seed = 1; seed <= 3; seed++) run_model(seed);
  run_model((uint64_t)time(NULL));
}

/* ---- one by one ---- */

typedef struct one { iu_replica *r; message *m; iu_buf row; iu_error err; } one;

static one one_new(void) {
  one o = {.m = calloc(1, sizeof *o.m)};
  assert_int_equal(iu__replica_new(&fx.schema, &o.r, &o.err), IU_OK);
  return o;
}
static void one_free(one *o) {
  message_reset(o->m);
  free(o->m);
  iu__buf_free(&o->row);
  iu__replica_free(o->r);
}

/* begin and step; the message is gone afterwards. */
static iu_status one_apply(one *o) {
  bool done;
  message_wire(o->m);
  iu_status status = iu__replica_begin(o->r, o->m->wire, o->m->count, &o->err);
  if (status == IU_OK) status = iu__replica_step(o->r, NULL, &done, &o->err);
  message_reset(o->m);
  if (status == IU_OK) iu__replica_show(o->r);
  return status;
}

static void a_row_that_changes_its_query_is_not_told(void **state) {
  one o = one_new();
  (void)state;
  side_add(&message_update(o.m, "item")->inserts, item_row(&o.row, "a", "k", 1, 1, ""));
  assert_int_equal(one_apply(&o), IU_OK);
  assert_int_equal(iu__replica_changes(o.r)->count, 1);
  iu__replica_finish(o.r);
  side_add(&message_update(o.m, "item")->deletes, item_row(&o.row, "a", "k", 1, 1, ""));
  side_add(&message_update(o.m, "item")->inserts, item_row(&o.row, "a", "k", 1, 1, ""));
  assert_int_equal(one_apply(&o), IU_OK);
  assert_null(iu__replica_changes(o.r));
  assert_true(iu__view_count(iu__replica_view(o.r), ITEM) == 1);
  iu__replica_finish(o.r);
  /* and once more gone, it is gone */
  side_add(&message_update(o.m, "item")->deletes, item_row(&o.row, "a", "k", 1, 1, ""));
  assert_int_equal(one_apply(&o), IU_OK);
  assert_int_equal(iu__replica_changes(o.r)->count, 1);
  assert_true(iu__view_count(iu__replica_view(o.r), ITEM) == 0);
  one_free(&o);
}

static void rows_that_swap_a_unique_value_are_two_updates(void **state) {
  one o = one_new();
  (void)state;
  update *u = message_update(o.m, "item");
  side_add(&u->inserts, item_row(&o.row, "a", "k", 1, 10, ""));
  side_add(&u->inserts, item_row(&o.row, "b", "k", 1, 20, ""));
  assert_int_equal(one_apply(&o), IU_OK);
  iu__replica_finish(o.r);
  u = message_update(o.m, "item");
  side_add(&u->inserts, item_row(&o.row, "a", "k", 1, 20, ""));
  side_add(&u->inserts, item_row(&o.row, "b", "k", 1, 10, ""));
  side_add(&u->deletes, item_row(&o.row, "a", "k", 1, 10, ""));
  side_add(&u->deletes, item_row(&o.row, "b", "k", 1, 20, ""));
  assert_int_equal(one_apply(&o), IU_OK);
  const iu_changeset *c = iu__replica_changes(o.r);
  assert_int_equal(c->count, 2);
  for (uint32_t i = 0; i < 2; i++) assert_true(c->changes[i].old_row != NULL && c->changes[i].new_row != NULL);
  one_free(&o);
}

static void event_rows_are_told_and_not_kept(void **state) {
  one o = one_new();
  uint32_t count;
  (void)state;
  update *u = message_update(o.m, "pair");
  u->events = true;
  for (int i = 0; i < 40; i++) side_add(&u->inserts, pair_row(&o.row, 7, "same"));
  assert_int_equal(one_apply(&o), IU_OK);
  assert_null(iu__replica_changes(o.r));
  const iu_replica_event *events = iu__replica_events(o.r, &count);
  assert_int_equal(count, 40);
  assert_int_equal(events[39].table, PAIR);
  assert_int_equal(iu__load_u32(events[39].row->data), 7);
  assert_true(iu__view_count(iu__replica_view(o.r), PAIR) == 0);
  iu__replica_finish(o.r);
  iu__replica_events(o.r, &count);
  assert_int_equal(count, 0);
  one_free(&o);
}

static void refused(one *o, iu_status status, const char *words) {
  iu_status got = one_apply(o);
  if (got != status || strstr(o->err.message, words) == NULL) fail_msg("got %d: %s", got, o->err.message);
}

static void what_cannot_be_true_is_refused_and_a_fresh_replica_mends_it(void **state) {
  one o = one_new();
  iu_replica *fresh;
  bool done;
  (void)state;
  message_update(o.m, "nothing");
  refused(&o, IU_E_VALIDATION, "`nothing`");
  side_add(&message_update(o.m, "item")->inserts, item_row(&o.row, "a", "k", 1, 1, ""));
  assert_int_equal(one_apply(&o), IU_OK);
  iu__replica_finish(o.r);

  iu__buf_reset(&o.row);
  iu__buf_put_u32(&o.row, 1000); /* a text longer than the row */
  side_add(&message_update(o.m, "item")->inserts, &o.row);
  refused(&o, IU_E_VALIDATION, "`item`");
  side_add(&message_update(o.m, "item")->deletes, &o.row);
  refused(&o, IU_E_VALIDATION, "`item`");
  side_add(&message_update(o.m, "item")->deletes, item_row(&o.row, "b", "k", 1, 1, ""));
  refused(&o, IU_E_CONNECTION, "had not told");
  update *u = message_update(o.m, "item");
  side_add(&u->deletes, item_row(&o.row, "a", "k", 1, 1, ""));
  side_add(&u->deletes, item_row(&o.row, "a", "k", 1, 1, ""));
  refused(&o, IU_E_CONNECTION, "more often");
  side_add(&message_update(o.m, "item")->inserts, item_row(&o.row, "b", "k", 1, 1, "")); /* score is unique */
  refused(&o, IU_E_CONNECTION, "one key");
  side_add(&message_update(o.m, "item")->inserts, item_row(&o.row, "a", "other", 1, 2, ""));
  refused(&o, IU_E_CONNECTION, "one key");

  assert_int_equal(iu__replica_new(&fx.schema, &fresh, &o.err), IU_OK);
  assert_int_equal(iu__replica_adopt(o.r, fresh, &o.err), IU_OK);
  assert_int_equal(iu__replica_step(o.r, NULL, &done, &o.err), IU_OK);
  assert_true(done);
  assert_int_equal(iu__replica_changes(o.r)->count, 1); /* the row there was */
  iu__replica_show(o.r);
  iu__replica_finish(o.r);
  assert_true(iu__view_count(iu__replica_view(o.r), ITEM) == 0);
  side_add(&message_update(o.m, "item")->inserts, item_row(&o.row, "a", "k", 1, 1, ""));
  assert_int_equal(one_apply(&o), IU_OK);
  one_free(&o);
}

static void a_set_that_the_server_dropped_takes_its_rows_with_it(void **state) {
  static const char odd[] = "SELECT * FROM pair WHERE b = 'odd'", low[] = "SELECT * FROM pair WHERE a < 5";
  one o = one_new();
  iu_query *queries[2];
  uint8_t nobody[32] = {0};
  bool done;
  (void)state;
  update *first = message_update(o.m, "pair"), *second = message_update(o.m, "pair");
  for (int i = 0; i < 10; i++) {
    if (i % 2) side_add(&first->inserts, pair_row(&o.row, i, "odd"));
    if (i < 5) side_add(&second->inserts, pair_row(&o.row, i, i % 2 ? "odd" : "even"));
  }
  assert_int_equal(one_apply(&o), IU_OK);
  assert_true(iu__view_count(iu__replica_view(o.r), PAIR) == 8);
  iu__replica_finish(o.r);
  assert_int_equal(iu__query_parse(&fx.schema, odd, sizeof odd - 1, nobody, true, &queries[0], &o.err), IU_OK);
  assert_int_equal(iu__query_parse(&fx.schema, low, sizeof low - 1, nobody, true, &queries[1], &o.err), IU_OK);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(iu__replica_drop_queries(o.r, &queries[i], 1, &o.err), IU_OK);
    assert_int_equal(iu__replica_step(o.r, NULL, &done, &o.err), IU_OK);
    iu__replica_show(o.r);
    assert_int_equal(iu__replica_changes(o.r)->count, i == 0 ? 3 : 5);
    iu__replica_finish(o.r);
    iu__query_free(queries[i]);
  }
  assert_true(iu__view_count(iu__replica_view(o.r), PAIR) == 0);
  one_free(&o);
}

/* Every allocation fails once: the message says so, and a fresh replica takes the place of what is half done. */
static void without_memory_a_message_fails_and_nothing_leaks(void **state) {
  (void)state;
  for (long after = 0;; after++) {
    one o = one_new();
    update *u = message_update(o.m, "item"), *v = message_update(o.m, "item");
    for (int i = 0; i < 70; i++) {
      char id[16];
      snprintf(id, sizeof id, "i%d", i);
      side_add(&u->inserts, item_row(&o.row, id, "k", i, (uint64_t)i, ""));
      if (i % 2) side_add(&v->inserts, item_row(&o.row, id, "k", i, (uint64_t)i, ""));
    }
    message_wire(o.m);
    iu__errinj_arm(IU_ERRINJ_ALLOC, after);
    bool done = false;
    iu_status status = iu__replica_begin(o.r, o.m->wire, o.m->count, &o.err);
    if (status == IU_OK) status = iu__replica_step(o.r, NULL, &done, &o.err);
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    one_free(&o);
    if (status == IU_OK) {
      assert_true(after > 10);
      return;
    }
    assert_int_equal(status, IU_E_NOMEM);
  }
}

/* ---- in slices, counted ---- */

#define MANY 5000
#define SLICE 128u /* IU_REPLICA_STRIDE: rows between two looks at the clock */

static void put_many(one *o, bool insert) {
  update *u = message_update(o->m, "item");
  for (int n = 0; n < MANY; n++) {
    char id[32];
    snprintf(id, sizeof id, "many-%05d", n);
    side_add(insert ? &u->inserts : &u->deletes, item_row(&o->row, id, "k", n, (uint64_t)n, "x"));
  }
}

/* With a deadline that is always over; at most so many steps. */
static uint32_t steps_of(one *o, iu_loop *loop, uint32_t most) {
  bool done = false;
  uint32_t steps = 0;
  message_wire(o->m);
  assert_int_equal(iu__replica_begin(o->r, o->m->wire, o->m->count, &o->err), IU_OK);
  while (!done && steps < most) {
    assert_int_equal(iu__replica_step(o->r, loop, &done, &o->err), IU_OK);
    steps++;
  }
  message_reset(o->m);
  return steps;
}

static void large_messages_come_and_go_in_slices(void **state) {
  one o = one_new(), again = one_new();
  iu_loop *loop;
  uint32_t finishes = 1;
  bool done = false;
  (void)state;
  assert_int_equal(iu__loop_new(NULL, &loop, &o.err), IU_OK);
  iu__loop_set_deadline(loop, 1);
  put_many(&o, true);
  assert_true(steps_of(&o, loop, UINT32_MAX) >= MANY / SLICE);
  assert_int_equal(iu__replica_changes(o.r)->count, MANY);
  assert_int_equal(iu__view_count(iu__replica_view(o.r), ITEM), 0);
  iu__replica_show(o.r);
  while (!iu__replica_finish_some(o.r, loop)) finishes++;
  assert_true(finishes >= MANY / (8 * SLICE));
  /* Cut off in the middle of the settling: what is held is as before, and a fresh replica with the same rows changes nothing. */
  put_many(&o, false);
  (void)steps_of(&o, loop, 2 * (MANY / SLICE) + 3);
  assert_int_equal(iu__view_count(iu__replica_view(o.r), ITEM), MANY);
  put_many(&again, true);
  assert_int_equal(one_apply(&again), IU_OK);
  assert_int_equal(iu__replica_adopt(o.r, again.r, &o.err), IU_OK);
  again.r = NULL;
  while (!done) assert_int_equal(iu__replica_step(o.r, loop, &done, &o.err), IU_OK);
  assert_null(iu__replica_changes(o.r));
  iu__replica_finish(o.r);
  /* and whole: deletes, removals and settling each take their slices */
  put_many(&o, false);
  assert_true(steps_of(&o, loop, UINT32_MAX) >= 2 * (MANY / SLICE) + MANY / (8 * SLICE));
  assert_int_equal(iu__replica_changes(o.r)->count, MANY);
  iu__replica_show(o.r);
  assert_int_equal(iu__view_count(iu__replica_view(o.r), ITEM), 0);
  iu__replica_finish(o.r);
  iu__loop_free(loop);
  one_free(&o);
  one_free(&again);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_row_that_changes_its_query_is_not_told),
      cmocka_unit_test(rows_that_swap_a_unique_value_are_two_updates),
      cmocka_unit_test(event_rows_are_told_and_not_kept),
      cmocka_unit_test(what_cannot_be_true_is_refused_and_a_fresh_replica_mends_it),
      cmocka_unit_test(a_set_that_the_server_dropped_takes_its_rows_with_it),
      cmocka_unit_test(without_memory_a_message_fails_and_nothing_leaks),
      cmocka_unit_test(large_messages_come_and_go_in_slices),
      cmocka_unit_test(a_replica_holds_and_tells_what_a_model_says),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
