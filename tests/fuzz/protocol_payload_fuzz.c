/* protocol_payload_fuzz.c: libFuzzer target for everything that core/protocol reads. The first byte of the input chooses: a payload of v1, v2 or
 * v3, a v1.json message (of the user table of the sheet's M-2), a schema answer. The rest is the bytes. Every byte handed out is touched.
 */
#include "../c/protocol_fixture.h"
#include "../c/sats_schema_fixture.h"

#include "input.h"

#define FUZZ_CAP ((size_t)1 << 20)

/* Made once for the life of the process. */
static const iu_schema *user_schema(void) {
  static iu_schema *schema;
  if (schema == NULL) {
    bytes_of b = unhex(M2);
    if (iu__schema_decode(b.p, b.len, &schema, NULL) != IU_OK) abort();
    free(b.p);
  }
  return schema;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint32_t messages;
  iu_error err = {0};
  if (size == 0) return 0;
  unsigned which = data[0] % 5;
  if (which < 4) {
    iu_status status = drain((iu_protocol)which, user_schema(), data + 1, size - 1, FUZZ_CAP, &messages, &err);
    if ((status == IU_OK) != (messages > 0 && err.message[0] == '\0') && !(which == IU_P_V3 && messages > 0)) abort();
    return 0;
  }
  iu_schema *schema;
  if ((iu__schema_from_http(data + 1, size - 1, &schema, &err) == IU_OK) != (schema != NULL)) abort();
  iu__schema_free(schema);
  return 0;
}
