/* client_replica_fuzz.c: libFuzzer target for the replica. The input is a list of what a server may do: messages built of rows that meet each other
 * (same keys, same bytes, several times), messages of arbitrary bytes as core/protocol reads them, sets that are dropped, a reconnect, another schema. Beside
 * it stands a model, a list of rows with counts, that says which messages can be true, what is held after them and what is told. After a refusal the
 * replica adopts a fresh one that holds what the model holds, as a client does.
 */
#include "../c/store_fixture.h"

#include "input.h"

#include "../../core/client/replica_internal.h"

#define STEPS_MAX 40
#define UPDATES_MAX 8
#define ROWS_MAX 24      /* of one side of an update */
#define HELD_MAX 2000    /* different rows in the model; the input ends there */
#define FUZZ_CAP ((size_t)1 << 18)

/* The loop's clock: without a loop here, every look at it says what the input said. */
static bool slices;
bool iu__loop_over_deadline(const iu_loop *l) {
  (void)l;
  return slices;
}
static iu_loop *const some_loop = (iu_loop *)&slices; /* only looked at by the function above */

static fixture fx;
static uint32_t name_order[TABLES] = {ITEM, ODD, PAIR};

/* ---- the model ---- */

typedef struct held { uint32_t table; iu_slice row; int64_t count, next; bool was; } held;  /* row: owned; was: held before the message at hand */
typedef struct model { held rows[HELD_MAX]; size_t count; bool full; } model;
static model m;

static held *model_find(uint32_t table, iu_slice row) {
  for (size_t i = 0; i < m.count; i++) {
    held *h = &m.rows[i];
    if (h->table == table && h->row.len == row.len && (row.len == 0 || memcmp(h->row.p, row.p, row.len) == 0)) return h;
  }
  return NULL;
}
static held *model_row(uint32_t table, iu_slice row) {
  held *h = model_find(table, row);
  if (h != NULL) return h;
  if (m.count == HELD_MAX) {
    m.full = true;
    return NULL;
  }
  uint8_t *copy = malloc(row.len + 1);
  MUST(copy != NULL);
  if (row.len != 0) memcpy(copy, row.p, row.len);
  h = &m.rows[m.count++];
  *h = (held){table, {copy, row.len}, 0, 0, false};
  return h;
}
static void model_clear(void) {
  for (size_t i = 0; i < m.count; i++) free((void *)(uintptr_t)m.rows[i].row.p);
  m.count = 0;
  m.full = false;
}

static bool same_columns(const held *a, const held *b, const uint16_t *columns, uint32_t count) {
  for (uint32_t c = 0; c < count; c++) {
    iu_slice x = iu__bsatn_column(fx.tables[a->table].row, columns[c], a->row.p, a->row.len);
    iu_slice y = iu__bsatn_column(fx.tables[b->table].row, columns[c], b->row.p, b->row.len);
    if (x.len != y.len || memcmp(x.p, y.p, x.len) != 0) return false;
  }
  return true;
}
static bool keys_are_unique(void) {
  for (size_t i = 0; i < m.count; i++) {
    const iu_table_def *t = &fx.tables[m.rows[i].table];
    uint16_t primary = (uint16_t)t->primary_key;
    for (size_t k = i + 1; k < m.count; k++) {
      if (m.rows[i].next == 0 || m.rows[k].next == 0 || m.rows[k].table != m.rows[i].table) continue;
      if (t->primary_key >= 0 && same_columns(&m.rows[i], &m.rows[k], &primary, 1)) return false;
      for (uint32_t d = 0; d < t->index_count; d++) {
        if (t->indexes[d].unique && same_columns(&m.rows[i], &m.rows[k], t->indexes[d].columns, t->indexes[d].column_count)) return false;
      }
    }
  }
  return true;
}
static bool is_row(uint32_t table, iu_slice row) { return iu__bsatn_check_all(fx.tables[table].row, row.p, row.len, NULL) == IU_OK; }

