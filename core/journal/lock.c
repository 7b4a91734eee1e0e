/* lock.c: see lock.h. */
#include "lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/alloc.h"

#define LOCK_TEXT_MAX 32 /* a process id and a newline */
#define LOCK_TRIES 100   /* times the file may vanish under us before we give up */

static bool not_allowed(int e) { return e == EACCES || e == EROFS || e == EPERM; }

static iu_status open_failed(const char *lock_path, int e, iu_error *err) {
  const char *slash = strrchr(lock_path, '/');
  int folder = slash == NULL ? 1 : slash == lock_path ? 1 : (int)(slash - lock_path);
  const char *name = slash == NULL ? "." : lock_path;

  if (e == ENOENT) return iu__fail(err, IU_E_STORAGE, "the folder %.*s does not exist", folder, name);
  if (not_allowed(e))
    return iu__fail(err, IU_E_STORAGE, "the folder %.*s cannot be written: %s", folder, name, strerror(e));
  return iu__fail(err, IU_E_STORAGE, "%s cannot be opened: %s", lock_path, strerror(e));
}

/* What the file says; -1 when it is no lock file of ours (which we neither write nor remove), 0 when it says nothing yet. */
static long read_pid(int fd) {
  char text[LOCK_TEXT_MAX + 1], *end;
  ssize_t n = pread(fd, text, LOCK_TEXT_MAX, 0);
  long pid;

  if (n < 0) return -1;
  if (n == 0) return 0;
  text[n] = '\0';
  errno = 0;
  pid = strtol(text, &end, 10);
  if (errno != 0 || end == text || pid <= 0 || text[0] < '0' || text[0] > '9') return -1;
  return (size_t)n == strlen(text) && (*end == '\0' || strcmp(end, "\n") == 0) ? pid : -1;
}

/* A hard link has a lock file of its own: does this process have the file open under another name? SQLite's locks would not keep the two apart here. Asked of the
 * system only where there are other names; where it has no /proc, it is not known. */
static iu_status check_other_names(const char *path, iu_error *err) {
  struct stat st, other;
  struct dirent *entry;
  iu_status status = IU_OK;
  DIR *folder;

  if (stat(path, &st) != 0 || st.st_nlink < 2 || (folder = opendir("/proc/self/fd")) == NULL) return IU_OK;
  while (status == IU_OK && (entry = readdir(folder)) != NULL) {
    char name[PATH_MAX] = "";

    if (entry->d_name[0] == '.' || fstatat(dirfd(folder), entry->d_name, &other, 0) != 0) continue;
    if (other.st_dev != st.st_dev || other.st_ino != st.st_ino) continue;
    if (readlinkat(dirfd(folder), entry->d_name, name, sizeof name - 1) < 0) name[0] = '\0';
    status = iu__fail(err, IU_E_UNIVERSE_LOCKED, "%s is already open in this process (%ld), as %s", path, (long)getpid(), name);
  }
  closedir(folder);
  return status;
}

static iu_status held_by_other(const char *path, int fd, iu_error *err) {
  long pid = read_pid(fd);

  if (pid > 0 && pid == (long)getpid())
    return iu__fail(err, IU_E_UNIVERSE_LOCKED, "%s is already open in this process (%ld)", path, pid);
  if (pid > 0) return iu__fail(err, IU_E_UNIVERSE_LOCKED, "%s is open in process %ld", path, pid);
  return iu__fail(err, IU_E_UNIVERSE_LOCKED, "%s is open in another process", path);
}

/* Is the locked file still the one the name leads to? */
static bool still_named(const char *lock_path, int fd) {
  struct stat by_fd, by_name;

  return fstat(fd, &by_fd) == 0 && stat(lock_path, &by_name) == 0 && by_fd.st_dev == by_name.st_dev && by_fd.st_ino == by_name.st_ino;
}

