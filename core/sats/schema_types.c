/* schema_types.c: the rules about types: names of types, fields and variants, and what columns and parameters may be made of.
 *
 * A column or parameter is a scalar, a special, an array, or a Ref; products and sums that are not special stand in the
 * typespace under exactly one name. Parameters may be recursive through such names, columns not at all. Typespaces may be hostile:
 * every entry is looked into once, recursion is bounded.
 */
#include "schema_raw.h"
#include "type_node.h"

enum { UNSEEN, OPEN, SEEN };

typedef struct uses {
  const iu_schema *s;
  uint8_t *used;      /* per entry: may it be used? */
  uint8_t *stored;    /* per entry: does it end? */
  uint32_t *waiting;  /* named entries whose fields are still to be looked at */
  uint32_t waiting_count;
  iu_error *err;
} uses;

static bool refuse(uses *u, const char *what) {
  iu__fail(u->err, IU_E_VALIDATION, "%s", what);
  return false;
}

static bool refuse_entry(uses *u, const char *what, uint32_t entry) {
  const char *name = u->s->type_names[entry];
  iu__fail(u->err, IU_E_VALIDATION, "type %u (`%s`) %s", entry, name != NULL ? name : "unnamed", what);
  return false;
}

/* A product or sum that needs a name. */
static bool is_definition(const iu_type *t) {
  return (t->tag == IU_T_PRODUCT || (t->tag == IU_T_SUM && t->count != 0)) && t->special == IU_S_NONE;
}

static bool check_use(uses *u, const iu_type *t, uint32_t depth);

static bool check_ref(uses *u, uint32_t entry, uint32_t depth) {
  const iu_type *t = u->s->types.types[entry];
  if (u->used[entry] == SEEN) return true;
  if (u->used[entry] == OPEN) return refuse_entry(u, "contains itself without a named type between", entry);
  if (is_definition(t)) {
    if (u->s->type_names[entry] == NULL) return refuse_entry(u, "is used, so it needs a name", entry);
    u->used[entry] = SEEN;
    u->waiting[u->waiting_count++] = entry;
    return true;
  }
  u->used[entry] = OPEN;
  /* refs count only where they lead to refs, which would otherwise nest without a bound */
  if (!check_use(u, t, t->tag == IU_T_REF ? depth + 1 : depth)) return false;
  u->used[entry] = SEEN;
  return true;
}

static bool check_use(uses *u, const iu_type *t, uint32_t depth) {
  if (depth > IU_TYPE_DEPTH_MAX) return refuse(u, "types nest over 64 deep without a named type between");
  switch (t->tag) {
    case IU_T_REF: return check_ref(u, t->count, depth);
    case IU_T_ARRAY: return check_use(u, t->u.element, depth + 1);
    case IU_T_PRODUCT: case IU_T_SUM:
      if (is_definition(t)) return refuse(u, "a product or sum is used in place; it must stand in the typespace under a name");
      if (t->special == IU_S_OPTION) return check_use(u, t->u.fields[0].type, depth + 1);
      if (t->special != IU_S_RESULT) return true;
      return check_use(u, t->u.fields[0].type, depth + 1) && check_use(u, t->u.fields[1].type, depth + 1);
    default: return true;
  }
}

static bool check_fields(uses *u, const iu_type *t) {
  for (uint32_t i = 0; i < t->count; i++) {
    if (!check_use(u, t->u.fields[i].type, 0)) {
      if (t->u.fields[i].name != NULL) iu__error_prefix(u->err, "`%s`", t->u.fields[i].name);
      return false;
    }
  }
  return true;
}

static bool check_waiting(uses *u) {
  while (u->waiting_count != 0) {
    uint32_t entry = u->waiting[--u->waiting_count];
    if (!check_fields(u, u->s->types.types[entry])) {
      iu__error_prefix(u->err, "type `%s`", u->s->type_names[entry]);
      return false;
    }
  }
  return true;
}

