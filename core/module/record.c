/* record.c: plugins' own rows with compare-and-set (put_record, delete_record), and the record of migrations (record_migration).
 *
 * A record's revision starts at 1 and grows by one with every put. A record whose expires_at has come counts as absent for an
 * `expected_revision` of 0, but keeps counting: its revision is a fencing number for leases. Nothing removes expired records by itself.
 */
#include "internal.h"

typedef struct record { bool exists, expired; uint64_t revision; } record;

static bool find_record(nerv_call *c, nerv_slice key, record *out) {
  nerv_slice row;
  nerv_reader r;
  int64_t expires_at;
  *out = (record){false, false, 0};
  if (!iu__nerv_find_text(c, NERV_RECORD_KEY, key, &row, &out->exists) || !out->exists) return !c->refused;
  r = iu__nerv_reader(row);
  iu__nerv_get_text(&r);
  iu__nerv_get_text(&r);
  out->revision = iu__nerv_get_u64(&r);
  expires_at = (int64_t)iu__nerv_get_u64(&r);
  out->expired = expires_at != 0 && expires_at <= c->now;
  return true;
}

static bool check_revision(nerv_call *c, nerv_slice key, const record *present, bool expects, uint64_t expected) {
  if (!expects || (present->exists && expected == present->revision)) return true;
  if (expected == 0) {
    if (!present->exists || present->expired) return true;
    return iu__nerv_refuse(c, "CONFLICT", "expected_revision: record %q is at revision %u, expected none", &key, present->revision);
  }
  if (!present->exists) return iu__nerv_refuse(c, "CONFLICT", "expected_revision: no record %q, expected revision %u", &key, expected);
  return iu__nerv_refuse(c, "CONFLICT", "expected_revision: record %q is at revision %u, expected %u", &key, present->revision, expected);
}

bool iu__nerv_put_record(nerv_call *c, nerv_reader *r) {
  nerv_slice key = iu__nerv_get_text(r), value = iu__nerv_get_text(r);
  bool expects, expires;
  uint64_t expected = iu__nerv_get_u64_option(r, &expects);
  int64_t expires_at = (int64_t)iu__nerv_get_u64_option(r, &expires);
  record present;
  nerv_out row;
  if (!iu__nerv_read(c, r) || !iu__nerv_check_id(c, "key", key) || !iu__nerv_check_text(c, "value", value, NERV_JSON_MAX)) return false;
  if (expires && expires_at <= 0) return iu__nerv_refuse(c, "VALIDATION", "expires_at: %d, expected a time after 1970", expires_at);
  if (!iu__nerv_permit(c, "put_record", key) || !find_record(c, key, &present)) return false;
  if (!check_revision(c, key, &present, expects, expected)) return false;
  row = iu__nerv_out_of(c);
  if (!iu__nerv_reserve(&row, (size_t)key.n + value.n + 32)) return iu__nerv_no_memory(c);
  iu__nerv_put_text(&row, key);
  iu__nerv_put_text(&row, value);
  iu__nerv_put_u64(&row, present.revision + 1);
  iu__nerv_put_u64(&row, expires ? (uint64_t)expires_at : 0);
  iu__nerv_put_u64(&row, (uint64_t)c->now);
  return iu__nerv_put_row(c, NERV_PLUGIN_RECORD, &row, present.exists);
}

bool iu__nerv_delete_record(nerv_call *c, nerv_reader *r) {
  nerv_slice key = iu__nerv_get_text(r);
  bool expects;
  uint64_t expected = iu__nerv_get_u64_option(r, &expects);
  record present;
  if (!iu__nerv_read(c, r) || !iu__nerv_check_id(c, "key", key) || !iu__nerv_permit(c, "delete_record", key)) return false;
  if (!find_record(c, key, &present) || !check_revision(c, key, &present, expects, expected)) return false;
  return !present.exists || iu__nerv_delete_text(c, NERV_RECORD_KEY, key, NULL);
}

bool iu__nerv_record_migration(nerv_call *c, nerv_reader *r) {
  nerv_slice version = iu__nerv_get_text(r), name = iu__nerv_get_text(r), checksum = iu__nerv_get_text(r), status = iu__nerv_get_text(r);
  uint32_t step = iu__nerv_get_u32(r);
  nerv_slice checkpoint = iu__nerv_get_text(r), error = iu__nerv_get_text(r);
  uint64_t duration = iu__nerv_get_u64(r);
  nerv_out row;
  bool exists;
  if (!iu__nerv_read(c, r) || !iu__nerv_check_id(c, "version", version) || !iu__nerv_check_id_or_empty(c, "name", name)) return false;
  if (!iu__nerv_check_id_or_empty(c, "checksum", checksum) || !iu__nerv_check_id(c, "status", status)) return false;
  if (!iu__nerv_check_text(c, "checkpoint", checkpoint, NERV_JSON_MAX) || !iu__nerv_check_text(c, "error", error, NERV_TEXT_MAX)) return false;
  if (!iu__nerv_owner_only(c, "record_migration") || !iu__nerv_has_text(c, NERV_MIGRATION_VERSION, version, &exists)) return false;
  row = iu__nerv_out_of(c);
  iu__nerv_put_text(&row, version);
  iu__nerv_put_text(&row, name);
  iu__nerv_put_text(&row, checksum);
  iu__nerv_put_text(&row, status);
  iu__nerv_put_u32(&row, step);
  iu__nerv_put_text(&row, checkpoint);
  iu__nerv_put_text(&row, error);
  iu__nerv_put_u64(&row, (uint64_t)c->now);
  iu__nerv_put_u64(&row, duration);
  iu__nerv_put(&row, c->sender, sizeof c->sender);
  return iu__nerv_put_row(c, NERV_SCHEMA_MIGRATION, &row, exists);
}
