/* module_fixture.h: NERV's module inside a memory universe of the engine; arguments and rows as JSON, for the module tests.
 *
 * Arguments are SATS-JSON arrays ({"some":x}, {"none":[]} for options), rows come back readable (options as value or null).
 */
#ifndef MODULE_FIXTURE_H
#define MODULE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../core/base/alloc.h"
#include "../../core/base/clock.h"
#include "../../core/base/errinj.h"
#include "../../core/engine/engine.h"
#include "../../core/sats/sats_json.h"

#define NONE "{\"none\":[]}"
#define SOME(x) "{\"some\":" x "}"
#define PLAIN "{\"name\":{\"none\":[]},\"description\":{\"none\":[]},\"tags\":[],\"properties\":\"\"}"           /* EntityMetadata */
#define LINK "{\"description\":{\"none\":[]},\"strength\":1.0,\"bidirectional\":false,\"tags\":[],\"properties\":\"\"}" /* RelationMetadata */
#define NOTE "{\"description\":\"\",\"author\":{\"none\":[]},\"tags\":[],\"parent_delta_id\":{\"none\":[]}}"            /* DeltaMetadata */

typedef struct universe {
  iu_loop *loop;
  iu_connection *owner;
  iu_error err;
  iu_buf text; /* what the last helper returned */
} universe;

static inline int universe_open(void **state) {
  universe *u = calloc(1, sizeof *u);
  iu_engine_config config;
  iu__engine_config_init(&config);
  config.module = iu__nerv_module();
  assert_int_equal(iu__loop_new(NULL, &u->loop, &u->err), IU_OK);
  config.loop = u->loop;
  if (iu__engine_open(&config, &u->owner, &u->err) != IU_OK) fail_msg("open: %s", u->err.message);
  *state = u;
  return 0;
}

static inline int universe_close(void **state) {
  universe *u = *state;
  u->owner->vtable->close(u->owner, NULL);
  u->owner->vtable->release(u->owner);
  iu__loop_free(u->loop);
  iu__buf_free(&u->text);
  free(u);
  return 0;
}

static inline iu_connection *session(universe *u) {
  iu_connection *c;
  if (iu__engine_session(u->owner, NULL, &c, &u->err) != IU_OK) fail_msg("session: %s", u->err.message);
  return c;
}

static inline void session_end(iu_connection *c) {
  c->vtable->close(c, NULL);
  c->vtable->release(c);
}

static inline iu_status call_bytes(universe *u, iu_connection *c, const char *reducer, const void *args, size_t len) {
  int r = iu__schema_reducer(c->schema, reducer, strlen(reducer));
  uint64_t pending;
  assert_true(r >= 0);
  iu__error_clear(&u->err);
  return c->vtable->call(c, (uint32_t)r, args, len, &pending, &u->err);
}

static inline iu_status call_as(universe *u, iu_connection *c, const char *reducer, const char *json) {
  int r = iu__schema_reducer(c->schema, reducer, strlen(reducer));
  iu_buf args = {0};
  iu_status status;
  assert_true(r >= 0);
  if (iu__sats_from_json(c->schema->reducers[r].params, json, strlen(json), &args, &u->err) != IU_OK) {
    fail_msg("%s%s: %s", reducer, json, u->err.message);
  }
  status = call_bytes(u, c, reducer, args.data, args.len);
  iu__buf_free(&args);
  return status;
}

static inline void must(universe *u, const char *reducer, const char *json) {
  if (call_as(u, u->owner, reducer, json) != IU_OK) fail_msg("%s%s: %s", reducer, json, u->err.message);
}

static inline void refused_as(universe *u, iu_connection *c, iu_status status, const char *message, const char *reducer, const char *json) {
  iu_status got = call_as(u, c, reducer, json);
  if (got == IU_OK) fail_msg("%s%s was accepted", reducer, json);
  assert_string_equal(u->err.message, message);
  assert_int_equal(got, status);
}

static inline void refused(universe *u, iu_status status, const char *message, const char *reducer, const char *json) {
  refused_as(u, u->owner, status, message, reducer, json);
}

static inline iu_rows *rows_of(universe *u, const char *sql) {
  iu_rows *rows = NULL;
  uint64_t pending;
  if (u->owner->vtable->query(u->owner, sql, strlen(sql), &rows, &pending, &u->err) != IU_OK) fail_msg("%s: %s", sql, u->err.message);
  return rows;
}

static inline uint64_t count(universe *u, const char *sql) {
  iu_rows *rows = rows_of(u, sql);
  uint64_t n = rows->count;
  iu__rows_release(rows);
  return n;
}

static inline const char *column_text(universe *u, const iu_rows *rows, uint64_t at, const char *column) {
  int i = iu__table_def_column(rows->table, column, strlen(column));
  iu_slice s;
  iu_reader r;
  assert_true(i >= 0);
  s = iu__bsatn_column(rows->table->row, (uint32_t)i, rows->rows[at]->data, rows->rows[at]->len);
  r = iu__reader(s.p, s.len);
  iu__buf_reset(&u->text);
  assert_int_equal(iu__sats_to_json(rows->table->row->u.fields[i].type, &r, IU_SJ_READABLE, &u->text, &u->err), IU_OK);
  iu__buf_put_u8(&u->text, 0);
  return (const char *)u->text.data;
}

/* A column of the only row that `sql` gives, as JSON. Valid until the next helper. */
static inline const char *cell(universe *u, const char *sql, const char *column) {
  iu_rows *rows = rows_of(u, sql);
  const char *text;
  if (rows->count != 1) fail_msg("%s: %llu rows", sql, (unsigned long long)rows->count);
  text = column_text(u, rows, 0, column);
  iu__rows_release(rows);
  return text;
}

static inline uint64_t number(universe *u, const char *sql, const char *column) { return strtoull(cell(u, sql, column), NULL, 10); }

/* The data of the last event of a type, unquoted. */
static inline const char *last_event(universe *u, const char *type) {
  char sql[128];
  iu_rows *rows;
  uint64_t best = 0, at = 0;
  iu_slice s;
  snprintf(sql, sizeof sql, "SELECT * FROM event_log WHERE event_type = '%s'", type);
  rows = rows_of(u, sql);
  if (rows->count == 0) fail_msg("no event %s", type);
  for (uint64_t i = 0; i < rows->count; i++) {
    uint64_t n;
    s = iu__bsatn_column(rows->table->row, 1, rows->rows[i]->data, rows->rows[i]->len);
    n = iu__load_u64(s.p);
    if (n >= best) {
      best = n;
      at = i;
    }
  }
  s = iu__bsatn_column(rows->table->row, 6, rows->rows[at]->data, rows->rows[at]->len);
  iu__buf_reset(&u->text);
  iu__buf_put(&u->text, s.p + 4, s.len - 4);
  iu__buf_put_u8(&u->text, 0);
  iu__rows_release(rows);
  return (const char *)u->text.data;
}

static inline void identity_hex(const uint8_t identity[32], char out[65]) {
  for (int i = 0; i < 32; i++) sprintf(out + 2 * i, "%02x", identity[31 - i]);
}

/* printf into one of four static-free buffers of the caller. */
#define FORMAT(buffer, ...) (snprintf(buffer, sizeof buffer, __VA_ARGS__), buffer)

#define MODULE_TEST(f) cmocka_unit_test_setup_teardown(f, universe_open, universe_close)

#endif
