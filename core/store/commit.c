/* commit.c: the end of a transaction that stays: its net effect, the new epoch, and change sets.
 *
 * Everything that can fail comes first; a commit that fails leaves the transaction open as it was, to be aborted or tried again.
 *
 * A row's key has one entry in the net effect, at its last write. Two rows written belong together through map 0: each insert's log entry names
 * what was there before it, back to what the committed epoch saw. A row that no epoch will see (inserted and gone again, or equal to
 * what was there) leaves the indexes at once unless an iterator of the transaction may stand on it.
 */
#include "internal.h"

#include <assert.h>

#include "../base/alloc.h"

#define RECLAIM_EXTRA 256 /* dead rows freed by each commit besides twice its writes, so that a backlog drains without a pause */

/* What the committed epoch sees of the key that the insert `w` wrote. */
static iu_row *base_of(const iu_store *s, const iu_write *w) {
  iu_row *row = w->before;

  while (row != NULL && iu__row_written_now(s, row)) row = s->log[row->holders].before;
  return row != NULL && iu__row_visible(row, s->epoch) ? row : NULL;
}

static void add_change(iu_changeset *c, iu_table *t, const iu_row *old_row, const iu_row *new_row) {
  iu_change change = {t, old_row, new_row};

  c->changes[c->count++] = change;
}

static bool written_again(const iu_store *s, const iu_write *w) {
  const iu_keymap *map = &w->table->maps[0];

  if (s->lean) return iu__table_main_written_after(w->table, w->row, (uint32_t)(w - s->log));
  return iu__keymap_at(map, iu__keymap_slot(map, w->row)) != w->row;
}

static void net_delete(const iu_store *s, const iu_write *w, iu_changeset *c) {
  const iu_row *old_row = w->row;

  if (written_again(s, w)) return;
  if (iu__row_written_now(s, w->row)) old_row = base_of(s, &s->log[w->row->holders]);
  if (old_row != NULL) add_change(c, w->table, old_row, NULL);
}

static void net_insert(const iu_store *s, const iu_write *w, iu_changeset *c) {
  iu_row *old_row;

  if (w->row->gone != IU_GONE_NEVER) return; /* deleted or replaced later */
  old_row = base_of(s, w);
  if (old_row != NULL && old_row->len == w->row->len && (old_row->len == 0 || memcmp(old_row->data, w->row->data, old_row->len) == 0)) {
    old_row->gone = IU_GONE_NEVER; /* the same again: the old one stays, the new one never was */
    w->row->gone = IU_GONE_IN_TX;
    return;
  }
  add_change(c, w->table, old_row, w->row);
}

static void net_changes(iu_store *s, iu_changeset *c) {
  uint32_t i;

  for (i = 0; i < s->log_count; i++) {
    const iu_write *w = &s->log[i];
    if (w->kind == IU_WRITE_DELETE) net_delete(s, w, c);
    else if (w->kind != IU_WRITE_REPLACED) net_insert(s, w, c);
  }
}

/* A row that no epoch sees. */
static void drop_unseen(iu_store *s, const iu_write *w) {
  if (s->live_tx_iters > 0) {
    w->row->holders = 0;
    w->row->gone = s->epoch + 1;
    iu__dead_push(s, w->table, w->row);
  } else {
    iu__table_unlink(w->table, w->row);
    iu__row_free(s, w->row);
  }
}

/* Backwards, so that map entries come back in order and nothing is freed that an earlier entry still names. */
static void settle(iu_store *s) {
  uint32_t i = s->log_count;

  while (i > 0) {
    const iu_write *w = &s->log[--i];
    w->table->committed = w->table->live;
    if (w->kind == IU_WRITE_DELETE) {
      if (w->row->gone == IU_GONE_NEVER || iu__row_written_now(s, w->row)) continue; /* stays; or dealt with at its insert */
      w->row->gone = s->epoch + 1;
      iu__dead_push(s, w->table, w->row);
      continue;
    }
    if (w->row->gone != IU_GONE_NEVER) iu__write_restore_maps(w);
    if (w->kind == IU_WRITE_REPLACED) continue;
    if (w->row->gone != IU_GONE_NEVER) drop_unseen(s, w);
    else w->row->holders = 0;
  }
}

