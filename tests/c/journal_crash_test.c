/* journal_crash_test.c: a process that appends, folds and closes is killed with SIGKILL at random moments; what it had reported as durable must
 * be in the file, and the file must be the state after some whole commit, never half of one. */
#include "journal_fixture.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#define KILLS 40
#define ROUNDS_MAX 200
#define COMMITS_MAX 20000 /* of a child that is not killed */
#define DELAY_MAX_US 60000

static void child_fails(const char *what, const iu_error *err) {
  fprintf(stderr, "child: %s: %s\n", what, err->message);
  _exit(1);
}

/* Never returns. Appends until killed, sometimes closes. The model is the parent's, copied by fork. */
static void child_run(const fixture *f, model *m, random_source *r, const iu_journal_config *c, int pipe_fd) {
  iu_journal *j = NULL;
  iu_journal_recovery recovery;
  iu_error err;
  model ignored = {.f = f};
  uint64_t reported = 0, commits = 20 + random_below(r, COMMITS_MAX);

  if (iu__journal_open(c, &j, &err) != IU_OK) child_fails("open", &err);
  if (load_model(j, &ignored, &recovery, &err) != IU_OK) child_fails("load", &err);
  for (uint64_t i = 0; i < commits; i++) {
    uint64_t durable;
    bool held = i / 256 % 2 == 1 && i % 8 == 0;
    if (held) iu__journal_hold(j, true);
    if (step(j, m, r, &err) != IU_OK) child_fails("append", &err);
    if ((held || m->sequence % 64 == 0) && iu__journal_wait(j, m->sequence, -1, &err) != IU_OK) child_fails("wait", &err);
    if (held) iu__journal_hold(j, false);
    durable = iu__journal_durable(j, NULL, NULL);
    if (durable > reported && write(pipe_fd, &durable, sizeof durable) == sizeof durable) reported = durable;
  }
  if (iu__journal_close(j, &err) != IU_OK) child_fails("close", &err);
  if (write(pipe_fd, &m->sequence, sizeof m->sequence) != sizeof m->sequence) _exit(1);
  _exit(0);
}

static uint64_t last_reported(int fd) {
  uint64_t value, last = 0;
  while (read(fd, &value, sizeof value) == (ssize_t)sizeof value) last = value;
  return last;
}

/* Starts a child, kills it, gives what it had reported. */
static uint64_t run_and_kill(const fixture *f, model *m, random_source *r, const iu_journal_config *c, uint64_t delay_us, bool *closed) {
  int fds[2], wait_status;
  uint64_t reported;
  pid_t pid;

  assert_int_equal(pipe(fds), 0);
  fflush(stdout);
  pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    close(fds[0]);
    child_run(f, m, r, c, fds[1]);
  }
  close(fds[1]);
  nanosleep(&(struct timespec){0, (long)delay_us * 1000}, NULL);
  kill(pid, SIGKILL);
  assert_int_equal(waitpid(pid, &wait_status, 0), pid);
  reported = last_reported(fds[0]);
  close(fds[0]);
  *closed = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0;
  if (WIFEXITED(wait_status)) assert_int_equal(WEXITSTATUS(wait_status), 0);
  return reported;
}

static void test_killed_at_any_moment(void **state) {
  static const uint64_t fold_bytes[] = {0, 4096, 64u << 20};
  fixture f;
  random_source seeds = random_begin("kill");
  model m = {0};
  iu_journal_config c;
  uint64_t replayed = 0, folded_rows = 0;
  int closes = 0, round = 0;

  (void)state;
  fixture_begin(&f);
  m.f = &f;
  c = config_for(&f);
  for (; round - closes < KILLS && round < ROUNDS_MAX; round++) {
    random_source r = {random_next(&seeds) | 1}, skip;
    model back = {.f = &f};
    iu_journal_recovery recovery;
    iu_journal *j;
    iu_error err;
    bool closed;
    uint64_t reported;

    c.durability = (iu_durability)random_below(&seeds, 3);
    c.fold_bytes = fold_bytes[round % 3];
    c.fold_idle_ms = 1;
    c.flush_interval_ms = 3;
    skip = r;
    (void)random_below(&skip, COMMITS_MAX); /* the child draws its length first */
    reported = run_and_kill(&f, &m, &r, &c, random_below(&seeds, DELAY_MAX_US), &closed);
    closes += closed;

    assert_ok(iu__journal_open(&c, &j, &err), &err);
    assert_ok(load_model(j, &back, &recovery, &err), &err);
    if (recovery.last_sequence < reported)
      fail_msg("round %d: %llu was reported durable, the file ends at %llu", round, (unsigned long long)reported,
               (unsigned long long)recovery.last_sequence);
    assert_true(recovery.last_sequence >= m.sequence);
    if (closed) assert_true(recovery.clean);
    replayed += recovery.frames_replayed;
    folded_rows += recovery.table_rows;
    while (m.sequence < recovery.last_sequence) {
      commit again;
      commit_random(&again, &m, &skip);
      commit_apply(&again, &m);
    }
    assert_model_equal(&m, &back);
    model_free(&back);
    close_ok(j);
  }
  printf("%d killed, %d closed in time, %llu commits, %llu replayed from the journal, %llu rows read from tables\n", round - closes, closes,
         (unsigned long long)m.sequence, (unsigned long long)replayed, (unsigned long long)folded_rows);
  assert_true(round - closes >= KILLS);
  assert_true(replayed > 0);
  assert_true(folded_rows > 0);
  model_free(&m);
  fixture_end(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_killed_at_any_moment)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
