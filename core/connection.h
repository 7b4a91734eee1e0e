/* connection.h: the seam. One connection, two worlds: core/engine implements it in process, core/client over a socket.
 * Everything above (bind, lua, plugins) uses only this and never asks which world it is.
 *
 * A connection has a schema, a view (what its subscriptions hold: core/store/view.h) and a listener. Methods that a remote world cannot
 * answer at once set *pending to an id; the answer comes through the listener, by the loop's turn, exactly once. When *pending is 0 the
 * answer is already in the out parameters.
 *
 * Delivery. A committed transaction (or an applied subscription) becomes visible in the view as a whole, then its row callbacks run, then
 * `on applied` or the call's return. Nothing is delivered inside a callback: what happens meanwhile queues. `deliver` runs what is queued;
 * the connection itself posts a job to the loop whenever something is, and drains up to a call's own transaction before the call returns,
 * unless the caller is inside a callback. With a loop deadline (iu__loop_set_deadline) delivery stops between callbacks.
 *
 * A remote connection comes and goes: `state` tells it. Until it was connected for the first time its schema has no tables and no reducers. `schema`,
 * `store`, `view` and `watched` may be replaced by others when the module was published anew: only while nothing is delivered, and `state` (with
 * schema_changed) is told at once after. Old schemas live until the release; iterators over the old view are cut by the listener then.
 *
 * Close is idempotent; the struct lives until iu__conn_release. A callback may close its own connection.
 */
#ifndef IU_CONNECTION_H
#define IU_CONNECTION_H

#include "rows.h"
#include "store/view.h"

typedef struct iu_connection iu_connection;

/* Why rows change. All borrowed for the callback. */
struct iu_event {
  bool subscribed;               /* an initial (or final) state of a subscription, not a transaction: nothing below is set */
  const iu_reducer_def *reducer; /* NULL: unknown (a remote transaction without a name) */
  iu_slice args;                 /* BSATN of the parameters */
  uint8_t caller[32]; uint8_t connection_id[16];
  int64_t timestamp;             /* microseconds */
  bool own;                      /* this connection called it */
  uint64_t transaction;          /* its number: the same for all its rows, for no other one; 0: unknown */
};

/* iu_sub_event, iu_phase and iu_conn_state (where a connection over a network stands) are public: inner_universe.h. */

/* What a procedure returned: BSATN of its type. Borrowed. */
typedef struct iu_typed_value { const iu_type *type; iu_slice bytes; } iu_typed_value;

/* Rows to be told, in order, one call of `next` each; of use during the listener's `rows` only. It ends at the last row, when the loop's deadline is over
 * (not before one row was told), or when the connection is closed. The rows are borrowed until `rows` returns. */
typedef struct iu_row_source iu_row_source;
struct iu_row_source {
  bool (*next)(iu_row_source *s);  /* false: nothing more is to be told now; else: */
  uint32_t table;
  const iu_row *old_row, *new_row; /* insert: old NULL; delete: new NULL */
  const iu_event *event;           /* one for all */
  void *ud;                        /* the implementation's, as is: */
  bool told;                       /* a row was given */
};

/* What the layer above wants to hear; every function is called on the owner thread, never inside one of the methods below
 * except `call`, `deliver` and `close` (which answers what is still pending). */
typedef struct iu_listener {
  void *ud;
  void (*row)(void *ud, uint32_t table, const iu_row *old_row, const iu_row *new_row, const iu_event *event);
  void (*rows)(void *ud, iu_row_source *source);    /* instead of `row`: the listener asks for the rows; those that it leaves are not told */
  void (*subscription)(void *ud, uint64_t subscription, iu_sub_event what, const iu_error *err);
  void (*answer)(void *ud, uint64_t pending, iu_status status, const iu_error *err, iu_rows *rows /* taken; may be NULL */,
                 const iu_typed_value *value /* of a procedure; else NULL */);
  void (*went_well)(void *ud, uint64_t first, uint64_t count); /* `count` answers from the pending `first` on, none of which has more to say. May be NULL */
  void (*closed)(void *ud, const iu_error *why);    /* not called for one's own close */
  void (*state)(void *ud, const iu_conn_state *state);
} iu_listener;

