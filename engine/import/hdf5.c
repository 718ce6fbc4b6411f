/*
** hdf5.c - lists the datasets of a Keras file through libhdf5, read through a
** driver of our own over one open descriptor: the library never sees a path.
**
** libhdf5 1.10 has known heap overflows on damaged files (CVE-2025-2310 and
** others), so this runs confined only.  Besides: plugins off, only hard links
** are followed, data outside the file and filters other than deflate, shuffle
** and fletcher32 are refused, and so is data that unpacks to far more than it
** takes in the file.
*/
#include "import.h"

#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  MAX_DEPTH = 12,        /* groups within groups */
  MAX_CHUNK = 64 << 20,  /* bytes of one chunk */
  MAX_UNPACK = 64,       /* unpacked : packed ... */
  FREE_UNPACK = 8 << 20, /* ... where it is more than this */
  FILTER_LZF = 32000,    /* h5py's own */
};

/* ---- the driver --------------------------------------------------------- */

typedef struct source { /* what the driver is told when it opens */
  int fd;
  int64_t base, size;
} source;

typedef struct driver {
  H5FD_t pub; /* libhdf5's part must come first */
  imp_file at;
  int64_t base;
  haddr_t eoa;
} driver;

static H5FD_t *drv_open(const char *name, unsigned flags, hid_t fapl,
                        haddr_t maxaddr) {
  const source *s = H5Pget_driver_info(fapl);
  driver *d = calloc(1, sizeof *d);
  (void)name, (void)flags, (void)maxaddr;
  if (d == NULL || s == NULL) return free(d), NULL;
  d->at.fd = s->fd;
  d->at.size = s->base + s->size;
  d->base = s->base;
  return &d->pub;
}

static herr_t drv_close(H5FD_t *file) { return free(file), 0; }

static herr_t drv_query(const H5FD_t *file, unsigned long *flags) {
  (void)file;
  *flags = 0;
  return 0;
}

static haddr_t drv_eoa(const H5FD_t *file, H5FD_mem_t type) {
  (void)type;
  return ((const driver *)file)->eoa;
}

static herr_t drv_set_eoa(H5FD_t *file, H5FD_mem_t type, haddr_t addr) {
  (void)type;
  ((driver *)file)->eoa = addr;
  return 0;
}

static haddr_t drv_eof(const H5FD_t *file, H5FD_mem_t type) {
  const driver *d = (const driver *)file;
  (void)type;
  return (haddr_t)(d->at.size - d->base);
}

static herr_t drv_read(H5FD_t *file, H5FD_mem_t type, hid_t dxpl, haddr_t addr,
                       size_t size, void *buf) {
  const driver *d = (const driver *)file;
  (void)type, (void)dxpl;
  if (addr > (haddr_t)d->at.size) return -1;
  return imp_read_at(&d->at, buf, size, d->base + (int64_t)addr, NULL) ? -1 : 0;
}

static herr_t drv_write(H5FD_t *file, H5FD_mem_t type, hid_t dxpl, haddr_t addr,
                        size_t size, const void *buf) {
  (void)file, (void)type, (void)dxpl, (void)addr, (void)size, (void)buf;
  return -1;
}

static const H5FD_class_t driver_class = {
    .name = "lunette_fd",
    .maxaddr = (haddr_t)INT64_MAX,
    .fc_degree = H5F_CLOSE_STRONG,
    .fapl_size = sizeof(source),
    .open = drv_open,
    .close = drv_close,
    .query = drv_query,
    .get_eoa = drv_eoa,
    .set_eoa = drv_set_eoa,
    .get_eof = drv_eof,
    .read = drv_read,
    .write = drv_write,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

int imp_hdf5_start(lun_err *err) {
  if (H5open() < 0 || H5PLset_loading_state(0) < 0 ||
      H5Eset_auto2(H5E_DEFAULT, NULL, NULL) < 0)
    return lun_fail(err, LUN_EIO, "libhdf5 does not start");
  return LUN_OK;
}

/* ---- one dataset -------------------------------------------------------- */

/* Deepest message of libhdf5's error stack, which names the cause. */
static herr_t deepest(unsigned n, const H5E_error2_t *e, void *arg) {
  if (n == 0 && e->desc) snprintf(arg, 120, "%.119s", e->desc);
  return 0;
}

static int h5_fail(const char *what, const char *name, lun_err *err) {
  char why[120] = "no reason given", shown[IMP_SHOWN];
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, deepest, why);
  if (strstr(why, "truncated file") || strstr(why, "driver read request"))
    return lun_fail(err, LUN_EFORMAT,
                    "HDF5: truncated: the file is cut off, fetch it again");
  return lun_fail(err, LUN_EFORMAT, "HDF5: %s '%s': %s", what,
                  imp_shown(shown, name, strlen(name)), why);
}

static int refuse(const imp_tensor *t, const char *why, lun_err *err) {
  char shown[IMP_SHOWN];
  return lun_fail(err, LUN_EFORMAT, "HDF5 dataset '%s': %s",
                  imp_shown(shown, t->name, strlen(t->name)), why);
}

