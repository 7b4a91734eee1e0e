/* engine_fixture.h: an engine over a small module of its own: table `item` (id U64 auto-increment primary key, grp U32 indexed, name String unique),
 * private table `secret` (id U64 primary key), reducer `run(note: String)` whose body each test sets: it drives the ABI from inside a reducer. */
#ifndef ENGINE_FIXTURE_H
#define ENGINE_FIXTURE_H

#include <unistd.h>

#include "sats_schema_fixture.h"
#include "scratch_fixture.h"

#include "../../core/base/errinj.h"
#include "../../core/engine/engine.h"

typedef struct fixture fixture;
typedef int32_t (*reducer_body)(fixture *f, struct iu_host *host, uint32_t args, uint32_t err);

typedef struct told { char text[128]; } told;
struct fixture {
  struct iu_host *host;
  char path[SCRATCH_PATH_MAX];   /* of the file, removed by the teardown; "": none */
  reducer_body body;
  bool refuse_connect;
  iu_loop *loop;
  iu_connection *c;
  iu_error err;
  iu_buf definition;
  told log[256]; uint32_t logged;
  void (*on_row)(fixture *f, const iu_row *old_row, const iu_row *new_row, const iu_event *e);
  uint64_t answered; iu_status answer_status;
  bool closed_heard;
  iu_connection *other;
  uint64_t sub;
};

static fixture *fixture_now; /* the module under test has no other way to find its test */

static inline void note_down(fixture *f, const char *fmt, ...) {
  va_list ap;
  if (f->logged == sizeof f->log / sizeof f->log[0]) fail_msg("too many notes");
  va_start(ap, fmt);
  vsnprintf(f->log[f->logged++].text, sizeof f->log[0].text, fmt, ap);
  va_end(ap);
}

static void *tm_instantiate(struct iu_host *host) {
  fixture_now->host = host;
  return fixture_now;
}
static void tm_destroy(void *instance) { (void)instance; }
static void tm_describe(void *instance, uint32_t sink) {
  fixture *f = instance;
  uint32_t len = (uint32_t)f->definition.len;
  assert_int_equal(iu__stdb_bytes_sink_write(f->host, sink, f->definition.data, &len), 0);
}
static int32_t tm_call(void *instance, uint32_t id, uint64_t s0, uint64_t s1, uint64_t s2, uint64_t s3, uint64_t c0, uint64_t c1,
                       uint64_t timestamp, uint32_t args, uint32_t err) {
  fixture *f = instance;
  (void)s0; (void)s1; (void)s2; (void)s3; (void)c0; (void)c1;
  assert_true(timestamp > 0);
  if (id == 1) {
    uint32_t len = 14;
    if (!f->refuse_connect) return 0;
    iu__stdb_bytes_sink_write(f->host, err, "CONFLICT: full", &len);
    return 1;
  }
  return f->body != NULL ? f->body(f, f->host, args, err) : 0;
}
static const iu_abi_module test_module = {"test", tm_instantiate, tm_destroy, tm_describe, tm_call};

static inline iu_buf test_definition(void) {
  def d = {0};
  table_parts t = {0};
  iu_typespace ts = {0};
  iu_field item[] = {{"id", iu__type_scalar(IU_T_U64)}, {"grp", iu__type_scalar(IU_T_U32)}, {"name", iu__type_scalar(IU_T_STRING)}};
  iu_field secret[] = {{"id", iu__type_scalar(IU_T_U64)}};
  iu_field note[] = {{"note", iu__type_scalar(IU_T_STRING)}};
  add_type(&d, iu__type_product(&ts, 3, item), "Item");
  add_type(&d, iu__type_product(&ts, 1, secret), "Secret");
  add_index(&t, NULL, "id", 0, COLUMNS(0));
  add_index(&t, NULL, "grp", 0, COLUMNS(1));
  add_index(&t, NULL, "name", 0, COLUMNS(2));
  add_unique(&t, NULL, COLUMNS(0));
  add_unique(&t, NULL, COLUMNS(2));
  add_sequence(&t, NULL, 0, NOT_GIVEN, NOT_GIVEN, NOT_GIVEN, 1);
  add_table(&d, "item", 0, 0, &t);
  add_index(&t, NULL, "id", 0, COLUMNS(0));
  add_unique(&t, NULL, COLUMNS(0));
  t.hidden = true;
  add_table(&d, "secret", 1, 0, &t);
  add_reducer(&d, "run", iu__type_product(&ts, 1, note), -1);
  add_reducer(&d, "hello", iu__type_product(&ts, 0, NULL), 1);
  iu_buf out = finish_def(&d);
  iu__typespace_free(&ts);
  return out;
}

static inline iu_status fixture_open(fixture *f, const char *path, iu_durability durability) {
  iu_engine_config config;
  iu__engine_config_init(&config);
  config.path = path;
  config.module = &test_module;
  config.durability = durability;
  config.loop = f->loop;
  fixture_now = f;
  return iu__engine_open(&config, &f->c, &f->err);
}

