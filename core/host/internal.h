/* internal.h: what the files of this folder share.
 *
 * Ownership. A runtime owns the loop. A universe is counted: its handle, its cursors, and whoever is using it on the stack hold it; when
 * nothing does, its connection is released in a turn of the loop of its own, never inside a callback of it. A pending call is owned by its universe
 * until its end was told.
 *
 * Every call of a host's function stands between iu__gate_enter and iu__gate_leave. What waits turns the loop, and is refused inside a gate.
 */
#ifndef IU_HOST_INTERNAL_H
#define IU_HOST_INTERNAL_H

#include "../base/alloc.h"
#include "../client/client.h"
#include "../engine/engine.h"
#include "callee.h"

#define IU_TIMEOUT_MS_DEFAULT 30000
#define IU_CLOSE_TIMEOUT_MS 5000        /* a close waits so long for a server to answer what was sent */
#define IU_PENDING_BUCKETS 256u

struct iu_runtime {
  iu_loop *loop;
  iu_wake *wake;
  iu_log log;
  iu_error_fn on_error;
  void *on_error_ud;
  uint32_t gates;                 /* callbacks running now */
  uint32_t universes;             /* not released yet */
  iu_universe *dead;              /* that nothing holds any more, to be released outside of callbacks */
  iu_job reap_job;
};

/* ---- ends that are waited for ---- */
typedef struct iu_pending_call {
  struct iu_pending_call *prev, *next;   /* all of the universe, oldest first */
  struct iu_pending_call *chain;         /* of its id's bucket; or of the list of those that have ended */
  uint64_t id;
  uint64_t deadline;              /* mono ns; 0: none */
  iu_done_fn done;
  void *ud;
  iu_status status;               /* ended: how */
  iu_error *failure;              /* ended: in what words; owned; NULL where there was no memory for them */
  iu_cursor *rows;                /* ended: owned */
  char name[];                    /* for messages */
} iu_pending_call;

/* ---- subscriptions, handlers ---- */
typedef struct iu_wait_for { bool over; iu_status status; iu_error err; iu_cursor *rows; } iu_wait_for;
typedef struct iu_host_sub {
  struct iu_host_sub *next;
  uint64_t id;
  iu_subscription_fn fn;
  void *ud;
  iu_wait_for *waiter;            /* takes the first event instead of fn */
} iu_host_sub;

typedef struct iu_handler {
  struct iu_handler *next;
  uint64_t id;
  int table;                      /* -1: the schema has none of that name */
  unsigned what;
  iu_row_handler fn;              /* NULL: cancelled, to be freed */
  void *ud;
  char name[];
} iu_handler;

struct iu_universe {
  iu_runtime *rt;
  iu_connection *c;
  uint32_t refs;
  bool closed;
  bool freed;                     /* the handle was given up */
  bool server;
  bool opened;                    /* connected once */
  iu_error why;                   /* closed by itself */
  iu_universe *next_dead;
  /* options */
  void *ud;
  iu_state_fn on_state;
  iu_closed_fn on_closed;
  int64_t timeout_ms;
  iu_wait_for *opening;
  /* calls */
  iu_pending_call *first, *last, *buckets[IU_PENDING_BUCKETS];
  iu_pending_call *ended, **ended_end;   /* to be told */
  iu_job ended_job;
  iu_timer *timer;
  uint64_t timer_at;
  /* subscriptions, handlers, scans */
  iu_host_sub *subs;
  iu_handler *handlers;
  uint64_t next_handler;
  uint32_t telling;               /* rows are being told: handlers are not freed */
  iu_cursor *scans;
};

struct iu_cursor {
  iu_universe *u;                 /* held */
  iu_cursor *prev, *next;         /* of the universe's scans */
  const iu_schema *schema;
  const iu_type *type;            /* of a row */
  iu_rows *rows;                  /* a query's, or NULL */
  iu_view_iter *it;               /* a scan's, or NULL */
  uint8_t *value;                 /* a procedure's, owned */
  size_t value_len;
  bool has_value;
  iu_status cut;                  /* the scan ended before its end */
  uint64_t at;
};

