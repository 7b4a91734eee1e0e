/* JSON to values: every spelling that is accepted, and what is said about the rest. */
#include "../../core/base/errinj.h"
#include "sats_values_json_fixture.h"

static void integers_fit_their_type_exactly(void **state) {
  (void)state;
  static const struct { iu_type_tag tag; const char *low, *low_hex, *high, *high_hex, *under, *over; } v[] = {
      {IU_T_U8, "0", "00", "255", "ff", "-1", "256"},
      {IU_T_I8, "-128", "80", "127", "7f", "-129", "128"},
      {IU_T_U16, "0", "0000", "65535", "ffff", "-1", "65536"},
      {IU_T_I16, "-32768", "0080", "32767", "ff7f", "-32769", "32768"},
      {IU_T_U32, "0", "00000000", "4294967295", "ffffffff", "-1", "4294967296"},
      {IU_T_I32, "-2147483648", "00000080", "2147483647", "ffffff7f", "-2147483649", "2147483648"},
      {IU_T_U64, "0", "0000000000000000", "18446744073709551615", "ffffffffffffffff", "-1", "18446744073709551616"},
      {IU_T_I64, "-9223372036854775808", "0000000000000080", "9223372036854775807", "ffffffffffffff7f", "-9223372036854775809",
       "9223372036854775808"},
      {IU_T_U128, "0", "00000000000000000000000000000000", "340282366920938463463374607431768211455",
       "ffffffffffffffffffffffffffffffff", "-1", "340282366920938463463374607431768211456"},
      {IU_T_I128, "-170141183460469231731687303715884105728", "00000000000000000000000000000080",
       "170141183460469231731687303715884105727", "ffffffffffffffffffffffffffffff7f", "-170141183460469231731687303715884105729",
       "170141183460469231731687303715884105728"},
  };
  for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
    const iu_type *t = scalar(v[i].tag);
    assert_reads(t, v[i].low, v[i].low_hex);
    assert_writes(t, v[i].low_hex, IU_SJ_TYPED, v[i].low);
    assert_reads(t, v[i].high, v[i].high_hex);
    assert_writes(t, v[i].high_hex, IU_SJ_TYPED, v[i].high);
    assert_refuses(t, v[i].under, iu__type_label(t));
    assert_refuses(t, v[i].over, iu__type_label(t));
    assert_refuses(t, "1.0", iu__type_label(t));
    assert_refuses(t, "1e2", iu__type_label(t));
    assert_refuses(t, "\"1\"", iu__type_label(t));
    assert_refuses(t, "null", "found null");
  }
  assert_refuses(scalar(IU_T_U8), "300", "expected U8, found the integer 300");
}

static void wide_integers_are_hex_with_a_prefix(void **state) {
  (void)state;
  const iu_type *u = scalar(IU_T_U256), *i = scalar(IU_T_I256);
  assert_reads(u, "\"0x0\"", "0000000000000000000000000000000000000000000000000000000000000000");
  assert_reads(u, "\"0xFf\"", "ff00000000000000000000000000000000000000000000000000000000000000");
  assert_reads(i, "\"0x10\"", "1000000000000000000000000000000000000000000000000000000000000000");
  assert_reads(i, "\"-0x1\"", "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff");
  static const char *const bad[] = {"\"ff\"", "\"0x\"", "\"\"", "\"-0x\"", "\"0xg\"", "\"12\"", "12", "\"0x 1\"", "\"x1\"", "[]",
      "\"0x10000000000000000000000000000000000000000000000000000000000000000\""};
  for (size_t n = 0; n < sizeof bad / sizeof *bad; n++) {
    assert_refuses(u, bad[n], "U256");
    assert_refuses(i, bad[n], "I256");
  }
  assert_refuses(u, "\"-0x1\"", "U256");
}

