/* error.c: see error.h. Also the public look-ups of inner_universe.h over IU_STATUS_MAP.
 *
 * Messages are always terminated valid UTF-8 as long as the format's arguments are; a message that does not fit is cut
 * between two characters. Bytes from outside go through iu__printable first, or through iu__error_from_reducer. */
#include "error.h"

#include <stdio.h>
#include <string.h>

#include "text.h"

typedef struct status_row {
  const char *kind, *code, *text;
  int retryable;
} status_row;

static const status_row status_rows[IU_STATUS_COUNT] = {
    {"", "", "no error", 0},
#define STATUS_ROW(symbol, kind, code, retryable, text) {kind, code, text, retryable},
    IU_STATUS_MAP(STATUS_ROW)
#undef STATUS_ROW
};

static const status_row *status_find(iu_status status) {
  /* A number that is no status can only come from a damaged error: report it as the base kind. */
  if ((unsigned)status >= IU_STATUS_COUNT) return &status_rows[IU_E_PERSISTENCE];
  return &status_rows[status];
}

const char *iu_version(void) { return IU_VERSION; }
const char *iu_status_kind(iu_status status) { return status_find(status)->kind; }
const char *iu_status_code(iu_status status) { return status_find(status)->code; }
int iu_status_retryable(iu_status status) { return status_find(status)->retryable; }

/* Terminates a text of `len` wanted bytes in a field of IU_ERROR_MESSAGE_MAX, dropping a character cut in two. */
static void message_end(char *message, size_t len) {
  const size_t max = IU_ERROR_MESSAGE_MAX - 1;
  size_t at;

  if (len <= max) {
    message[len] = '\0';
    return;
  }
  at = max;
  while (at > 0 && max - at < 4 && ((unsigned char)message[at - 1] & 0xC0) == 0x80) at--;
  if (at > 0 && (unsigned char)message[at - 1] >= 0xC0) {
    size_t lead = at - 1;
    if (iu__utf8_check(message + lead, max - lead) < max - lead) {
      message[lead] = '\0';
      return;
    }
  }
  message[max] = '\0';
}

static void message_format(iu_error *err, const char *fmt, va_list args) {
  char text[IU_ERROR_MESSAGE_MAX]; /* an argument may point into err->message */
  int n = vsnprintf(text, sizeof text, fmt, args);
  size_t len = n < 0 ? 0 : (size_t)n;

  memcpy(err->message, text, len < IU_ERROR_MESSAGE_MAX ? len : IU_ERROR_MESSAGE_MAX);
  message_end(err->message, len);
}

void iu__error_clear(iu_error *err) {
  if (err == NULL) return;
  err->status = IU_OK;
  err->offset = IU_NO_OFFSET;
  err->message[0] = '\0';
}

iu_status iu_fail(iu_error *err, iu_status status, const char *fmt, ...) {
  va_list ap;
  char message[IU_ERROR_MESSAGE_MAX] = "";

  if (status <= IU_OK || status >= IU_STATUS_COUNT) status = IU_E_PERSISTENCE;
  va_start(ap, fmt);
  if (fmt != NULL) vsnprintf(message, sizeof message, fmt, ap);
  va_end(ap);
  return iu__fail(err, status, "%s", message);
}

iu_status iu__fail(iu_error *err, iu_status status, const char *fmt, ...) {
  va_list args;

  if (err == NULL) return status;
  err->status = status;
  err->offset = IU_NO_OFFSET;
  va_start(args, fmt);
  message_format(err, fmt, args);
  va_end(args);
  return status;
}

iu_status iu__fail_at(iu_error *err, iu_status status, size_t offset, const char *fmt, ...) {
  va_list args;

  if (err == NULL) return status;
  err->status = status;
  err->offset = offset;
  va_start(args, fmt);
  message_format(err, fmt, args);
  va_end(args);
  return status;
}

