/* align.c: see align.h. */
#include "align.h"

#include <string.h>

#include "../base/alloc.h"

#define NONE IU_ALIGN_NONE

typedef struct slot { uint64_t symbol; uint32_t in_a, in_b, at_a; } slot; /* in_a + in_b == 0: free */

typedef struct symbols { slot *slots; uint32_t mask; } symbols;

static bool symbols_make(symbols *t, uint64_t count) {
  uint64_t size = 16;

  while (size < count * 2) size *= 2;
  t->slots = iu__alloc_zero((size_t)size, sizeof *t->slots);
  t->mask = (uint32_t)(size - 1);
  return t->slots != NULL;
}

static slot *symbol_slot(const symbols *t, uint64_t symbol) {
  uint32_t at = (uint32_t)(symbol ^ symbol >> 32) & t->mask;

  while (t->slots[at].in_a + t->slots[at].in_b != 0 && t->slots[at].symbol != symbol) at = (at + 1) & t->mask;
  t->slots[at].symbol = symbol;
  return &t->slots[at];
}

bool iu__align_unique(const uint64_t *list, uint32_t count, bool *unique) {
  symbols t;
  uint32_t i;

  *unique = true;
  if (!symbols_make(&t, count)) return false;
  for (i = 0; i < count && *unique; i++) *unique = symbol_slot(&t, list[i])->in_a++ == 0;
  iu__free(t.slots);
  return true;
}

static bool symbols_count(symbols *t, const uint64_t *a, uint32_t n, const uint64_t *b, uint32_t m) {
  uint32_t i;

  if (!symbols_make(t, (uint64_t)n + m)) return false;
  for (i = 0; i < n; i++) symbol_slot(t, a[i])->in_a++;
  for (i = 0; i < m; i++) symbol_slot(t, b[i])->in_b++;
  return true;
}

bool iu__align_lone(const uint64_t *a, uint32_t n, const uint64_t *b, uint32_t m, bool *lone) {
  symbols t;
  uint32_t i;

  if (!symbols_count(&t, a, n, b, m)) return false;
  for (i = 0; i < n; i++) lone[i] = symbol_slot(&t, a[i])->in_b == 0;
  for (i = 0; i < m; i++) lone[n + i] = symbol_slot(&t, b[i])->in_a == 0;
  iu__free(t.slots);
  return true;
}

/* What is left of one side: positions in it whose symbol the other side has, too. */
typedef struct side { const uint64_t *symbols; uint32_t *at; uint32_t count; } side;

typedef struct aligner {
  side a, b;
  uint32_t *match;
  int32_t *trace; /* the furthest x on each diagonal, row after row: made when first needed */
} aligner;

static uint64_t symbol_of(const side *s, uint32_t i) { return s->symbols[s->at[i]]; }
static bool same(const aligner *g, uint32_t i, uint32_t j) { return symbol_of(&g->a, i) == symbol_of(&g->b, j); }
static void pair(aligner *g, uint32_t i, uint32_t j) { g->match[g->b.at[j]] = g->a.at[i]; }

/* Row d begins at d * d; diagonals k = -d ... d; -1 where no path of d edits is inside. */
static int32_t *reach(const aligner *g, int32_t d, int32_t k) { return &g->trace[d * d + d + k]; }

typedef struct area { uint32_t a, b; int32_t n, m; } area;

/* Where diagonal k is entered by the d-th edit; -1: nowhere. *from: the diagonal before it. */
static int32_t enter(const aligner *g, const area *r, int32_t d, int32_t k, int32_t *from) {
  int32_t right = k - 1 >= 1 - d ? *reach(g, d - 1, k - 1) : -1, down = k + 1 <= d - 1 ? *reach(g, d - 1, k + 1) : -1;

  right = right < 0 || right >= r->n ? -1 : right + 1;
  if (down - k > r->m) down = -1;
  *from = right > down ? k - 1 : k + 1;
  return right > down ? right : down;
}

/* Walks back from diagonal k of row d, matching what lies on the way. */
static void walk_back(aligner *g, const area *r, int32_t d, int32_t k) {
  for (;; d--) {
    int32_t x = *reach(g, d, k), from = 0, start = d > 0 ? enter(g, r, d, k, &from) : 0;
    for (; x > start; x--) pair(g, r->a + (uint32_t)(x - 1), r->b + (uint32_t)(x - 1 - k));
    if (d == 0) return;
    k = from;
  }
}

/* One bounded search over [a0, a1) and [b0, b1): matches, and moves a0 and b0 to where it got. */
static void search(aligner *g, uint32_t *a0, uint32_t a1, uint32_t *b0, uint32_t b1) {
  const area r = {*a0, *b0, (int32_t)(a1 - *a0), (int32_t)(b1 - *b0)};
  int32_t d, k, from, best, best_k;

  for (d = 0;; d++) {
    best = -1;
    best_k = 0;
    for (k = -d; k <= d; k++) {
      int32_t x = d > 0 ? enter(g, &r, d, k, &from) : 0;
      if (x >= 0) {
        while (x < r.n && x - k < r.m && same(g, r.a + (uint32_t)x, r.b + (uint32_t)(x - k))) x++;
        if (2 * x - k > best) best = 2 * x - k, best_k = k;
      }
      *reach(g, d, k) = x;
    }
    if (best == r.n + r.m || d == IU_ALIGN_EDITS) break;
  }
  walk_back(g, &r, d, best_k);
  *a0 += (uint32_t)*reach(g, d, best_k);
  *b0 += (uint32_t)(*reach(g, d, best_k) - best_k);
}

