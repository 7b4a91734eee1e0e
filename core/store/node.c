/* node.c: one node of the tree; see tree.h.
 *
 * The common bytes may only shrink when a key is put in: the eight bytes at the smaller offset follow from the old common bytes and the old
 * windows, so no row is touched. They grow only when a node is made anew from half of another or from two.
 */
#include "tree.h"

#define REFIT_GAIN 5u /* with fewer equal bytes at their start the windows still tell rows apart well */

static uint64_t load_big(const uint8_t *p) {
  uint64_t v;

  memcpy(&v, p, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  v = __builtin_bswap64(v);
#endif
  return v;
}

/* The first slot in [lo, hi) whose window is at least x. */
static unsigned window_lower(const iu_node *n, unsigned lo, unsigned hi, uint64_t x) {
  while (lo < hi) {
    unsigned mid = (lo + hi) / 2;
    if (n->window[mid] < x) lo = mid + 1;
    else hi = mid;
  }
  return lo;
}

static unsigned window_upper(const iu_node *n, unsigned lo, unsigned hi, uint64_t x) {
  while (lo < hi) {
    unsigned mid = (lo + hi) / 2;
    if (n->window[mid] <= x) lo = mid + 1;
    else hi = mid;
  }
  return lo;
}

static uint8_t (*norms_of(iu_node *n))[IU_NORM_SIZE] { return ((iu_inner *)(void *)n)->norm; /* node is the first member */ }

/* With the row at a slot whose window is the probe's. Where that says all of the key, what is left are versions of one row. Else the rest of the normal form
 * mostly tells: an inner node has it, of a leaf's row it costs a third of what a comparison of the columns does. */
static int compare_same(const iu_node *n, unsigned base, unsigned slot, const iu_probe *p) {
  uint8_t made[IU_NORM_SIZE];
  const uint8_t *norm = made;
  const iu_row *row = n->row[slot];
  int c;

  if (p->row != NULL && p->key->exact != 0 && n->skip + 8u >= p->key->exact) return p->row == row ? 0 : iu__key_compare_versions(p->row, row);
  if (base != 0) norm = norms_of((iu_node *)(uintptr_t)n)[slot];
  else if (p->key->ops == NULL) iu__key_norm_from(p->key, row, made, 0);
  else return iu__probe_compare(p, row);
  c = memcmp(p->norm, norm, IU_NORM_SIZE);
  return c != 0 ? c : iu__probe_compare(p, row);
}

/* The first slot whose row is after the probe, or at it when `at` is 0. */
static unsigned search(const iu_node *n, unsigned base, const iu_probe *p, int at) {
  unsigned lo, hi;
  uint64_t x;
  int c;

  if (n->count <= base) return base;
  c = memcmp(p->norm, n->common, n->skip);
  if (c != 0) return c < 0 ? base : n->count;
  x = load_big(p->norm + n->skip);
  lo = window_lower(n, base, n->count, x);
  hi = lo < n->count && n->window[lo] == x ? window_upper(n, lo, n->count, x) : lo;
  if (hi - lo > 2) { /* rows that share much of their key, as those of one transaction do, mostly come in ascending order */
    if (compare_same(n, base, hi - 1, p) >= at) return hi;
    hi--;
  }
  while (lo < hi) {
    unsigned mid = (lo + hi) / 2;
    if (compare_same(n, base, mid, p) >= at) lo = mid + 1;
    else hi = mid;
  }
  return lo;
}

bool iu__node_ends_before(const iu_node *n, const iu_probe *p) {
  return n->count > 0 && load_big(p->norm + n->skip) > n->window[n->count - 1u] && memcmp(p->norm, n->common, n->skip) == 0;
}

bool iu__node_encloses(const iu_node *n, const iu_probe *p) {
  uint64_t x = load_big(p->norm + n->skip);

  return n->count > 1 && x > n->window[0] && x < n->window[n->count - 1u] && memcmp(p->norm, n->common, n->skip) == 0;
}

unsigned iu__node_find(const iu_node *n, const iu_row *row, const uint8_t norm[IU_NORM_SIZE]) {
  unsigned pos = window_lower(n, 0, n->count, load_big(norm + n->skip));

  while (pos < n->count && n->row[pos] != row) pos++;
  return pos;
}

bool iu__node_append(iu_node *n, iu_row *row, const uint8_t norm[IU_NORM_SIZE]) {
  uint64_t x = load_big(norm + n->skip);

  if (n->count == 0 || n->count == IU_NODE_SLOTS || x <= n->window[n->count - 1u] || memcmp(norm, n->common, n->skip) != 0) return false;
  n->window[n->count] = x;
  n->row[n->count++] = row;
  return true;
}

unsigned iu__node_lower(const iu_node *n, unsigned base, const iu_probe *p) { return search(n, base, p, 1); }
unsigned iu__node_upper(const iu_node *n, unsigned base, const iu_probe *p) { return search(n, base, p, 0); }

bool iu__node_may_equal(const iu_node *n, unsigned slot, const iu_probe *p) {
  return n->window[slot] == load_big(p->norm + n->skip) && memcmp(p->norm, n->common, n->skip) == 0;
}

static void shrink_common(iu_node *n, unsigned base, unsigned skip) {
  uint8_t bytes[IU_NORM_SIZE];
  unsigned i;

  memcpy(bytes, n->common, n->skip);
  for (i = base; i < n->count; i++) {
    iu__store_big(bytes + n->skip, n->window[i]);
    n->window[i] = load_big(bytes + skip);
  }
  n->skip = (uint8_t)skip;
}

static unsigned equal_bytes(const uint8_t *a, const uint8_t *b, unsigned max) {
  unsigned i = 0;

  for (; i + 8 <= max; i += 8) {
    uint64_t x = load_big(a + i) ^ load_big(b + i);
    if (x != 0) return i + (unsigned)__builtin_clzll(x) / 8;
  }
  while (i < max && a[i] == b[i]) i++;
  return i;
}

/* Makes room in the common bytes for one more key. `others`: slots that stay. */
static void fit(iu_node *n, unsigned base, unsigned others, const uint8_t norm[IU_NORM_SIZE]) {
  unsigned skip;

  if (others == 0) {
    memcpy(n->common, norm, IU_SKIP_MAX);
    n->skip = IU_SKIP_MAX;
    return;
  }
  skip = equal_bytes(n->common, norm, n->skip);
  if (skip < n->skip) shrink_common(n, base, skip);
}

void iu__node_put(iu_node *n, unsigned base, unsigned pos, iu_row *row, const uint8_t norm[IU_NORM_SIZE]) {
  unsigned behind = n->count - pos;

  fit(n, base, n->count - base, norm);
  memmove(&n->window[pos + 1], &n->window[pos], behind * sizeof n->window[0]);
  memmove(&n->row[pos + 1], &n->row[pos], behind * sizeof n->row[0]);
  n->window[pos] = load_big(norm + n->skip);
  n->row[pos] = row;
  n->count++;
  if (base == 0) return;
  memmove(norms_of(n)[pos + 1], norms_of(n)[pos], behind * IU_NORM_SIZE);
  memcpy(norms_of(n)[pos], norm, IU_NORM_SIZE);
}

void iu__node_set(iu_node *n, unsigned base, unsigned pos, iu_row *row, const uint8_t norm[IU_NORM_SIZE]) {
  fit(n, base, n->count - base - 1u, norm);
  n->window[pos] = load_big(norm + n->skip);
  n->row[pos] = row;
  if (base != 0) memcpy(norms_of(n)[pos], norm, IU_NORM_SIZE);
}

void iu__node_cut(iu_node *n, unsigned base, unsigned pos) {
  unsigned behind = n->count - pos - 1u;

  memmove(&n->window[pos], &n->window[pos + 1], behind * sizeof n->window[0]);
  memmove(&n->row[pos], &n->row[pos + 1], behind * sizeof n->row[0]);
  if (base != 0) memmove(norms_of(n)[pos], norms_of(n)[pos + 1], behind * IU_NORM_SIZE);
  n->count--;
}

void iu__node_split(iu_node *n, unsigned base, unsigned at, iu_node *to) {
  unsigned moved = n->count - at;

  to->count = (uint16_t)moved;
  to->skip = n->skip;
  memcpy(to->common, n->common, n->skip);
  memcpy(to->window, &n->window[at], moved * sizeof n->window[0]);
  memcpy(to->row, &n->row[at], moved * sizeof n->row[0]);
  if (base != 0) memcpy(norms_of(to), norms_of(n)[at], moved * IU_NORM_SIZE);
  n->count = (uint16_t)at;
}

void iu__node_fill(iu_node *n, iu_row *const *rows, unsigned count, uint8_t norms[][IU_NORM_SIZE]) {
  unsigned i;

  n->count = (uint16_t)count;
  n->skip = (uint8_t)equal_bytes(norms[0], norms[count - 1], IU_SKIP_MAX);
  memcpy(n->common, norms[0], n->skip);
  for (i = 0; i < count; i++) {
    n->row[i] = rows[i];
    n->window[i] = load_big(norms[i] + n->skip);
  }
}

static void rebuild(iu_node *n, unsigned base, const iu_key *key, unsigned skip, const uint8_t common[IU_NORM_SIZE]) {
  uint8_t norm[IU_NORM_SIZE];
  unsigned i;

  n->skip = (uint8_t)skip;
  memcpy(n->common, common, skip);
  for (i = base; i < n->count; i++) {
    if (base == 0) iu__key_norm(key, n->row[i], norm);
    n->window[i] = load_big((base == 0 ? norm : norms_of(n)[i]) + skip);
  }
}

static void get_norm(iu_node *n, unsigned base, unsigned slot, const iu_key *key, uint8_t out[IU_NORM_SIZE]) {
  if (base == 0) iu__key_norm(key, n->row[slot], out);
  else memcpy(out, norms_of(n)[slot], IU_NORM_SIZE);
}

/* The bytes that all rows share: those of the first and the last, as rows are in order. */
static unsigned measure(iu_node *n, unsigned base, const iu_key *key, uint8_t first[IU_NORM_SIZE]) {
  uint8_t last[IU_NORM_SIZE];

  get_norm(n, base, base, key, first);
  get_norm(n, base, n->count - 1u, key, last);
  return equal_bytes(first, last, IU_SKIP_MAX);
}

void iu__node_refit(iu_node *n, unsigned base, const iu_key *key) {
  uint8_t first[IU_NORM_SIZE];
  unsigned skip;

  if (n->count <= base) return;
  skip = measure(n, base, key, first);
  if (skip >= REFIT_GAIN + n->skip) rebuild(n, base, key, skip, first);
}

void iu__node_join(iu_node *n, unsigned base, const iu_node *from, const iu_key *key) {
  uint8_t first[IU_NORM_SIZE];

  memcpy(&n->row[n->count], from->row, from->count * sizeof n->row[0]);
  if (base != 0) memcpy(norms_of(n)[n->count], norms_of((iu_node *)(uintptr_t)from), from->count * IU_NORM_SIZE);
  n->count = (uint16_t)(n->count + from->count);
  if (n->count > base) rebuild(n, base, key, measure(n, base, key, first), first);
}
