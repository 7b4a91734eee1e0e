/* new_file.c: see new_file.h. */
#include "new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/alloc.h"
#include "file.h"
#include "lock.h"

#define PART_SUFFIX ".part"

struct iu_new_file {
  char *path, *part; /* part: NULL where the path itself is written, and once it was published */
  iu_lock lock;
};

/* A universe (or another database) that a name was mistaken for is not worth losing. */
static bool is_database(const char *path) {
  char header[16];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd >= 0 ? pread(fd, header, sizeof header, 0) : 0;

  if (fd >= 0) close(fd);
  return n == (ssize_t)sizeof header && memcmp(header, "SQLite format 3", sizeof header) == 0;
}

static iu_status find(iu_new_file *f, const char *path, iu_error *err) {
  struct stat st;
  bool there = stat(path, &st) == 0;

  if (*path == '\0') return iu__fail(err, IU_E_STORAGE, "the path of a file is empty");
  if (there && S_ISDIR(st.st_mode)) return iu__fail(err, IU_E_STORAGE, "%s is a folder, not a file", path);
  if (there && !S_ISREG(st.st_mode)) {
    f->path = iu__strndup(path, strlen(path));
    return f->path != NULL ? IU_OK : iu__fail_nomem(err);
  }
  if (there && is_database(path)) return iu__fail(err, IU_E_STORAGE, "%s is a universe or another SQLite database: it is not replaced", path);
  iu_status status = iu__jfile_resolve(path, &f->path, err);
  if (status != IU_OK) return status;
  f->part = iu__jfile_beside(f->path, PART_SUFFIX);
  return f->part != NULL ? IU_OK : iu__fail_nomem(err);
}

/* Not through a link that somebody else put there. */
static iu_status make_part(const iu_new_file *f, iu_error *err) {
  int fd;

  unlink(f->part);
  fd = open(f->part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (fd < 0) return iu__fail(err, IU_E_STORAGE, "%s cannot be created: %s", f->part, strerror(errno));
  close(fd);
  return IU_OK;
}

iu_status iu__new_file(const char *path, iu_new_file **out, iu_error *err) {
  iu_new_file *f = iu__alloc_zero(1, sizeof *f);
  iu_status status;

  *out = NULL;
  if (f == NULL) return iu__fail_nomem(err);
  f->lock.fd = -1;
  status = find(f, path, err);
  if (status == IU_OK && f->part != NULL) {
    status = iu__jlock_take(f->part, &f->lock, err);
    if (status == IU_OK) status = make_part(f, err);
    if (status != IU_OK) { /* not ours to remove */
      iu__free(f->part);
      f->part = NULL;
    }
  }
  if (status == IU_OK) *out = f;
  else iu__new_file_free(f);
  return status;
}

const char *iu__new_file_name(const iu_new_file *f) { return f->part != NULL ? f->part : f->path; }

iu_status iu__new_file_publish(iu_new_file *f, iu_error *err) {
  iu_status status;

  if (f->part == NULL) return IU_OK;
  status = iu__jfile_publish(f->part, f->path, err);
  if (status != IU_OK) return status;
  iu__free(f->part);
  f->part = NULL;
  return IU_OK;
}

void iu__new_file_free(iu_new_file *f) {
  if (f == NULL) return;
  if (f->part != NULL) unlink(f->part);
  iu__jlock_release(&f->lock, true);
  iu__free(f->part);
  iu__free(f->path);
  iu__free(f);
}
