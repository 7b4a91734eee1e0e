/* Payloads from a hostile peer: cut at every byte, mutated, with counts and offsets that lie, with bombs; and no memory. Each is read whole,
 * every byte handed out is touched, and each failure has a status, an offset inside the bytes and a text.
 */
#include <zlib.h>

#include "../../core/base/errinj.h"
#include "protocol_fixture.h"

static void assert_fails(iu_protocol p, const char *hex, size_t offset, const char *what) {
  bytes_of b = framed(hex);
  uint32_t messages;
  iu_error err = {0};
  assert_int_equal(drain(p, NULL, b.p, b.len, CAP, &messages, &err), IU_E_VALIDATION);
  if (strstr(err.message, what) == NULL) fail_msg("`%s` does not say `%s`", err.message, what);
  assert_int_equal(err.offset, offset);
  free(b.p);
}

static void a_message_cut_anywhere_is_refused(void **state) {
  (void)state;
  for (size_t i = 0; i < SERVER_VECTOR_COUNT; i++) {
    bytes_of b = framed(SERVER_VECTORS[i].hex);
    for (size_t len = 0; len < b.len; len++) {
      uint8_t *cut = malloc(len != 0 ? len : 1);
      uint32_t messages;
      iu_error err = {0};
      memcpy(cut, b.p, len);
      assert_int_equal(drain(SERVER_VECTORS[i].protocol, NULL, cut, len, CAP, &messages, &err), IU_E_VALIDATION);
      assert_true(err.offset <= len);
      assert_true(err.message[0] != '\0');
      assert_int_equal(messages, 0);
      free(cut);
    }
    free(b.p);
  }
}

/* v3: the messages before the cut are still delivered. */
static void a_cut_v3_payload_gives_its_whole_messages(void **state) {
  (void)state;
  bytes_of b = unhex(F_5);
  size_t first = sizeof S2_9 / 2;
  for (size_t len = 1; len < b.len; len++) {
    uint32_t messages;
    iu_status status = drain(IU_P_V3, NULL, b.p, len, CAP, &messages, NULL);
    assert_int_equal(messages, len >= 1 + first);
    assert_int_equal(status, len == 1 + first ? IU_OK : IU_E_VALIDATION);
  }
  free(b.p);
}

static void compressed_bytes_cut_anywhere_are_refused(void **state) {
  (void)state;
  static const char *const payloads[] = {F_2, F_3};
  for (int i = 0; i < 2; i++) {
    bytes_of b = unhex(payloads[i]);
    uint32_t messages;
    iu_error err = {0};
    for (size_t len = 1; len < b.len; len++) {
      uint8_t *cut = malloc(len);
      memcpy(cut, b.p, len);
      assert_int_equal(drain(IU_P_V2, NULL, cut, len, CAP, &messages, &err), IU_E_VALIDATION);
      assert_non_null(strstr(err.message, "too early"));
      free(cut);
    }
    uint8_t *more = malloc(b.len + 1);
    memcpy(more, b.p, b.len);
    more[b.len] = 0;
    assert_int_equal(drain(IU_P_V2, NULL, more, b.len + 1, CAP, &messages, &err), IU_E_VALIDATION);
    assert_non_null(strstr(err.message, "unexpected bytes"));
    assert_int_equal(err.offset, b.len - 1);
    free(more);
    free(b.p);
  }
}

/* ---- lies ---- */

#define V2_SUBSCRIBED "01" "01000000" "02000000" "01000000" "0400000075736572" /* then the row list, at byte 21 */

static void unknown_tags(void **state) {
  (void)state;
  assert_fails(IU_P_V2, "08" "00", 0, "v2.bsatn.spacetimedb: expected a server message at byte 0");
  assert_fails(IU_P_V3, "ff", 0, "v3.bsatn");
  assert_fails(IU_P_V1, "0b", 0, "a server message");
  assert_fails(IU_P_V1, "0103", 1, "status");
  assert_fails(IU_P_V2, "060500000000401e18240a060004", 13, "outcome");
  assert_fails(IU_P_V2, "0702", 1, "status");
  assert_fails(IU_P_V2, "020300000002000000" "02", 9, "optional");
  assert_fails(IU_P_V2, "0401000000" "02000000" "01000000" "0100000061" "01000000" "02" "00000000000000", 22, "TableUpdateRows");
  assert_fails(IU_P_V2, V2_SUBSCRIBED "02" "000000000000", 21, "row size hint");
  assert_fails(IU_P_V1, "02000000000100000000100000" "0400000075736572" "0100000000000000" "01000000" "03" "00000000", 33, "query update");
}

