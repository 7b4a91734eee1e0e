/* journal_vfs.h: an SQLite VFS over the system's for the journal's tests: counts syncs, fails on demand, and shows what a power loss would leave.
 *
 * Every write since a file's last sync is remembered. `vfs_images` builds the files as a disk might hold them after losing power at this
 * moment: the synced bytes, and of the later writes a random part, each whole, torn at a sector or not at all. It runs either when asked or
 * in the middle of SQLite's work, `snapshot_in` operations from now. Removals count as done at once. One mutex guards everything.
 */
#ifndef IU_TESTS_JOURNAL_VFS_H
#define IU_TESTS_JOURNAL_VFS_H

#include "journal_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#define VFS_FILES 24
#define VFS_SECTOR 512

typedef struct vfs_op { bool truncate; sqlite3_int64 at, size_before; uint8_t *old_bytes, *new_bytes; size_t old_len, new_len; } vfs_op;
typedef struct vfs_tracked { char path[256]; vfs_op *ops; size_t count, cap; long syncs; } vfs_tracked;
typedef struct vfs_image { char suffix[16]; uint8_t *bytes; size_t len; bool present; } vfs_image;

static struct {
  pthread_mutex_t mutex;
  sqlite3_vfs *real, shim;
  vfs_tracked files[VFS_FILES];
  const char *path;            /* the universe that snapshots are of */
  random_source random;
  long snapshot_in;            /* operations until a snapshot; 0: none wanted */
  bool taken;
  vfs_image images[3];
  uint64_t reported, durable_at_snapshot; /* what the test knew to be durable */
  long fail_write_in, fail_sync_in;       /* 0: never */
  int fail_code;
  bool fail_once, fail_short;             /* the write alone that fail_write_in counts to, not all from it on; half of it gets to the disk */
  long failed;                            /* how often something failed */
} vfs = {.mutex = PTHREAD_MUTEX_INITIALIZER};

typedef struct vfs_file { sqlite3_file base; vfs_tracked *tracked; sqlite3_file *real; } vfs_file;

static inline sqlite3_file *vfs_real(sqlite3_file *f) { return ((vfs_file *)f)->real; }

static inline vfs_tracked *vfs_track(const char *path) {
  for (int i = 0; i < VFS_FILES; i++) {
    if (strcmp(vfs.files[i].path, path) == 0) return &vfs.files[i];
  }
  for (int i = 0; i < VFS_FILES; i++) {
    if (vfs.files[i].path[0] != '\0') continue;
    snprintf(vfs.files[i].path, sizeof vfs.files[i].path, "%s", path);
    return &vfs.files[i];
  }
  abort();
}

static inline void vfs_forget(vfs_tracked *t) {
  for (size_t i = 0; i < t->count; i++) {
    free(t->ops[i].old_bytes);
    free(t->ops[i].new_bytes);
  }
  t->count = 0;
}

static inline void vfs_reset(void) {
  for (int i = 0; i < VFS_FILES; i++) {
    vfs_forget(&vfs.files[i]);
    free(vfs.files[i].ops);
    memset(&vfs.files[i], 0, sizeof vfs.files[i]);
  }
  for (int i = 0; i < 3; i++) free(vfs.images[i].bytes);
  memset(vfs.images, 0, sizeof vfs.images);
  vfs.snapshot_in = vfs.fail_write_in = vfs.fail_sync_in = 0;
  vfs.fail_once = vfs.fail_short = vfs.taken = false;
  vfs.failed = 0;
  vfs.reported = 0;
}

/* ---- images ---- */

static inline void image_resize(vfs_image *im, size_t len) {
  if (len > im->len) {
    im->bytes = realloc(im->bytes, len + 1);
    memset(im->bytes + im->len, 0, len - im->len);
  }
  im->len = len;
}

static inline void image_write(vfs_image *im, size_t at, const uint8_t *bytes, size_t len) {
  if (at + len > im->len) image_resize(im, at + len);
  memcpy(im->bytes + at, bytes, len);
}

