/* host_fixture.h: tests of the public C API, each in the three worlds: memory:, a file, and the peer as a server. They use the public header as a host
 * does; what else is included here only starts the server.
 */
#ifndef HOST_FIXTURE_H
#define HOST_FIXTURE_H

#include "peer_fixture.h"

typedef enum world_kind { IN_MEMORY, IN_FILE, ON_SERVER, WORLD_COUNT } world_kind;

typedef struct world {
  world_kind kind;
  char target[512], file[300];
  iu_runtime *rt;
  iu_universe *u;
  iu_error err;
  /* what was heard, in order: "+ada" "*ada" "-ada" rows (own ones with "." behind, those of a subscription with ","), "a" applied, "e" ended, "f"
   * failed, "=" a good end, "!CODE" a bad one, "X" closed by itself, "c" connected */
  char heard[4000];
  int ends;
} world;

static served server; /* one for the whole program, started when it is needed first */
static world now;

#define ROBOT_QUERY "SELECT * FROM entity WHERE entity_type = 'Robot'"

static inline void good(iu_status status, const char *what) {
  if (status != IU_OK) fail_msg("%s: %s: %s", what, iu_status_kind(status), now.err.message);
}
#define GOOD(call) good((call), #call)

/* Failed with this status, and these words are in the message. */
static inline void bad(iu_status status, iu_status expected, const char *words, const char *what) {
  if (status != expected) fail_msg("%s: status %d (%s), expected %d", what, status, status == IU_OK ? "fine" : now.err.message, expected);
  if (now.err.status != expected) fail_msg("%s: the detail has status %d", what, now.err.status);
  if (strstr(now.err.message, words) == NULL) fail_msg("%s: \"%s\" does not say \"%s\"", what, now.err.message, words);
}
#define BAD(call, expected, words) bad((call), (expected), (words), #call)

static inline void hear(const char *text) { strncat(now.heard, text, sizeof now.heard - strlen(now.heard) - 1); }

static inline void heard(const char *expected) {
  if (strcmp(now.heard, expected) != 0) fail_msg("heard \"%s\", expected \"%s\"", now.heard, expected);
  now.heard[0] = '\0';
}

static inline void hear_state(void *ud, iu_universe *u, const iu_conn_state *state) {
  assert_ptr_equal(ud, &now);
  assert_non_null(u);
  if (state->phase == IU_PHASE_CONNECTED) hear("c");
}

static inline void hear_closed(void *ud, iu_universe *u, const iu_error *why) {
  assert_ptr_equal(ud, &now);
  assert_true(iu_is_closed(u));
  assert_int_not_equal(why->status, IU_OK);
  hear("X");
}

static inline iu_options options_of(void) {
  iu_options o = iu_options_default();
  o.ud = &now;
  o.on_closed = hear_closed;
  return o;
}

static inline void id_of(const iu_value *row, char out[64]) {
  iu_value id;
  GOOD(iu_value_field(row, "id", &id, &now.err));
  GOOD(iu_value_text(&id, out, 64, NULL, &now.err));
}

static inline void hear_row(void *ud, iu_universe *u, const iu_value *old_row, const iu_value *new_row, const iu_event *event) {
  char id[64], text[80];
  (void)ud;
  (void)u;
  id_of(new_row != NULL ? new_row : old_row, id);
  snprintf(text, sizeof text, "%s%s%s", old_row == NULL ? "+" : new_row == NULL ? "-" : "*", id,
           iu_event_is_subscription(event) ? "," : iu_event_is_own(event) ? "." : "");
  hear(text);
}

static inline void hear_sub(void *ud, iu_universe *u, uint64_t subscription, iu_sub_event what, const iu_error *err) {
  (void)ud;
  (void)u;
  assert_int_not_equal(subscription, 0);
  assert_true((err != NULL) == (what == IU_SUB_FAILED));
  hear(what == IU_SUB_APPLIED ? "a" : what == IU_SUB_ENDED ? "e" : "f");
}

static inline void hear_end(void *ud, iu_universe *u, const iu_error *err, iu_cursor *rows) {
  assert_ptr_equal(ud, &now);
  assert_non_null(u);
  iu_cursor_free(rows);
  now.ends++;
  if (err != NULL) {
    hear("!");
    hear(iu_status_code(err->status));
  } else {
    hear("=");
  }
}

