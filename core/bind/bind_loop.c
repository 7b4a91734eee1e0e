/* bind_loop.c: the loop's turn, deadline and timers for Lua. A timer belongs to its userdata, which the registry keeps while the
 * timer is armed (a timer whose handle nobody holds still fires). */
#include "bind.h"

#define CLASS "inner_universe.timer"

typedef struct iu_lua_timer {
  iu_timer *timer;   /* NULL once closed */
  iu_lua *x;
  int fn, self;
  bool repeats;
  struct iu_lua_timer *prev, *next;
} iu_lua_timer;

static iu_loop *check_loop(lua_State *L, iu_lua *x) {
  iu_loop *loop;
  iu_error err;
  if (iu__lua_loop(x, &loop, &err) != IU_OK) luaL_error(L, "event loop: %s", err.message);
  return loop;
}

static int f_turn(lua_State *L) {
  iu_lua *x = iu__lua(L);
  iu_loop *loop = check_loop(L, x);
  lua_Number seconds = luaL_optnumber(L, 1, -1);
  int64_t wait_ms = !(seconds >= 0) ? -1 : seconds > 1e9 ? (int64_t)1000000000000 : (int64_t)(seconds * 1000 + 0.999);
  bool more;
  if (x->run != NULL) return luaL_error(L, "the event loop cannot turn inside a reducer");
  if (iu__loop_turning(loop)) return luaL_error(L, "the event loop is already turning");
  IU_ENTER(x, L);
  x->turns++;
  more = iu__loop_turn(loop, wait_ms);
  x->turns--;
  IU_LEAVE(x);
  lua_pushboolean(L, more);
  return 1;
}

static int f_turning(lua_State *L) {
  const iu_lua *x = iu__lua(L);
  lua_pushboolean(L, x->gates > 0 || x->run != NULL || (x->loop != NULL && iu__loop_turning(x->loop)));
  return 1;
}

/* Whether the running code is the coroutine itself, not one nested in it, and may yield. */
static int f_may_yield(lua_State *L) {
  lua_pushboolean(L, lua_tothread(L, 1) == L && lua_isyieldable(L));
  return 1;
}

static int f_in_reducer(lua_State *L) {
  lua_pushboolean(L, iu__lua(L)->run != NULL);
  return 1;
}

static int f_deadline(lua_State *L) {
  iu_lua *x = iu__lua(L);
  iu_loop *loop = check_loop(L, x);
  lua_Number seconds = luaL_optnumber(L, 1, -1);
  if (!lua_isnoneornil(L, 1)) iu__loop_set_frames(loop, seconds >= 0 && seconds < 1e9);
  iu__loop_set_deadline(loop, seconds >= 0 && seconds < 1e9 ? iu__clock_mono_ns() + (uint64_t)(seconds * 1e9) : 0);
  return 0;
}

/* Whether a turn would find something to do at once. */
static int f_ready(lua_State *L) {
  iu_lua *x = iu__lua(L);
  lua_pushboolean(L, x->loop != NULL && iu__loop_timeout_ms(x->loop) == 0);
  return 1;
}

static void timer_shut(lua_State *L, iu_lua_timer *t) {
  if (t->timer != NULL) {
    iu__timer_close(t->timer);
    t->timer = NULL;
    if (t->prev != NULL) t->prev->next = t->next;
    else t->x->timers = t->next;
    if (t->next != NULL) t->next->prev = t->prev;
  }
  iu__unref(L, t->x, &t->fn);
  iu__unref(L, t->x, &t->self);
}

void iu__timers_close(iu_lua *x) {
  /* The state is closing: references go with the registry, only the handles are ours to give back. */
  for (iu_lua_timer *t = x->timers; t != NULL; t = t->next) {
    iu__timer_close(t->timer);
    t->timer = NULL;
  }
  x->timers = NULL;
  iu__timer_close(x->alarm);
  x->alarm = NULL;
}