static void model_begin(void) {
  for (size_t i = 0; i < m.count; i++) {
    m.rows[i].next = m.rows[i].count;
    m.rows[i].was = m.rows[i].count > 0;
  }
}
/* All deletes before all inserts, as the replica promises. false: it cannot be true. */
static bool model_update(const iu_table_update *updates, uint32_t count, uint32_t *events) {
  model_begin();
  *events = 0;
  for (int inserts = 0; inserts < 2; inserts++) {
    for (uint32_t i = 0; i < count; i++) {
      int table = iu__schema_table(&fx.schema, (const char *)updates[i].table.p, updates[i].table.len);
      const iu_row_list *list = inserts ? &updates[i].inserts : &updates[i].deletes;
      if (table < 0) return false;
      for (uint32_t k = 0; k < list->count; k++) {
        iu_slice row = iu__row_list_at(list, k);
        if (!is_row((uint32_t)table, row)) return false;
        if (inserts && updates[i].event_table) {
          ++*events;
          continue;
        }
        held *h = inserts ? model_row((uint32_t)table, row) : model_find((uint32_t)table, row);
        if (m.full) return false;
        if (h == NULL || (!inserts && h->next == 0)) return false;
        h->next += inserts ? 1 : -1;
      }
    }
  }
  return keys_are_unique();
}

/* ---- what must hold ---- */

static void check_told(const iu_replica *r) {
  const iu_changeset *c = iu__replica_changes(r);
  uint64_t told = 0, expected = 0;
  for (uint32_t i = 0; c != NULL && i < c->count; i++) {
    const iu_row *sides[2] = {c->changes[i].old_row, c->changes[i].new_row};
    MUST(sides[0] != NULL || sides[1] != NULL);
    for (int s = 0; s < 2; s++) {
      if (sides[s] == NULL) continue;
      const held *h = model_find(iu__table_index(c->changes[i].table), (iu_slice){sides[s]->data, sides[s]->len});
      MUST(h != NULL && h->was == (s == 0) && (h->next > 0) == (s == 1)); /* so no row twice on one side, with the count below */
      told++;
    }
  }
  for (size_t i = 0; i < m.count; i++) expected += m.rows[i].was != (m.rows[i].next > 0);
  MUST(told == expected);
}

static void check_held(iu_replica *r) {
  uint64_t rows[TABLES] = {0};
  uint32_t counts = 0;
  for (size_t i = 0; i < m.count; i++) {
    const held *h = &m.rows[i];
    const iu_row *row = iu__table_find_row(iu__store_table(r->store, h->table), iu__view_epoch(r->view), h->row.p, h->row.len);
    MUST((row != NULL) == (h->count > 0));
    if (row == NULL) continue;
    rows[h->table]++;
    const iu_row_count *c = iu__counts_find(&r->counts, row);
    MUST(h->count == 1 ? c == NULL : c != NULL && c->count == h->count && c->table == h->table);
    counts += h->count > 1;
  }
  MUST(r->counts.used == counts);
  for (uint32_t t = 0; t < TABLES; t++) MUST(iu__view_count(r->view, t) == rows[t]);
}

/* ---- what the server does ---- */

static void model_commit(void) {
  for (size_t i = 0; i < m.count; i++) m.rows[i].count = m.rows[i].next;
}

/* After begin. true: it was applied, and told. */
static bool step_through(iu_replica *r, bool in_slices) {
  bool done = false;
  slices = in_slices;
  while (!done) {
    if (iu__replica_step(r, in_slices ? some_loop : NULL, &done, NULL) != IU_OK) return false;
  }
  check_told(r);
  iu__replica_show(r);
  iu__replica_finish(r);
  return true;
}

static iu_replica *replica_new(void) {
  iu_replica *r;
  MUST(iu__replica_new(&fx.schema, &r, NULL) == IU_OK);
  return r;
}

static iu_row_list list_of(const held *h, uint8_t offset[8]) {
  memset(offset, 0, 8);
  return (iu_row_list){.count = 1, .offsets = offset, .data = h->row.p, .len = h->row.len};
}

