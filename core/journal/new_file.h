/* new_file.h: a file that appears under its name when it is whole, and not before: what is not a universe (exports).
 *
 *   new -> (write the file `iu__new_file_name`) -> publish or free
 *
 * It is written as `<path>.part` beside its name, under a lock as a universe's (lock.h): of two that write the same file the second one is refused, and what one that
 * was killed left there is written anew. A name that is a symbolic link stands for where it leads. A device, a pipe or a socket cannot be replaced: there the name to
 * write is the path itself, and nothing is locked, synced or renamed.
 */
#ifndef IU_JOURNAL_NEW_FILE_H
#define IU_JOURNAL_NEW_FILE_H

#include "../base/error.h"

typedef struct iu_new_file iu_new_file;

/* Makes the file that is written, empty. IU_E_STORAGE: no folder, a folder itself, a database, not allowed; IU_E_UNIVERSE_LOCKED: another one writes it. */
iu_status iu__new_file(const char *path, iu_new_file **out, iu_error *err);
const char *iu__new_file_name(const iu_new_file *f); /* borrowed */
/* After it was written and closed: synced, renamed, its folder synced; the file that was there before passes its mode and owner on. Blocks. After a failure the file
 * that was there before is as it was, but where only the folder could not be synced: then the new one is there, and a power loss may undo that. */
iu_status iu__new_file_publish(iu_new_file *f, iu_error *err);
/* What was not published is removed; unlocks. NULL is fine. */
void iu__new_file_free(iu_new_file *f);

#endif
