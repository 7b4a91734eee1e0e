/* schema.c: the constant tables of schema.h. */
#include "schema.h"

#define COUNT(array) (uint32_t)(sizeof(array) / sizeof(array)[0])
#define PRODUCT(type, fields) {type, false, COUNT(fields), fields}
#define SUM(type, variants) {type, true, COUNT(variants), variants}

/* ---- types inside rows and arguments ---- */
static const nerv_field entity_metadata[] = {
  {"name", "String?"}, {"description", "String?"}, {"tags", "[String]"}, {"properties", "String"}};
static const nerv_field relation_metadata[] = {
  {"description", "String?"}, {"strength", "F64"}, {"bidirectional", "Bool"}, {"tags", "[String]"}, {"properties", "String"}};
static const nerv_field delta_set[] = {{"path", "String"}, {"value", "String"}};
static const nerv_field delta_delete[] = {{"path", "String"}};
static const nerv_field delta_insert[] = {{"path", "String"}, {"index", "U32?"}, {"value", "String"}};
static const nerv_field delta_remove[] = {{"path", "String"}, {"index", "U32"}};
static const nerv_field delta_patch[] = {{"path", "String"}, {"patch", "String"}};
static const nerv_field delta_operation[] = {
  {"Set", "DeltaSet"}, {"Delete", "DeltaDelete"}, {"Insert", "DeltaInsert"}, {"Remove", "DeltaRemove"}, {"Patch", "DeltaPatch"}};
static const nerv_field delta_metadata[] = {
  {"description", "String"}, {"author", "String?"}, {"tags", "[String]"}, {"parent_delta_id", "String?"}};
static const nerv_field version_delta[] = {
  {"base_version_id", "String"}, {"operations", "[DeltaOperation]"}, {"metadata", "DeltaMetadata"}, {"id", "String?"}};
static const nerv_field snapshot_part[] = {{"encoding", "String"}, {"data", "Bytes"}};

/* ---- rows ---- */
static const nerv_field entity[] = {
  {"id", "String"}, {"entity_type", "String"}, {"created_at", "Timestamp"}, {"updated_at", "Timestamp"}, {"metadata", "EntityMetadata"}};
static const nerv_field relation[] = {
  {"id", "String"}, {"from_entity", "String"}, {"to_entity", "String"}, {"relation_type", "String"}, {"created_at", "Timestamp"},
  {"metadata", "RelationMetadata"}};
static const nerv_field state_version[] = {
  {"version_id", "String"}, {"parent_version_id", "String"}, {"merge_parent_id", "String"}, {"branch", "String"},
  {"timestamp", "Timestamp"}, {"description", "String"}, {"author", "String"}, {"tags", "[String]"}, {"metadata", "String"},
  {"data_hash", "String"}, {"tree_hash", "String"}, {"owner", "Identity"}};
static const nerv_field delta_record[] = {
  {"delta_id", "String"}, {"state_version_id", "String"}, {"base_version_id", "String"}, {"kind", "String"},
  {"operations", "[DeltaOperation]"}, {"timestamp", "Timestamp"}, {"metadata", "DeltaMetadata"}};
static const nerv_field state_snapshot[] = {
  {"key", "String"}, {"version_id", "String"}, {"part", "U32"}, {"parts", "U32"}, {"encoding", "String"}, {"data", "Bytes"}};
static const nerv_field state_branch[] = {
  {"name", "String"}, {"kind", "String"}, {"head_version_id", "String"}, {"updated_at", "Timestamp"}};
static const nerv_field event_log[] = {
  {"event_id", "String"}, {"sequence", "U64"}, {"event_type", "String"}, {"source", "String"}, {"timestamp", "Timestamp"},
  {"actor", "Identity"}, {"data", "String"}};
static const nerv_field event_head[] = {{"id", "U32"}, {"sequence", "U64"}, {"count", "U64"}, {"bytes", "U64"}};
static const nerv_field event_cursor[] = {{"consumer", "String"}, {"sequence", "U64"}, {"updated_at", "Timestamp"}};
static const nerv_field row_history[] = {
  {"key", "String"}, {"table_name", "String"}, {"row_key", "String"}, {"sequence", "U64"}, {"timestamp", "Timestamp"},
  {"change", "String"}, {"row", "Bytes"}, {"actor", "Identity"}};
