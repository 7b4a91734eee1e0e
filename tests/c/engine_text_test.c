/* engine_text_test.c: text indexes of a universe without a file (core/engine/text_indexes.c over core/journal/text_memory.c): what a search finds is what the rows say, after
 * changes, past the cap of what is noted, and whichever allocation failed on the way. */
#include "hosted_fixture.h"

enum { DOC = TICK + 1 }; /* key String, body String: JSON */

static const char make_index[] =
    "CREATE TABLE IF NOT EXISTS _iu_text_index (table_name TEXT PRIMARY KEY NOT NULL, json TEXT NOT NULL, texts TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS _iu_text_doc_key (n INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);"
    "CREATE VIRTUAL TABLE IF NOT EXISTS _iu_text_doc USING fts5 (words);"
    "INSERT OR IGNORE INTO _iu_text_index VALUES ('doc', 'body', 'words')";
static const char find_apples[] = "SELECT count(*) FROM _iu_text_doc WHERE _iu_text_doc MATCH 'apple'";

static iu_status with_docs(game *g, iu_schema_writer *w) {
  uint32_t t;
  (void)g;
  iu__schema_writer_table(w, "doc", true, &t, NULL);
  iu__schema_writer_column(w, t, "key", iu__type_scalar(IU_T_STRING), NULL, 0, NULL);
  iu__schema_writer_column(w, t, "body", iu__type_scalar(IU_T_STRING), NULL, 0, NULL);
  iu__schema_writer_primary_key(w, t, "key", NULL);
  return IU_OK;
}

static int setup(void **state) {
  game_setup(state);
  game *g = *state;
  game_close(g);
  g->more = with_docs;
  assert_int_equal(game_open(g, NULL), IU_OK);
  return 0;
}

static uint32_t key_length; /* of the keys that are put */

/* Puts the docs from n / 1000 on, n % 1000 of them; those that are there get the other word. */
static iu_status put_docs(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  uint64_t n = iu__load_u64(call->args.p), first = n / 1000;
  iu_status status = IU_OK;
  for (uint64_t i = first; i < first + n % 1000 && status == IU_OK; i++) {
    iu_buf row = with_room(400);
    char key[300];
    int len = snprintf(key, sizeof key, "%0*llu", (int)key_length, (unsigned long long)i);
    iu__buf_put_bytes(&row, key, (size_t)len);
    size_t key_bytes = row.len;
    const iu_row *old = iu__table_get(iu__tx_table(tx, g->first_table + DOC), IU_EPOCH_LATEST, row.data, row.len);
    bool apple = old == NULL ? i % 2 == 0 : memchr(old->data + key_bytes, 'a', old->len - key_bytes) == NULL;
    put_text(&row, apple ? "{\"words\":\"an apple\"}" : "{\"words\":\"some pie\"}");
    if (old != NULL) status = iu__tx_replace(tx, g->first_table + DOC, old, row.data, row.len, NULL, err);
    else status = iu__tx_put(tx, g->first_table + DOC, row.data, row.len, NULL, err);
    iu__buf_free(&row);
  }
  return status;
}

static iu_status drop_docs(game *g, iu_tx *tx, const iu_reducer_call *call, iu_error *err) {
  uint64_t n = iu__load_u64(call->args.p);
  const iu_row *row;
  iu_iter *it;
  iu_status status = iu__table_iter(iu__tx_table(tx, g->first_table + DOC), IU_EPOCH_LATEST, IU_INDEX_MAIN, NULL, false, &it, err);
  while (status == IU_OK && n-- > 0 && (row = iu__iter_next(it)) != NULL) status = iu__tx_remove(tx, g->first_table + DOC, row, err);
  iu__iter_close(it);
  return status;
}

static iu_status search(game *g, uint32_t slice, uint64_t *found, uint32_t *slices, iu_error *err) {
  iu_report_value v;
  iu_report *r = NULL;
  bool more = true, row = false;
  iu_status status = IU_OK;
  for (*slices = 0; status == IU_OK && more; ++*slices) status = iu__engine_text_sync(g->c, g->first_table + DOC, make_index, slice, &more, err);
  if (status == IU_OK) status = iu__engine_text_report(g->c, g->first_table + DOC, &r, err);
  if (status == IU_OK) status = iu__report_prepare(r, find_apples, strlen(find_apples), err);
  if (status == IU_OK) status = iu__report_step(r, &row, err);
  if (status == IU_OK) {
    assert_true(row);
    iu__report_value_at(r, 0, &v);
    *found = (uint64_t)v.i;
  }
  iu__report_close(r);
  return status;
}

