/* errinj.c: see errinj.h. Empty but for the declarations unless IU_ERRINJ is defined. The only writable statics of the library,
 * and only in test builds. */
#include "errinj.h"

#ifdef IU_ERRINJ

#include <stdatomic.h>

/* 0: disarmed; n: fires at the n-th question. */
static atomic_long countdown[IU_ERRINJ_COUNT];
static atomic_long asked[IU_ERRINJ_COUNT];

void iu__errinj_arm(iu_errinj_point point, long after) {
  atomic_store(&countdown[point], after < 0 ? 0 : after + 1);
  atomic_store(&asked[point], 0);
}

bool iu__errinj(iu_errinj_point point) {
  long left = atomic_load(&countdown[point]);

  atomic_fetch_add(&asked[point], 1);
  while (left > 0) {
    if (atomic_compare_exchange_weak(&countdown[point], &left, left - 1)) return left == 1;
  }
  return false;
}

long iu__errinj_count(iu_errinj_point point) { return atomic_load(&asked[point]); }

#endif
