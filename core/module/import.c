/* import.c: rows as they are: import_rows and remove_rows, for copies of a universe. The owner's; no audit event, no history.
 *
 * A row is BSATN from outside, and nothing in it is believed: it is read by the table's declared type to its last byte, its texts as UTF-8, its
 * JSON as JSON, its key as a key. What a row refers to is not looked for (a copy may bring it later). Rows are put by primary key; one that is there
 * byte for byte is left alone. What other rows say about a table follows: the heads of event_log and row_history (sequence, count,
 * bytes), the number of an action's rules. A head itself can only be moved forward, and only its sequence. Rows that belong to one universe
 * (client_connection; owner and schema_version of config) are refused.
 *
 * Cost of a row: one pass over its bytes, a point read and a write; of an event, one more point read.
 */
#include "internal.h"

/* ---- a row's bytes against its type ---- */

static const struct { const char *type, *field; bool is_object; } json_texts[] = {
  {"EntityMetadata", "properties", true}, {"RelationMetadata", "properties", true}, {"StateVersion", "metadata", true}, {"EventLog", "data", false},
  {"DeltaSet", "value", false}, {"DeltaInsert", "value", false}, {"DeltaPatch", "patch", false}};

static bool check_text(nerv_call *c, nerv_slice text, const nerv_type *owner, const nerv_field *field) {
  for (size_t i = 0; i < sizeof json_texts / sizeof *json_texts; i++) {
    if (!iu__nerv_is(iu__nerv_text(owner->name), json_texts[i].type) || !iu__nerv_is(iu__nerv_text(field->name), json_texts[i].field)) continue;
    if (text.n == 0) return iu__nerv_refuse(c, "VALIDATION", "%s: \"\" is empty, expected JSON", field->name);
    return json_texts[i].is_object ? iu__nerv_check_json_object(c, field->name, &text) : iu__nerv_check_json(c, field->name, &text, "");
  }
  return iu__nerv_check_text(c, field->name, text, NERV_JSON_MAX);
}

static const nerv_type *find_type(nerv_slice name) {
  for (uint32_t i = 0; i < iu__nerv_type_count; i++) {
    if (iu__nerv_is(name, iu__nerv_types[i].name)) return &iu__nerv_types[i];
  }
  return NULL;
}

static bool check_product(nerv_call *c, nerv_reader *r, const nerv_type *type);

/* One value of a type without [] and ?. A reader that went bad is left to the caller. */
static bool check_plain(nerv_call *c, nerv_reader *r, nerv_slice type, const nerv_type *owner, const nerv_field *field) {
  const nerv_type *named;
  if (iu__nerv_is(type, "String")) {
    nerv_slice text = iu__nerv_get_text(r);
    return r->bad || check_text(c, text, owner, field);
  }
  if (iu__nerv_is(type, "Timestamp") || iu__nerv_is(type, "U64")) iu__nerv_get_bytes(r, 8);
  else if (iu__nerv_is(type, "Identity")) iu__nerv_get_bytes(r, 32);
  else if (iu__nerv_is(type, "ConnectionId")) iu__nerv_get_bytes(r, 16);
  else if (iu__nerv_is(type, "U32")) iu__nerv_get_bytes(r, 4);
  else if (iu__nerv_is(type, "Bool")) iu__nerv_get_bool(r);
  else if (iu__nerv_is(type, "Bytes")) iu__nerv_get_text(r);
  else if (iu__nerv_is(type, "F64")) {
    if ((iu__nerv_get_u64(r) >> 52 & 0x7FF) == 0x7FF) return iu__nerv_refuse(c, "VALIDATION", "%s: expected a finite number", field->name);
  } else {
    named = find_type(type);
    if (!named->is_sum) return check_product(c, r, named);
    uint8_t tag = iu__nerv_get_u8(r);
    if (r->bad || tag >= named->count) {
      r->bad = true;
      return true;
    }
    return check_plain(c, r, iu__nerv_text(named->fields[tag].type), named, &named->fields[tag]);
  }
  return true;
}

/* Every element takes at least one byte, so a length that lies ends with the bytes. */
static bool check_field(nerv_call *c, nerv_reader *r, const nerv_type *owner, const nerv_field *field) {
  nerv_slice type = iu__nerv_text(field->type);
  uint32_t count = 1;
  if (type.p[0] == '[') {
    count = iu__nerv_get_u32(r);
    if (!r->bad && iu__nerv_is(iu__nerv_text(field->name), "tags") && count > NERV_TAGS_MAX) {
      return iu__nerv_refuse(c, "VALIDATION", "tags: %u tags, expected at most %u", (uint64_t)count, (uint64_t)NERV_TAGS_MAX);
    }
    type = (nerv_slice){type.p + 1, type.n - 2};
  } else if (type.p[type.n - 1] == '?') {
    count = iu__nerv_get_option(r);
    type.n--;
  }
  for (; count > 0 && !r->bad; count--) {
    if (!check_plain(c, r, type, owner, field)) return false;
  }
  return true;
}

