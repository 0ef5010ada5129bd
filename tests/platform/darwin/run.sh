#!/bin/sh
# run.sh LOADER PROGRAM [ARGUMENT...]: runs a program for macOS under the loader. Meson runs a first one before there is
# a loader, only to see that it can.
[ -x "$1" ] || exit 0
exec "$@"
