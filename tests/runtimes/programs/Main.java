/* The Java virtual machine: NullPointerException and StackOverflowError of compiled code by its SIGSEGV handler. */
public class Main {
    static native void touch();
    int value;
    Main next;

    static int depth(int n) {
        return depth(n + 1) + 1;
    }

    static int nulls(Main[] table, int count) {
        int caught = 0;
        for (int i = 0; i < count; i++) {
            try {
                table[i & 15].value++;
            } catch (NullPointerException e) {
                caught++;
            }
        }
        return caught;
    }

    public static void main(String[] arguments) throws Exception {
        String path = System.getenv("PROBE");
        if (path != null)
            System.load(path);
        int[] caught = new int[4];
        Thread[] threads = new Thread[caught.length];
        for (int t = 0; t < threads.length; t++) {
            int number = t;
            threads[t] = new Thread(() -> {
                Main[] table = new Main[16];
                for (int i = 0; i < 16; i += 2)
                    table[i] = new Main();
                for (int round = 0; round < 10; round++) {
                    caught[number] += nulls(table, 20000);
                    for (int i = 0; i < 10000; i++) {
                        Main garbage = new Main();
                        garbage.next = table[0];
                    }
                    if (path != null)
                        touch();
                }
            });
            threads[t].start();
        }
        for (Thread thread : threads)
            thread.join();
        int overflows = 0;
        for (int i = 0; i < 20; i++) {
            try {
                depth(0);
            } catch (StackOverflowError e) {
                overflows++;
            }
        }
        System.gc();
        if (path != null)
            touch();
        System.out.println("nulls " + (caught[0] + caught[1] + caught[2] + caught[3]) + ", overflows " + overflows);
    }
}
