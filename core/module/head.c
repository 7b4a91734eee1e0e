/* head.c: the counters in event_head, and generated ids.
 *
 * Row 0 is the event log's head: last sequence, events kept, bytes of their rows. Row 1 counts generated ids, row 2 is the head of row_history.
 * A call reads a head when it first needs it and writes it back once at its end, so a sequence has no gaps and a rollback takes it
 * back with the rest.
 *
 * Generated ids are UUIDv7: 48 bits milliseconds of the call's timestamp, then its microseconds (10 bits) and the kind (2), then the number
 * (40 bits: the event's sequence, or the id counter) and 22 bits of the database's identity. Unique within a universe, in the order
 * of creation, and the same for the same call.
 */
#include "internal.h"

bool iu__nerv_head(nerv_call *c, nerv_head_id id, nerv_head **head) {
  nerv_head *h = &c->heads[id];
  uint8_t key[4] = {(uint8_t)id, 0, 0, 0};
  nerv_slice row;
  *head = h;
  if (h->loaded) return true;
  if (!iu__nerv_find(c, NERV_HEAD_ID, (nerv_slice){key, sizeof key}, &row, &h->exists)) return false;
  if (h->exists) {
    nerv_reader r = iu__nerv_reader(row);
    iu__nerv_get_u32(&r);
    h->sequence = iu__nerv_get_u64(&r);
    h->count = iu__nerv_get_u64(&r);
    h->bytes = iu__nerv_get_u64(&r);
  }
  h->stored = h->sequence;
  h->loaded = true;
  return true;
}

bool iu__nerv_heads_flush(nerv_call *c) {
  for (uint32_t id = 0; id < NERV_HEAD_COUNT; id++) {
    const nerv_head *h = &c->heads[id];
    nerv_out row = iu__nerv_out_of(c);
    if (!h->dirty) continue;
    iu__nerv_put_u32(&row, id);
    iu__nerv_put_u64(&row, h->sequence);
    iu__nerv_put_u64(&row, h->count);
    iu__nerv_put_u64(&row, h->bytes);
    if (!iu__nerv_put_row(c, NERV_EVENT_HEAD, &row, h->exists)) return false;
  }
  return true;
}

static uint32_t universe_bits(nerv_call *c) {
  uint8_t bytes[32];
  if (!c->self->universe_known) {
    IU_ABI(c->self, identity, bytes);
    c->self->universe = iu__nerv_load_u32(bytes) & 0x3FFFFFu;
    c->self->universe_known = true;
  }
  return c->self->universe;
}

void iu__nerv_uuid(nerv_call *c, nerv_id_kind kind, uint64_t number, char out[NERV_UUID_LEN]) {
  static const char digit[] = "0123456789abcdef";
  uint64_t now = c->now > 0 ? (uint64_t)c->now : 0;
  uint64_t high = now / 1000 << 16 | 0x7000u | now % 1000 << 2 | (uint64_t)kind;
  uint64_t low = UINT64_C(2) << 62 | (number & 0xFFFFFFFFFF) << 22 | universe_bits(c);
  for (uint32_t i = 0, at = 0; i < 32; i++) {
    uint64_t half = i < 16 ? high : low;
    if (i == 8 || i == 12 || i == 16 || i == 20) out[at++] = '-';
    out[at++] = digit[half >> (60 - 4 * (i % 16)) & 15];
  }
}

bool iu__nerv_id(nerv_call *c, const char *argument, nerv_slice given, bool there, nerv_slice *id) {
  nerv_head *ids;
  char *text;
  *id = given;
  if (there) return iu__nerv_check_id(c, argument, given);
  if (!iu__nerv_head(c, NERV_HEAD_IDS, &ids)) return false;
  text = iu__nerv_alloc(&c->self->mem, NERV_UUID_LEN);
  if (text == NULL) return iu__nerv_no_memory(c);
  ids->sequence++;
  ids->dirty = true;
  iu__nerv_uuid(c, NERV_ID_OBJECT, ids->sequence, text);
  *id = (nerv_slice){(const uint8_t *)text, NERV_UUID_LEN};
  return true;
}
