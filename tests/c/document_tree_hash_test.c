/* The tree hash: a function of the value alone, exact, and the same however the value came about. What is to come out is decided by iu__apply and by texts
 * written anew, never by the hash tree that is tested. */
#include "document_fixture.h"

#include "../../core/base/errinj.h"
#include "../../core/base/hash.h"
#include "../../core/document/tree_hash.h"

static void hash_text(const char *text, uint8_t digest[32]) {
  iu_arena arena = {0};
  iu_error err = {0};
  assert_int_equal(iu__tree_hash(tree(&arena, text), digest, &err), IU_OK);
  iu__arena_free(&arena);
}

static void assert_same(const char *a, const char *b, bool same) {
  uint8_t x[32], y[32];
  hash_text(a, x);
  hash_text(b, y);
  if ((memcmp(x, y, 32) == 0) != same) fail_msg("%s and %s: expected %s hashes", a, b, same ? "the same" : "different");
}

/* What the form that is written down says, so that another program can compute it. */
static void form_is_as_written(void **state) {
  uint8_t got[32], expected[32], inner[32];
  iu_error err = {0};
  iu_buf text = {0};
  (void)state;
  hash_text("[1,\"ab\",null,true,2.5]", got);
  iu__buf_put(&text, "a\5\0\0\0i\1\0\0\0\0\0\0\0s\2\0\0\0abntd\0\0\0\0\0\0\4\x40", 5 + 9 + 7 + 2 + 9);
  assert_int_equal(iu__sha256(text.data, text.len, expected, &err), IU_OK);
  assert_memory_equal(got, expected, 32);
  memcpy(inner, got, 32);
  hash_text("{\"z\":[1,\"ab\",null,true,2.5],\"b\":false}", got);
  iu__buf_reset(&text);
  iu__buf_put(&text, "o\2\0\0\0\1\0\0\0bf\1\0\0\0za", 5 + 6 + 6);
  iu__buf_put(&text, inner, 32);
  assert_int_equal(iu__sha256(text.data, text.len, expected, &err), IU_OK);
  assert_memory_equal(got, expected, 32);
  iu__buf_free(&text);
}

static void tells_values_apart(void **state) {
  static const char *const values[] = {"null", "true", "false", "0", "0.0", "-0.0", "1", "1.0", "\"1\"", "\"\"", "[]", "{}", "[[]]", "[{}]", "{\"\":null}", "{\"a\":null}", "[null]",
    "[1]", "[1,1]", "[[1],1]", "[[1,1]]", "{\"a\":1}", "{\"a\":1.0}", "{\"a\":{\"b\":1}}", "{\"a\":1,\"b\":2}", "{\"a\":2,\"b\":1}", "{\"ab\":\"c\"}", "{\"a\":\"bc\"}",
    "9223372036854775807", "9223372036854775808", "\"9223372036854775808\"", "5e-324", "1e16", "10000000000000000"};
  (void)state;
  for (size_t i = 0; i < sizeof values / sizeof *values; i++)
    for (size_t k = 0; k < sizeof values / sizeof *values; k++) assert_same(values[i], values[k], i == k);
}

/* A long string, and one that is what a long string is hashed as; members in another order, in small objects and large ones. */
static void order_of_members_does_not_matter(void **state) {
  random_source r = random_begin("tree_hash order");
  (void)state;
  assert_same("{\"a\":1,\"b\":[1,2]}", "{\"b\":[1,2],\"a\":1}", true);
  assert_same("[1,2]", "[2,1]", false);
  for (int round = 0; round < 60; round++) {
    uint32_t n = 1 + (uint32_t)random_below(&r, round % 3 == 0 ? 2000 : 80), *order = malloc(n * sizeof *order), i;
    iu_buf a = {0}, b = {0};
    assert_non_null(order);
    for (i = 0; i < n; i++) order[i] = i;
    for (i = n - 1; i > 0; i--) {
      uint32_t k = (uint32_t)random_below(&r, i + 1), x = order[i];
      order[i] = order[k], order[k] = x;
    }
    for (i = 0; i < n; i++) {
      iu__buf_printf(&a, "%c\"key %u\":%u", i == 0 ? '{' : ',', i, i * 7);
      iu__buf_printf(&b, "%c\"key %u\":%u", i == 0 ? '{' : ',', order[i], order[i] * 7);
    }
    iu__buf_put(&a, "}", 2);
    iu__buf_put(&b, "}", 2);
    assert_same((const char *)a.data, (const char *)b.data, true);
    iu__buf_free(&a);
    iu__buf_free(&b);
    free(order);
  }
}

/* ---- following changes ---- */

