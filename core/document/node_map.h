/* node_map.h: a number remembered for nodes of a tree, by their address. Zero-initialise; iu__node_map_free. */
#ifndef IU_DOCUMENT_NODE_MAP_H
#define IU_DOCUMENT_NODE_MAP_H

#include <stdbool.h>
#include <stdint.h>

typedef struct iu_node_map {
  struct iu_node_entry { const void *node; uint64_t number; } *entries; /* owned */
  uint32_t count, size; /* size: 0 or a power of two */
} iu_node_map;

bool iu__node_map_get(const iu_node_map *map, const void *node, uint64_t *number);
bool iu__node_map_put(iu_node_map *map, const void *node, uint64_t number); /* false: no memory */
void iu__node_map_free(iu_node_map *map);

#endif
