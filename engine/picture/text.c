/*
** text.c - antialiased text on pictures: the only includer of stb_truetype.
** One font, DejaVu Sans, which covers Latin, Greek, Cyrillic, Arabic,
** Armenian, Georgian, Hebrew and symbols.  stb_truetype does not defend itself
** against a hostile font, so the path is fixed and never comes from a file.
**
** Glyphs are placed at fractions of a pixel and kerned; text colours blend
** with what is below by coverage.
*/
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "picture.h"
#include "stb.h"

static void *scratch_take(void *scratch, size_t n);
static void scratch_give(void *scratch, void *p);

#define STBTT_malloc(n, u) scratch_take(u, n)
#define STBTT_free(p, u)   scratch_give(u, p)
#define STBTT_assert(x)    ((void)(x)) /* what they guard is in scratch_take */
#define STBTT_STATIC
#define STB_TRUETYPE_IMPLEMENTATION
STB_FILE
STB_BEGIN
#include <stb/stb_truetype.h>
STB_END

#define FONT "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
enum { FONT_BYTES = 16 << 20, MAX_SIZE = 1000 };

struct lun_font {
  stbtt_fontinfo info;
  uint8_t *bytes;
};

/* ---- memory for stb_truetype --------------------------------------------- */

/* It writes to some blocks without a look whether it got them, and leaves a
** glyph out in silence where it does look.  So a failed allocation leaves it by
** longjmp, and what it still held is in this list. */
typedef union block {
  struct {
    union block *next, *before;
  } list;
  max_align_t align;
} block;

typedef struct scratch {
  block *held;
  jmp_buf no_memory;
} scratch;

static void *scratch_take(void *memory, size_t n) {
  scratch *s = memory;
  block *b = n < SIZE_MAX - sizeof *b ? lun_malloc(sizeof *b + n) : NULL;
  if (!b) longjmp(s->no_memory, 1);
  b->list.next = s->held;
  b->list.before = NULL;
  if (s->held) s->held->list.before = b;
  s->held = b;
  return b + 1;
}

static void scratch_give(void *memory, void *p) {
  scratch *s = memory;
  block *b = p ? (block *)p - 1 : NULL;
  if (!b) return;
  if (b->list.next) b->list.next->list.before = b->list.before;
  if (b->list.before)
    b->list.before->list.next = b->list.next;
  else
    s->held = b->list.next;
  lun_free(b);
}

/* ---- the font ----------------------------------------------------------- */

static int read_font(uint8_t **out, const char *path, lun_err *err) {
  FILE *f = fopen(path, "rb");
  long n = -1;
  *out = NULL;
  if (!f)
    return lun_fail(err, LUN_EIO,
                    "no font at '%s' (%s): text on pictures needs Debian's "
                    "package fonts-dejavu-core",
                    path, strerror(errno));
  if (fseek(f, 0, SEEK_END) == 0) n = ftell(f);
  rewind(f);
  if (n > 12 && n <= FONT_BYTES) *out = lun_malloc((size_t)n);
  if (*out && fread(*out, 1, (size_t)n, f) != (size_t)n) {
    lun_free(*out);
    *out = NULL;
  }
  fclose(f);
  return *out ? LUN_OK
              : lun_fail(err, LUN_EIO, "font '%s' cannot be read", path);
}

int lun_font_open(lun_font **out, const char *path, lun_err *err) {
  lun_font *f;
  int st;
  *out = NULL;
  if (!path) path = FONT;
  f = lun_calloc(1, sizeof *f);
  if (!f) return lun_fail(err, LUN_ENOMEM, "no memory for a font");
  st = read_font(&f->bytes, path, err);
  if (st == LUN_OK && (memcmp(f->bytes, "\0\1\0\0", 4) != 0 ||
                       !stbtt_InitFont(&f->info, f->bytes, 0)))
    st = lun_fail(err, LUN_EFORMAT, "'%s' is not a TrueType font", path);
  if (st != LUN_OK) {
    lun_font_close(f);
    return st;
  }
  *out = f;
  return LUN_OK;
}

void lun_font_close(lun_font *f) {
  if (!f) return;
  lun_free(f->bytes);
  lun_free(f);
}

static float scale_of(const lun_font *f, double size) {
  size = !(size >= 1) ? 1 : size > MAX_SIZE ? MAX_SIZE : size;
  return stbtt_ScaleForMappingEmToPixels(&f->info, (float)size);
}

void lun_font_height(const lun_font *f, double size, int *above, int *below) {
  int ascent, descent, gap;
  float s = scale_of(f, size);
  stbtt_GetFontVMetrics(&f->info, &ascent, &descent, &gap);
  *above = (int)ceilf((float)ascent * s);
  *below = (int)ceilf((float)-descent * s);
}

/* ---- UTF-8 -------------------------------------------------------------- */

enum { REPLACEMENT = 0xFFFD };

/* Decodes the continuation bytes of a sequence of 1 + more bytes. */
static int sequence(const unsigned char *p, int more, int code) {
  static const int least[4] = {0, 0x80, 0x800, 0x10000};
  for (int i = 1; i <= more; i++) {
    if ((p[i] & 0xC0) != 0x80) return -1; /* also stops at the final 0 */
    code = code << 6 | (p[i] & 0x3F);
  }
  if (code < least[more] || code > 0x10FFFF) return -1;
  return code >= 0xD800 && code <= 0xDFFF ? -1 : code;
}