static inline void image_of(const char *suffix, vfs_image *im) {
  char path[256];
  vfs_tracked *t;
  FILE *file;
  size_t n;

  free(im->bytes);
  memset(im, 0, sizeof *im);
  snprintf(im->suffix, sizeof im->suffix, "%s", suffix);
  snprintf(path, sizeof path, "%s%s", vfs.path, suffix);
  file = fopen(path, "rb");
  if (file == NULL) return;
  im->present = true;
  im->bytes = malloc(1);
  do {
    im->bytes = realloc(im->bytes, im->len + (1 << 20) + 1);
    n = fread(im->bytes + im->len, 1, 1 << 20, file);
    im->len += n;
  } while (n != 0);
  fclose(file);
  t = vfs_track(path);
  for (size_t i = t->count; i > 0; i--) { /* back to what was synced */
    const vfs_op *op = &t->ops[i - 1];
    if (!op->truncate && op->old_len != 0) image_write(im, (size_t)op->at, op->old_bytes, op->old_len);
    image_resize(im, (size_t)op->size_before);
    if (op->truncate) image_write(im, (size_t)op->at, op->old_bytes, op->old_len);
  }
  for (size_t i = 0, mode = random_below(&vfs.random, 3); i < t->count; i++) { /* and some of the rest: none, all, a part */
    const vfs_op *op = &t->ops[i];
    uint64_t fate = mode == 0 ? 0 : mode == 1 ? 1 : random_below(&vfs.random, 3);
    size_t len = op->new_len;
    if (fate == 0) continue;
    if (op->truncate) {
      image_resize(im, (size_t)op->at);
      continue;
    }
    if (fate == 2) len = len / VFS_SECTOR == 0 ? 0 : VFS_SECTOR * random_below(&vfs.random, len / VFS_SECTOR);
    image_write(im, (size_t)op->at, op->new_bytes, len);
  }
}

static inline void vfs_images(void) {
  image_of("", &vfs.images[0]);
  image_of("-wal", &vfs.images[1]);
  image_of("-journal", &vfs.images[2]);
  vfs.durable_at_snapshot = vfs.reported;
  vfs.taken = true;
}

static inline void vfs_restore(const char *to) {
  for (int i = 0; i < 3; i++) {
    char path[256];
    FILE *file;
    snprintf(path, sizeof path, "%s%s", to, vfs.images[i].suffix);
    remove(path);
    if (!vfs.images[i].present) continue;
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(vfs.images[i].bytes, 1, vfs.images[i].len, file), vfs.images[i].len);
    fclose(file);
  }
}

/* ---- operations; the mutex is held ---- */

static inline void vfs_tick(void) {
  if (vfs.snapshot_in != 0 && --vfs.snapshot_in == 0) vfs_images();
}

static inline void vfs_remember(vfs_file *f, bool truncate, sqlite3_int64 at, const void *bytes, size_t len) {
  vfs_tracked *t = f->tracked;
  vfs_op op = {.truncate = truncate, .at = at, .new_len = len};

  f->real->pMethods->xFileSize(f->real, &op.size_before);
  op.old_len = at >= op.size_before ? 0 : truncate ? (size_t)(op.size_before - at) : len;
  if (op.old_len != 0 && !truncate && at + (sqlite3_int64)op.old_len > op.size_before) op.old_len = (size_t)(op.size_before - at);
  op.old_bytes = malloc(op.old_len + 1);
  op.new_bytes = malloc(len + 1);
  if (op.old_len != 0) f->real->pMethods->xRead(f->real, op.old_bytes, (int)op.old_len, at);
  if (len != 0) memcpy(op.new_bytes, bytes, len);
  if (t->count == t->cap) {
    t->cap = t->cap == 0 ? 64 : t->cap * 2;
    t->ops = realloc(t->ops, t->cap * sizeof *t->ops);
  }
  t->ops[t->count++] = op;
}

static inline bool vfs_fails(long *in) { return *in != 0 && --*in == 0; }

