/* validate.c: checks of arguments. Every refusal is a VALIDATION that names the argument, shows the value and says what was expected. */
#include "internal.h"

#include "../base/text.h"

static bool check_utf8(nerv_call *c, const char *argument, nerv_slice v) {
  size_t at = iu__utf8_check((const char *)v.p, v.n);
  if (at == v.n) return true;
  return iu__nerv_refuse(c, "VALIDATION", "%s: invalid UTF-8 at byte %u of %q", argument, (uint64_t)at, &v);
}

bool iu__nerv_check_id(nerv_call *c, const char *argument, nerv_slice v) {
  if (v.n == 0) return iu__nerv_refuse(c, "VALIDATION", "%s: \"\" is empty, expected 1 to %u bytes of text", argument, (uint64_t)NERV_ID_MAX);
  return iu__nerv_check_id_or_empty(c, argument, v);
}

bool iu__nerv_check_id_or_empty(nerv_call *c, const char *argument, nerv_slice v) {
  if (v.n > NERV_ID_MAX) {
    return iu__nerv_refuse(c, "VALIDATION", "%s: %q has %u bytes, expected at most %u", argument, &v, (uint64_t)v.n, (uint64_t)NERV_ID_MAX);
  }
  uint32_t i = 0;
  while (v.n - i >= 8) {
    uint64_t word = iu__nerv_word(v.p + i);
    if ((iu__nerv_any_below(word, 0x20) | iu__nerv_any_is(word, 0x7F)) != 0) break;
    i += 8;
  }
  for (; i < v.n; i++) {
    if (v.p[i] < 0x20 || v.p[i] == 0x7F) {
      return iu__nerv_refuse(c, "VALIDATION", "%s: %q has a control character at byte %u, expected none", argument, &v, (uint64_t)i);
    }
  }
  return check_utf8(c, argument, v);
}

bool iu__nerv_check_text(nerv_call *c, const char *argument, nerv_slice v, uint32_t max) {
  if (v.n > max) {
    return iu__nerv_refuse(c, "VALIDATION", "%s: %q has %u bytes, expected at most %u", argument, &v, (uint64_t)v.n, (uint64_t)max);
  }
  return check_utf8(c, argument, v);
}

bool iu__nerv_read_tags(nerv_call *c, const char *argument, nerv_reader *r, nerv_slice *raw) {
  const uint8_t *from = r->p;
  uint32_t count = iu__nerv_get_u32(r);
  if (!r->bad && count > NERV_TAGS_MAX) {
    return iu__nerv_refuse(c, "VALIDATION", "%s: %u tags, expected at most %u", argument, (uint64_t)count, (uint64_t)NERV_TAGS_MAX);
  }
  for (uint32_t i = 0; i < count && !r->bad; i++) {
    nerv_slice tag = iu__nerv_get_text(r);
    if (!r->bad && !iu__nerv_check_id(c, argument, tag)) return false;
  }
  *raw = iu__nerv_since(r, from);
  return iu__nerv_read(c, r);
}

bool iu__nerv_check_json(nerv_call *c, const char *argument, nerv_slice *v, const char *empty) {
  size_t at;
  const char *why;
  if (v->n == 0 && empty[0] != '\0') {
    *v = iu__nerv_text(empty);
    return true;
  }
  if (v->n > NERV_JSON_MAX) {
    return iu__nerv_refuse(c, "VALIDATION", "%s: %q has %u bytes of JSON, expected at most %u", argument, v, (uint64_t)v->n, (uint64_t)NERV_JSON_MAX);
  }
  if (iu__nerv_json_check(*v, &at, &why)) return true;
  return iu__nerv_refuse(c, "VALIDATION", "%s: %q is not valid JSON at byte %u: %s", argument, v, (uint64_t)at, why);
}

bool iu__nerv_check_json_object(nerv_call *c, const char *argument, nerv_slice *v) {
  uint32_t i = 0;
  if (!iu__nerv_check_json(c, argument, v, "{}")) return false;
  while (v->p[i] == ' ' || v->p[i] == '\n' || v->p[i] == '\r' || v->p[i] == '\t') i++; /* valid JSON has something else */
  return v->p[i] == '{' || iu__nerv_refuse(c, "VALIDATION", "%s: %q is not a JSON object", argument, v);
}
