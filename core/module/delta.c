/* delta.c: delta records: what record_delta notes, and the chain deltas that commit_state_version writes.
 *
 * Operations are checked one by one (JSON texts, UTF-8) and stored as the bytes they came as. Paths are not resolved here: the module never
 * applies a delta.
 */
#include "internal.h"

enum { OP_SET, OP_DELETE, OP_INSERT, OP_REMOVE, OP_PATCH };

static bool read_value(nerv_call *c, const char *argument, nerv_reader *r) {
  nerv_slice v = iu__nerv_get_text(r);
  return iu__nerv_read(c, r) && iu__nerv_check_json(c, argument, &v, "");
}

static bool read_operation(nerv_call *c, nerv_reader *r) {
  uint8_t tag = iu__nerv_get_u8(r);
  nerv_slice path = iu__nerv_get_text(r);
  if (!iu__nerv_read(c, r) || !iu__nerv_check_text(c, "operations.path", path, NERV_TEXT_MAX)) return false;
  switch (tag) {
    case OP_SET: return read_value(c, "operations.value", r);
    case OP_DELETE: return true;
    case OP_INSERT:
      if (iu__nerv_get_option(r)) iu__nerv_get_u32(r);
      return read_value(c, "operations.value", r);
    case OP_REMOVE:
      iu__nerv_get_u32(r);
      return iu__nerv_read(c, r);
    case OP_PATCH: return read_value(c, "operations.patch", r);
    default: return iu__nerv_bad_arguments(c);
  }
}

static bool read_operations(nerv_call *c, nerv_reader *r, nerv_delta_args *d) {
  const uint8_t *from = r->p;
  d->count = iu__nerv_get_u32(r);
  for (uint32_t i = 0; i < d->count; i++) {
    if (!read_operation(c, r)) return false;
  }
  d->operations = iu__nerv_since(r, from);
  return iu__nerv_read(c, r);
}

static bool read_metadata(nerv_call *c, nerv_reader *r, nerv_delta_args *d) {
  const uint8_t *from = r->p;
  nerv_slice description = iu__nerv_get_text(r), author, tags, parent;
  bool there;
  author = iu__nerv_get_text_option(r, &there);
  if (!iu__nerv_read(c, r) || !iu__nerv_check_text(c, "metadata.description", description, NERV_TEXT_MAX)) return false;
  if (!iu__nerv_check_text(c, "metadata.author", author, NERV_TEXT_MAX) || !iu__nerv_read_tags(c, "metadata.tags", r, &tags)) return false;
  parent = iu__nerv_get_text_option(r, &there);
  d->metadata = iu__nerv_since(r, from);
  return iu__nerv_read(c, r) && (!there || iu__nerv_check_id(c, "metadata.parent_delta_id", parent));
}

bool iu__nerv_read_delta(nerv_call *c, nerv_reader *r, nerv_delta_args *d) {
  return read_operations(c, r, d) && read_metadata(c, r, d);
}

bool iu__nerv_insert_delta(nerv_call *c, nerv_slice id, nerv_slice version, nerv_slice base, const char *kind, const nerv_delta_args *d) {
  nerv_out row = iu__nerv_out_of(c);
  bool taken;
  if (!iu__nerv_reserve(&row, (size_t)id.n + version.n + base.n + d->operations.n + d->metadata.n + 64)) return iu__nerv_no_memory(c);
  iu__nerv_put_text(&row, id);
  iu__nerv_put_text(&row, version);
  iu__nerv_put_text(&row, base);
  iu__nerv_put_cstr(&row, kind);
  iu__nerv_put_slice(&row, d->operations);
  iu__nerv_put_u64(&row, (uint64_t)c->now);
  iu__nerv_put_slice(&row, d->metadata);
  if (!iu__nerv_insert(c, NERV_DELTA_RECORD, &row, &taken)) return false;
  return !taken || iu__nerv_refuse(c, "CONFLICT", "id: delta %q exists already", &id);
}

static bool log_delta(nerv_call *c, nerv_slice id, nerv_slice version, uint32_t count) {
  nerv_out data;
  bool on;
  if (!iu__nerv_audit_begin(c, &data, &on)) return false;
  if (!on) return true;
  iu__nerv_json_member(&data, "delta_id", id);
  iu__nerv_json_member(&data, "state_version_id", version);
  iu__nerv_json_key(&data, "operations_count");
  iu__nerv_put_decimal(&data, count);
  return iu__nerv_audit_end(c, "DELTA_RECORDED", id, &data);
}

bool iu__nerv_record_delta(nerv_call *c, nerv_reader *r) {
  nerv_slice version = iu__nerv_get_text(r), given, id;
  nerv_delta_args d;
  bool there;
  if (!iu__nerv_read(c, r) || !iu__nerv_check_id(c, "version_id", version) || !iu__nerv_read_delta(c, r, &d)) return false;
  given = iu__nerv_get_text_option(r, &there);
  if (!iu__nerv_read(c, r) || !iu__nerv_id(c, "id", given, there, &id) || !iu__nerv_permit(c, "record_delta", version)) return false;
  return iu__nerv_version_exists(c, "version_id", version) && iu__nerv_insert_delta(c, id, version, iu__nerv_text(""), "recorded", &d) &&
         log_delta(c, id, version, d.count);
}