static void floats_take_any_number_in_range(void **state) {
  (void)state;
  const iu_type *f = scalar(IU_T_F32), *d = scalar(IU_T_F64);
  assert_reads(d, "1", "000000000000f03f");
  assert_reads(d, "-0.0", "0000000000000080");
  assert_reads(d, "-0", "0000000000000000");
  assert_reads(d, "9007199254740993", "0000000000004043");
  assert_reads(d, "18446744073709551616", "000000000000f043");
  assert_reads(d, "1e308", "a0c8eb85f3cce17f");
  assert_reads(f, "0.1", "cdcccc3d");
  assert_reads(f, "16777217", "0000804b");
  assert_reads(f, "3.4028235e38", "ffff7f7f");
  assert_refuses(f, "3.5e38", "expected F32, found the number 3.5e+38");
  assert_refuses(f, "1e300", "F32");
  assert_refuses(d, "null", "F64");
  assert_refuses(d, "\"1\"", "F64");
  char many[402];
  memset(many, '9', 401);
  many[401] = '\0';
  assert_refuses(d, many, "F64");
  assert_refuses(f, many, "F32");
}

static void bytes_are_hex_or_numbers(void **state) {
  (void)state;
  const iu_type *t = special(IU_S_BYTES);
  assert_reads(t, "\"\"", "00000000");
  assert_reads(t, "[]", "00000000");
  assert_reads(t, "\"00fFAb\"", "0300000000ffab");
  assert_reads(t, "[0,255,171]", "0300000000ffab");
  assert_refuses(t, "\"0\"", "hex");
  assert_refuses(t, "\"0x00\"", "hex");
  assert_refuses(t, "\"zz\"", "hex");
  assert_refuses(t, "[256]", "[0]: expected U8");
  assert_refuses(t, "7", "bytes");
}

static void options_need_their_some(void **state) {
  (void)state;
  iu_typespace ts = {0};
  const iu_type *t = iu__type_option(&ts, scalar(IU_T_U32)), *nested = iu__type_option(&ts, t);
  assert_reads(t, "null", "01");
  assert_reads(t, "{\"none\":[]}", "01");
  assert_reads(t, "{\"none\":{}}", "01");
  assert_reads(t, "[1,[]]", "01");
  assert_reads(t, "{\"some\":5}", "0005000000");
  assert_reads(t, "[0,5]", "0005000000");
  assert_reads(t, "[\"some\",5]", "0005000000");
  assert_reads(nested, "null", "01");
  assert_reads(nested, "{\"some\":null}", "0001");
  assert_refuses(t, "5", "expected {\"some\": value}, null or [variant, value] for Option, found the integer 5");
  assert_refuses(t, "{\"some\":null}", "some: expected U32, found null");
  assert_refuses(t, "{\"none\":null}", "none: expected unit, found null");
  assert_refuses(t, "{\"some\":5,\"none\":[]}", "an object of 2");
  assert_refuses(t, "{}", "an object of 0");
  iu__typespace_free(&ts);
}

static void variants_go_by_name_or_tag(void **state) {
  (void)state;
  iu_typespace ts = {0};
  const iu_type *t = colour(&ts);
  assert_reads(t, "{\"2\":\"x\"}", "020100000078");
  assert_reads(t, "[2,\"x\"]", "020100000078");
  assert_reads(t, "[\"Named\",\"x\"]", "020100000078");
  assert_reads(t, "[\"2\",\"x\"]", "020100000078");
  assert_reads(t, "{\"Rgb\":[1,2,3]}", "01010203");
  assert_reads(t, "{\"1\":{\"b\":3,\"g\":2,\"r\":1}}", "01010203");
  assert_reads(t, "{\"Red\":{}}", "00");
  assert_refuses(t, "{\"3\":\"x\"}", "unknown variant `3`");
  assert_refuses(t, "{\"red\":[]}", "unknown variant `red`");
  assert_refuses(t, "{\"\":[]}", "unknown variant");
  assert_refuses(t, "{\"0000\":[]}", "unknown variant");
  assert_refuses(t, "[3,[]]", "tag or name");
  assert_refuses(t, "[-1,[]]", "tag or name");
  assert_refuses(t, "[0]", "an array of 1");
  assert_refuses(t, "\"Red\"", "the string \"Red\"");
  assert_refuses(t, "null", "null");
  assert_refuses(t, "{\"Rgb\":[1,2]}", "Rgb: expected an array of 3, found an array of 2");
  assert_refuses(iu__type_sum(&ts, 0, NULL), "[0,[]]", "tag or name");
  iu__typespace_free(&ts);
}

