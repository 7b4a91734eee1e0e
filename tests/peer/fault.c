/* fault.c: what goes wrong on purpose (server.h; the list for people is in README.md). */
#include <stdio.h>
#include <stdlib.h>

#include "../../core/sats/json.h"
#include "server.h"

void peer__fault_init(peer_fault *f) {
  *f = (peer_fault){.cut_after = -1, .cut_in_after = -1, .cut_http_after = -1, .drop_before = -1, .drop_after = -1, .answer_bytes = -1,
                    .fragment = PEER_FRAGMENT};
}

/* xorshift64*: the seed decides everything. */
uint32_t peer__chance(peer_server *s, uint32_t below) {
  s->random ^= s->random >> 12;
  s->random ^= s->random << 25;
  s->random ^= s->random >> 27;
  return (uint32_t)((s->random * 0x2545F4914F6CDD1Dull) >> 33) % below;
}

static bool counts_down(int64_t *calls) {
  if (*calls < 0) return false;
  return (*calls)-- == 0;
}

peer_drop peer__fault_at_call(peer_server *s) {
  peer_fault *f = &s->fault;
  bool before = counts_down(&f->drop_before), after = counts_down(&f->drop_after);
  if (before || (f->drop_before_permille != 0 && peer__chance(s, 1000) < f->drop_before_permille)) return PEER_DROP_BEFORE;
  return after || (f->drop_after_permille != 0 && peer__chance(s, 1000) < f->drop_after_permille) ? PEER_DROP_AFTER : PEER_DROP_NOT;
}

/* ---- at once, on every WebSocket link ---- */

typedef struct act { peer_link *link; int64_t number; const iu_json *value; } act;

static void do_stall(const act *a) { peer__link_stall(a->link, a->number); }
static void do_fail_set(const act *a) { peer__fail_set(a->link, (uint32_t)a->number); }
static void do_cut(const act *a) { peer__link_cut(a->link); }

static void do_close(const act *a) { peer__websocket_close(a->link, (uint16_t)a->number, "closed by a fault"); }

/* So many random bytes as one message, or as they are into the stream. */
static void do_random(const act *a, bool framed) {
  size_t len = (size_t)a->number;
  uint8_t *bytes = malloc(len + 1);
  if (bytes == NULL) abort();
  for (size_t i = 0; i < len; i++) bytes[i] = (uint8_t)peer__chance(a->link->server, 256);
  if (framed) peer__websocket_send_payload(a->link, bytes, len);
  else peer__link_put(a->link, bytes, len, 0);
  free(bytes);
}
static void do_random_message(const act *a) { do_random(a, true); }
static void do_random_bytes(const act *a) { do_random(a, false); }

/* A valid message of so many MiB, compressed to next to nothing: an error of a one-off query nobody asked. */
static void do_bomb(const act *a, char how) {
  size_t len = (size_t)a->number << 20;
  iu_buf head = {0}, payload = {0};
  peer_message m = {.kind = IU_M_ONE_OFF, .outcome = IU_OUT_FAILED, .request = UINT32_MAX, .value = {(const uint8_t *)"", 0}, .text = {(const uint8_t *)"", 0}};
  peer__put_message(&head, a->link->protocol, &m);
  if (a->link->protocol == IU_P_V1) head.len -= 12; /* the tables and the duration come out of the zeros */
  iu__buf_patch_u32(&head, head.len - 4, (uint32_t)len);
  iu__buf_put_u8(&payload, how == 'b' ? 1 : 2);
  peer__bomb(how, &head, a->link->protocol == IU_P_V1 ? len + 12 : len, &payload);
  peer__websocket_send_payload(a->link, payload.data, payload.len);
  iu__buf_free(&head);
  iu__buf_free(&payload);
}
static void do_bomb_gzip(const act *a) { do_bomb(a, 'g'); }
static void do_bomb_brotli(const act *a) { do_bomb(a, 'b'); }

/* Bytes given in hex, as one message. */
static void do_message(const act *a) {
  size_t len = a->value->token == IU_J_STRING ? a->value->len / 2 : 0;
  uint8_t *bytes = malloc(len + 1);
  if (bytes == NULL) abort();
  for (size_t i = 0; i < len; i++) {
    char two[3] = {a->value->u.s[2 * i], a->value->u.s[2 * i + 1], '\0'};
    bytes[i] = (uint8_t)strtoul(two, NULL, 16);
  }
  peer__websocket_send_payload(a->link, bytes, len);
  free(bytes);
}

static const struct { const char *name; void (*fn)(const act *a); } acts[] = {
  {"stall_ms", do_stall}, {"fail_set", do_fail_set}, {"cut", do_cut}, {"close", do_close}, {"random_message", do_random_message},
  {"random_bytes", do_random_bytes}, {"bomb_gzip_mb", do_bomb_gzip}, {"bomb_brotli_mb", do_bomb_brotli}, {"message", do_message}};

