/*
** main.c - lunette-import: reads model files in a confined child process.
**
**   lunette-import list FILE            tensors and metadata, a line each
**   lunette-import digest ALGO FILE     sha256, md5, or crc (of a zip's members)
**   lunette-import write FILE OUT       what the plan on stdin says (plan.c); an
**                        [OUTSIDE]      ONNX file's numbers may lie in another,
**                                       beside it
**
** Lines on stdout, fields separated by tabs, control bytes as \xHH:
**   format NAME | meta KEY VALUE | tensor TYPE DIMS NAME | digest HEX
**   error MESSAGE        something went wrong: nothing was written
**   done                 all of it was said
** The parent opens the files, waits, turns a crash of the child into an error
** line, and moves the finished output into place.
*/
#include "import.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
  EX_USAGE_ = 64,
  EX_DATA = 65,
  EX_NOINPUT_ = 66,
  EX_CRASH = 70,
  EX_IO = 74
};
/* MAX_LISTING: bytes of a listing on stdout */
enum { MEMORY = 256 << 20, MAX_LISTING = 64 << 20 };

typedef struct task {
  const char *verb, *algo, *in, *out, *location;
  int outside; /* what `location` names, open; -1: nothing */
  int64_t outside_size;
  int fd;
  int scratch;   /* an unnamed file for what is unpacked; -1: none */
  int64_t size;  /* bytes of the input */
  imp_part part; /* part.fd -1: writes no file */
} task;

/* ---- what the child says ------------------------------------------------ */

static void field(const char *s) {
  putchar('\t');
  for (; *s; s++) {
    unsigned char c = (unsigned char)*s;
    if (c < 32 || c == 127 || c == '\\')
      printf("\\x%02x", c);
    else
      putchar(c);
  }
}

static int error_line(const char *msg) {
  printf("error");
  field(msg);
  putchar('\n');
  fflush(stdout);
  return EX_DATA;
}

static void list_tensor(const imp_tensor *t) {
  printf("tensor\t%s\t", t->type);
  for (int i = 0; i < t->ndim; i++)
    printf("%s%" PRId64, i ? "," : "", t->dim[i]);
  field(t->name);
  putchar('\n');
}

static int list(imp_file *f, lun_err *err) {
  (void)err;
  printf("format");
  field(f->format);
  putchar('\n');
  for (int i = 0; i < f->nmeta; i++) {
    printf("meta");
    field(f->meta[i].key);
    field(f->meta[i].value);
    putchar('\n');
  }
  for (int i = 0; i < f->count; i++) list_tensor(&f->tensor[i]);
  for (const imp_line *l = f->line; l; l = l->next) {
    fputs(l->field[0], stdout);
    for (int i = 1; i < l->n; i++) field(l->field[i]);
    putchar('\n');
  }
  return LUN_OK;
}

/* CRC-32 of every member of a zip archive. */
static int check_members(imp_file *f, int fd, lun_err *err) {
  imp_zip z;
  if (f->fd != fd) return printf("digest\tgood\n"), LUN_OK; /* unpacked */
  LUN_TRY(imp_zip_list(f, &z, err));
  for (int i = 0; i < z.count; i++) LUN_TRY(imp_zip_check(f, &z.entry[i], err));
  printf("digest\tgood\n");
  return LUN_OK;
}

static int digest(const task *t, lun_err *err) {
  char hex[65];
  LUN_TRY(imp_digest(t->fd, t->algo, hex, err));
  printf("digest\t%s\n", hex);
  return LUN_OK;
}

/* ---- the child ---------------------------------------------------------- */

/* Listing reads headers only, but for an archive that may have to be unpacked. */
static int reads_all(const task *t) {
  return strcmp(t->verb, "list") != 0 || t->scratch >= 0;
}

/* Headers have a fixed, short time; the rest is given what a slow disk needs, 16 MB
** a second; a plan may write a gigabyte of one number beside that (ConstantOfShape
** in ONNX). */
static double seconds_for(const task *t) {
  return 0.7 + (reads_all(t) ? (double)t->size / 16e6 : 0) +
         (strcmp(t->verb, "write") == 0 ? 3 : 0);
}

static int confine(const task *t, lun_err *err) {
  imp_limits l = {.memory = MEMORY, .out = {t->part.fd, t->scratch}};
  l.cpu_seconds = seconds_for(t);
  l.file_bytes = reads_all(t) ? ((int64_t)1 << 40) : MAX_LISTING;
  /* Libraries read their settings now; later they could not. */
  LUN_TRY(imp_hdf5_start(err));
  json_object_seed(0); /* random, against colliding keys */
  return imp_confine(&l, err);
}

/* What the plan on stdin says. */
static int write_tensors(const task *t, const imp_file *f, lun_err *err) {
  char *plan;
  size_t n;
  int status = imp_read_plan(STDIN_FILENO, &plan, &n, err);
  if (status == LUN_OK) status = imp_write(f, plan, n, t->part.fd, err);
  free(plan);
  return status;
}

