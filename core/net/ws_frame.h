/* ws_frame.h: WebSocket frames (RFC 6455), the client's side: takes an incoming byte stream apart, writes outgoing frames. No I/O.
 *
 * The reader is fed pieces of any size. Payload of data frames is handed on as it comes, control frames when they are whole. What a server must not send
 * (masked frames, reserved bits, unknown opcodes, fragmented or long control frames, a continuation of nothing, a new message inside one)
 * is refused with IU_E_CONNECTION; the reader is of no use then.
 */
#ifndef IU_NET_WS_FRAME_H
#define IU_NET_WS_FRAME_H

#include "../base/buffer.h"

enum { IU_WS_CONTINUATION = 0, IU_WS_TEXT = 1, IU_WS_BINARY = 2, IU_WS_CLOSE = 8, IU_WS_PING = 9, IU_WS_PONG = 10 };

#define IU_WS_CONTROL_MAX 125u
/* The longest head of a frame we write: 2 + 8 + mask. */
#define IU_WS_HEAD_MAX 14u

typedef struct iu__ws_reader {
  uint8_t head[10];
  uint8_t head_len, opcode, control_len;
  bool in_payload, fin, in_message, text;
  uint64_t left;          /* of the payload of this frame */
  uint8_t control[IU_WS_CONTROL_MAX];
} iu__ws_reader;

typedef struct iu__ws_piece {
  bool control;           /* a whole control frame; otherwise payload of a message */
  uint8_t opcode;         /* of a control frame */
  bool text, first, last; /* of the message; `first` and `last` also for an empty one */
  const uint8_t *bytes; size_t len;
  uint64_t frame_left;    /* payload of this frame that is still to come */
} iu__ws_piece;

/* Takes bytes off *bytes. *got false: all are eaten and nothing is to be told. The piece borrows from the bytes or from the reader. */
iu_status iu__ws_read(iu__ws_reader *r, const uint8_t **bytes, size_t *len, iu__ws_piece *piece, bool *got, iu_error *err);
/* Appends one whole masked frame; failure is the buffer's. */
void iu__ws_write_frame(iu_buf *out, uint8_t opcode, const void *bytes, size_t len, const uint8_t mask[4]);

#endif
