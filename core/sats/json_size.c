/* json_size.c: how long a string's JSON text is, without writing it (json.h). */
#include "json_internal.h"

size_t iu__json_string_size(const char *s, size_t len) {
  const char *p = s, *end = s + len;
  size_t size = len + 2;
  bool ascii;

  for (;; p++) {
    p = iu__json_bare(p, end, &ascii);
    if (p >= end) return size;
    size += *p == '"' || *p == '\\' || *p == '\b' || *p == '\t' || *p == '\n' || *p == '\f' || *p == '\r' ? 1 : 5;
  }
}
