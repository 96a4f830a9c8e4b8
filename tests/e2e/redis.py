#!/usr/bin/env python3
"""A real redis under load: a verdict, a ledger that adds up to RSS, an honest opaque line, a page, a picture."""

from harness import account, answers, attach, expect, free_port, in_rss, need, running, scratch, until

need("redis-server", "redis-benchmark")

with scratch() as folder:
    port = free_port()
    server = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", folder]
    load = ["redis-benchmark", "-p", port, "-c", "20", "-n", "1000000000", "-r", "100000", "-d", "200", "-t", "set,get"]
    with running(server) as redis:
        until(lambda: answers(port), "redis answers on its port")
        with running(load):
            report = attach(redis.pid, "--for", "30s", "--html", "r.html", "--png", "r.png", folder=folder)

    rss = in_rss(report)
    unexplained = abs(account(report, "unexplained"))
    expect(rss > 10e6, f"a redis with data, RSS above 10 MB and not {rss}")
    expect(unexplained < 0.02 * rss, f"less than 2 % of RSS unexplained, not {unexplained} of {rss}")
    expect(report['target']['allocator'] != 'unknown', 'its allocator to be known')
    opaque = next(row["end_bytes"] for row in report["beside"] if row["account"] == "opaque")
    unknown = account(report, "heap") + account(report, "anon")
    expect(opaque == unknown, f"opaque to be all heap and anonymous memory, {unknown}, and not {opaque}")
    kind = report["verdict"]["kind"]
    # Its keys fill up and then only change: it may still have been filling when the watch began.
    expect(kind in ("no_growth", "plateau", "undetermined"), f"no leak in redis, and not {kind}")
    if kind == "undetermined":
        expect(report["verdict"]["candidates"], "candidates where it is undetermined")
    expect(report["recording"]["samples"] >= 28, f"28 samples or more, not {report['recording']['samples']}")
    share = report["recording"]["cost_cpu_seconds"] / report["recording"]["seconds"]
    expect(share < 0.01, f"a cost under 1 % of a core, not {share:.2%}")
    page = (folder / "r.html").read_text()
    expect("</html>" in page and "http://" not in page.replace("http://www.w3.org/", ""), "a whole page without links out")
    expect((folder / "r.png").read_bytes().startswith(b"\x89PNG"), "a PNG")
    print(f"{kind}; RSS {rss / 2**20:.1f} MiB, unexplained {unexplained / rss:.3%}, cost {share:.2%} of a core")
