/* Canonical JSON: fixed vectors made with Python 3's json.dumps(json.loads(text), sort_keys=True), and, where there is a python3, random
 * documents compared with it in one process. */
#include "sats_json_fixture.h"

#include <unistd.h>

#include "../../core/base/hash.h"

static const struct { const char *text, *canonical; } vectors[] = {
    {"{}",
     "{}"},
    {"[]",
     "[]"},
    {"null",
     "null"},
    {"\"\"",
     "\"\""},
    {"{\"b\":1,\"a\":2}",
     "{\"a\": 2, \"b\": 1}"},
    {"{\"a\":{\"d\":[1,2,{\"z\":null,\"y\":true}],\"c\":false}}",
     "{\"a\": {\"c\": false, \"d\": [1, 2, {\"y\": true, \"z\": null}]}}"},
    {"[-0,-0.0,0.0,1,1.0,1e2,1e16,1e-7,0.1,5e-324,1.7976931348623157e308,1E5,123456789.125]",
     "[0, -0.0, 0.0, 1, 1.0, 100.0, 1e+16, 1e-07, 0.1, 5e-324, 1.7976931348623157e+308, 100000.0, 123456789.125]"},
    {"[9223372036854775807,-9223372036854775808,9223372036854775808,123456789012345678901234567890,-99999999999999999999]",
     "[9223372036854775807, -9223372036854775808, 9223372036854775808, 123456789012345678901234567890, -99999999999999999999]"},
    {"\"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f \\\"\\\\\\/\\u007f\\u0080\\u00e9\\u20ac\\ud83d\\ude00\\uffff\"",
     "\"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f \\\"\\\\/\\u007f\\u0080\\u00e9\\u20ac\\ud83d\\ude00\\uffff\""},
    {"\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\xC3\xBC\xE2\x80\xA8\x7F\"",
     "\"\\u00e9\\u20ac\\ud83d\\ude00\\u00fc\\u2028\\u007f\""},
    {"{\"\xC3\xA9\":1,\"z\":2,\"a\":3,\"Z\":4,\"\":5,\"\\ud83d\\ude00\":6,\"\\uffff\":7,\"a\\u0000\":8,\"aa\":9,\"A\":10}",
     "{\"\": 5, \"A\": 10, \"Z\": 4, \"a\": 3, \"a\\u0000\": 8, \"aa\": 9, \"z\": 2, \"\\u00e9\": 1, \"\\uffff\": 7, \"\\ud83d\\ude00\": 6}"},
    {"{\"a\":1,\"b\":{\"x\":1},\"a\":[{\"y\":1,\"x\":2}],\"b\":3}",
     "{\"a\": [{\"x\": 2, \"y\": 1}], \"b\": 3}"},
    {"{\"k10\":0,\"k9\":1,\"k8\":2,\"k7\":3,\"k6\":4,\"k5\":5,\"k4\":6,\"k3\":7,\"k2\":8,\"k1\":9,\"k0\":10,\"k9\":11}",
     "{\"k0\": 10, \"k1\": 9, \"k10\": 0, \"k2\": 8, \"k3\": 7, \"k4\": 6, \"k5\": 5, \"k6\": 4, \"k7\": 3, \"k8\": 2, \"k9\": 11}"},
    {"[[],{},[[]],{\"a\":{}},[{}],\"\"]",
     "[[], {}, [[]], {\"a\": {}}, [{}], \"\"]"},
    {"[4.35,0.30000000000000004,2.5e-10,1e23,9007199254740993.0,5.684341886080802e-14]",
     "[4.35, 0.30000000000000004, 2.5e-10, 1e+23, 9007199254740992.0, 5.684341886080802e-14]"},
};

static void canonical_text_is_pythons(void **state) {
  iu_buf out = {0};
  iu_error err;
  size_t i;
  (void)state;
  for (i = 0; i < sizeof vectors / sizeof *vectors; i++) {
    iu__buf_reset(&out);
    if (iu__json_canonical(vectors[i].text, strlen(vectors[i].text), &out, &err) != IU_OK) fail_msg("%s: %s", vectors[i].text, err.message);
    assert_text(&out, vectors[i].canonical);
    /* Canonical text is its own canonical text. */
    iu__buf_reset(&out);
    assert_int_equal(iu__json_canonical(vectors[i].canonical, strlen(vectors[i].canonical), &out, &err), IU_OK);
    assert_text(&out, vectors[i].canonical);
  }
  iu__buf_free(&out);
}

