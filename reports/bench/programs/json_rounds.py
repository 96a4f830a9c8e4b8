# json_rounds.py ROUNDS: nested dictionaries to JSON and back, and sorting of the text in pieces: what CPython
# allocates for everyday work, from stacks that get deep. Each round's objects live until the next has replaced
# them, so the heap is larger than the processor's near caches.
import json
import sys


def nested(depth):
    return {str(i): (nested(depth - 1) if depth else [i, str(i) * 3, {"a": i}]) for i in range(8)}


total = 0
for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 24):
    text = json.dumps(nested(4))
    objects = json.loads(text)
    total += len(text)
    pieces = sorted(text[i : i + 40] for i in range(0, len(text), 40))
    total += len(pieces)
print(total)
