/* protocol_peer.c: core/protocol behind lines of text, for comparison with another implementation. One command a line, one line of answer.
 *
 *   read PROTOCOL xHEX                             a payload -> its messages as a JSON array; ` error: TEXT` follows when reading failed
 *   call|procedure PROTOCOL REQUEST xNAME xARGS    -> the client message in hex
 *   subscribe PROTOCOL REQUEST SET xQUERY...
 *   unsubscribe PROTOCOL REQUEST SET 0|1
 *   one_off PROTOCOL REQUEST xQUERY
 *
 * PROTOCOL is 1, 2 or 3; bytes are x and their hex. A malformed command ends the program with status 2.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/base/hash.h"
#include "../../core/protocol/message.h"

#define QUERIES_MAX 64
#define CAP ((size_t)64 << 20)

static void stop(const char *why) {
  fprintf(stderr, "protocol_peer: %s\n", why);
  exit(2);
}

/* ---- arguments ---- */

static char *word(char **line) {
  char *w = strsep(line, " \n");
  if (w == NULL) stop("a word is missing");
  return w;
}

static uint32_t number(char **line) { return (uint32_t)strtoul(word(line), NULL, 10); }

static iu_protocol protocol(char **line) {
  uint32_t n = number(line);
  if (n < 1 || n > 3) stop("no such protocol");
  return (iu_protocol)(IU_P_V1 + n - 1);
}

/* Decoded over the text itself; a terminator follows. */
static iu_slice bytes(char **line) {
  char *w = word(line);
  size_t len = strlen(w);
  if (w[0] != 'x' || len % 2 != 1) stop("bytes are x and hex");
  uint8_t *out = malloc(len / 2 + 1);
  if (out == NULL || (len > 1 && !iu__unhex(out, w + 1, len - 1))) stop("bad hex");
  memcpy(w, out, len / 2);
  w[len / 2] = '\0';
  free(out);
  return (iu_slice){(const uint8_t *)w, len / 2};
}

/* ---- answers ---- */

static void put_hex(const void *p, size_t len) {
  for (size_t i = 0; i < len; i++) printf("%02x", ((const uint8_t *)p)[i]);
}

static void put_field(const char *name, const void *p, size_t len) {
  printf(",\"%s\":\"", name);
  put_hex(p, len);
  putchar('"');
}

static void put_rows(const char *name, const iu_row_list *rows) {
  printf(",\"%s\":[", name);
  for (uint32_t i = 0; i < rows->count; i++) {
    iu_slice row = iu__row_list_at(rows, i);
    printf("%s\"", i != 0 ? "," : "");
    put_hex(row.p, row.len);
    putchar('"');
  }
  putchar(']');
}

static void put_update(const iu_table_update *u) {
  printf("{\"event\":%s,\"set\":%lld", u->event_table ? "true" : "false", u->has_set ? (long long)u->set : -1);
  put_field("table", u->table.p, u->table.len);
  put_rows("inserts", &u->inserts);
  put_rows("deletes", &u->deletes);
  putchar('}');
}

static void put_message(const iu_message *m) {
  static const char *const kinds[] = {"connected", "subscribed", "unsubscribed", "subscription_error", "transaction", "call_result", "one_off", "procedure",
                                      "initial"};
  static const char *const outcomes[] = {"committed", "failed", "internal", "no_energy"};
  printf("{\"kind\":\"%s\",\"outcome\":\"%s\",\"ok\":%s,\"has_rows\":%s", kinds[m->kind], outcomes[m->outcome], m->ok ? "true" : "false",
         m->has_rows ? "true" : "false");
  printf(",\"request\":%lld,\"set\":%lld", m->has_request ? (long long)m->request : -1, m->has_set ? (long long)m->set : -1);
  printf(",\"timestamp\":\"%lld\",\"duration\":\"%lld\"", (long long)m->timestamp, (long long)m->duration);
  put_field("identity", m->identity, sizeof m->identity);
  put_field("connection", m->connection_id, sizeof m->connection_id);
  put_field("token", m->token.p, m->token.len);
  put_field("text", m->text.p, m->text.len);
  put_field("value", m->value.p, m->value.len);
  printf(",\"updates\":[");
  for (uint32_t i = 0; i < m->update_count; i++) {
    if (i != 0) putchar(',');
    put_update(&m->updates[i]);
  }
  printf("]}");
}

static void read_payload(char **line) {
  iu_protocol p = protocol(line);
  iu_slice payload = bytes(line);
  iu_payload open;
  iu_message m;
  iu_error err;
  bool more = true;
  iu_status status = iu__payload_open(&open, p, payload.p, payload.len, CAP, &err);
  putchar('[');
  for (uint32_t i = 0; status == IU_OK; i++) {
    status = iu__payload_next(&open, &m, &more, &err);
    if (status != IU_OK || !more) break;
    if (i != 0) putchar(',');
    put_message(&m);
  }
  iu__payload_close(&open);
  if (status == IU_OK) puts("]");
  else printf("] error: %s\n", err.message);
}

static void put_call(iu_buf *b, bool procedure, char **line) {
  iu_protocol p = protocol(line);
  uint32_t request = number(line);
  iu_slice name = bytes(line), args = bytes(line);
  iu_status status = procedure ? iu__put_procedure(b, p, request, (const char *)name.p, NULL, args, NULL)
                               : iu__put_call(b, p, request, (const char *)name.p, NULL, args, false, NULL);
  if (status != IU_OK) stop("a call was not written");
}

static void put_subscribe(iu_buf *b, char **line) {
  iu_protocol p = protocol(line);
  uint32_t request = number(line), set = number(line), count = 0;
  iu_slice queries[QUERIES_MAX];
  while (*line != NULL && (*line)[0] == 'x') {
    if (count == QUERIES_MAX) stop("too many queries");
    queries[count++] = bytes(line);
  }
  iu__put_subscribe(b, p, request, set, queries, count);
}

static void put_unsubscribe(iu_buf *b, char **line) {
  iu_protocol p = protocol(line);
  uint32_t request = number(line), set = number(line);
  iu__put_unsubscribe(b, p, request, set, number(line) != 0);
}

static void put_one_off(iu_buf *b, char **line) {
  iu_protocol p = protocol(line);
  uint32_t request = number(line);
  iu__put_one_off(b, p, request, bytes(line));
}

static void answer(char *line) {
  iu_buf b = {0};
  char *command = word(&line);
  if (strcmp(command, "read") == 0) {
    read_payload(&line);
    return;
  }
  if (strcmp(command, "call") == 0 || strcmp(command, "procedure") == 0) put_call(&b, command[0] == 'p', &line);
  else if (strcmp(command, "subscribe") == 0) put_subscribe(&b, &line);
  else if (strcmp(command, "unsubscribe") == 0) put_unsubscribe(&b, &line);
  else if (strcmp(command, "one_off") == 0) put_one_off(&b, &line);
  else stop("no such command");
  put_hex(b.data, b.len);
  putchar('\n');
  iu__buf_free(&b);
}

int main(void) {
  char *line = NULL;
  size_t cap = 0;
  while (getline(&line, &cap, stdin) > 0) answer(line);
  free(line);
  return 0;
}
