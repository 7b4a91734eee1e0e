/* log.h: a sink that the host replaces; the library itself never prints. A NULL sink drops messages. */
#ifndef IU_BASE_LOG_H
#define IU_BASE_LOG_H

#include "error.h"

typedef enum iu_log_level { IU_LOG_ERROR, IU_LOG_WARN, IU_LOG_INFO, IU_LOG_DEBUG, IU_LOG_TRACE } iu_log_level;
/* `message` is borrowed for the call. Called on the owner thread only. */
typedef void (*iu_log_fn)(void *ud, iu_log_level level, const char *message);
typedef struct iu_log { iu_log_fn fn; void *ud; iu_log_level level; } iu_log;
void iu__log(const iu_log *log, iu_log_level level, const char *fmt, ...) IU_PRINTF(3, 4);

#endif
