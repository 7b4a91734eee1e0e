/* internal.h: what the files of this folder share.
 *
 *   engine.c        opening, loading, closing; the journal's news
 *   load.c          what the journal has, into the store
 *   rehearse.c      an open without its consequences
 *   modules.c       what is hosted: definitions merged, reducers and lifecycles to their modules
 *   native.c        a module of core/module's ABI as a hosted one
 *   host_abi.c      what such a module sees of the engine: spacetime_10.0
 *   write.c         writes of a transaction, sequences, nested calls (hosted.h)
 *   schedule.c      scheduled tables: what is due when, and its run
 *   transaction.c   one reducer call from arguments to commit
 *   session.c       the connection seam: vtable, pending answers, one-off reads
 *   live.c          the queries of a session: shared by text, filed by what they ask for
 *   subscription.c  a subscription comes or goes, row by row
 *   delta.c         what a commit changes in the view of a session
 *   path_indexes.c  indexes over paths: made, kept at each commit, told of
 *   text_indexes.c  text indexes of a universe without a file: brought up to date by searches
 *   delivery.c      the queue of a session: apply, then call back, in slices
 *
 * Ownership: the engine owns store, schema, journal and module instance; it lives until its last session is released. A session
 * owns its view, subscriptions and queue. A commit record is shared by the queues it waits in.
 */
#ifndef IU_ENGINE_INTERNAL_H
#define IU_ENGINE_INTERNAL_H

#include "../query/cursor.h"
#include "../query/match_index.h"
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
  uint64_t bytes;          /* what it keeps while a queue has it: rows and arguments */
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
/* import.c: whether a call is import_rows or remove_rows for a table that is not the module's own, and doing it. */
bool iu__import_concerns(const iu_engine *e, const iu_host *h, const iu_reducer_call *call, uint32_t *table);
iu_status iu__import_run(iu_tx *tx, uint32_t table, const iu_reducer_call *call, iu_error *err);
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
  struct iu_text *texts;           /* linked list, one a table at most */
  iu_session *sessions;            /* linked list */
  uint32_t session_count, refs, pending_count;
  uint8_t owner[32], database_identity[32];
  int64_t last_timestamp;
  uint64_t last_seq;               /* of the last append */
  uint64_t transactions, rejected;
  uint32_t delivering;             /* a callback of one of the sessions is running */
  bool in_reducer, closing, closed;
  bool turned_away;                /* the last call or session was refused because the journal was full */
  bool stalled;                    /* what is scheduled waits for room in the journal */
  iu_job room_job;
  bool put_off;                    /* a session's turn to deliver came while nothing may be delivered */
  iu_error failure;                /* journal failure: writes are refused from then on; of the close too, where it found one */
};

/* ---- sessions ---- */
/* One query text of a session, however many of its subscriptions have it. */
typedef struct iu_live_query {
  struct iu_live_query *next, **link;  /* in its bucket */
  uint64_t hash;
  uint32_t refs;                   /* subscriptions that have it */
  uint32_t active;                 /* of those, what was applied: the view holds its rows once */
  iu_query *query;
  bool counted;                    /* a join that is filed */
  iu_match_entry entries[2];       /* filed while active: of the selected table; of the other one of a join */
  size_t len;
  char text[];
} iu_live_query;
typedef struct iu_live {
  iu_live_query **buckets; uint32_t bucket_count, count;
  uint32_t *joined, joins;         /* per table: filed joins that have it on a side; of all */
  iu_match_index **by_row, **by_partner; /* per table: by selected rows, by rows of the other side of joins; NULL: none was ever filed */
  iu_engine_live_stats stats;
} iu_live;

typedef struct iu_held_query { iu_live_query *live; bool turns; /* by the item that is applied: it becomes active, or stops */ } iu_held_query;
typedef struct iu_subscription {
  struct iu_subscription *next;
  uint64_t id;
  uint32_t count;
  iu_held_query queries[];
} iu_subscription;

