/* thread.c: see thread.h. */
#include "thread.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

int iu__thread_start(pthread_t *thread, void *(*run)(void *ud), void *ud) {
  sigset_t all, before;
  int rc;

  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  rc = pthread_create(thread, NULL, run, ud);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return rc;
}

uint32_t iu__processors(void) {
  long online = sysconf(_SC_NPROCESSORS_ONLN);
#if defined(__linux__)
  cpu_set_t mine;

  CPU_ZERO(&mine);
  if (sched_getaffinity(0, sizeof mine, &mine) == 0) online = CPU_COUNT(&mine);
#endif
  return online < 1 ? 1 : (uint32_t)online;
}

typedef struct parallel { void (*work)(void *ud, uint32_t i); void *ud; uint32_t count; atomic_uint next; } parallel;

static void *run_some(void *ud) {
  parallel *p = ud;
  uint32_t i;

  while ((i = atomic_fetch_add(&p->next, 1)) < p->count) p->work(p->ud, i);
  return NULL;
}

void iu__parallel(uint32_t count, void (*work)(void *ud, uint32_t i), void *ud) {
  pthread_t threads[IU_PARALLEL_MAX];
  parallel p = {.work = work, .ud = ud, .count = count};
  uint32_t most = iu__processors(), started = 0;

  if (most > IU_PARALLEL_MAX) most = IU_PARALLEL_MAX;
  if (most > count) most = count;
  while (started + 1 < most && iu__thread_start(&threads[started], run_some, &p) == 0) started++;
  run_some(&p);
  while (started > 0) pthread_join(threads[--started], NULL);
}
