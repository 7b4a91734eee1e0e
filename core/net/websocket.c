/* websocket.c: see websocket.h. The connection and the HTTP around the upgrade are link.c's, frames are ws_frame.c's; this is the state between.
 *
 *   CONNECTING -> OPEN -> CLOSING (our close frame is on its way) -> DONE
 *   CONNECTING -> REFUSED (another answer than 101: its body is gathered) -> DONE
 *
 * `depth` counts the calls on the way that touch the socket when they come back: a release meanwhile frees it at the last one's end.
 */
#include "websocket.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>

#include "../base/alloc.h"
#include "../base/clock.h"
#include "link.h"
#include "ws_frame.h"

#define BUFFER_KEEP (1024u * 1024u) /* a larger buffer is given back when it is empty */
#define TICK_MAX_MS 1000u
#define MASKS 64u

typedef enum ws_state { CONNECTING, REFUSED, OPEN, CLOSING, DONE } ws_state;
typedef enum over_state { OVER_NO, OVER_ASK, OVER_SKIP } over_state;

struct iu_ws {
  iu_loop *loop;
  iu__link *link;
  iu_ws_config config; /* callbacks and numbers; its pointers are not kept */
  char *protocols[IU_WS_PROTOCOLS_MAX];
  uint32_t protocol_count;
  char accept[32];     /* what Sec-WebSocket-Accept must say */
  ws_state state;
  over_state over;
  bool released, paused, pong_due, in_head;
  uint32_t depth;
  iu__ws_reader reader;
  iu_buf message, held, out, refusal;
  size_t out_at;
  size_t parted;       /* bytes of the message that on_part has seen */
  uint8_t pong[IU_WS_CONTROL_MAX];
  size_t pong_len;
  uint8_t masks[MASKS][4];
  uint32_t mask_next;
  iu_timer *tick, *limit;
  uint64_t heard_ns, pinged_ns, ticked_ns, tick_ns;
  iu_job job;          /* a delayed end, or held bytes */
  iu_job flushing;     /* what was queued in this turn goes out together */
  bool end_due;
  int http_status;
};

/* ---- life ---- */

static void ws_stop(iu_ws *ws) {
  iu__link_close(ws->link);
  ws->link = NULL;
  iu__timer_close(ws->tick);
  iu__timer_close(ws->limit);
  ws->tick = ws->limit = NULL;
  iu__job_cancel(ws->loop, &ws->job);
  iu__job_cancel(ws->loop, &ws->flushing);
}

static void ws_free(iu_ws *ws) {
  for (uint32_t i = 0; i < ws->protocol_count; i++) iu__free(ws->protocols[i]);
  iu__buf_free(&ws->message);
  iu__buf_free(&ws->held);
  iu__buf_free(&ws->out);
  iu__buf_free(&ws->refusal);
  iu__free(ws);
}

static void ws_leave(iu_ws *ws) {
  if (--ws->depth == 0 && ws->released) ws_free(ws);
}

void iu__ws_release(iu_ws *ws) {
  if (ws == NULL || ws->released) return;
  ws->depth++;
  ws->released = true;
  ws->state = DONE;
  ws_stop(ws);
  ws_leave(ws);
}

static void ws_finish(iu_ws *ws, const iu_error *why, uint16_t code) {
  if (ws->state == DONE) return;
  ws->state = DONE;
  ws_stop(ws);
  if (ws->config.on_closed != NULL) ws->config.on_closed(ws->config.ud, ws, why, ws->http_status, code);
}

static void ws_fail(iu_ws *ws, iu_status status, const char *text) {
  iu_error err;
  iu__error_clear(&err);
  iu__fail(&err, status, "%s", text);
  ws_finish(ws, &err, 0);
}

/* ---- sending ---- */

static void buffer_emptied(iu_buf *b) {
  if (b->cap > BUFFER_KEEP) iu__buf_free(b);
  else iu__buf_reset(b);
}

