/* internal.h: what the files of the client share (the replica keeps to itself: replica_internal.h).
 *
 *   client.c          opening, the seam's methods that need no server, closing, releasing
 *   world.c           schemas and what is held of each; moving from one to the next
 *   link.c            schema over HTTP, the WebSocket, losing it, trying again
 *   inbox.c           what was received or happened and was not told yet
 *   early.c           the rows of an answer that still comes
 *   pump.c            one thing after the other from the inbox: applied, told, answered
 *   message.c         what a message means: whose answer it is, what its rows are for
 *   request.c         what is sent: waiting, in flight, matched with answers, ended
 *   call.c            calls, procedures, flushes
 *   subscribe.c       subscriptions
 *   read.c            one-off queries and selections
 *   narrow.c          a selection's filters as the WHERE clauses of one-off queries
 *   token.c           the token's file
 *
 * Rule of delivery: the listener is called in two places only, by the pump (never nested: base.delivering) and by closing. Everything that happens
 * elsewhere (sockets, timers, HTTP) leaves a note in the inbox and posts the pump's job.
 *
 * Ownership: the client is counted (its owner, the pump while it runs, rows that were given out and need its schema). A request belongs to one
 * list at a time: waiting, in flight, or ended.
 */
#ifndef IU_CLIENT_INTERNAL_H
#define IU_CLIENT_INTERNAL_H

#include "client.h"
#include "replica.h"

typedef struct iu_client iu_client;

/* ---- worlds ---- */
typedef struct iu_world {
  struct iu_world *next;          /* older ones */
  uint32_t refs, readers;         /* the client and row sets; row sets alone */
  iu_schema *schema;
  iu_replica *replica;            /* NULL once retired and not read any more */
  bool retired;
} iu_world;

/* ---- inbox ---- */
typedef enum iu_in_kind { IU_IN_MESSAGE, IU_IN_NOTE } iu_in_kind;
typedef struct iu_in { struct iu_in *next; iu_in_kind kind; size_t len; const uint8_t *bytes; iu_buf taken; uint8_t copied[]; } iu_in;
/* What is no message: there is one of each in the client, so that telling it never needs memory. */
typedef enum iu_note_kind { IU_NOTE_CONNECTING, IU_NOTE_SCHEMA, IU_NOTE_LOST, IU_NOTE_COUNT } iu_note_kind;
typedef struct iu_note { iu_in in; bool queued; } iu_note;

/* The message that comes, or has just come, whose rows are taken early (early.c). */
typedef struct iu_early {
  iu_coming coming;
  uint32_t row, table;            /* of the list at hand: rows taken, its table */
  iu_replica *replica;            /* NULL: none were taken */
  bool stopped;                   /* no more of it */
  const iu_in *item;              /* once it is whole */
} iu_early;

/* ---- requests ---- */
typedef enum iu_request_kind { IU_R_CALL, IU_R_PROCEDURE, IU_R_ONE_OFF, IU_R_SUBSCRIBE, IU_R_UNSUBSCRIBE } iu_request_kind;
typedef struct iu_sub iu_sub;
typedef struct iu_read iu_read;
typedef struct iu_request {
  struct iu_request *prev, *next; /* of its list, in order of `sequence` */
  struct iu_request *chain;       /* in flight: of its id's bucket */
  iu_request_kind kind;
  bool forgotten;
  uint32_t id;                    /* on the wire, when in flight */
  uint64_t pending;               /* 0: nobody waits (subscriptions) */
  uint64_t sequence;
  const iu_reducer_def *reducer;
  const iu_procedure_def *procedure;
  iu_sub *sub;
  iu_read *read;
  iu_status end;                  /* ended: how, and in what words */
  char *end_text;
  size_t len;
  uint8_t bytes[];                /* arguments or SQL */
} iu_request;
typedef struct iu_requests { iu_request *first, *last; uint32_t count; size_t bytes; } iu_requests;
#define IU_CLIENT_BUCKETS 1024u

typedef struct iu_flush_wait { struct iu_flush_wait *next; uint64_t pending, after; iu_status lost; /* it ends so with the loss at hand */ } iu_flush_wait;

