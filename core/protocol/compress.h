/* compress.h: gzip and brotli as messages and stored data use them. */
#ifndef IU_PROTOCOL_COMPRESS_H
#define IU_PROTOCOL_COMPRESS_H

#include "../base/buffer.h"

typedef enum iu_compression { IU_COMPRESSION_NONE, IU_COMPRESSION_BROTLI, IU_COMPRESSION_GZIP } iu_compression;

/* inflate.c: appends at most `max` plain bytes to the empty `out`. */
iu_status iu__inflate(iu_compression how, const uint8_t *bytes, size_t len, size_t max, iu_buf *out, iu_error *err);
/* The first bytes of what `bytes`, perhaps cut, decompress to: how many, 0 when they cannot be had. */
size_t iu__inflate_start(iu_compression how, const uint8_t *bytes, size_t len, uint8_t *out, size_t room);

/* deflate.c: appends `bytes` as one gzip member, made fast rather than small. */
iu_status iu__gzip(const uint8_t *bytes, size_t len, iu_buf *out, iu_error *err);

#endif
