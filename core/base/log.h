/* log.h: a sink that the host replaces; the library itself never prints. A NULL sink drops messages. */
#ifndef IU_BASE_LOG_H
#define IU_BASE_LOG_H

#include "error.h"

/* Levels and the sink's function are public (inner_universe.h). */
typedef struct iu_log { iu_log_fn fn; void *ud; iu_log_level level; } iu_log;
void iu__log(const iu_log *log, iu_log_level level, const char *fmt, ...) IU_PRINTF(3, 4);

#endif
