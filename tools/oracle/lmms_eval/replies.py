"""Made-up replies of a model, hard to read a letter from: the same for the same seed, on any machine with this version of Python."""
import random

import rows

BLANKS = ["\t", "\n", "\v", "\f", "\r", "\x1c", "\x1d", "\x1e", "\x1f", "\x85", "\xa0", "\u1680", "\u2000", "\u2007", "\u200a", "\u2028",
          "\u2029", "\u202f", "\u205f", "\u3000"]
NOT_BLANKS = ["\u180e", "\u200b", "\u2060", "\ufeff", "\xad", "\x08", "\x7f"]
LETTERS = list("ABCDE") * 6 + list("abcde") * 2 + list("FGHXZ")
LOOKALIKES = list("ＡＢＣＤａⒶⒷⅭⅮⅠАВСЕΑΒΕ𝐀𝑩𝒞🄰🅱ÅÇÉåçªᴬ₂²½٣३甲") + [
    "A\u0301", "C\u0327", "\u0301B", "e\u0301", "\u212b", "\u0130", "\u1e9e", "\u01c5"]
PREFIXES = ["The best answer is", "The correct answer is", "The answer is", "The answer", "The best option is", "The correct option is",
            "Best answer:", "Best option:", "The best option isThe correct option is", "Best answer:Best option:", "the answer is",
            "THE ANSWER IS", "answer is", "My answer is", "I choose", "i select", "I pick", "my choice is", "The correct choice is",
            "the choice is", "Answer:", "Option", "옵션", "정답은", "답은 ", "답:", "答案是", "答案为", "选", "答えは", "选择", "Antwort:",
            "İ think the answer is", "\u0130\u0130 answer is", "ANSWER İS", "The answer is not", "The answer  is", "The\u00a0answer is"]
WORDS = ["man", "Both", "Each", "Because", "A", "a", "an", "DVD", "NBA", "CD", "ABBA", "Adam", "Eve", "cab", "bead", "red", "I", "is",
         "the", "of", "to", "and", "or", "not", "none", "N/A", "B2", "C3PO", "3D", "2", "1,000", "3.5", "0.5", "10:30", "e.g.", "i.e.",
         "U.S.A.", "It's", "I'd", "don't", "'em", "E-mail", "A/C", "B_1", "_A_", "C++", "D&D", "naïve", "Éric", "Çay", "öl", "ΟΔΟΣ",
         "ΑΣ", "café", "选项", "男人", "はい", "예", "да", "Да", "😀", "👩\u200d🚀", "wrong", "correct", "option", "video", "because", "then"]
ENDS = ["", "", "", ".", ",", "!", "?", ";", ":", "'", "\"", "...", ".)", ")", "。", "！", "*", "`", "”", "]", "</s>", "<|im_end|>", "\n",
        " ."]
SHAPES = ["%s", "%s.", "(%s)", "%s)", "(%s", "%s:", "[%s]", "{%s}", "<%s>", "**%s**", "*%s*", "__%s__", "_%s_", "`%s`", "\"%s\"",
          "'%s'", "“%s”", "（%s）", "【%s】", "「%s」", "$\\boxed{%s}$", "%s,", "%s;", "%s/", "/%s", "-%s", "%s-", "- %s", "%s?", "#%s",
          "%s %s", "%s, %s", "%s/%s", "%s and %s", "%s or %s", "(%s) or (%s)", "%s.%s.", "%s\n%s", "%s,%s", "not %s but %s", "%s=%s",
          "%s>%s", "@%s", "%s\\", "%s%s", "Option %s", "option (%s)", "Choice %s:", "%s is right", "%s because", "It's %s",
          "I'd say %s", "%s 1,5", "1,%s", "%s. ", "%s.  x", "%s.\nx", "%s.x", "%s . x", ".%s", "..%s..", "%s.\u2028x", "(%s).", "%s).",
          "%s.)", "((%s))", "%s))", ")%s(", "%s\u3000%s", "%s\u200b", "%s\u00a0"]
THOUGHTS = ["<think>maybe A</think>", "<think>", "</think>", "<analysis>B or C</analysis>", "<analysis>", "</analysis>",
            "<THINK>x</THINK>", "<think></think>", "<think>a<think>b</think>c</think>", "</think><think>", "<thinking>D</thinking>",
            "< think >", "<think>\n\n</think>\n\n", "</analysis><think>E</think>", "<think><analysis>A</think>B</analysis>"]
SENTENCES = ["Based on the video, %s", "A man opens the door. %s", "Looking at the frames, I see a cup (red). %s", "Let me think. %s",
             "Video /data/Cache/%s.mp4 can not load, check the source", "%s\nExplanation: A is wrong, and so is (B).",
             "Question: which? %s", "The person in the video looks at the door and then %s",
             "there is no way to tell, since nobody speaks in this clip %s", "first of all it is clear that nothing moves here, so %s",
             "%s is what happens after the first half of this short clip", "I would go for %s, as the others can be ruled out",
             "!!!!!!!!!!!!!!!!%s", "```\n%s\n```", "1. %s\n2. none", "| %s | yes |", "# %s", "> %s"]

