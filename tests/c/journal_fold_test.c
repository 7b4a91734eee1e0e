/* journal_fold_test.c: a folded universe is a plain database: values of every type as SQL sees them, keys, what deletes and key changes
 * leave, an empty journal and no log after a clean close, readers beside the writer. */
#include "journal_fixture.h"

#include "../../core/journal/cell.h"

/* One table of many columns, beside the fixture's. */
static void use_table(fixture *f, uint32_t count, const iu_field *fields, int32_t primary_key) {
  f->tables[T_NOTE] = (iu_table_def){.name = "every \"kind\"", .row = product_of(&f->types, count, fields), .primary_key = primary_key,
                                     .schedule_reducer = -1};
  assert_int_equal(iu__typespace_link(&f->types, NULL), IU_OK);
}

static void append_row(iu_journal *j, const fixture *f, uint32_t table, iu_row *old_row, iu_row *new_row) {
  commit c;
  uint64_t seq;
  iu_error err;

  commit_begin(&c, f);
  commit_change(&c, table, old_row, new_row);
  assert_ok(commit_append(&c, j, &seq, &err), &err);
  free(old_row);
  free(new_row);
}

static void put_number(iu_buf *b, size_t size, uint8_t low, uint8_t rest) {
  iu__buf_put_u8(b, low);
  for (size_t i = 1; i < size; i++) iu__buf_put_u8(b, rest);
}

static void test_scalars(void **state) {
  static const struct { iu_type_tag tag; size_t size; uint8_t low, rest; const char *type, *text, *sql_type; } cases[] = {
      {IU_T_BOOL, 1, 1, 0, "integer", "1", "INTEGER"},
      {IU_T_I8, 1, 0xfe, 0, "integer", "-2", "INTEGER"},
      {IU_T_U8, 1, 0xfe, 0, "integer", "254", "INTEGER"},
      {IU_T_I16, 2, 0xfe, 0xff, "integer", "-2", "INTEGER"},
      {IU_T_U16, 2, 0xfe, 0xff, "integer", "65534", "INTEGER"},
      {IU_T_I32, 4, 0xfe, 0xff, "integer", "-2", "INTEGER"},
      {IU_T_U32, 4, 0xfe, 0xff, "integer", "4294967294", "INTEGER"},
      {IU_T_I64, 8, 0xfe, 0xff, "integer", "-2", "INTEGER"},
      {IU_T_U64, 8, 0xfe, 0xff, "text", "18446744073709551614", ""},
      {IU_T_U64, 8, 7, 0, "integer", "7", ""},
      {IU_T_I128, 16, 0xfe, 0xff, "text", "-2", "TEXT"},
      {IU_T_U128, 16, 0xff, 0xff, "text", "340282366920938463463374607431768211455", "TEXT"},
      {IU_T_I256, 32, 0xfe, 0xff, "text", "-2", "TEXT"},
      {IU_T_U256, 32, 0xff, 0xff, "text", "115792089237316195423570985008687907853269984665640564039457584007913129639935", "TEXT"},
  };
  enum { N = sizeof cases / sizeof *cases };
  fixture f;
  iu_field fields[N];
  char names[N][16], sql[256];
  iu_buf b = {0};
  iu_journal_config c;
  iu_journal *j;

  (void)state;
  fixture_begin(&f);
  for (int i = 0; i < N; i++) {
    snprintf(names[i], sizeof names[i], "c%d", i);
    fields[i] = (iu_field){names[i], iu__type_scalar(cases[i].tag)};
    put_number(&b, cases[i].size, cases[i].low, cases[i].rest);
  }
  use_table(&f, N, fields, -1);
  c = config_for(&f);
  j = open_loaded(&c, &f, NULL, NULL);
  append_row(j, &f, T_NOTE, NULL, row_from(&b));
  close_ok(j);
  for (int i = 0; i < N; i++) {
    snprintf(sql, sizeof sql, "SELECT typeof(c%d) || ' ' || c%d FROM \"every \"\"kind\"\"\"", i, i);
    {
      char expected[128];
      snprintf(expected, sizeof expected, "%s %s", cases[i].type, cases[i].text);
      assert_sql(f.path, sql, expected);
    }
    snprintf(sql, sizeof sql, "SELECT type FROM pragma_table_info('every \"kind\"') WHERE name = 'c%d'", i);
    assert_sql(f.path, sql, cases[i].sql_type);
  }
  assert_sql(f.path, "SELECT name FROM pragma_table_info('every \"kind\"') WHERE pk = 1", "_row");
  fixture_end(&f);
}