/* runtime.c */
void iu__gate_enter(iu_universe *u);
void iu__gate_leave(iu_universe *u);
/* IU_OK where a function may wait. */
iu_status iu__may_wait(const iu_runtime *rt, const char *what, const char *instead, iu_error *err);
/* Turns until w->over or the time is up (IU_E_TIMEOUT). deadline: mono ns, 0: none. */
iu_status iu__wait_for(iu_runtime *rt, iu_wait_for *w, uint64_t deadline, iu_error *err);
uint64_t iu__deadline(const iu_universe *u, int64_t timeout_ms);

/* options.c: the options as a copy of this library's size; what they say for either world. */
iu_status iu__options_read(const iu_options *given, bool server, iu_options *out, iu_error *err);
iu_status iu__options_engine(const iu_options *o, iu_engine_config *config, iu_error *err);
iu_status iu__options_client(const iu_options *o, iu_client_config *config, iu_error *err);

/* module.c: what the engine hosts of the options' modules; *out is for iu__engine_open, which takes what it holds: given back with iu__free. */
iu_status iu__modules_hosted(iu_runtime *rt, const iu_options *o, iu_hosted_module **out, iu_error *err);

/* universe.c */
iu_status iu__check_universe(const iu_universe *u, iu_error *err);   /* not NULL, not closed */
void iu__universe_reap(void *rt);             /* a job's function, too */
void iu__universe_hold(iu_universe *u);
void iu__universe_drop(iu_universe *u);
iu_status iu__missing(const char *what, iu_error *err);              /* "what: expected ..., got NULL" */

/* call.c */
/* A failure that nobody waits for: to the runtime's on_error, or the log. */
void iu__unheard(iu_universe *u, const char *what, const iu_error *why);
iu_status iu__pending_new(const char *what, size_t len, iu_done_fn done, void *ud, iu_pending_call **out, iu_error *err);
/* It was begun: `pending` will answer, or it has ended already (0). p is taken. */
void iu__pending_begun(iu_universe *u, iu_pending_call *p, uint64_t pending, uint64_t deadline);
void iu__pending_free(iu_universe *u, iu_pending_call *p);
void iu__pending_answer(iu_universe *u, uint64_t id, iu_status status, const iu_error *err, iu_cursor *rows);
/* p has ended; told by the loop. rows are taken. */
void iu__pending_end(iu_universe *u, iu_pending_call *p, iu_status status, const iu_error *err, iu_cursor *rows);
/* At the close: whatever has ended is told, whatever has not ends with `why`. */
void iu__pending_close(iu_universe *u, const iu_error *why);
void iu__pending_job(void *ud);
void iu__wait_done(void *ud, iu_universe *u, const iu_error *err, iu_cursor *rows);   /* ud: an iu_wait_for */

/* listen.c */
extern const iu_listener iu__host_listener;
void iu__handlers_bind(iu_universe *u);      /* looks the tables up again, and watches them */
void iu__handlers_sweep(iu_universe *u);
void iu__subs_end(iu_universe *u, const iu_error *why);

/* cursor.c */
/* rows are taken; NULL (and they are released): no memory. */
iu_cursor *iu__cursor_of_rows(iu_universe *u, iu_rows *rows);
iu_cursor *iu__cursor_of_value(iu_universe *u, const iu_typed_value *value);
void iu__scans_cut(iu_universe *u, iu_status why);

/* arg.c: appends the BSATN of `a` as a `t`. The path in an error starts with `what`. */
iu_status iu__arg_encode(const iu_arg *a, const iu_type *t, const char *what, iu_buf *out, iu_error *err);
iu_status iu__args_encode(const iu_schema *s, const iu_callee *f, const iu_arg *args, size_t count, iu_buf *out, iu_error *err);
iu_status iu__args_from_json(const iu_schema *s, const iu_callee *f, const char *json, iu_buf *out, iu_error *err);

/* value.c */
iu_kind iu__kind_of_type(const iu_type *t);
iu_value iu__value(const iu_schema *s, const iu_type *t, const uint8_t *bytes, size_t len);
/* snprintf for texts of any bytes: cut at a character. */
void iu__text_out(const char *text, size_t len, char *out, size_t size, size_t *needed);

#endif
