/* The total order of values: ladders of ascending values per type, every pair compared both ways. */
#include "../../core/sats/bsatn.h"
#include "sats_fixture.h"

static void assert_ladder(const iu_type *t, size_t n, const char *const *hex) {
  for (size_t i = 0; i < n; i++) {
    bytes_of a = unhex(hex[i]);
    assert_int_equal(iu__bsatn_check_all(t, a.p, a.len, NULL), IU_OK);
    for (size_t j = 0; j < n; j++) {
      bytes_of b = unhex(hex[j]);
      int want = (i > j) - (i < j), got = iu__bsatn_compare(t, (iu_slice){a.p, a.len}, (iu_slice){b.p, b.len});
      if (got != want) fail_msg("%s against %s of %s: %d, not %d", hex[i], hex[j], iu__type_label(t), got, want);
      free(b.p);
    }
    free(a.p);
  }
}
#define LADDER(t, ...)                                          \
  do {                                                          \
    static const char *const steps[] = {__VA_ARGS__};           \
    assert_ladder((t), sizeof steps / sizeof *steps, steps);    \
  } while (0)

static void integers_go_by_value(void **state) {
  (void)state;
  LADDER(scalar(IU_T_BOOL), "00", "01");
  LADDER(scalar(IU_T_U8), "00", "01", "7f", "80", "ff");
  LADDER(scalar(IU_T_I8), "80", "ff", "00", "01", "7f");
  LADDER(scalar(IU_T_U16), "0000", "ff00", "0001", "ff7f", "0080", "ffff");
  LADDER(scalar(IU_T_I16), "0080", "feff", "ffff", "0000", "ff00", "0001", "ff7f");
  LADDER(scalar(IU_T_U32), "00000000", "ff000000", "00010000", "ffffff7f", "00000080", "ffffffff");
  LADDER(scalar(IU_T_I32), "00000080", "ffffffff", "00000000", "ff000000", "00010000", "ffffff7f");
  LADDER(scalar(IU_T_U64), "0000000000000000", "ff00000000000000", "0001000000000000", "0000000000000080", "ffffffffffffffff");
  LADDER(scalar(IU_T_I64), "0000000000000080", "ffffffffffffffff", "0000000000000000", "0001000000000000", "ffffffffffffff7f");
  LADDER(scalar(IU_T_U128), "00000000000000000000000000000000", "ff000000000000000000000000000000",
         "00000000000000000100000000000000", "00000000000000000000000000000080");
  LADDER(scalar(IU_T_I128), "00000000000000000000000000000080", "ffffffffffffffffffffffffffffffff",
         "00000000000000000000000000000000", "00000000000000000100000000000000");
  LADDER(scalar(IU_T_I256), "0000000000000000000000000000000000000000000000000000000000000080",
         "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
         "0000000000000000000000000000000000000000000000000000000000000000",
         "0000000000000000000000000000000001000000000000000000000000000000");
  LADDER(special(IU_S_TIMESTAMP), "feffffffffffffff", "00401e18240a0600");
  LADDER(special(IU_S_IDENTITY), "0100000000000000000000000000000000000000000000000000000000000000",
         "0000000000000000000000000000000000000000000000000000000000000001");
}

static void floats_go_by_value_and_bits_where_values_tie(void **state) {
  (void)state;
  /* -NaN -inf -2.5 -1 -denormal -0 0 denormal 1 2.5 inf NaN */
  LADDER(scalar(IU_T_F32), "0000c0ff", "000080ff", "000020c0", "000080bf", "01000080", "00000080", "00000000", "01000000",
         "0000803f", "00002040", "0000807f", "0000c07f");
  LADDER(scalar(IU_T_F64), "000000000000f8ff", "000000000000f0ff", "00000000000004c0", "000000000000f0bf", "0100000000000080",
         "0000000000000080", "0000000000000000", "0100000000000000", "000000000000f03f", "0000000000000440", "000000000000f07f",
         "000000000000f87f");
}

