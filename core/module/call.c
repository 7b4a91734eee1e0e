/* call.c: refusals of a call: "CODE: message", built in the instance's message buffer so that no memory is needed to say "no memory". */
#include "internal.h"

#include <stdarg.h>

#include "../base/text.h"

static void add(nerv_call *c, const void *bytes, size_t n) {
  size_t left = NERV_MESSAGE_MAX - c->message_len;
  if (n > left) {
    n = left;
    while (n > 0 && (((const uint8_t *)bytes)[n] & 0xC0) == 0x80) n--;
  }
  memcpy(c->self->message + c->message_len, bytes, n);
  c->message_len += (uint32_t)n;
}

static void add_text(nerv_call *c, const char *s) { add(c, s, strlen(s)); }

static void add_u64(nerv_call *c, uint64_t v) {
  char digits[IU_I64_TEXT_MAX + 1];
  add(c, digits, iu__u64_format(v, digits));
}

static void add_i64(nerv_call *c, int64_t v) {
  char digits[IU_I64_TEXT_MAX + 1];
  add(c, digits, iu__i64_format(v, digits));
}

/* The valid part of a text, cut at a character, with what would spoil a line of a log escaped. */
static void add_quoted(nerv_call *c, const nerv_slice *s) {
  static const char digit[] = "0123456789abcdef";
  size_t n = s->n < NERV_QUOTE_MAX ? s->n : NERV_QUOTE_MAX, i = 0;
  if (n < s->n) {
    while (n > 0 && (s->p[n] & 0xC0) == 0x80) n--;
  }
  add_text(c, "\"");
  while (i < n) {
    size_t good = iu__utf8_check((const char *)s->p + i, n - i);
    for (size_t end = i + good; i < end; i++) {
      if (s->p[i] == '"' || s->p[i] == '\\') add_text(c, "\\");
      if (s->p[i] < 0x20 || s->p[i] == 0x7F) break;
      add(c, s->p + i, 1);
    }
    if (i < n && (good == 0 || s->p[i] < 0x20 || s->p[i] == 0x7F)) {
      char hex[4] = {'\\', 'x', digit[s->p[i] >> 4], digit[s->p[i] & 15]};
      add(c, hex, sizeof hex);
      i++;
    }
  }
  add_text(c, n < s->n ? "...\"" : "\"");
}

static void add_identity(nerv_call *c, const uint8_t *bytes) {
  char hex[64];
  iu__nerv_hex(bytes, 32, hex);
  add(c, hex, sizeof hex);
}

static void add_element(nerv_call *c, const char *list, uint32_t at, const char *after) {
  add_text(c, list);
  add_text(c, "[");
  add_u64(c, at);
  add_text(c, "]");
  add_text(c, after);
}

/* Inside transact the operation, and the element of a list. */
static void add_place(nerv_call *c) {
  if (c->operation != NULL) {
    add_element(c, "operations", c->operation_at, " ");
    add_text(c, c->operation);
    add_text(c, ": ");
  }
  if (c->list != NULL) add_element(c, c->list, c->list_at, ": ");
}

bool iu__nerv_refuse(nerv_call *c, const char *code, const char *format, ...) {
  va_list arguments;
  if (c->refused) return false;
  c->refused = true;
  c->message_len = 0;
  add_text(c, code);
  add_text(c, ": ");
  add_place(c);
  va_start(arguments, format);
  for (const char *p = format; *p != '\0'; p++) {
    const char *run = p;
    while (*p != '\0' && *p != '%') p++;
    add(c, run, (size_t)(p - run));
    if (*p == '\0') break;
    switch (*++p) {
      case 's': add_text(c, va_arg(arguments, const char *)); break;
      case 'q': add_quoted(c, va_arg(arguments, const nerv_slice *)); break;
      case 'u': add_u64(c, va_arg(arguments, uint64_t)); break;
      case 'd': add_i64(c, va_arg(arguments, int64_t)); break;
      default: add_identity(c, va_arg(arguments, const uint8_t *)); break; /* %h */
    }
  }
  va_end(arguments);
  return false;
}

bool iu__nerv_no_memory(nerv_call *c) { return iu__nerv_refuse(c, "NO_MEMORY", "out of memory"); }

bool iu__nerv_bad_arguments(nerv_call *c) {
  return iu__nerv_refuse(c, "VALIDATION", "arguments: the bytes are not a value of the parameter type");
}