#define IU_CONNECTION_VTABLE_VERSION 2
typedef struct iu_connection_vtable {
  uint32_t version;
  /* Calls a reducer; args: BSATN of its parameter product (checked by the callee). A reducer's refusal is its status and message in *err. */
  iu_status (*call)(iu_connection *c, uint32_t reducer, const void *args, size_t len, uint64_t *pending, iu_error *err);
  /* Several queries, one subscription; applied together. Parse and permission errors are immediate. */
  iu_status (*subscribe)(iu_connection *c, const iu_slice *queries, uint32_t count, uint64_t *subscription, iu_error *err);
  iu_status (*unsubscribe)(iu_connection *c, uint64_t subscription, iu_error *err);
  /* One-off reads of the latest committed state (own calls included), not of the view. */
  iu_status (*query)(iu_connection *c, const char *sql, size_t len, iu_rows **rows, uint64_t *pending, iu_error *err);
  iu_status (*select)(iu_connection *c, uint32_t table, const iu_selection_spec *spec, iu_rows **rows, uint64_t *pending, iu_error *err);
  iu_status (*get)(iu_connection *c, uint32_t table, const void *key, size_t len, iu_rows **rows, uint64_t *pending, iu_error *err);
  /* Pending until everything acknowledged so far is durable; a memory universe answers at once. Away: IU_E_CONNECTION, but where calls wait to be sent it
   * waits for them; it ends with the connection: IU_E_UNKNOWN_OUTCOME when one of them had been sent. */
  iu_status (*flush)(iu_connection *c, uint64_t *pending, iu_error *err);
  /* Calls a procedure of the schema; the answer carries its value. */
  iu_status (*procedure)(iu_connection *c, uint32_t procedure, const void *args, size_t len, uint64_t *pending, iu_error *err);
  /* Reads the schema anew where it may have changed; answers at once where it cannot. */
  iu_status (*refresh_schema)(iu_connection *c, uint64_t *pending, iu_error *err);
  /* How `select` would find its rows, in one line of words: "replica, index entity_type" or "one-off query: SELECT ...; filtered here". */
  iu_status (*explain)(iu_connection *c, uint32_t table, const iu_selection_spec *spec, iu_buf *out, iu_error *err);
  /* Runs queued callbacks until empty, or over the loop's deadline. Returns true when something is left. No-op inside a callback. */
  bool (*deliver)(iu_connection *c);
  /* Ordered, idempotent, blocks on the journal. */
  iu_status (*close)(iu_connection *c, iu_error *err);
  void (*release)(iu_connection *c);     /* frees; closes first when needed */
} iu_connection_vtable;

/* The common head of every implementation. Readable by all, written by the implementation only. */
struct iu_connection {
  const iu_connection_vtable *vtable;
  const iu_schema *schema;
  iu_view *view;
  iu_store *store;
  iu_listener listener;           /* set by iu__conn_listen */
  uint8_t *watched;               /* per table: bit 0 insert, 1 update, 2 delete: rows nobody watches are not reported */
  uint8_t identity[32]; uint8_t connection_id[16];
  bool is_owner;
  bool closed;
  bool delivering;
  bool waits_here;                /* written by the caller of `call`, for that one: it would do nothing but wait for the answer, so that call may block for it */
};

/* NULL: nobody listens any more. */
static inline void iu__conn_listen(iu_connection *c, const iu_listener *listener) {
  c->listener = listener != NULL ? *listener : (iu_listener){0};
}
enum { IU_WATCH_INSERT = 1, IU_WATCH_UPDATE = 2, IU_WATCH_DELETE = 4 };
static inline bool iu__conn_watches(const iu_connection *c, uint32_t table, const iu_row *old_row, const iu_row *new_row) {
  return (c->watched[table] & (old_row == NULL ? IU_WATCH_INSERT : new_row == NULL ? IU_WATCH_DELETE : IU_WATCH_UPDATE)) != 0;
}
/* By a source: whether the row is watched, and then what it gives next. */
static inline bool iu__conn_offer(const iu_connection *c, iu_row_source *source, uint32_t table, const iu_row *old_row, const iu_row *new_row) {
  if (!iu__conn_watches(c, table, old_row, new_row)) return false;
  source->table = table;
  source->old_row = old_row;
  source->new_row = new_row;
  source->told = true;
  return true;
}
/* By an implementation, when rows are to be told. The connection may be closed afterwards. */
static inline void iu__conn_tell(iu_connection *c, iu_row_source *source) {
  if (c->listener.rows != NULL) c->listener.rows(c->listener.ud, source);
  else if (c->listener.row != NULL) {
    while (c->listener.row != NULL && source->next(source)) c->listener.row(c->listener.ud, source->table, source->old_row, source->new_row, source->event);
  }
  while (source->next(source)) continue; /* nobody listens (any more) */
}
/* A table that callers may ask for. Private ones are the owner's; the others get the same words as for a table that does not exist. */
static inline iu_status iu__conn_check_table(const iu_connection *c, uint32_t table, iu_error *err) {
  if (table >= c->schema->table_count) return iu__fail(err, IU_E_VALIDATION, "table number %u does not exist", table);
  if (c->schema->tables[table].is_public || c->is_owner) return IU_OK;
  return iu__fail(err, IU_E_VALIDATION, "no such table: `%s`. If the table exists, it may be marked private.", c->schema->tables[table].name);
}
static inline void iu__conn_watch(iu_connection *c, uint32_t table, uint8_t mask) {
  if (table < c->schema->table_count) c->watched[table] = mask;
}

#endif
