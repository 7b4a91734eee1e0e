/* clock.c: see clock.h.
 *
 * UUIDv7 layout: 48 bits of milliseconds, version, the counter's high 12 bits, variant, the counter's low 19 bits, 43 random bits. The
 * counter starts each millisecond at a random value below 2^30 and counts up; when it would pass 31 bits the millisecond is moved on
 * instead, so ids of one state ascend whatever the clock does. The random bits are for uniqueness, not for secrets. */
#include "clock.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

#define UUID_COUNTER_BITS 31
#define UUID_COUNTER_SEED_MASK ((UINT32_C(1) << (UUID_COUNTER_BITS - 1)) - 1)
#define UUID_COUNTER_MAX ((UINT32_C(1) << UUID_COUNTER_BITS) - 1)

int64_t iu__clock_micros(void) {
  struct timespec ts;

  clock_gettime(CLOCK_REALTIME, &ts);
  return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

uint64_t iu__clock_mono_ns(void) {
  struct timespec ts;

  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

iu_status iu__random(void *out, size_t len, iu_error *err) {
  uint8_t *p = out;

  while (len > 0) {
    ssize_t n = getrandom(p, len, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return iu__fail(err, IU_E_PERSISTENCE, "no random bytes from the kernel (errno %d)", errno);
    p += n;
    len -= (size_t)n;
  }
  return IU_OK;
}

/* xoroshiro128+, Blackman and Vigna. */
static uint64_t rng_next(uint64_t s[2]) {
  uint64_t a = s[0], b = s[1], sum = a + b;

  b ^= a;
  s[0] = (a << 24 | a >> 40) ^ b ^ (b << 16);
  s[1] = b << 37 | b >> 27;
  return sum;
}

static void uuid_text(const uint8_t bytes[16], char out[37]) {
  static const char digits[] = "0123456789abcdef";
  size_t i, at = 0;

  for (i = 0; i < 16; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out[at++] = '-';
    out[at++] = digits[bytes[i] >> 4];
    out[at++] = digits[bytes[i] & 15];
  }
  out[at] = '\0';
}

/* splitmix64, Vigna: any seed, zero too, gives a state of that generator. */
static uint64_t mixed(uint64_t *seed) {
  uint64_t z = *seed += UINT64_C(0x9E3779B97F4A7C15);

  z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
  return z ^ z >> 31;
}

void iu__uuid_seed(iu_uuid_state *state, uint64_t seed) {
  state->last_ms = 0;
  state->counter = 0;
  state->rng[0] = mixed(&seed) | 1; /* not all zeros */
  state->rng[1] = mixed(&seed);
  state->seeded = true;
}

iu_status iu__uuid7(iu_uuid_state *state, char out[37], iu_error *err) { return iu__uuid7_at(state, iu__clock_micros(), out, err); }

iu_status iu__uuid7_at(iu_uuid_state *state, int64_t micros, char out[37], iu_error *err) {
  int64_t now = micros / 1000;
  uint64_t ms = now > 0 ? (uint64_t)now : 0, high, low;
  uint8_t bytes[16];
  int i;

  if (!state->seeded) {
    iu_status status = iu__random(state->rng, sizeof state->rng, err);
    if (status != IU_OK) return status;
    state->rng[0] |= 1; /* the one state that the generator never leaves is all zeros */
    state->seeded = true;
  }
  if (ms > state->last_ms || state->counter == UUID_COUNTER_MAX) {
    state->last_ms = ms > state->last_ms ? ms : state->last_ms + 1;
    state->counter = (uint32_t)(rng_next(state->rng) >> 32) & UUID_COUNTER_SEED_MASK;
  } else {
    state->counter++;
  }
  high = state->last_ms << 16 | UINT64_C(0x7000) | state->counter >> 19;
  low = UINT64_C(2) << 62 | (uint64_t)(state->counter & 0x7FFFF) << 43 | rng_next(state->rng) >> 21;
  for (i = 0; i < 8; i++) {
    bytes[i] = (uint8_t)(high >> (56 - 8 * i));
    bytes[8 + i] = (uint8_t)(low >> (56 - 8 * i));
  }
  uuid_text(bytes, out);
  return IU_OK;
}
