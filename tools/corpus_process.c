/* corpus_process.c: a program that reads all its input and then is done. */
#include "corpus_process.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "message.h"

extern char **environ;

static bool write_all(int file, const uint8_t *bytes, size_t size)
{
    while (size) {
        ssize_t written = write(file, bytes, size);
        if (written <= 0)
            return false;
        bytes += written;
        size -= (size_t)written;
    }
    return lseek(file, 0, SEEK_SET) == 0;
}

static int spawn(struct corpus_process *process, char *const arguments[])
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, process->input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, process->output, STDOUT_FILENO);
    int error = posix_spawnp(&process->process, arguments[0], &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

bool corpus_process_start(struct corpus_process *process, char *const arguments[], const void *input, size_t size)
{
    *process = (struct corpus_process){.name = arguments[0]};
    process->input = memfd_create("corpus input", MFD_CLOEXEC);
    process->output = memfd_create("corpus output", MFD_CLOEXEC);
    int error = 0;
    if (process->input < 0 || process->output < 0 || !write_all(process->input, input, size))
        error = errno;
    if (!error)
        error = spawn(process, arguments);
    if (!error)
        return true;
    complain("corpus", "cannot run %s: %s", arguments[0], strerror(error));
    process->process = 0;
    corpus_process_end(process);
    return false;
}

static bool wait_for_end(struct corpus_process *process)
{
    int status = 0;
    while (waitpid(process->process, &status, 0) < 0 && errno == EINTR)
        ;
    process->process = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    if (WIFEXITED(status))
        complain("corpus", "%s ended with exit status %d", process->name, WEXITSTATUS(status));
    else
        complain("corpus", "%s was ended by signal %d", process->name, WTERMSIG(status));
    return false;
}

bool corpus_process_wait(struct corpus_process *process)
{
    struct stat stat;
    if (!wait_for_end(process))
        return false;
    if (fstat(process->output, &stat) != 0 || stat.st_size == 0)
        return true;
    void *text = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, process->output, 0);
    if (text == MAP_FAILED) {
        complain("corpus", "cannot read what %s wrote: %s", process->name, strerror(errno));
        return false;
    }
    process->text = text;
    process->text_size = (size_t)stat.st_size;
    return true;
}

void corpus_process_end(struct corpus_process *process)
{
    if (process->process)
        wait_for_end(process);
    if (process->text)
        munmap((void *)process->text, process->text_size);
    if (process->input > 0)
        close(process->input);
    if (process->output > 0)
        close(process->output);
    *process = (struct corpus_process){0};
}
