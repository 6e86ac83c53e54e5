"""Writes pretokenizers.json: texts and the words that the published patterns cut them into.

Needs the Python package regex (2026.11.15 was used). The texts are those of smollm2.json.
Usage: python make_pretokenizers.py > pretokenizers.json
"""
import json, os, sys, unicodedata
import regex

gpt2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
llama3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
qwen2 = llama3.replace(r"\p{N}{1,3}", r"\p{N}")

def single_digits(text):
    words = []
    for part in regex.findall(r"\p{N}|\P{N}+", text):
        words += [part] if regex.match(r"\p{N}", part) else regex.findall(gpt2, part)
    return words

cases = json.load(open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "smollm2.json")))
# Runs of equal letters cut alike; what matters are the short awkward texts.
# Unassigned code points are left out: versions of Unicode differ about them, and regex calls some of them letters.
texts = [c["text"] for c in cases if len(c["text"]) <= 60 and "Cn" not in map(unicodedata.category, c["text"])]
json.dump([
    {"text": t, "gpt2": regex.findall(gpt2, t), "gpt2WithSingleDigits": single_digits(t), "llama3": regex.findall(llama3, t),
     "qwen2": regex.findall(qwen2, t)} for t in texts], sys.stdout, ensure_ascii=True, separators=(",", ":"))
