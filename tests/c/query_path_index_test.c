/* Indexes over paths: the bytes of values order as the values do; through transactions, undone ones too, a selection finds with them what a scan finds. */
#include "query_fixture.h"

#include "../../core/base/alloc.h"
#include "../../core/query/path_index.h"

static iu_schema *schema;
static const iu_table_def *entity;

static int setup(void **state) {
  (void)state;
  schema = fixture_schema();
  entity = table_def(schema, "entity");
  return 0;
}
static int teardown(void **state) {
  (void)state;
  iu__schema_free(schema);
  return 0;
}

static char long_text[4][2100]; /* two that differ late, one that begins them, one that fits exactly */

static const char *const scalars[] = {
  "null", "true", "false", "0", "-0", "-0.0", "0.0", "1", "1.0", "-1", "1.5", "-1.5", "9007199254740992", "9007199254740993", "9007199254740992.0", "-9007199254740993",
  "9223372036854775807", "-9223372036854775808", "9223372036854775808", "9223372036854775808.0", "-9223372036854775809", "18446744073709551616", "1e300", "-1e300",
  "99999999999999999999999", "99999999999999999999998", "-99999999999999999999999", "1e22", "5e-324", "123456789012345678901234567890123456789012", "\"\"", "\"a\"", "\"ab\"", "\"b\"",
  "\"a\\u0000\"", "\"a\\u0001\"", "\"a\\u0000b\"", "\"\\uD83D\\uDE00\"", "\"\xC3\xBC\"", "[1]", "{\"a\":2}", "[]", long_text[0], long_text[1], long_text[2], long_text[3],
};
enum { SCALARS = sizeof scalars / sizeof *scalars };

static void make_long_texts(void) {
  static const int lens[4] = {2000, 2000, 1500, 1022};
  for (int i = 0; i < 4; i++) {
    memset(long_text[i], 'q', (size_t)lens[i]);
    long_text[i][0] = '"';
    snprintf(long_text[i] + lens[i] - 1, 4, "%s\"", i == 1 ? "z" : "");
  }
}

static void bytes_order_as_values_do(void **state) {
  iu_field_scratch sa = {0}, sb = {0};
  iu_buf a = {0}, b = {0};
  (void)state;
  make_long_texts();
  for (int i = 0; i < SCALARS; i++) {
    for (int j = 0; j < SCALARS; j++) {
      iu_fv x, y;
      bool cut_a, cut_b;
      assert_int_equal(iu__fv_from_json_text(scalars[i], strlen(scalars[i]), &sa, &x, NULL), IU_OK);
      assert_int_equal(iu__fv_from_json_text(scalars[j], strlen(scalars[j]), &sb, &y, NULL), IU_OK);
      assert_int_equal(iu__value_bytes(&x, &a, &cut_a, NULL), IU_OK);
      assert_int_equal(iu__value_bytes(&y, &b, &cut_b, NULL), IU_OK);
      assert_true(a.len <= IU_VALUE_BYTES_MAX && a.len > 0);
      int wanted = iu__fv_rank_compare(&x, &y), got = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
      if (got == 0 && a.len != b.len) fail_msg("%.40s begins %.40s", scalars[i], scalars[j]);
      if (cut_a && cut_b && got == 0) continue; /* what tells them apart is not kept */
      if ((wanted > 0) - (wanted < 0) != (got > 0) - (got < 0)) fail_msg("%.40s and %.40s: %d, not %d", scalars[i], scalars[j], got, wanted);
    }
  }
  iu__buf_free(&a);
  iu__buf_free(&b);
  iu__field_scratch_free(&sa);
  iu__field_scratch_free(&sb);
}

/* ---- against a scan ---- */

enum { FIELDS = 4, OPS = 11 };
static const char *const fields[FIELDS] = {"properties.v", "strength", "name", "updated_at"};
static const char *const ops[OPS] = {"Equals", "NotEquals", "GreaterThan", "LessThan", "GreaterOrEqual", "LessOrEqual", "Contains", "StartsWith", "EndsWith", "In", "NotIn"};

typedef struct world { iu_store *store; iu_table *table; iu_path_index *paths; chance c; } world;

