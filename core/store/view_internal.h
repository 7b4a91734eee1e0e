/* view_internal.h: what view.c, view_rows.c and view_iter.c share. */
#ifndef IU_STORE_VIEW_INTERNAL_H
#define IU_STORE_VIEW_INTERNAL_H

#include "internal.h"
#include "view.h"

/* Counts per row: open addressing by the row's address, at most three quarters full. Holds the memory of its rows. */
typedef struct iu_held { iu_row *row; uint32_t count; /* 0: it left a stage */ uint32_t stage; /* the one that it entered in; 0: none */ } iu_held;
typedef struct iu_held_slots { iu_held *slots; /* owned; row NULL: empty */ size_t mask; } iu_held_slots;
typedef struct iu_view_rows {
  iu_held_slots now, old; /* old: what is moved to the others, up to `moved` */
  size_t moved;
  iu_held *next;          /* owned: slots twice as many as now's, for when these are full; NULL: not yet. Empty up to: */
  size_t cleared;
  size_t used;            /* rows in both */
  size_t apart;           /* rows that entered in the stage that is open, or have left in one and were not swept */
  size_t gone;            /* rows that are no more at the view's epoch, and were not forgotten yet */
  uint32_t number;        /* of the latest stage that rows enter in */
  uint8_t stage;          /* iu_view_stage */
} iu_view_rows;

void iu__view_rows_free(iu_view_rows *r, iu_store *s);
/* The new count, or 0 when there is no memory (or it is as high as it can be). */
uint32_t iu__view_rows_add(iu_view_rows *r, iu_row *row);
/* true: the count went to zero. keep: then it stays, to be swept. */
bool iu__view_rows_drop(iu_view_rows *r, iu_store *s, const iu_row *row, bool keep);
void iu__view_rows_sweep(iu_view_rows *r, iu_store *s, const iu_row *row);
void iu__view_rows_forget(iu_view_rows *r, iu_store *s, const iu_row *row);
/* Its slot; NULL: none. */
const iu_held *iu__view_rows_find(const iu_view_rows *r, const iu_row *row);

static inline bool iu__held_seen(const iu_view_rows *r, const iu_held *h) {
  if (h->row == NULL) return false;
  return h->count == 0 ? r->stage == IU_VIEW_LEAVING : r->stage != IU_VIEW_ENTERING || h->stage != r->number;
}
static inline bool iu__view_rows_has(const iu_view_rows *r, const iu_row *row) {
  const iu_held *h = iu__view_rows_find(r, row);
  return h != NULL && iu__held_seen(r, h);
}
static inline size_t iu__view_rows_seen(const iu_view_rows *r) { return r->stage == IU_VIEW_LEAVING ? r->used : r->used - r->apart - r->gone; }

typedef struct iu_view_table {
  uint64_t whole;                      /* whole-table holds */
  iu_view_rows rows;
  uint64_t counted, counted_at;        /* rows of the whole table at an epoch, counted earlier; counted_at UINT64_MAX: never */
} iu_view_table;

struct iu_view {
  iu_pin pin;
  uint32_t table_count;
  iu_view_table tables[];
};

#endif
