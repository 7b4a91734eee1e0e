/* encode.h: server messages of v1, v2 and v3 in BSATN (protocol sheet 5.4, 6.3), for tests that play the server.
 *
 * A message is described, then appended; the buffer's failure is sticky. Nothing is checked: what is described is what is written. All borrowed.
 */
#ifndef IU_TESTS_PEER_ENCODE_H
#define IU_TESTS_PEER_ENCODE_H

#include "../../core/protocol/message.h"

/* How a list of rows says where they lie: by their common size where they have one, or by their offsets whatever they are. */
typedef enum peer_hint { PEER_HINT_MEASURED, PEER_HINT_OFFSETS } peer_hint;

typedef struct peer_rows { iu_slice *rows; uint32_t count, cap; } peer_rows;

/* What one query of one set says about its table. */
typedef struct peer_part {
  uint32_t set;                /* v2: parts of a set stand together, those of a table in it too */
  const char *table;
  uint32_t table_id;           /* v1 */
  bool event_table;            /* v2 */
  peer_hint hint;
  peer_rows inserts, deletes;  /* of an unsubscribe: deletes */
} peer_part;

typedef struct peer_message {
  iu_message_kind kind;        /* v1: IU_M_TRANSACTION is the full or the light form, IU_M_CALL_RESULT is not there */
  bool single;                 /* v1: the answer to SubscribeSingle or Unsubscribe: one part */
  bool light;                  /* v1 */
  bool has_request, has_set, has_rows;
  bool empty;                  /* v2 CALL_RESULT: OkEmpty */
  uint32_t request, set, reducer_id;
  const uint8_t *identity, *connection_id;
  iu_slice token, text, value, reducer, args; /* v1 ONE_OFF: value is the message id */
  int64_t timestamp, duration;
  uint64_t energy;
  iu_outcome outcome;          /* v2 CALL_RESULT FAILED: text becomes a BSATN String */
  const peer_part *parts; uint32_t count;
} peer_message;

/* For v1, v2 and v3. */
void peer__put_message(iu_buf *b, iu_protocol p, const peer_message *m);
/* A list's rows as they go over the wire (a part of messages). */
void peer__put_rows(iu_buf *b, peer_hint hint, const peer_rows *rows);
/* Grows with malloc's failure ending the program: a test's. The bytes are borrowed. */
void peer__rows_add(peer_rows *rows, iu_slice row);

#endif
