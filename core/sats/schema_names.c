/* schema_names.c: names: identifiers, duplicates, sorted look-up, suggestions. */
#include <stdio.h>
#include <stdlib.h>

#include "../base/text.h"
#include "schema_raw.h"

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

bool iu__is_identifier(const char *text, size_t len) {
  if (len == 0 || len > IU_SCHEMA_NAME_MAX || !is_letter(text[0])) return false;
  for (size_t i = 1; i < len; i++) {
    if (!is_letter(text[i]) && !(text[i] >= '0' && text[i] <= '9')) return false;
  }
  return true;
}

/* ---- duplicates ---- */

static int fold(char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : (unsigned char)c; }

int iu__compare_folded(const char *a, const char *b) {
  while (*a != '\0' && fold(*a) == fold(*b)) {
    a++;
    b++;
  }
  return fold(*a) - fold(*b);
}

static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }
static int by_folded(const void *a, const void *b) { return iu__compare_folded(*(const char *const *)a, *(const char *const *)b); }

const char *iu__find_duplicate(const char **names, size_t count, bool folded) {
  int (*compare)(const void *, const void *) = folded ? by_folded : by_name;
  if (count < 2) return NULL;
  qsort(names, count, sizeof *names, compare);
  for (size_t i = 1; i < count; i++) {
    if (compare(&names[i - 1], &names[i]) == 0) return names[i];
  }
  return NULL;
}

/* ---- sorted look-up ---- */

typedef struct items { const char *base; size_t stride; } items;

static const char *name_at(const items *list, uint32_t i) { return *(const char *const *)(list->base + list->stride * i); }

static int by_item(const void *a, const void *b, void *list) {
  return strcmp(name_at(list, *(const uint32_t *)a), name_at(list, *(const uint32_t *)b));
}

uint32_t *iu__order_by_name(iu_arena *arena, const void *base, size_t stride, uint32_t count) {
  items list = {base, stride};
  uint32_t *order = iu__arena_zero(arena, count != 0 ? count : 1, sizeof *order);
  if (order == NULL) return NULL;
  for (uint32_t i = 0; i < count; i++) order[i] = i;
  qsort_r(order, count, sizeof *order, by_item, &list);
  return order;
}

static bool is_name(const char *own, const char *name, size_t len) { return strlen(own) == len && memcmp(own, name, len) == 0; }

static int find(const items *list, const uint32_t *order, uint32_t count, const char *name, size_t len) {
  uint32_t low = 0, high = count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    const char *own = name_at(list, order[middle]);
    int c = strncmp(own, name, len);
    if (c == 0 && is_name(own, name, len)) return (int)order[middle];
    if (c < 0) low = middle + 1;
    else high = middle; /* equal so far and longer: what is sought is before it */
  }
  return -1;
}

int iu__schema_table(const iu_schema *s, const char *name, size_t len) {
  items list = {(const char *)s->tables, sizeof *s->tables};
  return find(&list, s->table_order, s->table_count, name, len);
}

int iu__schema_reducer(const iu_schema *s, const char *name, size_t len) {
  items list = {(const char *)s->reducers, sizeof *s->reducers};
  return find(&list, s->reducer_order, s->reducer_count, name, len);
}

int iu__schema_procedure(const iu_schema *s, const char *name, size_t len) {
  for (uint32_t i = 0; i < s->procedure_count; i++) {
    if (is_name(s->procedures[i].name, name, len)) return (int)i;
  }
  return -1;
}

int iu__table_def_column(const iu_table_def *t, const char *name, size_t len) { return iu__product_find(t->row, name, len); }

int iu__table_def_index(const iu_table_def *t, const char *name, size_t len) {
  for (uint32_t i = 0; i < t->index_count; i++) {
    if (is_name(t->indexes[i].accessor, name, len)) return (int)i;
  }
  for (uint32_t i = 0; i < t->index_count; i++) {
    if (is_name(t->indexes[i].name, name, len)) return (int)i;
  }
  return -1;
}

/* ---- suggestions ---- */

#define SUGGEST_MAX 64 /* longer names are neither looked for nor offered */

typedef struct guess { const char *name, *best; size_t len, distance; } guess;

static guess guess_start(const char *name, size_t len) {
  size_t most = len / 3 + 1;
  return (guess){name, NULL, len, (most < 4 ? most : 4) + 1};
}

static void guess_offer(guess *g, const char *candidate) {
  size_t len = strlen(candidate);
  if (g->len > SUGGEST_MAX || len > SUGGEST_MAX) return;
  size_t distance = iu__edit_distance(g->name, g->len, candidate, len);
  if (distance >= g->distance || distance >= len) return;
  g->distance = distance;
  g->best = candidate;
}

static void guess_end(const guess *g, char out[96]) {
  out[0] = '\0';
  if (g->best != NULL) snprintf(out, 96, ", did you mean `%s`?", g->best);
}

void iu__schema_suggest_table(const iu_schema *s, const char *name, size_t len, char out[96]) {
  guess g = guess_start(name, len);
  for (uint32_t i = 0; i < s->table_count; i++) guess_offer(&g, s->tables[i].name);
  guess_end(&g, out);
}

void iu__schema_suggest_column(const iu_table_def *t, const char *name, size_t len, char out[96]) {
  guess g = guess_start(name, len);
  for (uint32_t i = 0; i < t->row->count; i++) guess_offer(&g, t->row->u.fields[i].name);
  guess_end(&g, out);
}

void iu__schema_suggest_reducer(const iu_schema *s, const char *name, size_t len, char out[96]) {
  guess g = guess_start(name, len);
  for (uint32_t i = 0; i < s->reducer_count; i++) guess_offer(&g, s->reducers[i].name);
  guess_end(&g, out);
}

void iu__schema_suggest_procedure(const iu_schema *s, const char *name, size_t len, char out[96]) {
  guess g = guess_start(name, len);
  for (uint32_t i = 0; i < s->procedure_count; i++) guess_offer(&g, s->procedures[i].name);
  guess_end(&g, out);
}
