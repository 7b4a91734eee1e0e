/* Random predicates: matching rows and running over a store against a naive evaluator; the plans that are chosen. */
#include <time.h>

#include "query_fixture.h"

static iu_schema *schema;
static const iu_type *row_type;
static uint8_t sender[32];

static int setup(void **state) {
  (void)state;
  schema = fixture_schema();
  row_type = table_def(schema, "all")->row;
  memset(sender, 0xff, sizeof sender);
  sender[0] = 0xfe;
  return 0;
}
static int teardown(void **state) {
  (void)state;
  iu__schema_free(schema);
  return 0;
}

/* ---- a naive evaluator ---- */

static const char *const op_names[6] = {"<", "<=", "=", "<>", ">=", ">"};
static bool op_accepts(int op, int c) {
  switch (op) {
    case 0: return c < 0;
    case 1: return c <= 0;
    case 2: return c == 0;
    case 3: return c != 0;
    case 4: return c >= 0;
    default: return c > 0;
  }
}

static bool is_signed(const iu_type *t) {
  return t->special == IU_S_TIMESTAMP || t->tag == IU_T_I8 || t->tag == IU_T_I16 || t->tag == IU_T_I32 || t->tag == IU_T_I64 || t->tag == IU_T_I128 ||
         t->tag == IU_T_I256;
}
static bool is_float(const iu_type *t) { return t->tag == IU_T_F32 || t->tag == IU_T_F64; }
static bool is_text(const iu_type *t) { return t->tag == IU_T_STRING || t->special == IU_S_BYTES; }

static double get_float(const iu_type *t, iu_slice v) {
  double d;
  float f;
  if (t->tag == IU_T_F64) return memcpy(&d, v.p, 8), d;
  return memcpy(&f, v.p, 4), (double)f;
}

static int naive_compare(const iu_type *t, iu_slice a, iu_slice b) {
  if (is_float(t)) {
    double x = get_float(t, a), y = get_float(t, b);
    if (isnan(x) || isnan(y)) return isnan(x) - isnan(y);
    return x < y ? -1 : x > y ? 1 : 0;
  }
  if (is_text(t)) {
    for (size_t i = 4; i < a.len && i < b.len; i++) {
      if (a.p[i] != b.p[i]) return a.p[i] < b.p[i] ? -1 : 1;
    }
    return a.len < b.len ? -1 : a.len > b.len;
  }
  for (size_t i = a.len; i-- > 0;) {
    uint8_t flip = i == a.len - 1 && is_signed(t) ? 0x80 : 0;
    uint8_t x = a.p[i] ^ flip, y = b.p[i] ^ flip;
    if (x != y) return x < y ? -1 : 1;
  }
  return 0;
}

typedef struct node {
  int kind; /* 0 and, 1 or, 2 column op literal, 3 column op column, 4 Bool column, 5 constant */
  struct node *left, *right;
  uint32_t a, b;
  int op;
  bool truth;
  iu_buf value;
} node;

static const iu_type *type_of(uint32_t column) { return iu__type_deref(row_type->u.fields[column].type); }

static bool naive(const node *n, const uint8_t *row, size_t len) {
  iu_slice value = {n->value.data, n->value.len};
  switch (n->kind) {
    case 0: return naive(n->left, row, len) && naive(n->right, row, len);
    case 1: return naive(n->left, row, len) || naive(n->right, row, len);
    case 2: return op_accepts(n->op, naive_compare(type_of(n->a), iu__bsatn_column(row_type, n->a, row, len), value));
    case 3: return op_accepts(n->op, naive_compare(type_of(n->a), iu__bsatn_column(row_type, n->a, row, len), iu__bsatn_column(row_type, n->b, row, len)));
    case 4: return iu__bsatn_column(row_type, n->a, row, len).p[0] == 1;
    default: return n->truth;
  }
}

static void free_node(node *n) {
  if (n == NULL) return;
  free_node(n->left);
  free_node(n->right);
  iu__buf_free(&n->value);
  free(n);
}

