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

#define HAND_OVER_MIN 1024 /* writes of a log that is worth being given away */
#define LOG_PART ((2u << 20) / sizeof(iu_change)) /* 2 MiB of a log are given back at once */
#define RECLAIM_EXTRA 256 /* dead rows freed by each commit besides twice its writes, so that a backlog drains without a pause */

/* What the committed epoch sees of the key that the insert `w` wrote. */
static iu_row *base_of(const iu_store *s, const iu_write *w) {
  iu_row *row = iu__write_before(w);

  while (row != NULL && iu__row_written_now(s, row)) row = iu__write_before(&s->log[row->holders]);
  return row != NULL && iu__row_visible(row, s->epoch) ? row : NULL;
}

static void add_change(iu_changeset *c, iu_table *t, const iu_row *old_row, const iu_row *new_row) {
  iu_change change = {t, old_row, new_row, 0, 0};

  c->changes[c->count++] = change;
}

static bool written_again(const iu_store *s, const iu_write *w) {
  const iu_keymap *map = &w->table->maps[0];

  if (s->lean) return iu__table_main_written_after(w->table, iu__write_row(w), (uint32_t)(w - s->log));
  return iu__keymap_at(map, iu__keymap_slot(map, iu__write_row(w))) != iu__write_row(w);
}

static void net_delete(const iu_store *s, const iu_write *w, iu_changeset *c) {
  const iu_row *old_row = iu__write_row(w);
  const iu_write *next = w + 1;

  /* Updated: its insert has the key's place. */
  if (next < s->log + s->log_count && next->kind == IU_WRITE_UPDATE && iu__write_before(next) == old_row) return;
  if (written_again(s, w)) return;
  if (iu__row_written_now(s, old_row)) old_row = base_of(s, &s->log[iu__write_row(w)->holders]);
  if (old_row != NULL) add_change(c, w->table, old_row, NULL);
}

static void net_insert(const iu_store *s, const iu_write *w, iu_changeset *c) {
  iu_row *old_row;

  if (w->new_row->gone != IU_GONE_NEVER) return; /* deleted or replaced later */
  old_row = base_of(s, w);
  if (old_row != NULL && old_row->len == w->new_row->len && (old_row->len == 0 || memcmp(old_row->data, w->new_row->data, old_row->len) == 0)) {
    old_row->gone = IU_GONE_NEVER; /* the same again: the old one stays, the new one never was */
    iu__write_row(w)->gone = IU_GONE_IN_TX;
    return;
  }
  add_change(c, w->table, old_row, w->new_row);
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
    iu__write_row(w)->holders = 0;
    iu__write_row(w)->gone = s->epoch + 1;
    iu__dead_push(s, w->table, iu__write_row(w));
  } else {
    iu__table_unlink(w->table, iu__write_row(w));
    iu__row_free(s, iu__write_row(w));
  }
}

/* Backwards, so that map entries come back in order and nothing is freed that an earlier entry still names. */
static void settle(iu_store *s) {
  uint32_t i = s->log_count;

  while (i > 0) {
    const iu_write *w = &s->log[--i];
    if (w->kind == IU_WRITE_DELETE) {
      if (iu__write_row(w)->gone == IU_GONE_NEVER || iu__row_written_now(s, iu__write_row(w))) continue; /* stays; or dealt with at its insert */
      iu__write_row(w)->gone = s->epoch + 1;
      iu__dead_push(s, w->table, iu__write_row(w));
      continue;
    }
    if (w->new_row->gone != IU_GONE_NEVER) iu__write_restore_maps(w);
    if (w->kind == IU_WRITE_REPLACED) continue;
    if (w->new_row->gone != IU_GONE_NEVER) drop_unseen(s, w);
    else iu__write_row(w)->holders = 0;
  }
}

/* Deleted rows that this commit leaves behind are visible at the epoch before it, and new ones at every later one until they are deleted: a pin there
 * keeps both. */
