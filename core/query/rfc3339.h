/* rfc3339.h: RFC 3339 date and time text to microseconds since 1970-01-01 UTC, and back.
 *
 * `2024-02-29T12:00:00.5Z`, `2024-02-29 12:00:00+02:00`: years 0000 to 9999, an offset is required, digits beyond microseconds are
 * dropped, second 60 is the first of the next minute. false when the text is anything else.
 */
#ifndef IU_QUERY_RFC3339_H
#define IU_QUERY_RFC3339_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool iu__rfc3339_parse(const char *text, size_t len, int64_t *micros);
#define IU_RFC3339_TEXT_MAX 32
/* "2024-02-29T12:00:00.500000+00:00", terminated; false outside the years 0000 to 9999. */
bool iu__rfc3339_format(int64_t micros, char out[IU_RFC3339_TEXT_MAX + 1]);

#endif
