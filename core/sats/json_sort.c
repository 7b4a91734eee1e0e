/* json_sort.c: sorting an object's keys. A merge sort over positions that starts from the runs already in order: keys that come
 * sorted cost one comparison each. */
#include "json_internal.h"

#define RUN_MIN 8

static bool in_order(const iu_json_member *members, uint32_t a, uint32_t b) {
  return iu__json_key_compare(&members[a], members[b].key, members[b].key_len) <= 0;
}

static void insertion_sort(const iu_json_member *m, uint32_t *order, uint32_t count) {
  uint32_t i, j;

  for (i = 1; i < count; i++) {
    uint32_t x = order[i];
    for (j = i; j > 0 && !in_order(m, order[j - 1], x); j--) order[j] = order[j - 1];
    order[j] = x;
  }
}

static void merge(const iu_json_member *m, const uint32_t *from, uint32_t left, uint32_t middle, uint32_t right, uint32_t *to) {
  uint32_t i = left, j = middle, k = left;

  if (in_order(m, from[middle - 1], from[middle])) {
    memcpy(to + left, from + left, (right - left) * sizeof *to);
    return;
  }
  while (i < middle && j < right) to[k++] = in_order(m, from[i], from[j]) ? from[i++] : from[j++];
  while (i < middle) to[k++] = from[i++];
  while (j < right) to[k++] = from[j++];
}

void iu__json_sort(const iu_json_member *members, uint32_t count, uint32_t *order, uint32_t *spare) {
  uint32_t *from = order, *to = spare, *swap;
  uint64_t width, i;

  for (i = 0; i < count; i++) order[i] = (uint32_t)i;
  for (i = 0; i < count; i += RUN_MIN) insertion_sort(members, order + i, (uint32_t)(count - i < RUN_MIN ? count - i : RUN_MIN));
  for (width = RUN_MIN; width < count; width *= 2) {
    for (i = 0; i < count; i += 2 * width) {
      uint64_t middle = i + width, right = i + 2 * width;
      if (right > count) right = count;
      if (middle < right) merge(members, from, (uint32_t)i, (uint32_t)middle, (uint32_t)right, to);
      else memcpy(to + i, from + i, (size_t)(count - i) * sizeof *to);
    }
    swap = from;
    from = to;
    to = swap;
  }
  if (from != order) memcpy(order, from, count * sizeof *order);
}