static bool between(aligner *g, uint32_t a0, uint32_t a1, uint32_t b0, uint32_t b1) {
  for (;;) {
    while (a0 < a1 && b0 < b1 && same(g, a0, b0)) pair(g, a0++, b0++);
    while (a0 < a1 && b0 < b1 && same(g, a1 - 1, b1 - 1)) pair(g, --a1, --b1);
    if (a0 == a1 || b0 == b1) return true;
    if (g->trace == NULL) g->trace = iu__alloc(sizeof *g->trace * (IU_ALIGN_EDITS + 1) * (IU_ALIGN_EDITS + 1));
    if (g->trace == NULL) return false;
    search(g, &a0, a1, &b0, b1);
  }
}

/* The longest increasing run of pairs: `to[i]` in a for the i-th candidate, ascending in b. Leaves its members' numbers in `run`; how many. */
static uint32_t longest_run(const uint32_t *to, uint32_t count, uint32_t *run, uint32_t *before) {
  uint32_t length = 0, i, last;

  for (i = 0; i < count; i++) {
    uint32_t low = 0, high = length;
    if (length > 0 && to[run[length - 1]] < to[i]) low = length;
    while (low < high) {
      uint32_t middle = low + (high - low) / 2;
      if (to[run[middle]] < to[i]) low = middle + 1;
      else high = middle;
    }
    before[i] = low > 0 ? run[low - 1] : NONE;
    run[low] = i;
    if (low == length) length++;
  }
  last = length > 0 ? run[length - 1] : NONE;
  for (i = length; i-- > 0; last = before[last]) run[i] = last;
  return length;
}

/* Keeps the positions whose symbol is in both; of those that are unique on both sides, the candidates: `where[k]` in b's list, `to[k]` in a's. */
static uint32_t gather(aligner *g, const symbols *t, uint32_t n, uint32_t m, uint32_t *where, uint32_t *to) {
  uint32_t i, candidates = 0;

  for (i = 0; i < n; i++) {
    slot *s = symbol_slot(t, g->a.symbols[i]);
    if (s->in_b == 0) continue;
    s->at_a = g->a.count;
    g->a.at[g->a.count++] = i;
  }
  for (i = 0; i < m; i++) {
    const slot *s = symbol_slot(t, g->b.symbols[i]);
    if (s->in_a == 0) continue;
    if (s->in_a == 1 && s->in_b == 1) {
      where[candidates] = g->b.count;
      to[candidates++] = s->at_a;
    }
    g->b.at[g->b.count++] = i;
  }
  return candidates;
}

static bool align_middle(aligner *g, const symbols *t, uint32_t n, uint32_t m) {
  uint32_t *space = iu__realloc_array(NULL, (size_t)n + (size_t)m * 5 + 1, sizeof *space), *where, *to, *run, *before;
  uint32_t count, length, i, a0 = 0, b0 = 0;
  bool ok = true;

  if (space == NULL) return false;
  g->a.at = space;
  g->b.at = space + n;
  where = g->b.at + m;
  to = where + m;
  run = to + m;
  before = run + m;
  count = gather(g, t, n, m, where, to);
  length = longest_run(to, count, run, before);
  for (i = 0; i <= length && ok; i++) {
    uint32_t a1 = i < length ? to[run[i]] : g->a.count, b1 = i < length ? where[run[i]] : g->b.count;
    ok = between(g, a0, a1, b0, b1);
    if (i < length) pair(g, a1, b1);
    a0 = a1 + 1;
    b0 = b1 + 1;
  }
  iu__free(space);
  return ok;
}

bool iu__align(const uint64_t *a, uint32_t n, const uint64_t *b, uint32_t m, uint32_t *match) {
  uint32_t front = 0, i;
  aligner g = {{a, NULL, 0}, {b, NULL, 0}, match, NULL};
  symbols t;
  bool ok;

  while (front < n && front < m && a[front] == b[front]) {
    match[front] = front;
    front++;
  }
  while (n > front && m > front && a[n - 1] == b[m - 1]) match[--m] = --n;
  for (i = front; i < m; i++) match[i] = NONE;
  if (front == n || front == m) return true;
  g.a.symbols += front;
  g.b.symbols += front;
  g.match += front;
  if (!symbols_count(&t, a + front, n - front, b + front, m - front)) return false;
  ok = align_middle(&g, &t, n - front, m - front);
  for (i = front; i < m; i++)
    if (match[i] != NONE) match[i] += front;
  iu__free(t.slots);
  iu__free(g.trace);
  return ok;
}
