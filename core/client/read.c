/* read.c: one-off reads. From the replica at once, where a subscription holds the whole table and the connection stands; else by a one-off query, whose
 * rows are copied, checked and, for a selection, filtered here.
 */
#include <stdio.h>

#include "../base/alloc.h"
#include "../base/hash.h"
#include "../query/sql_text.h"
#include "internal.h"

struct iu_read {
  iu_copied_rows *out;
  const iu_table_def *def;   /* NULL: whatever the answer says */
  iu_selection *selection;   /* NULL: all rows of the answers */
  bool done;                 /* the selection's page is full */
  uint32_t parts;            /* one-off queries without an answer */
  bool failed; iu_error why; /* of one of them */
  size_t bytes;
  bool has_key; iu_slice key; /* get: the key that is wanted, whatever the query could say; in the arena */
  bool merge;                /* several queries, each of its own moment: of rows with one key the first counts */
  const iu_row **seen; uint64_t seen_count, seen_cap; /* merge: a hash set; cap is a power of two */
};

/* ---- row sets ---- */

static void answered_release(iu_rows *rows) {
  iu_world *w = rows->owner;
  iu__copied_rows_free(rows);
  iu__world_drop(w);
}

static void local_release(iu_rows *rows) {
  iu_world *w = rows->owner;
  iu__rows_free(rows);
  iu__world_drop(w);
}

static iu_status give_local(iu_client *c, iu_status status, iu_rows *const *given) {
  if (status != IU_OK) return status;
  iu_rows *rows = *given;
  rows->owner = iu__world_hold(c);
  rows->release = rows->release == iu__copied_rows_free ? answered_release : local_release; /* results of their own are copies */
  return IU_OK;
}

/* ---- a read that asks the server ---- */

static void read_free(iu_read *read) {
  if (read == NULL) return;
  iu__selection_free(read->selection);
  if (read->out != NULL) answered_release(&read->out->rows);
  iu__free(read->seen);
  iu__free(read);
}

static iu_read *read_new(iu_client *c, const iu_table_def *def, iu_error *err) {
  iu_read *read = iu__alloc_zero(1, sizeof *read);
  if (read == NULL) {
    iu__fail_nomem(err);
    return NULL;
  }
  if (iu__copied_rows_new(def, &read->out, err) != IU_OK) {
    iu__free(read);
    return NULL;
  }
  read->out->rows.release = answered_release;
  read->out->rows.owner = iu__world_hold(c);
  read->def = def;
  return read;
}

/* Sends one query of a read that exists. When it fails, nothing of it is left. */
static iu_status ask(iu_client *c, iu_read *read, uint64_t pending, const void *sql, size_t len, iu_error *err) {
  iu_request *r = iu__request_new(c, IU_R_ONE_OFF, sql, len, err);
  if (r == NULL) return IU_E_NOMEM;
  r->pending = pending;
  r->read = read;
  iu_status status = iu__request_queue(c, r, err);
  if (status == IU_OK) read->parts++;
  return status;
}

static iu_status ask_one(iu_client *c, iu_read *read, const void *sql, size_t len, uint64_t *pending, iu_error *err) {
  uint64_t id = ++c->next_pending;
  iu_status status = ask(c, read, id, sql, len, err);
  if (status != IU_OK) read_free(read);
  else *pending = id;
  return status;
}

/* ---- the answer: rows of several queries ---- */

static iu_slice identity_of(const iu_table_def *def, const iu_row *row) {
  if (def->primary_key < 0) return (iu_slice){row->data, row->len};
  return iu__bsatn_column(def->row, (uint32_t)def->primary_key, row->data, row->len);
}

/* Where the row is, or would be. */
static const iu_row **seen_at(const iu_read *read, const iu_row **seen, uint64_t cap, const iu_row *row) {
  iu_slice id = identity_of(read->def, row);
  uint64_t at = iu__hash64(id.p, id.len) & (cap - 1);
  for (; seen[at] != NULL; at = (at + 1) & (cap - 1)) {
    iu_slice other = identity_of(read->def, seen[at]);
    if (other.len == id.len && memcmp(other.p, id.p, id.len) == 0) break;
  }
  return &seen[at];
}

static bool grow_seen(iu_read *read) {
  uint64_t cap = read->seen_cap == 0 ? 64 : read->seen_cap * 2;
  const iu_row **more = iu__alloc_zero(cap, sizeof *more);
  if (more == NULL) return false;
  for (uint64_t i = 0; i < read->seen_cap; i++) {
    if (read->seen[i] != NULL) *seen_at(read, more, cap, read->seen[i]) = read->seen[i];
  }
  iu__free(read->seen);
  read->seen = more;
  read->seen_cap = cap;
  return true;
}

