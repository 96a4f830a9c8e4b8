#!/usr/bin/env python3
"""Runs of the score that are kept are judged again with the same answers, and what cannot be is named."""

import shutil
import subprocess

from harness import ROOT, expect, need, scratch

need("cargo", "gcc", "g++", "setsid")


def score(*arguments):
    command = [ROOT / "tests/score", "--report-only", *arguments]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


def judged_again(runs, out):
    done = score("--again", runs, "--out", out)
    expect(done.returncode == 0, f"runs that were kept are judged: {done.stderr}")
    return (out / "live.csv").read_text()


def refused(runs, word):
    done = score("--again", runs, "--out", runs.parent / "nowhere")
    expect(done.returncode == 2, f"no score of {word}: {done.stdout}")
    expect(word in done.stderr, f"an error that names {word}: {done.stderr}")


with scratch() as folder:
    runs, first, second = (folder / name for name in ("runs", "first", "second"))
    made = score("--live", "--only", "leak-one-thread", "--keep", runs, "--out", first)
    expect(made.returncode == 0, f"two programs are run and scored: {made.stderr}")
    answers = (first / "live.csv").read_text()
    expect(answers.count("\n") == 3, f"a head and two answers: {answers}")
    expect(judged_again(runs, second) == answers, "the same answers of the same runs")
    page = (second / "live.md").read_text()
    expect("kept and judged again" in page, f"a page that says so: {page[:500]}")
    targets = (second / "targets.csv").read_text().splitlines()
    expect(targets[0].startswith("by,made,engine,"), f"whose engine it is: {targets[0]}")

    refused(folder / "none", str(folder / "none"))
    refused(first / "live.csv", str(first / "live.csv"))
    kept = runs / "0001-leak-one-thread-b"
    recording = kept / "run.memtide"
    whole = recording.read_bytes()
    recording.write_bytes(whole[: len(whole) // 2])
    refused(runs, str(kept))
    recording.unlink()
    refused(runs, str(kept))
    shutil.rmtree(kept)
    left = [line for line in answers.splitlines() if "leak-one-thread-b" not in line]
    expect(judged_again(runs, second).splitlines() == left, "the runs that are left, without that one")
