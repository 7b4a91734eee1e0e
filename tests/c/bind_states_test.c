/* Several Lua states in one process, and states that end with everything still open: each has its own loop and context, whatever is left is
 * closed with it, and the files are complete afterwards. */
#include "bind_fixture.h"

#include <sys/wait.h>

/* Opens a universe and keeps everything open: tasks, timers, iterators, subscriptions, a session, a bare connection. */
static const char busy[] =
    "local path = ...\n"
    "local iu = require 'inner_universe'\n"
    "world = { heard = 0, ticks = 0 }\n"
    "world.m = assert(iu.open(path))\n"
    "world.m.event_bus:register_handler('*', function() world.heard = world.heard + 1 end)\n"
    "world.conn = assert(iu.connect('memory:', { subscribe = 'all' }))\n"
    "world.conn.tables.entity:on_insert(function(row) world.heard = world.heard + 1 end)\n"
    "world.session = assert(world.conn:session())\n"
    "world.sub = assert(world.session:subscribe('SELECT * FROM entity'))\n"
    "function world.work(n)\n"
    "  iu.run(function()\n"
    "    for t = 1, 3 do\n"
    "      iu.spawn(function()\n"
    "        for i = 1, n do\n"
    "          assert(world.m:create_entity('Thing', { name = t .. ':' .. i }))\n"
    "          assert(world.conn:call('create_entity', 'Thing', { name = 'x', tags = {}, properties = '{}' }))\n"
    "          if i % 5 == 0 then iu.sleep(0.001) end\n"
    "        end\n"
    "      end)\n"
    "    end\n"
    "  end)\n"
    "  world.made = (world.made or 0) + 3 * n\n"
    "  assert(#world.m:query_entities{} == world.made)\n"
    "  assert(world.conn.tables.entity:count() == world.made)\n"
    "end\n"
    "world.work(10)\n"
    "local core = require 'inner_universe.core'\n"
    "world.timer = core.timer(0.001, function() world.ticks = world.ticks + 1 end, 0.001)\n"
    "core.timer(3600, function() end)\n"
    "world.next, world.state, world.control, world.closing = world.conn.tables.entity:iter()\n"
    "assert(world.next(world.state, world.control))\n";

static const char count_things[] =
    "local path, expected = ...\n"
    "local iu = require 'inner_universe'\n"
    "local m = assert(iu.open(path))\n"
    "assert(#m:query_entities{} == tonumber(expected), #m:query_entities{})\n"
    "assert(m:shutdown())\n";

static void check_file(const char *path, const char *expected) {
  lua_State *L = state_new(NULL);
  run_chunk(L, count_things, path, expected, NULL);
  lua_close(L);
}

static void two_states_end_in_either_order(void **state) {
  char first[256], second[256];
  (void)state;
  for (int order = 0; order < 2; order++) {
    lua_State *a = state_new(NULL), *b = state_new(NULL);
    scratch_path(first, "first");
    scratch_path(second, "second");
    run_chunk(a, busy, first, NULL);
    run_chunk(b, busy, second, NULL);
    run_chunk(a, "world.work(5)", NULL);
    run_chunk(b, "world.work(7)", NULL);
    run_chunk(a, "assert(world.m:shutdown())", NULL); /* one properly, the other by its end */
    lua_close(order == 0 ? a : b);
    run_chunk(order == 0 ? b : a, order == 0 ? "world.work(20)" : "world.conn:call('create_entity', 'T', { tags = {}, properties = '{}' })", NULL);
    lua_close(order == 0 ? b : a);
    check_file(first, "45");
    check_file(second, order == 0 ? "111" : "51");
    scratch_remove(first);
    scratch_remove(second);
  }
}

static void two_states_share_a_process_but_not_a_file(void **state) {
  char path[256];
  lua_State *a = state_new(NULL), *b = state_new(NULL);
  (void)state;
  scratch_path(path, "shared");
  run_chunk(a, busy, path, NULL);
  run_chunk(b, "local iu = require 'inner_universe'\n"
               "local m, err = iu.open(...)\n"
               "assert(m == nil and err.kind == 'UniverseLockedError', tostring(err))", path, NULL);
  lua_close(a);
  run_chunk(b, "local iu = require 'inner_universe'\n"
               "m = assert(iu.open(...))\n"
               "assert(#m:query_entities{} == 30)", path, NULL);
  lua_close(b);
  scratch_remove(path);
}

static void two_universes_in_one_state(void **state) {
  char first[256], second[256];
  lua_State *L = state_new(NULL);
  (void)state;
  scratch_path(first, "first");
  scratch_path(second, "second");
  run_chunk(L,
            "local a_path, b_path = ...\n"
            "local iu = require 'inner_universe'\n"
            "local a, b = assert(iu.open(a_path)), assert(iu.open(b_path))\n"
            "local heard = 0\n"
            "a.event_bus:register_handler('*', function(message)\n"
            "  heard = heard + 1\n"
            "  if message.type == 'ENTITY_CREATED' then assert(b:create_entity('Echo')) end\n"
            "end)\n"
            "iu.run(function()\n"
            "  for i = 1, 50 do assert(a:create_entity('Thing')) end\n"
            "  iu.sleep(0)\n"
            "end)\n"
            "iu.step()\n"
            "assert(#b:query_entities{} == 50, #b:query_entities{})\n"
            "assert(a:shutdown())\n"
            "assert(b:create_entity('Thing'))\n"
            "assert(not pcall(a.create_entity, a, 'Thing'))\n", first, second, NULL);
  lua_close(L); /* b is dropped */
  check_file(first, "50");
  check_file(second, "51");
  scratch_remove(first);
  scratch_remove(second);
}

