/* Memory: allocation and its faults, growable buffers, bounded readers, arenas. */
#include "base_fixture.h"

#include "../../core/base/arena.h"

static void allocations_of_nothing_and_too_much(void **state) {
  void *p;
  char *s;
  (void)state;
  p = iu__alloc(0);
  assert_non_null(p);
  p = iu__realloc(p, 0);
  assert_non_null(p);
  iu__free(p);
  iu__free(NULL);
  assert_null(iu__alloc_zero(SIZE_MAX / 2, 3));
  assert_null(iu__realloc_array(NULL, SIZE_MAX / 2, 3));
  assert_null(iu__strndup("x", SIZE_MAX));
  s = iu__strndup("abcdef", 3);
  assert_string_equal(s, "abc");
  iu__free(s);
  s = iu__alloc_zero(3, 5);
  assert_memory_equal(s, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 15);
  iu__free(s);
}

static void large_blocks_keep_their_bytes(void **state) {
  uint8_t *blocks[4], *p = NULL;
  size_t size;
  int i;
  (void)state;
  for (i = 0; i < 4; i++) {
    blocks[i] = iu__alloc_block();
    assert_non_null(blocks[i]);
    memset(blocks[i], i + 1, IU_ALLOC_BLOCK);
  }
  for (i = 0; i < 4; i++) {
    assert_int_equal(blocks[i][0], i + 1);
    assert_int_equal(blocks[i][IU_ALLOC_BLOCK - 1], i + 1);
    iu__free_block(blocks[i]);
  }
  iu__free_block(NULL);
  for (size = 1; size < 4 * IU_ALLOC_BLOCK; size *= 3) { /* of no page's size */
    p = iu__realloc(p, size);
    assert_non_null(p);
    p[size - 1] = (uint8_t)size;
    if (size > 1) assert_int_equal(p[size / 3 - 1], (uint8_t)(size / 3));
  }
  iu__free(p);
#ifdef IU_ERRINJ
  iu__errinj_arm(IU_ERRINJ_ALLOC, 0);
  assert_null(iu__alloc_block());
  iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
#endif
}

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
/* Of the mapping that holds p: whether huge pages were asked for, and whether it holds all `size` bytes. false: no such line. */
static bool mapping_of(const void *p, size_t size, bool *huge, bool *whole) {
  FILE *f = fopen("/proc/self/smaps", "r");
  char line[512];
  unsigned long from, to;
  bool inside = false, found = false;
  if (f == NULL) return false;
  while (!found && fgets(line, sizeof line, f) != NULL) {
    if (sscanf(line, "%lx-%lx ", &from, &to) == 2) {
      inside = from <= (uintptr_t)p && (uintptr_t)p < to;
      if (inside) *whole = to - (uintptr_t)p >= size;
    }
    found = inside && strncmp(line, "VmFlags:", 8) == 0;
    if (found) *huge = strstr(line, " hg") != NULL;
  }
  fclose(f);
  return found;
}

/* A block of two mappings could not grow without being copied. */
static void a_large_block_is_one_mapping_and_in_slices_of_small_pages(void **state) {
  const size_t size = 3 * IU_ALLOC_BLOCK + 12345;
  bool huge = false, whole = false;
  (void)state;
  for (int in_slices = 0; in_slices < 2; in_slices++) {
    iu__alloc_in_slices(in_slices);
    uint8_t *p = iu__alloc(size);
    assert_non_null(p);
    p[0] = p[size - 1] = 1;
    if (!mapping_of(p, size, &huge, &whole)) skip();
    assert_true(whole);
    if (!huge && in_slices == 0) skip(); /* this system has no such pages */
    if (in_slices != 0) assert_false(huge);
    p = iu__realloc(p, 2 * size);
    assert_non_null(p);
    assert_int_equal(p[size - 1], 1);
    assert_true(mapping_of(p, 2 * size, &huge, &whole) && whole);
    iu__free(p);
  }
  iu__alloc_in_slices(false);
}
#endif

static void a_buffer_grows_and_patches(void **state) {
  iu_buf b = {0};
  size_t i, len;
  uint8_t *bytes;
  (void)state;
  iu__buf_put_u32(&b, 0);
  for (i = 0; i < 100000; i++) iu__buf_put_u8(&b, (uint8_t)i);
  iu__buf_patch_u32(&b, 0, 0x04030201);
  iu__buf_patch_u32(&b, b.len - 3, 7); /* does not fit: nothing happens */
  assert_int_equal(iu__buf_status(&b, NULL, "x"), IU_OK);
  assert_int_equal(b.len, 100004);
  assert_memory_equal(b.data, "\1\2\3\4", 4);
  for (i = 0; i < 100000; i++) assert_int_equal(b.data[4 + i], (uint8_t)i);
  bytes = iu__buf_take(&b, &len);
  assert_int_equal(len, 100004);
  assert_null(b.data);
  assert_int_equal(b.len, 0);
  iu__free(bytes);
  assert_null(iu__buf_take(&b, &len));
  assert_int_equal(len, 0);
  iu__buf_free(&b);
}

