/* lock.h: one universe at a time: an flock on `<path>.lock`, with the holder's process id as its text.
 *
 * flock belongs to the open file, so two universes of one process exclude each other too, and a killed holder leaves no lock behind. The file
 * is removed on release; whoever locked a file that was removed meanwhile notices (the name leads elsewhere) and starts over. The path is
 * resolved first, so a symbolic link and its target have one lock; a hard link to a file that this process has open is refused besides.
 */
#ifndef IU_JOURNAL_LOCK_H
#define IU_JOURNAL_LOCK_H

#include "../base/error.h"

typedef struct iu_lock { char *path; int fd; } iu_lock;

/* `path`: the universe's resolved path. IU_E_UNIVERSE_LOCKED names the holder; IU_E_STORAGE when the folder is missing or cannot be written. */
iu_status iu__jlock_take(const char *path, iu_lock *lock, iu_error *err);
/* For one who only reads the universe: where the folder cannot be written it goes with the lock file that is there, or without one. (Somebody else may open the
 * universe then: what is read is a read transaction's.) */
iu_status iu__jlock_take_to_read(const char *path, iu_lock *lock, iu_error *err);
/* Fine to call on a lock that was not taken ({NULL, -1}). With `remove` false (a forked child that does not own it) the file stays. */
void iu__jlock_release(iu_lock *lock, bool remove);

#endif
