/* others_java.java: what the virtual machine's own SIGSEGV and SIGBUS handler is for: null references in compiled code,
 * stacks that run out, files that were cut short; on several threads. With an argument it reads, by compiled code, the
 * 4,096 bytes at that address. */
import java.io.RandomAccessFile;
import java.lang.reflect.Field;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import sun.misc.Unsafe;

public class Faults {
    static class Node {
        int value;
        Node next;
    }

    static int nulls(int times) {
        int caught = 0;
        Node nobody = null;
        for (int i = 0; i < times; i++)
            try {
                caught += (i % 3 == 0 ? new Node() : nobody).value + 0;
            } catch (NullPointerException e) {
                caught++;
            }
        return caught;
    }

    static int depth;

    static void fall() {
        depth++;
        fall();
    }

    static int overflows(int times) {
        int caught = 0;
        for (int i = 0; i < times; i++)
            try {
                fall();
            } catch (StackOverflowError e) {
                caught++;
            }
        return caught;
    }

    /* A page behind the end of a file that somebody has cut short: SIGBUS. */
    static String cut() throws Exception {
        Path path = Files.createTempFile("segue", "cut");
        try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
            file.setLength(8192);
            MappedByteBuffer map = file.getChannel().map(FileChannel.MapMode.READ_WRITE, 0, 8192);
            file.setLength(0);
            return "read " + map.get(4096);
        } catch (InternalError e) {
            return "InternalError";
        } finally {
            Files.delete(path);
        }
    }

    static long sum(Unsafe memory, long address) {
        long sum = 0;
        for (long i = 0; i < 4096; i += 8)
            sum += memory.getLong(address + i) & 0xff;
        return sum;
    }

    static void read(long address) throws Exception {
        Field field = Unsafe.class.getDeclaredField("theUnsafe");
        field.setAccessible(true);
        Unsafe memory = (Unsafe) field.get(null);
        long sum = 0;
        for (int i = 0; i < 100; i++)
            sum += sum(memory, address);
        System.out.println("sum " + sum);
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 0) {
            read(Long.decode(arguments[0]));
            return;
        }
        System.out.println(nulls(300000) + " null pointers");
        System.out.println(overflows(5) + " overflows");
        Thread[] threads = new Thread[4];
        int[] found = new int[threads.length];
        for (int i = 0; i < threads.length; i++) {
            int number = i;
            threads[i] = new Thread(() -> found[number] = nulls(100000) + overflows(2));
            threads[i].start();
        }
        for (int i = 0; i < threads.length; i++) {
            threads[i].join();
            System.out.println("thread " + i + ": " + found[i]);
        }
        System.out.println(cut());
        byte[][] kept = new byte[64][];
        for (int i = 0; i < 20000; i++)
            kept[i % kept.length] = new byte[10000];
        System.gc();
        System.out.println("done");
    }
}
