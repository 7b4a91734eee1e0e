/* type_node.h: what the type*.c files share: the node behind every iu_type that a typespace made, and how it is measured.
 *
 * Measuring fills in fixed_size and plain. A node is OPEN while a ref below it is not linked, BUSY while iu__typespace_link
 * is below it (met again: it contains itself), DONE for good after.
 */
#ifndef IU_SATS_TYPE_NODE_H
#define IU_SATS_TYPE_NODE_H

#include "type.h"

enum { IU_TYPE_OPEN, IU_TYPE_BUSY, IU_TYPE_DONE };

typedef struct iu_type_node {
  iu_type type;
  struct iu_type_node *next;
} iu_type_node;

/* Nodes made from parts that are in the arena already; counted by the caller through iu__type_count. NULL on no memory. */
const iu_type *iu__type_make_array(iu_typespace *ts, const iu_type *element);
const iu_type *iu__type_make_compound(iu_typespace *ts, iu_type_tag tag, uint32_t count, const iu_field *fields);
const iu_type *iu__type_make_ref(iu_typespace *ts, uint32_t index);
/* One node more in ts; false when that is one too many. */
bool iu__type_count(iu_typespace *ts);

/* As iu__type_encode, every ref `base` further: for a typespace that stands behind another one. A product without its tag. */
void iu__type_encode_moved(const iu_type *t, uint32_t base, iu_buf *out);
void iu__product_encode_moved(const iu_type *product, uint32_t base, iu_buf *out);

/* Children in the sense of measuring: the target of a ref too (0 while it is not linked). */
uint32_t iu__type_children(const iu_type *t);
const iu_type *iu__type_child(const iu_type *t, uint32_t i);
/* From the children as they are now. */
void iu__type_measure(iu_type *t);

#endif
