/* cell.c: see cell.h. */
#include "cell.h"

#include "../base/hash.h"
#include "../base/text.h"
#include "../sats/sats_json.h"

static iu_cell_kind scalar_kind(uint8_t tag) {
  switch (tag) {
    case IU_T_STRING: return IU_CELL_TEXT;
    case IU_T_BOOL: return IU_CELL_BOOL;
    case IU_T_I8: case IU_T_U8: case IU_T_I16: case IU_T_U16: case IU_T_I32: case IU_T_U32: case IU_T_I64: return IU_CELL_INT;
    case IU_T_U64: return IU_CELL_U64;
    case IU_T_I128: case IU_T_U128: case IU_T_I256: case IU_T_U256: return IU_CELL_WIDE;
    case IU_T_F32: case IU_T_F64: return IU_CELL_REAL;
    default: return IU_CELL_JSON;
  }
}

static iu_cell_kind kind_of(const iu_type *t) {
  switch (t->special) {
    case IU_S_IDENTITY: case IU_S_CONNECTION_ID: return IU_CELL_HEX;
    case IU_S_UUID: return IU_CELL_UUID;
    case IU_S_TIMESTAMP: case IU_S_TIME_DURATION: return IU_CELL_INT;
    case IU_S_BYTES: return IU_CELL_BLOB;
    default: return scalar_kind(t->tag);
  }
}

iu_cell iu__jcell_of(const iu_type *column_type) {
  iu_cell c = {iu__type_deref(column_type), 0, 0};

  while (c.type->special == IU_S_OPTION && c.options < IU_TYPE_DEPTH_MAX) {
    c.type = iu__type_deref(c.type->u.fields[0].type);
    c.options++;
  }
  c.kind = (uint8_t)kind_of(c.type);
  return c;
}

const char *iu__jcell_sql_type(const iu_cell *c) {
  static const char *const types[] = {"INTEGER", "INTEGER", "", "TEXT", "REAL", "TEXT", "TEXT", "TEXT", "BLOB", "TEXT"};

  return types[c->kind];
}

bool iu__jcell_is_faithful(const iu_cell *c) { return c->options == 0 && c->kind != IU_CELL_REAL && c->kind != IU_CELL_JSON; }

bool iu__jcell_is_rowid(const iu_cell *c) { return c->options == 0 && (c->kind == IU_CELL_INT || c->kind == IU_CELL_BOOL); }

/* Integers of up to 8 bytes; the specials that are one integer inside have its bytes. */
static int64_t load_int(const iu_type *t, iu_slice v) {
  switch (v.len) {
    case 1: return t->tag == IU_T_I8 ? (int8_t)v.p[0] : v.p[0];
    case 2: return t->tag == IU_T_I16 ? (int16_t)iu__load_u16(v.p) : iu__load_u16(v.p);
    case 4: return t->tag == IU_T_I32 ? (int32_t)iu__load_u32(v.p) : (int64_t)iu__load_u32(v.p);
    default: return (int64_t)iu__load_u64(v.p);
  }
}

static int bind_u64(sqlite3_stmt *st, int parameter, uint64_t v) {
  char text[IU_I64_TEXT_MAX + 1];

  if (v <= INT64_MAX) return sqlite3_bind_int64(st, parameter, (int64_t)v);
  return sqlite3_bind_text(st, parameter, text, (int)iu__u64_format(v, text), SQLITE_TRANSIENT);
}

static int bind_wide(const iu_type *t, sqlite3_stmt *st, int parameter, iu_slice v) {
  char text[80];
  bool is_signed = t->tag == IU_T_I128 || t->tag == IU_T_I256;

  return sqlite3_bind_text(st, parameter, text, (int)iu__wide_format(v.p, v.len, is_signed, text), SQLITE_TRANSIENT);
}

