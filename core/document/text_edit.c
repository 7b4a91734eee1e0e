/* text_edit.c: the edits that make one string of another.
 *
 * Equal ends are set aside. What is left is cut into words (a long text into lines), which are aligned (align.h); what lies between matched ones is an edit, again
 * without its equal ends. Edits that lie close together are one: each costs some ten bytes of JSON. All offsets are at borders of code points.
 */
#include "../base/alloc.h"
#include "../base/hash.h"
#include "align.h"
#include "compare_internal.h"

#define EDIT_BYTES 12          /* what is cheaper kept inside an edit than beside two */
#define WORDS_MIN 24           /* bytes on both sides that are worth cutting into words */
#define WORDS_MAX (256 * 1024) /* bytes from which on lines are enough */

typedef struct span { const char *s; size_t len; } span;

static bool inside_code_point(char c) { return ((unsigned char)c & 0xC0) == 0x80; }

static size_t equal_front(span a, span b) {
  size_t n = a.len < b.len ? a.len : b.len, i = 0;

  while (i < n && a.s[i] == b.s[i]) i++;
  while (i > 0 && ((i < a.len && inside_code_point(a.s[i])) || (i < b.len && inside_code_point(b.s[i])))) i--;
  return i;
}

static size_t equal_back(span a, span b) {
  size_t n = a.len < b.len ? a.len : b.len, i = 0;

  while (i < n && a.s[a.len - 1 - i] == b.s[b.len - 1 - i]) i++;
  while (i > 0 && inside_code_point(a.s[a.len - i])) i--;
  return i;
}

