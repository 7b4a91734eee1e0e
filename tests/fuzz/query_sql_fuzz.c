/* query_sql_fuzz.c: libFuzzer target for SQL. The input is a text; it is read for each use, as two senders would write it, and run over a small store
 * of every column type. What the indexes find must be what looking at every row finds, and a refusal points into the text.
 */
#include "../../core/rows.h"
#include "../c/query_fixture.h"

#include "input.h"

#define ROWS 48 /* of each table */

static iu_schema *schema;
static iu_store *store;

static void put_row(uint32_t table, const iu_buf *b) {
  iu_error err = {0};
  const iu_table_def *def = &schema->tables[table];
  if (iu__bsatn_check_all(def->row, b->data, b->len, &err) != IU_OK || iu__tx_insert(iu__store_table(store, table), b->data, b->len, NULL, NULL, &err) != IU_OK) {
    fprintf(stderr, "%s\n", err.message);
    abort();
  }
}

static void fill(void) {
  static const char *const types[] = {"Person", "Place", "a'b", ""};
  chance c = {UINT64_C(0x9e3779b97f4a7c15)};
  iu_buf b = {0};
  uint32_t all = table_index(schema, "all"), entity = table_index(schema, "entity");
  MUST(iu__store_new(schema, &store, NULL) == IU_OK && iu__store_begin(store, NULL) == IU_OK);
  for (uint64_t i = 0; i < ROWS; i++) {
    char id[8];
    snprintf(id, sizeof id, "e%u", (unsigned)i);
    entity_spec e = {.id = id, .type = types[i % 4], .created = (int64_t)(i / 3) - 5, .name = i % 2 ? "Ada" : NULL, .tags = {"x"}, .strength = (double)i / 4};
    iu__buf_reset(&b);
    put_entity(&b, &e);
    put_row(entity, &b);
    iu__buf_reset(&b);
    put_random_all(&b, &c, schema->tables[all].row, i);
    put_row(all, &b);
  }
  MUST(iu__store_commit(store, NULL, NULL) == IU_OK);
  iu__buf_free(&b);
}

typedef struct seen { const iu_row *rows[ROWS]; uint32_t count; } seen;
static bool note(void *ud, const iu_row *row) {
  seen *s = ud;
  for (uint32_t i = 0; i < s->count; i++) MUST(s->rows[i] != row);
  MUST(s->count < ROWS);
  s->rows[s->count++] = row;
  return true;
}

/* A join against nested loops: as many pairs, and none that a part of the query would have left out. */
static bool count_pair(void *ud, const iu_row *const rows[2]) {
  MUST(rows[0] != NULL && rows[1] != NULL);
  ++*(uint64_t *)ud;
  return true;
}

static void check_join(const iu_query *q) {
  const iu_query_side *sides = iu__query_sides(q);
  uint64_t found = 0, expected = 0, epoch = iu__store_epoch(store);
  iu_iter *outer, *inner;
  MUST(iu__query_run_pairs(q, store, epoch, count_pair, &found, NULL) == IU_OK);
  MUST(iu__table_iter(iu__store_table(store, sides[0].table), epoch, IU_INDEX_MAIN, NULL, false, &outer, NULL) == IU_OK);
  for (const iu_row *a; (a = iu__iter_next(outer)) != NULL;) {
    MUST(iu__table_iter(iu__store_table(store, sides[1].table), epoch, IU_INDEX_MAIN, NULL, false, &inner, NULL) == IU_OK);
    for (const iu_row *b; (b = iu__iter_next(inner)) != NULL;) {
      if (!iu__query_pair_matches(q, a, b)) continue;
      MUST(iu__query_side_may(q, 0, a->data, a->len) && iu__query_side_may(q, 1, b->data, b->len));
      expected++;
    }
    iu__iter_close(inner);
  }
  iu__iter_close(outer);
  MUST(found == expected);
}

static void check_result(const iu_query *q) {
  iu_rows *rows = NULL;
  MUST(iu__rows_query(store, iu__store_epoch(store), q, &rows, NULL) == IU_OK);
  MUST(rows->count <= iu__query_limit(q));
  for (uint64_t i = 0; i < rows->count; i++) MUST(iu__bsatn_check_all(rows->table->row, rows->rows[i]->data, rows->rows[i]->len, NULL) == IU_OK);
  iu__rows_release(rows);
}

static void check_query(const iu_query *q) {
  iu_table *t = iu__store_table(store, iu__query_table(q));
  seen found = {0}, expected = {0};
  iu_iter *it;
  MUST(iu__query_run(q, store, iu__store_epoch(store), note, &found, NULL) == IU_OK);
  MUST(iu__table_iter(t, IU_EPOCH_LATEST, IU_INDEX_MAIN, NULL, false, &it, NULL) == IU_OK);
  for (const iu_row *row; (row = iu__iter_next(it)) != NULL;) {
    if (iu__query_matches(q, row->data, row->len)) note(&expected, row);
  }
  iu__iter_close(it);
  MUST(found.count == expected.count);
  for (uint32_t i = 0; i < found.count; i++) MUST(iu__query_matches(q, found.rows[i]->data, found.rows[i]->len));
  if (iu__query_is_whole(q)) MUST(found.count == iu__table_count(t, IU_EPOCH_LATEST));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const uint8_t sender[32] = {1, 2, 3};
  if (schema == NULL) {
    schema = fixture_schema();
    fill();
  }
  input in = {data, size};
  size_t len;
  char *text = (char *)take_rest(&in, &len);
  for (int way = 0; way < 6; way++) {
    static const iu_query_use uses[] = {IU_QUERY_TABLE, IU_QUERY_LIVE, IU_QUERY_ONCE};
    iu_query *q = NULL;
    iu_error err = {0};
    iu_status status = iu__query_parse_for(uses[way / 2], schema, text, len, sender, way % 2 != 0, &q, &err);
    MUST((status == IU_OK) == (q != NULL) && (status == IU_OK) == (err.message[0] == '\0'));
    if (q == NULL) {
      MUST(err.offset == IU_NO_OFFSET || err.offset <= len);
      continue;
    }
    if (iu__query_is_join(q)) check_join(q);
    else check_query(q);
    check_result(q);
    iu__query_free(q);
  }
  free(text);
  return 0;
}
