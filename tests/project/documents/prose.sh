#!/bin/sh
# prose.sh SOURCE [PATH...]: the language of documents, comments and messages. Prose of documents is at most 100 columns
# wide, code and comments 120, comments of the public headers 100; and phrases that readers stumbled over do not come back.
# Prints each line that breaks a rule. Tables and code in documents may be wider.
set -u
cd "$1" || exit 1
shift
[ $# -gt 0 ] || set -- .
list=$(mktemp)
trap 'rm -f "$list"' EXIT
{ git ls-files "$@" 2>/dev/null || find "$@" -type f; } |
    grep -E '\.(md|c|h|S|cpp|sh|awk|build|txt|in|tsv)$|(^|/)(Makefile|run)$' |
    grep -vE '^(\./)?build|^tests/programs/|/prose\.sh$|^corpus/data/|^LICENSE$|\.seeds$|^docs/glossary\.md$' >"$list"

# shellcheck disable=SC2046 # names without spaces
awk '
    function wrong(what) { printf "%s:%d: %s: %s\n", FILENAME, FNR, what, $0; failed++ }

    # Of a line of C: its comments and its strings.
    function words_of_c(line,    words, at) {
        words = " "
        while (line != "") {
            if (in_comment) {
                at = index(line, "*/")
                in_comment = !at
                words = words (at ? substr(line, 1, at - 1) : line) " "
                line = at ? substr(line, at + 2) : ""
            } else if (!match(line, /\/\*|"|\047.\047|\047\\.\047/)) {
                line = ""
            } else if (substr(line, RSTART, 2) == "/*") {
                in_comment = 1
                line = substr(line, RSTART + 2)
            } else if (substr(line, RSTART, 1) == "\047") {
                line = substr(line, RSTART + RLENGTH)
            } else {
                line = substr(line, RSTART + 1)
                match(line, /^([^"\\]|\\.)*/)
                words = words substr(line, 1, RLENGTH) " "
                line = substr(line, RLENGTH + 2)
            }
        }
        return words
    }
    # Of a line of a script: behind #.
    function words_of_script(line) {
        return match(line, /(^|[ \t])#.*/) ? substr(line, RSTART) : " "
    }

    FNR == 1 {
        fenced = in_comment = 0
        files++
        markdown = FILENAME ~ /\.md$/
        c = FILENAME ~ /\.(c|h|S|cpp)$/
        script = FILENAME ~ /\.(sh|awk|build|tsv)$|Makefile$|run$/
        table = FILENAME ~ /\.(txt|tsv)$/
        widest = markdown || FILENAME ~ /^include\/segue\// ? 100 : 120
    }
    markdown && /^ *```/ { fenced = !fenced; next }
    # A line that is one long word, as an address, cannot be wrapped.
    length($0) > widest && !table && !fenced && !(markdown && /^(\||    )/) && $0 ~ /[^ ] +[^ ]/ { wrong("wider than " widest) }
    fenced { next }
    {
        line = " " tolower(c ? words_of_c($0) : script ? words_of_script($0) : $0) " "
        gsub(/no (longer|more)/, "", line)
        gsub(/tells? ([a-z]+ )?([a-z]+ )?apart/, "", line)
        gsub(/`[^`]*`/, "", line)
        if (line ~ /[^a-z_](told|tells?|nobody|dear|makers?|mend(s|ed|er|ers|ing)?|led)[^a-z_]/ ||
            line ~ /[^a-z_](is none|are none|of ours|is ours|who has|but for|for want of|for ever)[^a-z_]/ ||
            line ~ /[^a-z_](it|that|this|which|what) is no [a-z]/)
            wrong("phrase")
    }
    END { printf "%d passed, %d failed\n", files, failed; exit failed > 0 || !files }
' $(cat "$list") </dev/null
