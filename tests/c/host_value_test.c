/* host_value_test.c: args to bytes and bytes to values, for every kind of type; and that no bytes and no wrong arg make either stumble. */
#include "base_fixture.h"

#include "../../core/host/internal.h"
#include "../../core/sats/sats_json.h"

static iu_typespace ts;
static iu_error err;
static iu_buf out;

static void good(iu_status status, const char *what) {
  if (status != IU_OK) fail_msg("%s: %s", what, err.message);
}
#define GOOD(call) good((call), #call)
static void bad(iu_status status, const char *words, const char *what) {
  if (status != IU_E_VALIDATION) fail_msg("%s: status %d", what, status);
  if (strstr(err.message, words) == NULL) fail_msg("%s: \"%s\" does not say \"%s\"", what, err.message, words);
}
#define BAD(call, words) bad((call), (words), #call)

static const iu_type *scalar(iu_type_tag tag) { return iu__type_scalar(tag); }
static const iu_type *product2(const char *a, const iu_type *ta, const char *b, const iu_type *tb) {
  return iu__type_product(&ts, 2, (const iu_field[]){{a, ta}, {b, tb}});
}

static iu_value encoded(const iu_arg a, const iu_type *t) {
  iu__buf_reset(&out);
  GOOD(iu__arg_encode(&a, t, "x", &out, &err));
  assert_int_equal(iu__bsatn_check_all(t, out.data, out.len, &err), IU_OK);
  return iu__value(NULL, t, out.data, out.len);
}

static void refused(const iu_arg a, const iu_type *t, const char *words) {
  iu__buf_reset(&out);
  BAD(iu__arg_encode(&a, t, "x", &out, &err), words);
}

/* ---- scalars ---- */

static void integers(void **state) {
  static const struct { iu_type_tag tag; int64_t min; uint64_t max; } kinds[] = {
      {IU_T_I8, INT8_MIN, INT8_MAX}, {IU_T_U8, 0, UINT8_MAX}, {IU_T_I16, INT16_MIN, INT16_MAX}, {IU_T_U16, 0, UINT16_MAX}, {IU_T_I32, INT32_MIN, INT32_MAX},
      {IU_T_U32, 0, UINT32_MAX}, {IU_T_I64, INT64_MIN, INT64_MAX}, {IU_T_U64, 0, UINT64_MAX}};
  (void)state;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    const iu_type *t = scalar(kinds[i].tag);
    int64_t s;
    uint64_t u;
    iu_value v = encoded(iu_arg_i64(kinds[i].min), t);
    GOOD(iu_value_i64(&v, &s, &err));
    assert_true(s == kinds[i].min);
    v = encoded(iu_arg_u64(kinds[i].max), t);
    GOOD(iu_value_u64(&v, &u, &err));
    assert_true(u == kinds[i].max);
    if (kinds[i].min > INT64_MIN) refused(iu_arg_i64(kinds[i].min - 1), t, iu__type_label(t));
    if (kinds[i].max < UINT64_MAX) refused(iu_arg_u64(kinds[i].max + 1), t, iu__type_label(t));
    if (kinds[i].max > INT64_MAX) BAD(iu_value_i64(&v, &s, &err), "18446744073709551615 does not fit");
    refused(iu_arg_f64(1), t, "got 1");
    refused(iu_arg_text("1"), t, "got \"1\"");
    refused(iu_arg_bool(true), t, "got true");
    refused(iu_arg_none(), t, "got none");
  }
  iu_value minus = encoded(iu_arg_i64(-1), scalar(IU_T_I8));
  uint64_t u;
  BAD(iu_value_u64(&minus, &u, &err), "-1 does not fit");
}

