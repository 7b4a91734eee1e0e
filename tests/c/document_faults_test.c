/* Operations from outside, however they are broken, are refused or do what they say; no allocation that fails breaks anything. */
#include "document_fixture.h"

/* ---- hostile operations ---- */

static void put_path(iu_buf *out, random_source *r, const iu_json *root) {
  iu_buf path = {0};
  const iu_json *v = root;
  while (iu__tree_is_container(v) && v->len > 0 && random_below(r, 4) > 0) {
    uint32_t i = (uint32_t)random_below(r, v->len);
    if (path.len > 0) iu__buf_put_u8(&path, '.');
    if (v->token == IU_J_ARRAY) {
      iu__buf_printf(&path, "%u", i);
      v = &v->u.elements[i];
      continue;
    }
    if (v->u.members[i].key_len == 0) iu__buf_put_str(&path, "\\e");
    for (uint32_t k = 0; k < v->u.members[i].key_len; k++) {
      char c = v->u.members[i].key[k];
      if ((c == '.' || c == '\\') && random_below(r, 20) > 0) iu__buf_put_u8(&path, '\\');
      iu__buf_put_u8(&path, (uint8_t)c);
    }
    v = &v->u.members[i].value;
  }
  if (random_below(r, 4) == 0) iu__buf_put_str(&path, (const char *const[]){".a", ".new", ".", "..", ".0", ".99", ".\\e", "\\", ".01", ".-1"}[random_below(r, 10)]);
  iu__json_put_string(out, path.len > 0 ? (const char *)path.data : "", path.len);
  iu__buf_free(&path);
}

static void put_operation(iu_buf *out, random_source *r, const iu_json *root) {
  static const char *const names[] = {"set", "set", "delete", "insert", "remove", "patch", "patch", "move"};
  const char *name = names[random_below(r, 60) == 0 ? 7 : random_below(r, 7)];
  bool odd = random_below(r, 30) == 0;
  iu__buf_printf(out, "{\"op\":\"%s\",\"path\":", name);
  put_path(out, r, root);
  if ((name[0] == 'i' && random_below(r, 4) > 0) || name[0] == 'r' || odd) iu__buf_printf(out, ",\"index\":%d", (int)random_below(r, 8) - (odd ? 4 : 0));
  if (name[0] == 's' || name[0] == 'i') {
    iu__buf_put_str(out, ",\"value\":");
    put_random(out, r, 3);
  }
  if (name[0] == 'p') {
    iu__buf_put_str(out, ",\"patch\":");
    if (random_below(r, 2)) put_random(out, r, 3);
    else iu__buf_printf(out, "[[%d,%d,\"x\\u20ac\"],[%d,%d,\"\"]]", (int)random_below(r, 4), (int)random_below(r, 4), (int)random_below(r, 12), (int)random_below(r, 4));
  }
  iu__buf_put_str(out, "}");
}

/* Whether a tree is one that the parser could have made. */
static void well_formed(const iu_json *v, uint32_t depth) {
  assert_true(v->token >= IU_J_NULL && v->token <= IU_J_OBJECT);
  if (!iu__tree_is_container(v)) return;
  assert_true(depth < IU_JSON_DEPTH_MAX);
  for (uint32_t i = 0; i < v->len; i++) {
    if (v->token == IU_J_OBJECT) assert_ptr_equal(iu__json_get(v, v->u.members[i].key, v->u.members[i].key_len), &v->u.members[i].value);
    well_formed(v->token == IU_J_ARRAY ? &v->u.elements[i] : &v->u.members[i].value, depth + 1);
  }
}

static void random_operations_are_applied_or_refused(void **state) {
  random_source r = random_begin("operations");
  int rounds = SLOW_BUILD ? 5000 : 40000, applied = 0, refused = 0;
  iu_buf text = {0}, list = {0}, before = {0}, after = {0};
  (void)state;
  for (int i = 0; i < rounds; i++) {
    iu_arena arena = {0};
    iu_error err = {0};
    iu_operations ops;
    const iu_json *root, *values, *got = NULL;
    iu__buf_reset(&text), iu__buf_reset(&list), iu__buf_reset(&before), iu__buf_reset(&after);
    put_random(&text, &r, 5);
    root = iu__json_parse(&arena, text.data, text.len, &err);
    assert_non_null(root);
    iu__json_write(root, &before);
    for (uint64_t k = 0, n = random_below(&r, 6); k <= n; k++) {
      iu__buf_put_u8(&list, k > 0 ? ',' : '[');
      put_operation(&list, &r, root);
    }
    iu__buf_put_u8(&list, ']');
    values = iu__json_parse(&arena, list.data, list.len, &err);
    assert_non_null(values);
    iu_status status = iu__operations_read(values, &arena, &ops, &err);
    if (status == IU_OK) status = iu__apply(root, &ops, &arena, 0, NULL, &got, &err);
    if (status == IU_OK) well_formed(got, 0);
    else if (status != IU_E_VALIDATION || strncmp(err.message, "operations[", 11) != 0) fail_msg("%s", err.message);
    applied += status == IU_OK;
    refused += status != IU_OK;
    iu__json_write(root, &after);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, before.len);
    iu__arena_free(&arena);
  }
  printf("%d lists applied, %d refused\n", applied, refused);
  assert_true(applied > rounds / 100 && refused > rounds / 100);
  iu__buf_free(&text), iu__buf_free(&list), iu__buf_free(&before), iu__buf_free(&after);
}

