#!/bin/sh
# loader_cache.sh: after an installation, has the dynamic loader look where the library is, if that is one of its folders: it
# finds no new library there before ldconfig has run. Only root may; a prefix where the loader does not look needs an rpath
# (README.md). That ldconfig fails is not the installation's failure.
if [ "$(id -u)" -eq 0 ]; then
    PATH=$PATH:/usr/sbin:/sbin
    ! command -v ldconfig > /dev/null || ldconfig || true
fi