/* ---- subscriptions ---- */
typedef enum iu_sub_state { IU_SUB_WAITS, IU_SUB_SENT, IU_SUB_ACTIVE } iu_sub_state;
struct iu_sub {
  iu_sub *prev, *next;
  uint64_t id;
  uint32_t set;                   /* its number on the wire, of the last time it was sent */
  iu_sub_state state;
  bool told;                      /* the listener knows that it was applied */
  bool ending;                    /* the program gave it up */
  bool over;                      /* the listener heard its end */
  bool restoring;                 /* sent again after a loss and not answered yet */
  bool listed;                    /* in the client's list */
  uint32_t requests;              /* that name it */
  uint32_t *whole; uint32_t whole_count; /* tables of the present world that it holds whole, while active */
  uint32_t count;
  iu_slice queries[];             /* their bytes follow */
};

/* ---- the thing at hand ---- */
typedef enum iu_stage { IU_ST_IDLE, IU_ST_NEXT, IU_ST_APPLY, IU_ST_EVENTS, IU_ST_CHANGES, IU_ST_FINISH, IU_ST_END, IU_ST_GIVE_BACK } iu_stage;
typedef struct iu_work {
  iu_stage stage;
  iu_in *item;                    /* owns the payload's bytes */
  bool payload_open;
  iu_payload payload;
  iu_message m;
  bool has_message;               /* m is the reason; else the adoption of a fresh replica */
  iu_replica *target;             /* NULL: nothing to apply */
  bool quiet;                     /* into the fresh replica: nothing is told */
  bool stripped;                  /* rows of tables that the schema does not have were left out */
  iu_request *request;            /* matched, taken out of flight */
  iu_sub *lost_sub;               /* a set that the server dropped by itself */
  iu_event event;
  uint32_t at;
} iu_work;

struct iu_client {
  iu_connection base;
  iu_client_config config;        /* texts are owned */
  uint32_t refs;
  bool ended;                     /* everything pending was answered */
  /* what was told */
  iu_phase phase;
  bool ever;                      /* connected once */
  bool online;                    /* the first message was told and no loss since */
  /* worlds; the first is the present one */
  iu_world *worlds;
  char *schema_json; size_t schema_len; /* what the present one was made of; NULL: none yet */
  /* link */
  uint32_t attempt;
  uint64_t attempt_started;
  iu_http *http;
  bool owner_known; uint8_t owner[32]; /* of the database */
  bool schema_v9;                 /* the server has no definitions of version 10 */
  bool http_refresh;              /* the request at hand only looks whether the schema changed */
  iu_ws *ws;
  bool open;
  bool heard;                     /* a message came since the upgrade */
  iu_timer *timer;                /* of the next attempt */
  iu_timer *late;                 /* since the upgrade, until the first message */
  iu_protocol protocol;
  char *token;
  bool token_unsaved;             /* the server made it: to be written once it was used */
  /* notes of the link, told by the pump */
  iu_note notes[IU_NOTE_COUNT];
  iu_error lost_why; uint16_t lost_code; bool lost_final;
  iu_status schema_status; iu_error schema_why; iu_schema *schema_new; char *schema_new_json; size_t schema_new_len;
  bool schema_doubted;            /* a refusal asked for one more look at the schema, since the last change */
  uint64_t refresh_pending[16]; uint32_t refresh_count;
  /* inbox */
  iu_in *first, *last;
  size_t in_bytes;
  bool paused;
  iu_job job;
  iu_job sending;                 /* v3: before the poll */
  iu_work work;
  iu_early early;
  iu_replica *fresh;              /* after a loss: what the subscriptions made again have brought so far */
  uint32_t restoring;             /* of them, not answered yet */
  bool resync;
  uint64_t transactions;
  /* requests */
  iu_requests waiting, flying, done;
  iu_request *buckets[IU_CLIENT_BUCKETS];
  uint32_t next_request, next_set;
  uint64_t next_pending, next_sequence;
  iu_flush_wait *flushes;
  /* subscriptions */
  iu_sub *subs; uint32_t sub_count;
  uint64_t next_sub;
  uint32_t *whole;                /* per table of the present world: subscriptions that hold it whole */
  iu_client_status counts;        /* only the counters are used */
};

static inline iu_client *iu__client_of(iu_connection *c) { return (iu_client *)c; } /* base is the first member */

/* client.c */
void iu__client_retain(iu_client *c);
void iu__client_unref(iu_client *c);
iu_status iu__client_check_open(const iu_client *c, iu_error *err);
/* Ends the connection for good: answers, then `closed`. By the pump only. */
void iu__client_fail(iu_client *c, const iu_error *why);
extern const iu_connection_vtable iu__client_vtable;

