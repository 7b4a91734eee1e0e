/* subscription.c: the query sets of a link (server.h). v1 knows queries by their text, once a connection and once more in the legacy set, and
 * counts who holds them; v2 evaluates each set for itself, a text that comes twice in one set once (protocol sheet 5.5, 6.4).
 */
#include <stdlib.h>

#include "server.h"

static bool is_v1(const peer_link *l) { return l->protocol == IU_P_V1; }
static const iu_table_def *table_of(const peer_link *l, const peer_query *q) { return &l->session->schema->tables[iu__query_table(q->query)]; }
static const char *name_of(const peer_link *l, const peer_query *q) { return q->view ? PEER_VIEW : table_of(l, q)->name; }

/* A query of the view as one of the table below it; false: it is of no view. */
static bool below_view(iu_slice text, iu_buf *out) {
  static const char quoted[] = "\"" PEER_VIEW "\"", from[] = " WHERE ";
  const char *name = quoted, *end = (const char *)text.p + text.len;
  size_t len = sizeof quoted - 1;
  const char *at = memmem(text.p, text.len, name, len);
  if (at == NULL) at = memmem(text.p, text.len, ++name, len -= 2);
  if (at == NULL) return false;
  iu__buf_put(out, text.p, (size_t)(at - (const char *)text.p));
  iu__buf_put_str(out, "entity WHERE entity_type = '" PEER_VIEW_TYPE "'");
  const char *where = memmem(at, (size_t)(end - at), from, sizeof from - 1);
  if (where != NULL) {
    iu__buf_put_str(out, " AND (");
    iu__buf_put(out, where + sizeof from - 1, (size_t)(end - where) - (sizeof from - 1));
    iu__buf_put_u8(out, ')');
  }
  if (out->failed) abort();
  return true;
}

static iu_status parse_query(const peer_link *l, iu_query_use use, iu_slice text, bool *view, iu_query **out, iu_error *err) {
  const iu_connection *c = l->session;
  iu_buf below = {0};
  *view = below_view(text, &below);
  if (*view) text = (iu_slice){below.data, below.len};
  iu_status status = iu__query_parse_for(use, c->schema, (const char *)text.p, text.len, c->identity, c->is_owner, out, err);
  iu__buf_free(&below);
  return status;
}

/* ---- parts ---- */

static peer_part *add_part(const peer_link *l, peer_parts *parts, const peer_query *q, bool transaction) {
  const iu_table_def *table = table_of(l, q);
  bool offsets = l->server->as == PEER_1_2_0 && (transaction || table->row->fixed_size == IU_SIZE_VARIES);
  if (parts->count == parts->cap) {
    parts->cap = parts->cap == 0 ? 8 : parts->cap * 2;
    parts->parts = realloc(parts->parts, parts->cap * sizeof *parts->parts);
    if (parts->parts == NULL) abort();
  }
  peer_part *part = &parts->parts[parts->count++];
  *part = (peer_part){.set = q->set, .table = name_of(l, q), .table_id = q->view ? 4095 : 4096 + iu__query_table(q->query),
                      .hint = offsets ? PEER_HINT_OFFSETS : PEER_HINT_MEASURED};
  return part;
}

void peer__parts_free(peer_parts *parts) {
  for (uint32_t i = 0; i < parts->count; i++) {
    free(parts->parts[i].inserts.rows);
    free(parts->parts[i].deletes.rows);
  }
  free(parts->parts);
  *parts = (peer_parts){0};
}

static bool add_row(void *ud, const iu_row *row) {
  peer__rows_add(ud, (iu_slice){row->data, row->len});
  return true;
}

/* All rows of a query; those of the answer to a Subscribe are inserts. */
static void add_query(const peer_link *l, peer_parts *parts, const peer_query *q, bool leaving) {
  peer_part *part = add_part(l, parts, q, false);
  iu_store *store = l->session->store;
  iu_error err;
  if (iu__query_run(q->query, store, iu__store_epoch(store), add_row, leaving ? &part->deletes : &part->inserts, &err) != IU_OK) abort();
}

static bool matches(const peer_query *q, iu_slice row) { return row.p != NULL && iu__query_matches(q->query, row.p, row.len); }

static void add_join(const peer_link *l, peer_parts *out, peer_query *q) {
  peer_rows inserts = {0}, deletes = {0};
  peer__join_changes(q, l->session->store, &inserts, &deletes);
  if (inserts.count + deletes.count == 0) return;
  peer_part *part = add_part(l, out, q, true);
  part->inserts = inserts;
  part->deletes = deletes;
}

