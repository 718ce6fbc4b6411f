/*
** output.h - files that appear whole or not at all.  What is written goes to
** a file without a name beside the target, which takes the target's place by
** a rename once it is whole and on the disk; until then the old file stays,
** and a run that is killed leaves nothing behind.  Symbolic links are
** followed to what they point at.  Devices, FIFOs and descriptors
** (/dev/stdout) are no files to be replaced: they are written to as they are.
*/
#ifndef LUN_OUTPUT_H
#define LUN_OUTPUT_H

#include "lunette.h"

#include <sys/types.h>

typedef struct lun_output lun_output;

/* Begins to write `path` through a buffer of that many bytes (0: 64 KiB).
** *out is NULL after a failure.  LUN_EIO: the system's reason. */
int lun_output_open(lun_output **out, const char *path, size_t buffer,
                    lun_err *err);
/* Appends n bytes.  A failure is kept until lun_output_commit tells it. */
void lun_output_put(lun_output *out, const void *bytes, size_t n);
/* Appends a tensor's values, as float32 or, with LUN_F16, as float16. */
void lun_output_tensor(lun_output *out, const lun_tensor *t, lun_dtype dtype);
/* Puts every file of a set in its place, after all are whole and synced; where
** one cannot be, none is: old files come back, new names go.  (Only SIGKILL or
** a power cut between the renames themselves leaves some old files beside new
** ones; and a failure there, on a file system that cannot exchange two names.)
*/
int lun_output_commit(lun_output *const *set, int n, lun_err *err);
/* write() without its signals: a closed pipe and a size limit are errors. */
ssize_t lun_quiet_write(int fd, const void *p, size_t n);
/* Forgets an output; without commit nothing of it remains.  NULL is fine. */
void lun_output_free(lun_output *out);

#endif
