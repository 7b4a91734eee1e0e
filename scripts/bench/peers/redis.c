/* redis.c: the fewest bytes and calls that append entries to a Redis stream (xadd) or get values by key (get), one at a time, or append entries that ten
 * groups work off, a hundred at a time (consume): redis WORK SOCKET COUNT prints the seconds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int open_socket(const char *path) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (strlen(path) >= sizeof to.sun_path) fail("the socket's path is too long");
  strcpy(to.sun_path, path);
  for (int tries = 0; connect(fd, (struct sockaddr *)&to, sizeof to) != 0; tries++) {
    if (tries == 50) fail("connect");
    usleep(20000);
  }
  return fd;
}

/* One command, one answer. One that begins with $ is a bulk string, "$len\r\n...\r\n": two lines, for what is sent here; another one is one line. */
static void ask(int fd, const char *text, int len, char kind) {
  char answer[256];
  size_t got = 0;
  if (write(fd, text, (size_t)len) != len) fail("write");
  while (got < 3 || memcmp(answer + got - 2, "\r\n", 2) != 0 || (kind == '$' && memchr(answer, '\n', got - 1) == NULL)) {
    ssize_t n = read(fd, answer + got, sizeof answer - got);
    if (n <= 0) fail("read");
    got += (size_t)n;
    if (answer[0] != kind) {
      fprintf(stderr, "%.*s\n", (int)got, answer);
      exit(1);
    }
  }
}

static void xadd(int fd, long i) {
  static const char actor[] = "29ece5f6550ed2a403e34ffaaea118450aeb201bfd12fc5c1b6a8b159dafdeca";
  char data[64], text[512];
  int size = snprintf(data, sizeof data, "{\"number\":%ld}", i);
  int len = snprintf(text, sizeof text,
                     "*11\r\n$4\r\nXADD\r\n$6\r\nevents\r\n$1\r\n*\r\n$4\r\ntype\r\n$4\r\nTICK\r\n$6\r\nsource\r\n$5\r\nbench\r\n$5\r\nactor\r\n$64\r\n%s\r\n"
                     "$4\r\ndata\r\n$%d\r\n%s\r\n", actor, size, data);
  ask(fd, text, len, '$');
}

#define KEYS 10000

/* The keys and values of scripts/bench/cache_hits.lua. */
static void set(int fd, long i) {
  char key[32], value[96], text[256];
  int key_len = snprintf(key, sizeof key, "item:%ld", i);
  int value_len = snprintf(value, sizeof value, "{\"name\":\"item %ld\",\"tags\":[\"bench\"],\"properties\":{\"number\":%ld}}", i, i);
  ask(fd, text, snprintf(text, sizeof text, "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", key_len, key, value_len, value), '+');
}

