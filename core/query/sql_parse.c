/* sql_parse.c: the clauses around the predicate: FROM, JOIN, LIMIT, the end (sql_parse.h); what is refused by name. */
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

static bool is_join(const iu_sql_parser *p) { return iu__sql_is_word(&p->token, "JOIN") || iu__sql_is_word(&p->token, "INNER"); }

static iu_status refuse_join(const iu_sql_parser *p) {
  const iu_sql_token *t = &p->token;
  bool joins_here = p->scope->joins;
  if (iu__sql_is_punct(p, ',')) {
    return iu__sql_fail(p->x, t->at, joins_here ? "tables are joined by JOIN and ON, not by a comma," : "a query reads one table here, joins are not supported,");
  }
  if (is_join(p) && p->may_join) return IU_OK;
  for (size_t i = 0; i < sizeof joins / sizeof joins[0]; i++) {
    if (!iu__sql_is_word(t, joins[i])) continue;
    if (!joins_here) return iu__sql_fail(p->x, t->at, "joins are not supported here");
    if (is_join(p)) return iu__sql_fail(p->x, t->at, "a query joins two tables at most, and before WHERE,");
    return iu__sql_fail(p->x, t->at, "only inner joins are supported");
  }
  return IU_OK;
}

iu_status iu__sql_refuse_clause(const iu_sql_parser *p) {
  const iu_sql_token *t = &p->token;
  iu_status status = refuse_join(p);
  if (status != IU_OK || (p->scope->results && iu__sql_is_word(t, "LIMIT"))) return status;
  for (size_t i = 0; i < sizeof clauses / sizeof clauses[0]; i++) {
    if (iu__sql_is_word(t, clauses[i].word)) return iu__sql_fail(p->x, t->at, "%s is not supported", clauses[i].shown);
  }
  return IU_OK;
}

iu_status iu__sql_expected(const iu_sql_parser *p, const char *what) {
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
  return iu__sql_expected(p, "SELECT");
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
  p->sources[p->source_count++] = (iu_sql_source){&p->scope->schema->tables[found], t->text, t->len};
  return IU_OK;
}

static bool is_reserved(const iu_sql_parser *p) {
  static const char *const words[] = {"SELECT", "FROM", "WHERE", "AS", "AND", "OR", "NOT"};
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
    if (iu__sql_is_word(&p->token, words[i])) return true;
  }
  return false;
}

bool iu__sql_is_name(const iu_sql_parser *p) { return p->token.kind == IU_Q_QUOTED || (p->token.kind == IU_Q_WORD && !is_reserved(p)); }

/* Words that go on with the query where an alias could stand. */
static bool goes_on(const iu_sql_parser *p) {
  return (p->may_join && is_join(p)) || (p->source_count == 2 && iu__sql_is_word(&p->token, "ON")) || (p->scope->results && iu__sql_is_word(&p->token, "LIMIT"));
}

static iu_status alias(iu_sql_parser *p) {
  iu_status status;
  iu_sql_source *source = &p->sources[p->source_count - 1];
  bool as = iu__sql_is_word(&p->token, "AS");
  if (as && (status = iu__sql_advance(p)) != IU_OK) return status;
  if (iu__sql_is_name(p) && !goes_on(p)) {
    if ((status = iu__sql_refuse_clause(p)) != IU_OK) return status;
    source->alias = p->token.text;
    source->alias_len = p->token.len;
    if ((status = iu__sql_advance(p)) != IU_OK) return status;
    return iu__sql_is_punct(p, '(') ? iu__sql_fail(p->x, p->token.at, "column aliases are not supported") : IU_OK;
  }
  return as ? iu__sql_expected(p, "an alias") : IU_OK;
}

/* Behind FROM or JOIN. */
static iu_status source(iu_sql_parser *p, uint32_t *table) {
  iu_status status;
  if (iu__sql_is_punct(p, '(')) return iu__sql_fail(p->x, p->token.at, "sub-queries are not supported");
  if (iu__sql_is_punct(p, '*')) return iu__sql_fail(p->x, p->token.at, "FROM * is not supported, name one table");
  if (!iu__sql_is_name(p)) return iu__sql_expected(p, "a table name");
  if ((status = resolve_table(p, table)) != IU_OK || (status = iu__sql_advance(p)) != IU_OK) return status;
  if (iu__sql_is_punct(p, '.')) return iu__sql_fail(p->x, p->token.at, "table names of several parts are not supported");
  if (iu__sql_is_punct(p, '(')) return iu__sql_fail(p->x, p->token.at, "functions are not supported");
  return alias(p);
}

