/* filter_op.h: one filter: a field, one of the eleven operators, a value; compiled once, asked of many rows. */
#ifndef IU_QUERY_FILTER_OP_H
#define IU_QUERY_FILTER_OP_H

#include "filter.h"
#include "filter_field.h"

typedef enum iu_filter_op {
  IU_F_EQUALS, IU_F_NOT_EQUALS, IU_F_GREATER_THAN, IU_F_LESS_THAN, IU_F_GREATER_OR_EQUAL, IU_F_LESS_OR_EQUAL, IU_F_CONTAINS, IU_F_STARTS_WITH,
  IU_F_ENDS_WITH, IU_F_IN, IU_F_NOT_IN, IU_F_COUNT
} iu_filter_op;

typedef struct iu_filter {
  iu_field_ref field;
  uint8_t op, cost;
  iu_fv value;                           /* in the arena; unused by In and NotIn */
  uint32_t scalar_count; iu_fv *scalars; /* In, NotIn: sorted by iu__fv_rank_compare */
  uint32_t doc_count; iu_fv *docs;       /* In, NotIn: arrays and objects */
} iu_filter;

/* Everything lives in the arena but the field's path: iu__filter_free, also after a failure. */
iu_status iu__filter_compile(iu_arena *arena, const iu_table_def *table, const iu_filter_spec *spec, iu_filter *out, iu_error *err);
void iu__filter_free(iu_filter *f);
iu_status iu__filter_matches(const iu_filter *f, iu_field_scratch *s, const uint8_t *row, size_t len, bool *out, iu_error *err);

#endif
