/* tx.c: writing inside a transaction, and undoing it. commit.c ends one.
 *
 * The log holds every write in order. Undo walks it backwards, never allocates and never fails: a row inserted leaves the indexes, a row
 * deleted is there again, a map entry that was replaced comes back.
 */
#include "internal.h"

#include <assert.h>

#include "../base/alloc.h"
#include "conflict.h"

iu_status iu__store_begin(iu_store *s, iu_error *err) {
  if (s->in_tx) return iu__fail(err, IU_E_CONFLICT, "a transaction is open already");
  s->in_tx = true;
  return IU_OK;
}

bool iu__store_in_tx(const iu_store *s) { return s->in_tx; }
size_t iu__tx_mark(const iu_store *s) { return s->log_count; }
uint64_t iu__tx_bytes(const iu_store *s) { return s->tx_bytes; }
uint32_t iu__tx_changes(const iu_store *s) { return s->changes; }

void iu__tx_clear(iu_store *s) {
  s->in_tx = false;
  s->log_count = 0;
  s->changes = 0;
  s->tx_bytes = 0;
  s->log_deletes = s->log_places = s->settled = 0;
  if (s->log_cap > 4096) { /* one large transaction does not keep its log */
    iu__free(s->log);
    s->log = NULL;
    s->log_cap = 0;
  }
}

static iu_status reserve(iu_store *s, uint32_t more, iu_error *err) {
  uint32_t cap = s->log_cap != 0 ? s->log_cap : 64;
  iu_write *log;

  if (!s->in_tx) return iu__fail(err, IU_E_PERSISTENCE, "no transaction is open");
  if (s->loading) return iu__fail(err, IU_E_PERSISTENCE, "the store is being loaded");
  if (s->settled > 0) return iu__fail(err, IU_E_PERSISTENCE, "the transaction is being committed");
  if (s->log_count > IU_TX_WRITES_MAX - more) return iu__fail(err, IU_E_OVERLOADED, "a transaction has at most %u writes", IU_TX_WRITES_MAX);
  if (s->log_cap - s->log_count >= more) return IU_OK;
  while (cap - s->log_count < more) cap *= 2;
  log = iu__realloc_array(s->log, cap, sizeof *log);
  if (log == NULL) return iu__fail_nomem(err);
  s->log = log;
  s->log_cap = cap;
  return IU_OK;
}

static void note(iu_store *s, iu_table *t, iu_row *row, iu_row *before, uint32_t map, iu_write_kind kind) {
  iu_write w = {t, before, row, map, kind};

  t->writes++;
  s->log[s->log_count++] = w;
  s->log_deletes += kind == IU_WRITE_DELETE;
  s->log_places += kind == IU_WRITE_REPLACED;
}

/* ---- the steps ---- */

static void mark_deleted(iu_table *t, iu_row *row) {
  iu_store *s = t->store;

  row->gone = IU_GONE_IN_TX | s->log_count;
  note(s, t, NULL, row, 0, IU_WRITE_DELETE);
  s->changes++;
  t->live--;
}

/* Room in every map. Their places come from memory while the row is made. */
static bool reserve_maps(iu_table *t, const void *data, size_t len) {
  uint32_t i;

  for (i = iu__table_first_map(t); i < t->map_count; i++) {
    if (!iu__keymap_reserve(&t->maps[i])) return false;
    t->slots[i].tag = iu__keymap_fetch(&t->maps[i], data, len);
  }
  return true;
}

/* Finds the place in every map, whose tags are known. A row there that is visible now, other than `leaving`, is in the way: its map is returned, or UINT32_MAX.
 * *before: what the log says of the key. */
static uint32_t find_slots(iu_table *t, const iu_row *row, const iu_row *leaving, const iu_row **other, iu_row **before) {
  uint32_t i = iu__table_first_map(t);

  if (i == 1) {
    *other = iu__table_main_now(t, row, before);
    if (*other != NULL && *other != leaving) return 0;
  }
  for (; i < t->map_count; i++) {
    t->slots[i] = iu__keymap_slot_of(&t->maps[i], t->slots[i].tag, row);
    *other = iu__keymap_at(&t->maps[i], t->slots[i]);
    if (*other != NULL && *other != leaving && (*other)->gone == IU_GONE_NEVER) return i;
  }
  if (!t->store->lean) *before = iu__keymap_at(&t->maps[0], t->slots[0]);
  return UINT32_MAX;
}

static void enter_maps(iu_table *t, iu_row *row, iu_row *before_row, iu_write_kind kind) {
  iu_store *s = t->store;
  uint32_t i;

  row->holders = s->log_count;
  note(s, t, row, before_row, 0, kind);
  if (!s->lean) iu__keymap_put(&t->maps[0], t->slots[0], row);
  for (i = 1; i < t->map_count; i++) {
    iu_row *before = iu__keymap_at(&t->maps[i], t->slots[i]);
    if (before != NULL) note(s, t, row, before, i, IU_WRITE_REPLACED);
    iu__keymap_put(&t->maps[i], t->slots[i], row);
  }
  s->changes += kind == IU_WRITE_INSERT;
  s->tx_bytes += row->len;
  t->live++;
}

static bool same_row(const iu_row *a, const iu_row *b) { return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0); }

