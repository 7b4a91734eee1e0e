/* check_impl.h: what the check's two files share. */
#ifndef IU_JOURNAL_CHECK_IMPL_H
#define IU_JOURNAL_CHECK_IMPL_H

#include "catalog.h"
#include "check.h"
#include "db.h"

#define IU_CHECK_KEY_SHOWN 64

typedef struct iu_checker {
  sqlite3 *db;
  const char *path;
  iu_catalog catalog;   /* of the file's own tables */
  iu_check_fn found;
  void *ud;
  iu_check_counts *out;
  iu_buf scratch;
  iu_status status; /* of `found` */
  int64_t *highest; /* of each table's auto-increment columns, in order */
  int64_t *next;
  bool *seen, *has_next;
} iu_checker;

void iu__check_report(iu_checker *c, bool warning, const char *table, const char *format, ...) IU_PRINTF(4, 5);
/* check_text.c: the text indexes of the file, against themselves and against the rows. Failures: no memory only. */
iu_status iu__check_texts(iu_checker *c, iu_error *err);

#endif