static void test_other_kinds(void **state) {
  fixture f;
  iu_typespace *ts = &f.types;
  iu_journal_config c;
  iu_journal *j;
  iu_buf b = {0};
  uint8_t identity[32] = {0xef, 0xbe}, uuid[16];

  (void)state;
  fixture_begin(&f);
  {
    const iu_type *string = iu__type_scalar(IU_T_STRING);
    iu_field nested[] = {{"x", iu__type_scalar(IU_T_I32)}, {"y", iu__type_option(ts, string)}};
    const iu_type *nested_type = product_of(ts, 2, nested);
    iu_field unit[] = {{"Red", iu__type_special(IU_S_UNIT)}, {"Grey", iu__type_scalar(IU_T_U8)}};
    iu_field fields[] = {{"f32", iu__type_scalar(IU_T_F32)},
                         {"f64", iu__type_scalar(IU_T_F64)},
                         {"nan", iu__type_scalar(IU_T_F64)},
                         {"text", string},
                         {"json", string},
                         {"bytes", iu__type_special(IU_S_BYTES)},
                         {"identity", iu__type_special(IU_S_IDENTITY)},
                         {"connection", iu__type_special(IU_S_CONNECTION_ID)},
                         {"uuid", iu__type_special(IU_S_UUID)},
                         {"at", iu__type_special(IU_S_TIMESTAMP)},
                         {"span", iu__type_special(IU_S_TIME_DURATION)},
                         {"some", iu__type_option(ts, string)},
                         {"none", iu__type_option(ts, string)},
                         {"twice", iu__type_option(ts, iu__type_option(ts, iu__type_scalar(IU_T_U8)))},
                         {"nested", nested_type},
                         {"maybe", iu__type_option(ts, nested_type)},
                         {"list", iu__type_array(ts, iu__type_scalar(IU_T_U16))},
                         {"sum", iu__type_sum(ts, 2, unit)}};
    use_table(&f, sizeof fields / sizeof *fields, fields, -1);
  }
  iu__buf_put_u32(&b, 0x3fc00000); /* 1.5f */
  put_f64_value(&b, 1.0);
  put_f64_value(&b, NAN);
  iu__buf_put_bytes(&b, "a\0b'\"", 5);
  put_text_value(&b, "{\"a\": [1, 2.0]}");
  iu__buf_put_bytes(&b, "\x00\xff", 2);
  iu__buf_put(&b, identity, 32);
  iu__buf_put(&b, identity, 16);
  for (int i = 0; i < 16; i++) uuid[i] = (uint8_t)(15 - i);
  iu__buf_put(&b, uuid, 16);
  iu__buf_put_u64(&b, (uint64_t)-5);
  iu__buf_put_u64(&b, 1500000);
  iu__buf_put_u8(&b, 0), put_text_value(&b, "here");
  iu__buf_put_u8(&b, 1);
  iu__buf_put(&b, "\0\0\x09", 3);
  iu__buf_put_u32(&b, 7), iu__buf_put_u8(&b, 1);
  iu__buf_put_u8(&b, 0), iu__buf_put_u32(&b, 8), iu__buf_put_u8(&b, 0), put_text_value(&b, "q");
  iu__buf_put_u32(&b, 2), iu__buf_put_u16(&b, 1), iu__buf_put_u16(&b, 65535);
  iu__buf_put_u8(&b, 0);
  c = config_for(&f);
  j = open_loaded(&c, &f, NULL, NULL);
  append_row(j, &f, T_NOTE, NULL, row_from(&b));
  close_ok(j);
#define COLUMN(name, expected) assert_sql(f.path, "SELECT typeof(\"" name "\") || ' ' || ifnull(\"" name "\", '') FROM \"every \"\"kind\"\"\"", expected)
  COLUMN("f32", "real 1.5");
  COLUMN("f64", "real 1.0");
  COLUMN("nan", "null ");
  assert_sql(f.path, "SELECT hex(text) FROM \"every \"\"kind\"\"\"", "6100622722");
  COLUMN("json", "text {\"a\": [1, 2.0]}");
  assert_sql(f.path, "SELECT json_extract(json, '$.a[1]') FROM \"every \"\"kind\"\"\"", "2.0");
  assert_sql(f.path, "SELECT typeof(bytes) || hex(bytes) FROM \"every \"\"kind\"\"\"", "blob00FF");
  COLUMN("identity", "text 000000000000000000000000000000000000000000000000000000000000beef");
  COLUMN("connection", "text 0000000000000000000000000000beef");
  COLUMN("uuid", "text 00010203-0405-0607-0809-0a0b0c0d0e0f");
  COLUMN("at", "integer -5");
  COLUMN("span", "integer 1500000");
  COLUMN("some", "text here");
  COLUMN("none", "null ");
  COLUMN("twice", "integer 9");
  assert_sql(f.path, "SELECT json(nested) FROM \"every \"\"kind\"\"\"", "{\"x\":7,\"y\":null}");
  assert_sql(f.path, "SELECT json(maybe) FROM \"every \"\"kind\"\"\"", "{\"x\":8,\"y\":\"q\"}");
  assert_sql(f.path, "SELECT json(list) FROM \"every \"\"kind\"\"\"", "[1,65535]");
  COLUMN("sum", "text \"Red\"");
  fixture_end(&f);
}

