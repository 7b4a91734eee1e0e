/* echo.c: the module of tests/module: reducers and procedures that do what definition.h says, for any types. Compiled for wasm32 only, without a C
 * library; one instance, whose memory is these globals.
 */
#include <stddef.h>
#include <stdint.h>

enum { NOTHING, INSERT, UPDATE, DELETE, REFUSE, TRAP, ECHO };

#include "definition.h"

#define IMPORT(name) __attribute__((import_module("spacetime_10.0"), import_name(name))) extern
#define EXPORT(name) __attribute__((export_name(name)))
#define ARGS_MAX (4u << 20)
#define FAILED 1
#define VIEW_HAS_HEADER 2

IMPORT("table_id_from_name") uint32_t table_id(const char *name, size_t len, uint32_t *id);
IMPORT("index_id_from_name") uint32_t index_id(const char *name, size_t len, uint32_t *id);
IMPORT("datastore_insert_bsatn") uint32_t insert(uint32_t table, void *row, uint32_t *len);
IMPORT("datastore_update_bsatn") uint32_t update(uint32_t table, uint32_t index, void *row, uint32_t *len);
IMPORT("datastore_delete_all_by_eq_bsatn") uint32_t delete_equal(uint32_t table, void *rows, uint32_t len, uint32_t *count);
IMPORT("bytes_source_read") int32_t source_read(uint32_t source, void *to, uint32_t *len);
IMPORT("bytes_sink_write") int32_t sink_write(uint32_t sink, const void *bytes, uint32_t *len);

static uint8_t room[4 + ARGS_MAX]; /* a count of rows, and the arguments */
static uint8_t *const args_at = room + 4;

static size_t length(const char *text) {
  const volatile char *p = text;
  while (*p != '\0') p++;
  return (size_t)(p - text);
}

static void put(uint32_t sink, const void *bytes, uint32_t len) {
  for (const uint8_t *p = bytes; len > 0;) {
    uint32_t n = len;
    if (sink_write(sink, p, &n) != 0) return;
    p += n;
    len -= n;
  }
}

/* The arguments' length; handle 0 is no arguments. */
static uint32_t get(uint32_t source) {
  uint32_t len = 0;
  for (int32_t status = 0; source != 0 && status == 0 && len < ARGS_MAX;) {
    uint32_t n = ARGS_MAX - len;
    status = source_read(source, args_at + len, &n);
    len += n;
  }
  return len;
}

static int32_t ended(uint32_t errno_, uint32_t err) {
  char words[] = "errno 00";
  if (errno_ == 0) return 0;
  words[6] = (char)('0' + errno_ / 10 % 10);
  words[7] = (char)('0' + errno_ % 10);
  put(err, words, sizeof words - 1);
  return FAILED;
}

/* The arguments are a row. */
static uint32_t store(uint32_t id, uint32_t len) {
  uint32_t table, index, count = 0, status = table_id(reducers[id].table, length(reducers[id].table), &table);
  if (status != 0) return status;
  if (reducers[id].what == INSERT) return insert(table, args_at, &len);
  if (reducers[id].what == UPDATE) {
    status = index_id(reducers[id].index, length(reducers[id].index), &index);
    return status != 0 ? status : update(table, index, args_at, &len);
  }
  room[0] = 1;
  room[1] = room[2] = room[3] = 0;
  status = delete_equal(table, room, 4 + len, &count);
  return status == 0 && count != 1 ? 99 : status;
}

EXPORT("__describe_module__") void describe(uint32_t sink) { put(sink, definition, sizeof definition); }
EXPORT("__describe_module_v10__") void describe_sections(uint32_t sink) { put(sink, definition + 1, sizeof definition - 1); }

EXPORT("__call_reducer__")
int32_t call_reducer(uint32_t id, uint64_t sender_0, uint64_t sender_1, uint64_t sender_2, uint64_t sender_3, uint64_t conn_0, uint64_t conn_1,
                     uint64_t timestamp, uint32_t args, uint32_t err) {
  uint32_t len = get(args);
  (void)sender_0, (void)sender_1, (void)sender_2, (void)sender_3, (void)conn_0, (void)conn_1, (void)timestamp;
  switch (reducers[id].what) {
    case NOTHING: return 0;
    case TRAP: __builtin_trap();
    case REFUSE: /* the words are a String */
      put(err, args_at + 4, len - 4);
      return FAILED;
    default: return ended(store(id, len), err);
  }
}

EXPORT("__call_procedure__")
int32_t call_procedure(uint32_t id, uint64_t sender_0, uint64_t sender_1, uint64_t sender_2, uint64_t sender_3, uint64_t conn_0, uint64_t conn_1,
                       uint64_t timestamp, uint32_t args, uint32_t sink) {
  (void)sender_0, (void)sender_1, (void)sender_2, (void)sender_3, (void)conn_0, (void)conn_1, (void)timestamp;
  if (procedures[id] == TRAP) __builtin_trap();
  if (procedures[id] == ECHO) put(sink, args_at, get(args));
  return 0;
}

/* Both views have their rows from a query. */
EXPORT("__call_view_anon__") int32_t call_view(uint32_t id, uint32_t args, uint32_t sink) {
  static const uint8_t header[] = "\1\x16\0\0\0SELECT * FROM t_string";
  (void)id, (void)args;
  put(sink, header, sizeof header - 1);
  return VIEW_HAS_HEADER;
}
