/* filter_field.c: resolving field names against a table (filter_field.h). */
#include "filter_field.h"

#include "../sats/sats_json.h"
#include "suggest.h"

#define METADATA "metadata"
#define NAME_SHOWN 48

typedef struct resolver {
  iu_arena *arena;
  const iu_table_def *table;
  const char *name; size_t name_len;
  iu_field_ref *out;
  iu_error *err;
  uint32_t indexes[IU_PATH_SEGMENTS_MAX + 1]; /* one more: a metadata field without its column */
  uint32_t segment;                           /* the next one to follow */
  const iu_type *type;                        /* where we are; dereferenced */
  const char *type_name;                      /* its field's name */
  bool in_metadata;                           /* a direct field of the product column `metadata` */
} resolver;

static bool is_record(const iu_type *t) { return t->tag == IU_T_PRODUCT && t->special == IU_S_NONE && t->count != 0; }

/* The product behind the column `metadata`, or NULL. */
static const iu_type *metadata_product(const iu_table_def *table, uint32_t *column) {
  int found = iu__table_def_column(table, METADATA, sizeof METADATA - 1);
  const iu_type *t;
  if (found < 0) return NULL;
  *column = (uint32_t)found;
  t = iu__type_deref(table->row->u.fields[found].type);
  return is_record(t) ? t : NULL;
}

static iu_status unknown(const resolver *r, const iu_type *product, const iu_type *more) {
  char suggestion[IU_SUGGESTION_MAX], shown[4 * NAME_SHOWN + 4];
  const iu_path *path = &r->out->path;
  iu_suggest suggest;
  iu__suggest_init(&suggest, path->segments[r->segment], path->lens[r->segment]);
  for (uint32_t i = 0; i < product->count; i++) iu__suggest_offer(&suggest, product->u.fields[i].name);
  for (uint32_t i = 0; more != NULL && i < more->count; i++) iu__suggest_offer(&suggest, more->u.fields[i].name);
  return iu__fail(r->err, IU_E_VALIDATION, "table `%s` has no field `%s`%s", r->table->name,
                  iu__printable(shown, NAME_SHOWN, r->name, r->name_len), iu__suggest_text(&suggest, suggestion));
}

static iu_status refuse(const resolver *r, const char *why) {
  char shown[4 * NAME_SHOWN + 4];
  return iu__fail(r->err, IU_E_VALIDATION, "field `%s` of table `%s` %s", iu__printable(shown, NAME_SHOWN, r->name, r->name_len), r->table->name, why);
}

static void enter(resolver *r, const iu_type *product, uint32_t index) {
  r->indexes[r->out->depth++] = index;
  r->type = iu__type_deref(product->u.fields[index].type);
  r->type_name = product->u.fields[index].name;
}

/* The first segment: a column, or a field of the metadata product. */
static iu_status first_segment(resolver *r) {
  const char *name = r->out->path.segments[0];
  size_t len = r->out->path.lens[0];
  uint32_t column = 0;
  const iu_type *metadata = metadata_product(r->table, &column);
  int found = iu__table_def_column(r->table, name, len);
  if (found < 0) {
    found = metadata == NULL ? -1 : iu__product_find(metadata, name, len);
    if (found < 0) return unknown(r, r->table->row, metadata);
    enter(r, r->table->row, column);
    enter(r, metadata, (uint32_t)found);
    r->in_metadata = true;
  } else {
    enter(r, r->table->row, (uint32_t)found);
  }
  r->out->column = r->indexes[0];
  r->segment = 1;
  return IU_OK;
}

/* Follows fields of products as far as the path goes; *done when what is left is a path in JSON. */
static iu_status next_segment(resolver *r, bool *done) {
  const iu_path *path = &r->out->path;
  int found;
  *done = true;
  r->out->json = r->type->tag == IU_T_STRING && (r->out->depth == 1 || r->in_metadata) && iu__is_json_text_field(r->type_name) &&
                 (!r->table->plain_text || r->segment < path->count);
  if (r->out->json) return IU_OK;
  if (r->segment == path->count) return is_record(r->type) ? refuse(r, "is a record, name one of its fields") : IU_OK;
  if (!is_record(r->type)) {
    r->out->convert = r->type->tag == IU_T_SUM || (r->type->tag == IU_T_ARRAY && r->type->special != IU_S_BYTES);
    return r->out->convert ? IU_OK : refuse(r, "goes through a plain value, which has no fields");
  }
  found = iu__product_find(r->type, path->segments[r->segment], path->lens[r->segment]);
  if (found < 0) return unknown(r, r->type, NULL);
  r->in_metadata = r->out->depth == 1 && strcmp(r->type_name, METADATA) == 0;
  enter(r, r->type, (uint32_t)found);
  r->segment++;
  *done = false;
  return IU_OK;
}

static iu_status resolve(resolver *r) {
  bool done = false;
  iu_status status;
  if (r->out->path.count == 0) return iu__fail(r->err, IU_E_VALIDATION, "a field name is empty");
  status = first_segment(r);
  while (status == IU_OK && !done) status = next_segment(r, &done);
  if (status != IU_OK) return status;
  r->out->from = r->segment;
  r->out->empty_is_null = r->out->depth == 1 && !r->out->json && r->type->tag == IU_T_STRING && r->table->primary_key != (int32_t)r->out->column &&
                          !r->table->plain_text;
  return iu__locator_init(&r->out->place, r->arena, r->table->row, r->indexes, r->out->depth, r->err);
}

iu_status iu__field_resolve(iu_arena *arena, const iu_table_def *table, const char *name, size_t len, iu_field_ref *out, iu_error *err) {
  resolver r = {.arena = arena, .table = table, .name = name, .name_len = len, .out = out, .err = err};
  iu_status status;
  memset(out, 0, sizeof *out);
  status = iu__path_parse(&out->path, name, len, err);
  if (status != IU_OK) {
    char shown[4 * NAME_SHOWN + 4];
    if (status == IU_E_VALIDATION) iu__error_prefix(err, "field `%s`", iu__printable(shown, NAME_SHOWN, name, len));
    return status;
  }
  status = resolve(&r);
  if (status != IU_OK) iu__field_ref_free(out);
  return status;
}

void iu__field_ref_free(iu_field_ref *f) { iu__path_free(&f->path); }

uint8_t iu__field_cost(const iu_field_ref *f) {
  if (f->json) return 2;
  if (f->convert || (f->place.type->tag == IU_T_SUM && f->place.type->special != IU_S_OPTION)) return 3;
  return f->place.type->tag == IU_T_ARRAY;
}

static bool same_place(const iu_locator *a, const iu_locator *b) {
  if (a->type != b->type || a->count != b->count) return false;
  for (uint32_t i = 0; i < a->count; i++) {
    if (a->steps[i].type != b->steps[i].type || a->steps[i].size != b->steps[i].size) return false;
  }
  return true;
}

bool iu__field_same(const iu_field_ref *a, const iu_field_ref *b) {
  if (a->column != b->column || a->depth != b->depth || a->json != b->json || a->convert != b->convert || !same_place(&a->place, &b->place)) return false;
  if (!a->json && !a->convert) return true;
  if (a->path.count - a->from != b->path.count - b->from) return false;
  for (uint32_t i = 0; i < a->path.count - a->from; i++) {
    size_t len = a->path.lens[a->from + i];
    if (len != b->path.lens[b->from + i] || memcmp(a->path.segments[a->from + i], b->path.segments[b->from + i], len) != 0) return false;
  }
  return true;
}
