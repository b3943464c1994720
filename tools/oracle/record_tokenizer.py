#!/usr/bin/env python3
"""Records tests/fixtures/tokenizer: a tiny Qwen2 tokenizer in both layouts, and what the reference makes of tricky texts.

    pip install tokenizers            (recorded with 0.23.3)
    python3 tools/oracle/record_tokenizer.py tests/fixtures/tokenizer

The tokenizer is trained here, on the few sentences below, with the normalizer, the pattern and the byte alphabet of Qwen2. cases.json
has, for each text, the reference's ids, the text decoded from them without special tokens, and, where the text has no added token,
the pieces between which merges do not reach. Texts use characters of Unicode 14 and earlier only, and no NUL.
"""
import json
import pathlib
import random
import sys
import unicodedata

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
           r"\s*[\r\n]+|\s+(?!\S)|\s+")
ADDED = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>"]
VOCABULARY = 600

SENTENCES = [
    "What is the man in the video doing? He's holding a red box, and she doesn't see it.",
    "Which of the following options describes the order of the events in the video?",
    "Select the best answer to the following multiple-choice question based on the video.",
    "Respond with only the letter (A, B, C, or D) of the correct option.",
    "system\nYou are a helpful assistant.\nuser\nassistant\n",
    "The video lasts for 12.34 seconds, and 64 frames are uniformly sampled from it.\n\n",
    "I'm sure they'll say we've seen what you're looking for; I'd wait. DON'T! IT'S LATE.",
    "for (int i = 0; i < n; i++) {\n    total += values[i];\n\treturn total;\n}\r\n",
    "Die Straße führt über die Brücke, größer als früher; naïve Gäste zählen Äpfel.",
    "Où est la fenêtre ? L'été déjà, ça ne sert à rien : garçon, élève, forêt.",
    "¿Dónde está el niño? Mañana volverá con el señor del corazón.",
    "Кошка сидит на окне и смотрит на улицу, где идёт снег.",
    "Η γάτα κάθεται στο παράθυρο και κοιτάζει τον δρόμο.",
    "视频中的人在做什么？他正在打开一个红色的盒子。选择正确的答案。",
    "ビデオの中の男の人は何をしていますか。猫が窓のそばにいます。",
    "비디오에서 남자는 무엇을 하고 있습니까? 고양이가 창가에 있습니다.",
    "القط يجلس على النافذة وينظر إلى الشارع.",
    "वीडियो में आदमी क्या कर रहा है? बिल्ली खिड़की पर बैठी है।",
    "😀 😂 👍🏽 👨‍👩‍👧‍👦 ❤️ 🇩🇪 100% — “quoted” … ½ ² Ⅷ €5 £3 → ≤ ≠",
]

