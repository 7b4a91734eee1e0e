/* bind.h: what the files of this folder share. The contract with Lua is README.md.
 *
 * One iu_lua per Lua state, a userdata in the registry: it outlives every other object of this folder (made first, collected last).
 * `L` is the thread to call back on: set by IU_ENTER around every call of the core that may deliver callbacks, restored by IU_LEAVE.
 */
#ifndef IU_BIND_BIND_H
#define IU_BIND_BIND_H

#include <lauxlib.h>
#include <lua.h>

#include "../base/clock.h"
#include "../client/client.h"
#include "../engine/engine.h"
#include "../host/callee.h"
#include "../sats/json.h"

#define IU_LUA_DEPTH_MAX IU_JSON_DEPTH_MAX

struct iu_lua_connection;
struct iu_lua_timer;
struct iu_lua_http;
struct iu_lua_process;
struct iu_lua_signal;
struct iu_lua_responder;
struct iu_lua_work;
struct iu_lua_run;
typedef struct iu_lua_rows iu_lua_rows;

typedef struct iu_lua {
  lua_State *L;                 /* the thread that entered the core, or NULL */
  void *uv_loop;                  /* the host's, or NULL */
  iu_loop *loop;                /* made on first use */
  int runner, on_error, on_alarm, log, error_mt;    /* registry references */
  iu_log_level log_level;
  uint32_t refs;                /* how many references are held through iu__ref */
  uint32_t gates;               /* callbacks running now */
  uint32_t turns;               /* loop turns that entered from Lua */
  iu_uuid_state uuid;
  int64_t pinned_micros;        /* what the wall clock says while `pinned` */
  bool pinned;                  /* a test has the time in its hands */
  bool seeded;                  /* and the ids */
  struct iu_lua_connection *connections;
  struct iu_lua_timer *timers;
  iu_timer *alarm;              /* made on first use */
  struct iu_lua_http *requests;
  struct iu_lua_process *processes;
  struct iu_lua_signal *signals;
  struct iu_lua_responder *responders;
  struct iu_lua_work *works;
  iu_lua_rows *rows;            /* being told (tell.c), or NULL */
  uint64_t watches;             /* how often conn:watch was called */
  int collector_owed;           /* KB that JSON took while the collector was stopped (json_decode.c) */
  iu_buf args;                  /* empty, kept for the next call of a reducer or procedure */
  struct iu_lua_run *run;       /* the innermost reducer of a module in Lua that runs now (module.h), or NULL */
  uint32_t plains;              /* functions __iu_plain that run now, for those who read a value by the types of a connection (json_encode.c) */
  bool closed;                  /* the state is closing and this is finalised: nothing may be made any more */
} iu_lua;

/* context.c */
iu_lua *iu__lua(lua_State *L);
iu_status iu__lua_loop(iu_lua *x, iu_loop **loop, iu_error *err);
int64_t iu__lua_micros(void *x);                   /* the wall clock, or what a test pinned it to; x: an iu_lua */
#define IU_ENTER(x, state) lua_State *iu_outer_ = (x)->L; (x)->L = (state)
#define IU_LEAVE(x) ((x)->L = iu_outer_)
int iu__ref(lua_State *L, iu_lua *x);              /* pops a value */
void iu__unref(lua_State *L, iu_lua *x, int *ref); /* LUA_NOREF afterwards */
void iu__lua_log(void *ud, iu_log_level level, const char *message);

/* gate.c: the only place that calls Lua (but for json_encode.c, which asks a draft for its value). `body` runs protected with ud as its one argument (light userdata). Errors, with their
 * traceback, go to the error handler. Returns whether it went well. */
bool iu__gate(iu_lua *x, lua_CFunction body, void *ud);
/* Whether the value at `at` is the interpreter's "interrupted!"; then it is raised again as soon as Lua code runs. */
bool iu__gate_interrupted(lua_State *L, int at);
/* Inside a gate: calls the function at -nargs-1 through the runner. */
void iu__gate_run(lua_State *L, iu_lua *x, int nargs);

