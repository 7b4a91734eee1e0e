/* What iu__query_parse accepts, and how it words what it refuses. */
#include "query_fixture.h"

static iu_schema *schema;
static const uint8_t sender[32] = {0xef, 0xbe, 1};

static int setup(void **state) {
  (void)state;
  schema = fixture_schema();
  return 0;
}
static int teardown(void **state) {
  (void)state;
  iu__schema_free(schema);
  return 0;
}

static iu_status parse(const char *text, size_t len, bool owner, iu_error *err) {
  iu_query *q = NULL;
  iu_status status = iu__query_parse(schema, text, len, sender, owner, &q, err);
  assert_true((status == IU_OK) == (q != NULL));
  iu__query_free(q);
  return status;
}

typedef struct refusal { const char *text, *message; } refusal;

static void check_refusals(const refusal *list, size_t count) {
  for (size_t i = 0; i < count; i++) {
    iu_error err;
    const char *column;
    iu_status status = parse(list[i].text, strlen(list[i].text), false, &err);
    if (status != IU_E_VALIDATION) fail_msg("%s\n  was accepted or failed with status %d", list[i].text, (int)status);
    if (strcmp(err.message, list[i].message) != 0) fail_msg("%s\n  says   %s\n  wanted %s", list[i].text, err.message, list[i].message);
    column = strstr(err.message, "at column ");
    assert_non_null(column);
    assert_true(err.offset <= strlen(list[i].text));
    assert_true(err.offset + 1 >= strtoul(column + 10, NULL, 10)); /* a column counts characters, an offset bytes */
  }
}
#define CHECK(list) check_refusals(list, sizeof(list) / sizeof *(list))

static void accepts_the_grammar(void **state) {
  static const char *const texts[] = {
    "SELECT * FROM entity", "select * from entity;", "  SELECT\n*\tFROM entity -- all of them\n ; -- done",
    "SELECT entity.* FROM entity", "SELECT e.* FROM entity e", "SELECT e.* FROM entity AS e WHERE e.id = 'x'", "SELECT \"e\".* FROM entity \"e\"",
    "SELECT * FROM \"entity\" WHERE \"entity_type\" = 'Person'", "SELECT * FROM entity WHERE id = 'it''s'", "SELECT * FROM entity WHERE id=''",
    "SELECT * FROM entity WHERE 'a' < id AND id <= 'b' OR id <> 'c' AND id != 'd'", "SELECT * FROM entity WHERE ((((id)) = ('a')))",
    "SELECT * FROM entity/* a /* nested */ comment */WHERE id = 'a'--x", "SELECT * FROM entity WHERE created_at > '2024-02-29T00:00:00Z'",
    "SELECT * FROM all WHERE b", "SELECT * FROM all WHERE b AND b2 OR true", "SELECT * FROM all WHERE true", "SELECT * FROM all WHERE (false)",
    "SELECT * FROM all WHERE true = false OR TRUE >= FALSE", "SELECT * FROM all WHERE b = true AND false <> b2", "SELECT * FROM all WHERE s = s2 AND b < b2",
    "SELECT * FROM all WHERE i8 = -128 AND i8 <= 127 AND u8 >= 0 AND u8 < 255", "SELECT * FROM all WHERE u64 = 18446744073709551615 AND i64 = -9223372036854775808",
    "SELECT * FROM all WHERE i64>-5 AND i64<+7 AND i64=1e3 AND i64 = 5.0 AND i64 = 1200e-2", "SELECT * FROM all WHERE i64 = 007 AND f64 = .5 AND f64 = 5.",
    "SELECT * FROM all WHERE f32 = 1.5 AND f64 = -2e-3 AND f64 > 7 AND f64 < 1E+300 AND f64 <> 1e-999",
    "SELECT * FROM all WHERE i128 = -170141183460469231731687303715884105728 AND u128 = 340282366920938463463374607431768211455",
    "SELECT * FROM all WHERE u256 = 115792089237316195423570985008687907853269984665640564039457584007913129639935",
    "SELECT * FROM all WHERE i256 = -57896044618658097711785492504343953926634992332820282019728792003956564819968",
    "SELECT * FROM all WHERE i256 = 0e999999999999999999999", "SELECT * FROM all WHERE who = :sender AND bytes = :sender AND :sender <> who",
    "SELECT * FROM all WHERE who = 0xc20000000000000000000000000000000000000000000000000000000000beef",
    "SELECT * FROM all WHERE who = 'C20000000000000000000000000000000000000000000000000000000000beef'",
    "SELECT * FROM all WHERE conn = X'000102030405060708090a0b0c0d0e0f' AND conn <> '0x000102030405060708090a0b0c0d0e0f'",
    "SELECT * FROM all WHERE bytes = X'' AND bytes = 0xABcd AND bytes < bytes2", "SELECT * FROM all WHERE uuid = '01890a5d-ac96-774b-bcce-b302099a8057'",
  };
  (void)state;
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    iu_error err;
    if (parse(texts[i], strlen(texts[i]), false, &err) != IU_OK) fail_msg("%s\n  %s", texts[i], err.message);
  }
}

