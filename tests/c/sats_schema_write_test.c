/* sats_schema_write_test.c: definitions from calls (schema_write.h), definitions of several modules merged, default values kept. */
#include "sats_schema_fixture.h"

#include "../../core/base/errinj.h"
#include "../../core/sats/schema_write.h"

static const char *const by_guild[] = {"guild"}, *const by_place[] = {"x", "y"}, *const by_name[] = {"name"}, *const by_nothing[] = {"z"};

/* The types Node and Color, the tables player and tick, the reducers spawn(node), on_tick and init. */
static void declare(iu_schema_writer *w, const char *player) {
  static const uint8_t half[4] = {0, 0, 0, 0x3f}, none[1] = {1};
  iu_typespace *ts = iu__schema_writer_types(w);
  const iu_type *f32 = iu__type_scalar(IU_T_F32), *string = iu__type_scalar(IU_T_STRING), *unit = iu__type_special(IU_S_UNIT);
  uint32_t t, r;
  iu_field node[] = {{"color", iu__schema_writer_type_ref(w, "Color")}, {"children", iu__type_array(ts, iu__schema_writer_type_ref(w, "Node"))}};
  iu_field color[] = {{"red", unit}, {"rgb", string}};
  iu__schema_writer_type(w, "Node", iu__type_product(ts, 2, node), NULL);
  iu__schema_writer_type(w, "Color", iu__type_sum(ts, 2, color), NULL);
  iu__schema_writer_table(w, player, true, &t, NULL);
  iu__schema_writer_column(w, t, "id", iu__type_scalar(IU_T_U64), NULL, 0, NULL);
  iu__schema_writer_column(w, t, "name", string, NULL, 0, NULL);
  iu__schema_writer_column(w, t, "x", f32, half, 4, NULL);
  iu__schema_writer_column(w, t, "y", f32, NULL, 0, NULL);
  iu__schema_writer_column(w, t, "guild", iu__type_option(ts, string), none, 1, NULL);
  iu__schema_writer_column(w, t, "color", iu__schema_writer_type_ref(w, "Color"), NULL, 0, NULL);
  iu__schema_writer_primary_key(w, t, "id", NULL);
  iu__schema_writer_auto_inc(w, t, "id", NULL);
  iu__schema_writer_unique(w, t, by_name, 1, NULL);
  iu__schema_writer_index(w, t, NULL, by_guild, 1, NULL);
  iu__schema_writer_index(w, t, "place", by_place, 2, NULL);
  iu__schema_writer_table(w, "tick", false, &t, NULL);
  iu__schema_writer_column(w, t, "id", iu__type_scalar(IU_T_U64), NULL, 0, NULL);
  iu__schema_writer_column(w, t, "at", iu__type_special(IU_S_SCHEDULE_AT), NULL, 0, NULL);
  iu__schema_writer_primary_key(w, t, "id", NULL);
  iu__schema_writer_schedule(w, t, "at", "on_tick", NULL);
  iu__schema_writer_reducer(w, "spawn", IU_LC_NONE, &r, NULL);
  iu__schema_writer_param(w, r, "node", iu__schema_writer_type_ref(w, "Node"), NULL);
  iu__schema_writer_reducer(w, "on_tick", IU_LC_NONE, &r, NULL);
  iu__schema_writer_reducer(w, "init", IU_LC_INIT, &r, NULL);
}

static iu_status write_game(iu_buf *out, iu_error *err) {
  iu_schema_writer *w = iu__schema_writer_new();
  if (w == NULL) return iu__fail_nomem(err);
  declare(w, "player");
  iu_status status = iu__schema_writer_end(w, out, err);
  iu__schema_writer_free(w);
  return status;
}

