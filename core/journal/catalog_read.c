/* catalog_read.c: does the file still hold the tables of the schema? Reads `_iu_table`, gives ids, lists differences. */
#include "db.h"
#include "catalog.h"

#define SHOWN_BYTES 640 /* of the list in the message; one more entry, and how many are left out, fit behind that */
#define ENTRY_SHOWN 280 /* of one entry there */
#define LINE_SHOWN 1024 /* of a line of a definition, where entries are told one by one */

typedef struct differences {
  iu_difference_fn tell; /* may be NULL */
  void *ud;
  iu_buf text, entry;
  uint32_t count, hidden;
} differences;

static void put_line(iu_buf *out, const char *line, size_t len) {
  char shown[4 * LINE_SHOWN + 4];

  if (len == 0) iu__buf_put_str(out, "nothing");
  else iu__buf_printf(out, "`%s`", iu__printable(shown, LINE_SHOWN, line, len));
}

/* The entry is complete: told whole, and put into the message while there is room. */
static void end(differences *d, const char *table) {
  size_t len = d->entry.len, cut = len;

  d->count++;
  iu__buf_put_u8(&d->entry, 0);
  if (d->entry.failed) {
    d->text.failed = d->entry.failed;
    return;
  }
  if (d->tell != NULL) d->tell(d->ud, table, (const char *)d->entry.data);
  if (d->text.len > SHOWN_BYTES) d->hidden++;
  else {
    if (len > ENTRY_SHOWN)
      for (cut = ENTRY_SHOWN; cut > 0 && (d->entry.data[cut] & 0xc0) == 0x80; cut--) {} /* not inside a character */
    iu__buf_printf(&d->text, "%stable `%s`: %.*s%s", d->count > 1 ? "; " : "", table, (int)cut, (const char *)d->entry.data, cut < len ? "..." : "");
  }
  iu__buf_reset(&d->entry);
}

typedef struct line { const char *p; size_t len; } line;

static bool next_line(const char **text, line *out) {
  out->p = *text;
  out->len = strcspn(*text, "\n");
  *text += out->len + (out->p[out->len] == '\n');
  return out->len != 0;
}

/* How much of a line says what it is about: a column's name, that there is a primary key; a constraint is all of it. */
static size_t subject_of(line l) {
  static const char column[] = "column ", key[] = "primary key ";
  size_t n = sizeof column - 1;

  if (strncmp(l.p, key, sizeof key - 1) == 0) return sizeof key - 1;
  if (strncmp(l.p, column, n) != 0) return l.len;
  while (n < l.len && l.p[n] != ' ') n++;
  return n + 1;
}

/* The line about the same thing in another definition; empty when there is none. */
static line counterpart(line wanted, const char *definition) {
  size_t subject = subject_of(wanted);
  line l;

  while (next_line(&definition, &l)) {
    if (l.len >= subject && subject_of(l) == subject && memcmp(l.p, wanted.p, subject) == 0) return l;
  }
  return (line){"", 0};
}

static void put_both(differences *d, line file, line schema) {
  put_line(&d->entry, file.p, file.len);
  iu__buf_put_str(&d->entry, " in the file is ");
  put_line(&d->entry, schema.p, schema.len);
  iu__buf_put_str(&d->entry, " in the schema");
}

static bool begins_with(line l, const char *word) { return strncmp(l.p, word, strlen(word)) == 0; }

/* How many columns the definition begins with. */
static uint32_t count_columns(const char *definition) {
  uint32_t n = 0;
  line l;

  while (next_line(&definition, &l) && begins_with(l, "column ")) n++;
  return n;
}

/* A column behind all that the file has, with a value for the rows that are there. */
static bool is_addable(const iu_catalog_table *t, line l, uint32_t file_columns) {
  uint32_t i = file_columns;

  if (!begins_with(l, "column ")) return false;
  for (; i < t->def->row->count; i++) {
    const char *name = t->def->row->u.fields[i].name;
    size_t len = strlen(name);

    if (l.len > 7 + len && memcmp(l.p + 7, name, len) == 0 && l.p[7 + len] == ' ') return t->def->defaults != NULL && t->def->defaults[i].p != NULL;
  }
  return false;
}

static void report_added(differences *d, const iu_catalog_table *t, line l) {
  put_both(d, (line){"", 0}, l);
  if (begins_with(l, "column ")) iu__buf_put_str(&d->entry, " (a column is added behind all others, with a default value)");
  end(d, t->def->name);
}

static void compare_definitions(differences *d, iu_catalog_table *t, const char *file) {
  uint32_t before = d->count;
  const char *rest, *rest_file, *schema = t->definition;
  line l, other;

  t->file_columns = count_columns(file);
  if (strcmp(file, schema) == 0) return;
  t->changed = true;
  for (rest = file; next_line(&rest, &l);) {
    other = counterpart(l, schema);
    if (begins_with(l, "unique ") || (other.len == l.len && memcmp(other.p, l.p, l.len) == 0)) continue;
    put_both(d, l, other);
    end(d, t->def->name);
  }
  for (rest = schema; next_line(&rest, &l);) {
    if (counterpart(l, file).len == 0 && !begins_with(l, "unique ") && !is_addable(t, l, t->file_columns)) report_added(d, t, l);
  }
  if (d->count != before) return;
  for (rest = schema, rest_file = file; next_line(&rest_file, &other) && begins_with(other, "column ");) {
    if (next_line(&rest, &l) && l.len == other.len && memcmp(l.p, other.p, l.len) == 0) continue;
    iu__buf_put_str(&d->entry, "its columns are in another order");
    end(d, t->def->name);
    return;
  }
}

