/* inner_universe.h: the one public C header: a universe (embedded, in a file, or on a SpacetimeDB server) from C, without Lua;
 * and the entry point of the Lua module. README.md beside this file has a complete program.
 *
 *   runtime    an event loop and what is open on it              iu_runtime_new ... iu_runtime_free
 *   universe   one connection to one database                    iu_open ... iu_close, iu_free
 *   cursor     rows, one after the other                         iu_query_once, iu_scan, ... iu_cursor_free
 *   value      a row, a column, a part of it: a few words by value that point into a row
 *   arg        what you hand in: an argument of a reducer, a key
 *
 * Errors. What can fail returns an iu_status and explains itself in the iu_error it is given, which may be NULL. Misuse that can be
 * seen (NULL, a closed universe, a wrong column, a wrong type, waiting inside a callback) is an error like any other, nothing aborts.
 *
 * Ownership. Texts and arrays that you pass are borrowed for the call. What a function gives is yours to free with the function named after its
 * type, which accepts NULL. Callbacks get everything borrowed, but a cursor handed to an iu_done_fn, which is yours.
 *
 * Threads. A runtime, and everything made from it, is used on one thread at a time (the one that turns its loop). Only iu_runtime_wake may be
 * called from others. Different runtimes know nothing of each other.
 *
 * Time. `timeout_ms` is milliseconds: 0 the default of the universe's options, below 0 no limit. Timestamps are microseconds since 1970 (UTC).
 *
 * Callbacks run while the loop is turned (iu_step, iu_wait, a function that waits, or your own uv_run), and inside iu_close; row callbacks of an
 * embedded universe inside every function that calls a reducer, too (also the `_async` ones); never inside others. In a callback everything may be called, iu_close and iu_free included, but what waits:
 * iu_open of a server, iu_call, iu_query_once and the others that take a timeout, iu_step and iu_wait are refused there with IU_E_VALIDATION. Their
 * `_async` forms are for that. A transaction becomes visible as a whole, then its row callbacks run, then the call that made it ends.
 */
#ifndef INNER_UNIVERSE_H
#define INNER_UNIVERSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define IU_VERSION_MAJOR 0
#define IU_VERSION_MINOR 1
#define IU_VERSION_PATCH 0
#define IU_VERSION "0.1.0"

/* Exported symbols of the shared builds; everything else has hidden visibility. */
#if defined(__GNUC__)
#define IU_API __attribute__((visibility("default")))
#else
#define IU_API
#endif

#ifdef __cplusplus
#define IU_ALL_ZERO {}
#else
#define IU_ALL_ZERO {0}
#endif

/* One list for all: symbol, the `kind` Lua sees, the CODE a reducer's message starts with
 * ("CODE: message"), whether the same call may succeed when simply tried again, and a default text. */
#define IU_STATUS_MAP(X)                                                                            \
  X(PERSISTENCE, "PersistenceError", "PERSISTENCE", 0, "persistence failure")                       \
  X(CONNECTION, "ConnectionError", "CONNECTION", 1, "connection failure")                           \
  X(TIMEOUT, "TimeoutError", "TIMEOUT", 1, "timed out")                                             \
  X(ENTITY_NOT_FOUND, "EntityNotFoundError", "ENTITY_NOT_FOUND", 0, "entity not found")             \
  X(RELATION_NOT_FOUND, "RelationNotFoundError", "RELATION_NOT_FOUND", 0, "relation not found")     \
  X(VERSION_NOT_FOUND, "VersionNotFoundError", "VERSION_NOT_FOUND", 0, "state version not found")   \
  X(AUTHORIZATION, "AuthorizationError", "AUTHORIZATION", 0, "not permitted")                       \
  X(VALIDATION, "ValidationError", "VALIDATION", 0, "invalid value")                                \
  X(CONFLICT, "ConflictError", "CONFLICT", 1, "conflict")                                           \
  X(STORAGE, "StorageError", "STORAGE", 0, "storage failure")                                       \
  X(OVERLOADED, "OverloadedError", "OVERLOADED", 1, "over capacity")                                \
  X(UNIVERSE_LOCKED, "UniverseLockedError", "UNIVERSE_LOCKED", 1, "universe is open elsewhere")     \
  X(MIGRATION, "MigrationError", "MIGRATION", 0, "migration failure")                               \
  X(PLUGIN, "PluginError", "PLUGIN", 0, "plugin failure")                                           \
  X(NOMEM, "PersistenceError", "NO_MEMORY", 1, "out of memory")                                     \
  X(CLOSED, "ConnectionError", "CLOSED", 0, "already closed")                                       \
  X(UNKNOWN_OUTCOME, "ConnectionError", "UNKNOWN_OUTCOME", 0, "sent, but whether it was applied is unknown") \
  X(NO_DATABASE, "ConnectionError", "NO_DATABASE", 0, "no such database")

typedef enum iu_status {
  IU_OK = 0,
#define IU_STATUS_ENUM(symbol, kind, code, retryable, text) IU_E_##symbol,
  IU_STATUS_MAP(IU_STATUS_ENUM)
#undef IU_STATUS_ENUM
  IU_STATUS_COUNT
} iu_status;

#define IU_ERROR_MESSAGE_MAX 1024
#define IU_NO_OFFSET SIZE_MAX

/* The detail of a failure. `offset` is the byte (or text column, counted from 0) the failure points
 * at, or IU_NO_OFFSET. `message` is UTF-8, always terminated, cut at a character when too long. */
typedef struct iu_error {
  iu_status status;
  size_t offset;
  char message[IU_ERROR_MESSAGE_MAX];
} iu_error;

IU_API const char *iu_version(void);                   /* "0.1.0" */
IU_API const char *iu_status_kind(iu_status status);   /* "ValidationError"; "" for IU_OK */
IU_API const char *iu_status_code(iu_status status);   /* "VALIDATION"; "" for IU_OK */
IU_API int iu_status_retryable(iu_status status);

