/* bare.c: what a server can do when the client is nothing but a loop: the yardstick of the server benchmark. Sockets and a few bytes, no library.
 *
 *   bare PORT DATABASE v1|v2|v3 calls COUNT IN_FLIGHT FIRST   COUNT calls of add(FIRST + i); prints calls a second
 *   bare PORT DATABASE v1|v2|v3 rows                          one subscription to `item`; prints milliseconds until its answer is complete, and bytes
 *
 * Loopback only. Every call is answered; a refused one ends the program. The messages are those of the protocol sheet (5, 6), laid out by hand.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 1 << 20 };

typedef struct peer {
  int fd, version;
  uint8_t in[ROOM];
  size_t in_len;
  uint8_t out[ROOM];
  size_t out_len, out_at;
  uint64_t received, answered, message; /* bytes; answers to calls; bytes of the message that is coming */
  uint8_t head[64];                      /* how it starts */
  bool applied;
} peer;

static void die(const char *what) {
  fprintf(stderr, "bare: %s%s%s\n", what, errno != 0 ? ": " : "", errno != 0 ? strerror(errno) : "");
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void little(uint8_t *p, uint64_t v, int size) {
  for (int i = 0; i < size; i++) p[i] = (uint8_t)(v >> (8 * i));
}
/* ---- connecting ---- */

static void dial(peer *p, int port, const char *database) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  char text[1024];
  int on = 1, n;
  size_t len = 0;
  p->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (p->fd < 0 || connect(p->fd, (struct sockaddr *)&at, sizeof at) != 0) die("cannot connect");
  setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  n = snprintf(text, sizeof text,
               "GET /v1/database/%s/subscribe?compression=None HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: v%d.bsatn.spacetimedb\r\n\r\n",
               database, p->version);
  if (n < 0 || write(p->fd, text, (size_t)n) != n) die("cannot ask for the upgrade");
  while (len < 4 || memcmp(text + len - 4, "\r\n\r\n", 4) != 0) {
    if (len == sizeof text - 1 || read(p->fd, text + len, 1) != 1) die("no upgrade");
    len++;
  }
  text[len] = '\0';
  if (strncmp(text, "HTTP/1.1 101", 12) != 0) die(text);
  fcntl(p->fd, F_SETFL, O_NONBLOCK);
}

/* ---- sending: masked with zeros, which leaves the bytes as they are ---- */

static bool put(peer *p, const uint8_t *bytes, size_t len) {
  if (ROOM - p->out_len < len + 8 || len > 65535) return false;
  uint8_t *o = p->out + p->out_len;
  *o++ = 0x82;
  if (len < 126) *o++ = (uint8_t)(0x80 | len);
  else {
    *o++ = 0x80 | 126;
    *o++ = (uint8_t)(len >> 8);
    *o++ = (uint8_t)len;
  }
  memset(o, 0, 4);
  memcpy(o + 4, bytes, len);
  p->out_len = (size_t)(o + 4 + len - p->out);
  return true;
}

static bool put_call(peer *p, uint32_t request, uint64_t id) {
  uint8_t m[32];
  size_t n = 0;
  if (p->version == 1) { /* tag, reducer, args, request, flags */
    m[n++] = 0;
    little(m + n, 3, 4), memcpy(m + n + 4, "add", 3), n += 7;
    little(m + n, 8, 4), little(m + n + 4, id, 8), n += 12;
    little(m + n, request, 4), n += 4;
    m[n++] = 0;
  } else { /* tag, request, flags, reducer, args */
    m[n++] = 3;
    little(m + n, request, 4), n += 4;
    m[n++] = 0;
    little(m + n, 3, 4), memcpy(m + n + 4, "add", 3), n += 7;
    little(m + n, 8, 4), little(m + n + 4, id, 8), n += 12;
  }
  return put(p, m, n);
}

static void put_subscribe(peer *p) {
  static const char sql[] = "SELECT * FROM item";
  uint8_t m[64];
  size_t n = 0;
  m[n++] = p->version == 1 ? 4 : 0;
  if (p->version != 1) little(m + n, 1, 4), little(m + n + 4, 1, 4), n += 8;
  little(m + n, 1, 4), little(m + n + 4, sizeof sql - 1, 4), n += 8;
  memcpy(m + n, sql, sizeof sql - 1), n += sizeof sql - 1;
  if (p->version == 1) little(m + n, 1, 4), little(m + n + 4, 1, 4), n += 8;
  if (!put(p, m, n)) die("no room for a subscription");
}

/* ---- receiving ---- */

/* A whole message that fits in `head`, or the start of a longer one. */
static void take_message(peer *p) {
  const uint8_t *m = p->head + 1;
  uint64_t left = p->message - 1;
  if (p->head[0] != 0) die("a compressed message, though none was asked for");
  if (p->version == 1) {
    if (m[0] == 1) {
      if (m[1] != 0) die("a call was refused");
      p->answered++;
    }
    p->applied = p->applied || m[0] == 8;
    return;
  }
  p->applied = p->applied || m[0] == 1;
  while (left >= 14 && m[0] == 6) { /* v3 packs several into one payload: ReducerResult, Ok, no value, no query sets: 22 bytes */
    if (m[13] != 0) die("a call was refused");
    p->answered++;
    if (left < 22) break;
    left -= 22;
    m += 22;
  }
}

