/* internal.h: what the files of core/store share: the structs behind store.h and the small steps between them.
 *
 * Every stored row is in all trees of its table. Each map (map 0: primary key or whole row; then one per unique index) names the newest row of
 * every value that has one stored, outside a transaction never a row that no epoch sees. A lean store has no map 0: the primary order finds the versions
 * of a key, and `before` in the log of an insert is what the committed epoch sees of it.
 *
 * Inside a transaction the rows it writes say where in the log that happened, so that an iterator opened in the middle goes on seeing that
 * moment: an inserted row has from == epoch + 1 and its log position in `holders`; a deleted one has gone == IU_GONE_IN_TX | position. Both are
 * replaced by their final values at commit. Anything gone in the transaction is after every committed epoch, as it must be.
 *
 * In a lean store `holders` is never a count: change sets pin, and the log position of a committed row is left where it is.
 *
 * Dead rows wait in a queue in order of their `gone`; a row whose `gone` no pin is before is taken out of the indexes and freed, or, when a
 * change set or a view holds it, made an orphan (from == UINT64_MAX) and freed with the last hold. Rows rolled back while iterators of
 * the transaction are open go to `limbo` until those are closed.
 */
#ifndef IU_STORE_INTERNAL_H
#define IU_STORE_INTERNAL_H

#include "keymap.h"
#include "slab.h"
#include "store.h"
#include "tree.h"

#define IU_GONE_NEVER UINT64_MAX
#define IU_LOAD_PARALLEL_MIN 20000u   /* rows of a table that is loaded, before threads are worth their making */
#define IU_GONE_IN_TX (UINT64_C(1) << 63)
#define IU_TX_WRITES_MAX (UINT32_C(1) << 30)  /* entries of one transaction's log */
#define IU_ROW_BYTES_MAX (UINT32_C(1) << 30)  /* the store's own; the engine's cap is lower */

struct iu_table {
  iu_store *store;
  const iu_table_def *def;
  uint32_t index;
  iu_layout layout;
  uint32_t tree_count;  /* 0: the primary order */
  iu_tree *trees;       /* owned */
  iu_key *keys;         /* owned, one per tree */
  uint32_t map_count;
  iu_keymap *maps;      /* owned */
  iu_keyslot *slots;    /* owned, scratch of an insert, one per map */
  iu_spot spot;         /* lean, the same of the primary order: where the row goes that was asked for last; its p.row NULL: nowhere */
  uint32_t *tree_of;    /* owned: per index of the definition */
  uint32_t *map_of;     /* owned: per index, or UINT32_MAX */
  iu_row **loaded;      /* owned: rows of a load that goes on, not in the indexes yet */
  size_t loaded_count, loaded_cap;
  uint64_t live;        /* rows visible at LATEST */
  uint64_t committed;   /* rows visible at the store's epoch */
  uint64_t writes;      /* and undone ones; from 1 */
};

typedef enum iu_write_kind {
  IU_WRITE_INSERT,
  IU_WRITE_UPDATE,   /* an insert that belongs to the delete before it */
  IU_WRITE_DELETE,
  IU_WRITE_REPLACED  /* the insert before it replaced `before` in map `map` (> 0) */
} iu_write_kind;

/* An entry of the log is a change already: that of a transaction which only inserts becomes its change set as it is.
 * Deletes: old_row alone. Else new_row, and in old_row what map 0 named until then, NULL: nothing. */
typedef iu_change iu_write;
static inline iu_row *iu__write_row(const iu_write *w) { return (iu_row *)(uintptr_t)(w->new_row != NULL ? w->new_row : w->old_row); }
static inline iu_row *iu__write_before(const iu_write *w) { return (iu_row *)(uintptr_t)w->old_row; }

typedef struct iu_dead { iu_row *row; iu_table *table; } iu_dead;

