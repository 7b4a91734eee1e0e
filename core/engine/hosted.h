/* hosted.h: what an embedded engine hosts: modules, each a definition and something that runs its reducers.
 *
 * Makers: native.c beside this file (a module of core/module's ABI: NERV's own), core/bind (modules in Lua), core/host (programs in C).
 * The engine merges the definitions into one iu_schema, in the order of the modules, NERV's first: the tables of a module stand behind each
 * other there, and so do its reducers; tables and reducers keep their order. A name in two modules is a ValidationError that names both.
 * Lifecycle reducers (init, client_connected, client_disconnected) of every module run in the order of the modules, each in a transaction of its own.
 *
 * Order of calls: define; bound; then run as often as it comes, never two at once but nested through iu__tx_run; release. One thread.
 */
#ifndef IU_ENGINE_HOSTED_H
#define IU_ENGINE_HOSTED_H

#include "../store/store.h"

#define IU_ENGINE_MODULES_MAX 64      /* hosted by one engine, NERV's own included */
#define IU_TX_DEPTH_MAX 64            /* reducers that run inside each other, the outermost counts */

/* The engine's transaction. The pointer is the same for all transactions of an engine and lives until release: writing through it outside of `run` is
 * refused (IU_E_VALIDATION), it does no harm. */
typedef struct iu_tx iu_tx;

/* Borrowed for the run, with all it points to. */
typedef struct iu_reducer_call {
  uint8_t sender[32], connection_id[16];       /* connection_id zero: no connection (scheduled, init) */
  int64_t timestamp;                           /* microseconds since 1970, one per transaction: nested calls see the same */
  uint32_t reducer;                            /* position in the module's OWN definition */
  const iu_reducer_def *def;
  iu_slice args;                               /* checked BSATN of def->params */
} iu_reducer_call;

typedef struct iu_hosted_module {
  const char *name;                            /* for messages; borrowed until release */
  void *ud;
  /* BSATN RawModuleDef V9 into `out` (core/sats/schema_write.h makes one), column defaults included. Once. */
  iu_status (*define)(void *ud, iu_buf *out, iu_error *err);
  /* May be NULL. Once, before anything runs: the merged schema and its store (both live until release), where the module's own tables and
   * reducers begin in it (own position + first), and the transaction. */
  iu_status (*bound)(void *ud, const iu_schema *schema, iu_store *store, uint32_t first_table, uint32_t first_reducer, iu_tx *tx, iu_error *err);
  /* IU_OK: what it wrote is kept; anything else undoes it, err says why. */
  iu_status (*run)(void *ud, iu_tx *tx, const iu_reducer_call *call, iu_error *err);
  /* May be NULL. With the engine; exactly once for each module given to iu__engine_open, also where that fails. */
  void (*release)(void *ud);
} iu_hosted_module;

/* Reading inside a transaction: iu__table_* and iu__table_iter of core/store at IU_EPOCH_LATEST. A row that the transaction wrote is freed when that is
 * undone (a failed iu__tx_run): hold none across such a call.
 *
 * Writing. The functions below are refused outside of `run`. Row pointers given out are borrowed, see above. A write that fails changed nothing. */

/* Position in the engine's schema; NULL: there is none. */
iu_table *iu__tx_table(iu_tx *tx, uint32_t table);
/* The running transaction's number, for those who keep something per transaction; 0 outside. */
uint64_t iu__tx_number(const iu_tx *tx);
/* `row` is valid BSATN of the table's row type (checked by the caller with iu__bsatn_check_all, or written by an encoder of its type) in writable
 * memory: columns with a sequence that hold 0 get their number in place. A unique violation is IU_E_CONFLICT that names table, column and value; a row
 * that is there already, byte for byte, is the one that *stored (may be NULL) gives. IU_E_OVERLOADED past IU_ENGINE_TX_BYTES_MAX. */
iu_status iu__tx_put(iu_tx *tx, uint32_t table, uint8_t *row, size_t len, const iu_row **stored, iu_error *err);
/* Replaces old_row, a row of the table that is there; any column may change. Sequences as in iu__tx_put. */
iu_status iu__tx_replace(iu_tx *tx, uint32_t table, const iu_row *old_row, uint8_t *row, size_t len, const iu_row **stored, iu_error *err);
iu_status iu__tx_remove(iu_tx *tx, uint32_t table, const iu_row *row, iu_error *err);
/* Another reducer of any hosted module in this transaction, as the same sender; what it wrote is undone where it fails, and the caller may go on.
 * `reducer` is a position in the engine's schema, `args` are checked here. At most IU_TX_DEPTH_MAX deep. Not a lifecycle reducer. */
iu_status iu__tx_run(iu_tx *tx, uint32_t reducer, const void *args, size_t len, iu_error *err);
/* Evenly distributed 64 bits. Each transaction has its own sequence, seeded from its timestamp and the commits before it; nested calls go on in it. */
uint64_t iu__tx_random(iu_tx *tx);

#endif