static void wide_integers(void **state) {
  static const iu_type_tag tags[] = {IU_T_I128, IU_T_U128, IU_T_I256, IU_T_U256};
  uint8_t bytes[32], back[32];
  (void)state;
  for (int i = 0; i < 32; i++) bytes[i] = (uint8_t)(i + 1);
  for (int i = 0; i < 4; i++) {
    const iu_type *t = scalar(tags[i]);
    size_t size = t->fixed_size;
    int64_t s;
    iu_value v = encoded(iu_arg_bytes(bytes, size), t);
    GOOD(iu_value_fixed(&v, back, size, &err));
    assert_memory_equal(back, bytes, size);
    BAD(iu_value_i64(&v, &s, &err), "does not fit");
    BAD(iu_value_fixed(&v, back, size / 2, &err), "size: expected");
    refused(iu_arg_bytes(bytes, size - 1), t, "bytes");
    refused(iu_arg_bytes(NULL, size), t, "bytes");
    v = encoded(iu_arg_u64(7), t);
    GOOD(iu_value_i64(&v, &s, &err));
    assert_true(s == 7);
    if (i % 2 != 0) {
      refused(iu_arg_i64(-7), t, "got -7");
      continue;
    }
    v = encoded(iu_arg_i64(-7), t);
    GOOD(iu_value_i64(&v, &s, &err));
    assert_true(s == -7);
  }
  refused(iu_arg_bytes(bytes, 8), scalar(IU_T_U64), "8 bytes"); /* narrow ones are numbers */
}

static void floats_and_bools(void **state) {
  double d;
  bool b;
  (void)state;
  iu_value v = encoded(iu_arg_f64(0.1), scalar(IU_T_F64));
  GOOD(iu_value_f64(&v, &d, &err));
  assert_true(d == 0.1);
  v = encoded(iu_arg_f64(0.1), scalar(IU_T_F32));
  GOOD(iu_value_f64(&v, &d, &err));
  assert_true(d == (double)0.1f);
  refused(iu_arg_f64(1e300), scalar(IU_T_F32), "F32");
  v = encoded(iu_arg_f64(double_of(UINT64_C(0x7ff0000000000000))), scalar(IU_T_F32)); /* infinite as it was */
  GOOD(iu_value_f64(&v, &d, &err));
  assert_true(d > 1e300);
  refused(iu_arg_i64(1), scalar(IU_T_F64), "got 1"); /* a number that is meant as a float says so */
  v = encoded(iu_arg_bool(true), scalar(IU_T_BOOL));
  GOOD(iu_value_bool(&v, &b, &err));
  assert_true(b);
  BAD(iu_value_f64(&v, &d, &err), "expected F32 or F64, it is Bool");
  refused(iu_arg_i64(1), scalar(IU_T_BOOL), "Bool");
}

static void texts_and_bytes(void **state) {
  const char *text;
  const uint8_t *bytes;
  size_t len;
  char room[8];
  (void)state;
  iu_value v = encoded(iu_arg_text_n("a\0b", 3), scalar(IU_T_STRING));
  GOOD(iu_value_string(&v, &text, &len, &err));
  assert_int_equal(len, 3);
  assert_memory_equal(text, "a\0b", 3);
  v = encoded(iu_arg_text(""), scalar(IU_T_STRING));
  GOOD(iu_value_string(&v, &text, &len, &err));
  assert_int_equal(len, 0);
  refused(iu_arg_text(NULL), scalar(IU_T_STRING), "got NULL");
  refused(iu_arg_text_n(NULL, 2), scalar(IU_T_STRING), "got NULL");
  refused(iu_arg_text("\xc3"), scalar(IU_T_STRING), "byte 0 is not");
  refused(iu_arg_bytes("ab", 2), scalar(IU_T_STRING), "2 bytes");
  v = encoded(iu_arg_text("\xc3\xa4\xc3\xa4"), scalar(IU_T_STRING));
  GOOD(iu_value_text(&v, room, 4, &len, &err)); /* cut at a character */
  assert_string_equal(room, "\xc3\xa4");
  assert_int_equal(len, 4);
  GOOD(iu_value_text(&v, NULL, 0, &len, &err));
  assert_int_equal(len, 4);
  v = encoded(iu_arg_bytes("\xff\0", 2), iu__type_special(IU_S_BYTES));
  GOOD(iu_value_bytes(&v, &bytes, &len, &err));
  assert_memory_equal(bytes, "\xff\0", 2);
  assert_int_equal(len, 2);
  v = encoded(iu_arg_bytes(NULL, 0), iu__type_special(IU_S_BYTES));
  GOOD(iu_value_bytes(&v, &bytes, &len, &err));
  assert_int_equal(len, 0);
  refused(iu_arg_bytes(NULL, 1), iu__type_special(IU_S_BYTES), "got NULL");
}