static int character_class(char c) {
  unsigned char u = (unsigned char)c;
  if (u == ' ' || u == '\t') return 1;
  return (u >= '0' && u <= '9') || (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') || u >= 0x80 || u == '_' ? 2 : 0;
}

/* The end of the piece that begins at `at`. */
static size_t piece_end(span text, size_t at, bool lines) {
  if (lines) {
    const char *end = memchr(text.s + at, '\n', text.len - at);
    return end != NULL ? (size_t)(end - text.s) + 1 : text.len;
  }
  int class = character_class(text.s[at]);
  for (at++; class != 0 && at < text.len && character_class(text.s[at]) == class; at++) {}
  return at;
}

typedef struct pieces { uint32_t *ends; uint64_t *symbols; uint32_t count; } pieces;

static bool cut(span text, bool lines, pieces *out) {
  size_t at, end, count = 0;

  for (at = 0; at < text.len; at = piece_end(text, at, lines)) count++;
  out->ends = iu__realloc_array(NULL, count, sizeof *out->ends);
  out->symbols = iu__realloc_array(NULL, count, sizeof *out->symbols);
  if (out->ends == NULL || out->symbols == NULL) return false;
  for (at = 0; at < text.len; at = end) {
    end = piece_end(text, at, lines);
    out->symbols[out->count] = iu__hash64(text.s + at, end - at);
    out->ends[out->count++] = (uint32_t)end;
  }
  return true;
}

typedef struct edit { uint32_t at, count, from, len; } edit; /* b's bytes [from, from + len) for a's [at, at + count) */

/* Adds an edit, to the one before it when they lie close. */
static void add_edit(iu_buf *list, edit e) {
  edit *last = list->len > 0 ? (edit *)(void *)(list->data + list->len) - 1 : NULL;

  if (e.count == 0 && e.len == 0) return;
  if (last == NULL || e.at - (last->at + last->count) >= EDIT_BYTES) {
    iu__buf_put(list, &e, sizeof e);
    return;
  }
  last->count = e.at + e.count - last->at;
  last->len = e.from + e.len - last->from;
}

static void add_trimmed(iu_buf *list, span a, span b, edit e) {
  span old = {a.s + e.at, e.count}, new_ = {b.s + e.from, e.len};
  uint32_t front = (uint32_t)equal_front(old, new_), back;

  old.s += front, new_.s += front;
  old.len -= front, new_.len -= front;
  back = (uint32_t)equal_back(old, new_);
  add_edit(list, (edit){e.at + front, (uint32_t)old.len - back, e.from + front, (uint32_t)new_.len - back});
}

static uint32_t start_of(const pieces *p, uint32_t i) { return i > 0 ? p->ends[i - 1] : 0; }

static bool same_piece(const span *a, const pieces *pa, uint32_t i, const span *b, const pieces *pb, uint32_t j) {
  uint32_t at = start_of(pa, i), from = start_of(pb, j), len = pa->ends[i] - at;
  return len == pb->ends[j] - from && memcmp(a->s + at, b->s + from, len) == 0;
}

static bool edits_between(span a, span b, const pieces *pa, const pieces *pb, iu_buf *list) {
  uint32_t *match = iu__realloc_array(NULL, pb->count, sizeof *match), i = 0, j = 0, next;
  bool ok = match != NULL && iu__align(pa->symbols, pa->count, pb->symbols, pb->count, match);

  while (ok && (i < pa->count || j < pb->count)) {
    for (next = j; next < pb->count && (match[next] == IU_ALIGN_NONE || !same_piece(&a, pa, match[next], &b, pb, next)); next++) {}
    uint32_t to = next < pb->count ? match[next] : pa->count, at = start_of(pa, i), from = start_of(pb, j);
    add_trimmed(list, a, b, (edit){at, start_of(pa, to) - at, from, start_of(pb, next) - from});
    i = to + 1;
    j = next + 1;
  }
  iu__free(match);
  return ok;
}

static bool find_edits(span a, span b, iu_buf *list) {
  bool lines = a.len > WORDS_MAX || b.len > WORDS_MAX, ok;
  pieces pa = {0}, pb = {0};

  if (a.len < WORDS_MIN || b.len < WORDS_MIN) {
    add_edit(list, (edit){0, (uint32_t)a.len, 0, (uint32_t)b.len});
    return !list->failed;
  }
  ok = cut(a, lines, &pa) && cut(b, lines, &pb) && edits_between(a, b, &pa, &pb, list);
  iu__free(pa.ends);
  iu__free(pa.symbols);
  iu__free(pb.ends);
  iu__free(pb.symbols);
  return ok && !list->failed;
}

/* `front`: bytes before a's and b's beginning. */
static bool edits_value(span b, const edit *list, uint32_t count, uint32_t front, iu_arena *arena, const iu_json **out) {
  iu_json *root = iu__arena_zero(arena, 1, sizeof *root), *edits = iu__arena_zero(arena, count, sizeof *edits);
  iu_json *parts = iu__arena_zero(arena, count, 3 * sizeof *parts);
  uint32_t i;

  if (root == NULL || edits == NULL || parts == NULL) return false;
  *root = (iu_json){.token = IU_J_ARRAY, .len = count, .u.elements = edits};
  for (i = 0; i < count; i++) {
    edits[i] = (iu_json){.token = IU_J_ARRAY, .len = 3, .u.elements = &parts[i * 3]};
    parts[i * 3] = (iu_json){.token = IU_J_INT, .u.i = (int64_t)list[i].at + front};
    parts[i * 3 + 1] = (iu_json){.token = IU_J_INT, .u.i = list[i].count};
    parts[i * 3 + 2] = (iu_json){.token = IU_J_STRING, .len = list[i].len, .u.s = b.s + list[i].from};
  }
  *out = root;
  return true;
}

bool iu__text_edits(const iu_json *old, const iu_json *new_, iu_arena *arena, const iu_json **edits) {
  span a = {old->u.s, old->len}, b = {new_->u.s, new_->len};
  size_t front = equal_front(a, b), back, size = 2, i, count;
  const edit *found;
  iu_buf list = {0};
  bool ok;

  *edits = NULL;
  a.s += front, b.s += front;
  a.len -= front, b.len -= front;
  back = equal_back(a, b);
  a.len -= back, b.len -= back;
  ok = find_edits(a, b, &list);
  found = (const edit *)(const void *)list.data;
  count = list.len / sizeof *found;
  for (i = 0; i < count && ok; i++) size += found[i].len + 8; /* at least */
  if (ok && size < new_->len) ok = edits_value(b, found, (uint32_t)count, (uint32_t)front, arena, edits);
  iu__buf_free(&list);
  return ok;
}
