/* Values to JSON: the readable style, floats, bad bytes, disproportionate values, and the way there and back for random values. */
#include <locale.h>
#include <math.h>

#include "sats_values_json_fixture.h"

static void people_read_it_without_wrapping(void **state) {
  (void)state;
  iu_typespace ts = {0};
  const iu_type *option = iu__type_option(&ts, scalar(IU_T_U32)), *col = colour(&ts);
  iu_sats_json_style style = IU_SJ_READABLE;
  assert_writes(option, "0005000000", style, "5");
  assert_writes(option, "01", style, "null");
  assert_writes(iu__type_option(&ts, option), "000005000000", style, "5");
  assert_writes(special(IU_S_IDENTITY), "75a9cc35243f675a7d8eebbbf2a1c2b0dc36ccca06de02d4c742d652314800c2", style, "\"" IDENTITY_I "\"");
  assert_writes(special(IU_S_CONNECTION_ID), "ffeeddccbbaa99887766554433221100", style, "\"00112233445566778899aabbccddeeff\"");
  assert_writes(special(IU_S_UUID), "0f0e0d0c0b0a09080706050403020100", style, "\"00010203-0405-0607-0809-0a0b0c0d0e0f\"");
  assert_writes(special(IU_S_TIMESTAMP), "00401e18240a0600", style, "1700000000000000");
  assert_writes(special(IU_S_TIME_DURATION), "c0bdf0ffffffffff", style, "-1000000");
  assert_writes(special(IU_S_SCHEDULE_AT), "0040420f0000000000", style, "{\"Interval\":1000000}");
  assert_writes(col, "00", style, "\"Red\"");
  assert_writes(col, "01010203", style, "{\"Rgb\":{\"r\":1,\"g\":2,\"b\":3}}");
  assert_writes(col, "020100000078", style, "{\"Named\":\"x\"}");
  assert_writes(special(IU_S_UNIT), "", style, "[]");
  assert_writes(special(IU_S_BYTES), "03000000010203", style, "\"010203\"");
  assert_writes(user_row(&ts), "0700000003000000426f62", style, "{\"id\":7,\"name\":\"Bob\"}");
  assert_writes(result_type(&ts), "01020000006e6f", style, "{\"err\":\"no\"}");
  iu__typespace_free(&ts);
}

static void sums_without_names_are_pairs(void **state) {
  (void)state;
  iu_typespace ts = {0};
  iu_field variants[] = {{NULL, scalar(IU_T_U8)}, {"b", scalar(IU_T_U8)}};
  const iu_type *t = iu__type_sum(&ts, 2, variants);
  assert_writes(t, "0007", IU_SJ_TYPED, "[0,7]");
  assert_writes(t, "0107", IU_SJ_TYPED, "{\"b\":7}");
  assert_reads(t, "[0,7]", "0007");
  assert_reads(t, "{\"0\":7}", "0007");
  iu__typespace_free(&ts);
}

static void floats_have_the_fewest_digits_of_their_width(void **state) {
  (void)state;
  const iu_type *f = scalar(IU_T_F32), *d = scalar(IU_T_F64);
  static const struct { const char *hex, *json; } singles[] = {
      {"00000000", "0.0"}, {"00000080", "-0.0"}, {"0000803f", "1.0"}, {"cdcccc3d", "0.1"}, {"ffff7f7f", "3.4028235e+38"},
      {"01000000", "1e-45"}, {"0000804b", "16777216.0"}, {"d00f4940", "3.14159"}, {"db0f49c0", "-3.1415927"},
      {"000080ff", "null"}, {"0000c0ff", "null"}};
  for (size_t i = 0; i < sizeof singles / sizeof *singles; i++) {
    assert_writes(f, singles[i].hex, IU_SJ_TYPED, singles[i].json);
    if (strcmp(singles[i].json, "null") != 0) assert_reads(f, singles[i].json, singles[i].hex);
  }
  assert_writes(d, "9a9999999999b93f", IU_SJ_TYPED, "0.1");
  assert_writes(d, "000000000000f07f", IU_SJ_READABLE, "null");
}

