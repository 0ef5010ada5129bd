#!/bin/sh
# zydis_image.sh AWK LIBRARY: the library as an assembly file (zydis_image.awk).
set -eu
LC_ALL=C readelf -lW "$2" | awk -v "library=$2" -f "$1"