static iu_status note_row(iu_read *read, const iu_row *row, bool *again, iu_error *err) {
  *again = false;
  if (!read->merge) return IU_OK;
  if (read->seen_count * 2 >= read->seen_cap && !grow_seen(read)) return iu__fail_nomem(err);
  const iu_row **place = seen_at(read, read->seen, read->seen_cap, row);
  *again = *place != NULL;
  if (*again) return IU_OK;
  *place = row;
  read->seen_count++;
  return IU_OK;
}

static iu_status take_row(const iu_client *c, iu_read *read, iu_slice bytes, iu_error *err) {
  iu_status status = iu__bsatn_check_all(read->def->row, bytes.p, bytes.len, err);
  if (status != IU_OK) {
    iu__error_prefix(err, "the server told a row of `%s` that is none", read->def->name);
    return status;
  }
  read->bytes += bytes.len + sizeof(iu_row);
  if (read->bytes > c->config.answer_bytes_max) {
    return iu__fail(err, IU_E_OVERLOADED, "the answer is larger than %zu bytes", c->config.answer_bytes_max);
  }
  if (read->has_key) {
    iu_slice key = iu__bsatn_column(read->def->row, (uint32_t)read->def->primary_key, bytes.p, bytes.len);
    if (key.len != read->key.len || memcmp(key.p, read->key.p, key.len) != 0) return IU_OK;
  }
  iu_row *row = iu__copied_rows_copy(read->out, bytes);
  if (row == NULL) return iu__fail_nomem(err);
  bool again;
  status = note_row(read, row, &again, err);
  if (status != IU_OK || again) return status;
  if (read->selection != NULL) return iu__selection_offer(read->selection, row, &read->done, err);
  return iu__rows_add(&read->out->rows, &read->out->cap, row) ? IU_OK : iu__fail_nomem(err);
}

static iu_status take_update(const iu_client *c, iu_read *read, const iu_table_update *u, iu_error *err) {
  const iu_schema *schema = ((const iu_world *)read->out->rows.owner)->schema;
  char name[64 * 4 + 4];
  int table = iu__schema_table(schema, (const char *)u->table.p, u->table.len);
  const iu_table_def *def = table >= 0 ? &schema->tables[table] : NULL;
  if (def == NULL || (read->def != NULL && read->def != def)) {
    return iu__fail(err, IU_E_VALIDATION, "the answer has rows of `%s`, %s", iu__printable(name, 64, u->table.p, u->table.len),
                    def == NULL ? "which the module does not define" : "which was not asked for");
  }
  read->def = read->out->rows.table = def;
  for (uint32_t i = 0; i < u->inserts.count && !read->done; i++) {
    iu_status status = take_row(c, read, iu__row_list_at(&u->inserts, i), err);
    if (status != IU_OK) return status;
  }
  return IU_OK;
}

static iu_status take_answer(const iu_client *c, iu_read *read, const iu_message *m, iu_error *err) {
  char words[4 * 800 + 4];
  if (!m->ok) return iu__fail(err, IU_E_VALIDATION, "%s", iu__printable(words, 800, m->text.p, m->text.len));
  for (uint32_t i = 0; i < m->update_count; i++) {
    iu_status status = take_update(c, read, &m->updates[i], err);
    if (status != IU_OK) return status;
  }
  return IU_OK;
}

static iu_status select_page(iu_read *read, iu_error *err) {
  iu_status status = iu__selection_finish(read->selection, err);
  if (status == IU_OK) status = iu__rows_add_page(&read->out->rows, &read->out->cap, read->selection, err);
  read->out->rows.matched = read->done ? IU_MATCHED_UNKNOWN : iu__selection_matched(read->selection);
  return status;
}

/* One part is answered; the last one answers the read. r is freed. */
static void part_done(iu_client *c, iu_request *r) {
  iu_read *read = r->read;
  iu_rows *rows;
  iu_error err;
  iu_status status;
  r->read = NULL;
  if (--read->parts > 0) {
    iu__request_free(r);
    return;
  }
  err = read->why;
  status = read->failed ? read->why.status : IU_OK;
  read->out->rows.matched = read->out->rows.count;
  if (status == IU_OK && read->selection != NULL) status = select_page(read, &err);
  rows = &read->out->rows;
  if (status == IU_OK) read->out = NULL; /* given */
  read_free(read);
  iu__request_answer(c, r, status, &err, status == IU_OK ? rows : NULL, NULL);
}

