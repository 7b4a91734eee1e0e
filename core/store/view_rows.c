/* view_rows.c: the counts per row of one table in a view; see view_internal.h. */
#include "view_internal.h"

#include "../base/alloc.h"

#define SLOTS_MIN 16u

static size_t home(const iu_view_rows *r, const iu_row *row) {
  return (size_t)(((uint64_t)(uintptr_t)row >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 20) & r->mask;
}

/* Where the row is, or the empty slot where it would go. */
static size_t slot_of(const iu_view_rows *r, const iu_row *row) {
  size_t at = home(r, row);

  while (r->slots[at].row != NULL && r->slots[at].row != row) at = (at + 1) & r->mask;
  return at;
}

static bool resize(iu_view_rows *r, size_t slots) {
  iu_view_rows other = *r;
  size_t i;

  other.slots = iu__alloc_zero(slots, sizeof *r->slots);
  other.mask = slots - 1;
  if (other.slots == NULL) return false;
  for (i = 0; r->slots != NULL && i <= r->mask; i++)
    if (r->slots[i].row != NULL) other.slots[slot_of(&other, r->slots[i].row)] = r->slots[i];
  iu__free(r->slots);
  *r = other;
  return true;
}

void iu__view_rows_free(iu_view_rows *r, iu_store *s) {
  size_t i;

  for (i = 0; r->slots != NULL && i <= r->mask; i++)
    if (r->slots[i].row != NULL) iu__row_release(s, r->slots[i].row);
  iu__free(r->slots);
  memset(r, 0, sizeof *r);
}

uint32_t iu__view_rows_add(iu_view_rows *r, iu_row *row) {
  size_t slots = r->slots != NULL ? r->mask + 1 : 0, at;

  if ((r->used + 1) * 4 > slots * 3 && !resize(r, slots != 0 ? slots * 2 : SLOTS_MIN)) return 0;
  at = slot_of(r, row);
  if (r->slots[at].row == NULL) {
    r->slots[at].row = row;
    r->slots[at].stage = r->stage == IU_VIEW_ENTERING ? r->number : 0;
    r->used++;
    r->apart += r->stage == IU_VIEW_ENTERING;
    iu__row_hold(row);
  }
  if (r->slots[at].count == UINT32_MAX) return 0;
  return ++r->slots[at].count;
}

static void cut(iu_view_rows *r, size_t hole) {
  size_t at = hole;

  for (;;) {
    at = (at + 1) & r->mask;
    if (r->slots[at].row == NULL) break;
    if (((at - home(r, r->slots[at].row)) & r->mask) < ((at - hole) & r->mask)) continue;
    r->slots[hole] = r->slots[at];
    hole = at;
  }
  memset(&r->slots[hole], 0, sizeof r->slots[hole]);
  r->used--;
  if (r->mask >= SLOTS_MIN && r->used * 8 < r->mask) (void)resize(r, (r->mask + 1) / 2); /* without memory it stays large */
}

static void take_out(iu_view_rows *r, iu_store *s, size_t at) {
  iu_row *held = r->slots[at].row;

  cut(r, at);
  iu__row_release(s, held);
}

bool iu__view_rows_drop(iu_view_rows *r, iu_store *s, const iu_row *row, bool keep) {
  size_t at = r->slots != NULL ? slot_of(r, row) : 0;

  if (r->slots == NULL || r->slots[at].row == NULL || r->slots[at].count == 0 || --r->slots[at].count != 0) return false;
  if (keep) r->apart++;
  else take_out(r, s, at);
  return true;
}

void iu__view_rows_sweep(iu_view_rows *r, iu_store *s, const iu_row *row) {
  size_t at = r->slots != NULL ? slot_of(r, row) : 0;

  if (r->slots == NULL || r->slots[at].row == NULL || r->slots[at].count != 0) return;
  r->apart--;
  take_out(r, s, at);
}

const iu_held *iu__view_rows_find(const iu_view_rows *r, const iu_row *row) {
  size_t at = r->slots != NULL ? slot_of(r, row) : 0;

  return r->slots != NULL && r->slots[at].row != NULL ? &r->slots[at] : NULL;
}
