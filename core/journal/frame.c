/* frame.c: see frame.h. Size and bytes of a frame are made by one walk over the change set, with and without an output, so they cannot
 * disagree; of inserts alone the change set knows the size. */
#include "frame.h"

#include <assert.h>

#include "../base/hash.h"

typedef struct frame_out { uint8_t *p; uint64_t size; } frame_out; /* p NULL: only measure */

static inline void store_u32(uint8_t *p, uint32_t v) {
  p[0] = (uint8_t)v, p[1] = (uint8_t)(v >> 8), p[2] = (uint8_t)(v >> 16), p[3] = (uint8_t)(v >> 24);
}

static inline void out_u32(frame_out *o, uint32_t v) {
  if (o->p != NULL) store_u32(o->p + o->size, v);
  o->size += 4;
}

static inline void out_change(frame_out *o, const iu_catalog_table *t, iu_frame_op op, const uint8_t *bytes, size_t len) {
  out_u32(o, t->id << 2 | (uint32_t)op);
  out_u32(o, (uint32_t)len);
  if (o->p != NULL) memcpy(o->p + o->size, bytes, len);
  o->size += len;
}

static inline iu_slice key_of(const iu_catalog_table *t, const iu_row *row) {
  return iu__bsatn_column(t->def->row, (uint32_t)t->def->primary_key, row->data, row->len);
}

/* The removal of old_row, unless a PUT of new_row replaces it by itself. */
static void out_removal(frame_out *o, const iu_catalog_table *t, const iu_row *old_row, const iu_row *new_row) {
  iu_slice old_key, new_key;

  if (t->key_is_row) {
    out_change(o, t, IU_FRAME_DELETE_ROW, old_row->data, old_row->len);
    return;
  }
  old_key = key_of(t, old_row);
  if (new_row != NULL) {
    new_key = key_of(t, new_row);
    if (old_key.len == new_key.len && memcmp(old_key.p, new_key.p, old_key.len) == 0) return;
  }
  out_change(o, t, IU_FRAME_DELETE_KEY, old_key.p, old_key.len);
}

static uint32_t out_changes(frame_out *o, const iu_catalog *l, const iu_changeset *c) {
  uint32_t count = 0;

  for (uint32_t i = 0; i < c->count; i++) {
    const iu_change *change = &c->changes[i];
    const iu_catalog_table *t = &l->tables[iu__table_index(change->table)];
    uint64_t before = o->size;

    if (change->old_row != NULL) out_removal(o, t, change->old_row, change->new_row);
    if (o->size != before) count++;
    if (change->new_row != NULL) {
      out_change(o, t, IU_FRAME_PUT, change->new_row->data, change->new_row->len);
      count++;
    }
  }
  return count;
}

static uint64_t out_frame(uint8_t *p, const iu_catalog *l, const iu_changeset *c, const iu_sequence_value *next_values, uint32_t next_count) {
  frame_out o = {p, 8}; /* the length and the count of changes, written when known */
  uint32_t count = c != NULL ? out_changes(&o, l, c) : 0;

  out_u32(&o, next_count);
  for (uint32_t i = 0; i < next_count && p != NULL; i++) {
    out_u32(&o, l->tables[next_values[i].table].id);
    out_u32(&o, next_values[i].sequence);
    out_u32(&o, (uint32_t)(uint64_t)next_values[i].next);
    out_u32(&o, (uint32_t)((uint64_t)next_values[i].next >> 32));
  }
  if (p == NULL) return o.size + 16ull * next_count;
  store_u32(p, (uint32_t)(o.size - 4));
  store_u32(p + 4, count);
  return o.size;
}

uint64_t iu__jframe_size(const iu_catalog *l, const iu_changeset *c, uint32_t next_count) {
  if (c != NULL && c->inserted_bytes != 0) return 12 + 8ull * c->count + c->inserted_bytes + 16ull * next_count; /* no row is touched twice */
  return out_frame(NULL, l, c, NULL, next_count);
}

