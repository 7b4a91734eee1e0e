/* view_rows.c: the counts per row of one table in a view; see view_internal.h.
 *
 * When the slots become too many or too few, new ones take their place and the old ones are emptied a few at each change, so that no single change is
 * long. A row is in one of both. Slots that will be needed soon are cleared a few at each change, too: megabytes at once take their time.
 */
#include "view_internal.h"

#include "../base/alloc.h"

#define SLOTS_MIN 16u
#define AHEAD_MIN 8192u /* from so many slots on the next ones are cleared ahead */
#define CLEARED 24u     /* of them, at each change: all are before the present ones are full */
#define MOVES 16u /* of the old slots, at each change: they are empty long before the new ones have to be replaced */

static size_t home(const iu_held_slots *t, const iu_row *row) {
  return (size_t)(((uint64_t)(uintptr_t)row >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 20) & t->mask;
}

/* Where the row is, or the empty slot where it would go. */
static iu_held *slot_of(const iu_held_slots *t, const iu_row *row) {
  size_t at = home(t, row);

  while (t->slots[at].row != NULL && t->slots[at].row != row) at = (at + 1) & t->mask;
  return &t->slots[at];
}

static void cut(iu_held_slots *t, iu_held *held) {
  size_t hole = (size_t)(held - t->slots), at = hole;

  for (;;) {
    at = (at + 1) & t->mask;
    if (t->slots[at].row == NULL) break;
    if (((at - home(t, t->slots[at].row)) & t->mask) < ((at - hole) & t->mask)) continue;
    t->slots[hole] = t->slots[at];
    hole = at;
  }
  memset(&t->slots[hole], 0, sizeof t->slots[hole]);
}

/* ---- from the old slots to the new ones ---- */

static void move_some(iu_view_rows *r, size_t most) {
  for (; r->old.slots != NULL && most > 0; most--) {
    iu_held *held = &r->old.slots[r->moved];
    if (held->row != NULL) {
      *slot_of(&r->now, held->row) = *held;
      cut(&r->old, held); /* what follows may come to this place */
    } else if (r->moved++ == r->old.mask) {
      iu__free(r->old.slots);
      r->old.slots = NULL;
    }
  }
}

static void clear_ahead(iu_view_rows *r, size_t most) {
  size_t left = (r->now.mask + 1) * 2 - r->cleared, n = most < left ? most : left;

  memset(&r->next[r->cleared], 0, n * sizeof *r->next);
  r->cleared += n;
}

/* Begun where the slots are five eighths full, or more when there was no memory. */
static void look_ahead(iu_view_rows *r) {
  size_t slots = r->now.slots != NULL ? r->now.mask + 1 : 0;

  if (slots < AHEAD_MIN || r->used * 8 < slots * 5) return;
  if (r->next == NULL) {
    r->next = iu__alloc(slots * 2 * sizeof *r->next);
    r->cleared = 0;
  }
  if (r->next != NULL) clear_ahead(r, CLEARED);
}

static void forget_ahead(iu_view_rows *r) {
  iu__free(r->next);
  r->next = NULL;
}

static iu_held *fresh_slots(iu_view_rows *r, size_t count) {
  iu_held *slots = r->next;

  if (slots == NULL || count != (r->now.mask + 1) * 2) {
    forget_ahead(r);
    return iu__alloc_zero(count, sizeof *slots);
  }
  clear_ahead(r, SIZE_MAX);
  r->next = NULL;
  return slots;
}

static bool resize(iu_view_rows *r, size_t count) {
  iu_held *slots = fresh_slots(r, count);

  if (slots == NULL) return false;
  move_some(r, SIZE_MAX);
  r->old = r->now;
  r->moved = 0;
  r->now.slots = slots;
  r->now.mask = count - 1;
  return true;
}

static void free_slots(iu_held_slots *t, iu_store *s) {
  size_t i;

  for (i = 0; t->slots != NULL && i <= t->mask; i++)
    if (t->slots[i].row != NULL) iu__row_release(s, t->slots[i].row);
  iu__free(t->slots);
}

void iu__view_rows_free(iu_view_rows *r, iu_store *s) {
  free_slots(&r->now, s);
  free_slots(&r->old, s);
  forget_ahead(r);
  memset(r, 0, sizeof *r);
}

/* ---- counts ---- */

static iu_held *find(const iu_view_rows *r, const iu_row *row, bool *is_old) {
  iu_held *held = r->now.slots != NULL ? slot_of(&r->now, row) : NULL;

  *is_old = false;
  if (held != NULL && held->row != NULL) return held;
  if (r->old.slots == NULL) return NULL;
  *is_old = true;
  held = slot_of(&r->old, row);
  return held->row != NULL ? held : NULL;
}

const iu_held *iu__view_rows_find(const iu_view_rows *r, const iu_row *row) {
  bool is_old;

  return find(r, row, &is_old);
}

uint32_t iu__view_rows_add(iu_view_rows *r, iu_row *row) {
  size_t slots = r->now.slots != NULL ? r->now.mask + 1 : 0;
  iu_held *held;
  bool is_old;

  if ((r->used + 1) * 4 > slots * 3 && !resize(r, slots != 0 ? slots * 2 : SLOTS_MIN)) return 0;
  look_ahead(r);
  move_some(r, MOVES);
  held = find(r, row, &is_old);
  if (held == NULL) {
    held = slot_of(&r->now, row);
    held->row = row;
    held->stage = r->stage == IU_VIEW_ENTERING ? r->number : 0;
    r->used++;
    r->apart += r->stage == IU_VIEW_ENTERING;
    iu__row_hold(row);
  }
  if (held->count == UINT32_MAX) return 0;
  return ++held->count;
}

static void take_out(iu_view_rows *r, iu_store *s, iu_held *held, bool is_old) {
  iu_row *row = held->row;

  cut(is_old ? &r->old : &r->now, held);
  r->used--;
  iu__row_release(s, row);
  move_some(r, MOVES);
  if (r->next != NULL && r->used * 2 < r->now.mask) forget_ahead(r);
  if (r->old.slots == NULL && r->now.mask >= SLOTS_MIN * 4 && r->used * 8 < r->now.mask) (void)resize(r, (r->now.mask + 1) / 4); /* without memory it stays large */
}

bool iu__view_rows_drop(iu_view_rows *r, iu_store *s, const iu_row *row, bool keep) {
  bool is_old;
  iu_held *held = find(r, row, &is_old);

  if (held == NULL || held->count == 0 || --held->count != 0) return false;
  if (keep) r->apart++;
  else take_out(r, s, held, is_old);
  return true;
}

void iu__view_rows_sweep(iu_view_rows *r, iu_store *s, const iu_row *row) {
  bool is_old;
  iu_held *held = find(r, row, &is_old);

  if (held == NULL || held->count != 0) return;
  r->apart--;
  take_out(r, s, held, is_old);
}

void iu__view_rows_forget(iu_view_rows *r, iu_store *s, const iu_row *row) {
  bool is_old;
  iu_held *held = find(r, row, &is_old);

  if (held == NULL || r->gone == 0) return;
  r->gone--;
  take_out(r, s, held, is_old);
}
