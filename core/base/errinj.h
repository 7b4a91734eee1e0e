/* errinj.h: named faults for tests (habit of Tarantool). Compiled in only with -DIU_ERRINJ (the test and sanitizer builds);
 * elsewhere iu__errinj() is the constant false and costs nothing.
 *
 * A fault is armed with a countdown: it fires once when its counter reaches zero, then disarms.
 * The state is process-wide and atomic: the journal's thread asks too.
 */
#ifndef IU_BASE_ERRINJ_H
#define IU_BASE_ERRINJ_H

#include <stdbool.h>

#define IU_ERRINJ_MAP(X) \
  X(ALLOC)               \
  X(JOURNAL_WRITE)       \
  X(JOURNAL_FSYNC)       \
  X(JOURNAL_FOLD)        \
  X(JOURNAL_ALTER)

typedef enum iu_errinj_point {
#define IU_ERRINJ_ENUM(name) IU_ERRINJ_##name,
  IU_ERRINJ_MAP(IU_ERRINJ_ENUM)
#undef IU_ERRINJ_ENUM
  IU_ERRINJ_COUNT
} iu_errinj_point;

#ifdef IU_ERRINJ
/* after == 0: the next time; -1 disarms. */
void iu__errinj_arm(iu_errinj_point point, long after);
bool iu__errinj(iu_errinj_point point);
/* How often the point has been asked since it was last armed or disarmed. */
long iu__errinj_count(iu_errinj_point point);
#else
#define iu__errinj(point) false
#endif

#endif
