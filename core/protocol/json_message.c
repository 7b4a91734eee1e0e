/* json_message.c: server messages of v1.json (protocol sheet 5.8, 3.4). The text becomes a document in the payload's arena; unknown fields are
 * passed over, missing ones are errors that name the message and the field. Rows and arguments, JSON inside strings, become BSATN
 * of the schema's types in the arena, paid from the payload's budget.
 */
#include "../base/hash.h"
#include "../base/text.h"
#include "../sats/sats_json.h"
#include "message_internal.h"

typedef struct json_input {
  iu_input *in;
  const iu_schema *schema; /* may be NULL */
  const char *kind;        /* the message, for errors */
} json_input;

/* ---- fields ---- */

static bool bad(json_input *j, const char *field, const char *what) {
  iu__fail(j->in->err, IU_E_VALIDATION, "%s: expected `%s` to be %s", j->kind, field, what);
  return false;
}

/* A field of an object; NULL when there is none, or `v` is no object. */
static const iu_json *get(const iu_json *v, const char *name) {
  return v != NULL && v->token == IU_J_OBJECT ? iu__json_get(v, name, strlen(name)) : NULL;
}

static bool is_text(const iu_json *v) { return v != NULL && v->token == IU_J_STRING; }
static bool is_array(const iu_json *v) { return v != NULL && v->token == IU_J_ARRAY; }
static iu_slice slice_of(const iu_json *v) { return (iu_slice){(const uint8_t *)v->u.s, v->len}; }

static bool get_text(json_input *j, const iu_json *object, const char *name, iu_slice *out) {
  const iu_json *v = get(object, name);
  if (!is_text(v)) return bad(j, name, "a string");
  *out = slice_of(v);
  return true;
}

static bool as_u32(const iu_json *v, uint32_t *out) {
  if (v == NULL || v->token != IU_J_INT || v->u.i < 0 || v->u.i > UINT32_MAX) return false;
  *out = (uint32_t)v->u.i;
  return true;
}

static bool get_u32(json_input *j, const iu_json *object, const char *name, uint32_t *out) {
  return as_u32(get(object, name), out) || bad(j, name, "a U32");
}

/* A special's one value: {"__marker__": v} or [v]; a bare value is itself. */
static const iu_json *inside(const iu_json *v) {
  if (v == NULL || v->len != 1) return v;
  if (v->token == IU_J_OBJECT) return &v->u.members[0].value;
  return v->token == IU_J_ARRAY ? &v->u.elements[0] : v;
}

static bool get_i64(json_input *j, const iu_json *object, const char *name, int64_t *out) {
  const iu_json *v = inside(get(object, name));
  if (v == NULL || v->token != IU_J_INT) return bad(j, name, "an I64");
  *out = v->u.i;
  return true;
}

static bool get_wide(json_input *j, const iu_json *object, const char *name, uint8_t *out, size_t size) {
  const iu_json *v = inside(get(object, name));
  char digits[IU_I64_TEXT_MAX + 1];
  bool good = false;
  if (v != NULL && v->token == IU_J_INT) good = iu__wide_parse(digits, iu__i64_format(v->u.i, digits), false, out, size);
  if (v != NULL && (v->token == IU_J_STRING || v->token == IU_J_BIGINT)) good = iu__wide_parse(v->u.s, v->len, false, out, size);
  return good || bad(j, name, size == 32 ? "an identity" : "a connection id");
}

static bool get_request(json_input *j, const iu_json *object, iu_message *m) {
  m->has_request = true;
  return get_u32(j, object, "request_id", &m->request);
}

static bool get_set(json_input *j, const iu_json *object, iu_message *m) {
  m->has_set = true;
  return as_u32(get(get(object, "query_id"), "id"), &m->set) || bad(j, "query_id", "an object with an id");
}

/* {"some": v}, {"none": []} or null. */
static bool get_option(json_input *j, const iu_json *object, const char *name, const iu_json **some) {
  const iu_json *v = get(object, name);
  *some = get(v, "some");
  return *some != NULL || (v != NULL && v->token == IU_J_NULL) || get(v, "none") != NULL || bad(j, name, "an Option");
}

static bool get_option_u32(json_input *j, const iu_json *object, const char *name, bool *has, uint32_t *out) {
  const iu_json *some;
  if (!get_option(j, object, name, &some)) return false;
  *has = some != NULL;
  return !*has || as_u32(some, out) || bad(j, name, "an optional U32");
}

