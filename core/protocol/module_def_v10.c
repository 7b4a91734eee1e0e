/* module_def_v10.c: RawModuleDefV10 as SATS-JSON, written anew as RawModuleDefV9, which module_def.c reads. What V9 has no place for goes beside it: which
 * tables are event tables, and the keys of views. Submodules come behind the module that has them: their types are numbered on, their names are `namespace.name`, as on the
 * wire. Handlers of HTTP, defaults and rules are left out, as are sections that are not known here.
 *
 * Cost: a document of the text, names sorted, everything written once. Lists that are held against each other have caps.
 */
#include <stdlib.h>

#include "../base/alloc.h"
#include "../sats/json.h"
#include "../sats/schema.h"
#include "message_internal.h"

#define SECTIONS_MAX 64u      /* of a module, known or not */
#define LIFECYCLES_MAX 8u

enum section { TYPESPACE, TYPES, TABLES, REDUCERS, PROCEDURES, VIEWS, SCHEDULES, LIFECYCLES, NAMES, SUBMODULES, VIEW_KEYS, SECTION_COUNT };
static const char *const section_names[SECTION_COUNT] = {"Typespace", "Types", "Tables", "Reducers", "Procedures", "Views", "Schedules", "LifeCycleReducers",
                                                         "ExplicitNames", "Submodules", "ViewPrimaryKeys"};

/* A name as the module's source has it, and as it is on the wire. kind: 'T' of a table, 'F' of a function. */
typedef struct mapping { char kind; const iu_json *source, *canonical; } mapping;

typedef struct module {
  const iu_json *sections[SECTION_COUNT]; /* NULL: there is none */
  mapping *names; uint32_t name_count;    /* sorted */
  const char *prefix;                     /* "a.b." */
  uint32_t types_before;                  /* of the modules in front of it */
} module;

typedef struct writer {
  iu_arena arena;
  module *modules; uint32_t count;
  const module *m;                        /* the one that is written */
  iu_buf *out, *events, *keys;
  iu_buf scratch;
  iu_error *err;
} writer;

/* ---- looking ---- */

static bool expected(writer *w, const char *what) {
  if (w->err->status == IU_OK) iu__fail(w->err, IU_E_VALIDATION, "expected %s", what);
  return false;
}

static const iu_json *member(const iu_json *object, const char *key) {
  return object != NULL && object->token == IU_J_OBJECT ? iu__json_get(object, key, strlen(key)) : NULL;
}

static const iu_json *text(writer *w, const iu_json *object, const char *key) {
  const iu_json *v = member(object, key);
  if (v != NULL && v->token == IU_J_STRING) return v;
  expected(w, key);
  return NULL;
}

/* The elements of a list; none where there is no list. */
static uint32_t elements(const iu_json *list, const iu_json **at) {
  bool is = list != NULL && list->token == IU_J_ARRAY;
  *at = is ? list->u.elements : NULL;
  return is ? list->len : 0;
}

static uint32_t of_section(const module *m, enum section s, const iu_json **at) { return elements(m->sections[s], at); }

static bool same(const iu_json *a, const iu_json *b) { return a->len == b->len && memcmp(a->u.s, b->u.s, a->len) == 0; }

static int compare(const void *left, const void *right) {
  const mapping *a = left, *b = right;
  uint32_t len = a->source->len < b->source->len ? a->source->len : b->source->len;
  int c = a->kind != b->kind ? a->kind - b->kind : memcmp(a->source->u.s, b->source->u.s, len);
  return c != 0 ? c : (a->source->len > b->source->len) - (a->source->len < b->source->len);
}

static const iu_json *canonical(const module *m, char kind, const iu_json *source) {
  mapping key = {kind, source, NULL};
  const mapping *found = m->name_count != 0 ? bsearch(&key, m->names, m->name_count, sizeof key, compare) : NULL;
  return found != NULL ? found->canonical : source;
}

/* ---- the modules ---- */

static bool read_names(writer *w, module *m) {
  const iu_json *list;
  uint32_t count = elements(member(m->sections[NAMES], "entries"), &list);
  m->names = iu__arena_zero(&w->arena, count + (size_t)1, sizeof *m->names);
  if (m->names == NULL) return iu__fail_nomem(w->err) == IU_OK;
  for (uint32_t i = 0; i < count; i++) {
    const iu_json *table = member(&list[i], "Table"), *names = table != NULL ? table : member(&list[i], "Function");
    if (names == NULL) continue; /* of an index */
    mapping found = {table != NULL ? 'T' : 'F', text(w, names, "source_name"), text(w, names, "canonical_name")};
    if (found.source == NULL || found.canonical == NULL) return false;
    m->names[m->name_count++] = found;
  }
  qsort(m->names, m->name_count, sizeof *m->names, compare);
  return true;
}

