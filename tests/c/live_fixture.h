/* live_fixture.h: an engine with tables for live queries, over engine_fixture.h: `player` (id U64 primary key, guild U32 indexed, score F64, level I32, name
 * String), `guild` (id U32 primary key, rank I32), `loose` (k U32, n I32; no key, no index). */
#ifndef LIVE_FIXTURE_H
#define LIVE_FIXTURE_H

#include "engine_fixture.h"

enum { PLAYER, GUILD, LOOSE, LIVE_TABLES };

static inline iu_buf live_definition(void) {
  def d = {0};
  table_parts t = {0};
  iu_typespace ts = {0};
  const iu_type *u32 = iu__type_scalar(IU_T_U32), *i32 = iu__type_scalar(IU_T_I32);
  iu_field player[] = {{"id", iu__type_scalar(IU_T_U64)}, {"guild", u32}, {"score", iu__type_scalar(IU_T_F64)}, {"level", i32},
                       {"name", iu__type_scalar(IU_T_STRING)}};
  iu_field guild[] = {{"id", u32}, {"rank", i32}};
  iu_field loose[] = {{"k", u32}, {"n", i32}};
  iu_field note[] = {{"note", iu__type_scalar(IU_T_STRING)}};
  add_type(&d, iu__type_product(&ts, 5, player), "Player");
  add_type(&d, iu__type_product(&ts, 2, guild), "Guild");
  add_type(&d, iu__type_product(&ts, 2, loose), "Loose");
  add_index(&t, NULL, "id", 0, COLUMNS(0));
  add_index(&t, NULL, "guild", 0, COLUMNS(1));
  add_unique(&t, NULL, COLUMNS(0));
  add_table(&d, "player", 0, 0, &t);
  add_index(&t, NULL, "id", 0, COLUMNS(0));
  add_unique(&t, NULL, COLUMNS(0));
  add_table(&d, "guild", 1, 0, &t);
  add_table(&d, "loose", 2, -1, &t);
  add_reducer(&d, "run", iu__type_product(&ts, 1, note), -1);
  add_reducer(&d, "hello", iu__type_product(&ts, 0, NULL), 1);
  iu_buf out = finish_def(&d);
  iu__typespace_free(&ts);
  return out;
}

static inline int live_setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  assert_non_null(f);
  f->definition = live_definition();
  assert_int_equal(iu__loop_new(NULL, &f->loop, &f->err), IU_OK);
  if (fixture_open(f, NULL, IU_DUR_NORMAL) != IU_OK) fail_msg("open: %s", f->err.message);
  *state = f;
  return 0;
}

/* ---- rows, from inside a reducer ---- */

static inline void player_row(iu_buf *b, uint64_t id, uint32_t guild, double score, int32_t level) {
  uint64_t bits;
  char name[24];
  memcpy(&bits, &score, 8);
  iu__buf_reset(b);
  iu__buf_put_u64(b, id);
  iu__buf_put_u32(b, guild);
  iu__buf_put_u64(b, bits);
  iu__buf_put_u32(b, (uint32_t)level);
  snprintf(name, sizeof name, "p%llu", (unsigned long long)id);
  put_text(b, name);
}
static inline void pair_row_of(iu_buf *b, uint32_t first, int32_t second) {
  iu__buf_reset(b);
  iu__buf_put_u32(b, first);
  iu__buf_put_u32(b, (uint32_t)second);
}
static inline int32_t live_insert(struct iu_host *h, const char *table, iu_buf *row) {
  uint32_t len = (uint32_t)row->len;
  return iu__stdb_datastore_insert_bsatn(h, table_id(h, table), row->data, &len);
}
/* Of the row with its primary key. */
static inline int32_t live_update(struct iu_host *h, const char *table, iu_buf *row) {
  uint32_t len = (uint32_t)row->len;
  char index[32];
  snprintf(index, sizeof index, "%s_id_idx_btree", table);
  return iu__stdb_datastore_update_bsatn(h, table_id(h, table), index_id(h, index), row->data, &len);
}
static inline int32_t live_delete(struct iu_host *h, const char *table, uint64_t id, uint32_t id_size) {
  uint8_t key[9] = {0};
  uint32_t n;
  char index[32];
  snprintf(index, sizeof index, "%s_id_idx_btree", table);
  for (uint32_t i = 0; i < id_size; i++) key[1 + i] = (uint8_t)(id >> 8 * i);
  return iu__stdb_datastore_delete_by_index_scan_range_bsatn(h, index_id(h, index), "", 0, 0, key, 1 + id_size, key, 1 + id_size, &n);
}
static inline int32_t loose_delete(struct iu_host *h, uint32_t k, int32_t n) {
  iu_buf rel = {0};
  uint32_t gone;
  iu__buf_put_u32(&rel, 1);
  iu__buf_put_u32(&rel, k);
  iu__buf_put_u32(&rel, (uint32_t)n);
  int32_t rc = iu__stdb_datastore_delete_all_by_eq_bsatn(h, table_id(h, "loose"), rel.data, (uint32_t)rel.len, &gone);
  iu__buf_free(&rel);
  return rc;
}

#endif
