/* internal.h: what the files of this folder share.
 *
 *   engine.c        opening, loading, closing; the journal's news
 *   load.c          what the journal has, into the store
 *   modules.c       what is hosted: definitions merged, reducers and lifecycles to their modules
 *   native.c        a module of core/module's ABI as a hosted one
 *   host_abi.c      what such a module sees of the engine: spacetime_10.0
 *   write.c         writes of a transaction, sequences, nested calls (hosted.h)
 *   schedule.c      scheduled tables: what is due when, and its run
 *   transaction.c   one reducer call from arguments to commit
 *   session.c       the connection seam: vtable, pending answers, one-off reads
 *   subscription.c  subscriptions of a session and what a commit changes in its view
 *   path_indexes.c  indexes over paths: made, kept at each commit, told of
 *   delivery.c      the queue of a session: apply, then call back, in slices
 *
 * Ownership: the engine owns store, schema, journal and module instance; it lives until its last session is released. A session
 * owns its view, subscriptions and queue. A commit record is shared by the queues it waits in.
 */
#ifndef IU_ENGINE_INTERNAL_H
#define IU_ENGINE_INTERNAL_H

#include "../query/path_index.h"
#include "engine.h"
#include "hosted.h"

typedef struct iu_engine iu_engine;
typedef struct iu_session iu_session;

/* ---- commit records: a change set and why it happened ---- */
typedef struct iu_commit {
  uint32_t refs;
  iu_changeset *changes; /* retained */
  const iu_reducer_def *reducer;
  const iu_session *caller; /* for `own` only; never followed */
  uint8_t identity[32], connection_id[16];
  int64_t timestamp;
  uint32_t args_len;
  uint8_t args[];
} iu_commit;

/* ---- the host side of a module instance ---- */
#define IU_HOST_ITERS_MAX 1024
#define IU_HOST_TIMERS_MAX 64

typedef struct iu_host_iter {
  iu_iter *it;             /* NULL: `single` only, or free */
  const iu_row *next;      /* read, not handed out yet */
  bool used;
} iu_host_iter;

typedef struct iu_host {
  iu_engine *engine;
  const iu_abi_module *module;
  void *instance;
  bool running;
  const uint8_t *args; size_t args_len, args_at; bool args_open;  /* byte source 1 */
  iu_buf sink;                                     /* byte sink 1: error text, or the definition */
  iu_host_iter *iters; uint32_t iter_count, iter_cap;
  uint64_t timers[IU_HOST_TIMERS_MAX];             /* start in ns; 0: free */
  char timer_names[IU_HOST_TIMERS_MAX][32];
  iu_error failure;                                /* a refusal of the host that a reducer cannot swallow */
} iu_host;

void iu__host_end_call(iu_host *h);  /* closes what the reducer left open */
/* native.c: *out is for the engine's list: its release frees what was made. The module is held. */
iu_status iu__native_module(iu_engine *e, const iu_abi_module *module, iu_hosted_module *out, iu_error *err);

/* ---- what is hosted ---- */
typedef struct iu_hosted { iu_hosted_module m; bool native; uint32_t first_table, tables, first_reducer, reducers; } iu_hosted;

struct iu_tx {
  iu_engine *engine;
  const iu_reducer_call *call;     /* the innermost one that runs; NULL: none */
  uint32_t depth;
  uint64_t number, random;
  uint64_t deleted_bytes;          /* what the journal will note of deleted rows, at most */
  uint32_t scheduled;              /* rows written to scheduled tables, at most */
};

/* ---- scheduled tables ---- */
/* A row that will run. It is the row of that key only while that has the epoch: one that was written again has another entry. */
typedef struct iu_due { int64_t at; uint64_t key, epoch; uint32_t table; } iu_due;
typedef struct iu_schedule {
  iu_due *heap; uint32_t count, cap;   /* earliest first */
  iu_timer *timer;                     /* NULL: no scheduled tables, or closing */
  iu_job job;                          /* posted while something is due: a timer of 0 ms would be run by the very turn that sets it */
} iu_schedule;

/* ---- sequences ---- */
typedef struct iu_sequence { uint32_t table, index; const iu_sequence_def *def; int64_t next; bool exhausted, dirty; } iu_sequence;

typedef struct iu_scheduled { struct iu_scheduled *next; uint32_t reducer; size_t args_len; uint8_t args[]; } iu_scheduled;