void iu__read_answered(iu_client *c, iu_request *r, const iu_message *m) {
  iu_read *read = r->read;
  iu_error err;
  if (!read->failed && !r->forgotten && take_answer(c, read, m, &err) != IU_OK) {
    read->failed = true;
    read->why = err;
  }
  part_done(c, r);
}

void iu__read_failed(iu_client *c, iu_request *r, iu_status status, const iu_error *err) {
  iu_read *read = r->read;
  if (!read->failed) {
    read->failed = true;
    read->why = *err;
    read->why.status = status;
  }
  part_done(c, r);
}

bool iu__read_oversized(iu_client *c, const uint8_t *bytes, size_t len) {
  char words[80];
  uint32_t id;
  if (!c->online || !iu__payload_is_one_off(c->protocol, bytes, len, &id)) return false;
  iu_request *r = iu__request_match(c, id);
  if (r == NULL) return false;
  snprintf(words, sizeof words, "the answer is larger than %zu bytes", c->config.message_bytes_max);
  if (r->kind != IU_R_ONE_OFF) {
    iu__request_fly_again(c, r); /* the peer is confused: the connection ends */
    return false;
  }
  iu__request_end(c, r, IU_E_OVERLOADED, words);
  return true;
}

void iu__read_part_dropped(iu_request *r) {
  r->read->parts--;
  r->read = NULL;
}

/* ---- the seam ---- */

/* The replica tells the latest state that the server has told, and answers of own calls come after what they changed. */
static bool is_whole(const iu_client *c, uint32_t table) { return c->online && c->ws != NULL && !c->resync && c->whole[table] > 0; }
static uint64_t shown(const iu_client *c) { return iu__view_epoch(c->base.view); }

static bool parse_once(const iu_connection *conn, const char *sql, size_t len, iu_query **q) {
  return iu__query_parse_for(IU_QUERY_ONCE, conn->schema, sql, len, conn->identity, true, q, NULL) == IU_OK;
}

static bool reads_whole(const iu_client *c, const iu_query *q) {
  if (!iu__query_is_join(q)) return is_whole(c, iu__query_table(q));
  const iu_query_side *sides = iu__query_sides(q);
  return is_whole(c, sides[0].table) && is_whole(c, sides[1].table);
}

bool iu__client_query_is_sql(iu_connection *conn, const char *sql, size_t len) {
  const iu_client *c = iu__client_of(conn);
  iu_query *q;
  if (len > IU_SQL_MAX || !parse_once(conn, sql, len, &q)) return false;
  bool more = iu__query_is_count(q) || iu__query_has_columns(q) || iu__query_limit(q) != UINT64_MAX;
  bool asked = more && !reads_whole(c, q);
  iu__query_free(q);
  return asked;
}

iu_status iu__client_query(iu_connection *conn, const char *sql, size_t len, iu_rows **out, uint64_t *pending, iu_error *err) {
  iu_client *c = iu__client_of(conn);
  iu_query *q;
  iu_status status = iu__client_check_open(c, err);
  *pending = 0;
  *out = NULL;
  if (status != IU_OK) return status;
  if (len > IU_SQL_MAX) return iu__fail(err, IU_E_VALIDATION, "a query of %zu bytes is longer than %d", len, IU_SQL_MAX);
  if (parse_once(conn, sql, len, &q)) { /* else the server knows more than we do, or says what is wrong */
    bool local = reads_whole(c, q);
    if (local) status = give_local(c, iu__rows_query(conn->store, shown(c), q, out, err), out);
    iu__query_free(q);
    if (local) return status;
  }
  iu_read *read = read_new(c, NULL, err);
  return read == NULL ? IU_E_NOMEM : ask_one(c, read, sql, len, pending, err);
}

/* Every part is asked for before one of them can be answered; where one cannot be, the others' answers are dropped. */
static iu_status ask_parts(iu_client *c, iu_read *read, const iu_narrow *n, uint64_t *pending, iu_error *err) {
  uint64_t id = ++c->next_pending;
  iu_status status = IU_OK;
  for (uint32_t i = 0; status == IU_OK && i < n->count; i++) status = ask(c, read, id, n->queries[i].p, n->queries[i].len, err);
  if (status == IU_OK) {
    *pending = id;
    return IU_OK;
  }
  iu__request_drop_pending(c, id); /* waiting ones; those that are in flight are forgotten and free the read in the end */
  if (read->parts == 0) read_free(read);
  return status;
}

static iu_status give_nothing(iu_read *read, iu_rows **out) {
  *out = &read->out->rows;
  read->out = NULL;
  read_free(read);
  return IU_OK;
}

