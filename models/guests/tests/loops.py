"""Counts the instructions of inner loops in the compiler's assembly.

    python loops.py FILE.s PATTERN [show]      (swiftc with the flags of build.sh and -emit-assembly makes FILE.s)

Lists each innermost loop that contains the pattern (for instance relaxed_dot): instructions without local.get, local.set and
constants, which register code does not have, then the number of sets and tees. With `show`, counts by instruction.
"""
import collections
import re
import sys

path, pattern = sys.argv[1:3]
lines = open(path).read().split("\n")
starts, function = [], ""
for number, line in enumerate(lines):
    label = re.match(r'^([^\s.#][^:]*|"[^"]+"):', line)
    if label:
        function, starts = label.group(1), []
    word = (line.split() or [""])[0]
    if word == "loop":
        starts.append(number)
    if word != "end_loop" or not starts:
        continue
    first = starts.pop()
    body = [words for words in (text.split() for text in lines[first:number]) if words]
    if any(words[0] == "loop" for words in body[1:]) or not any(pattern in text for text in lines[first:number]):
        continue
    counts = collections.Counter()
    for words in body:
        if words[0].startswith(("#", ".")) or words[0].endswith(":") or ".const" in words[0]:
            continue
        if words[0] not in ("local.get", "loop", "block", "end_block"):
            counts[" ".join(words[:2]) if words[0] == "call" else words[0]] += 1
    moves = counts.pop("local.set", 0) + counts.pop("local.tee", 0)
    print(f"{function[:100]} lines {first + 1}-{number + 1}: {sum(counts.values())} instructions, {moves} moves")
    if len(sys.argv) > 3:
        for name, count in counts.most_common():
            print(f"    {count} {name}")
