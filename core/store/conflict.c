/* conflict.c: see conflict.h. A value that cannot be shown for want of memory is left out; long values are cut. */
#include "conflict.h"

#include "../sats/sats_json.h"

#define SHOWN_MAX 160

static void put_column(iu_buf *out, const iu_table *t, iu_walk *w, uint16_t column) {
  const iu_field *field = &t->def->row->u.fields[column];
  iu_slice v = iu__walk_to(w, column);
  iu_reader r = iu__reader(v.p, v.len);

  if (field->name != NULL) iu__buf_put_str(out, field->name);
  else iu__buf_printf(out, "column %u", column);
  iu__buf_put_str(out, " = ");
  if (!out->failed) (void)iu__sats_to_json(field->type, &r, IU_SJ_READABLE, out, NULL);
}

/* Cuts at a character. */
static size_t shown_length(const iu_buf *text) {
  size_t len = text->len;

  if (len <= SHOWN_MAX) return len;
  len = SHOWN_MAX;
  while (len > 0 && (text->data[len] & 0xc0) == 0x80) len--;
  return len;
}

iu_status iu__conflict(const iu_table *t, const iu_key *key, const iu_row *row, iu_error *err) {
  iu_walk w = iu__walk(&t->layout, row->data, row->len);
  iu_buf text = {0};
  uint32_t i;
  size_t len;

  if (err == NULL) return IU_E_CONFLICT;
  for (i = 0; i < key->index_columns; i++) {
    if (i > 0) iu__buf_put_str(&text, ", ");
    put_column(&text, t, &w, key->columns[i]);
  }
  len = shown_length(&text);
  (void)iu__fail(err, IU_E_CONFLICT, "table `%s`: a row with %.*s%s is already there", t->def->name, (int)len,
                 len != 0 ? (const char *)text.data : "", len < text.len ? "..." : "");
  iu__buf_free(&text);
  return IU_E_CONFLICT;
}
