/* inner_universe.h: the one public C header.
 *
 * Status codes and the error detail that every fallible function of the library fills in, the
 * version, and the entry point of the Lua module. Hosts that embed Lua link the library and hand
 * `luaopen_inner_universe_core` to luaL_requiref (or let `require` find it).
 *
 * Ownership: nothing here allocates; an iu_error is plain memory of the caller.
 */
#ifndef INNER_UNIVERSE_H
#define INNER_UNIVERSE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define IU_VERSION_MAJOR 0
#define IU_VERSION_MINOR 1
#define IU_VERSION_PATCH 0
#define IU_VERSION "0.1.0"

/* Exported symbols of the shared builds; everything else has hidden visibility. */
#if defined(__GNUC__)
#define IU_API __attribute__((visibility("default")))
#else
#define IU_API
#endif

/* One list for all: symbol, the `kind` Lua sees, the CODE a reducer's message starts with
 * ("CODE: message"), whether the same call may succeed when simply tried again, and a default text. */
#define IU_STATUS_MAP(X)                                                                            \
  X(PERSISTENCE, "PersistenceError", "PERSISTENCE", 0, "persistence failure")                       \
  X(CONNECTION, "ConnectionError", "CONNECTION", 1, "connection failure")                           \
  X(TIMEOUT, "TimeoutError", "TIMEOUT", 1, "timed out")                                             \
  X(ENTITY_NOT_FOUND, "EntityNotFoundError", "ENTITY_NOT_FOUND", 0, "entity not found")             \
  X(RELATION_NOT_FOUND, "RelationNotFoundError", "RELATION_NOT_FOUND", 0, "relation not found")     \
  X(VERSION_NOT_FOUND, "VersionNotFoundError", "VERSION_NOT_FOUND", 0, "state version not found")   \
  X(AUTHORIZATION, "AuthorizationError", "AUTHORIZATION", 0, "not permitted")                       \
  X(VALIDATION, "ValidationError", "VALIDATION", 0, "invalid value")                                \
  X(CONFLICT, "ConflictError", "CONFLICT", 1, "conflict")                                           \
  X(STORAGE, "StorageError", "STORAGE", 0, "storage failure")                                       \
  X(OVERLOADED, "OverloadedError", "OVERLOADED", 1, "over capacity")                                \
  X(UNIVERSE_LOCKED, "UniverseLockedError", "UNIVERSE_LOCKED", 1, "universe is open elsewhere")     \
  X(MIGRATION, "MigrationError", "MIGRATION", 0, "migration failure")                               \
  X(PLUGIN, "PluginError", "PLUGIN", 0, "plugin failure")                                           \
  X(NOMEM, "PersistenceError", "NO_MEMORY", 1, "out of memory")                                     \
  X(CLOSED, "ConnectionError", "CLOSED", 0, "already closed")                                       \
  X(UNKNOWN_OUTCOME, "ConnectionError", "UNKNOWN_OUTCOME", 0, "sent, but whether it was applied is unknown") \
  X(NO_DATABASE, "ConnectionError", "NO_DATABASE", 0, "no such database")

typedef enum iu_status {
  IU_OK = 0,
#define IU_STATUS_ENUM(symbol, kind, code, retryable, text) IU_E_##symbol,
  IU_STATUS_MAP(IU_STATUS_ENUM)
#undef IU_STATUS_ENUM
  IU_STATUS_COUNT
} iu_status;

#define IU_ERROR_MESSAGE_MAX 1024
#define IU_NO_OFFSET SIZE_MAX

/* The detail of a failure. `offset` is the byte (or text column, counted from 0) the failure points
 * at, or IU_NO_OFFSET. `message` is UTF-8, always terminated, cut at a character when too long. */
typedef struct iu_error {
  iu_status status;
  size_t offset;
  char message[IU_ERROR_MESSAGE_MAX];
} iu_error;

IU_API const char *iu_version(void);                   /* "0.1.0" */
IU_API const char *iu_status_kind(iu_status status);   /* "ValidationError"; "" for IU_OK */
IU_API const char *iu_status_code(iu_status status);   /* "VALIDATION"; "" for IU_OK */
IU_API int iu_status_retryable(iu_status status);

struct lua_State;
/* The C half of `require "inner_universe"`: `inner_universe.core`. */
IU_API int luaopen_inner_universe_core(struct lua_State *L);

#ifdef __cplusplus
}
#endif
#endif
