/*
** test_output.c - files written whole or not at all: what stands in the folder
** after success, failure and death, with and without files that have no name.
*/
#include "../../engine/output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

/* ---- a file system that knows no O_TMPFILE ------------------------------ */

static int no_tmpfile;

int openat(int dir, const char *path, int flags, ...) {
  va_list ap;
  unsigned mode;
  va_start(ap, flags);
  mode = va_arg(ap, unsigned);
  va_end(ap);
  if (no_tmpfile && (flags & O_TMPFILE) == O_TMPFILE)
    return errno = EOPNOTSUPP, -1;
  return (int)syscall(SYS_openat, dir, path, flags, mode);
}

/* ---- a disk that fails at the nth renaming, or cannot exchange names ---- */

static int rename_fails_at, no_exchange;

int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
  if (flags && no_exchange) return errno = EINVAL, -1;
  if (rename_fails_at && --rename_fails_at == 0) return errno = EIO, -1;
  return (int)syscall(SYS_renameat2, a, from, b, to, flags);
}

int renameat(int a, const char *from, int b, const char *to) {
  return renameat2(a, from, b, to, 0);
}

/* ---- helpers ------------------------------------------------------------ */

static lun_err err;

static void put_file(const char *path, const char *text) {
  FILE *f = fopen(path, "wb");
  if (!f || fputs(text, f) < 0 || fclose(f)) abort();
}

/* Does the file hold this text? */
static int holds(const char *path, const char *text) {
  char buf[256] = "";
  FILE *f = fopen(path, "rb");
  if (!f) return 0;
  buf[fread(buf, 1, sizeof buf - 1, f)] = '\0';
  fclose(f);
  return strcmp(buf, text) == 0;
}

static int count_here(void) {
  int n;
  FILE *f = popen("ls -A | wc -l", "r");
  if (!f || fscanf(f, "%d", &n) != 1) abort();
  pclose(f);
  return n;
}

static int write_text(const char *path, const char *text) {
  lun_output *o;
  int status = lun_output_open(&o, path, 0, &err);
  if (status != LUN_OK) return status;
  lun_output_put(o, text, strlen(text));
  status = lun_output_commit(&o, 1, &err);
  lun_output_free(o);
  return status;
}

/* A process that dies while its output is half written. */
static void die_writing(const char *path) {
  pid_t pid = fork();
  if (pid == 0) {
    lun_output *o;
    char block[1 << 18] = "half";
    if (lun_output_open(&o, path, 0, &err) != LUN_OK) _exit(1);
    lun_output_put(o, block, sizeof block);
    raise(SIGKILL);
  }
  waitpid(pid, NULL, 0);
}

/* ---- the tests ---------------------------------------------------------- */

static void writes(void) {
  struct stat s;
  CHECK(write_text("new", "one") == LUN_OK, "%s", err.msg);
  CHECK(holds("new", "one"), "new file");
  chmod("new", 0640);
  CHECK(write_text("new", "two") == LUN_OK && holds("new", "two"), "replaced");
  CHECK(stat("new", &s) == 0 && (s.st_mode & 0777) == 0640, "keeps its mode");
  CHECK(write_text("new", "") == LUN_OK && holds("new", ""), "empty");
  CHECK(write_text("", "x") == LUN_EIO, "no name");
  CHECK(write_text("none/x", "x") == LUN_EIO && strstr(err.msg, "none/x"), "%s",
        err.msg);
  mkdir("folder", 0755);
  CHECK(write_text("folder", "x") == LUN_EIO, "a folder");
  CHECK(write_text("folder/", "x") == LUN_EIO, "a folder by its slash");
  rmdir("folder");
  CHECK(count_here() == 1, "%d files", count_here());
  remove("new");
}

/* Any cuts into pieces, around the size of the buffer. */
static void pieces(void) {
  static unsigned char bytes[10000], back[10001];
  for (int i = 0; i < 10000; i++) bytes[i] = (unsigned char)(i * 7 + i / 256);
  for (int cut = 1; cut < 4200; cut = cut * 3 + 1) {
    lun_output *o;
    FILE *f;
    if (lun_output_open(&o, "p", 1000, &err) != LUN_OK) abort();
    for (int i = 0; i < 10000; i += cut)
      lun_output_put(o, bytes + i, (size_t)(10000 - i < cut ? 10000 - i : cut));
    CHECK(lun_output_commit(&o, 1, &err) == LUN_OK, "%s", err.msg);
    lun_output_free(o);
    f = fopen("p", "rb");
    CHECK(f && fread(back, 1, sizeof back, f) == 10000, "size, cut %d", cut);
    if (f) fclose(f);
    CHECK(memcmp(bytes, back, 10000) == 0, "bytes, cut %d", cut);
  }
  remove("p");
}

