public class Threads {
    public static void main(String[] arguments) throws Exception {
        long[] sums = new long[4];
        Thread[] threads = new Thread[4];
        for (int i = 0; i < 4; i++) {
            int own = i;
            threads[i] = new Thread(() -> {
                for (int j = 0; j < 200000; j++)
                    sums[own] += Integer.toString(j).hashCode();
            });
            threads[i].start();
        }
        for (Thread thread : threads)
            thread.join();
        System.out.println(sums[0] + " " + sums[3]);
        String nothing = arguments.length > 9 ? "" : null;
        for (int i = 0; i < 3; i++) {
            try {
                System.out.println(nothing.length());
            } catch (NullPointerException expected) {
                System.out.println("nothing there");
            }
        }
        System.gc();
        System.exit(3);
    }
}
