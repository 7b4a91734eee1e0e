/* Types: the sheet's vectors (12.2) both ways, recognition of the specials, sizes, words, and bytes nobody should send. */
#include "sats_fixture.h"

static const iu_type *decode_hex(iu_typespace *ts, const char *hex, iu_error *err) {
  bytes_of b = unhex(hex);
  iu_reader r = iu__reader(b.p, b.len);
  const iu_type *t = iu__type_decode(ts, &r, err);
  if (t != NULL) assert_int_equal(iu__reader_left(&r), 0);
  free(b.p);
  return t;
}

static void assert_encodes(const iu_type *t, const char *hex) {
  iu_buf out = {0};
  iu__type_encode(t, &out);
  assert_hex(out.data, out.len, hex);
  iu__buf_free(&out);
}

static void assert_words(const iu_type *t, const char *words) {
  iu_buf out = {0};
  iu__type_describe(t, &out);
  iu__buf_put_u8(&out, 0);
  assert_string_equal((const char *)out.data, words);
  iu__buf_free(&out);
}

static void types_encode_and_decode_as_the_sheet_says(void **state) {
  (void)state;
  iu_typespace ts = {0};
  iu_field unnamed = {NULL, scalar(IU_T_U8)};
  struct { const iu_type *type; const char *hex, *words; } v[] = {
      {iu__type_ref(&ts, 5), "0005000000", "Ref(5)"},
      {scalar(IU_T_STRING), "04", "String"},
      {scalar(IU_T_BOOL), "05", "Bool"},
      {scalar(IU_T_U32), "0b", "U32"},
      {scalar(IU_T_F64), "13", "F64"},
      {scalar(IU_T_U256), "11", "U256"},
      {special(IU_S_BYTES), "0307", "Array<U8>"},
      {special(IU_S_UNIT), "0200000000", "()"},
      {special(IU_S_IDENTITY), "0201000000000c0000005f5f6964656e746974795f5f11", "Identity"},
      {iu__type_option(&ts, scalar(IU_T_U32)), "01020000000004000000736f6d650b00040000006e6f6e650200000000", "Option<U32>"},
      {iu__type_product(&ts, 1, &unnamed), "02010000000107", "(U8)"},
  };
  for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
    iu_error err;
    const iu_type *t = decode_hex(&ts, v[i].hex, &err);
    assert_non_null(t);
    assert_encodes(v[i].type, v[i].hex);
    assert_encodes(t, v[i].hex);
    assert_words(t, v[i].words);
    assert_int_equal(t->special, v[i].type->special);
    assert_int_equal(t->fixed_size, v[i].type->fixed_size);
    if (t->tag != IU_T_REF) assert_true(iu__type_equal(t, v[i].type));
  }
  iu__typespace_free(&ts);
}

static void every_tag_survives_the_way_out_and_back(void **state) {
  (void)state;
  static const uint32_t sizes[IU_T_COUNT] = {[IU_T_BOOL] = 1, [IU_T_I8] = 1, [IU_T_U8] = 1, [IU_T_I16] = 2, [IU_T_U16] = 2,
    [IU_T_I32] = 4, [IU_T_U32] = 4, [IU_T_I64] = 8, [IU_T_U64] = 8, [IU_T_I128] = 16, [IU_T_U128] = 16, [IU_T_I256] = 32,
    [IU_T_U256] = 32, [IU_T_F32] = 4, [IU_T_F64] = 8, [IU_T_STRING] = IU_SIZE_VARIES};
  iu_typespace ts = {0};
  for (int tag = IU_T_STRING; tag < IU_T_COUNT; tag++) {
    uint8_t byte = (uint8_t)tag;
    iu_reader r = iu__reader(&byte, 1);
    const iu_type *t = iu__type_decode(&ts, &r, NULL);
    assert_ptr_equal(t, scalar((iu_type_tag)tag));
    assert_int_equal(t->fixed_size, sizes[tag]);
    assert_int_equal(t->plain, tag != IU_T_STRING && tag != IU_T_BOOL);
  }
  assert_null(iu__type_scalar(IU_T_SUM));
  assert_null(iu__type_special(IU_S_OPTION));
  iu__typespace_free(&ts);
}

