/* The head of a request: what is taken, what is refused and how, and that no prefix of one is taken for a whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../core/net/http_head.h"

static int parse(const char *text, iu_http_head *out) {
  memset(out, 0, sizeof *out);
  return iu__http_head_parse(text, strlen(text), out);
}

static void what_is_well_formed_is_taken(void **state) {
  iu_http_head head;
  (void)state;
  assert_int_equal(parse("GET /metrics HTTP/1.1\r\n\r\n", &head), 0);
  assert_false(head.is_head);
  assert_int_equal(head.path_len, 8);
  assert_memory_equal(head.path, "/metrics", 8);
  assert_int_equal(parse("HEAD /?a=b%20c HTTP/1.0\r\nHost: x:1\r\nAccept: \t text/plain;q=0.5 \r\nContent-Length: 0\r\nX-Empty:\r\n\r\n", &head), 0);
  assert_true(head.is_head);
  assert_memory_equal(head.path, "/?a=b%20c", head.path_len);
  assert_int_equal(parse("GET / HTTP/1.1\r\nX: \xc3\xa9\r\n\r\n", &head), 0); /* bytes over 127 are allowed in values */
}

static void what_is_not_is_refused_with_its_status(void **state) {
  static const struct { const char *text; int status; } cases[] = {
      {"\r\n\r\n", 400}, {"GET\r\n\r\n", 400}, {"GET /\r\n\r\n", 400}, {"GET  / HTTP/1.1\r\n\r\n", 400}, {"GET / HTTP/1.1 \r\n\r\n", 400},
      {"GET / HTTP/1.2\r\n\r\n", 400}, {"GET / http/1.1\r\n\r\n", 400}, {"GET / HTTP/2.0\r\n\r\n", 505}, {"GET x HTTP/1.1\r\n\r\n", 400},
      {"GET http://h/ HTTP/1.1\r\n\r\n", 400}, {"G@T / HTTP/1.1\r\n\r\n", 400}, {" GET / HTTP/1.1\r\n\r\n", 400}, {"GET /\x01 HTTP/1.1\r\n\r\n", 400},
      {"GET /\xff HTTP/1.1\r\n\r\n", 400}, {"POST / HTTP/1.1\r\n\r\n", 405}, {"get / HTTP/1.1\r\n\r\n", 405}, {"OPTIONS / HTTP/1.1\r\n\r\n", 405},
      {"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400}, {"GET / HTTP/1.1\r\n: none\r\n\r\n", 400}, {"GET / HTTP/1.1\r\nA B: c\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nA : c\r\n\r\n", 400}, {"GET / HTTP/1.1\r\n folded\r\n\r\n", 400}, {"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nA: b\nc\r\n\r\n", 400}, {"GET / HTTP/1.1\r\nContent-Length: 1\r\n\r\n", 413},
      {"GET / HTTP/1.1\r\ncontent-LENGTH:\t5\r\n\r\n", 413}, {"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 413},
      {"GET / HTTP/1.1\r\n", 400}, {"GET / HTTP/1.1", 400}, {"GET / HTTP/1.1\r\n\r\nmore", 400},
  };
  iu_http_head head;
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int status = parse(cases[i].text, &head);
    if (status != cases[i].status) fail_msg("%s: expected %d, got %d", cases[i].text, cases[i].status, status);
  }
}

/* Each text lies in a block of exactly its size, so that the sanitizer sees what reads past it. */
static void no_prefix_and_no_changed_byte_reads_past_the_end(void **state) {
  static const char text[] = "GET /metrics HTTP/1.1\r\nHost: localhost:9464\r\nContent-Length: 0\r\n\r\n";
  size_t len = sizeof text - 1;
  iu_http_head head;
  (void)state;
  for (size_t i = 0; i <= len; i++) {
    char *part = malloc(i > 0 ? i : 1);
    memcpy(part, text, i);
    assert_int_equal(iu__http_head_length(part, i), i == len ? len : 0);
    assert_int_equal(iu__http_head_parse(part, i, &head), i == len ? 0 : 400);
    free(part);
  }
  for (size_t i = 0; i < len; i++) {
    for (int byte = 0; byte < 256; byte++) {
      char *changed = malloc(len);
      memcpy(changed, text, len);
      changed[i] = (char)byte;
      int status = iu__http_head_parse(changed, len, &head);
      assert_true(status == 0 || status == 400 || status == 405 || status == 413 || status == 505);
      if (status == 0) assert_true(head.path >= changed && head.path + head.path_len <= changed + len);
      free(changed);
    }
  }
}

static void a_status_has_its_words(void **state) {
  (void)state;
  assert_string_equal(iu__http_reason(200), "OK");
  assert_string_equal(iu__http_reason(431), "Request Header Fields Too Large");
  assert_string_equal(iu__http_reason(299), "Status");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_well_formed_is_taken), cmocka_unit_test(what_is_not_is_refused_with_its_status),
      cmocka_unit_test(no_prefix_and_no_changed_byte_reads_past_the_end), cmocka_unit_test(a_status_has_its_words),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
