#!/bin/sh
# embed.sh FILE NAME: prints C that defines NAME, the file's bytes, and NAME_size, how many there are.
set -eu
printf '#include <stddef.h>\nextern const unsigned char %s[];\nextern const size_t %s_size;\n' "$2" "$2"
printf 'const unsigned char %s[] = {\n' "$2"
od -An -v -tu1 "$1" | sed 's/  *\([0-9][0-9]*\)/\1,/g'
printf '};\nconst size_t %s_size = sizeof %s;\n' "$2" "$2"
