/* match_index.c: a hash of constants and a tree of intervals for each column that queries are filed under (match_index.h).
 *
 * The tree is a treap in the order of the lower ends; each node knows which range below it ends last, so a search leaves out what ends before the value.
 * Its nodes are the entries themselves: nothing is allocated for them. The depth is O(log n) with overwhelming likelihood, since priorities are random.
 */
#include "match_index.h"

#include "../base/alloc.h"
#include "../base/hash.h"

#define BUCKETS_MIN 8u

enum { PLACE_NOWHERE, PLACE_HASH, PLACE_TREE, PLACE_REST };

struct iu_match_column {
  iu_match_column *next;
  uint32_t column;
  iu_scalar scalar;
  iu_locator locator;
  iu_match_entry **buckets; /* owned; a power of two, at least as many as entries where there was memory */
  uint32_t bucket_count, hashed;
  iu_match_entry *root;
};

void iu__match_init(iu_match_index *x, const iu_table_def *table) {
  memset(x, 0, sizeof *x);
  x->table = table;
  x->seed = 2463534242u;
}

void iu__match_free(iu_match_index *x) {
  for (iu_match_column *c = x->columns; c != NULL; c = c->next) iu__free(c->buckets);
  iu__arena_free(&x->arena);
  memset(x, 0, sizeof *x);
}

static iu_match_column *column_of(iu_match_index *x, uint32_t column, iu_error *err) {
  iu_match_column *c = x->columns;
  while (c != NULL && c->column != column) c = c->next;
  if (c != NULL) return c;
  c = iu__arena_zero(&x->arena, 1, sizeof *c);
  if (c == NULL) {
    iu__fail_nomem(err);
    return NULL;
  }
  c->column = column;
  c->scalar = iu__scalar_of(x->table->row->u.fields[column].type);
  if (iu__locator_init(&c->locator, &x->arena, x->table->row, &column, 1, err) != IU_OK) return NULL;
  c->next = x->columns;
  return x->columns = c;
}

/* ---- lists: the rest, and the buckets ---- */

static void link_in(iu_match_entry **head, iu_match_entry *e) {
  e->next = *head;
  e->link = head;
  if (e->next != NULL) e->next->link = &e->next;
  *head = e;
}

static void link_out(iu_match_entry *e) {
  *e->link = e->next;
  if (e->next != NULL) e->next->link = e->link;
}

/* ---- the hash ---- */

/* false: no memory, and no buckets at all. With fewer than it should have it goes on. */
static bool grow(iu_match_column *c) {
  uint32_t count = c->bucket_count == 0 ? BUCKETS_MIN : c->bucket_count * 2;
  iu_match_entry **more;
  if (c->hashed < c->bucket_count) return true;
  more = iu__alloc_zero(count, sizeof *more);
  if (more == NULL) return c->bucket_count != 0;
  for (uint32_t i = 0; i < c->bucket_count; i++) {
    while (c->buckets[i] != NULL) {
      iu_match_entry *e = c->buckets[i];
      link_out(e);
      link_in(&more[e->hash & (count - 1)], e);
    }
  }
  iu__free(c->buckets);
  c->buckets = more;
  c->bucket_count = count;
  return true;
}

static iu_status file_equal(iu_match_column *c, iu_match_entry *e, iu_slice literal, iu_error *err) {
  if (!grow(c)) return iu__fail_nomem(err);
  e->literal = literal;
  e->hash = iu__hash64(literal.p, literal.len);
  e->place = PLACE_HASH;
  e->column = c;
  link_in(&c->buckets[e->hash & (c->bucket_count - 1)], e);
  c->hashed++;
  return IU_OK;
}

static bool probe_equal(const iu_match_column *c, iu_slice v, iu_match_fn fn, void *ud) {
  uint64_t hash = iu__hash64(v.p, v.len);
  for (iu_match_entry *e = c->buckets[hash & (c->bucket_count - 1)]; e != NULL; e = e->next) {
    if (e->hash == hash && e->literal.len == v.len && memcmp(e->literal.p, v.p, v.len) == 0 && !fn(ud, e)) return false;
  }
  return true;
}

/* ---- the tree ---- */

