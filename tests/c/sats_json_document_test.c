/* The JSON document and the writer: what comes in goes out, members are found, the last duplicate wins. */
#include "sats_json_fixture.h"

static void assert_compact(const char *text, const char *expected) {
  iu_arena arena = {0};
  iu_buf out = {0};
  iu_error err;
  const iu_json *v = iu__json_parse(&arena, text, strlen(text), &err);
  if (v == NULL) fail_msg("%s: %s", text, err.message);
  iu__json_write(v, &out);
  assert_text(&out, expected);
  iu__buf_free(&out);
  iu__arena_free(&arena);
}

static void documents_are_written_compact(void **state) {
  (void)state;
  assert_compact(" null ", "null");
  assert_compact("[ true , false ]", "[true,false]");
  assert_compact("{ \"a\" : [ ] , \"b\" : { } , \"c\" : \"\" }", "{\"a\":[],\"b\":{},\"c\":\"\"}");
  assert_compact("{\"b\":1,\"a\":2}", "{\"b\":1,\"a\":2}");
}

static void values_keep_their_kind(void **state) {
  (void)state;
  assert_compact("[1,-0,-0.0,1.0,1E5,1e16,1e-7,123456789012345678901234567890]", "[1,0,-0.0,1.0,100000.0,1e+16,1e-07,123456789012345678901234567890]");
  assert_compact("\"\\u00e9\\/\\ud83d\\ude00\\u007f\"", "\"\xC3\xA9/\xF0\x9F\x98\x80\x7F\"");
  assert_compact("\"\\b\\t\\n\\f\\r\\u0000\\u001f\\\"\\\\\"", "\"\\b\\t\\n\\f\\r\\u0000\\u001f\\\"\\\\\"");
}

static void the_last_duplicate_wins_in_the_place_of_the_first(void **state) {
  (void)state;
  assert_compact("{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":3,\"b\":2}");
  assert_compact("{\"a\":1,\"a\":2,\"a\":[3]}", "{\"a\":[3]}");
  assert_compact("{\"\":1,\"\":2}", "{\"\":2}");
  assert_compact("{\"a\":1,\"\\u0061\":2,\"ab\":3}", "{\"a\":2,\"ab\":3}");
  assert_compact("{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"c\":2,\"a\":3,\"c\":4}",
                 "{\"a\":3,\"b\":1,\"c\":4,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1}");
  assert_compact("{\"a\":1,\"a\":2,\"a\":3,\"a\":4,\"a\":5,\"a\":6,\"a\":7,\"a\":8,\"a\":9,\"a\":10}", "{\"a\":10}");
}

static void members_are_found(void **state) {
  enum { MOST = 3000 };
  random_source rnd = random_begin("members");
  int sizes[] = {0, 1, 2, 7, 8, 9, 10, 16, 17, 63, 64, 65, 1000, MOST}, s, i;
  (void)state;
  for (s = 0; s < (int)(sizeof sizes / sizeof *sizes); s++) {
    int n = sizes[s], last[MOST];
    iu_buf text = {0};
    iu_arena arena = {0};
    const iu_json *object, *v;
    char key[32];
    memset(last, -1, sizeof last);
    iu__buf_put_str(&text, "{");
    for (i = 0; i < n; i++) {
      int k = (int)random_below(&rnd, (uint64_t)(s % 2 ? n : 4 * n));
      if (k >= MOST) k = i;
      last[k] = i;
      iu__buf_printf(&text, "%s\"key%d\":%d", i ? "," : "", k, i);
    }
    iu__buf_put_str(&text, "}");
    object = iu__json_parse(&arena, text.data, text.len, NULL);
    assert_non_null(object);
    for (i = 0; i < MOST; i++) {
      snprintf(key, sizeof key, "key%d", i);
      v = iu__json_get(object, key, strlen(key));
      if ((v == NULL) != (last[i] < 0)) fail_msg("%s of %d", key, n);
      if (v != NULL) assert_int_equal(v->u.i, last[i]);
    }
    assert_null(iu__json_get(object, "key", 3));
    assert_null(iu__json_get(object, "", 0));
    assert_null(iu__json_get(object, "zzz", 3));
    iu__buf_free(&text);
    iu__arena_free(&arena);
  }
}

