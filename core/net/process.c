/* process.c: child processes with libuv's uv_spawn.
 *
 * One block holds the process handle, up to two pipes and a timer; it is freed when the last of them that was made has been closed, which is
 * after the owner released it, or before: an owner that has not released yet keeps the block (`owned`), its handles closed or not.
 *
 * The end is told once the exit came and the output ended. A grandchild may keep the output's pipe open for ever, so a timer bounds that wait.
 */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../base/alloc.h"
#include "loop_internal.h"

#define READ_BYTES 16384u

struct iu_process {
  iu_loop *loop;
  uv_process_t process;
  uv_pipe_t input, output;
  uv_timer_t drain;
  bool owned, exited, told, has_output;
  uint32_t handles;
  int64_t status;
  int signal;
  void *ud;
  void (*on_output)(void *ud, iu_process *p, const uint8_t *bytes, size_t len);
  void (*on_exit)(void *ud, iu_process *p, int64_t status, int signal);
  char bytes[READ_BYTES];
};

static void on_closed(uv_handle_t *h) {
  iu_process *p = h->data;
  iu_loop *loop = p->loop;
  if (--p->handles == 0 && !p->owned) iu__free(p);
  iu__loop_unhold(loop);
}

static void handle_made(iu_process *p, uv_handle_t *h) {
  h->data = p;
  p->handles++;
  iu__loop_hold(p->loop);
}

static void shut(uv_handle_t *h) {
  if (h->data != NULL && !uv_is_closing(h)) uv_close(h, on_closed);
}

static void shut_all(iu_process *p) {
  shut((uv_handle_t *)&p->process);
  shut((uv_handle_t *)&p->input);
  shut((uv_handle_t *)&p->output);
  shut((uv_handle_t *)&p->drain);
}

static void tell_end(iu_process *p) {
  if (!p->exited || p->told || !p->owned) return;
  p->told = true;
  shut_all(p);
  if (p->on_exit != NULL) p->on_exit(p->ud, p, p->status, p->signal);
}

static void on_drained(uv_timer_t *t) { tell_end(t->data); }

static void on_exit(uv_process_t *process, int64_t status, int signal) {
  iu_process *p = process->data;
  p->exited = true;
  p->status = status;
  p->signal = signal;
  if (p->has_output) uv_timer_start(&p->drain, on_drained, IU_PROCESS_DRAIN_MS, 0);
  else tell_end(p);
}

static void on_room(uv_handle_t *h, size_t suggested, uv_buf_t *buf) {
  iu_process *p = h->data;
  (void)suggested;
  *buf = uv_buf_init(p->bytes, sizeof p->bytes);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  iu_process *p = stream->data;
  if (n > 0) {
    if (p->on_output != NULL && p->owned) p->on_output(p->ud, p, (const uint8_t *)buf->base, (size_t)n);
    return;
  }
  if (n == 0) return;
  p->has_output = false; /* its end, or unreadable: nothing more comes either way */
  shut((uv_handle_t *)&p->output);
  tell_end(p);
}

static iu_status failed(iu_process *p, iu_error *err, const char *what, const char *name, int rc) {
  iu__process_release(p);
  return iu__fail(err, IU_E_PERSISTENCE, "%s %s: %s", what, name, uv_strerror(rc));
}

/* One pipe for both, so that what the child says stays in order. *end: the child's. */
static int make_output_pipe(iu_process *p, uv_loop_t *uv, int *end) {
  int ends[2], rc = uv_pipe(ends, UV_NONBLOCK_PIPE, 0);
  if (rc != 0) return rc;
  rc = uv_pipe_init(uv, &p->output, 0);
  if (rc == 0) {
    handle_made(p, (uv_handle_t *)&p->output);
    rc = uv_pipe_open(&p->output, ends[0]);
  }
  if (rc != 0) {
    close(ends[0]);
    close(ends[1]);
    return rc;
  }
  p->has_output = true;
  *end = ends[1];
  return 0;
}

