/* sats_json.h: SATS values as JSON, both ways (protocol sheet section 3).
 *
 * To JSON: IU_SJ_TYPED is 3.1 (objects by field name), IU_SJ_UNTYPED is 3.3 (positional, sums [tag, value], bytes hex).
 * IU_SJ_ARGUMENTS is as untyped, for what a server shall read.
 * IU_SJ_READABLE is for people (folded SQLite columns, `iu query --json`): as typed, but Option is the value or null, Identity and ConnectionId are
 * bare hex (64 and 32 digits), Uuid its usual text, Timestamp and TimeDuration bare integers, unit variants are their name. A
 * float that is no number (NaN, infinities) is null, which no float is read back from, and IU_E_VALIDATION in arguments; an F32 has the fewest digits that read back as it.
 * A field inside a product that holds JSON text by its name (iu__is_json_text_field) is written as that JSON in the readable style when it is valid.
 * From JSON: 3.2 with every spelling listed there; the result is BSATN. Errors name the path in the JSON and what was expected.
 *
 * Both append to `out`, which holds part of the result when they fail. Compact JSON. The bytes and the text may come from anyone.
 * A value with more than IU_ZERO_SIZED_MAX parts that take no bytes, and 16 for each of its bytes besides, has no JSON: that would be
 * out of all proportion to the bytes.
 */
#ifndef IU_SATS_SATS_JSON_H
#define IU_SATS_SATS_JSON_H

#include "bsatn.h"
#include "json.h"

typedef enum iu_sats_json_style { IU_SJ_TYPED, IU_SJ_UNTYPED, IU_SJ_ARGUMENTS, IU_SJ_READABLE } iu_sats_json_style;

/* The names by which a String field is taken to hold JSON text: properties, data, value, metadata, patch. */
bool iu__is_json_text_field(const char *name);
/* One value from r, checked first; r is past it on success. */
iu_status iu__sats_to_json(const iu_type *t, iu_reader *r, iu_sats_json_style style, iu_buf *out, iu_error *err);
/* `json` holds one value and nothing else. */
iu_status iu__sats_from_json(const iu_type *t, const void *json, size_t len, iu_buf *out, iu_error *err);
/* The same for what a server reports: a float that is null was no number there, and is NaN. */
iu_status iu__sats_from_report(const iu_type *t, const void *json, size_t len, iu_buf *out, iu_error *err);

#endif
