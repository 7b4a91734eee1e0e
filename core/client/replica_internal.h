/* replica_internal.h: what the files of the replica share.
 *
 *   replica.c         life; a message's updates, step by step
 *   replica_early.c   rows of a message that still comes
 *   replica_adopt.c   from one replica to another: the difference, and a move to another schema
 */
#ifndef IU_CLIENT_REPLICA_INTERNAL_H
#define IU_CLIENT_REPLICA_INTERNAL_H

#include "counts.h"
#include "replica.h"

#ifndef IU_REPLICA_STRIDE /* fuzzing makes it 2, the smallest that gets on */
#define IU_REPLICA_STRIDE 128u /* rows between two looks at the clock */
#endif

typedef enum iu_replica_phase {
  IU_RP_IDLE,
  IU_RP_EARLY,    /* rows of a message that still comes are inserts already; update and row say how many */
  IU_RP_DELETES,  /* counts of deleted rows go down; those at zero are listed */
  IU_RP_KNOWN,    /* counts of inserted rows that are there go up again */
  IU_RP_REMOVE,   /* what is listed and still at zero goes */
  IU_RP_INSERTS,  /* the rest comes */
  IU_RP_LEAVING,  /* adopting: rows the fresh replica does not have go */
  IU_RP_COMING,   /* adopting: rows only it has come */
  IU_RP_COMMIT,
  IU_RP_DONE
} iu_replica_phase;

struct iu_replica {
  const iu_schema *schema;
  iu_store *store;
  iu_view *view;
  iu_counts counts;               /* of rows that are not held once; zero while a message is being applied */
  iu_replica_phase phase;
  /* the message */
  const iu_table_update *updates; uint32_t update_count;
  uint32_t *tables; uint32_t table_cap;      /* of each update */
  uint32_t update, row;                      /* where a step left off */
  uint64_t insert;                           /* the number of the insert at hand */
  uint8_t *known; size_t known_cap;          /* a bit per insert: it was there */
  bool any_delete;
  uint64_t early;                            /* rows taken early */
  const iu_row **zero; uint32_t *zero_table; uint32_t zero_count, zero_cap, zero_at;
  /* adopting */
  iu_replica *fresh;
  iu_iter *iter; uint32_t iter_table;
  /* the outcome */
  iu_changeset *changes;
  iu_replica_event *events; uint32_t event_count, event_cap;
};

/* The message that came is the one whose rows are there already: on to its INSERTS. Else they are taken back: IDLE. */
bool iu__replica_early_fits(iu_replica *r);
iu_status iu__replica_check_row(const iu_replica *r, uint32_t table, iu_slice row, iu_error *err);
/* Leaves the transaction's rows in place and ends the step's bookkeeping. */
bool iu__replica_out_of_time(iu_loop *loop, uint32_t *since);
iu_status iu__replica_list_zero(iu_replica *r, uint32_t table, const iu_row *row, iu_error *err);
iu_status iu__replica_leaving(iu_replica *r, iu_loop *loop, bool *out_of_time, iu_error *err);
iu_status iu__replica_coming(iu_replica *r, iu_loop *loop, bool *out_of_time, iu_error *err);
iu_status iu__replica_adopt_counts(iu_replica *r, iu_error *err);

#endif