static void put_segment(iu_buf *path, const iu_json_member *m) {
  if (m->key_len == 0) iu__buf_put_str(path, "\\e");
  for (uint32_t k = 0; k < m->key_len; k++) {
    if (m->key[k] == '.' || m->key[k] == '\\') iu__buf_put_u8(path, '\\');
    iu__buf_put_u8(path, (uint8_t)m->key[k]);
  }
}

/* One operation that fits `root`, as text. */
static void put_fitting(iu_buf *out, random_source *r, const iu_json *root, uint32_t grow) {
  iu_buf path = {0};
  const iu_json *v = root;
  iu__buf_reset(out);
  for (int depth = 0;; depth++) { /* down to a container */
    const iu_json *child = NULL;
    uint32_t i = v->len > 0 ? (uint32_t)random_below(r, v->len) : 0;
    if (v->len > 0) child = v->token == IU_J_ARRAY ? &v->u.elements[i] : &v->u.members[i].value;
    if (child == NULL || !iu__tree_is_container(child) || random_below(r, 3) == 0) break;
    if (depth > 0) iu__buf_put_u8(&path, '.');
    if (v->token == IU_J_ARRAY) iu__buf_printf(&path, "%u", i);
    else put_segment(&path, &v->u.members[i]);
    v = child;
  }
  bool add = v->len == 0 || random_below(r, 100) < grow, is_set = random_below(r, 3) == 0;
  uint32_t i = v->len > 0 ? (uint32_t)random_below(r, v->len) : 0;
  const char *op = v->token == IU_J_ARRAY ? (is_set && v->len > 0 ? "set" : add ? "insert" : "remove") : (is_set || add ? "set" : "delete");
  iu__buf_printf(out, "{\"op\":\"%s\",\"path\":", op);
  if (strcmp(op, "set") == 0 || strcmp(op, "delete") == 0) {
    if (path.len > 0) iu__buf_put_u8(&path, '.');
    if (v->token == IU_J_ARRAY) iu__buf_printf(&path, "%u", i);
    else if (add) iu__buf_printf(&path, "new %u", (uint32_t)random_below(r, 5000));
    else put_segment(&path, &v->u.members[i]);
  }
  iu__json_put_string(out, path.len > 0 ? (const char *)path.data : "", path.len);
  if (strcmp(op, "remove") == 0) iu__buf_printf(out, ",\"index\":%u", i);
  if (strcmp(op, "insert") == 0 && random_below(r, 4) > 0) iu__buf_printf(out, ",\"index\":%u", (uint32_t)random_below(r, (uint64_t)v->len + 1));
  if (strcmp(op, "set") == 0 || strcmp(op, "insert") == 0) {
    iu__buf_put_str(out, ",\"value\":");
    put_random(out, r, random_below(r, 10) == 0 ? 4 : 1);
  }
  iu__buf_put_u8(out, '}');
  iu__buf_free(&path);
}

static void read_one(iu_arena *arena, const iu_buf *text, iu_operations *ops) {
  iu_error err = {0};
  iu_buf list = {0};
  const iu_json *read;
  iu__buf_put_u8(&list, '[');
  iu__buf_put(&list, text->data, text->len);
  iu__buf_put_u8(&list, ']');
  read = iu__json_parse(arena, list.data, list.len, &err);
  assert_non_null(read);
  assert_int_equal(iu__operations_read(read, arena, ops, &err), IU_OK);
  iu__buf_free(&list);
}

static void follow(random_source *r, const iu_buf *start, int steps, uint32_t grow) {
  iu_arena arena = {0};
  iu_error err = {0};
  const iu_json *now = iu__json_parse(&arena, start->data, start->len, &err);
  iu_hash_tree *t;
  iu_buf op = {0};
  assert_non_null(now);
  t = iu__hash_tree_new(now, &err);
  assert_non_null(t);
  for (int i = 0; i < steps && iu__tree_is_container(now); i++) {
    uint8_t got[32], expected[32];
    iu_operations ops;
    put_fitting(&op, r, now, grow);
    read_one(iu__hash_tree_arena(t), &op, &ops);
    if (iu__hash_tree_apply(t, &ops, &err) != IU_OK || iu__apply(now, &ops, &arena, 0, NULL, &now, &err) != IU_OK)
      fail_msg("step %d: %s: %.*s", i, err.message, (int)op.len, (char *)op.data);
    if (random_below(r, 4) == 0 && i + 1 < steps) continue; /* several between two roots */
    assert_int_equal(iu__hash_tree_root(t, got, &err), IU_OK);
    assert_int_equal(iu__tree_hash(now, expected, &err), IU_OK);
    if (memcmp(got, expected, 32) != 0) fail_msg("step %d: another hash after %.*s", i, (int)op.len, (char *)op.data);
  }
  iu__buf_free(&op);
  iu__hash_tree_free(t);
  iu__arena_free(&arena);
}

