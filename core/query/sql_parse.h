/* sql_parse.h: the grammar of query.h: from words to a table and a checked predicate tree.
 *
 *   query   = SELECT ( * | name.* ) FROM name [[AS] alias] [WHERE any] [;]
 *   any     = all { OR all }           all = test { AND test }
 *   test    = operand [ op operand ]   operand = [alias.]column | literal | :sender | ( any )
 *
 * Names and types are resolved while parsing, so that every message points at its word. What SQL has and queries do not is refused by name.
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
} iu_sql_scope;

typedef struct iu_sql_query {
  uint32_t table;
  iu_pred_node *where;   /* NULL: none; in the lexer's arena */
} iu_sql_query;

iu_status iu__sql_parse(iu_sql_lexer *x, const iu_sql_scope *scope, iu_sql_query *out);

#endif