static void a_state_ends_with_everything_open(void **state) {
  char path[256];
  lua_State *L = state_new(NULL);
  (void)state;
  scratch_path(path, "dropped");
  run_chunk(L, busy, path, NULL);
  run_chunk(L, "for i = 1, 1000 do assert(world.m:create_entity('Late')) end", NULL);
  run_chunk(L, "require('inner_universe').spawn(function() require('inner_universe').sleep(100) end)\n"
               "require('inner_universe').step() require('inner_universe').step()", NULL); /* a task that waits */
  lua_close(L);
  check_file(path, "1030");
  scratch_remove(path);
}

/* What is finalised after the core's context finds everything closed and can make nothing new. */
static void finalisers_older_than_the_core(void **state) {
  char path[256];
  lua_State *L = state_new(NULL);
  (void)state;
  scratch_path(path, "older");
  run_chunk(L,
            "local path = ...\n"
            "local old = setmetatable({}, { __gc = function()\n"
            "  local ok, err = core.open{}\n"
            "  assert(ok == nil and err.code == 'CLOSED')\n"
            "  assert(not pcall(core.timer, 1, print))\n"
            "  assert(not pcall(core.loop_turn, 0))\n"
            "  assert(not pcall(conn.call, conn, 'x'))\n"
            "  assert(conn:close() and conn:is_closed())\n"
            "  timer:close()\n"
            "  assert(core.json_encode({ 1 }) == '[1]' and core.uuid() and core.now())\n"
            "  pcall(m.create_entity, m, 'T')\n"
            "  m:shutdown()\n"
            "  io.stdout:write('# the old finaliser has run\\n')\n"
            "end })\n"
            "_G.old = old\n"
            "core = require 'inner_universe.core'\n"
            "conn = assert(core.open{ path = path })\n"
            "timer = core.timer(10, print)\n"
            "m = assert(require('inner_universe').open('memory:'))\n", path, NULL);
  lua_close(L);
  check_file(path, "0");
  scratch_remove(path);
}

/* Finalisers that still open and close things while the state ends. */
static void finalisers_younger_than_the_core(void **state) {
  lua_State *L = state_new(NULL);
  (void)state;
  run_chunk(L,
            "core = require 'inner_universe.core'\n"
            "iu = require 'inner_universe'\n"
            "young = setmetatable({}, { __gc = function()\n"
            "  conn = assert(core.open{})\n"
            "  assert(conn:subscribe{ 'SELECT * FROM entity' })\n"
            "  core.timer(1, print)\n"
            "  m = iu.open('memory:')\n"
            "  if m then m:create_entity('T') end\n"
            "end })\n", NULL);
  lua_close(L);
}

/* The end of the process from inside a callback, a task, a finaliser: in a process of its own. */
static void the_process_ends_from_inside(void **state) {
  static const char *const places[] = {
      "conn.tables.entity:on_insert(function() os.exit(7, true) end) conn:call('create_entity', 'T', meta)",
      "iu.run(function() conn:call('create_entity', 'T', meta) iu.sleep(0.001) os.exit(7, true) end)",
      "iu.run(function() iu.spawn(function() local c <close> = conn os.exit(7, true) end) iu.sleep(1) end)",
      "core.timer(0, function() os.exit(7, true) end) while true do core.loop_turn() end",
      "conn:subscribe('SELECT * FROM entity', { on_applied = function() os.exit(7, true) end }) iu.run(function() iu.sleep(1) end)",
      "local s = conn:session() conn.tables.entity:on_insert(function() s:close() os.exit(7, true) end) conn:call('create_entity', 'T', meta) iu.run(function() iu.sleep(1) end)",
      "for row in conn.tables.config:iter() do os.exit(7, true) end os.exit(7, true)",
  };
  char path[256], prelude[1024];
  (void)state;
  for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
    int status = 0;
    scratch_path(path, "exit");
    fflush(stdout);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
      lua_State *L = luaL_newstate();
      lua_pushcfunction(L, open_everything);
      if (lua_pcall(L, 0, 0, 0) != LUA_OK) _exit(2);
      snprintf(prelude, sizeof prelude,
               "iu = require 'inner_universe' core = require 'inner_universe.core' meta = { tags = {}, properties = '{}' }\n"
               "conn = assert(iu.connect('%s', { subscribe = 'all' }))\n%s", path, places[i]);
      if (luaL_dostring(L, prelude) != LUA_OK) fprintf(stderr, "# %s\n", lua_tostring(L, -1));
      _exit(3);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 7) fail_msg("place %zu: status %x", i, (unsigned)status);
    check_file(path, i <= 1 || i == 5 ? "1" : "0");
    scratch_remove(path);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(two_states_end_in_either_order),  cmocka_unit_test(two_states_share_a_process_but_not_a_file),
      cmocka_unit_test(two_universes_in_one_state),      cmocka_unit_test(a_state_ends_with_everything_open),
      cmocka_unit_test(finalisers_older_than_the_core),  cmocka_unit_test(finalisers_younger_than_the_core),
      cmocka_unit_test(the_process_ends_from_inside),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