static void links(void) {
  struct stat s;
  mkdir("sub", 0755);
  put_file("sub/target", "old");
  CHECK(symlink("target", "sub/a") == 0 && symlink("sub/a", "b") == 0, "links");
  CHECK(write_text("b", "new") == LUN_OK && holds("sub/target", "new"), "%s",
        err.msg);
  CHECK(lstat("b", &s) == 0 && S_ISLNK(s.st_mode), "b is still a link");
  CHECK(symlink("sub/later", "c") == 0, "dangling");
  CHECK(write_text("c", "made") == LUN_OK && holds("sub/later", "made"),
        "a dangling link's target is made");
  CHECK(symlink("d", "d") == 0, "loop");
  CHECK(write_text("d", "x") == LUN_EIO && strstr(err.msg, "symbolic"), "%s",
        err.msg);
  remove("d"), remove("c"), remove("b"), remove("sub/a");
  remove("sub/target"), remove("sub/later");
  CHECK(rmdir("sub") == 0, "nothing else is in sub");
}

static void devices(void) {
  struct stat s;
  int fd[2];
  char got[8] = "";
  CHECK(symlink("/dev/null", "n") == 0, "link");
  CHECK(write_text("n", "x") == LUN_OK, "%s", err.msg);
  CHECK(stat("/dev/null", &s) == 0 && S_ISCHR(s.st_mode), "still a device");
  remove("n");
  CHECK(write_text("/dev/full", "x") == LUN_EIO && strstr(err.msg, "space"),
        "%s", err.msg);
  CHECK(mkfifo("f", 0600) == 0, "fifo");
  CHECK(write_text("f", "x") == LUN_EIO && strstr(err.msg, "nobody reads"),
        "does not wait for a reader: %s", err.msg);
  fd[0] = open("f", O_RDONLY | O_NONBLOCK);
  CHECK(write_text("f", "through") == LUN_OK, "%s", err.msg);
  CHECK(read(fd[0], got, 7) == 7 && strcmp(got, "through") == 0, "%s", got);
  close(fd[0]);
  CHECK(stat("f", &s) == 0 && S_ISFIFO(s.st_mode), "still a FIFO");
  remove("f");
}

/* A descriptor's name: what is behind it goes on, whether pipe or file. */
static void descriptors(void) {
  char name[64], got[8] = "";
  int fd[2], file;
  CHECK(pipe(fd) == 0, "pipe");
  snprintf(name, sizeof name, "/dev/fd/%d", fd[1]);
  CHECK(write_text(name, "pipe") == LUN_OK, "%s", err.msg);
  CHECK(read(fd[0], got, 4) == 4 && strcmp(got, "pipe") == 0, "%s", got);
  close(fd[0]);
  CHECK(write_text(name, "x") == LUN_EIO && strstr(err.msg, "pipe"), "%s",
        err.msg);
  close(fd[1]);
  put_file("log", "line\n");
  file = open("log", O_WRONLY | O_APPEND);
  snprintf(name, sizeof name, "/proc/self/fd/%d", file);
  CHECK(write_text(name, "more") == LUN_OK, "%s", err.msg);
  CHECK(write(file, "end", 3) == 3 && holds("log", "line\nmoreend"),
        "appended");
  close(file);
  remove("log");
}

static void sets(void) {
  lun_output *set[2];
  put_file("a", "old");
  CHECK(lun_output_open(&set[0], "a", 0, &err) == LUN_OK, "%s", err.msg);
  CHECK(lun_output_open(&set[1], "/dev/full", 0, &err) == LUN_OK, "%s",
        err.msg);
  for (int i = 0; i < 2; i++) lun_output_put(set[i], "new", 3);
  CHECK(lun_output_commit(set, 2, &err) == LUN_EIO, "the second fails");
  CHECK(holds("a", "old"), "the first stays as it was");
  for (int i = 0; i < 2; i++) lun_output_free(set[i]);
  CHECK(count_here() == 1, "%d files", count_here());
  remove("a");
}

