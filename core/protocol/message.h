/* message.h: SpacetimeDB's WebSocket messages: v1 (bsatn and json), v2 and v3, written for a client and read by one, as one set of structures.
 *
 * Writing: each put function appends one message; the buffer's failure is sticky (iu__buf_status). Names and queries are valid UTF-8.
 *
 * Reading: iu__payload_open, then iu__payload_next until *more is false or it fails, then iu__payload_close (also after a failure). It never
 * trusts the peer: every length, tag, offset and count is checked before it is used. Errors are IU_E_VALIDATION with the byte offset, counted
 * in the plain bytes behind the compression byte (v1.json: a path or the name of a field instead), IU_E_OVERLOADED for more than the cap, IU_E_NOMEM.
 * Decoded messages borrow the payload's bytes and the iu_payload's own memory: slices are good until iu__payload_close, `updates` until the next
 * iu__payload_next. Rows stay BSATN; they are checked against their table's type by the caller (v1.json: they come from the schema's types).
 *
 * Cost: linear in the plain bytes; no allocation for a plain message but its list of table updates.
 */
#ifndef IU_PROTOCOL_MESSAGE_H
#define IU_PROTOCOL_MESSAGE_H

#include "../base/buffer.h"
#include "../sats/bsatn.h"
#include "../sats/schema.h"

typedef enum iu_protocol { IU_P_V1_JSON, IU_P_V1, IU_P_V2, IU_P_V3 } iu_protocol;
const char *iu__protocol_name(iu_protocol p);            /* "v1.bsatn.spacetimedb" */
bool iu__protocol_from_name(const char *name, iu_protocol *out);

/* ---- client to server: each appends one message (v3: messages may be concatenated) ---- */

/* args: BSATN of the parameter product. v1.json needs its type (params, else may be NULL): the arguments become a JSON array, and
 * arguments that are not of that type fail with nothing appended. Answers the buffer's status too. */
iu_status iu__put_call(iu_buf *b, iu_protocol p, uint32_t request, const char *reducer, const iu_type *params, iu_slice args,
                       bool no_success_notify /* v1 only */, iu_error *err);
iu_status iu__put_procedure(iu_buf *b, iu_protocol p, uint32_t request, const char *procedure, const iu_type *params, iu_slice args, iu_error *err);
void iu__put_subscribe(iu_buf *b, iu_protocol p, uint32_t request, uint32_t set, const iu_slice *queries, uint32_t count); /* v1: SubscribeMulti */
void iu__put_unsubscribe(iu_buf *b, iu_protocol p, uint32_t request, uint32_t set, bool send_dropped_rows /* v2 */);       /* v1: UnsubscribeMulti */
void iu__put_one_off(iu_buf *b, iu_protocol p, uint32_t request, iu_slice sql);  /* v1: message_id is the request as 4 bytes */
/* What only v1 has: the whole set at once, and single queries. */
void iu__put_v1_subscribe(iu_buf *b, bool json, uint32_t request, const iu_slice *queries, uint32_t count);
void iu__put_v1_subscribe_single(iu_buf *b, bool json, uint32_t request, uint32_t set, iu_slice query);
void iu__put_v1_unsubscribe_single(iu_buf *b, bool json, uint32_t request, uint32_t set);

/* ---- server to client ---- */
typedef enum iu_message_kind {
  IU_M_CONNECTED,          /* identity, connection_id, token */
  IU_M_SUBSCRIBED,         /* request, set, updates (inserts) */
  IU_M_UNSUBSCRIBED,       /* request, set, updates (deletes), has_rows */
  IU_M_SUBSCRIPTION_ERROR, /* has_request, request, has_set, set, text */
  IU_M_TRANSACTION,        /* updates; v1: has_call with caller, reducer, outcome and text, or light with a request */
  IU_M_CALL_RESULT,        /* v2/v3 ReducerResult; v1: a TransactionUpdate whose caller is us is told apart by the client */
  IU_M_ONE_OFF,            /* request, ok, text, updates (inserts) */
  IU_M_PROCEDURE,          /* request, outcome, text, value */
  IU_M_INITIAL             /* v1 legacy InitialSubscription: request, updates (inserts) */
} iu_message_kind;

typedef enum iu_outcome { IU_OUT_COMMITTED, IU_OUT_FAILED /* the reducer said no: text */, IU_OUT_INTERNAL /* text */, IU_OUT_NO_ENERGY } iu_outcome;

typedef struct iu_row_list {
  bool fixed;
  uint16_t row_size;
  uint32_t count;
  const uint8_t *offsets; /* u64 LE each, when not fixed */
  const uint8_t *data;
  size_t len;
} iu_row_list;
/* Row i < count: bounds were checked when decoding. */
iu_slice iu__row_list_at(const iu_row_list *l, uint32_t i);

typedef struct iu_table_update {
  iu_slice table;                  /* its name; a table comes once per query */
  uint32_t set; bool has_set;      /* v2: the query set it belongs to */
  bool event_table;                /* inserts are events, nothing is kept */
  iu_row_list deletes, inserts;    /* v1.json, a table that the schema does not have: both empty */
} iu_table_update;

