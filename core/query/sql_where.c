/* sql_where.c: the predicate half of the parser: operands, comparisons, AND, OR, parentheses; types are checked as comparisons are made. */
#include "query.h"
#include "sql_parser.h"
#include "suggest.h"

typedef enum operand_kind { O_COLUMN, O_LITERAL, O_SENDER, O_PREDICATE } operand_kind;

typedef struct operand {
  operand_kind kind;
  iu_sql_token token;        /* where to point at */
  uint8_t source;
  uint32_t column;
  iu_sql_literal literal;
  iu_pred_node *predicate;
} operand;

static iu_status disjunction(iu_sql_parser *p, uint32_t depth, operand *out);

/* ---- what is refused by name ---- */

static iu_status refuse(const iu_sql_parser *p, const char *what) {
  iu_sql_shown shown;
  return iu__sql_fail(p->x, p->token.at, "%s is not supported%s%s", iu__sql_show(p->x, &p->token, &shown), what[0] != 0 ? ", " : "", what);
}

/* Words that start an operand in SQL. They may be columns when quoted. */
static iu_status refuse_prefix(const iu_sql_parser *p) {
  static const char *const words[] = {"NOT", "EXISTS", "CASE", "CAST", "SELECT"};
  if (iu__sql_is_word(&p->token, "NULL")) return iu__sql_fail(p->x, p->token.at, "NULL is not supported, columns cannot be compared with it,");
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
    if (iu__sql_is_word(&p->token, words[i])) return refuse(p, "");
  }
  return IU_OK;
}

/* What may follow an operand in SQL, but not here. */
static iu_status refuse_suffix(const iu_sql_parser *p) {
  static const char *const words[] = {"NOT", "IN", "LIKE", "ILIKE", "SIMILAR", "BETWEEN", "IS", "ISNULL", "NOTNULL", "COLLATE", "ESCAPE", "OVERLAPS",
                                      "REGEXP", "RLIKE", "XOR", "DIV", "MOD", "MATCH", "GLOB"};
  if (iu__sql_is_punct(p, '*')) return refuse(p, "there is no arithmetic");
  if (p->token.kind == IU_Q_OPERATOR) {
    if (p->token.len == 2 && p->token.text[0] == '=') return refuse(p, "use =");
    if (p->token.len == 2 && p->token.text[0] == ':') return refuse(p, "there are no casts");
    return refuse(p, p->token.len == 1 && strchr("+-/%", p->token.text[0]) != NULL ? "there is no arithmetic" : "");
  }
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
    if (iu__sql_is_word(&p->token, words[i])) return refuse(p, "");
  }
  return IU_OK;
}

static iu_status expected_operand(const iu_sql_parser *p) {
  iu_sql_shown shown;
  return iu__sql_fail(p->x, p->token.at, "expected a column, a literal or (, got %s", iu__sql_show(p->x, &p->token, &shown));
}

/* ---- operands ---- */

static const iu_sql_source *source_called(const iu_sql_parser *p, const iu_sql_token *name) {
  for (uint32_t i = 0; i < p->source_count; i++) {
    if (name->len == p->sources[i].alias_len && memcmp(name->text, p->sources[i].alias, name->len) == 0) return &p->sources[i];
  }
  return NULL;
}

iu_status iu__sql_not_in_scope(const iu_sql_parser *p, const iu_sql_token *qualifier) {
  iu_sql_shown shown, alias, other;
  const char *name = iu__sql_show_text(qualifier->text, qualifier->len, &shown);
  const char *first = iu__sql_show_text(p->sources[0].alias, p->sources[0].alias_len, &alias);
  if (p->source_count == 1) return iu__sql_fail(p->x, qualifier->at, "%s is not in scope, the table is called %s here,", name, first);
  return iu__sql_fail(p->x, qualifier->at, "%s is not in scope, the tables are called %s and %s here,", name, first,
                      iu__sql_show_text(p->sources[1].alias, p->sources[1].alias_len, &other));
}

static iu_status no_source(const iu_sql_parser *p, const iu_sql_token *qualifier) {
  iu_sql_shown shown;
  for (uint32_t i = 0; i < p->source_count; i++) {
    if (iu__table_def_column(p->sources[i].table, qualifier->text, qualifier->len) < 0) continue;
    return iu__sql_fail(p->x, qualifier->at, "%s is not in scope, fields inside a column cannot be compared,",
                        iu__sql_show_text(qualifier->text, qualifier->len, &shown));
  }
  return iu__sql_not_in_scope(p, qualifier);
}

