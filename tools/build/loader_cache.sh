#!/bin/sh
# loader_cache.sh: runs ldconfig after an installation, so that the dynamic loader finds a library in one of its own
# folders. Only root may; a prefix outside those folders needs an rpath (README.md). A failure of ldconfig does not fail
# the installation.
if [ "$(id -u)" -eq 0 ]; then
    PATH=$PATH:/usr/sbin:/sbin
    ! command -v ldconfig > /dev/null || ldconfig || true
fi
