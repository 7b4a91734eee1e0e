/* Selections: order with ties, limit and offset, the access path, and scans that may stop early. */
#include "query_fixture.h"

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

static iu_filter_spec filter(const char *field, const char *op, const char *json) {
  iu_filter_spec f = {field, strlen(field), op, strlen(op), json, strlen(json)};
  return f;
}
static void order_by(iu_selection_spec *spec, const char *field, bool descending) {
  spec->order_by = field;
  spec->order_by_len = field == NULL ? 0 : strlen(field);
  spec->descending = descending;
}

static iu_selection *select_rows(const iu_table_def *table, const iu_selection_spec *spec, iu_row **rows, size_t count) {
  iu_selection *s;
  iu_error err;
  bool done;
  if (iu__selection_new(table, spec, &s, &err) != IU_OK) fail_msg("%s", err.message);
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(iu__selection_offer(s, rows[i], &done, &err), IU_OK);
    assert_false(done); /* nothing was promised about the order of rows */
  }
  assert_int_equal(iu__selection_finish(s, &err), IU_OK);
  return s;
}

static char id_of(const iu_row *row) { return (char)row->data[4]; }

static void check_order(iu_row **rows, size_t count, const char *field, bool descending, const char *expected) {
  iu_selection_spec spec = {0};
  iu_selection *s;
  order_by(&spec, field, descending);
  for (uint64_t offset = 0; offset <= count + 1; offset++) {
    for (uint64_t limit = 0; limit <= count + 1; limit++) {
      size_t wanted = offset >= count ? 0 : limit < count - offset ? limit : count - offset;
      spec.offset = offset;
      spec.limit = limit;
      spec.has_limit = limit <= count;
      s = select_rows(entity, &spec, rows, count);
      assert_int_equal(iu__selection_matched(s), count);
      assert_int_equal(iu__selection_count(s), spec.has_limit ? wanted : offset >= count ? 0 : count - offset);
      for (uint64_t i = 0; i < iu__selection_count(s); i++) {
        if (id_of(iu__selection_row(s, i)) != expected[offset + i]) {
          fail_msg("%s, offset %d, limit %d: row %d is %c, not %c", field == NULL ? "main" : field, (int)offset, (int)limit, (int)i,
                   id_of(iu__selection_row(s, i)), expected[offset + i]);
        }
      }
      iu__selection_free(s);
    }
  }
}

static void orders_every_kind_of_value(void **state) {
  /* in the order they come in; ids a..n */
  static const entity_spec specs[] = {
    {"g", "T", 3, "b", {NULL}, 2, "{\"k\":\"b\"}"},           {"a", "T", 3, NULL, {NULL}, 2, "{\"k\":[1]}"},
    {"k", "T", 1, "a", {NULL}, -1, "{\"k\":9007199254740993}"}, {"c", "T", 2, "b", {NULL}, NAN, "{\"k\":null}"},
    {"e", "T", 2, "\xC3\xBC", {NULL}, 0.0, "{\"k\":true}"},    {"b", "T", 2, "", {NULL}, -0.0, "{}"},
    {"d", "T", 9, "B", {NULL}, INFINITY, "{\"k\":9007199254740992.0}"}, {"f", "T", 9, NULL, {NULL}, -INFINITY, "{\"k\":{\"x\":1}}"},
    {"h", "T", 1, "ba", {NULL}, 2.5, "{\"k\":\"\"}"},          {"i", "T", 1, "b", {NULL}, 2, "{\"k\":false}"},
    {"j", "T", 3, "a", {NULL}, 2, "{\"k\":99999999999999999999}"}, {"l", "T", 3, "a", {NULL}, 2, "{\"k\":\"\\u0062\"}"},
    {"m", "T", 3, "a", {NULL}, 2, "{\"k\":-99999999999999999999}"}, {"n", "T", 3, "a", {NULL}, 2, "broken"},
    {"o", "T", 3, "a", {NULL}, -NAN, "{}"},
  };
  enum { N = sizeof specs / sizeof *specs };
  iu_row *rows[N];
  (void)state;
  for (int i = 0; i < N; i++) rows[i] = entity_row(schema, &specs[i]);
  check_order(rows, N, NULL, false, "abcdefghijklmno");
  check_order(rows, N, NULL, true, "abcdefghijklmno"); /* nothing to turn round */
  check_order(rows, N, "id", true, "onmlkjihgfedcba");
  check_order(rows, N, "entity_type", true, "abcdefghijklmno");
  check_order(rows, N, "created_at", false, "hikbceagjlmnodf");
  check_order(rows, N, "created_at", true, "dfagjlmnobcehik");
  check_order(rows, N, "name", false, "afbdjklmnocgihe");
  check_order(rows, N, "name", true, "ehcgijklmnodbaf");
  check_order(rows, N, "strength", false, "fkbeagijlmnhdco"); /* -0.0 equals 0.0, NaN last */
  check_order(rows, N, "strength", true, "codhagijlmnbekf");
  check_order(rows, N, "properties.k", false, "bcnoiemdkjhglaf");
  check_order(rows, N, "properties.k", true, "afglhjkdmeibcno");
  for (int i = 0; i < N; i++) free(rows[i]);
}

