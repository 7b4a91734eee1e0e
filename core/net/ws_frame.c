/* ws_frame.c: see ws_frame.h. */
#include "ws_frame.h"

static iu_status bad(iu_error *err, const char *what) {
  return iu__fail(err, IU_E_CONNECTION, "the server broke the WebSocket protocol: %s", what);
}

static iu_status start_frame(iu__ws_reader *r, iu_error *err) {
  uint8_t first = r->head[0], length = r->head[1] & 0x7f;
  r->opcode = first & 0x0f;
  r->fin = (first & 0x80) != 0;
  if ((first & 0x70) != 0) return bad(err, "reserved bits are set");
  if ((r->head[1] & 0x80) != 0) return bad(err, "a masked frame");
  if (r->opcode > IU_WS_PONG || (r->opcode > IU_WS_BINARY && r->opcode < IU_WS_CLOSE)) return bad(err, "an unknown opcode");
  if (r->opcode >= IU_WS_CLOSE) {
    if (!r->fin || length > IU_WS_CONTROL_MAX) return bad(err, "a fragmented or oversized control frame");
  } else if ((r->opcode == IU_WS_CONTINUATION) != r->in_message) {
    return bad(err, r->in_message ? "a new message inside another one" : "a continuation of nothing");
  }
  return IU_OK;
}

/* How long the head is, as far as it is known. */
static size_t head_size(const iu__ws_reader *r) {
  if (r->head_len < 2) return 2;
  return (r->head[1] & 0x7f) == 126 ? 4u : (r->head[1] & 0x7f) == 127 ? 10u : 2u;
}

static iu_status finish_head(iu__ws_reader *r, iu_error *err) {
  size_t size = head_size(r);
  r->left = r->head[1] & 0x7f;
  if (size > 2) {
    r->left = 0;
    for (size_t i = 2; i < size; i++) r->left = r->left << 8 | r->head[i];
  }
  if (r->left >> 63 != 0) return bad(err, "a negative length");
  r->in_payload = true;
  r->control_len = 0;
  return IU_OK;
}

static void data_piece(iu__ws_reader *r, const uint8_t **bytes, size_t *len, iu__ws_piece *piece) {
  size_t take = r->left < *len ? (size_t)r->left : *len;
  piece->control = false;
  piece->first = !r->in_message;
  if (piece->first) r->text = r->opcode == IU_WS_TEXT;
  r->in_message = true;
  r->left -= take;
  piece->opcode = r->opcode;
  piece->text = r->text;
  piece->bytes = *bytes;
  piece->len = take;
  piece->frame_left = r->left;
  piece->last = r->fin && r->left == 0;
  if (piece->last) r->in_message = false;
  *bytes += take;
  *len -= take;
}

static bool control_piece(iu__ws_reader *r, const uint8_t **bytes, size_t *len, iu__ws_piece *piece) {
  size_t take = r->left < *len ? (size_t)r->left : *len;
  if (take != 0) memcpy(r->control + r->control_len, *bytes, take);
  r->control_len = (uint8_t)(r->control_len + take);
  r->left -= take;
  *bytes += take;
  *len -= take;
  *piece = (iu__ws_piece){.control = true, .opcode = r->opcode, .bytes = r->control, .len = r->control_len};
  return r->left == 0;
}

iu_status iu__ws_read(iu__ws_reader *r, const uint8_t **bytes, size_t *len, iu__ws_piece *piece, bool *got, iu_error *err) {
  *got = false;
  while (!r->in_payload) {
    if (*len == 0) return IU_OK;
    r->head[r->head_len++] = *(*bytes)++;
    (*len)--;
    if (r->head_len == 2) {
      iu_status status = start_frame(r, err);
      if (status != IU_OK) return status;
    }
    if (r->head_len == head_size(r)) {
      iu_status status = finish_head(r, err);
      if (status != IU_OK) return status;
    }
  }
  if (r->left != 0 && *len == 0) return IU_OK;
  if (r->opcode >= IU_WS_CLOSE) {
    *got = control_piece(r, bytes, len, piece);
  } else {
    data_piece(r, bytes, len, piece);
    *got = true;
  }
  if (r->left == 0) {
    r->in_payload = false;
    r->head_len = 0;
  }
  return IU_OK;
}

static void mask_bytes(uint8_t *at, size_t len, const uint8_t mask[4]) {
  uint64_t wide, word;
  uint8_t twice[8];
  size_t i = 0;
  memcpy(twice, mask, 4);
  memcpy(twice + 4, mask, 4);
  memcpy(&wide, twice, 8);
  for (; i + 8 <= len; i += 8) {
    memcpy(&word, at + i, 8);
    word ^= wide;
    memcpy(at + i, &word, 8);
  }
  for (; i < len; i++) at[i] ^= mask[i & 3];
}

void iu__ws_write_frame(iu_buf *out, uint8_t opcode, const void *bytes, size_t len, const uint8_t mask[4]) {
  uint8_t head[IU_WS_HEAD_MAX];
  size_t n = 2;
  head[0] = (uint8_t)(0x80 | opcode);
  if (len < 126) {
    head[1] = (uint8_t)(0x80 | len);
  } else {
    size_t digits = len <= UINT16_MAX ? 2 : 8;
    head[1] = (uint8_t)(0x80 | (digits == 2 ? 126 : 127));
    for (size_t i = 0; i < digits; i++) head[n++] = (uint8_t)((uint64_t)len >> (8 * (digits - 1 - i)));
  }
  memcpy(head + n, mask, 4);
  n += 4;
  if (!iu__buf_reserve(out, n + len)) return;
  iu__buf_put(out, head, n);
  iu__buf_put(out, bytes, len);
  mask_bytes(out->data + out->len - len, len, mask);
}
