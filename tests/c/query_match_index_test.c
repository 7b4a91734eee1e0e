/* The index from constants to queries: random queries filed and taken out, random rows; what it gives is every query that matches, once, and for queries of
 * one constant or one range nothing else. Filing without memory. */
#include "query_fixture.h"

#include "../../core/query/match_index.h"

#define QUERIES 600
#define ROUNDS (SLOW_BUILD ? 6000 : 40000)

typedef struct filed { iu_match_entry entry; iu_query *query; bool in, exact, seen; } filed;

static iu_schema *schema;
static const iu_table_def *table;
static filed *list;
static uint32_t given;

static int setup(void **state) {
  (void)state;
  schema = fixture_schema();
  table = table_def(schema, "nokey"); /* s String, n I64, data String */
  list = calloc(QUERIES, sizeof *list);
  assert_non_null(list);
  return 0;
}
static int teardown(void **state) {
  (void)state;
  for (int i = 0; i < QUERIES; i++) iu__query_free(list[i].query);
  free(list);
  iu__schema_free(schema);
  return 0;
}

static const char *some_op(chance *c) {
  static const char *const ops[] = {"<", "<=", ">", ">=", "="};
  return ops[chance_below(c, 5)];
}

static iu_query *some_query(chance *c, bool *exact) {
  char sql[200];
  long n = (long)chance_below(c, 60) - 20, s = (long)chance_below(c, 40);
  uint8_t sender[32] = {0};
  iu_query *q;
  iu_error err;
  *exact = true;
  switch (chance_below(c, 7)) {
    case 0: snprintf(sql, sizeof sql, "SELECT * FROM nokey WHERE n = %ld", n); break;
    case 1: snprintf(sql, sizeof sql, "SELECT * FROM nokey WHERE n %s %ld", some_op(c), n); break;
    case 2: snprintf(sql, sizeof sql, "SELECT * FROM nokey WHERE n >%s %ld AND n <%s %ld", chance_below(c, 2) != 0 ? "=" : "", n, chance_below(c, 2) != 0 ? "=" : "",
                     n + (long)chance_below(c, 9) - 2); break;
    case 3: snprintf(sql, sizeof sql, "SELECT * FROM nokey WHERE s %s 'k%02ld'", some_op(c), s); break;
    case 4: snprintf(sql, sizeof sql, "SELECT * FROM nokey WHERE 'k%02ld' = s AND n <> %ld AND (n < 3 OR data = 'k01')", s, n), *exact = false; break;
    case 5: snprintf(sql, sizeof sql, "SELECT * FROM nokey WHERE n > %ld AND n >= %ld AND s < 'k%02ld'", n, n + (long)chance_below(c, 3) - 1, s), *exact = false; break;
    default: snprintf(sql, sizeof sql, "SELECT * FROM nokey WHERE n = %ld OR s = 'k%02ld'", n, s), *exact = false; break;
  }
  if (iu__query_parse(schema, sql, strlen(sql), sender, true, &q, &err) != IU_OK) fail_msg("%s: %s", sql, err.message);
  return q;
}

static bool take(void *ud, iu_match_entry *e) {
  filed *f = (filed *)e; /* entry is the first member */
  (void)ud;
  assert_true(f->in && e->query == f->query);
  if (f->seen) fail_msg("a query was given twice");
  f->seen = true;
  given++;
  return true;
}

static void probe(const iu_match_index *x, chance *c, iu_buf *row, uint64_t round) {
  char s[8], data[8];
  iu__buf_reset(row);
  snprintf(s, sizeof s, "k%02d", (int)chance_below(c, 40));
  snprintf(data, sizeof data, "k%02d", (int)chance_below(c, 3));
  put_name(row, s);
  iu__buf_put_u64(row, (uint64_t)((int64_t)chance_below(c, 64) - 22));
  put_name(row, data);
  for (int i = 0; i < QUERIES; i++) list[i].seen = false;
  assert_true(iu__match_probe(x, row->data, row->len, take, NULL));
  for (int i = 0; i < QUERIES; i++) {
    bool matches = list[i].in && iu__query_matches(list[i].query, row->data, row->len);
    if (matches && !list[i].seen) fail_msg("round %llu: query %d matches and was not given", (unsigned long long)round, i);
    if (list[i].exact && list[i].seen && !matches) fail_msg("round %llu: query %d was given and cannot match", (unsigned long long)round, i);
  }
}

static void what_matches_is_given_once(void **state) {
  chance c = chance_begin("match index");
  iu_match_index x;
  iu_buf row = {0};
  uint32_t in = 0;
  (void)state;
  iu__match_init(&x, table);
  for (uint64_t round = 0; round < ROUNDS; round++) {
    filed *f = &list[chance_below(&c, QUERIES)];
    if (f->in) {
      iu__match_remove(&x, &f->entry);
      iu__match_remove(&x, &f->entry); /* again: nothing */
      iu__query_free(f->query);
      f->query = NULL;
      f->in = false;
      in--;
    } else {
      f->query = some_query(&c, &f->exact);
      assert_int_equal(iu__match_add(&x, &f->entry, f->query, 0, NULL), IU_OK);
      f->in = true;
      in++;
    }
    assert_int_equal(x.count, in);
    if (round % 4 == 0) probe(&x, &c, &row, round);
  }
  assert_true(given > ROUNDS);
  iu__match_free(&x);
  iu__buf_free(&row);
}

static bool stop(void *ud, iu_match_entry *e) {
  (void)e;
  return ++*(uint32_t *)ud < 2;
}

static void filing_without_memory_does_nothing(void **state) {
  static const char *const texts[] = {"SELECT * FROM nokey WHERE n = 1", "SELECT * FROM nokey WHERE n < 5 AND n > 0", "SELECT * FROM nokey WHERE s <> 'a'"};
  uint8_t sender[32] = {0};
  iu_buf row = {0};
  (void)state;
  put_name(&row, "x");
  iu__buf_put_u64(&row, 1);
  put_name(&row, "");
  for (int i = 0; i < 3; i++) {
    iu_query *q;
    bool failed = true;
    assert_int_equal(iu__query_parse(schema, texts[i], strlen(texts[i]), sender, true, &q, NULL), IU_OK);
    for (long n = 0; failed; n++) {
      iu_match_index x;
      iu_match_entry e = {0}, other;
      uint32_t count = 0;
      iu__match_init(&x, table);
      iu__errinj_arm(IU_ERRINJ_ALLOC, n);
      iu_status status = iu__match_add(&x, &e, q, 0, NULL);
      failed = iu__errinj_count(IU_ERRINJ_ALLOC) > n;
      iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
      assert_int_equal(status, failed ? IU_E_NOMEM : IU_OK);
      assert_int_equal(x.count, failed ? 0 : 1);
      assert_true(iu__match_probe(&x, row.data, row.len, stop, &count));
      assert_int_equal(count, failed ? 0 : 1);
      if (failed) iu__match_remove(&x, &e);
      else assert_int_equal(iu__match_add(&x, &other, q, 0, NULL), IU_OK);
      assert_int_equal(iu__match_probe(&x, row.data, row.len, stop, &count), failed); /* stopped at the second one */
      iu__match_free(&x);
    }
    iu__query_free(q);
  }
  iu__buf_free(&row);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(what_matches_is_given_once, setup, teardown),
                                     cmocka_unit_test_setup_teardown(filing_without_memory_does_nothing, setup, teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