/* Sets a failure: status and a text as printf takes it, cut to IU_ERROR_MESSAGE_MAX. Returns status: `return iu_fail(err, IU_E_VALIDATION, ...)`. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
IU_API iu_status iu_fail(iu_error *err, iu_status status, const char *format, ...);

/* All memory of the library comes from here (libuv, SQLite, OpenSSL and libwebsockets keep their own): as malloc, realloc and free, with your ud. From any
 * thread: a journal has one of its own. NULL from them is handled. */
typedef struct iu_allocator {
  void *(*alloc)(void *ud, size_t size);                 /* size is not 0 */
  void *(*realloc)(void *ud, void *p, size_t size);      /* p may be NULL */
  void (*free)(void *ud, void *p);                       /* p is not NULL */
  void *ud;
} iu_allocator;
/* Once, before the first other function of the library: IU_E_CONFLICT after it. For the whole process; copied. */
IU_API iu_status iu_set_allocator(const iu_allocator *allocator, iu_error *err);

/* ---- 1. runtime: the loop ------------------------------------------------------------------------------------------------------------- */

typedef struct iu_runtime iu_runtime;
typedef struct iu_universe iu_universe;

typedef enum iu_log_level { IU_LOG_ERROR, IU_LOG_WARN, IU_LOG_INFO, IU_LOG_DEBUG, IU_LOG_TRACE } iu_log_level;
/* `message` is UTF-8, borrowed. On the runtime's thread. */
typedef void (*iu_log_fn)(void *ud, iu_log_level level, const char *message);
/* `what` is the call's name, or "subscription"; borrowed, as is err. In it everything may be called that may be called in a callback. */
typedef void (*iu_error_fn)(void *ud, const char *what, const iu_error *err);

/* Start from iu_runtime_options_default(); fields that are zero mean what the brackets say. New fields are added at the end. */
typedef struct iu_runtime_options {
  size_t size;               /* of this struct, as your program knows it */
  void *uv_loop;             /* [NULL: an own one] a uv_loop_t of the same shared libuv that the library is linked with; held */
  iu_log_fn log;             /* [NULL: silence] */
  void *log_ud;
  iu_log_level log_level;    /* [errors only] */
  /* [NULL: they are logged as warnings] failures of what you began and nobody waits for: a call, query or flush without a `done`, a subscription without a function.
   * What nobody began is in the log alone: a scheduled reducer that fails, a journal that cannot be written (the next call says so, too). */
  iu_error_fn on_error;
  void *on_error_ud;
} iu_runtime_options;
static inline iu_runtime_options iu_runtime_options_default(void) {
  iu_runtime_options o = IU_ALL_ZERO;
  o.size = sizeof o;
  return o;
}

/* options NULL: the defaults. */
IU_API iu_status iu_runtime_new(const iu_runtime_options *options, iu_runtime **out, iu_error *err);
/* IU_E_CONFLICT, and nothing is freed, while a universe or a cursor made from it is not freed; inside a callback too. NULL is fine. On a host's
 * uv_loop_t the handles are closed when that loop turns next. */
IU_API iu_status iu_runtime_free(iu_runtime *rt, iu_error *err);

/* One turn without waiting, for a frame: runs what is ready. Callbacks and the applying of received rows stop between two of them once budget_us
 * microseconds are over (0: no limit) and go on in the next step. *more (may be NULL): something is left that could go on at once. From the first budget on, until
 * a step without one, an embedded universe stages in steps what takes long: subscriptions, and commits of more than 256 rows that others make. They are
 * seen at once, then told. What iu_call makes is told before it returns. */
IU_API iu_status iu_step(iu_runtime *rt, uint64_t budget_us, bool *more, iu_error *err);
/* One turn that waits at most timeout_ms for something to happen (0: not at all, below 0: without limit). *more (may be NULL): something is open
 * that could still happen. */
IU_API iu_status iu_wait(iu_runtime *rt, int64_t timeout_ms, bool *more, iu_error *err);
/* For a host that turns its own uv_loop_t: callbacks yield once budget_us are over from now, until this is called again. 0: no limit. */
IU_API void iu_runtime_budget(iu_runtime *rt, uint64_t budget_us);
/* For a host with a loop of another kind: call iu_step when this descriptor is readable (epoll, poll) or this time is over.
 * The descriptor is -1 where there is none; the time in milliseconds, -1: nothing is timed. */
IU_API int iu_runtime_fd(const iu_runtime *rt);
IU_API int iu_runtime_timeout_ms(iu_runtime *rt);
/* Ends the iu_wait that is running, or the next one. From any thread, until iu_runtime_free begins. */
IU_API void iu_runtime_wake(iu_runtime *rt);

/* ---- 2. universe: opening and closing ----------------------------------------------------------------------------------------------------- */

/* Where a connection to a server stands. An embedded universe is always connected and never says so. */
typedef enum iu_phase { IU_PHASE_CONNECTING, IU_PHASE_CONNECTED, IU_PHASE_DISCONNECTED } iu_phase;
typedef struct iu_conn_state {
  iu_phase phase;
  uint32_t attempt;              /* of connecting, from 1; starts again after a success */
  int64_t delay_ms;              /* disconnected: until the next attempt; -1: there will be none */
  uint16_t close_code;           /* disconnected: 0 where there was no close frame */
  const iu_error *why;           /* disconnected: the reason; else NULL */
  const char *protocol;          /* connected: what was chosen ("v2.bsatn.spacetimedb") */
  bool schema_changed;           /* what iu_schema gives is another one from here on; scans have ended */
  bool identity_changed;
} iu_conn_state;
typedef void (*iu_state_fn)(void *ud, iu_universe *u, const iu_conn_state *state);
/* It closed by itself (a server that refuses the token, no memory): why. Not called for your own iu_close. Nothing follows but iu_free. */
typedef void (*iu_closed_fn)(void *ud, iu_universe *u, const iu_error *why);

