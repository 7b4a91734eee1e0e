/* narrow.c: the filters of a selection as WHERE clauses of one-off queries, so that a server sends fewer rows.
 *
 * A clause is implied by its filter, never stronger: what comes is filtered again here, so a filter that SQL cannot say is only left out. That is:
 * filters on paths, on floats and other columns without keys, StartsWith and kin, and orders of Bool and identities. A text column that is "" reads as
 * null here; where that matters ("not equal to the empty text") nothing is said.
 *
 * An In becomes a tree of OR: the servers walk expressions recursively, and 1.2 dies of a chain of about 1300. One that does not fit into a query is
 * split over several; of those only the longest, the others are left out.
 */
#include "../base/alloc.h"
#include "../query/filter_plan.h"
#include "../query/sql_text.h"
#include "internal.h"

#define SQL_ROOM (IU_SQL_MAX - 64)
#define SPLIT_MAX 1024u /* queries of one selection; above it the list is not used */
#define OR_MAX 512u     /* candidates of one query */
#define OR_ROOM 6       /* bytes around each of them */
#define AND_MAX 64u     /* filters that are said; such a chain is walked recursively too */

/* Conditions that will be joined by OR. */
typedef struct choice { iu_buf text; uint32_t count; size_t ends[OR_MAX]; } choice;

typedef struct narrowing {
  const iu_table_def *def;
  iu_narrow *out;
  iu_buf where;              /* conditions joined by AND, without the one that is split */
  const iu_filter *split;    /* the longest In */
  iu_error *err;
} narrowing;

void iu__narrow_whole(const iu_table_def *def, iu_buf *sql) {
  iu__buf_put_str(sql, "SELECT * FROM ");
  iu__sql_put_name(sql, def->name);
}

/* *written false: no value of the column equals v. *sayable false: one does, but SQL has no literal for it. */
static iu_status put_equal(narrowing *n, const iu_filter *f, const char *op, const iu_fv *v, iu_buf *out, bool *written, bool *sayable) {
  const iu_type *type = f->field.place.type;
  static const uint8_t no_text[4] = {0};
  iu_slice key = {no_text, sizeof no_text};
  bool exact;
  iu_status status = iu__filter_key(&n->out->arena, type, v, &key, &exact, n->err);
  *written = false;
  *sayable = true;
  if (status != IU_OK) return status;
  if (!exact && !(v->kind == IU_FV_NULL && f->field.empty_is_null)) {
    *sayable = iu__filter_key_is_final(v);
    return IU_OK;
  }
  if (!exact) key = (iu_slice){no_text, sizeof no_text};
  *written = *sayable = iu__sql_put_condition(out, n->def->row->u.fields[f->field.column].name, op, type, key);
  return IU_OK;
}

static void and_then(iu_buf *where) {
  if (where->len != 0) iu__buf_put_str(where, " AND ");
}

static iu_status add_equals(narrowing *n, const iu_filter *f) {
  bool written, sayable;
  size_t before = n->where.len;
  and_then(&n->where);
  iu_status status = put_equal(n, f, " = ", &f->value, &n->where, &written, &sayable);
  if (!written && !n->where.failed) n->where.len = before;
  if (status == IU_OK && !written && sayable) n->out->nothing = true;
  return status;
}

/* Not one of these conditions holds for null or for values of another kind but `<>`, which all of them satisfy. */
static iu_status add_compare(narrowing *n, const iu_filter *f, const char *op) {
  const iu_type *type = f->field.place.type;
  bool written, sayable;
  size_t before = n->where.len;
  if (type->tag == IU_T_BOOL || (type->special != IU_S_NONE && type->special != IU_S_TIMESTAMP)) return IU_OK;
  if (f->value.kind == IU_FV_NULL) return IU_OK;
  and_then(&n->where);
  iu_status status = put_equal(n, f, op, &f->value, &n->where, &written, &sayable);
  if (!written && !n->where.failed) n->where.len = before;
  return status;
}

static iu_status add_differs(narrowing *n, const iu_filter *f) {
  bool hidden = f->field.empty_is_null && (f->value.kind == IU_FV_NULL || (f->value.kind == IU_FV_STRING && f->value.len == 0));
  return hidden ? IU_OK : add_compare(n, f, " <> ");
}

/* ---- In ---- */

static void put_choice(iu_buf *out, const choice *c, uint32_t from, uint32_t to) {
  if (to - from == 1) {
    size_t start = from == 0 ? 0 : c->ends[from - 1];
    iu__buf_put(out, c->text.data + start, c->ends[from] - start);
    return;
  }
  uint32_t middle = from + (to - from) / 2;
  iu__buf_put_u8(out, '(');
  put_choice(out, c, from, middle);
  iu__buf_put_str(out, " OR ");
  put_choice(out, c, middle, to);
  iu__buf_put_u8(out, ')');
}

static size_t choice_room(const choice *c) { return c->text.len + (size_t)OR_ROOM * c->count; }

/* From *at on, as many candidates as fit; *more: there are others. */
static iu_status gather(narrowing *n, const iu_filter *f, uint32_t *at, size_t room, choice *c, bool *sayable, bool *more) {
  c->count = 0;
  iu__buf_reset(&c->text);
  *sayable = true;
  *more = false;
  for (; *at < f->scalar_count; ++*at) {
    size_t before = c->text.len;
    bool written;
    iu_status status = put_equal(n, f, " = ", &f->scalars[*at], &c->text, &written, sayable);
    if (status == IU_OK) status = iu__buf_status(&c->text, n->err, "a query");
    if (status != IU_OK || !*sayable) return status;
    if (!written) continue;
    if (c->count == OR_MAX || choice_room(c) + OR_ROOM > room) {
      c->text.len = before;
      *more = true;
      *sayable = c->count > 0; /* one that fits nowhere */
      return IU_OK;
    }
    c->ends[c->count++] = c->text.len;
  }
  return IU_OK;
}