/* ---- against a naive sort ---- */

typedef struct plain { int64_t value; bool has; char id[16]; iu_row *row; } plain;
static bool plain_descending;
static int compare_plain(const void *a, const void *b) {
  const plain *x = a, *y = b;
  int c = x->has != y->has ? x->has - y->has : x->has ? (x->value > y->value) - (x->value < y->value) : 0;
  if (c != 0) return plain_descending ? -c : c;
  return strcmp(x->id, y->id);
}

static void agrees_with_a_plain_sort(void **state) {
  chance c = chance_begin("orders");
  int rounds = SLOW_BUILD ? 100 : 600;
  (void)state;
  for (int round = 0; round < rounds; round++) {
    size_t count = chance_below(&c, 300);
    plain *list = calloc(count + 1, sizeof *list);
    iu_row **rows = calloc(count + 1, sizeof *rows);
    uint64_t kinds = 1 + chance_below(&c, 400), shape = chance_below(&c, 4);
    iu_selection_spec spec = {0};
    iu_selection *s;
    size_t expected;
    assert_non_null(list);
    assert_non_null(rows);
    plain_descending = chance_below(&c, 2);
    order_by(&spec, "properties.v", plain_descending);
    spec.has_limit = chance_below(&c, 4) != 0;
    spec.limit = chance_below(&c, 5) == 0 ? UINT64_MAX - chance_below(&c, 3) : chance_below(&c, count + 3);
    spec.offset = chance_below(&c, 6) == 0 ? UINT64_MAX - chance_below(&c, 3) : chance_below(&c, 2) ? 0 : chance_below(&c, count + 3);
    for (size_t i = 0; i < count; i++) {
      char properties[64];
      entity_spec e = {.id = list[i].id, .type = "T", .properties = properties};
      snprintf(list[i].id, sizeof list[i].id, "%llu-%zu", (unsigned long long)chance_below(&c, 1000), i);
      list[i].has = chance_below(&c, 8) != 0;
      list[i].value = shape == 0 ? (int64_t)i : shape == 1 ? -(int64_t)i : (int64_t)chance_below(&c, kinds);
      snprintf(properties, sizeof properties, list[i].has ? "{\"v\":%lld%s}" : "{}", (long long)list[i].value, chance_below(&c, 2) ? "" : ".0");
      rows[i] = list[i].row = entity_row(schema, &e);
    }
    s = select_rows(entity, &spec, rows, count);
    qsort(list, count, sizeof *list, compare_plain);
    expected = spec.offset >= count ? 0 : count - spec.offset;
    if (spec.has_limit && spec.limit < expected) expected = spec.limit;
    assert_int_equal(iu__selection_count(s), expected);
    assert_int_equal(iu__selection_matched(s), count);
    for (size_t i = 0; i < expected; i++) assert_ptr_equal(iu__selection_row(s, i), list[spec.offset + i].row);
    iu__selection_free(s);
    for (size_t i = 0; i < count; i++) free(rows[i]);
    free(rows);
    free(list);
  }
}

