/* document_diff_fuzz.c: libFuzzer target for comparing and applying. The input is a byte of options, the length of a text (16 bits), that text, the length of
 * another and it, and the text of a list of operations. What comparing two values gives, read back from its text, must make the second of the first; any
 * list is refused, or gives a value of its own; what it was applied to stays the same.
 */
#include "input.h"

#include "../../core/document/apply.h"
#include "../../core/document/compare.h"
#include "../../core/document/tree.h"

static void canonical(const iu_json *v, iu_buf *out) {
  iu_buf text = {0};
  iu__json_write(v, &text);
  MUST(iu__json_canonical(text.data, text.len, out, NULL) == IU_OK);
  iu__buf_free(&text);
}

static bool same_text(const iu_json *a, const iu_json *b) {
  iu_buf x = {0}, y = {0};
  canonical(a, &x);
  canonical(b, &y);
  bool same = x.len == y.len && memcmp(x.data, y.data, x.len) == 0;
  iu__buf_free(&x);
  iu__buf_free(&y);
  return same;
}

static void check_compare(iu_arena *arena, uint8_t choice, const iu_json *a, const iu_json *b) {
  static const iu_compare_key keys[] = {{"*", 1, "a", 1}, {"", 0, "id", 2}};
  const iu_compare_options options = {(choice & 3) == 1, choice >> 7, keys, (choice & 3) == 2 ? 2 : 0};
  iu_operations ops;
  iu_buf text = {0};
  const iu_json *list, *got;
  MUST(iu__tree_equal(a, b) == same_text(a, b));
  if (iu__tree_equal(a, b)) MUST(iu__tree_hash64(a) == iu__tree_hash64(b));
  MUST(iu__compare(a, b, &options, arena, &ops, NULL) == IU_OK);
  MUST((ops.count == 0) == iu__tree_equal(a, b));
  iu__operations_write(&ops, &text);
  list = iu__json_parse(arena, text.data, text.len, NULL);
  if (list == NULL) { /* it nests deeper than the values do */
    iu__buf_free(&text);
    return;
  }
  MUST(iu__operations_read(list, arena, &ops, NULL) == IU_OK);
  MUST(iu__apply(a, &ops, arena, 0, NULL, &got, NULL) == IU_OK);
  MUST(same_text(got, b));
  iu__buf_free(&text);
}

static void check_apply(iu_arena *arena, const iu_json *a, const iu_json *list) {
  iu_operations ops;
  iu_error err = {0};
  iu_buf before = {0}, after = {0};
  const iu_json *got = NULL;
  canonical(a, &before);
  iu_status status = iu__operations_read(list, arena, &ops, &err);
  if (status == IU_OK) status = iu__apply(a, &ops, arena, SIZE_MAX, &(size_t){0}, &got, &err);
  MUST(status == IU_OK || (status == IU_E_VALIDATION && strncmp(err.message, "operations", 10) == 0));
  if (status == IU_OK) {
    MUST(iu__tree_depth(got) <= IU_JSON_DEPTH_MAX);
    canonical(got, &after);
    iu__buf_reset(&after);
  }
  canonical(a, &after);
  MUST(before.len == after.len && memcmp(before.data, after.data, before.len) == 0);
  iu__buf_free(&before);
  iu__buf_free(&after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input in = {data, size};
  uint8_t choice = take(&in);
  iu_slice from = take_bytes(&in, take_u16(&in)), to = take_bytes(&in, take_u16(&in));
  iu_arena arena = {0};
  const iu_json *a = iu__json_parse(&arena, from.p, from.len, NULL), *b = iu__json_parse(&arena, to.p, to.len, NULL);
  const iu_json *list = iu__json_parse(&arena, in.p, in.len, NULL);
  if (a != NULL && b != NULL) {
    check_compare(&arena, choice, a, b);
    check_compare(&arena, choice, b, a);
  }
  if (a != NULL && list != NULL) check_apply(&arena, a, list);
  iu__arena_free(&arena);
  return 0;
}
