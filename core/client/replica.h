/* replica.h: what a client holds of a database: the rows of its subscriptions, each with a count, in a store; applied message by message.
 *
 * A server tells rows once per query that holds them, so a row is in the store while its count is above zero. Counts above one are kept apart: a row
 * held once costs nothing more. All tables of the view are held whole: the view is the store at the view's epoch.
 *
 * Order of calls: begin, step until *done, then (perhaps) changes and events are told to the program, then finish; then the next begin.
 * After a step that failed the replica may only be adopted into, carried or freed: its rows are those before the message, but how often each is held
 * is forgotten.
 * Deletes of a message are applied before its inserts, net per row: the same bytes in both are no change; delete and insert of one primary key are
 * one update. Rows are checked against their table's type. Nothing is visible through the view before iu__replica_show.
 *
 * No callbacks, no sockets. Cost: linear in the rows of a message.
 */
#ifndef IU_CLIENT_REPLICA_H
#define IU_CLIENT_REPLICA_H

#include "../net/loop.h"
#include "../protocol/message.h"
#include "../query/query.h"
#include "../store/view.h"

typedef struct iu_replica iu_replica;

/* The schema is held. */
iu_status iu__replica_new(const iu_schema *schema, iu_replica **out, iu_error *err);
void iu__replica_free(iu_replica *r);
iu_store *iu__replica_store(iu_replica *r);
iu_view *iu__replica_view(iu_replica *r);

/* One message's updates, borrowed until done. A table that the schema does not have: IU_E_VALIDATION, before anything is applied. */
iu_status iu__replica_begin(iu_replica *r, const iu_table_update *updates, uint32_t count, iu_error *err);
/* Before begin: rows of a message that still comes, which will be inserts of its updates number 0, 1, 2, ... in order. They are in the open transaction then and
 * nobody sees them; begin goes on behind them, or finds that the message is another one and takes them back, as drop_early does. false: nothing is taken (the
 * row is none, or is there already, or its key is): the rest waits for begin. */
bool iu__replica_take_early(iu_replica *r, uint32_t table, uint32_t update, iu_slice row);
void iu__replica_drop_early(iu_replica *r);
/* Goes on until done or over the loop's deadline (loop NULL: never over). A row that is not there to be deleted, or a key that is taken: IU_E_CONNECTION. */
iu_status iu__replica_step(iu_replica *r, iu_loop *loop, bool *done, iu_error *err);
/* Of what was done: NULL where nothing changed. Valid until finish. Not visible yet: */
const iu_changeset *iu__replica_changes(const iu_replica *r);
/* rows of event tables: they are told and not kept */
typedef struct iu_replica_event { uint32_t table; const iu_row *row; } iu_replica_event;
const iu_replica_event *iu__replica_events(const iu_replica *r, uint32_t *count);
void iu__replica_show(iu_replica *r);     /* the view sees it */
void iu__replica_finish(iu_replica *r);
/* In slices: true when it is finished. From the first one on the changes are not to be looked at any more. */
bool iu__replica_finish_some(iu_replica *r, iu_loop *loop);

/* Instead of begin: the difference to what `fresh` holds (taken; same schema), stepped and told like a message. */
iu_status iu__replica_adopt(iu_replica *r, iu_replica *fresh, iu_error *err);
/* Copies what `from` holds into an empty `to` whose schema has the same tables with the same rows, and perhaps more; shown, with nothing told.
 * IU_E_MIGRATION names the table that is gone or differs. */
iu_status iu__replica_carry(iu_replica *to, const iu_replica *from, iu_error *err);
/* What the rows matching a query contribute is taken back, for a set that the server dropped without saying which rows it held: instead of
 * begin; stepped and told like a message. The queries must be of one table each. */
iu_status iu__replica_drop_queries(iu_replica *r, iu_query *const *queries, uint32_t count, iu_error *err);

#endif
