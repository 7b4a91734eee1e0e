/* Lua runs out of memory: every allocation of a scripted session is refused once (and once more, after Lua's emergency collection), or from
 * there on for good. Nothing crashes or leaks, references are given back, and what the file says is consistent. */
#include "base_fixture.h"
#include "bind_fixture.h"

#include "../../core/base/errinj.h"

/* Bare primitives, no waiting. `step` is told how far it came. */
static const char primitives[] =
    "local core = require 'inner_universe.core'\n"
    "core.set_error_handler(function(message, value) return #message end)\n"
    "core.set_log(function(level, message) return #message end, 'info')\n"
    "function session(path)\n"
    "  local conn <close> = assert(core.open{ path = path })\n"
    "  local heard = {}\n"
    "  conn:listen{ rows = function(next, event) for name, kind, new, old in next do heard[#heard + 1] = { name, kind, new or old, event.args } end end,\n"
    "    subscription = function(id, what, err) heard[#heard + 1] = what end, answer = function(...) heard[#heard + 1] = { ... } end,\n"
    "    closed = function(err) heard[#heard + 1] = tostring(err) end }\n"
    "  conn:watch('entity', 7)\n"
    "  local sub = conn:subscribe{ 'SELECT * FROM entity', \"SELECT * FROM relation WHERE relation_type = 'KNOWS'\" }\n"
    "  for i = 1, 4 do\n"
    "    conn:call('create_entity', 'Thing', { name = 'n' .. i, tags = { 'a', 'b' },\n"
    "      properties = core.json_encode{ i = i, list = core.array{}, deep = { { { i / 2 } } } } }, 'e' .. i)\n"
    "  end\n"
    "  conn:call('update_entity', 'e1', { name = 'new', tags = {}, properties = '{}' })\n"
    "  conn:call('create_relation', 'e1', 'e2', 'KNOWS', { description = '', strength = 0.5, bidirectional = false, tags = {}, properties = '{}' }, 'r1')\n"
    "  conn:call('nothing_such', 1)\n"
    "  conn:call('create_entity', { 1 })\n"
    "  conn:call('create_entity', 'Thing', { nmae = 'x' })\n"
    "  conn:call('record_delta', 'v1', {}, { description = 'd' })\n"
    "  conn:call('delete_entity', 'e4', true)\n"
    "  conn:query(\"SELECT * FROM event_log WHERE event_type = 'ENTITY_CREATED'\")\n"
    "  conn:select('entity', { filters = { { 'properties.i', 'GreaterThan', '1' }, { 'tags', 'Contains', '\"a\"' } }, order_by = 'id', limit = 2 })\n"
    "  conn:get('entity', 'e1')\n"
    "  for row in conn:table_iter('entity', 'entity_type', 'A', 'Z') do if row.id == 'e2' then break end end\n"
    "  conn:table_find('entity', 'entity_type', 'Thing')\n"
    "  conn:table_get('entity', 'e1')\n"
    "  local other = conn:session()\n"
    "  if other then\n"
    "    other:subscribe{ 'SELECT * FROM entity' }\n"
    "    other:call('delete_entity', 'e3', true)\n"
    "    other:close()\n"
    "  end\n"
    "  if sub then conn:unsubscribe(sub) end\n"
    "  local timer = core.timer(0, function() heard[#heard + 1] = 'tick' end)\n"
    "  core.loop_turn(0)\n"
    "  core.loop_turn(0.002)\n"
    "  conn:schema() conn:status() conn:identity()\n"
    "  core.json_decode('{\"a\":[1,2.5,{\"b\":null}],\"wide\":123456789012345678901234567890}')\n"
    "  core.json_canonical{ b = 1, a = { 1, 2 } }\n"
    "  local old = core.json_document('{\"a\":[1,2.5,{\"b\":null}],\"c\":{\"d\":\"a text of some length that is edited\"},\"list\":[{\"id\":1},{\"id\":2}]}')\n"
    "  local ops = core.diff_compare(old, { a = { 1, 2.5, 3 }, c = { d = 'a text of some length that was edited', e = 1 }, list = { { id = 2 }, { id = 3, x = 1 } } },\n"
    "    { arrays = { list = 'id' } })\n"
    "  local new = old and ops and core.diff_apply_document(old, ops)\n"
    "  if new then for key, value in pairs(new) do heard[#heard + 1] = { key, core.json_hash(new), tostring(value), new.c.d, new == old } end new:totable() end\n"
    "  core.json_hash{ 'x' }\n"
    "  assert(core.wide('123456789012345678901') + 1)\n"
    "  core.uuid()\n"
    "  core.unseal('0123456789abcdef0123456789abcdef', core.seal('0123456789abcdef0123456789abcdef', 'text', '') or '', '')\n"
    "  core.read_secret('/nonexistent')\n"
    "  conn:close()\n"
    "end\n";

