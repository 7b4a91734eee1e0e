/* store_slab_test.c: the slab against a model: blocks of random sizes taken and given back in random order keep their bytes and do not overlap, regions
 * go when they are empty, freed blocks serve again. Environment: IU_SEED runs one seed. */
#include <time.h>

#include "store_fixture.h"

#include "../../core/base/errinj.h"

#define BLOCKS 4000

typedef struct block { uint8_t *p; size_t size; uint8_t fill; } block;

static void fill(block *b, uint64_t *rng) {
  b->fill = (uint8_t)rng_next(rng);
  memset(b->p, b->fill, b->size);
}

static void check(const block *b) {
  for (size_t i = 0; i < b->size; i++) assert_int_equal(b->p[i], b->fill);
}

static void give(iu_slab *s, block *b) {
  check(b);
  iu__slab_give(s, b->p, b->size);
  b->p = NULL;
}

static void blocks_keep_their_bytes(void **state) {
  const char *given = getenv("IU_SEED");
  uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL), rng = seed;
  static block blocks[BLOCKS];
  iu_slab s = {0};
  (void)state;
  printf("IU_SEED=%llu\n", (unsigned long long)seed);
  for (int i = 0; i < 60000; i++) {
    block *b = &blocks[rng_below(&rng, rng_below(&rng, 8) == 0 ? BLOCKS : BLOCKS / 4)];
    if (b->p != NULL) {
      give(&s, b);
      continue;
    }
    b->size = 1 + rng_below(&rng, rng_below(&rng, 16) == 0 ? 2 * IU_SLAB_BLOCK_MAX : 200);
    b->p = iu__slab_take(&s, b->size);
    assert_non_null(b->p);
    assert_int_equal((uintptr_t)b->p % 8, 0);
    fill(b, &rng);
  }
  for (int i = 0; i < BLOCKS; i++) {
    if (blocks[i].p != NULL) give(&s, &blocks[i]);
  }
  assert_int_equal(s.region_count, 0); /* all went, and left nothing in the lists */
  assert_int_equal(s.bytes, 0);
  for (size_t i = 0; i < IU_SLAB_CLASSES; i++) assert_null(s.freed[i]);
  iu__slab_free(&s);
}

static void freed_blocks_serve_again(void **state) {
  static void *blocks[BLOCKS];
  iu_slab s = {0};
  size_t bytes;
  (void)state;
  for (int i = 0; i < BLOCKS; i++) assert_non_null(blocks[i] = iu__slab_take(&s, 136));
  bytes = s.bytes;
  assert_in_range(bytes, BLOCKS * 136, 2 * BLOCKS * 136 + 16384); /* a region is at most as large as all before it */
  for (int round = 0; round < 20; round++) {
    for (int i = round % 2; i < BLOCKS; i += 2) iu__slab_give(&s, blocks[i], 136);
    for (int i = round % 2; i < BLOCKS; i += 2) assert_non_null(blocks[i] = iu__slab_take(&s, 131)); /* the same when rounded */
    assert_int_equal(s.bytes, bytes);
  }
  for (int i = BLOCKS - 1; i >= 0; i--) iu__slab_give(&s, blocks[i], 136);
  assert_int_equal(s.region_count, 0);
  iu__slab_free(&s);
}

static void a_slab_is_freed_with_blocks_in_use(void **state) {
  iu_slab s = {0};
  (void)state;
  for (int i = 0; i < BLOCKS; i++) assert_non_null(iu__slab_take(&s, 100));
  iu__slab_free(&s); /* the sanitizers see a leak */
  assert_int_equal(s.bytes, 0);
}

static void no_memory_takes_nothing(void **state) {
  long after = 0;
  (void)state;
  for (int taken = 0; taken < BLOCKS; after++) {
    iu_slab s = {0};
    iu__errinj_arm(IU_ERRINJ_ALLOC, after);
    for (taken = 0; taken < BLOCKS && iu__slab_take(&s, 100) != NULL;) taken++;
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    if (taken < BLOCKS) assert_non_null(iu__slab_take(&s, 100)); /* it goes on afterwards */
    iu__slab_free(&s);
    assert_in_range(after, 0, 100);
  }
  assert_true(after > 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(blocks_keep_their_bytes),
      cmocka_unit_test(freed_blocks_serve_again),
      cmocka_unit_test(a_slab_is_freed_with_blocks_in_use),
      cmocka_unit_test(no_memory_takes_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