static int make_input_pipe(iu_process *p, uv_loop_t *uv, uv_stdio_container_t *stdio) {
  int rc = uv_pipe_init(uv, &p->input, 0);
  if (rc != 0) return rc;
  handle_made(p, (uv_handle_t *)&p->input);
  stdio->flags = UV_CREATE_PIPE | UV_READABLE_PIPE;
  stdio->data.stream = (uv_stream_t *)&p->input;
  return 0;
}

iu_status iu__process_start(iu_loop *loop, const iu_process_config *config, iu_process **out, iu_error *err) {
  iu_process *p = iu__alloc_zero(1, sizeof *p);
  uv_loop_t *uv = iu__loop_uv(loop);
  uv_stdio_container_t stdio[3] = {{.flags = UV_IGNORE}, {.flags = UV_IGNORE}, {.flags = UV_IGNORE}};
  uv_process_options_t options = {.exit_cb = on_exit, .stdio = stdio, .stdio_count = 3, .file = config->args[0], .cwd = config->cwd};
  int rc, file = -1;
  *out = NULL;
  if (p == NULL) return iu__fail_nomem(err);
  p->loop = loop;
  p->owned = true;
  p->ud = config->ud;
  p->on_output = config->on_output;
  p->on_exit = config->on_exit;
  options.args = (char **)(uintptr_t)config->args; /* libuv only reads them */
  options.env = (char **)(uintptr_t)config->env;
  if (config->own_session) options.flags |= UV_PROCESS_DETACHED;
  rc = uv_timer_init(uv, &p->drain);
  if (rc == 0) handle_made(p, (uv_handle_t *)&p->drain);
  if (rc == 0 && config->input) rc = make_input_pipe(p, uv, &stdio[0]);
  if (rc == 0 && config->output_file != NULL) {
    file = open(config->output_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0) return failed(p, err, "output file", config->output_file, uv_translate_sys_error(errno));
  } else if (rc == 0 && config->on_output != NULL) {
    rc = make_output_pipe(p, uv, &file);
  }
  if (rc != 0) return failed(p, err, "program", config->args[0], rc);
  if (file >= 0) {
    stdio[1].flags = stdio[2].flags = UV_INHERIT_FD;
    stdio[1].data.fd = stdio[2].data.fd = file;
  }
  rc = uv_spawn(uv, &p->process, &options);
  handle_made(p, (uv_handle_t *)&p->process); /* also after a failure: libuv has made the handle */
  if (file >= 0) close(file);
  if (rc == 0 && p->has_output) rc = uv_read_start((uv_stream_t *)&p->output, on_room, on_read);
  if (rc != 0) return failed(p, err, config->cwd != NULL ? "program (or its folder)" : "program", config->args[0], rc);
  *out = p;
  return IU_OK;
}

int iu__process_pid(const iu_process *p) { return p->process.pid; }

iu_status iu__process_signal(iu_process *p, int signal, iu_error *err) {
  int rc;
  if (p->exited) return IU_OK; /* its number may be another's by now */
  rc = uv_process_kill(&p->process, signal);
  if (rc == 0 || rc == UV_ESRCH) return IU_OK;
  return iu__fail(err, IU_E_VALIDATION, "signal %d to process %d: %s", signal, p->process.pid, uv_strerror(rc));
}

void iu__process_close_input(iu_process *p) {
  shut((uv_handle_t *)&p->input);
}

void iu__process_release(iu_process *p) {
  if (p == NULL) return;
  p->owned = false;
  if (p->handles == 0) iu__free(p);
  else shut_all(p);
}

iu_status iu__process_kill(int pid, int signal, bool *exists, iu_error *err) {
  int rc;
  *exists = false;
  if (pid <= 0) return iu__fail(err, IU_E_VALIDATION, "pid: a process's number (1 or more) expected, got %d", pid);
  rc = uv_kill(pid, signal);
  if (rc == 0 || rc == UV_EPERM) *exists = true;
  if (rc == 0 || rc == UV_ESRCH) return IU_OK;
  if (rc == UV_EPERM) return iu__fail(err, IU_E_AUTHORIZATION, "process %d: %s", pid, uv_strerror(rc));
  return iu__fail(err, IU_E_VALIDATION, "signal %d to process %d: %s", signal, pid, uv_strerror(rc));
}