static const nerv_field config[] = {
  {"key", "String"}, {"value", "String"}, {"description", "String"}, {"updated_at", "Timestamp"}, {"updated_by", "Identity"}};
static const nerv_field client_connection[] = {
  {"connection_id", "ConnectionId"}, {"identity", "Identity"}, {"connected_at", "Timestamp"}, {"last_active_at", "Timestamp"},
  {"client_info", "String"}, {"status", "String"}};
static const nerv_field permission[] = {{"key", "String"}, {"principal", "String"}, {"action", "String"}, {"subject", "String"}};
static const nerv_field applied_request[] = {{"request_key", "String"}, {"applied_at", "Timestamp"}};
static const nerv_field schema_migration[] = {
  {"version", "String"}, {"name", "String"}, {"checksum", "String"}, {"status", "String"}, {"step", "U32"}, {"checkpoint", "String"},
  {"error", "String"}, {"applied_at", "Timestamp"}, {"duration_ms", "U64"}, {"applied_by", "Identity"}};
static const nerv_field plugin_record[] = {
  {"key", "String"}, {"value", "String"}, {"revision", "U64"}, {"expires_at", "Timestamp"}, {"updated_at", "Timestamp"}};

/* ---- parameters ---- */
static const nerv_field create_entity[] = {{"entity_type", "String"}, {"metadata", "EntityMetadata"}, {"id", "String?"}};
static const nerv_field update_entity[] = {{"id", "String"}, {"metadata", "EntityMetadata"}};
static const nerv_field delete_entity[] = {{"id", "String"}, {"cascade", "Bool"}};
static const nerv_field create_relation[] = {
  {"from_entity", "String"}, {"to_entity", "String"}, {"relation_type", "String"}, {"metadata", "RelationMetadata"}, {"id", "String?"}};
static const nerv_field update_relation[] = {{"id", "String"}, {"metadata", "RelationMetadata"}};
static const nerv_field delete_relation[] = {{"id", "String"}};
static const nerv_field commit_state_version[] = {
  {"parent_version_id", "String"}, {"description", "String"}, {"data_hash", "String"}, {"branch", "String"}, {"author", "String"},
  {"tags", "[String]"}, {"metadata", "String"}, {"merge_parent_id", "String"}, {"tree_hash", "String"}, {"expected_head", "String?"},
  {"delta", "VersionDelta?"}, {"snapshot", "[SnapshotPart]"}, {"id", "String?"}};
static const nerv_field record_delta[] = {
  {"version_id", "String"}, {"operations", "[DeltaOperation]"}, {"metadata", "DeltaMetadata"}, {"id", "String?"}};
static const nerv_field put_snapshot[] = {
  {"version_id", "String"}, {"part", "U32"}, {"parts", "U32"}, {"encoding", "String"}, {"data", "Bytes"}};
static const nerv_field set_branch[] = {
  {"name", "String"}, {"kind", "String"}, {"head_version_id", "String"}, {"expected_head", "String?"}};
static const nerv_field prune_versions[] = {
  {"version_ids", "[String]"}, {"delta_ids", "[String]"}, {"snapshot_version_ids", "[String]"}};
static const nerv_field publish_event[] = {{"event_type", "String"}, {"source", "String"}, {"data", "String"}, {"id", "String?"}};
static const nerv_field prune_events[] = {
  {"before", "Timestamp?"}, {"max_count", "U64?"}, {"max_bytes", "U64?"}, {"up_to", "U64?"}, {"event_types", "[String]"}, {"limit", "U32"}};
static const nerv_field advance_cursor[] = {{"consumer", "String"}, {"sequence", "U64"}, {"expected", "U64?"}};
static const nerv_field prune_history[] = {{"before", "Timestamp?"}, {"max_count", "U64?"}, {"max_bytes", "U64?"}, {"limit", "U32"}};
static const nerv_field update_config[] = {{"key", "String"}, {"value", "String"}, {"description", "String"}};
static const nerv_field grant[] = {{"principal", "String"}, {"action", "String"}, {"subject", "String"}};
static const nerv_field record_migration[] = {
  {"version", "String"}, {"name", "String"}, {"checksum", "String"}, {"status", "String"}, {"step", "U32"}, {"checkpoint", "String"},
  {"error", "String"}, {"duration_ms", "U64"}};
