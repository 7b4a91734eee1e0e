/* store.h: tables of rows, the only place that stores them. In the engine it is the authority, in the client the replica.
 *
 * Rows are immutable BSATN byte strings, each with the epoch from which it is visible and the epoch at which it is gone. A transaction
 * writes rows of epoch `store->epoch + 1`; committing raises the epoch: the switch is O(1). A reader names the epoch it looks at
 * (IU_EPOCH_LATEST inside a transaction), so views that lag behind, and iterators, go on seeing one consistent state while later
 * transactions commit. Rows that are gone are reclaimed once no pin (view or iterator) can see them.
 *
 * Identity of a row: its primary key, or the whole row where there is none; inserting a row that is there byte for byte is a no-op (set semantics).
 * Every index is ordered; the primary key (but in a lean store) and every unique index have a hash besides, so point reads are O(1).
 *
 * One thread; iu__store_load_end has more of its own while it runs. No callbacks are called from here but those of iu__store_commit's caller. Row pointers stay valid while their row is
 * visible at a pinned epoch, or until the next commit, abort or reclaim.
 */
#ifndef IU_STORE_STORE_H
#define IU_STORE_STORE_H

#include "../sats/bsatn.h"
#include "../sats/schema.h"

#define IU_EPOCH_LATEST UINT64_MAX

typedef struct iu_row {
  uint64_t from;       /* first epoch that sees it */
  uint64_t gone;       /* first epoch that does not; UINT64_MAX while it is there; some larger number until the deleting transaction commits */
  uint32_t len;
  uint32_t holders;    /* change sets and views that keep it beyond visibility; core/store's own until the writing transaction commits */
  uint8_t data[];
} iu_row;

typedef struct iu_table iu_table;
typedef struct iu_store iu_store;

/* ---- store ---- */
/* The schema is borrowed for the store's life. */
iu_status iu__store_new(const iu_schema *schema, iu_store **out, iu_error *err);
/* Of an empty store: primary keys have no hash, which saves up to 32 bytes a row; point reads are O(log n) then. For stores whose transactions write a key
 * a few times at most: writing it again costs O(how often that was done in the transaction). Its change sets pin the epoch before them instead of holding
 * their rows, which costs nothing a row; views of it hold whole tables only. */
void iu__store_be_lean(iu_store *s);
void iu__store_free(iu_store *s);   /* open iterators must be closed before (asserted in tests builds) */
iu_table *iu__store_table(iu_store *s, uint32_t table_index);
uint64_t iu__store_epoch(const iu_store *s);
/* A pin keeps all rows visible at `epoch` alive until released; returns a handle. Views move theirs forward. */
typedef struct iu_pin { struct iu_pin *prev, *next; uint64_t epoch; iu_store *store; } iu_pin;
void iu__pin(iu_store *s, iu_pin *pin, uint64_t epoch);
void iu__pin_move(iu_pin *pin, uint64_t epoch);
void iu__unpin(iu_pin *pin);
/* Frees rows no pin can see; amortised O(1) a row. Commit frees some by itself: twice what it wrote and a bit. Does nothing in a transaction. */
void iu__store_reclaim(iu_store *s);
bool iu__store_reclaim_some(iu_store *s, uint32_t most); /* so many rows at most; true: nothing more can be freed now */
typedef struct iu_store_stats { uint64_t rows, row_bytes, overhead_bytes, dead_rows; } iu_store_stats;
void iu__store_stats(const iu_store *s, iu_store_stats *out);

/* ---- reading; all take an epoch ---- */
const iu_table_def *iu__table_def(const iu_table *t);
uint32_t iu__table_index(const iu_table *t);           /* position in the schema */
uint64_t iu__table_writes(const iu_table *t);          /* grows with every write and every undone one: what was read is as it was while it stays */
uint64_t iu__table_count(const iu_table *t, uint64_t epoch);   /* O(1) at latest and at the committed epoch; else it counts */
/* Point read by primary key: `key` is the BSATN of the key column. NULL: none. */
const iu_row *iu__table_get(const iu_table *t, uint64_t epoch, const void *key, size_t len);
/* Point read by a unique index: concatenated BSATN of its columns in order. NULL too when the index is not unique. Any bytes may be asked for. */
const iu_row *iu__table_find_unique(const iu_table *t, uint32_t index, uint64_t epoch, const void *key, size_t len);
/* The stored row equal to these bytes. */
const iu_row *iu__table_find_row(const iu_table *t, uint64_t epoch, const void *row, size_t len);
bool iu__row_visible(const iu_row *row, uint64_t epoch);

/* Iteration, stable while the table changes: sees exactly the rows visible at its epoch (IU_EPOCH_LATEST means: as of now, in an open
 * transaction its own writes so far). Without an index the order is the primary key's, or the row's own; rows equal in an index come in that order.
 * An iterator opened at LATEST in a transaction goes on over its commit; undoing the transaction to before the iterator was opened puts it at its end.
 * A step is O(1), after a change of the table O(log n). */
