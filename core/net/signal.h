/* signal.h: a signal of this process, counted instead of obeyed while a watch on it is there.
 *
 * It is counted in the loop's turns: who works without turning the loop looks after a turn. A watch keeps no loop running. What the signal did before (an
 * interpreter's handler, say) is kept aside, and is there again when the last watch of it is released; so a second Ctrl-C can be let through by releasing.
 */
#ifndef IU_NET_SIGNAL_H
#define IU_NET_SIGNAL_H

#include "loop.h"

typedef struct iu_signal iu_signal;

/* IU_E_VALIDATION for a number that is no signal, or one that cannot be caught. */
iu_status iu__signal_watch(iu_loop *loop, int signal, iu_signal **out, iu_error *err);
uint32_t iu__signal_count(const iu_signal *s);  /* how often it came */
void iu__signal_release(iu_signal *s);          /* NULL is fine; before the loop is freed */

#endif
