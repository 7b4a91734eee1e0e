/* The eleven operators on every kind of value, fields and paths, and how filters are refused. */
#include "query_fixture.h"

static iu_schema *schema;

static int setup(void **state) {
  (void)state;
  schema = fixture_schema();
  return 0;
}
static int teardown(void **state) {
  (void)state;
  iu__schema_free(schema);
  return 0;
}

static iu_filter_spec filter(const char *field, const char *op, const char *json) {
  iu_filter_spec f = {field, strlen(field), op, strlen(op), json, strlen(json)};
  return f;
}

static bool matches(const iu_table_def *table, const iu_row *row, const char *field, const char *op, const char *json) {
  iu_filter_spec f = filter(field, op, json);
  iu_selection_spec spec = {.filter_count = 1, .filters = &f};
  iu_selection *s;
  iu_error err;
  bool done, matched;
  if (iu__selection_new(table, &spec, &s, &err) != IU_OK) fail_msg("%s %s %s: %s", field, op, json, err.message);
  if (iu__selection_offer(s, row, &done, &err) != IU_OK) fail_msg("%s %s %s: %s", field, op, json, err.message);
  assert_int_equal(iu__selection_finish(s, &err), IU_OK);
  matched = iu__selection_matched(s) == 1;
  assert_int_equal(iu__selection_count(s), matched);
  if (matched) assert_ptr_equal(iu__selection_row(s, 0), row);
  iu__selection_free(s);
  return matched;
}

static const char *const names[11][2] = {
  {"Equals", "EQUALS"}, {"NotEquals", "NOT_EQUALS"}, {"GreaterThan", "GREATER_THAN"}, {"LessThan", "LESS_THAN"}, {"GreaterOrEqual", "GREATER_OR_EQUAL"},
  {"LessOrEqual", "LESS_OR_EQUAL"}, {"Contains", "CONTAINS"}, {"StartsWith", "STARTS_WITH"}, {"EndsWith", "ENDS_WITH"}, {"In", "IN"}, {"NotIn", "NOT_IN"},
};

/* expected: the operators that hold, a letter each: e n > < g(>=) l(<=) c s x(EndsWith) i o(NotIn). In and NotIn are asked with [value], and
 * StartsWith and EndsWith only of strings, as they refuse other values. */
typedef struct truth { const char *field, *value, *expected; } truth;

static void check_truths(const iu_table_def *table, const iu_row *row, const truth *list, size_t count) {
  static const char letters[] = "en><glcsxio";
  for (size_t i = 0; i < count; i++) {
    char set[512];
    snprintf(set, sizeof set, "[%s]", list[i].value);
    for (int op = 0; op < 11; op++) {
      const char *value = op >= 9 ? set : list[i].value;
      bool expected = strchr(list[i].expected, letters[op]) != NULL;
      if ((op == 7 || op == 8) && list[i].value[0] != '"') {
        assert_false(expected);
        continue;
      }
      for (int spelling = 0; spelling < 2; spelling++) {
        if (matches(table, row, list[i].field, names[op][spelling], value) != expected) {
          fail_msg("%s %s %s is not %s", list[i].field, names[op][spelling], value, expected ? "true" : "false");
        }
      }
    }
  }
}
#define CHECK(table, row, list) check_truths(table, row, list, sizeof(list) / sizeof *(list))

