/* sqlite.c: entities with audit events in SQLite, as a careful C program writes them: prepared statements, a write-ahead log, every commit synced.
 * sqlite WORK FOLDER COUNT prints the seconds. Tables, indexes and texts are those of the universe. */
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char schema[] =
  "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
  "CREATE TABLE entity (id TEXT PRIMARY KEY, entity_type TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, name TEXT,"
  "  description TEXT, tags TEXT NOT NULL, properties TEXT NOT NULL) WITHOUT ROWID;"
  "CREATE INDEX entity_type ON entity (entity_type); CREATE INDEX entity_created ON entity (created_at);"
  "CREATE TABLE event_log (event_id TEXT PRIMARY KEY, sequence INTEGER NOT NULL UNIQUE, event_type TEXT NOT NULL, source TEXT NOT NULL,"
  "  timestamp INTEGER NOT NULL, actor TEXT NOT NULL, data TEXT NOT NULL) WITHOUT ROWID;"
  "CREATE INDEX event_type ON event_log (event_type); CREATE INDEX event_timestamp ON event_log (timestamp);"
  "CREATE TABLE event_head (id INTEGER PRIMARY KEY, sequence INTEGER, count INTEGER, bytes INTEGER); INSERT INTO event_head VALUES (0, 0, 0, 0);";

static const char actor[] = "29ece5f6550ed2a403e34ffaaea118450aeb201bfd12fc5c1b6a8b159dafdeca";

static sqlite3 *db;
static sqlite3_stmt *put_entity, *put_event, *move_head, *begin, *commit;

static void must(int ok) {
  if (ok) return;
  fprintf(stderr, "%s\n", db != NULL ? sqlite3_errmsg(db) : "no database");
  exit(1);
}
static sqlite3_stmt *prepare(const char *sql) {
  sqlite3_stmt *st;
  must(sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL) == SQLITE_OK);
  return st;
}
static void run(sqlite3_stmt *st) {
  must(sqlite3_step(st) == SQLITE_DONE);
  sqlite3_reset(st);
}
static void text(sqlite3_stmt *st, int at, const char *s) { sqlite3_bind_text(st, at, s, -1, SQLITE_STATIC); }

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
static int64_t micros(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* A UUIDv7: in the order of time, as ours are. */
static void make_id(char out[48], int64_t at) {
  static uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
  uint64_t ms = (uint64_t)at / 1000;
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  snprintf(out, 48, "%08x-%04x-7%03x-%04x-%012llx", (unsigned)(ms >> 16), (unsigned)(ms & 0xffff), (unsigned)(at % 1000) << 2,
           (unsigned)(state >> 50 | 0x8000), (unsigned long long)(state & UINT64_C(0xffffffffffff)));
}

static void create(long i) {
  char id[48], event[48], name[32], properties[96], data[256];
  int64_t at = micros();
  make_id(id, at);
  make_id(event, at);
  snprintf(name, sizeof name, "item %ld", i);
  snprintf(properties, sizeof properties, "{\"number\":%ld,\"weight\":%.1f}", i, (double)i / 2);
  snprintf(data, sizeof data, "{\"entity_id\":\"%s\",\"entity_type\":\"Item\",\"name\":\"%s\"}", id, name);
  text(put_entity, 1, id);
  sqlite3_bind_int64(put_entity, 2, at);
  text(put_entity, 3, name);
  text(put_entity, 4, properties);
  run(put_entity);
  sqlite3_bind_int64(move_head, 1, (int64_t)strlen(data));
  must(sqlite3_step(move_head) == SQLITE_ROW);
  sqlite3_bind_int64(put_event, 2, sqlite3_column_int64(move_head, 0));
  must(sqlite3_step(move_head) == SQLITE_DONE);
  sqlite3_reset(move_head);
  text(put_event, 1, event);
  text(put_event, 3, id);
  sqlite3_bind_int64(put_event, 4, at);
  text(put_event, 5, actor);
  text(put_event, 6, data);
  run(put_event);
}

int main(int argc, char **argv) {
  char path[4096];
  long count, batch;
  if (argc != 4) return 2;
  batch = strcmp(argv[1], "create_batch") == 0 ? 100 : strcmp(argv[1], "create_single") == 0 ? 1 : 0;
  if (batch == 0) return 2;
  count = atol(argv[3]);
  snprintf(path, sizeof path, "%s/bench.sqlite", argv[2]);
  must(sqlite3_open(path, &db) == SQLITE_OK && sqlite3_exec(db, schema, NULL, NULL, NULL) == SQLITE_OK);
  put_entity = prepare("INSERT INTO entity VALUES (?1, 'Item', ?2, ?2, ?3, NULL, '[\"bench\"]', ?4)");
  put_event = prepare("INSERT INTO event_log VALUES (?1, ?2, 'ENTITY_CREATED', ?3, ?4, ?5, ?6)");
  move_head = prepare("UPDATE event_head SET sequence = sequence + 1, count = count + 1, bytes = bytes + ?1 WHERE id = 0 RETURNING sequence");
  begin = prepare("BEGIN IMMEDIATE");
  commit = prepare("COMMIT");
  double started = seconds();
  for (long i = 1; i <= count; i++) {
    if (i % batch == 1 % batch) run(begin);
    create(i);
    if (i % batch == 0) run(commit);
  }
  printf("%.6f\n", seconds() - started);
  return 0;
}
