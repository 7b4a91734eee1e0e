/* decode.c: messages a client sends (decode.h). Every length is checked against what is there. */
#include "decode.h"

#include <stdlib.h>

#include "../../core/base/text.h"

static iu_slice read_slice(iu_reader *r) {
  uint32_t len;
  const uint8_t *p = iu__read_bytes(r, &len);
  return (iu_slice){p, len};
}

static iu_slice read_text(iu_reader *r) {
  iu_slice s = read_slice(r);
  if (!r->failed && iu__utf8_check((const char *)s.p, s.len) != s.len) r->failed = true;
  return s;
}

static void read_queries(iu_reader *r, peer_request *out) {
  uint32_t count = iu__read_u32(r);
  if (r->failed || count > iu__reader_left(r) / 4) {
    r->failed = true;
    return;
  }
  out->queries = calloc(count + 1, sizeof *out->queries);
  if (out->queries == NULL) abort();
  for (out->count = 0; out->count < count && !r->failed; out->count++) out->queries[out->count] = read_text(r);
}

static iu_status unknown_tag(iu_error *err, uint8_t tag) {
  return iu__fail(err, IU_E_VALIDATION, "unknown tag 0x%x for sum type ClientMessage", tag);
}

static iu_status read_v1(iu_reader *r, peer_request *out, iu_error *err) {
  uint8_t tag = iu__read_u8(r), flags = 0;
  switch (tag) {
    case 0:
    case 7:
      out->kind = tag == 0 ? PEER_CALL : PEER_PROCEDURE;
      out->name = read_text(r);
      out->args = read_slice(r);
      out->request = iu__read_u32(r);
      flags = iu__read_u8(r);
      out->quiet = flags == 1;
      if (flags > (tag == 0 ? 1 : 0)) return iu__fail(err, IU_E_VALIDATION, "invalid call reducer flag: %u", flags);
      break;
    case 1:
      out->kind = PEER_SUBSCRIBE_ALL;
      read_queries(r, out);
      out->request = iu__read_u32(r);
      break;
    case 2:
      out->kind = PEER_ONE_OFF;
      out->id = read_slice(r);
      out->text = read_text(r);
      break;
    case 3:
      out->kind = PEER_SUBSCRIBE;
      out->single = true;
      out->queries = calloc(1, sizeof *out->queries);
      if (out->queries == NULL) abort();
      out->queries[0] = read_text(r);
      out->count = 1;
      out->request = iu__read_u32(r);
      out->set = iu__read_u32(r);
      break;
    case 4:
      out->kind = PEER_SUBSCRIBE;
      read_queries(r, out);
      out->request = iu__read_u32(r);
      out->set = iu__read_u32(r);
      break;
    case 5:
    case 6:
      out->kind = PEER_UNSUBSCRIBE;
      out->single = tag == 5;
      out->request = iu__read_u32(r);
      out->set = iu__read_u32(r);
      break;
    default: return r->failed ? IU_OK : unknown_tag(err, tag);
  }
  return IU_OK;
}

static iu_status read_v2(iu_reader *r, peer_request *out, iu_error *err) {
  uint8_t tag = iu__read_u8(r), flags;
  if (r->failed) return IU_OK;
  if (tag > 4) return unknown_tag(err, tag);
  out->request = iu__read_u32(r);
  switch (tag) {
    case 0:
      out->kind = PEER_SUBSCRIBE;
      out->set = iu__read_u32(r);
      read_queries(r, out);
      break;
    case 1:
      out->kind = PEER_UNSUBSCRIBE;
      out->set = iu__read_u32(r);
      flags = iu__read_u8(r);
      out->send_dropped_rows = flags == 1;
      if (flags > 1) return iu__fail(err, IU_E_VALIDATION, "unknown tag 0x%x for sum type UnsubscribeFlags", flags);
      break;
    case 2:
      out->kind = PEER_ONE_OFF;
      out->text = read_text(r);
      break;
    default:
      out->kind = tag == 3 ? PEER_CALL : PEER_PROCEDURE;
      flags = iu__read_u8(r);
      if (flags != 0) return iu__fail(err, IU_E_VALIDATION, "invalid call reducer flag: %u", flags);
      out->name = read_text(r);
      out->args = read_slice(r);
  }
  return IU_OK;
}

iu_status peer__read_request(iu_protocol p, iu_reader *r, peer_request *out, iu_error *err) {
  memset(out, 0, sizeof *out);
  iu_status status = p == IU_P_V1 ? read_v1(r, out, err) : read_v2(r, out, err);
  if (status == IU_OK && r->failed) {
    status = iu__fail(err, IU_E_VALIDATION, "data too short for [unknown]: Expected more bytes, given %zu", iu__reader_left(r));
  }
  if (status != IU_OK) peer__request_free(out);
  return status;
}

void peer__request_free(peer_request *request) {
  free(request->queries);
  request->queries = NULL;
}