static void operators_on_json_values(void **state) {
  static const truth list[] = {
    /* missing and null */
    {"properties.none", "null", "ei"}, {"properties.none", "0", "no"}, {"properties.none", "\"\"", "no"}, {"properties.none.deeper", "null", "ei"},
    {"properties.none", "[]", "no"}, {"properties.none", "false", "no"}, {"properties.null", "null", "ei"}, {"properties.null", "false", "no"},
    {"properties.int", "null", "no"}, {"properties.int.deeper", "null", "ei"}, {"properties.object.none", "null", "ei"},
    /* booleans */
    {"properties.true", "true", "eigl"}, {"properties.true", "false", "n>go"}, {"properties.false", "true", "n<lo"}, {"properties.true", "1", "no"},
    {"properties.true", "\"true\"", "no"},
    /* numbers */
    {"properties.int", "5", "eigl"}, {"properties.int", "5.0", "eigl"}, {"properties.int", "4", "n>go"}, {"properties.int", "5.5", "n<lo"},
    {"properties.int", "-1e300", "n>go"}, {"properties.int", "\"5\"", "no"}, {"properties.one", "1", "eigl"}, {"properties.one", "1.0", "eigl"},
    {"properties.half", "0.5", "eigl"}, {"properties.half", "5e-1", "eigl"}, {"properties.half", "0", "n>go"}, {"properties.half", "1", "n<lo"},
    {"properties.zero", "-0", "eigl"}, {"properties.zero", "-0.0", "eigl"}, {"properties.minuszero", "0", "eigl"},
    {"properties.odd", "9007199254740993", "eigl"}, {"properties.odd", "9007199254740992", "n>go"}, {"properties.odd", "9007199254740992.0", "n>go"},
    {"properties.odd", "9007199254740994.0", "n<lo"}, {"properties.odd", "9007199254740993.0", "n>go"}, /* reads as ...992.0 */
    {"properties.even", "9007199254740992", "eigl"}, {"properties.even", "9007199254740993", "n<lo"},
    {"properties.min", "-9223372036854775808", "eigl"}, {"properties.min", "-9223372036854775808.0", "eigl"}, {"properties.min", "-9223372036854775809", "n>go"},
    {"properties.max", "9223372036854775807", "eigl"}, {"properties.max", "9223372036854775808", "n<lo"}, {"properties.max", "9223372036854775808.0", "n<lo"},
    {"properties.big", "18446744073709551616", "eigl"}, {"properties.big", "18446744073709551616.0", "eigl"}, {"properties.big", "18446744073709551617", "n<lo"},
    {"properties.big", "1", "n>go"}, {"properties.big", "1e300", "n<lo"}, {"properties.big", "-1e300", "n>go"}, {"properties.big", "99999999999999999999999", "n<lo"},
    {"properties.negbig", "-18446744073709551616", "eigl"}, {"properties.negbig", "-18446744073709551616.0", "eigl"},
    {"properties.negbig", "-18446744073709551617", "n>go"}, {"properties.negbig", "-99999999999999999999999", "n>go"}, {"properties.negbig", "0", "n<lo"},
    {"properties.huge", "1e300", "n>go"}, {"properties.huge", "1.7976931348623157e308", "n>go"}, /* 400 digits */
    {"properties.e300", "1e300", "eigl"}, {"properties.e300", "1000000000000000052504760255204420248704468581108159154915854115111802457988908195786371375080447854045104", "n>go"},
    /* strings */
    {"properties.str", "\"hello\"", "eiglcsx"}, {"properties.str", "\"hell\"", "n>gocs"}, {"properties.str", "\"ello\"", "n>gocx"}, {"properties.str", "\"ll\"", "n<loc"},
    {"properties.str", "\"\"", "n>gocsx"}, {"properties.str", "\"hello!\"", "n<lo"}, {"properties.str", "\"Hello\"", "n>go"}, {"properties.str", "null", "no"},
    {"properties.str", "1", "no"}, {"properties.str", "[\"hello\"]", "no"}, {"properties.empty", "\"\"", "eiglcsx"}, {"properties.empty", "null", "no"},
    {"properties.unicode", "\"\xC3\xBC\xE2\x82\xAC\"", "eiglcsx"}, {"properties.unicode", "\"\\u00fc\\u20ac\"", "eiglcsx"}, {"properties.unicode", "\"\xE2\x82\xAC\"", "n<locx"},
    {"properties.unicode", "\"z\"", "n>go"}, {"properties.escaped", "\"a\\\"b\\n\xF0\x9F\x98\x80\"", "eiglcsx"}, {"properties.escaped", "\"\\n\"", "n>goc"},
    {"properties.nul", "\"a\\u0000b\"", "eiglcsx"}, {"properties.nul", "\"a\"", "n>gocs"},
    /* arrays and objects */
    {"properties.array", "[1,\"two\",[3],{\"four\":4},null,2.5]", "ei"}, {"properties.array", "[1.0, \"two\", [3], {\"four\":4}, null, 2.5e0]", "ei"},
    {"properties.array", "[1,\"two\",[3],{\"four\":4},null]", "no"}, {"properties.array", "[]", "no"}, {"properties.array", "{}", "no"},
    {"properties.array", "1", "noc"}, {"properties.array", "1.0", "noc"}, {"properties.array", "2.5", "noc"}, {"properties.array", "\"two\"", "noc"}, {"properties.array", "\"tw\"", "no"},
    {"properties.array", "null", "noc"}, {"properties.array", "[3]", "noc"}, {"properties.array", "3", "no"}, {"properties.array", "{\"four\":4.0}", "noc"}, {"properties.array", "true", "no"},
    {"properties.array.1", "\"two\"", "eiglcsx"}, {"properties.array.3.four", "4", "eigl"}, {"properties.array.9", "null", "ei"}, {"properties.array.01", "null", "ei"},
    {"properties.emptyarray", "[]", "ei"}, {"properties.emptyarray", "{}", "no"}, {"properties.emptyarray", "null", "no"},
    {"properties.object", "{\"b\":[1],\"a\":{\"x\":null}}", "ei"}, {"properties.object", "{\"a\":{\"x\":null},\"b\":[1]}", "ei"}, {"properties.object", "{\"a\":{\"x\":null}}", "no"},
    {"properties.object", "{\"a\":{\"x\":null},\"c\":[1]}", "no"}, {"properties.object", "{\"a\":{\"x\":null},\"b\":[1],\"c\":1}", "no"}, {"properties.object", "\"b\"", "no"}, {"properties.object.a", "{\"x\":null}", "ei"},
    {"properties.object.b", "1", "noc"}, {"properties.emptyobject", "{}", "ei"}, {"properties.emptyobject", "[]", "no"},
    {"properties.a\\.b", "1", "eigl"}, {"properties.\\e", "2", "eigl"}, {"properties.twice", "2", "eigl"}, {"metadata.properties.int", "5", "eigl"},
  };
  static char text[4096];
  entity_spec e = {.id = "e1", .type = "Person", .created = 5, .properties = text};
  iu_row *row;
  size_t n;
  (void)state;
  /* 10^300 as the nearest double, digit for digit */
  n = (size_t)snprintf(text, sizeof text, " { \"null\":null,\"true\":true,\"false\":false,\"int\":5,\"one\":1.0,\"half\":0.5,\"zero\":0,\"minuszero\":-0.0,\"odd\":9007199254740993,"
               "\"even\":9007199254740992.0,\"min\":-9223372036854775808,\"max\":9223372036854775807,\"big\":18446744073709551616,\"negbig\":-18446744073709551616,"
               "\"e300\":%.0f,\"huge\":", 1e300);
  memset(text + n, '7', 400);
  n += 400;
  snprintf(text + n, sizeof text - n, ",\"str\":\"hello\",\"empty\":\"\",\"unicode\":\"\xC3\xBC\xE2\x82\xAC\",\"escaped\":\"a\\\"b\\n\\ud83d\\ude00\",\"nul\":\"a\\u0000b\","
           "\"array\":[1,\"two\",[3],{\"four\":4},null,2.5],\"emptyarray\":[],\"object\":{\"a\":{\"x\":null},\"b\":[1]},\"emptyobject\":{},\"a.b\":1,\"\":2,\"twice\":1,"
           "\"tw\\u0069ce\":2 } ");
  row = entity_row(schema, &e);
  CHECK(table_def(schema, "entity"), row, list);
  free(row);
}

