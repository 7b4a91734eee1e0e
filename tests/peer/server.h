/* server.h: what the files of this folder share.
 *
 *   main.c          arguments, the loop, the end
 *   link.c          TCP: accepting, reading, writing under faults, closing
 *   http.c          one request after another on a link; the routes of the sheet's section 7, and /peer/
 *   definition.c    a definition of version 9 as one of version 10
 *   websocket.c     the upgrade, frames both ways, compression, packing, pings
 *   session.c       client messages to answers, in order
 *   subscription.c  query sets of a link and what a commit changes in them
 *   database.c      engines by name; calls, and what they changed
 *   fault.c         what goes wrong on purpose
 *   encode.c, decode.c, compress.c   bytes
 *
 * Ownership: the server owns links and databases; a link owns its engine session and query sets. All on one loop and one thread: a request
 * is answered before the next is looked at, so the order of answers is the order of commits. A want of memory ends the program: it is a test's.
 */
#ifndef IU_TESTS_PEER_SERVER_H
#define IU_TESTS_PEER_SERVER_H

#include <uv.h>

#include "../../core/engine/engine.h"
#include "../../core/query/query.h"
#include "decode.h"
#include "encode.h"

typedef struct peer_server peer_server;
typedef struct peer_link peer_link;
typedef struct peer_database peer_database;

#define PEER_BODY_MAX ((size_t)64 << 20)
#define PEER_MESSAGE_MAX ((size_t)32 << 20)   /* incoming, put together */
#define PEER_QUEUE_MAX 16384                  /* messages, in and out */
#define PEER_FRAGMENT 4096
#define PEER_PACK_MAX ((size_t)512 << 10)     /* v3: plain bytes of one payload, unless one message alone is larger */
#define PEER_COMPRESS_ABOVE 1024

/* Which server it plays. */
typedef enum peer_as { PEER_1_2_0, PEER_2_8_3 } peer_as;

/* ---- fault.c ---- */
typedef struct peer_fault {
  int64_t cut_after, cut_in_after;   /* bytes of WebSocket links (from the upgrade's answer on) until one is cut; -1: never */
  int64_t cut_http_after;            /* the same of answers over HTTP */
  uint32_t write_size;               /* bytes of one write; 0: all */
  uint32_t fragment;                 /* payload bytes of a frame; 0: no fragments */
  int64_t drop_before, drop_after;   /* the link is cut at the call so many calls away, before or after it is applied; -1: never */
  uint32_t drop_before_permille, drop_after_permille;
  int64_t answer_bytes;              /* the next one-off query is answered by an error of so many bytes; -1 */
  uint32_t schema_delay_ms, upgrade_delay_ms;
  bool extra_schema;                 /* a table and a reducer more than the engine has */
  bool event_table;                  /* that table is an event table, where the schema can say so */
  bool views;                        /* the schema tells of PEER_VIEW */
  bool refuse_token, refuse_connect, hide_databases;
  bool hold;                         /* messages are read and queued, not answered */
  uint32_t clock_ahead_s;            /* the databases' time is so much later than it is */
  int http_status; char http_body[8192]; /* the answer to the next request over HTTP, whatever it is; 0: its own */
} peer_fault;
void peer__fault_init(peer_fault *f);
/* What POST /peer/fault asks for, as JSON. Lasting settings first, then what happens at once. */
iu_status peer__fault_apply(peer_server *s, const void *json, size_t len, iu_error *err);
/* 0 to below - 1, from the server's seed. */
uint32_t peer__chance(peer_server *s, uint32_t below);
/* At a call: whether the link is to be cut, before or after it is applied. */
typedef enum peer_drop { PEER_DROP_NOT, PEER_DROP_BEFORE, PEER_DROP_AFTER } peer_drop;
peer_drop peer__fault_at_call(peer_server *s);

/* ---- the server ---- */
struct peer_server {
  uv_loop_t uv;
  iu_loop *loop;
  uv_tcp_t listener; bool listening;
  uv_prepare_t prepare;             /* before the loop sleeps: what was queued is written */
  uv_timer_t again;                 /* after a restart */
  int port;
  peer_as as;
  iu_protocol newest;               /* that it speaks */
  uint32_t ping_ms, idle_ms;
  uint64_t random;
  peer_fault fault;
  peer_database *databases;
  peer_link *links;
  uint64_t calls, upgrades, bytes_out, bytes_in;  /* for GET /peer/status */
};