void iu__jframe_write(uint8_t *out, const iu_catalog *l, const iu_changeset *c, const iu_sequence_value *next_values, uint32_t next_count) {
  uint64_t size = out_frame(out, l, c, next_values, next_count);
  assert(size == iu__jframe_size(l, c, next_count));
  (void)size;
}

/* ---- reading ---- */

static iu_status malformed(uint64_t sequence, const char *what, iu_error *err) {
  return iu__fail(err, IU_E_STORAGE, "the file is damaged: commit %llu of the journal %s", (unsigned long long)sequence, what);
}

static iu_status walk_changes(const iu_catalog *l, iu_reader *r, uint64_t sequence, const iu_frame_visitor *v, iu_error *err) {
  uint32_t count = iu__read_u32(r);
  iu_status status;

  for (uint32_t i = 0; i < count; i++) {
    uint32_t head = iu__read_u32(r), len;
    iu_slice bytes;
    const iu_catalog_table *t = iu__jcatalog_by_id(l, head >> 2);

    bytes.p = iu__read_bytes(r, &len);
    bytes.len = len;
    if (r->failed) return malformed(sequence, "is cut off", err);
    if (t == NULL || (head & 3) > IU_FRAME_DELETE_ROW) return malformed(sequence, "names an unknown table or operation", err);
    if (v->change == NULL) continue;
    status = v->change(v->ud, t, (iu_frame_op)(head & 3), bytes, err);
    if (status != IU_OK) return status;
  }
  return r->failed ? malformed(sequence, "is cut off", err) : IU_OK;
}

static iu_status walk_positions(const iu_catalog *l, iu_reader *r, uint64_t sequence, const iu_frame_visitor *v, iu_error *err) {
  uint32_t count = iu__read_u32(r);
  iu_status status;

  for (uint32_t i = 0; i < count; i++) {
    const iu_catalog_table *t = iu__jcatalog_by_id(l, iu__read_u32(r));
    uint32_t which = iu__read_u32(r);
    int64_t next = (int64_t)iu__read_u64(r);

    if (r->failed) return malformed(sequence, "is cut off", err);
    if (t == NULL || which >= t->def->sequence_count) return malformed(sequence, "names an unknown auto-increment column", err);
    if (v->position == NULL) continue;
    status = v->position(v->ud, t, which, next, err);
    if (status != IU_OK) return status;
  }
  return r->failed || r->p != r->end ? malformed(sequence, "has a wrong length", err) : IU_OK;
}

iu_status iu__jframes_walk(const iu_catalog *l, iu_slice frames, uint64_t first, uint64_t last, const iu_frame_visitor *v, iu_error *err) {
  iu_reader all = iu__reader(frames.p, frames.len);

  for (uint64_t sequence = first; sequence <= last; sequence++) {
    uint32_t len;
    const uint8_t *body = iu__read_bytes(&all, &len);
    iu_reader r;
    iu_status status;

    if (body == NULL) return malformed(sequence, "is cut off", err);
    r = iu__reader(body, len);
    status = walk_changes(l, &r, sequence, v, err);
    if (status == IU_OK) status = walk_positions(l, &r, sequence, v, err);
    if (status != IU_OK) return status;
  }
  return all.p == all.end ? IU_OK : malformed(last, "has bytes after its end", err);
}

iu_status iu__jgroup_check(iu_slice group, uint64_t first, uint64_t last, uint64_t checksum, iu_slice *frames, iu_error *err) {
  if (first == 0 || last < first || last == UINT64_MAX || group.len < IU_GROUP_HEADER || iu__hash64(group.p, group.len) != checksum ||
      iu__load_u64(group.p) != first || iu__load_u64(group.p + 8) != last)
    return iu__fail(err, IU_E_STORAGE, "the file is damaged: the journal's commits %llu to %llu do not match their checksum",
                    (unsigned long long)first, (unsigned long long)last);
  frames->p = group.p + IU_GROUP_HEADER;
  frames->len = group.len - IU_GROUP_HEADER;
  return IU_OK;
}