static void the_hash_is_pythons(void **state) {
  static const char text[] = "{\"version\":1.0,\"data\":{\"items\":[1,2,3],\"name\":\"J\\u00f8rgen\"}}";
  iu_buf out = {0};
  uint8_t digest[32];
  char hex[65];
  (void)state;
  assert_int_equal(iu__json_canonical(text, sizeof text - 1, &out, NULL), IU_OK);
  assert_int_equal(iu__sha256(out.data, out.len, digest, NULL), IU_OK);
  iu__hex(hex, digest, 32);
  assert_string_equal(hex, "cd8808ceda1ff75742b4866684dfc14ce3045944f8d62ae471e678755973f928");
  iu__buf_free(&out);
}

static void canonical_appends_and_reports_failures(void **state) {
  iu_buf out = {0};
  iu_error err;
  (void)state;
  iu__buf_put_str(&out, "x");
  assert_int_equal(iu__json_canonical("[1]", 3, &out, &err), IU_OK);
  assert_text(&out, "x[1]");
  assert_int_equal(iu__json_canonical("[1", 2, &out, &err), IU_E_VALIDATION);
  assert_int_equal(err.offset, 2);
  assert_int_equal(iu__json_canonical("[1", 2, &out, NULL), IU_E_VALIDATION);
  assert_int_equal(iu__json_canonical("[1e400]", 7, &out, &err), IU_E_VALIDATION);
  assert_int_equal(iu__json_canonical("\"\\ud800\"", 8, &out, &err), IU_E_VALIDATION);
  assert_text(&out, "x[1]");
  iu__buf_free(&out);
  iu__buf_init(&out, 5);
  assert_int_equal(iu__json_canonical("[1,2]", 5, &out, &err), IU_E_OVERLOADED);
  iu__buf_free(&out);
}

static const char peer_script[] =
    "import json, sys\n"
    "bad = n = 0\n"
    "lines = open(sys.argv[1], encoding='utf-8', newline='\\n').read().split('\\n')\n"
    "for text, ours in zip(lines[0::2], lines[1::2]):\n"
    "    n += 1\n"
    "    theirs = json.dumps(json.loads(text), sort_keys=True)\n"
    "    if theirs != ours:\n"
    "        bad += 1\n"
    "        if bad < 5: print('text  ', ascii(text), '\\nours  ', ours, '\\npython', theirs)\n"
    "print('python3 compared', n, 'documents,', bad, 'differ')\n"
    "sys.exit(1 if bad or n < 1000 else 0)\n";

/* A temporary file's path from `pattern`; the file is open for writing. */
static FILE *temporary(char *path, size_t size, const char *pattern) {
  const char *folder = getenv("TMPDIR");
  int fd;
  snprintf(path, size, "%s/%s", folder != NULL ? folder : "/tmp", pattern);
  fd = mkstemp(path);
  assert_true(fd >= 0);
  return fdopen(fd, "w");
}

static void write_pairs(FILE *file, random_source *rnd, int rounds) {
  json_maker m = {.rnd = rnd};
  iu_buf out = {0};
  iu_error err;
  while (rounds > 0) {
    make_document(&m, 40);
    iu__buf_reset(&out);
    if (iu__json_canonical(m.out.data, m.out.len, &out, &err) != IU_OK) {
      /* The only thing that the maker gets wrong. */
      if (strstr(err.message, "too large for a double") == NULL) fail_msg("%.*s: %s", (int)m.out.len, (const char *)m.out.data, err.message);
      continue;
    }
    rounds--;
    fwrite(m.out.data, 1, m.out.len, file);
    fputc('\n', file);
    fwrite(out.data, 1, out.len, file);
    fputc('\n', file);
  }
  iu__buf_free(&m.out);
  iu__buf_free(&out);
}

static void random_documents_equal_pythons(void **state) {
  random_source rnd = random_begin("peer");
  char script[256], pairs[256], command[600];
  FILE *file;
  int result;
  (void)state;
  if (system("command -v python3 >/dev/null 2>&1 && python3 -c 'import json' 2>/dev/null") != 0) {
    printf("no python3 here: the fixed vectors have to do\n");
    return;
  }
  file = temporary(script, sizeof script, "peer-XXXXXX");
  assert_non_null(file);
  fputs(peer_script, file);
  assert_int_equal(fclose(file), 0);
  file = temporary(pairs, sizeof pairs, "pairs-XXXXXX");
  assert_non_null(file);
  write_pairs(file, &rnd, SLOW_BUILD ? 2000 : 20000);
  assert_int_equal(fclose(file), 0);
  fflush(stdout);
  snprintf(command, sizeof command, "LD_PRELOAD= python3 '%s' '%s'", script, pairs);
  result = system(command);
  unlink(script);
  unlink(pairs);
  assert_int_equal(result, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(canonical_text_is_pythons),
      cmocka_unit_test(the_hash_is_pythons),
      cmocka_unit_test(canonical_appends_and_reports_failures),
      cmocka_unit_test(random_documents_equal_pythons),
  };
  return cmocka_run_group_tests_name("sats_json_canonical", tests, NULL, NULL);
}