static iu_status no_column(const iu_sql_parser *p, const iu_table_def *table, const iu_sql_token *name) {
  iu_sql_shown shown;
  iu_suggest suggest;
  char suggestion[IU_SUGGESTION_MAX];
  iu__suggest_init(&suggest, name->text, name->len);
  for (uint32_t i = 0; i < table->row->count; i++) iu__suggest_offer(&suggest, table->row->u.fields[i].name);
  return iu__sql_fail(p->x, name->at, "table `%s` has no column %s%s", table->name, iu__sql_show_text(name->text, name->len, &shown),
                      iu__suggest_text(&suggest, suggestion));
}

iu_status iu__sql_resolve(const iu_sql_parser *p, const iu_sql_token *qualifier, const iu_sql_token *name, uint8_t *source, uint32_t *column) {
  const iu_sql_source *s = &p->sources[0];
  bool qualified = qualifier != NULL && qualifier->kind != IU_Q_END;
  int found;
  if (qualified && (s = source_called(p, qualifier)) == NULL) return no_source(p, qualifier);
  if (!qualified && p->source_count > 1) {
    iu_sql_shown shown;
    return iu__sql_fail(p->x, name->at, "column %s needs its table's name in front, since there are two tables,",
                        iu__sql_show_text(name->text, name->len, &shown));
  }
  found = iu__table_def_column(s->table, name->text, name->len);
  if (found < 0) return no_column(p, s->table, name);
  *source = (uint8_t)(s - p->sources);
  *column = (uint32_t)found;
  return IU_OK;
}

static iu_status column(iu_sql_parser *p, operand *out) {
  iu_sql_token name = p->token, qualifier = {0};
  iu_status status = iu__sql_advance(p);
  if (status != IU_OK) return status;
  qualifier.kind = IU_Q_END;
  if (iu__sql_is_punct(p, '.')) {
    if ((status = iu__sql_advance(p)) != IU_OK) return status;
    qualifier = name;
    name = p->token;
    if (name.kind != IU_Q_WORD && name.kind != IU_Q_QUOTED) return expected_operand(p);
    if (source_called(p, &qualifier) == NULL) return no_source(p, &qualifier);
    if ((status = iu__sql_advance(p)) != IU_OK) return status;
    if (iu__sql_is_punct(p, '.')) return iu__sql_fail(p->x, p->token.at, "fields inside a column cannot be compared");
  }
  if (iu__sql_is_punct(p, '(')) {
    iu_sql_shown shown;
    return iu__sql_fail(p->x, name.at, "functions such as %s are not supported", iu__sql_show_text(name.text, name.len, &shown));
  }
  out->kind = O_COLUMN;
  out->token = name;
  return iu__sql_resolve(p, &qualifier, &name, &out->source, &out->column);
}

static iu_status give_literal(iu_sql_parser *p, uint8_t kind, iu_sql_token token, operand *out) {
  out->kind = O_LITERAL;
  out->token = out->literal.token = token;
  out->literal.kind = kind;
  return iu__sql_advance(p);
}

static iu_status signed_number(iu_sql_parser *p, operand *out) {
  iu_sql_token sign = p->token;
  iu_status status = iu__sql_advance(p);
  if (status != IU_OK) return status;
  if (p->token.kind != IU_Q_NUMBER) {
    return iu__sql_fail(p->x, sign.at, "a sign must stand before a number, there is no arithmetic,");
  }
  out->literal.negative = sign.text[0] == '-';
  p->token.at = sign.at; /* messages show the sign too */
  return give_literal(p, IU_L_NUMBER, p->token, out);
}

static iu_status parameter(iu_sql_parser *p, operand *out) {
  static const char name[] = "sender";
  iu_sql_shown shown;
  if (p->token.len != sizeof name - 1 || memcmp(p->token.text, name, sizeof name - 1) != 0) {
    return iu__sql_fail(p->x, p->token.at, "unknown parameter %s, there is only :sender,", iu__sql_show(p->x, &p->token, &shown));
  }
  out->kind = O_SENDER;
  out->token = p->token;
  return iu__sql_advance(p);
}

