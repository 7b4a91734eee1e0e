/* dispatch.c: one call, from the host's numbers to a committed or refused transaction.
 *
 * Answers 0 (commit) or 1 (refused, the message in the sink). Whatever happens, scratch memory is as before.
 */
#include "internal.h"

#define ARGUMENTS_GUESS 4096u

static nerv_handler *const fixed[] = {iu__nerv_init, iu__nerv_client_connected, iu__nerv_client_disconnected, iu__nerv_transact,
                                      iu__nerv_check_permission, iu__nerv_set_client_info};
#define FIXED_COUNT (sizeof fixed / sizeof *fixed)

void iu__nerv_write_sink(nerv *self, uint32_t sink, nerv_slice bytes) {
  (void)self; /* wasm32 has no host pointer */
  while (bytes.n > 0) {
    uint32_t n = bytes.n;
    if (IU_ABI(self, bytes_sink_write, sink, bytes.p, &n) != IU_ABI_OK || n == 0) return;
    bytes.p += n;
    bytes.n -= n;
  }
}

/* The host says nowhere how long they are: the buffer doubles until they are in. */
static bool read_arguments(nerv_call *c, uint32_t source, nerv_slice *out) {
  nerv_out o = iu__nerv_out_of(c);
  int32_t rc = source == 0 ? IU_ABI_EXHAUSTED : IU_ABI_OK; /* handle 0: there are none */
  if (!iu__nerv_reserve(&o, ARGUMENTS_GUESS)) return iu__nerv_no_memory(c);
  while (rc == IU_ABI_OK) {
    uint32_t n;
    if (o.n == o.cap && !iu__nerv_reserve(&o, o.cap)) return iu__nerv_no_memory(c);
    n = (uint32_t)(o.cap - o.n);
    rc = IU_ABI(c->self, bytes_source_read, source, o.p + o.n, &n);
    if (rc != IU_ABI_OK && rc != IU_ABI_EXHAUSTED) {
      return iu__nerv_refuse(c, "PERSISTENCE", "reading the arguments failed with host error %d", (int64_t)rc);
    }
    o.n += n;
  }
  iu__nerv_trim(&c->self->mem, o.p, o.cap, o.n);
  *out = iu__nerv_written(&o);
  return true;
}

static bool run(nerv_call *c, uint32_t id, uint32_t source) {
  nerv_slice arguments = {NULL, 0};
  nerv_reader r;
  nerv_handler *handler = id < FIXED_COUNT ? fixed[id] : iu__nerv_operations[id - FIXED_COUNT];
  if (!iu__nerv_resolve(c) || !read_arguments(c, source, &arguments)) return false;
  r = iu__nerv_reader(arguments);
  if (!handler(c, &r)) return false;
  if (r.p != r.end) return iu__nerv_bad_arguments(c);
  return iu__nerv_heads_flush(c);
}

int32_t iu__nerv_call(nerv *self, uint32_t id, const uint64_t sender[4], const uint64_t connection[2], uint64_t timestamp, uint32_t args,
                      uint32_t err) {
  nerv_mark mark = iu__nerv_mem_mark(&self->mem);
  nerv_call c = {.self = self, .now = (int64_t)timestamp};
  bool ok;
  for (int i = 0; i < 4; i++) iu__nerv_store_u64(c.sender + 8 * i, sender[i]);
  for (int i = 0; i < 2; i++) iu__nerv_store_u64(c.connection + 8 * i, connection[i]);
  ok = id < iu__nerv_reducer_count ? run(&c, id, args)
                                   : iu__nerv_refuse(&c, "PERSISTENCE", "no reducer has the number %u", (uint64_t)id);
  iu__nerv_mem_release(&self->mem, mark);
  if (ok) return 0;
  iu__nerv_write_sink(self, err, (nerv_slice){(const uint8_t *)self->message, c.message_len});
  return 1;
}
