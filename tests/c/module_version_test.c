/* State versions: commits with delta, snapshot and branch in one call; deltas, branches, snapshots, pruning. */
#include "module_fixture.h"

/* parent, description, id: everything else empty */
#define COMMIT(parent, description, id) \
  "[\"" parent "\",\"" description "\",\"hash\",\"\",\"\",[],\"\",\"\",\"\"," NONE "," NONE ",[]," SOME("\"" id "\"") "]"
#define COMMIT_AT(parent, expected, id) \
  "[\"" parent "\",\"\",\"\",\"\",\"\",[],\"\",\"\",\"\"," expected "," NONE ",[]," SOME("\"" id "\"") "]"

static void a_version_moves_its_branch(void **state) {
  universe *u = *state;
  must(u, "commit_state_version", COMMIT("", "Initial state", "v1"));
  must(u, "commit_state_version", COMMIT("v1", "Second", "v2"));
  assert_string_equal(cell(u, "SELECT * FROM state_branch", "name"), "\"main\"");
  assert_string_equal(cell(u, "SELECT * FROM state_branch", "head_version_id"), "\"v2\"");
  assert_string_equal(cell(u, "SELECT * FROM state_branch", "kind"), "\"branch\"");
  assert_string_equal(cell(u, "SELECT * FROM state_version WHERE version_id = 'v2'", "parent_version_id"), "\"v1\"");
  assert_string_equal(cell(u, "SELECT * FROM state_version WHERE version_id = 'v2'", "metadata"), "\"{}\"");
  assert_string_equal(last_event(u, "STATE_VERSION_COMMITTED"),
                      "{\"version_id\":\"v2\",\"parent_version_id\":\"v1\",\"branch\":\"main\",\"description\":\"Second\",\"data_hash\":\"hash\"}");
}

static void one_call_writes_version_delta_and_snapshot(void **state) {
  universe *u = *state;
  must(u, "commit_state_version", COMMIT("", "", "v1"));
  must(u, "commit_state_version",
       "[\"v1\",\"d\",\"h\",\"dev\",\"ada\",[\"t\"],\"{\\\"k\\\":1}\",\"v1\",\"tree\"," SOME("\"\"") ","
       "{\"some\":{\"base_version_id\":\"\",\"operations\":[{\"Set\":{\"path\":\"a.b\",\"value\":\"1\"}},"
       "{\"Insert\":{\"path\":\"l\",\"index\":{\"some\":0},\"value\":\"null\"}},{\"Remove\":{\"path\":\"l\",\"index\":3}},"
       "{\"Delete\":{\"path\":\"x\"}},{\"Patch\":{\"path\":\"\",\"patch\":\"{}\"}}],\"metadata\":" NOTE ",\"id\":" SOME("\"d1\"") "}},"
       "[{\"encoding\":\"json\",\"data\":\"6162\"},{\"encoding\":\"json\",\"data\":\"63\"}]," SOME("\"v2\"") "]");
  assert_string_equal(cell(u, "SELECT * FROM delta_record", "kind"), "\"chain\"");
  assert_string_equal(cell(u, "SELECT * FROM delta_record", "base_version_id"), "\"v1\"");
  assert_non_null(strstr(cell(u, "SELECT * FROM delta_record", "operations"), "\"Insert\":{\"path\":\"l\",\"index\":0,\"value\":null}"));
  assert_int_equal(count(u, "SELECT * FROM state_snapshot WHERE version_id = 'v2'"), 2);
  assert_string_equal(cell(u, "SELECT * FROM state_snapshot WHERE key = 'v2:1'", "data"), "\"63\"");
  assert_int_equal(number(u, "SELECT * FROM state_snapshot WHERE key = 'v2:1'", "parts"), 2);
  assert_string_equal(cell(u, "SELECT * FROM state_version WHERE version_id = 'v2'", "merge_parent_id"), "\"v1\"");
  assert_string_equal(cell(u, "SELECT * FROM state_version WHERE version_id = 'v2'", "tags"), "[\"t\"]");
  assert_string_equal(cell(u, "SELECT * FROM state_branch WHERE name = 'dev'", "head_version_id"), "\"v2\"");
}

