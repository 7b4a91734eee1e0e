/* module.h: the native face of a module: what its wasm build exports, with a leading instance pointer.
 *
 * An instance is made for one host and keeps its state in itself (no globals): two universes in one process are two
 * instances. Calls nest never. The host may throw an instance away at any time and make a fresh one.
 */
#ifndef IU_MODULE_MODULE_H
#define IU_MODULE_MODULE_H

#include "abi.h"

typedef struct iu_abi_module {
  const char *name;
  void *(*instantiate)(struct iu_host *host);   /* NULL: no memory; host is held */
  void (*destroy)(void *instance);
  void (*describe)(void *instance, uint32_t sink);  /* BSATN RawModuleDef into the sink */
  /* Return codes as in the sheet: 0 commit, 1 user error (UTF-8 "CODE: message" in the sink `err`), else a fault. */
  int32_t (*call_reducer)(void *instance, uint32_t id, uint64_t sender_0, uint64_t sender_1, uint64_t sender_2, uint64_t sender_3,
                          uint64_t conn_0, uint64_t conn_1, uint64_t timestamp, uint32_t args, uint32_t err);
} iu_abi_module;

/* NERV's own: the tables and reducers of the design. */
const iu_abi_module *iu__nerv_module(void);

#endif