static bool next_mask(iu_ws *ws, uint8_t mask[4], iu_error *err) {
  if (ws->mask_next == MASKS) {
    if (iu__random(ws->masks, sizeof ws->masks, err) != IU_OK) return false;
    ws->mask_next = 0;
  }
  memcpy(mask, ws->masks[ws->mask_next++], 4);
  return true;
}

static iu_status queue_frame(iu_ws *ws, uint8_t opcode, const void *bytes, size_t len, iu_error *err) {
  uint8_t mask[4];
  size_t before;
  if (!next_mask(ws, mask, err)) return IU_E_PERSISTENCE;
  if (ws->out_at > ws->out.len / 2) { /* each byte moves at most once for one that was sent */
    memmove(ws->out.data, ws->out.data + ws->out_at, ws->out.len - ws->out_at);
    ws->out.len -= ws->out_at;
    ws->out_at = 0;
  }
  before = ws->out.len;
  iu__ws_write_frame(&ws->out, opcode, bytes, len, mask);
  if (ws->out.failed) { /* as if it had not been tried */
    ws->out.failed = 0;
    ws->out.len = before;
    return iu__fail_nomem(err);
  }
  iu__job_post_early(ws->loop, &ws->flushing);
  return IU_OK;
}

static void flush(iu_ws *ws) {
  if (ws->pong_due && queue_frame(ws, IU_WS_PONG, ws->pong, ws->pong_len, NULL) == IU_OK) ws->pong_due = false;
  while (ws->out_at < ws->out.len) {
    size_t sent = iu__link_write(ws->link, ws->out.data + ws->out_at, ws->out.len - ws->out_at);
    if (sent == 0) break;
    ws->out_at += sent;
  }
  if (ws->out_at < ws->out.len) {
    iu__link_want_write(ws->link);
    return;
  }
  ws->out_at = 0;
  buffer_emptied(&ws->out);
}

static void on_writable(void *ud) {
  iu_ws *ws = ud;
  if (ws->state == OPEN || ws->state == CLOSING) flush(ws);
}

static void on_flushing(void *ud) {
  iu_ws *ws = ud;
  ws->depth++;
  if (ws->link != NULL && (ws->state == OPEN || ws->state == CLOSING)) flush(ws);
  ws_leave(ws);
}

iu_status iu__ws_send(iu_ws *ws, const void *bytes, size_t len, bool text, iu_error *err) {
  if (ws->state == CONNECTING || ws->state == REFUSED) return iu__fail(err, IU_E_CONNECTION, "the WebSocket is not open yet");
  if (ws->state != OPEN) return iu__fail(err, IU_E_CLOSED, "the WebSocket is closed");
  if (len > ws->config.max_queued || iu__ws_queued(ws) > ws->config.max_queued - len)
    return iu__fail(err, IU_E_OVERLOADED, "%zu bytes to be sent are queued already; with %zu more the limit of %zu is passed", iu__ws_queued(ws), len,
                    ws->config.max_queued);
  return queue_frame(ws, text ? IU_WS_TEXT : IU_WS_BINARY, bytes, len, err);
}

size_t iu__ws_queued(const iu_ws *ws) { return ws->out.len - ws->out_at; }

/* ---- closing ---- */

static void refused(iu_ws *ws);

static void on_limit(void *ud) {
  iu_ws *ws = ud;
  ws->depth++;
  if (ws->state == REFUSED) refused(ws);
  else ws_fail(ws, IU_E_CLOSED, "closed by this side; the server did not answer");
  ws_leave(ws);
}

static void start_limit(iu_ws *ws) {
  if (ws->limit == NULL) (void)iu__timer_start(ws->loop, IU_WS_CLOSE_TIMEOUT_MS, 0, on_limit, ws, &ws->limit, NULL);
}

static void process_held(iu_ws *ws);

static void on_job(void *ud) {
  iu_ws *ws = ud;
  ws->depth++;
  if (ws->end_due) ws_fail(ws, IU_E_CLOSED, "closed by this side");
  else process_held(ws);
  ws_leave(ws);
}

