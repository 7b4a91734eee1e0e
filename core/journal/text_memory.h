/* text_memory.h: the text index of text_index.h for universes that have no file: an SQLite database in memory with one table of the schema, searched with the same SQL.
 * Its rows come from whoever has them. It holds the texts and the other columns of the table, not the rows' bytes or the indexed JSON. One thread. */
#ifndef IU_JOURNAL_TEXT_MEMORY_H
#define IU_JOURNAL_TEXT_MEMORY_H

#include "../sats/schema.h"
#include "report.h"

typedef struct iu_text_memory iu_text_memory;
/* `sql` is what iu__journal_ask_extend would run. IU_E_VALIDATION: it makes no index of this table. The schema is borrowed. */
iu_status iu__text_memory_new(const iu_schema *schema, uint32_t table, const char *sql, iu_text_memory **out, iu_error *err);
void iu__text_memory_free(iu_text_memory *m);   /* its reports are closed before */
/* Several changes are cheaper between these two. After a failure of any of the four the index is of no use any more. */
iu_status iu__text_memory_begin(iu_text_memory *m, iu_error *err);
iu_status iu__text_memory_end(iu_text_memory *m, iu_error *err);
iu_status iu__text_memory_put(iu_text_memory *m, iu_slice row, iu_error *err);
iu_status iu__text_memory_delete(iu_text_memory *m, iu_slice key, iu_error *err);   /* BSATN; one that is not there is fine */
/* A reader of it, one at a time, closed before the next change. */
iu_status iu__text_memory_report(iu_text_memory *m, iu_report **out, iu_error *err);

#endif
