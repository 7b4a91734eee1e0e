/* redis.c: the fewest bytes and calls that append entries to a Redis stream one at a time: redis WORK SOCKET COUNT prints the seconds. */
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

/* One command, one answer: an answer to XADD is a bulk string, "$len\r\n...\r\n". */
static void xadd(int fd, long i) {
  static const char actor[] = "29ece5f6550ed2a403e34ffaaea118450aeb201bfd12fc5c1b6a8b159dafdeca";
  char data[64], text[512], answer[256];
  int size = snprintf(data, sizeof data, "{\"number\":%ld}", i);
  int len = snprintf(text, sizeof text,
                     "*11\r\n$4\r\nXADD\r\n$6\r\nevents\r\n$1\r\n*\r\n$4\r\ntype\r\n$4\r\nTICK\r\n$6\r\nsource\r\n$5\r\nbench\r\n$5\r\nactor\r\n$64\r\n%s\r\n"
                     "$4\r\ndata\r\n$%d\r\n%s\r\n", actor, size, data);
  size_t got = 0;
  if (write(fd, text, (size_t)len) != len) fail("write");
  while (got < 3 || memcmp(answer + got - 2, "\r\n", 2) != 0 || memchr(answer, '\n', got - 1) == NULL) {
    ssize_t n = read(fd, answer + got, sizeof answer - got);
    if (n <= 0) fail("read");
    got += (size_t)n;
    if (answer[0] != '$') {
      fprintf(stderr, "%.*s\n", (int)got, answer);
      exit(1);
    }
  }
}

int main(int argc, char **argv) {
  if (argc != 4 || strcmp(argv[1], "xadd") != 0) return 2;
  int fd = open_socket(argv[2]);
  long count = atol(argv[3]);
  double started = now();
  for (long i = 1; i <= count; i++) xadd(fd, i);
  printf("%.6f\n", now() - started);
  return 0;
}
