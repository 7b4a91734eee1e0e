/* input.h: what the fuzz targets share: reading decisions off the input, and a check that every build has. */
#ifndef IU_TESTS_FUZZ_INPUT_H
#define IU_TESTS_FUZZ_INPUT_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../core/sats/bsatn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition) do { if (!(condition)) { fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); abort(); } } while (0)

/* What is left of the input; past its end everything is 0 or empty. */
typedef struct input { const uint8_t *p; size_t len; } input;
static inline uint8_t take(input *in) {
  if (in->len == 0) return 0;
  in->len--;
  return *in->p++;
}
static inline uint32_t take_u16(input *in) {
  uint32_t low = take(in);
  return low | (uint32_t)take(in) << 8;
}
static inline iu_slice take_bytes(input *in, size_t len) {
  if (len > in->len) len = in->len;
  iu_slice s = {in->p, len};
  in->p += len;
  in->len -= len;
  return s;
}
/* The rest as memory of exactly its size, so that a read past its end is seen; free(). */
static inline uint8_t *take_rest(input *in, size_t *len) {
  uint8_t *copy = malloc(in->len != 0 ? in->len : 1);
  MUST(copy != NULL);
  if (in->len != 0) memcpy(copy, in->p, in->len);
  *len = in->len;
  in->p += in->len;
  in->len = 0;
  return copy;
}

#endif