/* The subscriptions made again: what is held, row by row, into a fresh replica; then adopted. `from`: the model as it is held now, `next` as it will be. */
static void reconnect(iu_replica *r, bool in_slices) {
  iu_replica *fresh = replica_new();
  for (size_t i = 0; i < m.count; i++) {
    const held *h = &m.rows[i];
    uint8_t offset[8];
    bool done;
    iu_table_update u = {.table = {(const uint8_t *)fx.tables[h->table].name, strlen(fx.tables[h->table].name)}, .inserts = list_of(h, offset)};
    for (int64_t n = 0; n < h->next; n++) {
      MUST(iu__replica_begin(fresh, &u, 1, NULL) == IU_OK && iu__replica_step(fresh, NULL, &done, NULL) == IU_OK && done);
      iu__replica_show(fresh);
      iu__replica_finish(fresh);
    }
  }
  MUST(iu__replica_adopt(r, fresh, NULL) == IU_OK);
  MUST(step_through(r, in_slices));
  model_commit();
}

/* The first rows of the message, as if the rest had not come yet; perhaps they are taken back again. */
static unsigned early;
static void come_early(iu_replica *r, const iu_table_update *updates, uint32_t count) {
  unsigned most = early >> 1;
  for (uint32_t i = 0; i < count && !updates[i].event_table; i++) {
    int table = iu__schema_table(&fx.schema, (const char *)updates[i].table.p, updates[i].table.len);
    for (uint32_t k = 0; k < updates[i].inserts.count; k++) {
      if (most-- == 0 || table < 0 || !iu__replica_take_early(r, (uint32_t)table, i, iu__row_list_at(&updates[i].inserts, k))) return;
    }
  }
}

static void apply(iu_replica *r, const iu_table_update *updates, uint32_t count, bool in_slices) {
  uint32_t events, told;
  bool possible = model_update(updates, count, &events);
  if (m.full) return;
  if (early > 1) come_early(r, updates, count);
  if (early & 1) iu__replica_drop_early(r);
  bool applied = iu__replica_begin(r, updates, count, NULL) == IU_OK;
  if (applied) { /* events are there until finish */
    bool done = false;
    slices = in_slices;
    while (applied && !done) applied = iu__replica_step(r, in_slices ? some_loop : NULL, &done, NULL) == IU_OK;
  }
  MUST(applied == possible);
  if (applied) {
    iu__replica_events(r, &told);
    MUST(told == events);
    check_told(r);
    iu__replica_show(r);
    iu__replica_finish(r);
    model_commit();
    return;
  }
  model_begin();
  reconnect(r, in_slices); /* nothing differs: nothing is told */
}

/* ---- messages built of rows that meet ---- */

static const iu_buf *some_row(iu_buf *b, uint32_t table, uint8_t choice) {
  static const char *const words[] = {"", "a", "b", "a longer word than fits in a window"};
  if (table == ITEM) return item_row(b, words[choice & 3], words[choice >> 2 & 1], choice >> 3 & 1, choice >> 4 & 3, words[choice >> 6 & 1]);
  if (table == PAIR) return pair_row(b, choice & 3, words[choice >> 2 & 3]);
  iu__buf_reset(b);
  iu__buf_put_u64(b, choice & 3);
  iu__buf_put_u8(b, 1);
  for (int i = 0; i < 4; i++) iu__buf_put_u64(b, 0);
  iu__buf_put_u64(b, (uint64_t)(choice >> 2 & 3) << 62); /* 0.0, 2.0, -0.0, -2.0 */
  iu__buf_put_u64(b, choice >> 4 & 3);
  iu__buf_put_u64(b, 0);
  return b;
}

typedef struct built { iu_buf data[2], offsets[2]; } built;
static void build_side(input *in, uint32_t table, iu_buf *data, iu_buf *offsets, iu_row_list *list) {
  iu_buf row = {0};
  uint32_t count = take(in) % ROWS_MAX;
  iu__buf_reserve(data, 1); /* a pointer also where all rows are empty, as in a message */
  for (uint32_t i = 0; i < count; i++) {
    uint8_t choice = take(in);
    iu__buf_put_u64(offsets, data->len);
    if (choice == 0xff) {
      iu_slice raw = take_bytes(in, take(in) % 80);
      iu__buf_put(data, raw.p, raw.len);
      continue;
    }
    const iu_buf *made = some_row(&row, table, choice);
    iu__buf_put(data, made->data, made->len);
  }
  *list = (iu_row_list){.count = count, .offsets = offsets->data, .data = data->data, .len = data->len};
  iu__buf_free(&row);
}

