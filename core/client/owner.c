/* owner.c: who owns the database, from the server's answer about it (protocol sheet 7.3). Private tables exist for the owner only, and the
 * WebSocket does not say who that is. */
#include "../base/arena.h"
#include "../base/hash.h"
#include "../sats/json.h"
#include "internal.h"

static const iu_json *member(const iu_json *object, const char *key) {
  return object != NULL && object->token == IU_J_OBJECT ? iu__json_get(object, key, strlen(key)) : NULL;
}

bool iu__owner_from_http(const void *body, size_t len, uint8_t out[32]) {
  iu_arena arena = {0};
  const iu_json *text = member(member(iu__json_parse(&arena, body, len, NULL), "owner_identity"), "__identity__");
  uint8_t big[32];
  char digits[64];
  bool good = text != NULL && text->token == IU_J_STRING && text->len > 2 && text->len <= 66 && memcmp(text->u.s, "0x", 2) == 0;
  if (good) { /* leading zeros are left out */
    size_t count = text->len - 2;
    memset(digits, '0', sizeof digits);
    memcpy(digits + sizeof digits - count, text->u.s + 2, count);
    good = iu__unhex(big, digits, sizeof digits);
  }
  for (int i = 0; good && i < 32; i++) out[i] = big[31 - i];
  iu__arena_free(&arena);
  return good;
}
