/* Errors: statuses and their names, messages and how they are cut, what reducers report, printable bytes. */
#include "base_fixture.h"

static void statuses_have_kind_code_and_retry(void **state) {
  (void)state;
  assert_string_equal(iu_version(), IU_VERSION);
  assert_string_equal(iu_status_kind(IU_OK), "");
  assert_string_equal(iu_status_code(IU_OK), "");
  assert_string_equal(iu_status_kind(IU_E_VALIDATION), "ValidationError");
  assert_string_equal(iu_status_code(IU_E_VALIDATION), "VALIDATION");
  assert_string_equal(iu_status_kind(IU_E_NOMEM), "PersistenceError");
  assert_string_equal(iu_status_code(IU_E_CLOSED), "CLOSED");
  assert_int_equal(iu_status_retryable(IU_E_CONFLICT), 1);
  assert_int_equal(iu_status_retryable(IU_E_STORAGE), 0);
  assert_string_equal(iu_status_kind((iu_status)4711), "PersistenceError");
}

static void failures_fill_in_the_detail(void **state) {
  iu_error err;
  (void)state;
  memset(&err, 0x5A, sizeof err);
  iu__error_clear(&err);
  assert_int_equal(err.status, IU_OK);
  assert_string_equal(err.message, "");
  assert_int_equal(iu__fail(&err, IU_E_TIMEOUT, "after %d s", 3), IU_E_TIMEOUT);
  assert_int_equal(err.status, IU_E_TIMEOUT);
  assert_true(err.offset == IU_NO_OFFSET);
  assert_string_equal(err.message, "after 3 s");
  assert_int_equal(iu__fail_at(&err, IU_E_VALIDATION, 7, "bad"), IU_E_VALIDATION);
  assert_int_equal(err.offset, 7);
  iu__error_prefix(&err, "row %d", 2);
  assert_string_equal(err.message, "row 2: bad");
  assert_int_equal(err.offset, 7);
  iu__fail(&err, IU_E_VALIDATION, "again %s", err.message);
  assert_string_equal(err.message, "again row 2: bad");
  assert_int_equal(iu__fail_nomem(&err), IU_E_NOMEM);
  assert_string_equal(err.message, "out of memory");
}

static void nobody_need_want_the_detail(void **state) {
  (void)state;
  iu__error_clear(NULL);
  assert_int_equal(iu__fail(NULL, IU_E_STORAGE, "x"), IU_E_STORAGE);
  assert_int_equal(iu__fail_at(NULL, IU_E_STORAGE, 1, "x"), IU_E_STORAGE);
  assert_int_equal(iu__fail_nomem(NULL), IU_E_NOMEM);
  iu__error_prefix(NULL, "x");
  iu__error_from_reducer(NULL, "x", 1);
}

/* A message of `len` bytes whose last character is the euro sign (three bytes). */
static char *long_text(size_t len) {
  char *text = malloc(len + 1);
  assert_non_null(text);
  memset(text, 'x', len);
  memcpy(text + len - 3, "\xE2\x82\xAC", 4);
  return text;
}

static void long_messages_are_cut_between_characters(void **state) {
  iu_error err;
  size_t len;
  (void)state;
  for (len = IU_ERROR_MESSAGE_MAX - 5; len < IU_ERROR_MESSAGE_MAX + 5; len++) {
    char *text = long_text(len);
    size_t expected = len < IU_ERROR_MESSAGE_MAX ? len : len < IU_ERROR_MESSAGE_MAX + 3 ? len - 3 : IU_ERROR_MESSAGE_MAX - 1;
    iu__fail(&err, IU_E_STORAGE, "%s", text);
    assert_int_equal(strlen(err.message), expected);
    assert_memory_equal(err.message, text, expected);
    iu__error_from_reducer(&err, text, len);
    assert_int_equal(strlen(err.message), expected);
    assert_memory_equal(err.message, text, expected);
    iu__fail(&err, IU_E_STORAGE, "%s", text + 4);
    iu__error_prefix(&err, "ab");
    assert_int_equal(strlen(err.message), expected);
    free(text);
  }
  {
    char *text = long_text(4000);
    iu__fail(&err, IU_E_STORAGE, "short");
    iu__error_prefix(&err, "%s", text);
    assert_int_equal(strlen(err.message), IU_ERROR_MESSAGE_MAX - 1);
    free(text);
  }
}

static void reducers_report_code_and_message(void **state) {
  static const struct { const char *text; iu_status status; const char *message; } rows[] = {
      {"ENTITY_NOT_FOUND: no entity x", IU_E_ENTITY_NOT_FOUND, "no entity x"},
      {"VALIDATION:tight", IU_E_VALIDATION, "tight"},
      {"VALIDATION: ", IU_E_VALIDATION, "invalid value"},
      {"CONFLICT:", IU_E_CONFLICT, "conflict"},
      {"NO_MEMORY: x", IU_E_NOMEM, "x"},
      {"VALIDATION", IU_E_PERSISTENCE, "VALIDATION"},
      {"VALIDATIONS: x", IU_E_PERSISTENCE, "VALIDATIONS: x"},
      {"something broke: x", IU_E_PERSISTENCE, "something broke: x"},
      {"", IU_E_PERSISTENCE, "persistence failure"},
      {"PLUGIN: a\xFF" "b", IU_E_PLUGIN, "a?b"},
  };
  iu_error err;
  size_t i;
  (void)state;
  for (i = 0; i < sizeof rows / sizeof *rows; i++) {
    iu__error_from_reducer(&err, rows[i].text, strlen(rows[i].text));
    assert_int_equal(err.status, rows[i].status);
    assert_string_equal(err.message, rows[i].message);
    assert_true(err.offset == IU_NO_OFFSET);
  }
}

static void untrusted_bytes_become_printable(void **state) {
  char out[4 * 8 + 4];
  (void)state;
  assert_string_equal(iu__printable(out, 8, "plain", 5), "plain");
  assert_string_equal(iu__printable(out, 8, "", 0), "");
  assert_string_equal(iu__printable(out, 8, "a\0b\n\x7F", 5), "a\\x00b\\x0a\\x7f");
  assert_string_equal(iu__printable(out, 8, "\xC3\xBC\xFF\xC3", 4), "\xC3\xBC\\xff\\xc3");
  assert_string_equal(iu__printable(out, 8, "\xC2\x85", 2), "\\xc2\\x85");
  assert_string_equal(iu__printable(out, 8, "12345678", 8), "12345678");
  assert_string_equal(iu__printable(out, 8, "123456789", 9), "12345678...");
  assert_string_equal(iu__printable(out, 8, "1234567\xC3\xBC", 9), "1234567...");
  assert_string_equal(iu__printable(out, 8, "\1\2\3\4\5\6\7\10\11", 9), "\\x01\\x02\\x03\\x04\\x05\\x06\\x07\\x08...");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(statuses_have_kind_code_and_retry),
      cmocka_unit_test(failures_fill_in_the_detail),
      cmocka_unit_test(nobody_need_want_the_detail),
      cmocka_unit_test(long_messages_are_cut_between_characters),
      cmocka_unit_test(reducers_report_code_and_message),
      cmocka_unit_test(untrusted_bytes_become_printable),
  };
  return cmocka_run_group_tests_name("base_error", tests, NULL, NULL);
}
