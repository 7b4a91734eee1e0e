/* Joins and results of their own: what is accepted, how refusals are worded, and random joins against two nested loops. */
#include "../../core/query/scalar.h"
#include "../../core/rows.h"
#include "query_fixture.h"

#define ROWS 60

static iu_schema *schema;
static iu_store *store;
static const iu_row *rows[ROWS];
static const uint8_t sender[32] = {0xef, 0xbe, 1};

static int setup(void **state) {
  chance c = chance_begin("rows to join");
  iu_changeset *set;
  (void)state;
  schema = fixture_schema();
  assert_int_equal(iu__store_new(schema, &store, NULL), IU_OK);
  assert_int_equal(iu__store_begin(store, NULL), IU_OK);
  for (uint64_t id = 0; id < ROWS; id++) {
    iu_buf b = {0};
    put_random_all(&b, &c, table_def(schema, "all")->row, id);
    assert_int_equal(iu__tx_insert(iu__store_table(store, table_index(schema, "all")), b.data, b.len, &rows[id], NULL, NULL), IU_OK);
    iu__buf_free(&b);
  }
  assert_int_equal(iu__store_commit(store, &set, NULL), IU_OK);
  iu__changeset_release(store, set);
  return 0;
}
static int teardown(void **state) {
  (void)state;
  iu__store_free(store);
  iu__schema_free(schema);
  return 0;
}

static iu_query *parse(iu_query_use use, const char *text) {
  iu_query *q = NULL;
  iu_error err;
  if (iu__query_parse_for(use, schema, text, strlen(text), sender, false, &q, &err) != IU_OK) fail_msg("%s\n%s", text, err.message);
  return q;
}

/* ---- the grammar ---- */

static void accepts_joins_and_results(void **state) {
  static const char *const live[] = {
    "SELECT * FROM all", "SELECT all.* FROM all JOIN entity ON all.s = entity.id", "select e.* from all a inner join entity as e on e.id = a.s where a.b and e.id <> 'x';",
    "SELECT x.* FROM all x JOIN all y ON x.s2 = y.s WHERE x.id < y.id OR y.b", "SELECT x.* FROM all x JOIN all y ON y.f64 = x.f64b",
  };
  static const char *const once[] = {
    "SELECT x.* FROM all x JOIN all y ON x.bytes = y.bytes2", "SELECT id, s AS text, b FROM all WHERE id > 3 LIMIT 10", "SELECT all.id i FROM all",
    "SELECT COUNT(*) AS n FROM all", "select count ( * ) n from all where b limit 1;", "SELECT x.id, y.id AS other FROM all x JOIN all y ON x.i32 = y.i32b LIMIT 0",
    "SELECT COUNT(*) AS n FROM all x JOIN entity e ON x.s = e.id", "SELECT * FROM all LIMIT 5",
  };
  (void)state;
  for (size_t i = 0; i < sizeof live / sizeof *live; i++) iu__query_free(parse(IU_QUERY_LIVE, live[i]));
  for (size_t i = 0; i < sizeof once / sizeof *once; i++) iu__query_free(parse(IU_QUERY_ONCE, once[i]));
}

typedef struct refusal { iu_query_use use; const char *text, *message; } refusal;

