/* world.c: schemas, and for each what is held of it. There is one present world; a module that was published anew brings the next, into which what is
 * held is carried. Older schemas stay until the release; their rows go with the last row set that was read from them. */
#include "../base/alloc.h"
#include "internal.h"

static void world_free(iu_world *w) {
  iu__replica_free(w->replica);
  iu__schema_free(w->schema);
  iu__free(w);
}

/* Of a world that nobody reads any more. The schema stays: errors and events may name it. */
static void drop_rows(iu_world *w) {
  if (!w->retired || w->readers > 0) return;
  iu__replica_free(w->replica);
  w->replica = NULL;
}

static void world_unref(iu_world *w) {
  drop_rows(w);
  if (--w->refs == 0) world_free(w);
}

/* The schema is taken when it succeeds. */
static iu_status world_new(iu_schema *schema, iu_world **out, iu_error *err) {
  iu_world *w = iu__alloc_zero(1, sizeof *w);
  iu_status status;
  if (w == NULL) return iu__fail_nomem(err);
  status = iu__replica_new(schema, &w->replica, err);
  if (status != IU_OK) {
    iu__free(w);
    return status;
  }
  w->schema = schema;
  w->refs = 1;
  *out = w;
  return IU_OK;
}

/* Those who watch go on watching the table of the same name. */
static void carry_watched(iu_client *c, const iu_schema *to, uint8_t *watched) {
  for (uint32_t i = 0; i < c->base.schema->table_count; i++) {
    const char *name = c->base.schema->tables[i].name;
    int table = iu__schema_table(to, name, strlen(name));
    if (table >= 0) watched[table] = c->base.watched[i];
  }
}

static iu_status install(iu_client *c, iu_world *w, iu_error *err) {
  uint8_t *watched = iu__alloc_zero(w->schema->table_count + 1u, 1);
  uint32_t *whole = iu__alloc_zero(w->schema->table_count + 1u, sizeof *whole);
  if (watched == NULL || whole == NULL) {
    iu__free(watched);
    iu__free(whole);
    return iu__fail_nomem(err);
  }
  if (c->worlds != NULL) {
    carry_watched(c, w->schema, watched);
    c->worlds->retired = true;
  }
  iu__free(c->base.watched);
  iu__free(c->whole);
  c->base.watched = watched;
  c->whole = whole;
  c->base.schema = w->schema;
  c->base.store = iu__replica_store(w->replica);
  c->base.view = iu__replica_view(w->replica);
  w->next = c->worlds;
  c->worlds = w;
  return IU_OK;
}

iu_status iu__world_first(iu_client *c, iu_error *err) {
  iu_schema *schema = iu__alloc_zero(1, sizeof *schema);
  iu_world *w = NULL;
  iu_status status = schema == NULL ? iu__fail_nomem(err) : world_new(schema, &w, err);
  if (status != IU_OK) iu__schema_free(schema);
  else if ((status = install(c, w, err)) != IU_OK) world_free(w);
  return status;
}

iu_status iu__world_enter(iu_client *c, iu_schema *schema, iu_error *err) {
  iu_world *old = c->worlds, *w;
  iu_status status = world_new(schema, &w, err);
  if (status != IU_OK) {
    iu__schema_free(schema);
    return status;
  }
  status = iu__replica_carry(w->replica, old->replica, err);
  if (status == IU_OK) status = install(c, w, err);
  if (status != IU_OK) {
    world_free(w);
    return status;
  }
  iu__sub_recount(c);
  return IU_OK;
}

void iu__world_settle(iu_client *c) {
  for (iu_world *w = c->worlds->next; w != NULL; w = w->next) drop_rows(w);
}

void iu__world_free_all(iu_client *c) {
  while (c->worlds != NULL) {
    iu_world *w = c->worlds;
    c->worlds = w->next;
    w->retired = true;
    world_unref(w);
  }
}

/* ---- row sets ---- */

iu_world *iu__world_hold(iu_client *c) {
  c->worlds->refs++;
  c->worlds->readers++;
  return c->worlds;
}

void iu__world_drop(iu_world *w) {
  w->readers--;
  world_unref(w);
}
