/* compare.c: what differs between two trees: values and objects; compare_array.c has the arrays.
 *
 * Both trees are walked side by side once; equality is not asked beforehand, an object is found equal when none of its members gave a change. Only
 * arrays ask whether elements are equal before they compare them: where that ended is kept in the trail, so that it is not walked again.
 */
#include "compare_internal.h"

#define TEXT_EDIT_MIN 24 /* bytes of a new string that is worth looking for edits */

iu_change *iu__change_add(iu_comparer *c, iu_change ***end, uint8_t kind, const iu_json *value) {
  iu_change *change = iu__arena_zero(c->scratch, 1, sizeof *change);

  if (change == NULL) {
    c->failed = true;
    return NULL;
  }
  change->kind = kind;
  change->value = value;
  **end = change;
  *end = &change->next;
  return change;
}

static iu_change *new_change(iu_comparer *c, uint8_t kind, const iu_json *value) {
  iu_change *change = NULL, **end = &change;

  return iu__change_add(c, &end, kind, value);
}

static void add_keyed(iu_change ***end, iu_change *change, const iu_json_member *m) {
  if (change == NULL) return;
  change->key = m->key;
  change->key_len = m->key_len;
  **end = change;
  *end = &change->next;
}

static iu_change *compare_objects(iu_comparer *c, const iu_json *a, const iu_json *b, uint32_t depth) {
  iu_change *first = NULL, **end = &first, *object;
  const iu_tree_trail *trail = &c->trail;
  uint32_t start = trail->at[depth].a == a && trail->at[depth].b == b ? trail->at[depth].equal : 0, found = start, at = start, i;

  for (i = start; i < a->len && !c->failed; i++) {
    const iu_json_member *m = &a->u.members[i];
    const iu_json *value;
    if (i + 2 < a->len && at + 2 < b->len) { /* where the next but one's members or text lie; what is no pointer is looked at by nobody */
      __builtin_prefetch(a->u.members[i + 2].value.u.s);
      __builtin_prefetch(b->u.members[at + 2].value.u.s);
    }
    uint32_t there = at < b->len && iu__tree_same_key(&b->u.members[at], m) ? at : iu__tree_find_member(b, m, at + 1);
    if (there == UINT32_MAX) {
      add_keyed(&end, new_change(c, IU_CHANGE_DELETE, NULL), m);
      continue;
    }
    found++;
    at = there + 1;
    value = &b->u.members[there].value;
    if (!iu__tree_is_container(&m->value) && iu__tree_scalar_equal(&m->value, value)) continue; /* most are */
    c->at[depth].key = m->key;
    c->at[depth].len = m->key_len;
    add_keyed(&end, iu__compare_values(c, &m->value, value, depth + 1), m);
  }
  for (i = at = 0; found < b->len && !c->failed; i++) { /* as long as members of b have not been met */
    const iu_json_member *m = &b->u.members[i];
    uint32_t there = iu__tree_find_member(a, m, at);
    if (there == UINT32_MAX) {
      add_keyed(&end, new_change(c, IU_CHANGE_SET, &m->value), m);
      found++;
    } else {
      at = there + 1;
    }
  }
  if (first == NULL) return NULL;
  object = new_change(c, IU_CHANGE_OBJECT, b);
  if (object != NULL) object->first = first;
  return object;
}

static iu_change *compare_strings(iu_comparer *c, const iu_json *a, const iu_json *b) {
  const iu_json *edits = NULL;
  iu_change *change;

  if (b->len >= TEXT_EDIT_MIN && !iu__text_edits(a, b, c->arena, &edits)) c->failed = true;
  change = c->failed ? NULL : new_change(c, edits != NULL ? IU_CHANGE_TEXT : IU_CHANGE_SET, b);
  if (change != NULL) change->edits = edits;
  return change;
}

iu_change *iu__compare_values(iu_comparer *c, const iu_json *a, const iu_json *b, uint32_t depth) {
  if (a->token == b->token && iu__tree_is_container(a)) {
    if (a == b || (a->len == b->len && (a->len == 0 || a->u.elements == b->u.elements))) return NULL; /* shared */
    return a->token == IU_J_OBJECT ? compare_objects(c, a, b, depth) : iu__compare_arrays(c, a, b, depth);
  }
  if (iu__tree_scalar_equal(a, b)) return NULL;
  if (a->token == IU_J_STRING && b->token == IU_J_STRING) return compare_strings(c, a, b);
  return new_change(c, IU_CHANGE_SET, b);
}

static iu_status read_patterns(iu_comparer *c, iu_error *err) {
  const iu_compare_options *o = c->options;
  uint32_t i;

  if (o->key_count > IU_COMPARE_KEYS_MAX)
    return iu__fail(err, IU_E_VALIDATION, "arrays: %u keys, at most %d can be given", o->key_count, IU_COMPARE_KEYS_MAX);
  if (o->key_count == 0) return IU_OK;
  c->patterns = iu__arena_zero(c->scratch, o->key_count, sizeof *c->patterns);
  if (c->patterns == NULL) return iu__fail_nomem(err);
  for (i = 0; i < o->key_count; i++) {
    char shown[64 * 4 + 4];
    iu_status status = iu__path_parse(&c->patterns[i], o->keys[i].path, o->keys[i].path_len, err);
    if (status == IU_OK) continue;
    if (status == IU_E_VALIDATION) iu__error_prefix(err, "arrays: path \"%s\"", iu__printable(shown, 64, o->keys[i].path, o->keys[i].path_len));
    return status;
  }
  return IU_OK;
}

static iu_status compare(iu_comparer *c, const iu_json *old, const iu_json *new_, iu_operations *out, iu_error *err) {
  iu_change *root;
  iu_status status = read_patterns(c, err);

  if (status != IU_OK) return status;
  root = iu__compare_values(c, old, new_, 0);
  if (c->failed) return iu__fail_nomem(err);
  if (root == NULL) return IU_OK;
  if (!iu__weigh(root)) return iu__fail_nomem(err);
  if (c->options->in_parts && root->form == IU_FORM_WHOLE && (root->kind == IU_CHANGE_ARRAY || root->kind == IU_CHANGE_OBJECT)) root->form = IU_FORM_PARTS;
  if (!iu__emit(root, c->arena, out)) return iu__fail_nomem(err);
  return IU_OK;
}

iu_status iu__compare(const iu_json *old, const iu_json *new_, const iu_compare_options *options, iu_arena *arena, iu_operations *out, iu_error *err) {
  static const iu_compare_options plain = {false, false, NULL, 0};
  iu_arena scratch = {0};
  iu_comparer *c = iu__arena_zero(&scratch, 1, sizeof *c);
  iu_status status;
  uint32_t i;

  memset(out, 0, sizeof *out);
  if (c == NULL) return iu__fail_nomem(err);
  c->scratch = &scratch;
  c->arena = arena;
  c->options = options != NULL ? options : &plain;
  status = compare(c, old, new_, out, err);
  for (i = 0; c->patterns != NULL && i < c->options->key_count; i++) iu__path_free(&c->patterns[i]);
  iu__node_map_free(&c->hashes);
  iu__arena_free(&scratch);
  return status;
}
