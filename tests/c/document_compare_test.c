/* What comparing says, in words: the operations for pairs of values, so that a change of their form is seen. */
#include "document_fixture.h"

#define LONG "\"a text that is long enough to be edited: one two three four five six seven eight nine ten\""
#define LONG_EDITED "\"a text that is long enough to be edited: one two 3 four five six seven eight nine eleven\""

static const struct { const char *what, *old, *new_, *operations; } cases[] = {
    {"equal", "{\"a\":[1,{\"b\":null}]}", "{\"a\":[1,{\"b\":null}]}", "[]"},
    {"order of members", "{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", "[]"},
    {"a scalar root", "1", "1.0", "[{\"op\":\"set\",\"path\":\"\",\"value\":1.0}]"},
    {"another kind of root", "[]", "{}", "[{\"op\":\"set\",\"path\":\"\",\"value\":{}}]"},
    {"negative zero", "{\"a\":0.0,\"long member\":1,\"longer member\":2}", "{\"a\":-0.0,\"long member\":1,\"longer member\":2}", "[{\"op\":\"set\",\"path\":\"a\",\"value\":-0.0}]"},
    {"one member", "{\"a\":1,\"b\":{\"c\":1,\"d\":1,\"e\":\"a text\"}}", "{\"a\":1,\"b\":{\"c\":2,\"d\":1,\"e\":\"a text\"}}", "[{\"op\":\"set\",\"path\":\"b.c\",\"value\":2}]"},
    {"null and absent", "{\"a\":null,\"b\":\"some text here\"}", "{\"b\":\"some text here\"}", "[{\"op\":\"delete\",\"path\":\"a\"}]"},
    {"null is set", "{\"b\":\"some text here\"}", "{\"a\":null,\"b\":\"some text here\"}", "[{\"op\":\"set\",\"path\":\"a\",\"value\":null}]"},
    {"several members", "{\"a\":1,\"b\":2,\"c\":3,\"text\":\"it stays as it is, all of it\"}", "{\"a\":2,\"c\":4,\"d\":5,\"text\":\"it stays as it is, all of it\"}",
     "[{\"op\":\"patch\",\"path\":\"\",\"patch\":{\"a\":2,\"b\":null,\"c\":4,\"d\":5}}]"},
    {"several members with a null", "{\"a\":1,\"b\":2,\"c\":3,\"text\":\"it stays as it is, all of it, as it was before\"}", "{\"a\":2,\"b\":null,\"c\":4,\"text\":\"it stays as it is, all of it, as it was before\"}",
     "[{\"op\":\"patch\",\"path\":\"\",\"patch\":{\"a\":2,\"c\":4}},{\"op\":\"set\",\"path\":\"b\",\"value\":null}]"},
    {"members deep below one", "{\"x\":{\"a\":{\"v\":1},\"b\":{\"v\":1},\"c\":\"another\"},\"text\":\"it stays as it is, all of it, as it was before\"}", "{\"x\":{\"a\":{\"v\":2},\"b\":{\"v\":2},\"c\":\"another\"},\"text\":\"it stays as it is, all of it, as it was before\"}",
     "[{\"op\":\"patch\",\"path\":\"x\",\"patch\":{\"a\":{\"v\":2},\"b\":{\"v\":2}}}]"},
    {"keys that need escapes", "{\"a.b\":{\"\":{\"c\\\\d\":1}},\"text\":\"it stays as it is\"}", "{\"a.b\":{\"\":{\"c\\\\d\":2}},\"text\":\"it stays as it is\"}", "[{\"op\":\"set\",\"path\":\"a\\\\.b.\\\\e.c\\\\\\\\d\",\"value\":2}]"},
    {"inserted in front", "[11111111,22222222,33333333,44444444,55555555,66666666]", "[0,11111111,22222222,33333333,44444444,55555555,66666666]", "[{\"op\":\"insert\",\"path\":\"\",\"index\":0,\"value\":0}]"},
    {"removed and added", "[11111111,22222222,33333333,44444444,55555555,66666666,77777777,88888888]", "[11111111,33333333,44444444,55555555,66666666,77777777,88888888,9]",
     "[{\"op\":\"remove\",\"path\":\"\",\"index\":1},{\"op\":\"insert\",\"path\":\"\",\"index\":7,\"value\":9}]"},
    {"an element edited beside a new one", "[\"first element that stays\",\"the second element that is edited\",\"third element that stays\",\"fourth element that stays\"]",
     "[\"first element that stays\",\"new\",\"the second element that was edited\",\"third element that stays\",\"fourth element that stays\"]",
     "[{\"op\":\"insert\",\"path\":\"\",\"index\":1,\"value\":\"new\"},{\"op\":\"patch\",\"path\":\"2\",\"patch\":[[24,1,\"wa\"]]}]"},
    {"keyed elements: moved, edited, gone, new", "[{\"id\":1,\"v\":\"a long value 1\"},{\"id\":2,\"v\":\"a long value 2\"},{\"id\":3,\"v\":\"a long value 3\",\"w\":1},{\"id\":4,\"v\":\"a long value 4\"},{\"id\":5,\"v\":\"a long value 5\"},{\"id\":6,\"v\":\"a long value 6\"},{\"id\":7,\"v\":\"a long value 7\"},{\"id\":8,\"v\":\"a long value 8\"},{\"id\":9,\"v\":\"a long value 9\"}]",
     "[{\"id\":2,\"v\":\"a long value 2\"},{\"id\":3,\"v\":\"a long value 3\",\"w\":2},{\"id\":1,\"v\":\"a long value 1\"},{\"id\":4,\"v\":\"a long value 4\"},{\"id\":6,\"v\":\"a long value 6\"},{\"id\":7,\"v\":\"a long value 7\"},{\"id\":8,\"v\":\"a long value 8\"},{\"id\":9,\"v\":\"a long value 9\"}]",
     "[{\"op\":\"remove\",\"path\":\"\",\"index\":0},{\"op\":\"set\",\"path\":\"1.w\",\"value\":2},{\"op\":\"insert\",\"path\":\"\",\"index\":2,\"value\":{\"id\":1,\"v\":\"a long value 1\"}},{\"op\":\"remove\",\"path\":\"\",\"index\":4}]"},
    {"a long text", "{\"t\":" LONG "}", "{\"t\":" LONG_EDITED "}", "[{\"op\":\"patch\",\"path\":\"t\",\"patch\":[[49,5,\"3\"],[86,1,\"elev\"]]}]"},
    {"a text's code points", "[\"h\xC3\xBCh\xC3\xBCh\xC3\xBCh\xC3\xBCh\xC3\xBCh\xC3\xBCh\xC3\xBCh\xC3\xBCh\xC3\xBCh\xC3\xBCh\xC3\xBCh\xC3\xBCh\xC3\xBC\"]", "[\"h\xC3\xBCh\xC3\xBCh\xC3\xBCh\xC3\xBCh\xC3\xBCh\xC3\xBCh\xC3\xB6h\xC3\xBCh\xC3\xBCh\xC3\xBCh\xC3\xBCh\xC3\xBCh\xC3\xBC\"]",
     "[{\"op\":\"patch\",\"path\":\"0\",\"patch\":[[19,2,\"\xC3\xB6\"]]}]"},
    {"smaller as a whole", "{\"a\":{\"b\":{\"c\":[1,2,3]}}}", "{\"a\":{\"x\":1}}", "[{\"op\":\"set\",\"path\":\"a\",\"value\":{\"x\":1}}]"},
};

