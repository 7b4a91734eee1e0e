/* websocket.c: the server's end of a WebSocket (server.h; protocol sheet 4, 6.5): upgrade, frames, whole messages in and out. */
#include <stdio.h>
#include <stdlib.h>
#include <openssl/evp.h>

#include "../../core/net/ws_frame.h"
#include "server.h"

#define CLOSE_WAIT_MS 250
#define ANSWERED 0xff /* in place of an opcode */

/* ---- frames out ---- */

static void put_frame(peer_link *l, uint8_t first, const uint8_t *bytes, size_t len, uint32_t messages) {
  uint8_t head[10] = {first};
  size_t n = 2;
  if (len < 126) {
    head[1] = (uint8_t)len;
  } else if (len <= UINT16_MAX) {
    head[1] = 126;
    head[2] = (uint8_t)(len >> 8);
    head[3] = (uint8_t)len;
    n = 4;
  } else {
    head[1] = 127;
    for (int i = 0; i < 8; i++) head[2 + i] = (uint8_t)((uint64_t)len >> (56 - 8 * i));
    n = 10;
  }
  peer__link_put(l, head, n, 0);
  peer__link_put(l, bytes, len, messages);
}

void peer__websocket_frame(peer_link *l, uint8_t opcode, const void *bytes, size_t len) {
  const uint8_t *p = bytes;
  size_t most = opcode >= IU_WS_CLOSE ? 0 : l->server->fault.fragment;
  bool first = true;
  if (l->closing || l->close_sent || l->dead) return;
  for (; most != 0 && len > most; first = false) {
    put_frame(l, first ? opcode : IU_WS_CONTINUATION, p, most, 0);
    p += most;
    len -= most;
  }
  put_frame(l, (uint8_t)(0x80 | (first ? opcode : IU_WS_CONTINUATION)), p, len, opcode >= IU_WS_CLOSE ? 0 : 1);
}

void peer__websocket_send_payload(peer_link *l, const void *payload, size_t len) { peer__websocket_frame(l, IU_WS_BINARY, payload, len); }

static void send_plain(peer_link *l, const iu_buf *plain) {
  iu_buf payload = {0};
  bool squeeze = l->compression != 'n' && plain->len > PEER_COMPRESS_ABOVE;
  iu__buf_put_u8(&payload, !squeeze ? 0 : l->compression == 'b' ? 1 : 2);
  if (squeeze) peer__compress(l->compression, plain->data, plain->len, &payload);
  else iu__buf_put(&payload, plain->data, plain->len);
  if (payload.failed) abort();
  peer__websocket_send_payload(l, payload.data, payload.len);
  iu__buf_free(&payload);
}

void peer__websocket_flush(peer_link *l) {
  if (l->pack.len == 0) return;
  send_plain(l, &l->pack);
  iu__buf_reset(&l->pack);
}

void peer__websocket_send(peer_link *l, const peer_message *m) {
  iu_buf plain = {0};
  if (l->closing || l->close_sent || l->dead) return;
  peer__put_message(&plain, l->protocol, m);
  if (plain.failed) abort();
  if (l->protocol == IU_P_V3) {
    if (l->pack.len + plain.len > PEER_PACK_MAX) peer__websocket_flush(l);
    iu__buf_put(&l->pack, plain.data, plain.len);
    if (l->pack.failed) abort();
    if (l->pack.len > PEER_PACK_MAX) peer__websocket_flush(l);
  } else {
    send_plain(l, &plain);
  }
  iu__buf_free(&plain);
}

/* ---- the end ---- */

static void on_close_wait(uv_timer_t *t) { peer__link_finish(t->data); }

void peer__websocket_close(peer_link *l, uint16_t code, const char *reason) {
  uint8_t body[IU_WS_CONTROL_MAX] = {(uint8_t)(code >> 8), (uint8_t)code};
  size_t len = strlen(reason);
  if (l->closing || l->close_sent) return;
  if (len > sizeof body - 2) len = sizeof body - 2;
  memcpy(body + 2, reason, len);
  peer__websocket_flush(l);
  peer__websocket_frame(l, IU_WS_CLOSE, body, len + 2);
  l->close_sent = true;
  if (!l->stalled) uv_timer_start(&l->timer, on_close_wait, CLOSE_WAIT_MS, 0);
}

/* ---- pings and silence ---- */

static void on_ping(uv_timer_t *t) {
  peer_link *l = t->data;
  peer_server *s = l->server;
  if (l->stalled) return;
  if (s->as == PEER_1_2_0 && !l->ponged) {
    peer__link_cut(l);
  } else if (s->as == PEER_2_8_3 && uv_now(&s->uv) - l->heard_at >= s->idle_ms) {
    peer__websocket_flush(l);
    l->dead = true; /* the connection stays open, silently, until the client writes */
    peer__link_leave(l);
  } else if (l->ponged) {
    l->ponged = false;
    peer__websocket_frame(l, IU_WS_PING, "", 0);
  }
}

