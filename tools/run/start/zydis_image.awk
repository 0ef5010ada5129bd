# zydis_image.awk: turns `readelf -lW` of a shared library into an assembly file that holds its segments as they are in
# memory, so that a statically linked program contains it (zydis_image.c). The library's path is in `library`.
function number(hex,    value, i) {
    value = 0
    for (i = 3; i <= length(hex); i++)
        value = value * 16 + index("0123456789abcdef", substr(hex, i, 1)) - 1
    return value
}
BEGIN {
    print "        .section .rodata.zydis_image, \"a\", @progbits"
    print "        .globl  zydis_image, zydis_image_end"
    print "        .hidden zydis_image, zydis_image_end"
    print "        .p2align 12"
    print "zydis_image:"
}
$1 == "LOAD" {
    offset = number($2)
    address = number($3)
    more = offset % 4096
    printf "        .org    zydis_image + %d\n", address - more
    printf "        .incbin \"%s\", %d, %d\n", library, offset - more, number($5) + more
    end = address + number($6)
}
END {
    if (!end)
        exit 1
    printf "        .org    zydis_image + %d\n", end + 4095 - (end + 4095) % 4096
    print "zydis_image_end:"
    print "        .section .note.GNU-stack, \"\", @progbits"
}
