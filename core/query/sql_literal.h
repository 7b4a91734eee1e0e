/* sql_literal.h: a literal takes the type of the column it is compared with and becomes that type's BSATN.
 *
 * Numbers: integers of every width, range checked (1e3 and 5.0 are integers, 5.5 is not), floats correctly rounded. Text: String, Timestamp
 * (RFC 3339), Uuid, Identity and ConnectionId (hex, 0x or not). Hex: Identity, ConnectionId (all digits, big endian as people write them),
 * bytes. Bool: Bool.
 */
#ifndef IU_QUERY_SQL_LITERAL_H
#define IU_QUERY_SQL_LITERAL_H

#include "../sats/bsatn.h"
#include "sql_token.h"

typedef enum iu_sql_literal_kind { IU_L_NUMBER, IU_L_STRING, IU_L_HEX, IU_L_BOOL } iu_sql_literal_kind;

typedef struct iu_sql_literal {
  uint8_t kind;
  bool negative;   /* IU_L_NUMBER: a minus sign stood before it */
  bool truth;      /* IU_L_BOOL */
  iu_sql_token token;
} iu_sql_literal;

/* out: bytes in the lexer's arena. Fails with the column of the literal and the type it should have had. `column` is for messages. */
iu_status iu__sql_literal_encode(const iu_sql_lexer *x, const iu_sql_literal *literal, const iu_type *type, const char *column, iu_slice *out);

#endif
