/* load.c: what the journal has, into the empty store (core/journal/restore.h), and what is told of it. */
#include "internal.h"

#include "../base/alloc.h"
#include "../journal/restore.h"

#define TRIM_ROWS 10000 /* with fewer the room that sorting them took is not worth a walk over the heap */

static void take_sequence(void *ud, uint32_t table, uint32_t sequence, int64_t next) {
  iu_engine *e = ud;
  for (uint32_t i = e->sequence_base[table]; i < e->sequence_base[table + 1]; i++) {
    if (e->sequences[i].index == sequence) e->sequences[i].next = next;
  }
}

/* What the open found that a user should hear of. What a torn write-ahead log loses was never reported durable, and leaves no trace to tell of. */
static void log_recovery(const iu_engine *e) {
  const iu_journal_recovery *r = &e->recovery;
  if (r->lost_first != 0) {
    iu__log(&e->config.log, IU_LOG_WARN, "%s: commits %llu to %llu are lost: %s; what is left of them is in %s", e->path, (unsigned long long)r->lost_first,
            (unsigned long long)r->lost_last, r->lost_why, r->lost_file);
  }
  if (r->clean || r->last_sequence == 0 || e->config.snapshot) return;
  iu__log(&e->config.log, IU_LOG_INFO, "%s: recovered: it was not closed properly; %llu rows read, %llu commits with %llu rows replayed from the journal%s", e->path,
          (unsigned long long)r->table_rows, (unsigned long long)r->frames_replayed, (unsigned long long)r->rows_replayed,
          r->lost_first == 0 ? ", nothing that was reported durable is lost" : "");
}

iu_status iu__engine_load(iu_engine *e, iu_error *err) {
  iu_restore r = {.store = e->store, .sequence = take_sequence, .ud = e};
  iu_journal_sink sink;
  iu_status status = iu__restore_begin(&r, &sink, err);
  if (status != IU_OK) return status;
  status = iu__restore_end(&r, iu__journal_load(e->journal, &sink, &e->recovery, err), err);
  if (status == IU_E_CONFLICT) { /* the rows went together when they were written */
    iu__error_prefix(err, "the file is damaged");
    if (err != NULL) err->status = IU_E_STORAGE;
    return IU_E_STORAGE;
  }
  if (status != IU_OK) return status;
  e->last_seq = e->recovery.last_sequence;
  if (e->recovery.table_rows >= TRIM_ROWS) iu__alloc_trim();
  log_recovery(e);
  return IU_OK;
}