static void a_version_needs_its_parents(void **state) {
  universe *u = *state;
  refused(u, IU_E_VERSION_NOT_FOUND, "parent_version_id: no state version \"x\"", "commit_state_version", COMMIT("x", "", "v"));
  refused(u, IU_E_VERSION_NOT_FOUND, "merge_parent_id: no state version \"x\"", "commit_state_version",
          "[\"\",\"\",\"\",\"\",\"\",[],\"\",\"x\",\"\"," NONE "," NONE ",[]," NONE "]");
  refused(u, IU_E_VERSION_NOT_FOUND, "delta.base_version_id: no state version \"x\"", "commit_state_version",
          "[\"\",\"\",\"\",\"\",\"\",[],\"\",\"\",\"\"," NONE ",{\"some\":{\"base_version_id\":\"x\",\"operations\":[],\"metadata\":" NOTE
          ",\"id\":" NONE "}},[]," NONE "]");
  must(u, "commit_state_version", COMMIT("", "", "v"));
  refused(u, IU_E_CONFLICT, "id: state version \"v\" exists already", "commit_state_version", COMMIT("", "", "v"));
  assert_int_equal(count(u, "SELECT * FROM state_version"), 1);
}

static void an_expected_head_is_compared(void **state) {
  universe *u = *state;
  must(u, "commit_state_version", COMMIT_AT("", SOME("\"\""), "v1"));
  must(u, "commit_state_version", COMMIT_AT("v1", SOME("\"v1\""), "v2"));
  refused(u, IU_E_CONFLICT, "expected_head: \"main\" is at \"v2\", expected \"v1\"", "commit_state_version", COMMIT_AT("v1", SOME("\"v1\""), "v3"));
  refused(u, IU_E_CONFLICT, "expected_head: \"main\" is at \"v2\", expected it not to exist", "commit_state_version",
          COMMIT_AT("v1", SOME("\"\""), "v3"));
  must(u, "commit_state_version", COMMIT_AT("v1", NONE, "v3"));
  assert_string_equal(cell(u, "SELECT * FROM state_branch", "head_version_id"), "\"v3\"");
}

static void branches_and_tags_are_set_and_removed(void **state) {
  universe *u = *state;
  must(u, "commit_state_version", COMMIT("", "", "v1"));
  must(u, "set_branch", "[\"release\",\"tag\",\"v1\"," SOME("\"\"") "]");
  must(u, "set_branch", "[\"dev\",\"branch\",\"v1\"," NONE "]");
  assert_string_equal(cell(u, "SELECT * FROM state_branch WHERE name = 'release'", "kind"), "\"tag\"");
  refused(u, IU_E_CONFLICT, "expected_head: \"release\" is at \"v1\", expected \"v2\"", "set_branch", "[\"release\",\"tag\",\"v1\"," SOME("\"v2\"") "]");
  refused(u, IU_E_CONFLICT, "expected_head: \"new\" does not exist, expected it at \"v2\"", "set_branch", "[\"new\",\"tag\",\"v1\"," SOME("\"v2\"") "]");
  refused(u, IU_E_CONFLICT, "branch: \"release\" is a tag already", "set_branch", "[\"release\",\"branch\",\"v1\"," NONE "]");
  refused(u, IU_E_VALIDATION, "kind: \"twig\", expected \"branch\" or \"tag\"", "set_branch", "[\"x\",\"twig\",\"v1\"," NONE "]");
  refused(u, IU_E_VERSION_NOT_FOUND, "head_version_id: no state version \"x\"", "set_branch", "[\"x\",\"tag\",\"x\"," NONE "]");
  refused(u, IU_E_CONFLICT, "branch: \"release\" is a tag already", "commit_state_version",
          "[\"\",\"\",\"\",\"release\",\"\",[],\"\",\"\",\"\"," NONE "," NONE ",[]," NONE "]");
  must(u, "set_branch", "[\"release\",\"tag\",\"\"," SOME("\"v1\"") "]");
  must(u, "set_branch", "[\"release\",\"tag\",\"\"," NONE "]"); /* removing what is gone is fine */
  assert_int_equal(count(u, "SELECT * FROM state_branch"), 2);
}

static void a_recorded_delta_is_a_note(void **state) {
  universe *u = *state;
  must(u, "commit_state_version", COMMIT("", "", "v1"));
  must(u, "record_delta", "[\"v1\",[{\"Set\":[\"a\",\"1.5\"]},{\"Delete\":[\"b\"]}]," NOTE "," SOME("\"d\"") "]");
  assert_string_equal(cell(u, "SELECT * FROM delta_record", "kind"), "\"recorded\"");
  assert_string_equal(last_event(u, "DELTA_RECORDED"), "{\"delta_id\":\"d\",\"state_version_id\":\"v1\",\"operations_count\":2}");
  refused(u, IU_E_VERSION_NOT_FOUND, "version_id: no state version \"x\"", "record_delta", "[\"x\",[]," NOTE "," NONE "]");
  refused(u, IU_E_VALIDATION, "operations.value: \"\" is not valid JSON at byte 0: a value was expected", "record_delta",
          "[\"v1\",[{\"Set\":[\"a\",\"\"]}]," NOTE "," NONE "]");
  refused(u, IU_E_CONFLICT, "id: delta \"d\" exists already", "record_delta", "[\"v1\",[]," NOTE "," SOME("\"d\"") "]");
}