static void counts_that_are_too_large(void **state) {
  (void)state;
  assert_fails(IU_P_V2, "04" "ffffffff", 1, "query sets");
  assert_fails(IU_P_V2, "04" "01000000" "02000000" "ffffffff", 9, "tables");
  assert_fails(IU_P_V2, "04" "01000000" "02000000" "01000000" "0100000061" "ffffff7f", 18, "TableUpdateRows");
  assert_fails(IU_P_V2, "01" "01000000" "02000000" "ffffffff", 9, "tables");
  assert_fails(IU_P_V2, "01" "01000000" "02000000" "01000000" "ffffffff" "75736572000000000000", 13, "table's name");
  assert_fails(IU_P_V2, V2_SUBSCRIBED "01" "ffffffff" "00000000", 22, "offsets");
  assert_fails(IU_P_V2, V2_SUBSCRIBED "01" "00000000" "ffffffff", 26, "rows");
  assert_fails(IU_P_V2, V2_SUBSCRIBED "00" "0100" "ffffffff", 24, "rows");
  assert_fails(IU_P_V1, "00" "ffffffff", 1, "tables");
  assert_fails(IU_P_V1, "0402000000aabb01" "ffffffff" "fa00000000000000", 8, "tables");
}

static void row_sizes_and_offsets_that_lie(void **state) {
  (void)state;
  assert_fails(IU_P_V2, V2_SUBSCRIBED "00" "0000" "02000000" "1122", 22, "not 0");
  assert_fails(IU_P_V2, V2_SUBSCRIBED "00" "0200" "03000000" "112233", 22, "divides");
  assert_fails(IU_P_V2, V2_SUBSCRIBED "01" "01000000" "0100000000000000" "02000000" "1122", 26, "0 as the first");
  assert_fails(IU_P_V2, V2_SUBSCRIBED "01" "03000000" "0000000000000000" "0200000000000000" "0100000000000000" "02000000" "1122", 42, "before");
  assert_fails(IU_P_V2, V2_SUBSCRIBED "01" "02000000" "0000000000000000" "0300000000000000" "02000000" "1122", 34, "inside");
  assert_fails(IU_P_V2, V2_SUBSCRIBED "01" "02000000" "0000000000000000" "0000000000000080" "02000000" "1122", 34, "inside");
  assert_fails(IU_P_V2, V2_SUBSCRIBED "01" "00000000" "02000000" "1122", 26, "offsets for");
}

static void rows_without_bytes_are_rows(void **state) {
  (void)state;
  opened o;
  iu_message m;
  read_one(&o, IU_P_V2, V2_SUBSCRIBED "01" "03000000" "0000000000000000" "0000000000000000" "0200000000000000" "02000000" "1122", &m);
  const iu_row_list *l = &m.updates[0].inserts;
  assert_int_equal(l->count, 3);
  assert_int_equal(iu__row_list_at(l, 0).len, 0);
  assert_slice_hex(iu__row_list_at(l, 1), "1122");
  assert_int_equal(iu__row_list_at(l, 2).len, 0);
  close_payload(&o);
  read_one(&o, IU_P_V2, V2_SUBSCRIBED "00" "0000" "00000000", &m);
  assert_int_equal(m.updates[0].inserts.count, 0);
  close_payload(&o);
}

static void text_that_is_not_utf8(void **state) {
  (void)state;
  assert_fails(IU_P_V2, "0301" "02000000" "02000000" "61ff", 11, "UTF-8");
  assert_fails(IU_P_V2, "01" "01000000" "02000000" "01000000" "04000000757365c3" "0000000000000000", 20, "UTF-8");
}

static void a_message_may_not_have_endless_updates(void **state) {
  (void)state;
  iu_buf b = {0};
  uint32_t messages;
  iu_error err = {0};
  bytes_of head = unhex("00" "04" "01000000" "02000000" "01000000" "0100000061"), empty = unhex("01" "00000000000000");
  for (uint32_t extra = 0; extra < 2; extra++) {
    iu__buf_reset(&b);
    iu__buf_put(&b, head.p, head.len);
    iu__buf_put_u32(&b, IU_MESSAGE_UPDATES_MAX + extra);
    for (uint32_t i = 0; i < IU_MESSAGE_UPDATES_MAX + extra; i++) iu__buf_put(&b, empty.p, empty.len);
    assert_int_equal(drain(IU_P_V2, NULL, b.data, b.len, CAP, &messages, &err), extra != 0 ? IU_E_OVERLOADED : IU_OK);
  }
  assert_non_null(strstr(err.message, "1048576"));
  iu__buf_free(&b);
  free(head.p);
  free(empty.p);
}

/* ---- bombs ---- */

