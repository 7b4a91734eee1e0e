/* internal.h: what the files of this folder share: the instance, one call, and the functions across files.
 *
 *   schema.c, describe.c   what is declared, and its definition as bytes
 *   mem_native.c, wasm.c   scratch memory; wasm.c and native.c are the two faces
 *   codec.c, json.c        bytes and texts, in and out
 *   host.c                 the database: point reads, scans, writes
 *   call.c                 refusals: "CODE: message"
 *   validate.c             checks of arguments
 *   head.c, event.c        counters and the event log; ids
 *   permission.c           who may
 *   history.c              rows before their change
 *   entity.c ... record.c  the reducers, a subject each
 *   import.c               rows as they are: import_rows, remove_rows
 *   transact.c, dispatch.c many operations, one call
 *
 * Conventions: a function that can refuse returns false after it has set the call's refusal. Everything a call allocates is scratch memory, given
 * back when it ends. Slices are borrowed from the arguments or from scratch memory.
 */
#ifndef IU_MODULE_INTERNAL_H
#define IU_MODULE_INTERNAL_H

#include "abi.h"
#include "codec.h"
#include "schema.h"

#define NERV_MESSAGE_MAX 1000u      /* bytes of a refusal; longer ones are cut at a character */
#define NERV_QUOTE_MAX 64u          /* bytes of a value shown in a message */

/* Rows of event_head. */
typedef enum nerv_head_id { NERV_HEAD_EVENTS, NERV_HEAD_IDS, NERV_HEAD_HISTORY, NERV_HEAD_COUNT } nerv_head_id;
/* `stored` is the sequence before this call: what is later was written by this transaction. */
typedef struct nerv_head { bool loaded, exists, dirty; uint64_t sequence, count, bytes, stored; } nerv_head;
/* What the rows of `config` say of writes. */
typedef struct nerv_features { bool audit, history[NERV_TABLE_COUNT]; } nerv_features;

typedef struct nerv {
  struct iu_host *host;             /* unused on wasm32 */
  nerv_mem mem;
  bool resolved;                    /* table and index ids are known */
  bool universe_known;
  uint32_t universe;                /* some bits of the database's identity, for generated ids */
  nerv_features features;           /* as of features_at, the number of writes of `config`; natively only */
  uint64_t features_at;
  nerv_head heads[NERV_HEAD_COUNT];               /* as of heads_at, that of `event_head` */
  uint64_t heads_at;
  uint32_t table[NERV_TABLE_COUNT], index[NERV_INDEX_COUNT];
  char message[NERV_MESSAGE_MAX + 1];
} nerv;

typedef struct nerv_call {
  nerv *self;
  uint8_t sender[32], connection[16];
  int64_t now;                      /* microseconds */
  nerv_head heads[NERV_HEAD_COUNT]; /* read once, written once at the end */
  bool features_known;
  nerv_features features;
  bool permissions_known, permissions_empty;
  const char *operation, *list;     /* what a refusal names: inside transact the operation, and the argument with many elements that is gone through */
  uint32_t operation_at, list_at;
  bool refused;
  uint32_t message_len;             /* in self->message */
} nerv_call;

static inline nerv_out iu__nerv_out_of(nerv_call *c) { return iu__nerv_out(&c->self->mem); }

/* ---- describe.c ---- */
void iu__nerv_describe(nerv_out *o);

/* ---- call.c ---- */
/* Sets the refusal "CODE: message" (the first one stays) and returns false. Directives: %s terminated text, %q nerv_slice *: quoted, control and
 * invalid bytes escaped, cut; %u uint64_t, %d int64_t, %h 32 bytes as identity. */
bool iu__nerv_refuse(nerv_call *c, const char *code, const char *format, ...);
bool iu__nerv_no_memory(nerv_call *c);
bool iu__nerv_bad_arguments(nerv_call *c);
/* The writer's failure as a refusal. */
static inline bool iu__nerv_wrote(nerv_call *c, const nerv_out *o) { return !o->failed || iu__nerv_no_memory(c); }
static inline bool iu__nerv_read(nerv_call *c, const nerv_reader *r) { return !r->bad || iu__nerv_bad_arguments(c); }

/* ---- host.c ---- */
bool iu__nerv_resolve(nerv_call *c);
/* Point reads by a unique index; `key` is BSATN. The row is in scratch memory. */
bool iu__nerv_find(nerv_call *c, nerv_index index, nerv_slice key, nerv_slice *row, bool *found);
bool iu__nerv_find_text(nerv_call *c, nerv_index index, nerv_slice text, nerv_slice *row, bool *found);
/* Whether there is any row with this text in the index (unique or not). */
bool iu__nerv_has_text(nerv_call *c, nerv_index index, nerv_slice text, bool *found);
/* *taken: a unique key is there already, or the very row is (nothing was done). NULL: that is a host failure. */
bool iu__nerv_insert(nerv_call *c, nerv_table table, nerv_out *row, bool *taken);
bool iu__nerv_update(nerv_call *c, nerv_table table, nerv_out *row);
/* Deletes what has this key in the index; *count may be NULL. */
bool iu__nerv_delete(nerv_call *c, nerv_index index, nerv_slice key, uint32_t *count);
bool iu__nerv_delete_text(nerv_call *c, nerv_index index, nerv_slice text, uint32_t *count);
bool iu__nerv_count_rows(nerv_call *c, nerv_table table, uint64_t *count);
/* Grows with every write of the table; false where the host does not say: then nothing that was read may be kept from one call to the next. */
bool iu__nerv_writes(nerv_call *c, nerv_table table, uint64_t *number);
/* Inserts, or replaces the row of that key. */
bool iu__nerv_put_row(nerv_call *c, nerv_table table, nerv_out *row, bool exists);

