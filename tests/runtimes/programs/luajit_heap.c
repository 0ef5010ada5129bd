/* luajit_heap.c SCRIPT [watched | hot]: LuaJIT, its interpreter and its compiled code, with the whole heap in a closed
 * region, which is stepped by signals, or hot. Writes to stderr what was stepped, and refused. Ends with 77 without
 * LuaJIT. */
#include <dlfcn.h>
#include <segue/segue.h>
#include <stdio.h>
#include <string.h>

#define HEAP_SIZE ((size_t)256 << 20)
#define POWERS 48

struct lua_State;

static struct segue_mapping heap;
static size_t used;
/* Of blocks of each power of two. */
static void *free_blocks[POWERS];

/* The allocator reaches blocks through the alias, and so does not fault itself. */
static void *alias_of(void *block)
{
    return (char *)heap.alias + ((char *)block - (char *)heap.memory);
}

static unsigned power_of(size_t size)
{
    unsigned power = 4;
    while (((size_t)1 << power) < size)
        power++;
    return power;
}

static void *take_block(unsigned power)
{
    void *block = free_blocks[power];
    if (block) {
        memcpy(&free_blocks[power], alias_of(block), sizeof block);
        return block;
    }
    size_t size = (size_t)1 << power;
    if (power >= POWERS || size > HEAP_SIZE - used)
        return NULL;
    block = (char *)heap.memory + used;
    used += size;
    return block;
}

/* lua_Alloc. */
static void *allocate(void *unused, void *old, size_t old_size, size_t size)
{
    (void)unused;
    void *block = NULL;
    if (old && size && power_of(old_size) == power_of(size))
        return old;
    if (size) {
        block = take_block(power_of(size));
        if (!block)
            return NULL;
        if (old)
            memcpy(alias_of(block), alias_of(old), old_size < size ? old_size : size);
    }
    if (old) {
        memcpy(alias_of(old), &free_blocks[power_of(old_size)], sizeof old);
        free_blocks[power_of(old_size)] = old;
    }
    return block;
}

static bool protect_heap(bool is_hot)
{
    struct segue_region region = {.window = segue_mapping_window(&heap), .flags = is_hot ? SEGUE_REGION_HOT : 0};
    return segue_region_add(&region) == SEGUE_OK && segue_mapping_protect(&heap, 0, heap.size, 0) == SEGUE_OK;
}

int main(int argc, char **argv)
{
    const struct segue_mapping_options options = {.size = HEAP_SIZE, .flags = SEGUE_MAPPING_NEAR};
    struct lua_State *(*new_state)(void *(*)(void *, void *, size_t, size_t), void *);
    void (*open_libraries)(struct lua_State *);
    int (*load_file)(struct lua_State *, const char *);
    int (*call)(struct lua_State *, int, int, int);
    struct segue_counters counters;
    void *library = dlopen("libluajit-5.1.so.2", RTLD_NOW);
    if (!library)
        return 77;
    *(void **)&new_state = dlsym(library, "lua_newstate");
    *(void **)&open_libraries = dlsym(library, "luaL_openlibs");
    *(void **)&load_file = dlsym(library, "luaL_loadfile");
    *(void **)&call = dlsym(library, "lua_pcall");
    if (argc < 2 || segue_install(NULL) != SEGUE_OK || segue_mapping_create_with(&options, &heap) != SEGUE_OK)
        return 1;
    if (argc > 2 && !protect_heap(strcmp(argv[2], "hot") == 0))
        return 2;
    struct lua_State *state = new_state(allocate, NULL);
    if (!state)
        return 3;
    open_libraries(state);
    if (load_file(state, argv[1]) != 0 || call(state, 0, -1, 0) != 0)
        return 4;
    segue_counters_read(&counters);
    fprintf(stderr, "stepped %lu refused %lu\n", counters.stepped, counters.refused);
    return 0;
}