/* The public API, tasks and plugins. */
static const char everything[] =
    "local iu = require 'inner_universe'\n"
    "iu.on_error(function() end)\n"
    "function session(path)\n"
    "  local m <close> = assert(iu.open(path or 'memory:'))\n"
    "  m.event_bus:register_handler('*', function(message) iu.sleep(0) return message.data end)\n"
    "  iu.run(function()\n"
    "    local a = m:create_entity('Thing', { name = 'a', tags = { 't' }, properties = { n = 1, f = 1.0, none = iu.null } }, 'a')\n"
    "    local b = m:create_entity('Thing', { name = 'b' }, 'b')\n"
    "    iu.spawn(function()\n"
    "      if a and b then m:create_relation(a, b, 'KNOWS', { strength = 0.5 }, 'r') end\n"
    "      iu.sleep(0)\n"
    "      m:update_entity('a', { name = 'aa' })\n"
    "    end)\n"
    "    m:query_entities{ filters = { { field = 'properties.n', operator = 'Equals', value = 1 } } }\n"
    "    m:commit_version({ list = { 1, 2, { x = 'y' } } }, 'first')\n"
    "    m:publish_event('SOMETHING', { v = 1 }, 'here')\n"
    "    m:delete_entity('b', { cascade = true })\n"
    "    m:flush()\n"
    "  end)\n"
    "  m:shutdown()\n"
    "end\n";

/* Modules in Lua: defined, opened, run, reloaded. What a reducer checks holds whatever was refused before. */
static const char modules[] =
    "local iu = require 'inner_universe'\n"
    "iu.on_error(function() end)\n"
    "local function module(text)\n"
    "  return iu.module('m', {\n"
    "    types = { V = { { 'x', 'f64' }, { 'y', 'f64' } }, S = { sum = { { 'at', 'V' }, 'none' } } },\n"
    "    tables = { t = { columns = { { 'id', 'u64' }, { 'name', 'string' }, { 'x', 'f32', default = 1.5 }, { 's', 'S?' }, { 'tags', '[string]' } },\n"
    "      primary_key = 'id', auto_inc = 'id', unique = { 'name' }, indexes = { { 'x' } }, public = true } },\n"
    "    init = function(ctx) ctx.db.t:insert{ name = ctx.sender, tags = {} } end,\n"
    "    client_connected = function(ctx) ctx.db.t:count() end,\n"
    "    reducers = {\n"
    "      add = { params = { { 'name', 'string' }, { 's', 'S?' } }, run = function(ctx, name, s)\n"
    "        local before = ctx.db.t:count()\n"
    "        local row = ctx.db.t:insert{ name = name, s = s, tags = { name, text } }\n"
    "        assert(ctx.db.t:get(row.id).name == name and ctx.db.t:find('name', name).x == 1.5)\n"
    "        local ok, err = pcall(ctx.db.t.insert, ctx.db.t, { name = name, tags = {} })\n"
    "        assert(not ok and (err == 'not enough memory' or tostring(err):find('already there') or tostring(err):find('memory')), tostring(err))\n"
    "        ctx.db.t:patch(row.id, { x = 2, s = iu.null })\n"
    "        row.x, row.s = 3, { tag = 'at', value = { x = 1, y = 2 } }\n"
    "        ctx.db.t:update(row)\n"
    "        pcall(ctx.call, ctx, 'wrong', name .. '!')\n"
    "        for r in ctx.db.t:range('x', 2, 4) do assert(r.name) end\n"
    "        ctx.db.t:delete_where{ name = 'nobody', x = 3 }\n"
    "        ctx.db.t:delete_where(function(r) return r.name == 'nobody' end)\n"
    "        assert(ctx.db.t:count() == before + 1)\n"
    "        return ctx.uuid(), ctx.random(10), ctx.connection_id\n"
    "      end },\n"
    "      wrong = { params = { { 'name', 'string' } }, run = function(ctx, name)\n"
    "        ctx.db.t:insert{ name = name, tags = {} }\n"
    "        error('CONFLICT: wrong')\n"
    "      end },\n"
    "    },\n"
    "  })\n"
    "end\n"
    "function session(path)\n"
    "  local conn <close> = assert(iu.connect(path or 'memory:', { module = assert(module('a')), subscribe = 'all' }))\n"
    "  local added = 0\n"
    "  for i = 1, 3 do\n"
    "    if conn:call('add', 'n' .. i, i > 1 and { tag = 'at', value = { x = i, y = 0 } } or 'none') then added = added + 1 end\n"
    "  end\n"
    "  conn:call('wrong', 'w')\n"
    "  conn:reload(assert(module('b')))\n"
    "  if conn:call('add', 'last') then added = added + 1 end\n"
    "  local rows = conn:query('SELECT * FROM t')\n"
    "  assert(not rows or #rows == added + 1)\n"
    "  conn:close()\n"
    "end\n";

