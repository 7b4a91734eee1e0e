/* Child processes: how they end, what they say, what they are given, signals, the pipe that tells them of our end, releases, bad programs, memory. */
#include "net_fixture.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>

#include "../../core/net/process.h"

typedef struct child {
  iu_loop *loop;
  iu_process *process;
  char said[4096];
  size_t len, total;
  int ends, signal, said_something;
  int64_t status;
  bool release_in_output, release_in_exit;
} child;

static void release(child *k) {
  iu__process_release(k->process);
  k->process = NULL;
}

static void on_output(void *ud, iu_process *p, const uint8_t *bytes, size_t len) {
  child *k = ud;
  size_t room = sizeof k->said - 1 - k->len, part = len < room ? len : room;
  (void)p;
  memcpy(k->said + k->len, bytes, part);
  k->len += part;
  k->total += len;
  k->said_something = 1;
  if (k->release_in_output) release(k);
}

static void on_exit_told(void *ud, iu_process *p, int64_t status, int signal) {
  child *k = ud;
  (void)p;
  k->ends++;
  k->status = status;
  k->signal = signal;
  if (k->release_in_exit) release(k);
}

static void child_new(child *k) {
  iu_error err;
  memset(k, 0, sizeof *k);
  assert_int_equal(iu__loop_new(NULL, &k->loop, &err), IU_OK);
}

static iu_status child_start(child *k, const char *script, iu_process_config config, iu_error *err) {
  const char *const args[] = {"sh", "-c", script, NULL};
  if (config.args == NULL) config.args = args;
  config.ud = k;
  config.on_exit = on_exit_told;
  return iu__process_start(k->loop, &config, &k->process, err);
}

static void child_run(child *k, const char *script, iu_process_config config) {
  iu_error err;
  if (child_start(k, script, config, &err) != IU_OK) fail_msg("%s", err.message);
}

static void child_free(child *k) {
  release(k);
  iu__loop_free(k->loop);
}

static void an_end_is_told_once_with_its_status_and_everything_said(void **state) {
  child k;
  (void)state;
  child_new(&k);
  child_run(&k, "echo out; echo err >&2; exit 7", (iu_process_config){.on_output = on_output});
  assert_true(iu__process_pid(k.process) > 0);
  assert_true(turn_until(k.loop, &k.ends, 1));
  assert_int_equal(k.status, 7);
  assert_int_equal(k.signal, 0);
  assert_string_equal(k.said, "out\nerr\n");
  for (int i = 0; i < 5; i++) (void)iu__loop_turn(k.loop, 0);
  assert_int_equal(k.ends, 1);
  child_free(&k);
}

static void a_megabyte_of_output_arrives_whole(void **state) {
  child k;
  (void)state;
  child_new(&k);
  child_run(&k, "head -c 1048576 /dev/zero", (iu_process_config){.on_output = on_output});
  assert_true(turn_until(k.loop, &k.ends, 1));
  assert_int_equal(k.total, 1048576);
  child_free(&k);
}

static void environment_and_folder_are_given(void **state) {
  const char *const env[] = {"PATH=/usr/bin:/bin", "GREETING=hello", NULL};
  child k;
  (void)state;
  child_new(&k);
  child_run(&k, "printf '%s %s %s' \"$GREETING\" \"$(pwd)\" \"${HOME-none}\"", (iu_process_config){.on_output = on_output, .env = env, .cwd = "/"});
  assert_true(turn_until(k.loop, &k.ends, 1));
  assert_string_equal(k.said, "hello / none");
  child_free(&k);
}

static void a_signal_is_told(void **state) {
  child k;
  iu_error err;
  (void)state;
  child_new(&k);
  child_run(&k, "echo; sleep 2", (iu_process_config){.on_output = on_output});
  assert_true(turn_until(k.loop, &k.said_something, 1));
  assert_int_equal(iu__process_signal(k.process, SIGTERM, &err), IU_OK);
  assert_true(turn_until(k.loop, &k.ends, 1));
  assert_int_equal(k.signal, SIGTERM);
  /* `sleep` goes on and holds the pipe: the end is told all the same. Signals to what ended go nowhere. */
  assert_int_equal(iu__process_signal(k.process, SIGTERM, &err), IU_OK);
  child_free(&k);
}

static void the_input_ends_when_it_is_closed_and_not_before(void **state) {
  child k;
  (void)state;
  child_new(&k);
  child_run(&k, "cat >/dev/null; echo ended", (iu_process_config){.on_output = on_output, .input = true, .own_session = true});
  for (int i = 0; i < 10; i++) (void)iu__loop_turn(k.loop, 10);
  assert_int_equal(k.ends, 0);
  iu__process_close_input(k.process);
  iu__process_close_input(k.process);
  assert_true(turn_until(k.loop, &k.ends, 1));
  assert_string_equal(k.said, "ended\n");
  child_free(&k);
}

static void without_an_input_it_reads_an_end(void **state) {
  child k;
  (void)state;
  child_new(&k);
  child_run(&k, "cat; echo ended", (iu_process_config){.on_output = on_output});
  assert_true(turn_until(k.loop, &k.ends, 1));
  assert_string_equal(k.said, "ended\n");
  child_free(&k);
}