iu_status iu__fail_nomem(iu_error *err) {
  static const char text[] = "out of memory";

  if (err == NULL) return IU_E_NOMEM;
  err->status = IU_E_NOMEM;
  err->offset = IU_NO_OFFSET;
  memcpy(err->message, text, sizeof text);
  return IU_E_NOMEM;
}

void iu__error_prefix(iu_error *err, const char *fmt, ...) {
  char old[IU_ERROR_MESSAGE_MAX];
  va_list args;
  size_t used, len;

  if (err == NULL) return;
  memcpy(old, err->message, sizeof old);
  va_start(args, fmt);
  message_format(err, fmt, args);
  va_end(args);
  used = strlen(err->message);
  len = strlen(old);
  if (used + 2 >= IU_ERROR_MESSAGE_MAX) return;
  memcpy(err->message + used, ": ", 2);
  used += 2;
  memcpy(err->message + used, old, len < IU_ERROR_MESSAGE_MAX - used ? len : IU_ERROR_MESSAGE_MAX - used);
  message_end(err->message, used + len);
}

/* Copies text from outside into the message; bytes that are not UTF-8 become '?'. */
static void message_copy(iu_error *err, const char *text, size_t len) {
  size_t copied = len < IU_ERROR_MESSAGE_MAX ? len : IU_ERROR_MESSAGE_MAX;
  size_t i, at;

  memcpy(err->message, text, copied);
  for (i = 0; i < copied; i++)
    if (err->message[i] == '\0') err->message[i] = ' ';
  /* The character that message_end would cut off is no invalid one: check only up to the last full one. */
  message_end(err->message, len);
  copied = strlen(err->message);
  for (at = 0; (at += iu__utf8_check(err->message + at, copied - at)) < copied; at++) err->message[at] = '?';
}

void iu__error_from_reducer(iu_error *err, const char *text, size_t len) {
  int s;

  if (err == NULL) return;
  err->offset = IU_NO_OFFSET;
  for (s = 1; s < IU_STATUS_COUNT; s++) {
    const char *code = status_rows[s].code;
    size_t n = strlen(code);
    if (len <= n || memcmp(text, code, n) != 0 || text[n] != ':') continue;
    err->status = (iu_status)s;
    text += n + 1;
    len -= n + 1;
    if (len > 0 && text[0] == ' ') text++, len--;
    if (len == 0) text = status_rows[s].text, len = strlen(text);
    message_copy(err, text, len);
    return;
  }
  err->status = IU_E_PERSISTENCE;
  if (len == 0) text = status_rows[IU_E_PERSISTENCE].text, len = strlen(text);
  message_copy(err, text, len);
}

static size_t escape_byte(char *out, unsigned char c) {
  static const char digits[] = "0123456789abcdef";
  out[0] = '\\';
  out[1] = 'x';
  out[2] = digits[c >> 4];
  out[3] = digits[c & 15];
  return 4;
}

/* Bytes of the printable character at p, 0 when its first byte must be escaped. */
static size_t printable_char(const char *p, size_t left) {
  unsigned char c = (unsigned char)*p;
  size_t n;

  if (c < 0x80) return c >= 0x20 && c != 0x7F ? 1 : 0;
  n = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
  if (n > left || iu__utf8_check(p, n) != n) return 0;
  return c == 0xC2 && (unsigned char)p[1] < 0xA0 ? 0 : n; /* U+0080..U+009F are controls */
}

const char *iu__printable(char *out, size_t max, const void *bytes, size_t len) {
  const char *p = bytes;
  size_t at = 0, i = 0;

  while (i < len && i < max) {
    size_t n = printable_char(p + i, len - i);
    if (n > max - i) break; /* a whole character or none */
    if (n == 0) {
      at += escape_byte(out + at, (unsigned char)p[i++]);
      continue;
    }
    memcpy(out + at, p + i, n);
    at += n;
    i += n;
  }
  if (i < len) {
    memcpy(out + at, "...", 3);
    at += 3;
  }
  out[at] = '\0';
  return out;
}