static iu_status add_in(narrowing *n, const iu_filter *f, choice *c) {
  bool sayable, more;
  uint32_t at = 0;
  iu_status status = gather(n, f, &at, SQL_ROOM / 4, c, &sayable, &more);
  if (status != IU_OK || !sayable) return status;
  if (more) {
    if (n->split == NULL || f->scalar_count > n->split->scalar_count) n->split = f;
  } else if (c->count == 0) {
    n->out->nothing = true;
  } else {
    and_then(&n->where);
    put_choice(&n->where, c, 0, c->count);
  }
  return IU_OK;
}

static iu_status add_filter(narrowing *n, const iu_filter *f, choice *c) {
  if (!iu__filter_on_column(f)) return IU_OK;
  switch (f->op) {
    case IU_F_EQUALS: return add_equals(n, f);
    case IU_F_NOT_EQUALS: return add_differs(n, f);
    case IU_F_GREATER_THAN: return add_compare(n, f, " > ");
    case IU_F_LESS_THAN: return add_compare(n, f, " < ");
    case IU_F_GREATER_OR_EQUAL: return add_compare(n, f, " >= ");
    case IU_F_LESS_OR_EQUAL: return add_compare(n, f, " <= ");
    case IU_F_IN: return add_in(n, f, c);
    default: return IU_OK;
  }
}

/* ---- the queries ---- */

static iu_status add_query(narrowing *n, const choice *c) {
  iu_buf sql = {0};
  iu_narrow *out = n->out;
  iu_slice *queries = iu__arena_alloc(&out->arena, (out->count + 1) * sizeof *queries);
  if (queries == NULL) return iu__fail_nomem(n->err);
  if (out->count > 0) memcpy(queries, out->queries, out->count * sizeof *queries);
  out->queries = queries;
  iu__narrow_whole(n->def, &sql);
  if (n->where.len > 0 || c != NULL) iu__buf_put_str(&sql, " WHERE ");
  iu__buf_put(&sql, n->where.data, n->where.len);
  if (n->where.len > 0 && c != NULL) iu__buf_put_str(&sql, " AND ");
  if (c != NULL) put_choice(&sql, c, 0, c->count);
  iu_status status = iu__buf_status(&sql, n->err, "a query");
  uint8_t *copy = status == IU_OK ? iu__arena_alloc(&out->arena, sql.len) : NULL;
  if (status == IU_OK && copy == NULL) status = iu__fail_nomem(n->err);
  if (status == IU_OK) {
    memcpy(copy, sql.data, sql.len);
    out->queries[out->count++] = (iu_slice){copy, sql.len};
  }
  iu__buf_free(&sql);
  return status;
}

/* The candidates in bundles that fit beside the other conditions. */
static iu_status split(narrowing *n, choice *c) {
  size_t room = SQL_ROOM - n->where.len - 2 * strlen(n->def->name) - 32;
  bool sayable = true, more = true;
  uint32_t at = 0;
  iu_status status = IU_OK;
  while (status == IU_OK && sayable && more && n->out->count < SPLIT_MAX) {
    status = gather(n, n->split, &at, room, c, &sayable, &more);
    if (status == IU_OK && sayable && c->count > 0) status = add_query(n, c);
  }
  if (status != IU_OK || (sayable && !more)) return status;
  n->out->count = 0; /* not to be said in SQL: one query without it */
  return add_query(n, NULL);
}

static iu_status compile(narrowing *n, const iu_selection_spec *spec, choice *c) {
  for (uint32_t i = 0; i < spec->filter_count && i < AND_MAX; i++) {
    iu_filter *f = iu__arena_zero(&n->out->arena, 1, sizeof *f);
    size_t before = n->where.len;
    if (f == NULL) return iu__fail_nomem(n->err);
    iu_status status = iu__filter_compile(&n->out->arena, n->def, &spec->filters[i], f, n->err);
    if (status == IU_OK) status = add_filter(n, f, c);
    iu__filter_free(f); /* the path only; the values are in the arena */
    if (status != IU_OK) return status;
    if (n->where.len > SQL_ROOM / 2 && !n->where.failed) n->where.len = before; /* leaves room for a list that is split */
  }
  return iu__buf_status(&n->where, n->err, "a query");
}

iu_status iu__narrow(const iu_table_def *def, const iu_selection_spec *spec, iu_narrow *out, iu_error *err) {
  narrowing n = {.def = def, .out = out, .err = err};
  choice *c = iu__alloc_zero(1, sizeof *c);
  *out = (iu_narrow){0};
  if (c == NULL) return iu__fail_nomem(err);
  iu_status status = compile(&n, spec, c);
  if (status == IU_OK) status = n.split != NULL ? split(&n, c) : add_query(&n, NULL);
  iu__buf_free(&n.where);
  iu__buf_free(&c->text);
  iu__free(c);
  if (status != IU_OK) iu__narrow_free(out);
  return status;
}

void iu__narrow_free(iu_narrow *n) {
  iu__arena_free(&n->arena);
  *n = (iu_narrow){0};
}
