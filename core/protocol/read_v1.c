/* read_v1.c: server messages of v1 in BSATN (protocol sheet 5). A message's tag, then its fields in order. One entry in the list of
 * updates for each query of a table; parts that are compressed on their own are decompressed into the payload's arena, under its budget.
 */
#include "message_internal.h"

static bool read_request(iu_input *in, iu_message *m) {
  m->has_request = true;
  return iu__input_u32(in, &m->request, "a request id");
}

static bool read_set(iu_input *in, iu_message *m) {
  m->has_set = true;
  return iu__input_u32(in, &m->set, "a query id");
}

/* ---- updates ---- */

/* QueryUpdate: deletes come first. */
static bool read_plain_update(iu_input *in, iu_slice table) {
  iu_table_update u = {.table = table};
  return iu__input_rows(in, &u.deletes) && iu__input_rows(in, &u.inserts) && iu__input_add(in, &u);
}

/* A copy that lives as long as the payload, paid from its budget. */
static bool keep(iu_input *in, const iu_buf *bytes, iu_slice *kept) {
  uint8_t *p = iu__arena_alloc(&in->payload->inner, bytes->len != 0 ? bytes->len : 1);
  if (p == NULL) {
    iu__fail_nomem(in->err);
    return false;
  }
  if (bytes->len != 0) memcpy(p, bytes->data, bytes->len);
  in->payload->budget -= bytes->len;
  *kept = (iu_slice){p, bytes->len};
  return true;
}

static bool read_whole_update(iu_input *in, iu_slice table) {
  if (!read_plain_update(in, table)) return false;
  return iu__reader_left(in->r) == 0 || iu__input_bad(in, iu__reader_offset(in->r), "the end of a compressed update");
}

static bool read_compressed_update(iu_input *in, iu_slice table, iu_compression how) {
  size_t at = iu__reader_offset(in->r);
  iu_buf plain = {0};
  iu_slice bytes, kept;
  if (!iu__input_bytes(in, &bytes, "a compressed update")) return false;
  bool good = iu__inflate(how, bytes.p, bytes.len, in->payload->budget, &plain, in->err) == IU_OK && keep(in, &plain, &kept);
  iu__buf_free(&plain);
  if (good) {
    iu_reader r = iu__reader(kept.p, kept.len);
    iu_input inside = {in->payload, &r, in->err};
    good = read_whole_update(&inside, table);
  }
  if (!good) iu__error_prefix(in->err, "inside the compressed update at byte %zu", at);
  return good;
}

static bool read_update(iu_input *in, iu_slice table) {
  uint8_t how;
  if (!iu__input_tag(in, 3, &how, "a query update")) return false;
  return how == IU_COMPRESSION_NONE ? read_plain_update(in, table) : read_compressed_update(in, table, (iu_compression)how);
}

static bool read_table_update(iu_input *in) {
  iu_slice table;
  uint32_t count;
  if (!iu__input_fixed(in, NULL, 4, "a table id") || !iu__input_text(in, &table, "a table's name")) return false;
  if (!iu__input_fixed(in, NULL, 8, "a number of rows") || !iu__input_count(in, 5, &count, "query updates")) return false;
  for (uint32_t i = 0; i < count; i++) {
    if (!read_update(in, table)) return false;
  }
  return true;
}

static bool read_database_update(iu_input *in) {
  uint32_t count;
  if (!iu__input_count(in, 20, &count, "tables")) return false;
  for (uint32_t i = 0; i < count; i++) {
    if (!read_table_update(in)) return false;
  }
  return true;
}

/* ---- messages, in the order of their tags ---- */

static bool read_initial(iu_input *in, iu_message *m) {
  m->kind = IU_M_INITIAL;
  m->has_rows = true;
  return read_database_update(in) && read_request(in, m) && iu__input_i64(in, &m->duration, "a duration");
}

static bool read_status(iu_input *in, iu_message *m) {
  static const iu_outcome outcomes[] = {IU_OUT_COMMITTED, IU_OUT_FAILED, IU_OUT_NO_ENERGY};
  uint8_t status;
  if (!iu__input_tag(in, 3, &status, "a transaction's status")) return false;
  m->outcome = outcomes[status];
  m->ok = m->has_rows = m->outcome == IU_OUT_COMMITTED;
  if (m->ok) return read_database_update(in);
  return m->outcome != IU_OUT_FAILED || iu__input_text(in, &m->text, "an error's text");
}

static bool read_transaction(iu_input *in, iu_message *m) {
  m->kind = IU_M_TRANSACTION;
  m->has_call = true;
  return read_status(in, m) && iu__input_i64(in, &m->timestamp, "a timestamp") &&
         iu__input_fixed(in, m->identity, sizeof m->identity, "an identity") &&
         iu__input_fixed(in, m->connection_id, sizeof m->connection_id, "a connection id") && iu__input_text(in, &m->reducer, "a reducer's name") &&
         iu__input_u32(in, &m->reducer_id, "a reducer's id") && iu__input_bytes(in, &m->args, "arguments") && read_request(in, m) &&
         iu__input_fixed(in, NULL, 16, "an amount of energy") && iu__input_i64(in, &m->duration, "a duration");
}