static int shim_close(sqlite3_file *f) { return vfs_real(f)->pMethods->xClose(vfs_real(f)); }
static int shim_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at) { return vfs_real(f)->pMethods->xRead(vfs_real(f), p, n, at); }
static int shim_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at) {
  int rc;
  pthread_mutex_lock(&vfs.mutex);
  if (vfs_fails(&vfs.fail_write_in)) {
    rc = vfs.fail_code;
    vfs.failed++;
    if (vfs.fail_short) vfs_real(f)->pMethods->xWrite(vfs_real(f), p, n / 2, at);
    if (!vfs.fail_once) vfs.fail_write_in = 1; /* and from now on */
  } else {
    vfs_tick();
    vfs_remember((vfs_file *)f, false, at, p, (size_t)n);
    rc = vfs_real(f)->pMethods->xWrite(vfs_real(f), p, n, at);
  }
  pthread_mutex_unlock(&vfs.mutex);
  return rc;
}
static int shim_truncate(sqlite3_file *f, sqlite3_int64 size) {
  int rc;
  pthread_mutex_lock(&vfs.mutex);
  vfs_tick();
  vfs_remember((vfs_file *)f, true, size, "", 0);
  rc = vfs_real(f)->pMethods->xTruncate(vfs_real(f), size);
  pthread_mutex_unlock(&vfs.mutex);
  return rc;
}
static int shim_sync(sqlite3_file *f, int flags) {
  int rc;
  (void)flags; /* the real sync is left out: this disk is simulated */
  pthread_mutex_lock(&vfs.mutex);
  vfs_tick();
  if (vfs_fails(&vfs.fail_sync_in)) {
    rc = vfs.fail_code;
    vfs.failed++;
    /* As Linux does: the failure is told once, later syncs succeed although the pages never got to the disk. */
  } else {
    vfs_forget(((vfs_file *)f)->tracked);
    rc = SQLITE_OK;
  }
  ((vfs_file *)f)->tracked->syncs++;
  pthread_mutex_unlock(&vfs.mutex);
  return rc;
}
static int shim_size(sqlite3_file *f, sqlite3_int64 *size) { return vfs_real(f)->pMethods->xFileSize(vfs_real(f), size); }
static int shim_lock(sqlite3_file *f, int l) { return vfs_real(f)->pMethods->xLock(vfs_real(f), l); }
static int shim_unlock(sqlite3_file *f, int l) { return vfs_real(f)->pMethods->xUnlock(vfs_real(f), l); }
static int shim_reserved(sqlite3_file *f, int *out) { return vfs_real(f)->pMethods->xCheckReservedLock(vfs_real(f), out); }
static int shim_control(sqlite3_file *f, int op, void *p) { return vfs_real(f)->pMethods->xFileControl(vfs_real(f), op, p); }
static int shim_sector(sqlite3_file *f) { return vfs_real(f)->pMethods->xSectorSize(vfs_real(f)); }
static int shim_device(sqlite3_file *f) { return vfs_real(f)->pMethods->xDeviceCharacteristics(vfs_real(f)); }
static int shim_shm_map(sqlite3_file *f, int a, int b, int c, void volatile **p) { return vfs_real(f)->pMethods->xShmMap(vfs_real(f), a, b, c, p); }
static int shim_shm_lock(sqlite3_file *f, int a, int b, int c) { return vfs_real(f)->pMethods->xShmLock(vfs_real(f), a, b, c); }
static void shim_shm_barrier(sqlite3_file *f) { vfs_real(f)->pMethods->xShmBarrier(vfs_real(f)); }
static int shim_shm_unmap(sqlite3_file *f, int d) { return vfs_real(f)->pMethods->xShmUnmap(vfs_real(f), d); }

static const sqlite3_io_methods shim_methods = {
    2,           shim_close,    shim_read,     shim_write,   shim_truncate, shim_sync,    shim_size,     shim_lock,        shim_unlock,
    shim_reserved, shim_control, shim_sector,  shim_device,  shim_shm_map,  shim_shm_lock, shim_shm_barrier, shim_shm_unmap, NULL, NULL};

static int shim_open(sqlite3_vfs *v, const char *name, sqlite3_file *file, int flags, int *out) {
  vfs_file *f = (vfs_file *)file;
  int rc;
  (void)v;
  f->real = (sqlite3_file *)(f + 1);
  f->base.pMethods = NULL;
  rc = vfs.real->xOpen(vfs.real, name, f->real, flags, out);
  if (rc != SQLITE_OK) return rc;
  pthread_mutex_lock(&vfs.mutex);
  f->tracked = vfs_track(name != NULL ? name : "temporary");
  pthread_mutex_unlock(&vfs.mutex);
  f->base.pMethods = &shim_methods;
  return SQLITE_OK;
}
static int shim_delete(sqlite3_vfs *v, const char *name, int sync_folder) {
  int rc;
  (void)v;
  pthread_mutex_lock(&vfs.mutex);
  vfs_tick();
  vfs_forget(vfs_track(name));
  rc = vfs.real->xDelete(vfs.real, name, sync_folder);
  pthread_mutex_unlock(&vfs.mutex);
  return rc;
}

static inline void vfs_install(void) {
  vfs.real = sqlite3_vfs_find(NULL);
  vfs.shim = *vfs.real;
  vfs.shim.zName = "iu-test";
  vfs.shim.szOsFile = (int)sizeof(vfs_file) + vfs.real->szOsFile;
  vfs.shim.xOpen = shim_open;
  vfs.shim.xDelete = shim_delete;
  vfs.random.s = 1;
  assert_int_equal(sqlite3_vfs_register(&vfs.shim, 1), SQLITE_OK);
}
static inline void vfs_uninstall(void) {
  sqlite3_vfs_unregister(&vfs.shim);
  vfs_reset();
}

static inline long vfs_syncs(const char *path, const char *suffix) {
  char name[256];
  long n;
  snprintf(name, sizeof name, "%s%s", path, suffix);
  pthread_mutex_lock(&vfs.mutex);
  n = vfs_track(name)->syncs;
  pthread_mutex_unlock(&vfs.mutex);
  return n;
}

#endif
