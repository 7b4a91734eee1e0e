/* fold_map.c: the last change of each row in a slice: an array in the order rows were first met, and an open-addressing table over it. */
#include "fold.h"

#include "../base/alloc.h"
#include "../base/hash.h"

#define ENTRIES_MIN 1024
#define ENTRIES_KEPT 65536 /* more are given back after the slice */

void iu__jfold_map_reset(iu_fold *f) {
  if (f->cap > ENTRIES_KEPT) {
    iu__free(f->entries);
    iu__free(f->slots);
    f->entries = NULL;
    f->slots = NULL;
    f->cap = f->slot_count = 0;
  }
  if (f->slots != NULL && f->count != 0) memset(f->slots, 0, f->slot_count * sizeof *f->slots);
  f->count = f->position_count = 0;
}

static void insert_slot(iu_fold *f, uint32_t entry) {
  uint32_t mask = f->slot_count - 1, at = (uint32_t)f->entries[entry].hash & mask;

  while (f->slots[at] != 0) at = (at + 1) & mask;
  f->slots[at] = entry + 1;
}

/* Twice as many slots as entries, so that probing stays short. */
static iu_status grow(iu_fold *f, iu_error *err) {
  uint32_t cap = f->cap == 0 ? ENTRIES_MIN : f->cap * 2;
  iu_fold_entry *entries;
  uint32_t *slots;

  if (cap > UINT32_MAX / 4) return iu__fail_nomem(err);
  entries = iu__realloc_array(f->entries, cap, sizeof *entries);
  if (entries == NULL) return iu__fail_nomem(err);
  f->entries = entries;
  slots = iu__alloc_zero(2 * (size_t)cap, sizeof *slots);
  if (slots == NULL) return iu__fail_nomem(err); /* cap stays: the larger array is only unused */
  iu__free(f->slots);
  f->slots = slots;
  f->slot_count = 2 * cap;
  f->cap = cap;
  for (uint32_t i = 0; i < f->count; i++) insert_slot(f, i);
  return IU_OK;
}

static iu_fold_entry *find(iu_fold *f, const iu_catalog_table *t, uint64_t hash, iu_slice key) {
  uint32_t mask = f->slot_count - 1;

  for (uint32_t at = (uint32_t)hash & mask; f->slots[at] != 0; at = (at + 1) & mask) {
    iu_fold_entry *e = &f->entries[f->slots[at] - 1];

    if (e->hash == hash && e->table == t && e->key.len == key.len && memcmp(e->key.p, key.p, key.len) == 0) return e;
  }
  return NULL;
}

iu_status iu__jfold_map_put(iu_fold *f, const iu_catalog_table *t, iu_frame_op op, iu_slice bytes, iu_error *err) {
  iu_slice key = bytes;
  iu_fold_entry *e;
  uint64_t hash;
  iu_status status;

  if ((op == IU_FRAME_DELETE_KEY) == t->key_is_row && op != IU_FRAME_PUT)
    return iu__fail(err, IU_E_STORAGE, "the file is damaged: a deletion in table `%s` names its row in a wrong way", t->def->name);
  if (op == IU_FRAME_PUT && !t->key_is_row) key = iu__bsatn_column(t->def->row, (uint32_t)t->def->primary_key, bytes.p, bytes.len);
  if (f->count == f->cap) {
    status = grow(f, err);
    if (status != IU_OK) return status;
  }
  hash = iu__hash64(key.p, key.len) ^ t->id * UINT64_C(0x9e3779b97f4a7c15);
  e = find(f, t, hash, key);
  if (e == NULL) {
    e = &f->entries[f->count++];
    e->table = t;
    e->hash = hash;
    e->key = key;
    insert_slot(f, f->count - 1);
  }
  e->op = op;
  e->bytes = bytes;
  return IU_OK;
}

iu_status iu__jfold_map_position(iu_fold *f, const iu_catalog_table *t, uint32_t sequence, int64_t next, iu_error *err) {
  iu_fold_position *p;

  for (uint32_t i = 0; i < f->position_count; i++) {
    p = &f->positions[i];
    if (p->table != t || p->sequence != sequence) continue;
    p->next = next;
    return IU_OK;
  }
  if (f->position_count == f->position_cap) {
    uint32_t cap = f->position_cap == 0 ? 16 : f->position_cap * 2;

    p = iu__realloc_array(f->positions, cap, sizeof *p);
    if (p == NULL) return iu__fail_nomem(err);
    f->positions = p;
    f->position_cap = cap;
  }
  f->positions[f->position_count++] = (iu_fold_position){t, sequence, next};
  return IU_OK;
}