static int bind_real(sqlite3_stmt *st, int parameter, iu_slice v) {
  uint32_t bits32 = v.len == 4 ? iu__load_u32(v.p) : 0;
  uint64_t bits64 = v.len == 8 ? iu__load_u64(v.p) : 0;
  float f32;
  double f64;

  memcpy(&f32, &bits32, sizeof f32);
  memcpy(&f64, &bits64, sizeof f64);
  return sqlite3_bind_double(st, parameter, v.len == 4 ? (double)f32 : f64);
}

/* Big-endian hex of a little-endian number of 16 or 32 bytes; a Uuid gets its hyphens. */
static int bind_hex(sqlite3_stmt *st, int parameter, iu_slice v, bool uuid) {
  uint8_t big[32];
  char hex[65], text[37];

  for (size_t i = 0; i < v.len; i++) big[i] = v.p[v.len - 1 - i];
  iu__hex(hex, big, v.len);
  if (!uuid) return sqlite3_bind_text(st, parameter, hex, (int)(2 * v.len), SQLITE_TRANSIENT);
  for (size_t from = 0, to = 0; from < 32; from++) {
    if (from == 8 || from == 12 || from == 16 || from == 20) text[to++] = '-';
    text[to++] = hex[from];
  }
  return sqlite3_bind_text(st, parameter, text, 36, SQLITE_TRANSIENT);
}

static iu_status bind_json(const iu_cell *c, sqlite3_stmt *st, int parameter, iu_slice v, iu_buf *scratch, int *rc, iu_error *err) {
  iu_reader r = iu__reader(v.p, v.len);
  iu_status status;

  iu__buf_reset(scratch);
  status = iu__sats_to_json(c->type, &r, IU_SJ_READABLE, scratch, err);
  if (status == IU_OK) status = iu__buf_status(scratch, err, "a column as JSON");
  if (status == IU_E_NOMEM) return status;
  /* A value without a readable form is NULL: the row itself is in `_row`, whole. */
  if (status != IU_OK) *rc = sqlite3_bind_null(st, parameter);
  else *rc = sqlite3_bind_text64(st, parameter, (const char *)scratch->data, scratch->len, SQLITE_TRANSIENT, SQLITE_UTF8);
  return IU_OK;
}

iu_status iu__jcell_bind(const iu_cell *c, sqlite3_stmt *st, int parameter, iu_slice value, iu_buf *scratch, iu_error *err) {
  iu_status status = IU_OK;
  int rc = SQLITE_OK;

  for (unsigned i = 0; i < c->options; i++) { /* tag 0 is some, 1 is none */
    if (value.p[0] != 0) {
      rc = sqlite3_bind_null(st, parameter);
      return rc == SQLITE_OK ? IU_OK : iu__fail_nomem(err);
    }
    value.p++, value.len--;
  }
  switch ((iu_cell_kind)c->kind) {
    case IU_CELL_BOOL:
    case IU_CELL_INT: rc = sqlite3_bind_int64(st, parameter, load_int(c->type, value)); break;
    case IU_CELL_U64: rc = bind_u64(st, parameter, iu__load_u64(value.p)); break;
    case IU_CELL_WIDE: rc = bind_wide(c->type, st, parameter, value); break;
    case IU_CELL_REAL: rc = bind_real(st, parameter, value); break;
    case IU_CELL_TEXT:
      rc = sqlite3_bind_text64(st, parameter, (const char *)value.p + 4, value.len - 4, SQLITE_STATIC, SQLITE_UTF8);
      break;
    case IU_CELL_HEX: rc = bind_hex(st, parameter, value, false); break;
    case IU_CELL_UUID: rc = bind_hex(st, parameter, value, true); break;
    case IU_CELL_BLOB: rc = sqlite3_bind_blob64(st, parameter, value.p + 4, value.len - 4, SQLITE_STATIC); break;
    case IU_CELL_JSON: status = bind_json(c, st, parameter, value, scratch, &rc, err); break;
  }
  if (status != IU_OK || rc == SQLITE_OK) return status;
  return rc == SQLITE_TOOBIG ? iu__fail(err, IU_E_STORAGE, "a column of %zu bytes is too large for SQLite", value.len) : iu__fail_nomem(err);
}