static void output_is_appended_to_a_file_of_the_users_own(void **state) {
  char path[64];
  child k;
  struct stat facts;
  char text[64] = "";
  FILE *file;
  (void)state;
  snprintf(path, sizeof path, "/tmp/iu_process_%d.log", (int)getpid());
  unlink(path);
  for (int i = 0; i < 2; i++) {
    child_new(&k);
    child_run(&k, "echo one; echo two >&2", (iu_process_config){.output_file = path, .on_output = on_output});
    assert_true(turn_until(k.loop, &k.ends, 1));
    assert_int_equal(k.total, 0);
    child_free(&k);
  }
  assert_int_equal(stat(path, &facts), 0);
  assert_int_equal(facts.st_mode & 0777, 0600);
  file = fopen(path, "r");
  assert_non_null(file);
  assert_int_equal(fread(text, 1, sizeof text - 1, file), 16);
  fclose(file);
  unlink(path);
  assert_string_equal(text, "one\ntwo\none\ntwo\n");
}

static void what_cannot_be_run_says_why(void **state) {
  const char *const args[] = {"/nowhere/program", NULL};
  child k;
  iu_error err;
  (void)state;
  child_new(&k);
  assert_int_equal(child_start(&k, NULL, (iu_process_config){.args = args, .input = true, .on_output = on_output}, &err), IU_E_PERSISTENCE);
  assert_null(k.process);
  assert_non_null(strstr(err.message, "/nowhere/program: no such file"));
  assert_int_equal(child_start(&k, "true", (iu_process_config){.cwd = "/nowhere"}, &err), IU_E_PERSISTENCE);
  assert_non_null(strstr(err.message, "or its folder"));
  assert_int_equal(child_start(&k, "true", (iu_process_config){.output_file = "/nowhere/log"}, &err), IU_E_PERSISTENCE);
  assert_non_null(strstr(err.message, "output file /nowhere/log: no such file"));
  child_free(&k);
  assert_int_equal(k.ends, 0);
}

static void a_released_process_goes_on(void **state) {
  char path[64];
  child k;
  int there = 0;
  (void)state;
  snprintf(path, sizeof path, "/tmp/iu_process_%d.mark", (int)getpid());
  unlink(path);
  child_new(&k);
  char script[128];
  snprintf(script, sizeof script, "sleep 0.2; echo x > %s", path);
  child_run(&k, script, (iu_process_config){.on_output = on_output});
  child_free(&k);
  for (int i = 0; i < 500 && !there; i++) {
    usleep(10000);
    there = access(path, F_OK) == 0;
  }
  unlink(path);
  assert_true(there);
  assert_int_equal(k.ends, 0);
}

static void callbacks_may_release(void **state) {
  child k;
  (void)state;
  child_new(&k);
  k.release_in_output = true;
  child_run(&k, "echo a; sleep 0.05; echo b", (iu_process_config){.on_output = on_output});
  assert_true(turn_until(k.loop, &k.said_something, 1));
  assert_int_equal(k.total, 2);
  child_free(&k);
  assert_int_equal(k.ends, 0);
  child_new(&k);
  k.release_in_exit = true;
  child_run(&k, "exit 3", (iu_process_config){.on_output = on_output});
  assert_true(turn_until(k.loop, &k.ends, 1));
  assert_null(k.process);
  child_free(&k);
}

static void any_process_can_be_asked_for(void **state) {
  bool exists = false;
  iu_error err;
  child k;
  int pid;
  (void)state;
  assert_int_equal(iu__process_kill((int)getpid(), 0, &exists, &err), IU_OK);
  assert_true(exists);
  assert_int_equal(iu__process_kill(0, 0, &exists, &err), IU_E_VALIDATION); /* would be our own group */
  assert_int_equal(iu__process_kill(-1, 0, &exists, &err), IU_E_VALIDATION);
  assert_int_equal(iu__process_kill((int)getpid(), 12345, &exists, &err), IU_E_VALIDATION);
  child_new(&k);
  child_run(&k, "sleep 60", (iu_process_config){0});
  pid = iu__process_pid(k.process);
  assert_int_equal(iu__process_kill(pid, SIGKILL, &exists, &err), IU_OK);
  assert_true(exists);
  assert_true(turn_until(k.loop, &k.ends, 1));
  assert_int_equal(k.signal, SIGKILL);
  assert_int_equal(iu__process_kill(pid, 0, &exists, &err), IU_OK);
  assert_false(exists);
  child_free(&k);
}

static void refused_memory_is_an_error(void **state) {
  child k;
  iu_error err;
  (void)state;
  child_new(&k);
  iu__errinj_arm(IU_ERRINJ_ALLOC, 0);
  assert_int_equal(child_start(&k, "true", (iu_process_config){.on_output = on_output}, &err), IU_E_NOMEM);
  iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
  child_free(&k);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_end_is_told_once_with_its_status_and_everything_said),
      cmocka_unit_test(a_megabyte_of_output_arrives_whole),
      cmocka_unit_test(environment_and_folder_are_given),
      cmocka_unit_test(a_signal_is_told),
      cmocka_unit_test(the_input_ends_when_it_is_closed_and_not_before),
      cmocka_unit_test(without_an_input_it_reads_an_end),
      cmocka_unit_test(output_is_appended_to_a_file_of_the_users_own),
      cmocka_unit_test(what_cannot_be_run_says_why),
      cmocka_unit_test(a_released_process_goes_on),
      cmocka_unit_test(callbacks_may_release),
      cmocka_unit_test(any_process_can_be_asked_for),
      cmocka_unit_test(refused_memory_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
