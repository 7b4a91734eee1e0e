/* Schemas from module definitions: M-1 and M-2 of the sheet, and what good definitions mean. */
#include "sats_schema_fixture.h"

static iu_schema *decode_hex(const char *hex) {
  bytes_of b = unhex(hex);
  iu_schema *s;
  iu_error err;
  if (iu__schema_decode(b.p, b.len, &s, &err) != IU_OK) fail_msg("%s", err.message);
  assert_int_equal(s->definition_len, b.len);
  assert_memory_equal(s->definition, b.p, b.len);
  free(b.p);
  return s;
}

static iu_schema *good(def *d) {
  iu_error err = {0};
  iu_schema *s = decode_def(d, &err);
  if (s == NULL) fail_msg("%s", err.message);
  return s;
}

/* The typespace as it stands in a V9 definition: behind the version's tag. */
static void assert_typespace_comes_back(const iu_schema *s) {
  iu_buf b = {0};
  iu__typespace_encode(&s->types, &b);
  assert_true(b.len + 1 <= s->definition_len);
  assert_memory_equal(b.data, s->definition + 1, b.len);
  iu__buf_free(&b);
}

static void the_empty_module_decodes(void **state) {
  (void)state;
  iu_schema *s = decode_hex(M1);
  assert_int_equal(s->table_count, 0);
  assert_int_equal(s->reducer_count, 0);
  assert_int_equal(s->types.count, 0);
  assert_int_equal(iu__schema_table(s, "user", 4), -1);
  assert_int_equal(iu__schema_reducer(s, "init", 4), -1);
  assert_typespace_comes_back(s);
  iu__schema_free(s);
  iu__schema_free(NULL);
}

static void the_user_module_decodes(void **state) {
  (void)state;
  iu_schema *s = decode_hex(M2);
  assert_typespace_comes_back(s);
  assert_int_equal(s->types.count, 1);
  assert_string_equal(s->type_names[0], "User");
  assert_int_equal(s->table_count, 1);
  assert_int_equal(iu__schema_table(s, "user", 4), 0);
  const iu_table_def *t = &s->tables[0];
  assert_string_equal(t->name, "user");
  assert_ptr_equal(t->row, s->types.types[0]);
  assert_int_equal(t->row->count, 2);
  assert_string_equal(t->row->u.fields[0].name, "id");
  assert_ptr_equal(t->row->u.fields[0].type, iu__type_scalar(IU_T_U32));
  assert_string_equal(t->row->u.fields[1].name, "name");
  assert_int_equal(t->primary_key, 0);
  assert_true(t->is_public);
  assert_int_equal(t->schedule_reducer, -1);
  assert_int_equal(t->index_count, 1);
  assert_string_equal(t->indexes[0].name, "user_id_idx_btree");
  assert_string_equal(t->indexes[0].accessor, "id");
  assert_int_equal(t->indexes[0].column_count, 1);
  assert_int_equal(t->indexes[0].columns[0], 0);
  assert_true(t->indexes[0].unique);
  assert_int_equal(t->sequence_count, 1);
  assert_string_equal(t->sequences[0].name, "user_id_seq");
  assert_int_equal(t->sequences[0].column, 0);
  assert_int_equal(t->sequences[0].start, 1);
  assert_int_equal(t->sequences[0].min, 1);
  assert_int_equal(t->sequences[0].max, UINT32_MAX);
  assert_int_equal(t->sequences[0].increment, 1);
  assert_int_equal(iu__table_def_column(t, "name", 4), 1);
  assert_int_equal(iu__table_def_column(t, "Name", 4), -1);
  assert_int_equal(iu__table_def_index(t, "id", 2), 0);
  assert_int_equal(iu__table_def_index(t, "user_id_idx_btree", 17), 0);
  assert_int_equal(iu__table_def_index(t, "user", 4), -1);
  assert_int_equal(s->reducer_count, 2);
  assert_string_equal(s->reducers[0].name, "init");
  assert_int_equal(s->reducers[0].lifecycle, IU_LC_INIT);
  assert_int_equal(s->reducers[0].params->count, 0);
  assert_string_equal(s->reducers[1].name, "set_name");
  assert_int_equal(s->reducers[1].lifecycle, IU_LC_NONE);
  assert_int_equal(iu__schema_reducer(s, "set_name", 8), 1);
  assert_int_equal(iu__schema_reducer(s, "set_nam", 7), -1);
  iu__schema_free(s);
}

