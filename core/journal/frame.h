/* frame.h: how commits are written down: the bytes of a row of `_iu_journal`, little endian.
 *
 *   group:  u64 first sequence, u64 last sequence, then one frame for each sequence from first to last
 *   frame:  u32 length of what follows, u32 changes, the changes, u32 positions, the positions
 *   change: u32 table id << 2 | operation, u32 length, bytes
 *   position (auto-increment): u32 table id, u32 sequence, i64 next
 *
 * Table ids are the file's own (`_iu_table`), so a schema may list its tables in another order the next time. Operations: PUT has
 * a row; DELETE_KEY the primary key's bytes; DELETE_ROW a whole row, for tables whose rows are found by `_row` in the file.
 * The group's checksum is iu__hash64 over all of its bytes.
 */
#ifndef IU_JOURNAL_FRAME_H
#define IU_JOURNAL_FRAME_H

#include "journal.h"
#include "catalog.h"

#define IU_GROUP_HEADER 16

typedef enum iu_frame_op { IU_FRAME_PUT, IU_FRAME_DELETE_KEY, IU_FRAME_DELETE_ROW } iu_frame_op;

/* Bytes of a commit as a frame; what iu__jframe_write then writes. */
uint64_t iu__jframe_size(const iu_catalog *l, const iu_changeset *c, uint32_t next_count);
void iu__jframe_write(uint8_t *out, const iu_catalog *l, const iu_changeset *c, const iu_sequence_value *next_values, uint32_t next_count);

/* Walks the frames of a group. NULL callbacks skip. A malformed frame is IU_E_STORAGE naming its sequence; a callback's failure ends the walk. */
typedef struct iu_frame_visitor {
  void *ud;
  iu_status (*change)(void *ud, const iu_catalog_table *t, iu_frame_op op, iu_slice bytes, iu_error *err);
  iu_status (*position)(void *ud, const iu_catalog_table *t, uint32_t sequence, int64_t next, iu_error *err);
} iu_frame_visitor;
iu_status iu__jframes_walk(const iu_catalog *l, iu_slice frames /* without the group's header */, uint64_t first, uint64_t last,
                          const iu_frame_visitor *v, iu_error *err);
/* Checks header and checksum of a stored group against its columns; *frames is what follows the header. */
iu_status iu__jgroup_check(iu_slice group, uint64_t first, uint64_t last, uint64_t checksum, iu_slice *frames, iu_error *err);

#endif
