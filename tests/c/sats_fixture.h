/* sats_fixture.h: what the sats tests share: hex, a seeded generator, and the value vectors of the protocol sheet (12.1). */
#ifndef IU_TESTS_SATS_FIXTURE_H
#define IU_TESTS_SATS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../../core/sats/type.h"

typedef struct bytes_of { uint8_t *p; size_t len; } bytes_of; /* p: exactly len bytes of malloc, so that sanitizers see overreads */

static inline bytes_of unhex(const char *hex) {
  bytes_of b = {malloc(strlen(hex) / 2 + (hex[0] == '\0')), strlen(hex) / 2};
  assert_non_null(b.p);
  for (size_t i = 0; i < b.len; i++) {
    unsigned byte;
    assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
    b.p[i] = (uint8_t)byte;
  }
  return b;
}

static inline void assert_hex(const void *bytes, size_t len, const char *hex) {
  char *got = malloc(2 * len + 1);
  assert_non_null(got);
  got[0] = '\0';
  for (size_t i = 0; i < len; i++) sprintf(got + 2 * i, "%02x", ((const uint8_t *)bytes)[i]);
  assert_string_equal(got, hex);
  free(got);
}

/* xorshift64*; the seed is printed so that a failing run can be repeated with SEED=... */
static inline uint64_t test_seed(void) {
  const char *given = getenv("SEED");
  uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u + 1;
  printf("SEED=%llu\n", (unsigned long long)seed);
  return seed != 0 ? seed : 1;
}
static inline uint64_t test_random(uint64_t *state) {
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return *state * 2685821657736338717u;
}

static inline const iu_type *scalar(iu_type_tag tag) { return iu__type_scalar(tag); }
static inline const iu_type *special(iu_special s) { return iu__type_special(s); }

static inline const iu_type *user_row(iu_typespace *ts) {
  iu_field fields[] = {{"id", scalar(IU_T_U32)}, {"name", scalar(IU_T_STRING)}};
  return iu__type_product(ts, 2, fields);
}
static inline const iu_type *colour(iu_typespace *ts) {
  iu_field rgb[] = {{"r", scalar(IU_T_U8)}, {"g", scalar(IU_T_U8)}, {"b", scalar(IU_T_U8)}};
  iu_field variants[] = {{"Red", special(IU_S_UNIT)}, {"Rgb", iu__type_product(ts, 3, rgb)}, {"Named", scalar(IU_T_STRING)}};
  return iu__type_sum(ts, 3, variants);
}
static inline const iu_type *result_type(iu_typespace *ts) {
  iu_field variants[] = {{"ok", scalar(IU_T_U32)}, {"err", scalar(IU_T_STRING)}};
  return iu__type_sum(ts, 2, variants);
}
static inline const iu_type *bound_type(iu_typespace *ts) {
  iu_field variants[] = {{"Included", scalar(IU_T_U32)}, {"Excluded", scalar(IU_T_U32)}, {"Unbounded", special(IU_S_UNIT)}};
  return iu__type_sum(ts, 3, variants);
}

typedef struct vector { const char *id; const iu_type *type; const char *typed, *untyped, *hex; } vector;

#define WIDE_0_TO_F "5233100606242806050955395731361295"
#define IDENTITY_I "c200483152d642c7d402de06cacc36dcb0c2a1f2bbeb8e7d5a673f2435cca975"

