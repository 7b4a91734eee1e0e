/* A fault at every place: each allocation of a whole life of an engine fails once (open, subscribe, call, read, sessions, flush, close), and
 * the journal fails under it. Whatever happens is an error or a success; nothing leaks, nothing is half done, and the file opens again. */
#include "engine_fixture.h"

#include "../../core/base/alloc.h"

#define PAIRS 24
#define FILE_ROUNDS 250 /* the file is slow: a sample of its allocations */

typedef enum fate { NOT_THERE, THERE, UNKNOWN } fate;

typedef struct life {
  fixture f;
  fate pairs[PAIRS];   /* a transaction inserts two rows: both or none */
  int next, broken;
  bool closed_well;
} life;

/* The fixture's describe insists on success. */
static void describe(void *instance, uint32_t sink) {
  fixture *f = instance;
  uint32_t len = (uint32_t)f->definition.len;
  iu__stdb_bytes_sink_write(f->host, sink, f->definition.data, &len);
}
static const iu_abi_module module = {"faulty", tm_instantiate, tm_destroy, describe, tm_call};

static iu_status open_engine(life *l, const char *path, iu_durability durability) {
  iu_engine_config config;
  iu__engine_config_init(&config);
  config.path = path;
  config.module = &module;
  config.durability = durability;
  config.loop = l->f.loop;
  config.fold_bytes = 512;
  fixture_now = &l->f;
  return iu__engine_open(&config, &l->f.c, &l->f.err);
}

/* ---- reducers ---- */

static int pair_number;

static int32_t insert_pair(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  char name[16];
  (void)f; (void)args; (void)err;
  for (int i = 0; i < 2; i++) {
    uint64_t id = (uint64_t)(pair_number * 2 + i + 1);
    snprintf(name, sizeof name, "p%d%c", pair_number, "ab"[i]);
    if (put_item(h, &id, (uint32_t)(pair_number % 3), name) != 0) return 1;
  }
  return 0;
}

/* Deletes one of the pair, then refuses: it must come back. */
static int32_t delete_and_refuse(fixture *f, struct iu_host *h, uint32_t args, uint32_t err) {
  static const uint8_t one[9] = {0, 1}; /* included, id 1 */
  uint32_t deleted = 0;
  (void)f; (void)args; (void)err;
  iu__stdb_datastore_delete_by_index_scan_range_bsatn(h, index_id(h, "item_id_idx_btree"), "", 0, 0, one, sizeof one, one, sizeof one, &deleted);
  return 1;
}

/* ---- what there is ---- */

static void collect(const iu_rows *rows, uint8_t halves[PAIRS]) {
  memset(halves, 0, PAIRS);
  for (uint64_t i = 0; i < rows->count; i++) {
    uint64_t id = iu__load_u64(rows->rows[i]->data) - 1;
    assert_true(id < PAIRS * 2);
    halves[id / 2] |= (uint8_t)(1 << id % 2);
  }
}

/* Only when no fault is armed any more. */
static void check_rows(life *l) {
  uint64_t pending = 0;
  iu_rows *rows = NULL;
  uint8_t halves[PAIRS];
  iu_status status = l->f.c->vtable->query(l->f.c, "SELECT * FROM item", 18, &rows, &pending, &l->f.err);
  if (status != IU_OK) { /* the connection broke: it says why */
    assert_true(l->f.c->closed);
    assert_int_equal(status, IU_E_NOMEM);
    return;
  }
  collect(rows, halves);
  iu__rows_release(rows);
  for (int i = 0; i < PAIRS; i++) {
    assert_true(halves[i] == 0 || halves[i] == 3);
    if (l->pairs[i] != UNKNOWN) assert_int_equal(halves[i], l->pairs[i] == THERE ? 3 : 0);
  }
}

/* ---- one life ---- */

static void insert(life *l, int count) {
  uint64_t pending;
  for (; count > 0; count--, l->next++) {
    pair_number = l->next;
    iu_status status = run_on(&l->f, l->f.c, insert_pair, "note", &pending);
    l->pairs[l->next] = status == IU_OK ? THERE : strstr(l->f.err.message, "not saved") != NULL ? UNKNOWN : NOT_THERE;
    if (status != IU_OK) l->broken++;
    l->f.logged = 0;
  }
}

