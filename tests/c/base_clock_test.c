/* Time, random bytes, UUIDs, hashes, the log. */
#include "base_fixture.h"

#include <time.h>

#include "../../core/base/hash.h"
#include "../../core/base/log.h"

static void clocks_tell_microseconds_and_go_on(void **state) {
  int64_t now = iu__clock_micros();
  uint64_t a = iu__clock_mono_ns(), b = iu__clock_mono_ns();
  (void)state;
  assert_true(now / 1000000 - (int64_t)time(NULL) <= 1 && (int64_t)time(NULL) - now / 1000000 <= 1);
  assert_true(b >= a);
}

static void random_bytes_differ(void **state) {
  static uint8_t a[1000], b[1000];
  (void)state;
  assert_int_equal(iu__random(a, sizeof a, NULL), IU_OK);
  assert_int_equal(iu__random(b, sizeof b, NULL), IU_OK);
  assert_true(memcmp(a, b, sizeof a) != 0);
  assert_int_equal(iu__random(a, 0, NULL), IU_OK);
}

static void assert_uuid7(const char *u) {
  size_t i;
  assert_int_equal(strlen(u), 36);
  for (i = 0; i < 36; i++) {
    bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash != (u[i] == '-')) fail_msg("%s", u);
    if (!dash && strchr("0123456789abcdef", u[i]) == NULL) fail_msg("%s", u);
  }
  assert_int_equal(u[14], '7');
  assert_non_null(strchr("89ab", u[19]));
}

static void uuids_ascend_and_carry_the_time(void **state) {
  iu_uuid_state ids = {0};
  char before[37] = "", id[37], digits[13];
  uint64_t ms = (uint64_t)iu__clock_micros() / 1000;
  int i;
  (void)state;
  for (i = 0; i < 100000; i++) {
    assert_int_equal(iu__uuid7(&ids, id, NULL), IU_OK);
    if (strcmp(before, id) >= 0) fail_msg("%s after %s", id, before);
    memcpy(before, id, sizeof id);
    if (i == 0) {
      assert_uuid7(id);
      memcpy(digits, id, 8);
      memcpy(digits + 8, id + 9, 5);
      assert_true(strtoull(digits, NULL, 16) - ms < 10000);
    }
  }
  assert_uuid7(id);
}

static void seeded_uuids_come_again_and_ascend(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 50; seed++) {
    iu_uuid_state a = {0}, b = {0}, other = {0};
    char before[37] = "", id[37], again[37], theirs[37];
    iu__uuid_seed(&a, seed);
    iu__uuid_seed(&b, seed);
    iu__uuid_seed(&other, seed + 1);
    for (int i = 0; i < 100; i++) {
      int64_t at = INT64_C(1700000000000000) + i / 10 * 1000;
      assert_int_equal(iu__uuid7_at(&a, at, id, NULL), IU_OK);
      assert_int_equal(iu__uuid7_at(&b, at, again, NULL), IU_OK);
      assert_int_equal(iu__uuid7_at(&other, at, theirs, NULL), IU_OK);
      assert_uuid7(id);
      assert_string_equal(id, again);
      assert_string_not_equal(id, theirs);
      assert_memory_equal(id, theirs, 8); /* the same time */
      if (strcmp(before, id) >= 0) fail_msg("%s after %s", id, before);
      memcpy(before, id, sizeof id);
    }
  }
}

static void uuids_ascend_when_the_clock_steps_back_or_the_counter_is_full(void **state) {
  iu_uuid_state ids = {0};
  char before[37], id[37];
  uint64_t ahead;
  (void)state;
  assert_int_equal(iu__uuid7(&ids, before, NULL), IU_OK);
  ahead = ids.last_ms += 3600 * 1000; /* as if the clock had been an hour ahead */
  assert_int_equal(iu__uuid7(&ids, before, NULL), IU_OK);
  assert_int_equal(iu__uuid7(&ids, id, NULL), IU_OK);
  assert_true(strcmp(before, id) < 0);
  assert_true(ids.last_ms == ahead);
  ids.counter = UINT32_C(0x7FFFFFFE);
  assert_int_equal(iu__uuid7(&ids, before, NULL), IU_OK);
  assert_uuid7(before);
  assert_int_equal(iu__uuid7(&ids, id, NULL), IU_OK);
  assert_uuid7(id);
  assert_true(strcmp(before, id) < 0);
  assert_true(ids.last_ms == ahead + 1);
}

static void hashes_are_the_known_ones(void **state) {
  uint8_t digest[32], bytes[4];
  char hex[65];
  (void)state;
  assert_int_equal(iu__sha256("abc", 3, digest, NULL), IU_OK);
  iu__hex(hex, digest, 32);
  assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  assert_int_equal(iu__sha256(NULL, 0, digest, NULL), IU_OK);
  iu__hex(hex, digest, 32);
  assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  assert_true(iu__hash64("", 0) == UINT64_C(0x2D06800538D394C2));
  assert_true(iu__hash64("a", 1) != iu__hash64("b", 1));
  assert_true(iu__unhex(bytes, "00fFA5", 6));
  assert_memory_equal(bytes, "\x00\xFF\xA5", 3);
  assert_true(iu__unhex(bytes, "", 0));
  assert_false(iu__unhex(bytes, "0", 1));
  assert_false(iu__unhex(bytes, "0g", 2));
  assert_false(iu__unhex(bytes, "g0", 2));
}

typedef struct heard { int count; iu_log_level level; char text[4096]; } heard;
static void hear(void *ud, iu_log_level level, const char *message) {
  heard *h = ud;
  h->count++;
  h->level = level;
  snprintf(h->text, sizeof h->text, "%s", message);
}

static void a_log_filters_formats_and_cuts(void **state) {
  heard h = {0};
  iu_log log = {hear, &h, IU_LOG_INFO}, silent = {NULL, NULL, IU_LOG_TRACE};
  char text[3000];
  (void)state;
  iu__log(NULL, IU_LOG_ERROR, "x");
  iu__log(&silent, IU_LOG_ERROR, "x");
  iu__log(&log, IU_LOG_DEBUG, "x");
  assert_int_equal(h.count, 0);
  iu__log(&log, IU_LOG_WARN, "%d rows", 3);
  assert_int_equal(h.level, IU_LOG_WARN);
  assert_string_equal(h.text, "3 rows");
  memset(text, 'x', sizeof text);
  text[2999] = 0;
  memcpy(text + 2045, "\xE2\x82\xAC", 3); /* bytes 2045 ... 2047, of which 2047 does not fit */
  iu__log(&log, IU_LOG_INFO, "%s", text);
  assert_int_equal(strlen(h.text), 2045);
  memcpy(text + 2044, "\xE2\x82\xAC" "x", 4);
  iu__log(&log, IU_LOG_INFO, "%s", text);
  assert_int_equal(strlen(h.text), 2047);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(clocks_tell_microseconds_and_go_on),
      cmocka_unit_test(random_bytes_differ),
      cmocka_unit_test(uuids_ascend_and_carry_the_time),
      cmocka_unit_test(seeded_uuids_come_again_and_ascend),
      cmocka_unit_test(uuids_ascend_when_the_clock_steps_back_or_the_counter_is_full),
      cmocka_unit_test(hashes_are_the_known_ones),
      cmocka_unit_test(a_log_filters_formats_and_cuts),
  };
  return cmocka_run_group_tests_name("base_clock", tests, NULL, NULL);
}
