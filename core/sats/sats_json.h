/* sats_json.h: SATS values as JSON, both ways (protocol sheet section 3).
 *
 * To JSON: IU_SJ_TYPED is 3.1 (objects by field name), IU_SJ_UNTYPED is 3.3 (positional, sums [tag, value], bytes hex).
 * IU_SJ_READABLE is for people (folded SQLite columns, `iu query --json`): as typed, but Option is the value or null, Identity and ConnectionId are
 * bare hex, Timestamp and TimeDuration bare integers, unit variants are their name.
 * From JSON: 3.2 with every spelling listed there; the result is BSATN. Errors name the path in the JSON and what was expected.
 */
#ifndef IU_SATS_SATS_JSON_H
#define IU_SATS_SATS_JSON_H

#include "bsatn.h"
#include "json.h"

typedef enum iu_sats_json_style { IU_SJ_TYPED, IU_SJ_UNTYPED, IU_SJ_READABLE } iu_sats_json_style;

iu_status iu__sats_to_json(const iu_type *t, iu_reader *r, iu_sats_json_style style, iu_buf *out, iu_error *err);
iu_status iu__sats_from_json(const iu_type *t, const void *json, size_t len, iu_buf *out, iu_error *err);

#endif
