/* json_build.c: objects of a document that are made by hand (json.h): the same block that the parser makes, [index][members]. */
#include "json_internal.h"

static size_t index_size(uint32_t count) { return count > IU_JSON_LINEAR_MAX ? ((size_t)count * sizeof(uint32_t) + 15) / 16 * 16 : 0; }

iu_json_member *iu__json_members_new(iu_arena *arena, uint32_t count) {
  char *block = iu__arena_alloc(arena, index_size(count) + count * sizeof(iu_json_member));

  return block != NULL ? (iu_json_member *)(void *)(block + index_size(count)) : NULL;
}

bool iu__json_object_make(iu_json *object, iu_json_member *members, uint32_t count) {
  memset(object, 0, sizeof *object);
  object->token = IU_J_OBJECT;
  object->len = count;
  object->u.members = members;
  if (count <= IU_JSON_LINEAR_MAX) return true;
  return iu__json_sort(members, count, (uint32_t *)(void *)members - count);
}
