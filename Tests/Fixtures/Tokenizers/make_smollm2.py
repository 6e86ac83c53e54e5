"""Writes smollm2.json: strings and their token ids, as llama.cpp computes them from SmolLM2's file.

Needs the Python package llama-cpp-python (0.3.36 was used).
Usage: python make_smollm2.py SmolLM2-135M-Instruct.Q4_1.gguf > smollm2.json
"""
import json, random, sys
from llama_cpp import Llama

model = Llama(sys.argv[1], vocab_only=True, verbose=False)
random.seed(20)
texts = [
    "", " ", "  ", "   a", "a   ", "\t", "\t\t", " \t a", "\n", "\r\n", "\r\n\r\n", "a\r\nb", "a \n b", "a\n \n b", "\n\n  x", "  \n\n",
    "x\u00a0y", "x \u00a0y", "\u00a0\u00a0y", "\u2003\u2003em", "\u3000全角", "\u200bzero", "\u2028line\u2029par", "\u0085next", "\u1680ogham",
    "1", "12", " 1", "  12", "a1b2", "1 2  3", "1.5e-10", "x²³", "½ ⅓ Ⅳ ⅷ", "٣٤٥", "१२३", "一二三", "𝟘𝟙𝟚", "①②", "1\n2", " 1\n",
    "'s", "it's", "'S", "''s", "'", "' s", "'ll've", "don't", "DON'T", "l'l", "'re're", "'r e", "x'd'm't", "’s", "'sé",
    "!", "!!", " !", "!a", " !a", "a!", "...", " ...", "?!?!", "-- --", "a--b", "#!/bin/sh", "a_b", "__init__", "<a>", "{{x}}", "\\n", "$5", "€5", "+-*/",
    "é", "e\u0301", "a\u0301\u0302\u0303", "\u0301", " \u0301a", "क्षि", "நி", "ก็", "ไทยๆ", "조선말", "ㅎㅏㄴ", "עִבְרִית", "العَرَبِيَّة", "ﷺ", "ß", "ſ", "ŉ", "ǆ", "İi̇", "ΐ", "ﬁ",
    "🙂", "👩‍👩‍👧", "👍🏽", "🇺🇳", "#️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "❤️", "☃", "✔︎", "\ufe0f", "🙂🙂🙂 🙂", "a🙂b", " 🙂a",
    "日本語", "中文。", "，。！", "你好 世界", "カタカナー", "ｶﾅ", "Ａ１", "々〆ヵ", "🈂",
    "\u0000", "\u0001\u0002", "\u0004", "a\u0006b", "\u007f", "\u0080", "\u00ad", "\ufeff", "\ufffd", "\ufffe", "\U0010ffff", "\U000e0001", "\ue000", "\U000f0000", "\u0378", "\U0001fae8",
    "<|im_start|>", "<|im_start|>user\nHi<|im_end|>\n", "<|im_start", "|im_start|>", "<<|im_end|>>", "<|im_end|><|im_end|>", "<|endoftext|> <|endoftext|>", "<|IM_START|>", "a<|im_end|>b", "<repo_name>x<file_sep>y", "<reponame>",
    " <|im_start|> ", "1<|im_end|>2", "it<|im_end|>'s", "<empty_output>",
    "The quick brown fox jumps over the lazy dog.", "def f(x):\n    return x ** 2  # square\n", "for (int i = 0; i < 10; ++i) {\n\tsum += a[i];\n}\n",
    "https://example.com/path?query=1&b=%20#frag", "user@example.com", "2026-11-21T04:00:00+00:00", "0x7fff_ffff", "1,000,000.00", "C:\\Windows\\System32", "a/b\\c|d",
    "supercalifragilisticexpialidocious", "Donaudampfschifffahrtsgesellschaftskapitän", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc", "=" * 200, "-" * 77, " " * 133, "\n" * 50, "é" * 60, "日" * 45, "the" * 40, "🙂" * 30, "ab" * 500, "xyzzy" * 100,
]
alphabets = [
    "abcdefghijklmnopqrstuvwxyz", "ABC abc 012 .,;:!?'\"-\n\t", "aeiou '\u2019", "0123456789 .,-", "äöüéèñçßøåÆŒ ", "абвгдеёжзийклмн ", "日本語中文字漢一二 ，。", "한국어조선말 ", "🙂🚀👍🏽👩\u200d💻❤\ufe0f ",
    " \n\t\r\u00a0\u2003\u3000a", "<|im_startend>/\\ ", "'stremdlv STREMDLV", "अआइकखगि ् ०१२", "ابتثجحخ ًٌَ ٠١٢", "\u0301\u0302\u0303ae ", "\u0000\u0001\u0004\u0006\u0007\u0013\u001d\u007fa ",
]
for alphabet in alphabets:
    for _ in range(14):
        texts.append("".join(random.choice(alphabet) for _ in range(random.randint(1, 60))))
for _ in range(150):
    texts.append("".join(random.choice(random.choice(alphabets)) for _ in range(random.randint(1, 60))))
for _ in range(60):
    # Any code points at all, but surrogates.
    texts.append("".join(chr(c) for c in (random.choice([random.randint(0, 0x24F), random.randint(0, 0xFFFF), random.randint(0, 0x10FFFF)]) for _ in range(random.randint(1, 20))) if not 0xD800 <= c <= 0xDFFF))
json.dump([
    {"text": t, "ids_plain": model.tokenize(t.encode(), add_bos=False, special=False), "ids_bos_special": model.tokenize(t.encode(), add_bos=True, special=True)}
    for t in texts], sys.stdout, ensure_ascii=True, separators=(",", ":"))