static const nerv_field put_record[] = {
  {"key", "String"}, {"value", "String"}, {"expected_revision", "U64?"}, {"expires_at", "Timestamp?"}};
static const nerv_field delete_record[] = {{"key", "String"}, {"expected_revision", "U64?"}};
static const nerv_field import_rows[] = {{"table", "String"}, {"rows", "[Bytes]"}};
static const nerv_field remove_rows[] = {{"table", "String"}, {"keys", "[String]"}};
static const nerv_field expect[] = {{"table", "String"}, {"key", "String"}, {"row", "Bytes?"}};
#define VARIANT(symbol, type) {#type, #type},
static const nerv_field operation[] = {NERV_OPERATIONS(VARIANT)};
static const nerv_field transact[] = {{"operations", "[Operation]"}, {"request_key", "String?"}};
static const nerv_field check_permission[] = {{"identity", "String?"}, {"action", "String"}, {"subject", "String"}};
static const nerv_field set_client_info[] = {{"client_info", "String"}};

const uint32_t iu__nerv_operation_count = COUNT(operation);

const nerv_type iu__nerv_types[] = {
  PRODUCT("EntityMetadata", entity_metadata), PRODUCT("RelationMetadata", relation_metadata),
  PRODUCT("DeltaSet", delta_set), PRODUCT("DeltaDelete", delta_delete), PRODUCT("DeltaInsert", delta_insert),
  PRODUCT("DeltaRemove", delta_remove), PRODUCT("DeltaPatch", delta_patch), SUM("DeltaOperation", delta_operation),
  PRODUCT("DeltaMetadata", delta_metadata), PRODUCT("VersionDelta", version_delta), PRODUCT("SnapshotPart", snapshot_part),

  PRODUCT("Entity", entity), PRODUCT("Relation", relation), PRODUCT("StateVersion", state_version), PRODUCT("DeltaRecord", delta_record),
  PRODUCT("StateSnapshot", state_snapshot), PRODUCT("StateBranch", state_branch), PRODUCT("EventLog", event_log),
  PRODUCT("EventHead", event_head), PRODUCT("EventCursor", event_cursor), PRODUCT("RowHistory", row_history), PRODUCT("Config", config),
  PRODUCT("ClientConnection", client_connection), PRODUCT("Permission", permission), PRODUCT("AppliedRequest", applied_request),
  PRODUCT("SchemaMigration", schema_migration), PRODUCT("PluginRecord", plugin_record),

  PRODUCT("CreateEntity", create_entity), PRODUCT("UpdateEntity", update_entity), PRODUCT("DeleteEntity", delete_entity),
  PRODUCT("CreateRelation", create_relation), PRODUCT("UpdateRelation", update_relation), PRODUCT("DeleteRelation", delete_relation),
  PRODUCT("CommitStateVersion", commit_state_version), PRODUCT("RecordDelta", record_delta), PRODUCT("PutSnapshot", put_snapshot),
  PRODUCT("SetBranch", set_branch), PRODUCT("PruneVersions", prune_versions), PRODUCT("PublishEvent", publish_event),
  PRODUCT("PruneEvents", prune_events), PRODUCT("AdvanceCursor", advance_cursor), PRODUCT("PruneHistory", prune_history),
  PRODUCT("UpdateConfig", update_config), PRODUCT("Grant", grant), PRODUCT("Revoke", grant), PRODUCT("RecordMigration", record_migration),
  PRODUCT("PutRecord", put_record), PRODUCT("DeleteRecord", delete_record), PRODUCT("ImportRows", import_rows), PRODUCT("RemoveRows", remove_rows),
  PRODUCT("Expect", expect), SUM("Operation", operation), PRODUCT("Transact", transact), PRODUCT("CheckPermission", check_permission),
  PRODUCT("SetClientInfo", set_client_info),
};
const uint32_t iu__nerv_type_count = COUNT(iu__nerv_types);

