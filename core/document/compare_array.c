/* compare_array.c: what differs between two arrays.
 *
 * Equal ends are set aside. In the middle each element gets a 64-bit symbol: the hash of its key, where all are objects with a unique scalar key, else the
 * hash of its whole value; align.h finds which belong together. Matched elements are compared (symbols may collide, keyed ones may have changed); between
 * two matched ones, what is left on both sides is compared pairwise, the rest removed or inserted. A subtree's hash is computed once however often it is
 * asked for: that of a large one is remembered.
 */
#include "compare_internal.h"

#include "../base/alloc.h"
#include "../base/text.h"
#include "align.h"
#include "pair.h"

#define HASH_KEEP_NODES 64 /* subtrees from this size on are remembered */

static const struct { const char *key; uint32_t len; } auto_keys[] = {{"id", 2}, {"key", 3}, {"name", 4}};
#define AUTO_KEYS (sizeof auto_keys / sizeof *auto_keys)

typedef struct range { const iu_json *elements; uint32_t count; } range;

static uint64_t hash_of(iu_comparer *c, const iu_json *v, uint32_t *nodes) {
  uint64_t sum = 0, hash;
  uint32_t i, below = 0;

  if (!iu__tree_is_container(v)) return iu__tree_scalar_hash64(v);
  if (v->len > 0 && iu__node_map_get(&c->hashes, v, &hash)) {
    *nodes += HASH_KEEP_NODES;
    return hash;
  }
  for (i = 0; i < v->len; i++) {
    below++;
    if (v->token == IU_J_ARRAY) sum = iu__tree_array_hash64(sum, hash_of(c, &v->u.elements[i], &below));
    else sum += iu__tree_member_hash64(&v->u.members[i], hash_of(c, &v->u.members[i].value, &below));
    if (below > HASH_KEEP_NODES * 2) below = HASH_KEEP_NODES * 2;
  }
  hash = iu__tree_container_hash64(v, sum);
  if (below >= HASH_KEEP_NODES && !iu__node_map_put(&c->hashes, v, hash)) c->failed = true;
  *nodes += below;
  return hash;
}

/* The hash of each element's member `key`; false when one has none that is a scalar other than null. */
static bool key_symbols(const range *r, const char *key, uint32_t len, uint64_t *symbols) {
  const iu_json_member wanted = {key, len, {0}};
  uint32_t i, at = 0;

  for (i = 0; i < r->count; i++) {
    const iu_json *v = &r->elements[i];
    if (v->token != IU_J_OBJECT) return false;
    at = iu__tree_find_member(v, &wanted, at);
    if (at == UINT32_MAX) return false;
    v = &v->u.members[at].value;
    if (iu__tree_is_container(v) || v->token == IU_J_NULL) return false;
    symbols[i] = iu__tree_scalar_hash64(v);
  }
  return true;
}

static bool unique(iu_comparer *c, const uint64_t *symbols, uint32_t count) {
  bool is = false;

  if (!iu__align_unique(symbols, count, &is)) c->failed = true;
  return is && !c->failed;
}

static bool keyed(iu_comparer *c, const range *a, const range *b, const char *key, uint32_t len, uint64_t *symbols) {
  return key_symbols(a, key, len, symbols) && key_symbols(b, key, len, symbols + a->count) && unique(c, symbols, a->count) &&
         unique(c, symbols + a->count, b->count);
}

static bool fits(const iu_comparer *c, const iu_path *pattern, uint32_t depth) {
  uint32_t i;

  if (pattern->count != depth) return false;
  for (i = 0; i < depth; i++) {
    const char *s = pattern->segments[i];
    size_t len = pattern->lens[i];
    char digits[IU_I64_TEXT_MAX + 1];
    if (len == 1 && s[0] == '*') continue;
    if (c->at[i].key != NULL) {
      if (len != c->at[i].len || memcmp(s, c->at[i].key, len) != 0) return false;
      continue;
    }
    if (len != iu__u64_format(c->at[i].index, digits) || memcmp(s, digits, len) != 0) return false;
  }
  return true;
}