/* Bounds are BSATN of the column; a missing one is open; both are inclusive. Rows come in the order of the index, but rows of equal keys in any
 * order, and those that this transaction wrote apart from the others (before them or after): that much a server promises. What depends on more
 * sorts (order.c). Rows stay in scratch memory until the batch after theirs. End a scan that did not run out. */
typedef struct nerv_scan { nerv_table table; uint32_t iter; bool open; nerv_out buffer; nerv_reader rows; } nerv_scan;
bool iu__nerv_scan(nerv_call *c, nerv_index index, const nerv_slice *low, const nerv_slice *high, nerv_scan *s);
bool iu__nerv_scan_text(nerv_call *c, nerv_index index, nerv_slice text, nerv_scan *s);
/* false: a refusal, or the end (*row is empty then: p NULL). */
bool iu__nerv_next(nerv_call *c, nerv_scan *s, nerv_slice *row);
void iu__nerv_scan_end(nerv_call *c, nerv_scan *s);

/* ---- validate.c ---- */
#define NERV_ID_MAX 256u            /* bytes of ids, type names, keys, tags */
#define NERV_TAGS_MAX 1024u         /* tags of one object */
#define NERV_TEXT_MAX 65536u        /* bytes of names, descriptions, authors */
#define NERV_JSON_MAX (32u << 20)   /* bytes of one JSON text */
#define NERV_JSON_DEPTH_MAX 512u    /* open containers, as in core/sats */

bool iu__nerv_check_id(nerv_call *c, const char *argument, nerv_slice v);
bool iu__nerv_check_id_or_empty(nerv_call *c, const char *argument, nerv_slice v);
bool iu__nerv_check_text(nerv_call *c, const char *argument, nerv_slice v, uint32_t max);
/* Reads and checks [String]. */
bool iu__nerv_read_tags(nerv_call *c, const char *argument, nerv_reader *r, nerv_slice *raw);
/* Replaces an empty text by `empty` ("" in it: refuses). */
bool iu__nerv_check_json(nerv_call *c, const char *argument, nerv_slice *v, const char *empty);
bool iu__nerv_check_json_object(nerv_call *c, const char *argument, nerv_slice *v);

/* ---- json.c ---- */
/* Whether it is one well-formed value of valid UTF-8; else where and why. */
bool iu__nerv_json_check(nerv_slice text, size_t *at, const char **why);
/* Whether a valid text stays within NERV_JSON_DEPTH_MAX when `levels` containers are put around it. */
bool iu__nerv_json_nests(nerv_slice valid, uint32_t levels);
void iu__nerv_json_text(nerv_out *o, nerv_slice s);                    /* quoted and escaped */
/* ,"name": in an object; without the comma after `{`. */
void iu__nerv_json_key(nerv_out *o, const char *name);
void iu__nerv_json_member(nerv_out *o, const char *name, nerv_slice text);
void iu__nerv_json_member_or_null(nerv_out *o, const char *name, nerv_slice text, bool there);
void iu__nerv_json_texts(nerv_out *o, nerv_slice raw);                 /* BSATN [String] as an array */
void iu__nerv_json_f64(nerv_out *o, double v);

/* ---- head.c ---- */
bool iu__nerv_head(nerv_call *c, nerv_head_id id, nerv_head **head);
bool iu__nerv_heads_flush(nerv_call *c);
#define NERV_UUID_LEN 36u
typedef enum nerv_id_kind { NERV_ID_OBJECT, NERV_ID_EVENT } nerv_id_kind;
void iu__nerv_uuid(nerv_call *c, nerv_id_kind kind, uint64_t number, char out[NERV_UUID_LEN]);
/* The id given, checked, or a new one in scratch memory. */
bool iu__nerv_id(nerv_call *c, const char *argument, nerv_slice given, bool there, nerv_slice *id);

/* ---- order.c ---- */
typedef struct nerv_item { uint64_t rank; nerv_slice key, row; } nerv_item;
typedef struct nerv_items { nerv_item *p; size_t n, cap; } nerv_items; /* zero-initialise; in scratch memory */
/* The slices are held as they are. */
bool iu__nerv_items_add(nerv_call *c, nerv_items *items, nerv_item item);
/* By rank, then by the bytes of the key, a prefix first. */
void iu__nerv_items_sort(nerv_items *items);
/* A copy in scratch memory. */
bool iu__nerv_copy(nerv_call *c, nerv_slice from, nerv_slice *copy);

