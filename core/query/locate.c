/* locate.c: making and following the skips of locate.h. */
#include "locate.h"

/* Bytes of one element when values of t are a u32 count and that many bytes each; 0 when they are not. */
static uint32_t element_size(const iu_type *t) {
  const iu_type *element;
  if (t->tag == IU_T_STRING) return 1;
  if (t->tag != IU_T_ARRAY) return 0;
  element = iu__type_deref(t->u.element);
  return element->fixed_size == IU_SIZE_VARIES ? 0 : element->fixed_size;
}

static const uint8_t *skip(const iu_type *t, uint32_t element, const uint8_t *p, const uint8_t *end) {
  uint64_t bytes;
  if (element == 0) return iu__bsatn_skip(t, p, end);
  if (end - p < 4) return NULL;
  bytes = (uint64_t)iu__load_u32(p) * element;
  p += 4;
  return bytes > (uint64_t)(end - p) ? NULL : p + bytes;
}

static uint32_t add_step(iu_locate_step *steps, uint32_t count, const iu_type *t) {
  if (t->fixed_size == IU_SIZE_VARIES) {
    steps[count].type = t;
    steps[count].size = element_size(t);
    return count + 1;
  }
  if (count != 0 && steps[count - 1].type == NULL && t->fixed_size <= UINT32_MAX - steps[count - 1].size) {
    steps[count - 1].size += t->fixed_size;
    return count;
  }
  if (t->fixed_size == 0) return count;
  steps[count].type = NULL;
  steps[count].size = t->fixed_size;
  return count + 1;
}

iu_status iu__locator_init(iu_locator *l, iu_arena *arena, const iu_type *row, const uint32_t *path, uint32_t depth, iu_error *err) {
  const iu_type *t = iu__type_deref(row);
  uint32_t fields = 0;
  iu_locate_step *steps;
  for (uint32_t level = 0; level < depth; level++) fields += path[level];
  l->count = 0;
  l->steps = NULL;
  if (fields != 0) {
    steps = iu__arena_zero(arena, fields, sizeof *steps);
    if (steps == NULL) return iu__fail_nomem(err);
    for (uint32_t level = 0; level < depth; level++) {
      for (uint32_t i = 0; i < path[level]; i++) l->count = add_step(steps, l->count, iu__type_deref(t->u.fields[i].type));
      t = iu__type_deref(t->u.fields[path[level]].type);
    }
    l->steps = steps;
  } else {
    for (uint32_t level = 0; level < depth; level++) t = iu__type_deref(t->u.fields[0].type);
  }
  l->type = t;
  return IU_OK;
}

bool iu__locate(const iu_locator *l, const uint8_t *row, size_t len, iu_slice *out) {
  const uint8_t *p = row, *end = row + len, *after;
  for (uint32_t i = 0; i < l->count; i++) {
    const iu_locate_step *s = &l->steps[i];
    if (s->type != NULL) {
      p = skip(s->type, s->size, p, end);
      if (p == NULL) return false;
    } else {
      if (s->size > (size_t)(end - p)) return false;
      p += s->size;
    }
  }
  if (l->type->fixed_size != IU_SIZE_VARIES) {
    if (l->type->fixed_size > (size_t)(end - p)) return false;
    after = p + l->type->fixed_size;
  } else {
    after = skip(l->type, element_size(l->type), p, end);
    if (after == NULL) return false;
  }
  out->p = p;
  out->len = (size_t)(after - p);
  return true;
}
