/* permission.c: who may: grant, revoke, the check that every write makes, and check_permission, which makes it without a write.
 *
 * A rule is a row (principal, action, subject): the principal is an identity in hex or `role:name`, the action the name of a reducer (or
 * a plugin's own word), the subject what it is about: a type, a key, a name; `*` is any, `lease:*` any that starts so. An identity has
 * a role through a rule with action `role` and the role's name as subject. While an action has no rule everybody may; once it has one, only
 * its holders and the owner.
 *
 * Whether an action has rules is one point read: the row `action:<name>` (principal "") holds their number as its subject. Cost of a
 * check: nothing but a row count while there are no rules at all; else two point reads, and for those who are restricted a
 * scan of their own rules and of their roles'.
 */
#include "internal.h"

#define ACTION_MAX 64u
#define ROLE_MAX 64u

static const char role_prefix[] = "role:";
#define ROLE_PREFIX_LEN (sizeof role_prefix - 1)

static bool rule_key(nerv_call *c, nerv_slice principal, nerv_slice action, nerv_slice subject, nerv_slice *key) {
  nerv_out o = iu__nerv_out_of(c);
  iu__nerv_put_slice(&o, principal);
  iu__nerv_put_u8(&o, ':');
  iu__nerv_put_slice(&o, action);
  iu__nerv_put_u8(&o, ':');
  iu__nerv_put_slice(&o, subject);
  *key = iu__nerv_written(&o);
  return iu__nerv_wrote(c, &o);
}

static bool put_rule(nerv_call *c, nerv_slice key, nerv_slice principal, nerv_slice action, nerv_slice subject, bool exists) {
  nerv_out row = iu__nerv_out_of(c);
  iu__nerv_put_text(&row, key);
  iu__nerv_put_text(&row, principal);
  iu__nerv_put_text(&row, action);
  iu__nerv_put_text(&row, subject);
  c->permissions_known = false;
  return iu__nerv_put_row(c, NERV_PERMISSION, &row, exists);
}

/* ---- the number of rules an action has ---- */

static bool marker_key(nerv_call *c, nerv_slice action, nerv_slice *key) {
  nerv_out o = iu__nerv_out_of(c);
  iu__nerv_put_raw(&o, "action:");
  iu__nerv_put_slice(&o, action);
  *key = iu__nerv_written(&o);
  return iu__nerv_wrote(c, &o);
}

static uint64_t marked_count(nerv_slice row) {
  nerv_reader r = iu__nerv_reader(row);
  nerv_slice digits;
  uint64_t n = 0;
  for (int i = 0; i < 3; i++) iu__nerv_get_text(&r);
  digits = iu__nerv_get_text(&r);
  for (uint32_t i = 0; i < digits.n; i++) n = n * 10 + (uint64_t)(digits.p[i] - '0');
  return n;
}

static bool add_to_marker(nerv_call *c, nerv_slice action, bool one_more) {
  nerv_slice key, row;
  nerv_out count;
  bool exists;
  uint64_t n;
  if (!marker_key(c, action, &key) || !iu__nerv_find_text(c, NERV_PERMISSION_KEY, key, &row, &exists)) return false;
  n = exists ? marked_count(row) : 0;
  if (!one_more && n <= 1) return iu__nerv_delete_text(c, NERV_PERMISSION_KEY, key, NULL);
  count = iu__nerv_out_of(c);
  iu__nerv_put_decimal(&count, one_more ? n + 1 : n - 1);
  if (!iu__nerv_wrote(c, &count)) return false;
  return put_rule(c, key, iu__nerv_text(""), action, iu__nerv_written(&count), exists);
}

/* ---- the check ---- */

static bool covers(nerv_slice pattern, nerv_slice subject) {
  if (pattern.n > 0 && pattern.p[pattern.n - 1] == '*') {
    return subject.n >= pattern.n - 1 && memcmp(pattern.p, subject.p, pattern.n - 1) == 0;
  }
  return iu__nerv_same(pattern, subject);
}

