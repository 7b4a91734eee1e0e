/* token.c: the token that a server gave, in a file that only its owner can read: one line. Written to a file beside it and renamed, so that a crash
 * leaves the old one or the new one. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/alloc.h"
#include "internal.h"

#define TOKEN_BYTES_MAX 16384

iu_status iu__token_read(const char *path, char **out, iu_error *err) {
  char text[TOKEN_BYTES_MAX];
  size_t len = 0;
  ssize_t n = 1;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  *out = NULL;
  if (fd < 0 && errno == ENOENT) return IU_OK;
  if (fd < 0) return iu__fail(err, IU_E_CONNECTION, "token file %s: %s", path, strerror(errno));
  while (n > 0 && len < sizeof text) {
    n = read(fd, text + len, sizeof text - len);
    if (n < 0 && errno == EINTR) n = 1;
    else if (n > 0) len += (size_t)n;
  }
  close(fd);
  if (n < 0) return iu__fail(err, IU_E_CONNECTION, "token file %s: %s", path, strerror(errno));
  if (len == sizeof text) return iu__fail(err, IU_E_VALIDATION, "token file %s: it is too large to be a token", path);
  while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r' || text[len - 1] == ' ')) len--;
  if (len == 0) return IU_OK;
  for (size_t i = 0; i < len; i++) {
    if (text[i] <= ' ' || text[i] > '~') return iu__fail(err, IU_E_VALIDATION, "token file %s: byte %zu cannot be part of a token", path, i);
  }
  *out = iu__strndup(text, len);
  return *out != NULL ? IU_OK : iu__fail_nomem(err);
}

static bool write_all(int fd, const char *text, size_t len) {
  while (len > 0) {
    ssize_t n = write(fd, text, len);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    text += n;
    len -= (size_t)n;
  }
  return true;
}

/* The folders above it, for the user alone. */
static void make_folders(char *path) {
  for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    (void)mkdir(path, 0700); /* there already, or writing the file says what is wrong */
    *slash = '/';
  }
}

iu_status iu__token_write(const char *path, const char *token, iu_error *err) {
  iu_buf name = {0};
  iu_status status;
  int fd;
  iu__buf_printf(&name, "%s.XXXXXX", path);
  iu__buf_put_u8(&name, 0);
  status = iu__buf_status(&name, err, "the name of the token file");
  if (status != IU_OK) {
    iu__buf_free(&name);
    return status;
  }
  make_folders((char *)name.data);
  fd = mkostemp((char *)name.data, O_CLOEXEC); /* mode 0600 */
  bool ok = fd >= 0 && write_all(fd, token, strlen(token)) && write_all(fd, "\n", 1) && fsync(fd) == 0;
  if (fd >= 0 && close(fd) != 0) ok = false;
  if (ok) ok = rename((char *)name.data, path) == 0;
  if (!ok) {
    status = iu__fail(err, IU_E_CONNECTION, "token file %s: %s", path, strerror(errno));
    if (fd >= 0) unlink((char *)name.data);
  }
  iu__buf_free(&name);
  return status;
}