static void points_at_what_it_cannot_read(void **state) {
  static const refusal list[] = {
    {"", "expected SELECT, got the end at column 1"},
    {"   ", "expected SELECT, got the end at column 4"},
    {"SELEC * FROM entity", "expected SELECT, got `SELEC` at column 1"},
    {"SELECT", "expected * or a table's name and .*, got the end at column 7"},
    {"SELECT FROM entity", "expected * or a table's name and .*, got `FROM` at column 8"},
    {"SELECT *", "expected FROM, got the end at column 9"},
    {"SELECT * FRM entity", "expected FROM, got `FRM` at column 10"},
    {"SELECT * FROM", "expected a table name, got the end at column 14"},
    {"SELECT * FROM WHERE id = 1", "expected a table name, got `WHERE` at column 15"},
    {"SELECT * FROM 'entity'", "expected a table name, got `'entity'` at column 15"},
    {"SELECT * FROM entity AS", "expected an alias, got the end at column 24"},
    {"SELECT * FROM entity AS WHERE id = 'a'", "expected an alias, got `WHERE` at column 25"},
    {"SELECT * FROM entity e f", "expected WHERE or the end, got `f` at column 24"},
    {"SELECT * FROM entity WHERE", "expected a column, a literal or (, got the end at column 27"},
    {"SELECT * FROM entity WHERE AND id = 'a'", "expected a column, a literal or (, got `AND` at column 28"},
    {"SELECT * FROM entity WHERE id =", "expected a column, a literal or (, got the end at column 32"},
    {"SELECT * FROM entity WHERE id = = 'a'", "expected a column, a literal or (, got `=` at column 33"},
    {"SELECT * FROM entity WHERE id = 'a' AND", "expected a column, a literal or (, got the end at column 40"},
    {"SELECT * FROM entity WHERE id = 'a' id = 'b'", "expected AND, OR or the end, got `id` at column 37"},
    {"SELECT * FROM entity WHERE id = 'a')", "expected AND, OR or the end, got `)` at column 36"},
    {"SELECT * FROM entity WHERE (id = 'a'", "expected ) for the ( opened before, got the end at column 37"},
    {"SELECT * FROM entity WHERE ()", "expected a column, a literal or (, got `)` at column 29"},
    {"SELECT * FROM entity WHERE id", "expected a condition, `id` alone is none, at column 28"},
    {"SELECT * FROM entity WHERE id AND id = 'a'", "expected a condition, `id` alone is none, at column 28"},
    {"SELECT * FROM entity WHERE id = 'a' OR 5", "expected a condition, `5` alone is none, at column 40"},
    {"SELECT * FROM entity WHERE 'a", "a text literal does not end at column 28"},
    {"SELECT * FROM entity WHERE \"id = 'a'", "a quoted name does not end at column 28"},
    {"SELECT * FROM \"\"", "a quoted name is empty at column 15"},
    {"SELECT * FROM entity /* x", "a comment does not end at column 22"},
    {"SELECT * FROM entity WHERE id = X'0g'", "a hex literal has a character that is no hex digit at column 33"},
    {"SELECT * FROM entity WHERE id = 0x", "a hex literal has no digits at column 33"},
    {"SELECT * FROM entity WHERE created_at = 12ab", "a malformed number at column 41"},
    {"SELECT * FROM entity WHERE created_at = 1.2.3", "a malformed number at column 41"},
    {"SELECT * FROM entity WHERE created_at = 1e+", "a number has an exponent without digits at column 41"},
    {"SELECT * FROM entity WHERE id = `a`", "unexpected character ``` at column 33"},
    {"SELECT * FROM entity WHERE id = E'a'", "a literal with the prefix `E` is not supported, only '..' and X'..' at column 33"},
    {"SELECT * FROM entity; SELECT * FROM entity", "a text holds one query, there is another at column 23"},
    {"SELECT * FROM entity WHERE id = '\xC3\xBC\xC3\xBC' x", "expected AND, OR or the end, got `x` at column 38"},
    {"SELECT * FROM entity WHERE id = '\xff'", "the query is not valid UTF-8 at column 34"},
  };
  (void)state;
  CHECK(list);
}