static void specials(void **state) {
  static const char hex[] = "00000000000000000000000000000000000000000000000000000000000000ff";
  uint8_t id[32], expected[32] = {0xff};
  char text[80];
  int64_t micros;
  (void)state;
  iu_value v = encoded(iu_arg_text(hex), iu__type_special(IU_S_IDENTITY));
  GOOD(iu_value_fixed(&v, id, 32, &err));
  assert_memory_equal(id, expected, 32);
  GOOD(iu_value_text(&v, text, sizeof text, NULL, &err));
  assert_string_equal(text, hex);
  assert_int_equal(iu_value_kind(&v), IU_KIND_IDENTITY);
  v = encoded(iu_arg_bytes(expected, 32), iu__type_special(IU_S_IDENTITY));
  GOOD(iu_value_text(&v, text, sizeof text, NULL, &err));
  assert_string_equal(text, hex);
  refused(iu_arg_text("ff"), iu__type_special(IU_S_IDENTITY), "got \"ff\"");
  refused(iu_arg_i64(1), iu__type_special(IU_S_IDENTITY), "got 1");
  v = encoded(iu_arg_text("01890a5d-ac96-774b-bcce-b302099a8057"), iu__type_special(IU_S_UUID));
  GOOD(iu_value_text(&v, text, sizeof text, NULL, &err));
  assert_string_equal(text, "01890a5d-ac96-774b-bcce-b302099a8057");
  GOOD(iu_value_fixed(&v, id, 16, &err));
  assert_int_equal(id[0], 0x57);
  v = encoded(iu_arg_i64(-5), iu__type_special(IU_S_TIMESTAMP));
  GOOD(iu_value_i64(&v, &micros, &err));
  assert_true(micros == -5);
  assert_int_equal(iu_value_kind(&v), IU_KIND_TIMESTAMP);
  refused(iu_arg_text("yesterday"), iu__type_special(IU_S_TIMESTAMP), "got \"yesterday\"");
  v = encoded(iu_arg_none(), iu__type_special(IU_S_UNIT));
  assert_int_equal(v.len, 0);
}

/* ---- compounds ---- */

