/* net_http_head_fuzz.c: libFuzzer target for the head of a request, the one text that core/net takes from whoever connects. The input is what a connection has
 * sent so far: where a head ends does not depend on how much has come, and one that is taken is what it says it is.
 */
#include <string.h>

#include "../../core/net/http_head.h"
#include "input.h"

static void check_taken(const char *text, size_t len, const iu_http_head *head) {
  size_t method = head->is_head ? 4 : 3;
  MUST(memcmp(text, head->is_head ? "HEAD " : "GET ", method + 1) == 0);
  MUST(head->path == text + method + 1 && head->path_len > 0 && head->path[0] == '/');
  for (size_t i = 0; i < head->path_len; i++) MUST((unsigned char)head->path[i] > ' ' && (unsigned char)head->path[i] < 127);
  MUST(memcmp(head->path + head->path_len, " HTTP/1.", 8) == 0);
  MUST(memcmp(text + len - 4, "\r\n\r\n", 4) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input in = {data, size};
  size_t len;
  char *text = (char *)take_rest(&in, &len);
  size_t whole = iu__http_head_length(text, len);
  iu_http_head head = {0};
  MUST(whole <= len);
  for (size_t i = 0; i < len; i++) MUST(iu__http_head_length(text, i) == (whole > 0 && i >= whole ? whole : 0));
  int status = iu__http_head_parse(text, whole > 0 ? whole : len, &head);
  MUST(status == 0 || status == 400 || status == 405 || status == 413 || status == 505);
  MUST(whole > 0 || status != 0);
  MUST(iu__http_reason(status == 0 ? 200 : status)[0] != '\0');
  if (status == 0) check_taken(text, whole, &head);
  free(text);
  return 0;
}