static int work(const task *t, lun_err *err) {
  imp_file f;
  int status;
  if (t->algo && strcmp(t->algo, "crc") != 0) return digest(t, err);
  status = imp_open_with(&f, t->fd, t->scratch, err);
  f.outside = t->outside;
  f.outside_size = t->outside_size;
  f.location = t->location;
  if (status == LUN_OK) {
    if (t->out)
      status = write_tensors(t, &f, err);
    else
      status = t->algo ? check_members(&f, t->fd, err) : list(&f, err);
  }
  imp_close(&f);
  return status;
}

static int child(const task *t) {
  static char room[1 << 14]; /* so that stdio asks the system for nothing */
  lun_err err = {0, ""};
  char hex[65];
  int status;
  setvbuf(stdout, room, _IOFBF, sizeof room);
  if (t->algo && strcmp(t->algo, "crc") != 0)
    imp_digest(-1, t->algo, hex, NULL); /* libcrypto starts up */
  status = confine(t, &err);
  if (status == LUN_OK) status = work(t, &err);
  if (status != LUN_OK) {
    error_line(err.msg);
    return status == LUN_EIO ? EX_IO : EX_DATA;
  }
  printf("done\n");
  return fflush(stdout) == 0 ? 0 : EX_IO;
}

/* ---- the parent --------------------------------------------------------- */

/* Waits for the child; ends it when the clock runs out or somebody stops us.
** The signals are blocked, so that nothing happens between. */
static int wait_for(pid_t pid, const task *t, const sigset_t *watched,
                    int *stopped) {
  struct timespec now, left;
  double limit = 20 + (double)t->size / 5e6;
  int wstatus, sig = 0;
  clock_gettime(CLOCK_MONOTONIC, &now);
  for (time_t end = now.tv_sec + (time_t)limit; now.tv_sec < end;
       clock_gettime(CLOCK_MONOTONIC, &now)) {
    if (waitpid(pid, &wstatus, WNOHANG) == pid) return wstatus;
    left = (struct timespec){end - now.tv_sec, 0};
    sig = sigtimedwait(watched, NULL, &left);
    if (sig > 0 && sig != SIGCHLD) break;
  }
  *stopped = sig > 0 && sig != SIGCHLD;
  kill(pid, SIGKILL);
  waitpid(pid, &wstatus, 0);
  return wstatus;
}

static int report_crash(const task *t, int sig) {
  char msg[160];
  const char *what = "crashed: the file is damaged or hostile";
  struct rlimit r;
  if (sig == SIGPROF || sig == SIGXCPU || sig == SIGKILL)
    what = "took too long and was ended: the file is damaged or hostile";
  if ((sig == SIGXCPU || sig == SIGKILL) && getrlimit(RLIMIT_CPU, &r) == 0 &&
      (double)r.rlim_cur < seconds_for(t))
    what = "needs more processor time than is allowed here (ulimit -t)";
  if (sig == SIGSYS)
    what = "was ended at a system call that it must not make: the file is "
           "damaged or hostile";
  snprintf(msg, sizeof msg, "the reader %s (signal %d)", what, sig);
  error_line(msg);
  return EX_CRASH;
}

/* What ends us is waited for, so that there is time to clean up. */
static sigset_t watch_signals(void) {
  static const int ends[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT};
  sigset_t set;
  sigemptyset(&set);
  for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
    sigaddset(&set, ends[i]);
  sigprocmask(SIG_BLOCK, &set, NULL);
  return set;
}

/* An error line without the model's name, which the caller puts before it. */
static int fail_as(const char *what, int code) {
  error_line(what);
  return code;
}

static int fail_at(const char *path, const char *what, int code) {
  char msg[4400];
  snprintf(msg, sizeof msg, "%s: %s", path, what);
  error_line(msg);
  return code;
}