/* world.c */
iu_status iu__world_first(iu_client *c, iu_error *err);
/* The schema is taken. IU_E_MIGRATION when what is held does not fit. */
iu_status iu__world_enter(iu_client *c, iu_schema *schema, iu_error *err);
/* The listener has heard of the new world: the rows of older ones go. */
void iu__world_settle(iu_client *c);
void iu__world_free_all(iu_client *c);
/* Row sets keep their world, the present one. */
iu_world *iu__world_hold(iu_client *c);
void iu__world_drop(iu_world *w);

/* link.c */
/* The schema of an earlier time, before the first attempt. */
iu_status iu__link_know_schema(iu_client *c, const char *json, size_t len, iu_error *err);
void iu__link_start(iu_client *c);          /* the next attempt, now */
void iu__link_on_connecting(iu_client *c);
void iu__link_on_schema(iu_client *c);      /* by the pump: goes on with the attempt */
void iu__link_on_connected(iu_client *c, const iu_message *m);
void iu__link_on_lost(iu_client *c);
/* The connection cannot be used any more: whatever was received and not told is dropped. By the pump. */
void iu__link_cut(iu_client *c, const iu_error *why);
void iu__link_stop(iu_client *c);           /* for good; an open socket says goodbye */
void iu__link_free(iu_client *c);
iu_status iu__link_refresh(iu_client *c, iu_error *err);  /* looks at the schema while connected */
void iu__link_doubt(iu_client *c);          /* a refusal says that the schema is stale: one look */
iu_status iu__client_refresh_schema(iu_connection *c, uint64_t *pending, iu_error *err);
void iu__link_tell_refreshed(iu_client *c, iu_status status, const iu_error *err);

/* inbox.c */
void iu__inbox_post(iu_client *c);
bool iu__inbox_message(iu_client *c, iu_ws *ws, const uint8_t *bytes, size_t len);  /* during on_message; false: no memory */
void iu__inbox_note(iu_client *c, iu_note_kind kind);
iu_in *iu__inbox_take(iu_client *c);
void iu__inbox_done(iu_client *c, iu_in *item);  /* its bytes are not needed any more */
void iu__inbox_drop_heard(iu_client *c);         /* messages, and a schema's answer */

/* early.c */
void iu__early_part(iu_client *c, const uint8_t *bytes, size_t len);  /* all that has come of a message */
void iu__early_whole(iu_client *c, const iu_in *item);  /* this is it */
void iu__early_drop(iu_client *c);               /* something else comes first: no row of it was taken */
void iu__early_end(iu_client *c);                /* it is taken up (the replica has its rows, or takes them back), or lost */

/* pump.c */
bool iu__pump_run(iu_client *c);
bool iu__pump_busy(const iu_client *c);
void iu__pump_end_request(iu_client *c);    /* of the thing at hand, when its rows are not told to the end */
void iu__pump_drop_work(iu_client *c);

/* message.c: what a message is for; fills work->target, quiet, request, event. A failure cuts the connection. */
iu_status iu__message_begin(iu_client *c, iu_error *err);
void iu__message_end(iu_client *c);

/* request.c */
iu_request *iu__request_new(iu_client *c, iu_request_kind kind, const void *bytes, size_t len, iu_error *err);
void iu__request_free(iu_request *r);
/* Into the queue, or refused: away, or over a cap. On failure the request is freed. */
iu_status iu__request_queue(iu_client *c, iu_request *r, iu_error *err);
void iu__request_push_first(iu_client *c, iu_request *r);
void iu__request_send(iu_client *c);              /* as much as may be sent */
iu_request *iu__request_match(iu_client *c, uint32_t id);   /* taken out of flight; NULL */
const iu_request *iu__request_flying(const iu_client *c, uint32_t id);  /* NULL */
void iu__request_fly_again(iu_client *c, iu_request *r);    /* a match that was none */
iu_request *iu__request_match_failure(iu_client *c, const iu_message *m); /* v1: a failure that does not say whose */
void iu__request_take(iu_client *c, iu_requests *list, iu_request *r);
void iu__request_end(iu_client *c, iu_request *r, iu_status status, const char *text);  /* to be told by the pump */
void iu__request_tell_ended(iu_client *c);        /* the first of them */
void iu__request_answer(iu_client *c, iu_request *r, iu_status status, const iu_error *err, iu_rows *rows, const iu_typed_value *value); /* frees r */
void iu__request_drop_pending(iu_client *c, uint64_t pending);
void iu__request_on_lost(iu_client *c, bool final, const iu_error *why);
void iu__request_answer_all(iu_client *c, const iu_error *why);
uint64_t iu__request_oldest(const iu_client *c);  /* sequence of the oldest whose end was not told; UINT64_MAX: none */

