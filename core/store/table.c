/* table.c: one table: its indexes, and point reads. */
#include "internal.h"

#include "../base/alloc.h"

static bool is_primary(const iu_table_def *def, const iu_index_def *index) {
  return def->primary_key >= 0 && index->column_count == 1 && index->columns[0] == def->primary_key;
}

static bool make_arrays(iu_table *t) {
  size_t n = (size_t)t->def->index_count + 1;

  t->trees = iu__alloc_zero(n, sizeof *t->trees);
  t->keys = iu__alloc_zero(n, sizeof *t->keys);
  t->maps = iu__alloc_zero(n, sizeof *t->maps);
  t->slots = iu__alloc_zero(n, sizeof *t->slots);
  t->tree_of = iu__alloc_zero(n, sizeof *t->tree_of);
  t->map_of = iu__alloc_zero(n, sizeof *t->map_of);
  return t->trees != NULL && t->keys != NULL && t->maps != NULL && t->slots != NULL && t->tree_of != NULL && t->map_of != NULL;
}

static bool make_main(iu_table *t) {
  uint16_t column = (uint16_t)t->def->primary_key;

  t->tree_count = t->map_count = 1;
  if (t->def->primary_key >= 0 ? !iu__key_init(&t->keys[0], &t->layout, &column, 1, -1, true) : !iu__key_init_whole(&t->keys[0], &t->layout))
    return false;
  iu__tree_init(&t->trees[0], &t->keys[0]);
  iu__keymap_init(&t->maps[0], &t->keys[0]);
  return true;
}

static bool make_index(iu_table *t, uint32_t i) {
  const iu_index_def *def = &t->def->indexes[i];
  iu_key *key = &t->keys[t->tree_count];

  t->map_of[i] = UINT32_MAX;
  if (is_primary(t->def, def)) { /* the primary order itself */
    t->map_of[i] = 0;
    return true;
  }
  t->tree_of[i] = t->tree_count++;
  if (!iu__key_init(key, &t->layout, def->columns, def->column_count, t->def->primary_key, def->unique)) return false;
  iu__tree_init(&t->trees[t->tree_of[i]], key);
  if (!def->unique) return true;
  t->map_of[i] = t->map_count++;
  iu__keymap_init(&t->maps[t->map_of[i]], key);
  return true;
}

iu_status iu__table_init(iu_table *t, iu_store *s, uint32_t index, iu_error *err) {
  bool ok;
  uint32_t i;

  t->store = s;
  t->index = index;
  t->writes = 1;
  t->def = &s->schema->tables[index];
  ok = iu__layout_init(&t->layout, t->def->row) && make_arrays(t) && make_main(t);
  for (i = 0; ok && i < t->def->index_count; i++) ok = make_index(t, i);
  return ok ? IU_OK : iu__fail_nomem(err);
}

static void free_rows(iu_table *t) {
  iu_leaf *leaf;
  unsigned i;

  if (t->tree_count == 0) return;
  for (leaf = t->trees[0].first; leaf != NULL; leaf = leaf->next)
    for (i = 0; i < leaf->node.count; i++) iu__row_free(t->store, leaf->node.row[i]);
}

void iu__table_free(iu_table *t) {
  uint32_t i;

  free_rows(t);
  for (i = 0; i < t->tree_count; i++) {
    iu__tree_free(&t->trees[i]);
    iu__key_free(&t->keys[i]);
  }
  for (i = 0; i < t->map_count; i++) iu__keymap_free(&t->maps[i]);
  iu__free(t->trees);
  iu__free(t->keys);
  iu__free(t->maps);
  iu__free(t->slots);
  iu__free(t->tree_of);
  iu__free(t->map_of);
  iu__layout_free(&t->layout);
}

bool iu__table_link(iu_table *t, iu_row *row, const iu_row *leaving) {
  uint32_t i;

  for (i = 0; i < t->tree_count; i++) {
    bool found = i == 0 && t->spot.p.row == row && t->spot.version == t->trees[0].version, beside = leaving != NULL && !found;
    if (found ? iu__tree_insert_at(&t->trees[0], row, &t->spot) : beside ? iu__tree_insert_beside(&t->trees[i], row, leaving) : iu__tree_insert(&t->trees[i], row))
      continue;
    while (i > 0) iu__tree_remove(&t->trees[--i], row);
    return false;
  }
  return true;
}