void iu__ws_close(iu_ws *ws, uint16_t code, const char *reason) {
  uint8_t payload[IU_WS_CONTROL_MAX];
  size_t len = reason != NULL ? strlen(reason) : 0;
  if (ws->state == DONE || ws->state == CLOSING || ws->end_due) return;
  if (len > sizeof payload - 2) {
    len = sizeof payload - 2;
    while (len > 0 && ((unsigned char)reason[len] & 0xc0) == 0x80) len--; /* at a character */
  }
  payload[0] = (uint8_t)(code >> 8);
  payload[1] = (uint8_t)code;
  if (len != 0) memcpy(payload + 2, reason, len);
  if (ws->state == OPEN && queue_frame(ws, IU_WS_CLOSE, payload, len + 2, NULL) == IU_OK) {
    ws->state = CLOSING;
    iu__buf_reset(&ws->held);
    ws->paused = false;
    iu__link_pause(ws->link, false);
    start_limit(ws);
    if (ws->limit != NULL) return;
  }
  ws->state = CLOSING;
  iu__link_close(ws->link);
  ws->link = NULL;
  ws->end_due = true;
  iu__job_post(ws->loop, &ws->job);
}

static void peer_closed(iu_ws *ws, const iu__ws_piece *piece) {
  iu_error err;
  char reason[4 * IU_WS_CONTROL_MAX + 4];
  uint16_t code = piece->len >= 2 ? (uint16_t)(piece->bytes[0] << 8 | piece->bytes[1]) : 0;
  iu__error_clear(&err);
  if (piece->len == 1) {
    ws_fail(ws, IU_E_CONNECTION, "the server broke the WebSocket protocol: a close frame of one byte");
    return;
  }
  if (ws->state == CLOSING) {
    iu__fail(&err, IU_E_CLOSED, "closed by this side");
  } else {
    iu__printable(reason, IU_WS_CONTROL_MAX, piece->bytes + (piece->len >= 2 ? 2 : 0), piece->len >= 2 ? piece->len - 2 : 0);
    if (code == 0) iu__fail(&err, IU_E_CONNECTION, "the server closed the connection");
    else iu__fail(&err, IU_E_CONNECTION, "the server closed the connection: %u%s%s", code, *reason != '\0' ? " " : "", reason);
    /* The answer a polite peer waits for; behind unsent messages it would come too late. */
    if (iu__ws_queued(ws) == 0 && queue_frame(ws, IU_WS_CLOSE, piece->bytes, piece->len < 2 ? 0 : 2, NULL) == IU_OK) flush(ws);
  }
  ws_finish(ws, &err, code);
}

/* ---- receiving ---- */

static void deliver(iu_ws *ws, const uint8_t *bytes, size_t len, bool text) {
  if (ws->config.on_message != NULL) ws->config.on_message(ws->config.ud, ws, bytes, len, text);
}

bool iu__ws_take_message(iu_ws *ws, const uint8_t *bytes, iu_buf *out) {
  if (bytes == NULL || bytes != ws->message.data) return false;
  *out = ws->message;
  ws->message = (iu_buf){0};
  return true;
}

static void oversize(iu_ws *ws, const iu__ws_piece *piece) {
  size_t room = ws->message.len < IU_WS_OVERSIZE_HEAD ? IU_WS_OVERSIZE_HEAD - ws->message.len : 0;
  iu__buf_put(&ws->message, piece->bytes, piece->len < room ? piece->len : room);
  if (ws->message.len < IU_WS_OVERSIZE_HEAD && !piece->last && !ws->message.failed) return;
  ws->over = piece->last ? OVER_NO : OVER_SKIP;
  if (ws->config.on_oversize != NULL &&
      ws->config.on_oversize(ws->config.ud, ws, ws->message.data, ws->message.len < IU_WS_OVERSIZE_HEAD ? ws->message.len : IU_WS_OVERSIZE_HEAD, piece->text))
    buffer_emptied(&ws->message);
  else
    ws_fail(ws, IU_E_OVERLOADED, "the server sent a message larger than the limit (max_message)");
}

