/* sql_token.h: the words of a query text.
 *
 * iu__sql_lexer_init refuses texts over IU_SQL_MAX bytes and texts that are not UTF-8. Then iu__sql_next gives one token at a time, IU_Q_END
 * for ever at the end. A token's text is borrowed from the query, or lives in the arena when escapes had to be taken out.
 * White space, `-- comments` to the end of the line and nested block comments between tokens are passed over.
 */
#ifndef IU_QUERY_SQL_TOKEN_H
#define IU_QUERY_SQL_TOKEN_H

#include "../base/arena.h"
#include "../base/error.h"

typedef enum iu_sql_kind {
  IU_Q_END,
  IU_Q_WORD,    /* a bare identifier or keyword */
  IU_Q_QUOTED,  /* "an identifier" */
  IU_Q_NUMBER,  /* digits, point, exponent; no sign */
  IU_Q_STRING,  /* 'text' */
  IU_Q_HEX,     /* 0x12ab or X'12ab': the digits */
  IU_Q_PARAM,   /* :name */
  IU_Q_COMPARE, /* = != <> < > <= >=: `op` is the set of IU_CMP_ outcomes */
  IU_Q_PUNCT,   /* ( ) , . * ; */
  IU_Q_OPERATOR /* anything else that SQL has and queries do not */
} iu_sql_kind;

typedef struct iu_sql_token {
  uint8_t kind, op;
  const char *text; size_t len; /* value: without quotes and prefixes */
  size_t at, end;               /* bytes of the query it was written with */
} iu_sql_token;

typedef struct iu_sql_lexer {
  const char *text; size_t len, at;
  iu_arena *arena;
  iu_error *err;
} iu_sql_lexer;

iu_status iu__sql_lexer_init(iu_sql_lexer *x, const char *text, size_t len, iu_arena *arena, iu_error *err);
iu_status iu__sql_next(iu_sql_lexer *x, iu_sql_token *token);
/* IU_E_VALIDATION, offset `at`, the message and " at column N": characters of the text, counted from 1. */
iu_status iu__sql_fail(const iu_sql_lexer *x, size_t at, const char *fmt, ...) IU_PRINTF(3, 4);
bool iu__sql_is_word(const iu_sql_token *t, const char *upper_case_keyword);
/* The token as it was written, in `backquotes`, cut when long; "the end" at the end. */
#define IU_SQL_SHOWN 48
typedef struct iu_sql_shown { char text[4 * IU_SQL_SHOWN + 8]; } iu_sql_shown;
const char *iu__sql_show(const iu_sql_lexer *x, const iu_sql_token *t, iu_sql_shown *out);
const char *iu__sql_show_text(const char *text, size_t len, iu_sql_shown *out);

#endif
