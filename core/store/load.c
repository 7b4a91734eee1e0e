/* load.c: an empty store filled at once: rows first, then each index whole; see store.h.
 *
 * Rows wait in an array per table. They mostly come in the primary order, or in that of their making, which is nearly it; an index that the rows are
 * in order for is built as they stand, others from a sorted copy. While one is sorted that takes 32 bytes a row of its table, given back at the end.
 */
#include "internal.h"

#include <assert.h>

#include "../base/alloc.h"
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

/* The room to sort all rows, made when it is first needed. */
static iu_sort_entry *room_of(const iu_table *t, iu_sort_entry **room) {
  if (*room == NULL) *room = iu__realloc_array(NULL, 2 * t->loaded_count, sizeof **room);
  return *room;
}

static iu_status build_main(iu_table *t, iu_sort_entry **room, iu_error *err) {
  size_t at = 0;
  iu_build built = iu__tree_build(&t->trees[0], t->loaded, t->loaded_count, &at);

  if (built == IU_BUILD_UNSORTED) {
    if (room_of(t, room) == NULL) return iu__fail_nomem(err);
    memcpy(t->loaded, iu__sort_rows(&t->keys[0], t->loaded, t->loaded_count, *room), t->loaded_count * sizeof *t->loaded);
    built = iu__tree_build(&t->trees[0], t->loaded, t->loaded_count, &at);
  }
  if (built == IU_BUILD_SAME) { /* maybe of rows that are not sorted all the way */
    iu_status status;
    if (room_of(t, room) == NULL) return iu__fail_nomem(err);
    memcpy(t->loaded, iu__sort_rows(&t->keys[0], t->loaded, t->loaded_count, *room), t->loaded_count * sizeof *t->loaded);
    status = drop_repeated(t, 1, err);
    if (status != IU_OK) return status;
    built = iu__tree_build(&t->trees[0], t->loaded, t->loaded_count, &at);
  }
  assert(built == IU_BUILD_DONE || built == IU_BUILD_NOMEM);
  return built == IU_BUILD_DONE ? IU_OK : iu__fail_nomem(err);
}

static iu_status build_tree(iu_table *t, uint32_t tree, iu_sort_entry **room, iu_error *err) {
  iu_row *const *rows = t->loaded;
  size_t at = 0;
  iu_build built = iu__tree_build(&t->trees[tree], rows, t->loaded_count, &at);

  if (built == IU_BUILD_UNSORTED) {
    if (room_of(t, room) == NULL) return iu__fail_nomem(err);
    rows = iu__sort_rows(&t->keys[tree], rows, t->loaded_count, *room);
    built = iu__tree_build(&t->trees[tree], rows, t->loaded_count, &at);
  }
  if (built == IU_BUILD_SAME) return iu__conflict(t, &t->keys[tree], rows[at], err);
  assert(built == IU_BUILD_DONE || built == IU_BUILD_NOMEM);
  return built == IU_BUILD_DONE ? IU_OK : iu__fail_nomem(err);
}

static iu_status build_table(iu_table *t, iu_error *err) {
  iu_sort_entry *room = NULL;
  iu_status status = build_main(t, &room, err);
  uint32_t i;

  for (i = 1; i < t->tree_count && status == IU_OK; i++) status = build_tree(t, i, &room, err);
  for (i = iu__table_first_map(t); i < t->map_count && status == IU_OK; i++) {
    if (room_of(t, &room) == NULL || !iu__keymap_build(&t->maps[i], t->loaded, (uint32_t)t->loaded_count, room)) status = iu__fail_nomem(err);
  }
  iu__free(room);
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
  uint32_t i;

  for (j = 0; j < t->loaded_count; j++) iu__row_free(t->store, t->loaded[j]);
  for (i = 0; i < t->tree_count; i++) iu__tree_free(&t->trees[i]);
  for (i = 0; i < t->map_count; i++) iu__keymap_free(&t->maps[i]);
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
