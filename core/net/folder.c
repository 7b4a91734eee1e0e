/* folder.c: libuv's file functions, called without a loop: they do their work before they return. */
#include "folder.h"

#include <string.h>
#include <uv.h>

#include "../base/alloc.h"
#include "../base/error.h"

static iu_status failed(iu_error *err, const char *path, int rc) {
  return iu__fail(err, IU_E_STORAGE, "folder %s: %s", path, uv_strerror(rc));
}

iu_status iu__folder_names(const char *path, uint32_t most, iu_status (*each)(void *ud, const char *name), void *ud, iu_error *err) {
  uv_fs_t request;
  uv_dirent_t entry;
  iu_status status = IU_OK;
  int rc = uv_fs_scandir(NULL, &request, path, 0, NULL);
  if (rc < 0) status = failed(err, path, rc);
  else if ((uint32_t)rc > (most < IU_FOLDER_NAMES_MAX ? most : IU_FOLDER_NAMES_MAX)) {
    status = iu__fail(err, IU_E_OVERLOADED, "folder %s: %d entries, more than are read", path, rc);
  }
  while (status == IU_OK && uv_fs_scandir_next(&request, &entry) == 0) status = each(ud, entry.name);
  uv_fs_req_cleanup(&request);
  return status;
}

static int make_one(const char *path) {
  uv_fs_t request;
  int rc = uv_fs_mkdir(NULL, &request, path, 0777, NULL);
  uv_fs_req_cleanup(&request);
  return rc;
}

static int is_folder(const char *path) {
  uv_fs_t request;
  int rc = uv_fs_stat(NULL, &request, path, NULL);
  bool folder = rc == 0 && (request.statbuf.st_mode & 0170000) == 0040000;
  uv_fs_req_cleanup(&request);
  return rc != 0 ? rc : folder ? 0 : UV_ENOTDIR;
}

iu_status iu__folder_make(const char *path, iu_error *err) {
  size_t len = strlen(path);
  char *copy;
  int rc;
  if (len == 0) return failed(err, "", UV_ENOENT);
  copy = iu__alloc(len + 1);
  if (copy == NULL) return iu__fail(err, IU_E_NOMEM, "folder %s: no memory", path);
  memcpy(copy, path, len + 1);
  for (char *slash = strchr(copy + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    (void)make_one(copy); /* there already, or the last one says what is wrong */
    *slash = '/';
  }
  rc = make_one(copy);
  if (rc == UV_EEXIST || (rc < 0 && copy[len - 1] == '/')) rc = is_folder(copy);
  iu__free(copy);
  return rc < 0 ? failed(err, path, rc) : IU_OK;
}