static void orders_by_the_row_without_a_key(void **state) {
  const iu_table_def *nokey = table_def(schema, "nokey");
  iu_row *rows[3];
  static const char *const texts[3] = {"b", "a", "ab"};
  iu_selection_spec spec = {0};
  iu_selection *s;
  (void)state;
  for (int i = 0; i < 3; i++) {
    iu_buf b = {0};
    put_name(&b, texts[i]);
    iu__buf_put_u64(&b, 1);
    put_name(&b, "");
    rows[i] = new_row(&b);
    iu__buf_free(&b);
  }
  order_by(&spec, "n", true);
  s = select_rows(nokey, &spec, rows, 3);
  assert_ptr_equal(iu__selection_row(s, 0), rows[1]);
  assert_ptr_equal(iu__selection_row(s, 1), rows[2]);
  assert_ptr_equal(iu__selection_row(s, 2), rows[0]);
  iu__selection_free(s);
  for (int i = 0; i < 3; i++) free(rows[i]);
}

/* ---- over a store: the plan's scan finds what a whole scan finds ---- */

static void put_all(iu_store *store, iu_row **rows, size_t count) {
  iu_table *t = iu__store_table(store, table_index(schema, "entity"));
  iu_changeset *set;
  assert_int_equal(iu__store_begin(store, NULL), IU_OK);
  for (size_t i = 0; i < count; i++) assert_int_equal(iu__tx_insert(t, rows[i]->data, rows[i]->len, NULL, NULL, NULL), IU_OK);
  assert_int_equal(iu__store_commit(store, &set, NULL), IU_OK);
  iu__changeset_release(store, set);
}

/* Runs over the store (or looks at everything), writes the ids of the result, returns the number of rows looked at. */
static size_t scan(iu_store *store, const iu_selection_spec *spec, iu_path_index *paths, bool planned, char *ids, uint64_t *matched, bool *all) {
  iu_table *t = iu__store_table(store, table_index(schema, "entity"));
  iu_selection *s;
  iu_iter *it;
  iu_error err;
  const iu_row *row;
  uint64_t looked = 0;
  bool done = false;
  *all = true;
  *ids = '\0';
  if (iu__selection_new(entity, spec, &s, &err) != IU_OK) fail_msg("%s", err.message);
  if (planned) {
    if (iu__selection_run(s, t, iu__store_epoch(store), paths, all, &looked, &err) != IU_OK) fail_msg("%s", err.message);
  } else {
    assert_int_equal(iu__table_iter(t, iu__store_epoch(store), IU_INDEX_MAIN, NULL, false, &it, &err), IU_OK);
    for (; (row = iu__iter_next(it)) != NULL; looked++) {
      assert_int_equal(iu__selection_offer(s, row, &done, &err), IU_OK);
      assert_false(done);
    }
    assert_int_equal(iu__selection_finish(s, &err), IU_OK);
    iu__iter_close(it);
  }
  for (uint64_t i = 0; i < iu__selection_count(s); i++) ids += sprintf(ids, "%.*s ", (int)iu__load_u32(iu__selection_row(s, i)->data), iu__selection_row(s, i)->data + 4);
  *matched = iu__selection_matched(s);
  iu__selection_free(s);
  return looked;
}

