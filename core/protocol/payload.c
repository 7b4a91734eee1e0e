/* payload.c: a WebSocket payload: its compression byte, its messages one after another, the list of table updates; and the readers of
 * the pieces that all versions have in common.
 */
#include "../base/alloc.h"
#include "../base/text.h"
#include "message_internal.h"

/* ---- pieces ---- */

bool iu__input_bad(iu_input *in, size_t at, const char *what) {
  iu__fail_at(in->err, IU_E_VALIDATION, at, "expected %s at byte %zu", what, at);
  return false;
}

static size_t here(const iu_input *in) { return iu__reader_offset(in->r); }

bool iu__input_tag(iu_input *in, uint8_t variants, uint8_t *tag, const char *what) {
  size_t at = here(in);
  *tag = iu__read_u8(in->r);
  return (!in->r->failed && *tag < variants) || iu__input_bad(in, at, what);
}

bool iu__input_u32(iu_input *in, uint32_t *v, const char *what) {
  *v = iu__read_u32(in->r);
  return !in->r->failed || iu__input_bad(in, here(in), what);
}

bool iu__input_i64(iu_input *in, int64_t *v, const char *what) {
  *v = (int64_t)iu__read_u64(in->r);
  return !in->r->failed || iu__input_bad(in, here(in), what);
}

bool iu__input_fixed(iu_input *in, void *out, size_t len, const char *what) {
  const uint8_t *p = iu__read(in->r, len);
  if (p == NULL) return iu__input_bad(in, here(in), what);
  if (out != NULL) memcpy(out, p, len);
  return true;
}

bool iu__input_bytes(iu_input *in, iu_slice *v, const char *what) {
  uint32_t len;
  v->p = iu__read_bytes(in->r, &len);
  v->len = len;
  return v->p != NULL || iu__input_bad(in, here(in), what);
}

bool iu__input_text(iu_input *in, iu_slice *v, const char *what) {
  if (!iu__input_bytes(in, v, what)) return false;
  size_t good = iu__utf8_check((const char *)v->p, v->len);
  return good == v->len || iu__input_bad(in, (size_t)(v->p - in->r->base) + good, "UTF-8");
}

bool iu__input_count(iu_input *in, size_t least, uint32_t *count, const char *what) {
  size_t at = here(in);
  *count = iu__read_u32(in->r);
  return (!in->r->failed && *count <= iu__reader_left(in->r) / least) || iu__input_bad(in, at, what);
}

bool iu__input_option_u32(iu_input *in, bool *some, uint32_t *v, const char *what) {
  uint8_t tag;
  if (!iu__input_tag(in, 2, &tag, what)) return false;
  *some = tag == 0;
  return !*some || iu__input_u32(in, v, what);
}

/* ---- row lists ---- */

/* The first row starts at 0 and none before its forerunner or behind the end. `at` is where the offsets stand. */
static bool check_offsets(iu_input *in, const iu_row_list *rows, size_t at) {
  uint64_t before = 0;
  for (uint32_t i = 0; i < rows->count; i++) {
    uint64_t start = iu__load_u64(rows->offsets + 8 * (size_t)i);
    if (i == 0 && start != 0) return iu__input_bad(in, at, "0 as the first row's offset");
    if (start < before) return iu__input_bad(in, at + 8 * (size_t)i, "a row's offset that is not before the last one's");
    if (start > rows->len) return iu__input_bad(in, at + 8 * (size_t)i, "a row's offset inside the rows' bytes");
    before = start;
  }
  return true;
}

static bool read_fixed(iu_input *in, iu_row_list *rows) {
  size_t at = here(in);
  iu_slice data;
  rows->row_size = iu__read_u16(in->r);
  if (in->r->failed) return iu__input_bad(in, at, "the size of a row");
  if (!iu__input_bytes(in, &data, "rows")) return false;
  if (data.len != 0 && rows->row_size == 0) return iu__input_bad(in, at, "a row size that is not 0");
  if (data.len != 0 && data.len % rows->row_size != 0) return iu__input_bad(in, at, "a row size that divides the rows' bytes");
  rows->count = data.len != 0 ? (uint32_t)(data.len / rows->row_size) : 0;
  rows->data = data.p;
  rows->len = data.len;
  return true;
}

static bool read_offsets(iu_input *in, iu_row_list *rows) {
  iu_slice data;
  if (!iu__input_count(in, 8, &rows->count, "the offsets of rows")) return false;
  size_t at = here(in);
  rows->offsets = iu__read(in->r, 8 * (size_t)rows->count);
  if (!iu__input_bytes(in, &data, "rows")) return false;
  if (rows->count == 0 && data.len != 0) return iu__input_bad(in, at, "offsets for the rows' bytes");
  rows->data = data.p;
  rows->len = data.len;
  return check_offsets(in, rows, at);
}

