/* loop_internal.h: what the other files of core/net need of a loop, and nobody else may.
 *
 * A loop has at most one guest, made on first use and told when the loop is being freed. A hold keeps the loop's struct (and, for an own uv
 * loop, iu__loop_free) waiting until it is given back: taken while something asynchronous is on its way that nobody can stop.
 */
#ifndef IU_NET_LOOP_INTERNAL_H
#define IU_NET_LOOP_INTERNAL_H

#include <uv.h>

#include "loop.h"

typedef struct iu__guest { void (*closing)(struct iu__guest *guest); } iu__guest;

uv_loop_t *iu__loop_uv(iu_loop *l);
iu__guest *iu__loop_guest(iu_loop *l);
void iu__loop_set_guest(iu_loop *l, iu__guest *guest);
void iu__loop_hold(iu_loop *l);
void iu__loop_unhold(iu_loop *l);

#endif
