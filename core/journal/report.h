/* report.h: SQL over a folded universe file, read-only: a connection of its own, so a long report holds up nobody. report_job.h runs one on another
 * thread.
 *
 * The caller folds first (iu__journal_fold) when the universe is open here; otherwise the file is read as it lies, which is complete for one
 * that was closed properly. Only one statement, only reading: anything else is IU_E_VALIDATION. Extension loading and attaching are off.
 */
#ifndef IU_JOURNAL_REPORT_H
#define IU_JOURNAL_REPORT_H

#include "../base/error.h"

#define IU_REPORT_SQL_MAX (1u << 20)
#define IU_REPORT_VALUE_MAX (128u << 20)   /* bytes of one value, also of one that a function of SQL makes */

typedef enum iu_report_kind { IU_REPORT_NULL, IU_REPORT_INT, IU_REPORT_REAL, IU_REPORT_TEXT, IU_REPORT_BLOB } iu_report_kind;
typedef struct iu_report_value { iu_report_kind kind; int64_t i; double d; const void *p; size_t len; } iu_report_value;

typedef struct iu_report iu_report;
iu_status iu__report_open(const char *path, iu_report **out, iu_error *err);
/* Over a database of our own that is open already, and stays so; until the close nobody else uses it. */
struct sqlite3;
iu_status iu__report_over(struct sqlite3 *db, iu_report **out, iu_error *err);
void iu__report_close(iu_report *r);
/* Prepares; parameters are bound by position from 1, or by name, before the first step. */
iu_status iu__report_prepare(iu_report *r, const char *sql, size_t len, iu_error *err);
iu_status iu__report_bind(iu_report *r, int position, const iu_report_value *value, iu_error *err);
/* The position of `:name`, `@name` or `$name`, the sign given or not. */
iu_status iu__report_position(iu_report *r, const char *name, int *position, iu_error *err);
int iu__report_parameters(const iu_report *r);
/* "?2", or ":name"; borrowed, NULL where it has none ("?"). */
const char *iu__report_parameter_name(const iu_report *r, int position);
/* From any thread: steps end with IU_E_CLOSED, the one that is running soon. */
void iu__report_cancel(iu_report *r);
/* Steps end with IU_E_TIMEOUT past this time of iu__clock_mono_ns; 0: none. */
void iu__report_deadline(iu_report *r, uint64_t mono_ns);
int iu__report_columns(const iu_report *r);
const char *iu__report_column_name(iu_report *r, int column);
/* The next row: *row false at the end. Values are borrowed until the next step. */
iu_status iu__report_step(iu_report *r, bool *row, iu_error *err);
void iu__report_value_at(iu_report *r, int column, iu_report_value *out);

#endif
