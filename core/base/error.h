/* error.h: filling in an iu_error. Every function accepts err == NULL (detail not wanted). */
#ifndef IU_BASE_ERROR_H
#define IU_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

#include "../include/inner_universe.h"

#if defined(__GNUC__)
#define IU_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define IU_PRINTF(fmt, args)
#endif

/* Clears to IU_OK. */
void iu__error_clear(iu_error *err);
/* Sets status and message, offset to IU_NO_OFFSET; returns `status`, so `return iu__fail(err, ...)`. */
iu_status iu__fail(iu_error *err, iu_status status, const char *fmt, ...) IU_PRINTF(3, 4);
/* The same with an offset; ", at byte N" is NOT added to the text: callers word it. */
iu_status iu__fail_at(iu_error *err, iu_status status, size_t offset, const char *fmt, ...) IU_PRINTF(4, 5);
/* "out of memory" without formatting. */
iu_status iu__fail_nomem(iu_error *err);
/* Puts "prefix: " before the present message. */
void iu__error_prefix(iu_error *err, const char *fmt, ...) IU_PRINTF(2, 3);
/* "CODE: message" (as reducers report) to status + message; unknown CODE gives IU_E_PERSISTENCE and the whole text. */
void iu__error_from_reducer(iu_error *err, const char *text, size_t len);

/* A printable rendering of untrusted bytes for messages: control and invalid bytes escaped as \xNN, cut after
 * `max` bytes with "...". `out` holds at least 4 * max + 4 bytes. Returns out. */
const char *iu__printable(char *out, size_t max, const void *bytes, size_t len);

#endif