static iu_catalog_table *find(iu_catalog *l, const char *name) {
  for (uint32_t i = 0; i < l->count; i++) {
    if (strcmp(l->tables[i].def->name, name) == 0) return &l->tables[i];
  }
  return NULL;
}

static iu_status read_table(iu_catalog *l, sqlite3_stmt *st, differences *d, iu_error *err) {
  int64_t id = sqlite3_column_int64(st, 0);
  const char *name = (const char *)sqlite3_column_text(st, 1), *definition = (const char *)sqlite3_column_text(st, 2);
  char shown[4 * IU_SCHEMA_NAME_MAX + 4];
  iu_catalog_table *t;

  if (name == NULL || definition == NULL || id < 1 || id > UINT32_MAX >> 2)
    return iu__fail(err, IU_E_STORAGE, "the file is damaged: an entry of _iu_table is incomplete");
  t = find(l, name);
  if (t == NULL) {
    iu__buf_put_str(&d->entry, "is not in the schema");
    end(d, iu__printable(shown, IU_SCHEMA_NAME_MAX, name, strlen(name)));
    return IU_OK;
  }
  if (t->in_file) return iu__fail(err, IU_E_STORAGE, "the file is damaged: _iu_table lists `%s` twice", name);
  t->id = (uint32_t)id;
  t->in_file = true;
  compare_definitions(d, t, definition);
  return IU_OK;
}

static iu_status read_tables(iu_catalog *l, sqlite3 *db, differences *d, iu_error *err) {
  sqlite3_stmt *st = NULL;
  iu_status status = iu__jdb_prepare(db, "SELECT id, name, definition FROM _iu_table ORDER BY id", &st, "reading the list of tables", err);
  bool row = status == IU_OK;

  while (row && status == IU_OK) {
    status = iu__jdb_step(db, st, &row, "reading the list of tables", err);
    if (row) status = read_table(l, st, d, err);
  }
  sqlite3_finalize(st);
  return status;
}

/* A table that is there although `_iu_table` has no entry for it: the list is damaged, and its rows must not be taken for none. */
static iu_status refuse_unlisted(iu_catalog *l, sqlite3 *db, iu_error *err) {
  sqlite3_stmt *st = NULL;
  iu_status status = iu__jdb_prepare(db, "SELECT name FROM sqlite_master WHERE type = 'table'", &st, "reading the list of tables", err);
  bool row = status == IU_OK;

  while (row && status == IU_OK) {
    const char *name;
    const iu_catalog_table *t;

    status = iu__jdb_step(db, st, &row, "reading the list of tables", err);
    name = row ? (const char *)sqlite3_column_text(st, 0) : NULL;
    t = name != NULL ? find(l, name) : NULL;
    if (t != NULL && !t->in_file)
      status = iu__fail(err, IU_E_STORAGE, "the file is damaged: it has a table `%s` that _iu_table does not list", name);
  }
  sqlite3_finalize(st);
  return status;
}

/* Ids of a file run from 1 without gaps, so with the new tables they are a permutation. */
static iu_status give_ids(iu_catalog *l, iu_error *err) {
  uint32_t known = 0;

  for (uint32_t i = 0; i < l->count; i++) l->by_id[i] = UINT32_MAX;
  for (uint32_t i = 0; i < l->count; i++) known += l->tables[i].in_file;
  for (uint32_t i = 0; i < l->count; i++) {
    iu_catalog_table *t = &l->tables[i];

    if (!t->in_file) t->id = ++known;
    if (t->id > l->count || l->by_id[t->id - 1] != UINT32_MAX)
      return iu__fail(err, IU_E_STORAGE, "the file is damaged: _iu_table gives `%s` an impossible id", t->def->name);
    l->by_id[t->id - 1] = i;
  }
  return IU_OK;
}

iu_status iu__jcatalog_read(iu_catalog *l, sqlite3 *db, iu_difference_fn tell, void *ud, iu_error *err) {
  differences d = {.tell = tell, .ud = ud};
  iu_status status = read_tables(l, db, &d, err);

  if (status == IU_OK) status = refuse_unlisted(l, db, err);
  if (d.hidden != 0) iu__buf_printf(&d.text, "; and %u more", d.hidden);
  iu__buf_put_u8(&d.text, 0);
  if (status == IU_OK) status = iu__buf_status(&d.text, err, "the list of differences");
  if (status == IU_OK && d.count != 0)
    status = iu__fail(err, IU_E_MIGRATION, "the file's tables are not those of the schema: %s", (const char *)d.text.data);
  iu__buf_free(&d.text);
  iu__buf_free(&d.entry);
  return status == IU_OK ? give_ids(l, err) : status;
}
