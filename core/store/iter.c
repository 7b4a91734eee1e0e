/* iter.c: iterators over one index.
 *
 * An iterator pins its epoch, so the row it gave last stays in the index until it is closed: after a change of the tree it finds its place
 * again by that row, which mostly is where it was, else in O(log n); without changes a step is O(1) and skips rows its epoch does not see.
 *
 * One opened at LATEST in a transaction sees the moment it was opened: the log's length then (`mark`) says which of the transaction's writes
 * count. At commit the positions are lost, so it collects beforehand what it has yet to give. When the transaction is undone to before that
 * moment it is at its end; rows it gave already stay readable.
 */
#include "internal.h"

#include <assert.h>

#include "../base/alloc.h"

#define PREFETCH_AHEAD 4

struct iu_iter {
  iu_pin pin;             /* its epoch is what is seen, but for the transaction's own writes */
  iu_span span;
  bool descending, done;
  bool in_tx;             /* among the store's tx_iters */
  bool from_tx;           /* opened in a transaction */
  uint32_t mark;
  iu_leaf *leaf;          /* good while version is the tree's */
  unsigned pos, stop;     /* ascending: slots below stop are in range; descending: slots from stop on */
  uint64_t version, freed; /* freed: the leaf is one while it is the tree's */
  const iu_row *last;     /* given last */
  const iu_row **rest;    /* owned: collected rows, NULL: none are */
  size_t rest_count, rest_at;
  iu_iter *prev, *next;   /* tx_iters */
  uint8_t keys[];
};

static void link_tx(iu_iter *it) {
  iu_store *s = it->pin.store;

  it->next = s->tx_iters;
  if (it->next != NULL) it->next->prev = it;
  s->tx_iters = it;
  it->in_tx = it->from_tx = true;
  it->mark = s->log_count;
  s->live_tx_iters++;
}

static void unlink_tx(iu_iter *it) {
  iu_store *s = it->pin.store;

  if (it->prev != NULL) it->prev->next = it->next;
  else s->tx_iters = it->next;
  if (it->next != NULL) it->next->prev = it->prev;
  it->prev = it->next = NULL;
  it->in_tx = false;
}

iu_status iu__table_iter(iu_table *t, uint64_t epoch, uint32_t index, const iu_range *range, bool descending, iu_iter **out, iu_error *err) {
  iu_store *s = t->store;
  iu_iter *it = iu__alloc(sizeof *it + iu__span_bytes(range));
  iu_status status;

  *out = NULL;
  if (it == NULL) return iu__fail_nomem(err);
  memset(it, 0, sizeof *it);
  status = iu__span_init(&it->span, t, index, range, it->keys, err);
  if (status != IU_OK) {
    iu__free(it);
    return status;
  }
  it->descending = descending;
  it->version = it->span.tree->version - 1;
  iu__pin(s, &it->pin, epoch == IU_EPOCH_LATEST ? s->epoch : epoch);
  if (epoch == IU_EPOCH_LATEST && s->in_tx) link_tx(it);
  s->open_iters++;
  *out = it;
  return IU_OK;
}

void iu__iter_close(iu_iter *it) {
  iu_store *s;

  if (it == NULL) return;
  s = it->pin.store;
  if (it->in_tx) unlink_tx(it);
  iu__unpin(&it->pin);
  s->open_iters--;
  if (it->from_tx && --s->live_tx_iters == 0) iu__limbo_empty(s);
  iu__free(it->rest);
  iu__free(it);
}

static bool sees(const iu_iter *it, const iu_row *row) {
  if (!it->in_tx) return iu__row_visible(row, it->pin.epoch);
  return row->gone >= IU_GONE_IN_TX && (row->gone & ~IU_GONE_IN_TX) >= it->mark && (row->from <= it->pin.epoch || row->holders < it->mark);
}

static void enter_leaf(iu_iter *it) {
  const iu_node *n = &it->leaf->node;

  if (it->descending) it->stop = it->span.has_low ? iu__node_lower(n, 0, &it->span.low) : 0;
  else it->stop = it->span.has_high ? iu__node_lower(n, 0, &it->span.high) : n->count;
}

/* Whether the row given last is where it was: what changed is elsewhere, or behind it, as when each row is updated in turn. */
static bool stands(const iu_iter *it) {
  const iu_node *n;

  if (it->last == NULL || it->leaf == NULL || it->freed != it->span.tree->freed) return false;
  n = &it->leaf->node;
  if (it->descending) return it->pos < n->count && n->row[it->pos] == it->last;
  return it->pos > 0 && it->pos <= n->count && n->row[it->pos - 1] == it->last;
}