/* ---- writing predicates as SQL ---- */

static void put_literal(iu_buf *out, chance *c, const iu_type *t, iu_slice v) {
  char text[96];
  uint8_t wide[32];
  if (is_float(t)) {
    double d = get_float(t, v);
    if (t->tag == IU_T_F32) snprintf(text, sizeof text, "%.9g", d);
    else snprintf(text, sizeof text, "%.17g", d);
    iu__buf_put_str(out, text);
    return;
  }
  if (t->tag == IU_T_STRING) {
    iu__buf_put_u8(out, '\'');
    for (size_t i = 4; i < v.len; i++) {
      if (v.p[i] == '\'') iu__buf_put_u8(out, '\'');
      iu__buf_put_u8(out, v.p[i]);
    }
    iu__buf_put_u8(out, '\'');
    return;
  }
  if (t->special == IU_S_TIMESTAMP) {
    int64_t micros = (int64_t)iu__load_u64(v.p);
    time_t seconds = (time_t)(micros / 1000000);
    struct tm tm;
    char part[32];
    gmtime_r(&seconds, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(part, sizeof part, ".%06dZ", (int)(micros % 1000000));
    iu__buf_printf(out, "'%s%s'", text, part);
    return;
  }
  if (t->special == IU_S_BYTES || t->special == IU_S_IDENTITY || t->special == IU_S_CONNECTION_ID) {
    bool prefix = (t->special != IU_S_BYTES || v.len > 4) && chance_below(c, 2) == 0;
    size_t skip = t->special == IU_S_BYTES ? 4 : 0;
    iu__buf_put_str(out, prefix ? "0x" : "X'");
    for (size_t i = skip; i < v.len; i++) iu__buf_printf(out, chance_below(c, 2) ? "%02x" : "%02X", skip != 0 ? v.p[i] : v.p[v.len - 1 - i]);
    if (!prefix) iu__buf_put_u8(out, '\'');
    return;
  }
  if (t->special == IU_S_UUID) {
    iu__buf_put_u8(out, '\'');
    for (size_t i = 0; i < 16; i++) iu__buf_printf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", v.p[15 - i]);
    iu__buf_put_u8(out, '\'');
    return;
  }
  if (t->tag == IU_T_BOOL) {
    iu__buf_put_str(out, v.p[0] ? "true" : "FALSE");
    return;
  }
  memset(wide, is_signed(t) && (v.p[v.len - 1] & 0x80) ? 0xff : 0, sizeof wide);
  memcpy(wide, v.p, v.len);
  iu__buf_put(out, text, iu__wide_format(wide, 32, is_signed(t), text));
}

static bool is_unprintable(const iu_type *t, const iu_buf *v) {
  iu_slice s = {v->data, v->len};
  return is_float(t) && !isfinite(get_float(t, s));
}

static void write_comparison(chance *c, node *n, iu_buf *out) {
  const iu_type *t = type_of(n->a);
  n->op = (int)chance_below(c, 6);
  if (n->kind == 3) {
    do n->b = (uint32_t)chance_below(c, A_SCALARS);
    while (!iu__type_equal(t, type_of(n->b)));
    iu__buf_printf(out, "%s %s x.%s", row_type->u.fields[n->a].name, op_names[n->op], row_type->u.fields[n->b].name);
    return;
  }
  do {
    iu__buf_reset(&n->value);
    put_random_scalar(&n->value, c, t);
  } while (is_unprintable(t, &n->value));
  if (t->special == IU_S_IDENTITY && chance_below(c, 3) == 0) {
    memcpy(n->value.data, sender, 32);
    iu__buf_printf(out, "who %s :sender", op_names[n->op]);
  } else if (chance_below(c, 4) == 0) {
    put_literal(out, c, t, (iu_slice){n->value.data, n->value.len});
    iu__buf_printf(out, "%s%s", op_names[n->op], row_type->u.fields[n->a].name);
    n->op = 5 - n->op == 2 || 5 - n->op == 3 ? n->op : 5 - n->op; /* the other way round */
  } else {
    iu__buf_printf(out, "\"%s\" %s ", row_type->u.fields[n->a].name, op_names[n->op]);
    put_literal(out, c, t, (iu_slice){n->value.data, n->value.len});
  }
}

static node *random_node(chance *c, int depth, iu_buf *out) {
  node *n = calloc(1, sizeof *n);
  assert_non_null(n);
  n->kind = depth > 0 && chance_below(c, 3) != 0 ? (int)chance_below(c, 2) : 2 + (chance_below(c, 6) == 0 ? 1 + (int)chance_below(c, 3) : 0);
  n->a = (uint32_t)chance_below(c, A_SCALARS);
  if (n->kind < 2) {
    bool parens = n->kind == 1 || chance_below(c, 2); /* OR binds less than what is around it */
    if (parens) iu__buf_put_u8(out, '(');
    n->left = random_node(c, depth - 1, out);
    iu__buf_put_str(out, n->kind == 0 ? " AND " : " or ");
    n->right = random_node(c, depth - 1, out);
    if (parens) iu__buf_put_u8(out, ')');
  } else if (n->kind == 4) {
    n->a = A_B;
    iu__buf_put_str(out, "x.b");
  } else if (n->kind == 5) {
    int left = (int)chance_below(c, 2), right = (int)chance_below(c, 2), op = (int)chance_below(c, 7);
    n->truth = op == 6 ? left != 0 : op_accepts(op, left - right);
    iu__buf_put_str(out, left ? "true" : "false");
    if (op != 6) iu__buf_printf(out, "%s%s", op_names[op], right ? "True" : "FALSE");
  } else {
    write_comparison(c, n, out);
  }
  return n;
}

/* ---- tests ---- */

#define ROWS 200

typedef struct seen { uint64_t count, sum; const node *n; } seen;
static bool see(void *ud, const iu_row *row) {
  seen *s = ud;
  assert_true(naive(s->n, row->data, row->len));
  s->count++;
  s->sum += iu__load_u64(row->data);
  return true;
}

static void fill(iu_store *s, chance *c, uint64_t first) {
  iu_table *t = iu__store_table(s, table_index(schema, "all"));
  iu_changeset *set;
  assert_int_equal(iu__store_begin(s, NULL), IU_OK);
  for (uint64_t id = first; id < first + ROWS; id++) {
    iu_buf b = {0};
    iu_error err;
    put_random_all(&b, c, row_type, id);
    if (iu__bsatn_check_all(row_type, b.data, b.len, &err) != IU_OK) fail_msg("%s", err.message);
    assert_int_equal(iu__tx_insert(t, b.data, b.len, NULL, NULL, &err), IU_OK);
    iu__buf_free(&b);
  }
  assert_int_equal(iu__store_commit(s, &set, NULL), IU_OK);
  iu__changeset_release(s, set);
}

static void check_one(iu_store *s, chance *c, int *planned) {
  iu_table *t = iu__store_table(s, table_index(schema, "all"));
  iu_buf sql = {0};
  iu_query *q;
  iu_error err;
  iu_iter *it;
  const iu_row *r;
  node *n;
  seen wanted = {0, 0, NULL}, got = {0, 0, NULL};
  uint32_t index;
  iu_range range;
  uint64_t epoch = iu__store_epoch(s);
  iu__buf_put_str(&sql, "SELECT x.* FROM all x WHERE ");
  n = random_node(c, (int)chance_below(c, 5), &sql);
  if (iu__query_parse(schema, (const char *)sql.data, sql.len, sender, false, &q, &err) != IU_OK) fail_msg("%.*s\n%s", (int)sql.len, sql.data, err.message);
  assert_int_equal(iu__table_iter(t, epoch, IU_INDEX_MAIN, NULL, false, &it, NULL), IU_OK);
  while ((r = iu__iter_next(it)) != NULL) {
    bool match = naive(n, r->data, r->len);
    if (match != iu__query_matches(q, r->data, r->len)) fail_msg("row %llu: %.*s", (unsigned long long)iu__load_u64(r->data), (int)sql.len, sql.data);
    wanted.count += match;
    wanted.sum += match ? iu__load_u64(r->data) : 0;
  }
  iu__iter_close(it);
  got.n = n;
  assert_int_equal(iu__query_run(q, s, epoch, see, &got, &err), IU_OK);
  if (got.count != wanted.count || got.sum != wanted.sum) fail_msg("%llu rows, not %llu: %.*s", (unsigned long long)got.count, (unsigned long long)wanted.count, (int)sql.len, sql.data);
  iu__query_plan(q, t, &index, &range);
  *planned += index != IU_INDEX_MAIN;
  iu__query_free(q);
  iu__buf_free(&sql);
  free_node(n);
}

static void agrees_with_a_naive_evaluator(void **state) {
  chance c = chance_begin("random predicates");
  int rounds = SLOW_BUILD ? 1500 : 10000, planned = 0;
  iu_store *s;
  (void)state;
  assert_int_equal(iu__store_new(schema, &s, NULL), IU_OK);
  fill(s, &c, 1);
  for (int i = 0; i < rounds; i++) check_one(s, &c, &planned);
  assert_true(planned > rounds / 20);
  iu__store_free(s);
}

/* The last row of one epoch, and what a later one adds. */
static void runs_at_an_epoch(void **state) {
  chance c = chance_begin("epochs");
  iu_store *s;
  iu_query *q;
  iu_pin pin;
  uint64_t before;
  static const char sql[] = "SELECT * FROM all WHERE id >= 0";
  node all = {.kind = 5, .truth = true};
  seen got = {0, 0, &all};
  (void)state;
  assert_int_equal(iu__store_new(schema, &s, NULL), IU_OK);
  fill(s, &c, 1);
  before = iu__store_epoch(s);
  iu__pin(s, &pin, before);
  fill(s, &c, 1001);
  assert_int_equal(iu__query_parse(schema, sql, sizeof sql - 1, sender, false, &q, NULL), IU_OK);
  assert_int_equal(iu__query_run(q, s, before, see, &got, NULL), IU_OK);
  assert_int_equal(got.count, ROWS);
  got.count = 0;
  assert_int_equal(iu__query_run(q, s, iu__store_epoch(s), see, &got, NULL), IU_OK);
  assert_int_equal(got.count, 2 * ROWS);
  iu__query_free(q);
  iu__unpin(&pin);
  iu__store_free(s);
}

static bool stop_at_second(void *ud, const iu_row *row) {
  int *n = ud;
  (void)row;
  return ++*n < 2;
}

static void stops_when_told(void **state) {
  chance c = chance_begin("stopping");
  iu_store *s;
  iu_query *q;
  int n = 0;
  (void)state;
  assert_int_equal(iu__store_new(schema, &s, NULL), IU_OK);
  fill(s, &c, 1);
  assert_int_equal(iu__query_parse(schema, "SELECT * FROM all", 17, sender, false, &q, NULL), IU_OK);
  assert_true(iu__query_is_whole(q));
  assert_int_equal(iu__query_table(q), table_index(schema, "all"));
  assert_int_equal(iu__query_run(q, s, iu__store_epoch(s), stop_at_second, &n, NULL), IU_OK);
  assert_int_equal(n, 2);
  iu__query_free(q);
  iu__store_free(s);
}

/* index: the columns of the index expected, "" for the main order. */
typedef struct plan_case { const char *where, *index; uint32_t prefix; iu_bound_kind low, high; } plan_case;
#define UN IU_BOUND_UNBOUNDED
#define IN IU_BOUND_INCLUDED
#define EX IU_BOUND_EXCLUDED

static void picks_the_narrowest_index(void **state) {
  static const plan_case cases[] = {
    {"true", "", 0, UN, UN},
    {"s = 'a'", "s", 1, UN, UN},
    {"'a' = s", "s", 1, UN, UN},
    {"s <> 'a'", "", 0, UN, UN},
    {"s = s2", "", 0, UN, UN},
    {"s = 'a' OR s = 'b'", "", 0, UN, UN},
    {"s = 'a' AND (b OR i64 = 1)", "s", 1, UN, UN},
    {"s = 'a' AND id = 5", "id", 1, UN, UN},
    {"s > 'a' AND (i64 = 2 AND s2 = 'x')", "i64", 1, UN, UN},
    {"s > 'a'", "s", 0, EX, UN},
    {"'a' > s", "s", 0, UN, EX},
    {"s >= 'a' AND s < 'b' AND s > 'a' AND s <= 'c'", "s", 0, EX, EX},
    {"i32 = 1", "i32_u8_s2", 1, UN, UN},
    {"i32 = 1 AND u8 > 3", "i32_u8_s2", 1, EX, UN},
    {"i32 = 1 AND u8 = 3 AND s2 = 'q'", "i32_u8_s2", 3, UN, UN},
    {"i32 = 1 AND s2 = 'q'", "i32_u8_s2", 1, UN, UN},
    {"u8 = 3", "", 0, UN, UN},
    {"i32 > 1 AND i32 <= 7", "i32_u8_s2", 0, EX, IN},
    {"at >= '2024-01-01T00:00:00Z' AND at < '2025-01-01T00:00:00Z'", "at", 0, IN, EX},
    {"who = :sender", "who", 1, UN, UN},
    {"f64 = 1.5", "f64", 1, UN, UN},
    {"f64 = 0", "", 0, UN, UN},
    {"f64 = -0.0", "", 0, UN, UN},
    {"f64 > 1", "", 0, UN, UN},
    {"u256 < 1e30", "u256", 0, UN, EX},
    {"b", "b", 1, UN, UN},
  };
  iu_store *s;
  const iu_table_def *def = table_def(schema, "all");
  (void)state;
  assert_int_equal(iu__store_new(schema, &s, NULL), IU_OK);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char sql[256];
    iu_query *q;
    iu_range range;
    iu_error err;
    uint32_t index;
    snprintf(sql, sizeof sql, "SELECT * FROM all WHERE %s", cases[i].where);
    if (iu__query_parse(schema, sql, strlen(sql), sender, false, &q, &err) != IU_OK) fail_msg("%s: %s", sql, err.message);
    iu__query_plan(q, iu__store_table(s, table_index(schema, "all")), &index, &range);
    if (strcmp(index == IU_INDEX_MAIN ? "" : def->indexes[index].accessor, cases[i].index) != 0) {
      fail_msg("%s: index %s", cases[i].where, index == IU_INDEX_MAIN ? "main" : def->indexes[index].accessor);
    }
    if (index != IU_INDEX_MAIN && (range.prefix_columns != cases[i].prefix || range.low.kind != cases[i].low || range.high.kind != cases[i].high)) {
      fail_msg("%s: prefix %u, low %d, high %d", cases[i].where, range.prefix_columns, range.low.kind, range.high.kind);
    }
    iu__query_free(q);
  }
  iu__store_free(s);
}

