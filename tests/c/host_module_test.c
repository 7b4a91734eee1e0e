/* host_module_test.c: tables and reducers declared in C: declarations, what a reducer may do, errors, schedules, several universes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../core/base/errinj.h"
#include "../../core/include/inner_universe.h"

typedef struct arena { iu_runtime *rt; iu_module *m; iu_universe *u; iu_error err; int ticks, inits; bool free_in_tick; } arena;

static iu_status spawn(void *ud, iu_ctx *ctx, const iu_value *args, iu_error *err) {
  iu_value name, row;
  const char *text;
  size_t len;
  uint64_t id;
  (void)ud;
  assert_int_equal(iu_value_field(args, "name", &name, err), IU_OK);
  assert_int_equal(iu_value_string(&name, &text, &len, err), IU_OK);
  if (len == 0) return iu_fail(err, IU_E_VALIDATION, "a player needs a name, got %zu bytes", len);
  iu_arg columns[] = {iu_arg_u64(0), iu_arg_text_n(text, len), iu_arg_f64(1.5), iu_arg_none(), iu_arg_text("red")};
  iu_status status = iu_ctx_insert(ctx, "player", columns, 5, &row, err);
  if (status != IU_OK) return status;
  assert_int_equal(iu_column_u64(&row, "id", &id, err), IU_OK);
  assert_int_not_equal(id, 0);
  return IU_OK;
}

/* Everything else a reducer may do, from inside. */
static iu_status play(void *ud, iu_ctx *ctx, const iu_value *args, iu_error *err) {
  arena *a = ud;
  uint8_t who[32], me[32], connection[16];
  iu_arg one = iu_arg_u64(1), two = iu_arg_u64(2), nine = iu_arg_u64(9), low = iu_arg_f64(1), guild = iu_arg_text("g"), bob = iu_arg_text("bob"), empty = iu_arg_text("");
  iu_value row;
  iu_ctx_rows *rows;
  uint64_t n;
  bool found;
  double x;
  (void)args;
  iu_ctx_sender(ctx, who);
  iu_identity(a->u, me, NULL);
  assert_memory_equal(who, me, 32);
  iu_ctx_connection_id(ctx, connection);
  assert_true(iu_ctx_timestamp(ctx) > 0);
  assert_true(iu_ctx_random(ctx) != iu_ctx_random(ctx));
  assert_int_equal(iu_ctx_call(ctx, "spawn", &bob, 1, err), IU_OK);
  assert_int_equal(iu_ctx_call(ctx, "spawn", &bob, 1, err), IU_E_CONFLICT);
  assert_int_equal(iu_ctx_call(ctx, "spawn", &empty, 1, err), IU_E_VALIDATION);
  assert_string_equal(err->message, "a player needs a name, got 0 bytes");
  assert_int_equal(iu_ctx_call(ctx, "spawm", &bob, 1, err), IU_E_VALIDATION);
  assert_int_equal(iu_ctx_count(ctx, "player", &n, err), IU_OK);
  assert_int_equal(n, 2);
  assert_int_equal(iu_ctx_get(ctx, "player", &two, &row, &found, err), IU_OK);
  assert_true(found);
  assert_int_equal(iu_ctx_get(ctx, "player", &nine, NULL, &found, err), IU_OK);
  assert_false(found);
  iu_arg moved[] = {two, iu_arg_text("bob"), iu_arg_f64(7), guild, iu_arg_variant("rgb", &one)};
  assert_int_equal(iu_ctx_update(ctx, "player", moved, 5, &row, err), IU_OK);
  assert_int_equal(iu_column_f64(&row, "x", &x, err), IU_OK);
  assert_true(x == 7);
  moved[0] = nine;
  assert_int_equal(iu_ctx_update(ctx, "player", moved, 5, NULL, err), IU_E_VALIDATION);
  assert_string_equal(err->message, "table `player`: there is no row with that `id`");
  assert_int_equal(iu_ctx_insert(ctx, "player", moved, 4, NULL, err), IU_E_VALIDATION);
  assert_string_equal(err->message, "table `player` has 5 columns, got 4");
  moved[2] = iu_arg_text("no number");
  assert_int_equal(iu_ctx_insert(ctx, "player", moved, 5, NULL, err), IU_E_VALIDATION);
  assert_string_equal(err->message, "table `player`: x: expected F32, got \"no number\"");
  assert_int_equal(iu_ctx_find(ctx, "player", "guild", &guild, 1, &rows, err), IU_OK);
  assert_true(iu_ctx_rows_next(rows, &row));
  assert_false(iu_ctx_rows_next(rows, NULL));
  iu_ctx_rows_free(rows);
  assert_int_equal(iu_ctx_scan(ctx, "player", "x", &low, NULL, true, &rows, err), IU_OK);
  assert_true(iu_ctx_rows_next(rows, &row));
  assert_int_equal(iu_column_f64(&row, "x", &x, err), IU_OK);
  assert_true(x == 7);
  assert_int_equal(iu_ctx_delete_row(ctx, "player", &row, err), IU_OK); /* the scan goes on as it began */
  assert_int_equal(iu_ctx_delete_row(ctx, "player", &row, err), IU_E_VALIDATION);
  assert_true(iu_ctx_rows_next(rows, &row));
  assert_int_equal(iu_ctx_delete(ctx, "player", &nine, &found, err), IU_OK);
  assert_false(found);
  assert_int_equal(iu_ctx_delete(ctx, "player", &nine, NULL, err), IU_E_VALIDATION);
  assert_int_equal(iu_ctx_scan(ctx, "nobody", NULL, NULL, NULL, false, &rows, err), IU_E_VALIDATION);
  assert_int_equal(iu_call(a->u, "spawn", &bob, 1, 0, err), IU_E_VALIDATION); /* it would wait */
  assert_int_equal(iu_step(a->rt, 0, NULL, err), IU_E_VALIDATION);
  return IU_OK; /* one scan is left open */
}

