/* text_indexes.c: text indexes of a universe without a file (core/journal/text_memory.h). A commit only notes the keys of the rows that it changed; who searches brings the
 * index up to date, a slice at a time: first a walk over the table as it was when the index was made, then the rows behind the noted keys as they are. What goes wrong
 * on the way takes the index down, and the next search makes it anew. */
#include "internal.h"

#include "../base/alloc.h"
#include "../journal/text_memory.h"

typedef struct iu_text {
  struct iu_text *next;
  uint32_t table;
  iu_text_memory *index;
  iu_iter *walk;          /* NULL: done */
  iu_buf keys;            /* of changed rows: length, BSATN */
  size_t at;
  bool lost;              /* a key could not be noted */
} iu_text;

static void drop(iu_text *x) {
  iu__iter_close(x->walk);
  iu__text_memory_free(x->index);
  iu__buf_free(&x->keys);
  iu__free(x);
}

void iu__texts_free(iu_engine *e) {
  while (e->texts != NULL) {
    iu_text *x = e->texts;
    e->texts = x->next;
    drop(x);
  }
}

static iu_text **place_of(iu_engine *e, uint32_t table) {
  iu_text **link = &e->texts;
  while (*link != NULL && (*link)->table != table) link = &(*link)->next;
  return link;
}

static void unhang(iu_text **link) {
  iu_text *x = *link;
  *link = x->next;
  drop(x);
}

/* ---- commits ---- */

static iu_slice key_of(const iu_table *t, const iu_row *row) {
  const iu_table_def *def = iu__table_def(t);
  return iu__bsatn_column(def->row, (uint32_t)def->primary_key, row->data, row->len);
}

static void note(iu_text *x, iu_slice key) {
  uint32_t len = (uint32_t)key.len;
  iu__buf_put(&x->keys, &len, sizeof len);
  iu__buf_put(&x->keys, key.p, key.len);
  if (!x->keys.failed) return;
  x->lost = true;
  iu__buf_free(&x->keys);
}

void iu__texts_commit(iu_engine *e, const iu_changeset *changes) {
  for (uint32_t i = 0; e->texts != NULL && i < changes->count; i++) {
    const iu_change *change = &changes->changes[i];
    iu_text *x = *place_of(e, iu__table_index(change->table));
    if (x == NULL || x->lost) continue;
    iu_slice was = {0}, is = {0};
    if (change->old_row != NULL) was = key_of(change->table, change->old_row);
    if (change->new_row != NULL) is = key_of(change->table, change->new_row);
    bool same = was.p != NULL && is.p != NULL && was.len == is.len && memcmp(was.p, is.p, is.len) == 0;
    if (was.p != NULL) note(x, was);
    if (is.p != NULL && !same && !x->lost) note(x, is);
  }
}

/* ---- bringing up to date ---- */

static iu_status check(iu_connection *c, uint32_t table, iu_error *err) {
  const iu_session *s = iu__session_of(c);
  if (c->closed || s->engine->closed) return iu__fail(err, IU_E_CLOSED, "the connection is closed");
  iu_status status = iu__conn_check_table(c, table, err);
  if (status != IU_OK) return status;
  if (!c->is_owner) return iu__fail(err, IU_E_AUTHORIZATION, "search: the index holds private tables too: the owner's only");
  if (iu__store_in_tx(c->store)) return iu__fail(err, IU_E_CONFLICT, "search: not inside a transaction");
  return IU_OK;
}

static iu_status make(iu_engine *e, uint32_t table, const char *sql, iu_text **link, iu_error *err) {
  iu_text *x = iu__alloc_zero(1, sizeof *x);
  iu_status status;
  if (x == NULL) return iu__fail_nomem(err);
  x->table = table;
  iu__buf_init(&x->keys, IU_ENGINE_TEXT_NOTES_MAX);
  status = iu__text_memory_new(e->schema, table, sql, &x->index, err);
  if (status == IU_OK) status = iu__table_iter(iu__store_table(e->store, table), iu__store_epoch(e->store), IU_INDEX_MAIN, NULL, false, &x->walk, err);
  if (status != IU_OK) {
    drop(x);
    return status;
  }
  *link = x;
  return IU_OK;
}

static iu_status walk(iu_text *x, uint32_t *left, iu_error *err) {
  iu_status status = IU_OK;
  while (status == IU_OK && x->walk != NULL && *left > 0) {
    const iu_row *row = iu__iter_next(x->walk);
    if (row == NULL) {
      iu__iter_close(x->walk);
      x->walk = NULL;
      break;
    }
    --*left;
    status = iu__text_memory_put(x->index, (iu_slice){row->data, row->len}, err);
  }
  return status;
}

static iu_status follow(iu_engine *e, iu_text *x, uint32_t *left, iu_error *err) {
  const iu_table *t = iu__store_table(e->store, x->table);
  iu_status status = IU_OK;
  while (status == IU_OK && x->at < x->keys.len && *left > 0) {
    uint32_t len;
    memcpy(&len, x->keys.data + x->at, sizeof len);
    iu_slice key = {x->keys.data + x->at + sizeof len, len};
    const iu_row *row = iu__table_get(t, iu__store_epoch(e->store), key.p, key.len);
    status = row != NULL ? iu__text_memory_put(x->index, (iu_slice){row->data, row->len}, err) : iu__text_memory_delete(x->index, key, err);
    x->at += sizeof len + len;
    --*left;
  }
  if (x->at == x->keys.len) {
    iu__buf_free(&x->keys);
    iu__buf_init(&x->keys, IU_ENGINE_TEXT_NOTES_MAX);
    x->at = 0;
  }
  return status;
}

static bool is_behind(const iu_text *x) { return x->walk != NULL || x->at < x->keys.len || x->lost; }

iu_status iu__engine_text_sync(iu_connection *c, uint32_t table, const char *sql, uint32_t most, bool *more, iu_error *err) {
  iu_engine *e = iu__session_of(c)->engine;
  iu_status status = check(c, table, err);
  *more = false;
  if (status != IU_OK) return status;
  iu_text **link = place_of(e, table), *x;
  if (*link != NULL && (*link)->lost) unhang(link);
  link = place_of(e, table);
  if (*link == NULL && (status = make(e, table, sql, link, err)) != IU_OK) return status;
  x = *link;
  if (!is_behind(x)) return IU_OK;
  status = iu__text_memory_begin(x->index, err);
  if (status == IU_OK) status = walk(x, &most, err);
  if (status == IU_OK && x->walk == NULL) status = follow(e, x, &most, err);
  if (status == IU_OK) status = iu__text_memory_end(x->index, err);
  if (status != IU_OK) unhang(link);
  else *more = is_behind(x);
  return status;
}

iu_status iu__engine_text_report(iu_connection *c, uint32_t table, iu_report **out, iu_error *err) {
  iu_engine *e = iu__session_of(c)->engine;
  iu_status status = check(c, table, err);
  iu_text *x = status == IU_OK ? *place_of(e, table) : NULL;
  *out = NULL;
  if (status == IU_OK && (x == NULL || is_behind(x))) status = iu__fail(err, IU_E_CONFLICT, "search: the index is not up to date");
  return status == IU_OK ? iu__text_memory_report(x->index, out, err) : status;
}