/* Stored values end: no type contains itself, none is nested deeper than a value may be. */
static bool check_stored(uses *u, const iu_type *t, uint32_t depth) {
  uint32_t entry = t->count;
  bool ref = t->tag == IU_T_REF;
  if (ref) {
    if (u->stored[entry] == SEEN) return true;
    if (u->stored[entry] == OPEN) return refuse_entry(u, "contains itself, so it cannot be stored", entry);
    u->stored[entry] = OPEN;
    t = t->u.target;
  }
  if (depth >= IU_TYPE_DEPTH_MAX && t->depth != 0) return refuse(u, "a column's type nests over 64 deep");
  if (t->tag == IU_T_ARRAY && !check_stored(u, t->u.element, depth + 1)) return false;
  if (t->tag == IU_T_PRODUCT || t->tag == IU_T_SUM) {
    for (uint32_t i = 0; i < t->count; i++) {
      if (!check_stored(u, t->u.fields[i].type, depth + 1)) return false;
    }
  }
  if (ref) u->stored[entry] = SEEN;
  return true;
}

/* ---- names ---- */

static iu_status name_types(iu_schema *s, const iu_raw_schema *raw, iu_error *err) {
  const char **names = iu__arena_zero(&s->arena, raw->type_count + 1, sizeof *names);
  s->type_names = iu__arena_zero(&s->arena, s->types.count + 1, sizeof *s->type_names);
  if (names == NULL || s->type_names == NULL) return iu__fail_nomem(err);
  for (uint32_t i = 0; i < raw->type_count; i++) {
    const iu_raw_type *t = &raw->types[i];
    if (t->type >= s->types.count) return iu__fail(err, IU_E_VALIDATION, "type `%s`: type reference %u does not exist", t->name, t->type);
    if (s->type_names[t->type] != NULL) {
      return iu__fail(err, IU_E_VALIDATION, "type %u has two names, `%s` and `%s`", t->type, s->type_names[t->type], t->name);
    }
    s->type_names[t->type] = names[i] = t->name;
  }
  const char *twice = iu__find_duplicate(names, raw->type_count, false);
  return twice == NULL ? IU_OK : iu__fail(err, IU_E_VALIDATION, "two types are named `%s`", twice);
}

/* Default order: unnamed fields first, then by name. */
static iu_status check_order(const iu_schema *s, const iu_raw_type *raw, iu_error *err) {
  const iu_type *t = s->types.types[raw->type];
  if (raw->custom_ordering || (t->tag != IU_T_PRODUCT && t->tag != IU_T_SUM)) return IU_OK;
  for (uint32_t i = 1; i < t->count; i++) {
    const char *before = t->u.fields[i - 1].name, *after = t->u.fields[i].name;
    if (before == NULL || (after != NULL && strcmp(before, after) <= 0)) continue;
    return iu__fail(err, IU_E_VALIDATION, "type `%s`: without custom ordering `%s` must not stand before `%s`", raw->name, before,
                    after != NULL ? after : "an unnamed field");
  }
  return IU_OK;
}

/* Fields and variants of one node: identifiers where named, none twice. */
static iu_status check_field_names(const iu_type *t, const char **room, iu_error *err) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < t->count; i++) {
    const char *name = t->u.fields[i].name;
    if (name == NULL) continue;
    if (!iu__is_identifier(name, strlen(name))) {
      char shown[4 * 64 + 4];
      return iu__fail(err, IU_E_VALIDATION, "the field name `%s` is no identifier", iu__printable(shown, 64, name, strlen(name)));
    }
    room[n++] = name;
  }
  const char *twice = iu__find_duplicate(room, n, false);
  return twice == NULL ? IU_OK : iu__fail(err, IU_E_VALIDATION, "two fields of one %s are named `%s`", iu__type_label(t), twice);
}

static iu_status check_names(iu_schema *s, iu_raw_schema const *raw, const char **room, iu_error *err) {
  for (const iu_type_node *n = s->types.made; n != NULL; n = n->next) {
    if (n->type.tag != IU_T_PRODUCT && n->type.tag != IU_T_SUM) continue;
    iu_status status = check_field_names(&n->type, room, err);
    if (status != IU_OK) return status;
  }
  for (uint32_t i = 0; i < raw->type_count && !raw->served; i++) {
    iu_status status = check_order(s, &raw->types[i], err);
    if (status != IU_OK) return status;
  }
  return IU_OK;
}

