/* schema.c: a schema from its definition: reading, linking, rules, in this order; reducers; freeing. */
#include "schema.h"

#include "../base/alloc.h"
#include "schema_raw.h"

/* ---- reducers ---- */

/* seen: NULL where a lifecycle may be there more than once. */
static iu_status check_reducer(const iu_reducer_def *d, bool *seen, iu_error *err) {
  for (uint32_t i = 0; i < d->params->count; i++) {
    if (d->params->u.fields[i].name == NULL) return iu__fail(err, IU_E_VALIDATION, "reducer `%s`: a parameter has no name", d->name);
  }
  if (d->lifecycle == IU_LC_NONE) return IU_OK;
  if (d->params->count != 0) return iu__fail(err, IU_E_VALIDATION, "reducer `%s`: lifecycle reducers take no parameters", d->name);
  if (seen == NULL) return IU_OK;
  if (seen[d->lifecycle]) return iu__fail(err, IU_E_VALIDATION, "reducer `%s`: another one has its lifecycle", d->name);
  seen[d->lifecycle] = true;
  return IU_OK;
}

static iu_status check_reducers(iu_schema *s, iu_raw_schema *raw, iu_error *err) {
  bool seen[4] = {false};
  size_t count = (size_t)s->reducer_count + raw->function_count;
  const char **names = iu__arena_zero(&raw->arena, count + 1, sizeof *names);
  if (names == NULL) return iu__fail_nomem(err);
  for (uint32_t i = 0; i < s->reducer_count; i++) {
    iu_status status = check_reducer(&s->reducers[i], raw->merged ? NULL : seen, err);
    if (status != IU_OK) return status;
    names[i] = s->reducers[i].name;
  }
  for (uint32_t i = 0; i < s->procedure_count; i++) {
    const iu_procedure_def *d = &s->procedures[i];
    for (uint32_t f = 0; f < d->params->count; f++) {
      if (d->params->u.fields[f].name == NULL) return iu__fail(err, IU_E_VALIDATION, "procedure `%s`: a parameter has no name", d->name);
    }
  }
  memcpy(names + s->reducer_count, raw->functions, raw->function_count * sizeof *names);
  const char *twice = iu__find_duplicate(names, count, false);
  if (twice != NULL) return iu__fail(err, IU_E_VALIDATION, "two reducers, procedures or views are named `%s`", twice);
  s->reducer_order = iu__order_by_name(&s->arena, s->reducers, sizeof *s->reducers, s->reducer_count);
  return s->reducer_order != NULL ? IU_OK : iu__fail_nomem(err);
}

static void put_signature(const iu_schema *s, const char *name, const iu_type *params, iu_buf *out) {
  iu__buf_put_str(out, name);
  iu__buf_put_u8(out, '(');
  for (uint32_t i = 0; i < params->count; i++) {
    const iu_field *f = &params->u.fields[i];
    if (i != 0) iu__buf_put_str(out, ", ");
    iu__buf_put_str(out, f->name);
    iu__buf_put_str(out, ": ");
    iu__type_describe_named(f->type, s->type_names, out);
  }
  iu__buf_put_u8(out, ')');
}

void iu__reducer_signature(const iu_schema *s, const iu_reducer_def *r, iu_buf *out) { put_signature(s, r->name, r->params, out); }

void iu__procedure_signature(const iu_schema *s, const iu_procedure_def *p, iu_buf *out) {
  put_signature(s, p->name, p->params, out);
  iu__buf_put_str(out, " -> ");
  iu__type_describe_named(p->returns, s->type_names, out);
}

/* ---- the whole ---- */

static iu_status fill(iu_schema *s, iu_raw_schema *raw, iu_error *err) {
  iu_status status = iu__schema_read(s, raw, err);
  if (status == IU_OK) status = iu__typespace_link(&s->types, err);
  if (status == IU_OK) status = iu__schema_check_types(s, raw, err);
  if (status == IU_OK) status = check_reducers(s, raw, err);
  if (status == IU_OK) status = iu__schema_build_tables(s, raw, err);
  return status;
}

/* Has a server's module what the toolkit's own has? A `value` or `data` of any other one is what it is. */
static bool is_own(const iu_schema *s) {
  return iu__schema_table(s, "entity", 6) >= 0 && iu__schema_table(s, "config", 6) >= 0 && iu__schema_reducer(s, "create_entity", 13) >= 0 &&
         iu__schema_reducer(s, "transact", 8) >= 0;
}

static void mark_plain(iu_schema *s) {
  bool own = is_own(s);
  for (uint32_t i = 0; i < s->table_count; i++) s->tables[i].plain_text = !own;
}

iu_schema *iu__schema_hold(const void *bytes, size_t len) {
  iu_schema *s = iu__alloc_zero(1, sizeof *s);
  if (s == NULL) return NULL;
  s->definition = iu__arena_alloc(&s->arena, len != 0 ? len : 1);
  s->definition_len = len;
  if (s->definition == NULL) {
    iu__schema_free(s);
    return NULL;
  }
  if (len != 0) memcpy(s->definition, bytes, len);
  return s;
}

static iu_status decode(const void *bytes, size_t len, iu_raw_schema raw, iu_schema **out, iu_error *err) {
  iu_error own;
  *out = NULL;
  if (err == NULL) err = &own;
  if (len > IU_SCHEMA_BYTES_MAX) return iu__fail(err, IU_E_VALIDATION, "a module definition of %zu bytes is over the limit of 2 MiB", len);
  iu_schema *s = iu__schema_hold(bytes, len);
  iu_status status = s != NULL ? fill(s, &raw, err) : iu__fail_nomem(err);
  iu__arena_free(&raw.arena);
  if (status == IU_OK && raw.served) mark_plain(s);
  if (status == IU_OK) *out = s;
  else iu__schema_free(s);
  return status;
}

iu_status iu__schema_decode(const void *bytes, size_t len, iu_schema **out, iu_error *err) {
  return decode(bytes, len, (iu_raw_schema){0}, out, err);
}

iu_status iu__schema_decode_served(const void *bytes, size_t len, iu_schema **out, iu_error *err) {
  return decode(bytes, len, (iu_raw_schema){.served = true}, out, err);
}

iu_status iu__schema_decode_merged(const void *bytes, size_t len, iu_schema **out, iu_error *err) {
  return decode(bytes, len, (iu_raw_schema){.merged = true}, out, err);
}

void iu__schema_free(iu_schema *s) {
  if (s == NULL) return;
  iu__typespace_free(&s->types);
  iu__arena_free(&s->arena);
  iu__free(s);
}