static void what_is_declared_is_decoded(void **state) {
  iu_buf out = {0}, text = {0};
  iu_error err;
  iu_schema *s;
  (void)state;
  if (write_game(&out, &err) != IU_OK) fail_msg("%s", err.message);
  assert_int_equal(iu__schema_decode(out.data, out.len, &s, &err), IU_OK);
  const iu_table_def *p = &s->tables[0], *t = &s->tables[1];
  assert_string_equal(p->name, "player");
  assert_int_equal(p->primary_key, 0);
  assert_true(p->is_public);
  assert_false(t->is_public);
  assert_int_equal(p->sequence_count, 1);
  assert_int_equal(p->index_count, 4);
  assert_true(p->indexes[iu__table_def_index(p, "name", 4)].unique);
  assert_false(p->indexes[iu__table_def_index(p, "guild", 5)].unique);
  assert_int_equal(p->indexes[iu__table_def_index(p, "place", 5)].column_count, 2);
  assert_int_equal(t->schedule_reducer, 1);
  assert_int_equal(t->schedule_column, 1);
  assert_int_equal(s->reducers[2].lifecycle, IU_LC_INIT);
  assert_null(t->defaults);
  assert_null(p->defaults[0].p);
  assert_int_equal(p->defaults[2].len, 4);
  assert_int_equal(p->defaults[2].p[3], 0x3f);
  assert_int_equal(p->defaults[4].len, 1);
  iu__reducer_signature(s, &s->reducers[0], &text);
  iu__buf_put_str(&text, "; ");
  iu__reducer_signature(s, &s->reducers[1], &text);
  iu__buf_put_u8(&text, 0);
  assert_string_equal((char *)text.data, "spawn(node: Node); on_tick(row: tick)");
  iu__buf_free(&text);
  iu__buf_free(&out);
  iu__schema_free(s);
}

/* ---- what is refused ---- */

typedef void (*mistake)(iu_schema_writer *w);
static void no_column(iu_schema_writer *w) { iu__schema_writer_primary_key(w, 0, "nothing", NULL); }
static void bad_table(iu_schema_writer *w) {
  uint32_t t;
  iu__schema_writer_table(w, "two words", true, &t, NULL);
}
static void same_table(iu_schema_writer *w) {
  uint32_t t;
  iu__schema_writer_table(w, "Player", true, &t, NULL);
}
static void reserved_table(iu_schema_writer *w) {
  uint32_t t;
  iu__schema_writer_table(w, "_iu_x", true, &t, NULL);
  iu__schema_writer_column(w, t, "a", iu__type_scalar(IU_T_U8), NULL, 0, NULL);
}
static void no_columns(iu_schema_writer *w) {
  uint32_t t;
  iu__schema_writer_table(w, "empty", true, &t, NULL);
}
static void same_column(iu_schema_writer *w) { iu__schema_writer_column(w, 0, "x", iu__type_scalar(IU_T_U8), NULL, 0, NULL); }
static void undefined_type(iu_schema_writer *w) { iu__schema_writer_column(w, 0, "w", iu__schema_writer_type_ref(w, "Missing"), NULL, 0, NULL); }
static void scalar_type(iu_schema_writer *w) { iu__schema_writer_type(w, "Id", iu__type_scalar(IU_T_U8), NULL); }
static void type_twice(iu_schema_writer *w) { iu__schema_writer_type(w, "Color", iu__schema_writer_types(w)->made != NULL ? iu__type_product(iu__schema_writer_types(w), 0, NULL) : NULL, NULL); }
static void type_of_table(iu_schema_writer *w) {
  iu_field a[] = {{"a", iu__type_scalar(IU_T_U8)}};
  iu__schema_writer_type(w, "player", iu__type_product(iu__schema_writer_types(w), 1, a), NULL);
}
static void wrong_default(iu_schema_writer *w) { iu__schema_writer_column(w, 0, "w", iu__type_scalar(IU_T_U32), "abc", 3, NULL); }
static void index_nothing(iu_schema_writer *w) { iu__schema_writer_index(w, 0, NULL, by_nothing, 1, NULL); }
static void no_reducer(iu_schema_writer *w) {
  uint32_t t;
  iu__schema_writer_table(w, "later", true, &t, NULL);
  iu__schema_writer_column(w, t, "id", iu__type_scalar(IU_T_U64), NULL, 0, NULL);
  iu__schema_writer_column(w, t, "at", iu__type_special(IU_S_SCHEDULE_AT), NULL, 0, NULL);
  iu__schema_writer_primary_key(w, t, "id", NULL);
  iu__schema_writer_schedule(w, t, "at", "nobody", NULL);
}
static void text_key_auto(iu_schema_writer *w) { iu__schema_writer_auto_inc(w, 0, "name", NULL); }
static void param_of_none(iu_schema_writer *w) { iu__schema_writer_param(w, 77, "a", iu__type_scalar(IU_T_U8), NULL); }

