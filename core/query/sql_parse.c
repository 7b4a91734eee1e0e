/* sql_parse.c: the clauses around the predicate: SELECT, FROM, the end (sql_parse.h); what is refused by name. */
#include "sql_parse.h"

#include "sql_parser.h"
#include "suggest.h"

iu_status iu__sql_advance(iu_sql_parser *p) { return iu__sql_next(p->x, &p->token); }

bool iu__sql_is_punct(const iu_sql_parser *p, char c) { return p->token.kind == IU_Q_PUNCT && p->token.text[0] == c; }

/* ---- what is refused by name ---- */

typedef struct named { const char *word, *shown; } named;

static const named clauses[] = {
  {"GROUP", "GROUP BY"}, {"ORDER", "ORDER BY"}, {"HAVING", "HAVING"}, {"LIMIT", "LIMIT"}, {"OFFSET", "OFFSET"}, {"FETCH", "FETCH"},
  {"UNION", "UNION"}, {"INTERSECT", "INTERSECT"}, {"EXCEPT", "EXCEPT"}, {"FOR", "FOR"}, {"WINDOW", "WINDOW"}, {"RETURNING", "RETURNING"},
  {"TABLESAMPLE", "TABLESAMPLE"}, {"USING", "USING"}, {"ON", "ON"},
};
static const char *const joins[] = {"JOIN", "INNER", "LEFT", "RIGHT", "FULL", "CROSS", "OUTER", "NATURAL", "STRAIGHT_JOIN", "LATERAL"};

iu_status iu__sql_refuse_clause(const iu_sql_parser *p) {
  const iu_sql_token *t = &p->token;
  if (iu__sql_is_punct(p, ',')) return iu__sql_fail(p->x, t->at, "joins are not supported yet, a query reads one table,");
  for (size_t i = 0; i < sizeof joins / sizeof joins[0]; i++) {
    if (iu__sql_is_word(t, joins[i])) return iu__sql_fail(p->x, t->at, "joins are not supported yet");
  }
  for (size_t i = 0; i < sizeof clauses / sizeof clauses[0]; i++) {
    if (iu__sql_is_word(t, clauses[i].word)) return iu__sql_fail(p->x, t->at, "%s is not supported", clauses[i].shown);
  }
  return IU_OK;
}

static iu_status expected(const iu_sql_parser *p, const char *what) {
  iu_sql_shown shown;
  return iu__sql_fail(p->x, p->token.at, "expected %s, got %s", what, iu__sql_show(p->x, &p->token, &shown));
}

/* ---- SELECT ---- */

static iu_status select_word(iu_sql_parser *p) {
  static const char *const others[] = {"INSERT", "UPDATE", "DELETE", "SET", "SHOW", "WITH", "CREATE", "DROP", "ALTER", "EXPLAIN", "VALUES",
                                       "TRUNCATE", "BEGIN", "COMMIT", "ROLLBACK", "MERGE", "TABLE"};
  if (iu__sql_is_word(&p->token, "SELECT")) return iu__sql_advance(p);
  for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
    if (iu__sql_is_word(&p->token, others[i])) return iu__sql_fail(p->x, p->token.at, "%s is not supported, only SELECT is,", others[i]);
  }
  return expected(p, "SELECT");
}

/* Something else than * stands behind SELECT. */
static iu_status refuse_projection(iu_sql_parser *p, iu_sql_token first) {
  iu_sql_shown shown;
  if (iu__sql_is_word(&first, "DISTINCT") || iu__sql_is_word(&first, "ALL") || iu__sql_is_word(&first, "TOP")) {
    return iu__sql_fail(p->x, first.at, "%s is not supported", iu__sql_show(p->x, &first, &shown));
  }
  if (first.kind == IU_Q_END || iu__sql_is_word(&first, "FROM")) {
    return iu__sql_fail(p->x, first.at, "expected * or a table's name and .*, got %s", iu__sql_show(p->x, &first, &shown));
  }
  if (first.kind == IU_Q_WORD && iu__sql_is_punct(p, '(')) {
    return iu__sql_fail(p->x, first.at, "functions such as %s are not supported, select *,", iu__sql_show(p->x, &first, &shown));
  }
  return iu__sql_fail(p->x, first.at, "column lists are not supported, select * instead of %s", iu__sql_show(p->x, &first, &shown));
}

/* *qualifier has kind IU_Q_END when the projection is a bare star. */
static iu_status projection(iu_sql_parser *p, iu_sql_token *qualifier) {
  iu_sql_token first = p->token;
  iu_status status = first.kind == IU_Q_END ? IU_OK : iu__sql_advance(p);
  if (status != IU_OK) return status;
  memset(qualifier, 0, sizeof *qualifier);
  if (first.kind == IU_Q_WORD || first.kind == IU_Q_QUOTED) {
    if (!iu__sql_is_punct(p, '.')) return refuse_projection(p, first);
    if ((status = iu__sql_advance(p)) != IU_OK) return status;
    if (!iu__sql_is_punct(p, '*')) return refuse_projection(p, first);
    if ((status = iu__sql_advance(p)) != IU_OK) return status;
    *qualifier = first;
  } else if (first.kind != IU_Q_PUNCT || first.text[0] != '*') {
    return refuse_projection(p, first);
  }
  if (iu__sql_is_punct(p, ',')) return iu__sql_fail(p->x, p->token.at, "column lists are not supported, select * alone");
  return IU_OK;
}

