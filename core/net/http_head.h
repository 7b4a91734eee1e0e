/* http_head.h: the head of an HTTP/1.1 request, as far as a responder of GET needs it (RFC 9112): the method, the path, and that the rest is well formed.
 * Pure: nothing is allocated, the parts point into the text.
 */
#ifndef IU_NET_HTTP_HEAD_H
#define IU_NET_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>

typedef struct iu_http_head {
  bool is_head;             /* HEAD: the answer has no body */
  const char *path;         /* as it was sent, with what follows a `?` */
  size_t path_len;
} iu_http_head;

/* The bytes of the head with the empty line that ends it, or 0: not whole yet. */
size_t iu__http_head_length(const char *text, size_t len);
/* 0, or the status to refuse it with: 400 (malformed), 405 (neither GET nor HEAD), 413 (announces a body), 505. `len`: of the whole head. */
int iu__http_head_parse(const char *text, size_t len, iu_http_head *out);
const char *iu__http_reason(int status);

#endif
