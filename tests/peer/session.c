/* session.c: what a client says, answered in order (server.h; protocol sheet 5.5, 5.7, 6.4). */
#include "server.h"

/* A rejection before the run: on v1 without request id and arguments. */
static void answer_call_v1(peer_link *l, const peer_request *request, const peer_result *result, const peer_parts *parts) {
  bool ran = result->ran <= PEER_RAN_TRAPPED, committed = result->ran == PEER_RAN_COMMITTED;
  if (ran && request->quiet) {
    if (parts->count == 0) return;
  }
  peer_message m = {.kind = IU_M_TRANSACTION, .light = l->light && request->quiet && committed, .outcome = committed ? IU_OUT_COMMITTED : IU_OUT_FAILED,
                    .request = request->request, .identity = l->session->identity, .connection_id = l->session->connection_id,
                    .timestamp = result->timestamp, .reducer = request->name, .reducer_id = result->reducer_id, .args = request->args,
                    .text = {result->text.data, result->text.len}, .energy = 1000, .duration = 100, .parts = parts->parts, .count = parts->count};
  if (!ran || (!committed && l->server->as == PEER_1_2_0)) m.request = 0;
  if (!ran) m.args = (iu_slice){(const uint8_t *)"", 0};
  peer__websocket_send(l, &m);
}

static void answer_call_v2(peer_link *l, const peer_request *request, const peer_result *result, const peer_parts *parts) {
  static const char trap[] = "The instance encountered a fatal error.";
  peer_message m = {.kind = IU_M_CALL_RESULT, .request = request->request, .timestamp = result->timestamp,
                    .text = {result->text.data, result->text.len}, .parts = parts->parts, .count = parts->count};
  m.outcome = result->ran == PEER_RAN_COMMITTED ? IU_OUT_COMMITTED : result->ran == PEER_RAN_FAILED ? IU_OUT_FAILED : IU_OUT_INTERNAL;
  if (result->ran == PEER_RAN_TRAPPED) m.text = (iu_slice){(const uint8_t *)trap, sizeof trap - 1};
  peer__websocket_send(l, &m);
}

static void call(peer_link *l, const peer_request *request) {
  peer_result result;
  peer_parts parts = {0};
  peer_drop drop = peer__fault_at_call(l->server);
  if (drop == PEER_DROP_BEFORE) {
    peer__link_cut(l);
    return;
  }
  peer__database_call(l->db, l->session, request->name, request->args, &result);
  peer__broadcast(l->db, l, request->request);
  if (drop == PEER_DROP_AFTER) {
    peer__link_cut(l);
  } else {
    if (result.ran == PEER_RAN_COMMITTED) peer__parts_of_commit(l, &parts);
    if (l->protocol == IU_P_V1) answer_call_v1(l, request, &result, &parts);
    else answer_call_v2(l, request, &result, &parts);
  }
  peer__parts_free(&parts);
  iu__buf_free(&result.text);
}

static void call_procedure(peer_link *l, const peer_request *request) {
  static const char why[] = "No such procedure";
  peer_message m = {.kind = IU_M_PROCEDURE, .outcome = IU_OUT_INTERNAL, .request = request->request, .text = {(const uint8_t *)why, sizeof why - 1}};
  peer__websocket_send(l, &m);
}

static void answer(peer_link *l, const peer_request *request) {
  switch (request->kind) {
    case PEER_CALL: call(l, request); break;
    case PEER_PROCEDURE: call_procedure(l, request); break;
    case PEER_UNSUBSCRIBE: peer__unsubscribe(l, request); break;
    case PEER_ONE_OFF: peer__one_off(l, request); break;
    default: peer__subscribe(l, request);
  }
}

bool peer__session_overtake(peer_link *l, const uint8_t *bytes, size_t len) {
  iu_reader r = iu__reader(bytes, len);
  peer_request request;
  peer_result result;
  if (l->protocol != IU_P_V1 || peer__read_request(IU_P_V1, &r, &request, NULL) != IU_OK) return false;
  bool rejected = request.kind == PEER_CALL && !peer__database_check(l->db, request.name, request.args, &result);
  if (rejected) answer_call_v1(l, &request, &result, &(peer_parts){0});
  if (request.kind == PEER_CALL) iu__buf_free(&result.text);
  peer__request_free(&request);
  return rejected;
}

/* Garbage behind valid messages closes without an answer to these: all are read before the first is answered. */
static bool all_readable(peer_link *l, iu_reader r) {
  iu_error err;
  do {
    peer_request request;
    if (peer__read_request(l->protocol, &r, &request, &err) != IU_OK) {
      peer__websocket_close(l, 1011, err.message);
      return false;
    }
    peer__request_free(&request);
  } while (l->protocol == IU_P_V3 && iu__reader_left(&r) > 0);
  return true;
}

void peer__session_message(peer_link *l, const uint8_t *bytes, size_t len, bool text) {
  iu_reader r = iu__reader(bytes, len);
  if (text) {
    peer__websocket_close(l, 1011, l->protocol == IU_P_V1 ? "v1.json is not spoken here" : "text frames are not supported by this protocol");
    return;
  }
  if (l->protocol == IU_P_V3 && len == 0) {
    peer__websocket_close(l, 1011, "v3 websocket binary payload must contain at least one v2 client message");
    return;
  }
  if (!all_readable(l, r)) return;
  do {
    peer_request request;
    if (peer__read_request(l->protocol, &r, &request, NULL) != IU_OK) return;
    answer(l, &request);
    peer__request_free(&request);
  } while (l->protocol == IU_P_V3 && iu__reader_left(&r) > 0 && !l->closing && !l->close_sent);
}