const nerv_table_spec iu__nerv_tables[NERV_TABLE_COUNT] = {
  {"entity", "Entity", false, NERV_ENTITY_ID, NULL},
  {"relation", "Relation", false, NERV_RELATION_ID, "ssss8o81as"},
  {"state_version", "StateVersion", false, NERV_VERSION_ID, NULL},
  {"delta_record", "DeltaRecord", false, NERV_DELTA_ID, NULL},
  {"state_snapshot", "StateSnapshot", false, NERV_SNAPSHOT_KEY, NULL},
  {"state_branch", "StateBranch", false, NERV_BRANCH_NAME, "sss8"},
  {"event_log", "EventLog", false, NERV_EVENT_ID, "s8ss8is"},
  {"event_head", "EventHead", false, NERV_HEAD_ID, NULL},
  {"event_cursor", "EventCursor", false, NERV_CURSOR_CONSUMER, NULL},
  {"row_history", "RowHistory", false, NERV_HISTORY_KEY, "sss88ssi"},
  {"config", "Config", false, NERV_CONFIG_KEY, "sss8i"},
  {"client_connection", "ClientConnection", false, NERV_CONNECTION_ID, "ci88ss"},
  {"permission", "Permission", true, NERV_PERMISSION_KEY, "ssss"},
  {"applied_request", "AppliedRequest", true, NERV_REQUEST_KEY, "s8"},
  {"schema_migration", "SchemaMigration", false, NERV_MIGRATION_VERSION, NULL},
  {"plugin_record", "PluginRecord", false, NERV_RECORD_KEY, NULL},
};

const nerv_index_spec iu__nerv_indexes[NERV_INDEX_COUNT] = {
  {NERV_ENTITY, true, "id"}, {NERV_ENTITY, false, "entity_type"}, {NERV_ENTITY, false, "created_at"},
  {NERV_RELATION, true, "id"}, {NERV_RELATION, false, "from_entity"}, {NERV_RELATION, false, "to_entity"},
  {NERV_RELATION, false, "relation_type"},
  {NERV_STATE_VERSION, true, "version_id"}, {NERV_STATE_VERSION, false, "branch"}, {NERV_STATE_VERSION, false, "timestamp"},
  {NERV_DELTA_RECORD, true, "delta_id"}, {NERV_DELTA_RECORD, false, "state_version_id"}, {NERV_DELTA_RECORD, false, "timestamp"},
  {NERV_STATE_SNAPSHOT, true, "key"}, {NERV_STATE_SNAPSHOT, false, "version_id"},
  {NERV_STATE_BRANCH, true, "name"},
  {NERV_EVENT_LOG, true, "event_id"}, {NERV_EVENT_LOG, true, "sequence"}, {NERV_EVENT_LOG, false, "event_type"},
  {NERV_EVENT_LOG, false, "timestamp"},
  {NERV_EVENT_HEAD, true, "id"},
  {NERV_EVENT_CURSOR, true, "consumer"},
  {NERV_ROW_HISTORY, true, "key"}, {NERV_ROW_HISTORY, false, "row_key"}, {NERV_ROW_HISTORY, false, "timestamp"},
  {NERV_CONFIG, true, "key"},
  {NERV_CLIENT_CONNECTION, true, "connection_id"}, {NERV_CLIENT_CONNECTION, false, "identity"},
  {NERV_PERMISSION, true, "key"}, {NERV_PERMISSION, false, "principal"},
  {NERV_APPLIED_REQUEST, true, "request_key"}, {NERV_APPLIED_REQUEST, false, "applied_at"},
  {NERV_SCHEMA_MIGRATION, true, "version"},
  {NERV_PLUGIN_RECORD, true, "key"},
};

/* Ids are positions, so this order is the order of dispatch.c's handlers: what is fixed first, then the operations (`expect`, the last of them, is no reducer). */
#define REDUCER(symbol, type) {#symbol, #type, NERV_CALLED},
const nerv_reducer_spec iu__nerv_reducers[] = {
  {"init", NULL, NERV_INIT}, {"client_connected", NULL, NERV_CONNECT}, {"client_disconnected", NULL, NERV_DISCONNECT},
  {"transact", "Transact", NERV_CALLED}, {"check_permission", "CheckPermission", NERV_CALLED}, {"set_client_info", "SetClientInfo", NERV_CALLED},
  NERV_OPERATIONS(REDUCER)
};
const uint32_t iu__nerv_reducer_count = COUNT(iu__nerv_reducers) - 1; /* without `expect` */
