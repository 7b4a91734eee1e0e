/* Module definitions from hostile hands: cut, mutated, over the limits, expensive; and every allocation failing once. */
#include <time.h>

#include "../../core/base/errinj.h"
#include "sats_schema_fixture.h"

static iu_buf sample(void) {
  iu_typespace ts = {0};
  def d = {0};
  table_parts p = {0};
  iu_field meta[] = {{"tags", iu__type_array(&ts, scalar(IU_T_STRING))}, {"kind", iu__type_ref(&ts, 2)}};
  iu_field row[] = {{"id", scalar(IU_T_U64)}, {"at", special(IU_S_SCHEDULE_AT)}, {"metadata", iu__type_option(&ts, iu__type_ref(&ts, 1))}};
  iu_field kinds[] = {{"Red", special(IU_S_UNIT)}, {"Green", special(IU_S_UNIT)}};
  iu_field param[] = {{"row", iu__type_ref(&ts, 0)}};
  add_type(&d, iu__type_product(&ts, 3, row), "Row");
  add_type(&d, iu__type_product(&ts, 2, meta), "Metadata");
  add_type(&d, iu__type_sum(&ts, 2, kinds), "Kind");
  add_index(&p, NULL, NULL, 0, COLUMNS(0));
  add_index(&p, NULL, NULL, 1, COLUMNS(1, 0));
  add_index(&p, NULL, NULL, 2, COLUMNS(0));
  add_unique(&p, NULL, COLUMNS(0));
  add_sequence(&p, NULL, 0, 1, 1, 100, 1);
  p.sched_reducer = "tick";
  p.sched_column = 1;
  add_table(&d, "timer", 0, 0, &p);
  add_table(&d, "other", 0, -1, NULL);
  add_reducer(&d, "tick", iu__type_product(&ts, 1, param), -1);
  add_reducer(&d, "init", special(IU_S_UNIT), 0);
  iu__typespace_free(&ts);
  return finish_def(&d);
}

/* True when the bytes are a schema. Uses what came out. */
static bool try_bytes(const uint8_t *bytes, size_t len) {
  uint8_t *exact = malloc(len != 0 ? len : 1);
  memcpy(exact, bytes, len);
  iu_schema *s;
  iu_error err = {0};
  iu_status status = iu__schema_decode(exact, len, &s, &err);
  free(exact);
  if (status != IU_OK) {
    assert_null(s);
    assert_int_equal(err.status, status);
    assert_true(err.message[0] != '\0');
    assert_true(err.offset == IU_NO_OFFSET || err.offset <= len);
    return false;
  }
  iu_buf text = {0};
  for (uint32_t i = 0; i < s->table_count; i++) {
    const iu_table_def *t = &s->tables[i];
    assert_int_equal(iu__schema_table(s, t->name, strlen(t->name)), i);
    for (uint32_t j = 0; j < t->index_count; j++) {
      assert_non_null(t->indexes[j].accessor);
      for (uint32_t k = 0; k < t->indexes[j].column_count; k++) assert_true(t->indexes[j].columns[k] < t->row->count);
    }
  }
  for (uint32_t i = 0; i < s->reducer_count; i++) iu__reducer_signature(s, &s->reducers[i], &text);
  iu__buf_free(&text);
  iu__schema_free(s);
  return true;
}

static void a_definition_cut_anywhere_is_refused(void **state) {
  (void)state;
  iu_buf b = sample();
  bytes_of m2 = unhex(M2);
  assert_true(try_bytes(b.data, b.len));
  for (size_t len = 0; len < b.len; len++) assert_false(try_bytes(b.data, len));
  for (size_t len = 0; len < m2.len; len++) assert_false(try_bytes(m2.p, len));
  free(m2.p);
  iu__buf_free(&b);
}

static void mutated_definitions_never_crash(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  iu_buf b = sample();
  uint8_t *copy = malloc(b.len + 8);
  unsigned good = 0;
  for (int round = 0; round < 30000; round++) {
    size_t len = b.len;
    memcpy(copy, b.data, len);
    if (test_random(&seed) % 8 == 0) { /* a piece taken out */
      size_t from = test_random(&seed) % len, n = test_random(&seed) % 8 % (len - from);
      memmove(copy + from, copy + from + n, len - from - n);
      len -= n;
    }
    for (uint64_t n = test_random(&seed) % 3 + 1; n > 0; n--) {
      uint64_t value = test_random(&seed);
      copy[test_random(&seed) % len] = value % 2 ? (uint8_t)(value >> 8) : (uint8_t)((value >> 8) % 8);
    }
    good += try_bytes(copy, len);
  }
  assert_true(good > 100);
  free(copy);
  iu__buf_free(&b);
}

static void counts_without_bytes_are_refused_before_they_cost(void **state) {
  (void)state;
  bytes_of m1 = unhex(M1);
  for (size_t at = 1; at < m1.len; at += 4) {
    static const uint32_t counts[] = {1, 2, 255, 65536, 0x7fffffff, UINT32_MAX};
    for (size_t i = 0; i < 6; i++) {
      uint8_t copy[25];
      memcpy(copy, m1.p, 25);
      for (int byte = 0; byte < 4; byte++) copy[at + (size_t)byte] = (uint8_t)(counts[i] >> 8 * byte);
      assert_false(try_bytes(copy, 25));
    }
  }
  free(m1.p);
}

