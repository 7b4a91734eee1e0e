/* No comparison and no list of operations takes quadratic time: large and unkind inputs are done within seconds of processor time, with room for slow
 * machines; a quadratic way would take minutes. What small changes of large documents cost in operations is counted, too. */
#include <time.h>

#include "document_fixture.h"

#define SCALE (SLOW_BUILD ? 10 : 1)
#define SECONDS_MAX 6.0

typedef struct texts { iu_buf a, b; } texts;
typedef void (*fill)(texts *t, int n);

/* Compares both ways, applies what comes out, and checks it. Returns the number of operations from a to b. */
static uint32_t compare_and_apply(const char *what, texts *t) {
  iu_arena arena = {0};
  iu_error err = {0};
  iu_operations ops, back;
  const iu_json *a = iu__json_parse(&arena, t->a.data, t->a.len, &err), *b = iu__json_parse(&arena, t->b.data, t->b.len, &err), *got;
  clock_t start = clock();
  double compared, applied;
  uint32_t count;
  assert_non_null(a);
  assert_non_null(b);
  assert_int_equal(iu__compare(a, b, NULL, &arena, &ops, &err), IU_OK);
  assert_int_equal(iu__compare(b, a, NULL, &arena, &back, &err), IU_OK);
  compared = (double)(clock() - start) / CLOCKS_PER_SEC;
  start = clock();
  assert_int_equal(iu__apply(a, &ops, &arena, 0, NULL, &got, &err), IU_OK);
  assert_true(iu__tree_equal(got, b));
  assert_int_equal(iu__apply(b, &back, &arena, 0, NULL, &got, &err), IU_OK);
  assert_true(iu__tree_equal(got, a));
  applied = (double)(clock() - start) / CLOCKS_PER_SEC;
  count = ops.count;
  printf("%s: %zu bytes, %u operations; both ways compared in %.2f s, applied in %.2f s\n", what, t->a.len, count, compared, applied);
  assert_true(compared < SECONDS_MAX && applied < SECONDS_MAX);
  iu__arena_free(&arena);
  iu__buf_free(&t->a), iu__buf_free(&t->b);
  return count;
}

static void put_list(iu_buf *b, int from, int to, int modulo) {
  iu__buf_put_str(b, "[");
  for (int i = from; i < to; i++) iu__buf_printf(b, "%s%d", i > from ? "," : "", modulo > 0 ? i % modulo : i);
  iu__buf_put_str(b, "]");
}

static void one_element_more_in_front_is_one_operation(void **state) {
  texts t = {0};
  (void)state;
  put_list(&t.a, 1, 200000 / SCALE, 0), put_list(&t.b, 0, 200000 / SCALE, 0);
  assert_int_equal(compare_and_apply("in front", &t), 1);
  put_list(&t.a, 1, 200000 / SCALE, 2), put_list(&t.b, 0, 200000 / SCALE, 2); /* no element is unique */
  assert_int_equal(compare_and_apply("in front, repeated elements", &t), 1);
}

static void lists_that_have_nothing_in_common(void **state) {
  texts t = {0};
  (void)state;
  put_list(&t.a, 0, 200000 / SCALE, 0), put_list(&t.b, 200000, 200000 + 200000 / SCALE, 0);
  assert_int_equal(compare_and_apply("nothing in common", &t), 1);
}

static void random_lists_of_few_different_elements(void **state) {
  random_source r = random_begin("few");
  texts t = {0};
  (void)state;
  for (int list = 0; list < 2; list++) {
    iu_buf *b = list == 0 ? &t.a : &t.b;
    for (int i = 0; i < 100000 / SCALE; i++) iu__buf_printf(b, "%s%d", i > 0 ? "," : "[", (int)random_below(&r, 3));
    iu__buf_put_str(b, "]");
  }
  compare_and_apply("few different", &t);
}

static void a_reversed_list(void **state) {
  texts t = {0};
  (void)state;
  put_list(&t.a, 0, 100000 / SCALE, 0);
  for (int i = 100000 / SCALE; i-- > 0;) iu__buf_printf(&t.b, "%s%d", t.b.len > 0 ? "," : "[", i);
  iu__buf_put_str(&t.b, "]");
  compare_and_apply("reversed", &t);
}

static void put_items(iu_buf *b, int count, int (*number)(int), int edited) {
  iu__buf_put_str(b, "{\"items\":[");
  for (int i = 0; i < count; i++) {
    int id = number(i);
    iu__buf_printf(b, "%s{\"id\":%d,\"text\":\"the text of item %d\",\"list\":[%d,%d],\"score\":%d}", i > 0 ? "," : "", id, id, id, id + 1, edited > 0 && id % edited == 0 ? -1 : id % 100);
  }
  iu__buf_put_str(b, "]}");
}
static int same(int i) { return i; }
static int swapped(int i) { return i % 20 < 2 ? i ^ 1 : i; } /* a pair of neighbours of 20 */
static int shuffled(int i) { return (int)((uint32_t)i * 7919u % 100003u); }

