/* simulation.c: a host in C: a simulation at 60 frames a second, whose entities live in a universe and whose rules are written in Lua.
 *
 *   simulation [SECONDS [ENTITIES [RULES]]]        10 seconds, 10,000 entities, rules.lua beside this file
 *
 * Each frame is one transaction: the reducer `step`, in C, walks over all entities, asks the rule, a function in the host's own Lua state, where each
 * goes, and writes it back. It runs twice, in memory and in a file, and prints how long the frames took; a frame has 16.7 ms.
 * No frame waits for the disk: a file's commits are written by the universe's own thread, within 20 ms ("normal").
 *
 *   cc simulation.c $(pkg-config --cflags --libs inner_universe lua5.4) -o simulation
 */
#define _POSIX_C_SOURCE 200809L
#include <inner_universe.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FRAME_US 16667
#define FRAMES_MAX 216000 /* an hour */
#define STEP_BUDGET_US 2000

typedef struct host { lua_State *L; int rule; long entities; } host;

/* ---- reducers ---- */

static iu_status fill(void *ud, iu_ctx *ctx, const iu_value *args, iu_error *err) {
  host *h = ud;
  iu_status status = IU_OK;
  long i;
  (void)args;
  for (i = 0; i < h->entities && status == IU_OK; i++) {
    iu_arg columns[5];
    int c;
    columns[0] = iu_arg_u64(0); /* the next number */
    for (c = 1; c < 5; c++) columns[c] = iu_arg_f64((double)(iu_ctx_random(ctx) % 2000) / 10 - 100);
    status = iu_ctx_insert(ctx, "mover", columns, 5, NULL, err);
  }
  return status;
}

/* x, y, vx, vy before and after; dt in seconds. */
static iu_status ask_rule(host *h, double v[4], double dt, iu_error *err) {
  iu_status status = IU_OK;
  int i;
  lua_rawgeti(h->L, LUA_REGISTRYINDEX, h->rule);
  for (i = 0; i < 4; i++) lua_pushnumber(h->L, v[i]);
  lua_pushnumber(h->L, dt);
  if (lua_pcall(h->L, 5, 4, 0) != LUA_OK) {
    const char *message = lua_tostring(h->L, -1);
    status = iu_fail(err, IU_E_VALIDATION, "rule: %s", message != NULL ? message : "it raised something that is no text");
  }
  for (i = 0; i < 4 && status == IU_OK; i++) {
    int number;
    v[i] = lua_tonumberx(h->L, i - 4, &number);
    if (!number) status = iu_fail(err, IU_E_VALIDATION, "rule: four numbers expected");
  }
  lua_settop(h->L, 0);
  return status;
}

static iu_status move(host *h, iu_ctx *ctx, const iu_value *row, double dt, iu_error *err) {
  static const uint32_t columns[] = {1, 2, 3, 4}; /* x, y, vx, vy: all but the id */
  iu_arg values[4];
  iu_value column = {0};
  uint32_t at = 0;
  double v[4] = {0, 0, 0, 0};
  iu_status status = IU_OK;
  int i;
  iu_value_next(row, &at, &column);
  for (i = 0; i < 4 && status == IU_OK && iu_value_next(row, &at, &column); i++) status = iu_value_f64(&column, &v[i], err);
  if (status == IU_OK) status = ask_rule(h, v, dt, err);
  if (status != IU_OK) return status;
  for (i = 0; i < 4; i++) values[i] = iu_arg_f64(v[i]);
  return iu_ctx_set(ctx, "mover", row, columns, values, 4, NULL, err);
}

static iu_status step(void *ud, iu_ctx *ctx, const iu_value *args, iu_error *err) {
  iu_ctx_rows *rows;
  iu_value row;
  double dt;
  iu_status status = iu_column_f64(args, "dt", &dt, err);
  if (status == IU_OK) status = iu_ctx_scan(ctx, "mover", NULL, NULL, NULL, false, &rows, err);
  while (status == IU_OK && iu_ctx_rows_next(rows, &row)) status = move(ud, ctx, &row, dt, err);
  return status; /* what is open is closed behind us */
}

static iu_status declare(host *h, iu_module **out, iu_error *err) {
  static const char *const columns[] = {"x", "y", "vx", "vy"};
  static const iu_member params[] = {{"dt", "f64"}};
  iu_status status = iu_module_new("simulation", out, err);
  int i;
  if (status == IU_OK) status = iu_module_table(*out, "mover", 0, err);
  if (status == IU_OK) status = iu_module_column(*out, "mover", "id", "u64", IU_COLUMN_PRIMARY_KEY | IU_COLUMN_AUTO_INC, NULL, err);
  for (i = 0; i < 4 && status == IU_OK; i++) status = iu_module_column(*out, "mover", columns[i], "f32", 0, NULL, err);
  if (status == IU_OK) status = iu_module_reducer(*out, "step", params, 1, step, h, err);
  if (status == IU_OK) status = iu_module_on(*out, IU_MOMENT_INIT, fill, h, err);
  return status;
}