/* Start from iu_options_default(), where all is zero; zeros (NULL, false) mean what the brackets say. Texts are copied. New fields are added at the
 * end: a program built against an older header runs with a newer library, and the other way round as long as it leaves new fields zero. A field
 * for the other kind of target is an error, as are unknown words. */
typedef struct iu_options {
  size_t size;                   /* of this struct, as your program knows it */
  void *ud;                      /* of the functions below */
  iu_state_fn on_state;
  iu_closed_fn on_closed;
  int64_t timeout_ms;            /* [30000] what a timeout of 0 means; below 0: no limit */
  /* embedded (memory:, files) */
  const char *durability;        /* ["normal"] "full": a call ends on disk; "normal": within flush_interval_ms; "off": memory only */
  uint32_t flush_interval_ms;    /* [20] */
  uint64_t fold_bytes;           /* [64 MiB] of journal that start a fold */
  uint64_t pending_bytes_max;    /* [256 MiB; at least 64 KiB] not yet written; past it iu_call waits for room, what must not wait is IU_E_OVERLOADED */
  /* servers (ws://, wss://) */
  bool background;               /* [false: iu_open waits for the connection] true: on_state tells */
  const char *token;             /* the identity to be; without it, and without a token file, a new anonymous one */
  const char *token_file;        /* read at the start, written (mode 0600) when the server gave a token; "auto": one per server and database below the user's state folder; "none": none */
  const char *protocol;          /* [the best both know] "v1", "v2", "v3", "v1.json" */
  const char *compression;       /* ["none"] "gzip", "brotli": of what comes from there */
  bool light;                    /* v1: others' changes without their reducer */
  int confirmed;                 /* [0: the server's default] 1, -1: changes are told when they are durable there, or not */
  uint64_t connect_timeout_ms;   /* [10000] for one attempt */
  uint64_t ping_interval_ms;     /* [10000] of silence after which a ping is sent */
  uint64_t idle_timeout_ms;      /* [35000] of silence after which the connection counts as lost */
  bool no_reconnect;             /* a loss closes */
  bool retry_first;              /* the first connect is tried again, too */
  uint32_t attempts_max;         /* [0: without end] in a row */
  uint64_t delay_min_ms, delay_max_ms; /* [500, 30000] before a new attempt: doubled each time, half of it random */
  const char *away;              /* ["refuse"] "queue": what becomes of calls while there is no connection */
  uint32_t away_calls_max;       /* [10000] */
  uint64_t away_bytes_max;       /* [8 MiB] */
  uint32_t in_flight_max;        /* [8192] requests without an answer; more wait */
  uint64_t outgoing_bytes_max;   /* [64 MiB] of requests that wait; past it IU_E_OVERLOADED */
  uint64_t incoming_bytes_max;   /* [64 MiB] received and not applied; past it nothing more is read */
  uint64_t message_bytes_max;    /* [64 MiB] of one message; past it the connection starts anew */
  uint64_t answer_bytes_max;     /* [32 MiB] of the answer to a query; past it the query ends with IU_E_OVERLOADED */
  const char *ca_file;           /* wss: trusted instead of the system's certificates */
  bool insecure;                 /* wss: trusts anybody; for tests */
  bool owner;                    /* ask for private tables, too */
  /* embedded: tables and reducers of your own (section 9) */
  struct iu_module *const *modules; /* [none] in this order, behind NERV's; each is held until the universe is gone */
  size_t module_count;
  bool no_nerv;                  /* [false] without NERV's tables and reducers; needs a module */
  /* embedded: a file as target */
  const char *recover;           /* ["no"] "prefix": a file whose journal is damaged opens with the commits before the damage; the others are set aside beside it */
  bool snapshot;                 /* [false] in memory, starting with what the file holds, which is only read, also while it is open elsewhere */
} iu_options;
static inline iu_options iu_options_default(void) {
  iu_options o = IU_ALL_ZERO;
  o.size = sizeof o;
  return o;
}

/* target: "memory:", a path or "file:path", "ws://host:port/database", "wss://...". options NULL: the defaults. */
IU_API iu_status iu_open(iu_runtime *rt, const char *target, const iu_options *options, iu_universe **out, iu_error *err);
/* Another connection of the same embedded universe, with an identity (32 bytes, little endian; NULL: a fresh one), subscriptions and handlers of its own.
 * Closing the universe that was opened closes its sessions. IU_E_OVERLOADED while the journal is full (pending_bytes_max): it does not wait. */
IU_API iu_status iu_open_session(iu_universe *u, const uint8_t *identity, iu_universe **out, iu_error *err);
/* In order: what was sent to a server is waited for (at most 5 s; not inside a callback), calls that are still pending end, the
 * journal is written (blocks), the connection closes. Idempotent. The handle stays; every function then says IU_E_CLOSED. err: what was not saved. */
IU_API iu_status iu_close(iu_universe *u, iu_error *err);
/* Closes where that was not done and gives the handle up. Cursors stay good until they are freed. NULL is fine. */
IU_API void iu_free(iu_universe *u);

IU_API iu_runtime *iu_runtime_of(const iu_universe *u);
IU_API bool iu_is_closed(const iu_universe *u);
IU_API bool iu_is_owner(const iu_universe *u);       /* of the database: private tables may be read */
/* Who this connection is: little endian, as in rows. Zeros before the first connect. */
IU_API iu_status iu_identity(const iu_universe *u, uint8_t out[32], iu_error *err);
IU_API iu_status iu_connection_id(const iu_universe *u, uint8_t out[16], iu_error *err);
/* `size` little-endian bytes as people write them: 2 * size hex digits, most significant first, and a terminator. */
IU_API void iu_hex(const uint8_t *bytes, size_t size, char *out);

