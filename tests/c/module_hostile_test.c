/* What reaches the module past the engine's checks: arguments that are no arguments, and memory that is not there. And the definition. */
#include <time.h>

#include "module_fixture.h"

#include "../../core/base/text.h"
#include "../../core/engine/internal.h"
#include "../../core/module/internal.h"

static uint64_t next_random(uint64_t *s) {
  *s ^= *s << 13;
  *s ^= *s >> 7;
  *s ^= *s << 17;
  return *s;
}

/* Runs a reducer on unchecked bytes, inside a transaction that is always undone. */
static int32_t run_raw(universe *u, uint32_t reducer, const uint8_t *args, size_t len) {
  iu_engine *e = iu__session_of(u->owner)->engine;
  iu_host *h = e->modules[0].m.ud;
  const uint8_t *id = u->owner->identity;
  int32_t rc;
  assert_int_equal(iu__store_begin(e->store, NULL), IU_OK);
  h->args = args;
  h->args_len = len;
  h->args_at = 0;
  h->args_open = len > 0;
  iu__buf_reset(&h->sink);
  iu__error_clear(&h->failure);
  rc = h->module->call_reducer(h->instance, reducer, iu__load_u64(id), iu__load_u64(id + 8), iu__load_u64(id + 16), iu__load_u64(id + 24), 1, 2,
                               1700000000000000, len > 0, 1);
  iu__host_end_call(h);
  iu__store_abort(e->store);
  return rc;
}

static const struct { const char *reducer, *json; } samples[] = {
  {"create_entity", "[\"T\",{\"name\":{\"some\":\"n\"},\"description\":{\"some\":\"d\"},\"tags\":[\"a\",\"b\"],\"properties\":\"{}\"}," SOME("\"e2\"") "]"},
  {"update_entity", "[\"e\"," PLAIN "]"},
  {"delete_entity", "[\"e\",true]"},
  {"create_relation", "[\"e\",\"e\",\"R\"," LINK "," NONE "]"},
  {"update_relation", "[\"r\"," LINK "]"},
  {"commit_state_version",
   "[\"\",\"d\",\"h\",\"b\",\"a\",[\"t\"],\"{}\",\"\",\"\"," NONE ",{\"some\":{\"base_version_id\":\"\",\"operations\":[{\"Set\":[\"a\",\"1\"]},"
   "{\"Insert\":[\"a\",{\"some\":1},\"1\"]},{\"Remove\":[\"a\",1]}],\"metadata\":" NOTE ",\"id\":" NONE "}},[[\"raw\",\"00\"],[\"raw\",\"01\"]]," NONE "]"},
  {"set_branch", "[\"b\",\"branch\",\"\"," NONE "]"},
  {"prune_versions", "[[\"a\"],[\"b\"],[\"c\"]]"},
  {"publish_event", "[\"T\",\"s\",\"[1]\"," SOME("\"x\"") "]"},
  {"prune_events", "[{\"some\":[1]},{\"some\":1},{\"some\":1},{\"some\":1},[],5]"},
  {"grant", "[\"role:x\",\"a\",\"s\"]"},
  {"check_permission", "[" SOME("\"0xAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"") ",\"a\",\"s\"]"},
  {"put_record", "[\"k\",\"v\",{\"some\":0},{\"some\":[1]}]"},
  {"import_rows", "[\"event_cursor\",[\"010000006105000000000000000100000000000000\",\"010000006205000000000000000100000000000000\"]]"},
  {"remove_rows", "[\"event_log\",[\"a\",\"b\"]]"},
  {"transact", "[[{\"CreateEntity\":[\"T\"," PLAIN "," NONE "]},{\"Expect\":[\"entity\",\"q\"," NONE "]},{\"PutRecord\":[\"k\",\"v\"," NONE "," NONE
               "]}]," SOME("\"key\"") "]"},
};

/* Every answer is "yes" or a refusal in UTF-8 with a code in front; the sanitizers watch the rest. */
static void mutated_arguments_are_refused_or_meant(void **state) {
  universe *u = *state;
  uint64_t seed = (uint64_t)time(NULL) * 2654435761u + 1, s = seed;
  iu_engine *e = iu__session_of(u->owner)->engine;
  iu_host *h = e->modules[0].m.ud;
  must(u, "create_entity", "[\"T\"," PLAIN "," SOME("\"e\"") "]");
  must(u, "create_relation", "[\"e\",\"e\",\"R\"," LINK "," SOME("\"r\"") "]");
  for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
    int r = iu__schema_reducer(e->schema, samples[i].reducer, strlen(samples[i].reducer));
    iu_buf args = {0};
    assert_int_equal(iu__sats_from_json(e->schema->reducers[r].params, samples[i].json, strlen(samples[i].json), &args, &u->err), IU_OK);
    assert_int_equal(run_raw(u, (uint32_t)r, args.data, args.len) & ~1, 0);
    for (int round = 0; round < 4000; round++) {
      size_t len = args.len;
      uint8_t *copy = malloc(len + 8); /* a block of its own, so that reading past its end is seen */
      int32_t rc;
      memcpy(copy, args.data, len);
      for (uint64_t edits = 1 + next_random(&s) % 3; edits > 0; edits--) copy[next_random(&s) % len] = (uint8_t)next_random(&s);
      if (next_random(&s) % 4 == 0) len = next_random(&s) % (len + 1);
      else if (next_random(&s) % 4 == 0) copy[len++] = (uint8_t)next_random(&s);
      copy = realloc(copy, len > 0 ? len : 1);
      rc = run_raw(u, (uint32_t)r, copy, len);
      free(copy);
      if (rc == 0) continue;
      if (rc != 1 || h->sink.len < 10) fail_msg("seed %llu: %s gave %d", (unsigned long long)seed, samples[i].reducer, rc);
      if (iu__utf8_check((const char *)h->sink.data, h->sink.len) != h->sink.len) fail_msg("seed %llu: bad UTF-8", (unsigned long long)seed);
      if (memcmp(h->sink.data, "PERSISTENCE", 11) == 0) {
        fail_msg("seed %llu: %.*s", (unsigned long long)seed, (int)h->sink.len, (const char *)h->sink.data);
      }
    }
    iu__buf_free(&args);
  }
}

