/* meta.h: the small named blobs of a universe in memory: one slot for each iu_meta. Plain memory, so that the journal's
 * thread can take a copy without an allocation that might fail. */
#ifndef IU_JOURNAL_META_H
#define IU_JOURNAL_META_H

#include "journal.h"

typedef struct iu_meta_slot { uint8_t bytes[IU_JOURNAL_META_MAX]; size_t len; bool present; } iu_meta_slot;
typedef struct iu_meta_set { iu_meta_slot slots[IU_META_COUNT]; } iu_meta_set;

const char *iu__jmeta_name(iu_meta which);   /* the key in `_iu_meta` */
/* NULL when absent. */
const uint8_t *iu__jmeta_get(const iu_meta_set *m, iu_meta which, size_t *len);
/* len is at most IU_JOURNAL_META_MAX. */
void iu__jmeta_put(iu_meta_set *m, iu_meta which, const void *bytes, size_t len);

#endif
