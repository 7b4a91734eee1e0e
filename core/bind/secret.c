/* secret.c: core.seal(key, text, associated), core.unseal(key, sealed, associated), core.read_secret(path).
 *
 * Sealed: base 64 of a nonce (drawn anew for each), the ciphertext and its tag. Keys are 32 bytes; they are Lua's strings, which nobody can wipe.
 */
#include "bind.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/alloc.h"
#include "../base/seal.h"

#define SECRET_FILE_MAX 65536

static const uint8_t *check_key(lua_State *L, int index) {
  size_t len;
  const char *key = luaL_checklstring(L, index, &len);
  luaL_argcheck(L, len == IU_SEAL_KEY, index, "a key of 32 bytes expected");
  return (const uint8_t *)key;
}

static iu_bytes check_bytes(lua_State *L, int index) {
  iu_bytes b;
  b.at = luaL_checklstring(L, index, &b.len);
  return b;
}

static iu_status seal(const uint8_t *key, iu_bytes text, iu_bytes associated, iu_buf *out, iu_error *err) {
  size_t raw_len = IU_SEAL_NONCE + text.len + IU_SEAL_TAG, size;
  uint8_t *raw;
  iu_status status;
  if (text.len > IU_SEAL_MAX) return iu__fail(err, IU_E_VALIDATION, "more than %zu bytes cannot be sealed", IU_SEAL_MAX);
  size = iu__base64_size(raw_len);
  raw = iu__alloc(raw_len);
  if (raw == NULL || !iu__buf_reserve(out, size)) {
    iu__free(raw);
    return iu__fail_nomem(err);
  }
  status = iu__random(raw, IU_SEAL_NONCE, err);
  if (status == IU_OK) status = iu__seal(key, raw, associated, text, raw + IU_SEAL_NONCE, err);
  if (status == IU_OK) {
    iu__base64(raw, raw_len, (char *)out->data + out->len);
    out->len += size;
  }
  iu__free(raw);
  return status;
}

static iu_status unseal(const uint8_t *key, iu_bytes sealed, iu_bytes associated, iu_buf *out, iu_error *err) {
  size_t raw_len = 0;
  uint8_t *raw = iu__alloc(sealed.len / 4 * 3 + 1);
  iu_status status;
  if (raw == NULL) return iu__fail_nomem(err);
  if (!iu__unbase64(sealed.at, sealed.len, raw, &raw_len) || raw_len < IU_SEAL_NONCE + IU_SEAL_TAG) {
    status = iu__fail(err, IU_E_AUTHORIZATION, "it does not open: it is no sealed text");
  } else if (!iu__buf_reserve(out, raw_len)) {
    status = iu__fail_nomem(err);
  } else {
    iu_bytes rest = {raw + IU_SEAL_NONCE, raw_len - IU_SEAL_NONCE};
    status = iu__unseal(key, raw, associated, rest, out->data, err);
    if (status == IU_OK) out->len = rest.len - IU_SEAL_TAG;
  }
  iu__free(raw);
  return status;
}

static int f_seal(lua_State *L) {
  const uint8_t *key = check_key(L, 1);
  iu_bytes text = check_bytes(L, 2), associated = check_bytes(L, 3);
  iu_buf out = {0};
  iu_error err;
  iu_status status = seal(key, text, associated, &out, &err);
  return iu__give_buffer(L, iu__lua(L), status, &err, &out);
}

static int f_unseal(lua_State *L) {
  const uint8_t *key = check_key(L, 1);
  iu_bytes sealed = check_bytes(L, 2), associated = check_bytes(L, 3);
  iu_buf out = {0};
  iu_error err;
  iu_status status = unseal(key, sealed, associated, &out, &err);
  return iu__give_buffer(L, iu__lua(L), status, &err, &out);
}

/* Whether it is a regular file that nobody but its owner, who must be this user or root, can read. Of the open file: a path may come to mean another one. */
static iu_status check_private(int fd, const char *path, iu_error *err) {
  struct stat s;
  if (fstat(fd, &s) != 0) return iu__fail(err, IU_E_STORAGE, "%s: %s", path, strerror(errno));
  if (!S_ISREG(s.st_mode)) return iu__fail(err, IU_E_VALIDATION, "%s: it is no regular file", path);
  if ((s.st_mode & 077) != 0)
    return iu__fail(err, IU_E_AUTHORIZATION, "%s: others than its owner can get at it (its mode is %03o, expected 600 or 400)", path, (unsigned)(s.st_mode & 0777));
  if (s.st_uid != geteuid() && s.st_uid != 0) return iu__fail(err, IU_E_AUTHORIZATION, "%s: it belongs to another user", path);
  return IU_OK;
}

static iu_status read_private(const char *path, iu_buf *out, iu_error *err) {
  ssize_t n = 1;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe is refused, not waited for */
  iu_status status;
  if (fd < 0) return iu__fail(err, errno == EACCES ? IU_E_AUTHORIZATION : IU_E_STORAGE, "%s: %s", path, strerror(errno));
  status = check_private(fd, path, err);
  while (status == IU_OK && n > 0) {
    if (out->len > SECRET_FILE_MAX) status = iu__fail(err, IU_E_VALIDATION, "%s: more than %d bytes are no secret of ours", path, SECRET_FILE_MAX);
    else if (!iu__buf_reserve(out, 4096)) status = iu__fail_nomem(err);
    else {
      n = read(fd, out->data + out->len, 4096);
      if (n > 0) out->len += (size_t)n;
      else if (n < 0 && errno == EINTR) n = 1;
      else if (n < 0) status = iu__fail(err, IU_E_STORAGE, "%s: %s", path, strerror(errno));
    }
  }
  close(fd);
  return status;
}

static int f_read_secret(lua_State *L) {
  size_t len;
  const char *path = luaL_checklstring(L, 1, &len);
  iu_buf out = {0};
  iu_error err;
  iu_status status;
  luaL_argcheck(L, len == strlen(path), 1, "a path without zero bytes expected");
  status = read_private(path, &out, &err);
  return iu__give_buffer(L, iu__lua(L), status, &err, &out);
}

void iu__secret_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"seal", f_seal}, {"unseal", f_unseal}, {"read_secret", f_read_secret}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
