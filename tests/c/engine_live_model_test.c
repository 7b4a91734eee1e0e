/* Live queries against a recomputation: random transactions, sessions with random overlapping subscriptions (whole tables, constants, ranges, OR, joins, self
 * joins), unsubscribes, deadlines in the middle, the file reopened now and then. After every transaction the view of each session that has been told, and a
 * mirror kept by its row callbacks alone, hold exactly the rows that its queries give when they are run anew. IU_TEST_SEED runs one seed, IU_TEST_STEPS so many
 * transactions. */
#include "live_fixture.h"

#define SESSIONS 3
#define SLOTS 7
#define STEPS 20000
#define TEXT_MAX 160
#define ROWS_MAX 256

typedef struct copy { uint32_t table, len; uint8_t bytes[64]; } copy;
typedef struct subscription { uint64_t id; bool applied; char text[TEXT_MAX]; } subscription;
typedef struct told_session {
  iu_connection *c;
  copy mirror[ROWS_MAX]; uint32_t count;
  subscription subs[SLOTS];
} told_session;

static fixture *f;
static told_session sessions[SESSIONS];
static uint64_t rng, told_rows, applied, ended, reopened;
static unsigned step_number;

static uint32_t below(uint32_t n) {
  rng ^= rng << 13;
  rng ^= rng >> 7;
  rng ^= rng << 17;
  return (uint32_t)(rng >> 33) % n;
}

/* ---- the mirror ---- */

static int mirror_find(const told_session *s, uint32_t table, const iu_row *row) {
  for (uint32_t i = 0; i < s->count; i++) {
    if (s->mirror[i].table == table && s->mirror[i].len == row->len && memcmp(s->mirror[i].bytes, row->data, row->len) == 0) return (int)i;
  }
  return -1;
}

static void on_row(void *ud, uint32_t table, const iu_row *old_row, const iu_row *new_row, const iu_event *e) {
  told_session *s = ud;
  (void)e;
  told_rows++;
  if (old_row != NULL) {
    int at = mirror_find(s, table, old_row);
    if (at < 0) fail_msg("step %u: a row left table %u that was not there", step_number, table);
    s->mirror[at] = s->mirror[--s->count];
  }
  if (old_row != NULL && new_row != NULL) {
    assert_true(table != LOOSE);
    assert_memory_equal(old_row->data, new_row->data, table == PLAYER ? 8 : 4);
  }
  if (new_row != NULL) {
    if (mirror_find(s, table, new_row) >= 0) fail_msg("step %u: a row of table %u came twice", step_number, table);
    assert_true(s->count < ROWS_MAX && new_row->len <= sizeof s->mirror[0].bytes);
    copy *c = &s->mirror[s->count++];
    c->table = table;
    c->len = new_row->len;
    memcpy(c->bytes, new_row->data, new_row->len);
  }
}

static void on_subscription(void *ud, uint64_t id, iu_sub_event what, const iu_error *err) {
  told_session *s = ud;
  (void)err;
  if (what == IU_SUB_ENDED) ended++;
  if (what != IU_SUB_APPLIED) return;
  applied++;
  for (int i = 0; i < SLOTS; i++) s->subs[i].applied = s->subs[i].applied || s->subs[i].id == id;
}

/* ---- transactions ---- */

static double some_score(void) {
  static const double scores[] = {-1.5, -0.0, 0.0, 1.0, 2.5, 1e300};
  uint32_t i = below(7);
  return i < 6 ? scores[i] : strtod("nan", NULL);
}

static int32_t one_write(struct iu_host *h, iu_buf *row) {
  uint64_t id = below(14) + 1;
  uint32_t guild = below(6) + 1;
  switch (below(9)) {
    case 0:
    case 1: player_row(row, id, guild, some_score(), (int32_t)below(7) - 1); return live_insert(h, "player", row);
    case 2:
    case 3: player_row(row, id, guild, some_score(), (int32_t)below(7) - 1); return live_update(h, "player", row);
    case 4: return live_delete(h, "player", id, 8);
    case 5: pair_row_of(row, guild, (int32_t)below(6)); return live_insert(h, "guild", row);
    case 6: pair_row_of(row, guild, (int32_t)below(6)); return live_update(h, "guild", row);
    case 7: return below(2) == 0 ? live_delete(h, "guild", guild, 4) : loose_delete(h, guild, (int32_t)below(4));
    default: pair_row_of(row, guild, (int32_t)below(4)); return live_insert(h, "loose", row);
  }
}

static int32_t transaction(fixture *fx, struct iu_host *h, uint32_t args, uint32_t err) {
  iu_buf row = {0};
  (void)fx; (void)args; (void)err;
  for (uint32_t n = below(6) + 1; n > 0; n--) (void)one_write(h, &row); /* a write that is refused changes nothing */
  iu__buf_free(&row);
  return below(12) == 0 ? 5 : 0;
}

/* ---- queries ---- */

