/* store.c: the store as a whole: made, freed, looked at. */
#include "internal.h"

#include <assert.h>

#include "../base/alloc.h"

static void free_tables(iu_store *s, uint32_t count) {
  while (count > 0) iu__table_free(&s->tables[--count]);
  iu__free(s->tables);
}

iu_status iu__store_new(const iu_schema *schema, iu_store **out, iu_error *err) {
  iu_store *s = iu__alloc_zero(1, sizeof *s);
  iu_status status = IU_OK;

  *out = NULL;
  if (s == NULL) return iu__fail_nomem(err);
  s->schema = schema;
  s->parallel_min = IU_LOAD_PARALLEL_MIN;
  s->pins.prev = s->pins.next = &s->pins;
  s->tables = iu__alloc_zero(schema->table_count, sizeof *s->tables);
  if (s->tables == NULL) {
    iu__free(s);
    return iu__fail_nomem(err);
  }
  while (status == IU_OK && s->table_count < schema->table_count) {
    status = iu__table_init(&s->tables[s->table_count], s, s->table_count, err);
    s->table_count++; /* a table made in part is freed like a whole one */
  }
  if (status != IU_OK) {
    free_tables(s, s->table_count);
    iu__free(s);
    return status;
  }
  *out = s;
  return IU_OK;
}

void iu__store_be_lean(iu_store *s) {
  assert(s->rows == 0);
  s->lean = true;
}

void iu__store_free(iu_store *s) {
  if (s == NULL) return;
  assert(s->open_iters == 0);
  iu__store_load_cancel(s);
  free_tables(s, s->table_count);
  iu__limbo_empty(s);
  iu__slab_free(&s->slab);
  iu__free(s->log);
  iu__free(s->dead);
  iu__free(s);
}

iu_table *iu__store_table(iu_store *s, uint32_t table_index) { return table_index < s->table_count ? &s->tables[table_index] : NULL; }

uint64_t iu__store_epoch(const iu_store *s) { return s->epoch; }

void iu__store_stats(const iu_store *s, iu_store_stats *out) {
  uint32_t i, j;

  out->rows = 0;
  out->row_bytes = s->row_bytes;
  out->dead_rows = s->dead_count + s->orphans;
  out->overhead_bytes = s->rows * sizeof(iu_row) + s->dead_cap * sizeof *s->dead + s->log_cap * sizeof *s->log;
  for (i = 0; i < s->table_count; i++) {
    const iu_table *t = &s->tables[i];
    out->rows += t->live;
    for (j = 0; j < t->tree_count; j++) out->overhead_bytes += iu__tree_bytes(&t->trees[j]);
    for (j = 0; j < t->map_count; j++) out->overhead_bytes += iu__keymap_bytes(&t->maps[j]);
  }
}
