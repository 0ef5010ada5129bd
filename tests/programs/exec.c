/* exec.c: files that can and that cannot be executed, by path and by descriptor: the caller gets an error, and goes on. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* What the child's exec came to: it prints what it is called, or the error comes back. */
static void execute(const char *what, int folder, const char *path, int flags)
{
    char *arguments[] = {"echo", "ran", NULL};
    printf("%s: ", what);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        syscall(SYS_execveat, folder, path, arguments, environ, flags);
        printf("error %d, and goes on\n", errno);
        fflush(stdout);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    if (status)
        printf("status %x\n", status);
    fflush(stdout);
}

static size_t read_all(const char *path, char **bytes)
{
    int file = open(path, O_RDONLY);
    struct stat status;
    fstat(file, &status);
    *bytes = malloc((size_t)status.st_size);
    if (read(file, *bytes, (size_t)status.st_size) != status.st_size)
        exit(2);
    close(file);
    return (size_t)status.st_size;
}

static void write_all(const char *path, const void *bytes, size_t size)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);
    if (write(file, bytes, size) != (ssize_t)size)
        exit(2);
    close(file);
}

static void write_script(const char *path, const char *line)
{
    write_all(path, line, strlen(line));
}

static int memory_file(const void *bytes, size_t size, unsigned flags)
{
    int file = memfd_create("program", flags);
    if (write(file, bytes, size) != (ssize_t)size)
        exit(2);
    return file;
}

static void without_a_name(const char *echo, size_t size)
{
    execute("memory file", memory_file(echo, size, 0), "", AT_EMPTY_PATH);
    execute("memory file, closed on exec", memory_file(echo, size, MFD_CLOEXEC), "", AT_EMPTY_PATH);
    int sealed = memory_file(echo, size, MFD_ALLOW_SEALING);
    fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    execute("sealed memory file", sealed, "", AT_EMPTY_PATH);
    write_all("gone", echo, size);
    int gone = open("gone", O_RDONLY);
    unlink("gone");
    execute("deleted file", gone, "", AT_EMPTY_PATH);
    write_all("named", echo, size);
    execute("opened for its path", open("named", O_PATH), "", AT_EMPTY_PATH);
    execute("in a folder", open(".", O_RDONLY | O_DIRECTORY), "named", 0);
    const char script[] = "#!/bin/echo from\n";
    execute("script in a memory file", memory_file(script, sizeof script - 1, 0), "", AT_EMPTY_PATH);
    execute("the same, closed on exec", memory_file(script, sizeof script - 1, MFD_CLOEXEC), "", AT_EMPTY_PATH);
    execute("no path", AT_FDCWD, "", 0);
    execute("a folder", open(".", O_RDONLY), "", AT_EMPTY_PATH);
    execute("no descriptor", 99, "", AT_EMPTY_PATH);
    execute("unknown flag", AT_FDCWD, "named", 1);
    symlink("named", "link");
    execute("link", AT_FDCWD, "link", 0);
    execute("link that is not followed", AT_FDCWD, "link", AT_SYMLINK_NOFOLLOW);
}

/* Offsets of what is spoilt in the copy of a program. */
static void spoilt(const char *what, const char *echo, size_t size, size_t offset, const void *bytes, size_t count)
{
    char *copy = malloc(size);
    memcpy(copy, echo, size);
    memcpy(copy + offset, bytes, count);
    write_all("spoilt", copy, size);
    execute(what, AT_FDCWD, "./spoilt", 0);
    free(copy);
}

static void of_elf(char *echo, size_t size)
{
    const Elf64_Ehdr *header = (const void *)echo;
    uint16_t relocatable = ET_REL, one = 1, none = 0, many = 100, machine = EM_AARCH64;
    uint64_t far = 1 << 30, last = UINT64_MAX, little = 16;
    spoilt("relocatable", echo, size, offsetof(Elf64_Ehdr, e_type), &relocatable, 2);
    spoilt("size of a program header", echo, size, offsetof(Elf64_Ehdr, e_phentsize), &one, 2);
    spoilt("no program headers", echo, size, offsetof(Elf64_Ehdr, e_phnum), &none, 2);
    spoilt("too many program headers", echo, size, offsetof(Elf64_Ehdr, e_phnum), &many, 2);
    spoilt("program headers outside", echo, size, offsetof(Elf64_Ehdr, e_phoff), &far, 8);
    spoilt("program headers behind all files", echo, size, offsetof(Elf64_Ehdr, e_phoff), &last, 8);
    spoilt("another processor", echo, size, offsetof(Elf64_Ehdr, e_machine), &machine, 2);
    Elf64_Phdr *segments = (void *)(echo + header->e_phoff);
    for (unsigned i = 0; i < header->e_phnum; i++) {
        if (segments[i].p_type != PT_INTERP)
            continue;
        size_t at = segments[i].p_offset, entry = header->e_phoff + i * sizeof(Elf64_Phdr);
        uint64_t tiny = 1, huge = 5000, cut = segments[i].p_filesz - 1;
        spoilt("no interpreter", echo, size, at, "/lib65", 6);
        spoilt("an interpreter that is no program", echo, size, at, "./plain\0", 8);
        spoilt("an interpreter that is short", echo, size, at, "./short\0", 8);
        spoilt("an interpreter that is a folder", echo, size, at, "/\0", 2);
        spoilt("an interpreter with an empty name", echo, size, at, "", 1);
        spoilt("an interpreter without a name", echo, size, entry + offsetof(Elf64_Phdr, p_filesz), &tiny, 8);
        spoilt("an interpreter with a long name", echo, size, entry + offsetof(Elf64_Phdr, p_filesz), &huge, 8);
        spoilt("an interpreter whose name does not end", echo, size, entry + offsetof(Elf64_Phdr, p_filesz), &cut, 8);
        spoilt("an interpreter's name outside", echo, size, entry + offsetof(Elf64_Phdr, p_offset), &far, 8);
    }
    for (unsigned i = 0; i < header->e_phnum; i++) {
        size_t entry = header->e_phoff + i * sizeof(Elf64_Phdr);
        if (segments[i].p_type != PT_LOAD)
            continue;
        spoilt("a segment that is larger than its memory", echo, size, entry + offsetof(Elf64_Phdr, p_memsz), &little, 8);
        spoilt("a segment of all memory", echo, size, entry + offsetof(Elf64_Phdr, p_memsz), &last, 8);
        if (segments[i].p_offset == 0)
            spoilt("program headers in no segment", echo, size, entry + offsetof(Elf64_Phdr, p_filesz), &little, 8);
    }
    write_all("cut", echo, 100);
    execute("cut in its program headers", AT_FDCWD, "./cut", 0);
    write_all("cut", echo, 40);
    execute("cut in its header", AT_FDCWD, "./cut", 0);
    write_all("cut", echo, 0);
    execute("empty", AT_FDCWD, "./cut", 0);
    write_all("cut", echo, 8192);
    execute("cut behind its headers", AT_FDCWD, "./cut", 0);
}

