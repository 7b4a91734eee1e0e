/* What a script can do to the border between its own lines: finalisers that close or write while a method builds its result, lengths that lie,
 * numbers that are none, and integers of the largest size. */
#include "bind_fixture.h"

#include <sys/wait.h>

static const char prepare[] =
    "core = require 'inner_universe.core'\n"
    "function open()\n"
    "  local conn = assert(core.open{})\n"
    "  for i = 1, 300 do assert(conn:call('create_entity', 'Thing', { name = 'n' .. i, tags = { 'a' }, properties = '{}' }, 'e' .. i)) end\n"
    "  assert(conn:subscribe{ 'SELECT * FROM entity' })\n"
    "  return conn\n"
    "end\n"
    /* Has fn run by the collector in the middle of what comes next, which must ask for memory. */
    "function later(fn)\n"
    "  collectgarbage('stop') collectgarbage()\n"
    "  setmetatable({}, { __gc = fn })\n"
    "  collectgarbage('restart') collectgarbage('setpause', 0) collectgarbage('setstepmul', 1000)\n"
    "end\n";

static void run_prepared(const char *chunk) {
  lua_State *L = state_new(NULL);
  run_chunk(L, prepare, NULL);
  run_chunk(L, chunk, NULL);
  lua_close(L);
}

static void a_finaliser_may_close_the_connection_that_a_method_is_using(void **state) {
  static const char *const methods[] = {
      "for i = 1, 300 do conn:get('entity', 'e' .. i) end",
      "for i = 1, 300 do conn:table_get('entity', 'e' .. i) end",
      "conn:query('SELECT * FROM entity')",
      "conn:select('entity', { filters = { { 'name', 'Contains', '\"n\"' } } })",
      "for row in conn:table_iter('entity') do assert(row.id) end",
      "conn:table_find('entity', 'entity_type', 'Thing')",
      "for i = 1, 300 do conn:call('create_entity', 'Thing', { name = 'x' .. i, tags = { 'a' }, properties = '{}' }) end",
      "for i = 1, 300 do conn:session() end",
      "for i = 1, 300 do conn:schema() end",
  };
  (void)state;
  for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
    for (int session = 0; session < 2; session++) {
      char chunk[1024];
      snprintf(chunk, sizeof chunk,
               "local primary, closed = open(), false\n"
               "local conn = %s\n"
               "if conn ~= primary then assert(conn:subscribe{ 'SELECT * FROM entity' }) end\n"
               "later(function() closed = true primary:close() end)\n"
               "local ok, err = pcall(function() %s end)\n"
               "assert(ok or tostring(err):find('connection is closed', 1, true), err)\n"
               "assert(closed, 'the collector did not come')\n"
               "assert(conn:is_closed())\n"
               "conn, primary = nil, nil\n"
               "collectgarbage() collectgarbage()\n",
               session ? "assert(primary:session(primary:identity()))" : "primary", methods[i]);
      run_prepared(chunk);
    }
  }
}

static void a_finaliser_may_write_while_a_row_is_built(void **state) {
  (void)state;
  run_prepared("local conn = open()\n"
               "local n = 0\n"
               "local function rewrite()\n"
               "  n = n + 1\n"
               "  for i = 1, 300 do conn:call('update_entity', 'e' .. i, { name = 'again' .. n, tags = { 'b' }, properties = '{}' }) end\n"
               "end\n"
               "for round = 1, 5 do\n"
               "  later(rewrite)\n"
               "  for i = 1, 300 do\n"
               "    local row = assert(conn:table_get('entity', 'e' .. i))\n"
               "    assert(row.id == 'e' .. i and row.entity_type == 'Thing')\n"
               "  end\n"
               "  assert(n == round, 'the collector did not come')\n"
               "end\n"
               "assert(conn:close())\n");
}

/* The same through the closures of one table, whose short rows are copied and long ones pinned. */
static void a_finaliser_may_write_while_a_closure_reads(void **state) {
  (void)state;
  run_prepared("local conn = open()\n"
               "local get, find, range, iter = assert(conn:table_reads('entity'))\n"
               "local self, n, long = {}, 0, ('x'):rep(3000)\n"
               "local function rewrite()\n"
               "  n = n + 1\n"
               "  for i = 1, 300 do\n"
               "    local properties = '{\"text\":\"' .. (i % 2 == 0 and long or '') .. n .. '\"}'\n"
               "    local ok, err = conn:call('update_entity', 'e' .. i, { name = 'again', tags = { 'b' }, properties = properties })\n"
               "    assert(ok, err and err.message)\n"
               "    if i % 50 == 0 then get(self, 'e' .. i) find(self, 'entity_type', 'Thing') end\n"
               "  end\n"
               "end\n"
               "rewrite() n = 0\n"
               "for round = 1, 6 do\n"
               "  later(rewrite)\n"
               "  for i = 1, 300 do\n"
               "    local row = assert(get(self, 'e' .. i))\n"
               "    assert(row.id == 'e' .. i and row.entity_type == 'Thing' and (i % 2 ~= 0 or row.metadata.properties:find(long, 1, true)))\n"
               "  end\n"
               "  assert(#find(self, 'entity_type', 'Thing') == 300)\n"
               "  local count = 0\n"
               "  for row in range(self, 'id', 'e1', 'e9999') do count = count + 1 assert(row.entity_type == 'Thing') end\n"
               "  for row in iter(self) do count = count + 1 assert(row.entity_type == 'Thing') end\n"
               "  assert(count == 600, count)\n"
               "  assert(n == round, 'the collector did not come')\n"
               "end\n"
               "local ok, why = pcall(get, 5) assert(not ok and why:find('call it with a colon', 1, true), why)\n"
               "assert(conn:close())\n"
               "ok, why = pcall(get, self, 'e1') assert(not ok and why == 'connection is closed', why)\n");
}

