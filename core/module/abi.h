/* abi.h: the imports of SpacetimeDB's module ABI 10.0 (protocol sheet 8.3), for one source with two targets.
 *
 * On wasm32 they are imports of module `spacetime_10.0`. Natively each takes a leading host pointer (what wabt's wasm2c emits)
 * and is called iu__stdb_<name>; core/engine defines them with the same names, error codes and semantics. A module
 * calls them through IU_ABI(self, name, arguments...), where `self` has a member `host`.
 *
 * Freestanding: nothing but stdint and stddef.
 */
#ifndef IU_MODULE_ABI_H
#define IU_MODULE_ABI_H

#include <stddef.h>
#include <stdint.h>

enum {
  IU_ABI_OK = 0, IU_ABI_HOST_CALL_FAILURE = 1, IU_ABI_NOT_IN_TRANSACTION = 2, IU_ABI_BSATN_DECODE_ERROR = 3,
  IU_ABI_NO_SUCH_TABLE = 4, IU_ABI_NO_SUCH_INDEX = 5, IU_ABI_NO_SUCH_ITER = 6, IU_ABI_NO_SUCH_CONSOLE_TIMER = 7,
  IU_ABI_NO_SUCH_BYTES = 8, IU_ABI_NO_SPACE = 9, IU_ABI_WRONG_INDEX_ALGO = 10, IU_ABI_BUFFER_TOO_SMALL = 11,
  IU_ABI_UNIQUE_ALREADY_EXISTS = 12, IU_ABI_SCHEDULE_AT_DELAY_TOO_LONG = 13, IU_ABI_INDEX_NOT_UNIQUE = 14,
  IU_ABI_NO_SUCH_ROW = 15, IU_ABI_AUTO_INC_OVERFLOW = 16
};
#define IU_ABI_EXHAUSTED (-1)

struct iu_host; /* the engine's side of one module instance */

#ifdef __wasm__
#define IU_ABI(self, name, ...) name(__VA_ARGS__)
#define IU_ABI_IMPORT(ret, name, ...) \
  __attribute__((import_module("spacetime_10.0"), import_name(#name))) extern ret name(__VA_ARGS__)
#else
#define IU_ABI(self, name, ...) iu__stdb_##name((self)->host, __VA_ARGS__)
#define IU_ABI_IMPORT(ret, name, ...) ret iu__stdb_##name(struct iu_host *host, __VA_ARGS__)
#endif

IU_ABI_IMPORT(int32_t, table_id_from_name, const void *name, uint32_t len, uint32_t *out);
IU_ABI_IMPORT(int32_t, index_id_from_name, const void *name, uint32_t len, uint32_t *out);
IU_ABI_IMPORT(int32_t, datastore_table_row_count, uint32_t table, uint64_t *out);
IU_ABI_IMPORT(int32_t, datastore_table_scan_bsatn, uint32_t table, uint32_t *iter);
IU_ABI_IMPORT(int32_t, datastore_index_scan_range_bsatn, uint32_t index, const void *prefix, uint32_t prefix_len, uint32_t prefix_elems,
              const void *rstart, uint32_t rstart_len, const void *rend, uint32_t rend_len, uint32_t *iter);
IU_ABI_IMPORT(int32_t, datastore_delete_by_index_scan_range_bsatn, uint32_t index, const void *prefix, uint32_t prefix_len,
              uint32_t prefix_elems, const void *rstart, uint32_t rstart_len, const void *rend, uint32_t rend_len, uint32_t *count);
IU_ABI_IMPORT(int32_t, datastore_delete_all_by_eq_bsatn, uint32_t table, const void *rel, uint32_t rel_len, uint32_t *count);
IU_ABI_IMPORT(int32_t, datastore_insert_bsatn, uint32_t table, void *row, uint32_t *row_len);
IU_ABI_IMPORT(int32_t, datastore_update_bsatn, uint32_t table, uint32_t index, void *row, uint32_t *row_len);
IU_ABI_IMPORT(int32_t, row_iter_bsatn_advance, uint32_t iter, void *buf, uint32_t *buf_len);
IU_ABI_IMPORT(int32_t, row_iter_bsatn_close, uint32_t iter);
IU_ABI_IMPORT(int32_t, bytes_source_read, uint32_t source, void *buf, uint32_t *buf_len);
IU_ABI_IMPORT(int32_t, bytes_sink_write, uint32_t sink, const void *buf, uint32_t *buf_len);
IU_ABI_IMPORT(void, console_log, uint32_t level, const void *target, uint32_t target_len, const void *file, uint32_t file_len,
              uint32_t line, const void *msg, uint32_t msg_len);
IU_ABI_IMPORT(uint32_t, console_timer_start, const void *name, uint32_t len);
IU_ABI_IMPORT(int32_t, console_timer_end, uint32_t timer);
IU_ABI_IMPORT(void, identity, void *out);
IU_ABI_IMPORT(void, volatile_nonatomic_schedule_immediate, const void *name, uint32_t len, const void *args, uint32_t args_len);

#ifndef __wasm__
/* Beside spacetime_10.0, for a module that is compiled natively: a number that never comes again once the table was written, whoever wrote it, and once a
 * write was undone. 0: no such table. */
uint64_t iu__host_table_writes(struct iu_host *host, uint32_t table);
#endif

#endif