/* Whether a rule of `principal` covers it; the names of its roles are appended to `roles` when wanted. */
static bool holds(nerv_call *c, nerv_slice principal, nerv_slice action, nerv_slice subject, nerv_out *roles, bool *yes) {
  nerv_scan s;
  nerv_slice row;
  if (!iu__nerv_scan_text(c, NERV_PERMISSION_PRINCIPAL, principal, &s)) return false;
  while (!*yes && iu__nerv_next(c, &s, &row)) {
    nerv_reader r = iu__nerv_reader(row);
    nerv_slice its_action, its_subject;
    iu__nerv_get_text(&r);
    iu__nerv_get_text(&r);
    its_action = iu__nerv_get_text(&r);
    its_subject = iu__nerv_get_text(&r);
    if (iu__nerv_same(its_action, action) && covers(its_subject, subject)) *yes = true;
    else if (roles != NULL && iu__nerv_is(its_action, "role")) iu__nerv_put_text(roles, its_subject);
  }
  iu__nerv_scan_end(c, &s);
  return !c->refused && (roles == NULL || iu__nerv_wrote(c, roles));
}

static bool role_holds(nerv_call *c, nerv_slice role, nerv_slice action, nerv_slice subject, bool *yes) {
  nerv_mark mark = iu__nerv_mem_mark(&c->self->mem);
  nerv_out principal = iu__nerv_out_of(c);
  bool ok;
  iu__nerv_put_raw(&principal, role_prefix);
  iu__nerv_put_slice(&principal, role);
  ok = iu__nerv_wrote(c, &principal) && holds(c, iu__nerv_written(&principal), action, subject, NULL, yes);
  iu__nerv_mem_release(&c->self->mem, mark);
  return ok;
}

static bool is_holder(nerv_call *c, nerv_slice action, nerv_slice subject, bool *yes) {
  char hex[64];
  nerv_out roles = iu__nerv_out_of(c);
  nerv_reader r;
  *yes = false;
  iu__nerv_hex(c->sender, sizeof c->sender, hex);
  if (!holds(c, (nerv_slice){(const uint8_t *)hex, sizeof hex}, action, subject, &roles, yes)) return false;
  r = iu__nerv_reader(iu__nerv_written(&roles));
  while (!*yes && r.p < r.end) {
    if (!role_holds(c, iu__nerv_get_text(&r), action, subject, yes)) return false;
  }
  return true;
}

static bool check_restricted(nerv_call *c, const char *action, nerv_slice subject) {
  nerv_slice key, name = iu__nerv_text(action);
  bool restricted, may;
  if (!marker_key(c, name, &key) || !iu__nerv_has_text(c, NERV_PERMISSION_KEY, key, &restricted)) return false;
  if (!restricted) return true;
  if (!iu__nerv_owner(c, &may)) return false;
  if (!may && !is_holder(c, name, subject, &may)) return false;
  return may || iu__nerv_refuse(c, "AUTHORIZATION", "%s on %q is not permitted to %h", action, &subject, c->sender);
}

bool iu__nerv_permit(nerv_call *c, const char *action, nerv_slice subject) {
  nerv_mark mark;
  bool ok;
  if (!c->permissions_known) {
    uint64_t rules;
    if (!iu__nerv_count_rows(c, NERV_PERMISSION, &rules)) return false;
    c->permissions_empty = rules == 0;
    c->permissions_known = true;
  }
  if (c->permissions_empty) return true;
  mark = iu__nerv_mem_mark(&c->self->mem);
  ok = check_restricted(c, action, subject);
  iu__nerv_mem_release(&c->self->mem, mark);
  return ok;
}

bool iu__nerv_owner_only(nerv_call *c, const char *action) {
  bool is_owner;
  if (!iu__nerv_owner(c, &is_owner)) return false;
  return is_owner || iu__nerv_refuse(c, "AUTHORIZATION", "%s is the owner's, not permitted to %h", action, c->sender);
}

/* ---- grant and revoke ---- */

static bool is_word(nerv_slice s, uint32_t max) {
  if (s.n == 0 || s.n > max) return false;
  for (uint32_t i = 0; i < s.n; i++) {
    uint8_t ch = s.p[i], low = ch | 0x20;
    if (!(low >= 'a' && low <= 'z') && !(ch >= '0' && ch <= '9') && ch != '_' && ch != '-' && ch != '.') return false;
  }
  return true;
}

