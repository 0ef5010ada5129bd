# wine.sh: for sourcing: wine_begin FOLDER prepares Wine to run programs, with its disk in the folder.
# It asks no user, and starts no debugger. Fails if no program for Windows runs here.
wine_begin() {
    export WINEPREFIX=$1 WINEDEBUG=-all WINEDLLOVERRIDES='mscoree,mshtml=;winedbg.exe=d' DISPLAY=
    wine wineboot --init >"$1.log" 2>&1 && wineserver --wait
}