static iu_status parenthesised(iu_sql_parser *p, uint32_t depth, operand *out) {
  iu_sql_token open = p->token;
  iu_status status;
  if (depth >= IU_SQL_DEPTH_MAX) return iu__sql_fail(p->x, open.at, "parentheses are nested deeper than %d levels", IU_SQL_DEPTH_MAX);
  if ((status = iu__sql_advance(p)) != IU_OK) return status;
  if (iu__sql_is_word(&p->token, "SELECT")) return iu__sql_fail(p->x, p->token.at, "sub-queries are not supported");
  if ((status = disjunction(p, depth + 1, out)) != IU_OK) return status;
  if (!iu__sql_is_punct(p, ')')) {
    iu_sql_shown shown;
    if (iu__sql_is_punct(p, ',')) return iu__sql_fail(p->x, p->token.at, "lists are not supported");
    return iu__sql_fail(p->x, p->token.at, "expected ) for the ( opened before, got %s", iu__sql_show(p->x, &p->token, &shown));
  }
  return iu__sql_advance(p);
}

static iu_status primary(iu_sql_parser *p, uint32_t depth, operand *out) {
  iu_status status = refuse_prefix(p);
  memset(out, 0, sizeof *out);
  if (status != IU_OK) return status;
  switch (p->token.kind) {
    case IU_Q_NUMBER: return give_literal(p, IU_L_NUMBER, p->token, out);
    case IU_Q_STRING: return give_literal(p, IU_L_STRING, p->token, out);
    case IU_Q_HEX: return give_literal(p, IU_L_HEX, p->token, out);
    case IU_Q_PARAM: return parameter(p, out);
    case IU_Q_QUOTED: return column(p, out);
    case IU_Q_WORD:
      out->literal.truth = iu__sql_is_word(&p->token, "TRUE");
      if (out->literal.truth || iu__sql_is_word(&p->token, "FALSE")) return give_literal(p, IU_L_BOOL, p->token, out);
      if (iu__sql_is_word(&p->token, "AND") || iu__sql_is_word(&p->token, "OR")) return expected_operand(p);
      return column(p, out);
    case IU_Q_OPERATOR:
      if (p->token.text[0] == '+' || (p->token.text[0] == '-' && p->token.len == 1)) return signed_number(p, out);
      if (p->token.text[0] == '?' || p->token.text[0] == '$') return refuse(p, "the only parameter is :sender");
      return expected_operand(p);
    default: return iu__sql_is_punct(p, '(') ? parenthesised(p, depth, out) : expected_operand(p);
  }
}

/* ---- comparisons ---- */

static const iu_field *field(const iu_sql_parser *p, const operand *o) { return &p->sources[o->source].table->row->u.fields[o->column]; }
static const iu_type *column_type(const iu_sql_parser *p, const operand *o) { return iu__type_deref(field(p, o)->type); }
static const char *column_name(const iu_sql_parser *p, const operand *o) { return field(p, o)->name; }

static iu_status new_node(iu_sql_parser *p, uint8_t kind, iu_pred_node **out) {
  iu_pred_node *n = iu__arena_zero(p->x->arena, 1, sizeof *n);
  if (n == NULL) return iu__fail_nomem(p->x->err);
  n->kind = kind;
  n->count = kind == IU_P_LITERAL || kind == IU_P_COLUMNS;
  *out = n;
  return IU_OK;
}

static void describe(const iu_type *t, iu_sql_shown *out) {
  iu_buf described = {0};
  iu__type_describe(t, &described);
  iu__sql_show_text((const char *)described.data, described.failed ? 0 : described.len, out);
  iu__buf_free(&described);
}

static iu_status check_comparable(const iu_sql_parser *p, const operand *o) {
  iu_sql_shown type;
  if (iu__scalar_of(column_type(p, o)).cls != IU_SC_NONE) return IU_OK;
  describe(column_type(p, o), &type);
  return iu__sql_fail(p->x, o->token.at, "column `%s` is %s, which cannot be compared,", column_name(p, o), type.text);
}