static void data_came(iu_ws *ws, const iu__ws_piece *piece) {
  uint64_t coming = piece->len + piece->frame_left;
  if (ws->state != OPEN) return;
  if (piece->first) {
    ws->over = OVER_NO;
    ws->parted = 0;
    buffer_emptied(&ws->message);
  }
  if (ws->over == OVER_SKIP) {
    if (piece->last) ws->over = OVER_NO;
    return;
  }
  if (coming > ws->config.max_message || ws->message.len > ws->config.max_message - coming) ws->over = OVER_ASK;
  if (ws->over == OVER_ASK) {
    oversize(ws, piece);
    return;
  }
  if (piece->first && piece->last) { /* whole in what was read: nothing to copy */
    deliver(ws, piece->bytes, piece->len, piece->text);
    return;
  }
  /* A length that was only announced costs no more than this. */
  if (coming > ws->message.cap - ws->message.len) iu__buf_reserve(&ws->message, coming < BUFFER_KEEP ? (size_t)coming : piece->len);
  iu__buf_put(&ws->message, piece->bytes, piece->len);
  if (ws->message.failed) ws_fail(ws, IU_E_NOMEM, "out of memory for a message of the server");
  else if (piece->last) deliver(ws, ws->message.data, ws->message.len, piece->text);
  else if (ws->config.on_part != NULL && ws->message.len - ws->parted >= IU_WS_PART) {
    ws->parted = ws->message.len;
    ws->config.on_part(ws->config.ud, ws, ws->message.data, ws->message.len);
  }
}

static void control_came(iu_ws *ws, const iu__ws_piece *piece) {
  if (piece->opcode == IU_WS_CLOSE) {
    peer_closed(ws, piece);
  } else if (piece->opcode == IU_WS_PING && ws->state == OPEN) {
    if (piece->len != 0) memcpy(ws->pong, piece->bytes, piece->len);
    ws->pong_len = piece->len;
    ws->pong_due = true; /* only the last one is answered when several are waiting */
    iu__job_post_early(ws->loop, &ws->flushing);
  }
}

/* Returns how many bytes it took: fewer than all when it was paused meanwhile. */
static size_t take_bytes(iu_ws *ws, const uint8_t *bytes, size_t len) {
  size_t all = len;
  iu__ws_piece piece;
  iu_error err;
  bool got = true;
  iu__error_clear(&err);
  while (got && !ws->paused && (ws->state == OPEN || ws->state == CLOSING)) {
    if (iu__ws_read(&ws->reader, &bytes, &len, &piece, &got, &err) != IU_OK) {
      ws_finish(ws, &err, 0);
      break;
    }
    if (got && piece.control) control_came(ws, &piece);
    else if (got) data_came(ws, &piece);
  }
  return all - len;
}

static void on_bytes(void *ud, const uint8_t *bytes, size_t len) {
  iu_ws *ws = ud;
  size_t taken;
  ws->depth++;
  ws->heard_ns = iu__clock_mono_ns();
  if (ws->state == REFUSED) {
    size_t room = IU_WS_REFUSAL_MAX - ws->refusal.len;
    iu__buf_put(&ws->refusal, bytes, len < room ? len : room);
    if (len >= room) refused(ws);
  } else if (ws->state == OPEN || ws->state == CLOSING) {
    /* Held bytes go first; there are some only while paused, and then reading has stopped. */
    taken = ws->held.len == 0 ? take_bytes(ws, bytes, len) : 0;
    if (taken < len && (ws->state == OPEN || ws->state == CLOSING)) iu__buf_put(&ws->held, bytes + taken, len - taken);
    if (ws->held.failed) ws_fail(ws, IU_E_NOMEM, "out of memory for what the server sent");
  }
  ws_leave(ws);
}

