/* type.c: type nodes: the shared constants, constructors, recognition of the special types, sizes.
 *
 * Constants are plain static data without a node around them; all other types are iu_type_nodes in a typespace's arena.
 */
#include "type_node.h"

#define FIXED(T, size, is_plain) \
  [IU_T_##T] = {.tag = IU_T_##T, .plain = (is_plain), .fixed_size = (size), .state = IU_TYPE_DONE}

static const iu_type scalars[IU_T_COUNT] = {
    FIXED(STRING, IU_SIZE_VARIES, false),
    FIXED(BOOL, 1, false),
    FIXED(I8, 1, true), FIXED(U8, 1, true),
    FIXED(I16, 2, true), FIXED(U16, 2, true),
    FIXED(I32, 4, true), FIXED(U32, 4, true),
    FIXED(I64, 8, true), FIXED(U64, 8, true),
    FIXED(I128, 16, true), FIXED(U128, 16, true),
    FIXED(I256, 32, true), FIXED(U256, 32, true),
    FIXED(F32, 4, true), FIXED(F64, 8, true),
};

static const iu_field identity_field = {"__identity__", &scalars[IU_T_U256]};
static const iu_field connection_field = {"__connection_id__", &scalars[IU_T_U128]};
static const iu_field timestamp_field = {"__timestamp_micros_since_unix_epoch__", &scalars[IU_T_I64]};
static const iu_field duration_field = {"__time_duration_micros__", &scalars[IU_T_I64]};
static const iu_field uuid_field = {"__uuid__", &scalars[IU_T_U128]};

#define MARKED(S, field, size)                                                                        \
  [IU_S_##S] = {.tag = IU_T_PRODUCT, .special = IU_S_##S, .plain = true, .depth = 1,                  \
                .fixed_size = (size), .count = 1, .state = IU_TYPE_DONE, .u = {.fields = &(field)}}

static const iu_type marked[] = {
    MARKED(IDENTITY, identity_field, 32),
    MARKED(CONNECTION_ID, connection_field, 16),
    MARKED(TIMESTAMP, timestamp_field, 8),
    MARKED(TIME_DURATION, duration_field, 8),
    MARKED(UUID, uuid_field, 16),
};

static const iu_field schedule_variants[2] = {
    {"Interval", &marked[IU_S_TIME_DURATION]},
    {"Time", &marked[IU_S_TIMESTAMP]},
};
static const iu_type schedule_at = {.tag = IU_T_SUM, .special = IU_S_SCHEDULE_AT, .depth = 2, .fixed_size = 9,
                                    .count = 2, .state = IU_TYPE_DONE, .u = {.fields = schedule_variants}};
static const iu_type bytes = {.tag = IU_T_ARRAY, .special = IU_S_BYTES, .depth = 1, .fixed_size = IU_SIZE_VARIES,
                              .state = IU_TYPE_DONE, .u = {.element = &scalars[IU_T_U8]}};
static const iu_type unit = {.tag = IU_T_PRODUCT, .special = IU_S_UNIT, .plain = true, .depth = 1, .state = IU_TYPE_DONE};

const iu_type *iu__type_scalar(iu_type_tag tag) {
  return (unsigned)tag >= IU_T_STRING && (unsigned)tag < IU_T_COUNT ? &scalars[tag] : NULL;
}

const iu_type *iu__type_special(iu_special special) {
  switch (special) {
    case IU_S_IDENTITY: case IU_S_CONNECTION_ID: case IU_S_TIMESTAMP: case IU_S_TIME_DURATION: case IU_S_UUID:
      return &marked[special];
    case IU_S_SCHEDULE_AT: return &schedule_at;
    case IU_S_BYTES: return &bytes;
    case IU_S_UNIT: return &unit;
    default: return NULL;
  }
}

/* ---- recognition ---- */

static bool named(const iu_field *f, const char *name) { return f->name != NULL && strcmp(f->name, name) == 0; }

static iu_special recognise_product(uint32_t count, const iu_field *fields) {
  if (count == 0) return IU_S_UNIT;
  if (count != 1) return IU_S_NONE;
  for (int s = IU_S_IDENTITY; s <= IU_S_UUID; s++) {
    const iu_field *marker = marked[s].u.fields;
    if (fields->type->tag == marker->type->tag && named(fields, marker->name)) return (iu_special)s;
  }
  return IU_S_NONE;
}

static iu_special recognise_sum(uint32_t count, const iu_field *variants) {
  if (count != 2) return IU_S_NONE;
  if (named(&variants[0], "some") && named(&variants[1], "none") && variants[1].type->special == IU_S_UNIT) return IU_S_OPTION;
  if (named(&variants[0], "ok") && named(&variants[1], "err")) return IU_S_RESULT;
  if (named(&variants[0], "Interval") && variants[0].type->special == IU_S_TIME_DURATION &&
      named(&variants[1], "Time") && variants[1].type->special == IU_S_TIMESTAMP) return IU_S_SCHEDULE_AT;
  return IU_S_NONE;
}

/* ---- measuring ---- */

uint32_t iu__type_children(const iu_type *t) {
  switch (t->tag) {
    case IU_T_REF: return t->u.target != NULL;
    case IU_T_ARRAY: return 1;
    case IU_T_PRODUCT: case IU_T_SUM: return t->count;
    default: return 0;
  }
}

const iu_type *iu__type_child(const iu_type *t, uint32_t i) {
  switch (t->tag) {
    case IU_T_REF: return t->u.target;
    case IU_T_ARRAY: return t->u.element;
    default: return t->u.fields[i].type;
  }
}

static void measure_product(iu_type *t) {
  uint64_t size = 0;
  bool plain = true;
  for (uint32_t i = 0; i < t->count; i++) {
    const iu_type *field = t->u.fields[i].type;
    plain = plain && field->plain;
    size += field->fixed_size;
    if (field->fixed_size == IU_SIZE_VARIES || size >= IU_SIZE_VARIES) return;
  }
  t->fixed_size = (uint32_t)size;
  t->plain = plain;
}

static void measure_sum(iu_type *t) {
  uint32_t size = t->count != 0 ? t->u.fields[0].type->fixed_size : IU_SIZE_VARIES;
  for (uint32_t i = 1; i < t->count; i++) {
    if (t->u.fields[i].type->fixed_size != size) return;
  }
  if (size < IU_SIZE_VARIES - 1) t->fixed_size = size + 1;
}

void iu__type_measure(iu_type *t) {
  t->fixed_size = IU_SIZE_VARIES;
  t->plain = false;
  switch (t->tag) {
    case IU_T_PRODUCT: measure_product(t); break;
    case IU_T_SUM: measure_sum(t); break;
    case IU_T_REF:
      if (t->u.target == NULL) break;
      t->fixed_size = t->u.target->fixed_size;
      t->plain = t->u.target->plain;
      break;
    default: break;
  }
}

/* ---- making ---- */

void iu__typespace_free(iu_typespace *ts) {
  iu__arena_free(&ts->arena);
  memset(ts, 0, sizeof *ts);
}

bool iu__type_count(iu_typespace *ts) {
  if (ts->nodes >= IU_TYPE_NODES_MAX) return false;
  ts->nodes++;
  return true;
}

static iu_type *node_new(iu_typespace *ts, iu_type_tag tag) {
  iu_type_node *node = iu__arena_zero(&ts->arena, 1, sizeof *node);
  if (node == NULL) {
    ts->no_memory = true;
    return NULL;
  }
  node->type.tag = (uint8_t)tag;
  node->type.fixed_size = IU_SIZE_VARIES;
  node->next = ts->made;
  ts->made = node;
  return &node->type;
}

/* Depth from the children; DONE when they are. NULL when too deep. */
static const iu_type *finish(iu_type *t) {
  uint32_t n = iu__type_children(t), depth = 0;
  bool done = true;
  for (uint32_t i = 0; i < n; i++) {
    const iu_type *child = iu__type_child(t, i);
    if (child->depth > depth) depth = child->depth;
    done = done && child->state == IU_TYPE_DONE;
  }
  if (depth >= IU_TYPE_DEPTH_MAX) return NULL;
  t->depth = (uint8_t)(depth + 1);
  if (done) {
    iu__type_measure(t);
    t->state = IU_TYPE_DONE;
  }
  return t;
}

const iu_type *iu__type_make_array(iu_typespace *ts, const iu_type *element) {
  if (element->tag == IU_T_U8) return &bytes;
  iu_type *t = node_new(ts, IU_T_ARRAY);
  if (t == NULL) return NULL;
  t->u.element = element;
  return finish(t);
}

const iu_type *iu__type_make_compound(iu_typespace *ts, iu_type_tag tag, uint32_t count, const iu_field *fields) {
  iu_special special = tag == IU_T_PRODUCT ? recognise_product(count, fields) : recognise_sum(count, fields);
  const iu_type *constant = iu__type_special(special);
  if (constant != NULL) return constant;
  iu_type *t = node_new(ts, tag);
  if (t == NULL) return NULL;
  t->special = (uint8_t)special;
  t->count = count;
  t->u.fields = fields;
  return finish(t);
}

const iu_type *iu__type_make_ref(iu_typespace *ts, uint32_t index) {
  iu_type *t = node_new(ts, IU_T_REF);
  if (t != NULL) t->count = index;
  return t;
}

const iu_type *iu__type_array(iu_typespace *ts, const iu_type *element) {
  return element != NULL && iu__type_count(ts) ? iu__type_make_array(ts, element) : NULL;
}

const iu_type *iu__type_option(iu_typespace *ts, const iu_type *some) {
  iu_field variants[2] = {{"some", some}, {"none", &unit}};
  return iu__type_sum(ts, 2, variants);
}

const iu_type *iu__type_ref(iu_typespace *ts, uint32_t index) {
  return iu__type_count(ts) ? iu__type_make_ref(ts, index) : NULL;
}

static const iu_type *compound(iu_typespace *ts, iu_type_tag tag, uint32_t count, const iu_field *fields) {
  if (!iu__type_count(ts)) return NULL;
  iu_field *copy = iu__arena_zero(&ts->arena, count != 0 ? count : 1, sizeof *copy);
  if (copy == NULL) {
    ts->no_memory = true;
    return NULL;
  }
  for (uint32_t i = 0; i < count; i++) {
    if (fields[i].type == NULL) return NULL;
    copy[i].type = fields[i].type;
    if (fields[i].name == NULL) continue;
    copy[i].name = iu__arena_strndup(&ts->arena, fields[i].name, strlen(fields[i].name));
    if (copy[i].name == NULL) {
      ts->no_memory = true;
      return NULL;
    }
  }
  return iu__type_make_compound(ts, tag, count, copy);
}

const iu_type *iu__type_product(iu_typespace *ts, uint32_t count, const iu_field *fields) {
  return count <= IU_TYPE_FIELDS_MAX ? compound(ts, IU_T_PRODUCT, count, fields) : NULL;
}

const iu_type *iu__type_sum(iu_typespace *ts, uint32_t count, const iu_field *variants) {
  return count <= 256 ? compound(ts, IU_T_SUM, count, variants) : NULL;
}

bool iu__type_is_whole(const iu_type *t) { return t == NULL || t->state == IU_TYPE_DONE; }

int iu__product_find(const iu_type *product_or_sum, const char *name, size_t len) {
  for (uint32_t i = 0; i < product_or_sum->count; i++) {
    const char *own = product_or_sum->u.fields[i].name;
    if (own != NULL && strlen(own) == len && memcmp(own, name, len) == 0) return (int)i;
  }
  return -1;
}
