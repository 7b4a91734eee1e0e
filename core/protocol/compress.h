/* compress.h: gzip and brotli as messages and stored data use them. */
#ifndef IU_PROTOCOL_COMPRESS_H
#define IU_PROTOCOL_COMPRESS_H

#include "../base/buffer.h"

typedef enum iu_compression { IU_COMPRESSION_NONE, IU_COMPRESSION_BROTLI, IU_COMPRESSION_GZIP } iu_compression;

/* inflate.c: appends at most `max` plain bytes to the empty `out`. */
iu_status iu__inflate(iu_compression how, const uint8_t *bytes, size_t len, size_t max, iu_buf *out, iu_error *err);
/* The first bytes of what `bytes`, perhaps cut, decompress to: how many, 0 when they cannot be had. */
size_t iu__inflate_start(iu_compression how, const uint8_t *bytes, size_t len, uint8_t *out, size_t room);

/* inflate_stream.c: gzip of any length, piece by piece: one member or several behind each other. */
typedef struct iu_gunzip iu_gunzip;
iu_gunzip *iu__gunzip_new(void);  /* NULL: no memory */
void iu__gunzip_free(iu_gunzip *g);
/* Appends what `bytes` give, until the empty `out` holds `most`; *used of them were taken, the rest comes again with the next call. With none left it gives
 * what is still inside. After a failure the object is of no more use. */
iu_status iu__gunzip_some(iu_gunzip *g, const uint8_t *bytes, size_t len, size_t most, size_t *used, iu_buf *out, iu_error *err);
bool iu__gunzip_is_whole(const iu_gunzip *g); /* the bytes may end here */

/* deflate.c: appends `bytes` as one gzip member, made fast rather than small. */
iu_status iu__gzip(const uint8_t *bytes, size_t len, iu_buf *out, iu_error *err);

#endif