static void strings_and_bytes_go_by_bytes_then_length(void **state) {
  (void)state;
  LADDER(scalar(IU_T_STRING), "00000000", "0100000000", "010000004a", "0100000061", "020000006161", "030000006161" "7a",
         "020000006162", "0100000062", "02000000c3a9");
  LADDER(special(IU_S_BYTES), "00000000", "0100000000", "020000000000", "0100000001", "010000007f", "0100000080", "01000000ff");
}

static void compounds_go_part_by_part(void **state) {
  (void)state;
  iu_typespace ts = {0};
  LADDER(user_row(&ts), "0000000000000000", "070000000100000061", "07000000020000006161", "0000010000000000");
  LADDER(iu__type_array(&ts, scalar(IU_T_I16)), "00000000", "01000000ffff", "020000000000ffff", "0200000000000000", "010000000100");
  LADDER(iu__type_array(&ts, scalar(IU_T_STRING)), "00000000", "0100000000000000", "020000000000000000000000", "01000000" "0100000061");
  LADDER(iu__type_array(&ts, special(IU_S_UNIT)), "00000000", "01000000", "02000000", "00010000");
  LADDER(colour(&ts), "00", "01010203", "01010300", "01020000", "0200000000", "020100000078");
  LADDER(iu__type_option(&ts, scalar(IU_T_U32)), "0000000000", "0005000000", "01"); /* by tag: some before none */
  LADDER(special(IU_S_SCHEDULE_AT), "0040420f0000000000", "0100000000000000" "80", "0100401e18240a0600");
  iu__typespace_free(&ts);
}

static void units_are_all_the_same(void **state) {
  (void)state;
  iu_slice nothing = {NULL, 0};
  assert_int_equal(iu__bsatn_compare(special(IU_S_UNIT), nothing, nothing), 0);
}

/* Sorting random rows by compare gives the order of their columns. */
static void random_rows_sort_consistently(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  iu_typespace ts = {0};
  iu_field fields[] = {{"a", scalar(IU_T_I16)}, {"b", scalar(IU_T_STRING)}, {"c", scalar(IU_T_F64)}};
  const iu_type *row = iu__type_product(&ts, 3, fields);
  enum { N = 60 };
  iu_buf rows[N] = {{0}};
  int16_t a[N];
  double c[N];
  char b[N];
  for (int i = 0; i < N; i++) {
    a[i] = (int16_t)((int)(test_random(&seed) % 5) - 2);
    b[i] = (char)('a' + test_random(&seed) % 3);
    c[i] = (double)(int64_t)(test_random(&seed) % 7) - 3.5;
    uint64_t bits;
    memcpy(&bits, &c[i], 8);
    iu__buf_put_u16(&rows[i], (uint16_t)a[i]);
    iu__buf_put_bytes(&rows[i], &b[i], 1);
    iu__buf_put_u64(&rows[i], bits);
  }
  for (int i = 0; i < N; i++) {
    for (int j = 0; j < N; j++) {
      int want = a[i] != a[j] ? (a[i] > a[j] ? 1 : -1) : b[i] != b[j] ? (b[i] > b[j] ? 1 : -1) : (c[i] > c[j]) - (c[i] < c[j]);
      assert_int_equal(iu__bsatn_compare(row, (iu_slice){rows[i].data, rows[i].len}, (iu_slice){rows[j].data, rows[j].len}), want);
    }
  }
  for (int i = 0; i < N; i++) iu__buf_free(&rows[i]);
  iu__typespace_free(&ts);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(integers_go_by_value),
      cmocka_unit_test(floats_go_by_value_and_bits_where_values_tie),
      cmocka_unit_test(strings_and_bytes_go_by_bytes_then_length),
      cmocka_unit_test(compounds_go_part_by_part),
      cmocka_unit_test(units_are_all_the_same),
      cmocka_unit_test(random_rows_sort_consistently),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