bool iu__input_rows(iu_input *in, iu_row_list *rows) {
  uint8_t hint;
  *rows = (iu_row_list){0};
  if (!iu__input_tag(in, 2, &hint, "a row size hint")) return false;
  rows->fixed = hint == 0;
  return rows->fixed ? read_fixed(in, rows) : read_offsets(in, rows);
}

iu_slice iu__row_list_at(const iu_row_list *l, uint32_t i) {
  if (l->fixed) return (iu_slice){l->data + (size_t)l->row_size * i, l->row_size};
  size_t start = (size_t)iu__load_u64(l->offsets + 8 * (size_t)i);
  size_t end = i + 1 < l->count ? (size_t)iu__load_u64(l->offsets + 8 * ((size_t)i + 1)) : l->len;
  return (iu_slice){l->data + start, end - start};
}

bool iu__input_add(iu_input *in, const iu_table_update *update) {
  iu_payload *p = in->payload;
  if (p->count == IU_MESSAGE_UPDATES_MAX) {
    iu__fail(in->err, IU_E_OVERLOADED, "a message has more than %u table updates", IU_MESSAGE_UPDATES_MAX);
    return false;
  }
  if (p->count == p->cap) {
    uint32_t cap = p->cap != 0 ? p->cap * 2 : 8;
    iu_table_update *updates = iu__realloc_array(p->updates, cap, sizeof *updates);
    if (updates == NULL) {
      iu__fail_nomem(in->err);
      return false;
    }
    p->updates = updates;
    p->cap = cap;
  }
  p->updates[p->count++] = *update;
  return true;
}

/* ---- the payload ---- */

static iu_status open_compressed(iu_payload *p, iu_compression how, const uint8_t *bytes, size_t len, iu_error *err) {
  iu_status status = iu__inflate(how, bytes, len, p->budget, &p->plain, err);
  if (status != IU_OK) {
    iu__buf_free(&p->plain);
    return status;
  }
  p->budget -= p->plain.len;
  p->reader = iu__reader(p->plain.data, p->plain.len);
  return IU_OK;
}

iu_status iu__payload_open(iu_payload *p, iu_protocol protocol, const void *bytes, size_t len, size_t max_plain, iu_error *err) {
  const uint8_t *at = bytes;
  *p = (iu_payload){.protocol = protocol, .budget = max_plain, .reader = iu__reader(NULL, 0)};
  if (protocol == IU_P_V1_JSON) {
    p->reader = iu__reader(bytes, len);
    return IU_OK;
  }
  if (len == 0) return iu__fail_at(err, IU_E_VALIDATION, 0, "expected a compression byte, found an empty payload");
  switch (at[0]) {
    case IU_COMPRESSION_NONE: p->reader = iu__reader(at + 1, len - 1); return IU_OK;
    case IU_COMPRESSION_BROTLI: return open_compressed(p, IU_COMPRESSION_BROTLI, at + 1, len - 1, err);
    case IU_COMPRESSION_GZIP: return open_compressed(p, IU_COMPRESSION_GZIP, at + 1, len - 1, err);
    default: return iu__fail_at(err, IU_E_VALIDATION, 0, "expected a compression byte of 0, 1 or 2, found %u", at[0]);
  }
}

static bool read_message(iu_input *in, iu_message *m) {
  switch (in->payload->protocol) {
    case IU_P_V1_JSON: return iu__read_json(in, in->payload->schema, m);
    case IU_P_V1: return iu__read_v1(in, m);
    default: return iu__read_v2(in, m);
  }
}

/* At the end, as it should be? Only v3 goes on after its first message. */
static bool at_end(iu_payload *p, iu_error *err) {
  size_t at = iu__reader_offset(&p->reader);
  if (!p->began || iu__reader_left(&p->reader) == 0 || p->protocol == IU_P_V3) return true;
  p->reader.p = p->reader.end;
  iu__fail_at(err, IU_E_VALIDATION, at, "unexpected bytes after the message at byte %zu", at);
  return false;
}

iu_status iu__payload_next(iu_payload *p, iu_message *out, bool *more, iu_error *err) {
  iu_error own;
  iu_input in = {p, &p->reader, err != NULL ? err : &own};
  iu_message m = {0};
  *more = false;
  if (!at_end(p, in.err)) return in.err->status;
  if (p->began && iu__reader_left(&p->reader) == 0) return IU_OK;
  p->began = true;
  p->count = 0;
  if (!read_message(&in, &m)) {
    p->reader.p = p->reader.end;
    iu__error_prefix(in.err, "%s", iu__protocol_name(p->protocol));
    return in.err->status;
  }
  m.updates = p->updates;
  m.update_count = p->count;
  *out = m;
  *more = true;
  return IU_OK;
}

void iu__payload_close(iu_payload *p) {
  iu__buf_free(&p->plain);
  iu__arena_free(&p->inner);
  iu__free(p->updates);
  *p = (iu_payload){.protocol = p->protocol, .began = true, .reader = iu__reader(NULL, 0)};
}
