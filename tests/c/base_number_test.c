/* Doubles as text: known forms, then against the C library (whose strtod and printf round correctly): every text reads back, none is
 * longer than need be, each is the closest of its length, and any text parses to the double that strtod gives. */
#include "base_fixture.h"

#include <math.h>

#include "../../core/base/text.h"

static void assert_prints(double v, const char *expected) {
  char text[IU_F64_TEXT_MAX + 1];
  size_t n = iu__f64_format(v, text);
  text[n] = 0;
  assert_string_equal(text, expected);
}

static void doubles_print_like_pythons_repr(void **state) {
  (void)state;
  assert_prints(0.0, "0.0");
  assert_prints(-0.0, "-0.0");
  assert_prints(1.0, "1.0");
  assert_prints(-1.5, "-1.5");
  assert_prints(0.1, "0.1");
  assert_prints(0.30000000000000004, "0.30000000000000004");
  assert_prints(100.0, "100.0");
  assert_prints(123456789012345680.0, "1.2345678901234568e+17");
  assert_prints(9007199254740991.0, "9007199254740991.0");
  assert_prints(9007199254740992.0, "9007199254740992.0");
  assert_prints(9999999999999998.0, "9999999999999998.0");
  assert_prints(1e16, "1e+16");
  assert_prints(1.5e16, "1.5e+16");
  assert_prints(1e22, "1e+22");
  assert_prints(1e23, "1e+23");
  assert_prints(9.5e22, "9.5e+22");
  assert_prints(1.5e300, "1.5e+300");
  assert_prints(0.001, "0.001");
  assert_prints(0.0001, "0.0001");
  assert_prints(0.00012345, "0.00012345");
  assert_prints(0.00001, "1e-05");
  assert_prints(1e-7, "1e-07");
  assert_prints(1.25e-10, "1.25e-10");
  assert_prints(5e-324, "5e-324");
  assert_prints(1e-323, "1e-323");
  assert_prints(2.2250738585072014e-308, "2.2250738585072014e-308");
  assert_prints(2.225073858507201e-308, "2.225073858507201e-308");
  assert_prints(1.7976931348623157e308, "1.7976931348623157e+308");
  assert_prints(-1.7976931348623157e308, "-1.7976931348623157e+308");
  assert_prints(ldexp(1, -44), "5.684341886080802e-14"); /* the interval below a power of two is half as wide */
  assert_prints(ldexp(1, -1022), "2.2250738585072014e-308");
  assert_prints(ldexp(1, 1023), "8.98846567431158e+307");
  assert_prints(9.007199254740993e15, "9007199254740992.0");
  assert_prints(4.35, "4.35");
  assert_prints(3.141592653589793, "3.141592653589793");
}

/* Digits of a %.*e text or of ours without point, sign, exponent, and leading and trailing zeros. */
static size_t significant(const char *text, char *out) {
  size_t n = 0;
  for (; *text != 0 && *text != 'e'; text++)
    if (*text >= '0' && *text <= '9' && (n > 0 || *text != '0')) out[n++] = *text;
  while (n > 1 && out[n - 1] == '0') n--;
  out[n] = 0;
  return n;
}

static void assert_shortest(double v) {
  char text[IU_F64_TEXT_MAX + 1], ours[64], digits[64], shorter[64];
  size_t n = iu__f64_format(v, text), count;
  double back;
  bool power_of_two = (bits_of(v) & ((UINT64_C(1) << 52) - 1)) == 0;

  text[n] = 0;
  if (strtod(text, NULL) != v || !iu__f64_parse(text, n, &back) || bits_of(back) != bits_of(v))
    fail_msg("%a printed as %s does not come back", v, text);
  count = significant(text, ours);
  if (v == 0) return;
  snprintf(digits, sizeof digits, "%.*e", (int)count - 1, v);
  significant(digits, shorter);
  /* At a power of two the closest text may lie outside the narrow side; the next one is then the closest that comes back. */
  if (strcmp(ours, shorter) != 0 && !(power_of_two && strtod(digits, NULL) != v))
    fail_msg("%a printed as %s where %s is closer", v, text, digits);
  if (count == 1) return;
  snprintf(digits, sizeof digits, "%.*e", (int)count - 2, v);
  if (strtod(digits, NULL) == v) fail_msg("%a printed as %s where %s would do", v, text, digits);
}