static void plans_lose_no_row(void **state) {
  static const char *const fields[] = {"id", "entity_type", "created_at", "name", "properties.v", "updated_at"};
  static const char *const ops[] = {"Equals", "NotEquals", "GreaterThan", "LessThan", "GreaterOrEqual", "LessOrEqual", "In", "NotIn", "StartsWith"};
  static const char *const values[] = {"\"1\"", "\"17\"", "\"A\"", "\"B\"", "5", "5.0", "5.5", "-3", "null", "\"\"", "true", "99999999999999999999", "[1]", "1e300"};
  static const char *const sets[] = {"[]", "[\"A\"]", "[\"A\",\"C\"]", "[1,5,9]", "[5.0]", "[5,\"A\"]", "[null,\"A\"]", "[\"3\",\"5\"]", "[2.5,7]", "[[],\"A\"]", "[\"\",\"B\"]", "[null]"};
  chance c = chance_begin("plans");
  enum { N = 120 };
  iu_row *rows[N];
  iu_store *store;
  size_t looked_planned = 0, looked_whole = 0;
  static const char *const starts[] = {"\"\"", "\"1\"", "\"A\"", "\"11\""};
  int rounds = SLOW_BUILD ? 1000 : 8000;
  (void)state;
  for (int i = 0; i < N; i++) {
    char id[16], properties[32];
    static const char *const types[] = {"A", "B", "C", ""};
    entity_spec e = {.id = id, .type = types[chance_below(&c, 4)], .created = (int64_t)chance_below(&c, 12) - 2, .properties = properties};
    snprintf(id, sizeof id, "%d", i);
    snprintf(properties, sizeof properties, "{\"v\":%d}", i % 10);
    rows[i] = entity_row(schema, &e);
  }
  assert_int_equal(iu__store_new(schema, &store, NULL), IU_OK);
  put_all(store, rows, N);
  for (int round = 0; round < rounds; round++) {
    iu_filter_spec list[3];
    iu_selection_spec spec = {.filter_count = (uint32_t)chance_below(&c, 4), .filters = list};
    char whole[2048] = "", planned[2048] = "";
    uint64_t matched, matched_planned;
    bool all;
    for (uint32_t i = 0; i < spec.filter_count; i++) {
      const char *op = ops[chance_below(&c, 9)];
      list[i] = filter(fields[chance_below(&c, 6)], op, strstr(op, "In") != NULL ? sets[chance_below(&c, 12)] : op[0] == 'S' ? starts[chance_below(&c, 4)] : values[chance_below(&c, 14)]);
    }
    if (chance_below(&c, 2)) order_by(&spec, fields[chance_below(&c, 6)], chance_below(&c, 2) == 0);
    spec.has_limit = chance_below(&c, 2);
    spec.limit = chance_below(&c, 20);
    spec.offset = chance_below(&c, 3) == 0 ? chance_below(&c, 10) : 0;
    looked_whole += scan(store, &spec, NULL, false, whole, &matched, &all);
    looked_planned += scan(store, &spec, NULL, true, planned, &matched_planned, &all);
    if (strcmp(planned, whole) != 0) fail_msg("round %d: %s, not %s", round, planned, whole);
    if (all) assert_int_equal(matched_planned, matched);
    else assert_true(spec.has_limit && matched_planned <= matched);
  }
  assert_true(looked_planned < looked_whole / 2);
  iu__store_free(store);
  for (int i = 0; i < N; i++) free(rows[i]);
}