/* V43 (a NaN) has no JSON and is tested on its own. Returns the count. */
static inline size_t value_vectors(iu_typespace *ts, vector out[48]) {
  const iu_type *col = colour(ts), *res = result_type(ts), *bound = bound_type(ts), *row = user_row(ts);
  const iu_type *opt = iu__type_option(ts, scalar(IU_T_U32));
  vector v[] = {
    {"V1", scalar(IU_T_BOOL), "true", "true", "01"},
    {"V2", scalar(IU_T_BOOL), "false", "false", "00"},
    {"V3", scalar(IU_T_I8), "-2", "-2", "fe"},
    {"V4", scalar(IU_T_U8), "255", "255", "ff"},
    {"V5", scalar(IU_T_I16), "-2", "-2", "feff"},
    {"V6", scalar(IU_T_U16), "4660", "4660", "3412"},
    {"V7", scalar(IU_T_I32), "-2", "-2", "feffffff"},
    {"V8", scalar(IU_T_U32), "305419896", "305419896", "78563412"},
    {"V9", scalar(IU_T_I64), "-2", "-2", "feffffffffffffff"},
    {"V10", scalar(IU_T_U64), "81985529216486895", "81985529216486895", "efcdab8967452301"},
    {"V11", scalar(IU_T_I128), "-2", "-2", "feffffffffffffffffffffffffffffff"},
    {"V12", scalar(IU_T_U128), WIDE_0_TO_F, WIDE_0_TO_F, "0f0e0d0c0b0a09080706050403020100"},
    {"V13", scalar(IU_T_I256), "\"-0x2\"", "\"-0x2\"", "feffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"},
    {"V14", scalar(IU_T_U256), "\"0x102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\"",
     "\"0x102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\"",
     "1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100"},
    {"V15", scalar(IU_T_F32), "1.5", "1.5", "0000c03f"},
    {"V16", scalar(IU_T_F64), "-2.5", "-2.5", "00000000000004c0"},
    {"V17", scalar(IU_T_STRING), "\"\"", "\"\"", "00000000"},
    {"V18", scalar(IU_T_STRING), "\"h\xc3\xa9\xe2\x82\xac\"", "\"h\xc3\xa9\xe2\x82\xac\"", "0600000068c3a9e282ac"},
    {"V19", special(IU_S_BYTES), "\"010203\"", "\"010203\"", "03000000010203"},
    {"V20", iu__type_array(ts, scalar(IU_T_U16)), "[1,2]", "[1,2]", "0200000001000200"},
    {"V21", iu__type_array(ts, scalar(IU_T_STRING)), "[\"a\",\"bc\"]", "[\"a\",\"bc\"]", "020000000100000061020000006263"},
    {"V22", iu__type_array(ts, scalar(IU_T_U32)), "[]", "[]", "00000000"},
    {"V23", special(IU_S_UNIT), "[]", "[]", ""},
    {"V24", row, "{\"id\":7,\"name\":\"Bob\"}", "[7,\"Bob\"]", "0700000003000000426f62"},
    {"V25", col, "{\"Red\":[]}", "[0,[]]", "00"},
    {"V26", col, "{\"Rgb\":{\"r\":1,\"g\":2,\"b\":3}}", "[1,[1,2,3]]", "01010203"},
    {"V27", col, "{\"Named\":\"x\"}", "[2,\"x\"]", "020100000078"},
    {"V28", opt, "{\"some\":5}", "[0,5]", "0005000000"},
    {"V29", opt, "{\"none\":[]}", "[1,[]]", "01"},
    {"V30", res, "{\"ok\":5}", "[0,5]", "0005000000"},
    {"V31", res, "{\"err\":\"no\"}", "[1,\"no\"]", "01020000006e6f"},
    {"V32", special(IU_S_IDENTITY), "{\"__identity__\":\"0x" IDENTITY_I "\"}", "[\"0x" IDENTITY_I "\"]",
     "75a9cc35243f675a7d8eebbbf2a1c2b0dc36ccca06de02d4c742d652314800c2"},
    {"V33", special(IU_S_CONNECTION_ID), "{\"__connection_id__\":88962710306127702866241727433142015}",
     "[88962710306127702866241727433142015]", "ffeeddccbbaa99887766554433221100"},
    {"V34", special(IU_S_TIMESTAMP), "{\"__timestamp_micros_since_unix_epoch__\":1700000000000000}", "[1700000000000000]",
     "00401e18240a0600"},
    {"V35", special(IU_S_TIME_DURATION), "{\"__time_duration_micros__\":1000000}", "[1000000]", "40420f0000000000"},
    {"V36", special(IU_S_SCHEDULE_AT), "{\"Interval\":{\"__time_duration_micros__\":1000000}}", "[0,[1000000]]",
     "0040420f0000000000"},
    {"V37", special(IU_S_SCHEDULE_AT), "{\"Time\":{\"__timestamp_micros_since_unix_epoch__\":1700000000000000}}",
     "[1,[1700000000000000]]", "0100401e18240a0600"},
    {"V38", special(IU_S_UUID), "{\"__uuid__\":" WIDE_0_TO_F "}", "[" WIDE_0_TO_F "]", "0f0e0d0c0b0a09080706050403020100"},
    {"V39", bound, "{\"Included\":5}", "[0,5]", "0005000000"},
    {"V40", bound, "{\"Excluded\":5}", "[1,5]", "0105000000"},
    {"V41", bound, "{\"Unbounded\":[]}", "[2,[]]", "02"},
    {"V42", iu__type_array(ts, row), "[{\"id\":7,\"name\":\"Bob\"}]", "[[7,\"Bob\"]]", "010000000700000003000000426f62"},
  };
  memcpy(out, v, sizeof v);
  for (size_t i = 0; i < sizeof v / sizeof *v; i++) assert_non_null(v[i].type);
  return sizeof v / sizeof *v;
}

#endif
