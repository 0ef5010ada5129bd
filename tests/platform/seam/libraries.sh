#!/bin/bash
# libraries.sh FOLDER COMPILER [AR]: builds Zydis and cmocka, and for Windows jansson, from Debian's sources, with a
# compiler for another system, into FOLDER/include and FOLDER/lib. Does nothing where they are there. Debian's source
# package of Zydis does not hold Zycore; the decoder needs its headers alone, and they are those of libzycore-dev.
set -euo pipefail
folder=$1
compiler=$2
ar=${3:-${compiler%-gcc*}-ar}
here=$(dirname "$(readlink -f "$0")")
# The build is the same as long as this text is.
[ "$(cat "$folder/.built" 2>/dev/null)" != "$(sha256sum <"$0")" ] || exit 0

die() {
    echo "libraries.sh: $*" >&2
    exit 1
}

rm -rf "$folder"
mkdir -p "$folder"/{include,lib,objects,sources}
cd "$folder/sources"
apt-get source -qq --download-only -o APT::Sandbox::User=root zydis cmocka >/dev/null ||
    die "apt-get source knows no zydis or cmocka; tools/deps.sh mingw adds Debian's sources"
for package in zydis cmocka; do
    dpkg-source --no-check -x "$package"_*.dsc "$package" >/dev/null
done

cp -r zydis/include/Zydis ../include/
cp -r /usr/include/Zycore ../include/
cp cmocka/include/*.h ../include/

# Without formatter and encoder: the library prints through its own tables.
options=(-O2 -g -I../include -DZYDIS_STATIC_BUILD -DZYCORE_STATIC_BUILD -DZYDIS_DISABLE_FORMATTER
    -DZYDIS_DISABLE_ENCODER)
for file in Decoder DecoderData MetaInfo Mnemonic Register Segment SharedData Utils Zydis; do
    "$compiler" "${options[@]}" -Izydis/src -c "zydis/src/$file.c" -o "../objects/$file.o"
done
"$ar" rcs ../lib/libZydis.a ../objects/*.o

# What cmocka's CMakeLists.txt would find.
cat >../objects/config.h <<'END'
#define HAVE_ASSERT_H 1
#define HAVE_INTTYPES_H 1
#ifdef _WIN32
#define HAVE_IO_H 1
#define HAVE_MALLOC_H 1
#endif
#define HAVE_MEMORY_H 1
#define HAVE_SETJMP_H 1
#define HAVE_SIGNAL_H 1
#define HAVE_STDARG_H 1
#define HAVE_STDDEF_H 1
#define HAVE_STDINT_H 1
#define HAVE_STDIO_H 1
#define HAVE_STDLIB_H 1
#define HAVE_STRINGS_H 1
#define HAVE_STRING_H 1
#define HAVE_SYS_STAT_H 1
#define HAVE_SYS_TYPES_H 1
#define HAVE_TIME_H 1
#define HAVE_UNISTD_H 1
#define HAVE_STRUCT_TIMESPEC 1
#define HAVE_GCC_THREAD_LOCAL_STORAGE 1
END
"$compiler" -O2 -g -w -DHAVE_CONFIG_H -I../objects -I../include -c cmocka/src/cmocka.c -o ../objects/cmocka.obj
"$ar" rcs ../lib/libcmocka.a ../objects/cmocka.obj
case $compiler in
*mingw32*)
    apt-get source -qq --download-only -o APT::Sandbox::User=root jansson >/dev/null ||
        die "apt-get source knows no jansson; tools/deps.sh mingw adds Debian's sources"
    dpkg-source --no-check -x jansson_*.dsc jansson >/dev/null
    cp jansson/src/jansson.h ../include/
    # What jansson's CMakeLists.txt would find.
    cat >../include/jansson_config.h <<'END'
#define JSON_INLINE inline
#define JSON_INTEGER_IS_LONG_LONG 1
#define JSON_HAVE_LOCALECONV 1
#define JSON_HAVE_ATOMIC_BUILTINS 1
#define JSON_HAVE_SYNC_BUILTINS 1
#define JSON_PARSER_MAX_DEPTH 2048
END
    echo '#define HAVE_STDINT_H 1' >../objects/jansson_private_config.h
    for file in dump error hashtable hashtable_seed load memory pack_unpack strbuffer strconv utf value; do
        "$compiler" -O2 -g -w -DHAVE_CONFIG_H -include stdint.h -I../objects -I../include -c "jansson/src/$file.c" \
            -o "../objects/jansson-$file.obj"
    done
    "$ar" rcs ../lib/libjansson.a ../objects/jansson-*.obj
    ;;
esac
cd ..
rm -rf sources objects
sha256sum <"$here/$(basename "$0")" >.built
