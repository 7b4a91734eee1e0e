/* journal.c: see journal.h. Chooses the implementation and forwards to it; nothing else happens here. */
#include "impl.h"

void iu__journal_config_init(iu_journal_config *c) {
  memset(c, 0, sizeof *c);
  c->durability = IU_DUR_NORMAL;
  c->flush_interval_ms = 20;
  c->fold_bytes = 64ull << 20;
  c->pending_bytes_max = 256ull << 20;
  c->fold_idle_ms = 1000;
  c->busy_timeout_ms = 5000;
}

iu_status iu__journal_open(const iu_journal_config *c, iu_journal **out, iu_error *err) {
  *out = NULL;
  return c->path == NULL || c->snapshot ? iu__journal_null_open(c, out, err) : iu__journal_sqlite_open(c, out, err);
}

bool iu__journal_is_new(const iu_journal *j) { return j->vtable->is_new(j); }

const uint8_t *iu__journal_meta(const iu_journal *j, iu_meta which, size_t *len) {
  *len = 0;
  return (unsigned)which < IU_META_COUNT ? j->vtable->meta(j, which, len) : NULL;
}

iu_status iu__journal_set_meta(iu_journal *j, iu_meta which, const void *bytes, size_t len, iu_error *err) {
  if ((unsigned)which >= IU_META_COUNT) return iu__fail(err, IU_E_VALIDATION, "no such metadata of a universe file");
  if (len > IU_JOURNAL_META_MAX)
    return iu__fail(err, IU_E_VALIDATION, "metadata of %zu bytes: at most %d", len, IU_JOURNAL_META_MAX);
  return j->vtable->set_meta(j, which, bytes, len, err);
}

iu_status iu__journal_load(iu_journal *j, const iu_journal_sink *sink, iu_journal_recovery *out, iu_error *err) {
  return j->vtable->load(j, sink, out, err);
}

bool iu__journal_full(iu_journal *j) { return j->vtable->full(j); }
iu_status iu__journal_ready(iu_journal *j, uint64_t bytes, iu_error *err) { return j->vtable->ready(j, bytes, err); }

iu_status iu__journal_append(iu_journal *j, const iu_changeset *c, const iu_sequence_value *next_values, uint32_t next_count,
                             uint64_t *seq, iu_error *err) {
  return j->vtable->append(j, c, next_values, next_count, seq, err);
}

uint64_t iu__journal_durable(iu_journal *j, iu_status *failed, iu_error *err) { return j->vtable->durable(j, failed, err); }
void iu__journal_hurry(iu_journal *j) { j->vtable->hurry(j); }
void iu__journal_hold(iu_journal *j, bool on) { j->vtable->hold(j, on); }
iu_status iu__journal_wait(iu_journal *j, uint64_t seq, int64_t timeout_ms, iu_error *err) {
  return j->vtable->wait(j, seq, timeout_ms, err);
}
iu_status iu__journal_fold(iu_journal *j, int64_t timeout_ms, iu_error *err) { return j->vtable->fold(j, timeout_ms, err); }
iu_status iu__journal_ask_fold(iu_journal *j, uint64_t *seq, iu_error *err) { return j->vtable->ask_fold(j, seq, err); }
uint64_t iu__journal_folded(iu_journal *j) { return j->vtable->folded(j); }
iu_status iu__journal_ask_extend(iu_journal *j, const char *sql, iu_error *err) { return j->vtable->ask_extend(j, sql, err); }
bool iu__journal_extended(iu_journal *j, iu_status *status, iu_error *err) { return j->vtable->extended(j, status, err); }
const char *iu__journal_path(const iu_journal *j) { return j->vtable->path(j); }
void iu__journal_get_stats(iu_journal *j, iu_journal_stats *out) { j->vtable->get_stats(j, out); }

iu_status iu__journal_close(iu_journal *j, iu_error *err) { return j == NULL ? IU_OK : j->vtable->close(j, err); }