static void follows_small_values(void **state) {
  random_source r = random_begin("tree_hash follows");
  iu_buf text = {0};
  (void)state;
  for (int round = 0; round < 300; round++) {
    iu__buf_reset(&text);
    iu__buf_put_str(&text, round % 2 ? "{\"a\":" : "[");
    put_random(&text, &r, 5);
    iu__buf_put_u8(&text, round % 2 ? '}' : ']');
    follow(&r, &text, 60, 55);
  }
  iu__buf_free(&text);
}

/* Around the borders of groups and buckets: they grow over them and shrink below. */
static void follows_large_containers(void **state) {
  static const uint32_t counts[] = {30, 33, 63, 65, 500, 4095, 4097};
  random_source r = random_begin("tree_hash borders");
  iu_buf text = {0};
  (void)state;
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
    for (int kind = 0; kind < 4; kind++) {
      iu__buf_reset(&text);
      for (uint32_t k = 0; k < counts[i]; k++) {
        if (kind % 2) iu__buf_printf(&text, "%c\"key %u\":%u", k == 0 ? '{' : ',', k, k % 9);
        else iu__buf_printf(&text, "%c%u", k == 0 ? '[' : ',', k % 9);
      }
      iu__buf_put_u8(&text, kind % 2 ? '}' : ']');
      follow(&r, &text, counts[i] < 1000 ? 150 : 40, kind < 2 ? 20 : 80);
    }
  iu__buf_reset(&text);
  put_records(&text, &r, 400);
  follow(&r, &text, 200, 50);
  iu__buf_free(&text);
}

/* All of a large object goes, and comes back. */
static void shrinks_to_nothing(void **state) {
  iu_arena arena = {0};
  iu_error err = {0};
  const iu_json *empty = tree(&arena, "{}");
  iu_hash_tree *t = iu__hash_tree_new(empty, &err);
  uint8_t start[32], end[32], full[2][32];
  (void)state;
  assert_non_null(t);
  assert_int_equal(iu__hash_tree_root(t, start, &err), IU_OK);
  for (int turn = 0; turn < 4; turn++) {
    for (int i = 0; i < 1500; i++) {
      iu_buf op = {0};
      iu_operations ops;
      int key = turn % 2 ? (i * 7) % 1500 : i; /* added and removed in different orders */
      iu__buf_printf(&op, turn % 2 ? "{\"op\":\"delete\",\"path\":\"k%d\"}" : "{\"op\":\"set\",\"path\":\"k%d\",\"value\":[%d]}", key, key);
      read_one(iu__hash_tree_arena(t), &op, &ops);
      assert_int_equal(iu__hash_tree_apply(t, &ops, &err), IU_OK);
      if (i % 100 == 50) assert_int_equal(iu__hash_tree_root(t, end, &err), IU_OK);
      iu__buf_free(&op);
    }
    assert_int_equal(iu__hash_tree_root(t, turn % 2 ? end : full[turn / 2], &err), IU_OK);
    if (turn % 2) assert_memory_equal(start, end, 32);
  }
  assert_memory_equal(full[0], full[1], 32);
  iu__hash_tree_free(t);
  iu__arena_free(&arena);
}

static void refuses_what_does_not_fit(void **state) {
  static const char *const bad[] = {"{\"op\":\"patch\",\"path\":\"a\",\"patch\":{}}", "{\"op\":\"delete\",\"path\":\"x\"}", "{\"op\":\"delete\",\"path\":\"\"}",
    "{\"op\":\"delete\",\"path\":\"l.0\"}", "{\"op\":\"set\",\"path\":\"l.2\",\"value\":1}", "{\"op\":\"set\",\"path\":\"l.x\",\"value\":1}", "{\"op\":\"set\",\"path\":\"s.x\",\"value\":1}",
    "{\"op\":\"set\",\"path\":\"x.y\",\"value\":1}", "{\"op\":\"insert\",\"path\":\"l\",\"index\":3,\"value\":1}", "{\"op\":\"remove\",\"path\":\"l\",\"index\":2}",
    "{\"op\":\"insert\",\"path\":\"a\",\"value\":1}", "{\"op\":\"set\",\"path\":\"a.\",\"value\":1}", "{\"op\":\"set\",\"path\":\"a..b\",\"value\":1}"};
  iu_arena arena = {0};
  iu_error err = {0};
  const iu_json *v = tree(&arena, "{\"a\":{},\"l\":[1,2],\"s\":\"x\"}");
  iu_hash_tree *t = iu__hash_tree_new(v, &err);
  uint8_t before[32], after[32];
  (void)state;
  assert_non_null(t);
  assert_int_equal(iu__hash_tree_root(t, before, &err), IU_OK);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    iu_buf op = {0};
    iu_operations ops;
    iu__buf_put_str(&op, bad[i]);
    read_one(iu__hash_tree_arena(t), &op, &ops);
    if (iu__hash_tree_apply(t, &ops, &err) != IU_E_VALIDATION) fail_msg("%s was done", bad[i]);
    iu__buf_free(&op);
  }
  assert_int_equal(iu__hash_tree_root(t, after, &err), IU_OK);
  assert_memory_equal(before, after, 32);
  iu__hash_tree_free(t);
  iu__arena_free(&arena);
}

