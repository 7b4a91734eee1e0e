/* Rows of a subscription's answer while it still comes: for every prefix of it they are the first rows of the whole, and bytes that are no such answer give
 * none that the whole does not have.
 */
#include "base_fixture.h"
#include "protocol_fixture.h"

#include "../../core/base/hash.h"

#define ROUNDS 3000

static void put_list(iu_buf *b, random_source *r, uint32_t count) {
  if (random_below(r, 2) == 0) {
    uint16_t size = (uint16_t)(1 + random_below(r, 20));
    iu__buf_put_u8(b, 0);
    iu__buf_put_u16(b, size);
    iu__buf_put_u32(b, count * size);
    for (uint32_t i = 0; i < count * size; i++) iu__buf_put_u8(b, (uint8_t)random_next(r));
    return;
  }
  iu_buf data = {0};
  iu__buf_put_u8(b, 1);
  iu__buf_put_u32(b, count);
  for (uint32_t i = 0; i < count; i++) {
    iu__buf_put_u64(b, data.len);
    for (uint64_t n = random_below(r, 30); n > 0; n--) iu__buf_put_u8(&data, (uint8_t)random_next(r));
  }
  iu__buf_put_bytes(b, data.data, data.len);
  iu__buf_free(&data);
}

static void put_no_rows(iu_buf *b, random_source *r) {
  bool fixed = random_below(r, 2) == 0;
  iu__buf_put_u8(b, fixed ? 0 : 1);
  if (fixed) iu__buf_put_u16(b, (uint16_t)random_below(r, 30));
  else iu__buf_put_u32(b, 0);
  iu__buf_put_u32(b, 0);
}

/* SubscribeApplied, or SubscribeMultiApplied. */
static void put_answer(iu_buf *b, iu_protocol p, random_source *r) {
  static const char *const names[] = {"user", "a", ""};
  uint32_t tables = (uint32_t)random_below(r, 4);
  iu__buf_put_u8(b, 0);
  iu__buf_put_u8(b, p == IU_P_V1 ? 8 : 1);
  iu__buf_put_u32(b, 77);
  if (p == IU_P_V1) iu__buf_put_u64(b, 250);
  iu__buf_put_u32(b, 5);
  iu__buf_put_u32(b, tables);
  for (uint32_t i = 0; i < tables; i++) {
    const char *name = names[random_below(r, 3)];
    if (p == IU_P_V1) iu__buf_put_u32(b, 4096);
    iu__buf_put_bytes(b, name, strlen(name));
    if (p != IU_P_V1) {
      put_list(b, r, (uint32_t)random_below(r, 12));
      continue;
    }
    uint32_t updates = (uint32_t)random_below(r, 3);
    iu__buf_put_u64(b, 1);
    iu__buf_put_u32(b, updates);
    for (uint32_t k = 0; k < updates; k++) {
      iu__buf_put_u8(b, 0);
      if (random_below(r, 10) == 0) put_list(b, r, 1 + (uint32_t)random_below(r, 3)); /* deletes, which no such answer has */
      else put_no_rows(b, r);
      put_list(b, r, (uint32_t)random_below(r, 12));
    }
  }
}

static bool is_answer(const iu_message *m) {
  for (uint32_t i = 0; i < m->update_count; i++) {
    if (m->updates[i].deletes.count > 0) return false;
  }
  return m->kind == IU_M_SUBSCRIBED;
}

/* Feeds the bytes piece by piece, each time from a copy elsewhere, and compares every row with the whole message (NULL: it is none). How many came. */
static uint64_t feed(const iu_buf *b, iu_protocol p, const iu_message *m, random_source *r) {
  iu_coming c = {0};
  uint64_t rows = 0;
  uint32_t row = 0;
  for (size_t len = 0; len <= b->len; len += 1 + random_below(r, 1 + b->len / 3)) {
    if (len > b->len / 2 && random_below(r, 3) == 0) len = b->len;
    uint8_t *bytes = malloc(len + 1);
    memcpy(bytes, b->data, len);
    while (iu__coming_list(&c, p, bytes, len)) {
      iu_slice got;
      while (row < c.count && iu__coming_row(&c, bytes, len, row, &got)) {
        if (m != NULL) {
          assert_true(c.list < m->update_count);
          assert_int_equal(c.request, m->request);
          assert_int_equal(c.count, m->updates[c.list].inserts.count);
          assert_int_equal(c.name_len, m->updates[c.list].table.len);
          assert_memory_equal(bytes + c.name_at, m->updates[c.list].table.p, c.name_len);
          iu_slice there = iu__row_list_at(&m->updates[c.list].inserts, row);
          assert_int_equal(got.len, there.len);
          if (got.len != 0) assert_memory_equal(got.p, there.p, got.len);
        } else {
          for (size_t i = 0; i < got.len; i++) assert_true(got.p[i] <= 255); /* the sanitizer looks at each */
        }
        row++;
        rows++;
      }
      if (row < c.count) break;
      iu__coming_next(&c);
      row = 0;
    }
    free(bytes);
  }
  return rows;
}

