/* order.c: rows in an order of our own, where a scan's is not enough: hosts agree neither on rows of equal keys nor on where in a scan
 * the rows of the running transaction come.
 *
 * A growing array in scratch memory and a heap sort: no recursion, no memory of its own, O(n log n) whatever comes.
 */
#include "internal.h"

#define FIRST_CAPACITY 16u

bool iu__nerv_items_add(nerv_call *c, nerv_items *items, nerv_item item) {
  if (items->n == items->cap) {
    size_t cap = items->cap == 0 ? FIRST_CAPACITY : items->cap * 2;
    nerv_item *p = cap > NERV_MEM_MAX / sizeof *p ? NULL : iu__nerv_alloc(&c->self->mem, cap * sizeof *p);
    if (p == NULL) return iu__nerv_no_memory(c);
    if (items->n > 0) memcpy(p, items->p, items->n * sizeof *p);
    items->p = p;
    items->cap = cap;
  }
  items->p[items->n++] = item;
  return true;
}

static bool before(const nerv_item *a, const nerv_item *b) {
  size_t common = a->key.n < b->key.n ? a->key.n : b->key.n;
  int order;
  if (a->rank != b->rank) return a->rank < b->rank;
  order = common > 0 ? memcmp(a->key.p, b->key.p, common) : 0;
  return order != 0 ? order < 0 : a->key.n < b->key.n;
}

/* Moves the item at `at` down until none of the `n` items below it comes later. */
static void sift(nerv_item *p, size_t at, size_t n) {
  nerv_item item = p[at];
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= n) break;
    if (child + 1 < n && before(&p[child], &p[child + 1])) child++;
    if (!before(&item, &p[child])) break;
    p[at] = p[child];
    at = child;
  }
  p[at] = item;
}

void iu__nerv_items_sort(nerv_items *items) {
  for (size_t at = items->n / 2; at > 0; at--) sift(items->p, at - 1, items->n);
  for (size_t n = items->n; n > 1; n--) {
    nerv_item last = items->p[n - 1];
    items->p[n - 1] = items->p[0];
    items->p[0] = last;
    sift(items->p, 0, n - 1);
  }
}

bool iu__nerv_copy(nerv_call *c, nerv_slice from, nerv_slice *copy) {
  uint8_t *p = iu__nerv_alloc(&c->self->mem, from.n > 0 ? from.n : 1);
  if (p == NULL) return iu__nerv_no_memory(c);
  if (from.n > 0) memcpy(p, from.p, from.n);
  *copy = (nerv_slice){p, from.n};
  return true;
}
