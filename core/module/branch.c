/* branch.c: branches and tags (set_branch), and parts of snapshots (put_snapshot): the small rows around versions. */
#include "internal.h"

static bool refuse_head(nerv_call *c, nerv_slice name, nerv_slice head, nerv_slice expected) {
  if (head.n == 0) return iu__nerv_refuse(c, "CONFLICT", "expected_head: %q does not exist, expected it at %q", &name, &expected);
  if (expected.n == 0) return iu__nerv_refuse(c, "CONFLICT", "expected_head: %q is at %q, expected it not to exist", &name, &head);
  return iu__nerv_refuse(c, "CONFLICT", "expected_head: %q is at %q, expected %q", &name, &head, &expected);
}

bool iu__nerv_move_branch(nerv_call *c, nerv_slice name, const char *kind, nerv_slice head, bool expects, nerv_slice expected) {
  nerv_slice row, present = {(const uint8_t *)"", 0}, present_kind;
  bool exists;
  nerv_out out;
  if (!iu__nerv_find_text(c, NERV_BRANCH_NAME, name, &row, &exists)) return false;
  if (exists) {
    nerv_reader r = iu__nerv_reader(row);
    iu__nerv_get_text(&r);
    present_kind = iu__nerv_get_text(&r);
    present = iu__nerv_get_text(&r);
    if (!iu__nerv_is(present_kind, kind)) {
      return iu__nerv_refuse(c, "CONFLICT", "%s: %q is a %s already", kind, &name, iu__nerv_is(present_kind, "tag") ? "tag" : "branch");
    }
  }
  if (expects && !iu__nerv_same(present, expected)) return refuse_head(c, name, present, expected);
  if (head.n == 0) return iu__nerv_delete_text(c, NERV_BRANCH_NAME, name, NULL);
  out = iu__nerv_out_of(c);
  iu__nerv_put_text(&out, name);
  iu__nerv_put_cstr(&out, kind);
  iu__nerv_put_text(&out, head);
  iu__nerv_put_u64(&out, (uint64_t)c->now);
  return iu__nerv_put_row(c, NERV_STATE_BRANCH, &out, exists);
}

bool iu__nerv_set_branch(nerv_call *c, nerv_reader *r) {
  nerv_slice name = iu__nerv_get_text(r), kind = iu__nerv_get_text(r), head = iu__nerv_get_text(r), expected;
  bool expects;
  expected = iu__nerv_get_text_option(r, &expects);
  if (!iu__nerv_read(c, r) || !iu__nerv_check_id(c, "name", name)) return false;
  if (!iu__nerv_is(kind, "branch") && !iu__nerv_is(kind, "tag")) {
    return iu__nerv_refuse(c, "VALIDATION", "kind: %q, expected \"branch\" or \"tag\"", &kind);
  }
  if (!iu__nerv_check_id_or_empty(c, "head_version_id", head) || !iu__nerv_check_id_or_empty(c, "expected_head", expected)) return false;
  if (!iu__nerv_permit(c, "set_branch", name)) return false;
  if (head.n > 0 && !iu__nerv_version_exists(c, "head_version_id", head)) return false;
  return iu__nerv_move_branch(c, name, iu__nerv_is(kind, "tag") ? "tag" : "branch", head, expects, expected);
}

bool iu__nerv_store_part(nerv_call *c, nerv_slice version, uint32_t part, uint32_t parts, nerv_slice encoding, nerv_slice data) {
  nerv_out key, row;
  bool exists;
  if (!iu__nerv_check_id(c, "encoding", encoding)) return false;
  key = iu__nerv_out_of(c);
  iu__nerv_put_slice(&key, version);
  iu__nerv_put_u8(&key, ':');
  iu__nerv_put_decimal(&key, part);
  if (!iu__nerv_wrote(c, &key) || !iu__nerv_has_text(c, NERV_SNAPSHOT_KEY, iu__nerv_written(&key), &exists)) return false;
  row = iu__nerv_out_of(c);
  if (!iu__nerv_reserve(&row, key.n + version.n + encoding.n + (size_t)data.n + 32)) return iu__nerv_no_memory(c);
  iu__nerv_put_text(&row, iu__nerv_written(&key));
  iu__nerv_put_text(&row, version);
  iu__nerv_put_u32(&row, part);
  iu__nerv_put_u32(&row, parts);
  iu__nerv_put_text(&row, encoding);
  iu__nerv_put_text(&row, data);
  return iu__nerv_put_row(c, NERV_STATE_SNAPSHOT, &row, exists);
}

bool iu__nerv_put_snapshot(nerv_call *c, nerv_reader *r) {
  nerv_slice version = iu__nerv_get_text(r), encoding, data;
  uint32_t part = iu__nerv_get_u32(r), parts = iu__nerv_get_u32(r);
  encoding = iu__nerv_get_text(r);
  data = iu__nerv_get_text(r);
  if (!iu__nerv_read(c, r) || !iu__nerv_check_id(c, "version_id", version)) return false;
  if (parts == 0 || parts > NERV_SNAPSHOT_PARTS_MAX) {
    return iu__nerv_refuse(c, "VALIDATION", "parts: %u, expected 1 to %u", (uint64_t)parts, (uint64_t)NERV_SNAPSHOT_PARTS_MAX);
  }
  if (part >= parts) return iu__nerv_refuse(c, "VALIDATION", "part: %u, expected less than parts (%u)", (uint64_t)part, (uint64_t)parts);
  return iu__nerv_permit(c, "put_snapshot", version) && iu__nerv_store_part(c, version, part, parts, encoding, data);
}