static bool get_array(json_input *j, const iu_json *object, const char *name, const iu_json **out) {
  *out = get(object, name);
  return is_array(*out) || bad(j, name, "an array");
}

/* ---- rows ---- */

/* Into the arena, paid from the budget. */
static const uint8_t *keep(json_input *j, const iu_buf *bytes) {
  iu_payload *p = j->in->payload;
  if (bytes->len > p->budget) {
    iu__fail(j->in->err, IU_E_OVERLOADED, "the rows of a message are larger than its cap");
    return NULL;
  }
  uint8_t *kept = iu__arena_alloc(&p->inner, bytes->len != 0 ? bytes->len : 1);
  if (kept == NULL) {
    iu__fail_nomem(j->in->err);
    return NULL;
  }
  if (bytes->len != 0) memcpy(kept, bytes->data, bytes->len);
  p->budget -= bytes->len;
  return kept;
}

/* Room for what the budget still allows and a byte more, which tells too much. */
static iu_buf budgeted(const json_input *j) {
  size_t budget = j->in->payload->budget;
  iu_buf b;
  iu__buf_init(&b, budget < SIZE_MAX ? budget + 1 : 0);
  return b;
}

static bool put_row(json_input *j, const iu_table_def *table, const iu_json *row, iu_buf *data, iu_buf *offsets) {
  if (row->token != IU_J_STRING) return bad(j, table->name, "rows that are strings");
  iu__buf_put_u64(offsets, data->len);
  if (iu__buf_status(offsets, j->in->err, "rows") != IU_OK) return false;
  if (iu__sats_from_report(table->row, row->u.s, row->len, data, j->in->err) == IU_OK) return true;
  iu__error_prefix(j->in->err, "%s: a row of `%s`", j->kind, table->name);
  return false;
}

static bool put_rows(json_input *j, const iu_table_def *table, const iu_json *rows, iu_buf *data, iu_buf *offsets) {
  for (size_t i = 0; i < rows->len; i++) {
    if (!put_row(j, table, &rows->u.elements[i], data, offsets)) return false;
  }
  return true;
}

static bool get_rows(json_input *j, const iu_table_def *table, const iu_json *object, const char *name, iu_row_list *out) {
  const iu_json *rows;
  if (!get_array(j, object, name, &rows)) return false;
  if (table == NULL || rows->len == 0) return true;
  if (rows->len > UINT32_MAX) return bad(j, name, "fewer rows");
  iu_buf data = budgeted(j), offsets = budgeted(j);
  bool good = put_rows(j, table, rows, &data, &offsets);
  if (good) {
    *out = (iu_row_list){.count = (uint32_t)rows->len, .len = data.len};
    out->data = keep(j, &data);
    out->offsets = out->data != NULL ? keep(j, &offsets) : NULL;
    good = out->offsets != NULL;
  }
  iu__buf_free(&data);
  iu__buf_free(&offsets);
  return good;
}

static const iu_table_def *find_table(const json_input *j, iu_slice name) {
  int i = j->schema != NULL ? iu__schema_table(j->schema, (const char *)name.p, name.len) : -1;
  return i >= 0 ? &j->schema->tables[i] : NULL;
}

static bool get_table_update(json_input *j, const iu_json *v) {
  iu_table_update u = {0};
  const iu_json *updates;
  if (!get_text(j, v, "table_name", &u.table) || !get_array(j, v, "updates", &updates)) return false;
  const iu_table_def *table = find_table(j, u.table);
  for (size_t i = 0; i < updates->len; i++) {
    u.deletes = u.inserts = (iu_row_list){0};
    if (!get_rows(j, table, &updates->u.elements[i], "deletes", &u.deletes) || !get_rows(j, table, &updates->u.elements[i], "inserts", &u.inserts)) return false;
    if (!iu__input_add(j->in, &u)) return false;
  }
  return true;
}

static bool get_database_update(json_input *j, const iu_json *v) {
  const iu_json *tables;
  if (!get_array(j, v, "tables", &tables)) return false;
  for (size_t i = 0; i < tables->len; i++) {
    if (!get_table_update(j, &tables->u.elements[i])) return false;
  }
  return true;
}

/* ---- messages ---- */

static bool get_initial(json_input *j, const iu_json *v, iu_message *m) {
  m->kind = IU_M_INITIAL;
  m->has_rows = true;
  return get_database_update(j, get(v, "database_update")) && get_request(j, v, m) && get_i64(j, v, "total_host_execution_duration", &m->duration);
}

