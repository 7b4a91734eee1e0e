/* sql_token.c: the lexer, and how its failures are worded (sql_token.h). */
#include "sql_token.h"

#include <stdio.h>
#include <string.h>

#include "../base/text.h"
#include "query.h"
#include "scalar.h"

static size_t column_of(const iu_sql_lexer *x, size_t at) {
  size_t column = 1;
  for (size_t i = 0; i < at && i < x->len; i++) column += ((unsigned char)x->text[i] & 0xc0) != 0x80;
  return column;
}

iu_status iu__sql_fail(const iu_sql_lexer *x, size_t at, const char *fmt, ...) {
  char message[IU_ERROR_MESSAGE_MAX - 64];
  va_list args;
  va_start(args, fmt);
  vsnprintf(message, sizeof message, fmt, args);
  va_end(args);
  message[iu__utf8_check(message, strlen(message))] = 0; /* a character may have been cut in two */
  return iu__fail_at(x->err, IU_E_VALIDATION, at, "%s at column %zu", message, column_of(x, at));
}

const char *iu__sql_show_text(const char *text, size_t len, iu_sql_shown *out) {
  out->text[0] = '`';
  iu__printable(out->text + 1, IU_SQL_SHOWN, text, len);
  strcat(out->text, "`");
  return out->text;
}

const char *iu__sql_show(const iu_sql_lexer *x, const iu_sql_token *t, iu_sql_shown *out) {
  if (t->kind == IU_Q_END) return strcpy(out->text, "the end");
  return iu__sql_show_text(x->text + t->at, t->end - t->at, out);
}

bool iu__sql_is_word(const iu_sql_token *t, const char *keyword) {
  size_t i = 0;
  if (t->kind != IU_Q_WORD) return false;
  for (; i < t->len && keyword[i] != 0; i++) {
    char c = t->text[i];
    if (c >= 'a' && c <= 'z') c = (char)(c - 'a' + 'A');
    if (c != keyword[i]) return false;
  }
  return i == t->len && keyword[i] == 0;
}

iu_status iu__sql_lexer_init(iu_sql_lexer *x, const char *text, size_t len, iu_arena *arena, iu_error *err) {
  size_t bad;
  x->text = text;
  x->len = len;
  x->at = 0;
  x->arena = arena;
  x->err = err;
  if (len > IU_SQL_MAX) return iu__sql_fail(x, IU_SQL_MAX, "the query is longer than %d bytes", IU_SQL_MAX);
  bad = iu__utf8_check(text, len);
  if (bad != len) return iu__sql_fail(x, bad, "the query is not valid UTF-8");
  return IU_OK;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
static bool is_word_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}
static bool is_word(char c) { return is_word_start(c) || is_digit(c); }

static char peek(const iu_sql_lexer *x, size_t ahead) { return x->len - x->at > ahead ? x->text[x->at + ahead] : 0; }

static iu_status skip_block_comment(iu_sql_lexer *x) {
  size_t start = x->at, level = 0;
  do {
    if (x->at >= x->len) return iu__sql_fail(x, start, "a comment does not end");
    if (peek(x, 0) == '/' && peek(x, 1) == '*') {
      level++;
      x->at += 2;
    } else if (peek(x, 0) == '*' && peek(x, 1) == '/') {
      level--;
      x->at += 2;
    } else {
      x->at++;
    }
  } while (level != 0);
  return IU_OK;
}

static iu_status skip_space(iu_sql_lexer *x) {
  while (x->at < x->len) {
    char c = x->text[x->at];
    if (c == ' ' || (c >= '\t' && c <= '\r')) {
      x->at++;
    } else if (c == '-' && peek(x, 1) == '-') {
      while (x->at < x->len && x->text[x->at] != '\n') x->at++;
    } else if (c == '/' && peek(x, 1) == '*') {
      iu_status status = skip_block_comment(x);
      if (status != IU_OK) return status;
    } else {
      break;
    }
  }
  return IU_OK;
}

/* At the opening quote; doubled quotes inside stand for one. */
static iu_status quoted(iu_sql_lexer *x, iu_sql_token *t, char quote, const char *what) {
  size_t start = ++x->at, doubled = 0;
  char *copy;
  for (;; x->at++) {
    if (x->at >= x->len) return iu__sql_fail(x, t->at, "%s does not end", what);
    if (x->text[x->at] != quote) continue;
    if (peek(x, 1) != quote) break;
    doubled++;
    x->at++;
  }
  t->text = x->text + start;
  t->len = x->at++ - start;
  if (doubled == 0) return IU_OK;
  copy = iu__arena_alloc(x->arena, t->len);
  if (copy == NULL) return iu__fail_nomem(x->err);
  for (size_t i = 0, o = 0; i < t->len; i++, o++) {
    copy[o] = t->text[i];
    if (t->text[i] == quote) i++;
  }
  t->text = copy;
  t->len -= doubled;
  return IU_OK;
}

static iu_status hex_string(iu_sql_lexer *x, iu_sql_token *t) {
  iu_status status;
  x->at++;
  status = quoted(x, t, '\'', "a hex literal");
  t->kind = IU_Q_HEX;
  for (size_t i = 0; status == IU_OK && i < t->len; i++) {
    if (!is_hex(t->text[i])) status = iu__sql_fail(x, t->at, "a hex literal has a character that is no hex digit");
  }
  return status;
}