static void lengths_that_lie_are_not_believed(void **state) {
  (void)state;
  run_prepared("local conn = open()\n"
               "local liar = setmetatable({}, { __len = function() return -1 end })\n"
               "local id, err = conn:subscribe(liar)\n"
               "assert(id == nil and err.kind == 'ValidationError', err)\n"
               "assert(#conn:select('entity', { filters = liar }) == 300)\n"
               "local many = {} for i = 1, 1001 do many[i] = 'SELECT * FROM entity' end\n"
               "id, err = conn:subscribe(many)\n"
               "assert(id == nil and err.message == 'queries: 1001 of them, the limit is 1000', err.message)\n"
               "many = {} for i = 1, 257 do many[i] = { 'name', 'Contains', '\"n\"' } end\n"
               "id, err = conn:select('entity', { filters = many })\n"
               "assert(id == nil and err.message == 'filters: 257 of them, the limit is 256', err.message)\n"
               "many[257] = nil\n"
               "assert(#conn:select('entity', { filters = many }) == 300)\n"
               "local closing = setmetatable({}, { __index = function() conn:close() end })\n"
               "local ok, why = pcall(conn.select, conn, 'entity', closing)\n"
               "assert(not ok and why:find('the connection is closed', 1, true), why)\n");
}

static void options_name_what_they_expect(void **state) {
  (void)state;
  run_prepared("local conn = open()\n"
               "local function refused(spec, message)\n"
               "  local ok, why = pcall(conn.select, conn, 'entity', spec)\n"
               "  assert(not ok and why == message, why)\n"
               "end\n"
               "refused({ limit = -3 }, 'limit: expected 0 or more, got -3')\n"
               "refused({ offset = 1.5 }, 'offset: expected an integer, got 1.5')\n"
               "refused({ limit = {} and 'x' }, 'limit: expected an integer, got x')\n"
               "refused({ order_by = true }, 'order_by: expected a string, got boolean')\n");
}

static void a_path_with_a_zero_byte_is_no_file(void **state) {
  (void)state;
  run_prepared("local conn, err = core.open{ path = 'a\\0b' }\n"
               "assert(conn == nil and err.message == 'path: expected a file name, got one with a zero byte at 1', err.message)\n"
               "local rows\n"
               "rows, err = core.sql('ab\\0c', 'SELECT 1')\n"
               "assert(rows == nil and err.message == 'path: expected a file name, got one with a zero byte at 2', err.message)\n");
}

static void times_that_are_no_numbers_are_no_limit(void **state) {
  (void)state;
  run_prepared("local nan = 0 / 0\n"
               "core.set_deadline(nan)\n"
               "core.loop_turn(nan)\n"
               "local conn = open()\n"
               "assert(conn:fold() ~= nil)\n"
               "assert(not pcall(core.timer, nan, print))\n"
               "assert(conn:close())\n");
}

static void the_widest_integer_goes_through_json(void **state) {
  (void)state;
  run_prepared("for _, sign in ipairs{ '', '-' } do\n"
               "  for digits = 4080, 4096 do\n"
               "    local text = sign .. ('9'):rep(digits)\n"
               "    local wide = core.wide(text)\n"
               "    assert(tostring(wide) == text)\n"
               "    assert(core.json_encode(wide) == text)\n"
               "    assert(core.json_decode(text) == wide)\n"
               "  end\n"
               "end\n"
               "local largest = core.wide(('9'):rep(4096))\n"
               "assert(not pcall(function() return largest + 1 end))\n"
               "assert(not pcall(function() return largest * 10 end))\n"
               "assert(tostring(largest - 1) == ('9'):rep(4095) .. '8')\n");
}

/* os.exit(code, true) ends the state inside whatever called the script. */
static void the_state_may_end_inside_a_callback(void **state) {
  static const char *const chunks[] = {
      "core.timer(0, function() os.exit(7, true) end) while true do core.loop_turn(1) end",
      "local conn = open() local s = conn:session() s:listen{ closed = function() os.exit(7, true) end } conn:close()",
      "local conn = open() conn:watch('entity', 7) conn:listen{ rows = function() os.exit(7, true) end } conn:deliver()",
  };
  (void)state;
  for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
      alarm(20);
      run_prepared(chunks[i]);
      _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 7) fail_msg("case %zu: status %d", i, status);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_finaliser_may_close_the_connection_that_a_method_is_using),
      cmocka_unit_test(a_finaliser_may_write_while_a_row_is_built),
      cmocka_unit_test(a_finaliser_may_write_while_a_closure_reads),
      cmocka_unit_test(lengths_that_lie_are_not_believed),
      cmocka_unit_test(options_name_what_they_expect),
      cmocka_unit_test(a_path_with_a_zero_byte_is_no_file),
      cmocka_unit_test(times_that_are_no_numbers_are_no_limit),
      cmocka_unit_test(the_widest_integer_goes_through_json),
      cmocka_unit_test(the_state_may_end_inside_a_callback),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