static void read_all_ways(life *l, iu_connection *c) {
  uint64_t pending = 0, key = 3;
  iu_rows *rows;
  iu_filter_spec filter = {.field = "name", .field_len = 4, .op = "StartsWith", .op_len = 10, .json = "\"p1\"", .json_len = 4};
  iu_selection_spec spec = {.filters = &filter, .filter_count = 1, .order_by = "grp", .order_by_len = 3, .descending = true, .has_limit = true, .limit = 5};
  static const char sql[] = "SELECT * FROM item WHERE grp = 1 OR name = 'p0a'";
  rows = NULL;
  if (c->vtable->query(c, sql, strlen(sql), &rows, &pending, &l->f.err) == IU_OK) iu__rows_release(rows);
  rows = NULL;
  if (c->vtable->select(c, 0, &spec, &rows, &pending, &l->f.err) == IU_OK) iu__rows_release(rows);
  rows = NULL;
  if (c->vtable->get(c, 0, &key, 8, &rows, &pending, &l->f.err) == IU_OK) iu__rows_release(rows);
  iu_view_iter *it = NULL;
  if (iu__view_iter(c->view, 0, IU_INDEX_MAIN, NULL, false, &it, &l->f.err) == IU_OK) {
    while (iu__view_iter_next(it) != NULL) {}
    iu__view_iter_close(it);
  }
}

static void wait_for_flush(life *l) {
  uint64_t pending = 0;
  l->f.answered = 0;
  l->f.answer_status = l->f.c->vtable->flush(l->f.c, &pending, &l->f.err);
  if (pending == 0) return;
  for (int i = 0; i < 1000 && l->f.answered != pending && !l->f.c->closed; i++) iu__loop_turn(l->f.loop, 10);
  if (!l->f.c->closed) assert_int_equal(l->f.answered, pending);
}

static void live(life *l, const char *path, iu_durability durability) {
  uint64_t whole = 0, filtered = 0, others = 0;
  fixture *f = &l->f;
  if (open_engine(l, path, durability) != IU_OK) {
    assert_null(f->c);
    return;
  }
  listen_to(f, f->c);
  insert(l, 4);
  if (subscribe_to(f, f->c, "SELECT * FROM item", &whole) != IU_OK) whole = 0;
  insert(l, 4);
  if (subscribe_to(f, f->c, "SELECT * FROM item WHERE grp = 1", &filtered) != IU_OK) filtered = 0;
  uint64_t joined = 0;
  subscribe_to(f, f->c, "SELECT a.* FROM item a JOIN item b ON a.grp = b.grp WHERE b.id > 3 AND b.id < 12", &joined);
  insert(l, 2);
  run(f, delete_and_refuse);
  f->logged = 0;
  if (iu__engine_session(f->c, NULL, &f->other, &f->err) == IU_OK) {
    listen_to(f, f->other);
    if (subscribe_to(f, f->other, "SELECT * FROM item WHERE name = 'p9a' OR grp = 2", &others) != IU_OK) others = 0;
  }
  insert(l, 4);
  read_all_ways(l, f->c);
  if (f->other != NULL) {
    read_all_ways(l, f->other);
    run_on(f, f->other, delete_and_refuse, "x", &(uint64_t){0});
    if (others != 0) f->other->vtable->unsubscribe(f->other, others, &f->err);
  }
  f->logged = 0;
  settle(f);
  if (filtered != 0) f->c->vtable->unsubscribe(f->c, filtered, &f->err);
  insert(l, 2);
  if (whole != 0) f->c->vtable->unsubscribe(f->c, whole, &f->err);
  insert(l, 1);
  if (subscribe_to(f, f->c, "SELECT * FROM item WHERE grp = 0", &filtered) == IU_OK) subscribe_to(f, f->c, "SELECT * FROM item", &whole);
  f->logged = 0;
  settle(f);
  wait_for_flush(l);
  insert(l, 1);
}

