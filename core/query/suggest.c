/* suggest.c: the nearest name (suggest.h). */
#include "suggest.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "../base/text.h"

#define SHOWN_MAX 64

void iu__suggest_init(iu_suggest *s, const char *name, size_t len) {
  s->name = name;
  s->len = len;
  s->best = NULL;
  s->least = len / 3 + 2; /* farther than that is another word */
}

void iu__suggest_offer(iu_suggest *s, const char *known) {
  size_t distance;
  if (known == NULL || strlen(known) > SHOWN_MAX) return;
  distance = iu__edit_distance(s->name, s->len, known, strlen(known));
  if (strlen(known) == s->len && strncasecmp(s->name, known, s->len) == 0) distance = 0; /* but for the case it is the same */
  if (distance >= s->least) return;
  s->least = distance;
  s->best = known;
}

const char *iu__suggest_text(const iu_suggest *s, char out[IU_SUGGESTION_MAX]) {
  out[0] = 0;
  if (s->best != NULL) snprintf(out, IU_SUGGESTION_MAX, ", did you mean `%s`?", s->best);
  return out;
}
