/* main.c: a program that behaves on the wire like a SpacetimeDB server, for tests of clients (README.md).
 *
 *   peer [--as 1.2.0|2.8.3] [--newest v1|v2|v3] [--port N] [--seed N] [--ping-ms N] [--idle-ms N]
 *
 * Prints `port N` when it listens; ends when its standard input ends, or on SIGTERM or SIGINT.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "server.h"

static void stop(const char *why) {
  fprintf(stderr, "peer: %s\n", why);
  exit(2);
}

static void read_arguments(peer_server *s, int argc, char **argv) {
  for (int i = 1; i < argc; i += 2) {
    const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
    if (value == NULL) stop("an argument has no value");
    if (strcmp(name, "--as") == 0 && strcmp(value, "1.2.0") == 0) s->as = PEER_1_2_0;
    else if (strcmp(name, "--as") == 0 && strcmp(value, "2.8.3") == 0) s->as = PEER_2_8_3;
    else if (strcmp(name, "--newest") == 0 && value[0] == 'v' && value[1] >= '1' && value[1] <= '3' && value[2] == '\0') {
      s->newest = value[1] == '1' ? IU_P_V1 : value[1] == '2' ? IU_P_V2 : IU_P_V3;
    } else if (strcmp(name, "--port") == 0) s->port = atoi(value);
    else if (strcmp(name, "--seed") == 0) s->random = strtoull(value, NULL, 10) * 2 + 1;
    else if (strcmp(name, "--ping-ms") == 0) s->ping_ms = (uint32_t)atoi(value);
    else if (strcmp(name, "--idle-ms") == 0) s->idle_ms = (uint32_t)atoi(value);
    else stop("unknown argument, or no such value of it");
  }
  if (s->ping_ms == 0) s->ping_ms = s->as == PEER_1_2_0 ? 60000 : 15000;
  if (s->as == PEER_1_2_0) {
    s->fault.fragment = 0;
    s->newest = IU_P_V1;
  }
}

/* ---- the end ---- */

typedef struct ending { peer_server *server; uv_pipe_t input; uv_signal_t term, interrupt; bool over; } ending;

static void end(ending *e) {
  if (e->over) return;
  e->over = true;
  uv_close((uv_handle_t *)&e->input, NULL);
  uv_close((uv_handle_t *)&e->term, NULL);
  uv_close((uv_handle_t *)&e->interrupt, NULL);
  while (e->server->databases != NULL) peer__database_close(e->server->databases);
  peer__close_all(e->server);
  iu__loop_free(e->server->loop);
}

static void on_signal(uv_signal_t *h, int number) {
  (void)number;
  end(h->data);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf) {
  static char room[256];
  (void)h;
  (void)suggested;
  *buf = uv_buf_init(room, sizeof room);
}

static void on_input(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  (void)buf;
  if (n < 0) end(stream->data);
}

static void watch_for_the_end(peer_server *s, ending *e) {
  e->server = s;
  uv_pipe_init(&s->uv, &e->input, 0);
  uv_signal_init(&s->uv, &e->term);
  uv_signal_init(&s->uv, &e->interrupt);
  e->input.data = e->term.data = e->interrupt.data = e;
  uv_signal_start(&e->term, on_signal, SIGTERM);
  uv_signal_start(&e->interrupt, on_signal, SIGINT);
  if (uv_pipe_open(&e->input, 0) == 0) uv_read_start((uv_stream_t *)&e->input, on_alloc, on_input);
}

int main(int argc, char **argv) {
  static peer_server server;
  static ending e;
  iu_error err;
  server.as = PEER_2_8_3;
  server.newest = IU_P_V3;
  server.idle_ms = 30000;
  server.random = 1;
  peer__fault_init(&server.fault);
  read_arguments(&server, argc, argv);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  signal(SIGPIPE, SIG_IGN);
  if (uv_loop_init(&server.uv) != 0 || iu__loop_new(&server.uv, &server.loop, &err) != IU_OK) stop("no event loop");
  uv_timer_init(&server.uv, &server.again);
  server.again.data = &server;
  watch_for_the_end(&server, &e);
  peer__listen(&server);
  printf("port %d\n", server.port);
  fflush(stdout);
  uv_run(&server.uv, UV_RUN_DEFAULT);
  return uv_loop_close(&server.uv) == 0 ? 0 : 1;
}
