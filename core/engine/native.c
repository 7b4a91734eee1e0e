/* native.c: a module of core/module's ABI, NERV's own among them, as a hosted one: an instance, and the host that it imports from (host_abi.c). */
#include "internal.h"

#include "../base/alloc.h"

static iu_status native_define(void *ud, iu_buf *out, iu_error *err) {
  iu_host *h = ud;
  h->module->describe(h->instance, 1);
  iu__buf_put(out, h->sink.data, h->sink.len);
  iu_status status = iu__buf_status(&h->sink, err, "module definition");
  if (status == IU_OK && h->sink.len == 0) status = iu__fail_nomem(err); /* that is how it says so */
  iu__buf_free(&h->sink);
  return status == IU_OK ? iu__buf_status(out, err, "module definition") : status;
}

static iu_status refusal(iu_host *h, const char *reducer, int32_t rc, iu_error *err) {
  if (h->failure.status != IU_OK) {
    *err = h->failure;
    return err->status;
  }
  if (rc != IU_ABI_HOST_CALL_FAILURE) return iu__fail(err, IU_E_PERSISTENCE, "%s: the module failed (return code %d)", reducer, (int)rc);
  iu__error_from_reducer(err, (const char *)h->sink.data, h->sink.len);
  return err->status;
}

static iu_status native_run(void *ud, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  iu_host *h = ud;
  const uint8_t *id = call->sender, *conn = call->connection_id;
  uint32_t table;
  int32_t rc;
  if (iu__import_concerns(h->engine, h, call, &table)) return iu__import_run(tx, table, call, err);
  if (h->running) return iu__fail(err, IU_E_CONFLICT, "%s: its module is running already", call->def->name);
  h->running = true;
  h->args = call->args.p;
  h->args_len = call->args.len;
  h->args_at = 0;
  h->args_open = call->args.len > 0;
  iu__buf_reset(&h->sink);
  iu__error_clear(&h->failure);
  rc = h->module->call_reducer(h->instance, call->reducer, iu__load_u64(id), iu__load_u64(id + 8), iu__load_u64(id + 16), iu__load_u64(id + 24),
                               iu__load_u64(conn), iu__load_u64(conn + 8), (uint64_t)call->timestamp, call->args.len > 0 ? 1 : 0, 1);
  iu__host_end_call(h);
  h->running = false;
  return rc == IU_ABI_OK && h->failure.status == IU_OK ? IU_OK : refusal(h, call->def->name, rc, err);
}

static void native_release(void *ud) {
  iu_host *h = ud;
  if (h->instance != NULL) h->module->destroy(h->instance);
  iu__host_end_call(h);
  iu__free(h->iters);
  iu__buf_free(&h->sink);
  iu__free(h);
}

iu_status iu__native_module(iu_engine *e, const iu_abi_module *module, iu_hosted_module *out, iu_error *err) {
  iu_host *h = iu__alloc_zero(1, sizeof *h);
  if (h == NULL) return iu__fail_nomem(err);
  h->engine = e;
  h->module = module;
  h->instance = module->instantiate(h);
  if (h->instance == NULL) {
    native_release(h);
    return iu__fail_nomem(err);
  }
  *out = (iu_hosted_module){.name = module->name, .ud = h, .define = native_define, .run = native_run, .release = native_release};
  return IU_OK;
}
