// A class of a library that is loaded later.
#include <cstddef>

namespace plugin {
struct Rule {
    char text[40] = {};
    virtual ~Rule();
};
Rule::~Rule() {}
}  // namespace plugin

extern "C" void *make_rule() { return new plugin::Rule; }