static void operators_on_columns(void **state) {
  static const truth list[] = {
    {"id", "\"e1\"", "eiglcsx"}, {"id", "\"e\"", "n>gocs"}, {"entity_type", "\"Person\"", "eiglcsx"}, {"entity_type", "\"Per\"", "n>gocs"},
    {"entity_type", "\"son\"", "n<locx"}, {"entity_type", "5", "no"}, {"entity_type", "null", "no"},
    {"created_at", "5", "eigl"}, {"created_at", "5.0", "eigl"}, {"created_at", "4.5", "n>go"}, {"created_at", "9223372036854775808", "n<lo"}, {"created_at", "\"5\"", "no"},
    {"name", "\"Ada\"", "eiglcsx"}, {"name", "\"A\"", "n>gocs"}, {"name", "null", "no"}, {"metadata.name", "\"Ada\"", "eiglcsx"},
    {"tags", "[\"x\",\"y\"]", "ei"}, {"tags", "[\"y\",\"x\"]", "no"}, {"tags", "\"x\"", "noc"}, {"tags", "\"z\"", "no"}, {"tags", "null", "no"}, {"tags", "[]", "no"}, {"tags", "1", "no"},
    {"tags", "[\"x\"]", "no"}, {"tags.0", "\"x\"", "eiglcsx"}, {"tags.7", "null", "ei"}, {"metadata.tags", "\"y\"", "noc"},
    {"nums", "[7,4294967295]", "ei"}, {"nums", "7", "noc"}, {"nums", "4294967295.0", "noc"}, {"nums", "8", "no"}, {"nums.1", "4294967295", "eigl"},
    {"strength", "0.5", "eigl"}, {"strength", "1", "n<lo"}, {"strength", "0", "n>go"},
    {"metadata.big", "340282366920938463463374607431768211456", "eigl"}, {"big", "340282366920938463463374607431768211455", "n>go"}, {"big", "1e39", "n<lo"},
    {"big", "3.402823669209384634633746e38", "eigl"}, {"big", "1", "n>go"},
    {"properties", "{\"a\":1}", "ei"}, {"properties", "{}", "no"}, {"properties.a", "1", "eigl"},
  };
  static const truth none[] = {
    {"name", "null", "ei"}, {"name", "\"\"", "no"}, {"tags", "[]", "ei"}, {"tags", "null", "no"}, {"entity_type", "null", "ei"}, {"entity_type", "\"\"", "no"},
    {"id", "\"\"", "eiglcsx"}, {"id", "null", "no"}, {"strength", "null", "no"}, {"strength", "0", "no"}, {"properties", "null", "ei"}, {"properties.a", "null", "ei"},
    {"properties.a", "1", "no"},
  };
  static const truth more[] = {
    {"id", "18446744073709551615", "eigl"}, {"id", "18446744073709551615.0", "n<lo"}, {"id", "18446744073709551614", "n>go"}, {"id", "-1", "n>go"},
    {"b", "true", "eigl"}, {"b", "false", "n>go"}, {"i8", "-3", "eigl"}, {"i256", "-1", "eigl"}, {"i256", "0", "n<lo"}, {"f32", "0.5", "eigl"},
    {"who", "\"ff000000000000000000000000000000000000000000000000000000000000ef\"", "eiglcsx"}, {"who", "\"ff\"", "n>gocs"},
    {"conn", "\"ff0000000000000000000000000000ef\"", "eiglcsx"}, {"uuid", "\"ff000000-0000-0000-0000-0000000000ef\"", "eiglcsx"},
    {"bytes", "\"6162\"", "eiglcsx"}, {"s", "\"ab\"", "eiglcsx"}, {"at", "-7", "eigl"}, {"span", "-7", "eigl"}, {"opt", "\"o\"", "eiglcsx"}, {"opt", "null", "no"},
    {"tags", "\"tag\"", "noc"}, {"when.Interval", "5", "eigl"}, {"when.Time", "null", "ei"},
    {"meta.properties", "\"{}\"", "eiglcsx"}, {"meta.strength", "0", "eigl"}, /* JSON text is only under a column called metadata */
  };
  entity_spec full = {"e1", "Person", 5, "Ada", {"x", "y"}, 0.5, "{\"a\":1}"};
  entity_spec empty = {"", "", 0, NULL, {NULL}, NAN, "{\"a\":"};
  iu_row *row = entity_row(schema, &full);
  const iu_table_def *all = table_def(schema, "all");
  iu_buf b = {0};
  (void)state;
  CHECK(table_def(schema, "entity"), row, list);
  free(row);
  row = entity_row(schema, &empty);
  CHECK(table_def(schema, "entity"), row, none);
  free(row);
  for (uint32_t i = 0; i < A_SCALARS; i++) {
    const iu_type *t = iu__type_deref(all->row->u.fields[i].type);
    if (i == A_ID) iu__buf_put_u64(&b, UINT64_MAX);
    else if (i == A_I8) iu__buf_put_u8(&b, 0xfd);
    else if (i == A_F32) iu__buf_put_u32(&b, 0x3f000000);
    else if (i == A_AT) iu__buf_put_u64(&b, (uint64_t)-7);
    else if (t->tag == IU_T_STRING || t->special == IU_S_BYTES) put_name(&b, "ab");
    else if (t->tag == IU_T_BOOL) iu__buf_put_u8(&b, 1);
    else if (t->tag == IU_T_I256) for (int k = 0; k < 32; k++) iu__buf_put_u8(&b, 0xff);
    else for (uint32_t k = 0; k < t->fixed_size; k++) iu__buf_put_u8(&b, k == 0 ? 0xef : k == t->fixed_size - 1 && t->tag == IU_T_PRODUCT ? 0xff : 0);
  }
  iu__buf_put_u64(&b, (uint64_t)-7);
  iu__buf_put_u8(&b, 0);
  put_name(&b, "o");
  iu__buf_put_u32(&b, 1);
  put_name(&b, "tag");
  iu__buf_put_u8(&b, 0);
  iu__buf_put_u64(&b, 5);
  iu__buf_put_u8(&b, 1);
  iu__buf_put_u32(&b, 0);
  iu__buf_put_u32(&b, 0);
  iu__buf_put_u64(&b, 0);
  put_name(&b, "{}");
  for (int k = 0; k < 32; k++) iu__buf_put_u8(&b, 0);
  assert_int_equal(iu__bsatn_check_all(all->row, b.data, b.len, NULL), IU_OK);
  row = new_row(&b);
  CHECK(all, row, more);
  free(row);
  iu__buf_free(&b);
}

