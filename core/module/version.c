/* version.c: commit_state_version and prune_versions.
 *
 * One commit writes, in one transaction, the version, the delta that leads to it, the parts of its snapshot, and moves its branch. A
 * snapshot too large for one call is staged before: put_snapshot takes parts of a version that does not exist yet, the commit then
 * makes the version visible.
 */
#include "internal.h"

bool iu__nerv_version_exists(nerv_call *c, const char *argument, nerv_slice id) {
  bool found;
  if (!iu__nerv_has_text(c, NERV_VERSION_ID, id, &found)) return false;
  return found || iu__nerv_refuse(c, "VERSION_NOT_FOUND", "%s: no state version %q", argument, &id);
}

typedef struct commit {
  nerv_slice parent, description, data_hash, branch, author, tags, metadata, merge_parent, tree_hash, expected_head, id;
  bool expects_head, has_delta, has_id;
  nerv_slice delta_base, delta_id;
  bool has_delta_id;
  nerv_delta_args delta;
  nerv_slice snapshot;      /* BSATN [SnapshotPart] */
  uint32_t parts;
} commit;

static bool read_snapshot(nerv_call *c, nerv_reader *r, commit *v) {
  const uint8_t *from = r->p;
  v->parts = iu__nerv_get_u32(r);
  for (uint32_t i = 0; i < v->parts && !r->bad; i++) iu__nerv_skip(r, "ss");
  v->snapshot = iu__nerv_since(r, from);
  if (!iu__nerv_read(c, r)) return false;
  return v->parts <= NERV_SNAPSHOT_PARTS_MAX ||
         iu__nerv_refuse(c, "VALIDATION", "snapshot: %u parts, expected at most %u", (uint64_t)v->parts, (uint64_t)NERV_SNAPSHOT_PARTS_MAX);
}

static bool read_version_delta(nerv_call *c, nerv_reader *r, commit *v) {
  v->has_delta = iu__nerv_get_option(r);
  if (!v->has_delta) return iu__nerv_read(c, r);
  v->delta_base = iu__nerv_get_text(r);
  if (!iu__nerv_read_delta(c, r, &v->delta)) return false;
  v->delta_id = iu__nerv_get_text_option(r, &v->has_delta_id);
  return iu__nerv_read(c, r) && iu__nerv_check_id_or_empty(c, "delta.base_version_id", v->delta_base);
}

static bool read_commit(nerv_call *c, nerv_reader *r, commit *v) {
  v->parent = iu__nerv_get_text(r);
  v->description = iu__nerv_get_text(r);
  v->data_hash = iu__nerv_get_text(r);
  v->branch = iu__nerv_get_text(r);
  v->author = iu__nerv_get_text(r);
  if (!iu__nerv_read_tags(c, "tags", r, &v->tags)) return false;
  v->metadata = iu__nerv_get_text(r);
  v->merge_parent = iu__nerv_get_text(r);
  v->tree_hash = iu__nerv_get_text(r);
  v->expected_head = iu__nerv_get_text_option(r, &v->expects_head);
  if (!read_version_delta(c, r, v) || !read_snapshot(c, r, v)) return false;
  v->id = iu__nerv_get_text_option(r, &v->has_id);
  if (v->branch.n == 0) v->branch = iu__nerv_text("main");
  return iu__nerv_read(c, r);
}

static bool check_commit(nerv_call *c, commit *v) {
  return iu__nerv_check_id_or_empty(c, "parent_version_id", v->parent) &&
         iu__nerv_check_text(c, "description", v->description, NERV_TEXT_MAX) &&
         iu__nerv_check_id_or_empty(c, "data_hash", v->data_hash) && iu__nerv_check_id(c, "branch", v->branch) &&
         iu__nerv_check_text(c, "author", v->author, NERV_TEXT_MAX) && iu__nerv_check_json_object(c, "metadata", &v->metadata) &&
         iu__nerv_check_id_or_empty(c, "merge_parent_id", v->merge_parent) &&
         iu__nerv_check_id_or_empty(c, "tree_hash", v->tree_hash) && iu__nerv_check_id_or_empty(c, "expected_head", v->expected_head) &&
         iu__nerv_id(c, "id", v->id, v->has_id, &v->id);
}

static bool check_references(nerv_call *c, commit *v) {
  if (v->parent.n > 0 && !iu__nerv_version_exists(c, "parent_version_id", v->parent)) return false;
  if (v->merge_parent.n > 0 && !iu__nerv_version_exists(c, "merge_parent_id", v->merge_parent)) return false;
  if (!v->has_delta) return true;
  if (v->delta_base.n == 0) v->delta_base = v->parent;
  return v->delta_base.n == 0 || iu__nerv_version_exists(c, "delta.base_version_id", v->delta_base);
}

static bool insert_version(nerv_call *c, const commit *v) {
  nerv_out row = iu__nerv_out_of(c);
  bool taken;
  iu__nerv_put_text(&row, v->id);
  iu__nerv_put_text(&row, v->parent);
  iu__nerv_put_text(&row, v->merge_parent);
  iu__nerv_put_text(&row, v->branch);
  iu__nerv_put_u64(&row, (uint64_t)c->now);
  iu__nerv_put_text(&row, v->description);
  iu__nerv_put_text(&row, v->author);
  iu__nerv_put_slice(&row, v->tags);
  iu__nerv_put_text(&row, v->metadata);
  iu__nerv_put_text(&row, v->data_hash);
  iu__nerv_put_text(&row, v->tree_hash);
  iu__nerv_put(&row, c->sender, sizeof c->sender);
  if (!iu__nerv_insert(c, NERV_STATE_VERSION, &row, &taken)) return false;
  return !taken || iu__nerv_refuse(c, "CONFLICT", "id: state version %q exists already", &v->id);
}