/* ---- frames ---- */

static uint64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int by_size(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

static void report(const char *where, uint32_t *took, size_t frames) {
  size_t late = 0, i;
  for (i = 0; i < frames; i++) late += took[i] > FRAME_US;
  qsort(took, frames, sizeof *took, by_size);
  printf("%-7s %5zu frames: p50 %.2f ms, p90 %.2f ms, p99 %.2f ms, longest %.2f ms, over 16.7 ms: %zu\n", where, frames, took[frames / 2] / 1e3,
         took[frames * 9 / 10] / 1e3, took[frames * 99 / 100] / 1e3, took[frames - 1] / 1e3, late);
  fflush(stdout);
}

static iu_status frames(iu_runtime *rt, iu_universe *u, uint32_t *took, size_t count, iu_error *err) {
  iu_arg dt = iu_arg_f64(1.0 / 60);
  iu_status status = IU_OK;
  uint64_t next = now_us();
  size_t i;
  for (i = 0; i < count && status == IU_OK; i++) {
    uint64_t start = now_us(), end;
    status = iu_call(u, "step", &dt, 1, 0, err);
    if (status == IU_OK) status = iu_step(rt, STEP_BUDGET_US, NULL, err);
    end = now_us();
    took[i] = (uint32_t)(end - start);
    next += FRAME_US;
    if (end < next) {
      struct timespec rest = {0, 0};
      rest.tv_nsec = (long)((next - end) * 1000);
      nanosleep(&rest, NULL);
    } else next = end; /* a late frame delays those behind it */
  }
  return status;
}

static iu_status simulate(host *h, const char *where, const char *target, size_t count, iu_error *err) {
  iu_options options = iu_options_default();
  uint32_t *took = calloc(count, sizeof *took);
  iu_module *module = NULL;
  iu_runtime *rt = NULL;
  iu_universe *u = NULL;
  iu_status status = took != NULL ? declare(h, &module, err) : iu_fail(err, IU_E_NOMEM, "no memory for %zu frames", count);
  options.modules = &module;
  options.module_count = 1;
  options.no_nerv = true;
  if (status == IU_OK) status = iu_runtime_new(NULL, &rt, err);
  if (status == IU_OK) status = iu_open(rt, target, &options, &u, err);
  if (status == IU_OK) status = frames(rt, u, took, count, err);
  if (status == IU_OK) status = iu_close(u, err); /* what is not on disk yet is written here */
  if (status == IU_OK) report(where, took, count);
  iu_free(u);
  iu_module_free(module);
  iu_runtime_free(rt, NULL);
  free(took);
  return status;
}

/* ---- the program ---- */

static int load_rules(host *h, const char *path) {
  h->L = luaL_newstate();
  if (h->L == NULL) return 0;
  luaL_openlibs(h->L);
  if (luaL_dofile(h->L, path) != LUA_OK || !lua_isfunction(h->L, -1)) {
    fprintf(stderr, "%s: %s\n", path, lua_isstring(h->L, -1) ? lua_tostring(h->L, -1) : "it returns no function");
    return 0;
  }
  h->rule = luaL_ref(h->L, LUA_REGISTRYINDEX);
  return 1;
}

static int run(host *h, double seconds) {
  char folder[] = "/tmp/simulation_XXXXXX", path[sizeof folder + 32], command[sizeof folder + 32];
  size_t count = (size_t)(seconds * 60);
  iu_error err;
  iu_status status;
  if (count < 1) count = 1;
  if (count > FRAMES_MAX) count = FRAMES_MAX;
  if (mkdtemp(folder) == NULL) {
    perror("a folder for the file");
    return 1;
  }
  snprintf(path, sizeof path, "%s/world.universe", folder);
  status = simulate(h, "memory:", "memory:", count, &err);
  if (status == IU_OK) status = simulate(h, "file:", path, count, &err);
  if (status != IU_OK) fprintf(stderr, "%s: %s\n", iu_status_kind(err.status), err.message);
  snprintf(command, sizeof command, "rm -r %s", folder);
  return system(command) != 0 || status != IU_OK;
}

int main(int argc, char **argv) {
  host h = {NULL, LUA_NOREF, 10000};
  double seconds = argc > 1 ? atof(argv[1]) : 10;
  const char *rules = argc > 3 ? argv[3] : "scripts/examples/host/rules.lua";
  int failed;
  if (argc > 2) h.entities = atol(argv[2]);
  failed = !load_rules(&h, rules) || run(&h, seconds);
  if (h.L != NULL) lua_close(h.L);
  return failed;
}
