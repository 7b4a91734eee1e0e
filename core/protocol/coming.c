/* coming.c: the rows of a subscription's answer, taken from a payload that has not come to its end. Only what most such answers are: plain, and their first
 * message in the payload; everything else is left to the reading of the whole. Positions, not pointers, are kept: the bytes may move while more come.
 */
#include "message_internal.h"

enum { V1_SUBSCRIBED_MULTI = 8, V2_SUBSCRIBED = 1 };

/* Takes up again behind what was read; what was read in vain, because bytes are missing, is read again. */
static iu_reader reader_at(const iu_coming *c, const uint8_t *bytes, size_t len) {
  return c->at < len ? iu__reader(bytes + c->at, len - c->at) : iu__reader(bytes, 0);
}

static bool read_on(iu_coming *c, const iu_reader *r) {
  if (r->failed) return false;
  c->at += (size_t)(r->p - r->base);
  return true;
}

static bool give_up(iu_coming *c) {
  c->over = true;
  return false;
}

static bool read_head(iu_coming *c, iu_protocol p, const uint8_t *bytes, size_t len) {
  iu_reader r = reader_at(c, bytes, len);
  uint8_t compression = iu__read_u8(&r), tag = iu__read_u8(&r);
  if (r.failed) return false;
  if (compression != IU_COMPRESSION_NONE || tag != (p == IU_P_V1 ? V1_SUBSCRIBED_MULTI : V2_SUBSCRIBED)) return give_up(c);
  c->request = iu__read_u32(&r);
  if (p == IU_P_V1) iu__read_u64(&r); /* a duration */
  iu__read_u32(&r);                   /* the set */
  c->tables = iu__read_u32(&r);
  return c->begun = read_on(c, &r);
}

static bool read_table(iu_coming *c, iu_protocol p, const uint8_t *bytes, size_t len) {
  iu_reader r = reader_at(c, bytes, len);
  if (c->tables == 0) return give_up(c);
  if (p == IU_P_V1) iu__read_u32(&r); /* an id */
  c->name_len = iu__read_u32(&r);
  c->name_at = c->at + (size_t)(r.p - r.base);
  iu__read(&r, c->name_len);
  if (p == IU_P_V1) iu__read_u64(&r); /* a number of rows */
  c->lists = p == IU_P_V1 ? iu__read_u32(&r) : 1;
  if (!read_on(c, &r)) return false;
  c->tables--;
  return true;
}

/* v1: in front of the inserts, whether they are compressed, and the deletes: there must be none. */
static bool read_no_deletes(iu_reader *r) {
  uint8_t compression = iu__read_u8(r), hint = iu__read_u8(r);
  if (compression != IU_COMPRESSION_NONE || hint > 1) return false;
  if (hint == 0) iu__read_u16(r);
  else if (iu__read_u32(r) != 0) return false;
  return iu__read_u32(r) == 0;
}

static bool read_list(iu_coming *c, iu_protocol p, const uint8_t *bytes, size_t len) {
  iu_reader r = reader_at(c, bytes, len);
  if (p == IU_P_V1 && !read_no_deletes(&r)) return r.failed ? false : give_up(c);
  c->row_size = 0;
  uint8_t hint = iu__read_u8(&r);
  if (hint == 0) {
    c->row_size = iu__read_u16(&r);
  } else {
    c->count = iu__read_u32(&r);
    c->offsets_at = c->at + (size_t)(r.p - r.base);
    if (c->count > iu__reader_left(&r) / 8) return false;
    iu__read(&r, 8 * (size_t)c->count);
  }
  c->data_len = iu__read_u32(&r);
  if (r.failed) return false;
  if (hint > 1 || (hint == 0 && c->data_len != 0 && (c->row_size == 0 || c->data_len % c->row_size != 0))) return give_up(c);
  if (hint == 0) c->count = c->data_len != 0 ? c->data_len / c->row_size : 0;
  c->fixed = hint == 0;
  (void)read_on(c, &r);
  c->lists--;
  return c->in_list = true;
}

bool iu__coming_list(iu_coming *c, iu_protocol p, const uint8_t *bytes, size_t len) {
  if (p == IU_P_V1_JSON) return give_up(c);
  if (!c->over && !c->begun && !read_head(c, p, bytes, len)) return false;
  while (!c->over && !c->in_list) {
    if (!(c->lists > 0 ? read_list(c, p, bytes, len) : read_table(c, p, bytes, len))) return false;
  }
  return !c->over;
}

bool iu__coming_row(const iu_coming *c, const uint8_t *bytes, size_t len, uint32_t i, iu_slice *row) {
  uint64_t start = (uint64_t)c->row_size * i, end = start + c->row_size;
  if (!c->fixed) {
    const uint8_t *offsets = bytes + c->offsets_at;
    start = iu__load_u64(offsets + 8 * (size_t)i);
    end = i + 1 < c->count ? iu__load_u64(offsets + 8 * ((size_t)i + 1)) : c->data_len;
    if (start > end || end > c->data_len || (i == 0 && start != 0)) return false;
  }
  if (end > len - c->at) return false;
  *row = (iu_slice){bytes + c->at + start, (size_t)(end - start)};
  return true;
}

void iu__coming_next(iu_coming *c) {
  c->at += c->data_len;
  c->in_list = false;
  c->list++;
}