/* Some columns of a row, by the row and by its key. */
static iu_status retouch(void *ud, iu_ctx *ctx, const iu_value *args, iu_error *err) {
  enum { ID, NAME, X, GUILD };
  static const uint32_t x_only[] = {X}, guild_then_name[] = {GUILD, NAME}, twice[] = {X, X}, none_such[] = {5};
  iu_arg bob = iu_arg_text("bob"), one = iu_arg_u64(1), nine = iu_arg_u64(9), words = iu_arg_text("far"), ann = iu_arg_text("ann");
  iu_arg far = iu_arg_f64(100), texts[] = {iu_arg_text("a guild with a long name"), iu_arg_text("b")};
  iu_value row, other, changed;
  iu_ctx_rows *rows;
  const char *text;
  size_t len, seen = 0;
  double x;
  bool found;
  (void)ud, (void)args;
  assert_int_equal(iu_ctx_call(ctx, "spawn", &bob, 1, err), IU_OK);
  /* Each in turn, while the scan stands on it: it sees what it saw when it began. */
  assert_int_equal(iu_ctx_scan(ctx, "player", NULL, NULL, NULL, false, &rows, err), IU_OK);
  while (iu_ctx_rows_next(rows, &row)) {
    assert_int_equal(iu_ctx_set(ctx, "player", &row, x_only, &far, 1, &changed, err), IU_OK);
    assert_int_equal(iu_column_f64(&row, "x", &x, err), IU_OK);
    assert_true(x == 1.5);
    assert_int_equal(iu_column_f64(&changed, "x", &x, err), IU_OK);
    assert_true(x == 100);
    assert_int_equal(iu_ctx_set(ctx, "player", &row, x_only, &far, 1, NULL, err), IU_E_VALIDATION); /* it is another one now */
    assert_string_equal(err->message, "table `player`: the row is not there, or not one of this table");
    seen++;
  }
  assert_int_equal(seen, 2);
  /* Not the one that was given last; other sizes, in another order. */
  assert_int_equal(iu_ctx_get(ctx, "player", &one, &row, &found, err), IU_OK);
  assert_int_equal(iu_ctx_patch(ctx, "player", &one, x_only, &far, 1, NULL, err), IU_OK); /* as it was */
  assert_int_equal(iu_ctx_set(ctx, "player", &changed, guild_then_name, texts, 2, &other, err), IU_OK);
  assert_int_equal(iu_column_string(&other, "guild", &text, &len, err), IU_OK);
  assert_memory_equal(text, "a guild with a long name", len);
  assert_int_equal(iu_column_string(&other, "name", &text, &len, err), IU_OK);
  assert_true(len == 1 && text[0] == 'b');
  assert_int_equal(iu_column_f64(&other, "x", &x, err), IU_OK);
  assert_true(x == 100);
  assert_int_equal(iu_ctx_set(ctx, "player", &other, NULL, NULL, 0, NULL, err), IU_OK); /* nothing */
  /* Refusals change nothing. */
  assert_int_equal(iu_ctx_set(ctx, "player", &row, x_only, &words, 1, NULL, err), IU_E_VALIDATION);
  assert_string_equal(err->message, "table `player`: x: expected F32, got \"far\"");
  assert_int_equal(iu_ctx_set(ctx, "player", &row, twice, texts, 2, NULL, err), IU_E_VALIDATION);
  assert_string_equal(err->message, "table `player`: column `x` is given twice");
  assert_int_equal(iu_ctx_set(ctx, "player", &row, none_such, &far, 1, NULL, err), IU_E_VALIDATION);
  assert_string_equal(err->message, "table `player` has 5 columns, number 5 does not exist (they count from 0)");
  assert_int_equal(iu_ctx_set(ctx, "player", &other, &guild_then_name[1], &ann, 1, NULL, err), IU_E_CONFLICT);
  assert_int_equal(iu_ctx_set(ctx, "tick", &row, x_only, &far, 1, NULL, err), IU_E_VALIDATION);
  assert_int_equal(iu_ctx_set(ctx, "player", NULL, x_only, &far, 1, NULL, err), IU_E_VALIDATION);
  assert_int_equal(iu_ctx_set(ctx, "player", &row, NULL, &far, 1, NULL, err), IU_E_VALIDATION);
  assert_int_equal(iu_ctx_patch(ctx, "player", &nine, x_only, &far, 1, NULL, err), IU_E_VALIDATION);
  assert_string_equal(err->message, "table `player`: there is no row with that `id`");
  return iu_ctx_patch(ctx, "player", &one, x_only, (iu_arg[]){iu_arg_f64(-1)}, 1, NULL, err);
}