static void the_fixture_writes_the_same_bytes(void **state) {
  (void)state;
  iu_typespace ts = {0};
  def d = {0};
  table_parts p = {0};
  iu_field name[] = {{"name", scalar(IU_T_STRING)}};
  add_type(&d, user_row(&ts), "User");
  add_index(&p, "user_id_idx_btree", "id", 0, COLUMNS(0));
  add_unique(&p, NULL, COLUMNS(0));
  add_sequence(&p, NULL, 0, NOT_GIVEN, NOT_GIVEN, NOT_GIVEN, 1);
  add_table(&d, "user", 0, 0, &p);
  add_reducer(&d, "init", special(IU_S_UNIT), 0);
  add_reducer(&d, "set_name", iu__type_product(&ts, 1, name), -1);
  iu_buf b = finish_def(&d);
  assert_hex(b.data, b.len, M2);
  iu__buf_free(&b);
  iu__typespace_free(&ts);
}

/* entity-like: nested named types, an enum, a private table, many indexes, a schedule */
static void full_definition(iu_typespace *ts, def *d) {
  iu_field meta[] = {{"tags", iu__type_array(ts, scalar(IU_T_STRING))}, {"kind", iu__type_ref(ts, 3)}};
  iu_field row[] = {{"id", scalar(IU_T_U64)}, {"owner", special(IU_S_IDENTITY)}, {"metadata", iu__type_ref(ts, 1)},
                    {"kind", iu__type_ref(ts, 3)}, {"small", scalar(IU_T_I8)}};
  iu_field kinds[] = {{"Red", special(IU_S_UNIT)}, {"Green", special(IU_S_UNIT)}};
  iu_field timer[] = {{"id", scalar(IU_T_U64)}, {"at", special(IU_S_SCHEDULE_AT)}};
  iu_field timer_param[] = {{"timer", iu__type_ref(ts, 2)}};
  iu_field params[] = {{"kind", scalar(IU_T_STRING)}, {"metadata", iu__type_ref(ts, 1)}, {"id", iu__type_option(ts, scalar(IU_T_STRING))}};
  table_parts p = {0};
  add_type(d, iu__type_product(ts, 5, row), NULL); /* a row type needs no name */
  add_type(d, iu__type_product(ts, 2, meta), "Metadata");
  add_type(d, iu__type_product(ts, 2, timer), "Timer");
  add_type(d, iu__type_sum(ts, 2, kinds), "Kind");
  add_index(&p, NULL, NULL, 0, COLUMNS(0));
  add_index(&p, NULL, NULL, 1, COLUMNS(1, 4));
  add_index(&p, NULL, NULL, 2, COLUMNS(3));
  add_index(&p, "other", NULL, 0, COLUMNS(4, 1));
  add_index(&p, NULL, NULL, 1, COLUMNS(0));
  add_unique(&p, NULL, COLUMNS(0));
  add_unique(&p, "one_each", COLUMNS(4, 1));
  add_sequence(&p, "numbers", 0, NOT_GIVEN, NOT_GIVEN, NOT_GIVEN, 1);
  add_sequence(&p, NULL, 4, -5, -100, NOT_GIVEN, -1);
  p.hidden = true;
  add_table(d, "thing", 0, 0, &p);
  add_index(&p, NULL, "id", 0, COLUMNS(0));
  add_unique(&p, NULL, COLUMNS(0));
  p.sched_reducer = "tick";
  p.sched_column = 1;
  add_table(d, "Alarm", 2, 0, &p);
  add_table(d, "plain", 2, -1, NULL);
  add_reducer(d, "tick", iu__type_product(ts, 1, timer_param), -1);
  add_reducer(d, "create", iu__type_product(ts, 3, params), -1);
  add_reducer(d, "connected", special(IU_S_UNIT), 1);
  add_reducer(d, "disconnected", special(IU_S_UNIT), 2);
}