static bool read_sections(writer *w, module *m, const iu_json *definition) {
  const iu_json *list;
  uint32_t count = elements(member(definition, "sections"), &list);
  if (count > SECTIONS_MAX) return iu__fail(w->err, IU_E_OVERLOADED, "%u sections, at most %u are read", count, SECTIONS_MAX) == IU_OK;
  for (uint32_t i = 0; i < count; i++) {
    for (int s = 0; s < SECTION_COUNT; s++) {
      const iu_json *found = member(&list[i], section_names[s]);
      if (found == NULL) continue;
      if (m->sections[s] != NULL) return iu__fail(w->err, IU_E_VALIDATION, "two sections `%s`", section_names[s]) == IU_OK;
      m->sections[s] = found;
    }
  }
  return read_names(w, m);
}

static const char *join_prefix(writer *w, const char *prefix, const iu_json *namespace) {
  iu__buf_reset(&w->scratch);
  iu__buf_put_str(&w->scratch, prefix);
  iu__buf_put(&w->scratch, namespace->u.s, namespace->len);
  iu__buf_put_u8(&w->scratch, '.');
  const char *joined = w->scratch.failed ? NULL : iu__arena_strndup(&w->arena, (const char *)w->scratch.data, w->scratch.len);
  if (joined == NULL) iu__fail_nomem(w->err);
  return joined;
}

/* A module, and then those in it, each with its own. Depth: that of the document, which the JSON reader bounds. */
static bool add_module(writer *w, const iu_json *definition, const char *prefix, uint32_t *types) {
  const iu_json *list, *own;
  if (w->count == IU_SUBMODULES_MAX + 1) return iu__fail(w->err, IU_E_OVERLOADED, "more than %d submodules", IU_SUBMODULES_MAX) == IU_OK;
  module *m = &w->modules[w->count++];
  m->prefix = prefix;
  m->types_before = *types;
  if (!read_sections(w, m, definition)) return false;
  *types += elements(member(m->sections[TYPESPACE], "types"), &own);
  uint32_t count = of_section(m, SUBMODULES, &list);
  for (uint32_t i = 0; i < count; i++) {
    const iu_json *namespace = text(w, &list[i], "namespace");
    const char *inner = namespace != NULL ? join_prefix(w, prefix, namespace) : NULL;
    if (inner == NULL || !add_module(w, member(&list[i], "module"), inner, types)) return false;
  }
  return true;
}

/* ---- writing ---- */

static void put(writer *w, const iu_json *v);

static void put_members(writer *w, const iu_json *v) {
  bool is_ref = v->len == 1 && v->u.members[0].key_len == 3 && memcmp(v->u.members[0].key, "Ref", 3) == 0 && v->u.members[0].value.token == IU_J_INT;
  iu__buf_put_u8(w->out, '{');
  for (uint32_t i = 0; i < v->len; i++) {
    if (i != 0) iu__buf_put_u8(w->out, ',');
    iu__json_put_string(w->out, v->u.members[i].key, v->u.members[i].key_len);
    iu__buf_put_u8(w->out, ':');
    if (is_ref) iu__buf_printf(w->out, "%lld", (long long)(v->u.members[i].value.u.i + w->m->types_before));
    else put(w, &v->u.members[i].value);
  }
  iu__buf_put_u8(w->out, '}');
}

/* Refs are to the types of the module at hand. A number that is out of range is refused where the definition is read. */
static void put(writer *w, const iu_json *v) {
  if (v->token == IU_J_OBJECT) put_members(w, v);
  else if (v->token == IU_J_ARRAY) {
    iu__buf_put_u8(w->out, '[');
    for (uint32_t i = 0; i < v->len; i++) {
      if (i != 0) iu__buf_put_u8(w->out, ',');
      put(w, &v->u.elements[i]);
    }
    iu__buf_put_u8(w->out, ']');
  } else iu__json_write(v, w->out);
}

static void put_key(writer *w, const char *key) { iu__buf_printf(w->out, "\"%s\":", key); }