static void specials_are_recognised_by_structure_only(void **state) {
  (void)state;
  iu_typespace ts = {0};
  struct { const char *name; iu_type_tag tag; iu_special special; uint32_t size; } marks[] = {
      {"__identity__", IU_T_U256, IU_S_IDENTITY, 32},
      {"__connection_id__", IU_T_U128, IU_S_CONNECTION_ID, 16},
      {"__timestamp_micros_since_unix_epoch__", IU_T_I64, IU_S_TIMESTAMP, 8},
      {"__time_duration_micros__", IU_T_I64, IU_S_TIME_DURATION, 8},
      {"__uuid__", IU_T_U128, IU_S_UUID, 16},
  };
  for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
    iu_field right = {marks[i].name, scalar(marks[i].tag)}, wrong = {marks[i].name, scalar(IU_T_STRING)};
    iu_field twice[2] = {right, {"other", scalar(IU_T_U8)}};
    const iu_type *t = iu__type_product(&ts, 1, &right);
    assert_ptr_equal(t, special(marks[i].special));
    assert_int_equal(t->fixed_size, marks[i].size);
    assert_int_equal(iu__type_product(&ts, 1, &wrong)->special, IU_S_NONE);
    assert_int_equal(iu__type_product(&ts, 2, twice)->special, IU_S_NONE);
  }
  iu_field result[] = {{"ok", scalar(IU_T_U8)}, {"err", scalar(IU_T_STRING)}};
  assert_int_equal(iu__type_sum(&ts, 2, result)->special, IU_S_RESULT);
  iu_field swapped[] = {result[1], result[0]};
  assert_int_equal(iu__type_sum(&ts, 2, swapped)->special, IU_S_NONE);
  iu_field schedule[] = {{"Interval", special(IU_S_TIME_DURATION)}, {"Time", special(IU_S_TIMESTAMP)}};
  assert_ptr_equal(iu__type_sum(&ts, 2, schedule), special(IU_S_SCHEDULE_AT));
  iu_field no_schedule[] = {{"Interval", special(IU_S_TIMESTAMP)}, {"Time", special(IU_S_TIMESTAMP)}};
  assert_int_equal(iu__type_sum(&ts, 2, no_schedule)->special, IU_S_NONE);
  iu_field maybe[] = {{"some", scalar(IU_T_U8)}, {"none", scalar(IU_T_U8)}};
  assert_int_equal(iu__type_sum(&ts, 2, maybe)->special, IU_S_NONE);
  /* refs are not followed: an Option of a ref is one, a marker field behind a ref is not */
  assert_int_equal(iu__type_option(&ts, iu__type_ref(&ts, 0))->special, IU_S_OPTION);
  iu_field marker_ref = {"__identity__", iu__type_ref(&ts, 0)};
  assert_int_equal(iu__type_product(&ts, 1, &marker_ref)->special, IU_S_NONE);
  iu__typespace_free(&ts);
}

static void sizes_are_known_where_all_values_have_one(void **state) {
  (void)state;
  iu_typespace ts = {0};
  iu_field mixed[] = {{"a", scalar(IU_T_U8)}, {"b", scalar(IU_T_BOOL)}, {"c", special(IU_S_IDENTITY)}};
  const iu_type *t = iu__type_product(&ts, 3, mixed);
  assert_int_equal(t->fixed_size, 34);
  assert_false(t->plain);
  iu_field plain[] = {{"a", scalar(IU_T_F64)}, {"b", special(IU_S_UNIT)}, {"c", special(IU_S_UUID)}};
  t = iu__type_product(&ts, 3, plain);
  assert_int_equal(t->fixed_size, 24);
  assert_true(t->plain);
  iu_field units[] = {{"A", special(IU_S_UNIT)}, {"B", special(IU_S_UNIT)}};
  assert_int_equal(iu__type_sum(&ts, 2, units)->fixed_size, 1);
  assert_int_equal(iu__type_sum(&ts, 0, NULL)->fixed_size, IU_SIZE_VARIES);
  assert_int_equal(special(IU_S_SCHEDULE_AT)->fixed_size, 9);
  assert_int_equal(iu__type_option(&ts, scalar(IU_T_U8))->fixed_size, IU_SIZE_VARIES);
  assert_int_equal(iu__type_array(&ts, scalar(IU_T_U16))->fixed_size, IU_SIZE_VARIES);
  iu__typespace_free(&ts);
}

static void a_size_over_32_bits_counts_as_unknown(void **state) {
  (void)state;
  iu_typespace ts = {0};
  const iu_type *t = scalar(IU_T_U256);
  iu_field *fields = calloc(IU_TYPE_FIELDS_MAX, sizeof *fields);
  for (int level = 0; level < 3; level++) {
    for (int i = 0; i < IU_TYPE_FIELDS_MAX; i++) fields[i].type = t;
    t = iu__type_product(&ts, IU_TYPE_FIELDS_MAX, fields);
    assert_non_null(t);
    assert_int_equal(t->fixed_size, level == 0 ? 32u << 12 : level == 1 ? 32u << 24 : IU_SIZE_VARIES);
  }
  assert_null(iu__type_product(&ts, IU_TYPE_FIELDS_MAX + 1, fields));
  assert_null(iu__type_sum(&ts, 257, fields));
  for (int i = 0; i < 256; i++) fields[i].type = special(IU_S_UNIT);
  assert_non_null(iu__type_sum(&ts, 256, fields));
  free(fields);
  iu__typespace_free(&ts);
}

