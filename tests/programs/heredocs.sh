cat <<A; cat <<-"B"; read -r x <<<word; echo "$x"
value $((6*7)) ${NONE:-none}.
A
	$not expanded
	B
while read -r a b; do echo "$b $a"; done <<C
1 one
2 two
C
