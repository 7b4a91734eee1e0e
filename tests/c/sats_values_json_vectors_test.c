/* The value vectors of the sheet (12.1): JSON to BSATN and BSATN to JSON, typed and positional. */
#include "sats_values_json_fixture.h"

static void json_gives_the_hex_of_the_sheet(void **state) {
  (void)state;
  iu_typespace ts = {0};
  vector v[48];
  size_t n = value_vectors(&ts, v);
  assert_int_equal(n, 42);
  for (size_t i = 0; i < n; i++) {
    assert_reads(v[i].type, v[i].typed, v[i].hex);
    assert_reads(v[i].type, v[i].untyped, v[i].hex);
  }
  iu__typespace_free(&ts);
}

static void hex_gives_the_json_of_the_sheet(void **state) {
  (void)state;
  iu_typespace ts = {0};
  vector v[48];
  size_t n = value_vectors(&ts, v);
  for (size_t i = 0; i < n; i++) {
    assert_writes(v[i].type, v[i].hex, IU_SJ_TYPED, v[i].typed);
    assert_writes(v[i].type, v[i].hex, IU_SJ_UNTYPED, v[i].untyped);
  }
  assert_writes(scalar(IU_T_F32), "0000c07f", IU_SJ_TYPED, "null"); /* V43: a NaN has no JSON number */
  iu__typespace_free(&ts);
}

static void reducer_arguments_read_by_place_or_name(void **state) {
  (void)state;
  iu_typespace ts = {0};
  iu_field fields[] = {{"name", scalar(IU_T_STRING)}, {"age", scalar(IU_T_U8)}};
  const iu_type *params = iu__type_product(&ts, 2, fields);
  assert_reads(params, "[\"Bob\", 7]", "03000000426f6207");
  assert_reads(params, "{\"name\":\"Bob\",\"age\":7}", "03000000426f6207");
  assert_reads(params, " { \"age\" : 7 , \"name\" : \"Bob\" } ", "03000000426f6207");
  iu__typespace_free(&ts);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(json_gives_the_hex_of_the_sheet),
      cmocka_unit_test(hex_gives_the_json_of_the_sheet),
      cmocka_unit_test(reducer_arguments_read_by_place_or_name),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