static void depth_as_written_is_bounded(void **state) {
  (void)state;
  iu_typespace ts = {0};
  char hex[2 * 66 + 1] = "";
  for (int i = 0; i < 64; i++) strcat(hex, "03");
  strcat(hex, "04");
  iu_error err;
  const iu_type *t = decode_hex(&ts, hex, &err);
  assert_non_null(t);
  assert_int_equal(t->depth, IU_TYPE_DEPTH_MAX);
  assert_encodes(t, hex);
  assert_null(iu__type_array(&ts, t));
  memmove(hex + 2, hex, strlen(hex) + 1);
  memcpy(hex, "03", 2);
  assert_null(decode_hex(&ts, hex, &err));
  assert_int_equal(err.status, IU_E_VALIDATION);
  assert_int_equal(err.offset, 64);
  iu__typespace_free(&ts);
}

static void constructors_pass_a_failure_on(void **state) {
  (void)state;
  iu_typespace ts = {0};
  iu_field broken[] = {{"a", scalar(IU_T_U8)}, {"b", NULL}};
  assert_null(iu__type_product(&ts, 2, broken));
  assert_null(iu__type_option(&ts, iu__type_array(&ts, NULL)));
  iu__typespace_free(&ts);
}

static void fields_are_found_by_exact_name(void **state) {
  (void)state;
  iu_typespace ts = {0};
  const iu_type *row = user_row(&ts);
  assert_int_equal(iu__product_find(row, "name", 4), 1);
  assert_int_equal(iu__product_find(row, "name_longer", 4), 1);
  assert_int_equal(iu__product_find(row, "nam", 3), -1);
  assert_int_equal(iu__product_find(row, "names", 5), -1);
  assert_int_equal(iu__product_find(row, "name\0x", 6), -1);
  assert_int_equal(iu__product_find(row, "", 0), -1);
  iu__typespace_free(&ts);
}

static void equality_is_structural(void **state) {
  (void)state;
  iu_typespace a = {0}, b = {0};
  assert_true(iu__type_equal(user_row(&a), user_row(&b)));
  assert_true(iu__type_equal(colour(&a), colour(&b)));
  assert_false(iu__type_equal(user_row(&a), colour(&b)));
  iu_field renamed[] = {{"id", scalar(IU_T_U32)}, {"title", scalar(IU_T_STRING)}};
  iu_field unnamed[] = {{"id", scalar(IU_T_U32)}, {NULL, scalar(IU_T_STRING)}};
  iu_field retyped[] = {{"id", scalar(IU_T_I32)}, {"name", scalar(IU_T_STRING)}};
  assert_false(iu__type_equal(user_row(&a), iu__type_product(&b, 2, renamed)));
  assert_false(iu__type_equal(user_row(&a), iu__type_product(&b, 2, unnamed)));
  assert_false(iu__type_equal(user_row(&a), iu__type_product(&b, 2, retyped)));
  assert_false(iu__type_equal(iu__type_array(&a, scalar(IU_T_U8)), iu__type_array(&b, scalar(IU_T_I8))));
  iu__typespace_free(&a);
  iu__typespace_free(&b);
}

static void words_name_refs_and_stop_in_time(void **state) {
  (void)state;
  iu_typespace ts = {0};
  const iu_type *types[] = {user_row(&ts), scalar(IU_T_U8)};
  ts.types = types;
  ts.count = 2;
  const iu_type *t = iu__type_option(&ts, iu__type_array(&ts, iu__type_ref(&ts, 0)));
  assert_int_equal(iu__typespace_link(&ts, NULL), IU_OK);
  const char *names[] = {"User", NULL};
  iu_buf out = {0};
  iu__type_describe_named(t, names, &out);
  iu__buf_put_u8(&out, 0);
  assert_string_equal((const char *)out.data, "Option<Array<User>>");
  iu__buf_free(&out);
  assert_words(t, "Option<Array<Ref(0)>>");
  assert_words(colour(&ts), "(Red | Rgb: (r: U8, g: U8, b: U8) | Named: String)");
  assert_words(result_type(&ts), "Result<U32, String>");
  assert_words(special(IU_S_SCHEDULE_AT), "ScheduleAt");
  assert_string_equal(iu__type_label(t), "Option");
  assert_string_equal(iu__type_label(iu__type_ref(&ts, 7)), "Ref");
  assert_string_equal(iu__type_label(types[0]), "product");

  iu_field *fields = calloc(1000, sizeof *fields);
  for (int i = 0; i < 1000; i++) fields[i] = (iu_field){"a_rather_long_name", scalar(IU_T_U8)};
  iu__type_describe(iu__type_product(&ts, 1000, fields), &out);
  assert_true(out.len > IU_TYPE_TEXT_MAX && out.len < IU_TYPE_TEXT_MAX + 64);
  iu__buf_free(&out);
  free(fields);
  iu__typespace_free(&ts);
}

