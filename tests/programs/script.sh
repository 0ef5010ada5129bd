square() { echo $(($1 * $1)); }
echo "$0 has $# arguments: $*"
for i in 1 2 3; do square $i; done | while read -r n; do echo "square $n"; done
case $1 in one) echo first ;; *) echo other ;; esac
read -r line
echo "read $line"
trap 'echo got usr1' USR1
kill -USR1 $$
(exit 4) || echo "status $?"
x=${HOME:+set}${NOTHING:-unset}
echo "$x ${x%un*} ${#x}"
cat <<END
here $((6 * 7))
END
sleep 5 & kill $!; wait $!; echo "waited $?"
trap 'echo at the end' EXIT
exit 9