static void sets_of_candidates(void **state) {
  entity_spec e = {.id = "e1", .type = "Person", .created = 5, .properties = "{\"n\":1.0,\"s\":\"m\",\"a\":[1],\"null\":null,\"big\":99999999999999999999}"};
  iu_row *row = entity_row(schema, &e);
  const iu_table_def *t = table_def(schema, "entity");
  char many[4096];
  size_t n = 0;
  (void)state;
  assert_false(matches(t, row, "properties.n", "In", "[]"));
  assert_true(matches(t, row, "properties.n", "NotIn", "[]"));
  assert_true(matches(t, row, "properties.n", "In", "[\"x\",null,true,2,1,[1],{}]"));
  assert_true(matches(t, row, "properties.a", "In", "[\"x\",null,[1.0]]"));
  assert_false(matches(t, row, "properties.a", "In", "[\"x\",null,[1.5],1]"));
  assert_true(matches(t, row, "properties.none", "In", "[3,null,2]"));
  assert_true(matches(t, row, "properties.none", "NotIn", "[3,false,2]"));
  assert_true(matches(t, row, "properties.big", "In", "[1e300,99999999999999999999,5]"));
  assert_false(matches(t, row, "properties.big", "In", "[1e20,99999999999999999998,5]"));
  many[n++] = '[';
  for (int i = 0; i < 500; i++) n += (size_t)sprintf(many + n, "\"%d\",", (i * 7919) % 1000);
  sprintf(many + n, "\"m\"]");
  assert_true(matches(t, row, "properties.s", "In", many));
  sprintf(many + n, "\"n\"]");
  assert_false(matches(t, row, "properties.s", "In", many));
  assert_true(matches(t, row, "properties.s", "NotIn", many));
  free(row);
}