static void names_what_is_not_supported(void **state) {
  static const refusal list[] = {
    {"INSERT INTO entity VALUES (1)", "INSERT is not supported, only SELECT is, at column 1"},
    {"delete from entity", "DELETE is not supported, only SELECT is, at column 1"},
    {"SELECT DISTINCT * FROM entity", "`DISTINCT` is not supported at column 8"},
    {"SELECT id FROM entity", "column lists are not supported, select * instead of `id` at column 8"},
    {"SELECT id, name FROM entity", "column lists are not supported, select * instead of `id` at column 8"},
    {"SELECT *, id FROM entity", "column lists are not supported, select * alone at column 9"},
    {"SELECT e.id FROM entity e", "column lists are not supported, select * instead of `e` at column 8"},
    {"SELECT COUNT(*) AS n FROM entity", "functions such as `COUNT` are not supported, select *, at column 8"},
    {"SELECT 1", "column lists are not supported, select * instead of `1` at column 8"},
    {"SELECT * FROM (SELECT * FROM entity)", "sub-queries are not supported at column 15"},
    {"SELECT * FROM *", "FROM * is not supported, name one table at column 15"},
    {"SELECT * FROM db.entity", "no such table: `db` (if it exists, it may be private) at column 15"},
    {"SELECT * FROM entity.x", "table names of several parts are not supported at column 21"},
    {"SELECT * FROM entity(1)", "functions are not supported at column 21"},
    {"SELECT * FROM entity e (a)", "column aliases are not supported at column 24"},
    {"SELECT * FROM entity, nokey", "a query reads one table here, joins are not supported, at column 21"},
    {"SELECT e.* FROM entity e JOIN nokey n ON e.id = n.s", "joins are not supported here at column 26"},
    {"SELECT e.* FROM entity e INNER JOIN nokey n ON e.id = n.s", "joins are not supported here at column 26"},
    {"SELECT * FROM entity LEFT JOIN nokey", "joins are not supported here at column 22"},
    {"SELECT * FROM entity cross join nokey", "joins are not supported here at column 22"},
    {"SELECT * FROM entity ORDER BY id", "ORDER BY is not supported at column 22"},
    {"SELECT * FROM entity LIMIT 5", "LIMIT is not supported at column 22"},
    {"SELECT * FROM entity WHERE id = 'a' LIMIT 5", "LIMIT is not supported at column 37"},
    {"SELECT * FROM entity WHERE id = 'a' ORDER BY id", "ORDER BY is not supported at column 37"},
    {"SELECT * FROM entity GROUP BY id", "GROUP BY is not supported at column 22"},
    {"SELECT * FROM entity WHERE id = 'a' HAVING id = 'a'", "HAVING is not supported at column 37"},
    {"SELECT * FROM entity UNION SELECT * FROM entity", "UNION is not supported at column 22"},
    {"SELECT * FROM entity OFFSET 5", "OFFSET is not supported at column 22"},
    {"SELECT * FROM entity WHERE NOT id = 'a'", "`NOT` is not supported at column 28"},
    {"SELECT * FROM entity WHERE id NOT IN ('a')", "`NOT` is not supported at column 31"},
    {"SELECT * FROM entity WHERE id IN ('a', 'b')", "`IN` is not supported at column 31"},
    {"SELECT * FROM entity WHERE id like 'a%'", "`like` is not supported at column 31"},
    {"SELECT * FROM entity WHERE id BETWEEN 'a' AND 'b'", "`BETWEEN` is not supported at column 31"},
    {"SELECT * FROM entity WHERE id IS NULL", "`IS` is not supported at column 31"},
    {"SELECT * FROM entity WHERE id = NULL", "NULL is not supported, columns cannot be compared with it, at column 33"},
    {"SELECT * FROM entity WHERE EXISTS (SELECT 1)", "`EXISTS` is not supported at column 28"},
    {"SELECT * FROM entity WHERE CASE WHEN true THEN 1 END", "`CASE` is not supported at column 28"},
    {"SELECT * FROM entity WHERE id = (SELECT 1)", "sub-queries are not supported at column 34"},
    {"SELECT * FROM entity WHERE lower(id) = 'a'", "functions such as `lower` are not supported at column 28"},
    {"SELECT * FROM entity WHERE id = lower('A')", "functions such as `lower` are not supported at column 33"},
    {"SELECT * FROM all WHERE i64 + 1 = 2", "`+` is not supported, there is no arithmetic at column 29"},
    {"SELECT * FROM all WHERE i64 = 2 * 3", "`*` is not supported, there is no arithmetic at column 33"},
    {"SELECT * FROM all WHERE i64 = 5 - 3", "`-` is not supported, there is no arithmetic at column 33"},
    {"SELECT * FROM all WHERE i64 = -u8", "a sign must stand before a number, there is no arithmetic, at column 31"},
    {"SELECT * FROM all WHERE i64 = - -5", "a sign must stand before a number, there is no arithmetic, at column 31"},
    {"SELECT * FROM all WHERE i64 == 5", "`==` is not supported, use = at column 29"},
    {"SELECT * FROM all WHERE i64 = 5::u8", "`::` is not supported, there are no casts at column 32"},
    {"SELECT * FROM all WHERE s || s2 = 'a'", "`||` is not supported at column 27"},
    {"SELECT * FROM all WHERE i64 = ?", "`?` is not supported, the only parameter is :sender at column 31"},
    {"SELECT * FROM all WHERE i64 = $1", "`$` is not supported, the only parameter is :sender at column 31"},
    {"SELECT * FROM all WHERE who = :me", "unknown parameter `:me`, there is only :sender, at column 31"},
    {"SELECT * FROM all WHERE i64 = (1, 2)", "lists are not supported at column 33"},
    {"SELECT * FROM all WHERE i64 < u8 < 5", "columns `i64` (`I64`) and `u8` (`U8`) have different types at column 31"},
    {"SELECT * FROM all WHERE 1 < i64 < 5", "comparisons cannot be chained at column 33"},
    {"SELECT * FROM all WHERE (i64 = 1) = true", "the result of a comparison cannot be compared at column 35"},
    {"SELECT * FROM all WHERE 1 = 1", "two literals cannot be compared, one side must be a column, at column 27"},
    {"SELECT * FROM all WHERE 'a' = 'a'", "two literals cannot be compared, one side must be a column, at column 29"},
    {"SELECT * FROM all WHERE :sender = :sender", "two literals cannot be compared, one side must be a column, at column 33"},
    {"SELECT * FROM all WHERE true = 1", "two literals cannot be compared, one side must be a column, at column 30"},
  };
  (void)state;
  CHECK(list);
}