static void nested(void **state) {
  const iu_type *point = product2("x", scalar(IU_T_F32), "y", scalar(IU_T_F32));
  const iu_type *shape = iu__type_sum(&ts, 3, (const iu_field[]){{"Empty", iu__type_special(IU_S_UNIT)}, {"Dot", point}, {"Line", iu__type_array(&ts, point)}});
  const iu_type *whole = product2("shapes", iu__type_array(&ts, shape), "label", iu__type_option(&ts, scalar(IU_T_STRING)));
  const iu_arg xy[] = {iu_arg_f64(1), iu_arg_f64(2)}, wrong_xy[] = {iu_arg_f64(1), iu_arg_text("2")}, dot = iu_arg_list(xy, 2);
  const iu_arg dots[] = {dot, iu_arg_json("[3.0, 4.0]"), iu_arg_json("{\"x\":5, \"y\":6}")}, line = iu_arg_list(dots, 3), wrong = iu_arg_list(wrong_xy, 2);
  const iu_arg wrong_line = iu_arg_list(&wrong, 1);
  const iu_arg shapes[] = {iu_arg_text("Empty"), iu_arg_variant("Dot", &dot), iu_arg_variant("Line", &line), iu_arg_variant("Empty", NULL)};
  const iu_arg parts[] = {iu_arg_list(shapes, 4), iu_arg_text("all")};
  const iu_arg wrong_shape = iu_arg_variant("Line", &wrong_line), unknown = iu_arg_text("Circle"), bare = iu_arg_text("Dot");
  iu_value v, list, it, payload, n;
  uint32_t at = 0, tag;
  const char *name;
  double d;
  int count = 0;
  (void)state;
  v = encoded(iu_arg_list(parts, 2), whole);
  assert_int_equal(iu_value_kind(&v), IU_KIND_PRODUCT);
  GOOD(iu_value_field(&v, "shapes", &list, &err));
  assert_int_equal(iu_value_count(&list), 4);
  while (iu_value_next(&list, &at, &it)) {
    static const char *const names[] = {"Empty", "Dot", "Line", "Empty"};
    GOOD(iu_value_variant(&it, &tag, &name, &payload, &err));
    assert_string_equal(name, names[count++]);
    GOOD(iu_value_at(&list, at - 1, &n, &err)); /* the same by its position */
    assert_ptr_equal(n.bytes, it.bytes);
    assert_int_equal(n.len, it.len);
    if (tag != 2) continue;
    assert_int_equal(iu_value_count(&payload), 3);
    GOOD(iu_value_at(&payload, 2, &n, &err));
    GOOD(iu_value_field(&n, "y", &n, &err));
    GOOD(iu_value_f64(&n, &d, &err));
    assert_true(d == 6);
  }
  assert_int_equal(count, 4);
  char *json;
  size_t len;
  GOOD(iu_value_json(&v, &json, &len, &err));
  assert_int_equal(strlen(json), len);
  iu_buf again = {0};
  const iu_arg from_json = iu_arg_json(json);
  GOOD(iu__arg_encode(&from_json, whole, "x", &again, &err)); /* the same bytes come back */
  assert_int_equal(again.len, v.len);
  assert_memory_equal(again.data, v.bytes, v.len);
  const uint8_t *bytes;
  GOOD(iu_value_bsatn(&v, &bytes, &len, &err));
  const iu_arg raw = iu_arg_bsatn(bytes, len), cut = iu_arg_bsatn(bytes, len - 1);
  iu__buf_reset(&again);
  GOOD(iu__arg_encode(&raw, whole, "x", &again, &err));
  assert_memory_equal(again.data, v.bytes, v.len);
  BAD(iu__arg_encode(&cut, whole, "x", &again, &err), "x: ");
  iu__buf_free(&again);
  iu_string_free(json);
  /* what is wrong deep inside is named with its path */
  iu_arg one[] = {iu_arg_list(&wrong_shape, 1), iu_arg_none()};
  refused(iu_arg_list(one, 2), whole, "x.shapes[0].Line[0].y: expected F32, got \"2\"");
  one[0] = iu_arg_list(&unknown, 1);
  refused(iu_arg_list(one, 2), whole, "x.shapes[0]: expected");
  one[0] = iu_arg_list(&bare, 1);
  refused(iu_arg_list(one, 2), whole, "x.shapes[0].Dot: expected");
  one[0] = iu_arg_json("[1]");
  refused(iu_arg_list(one, 2), whole, "x.shapes: ");
  refused(iu_arg_list(one, 1), whole, "a list of 1");
  refused(iu_arg_list(NULL, 2), whole, "a list of 2");
  refused(iu_arg_variant(NULL, NULL), shape, "the variant ``");
  refused((iu_arg){.kind = (iu_arg_kind)77}, shape, "unknown kind 77");
  refused((iu_arg){.kind = (iu_arg_kind)77}, scalar(IU_T_U8), "unknown kind 77");
}

static void fields_that_take_no_bytes(void **state) {
  const iu_type *unit = iu__type_special(IU_S_UNIT), *t = iu__type_product(&ts, 3, (const iu_field[]){{"a", unit}, {"b", unit}, {"c", scalar(IU_T_U8)}});
  const iu_arg parts[] = {iu_arg_none(), iu_arg_none(), iu_arg_i64(9)}, nones[] = {iu_arg_none(), iu_arg_none()};
  uint32_t at = 0;
  int64_t last = 0;
  iu_value it;
  (void)state;
  iu_value v = encoded(iu_arg_list(parts, 3), t);
  while (iu_value_next(&v, &at, &it)) {
    if (at == 3) GOOD(iu_value_i64(&it, &last, &err));
  }
  assert_int_equal(at, 3);
  assert_int_equal(last, 9);
  v = encoded(iu_arg_list(nones, 2), iu__type_array(&ts, unit));
  for (at = 0; iu_value_next(&v, &at, &it);) {}
  assert_int_equal(at, 2);
}

