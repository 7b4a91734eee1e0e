/* load.c: an empty store filled at once: rows first, then each index whole; see store.h.
 *
 * Rows wait in an array per table. They mostly come in the primary order, or in that of their making, which is nearly it; an index that the rows are
 * in order for is built as they stand, others from a sorted copy. While one is sorted that takes 32 bytes a row of its table, given back at the end.
 *
 * The indexes of a large table are built side by side on several threads: they only read the rows, and each writes its own. What fails is that of the first
 * index that failed, so that the outcome does not depend on the threads.
 */
#include "internal.h"

#include <assert.h>

#include "../base/alloc.h"
#include "../base/thread.h"
#include "conflict.h"
#include "sort.h"

iu_status iu__store_load_begin(iu_store *s, iu_error *err) {
  if (s->in_tx) return iu__fail(err, IU_E_CONFLICT, "a transaction is open already");
  if (s->loading || s->rows != 0) return iu__fail(err, IU_E_CONFLICT, "only an empty store is loaded");
  s->loading = s->in_tx = true;
  return IU_OK;
}

iu_status iu__store_load_row(iu_table *t, const void *row, size_t len, iu_error *err) {
  iu_row *made;

  assert(t->store->loading);
  if (len > IU_ROW_BYTES_MAX) return iu__fail(err, IU_E_OVERLOADED, "a row has at most %u bytes", IU_ROW_BYTES_MAX);
  if (t->loaded_count == IU_KEYMAP_ROWS_MAX) return iu__fail(err, IU_E_OVERLOADED, "a table has at most %u rows", IU_KEYMAP_ROWS_MAX);
  if (t->loaded_count == t->loaded_cap) {
    size_t cap = t->loaded_cap != 0 ? t->loaded_cap * 2 : 64;
    iu_row **more = iu__realloc_array(t->loaded, cap, sizeof *more);
    if (more == NULL) return iu__fail_nomem(err);
    t->loaded = more;
    t->loaded_cap = cap;
  }
  made = iu__row_new(t->store, row, len);
  if (made == NULL) return iu__fail_nomem(err);
  t->loaded[t->loaded_count++] = made;
  return IU_OK;
}

static bool same_bytes(const iu_row *a, const iu_row *b) { return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0); }

/* Of rows in order: those that are there twice go; different rows of one key are in each other's way. Rows before `from` were looked at. */
static iu_status drop_repeated(iu_table *t, size_t from, iu_error *err) {
  size_t kept = from, i;
  iu_status status = IU_OK;

  for (i = from; i < t->loaded_count; i++) {
    iu_row *row = t->loaded[i];
    bool same = status == IU_OK && iu__key_compare_columns(&t->keys[0], t->loaded[kept - 1], row) == 0;
    if (same && !same_bytes(t->loaded[kept - 1], row)) status = iu__conflict(t, &t->keys[0], row, err);
    else if (same) {
      iu__row_free(t->store, row);
      continue;
    }
    t->loaded[kept++] = row;
  }
  t->loaded_count = kept;
  return status;
}

/* ---- the parts of a table: the maps and the primary order, which need the rows as they come, and the other trees, which need them in the primary order ---- */

typedef struct part {
  iu_status status;
  bool repeated;        /* the primary order: rows with one key */
  iu_sort_entry *room;  /* owned; the primary order: what it sorted, at its beginning */
  iu_error err;
} part;
typedef struct building { iu_table *t; part *parts; uint32_t first, first_map; } building; /* parts: as the trees, then as the maps */

static iu_sort_entry *room_for(const iu_table *t) { return iu__realloc_array(NULL, 2 * t->loaded_count, sizeof(iu_sort_entry)); }

static iu_status build_tree(const iu_table *t, uint32_t tree, part *p) {
  iu_row *const *rows = t->loaded;
  iu_status status = IU_OK;
  size_t at = 0;
  iu_build built = iu__tree_build(&t->trees[tree], rows, t->loaded_count, &at);

  if (built == IU_BUILD_UNSORTED) {
    p->room = room_for(t);
    if (p->room == NULL) return iu__fail_nomem(&p->err);
    rows = iu__sort_rows(&t->keys[tree], rows, t->loaded_count, p->room);
    built = iu__tree_build(&t->trees[tree], rows, t->loaded_count, &at);
  }
  p->repeated = built == IU_BUILD_SAME && tree == 0;
  if (built == IU_BUILD_SAME && tree != 0) status = iu__conflict(t, &t->keys[tree], rows[at], &p->err);
  assert(built != IU_BUILD_UNSORTED);
  return built == IU_BUILD_NOMEM ? iu__fail_nomem(&p->err) : status;
}

static iu_status build_map(const iu_table *t, uint32_t map, part *p) {
  p->room = room_for(t);
  if (p->room == NULL || !iu__keymap_build(&t->maps[map], t->loaded, (uint32_t)t->loaded_count, p->room)) return iu__fail_nomem(&p->err);
  return IU_OK;
}