static void a_full_definition_means_what_it_says(void **state) {
  (void)state;
  iu_typespace ts = {0};
  def d = {0};
  full_definition(&ts, &d);
  iu_schema *s = good(&d);
  assert_typespace_comes_back(s);
  const iu_table_def *t = &s->tables[iu__schema_table(s, "thing", 5)];
  assert_false(t->is_public);
  static const struct { const char *name, *accessor; bool unique; } want[] = {
      {"thing_id_idx_btree", "id", true}, {"thing_owner_small_idx_hash", "owner_small", true},
      {"thing_kind_idx_direct", "kind", false}, {"other", "small_owner", true}, {"thing_id_idx_hash", "thing_id_idx_hash", true}};
  assert_int_equal(t->index_count, 5);
  for (int i = 0; i < 5; i++) {
    assert_string_equal(t->indexes[i].name, want[i].name);
    assert_string_equal(t->indexes[i].accessor, want[i].accessor);
    assert_int_equal(t->indexes[i].unique, want[i].unique);
  }
  assert_int_equal(t->indexes[3].columns[0], 4); /* in the order given */
  assert_int_equal(t->indexes[3].columns[1], 1);
  assert_string_equal(t->sequences[0].name, "numbers");
  assert_int_equal(t->sequences[0].max, INT64_MAX);
  assert_string_equal(t->sequences[1].name, "thing_small_seq");
  assert_int_equal(t->sequences[1].start, -5);
  assert_int_equal(t->sequences[1].min, -100);
  assert_int_equal(t->sequences[1].max, 127);
  assert_int_equal(t->sequences[1].increment, -1);
  const iu_table_def *alarm = &s->tables[iu__schema_table(s, "Alarm", 5)];
  assert_int_equal(alarm->schedule_reducer, iu__schema_reducer(s, "tick", 4));
  assert_int_equal(alarm->schedule_column, 1);
  assert_int_equal(s->tables[iu__schema_table(s, "plain", 5)].primary_key, -1);
  assert_null(s->type_names[0]);
  assert_int_equal(s->reducers[iu__schema_reducer(s, "disconnected", 12)].lifecycle, IU_LC_DISCONNECT);
  assert_int_equal(s->reducers[iu__schema_reducer(s, "connected", 9)].lifecycle, IU_LC_CONNECT);
  iu_buf text = {0};
  iu__reducer_signature(s, &s->reducers[iu__schema_reducer(s, "create", 6)], &text);
  iu__buf_put_u8(&text, 0);
  assert_string_equal((const char *)text.data, "create(kind: String, metadata: Metadata, id: Option<String>)");
  iu__buf_free(&text);
  iu__schema_free(s);
  iu__typespace_free(&ts);
}

static void parameters_may_be_recursive_through_names(void **state) {
  (void)state;
  iu_typespace ts = {0};
  def d = {0};
  iu_field tree[] = {{"children", iu__type_array(&ts, iu__type_ref(&ts, 0))}}, param[] = {{"tree", iu__type_ref(&ts, 0)}};
  add_type(&d, iu__type_product(&ts, 1, tree), "Tree");
  add_reducer(&d, "plant", iu__type_product(&ts, 1, param), -1);
  iu_schema *s = good(&d);
  iu__schema_free(s);
  iu__typespace_free(&ts);
}

