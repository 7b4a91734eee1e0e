/* sql_select.c: what stands behind SELECT: a star, COUNT(*), or columns where the use at hand has them (sql_parse.h). */
#include "sql_parser.h"

/* Something else than * stands there. */
static iu_status refuse_projection(iu_sql_parser *p, iu_sql_token first) {
  iu_sql_shown shown;
  if (first.kind == IU_Q_END || iu__sql_is_word(&first, "FROM")) {
    return iu__sql_fail(p->x, first.at, "expected * or a table's name and .*, got %s", iu__sql_show(p->x, &first, &shown));
  }
  if (first.kind == IU_Q_WORD && iu__sql_is_punct(p, '(')) {
    return iu__sql_fail(p->x, first.at, "functions such as %s are not supported, select *,", iu__sql_show(p->x, &first, &shown));
  }
  return iu__sql_fail(p->x, first.at, "column lists are not supported, select * instead of %s", iu__sql_show(p->x, &first, &shown));
}

/* [AS] alias; none: kind IU_Q_END. */
static iu_status item_alias(iu_sql_parser *p, iu_sql_token *out) {
  iu_status status;
  bool as = iu__sql_is_word(&p->token, "AS");
  memset(out, 0, sizeof *out);
  out->kind = IU_Q_END;
  if (as && (status = iu__sql_advance(p)) != IU_OK) return status;
  if (!iu__sql_is_name(p)) return as ? iu__sql_expected(p, "a name behind AS") : IU_OK;
  *out = p->token;
  return iu__sql_advance(p);
}

/* Behind COUNT: (*) and the name of the result. */
static iu_status count(iu_sql_parser *p, iu_sql_selection *out) {
  static const char *const parts[] = {"(", "*", ")"};
  iu_status status = IU_OK;
  for (size_t i = 0; i < 3 && status == IU_OK; i++) {
    if (!iu__sql_is_punct(p, parts[i][0])) return iu__sql_fail(p->x, p->token.at, "COUNT counts rows, write COUNT(*),");
    status = iu__sql_advance(p);
  }
  if (status == IU_OK) status = item_alias(p, &out->count);
  if (status != IU_OK) return status;
  if (out->count.kind == IU_Q_END) return iu__sql_fail(p->x, p->token.at, "COUNT(*) needs a name, such as COUNT(*) AS n,");
  if (iu__sql_is_punct(p, ',')) return iu__sql_fail(p->x, p->token.at, "COUNT(*) stands alone, there are no groups,");
  return IU_OK;
}

/* One column, whose first name was read. */
static iu_status item(iu_sql_parser *p, iu_sql_token first, iu_sql_selection *out) {
  iu_sql_item *i = iu__arena_zero(p->x->arena, 1, sizeof *i);
  iu_status status;
  if (i == NULL) return iu__fail_nomem(p->x->err);
  i->qualifier.kind = IU_Q_END;
  i->name = first;
  if (iu__sql_is_punct(p, '.')) {
    if ((status = iu__sql_advance(p)) != IU_OK) return status;
    i->qualifier = first;
    i->name = p->token;
    if (i->name.kind != IU_Q_WORD && i->name.kind != IU_Q_QUOTED) return iu__sql_expected(p, out->items == NULL ? "a column or *" : "a column");
    if ((status = iu__sql_advance(p)) != IU_OK) return status;
    if (iu__sql_is_punct(p, '.')) return iu__sql_fail(p->x, p->token.at, "fields inside a column cannot be selected");
  }
  if (iu__sql_is_punct(p, '(')) {
    iu_sql_shown shown;
    return iu__sql_fail(p->x, first.at, "functions such as %s are not supported, there is COUNT(*) alone,", iu__sql_show(p->x, &first, &shown));
  }
  if ((status = item_alias(p, &i->alias)) != IU_OK) return status;
  if (out->last == NULL) out->items = i;
  else out->last->next = i;
  out->last = i;
  return IU_OK;
}

static iu_status items(iu_sql_parser *p, iu_sql_token first, iu_sql_selection *out) {
  iu_status status = item(p, first, out);
  while (status == IU_OK && iu__sql_is_punct(p, ',')) {
    if ((status = iu__sql_advance(p)) != IU_OK) break;
    if (iu__sql_is_punct(p, '*')) return iu__sql_fail(p->x, p->token.at, "columns and * do not mix");
    if (!iu__sql_is_name(p)) return iu__sql_expected(p, "a column");
    first = p->token;
    if ((status = iu__sql_advance(p)) == IU_OK) status = item(p, first, out);
  }
  return status;
}