static void every_exponent_prints_shortest(void **state) {
  random_source rnd = random_begin("exponents");
  uint64_t exponent;
  int i, rounds = SLOW_BUILD ? 5 : 40;
  (void)state;
  for (exponent = 0; exponent < 2047; exponent++) {
    assert_shortest(double_of(exponent << 52));
    assert_shortest(double_of(exponent << 52 | 1));
    assert_shortest(double_of(exponent << 52 | ((UINT64_C(1) << 52) - 1)));
    for (i = 0; i < rounds; i++) assert_shortest(double_of(exponent << 52 | (random_next(&rnd) >> 12)));
  }
  for (i = 0; i < 52; i++) assert_shortest(double_of(UINT64_C(1) << i));
}

static void short_decimals_print_as_written(void **state) {
  random_source rnd = random_begin("decimals");
  int i;
  (void)state;
  for (i = 0; i < 100000; i++) {
    char text[64];
    int decimals = (int)random_below(&rnd, 4) + 1;
    uint64_t scale = decimals == 1 ? 10 : decimals == 2 ? 100 : decimals == 3 ? 1000 : 10000;
    uint64_t whole = random_below(&rnd, 1000000), part = random_below(&rnd, scale);
    if (part % 10 == 0) continue;
    snprintf(text, sizeof text, "%llu.%0*llu", (unsigned long long)whole, decimals, (unsigned long long)part);
    if (whole == 0 && part * 10000 / scale < 1) continue;
    assert_prints(strtod(text, NULL), text);
  }
}

static void assert_parses_as_strtod(const char *text) {
  double mine = -1, theirs = strtod(text, NULL);
  if (!iu__f64_parse(text, strlen(text), &mine)) fail_msg("%s is refused", text);
  if (bits_of(mine) != bits_of(theirs)) fail_msg("%s: %a instead of %a", text, mine, theirs);
}

static void known_hard_numbers_parse(void **state) {
  static const char *texts[] = {
      "0", "-0", "0.0", "-0.0", "0e5", "0.000e-999999999999", "1", "-1", "1e0", "1E+2", "1e-2", "12.5e3", "9007199254740993",
      "9007199254740993.0", "9007199254740992.9999999999999999", "9007199254740993.00000000000000000000000000000000000001",
      "9007199254740995", "1e22", "1e23", "8.5e22", "123456789012345678901234567890", "0.1", "0.30000000000000004",
      "2.2250738585072011e-308", "2.2250738585072012e-308", "2.2250738585072014e-308", "4.9e-324", "5e-324", "2.4703282292062327e-324",
      "2.4703282292062328e-324", "2.47032822920623272088284396434110686182e-324", "1e-324", "3e-324", "1e-400", "1.7976931348623157e308",
      "1.7976931348623158e308", "1.7976931348623159e308", "179769313486231580793e289", "1e308", "1e309", "-1e400", "1e99999999999999999999",
      "1e-99999999999999999999", "6.631236846766476e-316", "3.237883913302901289588352412501532174863037669423108059901297049552301970670676565786835"
      "7425877995578606157765598382834355143910841531692526891905643964595773946180389283653051434639551003566966656292020173313440317"
      "3004436936020529160839176870000000000000e-319", "1e-292", "9e-293", "1e292", "1.5e-293", "9223372036854775807.5",
      "10000000000000000000000000000000000000000000000000000000.5", "0.00000000000000000000000000000000000000000000000000000000000001e60",
      "17976931348623157081452742373170435679807056752584499659891747680315726078002853876058955863276687817154045895351438246423432132"
      "68894641827684675467035375169860499105765512820762454900903893289440758685084551339423045832369032229481658085593321233477479"
      "7926144e0"};
  size_t i;
  (void)state;
  for (i = 0; i < sizeof texts / sizeof *texts; i++) assert_parses_as_strtod(texts[i]);
}

