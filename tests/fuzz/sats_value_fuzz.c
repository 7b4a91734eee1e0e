/* sats_value_fuzz.c: libFuzzer target for values and the types they have. The first byte chooses: 0 a typespace and two values of its first type, 1 a
 * typespace and a JSON text to read as its first type, 2 a module definition, 3 a text as each scalar. A value that is accepted must have one
 * order, one encoding and one meaning: every walker agrees on its bytes, and JSON gives them back.
 */
#include "input.h"

#include "../../core/sats/bsatn_put.h"
#include "../../core/sats/sats_json.h"
#include "../../core/sats/schema.h"

/* ---- types ---- */

/* Written and read again, a typespace is the same; NULL when the input has none or its types lead nowhere. */
static const iu_type *take_type(input *in, iu_typespace *ts) {
  iu_error err = {0};
  iu_reader r = iu__reader(in->p, in->len);
  iu_status status = iu__typespace_decode(ts, &r, &err);
  if (status == IU_OK) {
    in->len -= (size_t)(r.p - in->p);
    in->p = r.p;
    status = iu__typespace_link(ts, &err);
  }
  if (status != IU_OK) {
    MUST(err.status == status && err.message[0] != '\0');
    return NULL;
  }
  iu_buf bytes = {0}, text = {0}, again = {0};
  iu_typespace copy = {0};
  iu__typespace_encode(ts, &bytes);
  r = iu__reader(bytes.data, bytes.len);
  MUST(iu__typespace_decode(&copy, &r, NULL) == IU_OK && iu__typespace_link(&copy, NULL) == IU_OK && copy.count == ts->count);
  iu__typespace_encode(&copy, &again);
  MUST(again.len == bytes.len && memcmp(again.data, bytes.data, bytes.len) == 0);
  for (uint32_t i = 0; i < ts->count; i++) {
    iu__type_describe(ts->types[i], &text);
    (void)iu__type_equal(ts->types[i], copy.types[i]);
    MUST(iu__type_label(ts->types[i]) != NULL);
  }
  iu__buf_free(&again);
  iu__buf_free(&bytes);
  iu__buf_free(&text);
  iu__typespace_free(&copy);
  return ts->count != 0 ? ts->types[0] : NULL;
}

/* A definition may not name two fields of a type alike; without one nobody has looked. Refs lead to types that are asked themselves. */
static bool names_differ(const iu_type *t) {
  if (t->tag == IU_T_ARRAY) return names_differ(t->u.element);
  if (t->tag != IU_T_PRODUCT && t->tag != IU_T_SUM) return true;
  for (uint32_t i = 0; i < t->count; i++) {
    const char *name = t->u.fields[i].name;
    if (name != NULL && iu__product_find(t, name, strlen(name)) != (int)i) return false;
    if (!names_differ(t->u.fields[i].type)) return false;
  }
  return true;
}
static bool all_names_differ(const iu_typespace *ts) {
  for (uint32_t i = 0; i < ts->count; i++) {
    if (!names_differ(ts->types[i])) return false;
  }
  return true;
}

/* ---- values as bytes ---- */

static void check_columns(const iu_type *t, iu_slice v) {
  size_t sum = 0;
  for (uint32_t i = 0; i < t->count; i++) {
    iu_slice c = iu__bsatn_column(t, i, v.p, v.len);
    MUST(c.p == v.p + sum && iu__bsatn_check_all(t->u.fields[i].type, c.p, c.len, NULL) == IU_OK);
    sum += c.len;
  }
  MUST(sum == v.len);
}

static bool take_value(input *in, const iu_type *t, iu_slice *out) {
  iu_error err = {0};
  iu_reader r = iu__reader(in->p, in->len);
  if (iu__bsatn_check(t, &r, &err) != IU_OK) {
    MUST(err.message[0] != '\0');
    return false;
  }
  *out = take_bytes(in, (size_t)(r.p - in->p));
  const iu_type *d = iu__type_deref(t);
  MUST(d->fixed_size == IU_SIZE_VARIES || d->fixed_size == out->len);
  MUST(iu__bsatn_check_all(t, out->p, out->len, NULL) == IU_OK);
  MUST(iu__bsatn_skip(t, out->p, out->p + out->len) == out->p + out->len);
  if (out->len != 0) {
    MUST(iu__bsatn_skip(t, out->p, out->p + out->len - 1) == NULL);
    MUST(iu__bsatn_check_all(t, out->p, out->len - 1, NULL) != IU_OK);
  }
  if (d->tag == IU_T_PRODUCT) check_columns(d, *out);
  return true;
}

static void check_order(const iu_type *t, iu_slice a, iu_slice b) {
  bool same = a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
  int there = iu__bsatn_compare(t, a, b), back = iu__bsatn_compare(t, b, a);
  MUST((there == 0) == same && (there < 0) == (back > 0));
}

/* ---- values as JSON ---- */

static bool to_json(const iu_type *t, iu_slice v, iu_sats_json_style style, iu_buf *out) {
  iu_error err = {0};
  iu_reader r = iu__reader(v.p, v.len);
  iu_status status = iu__sats_to_json(t, &r, style, out, &err);
  MUST((status == IU_OK) == (err.message[0] == '\0'));
  if (status != IU_OK) return false;
  MUST(iu__reader_left(&r) == 0 && iu__json_check(out->data, out->len, NULL) == IU_OK);
  return true;
}