/* ---- all of it ---- */

static bool check_row(uses *u, uint32_t row_type) {
  if (row_type >= u->s->types.count || iu__type_deref(u->s->types.types[row_type])->tag != IU_T_PRODUCT) {
    return refuse(u, "its row type is no product");
  }
  const iu_type *row = iu__type_deref(u->s->types.types[row_type]);
  if (u->stored[row_type] == SEEN) return check_fields(u, row);
  u->stored[row_type] = OPEN;
  for (uint32_t i = 0; i < row->count; i++) {
    if (!check_stored(u, row->u.fields[i].type, 1)) return false;
  }
  u->stored[row_type] = SEEN;
  return check_fields(u, row);
}

const iu_type *iu__raw_view_row(const iu_raw_view *view) {
  const iu_type *t = iu__type_deref(view->returns), *row = NULL;
  if (t->tag == IU_T_ARRAY) row = t->u.element;
  else if (t->special == IU_S_OPTION) row = t->u.fields[0].type;
  else if (t->tag == IU_T_PRODUCT && t->count == 1 && t->u.fields[0].name != NULL && strcmp(t->u.fields[0].name, "__query__") == 0) row = t->u.fields[0].type;
  if (view->params->count != 0 || row == NULL || row->tag != IU_T_REF) return NULL;
  const iu_type *product = iu__type_deref(row);
  if (product->tag != IU_T_PRODUCT || product->special != IU_S_NONE) return NULL;
  for (uint32_t i = 0; i < product->count; i++) {
    if (product->u.fields[i].name == NULL) return NULL;
  }
  return row;
}

static bool check_views(uses *u, const iu_raw_schema *raw) {
  for (uint32_t i = 0; i < raw->view_count; i++) {
    const iu_type *row = iu__raw_view_row(&raw->views[i]);
    if (row != NULL && !check_row(u, row->count)) {
      iu__error_prefix(u->err, "view `%s`", raw->views[i].name);
      return false;
    }
  }
  return true;
}

static bool check_all_uses(uses *u, const iu_raw_schema *raw) {
  for (uint32_t i = 0; i < raw->table_count; i++) {
    if (!check_row(u, raw->tables[i].row_type)) {
      iu__error_prefix(u->err, "table `%s`", raw->tables[i].name);
      return false;
    }
  }
  for (uint32_t i = 0; i < u->s->reducer_count; i++) {
    if (!check_fields(u, u->s->reducers[i].params)) {
      iu__error_prefix(u->err, "reducer `%s`", u->s->reducers[i].name);
      return false;
    }
  }
  for (uint32_t i = 0; i < u->s->procedure_count; i++) {
    if (!check_fields(u, u->s->procedures[i].params)) {
      iu__error_prefix(u->err, "procedure `%s`", u->s->procedures[i].name);
      return false;
    }
  }
  return check_views(u, raw) && check_waiting(u);
}

iu_status iu__schema_check_types(iu_schema *s, iu_raw_schema *raw, iu_error *err) {
  size_t n = s->types.count + 1;
  const char **room = iu__arena_zero(&raw->arena, IU_TYPE_FIELDS_MAX, sizeof *room);
  uses u = {s, iu__arena_zero(&raw->arena, n, 1), iu__arena_zero(&raw->arena, n, 1),
            iu__arena_zero(&raw->arena, n, sizeof(uint32_t)), 0, err};
  if (room == NULL || u.used == NULL || u.stored == NULL || u.waiting == NULL) return iu__fail_nomem(err);
  iu_status status = name_types(s, raw, err);
  if (status == IU_OK) status = check_names(s, raw, room, err);
  if (status == IU_OK && !check_all_uses(&u, raw)) status = err->status;
  return status;
}