static void random_row(world *w, iu_buf *out) {
  static const char *const names[] = {NULL, "a", "ab", "b", "", "A"};
  char id[16], *properties = NULL;
  const char *value = scalars[chance_below(&w->c, SCALARS)];
  entity_spec e = {.id = id, .type = chance_below(&w->c, 2) ? "A" : "B", .created = (int64_t)chance_below(&w->c, 6), .name = names[chance_below(&w->c, 6)],
                   .strength = random_double(&w->c)};
  snprintf(id, sizeof id, "%d", (int)chance_below(&w->c, 150));
  switch (chance_below(&w->c, 8)) {
    case 0: assert_true(asprintf(&properties, "{}") > 0); break;
    case 1: assert_true(asprintf(&properties, "broken") > 0); break;
    case 2:
    case 3: assert_true(asprintf(&properties, "{\"v\":%s}", value) > 0); break;
    default: assert_true(asprintf(&properties, "{\"w\":[1],\"v\":%d}", (int)chance_below(&w->c, 8)) > 0); break;
  }
  e.properties = properties;
  put_entity(out, &e);
  free(properties);
}

/* Some writes, of one transaction; every fourth is undone. With what the indexes are told. */
static void transact(world *w) {
  iu_changeset *set = NULL;
  assert_int_equal(iu__store_begin(w->store, NULL), IU_OK);
  for (uint64_t n = chance_below(&w->c, 6); n > 0; n--) {
    iu_buf row = {0};
    iu_slice key;
    random_row(w, &row);
    key = iu__bsatn_column(entity->row, 0, row.data, row.len);
    const iu_row *there = iu__table_get(w->table, IU_EPOCH_LATEST, key.p, key.len);
    if (there == NULL) assert_int_equal(iu__tx_insert(w->table, row.data, row.len, NULL, NULL, NULL), IU_OK);
    else if (chance_below(&w->c, 3) == 0) assert_int_equal(iu__tx_delete(w->table, there, NULL), IU_OK);
    else assert_int_equal(iu__tx_update(w->table, there, row.data, row.len, NULL, NULL), IU_OK);
    iu__buf_free(&row);
  }
  if (chance_below(&w->c, 4) == 0) {
    iu__store_abort(w->store);
    return;
  }
  assert_int_equal(iu__store_commit(w->store, &set, NULL), IU_OK);
  for (uint32_t i = 0; set != NULL && i < set->count; i++) {
    for (iu_path_index *x = w->paths; x != NULL; x = x->next) {
      iu_error err;
      if (iu__path_index_apply(x, &set->changes[i], &err) != IU_OK) fail_msg("%s", err.message);
    }
  }
  iu__changeset_release(w->store, set);
}

static void check_counts(const world *w) {
  for (const iu_path_index *x = w->paths; x != NULL; x = x->next) {
    assert_int_equal(iu__value_index_count(x->values), iu__table_count(w->table, IU_EPOCH_LATEST));
  }
}

static void random_filter(world *w, iu_filter_spec *f, char *room, size_t size) {
  const char *field = fields[chance_below(&w->c, FIELDS)], *op = ops[chance_below(&w->c, OPS)];
  if (strstr(op, "With") != NULL) {
    static const char *const starts[] = {"\"\"", "\"a\"", "\"qqq\"", "\"a\\u0000\"", "\"\\uD83D\""};
    snprintf(room, size, "%s", chance_below(&w->c, 8) == 0 ? long_text[chance_below(&w->c, 4)] : starts[chance_below(&w->c, 4)]);
  } else if (strstr(op, "In") != NULL) {
    size_t n = (size_t)snprintf(room, size, "[");
    for (uint64_t left = chance_below(&w->c, 5); left > 0; left--) n += (size_t)snprintf(room + n, size - n, "%s%s", n > 1 ? "," : "", scalars[chance_below(&w->c, SCALARS)]);
    snprintf(room + n, size - n, "]");
  } else if (chance_below(&w->c, 2)) {
    snprintf(room, size, "%d", (int)chance_below(&w->c, 8));
  } else {
    snprintf(room, size, "%s", scalars[chance_below(&w->c, SCALARS)]);
  }
  *f = (iu_filter_spec){field, strlen(field), op, strlen(op), room, strlen(room)};
}

