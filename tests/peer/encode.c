/* encode.c: messages a server sends, field by field in the sheet's order (encode.h). */
#include "encode.h"

#include <stdlib.h>

static void put_slice(iu_buf *b, iu_slice s) { iu__buf_put_bytes(b, s.p, s.len); }
static void put_text(iu_buf *b, const char *text) { iu__buf_put_bytes(b, text, strlen(text)); }
static void put_i64(iu_buf *b, int64_t v) { iu__buf_put_u64(b, (uint64_t)v); }

static void put_option_u32(iu_buf *b, bool some, uint32_t v) {
  iu__buf_put_u8(b, some ? 0 : 1);
  if (some) iu__buf_put_u32(b, v);
}

/* ---- rows ---- */

void peer__rows_add(peer_rows *rows, iu_slice row) {
  if (rows->count == rows->cap) {
    rows->cap = rows->cap == 0 ? 16 : rows->cap * 2;
    rows->rows = realloc(rows->rows, rows->cap * sizeof *rows->rows);
    if (rows->rows == NULL) abort();
  }
  rows->rows[rows->count++] = row;
}

static bool of_one_size(const peer_rows *rows) {
  if (rows->count == 0 || rows->rows[0].len == 0 || rows->rows[0].len > UINT16_MAX) return false;
  for (uint32_t i = 1; i < rows->count; i++) {
    if (rows->rows[i].len != rows->rows[0].len) return false;
  }
  return true;
}

void peer__put_rows(iu_buf *b, peer_hint hint, const peer_rows *rows) {
  uint64_t at = 0;
  if (hint != PEER_HINT_OFFSETS && of_one_size(rows)) {
    iu__buf_put_u8(b, 0);
    iu__buf_put_u16(b, (uint16_t)rows->rows[0].len);
  } else {
    iu__buf_put_u8(b, 1);
    iu__buf_put_u32(b, rows->count);
    for (uint32_t i = 0; i < rows->count; i++) {
      iu__buf_put_u64(b, at);
      at += rows->rows[i].len;
    }
  }
  at = 0;
  for (uint32_t i = 0; i < rows->count; i++) at += rows->rows[i].len;
  iu__buf_put_u32(b, (uint32_t)at);
  for (uint32_t i = 0; i < rows->count; i++) iu__buf_put(b, rows->rows[i].p, rows->rows[i].len);
}

/* ---- v2 ---- */

/* QueryRows: one entry a query. */
static void put_query_rows(iu_buf *b, const peer_message *m, bool deletes) {
  iu__buf_put_u32(b, m->count);
  for (uint32_t i = 0; i < m->count; i++) {
    put_text(b, m->parts[i].table);
    peer__put_rows(b, m->parts[i].hint, deletes ? &m->parts[i].deletes : &m->parts[i].inserts);
  }
}

/* TableUpdate of parts[from...]: those of one table of one set. Returns where the next begins. */
static uint32_t put_table_v2(iu_buf *b, const peer_message *m, uint32_t from) {
  uint32_t end = from;
  while (end < m->count && m->parts[end].set == m->parts[from].set && strcmp(m->parts[end].table, m->parts[from].table) == 0) end++;
  put_text(b, m->parts[from].table);
  iu__buf_put_u32(b, end - from);
  for (uint32_t i = from; i < end; i++) {
    const peer_part *part = &m->parts[i];
    iu__buf_put_u8(b, part->event_table ? 1 : 0);
    peer__put_rows(b, part->hint, &part->inserts);
    if (!part->event_table) peer__put_rows(b, part->hint, &part->deletes);
  }
  return end;
}

static void put_sets(iu_buf *b, const peer_message *m) {
  size_t sets_at = b->len;
  uint32_t sets = 0, i = 0;
  iu__buf_put_u32(b, 0);
  while (i < m->count) {
    uint32_t set = m->parts[i].set, tables = 0;
    iu__buf_put_u32(b, set);
    size_t tables_at = b->len;
    iu__buf_put_u32(b, 0);
    for (; i < m->count && m->parts[i].set == set; tables++) i = put_table_v2(b, m, i);
    iu__buf_patch_u32(b, tables_at, tables);
    sets++;
  }
  iu__buf_patch_u32(b, sets_at, sets);
}