/* error.c */
int iu__push_failure(lua_State *L, iu_lua *x, const iu_error *err); /* pushes nil, err; returns 2 */
void iu__push_error(lua_State *L, iu_lua *x, const iu_error *err);

/* class.c: one way to make userdata classes: methods in __index, metamethods apart, `close` for __gc and __close. */
typedef struct iu_class {
  const char *name;
  const luaL_Reg *methods, *metamethods;
  lua_CFunction close;          /* idempotent; NULL: nothing to close */
  lua_CFunction gc;             /* NULL: the same as close */
} iu_class;
void iu__class_define(lua_State *L, const iu_class *c);
void *iu__class_check(lua_State *L, int index, const char *name);   /* luaL_checkudata at less cost, for methods of that class */

/* json_encode.c, json_decode.c */
iu_status iu__lua_to_json(lua_State *L, int index, iu_buf *out, iu_error *err);   /* does not raise but for memory of Lua */
int iu__push_json_or_failure(lua_State *L, iu_lua *x, const void *text, size_t len); /* value, or nil and err; returns the count */
void iu__push_array_mt(lua_State *L);
void iu__push_object_mt(lua_State *L);
bool iu__is_array_mt(lua_State *L, int index);    /* of a metatable */
bool iu__is_object_mt(lua_State *L, int index);
void iu__json_open(lua_State *L);                 /* adds functions to the module table on top */

/* document.c: values outside of Lua's memory. */
typedef struct iu_document iu_document;
void iu__document_open(lua_State *L);
const iu_json *iu__document_node(lua_State *L, int index, iu_document **d); /* NULL: not a document. d may be NULL; borrowed from the value at index */
int iu__push_document(lua_State *L, iu_lua *x, iu_document *(*make)(void *ud, iu_error *err), void *ud); /* what make gives is taken; NULL: nil, err */
void iu__push_json_tree(lua_State *L, const iu_json *v);                     /* as Lua's tables; raises for memory, and for integers that are too long */
void iu__diff_open(lua_State *L);                 /* diff.c */
/* The tree of the value at `index`: a document's, or one in `arena`. NULL and *err, which names the argument. */
const iu_json *iu__tree_of(lua_State *L, int index, const char *name, iu_arena *arena, iu_error *err);
void iu__tree_hash_open(lua_State *L);            /* tree_hash.c */
int iu__push_hash(lua_State *L, const uint8_t digest[32]);                   /* as hex */

/* wide.c */
void iu__wide_open(lua_State *L);
void iu__gzip_open(lua_State *L);
void iu__secret_open(lua_State *L);                /* secret.c */
bool iu__wide_push_text(lua_State *L, const char *digits, size_t len);   /* false: too long; nothing pushed. Pushes an integer when it fits */
#define IU_WIDE_DIGITS_MAX 4096
#define IU_WIDE_TEXT_ROOM (IU_WIDE_DIGITS_MAX + 16)   /* sign, digits and the zeros before them that are written and cut */
size_t iu__wide_text(lua_State *L, int index, char *out, size_t room);   /* 0: not a wide, or less than IU_WIDE_TEXT_ROOM and no room */

/* value_encode.c, value_decode.c: SATS values. The path in an error starts with `what`. */
/* Never raises. */
iu_status iu__encode_value(lua_State *L, int index, const iu_type *t, const char *what, iu_buf *out, iu_error *err);
/* One parameter of a callee. With `defaults` (the index of a table; 0: none) a product need not be whole: the fields that the table at `index` does not have, or has as
 * null, are taken from there (options are none), nil stands for an empty table, and a String whose default is a table is written as the JSON text of an
 * object. Of such a table nothing but raw reads: one with a metatable is refused. */
iu_status iu__encode_argument(lua_State *L, int index, int defaults, const iu_field *p, iu_buf *out, iu_error *err);
void iu__push_value(lua_State *L, const iu_type *t, const uint8_t **p, const uint8_t *end);
void iu__push_product(lua_State *L, const iu_type *t, const uint8_t **p, const uint8_t *end);  /* as a table, whatever its fields are called */
void iu__push_row(lua_State *L, const iu_table_def *def, const iu_row *row);