static iu_status write_pid(int fd, const char *lock_path, iu_error *err) {
  char text[LOCK_TEXT_MAX];
  int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());

  if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n)
    return iu__fail(err, IU_E_STORAGE, "%s cannot be written: %s", lock_path, strerror(errno));
  return IU_OK;
}

/* Opens the lock file, made where there is none. *refused: why it may not be written (0: it may); then it is the one that is there, to look at, and for a
 * reader fd -1 where there is none. */
static iu_status open_lock(iu_lock *lock, bool reading, int *refused, iu_error *err) {
  const int flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;

  lock->fd = open(lock->path, O_RDWR | O_CREAT | flags, 0644);
  *refused = lock->fd < 0 && not_allowed(errno) ? errno : 0;
  if (lock->fd >= 0) return IU_OK;
  if (*refused == 0) return open_failed(lock->path, errno, err);
  lock->fd = open(lock->path, O_RDONLY | flags);
  if (lock->fd >= 0 || (reading && errno == ENOENT)) return IU_OK;
  return open_failed(lock->path, reading ? errno : *refused, err);
}

/* One try. *again: the file was removed between opening and locking. Who may not write is told whose it is where somebody has it: the better reason. */
static iu_status try_lock(const char *path, bool reading, iu_lock *lock, bool *again, iu_error *err) {
  int refused;
  iu_status status = open_lock(lock, reading, &refused, err);
  bool locked;

  *again = false;
  if (status != IU_OK || lock->fd < 0) return status;
  locked = flock(lock->fd, LOCK_EX | LOCK_NB) == 0;
  if (!locked && errno == EWOULDBLOCK) {
    status = held_by_other(path, lock->fd, err);
  } else if (refused != 0 && !reading) {
    status = open_failed(lock->path, refused, err);
  } else if (!locked) {
    status = iu__fail(err, IU_E_STORAGE, "%s cannot be locked: %s", lock->path, strerror(errno));
  } else if (!still_named(lock->path, lock->fd)) {
    *again = true;
    status = IU_OK;
  } else if (read_pid(lock->fd) < 0) {
    status = iu__fail(err, IU_E_STORAGE, "%s exists and is not the lock file of a universe", lock->path);
  } else if (refused != 0) {
    return IU_OK;
  } else {
    status = write_pid(lock->fd, lock->path, err);
    if (status == IU_OK) return IU_OK;
    unlink(lock->path);
  }
  close(lock->fd);
  lock->fd = -1;
  return status;
}

static iu_status take(const char *path, bool reading, iu_lock *lock, iu_error *err) {
  size_t len = strlen(path);
  iu_status status = IU_OK;
  bool again = true;

  lock->fd = -1;
  lock->path = iu__alloc(len + sizeof ".lock");
  if (lock->path == NULL) return iu__fail_nomem(err);
  memcpy(lock->path, path, len);
  memcpy(lock->path + len, ".lock", sizeof ".lock");
  for (int i = 0; i < LOCK_TRIES && again && status == IU_OK; i++) status = try_lock(path, reading, lock, &again, err);
  if (status == IU_OK && again) status = iu__fail(err, IU_E_UNIVERSE_LOCKED, "%s is being opened and closed by others", path);
  if (status == IU_OK) status = check_other_names(path, err);
  if (status != IU_OK) iu__jlock_release(lock, lock->fd >= 0);
  return status;
}

iu_status iu__jlock_take(const char *path, iu_lock *lock, iu_error *err) { return take(path, false, lock, err); }
iu_status iu__jlock_take_to_read(const char *path, iu_lock *lock, iu_error *err) { return take(path, true, lock, err); }

void iu__jlock_release(iu_lock *lock, bool remove) {
  if (lock->fd >= 0) {
    /* Removed while still held: whoever opened it before the removal and locks it after sees that the name leads elsewhere. */
    if (remove) unlink(lock->path);
    close(lock->fd);
  }
  iu__free(lock->path);
  lock->path = NULL;
  lock->fd = -1;
}