static void put_outcome(iu_buf *b, const peer_message *m) {
  if (m->outcome == IU_OUT_COMMITTED) {
    iu__buf_put_u8(b, m->empty ? 1 : 0);
    if (m->empty) return;
    put_slice(b, m->value);
    put_sets(b, m);
  } else if (m->outcome == IU_OUT_FAILED) {
    iu__buf_put_u8(b, 2);
    iu__buf_put_u32(b, (uint32_t)m->text.len + 4);
    put_slice(b, m->text);
  } else {
    iu__buf_put_u8(b, 3);
    put_slice(b, m->text);
  }
}

static void put_procedure(iu_buf *b, iu_protocol p, const peer_message *m) {
  iu__buf_put_u8(b, p == IU_P_V1 ? 10 : 7);
  if (m->outcome == IU_OUT_COMMITTED) iu__buf_put_u8(b, 0);
  else iu__buf_put_u8(b, p != IU_P_V1 ? 1 : m->outcome == IU_OUT_NO_ENERGY ? 1 : 2);
  if (m->outcome == IU_OUT_COMMITTED) put_slice(b, m->value);
  else if (p != IU_P_V1 || m->outcome != IU_OUT_NO_ENERGY) put_slice(b, m->text);
  put_i64(b, m->timestamp);
  put_i64(b, m->duration);
  iu__buf_put_u32(b, m->request);
}

static void put_v2(iu_buf *b, const peer_message *m) {
  static const uint8_t tags[] = {[IU_M_CONNECTED] = 0, [IU_M_SUBSCRIBED] = 1, [IU_M_UNSUBSCRIBED] = 2, [IU_M_SUBSCRIPTION_ERROR] = 3,
                                 [IU_M_TRANSACTION] = 4, [IU_M_ONE_OFF] = 5, [IU_M_CALL_RESULT] = 6};
  if (m->kind == IU_M_PROCEDURE) {
    put_procedure(b, IU_P_V2, m);
    return;
  }
  iu__buf_put_u8(b, tags[m->kind]);
  switch (m->kind) {
    case IU_M_CONNECTED:
      iu__buf_put(b, m->identity, 32);
      iu__buf_put(b, m->connection_id, 16);
      put_slice(b, m->token);
      break;
    case IU_M_SUBSCRIBED:
    case IU_M_UNSUBSCRIBED:
      iu__buf_put_u32(b, m->request);
      iu__buf_put_u32(b, m->set);
      if (m->kind == IU_M_UNSUBSCRIBED) iu__buf_put_u8(b, m->has_rows ? 0 : 1);
      if (m->kind == IU_M_SUBSCRIBED || m->has_rows) put_query_rows(b, m, m->kind == IU_M_UNSUBSCRIBED);
      break;
    case IU_M_SUBSCRIPTION_ERROR:
      put_option_u32(b, m->has_request, m->request);
      iu__buf_put_u32(b, m->set);
      put_slice(b, m->text);
      break;
    case IU_M_ONE_OFF:
      iu__buf_put_u32(b, m->request);
      iu__buf_put_u8(b, m->outcome == IU_OUT_COMMITTED ? 0 : 1);
      if (m->outcome == IU_OUT_COMMITTED) put_query_rows(b, m, false);
      else put_slice(b, m->text);
      break;
    case IU_M_CALL_RESULT:
      iu__buf_put_u32(b, m->request);
      put_i64(b, m->timestamp);
      put_outcome(b, m);
      break;
    default: put_sets(b, m);
  }
}

/* ---- v1 ---- */

/* TableUpdate of parts[from, end), which are of one table: deletes come first. */
static void put_table_v1(iu_buf *b, const peer_message *m, uint32_t from, uint32_t end) {
  uint64_t rows = 0;
  for (uint32_t i = from; i < end; i++) rows += m->parts[i].inserts.count + m->parts[i].deletes.count;
  iu__buf_put_u32(b, m->parts[from].table_id);
  put_text(b, m->parts[from].table);
  iu__buf_put_u64(b, rows);
  iu__buf_put_u32(b, end - from);
  for (uint32_t i = from; i < end; i++) {
    iu__buf_put_u8(b, 0);
    peer__put_rows(b, m->parts[i].hint, &m->parts[i].deletes);
    peer__put_rows(b, m->parts[i].hint, &m->parts[i].inserts);
  }
}

