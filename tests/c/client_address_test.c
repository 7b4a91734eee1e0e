/* Where a client connects to and whom it trusts: IPv4, IPv6 and names, plain and over TLS with certificates that fit and that do not. The schema's request
 * comes first, so a token must not have left when the certificate is wrong; the WebSocket has to be as careful, also after a loss. */
#include "client_fixture.h"

#define V1 "v1.bsatn.spacetimedb"

enum { RIGHT, OTHER, SYSTEM };

static server v;
static client k;
static char ca[2][24];
static SSL_CTX *tls[2];

static void obey(socket_conn *s, int number) {
  say_hello(s, "token-of-server");
  asked a = ask_next(s);
  if (!a.gone) say_subscribed(s, &a, false, PEOPLE({7, "Bob"}));
  if (number == 0) await_cue(s, 1);
  else conn_drain(&s->c);
}

static int setup(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    strcpy(ca[i], "/tmp/iu_net_XXXXXX");
    tls[i] = peer_tls(ca[i], i == RIGHT ? "DNS:localhost,IP:127.0.0.1,IP:::1" : "DNS:other.test,IP:127.9.9.9,IP:::9");
  }
  return 0;
}
static int teardown(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    SSL_CTX_free(tls[i]);
    unlink(ca[i]);
  }
  return 0;
}
static int clean_up(void **state) {
  (void)state;
  v.cue = 1;
  client_close(&k);
  server_stop(&v);
  return 0;
}

static void open_at(const char *scheme, const char *host, iu_client_config config) {
  char url[64];
  snprintf(url, sizeof url, "%s://%s:%u", scheme, host, v.port);
  config.url = url;
  config.token = "secret";
  client_open_with(&k, &v, config);
}

static void plain_connections_to_both_kinds_of_addresses(void **state) {
  static const struct { const char *host; bool ipv6; } cases[] = {{"127.0.0.1", false}, {"[::1]", true}, {"localhost", false}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    server_start_on(&v, V1, obey, cases[i].ipv6, NULL);
    open_at("ws", cases[i].host, (iu_client_config){0});
    subscribe(&k, QUERY);
    wait_for(&k, "a1");
    assert_string_equal(v.seen_token[0], "secret");
    assert_string_equal(v.seen_token[1], "secret");
    clean_up(NULL);
  }
}

static void what_is_trusted_is_connected_to_and_nothing_else(void **state) {
  static const struct { const char *host; bool ipv6; int ca, certificate; bool insecure, good; } cases[] = {
    {"localhost", false, RIGHT, RIGHT, false, true},   {"127.0.0.1", false, RIGHT, RIGHT, false, true},  {"[::1]", true, RIGHT, RIGHT, false, true},
    {"127.0.0.1", false, SYSTEM, RIGHT, false, false}, {"127.0.0.1", false, OTHER, RIGHT, false, false}, {"localhost", false, OTHER, OTHER, false, false},
    {"127.0.0.1", false, OTHER, OTHER, false, false},  {"[::1]", true, OTHER, OTHER, false, false},      {"[::1]", true, SYSTEM, OTHER, true, true},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    iu_client_config config = {.tls = {cases[i].ca == SYSTEM ? NULL : ca[cases[i].ca], cases[i].insecure}};
    server_start_on(&v, V1, obey, cases[i].ipv6, tls[cases[i].certificate]);
    open_at("wss", cases[i].host, config);
    subscribe(&k, QUERY);
    wait_for(&k, cases[i].good ? "a1" : "X");
    if (cases[i].good) {
      v.cue = 1;
      wait_for(&k, "~ ? !"); /* again, as carefully */
      assert_string_equal(k.trace, "? S ! +7Bob, a1 ~ ? !");
    } else {
      assert_string_equal(k.trace, "? ~x X");
      if (strstr(k.why, "certificate") == NULL) fail_msg("%zu: %s", i, k.why);
      assert_string_equal(v.seen_token[0], "");
      assert_int_equal(v.sockets, 0);
    }
    clean_up(NULL);
  }
}

static void a_ca_file_that_is_none_is_named(void **state) {
  (void)state;
  server_start_on(&v, V1, obey, false, tls[RIGHT]);
  open_at("wss", "127.0.0.1", (iu_client_config){.tls = {"/tmp/iu-no-such-file.pem", false}});
  wait_for(&k, "X");
  if (strstr(k.why, "/tmp/iu-no-such-file.pem") == NULL) fail_msg("%s", k.why);
}

/* One side speaks TLS and the other one does not. */
static void mixed_up_schemes_fail(void **state) {
  (void)state;
  for (int to_tls = 0; to_tls < 2; to_tls++) {
    server_start_on(&v, V1, obey, false, to_tls ? tls[RIGHT] : NULL);
    open_at(to_tls ? "ws" : "wss", "127.0.0.1", (iu_client_config){.tls = {ca[RIGHT], false}, .connect_timeout_ms = 3000});
    wait_for(&k, "X");
    assert_string_equal(k.trace, "? ~x X");
    clean_up(NULL);
  }
}

#define TEST(name) cmocka_unit_test_teardown(name, clean_up)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(plain_connections_to_both_kinds_of_addresses),
      TEST(what_is_trusted_is_connected_to_and_nothing_else),
      TEST(a_ca_file_that_is_none_is_named),
      TEST(mixed_up_schemes_fail),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