static bool check_product(nerv_call *c, nerv_reader *r, const nerv_type *type) {
  for (uint32_t i = 0; i < type->count && !r->bad; i++) {
    if (!check_field(c, r, type, &type->fields[i])) return false;
  }
  return true;
}

static bool check_row(nerv_call *c, nerv_table table, nerv_slice row) {
  nerv_reader r = iu__nerv_reader(row);
  if (!check_product(c, &r, find_type(iu__nerv_text(iu__nerv_tables[table].row)))) return false;
  if (!r.bad && r.p == r.end) return true;
  return iu__nerv_refuse(c, "VALIDATION", "the bytes are not a row of `%s`", iu__nerv_tables[table].name);
}

/* Keys that are made of others are longer than an id. */
static bool check_key(nerv_call *c, nerv_table table, nerv_slice key) {
  const char *name = iu__nerv_indexes[iu__nerv_tables[table].primary].column;
  if (table != NERV_STATE_SNAPSHOT && table != NERV_ROW_HISTORY && table != NERV_PERMISSION) return iu__nerv_check_id(c, name, key);
  if (key.n == 0) return iu__nerv_refuse(c, "VALIDATION", "%s: \"\" is empty, expected a text", name);
  return iu__nerv_check_text(c, name, key, NERV_TEXT_MAX);
}

/* ---- what other rows say of a table ---- */

/* The head that counts a table's rows, or NERV_HEAD_COUNT. */
static nerv_head_id head_of(nerv_table table) {
  return table == NERV_EVENT_LOG ? NERV_HEAD_EVENTS : table == NERV_ROW_HISTORY ? NERV_HEAD_HISTORY : NERV_HEAD_COUNT;
}

static bool uncount(nerv_call *c, nerv_head_id id, nerv_slice old_row) {
  nerv_head *head;
  if (id == NERV_HEAD_COUNT) return true;
  if (!iu__nerv_head(c, id, &head)) return false;
  head->count -= head->count > 0;
  head->bytes -= old_row.n < head->bytes ? old_row.n : head->bytes;
  head->dirty = true;
  return true;
}

static bool check_sequence(nerv_call *c, uint64_t sequence) {
  return sequence <= NERV_SEQUENCE_MAX ||
         iu__nerv_refuse(c, "VALIDATION", "sequence: %u, expected at most %u", sequence, (uint64_t)NERV_SEQUENCE_MAX);
}

static bool reach(nerv_call *c, nerv_head_id id, uint64_t sequence, nerv_head **head) {
  if (!check_sequence(c, sequence) || !iu__nerv_head(c, id, head)) return false;
  if ((*head)->sequence < sequence) (*head)->sequence = sequence;
  (*head)->dirty = true;
  return true;
}

static uint64_t sequence_of(nerv_table table, nerv_slice row) {
  nerv_reader r = iu__nerv_reader(row);
  iu__nerv_skip(&r, table == NERV_EVENT_LOG ? "s" : "sss");
  return iu__nerv_get_u64(&r);
}

/* No two events have one sequence. */
static bool sequence_is_free(nerv_call *c, nerv_slice key, uint64_t sequence) {
  uint8_t bytes[8];
  nerv_slice row, other;
  nerv_reader r;
  bool found;
  if (sequence == 0) return iu__nerv_refuse(c, "VALIDATION", "sequence: 0, expected 1 or more");
  iu__nerv_store_u64(bytes, sequence);
  if (!iu__nerv_find(c, NERV_EVENT_SEQUENCE, (nerv_slice){bytes, sizeof bytes}, &row, &found)) return false;
  if (!found) return true;
  r = iu__nerv_reader(row);
  other = iu__nerv_get_text(&r);
  return iu__nerv_same(other, key) || iu__nerv_refuse(c, "CONFLICT", "sequence: %u is event %q here, not %q", sequence, &other, &key);
}

static bool count_row(nerv_call *c, nerv_table table, nerv_slice key, nerv_slice row) {
  nerv_head_id id = head_of(table);
  nerv_head *head;
  uint64_t sequence;
  if (id == NERV_HEAD_COUNT) return true;
  sequence = sequence_of(table, row);
  if (table == NERV_EVENT_LOG && !sequence_is_free(c, key, sequence)) return false;
  if (!reach(c, id, sequence, &head)) return false;
  head->count++;
  head->bytes += row.n;
  return true;
}

/* ---- import_rows ---- */

static bool import_head(nerv_call *c, nerv_slice row) {
  nerv_reader r = iu__nerv_reader(row);
  uint32_t id = iu__nerv_get_u32(&r);
  nerv_head *head;
  if (id >= NERV_HEAD_COUNT) return iu__nerv_refuse(c, "VALIDATION", "id: %u, expected less than %u", (uint64_t)id, (uint64_t)NERV_HEAD_COUNT);
  return reach(c, (nerv_head_id)id, iu__nerv_get_u64(&r), &head);
}

