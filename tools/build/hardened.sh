#!/bin/sh
# hardened.sh BUILD [OPTION...]: configures a build as Debian builds its packages, with all hardening, link-time
# optimisation, the third level of fortification, and marks for branches and shadow stacks. CC and CXX as for meson.
set -eu
export DEB_BUILD_MAINT_OPTIONS='hardening=+all optimize=+lto'
export DEB_CPPFLAGS_STRIP='-D_FORTIFY_SOURCE=2' DEB_CPPFLAGS_APPEND='-D_FORTIFY_SOURCE=3'
export DEB_CFLAGS_APPEND='-fcf-protection=full' DEB_CXXFLAGS_APPEND='-fcf-protection=full'
flags() { dpkg-buildflags --get "$1"; }
CFLAGS="$(flags CFLAGS) $(flags CPPFLAGS)" CXXFLAGS="$(flags CXXFLAGS) $(flags CPPFLAGS)" LDFLAGS="$(flags LDFLAGS)" \
    exec meson setup "$@" --werror --buildtype=plain
