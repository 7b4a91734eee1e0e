/* runtime.c: the loop as the host sees it, and the one gate to the host's functions (internal.h).
 *
 * With a host's own uv_loop_t the library cannot see whether that loop is running: waiting functions inside a callback of the host's own handles
 * are the host's mistake. In callbacks of the library, and in turns of iu_step and iu_wait, they are refused.
 */
#include "../base/clock.h"
#include "internal.h"

static void on_wake(void *ud) { (void)ud; }

static iu_status read_options(const iu_runtime_options *given, iu_runtime_options *out, iu_error *err) {
  *out = iu_runtime_options_default();
  if (given == NULL) return IU_OK;
  if (given->size == 0 || given->size > sizeof *out) {
    return iu__fail(err, IU_E_VALIDATION, "runtime options: size: expected 1 to %zu, got %zu (start from iu_runtime_options_default)", sizeof *out, given->size);
  }
  memcpy(out, given, given->size);
  if (out->log_level < IU_LOG_ERROR || out->log_level > IU_LOG_TRACE) {
    return iu__fail(err, IU_E_VALIDATION, "runtime options: log_level: expected 0 to %d, got %d", IU_LOG_TRACE, (int)out->log_level);
  }
  return IU_OK;
}

iu_status iu_runtime_new(const iu_runtime_options *options, iu_runtime **out, iu_error *err) {
  iu_runtime_options o;
  iu_runtime *rt;
  if (out == NULL) return iu__missing("out", err);
  *out = NULL;
  iu_status status = read_options(options, &o, err);
  if (status != IU_OK) return status;
  iu__alloc_seal();
  rt = iu__alloc_zero(1, sizeof *rt);
  if (rt == NULL) return iu__fail_nomem(err);
  rt->log = (iu_log){o.log, o.log_ud, o.log_level};
  rt->on_error = o.on_error;
  rt->on_error_ud = o.on_error_ud;
  rt->reap_job = (iu_job){.fn = iu__universe_reap, .ud = rt};
  status = iu__loop_new(o.uv_loop, &rt->loop, err);
  if (status == IU_OK) status = iu__wake_new(rt->loop, on_wake, rt, &rt->wake, err);
  if (status != IU_OK) {
    iu__loop_free(rt->loop);
    iu__free(rt);
    return status;
  }
  *out = rt;
  return IU_OK;
}

iu_status iu_runtime_free(iu_runtime *rt, iu_error *err) {
  if (rt == NULL) return IU_OK;
  if (rt->gates > 0 || iu__loop_turning(rt->loop)) return iu__fail(err, IU_E_CONFLICT, "runtime: it is running: it cannot be freed inside a callback");
  iu__universe_reap(rt);
  if (rt->universes > 0) {
    return iu__fail(err, IU_E_CONFLICT, "runtime: %u universes (or cursors of them) are not freed yet", rt->universes);
  }
  iu__job_cancel(rt->loop, &rt->reap_job);
  iu__wake_close(rt->wake);
  iu__loop_free(rt->loop);
  iu__free(rt);
  return IU_OK;
}

/* ---- turns ---- */

iu_status iu__may_wait(const iu_runtime *rt, const char *what, const char *instead, iu_error *err) {
  if (rt->gates == 0 && !iu__loop_turning(rt->loop)) return IU_OK;
  return iu__fail(err, IU_E_VALIDATION, "%s waits, which is not possible inside a callback%s%s", what, instead != NULL ? "; there is " : "",
                  instead != NULL ? instead : "");
}

static void set_budget(iu_runtime *rt, uint64_t budget_us) {
  iu__loop_set_frames(rt->loop, budget_us != 0);
  uint64_t now = iu__clock_mono_ns();
  iu__loop_set_deadline(rt->loop, budget_us == 0 || budget_us > (UINT64_MAX - now) / 1000 ? 0 : now + budget_us * 1000);
}

iu_status iu_step(iu_runtime *rt, uint64_t budget_us, bool *more, iu_error *err) {
  if (more != NULL) *more = false;
  if (rt == NULL) return iu__missing("runtime", err);
  iu_status status = iu__may_wait(rt, "iu_step", NULL, err);
  if (status != IU_OK) return status;
  set_budget(rt, budget_us);
  iu__loop_turn(rt->loop, 0);
  iu__loop_set_deadline(rt->loop, 0);
  if (more != NULL) *more = iu__loop_timeout_ms(rt->loop) == 0;
  return IU_OK;
}

iu_status iu_wait(iu_runtime *rt, int64_t timeout_ms, bool *more, iu_error *err) {
  if (more != NULL) *more = false;
  if (rt == NULL) return iu__missing("runtime", err);
  iu_status status = iu__may_wait(rt, "iu_wait", NULL, err);
  if (status != IU_OK) return status;
  bool alive = iu__loop_turn(rt->loop, timeout_ms);
  if (more != NULL) *more = alive;
  return IU_OK;
}

void iu_runtime_budget(iu_runtime *rt, uint64_t budget_us) {
  if (rt != NULL) set_budget(rt, budget_us);
}

int iu_runtime_fd(const iu_runtime *rt) { return rt != NULL ? iu__loop_fd(rt->loop) : -1; }
int iu_runtime_timeout_ms(iu_runtime *rt) { return rt != NULL ? iu__loop_timeout_ms(rt->loop) : -1; }

void iu_runtime_wake(iu_runtime *rt) {
  if (rt != NULL) iu__wake_send(rt->wake);
}

/* ---- waiting ---- */

uint64_t iu__deadline(const iu_universe *u, int64_t timeout_ms) {
  if (timeout_ms == 0) timeout_ms = u->timeout_ms;
  if (timeout_ms < 0 || (uint64_t)timeout_ms > UINT64_MAX / 4000000) return 0;
  return iu__clock_mono_ns() + (uint64_t)timeout_ms * 1000000;
}

iu_status iu__wait_for(iu_runtime *rt, iu_wait_for *w, uint64_t deadline, iu_error *err) {
  while (!w->over) {
    uint64_t now = iu__clock_mono_ns();
    if (deadline != 0 && now >= deadline) return iu__fail(err, IU_E_TIMEOUT, "there was no answer in time");
    iu__loop_turn(rt->loop, deadline == 0 ? -1 : (int64_t)((deadline - now + 999999) / 1000000));
  }
  if (w->status != IU_OK && err != NULL) *err = w->err;
  return w->status;
}

/* ---- the gate ---- */

void iu__gate_enter(iu_universe *u) {
  iu__universe_hold(u);
  u->rt->gates++;
}

void iu__gate_leave(iu_universe *u) {
  iu_runtime *rt = u->rt;
  iu__universe_drop(u); /* while the gate counts: what is freed now is released later */
  rt->gates--;
}