/* ---- frames in ---- */

typedef struct frame { uint8_t opcode; bool fin; uint8_t *payload; size_t len, whole; } frame;

/* 1: a frame, unmasked in place; 0: not all there yet; -1: not allowed. */
static int next_frame(const iu_buf *in, size_t at, frame *f) {
  uint8_t *p = in->data + at;
  size_t have = in->len - at, head = 2;
  uint64_t len;
  if (have < 2) return 0;
  f->opcode = p[0] & 15;
  f->fin = (p[0] & 0x80) != 0;
  if ((p[0] & 0x70) != 0 || (p[1] & 0x80) == 0) return -1;
  len = p[1] & 0x7f;
  if (len >= 126) {
    head = len == 126 ? 4 : 10;
    if (have < head) return 0;
    len = 0;
    for (size_t i = 2; i < head; i++) len = len << 8 | p[i];
  }
  if (len > PEER_MESSAGE_MAX || (f->opcode >= IU_WS_CLOSE && (len > IU_WS_CONTROL_MAX || !f->fin))) return -1;
  if (have < head + 4 + len) return 0;
  f->payload = p + head + 4;
  f->len = (size_t)len;
  f->whole = head + 4 + f->len;
  for (size_t i = 0; i < f->len; i++) f->payload[i] ^= p[head + i % 4];
  return 1;
}

static void queue_message(peer_link *l) {
  if (l->queued_count >= PEER_QUEUE_MAX && l->server->as == PEER_2_8_3) {
    peer__websocket_close(l, 1013, "too many requests");
  } else {
    iu__buf_put_u32(&l->queued, (uint32_t)l->message.len);
    iu__buf_put_u8(&l->queued, l->opcode);
    iu__buf_put(&l->queued, l->message.data, l->message.len);
    if (l->queued.failed) abort();
    l->queued_count++;
  }
  iu__buf_reset(&l->message);
  l->opcode = 0;
}

static bool take_data(peer_link *l, const frame *f) {
  if (f->opcode > IU_WS_BINARY || (f->opcode == IU_WS_CONTINUATION) != (l->opcode != 0)) return false;
  if (f->opcode != IU_WS_CONTINUATION) l->opcode = f->opcode;
  if (l->message.len + f->len > PEER_MESSAGE_MAX) return false;
  iu__buf_put(&l->message, f->payload, f->len);
  if (l->message.failed) abort();
  if (f->fin) queue_message(l);
  return true;
}

static void take_control(peer_link *l, const frame *f) {
  if (f->opcode == IU_WS_PING) peer__websocket_frame(l, IU_WS_PONG, f->payload, f->len);
  if (f->opcode == IU_WS_PONG) l->ponged = true;
  if (f->opcode != IU_WS_CLOSE) return;
  peer__websocket_work(l); /* what came before it */
  peer__websocket_flush(l);
  peer__websocket_frame(l, IU_WS_CLOSE, f->payload, f->len);
  l->close_sent = true;
  peer__link_finish(l);
}

void peer__websocket_read(peer_link *l) {
  size_t at = 0;
  frame f;
  int got = 0;
  while (!l->closing && !l->finish && (got = next_frame(&l->in, at, &f)) > 0) {
    at += f.whole;
    if (f.opcode >= IU_WS_CLOSE) take_control(l, &f);
    else if (l->close_sent) continue;
    else if (!take_data(l, &f)) got = -1;
    if (got < 0) break;
  }
  memmove(l->in.data, l->in.data + at, l->in.len - at);
  l->in.len -= at;
  if (got < 0) peer__link_cut(l); /* too large, or against the rules: no close frame */
  else peer__websocket_work(l);
}

/* What the others in the queue have to let pass. */
static void overtake(peer_link *l) {
  for (size_t at = 0; at < l->queued.len && l->session != NULL; at += 5 + (size_t)iu__load_u32(l->queued.data + at)) {
    uint8_t *opcode = l->queued.data + at + 4;
    if (*opcode == IU_WS_BINARY && peer__session_overtake(l, opcode + 1, iu__load_u32(l->queued.data + at))) *opcode = ANSWERED;
  }
}

void peer__websocket_work(peer_link *l) {
  size_t at = 0;
  if (l->protocol == IU_P_V1) overtake(l);
  if (l->server->fault.hold && !l->close_sent) return;
  while (at < l->queued.len && !l->closing && !l->close_sent) {
    uint32_t len = iu__load_u32(l->queued.data + at);
    uint8_t opcode = l->queued.data[at + 4];
    at += 5;
    if (l->session != NULL && opcode != ANSWERED) peer__session_message(l, l->queued.data + at, len, opcode == IU_WS_TEXT);
    at += len;
  }
  iu__buf_reset(&l->queued);
  l->queued_count = 0;
}

/* ---- the upgrade ---- */