/* As messages do: grown, and given back in parts. */
static void a_large_buffer_keeps_what_is_in_it(void **state) {
  enum { WORDS = 6 << 20 };
  iu_buf b = {0};
  (void)state;
  for (uint32_t i = 0; i < WORDS; i++) iu__buf_put_u32(&b, i);
  assert_int_equal(iu__buf_status(&b, NULL, "x"), IU_OK);
  assert_int_equal(b.len, 4 * (size_t)WORDS);
  for (size_t cap = b.cap; iu__buf_shrink(&b, 3u << 20); cap = b.cap) {
    assert_int_equal(b.cap, cap - (3u << 20));
    assert_true(b.len <= b.cap);
    for (size_t i = 0; i + 4 <= b.len; i += 4096) assert_int_equal(iu__load_u32(b.data + i), i / 4);
  }
  assert_true(b.cap <= 3u << 20);
  iu__buf_put_u32(&b, 7); /* it can be written on */
  assert_int_equal(b.failed, 0);
  assert_int_equal(iu__load_u32(b.data + b.len - 4), 7);
  iu__buf_free(&b);
}

static void integers_are_little_endian_both_ways(void **state) {
  iu_buf b = {0};
  iu_reader r;
  uint32_t len;
  const uint8_t *p;
  (void)state;
  iu__buf_put_u8(&b, 0xFE);
  iu__buf_put_u16(&b, 0x0102);
  iu__buf_put_u32(&b, 0x01020304);
  iu__buf_put_u64(&b, UINT64_C(0x0102030405060708));
  iu__buf_put_bytes(&b, "abc", 3);
  iu__buf_put_bytes(&b, NULL, 0);
  assert_int_equal(b.len, 15 + 7 + 4);
  assert_memory_equal(b.data, "\xFE\x02\x01\x04\x03\x02\x01\x08\x07\x06\x05\x04\x03\x02\x01\x03\0\0\0abc\0\0\0\0", b.len);
  r = iu__reader(b.data, b.len);
  assert_int_equal(iu__read_u8(&r), 0xFE);
  assert_int_equal(iu__read_u16(&r), 0x0102);
  assert_int_equal(iu__read_u32(&r), 0x01020304);
  assert_true(iu__read_u64(&r) == UINT64_C(0x0102030405060708));
  p = iu__read_bytes(&r, &len);
  assert_int_equal(len, 3);
  assert_memory_equal(p, "abc", 3);
  assert_non_null(iu__read_bytes(&r, &len));
  assert_int_equal(len, 0);
  assert_int_equal(iu__reader_left(&r), 0);
  assert_false(r.failed);
  iu__buf_free(&b);
}

static void a_reader_stops_where_the_bad_item_starts(void **state) {
  static const uint8_t bytes[] = {1, 0xFF, 0xFF, 0xFF, 0xFF, 9, 9};
  iu_reader r = iu__reader(bytes, sizeof bytes);
  uint32_t len = 5;
  (void)state;
  assert_int_equal(iu__read_u8(&r), 1);
  assert_null(iu__read_bytes(&r, &len));
  assert_int_equal(len, 0);
  assert_true(r.failed);
  assert_int_equal(iu__reader_offset(&r), 1);
  assert_int_equal(iu__read_u8(&r), 0); /* sticky */
  assert_int_equal(iu__reader_offset(&r), 1);
  r = iu__reader(NULL, 0);
  assert_int_equal(iu__read_u64(&r), 0);
  assert_true(r.failed);
}

static void a_limit_is_a_sticky_failure(void **state) {
  iu_buf b;
  iu_error err;
  (void)state;
  iu__buf_init(&b, 10);
  iu__buf_put(&b, "0123456789", 10);
  assert_int_equal(iu__buf_status(&b, NULL, "row"), IU_OK);
  iu__buf_put_u8(&b, 'x');
  iu__buf_put(&b, "", 0);
  assert_int_equal(b.len, 10);
  assert_int_equal(iu__buf_status(&b, &err, "row"), IU_E_OVERLOADED);
  assert_string_equal(err.message, "row: larger than the limit of 10 bytes");
  iu__buf_reset(&b);
  iu__buf_printf(&b, "%s", "0123456789");
  assert_int_equal(iu__buf_status(&b, NULL, "row"), IU_OK);
  assert_int_equal(b.len, 10);
  iu__buf_printf(&b, "%d", 1);
  assert_int_equal(iu__buf_status(&b, NULL, "row"), IU_E_OVERLOADED);
  iu__buf_printf(&b, "%d", 1);
  assert_int_equal(b.len, 10);
  iu__buf_free(&b);
  assert_int_equal(b.limit, 10);
  assert_false(iu__buf_reserve(&b, SIZE_MAX));
  iu__buf_free(&b);
}