static void test_which_types_are_keys(void **state) {
  static const struct { iu_special special; iu_type_tag tag; bool faithful; const char *key; } cases[] = {
      {IU_S_NONE, IU_T_STRING, true, "id"}, {IU_S_NONE, IU_T_U64, true, "id"},      {IU_S_NONE, IU_T_I64, true, "id"},
      {IU_S_NONE, IU_T_U128, true, "id"},   {IU_S_NONE, IU_T_BOOL, true, "id"},     {IU_S_IDENTITY, 0, true, "id"},
      {IU_S_UUID, 0, true, "id"},           {IU_S_TIMESTAMP, 0, true, "id"},        {IU_S_BYTES, 0, true, "id"},
      {IU_S_NONE, IU_T_F32, false, "_row"}, {IU_S_NONE, IU_T_F64, false, "_row"},   {IU_S_SCHEDULE_AT, 0, false, "_row"},
  };

  (void)state;
  for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
    fixture f;
    iu_journal_config c;
    fixture_begin(&f);
    {
      const iu_type *t = cases[i].special != IU_S_NONE ? iu__type_special(cases[i].special) : iu__type_scalar(cases[i].tag);
      iu_field fields[] = {{"v", iu__type_scalar(IU_T_U8)}, {"id", t}};
      iu_cell cell = iu__jcell_of(t);
      use_table(&f, 2, fields, 1);
      assert_int_equal(iu__jcell_is_faithful(&cell), cases[i].faithful);
    }
    c = config_for(&f);
    close_ok(open_loaded(&c, &f, NULL, NULL));
    assert_sql(f.path, "SELECT name FROM pragma_table_info('every \"kind\"') WHERE pk = 1", cases[i].key);
    fixture_end(&f);
  }
}

static void test_last_state_only(void **state) {
  fixture f;
  iu_journal_config c;
  iu_journal *j;
  iu_error err;

  (void)state;
  fixture_begin(&f);
  c = config_for(&f);
  j = open_loaded(&c, &f, NULL, NULL);
  append_row(j, &f, T_PERSON, NULL, row_person("ada", 36, "Ada", 0.5));
  append_row(j, &f, T_PERSON, NULL, row_person("bob", 1, NULL, 0));
  append_row(j, &f, T_COUNTER, NULL, row_counter(UINT64_MAX, -1));
  append_row(j, &f, T_READING, NULL, row_reading(0.0, "zero"));
  append_row(j, &f, T_READING, NULL, row_reading(-0.0, "minus zero")); /* another key: the same number to SQLite */
  append_row(j, &f, T_READING, NULL, row_reading(NAN, "nan"));
  append_row(j, &f, T_TAG, NULL, row_tag("x", 1));
  assert_ok(iu__journal_fold(j, -1, &err), &err);
  /* Readable while the universe is open. */
  assert_sql(f.path, "SELECT group_concat(id || age, ',') FROM (SELECT * FROM person ORDER BY id)", "ada36,bob1");
  assert_sql(f.path, "SELECT json_extract(metadata, '$.name') FROM person WHERE id = 'ada'", "Ada");
  assert_sql(f.path, "SELECT value FROM counter WHERE id = '18446744073709551615'", "-1");
  assert_sql(f.path, "SELECT count(*) FROM reading", "3");
  append_row(j, &f, T_PERSON, row_person("ada", 36, "Ada", 0.5), row_person("ada", 37, "Ada", 0.5));
  append_row(j, &f, T_PERSON, row_person("ada", 37, "Ada", 0.5), row_person("lovelace", 37, "Ada", 0.5)); /* another key */
  append_row(j, &f, T_PERSON, row_person("bob", 1, NULL, 0), NULL);
  append_row(j, &f, T_COUNTER, row_counter(UINT64_MAX, -1), row_counter(UINT64_MAX, -2));
  append_row(j, &f, T_READING, row_reading(-0.0, "minus zero"), row_reading(-0.0, "still"));
  append_row(j, &f, T_READING, row_reading(NAN, "nan"), NULL);
  append_row(j, &f, T_TAG, row_tag("x", 1), row_tag("x", 2));
  append_row(j, &f, T_PERSON, NULL, row_person("bob", 2, NULL, 0)); /* back again */
  append_row(j, &f, T_PERSON, row_person("bob", 2, NULL, 0), NULL);
  close_ok(j);
  assert_sql(f.path, "SELECT group_concat(id || age, ',') FROM person", "lovelace37");
  assert_sql(f.path, "SELECT group_concat(value, ',') FROM counter", "-2");
  assert_sql(f.path, "SELECT group_concat(note, ',') FROM (SELECT * FROM reading ORDER BY note)", "still,zero");
  assert_sql(f.path, "SELECT group_concat(a || b, ',') FROM tag", "x2");
  assert_sql(f.path, "SELECT count(*) FROM _iu_journal", "0");
  assert_sql(f.path, "SELECT value FROM _iu_meta WHERE key = 'folded'", "16");
  assert_sql(f.path, "PRAGMA journal_mode", "delete");
  assert_sql(f.path, "PRAGMA integrity_check", "ok");
  assert_false(file_exists(f.path, "-wal"));
  assert_false(file_exists(f.path, "-shm"));
  assert_false(file_exists(f.path, ".lock"));
  fixture_end(&f);
}

