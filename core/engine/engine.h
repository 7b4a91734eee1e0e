/* engine.h: an embedded database: modules, transactions, sessions, over a store and a journal.
 *
 * iu__engine_open gives the primary connection: it acts as the owner identity of the universe, which the first open makes and the file keeps.
 * More sessions (iu__engine_session) have their own identity, view and subscriptions. Closing the primary connection closes its sessions and the
 * engine; closing a session closes only that.
 *
 * What stays with the caller: the loop (held: must outlive the connection) and the log.
 */
#ifndef IU_ENGINE_ENGINE_H
#define IU_ENGINE_ENGINE_H

#include "../connection.h"
#include "../journal/journal.h"
#include "../journal/report.h"
#include "../module/module.h"
#include "../net/loop.h"
#include "hosted.h"

#define IU_ENGINE_TX_BYTES_MAX (32u << 20)
#define IU_ENGINE_PENDING_BYTES_MIN (64u << 10) /* of pending_bytes_max: a single transaction may be larger, it is let in whole */
#define IU_ENGINE_TX_ROWS_MAX 1000000u /* inserts, updates and deletes */
#define IU_ENGINE_ARGS_BYTES_MAX ((32u << 20) + 4096u) /* the largest row, and what import_rows has around it */
#define IU_ENGINE_IMPORT_ROWS_MAX 100000u /* of one import_rows, keys of one remove_rows, for tables of modules */
#define IU_ENGINE_SUBSCRIPTIONS_MAX 10000
#define IU_ENGINE_SESSIONS_MAX 10000
#define IU_ENGINE_QUEUE_ITEMS_MAX 100000u      /* what one session has not been told yet: commits, subscriptions that came or went */
#define IU_ENGINE_QUEUE_BYTES_MAX (256ull << 20) /* and the rows and arguments of those commits */
#define IU_SCHEDULE_DELAY_MS_MAX INT64_C(68719476735) /* 2^36 - 1: a scheduled row is less than that ahead, some 2.18 years */
#define IU_ENGINE_INDEXES_MAX 64u
#define IU_ENGINE_INDEX_PATH_MAX 200u /* bytes */
#define IU_ENGINE_TEXT_NOTES_MAX (8u << 20) /* bytes of keys noted for a text index in memory; past it the next search makes it anew */

typedef struct iu_engine_config {
  const char *path;                  /* NULL: memory */
  bool snapshot;                     /* a memory universe that starts with what the file holds; the file is neither locked nor changed */
  bool known_only;                   /* with snapshot: without the tables that the modules do not declare */
  bool recover_prefix;               /* damaged journal: iu_journal_config */
  iu_difference_fn differs;          /* hears each difference of an open that ends with IU_E_MIGRATION; NULL: the log does */
  void *differs_ud;
  const iu_abi_module *module;           /* held; NULL: iu__nerv_module(), but where no_nerv is set */
  bool no_nerv;
  const iu_hosted_module *modules;   /* behind it, in this order; borrowed for the open, what they point to until `release` */
  uint32_t module_count;
  const uint8_t *owner;              /* 32 bytes, borrowed for the open: whose a new universe is; NULL: a fresh random identity */
  iu_durability durability;
  uint32_t flush_interval_ms;
  uint64_t fold_bytes;               /* 0: the journal's default */
  uint64_t pending_bytes_max;        /* of commits not yet written; past it calls and sessions are refused with IU_E_OVERLOADED (iu__engine_ask_room), scheduled
                                      * rows wait. 0: the journal's default (256 MiB); at least IU_ENGINE_PENDING_BYTES_MIN */
  /* 0: IU_ENGINE_QUEUE_ITEMS_MAX, IU_ENGINE_QUEUE_BYTES_MAX. A session that a commit would take past them is closed with IU_E_OVERLOADED; a subscription is
   * refused with it. */
  uint32_t queue_items_max; uint64_t queue_bytes_max;
  iu_loop *loop;                     /* held */
  int64_t (*micros)(void *ud);       /* the time of transactions, since 1970; NULL: the wall clock. Scheduled rows follow the wall clock in any case */
  void *micros_ud;
  iu_log log;
} iu_engine_config;