void peer__parts_of_commit(peer_link *l, peer_parts *out) {
  const peer_commit *c = &l->db->commit;
  for (peer_query *q = l->queries; q != NULL; q = q->next) {
    peer_part *part = NULL;
    if (iu__query_is_join(q->query)) {
      add_join(l, out, q);
      continue;
    }
    for (uint32_t i = 0; i < c->count; i++) {
      const peer_change *change = &c->changes[i];
      if (change->table != iu__query_table(q->query)) continue;
      bool left = matches(q, change->old_row), entered = matches(q, change->new_row);
      if (part == NULL && (left || entered)) part = add_part(l, out, q, true);
      if (left) peer__rows_add(&part->deletes, change->old_row);
      if (entered) peer__rows_add(&part->inserts, change->new_row);
    }
  }
}

/* ---- queries ---- */

static bool same_text(const peer_query *q, iu_slice text) { return strlen(q->text) == text.len && memcmp(q->text, text.p, text.len) == 0; }

static peer_query *find_query(const peer_link *l, uint32_t set, bool legacy, iu_slice text) {
  for (peer_query *q = l->queries; q != NULL; q = q->next) {
    if (q->set == set && q->legacy == legacy && same_text(q, text)) return q;
  }
  return NULL;
}

static bool before(const peer_link *l, const peer_query *a, const peer_query *b) {
  if (a->set != b->set) return a->set < b->set;
  return strcmp(name_of(l, a), name_of(l, b)) <= 0;
}

/* The query of that text in the set (v1: of the connection), made when it is not there; *fresh says so. */
static iu_status hold_query(peer_link *l, uint32_t set, bool legacy, iu_slice text, peer_query **out, bool *fresh, iu_error *err) {
  peer_query *q = find_query(l, set, legacy, text), **at = &l->queries;
  iu_query *parsed;
  *fresh = q == NULL;
  *out = q;
  if (q != NULL) {
    q->refs++;
    return IU_OK;
  }
  bool view;
  iu_status status = parse_query(l, IU_QUERY_LIVE, text, &view, &parsed, err);
  if (status != IU_OK) return status;
  q = calloc(1, sizeof *q);
  if (q == NULL || (q->text = strndup((const char *)text.p, text.len)) == NULL) abort();
  q->set = set;
  q->legacy = legacy;
  q->refs = 1;
  q->query = parsed;
  q->view = view;
  if (iu__query_is_join(parsed)) peer__join_keep(q, l->session->store);
  while (*at != NULL && before(l, *at, q)) at = &(*at)->next;
  q->next = *at;
  *at = q;
  *out = q;
  return IU_OK;
}

static void drop_query(peer_link *l, peer_query *q) {
  peer_query **at = &l->queries;
  if (--q->refs > 0) return;
  while (*at != q) at = &(*at)->next;
  *at = q->next;
  peer__join_free(q);
  iu__query_free(q->query);
  free(q->text);
  free(q);
}

void peer__put_query_error(const peer_server *s, const iu_error *err, iu_buf *out) {
  static const char unknown[] = "no such table: `";
  size_t n = sizeof unknown - 1;
  const char *end = strncmp(err->message, unknown, n) == 0 ? strchr(err->message + n, '`') : NULL;
  if (end == NULL) iu__buf_put_str(out, err->message);
  else if (s->as == PEER_1_2_0) iu__buf_printf(out, "`%.*s` is not a valid table", (int)(end - err->message - (long)n), err->message + n);
  else iu__buf_printf(out, "%.*s. If the table exists, it may be marked private.", (int)(end + 1 - err->message), err->message);
}

/* ---- sets ---- */

static peer_set *find_set(const peer_link *l, uint32_t id, bool legacy) {
  peer_set *set = l->sets;
  while (set != NULL && (set->legacy != legacy || (!legacy && set->id != id))) set = set->next;
  return set;
}

static void free_set(peer_set *set) {
  free(set->queries);
  free(set);
}

static void unlink_set(peer_link *l, peer_set *set) {
  peer_set **at = &l->sets;
  while (*at != set) at = &(*at)->next;
  *at = set->next;
}

static void drop_set(peer_link *l, peer_set *set) {
  for (uint32_t i = 0; i < set->count; i++) drop_query(l, set->queries[i]);
  free_set(set);
}

void peer__drop_sets(peer_link *l) {
  while (l->sets != NULL) {
    peer_set *set = l->sets;
    l->sets = set->next;
    drop_set(l, set);
  }
}

/* `SELECT * FROM *`: every public table, for the owner the private ones too. */
static bool is_everything(iu_slice text) { return text.len == 15 && strncasecmp((const char *)text.p, "SELECT * FROM *", 15) == 0; }