/* Turns the loop until the count is reached. */
static inline void turn_for(const int *count, int wanted) {
  uint64_t end = iu__clock_mono_ns() + (uint64_t)PATIENCE_MS * 1000000;
  while (*count < wanted) {
    if (iu__clock_mono_ns() > end) fail_msg("nothing happened in time; heard \"%s\"", now.heard);
    GOOD(iu_wait(now.rt, 50, NULL, &now.err));
  }
}

static inline void turn_until_heard(const char *expected) {
  uint64_t end = iu__clock_mono_ns() + (uint64_t)PATIENCE_MS * 1000000;
  while (strcmp(now.heard, expected) != 0) {
    if (iu__clock_mono_ns() > end) fail_msg("heard \"%s\", expected \"%s\"", now.heard, expected);
    GOOD(iu_wait(now.rt, 20, NULL, &now.err));
  }
  now.heard[0] = '\0';
}

static inline void create(iu_universe *u, const char *id) {
  const iu_arg metadata[] = {iu_arg_text(id), iu_arg_none(), iu_arg_list(NULL, 0), iu_arg_text("{}")};
  const iu_arg args[] = {iu_arg_text("Robot"), iu_arg_list(metadata, 4), iu_arg_text(id)};
  GOOD(iu_call(u, "create_entity", args, 3, 0, &now.err));
}

static inline void subscribe_robots(iu_universe *u) {
  static const char *const queries[] = {ROBOT_QUERY};
  GOOD(iu_on_row(u, "entity", IU_ON_ALL, hear_row, &now, NULL, &now.err));
  GOOD(iu_subscribe(u, queries, 1, 0, hear_sub, &now, NULL, &now.err));
}

static inline iu_universe *open_more(const iu_options *options) {
  iu_universe *u;
  GOOD(iu_open(now.rt, now.target, options, &u, &now.err));
  return u;
}

/* ---- a world for each test ---- */

static inline void world_target(world_kind kind) {
  static int number;
  now.kind = kind;
  strcpy(now.target, "memory:");
  if (kind == IN_FILE) {
    const char *folder = getenv("TMPDIR");
    snprintf(now.file, sizeof now.file, "%s/host_%d_%d.universe", folder != NULL ? folder : "/tmp", (int)getpid(), ++number);
    snprintf(now.target, sizeof now.target, "file:%s", now.file);
  }
  if (kind == ON_SERVER) {
    char name[64];
    if (server.pid == 0) served_start(&server, NULL);
    snprintf(name, sizeof name, "host-%d", ++number);
    server.token[0] = '\0';
    publish(&server, name);
    snprintf(now.target, sizeof now.target, "ws://127.0.0.1:%d/%s", server.port, name);
  }
}

static inline int world_open(void **state) {
  world_kind kind = *state != NULL ? *(world_kind *)*state : IN_MEMORY;
  iu_options o = options_of();
  memset(&now, 0, sizeof now);
  world_target(kind);
  GOOD(iu_runtime_new(NULL, &now.rt, &now.err));
  now.u = open_more(&o);
  return 0;
}

static inline int world_close(void **state) {
  (void)state;
  GOOD(iu_close(now.u, &now.err));
  iu_free(now.u);
  GOOD(iu_runtime_free(now.rt, &now.err)); /* nothing may be left */
  if (now.kind == IN_FILE) {
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
      char path[400];
      snprintf(path, sizeof path, "%s%s", now.file, ends[i]);
      unlink(path);
    }
  }
  return 0;
}

static inline int server_end(void **state) {
  (void)state;
  served_stop(&server);
  return 0;
}

static world_kind world_kinds[WORLD_COUNT] = {IN_MEMORY, IN_FILE, ON_SERVER};
/* The same test in each world. */
#define IN_EVERY_WORLD(f)                                                                               \
  {#f " in memory", f, world_open, world_close, &world_kinds[IN_MEMORY]}, {#f " in a file", f, world_open, world_close, &world_kinds[IN_FILE]}, \
      {#f " on a server", f, world_open, world_close, &world_kinds[ON_SERVER]}

#endif