/* Set `size` before the call; fields that the library does not know stay as they are. Texts are borrowed until the next call on the universe. */
typedef struct iu_info {
  size_t size;
  bool is_server;
  iu_phase phase;                /* embedded: connected */
  const char *location;          /* the file's path, "memory:", or the server's URL */
  const char *database;          /* servers; "" */
  const char *protocol;          /* servers, while connected; "" */
  const char *token;             /* servers: to be this identity again; "" */
  const char *durability;        /* embedded: "full", "normal", "off"; servers: "confirmed", "unconfirmed" */
  uint64_t rows, row_bytes;      /* held here: all rows (embedded), the subscribed ones (servers) */
  uint64_t calls;                /* committed (embedded), sent (servers) */
  uint64_t pending_bytes;        /* not yet on disk (embedded), not yet sent (servers) */
  uint64_t in_flight;            /* servers: requests without an answer */
  uint64_t connects;             /* servers */
  uint64_t bytes_received, bytes_sent;
} iu_info;
IU_API iu_status iu_get_info(iu_universe *u, iu_info *out, iu_error *err);

/* ---- 3. args: what you hand in ---------------------------------------------------------------------------------------------------------- */

/* One argument of a reducer, one column of a key, one part of those. Made by the functions below, by value; what they are given is borrowed until the
 * call that takes the arg has returned. Which types a form fits is checked against the schema by that call. */
typedef enum iu_arg_kind {
  IU_ARG_NONE,                   /* an Option without a value, a unit */
  IU_ARG_BOOL,
  IU_ARG_I64, IU_ARG_U64,        /* every integer type that holds the value; Timestamp, TimeDuration */
  IU_ARG_F64,                    /* F32 (rounded), F64 */
  IU_ARG_TEXT,                   /* String; the name of a unit variant; Identity, ConnectionId, Uuid as people write them */
  IU_ARG_BYTES,                  /* Array<U8>; integers of 128 and 256 bits, Identity, ConnectionId, Uuid as little-endian bytes of their size */
  IU_ARG_LIST,                   /* `len` parts: the elements of an array, the fields of a product in order */
  IU_ARG_VARIANT,                /* of a sum: `name` and one part */
  IU_ARG_JSON,                   /* any type, as SATS-JSON text */
  IU_ARG_BSATN                   /* any type, as its bytes */
} iu_arg_kind;
typedef struct iu_arg {
  iu_arg_kind kind;
  size_t len;
  union { bool b; int64_t i; uint64_t u; double d; const void *p; } v;
  const char *name;
} iu_arg;

static inline iu_arg iu_arg_of(iu_arg_kind kind, const void *p, size_t len) {
  iu_arg a;
  a.kind = kind;
  a.len = len;
  a.v.p = p;
  a.name = NULL;
  return a;
}
static inline iu_arg iu_arg_none(void) { return iu_arg_of(IU_ARG_NONE, NULL, 0); }
static inline iu_arg iu_arg_bool(bool b) { iu_arg a = iu_arg_of(IU_ARG_BOOL, NULL, 0); a.v.b = b; return a; }
static inline iu_arg iu_arg_i64(int64_t i) { iu_arg a = iu_arg_of(IU_ARG_I64, NULL, 0); a.v.i = i; return a; }
static inline iu_arg iu_arg_u64(uint64_t u) { iu_arg a = iu_arg_of(IU_ARG_U64, NULL, 0); a.v.u = u; return a; }
static inline iu_arg iu_arg_f64(double d) { iu_arg a = iu_arg_of(IU_ARG_F64, NULL, 0); a.v.d = d; return a; }
#define IU_TERMINATED SIZE_MAX   /* as a length: the text ends with a zero byte */
static inline iu_arg iu_arg_text_n(const char *text, size_t len) { return iu_arg_of(IU_ARG_TEXT, text, len); }
static inline iu_arg iu_arg_text(const char *text) { return iu_arg_of(IU_ARG_TEXT, text, IU_TERMINATED); }
static inline iu_arg iu_arg_bytes(const void *bytes, size_t len) { return iu_arg_of(IU_ARG_BYTES, bytes, len); }
static inline iu_arg iu_arg_list(const iu_arg *parts, size_t count) { return iu_arg_of(IU_ARG_LIST, parts, count); }
/* payload NULL: a unit variant. */
static inline iu_arg iu_arg_variant(const char *name, const iu_arg *payload) { iu_arg a = iu_arg_of(IU_ARG_VARIANT, payload, 0); a.name = name; return a; }
static inline iu_arg iu_arg_json(const char *text) { return iu_arg_of(IU_ARG_JSON, text, IU_TERMINATED); }
static inline iu_arg iu_arg_bsatn(const void *bytes, size_t len) { return iu_arg_of(IU_ARG_BSATN, bytes, len); }

/* ---- 4. calls ------------------------------------------------------------------------------------------------------------------------------ */

typedef struct iu_cursor iu_cursor;
/* How something that was begun ended: exactly once for each, by the loop's turn or by the close. err NULL: it went well. rows: of a query, or the one
 * value of a procedure; given; NULL for all else. */
typedef void (*iu_done_fn)(void *ud, iu_universe *u, const iu_error *err, iu_cursor *rows);

/* Calls a reducer and waits for its end: committed, refused (the reducer's message), IU_E_TIMEOUT, or IU_E_UNKNOWN_OUTCOME when the connection was lost
 * after it was sent. A wrong name, count or type fails here, with the reducer's signature in the message, and nothing is sent; for a name that a
 * server's schema does not have, the schema is read anew once. Options at the end may be left out. args may be NULL when count is 0. */
IU_API iu_status iu_call(iu_universe *u, const char *reducer, const iu_arg *args, size_t count, int64_t timeout_ms, iu_error *err);
/* The arguments as JSON text: an array, or an object by parameter names. */
IU_API iu_status iu_call_json(iu_universe *u, const char *reducer, const char *json, int64_t timeout_ms, iu_error *err);
/* Does not wait. IU_OK: `done` (NULL: a failure goes to the runtime's on_error) is called once, later. Else the call was not made and `done` is
 * never called: a wrong name, count or type, a closed universe, no memory. The reducer's refusal always goes to `done`. */