static iu_status add_to_set(peer_link *l, peer_set *set, iu_slice text, peer_parts *parts, iu_error *err) {
  peer_query *q;
  bool fresh;
  uint32_t key = is_v1(l) ? 0 : set->id;
  if (!is_v1(l) && find_query(l, key, false, text) != NULL) return IU_OK; /* collapsed */
  iu_status status = hold_query(l, key, set->legacy, text, &q, &fresh, err);
  if (status != IU_OK) return status;
  set->queries = realloc(set->queries, (set->count + 1) * sizeof *set->queries);
  if (set->queries == NULL) abort();
  set->queries[set->count++] = q;
  if (fresh || set->legacy) add_query(l, parts, q, false);
  return IU_OK;
}

static iu_status add_everything(peer_link *l, peer_set *set, peer_parts *parts, iu_error *err) {
  const iu_schema *schema = l->session->schema;
  iu_status status = IU_OK;
  for (uint32_t t = 0; status == IU_OK && t < schema->table_count; t++) {
    iu_buf text = {0};
    if (!schema->tables[t].is_public && !l->session->is_owner) continue;
    iu__buf_printf(&text, "SELECT * FROM %s", schema->tables[t].name);
    status = add_to_set(l, set, (iu_slice){text.data, text.len}, parts, err);
    iu__buf_free(&text);
  }
  return status;
}

/* All of the request's queries, or none and the text of the refusal in `why`. */
static bool fill_set(peer_link *l, peer_set *set, const peer_request *request, peer_parts *parts, iu_buf *why) {
  for (uint32_t i = 0; i < request->count; i++) {
    iu_error err;
    iu_slice text = request->queries[i];
    iu_status status = is_everything(text) && !request->single ? add_everything(l, set, parts, &err) : add_to_set(l, set, text, parts, &err);
    if (status == IU_OK) continue;
    peer__put_query_error(l->server, &err, why);
    iu__buf_put_str(why, ", executing: `");
    iu__buf_put(why, text.p, text.len);
    iu__buf_put_str(why, "`");
    return false;
  }
  return true;
}

/* ---- answers ---- */

static void say_error(peer_link *l, const peer_request *request, iu_slice why) {
  bool legacy = request->kind == PEER_SUBSCRIBE_ALL;
  peer_message m = {.kind = IU_M_SUBSCRIPTION_ERROR, .has_request = true, .request = request->request, .has_set = !legacy, .set = request->set,
                    .text = why, .duration = 100};
  peer__websocket_send(l, &m);
}

/* What 1.2.0 says where it has no better message. */
static void say_failed(peer_link *l, iu_slice why) {
  peer_message m = {.kind = IU_M_TRANSACTION, .outcome = IU_OUT_FAILED, .text = why, .identity = l->session->identity,
                    .connection_id = l->session->connection_id, .timestamp = l->db->commit.timestamp, .reducer = {(const uint8_t *)"<none>", 6},
                    .reducer_id = UINT32_MAX, .args = {(const uint8_t *)"", 0}, .duration = 100};
  peer__websocket_send(l, &m);
}

static void say_in_use(peer_link *l, const peer_request *request) {
  iu_buf why = {0};
  iu__buf_printf(&why, "Subscription with id %u already exists for this client", request->set);
  iu_slice text = {why.data, why.len};
  if (is_v1(l) && l->server->as == PEER_1_2_0) say_failed(l, text);
  else say_error(l, request, text);
  iu__buf_free(&why);
}

/* Only tables with rows, where the protocol wants that. */
static void leave_out_empty(peer_parts *parts) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < parts->count; i++) {
    if (parts->parts[i].inserts.count == 0) free(parts->parts[i].inserts.rows);
    else parts->parts[kept++] = parts->parts[i];
  }
  parts->count = kept;
}

static void add_set(peer_link *l, peer_set *set) {
  peer_set **at = &l->sets;
  while (*at != NULL && (*at)->id < set->id) at = &(*at)->next;
  set->next = *at;
  *at = set;
}

void peer__subscribe(peer_link *l, const peer_request *request) {
  bool legacy = request->kind == PEER_SUBSCRIBE_ALL;
  peer_parts parts = {0};
  iu_buf why = {0};
  if (!legacy && find_set(l, request->set, false) != NULL) {
    say_in_use(l, request);
    return;
  }
  peer_set *set = calloc(1, sizeof *set);
  if (set == NULL) abort();
  set->id = request->set;
  set->legacy = legacy;
  if (!fill_set(l, set, request, &parts, &why)) {
    drop_set(l, set);
    iu_slice text = {why.data, why.len};
    if (legacy && l->server->as == PEER_1_2_0) say_failed(l, text);
    else say_error(l, request, text);
  } else {
    peer_set *old = legacy ? find_set(l, 0, true) : NULL;
    if (old != NULL) {
      unlink_set(l, old);
      drop_set(l, old);
    }
    add_set(l, set);
    if (is_v1(l) && !request->single) leave_out_empty(&parts);
    /* A single query that is held already sends its rows all the same. */
    if (request->single && parts.count == 0) add_query(l, &parts, set->queries[0], false);
    peer_message m = {.kind = legacy ? IU_M_INITIAL : IU_M_SUBSCRIBED, .single = request->single, .request = request->request, .set = request->set,
                      .duration = 100, .parts = parts.parts, .count = parts.count};
    peer__websocket_send(l, &m);
  }
  iu__buf_free(&why);
  peer__parts_free(&parts);
}

