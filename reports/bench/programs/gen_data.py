# gen_data.py: writes the C++ source that cc1plus compiles, to standard output: big standard headers, and
# functions that instantiate containers over types of their own.
HEADERS = (
    "map unordered_map vector string regex algorithm functional memory sstream iostream thread future variant "
    "optional tuple set deque list random"
)
FUNCTION = """
struct S{0} {{
    int a;
    std::string b;
    bool operator<(const S{0} &o) const {{ return a < o.a; }}
}};
int f{0}(int n) {{
    std::map<S{0}, std::vector<std::string>> m;
    for (int j = 0; j < n; j++) m[S{0}{{j, std::to_string(j)}}].push_back("x");
    std::unordered_map<int, std::set<S{0}>> u;
    for (auto &k : m) u[k.first.a].insert(k.first);
    std::vector<S{0}> v;
    for (auto &k : m) v.push_back(k.first);
    std::sort(v.begin(), v.end());
    return (int)(v.size() + u.size());
}}"""

for header in HEADERS.split():
    print(f"#include <{header}>")
for number in range(5):
    print(FUNCTION.format(number))