/* bind_loop.c, connection.c, primitives.c, report.c: add their functions to the module table on top. */
void iu__loop_open(lua_State *L);
void iu__connection_open(lua_State *L);
void iu__primitives_open(lua_State *L);
void iu__report_open_functions(lua_State *L);
void iu__timers_close(iu_lua *x);
void iu__http_open(lua_State *L);                  /* http.c */
void iu__requests_close(iu_lua *x);
void iu__process_open(lua_State *L);               /* process.c */
void iu__processes_close(iu_lua *x);
void iu__signal_open(lua_State *L);                /* signal.c */
void iu__signals_close(iu_lua *x);
void iu__responder_open(lua_State *L);             /* responder.c */
void iu__responders_close(iu_lua *x);
void iu__work_open(lua_State *L);                  /* work.c */
void iu__works_close(iu_lua *x);
void iu__backup_open(lua_State *L);                /* backup.c */
void iu__working_copy_open(lua_State *L);          /* working_copy.c */
void iu__reshape_open_functions(lua_State *L);     /* reshape.c */
void iu__file_open(lua_State *L);                  /* file.c */
int iu__check_file_method(lua_State *L);
/* An iu_difference_fn: appends { table, message } to the list at index `list`. */
typedef struct iu_difference_list { lua_State *L; int list; bool lost; /* no memory for one */ } iu_difference_list;
void iu__on_difference(void *ud, const char *table, const char *what);
void iu__http_answer_open(lua_State *L);           /* http_answer.c */
void iu__module_open(lua_State *L);                /* module.c */

/* work.c: something that is worked off in steps on another thread. */
typedef struct iu_lua_work_kind {
  iu_status (*run)(void *job, iu_error *err);        /* a step; on another thread */
  int (*push)(lua_State *L, void *job);              /* what it came to, as Lua values: how many; protected */
  void (*limit)(void *job, uint64_t deadline_ns);    /* for the next step; of iu__clock_mono_ns, 0: none */
  void (*cancel)(void *job);                         /* while a step runs: it ends soon */
  void (*free)(void *job);
} iu_lua_work_kind;
/* Pushes an empty userdata; where its job belongs (taken), or NULL: no memory. */
void **iu__work_userdata(lua_State *L, iu_lua *x, const iu_lua_work_kind *kind);

/* What a connection's listener in Lua has functions for. */
enum { IU_LISTEN_ROWS, IU_LISTEN_SUBSCRIPTION, IU_LISTEN_ANSWER, IU_LISTEN_WENT_WELL, IU_LISTEN_CLOSED, IU_LISTEN_STATE, IU_LISTEN_COUNT };

