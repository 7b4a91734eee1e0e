/* sql_parser.h: the parser's own state, shared by its two halves: sql_parse.c (clauses) and sql_where.c (predicates). */
#ifndef IU_QUERY_SQL_PARSER_H
#define IU_QUERY_SQL_PARSER_H

#include "sql_literal.h"
#include "sql_parse.h"

typedef struct iu_sql_parser {
  iu_sql_lexer *x;
  const iu_sql_scope *scope;
  iu_sql_token token;           /* the one looked at */
  const iu_table_def *table;    /* once FROM was read */
  const char *alias; size_t alias_len;
} iu_sql_parser;

iu_status iu__sql_advance(iu_sql_parser *p);
bool iu__sql_is_punct(const iu_sql_parser *p, char c);
/* IU_E_VALIDATION when the word at hand starts something that SQL has and queries do not ("ORDER BY is not supported"); else IU_OK. */
iu_status iu__sql_refuse_clause(const iu_sql_parser *p);
/* Behind WHERE: reads to the first word that does not belong to the predicate. */
iu_status iu__sql_where(iu_sql_parser *p, iu_pred_node **out);

#endif
