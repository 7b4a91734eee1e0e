/* predicate.c: from the tree to jumping comparisons, and running them (predicate.h). */
#include "predicate.h"

typedef struct maker {
  iu_arena *arena;
  const iu_type *const *rows;
  iu_pred_insn *insns;
  uint32_t count;
  iu_error *err;
  iu_status status;
} maker;

static void locator(maker *m, uint8_t side, uint32_t column, iu_locator *out) {
  if (m->status == IU_OK) m->status = iu__locator_init(out, m->arena, m->rows[side], &column, 1, m->err);
}

static uint32_t comparison(maker *m, const iu_pred_node *n, uint32_t on_true, uint32_t on_false) {
  iu_pred_insn *insn = &m->insns[m->count];
  insn->op = n->op;
  insn->two_columns = n->kind == IU_P_COLUMNS;
  insn->a_side = n->a_side;
  insn->b_side = n->b_side;
  insn->literal = n->literal;
  insn->on_true = on_true;
  insn->on_false = on_false;
  locator(m, n->a_side, n->a, &insn->a);
  if (insn->two_columns) locator(m, n->b_side, n->b, &insn->b);
  insn->scalar = iu__scalar_of(m->rows[n->a_side]->u.fields[n->a].type);
  return m->count++;
}

static uint32_t generate(maker *m, const iu_pred_node *n, uint32_t on_true, uint32_t on_false);

/* Operands are wanted last to first, since each must know where the next one starts: the list is turned round and back. */
static iu_pred_node *reverse(iu_pred_node *list) {
  iu_pred_node *done = NULL;
  while (list != NULL) {
    iu_pred_node *next = list->next;
    list->next = done;
    done = list;
    list = next;
  }
  return done;
}

static uint32_t sequence(maker *m, const iu_pred_node *n, uint32_t on_true, uint32_t on_false) {
  iu_pred_node *list = reverse(n->first);
  uint32_t entry = n->kind == IU_P_AND ? on_true : on_false;
  for (const iu_pred_node *c = list; c != NULL; c = c->next) {
    entry = n->kind == IU_P_AND ? generate(m, c, entry, on_false) : generate(m, c, on_true, entry);
  }
  reverse(list);
  return entry;
}

/* Returns where to enter: the first instruction of the node, or a target when there is nothing to compare. */
static uint32_t generate(maker *m, const iu_pred_node *n, uint32_t on_true, uint32_t on_false) {
  switch (n->kind) {
    case IU_P_AND:
    case IU_P_OR: return sequence(m, n, on_true, on_false);
    case IU_P_TRUE: return on_true;
    case IU_P_FALSE: return on_false;
    default: return comparison(m, n, on_true, on_false);
  }
}

iu_status iu__pred_compile(iu_arena *arena, const iu_type *const rows[2], const iu_pred_node *root, iu_pred *out, iu_error *err) {
  maker m = {arena, rows, NULL, 0, err, IU_OK};
  if (root->count != 0) {
    m.insns = iu__arena_zero(arena, root->count, sizeof *m.insns);
    if (m.insns == NULL) return iu__fail_nomem(err);
  }
  out->entry = generate(&m, root, IU_PRED_ACCEPT, IU_PRED_REJECT);
  out->insns = m.insns;
  return m.status;
}

bool iu__pred_matches(const iu_pred *p, const iu_slice rows[2]) {
  uint32_t pc = p->entry;
  while (pc < IU_PRED_REJECT) {
    const iu_pred_insn *insn = &p->insns[pc];
    iu_slice a, b = insn->literal;
    const iu_slice *row_a = &rows[insn->a_side], *row_b = &rows[insn->b_side];
    if (!iu__locate(&insn->a, row_a->p, row_a->len, &a)) return false;
    if (insn->two_columns && !iu__locate(&insn->b, row_b->p, row_b->len, &b)) return false;
    pc = iu__cmp_accepts(insn->op, iu__scalar_compare(insn->scalar, a, b)) ? insn->on_true : insn->on_false;
  }
  return pc == IU_PRED_ACCEPT;
}
