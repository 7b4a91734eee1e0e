/* event.c: the event log: appending (audit events too), publish_event, advance_cursor, prune_events.
 *
 * An event's sequence is the log head's plus one, taken in the transaction that writes the event: no gaps, in order of commit. The head also
 * counts events and the bytes of their rows, so retention needs no scan. An event is one insert; the head is written once a call.
 */
#include "internal.h"

static bool append(nerv_call *c, nerv_slice type, nerv_slice source, nerv_slice data, const nerv_slice *id) {
  nerv_head *log;
  nerv_out row;
  char uuid[NERV_UUID_LEN];
  bool taken = false;
  nerv_slice made = {(const uint8_t *)uuid, NERV_UUID_LEN};
  if (!iu__nerv_head(c, NERV_HEAD_EVENTS, &log)) return false;
  if (id == NULL) {
    iu__nerv_uuid(c, NERV_ID_EVENT, log->sequence + 1, uuid);
    id = &made;
  }
  row = iu__nerv_out_of(c);
  if (!iu__nerv_reserve(&row, (size_t)id->n + type.n + source.n + data.n + 64)) return iu__nerv_no_memory(c);
  iu__nerv_put_text(&row, *id);
  iu__nerv_put_u64(&row, log->sequence + 1);
  iu__nerv_put_text(&row, type);
  iu__nerv_put_text(&row, source);
  iu__nerv_put_u64(&row, (uint64_t)c->now);
  iu__nerv_put(&row, c->sender, sizeof c->sender);
  iu__nerv_put_text(&row, data);
  if (!iu__nerv_insert(c, NERV_EVENT_LOG, &row, id == &made ? NULL : &taken)) return false;
  if (taken) return iu__nerv_refuse(c, "CONFLICT", "id: event %q exists already", id);
  log->sequence++;
  log->count++;
  log->bytes += row.n;
  log->dirty = true;
  return true;
}

bool iu__nerv_append_event(nerv_call *c, const char *type, nerv_slice source, nerv_slice data) {
  return append(c, iu__nerv_text(type), source, data, NULL);
}

bool iu__nerv_audit_begin(nerv_call *c, nerv_out *data, bool *on) {
  if (!iu__nerv_features(c)) return false;
  *on = c->features.audit;
  *data = iu__nerv_out_of(c);
  if (*on) iu__nerv_put_u8(data, '{');
  return true;
}

void iu__nerv_audit_changed(nerv_out *data, const nerv_changed *fields, size_t count) {
  bool first = true;
  iu__nerv_json_key(data, "changed_fields");
  iu__nerv_put_u8(data, '[');
  for (size_t i = 0; i < count; i++) {
    if (!fields[i].changed) continue;
    if (!first) iu__nerv_put_u8(data, ',');
    first = false;
    iu__nerv_json_text(data, iu__nerv_text(fields[i].name));
  }
  iu__nerv_put_u8(data, ']');
}

bool iu__nerv_audit_end(nerv_call *c, const char *type, nerv_slice source, nerv_out *data) {
  iu__nerv_put_u8(data, '}');
  return iu__nerv_wrote(c, data) && iu__nerv_append_event(c, type, source, iu__nerv_written(data));
}

bool iu__nerv_publish_event(nerv_call *c, nerv_reader *r) {
  nerv_slice type = iu__nerv_get_text(r), source = iu__nerv_get_text(r), data = iu__nerv_get_text(r);
  bool has_id;
  nerv_slice id = iu__nerv_get_text_option(r, &has_id);
  if (!iu__nerv_read(c, r) || !iu__nerv_check_id(c, "event_type", type) || !iu__nerv_check_id_or_empty(c, "source", source)) return false;
  if (!iu__nerv_check_json(c, "data", &data, "null") || (has_id && !iu__nerv_check_id(c, "id", id))) return false;
  return iu__nerv_permit(c, "publish_event", type) && append(c, type, source, data, has_id ? &id : NULL);
}

bool iu__nerv_advance_cursor(nerv_call *c, nerv_reader *r) {
  nerv_slice consumer = iu__nerv_get_text(r), row;
  uint64_t sequence = iu__nerv_get_u64(r), at = 0, expected;
  bool expects, exists;
  nerv_head *log;
  nerv_out out;
  expected = iu__nerv_get_u64_option(r, &expects);
  if (!iu__nerv_read(c, r) || !iu__nerv_check_id(c, "consumer", consumer) || !iu__nerv_permit(c, "advance_cursor", consumer)) return false;
  if (!iu__nerv_find_text(c, NERV_CURSOR_CONSUMER, consumer, &row, &exists) || !iu__nerv_head(c, NERV_HEAD_EVENTS, &log)) return false;
  if (exists) {
    nerv_reader old = iu__nerv_reader(row);
    iu__nerv_get_text(&old);
    at = iu__nerv_get_u64(&old);
  }
  if (sequence > log->sequence) {
    return iu__nerv_refuse(c, "VALIDATION", "sequence: %u is past the last event, expected at most %u", sequence, log->sequence);
  }
  if (expects && at != expected) {
    return iu__nerv_refuse(c, "CONFLICT", "expected: the cursor of %q is at %u, expected %u", &consumer, at, expected);
  }
  if (!expects && sequence < at) {
    return iu__nerv_refuse(c, "CONFLICT", "sequence: the cursor of %q is at %u already, %u would go back", &consumer, at, sequence);
  }
  out = iu__nerv_out_of(c);
  iu__nerv_put_text(&out, consumer);
  iu__nerv_put_u64(&out, sequence);
  iu__nerv_put_u64(&out, (uint64_t)c->now);
  return iu__nerv_put_row(c, NERV_EVENT_CURSOR, &out, exists);
}