/* IEEE floats are copied, big-endian ones by way of libhdf5; others are
** listed. */
static void element_type(imp_tensor *t, hid_t type) {
  t->dtype = IMP_OTHER;
  t->type = "other";
  t->width = (int)H5Tget_size(type);
  if (H5Tequal(type, H5T_IEEE_F32LE) > 0 || H5Tequal(type, H5T_IEEE_F32BE) > 0)
    t->dtype = IMP_F32, t->type = "F32";
  else if (H5Tequal(type, H5T_IEEE_F64LE) > 0 ||
           H5Tequal(type, H5T_IEEE_F64BE) > 0)
    t->dtype = IMP_F64, t->type = "F64";
  else if (H5Tget_class(type) == H5T_FLOAT && t->width == 2 &&
           H5Tget_order(type) == H5T_ORDER_LE && H5Tget_ebias(type) == 15)
    t->dtype = IMP_F16, t->type = "F16"; /* as h5py writes it */
}

static int check_filters(const imp_tensor *t, hid_t plist, lun_err *err) {
  int n = H5Pget_nfilters(plist);
  for (int i = 0; i < n; i++) {
    unsigned flags, config;
    size_t nvalues = 0;
    H5Z_filter_t id = H5Pget_filter2(plist, (unsigned)i, &flags, &nvalues, NULL,
                                     0, NULL, &config);
    if (id != H5Z_FILTER_DEFLATE && id != H5Z_FILTER_SHUFFLE &&
        id != H5Z_FILTER_FLETCHER32)
      return refuse(t,
                    id == FILTER_LZF
                        ? "packed by the filter lzf; copy it with h5py, "
                          "compression='gzip'"
                        : "packed by a filter other than deflate; pack it "
                          "again: h5repack -f GZIP=4 OLD NEW",
                    err);
  }
  return n < 0 ? refuse(t, "its filters cannot be read", err) : LUN_OK;
}

static int check_chunks(const imp_tensor *t, hid_t plist, int64_t stored,
                        lun_err *err) {
  hsize_t dim[H5S_MAX_RANK], size = (hsize_t)t->width;
  int n = H5Pget_chunk(plist, H5S_MAX_RANK, dim);
  int64_t bytes = t->size * t->width;
  for (int i = 0; i < n; i++) {
    if (dim[i] == 0 || size > MAX_CHUNK / dim[i])
      return refuse(t, "its chunks are larger than 64 MB", err);
    size *= dim[i];
  }
  /* A dataset may grow 64-fold at most: no bombs, no holes of fill values. */
  if (bytes > FREE_UNPACK && bytes / MAX_UNPACK > stored)
    return lun_fail(err, LUN_EFORMAT,
                    "HDF5 dataset '%s' would unpack %lld bytes from %lld",
                    t->name, (long long)bytes, (long long)stored);
  return check_filters(t, plist, err);
}

/* Where the bytes are.  Contiguous little-endian data is read without libhdf5
** later on. */
static int place(const imp_file *f, imp_tensor *t, hid_t set, hid_t type,
                 hid_t plist, lun_err *err) {
  int64_t stored = (int64_t)H5Dget_storage_size(set);
  haddr_t at;
  t->at = -1;
  if (H5Pget_external_count(plist) != 0)
    return refuse(t, "its data is in another file, which is not followed", err);
  switch (H5Pget_layout(plist)) {
    case H5D_CONTIGUOUS:
      at = H5Dget_offset(set);
      if (at == HADDR_UNDEF || at > (haddr_t)f->size ||
          stored != t->size * t->width)
        return refuse(t, "its data is missing", err);
      t->at = f->h5_base + (int64_t)at;
      LUN_TRY(imp_inside(f, t, err));
      if (H5Tget_order(type) != H5T_ORDER_LE) t->at = -1;
      return LUN_OK;
    case H5D_COMPACT:
      return LUN_OK; /* under 64 KB, in the header */
    case H5D_CHUNKED:
      return check_chunks(t, plist, stored, err);
    default:
      return refuse(t, "a virtual dataset, which is not followed", err);
  }
}

static int get_shape(imp_tensor *t, hid_t space, lun_err *err) {
  hsize_t h[H5S_MAX_RANK];
  int64_t dim[IMP_MAXDIM];
  int n = H5Sget_simple_extent_ndims(space);
  if (n < 0 || n > IMP_MAXDIM) return refuse(t, "too many axes", err);
  if (H5Sget_simple_extent_dims(space, h, NULL) != n)
    return refuse(t, "no shape", err);
  for (int i = 0; i < n; i++) dim[i] = h[i] > INT64_MAX ? -1 : (int64_t)h[i];
  return imp_shape(t, n, dim, err);
}