static void resolves_names(void **state) {
  static const refusal list[] = {
    {"SELECT * FROM entiti", "no such table: `entiti`, did you mean `entity`? at column 15"},
    {"SELECT * FROM Entity", "no such table: `Entity`, did you mean `entity`? at column 15"},
    {"SELECT * FROM secret", "no such table: `secret` (if it exists, it may be private) at column 15"},
    {"SELECT * FROM secre", "no such table: `secre` (if it exists, it may be private) at column 15"},
    {"SELECT x.* FROM entity", "`x` is not in scope, the table is called `entity` here, at column 8"},
    {"SELECT entity.* FROM entity e", "`entity` is not in scope, the table is called `e` here, at column 8"},
    {"SELECT * FROM entity WHERE entity_typ = 'a'", "table `entity` has no column `entity_typ`, did you mean `entity_type`? at column 28"},
    {"SELECT * FROM entity WHERE ID = 'a'", "table `entity` has no column `ID`, did you mean `id`? at column 28"},
    {"SELECT * FROM entity e WHERE entity.id = 'a'", "`entity` is not in scope, the table is called `e` here, at column 30"},
    {"SELECT * FROM entity WHERE metadata.name = 'a'", "`metadata` is not in scope, fields inside a column cannot be compared, at column 28"},
    {"SELECT * FROM entity WHERE entity.metadata.name = 'a'", "fields inside a column cannot be compared at column 43"},
    {"SELECT * FROM entity WHERE id = 'a' OR qqqqqqqqqqqqqqqq = 1", "table `entity` has no column `qqqqqqqqqqqqqqqq` at column 40"},
  };
  iu_error err;
  (void)state;
  CHECK(list);
  assert_int_equal(parse("SELECT * FROM secret WHERE key = 'a'", 36, true, &err), IU_OK);
  assert_int_equal(parse("SELECT * FROM secre", 19, true, &err), IU_E_VALIDATION);
  assert_string_equal(err.message, "no such table: `secre`, did you mean `secret`? at column 15");
}

