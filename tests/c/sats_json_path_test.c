/* Dotted paths, and values found in JSON texts without a tree. */
#include "sats_json_fixture.h"

static void paths_are_split(void **state) {
  iu_path p;
  (void)state;
  assert_int_equal(iu__path_parse(&p, "", 0, NULL), IU_OK);
  assert_int_equal(p.count, 0);
  iu__path_free(&p);
  assert_int_equal(iu__path_parse(&p, "a.b\\.c.\\e.d\\\\e.10.\xC3\xA9", 20, NULL), IU_OK);
  assert_int_equal(p.count, 6);
  assert_memory_equal(p.segments[0], "a", p.lens[0]);
  assert_int_equal(p.lens[1], 3);
  assert_memory_equal(p.segments[1], "b.c", 3);
  assert_int_equal(p.lens[2], 0);
  assert_int_equal(p.lens[3], 3);
  assert_memory_equal(p.segments[3], "d\\e", 3);
  assert_int_equal(p.lens[4], 2);
  assert_int_equal(p.lens[5], 2);
  iu__path_free(&p);
  iu__path_free(&p);
  assert_int_equal(iu__path_parse(&p, "\\e", 2, NULL), IU_OK);
  assert_int_equal(p.count, 1);
  assert_int_equal(p.lens[0], 0);
  iu__path_free(&p);
}

static void bad_paths_are_refused(void **state) {
  static const struct { const char *text; size_t offset; } rows[] = {{".", 0}, {"a.", 2}, {".a", 0}, {"a..b", 2}, {"a\\", 1}, {"\\x", 0}, {"a.b\\x", 3},
                                                                    {"\\ea", 0}, {"a\\e", 1}, {"a.\xFF", 2}, {"a.\\e.", 5}};
  iu_path p;
  iu_error err;
  size_t i;
  (void)state;
  for (i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (iu__path_parse(&p, rows[i].text, strlen(rows[i].text), &err) != IU_E_VALIDATION) fail_msg("%s is accepted", rows[i].text);
    if (err.offset != rows[i].offset) fail_msg("%s: byte %zu: %s", rows[i].text, err.offset, err.message);
    assert_null(p.storage);
  }
}

static void a_path_has_at_most_so_many_segments(void **state) {
  char text[2 * IU_PATH_SEGMENTS_MAX + 2];
  iu_path p;
  iu_error err;
  size_t i;
  (void)state;
  for (i = 0; i < sizeof text; i++) text[i] = i % 2 ? '.' : 'a';
  assert_int_equal(iu__path_parse(&p, text, 2 * IU_PATH_SEGMENTS_MAX - 1, &err), IU_OK);
  assert_int_equal(p.count, IU_PATH_SEGMENTS_MAX);
  iu__path_free(&p);
  assert_int_equal(iu__path_parse(&p, text, 2 * IU_PATH_SEGMENTS_MAX + 1, &err), IU_E_VALIDATION);
  assert_string_equal(err.message, "a path has more than 32 segments");
}

static void assert_found_from(const char *text, const char *path, uint32_t from, const char *expected) {
  iu_path p;
  iu_error err;
  bool found = true;
  size_t at, len;
  assert_int_equal(iu__path_parse(&p, path, strlen(path), &err), IU_OK);
  if (iu__json_find(text, strlen(text), &p, from, &found, &at, &len, &err) != IU_OK) fail_msg("%s: %s", text, err.message);
  if (found != (expected != NULL)) fail_msg("%s in %s", path, text);
  if (found && (len != strlen(expected) || memcmp(text + at, expected, len) != 0)) fail_msg("%s in %s: %.*s", path, text, (int)len, text + at);
  iu__path_free(&p);
}
static void assert_found(const char *text, const char *path, const char *expected) { assert_found_from(text, path, 0, expected); }

static void values_are_found(void **state) {
  static const char text[] = " {\"a\": {\"b\" : [10, -2.5e3 , {\"c.d\": \"x\\n\"}, []] , \"\": null}, \"e\\u0066\": true , \"1\":{\"2\":3}} ";
  (void)state;
  assert_found(text, "a.b.0", "10");
  assert_found(text, "a.b.1", "-2.5e3");
  assert_found(text, "a.b.2", "{\"c.d\": \"x\\n\"}");
  assert_found(text, "a.b.2.c\\.d", "\"x\\n\"");
  assert_found(text, "a.b.3", "[]");
  assert_found(text, "a.\\e", "null");
  assert_found(text, "ef", "true");
  assert_found(text, "1.2", "3");
  assert_found("[[1,2],[3,[4]]]", "1.1.0", "4");
  assert_found(" 7 ", "", "7");
  assert_found("[1]", "", "[1]");
  assert_found_from(text, "properties.a.b.0", 1, "10");
  assert_found_from("5", "a.b", 2, "5");
  assert_found_from("5", "a.b", 9, "5");
}

