/* join.c: what a commit changes in the result of a join, by asking again: the naive way, so that the double shares no error with the engine. */
#include <stdlib.h>
#include <string.h>

#include "server.h"

static void rows_free(peer_rows *rows) {
  for (uint32_t i = 0; i < rows->count; i++) free((void *)rows->rows[i].p);
  free(rows->rows);
  *rows = (peer_rows){0};
}

static bool add_copy(void *ud, const iu_row *row) {
  uint8_t *copy = malloc(row->len + 1u);
  if (copy == NULL) abort();
  memcpy(copy, row->data, row->len);
  peer__rows_add(ud, (iu_slice){copy, row->len});
  return true;
}

static int compare(const void *left, const void *right) {
  const iu_slice *a = left, *b = right;
  int c = memcmp(a->p, b->p, a->len < b->len ? a->len : b->len);
  return c != 0 ? c : (a->len > b->len) - (a->len < b->len);
}

void peer__join_keep(peer_query *q, iu_store *store) {
  rows_free(&q->before);
  q->before = q->now;
  q->now = (peer_rows){0};
  if (iu__query_run(q->query, store, iu__store_epoch(store), add_copy, &q->now, NULL) != IU_OK) abort();
  if (q->now.count > 0) qsort(q->now.rows, q->now.count, sizeof *q->now.rows, compare);
}

void peer__join_changes(peer_query *q, iu_store *store, peer_rows *inserts, peer_rows *deletes) {
  uint32_t i = 0, k = 0;
  peer__join_keep(q, store);
  while (i < q->before.count || k < q->now.count) {
    int c = i == q->before.count ? 1 : k == q->now.count ? -1 : compare(&q->before.rows[i], &q->now.rows[k]);
    if (c < 0) peer__rows_add(deletes, q->before.rows[i++]);
    else if (c > 0) peer__rows_add(inserts, q->now.rows[k++]);
    else i++, k++;
  }
}

void peer__join_free(peer_query *q) {
  rows_free(&q->now);
  rows_free(&q->before);
}
