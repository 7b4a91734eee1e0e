/* decode.h: client messages of v1, v2 and v3 in BSATN (protocol sheet 5.3, 6.2), as a server reads them. */
#ifndef IU_TESTS_PEER_DECODE_H
#define IU_TESTS_PEER_DECODE_H

#include "../../core/protocol/message.h"

typedef enum peer_request_kind {
  PEER_CALL, PEER_PROCEDURE, PEER_SUBSCRIBE, PEER_UNSUBSCRIBE, PEER_ONE_OFF, PEER_SUBSCRIBE_ALL /* v1: replaces the whole legacy set */
} peer_request_kind;

/* Borrows the message's bytes, but for `queries`. */
typedef struct peer_request {
  peer_request_kind kind;
  bool single;               /* v1: SubscribeSingle, Unsubscribe */
  bool quiet;                /* v1 call: NoSuccessNotify */
  bool send_dropped_rows;    /* v2 */
  uint32_t request, set;
  iu_slice name, args;       /* of a call */
  iu_slice text;             /* one-off query */
  iu_slice id;               /* v1 one-off query */
  iu_slice *queries; uint32_t count;
} peer_request;

/* Reads one message and leaves r behind it. The error's text is what the server closes with (1011). */
iu_status peer__read_request(iu_protocol p, iu_reader *r, peer_request *out, iu_error *err);
void peer__request_free(peer_request *request);

#endif
