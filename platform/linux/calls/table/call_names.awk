# Prints an initialiser for each system call's name, from the kernel's header.
/^#define __NR_/ { print "[" $3 "] = \"" substr($2, 6) "\"," }