/* ---- FROM ---- */

static const char *suggest_table(const iu_sql_scope *scope, const char *name, size_t len, char out[IU_SUGGESTION_MAX]) {
  iu_suggest suggest;
  iu__suggest_init(&suggest, name, len);
  for (uint32_t i = 0; i < scope->schema->table_count; i++) {
    const iu_table_def *t = &scope->schema->tables[i];
    if (t->is_public || scope->see_private) iu__suggest_offer(&suggest, t->name);
  }
  return iu__suggest_text(&suggest, out);
}

static iu_status resolve_table(iu_sql_parser *p, uint32_t *table) {
  const iu_sql_token *t = &p->token;
  int found = iu__schema_table(p->scope->schema, t->text, t->len);
  if (found < 0 || (!p->scope->schema->tables[found].is_public && !p->scope->see_private)) {
    iu_sql_shown shown;
    char suggestion[IU_SUGGESTION_MAX];
    suggest_table(p->scope, t->text, t->len, suggestion);
    return iu__sql_fail(p->x, t->at, "no such table: %s%s", iu__sql_show_text(t->text, t->len, &shown),
                        suggestion[0] != 0 ? suggestion : " (if it exists, it may be private)");
  }
  *table = (uint32_t)found;
  p->table = &p->scope->schema->tables[found];
  p->alias = t->text;
  p->alias_len = t->len;
  return IU_OK;
}

static bool is_reserved(const iu_sql_parser *p) {
  static const char *const words[] = {"SELECT", "FROM", "WHERE", "AS", "AND", "OR", "NOT"};
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
    if (iu__sql_is_word(&p->token, words[i])) return true;
  }
  return false;
}

static iu_status alias(iu_sql_parser *p) {
  iu_status status;
  bool as = iu__sql_is_word(&p->token, "AS");
  if (as && (status = iu__sql_advance(p)) != IU_OK) return status;
  if ((p->token.kind == IU_Q_WORD && !is_reserved(p)) || p->token.kind == IU_Q_QUOTED) {
    if ((status = iu__sql_refuse_clause(p)) != IU_OK) return status;
    p->alias = p->token.text;
    p->alias_len = p->token.len;
    if ((status = iu__sql_advance(p)) != IU_OK) return status;
    return iu__sql_is_punct(p, '(') ? iu__sql_fail(p->x, p->token.at, "column aliases are not supported") : IU_OK;
  }
  return as ? expected(p, "an alias") : IU_OK;
}

static iu_status from(iu_sql_parser *p, uint32_t *table) {
  iu_status status;
  if (!iu__sql_is_word(&p->token, "FROM")) return expected(p, "FROM");
  if ((status = iu__sql_advance(p)) != IU_OK) return status;
  if (iu__sql_is_punct(p, '(')) return iu__sql_fail(p->x, p->token.at, "sub-queries are not supported");
  if (iu__sql_is_punct(p, '*')) return iu__sql_fail(p->x, p->token.at, "FROM * is not supported, name one table");
  if ((p->token.kind != IU_Q_WORD && p->token.kind != IU_Q_QUOTED) || is_reserved(p)) return expected(p, "a table name");
  if ((status = resolve_table(p, table)) != IU_OK || (status = iu__sql_advance(p)) != IU_OK) return status;
  if (iu__sql_is_punct(p, '.')) return iu__sql_fail(p->x, p->token.at, "table names of several parts are not supported");
  if (iu__sql_is_punct(p, '(')) return iu__sql_fail(p->x, p->token.at, "functions are not supported");
  if ((status = alias(p)) != IU_OK) return status;
  return iu__sql_refuse_clause(p);
}

static iu_status finish(iu_sql_parser *p, bool has_where) {
  iu_status status = iu__sql_refuse_clause(p);
  bool semicolon = status == IU_OK && iu__sql_is_punct(p, ';');
  if (semicolon) status = iu__sql_advance(p);
  if (status != IU_OK || p->token.kind == IU_Q_END) return status;
  if (semicolon) return iu__sql_fail(p->x, p->token.at, "a text holds one query, there is another");
  return expected(p, has_where ? "AND, OR or the end" : "WHERE or the end");
}

iu_status iu__sql_parse(iu_sql_lexer *x, const iu_sql_scope *scope, iu_sql_query *out) {
  iu_sql_parser p = {.x = x, .scope = scope};
  iu_sql_token qualifier;
  iu_status status;
  out->where = NULL;
  if ((status = iu__sql_advance(&p)) != IU_OK || (status = select_word(&p)) != IU_OK) return status;
  if ((status = projection(&p, &qualifier)) != IU_OK || (status = from(&p, &out->table)) != IU_OK) return status;
  if (qualifier.kind != IU_Q_END && (qualifier.len != p.alias_len || memcmp(qualifier.text, p.alias, p.alias_len) != 0)) {
    iu_sql_shown shown, wanted;
    return iu__sql_fail(x, qualifier.at, "%s is not in scope, the table is called %s here,", iu__sql_show_text(qualifier.text, qualifier.len, &shown),
                        iu__sql_show_text(p.alias, p.alias_len, &wanted));
  }
  if (iu__sql_is_word(&p.token, "WHERE")) {
    if ((status = iu__sql_advance(&p)) != IU_OK || (status = iu__sql_where(&p, &out->where)) != IU_OK) return status;
  }
  return finish(&p, out->where != NULL);
}
