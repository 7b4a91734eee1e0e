/* relation.c: create_relation, update_relation, delete_relation, and the relations of a deleted entity.
 *
 * Rows are made as in entity.c. A relation needs both ends when it is made, and goes with either (delete_entity).
 */
#include "internal.h"

typedef struct metadata {
  nerv_slice raw;                /* all fields but properties */
  bool has_description, bidirectional;
  double strength;
  nerv_slice description, tags, properties;
} metadata;

typedef struct stored { nerv_slice row, id, from, to, type; int64_t created_at; metadata m; } stored;

static void read_fields(nerv_reader *r, metadata *m) {
  const uint8_t *from = r->p, *tags;
  m->description = iu__nerv_get_text_option(r, &m->has_description);
  m->strength = iu__nerv_get_f64(r);
  m->bidirectional = iu__nerv_get_bool(r);
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
  if (m->strength - m->strength != 0) {
    return iu__nerv_refuse(c, "VALIDATION", "metadata.strength: %s, expected a finite number",
                           m->strength > 0 ? "inf" : m->strength < 0 ? "-inf" : "nan");
  }
  tags = iu__nerv_reader(m->tags);
  return iu__nerv_check_text(c, "metadata.description", m->description, NERV_TEXT_MAX) &&
         iu__nerv_read_tags(c, "metadata.tags", &tags, &raw) && iu__nerv_check_json_object(c, "metadata.properties", &m->properties);
}

static void put_relation(nerv_out *o, const stored *s, const metadata *m) {
  if (!iu__nerv_reserve(o, (size_t)s->id.n + s->from.n + s->to.n + s->type.n + m->raw.n + m->properties.n + 32)) return;
  iu__nerv_put_text(o, s->id);
  iu__nerv_put_text(o, s->from);
  iu__nerv_put_text(o, s->to);
  iu__nerv_put_text(o, s->type);
  iu__nerv_put_u64(o, (uint64_t)s->created_at);
  iu__nerv_put_slice(o, m->raw);
  iu__nerv_put_text(o, m->properties);
}

static bool parse(nerv_call *c, nerv_slice row, stored *s) {
  nerv_reader r = iu__nerv_reader(row);
  s->row = row;
  s->id = iu__nerv_get_text(&r);
  s->from = iu__nerv_get_text(&r);
  s->to = iu__nerv_get_text(&r);
  s->type = iu__nerv_get_text(&r);
  s->created_at = (int64_t)iu__nerv_get_u64(&r);
  read_fields(&r, &s->m);
  return iu__nerv_read(c, &r);
}

/* ---- audit ---- */

static void put_ends(nerv_out *o, const stored *s) {
  iu__nerv_json_member(o, "relation_id", s->id);
  iu__nerv_json_member(o, "from_entity", s->from);
  iu__nerv_json_member(o, "to_entity", s->to);
  iu__nerv_json_member(o, "relation_type", s->type);
}

static void put_json(nerv_out *o, const char *name, const metadata *m) {
  iu__nerv_json_key(o, name);
  if (m->raw.n + m->properties.n > NERV_AUDIT_METADATA_MAX || !iu__nerv_json_nests(m->properties, NERV_AUDIT_LEVELS)) {
    iu__nerv_put_raw(o, "null");
    return;
  }
  iu__nerv_put_u8(o, '{');
  iu__nerv_json_member_or_null(o, "description", m->description, m->has_description);
  iu__nerv_json_key(o, "strength");
  iu__nerv_json_f64(o, m->strength);
  iu__nerv_json_key(o, "bidirectional");
  iu__nerv_put_raw(o, m->bidirectional ? "true" : "false");
  iu__nerv_json_key(o, "tags");
  iu__nerv_json_texts(o, m->tags);
  iu__nerv_json_key(o, "properties");
  iu__nerv_put_slice(o, m->properties);
  iu__nerv_put_u8(o, '}');
}

static void put_changed(nerv_out *o, const metadata *a, const metadata *b) {
  const nerv_changed fields[] = {
    {"description", a->has_description != b->has_description || !iu__nerv_same(a->description, b->description)},
    {"strength", a->strength != b->strength},
    {"bidirectional", a->bidirectional != b->bidirectional},
    {"tags", !iu__nerv_same(a->tags, b->tags)},
    {"properties", !iu__nerv_same(a->properties, b->properties)}};
  iu__nerv_audit_changed(o, fields, sizeof fields / sizeof *fields);
}

static bool log_relation(nerv_call *c, const char *event, const stored *s, const metadata *new_metadata) {
  nerv_out data;
  bool on;
  if (!iu__nerv_audit_begin(c, &data, &on)) return false;
  if (!on) return true;
  put_ends(&data, s);
  if (new_metadata != NULL) {
    put_changed(&data, &s->m, new_metadata);
    put_json(&data, "old_metadata", &s->m);
    put_json(&data, "new_metadata", new_metadata);
  }
  return iu__nerv_audit_end(c, event, s->id, &data);
}