/* Integers and floats close to each other: the outcome long double gives, which holds both exactly here. */
static void numbers_compare_exactly(void **state) {
  chance c = chance_begin("numbers");
  const iu_table_def *t = table_def(schema, "entity");
  int rounds = SLOW_BUILD ? 3000 : 30000;
  (void)state;
  assert_true(sizeof(long double) > sizeof(double));
  for (int round = 0; round < rounds; round++) {
    char properties[512], value[400];
    entity_spec e = {.id = "e", .type = "T", .properties = properties};
    int outcome;
    iu_row *row;
    if (chance_below(&c, 2)) {
      int64_t i = (int64_t)chance_next(&c) >> chance_below(&c, 64);
      double d = (double)i + (double)((int)chance_below(&c, 5) - 2) * (chance_below(&c, 2) ? 0.5 : 1);
      outcome = (long double)i < (long double)d ? -1 : (long double)i > (long double)d;
      snprintf(properties, sizeof properties, "{\"v\":%lld}", (long long)i);
      snprintf(value, sizeof value, "%.17ge0", d);
      if (strchr(value, 'e') != strrchr(value, 'e')) *strrchr(value, 'e') = 0;
    } else { /* beyond i64: the digits of a double, or their neighbours */
      double d = ldexp(1 + (double)(chance_next(&c) >> 12) / 4503599627370496.0, 64 + (int)chance_below(&c, 900));
      bool negative = chance_below(&c, 2);
      char *last = value + snprintf(value, sizeof value, "%.0f", d) - 1;
      outcome = (*last > '0' && *last < '9') ? (int)chance_below(&c, 3) - 1 : 0;
      *last = (char)(*last + outcome);
      if (negative) outcome = -outcome;
      snprintf(properties, sizeof properties, "{\"v\":%s%s}", negative ? "-" : "", value);
      snprintf(value, sizeof value, "%s%.17ge0", negative ? "-" : "", d);
      if (strchr(value, 'e') != strrchr(value, 'e')) *strrchr(value, 'e') = 0;
    }
    row = entity_row(schema, &e);
    if (matches(t, row, "properties.v", "Equals", value) != (outcome == 0) || matches(t, row, "properties.v", "LessThan", value) != (outcome < 0) ||
        matches(t, row, "properties.v", "GreaterOrEqual", value) != (outcome >= 0)) {
      fail_msg("%s against %s", properties, value);
    }
    free(row);
  }
}

