/* entities.c: a small fleet of robots from C, without Lua, in any universe.
 *
 *   build/examples/entities                                  in memory
 *   build/examples/entities world.universe                   in a file
 *   build/examples/entities ws://127.0.0.1:3000/database     on a SpacetimeDB server with the module published
 *
 * It hears of every row through a subscription, creates entities by calling a reducer, reads what it holds and what the universe holds, and closes.
 * It only includes the public header: cc -Icore/include entities.c $(pkg-config --cflags --libs inner_universe)
 */
#include <inner_universe.h>

#include <stdio.h>
#include <stdlib.h>

#define ROBOTS "SELECT * FROM entity WHERE entity_type = 'Robot'"

typedef struct fleet { int arrived, changed, gone, ended; } fleet;

static void check(iu_status status, const iu_error *err, const char *what) {
  if (status == IU_OK) return;
  fprintf(stderr, "%s: %s: %s\n", what, iu_status_kind(status), err->message);
  exit(1);
}

/* The name inside an entity's metadata, which is a product with an Option<String>. */
static void name_of(const iu_value *row, char *out, size_t size) {
  iu_value part;
  iu_error err;
  check(iu_value_field(row, "metadata", &part, &err), &err, "metadata");
  check(iu_value_field(&part, "name", &part, &err), &err, "name");
  if (iu_value_is_none(&part)) snprintf(out, size, "nobody");
  else check(iu_value_at(&part, 0, &part, &err), &err, "name"); /* what the Option holds */
  if (iu_value_kind(&part) == IU_KIND_STRING) check(iu_value_text(&part, out, size, NULL, &err), &err, "name");
}

static void on_robot(void *ud, iu_universe *u, const iu_value *old_row, const iu_value *new_row, const iu_event *event) {
  fleet *f = (fleet *)ud;
  char name[64];
  (void)u;
  name_of(new_row != NULL ? new_row : old_row, name, sizeof name);
  if (iu_event_is_subscription(event)) return; /* there before we came */
  if (old_row == NULL) f->arrived++;
  else if (new_row == NULL) f->gone++;
  else f->changed++;
  printf("%s %s%s\n", old_row == NULL ? "arrives:" : new_row == NULL ? "leaves:" : "changes:", name, iu_event_is_own(event) ? "" : " (by somebody else)");
}

static void on_call_ended(void *ud, iu_universe *u, const iu_error *err, iu_cursor *rows) {
  fleet *f = (fleet *)ud;
  (void)u;
  (void)rows; /* calls give none */
  if (err != NULL) check(err->status, err, "delete_entity");
  f->ended++;
}

static void create_robots(iu_universe *u) {
  const iu_arg tags[] = {iu_arg_text("test"), iu_arg_text("blue")};
  /* a nested product part by part: name, description, tags, properties (JSON text) */
  const iu_arg metadata[] = {iu_arg_text("Ada"), iu_arg_none(), iu_arg_list(tags, 2), iu_arg_text("{\"speed\":3}")};
  const iu_arg args[] = {iu_arg_text("Robot"), iu_arg_list(metadata, 4)};
  iu_error err;
  check(iu_call(u, "create_entity", args, 2, 0, &err), &err, "create_entity");
  /* the same by name, as JSON */
  check(iu_call_json(u, "create_entity",
                     "{\"entity_type\": \"Robot\", \"metadata\": {\"name\": {\"some\": \"Brunel\"}, \"description\": null, \"tags\": [], \"properties\": \"{}\"}}",
                     0, &err), &err, "create_entity");
  /* what does not fit is refused here, before anything is sent */
  if (iu_call(u, "create_entity", args, 1, 0, &err) == IU_E_VALIDATION) printf("refused: %.44s...\n", err.message);
}

/* What the subscription holds, by an index; the ids of the first `room` of them. */
static int list_robots(iu_universe *u, char ids[][64], int room) {
  const iu_arg type = iu_arg_text("Robot");
  iu_cursor *robots;
  iu_value row, id;
  iu_error err;
  int n = 0;
  check(iu_find(u, "entity", "entity_type", &type, 1, &robots, &err), &err, "find");
  while (iu_cursor_next(robots, &row)) {
    if (n >= room) break;
    check(iu_value_field(&row, "id", &id, &err), &err, "id");
    check(iu_value_text(&id, ids[n++], 64, NULL, &err), &err, "id");
  }
  iu_cursor_free(robots);
  return n;
}

static void forget(iu_universe *u, fleet *f, char ids[][64], int count) {
  iu_error err;
  for (int i = 0; i < count; i++) {
    const iu_arg args[] = {iu_arg_text(ids[i]), iu_arg_bool(true)};
    check(iu_call_async(u, "delete_entity", args, 2, 0, on_call_ended, f, &err), &err, "delete_entity");
  }
  /* A game would do this once a frame, with what is left of it in microseconds, and nothing else. */
  while (f->ended < count || f->gone < count) {
    check(iu_step(iu_runtime_of(u), 2000, NULL, &err), &err, "step");
    if (f->ended < count || f->gone < count) check(iu_wait(iu_runtime_of(u), 16, NULL, &err), &err, "wait");
  }
}

int main(int argc, char **argv) {
  static const char *const queries[] = {ROBOTS};
  static char ids[16][64];
  const char *target = argc > 1 ? argv[1] : "memory:";
  fleet f = {0, 0, 0, 0};
  iu_runtime *rt;
  iu_universe *u;
  iu_cursor *rows;
  iu_error err;
  int count;

  check(iu_runtime_new(NULL, &rt, &err), &err, "runtime");
  check(iu_open(rt, target, NULL, &u, &err), &err, target);
  check(iu_on_row(u, "entity", IU_ON_ALL, on_robot, &f, NULL, &err), &err, "on_row");
  check(iu_subscribe(u, queries, 1, 0, NULL, NULL, NULL, &err), &err, "subscribe");

  create_robots(u);
  count = list_robots(u, ids, 16);
  check(iu_query_once(u, ROBOTS, 0, &rows, &err), &err, "query"); /* the universe's own word, not the subscription's */
  printf("held: %d, in the universe: %d\n", count, (int)iu_cursor_count(rows));
  iu_cursor_free(rows);
  forget(u, &f, ids, count);
  printf("arrived %d, changed %d, left %d\n", f.arrived, f.changed, f.gone);

  check(iu_close(u, &err), &err, "close");
  iu_free(u);
  check(iu_runtime_free(rt, &err), &err, "runtime");
  return 0;
}