typedef struct iu_message {
  iu_message_kind kind;
  bool has_request, has_set;
  bool has_rows;                                 /* its form carries updates, if only an empty list */
  bool ok;                                       /* TRANSACTION, CALL_RESULT, ONE_OFF, PROCEDURE: it succeeded */
  bool has_call;                                 /* v1 full TransactionUpdate */
  bool light;                                    /* v1 TransactionUpdateLight */
  uint32_t request, set;
  uint8_t identity[32], connection_id[16];       /* little endian, as on the wire. CONNECTED; has_call: the caller's */
  iu_slice token, text, reducer;
  iu_slice value;                                /* what a reducer or procedure returned (v1.json: its JSON text); an error's bytes when FAILED;
                                                    v1 ONE_OFF: the message id's bytes (has_request when there are 4 of them) */
  iu_slice args;                                 /* BSATN; v1.json: empty unless they are JSON of the schema's parameters */
  uint32_t reducer_id;
  int64_t timestamp, duration;                   /* microseconds; 0 where a message has none */
  iu_outcome outcome;
  uint32_t update_count; iu_table_update *updates; /* owned by the payload */
} iu_message;

#define IU_MESSAGE_UPDATES_MAX (1u << 20)  /* table updates of one message */

/* One WebSocket payload: decompressed once, then read message by message (v1, v2: exactly one; v3: one or more). */
typedef struct iu_payload {
  iu_protocol protocol;
  bool began;
  iu_reader reader;
  const iu_schema *schema; /* v1.json only: borrowed, set by the caller after opening; NULL knows no table */
  iu_buf plain;            /* the decompressed payload */
  iu_arena inner;          /* decompressed parts, rows made from JSON */
  size_t budget;           /* bytes that may still be produced */
  iu_table_update *updates;
  uint32_t count, cap;
} iu_payload;
/* max_plain caps what decompression and rows from JSON may produce together (bombs): IU_E_OVERLOADED. bytes are borrowed until the close.
 * v1.json: the text of a text frame; it has no compression byte. */
iu_status iu__payload_open(iu_payload *p, iu_protocol protocol, const void *bytes, size_t len, size_t max_plain, iu_error *err);
/* *more false: no further message (then *out is untouched). After a failure there is none. */
iu_status iu__payload_next(iu_payload *p, iu_message *out, bool *more, iu_error *err);
void iu__payload_close(iu_payload *p);

/* Of a payload's first bytes: it is the answer to a one-off query, and to which. For payloads that are too large to be taken; of a v3 payload only the
 * first message is looked at (a large one travels alone). */
bool iu__payload_is_one_off(iu_protocol p, const void *head, size_t len, uint32_t *request);

/* ---- the rows of a subscription's answer, while its payload still comes ----
 * Zeroed at the payload's start. Bytes and len: all that has come, each time; they may have moved. What is found so is what iu__payload_next finds in the
 * whole, list by list the updates of its first message (which has no deletes then); whether the rest is valid is not known yet. */
typedef struct iu_coming {
  bool begun;                       /* request is known */
  bool over;                        /* nothing more can be taken before the payload is whole */
  uint32_t request;
  uint32_t list;                    /* the number of the list at hand */
  size_t name_at; uint32_t name_len; /* of its table */
  uint32_t count;                   /* of its rows */
  bool in_list, fixed; uint16_t row_size; uint32_t tables, lists, data_len; size_t at, offsets_at; /* coming.c only */
} iu_coming;
/* true: at a list; its rows can be asked for as they come. */
bool iu__coming_list(iu_coming *c, iu_protocol p, const uint8_t *bytes, size_t len);
/* Row i < count of the list; false: it has not come, or its place makes no sense. Borrowed from bytes. */
bool iu__coming_row(const iu_coming *c, const uint8_t *bytes, size_t len, uint32_t i, iu_slice *row);
void iu__coming_next(iu_coming *c); /* all its rows were taken: on to the next list */

/* ---- schema over HTTP: RawModuleDefV9 or V10 as SATS-JSON (sheet 7.3, 3.1) to an iu_schema, given to the caller ----
 * Row level security is the server's business: its rules are left out. V10, which servers have since 2.0, tells besides which tables are event tables, and what
 * submodules have (`namespace.name`). */
#define IU_SCHEMA_JSON_MAX (16u << 20) /* bytes of the text */
iu_status iu__schema_from_http(const void *json, size_t len, iu_schema **out, iu_error *err);
/* The other way: what a server answers for this schema; appended, part of it when it fails. */
iu_status iu__schema_to_http(const iu_schema *schema, iu_buf *out, iu_error *err);

/* ---- the answer to SQL over HTTP (sheet 7.6), a result a statement: the types of its columns, and its rows as BSATN of them ----
 * Columns have names that differ: one without is `column_N`, the second `id` is `id_2`. The server writes floats that are no number as null; they are NaN. */
#define IU_SQL_RESULTS_MAX 1024
#define IU_SQL_COLUMNS_MAX 1024
#define IU_SQL_ROWS_BYTES_MAX (256u << 20) /* BSATN of one result's rows */
typedef struct iu_sql_result {
  const iu_type *row;               /* a product */
  uint32_t row_count;
  iu_slice rows;                    /* row_count of them, checked */
  bool has_stats, has_duration;
  uint64_t inserted, updated, deleted, duration_micros;
} iu_sql_result;
typedef struct iu_sql_answer { uint32_t count; iu_sql_result *results; struct iu_sql_memory *memory; } iu_sql_answer;
/* Nothing to free when it fails; the text is not needed afterwards. */
iu_status iu__sql_answer_read(const void *json, size_t len, iu_sql_answer *out, iu_error *err);
void iu__sql_answer_free(iu_sql_answer *a);

#endif
