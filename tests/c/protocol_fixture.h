/* protocol_fixture.h: what the protocol tests share: the message vectors of the protocol sheet (12.3, 12.4, 12.5), payloads with a compression
 * byte in front, encoders of hostile ones. The hex of every vector stands on a line of its own: `make fuzz` takes its seeds from them.
 */
#ifndef IU_TESTS_PROTOCOL_FIXTURE_H
#define IU_TESTS_PROTOCOL_FIXTURE_H

#include "../../core/protocol/message.h"
#include "sats_fixture.h"

#define QUERY "SELECT * FROM user"
#define QUERY_HEX "1200000053454c454354202a2046524f4d2075736572"
#define ID_HEX "75a9cc35243f675a7d8eebbbf2a1c2b0dc36ccca06de02d4c742d652314800c2"
#define CONN_HEX "ffeeddccbbaa99887766554433221100"
#define ROW_A "0700000003000000426f62"
#define ROW_B "0800000002000000416c"
#define ARGS_BOB "03000000426f62"
#define TIME 1700000000000000
#define CAP ((size_t)64 << 20)

typedef struct server_vector { const char *id; iu_protocol protocol; const char *hex; } server_vector;

#define S2_1 "0075a9cc35243f675a7d8eebbbf2a1c2b0dc36ccca06de02d4c742d652314800c2ffeeddccbbaa9988776655443322110003000000746f6b"
#define S2_5 "010100000002000000010000000400000075736572010200000000000000000000000b00000000000000150000000700000003000000426f620800000002000000416c"
#define S2_6 "02030000000200000001"
#define S2_7 "02030000000200000000010000000400000075736572000b000b0000000700000003000000426f62"
#define S2_8 "0300010000000200000003000000626164"
#define S2_9 "03010200000003000000626164"
#define S2_10 "0401000000020000000100000004000000757365720100000000000b000b0000000700000003000000426f62010000000000000000"
#define S2_11 "040100000002000000010000000400000070696e6701000000010004000400000009000000"
#define S2_12 "050400000000010000000400000075736572000b000b0000000700000003000000426f62"
#define S2_13 "0504000000010d0000006e6f2073756368207461626c65"
#define S2_14 "060500000000401e18240a0600000000000000000000"
#define S2_15 "060500000000401e18240a060001"
#define S2_16 "060500000000401e18240a06000206000000020000006e6f"
#define S2_17 "060500000000401e18240a06000304000000626f6f6d"
#define S2_18 "0700040000000100000000401e18240a0600fa0000000000000006000000"
#define S2_19 "070101000000780000000000000000000000000000000006000000"

#define S1_1 "0375a9cc35243f675a7d8eebbbf2a1c2b0dc36ccca06de02d4c742d652314800c203000000746f6bffeeddccbbaa99887766554433221100"
#define S1_2 "000100000000100000040000007573657201000000000000000100000000010000000000000000000b000b0000000700000003000000426f6201000000fa00000000000000"
#define S1_3 "01000100000000100000040000007573657201000000000000000100000000010000000000000000000b000b0000000700000003000000426f6200401e18240a060075a9cc35243f675a7d8eebbbf2a1c2b0dc36ccca06de02d4c742d652314800c2ffeeddccbbaa99887766554433221100080000007365745f6e616d65010000000700000003000000426f6205000000e8030000000000000000000000000000fa00000000000000"
#define S1_4 "0101020000006e6f00401e18240a060075a9cc35243f675a7d8eebbbf2a1c2b0dc36ccca06de02d4c742d652314800c2ffeeddccbbaa99887766554433221100080000007365745f6e616d65010000000700000003000000426f620500000000000000000000000000000000000000fa00000000000000"
#define S1_5 "02000000000100000000100000040000007573657201000000000000000100000000010000000000000000000b000b0000000700000003000000426f62"
#define S1_6 "0402000000aabb01010000000400000075736572000b000b0000000700000003000000426f62fa00000000000000"
#define S1_7 "0402000000aabb000300000062616400000000fa00000000000000"
#define S1_8 "0501000000fa000000000000000200000000100000040000007573657200100000040000007573657201000000000000000100000000010000000000000000000b000b0000000700000003000000426f62"
#define S1_9 "07fa00000000000000000100000000020000000103000000626164"
#define S1_10 "0801000000fa00000000000000020000000100000000100000040000007573657201000000000000000100000000010000000000000000000b000b0000000700000003000000426f62"
#define S1_11 "0903000000fa000000000000000200000000000000"
#define S1_12 "0a00040000000100000000401e18240a0600fa0000000000000006000000"

#define F_2 "021f8b080000000000040363636560606070909350e16263606661606048cacfcf0500b9d73f4a16000000"
#define F_3 "018b0a80060500000000401e18240a06000304000000626f6f6d03"
#define F_5 "00030102000000030000006261640401000000020000000100000004000000757365720100000000000b000b0000000700000003000000426f62010000000000000000"

