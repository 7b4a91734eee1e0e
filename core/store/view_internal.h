/* view_internal.h: what view.c, view_rows.c and view_iter.c share. */
#ifndef IU_STORE_VIEW_INTERNAL_H
#define IU_STORE_VIEW_INTERNAL_H

#include "internal.h"
#include "view.h"

/* Counts per row: open addressing by the row's address, at most three quarters full. Holds the memory of its rows. */
typedef struct iu_held { iu_row *row; uint64_t count; } iu_held;
typedef struct iu_view_rows {
  iu_held *slots; /* owned; row NULL: empty */
  size_t mask, used;
} iu_view_rows;

void iu__view_rows_free(iu_view_rows *r, iu_store *s);
/* The new count, or 0 when there is no memory. */
uint64_t iu__view_rows_add(iu_view_rows *r, iu_row *row);
/* true: the count went to zero. */
bool iu__view_rows_drop(iu_view_rows *r, iu_store *s, const iu_row *row);
bool iu__view_rows_has(const iu_view_rows *r, const iu_row *row);

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