static void values_are_compared_as_said(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    iu_arena arena = {0};
    iu_operations ops;
    iu_buf text = {0};
    assert_int_equal(iu__compare(tree(&arena, cases[i].old), tree(&arena, cases[i].new_), NULL, &arena, &ops, NULL), IU_OK);
    iu__operations_write(&ops, &text);
    if (text.len != strlen(cases[i].operations) || memcmp(text.data, cases[i].operations, text.len) != 0)
      fail_msg("%s: got %.*s\nnot %s", cases[i].what, (int)text.len, (char *)text.data, cases[i].operations);
    iu__buf_free(&text);
    iu__arena_free(&arena);
  }
}

static void arrays_are_matched_as_asked_for(void **state) {
  static const char old[] = "{\"list\":[{\"id\":1,\"sku\":\"a\",\"text\":\"the text of item a\"},{\"id\":2,\"sku\":\"b\",\"text\":\"the text of item b\"},{\"id\":3,\"sku\":\"c\",\"text\":\"the text of item c\"}]}";
  static const char renumbered[] = "{\"list\":[{\"id\":1,\"sku\":\"b\",\"text\":\"the text of item b\"},{\"id\":2,\"sku\":\"c\",\"text\":\"the text of item c\"}]}";
  static const iu_compare_key sku = {"list", 4, "sku", 3}, any = {"*", 1, "sku", 3}, other = {"lists", 5, "sku", 3};
  static const iu_compare_key *const keys[] = {&sku, &any, &other};
  (void)state;
  for (int i = 0; i < 3; i++) {
    iu_compare_options options = {false, false, keys[i], 1};
    iu_arena arena = {0};
    iu_operations ops;
    assert_int_equal(iu__compare(tree(&arena, old), tree(&arena, renumbered), &options, &arena, &ops, NULL), IU_OK);
    if (i < 2) { /* the first is gone, the others have another id */
      assert_int_equal(ops.count, 3);
      assert_int_equal(ops.list[0].kind, IU_OP_REMOVE);
      assert_int_equal(ops.list[0].index, 0);
      assert_memory_equal(ops.list[1].path, "list.0.id", 9);
    } else {
      assert_true(ops.count != 3 || ops.list[0].kind != IU_OP_REMOVE);
    }
    iu__arena_free(&arena);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_are_compared_as_said),
      cmocka_unit_test(arrays_are_matched_as_asked_for),
  };
  return cmocka_run_group_tests_name("document_compare", tests, NULL, NULL);
}