void iu__table_unlink(iu_table *t, iu_row *row) {
  uint32_t i;

  for (i = 0; i < t->tree_count; i++) iu__tree_remove(&t->trees[i], row);
}

const iu_tree *iu__table_tree(const iu_table *t, uint32_t index) {
  if (index == IU_INDEX_MAIN) return &t->trees[0];
  return index < t->def->index_count ? &t->trees[t->tree_of[index]] : NULL;
}

const iu_table_def *iu__table_def(const iu_table *t) { return t->def; }
uint32_t iu__table_index(const iu_table *t) { return t->index; }
uint64_t iu__table_writes(const iu_table *t) { return t->writes; }

uint64_t iu__table_count(const iu_table *t, uint64_t epoch) {
  const iu_leaf *leaf;
  uint64_t count = 0;
  unsigned i;

  if (epoch == IU_EPOCH_LATEST) return t->live;
  if (epoch == t->store->epoch) return t->committed;
  for (leaf = t->trees[0].first; leaf != NULL; leaf = leaf->next)
    for (i = 0; i < leaf->node.count; i++) count += iu__row_visible(leaf->node.row[i], epoch);
  return count;
}

static const iu_row *before(const iu_leaf **leaf, unsigned *pos) {
  if (*pos == 0) {
    *leaf = (*leaf)->prev;
    if (*leaf == NULL) return NULL;
    *pos = (*leaf)->node.count;
  }
  return (*leaf)->node.row[--*pos];
}

/* Versions of one value follow each other by start epoch and do not overlap, but for those that no epoch sees: the last that started by
 * `epoch` decides. */
static const iu_row *find_version(const iu_tree *tree, uint64_t epoch, const uint8_t *key, size_t len) {
  iu_probe p;
  iu_leaf *found;
  const iu_leaf *leaf;
  const iu_row *row;
  unsigned pos;

  iu__probe_value(&p, tree->key, tree->key->index_columns, key, len, IU_PLACE_AT_EPOCH, epoch);
  iu__tree_seek(tree, &p, &found, &pos);
  leaf = found;
  if (leaf == NULL) {
    leaf = tree->last;
    pos = leaf->node.count;
  }
  while ((row = before(&leaf, &pos)) != NULL && iu__probe_compare_value(&p, row) == 0) {
    if (iu__row_visible(row, epoch)) return row;
    if (row->from < row->gone) break;
  }
  return NULL;
}

static const iu_row *find(const iu_table *t, uint32_t map, uint32_t tree, uint64_t epoch, const void *key, size_t len) {
  const iu_row *row = iu__keymap_find(&t->maps[map], key, len);

  if (row == NULL || iu__row_visible(row, epoch)) return row;
  if (epoch == IU_EPOCH_LATEST || row->from <= epoch) return NULL; /* the newest had gone by then */
  return find_version(&t->trees[tree], epoch, key, len);
}

/* ---- the primary order instead of a map ---- */

/* The stored versions of a key, the last first. */
typedef struct versions { iu_probe p; const iu_leaf *leaf; unsigned pos; } versions;

static void versions_begin(versions *v, const iu_tree *tree, iu_slice key) {
  iu_leaf *found = tree->last;

  v->leaf = NULL;
  if (found == NULL) return;
  iu__probe_value(&v->p, tree->key, tree->key->index_columns, key.p, key.len, IU_PLACE_AFTER, 0);
  v->pos = iu__node_lower(&found->node, 0, &v->p); /* rows come in order more often than not */
  if (v->pos == 0) {
    iu__tree_seek(tree, &v->p, &found, &v->pos);
    if (found == NULL) {
      found = tree->last;
      v->pos = found->node.count;
    }
  }
  v->leaf = found;
}

static const iu_row *versions_next(versions *v) {
  const iu_row *row = v->leaf != NULL ? before(&v->leaf, &v->pos) : NULL;

  return row != NULL && iu__probe_compare_value(&v->p, row) == 0 ? row : NULL;
}

