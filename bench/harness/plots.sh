#!/bin/sh
# plots.sh REPORT NAME: draws REPORT/NAME-variants and REPORT/NAME-ratios, as SVG and PNG, from the tables in
# REPORT/NAME.txt: a bar is a median, with its value; a whisker reaches from the tenth to the ninetieth percentile. What
# Segue does is blue; grey is what it is measured against. An axis that would have to reach over more than a factor of
# thirty is logarithmic; another ends at one and a half times the longest bar, and cuts whiskers off there.
set -eu
report=$1
name=$2

# Words in the names of what Segue is measured against (docs/bench.md, "Another program").
others='floor native plain mprotect libsigsegv singlestep unicorn zydis decoders gdb nulgrind software anonymous'

# data HEAD KIND: the rows of the table that begins with the word HEAD, without what was not measured and numbers that
# are not times: name, median, tenth, ninetieth, 1 for Segue's, and the value in words. The first line is the axis: log
# or linear, its least value, its end, and its unit's name.
data() {
    awk -v head="$1" -v kind="$2" -v others="$others" '
        function words(value) {
            if (kind == "ratios")
                return sprintf("%.3f", value)
            if (value < 1e3)
                return sprintf("%.3g ns", value)
            if (value < 1e6)
                return sprintf("%.3g us", value / 1e3)
            return value < 1e9 ? sprintf("%.3g ms", value / 1e6) : sprintf("%.3g s", value / 1e9)
        }
        function power(value, up,    of_ten) {
            of_ten = 1
            while (of_ten > value) of_ten /= 10
            while (of_ten * 10 <= value) of_ten *= 10
            return up ? of_ten * 10 : of_ten
        }
        BEGIN { count = split(others, other, " ") }
        NF == 0 { inside = 0 }
        inside && $2 != "-" && $2 > 0 && !/, not ns: / {
            rows++
            label[rows] = $1; median[rows] = $2; low[rows] = $3; high[rows] = $4; own[rows] = 1
            whose = $1
            sub(/_over_.*/, "", whose)
            for (i = 1; i <= count; i++)
                if (("_" whose "_") ~ ("_" other[i] "_")) own[rows] = 0
            if (rows == 1 || $2 < least) least = $2
            if ($2 > most) most = $2
        }
        $1 == head { inside = 1 }
        END {
            if (!rows) exit
            log_axis = most > 30 * least
            unit = 1; unit_name = kind == "ratios" ? "times the base" : "ns"
            if (kind == "variants" && !log_axis) {
                if (most >= 1e9) { unit = 1e9; unit_name = "s" }
                else if (most >= 1e6) { unit = 1e6; unit_name = "ms" }
                else if (most >= 1e3) { unit = 1e3; unit_name = "us" }
            }
            start = log_axis ? power(least / 2, 0) : 0
            end = log_axis ? power(most, 1) : 1.5 * most / unit
            print log_axis ? "log" : "linear", start, end, unit_name
            for (row = 1; row <= rows; row++) {
                from = low[row] / unit; to = high[row] / unit
                if (log_axis && from < start) from = start
                if (to > end) to = end
                printf "%s %s %s %s %s \"%s\"\n", label[row], median[row] / unit, from, to, own[row], words(median[row])
            }
        }
    ' "$report/$name.txt"
}

# draw KIND HEAD: a line at 1 is the base of a ratio.
draw() {
    rows=$report/$name-$1.dat
    data "$2" "$1" >"$rows.all"
    sed 1d "$rows.all" >"$rows"
    count=$(wc -l <"$rows")
    [ "$count" -gt 0 ] || {
        rm -f "$rows" "$rows.all"
        return 0
    }
    read -r axis start end unit <"$rows.all"
    rm "$rows.all"
    settings="set format x '%g'"
    if [ "$axis" = log ]; then
        settings="set logscale x"
        if [ "$1" = variants ]; then
            settings="$settings
set xtics ('0.1 ns' 0.1, '1 ns' 1, '10 ns' 10, '100 ns' 100, '1 us' 1e3, '10 us' 1e4, '100 us' 1e5, '1 ms' 1e6, \\
           '10 ms' 1e7, '100 ms' 1e8, '1 s' 1e9, '10 s' 1e10, '100 s' 1e11)"
            unit='logarithmic'
        else
            unit="$unit, logarithmic"
        fi
    fi
    if [ "$1" = ratios ]; then
        settings="$settings
set arrow from 1, graph 0 to 1, graph 1 nohead linecolor '#c44e52' dashtype 2 front"
    fi
    processor=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1 | tr -d "'")
    for format in svg png; do
        case $format in
        svg) terminal="svg size 1000,$((150 + 28 * count)) noenhanced font 'Sans,13' background '#ffffff'" ;;
        png) terminal="pngcairo size 1000,$((150 + 28 * count)) noenhanced font 'Sans,11' background '#ffffff'" ;;
        esac
        gnuplot <<GNUPLOT
set terminal $terminal
set output '$report/$name-$1.$format'
set title "$(head -n 1 "$report/$name.txt" | tr -d '"')\n$processor"
set xlabel '$unit: median, and 10 % to 90 %'
set yrange [$count - 0.4 : -0.6]
set xrange [$start : $end]
set grid xtics linecolor '#dddddd'
set tics nomirror
set border 3
set rmargin 8
unset key
$settings
color(own) = own > 0.5 ? 0x3465c9 : 0x9aa3b2
plot '$rows' using 2:0:($start):2:(\$0 - 0.36):(\$0 + 0.2):(color(\$5)):ytic(1) \\
         with boxxyerror fill solid noborder linecolor rgb variable, \\
     '' using 2:(\$0 + 0.3):3:4 with xerrorbars pointtype 0 linewidth 1.2 linecolor '#333333', \\
     '' using 2:(\$0 - 0.08):6 with labels left offset 0.5,0 font ',10'
GNUPLOT
    done
}

draw variants variant
draw ratios ratio
