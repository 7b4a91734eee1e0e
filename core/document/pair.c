/* pair.c: see pair.h. Each element gets a few hashes of what is on its surface; how many two elements share is how like they are. The best pairing in order
 * is found by trying all (a table of n * m cells). */
#include "pair.h"

#include "../base/alloc.h"
#include "../base/hash.h"
#include "tree.h"

#define SIGNS 8

typedef struct surface { uint32_t signs[SIGNS]; } surface; /* 0: nothing */

static uint32_t sign(uint64_t hash) { return (uint32_t)(hash ^ hash >> 32) | 1; }

static uint64_t part_hash(const iu_json *v) {
  return iu__tree_is_container(v) ? iu__tree_mix(((uint64_t)v->token << 56) + v->len) : iu__tree_scalar_hash64(v);
}

static surface surface_of(const iu_json *v) {
  surface s = {{0}};
  uint32_t i;

  for (i = 0; i < SIGNS; i++) {
    if (v->token == IU_J_STRING && (uint64_t)(i + 1) * 8 <= v->len) s.signs[i] = sign(iu__hash64(v->u.s + (i % 2 ? v->len - (i / 2 + 1) * 8 : i / 2 * 8), 8));
    else if (v->token == IU_J_ARRAY && i < v->len) s.signs[i] = sign(part_hash(&v->u.elements[i]));
    else if (v->token == IU_J_OBJECT && i < v->len) s.signs[i] = sign(iu__tree_member_hash64(&v->u.members[i], part_hash(&v->u.members[i].value)));
  }
  return s;
}

/* More than 0, so that any pair is better than none: one operation less. */
static uint32_t likeness(const surface *a, const surface *b) {
  uint32_t like = 1, i;

  for (i = 0; i < SIGNS; i++) like += a->signs[i] != 0 && a->signs[i] == b->signs[i];
  return like;
}

static void pair_in_order(uint32_t n, uint32_t m, const bool *free_a, const bool *free_b, uint32_t *partner) {
  uint32_t i = 0, j;

  for (j = 0; j < m; j++) {
    while (i < n && !free_a[i]) i++;
    partner[j] = free_b[j] && i < n ? i++ : IU_PAIR_NONE;
  }
}

/* best[i * (m + 1) + j]: of a's first i and b's first j. */
static void fill(const surface *sa, uint32_t n, const surface *sb, uint32_t m, const bool *free_a, const bool *free_b, uint16_t *best) {
  uint32_t i, j, w = m + 1;

  memset(best, 0, w * sizeof *best);
  for (i = 1; i <= n; i++) {
    best[i * w] = 0;
    for (j = 1; j <= m; j++) {
      uint32_t most = best[(i - 1) * w + j];
      if (best[i * w + j - 1] > most) most = best[i * w + j - 1];
      if (free_a[i - 1] && free_b[j - 1]) {
        uint32_t paired = best[(i - 1) * w + j - 1] + likeness(&sa[i - 1], &sb[j - 1]);
        if (paired > most) most = paired;
      }
      best[i * w + j] = (uint16_t)most;
    }
  }
}

static void read_back(const uint16_t *best, uint32_t n, uint32_t m, uint32_t *partner) {
  uint32_t w = m + 1, i = n, j = m;

  while (j > 0) {
    uint16_t here = best[i * w + j];
    if (i > 0 && here == best[(i - 1) * w + j]) {
      i--;
      continue;
    }
    if (here == best[i * w + j - 1]) {
      partner[--j] = IU_PAIR_NONE;
      continue;
    }
    partner[--j] = --i;
  }
}

bool iu__pair_up(const iu_json *a, uint32_t n, const iu_json *b, uint32_t m, const bool *free_a, const bool *free_b, uint32_t *partner) {
  surface *surfaces;
  uint16_t *best;
  uint32_t i;

  if ((uint64_t)n * m > IU_PAIR_CELLS_MAX || (n == 1 && m == 1)) {
    pair_in_order(n, m, free_a, free_b, partner);
    return true;
  }
  surfaces = iu__realloc_array(NULL, (size_t)n + m, sizeof *surfaces);
  best = iu__realloc_array(NULL, ((size_t)n + 1) * (m + 1), sizeof *best);
  if (surfaces != NULL && best != NULL) {
    for (i = 0; i < n; i++) surfaces[i] = surface_of(&a[i]);
    for (i = 0; i < m; i++) surfaces[n + i] = surface_of(&b[i]);
    fill(surfaces, n, surfaces + n, m, free_a, free_b, best);
    read_back(best, n, m, partner);
  }
  iu__free(surfaces);
  iu__free(best);
  return surfaces != NULL && best != NULL;
}
