/* Linking: refs that dangle, chain, go in circles or make types recursive; hostile typespaces cost linear time; mutations. */
#include "../../core/base/errinj.h"
#include "sats_fixture.h"

static void set_types(iu_typespace *ts, const iu_type **types, uint32_t count) {
  ts->types = types;
  ts->count = count;
}

static void refs_get_their_target_and_its_size(void **state) {
  (void)state;
  iu_typespace ts = {0};
  const iu_type *types[3];
  iu_field fields[] = {{"a", scalar(IU_T_U64)}, {"b", iu__type_ref(&ts, 2)}};
  types[0] = iu__type_product(&ts, 2, fields);
  types[1] = iu__type_ref(&ts, 0);
  types[2] = scalar(IU_T_I32);
  set_types(&ts, types, 3);
  const iu_type *loose = iu__type_ref(&ts, 1); /* in no entry of the typespace, like a reducer's parameter */
  assert_int_equal(types[0]->fixed_size, IU_SIZE_VARIES);
  assert_int_equal(iu__typespace_link(&ts, NULL), IU_OK);
  assert_int_equal(types[0]->fixed_size, 12);
  assert_true(types[0]->plain);
  assert_ptr_equal(iu__type_deref(loose), types[0]);
  assert_int_equal(loose->fixed_size, 12);
  assert_true(loose->plain);
  /* again, with more nodes */
  const iu_type *later = iu__type_array(&ts, iu__type_ref(&ts, 1));
  assert_int_equal(iu__typespace_link(&ts, NULL), IU_OK);
  assert_ptr_equal(iu__type_deref(later->u.element), types[0]);
  iu__typespace_free(&ts);
}

static void dangling_refs_are_refused(void **state) {
  (void)state;
  static const uint32_t indexes[] = {1, 2, UINT32_MAX};
  for (size_t i = 0; i < 3; i++) {
    iu_typespace ts = {0};
    iu_error err;
    const iu_type *types[1] = {iu__type_array(&ts, iu__type_ref(&ts, indexes[i]))};
    set_types(&ts, types, 1);
    assert_int_equal(iu__typespace_link(&ts, &err), IU_E_VALIDATION);
    iu__typespace_free(&ts);
  }
}

static void refs_that_lead_only_to_refs_are_refused(void **state) {
  (void)state;
  for (uint32_t length = 1; length <= 5; length++) {
    iu_typespace ts = {0};
    iu_error err;
    const iu_type *types[5];
    for (uint32_t i = 0; i < length; i++) types[i] = iu__type_ref(&ts, (i + 1) % length);
    set_types(&ts, types, length);
    assert_int_equal(iu__typespace_link(&ts, &err), IU_E_VALIDATION);
    assert_non_null(strstr(err.message, "itself"));
    iu__typespace_free(&ts);
  }
}

static void recursive_types_link_and_have_no_fixed_size(void **state) {
  (void)state;
  iu_typespace ts = {0};
  const iu_type *types[3];
  iu_field endless[] = {{"again", iu__type_ref(&ts, 0)}};
  types[0] = iu__type_product(&ts, 1, endless);
  iu_field tree[] = {{"left", iu__type_option(&ts, iu__type_ref(&ts, 1))}, {"right", iu__type_option(&ts, iu__type_ref(&ts, 1))}};
  types[1] = iu__type_product(&ts, 2, tree);
  iu_field user[] = {{"n", scalar(IU_T_U8)}, {"e", iu__type_ref(&ts, 0)}};
  types[2] = iu__type_product(&ts, 2, user);
  set_types(&ts, types, 3);
  assert_int_equal(iu__typespace_link(&ts, NULL), IU_OK);
  for (int i = 0; i < 3; i++) assert_int_equal(types[i]->fixed_size, IU_SIZE_VARIES);
  iu__typespace_free(&ts);
}