static void every_sort_of_single_comes_back(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  const char *before = setlocale(LC_NUMERIC, NULL);
  char kept[64];
  snprintf(kept, sizeof kept, "%s", before);
  for (int round = 0; round < 20000; round++) {
    if (round == 10000) setlocale(LC_NUMERIC, "de_DE.UTF-8"); /* a decimal comma, where the machine has it */
    uint32_t bits = (uint32_t)test_random(&seed);
    float v;
    memcpy(&v, &bits, sizeof v);
    if (!isfinite(v)) continue;
    uint8_t bytes[4] = {(uint8_t)bits, (uint8_t)(bits >> 8), (uint8_t)(bits >> 16), (uint8_t)(bits >> 24)};
    iu_buf json = {0}, back = {0};
    iu_reader r = iu__reader(bytes, 4);
    assert_int_equal(iu__sats_to_json(scalar(IU_T_F32), &r, IU_SJ_TYPED, &json, NULL), IU_OK);
    assert_int_equal(iu__sats_from_json(scalar(IU_T_F32), json.data, json.len, &back, NULL), IU_OK);
    assert_int_equal(back.len, 4);
    assert_memory_equal(back.data, bytes, 4);
    iu__buf_free(&json);
    iu__buf_free(&back);
  }
  setlocale(LC_NUMERIC, kept);
}

static void bad_bytes_are_refused_and_nothing_is_passed(void **state) {
  (void)state;
  iu_typespace ts = {0};
  vector v[48];
  size_t n = value_vectors(&ts, v);
  for (size_t i = 0; i < n; i++) {
    bytes_of b = unhex(v[i].hex);
    for (size_t len = 0; len < b.len; len++) {
      iu_buf out = {0};
      iu_error err;
      iu_reader r = iu__reader(b.p, len);
      assert_int_equal(iu__sats_to_json(v[i].type, &r, IU_SJ_TYPED, &out, &err), IU_E_VALIDATION);
      assert_true(r.failed);
      assert_int_equal(iu__reader_offset(&r), 0);
      assert_int_equal(out.len, 0);
      iu__buf_free(&out);
    }
    free(b.p);
  }
  iu__typespace_free(&ts);
}

/* Values of a few bytes whose JSON would be enormous. */
static void json_out_of_proportion_is_refused(void **state) {
  (void)state;
  iu_typespace ts = {0};
  const iu_type *types[65];
  for (uint32_t i = 0; i < 64; i++) {
    iu_field twice[] = {{"a", iu__type_ref(&ts, i + 1)}, {"b", iu__type_ref(&ts, i + 1)}};
    types[i] = iu__type_product(&ts, 2, twice);
  }
  types[64] = special(IU_S_UNIT);
  ts.types = types;
  ts.count = 65;
  const iu_type *many = iu__type_array(&ts, iu__type_array(&ts, special(IU_S_UNIT)));
  assert_int_equal(iu__typespace_link(&ts, NULL), IU_OK);
  iu_buf out = {0};
  iu_error err;
  iu_reader r = iu__reader("", 0);
  assert_int_equal(iu__sats_to_json(types[0], &r, IU_SJ_TYPED, &out, &err), IU_E_VALIDATION);
  assert_non_null(strstr(err.message, "take no bytes"));
  iu__buf_reset(&out);
  bytes_of b = unhex("0300000000000100" "0000010000000100");
  r = iu__reader(b.p, b.len);
  assert_int_equal(iu__sats_to_json(many, &r, IU_SJ_TYPED, &out, &err), IU_E_VALIDATION);
  iu__buf_reset(&out);
  r = iu__reader("\1\0\0\0\0\0\1\0", 8); /* 65536 of them are still fine */
  assert_int_equal(iu__sats_to_json(many, &r, IU_SJ_TYPED, &out, &err), IU_OK);
  iu__buf_reset(&out);
  iu_buf nones = {0}; /* and so are as many as there are bytes */
  iu__buf_put_u32(&nones, 200000);
  for (int i = 0; i < 200000; i++) iu__buf_put_u8(&nones, 1);
  r = iu__reader(nones.data, nones.len);
  assert_int_equal(iu__sats_to_json(iu__type_array(&ts, iu__type_option(&ts, scalar(IU_T_U8))), &r, IU_SJ_TYPED, &out, &err), IU_OK);
  iu__buf_free(&nones);
  iu__buf_free(&out);
  free(b.p);
  iu__typespace_free(&ts);
}

