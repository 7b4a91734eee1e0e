/* rfc3339.c: times as text to microseconds and back (rfc3339.h); proleptic Gregorian, no C library, no locale. */
#include "rfc3339.h"

#include <string.h>

typedef struct cursor { const char *p, *end; bool ok; } cursor;

static int digits(cursor *c, int count) {
  int value = 0;
  for (; count > 0; count--, c->p++) {
    if (c->p == c->end || *c->p < '0' || *c->p > '9') {
      c->ok = false;
      return 0;
    }
    value = value * 10 + (*c->p - '0');
  }
  return value;
}

static char one_of(cursor *c, const char *set) {
  for (; c->p != c->end && *set != 0; set++) {
    if (*c->p == *set) return *c->p++;
  }
  c->ok = false;
  return 0;
}

static int days_in_month(int year, int month) {
  static const int8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 2 && leap ? 29 : days[month - 1];
}

/* Days from 1970-01-01, proleptic Gregorian; counts from 1 March, so that the leap day comes last in its year. */
static int64_t days_from_civil(int year, int month, int day) {
  int y = month <= 2 ? year - 1 + 400 : year + 400; /* never negative */
  int era = y / 400, of_era = y % 400;
  int day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  return (int64_t)era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719468 - 146097;
}

static int64_t fraction(cursor *c) {
  int64_t micros = 0, unit = 100000;
  if (c->p == c->end || *c->p != '.') return 0;
  c->p++;
  micros = digits(c, 1) * unit;
  while (c->p != c->end && *c->p >= '0' && *c->p <= '9') {
    unit /= 10;
    micros += (*c->p++ - '0') * unit;
  }
  return micros;
}

/* Seconds east of UTC. */
static int64_t offset(cursor *c) {
  char sign = one_of(c, "Zz+-");
  int hours, minutes;
  if (sign != '+' && sign != '-') return 0;
  hours = digits(c, 2);
  one_of(c, ":");
  minutes = digits(c, 2);
  if (hours > 23 || minutes > 59) c->ok = false;
  return (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
}

bool iu__rfc3339_parse(const char *text, size_t len, int64_t *micros) {
  cursor c = {text, text + len, true};
  int year = digits(&c, 4), month, day, hour, minute, second;
  int64_t part, seconds;
  one_of(&c, "-");
  month = digits(&c, 2);
  one_of(&c, "-");
  day = digits(&c, 2);
  one_of(&c, "Tt ");
  hour = digits(&c, 2);
  one_of(&c, ":");
  minute = digits(&c, 2);
  one_of(&c, ":");
  second = digits(&c, 2);
  part = fraction(&c);
  seconds = -offset(&c);
  if (!c.ok || c.p != c.end || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month)) return false;
  if (hour > 23 || minute > 59 || second > 60) return false;
  seconds += days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
  *micros = seconds * 1000000 + part;
  return true;
}

static void put(char **at, int64_t value, int width) {
  for (int i = width - 1; i >= 0; i--, value /= 10) (*at)[i] = (char)('0' + value % 10);
  *at += width;
}

static void put_char(char **at, char c) { *(*at)++ = c; }

bool iu__rfc3339_format(int64_t micros, char out[IU_RFC3339_TEXT_MAX + 1]) {
  int64_t seconds = micros / 1000000, fraction_part = micros % 1000000;
  if (fraction_part < 0) {
    fraction_part += 1000000;
    seconds--;
  }
  int64_t days = seconds / 86400, second = seconds % 86400;
  if (second < 0) {
    second += 86400;
    days--;
  }
  if (days < days_from_civil(0, 1, 1) || days > days_from_civil(9999, 12, 31)) return false;
  int year = (int)((days - days_from_civil(0, 1, 1)) / 366), month = 1; /* not past the year that is meant */
  while (days_from_civil(year, 12, 31) < days) year++;
  while (month < 12 && days_from_civil(year, month + 1, 1) <= days) month++;
  put(&out, year, 4);
  put_char(&out, '-');
  put(&out, month, 2);
  put_char(&out, '-');
  put(&out, days - days_from_civil(year, month, 1) + 1, 2);
  put_char(&out, 'T');
  put(&out, second / 3600, 2);
  put_char(&out, ':');
  put(&out, second / 60 % 60, 2);
  put_char(&out, ':');
  put(&out, second % 60, 2);
  put_char(&out, '.');
  put(&out, fraction_part, 6);
  memcpy(out, "+00:00", 7);
  return true;
}