IU_API iu_status iu_call_async(iu_universe *u, const char *reducer, const iu_arg *args, size_t count, int64_t timeout_ms, iu_done_fn done, void *ud,
                               iu_error *err);
IU_API iu_status iu_call_json_async(iu_universe *u, const char *reducer, const char *json, int64_t timeout_ms, iu_done_fn done, void *ud, iu_error *err);

/* A procedure of a server's module: its value is the cursor's one value. */
IU_API iu_status iu_procedure(iu_universe *u, const char *name, const iu_arg *args, size_t count, int64_t timeout_ms, iu_cursor **value, iu_error *err);
IU_API iu_status iu_procedure_async(iu_universe *u, const char *name, const iu_arg *args, size_t count, int64_t timeout_ms, iu_done_fn done, void *ud,
                                    iu_error *err);

/* Waits until everything before it is on disk (embedded), or answered (servers; on v2 and v3 with confirmed reads: durable there). */
IU_API iu_status iu_flush(iu_universe *u, int64_t timeout_ms, iu_error *err);
IU_API iu_status iu_flush_async(iu_universe *u, int64_t timeout_ms, iu_done_fn done, void *ud, iu_error *err);

/* A copy of an embedded universe's file while it is in use: another universe, of the moment of the first step, with everything in it that was acknowledged before
 * iu_backup_begin, which flushes. It is made beside `target` and renamed there by the last step. A file that is there is IU_E_VALIDATION, or with
 * `overwrite` replaced when it is a universe that is not open. In memory and on servers: IU_E_VALIDATION; not the owner: IU_E_AUTHORIZATION.
 * A step works for about slice_ms and may run on any thread, one at a time; after a failure all fail. done, total (bytes) and complete may be NULL.
 * iu_backup_cancel may be called while a step runs, which ends with IU_E_CLOSED; iu_backup_end frees, and removes what is not complete. The
 * universe may be closed meanwhile. */
typedef struct iu_backup iu_backup;
IU_API iu_status iu_backup_begin(iu_universe *u, const char *target, bool overwrite, int64_t timeout_ms, iu_backup **out, iu_error *err);
IU_API iu_status iu_backup_step(iu_backup *b, uint32_t slice_ms, uint64_t *done, uint64_t *total, bool *complete, iu_error *err);
IU_API void iu_backup_cancel(iu_backup *b);
IU_API void iu_backup_end(iu_backup *b);

/* Servers: reads the module's schema anew (a compatible republish is not announced). Embedded: nothing. */
IU_API iu_status iu_refresh_schema(iu_universe *u, int64_t timeout_ms, iu_error *err);

/* ---- 5. subscriptions and row callbacks ------------------------------------------------------------------------------------------------------ */

/* applied, then ended or failed; or failed; or only ended. After ended or failed the number means nothing any more. err: failed. */
typedef enum iu_sub_event { IU_SUB_APPLIED, IU_SUB_ENDED, IU_SUB_FAILED } iu_sub_event;
typedef void (*iu_subscription_fn)(void *ud, iu_universe *u, uint64_t subscription, iu_sub_event what, const iu_error *err);

/* Subscribes to queries (SQL texts), applied together, and waits until their rows are here. `fn` (may be NULL) hears what comes later.
 * When it fails or the time is over, nothing is subscribed. *subscription (may be NULL) is its number. */
IU_API iu_status iu_subscribe(iu_universe *u, const char *const *queries, size_t count, int64_t timeout_ms, iu_subscription_fn fn, void *ud,
                              uint64_t *subscription, iu_error *err);
/* Does not wait; `fn` (may be NULL) hears everything. */
IU_API iu_status iu_subscribe_async(iu_universe *u, const char *const *queries, size_t count, iu_subscription_fn fn, void *ud, uint64_t *subscription,
                                    iu_error *err);
/* Rows that no other subscription holds are deleted from the view, and their handlers hear it; then `fn` hears IU_SUB_ENDED. */
IU_API iu_status iu_unsubscribe(iu_universe *u, uint64_t subscription, iu_error *err);

/* A row, a column, a part of one. Copied freely; points into the row, and is good as long as that is. */
typedef struct iu_value {
  const void *type, *bytes, *schema; /* the library's */
  size_t len;
} iu_value;

/* Why rows change; borrowed for the callback. */
typedef struct iu_event iu_event;
IU_API bool iu_event_is_subscription(const iu_event *e);         /* the first (or last) state of a subscription; nothing below is known */
IU_API const char *iu_event_reducer(const iu_event *e);          /* its name; NULL: not known (others' transactions on v2 and v3) */
IU_API bool iu_event_args(const iu_event *e, iu_value *out);     /* a product of its parameters; false: not known */
IU_API bool iu_event_is_own(const iu_event *e);                  /* this connection called it */
IU_API int64_t iu_event_timestamp(const iu_event *e);            /* microseconds; 0: not known */
IU_API bool iu_event_caller(const iu_event *e, uint8_t identity[32], uint8_t connection_id[16]); /* false: not known; both may be NULL */
IU_API uint64_t iu_event_transaction(const iu_event *e);         /* the same for all rows of one, for no other one; 0: not known */

enum { IU_ON_INSERT = 1, IU_ON_UPDATE = 2, IU_ON_DELETE = 4, IU_ON_ALL = 7 };
/* Insert: old_row is NULL; delete: new_row is NULL; update: both, with the same primary key. The rows are good until it returns. */
typedef void (*iu_row_handler)(void *ud, iu_universe *u, const iu_value *old_row, const iu_value *new_row, const iu_event *event);
/* Hears what the subscriptions bring, of one table; handlers run in the order they were added. *handler (may be NULL) is its number. Before a
 * universe has connected for the first time any name is taken, and holds as soon as the schema has such a table. */