static void deep_args_end(void **state) {
  const iu_type *t = scalar(IU_T_U8);
  iu_arg levels[80];
  (void)state;
  for (int i = 0; i < 60; i++) t = iu__type_option(&ts, t);
  iu_value v = encoded(iu_arg_i64(7), t), inner = v;
  int64_t seven;
  GOOD(iu_value_i64(&v, &seven, &err)); /* through all options */
  assert_int_equal(seven, 7);
  for (int i = 0; i < 60; i++) GOOD(iu_value_at(&inner, 0, &inner, &err));
  assert_int_equal(iu_value_kind(&inner), IU_KIND_U8);
  /* a type that contains itself, and args that go on for as long */
  iu_typespace own = {0};
  const iu_type *ref = iu__type_ref(&own, 0), *types[1];
  types[0] = iu__type_product(&own, 1, (const iu_field[]){{"next", iu__type_array(&own, ref)}});
  own.types = types;
  own.count = 1;
  GOOD(iu__typespace_link(&own, &err));
  levels[0] = iu_arg_list(NULL, 0);
  for (int i = 1; i < 80; i++) levels[i] = iu_arg_list(&levels[i - 1], 1);
  refused(levels[79], types[0], "nested over 64 deep");
  encoded(levels[41], types[0]);
  own.types = NULL;
  own.count = 0;
  iu__typespace_free(&own);
}

/* Values over random bytes: whatever is read stays inside them. Under the sanitizers this is the proof. */
static void random_bytes_are_bounded(void **state) {
  random_source r = random_begin("values");
  const iu_type *types[] = {
      scalar(IU_T_STRING), iu__type_special(IU_S_BYTES), iu__type_array(&ts, scalar(IU_T_STRING)), iu__type_option(&ts, scalar(IU_T_U64)),
      product2("a", iu__type_array(&ts, scalar(IU_T_U16)), "b", iu__type_option(&ts, scalar(IU_T_STRING))), iu__type_special(IU_S_IDENTITY),
      iu__type_sum(&ts, 2, (const iu_field[]){{"A", scalar(IU_T_STRING)}, {"B", scalar(IU_T_F64)}})};
  (void)state;
  for (int round = 0; round < (SLOW_BUILD ? 20000 : 100000); round++) {
    size_t len = random_below(&r, 24);
    uint8_t *bytes = malloc(len + 1); /* exact, so that a byte too far is seen; one more only where there is none */
    for (size_t i = 0; i < len; i++) bytes[i] = random_below(&r, 3) == 0 ? (uint8_t)random_next(&r) : (uint8_t)random_below(&r, 3);
    iu_value v = iu__value(NULL, types[random_below(&r, sizeof types / sizeof *types)], bytes, len), part;
    const char *text;
    const uint8_t *b;
    uint8_t id[32];
    size_t n;
    int64_t i64;
    double d;
    uint32_t at = 0, parts = 0;
    (void)iu_value_string(&v, &text, &n, NULL);
    (void)iu_value_bytes(&v, &b, &n, NULL);
    (void)iu_value_i64(&v, &i64, NULL);
    (void)iu_value_f64(&v, &d, NULL);
    (void)iu_value_fixed(&v, id, 32, NULL);
    (void)iu_value_is_none(&v);
    (void)iu_value_at(&v, (uint32_t)random_below(&r, 4), &part, NULL);
    (void)iu_value_field(&v, "b", &part, NULL);
    (void)iu_value_variant(&v, NULL, &text, &part, NULL);
    (void)iu_value_text(&v, (char *)id, sizeof id, NULL, NULL);
    while (parts < 100 && iu_value_next(&v, &at, &part)) parts++;
    free(bytes);
  }
}

/* ---- a call's ---- */

static void json_in_one_piece(void **state) {
  const iu_type *params = iu__type_product(&ts, 3, (const iu_field[]){{"n", scalar(IU_T_U8)}, {"label", iu__type_option(&ts, scalar(IU_T_STRING))},
                                                                       {"more", iu__type_option(&ts, scalar(IU_T_U8))}});
  iu_reducer_def def = {"go", params, IU_LC_NONE};
  iu_callee f = {"go", params, 0, &def, NULL};
  iu_schema s = {0};
  static const char *const same[] = {"[5]", "[5, null]", "[5, null, null]", "{\"n\": 5}", "{\"more\": null, \"n\": 5}"};
  (void)state;
  for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
    iu__buf_reset(&out);
    GOOD(iu__args_from_json(&s, &f, same[i], &out, &err));
    assert_int_equal(out.len, 3);
    assert_memory_equal(out.data, "\5\1\1", 3);
  }
  iu__buf_reset(&out);
  BAD(iu__args_from_json(&s, &f, "[256]", &out, &err), "n: ");
  BAD(iu__args_from_json(&s, &f, "[256]", &out, &err), "(go(n: U8, label: Option<String>, more: Option<U8>))");
  BAD(iu__args_from_json(&s, &f, "[]", &out, &err), "go takes 3 arguments, got 0");
  BAD(iu__args_from_json(&s, &f, "{}", &out, &err), "`n` is missing");
  BAD(iu__args_from_json(&s, &f, "", &out, &err), "go(");
  BAD(iu__args_from_json(&s, &f, "[5] 6", &out, &err), "go(");
  iu_buf small = {.limit = 2};
  assert_int_equal(iu__args_from_json(&s, &f, "[5]", &small, &err), IU_E_OVERLOADED);
  iu__buf_free(&small);
}

