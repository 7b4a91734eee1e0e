/* json_sort.c: sorting an object's keys. A stable merge sort that starts from the runs already in order: keys that come sorted cost one comparison
 * each. It moves positions, each with the eight bytes of its key behind what all keys begin with: so that most comparisons look at nothing else. */
#include "json_internal.h"

#include "../base/alloc.h"

#define RUN_MIN 8
#define FEW 64 /* these are sorted without taking memory */

typedef struct entry { uint64_t word; uint32_t at; } entry;

static bool in_order(const iu_json_member *m, const entry *a, const entry *b) {
  if (a->word != b->word) return a->word < b->word;
  return iu__json_key_compare(&m[a->at], m[b->at].key, m[b->at].key_len) <= 0;
}

static void insertion_sort(const iu_json_member *m, entry *list, uint32_t count) {
  uint32_t i, j;

  for (i = 1; i < count; i++) {
    entry x = list[i];
    for (j = i; j > 0 && !in_order(m, &list[j - 1], &x); j--) list[j] = list[j - 1];
    list[j] = x;
  }
}

static void merge(const iu_json_member *m, const entry *from, uint32_t left, uint32_t middle, uint32_t right, entry *to) {
  uint32_t i = left, j = middle, k = left;

  if (in_order(m, &from[middle - 1], &from[middle])) {
    memcpy(to + left, from + left, (right - left) * sizeof *to);
    return;
  }
  while (i < middle && j < right) to[k++] = in_order(m, &from[i], &from[j]) ? from[i++] : from[j++];
  while (i < middle) to[k++] = from[i++];
  while (j < right) to[k++] = from[j++];
}

/* Returns which of the two holds the result. */
static const entry *sort(const iu_json_member *m, uint32_t count, entry *from, entry *to) {
  uint64_t width, i;

  for (i = 0; i < count; i += RUN_MIN) insertion_sort(m, from + i, (uint32_t)(count - i < RUN_MIN ? count - i : RUN_MIN));
  for (width = RUN_MIN; width < count; width *= 2) {
    entry *swap = from;
    for (i = 0; i < count; i += 2 * width) {
      uint64_t middle = i + width, right = i + 2 * width;
      if (right > count) right = count;
      if (middle < right) merge(m, from, (uint32_t)i, (uint32_t)middle, (uint32_t)right, to);
      else memcpy(to + i, from + i, (size_t)(count - i) * sizeof *to);
    }
    from = to;
    to = swap;
  }
  return from;
}

static uint32_t common_prefix(const iu_json_member *m, uint32_t count) {
  uint32_t len = m[0].key_len, i, n;

  for (i = 1; i < count && len > 0; i++) {
    if (m[i].key_len < len) len = m[i].key_len;
    if (memcmp(m[0].key, m[i].key, len) == 0) continue;
    for (n = 0; m[0].key[n] == m[i].key[n]; n++) {}
    len = n;
  }
  return len;
}

/* In the order of its bytes; zeros stand for those that are not there, and decide nothing where they are equal to what is. */
static uint64_t word_at(const iu_json_member *m, uint32_t skip) {
  uint64_t word = 0;
  uint32_t i, n = m->key_len - skip;

  if (n < 8) {
    for (i = 0; i < n; i++) word |= (uint64_t)(unsigned char)m->key[skip + i] << (56 - 8 * i);
    return word;
  }
  memcpy(&word, m->key + skip, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  word = __builtin_bswap64(word);
#endif
  return word;
}

bool iu__json_sort(const iu_json_member *members, uint32_t count, uint32_t *order) {
  entry few[2 * FEW], *list = few;
  const entry *sorted;
  uint32_t prefix, i;

  if (count == 1) order[0] = 0;
  if (count <= 1) return true;
  if (count > FEW) list = iu__realloc_array(NULL, count, 2 * sizeof *list);
  if (list == NULL) return false;
  prefix = common_prefix(members, count);
  for (i = 0; i < count; i++) list[i] = (entry){word_at(&members[i], prefix), i};
  sorted = sort(members, count, list, list + count);
  for (i = 0; i < count; i++) order[i] = sorted[i].at;
  if (list != few) iu__free(list);
  return true;
}
