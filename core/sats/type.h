/* type.h: SpacetimeDB algebraic types and typespaces.
 *
 * A type node is immutable once its typespace is linked; it lives in the arena of whoever made it (a typespace or a
 * schema) and is shared freely by pointer. Children of a node are constants, of the same typespace, or of a linked one.
 * A type without refs is complete as soon as it is made; one with refs when its typespace is linked. Tags are the wire's. Ref nodes carry their target after linking; every
 * walker goes through iu__type_deref and bounds its depth by IU_TYPE_DEPTH_MAX, since types may be recursive through refs.
 */
#ifndef IU_SATS_TYPE_H
#define IU_SATS_TYPE_H

#include "../base/arena.h"
#include "../base/buffer.h"

#define IU_TYPE_DEPTH_MAX 64        /* nesting of a type as written on the wire, and of values */
#define IU_TYPE_FIELDS_MAX 4096     /* fields of one product; a sum has at most 256 variants */
#define IU_TYPE_NODES_MAX 65536     /* nodes of one typespace */

typedef enum iu_type_tag {
  IU_T_REF, IU_T_SUM, IU_T_PRODUCT, IU_T_ARRAY, IU_T_STRING, IU_T_BOOL, IU_T_I8, IU_T_U8, IU_T_I16, IU_T_U16,
  IU_T_I32, IU_T_U32, IU_T_I64, IU_T_U64, IU_T_I128, IU_T_U128, IU_T_I256, IU_T_U256, IU_T_F32, IU_T_F64,
  IU_T_COUNT
} iu_type_tag;

/* Specials are recognised structurally (protocol sheet 1.2) when a node is made. */
typedef enum iu_special {
  IU_S_NONE, IU_S_IDENTITY, IU_S_CONNECTION_ID, IU_S_TIMESTAMP, IU_S_TIME_DURATION, IU_S_UUID,
  IU_S_OPTION, IU_S_RESULT, IU_S_SCHEDULE_AT, IU_S_BYTES /* Array(U8) */, IU_S_UNIT
} iu_special;

typedef struct iu_type iu_type;
typedef struct iu_field { const char *name; /* NULL: unnamed; terminated, never holds NUL */ const iu_type *type; } iu_field;

#define IU_SIZE_VARIES UINT32_MAX
struct iu_type {
  uint8_t tag;         /* iu_type_tag */
  uint8_t special;     /* iu_special */
  bool plain;          /* fixed_size is known and any bytes of that length are a valid value */
  uint8_t depth;       /* products, sums and arrays on the longest way down, refs not followed: at most IU_TYPE_DEPTH_MAX */
  uint32_t fixed_size; /* bytes of every value, or IU_SIZE_VARIES; a Ref has its target's after linking */
  uint32_t count;      /* fields of a product, variants of a sum; the index of a Ref */
  uint8_t state;       /* of measuring; type*.c only */
  union {
    const iu_field *fields;  /* product, sum */
    const iu_type *element;  /* array */
    const iu_type *target;   /* ref, after linking */
  } u;
};

typedef struct iu_typespace {
  iu_arena arena;
  const iu_type **types;   /* what Ref(n) means; filled by iu__typespace_decode, or by the caller in C */
  uint32_t count, nodes;
  bool no_memory;          /* why a constructor gave NULL, where that was the reason */
  struct iu_type_node *made; /* every node in the arena, newest first; type*.c and schema*.c only */
} iu_typespace;

void iu__typespace_free(iu_typespace *ts);
/* Constructors for C; allocate in ts->arena; NULL on no memory, over a limit, or when given a NULL type (so calls nest).
 * Names are copied. Scalars are shared constants. */
const iu_type *iu__type_scalar(iu_type_tag tag);          /* String included */
const iu_type *iu__type_special(iu_special special);      /* Identity ... Uuid, Bytes, Unit, ScheduleAt: constants */
const iu_type *iu__type_array(iu_typespace *ts, const iu_type *element);
const iu_type *iu__type_option(iu_typespace *ts, const iu_type *some);
const iu_type *iu__type_product(iu_typespace *ts, uint32_t count, const iu_field *fields); /* fields copied */
const iu_type *iu__type_sum(iu_typespace *ts, uint32_t count, const iu_field *variants);
const iu_type *iu__type_ref(iu_typespace *ts, uint32_t index);

/* Resolves every Ref made in ts (in its types or not), and measures what depends on refs; refuses a dangling index and refs
 * that only lead to each other. Call when all types are there; calling it again after making more nodes is fine. Linear time. */
iu_status iu__typespace_link(iu_typespace *ts, iu_error *err);
/* The type itself, or what a (chain of) Ref means. Never NULL after linking. */
static inline const iu_type *iu__type_deref(const iu_type *t) {
  while (t->tag == IU_T_REF) t = t->u.target;
  return t;
}
/* Structural, names included, refs followed (linked types only), so equal recursive types are equal. Types that need more than
 * IU_TYPE_EQUAL_REFS_MAX pairs of refs to tell, or nest over 1024 deep through refs, count as different. */
#define IU_TYPE_EQUAL_REFS_MAX 256
bool iu__type_equal(const iu_type *a, const iu_type *b);
bool iu__type_is_whole(const iu_type *t); /* no refs in it that are not linked */
int iu__product_find(const iu_type *product_or_sum, const char *name, size_t len); /* -1: none */
/* "U32", "Option<String>", "Array<U8>", "(id: U32, name: String)", "(Red | Rgb: Ref(2))". For messages: cut with "..." after
 * about IU_TYPE_TEXT_MAX bytes. */
#define IU_TYPE_TEXT_MAX 400
void iu__type_describe(const iu_type *t, iu_buf *out);
/* The same with names for refs of a linked typespace: names[index], NULL entries print as Ref(index). */
void iu__type_describe_named(const iu_type *t, const char *const *names, iu_buf *out);
/* A constant word for a type, refs followed: "U32", "Identity", "Option", "product", "sum", "array". */
const char *iu__type_label(const iu_type *t);

/* The type as a BSATN value (protocol sheet 1.1), both ways. Decoding makes nodes in ts, unlinked. */
void iu__type_encode(const iu_type *t, iu_buf *out);
const iu_type *iu__type_decode(iu_typespace *ts, iu_reader *r, iu_error *err); /* NULL on error */
/* A ProductType as reducers' params are written: without the tag. */
const iu_type *iu__product_decode(iu_typespace *ts, iu_reader *r, iu_error *err);
iu_status iu__typespace_decode(iu_typespace *ts, iu_reader *r, iu_error *err);  /* [AlgebraicType]; not linked yet */
void iu__typespace_encode(const iu_typespace *ts, iu_buf *out);

#endif
