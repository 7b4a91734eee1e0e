/* url.h: the parts of an absolute ws, wss, http or https URL.
 *
 * Bytes that could end a request line or a header (blanks, controls) are refused, so is user information before an '@'; a fragment is dropped. */
#ifndef IU_NET_URL_H
#define IU_NET_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/error.h"

/* Limits of the HTTP client below: it writes the request line and the Host header into fields of fixed size. */
#define IU_URL_HOST_MAX 100u
#define IU_URL_PATH_MAX 1900u

typedef struct iu__url {
  bool tls, websocket, ipv6;
  uint16_t port;
  char host[IU_URL_HOST_MAX + 1];      /* an IPv6 address without its brackets */
  char authority[IU_URL_HOST_MAX + 9]; /* what the Host header says: the port only when it is not the scheme's own */
  char path[IU_URL_PATH_MAX + 1];      /* with the query; at least "/" */
} iu__url;

/* IU_E_VALIDATION names what is wrong. */
iu_status iu__url_parse(const char *text, iu__url *out, iu_error *err);

#endif