static bool act_on_all(peer_server *s, const char *name, int64_t number, const iu_json *value) {
  for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
    if (strcmp(acts[i].name, name) != 0) continue;
    for (peer_link *l = s->links; l != NULL; l = l->next) {
      act a = {l, number, value};
      if (l->websocket && !l->closing && l->session != NULL) acts[i].fn(&a);
    }
    return true;
  }
  return false;
}

/* ---- settings ---- */

static bool set(peer_server *s, const char *name, int64_t n) {
  peer_fault *f = &s->fault;
  struct { const char *name; int64_t *wide; uint32_t *narrow; bool *flag; } settings[] = {
    {"cut_after", &f->cut_after, NULL, NULL}, {"cut_in_after", &f->cut_in_after, NULL, NULL}, {"cut_http_after", &f->cut_http_after, NULL, NULL},
    {"drop_before", &f->drop_before, NULL, NULL}, {"drop_after", &f->drop_after, NULL, NULL}, {"answer_bytes", &f->answer_bytes, NULL, NULL},
    {"write_size", NULL, &f->write_size, NULL}, {"fragment", NULL, &f->fragment, NULL},
    {"drop_before_permille", NULL, &f->drop_before_permille, NULL}, {"drop_after_permille", NULL, &f->drop_after_permille, NULL},
    {"clock_ahead_s", NULL, &f->clock_ahead_s, NULL}, {"schema_delay_ms", NULL, &f->schema_delay_ms, NULL}, {"upgrade_delay_ms", NULL, &f->upgrade_delay_ms, NULL},
    {"ping_ms", NULL, &s->ping_ms, NULL}, {"idle_ms", NULL, &s->idle_ms, NULL},
    {"extra_schema", NULL, NULL, &f->extra_schema}, {"event_table", NULL, NULL, &f->event_table}, {"views", NULL, NULL, &f->views}, {"refuse_token", NULL, NULL, &f->refuse_token},
    {"refuse_connect", NULL, NULL, &f->refuse_connect}, {"hide_databases", NULL, NULL, &f->hide_databases}, {"hold", NULL, NULL, &f->hold}};
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
    if (strcmp(settings[i].name, name) != 0) continue;
    if (settings[i].wide != NULL) *settings[i].wide = n;
    if (settings[i].narrow != NULL) *settings[i].narrow = (uint32_t)n;
    if (settings[i].flag != NULL) *settings[i].flag = n != 0;
    return true;
  }
  return false;
}

/* { "status": n, "body": text } */
static bool set_http_answer(peer_fault *f, const iu_json *value) {
  const iu_json *status = value->token == IU_J_OBJECT ? iu__json_get(value, "status", 6) : NULL, *body = status != NULL ? iu__json_get(value, "body", 4) : NULL;
  if (status == NULL || status->token != IU_J_INT || body == NULL || body->token != IU_J_STRING || body->len >= sizeof f->http_body) return false;
  f->http_status = (int)status->u.i;
  memcpy(f->http_body, body->u.s, body->len);
  f->http_body[body->len] = '\0';
  return true;
}

static bool apply(peer_server *s, const char *name, const iu_json *value) {
  int64_t n = value->token == IU_J_INT ? value->u.i : value->token == IU_J_TRUE ? 1 : 0;
  if (strcmp(name, "reset") == 0) peer__fault_init(&s->fault);
  else if (strcmp(name, "seed") == 0) s->random = (uint64_t)n * 2 + 1;
  else if (strcmp(name, "restart_ms") == 0) peer__restart(s, (uint32_t)n);
  else if (strcmp(name, "http_answer") == 0) return set_http_answer(&s->fault, value);
  else return set(s, name, n) || act_on_all(s, name, n, value);
  return true;
}

iu_status peer__fault_apply(peer_server *s, const void *json, size_t len, iu_error *err) {
  iu_arena arena = {0};
  iu_json *doc = iu__json_parse(&arena, json, len, err);
  iu_status status = doc == NULL ? err->status : doc->token != IU_J_OBJECT ? iu__fail(err, IU_E_VALIDATION, "faults: expected an object") : IU_OK;
  bool held = s->fault.hold;
  for (size_t i = 0; status == IU_OK && i < doc->len; i++) {
    const iu_json_member *m = &doc->u.members[i];
    char name[32];
    snprintf(name, sizeof name, "%.*s", (int)(m->key_len < sizeof name ? m->key_len : sizeof name - 1), m->key);
    if (!apply(s, name, &m->value)) status = iu__fail(err, IU_E_VALIDATION, "faults: `%s` is none", name);
  }
  iu__arena_free(&arena);
  for (peer_link *l = s->links; held && !s->fault.hold && l != NULL; l = l->next) {
    if (l->websocket && !l->closing) peer__websocket_work(l);
  }
  return status;
}
