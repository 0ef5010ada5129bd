#!/bin/sh
# examples.sh NAME PROGRAM: runs one of examples/ and compares what it prints, without what belongs to the machine, with
# what it should.
set -u
name=$1 program=$2
passed=0 failed=0

expected() {
    case $name in
    cards)
        cat <<'END'
8 threads, 1000000 stores each: 0 cards and 0 bytes changed without a mark
END
        ;;
    weak_reads)
        cat <<'END'
8 threads, 1000000 accesses each: 0 loads saw a pending slot, 0 an object that was gone
8 threads, 1000000 accesses each: 0 loads saw a pending slot, 0 an object that was gone
END
        ;;
    dirty_pages)
        cat <<'END'
40 snapshots, 13948 dirty pages, 0 reported differently, memory equal
faults: 13806 with the library, 13948 by hand
END
        ;;
    who_writes)
        cat <<'END'
add: 4000 writes by 4 threads, from 0 to 4000; 0 of them did not add 1
set_back: 1 writes by 1 threads, from 4000 to 7; 1 of them did not add 1
the counter is 7
END
        ;;
    dirty_bytes)
        cat <<'END'
  bytes 17 to 18
  bytes 4092 to 4099
  bytes 10000 to 10099
  bytes 19999 to 19999
4 ranges, 111 bytes of 20000; 0 changed bytes are in none
undone, the document is as it was saved
END
        ;;
    heat_map)
        cat <<'END'
40 found
32 of 32 lines of the heap were accessed
40 found
32 of 32 lines of the heap were accessed
drawn
END
        ;;
    values)
        cat <<'END'
a store: 0 becomes 6
an odd one is not done: the counter is 6, 1 refused
two threads added up to 4000; 2000 values were reported, each once
2002 reads, 2002 writes
END
        ;;
    libos)
        cat <<'END'
rax 0x5eedf00d, rbx 42, rewritten so far: byte 0 byte 10 byte 20
rax 0x5eedf00d, rbx 44, rewritten so far: byte 0 byte 10 byte 20
END
        ;;
    barrier)
        cat <<'END'
42, after stores to: cell 1 cell 3
END
        ;;
    my_decoder)
        cat <<'END'
ok 11
skip
ok 9
skip
END
        ;;
    patching)
        cat <<'END'
1: as in the file
2: rewritten in memory
listed: all that were rewritten
undone: all
3: as in the file again
END
        ;;
    own_handler)
        cat <<'END'
42 in a closed page: 2 loads, 2 stores
a null pointer is the runtime's business, as before
END
        ;;
    device)
        cat <<'END'
serial port: hello, world
\...............................................................
..\.............................................................
....\...........................................................
......\.............========================....................
........\.......................................................
......\.............========================....................
............\...................................................
..............\.................................................
................\...............................................
..................\.............................................
....................\...........................................
......................\.........................................
........................\.......................................
..........................\.....................................
............................\...................................
________________________________________________________________
 1 bytes: 14 reads, 53 writes
 2 bytes: 1 reads, 1 writes
 4 bytes: 1 reads, 1 writes
 8 bytes: 9 reads, 9 writes
scratch register works; where nothing answers: a fault at that address
END
        ;;
    try)
        cat <<'END'
a list                          3 nodes, the last "third": complete
into the first page             3 nodes, the last "third": SIGSEGV while reading
into a closed page              3 nodes, the last "third": SIGSEGV while reading
across the edge of one          3 nodes, the last "": SIGSEGV while reading
to a non-canonical one          3 nodes, the last "third": SIGSEGV while accessing a non-canonical address
into a file that has shrunk     3 nodes, the last "third": SIGBUS while reading
round and round              1000 nodes, the last "first": it does not end
a list again                    3 nodes, the last "third": complete
END
        ;;
    esac
}

run() {
    if [ "$name" = my_decoder ]; then
        rows=$(printf '%-64s\n' 6681bb9c2b00000403 0f0b | tr ' ' 0)
        printf '%s\n' "$rows" | "$program" && printf '%s\n' "$rows" | "$program" --corrected
        return
    fi
    # What the map shows depends on the compiler.
    if [ "$name" = heat_map ]; then
        image=$(mktemp) || return
        "$program" | head -2
        if command -v gnuplot > "$image"; then
            "$program" "$image" && head -c 4 "$image" | tail -c 3 | sed 's/PNG/drawn/'
        else
            "$program" | head -2 && echo drawn
        fi
        status=$?
        rm -f "$image"
        return $status
    fi
    "$program" || return
    # The same without moves.
    [ "$name" != weak_reads ] || "$program" --still
}

output=$(run)
status=$?
# Times, and the vectors that this processor has.
found=$(printf '%s\n' "$output" | grep -v '^time with the library over time by hand: [0-9]*\.[0-9]*$' |
    grep -v -e '^\(16\|32\) bytes: ' -e '^at 0x[0-9a-f]*: 64 became 65$')
if [ "$status" -eq 0 ]; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
    echo "FAILED: $name ended with status $status"
fi
if [ "$found" = "$(expected)" ]; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
    echo "FAILED: $name printed"
    printf '%s\n' "$output"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
