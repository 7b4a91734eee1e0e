/* entity.c: create_entity, update_entity, delete_entity.
 *
 * A row is the arguments' bytes with id and times around them: metadata is checked field by field and copied as a whole. Only an empty
 * `properties` is rewritten, to `{}`.
 */
#include "internal.h"

typedef struct metadata {
  nerv_slice raw;                /* all fields but properties */
  bool has_name, has_description;
  nerv_slice name, description, tags, properties;
} metadata;

/* Fields in their order; for stored rows, which are valid. */
static void read_fields(nerv_reader *r, metadata *m) {
  const uint8_t *from = r->p, *tags;
  m->name = iu__nerv_get_text_option(r, &m->has_name);
  m->description = iu__nerv_get_text_option(r, &m->has_description);
  tags = r->p;
  iu__nerv_skip(r, "a");
  m->tags = iu__nerv_since(r, tags);
  m->raw = iu__nerv_since(r, from);
  m->properties = iu__nerv_get_text(r);
}

static bool read_metadata(nerv_call *c, nerv_reader *r, metadata *m) {
  nerv_reader tags;
  nerv_slice raw;
  read_fields(r, m);
  if (!iu__nerv_read(c, r)) return false;
  tags = iu__nerv_reader(m->tags);
  return iu__nerv_check_text(c, "metadata.name", m->name, NERV_TEXT_MAX) &&
         iu__nerv_check_text(c, "metadata.description", m->description, NERV_TEXT_MAX) &&
         iu__nerv_read_tags(c, "metadata.tags", &tags, &raw) && iu__nerv_check_json_object(c, "metadata.properties", &m->properties);
}

static void put_entity(nerv_out *o, nerv_slice id, nerv_slice type, int64_t created_at, int64_t updated_at, const metadata *m) {
  if (!iu__nerv_reserve(o, (size_t)id.n + type.n + m->raw.n + m->properties.n + 32)) return;
  iu__nerv_put_text(o, id);
  iu__nerv_put_text(o, type);
  iu__nerv_put_u64(o, (uint64_t)created_at);
  iu__nerv_put_u64(o, (uint64_t)updated_at);
  iu__nerv_put_slice(o, m->raw);
  iu__nerv_put_text(o, m->properties);
}

static void put_json(nerv_out *o, const char *name, const metadata *m) {
  iu__nerv_json_key(o, name);
  if (m->raw.n + m->properties.n > NERV_AUDIT_METADATA_MAX || !iu__nerv_json_nests(m->properties, NERV_AUDIT_LEVELS)) {
    iu__nerv_put_raw(o, "null");
    return;
  }
  iu__nerv_put_u8(o, '{');
  iu__nerv_json_member_or_null(o, "name", m->name, m->has_name);
  iu__nerv_json_member_or_null(o, "description", m->description, m->has_description);
  iu__nerv_json_key(o, "tags");
  iu__nerv_json_texts(o, m->tags);
  iu__nerv_json_key(o, "properties");
  iu__nerv_put_slice(o, m->properties);
  iu__nerv_put_u8(o, '}');
}

static bool log_created(nerv_call *c, nerv_slice id, nerv_slice type, const metadata *m) {
  nerv_out data;
  bool on;
  if (!iu__nerv_audit_begin(c, &data, &on)) return false;
  if (!on) return true;
  iu__nerv_json_member(&data, "entity_id", id);
  iu__nerv_json_member(&data, "entity_type", type);
  iu__nerv_json_member_or_null(&data, "name", m->name, m->has_name);
  return iu__nerv_audit_end(c, "ENTITY_CREATED", id, &data);
}

bool iu__nerv_create_entity(nerv_call *c, nerv_reader *r) {
  nerv_slice type = iu__nerv_get_text(r), given, id;
  metadata m;
  bool there, taken;
  nerv_out row;
  if (!read_metadata(c, r, &m)) return false;
  given = iu__nerv_get_text_option(r, &there);
  if (!iu__nerv_read(c, r) || !iu__nerv_check_id(c, "entity_type", type) || !iu__nerv_id(c, "id", given, there, &id)) return false;
  if (!iu__nerv_permit(c, "create_entity", type)) return false;
  row = iu__nerv_out_of(c);
  put_entity(&row, id, type, c->now, c->now, &m);
  if (!iu__nerv_insert(c, NERV_ENTITY, &row, &taken)) return false;
  if (taken) return iu__nerv_refuse(c, "CONFLICT", "id: entity %q exists already", &id);
  return iu__nerv_history(c, NERV_ENTITY, id, "insert", iu__nerv_text("")) && log_created(c, id, type, &m);
}