static bool read_light(iu_input *in, iu_message *m) {
  m->kind = IU_M_TRANSACTION;
  m->light = m->ok = m->has_rows = true;
  return read_request(in, m) && read_database_update(in);
}

static bool read_connected(iu_input *in, iu_message *m) {
  m->kind = IU_M_CONNECTED;
  return iu__input_fixed(in, m->identity, sizeof m->identity, "an identity") && iu__input_text(in, &m->token, "a token") &&
         iu__input_fixed(in, m->connection_id, sizeof m->connection_id, "a connection id");
}

static bool read_one_off_table(iu_input *in) {
  iu_table_update u = {0};
  return iu__input_text(in, &u.table, "a table's name") && iu__input_rows(in, &u.inserts) && iu__input_add(in, &u);
}

static bool read_one_off(iu_input *in, iu_message *m) {
  uint8_t none;
  uint32_t count;
  m->kind = IU_M_ONE_OFF;
  if (!iu__input_bytes(in, &m->value, "a message id") || !iu__input_tag(in, 2, &none, "an optional error")) return false;
  m->has_request = m->value.len == sizeof m->request;
  if (m->has_request) m->request = iu__load_u32(m->value.p);
  m->ok = m->has_rows = none == 1;
  if (!m->ok && !iu__input_text(in, &m->text, "an error's text")) return false;
  if (!iu__input_count(in, 11, &count, "tables")) return false;
  for (uint32_t i = 0; i < count; i++) {
    if (!read_one_off_table(in)) return false;
  }
  return iu__input_i64(in, &m->duration, "a duration");
}

/* SubscribeRows names the table once more around its TableUpdate. */
static bool read_single(iu_input *in, iu_message *m) {
  iu_slice table;
  m->has_rows = true;
  return read_request(in, m) && iu__input_i64(in, &m->duration, "a duration") && read_set(in, m) && iu__input_fixed(in, NULL, 4, "a table id") &&
         iu__input_text(in, &table, "a table's name") && read_table_update(in);
}

static bool read_subscribed(iu_input *in, iu_message *m) {
  m->kind = IU_M_SUBSCRIBED;
  return read_single(in, m);
}

static bool read_unsubscribed(iu_input *in, iu_message *m) {
  m->kind = IU_M_UNSUBSCRIBED;
  return read_single(in, m);
}

static bool read_subscription_error(iu_input *in, iu_message *m) {
  bool some;
  uint32_t table;
  m->kind = IU_M_SUBSCRIPTION_ERROR;
  return iu__input_i64(in, &m->duration, "a duration") && iu__input_option_u32(in, &m->has_request, &m->request, "an optional request id") &&
         iu__input_option_u32(in, &m->has_set, &m->set, "an optional query id") && iu__input_option_u32(in, &some, &table, "an optional table id") &&
         iu__input_text(in, &m->text, "an error's text");
}

static bool read_multi(iu_input *in, iu_message *m) {
  m->has_rows = true;
  return read_request(in, m) && iu__input_i64(in, &m->duration, "a duration") && read_set(in, m) && read_database_update(in);
}

static bool read_subscribed_multi(iu_input *in, iu_message *m) {
  m->kind = IU_M_SUBSCRIBED;
  return read_multi(in, m);
}

static bool read_unsubscribed_multi(iu_input *in, iu_message *m) {
  m->kind = IU_M_UNSUBSCRIBED;
  return read_multi(in, m);
}

static bool read_procedure_status(iu_input *in, iu_message *m) {
  static const iu_outcome outcomes[] = {IU_OUT_COMMITTED, IU_OUT_NO_ENERGY, IU_OUT_INTERNAL};
  uint8_t status;
  if (!iu__input_tag(in, 3, &status, "a procedure's status")) return false;
  m->outcome = outcomes[status];
  m->ok = m->outcome == IU_OUT_COMMITTED;
  if (m->ok) return iu__input_bytes(in, &m->value, "a returned value");
  return m->outcome == IU_OUT_NO_ENERGY || iu__input_text(in, &m->text, "an error's text");
}

static bool read_procedure(iu_input *in, iu_message *m) {
  m->kind = IU_M_PROCEDURE;
  return read_procedure_status(in, m) && iu__input_i64(in, &m->timestamp, "a timestamp") && iu__input_i64(in, &m->duration, "a duration") &&
         read_request(in, m);
}

bool iu__read_v1(iu_input *in, iu_message *m) {
  static bool (*const readers[])(iu_input *, iu_message *) = {
    read_initial, read_transaction, read_light, read_connected, read_one_off, read_subscribed, read_unsubscribed, read_subscription_error,
    read_subscribed_multi, read_unsubscribed_multi, read_procedure,
  };
  uint8_t tag;
  return iu__input_tag(in, sizeof readers / sizeof *readers, &tag, "a server message") && readers[tag](in, m);
}
