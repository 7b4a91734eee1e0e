/* text_distance.c: edit distance of text.h, for suggestions. Freestanding; alen * blen steps on the stack. */
#include "text_internal.h"

#define DISTANCE_LEN_MAX 64

static size_t min(size_t a, size_t b) { return a < b ? a : b; }

size_t iu__edit_distance(const char *a, size_t alen, const char *b, size_t blen) {
  uint8_t rows[3][DISTANCE_LEN_MAX + 1];
  uint8_t *before = rows[0], *above = rows[1], *row = rows[2], *t;
  size_t i, j;

  if (alen > DISTANCE_LEN_MAX || blen > DISTANCE_LEN_MAX) return SIZE_MAX;
  for (j = 0; j <= blen; j++) {
    row[j] = (uint8_t)j;
    above[j] = 0;
  }
  for (i = 1; i <= alen; i++) {
    t = before;
    before = above;
    above = row;
    row = t;
    row[0] = (uint8_t)i;
    for (j = 1; j <= blen; j++) {
      size_t best = min(min(above[j] + 1u, row[j - 1] + 1u), above[j - 1] + (a[i - 1] != b[j - 1]));
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) best = min(best, before[j - 2] + 1u);
      row[j] = (uint8_t)best;
    }
  }
  return row[blen];
}