IU_API iu_status iu_on_row(iu_universe *u, const char *table, unsigned what, iu_row_handler fn, void *ud, uint64_t *handler, iu_error *err);
/* From here on it is not called any more. */
IU_API iu_status iu_cancel(iu_universe *u, uint64_t handler, iu_error *err);

/* ---- 6. reading ---------------------------------------------------------------------------------------------------------------------------- */

/* Reads of the subscribed rows, which answer at once, in callbacks too. A row in *row is good until the loop is turned or a function is called that
 * may run callbacks (see the top); a cursor's rows until it is freed. */

/* By primary key. *found false: there is none. row may be NULL. */
IU_API iu_status iu_get(iu_universe *u, const char *table, const iu_arg *key, iu_value *row, bool *found, iu_error *err);
IU_API iu_status iu_count(iu_universe *u, const char *table, uint64_t *count, iu_error *err);
/* Rows whose index (its accessor or name) has these values, in the index's order: a value for each of its first `count` columns. */
IU_API iu_status iu_find(iu_universe *u, const char *table, const char *index, const iu_arg *key, size_t count, iu_cursor **out, iu_error *err);
/* All rows in the order of an index (NULL: the primary key's); low and high (NULL: open) bound its first column, both included. Sees the rows as they
 * are now, whatever happens later; ends when the universe is closed or its schema changes. */
IU_API iu_status iu_scan(iu_universe *u, const char *table, const char *index, const iu_arg *low, const iu_arg *high, bool descending, iu_cursor **out,
                         iu_error *err);

/* A one-off query of the latest committed state, subscribed or not: SELECT * FROM table [WHERE ...]. */
IU_API iu_status iu_query_once(iu_universe *u, const char *sql, int64_t timeout_ms, iu_cursor **out, iu_error *err);
IU_API iu_status iu_query_once_async(iu_universe *u, const char *sql, int64_t timeout_ms, iu_done_fn done, void *ud, iu_error *err);

/* false: there is no next one, or the cursor was cut (iu_cursor_status says why). The row is good until the cursor is freed. */
IU_API bool iu_cursor_next(iu_cursor *c, iu_value *row);
/* How many rows it has in all; IU_COUNT_UNKNOWN for scans and finds. */
#define IU_COUNT_UNKNOWN UINT64_MAX
IU_API uint64_t iu_cursor_count(const iu_cursor *c);
IU_API iu_status iu_cursor_status(const iu_cursor *c, iu_error *err);
IU_API void iu_cursor_free(iu_cursor *c);

/* ---- 7. values ------------------------------------------------------------------------------------------------------------------------------- */

typedef enum iu_kind {
  IU_KIND_INVALID, IU_KIND_BOOL, IU_KIND_I8, IU_KIND_U8, IU_KIND_I16, IU_KIND_U16, IU_KIND_I32, IU_KIND_U32, IU_KIND_I64, IU_KIND_U64, IU_KIND_I128,
  IU_KIND_U128, IU_KIND_I256, IU_KIND_U256, IU_KIND_F32, IU_KIND_F64, IU_KIND_STRING, IU_KIND_BYTES, IU_KIND_ARRAY, IU_KIND_PRODUCT, IU_KIND_SUM,
  IU_KIND_OPTION, IU_KIND_IDENTITY, IU_KIND_CONNECTION_ID, IU_KIND_TIMESTAMP, IU_KIND_TIME_DURATION, IU_KIND_UUID
} iu_kind;
IU_API iu_kind iu_value_kind(const iu_value *v);

/* Typed reads. A value of another kind, or an integer that does not fit, is IU_E_VALIDATION saying what it is. An Option that has a value is read
 * as that value; without one it is IU_E_VALIDATION (ask iu_value_is_none before). */
IU_API bool iu_value_is_none(const iu_value *v);                                    /* an Option without a value */
IU_API iu_status iu_value_bool(const iu_value *v, bool *out, iu_error *err);
IU_API iu_status iu_value_i64(const iu_value *v, int64_t *out, iu_error *err);      /* every integer; Timestamp, TimeDuration (microseconds) */
IU_API iu_status iu_value_u64(const iu_value *v, uint64_t *out, iu_error *err);
IU_API iu_status iu_value_f64(const iu_value *v, double *out, iu_error *err);       /* F32, F64 */
IU_API iu_status iu_value_string(const iu_value *v, const char **text, size_t *len, iu_error *err);   /* borrowed, NOT terminated, UTF-8 */
IU_API iu_status iu_value_bytes(const iu_value *v, const uint8_t **bytes, size_t *len, iu_error *err); /* Array<U8>; borrowed */
/* Integers of 128 and 256 bits, Identity (32), ConnectionId and Uuid (16): little-endian bytes; size must be theirs. */
IU_API iu_status iu_value_fixed(const iu_value *v, uint8_t *out, size_t size, iu_error *err);

/* Parts. `out` may be `v` itself, but for iu_value_next. */
IU_API uint32_t iu_value_count(const iu_value *v);                                   /* fields, elements; 1 or 0 for an Option; 1 for a sum; else 0 */
IU_API iu_status iu_value_at(const iu_value *v, uint32_t position, iu_value *out, iu_error *err);     /* from 0; O(position) */
IU_API iu_status iu_value_field(const iu_value *v, const char *name, iu_value *out, iu_error *err);   /* of a product: a row's column */
/* One part after the other, each in O(1): start with *position 0 and give the same `out` again; false when there are no more. */
IU_API bool iu_value_next(const iu_value *v, uint32_t *position, iu_value *out);
/* Which variant a sum is (borrowed; "" when it has no name), and what is in it. tag, name and payload may be NULL. */
IU_API iu_status iu_value_variant(const iu_value *v, uint32_t *tag, const char **name, iu_value *payload, iu_error *err);