/* ---- database.c ---- */
typedef struct peer_change { uint32_t table; iu_slice old_row, new_row; } peer_change; /* p NULL: none */

/* The last transaction: what it changed and who called it. Good until the next one. */
typedef struct peer_commit {
  peer_change *changes; uint32_t count, cap;
  iu_arena bytes;
  uint8_t caller[32], connection_id[16];
  int64_t timestamp;
  const char *reducer; uint32_t reducer_id;
  iu_slice args;
} peer_commit;

struct peer_database {
  peer_database *next;
  peer_server *server;
  char *name;
  iu_connection *engine;            /* the owner's own session: it watches every table */
  uint8_t identity[32];
  peer_commit commit;
};

typedef enum peer_ran { PEER_RAN_COMMITTED, PEER_RAN_FAILED /* the reducer said no */, PEER_RAN_TRAPPED, PEER_RAN_UNKNOWN, PEER_RAN_BAD_ARGS } peer_ran;
typedef struct peer_result { peer_ran ran; uint32_t reducer_id; int64_t timestamp; size_t args_len; iu_buf text; } peer_result;

iu_status peer__database_open(peer_server *s, const char *name, const uint8_t owner[32], peer_database **out, iu_error *err);
peer_database *peer__database_find(peer_server *s, const char *name, size_t len); /* by name or identity; NULL */
void peer__database_close(peer_database *db);
/* A session greets the module; what that changed is sent to the others. */
iu_status peer__database_join(peer_database *db, const uint8_t identity[32], iu_connection **out, iu_error *err);
void peer__database_leave(peer_database *db, iu_connection *session);
/* Whether the call would run at all; if not, result says why. result->text is to be freed. */
bool peer__database_check(peer_database *db, iu_slice name, iu_slice args, peer_result *result);
/* Runs a reducer; db->commit has what it changed. result->text is to be freed. */
void peer__database_call(peer_database *db, iu_connection *session, iu_slice name, iu_slice args, peer_result *result);
/* The link of the caller gets nothing here. request: the caller's. */
void peer__broadcast(peer_database *db, const peer_link *caller, uint32_t request);

/* ---- subscription.c ---- */
/* A view that can always be asked for: the entities of one type. In `query` it is the table below it. */
#define PEER_VIEW "peer_people"
#define PEER_VIEW_TYPE "Person"
typedef struct peer_query {
  struct peer_query *next;
  uint32_t set, refs;
  bool legacy, view;
  char *text;
  iu_query *query;
  peer_rows now, before; /* of a join: its result, sorted, and that before the last commit; owned */
} peer_query;
typedef struct peer_set { struct peer_set *next; uint32_t id; bool legacy; peer_query **queries; uint32_t count; } peer_set;
typedef struct peer_parts { peer_part *parts; uint32_t count, cap; } peer_parts;

void peer__subscribe(peer_link *l, const peer_request *request);
void peer__unsubscribe(peer_link *l, const peer_request *request);
void peer__one_off(peer_link *l, const peer_request *request);
/* What db->commit changed for the link's queries. Free with peer__parts_free. */
void peer__parts_of_commit(peer_link *l, peer_parts *out);
void peer__parts_free(peer_parts *parts);
/* join.c: the result of a join is kept, and compared with what it is after each commit. The rows given are good until the next call for the query. */
void peer__join_keep(peer_query *q, iu_store *store);
void peer__join_changes(peer_query *q, iu_store *store, peer_rows *inserts, peer_rows *deletes);
void peer__join_free(peer_query *q);
/* The engine's refusal of a query, with the server's words where clients look at them. */
void peer__put_query_error(const peer_server *s, const iu_error *err, iu_buf *out);
/* A running set fails: the link is told; v1 loses all. */
void peer__fail_set(peer_link *l, uint32_t set);
void peer__drop_sets(peer_link *l);

/* ---- link.c ---- */
struct peer_link {
  uv_tcp_t tcp;
  peer_server *server;
  peer_link *next;
  bool closing, stalled;
  bool admin;                       /* no fault touches it */
  bool finish;                      /* closed when all is written */
  iu_buf in;                        /* what has not been understood yet */
  iu_buf out;                       /* what has not been handed to the kernel */
  uint32_t out_messages, writing_messages;
  bool writing;
  uv_timer_t timer;                 /* end of a stall, or of waiting for the other's close frame */
  uint32_t handles;                 /* not closed yet */
  uint64_t heard_at;                /* loop time of the last byte read */

