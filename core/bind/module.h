/* module.h: what the module*.c files share: modules in Lua, hosted by an embedded engine (core/engine/hosted.h).
 *
 *   module.c         a module's life: made for an engine, bound, run, released; what its errors become
 *   module_define.c  from a declaration to a module definition
 *   module_guard.c   the caps of a reducer: its time, its memory
 *   module_ctx.c     ctx: who calls, when, random numbers, other reducers
 *   module_table.c   ctx.db.<table>: the userdata, its columns, writes
 *   module_rows.c    reads of them, iterators
 *
 * A module is a userdata that the registry keeps until the engine releases it; tables and iterators hold it too, so nothing here is freed under a script.
 * Everything that a script may keep (ctx, its tables, iterators) works while a reducer of the module runs and raises outside.
 *
 * Finalisers: any request for Lua's memory may run one, and it may write to ctx.db. So a row's bytes are put together in `row` without any such request,
 * or with `busy` set; and no stored row is looked at after one but while its table's iterator or the transaction keeps it.
 */
#ifndef IU_BIND_MODULE_H
#define IU_BIND_MODULE_H

#include "bind.h"

#include "../engine/hosted.h"

typedef struct iu_lua_module iu_lua_module;
typedef struct iu_tx_iter iu_tx_iter;

/* The caps of the outermost reducer, and of all that runs inside it. */
typedef struct iu_lua_guard {
  uint64_t deadline;       /* monotonic ns; 0: nobody has looked at the clock yet */
  uint64_t timeout_ns;     /* 0: no limit */
  size_t memory_max;       /* bytes above those at the start; 0: no limit */
  size_t memory_base;
  uint32_t ticks;          /* operations on tables, for reducers that run few instructions of Lua */
  bool broken;             /* a cap was passed: the reducer has to go, whatever it catches */
  iu_error why;
} iu_lua_guard;

typedef struct iu_lua_run {
  struct iu_lua_run *outer;    /* what this one runs inside of, of any module */
  struct iu_lua_run *before;   /* of the same module */
  iu_lua_module *m;
  const iu_reducer_call *call;
  iu_lua_guard *guard;
  iu_tx_iter *iters;
  lua_State *L;
  lua_Hook hook;               /* of the thread, before */
  int hook_mask, hook_count;
  bool hooked;
} iu_lua_run;

typedef enum iu_column_form { /* how a column of a type is written and read without a detour */
  IU_FORM_OTHER, IU_FORM_BOOL, IU_FORM_I8, IU_FORM_U8, IU_FORM_I16, IU_FORM_U16, IU_FORM_I32, IU_FORM_U32, IU_FORM_I64, IU_FORM_U64, IU_FORM_F32, IU_FORM_F64,
  IU_FORM_STRING, IU_FORM_BYTES
} iu_column_form;

typedef struct iu_tx_column {
  const char *name;
  const void *key;           /* address of the name's string, as lua_topointer gives it: equal for equal short ones */
  const iu_type *type;
  uint8_t form;              /* iu_column_form of the type, or of what the option holds */
  bool option, generated;    /* generated: has a sequence */
  const uint8_t *fallback; size_t fallback_len;  /* BSATN of the default, or NULL */
} iu_tx_column;

/* Zeroed before; name, type, form, option. */
void iu__column_init(iu_tx_column *c, const iu_field *f);
/* A plain value that fits, appended without asking Lua for memory; false: it is none, and nothing was written. */
bool iu__column_put(lua_State *L, int index, const iu_tx_column *c, iu_buf *out);
/* The value at *p, which is valid, and past it. */
void iu__column_push(lua_State *L, const iu_tx_column *c, const uint8_t **p, const uint8_t *end);

/* ctx.db.<table>. */
typedef struct iu_tx_table {
  iu_lua_module *m;
  const iu_table_def *def;
  iu_table *t;
  uint32_t number, count;
  bool own;                  /* else of another module: read only */
  uint16_t *order;           /* the column of each key that was seen, last time */
  uint32_t order_count;
  iu_tx_column columns[];
} iu_tx_table;