/* ---- config.c ---- */
bool iu__nerv_features(nerv_call *c);
bool iu__nerv_owner(nerv_call *c, bool *is_owner);
bool iu__nerv_config_put(nerv_call *c, const char *key, nerv_slice value, const char *description);
/* Whether this key may have this value. */
bool iu__nerv_config_check(nerv_call *c, nerv_slice key, nerv_slice value);

/* ---- event.c ---- */
bool iu__nerv_append_event(nerv_call *c, const char *type, nerv_slice source, nerv_slice data);
/* An audit event: begin gives false in *on (and nothing to write) while the audit feature is off. */
bool iu__nerv_audit_begin(nerv_call *c, nerv_out *data, bool *on);
bool iu__nerv_audit_end(nerv_call *c, const char *type, nerv_slice source, nerv_out *data);
/* "changed_fields": the names of those that changed. */
typedef struct nerv_changed { const char *name; bool changed; } nerv_changed;
void iu__nerv_audit_changed(nerv_out *data, const nerv_changed *fields, size_t count);
#define NERV_AUDIT_METADATA_MAX (1u << 20) /* bytes of metadata that an audit event repeats; above it has null in its place */
#define NERV_AUDIT_LEVELS 2u               /* containers around the properties in an audit event; when that is too deep, null likewise */

/* ---- permission.c ---- */
bool iu__nerv_permit(nerv_call *c, const char *action, nerv_slice subject);
bool iu__nerv_owner_only(nerv_call *c, const char *action);
/* A row of `permission` that comes from elsewhere, and one that goes (missing: fine), with the number of its action's rules. */
bool iu__nerv_import_rule(nerv_call *c, nerv_slice row);
bool iu__nerv_remove_rule(nerv_call *c, nerv_slice key);

/* ---- history.c ---- */
/* `old_row` is empty for an insert. Nothing while the table's history is off. */
bool iu__nerv_history(nerv_call *c, nerv_table table, nerv_slice key, const char *change, nerv_slice old_row);

/* ---- version.c ---- */
bool iu__nerv_version_exists(nerv_call *c, const char *argument, nerv_slice id);
/* ---- delta.c ---- */
typedef struct nerv_delta_args { nerv_slice operations, metadata; uint32_t count; } nerv_delta_args;
bool iu__nerv_read_delta(nerv_call *c, nerv_reader *r, nerv_delta_args *out);
bool iu__nerv_insert_delta(nerv_call *c, nerv_slice id, nerv_slice version, nerv_slice base, const char *kind, const nerv_delta_args *d);
/* ---- branch.c ---- */
#define NERV_SNAPSHOT_PARTS_MAX 65536u
bool iu__nerv_store_part(nerv_call *c, nerv_slice version, uint32_t part, uint32_t parts, nerv_slice encoding, nerv_slice data);
/* Makes or moves it (an empty head: removes it); `expected` is the present head, empty for none. */
bool iu__nerv_move_branch(nerv_call *c, nerv_slice name, const char *kind, nerv_slice head, bool expects, nerv_slice expected);
/* ---- relation.c ---- */
bool iu__nerv_delete_relations(nerv_call *c, nerv_index index, nerv_slice entity, uint64_t *count);

/* ---- prune.c ---- */
typedef struct nerv_limits { bool by_time, by_count, by_bytes; int64_t before; uint64_t max_count, max_bytes; } nerv_limits;
#define NERV_PRUNE_DEFAULT 10000u   /* rows a call removes when `limit` is 0 */
#define NERV_PRUNE_MAX 100000u      /* at most */
bool iu__nerv_read_limits(nerv_call *c, nerv_reader *r, nerv_limits *l);
bool iu__nerv_check_limit(nerv_call *c, uint32_t *limit);
/* Whether the oldest row, of this age, goes while the head counts this much. */
bool iu__nerv_over(const nerv_limits *l, const nerv_head *head, int64_t timestamp);

/* ---- the reducers ---- */
typedef bool nerv_handler(nerv_call *c, nerv_reader *args);
#define NERV_HANDLER(symbol, type) nerv_handler iu__nerv_##symbol;
NERV_OPERATIONS(NERV_HANDLER)
nerv_handler iu__nerv_init, iu__nerv_client_connected, iu__nerv_client_disconnected, iu__nerv_transact, iu__nerv_check_permission, iu__nerv_set_client_info;
extern nerv_handler *const iu__nerv_operations[];
#define NERV_TRANSACT_MAX 100000u   /* operations of one transact */
#define NERV_IMPORT_MAX 100000u     /* rows of one import_rows, keys of one remove_rows */
#define NERV_SEQUENCE_MAX (UINT64_C(1) << 62) /* of an imported event or head, so that those that follow have room */

/* ---- dispatch.c ---- */
int32_t iu__nerv_call(nerv *self, uint32_t id, const uint64_t sender[4], const uint64_t connection[2], uint64_t timestamp, uint32_t args,
                      uint32_t err);
void iu__nerv_write_sink(nerv *self, uint32_t sink, nerv_slice bytes);

#endif
