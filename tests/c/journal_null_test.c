/* journal_null_test.c: the journal that keeps nothing answers like one that has kept everything. */
#include "journal_fixture.h"

static void test_null(void **state) {
  fixture f;
  random_source r = random_begin("null");
  model m = {0}, back = {0};
  iu_journal_config c;
  iu_journal *j;
  iu_journal_recovery recovery;
  iu_journal_stats stats;
  iu_status failed = IU_E_STORAGE;
  iu_error err;
  size_t len;

  (void)state;
  fixture_begin(&f);
  m.f = back.f = &f;
  iu__journal_config_init(&c);
  c.schema = &f.schema;
  assert_null(c.path);
  for (int round = 0; round < 2; round++) {
    j = open_loaded(&c, &f, &back, &recovery);
    assert_int_equal(back.count, 0);
    assert_true(iu__journal_is_new(j));
    assert_true(recovery.clean);
    assert_int_equal(recovery.last_sequence, 0);
    assert_null(iu__journal_meta(j, IU_META_OWNER, &len));
    assert_ok(iu__journal_set_meta(j, IU_META_OWNER, "me", 2, &err), &err);
    assert_memory_equal(iu__journal_meta(j, IU_META_OWNER, &len), "me", 2);
    assert_int_equal(len, 2);
    for (int i = 0; i < 100; i++) {
      assert_ok(iu__journal_ready(j, 100, &err), &err);
      assert_ok(step(j, &m, &r, &err), &err);
    }
    assert_int_equal(iu__journal_durable(j, &failed, &err), 100);
    assert_int_equal(failed, IU_OK);
    assert_ok(iu__journal_wait(j, 100, 0, &err), &err);
    assert_int_equal(iu__journal_wait(j, 101, 0, &err), IU_E_VALIDATION);
    assert_ok(iu__journal_fold(j, 0, &err), &err);
    iu__journal_hurry(j);
    iu__journal_get_stats(j, &stats);
    assert_int_equal(stats.last_sequence, 100);
    assert_int_equal(stats.folded_sequence, 100);
    assert_false(stats.failed);
    close_ok(j);
    model_free(&m);
    m.f = &f;
  }
  fixture_end(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_null)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
