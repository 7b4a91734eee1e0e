/* key.h: what an index orders by, and probes: the thing looked for in one. Private to core/store.
 *
 * A key is a list of columns: those of the index, then, where they do not say which row it is, the primary key's column (all columns where
 * there is none). Rows with equal columns are versions of one row (or, in a unique index, rows that had the value one after another); they
 * order by the epoch they start at, then by address. So no two rows in an index are equal, and the order of a row never changes
 * while it is stored.
 *
 * A key with `ops` orders other things than rows (value_index.c): the tree's pointers are theirs then, and only they look behind one.
 *
 * A probe is a stored row, or the value of the first columns of a key with a place before, after or (by epoch) among all rows that have it.
 * It carries the first IU_NORM_SIZE bytes of the normal form, so that most comparisons touch no row.
 */
#ifndef IU_STORE_KEY_H
#define IU_STORE_KEY_H

#include "layout.h"
#include "store.h"

#define IU_NORM_SIZE 64

typedef struct iu_key iu_key;
typedef struct iu_probe iu_probe;
typedef struct iu_key_ops {
  void (*norm)(const iu_key *k, const iu_row *entry, uint8_t out[IU_NORM_SIZE]);
  int (*compare)(const iu_key *k, const iu_row *a, const iu_row *b); /* 0 only for the same one */
  int (*compare_value)(const iu_probe *p, const iu_row *entry);      /* never 0: a value stands between entries */
} iu_key_ops;

struct iu_key {
  const iu_key_ops *ops;   /* NULL: rows by their columns, which is what the rest is for */
  const iu_layout *layout; /* borrowed from the table */
  uint32_t index_columns;  /* those of the index */
  uint32_t count;          /* with those that tell rows apart */
  uint16_t *columns;       /* owned */
  uint16_t exact;          /* so many bytes of the normal form say all that the columns do; 0: it may take the row */
  bool whole;              /* index_columns are all columns of the row in order */
};

/* primary: a column, or -1. unique: index columns alone tell rows apart. false: no memory. */
bool iu__key_init(iu_key *k, const iu_layout *layout, const uint16_t *columns, uint32_t column_count, int32_t primary, bool unique);
/* All columns: the order of a table without primary key. */
bool iu__key_init_whole(iu_key *k, const iu_layout *layout);
void iu__key_free(iu_key *k);

/* Compares the columns: 0 for versions of one row. */
int iu__key_compare_columns(const iu_key *k, const iu_row *a, const iu_row *b);
/* Of rows whose columns are equal. */
static inline int iu__key_compare_versions(const iu_row *a, const iu_row *b) {
  if (a->from != b->from) return a->from < b->from ? -1 : 1;
  return ((uintptr_t)a > (uintptr_t)b) - ((uintptr_t)a < (uintptr_t)b);
}
/* Whether the columns have the same bytes. */
bool iu__key_same_bytes(const iu_key *k, const iu_row *a, const iu_row *b);
/* Compares whole keys, then start epoch, then address. */
int iu__key_compare_rows(const iu_key *k, const iu_row *a, const iu_row *b);

typedef enum iu_place { IU_PLACE_BEFORE, IU_PLACE_AFTER, IU_PLACE_AT_EPOCH /* after those that start at or before `epoch` */ } iu_place;

struct iu_probe {
  uint8_t norm[IU_NORM_SIZE];
  const iu_key *key;
  const iu_row *row;     /* a row that is or will be stored; or NULL and: */
  const uint8_t *bytes;  /* concatenated BSATN of the first `columns` columns, checked; borrowed */
  size_t len;
  uint32_t columns;
  iu_place place;
  uint64_t epoch;
};

void iu__probe_row(iu_probe *p, const iu_key *k, const iu_row *row);
void iu__probe_value(iu_probe *p, const iu_key *k, uint32_t columns, const uint8_t *bytes, size_t len, iu_place place, uint64_t epoch);
/* Below 0: the probe is before the row; 0 only for the row itself. */
int iu__probe_compare(const iu_probe *p, const iu_row *row);
/* Compares only the columns of a value probe: 0 where the row has the value. */
int iu__probe_compare_value(const iu_probe *p, const iu_row *row);
void iu__key_norm(const iu_key *k, const iu_row *row, uint8_t out[IU_NORM_SIZE]);
void iu__key_norm_from(const iu_key *k, const iu_row *row, uint8_t out[IU_NORM_SIZE], size_t n); /* behind n bytes that are there; of columns only */

#endif