typedef struct refusal { const char *table, *field, *op, *json, *message; } refusal;

static void refuses_with_a_hint(void **state) {
  static const refusal list[] = {
    {"entity", "properties.a", "Equal", "1", "filter 1: unknown operator `Equal`, did you mean `Equals`?"},
    {"entity", "properties.a", "equals", "1", "filter 1: unknown operator `equals`, did you mean `Equals`?"},
    {"entity", "properties.a", "GREATER_THEN", "1", "filter 1: unknown operator `GREATER_THEN`, did you mean `GREATER_THAN`?"},
    {"entity", "properties.a", "xor", "1", "filter 1: unknown operator `xor`"},
    {"entity", "properties.a", "", "1", "filter 1: unknown operator ``"},
    {"entity", "propertys.a", "Equals", "1", "filter 1: table `entity` has no field `propertys.a`, did you mean `properties`?"},
    {"entity", "nam", "Equals", "1", "filter 1: table `entity` has no field `nam`, did you mean `name`?"},
    {"entity", "entity_typ", "Equals", "1", "filter 1: table `entity` has no field `entity_typ`, did you mean `entity_type`?"},
    {"entity", "metadata.nam", "Equals", "1", "filter 1: table `entity` has no field `metadata.nam`, did you mean `name`?"},
    {"entity", "qqqqqqqqqq", "Equals", "1", "filter 1: table `entity` has no field `qqqqqqqqqq`"},
    {"entity", "", "Equals", "1", "filter 1: a field name is empty"},
    {"entity", "properties..a", "Equals", "1", "filter 1: field `properties..a`: a path has an empty segment (an empty key is written \\e)"},
    {"entity", "metadata", "Equals", "{}", "filter 1: field `metadata` of table `entity` is a record, name one of its fields"},
    {"entity", "entity_type.x", "Equals", "1", "filter 1: field `entity_type.x` of table `entity` goes through a plain value, which has no fields"},
    {"entity", "created_at.x", "Equals", "1", "filter 1: field `created_at.x` of table `entity` goes through a plain value, which has no fields"},
    {"entity", "strength.x", "Equals", "1", "filter 1: field `strength.x` of table `entity` goes through a plain value, which has no fields"},
    {"entity", "properties.a", "In", "1", "filter 1: operator In needs an array of candidates as its value"},
    {"entity", "properties.a", "NOT_IN", "\"a\"", "filter 1: operator NotIn needs an array of candidates as its value"},
    {"entity", "properties.a", "StartsWith", "1", "filter 1: operator StartsWith needs a string as its value"},
    {"entity", "properties.a", "EndsWith", "null", "filter 1: operator EndsWith needs a string as its value"},
    {"all", "meta.properties.x", "Equals", "1", "filter 1: field `meta.properties.x` of table `all` goes through a plain value, which has no fields"},
    {"all", "strength", "Equals", "1", "filter 1: table `all` has no field `strength`"},
    {"nokey", "metadata.name", "Equals", "1", "filter 1: table `nokey` has no field `metadata.name`"},
  };
  iu_error err;
  iu_selection *s;
  iu_filter_spec two[2];
  iu_selection_spec spec = {.filter_count = 2, .filters = two};
  (void)state;
  for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
    iu_filter_spec f = filter(list[i].field, list[i].op, list[i].json);
    iu_selection_spec one = {.filter_count = 1, .filters = &f};
    if (iu__selection_new(table_def(schema, list[i].table), &one, &s, &err) != IU_E_VALIDATION) fail_msg("%s %s was accepted", list[i].field, list[i].op);
    if (strcmp(err.message, list[i].message) != 0) fail_msg("says   %s\nwanted %s", err.message, list[i].message);
    assert_int_equal(iu__selection_new(table_def(schema, list[i].table), &one, &s, NULL), IU_E_VALIDATION);
  }
  two[0] = filter("name", "Equals", "1");
  two[1] = filter("name", "Equals", "{");
  assert_int_equal(iu__selection_new(table_def(schema, "entity"), &spec, &s, &err), IU_E_VALIDATION);
  assert_memory_equal(err.message, "filter 2: the value of operator Equals: ", 40);
  spec.filter_count = 1;
  spec.order_by = "nme";
  spec.order_by_len = 3;
  assert_int_equal(iu__selection_new(table_def(schema, "entity"), &spec, &s, &err), IU_E_VALIDATION);
  assert_string_equal(err.message, "order_by: table `entity` has no field `nme`, did you mean `name`?");
}

