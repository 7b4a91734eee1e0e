/* base_fixture.h: what the tests of core/base and of the JSON codec share: cmocka, a seeded generator, the build's sanitizer flag. */
#ifndef IU_TEST_BASE_FIXTURE_H
#define IU_TEST_BASE_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../../core/base/alloc.h"
#include "../../core/base/buffer.h"
#include "../../core/base/clock.h"
#include "../../core/base/errinj.h"

#if defined(__SANITIZE_ADDRESS__)
#define SLOW_BUILD 1
#else
#define SLOW_BUILD 0
#endif

typedef struct random_source { uint64_t s; } random_source;

/* A fresh seed, printed, unless IU_TEST_SEED names one. */
static inline random_source random_begin(const char *what) {
  const char *wanted = getenv("IU_TEST_SEED");
  random_source r;
  if (wanted != NULL) r.s = strtoull(wanted, NULL, 0);
  else assert_int_equal(iu__random(&r.s, sizeof r.s, NULL), IU_OK);
  r.s |= 1;
  printf("%s: seed IU_TEST_SEED=0x%llx\n", what, (unsigned long long)r.s);
  return r;
}
/* xorshift64*, good enough for tests. */
static inline uint64_t random_next(random_source *r) {
  r->s ^= r->s >> 12;
  r->s ^= r->s << 25;
  r->s ^= r->s >> 27;
  return r->s * UINT64_C(2685821657736338717);
}
static inline uint64_t random_below(random_source *r, uint64_t n) { return (random_next(r) >> 11) % n; }

static inline uint64_t bits_of(double d) {
  uint64_t u;
  memcpy(&u, &d, sizeof u);
  return u;
}
static inline double double_of(uint64_t u) {
  double d;
  memcpy(&d, &u, sizeof d);
  return d;
}

#endif