static bool decodes(def *d, const char *what) {
  iu_error err = {0};
  iu_schema *s = decode_def(d, &err);
  if (s == NULL && strstr(err.message, what) == NULL) fail_msg("`%s` does not say `%s`", err.message, what);
  iu__schema_free(s);
  return s != NULL;
}

static void limits_hold(void **state) {
  (void)state;
  char name[32];
  for (uint32_t extra = 0; extra < 2; extra++) {
    iu_typespace ts = {0};
    def d = {0};
    table_parts p = {0};
    add_type(&d, user_row(&ts), NULL);
    for (uint32_t i = 0; i < IU_SCHEMA_TABLES_MAX + extra; i++) {
      sprintf(name, "t%u", i);
      add_table(&d, name, 0, -1, NULL);
    }
    assert_int_equal(decodes(&d, "limit"), extra == 0);
    add_type(&d, user_row(&ts), NULL);
    for (uint32_t i = 0; i < IU_TABLE_INDEXES_MAX + extra; i++) {
      sprintf(name, "i%u", i);
      add_index(&p, name, name, 0, COLUMNS(0));
    }
    add_table(&d, "t", 0, -1, &p);
    assert_int_equal(decodes(&d, "limit"), extra == 0);
    iu_field fields[IU_INDEX_COLUMNS_MAX + 1];
    char names[IU_INDEX_COLUMNS_MAX + 1][8];
    uint16_t columns[IU_INDEX_COLUMNS_MAX + 1];
    for (uint16_t i = 0; i <= IU_INDEX_COLUMNS_MAX; i++) {
      sprintf(names[i], "c%u", i);
      fields[i] = (iu_field){names[i], scalar(IU_T_U8)};
      columns[i] = IU_INDEX_COLUMNS_MAX - i;
    }
    add_type(&d, iu__type_product(&ts, IU_INDEX_COLUMNS_MAX + 1, fields), NULL);
    add_index(&p, NULL, NULL, 0, IU_INDEX_COLUMNS_MAX + extra, columns);
    add_table(&d, "t", 0, -1, &p);
    assert_int_equal(decodes(&d, "32 columns"), extra == 0);
    iu__typespace_free(&ts);
  }
  uint8_t *large = calloc(1, IU_SCHEMA_BYTES_MAX + 1);
  iu_error err;
  iu_schema *s;
  large[0] = 1;
  assert_int_equal(iu__schema_decode(large, IU_SCHEMA_BYTES_MAX, &s, &err), IU_E_VALIDATION);
  assert_non_null(strstr(err.message, "after the end"));
  assert_int_equal(iu__schema_decode(large, IU_SCHEMA_BYTES_MAX + 1, &s, &err), IU_E_VALIDATION);
  assert_non_null(strstr(err.message, "limit"));
  free(large);
}

/* As many tables as allowed on the widest row allowed: sorting names is the worst there is. */
static void the_costliest_definition_ends_soon(void **state) {
  (void)state;
  iu_typespace ts = {0};
  def d = {0};
  char (*names)[16] = calloc(IU_TYPE_FIELDS_MAX, sizeof *names), name[16];
  iu_field *fields = calloc(IU_TYPE_FIELDS_MAX, sizeof *fields);
  for (int i = 0; i < IU_TYPE_FIELDS_MAX; i++) {
    sprintf(names[i], "column_%d", i * 2531 % IU_TYPE_FIELDS_MAX);
    fields[i] = (iu_field){names[i], scalar(IU_T_U8)};
  }
  add_type(&d, iu__type_product(&ts, IU_TYPE_FIELDS_MAX, fields), NULL);
  for (int i = 0; i < IU_SCHEMA_TABLES_MAX; i++) {
    sprintf(name, "t%d", i);
    add_table(&d, name, 0, -1, NULL);
  }
  clock_t before = clock();
  assert_true(decodes(&d, ""));
  double seconds = (double)(clock() - before) / CLOCKS_PER_SEC;
  printf("the costliest definition took %.2f s\n", seconds);
  assert_true(seconds < 60);
  free(names);
  free(fields);
  iu__typespace_free(&ts);
}

#ifdef IU_ERRINJ
static void any_allocation_may_fail(void **state) {
  (void)state;
  iu_buf b = sample();
  bool done = false;
  for (long after = 0; !done; after++) {
    iu_schema *s;
    iu_error err = {0};
    iu__errinj_arm(IU_ERRINJ_ALLOC, after);
    iu_status status = iu__schema_decode(b.data, b.len, &s, &err);
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    done = status == IU_OK;
    if (!done) assert_int_equal(status, IU_E_NOMEM);
    iu__schema_free(s);
    assert_true(after < 1000);
  }
  iu__buf_free(&b);
}
#endif

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_definition_cut_anywhere_is_refused),
      cmocka_unit_test(mutated_definitions_never_crash),
      cmocka_unit_test(counts_without_bytes_are_refused_before_they_cost),
      cmocka_unit_test(limits_hold),
      cmocka_unit_test(the_costliest_definition_ends_soon),
#ifdef IU_ERRINJ
      cmocka_unit_test(any_allocation_may_fail),
#endif
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
