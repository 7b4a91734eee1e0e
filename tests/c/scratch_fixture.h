/* scratch_fixture.h: a universe's file for one test program: a name in TMPDIR that nobody else has, and its end with everything beside it. To be removed
 * when it is closed: SQLite leaves the journal of a file that is gone meanwhile. */
#ifndef SCRATCH_FIXTURE_H
#define SCRATCH_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SCRATCH_PATH_MAX 256

static inline void scratch_remove(const char *path) {
  static const char *const parts[] = {"", "-wal", "-shm", "-journal", ".lock"};
  char name[SCRATCH_PATH_MAX + 16];
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    snprintf(name, sizeof name, "%s%s", path, parts[i]);
    unlink(name);
  }
}

/* Nothing has that name. Returns out. */
static inline const char *scratch_path(char out[SCRATCH_PATH_MAX], const char *name) {
  const char *folder = getenv("TMPDIR");
  snprintf(out, SCRATCH_PATH_MAX, "%s/iu_%s_%d.universe", folder != NULL ? folder : "/tmp", name, (int)getpid());
  scratch_remove(out);
  return out;
}

#endif