static void printf_appends(void **state) {
  iu_buf b = {0};
  char long_one[300];
  (void)state;
  memset(long_one, 'y', sizeof long_one - 1);
  long_one[299] = 0;
  iu__buf_printf(&b, "%d-%s", 12, "ab");
  iu__buf_printf(&b, "%s", "");
  iu__buf_printf(&b, "%s", long_one);
  assert_int_equal(b.len, 5 + 299);
  assert_memory_equal(b.data, "12-abyyy", 8);
  iu__buf_free(&b);
}

static void an_arena_gives_aligned_memory_that_stays(void **state) {
  iu_arena a = {0};
  random_source rnd = random_begin("arena");
  unsigned char *blocks[2000];
  size_t sizes[2000], i, j;
  (void)state;
  for (i = 0; i < 2000; i++) {
    sizes[i] = random_below(&rnd, i % 100 == 0 ? 100000 : 200);
    blocks[i] = iu__arena_alloc(&a, sizes[i]);
    assert_non_null(blocks[i]);
    assert_int_equal((uintptr_t)blocks[i] % _Alignof(max_align_t), 0);
    memset(blocks[i], (int)(i & 255), sizes[i]);
  }
  for (i = 0; i < 2000; i++)
    for (j = 0; j < sizes[i]; j++)
      if (blocks[i][j] != (i & 255)) fail_msg("block %zu was overwritten", i);
  assert_string_equal(iu__arena_strndup(&a, "hello", 4), "hell");
  assert_memory_equal(iu__arena_zero(&a, 3, 3), "\0\0\0\0\0\0\0\0", 9);
  assert_null(iu__arena_alloc(&a, SIZE_MAX));
  assert_null(iu__arena_alloc(&a, SIZE_MAX - 64));
  assert_null(iu__arena_zero(&a, SIZE_MAX / 2, 3));
  assert_null(iu__arena_strndup(&a, "x", SIZE_MAX));
  iu__arena_free(&a);
  assert_null(a.head);
  iu__arena_free(&a);
}

#ifdef IU_ERRINJ
static void a_fault_fires_once_after_its_countdown(void **state) {
  void *p;
  (void)state;
  iu__errinj_arm(IU_ERRINJ_ALLOC, 2);
  p = iu__alloc(1);
  assert_non_null(p);
  iu__free(p);
  p = iu__alloc_zero(1, 1);
  assert_non_null(p);
  iu__free(p);
  assert_null(iu__alloc(1));
  p = iu__alloc(1);
  assert_non_null(p);
  iu__free(p);
  assert_int_equal(iu__errinj_count(IU_ERRINJ_ALLOC), 4);
  iu__errinj_arm(IU_ERRINJ_ALLOC, 0);
  iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
  assert_int_equal(iu__errinj_count(IU_ERRINJ_ALLOC), 0);
  assert_false(iu__errinj(IU_ERRINJ_ALLOC));
  assert_false(iu__errinj(IU_ERRINJ_JOURNAL_WRITE));
}

static void no_memory_is_reported_and_sticky(void **state) {
  iu_buf b = {0};
  iu_arena a = {0};
  iu_error err;
  size_t len;
  (void)state;
  iu__buf_put_str(&b, "kept");
  iu__errinj_arm(IU_ERRINJ_ALLOC, 0);
  iu__buf_printf(&b, "%0100d", 1);
  iu__buf_put_u8(&b, 1);
  assert_int_equal(b.len, 4);
  assert_int_equal(iu__buf_status(&b, &err, "row"), IU_E_NOMEM);
  assert_string_equal(err.message, "row: out of memory");
  assert_null(iu__buf_take(&b, &len));
  iu__errinj_arm(IU_ERRINJ_ALLOC, 0);
  assert_null(iu__arena_alloc(&a, 8));
  assert_non_null(iu__arena_alloc(&a, 8));
  iu__errinj_arm(IU_ERRINJ_ALLOC, 0);
  assert_null(iu__arena_alloc(&a, 10000));
  iu__arena_free(&a);
  iu__errinj_arm(IU_ERRINJ_ALLOC, 0);
  assert_null(iu__strndup("x", 1));
  iu__buf_free(&b);
}
#endif

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(allocations_of_nothing_and_too_much),
      cmocka_unit_test(large_blocks_keep_their_bytes),
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
    cmocka_unit_test(a_large_block_is_one_mapping_and_in_slices_of_small_pages),
#endif
      cmocka_unit_test(a_buffer_grows_and_patches),
      cmocka_unit_test(a_large_buffer_keeps_what_is_in_it),
      cmocka_unit_test(integers_are_little_endian_both_ways),
      cmocka_unit_test(a_reader_stops_where_the_bad_item_starts),
      cmocka_unit_test(a_limit_is_a_sticky_failure),
      cmocka_unit_test(printf_appends),
      cmocka_unit_test(an_arena_gives_aligned_memory_that_stays),
#ifdef IU_ERRINJ
      cmocka_unit_test(a_fault_fires_once_after_its_countdown),
      cmocka_unit_test(no_memory_is_reported_and_sticky),
#endif
  };
  return cmocka_run_group_tests_name("base_memory", tests, NULL, NULL);
}