/* Keys that differ in their length, in zeros or behind a long common beginning only: in every order of writing. */
static void keys_that_are_alike_are_sorted_and_found(void **state) {
  enum { LONG = 10, COUNT = LONG * LONG };
  random_source rnd = random_begin("alike");
  int round, i;
  (void)state;
  for (round = 0; round < 50; round++) {
    int order[COUNT], skip = round % 3 * 5;
    iu_buf text = {0};
    iu_arena arena = {0};
    const iu_json *object;
    for (i = 0; i < COUNT; i++) order[i] = i;
    for (i = COUNT - 1; i > 0; i--) {
      int j = (int)random_below(&rnd, (uint64_t)i + 1), swap = order[i];
      order[i] = order[j];
      order[j] = swap;
    }
    for (i = 0; i < COUNT; i++) {
      int k;
      iu__buf_printf(&text, "%s\"%.*s", i == 0 ? "{" : ",", skip, "common beginning");
      for (k = 0; k < order[i] / LONG; k++) iu__buf_put_u8(&text, 'p');
      for (k = 0; k < order[i] % LONG; k++) iu__buf_put_str(&text, "\\u0000");
      iu__buf_printf(&text, "\":%d", order[i]);
    }
    iu__buf_put_u8(&text, '}');
    object = iu__json_parse(&arena, text.data, text.len, NULL);
    assert_non_null(object);
    assert_int_equal(object->len, COUNT);
    for (i = 1; i < COUNT; i++) {
      const uint32_t *index = (const uint32_t *)object->u.members - object->len;
      const iu_json_member *a = &object->u.members[index[i - 1]], *b = &object->u.members[index[i]];
      size_t shorter = a->key_len < b->key_len ? a->key_len : b->key_len;
      int compared = memcmp(a->key, b->key, shorter);
      assert_true(compared < 0 || (compared == 0 && a->key_len < b->key_len));
      assert_ptr_equal(iu__json_get(object, a->key, a->key_len), &a->value);
    }
    iu__buf_free(&text), iu__arena_free(&arena);
  }
}

static void only_objects_have_members(void **state) {
  iu_arena arena = {0};
  const iu_json *v = iu__json_parse(&arena, "[1,\"a\"]", 7, NULL);
  (void)state;
  assert_int_equal(v->token, IU_J_ARRAY);
  assert_int_equal(v->len, 2);
  assert_int_equal(v->u.elements[0].u.i, 1);
  assert_int_equal(v->u.elements[1].token, IU_J_STRING);
  assert_memory_equal(v->u.elements[1].u.s, "a", 1);
  assert_null(iu__json_get(v, "a", 1));
  assert_null(iu__json_get(&v->u.elements[1], "a", 1));
  iu__arena_free(&arena);
}

static void a_document_outlives_its_text(void **state) {
  iu_arena arena = {0};
  iu_buf out = {0};
  char *text = malloc(64);
  const iu_json *v;
  (void)state;
  assert_non_null(text);
  strcpy(text, "{\"plain\":\"text\",\"esc\\u0061\":\"\\n\",\"n\":99999999999999999999}");
  v = iu__json_parse(&arena, text, strlen(text), NULL);
  assert_non_null(v);
  memset(text, 0, 64);
  free(text);
  iu__json_write(v, &out);
  assert_text(&out, "{\"plain\":\"text\",\"esca\":\"\\n\",\"n\":99999999999999999999}");
  iu__buf_free(&out);
  iu__arena_free(&arena);
}

