/* sql_text.h: a value of a column as a literal of the subscription SQL (protocol sheet 9.2), such as a server's parser reads it.
 *
 * Integers in decimal, String in single quotes (doubled inside), Bool, Identity, ConnectionId and bytes as 0x and hex digits, Timestamp as RFC 3339
 * text with microseconds, Uuid as its text. Floats and everything that SQL cannot compare have none.
 */
#ifndef IU_QUERY_SQL_TEXT_H
#define IU_QUERY_SQL_TEXT_H

#include "../base/buffer.h"
#include "../sats/bsatn.h"

/* `value`: valid BSATN of the type. false, and nothing is written, where there is no literal (also a time outside the years 0000 to 9999). */
bool iu__sql_put_value(iu_buf *out, const iu_type *type, iu_slice value);
/* `"column" = value`, with the operator as it stands between them. false, and nothing is written, where there is no literal. */
bool iu__sql_put_condition(iu_buf *out, const char *column, const char *op, const iu_type *type, iu_slice value);
/* In double quotes, so that no word is taken for a keyword. Names of schemas hold no quotes. */
void iu__sql_put_name(iu_buf *out, const char *name);

#endif
