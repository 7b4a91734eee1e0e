/* match_index.h: which of many queries over one table a row can match, without asking each of them: an index from constants to queries.
 *
 * A query is filed under one of its AND-joined conditions: an equality in a hash of its column (asked once a column), a range, or both bounds of one,
 * in a tree of intervals of its column (O(log n) and what it finds); a query without either stands in a list and is a candidate always. What is given
 * is a superset of what matches: ask iu__query_matches. Values compare as SQL's do (scalar.h): equalities of floats are intervals, so -0.0 finds 0.0.
 *
 * Entries are the caller's, one for each side of a query that stands in the index of that side's table; they stay where they are while filed.
 * Filing may fail for want of memory and has done nothing then; taking out is O(1) or O(log n) and cannot fail.
 */
#ifndef IU_QUERY_MATCH_INDEX_H
#define IU_QUERY_MATCH_INDEX_H

#include "../base/arena.h"
#include "locate.h"
#include "query.h"
#include "scalar.h"

typedef struct iu_match_column iu_match_column;

typedef struct iu_match_bound { iu_slice value; bool given, open; } iu_match_bound; /* open: the value itself is outside */

typedef struct iu_match_entry {
  const iu_query *query;             /* set by iu__match_add, as the next one */
  uint8_t side, place;               /* place: the index's own */
  iu_match_column *column;           /* NULL: in the list */
  struct iu_match_entry *next, **link;  /* of the list or of a bucket */
  uint64_t hash;
  iu_slice literal;                  /* of an equality; borrowed from the query */
  iu_match_bound low, high;          /* of a range */
  struct iu_match_entry *left, *right;
  const struct iu_match_entry *reach; /* of this subtree, the one whose range ends last */
  uint32_t priority;
} iu_match_entry;

typedef struct iu_match_index {
  const iu_table_def *table;         /* borrowed */
  iu_match_column *columns;          /* owned: those that some query was filed under */
  iu_match_entry *rest;
  uint32_t count;                    /* filed */
  uint32_t seed;
  iu_arena arena;
} iu_match_index;

void iu__match_init(iu_match_index *x, const iu_table_def *table);
void iu__match_free(iu_match_index *x); /* entries need not be taken out before */
iu_status iu__match_add(iu_match_index *x, iu_match_entry *e, const iu_query *query, int side, iu_error *err);
void iu__match_remove(iu_match_index *x, iu_match_entry *e); /* of one that is not filed: nothing */
/* Calls fn for each candidate of a valid row of the table, each once, until it returns false; nothing is filed or taken out meanwhile. */
typedef bool (*iu_match_fn)(void *ud, iu_match_entry *e);
bool iu__match_probe(const iu_match_index *x, const uint8_t *row, size_t len, iu_match_fn fn, void *ud); /* false: fn had it stopped */

#endif
