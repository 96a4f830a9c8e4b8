#!/usr/bin/env python3
"""Real programs under the preload shim, in both modes: the same results as without, and a recording of each."""

import glob
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import urllib.request

from harness import MEMTIDE, ROOT, answers, expect, free_port, memtide, running, scratch, until

LONG = bool(os.environ.get("MEMTIDE_LONG"))
MODES = ("full", "sampled")
passed, skipped = [], []


def the_shim():
    """The library that the build script of this memtide has built last."""
    built = glob.glob(f"{ROOT}/target/release/build/memtide-*/out/shim/*/release/libmemtide_shim.so")
    found = os.environ.get("MEMTIDE_SHIM") or max(built, key=os.path.getmtime, default=None)
    expect(found and os.path.exists(found), f"the shim beside {MEMTIDE}, or its path in MEMTIDE_SHIM")
    expect(not set(found) & set(" :"), f"a path that the loader does not split: {found}")
    return found


SHIM = the_shim()


def environment(mode=None, folder=None):
    """The environment of a program: without the shim, or with it, recording into `folder`."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MEMTIDE", "LD_"))}
    if mode is None:
        return plain
    # Small programs must have samples, too.
    return plain | {"LD_PRELOAD": SHIM, "MEMTIDE_DIR": str(folder), "MEMTIDE_HEAP": mode, "MEMTIDE_INTERVAL": "65536"}


def finish(command, env, cwd, given=None, seconds=300):
    done = subprocess.run(
        [str(part) for part in command], env=env, cwd=cwd, input=given, capture_output=True, timeout=seconds, check=False
    )
    text = done.stderr.decode(errors="replace")[-2000:]
    expect(done.returncode == 0, f"{command[0]} to end with 0, not {done.returncode}: {text}")
    return done.stdout


def regions(folder, least=1):
    """Makes sure that so many processes were recorded and that memtide can read them."""
    found = list(folder.glob("*.region"))
    expect(len(found) >= least, f"{least} regions or more in {folder}, not {len(found)}")
    recording = folder / "collected.memtide"
    memtide("collect", folder, "-o", recording, "--quiet", folder=folder)
    expect(recording.stat().st_size > 0, "a recording made of the regions")
    return len(found)


def compare(name, base, run, least=1):
    """`run(env, cwd)` gives what must be the same with the shim and without."""
    plain = base / f"{name}-plain"
    plain.mkdir()
    wanted = run(environment(), plain)
    counts = []
    for mode in MODES:
        folder, cwd = base / f"{name}-{mode}-regions", base / f"{name}-{mode}"
        folder.mkdir()
        cwd.mkdir()
        found = run(environment(mode, folder), cwd)
        expect(found == wanted, f"{name}, {mode}: {str(wanted)[:500]} and not {str(found)[:500]}")
        counts.append(regions(folder, least))
    passed.append(f"{name} {counts[0]}+{counts[1]}")


def has(*programs):
    for program in programs:
        if not shutil.which(program):
            skipped.append(f"{program} is not installed")
            return False
    return True


def sqlite(base):
    script = b"""
        create table t (a integer primary key, b text);
        with recursive n(i) as (select 1 union all select i + 1 from n where i < 50000)
            insert into t select i, printf('row %d %s', i, hex(i * 7919)) from n;
        create index u on t (b);
        delete from t where a % 3 = 0;
        select count(*), sum(length(b)), min(b), max(b) from t;
        select b from t order by b desc limit 3;
        pragma integrity_check;
    """
    compare("sqlite3", base, lambda env, cwd: finish(["sqlite3", "t.db"], env, cwd, script))


CPP = """
#include <algorithm>
#include <iostream>
#include <map>
#include <regex>
#include <string>
#include <vector>
int main() {
    std::map<std::string, std::vector<int>> all;
    for (int i = 0; i < 1000; i++) all[std::to_string(i * 7919 % 97)].push_back(i);
    std::regex odd("[13579]+");
    long sum = 0;
    for (auto &[name, numbers] : all) if (std::regex_match(name, odd)) sum += std::count_if(numbers.begin(), numbers.end(), [](int n) { return n % 3; });
    std::cout << sum << std::endl;
}
"""


def compiler(base):
    def run(env, cwd):
        (cwd / "a.cpp").write_text(CPP)
        finish(["g++", "-O1", "-std=c++17", "-c", "a.cpp", "-o", "a.o"], env, cwd)
        finish(["g++", "a.o", "-o", "a"], env, cwd)
        return hashlib.sha256((cwd / "a.o").read_bytes()).hexdigest(), finish(["./a"], env, cwd)

    # Driver, compiler and assembler; driver, collect2 and linker; the program.
    compare("g++", base, run, 7)


def node(base):
    script = """
        const all = new Map();
        for (let i = 0; i < 100000; i++) all.set('key' + i, {i, text: 'x'.repeat(i % 50)});
        const text = JSON.stringify([...all].slice(0, 20000));
        const hash = require('crypto').createHash('sha256').update(text).digest('hex');
        const zipped = require('zlib').gzipSync(text);
        const back = require('zlib').gunzipSync(zipped).toString() === text;
        console.log(text.length, hash, back, JSON.parse(text).length);
    """
    compare("node", base, lambda env, cwd: finish(["node", "-e", script], env, cwd))


RUST = """
use std::collections::HashMap;
fn main() {
    let threads: Vec<_> = (0..4u64).map(|t| std::thread::spawn(move || {
        let mut all: HashMap<String, Vec<u64>> = HashMap::new();
        for i in 0..20_000u64 { all.entry(format!("key {}", i * (t + 3) % 977)).or_default().push(i); }
        all.values().map(|numbers| numbers.iter().sum::<u64>()).sum::<u64>()
    })).collect();
    println!("{}", threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>());
    let caught = std::panic::catch_unwind(|| { let v: Vec<Box<u32>> = vec![Box::new(1)]; v[std::hint::black_box(3)].clone() });
    println!("{}", caught.is_err());
}
"""


def rust(base):
    source, program = base / "r.rs", base / "r"
    source.write_text(RUST)
    finish(["rustc", "-O", source, "-o", program], dict(os.environ), base)
    compare("a Rust program", base, lambda env, cwd: finish([program], env, cwd))


def python_with_tests():
    for python in (os.path.realpath(sys.executable), "/usr/bin/python3"):
        done = subprocess.run([python, "-c", "import test.test_json"], capture_output=True, check=False)
        if done.returncode == 0:
            return python
    return None


def python(base):
    interpreter = python_with_tests()
    if not interpreter:
        skipped.append("Python's own tests are not installed (package libpython3-testsuite)")
        return
    modules = ["test_json", "test_memoryio"]
    if LONG:
        modules += ["test_threading", "test_pickle", "test_sqlite3"]
    for module in modules:
        # That test fails with site packages that import threading at the start, as many do.
        command = [interpreter, "-m", "test", module, "--ignore", "test_import_from_another_thread"]
        if subprocess.run(command, env=environment(), capture_output=True, check=False).returncode != 0:
            skipped.append(f"{module} does not pass without the shim")
            continue

        def run(env, cwd, command=command):
            # Malloc for every object, where the shim sees it.
            env = env | {"PYTHONMALLOC": "malloc"} if LONG else env
            text = finish(command, env, cwd, seconds=1500).decode(errors="replace")
            return "SUCCESS" in text

        compare(module, base, run)


def redis(base):
    def run(env, cwd):
        port = free_port()
        server = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", cwd]
        requests = 200000 if LONG else 20000
        load = ["redis-benchmark", "-p", port, "-q", "-n", requests, "-r", 1000, "-d", 100, "-P", 16]
        with running(server, env=env, cwd=cwd) as process:
            until(lambda: answers(port), "redis answers on its port")
            finish([*load, "-t", "set,get,lpush,lpop,hset,sadd,zadd,incr"], environment(), cwd)

            def client(*words):
                return finish(["redis-cli", "-p", port, *words], environment(), cwd)

            finish(["redis-cli", "-p", port], environment(), cwd, b"set k 1\nappend k 23\ngetrange k 0 -1\n")
            found = client("get", "k"), client("debug", "sleep", "0"), client("ping")
            client("flushall")
            subprocess.run(["redis-cli", "-p", str(port), "shutdown", "nosave"], capture_output=True, check=False)
            expect(process.wait(20) == 0, "redis to end with 0")
        return found

    compare("redis-server", base, run)


NGINX = """
daemon off; pid {cwd}/pid; error_log {cwd}/error.log warn; worker_processes 2;
events {{ worker_connections 64; }}
http {{
    access_log off; gzip on; gzip_types text/plain;
    client_body_temp_path {cwd}/b; proxy_temp_path {cwd}/p; fastcgi_temp_path {cwd}/f; uwsgi_temp_path {cwd}/u; scgi_temp_path {cwd}/s;
    types {{ text/plain txt; }}
    server {{ listen 127.0.0.1:{port}; root {cwd}/www; }}
}}
"""


def nginx(base):
    def run(env, cwd):
        port = free_port()
        (cwd / "www").mkdir()
        (cwd / "www/a.txt").write_text("line of text\n" * 5000)
        for folder in (cwd, cwd / "www", base):
            folder.chmod(0o755)
        config = cwd / "nginx.conf"
        # Its workers stay who they are, so that they may write where the test does.
        user = "user root;\n" if os.geteuid() == 0 else ""
        config.write_text(user + NGINX.format(cwd=cwd, port=port))
        with running(["nginx", "-c", config, "-p", cwd], env=env, cwd=cwd) as server:
            until(lambda: answers(port), "nginx answers on its port")
            digest = hashlib.sha256()
            for number in range(300):
                request = urllib.request.Request(f"http://127.0.0.1:{port}/a.txt?{number}")
                if number % 2:
                    request.add_header("Accept-Encoding", "gzip")
                with urllib.request.urlopen(request, timeout=10) as answer:
                    digest.update(answer.read())
            server.send_signal(signal.SIGHUP)
            until(lambda: answers(port), "nginx answers with new workers")
            server.send_signal(signal.SIGQUIT)
            expect(server.wait(20) == 0, "nginx to end with 0")
        return digest.hexdigest(), (cwd / "error.log").read_text().count("[alert]")

    # The master and two workers at least.
    compare("nginx", base, run, 3)


def stress(base):
    command = ["stress-ng", "--malloc", "2", "--malloc-bytes", "64m", "--malloc-ops", "200000", "--timeout", "60s", "--quiet"]
    compare("stress-ng", base, lambda env, cwd: finish(command, env, cwd), 3)


def short_processes(base):
    script = "i=0; while [ $i -lt 1000 ]; do /bin/ls / >/dev/null || exit 1; i=$((i + 1)); done; echo $i"
    compare("1,000 processes", base, lambda env, cwd: finish(["sh", "-c", script], env, cwd), 1000)


with scratch() as base:
    if has("sqlite3"):
        sqlite(base)
    if has("g++"):
        compiler(base)
    if has("node"):
        node(base)
    if has("rustc"):
        rust(base)
    python(base)
    if has("redis-server", "redis-benchmark", "redis-cli"):
        redis(base)
    if has("nginx"):
        nginx(base)
    if LONG:
        if has("stress-ng"):
            stress(base)
        short_processes(base)

for reason in skipped:
    print(f"skipped: {reason}")
print(f"the same with the shim, processes recorded in full and sampled mode: {', '.join(passed)}")
expect(passed, "one program at least")
