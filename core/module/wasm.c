/* wasm.c: the module's wasm32 face: the exports that SpacetimeDB calls, scratch memory in the linear memory, and the functions that the compiler
 * expects of a C library. Only this target has a global: its one instance, which the host throws away together with the memory.
 */
#ifdef __wasm__
#include "internal.h"

#define EXPORT(name) __attribute__((export_name(name)))
#define PAGE_BYTES 65536u

extern uint8_t __heap_base; /* where the program's own data ends; from wasm-ld */

static nerv instance;

/* ---- memory: one region behind the data, grown when needed, started anew with each call ---- */

bool iu__nerv_mem_more(nerv_mem *m, size_t size) {
  size_t end, need, pages;
  if (m->base == NULL) {
    m->base = (uint8_t *)(((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15);
    m->size = __builtin_wasm_memory_size(0) * PAGE_BYTES - (uintptr_t)m->base;
  }
  if (m->size - m->used >= size) return true;
  end = (uintptr_t)m->base + m->size;
  need = size - (m->size - m->used);
  pages = (need + PAGE_BYTES - 1) / PAGE_BYTES;
  if (need > UINT32_MAX - end || __builtin_wasm_memory_grow(0, pages) == SIZE_MAX) return false;
  m->size += pages * PAGE_BYTES;
  return true;
}

void iu__nerv_mem_release(nerv_mem *m, nerv_mark mark) { m->used = mark.used; }

/* ---- what the compiler may call ---- */

void *memcpy(void *restrict to, const void *restrict from, size_t n) {
  uint8_t *t = to;
  const uint8_t *f = from;
  for (; n >= 8; n -= 8, t += 8, f += 8) {
    uint64_t word;
    __builtin_memcpy(&word, f, 8);
    __builtin_memcpy(t, &word, 8);
  }
  while (n-- > 0) *t++ = *f++;
  return to;
}

void *memmove(void *to, const void *from, size_t n) {
  uint8_t *t = to;
  const uint8_t *f = from;
  if (t < f) return memcpy(to, from, n);
  while (n-- > 0) t[n] = f[n];
  return to;
}

void *memset(void *to, int byte, size_t n) {
  volatile uint8_t *t = to; /* volatile, or the loop would be turned into a call of itself */
  while (n-- > 0) *t++ = (uint8_t)byte;
  return to;
}

int memcmp(const void *a, const void *b, size_t n) {
  const uint8_t *x = a, *y = b;
  for (; n > 0; n--, x++, y++) {
    if (*x != *y) return *x < *y ? -1 : 1;
  }
  return 0;
}

size_t strlen(const char *s) {
  const volatile char *p = s;
  while (*p != '\0') p++;
  return (size_t)(p - s);
}

/* ---- exports ---- */

EXPORT("__describe_module__") void iu__nerv_export_describe(uint32_t sink) {
  nerv_mark mark = iu__nerv_mem_mark(&instance.mem);
  nerv_out o = iu__nerv_out(&instance.mem);
  iu__nerv_describe(&o);
  if (!o.failed) iu__nerv_write_sink(&instance, sink, iu__nerv_written(&o));
  iu__nerv_mem_release(&instance.mem, mark);
}

EXPORT("__call_reducer__")
int32_t iu__nerv_export_call(uint32_t id, uint64_t sender_0, uint64_t sender_1, uint64_t sender_2, uint64_t sender_3, uint64_t conn_0,
                             uint64_t conn_1, uint64_t timestamp, uint32_t args, uint32_t err) {
  const uint64_t sender[4] = {sender_0, sender_1, sender_2, sender_3}, connection[2] = {conn_0, conn_1};
  return iu__nerv_call(&instance, id, sender, connection, timestamp, args, err);
}
#endif