static void products_want_every_field_once(void **state) {
  (void)state;
  iu_typespace ts = {0};
  const iu_type *t = user_row(&ts);
  assert_refuses(t, "{\"id\":7}", "missing field `name`");
  assert_refuses(t, "{\"id\":7,\"name\":\"a\",\"more\":1}", "unknown field `more`");
  assert_refuses(t, "[7]", "an array of 2, found an array of 1");
  assert_refuses(t, "[7,\"a\",1]", "an array of 3");
  assert_refuses(t, "7", "an object or array");
  assert_reads(t, "{\"id\":1,\"name\":\"a\",\"id\":2}", "020000000100000061"); /* JSON's last one wins */
  iu_field half[] = {{"id", scalar(IU_T_U8)}, {NULL, scalar(IU_T_U8)}};
  const iu_type *unnamed = iu__type_product(&ts, 2, half);
  assert_reads(unnamed, "[1,2]", "0102");
  assert_writes(unnamed, "0102", IU_SJ_TYPED, "[1,2]");
  assert_refuses(unnamed, "{\"id\":1}", "not all fields have names");
  assert_reads(special(IU_S_UNIT), "{}", "");
  assert_refuses(special(IU_S_UNIT), "{\"a\":1}", "unknown field `a`");
  assert_refuses(special(IU_S_UNIT), "null", "expected unit");
  iu__typespace_free(&ts);
}

static void specials_are_objects_or_arrays_of_one(void **state) {
  (void)state;
  assert_reads(special(IU_S_TIMESTAMP), "[1700000000000000]", "00401e18240a0600");
  assert_refuses(special(IU_S_TIMESTAMP), "1700000000000000", "expected Timestamp");
  assert_refuses(special(IU_S_IDENTITY), "\"" IDENTITY_I "\"", "expected Identity");
  assert_refuses(special(IU_S_IDENTITY), "[\"" IDENTITY_I "\"]", "[0]: expected U256 as \"0x...\"");
  assert_refuses(special(IU_S_IDENTITY), "{\"__connection_id__\":1}", "missing field `__identity__`");
}

static void errors_name_the_path(void **state) {
  (void)state;
  iu_typespace ts = {0};
  iu_field meta[] = {{"tags", iu__type_array(&ts, scalar(IU_T_STRING))}, {"colour", iu__type_option(&ts, colour(&ts))}};
  iu_field row[] = {{"id", scalar(IU_T_U32)}, {"metadata", iu__type_product(&ts, 2, meta)}};
  const iu_type *t = iu__type_array(&ts, iu__type_product(&ts, 2, row));
  assert_refuses(t, "[{\"id\":1,\"metadata\":{\"tags\":[\"a\",5],\"colour\":null}}]",
                 "[0].metadata.tags[1]: expected String, found the integer 5");
  assert_refuses(t, "[[1,[[],null]],[1,[[],{\"some\":{\"Rgb\":[1,2,true]}}]]]", "[1][1][1].some.Rgb[2]: expected U8, found true");
  assert_refuses(t, "[{\"id\":1}]", "[0]: missing field `metadata`");
  assert_refuses(t, "{}", "expected an array, found an object of 0");
  /* long and odd keys are cut and escaped */
  assert_refuses(user_row(&ts), "{\"id\":1,\"name\":\"\",\"\\u0001aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\":1}", "\\x01aaa");
  assert_refuses(scalar(IU_T_U8), "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"", "...\"");
  iu__typespace_free(&ts);
}

