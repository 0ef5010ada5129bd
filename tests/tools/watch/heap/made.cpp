// made.cpp: a program of C++ for `segue watch heap@FUNCTION`: what `new` allocates is its caller's.
#include <cstdio>
#include <string>
#include <vector>

static unsigned long touched;

namespace shop
{

struct Cart {
    volatile long items[7];

    static __attribute__((noinline)) Cart *make()
    {
        Cart *cart = new Cart;
        cart->items[0] = 1;
        touched++;
        return cart;
    }
};

// Inlined, and seen by debug information.
static inline __attribute__((always_inline)) long *make_inlined()
{
    return new long[5];
}

} // namespace shop

int main()
{
    std::vector<shop::Cart *> carts;
    for (int i = 0; i < 20; i++)
        carts.push_back(shop::Cart::make());
    long sum = 0;
    for (shop::Cart *cart : carts) {
        sum += cart->items[0];
        touched++;
        delete cart;
    }
    volatile long *inlined = shop::make_inlined();
    inlined[4] = sum;
    delete[] inlined;
    std::printf("%lu %ld\n", touched, sum);
    return 0;
}
