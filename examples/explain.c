/*
** explain.c - a network of VGG's layout explains a picture by a backward rule of
** our own, dx = |dy| where a unit is open: writes the map of the predicted class.
**   cc explain.c -o explain $(pkg-config --cflags --libs lunette)
**   ./explain glyphs.safetensors picture.png map.png
*/
#include <lunette.h>
#include <lunette/picture.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static lun_err err;
#define TRY(call) ((call) == LUN_OK ? (void)0 : (puts(err.msg), exit(1)))
static int back(const lun_back *b, lun_err *e) {
  const lun_tensor *y = b->node->out;
  for (int64_t i = 0; i < b->copies * y->size; i++)
    b->dx[0][i] = y->data[i % y->size] > 0 ? fabsf(b->dy[i]) : 0;
  return (void)e, LUN_OK;
}
static const lun_rule absolute = {.name = "absolute", .back = back};
/* x = op(x, w, b), where attribute `key` is `value`. */
static void put(lun_tape *tape, lun_var *x, const char *op, const char *key,
                double value, lun_tensor *w, lun_tensor *b) {
  lun_var in[3] = {*x, {w, -1}, {b, -1}};
  double attr[LUN_MAXATTR];
  lun_attr_defaults(lun_op_find(op), attr);
  if (key) TRY(lun_attr_set(lun_op_find(op), attr, key, value, &err));
  TRY(lun_apply(tape, lun_op_find(op), in, w ? 3 : 1, attr, op, 0, x, &err));
}

/* block1_conv1, ..., fc1, ...: a pooling ends a block, relu follows a layer. */
static void run(lun_tape *tape, lun_weights *file, lun_var *x) {
  for (int i = 0, block = '1', n = lun_weights_count(file); i < n; i += 2) {
    const char *name = lun_weights_entry(file, i)->name;
    int conv = *name == 'b', at = conv ? name[5] : 0;
    lun_tensor *w, *b;
    TRY(lun_weights_tensor(file, i, &w, &err));
    TRY(lun_weights_tensor(file, i + 1, &b, &err));
    if (at != block) put(tape, x, "max_pool2d", "kernel", 2, NULL, NULL);
    if (at != block && !conv) put(tape, x, "flatten", NULL, 0, NULL, NULL);
    put(tape, x, conv ? "conv2d" : "linear", conv ? "padding" : NULL, 1, w, b);
    if (i + 2 < n) put(tape, x, "relu", NULL, 0, NULL, NULL);
    block = at;
  }
}

int main(int argc, char **argv) {
  lun_prep prep = {0, 1 / 255.0, {.5, .5, .5}, {.25, .25, .25}};
  lun_weights *file;
  lun_image *im;
  lun_var x = {NULL, -1};
  lun_tape *tape;
  lun_walk *walk;
  lun_tensor *seed;
  if (argc != 4) return puts("explain WEIGHTS PICTURE MAP.png"), 2;
  TRY(lun_weights_open(&file, argv[1], &err));
  TRY(lun_image_load(&im, NULL, argv[2], &err));
  TRY(lun_image_resize(&im, im, 224, 224, LUN_NEAREST, NULL, &err));
  TRY(lun_tensor_new(&x.t, 4, (int64_t[]){1, 3, 224, 224}, &err));
  lun_image_to_planes(x.t->data, im, &prep);
  TRY(lun_tape_new(&tape, &err));
  TRY(lun_tape_watch(tape, x.t, &x.node, &err));
  run(tape, file, &x);
  put(tape, &x, "max", NULL, 0, NULL, NULL); /* the predicted class's score */
  TRY(lun_tensor_copy(&seed, x.t, &err));
  seed->data[0] = 1;
  TRY(lun_walk_new(&walk, tape, x.node, seed, &err));
  TRY(lun_walk_want(walk, 0, &err));
  for (int id = 0; id < x.node; id++)
    if (lun_tape_node(tape, id)->op == lun_op_find("relu"))
      TRY(lun_walk_rule(walk, id, &absolute, NULL, &err));
  TRY(lun_walk_next(walk, &err));
  const lun_tensor *g = lun_walk_gradient(walk, 0);
  lun_range r = lun_map_range(g->data, g->size);
  for (int c = 0; c < 3; c++) prep.std[c] = .5 / fmaxf(r.hi, -r.lo);
  TRY(lun_image_from_planes(&im, g->data, 224, 224, &prep, &err));
  TRY(lun_image_save(im, argv[3], NULL, &err));
}
