/*
** keras.c - what a Keras file says about itself: `model_config`, the names of
** layers and of their weights (attributes of HDF5 groups), config.json and
** metadata.json (which Keras wrote it) of a .keras archive. All of it is text
** that becomes metadata of the listing; what it means is the business of
** lua/lunette/weights/import/keras/.
*/
#include "import.h"

#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TEXT = 24 << 20, MAX_STRINGS = 16384 };

/* Attributes that Keras writes; long lists go on in NAME0, NAME1 ... */
static int is_known(const char *name) {
  static const char *const known[] = {"model_config", "keras_version",
                                      "layer_names", "weight_names", "name"};
  size_t n = strlen(name);
  while (n > 0 && name[n - 1] >= '0' && name[n - 1] <= '9') n--;
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (n == strlen(known[i]) && memcmp(name, known[i], n) == 0) return 1;
  return 0;
}

/* Strings of a fixed width, one after the other, as lines. */
static char *join_fixed(const char *data, size_t count, size_t width) {
  char *text = malloc(count * (width + 1) + 1), *at = text;
  if (text == NULL) return NULL;
  for (size_t i = 0; i < count; i++) {
    size_t n = strnlen(data + i * width, width);
    if (i) *at++ = '\n';
    memcpy(at, data + i * width, n);
    at += n;
  }
  *at = '\0';
  return text;
}

static char *join_variable(char *const *data, size_t count) {
  size_t total = 1;
  char *text, *at;
  for (size_t i = 0; i < count; i++) {
    total += (data[i] ? strlen(data[i]) : 0) + 1;
    if (total > MAX_TEXT) return NULL;
  }
  text = at = malloc(total);
  for (size_t i = 0; text && i < count; i++) {
    size_t n = data[i] ? strlen(data[i]) : 0;
    if (i) *at++ = '\n';
    if (n) memcpy(at, data[i], n);
    at += n;
  }
  if (text) *at = '\0';
  return text;
}

/* The strings of an attribute as lines; NULL where it has none or too many. */
static char *read_text(hid_t attr, hid_t type, hid_t space) {
  hssize_t n = H5Sget_simple_extent_npoints(space);
  size_t width = H5Tget_size(type), count = n > 0 ? (size_t)n : 0;
  int variable = H5Tis_variable_str(type) > 0;
  char *text = NULL, *data;
  if (H5Tget_class(type) != H5T_STRING || count > MAX_STRINGS || width == 0 ||
      count == 0 || width > MAX_TEXT / count)
    return NULL;
  data = calloc(count, width);
  if (data && H5Aread(attr, type, data) >= 0) {
    text = variable ? join_variable((char *const *)(void *)data, count)
                    : join_fixed(data, count, width);
    if (variable) H5Dvlen_reclaim(type, space, H5P_DEFAULT, data);
  }
  free(data);
  return text;
}

typedef struct visit {
  imp_file *f;
  const char *group;
  lun_err *err;
  int status;
} visit;

/* "model_config" of the root, "weight_names:GROUP" of others. */
static int keep(visit *v, const char *name, const char *text) {
  char key[IMP_MAXNAME + 64];
  if (*v->group)
    snprintf(key, sizeof key, "%.40s:%s", name, v->group);
  else
    snprintf(key, sizeof key, "%.40s", name);
  return imp_add_meta(v->f, key, text, strlen(text), v->err);
}

static herr_t attribute(hid_t object, const char *name, const H5A_info_t *info,
                        void *arg) {
  visit *v = arg;
  hid_t attr, type, space;
  char *text;
  (void)info;
  if (!is_known(name)) return 0;
  attr = H5Aopen(object, name, H5P_DEFAULT);
  type = H5Aget_type(attr);
  space = H5Aget_space(attr);
  text = read_text(attr, type, space);
  if (text) v->status = keep(v, name, text);
  free(text);
  H5Sclose(space);
  H5Tclose(type);
  H5Aclose(attr);
  return v->status != LUN_OK;
}

int imp_keras_attributes(imp_file *f, int64_t object, const char *group,
                         lun_err *err) {
  visit v = {.f = f, .group = group, .err = err};
  hsize_t at = 0;
  H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, &at, attribute, &v);
  return v.status;
}

int imp_keras_json(imp_file *f, const char *key, int64_t at, int64_t size,
                   lun_err *err) {
  char *text;
  int status;
  if (size > MAX_TEXT)
    return lun_fail(err, LUN_EFORMAT, "the archive's %s is larger than 24 MB",
                    key);
  text = malloc((size_t)size + 1);
  if (text == NULL) return lun_fail(err, LUN_ENOMEM, "no memory");
  status = imp_read_at(f, text, (size_t)size, at, err);
  if (status == LUN_OK) status = imp_add_meta(f, key, text, (size_t)size, err);
  free(text);
  return status;
}