/* Identities are taken in either case, with or without 0x, and kept in lower case. *out is empty for what is none. */
static bool lower_identity(nerv_call *c, nerv_slice given, nerv_slice *out) {
  nerv_slice hex = given;
  uint8_t *lower;
  *out = (nerv_slice){NULL, 0};
  if (hex.n == 66 && hex.p[0] == '0' && (hex.p[1] | 0x20) == 'x') hex = (nerv_slice){hex.p + 2, 64};
  if (hex.n != 64) return true;
  lower = iu__nerv_alloc(&c->self->mem, 64);
  if (lower == NULL) return iu__nerv_no_memory(c);
  for (uint32_t i = 0; i < 64; i++) {
    uint8_t ch = hex.p[i] >= 'A' && hex.p[i] <= 'F' ? hex.p[i] | 0x20 : hex.p[i];
    if (!(ch >= '0' && ch <= '9') && !(ch >= 'a' && ch <= 'f')) return true;
    lower[i] = ch;
  }
  *out = (nerv_slice){lower, 64};
  return true;
}

static bool normal_principal(nerv_call *c, nerv_slice given, nerv_slice *out) {
  *out = given;
  if (given.n > ROLE_PREFIX_LEN && memcmp(given.p, role_prefix, ROLE_PREFIX_LEN) == 0) {
    if (is_word((nerv_slice){given.p + ROLE_PREFIX_LEN, given.n - (uint32_t)ROLE_PREFIX_LEN}, ROLE_MAX)) return true;
  } else {
    if (!lower_identity(c, given, out)) return false;
    if (out->n != 0) return true;
  }
  return iu__nerv_refuse(c, "VALIDATION", "principal: %q, expected an identity of 64 hex digits or role:name", &given);
}

static bool check_action(nerv_call *c, nerv_slice action) {
  if (is_word(action, ACTION_MAX)) return true;
  return iu__nerv_refuse(c, "VALIDATION", "action: %q, expected 1 to %u letters, digits, `_`, `-` or `.`", &action, (uint64_t)ACTION_MAX);
}

static bool check_rule(nerv_call *c, nerv_slice given, nerv_slice *principal, nerv_slice *action, nerv_slice *subject) {
  if (!normal_principal(c, given, principal)) return false;
  if (!check_action(c, *action)) return false;
  if (subject->n == 0) *subject = iu__nerv_text("*");
  if (!iu__nerv_check_id(c, "subject", *subject)) return false;
  if (iu__nerv_is(*action, "role")) {
    if (!is_word(*subject, ROLE_MAX)) return iu__nerv_refuse(c, "VALIDATION", "subject: %q, expected the name of a role", subject);
    if (principal->p[0] == 'r') return iu__nerv_refuse(c, "VALIDATION", "principal: %q, expected an identity: roles have no roles", principal);
  }
  return true;
}

static bool read_rule(nerv_call *c, nerv_reader *r, const char *reducer, nerv_slice *principal, nerv_slice *action, nerv_slice *subject,
                      nerv_slice *key) {
  nerv_slice given = iu__nerv_get_text(r);
  *action = iu__nerv_get_text(r);
  *subject = iu__nerv_get_text(r);
  if (!iu__nerv_read(c, r) || !check_rule(c, given, principal, action, subject)) return false;
  return iu__nerv_owner_only(c, reducer) && rule_key(c, *principal, *action, *subject, key);
}

bool iu__nerv_grant(nerv_call *c, nerv_reader *r) {
  nerv_slice principal, action, subject, key;
  bool exists;
  if (!read_rule(c, r, "grant", &principal, &action, &subject, &key)) return false;
  if (!iu__nerv_has_text(c, NERV_PERMISSION_KEY, key, &exists)) return false;
  if (exists) return true;
  return put_rule(c, key, principal, action, subject, false) && add_to_marker(c, action, true);
}

bool iu__nerv_revoke(nerv_call *c, nerv_reader *r) {
  nerv_slice principal, action, subject, key;
  uint32_t count;
  if (!read_rule(c, r, "revoke", &principal, &action, &subject, &key)) return false;
  if (!iu__nerv_delete_text(c, NERV_PERMISSION_KEY, key, &count)) return false;
  c->permissions_known = false;
  return count == 0 || add_to_marker(c, action, false);
}

/* ---- asking ---- */

/* What calls iu__nerv_owner_only instead of iu__nerv_permit: whatever the rules are. */
static const char *const owners[] = {"grant", "revoke", "update_config", "prune_events", "prune_history", "prune_versions", "record_migration",
                                     "import_rows", "remove_rows"};

/* What calls neither: a rule about these would deny nothing. Of `transact` each operation is checked. */
static const char *const everybodys[] = {"transact", "set_client_info", "check_permission"};

static bool is_among(nerv_slice action, const char *const *names, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (iu__nerv_is(action, names[i])) return true;
  }
  return false;
}

