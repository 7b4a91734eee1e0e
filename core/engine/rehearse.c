/* rehearse.c: an open without its consequences: which schema the modules make, and what a file says to it. No reducer runs, nobody connects. */
#include "internal.h"

iu_status iu__engine_rehearse(const iu_engine_config *config, iu_error *err) {
  iu_engine *e;
  iu_status status = iu__engine_make(config, &e, err);
  if (status != IU_OK) return status;
  status = iu__engine_prepare(e, err);
  if (e->journal != NULL) {
    iu_error why;
    iu_status closed = iu__journal_close(e->journal, &why);
    e->journal = NULL;
    if (status == IU_OK && closed != IU_OK) {
      if (err != NULL) *err = why;
      status = closed;
    }
  }
  e->config.modules = NULL;
  iu__engine_unref(e);
  return status;
}

iu_status iu__engine_schema(const iu_engine_config *config, iu_schema **out, iu_error *err) {
  iu_engine *e;
  iu_status status = iu__engine_make(config, &e, err);
  *out = NULL;
  if (status != IU_OK) return status;
  status = iu__modules_merge(e, err);
  if (status == IU_OK) {
    *out = e->schema;
    e->schema = NULL;
  }
  e->config.modules = NULL;
  iu__engine_unref(e);
  return status;
}
