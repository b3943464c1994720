"""Words for the micro model: the text its tokenizer is trained on, its prompts and the answers it is fitted to."""

CHATML = ("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n<image>\n{question}<|im_end|>\n"
          "<|im_start|>assistant\n")

CHOICE_ENDS = ["Answer with the option's letter from the given choices directly.",
               "Respond with only the letter (A, B, C, or D) of the correct option.\nThe best answer is:",
               "Only give the best option."]
STEMS = ["What is the color of the {noun}?", "How many times does the {noun} appear in the video?",
         "Where is the {noun} in relation to the {noun2}?", "What happens after the {noun} {verb}?",
         "Which of the following statements about the {noun} is not correct?", "Who is holding the {noun} at the beginning?",
         "Why does the {noun} {verb}?", "In which order do the {noun} and the {noun2} appear?"]
OPEN_QUESTIONS = ["Describe the video.", "What happens in the video?", "Please describe the {noun} in detail."]

ADJECTIVES = ["small", "large", "bright", "dark", "quiet", "old", "round", "narrow"]
NOUNS = ["man", "woman", "child", "dog", "car", "ball", "table", "house"]
VERBS = ["walks", "jumps", "turns", "falls", "waits", "opens", "moves", "sings"]
PLACES = ["in the kitchen", "on the street", "near the window", "under the tree", "at the beach", "behind the door",
          "in front of the stage", "next to the river"]
OTHERS = ["red", "green", "blue", "yellow", "white", "black", "one", "two", "three", "four", "left", "right", "above", "below",
          "before", "after", "first", "last", "player", "game", "city", "water", "hand", "people", "picture", "screen", "shirt",
          "True", "False", "Yes", "No", "because", "between", "with", "without", "begins", "ends", "video", "frames", "question"]
TIME = ("The video lasts for {0}.{1:02} seconds, and {2} frames are uniformly sampled from it. These frames are located at "
        "0.00s,1.00s,2.00s.Please answer the following questions related to this video.\n")


def sentence(rng):
    """A caption from eight classes each of adjective, noun, verb and place."""
    return caption(*rng.integers(0, 8, 6))


def caption(adjective, noun, verb, place, adjective2, noun2):
    return (f"The {ADJECTIVES[adjective]} {NOUNS[noun]} {VERBS[verb]} {PLACES[place]}, and then the {ADJECTIVES[adjective2]} "
            f"{NOUNS[noun2]} {VERBS[(verb + noun2) % 8]} {PLACES[(place + adjective2) % 8]}. After that, the {NOUNS[noun]} "
            f"{VERBS[(verb + 1) % 8]} with the {NOUNS[noun2]}.")


def fill(template, rng):
    noun, noun2, verb = rng.integers(0, 8, 3)
    return template.format(noun=NOUNS[noun], noun2=NOUNS[noun2], verb=VERBS[verb])


def choice_question(rng):
    words = [str(rng.choice(ADJECTIVES + NOUNS + VERBS + PLACES + OTHERS)) for _ in range(4)]
    options = "\n".join(f"{letter}. {word.capitalize()}" for letter, word in zip("ABCD", words))
    return f"{fill(str(rng.choice(STEMS)), rng)}\n{options}\n{rng.choice(CHOICE_ENDS)}"


def open_question(rng):
    return fill(str(rng.choice(OPEN_QUESTIONS)), rng)


def corpus(rng, lines=1500):
    for i in range(lines):
        text = choice_question(rng) if i % 3 else open_question(rng)
        yield "system\nYou are a helpful assistant.\nuser\n\n" + text + "\nassistant\n" + " ".join(rng.choice(OTHERS, 3))
        yield sentence(rng)
        if i % 10 == 0:
            yield TIME.format(*rng.integers(1, 99, 3))
