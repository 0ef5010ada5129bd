# wine.sh: for sourcing: preparations to run programs under Wine, which asks no user, and starts no debugger. Each fails
# if no program for Windows runs here.
# wine_begin FOLDER: Wine's disk is in the folder.
# wine32_begin SOURCE SYSTEM: programs for i386 run in the Debian for i386 in SYSTEM (seam/wine32.sh), and so does Wine,
# with its disk there.
wine_begin() {
    export WINEPREFIX=$1 WINEDEBUG=-all WINEDLLOVERRIDES='mscoree,mshtml=;winedbg.exe=d' DISPLAY=
    wine wineboot --init >"$1.log" 2>&1 && wineserver --wait
}
wine32_begin() {
    export HOME=/ WINEPREFIX=/wine WINEDEBUG=-all WINEDLLOVERRIDES='mscoree,mshtml=;winedbg.exe=d' DISPLAY=
    "$1/tests/platform/seam/wine32.sh" run "$2" "$1" wineboot --init >"$2.boot.log" 2>&1
}
