/* conflict.h: the message of a unique violation. Private to core/store. */
#ifndef IU_STORE_CONFLICT_H
#define IU_STORE_CONFLICT_H

#include "internal.h"

/* IU_E_CONFLICT: "table `entity`: a row with id = "x" is already there". */
iu_status iu__conflict(const iu_table *t, const iu_key *key, const iu_row *row, iu_error *err);

#endif
