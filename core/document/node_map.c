/* node_map.c: see node_map.h. Open addressing, at most half full. */
#include "node_map.h"

#include <string.h>

#include "../base/alloc.h"

static struct iu_node_entry *entry_of(const iu_node_map *map, const void *node) {
  uint32_t at = (uint32_t)(((uint64_t)(uintptr_t)node * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (map->size - 1);

  while (map->entries[at].node != NULL && map->entries[at].node != node) at = (at + 1) & (map->size - 1);
  return &map->entries[at];
}

bool iu__node_map_get(const iu_node_map *map, const void *node, uint64_t *number) {
  const struct iu_node_entry *e;

  if (map->count == 0) return false;
  e = entry_of(map, node);
  if (e->node != NULL) *number = e->number;
  return e->node != NULL;
}

static bool grow(iu_node_map *map) {
  iu_node_map larger = {NULL, map->count, map->size != 0 ? map->size * 2 : 64};
  uint32_t i;

  if (larger.size == 0) return false;
  larger.entries = iu__alloc_zero(larger.size, sizeof *larger.entries);
  if (larger.entries == NULL) return false;
  for (i = 0; i < map->size; i++)
    if (map->entries[i].node != NULL) *entry_of(&larger, map->entries[i].node) = map->entries[i];
  iu__free(map->entries);
  *map = larger;
  return true;
}

bool iu__node_map_put(iu_node_map *map, const void *node, uint64_t number) {
  struct iu_node_entry *e;

  if (map->count >= map->size / 2 && !grow(map)) return false;
  e = entry_of(map, node);
  if (e->node == NULL) map->count++;
  e->node = node;
  e->number = number;
  return true;
}

void iu__node_map_free(iu_node_map *map) {
  iu__free(map->entries);
  memset(map, 0, sizeof *map);
}