static const char *player_condition(char *out, const char *p) {
  static const char *const ops[] = {"=", "!=", "<", "<=", ">", ">="};
  static const char *const scores[] = {"0.0", "-0.0", "1.0", "2.5", "-3.0"};
  const char *op = ops[below(6)];
  switch (below(6)) {
    case 0: snprintf(out, 96, "%sid = %u", p, below(14) + 1); break;
    case 1: snprintf(out, 96, "%sguild = %u AND %slevel %s %d", p, below(6) + 1, p, op, (int)below(6)); break;
    case 2: snprintf(out, 96, "%slevel >= %d AND %slevel < %d", p, (int)below(5), p, (int)below(7)); break;
    case 3: snprintf(out, 96, "%sscore %s %s", p, op, scores[below(5)]); break;
    case 4: snprintf(out, 96, "(%sid < %u OR %slevel = %d)", p, below(14), p, (int)below(6)); break;
    default: snprintf(out, 96, "%sname = 'p%u' AND %sscore %s %s", p, below(14) + 1, p, op, scores[below(5)]); break;
  }
  return out;
}

static void some_query(char *out) {
  char c[96];
  switch (below(16)) {
    case 0: snprintf(out, TEXT_MAX, "SELECT * FROM player"); break;
    case 1: snprintf(out, TEXT_MAX, "SELECT * FROM %s", below(2) == 0 ? "guild" : "loose"); break;
    case 2:
    case 3:
    case 4:
    case 5: snprintf(out, TEXT_MAX, "SELECT * FROM player WHERE %s", player_condition(c, "")); break;
    case 6: snprintf(out, TEXT_MAX, "SELECT * FROM guild WHERE rank > %d", (int)below(6)); break;
    case 7: snprintf(out, TEXT_MAX, "SELECT * FROM loose WHERE n = %d AND k <= %u", (int)below(4), below(7)); break;
    case 8: snprintf(out, TEXT_MAX, "SELECT p.* FROM player p JOIN guild g ON p.guild = g.id WHERE g.rank = %d", (int)below(6)); break;
    case 9: snprintf(out, TEXT_MAX, "SELECT p.* FROM player p JOIN guild g ON p.guild = g.id WHERE %s", player_condition(c, "p.")); break;
    case 10: snprintf(out, TEXT_MAX, "SELECT g.* FROM guild g JOIN player p ON g.id = p.guild WHERE %s", player_condition(c, "p.")); break;
    case 11: snprintf(out, TEXT_MAX, "SELECT l.* FROM loose l JOIN guild g ON l.k = g.id WHERE g.rank < %d", (int)below(6)); break;
    case 12: snprintf(out, TEXT_MAX, "SELECT g.* FROM loose l JOIN guild g ON l.k = g.id WHERE l.n >= %d", (int)below(4)); break;
    case 13: snprintf(out, TEXT_MAX, "SELECT a.* FROM player a JOIN player b ON a.guild = b.guild WHERE b.level = %d", (int)below(6)); break;
    case 14: snprintf(out, TEXT_MAX, "SELECT b.* FROM player a JOIN player b ON a.guild = b.guild WHERE a.level < b.level AND %s", player_condition(c, "a.")); break;
    default: snprintf(out, TEXT_MAX, "SELECT p.* FROM player p JOIN guild g ON p.guild = g.id"); break;
  }
}

/* ---- sessions ---- */

static void listen_as(told_session *s) {
  iu_listener l = {.ud = s, .row = on_row, .subscription = on_subscription};
  iu__conn_listen(s->c, &l);
  for (uint32_t t = 0; t < LIVE_TABLES; t++) iu__conn_watch(s->c, t, 7);
}

static void open_sessions(void) {
  memset(sessions, 0, sizeof sessions);
  sessions[0].c = f->c;
  for (int i = 1; i < SESSIONS; i++) assert_int_equal(iu__engine_session(f->c, NULL, &sessions[i].c, &f->err), IU_OK);
  for (int i = 0; i < SESSIONS; i++) listen_as(&sessions[i]);
}

static void reopen(void) {
  for (int i = 1; i < SESSIONS; i++) sessions[i].c->vtable->release(sessions[i].c);
  fixture_reopen(f, IU_DUR_NORMAL);
  open_sessions();
  reopened++;
}

static void change_a_subscription(told_session *s) {
  subscription *sub = &s->subs[below(SLOTS)];
  if (sub->id != 0) {
    assert_int_equal(s->c->vtable->unsubscribe(s->c, sub->id, &f->err), IU_OK);
    memset(sub, 0, sizeof *sub);
    return;
  }
  iu_slice texts[2];
  some_query(sub->text);
  texts[0] = texts[1] = (iu_slice){(const uint8_t *)sub->text, strlen(sub->text)}; /* the same twice is once */
  if (s->c->vtable->subscribe(s->c, texts, below(5) == 0 ? 2 : 1, &sub->id, &f->err) != IU_OK) fail_msg("%s: %s", sub->text, f->err.message);
}

/* ---- comparing ---- */

typedef struct expected { uint32_t table; const iu_row *row; } expected;