static void process_held(iu_ws *ws) {
  iu_buf bytes = ws->held;
  size_t taken;
  ws->held = (iu_buf){0};
  taken = take_bytes(ws, bytes.data, bytes.len);
  if (ws->state == OPEN || ws->state == CLOSING) {
    if (taken < bytes.len) {
      memmove(bytes.data, bytes.data + taken, bytes.len - taken);
      bytes.len -= taken;
      ws->held = bytes;
      return;
    }
    if (!ws->paused) iu__link_pause(ws->link, false);
  }
  iu__buf_free(&bytes);
}

void iu__ws_pause(iu_ws *ws, bool paused) {
  if (ws->state == DONE || ws->state == CLOSING || ws->paused == paused) return;
  ws->paused = paused;
  if (paused) {
    if (ws->link != NULL) iu__link_pause(ws->link, true);
    return;
  }
  ws->heard_ns = iu__clock_mono_ns();
  iu__job_post(ws->loop, &ws->job);
}

/* ---- watching ---- */

/* While the program did not turn the loop nobody listened, and no pings went out: that time does not count. */
static void skip_deaf_time(iu_ws *ws, uint64_t now) {
  uint64_t since = now - ws->ticked_ns;
  ws->ticked_ns = now;
  if (since <= 2 * ws->tick_ns) return;
  ws->heard_ns += since - ws->tick_ns;
  if (ws->heard_ns > now) ws->heard_ns = now;
}

static void on_tick(void *ud) {
  iu_ws *ws = ud;
  uint64_t now = iu__clock_mono_ns(), quiet_ms;
  char text[96];
  skip_deaf_time(ws, now);
  if (ws->paused || ws->state != OPEN) return;
  quiet_ms = (now - ws->heard_ns) / 1000000u;
  ws->depth++;
  if (ws->config.idle_timeout_ms != 0 && quiet_ms >= ws->config.idle_timeout_ms) {
    snprintf(text, sizeof text, "nothing was heard from the server for %llu ms", (unsigned long long)quiet_ms);
    ws_fail(ws, IU_E_TIMEOUT, text);
  } else if (ws->config.ping_interval_ms != 0 && quiet_ms >= ws->config.ping_interval_ms &&
             (now - ws->pinged_ns) / 1000000u >= ws->config.ping_interval_ms) {
    ws->pinged_ns = now;
    (void)queue_frame(ws, IU_WS_PING, NULL, 0, NULL);
  }
  ws_leave(ws);
}

static iu_status start_watch(iu_ws *ws, iu_error *err) {
  uint64_t shortest = ws->config.idle_timeout_ms, tick;
  if (shortest == 0 || (ws->config.ping_interval_ms != 0 && ws->config.ping_interval_ms < shortest)) shortest = ws->config.ping_interval_ms;
  if (shortest == 0) return IU_OK;
  tick = shortest / 4;
  if (tick > TICK_MAX_MS) tick = TICK_MAX_MS;
  if (tick == 0) tick = 1;
  ws->heard_ns = ws->pinged_ns = ws->ticked_ns = iu__clock_mono_ns();
  ws->tick_ns = tick * 1000000u;
  return iu__timer_start(ws->loop, tick, tick, on_tick, ws, &ws->tick, err);
}

/* ---- the upgrade ---- */

static bool list_has(const char *list, const char *word) {
  size_t len = strlen(word);
  while (*list != '\0') {
    list += strspn(list, ", \t");
    if (strncasecmp(list, word, len) == 0 && strchr(", \t", list[len]) != NULL) return true;
    list += strcspn(list, ",");
  }
  return false;
}

