// A class without RTTI: compiled with -fno-rtti.
#include "shop.hpp"

struct Silent {
    long value = 1;
    virtual long get() { return value; }
    virtual ~Silent();
};
Silent::~Silent() {}

void make_silent(int count) {
    for (int i = 0; i < count; i++)
        enter("silent", new Silent);
}
