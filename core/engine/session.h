/* session.h: what engine.c needs of session.c. */
#ifndef IU_ENGINE_SESSION_H
#define IU_ENGINE_SESSION_H

#include "internal.h"

/* Given to the caller (one reference, ended by vtable->release); in the engine's list; not greeted yet. */
iu_status iu__session_new(iu_engine *e, const uint8_t identity[32], const uint8_t connection_id[16], iu_session **out, iu_error *err);
/* Runs client_connected; its refusal refuses the session. */
iu_status iu__session_greet(iu_session *s, iu_error *err);
/* Goodbye, no more deliveries, pending answers given, out of the list. tell: the listener's `closed` hears it. Idempotent. */
void iu__session_end(iu_session *s, bool tell);
/* Gives the oldest answer whose sequence is where it waits for (or the journal failed); false when there is none to give. *room: how many that wait for room
 * in the journal may still be answered. */
bool iu__session_answer_one(iu_session *s, uint64_t durable, uint64_t folded, uint32_t *room, iu_status failed, const iu_error *why);
/* engine.c: calls a lifecycle reducer when the module has one. */
iu_status iu__lifecycle_call(iu_engine *e, iu_lifecycle which, const uint8_t identity[32], const uint8_t connection_id[16], iu_error *err);

#endif