/* connection.c */
typedef struct iu_lua_view_iter iu_lua_view_iter;
typedef struct iu_lua_connection {
  iu_connection *c;             /* NULL once closed */
  iu_connection *dead;          /* closed by a finaliser (or a function __iu_plain) while a method may still be using it: released with the userdata */
  iu_lua *x;
  struct iu_lua_connection *prev, *next;
  int listener[IU_LISTEN_COUNT];
  uint64_t event_transaction;   /* of the event table made last */
  struct iu_lua_view_iter *iters;
} iu_lua_connection;
iu_lua_connection *iu__check_connection(lua_State *L, int index);   /* raises when closed */
/* An empty userdata first, on the stack; then the connection (taken) in it: whatever raises in between, the collector finds it. */
iu_lua_connection *iu__connection_userdata(lua_State *L, iu_lua *x);
void iu__connection_adopt(iu_lua_connection *lc, iu_connection *c);
uint64_t iu__opt_u64(lua_State *L, int table, const char *name);    /* 0 when absent */
const char *iu__opt_text(lua_State *L, int table, const char *name); /* NULL when absent; borrowed from the table; raises for a zero byte */
/* The arguments from `first` on as BSATN of the callee's parameters. Does not raise. `defaults`: as iu__encode_argument has it. */
iu_status iu__encode_arguments(lua_State *L, const iu_schema *s, const iu_callee *f, int first, int defaults, iu_buf *args, iu_error *err);
uint32_t iu__check_table(lua_State *L, const iu_connection *c, int index, iu_error *err, bool *ok);
/* final: by the collector itself, so no method is running on it; nobody is told. */
void iu__connection_shut(lua_State *L, iu_lua_connection *lc, bool final, iu_error *err, iu_status *status);
/* Whether this runs in a finaliser, which may have interrupted any function that asked Lua for memory. */
bool iu__in_finalizer(lua_State *L);
void iu__table_open(lua_State *L);                 /* table.c */
int iu__table_get_method(lua_State *L);
int iu__table_find_method(lua_State *L);
int iu__table_count_method(lua_State *L);
int iu__table_iter_method(lua_State *L);
int iu__table_reads_method(lua_State *L);
void iu__view_iters_cut(iu_lua_connection *lc);      /* they raise from now on; the rows they hold stay */
void iu__view_iters_close(iu_lua_connection *lc);
/* listen.c */
void iu__connection_listen(iu_lua_connection *lc);
int iu__listen_method(lua_State *L);
void iu__push_hex(lua_State *L, const uint8_t *little, size_t size);   /* little-endian bytes as people write them */
const char *iu__phase_name(iu_phase phase);
void iu__push_rows(lua_State *L, const iu_rows *rows);
void iu__push_row_or_nil(lua_State *L, const iu_table_def *def, const iu_row *row);
/* tell.c */
void iu__tell_rows(void *ud, iu_row_source *source);   /* the listener's `rows`; ud: the iu_lua_connection */
/* read.c */
int iu__query_method(lua_State *L);
int iu__query_is_sql_method(lua_State *L);
int iu__get_method(lua_State *L);
int iu__select_method(lua_State *L);
int iu__explain_method(lua_State *L);
/* value; nil, err; or false, id. rows are taken; body makes Lua's value of them. */
int iu__give(lua_State *L, iu_lua *x, iu_status status, const iu_error *err, uint64_t pending, iu_rows *rows, lua_CFunction body);
/* The selection in the table at 3; leaves what it borrows on the stack. false: err says why. */
bool iu__read_selection(lua_State *L, iu_selection_spec *spec, iu_error *err);
int iu__rows_body(lua_State *L);                   /* light userdata of an iu_rows to an array */
/* report.c */
int iu__text_sync_method(lua_State *L);
int iu__text_sql_method(lua_State *L);
/* path_index.c */
int iu__create_index_method(lua_State *L);
int iu__drop_index_method(lua_State *L);
int iu__indexes_method(lua_State *L);
/* loose.c */
int iu__row_bytes_method(lua_State *L);
int iu__row_of_bytes_method(lua_State *L);
int iu__row_json_method(lua_State *L);
int iu__row_of_json_method(lua_State *L);
int iu__select_from_method(lua_State *L);
/* batch.c */
int iu__batch_method(lua_State *L);
void iu__batch_open(lua_State *L);
/* The elements of the batch at index, and how many, where it is one for this type of array. */
bool iu__put_batch(lua_State *L, int index, const iu_type *array, iu_buf *out, lua_Integer *count);
/* client.c */
void iu__client_open_functions(lua_State *L);
/* describe.c */
void iu__push_buffer(lua_State *L, iu_buf *b);     /* as a string; frees it, also when it raises */
int iu__give_buffer(lua_State *L, iu_lua *x, iu_status status, const iu_error *err, iu_buf *b);  /* a string; or nil, err. Frees it */
void iu__push_fields(lua_State *L, const iu_schema *s, const iu_type *product); /* { { name, type }, ... }; s NULL: without names for types */
void iu__push_schema(lua_State *L, const iu_schema *s);
int iu__describe_schema(lua_State *L);
int iu__schema_json_method(lua_State *L);
int iu__knows_method(lua_State *L);
int iu__definition_method(lua_State *L);
int iu__describe_status(lua_State *L);

#endif