static void end(life *l) {
  fixture *f = &l->f;
  if (f->other != NULL) f->other->vtable->release(f->other);
  f->other = NULL;
  if (f->c == NULL) return;
  l->closed_well = f->c->vtable->close(f->c, &f->err) == IU_OK;
  f->c->vtable->release(f->c);
  f->c = NULL;
}

static void begin(life *l) {
  memset(l, 0, sizeof *l);
  l->f.definition = test_definition();
  assert_int_equal(iu__loop_new(NULL, &l->f.loop, &l->f.err), IU_OK);
}

static void done(life *l) {
  iu__loop_free(l->f.loop);
  iu__buf_free(&l->f.definition);
}

/* After everything: what the file says. A journal that failed keeps a prefix. */
static void check_file(life *l, const char *path) {
  if (open_engine(l, path, IU_DUR_NORMAL) != IU_OK) fail_msg("reopen: %s", l->f.err.message);
  if (!l->closed_well) {
    for (int i = 0; i < PAIRS; i++) {
      if (l->pairs[i] == THERE) l->pairs[i] = UNKNOWN;
    }
  }
  check_rows(l);
  l->next = PAIRS - 1;
  insert(l, 1); /* and it can be written */
  assert_int_equal(l->pairs[PAIRS - 1], THERE);
  l->closed_well = true;
  check_rows(l);
  end(l);
  assert_true(l->closed_well);
}

/* ---- every allocation ---- */

static void every_allocation_fails_once_in_memory(void **state) {
  life *l = malloc(sizeof *l);
  bool fired = true;
  long n;
  (void)state;
  assert_non_null(l);
  for (n = 0; fired; n++) {
    begin(l);
    iu__errinj_arm(IU_ERRINJ_ALLOC, n);
    live(l, NULL, IU_DUR_NORMAL);
    fired = iu__errinj_count(IU_ERRINJ_ALLOC) > n;
    if (!fired) assert_int_equal(l->broken, 0);
    if (fired && l->f.c != NULL) check_rows(l);
    end(l);
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    done(l);
  }
  printf("%ld allocations\n", n);
  assert_true(n > 200);
  free(l);
}

static void allocations_fail_over_a_file_and_it_opens_again(void **state) {
  life *l = malloc(sizeof *l);
  char path[SCRATCH_PATH_MAX];
  long total, n;
  (void)state;
  assert_non_null(l);
  scratch_path(path, "engine_faults");
  begin(l);
  iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
  live(l, path, IU_DUR_NORMAL);
  end(l);
  total = iu__errinj_count(IU_ERRINJ_ALLOC);
  done(l);
  assert_true(total > FILE_ROUNDS);
  for (int i = 0; i < FILE_ROUNDS; i++) {
    /* The thread of the journal counts too, so n is not the same place each time: all the better. */
    n = total * i / FILE_ROUNDS + i % 7;
    scratch_remove(path);
    begin(l);
    iu__errinj_arm(IU_ERRINJ_ALLOC, n);
    live(l, path, i % 2 == 0 ? IU_DUR_NORMAL : IU_DUR_FULL);
    end(l);
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    check_file(l, path);
    done(l);
  }
  scratch_remove(path);
  free(l);
}

/* ---- the journal fails ---- */

