/* Who may: rules, roles, patterns of subjects, and what is the owner's alone. */
#include <ctype.h>

#include "module_fixture.h"

#define CREATE(type) "[\"" type "\"," PLAIN "," NONE "]"

static void rule(universe *u, const char *reducer, const char *principal, const char *action, const char *subject) {
  char json[300];
  must(u, reducer, FORMAT(json, "[\"%s\",\"%s\",\"%s\"]", principal, action, subject));
}

static void may(universe *u, iu_connection *c, bool yes, const char *reducer, const char *json) {
  iu_status status = call_as(u, c, reducer, json);
  if (status != (yes ? IU_OK : IU_E_AUTHORIZATION)) fail_msg("%s%s: %d %s", reducer, json, status, u->err.message);
}

static void everybody_may_until_there_is_a_rule(void **state) {
  universe *u = *state;
  iu_connection *ada = session(u), *bob = session(u);
  char hex[65], message[200];
  identity_hex(ada->identity, hex);
  may(u, bob, true, "create_entity", CREATE("Person"));
  rule(u, "grant", hex, "create_entity", "Person");
  may(u, ada, true, "create_entity", CREATE("Person"));
  may(u, ada, false, "create_entity", CREATE("Robot"));
  may(u, u->owner, true, "create_entity", CREATE("Robot"));
  identity_hex(bob->identity, hex);
  refused_as(u, bob, IU_E_AUTHORIZATION, FORMAT(message, "create_entity on \"Person\" is not permitted to %s", hex), "create_entity", CREATE("Person"));
  may(u, bob, true, "publish_event", "[\"E\",\"\",\"\"," NONE "]"); /* another action */
  identity_hex(ada->identity, hex);
  rule(u, "revoke", hex, "create_entity", "Person");
  may(u, bob, true, "create_entity", CREATE("Person")); /* the last rule is gone */
  session_end(ada);
  session_end(bob);
}

static void rules_are_counted_not_guessed(void **state) {
  universe *u = *state;
  iu_connection *bob = session(u);
  char ada[65];
  memset(ada, 'a', 64);
  ada[64] = '\0';
  for (int i = 0; i < 2; i++) rule(u, "grant", ada, "create_entity", "A"); /* twice is once */
  rule(u, "grant", "role:x", "create_entity", "B");
  rule(u, "revoke", ada, "create_entity", "never granted");
  rule(u, "revoke", ada, "create_entity", "A");
  may(u, bob, false, "create_entity", CREATE("A"));
  rule(u, "revoke", "role:x", "create_entity", "B");
  may(u, bob, true, "create_entity", CREATE("A"));
  session_end(bob);
}

static void subjects_may_be_patterns(void **state) {
  universe *u = *state;
  iu_connection *ada = session(u);
  char hex[65];
  identity_hex(ada->identity, hex);
  rule(u, "grant", hex, "put_record", "lease:*");
  may(u, ada, true, "put_record", "[\"lease:save\",\"1\"," NONE "," NONE "]");
  may(u, ada, false, "put_record", "[\"lock:save\",\"1\"," NONE "," NONE "]");
  rule(u, "grant", hex, "put_record", ""); /* the same as * */
  may(u, ada, true, "put_record", "[\"lock:save\",\"1\"," NONE "," NONE "]");
  session_end(ada);
}

static void roles_carry_rules(void **state) {
  universe *u = *state;
  iu_connection *ada = session(u), *bob = session(u);
  char hex[65];
  identity_hex(ada->identity, hex);
  rule(u, "grant", "role:editor", "update_entity", "*");
  rule(u, "grant", hex, "role", "reader");
  rule(u, "grant", hex, "role", "editor");
  must(u, "create_entity", "[\"T\"," PLAIN "," SOME("\"e\"") "]");
  may(u, ada, true, "update_entity", "[\"e\"," PLAIN "]");
  may(u, bob, false, "update_entity", "[\"e\"," PLAIN "]");
  rule(u, "revoke", hex, "role", "editor");
  may(u, ada, false, "update_entity", "[\"e\"," PLAIN "]");
  session_end(ada);
  session_end(bob);
}

static void a_cascade_needs_the_right_to_delete_relations(void **state) {
  universe *u = *state;
  iu_connection *bob = session(u);
  must(u, "create_entity", "[\"T\"," PLAIN "," SOME("\"e\"") "]");
  must(u, "create_relation", "[\"e\",\"e\",\"R\"," LINK "," NONE "]");
  rule(u, "grant", "role:x", "delete_relation", "R");
  may(u, bob, false, "delete_entity", "[\"e\",true]");
  assert_int_equal(count(u, "SELECT * FROM entity"), 1);
  session_end(bob);
}

