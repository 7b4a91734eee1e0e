/* suggest.h: "did you mean": the nearest of the names offered, when it is near enough to be a slip. */
#ifndef IU_QUERY_SUGGEST_H
#define IU_QUERY_SUGGEST_H

#include <stddef.h>

#define IU_SUGGESTION_MAX 96

typedef struct iu_suggest {
  const char *name; size_t len;  /* what was written */
  const char *best;              /* borrowed; NULL: none so far */
  size_t least;
} iu_suggest;

void iu__suggest_init(iu_suggest *s, const char *name, size_t len);
void iu__suggest_offer(iu_suggest *s, const char *known);
/* ", did you mean `x`?" or "". */
const char *iu__suggest_text(const iu_suggest *s, char out[IU_SUGGESTION_MAX]);

#endif