CONTENTS = ["in the end of the clip %s", "%s is what the baby does in the end", "i see that %s and that %s", "%s then %s",
            "i really do think that it is %s.", "one can see %s, then again %s, and %s"]


class Replies:
    def __init__(self, seed):
        self.rnd = random.Random(seed)

    def pick(self, pool):
        return pool[self.rnd.randrange(len(pool))]

    def letter(self):
        return self.pick(LETTERS) if self.rnd.random() < 0.85 else self.pick(LOOKALIKES)

    def filled(self, shapes, fill):
        shape = self.pick(shapes)
        return shape % tuple(fill() for _ in range(shape.count("%s")))

    def shaped(self):
        return self.filled(SHAPES, self.letter)

    def option(self, options):
        text = self.pick(options)
        return self.pick([text, text.lower(), text.upper(), text[:-1], text + " " + self.pick(options), self.letter() + ". " + text,
                          "(" + self.letter() + ") " + text])

    def soup(self):
        joiners = [" "] * 8 + ["", "", "\n", "\n\n", ". ", ", ", self.pick(BLANKS), self.pick(NOT_BLANKS)]
        pools = [WORDS] * 6 + [LETTERS, PREFIXES, LOOKALIKES]
        return "".join(self.pick(self.pick(pools)) + self.pick(joiners) for _ in range(self.rnd.randrange(1, 14)))

    def small(self):
        return "".join(self.pick("ABEabe.):(' \"\n-,1x") for _ in range(self.rnd.randrange(0, 7)))

    def content(self, options):
        """A sentence without a capital letter of an option, so that the options' texts decide."""
        return self.filled(CONTENTS, lambda: self.pick(options)).lower()

    def core(self, options):
        kind = self.rnd.randrange(8)
        if kind == 0:
            return self.small()
        if kind == 1:
            return self.pick(PREFIXES) + self.pick(["", " ", " ", ": ", "\n", " option "]) + self.shaped()
        if kind == 2:
            return self.option(options)
        if kind == 3:
            return self.soup()
        if kind == 4:
            return self.filled(SENTENCES, self.pick([self.shaped, lambda: self.option(options), self.soup]))
        if kind == 5:
            between = [". ", ", not ", "\n", " "]
            return self.pick(PREFIXES) + " " + self.shaped() + self.pick(between) + self.pick(PREFIXES) + " " + self.shaped()
        return self.shaped()

    def reply(self, options):
        text = self.core(options) + self.pick(ENDS)
        if self.rnd.random() < 0.06:
            text = self.pick(THOUGHTS) + self.pick(["", " ", "\n"]) + text
        if self.rnd.random() < 0.04:
            text += self.pick(THOUGHTS)
        if self.rnd.random() < 0.15:
            text = self.pick(BLANKS + NOT_BLANKS) + text
        if self.rnd.random() < 0.15:
            text += self.pick(BLANKS + NOT_BLANKS)
        return text

    def long(self, options):
        """Up to 10 kB: one reply over and over, with others before and after."""
        middle = self.pick([self.soup(), self.reply(options), "abc ", "(", "x", "no letter here, ", "A ", " )"]) or "-"
        return self.reply(options) + middle * (self.rnd.randrange(500, 9000) // len(middle.encode()) + 1) + self.reply(options)


def shorts():
    """Every text of up to two of the characters that the rules look at."""
    alphabet = "ABEFabe.):(' \"\n,"
    return [""] + list(alphabet) + [a + b for a in alphabet for b in alphabet]


def option_sets():
    plain = [["clap proudly", "the lady sitting down", "lay on floor", "just picked it up", "crawl"],
             ["yes", "no", "none", "A", "the"], ["to play", "play", "to play with a dog", "dog", "ΟΔΟΣ"], ["", "x", "y", "a", "İ"],
             ["red", "Red car", "a red car (old)", "1,000", "3.5"]]
    return plain + [[text.strip() for text in options] for options in rows.OPTIONS]


def cases(seed, n, with_options=False):
    """n replies with the options they were given to, as (response, options). Where options do not matter only the first set is used."""
    made, sets = Replies(seed), option_sets()
    for i, text in enumerate(shorts()):
        yield text, sets[i % len(sets)] if with_options else sets[0]
    for i in range(n - len(shorts())):
        options = made.pick(sets) if with_options else sets[0]
        if i % 150 == 0:
            yield made.long(options), options
        elif with_options and i % 4 == 0:
            yield made.content(options), options
        else:
            yield made.reply(options), options