static void refuses_by_name_and_place(void **state) {
  static const refusal list[] = {
    {IU_QUERY_LIVE, "SELECT * FROM all a JOIN entity e ON a.s = e.id", "a join selects the rows of one table, write its name and .* instead of *, at column 8"},
    {IU_QUERY_LIVE, "SELECT a.* FROM all a JOIN all b ON a.s = b.s2",
     "subscriptions need an index on the join column of the second table, `all`.`s2` has none, at column 37"},
    {IU_QUERY_LIVE, "SELECT a.* FROM all a, entity e", "tables are joined by JOIN and ON, not by a comma, at column 22"},
    {IU_QUERY_LIVE, "SELECT a.* FROM all a LEFT JOIN entity e ON a.s = e.id", "only inner joins are supported at column 23"},
    {IU_QUERY_LIVE, "SELECT a.* FROM all a JOIN entity e ON a.s = e.id AND e.id = 'x'",
     "ON holds one comparison, further conditions go behind WHERE, at column 51"},
    {IU_QUERY_LIVE, "SELECT a.* FROM all a JOIN entity e ON a.s = e.id JOIN all b ON b.s = e.id",
     "a query joins two tables at most, and before WHERE, at column 51"},
    {IU_QUERY_LIVE, "SELECT a.* FROM all a JOIN all a ON a.s = a.s", "both tables are called `a`, give one of them an alias, at column 23"},
    {IU_QUERY_LIVE, "SELECT a.* FROM all a JOIN entity e ON a.s = a.s2", "ON compares a column of each table, here both are of one, at column 40"},
    {IU_QUERY_LIVE, "SELECT a.* FROM all a JOIN entity e ON a.id = e.id", "columns `id` (`U64`) and `id` (`String`) have different types at column 49"},
    {IU_QUERY_LIVE, "SELECT a.* FROM all a JOIN entity e ON a.s < e.id", "expected = behind the first column of ON, got `<` at column 44"},
    {IU_QUERY_LIVE, "SELECT a.* FROM all a JOIN entity e", "expected ON, got the end at column 36"},
    {IU_QUERY_LIVE, "SELECT a.* FROM all a JOIN entity e ON a.s = e.id WHERE b",
     "column `b` needs its table's name in front, since there are two tables, at column 57"},
    {IU_QUERY_LIVE, "SELECT z.* FROM all a JOIN entity e ON a.s = e.id", "`z` is not in scope, the tables are called `a` and `e` here, at column 8"},
    {IU_QUERY_LIVE, "SELECT a.* FROM all a JOIN entity e ON a.s = e.idd", "table `entity` has no column `idd`, did you mean `id`? at column 48"},
    {IU_QUERY_LIVE, "SELECT a.* FROM all a JOIN entitie e ON a.s = e.id", "no such table: `entitie`, did you mean `entity`? at column 28"},
    {IU_QUERY_LIVE, "SELECT id FROM all", "column lists are not supported, select * instead of `id` at column 8"},
    {IU_QUERY_LIVE, "SELECT * FROM all LIMIT 1", "LIMIT is not supported at column 19"},
    {IU_QUERY_ONCE, "SELECT COUNT(*) FROM all", "COUNT(*) needs a name, such as COUNT(*) AS n, at column 17"},
    {IU_QUERY_ONCE, "SELECT COUNT(id) AS n FROM all", "COUNT counts rows, write COUNT(*), at column 14"},
    {IU_QUERY_ONCE, "SELECT COUNT(*) AS n, id FROM all", "COUNT(*) stands alone, there are no groups, at column 21"},
    {IU_QUERY_ONCE, "SELECT id, * FROM all", "columns and * do not mix at column 12"},
    {IU_QUERY_ONCE, "SELECT *, id FROM all", "columns and * do not mix at column 9"},
    {IU_QUERY_ONCE, "SELECT id, s AS id FROM all", "two columns are called `id`, name one of them with AS, at column 17"},
    {IU_QUERY_ONCE, "SELECT idd FROM all", "table `all` has no column `idd`, did you mean `id`? at column 8"},
    {IU_QUERY_ONCE, "SELECT meta.x FROM all", "`meta` is not in scope, fields inside a column cannot be compared, at column 8"},
    {IU_QUERY_ONCE, "SELECT sum(id) FROM all", "functions such as `sum` are not supported, there is COUNT(*) alone, at column 8"},
    {IU_QUERY_ONCE, "SELECT * FROM all LIMIT -1", "expected a number of rows behind LIMIT, got `-` at column 25"},
    {IU_QUERY_ONCE, "SELECT * FROM all LIMIT 1.5", "expected a number of rows behind LIMIT, got `1.5` at column 25"},
    {IU_QUERY_ONCE, "SELECT * FROM all ORDER BY id", "ORDER BY is not supported at column 19"},
    {IU_QUERY_TABLE, "SELECT a.* FROM all a JOIN entity e ON a.s = e.id", "joins are not supported here at column 23"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
    iu_query *q = NULL;
    iu_error err;
    iu_status status = iu__query_parse_for(list[i].use, schema, list[i].text, strlen(list[i].text), sender, false, &q, &err);
    if (status != IU_E_VALIDATION || q != NULL) fail_msg("%s\n  was accepted", list[i].text);
    if (strcmp(err.message, list[i].message) != 0) fail_msg("%s\n  says   %s\n  wanted %s", list[i].text, err.message, list[i].message);
  }
}

/* ---- random joins ---- */

static const uint16_t joinable[][2] = {{A_S, A_S2}, {A_S, A_S}, {A_I32, A_I32B}, {A_U64, A_ID}, {A_F64, A_F64B}, {A_BYTES, A_BYTES2}, {A_B, A_B2}, {A_I8, A_I8},
                                       {A_I256, A_I256B}, {A_WHO, A_WHO}, {A_F32, A_F32}};

typedef struct condition { int kind; uint32_t a, b; uint8_t op; uint64_t number; int side; } condition;
typedef struct random_join { uint32_t on[2]; condition list[3]; uint32_t count; bool any; bool other_selected; } random_join;

static const struct { const char *text; uint8_t op; } ops[] = {
  {"=", IU_CMP_EQ}, {"<>", IU_CMP_NE}, {"<", IU_CMP_LT}, {"<=", IU_CMP_LE}, {">", IU_CMP_GT}, {">=", IU_CMP_GE}};

static iu_slice column_of(uint32_t column, const iu_row *row) { return iu__bsatn_column(table_def(schema, "all")->row, column, row->data, row->len); }
static const char *column_name(uint32_t column) { return table_def(schema, "all")->row->u.fields[column].name; }
static bool holds(uint32_t column, uint8_t op, iu_slice a, iu_slice b) {
  iu_scalar s = iu__scalar_of(iu__type_deref(table_def(schema, "all")->row->u.fields[column].type));
  return iu__cmp_accepts(op, iu__scalar_compare(s, a, b));
}

static void write_condition(chance *c, condition *k, iu_buf *sql) {
  size_t op = (size_t)chance_below(c, 6);
  k->kind = (int)chance_below(c, 3);
  k->op = ops[op].op;
  k->side = (int)chance_below(c, 2);
  if (k->kind == 0) { /* a number against the id of one side */
    k->number = chance_below(c, ROWS);
    iu__buf_printf(sql, "%s.id %s %llu", k->side == 0 ? "x" : "y", ops[op].text, (unsigned long long)k->number);
  } else if (k->kind == 1) { /* columns across */
    const uint16_t *pair = joinable[chance_below(c, sizeof joinable / sizeof *joinable)];
    k->a = pair[0];
    k->b = pair[1];
    iu__buf_printf(sql, "x.%s %s y.%s", column_name(k->a), ops[op].text, column_name(k->b));
  } else {
    iu__buf_printf(sql, "%s.b", k->side == 0 ? "x" : "y");
  }
}

static bool condition_holds(const condition *k, const iu_row *x, const iu_row *y) {
  const iu_row *one = k->side == 0 ? x : y;
  uint8_t number[8];
  for (int i = 0; i < 8; i++) number[i] = (uint8_t)(k->number >> (8 * i));
  if (k->kind == 0) return holds(A_ID, k->op, column_of(A_ID, one), (iu_slice){number, 8});
  if (k->kind == 1) return holds(k->a, k->op, column_of(k->a, x), column_of(k->b, y));
  return column_of(A_B, one).p[0] == 1;
}

static bool pair_holds(const random_join *j, const iu_row *x, const iu_row *y) {
  bool where = j->count == 0 || !j->any;
  if (!holds(j->on[0], IU_CMP_EQ, column_of(j->on[0], x), column_of(j->on[1], y))) return false;
  for (uint32_t i = 0; i < j->count; i++) {
    bool one = condition_holds(&j->list[i], x, y);
    where = j->any ? where || one : where && one;
  }
  return where;
}

typedef struct tally { uint32_t times[ROWS]; uint64_t pairs; } tally;
static bool count_row(void *ud, const iu_row *row) {
  tally *t = ud;
  t->times[iu__load_u64(row->data)]++;
  t->pairs++;
  return true;
}

static void check_parts(const iu_query *q, const random_join *j, const iu_row *x, const iu_row *y, bool wanted) {
  const iu_row *selected = j->other_selected ? y : x, *other = j->other_selected ? x : y;
  uint8_t room[2][8];
  iu_slice a = iu__query_join_key(q, 0, selected->data, selected->len, room[0]), b = iu__query_join_key(q, 1, other->data, other->len, room[1]);
  bool same = a.len == b.len && memcmp(a.p, b.p, a.len) == 0;
  assert_int_equal(iu__query_pair_matches(q, selected, other), wanted);
  assert_int_equal(same, holds(j->on[0], IU_CMP_EQ, column_of(j->on[0], x), column_of(j->on[1], y)));
  if (wanted) assert_true(iu__query_side_may(q, 0, selected->data, selected->len) && iu__query_side_may(q, 1, other->data, other->len));
  for (int side = 0; side < 2 && wanted; side++) {
    uint32_t count;
    const iu_query_term *terms = iu__query_terms(q, side, &count);
    const iu_row *row = side == 0 ? selected : other;
    for (uint32_t i = 0; i < count; i++) assert_true(holds(terms[i].column, terms[i].op, column_of(terms[i].column, row), terms[i].literal));
  }
}

static void check_random(chance *c) {
  const uint16_t *on = joinable[chance_below(c, sizeof joinable / sizeof *joinable)];
  random_join j = {.other_selected = chance_below(c, 2) != 0, .count = (uint32_t)chance_below(c, 4), .any = chance_below(c, 2) != 0};
  bool turned = chance_below(c, 2) != 0;
  iu_buf sql = {0};
  tally wanted = {0}, got = {0};
  j.on[0] = on[turned];
  j.on[1] = on[!turned];
  iu__buf_printf(&sql, "SELECT %s.* FROM all x JOIN all AS y ON ", j.other_selected ? "y" : "x");
  if (chance_below(c, 2)) iu__buf_printf(&sql, "x.%s = y.%s", column_name(j.on[0]), column_name(j.on[1]));
  else iu__buf_printf(&sql, "y.%s = x.%s", column_name(j.on[1]), column_name(j.on[0]));
  for (uint32_t i = 0; i < j.count; i++) {
    iu__buf_put_str(&sql, i == 0 ? " WHERE " : j.any ? " OR " : " AND ");
    write_condition(c, &j.list[i], &sql);
  }
  iu__buf_put_u8(&sql, 0);
  iu_query *q = parse(IU_QUERY_ONCE, (const char *)sql.data);
  for (uint32_t x = 0; x < ROWS; x++) {
    for (uint32_t y = 0; y < ROWS; y++) {
      bool match = pair_holds(&j, rows[x], rows[y]);
      check_parts(q, &j, rows[x], rows[y], match);
      if (match) count_row(&wanted, j.other_selected ? rows[y] : rows[x]);
    }
  }
  assert_int_equal(iu__query_run(q, store, iu__store_epoch(store), count_row, &got, NULL), IU_OK);
  if (memcmp(&wanted, &got, sizeof got) != 0) fail_msg("%llu pairs, not %llu: %s", (unsigned long long)got.pairs, (unsigned long long)wanted.pairs, sql.data);
  iu__query_free(q);
  iu__buf_free(&sql);
}

static void joins_agree_with_nested_loops(void **state) {
  chance c = chance_begin("random joins");
  (void)state;
  for (int i = 0; i < (SLOW_BUILD ? 100 : 600); i++) check_random(&c);
}

/* ---- results ---- */

static iu_rows *once(const char *sql) {
  iu_query *q = parse(IU_QUERY_ONCE, sql);
  iu_rows *out = NULL;
  iu_error err;
  if (iu__rows_query(store, iu__store_epoch(store), q, &out, &err) != IU_OK) fail_msg("%s: %s", sql, err.message);
  iu__query_free(q); /* results outlive their query */
  return out;
}

static void results_have_rows_of_their_own(void **state) {
  (void)state;
  iu_rows *r = once("SELECT s AS text, id FROM all WHERE id >= 10 LIMIT 7");
  assert_int_equal(r->count, 7);
  assert_int_equal(r->table->row->count, 2);
  assert_string_equal(r->table->row->u.fields[0].name, "text");
  assert_int_equal(r->table->primary_key, 1);
  for (uint64_t i = 0; i < r->count; i++) {
    iu_slice s = iu__bsatn_column(r->table->row, 0, r->rows[i]->data, r->rows[i]->len), id = iu__bsatn_column(r->table->row, 1, r->rows[i]->data, r->rows[i]->len);
    iu_slice whole = column_of(A_S, rows[iu__load_u64(id.p)]);
    assert_int_equal(iu__bsatn_check_all(r->table->row, r->rows[i]->data, r->rows[i]->len, NULL), IU_OK);
    assert_true(s.len == whole.len && memcmp(s.p, whole.p, s.len) == 0);
  }
  iu__rows_release(r);
  r = once("SELECT COUNT(*) AS n FROM all WHERE id < 25");
  assert_int_equal(r->count, 1);
  assert_int_equal(iu__load_u64(r->rows[0]->data), 25);
  iu__rows_release(r);
  r = once("SELECT COUNT(*) AS n FROM all x JOIN all y ON x.id = y.id");
  assert_int_equal(iu__load_u64(r->rows[0]->data), ROWS);
  iu__rows_release(r);
  r = once("SELECT x.id AS a, y.id AS b FROM all x JOIN all y ON x.id = y.id WHERE x.id > 57");
  assert_int_equal(r->count, 2);
  assert_int_equal(r->table->primary_key, -1);
  assert_int_equal(iu__load_u64(r->rows[0]->data), iu__load_u64(r->rows[0]->data + 8));
  iu__rows_release(r);
  r = once("SELECT * FROM all LIMIT 3");
  assert_int_equal(r->count, 3);
  iu__rows_release(r);
  r = once("SELECT * FROM all LIMIT 0");
  assert_int_equal(r->count, 0);
  iu__rows_release(r);
  r = once("SELECT COUNT(*) AS n FROM all LIMIT 0");
  assert_int_equal(r->count, 0);
  iu__rows_release(r);
}

static void survives_every_failed_allocation(void **state) {
  static const char *const texts[] = {"SELECT x.* FROM all x JOIN all y ON x.bytes = y.bytes2 WHERE x.id < 30 AND y.b", "SELECT s, id AS i FROM all LIMIT 20",
                                      "SELECT COUNT(*) AS n FROM all x JOIN all y ON x.s = y.s2", "SELECT x.* FROM all x JOIN all y ON x.s2 = y.s LIMIT 30"};
  (void)state;
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    bool done = false;
    for (int at = 0; !done; at++) {
      iu_query *q = NULL;
      iu_rows *out = NULL;
      iu_error err;
      iu__errinj_arm(IU_ERRINJ_ALLOC, at);
      iu_status status = iu__query_parse_for(IU_QUERY_ONCE, schema, texts[i], strlen(texts[i]), sender, false, &q, &err);
      if (status == IU_OK) status = iu__rows_query(store, iu__store_epoch(store), q, &out, &err);
      done = status == IU_OK;
      iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
      if (!done) assert_int_equal(status, IU_E_NOMEM);
      iu__rows_release(out);
      iu__query_free(q);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(accepts_joins_and_results),    cmocka_unit_test(refuses_by_name_and_place), cmocka_unit_test(joins_agree_with_nested_loops),
    cmocka_unit_test(results_have_rows_of_their_own), cmocka_unit_test(survives_every_failed_allocation),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
