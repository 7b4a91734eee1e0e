/* process.h: a child process on an iu_loop: started, heard, signalled, told of once when it ended.
 *
 * What the child writes (standard output and error together) is appended to a file, handed to on_output, or thrown away. Its standard input is empty, or
 * a pipe that nothing is written to: it ends when iu__process_close_input is called or when this process dies, however it dies, which is how a
 * child can notice that. `own_session` keeps a terminal's signals from it.
 *
 * Releasing a process does not end it: it goes on by itself, and nobody is told any more. Callbacks may release; none is called inside the functions below.
 */
#ifndef IU_NET_PROCESS_H
#define IU_NET_PROCESS_H

#include "loop.h"

typedef struct iu_process iu_process;

typedef struct iu_process_config {
  const char *const *args;          /* ends with NULL; args[0] is the program: a path, or a name that PATH finds */
  const char *const *env;           /* "NAME=value", ends with NULL; NULL: this process's */
  const char *cwd;                  /* NULL: this process's */
  const char *output_file;          /* appended to; made when missing, for the user alone. NULL: on_output */
  bool input, own_session;
  void *ud;
  void (*on_output)(void *ud, iu_process *p, const uint8_t *bytes, size_t len);     /* NULL: thrown away */
  /* Once, after the last output. signal is 0, or what ended it. */
  void (*on_exit)(void *ud, iu_process *p, int64_t status, int signal);
} iu_process_config;

#define IU_PROCESS_DRAIN_MS 200u    /* how long the output of an ended process is awaited whose pipe a grandchild holds open */

/* IU_E_PERSISTENCE with the system's words when the program cannot be run or the file not be opened. The config is only read during the call. */
iu_status iu__process_start(iu_loop *loop, const iu_process_config *config, iu_process **out, iu_error *err);
int iu__process_pid(const iu_process *p);
/* IU_E_VALIDATION for a signal that does not exist; a process that ended is no error. */
iu_status iu__process_signal(iu_process *p, int signal, iu_error *err);
void iu__process_close_input(iu_process *p);
void iu__process_release(iu_process *p);  /* NULL is fine */

/* Any process of this machine. signal 0 only asks. *exists: whether there is one; IU_E_AUTHORIZATION when it is somebody else's. */
iu_status iu__process_kill(int pid, int signal, bool *exists, iu_error *err);

#endif