static void put_u32(iu_buf *b, size_t n) {
  for (int i = 0; i < 4; i++) iu__buf_put_u8(b, (uint8_t)(n >> 8 * i));
}

/* One row of each table, damaged in every way: what is taken is a row by the engine's own check, too (the host would refuse it otherwise). */
static void damaged_rows_are_refused_or_rows(void **state) {
  universe *u = *state;
  uint64_t seed = (uint64_t)time(NULL) * 2654435761u + 3, s = seed;
  iu_engine *e = iu__session_of(u->owner)->engine;
  iu_host *h = e->modules[0].m.ud;
  int r = iu__schema_reducer(e->schema, "import_rows", 11), taken = 0;
  must(u, "update_config", "[\"enable_row_history\",\"entity,relation\",\"\"]");
  must(u, "create_entity", samples[0].json);
  must(u, "create_relation", "[\"e2\",\"e2\",\"R\"," LINK "," SOME("\"r\"") "]");
  must(u, "update_relation", "[\"r\"," LINK "]");
  must(u, "commit_state_version", samples[5].json);
  must(u, "advance_cursor", "[\"c\",1," NONE "]");
  must(u, "grant", "[\"role:x\",\"a\",\"s\"]");
  must(u, "record_migration", "[\"1\",\"n\",\"c\",\"applied\",0,\"\",\"\",5]");
  must(u, "transact", samples[sizeof samples / sizeof *samples - 1].json);
  for (uint32_t t = 0; t < NERV_TABLE_COUNT; t++) {
    const char *name = iu__nerv_tables[t].name;
    char sql[80];
    iu_rows *rows;
    if (t == NERV_CLIENT_CONNECTION) continue;
    rows = rows_of(u, FORMAT(sql, "SELECT * FROM %s", name));
    if (rows->count == 0) fail_msg("no row in %s", name);
    for (int round = 0; round < 3000; round++) {
      uint64_t which = next_random(&s) % rows->count;
      const uint8_t *row = rows->rows[which]->data;
      size_t len = rows->rows[which]->len, head, end;
      iu_buf args = {0};
      uint8_t *copy;
      int32_t rc;
      put_u32(&args, strlen(name));
      iu__buf_put(&args, name, strlen(name));
      put_u32(&args, 1);
      put_u32(&args, len);
      head = args.len;
      iu__buf_put(&args, row, len);
      end = args.len;
      for (uint64_t edits = next_random(&s) % 4; edits > 0; edits--) args.data[head + next_random(&s) % len] = (uint8_t)next_random(&s);
      if (next_random(&s) % 4 == 0) {
        end = head + next_random(&s) % (len + 1);
        args.data[head - 4] = (uint8_t)(end - head);
        args.data[head - 3] = (uint8_t)((end - head) >> 8);
      }
      copy = malloc(end);
      memcpy(copy, args.data, end);
      rc = run_raw(u, (uint32_t)r, copy, end);
      free(copy);
      iu__buf_free(&args);
      taken += rc == 0;
      if (rc == 0) continue;
      if (rc != 1 || h->sink.len < 10) fail_msg("seed %llu: %s gave %d", (unsigned long long)seed, name, rc);
      if (memcmp(h->sink.data, "PERSISTENCE", 11) == 0) {
        fail_msg("seed %llu: %.*s", (unsigned long long)seed, (int)h->sink.len, (const char *)h->sink.data);
      }
    }
    iu__rows_release(rows);
  }
  assert_true(taken > 1000);
}

