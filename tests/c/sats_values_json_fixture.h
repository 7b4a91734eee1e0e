/* sats_values_json_fixture.h: from JSON to hex and back, for the tests of SATS-JSON. */
#ifndef IU_TESTS_SATS_VALUES_JSON_FIXTURE_H
#define IU_TESTS_SATS_VALUES_JSON_FIXTURE_H

#include "sats_fixture.h"

#include "../../core/sats/sats_json.h"

static inline void assert_reads(const iu_type *t, const char *json, const char *hex) {
  iu_buf out = {0};
  iu_error err = {0};
  char *exact = malloc(strlen(json) + (*json == '\0'));
  memcpy(exact, json, strlen(json));
  if (iu__sats_from_json(t, exact, strlen(json), &out, &err) != IU_OK) fail_msg("%s: %s", json, err.message);
  assert_hex(out.data, out.len, hex);
  assert_int_equal(iu__bsatn_check_all(t, out.data, out.len, NULL), IU_OK);
  free(exact);
  iu__buf_free(&out);
}

static inline void assert_refuses(const iu_type *t, const char *json, const char *message) {
  iu_buf out = {0};
  iu_error err = {0};
  if (iu__sats_from_json(t, json, strlen(json), &out, &err) == IU_OK) fail_msg("%s was read as %s", json, iu__type_label(t));
  assert_int_equal(err.status, IU_E_VALIDATION);
  if (strstr(err.message, message) == NULL) fail_msg("%s: `%s` does not say `%s`", json, err.message, message);
  iu__buf_free(&out);
}

static inline void assert_writes(const iu_type *t, const char *hex, iu_sats_json_style style, const char *json) {
  bytes_of b = unhex(hex);
  iu_reader r = iu__reader(b.p, b.len);
  iu_buf out = {0};
  iu_error err = {0};
  if (iu__sats_to_json(t, &r, style, &out, &err) != IU_OK) fail_msg("%s: %s", hex, err.message);
  assert_int_equal(iu__reader_left(&r), 0);
  iu__buf_put_u8(&out, 0);
  assert_string_equal((const char *)out.data, json);
  iu__buf_free(&out);
  free(b.p);
}

#endif
