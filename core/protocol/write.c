/* write.c: client messages as BSATN, and the choice between it and JSON. */
#include "message_internal.h"

/* Tags of ClientMessage. */
enum { V1_CALL, V1_SUBSCRIBE, V1_ONE_OFF, V1_SUBSCRIBE_SINGLE, V1_SUBSCRIBE_MULTI, V1_UNSUBSCRIBE, V1_UNSUBSCRIBE_MULTI, V1_PROCEDURE };
enum { V2_SUBSCRIBE, V2_UNSUBSCRIBE, V2_ONE_OFF, V2_CALL, V2_PROCEDURE };

static const char *const NAMES[] = {
  [IU_P_V1_JSON] = "v1.json.spacetimedb",
  [IU_P_V1] = "v1.bsatn.spacetimedb",
  [IU_P_V2] = "v2.bsatn.spacetimedb",
  [IU_P_V3] = "v3.bsatn.spacetimedb",
};

const char *iu__protocol_name(iu_protocol p) { return NAMES[p]; }

bool iu__protocol_from_name(const char *name, iu_protocol *out) {
  for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
    if (strcmp(name, NAMES[i]) == 0) {
      *out = (iu_protocol)i;
      return true;
    }
  }
  return false;
}

static void put_text(iu_buf *b, const char *text) { iu__buf_put_bytes(b, text, strlen(text)); }
static void put_slice(iu_buf *b, iu_slice s) { iu__buf_put_bytes(b, s.p, s.len); }

static void put_queries(iu_buf *b, const iu_slice *queries, uint32_t count) {
  iu__buf_put_u32(b, count);
  for (uint32_t i = 0; i < count; i++) put_slice(b, queries[i]);
}

static void put_v1_call(iu_buf *b, uint8_t tag, uint32_t request, const char *name, iu_slice args, uint8_t flags) {
  iu__buf_put_u8(b, tag);
  put_text(b, name);
  put_slice(b, args);
  iu__buf_put_u32(b, request);
  iu__buf_put_u8(b, flags);
}

static void put_v2_call(iu_buf *b, uint8_t tag, uint32_t request, const char *name, iu_slice args) {
  iu__buf_put_u8(b, tag);
  iu__buf_put_u32(b, request);
  iu__buf_put_u8(b, 0); /* flags */
  put_text(b, name);
  put_slice(b, args);
}

iu_status iu__put_call(iu_buf *b, iu_protocol p, uint32_t request, const char *reducer, const iu_type *params, iu_slice args,
                       bool no_success_notify, iu_error *err) {
  if (p == IU_P_V1_JSON) return iu__json_put_call(b, "CallReducer", "reducer", request, reducer, params, args, no_success_notify, err);
  if (p == IU_P_V1) put_v1_call(b, V1_CALL, request, reducer, args, no_success_notify);
  else put_v2_call(b, V2_CALL, request, reducer, args);
  return iu__buf_status(b, err, "outgoing message");
}

iu_status iu__put_procedure(iu_buf *b, iu_protocol p, uint32_t request, const char *procedure, const iu_type *params, iu_slice args, iu_error *err) {
  if (p == IU_P_V1_JSON) return iu__json_put_call(b, "CallProcedure", "procedure", request, procedure, params, args, false, err);
  if (p == IU_P_V1) put_v1_call(b, V1_PROCEDURE, request, procedure, args, 0);
  else put_v2_call(b, V2_PROCEDURE, request, procedure, args);
  return iu__buf_status(b, err, "outgoing message");
}

void iu__put_subscribe(iu_buf *b, iu_protocol p, uint32_t request, uint32_t set, const iu_slice *queries, uint32_t count) {
  if (p == IU_P_V1_JSON) {
    iu__json_put_subscribe(b, "SubscribeMulti", request, &set, queries, count);
  } else if (p == IU_P_V1) {
    iu__buf_put_u8(b, V1_SUBSCRIBE_MULTI);
    put_queries(b, queries, count);
    iu__buf_put_u32(b, request);
    iu__buf_put_u32(b, set);
  } else {
    iu__buf_put_u8(b, V2_SUBSCRIBE);
    iu__buf_put_u32(b, request);
    iu__buf_put_u32(b, set);
    put_queries(b, queries, count);
  }
}

void iu__put_unsubscribe(iu_buf *b, iu_protocol p, uint32_t request, uint32_t set, bool send_dropped_rows) {
  if (p == IU_P_V1_JSON) {
    iu__json_put_unsubscribe(b, "UnsubscribeMulti", request, set);
    return;
  }
  iu__buf_put_u8(b, p == IU_P_V1 ? V1_UNSUBSCRIBE_MULTI : V2_UNSUBSCRIBE);
  iu__buf_put_u32(b, request);
  iu__buf_put_u32(b, set);
  if (p != IU_P_V1) iu__buf_put_u8(b, send_dropped_rows);
}

void iu__put_one_off(iu_buf *b, iu_protocol p, uint32_t request, iu_slice sql) {
  if (p == IU_P_V1_JSON) {
    iu__json_put_one_off(b, request, sql);
    return;
  }
  iu__buf_put_u8(b, p == IU_P_V1 ? V1_ONE_OFF : V2_ONE_OFF);
  if (p == IU_P_V1) iu__buf_put_u32(b, sizeof request);
  iu__buf_put_u32(b, request);
  put_slice(b, sql);
}

void iu__put_v1_subscribe(iu_buf *b, bool json, uint32_t request, const iu_slice *queries, uint32_t count) {
  if (json) {
    iu__json_put_subscribe(b, "Subscribe", request, NULL, queries, count);
    return;
  }
  iu__buf_put_u8(b, V1_SUBSCRIBE);
  put_queries(b, queries, count);
  iu__buf_put_u32(b, request);
}

void iu__put_v1_subscribe_single(iu_buf *b, bool json, uint32_t request, uint32_t set, iu_slice query) {
  if (json) {
    iu__json_put_subscribe_single(b, request, set, query);
    return;
  }
  iu__buf_put_u8(b, V1_SUBSCRIBE_SINGLE);
  put_slice(b, query);
  iu__buf_put_u32(b, request);
  iu__buf_put_u32(b, set);
}

void iu__put_v1_unsubscribe_single(iu_buf *b, bool json, uint32_t request, uint32_t set) {
  if (json) {
    iu__json_put_unsubscribe(b, "Unsubscribe", request, set);
    return;
  }
  iu__buf_put_u8(b, V1_UNSUBSCRIBE);
  iu__buf_put_u32(b, request);
  iu__buf_put_u32(b, set);
}
