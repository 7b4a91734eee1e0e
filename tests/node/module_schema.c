/* module_schema.c: what the embedded module declares, one fact a line, for comparison with what a server says that it runs.
 *
 *   type NAME product|sum
 *   type NAME.POSITION FIELD: TYPE
 *   table NAME public|private, primary key COLUMN
 *   table NAME.POSITION COLUMN: TYPE
 *   index NAME on TABLE(COLUMNS), accessor ACCESSOR, unique|not unique
 *   reducer NUMBER NAME(PARAMETER: TYPE, ...), lifecycle none|init|client_connected|client_disconnected
 *
 * A nested type is written by name where it has one. Ends with status 1 and the reason on standard error when the module cannot be opened.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../core/engine/engine.h"

static void put_type(const iu_schema *schema, const iu_type *t) {
  iu_buf text = {0};
  iu__type_describe_named(t, schema->type_names, &text);
  printf("%.*s", (int)text.len, (const char *)text.data);
  iu__buf_free(&text);
}

static void put_fields(const iu_schema *schema, const char *kind, const char *name, const iu_type *t) {
  for (uint32_t i = 0; i < t->count; i++) {
    printf("%s %s.%u %s: ", kind, name, i, t->u.fields[i].name);
    put_type(schema, t->u.fields[i].type);
    printf("\n");
  }
}

static void put_types(const iu_schema *schema) {
  for (uint32_t i = 0; i < schema->types.count; i++) {
    const iu_type *t = schema->types.types[i];
    printf("type %s %s\n", schema->type_names[i], t->tag == IU_T_SUM ? "sum" : "product");
    put_fields(schema, "type", schema->type_names[i], t);
  }
}

static void put_table(const iu_schema *schema, const iu_table_def *table) {
  printf("table %s %s, primary key %s\n", table->name, table->is_public ? "public" : "private",
         table->primary_key < 0 ? "none" : table->row->u.fields[table->primary_key].name);
  put_fields(schema, "table", table->name, table->row);
  for (uint32_t i = 0; i < table->index_count; i++) {
    const iu_index_def *index = &table->indexes[i];
    printf("index %s on %s(", index->name, table->name);
    for (uint32_t k = 0; k < index->column_count; k++) {
      printf("%s%s", k > 0 ? ", " : "", table->row->u.fields[index->columns[k]].name);
    }
    printf("), accessor %s, %s\n", index->accessor, index->unique ? "unique" : "not unique");
  }
}

static void put_reducer(const iu_schema *schema, uint32_t number, const iu_reducer_def *r) {
  static const char *const lifecycles[] = {"none", "init", "client_connected", "client_disconnected"};
  printf("reducer %u %s(", number, r->name);
  for (uint32_t i = 0; i < r->params->count; i++) {
    printf("%s%s: ", i > 0 ? ", " : "", r->params->u.fields[i].name);
    put_type(schema, r->params->u.fields[i].type);
  }
  printf("), lifecycle %s\n", lifecycles[r->lifecycle]);
}

static int fail(const iu_error *err) {
  fprintf(stderr, "module_schema: %s\n", err->message);
  return 1;
}

int main(void) {
  iu_engine_config config;
  iu_connection *c;
  const iu_schema *schema;
  iu_error err = {0};
  iu__engine_config_init(&config);
  if (iu__loop_new(NULL, &config.loop, &err) != IU_OK) return fail(&err);
  if (iu__engine_open(&config, &c, &err) != IU_OK) return fail(&err);
  schema = c->schema;
  put_types(schema);
  for (uint32_t i = 0; i < schema->table_count; i++) put_table(schema, &schema->tables[i]);
  for (uint32_t i = 0; i < schema->reducer_count; i++) put_reducer(schema, i, &schema->reducers[i]);
  if (c->vtable->close(c, &err) != IU_OK) return fail(&err);
  c->vtable->release(c);
  iu__loop_free(config.loop);
  return 0;
}
