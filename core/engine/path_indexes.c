/* path_indexes.c: the indexes over paths of an engine's tables: made and dropped by its owner, changed by every commit, told of.
 *
 * They are of the latest committed state, as one-off reads are. Memory only: whoever wants one after the next open makes it again. A commit never fails for one:
 * an index that could not follow is emptied, said in the log, and helps no more until it is made again.
 */
#include "internal.h"

#include "../base/alloc.h"
#include "../base/text.h"

#define PATH_SHOWN 64

iu_status iu__paths_init(iu_engine *e, iu_error *err) {
  e->paths = iu__alloc_zero(e->schema->table_count + 1u, sizeof *e->paths);
  return e->paths == NULL ? iu__fail_nomem(err) : IU_OK;
}

void iu__paths_free(iu_engine *e) {
  for (uint32_t i = 0; e->paths != NULL && i < e->schema->table_count; i++) {
    while (e->paths[i] != NULL) {
      iu_path_index *x = e->paths[i];
      e->paths[i] = x->next;
      iu__path_index_free(x);
    }
  }
  iu__free(e->paths);
  e->paths = NULL;
}

void iu__paths_commit(iu_engine *e, const iu_changeset *changes) {
  for (uint32_t i = 0; e->path_count > 0 && i < changes->count; i++) {
    const iu_change *change = &changes->changes[i];
    for (iu_path_index *x = e->paths[iu__table_index(change->table)]; x != NULL; x = x->next) {
      iu_error why;
      if (x->broken || iu__path_index_apply(x, change, &why) == IU_OK) continue;
      iu__path_index_empty(x);
      iu__log(&e->config.log, IU_LOG_WARN, "index over %s of %s: not used from now on, make it again: %s", x->path, iu__table_def(x->table)->name, why.message);
    }
  }
}

/* ---- making and dropping ---- */

static iu_status check(iu_connection *c, uint32_t table, const char *what, iu_error *err) {
  const iu_session *s = iu__session_of(c);
  if (c->closed || s->engine->closed) return iu__fail(err, IU_E_CLOSED, "the connection is closed");
  iu_status status = iu__conn_check_table(c, table, err);
  if (status != IU_OK) return status;
  if (!c->is_owner) return iu__fail(err, IU_E_AUTHORIZATION, "%s: indexes are the owner's", what);
  if (iu__store_in_tx(c->store)) return iu__fail(err, IU_E_CONFLICT, "%s: not inside a transaction", what);
  return IU_OK;
}

/* Where the index over the same field hangs, or would. */
static iu_path_index **place_of(iu_engine *e, uint32_t table, const iu_field_ref *field) {
  iu_path_index **link = &e->paths[table];
  while (*link != NULL && !iu__field_same(&(*link)->field, field)) link = &(*link)->next;
  return link;
}

static void unhang(iu_engine *e, iu_path_index **link) {
  iu_path_index *x = *link;
  *link = x->next;
  e->path_count--;
  iu__path_index_free(x);
}

static iu_status find(iu_engine *e, uint32_t table, const char *path, size_t len, iu_path_index ***link, iu_error *err) {
  iu_arena arena = {0};
  iu_field_ref field;
  iu_status status = iu__field_resolve(&arena, &e->schema->tables[table], path, len, &field, err);
  if (status == IU_OK) {
    *link = place_of(e, table, &field);
    iu__field_ref_free(&field);
  }
  iu__arena_free(&arena);
  return status;
}

iu_status iu__engine_create_index(iu_connection *c, uint32_t table, const char *path, size_t len, iu_error *err) {
  iu_engine *e = iu__session_of(c)->engine;
  iu_path_index **link, *x;
  iu_status status = check(c, table, "create_index", err);
  if (status == IU_OK && len > IU_ENGINE_INDEX_PATH_MAX) {
    status = iu__fail(err, IU_E_VALIDATION, "create_index: the path has %zu bytes, the limit is %u", len, IU_ENGINE_INDEX_PATH_MAX);
  }
  if (status == IU_OK) status = find(e, table, path, len, &link, err);
  if (status != IU_OK) return status;
  if (*link != NULL && !(*link)->broken) return IU_OK;
  if (*link != NULL) unhang(e, link);
  if (e->path_count >= IU_ENGINE_INDEXES_MAX) {
    return iu__fail(err, IU_E_OVERLOADED, "create_index: there are %u indexes over paths, the limit is %u", e->path_count, IU_ENGINE_INDEXES_MAX);
  }
  status = iu__path_index_new(iu__store_table(e->store, table), iu__store_epoch(e->store), path, len, &x, err);
  if (status != IU_OK) return status;
  while (*link != NULL) link = &(*link)->next;
  *link = x;
  e->path_count++;
  return IU_OK;
}

iu_status iu__engine_drop_index(iu_connection *c, uint32_t table, const char *path, size_t len, iu_error *err) {
  iu_engine *e = iu__session_of(c)->engine;
  char shown[4 * PATH_SHOWN + 4];
  iu_path_index **link;
  iu_status status = check(c, table, "drop_index", err);
  if (status == IU_OK) status = find(e, table, path, len, &link, err);
  if (status != IU_OK) return status;
  if (*link == NULL) {
    return iu__fail(err, IU_E_VALIDATION, "drop_index: table `%s` has no index over `%s` that was made", e->schema->tables[table].name,
                    iu__printable(shown, PATH_SHOWN, path, len));
  }
  unhang(e, link);
  return IU_OK;
}

/* ---- telling ---- */

bool iu__engine_index_at(iu_connection *c, uint32_t number, iu_engine_index *out) {
  const iu_engine *e = iu__session_of(c)->engine;
  for (uint32_t t = 0; t < e->schema->table_count; t++) {
    for (const iu_path_index *x = e->paths[t]; x != NULL; x = x->next) {
      if (number-- > 0) continue;
      *out = (iu_engine_index){.table = t, .entries = iu__value_index_count(x->values), .bytes = iu__value_index_bytes(x->values), .ordered = x->cut == 0,
                               .broken = x->broken};
      memcpy(out->path, x->path, strlen(x->path)); /* checked when it was made */
      return true;
    }
  }
  return false;
}