/* DatabaseUpdate: a table once (transactions) or once a query (answers). */
static void put_database_update(iu_buf *b, const peer_message *m, bool together) {
  size_t at = b->len;
  uint32_t tables = 0;
  iu__buf_put_u32(b, 0);
  for (uint32_t i = 0; i < m->count; tables++) {
    uint32_t end = i + 1;
    while (together && end < m->count && strcmp(m->parts[end].table, m->parts[i].table) == 0) end++;
    put_table_v1(b, m, i, end);
    i = end;
  }
  iu__buf_patch_u32(b, at, tables);
}

static void put_full(iu_buf *b, const peer_message *m) {
  iu__buf_put_u8(b, 1);
  iu__buf_put_u8(b, m->outcome == IU_OUT_COMMITTED ? 0 : m->outcome == IU_OUT_NO_ENERGY ? 2 : 1);
  if (m->outcome == IU_OUT_COMMITTED) put_database_update(b, m, true);
  else if (m->outcome != IU_OUT_NO_ENERGY) put_slice(b, m->text);
  put_i64(b, m->timestamp);
  iu__buf_put(b, m->identity, 32);
  iu__buf_put(b, m->connection_id, 16);
  put_slice(b, m->reducer);
  iu__buf_put_u32(b, m->reducer_id);
  put_slice(b, m->args);
  iu__buf_put_u32(b, m->request);
  iu__buf_put_u64(b, m->energy);
  iu__buf_put_u64(b, 0);
  put_i64(b, m->duration);
}

static void put_one_off_v1(iu_buf *b, const peer_message *m) {
  iu__buf_put_u8(b, 4);
  put_slice(b, m->value);
  iu__buf_put_u8(b, m->outcome == IU_OUT_COMMITTED ? 1 : 0);
  if (m->outcome != IU_OUT_COMMITTED) put_slice(b, m->text);
  iu__buf_put_u32(b, m->count);
  for (uint32_t i = 0; i < m->count; i++) {
    put_text(b, m->parts[i].table);
    peer__put_rows(b, m->parts[i].hint, &m->parts[i].inserts);
  }
  put_i64(b, m->duration);
}

/* SubscribeApplied and its kin. */
static void put_applied_v1(iu_buf *b, const peer_message *m) {
  uint8_t base = m->single ? 5 : 8;
  iu__buf_put_u8(b, m->kind == IU_M_SUBSCRIBED ? base : base + 1);
  iu__buf_put_u32(b, m->request);
  put_i64(b, m->duration);
  iu__buf_put_u32(b, m->set);
  if (!m->single) {
    put_database_update(b, m, false);
    return;
  }
  iu__buf_put_u32(b, m->parts[0].table_id);
  put_text(b, m->parts[0].table);
  put_table_v1(b, m, 0, 1);
}

static void put_v1(iu_buf *b, const peer_message *m) {
  switch (m->kind) {
    case IU_M_CONNECTED:
      iu__buf_put_u8(b, 3);
      iu__buf_put(b, m->identity, 32);
      put_slice(b, m->token);
      iu__buf_put(b, m->connection_id, 16);
      break;
    case IU_M_INITIAL:
      iu__buf_put_u8(b, 0);
      put_database_update(b, m, false);
      iu__buf_put_u32(b, m->request);
      put_i64(b, m->duration);
      break;
    case IU_M_SUBSCRIBED:
    case IU_M_UNSUBSCRIBED: put_applied_v1(b, m); break;
    case IU_M_SUBSCRIPTION_ERROR:
      iu__buf_put_u8(b, 7);
      put_i64(b, m->duration);
      put_option_u32(b, m->has_request, m->request);
      put_option_u32(b, m->has_set, m->set);
      put_option_u32(b, false, 0);
      put_slice(b, m->text);
      break;
    case IU_M_ONE_OFF: put_one_off_v1(b, m); break;
    case IU_M_PROCEDURE: put_procedure(b, IU_P_V1, m); break;
    default:
      if (!m->light) {
        put_full(b, m);
        break;
      }
      iu__buf_put_u8(b, 2);
      iu__buf_put_u32(b, m->request);
      put_database_update(b, m, true);
  }
}

void peer__put_message(iu_buf *b, iu_protocol p, const peer_message *m) {
  if (p == IU_P_V1) put_v1(b, m);
  else put_v2(b, m);
}
