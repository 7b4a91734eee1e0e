/* log.c: see log.h. A message longer than LOG_MESSAGE_MAX bytes is cut (between characters). */
#include "log.h"

#include <stdio.h>

#include "text.h"

#define LOG_MESSAGE_MAX 2048

void iu__log(const iu_log *log, iu_log_level level, const char *fmt, ...) {
  char text[LOG_MESSAGE_MAX];
  va_list args;
  int n;

  if (log == NULL || log->fn == NULL || level > log->level) return;
  va_start(args, fmt);
  n = vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  if (n < 0) return;
  if ((size_t)n >= sizeof text) {
    size_t at = sizeof text - 1, back = at > 3 ? at - 3 : 0;
    while (back < at && ((unsigned char)text[back] & 0xC0) == 0x80) back++;
    text[back + iu__utf8_check(text + back, at - back)] = '\0';
  }
  log->fn(log->ud, level, text);
}