/* How far the applying of a subscription's item has come. */
typedef struct iu_staging_table {
  uint32_t whole;                  /* queries for all of it */
  uint32_t gone;                   /* a commit's: held rows that it deletes or replaces */
  bool staged;
} iu_staging_table;
typedef struct iu_staging {
  iu_staging_table *tables;        /* per table; NULL: not begun; of a commit: no query with a condition is concerned */
  uint32_t change, work;           /* a commit's: the change at work, and what was done since the last look at the clock */
  uint32_t query, table;           /* the one at work: queries with a condition first, then tables as a whole */
  iu_query_cursor *cursor;
  iu_iter *others;
  uint32_t sweep_at;               /* edges (a commit's: changes) whose rows were swept from the view */
} iu_staging;

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
  iu_staging staging;
  iu_edge *edges; uint32_t edge_count, edge_cap, edge_at; /* the first IU_EDGE_BLOCK of them */
  iu_edge **more; uint32_t more_count;                    /* the others, in blocks of so many: none is moved when there are more */
  bool told_all;                   /* what is left is to give its memory back */
  /* Whole tables that came or went are walked, not copied. */
  uint32_t *walk; uint32_t walk_count, walk_at; iu_iter *walk_iter;
} iu_item;

/* What is waited for: the sequence to be durable, or in the tables; that the file is extended; that the journal has room. */
enum { IU_AWAIT_DURABLE, IU_AWAIT_FOLDED, IU_AWAIT_EXTENDED, IU_AWAIT_ROOM };
typedef struct iu_pending { struct iu_pending *next; uint64_t id, seq; int what; } iu_pending;

struct iu_session {
  iu_connection base;
  iu_engine *engine;               /* valid until release */
  iu_session *next;
  uint32_t refs;
  bool primary, greeted, broken, ended;
  iu_error why;                    /* broken: what happened */
  iu_live live;
  iu_subscription *subs; uint32_t sub_count;
  iu_item *first, *last;
  uint32_t queued; uint64_t queued_bytes;  /* of these items */
  iu_job job;
  iu_pending *pending, **pending_end; /* oldest first; where the next one goes, while there is any */ uint64_t next_id;
};

iu_session *iu__session_of(iu_connection *c);
void iu__session_retain(iu_session *s);
void iu__session_unref(iu_session *s);
/* The session cannot go on telling the truth (no memory): closes it; its listener hears why in the loop's next turn. */
void iu__session_break(iu_session *s, const iu_error *why);

/* engine.c */
/* An engine with its modules, and nothing else yet: one reference. */
iu_status iu__engine_make(const iu_engine_config *config, iu_engine **out, iu_error *err);
/* Schema, store, the journal open, its rows loaded. */
iu_status iu__engine_prepare(iu_engine *e, iu_error *err);
void iu__engine_ref(iu_engine *e);
void iu__engine_unref(iu_engine *e);
iu_status iu__engine_close(iu_engine *e, iu_error *err);
iu_status iu__engine_check_writable(const iu_engine *e, iu_error *err);
void iu__engine_await(iu_engine *e, int delta);   /* how many answers wait for the journal */
/* Before a transaction that may be refused: IU_E_OVERLOADED while the journal is full. */
iu_status iu__engine_check_room(iu_engine *e, iu_error *err);
/* Before what is scheduled: true: the journal is full, and the schedules are resumed when it has room. */
bool iu__engine_stall(iu_engine *e);
/* Before a transaction that must run, of an open or a close: blocks while the journal is full, for a while. */
void iu__engine_catch_up(iu_engine *e);
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

/* schedule.c: IU_E_VALIDATION for a row that is too far ahead. */
iu_status iu__schedule_check(const iu_engine *e, const iu_table_def *def, const void *row, size_t len, iu_error *err);

/* write.c */
/* Draws a number for every sequence column that holds 0, writes it into the row and, behind each other, into `generated` (may be NULL; IU_GENERATED_MAX
 * bytes). false: a sequence is used up; *column is its column. */
