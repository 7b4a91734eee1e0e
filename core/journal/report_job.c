/* report_job.c: see report_job.h. A batch, and the parameters, are values one after another: kind, then 8 bytes, or a length of 8 bytes and the bytes. */
#include "report_job.h"

#include <stdatomic.h>

#include "../base/alloc.h"

struct iu_report_job {
  char *path, *sql;
  size_t sql_len;
  iu_buf params, batch;
  uint32_t param_count, rows;
  iu_reader read;       /* where the caller is in the batch */
  iu_report *r;         /* NULL before the first run and after the last */
  char **names;         /* of the columns, kept when r is gone */
  int columns;
  uint64_t deadline;
  bool done;
  atomic_bool cancelled;
  _Atomic(iu_report *) running; /* whom a cancel tells */
};

static void put_value(iu_buf *b, const iu_report_value *v) {
  uint64_t bits = 0;
  iu__buf_put_u8(b, (uint8_t)v->kind);
  if (v->kind == IU_REPORT_REAL) memcpy(&bits, &v->d, sizeof bits);
  if (v->kind == IU_REPORT_INT) bits = (uint64_t)v->i;
  if (v->kind == IU_REPORT_TEXT || v->kind == IU_REPORT_BLOB) bits = v->len;
  iu__buf_put_u64(b, bits);
  if (v->kind == IU_REPORT_TEXT || v->kind == IU_REPORT_BLOB) iu__buf_put(b, v->p, v->len);
}

static void get_value(iu_reader *r, iu_report_value *v) {
  uint64_t bits;
  memset(v, 0, sizeof *v);
  v->kind = (iu_report_kind)iu__read_u8(r);
  bits = iu__read_u64(r);
  if (v->kind == IU_REPORT_REAL) memcpy(&v->d, &bits, sizeof v->d);
  if (v->kind == IU_REPORT_INT) v->i = (int64_t)bits;
  if (v->kind == IU_REPORT_TEXT || v->kind == IU_REPORT_BLOB) v->p = iu__read(r, v->len = (size_t)bits);
}

iu_status iu__report_job_new(const char *path, const char *sql, size_t len, iu_report_job **out, iu_error *err) {
  iu_report_job *j;
  *out = NULL;
  if (len > IU_REPORT_SQL_MAX) return iu__fail(err, IU_E_VALIDATION, "sql: %zu bytes, the limit is %u", len, IU_REPORT_SQL_MAX);
  j = iu__alloc_zero(1, sizeof *j);
  if (j == NULL) return iu__fail_nomem(err);
  iu__buf_init(&j->params, IU_REPORT_PARAMS_BYTES_MAX);
  j->path = iu__strndup(path, strlen(path));
  j->sql = iu__strndup(sql, len);
  j->sql_len = len;
  if (j->path == NULL || j->sql == NULL) {
    iu__report_job_free(j);
    return iu__fail_nomem(err);
  }
  *out = j;
  return IU_OK;
}

void iu__report_job_free(iu_report_job *j) {
  if (j == NULL) return;
  iu__report_close(j->r);
  for (int i = 0; j->names != NULL && i < j->columns; i++) iu__free(j->names[i]);
  iu__free(j->names);
  iu__buf_free(&j->params);
  iu__buf_free(&j->batch);
  iu__free(j->path);
  iu__free(j->sql);
  iu__free(j);
}

iu_status iu__report_job_param(iu_report_job *j, const char *name, size_t name_len, const iu_report_value *v, iu_error *err) {
  if (name != NULL && strlen(name) != name_len) return iu__fail(err, IU_E_VALIDATION, "params: a name with a zero byte");
  iu__buf_put_bytes(&j->params, name != NULL ? name : "", name != NULL ? name_len + 1 : 0); /* with its terminator */
  put_value(&j->params, v);
  j->param_count++;
  return iu__buf_status(&j->params, err, "params");
}

void iu__report_job_limit(iu_report_job *j, uint64_t deadline_ns) { j->deadline = deadline_ns; }

void iu__report_job_cancel(iu_report_job *j) {
  iu_report *r;
  atomic_store(&j->cancelled, true);
  r = atomic_load(&j->running);
  if (r != NULL) iu__report_cancel(r); /* it lives until the job does */
}

/* ---- running ---- */

