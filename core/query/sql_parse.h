/* sql_parse.h: the grammar of query.h: from words to tables, columns and a checked predicate tree.
 *
 *   query   = SELECT what FROM name [[AS] alias] [[INNER] JOIN name [[AS] alias] ON column = column] [WHERE any] [LIMIT count] [;]
 *   what    = * | name.* | COUNT(*) [AS] alias | column [[AS] alias] { , column [[AS] alias] }
 *   any     = all { OR all }           all = test { AND test }
 *   test    = operand [ op operand ]   operand = column | literal | :sender | ( any )
 *   column  = [alias.]name
 *
 * Names and types are resolved while parsing, so that every message points at its word. What SQL has and queries do not is refused by name;
 * so is what the use at hand has not (query.h).
 */
#ifndef IU_QUERY_SQL_PARSE_H
#define IU_QUERY_SQL_PARSE_H

#include "../sats/schema.h"
#include "predicate.h"
#include "sql_token.h"

typedef struct iu_sql_scope {
  const iu_schema *schema;
  const uint8_t *sender; /* 32 little-endian bytes */
  bool see_private;
  bool joins;            /* two tables */
  bool need_index;       /* the second one has an index on its column of ON */
  bool results;          /* column lists, COUNT, LIMIT */
} iu_sql_scope;

typedef struct iu_sql_column { struct iu_sql_column *next; uint8_t side; uint32_t column; const char *name; } iu_sql_column;

/* Everything is in the lexer's arena. Tables are numbered as written. */
typedef struct iu_sql_query {
  uint32_t table_count, tables[2];
  uint8_t selected;            /* whose rows; 0 with columns */
  iu_pred_node *on; uint32_t on_columns[2];
  iu_pred_node *where;         /* NULL: none */
  iu_sql_column *columns;      /* NULL: whole rows */
  uint32_t column_count;
  const char *count_name;      /* COUNT(*); else NULL */
  bool has_limit; uint64_t limit;
} iu_sql_query;

iu_status iu__sql_parse(iu_sql_lexer *x, const iu_sql_scope *scope, iu_sql_query *out);

#endif
