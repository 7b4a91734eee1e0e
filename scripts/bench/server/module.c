/* module.c: the module that the server benchmark publishes: one table of 100-byte rows, and reducers that fill it. wasm32, spacetime_10.0.
 *
 *   item(id U64 primary key, payload String): 8 + 4 + 88 bytes
 *   add(id U64)                    one row
 *   fill(first U64, count U32)     `count` rows in one transaction
 *   noop()
 *
 * Rows and definition are laid out by hand (protocol sheet: BSATN, RawModuleDef V9), so that nothing but the host's own work is measured.
 */
#include <stddef.h>
#include <stdint.h>

#define IMPORT(name) __attribute__((import_module("spacetime_10.0"), import_name(name))) extern
#define EXPORT(name) __attribute__((export_name(name)))

IMPORT("bytes_source_read") uint32_t bytes_source_read(uint32_t source, uint8_t *buf, uint32_t *len);
IMPORT("bytes_sink_write") uint32_t bytes_sink_write(uint32_t sink, const uint8_t *buf, uint32_t *len);
IMPORT("table_id_from_name") uint32_t table_id_from_name(const char *name, uint32_t len, uint32_t *out);
IMPORT("datastore_insert_bsatn") uint32_t datastore_insert_bsatn(uint32_t table, uint8_t *row, uint32_t *len);

enum { PAYLOAD = 88, ROW = 8 + 4 + PAYLOAD };
enum { ADD, FILL, NOOP };
enum { TYPE_STRING = 4, TYPE_U32 = 11, TYPE_U64 = 13 };

/* ---- the definition ---- */

static uint8_t definition[1024];
static uint32_t defined;

static void u8(uint8_t v) { definition[defined++] = v; }
static void u16(uint16_t v) {
  u8((uint8_t)v);
  u8((uint8_t)(v >> 8));
}
static void u32(uint32_t v) {
  u16((uint16_t)v);
  u16((uint16_t)(v >> 16));
}
static void text(const char *s) {
  uint32_t len = 0;
  while (s[len] != '\0') len++;
  u32(len);
  for (uint32_t i = 0; i < len; i++) u8((uint8_t)s[i]);
}
static void some_text(const char *s) {
  u8(0);
  text(s);
}
static void field(const char *name, uint8_t type) {
  some_text(name);
  u8(type);
}
static void columns(uint16_t column) {
  u32(1);
  u16(column);
}
static void end_reducer(void) { u8(1); } /* no lifecycle */

static void define(void) {
  defined = 0;
  u8(1); /* V9 */
  u32(1); /* types */
  u8(2); /* a product */
  u32(2);
  field("id", TYPE_U64);
  field("payload", TYPE_STRING);
  u32(1); /* tables */
  text("item");
  u32(0); /* the row's type */
  columns(0); /* primary key */
  u32(1); /* indexes */
  u8(1); /* no name: it is generated */
  some_text("id");
  u8(0); /* btree */
  columns(0);
  u32(1); /* constraints */
  u8(1);
  u8(0); /* unique */
  columns(0);
  u32(0); /* sequences */
  u8(1); /* no schedule */
  u8(1); /* user table */
  u8(0); /* public */
  u32(3); /* reducers */
  text("add");
  u32(1);
  field("id", TYPE_U64);
  end_reducer();
  text("fill");
  u32(2);
  field("first", TYPE_U64);
  field("count", TYPE_U32);
  end_reducer();
  text("noop");
  u32(0);
  end_reducer();
  u32(1); /* type names */
  u32(0);
  text("Item");
  u32(0);
  u8(1); /* the order of fields is ours */
  u32(0); /* other exports */
  u32(0); /* row level security */
}

EXPORT("__describe_module__") void describe_module(uint32_t sink) {
  uint32_t at = 0;
  define();
  while (at < defined) {
    uint32_t len = defined - at;
    if (bytes_sink_write(sink, definition + at, &len) != 0) return;
    at += len;
  }
}

/* ---- the reducers ---- */

static uint8_t arguments[64];

static uint32_t read_arguments(uint32_t source) {
  uint32_t n = 0, status = 0;
  while (source != 0 && status == 0 && n < sizeof arguments) {
    uint32_t len = (uint32_t)sizeof arguments - n;
    status = bytes_source_read(source, arguments + n, &len);
    n += len;
  }
  return n;
}

static uint64_t number(uint32_t at, uint32_t size) {
  uint64_t v = 0;
  for (uint32_t i = 0; i < size; i++) v |= (uint64_t)arguments[at + i] << (8 * i);
  return v;
}

/* Letters that do not compress to nothing, from the id alone (xorshift64*, Vigna 2016). */
static void payload(uint64_t id, uint8_t *out) {
  uint64_t x = (id + 1) * 0x9E3779B97F4A7C15u;
  for (uint32_t i = 0; i < PAYLOAD; i++) {
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    out[i] = (uint8_t)('a' + ((x * 0x2545F4914F6CDD1Du) >> 40) % 26);
  }
}

static uint32_t insert(uint32_t table, uint64_t id) {
  uint8_t row[ROW];
  uint32_t len = ROW;
  for (uint32_t i = 0; i < 8; i++) row[i] = (uint8_t)(id >> (8 * i));
  row[8] = PAYLOAD;
  row[9] = row[10] = row[11] = 0;
  payload(id, row + 12);
  return datastore_insert_bsatn(table, row, &len);
}

static uint32_t refuse(uint32_t err, const char *why) {
  uint32_t len = 0;
  while (why[len] != '\0') len++;
  bytes_sink_write(err, (const uint8_t *)why, &len);
  return 1;
}

EXPORT("__call_reducer__")
uint32_t call_reducer(uint32_t id, uint64_t s0, uint64_t s1, uint64_t s2, uint64_t s3, uint64_t c0, uint64_t c1, uint64_t time, uint32_t args,
                      uint32_t err) {
  uint32_t table, given = read_arguments(args);
  (void)s0, (void)s1, (void)s2, (void)s3, (void)c0, (void)c1, (void)time;
  if (id == NOOP) return 0;
  if (given != (id == ADD ? 8 : 12)) return refuse(err, "wrong arguments");
  if (table_id_from_name("item", 4, &table) != 0) return refuse(err, "no table `item`");
  uint64_t first = number(0, 8), count = id == ADD ? 1 : number(8, 4);
  for (uint64_t i = 0; i < count; i++) {
    if (insert(table, first + i) != 0) return refuse(err, "the id is taken");
  }
  return 0;
}