TRICKY = [
    # nothing, blanks, line ends
    " ", "  ", "   ", "\n", "\n\n", "\r\n", "\r", "\t", "\t\t x", " \n", "\n ", " \n ", "\n \n x", "x \n y", "a \n\n b",
    "end \n ",
    "a  b", "a   b   ", "   lead", "trail   ", "tab\tx", "\x0b\x0c x", "a\r\n\r\nb", "a\n\r\n b", " \r \n \r", "x\t \ty",
    "\n" * 40 + " " * 40,
    "a\u0085b", "\u0085\u0085", "a\u00a0b", "\u00a0\u00a0x", "a\u1680b", "a\u180eb", "\u180e\u180e x", "a\u2000\u2001\u200ab",
    "a\u2028b\u2029c",
    "a\u202fb", "a\u205fb", "a\u3000b", "\u3000\u3000字", "a\u200bb", "\u200b\u200b", "a\u2060b", "\ufeffa", "a \u00a0\n\u2003 b",
    "a\x1cb\x1db\x1ec\x1fd", " \x1c \x1f ", "\x01\x02\x03", "\x7f\x80\x9f\xad", "a\x85\n\x85", "\x1b[31mred\x1b[0m",
    # contractions
    "I'm", "I'M", "don't DON'T", "we've they're he'll she'd it's", "IT'S 'Tis 'twas", "'llama 'sword 'remember 'vet", "''s '''t",
    "x'ſ y'ſ", "'ſ'S's", "rock'n'roll", "it\u2019s don\u2019t", "'", "''", "a'", "' s", "'d'd'd", "'Re'rE'RE",
    "\u212a'\u212a", "o'clock's",
    # letters, digits, punctuation
    "12.34", "1234567890", "a1b2c3", "x²y³", "½¼¾", "ⅧⅨ", "①②③", "٠١٢٣", "１２３", "१२३", "一二三", "$5 %x", "_a_b", "__init__",
    "a-b--c---d",
    "...!?", "a...\n\nb", "(a) [b] {c}", "x=y+z;", "\"quoted\"", "#tag @user", "C++ C#", "a.b.c", "e.g. i.e.",
    "http://example.org/a?b=c&d=%20",
    " !", " !!\n", "!\n\n!", "! \n", "-1 -2", "a/b\\c", "~`^|", "€£¥", "a€b", "<html>&amp;</html>", "\\n \\t", "1,000,000.00",
    # composed and decomposed
    "e\u0301", "a\u0301", "cafe\u0301 cafe\u0301s", "A\u030a Å \u212b", "o\u0302\u0301", "o\u0301\u0302", "q\u0307\u0323",
    "q\u0323\u0307",
    "\u0301a", "a \u0301b", "\u0301\u0301", "\u1100\u1161\u11a8", "\ud55c\uae00", "\u1112\u1161\u11ab\u1100\u1173\u11af",
    "\uac00\u11a8",
    "\u0958", "\u0915\u093c", "\u2126\u212a\u212b", "\u1e9b\u0323", "\ufb01", "\u00c5ngstro\u0308m", "s\u0323\u0307",
    "\u0344", "\u0f73\u0f71",
    "\u2adc", "\U0001d15e", "\U0001d157\U0001d165", "\u09c7\u09be", "\u0b47\u0b56", "\u1025\u102e", "\U000110a5\U000110ba",
    "\uf900\u8c48",
    "a\u0316\u0300\u0316\u0300", "\u0e40\u0e01\u0e33", "n\u0303 N\u0303", "=\u0338 <\u0338 >\u0338", "\u05e9\u05c1\u05bc",
    "\u05e9\u05bc\u05c1",
    "a\u0315\u0300\u05ae\u0062", "\u0061\u0300\u0315\u05ae\u0062", "\u1e0a\u0323", "\u0044\u0323\u0307",
    "\u0044\u031b\u0323\u0307",
    # marks that came after Unicode 9, by which the reference normalizes
    "a\u1dfa\u0323", "a\u0323\u1dfa\u0301", "a\U00010f50\u0301", "\U00011935\U00011930", "\U00011938", "x\u08ca\u0345\u0898",
    # scripts
    "Straße GROẞ", "naïve façade", "Ελλάδα ς", "Привет, мир", "שלום עולם", "مرحبا بالعالم", "नमस्ते दुनिया", "สวัสดีชาวโลก",
    "你好，世界", "こんにちは世界",
    "안녕하세요 세계", "tiếng Việt", "İstanbul ı i", "ŉ ǆ ǅ Ǆ", "𝒳𝒴𝒵 𝟙𝟚", "𐍈𐌰", "ᏣᎳᎩ", "ဗမာစာ", "ქართული", "հայերեն", "𠀀𠀁", "ꙮ",
    "ʼn", "ªº", "ـــ",
    # emoji and joiners
    "😀", "😀😀 😀", "👍🏽", "👨‍👩‍👧‍👦", "🇩🇪🇫🇷", "❤️", "a😀b", "1️⃣", "☺︎", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "x\u200dy", "e\u20dd", "\ufe0f",
    "\ue000\uf8ff", "\U000f0000", "\ufffd", "\ufffe\uffff",
    # added tokens, and what looks like them
    "<|endoftext|>", "<|im_start|>user\nhi<|im_end|>\n", "<image>", "<image>\nWhat?", "a<image>b", " <image> ",
    "<image><image>", "<|im_start|",
    "|im_start|>", "< |im_start|>", "<image", "image>", "<<image>>", "<|im_start|><|im_end|>", "<|IM_START|>", "<Image>",
    "<ima<image>ge>",
    "x <|im_end|> y", "\n<|im_end|>\n", "e<image>\u0301", "<image>\u0338", "<\u0338image>", "<|im_<|im_end|>", "it<image>'s",
    "  <image>  x",
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n<image>\nWhat is the man doing?<|im_end|>\n<|im_start|>assistant\n",
    # long
    "a" * 300, "ab" * 200, "the " * 100, " " * 300 + "x",
    "\n " * 100, "1" * 100, "!" * 200, "the" * 100, "e\u0301" * 80, "猫" * 60, "\u0301" * 70,
    "in the video" * 20, "aaaaabaaaaab" * 20,
]


