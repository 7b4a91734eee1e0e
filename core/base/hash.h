/* hash.h: XXH3 for tables and checksums (libxxhash), SHA-256 for hashes that leave the process (OpenSSL). */
#ifndef IU_BASE_HASH_H
#define IU_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

uint64_t iu__hash64(const void *bytes, size_t len);
iu_status iu__sha256(const void *bytes, size_t len, uint8_t out[32], iu_error *err);
/* The same piece by piece: add to what begin gave (NULL: no memory), then end, which frees it. A failure of an add is the end's. */
typedef struct iu_sha256 iu_sha256;
iu_sha256 *iu__sha256_begin(iu_error *err);
void iu__sha256_add(iu_sha256 *h, const void *bytes, size_t len);
iu_status iu__sha256_end(iu_sha256 *h, uint8_t out[32], iu_error *err);
/* out: 2 * len + 1 bytes, lower case, terminated. */
void iu__hex(char *out, const uint8_t *bytes, size_t len);
/* false when a character is no hex digit or len is odd; out holds len / 2 bytes. */
bool iu__unhex(uint8_t *out, const char *text, size_t len);

#endif