/* Every allocation fails once: nothing is lost, and the words are there. */
static void without_memory(void **state) {
  const iu_type *params = product2("a", iu__type_array(&ts, scalar(IU_T_STRING)), "b", scalar(IU_T_STRING));
  iu_reducer_def def = {"go", params, IU_LC_NONE};
  iu_callee f = {"go", params, 0, &def, NULL};
  iu_schema s = {0};
  int failures = 0;
  (void)state;
  for (long n = 0; n < 200; n++) {
    iu_buf own = {0};
    iu__errinj_arm(IU_ERRINJ_ALLOC, n);
    iu_status status = iu__args_from_json(&s, &f, "{\"a\": [\"1\", \"2\"], \"b\": \"3\"}", &own, &err);
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    if (status != IU_OK) {
      assert_int_equal(status, IU_E_NOMEM);
      failures++;
    } else {
      assert_int_equal(own.len, 4 + 5 + 5 + 5);
    }
    iu__buf_free(&own);
  }
  assert_true(failures > 2 && failures < 200);
}

/* What a server's procedure returned outlives the message it came in. */
static iu_cursor *given;
static void take_value(void *ud, iu_universe *u, const iu_error *why, iu_cursor *rows) {
  (void)ud;
  (void)u;
  assert_null(why);
  given = rows;
}

static void a_procedures_value(void **state) {
  uint8_t bytes[] = {9, 0, 0, 0};
  iu_typed_value value = {scalar(IU_T_U32), {bytes, sizeof bytes}};
  iu_pending_call *p;
  iu_runtime *rt;
  iu_universe *u;
  iu_value v;
  int64_t nine;
  (void)state;
  GOOD(iu_runtime_new(NULL, &rt, &err));
  GOOD(iu_open(rt, "memory:", NULL, &u, &err));
  BAD(iu_procedure(u, "roll", NULL, 0, 0, &given, &err), "unknown procedure `roll`");
  assert_null(given);
  GOOD(iu__pending_new("roll", 4, take_value, NULL, &p, &err));
  iu__pending_begun(u, p, 77, 0);
  iu__host_listener.answer(u, 76, IU_OK, NULL, NULL, &value); /* somebody's who is gone */
  assert_null(given);
  iu__host_listener.answer(u, 77, IU_OK, NULL, NULL, &value);
  memset(bytes, 0, sizeof bytes);
  iu_free(u);
  assert_int_equal(iu_cursor_count(given), 1);
  assert_true(iu_cursor_next(given, &v));
  GOOD(iu_value_i64(&v, &nine, &err));
  assert_int_equal(nine, 9);
  assert_false(iu_cursor_next(given, &v));
  iu_cursor_free(given);
  GOOD(iu_runtime_free(rt, &err));
}

static int end(void **state) {
  (void)state;
  iu__buf_free(&out);
  iu__typespace_free(&ts);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(integers), cmocka_unit_test(wide_integers), cmocka_unit_test(floats_and_bools), cmocka_unit_test(texts_and_bytes),
      cmocka_unit_test(specials), cmocka_unit_test(nested), cmocka_unit_test(fields_that_take_no_bytes), cmocka_unit_test(deep_args_end),
      cmocka_unit_test(random_bytes_are_bounded), cmocka_unit_test(json_in_one_piece), cmocka_unit_test(without_memory),
      cmocka_unit_test(a_procedures_value),
  };
  return cmocka_run_group_tests(tests, NULL, end);
}
