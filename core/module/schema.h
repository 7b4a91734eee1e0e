/* schema.h: what NERV's module declares, as constant tables: types, tables, indexes, reducers.
 *
 * This is the only list of columns and parameters: describe.c writes the module definition from it, dispatch.c calls by it. Columns of the
 * tables are frozen (servers take new tables, reducers and indexes later, but no new column).
 *
 * A type is written as text: `String`, `Bool`, `U32`, `U64`, `F64`, `Bytes`, `Identity`, `ConnectionId`, `Timestamp`, `[T]`, `T?`, or
 * the name of an entry of iu__nerv_types.
 */
#ifndef IU_MODULE_SCHEMA_H
#define IU_MODULE_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NERV_SCHEMA_VERSION "1"

typedef enum nerv_table {
  NERV_ENTITY, NERV_RELATION, NERV_STATE_VERSION, NERV_DELTA_RECORD, NERV_STATE_SNAPSHOT, NERV_STATE_BRANCH, NERV_EVENT_LOG,
  NERV_EVENT_HEAD, NERV_EVENT_CURSOR, NERV_ROW_HISTORY, NERV_CONFIG, NERV_CLIENT_CONNECTION, NERV_PERMISSION,
  NERV_APPLIED_REQUEST, NERV_SCHEMA_MIGRATION, NERV_PLUGIN_RECORD, NERV_TABLE_COUNT
} nerv_table;

/* In the order of iu__nerv_indexes; the first of a table is its primary key's. */
typedef enum nerv_index {
  NERV_ENTITY_ID, NERV_ENTITY_TYPE, NERV_ENTITY_CREATED_AT,
  NERV_RELATION_ID, NERV_RELATION_FROM, NERV_RELATION_TO, NERV_RELATION_TYPE,
  NERV_VERSION_ID, NERV_VERSION_BRANCH, NERV_VERSION_TIMESTAMP,
  NERV_DELTA_ID, NERV_DELTA_VERSION, NERV_DELTA_TIMESTAMP,
  NERV_SNAPSHOT_KEY, NERV_SNAPSHOT_VERSION,
  NERV_BRANCH_NAME,
  NERV_EVENT_ID, NERV_EVENT_SEQUENCE, NERV_EVENT_TYPE, NERV_EVENT_TIMESTAMP,
  NERV_HEAD_ID,
  NERV_CURSOR_CONSUMER,
  NERV_HISTORY_KEY, NERV_HISTORY_ROW, NERV_HISTORY_TIMESTAMP,
  NERV_CONFIG_KEY,
  NERV_CONNECTION_ID, NERV_CONNECTION_IDENTITY,
  NERV_PERMISSION_KEY, NERV_PERMISSION_PRINCIPAL,
  NERV_REQUEST_KEY, NERV_REQUEST_APPLIED_AT,
  NERV_MIGRATION_VERSION,
  NERV_RECORD_KEY,
  NERV_INDEX_COUNT
} nerv_index;

typedef struct nerv_field { const char *name, *type; } nerv_field;
typedef struct nerv_type { const char *name; bool is_sum; uint32_t count; const nerv_field *fields; } nerv_type;

typedef struct nerv_table_spec {
  const char *name, *row;   /* `row` names a type */
  bool is_private;
  nerv_index primary;
  const char *shape;        /* for cutting scanned rows apart, see iu__nerv_skip; NULL: never scanned */
} nerv_table_spec;

typedef struct nerv_index_spec { nerv_table table; bool unique; const char *column; } nerv_index_spec;

typedef enum nerv_lifecycle { NERV_CALLED, NERV_INIT, NERV_CONNECT, NERV_DISCONNECT } nerv_lifecycle;
typedef struct nerv_reducer_spec { const char *name, *params; nerv_lifecycle lifecycle; } nerv_reducer_spec; /* params: type, or NULL */

/* X(symbol, name, type of the parameters): what is also an operation of `transact`, in the order of the sum's variants. */
#define NERV_OPERATIONS(X)                                    \
  X(create_entity, CreateEntity)                              \
  X(update_entity, UpdateEntity)                              \
  X(delete_entity, DeleteEntity)                              \
  X(create_relation, CreateRelation)                          \
  X(update_relation, UpdateRelation)                          \
  X(delete_relation, DeleteRelation)                          \
  X(commit_state_version, CommitStateVersion)                 \
  X(record_delta, RecordDelta)                                \
  X(put_snapshot, PutSnapshot)                                \
  X(set_branch, SetBranch)                                    \
  X(prune_versions, PruneVersions)                            \
  X(publish_event, PublishEvent)                              \
  X(prune_events, PruneEvents)                                \
  X(advance_cursor, AdvanceCursor)                            \
  X(prune_history, PruneHistory)                              \
  X(update_config, UpdateConfig)                              \
  X(grant, Grant)                                             \
  X(revoke, Revoke)                                           \
  X(record_migration, RecordMigration)                        \
  X(put_record, PutRecord)                                    \
  X(delete_record, DeleteRecord)                              \
  X(import_rows, ImportRows)                                  \
  X(remove_rows, RemoveRows)                                  \
  X(expect, Expect)
#define NERV_EXPECT_OPERATION (iu__nerv_operation_count - 1)  /* the last one is an operation, but no reducer */

extern const nerv_type iu__nerv_types[];
extern const uint32_t iu__nerv_type_count, iu__nerv_operation_count;
extern const nerv_table_spec iu__nerv_tables[NERV_TABLE_COUNT];
extern const nerv_index_spec iu__nerv_indexes[NERV_INDEX_COUNT];
extern const nerv_reducer_spec iu__nerv_reducers[];
extern const uint32_t iu__nerv_reducer_count;

#endif
