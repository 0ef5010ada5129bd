echo "$0 $# $2 ${@: -1}"
a=(1 2 3 "x y"); a+=(5); echo "${#a[@]} ${a[@]:1:2} ${!a[@]}"
for ((i = 0; i < 3; i++)); do printf '%03d ' $i; done; echo
f() { local v=$1; ((v > 0)) && f $((v - 1)) && echo -n "$v "; return 0; }
f 5; echo
s=Hello; echo "${s,,} ${s^^} ${s/l/L} ${s//l/L} ${s:1:3}"
select_one() { select w in p q; do echo "chose $w"; break; done; }
echo 2 | select_one 2>/dev/null
read -r -t 5 line; echo "$line"
echo {1..5} {a..c}{x,y}
[[ $s == H* && ! $s =~ z ]] && echo matches
shopt -s extglob; [[ foobar == +(foo|bar) ]] && echo extended
exec 5>out; echo to five >&5; exec 5>&-; cat out
(echo sub $BASH_SUBSHELL; exit 3); echo $?
time_of() { TIMEFORMAT=%0lR; time sleep 0; } 2>/dev/null
echo "$(< out)"
printf -v z '%s-' a b c; echo $z
echo one | { read -r q; echo "q $q"; }
set -o pipefail; false | true; echo $?
declare -i n=5; n+=3; echo $n
unset n; echo "${n-unset}"
type -t f echo if
trap 'echo bye' EXIT