/* Deeper than a state may be: refused, not followed. */
static void refuses_what_nests_too_deep(void **state) {
  iu_arena arena = {0};
  iu_error err = {0};
  iu_hash_tree *t = iu__hash_tree_new(tree(&arena, "[]"), &err);
  int depth = 1;
  (void)state;
  assert_non_null(t);
  for (;; depth++) {
    iu_buf op = {0};
    iu_operations ops;
    iu_status status;
    iu__buf_put_str(&op, "{\"op\":\"insert\",\"path\":\"");
    for (int i = 1; i < depth; i++) iu__buf_put_str(&op, i > 1 ? ".0" : "0");
    iu__buf_put_str(&op, "\",\"value\":[]}");
    read_one(iu__hash_tree_arena(t), &op, &ops);
    status = iu__hash_tree_apply(t, &ops, &err);
    iu__buf_free(&op);
    if (status != IU_OK) break;
  }
  assert_int_equal(err.status, IU_E_VALIDATION);
  assert_int_equal(depth, IU_JSON_DEPTH_MAX);
  iu__hash_tree_free(t);
  iu__arena_free(&arena);
}

static iu_status with_faults(const iu_json *v, const char *op_text, uint8_t digest[32]) {
  iu_error err = {0};
  iu_hash_tree *t = iu__hash_tree_new(v, &err);
  iu_operations ops;
  iu_status status = t != NULL ? IU_OK : err.status;
  const iu_json *list = t != NULL ? iu__json_parse(iu__hash_tree_arena(t), op_text, strlen(op_text), &err) : NULL;
  if (t != NULL && list == NULL) status = err.status;
  if (status == IU_OK) status = iu__operations_read(list, iu__hash_tree_arena(t), &ops, &err);
  if (status == IU_OK) status = iu__hash_tree_apply(t, &ops, &err);
  if (status == IU_OK) status = iu__hash_tree_root(t, digest, &err);
  iu__hash_tree_free(t);
  return status;
}

static void survives_allocations_that_fail(void **state) {
  static const char ops[] = "[{\"op\":\"set\",\"path\":\"version\",\"value\":2},{\"op\":\"remove\",\"path\":\"records\",\"index\":3},{\"op\":\"set\",\"path\":\"k.extra\",\"value\":{\"x\":[1]}},"
                            "{\"op\":\"delete\",\"path\":\"k.k1\"},{\"op\":\"delete\",\"path\":\"k.k2\"},{\"op\":\"insert\",\"path\":\"records\",\"index\":0,\"value\":[[[]]]}]";
  random_source r = random_begin("tree_hash faults");
  iu_arena arena = {0};
  iu_error err = {0};
  iu_buf text = {0};
  uint8_t expected[32], got[32];
  const iu_json *v;
  long fault;
  (void)state;
  put_records(&text, &r, 70);
  text.len--; /* the last brace */
  for (int i = 0; i < 33; i++) iu__buf_printf(&text, "%s\"k%d\":%d", i == 0 ? ",\"k\":{" : ",", i, i);
  iu__buf_put_str(&text, "}}");
  v = iu__json_parse(&arena, text.data, text.len, &err);
  assert_non_null(v);
  assert_int_equal(with_faults(v, ops, expected), IU_OK);
  for (fault = 0;; fault++) {
    iu_status status;
    iu__errinj_arm(IU_ERRINJ_ALLOC, fault);
    status = with_faults(v, ops, got);
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    if (status == IU_OK) break;
    assert_int_equal(status, IU_E_NOMEM);
  }
  assert_memory_equal(expected, got, 32);
  assert_true(fault > 100);
  iu__buf_free(&text);
  iu__arena_free(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(form_is_as_written), cmocka_unit_test(tells_values_apart), cmocka_unit_test(order_of_members_does_not_matter),
    cmocka_unit_test(follows_small_values), cmocka_unit_test(follows_large_containers), cmocka_unit_test(shrinks_to_nothing),
    cmocka_unit_test(refuses_what_does_not_fit), cmocka_unit_test(refuses_what_nests_too_deep), cmocka_unit_test(survives_allocations_that_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