static void arguments_behind_the_last_are_refused(void **state) {
  universe *u = *state;
  iu_engine *e = iu__session_of(u->owner)->engine;
  const uint8_t args[] = {1, 0, 0, 0, 'x', 9};
  int r = iu__schema_reducer(e->schema, "set_client_info", 15);
  must(u, "set_client_info", "[\"x\"]");
  assert_int_equal(run_raw(u, (uint32_t)r, args, sizeof args), 1);
  assert_int_equal(run_raw(u, 999, args, sizeof args), 1);
}

static void without_memory_a_call_is_refused_whole(void **state) {
#ifdef IU_ERRINJ
  universe *u = *state;
  iu_engine *e = iu__session_of(u->owner)->engine;
  size_t big = 300u << 10; /* larger than the chunk that an instance keeps, so that every kind of growth is met */
  char *json = malloc(big + 300), *fill = malloc(big + 1);
  bool done = false;
  int r = iu__schema_reducer(e->schema, "create_entity", 13);
  iu_buf args = {0};
  memset(fill, 'x', big);
  fill[big] = '\0';
  snprintf(json, big + 300, "[\"T\",{\"name\":" NONE ",\"description\":" NONE ",\"tags\":[],\"properties\":\"{\\\"a\\\":\\\"%s\\\"}\"}," NONE "]", fill);
  assert_int_equal(iu__sats_from_json(e->schema->reducers[r].params, json, strlen(json), &args, &u->err), IU_OK);
  for (long after = 0; !done && after < 1000; after++) {
    iu_status status;
    iu__errinj_arm(IU_ERRINJ_ALLOC, after);
    status = call_bytes(u, u->owner, "create_entity", args.data, args.len);
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    done = status == IU_OK;
    if (!done) {
      assert_int_equal(status, IU_E_NOMEM);
      assert_int_equal(count(u, "SELECT * FROM entity"), 0);
    }
  }
  assert_true(done);
  assert_int_equal(count(u, "SELECT * FROM entity"), 1);
  iu__buf_free(&args);
  free(json);
  free(fill);
#else
  (void)state;
  skip();
#endif
}

static void shapes_match_the_declared_rows(void **state) {
  (void)state;
  for (uint32_t t = 0; t < NERV_TABLE_COUNT; t++) {
    const nerv_table_spec *spec = &iu__nerv_tables[t];
    const nerv_type *row = iu__nerv_types;
    char shape[64] = "";
    if (spec->shape == NULL) continue;
    while (strcmp(row->name, spec->row) != 0) row++;
    for (uint32_t i = 0; i < row->count; i++) {
      const char *type = row->fields[i].type;
      const char *letter = strcmp(type, "String") == 0 || strcmp(type, "Bytes") == 0 ? "s"
                           : strcmp(type, "Identity") == 0     ? "i"
                           : strcmp(type, "ConnectionId") == 0 ? "c"
                           : strcmp(type, "U64") == 0 || strcmp(type, "Timestamp") == 0 ? "8"
                           : strcmp(type, "RelationMetadata") == 0 ? "o81as" : "?";
      strcat(shape, letter);
    }
    assert_string_equal(spec->shape, shape);
  }
}

static void every_reducer_and_table_is_declared(void **state) {
  universe *u = *state;
  const iu_schema *s = u->owner->schema;
  assert_int_equal(s->table_count, NERV_TABLE_COUNT);
  assert_int_equal(s->reducer_count, iu__nerv_reducer_count);
  for (uint32_t i = 0; i < NERV_TABLE_COUNT; i++) {
    int t = iu__schema_table(s, iu__nerv_tables[i].name, strlen(iu__nerv_tables[i].name));
    assert_true(t >= 0);
    assert_true(s->tables[t].primary_key >= 0);
    assert_int_equal(s->tables[t].is_public, i != NERV_PERMISSION && i != NERV_APPLIED_REQUEST);
  }
  assert_true(iu__schema_reducer(s, "expect", 6) < 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    MODULE_TEST(mutated_arguments_are_refused_or_meant), MODULE_TEST(damaged_rows_are_refused_or_rows),
    MODULE_TEST(arguments_behind_the_last_are_refused),
    MODULE_TEST(without_memory_a_call_is_refused_whole), cmocka_unit_test(shapes_match_the_declared_rows),
    MODULE_TEST(every_reducer_and_table_is_declared),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