static void rules_hold_inside_transact(void **state) {
  universe *u = *state;
  iu_connection *bob = session(u);
  char message[250], hex[65];
  rule(u, "grant", "role:x", "create_entity", "T");
  identity_hex(bob->identity, hex);
  refused_as(u, bob, IU_E_AUTHORIZATION, FORMAT(message, "operations[0] create_entity: create_entity on \"T\" is not permitted to %s", hex),
             "transact", "[[{\"CreateEntity\":" CREATE("T") "}]," NONE "]");
  session_end(bob);
}

static void some_reducers_are_the_owners(void **state) {
  universe *u = *state;
  iu_connection *bob = session(u);
  const char *const calls[][2] = {
    {"update_config", "[\"k\",\"v\",\"\"]"}, {"grant", "[\"role:x\",\"a\",\"*\"]"}, {"revoke", "[\"role:x\",\"a\",\"*\"]"},
    {"prune_events", "[" NONE "," NONE "," NONE "," NONE ",[],0]"}, {"prune_history", "[" NONE "," NONE "," NONE ",0]"},
    {"prune_versions", "[[],[],[]]"}, {"record_migration", "[\"1\",\"n\",\"c\",\"applied\",0,\"\",\"\",5]"},
    {"import_rows", "[\"entity\",[]]"}, {"remove_rows", "[\"entity\",[]]"}};
  char message[200], question[300], hex[65];
  identity_hex(bob->identity, hex);
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    const char *const asked = FORMAT(question, "[" NONE ",\"%s\",\"\"]", calls[i][0]);
    refused_as(u, bob, IU_E_AUTHORIZATION, FORMAT(message, "%s is the owner's, not permitted to %s", calls[i][0], hex), calls[i][0], calls[i][1]);
    refused_as(u, bob, IU_E_AUTHORIZATION, message, "check_permission", asked);
    may(u, u->owner, true, calls[i][0], calls[i][1]);
    may(u, u->owner, true, "check_permission", asked);
  }
  session_end(bob);
}

static void principals_are_checked_and_made_one(void **state) {
  universe *u = *state;
  char upper[67] = "0x";
  memset(upper + 2, 'A', 64);
  upper[66] = '\0';
  rule(u, "grant", upper, "create_entity", "T");
  rule(u, "revoke", upper + 2, "create_entity", "T");
  may(u, u->owner, true, "create_entity", CREATE("T"));
  refused(u, IU_E_VALIDATION, "principal: \"ada\", expected an identity of 64 hex digits or role:name", "grant", "[\"ada\",\"a\",\"*\"]");
  refused(u, IU_E_VALIDATION, "principal: \"role:a:b\", expected an identity of 64 hex digits or role:name", "grant", "[\"role:a:b\",\"a\",\"*\"]");
  refused(u, IU_E_VALIDATION, "action: \"a b\", expected 1 to 64 letters, digits, `_`, `-` or `.`", "grant", "[\"role:x\",\"a b\",\"*\"]");
  refused(u, IU_E_VALIDATION, "principal: \"role:x\", expected an identity: roles have no roles", "grant", "[\"role:x\",\"role\",\"y\"]");
  refused(u, IU_E_VALIDATION, "subject: \"*\", expected the name of a role", "grant", "[\"role:x\",\"role\",\"*\"]");
}

static void words_have_a_limit(void **state) {
  universe *u = *state;
  char json[300], word[66];
  memset(word, 'w', 65);
  word[65] = '\0';
  assert_int_equal(call_as(u, u->owner, "grant", FORMAT(json, "[\"role:x\",\"%s\",\"*\"]", word)), IU_E_VALIDATION);
  assert_int_equal(call_as(u, u->owner, "grant", FORMAT(json, "[\"role:%s\",\"a\",\"*\"]", word)), IU_E_VALIDATION);
  word[64] = '\0';
  must(u, "grant", FORMAT(json, "[\"role:%s\",\"%s\",\"*\"]", word, word));
}