iu_status iu__sql_selection(iu_sql_parser *p, iu_sql_selection *out) {
  iu_sql_token first = p->token;
  iu_sql_shown shown;
  bool named = first.kind == IU_Q_WORD || first.kind == IU_Q_QUOTED;
  iu_status status = first.kind == IU_Q_END ? IU_OK : iu__sql_advance(p);
  memset(out, 0, sizeof *out);
  out->star.kind = out->qualifier.kind = out->count.kind = IU_Q_END;
  if (status != IU_OK) return status;
  if (!iu__sql_is_punct(p, '.') && (iu__sql_is_word(&first, "DISTINCT") || iu__sql_is_word(&first, "ALL") || iu__sql_is_word(&first, "TOP"))) {
    return iu__sql_fail(p->x, first.at, "%s is not supported", iu__sql_show(p->x, &first, &shown));
  }
  if (named && iu__sql_is_punct(p, '.')) {
    iu_sql_lexer before = *p->x; /* a star, or the column of a list */
    iu_sql_token point = p->token;
    if ((status = iu__sql_advance(p)) != IU_OK) return status;
    out->star = p->token;
    if (iu__sql_is_punct(p, '*')) out->qualifier = first;
    else {
      out->star.kind = IU_Q_END;
      *p->x = before;
      p->token = point;
    }
  } else if (first.kind == IU_Q_PUNCT && first.text[0] == '*') {
    out->star = first;
  }
  if (out->star.kind == IU_Q_END) {
    if (!p->scope->results || !named || iu__sql_is_word(&first, "FROM")) return refuse_projection(p, first);
    return iu__sql_is_word(&first, "COUNT") && iu__sql_is_punct(p, '(') ? count(p, out) : items(p, first, out);
  }
  if (out->qualifier.kind != IU_Q_END && (status = iu__sql_advance(p)) != IU_OK) return status;
  if (!iu__sql_is_punct(p, ',')) return IU_OK;
  return iu__sql_fail(p->x, p->token.at, p->scope->results ? "columns and * do not mix" : "column lists are not supported, select * alone");
}

/* ---- once the tables are known ---- */

static iu_status selected_table(iu_sql_parser *p, const iu_sql_selection *selection, iu_sql_query *out) {
  const iu_sql_token *q = &selection->qualifier;
  if (q->kind == IU_Q_END) {
    if (p->source_count == 1) return IU_OK;
    return iu__sql_fail(p->x, selection->star.at, "a join selects the rows of one table, write its name and .* instead of *,");
  }
  for (uint32_t i = 0; i < p->source_count; i++) {
    if (q->len != p->sources[i].alias_len || memcmp(q->text, p->sources[i].alias, q->len) != 0) continue;
    out->selected = (uint8_t)i;
    return IU_OK;
  }
  return iu__sql_not_in_scope(p, q);
}

static iu_status check_new_name(const iu_sql_parser *p, const iu_sql_query *q, const iu_sql_token *name) {
  iu_sql_shown shown;
  for (const iu_sql_column *c = q->columns; c != NULL; c = c->next) {
    if (strlen(c->name) != name->len || memcmp(c->name, name->text, name->len) != 0) continue;
    return iu__sql_fail(p->x, name->at, "two columns are called %s, name one of them with AS,", iu__sql_show_text(name->text, name->len, &shown));
  }
  return IU_OK;
}

iu_status iu__sql_select(iu_sql_parser *p, const iu_sql_selection *selection, iu_sql_query *out) {
  iu_sql_column **end = &out->columns;
  if (selection->star.kind != IU_Q_END) return selected_table(p, selection, out);
  if (selection->count.kind != IU_Q_END) {
    out->count_name = iu__arena_strndup(p->x->arena, selection->count.text, selection->count.len);
    return out->count_name != NULL ? IU_OK : iu__fail_nomem(p->x->err);
  }
  for (const iu_sql_item *i = selection->items; i != NULL; i = i->next) {
    const iu_sql_token *name = i->alias.kind != IU_Q_END ? &i->alias : &i->name;
    iu_sql_column *c = iu__arena_zero(p->x->arena, 1, sizeof *c);
    iu_status status = c == NULL ? iu__fail_nomem(p->x->err) : iu__sql_resolve(p, &i->qualifier, &i->name, &c->side, &c->column);
    if (status == IU_OK) status = check_new_name(p, out, name);
    if (status != IU_OK) return status;
    if (++out->column_count > IU_TYPE_FIELDS_MAX) return iu__sql_fail(p->x, name->at, "more than %d columns are selected", IU_TYPE_FIELDS_MAX);
    c->name = iu__arena_strndup(p->x->arena, name->text, name->len);
    if (c->name == NULL) return iu__fail_nomem(p->x->err);
    *end = c;
    end = &c->next;
  }
  return IU_OK;
}