/* The key of a row in the primary order: the column, or all of it. */
static iu_slice main_key(const iu_table *t, const iu_row *row) {
  iu_walk w = iu__walk(&t->layout, row->data, row->len);
  iu_slice all = {row->data, row->len};

  return t->def->primary_key >= 0 ? iu__walk_to(&w, (uint32_t)t->def->primary_key) : all;
}

static bool same_key(const iu_spot *spot, const iu_leaf *leaf, unsigned pos) {
  return iu__node_may_equal(&leaf->node, pos, &spot->p) && iu__key_compare_columns(spot->p.key, spot->p.row, leaf->node.row[pos]) == 0;
}

/* New as it is the row stands behind all versions of its key but those of this transaction, which may stand on either side. */
iu_row *iu__table_main_now(iu_table *t, const iu_row *row, iu_row **base) {
  const iu_spot *spot = &t->spot;
  const iu_leaf *leaf;
  iu_row *now = NULL;
  unsigned pos;

  *base = NULL;
  iu__tree_spot(&t->trees[0], row, &t->spot);
  for (leaf = spot->leaf, pos = spot->pos; leaf != NULL; pos++) {
    if (pos == leaf->node.count) {
      if ((leaf = leaf->next) == NULL) break;
      pos = 0;
    }
    if (!same_key(spot, leaf, pos)) break;
    if (leaf->node.row[pos]->gone == IU_GONE_NEVER) now = leaf->node.row[pos];
  }
  for (leaf = spot->leaf, pos = spot->pos; leaf != NULL; ) {
    iu_row *version = (iu_row *)(uintptr_t)before(&leaf, &pos);
    if (version == NULL || !same_key(spot, leaf, pos)) break;
    if (version->gone == IU_GONE_NEVER) now = version;
    if (iu__row_visible(version, t->store->epoch)) *base = version;
    if (version->from <= t->store->epoch && version->from < version->gone) break; /* older ones had gone before */
  }
  return now;
}

bool iu__table_main_written_after(const iu_table *t, const iu_row *row, uint32_t place) {
  const iu_row *version;
  versions v;

  versions_begin(&v, &t->trees[0], main_key(t, row));
  while ((version = versions_next(&v)) != NULL && version->from > t->store->epoch)
    if (version != row && version->holders > place) return true;
  return false;
}

/* The bytes may be no key at all. */
static const iu_row *find_main(const iu_table *t, uint64_t epoch, const void *key, size_t len) {
  const iu_type *type = t->def->primary_key >= 0 ? t->def->row->u.fields[t->def->primary_key].type : t->def->row;
  const iu_row *version;
  iu_slice bytes = {key, len};
  versions v;

  if (!t->store->lean) return find(t, 0, 0, epoch, key, len);
  if (t->trees[0].root == NULL || iu__bsatn_check_all(type, key, len, NULL) != IU_OK) return NULL;
  if (epoch != IU_EPOCH_LATEST) return find_version(&t->trees[0], epoch, key, len);
  versions_begin(&v, &t->trees[0], bytes);
  while ((version = versions_next(&v)) != NULL)
    if (version->gone == IU_GONE_NEVER) return version;
  return NULL;
}

const iu_row *iu__table_get(const iu_table *t, uint64_t epoch, const void *key, size_t len) {
  return t->def->primary_key < 0 ? NULL : find_main(t, epoch, key, len);
}

const iu_row *iu__table_find_unique(const iu_table *t, uint32_t index, uint64_t epoch, const void *key, size_t len) {
  if (index >= t->def->index_count || t->map_of[index] == UINT32_MAX) return NULL;
  if (t->map_of[index] == 0) return find_main(t, epoch, key, len);
  return find(t, t->map_of[index], t->tree_of[index], epoch, key, len);
}

const iu_row *iu__table_find_row(const iu_table *t, uint64_t epoch, const void *row, size_t len) {
  const iu_row *found;
  iu_slice key = {row, len};

  if (t->def->primary_key >= 0) key = iu__bsatn_column(t->def->row, (uint32_t)t->def->primary_key, row, len);
  if (key.p == NULL && len != 0) return NULL;
  found = find_main(t, epoch, key.p, key.len);
  return found != NULL && found->len == len && (len == 0 || memcmp(found->data, row, len) == 0) ? found : NULL;
}
