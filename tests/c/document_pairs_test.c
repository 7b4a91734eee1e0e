/* The law of comparing: apply(a, compare(a, b)) is b, for random pairs and random edits, with every way of matching arrays. What is equal is
 * decided by canonical texts, not by the code that is tested; operations go through their JSON text on the way. */
#include "document_fixture.h"

typedef struct law {
  iu_buf a, b, ops, got, expected;
  uint64_t operations, bytes, whole;
} law;

static void free_law(law *l) {
  iu__buf_free(&l->a), iu__buf_free(&l->b), iu__buf_free(&l->ops), iu__buf_free(&l->got), iu__buf_free(&l->expected);
}

static void compare_to_text(law *l, iu_arena *arena, const iu_json *a, const iu_json *b, const iu_compare_options *options) {
  iu_operations ops;
  iu_error err = {0};
  assert_int_equal(iu__compare(a, b, options, arena, &ops, &err), IU_OK);
  iu__buf_reset(&l->ops);
  iu__operations_write(&ops, &l->ops);
  l->operations += ops.count;
}

/* The texts are in l->a and l->b. */
static void holds(law *l, const iu_compare_options *options) {
  iu_arena arena = {0};
  iu_error err = {0};
  iu_operations ops;
  iu_buf before = {0};
  const iu_json *a = iu__json_parse(&arena, l->a.data, l->a.len, &err), *b = iu__json_parse(&arena, l->b.data, l->b.len, &err), *list, *got;
  assert_non_null(a);
  assert_non_null(b);
  iu__json_write(a, &before);
  compare_to_text(l, &arena, a, b, options);
  l->bytes += l->ops.len;
  l->whole += l->b.len;
  list = iu__json_parse(&arena, l->ops.data, l->ops.len, &err);
  assert_non_null(list);
  if (iu__operations_read(list, &arena, &ops, &err) != IU_OK || iu__apply(a, &ops, &arena, 0, NULL, &got, &err) != IU_OK)
    fail_msg("%s\nfrom %.*s\nto   %.*s\nby   %.*s", err.message, (int)l->a.len, (char *)l->a.data, (int)l->b.len, (char *)l->b.data, (int)l->ops.len, (char *)l->ops.data);
  iu__buf_reset(&l->expected);
  iu__json_write(got, &l->expected);
  iu__buf_reset(&l->got);
  assert_int_equal(iu__json_canonical(l->expected.data, l->expected.len, &l->got, &err), IU_OK);
  iu__buf_reset(&l->expected);
  assert_int_equal(iu__json_canonical(l->b.data, l->b.len, &l->expected, &err), IU_OK);
  if (l->got.len != l->expected.len || memcmp(l->got.data, l->expected.data, l->got.len) != 0)
    fail_msg("from %.*s\nto   %.*s\nby   %.*s\ngave %.*s", (int)l->a.len, (char *)l->a.data, (int)l->b.len, (char *)l->b.data, (int)l->ops.len, (char *)l->ops.data,
             (int)l->got.len, (char *)l->got.data);
  assert_true(iu__tree_equal(got, b));
  assert_int_equal(iu__tree_hash64(got), iu__tree_hash64(b));
  iu__buf_reset(&l->expected);
  iu__json_write(a, &l->expected);
  assert_int_equal(before.len, l->expected.len);
  assert_memory_equal(before.data, l->expected.data, before.len);
  iu__buf_free(&before);
  iu__arena_free(&arena);
}

/* Every member of `v` is found through its index. */
static void indexed(const iu_json *v) {
  for (uint32_t i = 0; iu__tree_is_container(v) && i < v->len; i++) {
    if (v->token == IU_J_OBJECT) assert_ptr_equal(iu__json_get(v, v->u.members[i].key, v->u.members[i].key_len), &v->u.members[i].value);
    indexed(v->token == IU_J_OBJECT ? &v->u.members[i].value : &v->u.elements[i]);
  }
}

static const iu_compare_key some_keys[] = {{"records", 7, "id", 2}, {"*", 1, "a", 1}, {"", 0, "name", 4}};
static const iu_compare_options all_options[] = {{false, false, NULL, 0}, {true, false, NULL, 0}, {false, true, NULL, 0}, {false, false, some_keys, 3}};