/* Every server message of both versions. */
static const server_vector SERVER_VECTORS[] = {
  {"S2-1", IU_P_V2, S2_1}, {"S2-5", IU_P_V2, S2_5}, {"S2-6", IU_P_V2, S2_6}, {"S2-7", IU_P_V2, S2_7}, {"S2-8", IU_P_V2, S2_8},
  {"S2-9", IU_P_V2, S2_9}, {"S2-10", IU_P_V2, S2_10}, {"S2-11", IU_P_V2, S2_11}, {"S2-12", IU_P_V2, S2_12}, {"S2-13", IU_P_V2, S2_13},
  {"S2-14", IU_P_V2, S2_14}, {"S2-15", IU_P_V2, S2_15}, {"S2-16", IU_P_V2, S2_16}, {"S2-17", IU_P_V2, S2_17}, {"S2-18", IU_P_V2, S2_18},
  {"S2-19", IU_P_V2, S2_19}, {"S1-1", IU_P_V1, S1_1}, {"S1-2", IU_P_V1, S1_2}, {"S1-3", IU_P_V1, S1_3}, {"S1-4", IU_P_V1, S1_4},
  {"S1-5", IU_P_V1, S1_5}, {"S1-6", IU_P_V1, S1_6}, {"S1-7", IU_P_V1, S1_7}, {"S1-8", IU_P_V1, S1_8}, {"S1-9", IU_P_V1, S1_9},
  {"S1-10", IU_P_V1, S1_10}, {"S1-11", IU_P_V1, S1_11}, {"S1-12", IU_P_V1, S1_12},
};
#define SERVER_VECTOR_COUNT (sizeof SERVER_VECTORS / sizeof *SERVER_VECTORS)

static inline iu_slice slice(const char *text) { return (iu_slice){(const uint8_t *)text, strlen(text)}; }

static inline void assert_slice_text(iu_slice s, const char *text) {
  assert_int_equal(s.len, strlen(text));
  if (s.len != 0) assert_memory_equal(s.p, text, s.len);
}
static inline void assert_slice_hex(iu_slice s, const char *hex) { assert_hex(s.p, s.len, hex); }

/* A payload opened from hex (compression byte included), and its bytes, exactly so many. */
typedef struct opened { iu_payload payload; bytes_of bytes; } opened;

static inline bytes_of framed(const char *hex) {
  char *whole = malloc(strlen(hex) + 3);
  sprintf(whole, "00%s", hex);
  bytes_of b = unhex(whole);
  free(whole);
  return b;
}

static inline void must_open(opened *o, iu_protocol protocol, bytes_of bytes, size_t cap) {
  iu_error err = {0};
  o->bytes = bytes;
  if (iu__payload_open(&o->payload, protocol, bytes.p, bytes.len, cap, &err) != IU_OK) fail_msg("not opened: %s", err.message);
}

static inline void must_next(opened *o, iu_message *m) {
  iu_error err = {0};
  bool more = false;
  if (iu__payload_next(&o->payload, m, &more, &err) != IU_OK) fail_msg("not read: %s", err.message);
  assert_true(more);
}

static inline void must_end(opened *o) {
  iu_message untouched;
  bool more = true;
  memset(&untouched, 0x5a, sizeof untouched);
  assert_int_equal(iu__payload_next(&o->payload, &untouched, &more, NULL), IU_OK);
  assert_false(more);
  assert_int_equal(untouched.update_count, 0x5a5a5a5a);
}

static inline void close_payload(opened *o) {
  iu__payload_close(&o->payload);
  free(o->bytes.p);
}

/* The one message of an uncompressed payload; close_payload afterwards. */
static inline void read_one(opened *o, iu_protocol protocol, const char *hex, iu_message *m) {
  must_open(o, protocol, framed(hex), CAP);
  must_next(o, m);
}

/* Touches every byte that a message hands out, so that sanitizers see bad ones. Returns a sum. */
static inline uint64_t touch_slice(iu_slice s) {
  uint64_t sum = s.len;
  for (size_t i = 0; i < s.len; i++) sum = sum * 31 + s.p[i];
  return sum;
}
static inline uint64_t touch_rows(const iu_row_list *l) {
  uint64_t sum = l->count;
  for (uint32_t i = 0; i < l->count; i++) sum += touch_slice(iu__row_list_at(l, i));
  return sum;
}
static inline uint64_t touch_message(const iu_message *m) {
  uint64_t sum = touch_slice(m->token) + touch_slice(m->text) + touch_slice(m->value) + touch_slice(m->reducer) + touch_slice(m->args);
  for (uint32_t i = 0; i < m->update_count; i++) {
    sum += touch_slice(m->updates[i].table) + touch_rows(&m->updates[i].inserts) + touch_rows(&m->updates[i].deletes);
  }
  return sum;
}

/* Opens and reads all there is, closes; the first failure, or IU_OK. *messages counts those before it. */
static inline iu_status drain(iu_protocol protocol, const iu_schema *schema, const void *bytes, size_t len, size_t cap, uint32_t *messages, iu_error *err) {
  iu_payload p;
  iu_message m;
  bool more = true;
  iu_status status = iu__payload_open(&p, protocol, bytes, len, cap, err);
  *messages = 0;
  p.schema = schema;
  while (status == IU_OK && more) {
    status = iu__payload_next(&p, &m, &more, err);
    if (status == IU_OK && more) {
      touch_message(&m);
      ++*messages;
    }
  }
  iu__payload_close(&p);
  return status;
}

#endif