/* call.c */
iu_status iu__client_call(iu_connection *c, uint32_t reducer, const void *args, size_t len, uint64_t *pending, iu_error *err);
iu_status iu__client_procedure(iu_connection *c, uint32_t procedure, const void *args, size_t len, uint64_t *pending, iu_error *err);
iu_status iu__client_flush(iu_connection *c, uint64_t *pending, iu_error *err);
void iu__call_tell_flushes(iu_client *c);         /* those whose time has come */
/* A loss, before requests end: which flushes end with it. Those that wait for calls that are kept (keep_queued) and for none that was sent stay. */
void iu__call_doubt_flushes(iu_client *c, bool keep_queued);
void iu__call_fail_flushes(iu_client *c, const iu_error *why);   /* tells those */
void iu__call_end_flushes(iu_client *c, const iu_error *why);    /* tells all */
void iu__call_result(iu_client *c, iu_request *r, const iu_message *m);
void iu__call_procedure_result(iu_client *c, iu_request *r, const iu_message *m);

/* subscribe.c */
iu_status iu__client_subscribe(iu_connection *c, const iu_slice *queries, uint32_t count, uint64_t *subscription, iu_error *err);
iu_status iu__client_unsubscribe(iu_connection *c, uint64_t subscription, iu_error *err);
void iu__sub_applied(iu_client *c, iu_sub *s);
void iu__sub_failed(iu_client *c, iu_sub *s, const iu_error *why);
void iu__sub_ended(iu_client *c, iu_sub *s);
void iu__sub_give_up(iu_client *c, iu_sub *s, const iu_error *why);
void iu__sub_restore(iu_client *c);               /* after a reconnect: all of them are sent again */
void iu__sub_answered(iu_client *c, iu_sub *s);   /* one of those */
void iu__sub_on_lost(iu_client *c);
void iu__sub_adopted(iu_client *c);               /* what is to be told after the resync */
void iu__sub_drop_all(iu_client *c, const iu_error *why);
void iu__sub_release(iu_sub *s);    /* frees it when nothing names it */
void iu__sub_free_all(iu_client *c);
void iu__sub_recount(iu_client *c);               /* tables held whole, in a new world */
iu_sub *iu__sub_by_set(iu_client *c, uint32_t set);
/* The set's queries, parsed; IU_E_VALIDATION where one is not of one table. */
iu_status iu__sub_parse(iu_client *c, const iu_sub *s, iu_query ***out, uint32_t *count, iu_error *err);
void iu__sub_free_parsed(iu_query **queries, uint32_t count);

/* read.c */
iu_status iu__client_query(iu_connection *c, const char *sql, size_t len, iu_rows **rows, uint64_t *pending, iu_error *err);
iu_status iu__client_select(iu_connection *c, uint32_t table, const iu_selection_spec *spec, iu_rows **rows, uint64_t *pending, iu_error *err);
iu_status iu__client_get(iu_connection *c, uint32_t table, const void *key, size_t len, iu_rows **rows, uint64_t *pending, iu_error *err);
iu_status iu__client_explain(iu_connection *c, uint32_t table, const iu_selection_spec *spec, iu_buf *out, iu_error *err);
void iu__read_answered(iu_client *c, iu_request *r, const iu_message *m);
void iu__read_failed(iu_client *c, iu_request *r, iu_status status, const iu_error *err); /* frees r */
bool iu__read_oversized(iu_client *c, const uint8_t *bytes, size_t len);   /* true: it was the answer to a one-off query, which ends */
void iu__read_part_dropped(iu_request *r);

/* narrow.c: one-off queries whose rows are a superset of what the selection wants, in a narrow's arena. */
typedef struct iu_narrow {
  iu_arena arena;
  uint32_t count; iu_slice *queries;
  bool nothing;                   /* no row can match: nothing is to be asked */
} iu_narrow;
iu_status iu__narrow(const iu_table_def *def, const iu_selection_spec *spec, iu_narrow *out, iu_error *err);
void iu__narrow_free(iu_narrow *n);
void iu__narrow_whole(const iu_table_def *def, iu_buf *sql);  /* SELECT * FROM "table" */

/* owner.c: false: the text does not say. */
bool iu__owner_from_http(const void *body, size_t len, uint8_t out[32]);

#endif