/* Next code point; a broken byte counts as one U+FFFD, as do control
** characters: they must show, not act. */
static int next_code(const char **text) {
  const unsigned char *p = (const unsigned char *)*text;
  int more = p[0] < 0x80 ? 0 : p[0] < 0xE0 ? 1 : p[0] < 0xF0 ? 2 : 3;
  int code = p[0];
  if (p[0] == '\t' || p[0] == '\n') code = ' ';
  if (p[0] >= 0x80)
    code = p[0] < 0xC2 || p[0] > 0xF4
               ? -1
               : sequence(p, more, p[0] & (0x3F >> more));
  *text += code < 0 ? 1 : more + 1;
  return code < ' ' || code == 0x7F ? REPLACEMENT : code;
}

/* ---- one line of text --------------------------------------------------- */

/* Walks along a text: the pen is where the next glyph begins. */
typedef struct pen {
  const lun_font *font;
  const char *text;
  float scale, x;
  int glyph; /* the current one; 0 is the font's box for what it lacks */
  float at;  /* where the current one begins */
} pen;

static pen start(const lun_font *f, double size, const char *text) {
  pen p = {f, text, scale_of(f, size), 0, -1, 0};
  return p;
}

/* Steps to the next glyph; 0 at the end. */
static int step(pen *p) {
  int last = p->glyph, advance, bearing;
  if (!*p->text) return 0;
  p->glyph = stbtt_FindGlyphIndex(&p->font->info, next_code(&p->text));
  if (last >= 0)
    p->x += p->scale *
            (float)stbtt_GetGlyphKernAdvance(&p->font->info, last, p->glyph);
  p->at = p->x;
  stbtt_GetGlyphHMetrics(&p->font->info, p->glyph, &advance, &bearing);
  p->x += p->scale * (float)advance;
  return 1;
}

int lun_text_width(const lun_font *f, double size, const char *text) {
  pen p = start(f, size, text);
  while (step(&p)) continue;
  return (int)ceilf(p.x);
}

/* A coverage bitmap, which grows to the largest glyph of the line. */
typedef struct glyph_room {
  uint8_t *px;
  int w, h;
  size_t bytes;
} glyph_room;

/* Fills the room with the coverage of the glyph, which begins at that part of a
** pixel; 0 when there is no memory for it. */
static int cover(glyph_room *room, const pen *p, float part, scratch *memory) {
  stbtt_fontinfo info = p->font->info;
  if (setjmp(memory->no_memory)) {
    while (memory->held) scratch_give(memory, memory->held + 1);
    return 0;
  }
  info.userdata = memory;
  stbtt_MakeGlyphBitmapSubpixel(&info, room->px, room->w, room->h, room->w,
                                p->scale, p->scale, part, 0, p->glyph);
  return 1;
}

/* Draws glyph p->glyph's coverage into room; its corner relative to the base
** line's start comes back in left, top. */
static int rasterise(glyph_room *room, const pen *p, int *left, int *top,
                     lun_err *err) {
  const stbtt_fontinfo *info = &p->font->info;
  float whole = floorf(p->at), part = p->at - whole;
  int x0, y0, x1, y1;
  scratch memory = {0};
  size_t need;
  stbtt_GetGlyphBitmapBoxSubpixel(info, p->glyph, p->scale, p->scale, part, 0,
                                  &x0, &y0, &x1, &y1);
  room->w = x1 - x0;
  room->h = y1 - y0;
  *left = (int)whole + x0;
  *top = y0;
  if (room->w <= 0 || room->h <= 0) return LUN_OK; /* a space */
  need = (size_t)room->w * (size_t)room->h;
  if (need > room->bytes) {
    lun_free(room->px);
    room->bytes = 0;
    room->px = lun_malloc(need);
    if (!room->px) return lun_fail(err, LUN_ENOMEM, "no memory for a letter");
    room->bytes = need;
  }
  memset(room->px, 0, need);
  return cover(room, p, part, &memory)
             ? LUN_OK
             : lun_fail(err, LUN_ENOMEM, "no memory for a letter");
}

static void tint(lun_image *im, int x, int y, lun_rgb colour, int coverage) {
  const int c[3] = {colour.r, colour.g, colour.b};
  uint8_t *p;
  if (x < 0 || y < 0 || x >= im->width || y >= im->height) return;
  p = im->px + 3 * ((size_t)y * (size_t)im->width + (size_t)x);
  for (int i = 0; i < 3; i++)
    p[i] = (uint8_t)((p[i] * (255 - coverage) + c[i] * coverage + 127) / 255);
}

/* Puts the coverage at (left, top) from the text's start; a turned line runs
** upwards, so right becomes up and down becomes right. */
static void stamp(lun_image *im, const glyph_room *room, int x, int y, int left,
                  int top, int turned, lun_rgb colour) {
  for (int j = 0; j < room->h; j++) {
    for (int i = 0; i < room->w; i++) {
      int coverage = room->px[j * room->w + i];
      if (!coverage) continue;
      if (turned)
        tint(im, x + top + j, y - left - i, colour, coverage);
      else
        tint(im, x + left + i, y + top + j, colour, coverage);
    }
  }
}

int lun_text_draw(lun_image *im, const lun_font *f, double size, int x, int y,
                  int turned, lun_rgb colour, const char *text, lun_err *err) {
  pen p = start(f, size, text);
  glyph_room room = {0};
  int left, top, st = LUN_OK;
  while (st == LUN_OK && step(&p)) {
    st = rasterise(&room, &p, &left, &top, err);
    if (st == LUN_OK && room.w > 0 && room.h > 0)
      stamp(im, &room, x, y, left, top, turned, colour);
  }
  lun_free(room.px);
  return st;
}