static void check_json(const iu_type *t, iu_slice v) {
  static const iu_sats_json_style readable_back[] = {IU_SJ_ARGUMENTS, IU_SJ_TYPED, IU_SJ_UNTYPED};
  iu_buf text = {0}, bytes = {0};
  to_json(t, v, IU_SJ_READABLE, &text);
  for (size_t i = 0; i < sizeof readable_back / sizeof *readable_back; i++) {
    iu__buf_reset(&text);
    iu__buf_reset(&bytes);
    if (!to_json(t, v, readable_back[i], &text) && readable_back[i] == IU_SJ_ARGUMENTS) break; /* a float that is no number, or out of proportion */
    iu_status status = iu__sats_from_json(t, text.data, text.len, &bytes, NULL);
    MUST(status == IU_OK && bytes.len == v.len && (v.len == 0 || memcmp(bytes.data, v.p, v.len) == 0));
  }
  iu__buf_free(&text);
  iu__buf_free(&bytes);
}

static void values(input *in) {
  iu_typespace ts = {0};
  const iu_type *t = take_type(in, &ts);
  size_t len;
  uint8_t *rest = take_rest(in, &len);
  input bytes = {rest, len};
  iu_slice v[2];
  for (int i = 0; t != NULL && i < 2 && take_value(&bytes, t, &v[i]); i++) {
    check_order(t, v[i], v[0]);
    if (all_names_differ(&ts)) check_json(t, v[i]);
  }
  free(rest);
  iu__typespace_free(&ts);
}

static void json_as_value(input *in) {
  iu_typespace ts = {0};
  const iu_type *t = take_type(in, &ts);
  size_t len;
  uint8_t *text = take_rest(in, &len);
  iu_buf bytes = {0};
  iu_error err = {0};
  for (int report = 0; t != NULL && report < 2; report++) {
    iu__buf_reset(&bytes);
    iu_status status = report ? iu__sats_from_report(t, text, len, &bytes, &err) : iu__sats_from_json(t, text, len, &bytes, &err);
    if (status != IU_OK) {
      MUST(err.message[0] != '\0');
      continue;
    }
    MUST(iu__json_check(text, len, NULL) == IU_OK);
    if (iu__bsatn_check_all(t, bytes.data, bytes.len, &err) != IU_OK) {
      fprintf(stderr, "%s\n", err.message);
      abort();
    }
    if (all_names_differ(&ts)) check_json(t, (iu_slice){bytes.data, bytes.len});
  }
  iu__buf_free(&bytes);
  free(text);
  iu__typespace_free(&ts);
}

/* ---- definitions ---- */

static void look_at(const iu_schema *s) {
  iu_buf text = {0};
  char suggestion[96];
  for (uint32_t i = 0; i < s->table_count; i++) {
    const iu_table_def *t = &s->tables[i];
    MUST(iu__schema_table(s, t->name, strlen(t->name)) == (int)i);
    MUST(t->row->tag == IU_T_PRODUCT && t->primary_key < (int32_t)t->row->count);
    for (uint32_t k = 0; k < t->index_count; k++) {
      MUST(t->indexes[k].accessor != NULL && t->indexes[k].column_count > 0);
      for (uint32_t c = 0; c < t->indexes[k].column_count; c++) MUST(t->indexes[k].columns[c] < t->row->count);
    }
    for (uint32_t k = 0; k < t->sequence_count; k++) MUST(t->sequences[k].column < t->row->count);
    iu__schema_suggest_column(t, "column", 6, suggestion);
    iu__type_describe_named(t->row, s->type_names, &text);
  }
  for (uint32_t i = 0; i < s->reducer_count; i++) {
    MUST(iu__schema_reducer(s, s->reducers[i].name, strlen(s->reducers[i].name)) == (int)i);
    iu__reducer_signature(s, &s->reducers[i], &text);
  }
  for (uint32_t i = 0; i < s->procedure_count; i++) iu__procedure_signature(s, &s->procedures[i], &text);
  iu__schema_suggest_table(s, "entity", 6, suggestion);
  iu__buf_free(&text);
}

static void definition(input *in) {
  size_t len;
  uint8_t *bytes = take_rest(in, &len);
  for (int served = 0; served < 2; served++) {
    iu_schema *s = NULL;
    iu_error err = {0};
    iu_status status = served ? iu__schema_decode_served(bytes, len, &s, &err) : iu__schema_decode(bytes, len, &s, &err);
    MUST((status == IU_OK) == (s != NULL) && (status == IU_OK) == (err.message[0] == '\0'));
    if (s == NULL) continue;
    MUST(s->definition_len == len && memcmp(s->definition, bytes, len) == 0);
    look_at(s);
    iu__schema_free(s);
  }
  free(bytes);
}

/* ---- scalars from a text ---- */

static void scalars(input *in) {
  size_t len;
  uint8_t *text = take_rest(in, &len);
  iu_buf out = {0};
  for (int i = 0; i < IU_T_COUNT; i++) {
    const iu_type *t = iu__type_scalar((iu_type_tag)i);
    bool is_signed;
    if (t == NULL || iu__integer_size(t, &is_signed) == 0) continue;
    iu__buf_reset(&out);
    if (iu__put_digits(t, (const char *)text, len, &out)) MUST(iu__bsatn_check_all(t, out.data, out.len, NULL) == IU_OK);
    else MUST(out.len == 0);
  }
  for (int i = IU_S_IDENTITY; i <= IU_S_UUID; i++) {
    const iu_type *t = iu__type_special((iu_special)i);
    iu__buf_reset(&out);
    if (i != IU_S_IDENTITY && i != IU_S_CONNECTION_ID && i != IU_S_UUID) continue;
    if (iu__put_hex(t, (const char *)text, len, &out)) MUST(out.len == t->fixed_size);
    else MUST(out.len == 0);
  }
  iu__buf_free(&out);
  free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static void (*const modes[])(input *) = {values, json_as_value, definition, scalars};
  input in = {data, size};
  modes[take(&in) % (sizeof modes / sizeof *modes)](&in);
  return 0;
}
