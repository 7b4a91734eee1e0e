/* json_reader.h: between json_reader.c and json_string.c. */
#ifndef IU_SATS_JSON_READER_H
#define IU_SATS_JSON_READER_H

#include "json_internal.h"

/* Ends the reader with "invalid JSON at byte N: what, found ..." (or with no memory, when that is what happened). */
iu_json_token iu__json_reader_fail(iu_json_reader *r, const char *at, const char *what);
/* Reads the string whose opening quote is at r->p into r->s and r->len; false after a failure. */
bool iu__json_read_string(iu_json_reader *r);

#endif