static void a_built_message(input *in, iu_replica *r, bool in_slices) {
  built b[UPDATES_MAX] = {0};
  iu_table_update updates[UPDATES_MAX] = {0};
  uint32_t count = take(in) % (UPDATES_MAX + 1);
  for (uint32_t i = 0; i < count; i++) {
    uint8_t kind = take(in);
    uint32_t table = kind % TABLES;
    updates[i].table = (iu_slice){(const uint8_t *)fx.tables[table].name, strlen(fx.tables[table].name)};
    updates[i].event_table = kind >> 4 == 15;
    build_side(in, table, &b[i].data[0], &b[i].offsets[0], &updates[i].deletes);
    build_side(in, table, &b[i].data[1], &b[i].offsets[1], &updates[i].inserts);
  }
  apply(r, updates, count, in_slices);
  for (uint32_t i = 0; i < count; i++) {
    for (int s = 0; s < 2; s++) {
      iu__buf_free(&b[i].data[s]);
      iu__buf_free(&b[i].offsets[s]);
    }
  }
}

static void raw_messages(input *in, iu_replica *r, bool in_slices) {
  iu_payload p;
  iu_message message;
  bool more = true;
  iu_protocol protocol = (iu_protocol)(take(in) % 4);
  size_t len = take(in);
  iu_slice bytes = take_bytes(in, len | (size_t)take(in) << 8);
  iu_status status = iu__payload_open(&p, protocol, bytes.p, bytes.len, FUZZ_CAP, NULL);
  p.schema = &fx.schema;
  while (status == IU_OK && (status = iu__payload_next(&p, &message, &more, NULL)) == IU_OK && more) {
    apply(r, message.updates, message.update_count, in_slices);
  }
  iu__payload_close(&p);
}

/* The rows of a query contribute once less each. */
static void drop_a_set(input *in, iu_replica *r, bool in_slices) {
  static const char *const texts[] = {"SELECT * FROM pair", "SELECT * FROM item", "SELECT * FROM odd", "SELECT * FROM pair WHERE a = 1"};
  const uint8_t nobody[32] = {0};
  uint8_t which = take(in) % 4;
  uint32_t table = which == 1 ? ITEM : which == 2 ? ODD : PAIR;
  iu_query *q;
  MUST(iu__query_parse(&fx.schema, texts[which], strlen(texts[which]), nobody, true, &q, NULL) == IU_OK);
  model_begin();
  for (size_t i = 0; i < m.count; i++) {
    held *h = &m.rows[i];
    if (h->table == table && h->next > 0 && (which != 3 || iu__load_u32(h->row.p) == 1)) h->next--;
  }
  MUST(iu__replica_drop_queries(r, &q, 1, NULL) == IU_OK);
  MUST(step_through(r, in_slices));
  model_commit();
  iu__query_free(q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static bool ready;
  input in = {data, size};
  if (!ready) {
    fixture_init(&fx);
    fx.schema.table_order = name_order;
    ready = true;
  }
  iu_replica *r = replica_new(), *next;
  for (int step = 0; step < STEPS_MAX && in.len > 0 && !m.full; step++) {
    uint8_t what = take(&in);
    bool in_slices = what & 0x80;
    early = what >> 3 & 15;
    switch (what & 7) {
      case 0: raw_messages(&in, r, in_slices); break;
      case 1: drop_a_set(&in, r, in_slices); break;
      case 2:
        model_begin();
        for (size_t i = 0; i < m.count; i++) { /* some of it went while away */
          if (take(&in) & 1) m.rows[i].next /= 2;
        }
        reconnect(r, in_slices);
        break;
      case 3:
        next = replica_new();
        MUST(iu__replica_carry(next, r, NULL) == IU_OK);
        iu__replica_free(r);
        r = next;
        break;
      default: a_built_message(&in, r, in_slices);
    }
    if (!m.full) check_held(r);
  }
  check_store(r->store);
  iu__replica_free(r);
  model_clear();
  return 0;
}
