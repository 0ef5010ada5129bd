/* Mono: NullReferenceException by its SIGSEGV handler, DivideByZeroException by that of SIGFPE. */
using System;
using System.Runtime.InteropServices;
using System.Threading;

class Node {
    public int value;
    public Node next;
}

static class Program {
    [DllImport("libdl.so.2")]
    static extern IntPtr dlopen(string path, int flags);

    [DllImport("libdl.so.2")]
    static extern IntPtr dlsym(IntPtr library, string name);

    delegate int ProbeTouch(IntPtr unused);

    static ProbeTouch probe;

    static void Touch() {
        if (probe != null)
            probe(IntPtr.Zero);
    }

    static int Work() {
        var table = new Node[16];
        for (int i = 0; i < 16; i += 2)
            table[i] = new Node();
        int caught = 0, zero = 0;
        for (int i = 0; i < 4000; i++) {
            try {
                table[i & 15].value++;
            } catch (NullReferenceException) {
                caught++;
            }
            try {
                caught += i / zero;
            } catch (DivideByZeroException) {
                caught++;
            }
            for (int k = 0; k < 100; k++)
                table[0].next = new Node();
            if (i % 400 == 0)
                Touch();
        }
        return caught;
    }

    static void Main() {
        var path = Environment.GetEnvironmentVariable("PROBE");
        if (path != null)
            probe = Marshal.GetDelegateForFunctionPointer<ProbeTouch>(dlsym(dlopen(path, 2), "probe_touch"));
        var results = new int[4];
        var threads = new Thread[4];
        for (int i = 0; i < 4; i++) {
            int number = i;
            threads[i] = new Thread(() => results[number] = Work());
            threads[i].Start();
        }
        foreach (var thread in threads)
            thread.Join();
        GC.Collect();
        Touch();
        Console.WriteLine("caught " + (results[0] + results[1] + results[2] + results[3]));
    }
}