static void records_that_are_edited_and_moved(void **state) {
  texts t = {0};
  uint32_t n = 100000 / SCALE;
  (void)state;
  put_items(&t.a, (int)n, same, 0), put_items(&t.b, (int)n, same, 100);
  assert_int_equal(compare_and_apply("one of 100 edited", &t), n / 100);
  put_items(&t.a, (int)n, same, 0), put_items(&t.b, (int)n, swapped, 0);
  assert_int_equal(compare_and_apply("neighbours swapped", &t), n / 10); /* each is a remove and an insert */
  put_items(&t.a, 100003 / SCALE, same, 0), put_items(&t.b, 100003 / SCALE, shuffled, 0);
  compare_and_apply("shuffled", &t);
}

/* [big, [big, ..., x], y]: at each level something differs before, in and after the nested array, or only in it. */
static void put_nested(iu_buf *b, int depth, int width, bool around, int mark) {
  for (int d = 0; d < depth; d++) {
    iu__buf_put_str(b, "[");
    if (around) iu__buf_printf(b, "%d,", mark);
    put_list(b, 0, width, 0);
    iu__buf_put_str(b, ",");
  }
  iu__buf_printf(b, "%d", mark);
  for (int d = 0; d < depth; d++) {
    iu__buf_put_str(b, ",");
    put_list(b, 0, width, 7);
    if (around) iu__buf_printf(b, ",%d", mark);
    iu__buf_put_str(b, "]");
  }
}

static void deep_nesting(void **state) {
  texts t = {0};
  (void)state;
  put_nested(&t.a, 500, 1000 / SCALE, false, 1), put_nested(&t.b, 500, 1000 / SCALE, false, 2);
  compare_and_apply("nested, one leaf differs", &t);
  put_nested(&t.a, 500, 1000 / SCALE, true, 1), put_nested(&t.b, 500, 1000 / SCALE, true, 2);
  compare_and_apply("nested, all levels differ", &t);
}

static void a_million_keys(void **state) {
  texts t = {0};
  int n = 1000000 / SCALE;
  (void)state;
  for (int list = 0; list < 2; list++) {
    iu_buf *b = list == 0 ? &t.a : &t.b;
    for (int i = 0; i < n; i++) {
      int key = list == 0 ? i : n - 1 - i; /* also in another order */
      iu__buf_printf(b, "%s\"the same beginning of every key %d\":%d", i > 0 ? "," : "{", list == 1 && key % 1000 == 0 ? -key : key, list == 1 && key % 500 == 1 ? 0 : 1);
    }
    iu__buf_put_str(b, "}");
  }
  compare_and_apply("a million keys", &t);
}

static void long_strings(void **state) {
  random_source r = random_begin("strings");
  texts t = {0};
  (void)state;
  for (int list = 0; list < 2; list++) {
    iu_buf *b = list == 0 ? &t.a : &t.b;
    iu__buf_put_str(b, "[\"");
    for (int i = 0; i < 100000 / SCALE; i++) iu__buf_printf(b, "word%d ", list == 0 || i % 1000 != 5 ? i : -i);
    iu__buf_put_str(b, "\",\"");
    for (int i = 0; i < 200000 / SCALE; i++) iu__buf_put_u8(b, (uint8_t)("ab "[random_below(&r, 3)]));
    iu__buf_put_str(b, "\"]");
  }
  compare_and_apply("long strings", &t);
}

/* Of operations that come in no order. */
static void many_operations_on_one_array(void **state) {
  random_source r = random_begin("operations");
  iu_arena arena = {0};
  iu_error err = {0};
  texts t = {0};
  iu_operations ops;
  const iu_json *root, *list, *got;
  int n = 200000 / SCALE, i;
  uint32_t length = (uint32_t)n;
  clock_t start;
  (void)state;
  put_list(&t.a, 0, n, 0);
  iu__buf_put_str(&t.b, "[");
  for (i = 0; i < n; i++) {
    uint64_t kind = random_below(&r, 3);
    iu__buf_put_str(&t.b, i > 0 ? "," : "");
    if (kind == 0) iu__buf_printf(&t.b, "{\"op\":\"insert\",\"path\":\"\",\"index\":%u,\"value\":[%d]}", (unsigned)random_below(&r, (uint64_t)length++ + 1), i);
    else if (kind == 1) iu__buf_printf(&t.b, "{\"op\":\"remove\",\"path\":\"\",\"index\":%u}", (unsigned)random_below(&r, length--));
    else iu__buf_printf(&t.b, "{\"op\":\"set\",\"path\":\"%u\",\"value\":%d}", (unsigned)random_below(&r, length), i);
  }
  iu__buf_put_str(&t.b, "]");
  root = iu__json_parse(&arena, t.a.data, t.a.len, &err);
  list = iu__json_parse(&arena, t.b.data, t.b.len, &err);
  assert_non_null(root);
  assert_non_null(list);
  assert_int_equal(iu__operations_read(list, &arena, &ops, &err), IU_OK);
  start = clock();
  assert_int_equal(iu__apply(root, &ops, &arena, 0, NULL, &got, &err), IU_OK);
  printf("%d operations in no order: %.2f s\n", n, (double)(clock() - start) / CLOCKS_PER_SEC);
  assert_true((double)(clock() - start) / CLOCKS_PER_SEC < SECONDS_MAX);
  assert_int_equal(got->len, length);
  iu__arena_free(&arena);
  iu__buf_free(&t.a), iu__buf_free(&t.b);
}

