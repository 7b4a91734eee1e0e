/* file_schema.h: the tables of a universe file as the file itself declares them: definitions (catalog_text.c) read back, for those who have no module that declares
 * them. Without what a definition does not say: plain indexes, visibility, default values, schedules, where auto-increment columns begin.
 */
#ifndef IU_JOURNAL_FILE_SCHEMA_H
#define IU_JOURNAL_FILE_SCHEMA_H

#include <sqlite3.h>

#include "../sats/schema.h"

typedef struct iu_file_schema {
  iu_schema schema;      /* its tables only */
  iu_arena arena;
  iu_typespace *spaces;  /* of the tables that were read from text; owned */
  uint32_t space_count, cap;
} iu_file_schema;

/* The tables that `_iu_table` lists, in its order. Those that `known` (held; may be NULL) declares in the same words are taken from there. With `all_known` those of `known`
 * come first, all of them and as they are, then those of the file that have other names. IU_E_STORAGE: the list is damaged, or a definition is not what
 * catalog_text.c writes. Freed in either case with iu__jfile_schema_free. */
iu_status iu__jfile_schema_read(sqlite3 *db, const iu_schema *known, bool all_known, iu_file_schema *out, iu_error *err);
/* One table of that name with this definition. Freed likewise. */
iu_status iu__jfile_schema_parse(const char *name, const char *definition, iu_file_schema *out, iu_error *err);
void iu__jfile_schema_free(iu_file_schema *s);

#endif
