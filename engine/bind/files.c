/*
** files.c (binding) - files that are written whole or not at all.
*/
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../core.h"
#include "../output.h"
#include "bind.h"

#define OUTPUTS_T "lunette.outputs"

/* Open outputs of one call; the collector closes them if it fails. */
typedef struct {
  int n;
  lun_output *out[]; /* NULL: not open */
} outputs;

static int release(lua_State *L) {
  outputs *set = lunL_checkudata(L, 1, OUTPUTS_T);
  for (int i = 0; i < set->n; i++) {
    lun_output_free(set->out[i]);
    set->out[i] = NULL;
  }
  return 0;
}

static outputs *new_set(lua_State *L, int n) {
  outputs *set =
      lua_newuserdatauv(L, sizeof *set + (size_t)n * sizeof(lun_output *), 0);
  set->n = n;
  for (int i = 0; i < n; i++) set->out[i] = NULL;
  luaL_setmetatable(L, OUTPUTS_T);
  return set;
}

static int refuse(lua_State *L) {
  return lunL_argerror(L, 1, "a list of {path, bytes} expected");
}

/* Appends the tensor on top of the stack. */
static void put_tensor(lua_State *L, lun_output *out, lun_dtype dtype) {
  lun_output_tensor(out, lunL_checktensor(L, lua_gettop(L)), dtype);
}

/* Flushes f and goes to its beginning; errno if anything written was lost, or 0. */
static int lost_of(FILE *f) {
  if (fflush(f) != 0 || fseeko(f, 0, SEEK_SET) != 0) return errno;
  return ferror(f) ? EIO : 0; /* an earlier write failed */
}

/* Appends all of an open file, from its beginning on. */
static int put_file(const luaL_Stream *from, lun_output *out, lun_err *err) {
  char bytes[BUFSIZ];
  size_t n;
  int lost;
  if (!from->closef) return lun_fail(err, LUN_EARG, "a part's file is closed");
  lost = lost_of(from->f);
  while (!lost && (n = fread(bytes, 1, sizeof bytes, from->f)) > 0)
    lun_output_put(out, bytes, n);
  if (!lost && ferror(from->f)) lost = errno;
  if (!lost) return LUN_OK;
  return lun_fail(err, LUN_EIO, "a part of the file is lost: %s",
                  strerror(lost));
}

/* Appends what is on top of the stack: a text, a tensor, which is float32, {half =
** tensor}, which becomes float16, or an open file. */
static int put_part(lua_State *L, lun_output *out, lun_err *err) {
  size_t n;
  const char *bytes;
  const luaL_Stream *file = luaL_testudata(L, -1, LUA_FILEHANDLE);
  if (file) return put_file(file, out, err);
  if (lua_type(L, -1) == LUA_TSTRING) {
    bytes = lua_tolstring(L, -1, &n);
    lun_output_put(out, bytes, n);
  } else if (lunL_testbox(L, -1)) {
    put_tensor(L, out, LUN_F32);
  } else if (lua_istable(L, -1) &&
             lua_getfield(L, -1, "half") == LUA_TUSERDATA) {
    put_tensor(L, out, LUN_F16);
    lua_pop(L, 1);
  } else {
    return refuse(L);
  }
  return LUN_OK;
}

/* Opens and fills output i; its path and bytes stay on the stack meanwhile. */
static int put(lua_State *L, outputs *set, int i, lun_err *err) {
  size_t length;
  const char *path;
  int list;
  if (lua_rawgeti(L, 1, i + 1) != LUA_TTABLE) return refuse(L);
  if (lua_rawgeti(L, -1, 1) != LUA_TSTRING) return refuse(L);
  path = lua_tolstring(L, -1, &length);
  if (strlen(path) != length)
    return lun_fail(err, LUN_EARG, "path '%s' has a NUL character", path);
  list = lua_rawgeti(L, -2, 2) == LUA_TTABLE;
  if (!list && lua_type(L, -1) != LUA_TSTRING) return refuse(L);
  LUN_TRY(lun_output_open(&set->out[i], path, 0, err));
  if (!list) LUN_TRY(put_part(L, set->out[i], err));
  for (int k = 1; list && lua_rawgeti(L, -1, k) != LUA_TNIL; k++) {
    LUN_TRY(put_part(L, set->out[i], err));
    lua_pop(L, 1);
  }
  lua_settop(L, 2); /* the list, and the set */
  return LUN_OK;
}

