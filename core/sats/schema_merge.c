/* schema_merge.c: one schema from the definitions of several modules. Each is judged alone first, so that what is wrong in it is said of it; then names are
 * held against each other; then all is written behind each other and decoded once more. */
#include <stdlib.h>

#include "../base/alloc.h"
#include "schema_raw.h"

typedef struct merge {
  iu_schema_part *parts;
  iu_raw_part *raw;
  uint32_t count;
  iu_error *err;
} merge;

static iu_status read_part(merge *m, uint32_t i) {
  iu_schema_part *p = &m->parts[i];
  iu_raw_part *to = &m->raw[i];
  iu_schema *judged = NULL;
  iu_status status = iu__schema_decode(p->definition, p->len, &judged, m->err);
  if (status != IU_OK) return status;
  p->tables = judged->table_count;
  p->reducers = judged->reducer_count;
  if (judged->view_count != 0) {
    status = iu__fail(m->err, IU_E_VALIDATION, "view `%s`: views cannot be merged", judged->tables[judged->table_count - judged->view_count].name);
  }
  iu__schema_free(judged);
  if (status != IU_OK) return status;
  to->s = iu__schema_hold(p->definition, p->len);
  to->raw = iu__alloc_zero(1, sizeof *to->raw);
  if (to->s == NULL || to->raw == NULL) return iu__fail_nomem(m->err);
  to->prefix = i > 0 ? p->module : NULL;
  return iu__schema_read(to->s, to->raw, m->err);
}

/* ---- names of two modules ---- */

typedef struct owned { const char *name; const char *module; } owned;

static int by_name(const void *a, const void *b) { return strcmp(((const owned *)a)->name, ((const owned *)b)->name); }
static int by_folded(const void *a, const void *b) { return iu__compare_folded(((const owned *)a)->name, ((const owned *)b)->name); }

static iu_status check_apart(merge *m, owned *all, uint32_t count, bool folded, const char *what) {
  int (*compare)(const void *, const void *) = folded ? by_folded : by_name;
  qsort(all, count, sizeof *all, compare);
  for (uint32_t i = 1; i < count; i++) {
    if (compare(&all[i - 1], &all[i]) != 0) continue;
    return iu__fail(m->err, IU_E_VALIDATION, "the %s `%s` is declared by two modules, `%s` and `%s`%s", what, all[i].name, all[i - 1].module, all[i].module,
                    strcmp(all[i - 1].name, all[i].name) != 0 ? " (names that differ only in case are one)" : "");
  }
  return IU_OK;
}

static iu_status check_names(merge *m) {
  size_t room = 1;
  uint32_t n = 0;
  iu_status status;
  for (uint32_t i = 0; i < m->count; i++) {
    room += (size_t)m->raw[i].raw->table_count + m->raw[i].raw->type_count + m->raw[i].s->reducer_count + m->raw[i].s->procedure_count;
  }
  owned *all = iu__alloc(room * sizeof *all);
  if (all == NULL) return iu__fail_nomem(m->err);
  for (uint32_t i = 0; i < m->count; i++) {
    for (uint32_t t = 0; t < m->raw[i].raw->table_count; t++) all[n++] = (owned){m->raw[i].raw->tables[t].name, m->parts[i].module};
  }
  status = check_apart(m, all, n, true, "table");
  n = 0;
  for (uint32_t i = 0; i < m->count; i++) {
    const iu_schema *s = m->raw[i].s;
    for (uint32_t r = 0; r < s->reducer_count; r++) {
      if (s->reducers[r].lifecycle == IU_LC_NONE) all[n++] = (owned){s->reducers[r].name, m->parts[i].module};
    }
    for (uint32_t r = 0; r < s->procedure_count; r++) all[n++] = (owned){s->procedures[r].name, m->parts[i].module};
  }
  if (status == IU_OK) status = check_apart(m, all, n, false, "reducer");
  n = 0;
  for (uint32_t i = 0; i < m->count; i++) {
    for (uint32_t t = 0; t < m->raw[i].raw->type_count; t++) all[n++] = (owned){m->raw[i].raw->types[t].name, m->parts[i].module};
  }
  if (status == IU_OK) status = check_apart(m, all, n, false, "type");
  iu__free(all);
  return status;
}

/* A module's name becomes part of reducers' names, and tells modules apart. */
static iu_status check_modules(merge *m) {
  for (uint32_t i = 0; i < m->count; i++) {
    const char *name = m->parts[i].module;
    if (!iu__is_identifier(name, strlen(name))) {
      char shown[4 * 64 + 4];
      return iu__fail(m->err, IU_E_VALIDATION, "the module name `%s` is no identifier", iu__printable(shown, 64, name, strlen(name)));
    }
    for (uint32_t j = 0; j < i; j++) {
      if (strcmp(m->parts[j].module, name) == 0) return iu__fail(m->err, IU_E_VALIDATION, "two modules are named `%s`", name);
    }
  }
  return IU_OK;
}

static iu_status write_all(merge *m, iu_schema **out) {
  iu_buf bytes = {0};
  iu__buf_init(&bytes, IU_SCHEMA_BYTES_MAX);
  iu__schema_encode(m->raw, m->count, &bytes);
  iu_status status = iu__buf_status(&bytes, m->err, "the definitions of all modules together");
  if (status == IU_OK) status = iu__schema_decode_merged(bytes.data, bytes.len, out, m->err);
  if (status != IU_OK) iu__error_prefix(m->err, "the modules together");
  iu__buf_free(&bytes);
  return status;
}

iu_status iu__schema_merge(iu_schema_part *parts, uint32_t count, iu_schema **out, iu_error *err) {
  iu_error own;
  merge m = {parts, iu__alloc_zero(count, sizeof(iu_raw_part)), count, err != NULL ? err : &own};
  *out = NULL;
  if (m.raw == NULL) return iu__fail_nomem(err);
  iu_status status = check_modules(&m);
  for (uint32_t i = 0; i < count && status == IU_OK; i++) {
    status = read_part(&m, i);
    if (status != IU_OK) iu__error_prefix(m.err, "module `%s`", parts[i].module);
  }
  if (status == IU_OK) status = check_names(&m);
  if (status == IU_OK) status = write_all(&m, out);
  for (uint32_t i = 0; i < count; i++) {
    iu__schema_free(m.raw[i].s);
    if (m.raw[i].raw != NULL) iu__arena_free(&m.raw[i].raw->arena);
    iu__free(m.raw[i].raw);
  }
  iu__free(m.raw);
  return status;
}