/* Columns of every type, an index over three of them; of all rows the ids in order. */
static void select_all(iu_store *store, const iu_selection_spec *spec, bool planned, iu_buf *out, bool *all) {
  uint32_t number = table_index(schema, "all");
  iu_table *t = iu__store_table(store, number);
  iu_selection *s;
  iu_error err;
  *all = true;
  if (iu__selection_new(&schema->tables[number], spec, &s, &err) != IU_OK) fail_msg("%s", err.message);
  if (planned) {
    if (iu__selection_run(s, t, iu__store_epoch(store), NULL, all, NULL, &err) != IU_OK) fail_msg("%s", err.message);
  } else {
    const iu_row *row;
    iu_iter *it;
    bool done;
    assert_int_equal(iu__table_iter(t, iu__store_epoch(store), IU_INDEX_MAIN, NULL, false, &it, &err), IU_OK);
    while ((row = iu__iter_next(it)) != NULL) assert_int_equal(iu__selection_offer(s, row, &done, &err), IU_OK);
    iu__iter_close(it);
    assert_int_equal(iu__selection_finish(s, &err), IU_OK);
  }
  iu__buf_reset(out);
  if (*all) iu__buf_printf(out, "%llu of %llu: ", (unsigned long long)iu__selection_count(s), (unsigned long long)iu__selection_matched(s));
  else iu__buf_printf(out, "%llu of some: ", (unsigned long long)iu__selection_count(s));
  for (uint64_t i = 0; i < iu__selection_count(s); i++) iu__buf_printf(out, "%llu ", (unsigned long long)iu__load_u64(iu__selection_row(s, i)->data));
  iu__buf_put_u8(out, 0);
  iu__selection_free(s);
}

static void plans_lose_no_row_of_any_column(void **state) {
  static const char *const fields[] = {"id", "s", "b", "i64", "who", "at", "i32", "u8", "s2", "f64", "u256", "i8"};
  static const char *const ops[] = {"Equals", "GreaterThan", "LessThan", "GreaterOrEqual", "LessOrEqual", "In", "StartsWith", "NotEquals"};
  static const char *const values[] = {"0", "1", "2", "3", "-1", "255", "128", "127", "-128", "1.5", "-0.5", "1e19", "2147483648", "-2147483648", "18446744073709551615", "true", "false",
    "null", "\"\"", "\"a\"", "\"ab\"", "\"abc\"", "\"b\"", "\"\xC3\xBC\"", "\"\xF0\x9F\x98\x80\"", "1000000", "2000001", "9223372036854775808", "1e300",
    "\"0000000000000000000000000000000000000000000000000000000000000001\"", "\"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\"", "[1]",
    "57896044618658097711785492504343953926634992332820282019728792003956564819968"};
  enum { N = 150, VALUES = sizeof values / sizeof *values };
  chance c = chance_begin("all columns");
  const iu_table_def *def = table_def(schema, "all");
  int rounds = SLOW_BUILD ? 2000 : 15000, found = 0;
  iu_buf whole = {0}, planned = {0};
  iu_changeset *set;
  iu_store *store;
  (void)state;
  assert_int_equal(iu__store_new(schema, &store, NULL), IU_OK);
  assert_int_equal(iu__store_begin(store, NULL), IU_OK);
  for (uint64_t i = 0; i < N; i++) {
    iu_buf row = {0};
    put_random_all(&row, &c, def->row, i * 3);
    assert_int_equal(iu__tx_insert(iu__store_table(store, table_index(schema, "all")), row.data, row.len, NULL, NULL, NULL), IU_OK);
    iu__buf_free(&row);
  }
  assert_int_equal(iu__store_commit(store, &set, NULL), IU_OK);
  iu__changeset_release(store, set);
  for (int round = 0; round < rounds; round++) {
    iu_filter_spec list[4];
    iu_selection_spec spec = {.filter_count = (uint32_t)chance_below(&c, 5), .filters = list};
    char sets[4][600];
    bool all, whole_all;
    for (uint32_t i = 0; i < spec.filter_count; i++) {
      const char *op = ops[chance_below(&c, 8)];
      const char *field = chance_below(&c, 3) != 0 ? fields[6 + chance_below(&c, 3)] : fields[chance_below(&c, 12)]; /* mostly the index of three */
      snprintf(sets[i], sizeof sets[i], "%s", values[chance_below(&c, VALUES)]);
      if (op[0] == 'S') snprintf(sets[i], sizeof sets[i], "\"%s\"", chance_below(&c, 2) ? "a" : "");
      if (op[0] == 'I') {
        size_t n = 0;
        for (uint64_t left = 1 + chance_below(&c, 5); left > 0; left--) n += (size_t)snprintf(sets[i] + n, sizeof sets[i] - n, "%s%s", n == 0 ? "[" : ",", values[chance_below(&c, VALUES)]);
        snprintf(sets[i] + n, sizeof sets[i] - n, "]");
      }
      list[i] = filter(field, op, sets[i]);
    }
    if (chance_below(&c, 2)) order_by(&spec, fields[chance_below(&c, 12)], chance_below(&c, 2) == 0);
    spec.has_limit = chance_below(&c, 2);
    spec.limit = chance_below(&c, 8);
    select_all(store, &spec, false, &whole, &whole_all);
    select_all(store, &spec, true, &planned, &all);
    const char *a = (const char *)planned.data, *b = (const char *)whole.data;
    found += b[0] != '0';
    if (!all) {
      assert_true(spec.has_limit);
      a = strchr(a, ':');
      b = strchr(b, ':');
    }
    if (strcmp(a, b) != 0) {
      for (uint32_t i = 0; i < spec.filter_count; i++) print_message("%s %s %s\n", list[i].field, list[i].op, list[i].json);
      fail_msg("round %d, order %s%s: %s, not %s", round, spec.order_by != NULL ? spec.order_by : "none", spec.descending ? " descending" : "", a, b);
    }
  }
  assert_true(found > rounds / 10);
  iu__buf_free(&whole);
  iu__buf_free(&planned);
  iu__store_free(store);
}