/* core.write_files{{path, bytes}, ...} -> true, or nil and a message: all are
** written whole, or none.  The bytes are a text, or a list of texts, tensors and
** files (put_part). */
static int write_files(lua_State *L) {
  lun_err err;
  outputs *set;
  int n, status = LUN_OK;
  lunL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  n = (int)lua_rawlen(L, 1);
  lunL_argcheck(L, n <= 1000, 1, "more than 1000 files");
  set = new_set(L, n);
  for (int i = 0; i < n && status == LUN_OK; i++) status = put(L, set, i, &err);
  if (status == LUN_OK) status = lun_output_commit(set->out, n, &err);
  for (int i = 0; i < n; i++) { /* now, not at the next collection */
    lun_output_free(set->out[i]);
    set->out[i] = NULL;
  }
  if (status != LUN_OK) return lunL_failed(L, &err);
  lua_pushboolean(L, 1);
  return 1;
}

static int close_spool(lua_State *L) {
  luaL_Stream *s = lunL_checkudata(L, 1, LUA_FILEHANDLE);
  return luaL_fileresult(L, fclose(s->f) == 0, NULL);
}

/* core.spool(folder) -> a file without a name there, to be written and read again;
** or nil and a message.  Nothing of it is left behind, whatever happens. */
static int spool(lua_State *L) {
  const char *folder = lunL_checkstring(L, 1);
  char path[PATH_MAX];
  luaL_Stream *s = lua_newuserdatauv(L, sizeof *s, 0);
  int n = snprintf(path, sizeof path, "%s/.spool-XXXXXX", folder), fd = -1;
  s->closef = NULL;
  luaL_setmetatable(L, LUA_FILEHANDLE);
  errno = ENAMETOOLONG;
  if (n < (int)sizeof path) fd = mkostemp(path, O_CLOEXEC);
  if (fd < 0) return luaL_fileresult(L, 0, folder);
  unlink(path);
  s->f = fdopen(fd, "w+b");
  if (!s->f) {
    close(fd);
    return luaL_fileresult(L, 0, folder);
  }
  s->closef = close_spool;
  return 1;
}

/* core.flush_output() -> true, or nil and a message when something that was
** printed is lost: a full disk, a closed descriptor */
static int flush_output(lua_State *L) {
  int lost;
  errno = 0;
  lost = fflush(stdout) != 0 || ferror(stdout);
  lua_pushboolean(L, !lost);
  if (!lost) return 1;
  lua_pushnil(L);
  lua_pushfstring(L, "standard output: %s",
                  errno ? strerror(errno) : "cannot be written");
  return 2;
}

/* core.standard_files(): stdin, stdout and stderr that are closed become /dev/null,
** read only: no file that is opened gets their numbers, and with it what is said
** there; saying it fails. */
static int standard_files(lua_State *L) {
  int fd;
  (void)L;
  do {
    fd = open("/dev/null", O_RDONLY);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) close(fd);
  return 0;
}

/* core.sha256(bytes) -> 64 hexadecimal digits */
static int sha256(lua_State *L) {
  char hex[65];
  size_t n;
  const char *bytes = lunL_checklstring(L, 1, &n);
  lun_sha256(bytes, n, hex);
  lua_pushstring(L, hex);
  return 1;
}

/* core.base64(bytes) -> text */
static int base64(lua_State *L) {
  luaL_Buffer b;
  size_t n;
  const char *bytes = lunL_checklstring(L, 1, &n);
  size_t size = lun_base64_size(n);
  lun_base64(luaL_buffinitsize(L, &b, size), (const uint8_t *)bytes, n);
  luaL_pushresultsize(&b, size);
  return 1;
}

static const lunL_reg functions[] = {
    {"sha256", sha256, 1},
    {"base64", base64, 1},
    {"write_files", write_files, 1},
    {"spool", spool, 1},
    {"flush_output", flush_output, 0},
    {"standard_files", standard_files, 0},
    {NULL, NULL, 0},
};

static const luaL_Reg meta[] = {{"__gc", release}, {NULL, NULL}};

/* Adds to the table on top. */
int lunL_open_files(lua_State *L) {
  lunL_class(L, OUTPUTS_T, NULL, meta);
  lunL_setfuncs(L, functions);
  return 0;
}