typedef struct stored { nerv_slice row, type; int64_t created_at; metadata m; } stored;

static bool find_entity(nerv_call *c, nerv_slice id, stored *e) {
  nerv_reader r;
  bool found;
  if (!iu__nerv_check_id(c, "id", id) || !iu__nerv_find_text(c, NERV_ENTITY_ID, id, &e->row, &found)) return false;
  if (!found) return iu__nerv_refuse(c, "ENTITY_NOT_FOUND", "id: no entity %q", &id);
  r = iu__nerv_reader(e->row);
  iu__nerv_get_text(&r);
  e->type = iu__nerv_get_text(&r);
  e->created_at = (int64_t)iu__nerv_get_u64(&r);
  iu__nerv_get_u64(&r);
  read_fields(&r, &e->m);
  return iu__nerv_read(c, &r);
}

static void put_changed(nerv_out *o, const metadata *a, const metadata *b) {
  const nerv_changed fields[] = {
    {"name", a->has_name != b->has_name || !iu__nerv_same(a->name, b->name)},
    {"description", a->has_description != b->has_description || !iu__nerv_same(a->description, b->description)},
    {"tags", !iu__nerv_same(a->tags, b->tags)},
    {"properties", !iu__nerv_same(a->properties, b->properties)}};
  iu__nerv_audit_changed(o, fields, sizeof fields / sizeof *fields);
}

static bool log_updated(nerv_call *c, nerv_slice id, const stored *old, const metadata *m) {
  nerv_out data;
  bool on;
  if (!iu__nerv_audit_begin(c, &data, &on)) return false;
  if (!on) return true;
  iu__nerv_json_member(&data, "entity_id", id);
  iu__nerv_json_member(&data, "entity_type", old->type);
  put_changed(&data, &old->m, m);
  put_json(&data, "old_metadata", &old->m);
  put_json(&data, "new_metadata", m);
  return iu__nerv_audit_end(c, "ENTITY_UPDATED", id, &data);
}

bool iu__nerv_update_entity(nerv_call *c, nerv_reader *r) {
  nerv_slice id = iu__nerv_get_text(r);
  metadata m;
  stored old;
  nerv_out row;
  if (!read_metadata(c, r, &m) || !find_entity(c, id, &old) || !iu__nerv_permit(c, "update_entity", old.type)) return false;
  row = iu__nerv_out_of(c);
  put_entity(&row, id, old.type, old.created_at, c->now, &m);
  return iu__nerv_update(c, NERV_ENTITY, &row) && iu__nerv_history(c, NERV_ENTITY, id, "update", old.row) && log_updated(c, id, &old, &m);
}

static bool log_deleted(nerv_call *c, nerv_slice id, const stored *old, uint64_t relations) {
  nerv_out data;
  bool on;
  if (!iu__nerv_audit_begin(c, &data, &on)) return false;
  if (!on) return true;
  iu__nerv_json_member(&data, "entity_id", id);
  iu__nerv_json_member(&data, "entity_type", old->type);
  put_json(&data, "metadata", &old->m);
  iu__nerv_json_key(&data, "relations_deleted");
  iu__nerv_put_decimal(&data, relations);
  return iu__nerv_audit_end(c, "ENTITY_DELETED", id, &data);
}

static bool refuse_related(nerv_call *c, nerv_slice id) {
  bool from, to;
  if (!iu__nerv_has_text(c, NERV_RELATION_FROM, id, &from) || !iu__nerv_has_text(c, NERV_RELATION_TO, id, &to)) return false;
  if (!from && !to) return true;
  return iu__nerv_refuse(c, "CONFLICT", "id: entity %q still has relations: delete them first, or cascade", &id);
}

bool iu__nerv_delete_entity(nerv_call *c, nerv_reader *r) {
  nerv_slice id = iu__nerv_get_text(r);
  bool cascade = iu__nerv_get_bool(r);
  uint64_t relations = 0;
  stored old;
  if (!iu__nerv_read(c, r) || !find_entity(c, id, &old) || !iu__nerv_permit(c, "delete_entity", old.type)) return false;
  if (!cascade && !refuse_related(c, id)) return false;
  if (cascade && (!iu__nerv_delete_relations(c, NERV_RELATION_FROM, id, &relations) ||
                  !iu__nerv_delete_relations(c, NERV_RELATION_TO, id, &relations))) return false;
  return iu__nerv_delete_text(c, NERV_ENTITY_ID, id, NULL) && iu__nerv_history(c, NERV_ENTITY, id, "delete", old.row) &&
         log_deleted(c, id, &old, relations);
}