static int timer_body(lua_State *L) {
  iu_lua_timer *t = lua_touserdata(L, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, t->fn);
  lua_rawgeti(L, LUA_REGISTRYINDEX, t->self); /* keeps it alive through the call */
  lua_insert(L, 1);
  if (!t->repeats) timer_shut(L, t);
  iu__gate_run(L, t->x, 0);
  return 0;
}

static void on_timer(void *ud) {
  iu_lua_timer *t = ud;
  iu__gate(t->x, timer_body, t);
}

static uint64_t milliseconds(lua_State *L, int index) {
  lua_Number seconds = luaL_checknumber(L, index);
  luaL_argcheck(L, seconds >= 0 && seconds < 1e12, index, "expected seconds, 0 or more");
  return (uint64_t)(seconds * 1000 + 0.999);
}

static int f_timer(lua_State *L) {
  iu_lua *x = iu__lua(L);
  iu_loop *loop = check_loop(L, x);
  uint64_t delay = milliseconds(L, 1), repeat = lua_isnoneornil(L, 3) ? 0 : milliseconds(L, 3);
  iu_lua_timer *t;
  iu_error err;
  luaL_checktype(L, 2, LUA_TFUNCTION);
  if (!lua_isnoneornil(L, 3) && repeat == 0) repeat = 1;
  t = lua_newuserdatauv(L, sizeof *t, 0);
  memset(t, 0, sizeof *t);
  t->x = x;
  t->fn = t->self = LUA_NOREF;
  t->repeats = repeat != 0;
  luaL_setmetatable(L, CLASS);
  lua_pushvalue(L, 2);
  t->fn = iu__ref(L, x);
  lua_pushvalue(L, -1);
  t->self = iu__ref(L, x);
  if (iu__timer_start(loop, delay, repeat, on_timer, t, &t->timer, &err) != IU_OK) {
    iu__unref(L, x, &t->fn);
    iu__unref(L, x, &t->self);
    return iu__push_failure(L, x, &err);
  }
  t->next = x->timers;
  if (t->next != NULL) t->next->prev = t;
  x->timers = t;
  return 1;
}

/* ---- the alarm: one timer that is set again and again, for the scheduler ---- */

static int alarm_body(lua_State *L) {
  iu_lua *x = lua_touserdata(L, 1);
  if (lua_rawgeti(L, LUA_REGISTRYINDEX, x->on_alarm) == LUA_TFUNCTION) lua_call(L, 0, 0);
  return 0;
}

static void on_alarm(void *ud) { iu__gate(ud, alarm_body, ud); }

static int f_alarm(lua_State *L) {
  iu_lua *x = iu__lua(L);
  if (lua_isnoneornil(L, 1)) {
    if (x->alarm != NULL) iu__timer_set(x->alarm, -1);
    return 0;
  }
  uint64_t delay = milliseconds(L, 1);
  iu_loop *loop = check_loop(L, x);
  iu_error err;
  if (x->alarm != NULL) iu__timer_set(x->alarm, (int64_t)delay);
  else if (iu__timer_start(loop, delay, 0, on_alarm, x, &x->alarm, &err) != IU_OK) return luaL_error(L, "alarm: %s", err.message);
  return 0;
}

static int m_close(lua_State *L) {
  timer_shut(L, luaL_checkudata(L, 1, CLASS));
  return 0;
}

void iu__loop_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"loop_turn", f_turn}, {"loop_turning", f_turning}, {"in_reducer", f_in_reducer}, {"may_yield", f_may_yield}, {"set_deadline", f_deadline}, {"loop_ready", f_ready}, {"timer", f_timer}, {"alarm", f_alarm}, {NULL, NULL}};
  static const iu_class class = {CLASS, NULL, NULL, m_close, NULL};
  iu__class_define(L, &class);
  luaL_setfuncs(L, functions, 0);
}
