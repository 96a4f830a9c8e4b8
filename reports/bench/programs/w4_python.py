# w4_python.py ROUNDS: Python objects, small ones and bytearrays of 600 to 9,600 bytes, part of which stays.
import json
import sys


def leaf(depth, count):
    if depth:
        return leaf(depth - 1, count)
    return [{"id": i, "name": "x" * (i % 40), "tags": [str(i), str(i * 7)], "v": i * 1.5} for i in range(count)]


def blobs(count):
    return [bytearray(600 + (i * 37) % 9000) for i in range(count)]


keep = []
for r in range(int(sys.argv[1]) if len(sys.argv) > 1 else 6):
    rows = json.loads(json.dumps(leaf(10, 12000)))
    keep.append(rows[::20])
    keep.append(blobs(12000)[::50])
    names = {k: i for i, k in enumerate(sorted(str(row["v"]) + row["name"] for row in rows))}
    keep.append(names if r % 3 == 0 else None)