static bool get_status(json_input *j, const iu_json *status, iu_message *m) {
  const iu_json *committed = get(status, "Committed");
  m->ok = m->has_rows = committed != NULL;
  m->outcome = m->ok ? IU_OUT_COMMITTED : get(status, "OutOfEnergy") != NULL ? IU_OUT_NO_ENERGY : IU_OUT_FAILED;
  if (m->ok) return get_database_update(j, committed);
  return m->outcome == IU_OUT_NO_ENERGY || get_text(j, status, "Failed", &m->text);
}

/* The arguments of a reducer that the schema has, as far as they are its parameters; a rejected call has none. */
static bool get_args(json_input *j, const iu_json *call, iu_message *m) {
  iu_slice text;
  if (!get_text(j, call, "args", &text)) return false;
  int i = j->schema != NULL ? iu__schema_reducer(j->schema, (const char *)m->reducer.p, m->reducer.len) : -1;
  if (i < 0) return true;
  iu_buf args = budgeted(j);
  iu_status status = iu__sats_from_report(j->schema->reducers[i].params, text.p, text.len, &args, NULL);
  bool good = status != IU_E_NOMEM;
  if (status == IU_OK) {
    m->args.p = keep(j, &args);
    m->args.len = args.len;
    good = m->args.p != NULL;
  } else if (!good) {
    iu__fail_nomem(j->in->err);
  }
  iu__buf_free(&args);
  return good;
}

static bool get_transaction(json_input *j, const iu_json *v, iu_message *m) {
  const iu_json *call = get(v, "reducer_call");
  m->kind = IU_M_TRANSACTION;
  m->has_call = true;
  return get_status(j, get(v, "status"), m) && get_i64(j, v, "timestamp", &m->timestamp) &&
         get_wide(j, v, "caller_identity", m->identity, sizeof m->identity) &&
         get_wide(j, v, "caller_connection_id", m->connection_id, sizeof m->connection_id) &&
         get_text(j, call, "reducer_name", &m->reducer) && get_u32(j, call, "reducer_id", &m->reducer_id) && get_args(j, call, m) &&
         get_request(j, call, m) && get_i64(j, v, "total_host_execution_duration", &m->duration);
}

static bool get_light(json_input *j, const iu_json *v, iu_message *m) {
  m->kind = IU_M_TRANSACTION;
  m->light = m->ok = m->has_rows = true;
  return get_request(j, v, m) && get_database_update(j, get(v, "update"));
}

static bool get_connected(json_input *j, const iu_json *v, iu_message *m) {
  m->kind = IU_M_CONNECTED;
  return get_wide(j, v, "identity", m->identity, sizeof m->identity) && get_text(j, v, "token", &m->token) &&
         get_wide(j, v, "connection_id", m->connection_id, sizeof m->connection_id);
}

/* Hex: ours are 4 bytes, the request. */
static bool get_message_id(json_input *j, const iu_json *v, iu_message *m) {
  iu_slice hex;
  uint8_t bytes[4];
  if (!get_text(j, v, "message_id", &hex)) return false;
  m->has_request = hex.len == 2 * sizeof bytes && iu__unhex(bytes, (const char *)hex.p, hex.len);
  if (!m->has_request) return true;
  m->request = iu__load_u32(bytes);
  return true;
}

static bool get_one_off_table(json_input *j, const iu_json *v) {
  iu_table_update u = {0};
  return get_text(j, v, "table_name", &u.table) && get_rows(j, find_table(j, u.table), v, "rows", &u.inserts) && iu__input_add(j->in, &u);
}

static bool get_one_off(json_input *j, const iu_json *v, iu_message *m) {
  const iu_json *error, *tables;
  m->kind = IU_M_ONE_OFF;
  if (!get_message_id(j, v, m) || !get_option(j, v, "error", &error) || !get_array(j, v, "tables", &tables)) return false;
  m->ok = m->has_rows = error == NULL;
  if (!m->ok && !is_text(error)) return bad(j, "error", "an optional string");
  if (!m->ok) m->text = slice_of(error);
  for (size_t i = 0; i < tables->len; i++) {
    if (!get_one_off_table(j, &tables->u.elements[i])) return false;
  }
  return get_i64(j, v, "total_host_execution_duration", &m->duration);
}

