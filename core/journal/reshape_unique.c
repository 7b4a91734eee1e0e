/* reshape_unique.c: the rows of a table against its unique constraints, where SQLite does not keep them: by the hash of the columns' bytes, 16 bytes of memory a row. Where
 * a hash comes twice the rows before are read again, so that only equal values are a conflict. */
#include "reshape_internal.h"

#include "../base/alloc.h"
#include "../base/hash.h"
#include "../sats/sats_json.h"

#define SLOTS_MIN 1024u
#define SHOWN_MAX 160

void iu__reshape_show(const iu_table_def *def, const uint16_t *columns, uint32_t count, iu_slice row, iu_buf *out) {
  for (uint32_t i = 0; i < count; i++) {
    const iu_field *f = &def->row->u.fields[columns[i]];
    iu_slice v = iu__bsatn_column(def->row, columns[i], row.p, row.len);
    iu_reader r = iu__reader(v.p, v.len);

    iu__buf_printf(out, "%s%s = ", i != 0 ? ", " : "", f->name);
    if (!out->failed) (void)iu__sats_to_json(f->type, &r, IU_SJ_READABLE, out, NULL);
  }
  if (out->len > SHOWN_MAX) {
    size_t len = SHOWN_MAX;

    while (len > 0 && (out->data[len] & 0xc0) == 0x80) len--; /* not inside a character */
    out->len = len;
    iu__buf_put_str(out, "...");
  }
  iu__buf_put_u8(out, 0);
}

typedef struct seen { uint64_t *slots; uint64_t count, room; } seen; /* 0: a free slot */

static iu_status grow(seen *s, iu_error *err) {
  uint64_t room = s->room == 0 ? SLOTS_MIN : 2 * s->room;
  uint64_t *slots = iu__alloc_zero((size_t)room, sizeof *slots);

  if (slots == NULL) return iu__fail_nomem(err);
  for (uint64_t i = 0; i < s->room; i++) {
    uint64_t at = s->slots[i] & (room - 1);

    if (s->slots[i] == 0) continue;
    while (slots[at] != 0) at = (at + 1) & (room - 1);
    slots[at] = s->slots[i];
  }
  iu__free(s->slots);
  s->slots = slots;
  s->room = room;
  return IU_OK;
}

static iu_status note(seen *s, uint64_t hash, bool *again, iu_error *err) {
  uint64_t at;
  iu_status status = 2 * (s->count + 1) > s->room ? grow(s, err) : IU_OK;

  *again = false;
  if (status != IU_OK) return status;
  if (hash == 0) hash = 1;
  for (at = hash & (s->room - 1); s->slots[at] != 0; at = (at + 1) & (s->room - 1)) {
    if (s->slots[at] == hash) *again = true;
    if (*again) return IU_OK;
  }
  s->slots[at] = hash;
  s->count++;
  return IU_OK;
}

typedef struct constraint { sqlite3 *db; const iu_catalog_table *t; const char *shown; const uint16_t *columns; uint32_t count; } constraint;

static iu_status prepare_rows(const constraint *c, sqlite3_stmt **out, iu_error *err) {
  iu_buf sql = {0};
  iu_status status;

  iu__buf_put_str(&sql, "SELECT \"_row\" FROM ");
  iu__jdb_quote(&sql, c->t->def->name);
  iu__buf_put_u8(&sql, 0);
  status = iu__buf_status(&sql, err, iu__reshaping);
  if (status == IU_OK) status = iu__jdb_prepare(c->db, (const char *)sql.data, out, iu__reshaping, err);
  iu__buf_free(&sql);
  return status;
}

/* The next row, and its columns behind each other in `key`. */
static iu_status next_key(const constraint *c, sqlite3_stmt *st, bool *row, iu_slice *bytes, iu_buf *key, iu_error *err) {
  iu_status status = iu__jdb_step(c->db, st, row, iu__reshaping, err);

  if (status != IU_OK || !*row) return status;
  *bytes = (iu_slice){sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0)};
  iu__buf_reset(key);
  for (uint32_t i = 0; i < c->count; i++) {
    iu_slice v = iu__bsatn_column(c->t->def->row, c->columns[i], bytes->p, bytes->len);
    iu__buf_put(key, v.p, v.len);
  }
  return iu__buf_status(key, err, iu__reshaping);
}

static iu_status conflict(const constraint *c, iu_slice row, iu_error *err) {
  iu_buf text = {0};

  iu__reshape_show(c->t->def, c->columns, c->count, row, &text);
  (void)iu__fail(err, IU_E_CONFLICT, "table `%s`: more than one row with %s", c->shown, text.failed ? "the same values" : (const char *)text.data);
  iu__buf_free(&text);
  return IU_E_CONFLICT;
}

/* Is there one with this key before row number `number`? */
static iu_status look_back(const constraint *c, uint64_t number, const iu_buf *key, iu_error *err) {
  sqlite3_stmt *st = NULL;
  iu_buf other = {0};
  iu_slice bytes;
  bool row = true;
  iu_status status = prepare_rows(c, &st, err);

  for (uint64_t i = 0; i < number && row && status == IU_OK; i++) {
    status = next_key(c, st, &row, &bytes, &other, err);
    if (status == IU_OK && row && other.len == key->len && memcmp(other.data, key->data, key->len) == 0) status = conflict(c, bytes, err);
  }
  iu__buf_free(&other);
  sqlite3_finalize(st);
  return status;
}

static iu_status check(const constraint *c, iu_error *err) {
  seen s = {NULL, 0, 0};
  sqlite3_stmt *st = NULL;
  iu_buf key = {0};
  iu_slice bytes;
  bool row = true, again;
  iu_status status = prepare_rows(c, &st, err);

  for (uint64_t number = 0; row && status == IU_OK; number++) {
    status = next_key(c, st, &row, &bytes, &key, err);
    if (status != IU_OK || !row) break;
    status = note(&s, iu__hash64(key.data, key.len), &again, err);
    if (status == IU_OK && again) status = look_back(c, number, &key, err);
  }
  iu__buf_free(&key);
  iu__free(s.slots);
  sqlite3_finalize(st);
  return status;
}

iu_status iu__reshape_unique(sqlite3 *db, const iu_catalog_table *t, const char *shown, iu_error *err) {
  const iu_table_def *def = t->def;
  uint16_t key = (uint16_t)(def->primary_key < 0 ? 0 : def->primary_key);
  iu_status status = IU_OK;

  if (def->primary_key >= 0 && t->key_is_row) status = check(&(constraint){db, t, shown, &key, 1}, err);
  for (uint32_t i = 0; i < def->index_count && status == IU_OK; i++) {
    const iu_index_def *index = &def->indexes[i];

    if (index->unique) status = check(&(constraint){db, t, shown, index->columns, index->column_count}, err);
  }
  return status;
}