static uint32_t recompute(told_session *s, expected *out, iu_rows **kept, uint32_t *kept_count) {
  uint32_t count = 0;
  *kept_count = 0;
  for (int i = 0; i < SLOTS; i++) {
    iu_rows *rows;
    uint64_t pending;
    uint32_t table;
    if (s->subs[i].id == 0) continue;
    if (s->c->vtable->query(s->c, s->subs[i].text, strlen(s->subs[i].text), &rows, &pending, &f->err) != IU_OK) fail_msg("%s", f->err.message);
    table = (uint32_t)(rows->table - s->c->schema->tables);
    for (uint64_t r = 0; r < rows->count; r++) {
      uint32_t at = 0;
      while (at < count && out[at].row != rows->rows[r]) at++;
      assert_true(at < ROWS_MAX);
      if (at == count) out[count++] = (expected){table, rows->rows[r]};
    }
    kept[(*kept_count)++] = rows;
  }
  return count;
}

static void describe(const told_session *s) {
  for (int i = 0; i < SLOTS; i++) {
    if (s->subs[i].id != 0) print_message("  %s\n", s->subs[i].text);
  }
}

static void compare(told_session *s) {
  expected rows[ROWS_MAX];
  iu_rows *kept[SLOTS];
  uint32_t kept_count, count = recompute(s, rows, kept, &kept_count), seen = 0;
  for (uint32_t t = 0; t < LIVE_TABLES; t++) {
    iu_view_iter *it;
    const iu_row *row;
    uint64_t here = 0;
    assert_int_equal(iu__view_iter(s->c->view, t, IU_INDEX_MAIN, NULL, false, &it, &f->err), IU_OK);
    for (; (row = iu__view_iter_next(it)) != NULL; here++) {
      uint32_t at = 0;
      while (at < count && rows[at].row != row) at++;
      if (at == count) {
        describe(s);
        fail_msg("step %u, session %d: table %u has a row that no query selects", step_number, (int)(s - sessions), t);
      }
    }
    iu__view_iter_close(it);
    assert_int_equal(here, iu__view_count(s->c->view, t));
    seen += (uint32_t)here;
  }
  if (seen != count) {
    describe(s);
    fail_msg("step %u, session %d: %u rows, expected %u", step_number, (int)(s - sessions), seen, count);
  }
  if (s->count != count) {
    describe(s);
    fail_msg("step %u, session %d: %u rows were told of, expected %u", step_number, (int)(s - sessions), s->count, count);
  }
  for (uint32_t i = 0; i < count; i++) {
    if (mirror_find(s, rows[i].table, rows[i].row) < 0) fail_msg("step %u, session %d: a row of table %u was not told of", step_number, (int)(s - sessions), rows[i].table);
  }
  while (kept_count > 0) iu__rows_release(kept[--kept_count]);
}

/* ---- the run ---- */

static void one_step(void) {
  told_session *who = &sessions[below(SESSIONS)];
  iu__loop_set_frames(f->loop, below(2) == 0); /* subscriptions wait for a turn */
  if (below(3) == 0) change_a_subscription(&sessions[below(SESSIONS)]);
  if (run_on(f, who->c, transaction, "", NULL) == IU_OK) compare(who); /* a call ends when its session has been told */
  if (below(3) == 0) return; /* the others fall behind */
  if (below(4) == 0) {
    iu__loop_set_deadline(f->loop, 1); /* long over: a slice of each */
    iu__loop_turn(f->loop, 0);
    iu__loop_set_deadline(f->loop, 0);
    return;
  }
  for (int i = 0; i < SESSIONS; i++) {
    while (sessions[i].c->vtable->deliver(sessions[i].c)) continue;
    compare(&sessions[i]);
  }
}

static void views_and_callbacks_equal_a_recomputation(void **state) {
  const char *seed = getenv("IU_TEST_SEED"), *steps = getenv("IU_TEST_STEPS");
  unsigned count = steps != NULL ? (unsigned)strtoul(steps, NULL, 0) : STEPS;
  f = *state;
  rng = seed != NULL ? strtoull(seed, NULL, 0) : (uint64_t)getpid() * 2654435761u;
  print_message("seed 0x%llx\n", (unsigned long long)rng);
  rng = rng * UINT64_C(0x9e3779b97f4a7c15) + 1;
  fixture_reopen(f, IU_DUR_NORMAL);
  open_sessions();
  for (step_number = 1; step_number <= count; step_number++) {
    one_step();
    if (below(1500) == 0) reopen();
  }
  for (int i = 0; i < SESSIONS; i++) {
    while (sessions[i].c->vtable->deliver(sessions[i].c)) continue;
    compare(&sessions[i]);
  }
  print_message("%llu rows told, %llu subscriptions applied, %llu ended, %llu times reopened\n", (unsigned long long)told_rows, (unsigned long long)applied,
                (unsigned long long)ended, (unsigned long long)reopened);
  assert_true(told_rows > count && applied > count / 20 && ended > count / 40);
  for (int i = 1; i < SESSIONS; i++) sessions[i].c->vtable->release(sessions[i].c);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(views_and_callbacks_equal_a_recomputation, live_setup, fixture_teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