static char *answer(const iu_selection *s) {
  iu_buf out = {0};
  for (uint64_t i = 0; i < iu__selection_count(s); i++) {
    const iu_row *row = iu__selection_row(s, i);
    iu__buf_printf(&out, "%.*s ", (int)iu__load_u32(row->data), row->data + 4);
  }
  iu__buf_put_u8(&out, 0);
  return (char *)out.data;
}

static uint64_t compare_once(world *w, int round) {
  static char room[2][10000];
  iu_filter_spec list[2];
  iu_selection_spec spec = {.filter_count = (uint32_t)chance_below(&w->c, 3), .filters = list};
  iu_selection *planned, *whole;
  iu_error err;
  uint64_t looked;
  bool all, done;
  const iu_row *row;
  iu_iter *it;
  for (uint32_t i = 0; i < spec.filter_count; i++) random_filter(w, &list[i], room[i], sizeof room[i]);
  if (chance_below(&w->c, 2)) {
    spec.order_by = fields[chance_below(&w->c, FIELDS)];
    spec.order_by_len = strlen(spec.order_by);
    spec.descending = chance_below(&w->c, 2);
  }
  spec.has_limit = chance_below(&w->c, 3) != 0;
  spec.limit = chance_below(&w->c, 12);
  spec.offset = chance_below(&w->c, 3) == 0 ? chance_below(&w->c, 6) : 0;
  if (iu__selection_new(entity, &spec, &planned, &err) != IU_OK) fail_msg("%s", err.message);
  assert_int_equal(iu__selection_new(entity, &spec, &whole, NULL), IU_OK);
  if (iu__selection_run(planned, w->table, iu__store_epoch(w->store), w->paths, &all, &looked, &err) != IU_OK) fail_msg("%s", err.message);
  assert_int_equal(iu__table_iter(w->table, iu__store_epoch(w->store), IU_INDEX_MAIN, NULL, false, &it, NULL), IU_OK);
  while ((row = iu__iter_next(it)) != NULL) assert_int_equal(iu__selection_offer(whole, row, &done, NULL), IU_OK);
  iu__iter_close(it);
  assert_int_equal(iu__selection_finish(whole, NULL), IU_OK);
  char *a = answer(planned), *b = answer(whole);
  if (strcmp(a, b) != 0) {
    for (uint32_t i = 0; i < spec.filter_count; i++) print_message("%s %s %.60s\n", list[i].field, list[i].op, list[i].json);
    fail_msg("round %d, order %s%s: %s, not %s", round, spec.order_by != NULL ? spec.order_by : "none", spec.descending ? " descending" : "", a, b);
  }
  if (all) assert_int_equal(iu__selection_matched(planned), iu__selection_matched(whole));
  iu__free(a);
  iu__free(b);
  iu__selection_free(planned);
  iu__selection_free(whole);
  return looked;
}

static iu_path_index *add_index(world *w, const char *path) {
  iu_path_index *x;
  iu_error err;
  if (iu__path_index_new(w->table, iu__store_epoch(w->store), path, strlen(path), &x, &err) != IU_OK) fail_msg("%s", err.message);
  x->next = w->paths;
  w->paths = x;
  return x;
}

static void drop_all(world *w) {
  while (w->paths != NULL) {
    iu_path_index *x = w->paths;
    w->paths = x->next;
    iu__path_index_free(x);
  }
}

static void finds_what_a_scan_finds(void **state) {
  world w = {.c = chance_begin("paths")};
  int rounds = SLOW_BUILD ? 3000 : 20000;
  uint64_t looked = 0, whole = 0;
  (void)state;
  make_long_texts();
  assert_int_equal(iu__store_new(schema, &w.store, NULL), IU_OK);
  w.table = iu__store_table(w.store, table_index(schema, "entity"));
  for (int i = 0; i < 60; i++) transact(&w);
  for (int round = 0; round < rounds; round++) {
    if (round % 2000 == 0) { /* made from what is there, sometimes over fewer fields */
      drop_all(&w);
      add_index(&w, round % 4000 == 0 ? "metadata.properties.v" : "properties.v");
      for (int i = 1; i < FIELDS; i++)
        if (chance_below(&w.c, 3) != 0) add_index(&w, fields[i]);
    }
    transact(&w);
    looked += compare_once(&w, round);
    whole += iu__table_count(w.table, IU_EPOCH_LATEST);
    if (round % 100 == 0) check_counts(&w);
  }
  assert_true(looked < whole / 4 * 3); /* a third to three fifths: which fields have an index is chance, too */
  drop_all(&w);
  iu__store_free(w.store);
}

