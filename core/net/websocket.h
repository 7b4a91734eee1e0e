/* websocket.h: a WebSocket client on an iu_loop (libwebsockets with its libuv plug-in; TLS by OpenSSL).
 *
 * Everything happens on the loop's thread. Names are resolved with uv_getaddrinfo, so nothing blocks. A socket delivers whole messages,
 * reassembled from fragments, each at most max_message bytes (a larger one closes the socket with IU_E_OVERLOADED unless on_oversize says to
 * skip it). Callbacks may close and release the socket; none is called inside the functions below. After on_closed nothing follows.
 *
 * Why a socket closed, in on_closed: IU_E_CLOSED for one's own iu__ws_close, IU_E_TIMEOUT, IU_E_OVERLOADED, IU_E_AUTHORIZATION for an upgrade
 * refused with 401 or 403, IU_E_NOMEM, and IU_E_CONNECTION for all else; the message says it in words.
 *
 * Backpressure: queued outgoing bytes are capped (send answers IU_E_OVERLOADED past the cap); iu__ws_pause stops reading until resumed.
 */
#ifndef IU_NET_WEBSOCKET_H
#define IU_NET_WEBSOCKET_H

#include "../base/buffer.h"
#include "loop.h"

typedef struct iu_ws iu_ws;
typedef struct iu_header { const char *name, *value; } iu_header;

typedef struct iu_tls {
  const char *ca_file;        /* NULL: the system's */
  bool insecure;              /* accepts any certificate: for tests on loopback */
} iu_tls;

typedef struct iu_ws_config {
  const char *url;            /* ws:// or wss://; path and query included */
  const char *const *protocols; uint32_t protocol_count;   /* offered, best first */
  const iu_header *headers; uint32_t header_count;
  iu_tls tls;
  uint64_t connect_timeout_ms;   /* default 10000: resolve, TCP, TLS and upgrade together */
  uint64_t ping_interval_ms;     /* own pings when nothing was heard; 0: none */
  uint64_t idle_timeout_ms;      /* nothing heard (not one byte) for so long: dead; 0: never. A paused socket is not listening and not dead, nor is one whose loop is not turned */
  size_t max_message;            /* default 32 MiB + 64 KiB of what a peer may send in one message */
  size_t max_queued;             /* default 64 MiB of outgoing bytes */
  void *ud;
  /* Upgrade done. `protocol` is what the server chose; headers of its answer are read with iu__ws_response_header meanwhile. */
  void (*on_open)(void *ud, iu_ws *ws, const char *protocol);
  void (*on_message)(void *ud, iu_ws *ws, const uint8_t *bytes, size_t len, bool text);
  /* NULL, or: of a message that still comes, all that is there, again and again: when at least IU_WS_PART more have come. Nothing may be closed or released. */
  void (*on_part)(void *ud, iu_ws *ws, const uint8_t *bytes, size_t len);
  /* A message is larger than max_message; `head` is how it starts (IU_WS_OVERSIZE_HEAD bytes, fewer when there are no more). true: what is left of
   * it is skipped and the socket stays. NULL: never. */
  bool (*on_oversize)(void *ud, iu_ws *ws, const uint8_t *head, size_t len, bool text);
  /* Once, also when the connect failed. http_status: of a refused upgrade, else 0, and its body (cut) in err->message. close_code: 0 when there was no close frame. */
  void (*on_closed)(void *ud, iu_ws *ws, const iu_error *why, int http_status, uint16_t close_code);
} iu_ws_config;

#define IU_WS_CONNECT_TIMEOUT_MS 10000u
#define IU_WS_MESSAGE_MAX (32u * 1024u * 1024u + 64u * 1024u)
#define IU_WS_QUEUED_MAX (64u * 1024u * 1024u)
#define IU_WS_OVERSIZE_HEAD 4096u
#define IU_WS_PART (64u * 1024u)
#define IU_WS_REFUSAL_MAX 600u        /* of the body of a refused upgrade */
#define IU_WS_CLOSE_TIMEOUT_MS 2000u  /* the close handshake; the body of a refusal */
#define IU_WS_PROTOCOLS_MAX 8u

/* Strings of the config are copied. *out is given: iu__ws_release. A zero of a config field with a default stands for the default. */
iu_status iu__ws_connect(iu_loop *loop, const iu_ws_config *config, iu_ws **out, iu_error *err);
/* The bytes are copied. One message each; text false: binary. */
iu_status iu__ws_send(iu_ws *ws, const void *bytes, size_t len, bool text, iu_error *err);
/* During on_message: the message's bytes, to be freed by the caller with iu__buf_free, where they are a buffer of their own. false: they are to be copied. */
bool iu__ws_take_message(iu_ws *ws, const uint8_t *bytes, iu_buf *out);
size_t iu__ws_queued(const iu_ws *ws);
/* Only in on_open: copies a header of the server's answer (lower case name with its colon, "spacetime-identity:"); false and "" when it is absent
 * or does not fit. */
bool iu__ws_response_header(iu_ws *ws, const char *name, char *out, size_t cap);
void iu__ws_pause(iu_ws *ws, bool paused);
/* Close handshake (bounded by IU_WS_CLOSE_TIMEOUT_MS), then on_closed; messages that still come are dropped. code 1000 to 4999, reason up to
 * 123 bytes (cut) or NULL. Before on_open it ends the attempt. */
void iu__ws_close(iu_ws *ws, uint16_t code, const char *reason);
/* Gives the socket back; when open it is cut without a word and on_closed is not called. NULL is fine. */
void iu__ws_release(iu_ws *ws);

#endif