static uint64_t count_apples(const game *g) {
  const iu_row *row;
  uint64_t n = 0;
  iu_iter *it;
  assert_int_equal(iu__table_iter(iu__store_table(g->store, g->first_table + DOC), IU_EPOCH_LATEST, IU_INDEX_MAIN, NULL, false, &it, NULL), IU_OK);
  while ((row = iu__iter_next(it)) != NULL) n += memchr(row->data, 'a', row->len) != NULL;
  iu__iter_close(it);
  return n;
}

static uint32_t expect_found(game *g, uint32_t slice) {
  uint64_t found = 0;
  uint32_t slices;
  iu_error err;
  if (search(g, slice, &found, &slices, &err) != IU_OK) fail_msg("%s", err.message);
  assert_int_equal(found, count_apples(g));
  return slices;
}

static void a_search_finds_what_the_rows_say(void **state) {
  game *g = *state;
  key_length = 8;
  assert_int_equal(act(g, put_docs, 100), IU_OK);
  assert_int_equal(count_apples(g), 50);
  assert_int_equal(expect_found(g, 1000), 1);
  assert_int_equal(expect_found(g, 1000), 1); /* nothing to do */
  assert_int_equal(act(g, put_docs, 10030), IU_OK);
  assert_int_equal(act(g, drop_docs, 7), IU_OK);
  assert_int_equal(act(g, put_docs, 95010), IU_OK);
  assert_true(expect_found(g, 10) >= 4);
  assert_int_equal(act(g, drop_docs, 1000), IU_OK);
  expect_found(g, 1000);
  assert_int_equal(count_apples(g), 0);
}

/* Keys are noted up to IU_ENGINE_TEXT_NOTES_MAX and followed one by one; past it the next search makes the index anew, with a walk over what are fewer rows here. */
static void more_changes_than_are_noted(void **state) {
  game *g = *state;
  uint32_t noted = key_length = 256;
  noted += 4 + 4; /* a key's BSATN and its length */
  assert_int_equal(act(g, put_docs, 100), IU_OK);
  expect_found(g, 1000);
  for (uint64_t keys = 0; keys + 100 <= IU_ENGINE_TEXT_NOTES_MAX / noted; keys += 100) assert_int_equal(act(g, put_docs, 100), IU_OK);
  assert_int_equal(expect_found(g, 1000), IU_ENGINE_TEXT_NOTES_MAX / noted / 1000 + 1);
  for (uint64_t keys = 0; keys <= IU_ENGINE_TEXT_NOTES_MAX / noted; keys += 100) assert_int_equal(act(g, put_docs, 100), IU_OK);
  assert_int_equal(expect_found(g, 1000), 1);
  assert_int_equal(act(g, drop_docs, 50), IU_OK);
  expect_found(g, 1000);
}

/* Rows, an index, changes, a search; the truth at last. *fired false: so many allocations there are not. */
static int one_fails(game *g, long at, bool index_is_there, bool *fired) {
  uint64_t found = 0;
  uint32_t slices;
  iu_error err;
  game_close(g);
  assert_int_equal(game_open(g, NULL), IU_OK);
  assert_int_equal(act(g, put_docs, 30), IU_OK);
  if (index_is_there) expect_found(g, 1000);
  iu__errinj_arm(IU_ERRINJ_ALLOC, at);
  iu_status status = search(g, 8, &found, &slices, &err);
  if (status == IU_OK) status = act(g, put_docs, 20020);
  if (status == IU_OK) status = act(g, drop_docs, 5);
  if (status == IU_OK) status = search(g, 8, &found, &slices, &err);
  *fired = iu__errinj_count(IU_ERRINJ_ALLOC) > at;
  iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
  if (status != IU_OK && status != IU_E_NOMEM) fail_msg("allocation %ld: %s", at, iu_status_code(status));
  if (g->c->closed) fail_msg("allocation %ld: closed", at);
  if (status == IU_OK) assert_int_equal(found, count_apples(g));
  expect_found(g, 8);
  return status != IU_OK;
}

static void any_allocation_may_fail(void **state) {
  key_length = 8;
  for (int index_is_there = 0; index_is_there < 2; index_is_there++) {
    long at = 0;
    int failed = 0;
    for (bool fired = true; fired; at++) failed += one_fails(*state, at, index_is_there, &fired);
    printf("%ld allocations, %d failures\n", at - 1, failed);
    assert_true(failed > (index_is_there ? 3 : 30));
  }
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, game_teardown)
  const struct CMUnitTest tests[] = {T(a_search_finds_what_the_rows_say), T(more_changes_than_are_noted), T(any_allocation_may_fail)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
