/* counts.c: see counts.h. Linear probing, removal by shifting back, at most three quarters full. */
#include "counts.h"

#include "../base/alloc.h"

static uint32_t home(const iu_counts *c, const iu_row *row) {
  uint64_t h = (uint64_t)(uintptr_t)row >> 4;
  h *= 0x9E3779B97F4A7C15u; /* Fibonacci hashing: the upper bits are well mixed */
  return (uint32_t)(h >> 32) & (c->cap - 1);
}

void iu__counts_free(iu_counts *c) {
  iu__free(c->entries);
  *c = (iu_counts){0};
}

iu_row_count *iu__counts_find(const iu_counts *c, const iu_row *row) {
  if (c->used == 0) return NULL;
  for (uint32_t i = home(c, row); c->entries[i].row != NULL; i = (i + 1) & (c->cap - 1)) {
    if (c->entries[i].row == row) return &c->entries[i];
  }
  return NULL;
}

static void put(iu_counts *c, iu_row_count entry) {
  uint32_t i = home(c, entry.row);
  while (c->entries[i].row != NULL) i = (i + 1) & (c->cap - 1);
  c->entries[i] = entry;
  c->used++;
}

static bool grow(iu_counts *c) {
  iu_counts more = {NULL, c->cap == 0 ? 64 : c->cap * 2, 0};
  if (more.cap < c->cap) return false;
  more.entries = iu__alloc_zero(more.cap, sizeof *more.entries);
  if (more.entries == NULL) return false;
  for (uint32_t i = 0; i < c->cap; i++) {
    if (c->entries[i].row != NULL) put(&more, c->entries[i]);
  }
  iu__free(c->entries);
  *c = more;
  return true;
}

bool iu__counts_set(iu_counts *c, uint32_t table, const iu_row *row, uint32_t count) {
  iu_row_count *there = iu__counts_find(c, row);
  if (there != NULL) {
    there->count = count;
    return true;
  }
  if (c->used >= c->cap / 4 * 3 && !grow(c)) return false;
  put(c, (iu_row_count){row, table, count});
  return true;
}

void iu__counts_remove(iu_counts *c, const iu_row *row) {
  iu_row_count *gone = iu__counts_find(c, row);
  uint32_t hole, i;
  if (gone == NULL) return;
  hole = i = (uint32_t)(gone - c->entries);
  for (;;) { /* who stands behind and could not be found over the hole moves into it */
    i = (i + 1) & (c->cap - 1);
    if (c->entries[i].row == NULL) break;
    uint32_t from = (i - home(c, c->entries[i].row)) & (c->cap - 1), over = (i - hole) & (c->cap - 1);
    if (from < over) continue;
    c->entries[hole] = c->entries[i];
    hole = i;
  }
  c->entries[hole].row = NULL;
  c->used--;
}
