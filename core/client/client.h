/* client.h: a connection to a database of a SpacetimeDB server: the other implementation of connection.h.
 *
 * One object for life. iu__client_open returns at once; what happens is told by the listener's `state`. The schema is read over HTTP, then the
 * WebSocket is opened; both again after a loss, with growing delays, until closed or until retrying is hopeless (a refused token, an unknown
 * database, a schema that this program's tables no longer fit): then `closed` tells why and nothing follows. Whether the first
 * connect is retried too is the caller's choice.
 *
 * Calls. Each ends exactly once, with its result, the reducer's refusal, a local error, or IU_E_UNKNOWN_OUTCOME when the connection was lost after it was
 * sent. Nothing is sent twice. While away they are refused (IU_E_CONNECTION) or wait in a bounded queue, as configured.
 *
 * Subscriptions outlive a loss: they are made again, and once all of them have answered the difference is applied as one change; rows that
 * are the same on both sides are not reported.
 *
 * Threads: the loop's. Cost: one copy of each message received; a row is copied once into the replica.
 */
#ifndef IU_CLIENT_CLIENT_H
#define IU_CLIENT_CLIENT_H

#include "../base/log.h"
#include "../connection.h"
#include "../net/http.h"
#include "../net/websocket.h"
#include "../protocol/message.h"

typedef enum iu_client_compression { IU_COMPRESS_NONE, IU_COMPRESS_GZIP, IU_COMPRESS_BROTLI } iu_client_compression;
typedef enum iu_client_away { IU_AWAY_REFUSE, IU_AWAY_QUEUE } iu_client_away;

/* Zeros stand for the defaults in brackets. Texts are copied. */
typedef struct iu_client_config {
  const char *url;                    /* ws://host:port or wss://host:port, without path */
  const char *database;               /* its name or 64-hex identity */
  const char *token;                  /* NULL: from token_file, else anonymous */
  const char *token_file;             /* read at the start; written (mode 0600, by rename) when the server gave a token; NULL: none */
  const char *schema; size_t schema_len;  /* what iu__client_schema_json gave an earlier connection: the tables and reducers are known before the server says
                                           * what they are now. NULL: not known before. Read at once */
  bool has_protocol; iu_protocol protocol;  /* fixed; otherwise v3, v2, v1 are offered */
  iu_client_compression compression;
  bool light;                         /* v1 only */
  int confirmed;                      /* [0]: the server's default; 1 yes, -1 no */
  uint64_t connect_timeout_ms;        /* [10000] schema and upgrade together; then again until the first message */
  uint64_t ping_interval_ms;          /* [10000] */
  uint64_t idle_timeout_ms;           /* [35000] nothing heard for so long: lost */
  bool no_reconnect;                  /* a loss closes */
  bool retry_first;                   /* retries the first connect, too */
  uint32_t attempts_max;              /* [0] without end */
  uint64_t delay_min_ms, delay_max_ms;/* [500, 30000]: doubled each time; half of it is random */
  iu_client_away away;
  uint32_t away_calls_max;            /* [10000] */
  size_t away_bytes_max;              /* [8 MiB] */
  uint32_t in_flight_max;             /* [8192] requests without an answer; more wait in the outgoing queue. A server ends at 16384 */
  size_t outgoing_bytes_max;          /* [64 MiB] of requests that wait; past it IU_E_OVERLOADED */
  size_t incoming_bytes_max;          /* [64 MiB] received and not applied yet: past it the socket is not read */
  size_t message_bytes_max;           /* [64 MiB] of one message, decompressed */
  size_t answer_bytes_max;            /* [32 MiB] of one answer to a one-off query */
  bool is_owner;                      /* unknown to the server's protocol: private tables are asked for only where it is set */
  iu_tls tls;
  iu_loop *loop;                      /* held */
  iu_log log;
} iu_client_config;

#define IU_CLIENT_SUBSCRIPTIONS_MAX 10000
#define IU_CLIENT_ARGS_BYTES_MAX (32u << 20)
#define IU_CLIENT_FLUSHES_MAX 4096u         /* that wait at a time */

iu_status iu__client_open(const iu_client_config *config, iu_connection **out, iu_error *err);

typedef struct iu_client_status {
  const char *url, *database, *protocol;  /* protocol "" while not connected */
  const char *token;                      /* "" where there is none */
  iu_phase phase;
  uint32_t attempt;
  bool confirmed;                         /* answers come after the change is durable, as far as the server says */
  uint64_t connects, calls, unknown, messages, bytes_received, bytes_sent, resyncs;
  uint64_t rows_early;                    /* taken while their message still came */
  uint32_t in_flight, waiting; size_t waiting_bytes, incoming_bytes;
  iu_store_stats store;
} iu_client_status;
void iu__client_get_status(iu_connection *c, iu_client_status *out);
bool iu__is_client(const iu_connection *c);  /* for those who ask for a status */
/* A column list, COUNT(*) or LIMIT over tables that no subscription holds whole: the WebSocket has no such queries, the server's SQL over HTTP has. */
bool iu__client_query_is_sql(iu_connection *c, const char *sql, size_t len);

/* The server's answer that the schema was made of; NULL: there was none yet. Borrowed until the next turn of the loop. */
const char *iu__client_schema_json(iu_connection *c, size_t *len);

/* token.c: the file that a token is kept in. *out is given (iu__free); NULL: there is no such file, or it is empty. */
iu_status iu__token_read(const char *path, char **out, iu_error *err);
iu_status iu__token_write(const char *path, const char *token, iu_error *err);

#endif