static int run(const task *t) {
  sigset_t watched = watch_signals();
  pid_t pid, self = getpid();
  int wstatus, stopped = 0;
  fflush(stdout);
  pid = fork();
  if (pid < 0)
    return fail_at("the reader cannot be started", strerror(errno), EX_IO);
  if (pid == 0) {
    sigprocmask(SIG_UNBLOCK, &watched, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* never outlive the parent */
    if (getppid() != self) _exit(EX_CRASH);
    _exit(child(t));
  }
  wstatus = wait_for(pid, t, &watched, &stopped);
  if (stopped) return error_line("interrupted"), EX_CRASH;
  if (WIFSIGNALED(wstatus)) return report_crash(t, WTERMSIG(wstatus));
  return WEXITSTATUS(wstatus);
}

static int open_input(task *t) {
  struct stat st;
  /* O_NONBLOCK: a named pipe must not make us wait */
  t->fd = open(t->in, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (t->fd < 0 || fstat(t->fd, &st) != 0)
    return fail_as(strerror(errno), EX_NOINPUT_);
  if (!S_ISREG(st.st_mode)) return fail_as("not a regular file", EX_NOINPUT_);
  t->size = st.st_size;
  return 0;
}

/* Of an archive: a file without a name, which is gone with this program, where
** the system has such files.  Without it packed members are refused. */
static void open_scratch(task *t) {
  const char *folder = getenv("TMPDIR");
  char head[4];
  if (pread(t->fd, head, 4, 0) != 4 || memcmp(head, "PK\3\4", 4) != 0) return;
  if (folder == NULL || *folder == '\0') folder = "/tmp";
  t->scratch = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

/* Does the file at `real` lie in or below the folder of `path`? */
static int lies_beside(const char *real, const char *path) {
  const char *slash = strrchr(path, '/');
  return slash && strncmp(real, path, (size_t)(slash - path) + 1) == 0;
}

/* Where a link among a model's files leads: nowhere but beside the model, or beside
** what the model's own name is a link to, as in the caches of model hubs.  A model
** that comes with a link to a file of the user's would make weights of it. */
static int stays_beside(const char *model, const char *path) {
  char real[PATH_MAX], named[PATH_MAX + NAME_MAX + 2], folder[PATH_MAX];
  const char *slash = strrchr(model, '/');
  if (!realpath(path, real) || !realpath(model, named)) return 0;
  if (lies_beside(real, named)) return 1;
  snprintf(named, sizeof named, "%.*s", slash ? (int)(slash - model) + 1 : 2,
           slash ? model : "./");
  if (!realpath(named, folder)) return 0;
  snprintf(named, sizeof named, "%s/", strcmp(folder, "/") ? folder : "");
  return lies_beside(real, named);
}

/* The file of numbers beside an ONNX file.  Its name comes out of that file: no
** absolute path, no way up. */
static int open_outside(task *t) {
  char path[4096];
  struct stat st;
  const char *slash = strrchr(t->in, '/');
  int folder = slash ? (int)(slash - t->in) + 1 : 0;
  if (t->location[0] == '/' || strstr(t->location, "..") ||
      snprintf(path, sizeof path, "%.*s%s", folder, t->in, t->location) >=
          (int)sizeof path)
    return fail_at(t->location, "is outside the folder of the model", EX_DATA);
  t->outside = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (t->outside < 0 || fstat(t->outside, &st) != 0)
    return fail_at(path,
                   "the model's numbers lie there, and must be copied too",
                   EX_NOINPUT_);
  if (!S_ISREG(st.st_mode)) return fail_at(path, "is not a file", EX_NOINPUT_);
  if (!stays_beside(t->in, path))
    return fail_at(path, "is a link out of the model's folder; not read",
                   EX_DATA);
  t->outside_size = st.st_size;
  return 0;
}

static int write_file(task *t) {
  lun_err err;
  int code;
  if (imp_part_open(&t->part, t->out, &err) != LUN_OK)
    return error_line(err.msg), EX_IO;
  code = run(t);
  if (code == 0 && imp_part_keep(&t->part, &err) != LUN_OK)
    code = (error_line(err.msg), EX_IO);
  imp_part_drop(&t->part);
  return code;
}

/* Nothing of the caller but stdin, stdout and stderr.  One that is missing
** becomes /dev/null, read only: no file of ours may get its number, and what is
** said there must fail. */
static int only_standard_files(void) {
  int fd;
  do {
    fd = open("/dev/null", O_RDONLY);
    if (fd < 0) return -1;
  } while (fd <= STDERR_FILENO);
  close_range(STDERR_FILENO + 1, ~0U, 0);
  return 0;
}

int main(int argc, char **argv) {
  task t = {.part = {.fd = -1}, .outside = -1, .scratch = -1};
  int code;
  if (only_standard_files() != 0) return EX_IO;
  watch_signals();
  prctl(PR_SET_PDEATHSIG, SIGTERM); /* ends with its caller, cleaning up */
  signal(SIGPIPE, SIG_IGN);         /* ... and when nobody reads any more */
  signal(SIGXFSZ, SIG_IGN);         /* a limit on files: an error of write */
  if (argc == 3 && strcmp(argv[1], "list") == 0)
    t.in = argv[2];
  else if (argc == 4 && strcmp(argv[1], "digest") == 0)
    t.algo = argv[2], t.in = argv[3];
  else if ((argc == 4 || argc == 5) && strcmp(argv[1], "write") == 0)
    t.in = argv[2], t.out = argv[3], t.location = argv[4];
  else {
    fprintf(stderr, "usage: lunette-import list FILE | digest ALGO FILE | "
                    "write FILE OUT [OUTSIDE] <PLAN\n");
    return EX_USAGE_;
  }
  t.verb = argv[1];
  code = open_input(&t);
  if (code == 0) open_scratch(&t);
  if (code == 0 && t.location) code = open_outside(&t);
  if (code == 0) code = t.out ? write_file(&t) : run(&t);
  return code;
}