typedef enum iu_bound_kind { IU_BOUND_INCLUDED, IU_BOUND_EXCLUDED, IU_BOUND_UNBOUNDED } iu_bound_kind; /* wire tags */
typedef struct iu_bound { iu_bound_kind kind; iu_slice key; } iu_bound;
typedef struct iu_range {
  iu_slice prefix; uint32_t prefix_columns;  /* equality on the first columns of the index: concatenated BSATN */
  iu_bound low, high;                        /* on the next column; not looked at when prefix covers all */
} iu_range;
/* How many entries of the index are in the range, dead versions too, but not more than `most`: an estimate that costs O(log n + most / 64). 0 in *count for
 * bounds that exclude each other. */
iu_status iu__table_range_count(iu_table *t, uint32_t index, const iu_range *range, uint64_t most, uint64_t *count, iu_error *err);
typedef struct iu_iter iu_iter;              /* opaque, heap, pins its epoch */
#define IU_INDEX_MAIN UINT32_MAX             /* the primary order */
/* range NULL: everything. Bytes of the range are checked (IU_E_VALIDATION) and copied. descending walks backwards. */
iu_status iu__table_iter(iu_table *t, uint64_t epoch, uint32_t index, const iu_range *range, bool descending,
                         iu_iter **out, iu_error *err);
const iu_row *iu__iter_next(iu_iter *it);    /* NULL at the end; borrowed until the iterator is closed */
void iu__iter_close(iu_iter *it);

/* ---- transactions: one at a time ---- */
typedef struct iu_change {
  iu_table *table;
  const iu_row *old_row, *new_row; /* insert: old NULL; delete: new NULL */
  uint32_t map, kind;              /* the store's own */
} iu_change;
typedef struct iu_changeset {
  uint32_t count;
  iu_change *changes;
  uint64_t epoch;
  uint32_t refs;
  uint64_t inserted_bytes;         /* where all changes are inserts: of their rows; else 0 */
  iu_pin pin;                      /* of a lean store, instead of a hold on each row */
  void *log;                       /* owned: where the changes are when not behind this struct */
} iu_changeset;

iu_status iu__store_begin(iu_store *s, iu_error *err);            /* IU_E_CONFLICT when one is open */
/* Filling an empty store at once, which is much faster than writing row by row and leaves full leaves behind: begin, rows of any order and table, end. Until
 * then nothing is read or written otherwise. Rows as for iu__tx_insert. A row that is there twice counts once; rows that share a unique value fail the
 * end with IU_E_CONFLICT. After an end that failed, and after cancel, the store is empty. The rows are those of one new epoch; there is no change set. */
iu_status iu__store_load_begin(iu_store *s, iu_error *err);       /* IU_E_CONFLICT: in a transaction, or not empty */
iu_status iu__store_load_row(iu_table *t, const void *row, size_t len, iu_error *err);
iu_status iu__store_load_end(iu_store *s, iu_error *err);
void iu__store_load_cancel(iu_store *s);                          /* nothing without a load */
bool iu__store_in_tx(const iu_store *s);
/* The row's bytes are copied; they must be a valid row (iu__bsatn_check_all was done, or they come from the store).
 * Unique violation: IU_E_CONFLICT naming table, index columns and value; *existing (may be NULL) tells an identical row was there: IU_OK, nothing done. */
iu_status iu__tx_insert(iu_table *t, const void *row, size_t len, const iu_row **stored, bool *existing, iu_error *err);
iu_status iu__tx_delete(iu_table *t, const iu_row *row, iu_error *err);
/* Replaces `old_row`; may change any column, unique keys are checked against all other rows. The same bytes again: nothing is done. */
iu_status iu__tx_update(iu_table *t, const iu_row *old_row, const void *row, size_t len, const iu_row **stored, iu_error *err);
/* Savepoints: undo back to a mark. */
size_t iu__tx_mark(const iu_store *s);
void iu__tx_rollback_to(iu_store *s, size_t mark);
uint64_t iu__tx_bytes(const iu_store *s);      /* row bytes written so far, for the transaction cap */
uint32_t iu__tx_changes(const iu_store *s);    /* inserts, updates and deletes so far that were not undone */
/* Undoes everything; indexes are as before. */
void iu__store_abort(iu_store *s);
/* Raises the epoch and gives the net change set (a row inserted and deleted again is not in it; delete and insert of one primary key are one
 * update; in order of each row's last write). NULL in *out when nothing changed (the epoch stays). Its rows are held until iu__changeset_release.
 * Fails only for want of memory, and then the transaction is open as it was. out may be NULL. */
iu_status iu__store_commit(iu_store *s, iu_changeset **out, iu_error *err);
/* Before the commit of a large transaction, nothing may be written any more: does a part of what the commit would do, for so many writes at most. true: the
 * rest is O(1) (or cannot be done apart). Optional; abort undoes it. */
bool iu__store_settle_some(iu_store *s, uint32_t most);
void iu__changeset_retain(iu_changeset *c);
void iu__changeset_release(iu_store *s, iu_changeset *c);
/* By its only holder: lets go of the last `most` changes. true: there are none left, and it is freed. */
bool iu__changeset_release_some(iu_store *s, iu_changeset *c, uint32_t most);

#endif