/* `as`: the member `key` of the object, which V9 names so. Written with a comma behind it. */
static bool put_as(writer *w, const iu_json *object, const char *key, const char *as) {
  const iu_json *v = member(object, key);
  if (v == NULL) return expected(w, key);
  put_key(w, as);
  put(w, v);
  iu__buf_put_u8(w->out, ',');
  return true;
}

static bool put_same(writer *w, const iu_json *object, const char *key) { return put_as(w, object, key, key); }

static bool put_ref(writer *w, const iu_json *object, const char *key) {
  const iu_json *v = member(object, key);
  if (v == NULL || v->token != IU_J_INT) return expected(w, key);
  put_key(w, key);
  iu__buf_printf(w->out, "%lld,", (long long)(v->u.i + w->m->types_before));
  return true;
}

static void put_prefixed(writer *w, const iu_json *name) {
  iu__buf_reset(&w->scratch);
  iu__buf_put_str(&w->scratch, w->m->prefix);
  iu__buf_put(&w->scratch, name->u.s, name->len);
  iu__json_put_string(w->out, (const char *)w->scratch.data, w->scratch.len);
}

static bool put_name(writer *w, const iu_json *object, char kind, const char *as) {
  const iu_json *source = text(w, object, "source_name");
  if (source == NULL) return false;
  put_key(w, as);
  put_prefixed(w, canonical(w->m, kind, source));
  iu__buf_put_u8(w->out, ',');
  return true;
}

static void begin(writer *w, char open) { iu__buf_put_u8(w->out, (uint8_t)open); }

/* The last comma gives way to the end. */
static void end(writer *w, char close, char behind) {
  if (w->out->len > 0 && w->out->data[w->out->len - 1] == ',') w->out->len--;
  iu__buf_put_u8(w->out, (uint8_t)close);
  iu__buf_put_u8(w->out, (uint8_t)behind);
}

typedef bool (*put_element)(writer *w, const iu_json *element);

static bool put_elements(writer *w, const iu_json *list, put_element one) {
  const iu_json *at;
  uint32_t count = elements(list, &at);
  for (uint32_t i = 0; i < count; i++) {
    begin(w, '{');
    if (!one(w, &at[i])) return false;
    end(w, '}', ',');
  }
  return true;
}

static bool put_list(writer *w, const iu_json *object, const char *key, put_element one) {
  put_key(w, key);
  begin(w, '[');
  if (!put_elements(w, member(object, key), one)) return false;
  end(w, ']', ',');
  return true;
}

/* ---- tables ---- */

static bool put_index(writer *w, const iu_json *index) {
  return put_as(w, index, "source_name", "name") && put_same(w, index, "accessor_name") && put_same(w, index, "algorithm");
}

static bool put_constraint(writer *w, const iu_json *constraint) { return put_as(w, constraint, "source_name", "name") && put_same(w, constraint, "data"); }

static bool put_sequence(writer *w, const iu_json *q) {
  return put_as(w, q, "source_name", "name") && put_same(w, q, "column") && put_same(w, q, "start") && put_same(w, q, "min_value") &&
         put_same(w, q, "max_value") && put_same(w, q, "increment");
}

static bool put_schedule(writer *w, const iu_json *source) {
  const iu_json *list;
  uint32_t count = of_section(w->m, SCHEDULES, &list);
  const iu_json *name = canonical(w->m, 'T', source);
  for (uint32_t i = 0; i < count; i++) {
    const iu_json *table = text(w, &list[i], "table_name"), *function = text(w, &list[i], "function_name");
    if (table == NULL || function == NULL) return false;
    if (!same(table, name) && !same(table, source)) continue;
    iu__buf_put_str(w->out, "\"schedule\":{\"some\":{");
    if (!put_as(w, &list[i], "source_name", "name") || !put_as(w, &list[i], "schedule_at_col", "scheduled_at_column")) return false;
    put_key(w, "reducer_name");
    put_prefixed(w, canonical(w->m, 'F', function));
    iu__buf_put_str(w->out, "}},");
    return true;
  }
  iu__buf_put_str(w->out, "\"schedule\":{\"none\":[]},");
  return true;
}

static void note(iu_buf *list, const char *prefix, const iu_json *name) {
  iu__buf_put_str(list, prefix);
  iu__buf_put(list, name->u.s, name->len);
  iu__buf_put_u8(list, '\0');
}