static iu_status tick(void *ud, iu_ctx *ctx, const iu_value *args, iu_error *err) {
  iu_value row;
  uint64_t id;
  (void)ctx;
  arena *a = ud;
  a->ticks++;
  if (a->free_in_tick) {
    iu_free(a->u);
    a->u = NULL;
  }
  assert_int_equal(iu_value_at(args, 0, &row, err), IU_OK);
  return iu_column_u64(&row, "id", &id, err);
}
static iu_status plan(void *ud, iu_ctx *ctx, const iu_value *args, iu_error *err) {
  iu_arg at = iu_arg_i64(iu_ctx_timestamp(ctx) + 5000);
  iu_arg columns[] = {iu_arg_u64(0), iu_arg_variant("Time", &at)};
  (void)ud; (void)args;
  return iu_ctx_insert(ctx, "tick", columns, 2, NULL, err);
}
static iu_status started(void *ud, iu_ctx *ctx, const iu_value *args, iu_error *err) {
  iu_arg ann = iu_arg_text("ann");
  (void)args;
  ((arena *)ud)->inits++;
  return iu_ctx_call(ctx, "spawn", &ann, 1, err);
}

static void declare(arena *a) {
  static const iu_member color[] = {{"red", "unit"}, {"rgb", "u32"}}, name[] = {{"name", "string"}};
  static const char *const by_x[] = {"x"};
  iu_error *err = &a->err;
  assert_int_equal(iu_module_new("arena", &a->m, err), IU_OK);
  iu_arg none = iu_arg_none();
  bool good = iu_module_table(a->m, "player", 0, err) == IU_OK && iu_module_column(a->m, "player", "id", "u64", IU_COLUMN_PRIMARY_KEY | IU_COLUMN_AUTO_INC, NULL, err) == IU_OK &&
              iu_module_column(a->m, "player", "name", "string", IU_COLUMN_UNIQUE, NULL, err) == IU_OK &&
              iu_module_column(a->m, "player", "x", "f32", 0, NULL, err) == IU_OK &&
              iu_module_column(a->m, "player", "guild", "string?", IU_COLUMN_INDEXED, &none, err) == IU_OK &&
              iu_module_column(a->m, "player", "color", "Color", 0, NULL, err) == IU_OK &&
              iu_module_index(a->m, "player", NULL, by_x, 1, false, err) == IU_OK && iu_module_sum(a->m, "Color", color, 2, err) == IU_OK &&
              iu_module_table(a->m, "tick", IU_TABLE_PRIVATE, err) == IU_OK &&
              iu_module_column(a->m, "tick", "id", "u64", IU_COLUMN_PRIMARY_KEY | IU_COLUMN_AUTO_INC, NULL, err) == IU_OK &&
              iu_module_column(a->m, "tick", "at", "schedule_at", 0, NULL, err) == IU_OK && iu_module_schedule(a->m, "tick", "at", "on_tick", err) == IU_OK &&
              iu_module_reducer(a->m, "spawn", name, 1, spawn, a, err) == IU_OK && iu_module_reducer(a->m, "play", NULL, 0, play, a, err) == IU_OK &&
              iu_module_reducer(a->m, "plan", NULL, 0, plan, a, err) == IU_OK && iu_module_reducer(a->m, "retouch", NULL, 0, retouch, a, err) == IU_OK && iu_module_reducer(a->m, "on_tick", NULL, 0, tick, a, err) == IU_OK &&
              iu_module_on(a->m, IU_MOMENT_INIT, started, a, err) == IU_OK;
  if (!good) fail_msg("%s", err->message);
}