/* The exact decimal expansion of the middle between two neighbours, one digit more, one less. */
static void middles_between_doubles_parse(void **state) {
  random_source rnd = random_begin("middles");
  static char text[2600];
  int i, rounds = SLOW_BUILD ? 2000 : 20000;
  (void)state;
  for (i = 0; i < rounds; i++) {
    uint64_t u = random_next(&rnd) >> 1;
    double a, b;
    size_t end;
    if (i % 4 == 0) u &= (UINT64_C(1) << (random_below(&rnd, 52) + 1)) - 1; /* subnormals */
    if (i % 4 == 1) u = (u & ((UINT64_C(1) << 52) - 1)) | (random_below(&rnd, 120) + 1000) << 52;
    a = double_of(u);
    b = double_of(u + 1);
    if (!isfinite(a) || !isfinite(b)) continue;
    snprintf(text, sizeof text, "%.1100Lf", ((long double)a + (long double)b) / 2);
    assert_parses_as_strtod(text);
    end = strlen(text);
    while (text[end - 1] == '0' && text[end - 2] != '.') end--;
    strcpy(text + end, "00000000000000000000000000000001");
    assert_parses_as_strtod(text);
    text[end] = 0;
    if (text[end - 1] != '0') {
      text[end - 1]--;
      assert_parses_as_strtod(text);
    }
  }
}

static void random_texts_parse_as_strtod_does(void **state) {
  random_source rnd = random_begin("texts");
  int i, rounds = SLOW_BUILD ? 50000 : 500000;
  (void)state;
  for (i = 0; i < rounds; i++) {
    static char text[1200];
    double d = double_of(random_next(&rnd));
    unsigned long long a = random_next(&rnd) >> random_below(&rnd, 64), b = random_next(&rnd) >> random_below(&rnd, 64);
    int e = (int)random_below(&rnd, 760) - 390;
    if (!isfinite(d)) continue;
    switch (i % 5) {
    case 0: snprintf(text, sizeof text, "%.*e", (int)random_below(&rnd, 25), d); break;
    case 1: snprintf(text, sizeof text, "%llu%llue%d", a + 1, b, e); break;
    case 2: snprintf(text, sizeof text, "%llu.%llu", a, b); break;
    case 3: snprintf(text, sizeof text, "-0.%llue-%d", b, (int)random_below(&rnd, 40) + 290); break;
    default: snprintf(text, sizeof text, "%.*e", (int)random_below(&rnd, i % 100 == 4 ? 1000 : 20), d); break;
    }
    assert_parses_as_strtod(text);
  }
}

static void what_is_no_json_number_is_refused(void **state) {
  static const char *texts[] = {"", "-", "+1", "01", "-01", "1.", ".5", "-.5", "1e", "1e+", "1e-", "1.e5", "1e5.", "1e5.0", "0x10", "inf", "nan",
                                "Infinity", " 1", "1 ", "1,5", "1_000", "--1", "1-", "1e5e5", "1.5.5", "\xD9\xA1"};
  double d;
  size_t i;
  (void)state;
  for (i = 0; i < sizeof texts / sizeof *texts; i++)
    if (iu__f64_parse(texts[i], strlen(texts[i]), &d)) fail_msg("%s is accepted", texts[i]);
  assert_false(iu__f64_parse("1\0", 2, &d));
  assert_true(iu__f64_parse("1e400", 5, &d));
  assert_true(isinf(d) && d > 0);
  assert_true(iu__f64_parse("-1e400", 6, &d));
  assert_true(isinf(d) && d < 0);
}

static void megabytes_of_digits_parse(void **state) {
  size_t zeros = 2000000;
  char *text = malloc(zeros + 64);
  double d;
  (void)state;
  assert_non_null(text);
  memset(text, '0', zeros + 64);
  text[1] = '.';
  memcpy(text + zeros, "25e2000001", 10); /* 0.00...0025 * 10^2000001, the 5 in decimal place 2000000 */
  assert_true(iu__f64_parse(text, zeros + 10, &d));
  assert_true(d == 250.0);
  memset(text, '0', zeros);
  text[0] = '1';
  memcpy(text + zeros, "e-2000000", 9);
  assert_true(iu__f64_parse(text, zeros + 9, &d));
  assert_true(d == 0.1);
  memset(text, '9', zeros);
  memcpy(text + zeros, "e-2000000", 9);
  assert_true(iu__f64_parse(text, zeros + 9, &d));
  assert_true(d == 1.0);
  free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(doubles_print_like_pythons_repr),
      cmocka_unit_test(every_exponent_prints_shortest),
      cmocka_unit_test(short_decimals_print_as_written),
      cmocka_unit_test(known_hard_numbers_parse),
      cmocka_unit_test(middles_between_doubles_parse),
      cmocka_unit_test(random_texts_parse_as_strtod_does),
      cmocka_unit_test(what_is_no_json_number_is_refused),
      cmocka_unit_test(megabytes_of_digits_parse),
  };
  return cmocka_run_group_tests_name("base_number", tests, NULL, NULL);
}