#define IU_ABI_TABLE_BASE 4096u   /* ids of user tables, as on SpacetimeDB 2.x */
#define IU_ABI_INDEX_BASE 4096u

struct iu_engine {
  iu_engine_config config;
  char *path;
  iu_schema *schema;
  iu_store *store;
  iu_journal *journal;
  iu_journal_recovery recovery;
  iu_hosted *modules; uint32_t module_count;
  uint8_t *module_of;              /* of each reducer */
  iu_tx tx;
  uint32_t *index_base;            /* first ABI index number of each table */
  uint32_t index_total;
  iu_sequence *sequences; uint32_t sequence_count; /* in the order of the tables */
  uint32_t *sequence_base;         /* the first one of each table, and one past the last */
  iu_sequence_value *sequence_values; /* room for one append */
  iu_schedule schedule;
  iu_scheduled *scheduled, **scheduled_end;
  iu_job scheduled_job;
  iu_wake *wake;
  iu_path_index **paths;           /* per table, linked lists */
  uint32_t path_count;
  iu_session *sessions;            /* linked list */
  uint32_t session_count, refs, pending_count;
  uint8_t owner[32], database_identity[32];
  int64_t last_timestamp;
  uint64_t last_seq;               /* of the last append */
  uint64_t transactions, rejected;
  uint32_t delivering;             /* a callback of one of the sessions is running */
  bool in_reducer, closing, closed;
  bool put_off;                    /* a session's turn to deliver came while nothing may be delivered */
  iu_error failure;                /* journal failure: writes are refused from then on; of the close too, where it found one */
};

/* ---- sessions ---- */
typedef struct iu_held_query { iu_query *query; struct iu_subscription *sub; struct iu_held_query *next_in_table; } iu_held_query;
typedef struct iu_subscription {
  struct iu_subscription *next;
  uint64_t id;
  uint32_t count;
  iu_held_query queries[];
} iu_subscription;

typedef enum iu_item_kind { IU_ITEM_COMMIT, IU_ITEM_SUBSCRIBE, IU_ITEM_UNSUBSCRIBE } iu_item_kind;
typedef struct iu_edge { uint32_t table; const iu_row *old_row, *new_row; } iu_edge;
typedef struct iu_item {
  struct iu_item *next;
  iu_item_kind kind;
  bool applied;                    /* the view shows it; callbacks remain */
  uint64_t epoch;
  iu_pin pin; bool pinned;         /* keeps the rows of `edges` that no commit record holds */
  iu_commit *commit;
  iu_subscription *sub;
  iu_edge *edges; uint32_t edge_count, edge_cap, edge_at;
  /* Whole tables that came or went are walked, not copied. */
  uint32_t *walk; uint32_t walk_count, walk_at; iu_iter *walk_iter;
} iu_item;

/* What is waited for: the sequence to be durable, or in the tables; or that the file is extended. */
enum { IU_AWAIT_DURABLE, IU_AWAIT_FOLDED, IU_AWAIT_EXTENDED };
typedef struct iu_pending { struct iu_pending *next; uint64_t id, seq; int what; } iu_pending;

struct iu_session {
  iu_connection base;
  iu_engine *engine;               /* valid until release */
  iu_session *next;
  uint32_t refs;
  bool primary, greeted, broken, ended;
  iu_error why;                    /* broken: what happened */
  iu_held_query **by_table;        /* active filtered queries, per table */
  iu_subscription *subs; uint32_t sub_count;
  iu_item *first, *last;
  iu_job job;
  iu_pending *pending, **pending_end; /* oldest first; where the next one goes, while there is any */ uint64_t next_id;
};

iu_session *iu__session_of(iu_connection *c);
void iu__session_retain(iu_session *s);
void iu__session_unref(iu_session *s);
/* The session cannot go on telling the truth (no memory): closes it; its listener hears why in the loop's next turn. */
void iu__session_break(iu_session *s, const iu_error *why);

/* engine.c */
void iu__engine_ref(iu_engine *e);
void iu__engine_unref(iu_engine *e);
iu_status iu__engine_close(iu_engine *e, iu_error *err);
iu_status iu__engine_check_writable(const iu_engine *e, iu_error *err);
void iu__engine_await(iu_engine *e, int delta);   /* how many answers wait for the journal */
extern const iu_connection_vtable iu__engine_vtable;

