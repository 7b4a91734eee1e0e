/* definition.c: a definition of version 9 (SATS-JSON) as one of version 10, as a server of 2.x tells it. The text was written here: what is missing ends the
 * program. */
#include <stdlib.h>

#include "../../core/sats/json.h"
#include "server.h"

static const iu_json *get(const iu_json *object, const char *key) {
  const iu_json *v = iu__json_get(object, key, strlen(key));
  if (v == NULL) abort();
  return v;
}

static void put(iu_buf *b, const iu_json *object, const char *key, const char *as) {
  iu__buf_printf(b, "\"%s\":", as);
  iu__json_write(get(object, key), b);
  iu__buf_put_u8(b, ',');
}

typedef void (*put_one)(iu_buf *b, const iu_json *element);

static void put_list(iu_buf *b, const char *head, const iu_json *list, put_one one, const char *tail) {
  iu__buf_put_str(b, head);
  for (uint32_t i = 0; i < list->len; i++) {
    iu__buf_put_str(b, i > 0 ? ",{" : "{");
    one(b, &list->u.elements[i]);
    iu__buf_put_u8(b, '}');
  }
  iu__buf_put_str(b, tail);
}

static void put_index(iu_buf *b, const iu_json *v) {
  put(b, v, "name", "source_name");
  put(b, v, "accessor_name", "accessor_name");
  put(b, v, "algorithm", "algorithm");
  b->len--;
}

static void put_constraint(iu_buf *b, const iu_json *v) {
  put(b, v, "name", "source_name");
  put(b, v, "data", "data");
  b->len--;
}

static void put_table(iu_buf *b, const iu_json *v) {
  put(b, v, "name", "source_name");
  put(b, v, "product_type_ref", "product_type_ref");
  put(b, v, "primary_key", "primary_key");
  put_list(b, "\"indexes\":[", get(v, "indexes"), put_index, "],");
  put_list(b, "\"constraints\":[", get(v, "constraints"), put_constraint, "],\"sequences\":[],");
  put(b, v, "table_type", "table_type");
  put(b, v, "table_access", "table_access");
  iu__buf_printf(b, "\"default_values\":[],\"is_event\":%s", iu__json_get(v, "is_event", 8) != NULL ? "true" : "false");
}

static void put_reducer(iu_buf *b, const iu_json *v) {
  put(b, v, "name", "source_name");
  put(b, v, "params", "params");
  iu__buf_put_str(b, "\"visibility\":{\"ClientCallable\":[]},\"ok_return_type\":{\"Product\":{\"elements\":[]}},\"err_return_type\":{\"String\":[]}");
}

static void put_type(iu_buf *b, const iu_json *v) {
  const iu_json *name = get(v, "name");
  iu__buf_put_str(b, "\"source_name\":{");
  put(b, name, "scope", "scope");
  put(b, name, "name", "source_name");
  b->len--;
  iu__buf_put_str(b, "},");
  put(b, v, "ty", "ty");
  put(b, v, "custom_ordering", "custom_ordering");
  b->len--;
}

/* Views are all that the double has among a module's exports. */
static void put_view(iu_buf *b, const iu_json *v) {
  static const char *const same[] = {"index", "is_public", "is_anonymous", "params", "return_type"};
  const iu_json *view = get(v, "View");
  put(b, view, "name", "source_name");
  for (size_t i = 0; i < sizeof same / sizeof *same; i++) put(b, view, same[i], same[i]);
  b->len--;
}

static void put_lifecycles(iu_buf *b, const iu_json *reducers) {
  iu__buf_put_str(b, "{\"LifeCycleReducers\":[");
  for (uint32_t i = 0; i < reducers->len; i++) {
    const iu_json *spec = iu__json_get(get(&reducers->u.elements[i], "lifecycle"), "some", 4);
    if (spec == NULL) continue;
    iu__buf_put_str(b, "{\"lifecycle_spec\":");
    iu__json_write(spec, b);
    iu__buf_put_u8(b, ',');
    put(b, &reducers->u.elements[i], "name", "function_name");
    b->data[b->len - 1] = '}';
    iu__buf_put_u8(b, ',');
  }
  if (b->data[b->len - 1] == ',') b->len--;
  iu__buf_put_str(b, "]},");
}

void peer__definition_v10(const iu_buf *v9, iu_buf *out) {
  iu_arena arena = {0};
  iu_error err;
  const iu_json *definition = iu__json_parse(&arena, v9->data, v9->len, &err);
  if (definition == NULL) abort();
  iu__buf_put_str(out, "{\"sections\":[{");
  put(out, definition, "typespace", "Typespace");
  out->data[out->len - 1] = '}';
  put_list(out, ",{\"Types\":[", get(definition, "types"), put_type, "]},");
  put_list(out, "{\"Tables\":[", get(definition, "tables"), put_table, "]},");
  put_list(out, "{\"Reducers\":[", get(definition, "reducers"), put_reducer, "]},");
  put_list(out, "{\"Views\":[", get(definition, "misc_exports"), put_view, "]},");
  put_lifecycles(out, get(definition, "reducers"));
  iu__buf_put_str(out, "{\"ExplicitNames\":{\"entries\":[]}}]}");
  iu__arena_free(&arena);
}