static void parts_of_a_snapshot_can_be_staged_before_their_version(void **state) {
  universe *u = *state;
  must(u, "put_snapshot", "[\"v1\",0,2,\"json\",\"61\"]");
  must(u, "put_snapshot", "[\"v1\",1,2,\"json\",\"62\"]");
  must(u, "put_snapshot", "[\"v1\",1,2,\"json\",\"63\"]"); /* replaced */
  must(u, "commit_state_version", COMMIT("", "", "v1"));
  assert_string_equal(cell(u, "SELECT * FROM state_snapshot WHERE part = 1", "data"), "\"63\"");
  refused(u, IU_E_VALIDATION, "part: 2, expected less than parts (2)", "put_snapshot", "[\"v1\",2,2,\"json\",\"61\"]");
  refused(u, IU_E_VALIDATION, "parts: 0, expected 1 to 65536", "put_snapshot", "[\"v1\",0,0,\"json\",\"61\"]");
  refused(u, IU_E_VALIDATION, "parts: 65537, expected 1 to 65536", "put_snapshot", "[\"v1\",0,65537,\"json\",\"61\"]");
}

static void pruning_takes_versions_with_what_belongs_to_them(void **state) {
  universe *u = *state;
  must(u, "commit_state_version", COMMIT("", "", "v1"));
  must(u, "commit_state_version", COMMIT("v1", "", "v2"));
  must(u, "record_delta", "[\"v1\",[]," NOTE "," SOME("\"d1\"") "]");
  must(u, "record_delta", "[\"v2\",[]," NOTE "," SOME("\"d2\"") "]");
  must(u, "record_delta", "[\"v2\",[]," NOTE "," SOME("\"d3\"") "]");
  must(u, "put_snapshot", "[\"v1\",0,1,\"json\",\"61\"]");
  must(u, "put_snapshot", "[\"v2\",0,1,\"json\",\"61\"]");
  refused(u, IU_E_CONFLICT, "version_ids: \"v2\" is the head of branch \"main\"", "prune_versions", "[[\"v1\",\"v2\"],[],[]]");
  must(u, "prune_versions", "[[\"v1\",\"unknown\"],[\"d2\"],[]]");
  assert_string_equal(cell(u, "SELECT * FROM state_version", "version_id"), "\"v2\"");
  assert_string_equal(cell(u, "SELECT * FROM delta_record", "delta_id"), "\"d3\"");
  assert_string_equal(cell(u, "SELECT * FROM state_snapshot", "version_id"), "\"v2\"");
  must(u, "prune_versions", "[[],[],[\"v2\"]]");
  assert_int_equal(count(u, "SELECT * FROM state_snapshot"), 0);
}

/* Twenty megabytes in four parts, in one commit. */
static void a_large_snapshot_fits(void **state) {
  universe *u = *state;
  size_t part = 5u << 20;
  uint8_t *data = malloc(part);
  iu_buf args = {0};
  memset(data, 0xAB, part);
  for (int i = 0; i < 5; i++) iu__buf_put_bytes(&args, "", 0);
  iu__buf_put_u32(&args, 0);
  for (int i = 0; i < 3; i++) iu__buf_put_bytes(&args, "", 0);
  iu__buf_put_u8(&args, 1);
  iu__buf_put_u8(&args, 1);
  iu__buf_put_u32(&args, 4);
  for (int i = 0; i < 4; i++) {
    iu__buf_put_bytes(&args, "raw", 3);
    iu__buf_put_bytes(&args, data, part);
  }
  iu__buf_put_u8(&args, 0);
  iu__buf_put_bytes(&args, "v", 1);
  if (call_bytes(u, u->owner, "commit_state_version", args.data, args.len) != IU_OK) fail_msg("%s", u->err.message);
  assert_int_equal(count(u, "SELECT * FROM state_snapshot"), 4);
  iu__buf_free(&args);
  free(data);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    MODULE_TEST(a_version_moves_its_branch), MODULE_TEST(one_call_writes_version_delta_and_snapshot), MODULE_TEST(a_version_needs_its_parents),
    MODULE_TEST(an_expected_head_is_compared), MODULE_TEST(branches_and_tags_are_set_and_removed), MODULE_TEST(a_recorded_delta_is_a_note),
    MODULE_TEST(parts_of_a_snapshot_can_be_staged_before_their_version), MODULE_TEST(pruning_takes_versions_with_what_belongs_to_them),
    MODULE_TEST(a_large_snapshot_fits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