static void defaults_procedures_and_views_are_read(void **state) {
  (void)state;
  iu_typespace ts = {0};
  def d = {0};
  add_type(&d, user_row(&ts), "User");
  add_table(&d, "user", 0, -1, NULL);
  iu_buf *b = &d.exports.bytes;
  bytes_of m5 = unhex("00040000007573657201000400000000000000"); /* M-5: user.name defaults to "" */
  iu__buf_put(b, m5.p, m5.len);
  free(m5.p);
  iu__buf_put_u8(b, 1);
  put_text(b, "a_procedure");
  iu__buf_put_u32(b, 0);
  iu__buf_put_u8(b, IU_T_U8);
  iu__buf_put_u8(b, 2);
  put_text(b, "a_view");
  iu__buf_put_u32(b, 0);
  iu__buf_put_u16(b, 0x0101);
  iu__buf_put_u32(b, 0);
  iu__buf_put_u8(b, IU_T_ARRAY);
  iu__type_encode(iu__type_ref(&ts, 0), b);
  d.exports.count = 3;
  iu_schema *s = good(&d);
  assert_int_equal(s->table_count, 2);
  assert_int_equal(s->view_count, 1);
  assert_true(s->tables[1].is_view && s->tables[1].is_public && s->tables[1].row == s->tables[0].row);
  assert_string_equal(s->tables[1].name, "a_view");
  assert_int_equal(iu__schema_table(s, "user", 4), 0);
  assert_int_equal(iu__schema_procedure(s, "a_procedure", 11), 0);
  iu__schema_free(s);
  iu__typespace_free(&ts);
}

static void names_are_found_among_many(void **state) {
  (void)state;
  def d = {0};
  char name[32];
  for (int i = 0; i < 500; i++) {
    sprintf(name, "t%d", i * 7919 % 500);
    add_reducer(&d, name, special(IU_S_UNIT), -1);
  }
  iu_schema *s = good(&d);
  for (uint32_t i = 0; i < 500; i++) {
    const char *own = s->reducers[i].name;
    assert_int_equal(iu__schema_reducer(s, own, strlen(own)), i);
  }
  static const char *const absent[] = {"", "t", "t500", "t1000", "s", "u", "t10x"};
  for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) assert_int_equal(iu__schema_reducer(s, absent[i], strlen(absent[i])), -1);
  assert_int_equal(iu__schema_reducer(s, "t1\0x", 4), -1);
  iu__schema_free(s);
}

static void near_names_are_suggested(void **state) {
  (void)state;
  iu_schema *s = decode_hex(M2);
  char out[96];
  iu__schema_suggest_table(s, "usr", 3, out);
  assert_string_equal(out, ", did you mean `user`?");
  iu__schema_suggest_column(&s->tables[0], "nmae", 4, out);
  assert_string_equal(out, ", did you mean `name`?");
  iu__schema_suggest_reducer(s, "setname", 7, out);
  assert_string_equal(out, ", did you mean `set_name`?");
  iu__schema_suggest_table(s, "completely_else", 15, out);
  assert_string_equal(out, "");
  iu__schema_suggest_table(s, "x", 1, out);
  assert_string_equal(out, "");
  iu__schema_free(s);
  def d = {0};
  char long_name[66];
  memset(long_name, 'a', 65);
  long_name[65] = '\0';
  add_reducer(&d, long_name, special(IU_S_UNIT), -1);
  add_reducer(&d, long_name + 1, special(IU_S_UNIT), -1);
  s = good(&d);
  iu__schema_suggest_reducer(s, long_name + 2, 63, out);
  assert_int_equal(strlen(out), strlen(", did you mean ``?") + 64);
  iu__schema_free(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_empty_module_decodes),
      cmocka_unit_test(the_user_module_decodes),
      cmocka_unit_test(the_fixture_writes_the_same_bytes),
      cmocka_unit_test(a_full_definition_means_what_it_says),
      cmocka_unit_test(parameters_may_be_recursive_through_names),
      cmocka_unit_test(defaults_procedures_and_views_are_read),
      cmocka_unit_test(names_are_found_among_many),
      cmocka_unit_test(near_names_are_suggested),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