static void what_is_not_there_is_not_found(void **state) {
  (void)state;
  assert_found("{\"a\":1}", "b", NULL);
  assert_found("{\"a\":1}", "a.b", NULL);
  assert_found("{\"a\":\"b\"}", "a.0", NULL);
  assert_found("{}", "\\e", NULL);
  assert_found("[]", "0", NULL);
  assert_found("[1,2]", "2", NULL);
  assert_found("[1,2]", "01", NULL);
  assert_found("[1,2]", "+1", NULL);
  assert_found("[1,2]", "-1", NULL);
  assert_found("[1,2]", "1a", NULL);
  assert_found("[1,2]", "\\e", NULL);
  assert_found("[1,2]", "18446744073709551616", NULL);
  assert_found("[1,2]", "18446744073709551615", NULL);
  assert_found("[[1]]", "0.1", NULL);
  assert_found("null", "a", NULL);
}

static void the_last_duplicate_is_the_one_found(void **state) {
  (void)state;
  assert_found("{\"a\":1,\"a\":2}", "a", "2");
  assert_found("{\"a\":{\"b\":1},\"a\":{\"b\":2}}", "a.b", "2");
  assert_found("{\"a\":{\"b\":1},\"a\":{}}", "a.b", NULL);
  assert_found("{\"a\":{\"b\":1},\"a\":5}", "a.b", NULL);
  assert_found("{\"a\":5,\"a\":{\"b\":1,\"b\":[2]},\"c\":{\"b\":3}}", "a.b", "[2]");
  assert_found("{\"a\":[[1]],\"a\":[]}", "a.0.0", NULL);
}

static void bad_texts_are_refused_wherever_they_break(void **state) {
  static const char *texts[] = {"", "{\"a\":1", "{\"a\":1}x", "{\"a\":1,\"b\":}", "{\"a\":[1,]}", "{\"b\":tru,\"a\":1}", "{\"a\":\"\xFF\"}", "[1", "{\"a\":{\"b\" 1}}"};
  iu_path p;
  iu_error err;
  size_t i, at, len;
  (void)state;
  assert_int_equal(iu__path_parse(&p, "a", 1, NULL), IU_OK);
  for (i = 0; i < sizeof texts / sizeof *texts; i++) {
    bool found = true;
    if (iu__json_find(texts[i], strlen(texts[i]), &p, 0, &found, &at, &len, &err) != IU_E_VALIDATION) fail_msg("%s is accepted", texts[i]);
    assert_false(found);
  }
  iu__path_free(&p);
}

/* Every place of random trees is found where the tree has it. */
static void check_everywhere(const iu_json *v, const iu_buf *text, iu_path *p) {
  bool found;
  size_t at, len, i;
  iu_arena arena = {0};
  iu_buf a = {0}, b = {0};
  const iu_json *part;
  assert_int_equal(iu__json_find(text->data, text->len, p, 0, &found, &at, &len, NULL), IU_OK);
  assert_true(found);
  part = iu__json_parse(&arena, text->data + at, len, NULL);
  assert_non_null(part);
  iu__json_write(v, &a);
  iu__json_write(part, &b);
  assert_int_equal(a.len, b.len);
  assert_memory_equal(a.data, b.data, a.len);
  iu__buf_free(&a), iu__buf_free(&b), iu__arena_free(&arena);
  for (i = 0; (v->token == IU_J_ARRAY || v->token == IU_J_OBJECT) && i < v->len; i++) {
    char digits[24];
    snprintf(digits, sizeof digits, "%zu", i);
    p->segments[p->count] = v->token == IU_J_ARRAY ? digits : v->u.members[i].key;
    p->lens[p->count++] = v->token == IU_J_ARRAY ? strlen(digits) : v->u.members[i].key_len;
    check_everywhere(v->token == IU_J_ARRAY ? &v->u.elements[i] : &v->u.members[i].value, text, p);
    p->count--;
  }
}

static void every_value_of_random_documents_is_found(void **state) {
  random_source rnd = random_begin("paths");
  json_maker m = {.rnd = &rnd};
  int i, rounds = SLOW_BUILD ? 100 : 1000;
  (void)state;
  for (i = 0; i < rounds; i++) {
    iu_arena arena = {0};
    iu_path p = {0};
    const iu_json *v;
    make_document(&m, 60);
    v = iu__json_parse(&arena, m.out.data, m.out.len, NULL);
    if (v != NULL) check_everywhere(v, &m.out, &p);
    iu__arena_free(&arena);
  }
  iu__buf_free(&m.out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(paths_are_split),
      cmocka_unit_test(bad_paths_are_refused),
      cmocka_unit_test(a_path_has_at_most_so_many_segments),
      cmocka_unit_test(values_are_found),
      cmocka_unit_test(what_is_not_there_is_not_found),
      cmocka_unit_test(the_last_duplicate_is_the_one_found),
      cmocka_unit_test(bad_texts_are_refused_wherever_they_break),
      cmocka_unit_test(every_value_of_random_documents_is_found),
  };
  return cmocka_run_group_tests_name("sats_json_path", tests, NULL, NULL);
}