static void bad_types_are_refused_with_an_offset(void **state) {
  (void)state;
  static const struct { const char *hex; size_t offset; } bad[] = {
      {"", 0}, {"14", 0}, {"ff", 0},
      {"00010000", 0},                     /* ref cut short */
      {"0314", 1},                         /* array of nothing known */
      {"02ffffffff", 1},                   /* more fields than bytes */
      {"020100000002", 1},                 /* one field in one byte */
      {"02010000000204", 5},               /* name tag 2 */
      {"0201000000000100000000" "04", 5},  /* NUL in a name */
      {"02010000000001000000ff" "04", 5},  /* not UTF-8 */
      {"020100000000ffffffff6104", 5},     /* name longer than the bytes */
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    iu_typespace ts = {0};
    iu_error err = {0};
    assert_null(decode_hex(&ts, bad[i].hex, &err));
    assert_int_equal(err.status, IU_E_VALIDATION);
    assert_int_equal(err.offset, bad[i].offset);
    assert_true(err.message[0] != '\0');
    iu__typespace_free(&ts);
  }
}

static void counts_over_the_limits_are_refused(void **state) {
  (void)state;
  static const struct { uint8_t tag; uint32_t count; bool good; } cases[] = {
      {IU_T_PRODUCT, IU_TYPE_FIELDS_MAX, true}, {IU_T_PRODUCT, IU_TYPE_FIELDS_MAX + 1, false},
      {IU_T_SUM, 256, true}, {IU_T_SUM, 257, false}};
  for (size_t i = 0; i < 4; i++) {
    iu_typespace ts = {0};
    iu_buf b = {0};
    iu__buf_put_u8(&b, cases[i].tag);
    iu__buf_put_u32(&b, cases[i].count);
    for (uint32_t f = 0; f < cases[i].count; f++) iu__buf_put_u16(&b, 0x0701); /* unnamed U8 */
    iu_reader r = iu__reader(b.data, b.len);
    const iu_type *t = iu__type_decode(&ts, &r, NULL);
    assert_int_equal(t != NULL, cases[i].good);
    iu__buf_free(&b);
    iu__typespace_free(&ts);
  }
  /* nodes of one typespace */
  for (uint32_t extra = 0; extra < 2; extra++) {
    iu_typespace ts = {0};
    iu_buf b = {0};
    uint32_t pairs = IU_TYPE_NODES_MAX / 2 + extra;
    iu__buf_put_u32(&b, pairs);
    for (uint32_t n = 0; n < pairs; n++) iu__buf_put_u16(&b, 0x0803); /* Array(I16): two nodes */
    iu_reader r = iu__reader(b.data, b.len);
    iu_error err;
    assert_int_equal(iu__typespace_decode(&ts, &r, &err), extra == 0 ? IU_OK : IU_E_VALIDATION);
    if (extra == 0) assert_null(iu__type_array(&ts, scalar(IU_T_I16)));
    iu__buf_free(&b);
    iu__typespace_free(&ts);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(types_encode_and_decode_as_the_sheet_says),
      cmocka_unit_test(every_tag_survives_the_way_out_and_back),
      cmocka_unit_test(specials_are_recognised_by_structure_only),
      cmocka_unit_test(sizes_are_known_where_all_values_have_one),
      cmocka_unit_test(a_size_over_32_bits_counts_as_unknown),
      cmocka_unit_test(depth_as_written_is_bounded),
      cmocka_unit_test(constructors_pass_a_failure_on),
      cmocka_unit_test(fields_are_found_by_exact_name),
      cmocka_unit_test(equality_is_structural),
      cmocka_unit_test(words_name_refs_and_stop_in_time),
      cmocka_unit_test(bad_types_are_refused_with_an_offset),
      cmocka_unit_test(counts_over_the_limits_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