/* `leaving`: the row that an update replaces, still there. It goes only when nothing can fail any more. */
static iu_status write_row(iu_table *t, iu_row *row, iu_row *leaving, const iu_row **stored, bool *existing, iu_error *err) {
  const iu_row *other;
  iu_row *before = NULL;
  uint32_t map;

  map = find_slots(t, row, leaving, &other, &before);
  if (map != UINT32_MAX) {
    if (leaving != NULL || !same_row(row, other)) return iu__conflict(t, t->maps[map].key, row, err);
    *existing = true;
    *stored = other;
    return IU_OK;
  }
  if (!iu__table_link(t, row, leaving)) return iu__fail_nomem(err);
  if (leaving != NULL) mark_deleted(t, leaving);
  enter_maps(t, row, before, leaving != NULL ? IU_WRITE_UPDATE : IU_WRITE_INSERT);
  *stored = row;
  return IU_OK;
}

static iu_status write_bytes(iu_table *t, const void *data, size_t len, iu_row *leaving, const iu_row **stored, bool *existing, iu_error *err) {
  iu_status status;
  iu_row *row;

  if (len > IU_ROW_BYTES_MAX) return iu__fail(err, IU_E_OVERLOADED, "a row has at most %u bytes", IU_ROW_BYTES_MAX);
  status = reserve(t->store, t->map_count + 1, err);
  if (status != IU_OK) return status;
  if (!reserve_maps(t, data, len)) return iu__fail_nomem(err);
  row = iu__row_new(t->store, data, len);
  if (row == NULL) return iu__fail_nomem(err);
  status = write_row(t, row, leaving, stored, existing, err);
  if (status != IU_OK || *existing) iu__row_free(t->store, row);
  return status;
}

iu_status iu__tx_insert(iu_table *t, const void *row, size_t len, const iu_row **stored, bool *existing, iu_error *err) {
  const iu_row *there = NULL;
  bool was_there = false;
  iu_status status = write_bytes(t, row, len, NULL, &there, &was_there, err);

  if (stored != NULL) *stored = there;
  if (existing != NULL) *existing = was_there;
  return status;
}

static iu_status check_there(const iu_table *t, const iu_row *row, iu_error *err) {
  if (row->gone == IU_GONE_NEVER) return IU_OK;
  return iu__fail(err, IU_E_PERSISTENCE, "table `%s`: the row is no longer there", t->def->name);
}

iu_status iu__tx_delete(iu_table *t, const iu_row *row, iu_error *err) {
  iu_status status = reserve(t->store, 1, err);

  if (status == IU_OK) status = check_there(t, row, err);
  if (status == IU_OK) mark_deleted(t, (iu_row *)(uintptr_t)row);
  return status;
}

iu_status iu__tx_update(iu_table *t, const iu_row *old_row, const void *row, size_t len, const iu_row **stored, iu_error *err) {
  const iu_row *there = NULL;
  bool was_there = false;
  iu_status status = reserve(t->store, 1, err);

  if (stored != NULL) *stored = NULL;
  if (status == IU_OK) status = check_there(t, old_row, err);
  if (status != IU_OK) return status;
  if (old_row->len == len && (len == 0 || memcmp(old_row->data, row, len) == 0)) {
    there = old_row;
  } else {
    status = write_bytes(t, row, len, (iu_row *)(uintptr_t)old_row, &there, &was_there, err);
  }
  if (stored != NULL) *stored = there;
  return status;
}

/* ---- undo ---- */

void iu__write_restore_maps(const iu_write *w) {
  iu_table *t = w->table;
  uint32_t i;

  if (w->map >= iu__table_first_map(t)) iu__keymap_restore(&t->maps[w->map], w->new_row, iu__write_before(w));
  if (w->kind == IU_WRITE_REPLACED) return;
  for (i = 1; i < t->map_count; i++) iu__keymap_restore(&t->maps[i], w->new_row, NULL); /* where it was the first of its value */
}

static void undo(iu_store *s, const iu_write *w) {
  iu_row *row = iu__write_row(w);

  w->table->writes++;
  if (w->kind == IU_WRITE_DELETE) {
    row->gone = IU_GONE_NEVER;
    w->table->live++;
    s->changes--;
    s->log_deletes--;
    return;
  }
  iu__write_restore_maps(w);
  if (w->kind == IU_WRITE_REPLACED) {
    s->log_places--;
    return;
  }
  s->changes -= w->kind == IU_WRITE_INSERT;
  s->tx_bytes -= row->len;
  w->table->live--;
  iu__table_unlink(w->table, row);
  if (s->live_tx_iters > 0) iu__limbo_add(s, row);
  else iu__row_free(s, row);
}

static void undo_to(iu_store *s, size_t mark) {
  while (s->log_count > mark) undo(s, &s->log[--s->log_count]);
}

void iu__tx_rollback_to(iu_store *s, size_t mark) {
  if (!s->in_tx) return;
  assert(s->settled == 0);
  undo_to(s, mark);
  iu__iters_after_rollback(s, s->log_count, false);
}

void iu__store_abort(iu_store *s) {
  if (!s->in_tx) return;
  assert(!s->loading);
  iu__dead_take_back(s, s->settled);
  undo_to(s, 0);
  iu__iters_after_rollback(s, 0, true);
  iu__tx_clear(s);
}