static const char look[] =
    "local core = require 'inner_universe.core'\n"
    "local conn = assert(core.open{ path = ... })\n"
    "local rows = assert(conn:query('SELECT * FROM event_log'))\n"
    "table.sort(rows, function(a, b) return a.sequence < b.sequence end)\n"
    "local there, created, deleted = 0, 0, 0\n"
    "for i, row in ipairs(rows) do\n"
    "  assert(row.sequence == i)\n"
    "  if row.event_type == 'ENTITY_CREATED' then created = created + 1 end\n"
    "  if row.event_type == 'ENTITY_DELETED' then deleted = deleted + 1 end\n"
    "end\n"
    "local head = assert(conn:get('event_head', 0))\n"
    "assert(head.sequence == #rows and head.count == #rows)\n"
    "assert(#assert(conn:query('SELECT * FROM entity')) == created - deleted)\n"
    "for _, r in ipairs(assert(conn:query('SELECT * FROM relation'))) do\n"
    "  assert(conn:get('entity', r.from_entity) and conn:get('entity', r.to_entity))\n"
    "end\n"
    "assert(conn:call('create_entity', 'After', { tags = {}, properties = '{}' }))\n"
    "assert(conn:close())\n";

static void check_file(const char *path) {
  lua_State *L = state_new(NULL);
  run_chunk(L, look, path, NULL);
  lua_close(L);
}

/* One session whose nth allocation is refused. Whether it came that far. */
static bool run_session(const char *script, const char *path, long n, bool for_good) {
  memory m = {.fail_at = n, .for_good = for_good};
  lua_State *L = state_new(&m);
  int status;
  run_chunk(L, script, NULL);
  lua_gc(L, LUA_GCCOLLECT);
  lua_settop(L, 0);
  lua_getglobal(L, "session");
  lua_pushstring(L, path);
  m.armed = true;
  status = lua_pcall(L, 1, 0, 0);
  m.armed = false;
  if (m.refused == 0 && status != LUA_OK) fail_msg("without a refusal: %s", lua_tostring(L, -1));
  /* What was refused is over: the state works on. */
  lua_settop(L, 0);
  run_chunk(L, "collectgarbage() collectgarbage()\n"
               "local core = require 'inner_universe.core'\n"
               "assert(not core.loop_turning())\n"
               "local conn = assert(core.open{}) assert(conn:call('create_entity', 'T', { tags = {}, properties = '{}' })) assert(conn:close())\n"
               "assert(core.json_encode{ 1 } == '[1]')", NULL);
  lua_close(L);
  return m.refused > 0;
}

static void every_allocation_of_the_primitives_is_refused_once(void **state) {
  long n;
  (void)state;
  for (n = 0; run_session(primitives, NULL, n, false); n++) {}
  printf("# %ld allocations\n", n);
  assert_true(n > 300);
}

static void memory_of_the_primitives_ends_for_good(void **state) {
  (void)state;
  for (long n = 0; run_session(primitives, NULL, n, true); n += n < 100 ? 1 : 5) {}
}

static void a_file_stays_consistent(void **state) {
  char path[256];
  bool refused = true;
  (void)state;
  for (long n = 0; refused; n += 37) {
    scratch_path(path, "memory");
    refused = run_session(primitives, path, n, n % 2 == 0);
    check_file(path);
  }
  scratch_remove(path);
}

static void memory_ends_anywhere_in_the_public_api(void **state) {
  char path[256];
  bool refused = true;
  random_source r = random_begin("where memory ends"); /* so many allocations that one run tries only some */
  (void)state;
  for (long n = (long)random_below(&r, 53); refused; n += 53) refused = run_session(everything, NULL, n, n % 2 == 0);
  refused = true;
  for (long n = (long)random_below(&r, 307); refused; n += 307) {
    scratch_path(path, "memory");
    refused = run_session(everything, path, n, n % 2 == 0);
    check_file(path);
  }
  scratch_remove(path);
}

static void memory_ends_anywhere_in_a_module(void **state) {
  bool refused = true;
  long n;
  (void)state;
  for (n = 0; refused; n += 7) refused = run_session(modules, NULL, n, n % 2 == 0);
  printf("# %ld allocations\n", n);
  assert_true(n > 1000);
}

/* The core's own memory, not Lua's. */
static void memory_of_the_core_ends_anywhere_under_a_module(void **state) {
  bool fired = true;
  long n;
  (void)state;
  for (n = 0; fired; n += 3) {
    lua_State *L = state_new(NULL);
    run_chunk(L, modules, NULL);
    lua_getglobal(L, "session");
    iu__errinj_arm(IU_ERRINJ_ALLOC, n);
    (void)lua_pcall(L, 0, 0, 0);
    fired = iu__errinj_count(IU_ERRINJ_ALLOC) > n;
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    lua_settop(L, 0);
    run_chunk(L, "collectgarbage() collectgarbage() session() session()", NULL);
    lua_close(L);
  }
  printf("# %ld allocations\n", n);
  assert_true(n > 100);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_allocation_of_the_primitives_is_refused_once),
      cmocka_unit_test(memory_of_the_primitives_ends_for_good),
      cmocka_unit_test(a_file_stays_consistent),
      cmocka_unit_test(memory_ends_anywhere_in_the_public_api),
      cmocka_unit_test(memory_ends_anywhere_in_a_module),
      cmocka_unit_test(memory_of_the_core_ends_anywhere_under_a_module),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