/* NULL: all is well. */
static const char *wrong_upgrade(iu_ws *ws, char *protocol, size_t cap) {
  char text[128];
  if (!iu__link_header(ws->link, "upgrade:", text, sizeof text) || strcasecmp(text, "websocket") != 0) return "no \"Upgrade: websocket\"";
  if (!iu__link_header(ws->link, "connection:", text, sizeof text) || !list_has(text, "upgrade")) return "no \"Connection: upgrade\"";
  if (!iu__link_header(ws->link, "sec-websocket-accept:", text, sizeof text) || strcmp(text, ws->accept) != 0) return "a wrong Sec-WebSocket-Accept";
  if (iu__link_header(ws->link, "sec-websocket-extensions:", text, sizeof text)) return "an extension that was not offered";
  if (!iu__link_header(ws->link, "sec-websocket-protocol:", protocol, cap)) return ws->protocol_count == 0 ? NULL : "no subprotocol";
  for (uint32_t i = 0; i < ws->protocol_count; i++) {
    if (strcmp(ws->protocols[i], protocol) == 0) return NULL;
  }
  return "a subprotocol that was not offered";
}

static void opened(iu_ws *ws) {
  char protocol[128], text[160];
  const char *wrong = wrong_upgrade(ws, protocol, sizeof protocol);
  iu_error err;
  if (wrong != NULL) {
    snprintf(text, sizeof text, "the server's answer to the WebSocket upgrade has %s", wrong);
    ws_fail(ws, IU_E_CONNECTION, text);
    return;
  }
  ws->state = OPEN;
  iu__error_clear(&err);
  if (start_watch(ws, &err) != IU_OK) {
    ws_finish(ws, &err, 0);
    return;
  }
  ws->in_head = true;
  if (ws->config.on_open != NULL) ws->config.on_open(ws->config.ud, ws, protocol);
  ws->in_head = false;
}

static void on_head(void *ud, int status) {
  iu_ws *ws = ud;
  ws->depth++;
  if (status == 101) {
    opened(ws);
  } else {
    ws->http_status = status;
    ws->state = REFUSED;
    if (ws->paused) iu__link_pause(ws->link, false);
    start_limit(ws);
  }
  ws_leave(ws);
}

bool iu__ws_response_header(iu_ws *ws, const char *name, char *out, size_t cap) {
  *out = '\0';
  return ws->in_head && ws->link != NULL && iu__link_header(ws->link, name, out, cap);
}

static void refused(iu_ws *ws) {
  char body[4 * IU_WS_REFUSAL_MAX + 4];
  iu_error err;
  iu_status status = ws->http_status == 401 || ws->http_status == 403 ? IU_E_AUTHORIZATION : IU_E_CONNECTION;
  while (ws->refusal.len != 0 && strchr(" \r\n\t", ws->refusal.data[ws->refusal.len - 1]) != NULL) ws->refusal.len--;
  iu__printable(body, IU_WS_REFUSAL_MAX, ws->refusal.data, ws->refusal.len);
  iu__error_clear(&err);
  iu__fail(&err, status, "the server refused the WebSocket upgrade: HTTP %d%s%s", ws->http_status, *body != '\0' ? ": " : "", body);
  ws_finish(ws, &err, 0);
}

static void on_end(void *ud, const iu_error *err) {
  iu_ws *ws = ud;
  ws->depth++;
  if (ws->state == REFUSED) refused(ws);
  else if (ws->state == CLOSING) ws_fail(ws, IU_E_CLOSED, "closed by this side");
  else if (ws->state == OPEN) ws_fail(ws, IU_E_CONNECTION, "the connection was cut without a close frame");
  else if (err != NULL) ws_finish(ws, err, 0);
  else ws_fail(ws, IU_E_CONNECTION, "the connection ended during the WebSocket upgrade");
  ws_leave(ws);
}

/* ---- connecting ---- */

