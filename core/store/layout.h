/* layout.h: where the columns of a table's rows are and how their values order. Private to core/store.
 *
 * A layout is made once per table from its definition, borrowed for the table's life, and immutable. Rows handed in are valid rows of the table.
 * Finding a column is O(1) up to the first column of varying size, then O(columns of varying size between).
 *
 * The order of two values is that of iu__bsatn_compare; the kinds only make it fast for common key types.
 */
#ifndef IU_STORE_LAYOUT_H
#define IU_STORE_LAYOUT_H

#include "../sats/bsatn.h"
#include "../sats/schema.h"

typedef enum iu_column_kind {
  IU_COLUMN_UNSIGNED, /* little-endian integer of 1 to 32 bytes; bool, sums without payload, Identity and kin are such */
  IU_COLUMN_SIGNED,
  IU_COLUMN_FLOAT,
  IU_COLUMN_BYTES,    /* String and Array<U8>: length, then bytes */
  IU_COLUMN_OTHER
} iu_column_kind;

typedef struct iu_column {
  const iu_type *type; /* dereferenced */
  uint32_t size;       /* bytes of every value, or IU_SIZE_VARIES */
  uint32_t offset;     /* from the row's start, or IU_SIZE_VARIES after a column of varying size */
  uint32_t after;      /* bytes from the end of the last such column before it, or from the row's start */
  uint16_t before, at; /* that one (0: none); the first one that is not before this column, or the last column */
  uint8_t kind;        /* iu_column_kind */
} iu_column;

typedef struct iu_layout {
  uint32_t count;
  uint32_t first_varying; /* the first column of varying size, or count */
  iu_column *columns;     /* owned */
} iu_layout;

bool iu__layout_init(iu_layout *l, const iu_type *row); /* false: no memory */
void iu__layout_free(iu_layout *l);

/* Past the value of column c that starts at p; NULL when it does not end before `end` (never for a stored row). */
static inline const uint8_t *iu__column_skip(const iu_column *c, const uint8_t *p, const uint8_t *end) {
  size_t left = (size_t)(end - p);

  if (c->size != IU_SIZE_VARIES) return left < c->size ? NULL : p + c->size;
  if (c->kind != IU_COLUMN_BYTES) return iu__bsatn_skip(c->type, p, end);
  if (left < 4 || left - 4 < iu__load_u32(p)) return NULL;
  return p + 4 + iu__load_u32(p);
}
int iu__column_compare(const iu_column *c, iu_slice a, iu_slice b);

/* Walks one row; columns asked for in ascending order cost one pass in all. */
typedef struct iu_walk {
  const iu_layout *layout;
  const uint8_t *data, *end, *p; /* p: where column `next` starts */
  uint32_t next;
} iu_walk;

static inline iu_walk iu__walk(const iu_layout *layout, const uint8_t *data, size_t len) {
  iu_walk w = {layout, data, data + len, data, 0};
  return w;
}
static inline iu_slice iu__walk_to(iu_walk *w, uint32_t column) {
  const iu_column *columns = w->layout->columns;
  iu_slice v = {NULL, 0};

  if (column < w->next || w->next == 0) {
    w->next = column <= w->layout->first_varying ? column : w->layout->first_varying;
    w->p = w->data + (w->next < w->layout->count ? columns[w->next].offset : 0);
  }
  if (w->next < column) { /* from one column of varying size to the next */
    while (w->next <= columns[column].before) {
      uint32_t at = columns[w->next].at;
      w->p = iu__column_skip(&columns[at], w->p + (columns[at].after - columns[w->next].after), w->end);
      w->next = at + 1;
    }
    w->p += columns[column].after - columns[w->next].after;
  }
  v.p = w->p;
  w->p = iu__column_skip(&columns[column], w->p, w->end);
  w->next = column + 1;
  v.len = (size_t)(w->p - v.p);
  return v;
}

static inline void iu__store_big(uint8_t *p, uint64_t v) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  v = __builtin_bswap64(v);
#endif
  memcpy(p, &v, 8);
}
/* Of a row whose only key is an integer of eight bytes at a fixed place, as most are: its normal form, filled up with 0 to 64 bytes. false: it is none. */
static inline bool iu__column_norm_word(const iu_column *c, const uint8_t *row, uint8_t out[64]) {
  if (c->size != 8 || c->kind > IU_COLUMN_SIGNED || c->offset == IU_SIZE_VARIES) return false;
  memset(out, 0, 64);
  iu__store_big(out, iu__load_u64(row + c->offset) ^ (uint64_t)(c->kind == IU_COLUMN_SIGNED) << 63);
  return true;
}

/* Appends the value's normal form to out: bytes whose memcmp order is the values' order, no form a prefix of another.
 * Writes at most up to `cap`, the rest is cut. Returns the new length. IU_COLUMN_OTHER has none: returns n and sets *stop. */
size_t iu__column_norm(const iu_column *c, iu_slice v, uint8_t *out, size_t n, size_t cap, bool *stop);

#endif