static void of_scripts(void)
{
    char line[400];
    const char *names[] = {"s0", "s1", "s2", "s3", "s4", "s5", "s6"};
    write_script("s0", "#!/bin/echo zero\n");
    for (int i = 1; i < 7; i++) {
        snprintf(line, sizeof line, "#!./%s argument %d \n", names[i - 1], i);
        write_script(names[i], line);
    }
    for (int i = 3; i < 7; i++)
        execute(names[i], AT_FDCWD, names[i], 0);
    write_script("round", "#!./round\n");
    execute("its own interpreter", AT_FDCWD, "round", 0);
    write_script("odd", "#!");
    execute("no name", AT_FDCWD, "odd", 0);
    write_script("odd", "#! \t \n");
    execute("blanks", AT_FDCWD, "odd", 0);
    write_script("odd", "#! \t/bin/echo");
    execute("no end of line", AT_FDCWD, "odd", 0);
    write_script("odd", "#!/bin/echo  a b  \nmore");
    execute("an argument with blanks", AT_FDCWD, "odd", 0);
    write_script("odd", "#!/nosuch/interpreter\n");
    execute("no interpreter of a script", AT_FDCWD, "odd", 0);
    write_script("odd", "#!/\n");
    execute("a folder as interpreter", AT_FDCWD, "odd", 0);
    for (size_t length = 252; length < 260; length++) {
        snprintf(line, sizeof line, "#!%0*d/bin/echo\n", (int)length - 12, 0);
        memset(line + 2, '/', length - 12);
        write_script("odd", line);
        snprintf(line, sizeof line, "a line of %zu bytes", length);
        execute(line, AT_FDCWD, "odd", 0);
        snprintf(line, sizeof line, "#!/bin/echo %0*d\n", (int)length - 12, 7);
        write_script("odd", line);
        snprintf(line, sizeof line, "an argument up to byte %zu", length);
        execute(line, AT_FDCWD, "odd", 0);
    }
    write_script("plain", "text\n");
    execute("text", AT_FDCWD, "plain", 0);
}

static void of_writers(const char *echo, size_t size)
{
    write_all("written", echo, size);
    int writer = open("written", O_WRONLY | O_APPEND | O_CLOEXEC);
    execute("open for writing", AT_FDCWD, "./written", 0);
    write_script("by", "#!./written\n");
    execute("an interpreter that is", AT_FDCWD, "./by", 0);
    close(writer);
    execute("closed again", AT_FDCWD, "./written", 0);
}

static void of_names(const char *itself)
{
    char path[5000];
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = 0;
    execute("a long path", AT_FDCWD, path, 0);
    execute("a path through a file", AT_FDCWD, "named/x", 0);
    execute("a path that is not there", AT_FDCWD, "nosuch", 0);
    execute("a device", AT_FDCWD, "/dev/null", 0);
    chmod("named", 0644);
    execute("not executable", AT_FDCWD, "named", 0);
    char *arguments[] = {(char *)(uintptr_t)itself, "told", NULL};
    fflush(stdout);
    if (fork() == 0) {
        execve("/proc/self/exe", arguments, environ);
        _exit(3);
    }
    wait(NULL);
}

/* The name that it was executed by, and what the process is called. */
static void tell(void)
{
    extern unsigned long getauxval(unsigned long);
    char name[32] = {0};
    int file = open("/proc/self/comm", O_RDONLY);
    if (read(file, name, sizeof name - 1) < 1)
        exit(2);
    printf("told: %s, %s", (const char *)getauxval(31), name);
}

int main(int count, char **arguments)
{
    char *echo;
    if (count > 1) {
        tell();
        return 0;
    }
    size_t size = read_all("/bin/echo", &echo);
    write_script("plain", "text\n");
    write_script("short", "\177ELF");
    without_a_name(echo, size);
    of_elf(echo, size);
    of_scripts();
    of_writers(echo, size);
    of_names(arguments[0]);
    return 0;
}