struct iu_lua_module {
  iu_lua *x;
  char *name;                /* owned */
  iu_buf definition;
  const iu_schema *schema;   /* the engine's; NULL before bound and after release */
  iu_tx *tx;
  uint32_t first_table, table_count;
  iu_lua_run *run;           /* the innermost, or NULL */
  uint64_t timeout_ns;
  size_t memory_max;
  int self, parts, functions, ctx;   /* registry: this userdata; what core.open was given, its `run`; ctx (LUA_NOREF: not made yet) */
  lua_State *main;           /* to let go of references when nobody is in the core */
  iu_buf row, key, args;     /* kept */
  bool busy;
  uint8_t sender[32], connection_id[16];
  int sender_text, connection_text;   /* registry: hex of these */
};

/* module.c */
/* The modules of the array at `list` as the engine takes them: it, or iu__lua_modules_release, lets go of each. Raises for what is no module. Their number. */
uint32_t iu__lua_modules_read(lua_State *L, int list, uint64_t timeout_ms, uint64_t memory_mb, iu_hosted_module *out, uint32_t room);
void iu__lua_modules_release(lua_State *L, iu_hosted_module *modules, uint32_t count);
/* Raises what is in err as the table that scripts know. */
int iu__module_raise(lua_State *L, iu_lua_module *m, const iu_error *err);
/* Raises unless a reducer of the module runs. */
void iu__module_check(lua_State *L, const iu_lua_module *m, const char *what);

void iu__module_define_open(lua_State *L);           /* module_define.c: adds its function to the module table on top */

/* module_guard.c */
void iu__guard_enter(lua_State *L, iu_lua_run *r, iu_lua_guard *own);
void iu__guard_leave(iu_lua_run *r);
void iu__guard_look(lua_State *L, iu_lua_run *r);     /* raises when a cap is passed */
static inline void iu__guard_tick(lua_State *L, iu_lua_run *r) {
  if ((++r->guard->ticks & 255) == 0) iu__guard_look(L, r);
}

/* module_ctx.c: pushes a new ctx. */
void iu__push_ctx(lua_State *L, iu_lua_module *m);

/* module_table.c */
enum { IU_UP_TABLE = 1, IU_UP_ITER = 2, IU_UP_KEYS = 3, IU_TX_COLUMNS_MAX = 240 };   /* upvalues of every method: iu_tx_table, metatable of iterators, names */
/* Pushes the userdata of table number n of the engine. */
void iu__push_tx_table(lua_State *L, iu_lua_module *m, uint32_t n);
iu_tx_table *iu__tx_self(lua_State *L, const char *method);   /* of a method's first argument; a reducer runs */
/* The value at `index` by the column's type, appended to out; *exact (may be NULL) becomes false when reading it back gives another value. Raises. */
void iu__tx_encode(lua_State *L, iu_tx_table *t, const iu_tx_column *c, int index, iu_buf *out, bool *exact);
int iu__tx_refuse(lua_State *L, iu_tx_table *t, iu_error *err);  /* raises with the table's name before */
/* The columns of an index as one key: one value, or an array of them. */
void iu__tx_encode_key(lua_State *L, iu_tx_table *t, const iu_index_def *ix, int index, iu_buf *out);

/* module_rows.c */
const luaL_Reg *iu__tx_reads(void);                 /* methods, and what steps iterators: each gets the upvalues above */
lua_CFunction iu__tx_step(void);
void iu__push_iter_mt(lua_State *L);
void iu__push_tx_row(lua_State *L, iu_tx_table *t, const iu_row *row);
/* The same, of a row whose values are on the stack from `base` on: they are taken but for the columns whose stored value is another one. */
typedef struct iu_tx_inexact { uint64_t bits[(IU_TX_COLUMNS_MAX + 63) / 64]; uint32_t count; } iu_tx_inexact;
void iu__push_tx_stored(lua_State *L, iu_tx_table *t, int base, const iu_tx_inexact *inexact, const iu_row *row);
void iu__tx_iters_close(iu_lua_run *r);
/* An iterator's userdata on the stack: before a range is put together for it, for it asks Lua for memory. Then it is opened. Both raise. */
iu_tx_iter *iu__tx_iter_new(lua_State *L, iu_tx_table *t);
void iu__tx_iter_open(lua_State *L, iu_tx_iter *it, uint32_t index, const iu_range *range, bool descending);
const iu_row *iu__tx_iter_next(iu_tx_iter *it);
void iu__tx_iter_end(iu_tx_iter *it);

#endif