static void takes_the_tightest_bounds(void **state) {
  iu_query *q;
  iu_range range;
  uint32_t index;
  iu_store *s;
  const char *sql = "SELECT * FROM all WHERE i64 > 3 AND i64 >= 7 AND i64 < 100 AND i64 <= 20 AND i64 < 20";
  (void)state;
  assert_int_equal(iu__store_new(schema, &s, NULL), IU_OK);
  assert_int_equal(iu__query_parse(schema, sql, strlen(sql), sender, false, &q, NULL), IU_OK);
  iu__query_plan(q, iu__store_table(s, table_index(schema, "all")), &index, &range);
  assert_int_equal(iu__load_u64(range.low.key.p), 7);
  assert_int_equal(range.low.kind, IN);
  assert_int_equal(iu__load_u64(range.high.key.p), 20);
  assert_int_equal(range.high.kind, EX);
  iu__query_free(q);
  iu__store_free(s);
}

typedef struct time_case { const char *text; int64_t micros; } time_case;

static void reads_rfc3339(void **state) {
  static const time_case cases[] = {
    {"1970-01-01T00:00:00Z", 0}, {"1970-01-01t00:00:00z", 0}, {"1970-01-01 00:00:00+00:00", 0}, {"1969-12-31T23:59:59.999999Z", -1},
    {"1970-01-01T01:00:00+01:00", 0}, {"1969-12-31T18:30:00-05:30", 0}, {"2000-02-29T00:00:00Z", 951782400000000}, {"2024-05-01T12:00:00.5Z", 1714564800500000},
    {"2024-05-01T12:00:00.1234567891Z", 1714564800123456}, {"2016-12-31T23:59:60Z", 1483228800000000}, {"0000-01-01T00:00:00Z", -62167219200000000},
    {"9999-12-31T23:59:59Z", 253402300799000000}, {"1600-02-29T00:00:00Z", -11670998400000000}, {"1900-03-01T00:00:00Z", -2203891200000000},
  };
  static const char *const bad[] = {"", "1970", "1970-01-01", "1970-01-01T00:00Z", "1970-01-01T00:00:00", "1970-13-01T00:00:00Z", "1970-00-01T00:00:00Z",
                                    "1970-01-32T00:00:00Z", "1970-01-00T00:00:00Z", "1900-02-29T00:00:00Z", "1970-01-01T24:00:00Z", "1970-01-01T00:60:00Z",
                                    "1970-01-01T00:00:61Z", "1970-01-01T00:00:00.Z", "1970-01-01T00:00:00+24:00", "1970-01-01T00:00:00+0100",
                                    "1970-01-01T00:00:00Zx", "+970-01-01T00:00:00Z", "1970/01/01T00:00:00Z"};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char sql[128];
    iu_query *q;
    iu_error err;
    iu_range range;
    uint32_t index;
    snprintf(sql, sizeof sql, "SELECT * FROM all WHERE at = '%s'", cases[i].text);
    if (iu__query_parse(schema, sql, strlen(sql), sender, false, &q, &err) != IU_OK) fail_msg("%s: %s", sql, err.message);
    iu__query_plan(q, NULL, &index, &range);
    if ((int64_t)iu__load_u64(range.prefix.p) != cases[i].micros) fail_msg("%s is %lld", cases[i].text, (long long)iu__load_u64(range.prefix.p));
    iu__query_free(q);
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    char sql[128];
    iu_query *q;
    snprintf(sql, sizeof sql, "SELECT * FROM all WHERE at = '%s'", bad[i]);
    if (iu__query_parse(schema, sql, strlen(sql), sender, false, &q, NULL) != IU_E_VALIDATION) fail_msg("%s was read", bad[i]);
  }
}