static void who_asks_hears_what_a_write_would(void **state) {
  universe *u = *state;
  iu_connection *ada = session(u), *bob = session(u);
  char a[65], b[65], json[300], message[300];
  identity_hex(ada->identity, a);
  identity_hex(bob->identity, b);
  may(u, bob, true, "check_permission", "[" NONE ",\"create_entity\",\"Person\"]"); /* no rule yet */
  rule(u, "grant", a, "create_entity", "Per*");
  rule(u, "grant", "role:x", "create_entity", "Robot");
  rule(u, "grant", b, "role", "x");
  may(u, ada, true, "check_permission", "[" NONE ",\"create_entity\",\"Person\"]");
  may(u, ada, false, "check_permission", "[" NONE ",\"create_entity\",\"Robot\"]");
  may(u, ada, false, "check_permission", "[" NONE ",\"create_entity\",\"\"]"); /* anything */
  may(u, bob, true, "check_permission", "[" NONE ",\"create_entity\",\"Robot\"]");
  refused_as(u, bob, IU_E_AUTHORIZATION, FORMAT(message, "create_entity on \"Person\" is not permitted to %s", b), "check_permission",
             "[" NONE ",\"create_entity\",\"Person\"]");
  refused_as(u, bob, IU_E_AUTHORIZATION, message, "create_entity", CREATE("Person"));
  /* The owner about all, in whatever way they are written; others about themselves. */
  may(u, u->owner, true, "check_permission", FORMAT(json, "[{\"some\":\"%s\"},\"create_entity\",\"Person\"]", a));
  refused_as(u, u->owner, IU_E_AUTHORIZATION, message, "check_permission", FORMAT(json, "[{\"some\":\"%s\"},\"create_entity\",\"Person\"]", b));
  for (char *p = b; *p != '\0'; p++) *p = (char)toupper((unsigned char)*p);
  may(u, bob, true, "check_permission", FORMAT(json, "[{\"some\":\"0x%s\"},\"create_entity\",\"Robot\"]", b));
  identity_hex(bob->identity, b);
  refused_as(u, bob, IU_E_AUTHORIZATION, FORMAT(message, "what others may is the owner's to ask, not permitted to %s", b), "check_permission",
             FORMAT(json, "[{\"some\":\"%s\"},\"create_entity\",\"Person\"]", a));
  session_end(ada);
  session_end(bob);
}

/* No rule is asked about these, so none denies them. */
static void what_is_never_denied_is_not_said_to_be(void **state) {
  universe *u = *state;
  iu_connection *bob = session(u);
  const char *const calls[][2] = {
    {"transact", "[[]," NONE "]"}, {"set_client_info", "[\"here\"]"}, {"check_permission", "[" NONE ",\"create_entity\",\"\"]"}};
  char question[200];
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    rule(u, "grant", "role:x", calls[i][0], "*");
    may(u, bob, true, calls[i][0], calls[i][1]);
    may(u, bob, true, "check_permission", FORMAT(question, "[" NONE ",\"%s\",\"\"]", calls[i][0]));
  }
  session_end(bob);
}

static void a_question_is_checked(void **state) {
  universe *u = *state;
  refused(u, IU_E_VALIDATION, "identity: \"role:x\", expected 64 hex digits", "check_permission", "[" SOME("\"role:x\"") ",\"a\",\"\"]");
  refused(u, IU_E_VALIDATION, "action: \"a b\", expected 1 to 64 letters, digits, `_`, `-` or `.`", "check_permission", "[" NONE ",\"a b\",\"\"]");
  assert_int_equal(call_as(u, u->owner, "check_permission", "[" NONE ",\"a\",\"\\n\"]"), IU_E_VALIDATION);
}

static void permissions_are_private(void **state) {
  universe *u = *state;
  refused(u, IU_E_VALIDATION, "operations[0] expect: table: \"permission\", expected a public table with a text as its key", "transact",
          "[[{\"Expect\":[\"permission\",\"x\"," NONE "]}]," NONE "]");
}

int main(void) {
  const struct CMUnitTest tests[] = {
    MODULE_TEST(everybody_may_until_there_is_a_rule), MODULE_TEST(rules_are_counted_not_guessed), MODULE_TEST(subjects_may_be_patterns),
    MODULE_TEST(roles_carry_rules), MODULE_TEST(a_cascade_needs_the_right_to_delete_relations), MODULE_TEST(rules_hold_inside_transact),
    MODULE_TEST(some_reducers_are_the_owners), MODULE_TEST(principals_are_checked_and_made_one), MODULE_TEST(words_have_a_limit),
    MODULE_TEST(who_asks_hears_what_a_write_would), MODULE_TEST(what_is_never_denied_is_not_said_to_be), MODULE_TEST(a_question_is_checked),
    MODULE_TEST(permissions_are_private),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
