/* signal.c: one uv_signal_t per watch. libuv sets the process's handler for the first watch of a number and the default for the last one that goes, so
 * the handler before is read first and set again after. Where two watches of one number overlap, the outer one's release comes last. */
#include "signal.h"

#include <signal.h>
#include <string.h>

#include "../base/alloc.h"
#include "loop_internal.h"

struct iu_signal {
  iu_loop *loop;
  uv_signal_t handle;
  struct sigaction before;
  int number;
  uint32_t count;
};

static void on_signal(uv_signal_t *handle, int number) {
  iu_signal *s = handle->data;
  (void)number;
  if (s->count < UINT32_MAX) s->count++;
}

static void on_closed(uv_handle_t *handle) {
  iu_signal *s = handle->data;
  iu_loop *loop = s->loop;
  iu__free(s);
  iu__loop_unhold(loop);
}

iu_status iu__signal_watch(iu_loop *loop, int number, iu_signal **out, iu_error *err) {
  iu_signal *s;
  int rc;
  *out = NULL;
  s = iu__alloc(sizeof *s);
  if (s == NULL) return iu__fail(err, IU_E_NOMEM, "signal: no memory");
  memset(s, 0, sizeof *s);
  s->loop = loop;
  s->number = number;
  if (sigaction(number, NULL, &s->before) != 0) {
    iu__free(s);
    return iu__fail(err, IU_E_VALIDATION, "signal: %d is none", number);
  }
  rc = uv_signal_init(iu__loop_uv(loop), &s->handle);
  if (rc != 0) {
    iu__free(s);
    return iu__fail(err, IU_E_PERSISTENCE, "signal %d: %s", number, uv_strerror(rc));
  }
  s->handle.data = s;
  iu__loop_hold(loop);
  uv_unref((uv_handle_t *)&s->handle);
  rc = uv_signal_start(&s->handle, on_signal, number);
  if (rc != 0) {
    uv_close((uv_handle_t *)&s->handle, on_closed);
    return iu__fail(err, IU_E_VALIDATION, "signal %d cannot be caught: %s", number, uv_strerror(rc));
  }
  *out = s;
  return IU_OK;
}

uint32_t iu__signal_count(const iu_signal *s) { return s->count; }

void iu__signal_release(iu_signal *s) {
  struct sigaction now;
  if (s == NULL) return;
  uv_signal_stop(&s->handle);
  /* Another watch of this number still counts: its handler stays. */
  if (sigaction(s->number, NULL, &now) == 0 && now.sa_handler == SIG_DFL) sigaction(s->number, &s->before, NULL);
  uv_close((uv_handle_t *)&s->handle, on_closed);
}