static void mistakes_are_named(void **state) {
  static const struct { mistake make; const char *says; } all[] = {
      {no_column, "table `player` has no column `nothing`"},
      {bad_table, "the table name `two words` is no identifier"},
      {same_table, "two tables are named `Player`, case aside"},
      {reserved_table, "table `_iu_x`: names that start with `_iu_`"},
      {no_columns, "table `empty` has no columns"},
      {same_column, "`player`: two columns are named `x`"},
      {undefined_type, "the type `Missing` is used, but not defined"},
      {scalar_type, "type `Id`: a named type is a product or a sum, this is U8"},
      {type_twice, "two types are named `Color`"},
      {type_of_table, "the type `player` has the name of a table"},
      {wrong_default, "default value of `player.w`"},
      {index_nothing, "table `player` has no column `z`"},
      {no_reducer, "table `later`: the scheduled reducer `nobody` does not exist"},
      {text_key_auto, "its column is no integer"},
      {param_of_none, "reducer number 77 does not exist"}};
  (void)state;
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    iu_schema_writer *w = iu__schema_writer_new();
    iu_buf out = {0};
    iu_error err;
    declare(w, "player");
    all[i].make(w);
    assert_int_equal(iu__schema_writer_end(w, &out, &err), IU_E_VALIDATION);
    if (strstr(err.message, all[i].says) == NULL) fail_msg("%s\nshould say: %s", err.message, all[i].says);
    assert_int_equal(iu__schema_writer_status(w, &err), IU_E_VALIDATION);
    assert_int_equal(out.len, 0);
    iu__buf_free(&out);
    iu__schema_writer_free(w);
  }
}

/* ---- several modules ---- */

static iu_buf other_module(const char *table, const char *type, const char *reducer) {
  iu_schema_writer *w = iu__schema_writer_new();
  iu_field a[] = {{"at", iu__type_special(IU_S_TIMESTAMP)}, {"n", iu__type_scalar(IU_T_I64)}};
  iu_buf out = {0};
  iu_error err;
  uint32_t t, r;
  iu__schema_writer_type(w, type, iu__type_product(iu__schema_writer_types(w), 2, a), NULL);
  iu__schema_writer_table(w, table, true, &t, NULL);
  iu__schema_writer_column(w, t, "id", iu__schema_writer_type_ref(w, type), NULL, 0, NULL);
  iu__schema_writer_reducer(w, reducer, IU_LC_NONE, &r, NULL);
  iu__schema_writer_param(w, r, "a", iu__schema_writer_type_ref(w, type), NULL);
  iu__schema_writer_reducer(w, "init", IU_LC_INIT, &r, NULL);
  if (iu__schema_writer_end(w, &out, &err) != IU_OK) fail_msg("%s", err.message);
  iu__schema_writer_free(w);
  return out;
}

