/* shop.cpp: variables of C++: in namespaces and classes, of the same name, and in functions. */
namespace shop
{
int counter;
static struct {
    long served;
} stats;

class cart
{
  public:
    static long total;
    void add(int price);
};
long cart::total;

__attribute__((noinline)) void cart::add(int price)
{
    total += price;
    counter++;
    stats.served += 2;
}
} // namespace shop

namespace bank
{
static volatile int account;
}
namespace shop
{
volatile int account;
}
namespace
{
volatile int hidden;
}

int main()
{
    static volatile int calls;
    shop::cart cart;
    cart.add(5);
    bank::account = 1;
    shop::account = 2;
    hidden = 3;
    calls = 4;
    return static_cast<int>(shop::stats.served) - 2;
}
