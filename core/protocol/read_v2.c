/* read_v2.c: server messages of v2 and v3 (protocol sheet 6). A message's tag, then its fields in order. */
#include "../base/text.h"
#include "message_internal.h"

static bool read_request(iu_input *in, iu_message *m) {
  m->has_request = true;
  return iu__input_u32(in, &m->request, "a request id");
}

static bool read_set(iu_input *in, iu_message *m) {
  m->has_set = true;
  return iu__input_u32(in, &m->set, "a query set id");
}

/* QueryRows: each table's rows are all inserts or all deletes. */
static bool read_query_rows(iu_input *in, const iu_message *m, bool deletes) {
  uint32_t count;
  if (!iu__input_count(in, 11, &count, "tables")) return false;
  for (uint32_t i = 0; i < count; i++) {
    iu_table_update u = {.set = m->set, .has_set = m->has_set};
    if (!iu__input_text(in, &u.table, "a table's name") || !iu__input_rows(in, deletes ? &u.deletes : &u.inserts) || !iu__input_add(in, &u)) return false;
  }
  return true;
}

static bool read_table_rows(iu_input *in, iu_table_update *u) {
  uint8_t kind;
  if (!iu__input_tag(in, 2, &kind, "TableUpdateRows")) return false;
  u->event_table = kind == 1;
  u->deletes = (iu_row_list){0};
  return iu__input_rows(in, &u->inserts) && (u->event_table || iu__input_rows(in, &u->deletes)) && iu__input_add(in, u);
}

static bool read_table_update(iu_input *in, uint32_t set) {
  iu_table_update u = {.set = set, .has_set = true};
  uint32_t count;
  if (!iu__input_text(in, &u.table, "a table's name") || !iu__input_count(in, 8, &count, "TableUpdateRows")) return false;
  for (uint32_t i = 0; i < count; i++) {
    if (!read_table_rows(in, &u)) return false;
  }
  return true;
}

/* TransactionUpdate: query sets, each with its tables. */
static bool read_query_sets(iu_input *in) {
  uint32_t sets, set, tables;
  if (!iu__input_count(in, 8, &sets, "query sets")) return false;
  for (uint32_t i = 0; i < sets; i++) {
    if (!iu__input_u32(in, &set, "a query set id") || !iu__input_count(in, 8, &tables, "tables")) return false;
    for (uint32_t k = 0; k < tables; k++) {
      if (!read_table_update(in, set)) return false;
    }
  }
  return true;
}

/* ---- messages, in the order of their tags ---- */

static bool read_connected(iu_input *in, iu_message *m) {
  m->kind = IU_M_CONNECTED;
  return iu__input_fixed(in, m->identity, sizeof m->identity, "an identity") &&
         iu__input_fixed(in, m->connection_id, sizeof m->connection_id, "a connection id") && iu__input_text(in, &m->token, "a token");
}

static bool read_subscribed(iu_input *in, iu_message *m) {
  m->kind = IU_M_SUBSCRIBED;
  m->has_rows = true;
  return read_request(in, m) && read_set(in, m) && read_query_rows(in, m, false);
}

static bool read_unsubscribed(iu_input *in, iu_message *m) {
  uint8_t none;
  m->kind = IU_M_UNSUBSCRIBED;
  if (!read_request(in, m) || !read_set(in, m) || !iu__input_tag(in, 2, &none, "optional rows")) return false;
  m->has_rows = none == 0;
  return !m->has_rows || read_query_rows(in, m, true);
}

static bool read_subscription_error(iu_input *in, iu_message *m) {
  m->kind = IU_M_SUBSCRIPTION_ERROR;
  return iu__input_option_u32(in, &m->has_request, &m->request, "an optional request id") && read_set(in, m) &&
         iu__input_text(in, &m->text, "an error's text");
}

static bool read_transaction(iu_input *in, iu_message *m) {
  m->kind = IU_M_TRANSACTION;
  m->ok = m->has_rows = true;
  return read_query_sets(in);
}

static bool read_one_off(iu_input *in, iu_message *m) {
  uint8_t failed;
  m->kind = IU_M_ONE_OFF;
  if (!read_request(in, m) || !iu__input_tag(in, 2, &failed, "a result")) return false;
  m->ok = m->has_rows = failed == 0;
  return m->ok ? read_query_rows(in, m, false) : iu__input_text(in, &m->text, "an error's text");
}

/* The error of a reducer is BSATN of its error type, which is String so far: then it becomes the text too. */
static bool read_reducer_error(iu_input *in, iu_message *m) {
  uint32_t len;
  if (!iu__input_bytes(in, &m->value, "a reducer's error")) return false;
  iu_reader r = iu__reader(m->value.p, m->value.len);
  const uint8_t *text = iu__read_bytes(&r, &len);
  if (text != NULL && iu__reader_left(&r) == 0 && iu__utf8_check((const char *)text, len) == len) m->text = (iu_slice){text, len};
  return true;
}

static bool read_call_result(iu_input *in, iu_message *m) {
  enum { OK, OK_EMPTY, ERR, INTERNAL_ERROR };
  uint8_t outcome;
  m->kind = IU_M_CALL_RESULT;
  if (!read_request(in, m) || !iu__input_i64(in, &m->timestamp, "a timestamp") || !iu__input_tag(in, 4, &outcome, "a reducer's outcome")) return false;
  m->outcome = outcome == ERR ? IU_OUT_FAILED : outcome == INTERNAL_ERROR ? IU_OUT_INTERNAL : IU_OUT_COMMITTED;
  m->ok = m->has_rows = m->outcome == IU_OUT_COMMITTED;
  switch (outcome) {
    case OK: return iu__input_bytes(in, &m->value, "a returned value") && read_query_sets(in);
    case OK_EMPTY: return true;
    case ERR: return read_reducer_error(in, m);
    default: return iu__input_text(in, &m->text, "an error's text");
  }
}

static bool read_procedure(iu_input *in, iu_message *m) {
  uint8_t failed;
  m->kind = IU_M_PROCEDURE;
  if (!iu__input_tag(in, 2, &failed, "a procedure's status")) return false;
  m->outcome = failed != 0 ? IU_OUT_INTERNAL : IU_OUT_COMMITTED;
  m->ok = failed == 0;
  if (!(m->ok ? iu__input_bytes(in, &m->value, "a returned value") : iu__input_text(in, &m->text, "an error's text"))) return false;
  return iu__input_i64(in, &m->timestamp, "a timestamp") && iu__input_i64(in, &m->duration, "a duration") && read_request(in, m);
}

bool iu__read_v2(iu_input *in, iu_message *m) {
  static bool (*const readers[])(iu_input *, iu_message *) = {
    read_connected, read_subscribed, read_unsubscribed, read_subscription_error, read_transaction, read_one_off, read_call_result, read_procedure,
  };
  uint8_t tag;
  return iu__input_tag(in, sizeof readers / sizeof *readers, &tag, "a server message") && readers[tag](in, m);
}