static inline int fixture_setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  assert_non_null(f);
  f->definition = test_definition();
  assert_int_equal(iu__loop_new(NULL, &f->loop, &f->err), IU_OK);
  if (fixture_open(f, NULL, IU_DUR_NORMAL) != IU_OK) fail_msg("open: %s", f->err.message);
  *state = f;
  return 0;
}

/* The universe goes; one on a file of the test's own takes its place, with what that held before. */
static inline void fixture_reopen(fixture *f, iu_durability durability) {
  if (f->path[0] == '\0') scratch_path(f->path, "engine");
  f->c->vtable->release(f->c);
  f->c = NULL;
  if (fixture_open(f, f->path, durability) != IU_OK) fail_msg("open: %s", f->err.message);
}

static inline int fixture_teardown(void **state) {
  fixture *f = *state;
  if (f->other != NULL) f->other->vtable->release(f->other);
  if (f->c != NULL) f->c->vtable->release(f->c);
  if (f->path[0] != '\0') scratch_remove(f->path);
  iu__loop_free(f->loop);
  iu__buf_free(&f->definition);
  free(f);
  return 0;
}

static inline iu_buf text_value(const char *text) {
  iu_buf b = {0};
  put_text(&b, text);
  return b;
}

/* Calls `run` on c with the given body. */
static inline iu_status run_on(fixture *f, iu_connection *c, reducer_body body, const char *note, uint64_t *pending) {
  iu_buf args = text_value(note);
  uint64_t ignored;
  f->body = body;
  iu_status status = c->vtable->call(c, 0, args.data, args.len, pending != NULL ? pending : &ignored, &f->err);
  iu__buf_free(&args);
  return status;
}
static inline iu_status run(fixture *f, reducer_body body) { return run_on(f, f->c, body, "", NULL); }

static inline uint32_t table_id(struct iu_host *h, const char *name) {
  uint32_t id = 0;
  assert_int_equal(iu__stdb_table_id_from_name(h, name, (uint32_t)strlen(name), &id), 0);
  return id;
}
static inline uint32_t index_id(struct iu_host *h, const char *name) {
  uint32_t id = 0;
  assert_int_equal(iu__stdb_index_id_from_name(h, name, (uint32_t)strlen(name), &id), 0);
  return id;
}

/* Inserts an item; *id is written back when it was 0. The ABI's code. */
static inline int32_t put_item(struct iu_host *h, uint64_t *id, uint32_t grp, const char *name) {
  iu_buf row = {0};
  iu__buf_put_u64(&row, *id);
  iu__buf_put_u32(&row, grp);
  put_text(&row, name);
  uint32_t len = (uint32_t)row.len;
  int32_t rc = iu__stdb_datastore_insert_bsatn(h, table_id(h, "item"), row.data, &len);
  if (rc == 0 && len == 8) *id = iu__load_u64(row.data);
  iu__buf_free(&row);
  return rc;
}

/* ---- listening ---- */
static void heard_row(void *ud, uint32_t table, const iu_row *old_row, const iu_row *new_row, const iu_event *e) {
  fixture *f = ud;
  const iu_row *row = new_row != NULL ? new_row : old_row;
  (void)table;
  note_down(f, "%s %llu%s", old_row == NULL ? "insert" : new_row == NULL ? "delete" : "update", (unsigned long long)iu__load_u64(row->data),
            e->subscribed ? " subscribed" : e->own ? " own" : "");
  if (f->on_row != NULL) f->on_row(f, old_row, new_row, e);
}
static void heard_subscription(void *ud, uint64_t id, iu_sub_event what, const iu_error *err) {
  (void)id; (void)err;
  note_down(ud, what == IU_SUB_APPLIED ? "applied" : what == IU_SUB_ENDED ? "ended" : "failed");
}
static void heard_answer(void *ud, uint64_t id, iu_status status, const iu_error *err, iu_rows *rows, const iu_typed_value *value) {
  (void)value;
  fixture *f = ud;
  (void)err;
  iu__rows_release(rows);
  f->answered = id;
  f->answer_status = status;
}
static void heard_closed(void *ud, const iu_error *why) {
  (void)why;
  ((fixture *)ud)->closed_heard = true;
}
static inline void listen_to(fixture *f, iu_connection *c) {
  iu_listener l = {.ud = f, .row = heard_row, .subscription = heard_subscription, .answer = heard_answer, .closed = heard_closed};
  iu__conn_listen(c, &l);
  iu__conn_watch(c, 0, 7);
}
static inline iu_status subscribe_to(fixture *f, iu_connection *c, const char *sql, uint64_t *id) {
  iu_slice q = {(const uint8_t *)sql, strlen(sql)};
  return c->vtable->subscribe(c, &q, 1, id, &f->err);
}
static inline void settle(fixture *f) {
  for (int i = 0; i < 10; i++) iu__loop_turn(f->loop, 0);
}
static inline void expect_log(fixture *f, const char *expected) { /* lines joined by "; " */
  iu_buf got = {0};
  for (uint32_t i = 0; i < f->logged; i++) iu__buf_printf(&got, "%s%s", i > 0 ? "; " : "", f->log[i].text);
  iu__buf_put_u8(&got, 0);
  assert_string_equal((char *)got.data, expected);
  iu__buf_free(&got);
  f->logged = 0;
}

#endif