static void get(int fd, long i) {
  char key[32], text[96];
  int key_len = snprintf(key, sizeof key, "item:%ld", i % KEYS + 1);
  ask(fd, text, snprintf(text, sizeof text, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", key_len, key), '$');
}

/* ---- ten groups that work a stream off ---- */

#define GROUPS 10
#define BATCH 100
#define ID_MAX 64

typedef struct answer { int fd; size_t at, end; char bytes[65536]; } answer;

static int next_byte(answer *a) {
  if (a->at == a->end) {
    ssize_t n = read(a->fd, a->bytes, sizeof a->bytes);
    if (n <= 0) fail("read");
    a->at = 0;
    a->end = (size_t)n;
  }
  return (unsigned char)a->bytes[a->at++];
}

/* A line without its end; what it is says its first byte. */
static char read_line(answer *a, char *line, size_t cap) {
  size_t n = 0;
  int c;
  while ((c = next_byte(a)) != '\n') {
    if (c != '\r' && n + 1 < cap) line[n++] = (char)c;
  }
  line[n] = 0;
  if (line[0] == '-') {
    fprintf(stderr, "%s\n", line);
    exit(1);
  }
  return line[0];
}

/* "$len", then len bytes; text may be NULL. */
static void read_bulk(answer *a, char *text, size_t cap) {
  char line[64];
  long len = read_line(a, line, sizeof line) == '$' ? atol(line + 1) : -1;
  if (len < 0 || (text != NULL && (size_t)len >= cap)) fail("a short text was expected");
  for (long i = 0; i < len + 2; i++) {
    char c = (char)next_byte(a);
    if (text != NULL && i < len) text[i] = c;
  }
  if (text != NULL) text[len] = 0;
}

/* -1: a null array. */
static long read_array(answer *a) {
  char line[64];
  return read_line(a, line, sizeof line) == '*' ? atol(line + 1) : -1;
}

static void send_text(int fd, const char *text, int len) {
  if (write(fd, text, (size_t)len) != len) fail("write");
}

static void make_groups(int fd) {
  char text[256];
  for (int group = 0; group < GROUPS; group++) {
    ask(fd, text, snprintf(text, sizeof text,
                           "*6\r\n$6\r\nXGROUP\r\n$6\r\nCREATE\r\n$6\r\nevents\r\n$2\r\ng%d\r\n$1\r\n0\r\n$8\r\nMKSTREAM\r\n", group), '+');
  }
}

/* Reads a batch for the group, adds up the numbers in its entries, and acknowledges them in one call. How many they were. */
static long work_off(answer *a, int group, long *sum) {
  char text[BATCH * (ID_MAX + 16) + 256], field[256], ids[BATCH][ID_MAX];
  int len = snprintf(text, sizeof text,
                     "*9\r\n$10\r\nXREADGROUP\r\n$5\r\nGROUP\r\n$2\r\ng%d\r\n$1\r\nc\r\n$5\r\nCOUNT\r\n$3\r\n%d\r\n$7\r\nSTREAMS\r\n$6\r\nevents\r\n$1\r\n>\r\n",
                     group, BATCH);
  send_text(a->fd, text, len);
  if (read_array(a) < 1) return 0; /* nothing is left */
  read_array(a);
  read_bulk(a, NULL, 0);
  long count = read_array(a);
  for (long i = 0; i < count; i++) {
    read_array(a);
    read_bulk(a, ids[i], ID_MAX);
    for (long left = read_array(a); left > 0; left--) read_bulk(a, field, sizeof field);
    *sum += atol(field + strlen("{\"number\":")); /* the last field */
  }
  len = snprintf(text, sizeof text, "*%ld\r\n$4\r\nXACK\r\n$6\r\nevents\r\n$2\r\ng%d\r\n", count + 3, group);
  for (long i = 0; i < count; i++) len += snprintf(text + len, sizeof text - (size_t)len, "$%zu\r\n%s\r\n", strlen(ids[i]), ids[i]);
  send_text(a->fd, text, len);
  read_line(a, field, sizeof field);
  return count;
}

static void consume(int fd, long count) {
  static answer a;
  long handled = 0, sum = 0, n;
  a.fd = fd;
  for (long i = 1; i <= count; i++) {
    xadd(fd, i);
    if (i % BATCH != 0 && i != count) continue;
    for (int group = 0; group < GROUPS; group++) {
      while ((n = work_off(&a, group, &sum)) > 0) handled += n;
    }
  }
  if (handled != GROUPS * count || sum != GROUPS * (count * (count + 1) / 2)) {
    fprintf(stderr, "not every entry was handled once by each: %ld, %ld\n", handled, sum);
    exit(1);
  }
}

int main(int argc, char **argv) {
  enum { XADD, GET, CONSUME, WORKS };
  static const char *const names[WORKS] = {"xadd", "get", "consume"};
  int work = 0;
  while (argc == 4 && work < WORKS && strcmp(argv[1], names[work]) != 0) work++;
  if (argc != 4 || work == WORKS) return 2;
  int fd = open_socket(argv[2]);
  long count = atol(argv[3]);
  if (work == GET) for (long i = 1; i <= KEYS; i++) set(fd, i);
  if (work == CONSUME) make_groups(fd);
  double started = now();
  if (work == CONSUME) consume(fd, count);
  else for (long i = 1; i <= count; i++) (work == GET ? get : xadd)(fd, i);
  printf("%.6f\n", now() - started);
  return 0;
}
