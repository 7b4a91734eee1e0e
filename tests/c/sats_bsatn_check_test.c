/* Checking, skipping and taking columns of BSATN values: the sheet's vectors (12.1), limits, truncation, mutation. */
#include "../../core/sats/bsatn.h"
#include "sats_fixture.h"

static iu_status check_hex(const iu_type *t, const char *hex, iu_error *err) {
  bytes_of b = unhex(hex);
  iu_status status = iu__bsatn_check_all(t, b.p, b.len, err);
  free(b.p);
  return status;
}

static void assert_bad(const iu_type *t, const char *hex, size_t offset, const char *what) {
  iu_error err = {0};
  assert_int_equal(check_hex(t, hex, &err), IU_E_VALIDATION);
  assert_int_equal(err.offset, offset);
  if (strstr(err.message, what) == NULL) fail_msg("`%s` does not say `%s`", err.message, what);
}

static void the_vectors_are_valid_and_skipped_whole(void **state) {
  (void)state;
  iu_typespace ts = {0};
  vector v[48];
  size_t n = value_vectors(&ts, v);
  for (size_t i = 0; i < n; i++) {
    bytes_of b = unhex(v[i].hex);
    assert_int_equal(iu__bsatn_check_all(v[i].type, b.p, b.len, NULL), IU_OK);
    assert_ptr_equal(iu__bsatn_skip(v[i].type, b.p, b.p + b.len), b.p + b.len);
    free(b.p);
  }
  assert_int_equal(check_hex(scalar(IU_T_F32), "0000c07f", NULL), IU_OK); /* V43 */
  iu__typespace_free(&ts);
}

static void a_value_cut_anywhere_or_too_long_is_refused(void **state) {
  (void)state;
  iu_typespace ts = {0};
  vector v[48];
  size_t n = value_vectors(&ts, v);
  for (size_t i = 0; i < n; i++) {
    bytes_of b = unhex(v[i].hex);
    iu_error err;
    for (size_t len = 0; len < b.len; len++) {
      uint8_t *cut = malloc(len != 0 ? len : 1);
      memcpy(cut, b.p, len);
      assert_int_equal(iu__bsatn_check_all(v[i].type, cut, len, &err), IU_E_VALIDATION);
      assert_true(err.offset <= len);
      assert_null(iu__bsatn_skip(v[i].type, cut, cut + len));
      free(cut);
    }
    uint8_t *more = malloc(b.len + 1);
    memcpy(more, b.p, b.len);
    more[b.len] = 0;
    assert_int_equal(iu__bsatn_check_all(v[i].type, more, b.len + 1, &err), IU_E_VALIDATION);
    assert_int_equal(err.offset, b.len);
    /* as the first of several values it is fine */
    iu_reader r = iu__reader(more, b.len + 1);
    assert_int_equal(iu__bsatn_check(v[i].type, &r, &err), IU_OK);
    assert_int_equal(iu__reader_offset(&r), b.len);
    free(more);
    free(b.p);
  }
  iu__typespace_free(&ts);
}

static void bad_bytes_are_named_with_offset_and_field(void **state) {
  (void)state;
  iu_typespace ts = {0};
  const iu_type *row = user_row(&ts), *col = colour(&ts);
  assert_bad(scalar(IU_T_BOOL), "02", 0, "0 or 1");
  assert_bad(scalar(IU_T_BOOL), "", 0, "Bool");
  assert_bad(scalar(IU_T_U32), "000000", 0, "expected U32 at byte 0, but only 3 bytes are left");
  assert_bad(scalar(IU_T_STRING), "03000000616262ff", 7, "1 bytes too many");
  assert_bad(scalar(IU_T_STRING), "0300000061ff62", 5, "UTF-8");
  assert_bad(scalar(IU_T_STRING), "02000000c080", 4, "UTF-8");        /* overlong */
  assert_bad(scalar(IU_T_STRING), "03000000eda080", 4, "UTF-8");      /* surrogate */
  assert_bad(scalar(IU_T_STRING), "ffffffff61", 0, "String");
  assert_bad(col, "03", 0, "only 3");
  assert_bad(col, "02010000", 1, "Named: expected String");
  assert_bad(row, "070000000300000042", 4, "name: expected String");
  assert_bad(iu__type_array(&ts, row), "010000000700000001000000ff", 12, "[0]: name: invalid UTF-8");
  assert_bad(iu__type_array(&ts, scalar(IU_T_U32)), "ffffffff00000000", 0, "more elements than bytes");
  assert_bad(iu__type_array(&ts, scalar(IU_T_STRING)), "0300000000000000", 8, "[1]: expected String");
  assert_bad(special(IU_S_BYTES), "0400000001", 0, "more elements");
  iu__typespace_free(&ts);
}

