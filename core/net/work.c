/* work.c: see work.h. libuv does not tell when a function on its pool has returned but by the loop, so that is noted here. */
#include "work.h"

#include "../base/alloc.h"
#include "loop_internal.h"

struct iu_work {
  uv_work_t request;
  iu_loop *loop;
  iu_loop_fn run;
  iu_work_done done;
  void *ud;
  uv_mutex_t mutex;
  uv_cond_t ended_too;
  bool ended;     /* under the mutex */
  bool cancelled; /* the owner's */
};

static void on_work(uv_work_t *request) {
  iu_work *w = request->data;
  w->run(w->ud);
  uv_mutex_lock(&w->mutex);
  w->ended = true;
  uv_cond_signal(&w->ended_too);
  uv_mutex_unlock(&w->mutex);
}

static void work_free(iu_work *w) {
  uv_cond_destroy(&w->ended_too);
  uv_mutex_destroy(&w->mutex);
  iu__free(w);
}

static void on_after(uv_work_t *request, int status) {
  iu_work *w = request->data;
  iu_loop *loop = w->loop;
  iu_work_done done = w->done;
  void *ud = w->ud;
  work_free(w);
  done(ud, status == 0);
  iu__loop_unhold(loop);
}

static iu_status made(int rc, iu_error *err) { return rc == 0 ? IU_OK : iu__fail(err, IU_E_PERSISTENCE, "worker: %s", uv_strerror(rc)); }

iu_status iu__work_start(iu_loop *loop, iu_loop_fn run, iu_work_done done, void *ud, iu_work **out, iu_error *err) {
  iu_work *w = iu__alloc_zero(1, sizeof *w);
  iu_status status;
  *out = NULL;
  if (w == NULL) return iu__fail_nomem(err);
  *w = (iu_work){.loop = loop, .run = run, .done = done, .ud = ud};
  w->request.data = w;
  status = made(uv_mutex_init(&w->mutex), err);
  if (status != IU_OK) {
    iu__free(w);
    return status;
  }
  status = made(uv_cond_init(&w->ended_too), err);
  if (status != IU_OK) {
    uv_mutex_destroy(&w->mutex);
    iu__free(w);
    return status;
  }
  status = made(uv_queue_work(iu__loop_uv(loop), &w->request, on_work, on_after), err);
  if (status != IU_OK) {
    work_free(w);
    return status;
  }
  iu__loop_hold(loop);
  *out = w;
  return IU_OK;
}

void iu__work_stop(iu_work *w) {
  if (w->cancelled) return;
  w->cancelled = uv_cancel((uv_req_t *)&w->request) == 0;
  if (w->cancelled) return;
  uv_mutex_lock(&w->mutex);
  while (!w->ended) uv_cond_wait(&w->ended_too, &w->mutex);
  uv_mutex_unlock(&w->mutex);
}