static void edit(law *l, random_source *r, int rate) {
  iu_arena arena = {0};
  iu_error err = {0};
  const iu_json *a = iu__json_parse(&arena, l->a.data, l->a.len, &err);
  assert_non_null(a);
  iu__buf_reset(&l->b);
  put_edited(&l->b, r, a, rate);
  iu__arena_free(&arena);
}

static void report(const char *what, const law *l, int rounds) {
  printf("%d %s: %.2f operations each, their text %.0f %% of the new values'\n", rounds, what, (double)l->operations / rounds, 100.0 * (double)l->bytes / (double)l->whole);
}

static void random_pairs(void **state) {
  random_source r = random_begin("pairs");
  law l = {0};
  int i, rounds = SLOW_BUILD ? 5000 : 50000;
  (void)state;
  for (i = 0; i < rounds; i++) {
    iu__buf_reset(&l.a), iu__buf_reset(&l.b);
    put_random(&l.a, &r, 4);
    put_random(&l.b, &r, 4);
    holds(&l, &all_options[i % 4]);
  }
  report("random pairs", &l, rounds);
  free_law(&l);
}

static void random_edits(void **state) {
  static const int rates[] = {10, 50, 200, 600};
  random_source r = random_begin("edits");
  law l = {0};
  int i, rounds = SLOW_BUILD ? 5000 : 50000;
  (void)state;
  for (i = 0; i < rounds; i++) {
    iu__buf_reset(&l.a);
    put_random(&l.a, &r, 6);
    edit(&l, &r, rates[i % 4]);
    holds(&l, &all_options[i % 4]);
  }
  report("random edits", &l, rounds);
  free_law(&l);
}

static void edits_of_records(void **state) {
  static const int rates[] = {3, 10, 40, 300};
  random_source r = random_begin("records");
  law l = {0};
  int i, rounds = SLOW_BUILD ? 200 : 3000;
  (void)state;
  for (i = 0; i < rounds; i++) {
    iu__buf_reset(&l.a);
    put_records(&l.a, &r, (int)random_below(&r, 60));
    edit(&l, &r, rates[i % 4]);
    holds(&l, &all_options[i % 4]);
  }
  report("edits of records", &l, rounds);
  free_law(&l);
}

static void chains_of_documents(void **state) {
  random_source r = random_begin("chains");
  law l = {0};
  int i, rounds = SLOW_BUILD ? 500 : 5000;
  iu_error err = {0};
  iu_document *d = NULL, *next;
  (void)state;
  for (i = 0; i < rounds; i++) {
    iu_arena arena = {0};
    iu_operations ops;
    const iu_json *b;
    if (i % 100 == 0) {
      iu__document_release(d);
      iu__buf_reset(&l.a);
      put_records(&l.a, &r, (int)random_below(&r, 30));
      d = iu__document_parse(l.a.data, l.a.len, &err);
      assert_non_null(d);
    }
    iu__buf_reset(&l.b);
    put_edited(&l.b, &r, d->root, 10);
    b = iu__json_parse(&arena, l.b.data, l.b.len, &err);
    assert_non_null(b);
    assert_int_equal(iu__compare(d->root, b, NULL, &arena, &ops, &err), IU_OK);
    next = iu__document_apply(d, d->root, &ops, &arena, &err);
    assert_non_null(next);
    iu__document_release(d);
    d = next;
    indexed(d->root);
    iu__buf_reset(&l.got), iu__buf_reset(&l.expected), iu__buf_reset(&l.a);
    iu__json_write(d->root, &l.a);
    assert_int_equal(iu__json_canonical(l.a.data, l.a.len, &l.got, &err), IU_OK);
    assert_int_equal(iu__json_canonical(l.b.data, l.b.len, &l.expected, &err), IU_OK);
    assert_int_equal(l.got.len, l.expected.len);
    assert_memory_equal(l.got.data, l.expected.data, l.got.len);
  }
  iu__document_release(d);
  free_law(&l);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_pairs),
      cmocka_unit_test(random_edits),
      cmocka_unit_test(edits_of_records),
      cmocka_unit_test(chains_of_documents),
  };
  return cmocka_run_group_tests_name("document_pairs", tests, NULL, NULL);
}