/* Columns of a row by name, in one step. */
IU_API iu_status iu_column_bool(const iu_value *row, const char *name, bool *out, iu_error *err);
IU_API iu_status iu_column_i64(const iu_value *row, const char *name, int64_t *out, iu_error *err);
IU_API iu_status iu_column_u64(const iu_value *row, const char *name, uint64_t *out, iu_error *err);
IU_API iu_status iu_column_f64(const iu_value *row, const char *name, double *out, iu_error *err);
IU_API iu_status iu_column_string(const iu_value *row, const char *name, const char **text, size_t *len, iu_error *err);

/* For people: a string as it is; an Identity, ConnectionId or Uuid as it is written; all else as readable JSON. Writes at most size - 1 bytes, cut
 * at a character, and a terminator (size 0: nothing); *needed (may be NULL) is the whole length. */
IU_API iu_status iu_value_text(const iu_value *v, char *out, size_t size, size_t *needed, iu_error *err);
/* As SATS-JSON (what iu_arg_json takes), terminated; given: iu_string_free. */
IU_API iu_status iu_value_json(const iu_value *v, char **out, size_t *len /* may be NULL */, iu_error *err);
IU_API void iu_string_free(char *text);
/* Its BSATN; borrowed. */
IU_API iu_status iu_value_bsatn(const iu_value *v, const uint8_t **bytes, size_t *len, iu_error *err);

/* ---- 8. schema -------------------------------------------------------------------------------------------------------------------------------- */

/* Everything here is borrowed and good until the universe is freed. Positions count from 0; names outside give NULL. */
typedef struct iu_schema iu_schema;
IU_API const iu_schema *iu_get_schema(const iu_universe *u);    /* before the first connect: without tables and reducers */
IU_API uint32_t iu_schema_tables(const iu_schema *s);
IU_API uint32_t iu_schema_reducers(const iu_schema *s);
IU_API uint32_t iu_schema_procedures(const iu_schema *s);
IU_API const char *iu_schema_table_name(const iu_schema *s, uint32_t table);
IU_API const char *iu_schema_reducer_name(const iu_schema *s, uint32_t reducer);
IU_API const char *iu_schema_procedure_name(const iu_schema *s, uint32_t procedure);
IU_API int64_t iu_schema_table_named(const iu_schema *s, const char *name);       /* its position; -1: none */
IU_API int64_t iu_schema_reducer_named(const iu_schema *s, const char *name);
IU_API bool iu_table_is_public(const iu_schema *s, uint32_t table);
IU_API int64_t iu_table_primary_key(const iu_schema *s, uint32_t table);          /* its column; -1: none */
IU_API uint32_t iu_table_columns(const iu_schema *s, uint32_t table);
IU_API const char *iu_table_column_name(const iu_schema *s, uint32_t table, uint32_t column);
IU_API iu_kind iu_table_column_kind(const iu_schema *s, uint32_t table, uint32_t column);
/* "Option<String>"; as iu_value_text writes. */
IU_API iu_status iu_table_column_type(const iu_schema *s, uint32_t table, uint32_t column, char *out, size_t size, size_t *needed, iu_error *err);
IU_API uint32_t iu_table_indexes(const iu_schema *s, uint32_t table);
IU_API const char *iu_table_index_name(const iu_schema *s, uint32_t table, uint32_t index); /* its accessor: what iu_find and iu_scan take */
IU_API bool iu_table_index_is_unique(const iu_schema *s, uint32_t table, uint32_t index);
IU_API uint32_t iu_table_index_columns(const iu_schema *s, uint32_t table, uint32_t index);
IU_API int64_t iu_table_index_column(const iu_schema *s, uint32_t table, uint32_t index, uint32_t position); /* a column; -1 */
/* "create_entity(entity_type: String, metadata: EntityMetadata, id: Option<String>)" */
IU_API iu_status iu_reducer_signature_text(const iu_schema *s, uint32_t reducer, char *out, size_t size, size_t *needed, iu_error *err);

/* ---- 9. modules: tables and reducers of your own ------------------------------------------------------------------------------------------------ */

/* A module is declared, then given to iu_open (iu_options.modules); from then on nothing can be added to it. It may be opened by several universes, one after
 * the other or at once; your functions run on their runtime's thread. A mistake is an error of the function that can see it, or of iu_open, and
 * names table, column and what was expected; the first one stays: every later declaration answers with it.
 *
 * Types are words: bool, i8 ... i256, u8 ... u256, f32, f64, string, bytes, identity, connection_id, timestamp, time_duration, uuid, schedule_at, unit, the
 * names of types that iu_module_type defines (before or after), [T] for an array, T? for an Option. */
typedef struct iu_module iu_module;
typedef struct iu_ctx iu_ctx;
typedef struct iu_member { const char *name, *type; } iu_member;

IU_API iu_status iu_module_new(const char *name /* an identifier */, iu_module **out, iu_error *err);
/* Gives the handle up; universes that are open keep the module. NULL is fine. */
IU_API void iu_module_free(iu_module *m);
IU_API iu_status iu_module_product(iu_module *m, const char *name, const iu_member *fields, size_t count, iu_error *err);
IU_API iu_status iu_module_sum(iu_module *m, const char *name, const iu_member *variants, size_t count, iu_error *err);

enum { IU_TABLE_PRIVATE = 1 };   /* not shown to clients but the owner */
enum { IU_COLUMN_PRIMARY_KEY = 1, IU_COLUMN_AUTO_INC = 2, IU_COLUMN_UNIQUE = 4, IU_COLUMN_INDEXED = 8 };
IU_API iu_status iu_module_table(iu_module *m, const char *name, unsigned flags, iu_error *err);
/* Of a table that is declared. default_value (may be NULL): what rows of a file that was written before the column was added get. */
IU_API iu_status iu_module_column(iu_module *m, const char *table, const char *name, const char *type, unsigned flags, const iu_arg *default_value, iu_error *err);
/* On columns that are declared. accessor: its name for finds and scans; NULL: the columns' names joined by "_". */
IU_API iu_status iu_module_index(iu_module *m, const char *table, const char *accessor, const char *const *columns, size_t count, bool unique, iu_error *err);
/* The rows of the table run the reducer at the time (once, then the row is deleted) or interval in `column`, a schedule_at. The table's primary key is a u64. The
 * reducer is declared without parameters and gets the row. */
