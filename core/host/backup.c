/* backup.c: a backup for hosts: the journal's, begun after a flush. The host decides on which thread it is stepped. */
#include "../journal/backup.h"

#include "internal.h"

iu_status iu_backup_begin(iu_universe *u, const char *target, bool overwrite, int64_t timeout_ms, iu_backup **out, iu_error *err) {
  iu_status status = iu__check_universe(u, err);
  const char *file;
  if (status == IU_OK && (target == NULL || out == NULL)) status = iu__missing("iu_backup_begin", err);
  if (status == IU_OK && u->server) status = iu__fail(err, IU_E_VALIDATION, "a backup is made of an embedded universe's file, not of a server's database");
  if (status != IU_OK) return status;
  *out = NULL;
  if (!u->c->is_owner) return iu__fail(err, IU_E_AUTHORIZATION, "the file holds private tables too: a backup is the owner's");
  file = iu__engine_file(u->c);
  if (file == NULL) return iu__fail(err, IU_E_VALIDATION, "a memory: universe has no file to make a backup of");
  status = iu_flush(u, timeout_ms, err);
  if (status == IU_OK) status = iu__check_universe(u, err); /* a function of the host's may have closed it */
  return status == IU_OK ? iu__backup_new(iu__engine_file(u->c), target, false, overwrite, out, err) : status;
}

iu_status iu_backup_step(iu_backup *b, uint32_t slice_ms, uint64_t *done, uint64_t *total, bool *complete, iu_error *err) {
  uint64_t bytes[2];
  bool is_complete;
  iu_status status = b != NULL ? iu__backup_run(b, slice_ms, err) : iu__missing("iu_backup_step: backup", err);
  if (b == NULL) return status;
  is_complete = iu__backup_progress(b, &bytes[0], &bytes[1]);
  if (done != NULL) *done = bytes[0];
  if (total != NULL) *total = bytes[1];
  if (complete != NULL) *complete = is_complete;
  return status;
}

void iu_backup_cancel(iu_backup *b) {
  if (b != NULL) iu__backup_cancel(b);
}

void iu_backup_end(iu_backup *b) { iu__backup_free(b); }
