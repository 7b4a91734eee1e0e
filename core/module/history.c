/* history.c: row_history: what a row of entity or relation was before each change, while the config row `enable_row_history` names its table.
 *
 * `row` is the row before the change (empty for an insert). So a row's state at a time T is that of its first change after T, or, when
 * there is none, the row as it is now: rows that are older than their history need no extra record.
 */
#include "internal.h"

bool iu__nerv_history(nerv_call *c, nerv_table table, nerv_slice key, const char *change, nerv_slice old_row) {
  const char *name = iu__nerv_tables[table].name;
  nerv_head *head;
  nerv_out out, record_key;
  if (!iu__nerv_features(c)) return false;
  if (!c->features.history[table]) return true;
  if (!iu__nerv_head(c, NERV_HEAD_HISTORY, &head)) return false;
  head->sequence++;
  record_key = iu__nerv_out_of(c);
  iu__nerv_put_raw(&record_key, name);
  iu__nerv_put_u8(&record_key, ':');
  iu__nerv_put_slice(&record_key, key);
  iu__nerv_put_u8(&record_key, ':');
  iu__nerv_put_decimal(&record_key, head->sequence);
  if (!iu__nerv_wrote(c, &record_key)) return false;
  out = iu__nerv_out_of(c);
  iu__nerv_put_text(&out, iu__nerv_written(&record_key));
  iu__nerv_put_cstr(&out, name);
  iu__nerv_put_text(&out, key);
  iu__nerv_put_u64(&out, head->sequence);
  iu__nerv_put_u64(&out, (uint64_t)c->now);
  iu__nerv_put_cstr(&out, change);
  iu__nerv_put_text(&out, old_row);
  iu__nerv_put(&out, c->sender, sizeof c->sender);
  head->count++;
  head->bytes += out.n;
  head->dirty = true;
  return iu__nerv_insert(c, NERV_ROW_HISTORY, &out, NULL);
}
