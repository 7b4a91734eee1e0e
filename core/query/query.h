/* query.h: the SQL that reads tables (protocol sheet 9): parse, check against a schema, evaluate on rows.
 *
 *   SELECT * | t.* FROM table [[AS] alias] [WHERE pred] [;]                                                  IU_QUERY_TABLE
 *   SELECT a.* FROM a [[AS] x] [INNER] JOIN b [[AS] y] ON x.c = y.d [WHERE pred]                             IU_QUERY_LIVE: the second table has an index on d
 *   the same without that rule; SELECT columns, SELECT COUNT(*) AS n, ... LIMIT n                            IU_QUERY_ONCE
 *
 * Texts over IU_SQL_MAX bytes, nesting over IU_SQL_DEPTH_MAX and anything outside the grammar are IU_E_VALIDATION with err->offset at the
 * byte of the text and the message ending in "at column N" (characters of the text, from 1). Unknown tables and columns suggest the nearest.
 *
 * A query is immutable; it borrows the schema. The evaluators take valid rows of the query's tables.
 */
#ifndef IU_QUERY_QUERY_H
#define IU_QUERY_QUERY_H

#include "../store/store.h"

#define IU_SQL_MAX 50000
#define IU_SQL_DEPTH_MAX 128

typedef struct iu_query iu_query;
typedef enum iu_query_use { IU_QUERY_TABLE, IU_QUERY_LIVE, IU_QUERY_ONCE } iu_query_use;
/* sender: 32 little-endian bytes, what :sender means. see_private: the owner sees private tables; to others they are unknown. */
iu_status iu__query_parse_for(iu_query_use use, const iu_schema *schema, const char *text, size_t len, const uint8_t sender[32], bool see_private,
                              iu_query **out, iu_error *err);
/* IU_QUERY_TABLE: one table, whole rows. */
iu_status iu__query_parse(const iu_schema *schema, const char *text, size_t len, const uint8_t sender[32], bool see_private,
                          iu_query **out, iu_error *err);
void iu__query_free(iu_query *q);
uint32_t iu__query_table(const iu_query *q);          /* whose rows it selects; of a join's column list the first table */
bool iu__query_is_whole(const iu_query *q);           /* no WHERE, no JOIN, no LIMIT: every row of the table as it is */
bool iu__query_matches(const iu_query *q, const uint8_t *row, size_t len); /* of no join */
/* The narrowest access path the WHERE allows: an equality (or range) on an indexed column that every matching row must satisfy.
 * Fills index (IU_INDEX_MAIN: full scan, range untouched) and range (borrowed from the query). */
void iu__query_plan(const iu_query *q, const iu_table *t, uint32_t *index, iu_range *range);
/* Runs it over a store at an epoch. row() returns false to stop. A join gives the selected row once for each partner. LIMIT is the caller's. */
typedef bool (*iu_row_fn)(void *ud, const iu_row *row);
iu_status iu__query_run(const iu_query *q, iu_store *s, uint64_t epoch, iu_row_fn row, void *ud, iu_error *err);

/* ---- joins; side 0 is the selected table, whichever was written first ---- */

typedef struct iu_query_side {
  uint32_t table, column; /* of ON */
  uint32_t index;         /* one whose first column is `column`, for equal values; IU_INDEX_MAIN: none, or floats, which an index tells apart where SQL does not */
} iu_query_side;
bool iu__query_is_join(const iu_query *q);
const iu_query_side *iu__query_sides(const iu_query *q);              /* two */
/* The conditions on this side alone that are joined by AND. */
bool iu__query_side_may(const iu_query *q, int side, const uint8_t *row, size_t len);
/* ON and WHERE. */
bool iu__query_pair_matches(const iu_query *q, const iu_row *selected, const iu_row *other);
/* BSATN of its column of ON. */
iu_slice iu__query_join_value(const iu_query *q, int side, const uint8_t *row, size_t len);
/* The same, in a form in which equal values have equal bytes (floats are not so in BSATN); 8 bytes of room are used for those. */
iu_slice iu__query_join_key(const iu_query *q, int side, const uint8_t *row, size_t len, uint8_t room[8]);
/* Conditions `column op literal` joined by AND, of one side; those of a query without a join are of side 0. */
typedef struct iu_query_term { uint32_t column; uint8_t op; /* IU_CMP_ */ iu_slice literal; } iu_query_term;
const iu_query_term *iu__query_terms(const iu_query *q, int side, uint32_t *count);
/* Pairs of a join; rows[1] is NULL where there is none. */
typedef bool (*iu_pair_fn)(void *ud, const iu_row *const rows[2]);
iu_status iu__query_run_pairs(const iu_query *q, iu_store *s, uint64_t epoch, iu_pair_fn pair, void *ud, iu_error *err);

/* ---- results of their own (IU_QUERY_ONCE) ---- */

uint64_t iu__query_limit(const iu_query *q);          /* UINT64_MAX: none */
bool iu__query_is_count(const iu_query *q);           /* COUNT(*): one row, a U64 */
bool iu__query_has_columns(const iu_query *q);        /* a column list */
/* Of COUNT and column lists: what a row of the result is, without keys and indexes. Names are copied to `types`; the rest is borrowed from the schema. */
iu_status iu__query_result(const iu_query *q, iu_typespace *types, iu_table_def *out, iu_error *err);
/* The row of a column list; `out` is emptied first. */
void iu__query_project(const iu_query *q, const iu_row *const rows[2], iu_buf *out);

#endif
