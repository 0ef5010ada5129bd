// Go with cgo: nil dereferences become panics by its SIGSEGV handler; threads are stopped by signals.
package main

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>
static int (*touch)(const void *);
static int load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW);
    if (library)
        *(void **)&touch = dlsym(library, "probe_touch");
    return touch != 0;
}
static void call_touch(void) { if (touch) touch(0); }
*/
import "C"

import (
	"fmt"
	"os"
	"runtime"
	"sync"
)

type node struct {
	value int
	next  *node
}

func caught(n *node) (result int) {
	defer func() {
		if recover() != nil {
			result = 1
		}
	}()
	n.value++
	return 0
}

func main() {
	if path := os.Getenv("PROBE"); path != "" && C.load(C.CString(path)) == 0 {
		panic("no probe")
	}
	var group sync.WaitGroup
	var results [8]int
	for i := range results {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			table := [2]*node{{}, nil}
			for k := 0; k < 5000; k++ {
				results[i] += caught(table[k&1])
				table[0] = &node{k, nil}
				if k%500 == 0 {
					C.call_touch()
				}
			}
		}(i)
	}
	group.Wait()
	runtime.GC()
	C.call_touch()
	sum := 0
	for _, result := range results {
		sum += result
	}
	fmt.Println("panics", sum)
}
