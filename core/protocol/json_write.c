/* json_write.c: client messages of v1.json (protocol sheet 5.8). */
#include "../sats/sats_json.h"
#include "message_internal.h"

static void put_text(iu_buf *b, const char *text) { iu__json_put_string(b, text, strlen(text)); }
static void put_slice(iu_buf *b, iu_slice s) { iu__json_put_string(b, (const char *)s.p, s.len); }

/* The arguments as a JSON array, itself a JSON string. */
static iu_status put_args(iu_buf *b, const iu_type *params, iu_slice args, iu_error *err) {
  iu_buf json = {0};
  iu_reader r = iu__reader(args.p, args.len);
  iu_status status = iu__sats_to_json(params, &r, IU_SJ_ARGUMENTS, &json, err);
  if (status == IU_OK && iu__reader_left(&r) != 0) {
    size_t at = iu__reader_offset(&r);
    status = iu__fail_at(err, IU_E_VALIDATION, at, "unexpected bytes after the arguments at byte %zu", at);
  }
  if (status == IU_OK) iu__json_put_string(b, (const char *)json.data, json.len);
  iu__buf_free(&json);
  return status;
}

iu_status iu__json_put_call(iu_buf *b, const char *kind, const char *key, uint32_t request, const char *name, const iu_type *params, iu_slice args,
                            bool no_success_notify, iu_error *err) {
  size_t before = b->len;
  if (params == NULL) return iu__fail(err, IU_E_VALIDATION, "v1.json needs the types of the parameters of `%s`", name);
  iu__buf_printf(b, "{\"%s\":{\"%s\":", kind, key);
  put_text(b, name);
  iu__buf_put_str(b, ",\"args\":");
  iu_status status = put_args(b, params, args, err);
  if (status != IU_OK) {
    iu__error_prefix(err, "%s", name);
    b->len = before;
    return status;
  }
  iu__buf_printf(b, ",\"request_id\":%u,\"flags\":%d}}", request, no_success_notify);
  return iu__buf_status(b, err, "outgoing message");
}

void iu__json_put_subscribe(iu_buf *b, const char *kind, uint32_t request, const uint32_t *set, const iu_slice *queries, uint32_t count) {
  iu__buf_printf(b, "{\"%s\":{\"query_strings\":[", kind);
  for (uint32_t i = 0; i < count; i++) {
    if (i != 0) iu__buf_put_u8(b, ',');
    put_slice(b, queries[i]);
  }
  iu__buf_printf(b, "],\"request_id\":%u", request);
  if (set != NULL) iu__buf_printf(b, ",\"query_id\":{\"id\":%u}", *set);
  iu__buf_put_str(b, "}}");
}

void iu__json_put_subscribe_single(iu_buf *b, uint32_t request, uint32_t set, iu_slice query) {
  iu__buf_put_str(b, "{\"SubscribeSingle\":{\"query\":");
  put_slice(b, query);
  iu__buf_printf(b, ",\"request_id\":%u,\"query_id\":{\"id\":%u}}}", request, set);
}

void iu__json_put_unsubscribe(iu_buf *b, const char *kind, uint32_t request, uint32_t set) {
  iu__buf_printf(b, "{\"%s\":{\"request_id\":%u,\"query_id\":{\"id\":%u}}}", kind, request, set);
}

void iu__json_put_one_off(iu_buf *b, uint32_t request, iu_slice sql) {
  iu__buf_put_str(b, "{\"OneOffQuery\":{\"message_id\":\"");
  for (int i = 0; i < 4; i++) iu__buf_printf(b, "%02x", request >> 8 * i & 0xff);
  iu__buf_put_str(b, "\",\"query_string\":");
  put_slice(b, sql);
  iu__buf_put_str(b, "}}");
}