static void hold_changes(iu_changeset *c) {
  uint32_t i;

  for (i = 0; i < c->count; i++) {
    if (c->changes[i].old_row != NULL) iu__row_hold((iu_row *)(uintptr_t)c->changes[i].old_row);
    if (c->changes[i].new_row != NULL) iu__row_hold((iu_row *)(uintptr_t)c->changes[i].new_row);
  }
}

/* Room for every write, given back where the net effect turns out to be much smaller. */
static iu_changeset *changeset_new(size_t room) {
  iu_changeset *c = iu__alloc(sizeof *c + room * sizeof *c->changes);

  if (c == NULL) return NULL;
  memset(c, 0, sizeof *c);
  c->refs = 1;
  c->changes = (iu_change *)(void *)(c + 1);
  return c;
}

static iu_changeset *changeset_fit(iu_changeset *c, size_t room) {
  iu_changeset *smaller;

  if (c->count == 0) {
    iu__free(c);
    return NULL;
  }
  if (c->count > room / 2) return c;
  smaller = iu__realloc(c, sizeof *c + c->count * sizeof *c->changes);
  if (smaller == NULL) return c;
  smaller->changes = (iu_change *)(void *)(smaller + 1);
  return smaller;
}

typedef struct write_counts { size_t inserts, deletes, all; /* of rows: places in maps do not count */ } write_counts;

static write_counts count_writes(const iu_store *s) {
  write_counts n = {0, 0, 0};
  uint32_t i;

  for (i = 0; i < s->log_count; i++) {
    n.inserts += s->log[i].kind == IU_WRITE_INSERT;
    n.deletes += s->log[i].kind == IU_WRITE_DELETE;
    n.all += s->log[i].kind != IU_WRITE_REPLACED;
  }
  return n;
}

/* Nothing but inserts, as a large subscription brings them: each is a change and stays, so one look at each row does for all of them. */
static void commit_inserts(iu_store *s, iu_changeset *c) {
  uint32_t i;

  for (i = 0; i < s->log_count; i++) {
    const iu_write *w = &s->log[i];
    if (w->kind != IU_WRITE_INSERT) continue;
    w->table->committed = w->table->live;
    w->row->holders = 1;
    add_change(c, w->table, NULL, w->row);
  }
}

static void commit_all(iu_store *s, iu_changeset *c) {
  net_changes(s, c);
  settle(s);
  hold_changes(c);
}

iu_status iu__store_commit(iu_store *s, iu_changeset **out, iu_error *err) {
  write_counts n;
  size_t limit;
  iu_changeset *c;

  if (out != NULL) *out = NULL;
  if (!s->in_tx) return iu__fail(err, IU_E_PERSISTENCE, "no transaction is open");
  n = count_writes(s);
  c = changeset_new(n.all);
  if (c == NULL) return iu__fail_nomem(err);
  if (!iu__dead_reserve(s, n.deletes) || !iu__iters_before_commit(s)) {
    iu__free(c);
    return iu__fail_nomem(err);
  }
  if (n.inserts == n.all) commit_inserts(s, c);
  else commit_all(s, c);
  c = changeset_fit(c, n.all);
  if (c != NULL) c->epoch = ++s->epoch;
  iu__iters_after_commit(s);
  limit = 2 * (size_t)s->log_count + RECLAIM_EXTRA;
  iu__tx_clear(s);
  iu__reclaim_some(s, limit);
  if (out != NULL) *out = c;
  else iu__changeset_release(s, c);
  return IU_OK;
}

void iu__changeset_retain(iu_changeset *c) {
  if (c != NULL) c->refs++;
}

bool iu__changeset_release_some(iu_store *s, iu_changeset *c, uint32_t most) {
  assert(c->refs == 1);
  for (; c->count > 0 && most > 0; most--) {
    const iu_change *change = &c->changes[--c->count];
    if (change->old_row != NULL) iu__row_release(s, (iu_row *)(uintptr_t)change->old_row);
    if (change->new_row != NULL) iu__row_release(s, (iu_row *)(uintptr_t)change->new_row);
  }
  if (c->count > 0) return false;
  iu__free(c);
  return true;
}

void iu__changeset_release(iu_store *s, iu_changeset *c) {
  if (c == NULL) return;
  assert(c->refs > 0);
  if (c->refs > 1) c->refs--;
  else iu__changeset_release_some(s, c, UINT32_MAX);
}