def random_texts(rng):
    """Random texts over alphabets that stress one rule each."""
    assigned = [chr(c) for c in range(1, 0x30000) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]
    marks = [c for c in assigned if unicodedata.combining(c)]
    later = [c for c in marks if ord(c) > 0x10000 or unicodedata.ucd_3_2_0.category(c) == "Cn"]
    alphabets = [
        [chr(c) for c in range(1, 128)],
        list(" \n\r\t\u00a0\u3000\u0085x"),
        list("'sStTrReEvVmMlLdDſ x"),
        list("aeiouAEO ") + rng.sample(marks, 12),
        list("aeiouAEO ") + rng.sample(marks, 4) + rng.sample(later, 8),
        [c for c in assigned if ord(c) < 0x800],
        assigned,
        list("thevidonsa ") + [" the", " in", "ing"],
        list("\u1100\u1161\u1162\u11a8\u11a9\uac00\uac01 "),
        list("12½Ⅷ٣.,- a\n"),
        ADDED + list("<|>im_ \n\u0301a"),
    ]
    for alphabet in alphabets:
        for length in (3, 5, 8, 12, 20, 30, 45, 60):
            yield "".join(rng.choice(alphabet) for _ in range(length))


def make_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), behavior="isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in ADDED])
    return tokenizer


def make_case(tokenizer, text):
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    case = {"text": text, "ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=True)}
    if not any(token in text for token in ADDED):
        split = pre_tokenizers.Split(Regex(PATTERN), behavior="isolated", invert=False)
        case["pieces"] = [piece for piece, _ in split.pre_tokenize_str(tokenizer.normalizer.normalize_str(text))]
    return case


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"), pretty=True)
    tokenizer.model.save(str(folder))
    added = {token.content: i for i, token in sorted(tokenizer.get_added_tokens_decoder().items())}
    (folder / "added_tokens.json").write_text(json.dumps(added, indent=2) + "\n")
    texts = list(dict.fromkeys(SENTENCES + TRICKY + list(random_texts(random.Random(4)))))
    for text in texts:
        assert all(unicodedata.category(c) != "Cn" or c in "\ufffe\uffff" for c in text), repr(text)
    lines = [json.dumps(make_case(tokenizer, text)) for text in texts]
    made_by = f"tools/oracle/record_tokenizer.py with tokenizers {tokenizers.__version__}"
    (folder / "cases.json").write_text(json.dumps({"made_by": made_by})[:-1] + ', "cases": [\n' + ",\n".join(lines) + "\n]}\n")
    print(f"{tokenizer.get_vocab_size()} ids, {len(texts)} cases")


if __name__ == "__main__":
    main()