/* Puts pos at the slot of the first row to look at, counted as for a step that is yet to be made: one past it when descending. */
static bool find_place(iu_iter *it) {
  const iu_tree *tree = it->span.tree;
  const iu_probe *at = it->descending ? &it->span.high : &it->span.low;
  bool bounded = it->descending ? it->span.has_high : it->span.has_low;
  iu_probe last;

  it->version = tree->version;
  if (stands(it)) {
    enter_leaf(it);
    return true;
  }
  it->freed = tree->freed;
  if (it->last != NULL) {
    iu__probe_row(&last, tree->key, it->last);
    at = &last;
    bounded = true;
  }
  if (bounded) {
    iu__tree_seek(tree, at, &it->leaf, &it->pos);
    if (it->last != NULL && !it->descending) it->pos++;
  } else {
    it->leaf = it->descending ? NULL : tree->first;
    it->pos = 0;
  }
  if (it->descending && it->leaf == NULL) {
    it->leaf = tree->last;
    it->pos = it->leaf != NULL ? it->leaf->node.count : 0;
  }
  if (it->leaf == NULL) return false;
  enter_leaf(it);
  return true;
}

/* The next row in the range, seen or not. */
static const iu_row *step_up(iu_iter *it) {
  while (it->pos >= it->stop) {
    if (it->stop < it->leaf->node.count || it->leaf->next == NULL) return NULL;
    it->leaf = it->leaf->next;
    it->pos = 0;
    enter_leaf(it);
  }
  if (it->pos + PREFETCH_AHEAD < it->leaf->node.count) __builtin_prefetch(it->leaf->node.row[it->pos + PREFETCH_AHEAD]);
  return it->leaf->node.row[it->pos++];
}

static const iu_row *step_down(iu_iter *it) {
  while (it->pos <= it->stop) {
    if (it->stop > 0 || it->leaf->prev == NULL) return NULL;
    it->leaf = it->leaf->prev;
    it->pos = it->leaf->node.count;
    enter_leaf(it);
  }
  if (it->pos > PREFETCH_AHEAD) __builtin_prefetch(it->leaf->node.row[it->pos - 1 - PREFETCH_AHEAD]);
  return it->leaf->node.row[--it->pos];
}

const iu_row *iu__iter_next(iu_iter *it) {
  const iu_row *row;

  if (it->done) return NULL;
  if (it->rest != NULL) {
    if (it->rest_at < it->rest_count) return it->last = it->rest[it->rest_at++];
    it->done = true;
    return NULL;
  }
  if (it->version != it->span.tree->version && !find_place(it)) {
    it->done = true;
    return NULL;
  }
  do row = it->descending ? step_down(it) : step_up(it);
  while (row != NULL && !sees(it, row));
  if (row == NULL) it->done = true;
  else it->last = row;
  return row;
}

/* ---- the end of the transaction an iterator was opened in ---- */

/* On failure the iterator is where it was. */
static bool collect(iu_iter *it) {
  const iu_row *before = it->last, *row, **rest;
  size_t cap = 0, count = 0;

  rest = iu__alloc(1); /* so that none left differs from not collected */
  while (rest != NULL && (row = iu__iter_next(it)) != NULL) {
    if (count == cap) {
      const iu_row **more = iu__realloc_array(rest, cap = cap != 0 ? cap * 2 : 64, sizeof *rest);
      if (more == NULL) {
        iu__free(rest);
        rest = NULL;
        break;
      }
      rest = more;
    }
    rest[count++] = row;
  }
  it->done = false;
  it->last = before;
  it->version = it->span.tree->version - 1;
  it->rest = rest;
  it->rest_count = count;
  it->rest_at = 0;
  return rest != NULL;
}

bool iu__iters_before_commit(iu_store *s) {
  iu_iter *it;

  for (it = s->tx_iters; it != NULL; it = it->next)
    if (it->mark > 0 && !it->done && it->rest == NULL && !collect(it)) return false;
  return true;
}

void iu__iters_after_commit(iu_store *s) {
  while (s->tx_iters != NULL) unlink_tx(s->tx_iters);
}

void iu__iters_after_rollback(iu_store *s, uint32_t mark, bool abort) {
  iu_iter *it, *next;

  for (it = s->tx_iters; it != NULL; it = next) {
    next = it->next;
    if (it->mark > mark) it->done = true;
    if (abort) unlink_tx(it);
  }
}
