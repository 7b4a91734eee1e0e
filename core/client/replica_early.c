/* replica_early.c: rows of a message that still comes, put into the store's open transaction ahead of the rest. Nothing is counted here: counts are not undone with
 * the transaction, and a message that was begun early may never come to its end.
 */
#include "replica_internal.h"

static bool begin_early(iu_replica *r) {
  if (r->phase != IU_RP_IDLE || iu__store_in_tx(r->store) || iu__store_begin(r->store, NULL) != IU_OK) return false;
  r->phase = IU_RP_EARLY;
  r->update = r->row = 0;
  r->insert = r->early = 0;
  r->zero_count = r->zero_at = 0;
  return true;
}

bool iu__replica_take_early(iu_replica *r, uint32_t table, uint32_t update, iu_slice row) {
  bool existing;
  if (r->phase != IU_RP_EARLY && !begin_early(r)) return false;
  if (iu__replica_check_row(r, table, row, NULL) != IU_OK) return false;
  if (iu__tx_insert(iu__store_table(r->store, table), row.p, row.len, NULL, &existing, NULL) != IU_OK || existing) return false;
  if (update != r->update) r->row = 0;
  r->update = update;
  r->row++;
  r->early++;
  return true;
}

void iu__replica_drop_early(iu_replica *r) {
  if (r->phase != IU_RP_EARLY) return;
  iu__store_abort(r->store);
  r->phase = IU_RP_IDLE;
}

bool iu__replica_early_fits(iu_replica *r) {
  uint64_t before = 0;
  if (r->any_delete || r->update >= r->update_count || r->row > r->updates[r->update].inserts.count) return false;
  for (uint32_t i = 0; i <= r->update; i++) {
    if (r->updates[i].event_table) return false;
    if (i < r->update) before += r->updates[i].inserts.count;
  }
  if (before + r->row != r->early) return false;
  r->phase = IU_RP_INSERTS;
  return true;
}