static iu_status open_arena(arena *a, const char *target, bool no_nerv, iu_universe **out) {
  iu_options o = iu_options_default();
  o.modules = &a->m;
  o.module_count = 1;
  o.no_nerv = no_nerv;
  return iu_open(a->rt, target, &o, out, &a->err);
}

static int setup(void **state) {
  arena *a = calloc(1, sizeof *a);
  assert_int_equal(iu_runtime_new(NULL, &a->rt, &a->err), IU_OK);
  declare(a);
  if (open_arena(a, "memory:", true, &a->u) != IU_OK) fail_msg("%s", a->err.message);
  *state = a;
  return 0;
}
static int teardown(void **state) {
  arena *a = *state;
  iu_free(a->u);
  iu_module_free(a->m);
  assert_int_equal(iu_runtime_free(a->rt, &a->err), IU_OK);
  free(a);
  return 0;
}

static void reducers_in_c_do_what_a_transaction_may(void **state) {
  arena *a = *state;
  uint64_t n;
  const char *all[] = {"SELECT * FROM player"};
  assert_int_equal(iu_subscribe(a->u, all, 1, 0, NULL, NULL, NULL, &a->err), IU_OK);
  if (iu_call(a->u, "play", NULL, 0, 0, &a->err) != IU_OK) fail_msg("%s", a->err.message);
  assert_int_equal(iu_count(a->u, "player", &n, NULL), IU_OK);
  assert_int_equal(n, 1); /* ann; bob came and went */
}

static void a_reducer_changes_some_columns(void **state) {
  arena *a = *state;
  iu_cursor *rows;
  iu_value row;
  double x;
  if (iu_call(a->u, "retouch", NULL, 0, 0, &a->err) != IU_OK) fail_msg("%s", a->err.message);
  assert_int_equal(iu_query_once(a->u, "SELECT * FROM player WHERE name = 'ann'", 0, &rows, &a->err), IU_OK);
  assert_true(iu_cursor_next(rows, &row));
  assert_int_equal(iu_column_f64(&row, "x", &x, &a->err), IU_OK);
  assert_true(x == -1);
  iu_cursor_free(rows);
  assert_int_equal(iu_query_once(a->u, "SELECT * FROM player WHERE name = 'b' AND x = 100", 0, &rows, &a->err), IU_OK);
  assert_int_equal(iu_cursor_count(rows), 1);
  iu_cursor_free(rows);
}

static void a_refusal_has_the_reducers_words(void **state) {
  arena *a = *state;
  iu_arg empty = iu_arg_text("");
  assert_int_equal(iu_call(a->u, "spawn", &empty, 1, 0, &a->err), IU_E_VALIDATION);
  assert_string_equal(a->err.message, "a player needs a name, got 0 bytes");
}

static iu_status end_all(void *ud, iu_ctx *ctx, const iu_value *args, iu_error *err) {
  arena *a = ud;
  iu_arg bob = iu_arg_text("bob"), one = iu_arg_u64(1);
  bool found;
  (void)args;
  assert_int_equal(iu_ctx_call(ctx, "spawn", &bob, 1, err), IU_OK);
  iu_free(a->u);
  a->u = NULL;
  assert_int_equal(iu_ctx_call(ctx, "spawn", &bob, 1, err), IU_E_CLOSED);
  assert_int_equal(iu_ctx_get(ctx, "player", &one, NULL, &found, err), IU_OK); /* what is there is there until it returns */
  return IU_OK;
}
static void a_reducer_may_free_its_universe(void **state) {
  arena *a = *state;
  iu_options o = iu_options_default();
  iu_module *m;
  iu_error err;
  iu_module *both[2];
  iu_free(a->u);
  assert_int_equal(iu_module_new("ending", &m, &err), IU_OK);
  assert_int_equal(iu_module_reducer(m, "end_all", NULL, 0, end_all, a, &err), IU_OK);
  both[0] = a->m;
  both[1] = m;
  o.modules = both;
  o.module_count = 2;
  o.no_nerv = true;
  if (iu_open(a->rt, "memory:", &o, &a->u, &err) != IU_OK) fail_msg("%s", err.message);
  iu_module_free(m);
  assert_int_equal(iu_call(a->u, "end_all", NULL, 0, 0, &err), IU_E_CLOSED);
  assert_string_equal(err.message, "end_all: the universe was closed meanwhile");
  assert_null(a->u);
}