static void limits_the_number_of_filters(void **state) {
  iu_filter_spec *many = calloc(IU_FILTER_COUNT_MAX + 1, sizeof *many);
  iu_selection_spec spec = {.filters = many};
  iu_selection *s;
  iu_error err;
  (void)state;
  assert_non_null(many);
  for (int i = 0; i <= IU_FILTER_COUNT_MAX; i++) many[i] = filter("name", "Equals", "null");
  spec.filter_count = IU_FILTER_COUNT_MAX;
  assert_int_equal(iu__selection_new(table_def(schema, "entity"), &spec, &s, &err), IU_OK);
  iu__selection_free(s);
  spec.filter_count++;
  assert_int_equal(iu__selection_new(table_def(schema, "entity"), &spec, &s, &err), IU_E_VALIDATION);
  assert_string_equal(err.message, "1025 filters are more than the 1024 allowed");
  free(many);
}

static void json_text_by_convention(void **state) {
  iu_buf b = {0};
  iu_row *row;
  const iu_table_def *t = table_def(schema, "nokey");
  (void)state;
  put_name(&b, "{\"a\":1}");
  iu__buf_put_u64(&b, 3);
  put_name(&b, "{\"a\":[{\"b\":\"x\"}]}");
  row = new_row(&b);
  assert_true(matches(t, row, "data.a.0.b", "Equals", "\"x\""));
  assert_true(matches(t, row, "data", "Equals", "{\"a\":[{\"b\":\"x\"}]}"));
  assert_true(matches(t, row, "s", "Equals", "\"{\\\"a\\\":1}\"")); /* a text that happens to be JSON is a text */
  free(row);
  iu__buf_free(&b);
}

