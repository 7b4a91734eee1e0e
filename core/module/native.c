/* native.c: the module's native face (module.h). An instance is one block of memory and its scratch chunks. */
#ifndef __wasm__
#include "module.h"

#include "../base/alloc.h"
#include "internal.h"

static void *instantiate(struct iu_host *host) {
  nerv *self = iu__alloc_zero(1, sizeof *self);
  if (self != NULL) self->host = host;
  return self;
}

static void destroy(void *instance) {
  nerv *self = instance;
  if (self == NULL) return;
  iu__nerv_mem_free(&self->mem);
  iu__free(self);
}

/* A sink that stays empty tells the host that memory ran out. */
static void describe(void *instance, uint32_t sink) {
  nerv *self = instance;
  nerv_mark mark = iu__nerv_mem_mark(&self->mem);
  nerv_out o = iu__nerv_out(&self->mem);
  iu__nerv_describe(&o);
  if (!o.failed) iu__nerv_write_sink(self, sink, iu__nerv_written(&o));
  iu__nerv_mem_release(&self->mem, mark);
}

static int32_t call_reducer(void *instance, uint32_t id, uint64_t sender_0, uint64_t sender_1, uint64_t sender_2, uint64_t sender_3,
                            uint64_t conn_0, uint64_t conn_1, uint64_t timestamp, uint32_t args, uint32_t err) {
  const uint64_t sender[4] = {sender_0, sender_1, sender_2, sender_3}, connection[2] = {conn_0, conn_1};
  return iu__nerv_call(instance, id, sender, connection, timestamp, args, err);
}

const iu_abi_module *iu__nerv_module(void) {
  static const iu_abi_module module = {"nerv", instantiate, destroy, describe, call_reducer};
  return &module;
}
#endif
