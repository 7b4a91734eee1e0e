/* folder.h: the names in a folder, and folders made. Both block; neither needs a loop. */
#ifndef IU_NET_FOLDER_H
#define IU_NET_FOLDER_H

#include "../include/inner_universe.h"

#define IU_FOLDER_NAMES_MAX 1000000u

/* Calls each(ud, name) for every entry but "." and "..", in no order; what it answers ends the walk where it is not IU_OK. IU_E_STORAGE with the system's words:
 * no such folder, no folder, not allowed; IU_E_OVERLOADED for more entries than `most`, at most IU_FOLDER_NAMES_MAX. */
iu_status iu__folder_names(const char *path, uint32_t most, iu_status (*each)(void *ud, const char *name), void *ud, iu_error *err);

/* Makes the folder and those above it that are not there; one that is there is no error. */
iu_status iu__folder_make(const char *path, iu_error *err);

#endif