void iu__engine_config_init(iu_engine_config *c);
iu_status iu__engine_open(const iu_engine_config *config, iu_connection **out, iu_error *err);
/* What an open does with the file before anything of a module runs: its tables are compared with the schema and brought to it, its rows loaded and checked; then it is
 * closed again. Modules are released in any case. */
iu_status iu__engine_rehearse(const iu_engine_config *config, iu_error *err);
/* The schema that an open would have, given to the caller (iu__schema_free). Modules likewise; of the configuration nothing else is looked at. */
iu_status iu__engine_schema(const iu_engine_config *config, iu_schema **out, iu_error *err);
/* identity NULL: a fresh random one. */
iu_status iu__engine_session(iu_connection *any, const uint8_t identity[32], iu_connection **out, iu_error *err);

typedef struct iu_engine_status {
  const char *path; iu_durability durability; uint32_t sessions; uint64_t epoch;
  iu_journal_stats journal; iu_journal_recovery recovery; iu_store_stats store; bool recovered;
  uint64_t transactions, rejected; uint8_t owner[32], database_identity[32];
} iu_engine_status;
void iu__engine_get_status(iu_connection *c, iu_engine_status *out);
/* What the subscriptions of a session have cost so far: counts, for tests and tuning. */
typedef struct iu_engine_live_stats {
  uint64_t queries;    /* different texts now */
  uint64_t candidates; /* queries that the rows of commits were compared with */
  uint64_t partners;   /* rows of the other side that joins looked at for those rows */
  uint64_t staged;     /* rows, or pairs of a join, looked at because a subscription came or went */
  uint64_t slices;     /* in so many pieces */
} iu_engine_live_stats;
void iu__engine_get_live_stats(iu_connection *c, iu_engine_live_stats *out);
/* Waits until all is durable and folded, for readers of the file itself. */
iu_status iu__engine_fold(iu_connection *c, int64_t timeout_ms, iu_error *err);
/* The same without waiting: 0 in *pending, or the answer comes as those of the seam do. */
iu_status iu__engine_ask_fold(iu_connection *c, uint64_t *pending, iu_error *err);
/* iu__journal_ask_extend; the answer comes as those of the seam do. */
iu_status iu__engine_ask_extend(iu_connection *c, const char *sql, uint64_t *pending, iu_error *err);
/* Right after a call or a session was refused with IU_E_OVERLOADED. *full: because the journal was full, and nothing was run. Then: 0 in *pending: there is room
 * by now; else the answer comes as those of the seam do when there is. It is no promise: others may fill the journal before. */
iu_status iu__engine_ask_room(iu_connection *c, bool *full, uint64_t *pending, iu_error *err);
/* The universe's file, absolute; NULL for memory. Borrowed until close. */
const char *iu__engine_file(iu_connection *c);

/* Indexes over paths, for one-off reads (`select`) of every session. The owner's. Making one reads the whole table at once; making one that is there is no error.
 * Not kept in the file. IU_E_VALIDATION: no such field, or one that cannot be ordered, or has an index already; IU_E_OVERLOADED: too many. */
iu_status iu__engine_create_index(iu_connection *c, uint32_t table, const char *path, size_t len, iu_error *err);
iu_status iu__engine_drop_index(iu_connection *c, uint32_t table, const char *path, size_t len, iu_error *err);
typedef struct iu_engine_index {
  uint32_t table;
  char path[IU_ENGINE_INDEX_PATH_MAX + 1];
  uint64_t entries, bytes;            /* bytes: without what the allocator adds */
  bool ordered;                       /* no text was too long for it: it can give rows in order */
  bool broken;
} iu_engine_index;
bool iu__engine_index_at(iu_connection *c, uint32_t number, iu_engine_index *out); /* from 0; false: there are no more */

/* Text search in a universe without a file: an index of the table's texts in memory (text_memory.h), the owner's. Commits note the keys of what they change;
 * _sync brings the index up to date, at most `most` rows of it, and makes it the first time, with this SQL. *more: call it again. */
iu_status iu__engine_text_sync(iu_connection *c, uint32_t table, const char *sql, uint32_t most, bool *more, iu_error *err);
/* Right after a _sync that left nothing: a reader of the index, closed before anything else is called. */
iu_status iu__engine_text_report(iu_connection *c, uint32_t table, iu_report **out, iu_error *err);

#endif
