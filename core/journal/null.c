/* null.c: the journal of `memory:`: numbers commits and keeps nothing; it may start with what a file holds. Everything is "durable" the moment it is appended, so that
 * callers need not know which journal they have. */
#include "../base/alloc.h"
#include "impl.h"
#include "file.h"
#include "snapshot.h"

typedef struct null_journal {
  iu_journal base;
  iu_meta_set meta;
  uint64_t last;
  char *source;            /* the file it starts with, or NULL */
  iu_journal_config config; /* but its path */
} null_journal;

static bool null_is_new(const iu_journal *j) {
  return ((const null_journal *)j)->source == NULL;
}

static const uint8_t *null_meta(const iu_journal *j, iu_meta which, size_t *len) {
  return iu__jmeta_get(&((const null_journal *)j)->meta, which, len);
}

static iu_status null_set_meta(iu_journal *j, iu_meta which, const void *bytes, size_t len, iu_error *err) {
  (void)err;
  iu__jmeta_put(&((null_journal *)j)->meta, which, bytes, len);
  return IU_OK;
}

static iu_status null_load(iu_journal *j, const iu_journal_sink *sink, iu_journal_recovery *out, iu_error *err) {
  null_journal *n = (null_journal *)j;
  iu_status status = IU_OK;

  memset(out, 0, sizeof *out);
  out->clean = true;
  if (n->source != NULL) status = iu__jsnapshot_load(n->source, &n->config, &n->meta, sink, out, err);
  n->last = out->last_sequence;
  return status;
}

static bool null_full(iu_journal *j) {
  (void)j;
  return false;
}

static iu_status null_ready(iu_journal *j, uint64_t bytes, iu_error *err) {
  (void)j, (void)bytes, (void)err;
  return IU_OK;
}

static iu_status null_append(iu_journal *j, const iu_changeset *c, const iu_sequence_value *next_values, uint32_t next_count,
                             uint64_t *seq, iu_error *err) {
  (void)c, (void)next_values, (void)next_count, (void)err;
  *seq = ++((null_journal *)j)->last;
  return IU_OK;
}

static uint64_t null_durable(iu_journal *j, iu_status *failed, iu_error *err) {
  (void)err;
  if (failed != NULL) *failed = IU_OK;
  return ((null_journal *)j)->last;
}

static void null_hurry(iu_journal *j) { (void)j; }
static void null_hold(iu_journal *j, bool on) { (void)j, (void)on; }

static iu_status null_wait(iu_journal *j, uint64_t seq, int64_t timeout_ms, iu_error *err) {
  (void)timeout_ms;
  if (seq > ((null_journal *)j)->last) return iu__fail(err, IU_E_VALIDATION, "nothing was appended under sequence %llu", (unsigned long long)seq);
  return IU_OK;
}

static iu_status null_fold(iu_journal *j, int64_t timeout_ms, iu_error *err) {
  (void)j, (void)timeout_ms, (void)err;
  return IU_OK;
}

static iu_status null_ask_fold(iu_journal *j, uint64_t *seq, iu_error *err) {
  (void)err;
  *seq = ((null_journal *)j)->last;
  return IU_OK;
}

static uint64_t null_folded(iu_journal *j) { return ((null_journal *)j)->last; }

static const char *null_path(const iu_journal *j) {
  (void)j;
  return NULL;
}

static iu_status null_ask_extend(iu_journal *j, const char *sql, iu_error *err) {
  (void)j, (void)sql;
  return iu__fail(err, IU_E_VALIDATION, "there is no file to be extended");
}

static bool null_extended(iu_journal *j, iu_status *status, iu_error *err) {
  (void)j, (void)status, (void)err;
  return false;
}

static void null_stats(iu_journal *j, iu_journal_stats *out) {
  memset(out, 0, sizeof *out);
  out->last_sequence = out->durable_sequence = out->folded_sequence = ((null_journal *)j)->last;
}

static iu_status null_close(iu_journal *j, iu_error *err) {
  (void)err;
  iu__free(((null_journal *)j)->source);
  iu__free(j);
  return IU_OK;
}

static const iu_journal_vtable null_vtable = {
    IU_JOURNAL_VTABLE_VERSION, null_is_new, null_meta, null_set_meta, null_load, null_full, null_ready, null_append,
    null_durable,              null_hurry,  null_hold, null_wait, null_fold,     null_ask_fold, null_folded, null_path, null_ask_extend, null_extended, null_stats, null_close};

iu_status iu__journal_null_open(const iu_journal_config *c, iu_journal **out, iu_error *err) {
  null_journal *j = iu__alloc_zero(1, sizeof *j);

  iu_status status = IU_OK;
  bool is_new = false;

  if (j == NULL) return iu__fail_nomem(err);
  j->base.vtable = &null_vtable;
  j->config = *c;
  j->config.path = NULL; /* borrowed for the call only */
  if (c->path != NULL) status = iu__jfile_resolve(c->path, &j->source, err);
  if (status == IU_OK && j->source != NULL) status = iu__jfile_look(j->source, &is_new, err);
  if (status == IU_OK && is_new) status = iu__fail(err, IU_E_STORAGE, "%s: there is no universe", c->path);
  if (status != IU_OK) {
    null_close(&j->base, NULL);
    return status;
  }
  *out = &j->base;
  return IU_OK;
}
