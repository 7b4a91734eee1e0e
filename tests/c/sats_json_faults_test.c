/* JSON under stress: mutated and cut texts never crash and never disagree between reader, document and canonical form; every allocation
 * may fail once; large documents are read at a useful rate. */
#include "sats_json_fixture.h"

#include "../../core/base/hash.h"

/* What all ways of reading say about one text, in memory of its own size so that reading past the end is noticed. */
static bool read_all_ways(const uint8_t *bytes, size_t len) {
  uint8_t *copy = malloc(len != 0 ? len : 1);
  iu_arena arena = {0};
  iu_buf out = {0}, again = {0};
  iu_error err = {0};
  iu_path path = {.count = 2, .segments = {"a", "0"}, .lens = {1, 1}};
  const iu_json *v;
  bool found, valid;
  size_t at, n;

  assert_non_null(copy);
  if (len != 0) memcpy(copy, bytes, len);
  valid = iu__json_check(copy, len, &err) == IU_OK;
  v = iu__json_parse(&arena, copy, len, &err);
  assert_int_equal(v != NULL, valid);
  assert_int_equal(iu__json_canonical(copy, len, &out, &err), valid ? IU_OK : IU_E_VALIDATION);
  assert_int_equal(iu__json_find(copy, len, &path, 0, &found, &at, &n, &err), valid ? IU_OK : IU_E_VALIDATION);
  if (valid) {
    uint8_t whole[32], pieces[32];
    assert_int_equal(iu__sha256(out.data, out.len, whole, &err), IU_OK);
    assert_int_equal(iu__json_hash(v, pieces, &err), IU_OK);
    assert_memory_equal(whole, pieces, sizeof whole);
    assert_int_equal(iu__json_canonical(out.data, out.len, &again, &err), IU_OK);
    assert_int_equal(out.len, again.len);
    assert_memory_equal(out.data, again.data, out.len);
  } else {
    assert_true(err.offset <= len);
  }
  iu__buf_free(&out), iu__buf_free(&again), iu__arena_free(&arena);
  free(copy);
  return valid;
}

static void mutate(random_source *r, iu_buf *b) {
  static const char useful[] = "{}[]\",:\\u0019eE+-. \ntfn\x7F\x80\xC3\xED\xF0\xFF";
  uint64_t times = random_below(r, 4) + 1;
  while (times-- > 0 && b->len > 0) {
    size_t at = random_below(r, b->len), n;
    switch (random_below(r, 5)) {
    case 0: b->data[at] ^= (uint8_t)(1u << random_below(r, 8)); break;
    case 1: b->data[at] = (uint8_t)useful[random_below(r, sizeof useful - 1)]; break;
    case 2: b->len = at; break;
    case 3:
      n = random_below(r, b->len - at) + 1;
      memmove(b->data + at, b->data + at + n, b->len - at - n);
      b->len -= n;
      break;
    default:
      n = random_below(r, b->len - at) + 1;
      if (n > 40) n = 40;
      if (!iu__buf_reserve(b, n)) return;
      memmove(b->data + at + n, b->data + at, b->len - at);
      b->len += n;
    }
  }
}

static void mutated_texts_are_refused_or_read(void **state) {
  random_source rnd = random_begin("mutations");
  json_maker m = {.rnd = &rnd};
  int i, valid = 0, rounds = SLOW_BUILD ? 10000 : 60000;
  (void)state;
  for (i = 0; i < rounds; i++) {
    if (i % 10 == 0 || m.out.len == 0) make_document(&m, 30);
    mutate(&rnd, &m.out);
    valid += read_all_ways(m.out.data, m.out.len);
  }
  printf("%d of %d mutated texts are valid\n", valid, rounds);
  assert_true(valid > 0 && valid < rounds);
  iu__buf_free(&m.out);
}

static void a_text_cut_anywhere_is_refused(void **state) {
  static const char text[] = "{\"a\":[1,-2.5e+3,\"x\\u00e9\\ud83d\\ude00\\n\xC3\xA9\",true,false,null,{\"b\":{}}],\"c\":[]}";
  size_t n;
  (void)state;
  for (n = 0; n < sizeof text - 1; n++) assert_false(read_all_ways((const uint8_t *)text, n));
  assert_true(read_all_ways((const uint8_t *)text, sizeof text - 1));
}

static void deep_and_broken_texts_are_refused(void **state) {
  static const char *units[] = {"[", "{\"a\":", "[{\"a\":", "[1,", "{\"a\":1,\"b\":", "[[],"};
  size_t i, k, n;
  (void)state;
  for (i = 0; i < sizeof units / sizeof *units; i++) {
    size_t len = strlen(units[i]);
    uint8_t *text = malloc(len * 100000);
    assert_non_null(text);
    for (k = 0; k < 100000; k++) memcpy(text + k * len, units[i], len);
    for (n = 1; n <= 100000; n *= 10) assert_false(read_all_ways(text, n * len));
    free(text);
  }
}

