/* lws_context.h: the one libwebsockets context of a loop: made on first use, gone with the loop.
 *
 * It sits on the loop's uv loop through the libuv plug-in of libwebsockets. None of its own handles keeps the loop waiting; only sockets do.
 * Making it costs some milliseconds and 0.5 MiB.
 *
 * Two settings of libwebsockets are the process's: its log is switched off, and SIGPIPE becomes ignored unless the host handles it.
 */
#ifndef IU_NET_LWS_CONTEXT_H
#define IU_NET_LWS_CONTEXT_H

#include <libwebsockets.h>

#include "loop_internal.h"
#include "websocket.h"

/* Sockets that may be open at one time on one loop. */
#define IU_NET_SOCKETS_MAX 256u
/* Read from a socket at a time, and written to it. */
#define IU_NET_READ_SIZE (128u * 1024u)
#define IU_NET_WRITE_SIZE (64u * 1024u)
/* All headers of an answer together. */
#define IU_NET_HEADERS_MAX (16u * 1024u)
/* Different CA files on one loop; each is read once. */
#define IU_NET_CA_FILES_MAX 16u

typedef struct iu__net iu__net;

iu_status iu__net_get(iu_loop *loop, iu__net **out, iu_error *err);
/* The place in the context for connections without TLS (tls NULL), or that trust what `tls` says. */
iu_status iu__net_vhost(iu__net *net, const iu_tls *tls, struct lws_vhost **out, iu_error *err);
struct lws_context *iu__net_lws(iu__net *net);
/* Counts a socket in, false when there are too many, and out. */
bool iu__net_enter(iu__net *net);
void iu__net_leave(iu__net *net);
uint8_t *iu__net_read_buffer(iu__net *net);  /* IU_NET_READ_SIZE bytes, of use during one callback only */
uint8_t *iu__net_write_buffer(iu__net *net); /* LWS_PRE + IU_NET_WRITE_SIZE bytes, likewise */
/* libwebsockets 4.1 forgets the poll handle of a socket whose connect failed: closes the one that belonged to `wsi`, which may be freed already. */
void iu__net_sweep(iu__net *net, const void *wsi);
/* The connection callback of all contexts: in link.c. */
int iu__link_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len);

#endif