static void accept_key(iu_slice key, char out[32]) {
  static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned len = 0;
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  if (ctx == NULL || !EVP_DigestInit_ex(ctx, EVP_sha1(), NULL) || !EVP_DigestUpdate(ctx, key.p, key.len) ||
      !EVP_DigestUpdate(ctx, magic, sizeof magic - 1) || !EVP_DigestFinal_ex(ctx, digest, &len)) {
    abort();
  }
  EVP_MD_CTX_free(ctx);
  EVP_EncodeBlock((unsigned char *)out, digest, (int)len);
}

static bool offered(iu_slice list, const char *name) {
  size_t len = strlen(name);
  for (size_t i = 0; i + len <= list.len; i++) {
    if (memcmp(list.p + i, name, len) == 0) return true;
  }
  return false;
}

static bool choose(const peer_link *l, iu_slice list, iu_protocol *out) {
  static const iu_protocol newest[] = {IU_P_V3, IU_P_V2, IU_P_V1};
  for (size_t i = 0; i < 3; i++) {
    *out = newest[i];
    if (*out <= l->server->newest && offered(list, iu__protocol_name(newest[i]))) return true;
  }
  return false;
}

static void refuse(peer_link *l, int status, const char *text) { peer__http_answer(l, status, "text/plain; charset=utf-8", "", text, strlen(text)); }

static bool read_params(peer_link *l, const peer_http *h) {
  char text[32];
  l->compression = 'b';
  if (peer__http_param(h, "compression", text, sizeof text)) {
    if (strcmp(text, "None") != 0 && strcmp(text, "Gzip") != 0 && strcmp(text, "Brotli") != 0) return false;
    l->compression = text[0] == 'N' ? 'n' : text[0] == 'G' ? 'g' : 'b';
  }
  if (peer__http_param(h, "light", text, sizeof text)) {
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) return false;
    l->light = text[0] == 't';
  }
  if (l->server->as == PEER_2_8_3 && peer__http_param(h, "confirmed", text, sizeof text)) {
    return strcmp(text, "true") == 0 || strcmp(text, "false") == 0; /* memory is as durable as it gets */
  }
  return true;
}

static void say_hello(peer_link *l, const char *token) {
  peer_message m = {.kind = IU_M_CONNECTED, .identity = l->session->identity, .connection_id = l->session->connection_id,
                    .token = {(const uint8_t *)token, strlen(token)}};
  l->ponged = false;
  peer__websocket_frame(l, IU_WS_PING, "", 0);
  peer__websocket_send(l, &m);
  uv_timer_start(&l->ping, on_ping, l->server->ping_ms, l->server->ping_ms);
}

static bool check_upgrade(peer_link *l, const peer_http *h, iu_slice *key, iu_slice *protocols) {
  iu_slice value;
  if (!peer__http_header(h, "upgrade", &value) || value.len != 9 || strncasecmp((const char *)value.p, "websocket", 9) != 0) {
    refuse(l, 426, "This service requires use of the websocket protocol");
  } else if (!peer__http_header(h, "sec-websocket-key", key)) {
    refuse(l, 400, "`Sec-WebSocket-Key` header missing");
  } else if (!peer__http_header(h, "sec-websocket-version", &value) || value.len != 2 || memcmp(value.p, "13", 2) != 0) {
    refuse(l, 400, "`Sec-WebSocket-Version` header did not include '13'");
  } else if (!read_params(l, h)) {
    refuse(l, 400, "Failed to deserialize query string: a parameter has no such value");
  } else if (!peer__http_header(h, "sec-websocket-protocol", protocols) || !choose(l, *protocols, &l->protocol)) {
    refuse(l, 400, "no valid protocol selected");
  } else {
    return true;
  }
  return false;
}

void peer__websocket_upgrade(peer_link *l, const peer_http *h, peer_database *db) {
  uint8_t identity[32];
  char token[160], accept[32], hex[65];
  bool given;
  iu_slice key = {0}, protocols = {0};
  iu_error err;
  iu_buf head = {0};
  if (!check_upgrade(l, h, &key, &protocols) || !peer__http_identity(l, h, identity, token, &given)) return;
  accept_key(key, accept);
  peer__hex_reversed(hex, identity, 32);
  iu__buf_printf(&head, "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: %s\r\n"
                        "sec-websocket-protocol: %s\r\nspacetime-identity: %s\r\nspacetime-identity-token: %s\r\n\r\n",
                 accept, iu__protocol_name(l->protocol), hex, token);
  l->websocket = true;
  l->server->upgrades++;
  peer__link_put(l, head.data, head.len, 0);
  iu__buf_free(&head);
  if (l->server->fault.refuse_connect || peer__database_join(db, identity, &l->session, &err) != IU_OK) {
    peer__link_finish(l); /* no message, no close frame */
    return;
  }
  l->db = db;
  say_hello(l, token);
  if (l->server->fault.upgrade_delay_ms != 0) peer__link_stall(l, l->server->fault.upgrade_delay_ms);
}