static void checks_types(void **state) {
  static const refusal list[] = {
    {"SELECT * FROM all WHERE opt = 'a'", "column `opt` is `Option<String>`, which cannot be compared, at column 25"},
    {"SELECT * FROM all WHERE tags = 'a'", "column `tags` is `Array<String>`, which cannot be compared, at column 25"},
    {"SELECT * FROM all WHERE 5 = span", "column `span` is `TimeDuration`, which cannot be compared, at column 29"},
    {"SELECT * FROM all WHERE span = span", "column `span` is `TimeDuration`, which cannot be compared, at column 25"},
    {"SELECT * FROM all WHERE s = 5", "column `s` is `String` and cannot be compared with a number at column 29"},
    {"SELECT * FROM all WHERE i64 = '5'", "column `i64` is `I64` and cannot be compared with a text at column 31"},
    {"SELECT * FROM all WHERE i64 = 0x05", "column `i64` is `I64` and cannot be compared with a hex literal at column 31"},
    {"SELECT * FROM all WHERE i64 = true", "column `i64` is `I64` and cannot be compared with a Bool at column 31"},
    {"SELECT * FROM all WHERE b = 1", "column `b` is `Bool` and cannot be compared with a number at column 29"},
    {"SELECT * FROM all WHERE b = 'true'", "column `b` is `Bool` and cannot be compared with a text at column 29"},
    {"SELECT * FROM all WHERE at = 5", "column `at` is `Timestamp` and cannot be compared with a number at column 30"},
    {"SELECT * FROM all WHERE bytes = 'ab'", "column `bytes` is `Array<U8>` and cannot be compared with a text at column 33"},
    {"SELECT * FROM all WHERE who = 5", "column `who` is `Identity` and cannot be compared with a number at column 31"},
    {"SELECT * FROM all WHERE s = :sender", ":sender is an Identity and column `s` is `String`, at column 29"},
    {"SELECT * FROM all WHERE conn = :sender", ":sender is an Identity and column `conn` is `ConnectionId`, at column 32"},
    {"SELECT * FROM all WHERE s = bytes", "columns `s` (`String`) and `bytes` (`Array<U8>`) have different types at column 29"},
    {"SELECT * FROM all WHERE conn = uuid", "columns `conn` (`ConnectionId`) and `uuid` (`Uuid`) have different types at column 32"},
    {"SELECT * FROM all WHERE i8 = 128", "`128` is out of the range of column `i8` (`I8`) at column 30"},
    {"SELECT * FROM all WHERE i8 = -129", "`-129` is out of the range of column `i8` (`I8`) at column 30"},
    {"SELECT * FROM all WHERE u8 = 256", "`256` is out of the range of column `u8` (`U8`) at column 30"},
    {"SELECT * FROM all WHERE u8 = -1", "`-1` is out of the range of column `u8` (`U8`) at column 30"},
    {"SELECT * FROM all WHERE i16 = 32768", "`32768` is out of the range of column `i16` (`I16`) at column 31"},
    {"SELECT * FROM all WHERE u16 = 65536", "`65536` is out of the range of column `u16` (`U16`) at column 31"},
    {"SELECT * FROM all WHERE i32 = -2147483649", "`-2147483649` is out of the range of column `i32` (`I32`) at column 31"},
    {"SELECT * FROM all WHERE u32 = 4294967296", "`4294967296` is out of the range of column `u32` (`U32`) at column 31"},
    {"SELECT * FROM all WHERE i64 = 9223372036854775808", "`9223372036854775808` is out of the range of column `i64` (`I64`) at column 31"},
    {"SELECT * FROM all WHERE u64 = 18446744073709551616", "`18446744073709551616` is out of the range of column `u64` (`U64`) at column 31"},
    {"SELECT * FROM all WHERE i128 = 170141183460469231731687303715884105728",
     "`170141183460469231731687303715884105728` is out of the range of column `i128` (`I128`) at column 32"},
    {"SELECT * FROM all WHERE u128 = 340282366920938463463374607431768211456",
     "`340282366920938463463374607431768211456` is out of the range of column `u128` (`U128`) at column 32"},
    {"SELECT * FROM all WHERE u256 = 1e78", "`1e78` is out of the range of column `u256` (`U256`) at column 32"},
    {"SELECT * FROM all WHERE i256 = -1e77", "`-1e77` is out of the range of column `i256` (`I256`) at column 32"},
    {"SELECT * FROM all WHERE i64 = 1e999999999999999999999", "`1e999999999999999999999` is out of the range of column `i64` (`I64`) at column 31"},
    {"SELECT * FROM all WHERE i64 = 1.5", "column `i64` needs an integer, got `1.5` at column 31"},
    {"SELECT * FROM all WHERE i64 = -5e-1", "column `i64` needs an integer, got `-5e-1` at column 31"},
    {"SELECT * FROM all WHERE f64 = 1e400", "`1e400` is out of the range of column `f64` (`F64`) at column 31"},
    {"SELECT * FROM all WHERE f32 = 1e39", "`1e39` is out of the range of column `f32` (`F32`) at column 31"},
    {"SELECT * FROM all WHERE who = 0x12", "column `who` needs 64 hex digits, got `0x12` at column 31"},
    {"SELECT * FROM all WHERE who = 'me'", "column `who` needs 64 hex digits, got `'me'` at column 31"},
    {"SELECT * FROM all WHERE conn = X'00'", "column `conn` needs 32 hex digits, got `X'00'` at column 32"},
    {"SELECT * FROM all WHERE bytes = 0x123", "column `bytes` needs an even number of hex digits, got `0x123` at column 33"},
    {"SELECT * FROM all WHERE uuid = 'x'", "column `uuid` needs a UUID, got `'x'` at column 32"},
    {"SELECT * FROM all WHERE at = 'yesterday'", "column `at` needs an RFC 3339 time such as '2024-05-01T12:00:00Z', got `'yesterday'` at column 30"},
    {"SELECT * FROM all WHERE at = '2023-02-29T00:00:00Z'",
     "column `at` needs an RFC 3339 time such as '2024-05-01T12:00:00Z', got `'2023-02-29T00:00:00Z'` at column 30"},
  };
  (void)state;
  CHECK(list);
}

