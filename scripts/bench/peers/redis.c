/* redis.c: the fewest bytes and calls that append entries to a Redis stream (xadd) or get values by key (get), one at a time: redis WORK SOCKET COUNT prints
 * the seconds. */
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

int main(int argc, char **argv) {
  if (argc != 4 || (strcmp(argv[1], "xadd") != 0 && strcmp(argv[1], "get") != 0)) return 2;
  void (*work)(int, long) = argv[1][0] == 'x' ? xadd : get;
  int fd = open_socket(argv[2]);
  long count = atol(argv[3]);
  if (work == get) for (long i = 1; i <= KEYS; i++) set(fd, i);
  double started = now();
  for (long i = 1; i <= count; i++) work(fd, i);
  printf("%.6f\n", now() - started);
  return 0;
}
