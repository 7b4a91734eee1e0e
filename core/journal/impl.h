/* impl.h: the seam inside core/journal: what an implementation provides. journal.c dispatches, null.c and sqlite.c implement.
 *
 * Every implementation's struct starts with iu_journal. All methods are called on the owner thread; which may block is said at each.
 * The checks that both would need (NULL, sizes of metadata) are made in journal.c.
 */
#ifndef IU_JOURNAL_IMPL_H
#define IU_JOURNAL_IMPL_H

#include "journal.h"

#define IU_JOURNAL_VTABLE_VERSION 3

typedef struct iu_journal_vtable {
  uint32_t version;
  bool (*is_new)(const iu_journal *j);
  const uint8_t *(*meta)(const iu_journal *j, iu_meta which, size_t *len);
  iu_status (*set_meta)(iu_journal *j, iu_meta which, const void *bytes, size_t len, iu_error *err);
  iu_status (*load)(iu_journal *j, const iu_journal_sink *sink, iu_journal_recovery *out, iu_error *err); /* reads the whole file */
  bool (*full)(iu_journal *j);
  iu_status (*ready)(iu_journal *j, uint64_t bytes, iu_error *err);                                       /* never blocks on the disk */
  iu_status (*append)(iu_journal *j, const iu_changeset *c, const iu_sequence_value *next_values, uint32_t next_count, uint64_t *seq,
                      iu_error *err);                                                                     /* never blocks on the disk */
  uint64_t (*durable)(iu_journal *j, iu_status *failed, iu_error *err);
  void (*hurry)(iu_journal *j);
  void (*hold)(iu_journal *j, bool on);
  iu_status (*wait)(iu_journal *j, uint64_t seq, int64_t timeout_ms, iu_error *err); /* blocks */
  iu_status (*fold)(iu_journal *j, int64_t timeout_ms, iu_error *err);               /* blocks */
  iu_status (*ask_fold)(iu_journal *j, uint64_t *seq, iu_error *err);
  uint64_t (*folded)(iu_journal *j);
  const char *(*path)(const iu_journal *j);
  iu_status (*ask_extend)(iu_journal *j, const char *sql, iu_error *err);
  bool (*extended)(iu_journal *j, iu_status *status, iu_error *err);
  void (*get_stats)(iu_journal *j, iu_journal_stats *out);
  iu_status (*close)(iu_journal *j, iu_error *err); /* blocks; frees */
} iu_journal_vtable;

struct iu_journal {
  const iu_journal_vtable *vtable;
};

iu_status iu__journal_null_open(const iu_journal_config *c, iu_journal **out, iu_error *err);
iu_status iu__journal_sqlite_open(const iu_journal_config *c, iu_journal **out, iu_error *err);

#endif