static void scheduled_rows_run_their_reducer(void **state) {
  arena *a = *state;
  bool more;
  assert_int_equal(iu_call(a->u, "plan", NULL, 0, 0, &a->err), IU_OK);
  for (int i = 0; i < 1000 && a->ticks == 0; i++) iu_wait(a->rt, 5, &more, NULL);
  assert_int_equal(a->ticks, 1);
}

static void a_scheduled_reducer_may_free_its_universe(void **state) {
  arena *a = *state;
  a->free_in_tick = true;
  for (int i = 0; i < 3; i++) assert_int_equal(iu_call(a->u, "plan", NULL, 0, 0, &a->err), IU_OK);
  for (int i = 0; i < 1000 && a->ticks == 0; i++) iu_wait(a->rt, 5, NULL, NULL);
  for (int i = 0; i < 5; i++) iu_wait(a->rt, 5, NULL, NULL);
  assert_int_equal(a->ticks, 1);
  assert_null(a->u);
}

static void a_module_is_opened_by_several_universes_and_then_closed_to_additions(void **state) {
  arena *a = *state;
  iu_universe *second;
  iu_arg key = iu_arg_text("k"), value = iu_arg_text("v");
  assert_int_equal(iu_module_table(a->m, "late", 0, &a->err), IU_E_CONFLICT);
  if (open_arena(a, "memory:", false, &second) != IU_OK) fail_msg("%s", a->err.message);
  assert_int_equal(a->inits, 2);
  iu_arg args[] = {key, value, iu_arg_none(), iu_arg_none()};
  assert_int_equal(iu_call(second, "put_record", args, 4, 0, &a->err), IU_OK);
  assert_int_equal(iu_call(a->u, "put_record", args, 4, 0, &a->err), IU_E_VALIDATION); /* without NERV */
  iu_module_free(a->m); /* both go on with it */
  iu_arg bob = iu_arg_text("bob");
  assert_int_equal(iu_call(second, "spawn", &bob, 1, 0, &a->err), IU_OK);
  iu_free(second);
  assert_int_equal(iu_call(a->u, "spawn", &bob, 1, 0, &a->err), IU_OK);
  a->m = NULL;
}

static void mistakes_of_declarations_are_named(void **state) {
  arena *a = *state;
  iu_module *m;
  iu_universe *u;
  iu_error err;
  iu_options o = iu_options_default();
  o.modules = &m;
  o.module_count = 1;
  assert_int_equal(iu_module_new(NULL, &m, &err), IU_E_VALIDATION);
  assert_int_equal(iu_module_new("two", &m, &err), IU_OK);
  assert_int_equal(iu_module_column(m, "nothing", "a", "u8", 0, NULL, &err), IU_E_VALIDATION);
  assert_string_equal(err.message, "table `nothing` is not declared");
  assert_int_equal(iu_open(a->rt, "memory:", &o, &u, &err), IU_E_VALIDATION); /* the first mistake stays */
  assert_string_equal(err.message, "module two: table `nothing` is not declared");
  iu_module_free(m);
  assert_int_equal(iu_module_new("entity", &m, &err), IU_OK);
  assert_int_equal(iu_module_table(m, "entity", 0, &err), IU_OK);
  assert_int_equal(iu_module_column(m, "entity", "a", "u8??[", 0, NULL, &err), IU_E_VALIDATION);
  iu_module_free(m);
  assert_int_equal(iu_module_new("other", &m, &err), IU_OK);
  iu_module_table(m, "entity", 0, &err);
  iu_module_column(m, "entity", "a", "[u8?]", 0, NULL, &err);
  assert_int_equal(iu_open(a->rt, "memory:", &o, &u, &err), IU_E_VALIDATION);
  assert_non_null(strstr(err.message, "declared by two modules"));
  iu_module_free(m);
  o.module_count = 0;
  o.no_nerv = true;
  assert_int_equal(iu_open(a->rt, "memory:", &o, &u, &err), IU_E_VALIDATION);
  assert_int_equal(iu_open(a->rt, "ws://127.0.0.1:1/x", &o, &u, &err), IU_E_VALIDATION);
  assert_string_equal(err.message, "options: no_nerv: for embedded universes only");
}

