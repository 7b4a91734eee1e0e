/* AES-256-GCM: what the specification says it makes of known keys and texts, and that nothing opens that is not exactly what was sealed; base 64. */
#include "base_fixture.h"

#include "../../core/base/hash.h"
#include "../../core/base/seal.h"

/* D. McGrew, J. Viega, "The Galois/Counter Mode of Operation (GCM)", submission to NIST, appendix B: test cases 13 to 16, which are AES-256 with a nonce of
 * 96 bits. `sealed` is the ciphertext with the tag behind it. */
typedef struct vector { const char *key, *nonce, *associated, *plain, *sealed; } vector;

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define KEY "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"
#define PLAIN_60                                                                                                                              \
  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define SEALED_60                                                                                                                             \
  "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"

static const vector vectors[] = {
    {ZEROS, "000000000000000000000000", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {ZEROS, "000000000000000000000000", "", "00000000000000000000000000000000", "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
    {KEY, "cafebabefacedbaddecaf888", "", PLAIN_60 "1aafd255", SEALED_60 "898015adb094dac5d93471bdec1a502270e3cc6c"},
    {KEY, "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2", PLAIN_60, SEALED_60 "76fc6ece0f4e1768cddf8853bb2d551b"},
};
#define VECTORS (sizeof vectors / sizeof *vectors)

typedef struct bytes { uint8_t at[128]; size_t len; } bytes;

static bytes unhexed(const char *hex) {
  bytes b = {{0}, strlen(hex) / 2};
  assert_true(b.len <= sizeof b.at && iu__unhex(b.at, hex, strlen(hex)));
  return b;
}

static iu_bytes all_of(const bytes *b) { return (iu_bytes){b->at, b->len}; }

typedef struct sealed_text { bytes key, nonce, associated, plain, sealed; } sealed_text;

static sealed_text of(const vector *v) {
  sealed_text t = {unhexed(v->key), unhexed(v->nonce), unhexed(v->associated), unhexed(v->plain), unhexed(v->sealed)};
  return t;
}

static iu_status opened(const sealed_text *t, uint8_t *out) {
  iu_error err;
  return iu__unseal(t->key.at, t->nonce.at, all_of(&t->associated), all_of(&t->sealed), out, &err);
}

static void known_texts_are_sealed_and_opened_as_the_specification_says(void **state) {
  uint8_t out[128];
  iu_error err;
  (void)state;
  for (size_t i = 0; i < VECTORS; i++) {
    sealed_text t = of(&vectors[i]);
    assert_int_equal(iu__seal(t.key.at, t.nonce.at, all_of(&t.associated), all_of(&t.plain), out, &err), IU_OK);
    assert_int_equal(t.sealed.len, t.plain.len + IU_SEAL_TAG);
    assert_memory_equal(out, t.sealed.at, t.sealed.len);
    memset(out, 0xFF, sizeof out);
    assert_int_equal(opened(&t, out), IU_OK);
    assert_memory_equal(out, t.plain.at, t.plain.len);
    assert_int_equal(out[t.plain.len], 0xFF);
  }
}

/* Each bit of the key, the nonce, the associated text, the ciphertext and the tag counts; what was made on the way to the refusal is gone. */
static void nothing_opens_that_differs_in_one_bit(void **state) {
  static const uint8_t nothing[128];
  (void)state;
  for (size_t i = 0; i < VECTORS; i++) {
    sealed_text t = of(&vectors[i]);
    bytes *const parts[] = {&t.key, &t.nonce, &t.associated, &t.sealed};
    for (size_t p = 0; p < 4; p++) {
      for (size_t bit = 0; bit < parts[p]->len * 8; bit++) {
        uint8_t out[128];
        memset(out, 0xFF, sizeof out);
        parts[p]->at[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(opened(&t, out), IU_E_AUTHORIZATION);
        assert_memory_equal(out, nothing, t.plain.len);
        parts[p]->at[bit / 8] ^= (uint8_t)(1u << bit % 8);
      }
    }
  }
}

static void nothing_opens_that_was_cut_or_made_longer(void **state) {
  sealed_text t = of(&vectors[3]);
  size_t whole = t.sealed.len;
  uint8_t out[128];
  (void)state;
  for (t.sealed.len = 0; t.sealed.len < whole; t.sealed.len++) assert_int_equal(opened(&t, out), IU_E_AUTHORIZATION);
  t.sealed.len = whole + 1;
  assert_int_equal(opened(&t, out), IU_E_AUTHORIZATION);
  t.sealed.len = whole;
  t.associated.len--;
  assert_int_equal(opened(&t, out), IU_E_AUTHORIZATION);
  t.associated.len++;
  assert_int_equal(opened(&t, out), IU_OK);
}

/* RFC 4648, section 10. */
static void base64_is_that_of_the_rfc(void **state) {
  static const char *const pairs[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
  (void)state;
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    char text[16] = "";
    uint8_t back[16];
    size_t len = strlen(pairs[i][0]), back_len;
    assert_int_equal(iu__base64_size(len), strlen(pairs[i][1]));
    iu__base64((const uint8_t *)pairs[i][0], len, text);
    assert_string_equal(text, pairs[i][1]);
    assert_true(iu__unbase64(text, strlen(text), back, &back_len));
    assert_int_equal(back_len, len);
    assert_memory_equal(back, pairs[i][0], len);
  }
}

static void base64_has_one_text_for_each_bytes(void **state) {
  static const char *const wrong[] = {"Zg", "Zg=", "Zg===", "Z===", "====", "Zh==", "Zm9=", "Zm8=Zm8=", "Zm 8", "Zm8\n", "Z=8=", "Zm8-", "=Zm8"};
  random_source r = random_begin("base64_has_one_text_for_each_bytes");
  (void)state;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    uint8_t out[16];
    size_t len;
    if (iu__unbase64(wrong[i], strlen(wrong[i]), out, &len)) fail_msg("%s was taken", wrong[i]);
  }
  for (int i = 0; i < 2000; i++) {
    uint8_t given[64], back[64];
    char text[96];
    size_t len = random_below(&r, sizeof given), back_len;
    for (size_t j = 0; j < len; j++) given[j] = (uint8_t)random_next(&r);
    iu__base64(given, len, text);
    assert_true(iu__unbase64(text, iu__base64_size(len), back, &back_len));
    assert_int_equal(back_len, len);
    assert_memory_equal(back, given, len);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_texts_are_sealed_and_opened_as_the_specification_says),
      cmocka_unit_test(nothing_opens_that_differs_in_one_bit),
      cmocka_unit_test(nothing_opens_that_was_cut_or_made_longer),
      cmocka_unit_test(base64_is_that_of_the_rfc),
      cmocka_unit_test(base64_has_one_text_for_each_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
