/* target.c: targets read (target.h). */
#include <stdio.h>

#include "target.h"

#include <ctype.h>
#include <stdlib.h>

#include "../base/text.h"

#define SHOWN_MAX 200
#define PORT_WS 3000u
#define PORT_WSS 443u

static iu_status invalid(const char *text, size_t len, const char *why, iu_error *err) {
  char shown[SHOWN_MAX * 4 + 4];
  return iu__fail(err, IU_E_VALIDATION, "target '%s': %s", iu__printable(shown, SHOWN_MAX, text, len), why);
}

static void put_text(iu_buf *b, const char *text, size_t len) {
  iu__buf_put(b, text, len);
  iu__buf_put_u8(b, 0);
  if (!b->failed) b->len--;
}

static bool starts_with(const char *text, size_t len, const char *start) {
  size_t n = strlen(start);
  return len >= n && memcmp(text, start, n) == 0;
}

/* The length of "scheme" before "://", or 0. */
static size_t scheme_length(const char *text, size_t len) {
  size_t n = 0;
  if (len == 0 || !isalpha((unsigned char)text[0])) return 0;
  while (n < len && (isalnum((unsigned char)text[n]) || text[n] == '+' || text[n] == '-' || text[n] == '.' || text[n] == '_')) n++;
  return starts_with(text + n, len - n, "://") ? n : 0;
}

/* The length of the host in "host[:port]"; 0: there is none. */
static size_t host_length(const char *p, size_t len) {
  size_t n = 0;
  if (len > 0 && p[0] == '[') {
    for (n = 1; n < len && (isxdigit((unsigned char)p[n]) || p[n] == ':' || p[n] == '.'); n++) {}
    return n > 1 && n < len && p[n] == ']' ? n + 1 : 0;
  }
  while (n < len && p[n] != ':') n++;
  return n;
}

const char *iu__authority_parse(const char *text, size_t len, uint16_t standard, size_t *host_len, uint16_t *port) {
  static const char no_host[] = "expected a host name or address";
  size_t host = host_length(text, len), at = host + 1;
  uint32_t number = 0;
  if (host == 0 || (host < len && text[host] != ':')) return no_host;
  *host_len = host;
  *port = standard;
  if (at >= len) return NULL; /* nothing, or a colon alone */
  for (; at < len; at++) {
    if (!isdigit((unsigned char)text[at])) return no_host;
    if (number < 100000) number = number * 10 + (uint32_t)(text[at] - '0');
  }
  if (number < 1 || number > 65535) return "port out of range (1 to 65535)";
  *port = (uint16_t)number;
  return NULL;
}

static iu_status parse_server(const char *text, size_t len, size_t scheme, iu_target *out, iu_error *err) {
  const char *p = text + scheme + 3, *slash;
  size_t left = len - scheme - 3, authority, host, database = 0;
  char expected[80];
  out->kind = IU_TARGET_SERVER;
  out->tls = scheme == 3;
  snprintf(expected, sizeof expected, "expected %s://host:port/database", out->tls ? "wss" : "ws");
  slash = memchr(p, '/', left);
  authority = slash != NULL ? (size_t)(slash - p) : left;
  if (slash != NULL) {
    const char *name = slash + 1, *end = p + left;
    if (end > name && end[-1] == '/') end--;
    database = end > name ? (size_t)(end - name) : 0;
    if (memchr(name, '/', database) != NULL) return invalid(text, len, expected, err);
    put_text(&out->database, name, database);
  }
  const char *why = iu__authority_parse(p, authority, out->tls ? PORT_WSS : PORT_WS, &host, &out->port);
  if (why != NULL) return invalid(text, len, why, err);
  if (database == 0) {
    snprintf(expected, sizeof expected, "no database (expected %s://host:port/database)", out->tls ? "wss" : "ws");
    return invalid(text, len, expected, err);
  }
  put_text(&out->host, p, host);
  return IU_OK;
}

static iu_status parse(const char *text, size_t len, iu_target *out, iu_error *err) {
  size_t scheme;
  char words[160];
  if (len == 0) return invalid(text, len, "empty (memory:, a path, or ws://host:port/database expected)", err);
  if (memchr(text, 0, len) != NULL) return invalid("...", 3, "contains a zero byte", err);
  out->kind = IU_TARGET_MEMORY;
  if (starts_with(text, len, "memory:")) return len == 7 ? IU_OK : invalid(text, len, "nothing may follow memory:", err);
  out->kind = IU_TARGET_FILE;
  if (starts_with(text, len, "file:")) {
    const char *path = text + 5;
    size_t n = len - 5;
    if (starts_with(path, n, "///")) { path += 2; n -= 2; } /* file:///path */
    if (n == 0) return invalid(text, len, "no path after file:", err);
    put_text(&out->path, path, n);
    return IU_OK;
  }
  scheme = scheme_length(text, len);
  if (scheme == 0) {
    put_text(&out->path, text, len);
    return IU_OK;
  }
  char lower[16] = "";
  for (size_t i = 0; i < scheme && i + 1 < sizeof lower; i++) lower[i] = (char)tolower((unsigned char)text[i]);
  if (strcmp(lower, "ws") == 0 || strcmp(lower, "wss") == 0) return parse_server(text, len, scheme, out, err);
  snprintf(words, sizeof words, "unknown scheme '%s' (memory:, file:, ws:// or wss:// expected)", lower);
  return invalid(text, len, words, err);
}

iu_status iu__target_parse(const char *text, size_t len, iu_target *out, iu_error *err) {
  memset(out, 0, sizeof *out);
  iu_status status = parse(text, len, out, err);
  if (status == IU_OK) status = iu__buf_status(&out->path, err, "target");
  if (status == IU_OK) status = iu__buf_status(&out->host, err, "target");
  return status == IU_OK ? iu__buf_status(&out->database, err, "target") : status;
}

void iu__target_free(iu_target *t) {
  iu__buf_free(&t->path);
  iu__buf_free(&t->host);
  iu__buf_free(&t->database);
}

void iu__target_url(const iu_target *t, iu_buf *out) {
  iu__buf_printf(out, "%s://%s:%u", t->tls ? "wss" : "ws", (const char *)t->host.data, t->port);
  iu__buf_put_u8(out, 0);
}

void iu__token_file_path(const char *host, uint16_t port, const char *database, iu_buf *out) {
  const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
  size_t at;
  if (state != NULL && *state != '\0') iu__buf_printf(out, "%s/inner_universe/tokens/", state);
  else if (home != NULL && *home != '\0') iu__buf_printf(out, "%s/.local/state/inner_universe/tokens/", home);
  else return;
  at = out->len;
  iu__buf_printf(out, "%s_%u_%s", host, port, database);
  for (; !out->failed && at < out->len; at++) {
    unsigned char c = out->data[at];
    if (!isalnum(c) && c != '.' && c != '-') out->data[at] = '_';
  }
  iu__buf_put_u8(out, 0);
}
