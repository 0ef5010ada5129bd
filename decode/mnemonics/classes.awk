# classes.awk: generates the tables of classes.c from classes.txt: for each mnemonic its section, for each section
# its class in each form.
BEGIN {
    count = split("register load store update control segment string locked", forms)
}
function constant(name) {
    gsub("-", "_", name)
    return "SEGUE_CLASS_" toupper(name)
}
function fail(why) {
    print FILENAME ":" FNR ": " why > "/dev/stderr"
    failed = 1
    exit 1
}
/^#/ || NF == 0 {
    next
}
/^\[/ {
    section = substr($1, 2, length($1) - 2)
    sections[++section_count] = section
    next
}
/^form / {
    exceptions[section, substr($2, 1, length($2) - 1)] = $3
    next
}
{
    for (i = 1; i <= NF; i++) {
        if ($i in seen)
            fail($i " stands in two places")
        seen[$i] = 1
        rows = rows "    [ZYDIS_MNEMONIC_" toupper($i) "] = " section_count ",\n"
    }
}
END {
    if (failed)
        exit 1
    print "/* Made from classes.txt by classes.awk. */"
    print "static const uint8_t section_of[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {\n" rows "};\n"
    print "static const uint8_t class_of[][FORM_COUNT] = {"
    for (s = 1; s <= section_count; s++) {
        printf "    [%d] = {", s
        for (f = 1; f <= count; f++) {
            key = sections[s] SUBSEP forms[f]
            printf "[FORM_%s] = %s, ", toupper(forms[f]), constant(key in exceptions ? exceptions[key] : sections[s])
        }
        print "},"
    }
    print "};"
}
