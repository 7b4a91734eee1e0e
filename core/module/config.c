/* config.c: the config table: update_config, the features that writes obey, and the owner.
 *
 * Rows the module reads: `owner` (hex identity, the sender of init), `schema_version`, `enable_audit_log` ("true" or "false"; absent: true) and
 * `enable_row_history` (the tables, comma separated: "entity,relation"; absent, "" or "false": none). The two features are read
 * together, by one range over the key, once a call: several instances may serve one database. Where the host tells whether the table was written (natively),
 * they are kept until it is.
 */
#include "internal.h"

static const char audit_key[] = "enable_audit_log", history_key[] = "enable_row_history";

/* The tables named in a comma separated list; false when one is unknown. */
static bool read_tables(nerv_slice list, bool history[NERV_TABLE_COUNT]) {
  uint32_t from = 0;
  history[NERV_ENTITY] = history[NERV_RELATION] = false;
  if (list.n == 0 || iu__nerv_is(list, "false")) return true;
  for (uint32_t i = 0; i <= list.n; i++) {
    nerv_slice name = {list.p + from, i - from};
    if (i < list.n && list.p[i] != ',') continue;
    if (iu__nerv_is(name, "entity")) history[NERV_ENTITY] = true;
    else if (iu__nerv_is(name, "relation")) history[NERV_RELATION] = true;
    else return false;
    from = i + 1;
  }
  return true;
}

static bool read_features(nerv_call *c, nerv_features *f) {
  nerv_mark mark;
  nerv_out low, high;
  nerv_slice from, to, row;
  nerv_scan s;
  mark = iu__nerv_mem_mark(&c->self->mem);
  low = iu__nerv_out_of(c);
  high = iu__nerv_out_of(c);
  iu__nerv_put_cstr(&low, audit_key);
  iu__nerv_put_cstr(&high, history_key);
  if (!iu__nerv_wrote(c, &low) || !iu__nerv_wrote(c, &high)) return false;
  from = iu__nerv_written(&low);
  to = iu__nerv_written(&high);
  *f = (nerv_features){.audit = true};
  if (!iu__nerv_scan(c, NERV_CONFIG_KEY, &from, &to, &s)) return false;
  while (iu__nerv_next(c, &s, &row)) {
    nerv_reader r = iu__nerv_reader(row);
    nerv_slice key = iu__nerv_get_text(&r), value = iu__nerv_get_text(&r);
    if (iu__nerv_is(key, audit_key)) f->audit = !iu__nerv_is(value, "false");
    if (iu__nerv_is(key, history_key)) read_tables(value, f->history);
  }
  iu__nerv_scan_end(c, &s);
  iu__nerv_mem_release(&c->self->mem, mark);
  return !c->refused;
}

bool iu__nerv_features(nerv_call *c) {
  nerv *self = c->self;
  uint64_t at;
  bool kept;
  if (c->features_known) return true;
  kept = iu__nerv_writes(c, NERV_CONFIG, &at);
  if (!kept || at != self->features_at) {
    if (!read_features(c, &c->features)) return false;
    if (kept) self->features = c->features;
    if (kept) self->features_at = at;
  } else {
    c->features = self->features;
  }
  c->features_known = true;
  return true;
}

bool iu__nerv_owner(nerv_call *c, bool *is_owner) {
  nerv_slice row, owner;
  nerv_reader r;
  bool found;
  char sender[64];
  *is_owner = false;
  if (!iu__nerv_find_text(c, NERV_CONFIG_KEY, iu__nerv_text("owner"), &row, &found)) return false;
  if (!found) return true;
  r = iu__nerv_reader(row);
  iu__nerv_get_text(&r);
  owner = iu__nerv_get_text(&r);
  iu__nerv_hex(c->sender, sizeof c->sender, sender);
  *is_owner = iu__nerv_same(owner, (nerv_slice){(const uint8_t *)sender, sizeof sender});
  return true;
}

static bool put(nerv_call *c, nerv_slice key, nerv_slice value, nerv_slice description) {
  nerv_out row;
  bool exists;
  if (!iu__nerv_has_text(c, NERV_CONFIG_KEY, key, &exists)) return false;
  row = iu__nerv_out_of(c);
  iu__nerv_put_text(&row, key);
  iu__nerv_put_text(&row, value);
  iu__nerv_put_text(&row, description);
  iu__nerv_put_u64(&row, (uint64_t)c->now);
  iu__nerv_put(&row, c->sender, sizeof c->sender);
  c->features_known = false;
  return iu__nerv_put_row(c, NERV_CONFIG, &row, exists);
}

bool iu__nerv_config_put(nerv_call *c, const char *key, nerv_slice value, const char *description) {
  return put(c, iu__nerv_text(key), value, iu__nerv_text(description));
}

bool iu__nerv_config_check(nerv_call *c, nerv_slice key, nerv_slice value) {
  bool ignored[NERV_TABLE_COUNT];
  if (iu__nerv_is(key, "owner")) return iu__nerv_refuse(c, "VALIDATION", "key: \"owner\" is set once, when the universe is made");
  if (iu__nerv_is(key, audit_key) && !iu__nerv_is(value, "true") && !iu__nerv_is(value, "false")) {
    return iu__nerv_refuse(c, "VALIDATION", "value: %q, expected \"true\" or \"false\" for %q", &value, &key);
  }
  if (iu__nerv_is(key, history_key) && !read_tables(value, ignored)) {
    return iu__nerv_refuse(c, "VALIDATION", "value: %q, expected \"false\" or some of \"entity,relation\" for %q", &value, &key);
  }
  return true;
}

bool iu__nerv_update_config(nerv_call *c, nerv_reader *r) {
  nerv_slice key = iu__nerv_get_text(r), value = iu__nerv_get_text(r), description = iu__nerv_get_text(r);
  if (!iu__nerv_read(c, r) || !iu__nerv_check_id(c, "key", key) || !iu__nerv_check_text(c, "value", value, NERV_TEXT_MAX)) return false;
  if (!iu__nerv_check_text(c, "description", description, NERV_TEXT_MAX) || !iu__nerv_config_check(c, key, value)) return false;
  return iu__nerv_owner_only(c, "update_config") && put(c, key, value, description);
}
