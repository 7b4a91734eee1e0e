/* head.c: the counters in event_head, and generated ids.
 *
 * Row 0 is the event log's head: last sequence, events kept, bytes of their rows. Row 1 counts generated ids, row 2 is the head of row_history.
 * A call reads a head when it first needs it and writes it back once at its end, so a sequence has no gaps and a rollback takes it
 * back with the rest. Where the host tells whether the table was written (natively), a head is kept from one call to the next.
 *
 * Generated ids are UUIDv7: 48 bits milliseconds of the call's timestamp, then its microseconds (10 bits) and the kind (2), then the number
 * (40 bits: the event's sequence, or the id counter) and 22 bits of the database's identity. Unique within a universe, in the order
 * of creation, and the same for the same call.
 */
#include "internal.h"

static bool read_head(nerv_call *c, nerv_head_id id, nerv_head *h) {
  uint8_t key[4] = {(uint8_t)id, 0, 0, 0};
  nerv_slice row;
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

/* Forgets the kept ones when the table has been written. */
static bool may_keep(nerv_call *c) {
  nerv *self = c->self;
  uint64_t at;
  if (!iu__nerv_writes(c, NERV_EVENT_HEAD, &at)) return false;
  if (at != self->heads_at) memset(self->heads, 0, sizeof self->heads);
  self->heads_at = at;
  return true;
}

bool iu__nerv_head(nerv_call *c, nerv_head_id id, nerv_head **head) {
  nerv_head *h = &c->heads[id];
  bool keep;
  *head = h;
  if (h->loaded) return true;
  keep = may_keep(c);
  if (keep && c->self->heads[id].loaded) {
    *h = c->self->heads[id];
    return true;
  }
  if (!read_head(c, id, h)) return false;
  if (keep) c->self->heads[id] = *h;
  return true;
}

/* The rows are those of this call now. What undoes them writes the table, too. */
static void keep_heads(nerv_call *c) {
  nerv *self = c->self;
  if (!iu__nerv_writes(c, NERV_EVENT_HEAD, &self->heads_at)) return;
  for (uint32_t id = 0; id < NERV_HEAD_COUNT; id++) {
    nerv_head *h = &self->heads[id];
    if (!c->heads[id].loaded) continue;
    *h = c->heads[id];
    if (h->dirty) h->exists = true;
    h->dirty = false;
    h->stored = h->sequence;
  }
}

bool iu__nerv_heads_flush(nerv_call *c) {
  bool dirty = false, keep = false;
  for (uint32_t id = 0; id < NERV_HEAD_COUNT; id++) {
    const nerv_head *h = &c->heads[id];
    nerv_out row = iu__nerv_out_of(c);
    if (!h->dirty) continue;
    if (!dirty) keep = may_keep(c);
    dirty = true;
    iu__nerv_put_u32(&row, id);
    iu__nerv_put_u64(&row, h->sequence);
    iu__nerv_put_u64(&row, h->count);
    iu__nerv_put_u64(&row, h->bytes);
    if (!iu__nerv_put_row(c, NERV_EVENT_HEAD, &row, h->exists)) return false;
  }
  if (keep) keep_heads(c);
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

/* The `count` digits of v that end `shift` bits above its low end. */
static char *put_digits(char *out, uint64_t v, int shift, int count) {
  static const char digit[] = "0123456789abcdef";
  for (int i = count - 1; i >= 0; i--) *out++ = digit[v >> (shift + 4 * i) & 15];
  return out;
}

void iu__nerv_uuid(nerv_call *c, nerv_id_kind kind, uint64_t number, char out[NERV_UUID_LEN]) {
  uint64_t now = c->now > 0 ? (uint64_t)c->now : 0;
  uint64_t high = now / 1000 << 16 | 0x7000u | now % 1000 << 2 | (uint64_t)kind;
  uint64_t low = UINT64_C(2) << 62 | (number & 0xFFFFFFFFFF) << 22 | universe_bits(c);
  out = put_digits(out, high, 32, 8);
  *out++ = '-';
  out = put_digits(out, high, 16, 4);
  *out++ = '-';
  out = put_digits(out, high, 0, 4);
  *out++ = '-';
  out = put_digits(out, low, 48, 4);
  *out++ = '-';
  put_digits(out, low, 0, 12);
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