static bool get_single(json_input *j, const iu_json *v, iu_message *m) {
  m->has_rows = true;
  return get_request(j, v, m) && get_set(j, v, m) && get_i64(j, v, "total_host_execution_duration_micros", &m->duration) &&
         get_table_update(j, get(get(v, "rows"), "table_rows"));
}

static bool get_subscribed(json_input *j, const iu_json *v, iu_message *m) {
  m->kind = IU_M_SUBSCRIBED;
  return get_single(j, v, m);
}

static bool get_unsubscribed(json_input *j, const iu_json *v, iu_message *m) {
  m->kind = IU_M_UNSUBSCRIBED;
  return get_single(j, v, m);
}

static bool get_subscription_error(json_input *j, const iu_json *v, iu_message *m) {
  m->kind = IU_M_SUBSCRIPTION_ERROR;
  return get_i64(j, v, "total_host_execution_duration_micros", &m->duration) && get_option_u32(j, v, "request_id", &m->has_request, &m->request) &&
         get_option_u32(j, v, "query_id", &m->has_set, &m->set) && get_text(j, v, "error", &m->text);
}

static bool get_multi(json_input *j, const iu_json *v, iu_message *m) {
  m->has_rows = true;
  return get_request(j, v, m) && get_set(j, v, m) && get_i64(j, v, "total_host_execution_duration_micros", &m->duration) &&
         get_database_update(j, get(v, "update"));
}

static bool get_subscribed_multi(json_input *j, const iu_json *v, iu_message *m) {
  m->kind = IU_M_SUBSCRIBED;
  return get_multi(j, v, m);
}

static bool get_unsubscribed_multi(json_input *j, const iu_json *v, iu_message *m) {
  m->kind = IU_M_UNSUBSCRIBED;
  return get_multi(j, v, m);
}

static bool get_procedure(json_input *j, const iu_json *v, iu_message *m) {
  const iu_json *status = get(v, "status"), *returned = get(status, "Returned");
  m->kind = IU_M_PROCEDURE;
  m->ok = returned != NULL;
  m->outcome = m->ok ? IU_OUT_COMMITTED : get(status, "OutOfEnergy") != NULL ? IU_OUT_NO_ENERGY : IU_OUT_INTERNAL;
  if (m->ok && !get_text(j, status, "Returned", &m->value)) return false;
  if (m->outcome == IU_OUT_INTERNAL && !get_text(j, status, "InternalError", &m->text)) return false;
  return get_i64(j, v, "timestamp", &m->timestamp) && get_i64(j, v, "total_host_execution_duration", &m->duration) && get_request(j, v, m);
}

static const struct {
  const char *name;
  bool (*get)(json_input *j, const iu_json *v, iu_message *m);
} MESSAGES[] = {
  {"InitialSubscription", get_initial}, {"TransactionUpdate", get_transaction}, {"TransactionUpdateLight", get_light},
  {"IdentityToken", get_connected}, {"OneOffQueryResponse", get_one_off}, {"SubscribeApplied", get_subscribed},
  {"UnsubscribeApplied", get_unsubscribed}, {"SubscriptionError", get_subscription_error}, {"SubscribeMultiApplied", get_subscribed_multi},
  {"UnsubscribeMultiApplied", get_unsubscribed_multi}, {"ProcedureResult", get_procedure},
};

bool iu__read_json(iu_input *in, const iu_schema *schema, iu_message *m) {
  char shown[4 * 40 + 4];
  iu__error_clear(in->err);
  const iu_json *v = iu__json_parse(&in->payload->inner, in->r->p, iu__reader_left(in->r), in->err);
  in->r->p = in->r->end;
  if (v == NULL) return false;
  if (v->token != IU_J_OBJECT || v->len != 1) {
    iu__fail(in->err, IU_E_VALIDATION, "expected an object with one message");
    return false;
  }
  const iu_json_member *member = &v->u.members[0];
  for (size_t i = 0; i < sizeof MESSAGES / sizeof *MESSAGES; i++) {
    json_input j = {in, schema, MESSAGES[i].name};
    if (strlen(j.kind) == member->key_len && memcmp(j.kind, member->key, member->key_len) == 0) return MESSAGES[i].get(&j, &member->value, m);
  }
  iu__fail(in->err, IU_E_VALIDATION, "unknown message `%s`", iu__printable(shown, 40, member->key, member->key_len));
  return false;
}