static void note_event(writer *w, const iu_json *table, const iu_json *source) {
  const iu_json *is = member(table, "is_event");
  if (is != NULL && is->token == IU_J_TRUE) note(w->events, w->m->prefix, canonical(w->m, 'T', source));
}

static bool put_table(writer *w, const iu_json *table) {
  const iu_json *source = text(w, table, "source_name");
  if (source == NULL) return false;
  note_event(w, table, source);
  return put_name(w, table, 'T', "name") && put_ref(w, table, "product_type_ref") && put_same(w, table, "primary_key") &&
         put_list(w, table, "indexes", put_index) && put_list(w, table, "constraints", put_constraint) &&
         put_list(w, table, "sequences", put_sequence) && put_schedule(w, source) && put_same(w, table, "table_type") && put_same(w, table, "table_access");
}

/* ---- functions and types ---- */

static bool put_reducer(writer *w, const iu_json *reducer) {
  const iu_json *list;
  uint32_t count = of_section(w->m, LIFECYCLES, &list);
  const iu_json *source = text(w, reducer, "source_name"), *spec = NULL;
  for (uint32_t i = 0; source != NULL && i < count; i++) {
    const iu_json *function = text(w, &list[i], "function_name");
    if (function != NULL && (same(function, source) || same(function, canonical(w->m, 'F', source)))) spec = member(&list[i], "lifecycle_spec");
  }
  if (!put_name(w, reducer, 'F', "name") || !put_same(w, reducer, "params")) return false;
  iu__buf_put_str(w->out, spec != NULL ? "\"lifecycle\":{\"some\":" : "\"lifecycle\":{\"none\":[]");
  if (spec != NULL) put(w, spec);
  iu__buf_put_str(w->out, "},");
  return true;
}

static bool put_procedure(writer *w, const iu_json *p) {
  iu__buf_put_str(w->out, "\"Procedure\":{");
  if (!put_name(w, p, 'F', "name") || !put_same(w, p, "params") || !put_same(w, p, "return_type")) return false;
  end(w, '}', ',');
  return true;
}

/* A key of several columns is none here: a table's has one. */
static bool note_key(writer *w, const iu_json *view) {
  const iu_json *list, *columns, *source = text(w, view, "source_name");
  uint32_t count = of_section(w->m, VIEW_KEYS, &list);
  if (source == NULL) return false;
  const iu_json *name = canonical(w->m, 'F', source);
  for (uint32_t i = 0; i < count; i++) {
    const iu_json *of = text(w, &list[i], "view_source_name");
    if (of == NULL) return false;
    if (!same(of, source) && !same(of, name)) continue;
    if (elements(member(&list[i], "columns"), &columns) != 1) return true;
    if (columns->token != IU_J_STRING) return expected(w, "names of columns");
    note(w->keys, w->m->prefix, name);
    note(w->keys, "", columns);
    return true;
  }
  return true;
}

static bool put_view(writer *w, const iu_json *view) {
  if (!note_key(w, view)) return false;
  iu__buf_put_str(w->out, "\"View\":{");
  if (!put_name(w, view, 'F', "name") || !put_same(w, view, "index") || !put_same(w, view, "is_public") || !put_same(w, view, "is_anonymous") ||
      !put_same(w, view, "params") || !put_same(w, view, "return_type")) {
    return false;
  }
  end(w, '}', ',');
  return true;
}

/* Its namespaces are scopes around its own. */
static bool put_type_name(writer *w, const iu_json *name) {
  const iu_json *scopes;
  uint32_t count = elements(member(name, "scope"), &scopes);
  iu__buf_put_str(w->out, "\"name\":{\"scope\":[");
  for (const char *at = w->m->prefix; *at != '\0'; at = strchr(at, '.') + 1) {
    iu__json_put_string(w->out, at, (size_t)(strchr(at, '.') - at));
    iu__buf_put_u8(w->out, ',');
  }
  for (uint32_t i = 0; i < count; i++) {
    put(w, &scopes[i]);
    iu__buf_put_u8(w->out, ',');
  }
  end(w, ']', ',');
  if (!put_as(w, name, "source_name", "name")) return false;
  end(w, '}', ',');
  return true;
}

static bool put_type(writer *w, const iu_json *type) {
  return put_type_name(w, member(type, "source_name")) && put_ref(w, type, "ty") && put_same(w, type, "custom_ordering");
}

/* ---- all of it ---- */