static void the_error_detail_may_be_unwanted(void **state) {
  (void)state;
  iu_typespace ts = {0};
  assert_int_equal(check_hex(iu__type_array(&ts, user_row(&ts)), "010000000700000001000000ff", NULL), IU_E_VALIDATION);
  iu_reader r = iu__reader("\2", 1);
  assert_int_equal(iu__bsatn_check(scalar(IU_T_BOOL), &r, NULL), IU_E_VALIDATION);
  assert_true(r.failed);
  assert_int_equal(iu__reader_offset(&r), 0);
  assert_int_equal(iu__bsatn_check(scalar(IU_T_U8), &r, NULL), IU_E_VALIDATION); /* stays failed */
  iu__typespace_free(&ts);
}

static void no_bytes_at_all_are_a_unit(void **state) {
  (void)state;
  assert_int_equal(iu__bsatn_check_all(special(IU_S_UNIT), NULL, 0, NULL), IU_OK);
  assert_int_equal(iu__bsatn_check_all(scalar(IU_T_U8), NULL, 0, NULL), IU_E_VALIDATION);
  assert_null(iu__bsatn_skip(scalar(IU_T_U8), NULL, NULL));
  assert_null(iu__bsatn_column(special(IU_S_UNIT), 0, NULL, 0).p);
}

static void counts_of_zero_sized_elements_are_capped(void **state) {
  (void)state;
  iu_typespace ts = {0};
  const iu_type *units = iu__type_array(&ts, special(IU_S_UNIT));
  iu_field nested[] = {{"a", special(IU_S_UNIT)}, {"b", special(IU_S_UNIT)}};
  const iu_type *pairs = iu__type_array(&ts, iu__type_product(&ts, 2, nested));
  const iu_type *never = iu__type_sum(&ts, 0, NULL);
  assert_int_equal(check_hex(units, "00000100", NULL), IU_OK);
  assert_int_equal(check_hex(pairs, "00000100", NULL), IU_OK);
  assert_bad(units, "01000100", 0, "65536");
  assert_bad(pairs, "ffffffff", 0, "65536");
  assert_bad(never, "", 0, "sum");
  assert_bad(never, "00", 0, "only 0");
  assert_int_equal(check_hex(iu__type_array(&ts, never), "00000000", NULL), IU_OK);
  assert_bad(iu__type_array(&ts, never), "0100000000", 4, "only 0");
  iu__typespace_free(&ts);
}

/* types[0] = { next: Option<types[0]> }: a list as deep as the bytes say. */
static void values_nested_too_deep_are_refused(void **state) {
  (void)state;
  iu_typespace ts = {0};
  iu_field next[] = {{"next", iu__type_option(&ts, iu__type_ref(&ts, 0))}};
  const iu_type *types[2] = {iu__type_product(&ts, 1, next), NULL};
  iu_field endless[] = {{"a", iu__type_ref(&ts, 1)}, {"b", iu__type_ref(&ts, 1)}};
  types[1] = iu__type_product(&ts, 2, endless);
  ts.types = types;
  ts.count = 2;
  assert_int_equal(iu__typespace_link(&ts, NULL), IU_OK);
  uint8_t deep[4096] = {0};
  for (size_t links = 0; links < 40; links++) {
    /* a product and an option a link */
    deep[links] = 1;
    bool fits = 2 * (links + 1) <= IU_TYPE_DEPTH_MAX;
    assert_int_equal(iu__bsatn_check_all(types[0], deep, links + 1, NULL), fits ? IU_OK : IU_E_VALIDATION);
    assert_int_equal(iu__bsatn_skip(types[0], deep, deep + links + 1) != NULL, fits);
    deep[links] = 0;
  }
  iu_error err;
  assert_int_equal(iu__bsatn_check_all(types[0], deep, sizeof deep, &err), IU_E_VALIDATION);
  assert_non_null(strstr(err.message, "64 deep"));
  assert_null(iu__bsatn_skip(types[0], deep, deep + sizeof deep));
  assert_int_equal(iu__bsatn_check_all(types[1], deep, sizeof deep, NULL), IU_E_VALIDATION);
  assert_null(iu__bsatn_skip(types[1], deep, deep + sizeof deep));
  iu_slice a = {deep, sizeof deep}, b = {deep, 5};
  assert_true(iu__bsatn_compare(types[1], a, b) > 0);
  assert_int_equal(iu__bsatn_compare(types[1], a, a), 0);
  iu__typespace_free(&ts);
}