static void many_members_come_and_go(void **state) {
  iu_arena arena = {0};
  iu_error err = {0};
  iu_buf text = {0};
  iu_operations ops;
  const iu_json *list, *got;
  int n = 200000 / SCALE, i;
  clock_t start = clock();
  (void)state;
  iu__buf_put_str(&text, "[");
  for (i = 0; i < n; i++) {
    iu__buf_printf(&text, "%s{\"op\":\"set\",\"path\":\"k%d\",\"value\":%d}", i > 0 ? "," : "", i * 7919 % n, i);
    if (i % 2) iu__buf_printf(&text, ",{\"op\":\"delete\",\"path\":\"k%d\"}", i * 7919 % n);
  }
  iu__buf_put_str(&text, "]");
  list = iu__json_parse(&arena, text.data, text.len, &err);
  assert_non_null(list);
  assert_int_equal(iu__operations_read(list, &arena, &ops, &err), IU_OK);
  assert_int_equal(iu__apply(tree(&arena, "{}"), &ops, &arena, 0, NULL, &got, &err), IU_OK);
  printf("%u operations on one object: %.2f s\n", ops.count, (double)(clock() - start) / CLOCKS_PER_SEC);
  assert_true((double)(clock() - start) / CLOCKS_PER_SEC < SECONDS_MAX);
  assert_int_equal(got->len, (uint32_t)n / 2);
  iu__arena_free(&arena);
  iu__buf_free(&text);
}

/* Ten thousand applies to a document of 1 MB. */
static void a_long_chain(void **state) {
  texts t = {0};
  iu_error err = {0};
  iu_document *d, *next;
  int rounds = 10000 / SCALE, i;
  size_t most = 0, whole;
  clock_t start;
  (void)state;
  put_items(&t.a, 10000, same, 0);
  d = iu__document_parse(t.a.data, t.a.len, &err);
  assert_non_null(d);
  whole = d->whole;
  start = clock();
  for (i = 0; i < rounds; i++) {
    iu_arena arena = {0};
    char path[64];
    int length = snprintf(path, sizeof path, "items.%d.score", i % 10000);
    iu_json *value = iu__arena_zero(&arena, 1, sizeof *value);
    iu_operation op = {IU_OP_SET, false, 0, path, (size_t)length, value};
    iu_operations ops = {&op, 1};
    assert_non_null(value);
    value->token = IU_J_INT;
    value->u.i = i;
    next = iu__document_apply(d, d->root, &ops, &arena, &err);
    assert_non_null(next);
    iu__document_release(d);
    d = next;
    if (d->spare > most) most = d->spare;
    assert_true(d->chain <= IU_DOCUMENT_CHAIN_MAX);
  }
  printf("%d applies to %zu bytes: %.2f s, at most %zu bytes more\n", rounds, t.a.len, (double)(clock() - start) / CLOCKS_PER_SEC, most);
  assert_true((double)(clock() - start) / CLOCKS_PER_SEC < SECONDS_MAX * 2);
  assert_true(most <= whole * 2);
  assert_int_equal(iu__json_get(&iu__json_get(d->root, "items", 5)->u.elements[(rounds - 1) % 10000], "score", 5)->u.i, rounds - 1);
  iu__document_release(d);
  iu__buf_free(&t.a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_element_more_in_front_is_one_operation),
      cmocka_unit_test(lists_that_have_nothing_in_common),
      cmocka_unit_test(random_lists_of_few_different_elements),
      cmocka_unit_test(a_reversed_list),
      cmocka_unit_test(records_that_are_edited_and_moved),
      cmocka_unit_test(deep_nesting),
      cmocka_unit_test(a_million_keys),
      cmocka_unit_test(long_strings),
      cmocka_unit_test(many_operations_on_one_array),
      cmocka_unit_test(many_members_come_and_go),
      cmocka_unit_test(a_long_chain),
  };
  return cmocka_run_group_tests_name("document_growth", tests, NULL, NULL);
}
