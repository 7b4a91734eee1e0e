/* json_path.c: dotted paths, and the value a path leads to in a JSON text (json.h). */
#include "json_internal.h"

#include "../base/alloc.h"
#include "../base/text.h"

static bool segment_add(iu_path *path, const char *segment, size_t len) {
  if (path->count == IU_PATH_SEGMENTS_MAX) return false;
  path->segments[path->count] = segment;
  path->lens[path->count++] = len;
  return true;
}

size_t iu__path_segment(const char **p, const char *end, char *out) {
  const char *at = *p;
  size_t len = 0;

  if (end - at >= 2 && at[0] == '\\' && at[1] == 'e' && (end - at == 2 || at[2] == '.')) {
    *p = at + 2;
    return 0;
  }
  for (; at < end && *at != '.'; at++) {
    if (*at == '\\') {
      if (end - at < 2 || (at[1] != '.' && at[1] != '\\')) break;
      at++;
    }
    out[len++] = *at;
  }
  *p = at;
  return (at < end && *at == '\\') || len == 0 ? SIZE_MAX : len;
}

static iu_status path_fill(iu_path *path, const char *text, size_t len, iu_error *err) {
  const char *p = text, *end = text + len;
  char *out = path->storage;

  for (;; p++) {
    const char *start = p;
    size_t n = iu__path_segment(&p, end, out);
    if (n == SIZE_MAX && p < end && *p == '\\')
      return iu__fail_at(err, IU_E_VALIDATION, (size_t)(p - text),
                         "a backslash in a path must come before a dot or another backslash, or be the whole segment \\e");
    if (n == SIZE_MAX)
      return iu__fail_at(err, IU_E_VALIDATION, (size_t)(start - text), "a path has an empty segment (an empty key is written \\e)");
    if (!segment_add(path, out, n))
      return iu__fail_at(err, IU_E_VALIDATION, (size_t)(start - text), "a path has more than %d segments", IU_PATH_SEGMENTS_MAX);
    out += n;
    if (p == end) return IU_OK;
  }
}

iu_status iu__path_parse(iu_path *path, const char *text, size_t len, iu_error *err) {
  size_t good = iu__utf8_check(text, len);
  iu_status status;

  memset(path, 0, sizeof *path);
  if (len == 0) return IU_OK;
  if (good < len) return iu__fail_at(err, IU_E_VALIDATION, good, "a path is not UTF-8");
  path->storage = iu__alloc(len);
  if (path->storage == NULL) return iu__fail_nomem(err);
  status = path_fill(path, text, len, err);
  if (status != IU_OK) iu__path_free(path);
  return status;
}

void iu__path_free(iu_path *path) {
  iu__free(path->storage);
  memset(path, 0, sizeof *path);
}

typedef struct finder {
  iu_json_reader reader;
  const iu_path *path;
  bool found;
  size_t at, len;
} finder;

uint64_t iu__path_index(const char *s, size_t len) {
  uint64_t v = 0;
  size_t i;

  if (len == 0 || len > 19 || (s[0] == '0' && len > 1)) return UINT64_MAX;
  for (i = 0; i < len; i++) {
    if (s[i] < '0' || s[i] > '9') return UINT64_MAX;
    v = v * 10 + (uint64_t)(s[i] - '0');
  }
  return v;
}

/* Reads the value that begins with t, looking in it for the segments from `segment` on. Recurses once a segment. */
static iu_status find_in(finder *f, iu_json_token t, uint32_t segment) {
  iu_json_reader *r = &f->reader;
  const char *name, *at = r->at;
  size_t len;
  uint64_t wanted, i;
  iu_status status;

  if (segment == f->path->count || (t != IU_J_OBJECT && t != IU_J_ARRAY)) {
    status = iu__json_skip(r, t);
    f->found = segment == f->path->count;
    f->at = (size_t)(at - r->base);
    f->len = (size_t)(r->p - at);
    return status;
  }
  name = f->path->segments[segment];
  len = f->path->lens[segment];
  wanted = t == IU_J_ARRAY ? iu__path_index(name, len) : UINT64_MAX;
  f->found = false; /* also forgets what an earlier duplicate of this key held */
  for (i = 0;; i++) {
    bool here = i == wanted;
    iu_json_token next = iu__json_next(r);
    if (next == IU_J_ARRAY_END || next == IU_J_OBJECT_END) return IU_OK;
    if (next == IU_J_KEY) {
      here = r->len == len && (len == 0 || memcmp(r->s, name, len) == 0);
      next = iu__json_next(r);
    }
    status = here && next != IU_J_ERROR ? find_in(f, next, segment + 1) : iu__json_skip(r, next);
    if (status != IU_OK) return status;
  }
}

iu_status iu__json_find(const void *text, size_t len, const iu_path *path, uint32_t from_segment, bool *found, size_t *value_at,
                        size_t *value_len, iu_error *err) {
  finder f = {.path = path};
  iu_json_token t;
  iu_status status;

  *found = false;
  iu__json_reader_init(&f.reader, text, len, err);
  t = iu__json_next(&f.reader);
  status = t == IU_J_ERROR ? iu__json_reader_status(&f.reader) : find_in(&f, t, from_segment < path->count ? from_segment : path->count);
  if (status == IU_OK && iu__json_next(&f.reader) != IU_J_END) status = iu__json_reader_status(&f.reader);
  iu__json_reader_free(&f.reader);
  if (status == IU_OK && f.found) {
    *found = true;
    *value_at = f.at;
    *value_len = f.len;
  }
  return status;
}
