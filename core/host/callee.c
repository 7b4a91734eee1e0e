/* callee.c: names looked up in a schema, with words for the ones that are not there (callee.h). */
#include "callee.h"

#include "../query/suggest.h"

#define SHOWN_MAX 64

static iu_status unknown(const char *what, const char *name, size_t len, const char *suggestion, iu_error *err) {
  char shown[SHOWN_MAX * 4 + 4];
  return iu__fail(err, IU_E_VALIDATION, "%s `%s`%s", what, iu__printable(shown, SHOWN_MAX, name, len), suggestion);
}

iu_status iu__callee_reducer(const iu_schema *s, const char *name, size_t len, iu_callee *out, iu_error *err) {
  int number = iu__schema_reducer(s, name, len);
  if (number < 0) {
    char suggestion[96];
    iu__schema_suggest_reducer(s, name, len, suggestion);
    return unknown("unknown reducer", name, len, suggestion, err);
  }
  const iu_reducer_def *def = &s->reducers[number];
  *out = (iu_callee){def->name, def->params, (uint32_t)number, def, NULL};
  return IU_OK;
}

iu_status iu__callee_procedure(const iu_schema *s, const char *name, size_t len, iu_callee *out, iu_error *err) {
  int number = iu__schema_procedure(s, name, len);
  if (number < 0) {
    char suggestion[96];
    iu__schema_suggest_procedure(s, name, len, suggestion);
    return unknown("unknown procedure", name, len, suggestion, err);
  }
  const iu_procedure_def *def = &s->procedures[number];
  *out = (iu_callee){def->name, def->params, (uint32_t)number, NULL, def};
  return IU_OK;
}

iu_status iu__find_table(const iu_schema *s, const char *name, size_t len, uint32_t *out, iu_error *err) {
  int number = iu__schema_table(s, name, len);
  if (number < 0) {
    char suggestion[96];
    iu__schema_suggest_table(s, name, len, suggestion);
    return unknown("no such table:", name, len, suggestion, err);
  }
  *out = (uint32_t)number;
  return IU_OK;
}

iu_status iu__find_index(const iu_table_def *def, const char *name, size_t len, uint32_t *out, iu_error *err) {
  int number = iu__table_def_index(def, name, len);
  char shown[SHOWN_MAX * 4 + 4], hint[IU_SUGGESTION_MAX];
  if (number < 0) {
    iu_suggest suggest;
    iu__suggest_init(&suggest, name, len);
    for (uint32_t i = 0; i < def->index_count; i++) iu__suggest_offer(&suggest, def->indexes[i].accessor);
    return iu__fail(err, IU_E_VALIDATION, "%s: no such index: `%s`%s", def->name, iu__printable(shown, SHOWN_MAX, name, len),
                    iu__suggest_text(&suggest, hint));
  }
  *out = (uint32_t)number;
  return IU_OK;
}

static const char *signature(const iu_schema *s, const iu_callee *f, iu_buf *text) {
  if (f->reducer != NULL) iu__reducer_signature(s, f->reducer, text);
  else iu__procedure_signature(s, f->procedure, text);
  iu__buf_put_u8(text, 0);
  return text->failed ? f->name : (const char *)text->data;
}

iu_status iu__callee_wrong_count(const iu_schema *s, const iu_callee *f, size_t given, iu_error *err) {
  iu_buf text = {0};
  iu__fail(err, IU_E_VALIDATION, "%s takes %u arguments, got %zu: %s", f->name, f->params->count, given, signature(s, f, &text));
  iu__buf_free(&text);
  return IU_E_VALIDATION;
}

iu_status iu__callee_wrong_argument(const iu_schema *s, const iu_callee *f, iu_error *err) {
  char detail[IU_ERROR_MESSAGE_MAX];
  iu_buf text = {0};
  if (err == NULL) return IU_E_VALIDATION;
  memcpy(detail, err->message, sizeof detail);
  iu__fail(err, IU_E_VALIDATION, "%s (%s)", detail, signature(s, f, &text));
  iu__buf_free(&text);
  return IU_E_VALIDATION;
}

iu_status iu__callee_call(iu_connection *c, const iu_callee *f, const void *args, size_t len, uint64_t *pending, iu_error *err) {
  return (f->reducer != NULL ? c->vtable->call : c->vtable->procedure)(c, f->number, args, len, pending, err);
}