typedef struct early { const char *field, *op, *json, *order; size_t looked; } early;

static void a_full_page_ends_a_scan_in_order(void **state) {
  static const early cases[] = {
    {NULL, NULL, NULL, NULL, 3}, {"entity_type", "Equals", "\"A\"", NULL, 3}, {"created_at", "GreaterThan", "10", "created_at", 3},
    {"properties.v", "Equals", "0", NULL, 21}, {NULL, NULL, NULL, "created_at", 3}, {"created_at", "GreaterThan", "10", NULL, 14},
    {"entity_type", "Equals", "\"A\"", "created_at", 6}, {NULL, NULL, NULL, "id", 3}, {NULL, NULL, NULL, "-created_at", 4}, {NULL, NULL, NULL, "-id", 3},
    {"entity_type", "In", "[\"A\",\"C\",5]", NULL, 6}, {"created_at", "In", "[3,4,5,70,\"x\"]", NULL, 3}, {"id", "StartsWith", "\"1\"", "id", 3},
    {"id", "StartsWith", "\"1\"", NULL, 10}, {"created_at", "GreaterThan", "45.5", NULL, 4}, {"created_at", "LessThan", "4.5", "-created_at", 4},
    {"entity_type", "Equals", "5", NULL, 0}, {"properties.v", "GreaterThan", "null", NULL, 0}, {"entity_type", "Equals", "null", NULL, 0},
    {"created_at", "In", "[7,4,90,5,6]", "-created_at", 4}, {"created_at", "In", "[]", NULL, 0},
  };
  enum { N = 50 };
  iu_row *rows[N];
  iu_store *store;
  (void)state;
  for (int i = 0; i < N; i++) {
    char id[16], properties[32];
    entity_spec e = {.id = id, .type = i % 2 ? "A" : "B", .created = i, .properties = properties};
    snprintf(id, sizeof id, "%02d", i);
    snprintf(properties, sizeof properties, "{\"v\":%d}", i % 10);
    rows[i] = entity_row(schema, &e);
  }
  assert_int_equal(iu__store_new(schema, &store, NULL), IU_OK);
  put_all(store, rows, N);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    iu_filter_spec f;
    iu_selection_spec spec = {.filter_count = cases[i].field != NULL, .filters = &f, .has_limit = true, .limit = 2, .offset = 1};
    char ids[64];
    uint64_t matched;
    size_t looked;
    if (cases[i].field != NULL) f = filter(cases[i].field, cases[i].op, cases[i].json);
    const char *order = cases[i].order;
    bool descending = order != NULL && order[0] == '-', all;
    order_by(&spec, order == NULL ? NULL : order + descending, descending);
    looked = scan(store, &spec, NULL, true, ids, &matched, &all);
    if (looked != cases[i].looked) fail_msg("case %d (%s): looked at %d rows, not %d", (int)i, ids, (int)looked, (int)cases[i].looked);
  }
  iu__store_free(store);
  for (int i = 0; i < N; i++) free(rows[i]);
}