static void says_what_cannot_be_indexed(void **state) {
  static const char *const cases[][2] = {
    {"tags", "arrays"}, {"properties", "name a path"}, {"id", "already"}, {"entity_type", "already"}, {"nothing", "no field"}, {"metadata", "record"}, {"", "empty"},
  };
  world w = {0};
  (void)state;
  assert_int_equal(iu__store_new(schema, &w.store, NULL), IU_OK);
  w.table = iu__store_table(w.store, table_index(schema, "entity"));
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    iu_path_index *x;
    iu_error err;
    assert_int_equal(iu__path_index_new(w.table, 0, cases[i][0], strlen(cases[i][0]), &x, &err), IU_E_VALIDATION);
    if (strstr(err.message, cases[i][1]) == NULL) fail_msg("%s: %s", cases[i][0], err.message);
  }
  iu__store_free(w.store);
}

#ifdef IU_ERRINJ
/* Whatever allocation fails, an index that says it is whole is, and one that is not gives its memory back. */
static void survives_failed_allocations(void **state) {
  world w = {.c = chance_begin("path faults")};
  int broken = 0;
  (void)state;
  make_long_texts();
  assert_int_equal(iu__store_new(schema, &w.store, NULL), IU_OK);
  w.table = iu__store_table(w.store, table_index(schema, "entity"));
  for (int i = 0; i < 60; i++) transact(&w);
  for (long n = 0; n < 2000; n++) {
    iu_path_index *x;
    iu_error err;
    iu__errinj_arm(IU_ERRINJ_ALLOC, n);
    iu_status status = iu__path_index_new(w.table, iu__store_epoch(w.store), "properties.v", 12, &x, &err);
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    if (status == IU_OK) {
      iu__path_index_free(x);
      assert_true(n > 20);
      break;
    }
    assert_int_equal(status, IU_E_NOMEM);
    assert_null(x);
  }
  for (int round = 0; round < 400; round++) {
    iu_changeset *set = NULL;
    iu_buf row = {0};
    iu_path_index *x = w.paths != NULL ? w.paths : add_index(&w, "properties.v");
    random_row(&w, &row);
    iu_slice key = iu__bsatn_column(entity->row, 0, row.data, row.len);
    const iu_row *there = iu__table_get(w.table, IU_EPOCH_LATEST, key.p, key.len);
    assert_int_equal(iu__store_begin(w.store, NULL), IU_OK);
    if (there != NULL) assert_int_equal(iu__tx_update(w.table, there, row.data, row.len, NULL, NULL), IU_OK);
    else assert_int_equal(iu__tx_insert(w.table, row.data, row.len, NULL, NULL, NULL), IU_OK);
    assert_int_equal(iu__store_commit(w.store, &set, NULL), IU_OK);
    iu__errinj_arm(IU_ERRINJ_ALLOC, (long)chance_below(&w.c, 4));
    iu_status status = set == NULL ? IU_OK : iu__path_index_apply(x, &set->changes[0], NULL);
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    assert_int_equal(x->broken, status != IU_OK);
    if (status != IU_OK) {
      iu__path_index_empty(x);
      assert_int_equal(iu__value_index_count(x->values), 0);
      broken++;
    }
    iu__changeset_release(w.store, set);
    iu__buf_free(&row);
    compare_once(&w, round); /* a broken one is passed over */
    if (x->broken) drop_all(&w);
    else check_counts(&w);
  }
  assert_true(broken > 10);
  drop_all(&w);
  iu__store_free(w.store);
}
#endif

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(bytes_order_as_values_do),
    cmocka_unit_test(finds_what_a_scan_finds),
    cmocka_unit_test(says_what_cannot_be_indexed),
#ifdef IU_ERRINJ
    cmocka_unit_test(survives_failed_allocations),
#endif
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
