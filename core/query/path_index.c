/* path_index.c: making an index over a field and keeping it (path_index.h). */
#include "path_index.h"

#include "../base/alloc.h"
#include "../base/text.h"

#define PATH_SHOWN 64

static iu_status refuse(const iu_table_def *def, const char *path, size_t len, const char *why, iu_error *err) {
  char shown[4 * PATH_SHOWN + 4];
  return iu__fail(err, IU_E_VALIDATION, "an index over `%s` of table `%s`: %s", iu__printable(shown, PATH_SHOWN, path, len), def->name, why);
}

static bool has_index(const iu_table_def *def, uint32_t column) {
  if (def->primary_key == (int32_t)column) return true;
  for (uint32_t i = 0; i < def->index_count; i++) {
    if (def->indexes[i].column_count == 1 && def->indexes[i].columns[0] == column) return true;
  }
  return false;
}

static iu_status check_field(const iu_table_def *def, const iu_field_ref *f, const char *path, size_t len, iu_error *err) {
  const iu_type *type = f->place.type;
  if (f->json && f->from == f->path.count) return refuse(def, path, len, "it holds whole JSON texts; name a path in them", err);
  if (f->json || f->convert) return IU_OK;
  if (type->tag == IU_T_ARRAY && type->special != IU_S_BYTES) return refuse(def, path, len, "it holds arrays, which have no order", err);
  if (f->depth == 1 && has_index(def, f->column)) return refuse(def, path, len, "the table has an index for this column already", err);
  return IU_OK;
}

static iu_status read_value(iu_path_index *x, const iu_row *row, bool *cut, iu_error *err) {
  iu_fv v;
  iu_status status = iu__field_read(&x->field, &x->scratch, row->data, row->len, &v, err);
  return status != IU_OK ? status : iu__value_bytes(&v, &x->value, cut, err);
}

static iu_slice value_slice(const iu_path_index *x) { return (iu_slice){x->value.data, x->value.len}; }

static iu_status add_row(iu_path_index *x, const iu_row *row, iu_error *err) {
  bool cut;
  iu_status status = read_value(x, row, &cut, err);
  if (status != IU_OK) return status;
  if (!iu__value_index_add(x->values, row, value_slice(x))) return iu__fail_nomem(err);
  x->cut += cut;
  return IU_OK;
}

static iu_status not_there(const iu_path_index *x, iu_error *err) {
  return iu__fail(err, IU_E_PERSISTENCE, "the index over `%s` of table `%s` lost a row", x->path, iu__table_def(x->table)->name);
}

static iu_status build(iu_path_index *x, uint64_t epoch, iu_error *err) {
  const iu_row *row;
  iu_iter *it;
  iu_status status = iu__table_iter(x->table, epoch, IU_INDEX_MAIN, NULL, false, &it, err);
  if (status != IU_OK) return status;
  while (status == IU_OK && (row = iu__iter_next(it)) != NULL) status = add_row(x, row, err);
  iu__iter_close(it);
  return status;
}

iu_status iu__path_index_new(iu_table *t, uint64_t epoch, const char *path, size_t len, iu_path_index **out, iu_error *err) {
  const iu_table_def *def = iu__table_def(t);
  iu_path_index *x = iu__alloc_zero(1, sizeof *x);
  iu_status status;
  *out = NULL;
  if (x == NULL) return iu__fail_nomem(err);
  x->table = t;
  x->path = iu__strndup(path, len);
  status = x->path == NULL ? iu__fail_nomem(err) : iu__field_resolve(&x->arena, def, path, len, &x->field, err);
  if (status == IU_OK) status = check_field(def, &x->field, path, len, err);
  if (status == IU_OK) status = iu__value_index_new(t, &x->values, err);
  if (status == IU_OK) status = build(x, epoch, err);
  if (status != IU_OK) {
    iu__path_index_free(x);
    return status;
  }
  *out = x;
  return IU_OK;
}

void iu__path_index_free(iu_path_index *x) {
  if (x == NULL) return;
  iu__value_index_free(x->values);
  iu__field_ref_free(&x->field);
  iu__field_scratch_free(&x->scratch);
  iu__buf_free(&x->value);
  iu__arena_free(&x->arena);
  iu__free(x->path);
  iu__free(x);
}

void iu__path_index_empty(iu_path_index *x) {
  iu__value_index_clear(x->values);
  x->cut = 0;
  x->broken = true;
}

/* Both versions are read: mostly the value is the one that was there, and nothing moves. */
static iu_status replace(iu_path_index *x, const iu_row *old_row, const iu_row *new_row, iu_error *err) {
  bool old_cut, new_cut;
  iu_buf old_value = {0};
  iu_status status = read_value(x, old_row, &old_cut, err);
  if (status != IU_OK) return status;
  old_value = x->value;
  x->value = (iu_buf){0};
  status = read_value(x, new_row, &new_cut, err);
  iu_slice before = {old_value.data, old_value.len}, now = value_slice(x);
  if (status == IU_OK && before.len == now.len && memcmp(before.p, now.p, now.len) == 0) {
    if (!iu__value_index_replace(x->values, old_row, new_row, now)) status = not_there(x, err);
  } else if (status == IU_OK) {
    if (!iu__value_index_remove(x->values, old_row, before)) status = not_there(x, err);
    else if (!iu__value_index_add(x->values, new_row, now)) status = iu__fail_nomem(err);
    x->cut = x->cut - old_cut + new_cut;
  }
  iu__buf_free(&old_value);
  return status;
}

iu_status iu__path_index_apply(iu_path_index *x, const iu_change *c, iu_error *err) {
  bool cut;
  iu_status status;
  if (c->old_row != NULL && c->new_row != NULL) {
    status = replace(x, c->old_row, c->new_row, err);
  } else if (c->new_row != NULL) {
    status = add_row(x, c->new_row, err);
  } else {
    status = read_value(x, c->old_row, &cut, err);
    if (status == IU_OK && !iu__value_index_remove(x->values, c->old_row, value_slice(x))) status = not_there(x, err);
    if (status == IU_OK) x->cut -= cut;
  }
  x->broken = status != IU_OK;
  return status;
}
