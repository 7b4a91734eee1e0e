/* journal_new_file_test.c: a file that appears when it is whole: published or gone, one writer at a time, links, devices, what is not replaced. */
#include "root_fixture.h"

#include <sys/stat.h>

#include "../../core/base/errinj.h"
#include "../../core/base/error.h"
#include "../../core/journal/new_file.h"

static void put(const char *path, const char *text) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
  assert_int_equal(fclose(f), 0);
}

static void assert_holds(const char *path, const char *text) {
  char found[64] = "";
  FILE *f = fopen(path, "r");
  assert_non_null(f);
  found[fread(found, 1, sizeof found - 1, f)] = '\0';
  fclose(f);
  assert_string_equal(found, text);
}

static bool is_there(const char *name) { return access(in_root(name), F_OK) == 0; }

static iu_new_file *begun(const char *path) {
  iu_new_file *f;
  iu_error err;
  assert_int_equal(iu__new_file(path, &f, &err), IU_OK);
  return f;
}

static void refused(const char *path, iu_status status, const char *says) {
  iu_new_file *f;
  iu_error err;
  assert_int_equal(iu__new_file(path, &f, &err), status);
  assert_null(f);
  if (says != NULL && strstr(err.message, says) == NULL) fail_msg("%s", err.message);
}

static void appears_when_published(void **state) {
  iu_error err;
  iu_new_file *f = begun(in_root("a"));
  (void)state;
  put(iu__new_file_name(f), "new");
  assert_false(is_there("a"));
  assert_int_equal(iu__new_file_publish(f, &err), IU_OK);
  assert_holds(in_root("a"), "new");
  iu__new_file_free(f);
  assert_holds(in_root("a"), "new");
  assert_false(is_there("a.part"));
  assert_false(is_there("a.part.lock"));
  iu__new_file_free(NULL);
}

static void leaves_what_was_there_until_then(void **state) {
  struct stat st;
  iu_error err;
  iu_new_file *f;
  (void)state;
  put(in_root("a"), "old");
  chmod(in_root("a"), 0640);
  put(in_root("a.part"), "of one that was killed");
  f = begun(in_root("a"));
  assert_holds(iu__new_file_name(f), "");
  put(iu__new_file_name(f), "new");
  iu__new_file_free(f);
  assert_holds(in_root("a"), "old");
  assert_false(is_there("a.part"));
  f = begun(in_root("a"));
  put(iu__new_file_name(f), "new");
  assert_int_equal(iu__new_file_publish(f, &err), IU_OK);
  iu__new_file_free(f);
  assert_holds(in_root("a"), "new");
  assert_int_equal(stat(in_root("a"), &st), 0);
  assert_int_equal(st.st_mode & 07777, 0640);
}

static void has_one_writer(void **state) {
  iu_new_file *f = begun(in_root("a")), *g;
  (void)state;
  put(iu__new_file_name(f), "first");
  refused(in_root("a"), IU_E_UNIVERSE_LOCKED, "a.part is already open in this process");
  assert_holds(iu__new_file_name(f), "first");
  iu__new_file_free(f);
  g = begun(in_root("a"));
  iu__new_file_free(g);
}

static void a_link_stands_for_where_it_leads(void **state) {
  struct stat st;
  iu_error err;
  iu_new_file *f;
  (void)state;
  put(in_root("a"), "old");
  assert_int_equal(symlink("a", in_root("link")), 0);
  f = begun(in_root("link"));
  put(iu__new_file_name(f), "new");
  assert_int_equal(iu__new_file_publish(f, &err), IU_OK);
  iu__new_file_free(f);
  assert_holds(in_root("a"), "new");
  assert_int_equal(lstat(in_root("link"), &st), 0);
  assert_true(S_ISLNK(st.st_mode));
  /* one that somebody put where the part is written is not followed */
  put(in_root("theirs"), "theirs");
  assert_int_equal(symlink("theirs", in_root("b.part")), 0);
  f = begun(in_root("b"));
  put(iu__new_file_name(f), "ours");
  iu__new_file_free(f);
  assert_holds(in_root("theirs"), "theirs");
}

static void a_device_is_written_as_it_is(void **state) {
  struct stat st;
  iu_error err;
  iu_new_file *f = begun("/dev/null");
  (void)state;
  assert_string_equal(iu__new_file_name(f), "/dev/null");
  assert_int_equal(iu__new_file_publish(f, &err), IU_OK);
  iu__new_file_free(f);
  assert_int_equal(stat("/dev/null", &st), 0);
  assert_true(S_ISCHR(st.st_mode));
}

static void what_cannot_be_is_refused(void **state) {
  (void)state;
  refused("", IU_E_STORAGE, "is empty");
  refused(root, IU_E_STORAGE, "is a folder, not a file");
  refused(in_root("none/a"), IU_E_STORAGE, "its folder does not exist");
  put(in_root("world.universe"), "SQLite format 3");
  { /* the header's text has a zero byte at its end */
    FILE *f = fopen(in_root("world.universe"), "a");
    assert_non_null(f);
    fwrite("\0and more", 1, 9, f);
    fclose(f);
  }
  refused(in_root("world.universe"), IU_E_STORAGE, "is a universe or another SQLite database: it is not replaced");
  for (int i = 0; i < 6; i++) { /* every allocation fails once */
    iu_new_file *f;
    iu_error err;
    iu__errinj_arm(IU_ERRINJ_ALLOC, i);
    iu_status status = iu__new_file(in_root("a"), &f, &err);
    iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
    assert_true(status == IU_OK || status == IU_E_NOMEM);
    iu__new_file_free(f);
    assert_false(is_there("a.part"));
    assert_false(is_there("a.part.lock"));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(appears_when_published, setup, teardown),
      cmocka_unit_test_setup_teardown(leaves_what_was_there_until_then, setup, teardown),
      cmocka_unit_test_setup_teardown(has_one_writer, setup, teardown),
      cmocka_unit_test_setup_teardown(a_link_stands_for_where_it_leads, setup, teardown),
      cmocka_unit_test_setup_teardown(a_device_is_written_as_it_is, setup, teardown),
      cmocka_unit_test_setup_teardown(what_cannot_be_is_refused, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
