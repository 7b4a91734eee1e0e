/* seal.h: AES-256-GCM (OpenSSL): texts that only who has the key can read, and that nobody without it can change or move unseen.
 *
 * A sealed text is bound to `associated` bytes that are not in it: it opens only where the same ones are given. A nonce must never be used twice with one
 * key; callers draw it from iu__random, which with 96 bits is safe for 2^32 texts a key (NIST SP 800-38D, 8.3). The tag is compared in constant time by OpenSSL.
 */
#ifndef IU_BASE_SEAL_H
#define IU_BASE_SEAL_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define IU_SEAL_KEY 32u
#define IU_SEAL_NONCE 12u
#define IU_SEAL_TAG 16u
#define IU_SEAL_MAX ((size_t)1 << 30) /* bytes of a text, and of what it is bound to */

typedef struct iu_bytes { const void *at; size_t len; } iu_bytes; /* borrowed */

/* out: len + IU_SEAL_TAG bytes, the ciphertext and the tag behind it; it may not overlap `plain`. */
iu_status iu__seal(const uint8_t key[IU_SEAL_KEY], const uint8_t nonce[IU_SEAL_NONCE], iu_bytes associated, iu_bytes plain, uint8_t *out, iu_error *err);
/* out: sealed.len - IU_SEAL_TAG bytes, all zero unless it is IU_OK. IU_E_AUTHORIZATION: another key, nonce or associated text, or it was changed; which of
 * them nobody can tell. */
iu_status iu__unseal(const uint8_t key[IU_SEAL_KEY], const uint8_t nonce[IU_SEAL_NONCE], iu_bytes associated, iu_bytes sealed, uint8_t *out, iu_error *err);

/* Base 64 (RFC 4648, with padding). out: iu__base64_size(len) bytes, not terminated. */
size_t iu__base64_size(size_t len);
void iu__base64(const uint8_t *bytes, size_t len, char *out);
/* out: len / 4 * 3 bytes, of which *out_len are used. false: it is not what iu__base64 writes of any bytes. */
bool iu__unbase64(const char *text, size_t len, uint8_t *out, size_t *out_len);

#endif