void peer__unsubscribe(peer_link *l, const peer_request *request) {
  peer_set *set = find_set(l, request->set, false);
  peer_parts parts = {0};
  bool rows = is_v1(l) || request->send_dropped_rows, held = false;
  if (set == NULL) {
    static const char why[] = "Subscription not found";
    say_error(l, request, (iu_slice){(const uint8_t *)why, sizeof why - 1});
    return;
  }
  for (uint32_t i = 0; i < set->count; i++) {
    bool last = true;
    for (uint32_t k = i + 1; k < set->count; k++) last = last && set->queries[k] != set->queries[i];
    held = held || set->queries[i]->refs > 1;
    if (rows && last && set->queries[i]->refs == 1) add_query(l, &parts, set->queries[i], true);
  }
  if (request->single && (held || set->count != 1)) { /* the id is gone all the same */
    say_error(l, request, (iu_slice){(const uint8_t *)"Internal error", 14});
  } else {
    peer_message m = {.kind = IU_M_UNSUBSCRIBED, .single = request->single, .request = request->request, .set = request->set, .has_rows = rows,
                      .duration = 100, .parts = parts.parts, .count = parts.count};
    peer__websocket_send(l, &m);
  }
  unlink_set(l, set);
  drop_set(l, set);
  peer__parts_free(&parts);
}

void peer__fail_set(peer_link *l, uint32_t id) {
  peer_set *set = find_set(l, id, false);
  static const char why[] = "the query could not be evaluated any more";
  if (set == NULL) return;
  peer_message m = {.kind = IU_M_SUBSCRIPTION_ERROR, .set = id, .text = {(const uint8_t *)why, sizeof why - 1}, .duration = 100};
  if (is_v1(l)) {
    peer__drop_sets(l);
  } else {
    unlink_set(l, set);
    drop_set(l, set);
  }
  peer__websocket_send(l, &m);
}

/* ---- one-off queries ---- */

static void answer_one_off(peer_link *l, const peer_request *request, const peer_parts *parts, iu_slice why) {
  peer_message m = {.kind = IU_M_ONE_OFF, .request = request->request, .value = request->id, .text = why, .duration = 100,
                    .outcome = why.p != NULL ? IU_OUT_FAILED : IU_OUT_COMMITTED, .parts = parts->parts, .count = parts->count};
  peer__websocket_send(l, &m);
}

/* Joins need no index here. What the HTTP API alone has is refused in the words of a subscription. */
static iu_status parse_one_off(const peer_link *l, iu_slice text, peer_query *q, iu_error *err) {
  iu_status status = parse_query(l, IU_QUERY_ONCE, text, &q->view, &q->query, err);
  if (status != IU_OK || (!iu__query_is_count(q->query) && !iu__query_has_columns(q->query) && iu__query_limit(q->query) == UINT64_MAX)) return status;
  iu__query_free(q->query);
  return parse_query(l, IU_QUERY_LIVE, text, &q->view, &q->query, err);
}

void peer__one_off(peer_link *l, const peer_request *request) {
  peer_parts parts = {0};
  peer_query q = {.set = 0};
  iu_error err;
  if (l->server->fault.answer_bytes >= 0) {
    size_t len = (size_t)l->server->fault.answer_bytes;
    uint8_t *text = malloc(len + 1);
    if (text == NULL) abort();
    memset(text, 'x', len);
    l->server->fault.answer_bytes = -1;
    answer_one_off(l, request, &parts, (iu_slice){text, len});
    free(text);
    return;
  }
  if (parse_one_off(l, request->text, &q, &err) != IU_OK) {
    iu_buf why = {0};
    peer__put_query_error(l->server, &err, &why);
    answer_one_off(l, request, &parts, (iu_slice){why.data, why.len});
    iu__buf_free(&why);
    return;
  }
  add_query(l, &parts, &q, false);
  answer_one_off(l, request, &parts, (iu_slice){NULL, 0});
  peer__parts_free(&parts);
  iu__query_free(q.query);
}
