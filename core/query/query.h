/* query.h: the subscription SQL (protocol sheet 9.1, 9.2) for one table with WHERE: parse, check against a schema, evaluate on rows.
 *
 *   SELECT * | t.* FROM table [[AS] alias] [WHERE pred] [;]
 *
 * Texts over IU_SQL_MAX bytes, nesting over IU_SQL_DEPTH_MAX and anything outside the grammar are IU_E_VALIDATION with err->offset at the
 * byte of the text and the message ending in "at column N" (characters of the text, from 1). Unknown tables and columns suggest the nearest.
 * Joins are recognised and refused by name ("joins are not supported yet").
 *
 * A query is immutable; it borrows the schema. The evaluator takes a valid row of the query's table.
 */
#ifndef IU_QUERY_QUERY_H
#define IU_QUERY_QUERY_H

#include "../store/store.h"

#define IU_SQL_MAX 50000
#define IU_SQL_DEPTH_MAX 128

typedef struct iu_query iu_query;
/* sender: 32 little-endian bytes, what :sender means. see_private: the owner sees private tables; to others they are unknown. */
iu_status iu__query_parse(const iu_schema *schema, const char *text, size_t len, const uint8_t sender[32], bool see_private,
                          iu_query **out, iu_error *err);
void iu__query_free(iu_query *q);
uint32_t iu__query_table(const iu_query *q);
bool iu__query_is_whole(const iu_query *q);           /* no WHERE */
bool iu__query_matches(const iu_query *q, const uint8_t *row, size_t len);
/* The narrowest access path the WHERE allows: an equality (or range) on an indexed column that every matching row must satisfy.
 * Fills index (IU_INDEX_MAIN: full scan, range untouched) and range (borrowed from the query). */
void iu__query_plan(const iu_query *q, const iu_table *t, uint32_t *index, iu_range *range);
/* Runs it over a store at an epoch. row() returns false to stop. */
typedef bool (*iu_row_fn)(void *ud, const iu_row *row);
iu_status iu__query_run(const iu_query *q, iu_store *s, uint64_t epoch, iu_row_fn row, void *ud, iu_error *err);

#endif
