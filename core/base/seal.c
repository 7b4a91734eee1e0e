/* seal.c: see seal.h. */
#include "seal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

static bool sealed_to(EVP_CIPHER_CTX *c, const uint8_t *key, const uint8_t *nonce, iu_bytes associated, iu_bytes plain, uint8_t *out) {
  int n = 0;

  if (EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce) != 1) return false; /* GCM's nonce has 12 bytes unless something else is asked for */
  if (associated.len != 0 && EVP_EncryptUpdate(c, NULL, &n, associated.at, (int)associated.len) != 1) return false;
  if (plain.len != 0 && EVP_EncryptUpdate(c, out, &n, plain.at, (int)plain.len) != 1) return false;
  return EVP_EncryptFinal_ex(c, out + plain.len, &n) == 1 && EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, (int)IU_SEAL_TAG, out + plain.len) == 1;
}

static bool started_opening(EVP_CIPHER_CTX *c, const uint8_t *key, const uint8_t *nonce, iu_bytes associated, iu_bytes text, const uint8_t *tag, uint8_t *out) {
  int n = 0;

  if (EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce) != 1) return false;
  if (associated.len != 0 && EVP_DecryptUpdate(c, NULL, &n, associated.at, (int)associated.len) != 1) return false;
  if (text.len != 0 && EVP_DecryptUpdate(c, out, &n, text.at, (int)text.len) != 1) return false;
  return EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, (int)IU_SEAL_TAG, (void *)(uintptr_t)tag) == 1; /* it is only read */
}

static iu_status too_large(iu_error *err) { return iu__fail(err, IU_E_VALIDATION, "more than %zu bytes cannot be sealed", IU_SEAL_MAX); }
static iu_status unavailable(iu_error *err) { return iu__fail(err, IU_E_PERSISTENCE, "AES-256-GCM is not available from OpenSSL"); }

iu_status iu__seal(const uint8_t key[IU_SEAL_KEY], const uint8_t nonce[IU_SEAL_NONCE], iu_bytes associated, iu_bytes plain, uint8_t *out, iu_error *err) {
  EVP_CIPHER_CTX *c;
  bool done;

  if (plain.len > IU_SEAL_MAX || associated.len > IU_SEAL_MAX) return too_large(err);
  c = EVP_CIPHER_CTX_new();
  done = c != NULL && sealed_to(c, key, nonce, associated, plain, out);
  EVP_CIPHER_CTX_free(c); /* wipes the key schedule */
  return done ? IU_OK : unavailable(err);
}

iu_status iu__unseal(const uint8_t key[IU_SEAL_KEY], const uint8_t nonce[IU_SEAL_NONCE], iu_bytes associated, iu_bytes sealed, uint8_t *out, iu_error *err) {
  iu_bytes text = {sealed.at, sealed.len - IU_SEAL_TAG};
  uint8_t none[IU_SEAL_TAG];
  EVP_CIPHER_CTX *c;
  bool started, genuine;
  int n = 0;

  if (sealed.len < IU_SEAL_TAG) return iu__fail(err, IU_E_AUTHORIZATION, "it does not open: it is shorter than its tag");
  if (text.len > IU_SEAL_MAX || associated.len > IU_SEAL_MAX) return too_large(err);
  c = EVP_CIPHER_CTX_new();
  started = c != NULL && started_opening(c, key, nonce, associated, text, (const uint8_t *)sealed.at + text.len, out);
  genuine = started && EVP_DecryptFinal_ex(c, none, &n) == 1;
  EVP_CIPHER_CTX_free(c);
  if (genuine) return IU_OK;
  if (text.len != 0) OPENSSL_cleanse(out, text.len); /* what a wrong key makes of it, or a changed text, is nobody's */
  if (!started) return unavailable(err);
  return iu__fail(err, IU_E_AUTHORIZATION, "it does not open: it was sealed with another key or for another place, or it was changed");
}

size_t iu__base64_size(size_t len) { return (len + 2) / 3 * 4; }

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void iu__base64(const uint8_t *bytes, size_t len, char *out) {
  for (; len >= 3; len -= 3, bytes += 3) {
    *out++ = digits[bytes[0] >> 2];
    *out++ = digits[(bytes[0] & 3) << 4 | bytes[1] >> 4];
    *out++ = digits[(bytes[1] & 15) << 2 | bytes[2] >> 6];
    *out++ = digits[bytes[2] & 63];
  }
  if (len == 0) return;
  *out++ = digits[bytes[0] >> 2];
  *out++ = digits[(bytes[0] & 3) << 4 | (len == 2 ? bytes[1] >> 4 : 0)];
  *out++ = len == 2 ? digits[(bytes[1] & 15) << 2] : '=';
  *out = '=';
}

static int value_of(char c) {
  const char *at = c != '\0' ? strchr(digits, c) : NULL;

  return at != NULL ? (int)(at - digits) : -1;
}

bool iu__unbase64(const char *text, size_t len, uint8_t *out, size_t *out_len) {
  size_t padding = 0, i;

  if (len % 4 != 0) return false;
  while (padding < 2 && padding < len && text[len - 1 - padding] == '=') padding++;
  *out_len = len / 4 * 3 - padding;
  for (i = 0; i < len; i += 4) {
    uint32_t bits = 0;
    size_t j, last = i + 4 == len ? padding : 0;
    for (j = 0; j < 4; j++) {
      int v = j < 4 - last ? value_of(text[i + j]) : 0;
      if (v < 0) return false;
      bits = bits << 6 | (uint32_t)v;
    }
    if ((last == 1 && (bits & 0xC0) != 0) || (last == 2 && (bits & 0xF000) != 0)) return false; /* bits that no byte has: another text of the same bytes */
    *out++ = (uint8_t)(bits >> 16);
    if (last < 2) *out++ = (uint8_t)(bits >> 8);
    if (last < 1) *out++ = (uint8_t)bits;
  }
  return true;
}
