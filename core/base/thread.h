/* thread.h: threads of the library's own. The host's signal handlers never run on them. */
#ifndef IU_BASE_THREAD_H
#define IU_BASE_THREAD_H

#include <pthread.h>
#include <stdint.h>

#define IU_PARALLEL_MAX 4u  /* threads of one iu__parallel */

int iu__thread_start(pthread_t *thread, void *(*run)(void *ud), void *ud); /* 0, or what pthread_create says */
uint32_t iu__processors(void);                                             /* that this process may use; at least 1 */
/* work(ud, i) for every i below count, once each, on as many threads as there are processors (at most IU_PARALLEL_MAX), the caller's among them. Returns when all
 * are done. With one processor, or where no thread can be had, the caller does it all, in order. */
void iu__parallel(uint32_t count, void (*work)(void *ud, uint32_t i), void *ud);

#endif
