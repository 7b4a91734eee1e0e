/* module.h: what module.c and ctx.c share. */
#ifndef IU_HOST_MODULE_H
#define IU_HOST_MODULE_H

#include "../sats/schema_write.h"
#include "internal.h"

typedef struct iu_module_reducer_fn { iu_reducer_fn fn; void *ud; } iu_module_reducer_fn;

struct iu_module {
  uint32_t refs;
  char *name;
  iu_schema_writer *writer;       /* NULL: opened once */
  iu_buf definition;
  iu_module_reducer_fn *reducers; uint32_t count, cap;   /* by position */
};

/* On the stack of one run. */
struct iu_ctx {
  iu_tx *tx;
  const iu_schema *schema;
  const iu_reducer_call *call;
  iu_ctx_rows *open;              /* not freed yet */
  const iu_row *given;            /* the row handed out last, which is the one that is changed mostly; NULL: none */
  iu_buf row;                     /* working memory of one write after the other */
  uint32_t last_table;            /* looked up last, + 1; 0: none */
};

void iu__module_drop(iu_module *m);
void iu__ctx_end(iu_ctx *ctx);

#endif