static void limits_length_and_depth(void **state) {
  char *text = malloc(IU_SQL_MAX + 8), *p;
  iu_error err;
  const char *head = "SELECT * FROM all WHERE ";
  size_t len;
  (void)state;
  assert_non_null(text);
  /* exactly the longest */
  memset(text, ' ', IU_SQL_MAX + 8);
  memcpy(text, "SELECT * FROM all", 17);
  assert_int_equal(parse(text, IU_SQL_MAX, false, &err), IU_OK);
  assert_int_equal(parse(text, IU_SQL_MAX + 1, false, &err), IU_E_VALIDATION);
  assert_string_equal(err.message, "the query is longer than 50000 bytes at column 50001");
  /* the deepest, and one more */
  for (int extra = 0; extra < 2; extra++) {
    p = text + sprintf(text, "%s", head);
    for (int i = 0; i < IU_SQL_DEPTH_MAX + extra; i++) *p++ = '(';
    *p++ = 'b';
    for (int i = 0; i < IU_SQL_DEPTH_MAX + extra; i++) *p++ = ')';
    if (extra == 0) {
      assert_int_equal(parse(text, (size_t)(p - text), false, &err), IU_OK);
    } else {
      assert_int_equal(parse(text, (size_t)(p - text), false, &err), IU_E_VALIDATION);
      assert_string_equal(err.message, "parentheses are nested deeper than 128 levels at column 153");
    }
  }
  /* 50,000 bytes of open parentheses, with and without end */
  len = (size_t)sprintf(text, "%s", head);
  memset(text + len, '(', IU_SQL_MAX - len);
  assert_int_equal(parse(text, IU_SQL_MAX, false, &err), IU_E_VALIDATION);
  /* a chain as long as it gets needs no depth */
  p = text + sprintf(text, "%sb", head);
  while (p - text < IU_SQL_MAX - 8) p += sprintf(p, " OR b");
  assert_int_equal(parse(text, (size_t)(p - text), false, &err), IU_OK);
  free(text);
}