/* By where the range starts; ranges of one start by their place in memory, so that each is found again. */
static int by_start(const iu_match_entry *a, const iu_match_entry *b) {
  int c = (int)a->low.given - (int)b->low.given;
  if (c == 0 && a->low.given) {
    c = iu__scalar_compare(a->column->scalar, a->low.value, b->low.value);
    if (c == 0) c = (int)a->low.open - (int)b->low.open;
  }
  return c != 0 ? c : ((uintptr_t)a > (uintptr_t)b) - ((uintptr_t)a < (uintptr_t)b);
}

static bool ends_later(const iu_match_entry *a, const iu_match_entry *b) {
  int c;
  if (!a->high.given || !b->high.given) return !a->high.given;
  c = iu__scalar_compare(a->column->scalar, a->high.value, b->high.value);
  return c != 0 ? c > 0 : !a->high.open;
}

static void pull(iu_match_entry *n) {
  n->reach = n;
  if (n->left != NULL && ends_later(n->left->reach, n->reach)) n->reach = n->left->reach;
  if (n->right != NULL && ends_later(n->right->reach, n->reach)) n->reach = n->right->reach;
}

static void split(iu_match_entry *n, const iu_match_entry *at, iu_match_entry **before, iu_match_entry **after) {
  if (n == NULL) {
    *before = *after = NULL;
    return;
  }
  if (by_start(n, at) < 0) {
    split(n->right, at, &n->right, after);
    *before = n;
  } else {
    split(n->left, at, before, &n->left);
    *after = n;
  }
  pull(n);
}

static iu_match_entry *merge(iu_match_entry *a, iu_match_entry *b) {
  if (a == NULL || b == NULL) return a != NULL ? a : b;
  if (a->priority > b->priority) {
    a->right = merge(a->right, b);
    pull(a);
    return a;
  }
  b->left = merge(a, b->left);
  pull(b);
  return b;
}

static void tree_add(iu_match_entry **root, iu_match_entry *e) {
  iu_match_entry *n = *root;
  if (n == NULL || e->priority > n->priority) {
    split(n, e, &e->left, &e->right);
    pull(e);
    *root = e;
    return;
  }
  tree_add(by_start(e, n) < 0 ? &n->left : &n->right, e);
  pull(n);
}

static void tree_remove(iu_match_entry **root, const iu_match_entry *e) {
  iu_match_entry *n = *root;
  if (n == NULL) return; /* not reached: it is in there */
  if (n == e) {
    *root = merge(n->left, n->right);
    return;
  }
  tree_remove(by_start(e, n) < 0 ? &n->left : &n->right, e);
  pull(n);
}

static bool starts_by(const iu_match_entry *n, iu_slice v) {
  int c = n->low.given ? iu__scalar_compare(n->column->scalar, n->low.value, v) : -1;
  return c < 0 || (c == 0 && !n->low.open);
}

static bool lasts_to(const iu_match_entry *n, iu_slice v) {
  int c = n->high.given ? iu__scalar_compare(n->column->scalar, n->high.value, v) : 1;
  return c > 0 || (c == 0 && !n->high.open);
}

static bool probe_tree(iu_match_entry *n, iu_slice v, iu_match_fn fn, void *ud) {
  while (n != NULL && lasts_to(n->reach, v)) {
    if (!probe_tree(n->left, v, fn, ud)) return false;
    if (!starts_by(n, v)) return true; /* nor does what is right of it */
    if (lasts_to(n, v) && !fn(ud, n)) return false;
    n = n->right;
  }
  return true;
}

static uint32_t random_priority(iu_match_index *x) {
  x->seed ^= x->seed << 13;
  x->seed ^= x->seed >> 17;
  x->seed ^= x->seed << 5;
  return x->seed;
}

static void file_range(iu_match_index *x, iu_match_column *c, iu_match_entry *e) {
  e->place = PLACE_TREE;
  e->column = c;
  e->priority = random_priority(x);
  e->left = e->right = NULL;
  tree_add(&c->root, e);
}

/* ---- which condition ---- */

static bool is_float(const iu_match_index *x, uint32_t column) {
  iu_scalar s = iu__scalar_of(x->table->row->u.fields[column].type);
  return s.cls == IU_SC_F32 || s.cls == IU_SC_F64;
}