/* The readable columns always say what `_row` says: the file is compared with one that was made from the final rows at once. */
static void test_readable_columns_follow_the_rows(void **state) {
  fixture f, g;
  random_source r = random_begin("columns");
  model m = {0};
  iu_journal_config c;
  iu_journal *j;
  iu_error err;
  static const char *const tables[] = {"person", "counter", "tag", "reading", "note"};

  (void)state;
  fixture_begin(&f);
  fixture_begin(&g);
  m.f = &f;
  c = config_for(&f);
  c.fold_bytes = 2000;
  j = open_loaded(&c, &f, NULL, NULL);
  for (int i = 0; i < 4000; i++) {
    assert_ok(step(j, &m, &r, &err), &err);
    if (i % 100 == 0) assert_ok(iu__journal_fold(j, -1, &err), &err);
  }
  close_ok(j);
  c = config_for(&g);
  j = open_loaded(&c, &g, NULL, NULL);
  for (uint32_t i = 0; i < m.count; i++) append_row(j, &g, m.rows[i].table, NULL, row_copy(m.rows[i].row->data, m.rows[i].row->len));
  close_ok(j);
  for (unsigned i = 0; i < 5; i++) {
    char sql[512], count[64];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", tables[i]);
    sql_text(g.path, sql, count, sizeof count);
    assert_sql(f.path, sql, count);
    {
      sqlite3 *db;
      sqlite3_stmt *st;
      char attach[256];
      assert_int_equal(sqlite3_open_v2(f.path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
      snprintf(attach, sizeof attach, "ATTACH '%s' AS other", g.path);
      assert_int_equal(sqlite3_exec(db, attach, NULL, NULL, NULL), SQLITE_OK);
      snprintf(sql, sizeof sql, "SELECT count(*) FROM (SELECT * FROM main.%s EXCEPT SELECT * FROM other.%s)", tables[i], tables[i]);
      assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
      assert_int_equal(sqlite3_step(st), SQLITE_ROW);
      assert_int_equal(sqlite3_column_int(st, 0), 0);
      sqlite3_finalize(st);
      sqlite3_close(db);
    }
  }
  model_free(&m);
  fixture_end(&f);
  fixture_end(&g);
}

/* A reader that stays in its transaction holds up neither commits nor folds nor the close, and sees one state all the time. */
static void test_a_long_reader_holds_up_nobody(void **state) {
  fixture f;
  random_source r = random_begin("reader");
  model m = {0}, back = {0};
  iu_journal_config c;
  iu_journal *j;
  sqlite3 *reader;
  sqlite3_stmt *st;
  iu_error err;
  int before;

  (void)state;
  fixture_begin(&f);
  m.f = back.f = &f;
  c = config_for(&f);
  c.busy_timeout_ms = 0;
  c.fold_bytes = 0;
  j = open_loaded(&c, &f, NULL, NULL);
  for (int i = 0; i < 100; i++) assert_ok(step(j, &m, &r, &err), &err);
  assert_ok(iu__journal_fold(j, -1, &err), &err);
  assert_int_equal(sqlite3_open_v2(f.path, &reader, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_exec(reader, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(reader, "SELECT count(*) FROM note", -1, &st, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(st), SQLITE_ROW);
  before = sqlite3_column_int(st, 0);
  sqlite3_reset(st);
  for (int i = 0; i < 3000; i++) assert_ok(step(j, &m, &r, &err), &err);
  assert_ok(iu__journal_fold(j, 20000, &err), &err);
  assert_int_equal(sqlite3_step(st), SQLITE_ROW);
  assert_int_equal(sqlite3_column_int(st, 0), before);
  sqlite3_reset(st);
  close_ok(j);
  sqlite3_finalize(st);
  sqlite3_close(reader);
  close_ok(open_loaded(&c, &f, &back, NULL));
  assert_model_equal(&m, &back);
  assert_false(file_exists(f.path, "-wal"));
  model_free(&m);
  model_free(&back);
  fixture_end(&f);
}

static void test_pages_of_a_folded_journal_are_given_back(void **state) {
  fixture f;
  iu_journal_config c;
  iu_journal *j;
  iu_error err;
  struct stat open_size, closed_size;
  uint8_t *bytes = calloc(1, 1 << 20);

  (void)state;
  fixture_begin(&f);
  c = config_for(&f);
  c.fold_idle_ms = 3600000;
  j = open_loaded(&c, &f, NULL, NULL);
  append_row(j, &f, T_NOTE, NULL, row_note(1, bytes, 1 << 20));
  for (int i = 0; i < 40; i++) append_row(j, &f, T_NOTE, row_note(1, bytes, 1 << 20), row_note(1, bytes, 1 << 20));
  assert_ok(iu__journal_fold(j, -1, &err), &err);
  assert_int_equal(stat(f.path, &open_size), 0);
  close_ok(j);
  assert_int_equal(stat(f.path, &closed_size), 0);
  assert_true(closed_size.st_size < 8 << 20);
  assert_sql(f.path, "SELECT length(data) FROM note", "1048576");
  free(bytes);
  fixture_end(&f);
}

/* ---- a table of many rows, most of which a thread reads ahead ---- */

#define MANY 25000

static iu_status note_is_next(void *ud, uint32_t table, const void *row, size_t len, iu_error *err) {
  int64_t *next = ud;
  (void)err;
  assert_int_equal(table, T_NOTE);
  assert_int_equal(len, 8 + 4 + 5);
  assert_int_equal(iu__load_u64(row), *next);
  ++*next;
  return IU_OK;
}

static iu_status load_notes(const iu_journal_config *c, int64_t *next, iu_error *err) {
  iu_journal_sink sink = {next, note_is_next, sink_del, sink_sequence, NULL};
  iu_journal_recovery recovery;
  iu_journal *j;
  iu_status status = iu__journal_open(c, &j, err);

  *next = 0;
  if (status != IU_OK) return status;
  status = iu__journal_load(j, &sink, &recovery, err);
  if (status == IU_OK) assert_int_equal(recovery.table_rows, *next);
  close_ok(j);
  return status;
}

static void test_many_rows_come_back_in_order(void **state) {
  fixture f;
  iu_journal_config c;
  iu_journal *j;
  iu_error err;
  int64_t next;

  (void)state;
  fixture_begin(&f);
  c = config_for(&f);
  j = open_loaded(&c, &f, NULL, NULL);
  for (int64_t i = 0; i < MANY; i++) append_row(j, &f, T_NOTE, NULL, row_note(i, "bytes", 5));
  close_ok(j);
  assert_ok(load_notes(&c, &next, &err), &err);
  assert_int_equal(next, MANY);
  sql_exec(f.path, "UPDATE note SET _row = x'0102' WHERE key = 20000");
  assert_int_equal(load_notes(&c, &next, &err), IU_E_STORAGE);
  assert_non_null(strstr(err.message, "the file is damaged: a row of table `note`"));
  assert_int_equal(next, 20000);
  sql_exec(f.path, "UPDATE note SET _row = 'text' WHERE key = 15000");
  assert_int_equal(load_notes(&c, &next, &err), IU_E_STORAGE);
  assert_string_equal(err.message, "the file is damaged: a row of table `note` is no blob");
  assert_int_equal(next, 15000);
  fixture_end(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_many_rows_come_back_in_order),
      cmocka_unit_test(test_scalars),
      cmocka_unit_test(test_other_kinds),
      cmocka_unit_test(test_which_types_are_keys),
      cmocka_unit_test(test_last_state_only),
      cmocka_unit_test(test_readable_columns_follow_the_rows),
      cmocka_unit_test(test_a_long_reader_holds_up_nobody),
      cmocka_unit_test(test_pages_of_a_folded_journal_are_given_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