/* The names of a set, an old one and new ones, when the nth renaming fails: every
** name is what it was, or every name is new. */
static void half_placed(void) {
  static const char *const name[] = {"a", "b", "c"};
  for (int at = 0; at <= 6; at++) {
    lun_output *set[3];
    int status, old = at % 2; /* an old a and c, or an old b */
    for (int i = 0; i < 3; i++)
      if (i % 2 == old) put_file(name[i], "old");
    for (int i = 0; i < 3; i++) {
      if (lun_output_open(&set[i], name[i], 0, &err) != LUN_OK) abort();
      lun_output_put(set[i], "new", 3);
    }
    rename_fails_at = at;
    status = lun_output_commit(set, 3, &err);
    rename_fails_at = 0;
    CHECK((status == LUN_OK) == (at == 0 || at > 3), "failure %d", at);
    for (int i = 0; i < 3; i++) {
      lun_output_free(set[i]);
      if (status == LUN_OK)
        CHECK(holds(name[i], "new"), "%s is new, failure %d", name[i], at);
      else if (i % 2 == old)
        CHECK(holds(name[i], "old"), "%s is old, failure %d", name[i], at);
      else
        CHECK(access(name[i], F_OK) != 0, "%s is not, failure %d", name[i], at);
    }
    for (int i = 0; i < 3; i++) remove(name[i]);
    CHECK(count_here() == 0, "%d files, failure %d", count_here(), at);
  }
}

/* Without exchange a set is still placed. */
static void half_placed_elsewhere(void) {
  no_exchange = 1;
  put_file("a", "old");
  CHECK(write_text("a", "new") == LUN_OK && holds("a", "new"), "%s", err.msg);
  CHECK(count_here() == 1, "%d files", count_here());
  no_exchange = 0;
  remove("a");
}

/* A limit on the size of files is an error, not the end of the process. */
static void limited(void) {
  struct rlimit old, less;
  char block[8192] = "";
  lun_output *o;
  put_file("a", "old");
  getrlimit(RLIMIT_FSIZE, &old);
  less = (struct rlimit){4096, old.rlim_max};
  setrlimit(RLIMIT_FSIZE, &less);
  CHECK(lun_output_open(&o, "a", 0, &err) == LUN_OK, "%s", err.msg);
  lun_output_put(o, block, sizeof block);
  CHECK(lun_output_commit(&o, 1, &err) == LUN_EIO, "over the limit");
  lun_output_free(o);
  setrlimit(RLIMIT_FSIZE, &old);
  CHECK(holds("a", "old") && count_here() == 1, "old file, nothing else");
  remove("a");
}

/* Killed while writing: the old file, and at the latest after the next run
** nothing beside it. */
static void killed(void) {
  put_file("a", "old");
  die_writing("a");
  CHECK(holds("a", "old"), "a killed run leaves the old file");
  CHECK(count_here() == 1 + no_tmpfile, "%d files", count_here());
  die_writing("a");
  CHECK(write_text("a", "new") == LUN_OK && holds("a", "new"), "%s", err.msg);
  CHECK(count_here() == 1, "%d files", count_here());
  remove("a");
}

/* Names that others took: a link that leads elsewhere, a living writer. */
static void taken(void) {
  lun_output *living;
  put_file("victim", "precious");
  CHECK(symlink("victim", ".a.lunette-0") == 0, "link");
  CHECK(write_text("a", "one") == LUN_OK && holds("a", "one"), "%s", err.msg);
  CHECK(holds("victim", "precious"), "nothing was written through the link");
  CHECK(lun_output_open(&living, "a", 0, &err) == LUN_OK, "%s", err.msg);
  lun_output_put(living, "living", 6);
  CHECK(write_text("a", "two") == LUN_OK && holds("a", "two"), "%s", err.msg);
  CHECK(lun_output_commit(&living, 1, &err) == LUN_OK && holds("a", "living"),
        "the other writer was not disturbed: %s", err.msg);
  lun_output_free(living);
  CHECK(remove(".a.lunette-0") == 0, "the link is left alone");
  remove("victim"), remove("a");
  CHECK(count_here() == 0, "%d files", count_here());
}

static void no_memory(void) {
  for (long n = 1; n <= 2; n++) {
    lun_mem_fail_at(n);
    CHECK(write_text("a", "x") == LUN_ENOMEM, "allocation %ld", n);
    lun_mem_fail_at(0);
    CHECK(count_here() == 0, "%d files", count_here());
  }
}

int main(void) {
  char folder[] = "/tmp/lunette_XXXXXX";
  if (!mkdtemp(folder) || chdir(folder)) abort();
  TESTS {
    for (no_tmpfile = 0; no_tmpfile <= 1; no_tmpfile++) {
      TEST(writes());
      TEST(pieces());
      TEST(links());
      TEST(devices());
      TEST(descriptors());
      TEST(sets());
      TEST(half_placed());
      TEST(half_placed_elsewhere());
      TEST(limited());
      TEST(killed());
      TEST(taken());
      TEST(no_memory());
    }
  }
  if (chdir("/") || rmdir(folder)) CHECK(0, "%s is not empty", folder);
  DONE("test_output");
}
