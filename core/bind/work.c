/* work.c: something that is worked off in steps on another thread, each step's end told to a function: reports (report.c) and backups (backup.c).
 *
 *   work:step(on_done, seconds?)   true, or nil, err; on_done(err) or on_done(nil, results...) once, by the loop's turn
 *   work:close(wait?)              cancels what runs; with `wait` it is over when this returns
 *
 * The userdata has a block of its own on the heap, which outlives it while a step runs: the step's end frees it then. The registry keeps the userdata
 * until the step's end was told.
 */
#include "../net/work.h"

#include "../base/alloc.h"
#include "bind.h"

#define CLASS "inner_universe.work"
#define SECONDS_MAX 1e9

typedef struct iu_lua_work {
  const iu_lua_work_kind *kind;
  void *job;
  iu_lua *x;
  iu_work *work;        /* a step is on its way */
  bool abandoned;       /* the userdata was closed meanwhile: nobody is told */
  int on_done, self;
  iu_status status;     /* of the step */
  iu_error err;
  struct iu_lua_work *prev, *next;
} iu_lua_work;

typedef struct work_box { iu_lua_work *w; } work_box;

static void work_free(iu_lua_work *w) {
  if (w->job != NULL) w->kind->free(w->job);
  iu__free(w);
}

/* From here on nobody is told. */
static void abandon(iu_lua_work *w, bool wait) {
  if (w->prev != NULL) w->prev->next = w->next;
  else w->x->works = w->next;
  if (w->next != NULL) w->next->prev = w->prev;
  w->abandoned = true;
  if (w->work == NULL) {
    work_free(w);
    return;
  }
  w->kind->cancel(w->job);
  if (wait) {
    iu__work_stop(w->work);
    w->kind->free(w->job); /* lets go of the file now; the rest waits for the loop */
    w->job = NULL;
  }
}

static void work_shut(lua_State *L, work_box *b, bool wait) {
  iu_lua_work *w = b->w;
  if (w == NULL) return;
  b->w = NULL;
  iu__unref(L, w->x, &w->on_done);
  iu__unref(L, w->x, &w->self);
  abandon(w, wait);
}

void iu__works_close(iu_lua *x) {
  while (x->works != NULL) abandon(x->works, false);
}

/* ---- a step ---- */

static void run_step(void *ud) { /* on another thread */
  iu_lua_work *w = ud;
  w->status = w->kind->run(w->job, &w->err);
}

static int done_body(lua_State *L) {
  iu_lua_work *w = lua_touserdata(L, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, w->self); /* keeps it alive through the call */
  lua_rawgeti(L, LUA_REGISTRYINDEX, w->on_done);
  iu__unref(L, w->x, &w->on_done);
  iu__unref(L, w->x, &w->self);
  int results = 1;
  if (w->status != IU_OK) {
    iu__push_error(L, w->x, &w->err);
  } else {
    lua_pushnil(L);
    results += w->kind->push(L, w->job);
  }
  iu__gate_run(L, w->x, results);
  return 0;
}

static void on_step(void *ud, bool ran) {
  iu_lua_work *w = ud;
  w->work = NULL;
  if (w->abandoned) {
    work_free(w);
    return;
  }
  if (!ran) w->status = iu__fail(&w->err, IU_E_CLOSED, "the work was stopped");
  iu__gate(w->x, done_body, w);
}

static int m_step(lua_State *L) {
  iu_lua_work *w = ((work_box *)luaL_checkudata(L, 1, CLASS))->w;
  lua_Number seconds = luaL_optnumber(L, 3, SECONDS_MAX);
  iu_loop *loop;
  iu_error err;
  luaL_checktype(L, 2, LUA_TFUNCTION);
  if (w == NULL) return luaL_error(L, "the work is closed");
  if (w->work != NULL) return luaL_error(L, "a step is on its way");
  iu_status status = iu__lua_loop(w->x, &loop, &err);
  if (status != IU_OK) return iu__push_failure(L, w->x, &err);
  w->kind->limit(w->job, seconds < SECONDS_MAX ? iu__clock_mono_ns() + (seconds > 0 ? (uint64_t)(seconds * 1e9) : 0) : 0);
  lua_settop(L, 2);
  w->on_done = iu__ref(L, w->x);
  lua_pushvalue(L, 1);
  w->self = iu__ref(L, w->x);
  status = iu__work_start(loop, run_step, on_step, w, &w->work, &err);
  if (status != IU_OK) {
    iu__unref(L, w->x, &w->on_done);
    iu__unref(L, w->x, &w->self);
    return iu__push_failure(L, w->x, &err);
  }
  lua_pushboolean(L, 1);
  return 1;
}

static int m_close(lua_State *L) {
  work_shut(L, luaL_checkudata(L, 1, CLASS), lua_isboolean(L, 2) && lua_toboolean(L, 2));
  return 0;
}

static int m_gc(lua_State *L) {
  work_shut(L, luaL_checkudata(L, 1, CLASS), false);
  return 0;
}

/* ---- making one ---- */

void **iu__work_userdata(lua_State *L, iu_lua *x, const iu_lua_work_kind *kind) {
  work_box *b = lua_newuserdatauv(L, sizeof *b, 0);
  iu_lua_work *w;
  b->w = NULL;
  luaL_setmetatable(L, CLASS);
  w = iu__alloc_zero(1, sizeof *w);
  if (w == NULL) return NULL;
  w->kind = kind;
  w->x = x;
  w->on_done = w->self = LUA_NOREF;
  w->next = x->works;
  if (w->next != NULL) w->next->prev = w;
  x->works = w;
  b->w = w;
  return &w->job;
}

void iu__work_open(lua_State *L) {
  static const luaL_Reg methods[] = {{"step", m_step}, {NULL, NULL}};
  static const iu_class class = {CLASS, methods, NULL, m_close, m_gc};
  iu__class_define(L, &class);
}
