#!/usr/bin/env python3
"""The page in a real browser, from disk and without a network: it draws, and it asks nobody for anything."""

import shutil
import subprocess

from harness import MEMTIDE, expect, memtide, running, scratch, skip

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars"
).split()

browser = next(filter(None, map(shutil.which, BROWSERS)), None)
if not browser:
    skip("no Chromium is installed")

with scratch() as folder:
    with running(["sleep", "60"]) as target:
        memtide("attach", target.pid, "--for", "3s", "--every", "100ms", "-q", "--html", "page.html", folder=folder)

    def chromium(*arguments):
        done = subprocess.run(
            [browser, *FLAGS, f"--user-data-dir={folder}/profile", *arguments, f"file://{folder}/page.html"],
            capture_output=True,
            timeout=90,
            check=False,
        )
        return done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")

    for width in (1280, 400):
        picture = folder / f"page-{width}.png"
        _, errors = chromium(f"--screenshot={picture}", f"--window-size={width},1600")
        expect(picture.exists(), f"a picture of the page, {width} wide: {errors[-500:]}")
        expect(picture.stat().st_size > 20_000, f"something on the page, {width} wide")
        expect("Content Security Policy" not in errors, f"no policy to be broken: {errors[-500:]}")
    dom, _ = chromium("--dump-dom")
    for needed in ("<svg", "<caption", "too early", "Ledger"):
        expect(needed in dom, f"{needed!r} on the page")
    print(f"a page of {(folder / 'page.html').stat().st_size} bytes draws in {browser}")
