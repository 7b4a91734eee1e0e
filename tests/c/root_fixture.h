/* root_fixture.h: a temporary folder of a test program's own, below $TMPDIR, gone at its end: `setup` and `teardown` of its group. */
#ifndef IU_TESTS_ROOT_FIXTURE_H
#define IU_TESTS_ROOT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char root[128];

static inline int setup(void **state) {
  const char *where = getenv("TMPDIR");
  (void)state;
  snprintf(root, sizeof root, "%s/iu_root_XXXXXX", where != NULL ? where : "/tmp");
  return mkdtemp(root) != NULL ? 0 : -1;
}

static inline int teardown(void **state) {
  char line[256];
  (void)state;
  snprintf(line, sizeof line, "rm -rf '%s'", root);
  return system(line);
}

/* Good until the fourth call after it. */
static inline const char *in_root(const char *name) {
  static char paths[4][256];
  static int at;
  char *path = paths[at++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", root, name);
  return path;
}

#endif
