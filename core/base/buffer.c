/* buffer.c: the slow paths of buffer.h. Growth doubles, so appending n bytes costs O(n) in all. */
#include "buffer.h"

#include <stdio.h>

#include "alloc.h"

#define BUF_CAP_MIN 64

enum { BUF_NOMEM = 1, BUF_LIMIT = 2 };

void iu__buf_init(iu_buf *b, size_t limit) {
  memset(b, 0, sizeof *b);
  b->limit = limit;
}

void iu__buf_free(iu_buf *b) {
  size_t limit = b->limit;

  iu__free(b->data);
  iu__buf_init(b, limit);
}

void iu__buf_reset(iu_buf *b) {
  b->len = 0;
  b->failed = 0;
}

bool iu__buf_reserve(iu_buf *b, size_t more) {
  size_t max = b->limit != 0 ? b->limit : SIZE_MAX;
  size_t need, cap;
  uint8_t *data;

  if (b->failed) return false;
  if (b->len > max || more > max - b->len) {
    b->failed = b->limit != 0 ? BUF_LIMIT : BUF_NOMEM;
    return false;
  }
  need = b->len + more;
  if (need <= b->cap) return true;
  cap = b->cap < BUF_CAP_MIN ? BUF_CAP_MIN : b->cap;
  while (cap < need) cap = cap > SIZE_MAX / 2 ? need : cap * 2;
  if (cap > max) cap = max;
  data = iu__realloc(b->data, cap);
  if (data == NULL) {
    b->failed = BUF_NOMEM;
    return false;
  }
  b->data = data;
  b->cap = cap;
  return true;
}

iu_status iu__buf_status(const iu_buf *b, iu_error *err, const char *what) {
  if (!b->failed) return IU_OK;
  if (b->failed == BUF_NOMEM) return iu__fail(err, IU_E_NOMEM, "%s: out of memory", what);
  if (b->limit == 0) return iu__fail(err, IU_E_OVERLOADED, "%s: longer than a 32-bit length can say", what);
  return iu__fail(err, IU_E_OVERLOADED, "%s: larger than the limit of %zu bytes", what, b->limit);
}

uint8_t *iu__buf_take(iu_buf *b, size_t *len) {
  uint8_t *data = b->data;

  *len = b->len;
  if (b->failed || b->len == 0) {
    *len = 0;
    iu__free(data);
    data = NULL;
  }
  iu__buf_init(b, b->limit);
  return data;
}

void iu__buf_printf(iu_buf *b, const char *fmt, ...) {
  va_list args;
  int n;

  if (b->failed) return;
  va_start(args, fmt);
  n = vsnprintf(NULL, 0, fmt, args);
  va_end(args);
  if (n < 0) {
    b->failed = BUF_NOMEM;
    return;
  }
  /* vsnprintf terminates; the terminator must not count against the limit, so it goes to a byte of its own. */
  if (n == 0 || !iu__buf_reserve(b, (size_t)n)) return;
  if (b->cap - b->len > (size_t)n) {
    va_start(args, fmt);
    vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, args);
    va_end(args);
  } else {
    char *text = iu__alloc((size_t)n + 1);
    if (text == NULL) {
      b->failed = BUF_NOMEM;
      return;
    }
    va_start(args, fmt);
    vsnprintf(text, (size_t)n + 1, fmt, args);
    va_end(args);
    memcpy(b->data + b->len, text, (size_t)n);
    iu__free(text);
  }
  b->len += (size_t)n;
}

void iu__buf_put_bytes(iu_buf *b, const void *bytes, size_t len) {
  if (len > UINT32_MAX) {
    if (!b->failed) b->failed = BUF_LIMIT;
    return;
  }
  iu__buf_put_u32(b, (uint32_t)len);
  iu__buf_put(b, bytes, len);
}

void iu__buf_patch_u32(iu_buf *b, size_t at, uint32_t v) {
  uint8_t t[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};

  if (b->failed || b->len < 4 || at > b->len - 4) return;
  memcpy(b->data + at, t, 4);
}

bool iu__buf_shrink(iu_buf *b, size_t by) {
  uint8_t *data = b->cap > by ? iu__realloc(b->data, b->cap - by) : NULL;

  if (data == NULL) return false;
  b->data = data;
  b->cap -= by;
  if (b->len > b->cap) b->len = b->cap;
  return true;
}
