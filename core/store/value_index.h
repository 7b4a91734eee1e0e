/* value_index.h: an ordered index over values that are made from the rows of one table by somebody else, who hands in a value as bytes.
 *
 * Values order by memcmp, rows of one value by the table's primary order. No value may be the beginning of another. Entries borrow their rows: a row must be
 * taken out (or replaced) before it is freed, so only rows that are there belong in here, and nothing in here knows of epochs.
 *
 * A value of a single byte from 1 to IU_VALUE_TAG_MAX costs nothing but the tree's slot (16 bytes, in leaves 50 to 100 percent full); any other one 12 bytes, its
 * own, and what the allocator adds. add may fail for want of memory and then has changed nothing. Cost of a change O(log n).
 */
#ifndef IU_STORE_VALUE_INDEX_H
#define IU_STORE_VALUE_INDEX_H

#include "store.h"

#define IU_VALUE_TAG_MAX 7
#define IU_VALUE_BYTES_MAX 1024

typedef struct iu_value_index iu_value_index;
iu_status iu__value_index_new(iu_table *t, iu_value_index **out, iu_error *err); /* the table is borrowed */
void iu__value_index_free(iu_value_index *x);
void iu__value_index_clear(iu_value_index *x);
/* value: 1 to IU_VALUE_BYTES_MAX bytes, copied. false: no memory. */
bool iu__value_index_add(iu_value_index *x, const iu_row *row, iu_slice value);
/* false: it is not there. */
bool iu__value_index_remove(iu_value_index *x, const iu_row *row, iu_slice value);
/* A new version of a row, with the same value. false: the old one is not there, or there is no memory (then the old one may be gone). */
bool iu__value_index_replace(iu_value_index *x, const iu_row *old_row, const iu_row *new_row, iu_slice value);
uint64_t iu__value_index_count(const iu_value_index *x);
uint64_t iu__value_index_bytes(const iu_value_index *x);

/* Values from `low` on and before `high`, as bytes; no length: no bound. A bound may be a value or the beginning of some, but must not begin with one. Borrowed. */
typedef struct iu_value_span { iu_slice low, high; } iu_value_span;
/* How many entries, but not more than `most`. O(log n + most / 64). */
uint64_t iu__value_index_span_count(const iu_value_index *x, const iu_value_span *span, uint64_t most);
/* A walk; nothing may be changed during it. Needs no end. */
typedef struct iu_value_walk {
  const iu_value_index *index;
  iu_value_span span;
  bool descending;
  const void *leaf;      /* NULL: at the end */
  unsigned pos, stop;
} iu_value_walk;
void iu__value_walk_begin(iu_value_walk *w, const iu_value_index *x, const iu_value_span *span, bool descending);
const iu_row *iu__value_walk_next(iu_value_walk *w);

#endif