static bool insert_contents(nerv_call *c, commit *v) {
  nerv_reader parts = iu__nerv_reader(v->snapshot);
  if (v->has_delta && (!iu__nerv_id(c, "delta.id", v->delta_id, v->has_delta_id, &v->delta_id) ||
                       !iu__nerv_insert_delta(c, v->delta_id, v->id, v->delta_base, "chain", &v->delta))) return false;
  iu__nerv_get_u32(&parts);
  for (uint32_t i = 0; i < v->parts; i++) {
    nerv_slice encoding = iu__nerv_get_text(&parts), data = iu__nerv_get_text(&parts);
    nerv_mark mark = iu__nerv_mem_mark(&c->self->mem);
    if (!iu__nerv_store_part(c, v->id, i, v->parts, encoding, data)) return false;
    iu__nerv_mem_release(&c->self->mem, mark);
  }
  return true;
}

static bool log_commit(nerv_call *c, const commit *v) {
  nerv_out data;
  bool on;
  if (!iu__nerv_audit_begin(c, &data, &on)) return false;
  if (!on) return true;
  iu__nerv_json_member(&data, "version_id", v->id);
  iu__nerv_json_member_or_null(&data, "parent_version_id", v->parent, v->parent.n > 0);
  iu__nerv_json_member(&data, "branch", v->branch);
  iu__nerv_json_member(&data, "description", v->description);
  iu__nerv_json_member(&data, "data_hash", v->data_hash);
  return iu__nerv_audit_end(c, "STATE_VERSION_COMMITTED", v->id, &data);
}

bool iu__nerv_commit_state_version(nerv_call *c, nerv_reader *r) {
  commit v = {.parts = 0};
  if (!read_commit(c, r, &v) || !check_commit(c, &v) || !iu__nerv_permit(c, "commit_state_version", v.branch)) return false;
  if (!check_references(c, &v) || !insert_version(c, &v) || !insert_contents(c, &v)) return false;
  return iu__nerv_move_branch(c, v.branch, "branch", v.id, v.expects_head, v.expected_head) && log_commit(c, &v);
}

/* ---- pruning ---- */

/* Refuses a version that a branch or tag points to, with the first of their names. Branches are few. */
static bool check_not_head(nerv_call *c, nerv_slice versions) {
  nerv_items heads = {NULL, 0, 0};
  nerv_scan s;
  nerv_slice row;
  nerv_reader branch;
  nerv_slice kind;
  if (!iu__nerv_scan(c, NERV_BRANCH_NAME, NULL, NULL, &s)) return false;
  while (!c->refused && iu__nerv_next(c, &s, &row)) {
    nerv_reader list = iu__nerv_reader(versions);
    nerv_slice name, head;
    branch = iu__nerv_reader(row);
    name = iu__nerv_get_text(&branch);
    iu__nerv_get_text(&branch);
    head = iu__nerv_get_text(&branch);
    for (uint32_t left = iu__nerv_get_u32(&list); left > 0; left--) {
      if (!iu__nerv_same(iu__nerv_get_text(&list), head)) continue;
      if (iu__nerv_copy(c, name, &name) && iu__nerv_copy(c, row, &row)) iu__nerv_items_add(c, &heads, (nerv_item){0, name, row});
      break;
    }
  }
  iu__nerv_scan_end(c, &s);
  if (c->refused || heads.n == 0) return !c->refused;
  iu__nerv_items_sort(&heads);
  branch = iu__nerv_reader(heads.p[0].row);
  iu__nerv_get_text(&branch);
  kind = iu__nerv_get_text(&branch);
  row = iu__nerv_get_text(&branch);
  return iu__nerv_refuse(c, "CONFLICT", "version_ids: %q is the head of %s %q", &row, iu__nerv_is(kind, "tag") ? "tag" : "branch",
                         &heads.p[0].key);
}

static bool read_ids(nerv_call *c, const char *argument, nerv_reader *r, nerv_slice *raw) {
  const uint8_t *from = r->p;
  for (uint32_t left = iu__nerv_get_u32(r); left > 0 && !r->bad; left--) {
    nerv_slice id = iu__nerv_get_text(r);
    if (!r->bad && !iu__nerv_check_id(c, argument, id)) return false;
  }
  *raw = iu__nerv_since(r, from);
  return iu__nerv_read(c, r);
}

/* Deletes by each of the ids in one index; ids that are not there are fine. */
static bool delete_each(nerv_call *c, nerv_index index, nerv_slice ids) {
  nerv_reader r = iu__nerv_reader(ids);
  for (uint32_t left = iu__nerv_get_u32(&r); left > 0; left--) {
    nerv_mark mark = iu__nerv_mem_mark(&c->self->mem);
    if (!iu__nerv_delete_text(c, index, iu__nerv_get_text(&r), NULL)) return false;
    iu__nerv_mem_release(&c->self->mem, mark);
  }
  return true;
}

bool iu__nerv_prune_versions(nerv_call *c, nerv_reader *r) {
  nerv_slice versions, deltas, snapshots;
  if (!read_ids(c, "version_ids", r, &versions) || !read_ids(c, "delta_ids", r, &deltas)) return false;
  if (!read_ids(c, "snapshot_version_ids", r, &snapshots) || !iu__nerv_owner_only(c, "prune_versions")) return false;
  return check_not_head(c, versions) && delete_each(c, NERV_VERSION_ID, versions) && delete_each(c, NERV_DELTA_VERSION, versions) &&
         delete_each(c, NERV_SNAPSHOT_VERSION, versions) && delete_each(c, NERV_DELTA_ID, deltas) &&
         delete_each(c, NERV_SNAPSHOT_VERSION, snapshots);
}