/* Bytes that mean nothing, and queries with a few bytes changed: an answer, never a crash, and a message with a column. */
static void survives_hostile_texts(void **state) {
  static const char *const seeds[] = {
    "SELECT e.* FROM entity AS e WHERE (e.id = 'a' AND e.entity_type <> 'b''c') OR e.created_at >= '2024-01-01T00:00:00.5+01:00'; -- x",
    "SELECT * FROM all WHERE i64 = -12 AND (u256 < 1e20 OR f64 = 1.5e-3) AND who = :sender AND bytes = X'0aff' OR b AND true",
    "SELECT \"all\".* FROM \"all\" WHERE 0x00 = bytes AND s = s2 /* c */ AND uuid = '01890a5d-ac96-774b-bcce-b302099a8057'",
  };
  static const char *const words[] = {"SELECT", "(", ")", "'", "\"", "--", "/*", "*/", "AND", " OR ", ":sender", "0x", "X'", "=", "<>", ".", ",", "*", "1e9", "\xC3\xBC", "\xff", ";", "-"};
  chance c = chance_begin("hostile texts");
  int rounds = SLOW_BUILD ? 20000 : 200000;
  (void)state;
  for (int round = 0; round < rounds; round++) {
    char buffer[512], *text;
    size_t len;
    iu_error err;
    if (chance_below(&c, 8) == 0) {
      len = chance_below(&c, 60);
      for (size_t i = 0; i < len; i++) buffer[i] = (char)chance_next(&c);
    } else {
      const char *from = seeds[chance_below(&c, 3)];
      len = strlen(from);
      memcpy(buffer, from, len);
      for (uint64_t n = 1 + chance_below(&c, 3); n-- > 0;) {
        size_t at = chance_below(&c, len);
        const char *word = words[chance_below(&c, sizeof words / sizeof *words)];
        switch (chance_below(&c, 4)) {
          case 0: buffer[at] = (char)chance_next(&c); break;
          case 1: len = at + 1; break;
          case 2: memmove(buffer + at, buffer + at + 1, len - at - 1); len -= len > 1; break;
          default:
            memmove(buffer + at + strlen(word), buffer + at, len - at);
            memcpy(buffer + at, word, strlen(word));
            len += strlen(word);
            break;
        }
      }
    }
    text = malloc(len + (len == 0)); /* exact, so that sanitizers see overreads */
    assert_non_null(text);
    memcpy(text, buffer, len);
    if (parse(text, len, chance_below(&c, 2), &err) != IU_OK) {
      if (err.status != IU_E_VALIDATION || err.offset > len || strstr(err.message, "at column ") == NULL ||
          iu__utf8_check(err.message, strlen(err.message)) != strlen(err.message)) {
        fail_msg("%.*s: %s", (int)len, text, err.message);
      }
    }
    free(text);
  }
}

#ifdef IU_ERRINJ
static void survives_every_failed_allocation(void **state) {
  const char *text = "SELECT * FROM all WHERE i32 = 1 AND u8 = 2 AND s = 'it''s' AND (who = :sender OR f64 > 1.5) AND at > '2024-01-01T00:00:00Z' AND i32 = i32b";
  long n = 0;
  iu_status status;
  (void)state;
  do {
    iu_error err;
    iu__errinj_arm(IU_ERRINJ_ALLOC, n++);
    status = parse(text, strlen(text), false, &err);
    assert_true(status == IU_OK || status == IU_E_NOMEM);
    assert_true(n < 1000);
  } while (status != IU_OK);
  iu__errinj_arm(IU_ERRINJ_ALLOC, -1);
  assert_true(n > 2);
}
#endif

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(accepts_the_grammar), cmocka_unit_test(points_at_what_it_cannot_read), cmocka_unit_test(names_what_is_not_supported),
    cmocka_unit_test(resolves_names), cmocka_unit_test(checks_types), cmocka_unit_test(limits_length_and_depth), cmocka_unit_test(survives_hostile_texts),
#ifdef IU_ERRINJ
    cmocka_unit_test(survives_every_failed_allocation),
#endif
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