/* A plain product that only its refs make deep takes no bytes' worth of checking, so writing has its own bound. */
static void depth_is_bounded_for_plain_types_too(void **state) {
  (void)state;
  enum { N = 2000 };
  iu_typespace ts = {0};
  const iu_type **types = calloc(N + 1, sizeof *types);
  for (uint32_t i = 0; i < N; i++) {
    iu_field one[] = {{"x", iu__type_ref(&ts, i + 1)}};
    types[i] = iu__type_product(&ts, 1, one);
  }
  types[N] = scalar(IU_T_U8);
  ts.types = types;
  ts.count = N + 1;
  assert_int_equal(iu__typespace_link(&ts, NULL), IU_OK);
  iu_buf out = {0};
  iu_error err;
  iu_reader r = iu__reader("\7", 1);
  assert_int_equal(iu__sats_to_json(types[0], &r, IU_SJ_TYPED, &out, &err), IU_E_VALIDATION);
  assert_non_null(strstr(err.message, "512 deep"));
  iu__buf_reset(&out);
  r = iu__reader("\7", 1);
  assert_int_equal(iu__sats_to_json(types[N - 100], &r, IU_SJ_UNTYPED, &out, &err), IU_OK);
  assert_int_equal(out.len, 201);
  iu__buf_free(&out);
  free(types);
  iu__typespace_free(&ts);
}

static void a_full_buffer_is_reported(void **state) {
  (void)state;
  iu_typespace ts = {0};
  const iu_type *t = iu__type_array(&ts, scalar(IU_T_U16));
  bytes_of b = unhex("0500000001000200030004000500");
  iu_buf out;
  iu__buf_init(&out, 5);
  iu_reader r = iu__reader(b.p, b.len);
  assert_int_equal(iu__sats_to_json(t, &r, IU_SJ_TYPED, &out, NULL), IU_E_OVERLOADED);
  iu__buf_free(&out);
  free(b.p);
  iu__typespace_free(&ts);
}

/* Random bytes that happen to be a value: to JSON of two styles and back gives the same bytes. */
static void random_values_come_back_from_both_styles(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  iu_typespace ts = {0};
  iu_field fields[] = {{"a", scalar(IU_T_I8)}, {"b", iu__type_option(&ts, scalar(IU_T_U64))}, {"c", colour(&ts)},
                       {"d", iu__type_array(&ts, scalar(IU_T_I256))}, {"e", special(IU_S_BYTES)}, {"f", scalar(IU_T_I128)},
                       {"g", iu__type_array(&ts, special(IU_S_UNIT))}, {"h", special(IU_S_SCHEDULE_AT)}};
  const iu_type *t = iu__type_product(&ts, 8, fields);
  unsigned good = 0;
  for (int round = 0; round < 60000; round++) {
    uint8_t bytes[160];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = test_random(&seed) % 2 ? (uint8_t)(test_random(&seed) % 3) : 0;
    iu_reader r = iu__reader(bytes, sizeof bytes);
    if (iu__bsatn_check(t, &r, NULL) != IU_OK) continue;
    size_t len = iu__reader_offset(&r);
    good++;
    for (int style = IU_SJ_TYPED; style <= IU_SJ_ARGUMENTS; style++) {
      iu_buf json = {0}, back = {0};
      iu_error err;
      r = iu__reader(bytes, len);
      assert_int_equal(iu__sats_to_json(t, &r, (iu_sats_json_style)style, &json, &err), IU_OK);
      if (iu__sats_from_json(t, json.data, json.len, &back, &err) != IU_OK) fail_msg("%s", err.message);
      assert_int_equal(back.len, len);
      assert_memory_equal(back.data, bytes, len);
      iu__buf_free(&json);
      iu__buf_free(&back);
    }
  }
  assert_true(good > 50);
  iu__typespace_free(&ts);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(people_read_it_without_wrapping),
      cmocka_unit_test(sums_without_names_are_pairs),
      cmocka_unit_test(floats_have_the_fewest_digits_of_their_width),
      cmocka_unit_test(every_sort_of_single_comes_back),
      cmocka_unit_test(bad_bytes_are_refused_and_nothing_is_passed),
      cmocka_unit_test(json_out_of_proportion_is_refused),
      cmocka_unit_test(depth_is_bounded_for_plain_types_too),
      cmocka_unit_test(a_full_buffer_is_reported),
      cmocka_unit_test(random_values_come_back_from_both_styles),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