static void build_part(void *ud, uint32_t i) {
  const building *b = ud;
  uint32_t trees = b->t->tree_count, at = b->first + i;
  part *p;

  if (b->first == 0 && i > 0) at = trees + i - 1; /* behind the primary order the maps */
  p = &b->parts[at];
  p->status = at < trees ? build_tree(b->t, at, p) : build_map(b->t, b->first_map + at - trees, p);
  if (at == 0) return;
  iu__free(p->room);
  p->room = NULL;
}

static void build_parts(building *b, uint32_t first, uint32_t count) {
  uint32_t i;

  b->first = first;
  if (b->t->loaded_count >= b->t->store->parallel_min) iu__parallel(count, build_part, b);
  else
    for (i = 0; i < count; i++) build_part(b, i);
}

static iu_status first_failure(const building *b, uint32_t count, iu_error *err) {
  uint32_t i;

  for (i = 0; i < count; i++) {
    if (b->parts[i].status == IU_OK) continue;
    if (err != NULL) *err = b->parts[i].err;
    return b->parts[i].status;
  }
  return IU_OK;
}

static void drop_parts(iu_table *t) {
  uint32_t i;

  for (i = 0; i < t->tree_count; i++) iu__tree_free(&t->trees[i]);
  for (i = 0; i < t->map_count; i++) iu__keymap_free(&t->maps[i]);
}

/* The order that building the primary one has found. */
static void take_order(iu_table *t, part *main) {
  if (main->room != NULL) memcpy(t->loaded, main->room, t->loaded_count * sizeof *t->loaded);
  iu__free(main->room);
  main->room = NULL;
}

/* Rows in the primary order, each once. */
static iu_status sort_and_drop(iu_table *t, iu_error *err) {
  iu_sort_entry *room = room_for(t);

  if (room == NULL) return iu__fail_nomem(err);
  memcpy(t->loaded, iu__sort_rows(&t->keys[0], t->loaded, t->loaded_count, room), t->loaded_count * sizeof *t->loaded);
  iu__free(room);
  return drop_repeated(t, 1, err);
}

static iu_status build_all(building *b, uint32_t maps, iu_error *err) {
  iu_table *t = b->t;
  iu_status status;

  build_parts(b, 0, 1 + maps);
  take_order(t, &b->parts[0]);
  status = first_failure(b, t->tree_count + maps, err);
  if (status == IU_OK && b->parts[0].repeated) { /* maybe of rows that are not sorted all the way */
    drop_parts(t);
    status = sort_and_drop(t, err);
    if (status != IU_OK) return status;
    build_parts(b, 0, 1 + maps);
    assert(!b->parts[0].repeated);
    status = first_failure(b, t->tree_count + maps, err);
  }
  if (status != IU_OK) return status;
  build_parts(b, 1, t->tree_count - 1);
  return first_failure(b, t->tree_count + maps, err);
}

static iu_status build_table(iu_table *t, iu_error *err) {
  building b = {.t = t, .first_map = iu__table_first_map(t)};
  uint32_t maps = t->map_count - b.first_map;
  iu_status status;

  b.parts = iu__alloc_zero(t->tree_count + maps, sizeof *b.parts);
  if (b.parts == NULL) return iu__fail_nomem(err);
  status = build_all(&b, maps, err);
  iu__free(b.parts);
  if (status == IU_OK) t->live = t->loaded_count;
  return status;
}

static void forget_loaded(iu_table *t) {
  iu__free(t->loaded);
  t->loaded = NULL;
  t->loaded_count = t->loaded_cap = 0;
}

/* Rows and what was built of them. */
static void empty(iu_table *t) {
  size_t j;

  for (j = 0; j < t->loaded_count; j++) iu__row_free(t->store, t->loaded[j]);
  drop_parts(t);
  t->live = 0;
  forget_loaded(t);
}

void iu__store_load_cancel(iu_store *s) {
  uint32_t i;

  if (!s->loading) return;
  for (i = 0; i < s->table_count; i++) empty(&s->tables[i]);
  s->loading = s->in_tx = false;
}

iu_status iu__store_load_end(iu_store *s, iu_error *err) {
  iu_status status = IU_OK;
  uint32_t i;

  assert(s->loading);
  for (i = 0; i < s->table_count && status == IU_OK; i++)
    if (s->tables[i].loaded_count > 0) status = build_table(&s->tables[i], err);
  if (status != IU_OK) {
    iu__store_load_cancel(s);
    return status;
  }
  for (i = 0; i < s->table_count; i++) {
    s->tables[i].committed = s->tables[i].live;
    forget_loaded(&s->tables[i]);
  }
  if (s->rows > 0) s->epoch++;
  s->loading = s->in_tx = false;
  return IU_OK;
}