static iu_status bind_one(iu_report_job *j, iu_reader *params, uint8_t *bound, int *next, iu_error *err) {
  iu_report_value v;
  uint32_t len;
  const char *name = (const char *)iu__read_bytes(params, &len);
  int position = 0;
  iu_status status = IU_OK;
  get_value(params, &v);
  if (len == 0) position = ++*next;
  else status = iu__report_position(j->r, name, &position, err);
  if (status == IU_OK) status = iu__report_bind(j->r, position, &v, err);
  if (status == IU_OK) bound[position - 1] = 1;
  return status;
}

static iu_status bind_all(iu_report_job *j, iu_error *err) {
  iu_reader params = iu__reader(j->params.data, j->params.len);
  int wanted = iu__report_parameters(j->r), next = 0;
  uint8_t *bound = iu__alloc_zero((size_t)wanted + 1, 1);
  iu_status status = bound == NULL ? iu__fail_nomem(err) : IU_OK;
  for (uint32_t i = 0; i < j->param_count && status == IU_OK; i++) status = bind_one(j, &params, bound, &next, err);
  for (int i = 0; i < wanted && status == IU_OK; i++) {
    const char *name = iu__report_parameter_name(j->r, i + 1);
    if (!bound[i]) status = iu__fail(err, IU_E_VALIDATION, "params: parameter %d%s%s%s of the statement is not given", i + 1, name != NULL ? " (" : "", name != NULL ? name : "", name != NULL ? ")" : "");
  }
  iu__free(bound);
  iu__buf_free(&j->params);
  return status;
}

static iu_status note_columns(iu_report_job *j, iu_error *err) {
  int n = iu__report_columns(j->r);
  j->names = iu__alloc_zero((size_t)n + 1, sizeof *j->names);
  if (j->names == NULL) return iu__fail_nomem(err);
  for (j->columns = 0; j->columns < n; j->columns++) {
    const char *name = iu__report_column_name(j->r, j->columns);
    if ((j->names[j->columns] = iu__strndup(name, strlen(name))) == NULL) return iu__fail_nomem(err);
  }
  return IU_OK;
}

static iu_status start(iu_report_job *j, iu_error *err) {
  iu_status status = iu__report_open(j->path, &j->r, err);
  if (status != IU_OK) return status;
  atomic_store(&j->running, j->r);
  if (atomic_load(&j->cancelled)) iu__report_cancel(j->r);
  iu__report_deadline(j->r, j->deadline);
  status = iu__report_prepare(j->r, j->sql, j->sql_len, err);
  if (status == IU_OK) status = bind_all(j, err);
  return status == IU_OK ? note_columns(j, err) : status;
}

static iu_status put_row(iu_report_job *j, iu_error *err) {
  for (int c = 0; c < j->columns; c++) {
    iu_report_value v;
    iu__report_value_at(j->r, c, &v);
    if (v.p == NULL && (v.kind == IU_REPORT_TEXT || (v.kind == IU_REPORT_BLOB && v.len != 0))) return iu__fail_nomem(err);
    put_value(&j->batch, &v);
  }
  j->rows++;
  return iu__buf_status(&j->batch, err, "rows");
}

static iu_status fill(iu_report_job *j, iu_error *err) {
  iu_status status = IU_OK;
  iu__report_deadline(j->r, j->deadline);
  while (status == IU_OK && !j->done && j->rows < IU_REPORT_BATCH_ROWS && j->batch.len < IU_REPORT_BATCH_BYTES) {
    bool row;
    status = iu__report_step(j->r, &row, err);
    if (status == IU_OK && row) status = put_row(j, err);
    else j->done = true;
  }
  return status;
}

iu_status iu__report_job_run(iu_report_job *j, iu_error *err) {
  iu_status status = IU_OK;
  j->rows = 0;
  iu__buf_reset(&j->batch);
  if (!j->done && j->r == NULL) status = start(j, err);
  if (status == IU_OK && !j->done) status = fill(j, err);
  if (status != IU_OK) j->done = true, j->rows = 0;
  j->read = iu__reader(j->batch.data, j->batch.len);
  return status;
}

uint32_t iu__report_job_rows(const iu_report_job *j, bool *last) {
  *last = j->done;
  return j->rows;
}

size_t iu__report_job_bytes(const iu_report_job *j) { return j->batch.len; }
void iu__report_job_value(iu_report_job *j, iu_report_value *out) { get_value(&j->read, out); }
int iu__report_job_columns(const iu_report_job *j) { return j->columns; }
const char *iu__report_job_column_name(iu_report_job *j, int column) { return j->names[column]; }
