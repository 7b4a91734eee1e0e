/* report.h: SQL over a folded universe file, read-only: a connection of its own, so a long report holds up nobody.
 *
 * The caller folds first (iu__journal_fold) when the universe is open here; otherwise the file is read as it lies, which is complete for one
 * that was closed properly. Only one statement, only reading: anything else is IU_E_VALIDATION. Extension loading and attaching are off.
 */
#ifndef IU_JOURNAL_REPORT_H
#define IU_JOURNAL_REPORT_H

#include "../base/error.h"

#define IU_REPORT_SQL_MAX (1u << 20)

typedef enum iu_report_kind { IU_REPORT_NULL, IU_REPORT_INT, IU_REPORT_REAL, IU_REPORT_TEXT, IU_REPORT_BLOB } iu_report_kind;
typedef struct iu_report_value { iu_report_kind kind; int64_t i; double d; const void *p; size_t len; } iu_report_value;

typedef struct iu_report iu_report;
iu_status iu__report_open(const char *path, iu_report **out, iu_error *err);
void iu__report_close(iu_report *r);
/* Prepares; parameters are bound by position from 1 before the first step. */
iu_status iu__report_prepare(iu_report *r, const char *sql, size_t len, iu_error *err);
iu_status iu__report_bind(iu_report *r, int position, const iu_report_value *value, iu_error *err);
int iu__report_columns(const iu_report *r);
const char *iu__report_column_name(iu_report *r, int column);
/* The next row: *row false at the end. Values are borrowed until the next step. */
iu_status iu__report_step(iu_report *r, bool *row, iu_error *err);
void iu__report_value_at(iu_report *r, int column, iu_report_value *out);

#endif
