"""Words: the vocabulary, and the prompts, which are those of the program for benchmark videomme under the profile `toksweep`."""

import functools
import itertools

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

VOCABULARY = 640  # rows of the embedding: bytes, merges, added tokens, padding
ADDED = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>"]
SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SHAPES = ["disc", "square", "triangle", "star", "cross", "ring"]
COLOURS = ["red", "green", "blue", "yellow", "orange", "purple", "white", "cyan"]
FAMILIES = ["plain", "gradient", "stripes", "mosaic"]
EDGES = ["left", "right", "top", "bottom"]

BEFORE = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
INTRO = ("\nSelect the best answer to the following multiple-choice question based on the video and the subtitles. "
         "Respond with only the letter (A, B, C, or D) of the correct option.\n")
CLOSE = "<|im_end|>\n<|im_start|>assistant\n"
CHOOSE = "\nAnswer with the option's letter from the given choices directly."
SAY = "\nAnswer in words."
SMALL_WORDS = "What Which How is are the there on did does which color shape shapes number lit lasted flash nearest".split()


def choice(text, options, brief=False):
    """A question as the program asks it, behind INTRO. Brief: without the words that are always the same, for the beginning of training."""
    listed = f"{text}\n" + "\n".join(f"{letter}. {option}" for letter, option in zip("ABCD", options))
    return listed + CLOSE if brief else f"{listed}\n{CHOOSE}{CLOSE}"


def plain(text, brief=False):
    """The same without options: only for training."""
    return text + CLOSE if brief else f"{text}\n{SAY}{CLOSE}"


def terse(text):
    """The words of a question that tell it from others, and nothing behind them: the answer follows at once. Only for training."""
    return "".join(f" {word}" for word in text.rstrip("?").replace(",", "").split() if word not in SMALL_WORDS)


def corpus():
    prompt = BEFORE + INTRO + CHOOSE + SAY + CLOSE
    yield from itertools.repeat(prompt.replace("<|im_start|>", "").replace("<|im_end|>", ""), 40)
    names = [SHAPES, COLOURS, FAMILIES, EDGES, [str(n) for n in range(10)]]
    questions = ["What color is the {0}?", "Which shape is {1}?", "Which number is on the sign?", "Which edge is the {0} nearest?",
                 "How many {1} shapes are there?", "Which color did the border flash?", "Which color lit the bar longest?",
                 "What color does the {0} turn?", "Which background lasted longest?"]
    for k in range(48):
        for question in questions:
            yield question.format(SHAPES[k % 6], COLOURS[k % 8])
        for group in names:
            word = group[k % len(group)]
            yield f"A. {word}\nB. {word}\nC. {word}\nD. {word}"


@functools.cache
def tokenizer():
    """Byte-level BPE in Qwen2's file format. Made from the words above, the same each time."""
    made = Tokenizer(models.BPE(ignore_merges=False))
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(SPLIT), "isolated"),
                                                  pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    made.decoder = decoders.ByteLevel(add_prefix_space=False, use_regex=False)
    made.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=VOCABULARY - len(ADDED), show_progress=False,
                                                           initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    made.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in ADDED])
    return made


@functools.lru_cache(1 << 16)
def ids(text):
    return tokenizer().encode(text, add_special_tokens=False).ids


@functools.lru_cache(1 << 16)
def choice_ids(text, options, brief=False):
    """ids of choice(), and the places of the last ids of the question and of each option."""
    asked = tokenizer().encode(choice(text, options, brief), add_special_tokens=False)
    ends, at = [], len(text)
    for option in ("", *options):
        at += len("\nA. ") + len(option) if ends else 0
        ends.append(next(k for k, (_, end) in enumerate(asked.offsets) if end == at))
    return asked.ids, ends