/* A compression byte and a gzip member of `len` zero bytes. */
static bytes_of gzip_zeros(size_t len) {
  z_stream z = {0};
  uint8_t zeros[4096] = {0};
  assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  size_t room = deflateBound(&z, len) + 64;
  bytes_of b = {malloc(room), 0};
  b.p[0] = 2;
  z.next_out = b.p + 1;
  z.avail_out = (uInt)room - 1;
  for (size_t left = len; left != 0;) {
    size_t n = left < sizeof zeros ? left : sizeof zeros;
    z.next_in = zeros;
    z.avail_in = (uInt)n;
    left -= n;
    assert_int_not_equal(deflate(&z, left == 0 ? Z_FINISH : Z_NO_FLUSH), Z_STREAM_ERROR);
  }
  b.len = z.total_out + 1;
  deflateEnd(&z);
  return b;
}

/* What fits exactly is read, a byte less of a cap refuses it, and no more than the cap is ever produced. */
static void bombs_stop_at_the_cap(void **state) {
  (void)state;
  bytes_of b = gzip_zeros((size_t)64 << 20);
  iu_payload p;
  iu_error err = {0};
  assert_true(b.len < 100000);
  static const size_t caps[] = {0, 1, 4095, 4096, 4097, 1 << 20, ((size_t)64 << 20) - 1};
  for (size_t i = 0; i < sizeof caps / sizeof *caps; i++) {
    assert_int_equal(iu__payload_open(&p, IU_P_V3, b.p, b.len, caps[i], &err), IU_E_OVERLOADED);
    assert_non_null(strstr(err.message, "cap"));
    iu__payload_close(&p);
  }
  assert_int_equal(iu__payload_open(&p, IU_P_V3, b.p, b.len, (size_t)64 << 20, &err), IU_OK);
  assert_int_equal(p.plain.len, (size_t)64 << 20);
  assert_true(p.plain.cap <= ((size_t)64 << 20) + 1);
  iu__payload_close(&p);
  free(b.p);
}

#define BROTLI_BOMB "01cfffff7f002400e2b14072effff9ffff0f8004401c1680eefd3fffffff01900088c302d0bdffcfffff7f001200715800baf7ff"

/* 64 MiB of zeros in brotli, made by node's zlib (quality 9, window 24). */
static void brotli_bombs_stop_at_the_cap(void **state) {
  (void)state;
  bytes_of b = unhex(BROTLI_BOMB);
  iu_payload p;
  assert_int_equal(iu__payload_open(&p, IU_P_V3, b.p, b.len, ((size_t)64 << 20) - 1, NULL), IU_E_OVERLOADED);
  iu__payload_close(&p);
  assert_int_equal(iu__payload_open(&p, IU_P_V3, b.p, b.len, 1000, NULL), IU_E_OVERLOADED);
  iu__payload_close(&p);
  assert_int_equal(iu__payload_open(&p, IU_P_V3, b.p, b.len, (size_t)64 << 20, NULL), IU_OK);
  assert_int_equal(p.plain.len, (size_t)64 << 20);
  iu__payload_close(&p);
  free(b.p);
}

/* Many small bombs as parts of one v1 message share the cap. */
static void bombs_in_parts_share_the_cap(void **state) {
  (void)state;
  bytes_of bomb = gzip_zeros((size_t)1 << 20), head = unhex("0002000000000100000000100000" "0400000075736572" "0000000000000000");
  iu_buf b = {0};
  uint32_t messages;
  iu_error err = {0};
  iu__buf_put(&b, head.p, head.len);
  iu__buf_put_u32(&b, 100);
  for (int i = 0; i < 100; i++) {
    iu__buf_put_u8(&b, 2);
    iu__buf_put_bytes(&b, bomb.p + 1, bomb.len - 1);
  }
  /* zeros are two empty lists of fixed size 0 and then too much */
  assert_int_equal(drain(IU_P_V1, NULL, b.data, b.len, (size_t)2 << 20, &messages, &err), IU_E_VALIDATION);
  assert_non_null(strstr(err.message, "inside the compressed update at byte 34"));
  assert_int_equal(err.offset, 14);
  assert_int_equal(drain(IU_P_V1, NULL, b.data, b.len, ((size_t)1 << 20) - 1, &messages, &err), IU_E_OVERLOADED);
  iu__buf_free(&b);
  free(bomb.p);
  free(head.p);
}

/* ---- chance ---- */

static void mutate(uint8_t *p, size_t len, uint64_t *seed) {
  uint32_t changes = 1 + (uint32_t)(test_random(seed) % 4);
  for (uint32_t i = 0; i < changes; i++) {
    uint8_t *at = p + test_random(seed) % len;
    switch (test_random(seed) % 4) {
      case 0: *at = (uint8_t)test_random(seed); break;
      case 1: *at ^= (uint8_t)(1u << test_random(seed) % 8); break;
      case 2: *at = 0xff; break;
      default: *at = (uint8_t)(*at + 1); break;
    }
  }
}