#ifdef IU_ERRINJ
typedef iu_status (*job)(iu_buf *out, iu_error *err);

static const char job_text[] =
    "{\"k1\":1,\"k2\":[\"\\u00e9scaped\",2.5],\"k3\":{},\"k4\":{\"a\":1,\"a\":2},\"k5\":null,\"k6\":\"\\n\",\"k7\":12345678901234567890,\"k8\":true,"
    "\"k9\":{\"m0\":0,\"m1\":1,\"m2\":2,\"m3\":3,\"m4\":4,\"m5\":5,\"m6\":6,\"m7\":7,\"m8\":8,\"m3\":9},\"\\u006b10\":[[[1,2],3],4],"
    "\"long\":\"\\u0020--------------------------------------------------------------------------------------------------------------\"}";

static iu_status job_check(iu_buf *out, iu_error *err) {
  (void)out;
  return iu__json_check(job_text, sizeof job_text - 1, err);
}
static iu_status job_document(iu_buf *out, iu_error *err) {
  iu_arena arena = {0};
  const iu_json *v = iu__json_parse(&arena, job_text, sizeof job_text - 1, err);
  iu_status status = v == NULL ? err->status : IU_OK;
  if (v != NULL) iu__json_write(v, out);
  iu__arena_free(&arena);
  return status != IU_OK ? status : iu__buf_status(out, err, "text");
}
static iu_status job_canonical(iu_buf *out, iu_error *err) { return iu__json_canonical(job_text, sizeof job_text - 1, out, err); }
static iu_status job_hash(iu_buf *out, iu_error *err) {
  iu_arena arena = {0};
  const iu_json *v = iu__json_parse_borrowed(&arena, job_text, sizeof job_text - 1, err);
  uint8_t digest[32];
  iu_status status = v == NULL ? err->status : iu__json_hash(v, digest, err);
  iu__arena_free(&arena);
  if (status == IU_OK) iu__buf_put(out, digest, sizeof digest);
  return status != IU_OK ? status : iu__buf_status(out, err, "digest");
}
static iu_status job_find(iu_buf *out, iu_error *err) {
  iu_path path;
  bool found = false;
  size_t at, len;
  iu_status status = iu__path_parse(&path, "k9.m3", 5, err);
  if (status != IU_OK) return status;
  status = iu__json_find(job_text, sizeof job_text - 1, &path, 0, &found, &at, &len, err);
  iu__path_free(&path);
  if (status == IU_OK) iu__buf_put(out, job_text + at, len);
  return status != IU_OK ? status : iu__buf_status(out, err, "text");
}

static void every_allocation_may_fail(void **state) {
  static const job jobs[] = {job_check, job_document, job_canonical, job_hash, job_find};
  size_t i;
  (void)state;
  for (i = 0; i < sizeof jobs / sizeof *jobs; i++) {
    iu_buf expected = {0}, out = {0};
    iu_error err;
    long at;
    assert_int_equal(jobs[i](&expected, &err), IU_OK);
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
      assert_non_null(strstr(err.message, "out of memory"));
    }
    printf("job %zu: %ld allocations failed in turn\n", i, at);
    assert_true(at >= 2);
    assert_int_equal(out.len, expected.len);
    if (out.len > 0) assert_memory_equal(out.data, expected.data, out.len);
    iu__buf_free(&out), iu__buf_free(&expected);
  }
}
#endif

static void small_objects_are_fast_enough(void **state) {
  static const char text[] = "{\"name\":\"Ada Lovelace\",\"age\":36,\"tags\":[\"test\",\"math\"],\"strength\":0.9,\"city\":\"Z\\u00fcrich\"}";
  enum { ROUNDS = 50000 };
  iu_buf out = {0};
  uint64_t start = iu__clock_mono_ns(), took;
  int i;
  (void)state;
  for (i = 0; i < ROUNDS; i++) {
    iu__buf_reset(&out);
    assert_int_equal(iu__json_canonical(text, sizeof text - 1, &out, NULL), IU_OK);
  }
  took = iu__clock_mono_ns() - start;
  printf("%.0f objects a second to canonical form\n", ROUNDS * 1e9 / (double)took);
  /* The floor is 100,000 a second; a busy machine and a sanitizer get a part of that. */
  assert_true((double)took / ROUNDS < (SLOW_BUILD ? 200000 : 10000) * 4.0);
  iu__buf_free(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(mutated_texts_are_refused_or_read),
      cmocka_unit_test(a_text_cut_anywhere_is_refused),
      cmocka_unit_test(deep_and_broken_texts_are_refused),
#ifdef IU_ERRINJ
      cmocka_unit_test(every_allocation_may_fail),
#endif
      cmocka_unit_test(small_objects_are_fast_enough),
  };
  return cmocka_run_group_tests_name("sats_json_faults", tests, NULL, NULL);
}
