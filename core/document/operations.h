/* operations.h: the operations that lead from one state to another, as C has them and as JSON has them.
 *
 *   { "op": "set", "path", "value" }               sets or adds a member of an object, replaces an element of an array; path "": the whole state
 *   { "op": "delete", "path" }                     removes a member of an object
 *   { "op": "insert", "path", "index", "value" }   into the array at path, before the element that has the index; without index: at its end
 *   { "op": "remove", "path", "index" }            an element of the array at path
 *   { "op": "patch", "path", "patch" }             of a string, the edits [[at, count, "text"], ...]: at byte `at` of the old string's UTF-8, `count` bytes
 *                                                  are replaced; ascending, not overlapping, at borders of code points. Of an object, a merge patch (RFC 7386)
 *
 * They are applied in order; each path refers to what those before it left. Paths are dotted (core/sats/json.h); indexes count from 0.
 */
#ifndef IU_DOCUMENT_OPERATIONS_H
#define IU_DOCUMENT_OPERATIONS_H

#include "../sats/json.h"

typedef enum iu_operation_kind { IU_OP_SET, IU_OP_DELETE, IU_OP_INSERT, IU_OP_REMOVE, IU_OP_PATCH, IU_OP_COUNT } iu_operation_kind;

typedef struct iu_operation {
  uint8_t kind;
  bool has_index;
  uint32_t index;
  const char *path; /* valid UTF-8; not yet checked to be a path when it comes from outside */
  size_t path_len;
  const iu_json *value; /* of set and insert; the patch of patch; else NULL */
} iu_operation;

typedef struct iu_operations { iu_operation *list; uint32_t count; } iu_operations;

#define IU_OPERATIONS_MAX 10000000u /* in one list */

const char *iu__operation_name(uint8_t kind);

/* From JSON: checks the form of each (known name, the fields it needs and no others, their types), not what it meets. The list goes into `arena`; paths and
 * values are borrowed from `list`'s tree. IU_E_VALIDATION names the operation: operations[3]: ... */
iu_status iu__operations_read(const iu_json *list, iu_arena *arena, iu_operations *out, iu_error *err);
/* Compact JSON text. */
void iu__operations_write(const iu_operations *ops, iu_buf *out);
void iu__operation_write(const iu_operation *op, iu_buf *out);

#endif