static void hold_changes(iu_store *s, iu_changeset *c) {
  uint32_t i;

  if (s->lean) {
    iu__pin(s, &c->pin, c->epoch - 1);
    return;
  }
  for (i = 0; c->log != NULL && i < c->count; i++) {
    ((iu_row *)(uintptr_t)c->changes[i].new_row)->holders = 1; /* a place in the log until now */
    c->changes[i].old_row = NULL; /* a row of that key that is gone since an earlier commit, and not ours to hold */
  }
  for (i = 0; c->log == NULL && i < c->count; i++) {
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

/* Nothing but inserts: each is a change and stays, so one look at each row does for all of them. */
static void net_inserts(iu_store *s, iu_changeset *c) {
  uint32_t i;

  for (i = 0; i < s->log_count; i++) {
    const iu_write *w = &s->log[i];
    if (w->kind != IU_WRITE_INSERT) continue;
    iu__write_row(w)->holders = 0;
    add_change(c, w->table, NULL, w->new_row);
  }
}

static void net_all(iu_store *s, iu_changeset *c) {
  net_changes(s, c);
  settle(s);
}

/* ---- large transactions of one kind: in a lean store what a subscription brings, or takes when it ends ---- */

static bool all_deletes(const iu_store *s) { return s->log_deletes == s->log_count && s->live_tx_iters == 0; }

/* The log is the net effect as it is, and (but for the holds on its rows) needs no further look. */
static bool log_is_net(const iu_store *s) {
  if (s->log_count < HAND_OVER_MIN) return false;
  return (s->log_deletes == 0 && s->log_places == 0) || (s->lean && s->settled == s->log_count);
}

bool iu__store_settle_some(iu_store *s, uint32_t most) {
  if (!s->in_tx || !s->lean || s->log_count < HAND_OVER_MIN || !all_deletes(s)) return true;
  if (s->settled == 0 && !iu__dead_reserve(s, s->log_count)) return true; /* the commit will say so */
  for (; s->settled < s->log_count && most > 0; most--) {
    const iu_write *w = &s->log[s->settled++];
    iu__write_row(w)->gone = s->epoch + 1; /* the committed epoch goes on seeing it */
    iu__dead_push(s, w->table, iu__write_row(w));
  }
  return s->settled == s->log_count;
}

static void hand_over_log(iu_store *s, iu_changeset *c) {
  c->count = s->log_count;
  c->changes = c->log = s->log;
  s->log = NULL;
  s->log_cap = 0;
}

/* ---- the commit ---- */

static void count_committed(iu_store *s) {
  uint32_t i;

  for (i = 0; i < s->table_count; i++) s->tables[i].committed = s->tables[i].live;
}

iu_status iu__store_commit(iu_store *s, iu_changeset **out, iu_error *err) {
  size_t writes = s->log_count - s->log_places, limit;
  iu_changeset *c;

  if (out != NULL) *out = NULL;
  if (!s->in_tx) return iu__fail(err, IU_E_PERSISTENCE, "no transaction is open");
  if (s->loading) return iu__fail(err, IU_E_PERSISTENCE, "the store is being loaded");
  if (s->settled > 0) (void)iu__store_settle_some(s, UINT32_MAX);
  c = changeset_new(log_is_net(s) ? 0 : writes);
  if (c == NULL) return iu__fail_nomem(err);
  if ((s->settled == 0 && !iu__dead_reserve(s, s->log_deletes)) || !iu__iters_before_commit(s)) {
    iu__free(c);
    return iu__fail_nomem(err);
  }
  limit = 2 * (size_t)s->log_count + RECLAIM_EXTRA;
  if (log_is_net(s)) {
    hand_over_log(s, c);
    if (s->lean) limit = RECLAIM_EXTRA;
  } else {
    if (s->log_deletes == 0) net_inserts(s, c);
    else net_all(s, c);
    c = changeset_fit(c, writes);
  }
  count_committed(s);
  if (c != NULL) {
    if (s->log_deletes == 0) c->inserted_bytes = s->tx_bytes;
    c->epoch = ++s->epoch;
    hold_changes(s, c);
  }
  iu__iters_after_commit(s);
  iu__tx_clear(s);
  iu__reclaim_some(s, limit);
  if (out != NULL) *out = c;
  else iu__changeset_release(s, c);
  return IU_OK;
}

void iu__changeset_retain(iu_changeset *c) {
  if (c != NULL) c->refs++;
}

/* The memory of a large log goes in parts, too: giving back megabytes at once takes its time. `before`: how many changes it had. */
static void cut_log(iu_changeset *c, uint32_t before) {
  bool part = c->log != NULL && c->count > 0 && c->count / LOG_PART != before / LOG_PART;
  iu_change *smaller = part ? iu__realloc(c->log, c->count * sizeof *c->changes) : NULL;

  if (smaller != NULL) c->changes = c->log = smaller;
}

static void release_rows(iu_store *s, const iu_change *change) {
  if (change->old_row != NULL) iu__row_release(s, (iu_row *)(uintptr_t)change->old_row);
  if (change->new_row != NULL) iu__row_release(s, (iu_row *)(uintptr_t)change->new_row);
}

bool iu__changeset_release_some(iu_store *s, iu_changeset *c, uint32_t most) {
  assert(c->refs == 1);
  if (c->pin.store != NULL) {
    uint32_t before = c->count;
    c->count -= most < c->count ? most : c->count;
    cut_log(c, before);
  }
  for (; c->pin.store == NULL && c->count > 0 && most > 0; most--) release_rows(s, &c->changes[--c->count]);
  if (c->count > 0) return false;
  if (c->pin.store != NULL) iu__unpin(&c->pin);
  iu__free(c->log);
  iu__free(c);
  return true;
}

void iu__changeset_release(iu_store *s, iu_changeset *c) {
  if (c == NULL) return;
  assert(c->refs > 0);
  if (c->refs > 1) c->refs--;
  else iu__changeset_release_some(s, c, UINT32_MAX);
}
