/* url.c: see url.h. */
#include "url.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

typedef struct scheme { const char *prefix; bool tls, websocket; uint16_t port; } scheme;
static const scheme schemes[] = {
  {"ws://", false, true, 80}, {"wss://", true, true, 443}, {"http://", false, false, 80}, {"https://", true, false, 443},
};

static bool printable(const char *text) {
  for (; *text != '\0'; text++) {
    if ((unsigned char)*text <= ' ' || (unsigned char)*text >= 0x7f) return false;
  }
  return true;
}

/* "" is the scheme's port. */
static bool parse_port(const char *text, size_t len, uint16_t *port) {
  uint32_t value = 0;
  if (len == 0) return true;
  if (len > 5) return false;
  for (size_t i = 0; i < len; i++) {
    if (text[i] < '0' || text[i] > '9') return false;
    value = value * 10 + (uint32_t)(text[i] - '0');
  }
  if (value == 0 || value > UINT16_MAX) return false;
  *port = (uint16_t)value;
  return true;
}

static iu_status parse_authority(const char *text, size_t len, uint16_t own_port, iu__url *out, iu_error *err) {
  const char *host = text, *end = text + len, *host_end, *port = end;
  if (memchr(text, '@', len) != NULL) return iu__fail(err, IU_E_VALIDATION, "url: user information is not supported");
  if (len != 0 && *text == '[') {
    host_end = memchr(text, ']', len);
    if (host_end == NULL) return iu__fail(err, IU_E_VALIDATION, "url: ']' is missing after an IPv6 address");
    host++;
    out->ipv6 = true;
    port = host_end + 1;
    if (port != end && *port != ':') return iu__fail(err, IU_E_VALIDATION, "url: unexpected text after the host");
  } else {
    host_end = memchr(text, ':', len);
    if (host_end == NULL) host_end = end;
    port = host_end;
  }
  if (host_end == host) return iu__fail(err, IU_E_VALIDATION, "url: the host is missing");
  if ((size_t)(host_end - host) > IU_URL_HOST_MAX)
    return iu__fail(err, IU_E_VALIDATION, "url: the host is longer than %u bytes", IU_URL_HOST_MAX);
  out->port = own_port;
  if (port != end && !parse_port(port + 1, (size_t)(end - port - 1), &out->port))
    return iu__fail(err, IU_E_VALIDATION, "url: the port is not a number from 1 to 65535");
  memcpy(out->host, host, (size_t)(host_end - host));
  if (out->port == own_port) snprintf(out->authority, sizeof out->authority, out->ipv6 ? "[%s]" : "%s", out->host);
  else snprintf(out->authority, sizeof out->authority, out->ipv6 ? "[%s]:%u" : "%s:%u", out->host, (unsigned)out->port);
  return IU_OK;
}

iu_status iu__url_parse(const char *text, iu__url *out, iu_error *err) {
  const scheme *s = NULL;
  const char *rest, *path;
  size_t path_len, slash;
  iu_status status;
  memset(out, 0, sizeof *out);
  for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
    if (strncasecmp(text, schemes[i].prefix, strlen(schemes[i].prefix)) == 0) s = &schemes[i];
  }
  if (s == NULL) return iu__fail(err, IU_E_VALIDATION, "url: one of ws://, wss://, http://, https:// is expected at the start");
  if (!printable(text)) return iu__fail(err, IU_E_VALIDATION, "url: blanks, control characters and non-ASCII bytes must be percent-encoded");
  out->tls = s->tls;
  out->websocket = s->websocket;
  rest = text + strlen(s->prefix);
  path = rest + strcspn(rest, "/?#");
  status = parse_authority(rest, (size_t)(path - rest), s->port, out, err);
  if (status != IU_OK) return status;
  path_len = strcspn(path, "#");
  slash = *path == '/' ? 0 : 1;
  if (path_len + slash > IU_URL_PATH_MAX) return iu__fail(err, IU_E_VALIDATION, "url: path and query are longer than %u bytes", IU_URL_PATH_MAX);
  out->path[0] = '/';
  memcpy(out->path + slash, path, path_len);
  return IU_OK;
}
