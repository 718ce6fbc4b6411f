#!/bin/sh
# Lua finds the module where Debian keeps those of Lua 5.4. The engine has threads of
# its own: OpenBLAS is to start none.
export OPENBLAS_NUM_THREADS="${OPENBLAS_NUM_THREADS:-1}"
exec lua5.4 /usr/share/lua/5.4/lunette/main.lua "$@"