/* What the text of operations says about the text of a document. */
static iu_status apply_texts(iu_arena *arena, const char *document, const char *list, const iu_json **out, iu_error *err) {
  const iu_json *root = tree(arena, document), *values = tree(arena, list);
  iu_operations ops;
  iu_status status = iu__operations_read(values, arena, &ops, err);
  return status == IU_OK ? iu__apply(root, &ops, arena, 0, NULL, out, err) : status;
}

static void a_merge_patch_is_that_of_rfc_7386(void **state) {
  /* The examples of the RFC's appendix whose target is an object, and arrays with nulls. */
  static const char *const cases[][3] = {
      {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"}, {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"}, {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
      {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"}, {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"}, {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
      {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"}, {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
      {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"}, {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"}, {"{\"a\":1}", "{\"a\":{}}", "{\"a\":{}}"},
      {"{}", "{\"a\":[null,{\"x\":null}]}", "{\"a\":[null,{\"x\":null}]}"}, {"{\"a\":1}", "{}", "{\"a\":1}"}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    iu_arena arena = {0};
    iu_error err = {0};
    const iu_json *got;
    char list[256];
    snprintf(list, sizeof list, "[{\"op\":\"patch\",\"path\":\"\",\"patch\":%s}]", cases[i][1]);
    if (apply_texts(&arena, cases[i][0], list, &got, &err) != IU_OK) fail_msg("%s: %s", list, err.message);
    if (!iu__tree_equal(got, tree(&arena, cases[i][2]))) fail_msg("%s on %s", cases[i][1], cases[i][0]);
    iu__arena_free(&arena);
  }
}

static void lists_of_operations_have_a_limit(void **state) {
  iu_arena arena = {0};
  iu_error err = {0};
  iu_operations ops;
  iu_json element = {.token = IU_J_NULL}, list = {.token = IU_J_ARRAY, .len = IU_OPERATIONS_MAX + 1, .u.elements = &element};
  (void)state;
  assert_int_equal(iu__operations_read(&list, &arena, &ops, &err), IU_E_VALIDATION);
  assert_string_equal(err.message, "operations: 10000001 of them, the limit is 10000000");
  iu__arena_free(&arena);
}

/* ---- patterns of keyed arrays ---- */

static void keys_are_limited_and_their_paths_checked(void **state) {
  iu_compare_key keys[IU_COMPARE_KEYS_MAX + 1];
  iu_compare_options options = {false, false, keys, IU_COMPARE_KEYS_MAX + 1};
  iu_arena arena = {0};
  iu_error err = {0};
  iu_operations ops;
  const iu_json *a = tree(&arena, "[1]");
  (void)state;
  for (int i = 0; i <= IU_COMPARE_KEYS_MAX; i++) keys[i] = (iu_compare_key){"a.*", 3, "id", 2};
  assert_int_equal(iu__compare(a, a, &options, &arena, &ops, &err), IU_E_VALIDATION);
  assert_string_equal(err.message, "arrays: 257 keys, at most 256 can be given");
  options.key_count = IU_COMPARE_KEYS_MAX;
  assert_int_equal(iu__compare(a, a, &options, &arena, &ops, &err), IU_OK);
  keys[7].path = "a.\\";
  assert_int_equal(iu__compare(a, a, &options, &arena, &ops, &err), IU_E_VALIDATION);
  assert_non_null(strstr(err.message, "arrays: path \"a.\\\": "));
  iu__arena_free(&arena);
}

#ifdef IU_ERRINJ
/* ---- failing allocations ---- */

static const char old_text[] =
    "{\"list\":[{\"id\":1,\"v\":[1,2,3]},{\"id\":2,\"v\":[4,5]},{\"id\":3}],\"plain\":[1,2,3,4,5,6,7,8,9,10,1,2,3,4,5,6,7,8,9,10,11,12,13,14],"
    "\"text\":\"a long text of many words that are all there to be kept but for a few which change, so that edits are worth it in the end\","
    "\"k1\":1,\"k2\":2,\"k3\":3,\"k4\":4,\"k5\":5,\"k6\":{\"a\":{\"b\":{\"c\":1}}},\"k7\":7,\"k8\":8}";
static const char new_text[] =
    "{\"list\":[{\"id\":3},{\"id\":1,\"v\":[1,2,3,9]},{\"id\":4},{\"id\":2,\"v\":[4,5]}],\"plain\":[7,1,2,3,4,6,7,8,9,10,1,2,3,5,5,6,7,8,9,10,11,12,13,14],"
    "\"text\":\"a long text of some words that are all there to be kept but for a few which vary, so that edits are worth it in the end\","
    "\"k1\":1.0,\"k2\":null,\"k4\":4,\"k5\":5,\"k6\":{\"a\":{\"b\":{\"c\":2,\"d\":3}}},\"k7\":7,\"n1\":1,\"n2\":1,\"n3\":1,\"n4\":1,\"n5\":1,\"n6\":1,\"n7\":1,\"n8\":1,\"n9\":1}";

static iu_status job_compare(iu_buf *out, iu_error *err) {
  static const iu_compare_key keys[] = {{"list", 4, "id", 2}};
  static const iu_compare_options options = {false, false, keys, 1};
  iu_arena arena = {0}, result = {0};
  iu_operations ops = {0};
  iu_status status = IU_E_NOMEM;
  const iu_json *a = iu__json_parse(&arena, old_text, sizeof old_text - 1, err), *b = a != NULL ? iu__json_parse(&arena, new_text, sizeof new_text - 1, err) : NULL;
  if (b != NULL) status = iu__compare(a, b, &options, &result, &ops, err);
  if (status == IU_OK) iu__operations_write(&ops, out);
  iu__arena_free(&arena);
  iu__arena_free(&result);
  return status != IU_OK ? status : iu__buf_status(out, err, "text");
}

static iu_buf operations_text; /* made once, before anything fails */

static iu_status job_apply(iu_buf *out, iu_error *err) {
  iu_arena arena = {0};
  iu_operations ops;
  iu_document *d = iu__document_parse(old_text, sizeof old_text - 1, err), *next = NULL, *last = NULL;
  const iu_json *list = d != NULL ? iu__json_parse(&arena, operations_text.data, operations_text.len, err) : NULL;
  if (list != NULL && iu__operations_read(list, &arena, &ops, err) == IU_OK) next = iu__document_apply(d, d->root, &ops, &arena, err);
  else iu__arena_free(&arena);
  iu__document_release(d);
  if (next != NULL) { /* of a part: it is copied */
    iu_operation op = {IU_OP_DELETE, false, 0, "a", 1, NULL};
    ops = (iu_operations){&op, 1};
    memset(&arena, 0, sizeof arena);
    last = iu__document_apply(next, iu__json_get(next->root, "k6", 2), &ops, &arena, err);
  }
  if (last != NULL) iu__json_write(next->root, out);
  iu__document_release(next);
  iu__document_release(last);
  return last == NULL ? err->status : iu__buf_status(out, err, "text");
}

static void every_allocation_may_fail(void **state) {
  static iu_status (*const jobs[])(iu_buf *out, iu_error *err) = {job_compare, job_apply};
  (void)state;
  assert_int_equal(job_compare(&operations_text, NULL), IU_OK);
  for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
    iu_buf expected = {0}, out = {0};
    iu_error err = {0};
    long at;
    if (jobs[i](&expected, &err) != IU_OK) fail_msg("%s", err.message);
    for (at = 0;; at++) {
      iu_status status;
      iu__buf_free(&out);
      iu__error_clear(&err);
      iu__errinj_arm(IU_ERRINJ_ALLOC, at);
      status = jobs[i](&out, &err);
      if (iu__errinj_count(IU_ERRINJ_ALLOC) <= at) { /* it never fired: all have been tried */
        iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
        assert_int_equal(status, IU_OK);
        break;
      }
      assert_int_equal(status, IU_E_NOMEM);
      assert_int_equal(err.status, IU_E_NOMEM);
    }
    printf("job %zu: %ld allocations failed in turn\n", i, at);
    assert_true(at >= 10);
    assert_int_equal(out.len, expected.len);
    assert_memory_equal(out.data, expected.data, out.len);
    iu__buf_free(&out), iu__buf_free(&expected);
  }
  iu__buf_free(&operations_text);
}
#endif

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_operations_are_applied_or_refused),
      cmocka_unit_test(a_merge_patch_is_that_of_rfc_7386),
      cmocka_unit_test(lists_of_operations_have_a_limit),
      cmocka_unit_test(keys_are_limited_and_their_paths_checked),
#ifdef IU_ERRINJ
      cmocka_unit_test(every_allocation_may_fail),
#endif
  };
  return cmocka_run_group_tests_name("document_faults", tests, NULL, NULL);
}
