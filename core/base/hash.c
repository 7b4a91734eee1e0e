/* hash.c: see hash.h. */
#include "hash.h"

#include <openssl/evp.h>
#include <xxhash.h>

#include "alloc.h"

uint64_t iu__hash64(const void *bytes, size_t len) { return XXH3_64bits(bytes, len); }

iu_status iu__sha256(const void *bytes, size_t len, uint8_t out[32], iu_error *err) {
  unsigned written = 0;

  if (EVP_Digest(len != 0 ? bytes : "", len, out, &written, EVP_sha256(), NULL) != 1 || written != 32)
    return iu__fail(err, IU_E_PERSISTENCE, "SHA-256 is not available from OpenSSL");
  return IU_OK;
}

struct iu_sha256 { EVP_MD_CTX *context; bool failed; };

iu_sha256 *iu__sha256_begin(iu_error *err) {
  iu_sha256 *h = iu__alloc(sizeof *h);

  if (h == NULL) {
    iu__fail_nomem(err);
    return NULL;
  }
  h->context = EVP_MD_CTX_new();
  h->failed = h->context == NULL || EVP_DigestInit_ex(h->context, EVP_sha256(), NULL) != 1;
  return h;
}

void iu__sha256_add(iu_sha256 *h, const void *bytes, size_t len) {
  if (len != 0 && !h->failed) h->failed = EVP_DigestUpdate(h->context, bytes, len) != 1;
}

iu_status iu__sha256_end(iu_sha256 *h, uint8_t out[32], iu_error *err) {
  bool done = !h->failed && EVP_DigestFinal_ex(h->context, out, NULL) == 1;

  EVP_MD_CTX_free(h->context);
  iu__free(h);
  return done ? IU_OK : iu__fail(err, IU_E_PERSISTENCE, "SHA-256 is not available from OpenSSL");
}

void iu__hex(char *out, const uint8_t *bytes, size_t len) {
  static const char digits[] = "0123456789abcdef";
  size_t i;

  for (i = 0; i < len; i++) {
    out[2 * i] = digits[bytes[i] >> 4];
    out[2 * i + 1] = digits[bytes[i] & 15];
  }
  out[2 * len] = '\0';
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool iu__unhex(uint8_t *out, const char *text, size_t len) {
  size_t i;

  if (len % 2 != 0) return false;
  for (i = 0; i < len; i += 2) {
    int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) return false;
    out[i / 2] = (uint8_t)(high << 4 | low);
  }
  return true;
}