/* Names, operators and values of random bytes; rows whose JSON text was cut or changed. */
static void survives_hostile_input(void **state) {
  static const char *const fields[] = {"properties.a.b", "tags.0", "metadata.properties", "big", "created_at", "properties.\\e.x", "name"};
  static const char *const values[] = {"{\"a\":[1,2,{\"b\":null}]}", "\"x\\u00fc\"", "[1,2.5,\"x\",99999999999999999999999]", "-1.5e10", "null", "true"};
  chance c = chance_begin("hostile filters");
  int rounds = SLOW_BUILD ? 10000 : 100000;
  (void)state;
  for (int round = 0; round < rounds; round++) {
    char field[64], value[128], properties[256];
    const char *from = values[chance_below(&c, 6)];
    iu_filter_spec f = filter(fields[chance_below(&c, 7)], names[chance_below(&c, 11)][chance_below(&c, 2)], from);
    iu_selection_spec spec = {.filter_count = 1, .filters = &f, .order_by = "properties.a", .order_by_len = 12};
    entity_spec e = {"e", "T", 1, "n", {"a", "b"}, 1, properties};
    iu_selection *s;
    iu_error err;
    iu_row *row;
    bool done;
    size_t len;
    strcpy(field, f.field);
    strcpy(value, from);
    strcpy(properties, "{\"a\":{\"b\":[1,2.5,\"x\\u00fc\",{\"c\":null}]},\"\":{\"x\":\"q\"}}");
    len = strlen(properties);
    for (uint64_t n = chance_below(&c, 3); n-- > 0;) {
      properties[chance_below(&c, len)] = chance_below(&c, 4) ? "[]{}\",:\\0e-"[chance_below(&c, 11)] : (char)(1 + chance_below(&c, 127));
      if (chance_below(&c, 2)) field[chance_below(&c, f.field_len)] = (char)chance_next(&c);
      if (chance_below(&c, 2)) value[chance_below(&c, f.json_len)] = (char)chance_next(&c);
    }
    if (chance_below(&c, 8) == 0) properties[chance_below(&c, len)] = 0;
    f.field = field;
    f.json = value;
    if (iu__selection_new(table_def(schema, "entity"), &spec, &s, &err) != IU_OK) {
      if (err.status != IU_E_VALIDATION || iu__utf8_check(err.message, strlen(err.message)) != strlen(err.message)) fail_msg("%s", err.message);
      continue;
    }
    row = entity_row(schema, &e);
    assert_int_equal(iu__selection_offer(s, row, &done, &err), IU_OK);
    assert_int_equal(iu__selection_finish(s, &err), IU_OK);
    iu__selection_free(s);
    free(row);
  }
}

#ifdef IU_ERRINJ
static void survives_every_failed_allocation(void **state) {
  entity_spec e = {.id = "e1", .type = "Person", .created = 5, .name = "a", .tags = {"x"}, .properties = "{\"a\":\"q\\u00fc\",\"b\":[{\"c\":[1]}],\"o\":\"\\u0041b\"}"};
  iu_row *row = entity_row(schema, &e);
  iu_filter_spec list[6];
  iu_selection_spec spec = {.filter_count = 6, .filters = list, .order_by = "properties.o", .order_by_len = 12};
  long n = 0;
  iu_status status;
  (void)state;
  list[0] = filter("properties.a", "Equals", "\"q\xC3\xBC\"");
  list[1] = filter("properties.b", "Contains", "{\"c\":[1]}");
  list[2] = filter("properties.b", "In", "[5,[{\"c\":[1]}]]");
  list[3] = filter("big", "GreaterThan", "340282366920938463463374607431768211455");
  list[4] = filter("tags.0", "StartsWith", "\"x\"");
  list[5] = filter("entity_type", "In", "[\"Person\",\"X\"]");
  do {
    iu_selection *s;
    iu_error err;
    bool done;
    iu__errinj_arm(IU_ERRINJ_ALLOC, n++);
    status = iu__selection_new(table_def(schema, "entity"), &spec, &s, &err);
    for (int i = 0; i < 3 && status == IU_OK; i++) status = iu__selection_offer(s, row, &done, &err);
    if (status == IU_OK) status = iu__selection_finish(s, &err);
    if (status == IU_OK) assert_int_equal(iu__selection_count(s), 3);
    else assert_int_equal(status, IU_E_NOMEM);
    iu__selection_free(s);
    assert_true(n < 1000);
  } while (status != IU_OK);
  iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
  assert_true(n > 20);
  free(row);
}
#endif

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(operators_on_json_values), cmocka_unit_test(operators_on_columns), cmocka_unit_test(sets_of_candidates), cmocka_unit_test(numbers_compare_exactly), cmocka_unit_test(refuses_with_a_hint),
    cmocka_unit_test(limits_the_number_of_filters), cmocka_unit_test(json_text_by_convention), cmocka_unit_test(survives_hostile_input),
#ifdef IU_ERRINJ
    cmocka_unit_test(survives_every_failed_allocation),
#endif
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