static void journal_fails(iu_errinj_point point, iu_durability durability) {
  life *l = malloc(sizeof *l);
  char path[SCRATCH_PATH_MAX];
  uint64_t pending = 0;
  assert_non_null(l);
  scratch_path(path, "engine_faults");
  begin(l);
  assert_int_equal(open_engine(l, path, durability), IU_OK);
  listen_to(&l->f, l->f.c);
  insert(l, 2);
  wait_for_flush(l);
  assert_int_equal(l->f.answer_status, IU_OK);
  iu__errinj_arm(point, 0);
  pair_number = l->next++;
  iu_status status = run_on(&l->f, l->f.c, insert_pair, "", &pending);
  l->pairs[2] = UNKNOWN;
  if (status != IU_OK) { /* the thread was quicker: the call itself says so */
    assert_int_equal(durability, IU_DUR_FULL);
    l->f.answer_status = status;
  } else if (durability == IU_DUR_FULL) {
    for (int i = 0; i < 1000 && l->f.answered != pending; i++) iu__loop_turn(l->f.loop, 10);
    assert_int_equal(l->f.answered, pending);
  } else {
    wait_for_flush(l);
  }
  assert_int_equal(l->f.answer_status, IU_E_STORAGE);
  iu__errinj_arm(point, -1);
  /* Reads go on, writes are refused until reopened. */
  check_rows(l);
  pair_number = l->next;
  assert_int_equal(run_on(&l->f, l->f.c, insert_pair, "", NULL), IU_E_STORAGE);
  assert_int_equal(l->f.c->vtable->close(l->f.c, &l->f.err), IU_E_STORAGE);
  l->f.c->vtable->release(l->f.c);
  l->f.c = NULL;
  l->closed_well = true; /* what was acknowledged before the failure must be there */
  check_file(l, path);
  done(l);
  scratch_remove(path);
  free(l);
}

static void a_failed_write_is_told_and_ends_writing(void **state) {
  (void)state;
  journal_fails(IU_ERRINJ_JOURNAL_WRITE, IU_DUR_FULL);
  journal_fails(IU_ERRINJ_JOURNAL_WRITE, IU_DUR_NORMAL);
}

static void a_failed_fsync_is_told_and_ends_writing(void **state) {
  (void)state;
  journal_fails(IU_ERRINJ_JOURNAL_FSYNC, IU_DUR_FULL);
  journal_fails(IU_ERRINJ_JOURNAL_FSYNC, IU_DUR_NORMAL);
}

/* ---- listeners that end things ---- */

static void close_other_on_answer(void *ud, uint64_t id, iu_status status, const iu_error *err, iu_rows *rows, const iu_typed_value *value) {
  (void)value;
  fixture *f = ud;
  iu_connection *other = f->other;
  (void)id; (void)status; (void)err;
  iu__rows_release(rows);
  f->other = NULL;
  if (other != NULL) other->vtable->release(other);
}

static void a_session_released_by_the_answer_that_closing_gives_it(void **state) {
  life *l = malloc(sizeof *l);
  char path[SCRATCH_PATH_MAX];
  uint64_t pending = 0;
  (void)state;
  assert_non_null(l);
  scratch_path(path, "engine_faults");
  begin(l);
  assert_int_equal(open_engine(l, path, IU_DUR_NORMAL), IU_OK);
  assert_int_equal(iu__engine_session(l->f.c, NULL, &l->f.other, &l->f.err), IU_OK);
  iu_listener listener = {.ud = &l->f, .answer = close_other_on_answer};
  iu__conn_listen(l->f.other, &listener);
  insert(l, 1);
  assert_int_equal(l->f.other->vtable->flush(l->f.other, &pending, &l->f.err), IU_OK);
  end(l); /* `other` is released first, unless its answer has come and done so */
  l->next = 0;
  assert_int_equal(open_engine(l, path, IU_DUR_NORMAL), IU_OK);
  assert_int_equal(iu__engine_session(l->f.c, NULL, &l->f.other, &l->f.err), IU_OK);
  iu__conn_listen(l->f.other, &listener);
  l->next = 1;
  insert(l, 1);
  assert_int_equal(l->f.other->vtable->flush(l->f.other, &pending, &l->f.err), IU_OK);
  if (pending != 0) {
    assert_int_equal(l->f.c->vtable->close(l->f.c, &l->f.err), IU_OK); /* the primary one goes: the session is answered, and released there */
    assert_null(l->f.other);
  }
  end(l);
  done(l);
  scratch_remove(path);
  free(l);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_allocation_fails_once_in_memory),
      cmocka_unit_test(allocations_fail_over_a_file_and_it_opens_again),
      cmocka_unit_test(a_failed_write_is_told_and_ends_writing),
      cmocka_unit_test(a_failed_fsync_is_told_and_ends_writing),
      cmocka_unit_test(a_session_released_by_the_answer_that_closing_gives_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
