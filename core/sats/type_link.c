/* type_link.c: linking a typespace, and equality of linked types: the two that follow refs.
 *
 * Types may be recursive and chains of refs as long as a typespace, so nothing here recurses through refs without a bound:
 * measuring keeps its own stack, equality remembers the pairs of refs it has assumed equal.
 */
#include "../base/alloc.h"
#include "type_node.h"

/* Gives every ref on the chain from `ref` its final target at once, so that linking stays linear. */
static iu_status resolve(const iu_typespace *ts, iu_type *ref, iu_error *err) {
  const iu_type *t = ref;
  for (uint32_t hops = 0; t->tag == IU_T_REF && t->u.target == NULL; hops++) {
    if (t->count >= ts->count) {
      return iu__fail(err, IU_E_VALIDATION, "type reference %u does not exist, there are %u types", t->count, ts->count);
    }
    if (hops > ts->count) {
      return iu__fail(err, IU_E_VALIDATION, "type reference %u leads only to itself", ref->count);
    }
    t = ts->types[t->count];
  }
  const iu_type *end = iu__type_deref(t);
  for (iu_type *at = ref; at->tag == IU_T_REF && at->u.target == NULL;) {
    iu_type *next = (iu_type *)ts->types[at->count];
    at->u.target = end;
    at = next;
  }
  return IU_OK;
}

typedef struct frame { iu_type *type; uint32_t next; } frame;

/* Depth first with a stack of our own. A child met BUSY contains itself: it still says IU_SIZE_VARIES, which is right. */
static bool measure_all(frame *stack, uint32_t cap, iu_type *from) {
  uint32_t top = 0;
  from->state = IU_TYPE_BUSY;
  stack[top++] = (frame){from, 0};
  while (top != 0) {
    frame *f = &stack[top - 1];
    if (f->next == iu__type_children(f->type)) {
      iu__type_measure(f->type);
      f->type->state = IU_TYPE_DONE;
      top--;
      continue;
    }
    iu_type *child = (iu_type *)iu__type_child(f->type, f->next++);
    if (child->state != IU_TYPE_OPEN) continue;
    if (top == cap) return false;
    child->state = IU_TYPE_BUSY;
    stack[top++] = (frame){child, 0};
  }
  return true;
}

iu_status iu__typespace_link(iu_typespace *ts, iu_error *err) {
  uint32_t open = 0;
  for (iu_type_node *n = ts->made; n != NULL; n = n->next) {
    if (n->type.state != IU_TYPE_DONE) open++;
    if (n->type.tag != IU_T_REF || n->type.u.target != NULL) continue;
    iu_status status = resolve(ts, &n->type, err);
    if (status != IU_OK) return status;
  }
  if (open == 0) return IU_OK;
  frame *stack = iu__alloc_zero(open, sizeof *stack);
  if (stack == NULL) return iu__fail_nomem(err);
  bool fits = true;
  for (iu_type_node *n = ts->made; n != NULL && fits; n = n->next) {
    if (n->type.state == IU_TYPE_OPEN) fits = measure_all(stack, open, &n->type);
  }
  iu__free(stack);
  return fits ? IU_OK : iu__fail(err, IU_E_VALIDATION, "a type of another typespace is used before that is linked");
}

/* ---- equality ---- */

#define EQUAL_DEPTH_MAX 1024

typedef struct equal_state {
  uint32_t count;
  struct { const iu_type *a, *b; } pairs[IU_TYPE_EQUAL_REFS_MAX];
} equal_state;

/* Recursive types are equal unless a difference is found, so a pair of refs is looked into once. */
static bool assumed(equal_state *s, const iu_type *a, const iu_type *b, bool *full) {
  for (uint32_t i = 0; i < s->count; i++) {
    if (s->pairs[i].a == a && s->pairs[i].b == b) return true;
  }
  *full = s->count == IU_TYPE_EQUAL_REFS_MAX;
  if (*full) return false;
  s->pairs[s->count].a = a;
  s->pairs[s->count++].b = b;
  return false;
}

static bool same_name(const char *a, const char *b) {
  return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool equal(equal_state *s, const iu_type *a, const iu_type *b, uint32_t depth) {
  if (a == b) return true;
  if (depth > EQUAL_DEPTH_MAX) return false;
  bool through_ref = a->tag == IU_T_REF || b->tag == IU_T_REF, full = false;
  a = iu__type_deref(a);
  b = iu__type_deref(b);
  if (a == b) return true;
  if (a->tag != b->tag || a->special != b->special || a->count != b->count || a->fixed_size != b->fixed_size) return false;
  if (through_ref && assumed(s, a, b, &full)) return true;
  if (full) return false;
  if (a->tag == IU_T_ARRAY) return equal(s, a->u.element, b->u.element, depth + 1);
  if (a->tag != IU_T_PRODUCT && a->tag != IU_T_SUM) return true;
  for (uint32_t i = 0; i < a->count; i++) {
    const iu_field *fa = &a->u.fields[i], *fb = &b->u.fields[i];
    if (!same_name(fa->name, fb->name) || !equal(s, fa->type, fb->type, depth + 1)) return false;
  }
  return true;
}

bool iu__type_equal(const iu_type *a, const iu_type *b) {
  equal_state s;
  s.count = 0;
  return equal(&s, a, b, 0);
}