/* load.c */
iu_status iu__engine_load(iu_engine *e, iu_error *err);

/* modules.c */
iu_status iu__modules_take(iu_engine *e, const iu_engine_config *config, iu_error *err);  /* into e->modules; whatever it answers, the given ones are there */
iu_status iu__modules_merge(iu_engine *e, iu_error *err);   /* e->schema, and what is numbered after it */
iu_status iu__modules_bind(iu_engine *e, iu_error *err);    /* the store is there */
void iu__modules_release(iu_engine *e);
static inline iu_hosted *iu__module_of(iu_engine *e, uint32_t reducer) { return &e->modules[e->module_of[reducer]]; }
/* `init` of those modules that the file has not seen. */
iu_status iu__modules_init(iu_engine *e, iu_error *err);

/* write.c */
/* Draws a number for every sequence column that holds 0, writes it into the row and, behind each other, into `generated` (may be NULL; IU_GENERATED_MAX
 * bytes). false: a sequence is used up; *column is its column. */
#define IU_SEQUENCE_COLUMNS_MAX 16
#define IU_GENERATED_MAX (IU_SEQUENCE_COLUMNS_MAX * 32u)
bool iu__sequences_draw(iu_engine *e, const iu_table *t, uint8_t *row, size_t len, uint8_t *generated, uint32_t *generated_len, uint16_t *column);
iu_status iu__tx_room(iu_engine *e, size_t len, iu_error *err);            /* IU_E_OVERLOADED past the transaction's cap */
static inline void iu__tx_note_put(iu_tx *tx, const iu_table_def *def) { tx->scheduled += def->schedule_reducer >= 0; }
void iu__tx_note_delete(iu_tx *tx, const iu_table *t, const iu_row *row);  /* what the journal will keep of it */
iu_status iu__check_args(iu_engine *e, uint32_t reducer, const void *args, size_t len, iu_error *err);

/* transaction.c: *commit is given (NULL when nothing changed); lifecycle calls pass their own args. */
typedef struct iu_caller { uint8_t identity[32], connection_id[16]; const iu_session *session; } iu_caller;
iu_status iu__transaction_call(iu_engine *e, uint32_t reducer, const void *args, size_t len, const iu_caller *caller,
                               uint64_t *seq, iu_error *err);
/* A scheduled row runs; a one-shot row is deleted with it, also where its reducer fails: then that alone is committed. *ran: the row has had its run
 * (whatever came of it, which is logged); otherwise nothing happened and err says why. */
iu_status iu__transaction_scheduled(iu_engine *e, uint32_t table, const iu_row *row, bool once, bool *ran, iu_error *err);
void iu__commit_unref(iu_engine *e, iu_commit *c);

/* schedule.c */
iu_status iu__schedule_open(iu_engine *e, iu_error *err);      /* rows are loaded */
void iu__schedule_close(iu_engine *e);
iu_status iu__schedule_reserve(iu_engine *e, iu_error *err);   /* before a commit, room for what it will arm */
void iu__schedule_commit(iu_engine *e, const iu_changeset *changes);

/* subscription.c */
iu_status iu__subscription_new(iu_session *s, const iu_slice *queries, uint32_t count, iu_subscription **out, iu_error *err);
void iu__subscription_free(iu_session *s, iu_subscription *sub);
iu_status iu__item_apply(iu_session *s, iu_item *item, iu_error *err);   /* makes it visible and finds its edges */

/* path_indexes.c */
iu_status iu__paths_init(iu_engine *e, iu_error *err);
void iu__paths_free(iu_engine *e);
/* Right after the commit, while the rows that left are still there. Cannot fail. */
void iu__paths_commit(iu_engine *e, const iu_changeset *changes);

/* delivery.c */
bool iu__delivery_wants(const iu_session *s);   /* a commit concerns it: it has subscriptions, or a queue to stand in */
iu_status iu__delivery_push_commit(iu_session *s, iu_commit *c, iu_error *err);
iu_status iu__delivery_push_subscription(iu_session *s, iu_subscription *sub, bool ending, iu_error *err);
bool iu__delivery_run(iu_session *s, bool ignore_deadline);  /* true: something is left */
void iu__delivery_resume(iu_engine *e);         /* after a callback or a reducer: turns that were put off come again */
void iu__delivery_drop(iu_session *s);

#endif
