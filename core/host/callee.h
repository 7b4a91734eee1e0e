/* callee.h: what a caller from outside names in a schema, and what it is told when that does not fit. For every border: Lua's and C's.
 *
 * A callee is a reducer or a procedure, borrowed from the schema it was found in.
 */
#ifndef IU_HOST_CALLEE_H
#define IU_HOST_CALLEE_H

#include "../connection.h"

#define IU_ARGS_BYTES_MAX ((32u << 20) + 4096u) /* of one call's arguments: the largest row, and what stands around it */
#define IU_SUBSCRIBE_QUERIES_MAX 1000   /* of one subscription */

typedef struct iu_callee {
  const char *name;
  const iu_type *params;
  uint32_t number;
  const iu_reducer_def *reducer;      /* or NULL */
  const iu_procedure_def *procedure;  /* or NULL */
} iu_callee;

/* Unknown names are IU_E_VALIDATION with the nearest one. */
iu_status iu__callee_reducer(const iu_schema *s, const char *name, size_t len, iu_callee *out, iu_error *err);
iu_status iu__callee_procedure(const iu_schema *s, const char *name, size_t len, iu_callee *out, iu_error *err);
iu_status iu__find_table(const iu_schema *s, const char *name, size_t len, uint32_t *out, iu_error *err);
iu_status iu__find_index(const iu_table_def *def, const char *name, size_t len, uint32_t *out, iu_error *err);
/* "move takes 2 arguments, got 1: move(x: F32, y: F32)" */
iu_status iu__callee_wrong_count(const iu_schema *s, const iu_callee *f, size_t given, iu_error *err);
/* What is in *err, and the signature behind it. */
iu_status iu__callee_wrong_argument(const iu_schema *s, const iu_callee *f, iu_error *err);
/* The method of the connection for it. */
iu_status iu__callee_call(iu_connection *c, const iu_callee *f, const void *args, size_t len, uint64_t *pending, iu_error *err);

#endif