static void encode_accept(const char *key, char out[32]) {
  static const char salt[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  unsigned char digest[EVP_MAX_MD_SIZE];
  char text[24 + sizeof salt];
  int len = snprintf(text, sizeof text, "%s%s", key, salt);
  EVP_Digest(text, (size_t)len, digest, NULL, EVP_sha1(), NULL);
  EVP_EncodeBlock((unsigned char *)out, digest, 20);
}

static iu_status copy_protocols(iu_ws *ws, const iu_ws_config *config, iu_error *err) {
  if (config->protocol_count > IU_WS_PROTOCOLS_MAX) return iu__fail(err, IU_E_VALIDATION, "more than %u subprotocols are offered", IU_WS_PROTOCOLS_MAX);
  for (uint32_t i = 0; i < config->protocol_count; i++) {
    ws->protocols[i] = iu__strndup(config->protocols[i], strlen(config->protocols[i]));
    if (ws->protocols[i] == NULL) return iu__fail_nomem(err);
    ws->protocol_count++;
  }
  return IU_OK;
}

static iu_status upgrade_headers(iu_ws *ws, const iu_ws_config *config, iu_buf *out, iu_error *err) {
  uint8_t nonce[16];
  char key[32], list[512] = "";
  size_t at = 0;
  iu_header own[5] = {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}, {"Sec-WebSocket-Version", "13"}, {"Sec-WebSocket-Key", key},
                      {"Sec-WebSocket-Protocol", list}};
  iu_status status = iu__random(nonce, sizeof nonce, err);
  if (status != IU_OK) return status;
  EVP_EncodeBlock((unsigned char *)key, nonce, sizeof nonce);
  encode_accept(key, ws->accept);
  for (uint32_t i = 0; i < ws->protocol_count; i++) {
    int n = snprintf(list + at, sizeof list - at, "%s%s", i != 0 ? ", " : "", ws->protocols[i]);
    if (n < 0 || (size_t)n >= sizeof list - at) return iu__fail(err, IU_E_VALIDATION, "the names of the subprotocols are too long");
    at += (size_t)n;
  }
  status = iu__link_headers(out, own, ws->protocol_count != 0 ? 5 : 4, err);
  if (status == IU_OK) status = iu__link_headers(out, config->headers, config->header_count, err);
  iu__buf_put_u8(out, '\0');
  return status == IU_OK ? iu__buf_status(out, err, "request headers") : status;
}

static iu_status ws_open_link(iu_ws *ws, const iu_ws_config *config, iu_error *err) {
  iu__link_config link = {.method = "GET", .keep_connection = true, .tls = &config->tls, .head_timeout_ms = ws->config.connect_timeout_ms,
                          .owner = {ws, on_head, on_bytes, on_writable, on_end}};
  iu__url url;
  iu_buf headers = {0};
  iu_status status = iu__url_parse(config->url, &url, err);
  if (status == IU_OK && !url.websocket) status = iu__fail(err, IU_E_VALIDATION, "url: a WebSocket's starts with ws:// or wss://");
  if (status == IU_OK) status = copy_protocols(ws, config, err);
  if (status == IU_OK) status = upgrade_headers(ws, config, &headers, err);
  link.url = &url;
  link.headers = (const char *)headers.data;
  if (status == IU_OK) status = iu__link_open(ws->loop, &link, &ws->link, err);
  iu__buf_free(&headers);
  return status;
}

iu_status iu__ws_connect(iu_loop *loop, const iu_ws_config *config, iu_ws **out, iu_error *err) {
  iu_ws *ws = iu__alloc_zero(1, sizeof *ws);
  iu_status status;
  *out = NULL;
  if (ws == NULL) return iu__fail_nomem(err);
  ws->loop = loop;
  ws->config = *config;
  ws->config.url = NULL;
  ws->config.protocols = NULL;
  ws->config.headers = NULL;
  if (ws->config.connect_timeout_ms == 0) ws->config.connect_timeout_ms = IU_WS_CONNECT_TIMEOUT_MS;
  if (ws->config.max_message == 0) ws->config.max_message = IU_WS_MESSAGE_MAX;
  if (ws->config.max_queued == 0) ws->config.max_queued = IU_WS_QUEUED_MAX;
  ws->mask_next = MASKS;
  ws->job.fn = on_job;
  ws->job.ud = ws;
  ws->flushing.fn = on_flushing;
  ws->flushing.ud = ws;
  status = ws_open_link(ws, config, err);
  if (status != IU_OK) {
    ws_free(ws);
    return status;
  }
  *out = ws;
  return IU_OK;
}
