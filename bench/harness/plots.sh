#!/bin/sh
# plots.sh REPORT NAME: draws REPORT/NAME-variants and REPORT/NAME-ratios, as SVG and PNG, from the tables in
# REPORT/NAME.txt: a bar is a median, a whisker reaches from the tenth to the ninetieth percentile.
set -eu
report=$1
name=$2

# The rows of the table that begins with the word $1, without what was not measured and numbers that are not times.
rows() {
    awk -v head="$1" '
        NF == 0 { inside = 0 }
        inside && $2 != "-" && !/, not ns: / { print $1, $2, $3, $4 }
        $1 == head { inside = 1 }
    ' "$report/$name.txt"
}

# draw KIND AXIS LABEL SCALE: a line at 1 is the base of a ratio.
draw() {
    data=$report/$name-$1.dat
    rows "$2" >"$data"
    count=$(wc -l <"$data")
    [ "$count" -gt 0 ] || {
        rm -f "$data"
        return 0
    }
    for format in svg png; do
        case $format in
        svg) terminal="svg size 1000,$((130 + 28 * count)) noenhanced font 'Sans,13' background '#ffffff'" ;;
        png) terminal="pngcairo size 1000,$((130 + 28 * count)) noenhanced font 'Sans,11' background '#ffffff'" ;;
        esac
        gnuplot <<GNUPLOT
set terminal $terminal
set output '$report/$name-$1.$format'
set title '$(head -n 1 "$report/$name.txt" | tr -d "'")'
set xlabel '$3'
set yrange [$count - 0.4 : -0.6]
set xrange [0 : *]
set offsets 0, graph 0.12, 0, 0
set grid xtics linecolor '#dddddd'
set tics nomirror
set border 3
set bars 0.4
unset key
$4
plot '$data' using 2:0:(0):2:(\$0 - 0.33):(\$0 + 0.33):ytic(1) \\
         with boxxyerror fill solid noborder linecolor '#6b9ac4', \\
     '' using 2:0:3:4 with xerrorbars pointtype 0 linewidth 1.5 linecolor '#333333', \\
     '' using 4:0:(sprintf('  $5', \$2)) with labels left font ',10'
GNUPLOT
    done
}

draw variants variant 'nanoseconds for one operation: median, and 10 % to 90 %' '' '%.0f'
draw ratios ratio 'times the base: median, and 10 % to 90 %' \
    "set arrow from 1, graph 0 to 1, graph 1 nohead linecolor '#c44e52' dashtype 2 front" '%.3f'
