/* sql_parser.h: the parser's own state, shared by its parts: sql_parse.c (clauses), sql_select.c (what is selected) and sql_where.c (predicates). */
#ifndef IU_QUERY_SQL_PARSER_H
#define IU_QUERY_SQL_PARSER_H

#include "sql_literal.h"
#include "sql_parse.h"

/* A table of FROM or JOIN, and what it is called in this query. */
typedef struct iu_sql_source { const iu_table_def *table; const char *alias; size_t alias_len; } iu_sql_source;

/* What stands behind SELECT, before FROM was read: nothing of it is resolved yet. */
typedef struct iu_sql_item {
  struct iu_sql_item *next;
  iu_sql_token qualifier, name, alias; /* kind IU_Q_END: none */
} iu_sql_item;

typedef struct iu_sql_selection {
  iu_sql_token star;            /* kind IU_Q_END: columns, or COUNT */
  iu_sql_token qualifier;       /* of the star */
  iu_sql_token count;           /* COUNT(*) AS this */
  iu_sql_item *items, *last;
} iu_sql_selection;

typedef struct iu_sql_parser {
  iu_sql_lexer *x;
  const iu_sql_scope *scope;
  iu_sql_token token;           /* the one looked at */
  iu_sql_source sources[2];     /* as they were written */
  uint32_t source_count;
  bool may_join;                /* behind the first table */
} iu_sql_parser;

iu_status iu__sql_advance(iu_sql_parser *p);
bool iu__sql_is_punct(const iu_sql_parser *p, char c);
bool iu__sql_is_name(const iu_sql_parser *p);     /* a name that is no keyword of the grammar, or a quoted one */
iu_status iu__sql_expected(const iu_sql_parser *p, const char *what);
/* IU_E_VALIDATION when the word at hand starts something that SQL has and queries do not ("ORDER BY is not supported"); else IU_OK. */
iu_status iu__sql_refuse_clause(const iu_sql_parser *p);

/* Behind SELECT, to FROM. */
iu_status iu__sql_selection(iu_sql_parser *p, iu_sql_selection *out);
/* Once FROM and JOIN were read: which rows, or which columns. */
iu_status iu__sql_select(iu_sql_parser *p, const iu_sql_selection *selection, iu_sql_query *out);

/* Behind WHERE: reads to the first word that does not belong to the predicate. */
iu_status iu__sql_where(iu_sql_parser *p, iu_pred_node **out);
/* Behind ON: `a.x = b.y`; columns by source. */
iu_status iu__sql_on(iu_sql_parser *p, iu_pred_node **out, uint32_t columns[2]);
/* A column of one of the sources. qualifier: NULL or of kind IU_Q_END: none. */
iu_status iu__sql_resolve(const iu_sql_parser *p, const iu_sql_token *qualifier, const iu_sql_token *name, uint8_t *source, uint32_t *column);
/* "the table is called `e` here", for what is not in scope. */
iu_status iu__sql_not_in_scope(const iu_sql_parser *p, const iu_sql_token *qualifier);

#endif