static void text_that_is_no_json_is_refused(void **state) {
  (void)state;
  static const char *const bad[] = {"", " ", "{", "[1", "1 2", "nul", "\"\\ud800\"", "\"\xff\"", "[1,]"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_refuses(scalar(IU_T_STRING), bad[i], "");
}

/* types[0] = { next: Option<types[0]> } */
static const iu_type *recursive(iu_typespace *ts, const iu_type **types) {
  iu_field next[] = {{"next", iu__type_option(ts, iu__type_ref(ts, 0))}};
  types[0] = iu__type_product(ts, 1, next);
  ts->types = types;
  ts->count = 1;
  assert_int_equal(iu__typespace_link(ts, NULL), IU_OK);
  return types[0];
}

static void depth_is_bounded(void **state) {
  (void)state;
  iu_typespace ts = {0};
  const iu_type *types[1], *t = recursive(&ts, types);
  char json[8192], hex[256];
  for (int links = 1; links < 60; links++) {
    json[0] = hex[0] = '\0';
    for (int i = 0; i < links; i++) strcat(json, i + 1 < links ? "[[0," : "[null");
    for (int i = 0; i < links; i++) strcat(json, i + 1 < links ? "]]" : "]");
    for (int i = 0; i < links; i++) strcat(hex, i + 1 < links ? "00" : "01");
    if (2 * links <= IU_TYPE_DEPTH_MAX) assert_reads(t, json, hex);
    else assert_refuses(t, json, "64 deep");
  }
  iu__typespace_free(&ts);
}

static void mutated_json_never_crashes(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  iu_typespace ts = {0};
  vector v[48];
  size_t n = value_vectors(&ts, v);
  unsigned good = 0;
  for (int round = 0; round < 60000; round++) {
    const vector *one = &v[test_random(&seed) % n];
    const char *from = test_random(&seed) % 2 ? one->typed : one->untyped;
    size_t len = strlen(from);
    char *copy = malloc(len + 1);
    memcpy(copy, from, len);
    for (uint64_t m = test_random(&seed) % 3; m > 0; m--) {
      static const char likely[] = "[]{}:,\"0123456789-.eEnull tf\\xu";
      copy[test_random(&seed) % len] = likely[test_random(&seed) % (sizeof likely - 1)];
    }
    if (test_random(&seed) % 4 == 0) len = test_random(&seed) % (len + 1);
    copy = realloc(copy, len != 0 ? len : 1);
    iu_buf out = {0};
    iu_error err = {0};
    const iu_type *t = test_random(&seed) % 4 ? one->type : v[test_random(&seed) % n].type;
    if (iu__sats_from_json(t, copy, len, &out, &err) == IU_OK) {
      good++;
      assert_int_equal(iu__bsatn_check_all(t, out.data, out.len, &err), IU_OK);
    } else {
      assert_true(err.status == IU_E_VALIDATION && err.message[0] != '\0');
    }
    iu__buf_free(&out);
    free(copy);
  }
  assert_true(good > 1000);
  iu__typespace_free(&ts);
}

static void a_full_buffer_is_reported(void **state) {
  (void)state;
  iu_buf out;
  iu_error err = {0};
  iu__buf_init(&out, 10);
  const char *json = "\"more than ten bytes\"";
  assert_int_equal(iu__sats_from_json(scalar(IU_T_STRING), json, strlen(json), &out, &err), IU_E_OVERLOADED);
  iu__buf_free(&out);
  iu__buf_init(&out, 10);
  assert_int_equal(iu__sats_from_json(special(IU_S_BYTES), "\"000102030405060708090a\"", 24, &out, NULL), IU_E_OVERLOADED);
  iu__buf_free(&out);
}

#ifdef IU_ERRINJ
static void any_allocation_may_fail(void **state) {
  (void)state;
  iu_typespace ts = {0};
  const iu_type *t = iu__type_array(&ts, user_row(&ts));
  const char *json = "[{\"id\":7,\"name\":\"B\\u006fb\"},[8,\"Al\"]]";
  bool done = false;
  for (long after = 0; !done; after++) {
    iu_buf out = {0};
    iu_error err = {0};
    iu__errinj_arm(IU_ERRINJ_ALLOC, after);
    iu_status status = iu__sats_from_json(t, json, strlen(json), &out, &err);
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    done = status == IU_OK;
    if (!done) assert_int_equal(status, IU_E_NOMEM);
    iu__buf_free(&out);
    assert_true(after < 1000);
  }
  iu__typespace_free(&ts);
}
#endif

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(integers_fit_their_type_exactly),
      cmocka_unit_test(wide_integers_are_hex_with_a_prefix),
      cmocka_unit_test(floats_take_any_number_in_range),
      cmocka_unit_test(bytes_are_hex_or_numbers),
      cmocka_unit_test(options_need_their_some),
      cmocka_unit_test(variants_go_by_name_or_tag),
      cmocka_unit_test(products_want_every_field_once),
      cmocka_unit_test(specials_are_objects_or_arrays_of_one),
      cmocka_unit_test(errors_name_the_path),
      cmocka_unit_test(text_that_is_no_json_is_refused),
      cmocka_unit_test(depth_is_bounded),
      cmocka_unit_test(mutated_json_never_crashes),
      cmocka_unit_test(a_full_buffer_is_reported),
#ifdef IU_ERRINJ
      cmocka_unit_test(any_allocation_may_fail),
#endif
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
