/* target.h: what a universe is opened by: `memory:`, a path or `file:path`, `ws://host:port/database` or wss://. For every border. */
#ifndef IU_HOST_TARGET_H
#define IU_HOST_TARGET_H

#include "../base/buffer.h"

typedef enum iu_target_kind { IU_TARGET_MEMORY, IU_TARGET_FILE, IU_TARGET_SERVER } iu_target_kind;
typedef struct iu_target {
  iu_target_kind kind;
  bool tls;
  uint16_t port;
  iu_buf path;                    /* file; terminated, the terminator not counted */
  iu_buf host, database;          /* server; likewise; an IPv6 address with its brackets */
} iu_target;

/* IU_E_VALIDATION says what is wrong with it. Free it in either case. */
iu_status iu__target_parse(const char *text, size_t len, iu_target *out, iu_error *err);
void iu__target_free(iu_target *t);
/* "host[:port]", an IPv6 address in brackets: how long the host is, and the port (standard: where none is given). NULL, or what is wrong. */
const char *iu__authority_parse(const char *text, size_t len, uint16_t standard, size_t *host_len, uint16_t *port);
/* "ws://host:port" of a server, terminated. */
void iu__target_url(const iu_target *t, iu_buf *out);
/* The token file that "auto" means: one for each server and database, below the user's state folder, terminated; empty where the user has none. */
void iu__token_file_path(const char *host, uint16_t port, const char *database, iu_buf *out);

#endif