struct iu_store {
  const iu_schema *schema;
  iu_table *tables;          /* owned */
  uint32_t table_count;
  uint64_t epoch;
  bool in_tx, lean;
  bool loading;              /* nothing but load.c touches the store; in_tx is set, too */
  uint32_t parallel_min;     /* IU_LOAD_PARALLEL_MIN; tests have less */
  iu_write *log;             /* owned */
  uint32_t log_count, log_cap, changes;
  uint32_t log_deletes, log_places; /* of the log: deletes, and IU_WRITE_REPLACED */
  uint32_t settled;          /* deletes of the log that the commit need not look at any more */
  uint64_t tx_bytes;
  iu_pin pins;               /* ring, ascending epochs; this is its anchor */
  iu_iter *tx_iters;         /* opened in the transaction that is open */
  uint32_t open_iters, live_tx_iters; /* the latter: opened in some transaction, not closed yet */
  iu_dead *dead;             /* owned ring of dead_cap slots, a power of two */
  size_t dead_head, dead_count, dead_cap;
  iu_row *limbo;             /* linked through `gone` */
  iu_slab slab;              /* the rows */
  uint64_t rows, row_bytes, orphans; /* rows that take memory, bytes of their data; of them orphans */
};

/* ---- rows (row.c) ---- */
iu_row *iu__row_new(iu_store *s, const void *data, size_t len);
void iu__row_free(iu_store *s, iu_row *row);
/* Keeps the row's memory, whatever happens to the row. Only for committed rows. */
void iu__row_hold(iu_row *row);
void iu__row_release(iu_store *s, iu_row *row);
bool iu__dead_reserve(iu_store *s, size_t more);
void iu__dead_push(iu_store *s, iu_table *t, iu_row *row); /* never fails after reserve */
void iu__dead_take_back(iu_store *s, size_t count);        /* those pushed last */
/* Frees at most `limit` dead rows. */
bool iu__reclaim_some(iu_store *s, size_t limit); /* true: nothing more can be freed now */
void iu__limbo_add(iu_store *s, iu_row *row);
void iu__limbo_empty(iu_store *s);

static inline bool iu__row_written_now(const iu_store *s, const iu_row *row) {
  return row->from == s->epoch + 1 && row->gone >= IU_GONE_IN_TX;
}

/* ---- tables (table.c) ---- */
iu_status iu__table_init(iu_table *t, iu_store *s, uint32_t index, iu_error *err);
void iu__table_free(iu_table *t); /* rows too */
/* Into all trees; leaving: the row that it replaces, or NULL. false: no memory, nothing done. */
bool iu__table_link(iu_table *t, iu_row *row, const iu_row *leaving);
void iu__table_unlink(iu_table *t, iu_row *row);  /* out of all trees */
static inline uint32_t iu__table_first_map(const iu_table *t) { return t->store->lean ? 1 : 0; }
/* Lean stores, by the primary order. Of the key of a row of this transaction that is not stored yet: the row that is there now, and (*base) what the committed
 * epoch sees. Linking the row next finds its place without looking for it again. */
iu_row *iu__table_main_now(iu_table *t, const iu_row *row, iu_row **base);
/* Whether another row with the key of `row` was written in this transaction behind that place of the log. */
bool iu__table_main_written_after(const iu_table *t, const iu_row *row, uint32_t place);
/* The tree of an index or IU_INDEX_MAIN; NULL: no such index. */
const iu_tree *iu__table_tree(const iu_table *t, uint32_t index);

/* ---- transactions (tx.c) ---- */
/* Undoes an insert in the maps of its table. */
void iu__write_restore_maps(const iu_write *w);
void iu__tx_clear(iu_store *s);

/* ---- ranges (range.c) ---- */
typedef struct iu_span {
  const iu_tree *tree;
  bool has_low, has_high;
  iu_probe low, high; /* rows between them, in no case equal to one */
} iu_span;

size_t iu__span_bytes(const iu_range *range);
/* `storage` holds iu__span_bytes bytes and outlives the span: the bounds are copied there. range may be NULL. */
iu_status iu__span_init(iu_span *span, const iu_table *t, uint32_t index, const iu_range *range, uint8_t *storage, iu_error *err);
bool iu__span_holds(const iu_span *span, const iu_row *row);

/* ---- iterators (iter.c) ---- */
/* Before a commit: collects what each iterator opened in the transaction has yet to give. false: no memory, nothing changed. */
bool iu__iters_before_commit(iu_store *s);
void iu__iters_after_commit(iu_store *s);
/* After undoing back to `mark`: iterators opened later see the end. Abort: mark 0, the rest go on as of the epoch. */
void iu__iters_after_rollback(iu_store *s, uint32_t mark, bool abort);

#endif