static bool check_config(nerv_call *c, nerv_slice key, nerv_slice row) {
  nerv_reader r = iu__nerv_reader(row);
  iu__nerv_get_text(&r);
  if (iu__nerv_is(key, "schema_version")) return iu__nerv_refuse(c, "VALIDATION", "key: \"schema_version\" belongs to the module");
  c->features_known = false;
  return iu__nerv_config_check(c, key, iu__nerv_get_text(&r));
}

static bool import_keyed(nerv_call *c, nerv_table table, nerv_slice row) {
  nerv_reader r = iu__nerv_reader(row);
  nerv_slice key = iu__nerv_get_text(&r), old;
  nerv_out out;
  bool exists;
  if (!check_key(c, table, key) || (table == NERV_CONFIG && !check_config(c, key, row))) return false;
  if (table == NERV_PERMISSION) return iu__nerv_import_rule(c, row);
  if (!iu__nerv_find(c, iu__nerv_tables[table].primary, iu__nerv_since(&r, row.p), &old, &exists)) return false;
  if (exists && iu__nerv_same(old, row)) return true;
  if ((exists && !uncount(c, head_of(table), old)) || !count_row(c, table, key, row)) return false;
  out = iu__nerv_out_of(c); /* the host writes into what it is given */
  iu__nerv_put_slice(&out, row);
  return iu__nerv_put_row(c, table, &out, exists);
}

static bool find_table(nerv_call *c, nerv_slice name, bool heads, nerv_table *table) {
  for (uint32_t t = 0; t < NERV_TABLE_COUNT; t++) {
    if (t == NERV_CLIENT_CONNECTION || (t == NERV_EVENT_HEAD && !heads) || !iu__nerv_is(name, iu__nerv_tables[t].name)) continue;
    *table = (nerv_table)t;
    return true;
  }
  return iu__nerv_refuse(c, "VALIDATION", "table: %q, expected a table whose rows may be brought from elsewhere", &name);
}

static bool read_count(nerv_call *c, const char *argument, nerv_reader *r, uint32_t *count) {
  *count = iu__nerv_get_u32(r);
  return iu__nerv_read(c, r) && (*count <= NERV_IMPORT_MAX || iu__nerv_refuse(c, "VALIDATION", "%s: %u, expected at most %u", argument, (uint64_t)*count,
                                                                             (uint64_t)NERV_IMPORT_MAX));
}

bool iu__nerv_import_rows(nerv_call *c, nerv_reader *r) {
  nerv_slice name = iu__nerv_get_text(r);
  nerv_table table = NERV_ENTITY;
  uint32_t count;
  if (!read_count(c, "rows", r, &count) || !find_table(c, name, true, &table) || !iu__nerv_owner_only(c, "import_rows")) return false;
  for (uint32_t i = 0; i < count; i++) {
    nerv_mark mark = iu__nerv_mem_mark(&c->self->mem);
    nerv_slice row = iu__nerv_get_text(r);
    if (!iu__nerv_read(c, r)) return false;
    c->list = "rows";
    c->list_at = i;
    if (!check_row(c, table, row) || !(table == NERV_EVENT_HEAD ? import_head(c, row) : import_keyed(c, table, row))) return false;
    c->list = NULL;
    iu__nerv_mem_release(&c->self->mem, mark);
  }
  return true;
}

/* ---- remove_rows ---- */

static bool remove_row(nerv_call *c, nerv_table table, nerv_slice key) {
  nerv_slice old;
  bool exists;
  if (!check_key(c, table, key)) return false;
  if (table == NERV_PERMISSION) return iu__nerv_remove_rule(c, key);
  if (table == NERV_CONFIG) {
    if (iu__nerv_is(key, "owner") || iu__nerv_is(key, "schema_version")) return iu__nerv_refuse(c, "VALIDATION", "key: %q has to stay", &key);
    c->features_known = false;
  }
  if (!iu__nerv_find_text(c, iu__nerv_tables[table].primary, key, &old, &exists)) return false;
  if (!exists) return true;
  return uncount(c, head_of(table), old) && iu__nerv_delete_text(c, iu__nerv_tables[table].primary, key, NULL);
}

bool iu__nerv_remove_rows(nerv_call *c, nerv_reader *r) {
  nerv_slice name = iu__nerv_get_text(r);
  nerv_table table = NERV_ENTITY;
  uint32_t count;
  if (!read_count(c, "keys", r, &count) || !find_table(c, name, false, &table) || !iu__nerv_owner_only(c, "remove_rows")) return false;
  for (uint32_t i = 0; i < count; i++) {
    nerv_mark mark = iu__nerv_mem_mark(&c->self->mem);
    nerv_slice key = iu__nerv_get_text(r);
    if (!iu__nerv_read(c, r)) return false;
    c->list = "keys";
    c->list_at = i;
    if (!remove_row(c, table, key)) return false;
    c->list = NULL;
    iu__nerv_mem_release(&c->self->mem, mark);
  }
  return true;
}