static void hear_error(void *ud, const char *what, const iu_error *err) {
  arena *a = ud;
  assert_string_equal(what, "spawn");
  assert_string_equal(err->message, "a player needs a name, got 0 bytes");
  a->ticks++;
}
static void errors_nobody_waits_for_go_to_the_handler(void **state) {
  arena *a = *state;
  iu_runtime *was = a->rt;
  iu_runtime_options o = iu_runtime_options_default();
  iu_arg empty = iu_arg_text("");
  iu_universe *u;
  o.on_error = hear_error;
  o.on_error_ud = a;
  assert_int_equal(iu_runtime_new(&o, &a->rt, &a->err), IU_OK);
  assert_int_equal(open_arena(a, "memory:", true, &u), IU_OK);
  assert_int_equal(iu_call_async(u, "spawn", &empty, 1, 0, NULL, NULL, &a->err), IU_OK);
  iu_step(a->rt, 0, NULL, NULL);
  iu_step(a->rt, 0, NULL, NULL);
  assert_int_equal(a->ticks, 1);
  iu_free(u);
  assert_int_equal(iu_runtime_free(a->rt, NULL), IU_OK);
  a->rt = was;
}

static void the_allocator_is_set_first_or_not_at_all(void **state) {
  arena *a = *state;
  iu_allocator none = {0};
  assert_int_equal(iu_set_allocator(&none, &a->err), IU_E_CONFLICT);
}

static iu_status short_life(arena *a, iu_module **m) {
  static const iu_member name[] = {{"name", "string"}};
  iu_options o = iu_options_default();
  iu_arg ann = iu_arg_text("ann"), none = iu_arg_none();
  iu_universe *u = NULL;
  iu_status status = iu_module_new("life", m, &a->err);
  if (status == IU_OK) status = iu_module_table(*m, "player", 0, &a->err);
  if (status == IU_OK) status = iu_module_column(*m, "player", "id", "u64", IU_COLUMN_PRIMARY_KEY | IU_COLUMN_AUTO_INC, NULL, &a->err);
  if (status == IU_OK) status = iu_module_column(*m, "player", "name", "string", IU_COLUMN_UNIQUE, NULL, &a->err);
  if (status == IU_OK) status = iu_module_column(*m, "player", "x", "f32", IU_COLUMN_INDEXED, NULL, &a->err);
  if (status == IU_OK) status = iu_module_column(*m, "player", "guild", "string?", 0, &none, &a->err);
  if (status == IU_OK) status = iu_module_column(*m, "player", "color", "string", 0, NULL, &a->err);
  if (status == IU_OK) status = iu_module_reducer(*m, "spawn", name, 1, spawn, a, &a->err);
  o.modules = m;
  o.module_count = 1;
  o.no_nerv = true;
  if (status == IU_OK) status = iu_open(a->rt, "memory:", &o, &u, &a->err);
  if (status == IU_OK) status = iu_call(u, "spawn", &ann, 1, 0, &a->err);
  iu_free(u);
  return status;
}
static void any_allocation_may_fail(void **state) {
  arena *a = *state;
  for (long i = 0; i < 20000; i++) {
    iu_module *m = NULL;
    iu__errinj_arm(IU_ERRINJ_ALLOC, i);
    iu_status status = short_life(a, &m);
    bool fired = iu__errinj_count(IU_ERRINJ_ALLOC) > i;
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    iu_module_free(m);
    if (!fired) {
      assert_int_equal(status, IU_OK);
      return;
    }
    if (status != IU_OK && status != IU_E_NOMEM) fail_msg("allocation %ld: %d %s", i, status, a->err.message);
  }
  fail_msg("the faults never end");
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      T(a_reducer_changes_some_columns), T(reducers_in_c_do_what_a_transaction_may), T(a_refusal_has_the_reducers_words), T(a_reducer_may_free_its_universe), T(scheduled_rows_run_their_reducer), T(a_scheduled_reducer_may_free_its_universe),
      T(a_module_is_opened_by_several_universes_and_then_closed_to_additions), T(mistakes_of_declarations_are_named),
      T(errors_nobody_waits_for_go_to_the_handler), T(the_allocator_is_set_first_or_not_at_all), T(any_allocation_may_fail)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
