/* protocol_schema_fixture.h: what the tests of schema answers share: every cut of an answer is refused, changed bytes never crash, a want of memory is said. */
#ifndef TESTS_PROTOCOL_SCHEMA_FIXTURE_H
#define TESTS_PROTOCOL_SCHEMA_FIXTURE_H

#include "../../core/base/errinj.h"
#include "protocol_fixture.h"

static inline void schema_survives_cuts_and_mutations(const char *whole, size_t len) {
  static const char swaps[] = "{}[]\",:0123456789-etfn\\ \xff";
  uint64_t seed = test_seed();
  iu_schema *s;
  uint32_t good = 0;
  for (size_t cut = 0; cut < len; cut += 7) {
    char *text = malloc(cut + 1);
    memcpy(text, whole, cut);
    assert_int_equal(iu__schema_from_http(text, cut, &s, NULL), IU_E_VALIDATION);
    free(text);
  }
  for (uint32_t i = 0; i < 4000; i++) {
    char *text = malloc(len);
    memcpy(text, whole, len);
    for (uint32_t k = 0; k < 1 + i % 3; k++) text[test_random(&seed) % len] = swaps[test_random(&seed) % (sizeof swaps - 1)];
    if (iu__schema_from_http(text, len, &s, NULL) == IU_OK) good++;
    iu__schema_free(s);
    free(text);
  }
  assert_true(good < 3000);
}

#ifdef IU_ERRINJ
/* Each allocation fails in turn; there are more than `least`. */
static inline void schema_says_no_memory(const char *json, size_t len, long least) {
  long after = 0;
  for (;; after++) {
    iu_schema *s;
    iu__errinj_arm(IU_ERRINJ_ALLOC, after);
    iu_status status = iu__schema_from_http(json, len, &s, NULL);
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    iu__schema_free(s);
    if (status == IU_OK) break;
    assert_int_equal(status, IU_E_NOMEM);
    assert_true(after < 10000);
  }
  printf("%ld allocations failed in turn\n", after);
  assert_true(after > least);
}
#endif

#endif