static void a_walk_that_is_too_long_is_given_up(void **state) {
  enum { N = 200 };
  iu_row *rows[N];
  iu_store *store;
  iu_filter_spec f = filter("entity_type", "Equals", "\"A\"");
  iu_selection_spec spec = {.filter_count = 1, .filters = &f, .has_limit = true, .limit = 2};
  char ids[64];
  uint64_t matched;
  bool all;
  (void)state;
  for (int i = 0; i < N; i++) { /* those that match are the oldest */
    char id[16];
    entity_spec e = {.id = id, .type = i < N / 2 ? "A" : "B", .created = i};
    snprintf(id, sizeof id, "%03d", i);
    rows[i] = entity_row(schema, &e);
  }
  assert_int_equal(iu__store_new(schema, &store, NULL), IU_OK);
  put_all(store, rows, N);
  order_by(&spec, "created_at", true);
  assert_int_equal(scan(store, &spec, NULL, true, ids, &matched, &all), N); /* as many as the other way has, then that */
  assert_string_equal(ids, "099 098 ");
  assert_true(all);
  assert_int_equal(matched, N / 2);
  order_by(&spec, "created_at", false);
  assert_int_equal(scan(store, &spec, NULL, true, ids, &matched, &all), 2);
  assert_string_equal(ids, "000 001 ");
  iu__store_free(store);
  for (int i = 0; i < N; i++) free(rows[i]);
}

#ifdef IU_ERRINJ
static void sorting_survives_failed_allocations(void **state) {
  enum { N = 200 };
  iu_row *rows[N];
  long n = 0;
  iu_status status;
  (void)state;
  for (int i = 0; i < N; i++) {
    char id[16], properties[64];
    entity_spec e = {.id = id, .type = "T", .properties = properties};
    snprintf(id, sizeof id, "%03d", (i * 7) % N);
    snprintf(properties, sizeof properties, "{\"v\":\"\\u0061%d\"}", (i * 31) % 50);
    rows[i] = entity_row(schema, &e);
  }
  do {
    iu_selection_spec spec = {.has_limit = n % 2 == 0, .limit = 150};
    iu_selection *s;
    bool done;
    order_by(&spec, "properties.v", false);
    iu__errinj_arm(IU_ERRINJ_ALLOC, n++);
    status = iu__selection_new(entity, &spec, &s, NULL);
    for (int i = 0; i < N && status == IU_OK; i++) status = iu__selection_offer(s, rows[i], &done, NULL);
    if (status == IU_OK) status = iu__selection_finish(s, NULL);
    if (status != IU_OK) {
      assert_int_equal(status, IU_E_NOMEM);
      assert_true(s == NULL || iu__selection_count(s) == 0);
    }
    iu__selection_free(s);
    assert_true(n < 5000);
  } while (status != IU_OK);
  iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
  assert_true(n > 200);
  for (int i = 0; i < N; i++) free(rows[i]);
}
#endif

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(orders_every_kind_of_value), cmocka_unit_test(agrees_with_a_plain_sort), cmocka_unit_test(orders_by_the_row_without_a_key),
    cmocka_unit_test(plans_lose_no_row),
    cmocka_unit_test(plans_lose_no_row_of_any_column), cmocka_unit_test(a_full_page_ends_a_scan_in_order),
    cmocka_unit_test(a_walk_that_is_too_long_is_given_up),
#ifdef IU_ERRINJ
    cmocka_unit_test(sorting_survives_failed_allocations),
#endif
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