typedef enum matched_by { BY_VALUE, BY_KEY, BY_GIVEN_KEY } matched_by;

static matched_by find_symbols(iu_comparer *c, const range *a, const range *b, uint32_t depth, uint64_t *symbols) {
  uint32_t i, nodes = 0;

  for (i = 0; i < c->options->key_count; i++) {
    const iu_compare_key *k = &c->options->keys[i];
    if (!fits(c, &c->patterns[i], depth)) continue;
    if (keyed(c, a, b, k->key, (uint32_t)k->key_len, symbols)) return BY_GIVEN_KEY;
    break;
  }
  for (i = 0; i < AUTO_KEYS; i++)
    if (keyed(c, a, b, auto_keys[i].key, auto_keys[i].len, symbols)) return BY_KEY;
  for (i = 0; i < a->count; i++) symbols[i] = hash_of(c, &a->elements[i], &nodes);
  for (i = 0; i < b->count; i++) symbols[a->count + i] = hash_of(c, &b->elements[i], &nodes);
  return BY_VALUE;
}

static void add_removes(iu_comparer *c, iu_change ***end, uint32_t index, uint32_t count) {
  while (count-- > 0 && !c->failed) {
    iu_change *change = iu__change_add(c, end, IU_CHANGE_REMOVE, NULL);
    if (change != NULL) change->index = index;
  }
}

static void add_inserts(iu_comparer *c, iu_change ***end, uint32_t index, const iu_json *elements, uint32_t count) {
  uint32_t i;

  for (i = 0; i < count && !c->failed; i++) {
    iu_change *change = iu__change_add(c, end, IU_CHANGE_INSERT, &elements[i]);
    if (change != NULL) change->index = index + i;
  }
}

static void add_pair(iu_comparer *c, iu_change ***end, uint32_t index, const iu_json *a, const iu_json *b, uint32_t depth) {
  iu_change *change;

  c->at[depth].key = NULL;
  c->at[depth].index = index;
  change = iu__compare_values(c, a, b, depth + 1);
  if (change == NULL) return;
  change->index = index;
  **end = change;
  *end = &change->next;
}

/* What stands between two matched elements on both sides; `index`: where b's begin. partner[j] of b[j]: what it is compared with. */
static void add_gap(iu_comparer *c, iu_change ***end, uint32_t index, range a, range b, const uint32_t *partner, uint32_t depth) {
  uint32_t i = 0, j;

  for (j = 0; j < b.count && !c->failed; j++) {
    if (partner[j] == IU_PAIR_NONE) {
      add_inserts(c, end, index + j, &b.elements[j], 1);
      continue;
    }
    add_removes(c, end, index + j, partner[j] - i);
    add_pair(c, end, index + j, &a.elements[partner[j]], &b.elements[j], depth);
    i = partner[j] + 1;
  }
  add_removes(c, end, index + j, a.count - i);
}

/* Which elements may be paired with others that they do not match. */
static bool find_lone(const range *a, const range *b, const uint64_t *symbols, matched_by by, bool *lone) {
  if (by == BY_KEY) return iu__align_lone(symbols, a->count, symbols + a->count, b->count, lone);
  memset(lone, by == BY_VALUE, (size_t)a->count + b->count); /* a given key says what an element is */
  return true;
}

/* partners: room for each element of b. */
static void add_middle(iu_comparer *c, iu_change ***end, uint32_t front, range a, range b, const uint32_t *match, const bool *lone, uint32_t *partners, uint32_t depth) {
  uint32_t i = 0, j = 0, next, to;

  while (!c->failed && (i < a.count || j < b.count)) {
    for (next = j; next < b.count && match[next] == IU_ALIGN_NONE; next++) {}
    to = next < b.count ? match[next] : a.count;
    if (!iu__pair_up(a.elements + i, to - i, b.elements + j, next - j, lone + i, lone + a.count + j, partners)) c->failed = true;
    if (!c->failed) add_gap(c, end, front + j, (range){a.elements + i, to - i}, (range){b.elements + j, next - j}, partners, depth);
    if (next < b.count) add_pair(c, end, front + next, &a.elements[to], &b.elements[next], depth);
    i = to + 1;
    j = next + 1;
  }
}