static iu_status number(iu_sql_lexer *x, iu_sql_token *t) {
  size_t start = x->at;
  bool hex = peek(x, 0) == '0' && (peek(x, 1) == 'x' || peek(x, 1) == 'X');
  t->kind = hex ? IU_Q_HEX : IU_Q_NUMBER;
  if (hex) {
    x->at += 2;
    start = x->at;
    while (is_hex(peek(x, 0))) x->at++;
    if (x->at == start) return iu__sql_fail(x, t->at, "a hex literal has no digits");
  } else {
    while (is_digit(peek(x, 0))) x->at++;
    if (peek(x, 0) == '.') x->at++;
    while (is_digit(peek(x, 0))) x->at++;
    if (peek(x, 0) == 'e' || peek(x, 0) == 'E') {
      x->at++;
      if (peek(x, 0) == '+' || peek(x, 0) == '-') x->at++;
      if (!is_digit(peek(x, 0))) return iu__sql_fail(x, t->at, "a number has an exponent without digits");
      while (is_digit(peek(x, 0))) x->at++;
    }
  }
  if (is_word(peek(x, 0)) || peek(x, 0) == '.') return iu__sql_fail(x, t->at, "a malformed number");
  t->text = x->text + start;
  t->len = x->at - start;
  return IU_OK;
}

static void word(iu_sql_lexer *x, iu_sql_token *t, uint8_t kind) {
  size_t start = x->at;
  while (is_word(peek(x, 0)) || peek(x, 0) == '$') x->at++;
  t->kind = kind;
  t->text = x->text + start;
  t->len = x->at - start;
}

static void symbol(iu_sql_lexer *x, iu_sql_token *t, uint8_t kind, uint8_t op, size_t len) {
  t->kind = kind;
  t->op = op;
  t->text = x->text + x->at;
  t->len = len;
  x->at += len;
}

static bool comparison(iu_sql_lexer *x, iu_sql_token *t) {
  char c = peek(x, 0), d = peek(x, 1);
  if (c == '=' && d != '=') symbol(x, t, IU_Q_COMPARE, IU_CMP_EQ, 1);
  else if ((c == '!' && d == '=') || (c == '<' && d == '>')) symbol(x, t, IU_Q_COMPARE, IU_CMP_NE, 2);
  else if (c == '<' && d == '=') symbol(x, t, IU_Q_COMPARE, IU_CMP_LE, 2);
  else if (c == '>' && d == '=') symbol(x, t, IU_Q_COMPARE, IU_CMP_GE, 2);
  else if (c == '<' && d != '<') symbol(x, t, IU_Q_COMPARE, IU_CMP_LT, 1);
  else if (c == '>' && d != '>') symbol(x, t, IU_Q_COMPARE, IU_CMP_GT, 1);
  else return false;
  return true;
}

static iu_status symbols(iu_sql_lexer *x, iu_sql_token *t) {
  static const char pairs[][3] = {"==", "::", "||", "<<", ">>", "->", "&&"};
  iu_sql_shown shown;
  char c = peek(x, 0);
  if (comparison(x, t)) return IU_OK;
  if (c != 0 && strchr("(),.*;", c) != NULL) {
    symbol(x, t, IU_Q_PUNCT, 0, 1);
    return IU_OK;
  }
  for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
    if (c == pairs[i][0] && peek(x, 1) == pairs[i][1]) {
      symbol(x, t, IU_Q_OPERATOR, 0, 2);
      return IU_OK;
    }
  }
  if (c != 0 && strchr("+-/%&|^~!?$@#[]{}:", c) != NULL) {
    symbol(x, t, IU_Q_OPERATOR, 0, 1);
    return IU_OK;
  }
  return iu__sql_fail(x, x->at, "unexpected character %s", iu__sql_show_text(x->text + x->at, 1, &shown));
}

static iu_status scan(iu_sql_lexer *x, iu_sql_token *t) {
  char c = peek(x, 0);
  if (x->at >= x->len) return IU_OK;
  if (c == '\'') {
    t->kind = IU_Q_STRING;
    return quoted(x, t, '\'', "a text literal");
  }
  if (c == '"') {
    iu_status status;
    t->kind = IU_Q_QUOTED;
    status = quoted(x, t, '"', "a quoted name");
    if (status == IU_OK && t->len == 0) return iu__sql_fail(x, t->at, "a quoted name is empty");
    return status;
  }
  if (is_digit(c) || (c == '.' && is_digit(peek(x, 1)))) return number(x, t);
  if ((c == 'x' || c == 'X') && peek(x, 1) == '\'') return hex_string(x, t);
  if (c == ':' && is_word_start(peek(x, 1))) {
    x->at++;
    word(x, t, IU_Q_PARAM);
    return IU_OK;
  }
  if (is_word_start(c)) {
    word(x, t, IU_Q_WORD);
    if (peek(x, 0) == '\'') {
      iu_sql_shown shown;
      return iu__sql_fail(x, t->at, "a literal with the prefix %s is not supported, only '..' and X'..'",
                          iu__sql_show_text(t->text, t->len, &shown));
    }
    return IU_OK;
  }
  return symbols(x, t);
}

iu_status iu__sql_next(iu_sql_lexer *x, iu_sql_token *t) {
  iu_status status = skip_space(x);
  memset(t, 0, sizeof *t);
  t->text = "";
  t->at = t->end = x->at;
  if (status == IU_OK) status = scan(x, t);
  t->end = x->at;
  return status;
}