  /* websocket.c; from the upgrade on */
  bool websocket, close_sent, dead; /* dead: idle for too long; nothing is delivered any more */
  iu_protocol protocol;
  char compression;                 /* 'n', 'g', 'b' */
  bool light;
  iu_buf message; uint8_t opcode;   /* of the fragments so far; 0: none */
  iu_buf queued; uint32_t queued_count; /* whole messages not looked at yet: u32 length, u8 opcode, bytes */
  iu_buf pack;                      /* v3: plain messages that wait for each other */
  uv_timer_t ping; bool ponged;

  /* session.c */
  peer_database *db;
  iu_connection *session;
  peer_set *sets;                   /* ascending by id */
  peer_query *queries;              /* ascending by set, then table */
};

void peer__listen(peer_server *s);   /* ends the program when it cannot */
/* Queues bytes; they leave before the loop sleeps. messages: how many they complete. */
void peer__link_put(peer_link *l, const void *bytes, size_t len, uint32_t messages);
/* The connection ends now, whatever waits is lost; the session says goodbye. Idempotent; the link lives until the loop's next turn. */
void peer__link_cut(peer_link *l);
/* The session ends, the connection stays. */
void peer__link_leave(peer_link *l);
/* The connection ends when all is written. */
void peer__link_finish(peer_link *l);
/* Nothing is read or written for ms; < 0: for ever. */
void peer__link_stall(peer_link *l, int64_t ms);
/* Cuts by the byte: how many of len bytes still pass one of the settings; the rest never does. */
size_t peer__fault_pass(int64_t *left, size_t len);
void peer__close_all(peer_server *s);   /* for the end of the program */
/* All connections end, the port is deaf for ms, the data stay. */
void peer__restart(peer_server *s, uint32_t ms);

/* ---- definition.c ---- */
void peer__definition_v10(const iu_buf *v9, iu_buf *out); /* appended; SATS-JSON both */

/* ---- http.c ---- */
/* Eats whole requests from l->in. */
void peer__http_read(peer_link *l);
typedef struct peer_http {
  iu_slice method, path, query;     /* path without the query */
  iu_slice head;                    /* all header lines */
  iu_slice body;
} peer_http;
/* A header's value, trimmed; false: absent. */
bool peer__http_header(const peer_http *h, const char *name, iu_slice *out);
/* A parameter of the query, decoded, in out; false: absent or too long. */
bool peer__http_param(const peer_http *h, const char *name, char *out, size_t cap);
void peer__http_answer(peer_link *l, int status, const char *type, const char *more_headers, const void *body, size_t len);
/* Who asks: from the token, or new. false: answered with 400 or 401. */
bool peer__http_identity(peer_link *l, const peer_http *h, uint8_t identity[32], char token[160], bool *given);
void peer__hex_reversed(char *out, const uint8_t *bytes, size_t len);

/* ---- websocket.c ---- */
void peer__websocket_upgrade(peer_link *l, const peer_http *h, peer_database *db);
void peer__websocket_read(peer_link *l);
void peer__websocket_work(peer_link *l);   /* answers queued messages unless they are held */
void peer__websocket_send(peer_link *l, const peer_message *m);
void peer__websocket_send_payload(peer_link *l, const void *payload, size_t len); /* compression byte included */
void peer__websocket_frame(peer_link *l, uint8_t opcode, const void *bytes, size_t len);
void peer__websocket_close(peer_link *l, uint16_t code, const char *reason);
void peer__websocket_flush(peer_link *l);  /* v3: what is packed */

/* ---- session.c ---- */
/* v1: a call that will not run is rejected at once, before what came earlier is answered. true: that was done. */
bool peer__session_overtake(peer_link *l, const uint8_t *bytes, size_t len);
/* One whole payload from the client. */
void peer__session_message(peer_link *l, const uint8_t *bytes, size_t len, bool text);

/* ---- compress.c ---- */
void peer__compress(char how /* 'g' or 'b' */, const void *bytes, size_t len, iu_buf *out);
/* One byte repeated, len times, and a head in front. */
void peer__bomb(char how, const iu_buf *head, size_t len, iu_buf *out);

#endif