static bool is_unique(const iu_match_index *x, uint32_t column) {
  for (uint32_t i = 0; i < x->table->index_count; i++) {
    const iu_index_def *index = &x->table->indexes[i];
    if (index->unique && index->column_count == 1 && index->columns[0] == column) return true;
  }
  return x->table->primary_key >= 0 && (uint32_t)x->table->primary_key == column;
}

/* How few rows a condition is likely to let through: a unique constant, a constant, a range. 0: of no use. */
static int rank(const iu_match_index *x, const iu_query_term *t) {
  if (t->op == IU_CMP_EQ) return is_unique(x, t->column) ? 4 : 3;
  return t->op == IU_CMP_NE ? 0 : 1;
}

static void narrow(iu_match_entry *e, const iu_query_term *t, iu_scalar s) {
  if ((t->op & IU_CMP_GT) != 0 || t->op == IU_CMP_EQ) { /* a lower bound; the higher one of two */
    int c = e->low.given ? iu__scalar_compare(s, t->literal, e->low.value) : 1;
    bool open = t->op == IU_CMP_GT;
    if (c > 0 || (c == 0 && open)) e->low = (iu_match_bound){t->literal, true, open};
  }
  if ((t->op & IU_CMP_LT) != 0 || t->op == IU_CMP_EQ) {
    int c = e->high.given ? iu__scalar_compare(s, t->literal, e->high.value) : -1;
    bool open = t->op == IU_CMP_LT;
    if (c < 0 || (c == 0 && open)) e->high = (iu_match_bound){t->literal, true, open};
  }
}

/* A range with two ends is better than one with one. */
static uint32_t best_term(const iu_match_index *x, const iu_query_term *terms, uint32_t count) {
  uint32_t best = count;
  int best_rank = 0;
  for (uint32_t i = 0; i < count; i++) {
    int r = rank(x, &terms[i]);
    for (uint32_t j = 0; r == 1 && j < count; j++) {
      if (terms[j].column == terms[i].column && rank(x, &terms[j]) == 1 && ((terms[i].op ^ terms[j].op) & IU_CMP_LT) != 0) r = 2;
    }
    if (r <= best_rank) continue;
    best = i;
    best_rank = r;
  }
  return best;
}

iu_status iu__match_add(iu_match_index *x, iu_match_entry *e, const iu_query *query, int side, iu_error *err) {
  uint32_t count, best;
  const iu_query_term *terms = iu__query_terms(query, side, &count);
  iu_match_column *c;
  iu_status status = IU_OK;
  memset(e, 0, sizeof *e);
  e->query = query;
  e->side = (uint8_t)side;
  best = best_term(x, terms, count);
  if (best == count) {
    e->place = PLACE_REST;
    link_in(&x->rest, e);
    x->count++;
    return IU_OK;
  }
  c = column_of(x, terms[best].column, err);
  if (c == NULL) return IU_E_NOMEM;
  if (terms[best].op == IU_CMP_EQ && !is_float(x, terms[best].column)) {
    status = file_equal(c, e, terms[best].literal, err);
  } else {
    for (uint32_t i = 0; i < count; i++) {
      if (terms[i].column == terms[best].column && terms[i].op != IU_CMP_NE) narrow(e, &terms[i], c->scalar);
    }
    file_range(x, c, e);
  }
  if (status == IU_OK) x->count++;
  return status;
}

void iu__match_remove(iu_match_index *x, iu_match_entry *e) {
  if (e->place == PLACE_NOWHERE) return;
  if (e->place == PLACE_TREE) tree_remove(&e->column->root, e);
  else link_out(e);
  if (e->place == PLACE_HASH) e->column->hashed--;
  e->place = PLACE_NOWHERE;
  x->count--;
}

bool iu__match_probe(const iu_match_index *x, const uint8_t *row, size_t len, iu_match_fn fn, void *ud) {
  for (const iu_match_column *c = x->columns; c != NULL; c = c->next) {
    iu_slice v;
    if ((c->hashed == 0 && c->root == NULL) || !iu__locate(&c->locator, row, len, &v)) continue;
    if (c->hashed != 0 && !probe_equal(c, v, fn, ud)) return false;
    if (!probe_tree(c->root, v, fn, ud)) return false;
  }
  for (iu_match_entry *e = x->rest; e != NULL; e = e->next) {
    if (!fn(ud, e)) return false;
  }
  return true;
}