/* ---- reducers ---- */

static bool check_end(nerv_call *c, const char *argument, nerv_slice id) {
  bool found;
  if (!iu__nerv_has_text(c, NERV_ENTITY_ID, id, &found)) return false;
  return found || iu__nerv_refuse(c, "ENTITY_NOT_FOUND", "%s: no entity %q", argument, &id);
}

bool iu__nerv_create_relation(nerv_call *c, nerv_reader *r) {
  stored s = {.created_at = c->now};
  nerv_slice given;
  bool there, taken;
  nerv_out row;
  s.from = iu__nerv_get_text(r);
  s.to = iu__nerv_get_text(r);
  s.type = iu__nerv_get_text(r);
  if (!read_metadata(c, r, &s.m)) return false;
  given = iu__nerv_get_text_option(r, &there);
  if (!iu__nerv_read(c, r) || !iu__nerv_check_id(c, "from_entity", s.from) || !iu__nerv_check_id(c, "to_entity", s.to)) return false;
  if (!iu__nerv_check_id(c, "relation_type", s.type) || !iu__nerv_id(c, "id", given, there, &s.id)) return false;
  if (!iu__nerv_permit(c, "create_relation", s.type)) return false;
  if (!check_end(c, "from_entity", s.from) || !check_end(c, "to_entity", s.to)) return false;
  row = iu__nerv_out_of(c);
  put_relation(&row, &s, &s.m);
  if (!iu__nerv_insert(c, NERV_RELATION, &row, &taken)) return false;
  if (taken) return iu__nerv_refuse(c, "CONFLICT", "id: relation %q exists already", &s.id);
  return iu__nerv_history(c, NERV_RELATION, s.id, "insert", iu__nerv_text("")) && log_relation(c, "RELATION_CREATED", &s, NULL);
}

static bool find_relation(nerv_call *c, nerv_slice id, stored *s) {
  nerv_slice row;
  bool found;
  if (!iu__nerv_check_id(c, "id", id) || !iu__nerv_find_text(c, NERV_RELATION_ID, id, &row, &found)) return false;
  if (!found) return iu__nerv_refuse(c, "RELATION_NOT_FOUND", "id: no relation %q", &id);
  return parse(c, row, s);
}

bool iu__nerv_update_relation(nerv_call *c, nerv_reader *r) {
  nerv_slice id = iu__nerv_get_text(r);
  metadata m;
  stored old;
  nerv_out row;
  if (!read_metadata(c, r, &m) || !find_relation(c, id, &old) || !iu__nerv_permit(c, "update_relation", old.type)) return false;
  row = iu__nerv_out_of(c);
  put_relation(&row, &old, &m);
  return iu__nerv_update(c, NERV_RELATION, &row) && iu__nerv_history(c, NERV_RELATION, id, "update", old.row) &&
         log_relation(c, "RELATION_UPDATED", &old, &m);
}

static bool delete_stored(nerv_call *c, const stored *s) {
  return iu__nerv_permit(c, "delete_relation", s->type) && iu__nerv_delete_text(c, NERV_RELATION_ID, s->id, NULL) &&
         iu__nerv_history(c, NERV_RELATION, s->id, "delete", s->row) && log_relation(c, "RELATION_DELETED", s, NULL);
}

bool iu__nerv_delete_relation(nerv_call *c, nerv_reader *r) {
  nerv_slice id = iu__nerv_get_text(r);
  stored s;
  return iu__nerv_read(c, r) && find_relation(c, id, &s) && delete_stored(c, &s);
}

/* All relations with this entity at one end, by their ids. Their rows are copied first: nothing is deleted under a running scan. */
bool iu__nerv_delete_relations(nerv_call *c, nerv_index index, nerv_slice entity, uint64_t *count) {
  nerv_items relations = {NULL, 0, 0};
  nerv_scan scan;
  nerv_slice row;
  stored s;
  if (!iu__nerv_scan_text(c, index, entity, &scan)) return false;
  while (iu__nerv_next(c, &scan, &row)) {
    if (!iu__nerv_copy(c, row, &row) || !parse(c, row, &s) || !iu__nerv_items_add(c, &relations, (nerv_item){0, s.id, row})) break;
  }
  iu__nerv_scan_end(c, &scan);
  if (c->refused) return false;
  iu__nerv_items_sort(&relations);
  for (size_t i = 0; i < relations.n; i++) {
    nerv_mark mark = iu__nerv_mem_mark(&c->self->mem);
    if (!parse(c, relations.p[i].row, &s) || !delete_stored(c, &s)) return false;
    iu__nerv_mem_release(&c->self->mem, mark);
    ++*count;
  }
  return true;
}
