/* row.c: the life of a row's memory: made, held, dead and waiting, freed; and the pins that decide how long dead rows wait. */
#include "internal.h"

#include <assert.h>

#include "../base/alloc.h"

/* Rows in regions spare malloc's head and rounding. A sanitizer is to see each of them by itself; those of a lean store are in regions always, so that
 * they are tested with it, too. */
#if defined(__SANITIZE_ADDRESS__)
#define IN_SLAB(s) ((s)->lean)
#else
#define IN_SLAB(s) ((void)(s), true)
#endif

iu_row *iu__row_new(iu_store *s, const void *data, size_t len) {
  iu_row *row = IN_SLAB(s) ? iu__slab_take(&s->slab, sizeof *row + len) : iu__alloc(sizeof *row + len);

  if (row == NULL) return NULL;
  row->from = s->epoch + 1;
  row->gone = IU_GONE_NEVER;
  row->len = (uint32_t)len;
  row->holders = 0;
  if (len != 0) memcpy(row->data, data, len);
  s->rows++;
  s->row_bytes += len;
  return row;
}

void iu__row_free(iu_store *s, iu_row *row) {
  s->rows--;
  s->row_bytes -= row->len;
  if (IN_SLAB(s)) iu__slab_give(&s->slab, row, sizeof *row + row->len);
  else iu__free(row);
}

void iu__row_hold(iu_row *row) { row->holders++; }

void iu__row_release(iu_store *s, iu_row *row) {
  assert(row->holders > 0);
  if (--row->holders != 0 || row->from != UINT64_MAX) return;
  s->orphans--;
  iu__row_free(s, row);
}

bool iu__row_visible(const iu_row *row, uint64_t epoch) {
  if (epoch == IU_EPOCH_LATEST) return row->gone == IU_GONE_NEVER;
  return row->from <= epoch && epoch < row->gone;
}

/* ---- pins: few, and new ones are nearly always the newest ---- */

static void pin_link(iu_pin *pin) {
  iu_pin *after = pin->store->pins.prev;

  while (after != &pin->store->pins && after->epoch > pin->epoch) after = after->prev;
  pin->prev = after;
  pin->next = after->next;
  after->next->prev = pin;
  after->next = pin;
}

void iu__pin(iu_store *s, iu_pin *pin, uint64_t epoch) {
  pin->store = s;
  pin->epoch = epoch;
  pin_link(pin);
}

void iu__pin_move(iu_pin *pin, uint64_t epoch) {
  pin->prev->next = pin->next;
  pin->next->prev = pin->prev;
  pin->epoch = epoch;
  pin_link(pin);
}

void iu__unpin(iu_pin *pin) {
  pin->prev->next = pin->next;
  pin->next->prev = pin->prev;
  pin->prev = pin->next = NULL;
}

/* ---- dead rows ---- */

static bool dead_resize(iu_store *s, size_t cap) {
  iu_dead *ring = iu__realloc_array(NULL, cap, sizeof *ring);
  size_t i;

  if (ring == NULL) return false;
  for (i = 0; i < s->dead_count; i++) ring[i] = s->dead[(s->dead_head + i) & (s->dead_cap - 1)];
  iu__free(s->dead);
  s->dead = ring;
  s->dead_head = 0;
  s->dead_cap = cap;
  return true;
}

bool iu__dead_reserve(iu_store *s, size_t more) {
  size_t cap = s->dead_cap != 0 ? s->dead_cap : 64;

  while (cap - s->dead_count < more) cap *= 2;
  return cap == s->dead_cap || dead_resize(s, cap);
}

void iu__dead_push(iu_store *s, iu_table *t, iu_row *row) {
  iu_dead d = {row, t};

  s->dead[(s->dead_head + s->dead_count++) & (s->dead_cap - 1)] = d;
}

void iu__dead_take_back(iu_store *s, size_t count) {
  assert(count <= s->dead_count);
  s->dead_count -= count;
}

static void bury(iu_store *s, iu_table *t, iu_row *row) {
  uint32_t i;

  iu__table_unlink(t, row);
  for (i = iu__table_first_map(t); i < t->map_count; i++) iu__keymap_restore(&t->maps[i], row, NULL);
  if (row->holders == 0 || s->lean) {
    iu__row_free(s, row);
    return;
  }
  row->from = UINT64_MAX;
  s->orphans++;
}

bool iu__reclaim_some(iu_store *s, size_t limit) {
  uint64_t oldest = s->pins.next != &s->pins ? s->pins.next->epoch : UINT64_MAX;
  bool pinned = false;

  while (s->dead_count > 0 && !pinned && limit > 0) {
    iu_dead d = s->dead[s->dead_head];
    pinned = d.row->gone > oldest;
    if (pinned) break;
    limit--;
    s->dead_head = (s->dead_head + 1) & (s->dead_cap - 1);
    s->dead_count--;
    bury(s, d.table, d.row);
  }
  if (s->dead_cap > 4096 && s->dead_count < s->dead_cap / 8) (void)dead_resize(s, s->dead_cap / 2); /* else it stays large */
  return pinned || s->dead_count == 0;
}

/* An open transaction's log names dead rows as what its writes replaced. */
void iu__store_reclaim(iu_store *s) {
  if (!s->in_tx) iu__reclaim_some(s, SIZE_MAX);
}

bool iu__store_reclaim_some(iu_store *s, uint32_t most) { return s->in_tx || iu__reclaim_some(s, most); }

void iu__limbo_add(iu_store *s, iu_row *row) {
  row->from = UINT64_MAX;
  row->gone = (uint64_t)(uintptr_t)s->limbo;
  s->limbo = row;
}

void iu__limbo_empty(iu_store *s) {
  while (s->limbo != NULL) {
    iu_row *row = s->limbo;
    s->limbo = (iu_row *)(uintptr_t)row->gone;
    iu__row_free(s, row);
  }
}