iu_status iu__client_select(iu_connection *conn, uint32_t table, const iu_selection_spec *spec, iu_rows **out, uint64_t *pending, iu_error *err) {
  iu_client *c = iu__client_of(conn);
  iu_narrow narrow;
  iu_status status = iu__client_check_open(c, err);
  *pending = 0;
  *out = NULL;
  if (status == IU_OK) status = iu__conn_check_table(conn, table, err);
  if (status != IU_OK) return status;
  if (is_whole(c, table)) {
    status = iu__rows_select(conn->store, shown(c), table, spec, NULL, out, err);
    return give_local(c, status, out);
  }
  iu_read *read = read_new(c, &conn->schema->tables[table], err);
  if (read == NULL) return IU_E_NOMEM;
  status = iu__selection_new(read->def, spec, &read->selection, err);
  if (status == IU_OK) status = iu__narrow(read->def, spec, &narrow, err);
  if (status != IU_OK) {
    read_free(read);
    return status;
  }
  read->merge = narrow.count > 1;
  if (narrow.nothing) status = give_nothing(read, out);
  else status = ask_parts(c, read, &narrow, pending, err);
  iu__narrow_free(&narrow);
  return status;
}

static iu_status keep_key(iu_read *read, const void *key, size_t len, iu_error *err) {
  uint8_t *copy = iu__arena_alloc(&read->out->arena, len != 0 ? len : 1);
  if (copy == NULL) return iu__fail_nomem(err);
  if (len != 0) memcpy(copy, key, len);
  read->has_key = true;
  read->key = (iu_slice){copy, len};
  return IU_OK;
}

iu_status iu__client_get(iu_connection *conn, uint32_t table, const void *key, size_t len, iu_rows **out, uint64_t *pending, iu_error *err) {
  iu_client *c = iu__client_of(conn);
  iu_buf sql = {0};
  iu_status status = iu__client_check_open(c, err);
  *pending = 0;
  *out = NULL;
  if (status == IU_OK) status = iu__conn_check_table(conn, table, err);
  if (status == IU_OK) status = iu__rows_check_key(&conn->schema->tables[table], key, len, err);
  if (status != IU_OK) return status;
  if (is_whole(c, table)) {
    status = iu__rows_get(conn->store, shown(c), table, key, len, out, err);
    return give_local(c, status, out);
  }
  iu_read *read = read_new(c, &conn->schema->tables[table], err);
  if (read == NULL) return IU_E_NOMEM;
  const iu_field *column = &read->def->row->u.fields[read->def->primary_key];
  iu__narrow_whole(read->def, &sql);
  size_t whole = sql.len;
  iu__buf_put_str(&sql, " WHERE ");
  if (!iu__sql_put_condition(&sql, column->name, " = ", iu__type_deref(column->type), (iu_slice){key, len}) && !sql.failed) sql.len = whole;
  status = keep_key(read, key, len, err);
  if (status == IU_OK) status = iu__buf_status(&sql, err, "a query");
  if (status == IU_OK) status = ask_one(c, read, sql.data, sql.len, pending, err);
  else read_free(read);
  iu__buf_free(&sql);
  return status;
}

#define EXPLAINED_SQL_MAX 1000

iu_status iu__client_explain(iu_connection *conn, uint32_t table, const iu_selection_spec *spec, iu_buf *out, iu_error *err) {
  iu_client *c = iu__client_of(conn);
  iu_narrow narrow;
  iu_status status = iu__client_check_open(c, err);
  if (status == IU_OK) status = iu__conn_check_table(conn, table, err);
  if (status != IU_OK) return status;
  if (is_whole(c, table)) return iu__rows_explain(conn->store, table, spec, NULL, "replica", out, err);
  status = iu__narrow(&conn->schema->tables[table], spec, &narrow, err);
  if (status != IU_OK) return status;
  if (narrow.nothing) {
    iu__buf_put_str(out, "no row can match: nothing is asked");
  } else {
    if (narrow.count == 1) iu__buf_put_str(out, "one-off query: ");
    else iu__buf_printf(out, "%u one-off queries, the first: ", narrow.count);
    size_t len = narrow.queries[0].len;
    while (len > EXPLAINED_SQL_MAX && (len > EXPLAINED_SQL_MAX + 3 || (narrow.queries[0].p[len] & 0xc0) == 0x80)) len--;
    iu__buf_put(out, narrow.queries[0].p, len);
    if (len < narrow.queries[0].len) iu__buf_put_str(out, "...");
    if (spec->filter_count > 0 || spec->order_by != NULL || spec->has_limit) iu__buf_put_str(out, "; filtered here");
  }
  iu__narrow_free(&narrow);
  return iu__buf_status(out, err, "explanation");
}