IU_API iu_status iu_module_schedule(iu_module *m, const char *table, const char *column, const char *reducer, iu_error *err);

/* IU_OK commits; anything else undoes all that was written and goes to the caller with the text in err (never NULL): iu_fail. args: a product of the
 * parameters; borrowed, as is ctx. Inside it use the iu_ctx functions alone: those that take a universe see what was committed before, and calls are refused. */
typedef iu_status (*iu_reducer_fn)(void *ud, iu_ctx *ctx, const iu_value *args, iu_error *err);
IU_API iu_status iu_module_reducer(iu_module *m, const char *name, const iu_member *params, size_t count, iu_reducer_fn fn, void *ud, iu_error *err);
/* init: once in the life of a universe. connected, disconnected: for each connection; a refusal refuses it. They have no parameters. */
typedef enum iu_moment { IU_MOMENT_INIT = 1, IU_MOMENT_CONNECTED, IU_MOMENT_DISCONNECTED } iu_moment;
IU_API iu_status iu_module_on(iu_module *m, iu_moment moment, iu_reducer_fn fn, void *ud, iu_error *err);

/* Who called, and when: the same for all of a transaction. connection_id is zero where there is none (schedules, init). */
IU_API void iu_ctx_sender(const iu_ctx *ctx, uint8_t identity[32]);
IU_API void iu_ctx_connection_id(const iu_ctx *ctx, uint8_t connection_id[16]);
IU_API int64_t iu_ctx_timestamp(const iu_ctx *ctx);
IU_API uint64_t iu_ctx_random(iu_ctx *ctx);         /* 64 even bits; every transaction has its own sequence */

/* Rows as the transaction sees them. A row is good until the reducer returns, or an iu_ctx_call fails that had written it. Columns are given as in the table, all
 * of them; auto-increment columns that are 0 get their number. A unique violation is IU_E_CONFLICT that names table, column and value. `row` may be NULL. */
IU_API iu_status iu_ctx_insert(iu_ctx *ctx, const char *table, const iu_arg *columns, size_t count, iu_value *row, iu_error *err);
/* By primary key, as are delete and get. The row must be there: IU_E_VALIDATION. */
IU_API iu_status iu_ctx_update(iu_ctx *ctx, const char *table, const iu_arg *columns, size_t count, iu_value *row, iu_error *err);
/* Some columns of a row that is there, as iu_ctx_get, _find or _scan gave it; the others stay as they are. columns: their positions in the table, from 0, each
 * once. `changed` may be NULL: the row as it is then; the one given does not change. */
IU_API iu_status iu_ctx_set(iu_ctx *ctx, const char *table, const iu_value *row, const uint32_t *columns, const iu_arg *values, size_t count, iu_value *changed,
                            iu_error *err);
/* The same of the row with that primary key. */
IU_API iu_status iu_ctx_patch(iu_ctx *ctx, const char *table, const iu_arg *key, const uint32_t *columns, const iu_arg *values, size_t count,
                              iu_value *changed, iu_error *err);
/* found may be NULL: then a row that is not there is IU_E_VALIDATION. */
IU_API iu_status iu_ctx_delete(iu_ctx *ctx, const char *table, const iu_arg *key, bool *found, iu_error *err);
/* A row as iu_ctx_get, _find and _scan gave it. */
IU_API iu_status iu_ctx_delete_row(iu_ctx *ctx, const char *table, const iu_value *row, iu_error *err);
IU_API iu_status iu_ctx_get(iu_ctx *ctx, const char *table, const iu_arg *key, iu_value *row, bool *found, iu_error *err);
IU_API iu_status iu_ctx_count(iu_ctx *ctx, const char *table, uint64_t *count, iu_error *err);
/* Rows as they were when it began, whatever is written meanwhile. What is not freed is freed when the reducer returns. */
typedef struct iu_ctx_rows iu_ctx_rows;
IU_API iu_status iu_ctx_find(iu_ctx *ctx, const char *table, const char *index, const iu_arg *key, size_t count, iu_ctx_rows **out, iu_error *err);
/* As iu_scan. */
IU_API iu_status iu_ctx_scan(iu_ctx *ctx, const char *table, const char *index, const iu_arg *low, const iu_arg *high, bool descending, iu_ctx_rows **out,
                             iu_error *err);
IU_API bool iu_ctx_rows_next(iu_ctx_rows *rows, iu_value *row);
IU_API void iu_ctx_rows_free(iu_ctx_rows *rows);
/* Another reducer of the universe, of any module, in this transaction: where it fails what it wrote is undone, and you may go on. */
IU_API iu_status iu_ctx_call(iu_ctx *ctx, const char *reducer, const iu_arg *args, size_t count, iu_error *err);

/* ---- 10. Lua ------------------------------------------------------------------------------------------------------------------------------------ */

struct lua_State;
/* The C half of `require "inner_universe"`: `inner_universe.core`. Hosts that embed Lua hand it to luaL_requiref (or let `require` find it); it is in
 * the Lua module and in libinner_universe_lua.a, not in libinner_universe. A host with a uv_loop_t of its own puts it, as a light userdata, into the
 * registry under IU_LUA_UV_LOOP before: then timers, connections and universes of that Lua state live on it, beside the host's own handles. It is turned
 * by iu.step (once a frame, in place of uv_run), iu.run, or what waits: only those resume Lua's tasks. After lua_close it needs one more turn. */
#define IU_LUA_UV_LOOP "inner_universe.uv_loop"
IU_API int luaopen_inner_universe_core(struct lua_State *L);

#ifdef __cplusplus
}
#endif
#endif