static void modules_are_merged_in_their_order(void **state) {
  iu_buf game = {0}, other = other_module("mark", "Place", "put"), text = {0};
  iu_error err;
  iu_schema *s, *again;
  (void)state;
  assert_int_equal(write_game(&game, &err), IU_OK);
  iu_schema_part parts[] = {{"game", game.data, game.len, 0, 0}, {"other", other.data, other.len, 0, 0}};
  if (iu__schema_merge(parts, 2, &s, &err) != IU_OK) fail_msg("%s", err.message);
  assert_int_equal(parts[0].tables, 2);
  assert_int_equal(parts[1].tables, 1);
  assert_int_equal(parts[0].reducers, 3);
  assert_string_equal(s->tables[2].name, "mark");
  assert_string_equal(s->reducers[3].name, "put");
  assert_string_equal(s->reducers[4].name, "other_init");
  assert_int_equal(s->reducers[4].lifecycle, IU_LC_INIT);
  assert_int_equal(s->tables[0].defaults[2].len, 4);
  assert_int_equal(s->tables[1].schedule_reducer, 1);
  iu__reducer_signature(s, &s->reducers[3], &text);
  iu__buf_put_u8(&text, 0);
  assert_string_equal((char *)text.data, "put(a: Place)");
  assert_int_equal(iu__schema_decode(game.data, game.len, &again, &err), IU_OK);
  for (int i = 0; i < 2; i++) assert_true(iu__type_equal(s->tables[i].row, again->tables[i].row));
  iu__schema_free(again);
  iu__schema_free(s);
  iu__buf_free(&text);
  iu__buf_free(&game);
  iu__buf_free(&other);
}

static void names_that_two_modules_declare_are_refused(void **state) {
  static const struct { const char *table, *type, *reducer, *module, *says; } all[] = {
      {"PLAYER", "Place", "put", "other", "by two modules, `"},
      {"mark", "Color", "put", "other", "the type `Color` is declared by two modules"},
      {"mark", "Place", "spawn", "other", "the reducer `spawn` is declared by two modules"},
      {"mark", "Place", "put", "game", "two modules are named `game`"},
      {"mark", "Place", "put", "no name", "the module name `no name` is no identifier"}};
  iu_buf game = {0};
  iu_error err;
  (void)state;
  assert_int_equal(write_game(&game, &err), IU_OK);
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    iu_buf other = other_module(all[i].table, all[i].type, all[i].reducer);
    iu_schema_part parts[] = {{"game", game.data, game.len, 0, 0}, {all[i].module, other.data, other.len, 0, 0}};
    iu_schema *s;
    assert_int_equal(iu__schema_merge(parts, 2, &s, &err), IU_E_VALIDATION);
    if (strstr(err.message, all[i].says) == NULL) fail_msg("%s\nshould say: %s", err.message, all[i].says);
    assert_null(s);
    iu__buf_free(&other);
  }
  iu_schema_part parts[] = {{"game", game.data, game.len, 0, 0}, {"short", game.data, game.len - 1, 0, 0}};
  iu_schema *s;
  assert_int_equal(iu__schema_merge(parts, 2, &s, &err), IU_E_VALIDATION);
  assert_memory_equal(err.message, "module `short`: ", 16);
  iu__buf_free(&game);
}

static void any_allocation_may_fail(void **state) {
  (void)state;
  for (long i = 0; i < 100000; i++) {
    iu_buf game = {0};
    iu_schema *s = NULL;
    iu_error err;
    iu__errinj_arm(IU_ERRINJ_ALLOC, i);
    iu_status status = write_game(&game, &err);
    if (status == IU_OK) {
      iu_schema_part parts[] = {{"game", game.data, game.len, 0, 0}};
      status = iu__schema_merge(parts, 1, &s, &err);
    }
    bool fired = iu__errinj_count(IU_ERRINJ_ALLOC) > i;
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    iu__schema_free(s);
    iu__buf_free(&game);
    if (status != IU_OK && status != IU_E_NOMEM) fail_msg("allocation %ld: %s", i, err.message);
    if (!fired) {
      assert_int_equal(status, IU_OK);
      return;
    }
  }
  fail_msg("the faults never end");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_declared_is_decoded), cmocka_unit_test(mistakes_are_named),
                                     cmocka_unit_test(modules_are_merged_in_their_order), cmocka_unit_test(names_that_two_modules_declare_are_refused),
                                     cmocka_unit_test(any_allocation_may_fail)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