#define IU_SEQUENCE_COLUMNS_MAX 16
#define IU_GENERATED_MAX (IU_SEQUENCE_COLUMNS_MAX * 32u)
bool iu__sequences_draw(iu_engine *e, const iu_table *t, uint8_t *row, size_t len, uint8_t *generated, uint32_t *generated_len, uint16_t *column);
iu_status iu__tx_room(iu_engine *e, size_t len, iu_error *err);            /* IU_E_OVERLOADED past the transaction's caps */
iu_status iu__tx_room_for_delete(iu_engine *e, iu_error *err);
/* Of a row that is about to be put. */
static inline iu_status iu__tx_note_put(iu_tx *tx, const iu_table_def *def, const void *row, size_t len, iu_error *err) {
  if (def->schedule_reducer < 0) return IU_OK;
  tx->scheduled++;
  return iu__schedule_check(tx->engine, def, row, len, err);
}
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
void iu__schedule_resume(iu_engine *e);                        /* after a stall */
iu_status iu__schedule_reserve(iu_engine *e, iu_error *err);   /* before a commit, room for what it will arm */
void iu__schedule_commit(iu_engine *e, const iu_changeset *changes);

/* live.c */
iu_status iu__live_init(iu_session *s, iu_error *err);
void iu__live_free(iu_session *s);
iu_status iu__live_get(iu_session *s, iu_slice text, iu_live_query **out, iu_error *err);  /* parsed, or the one that is there */
void iu__live_put(iu_session *s, iu_live_query *q);
iu_status iu__live_file(iu_session *s, iu_live_query *q, iu_error *err);   /* commits ask it from now on; on failure nothing has happened */
void iu__live_unfile(iu_session *s, iu_live_query *q);
static inline bool iu__live_filtered(const iu_session *s, uint32_t table) { return s->live.by_row[table] != NULL && s->live.by_row[table]->count > 0; }

/* subscription.c */
iu_status iu__subscription_new(iu_session *s, const iu_slice *queries, uint32_t count, iu_subscription **out, iu_error *err);
void iu__subscription_free(iu_session *s, iu_subscription *sub);
#define IU_LOOK_AT_CLOCK 64u /* rows between two looks */
/* Makes an item visible and finds its edges. One that takes long stops at the loop's deadline: not `applied` yet, nothing of it is seen, to be called again. */
iu_status iu__item_apply(iu_session *s, iu_item *item, bool ignore_deadline, iu_error *err);
/* After its rows were told: frees what it held in the view. false: out of time. */
bool iu__item_sweep(iu_session *s, iu_item *item, bool ignore_deadline);
void iu__item_end_staging(iu_item *item);
iu_status iu__item_add_edge(iu_item *item, uint32_t table, const iu_row *old_row, const iu_row *new_row, iu_error *err);
#define IU_EDGE_BLOCK 2048u
static inline const iu_edge *iu__item_edge(const iu_item *item, uint32_t i) {
  return i < IU_EDGE_BLOCK ? &item->edges[i] : &item->more[i / IU_EDGE_BLOCK - 1][i % IU_EDGE_BLOCK];
}
static inline bool iu__session_out_of_time(const iu_session *s, bool ignore_deadline) {
  return !ignore_deadline && iu__loop_over_deadline(s->engine->config.loop);
}

/* delta.c: from the view's epoch to that of the commit. As iu__item_apply: it may stop at the deadline. */
iu_status iu__delta_apply(iu_session *s, iu_item *item, bool ignore_deadline, iu_error *err);
/* After its rows were told: what it replaced is taken out of the view, and its change set let go. false: out of time. */
bool iu__delta_sweep(iu_session *s, iu_item *item, bool ignore_deadline);

/* path_indexes.c */
iu_status iu__paths_init(iu_engine *e, iu_error *err);
void iu__paths_free(iu_engine *e);
/* Right after the commit, while the rows that left are still there. Cannot fail. */
void iu__paths_commit(iu_engine *e, const iu_changeset *changes);

/* text_indexes.c */
void iu__texts_free(iu_engine *e);
/* Right after the commit: notes the keys. Cannot fail. */
void iu__texts_commit(iu_engine *e, const iu_changeset *changes);

/* delivery.c */
bool iu__delivery_wants(const iu_session *s);   /* a commit concerns it: it has subscriptions, or a queue to stand in */
iu_status iu__delivery_push_commit(iu_session *s, iu_commit *c, iu_error *err);
iu_status iu__delivery_push_subscription(iu_session *s, iu_subscription *sub, bool ending, iu_error *err);
bool iu__delivery_run(iu_session *s, bool ignore_deadline);  /* true: something is left */
void iu__delivery_resume(iu_engine *e);         /* after a callback or a reducer: turns that were put off come again */
void iu__delivery_drop(iu_session *s);

#endif