/* :sender as the hex literal that people would write. */
static iu_status encode_sender(const iu_sql_parser *p, const operand *c, const operand *sender, iu_slice *out) {
  const iu_type *t = column_type(p, c);
  static const char digits[] = "0123456789abcdef";
  char hex[64];
  iu_sql_literal literal = {.kind = IU_L_HEX, .token = sender->token};
  if (t->special != IU_S_IDENTITY && t->special != IU_S_BYTES) {
    iu_sql_shown type;
    describe(t, &type);
    return iu__sql_fail(p->x, sender->token.at, ":sender is an Identity and column `%s` is %s,", column_name(p, c), type.text);
  }
  for (int i = 0; i < 32; i++) {
    hex[2 * i] = digits[p->scope->sender[31 - i] >> 4];
    hex[2 * i + 1] = digits[p->scope->sender[31 - i] & 15];
  }
  literal.token.text = hex;
  literal.token.len = sizeof hex;
  return iu__sql_literal_encode(p->x, &literal, t, column_name(p, c), out);
}

static iu_status compare_value(iu_sql_parser *p, const operand *c, uint8_t op, const operand *value, iu_pred_node **out) {
  iu_status status = check_comparable(p, c);
  if (status == IU_OK) status = new_node(p, IU_P_LITERAL, out);
  if (status != IU_OK) return status;
  (*out)->op = op;
  (*out)->a = c->column;
  (*out)->a_side = c->source;
  if (value->kind == O_SENDER) return encode_sender(p, c, value, &(*out)->literal);
  return iu__sql_literal_encode(p->x, &value->literal, column_type(p, c), column_name(p, c), &(*out)->literal);
}

static iu_status compare_columns(iu_sql_parser *p, const operand *a, uint8_t op, const operand *b, iu_pred_node **out) {
  iu_status status = check_comparable(p, a);
  if (status == IU_OK) status = check_comparable(p, b);
  if (status != IU_OK) return status;
  if (!iu__type_equal(column_type(p, a), column_type(p, b))) {
    iu_sql_shown left, right;
    describe(column_type(p, a), &left);
    describe(column_type(p, b), &right);
    return iu__sql_fail(p->x, b->token.at, "columns `%s` (%s) and `%s` (%s) have different types", column_name(p, a), left.text, column_name(p, b),
                        right.text);
  }
  if ((status = new_node(p, IU_P_COLUMNS, out)) != IU_OK) return status;
  (*out)->op = op;
  (*out)->a = a->column;
  (*out)->b = b->column;
  (*out)->a_side = a->source;
  (*out)->b_side = b->source;
  return IU_OK;
}

static iu_status compare(iu_sql_parser *p, const operand *a, const iu_sql_token *op, const operand *b, iu_pred_node **out) {
  const operand *predicate = a->kind == O_PREDICATE ? a : b;
  if (predicate->kind == O_PREDICATE) return iu__sql_fail(p->x, op->at, "the result of a comparison cannot be compared");
  if (a->kind == O_COLUMN && b->kind == O_COLUMN) return compare_columns(p, a, op->op, b, out);
  if (a->kind == O_COLUMN) return compare_value(p, a, op->op, b, out);
  if (b->kind == O_COLUMN) return compare_value(p, b, iu__cmp_mirror(op->op), a, out);
  if (a->kind == O_LITERAL && b->kind == O_LITERAL && a->literal.kind == IU_L_BOOL && b->literal.kind == IU_L_BOOL) {
    return new_node(p, iu__cmp_accepts(op->op, a->literal.truth - b->literal.truth) ? IU_P_TRUE : IU_P_FALSE, out);
  }
  return iu__sql_fail(p->x, op->at, "two literals cannot be compared, one side must be a column,");
}

/* An operand alone, where a condition is wanted: a Bool column or literal. */
static iu_status as_predicate(iu_sql_parser *p, operand *o) {
  static const uint8_t truth = 1;
  iu_sql_shown shown;
  iu_status status;
  if (o->kind == O_PREDICATE) return IU_OK;
  if (o->kind == O_COLUMN && column_type(p, o)->tag == IU_T_BOOL) {
    if ((status = new_node(p, IU_P_LITERAL, &o->predicate)) != IU_OK) return status;
    o->predicate->op = IU_CMP_EQ;
    o->predicate->a = o->column;
    o->predicate->a_side = o->source;
    o->predicate->literal.p = &truth;
    o->predicate->literal.len = 1;
  } else if (o->kind == O_LITERAL && o->literal.kind == IU_L_BOOL) {
    if ((status = new_node(p, o->literal.truth ? IU_P_TRUE : IU_P_FALSE, &o->predicate)) != IU_OK) return status;
  } else {
    return iu__sql_fail(p->x, o->token.at, "expected a condition, %s alone is none,", iu__sql_show(p->x, &o->token, &shown));
  }
  o->kind = O_PREDICATE;
  return IU_OK;
}

