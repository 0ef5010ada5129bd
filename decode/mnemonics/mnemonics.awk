# mnemonics.awk: generates the tables of mnemonics.c from mnemonics.txt: names by number, and numbers to and from
# Zydis' own.
/^#/ || NF == 0 {
    next
}
{
    if ($1 in seen || NF != 1) {
        print FILENAME ":" FNR ": a name stands twice, or a line has no single name" > "/dev/stderr"
        failed = 1
        exit 1
    }
    seen[$1] = 1
    count++
    names = names "    \"" $1 "\",\n"
    numbers = numbers "    [ZYDIS_MNEMONIC_" toupper($1) "] = " count ",\n"
    zydis = zydis "    ZYDIS_MNEMONIC_" toupper($1) ",\n"
}
END {
    if (failed)
        exit 1
    print "/* Made from mnemonics.txt by mnemonics.awk. */"
    print "static const char *const names[] = {\n    \"?\",\n" names "};\n"
    print "static const uint16_t number_of[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {\n" numbers "};\n"
    print "static const uint16_t zydis_of[] = {\n    ZYDIS_MNEMONIC_INVALID,\n" zydis "};"
}