static int add_dataset(imp_file *f, hid_t set, const char *name, lun_err *err) {
  imp_tensor *t;
  hid_t type = H5Dget_type(set), space = H5Dget_space(set);
  hid_t plist = H5Dget_create_plist(set);
  int status = imp_add(f, &t, name, strlen(name), err);
  if (status == LUN_OK && (type < 0 || space < 0 || plist < 0))
    status = h5_fail("dataset", name, err);
  if (status == LUN_OK) element_type(t, type);
  if (status == LUN_OK) status = get_shape(t, space, err);
  /* What cannot be copied (strings, counters) needs no place. */
  if (status == LUN_OK && t->dtype != IMP_OTHER)
    status = place(f, t, set, type, plist, err);
  H5Tclose(type);
  H5Sclose(space);
  H5Pclose(plist);
  return status;
}

/* ---- the tree ----------------------------------------------------------- */

typedef struct visit {
  imp_file *f;
  lun_err *err;
  int status, depth, seen;
  char path[IMP_MAXNAME + 1];
} visit;

static int group_children(visit *v, hid_t group);

static int object(visit *v, hid_t parent, const char *name) {
  hid_t id = H5Oopen(parent, name, H5P_DEFAULT);
  int status = LUN_OK;
  if (id < 0) return h5_fail("object", v->path, v->err);
  switch (H5Iget_type(id)) {
    case H5I_GROUP:
      status = imp_keras_attributes(v->f, id, v->path, v->err);
      if (status == LUN_OK) status = group_children(v, id);
      break;
    case H5I_DATASET:
      status = add_dataset(v->f, id, v->path, v->err);
      break;
    default:
      break; /* a named type: nothing to copy */
  }
  H5Oclose(id);
  return status;
}

/* libhdf5 calls this for every link of a group; 1 stops the iteration. */
static herr_t link_seen(hid_t group, const char *name, const H5L_info_t *info,
                        void *arg) {
  visit *v = arg;
  size_t old = strlen(v->path), n = strlen(name);
  char shown[IMP_SHOWN];
  if (info->type != H5L_TYPE_HARD)
    v->status = lun_fail(v->err, LUN_EFORMAT,
                         "HDF5: '%s' is a soft or external link, which is not "
                         "followed",
                         imp_shown(shown, name, n));
  else if (++v->seen > 2 * IMP_MAXTENSORS || old + n + 1 > IMP_MAXNAME)
    v->status = lun_fail(v->err, LUN_EFORMAT,
                         "HDF5: too many objects, or "
                         "names too long");
  else {
    snprintf(v->path + old, sizeof v->path - old, "%s%s", old ? "/" : "", name);
    v->status = object(v, group, name);
    v->path[old] = '\0';
  }
  return v->status != LUN_OK;
}

static int group_children(visit *v, hid_t group) {
  hsize_t at = 0;
  if (v->depth >= MAX_DEPTH) /* also the end of a ring of hard links */
    return lun_fail(v->err, LUN_EFORMAT, "HDF5: groups deeper than %d",
                    MAX_DEPTH);
  v->depth++;
  if (H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, &at, link_seen, v) < 0 &&
      v->status == LUN_OK)
    v->status = h5_fail("group", v->path, v->err);
  v->depth--;
  return v->status;
}

int imp_read_hdf5(imp_file *f, int64_t base, int64_t size, lun_err *err) {
  source s = {.fd = f->fd, .base = base, .size = size};
  hid_t drv = H5FDregister(&driver_class), fapl = H5Pcreate(H5P_FILE_ACCESS);
  visit v = {.f = f, .err = err};
  int status;
  if (f->format == NULL) f->format = "HDF5";
  f->h5_base = base;
  H5Pset_driver(fapl, drv, &s);
  f->h5 = H5Fopen("/model", H5F_ACC_RDONLY, fapl);
  status = f->h5 < 0 ? h5_fail("beginning of", "the file", err) : LUN_OK;
  H5Pclose(fapl); /* after the message: every call clears libhdf5's errors */
  H5FDunregister(drv); /* the open file keeps the driver */
  return status == LUN_OK ? object(&v, f->h5, "/") : status;
}

int imp_hdf5_values(const imp_file *f, const imp_tensor *t, int axis,
                    int64_t first, int64_t n, float *out, lun_err *err) {
  hsize_t start[IMP_MAXDIM] = {0}, count[IMP_MAXDIM] = {1};
  hid_t set = H5Dopen2(f->h5, t->name, H5P_DEFAULT);
  hid_t file = H5Dget_space(set), mem;
  int ok;
  for (int i = 0; i < t->ndim; i++) count[i] = (hsize_t)t->dim[i];
  start[axis] = (hsize_t)first;
  count[axis] = (hsize_t)n;
  mem = H5Screate_simple(t->ndim, count, NULL);
  ok = set >= 0 && file >= 0 && mem >= 0 &&
       H5Sselect_hyperslab(file, H5S_SELECT_SET, start, NULL, count, NULL) >=
           0 &&
       H5Dread(set, H5T_NATIVE_FLOAT, mem, file, H5P_DEFAULT, out) >= 0;
  if (!ok) h5_fail("dataset", t->name, err);
  H5Sclose(mem);
  H5Sclose(file);
  H5Dclose(set);
  return ok ? LUN_OK : LUN_EFORMAT;
}

void imp_hdf5_close(imp_file *f) {
  if (f->h5 >= 0) H5Fclose(f->h5);
  f->h5 = -1;
}