static iu_status check_names(const iu_sql_parser *p, size_t at) {
  const iu_sql_source *a = &p->sources[0], *b = &p->sources[1];
  iu_sql_shown shown;
  if (a->alias_len != b->alias_len || memcmp(a->alias, b->alias, a->alias_len) != 0) return IU_OK;
  return iu__sql_fail(p->x, at, "both tables are called %s, give one of them an alias,", iu__sql_show_text(a->alias, a->alias_len, &shown));
}

static bool has_index(const iu_table_def *t, uint32_t column) {
  for (uint32_t i = 0; i < t->index_count; i++) {
    if (t->indexes[i].column_count == 1 && t->indexes[i].columns[0] == column) return true;
  }
  return false;
}

static iu_status join(iu_sql_parser *p, iu_sql_query *out) {
  size_t at = p->token.at;
  iu_status status;
  bool inner = iu__sql_is_word(&p->token, "INNER");
  if ((status = iu__sql_advance(p)) != IU_OK) return status;
  if (inner) {
    if (!iu__sql_is_word(&p->token, "JOIN")) return iu__sql_expected(p, "JOIN");
    if ((status = iu__sql_advance(p)) != IU_OK) return status;
  }
  p->may_join = false;
  if ((status = source(p, &out->tables[1])) != IU_OK || (status = check_names(p, at)) != IU_OK) return status;
  out->table_count = 2;
  if (!iu__sql_is_word(&p->token, "ON")) return iu__sql_expected(p, "ON");
  if ((status = iu__sql_advance(p)) != IU_OK) return status;
  at = p->token.at;
  if ((status = iu__sql_on(p, &out->on, out->on_columns)) != IU_OK) return status;
  const iu_table_def *second = p->sources[1].table;
  if (!p->scope->need_index || has_index(second, out->on_columns[1])) return IU_OK;
  return iu__sql_fail(p->x, at, "subscriptions need an index on the join column of the second table, `%s`.`%s` has none,", second->name,
                      second->row->u.fields[out->on_columns[1]].name);
}

static iu_status from(iu_sql_parser *p, iu_sql_query *out) {
  iu_status status;
  if (!iu__sql_is_word(&p->token, "FROM")) return iu__sql_expected(p, "FROM");
  p->may_join = p->scope->joins;
  if ((status = iu__sql_advance(p)) != IU_OK || (status = source(p, &out->tables[0])) != IU_OK) return status;
  out->table_count = 1;
  if (p->may_join && is_join(p) && (status = join(p, out)) != IU_OK) return status;
  p->may_join = false;
  return iu__sql_refuse_clause(p);
}

/* ---- the end ---- */

static iu_status limit(iu_sql_parser *p, iu_sql_query *out) {
  iu_status status = iu__sql_advance(p);
  if (status != IU_OK) return status;
  if (p->token.kind != IU_Q_NUMBER || p->token.len > 19) return iu__sql_expected(p, "a number of rows behind LIMIT");
  for (size_t i = 0; i < p->token.len; i++) {
    if (p->token.text[i] < '0' || p->token.text[i] > '9') return iu__sql_expected(p, "a number of rows behind LIMIT");
    out->limit = out->limit * 10 + (uint64_t)(p->token.text[i] - '0');
  }
  out->has_limit = true;
  return iu__sql_advance(p);
}

static iu_status finish(iu_sql_parser *p, bool has_where) {
  iu_status status = iu__sql_refuse_clause(p);
  bool semicolon = status == IU_OK && iu__sql_is_punct(p, ';');
  if (semicolon) status = iu__sql_advance(p);
  if (status != IU_OK || p->token.kind == IU_Q_END) return status;
  if (semicolon) return iu__sql_fail(p->x, p->token.at, "a text holds one query, there is another");
  return iu__sql_expected(p, has_where ? "AND, OR or the end" : "WHERE or the end");
}

iu_status iu__sql_parse(iu_sql_lexer *x, const iu_sql_scope *scope, iu_sql_query *out) {
  iu_sql_parser p = {.x = x, .scope = scope};
  iu_sql_selection selection;
  iu_status status;
  memset(out, 0, sizeof *out);
  if ((status = iu__sql_advance(&p)) != IU_OK || (status = select_word(&p)) != IU_OK) return status;
  if ((status = iu__sql_selection(&p, &selection)) != IU_OK || (status = from(&p, out)) != IU_OK) return status;
  if ((status = iu__sql_select(&p, &selection, out)) != IU_OK) return status;
  if (iu__sql_is_word(&p.token, "WHERE")) {
    if ((status = iu__sql_advance(&p)) != IU_OK || (status = iu__sql_where(&p, &out->where)) != IU_OK) return status;
  }
  if (scope->results && iu__sql_is_word(&p.token, "LIMIT") && (status = limit(&p, out)) != IU_OK) return status;
  return finish(&p, out->where != NULL);
}