static void numbers_and_strings_are_pushed(void **state) {
  iu_buf b = {0};
  (void)state;
  iu__json_put_i64(&b, INT64_MIN);
  iu__buf_put_u8(&b, ' ');
  iu__json_put_f64(&b, 1e22);
  iu__buf_put_u8(&b, ' ');
  iu__json_put_f64(&b, double_of(UINT64_C(0x7FF8000000000000)));
  iu__buf_put_u8(&b, ' ');
  iu__json_put_f64(&b, double_of(UINT64_C(0xFFF0000000000000)));
  iu__buf_put_u8(&b, ' ');
  iu__json_put_string(&b, "a\0b", 3);
  iu__json_put_string(&b, "", 0);
  iu__json_put_string_ascii(&b, "\xC3\xA9\x7F\xF0\x9F\x98\x80~", 8);
  assert_text(&b, "-9223372036854775808 1e+22 null null \"a\\u0000b\"\"\"\"\\u00e9\\u007f\\ud83d\\ude00~\"");
  iu__buf_free(&b);
}

/* Compact text is a fixed point, and every document means the same after a trip. */
static void random_documents_survive_a_trip(void **state) {
  random_source rnd = random_begin("documents");
  json_maker m = {.rnd = &rnd};
  iu_buf once = {0}, twice = {0}, canonical = {0}, again = {0};
  iu_error err;
  int i, rounds = SLOW_BUILD ? 2000 : 20000;
  (void)state;
  for (i = 0; i < rounds; i++) {
    iu_arena arena = {0};
    const iu_json *v;
    make_document(&m, 60);
    iu__buf_reset(&once), iu__buf_reset(&twice), iu__buf_reset(&canonical), iu__buf_reset(&again);
    v = iu__json_parse(&arena, m.out.data, m.out.len, &err);
    if (v == NULL && strstr(err.message, "too large for a double") != NULL) {
      iu__arena_free(&arena);
      continue;
    }
    if (v == NULL) fail_msg("%.*s: %s", (int)m.out.len, (const char *)m.out.data, err.message);
    iu__json_write(v, &once);
    v = iu__json_parse(&arena, once.data, once.len, &err);
    if (v == NULL) fail_msg("%.*s: %s", (int)once.len, (const char *)once.data, err.message);
    iu__json_write(v, &twice);
    assert_int_equal(once.len, twice.len);
    assert_memory_equal(once.data, twice.data, once.len);
    assert_int_equal(iu__json_canonical(m.out.data, m.out.len, &canonical, &err), IU_OK);
    assert_int_equal(iu__json_canonical(once.data, once.len, &again, &err), IU_OK);
    assert_int_equal(canonical.len, again.len);
    assert_memory_equal(canonical.data, again.data, again.len);
    iu__arena_free(&arena);
  }
  iu__buf_free(&m.out), iu__buf_free(&once), iu__buf_free(&twice), iu__buf_free(&canonical), iu__buf_free(&again);
}

static void a_strings_size_is_that_of_its_text(void **state) {
  random_source r = random_begin("sizes");
  iu_buf text = {0};
  (void)state;
  for (int i = 0; i < 3000; i++) {
    char s[40];
    size_t len = (size_t)random_below(&r, sizeof s), k;
    for (k = 0; k < len; k++) s[k] = (char)(random_below(&r, 3) == 0 ? random_below(&r, 128) : 'a'); /* any ASCII */
    iu__buf_reset(&text);
    iu__json_put_string(&text, s, len);
    assert_int_equal(iu__json_string_size(s, len), text.len);
  }
  iu__buf_free(&text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(documents_are_written_compact),
      cmocka_unit_test(values_keep_their_kind),
      cmocka_unit_test(the_last_duplicate_wins_in_the_place_of_the_first),
      cmocka_unit_test(members_are_found),
      cmocka_unit_test(keys_that_are_alike_are_sorted_and_found),
      cmocka_unit_test(only_objects_have_members),
      cmocka_unit_test(a_document_outlives_its_text),
      cmocka_unit_test(numbers_and_strings_are_pushed),
      cmocka_unit_test(random_documents_survive_a_trip),
      cmocka_unit_test(a_strings_size_is_that_of_its_text),
  };
  return cmocka_run_group_tests_name("sats_json_document", tests, NULL, NULL);
}
