/* predicate.h: a checked WHERE clause: its tree, and the program it becomes.
 *
 * The tree is what the parser makes: n-ary AND and OR over comparisons of a column with a literal or with another column. Compiling threads the
 * comparisons into a list in which each names the next one for "true" and for "false", so that evaluation is a loop: no recursion, no
 * allocation, and nothing is looked at that cannot change the answer. Tree and program live in the arena given.
 */
#ifndef IU_QUERY_PREDICATE_H
#define IU_QUERY_PREDICATE_H

#include "locate.h"
#include "scalar.h"

typedef enum iu_pred_kind { IU_P_AND, IU_P_OR, IU_P_LITERAL, IU_P_COLUMNS, IU_P_TRUE, IU_P_FALSE } iu_pred_kind;

typedef struct iu_pred_node {
  uint8_t kind, op;                    /* op: IU_CMP_ set; column `a` op literal, or `a` op column `b` */
  uint8_t a_side, b_side;              /* of a join: in which of its two rows; else 0 */
  uint32_t a, b;
  iu_slice literal;                    /* BSATN of a's type */
  struct iu_pred_node *first, *last;   /* operands of AND and OR */
  struct iu_pred_node *next;
  uint32_t count;                      /* comparisons below and including this node */
} iu_pred_node;

typedef struct iu_pred_insn {
  uint8_t op;
  bool two_columns;
  uint8_t a_side, b_side;
  iu_scalar scalar;
  iu_locator a, b;
  iu_slice literal;
  uint32_t on_true, on_false;          /* instruction, or IU_PRED_ACCEPT, IU_PRED_REJECT */
} iu_pred_insn;

#define IU_PRED_ACCEPT UINT32_MAX
#define IU_PRED_REJECT (UINT32_MAX - 1)

typedef struct iu_pred { uint32_t entry; const iu_pred_insn *insns; } iu_pred;

/* The depth of the tree is bounded by its maker (IU_SQL_DEPTH_MAX). */
/* rows: the types of the rows that it is asked of, by side. */
iu_status iu__pred_compile(iu_arena *arena, const iu_type *const rows[2], const iu_pred_node *root, iu_pred *out, iu_error *err);
/* A row that is too short for a column does not match. rows: by side; those that no comparison names are not looked at. */
bool iu__pred_matches(const iu_pred *p, const iu_slice rows[2]);

#endif