static void rows_come_before_the_end(void **state) {
  random_source r = random_begin("rows that come");
  uint64_t some = 0;
  (void)state;
  for (int round = 0; round < ROUNDS; round++) {
    iu_protocol p = (iu_protocol)(IU_P_V1 + random_below(&r, 3));
    iu_buf b = {0};
    iu_payload payload;
    iu_message m;
    bool more;
    uint64_t all = 0;
    put_answer(&b, p, &r);
    assert_int_equal(iu__payload_open(&payload, p, b.data, b.len, CAP, NULL), IU_OK);
    assert_int_equal(iu__payload_next(&payload, &m, &more, NULL), IU_OK);
    for (uint32_t i = 0; i < m.update_count; i++) all += m.updates[i].inserts.count;
    uint64_t came = feed(&b, p, &m, &r);
    assert_true(came <= all);
    if (is_answer(&m)) some += came;
    iu__payload_close(&payload);
    iu__buf_free(&b);
  }
  assert_true(some > ROUNDS);
}

static void all_rows_are_there_when_all_bytes_are(void **state) {
  random_source r = random_begin("rows that are there");
  (void)state;
  for (int round = 0; round < ROUNDS; round++) {
    iu_buf b = {0};
    iu_payload payload;
    iu_message m;
    bool more;
    uint64_t all = 0;
    iu_coming c = {0};
    put_answer(&b, IU_P_V2, &r);
    assert_int_equal(iu__payload_open(&payload, IU_P_V2, b.data, b.len, CAP, NULL), IU_OK);
    assert_int_equal(iu__payload_next(&payload, &m, &more, NULL), IU_OK);
    for (uint32_t i = 0; i < m.update_count; i++) all += m.updates[i].inserts.count;
    for (; iu__coming_list(&c, IU_P_V2, b.data, b.len); iu__coming_next(&c)) {
      iu_slice row;
      for (uint32_t i = 0; i < c.count; i++, all--) assert_true(iu__coming_row(&c, b.data, b.len, i, &row));
    }
    assert_int_equal(all, 0);
    assert_true(c.over);
    iu__payload_close(&payload);
    iu__buf_free(&b);
  }
}

static void what_is_damaged_gives_no_row_that_the_whole_does_not_have(void **state) {
  random_source r = random_begin("damaged rows");
  (void)state;
  for (int round = 0; round < ROUNDS; round++) {
    iu_protocol p = (iu_protocol)random_below(&r, 4);
    iu_buf b = {0};
    iu_payload payload;
    iu_message m;
    bool more;
    put_answer(&b, p, &r);
    for (uint64_t n = random_below(&r, 4); n > 0; n--) b.data[random_below(&r, b.len)] = (uint8_t)random_next(&r);
    if (random_below(&r, 2) == 0) b.len = 1 + random_below(&r, b.len);
    iu_status status = iu__payload_open(&payload, p, b.data, b.len, CAP, NULL);
    if (status == IU_OK) status = iu__payload_next(&payload, &m, &more, NULL);
    (void)feed(&b, p, status == IU_OK && is_answer(&m) ? &m : NULL, &r);
    iu__payload_close(&payload);
    iu__buf_free(&b);
  }
}

static void other_messages_give_none(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof SERVER_VECTORS / sizeof *SERVER_VECTORS; i++) {
    const server_vector *v = &SERVER_VECTORS[i];
    uint8_t bytes[1024] = {0};
    size_t len = strlen(v->hex) / 2;
    iu_coming c = {0};
    assert_true(iu__unhex(bytes + 1, v->hex, len * 2));
    bool list = iu__coming_list(&c, v->protocol, bytes, len + 1);
    assert_int_equal(list, strcmp(v->id, "S2-5") == 0 || strcmp(v->id, "S1-10") == 0);
    bytes[0] = 2; /* compressed */
    c = (iu_coming){0};
    assert_false(iu__coming_list(&c, v->protocol, bytes, len + 1));
    assert_true(c.over);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(rows_come_before_the_end),
    cmocka_unit_test(all_rows_are_there_when_all_bytes_are),
    cmocka_unit_test(what_is_damaged_gives_no_row_that_the_whole_does_not_have),
    cmocka_unit_test(other_messages_give_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