static void mutated_payloads_never_crash(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  static const char *const framings[] = {F_2, F_3, F_5};
  uint32_t good = 0, rounds = 60000;
  for (uint32_t i = 0; i < rounds; i++) {
    size_t which = test_random(&seed) % (SERVER_VECTOR_COUNT + 3);
    bytes_of b = which < SERVER_VECTOR_COUNT ? framed(SERVER_VECTORS[which].hex) : unhex(framings[which - SERVER_VECTOR_COUNT]);
    iu_protocol p = which < SERVER_VECTOR_COUNT ? SERVER_VECTORS[which].protocol : IU_P_V3;
    uint32_t messages;
    iu_error err = {0};
    if (p == IU_P_V2 && test_random(&seed) % 2 != 0) p = IU_P_V3;
    mutate(b.p, b.len, &seed);
    iu_status status = drain(p, NULL, b.p, b.len, 1 << 20, &messages, &err);
    good += status == IU_OK;
    if (status == IU_OK) {
      assert_true(messages > 0);
    } else {
      assert_true(status == IU_E_VALIDATION || status == IU_E_OVERLOADED);
      assert_true(err.message[0] != '\0' && (err.offset <= (1 << 20) || status == IU_E_OVERLOADED));
    }
    free(b.p);
  }
  assert_true(good > rounds / 100 && good < rounds * 9 / 10);
}

static void random_bytes_never_crash(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  for (uint32_t i = 0; i < 60000; i++) {
    size_t len = test_random(&seed) % 80;
    uint8_t *bytes = malloc(len + 1);
    uint32_t messages;
    for (size_t k = 0; k < len; k++) bytes[k] = (uint8_t)(test_random(&seed) % (k < 2 ? 12 : test_random(&seed) % 2 != 0 ? 4 : 256));
    iu_protocol p = (iu_protocol)(IU_P_V1 + test_random(&seed) % 3);
    drain(p, NULL, bytes, len, 1 << 16, &messages, NULL);
    free(bytes);
  }
}

#ifdef IU_ERRINJ
/* TransactionUpdateLight with a part in gzip and one in brotli. */
#define V1_PARTS \
  "00" "02000000000100000000100000" "0400000075736572" "0000000000000000" "02000000" \
  "02" "320000001f8b080000000000000305c1b10d00200800b046070c5ca5a7309bf8ff66ab140213e7b5945818d8f703c8e6c60d23000000" \
  "01" "230000001b22000004ea6437027b3591a26c031b701c6200986e7404a22820f09b5f8428b1f501"

/* Any single allocation may fail: that is said, and nothing leaks. */
static void no_memory_is_said(void **state) {
  (void)state;
  static const struct { iu_protocol p; const char *hex; } payloads[] = {
    {IU_P_V3, F_2}, {IU_P_V3, F_3}, {IU_P_V3, F_5}, {IU_P_V1, "00" S1_3}, {IU_P_V1, V1_PARTS},
  };
  for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
    bytes_of b = unhex(payloads[i].hex);
    uint32_t messages, failures = 0;
    for (long after = 0;; after++) {
      iu__errinj_arm(IU_ERRINJ_ALLOC, after);
      iu_status status = drain(payloads[i].p, NULL, b.p, b.len, CAP, &messages, NULL);
      iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
      if (status == IU_OK) break;
      assert_int_equal(status, IU_E_NOMEM);
      failures++;
      assert_true(after < 1000);
    }
    assert_true(failures > 0);
    free(b.p);
  }
}
#endif

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_message_cut_anywhere_is_refused),
    cmocka_unit_test(a_cut_v3_payload_gives_its_whole_messages),
    cmocka_unit_test(compressed_bytes_cut_anywhere_are_refused),
    cmocka_unit_test(unknown_tags),
    cmocka_unit_test(counts_that_are_too_large),
    cmocka_unit_test(row_sizes_and_offsets_that_lie),
    cmocka_unit_test(rows_without_bytes_are_rows),
    cmocka_unit_test(text_that_is_not_utf8),
    cmocka_unit_test(a_message_may_not_have_endless_updates),
    cmocka_unit_test(bombs_stop_at_the_cap),
    cmocka_unit_test(brotli_bombs_stop_at_the_cap),
    cmocka_unit_test(bombs_in_parts_share_the_cap),
    cmocka_unit_test(mutated_payloads_never_crash),
    cmocka_unit_test(random_bytes_never_crash),
#ifdef IU_ERRINJ
    cmocka_unit_test(no_memory_is_said),
#endif
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
