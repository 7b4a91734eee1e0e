/* keymap.h: from the value of a unique key to the newest row that has it. Private to core/store.
 *
 * Open addressing with linear probing; a slot is a 32-bit tag (a part of it: the home slot; 0: empty) and a row pointer, 12 bytes, at most three
 * quarters full; a full one grows by half. The hash is XXH3 over the key columns' bytes, or over the whole row. One entry per value: older
 * versions are found through the ordered index. Rows are borrowed.
 *
 * Legal order for a write: reserve (may fail for want of memory), slot, put; put and remove never fail.
 */
#ifndef IU_STORE_KEYMAP_H
#define IU_STORE_KEYMAP_H

#include "sort.h"

#define IU_KEYMAP_ROWS_MAX (UINT32_C(3) << 29)

typedef struct iu_keymap {
  const iu_key *key; /* borrowed */
  iu_row **rows;     /* owned; tags follow in the same block */
  uint32_t *tags;
  uint32_t slots;    /* 0 with rows NULL: none yet */
  uint32_t used;
} iu_keymap;

typedef struct iu_keyslot { uint32_t slot, tag; } iu_keyslot;

void iu__keymap_init(iu_keymap *m, const iu_key *key);
void iu__keymap_free(iu_keymap *m);
bool iu__keymap_reserve(iu_keymap *m); /* room for one more */
/* Fills an empty map with rows of different values; room: 2 * count entries. false: no memory, nothing done. */
bool iu__keymap_build(iu_keymap *m, iu_row *const *rows, uint32_t count, iu_sort_entry *room);
/* Where the value of `row` is or would go; valid until the next put, remove or reserve. */
iu_keyslot iu__keymap_slot(const iu_keymap *m, const iu_row *row);
/* The same in two steps: the tag of a row's bytes, with its place asked for from memory; and, a while later, the place. */
uint32_t iu__keymap_fetch(const iu_keymap *m, const uint8_t *data, size_t len);
iu_keyslot iu__keymap_slot_of(const iu_keymap *m, uint32_t tag, const iu_row *row);
iu_row *iu__keymap_at(const iu_keymap *m, iu_keyslot s); /* NULL: not there */
void iu__keymap_put(iu_keymap *m, iu_keyslot s, iu_row *row);
/* If `row` itself is its value's entry: puts `before` in its place, or nothing when that is NULL. */
void iu__keymap_restore(iu_keymap *m, const iu_row *row, iu_row *before);
/* By concatenated BSATN of the index columns (of the whole row); any bytes may be asked for. */
iu_row *iu__keymap_find(const iu_keymap *m, const void *bytes, size_t len);
uint64_t iu__keymap_bytes(const iu_keymap *m);

#endif