/* `front` elements before the middle are equal. */
static void compare_middle(iu_comparer *c, iu_change ***end, uint32_t front, range a, range b, uint32_t depth) {
  size_t count = (size_t)a.count + b.count;
  uint64_t *symbols = iu__realloc_array(NULL, count, sizeof *symbols);
  uint32_t *match = iu__realloc_array(NULL, (size_t)b.count * 2, sizeof *match);
  bool *lone = iu__alloc(count);
  matched_by by;

  if (symbols == NULL || match == NULL || lone == NULL) c->failed = true;
  by = c->failed ? BY_VALUE : find_symbols(c, &a, &b, depth, symbols);
  if (!c->failed && !(iu__align(symbols, a.count, symbols + a.count, b.count, match) && find_lone(&a, &b, symbols, by, lone))) c->failed = true;
  if (!c->failed) add_middle(c, end, front, a, b, match, lone, match + b.count, depth);
  iu__free(symbols);
  iu__free(match);
  iu__free(lone);
}

static void compare_by_index(iu_comparer *c, iu_change ***end, range a, range b, uint32_t depth) {
  uint32_t both = a.count < b.count ? a.count : b.count, i;

  for (i = 0; i < both && !c->failed; i++) add_pair(c, end, i, &a.elements[i], &b.elements[i], depth);
  for (i = a.count; i > both && !c->failed; i--) add_removes(c, end, i - 1, 1);
  add_inserts(c, end, both, b.elements + both, b.count - both);
}

/* known: where equality ended, as far as somebody found out; IU_ALIGN_NONE: nobody did. */
static void compare_by_content(iu_comparer *c, iu_change ***end, range a, range b, uint32_t known, uint32_t depth) {
  uint32_t front = known != IU_ALIGN_NONE ? known : 0, back = 0;

  while (known == IU_ALIGN_NONE && front < a.count && front < b.count && iu__tree_equal_trail(&a.elements[front], &b.elements[front], &c->trail, depth + 1)) front++;
  while (back + front < a.count && back + front < b.count && (a.count != b.count || back + front + 1 < a.count) /* that pair is known to differ */ &&
         iu__tree_equal(&a.elements[a.count - 1 - back], &b.elements[b.count - 1 - back]))
    back++;
  a.elements += front;
  b.elements += front;
  a.count -= front + back;
  b.count -= front + back;
  if (a.count == 0) add_inserts(c, end, front, b.elements, b.count);
  else if (b.count == 0) add_removes(c, end, front, a.count);
  else if (a.count == 1 && b.count == 1 && c->options->key_count == 0) add_pair(c, end, front, a.elements, b.elements, depth);
  else compare_middle(c, end, front, a, b, depth);
}

static range range_of(const iu_json *array) {
  static const iu_json nothing = {0}; /* an empty array has no elements to point to */
  return (range){array->len > 0 ? array->u.elements : &nothing, array->len};
}

iu_change *iu__compare_arrays(iu_comparer *c, const iu_json *a, const iu_json *b, uint32_t depth) {
  const range from = range_of(a), to = range_of(b);
  iu_change *first = NULL, **end = &first, *array = NULL, **place = &array;
  bool known = c->trail.at[depth].a == a && c->trail.at[depth].b == b;

  if (c->options->by_index) compare_by_index(c, &end, from, to, depth);
  else compare_by_content(c, &end, from, to, known ? c->trail.at[depth].equal : IU_ALIGN_NONE, depth);
  if (first == NULL || c->failed) return NULL;
  iu__change_add(c, &place, IU_CHANGE_ARRAY, b);
  if (array != NULL) array->first = first;
  return array;
}
