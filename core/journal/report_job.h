/* report_job.h: one query of report.h, worked off in batches: made and read on the owner thread, run on any other, one thread at a time.
 *
 *   new -> param... -> { limit -> run (elsewhere) -> columns, rows }... -> free
 *
 * The first run opens the file, prepares and binds, so that nothing of it holds up the owner. Between two runs SQLite keeps the state it reads: the whole
 * report is of one moment, and the write-ahead log keeps its part of it until the job ends.
 */
#ifndef IU_JOURNAL_REPORT_JOB_H
#define IU_JOURNAL_REPORT_JOB_H

#include "../base/buffer.h"
#include "report.h"

#define IU_REPORT_PARAMS_BYTES_MAX (64u << 20)
#define IU_REPORT_BATCH_ROWS 4096u            /* a batch ends at the first of these two */
#define IU_REPORT_BATCH_BYTES (1u << 20)

typedef struct iu_report_job iu_report_job;
/* Copies path and text. */
iu_status iu__report_job_new(const char *path, const char *sql, size_t len, iu_report_job **out, iu_error *err);
/* `name` NULL: the next one by position. Copies. */
iu_status iu__report_job_param(iu_report_job *j, const char *name, size_t name_len, const iu_report_value *v, iu_error *err);
/* For the next run: the time of iu__clock_mono_ns at which it ends with IU_E_TIMEOUT; 0: none. */
void iu__report_job_limit(iu_report_job *j, uint64_t deadline_ns);
/* The next batch. After a failure, or the last batch, there is none. */
iu_status iu__report_job_run(iu_report_job *j, iu_error *err);
/* From any thread: the run ends with IU_E_CLOSED. */
void iu__report_job_cancel(iu_report_job *j);
/* Of the last run: how many rows, and whether they were the last. */
uint32_t iu__report_job_rows(const iu_report_job *j, bool *last);
size_t iu__report_job_bytes(const iu_report_job *j);   /* that the batch takes, about */
/* The values of the batch, row after row; borrowed until the next run. The caller asks for no more than rows * columns. */
void iu__report_job_value(iu_report_job *j, iu_report_value *out);
int iu__report_job_columns(const iu_report_job *j);
const char *iu__report_job_column_name(iu_report_job *j, int column);
/* Not while it runs. */
void iu__report_job_free(iu_report_job *j);

#endif
