/* filter_number.h: exact comparison of i64, integers of any size as decimal text, and doubles. */
#ifndef IU_QUERY_FILTER_NUMBER_H
#define IU_QUERY_FILTER_NUMBER_H

#include "filter_value.h"

/* a and b are numbers, not NaN. */
int iu__number_compare(const iu_fv *a, const iu_fv *b);

#endif
