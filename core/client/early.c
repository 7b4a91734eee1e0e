/* early.c: rows of a subscription's answer go into the replica while the answer still comes, so that the work is done when its last byte is there. They are part of
 * the open transaction of the replica, invisible; when the message is whole the pump takes it as any other, and finds its first rows done.
 *
 * Only when nothing else is at hand or waits before it; whatever is taken up before the message takes the rows back. Whatever about it is not as it
 * should be ends the taking, nothing more: the message as a whole is judged when it is whole.
 */
#include "internal.h"

#define STRIDE 128u /* rows between two looks at the clock */

/* The subscription it answers is one that was sent. */
static bool is_asked_for(const iu_client *c, uint32_t id) {
  const iu_request *r = iu__request_flying(c, id);
  return r != NULL && r->kind == IU_R_SUBSCRIBE;
}

static bool may_take(const iu_client *c) {
  const iu_early *e = &c->early;
  return !e->stopped && e->item == NULL && c->online && !c->resync && !c->base.closed && !c->base.delivering && c->work.stage == IU_ST_IDLE &&
         c->first == NULL && c->done.first == NULL;
}

/* false: not now, or never. */
static bool take_rows(iu_client *c, const uint8_t *bytes, size_t len) {
  iu_early *e = &c->early;
  for (; e->row < e->coming.count; e->row++) {
    iu_slice row;
    if (e->row % STRIDE == 0 && iu__loop_over_deadline(c->config.loop)) return false;
    if (!iu__coming_row(&e->coming, bytes, len, e->row, &row)) return false;
    if (iu__replica_take_early(e->replica, e->table, e->coming.list, row)) {
      c->counts.rows_early++;
      continue;
    }
    e->stopped = true;
    return false;
  }
  return true;
}

void iu__early_part(iu_client *c, const uint8_t *bytes, size_t len) {
  iu_early *e = &c->early;
  if (!may_take(c)) return;
  while (iu__coming_list(&e->coming, c->protocol, bytes, len)) {
    if (e->row == 0) {
      int table = iu__schema_table(c->base.schema, (const char *)bytes + e->coming.name_at, e->coming.name_len);
      e->stopped = table < 0 || !is_asked_for(c, e->coming.request);
      if (e->stopped) return;
      e->table = (uint32_t)table;
      e->replica = c->worlds->replica;
    }
    if (!take_rows(c, bytes, len)) return;
    iu__coming_next(&e->coming);
    e->row = 0;
  }
}

void iu__early_whole(iu_client *c, const iu_in *item) {
  if (c->early.item != NULL) return; /* an older one that was not taken up yet; of this one no row was taken */
  if (c->early.replica != NULL) c->early.item = item;
  else c->early = (iu_early){0};
}

void iu__early_drop(iu_client *c) {
  bool coming = c->early.item == NULL;
  if (c->early.replica == NULL) return;
  iu__replica_drop_early(c->early.replica);
  c->early = (iu_early){.stopped = coming};
}

void iu__early_end(iu_client *c) {
  if (c->early.replica != NULL) iu__replica_drop_early(c->early.replica);
  c->early = (iu_early){0};
}
