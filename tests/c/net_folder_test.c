/* Folders: their names, what is no folder, folders made with those above them. */
#include "root_fixture.h"

#include "../../core/base/errinj.h"
#include "../../core/base/error.h"
#include "../../core/net/folder.h"

typedef struct list { char names[8][64]; int count, stop_at; } list;

static iu_status on_name(void *ud, const char *name) {
  list *l = ud;
  if (l->count == l->stop_at) return IU_E_NOMEM;
  assert_true(l->count < 8);
  snprintf(l->names[l->count++], sizeof l->names[0], "%s", name);
  return IU_OK;
}

static void write_file(const char *name) {
  FILE *f = fopen(in_root(name), "w");
  assert_non_null(f);
  fclose(f);
}

static void names_are_told(void **state) {
  list l = {.stop_at = 8};
  iu_error err;
  (void)state;
  assert_int_equal(iu__folder_names(root, IU_FOLDER_NAMES_MAX, on_name, &l, &err), IU_OK);
  assert_int_equal(l.count, 0);
  write_file("b");
  write_file(".hidden");
  assert_int_equal(iu__folder_make(in_root("c"), &err), IU_OK);
  assert_int_equal(iu__folder_names(root, IU_FOLDER_NAMES_MAX, on_name, &l, &err), IU_OK);
  assert_int_equal(l.count, 3);
  l = (list){.stop_at = 1};
  assert_int_equal(iu__folder_names(root, IU_FOLDER_NAMES_MAX, on_name, &l, &err), IU_E_NOMEM);
  assert_int_equal(l.count, 1);
}

static void names_have_a_cap(void **state) {
  list l = {.stop_at = 8};
  iu_error err;
  (void)state;
  write_file("a");
  write_file("b");
  assert_int_equal(iu__folder_names(root, 1, on_name, &l, &err), IU_E_OVERLOADED);
  assert_int_equal(l.count, 0);
  assert_int_equal(iu__folder_names(root, 2, on_name, &l, &err), IU_OK);
  assert_int_equal(l.count, 2);
}

static void what_is_no_folder_is_refused(void **state) {
  list l = {.stop_at = 8};
  iu_error err;
  (void)state;
  assert_int_equal(iu__folder_names(in_root("none"), 9, on_name, &l, &err), IU_E_STORAGE);
  assert_non_null(strstr(err.message, "no such file"));
  write_file("b");
  assert_int_equal(iu__folder_names(in_root("b"), 9, on_name, &l, &err), IU_E_STORAGE);
  assert_int_equal(iu__folder_make(in_root("b"), &err), IU_E_STORAGE);
  assert_int_equal(iu__folder_make(in_root("b/c"), &err), IU_E_STORAGE);
  assert_int_equal(iu__folder_make("", &err), IU_E_STORAGE);
}

static void folders_above_are_made_too(void **state) {
  list l = {.stop_at = 8};
  iu_error err;
  (void)state;
  for (int i = 0; i < 2; i++) assert_int_equal(iu__folder_make(in_root("x/y/z"), &err), IU_OK);
  assert_int_equal(iu__folder_make(in_root("x/y/z/"), &err), IU_OK);
  assert_int_equal(iu__folder_names(in_root("x/y"), 1, on_name, &l, &err), IU_OK);
  assert_int_equal(l.count, 1);
  assert_string_equal(l.names[0], "z");
  iu__errinj_arm(IU_ERRINJ_ALLOC, 0);
  assert_int_equal(iu__folder_make(in_root("w"), &err), IU_E_NOMEM);
  iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(names_are_told, setup, teardown),
      cmocka_unit_test_setup_teardown(names_have_a_cap, setup, teardown),
      cmocka_unit_test_setup_teardown(what_is_no_folder_is_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(folders_above_are_made_too, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
