/* clock.h: wall time in microseconds since 1970-01-01 UTC, monotonic time in nanoseconds, random bytes (the kernel's),
 * and UUIDv7 (RFC 9562) with a 31-bit counter that keeps ids of one generator ascending even when the clock steps back. */
#ifndef IU_BASE_CLOCK_H
#define IU_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

int64_t iu__clock_micros(void);
uint64_t iu__clock_mono_ns(void);
iu_status iu__random(void *out, size_t len, iu_error *err);

typedef struct iu_uuid_state { uint64_t last_ms; uint32_t counter; uint64_t rng[2]; bool seeded; } iu_uuid_state;
/* Writes 36 characters and a terminator. */
iu_status iu__uuid7(iu_uuid_state *state, char out[37], iu_error *err);
/* The same at a time of the caller's: microseconds since 1970. */
iu_status iu__uuid7_at(iu_uuid_state *state, int64_t micros, char out[37], iu_error *err);
/* From here on its ids follow from the seed, the times and their number. For tests: they are unique no more. */
void iu__uuid_seed(iu_uuid_state *state, uint64_t seed);

#endif