/* A payload of many answers is larger than `head`: their number follows from its length. */
static void take_long(peer *p) {
  if (p->version == 3 && p->head[1] == 6) {
    if ((p->message - 1) % 22 != 0) die("answers of another length than those of plain calls");
    p->answered += (p->message - 1) / 22;
  } else {
    take_message(p);
  }
}

static void take_frames(peer *p) {
  size_t at = 0;
  for (;;) {
    size_t left = p->in_len - at, head = 2;
    const uint8_t *f = p->in + at;
    bool last, cut = false;
    uint64_t len;
    if (left < 2) break;
    last = (f[0] & 128) != 0;
    len = f[1] & 127;
    if (len == 126) head = 4;
    if (len == 127) head = 10;
    if (left < head) break;
    if (head == 4) len = (uint64_t)f[2] << 8 | f[3];
    if (head == 10) {
      len = 0;
      for (int i = 0; i < 8; i++) len = len << 8 | f[2 + i];
    }
    /* A frame is looked at when it is whole, or when the room is full of it: then only its start counts and the rest is read over. */
    if (left - head < len && p->in_len < ROOM) break;
    if ((f[0] & 15) == 8) die("the server closed the connection");
    if ((f[0] & 15) == 9) { /* ping */
      p->out[p->out_len++] = 0x8a;
      p->out[p->out_len++] = 0x80;
      memset(p->out + p->out_len, 0, 4);
      p->out_len += 4;
    } else if ((f[0] & 15) <= 2) {
      uint64_t have = left - head < len ? left - head : len;
      if (p->message < sizeof p->head) {
        size_t room = sizeof p->head - (size_t)p->message;
        memcpy(p->head + p->message, f + head, have < room ? have : room);
      }
      p->message += len;
      while (have < len) { /* the rest of a frame that is larger than the room */
        ssize_t n;
        struct pollfd w = {p->fd, POLLIN, 0};
        uint64_t want = len - have;
        poll(&w, 1, 10000);
        n = read(p->fd, p->in, want < ROOM ? want : ROOM);
        if (n <= 0) die("the connection ended in a frame");
        have += (uint64_t)n;
        p->received += (uint64_t)n;
        cut = true;
      }
      if (last) {
        if (p->message <= sizeof p->head) take_message(p);
        else take_long(p);
        p->message = 0;
      }
      if (cut) { /* the room was used for the rest */
        p->in_len = 0;
        return;
      }
    }
    at += head + (size_t)len;
  }
  memmove(p->in, p->in + at, p->in_len - at);
  p->in_len -= at;
}

static void turn(peer *p) {
  struct pollfd w = {p->fd, (short)(POLLIN | (p->out_at < p->out_len ? POLLOUT : 0)), 0};
  ssize_t n;
  if (poll(&w, 1, 10000) <= 0) die("nothing came for 10 s");
  if (w.revents & POLLOUT) {
    n = write(p->fd, p->out + p->out_at, p->out_len - p->out_at);
    if (n > 0) p->out_at += (size_t)n;
    if (p->out_at == p->out_len) p->out_at = p->out_len = 0;
  }
  if (w.revents & (POLLIN | POLLHUP | POLLERR)) {
    n = read(p->fd, p->in + p->in_len, ROOM - p->in_len);
    if (n == 0) die("the server ended the connection");
    if (n < 0 && errno != EAGAIN) die("cannot read");
    if (n > 0) {
      p->in_len += (size_t)n;
      p->received += (uint64_t)n;
      take_frames(p);
    }
  }
}

/* ---- what is measured ---- */

static void calls(peer *p, uint64_t count, uint64_t in_flight, uint64_t first) {
  uint64_t sent = 0, before = p->answered;
  double start = now();
  while (p->answered - before < count) {
    if (p->out_at == p->out_len) {
      while (sent < count && sent - (p->answered - before) < in_flight && put_call(p, (uint32_t)sent + 1, first + sent)) sent++;
    }
    turn(p);
  }
  printf("%.0f\n", (double)count / (now() - start));
}

static void rows(peer *p) {
  double start = now();
  uint64_t before = p->received;
  put_subscribe(p);
  while (!p->applied) turn(p);
  printf("%.1f %llu\n", (now() - start) * 1e3, (unsigned long long)(p->received - before));
}

int main(int argc, char **argv) {
  static peer p;
  if (argc < 5 || argv[3][0] != 'v') die("usage: bare PORT DATABASE v1|v2|v3 calls COUNT IN_FLIGHT FIRST | rows");
  p.version = atoi(argv[3] + 1);
  dial(&p, atoi(argv[1]), argv[2]);
  if (strcmp(argv[4], "calls") == 0 && argc == 8) calls(&p, strtoull(argv[5], NULL, 10), strtoull(argv[6], NULL, 10), strtoull(argv[7], NULL, 10));
  else if (strcmp(argv[4], "rows") == 0) rows(&p);
  else die("unknown measurement");
  close(p.fd);
  return 0;
}