/* iu__nerv_hex read back. */
static void identity_bytes(nerv_slice hex, uint8_t out[32]) {
  for (uint32_t i = 0; i < 32; i++) {
    uint8_t high = hex.p[2 * i], low = hex.p[2 * i + 1];
    out[31 - i] = (uint8_t)((high <= '9' ? high - '0' : high - 'a' + 10) << 4 | (low <= '9' ? low - '0' : low - 'a' + 10));
  }
}

/* The check of a write that is not made: applied when it may be made, refused with the write's own words when not. So whoever asks hears what the writes
 * hear, on a server too, where the rules are the owner's to read. About others only the owner hears: they are private. */
bool iu__nerv_check_permission(nerv_call *c, nerv_reader *r) {
  bool other, is_owner;
  nerv_slice given = iu__nerv_get_text_option(r, &other), action = iu__nerv_get_text(r), subject = iu__nerv_get_text(r), hex = {NULL, 0};
  uint8_t identity[32];
  char name[ACTION_MAX + 1];
  if (!iu__nerv_read(c, r) || (other && !lower_identity(c, given, &hex))) return false;
  if (other && hex.n == 0) return iu__nerv_refuse(c, "VALIDATION", "identity: %q, expected 64 hex digits", &given);
  if (subject.n == 0) subject = iu__nerv_text("*");
  if (!check_action(c, action) || !iu__nerv_check_id(c, "subject", subject)) return false;
  if (other) {
    identity_bytes(hex, identity);
    if (memcmp(identity, c->sender, sizeof identity) != 0) {
      if (!iu__nerv_owner(c, &is_owner)) return false;
      if (!is_owner) return iu__nerv_refuse(c, "AUTHORIZATION", "what others may is the owner's to ask, not permitted to %h", c->sender);
    }
    memcpy(c->sender, identity, sizeof identity); /* as if that one had called: nothing is written */
  }
  memcpy(name, action.p, action.n);
  name[action.n] = '\0';
  if (is_among(action, everybodys, sizeof everybodys / sizeof *everybodys)) return true;
  if (is_among(action, owners, sizeof owners / sizeof *owners)) return iu__nerv_owner_only(c, name);
  return iu__nerv_permit(c, name, subject);
}

/* ---- rows from elsewhere ---- */

/* Rows that hold an action's number of rules are passed over: the number follows the rules that are here. */
bool iu__nerv_import_rule(nerv_call *c, nerv_slice row) {
  nerv_reader r = iu__nerv_reader(row);
  nerv_slice key = iu__nerv_get_text(&r), given = iu__nerv_get_text(&r), action = iu__nerv_get_text(&r), subject = iu__nerv_get_text(&r);
  nerv_slice principal, whole = subject, made;
  bool exists;
  if (given.n == 0) {
    if (!marker_key(c, action, &made)) return false;
    return iu__nerv_same(made, key) || iu__nerv_refuse(c, "VALIDATION", "key: %q, expected %q", &key, &made);
  }
  if (!check_rule(c, given, &principal, &action, &whole) || !rule_key(c, principal, action, whole, &made)) return false;
  if (!iu__nerv_same(made, key)) return iu__nerv_refuse(c, "VALIDATION", "key: %q, expected %q", &key, &made);
  if (!iu__nerv_same(principal, given) || !iu__nerv_same(whole, subject)) {
    return iu__nerv_refuse(c, "VALIDATION", "principal: %q, expected a rule as grant writes it", &given);
  }
  if (!iu__nerv_has_text(c, NERV_PERMISSION_KEY, key, &exists)) return false;
  if (exists) return true;
  return put_rule(c, key, principal, action, subject, false) && add_to_marker(c, action, true);
}

bool iu__nerv_remove_rule(nerv_call *c, nerv_slice key) {
  nerv_slice row, principal, action;
  nerv_reader r;
  bool exists;
  if (!iu__nerv_find_text(c, NERV_PERMISSION_KEY, key, &row, &exists)) return false;
  if (!exists) return true;
  r = iu__nerv_reader(row);
  iu__nerv_get_text(&r);
  principal = iu__nerv_get_text(&r);
  action = iu__nerv_get_text(&r);
  if (principal.n == 0) return true;
  c->permissions_known = false;
  return iu__nerv_delete_text(c, NERV_PERMISSION_KEY, key, NULL) && add_to_marker(c, action, false);
}
