/* peek.c: what a message is, from how it starts: for messages that are too large to be taken. */
#include "../base/hash.h"
#include "message_internal.h"

#define START_ROOM 64

static bool peek_json(const uint8_t *p, size_t len, uint32_t *request) {
  static const char start[] = "{\"OneOffQueryResponse\":{\"message_id\":\"";
  size_t at = sizeof start - 1;
  char digits[9];
  uint8_t id[4];
  if (len < at + 9 || memcmp(p, start, at) != 0 || p[at + 8] != '"') return false;
  memcpy(digits, p + at, 8);
  digits[8] = '\0';
  if (!iu__unhex(id, digits, 8)) return false;
  *request = iu__load_u32(id);
  return true;
}

static bool peek_plain(iu_protocol p, iu_reader r, uint32_t *request) {
  enum { V1_ONE_OFF = 4, V2_ONE_OFF = 5 };
  uint8_t tag = iu__read_u8(&r);
  if (tag != (p == IU_P_V1 ? V1_ONE_OFF : V2_ONE_OFF) || (p == IU_P_V1 && iu__read_u32(&r) != sizeof *request)) return false;
  *request = iu__read_u32(&r);
  return !r.failed;
}

bool iu__payload_is_one_off(iu_protocol p, const void *head, size_t len, uint32_t *request) {
  const uint8_t *bytes = head;
  uint8_t start[START_ROOM];
  if (len == 0) return false;
  if (p == IU_P_V1_JSON) return peek_json(bytes, len, request);
  if (bytes[0] == IU_COMPRESSION_NONE) return peek_plain(p, iu__reader(bytes + 1, len - 1), request);
  if (bytes[0] != IU_COMPRESSION_GZIP && bytes[0] != IU_COMPRESSION_BROTLI) return false;
  return peek_plain(p, iu__reader(start, iu__inflate_start((iu_compression)bytes[0], bytes + 1, len - 1, start, sizeof start)), request);
}