static const iu_type *make_tree(iu_typespace *ts, const iu_type **types, const char *leaf) {
  iu_field tree[] = {{"left", iu__type_option(ts, iu__type_ref(ts, 0))}, {leaf, iu__type_option(ts, iu__type_ref(ts, 0))}};
  types[0] = iu__type_product(ts, 2, tree);
  set_types(ts, types, 1);
  assert_int_equal(iu__typespace_link(ts, NULL), IU_OK);
  return types[0];
}

static void recursive_types_compare(void **state) {
  (void)state;
  iu_typespace a = {0}, b = {0}, c = {0};
  const iu_type *ta[1], *tb[1], *tc[1];
  make_tree(&a, ta, "right");
  make_tree(&b, tb, "right");
  make_tree(&c, tc, "wrong");
  assert_true(iu__type_equal(ta[0], tb[0]));
  assert_false(iu__type_equal(ta[0], tc[0]));
  iu__typespace_free(&a);
  iu__typespace_free(&b);
  iu__typespace_free(&c);
}

/* n types, each holds the next twice: walking them as a tree would never end. `types` has room for n + 1. */
static const iu_type *make_chain(iu_typespace *ts, const iu_type **types, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    iu_field next[] = {{"a", iu__type_ref(ts, i + 1)}, {"b", iu__type_ref(ts, i + 1)}};
    types[i] = iu__type_product(ts, 2, next);
  }
  types[n] = special(IU_S_UNIT);
  set_types(ts, types, n + 1);
  assert_int_equal(iu__typespace_link(ts, NULL), IU_OK);
  return types[0];
}

static void long_chains_cost_linear_time(void **state) {
  (void)state;
  enum { N = 20000 };
  iu_typespace a = {0}, b = {0}, refs = {0};
  const iu_type **ta = calloc(N + 1, sizeof *ta), **tb = calloc(N + 1, sizeof *tb);
  make_chain(&a, ta, N);
  assert_int_equal(ta[0]->fixed_size, 0);
  assert_true(ta[0]->plain);
  iu__typespace_free(&a);
  a = (iu_typespace){0};
  make_chain(&a, ta, 200);
  make_chain(&b, tb, 200);
  assert_true(iu__type_equal(ta[0], tb[0]));
  iu__typespace_free(&a);
  iu__typespace_free(&b);
  a = b = (iu_typespace){0};
  make_chain(&a, ta, IU_TYPE_EQUAL_REFS_MAX + 10);
  make_chain(&b, tb, IU_TYPE_EQUAL_REFS_MAX + 10);
  assert_false(iu__type_equal(ta[0], tb[0])); /* more than it looks into */
  iu__typespace_free(&a);
  iu__typespace_free(&b);
  for (uint32_t i = 0; i < N; i++) ta[i] = i + 1 < N ? iu__type_ref(&refs, i + 1) : scalar(IU_T_U8);
  set_types(&refs, ta, N);
  assert_int_equal(iu__typespace_link(&refs, NULL), IU_OK);
  assert_ptr_equal(iu__type_deref(ta[0]), scalar(IU_T_U8));
  iu__typespace_free(&refs);
  free(ta);
  free(tb);
}

/* A typespace with everything in it, as bytes. */
static iu_buf sample_typespace(void) {
  iu_typespace ts = {0};
  const iu_type *types[6];
  iu_field node[] = {{"value", iu__type_ref(&ts, 1)}, {"next", iu__type_option(&ts, iu__type_ref(&ts, 0))}};
  types[0] = iu__type_product(&ts, 2, node);
  types[1] = colour(&ts);
  types[2] = user_row(&ts);
  types[3] = result_type(&ts);
  types[4] = iu__type_array(&ts, iu__type_array(&ts, special(IU_S_IDENTITY)));
  types[5] = special(IU_S_SCHEDULE_AT);
  set_types(&ts, types, 6);
  iu_buf out = {0};
  iu__typespace_encode(&ts, &out);
  assert_int_equal(iu__buf_status(&out, NULL, "sample"), IU_OK);
  iu__typespace_free(&ts);
  return out;
}

