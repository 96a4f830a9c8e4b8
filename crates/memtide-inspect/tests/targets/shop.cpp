// Objects of many kinds of classes, and the program's own books of them.
//
// shop PLUGIN
//
// Prints a line "count bytes name" for each class and then "ready"; the same again, with more of one
// class, for every line that it reads.
#include "shop.hpp"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <vector>

std::map<std::string, Kept> books;

namespace shop {
struct Item {
    long price = 1;
    virtual long cost() const { return price; }
    virtual ~Item();
};
Item::~Item() {}

struct Book : Item {
    char title[50] = {};
    long cost() const override { return price + 2; }
};

struct Label {
    int number = 3;
    virtual int label() const { return number; }
    virtual ~Label();
};
Label::~Label() {}

// Two vtables: blocks start with the first one.
struct Gift : Item, Label {
    char ribbon[100] = {};
};

// Its base is behind it, so is the base's vtable.
struct Loan : virtual Item {
    long days = 14;
    virtual long left() const { return days; }
};

struct Abstract {
    virtual void act() = 0;
    virtual ~Abstract() = default;
};
struct Concrete final : Abstract {
    void act() override {}
};

template <class A, class B>
struct Pair {
    A first = {};
    B second = {};
    virtual ~Pair() {}
};

// No virtual functions: nothing to know it by, unless it is the payload of a shared pointer.
struct Cart {
    long items[12] = {};
};
}  // namespace shop

namespace {
struct Hidden {
    long secret = 4;
    virtual ~Hidden() {}
};
}  // namespace

template <class T>
static T *make(const char *name, int count) {
    T *last = nullptr;
    for (int i = 0; i < count; i++) {
        last = new T;
        enter(name, last);
        // What is freed again is in no book, wherever malloc keeps it.
        delete new T;
    }
    return last;
}

static std::vector<std::shared_ptr<shop::Cart>> carts;

static void make_shared_carts(int count) {
    for (int i = 0; i < count; i++) {
        carts.push_back(std::make_shared<shop::Cart>());
        // The block is the control block, with two counters behind its vtable.
        enter("shop::Cart (make_shared)", reinterpret_cast<char *>(carts.back().get()) - 16);
    }
    for (int i = 0; i < count / 2; i++) {
        carts.emplace_back(new shop::Cart);
        Kept &kept = books["shop::Cart (shared_ptr's counters)"];
        kept.count++;
        kept.bytes += 32;
    }
}

static void make_rules(const char *path, int count) {
    void *library = dlopen(path, RTLD_NOW);
    auto make_rule = library ? reinterpret_cast<void *(*)()>(dlsym(library, "make_rule")) : nullptr;
    if (!make_rule) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    for (int i = 0; i < count; i++)
        enter("plugin::Rule", make_rule());
}

static void print() {
    for (const auto &[name, kept] : books)
        printf("%zu %zu %s\n", kept.count, kept.bytes, name.c_str());
    puts("ready");
    fflush(stdout);
}

int main(int, char **argv) {
    static char buffer[1 << 16], input[1 << 10];
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    setvbuf(stdin, input, _IOFBF, sizeof input);
    make<shop::Item>("shop::Item", 700);
    make<shop::Book>("shop::Book", 1000);
    make<shop::Gift>("shop::Gift", 300);
    make<shop::Loan>("shop::Loan", 111);
    make<shop::Concrete>("shop::Concrete", 222);
    make<shop::Pair<int, shop::Cart>>("shop::Pair<int, shop::Cart>", 55);
    make<Hidden>("(anonymous namespace)::Hidden", 77);
    // Its vtable is a library's; programs with fixed addresses have a copy in .bss.
    make<std::exception>("std::exception", 33);
    make_silent(88);
    make_shared_carts(600);
    make_rules(argv[1], 44);
    print();
    while (getchar() != EOF) {
        make<shop::Gift>("shop::Gift", 500);
        print();
    }
}