static bool put_sections(writer *w, const char *key, enum section s, put_element one) {
  put_key(w, key);
  begin(w, '[');
  for (uint32_t i = 0; i < w->count; i++) {
    w->m = &w->modules[i];
    if (!put_elements(w, w->m->sections[s], one)) return false;
  }
  end(w, ']', ',');
  return true;
}

static void put_typespace(writer *w) {
  iu__buf_put_str(w->out, "\"typespace\":{\"types\":[");
  for (uint32_t i = 0; i < w->count; i++) {
    const iu_json *list;
    w->m = &w->modules[i];
    uint32_t count = elements(member(w->m->sections[TYPESPACE], "types"), &list);
    for (uint32_t t = 0; t < count; t++) {
      put(w, &list[t]);
      iu__buf_put_u8(w->out, ',');
    }
  }
  end(w, ']', '}');
  iu__buf_put_u8(w->out, ',');
}

static bool put_exports(writer *w) {
  iu__buf_put_str(w->out, "\"misc_exports\":[");
  for (uint32_t i = 0; i < w->count; i++) {
    w->m = &w->modules[i];
    if (!put_elements(w, w->m->sections[PROCEDURES], put_procedure) || !put_elements(w, w->m->sections[VIEWS], put_view)) return false;
  }
  end(w, ']', ',');
  return true;
}

/* Lists of which each element is looked for in another. */
static bool check_caps(writer *w) {
  for (uint32_t i = 0; i < w->count; i++) {
    const iu_json *at;
    if (of_section(&w->modules[i], TABLES, &at) > IU_SCHEMA_TABLES_MAX || of_section(&w->modules[i], SCHEDULES, &at) > IU_SCHEMA_TABLES_MAX) {
      return iu__fail(w->err, IU_E_VALIDATION, "more than %d tables or schedules", IU_SCHEMA_TABLES_MAX) == IU_OK;
    }
    if (of_section(&w->modules[i], VIEWS, &at) > IU_SCHEMA_TABLES_MAX || of_section(&w->modules[i], VIEW_KEYS, &at) > IU_SCHEMA_TABLES_MAX) {
      return iu__fail(w->err, IU_E_VALIDATION, "more than %d views or keys of views", IU_SCHEMA_TABLES_MAX) == IU_OK;
    }
    if (of_section(&w->modules[i], LIFECYCLES, &at) > LIFECYCLES_MAX) return iu__fail(w->err, IU_E_VALIDATION, "more than %u lifecycle reducers", LIFECYCLES_MAX) == IU_OK;
  }
  return true;
}

static bool put_all(writer *w) {
  begin(w, '{');
  put_typespace(w);
  if (!check_caps(w) || !put_sections(w, "tables", TABLES, put_table) || !put_sections(w, "reducers", REDUCERS, put_reducer) ||
      !put_sections(w, "types", TYPES, put_type) || !put_exports(w)) {
    return false;
  }
  iu__buf_put_str(w->out, "\"row_level_security\":[]}");
  return true;
}

iu_status iu__module_def_v10(const void *json, size_t len, iu_buf *v9, iu_buf *events, iu_buf *keys, iu_error *err) {
  writer w = {.out = v9, .events = events, .keys = keys, .err = err};
  uint32_t types = 0;
  iu__error_clear(err);
  const iu_json *definition = iu__json_parse(&w.arena, json, len, err);
  if (definition != NULL) {
    w.modules = iu__arena_zero(&w.arena, IU_SUBMODULES_MAX + 1, sizeof *w.modules);
    if (w.modules == NULL) iu__fail_nomem(err);
    else if (!add_module(&w, definition, "", &types) || !put_all(&w)) expected(&w, "a module definition");
  }
  iu__arena_free(&w.arena);
  bool failed = w.scratch.failed || events->failed || keys->failed;
  iu__buf_free(&w.scratch);
  if (err->status != IU_OK) return err->status;
  return failed ? iu__fail_nomem(err) : iu__buf_status(v9, err, "module definition");
}

bool iu__module_def_is_v10(const void *json, size_t len) {
  iu_json_reader r;
  iu__json_reader_init(&r, json, len, NULL);
  bool is = iu__json_next(&r) == IU_J_OBJECT && iu__json_next(&r) == IU_J_KEY && r.len == 8 && memcmp(r.s, "sections", 8) == 0;
  iu__json_reader_free(&r);
  return is;
}