/* ---- AND, OR ---- */

static iu_status comparison(iu_sql_parser *p, uint32_t depth, operand *out) {
  iu_sql_token op;
  operand right;
  iu_status status = primary(p, depth, out);
  if (status == IU_OK) status = refuse_suffix(p);
  if (status != IU_OK || p->token.kind != IU_Q_COMPARE) return status;
  op = p->token;
  if ((status = iu__sql_advance(p)) != IU_OK || (status = primary(p, depth, &right)) != IU_OK) return status;
  if ((status = refuse_suffix(p)) != IU_OK || (status = compare(p, out, &op, &right, &out->predicate)) != IU_OK) return status;
  if (p->token.kind == IU_Q_COMPARE) return iu__sql_fail(p->x, p->token.at, "comparisons cannot be chained");
  out->kind = O_PREDICATE;
  return IU_OK;
}

static void append(iu_pred_node *list, iu_pred_node *operand_node) {
  if (list->last == NULL) list->first = operand_node;
  else list->last->next = operand_node;
  list->last = operand_node;
  list->count += operand_node->count;
}

typedef iu_status (*read_fn)(iu_sql_parser *p, uint32_t depth, operand *out);

/* read { keyword read }: one operand alone stays what it is, so that (a) = 1 can be read. */
static iu_status chain(iu_sql_parser *p, uint32_t depth, const char *keyword, uint8_t kind, read_fn read, operand *out) {
  iu_pred_node *list = NULL;
  operand next;
  iu_status status = read(p, depth, out);
  while (status == IU_OK && iu__sql_is_word(&p->token, keyword)) {
    if (list == NULL) {
      if ((status = as_predicate(p, out)) != IU_OK || (status = new_node(p, kind, &list)) != IU_OK) break;
      append(list, out->predicate);
      out->predicate = list;
    }
    status = iu__sql_advance(p);
    if (status == IU_OK) status = read(p, depth, &next);
    if (status == IU_OK) status = as_predicate(p, &next);
    if (status == IU_OK) append(list, next.predicate);
  }
  return status;
}

static iu_status conjunction(iu_sql_parser *p, uint32_t depth, operand *out) { return chain(p, depth, "AND", IU_P_AND, comparison, out); }
static iu_status disjunction(iu_sql_parser *p, uint32_t depth, operand *out) { return chain(p, depth, "OR", IU_P_OR, conjunction, out); }

iu_status iu__sql_where(iu_sql_parser *p, iu_pred_node **out) {
  operand all;
  iu_status status = disjunction(p, 0, &all);
  if (status == IU_OK) status = as_predicate(p, &all);
  if (status == IU_OK) *out = all.predicate;
  return status;
}

/* ---- ON ---- */

static iu_status on_column(iu_sql_parser *p, operand *out) {
  memset(out, 0, sizeof *out);
  if (!iu__sql_is_name(p)) return iu__sql_expected(p, "a column");
  return column(p, out);
}

iu_status iu__sql_on(iu_sql_parser *p, iu_pred_node **out, uint32_t columns[2]) {
  operand a, b;
  iu_sql_token at = p->token;
  iu_status status = on_column(p, &a);
  if (status != IU_OK) return status;
  if (p->token.kind != IU_Q_COMPARE || p->token.op != IU_CMP_EQ) return iu__sql_expected(p, "= behind the first column of ON");
  if ((status = iu__sql_advance(p)) != IU_OK || (status = on_column(p, &b)) != IU_OK) return status;
  if (a.source == b.source) return iu__sql_fail(p->x, at.at, "ON compares a column of each table, here both are of one,");
  if ((status = compare_columns(p, &a, IU_CMP_EQ, &b, out)) != IU_OK) return status;
  columns[a.source] = a.column;
  columns[b.source] = b.column;
  if (iu__sql_is_word(&p->token, "AND") || iu__sql_is_word(&p->token, "OR")) {
    return iu__sql_fail(p->x, p->token.at, "ON holds one comparison, further conditions go behind WHERE,");
  }
  return IU_OK;
}