/* A row that ends too early matches nothing and reads nothing outside. */
static void survives_short_rows(void **state) {
  static const char sql[] = "SELECT * FROM all WHERE s <> 'q' AND bytes2 <> 0xab AND s2 <> 'q'";
  chance c = chance_begin("short rows");
  iu_buf b = {0};
  iu_query *q;
  (void)state;
  assert_int_equal(iu__query_parse(schema, sql, sizeof sql - 1, sender, false, &q, NULL), IU_OK);
  put_random_all(&b, &c, row_type, 7);
  assert_true(iu__query_matches(q, b.data, b.len));
  for (size_t len = 0; len < b.len; len++) {
    uint8_t *copy = malloc(len + (len == 0));
    assert_non_null(copy);
    memcpy(copy, b.data, len);
    iu__query_matches(q, copy, len);
    if (len < 8 + 4) assert_false(iu__query_matches(q, copy, len));
    free(copy);
  }
  iu__buf_free(&b);
  iu__query_free(q);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(agrees_with_a_naive_evaluator), cmocka_unit_test(runs_at_an_epoch), cmocka_unit_test(stops_when_told),
    cmocka_unit_test(picks_the_narrowest_index), cmocka_unit_test(takes_the_tightest_bounds), cmocka_unit_test(reads_rfc3339), cmocka_unit_test(survives_short_rows),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