static void columns_are_found_behind_anything(void **state) {
  (void)state;
  iu_typespace ts = {0};
  iu_field fields[] = {{"id", scalar(IU_T_U32)}, {"name", scalar(IU_T_STRING)}, {"colour", colour(&ts)},
                       {"tags", iu__type_array(&ts, scalar(IU_T_STRING))}, {"numbers", iu__type_array(&ts, scalar(IU_T_U16))},
                       {"owner", special(IU_S_IDENTITY)}, {"nothing", special(IU_S_UNIT)}, {"flag", scalar(IU_T_BOOL)}};
  static const char *const parts[] = {"07000000", "03000000426f62", "020100000078", "020000000100000061020000006263",
                                      "0200000001000200", "75a9cc35243f675a7d8eebbbf2a1c2b0dc36ccca06de02d4c742d652314800c2", "", "01"};
  char hex[512] = "";
  for (int i = 0; i < 8; i++) strcat(hex, parts[i]);
  const iu_type *row = iu__type_product(&ts, 8, fields);
  bytes_of b = unhex(hex);
  assert_int_equal(iu__bsatn_check_all(row, b.p, b.len, NULL), IU_OK);
  for (uint32_t i = 0; i < 8; i++) {
    iu_slice s = iu__bsatn_column(row, i, b.p, b.len);
    assert_non_null(s.p);
    assert_hex(s.p, s.len, parts[i]);
    for (size_t len = 0; len < b.len; len++) {
      uint8_t *cut = malloc(len != 0 ? len : 1);
      memcpy(cut, b.p, len);
      s = iu__bsatn_column(row, i, cut, len);
      if (s.p != NULL) assert_hex(s.p, s.len, parts[i]);
      free(cut);
    }
  }
  assert_null(iu__bsatn_column(row, 8, b.p, b.len).p);
  assert_null(iu__bsatn_column(scalar(IU_T_U32), 0, b.p, b.len).p);
  free(b.p);
  iu__typespace_free(&ts);
}

/* What check accepts, skip passes in the same step; nothing crashes on the rest. */
static void mutated_values_never_crash(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  iu_typespace ts = {0};
  vector v[48];
  size_t n = value_vectors(&ts, v);
  iu_field fields[48];
  iu_buf whole = {0};
  for (size_t i = 0; i < n; i++) {
    bytes_of b = unhex(v[i].hex);
    fields[i] = (iu_field){v[i].id, v[i].type};
    iu__buf_put(&whole, b.p, b.len);
    free(b.p);
  }
  const iu_type *row = iu__type_product(&ts, (uint32_t)n, fields);
  assert_int_equal(iu__bsatn_check_all(row, whole.data, whole.len, NULL), IU_OK);
  unsigned good = 0;
  for (int round = 0; round < 50000; round++) {
    size_t len = test_random(&seed) % 4 == 0 ? test_random(&seed) % (whole.len + 1) : whole.len;
    uint8_t *copy = malloc(len != 0 ? len : 1);
    memcpy(copy, whole.data, len);
    for (uint64_t m = 1 + test_random(&seed) % 3; m > 0 && len > 0; m--) {
      copy[test_random(&seed) % len] = (uint8_t)(test_random(&seed) % 3 ? test_random(&seed) % 4 : test_random(&seed));
    }
    iu_error err = {0};
    iu_reader r = iu__reader(copy, len);
    iu_status status = iu__bsatn_check(row, &r, &err);
    const uint8_t *end = iu__bsatn_skip(row, copy, copy + len);
    if (status == IU_OK) {
      good++;
      assert_ptr_equal(end, r.p);
    } else {
      assert_true(err.offset <= len && err.message[0] != '\0');
    }
    iu_slice a = {copy, len}, b = {whole.data, whole.len};
    int forth = iu__bsatn_compare(row, a, b), back = iu__bsatn_compare(row, b, a);
    if (status == IU_OK) assert_int_equal(forth, -back);
    (void)iu__bsatn_column(row, (uint32_t)(test_random(&seed) % n), copy, len);
    free(copy);
  }
  assert_true(good > 1000); /* the mutations reach further than the first check */
  iu__buf_free(&whole);
  iu__typespace_free(&ts);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_vectors_are_valid_and_skipped_whole),
      cmocka_unit_test(a_value_cut_anywhere_or_too_long_is_refused),
      cmocka_unit_test(bad_bytes_are_named_with_offset_and_field),
      cmocka_unit_test(the_error_detail_may_be_unwanted),
      cmocka_unit_test(no_bytes_at_all_are_a_unit),
      cmocka_unit_test(counts_of_zero_sized_elements_are_capped),
      cmocka_unit_test(values_nested_too_deep_are_refused),
      cmocka_unit_test(columns_are_found_behind_anything),
      cmocka_unit_test(mutated_values_never_crash),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
