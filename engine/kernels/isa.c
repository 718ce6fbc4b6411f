/*
** isa.c - which instruction set the fast kernels use.
*/
#include "kernels.h"

const char *lun_isa(void) { return "generic"; }