/* Decode, link, encode, describe, compare: no crash; what decodes encodes to the same bytes. True when it decoded. */
static bool try_bytes(const uint8_t *bytes, size_t len) {
  uint8_t *exact = malloc(len != 0 ? len : 1);
  memcpy(exact, bytes, len);
  iu_typespace ts = {0};
  iu_error err = {0};
  iu_reader r = iu__reader(exact, len);
  bool good = iu__typespace_decode(&ts, &r, &err) == IU_OK;
  if (good) {
    iu_buf again = {0}, words = {0};
    iu__typespace_encode(&ts, &again);
    assert_int_equal(again.len, iu__reader_offset(&r));
    if (again.len != 0) assert_memory_equal(again.data, exact, again.len);
    if (iu__typespace_link(&ts, &err) == IU_OK) {
      for (uint32_t i = 0; i < ts.count; i++) {
        iu__type_describe(ts.types[i], &words);
        assert_true(iu__type_equal(ts.types[i], ts.types[i]));
        if (i != 0) (void)iu__type_equal(ts.types[i], ts.types[i - 1]);
      }
    }
    iu__buf_free(&again);
    iu__buf_free(&words);
  } else {
    assert_true(err.status != IU_OK && err.message[0] != '\0');
    assert_true(err.offset <= len);
  }
  iu__typespace_free(&ts);
  free(exact);
  return good;
}

static void a_typespace_cut_anywhere_is_refused(void **state) {
  (void)state;
  iu_buf sample = sample_typespace();
  assert_true(try_bytes(sample.data, sample.len));
  for (size_t len = 0; len < sample.len; len++) assert_false(try_bytes(sample.data, len));
  iu__buf_free(&sample);
}

static void mutated_typespaces_never_crash(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  iu_buf sample = sample_typespace();
  uint8_t *copy = malloc(sample.len);
  for (int round = 0; round < 20000; round++) {
    memcpy(copy, sample.data, sample.len);
    size_t len = test_random(&seed) % 4 == 0 ? test_random(&seed) % (sample.len + 1) : sample.len;
    for (uint64_t n = 1 + test_random(&seed) % 4; n > 0 && len > 0; n--) {
      static const uint8_t likely[] = {0, 1, 2, 3, 4, 7, 0x13, 0x14, 0x7f, 0xff};
      uint64_t value = test_random(&seed);
      copy[test_random(&seed) % len] = value % 2 ? (uint8_t)(value >> 8) : likely[(value >> 8) % sizeof likely];
    }
    try_bytes(copy, len);
  }
  free(copy);
  iu__buf_free(&sample);
}

#ifdef IU_ERRINJ
static void any_allocation_may_fail(void **state) {
  (void)state;
  iu_buf sample = sample_typespace();
  bool done = false;
  for (long after = 0; !done; after++) {
    iu_typespace ts = {0};
    iu_error err = {0};
    iu_reader r = iu__reader(sample.data, sample.len);
    iu__errinj_arm(IU_ERRINJ_ALLOC, after);
    iu_status status = iu__typespace_decode(&ts, &r, &err);
    if (status == IU_OK) status = iu__typespace_link(&ts, &err);
    done = status == IU_OK;
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    if (!done) assert_int_equal(status, IU_E_NOMEM);
    iu__typespace_free(&ts);
    assert_true(after < 1000);
  }
  iu__buf_free(&sample);
}
#endif

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(refs_get_their_target_and_its_size),
      cmocka_unit_test(dangling_refs_are_refused),
      cmocka_unit_test(refs_that_lead_only_to_refs_are_refused),
      cmocka_unit_test(recursive_types_link_and_have_no_fixed_size),
      cmocka_unit_test(recursive_types_compare),
      cmocka_unit_test(long_chains_cost_linear_time),
      cmocka_unit_test(a_typespace_cut_anywhere_is_refused),
      cmocka_unit_test(mutated_typespaces_never_crash),
#ifdef IU_ERRINJ
      cmocka_unit_test(any_allocation_may_fail),
#endif
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
