/* http_head.c: see http_head.h. */
#include "http_head.h"

#include <string.h>
#include <strings.h>

size_t iu__http_head_length(const char *text, size_t len) {
  for (size_t i = 3; i < len; i++)
    if (text[i] == '\n' && text[i - 1] == '\r' && text[i - 2] == '\n' && text[i - 3] == '\r') return i + 1;
  return 0;
}

static bool is_token(unsigned char c) {
  return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static const char *skip_token(const char *p, const char *end) {
  while (p < end && is_token((unsigned char)*p)) p++;
  return p;
}

static bool names(const char *p, size_t len, const char *name) {
  return strlen(name) == len && strncasecmp(p, name, len) == 0;
}

/* `name: value`; what frames a body must say that there is none. 0 or a status. */
static int check_field(const char *p, const char *end) {
  const char *colon = skip_token(p, end), *value;
  if (colon == p || colon == end || *colon != ':') return 400;
  for (value = colon + 1; value < end; value++)
    if ((unsigned char)*value < ' ' && *value != '\t') return 400;
  value = colon + 1;
  while (value < end && (*value == ' ' || *value == '\t')) value++;
  while (end > value && (end[-1] == ' ' || end[-1] == '\t')) end--;
  if (names(p, (size_t)(colon - p), "transfer-encoding")) return 413;
  if (names(p, (size_t)(colon - p), "content-length") && !(end - value == 1 && *value == '0')) return 413;
  return 0;
}

/* METHOD SP target SP HTTP/1.x */
static int parse_line(const char *p, const char *end, iu_http_head *out) {
  const char *method = p, *version;
  p = skip_token(p, end);
  size_t method_len = (size_t)(p - method);
  if (method_len == 0 || p == end || *p != ' ') return 400;
  out->path = ++p;
  while (p < end && (unsigned char)*p > ' ' && (unsigned char)*p < 127) p++;
  out->path_len = (size_t)(p - out->path);
  if (out->path_len == 0 || out->path[0] != '/' || p == end || *p != ' ') return 400;
  version = p + 1;
  if (end - version != 8 || memcmp(version, "HTTP/", 5) != 0 || version[6] != '.') return 400;
  if (version[5] != '1') return 505;
  if (version[7] != '0' && version[7] != '1') return 400;
  out->is_head = method_len == 4 && memcmp(method, "HEAD", 4) == 0;
  return out->is_head || (method_len == 3 && memcmp(method, "GET", 3) == 0) ? 0 : 405;
}

int iu__http_head_parse(const char *text, size_t len, iu_http_head *out) {
  const char *end = text + len, *p = text;
  int status = 0;
  bool first = true;
  while (p < end) {
    const char *line = p, *cr = memchr(p, '\r', (size_t)(end - p));
    if (cr == NULL || cr + 1 == end || cr[1] != '\n') return 400;
    p = cr + 2;
    if (!first && cr == line) return p == end ? 0 : 400;
    status = first ? parse_line(line, cr, out) : check_field(line, cr);
    if (status != 0) return status;
    first = false;
  }
  return 400;
}

const char *iu__http_reason(int status) {
  static const struct { int status; const char *reason; } known[] = {
      {200, "OK"}, {400, "Bad Request"}, {404, "Not Found"}, {405, "Method Not Allowed"}, {408, "Request Timeout"}, {413, "Content Too Large"},
      {431, "Request Header Fields Too Large"}, {500, "Internal Server Error"}, {503, "Service Unavailable"}, {505, "HTTP Version Not Supported"}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (known[i].status == status) return known[i].reason;
  return "Status";
}
