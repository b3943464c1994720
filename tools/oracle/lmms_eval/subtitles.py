"""Made-up subtitle files: .srt as Video-MME files them, .json as LongVideoBench does, well formed and not."""
import json
import random

FONT = '<font color="white" size=".72c">%s</font>'


def stamp(ms):
    return "%02d:%02d:%02d,%03d" % (ms // 3600000, ms // 60000 % 60, ms // 1000 % 60, ms % 1000)


def entries(times, texts, end="\n\n"):
    return "".join("%d\n%s --> %s\n%s%s" % (i + 1, stamp(a), stamp(b), text, end) for i, ((a, b), text) in enumerate(zip(times, texts)))


def even(n, step, length):
    return [(i * step, i * step + length) for i in range(n)]


def plain(n):
    return [FONT % ("line %d" % i) for i in range(n)]


def odd_times(texts):
    times = ["0:0:0,0 --> 0:0:4,5", "00:00:05,000  -->  00:00:08,000 ", " 00:00:09,000 --> 00:00:11,1000", "00:00:30,000 --> 00:00:20,000",
             "100:00:00,000 --> 100:00:01,000", "00:00:12,000 --> 00:90:00,000", "00:00:13,999 --> 00:00:14,001"]
    return "".join("%d\n%s\n%s\n\n" % (i + 1, time, texts[i]) for i, time in enumerate(times))


def srt_cases():
    """(what, bytes of the file or None, (fps, frames) or None). One question is asked on each."""
    rnd = random.Random(72)
    many = [(a, a + rnd.randrange(400, 9000)) for a in sorted(rnd.randrange(3_600_000) for _ in range(600))]
    fonts = [FONT % "kept", "no font: dropped", FONT % "first" + " " + FONT % "second of one line",
             '<font color="white" size="x72c">any</font>',
             '<font color="yellow" size=".72c">another colour</font>', '<font color="white" size=".72c">over\ntwo lines</font>',
             "before " + FONT % "" + " after", FONT % "<b>bold</b> &amp; </font> cut", "-\n" + FONT % "third line",
             FONT % "Ünï 字幕 \u3000\u2028 "]
    text = {
        "none": None,
        "plain": entries(even(20, 3000, 2500), plain(20)),
        "crlf": entries(even(12, 3000, 3000), plain(12)).replace("\n", "\r\n"),
        "cr": entries(even(5, 3000, 3000), plain(5)).replace("\n", "\r"),
        "fonts": entries(even(10, 2000, 2000), fonts),
        "hour": entries(many, [FONT % str(i) for i in range(600)]),
        "few-frames": entries(even(30, 100, 150), plain(30)),
        "one-frame": entries(even(3, 0, 1000), plain(3)),
        "twice": entries([(0, 900), (1000, 1900), (0, 900), (2000, 2900), (1000, 1900)], plain(5)),
        "overlap": entries([(0, 60000), (1000, 30000), (500, 45000), (29000, 29500)], plain(4)),
        "empty": "",
        "blank": "\n\n \n\n",
        "no-video": entries(even(4, 3000, 2500), plain(4)),
        "mark-and-tail": "\ufeff" + entries(even(6, 3000, 2500), plain(6)).rstrip("\n") + "\n   ",
        "short-sections": "WEBVTT\n\n1\n00:00:00,000 --> 00:00:02,000\n\n" + entries(even(3, 3000, 2500), plain(3)),
        "odd-times": odd_times(plain(7)),
        "extra-blank-line": entries(even(2, 3000, 2500), plain(2)) + "\n" + entries([(9000, 9900)], plain(1)),
        "dots": entries(even(2, 3000, 2500), plain(2)).replace(",", "."),
        "position": entries(even(2, 3000, 2500), plain(2)).replace(" --> ", " --> ", 1).replace("500\n", "500 X1:10 X2:20\n"),
        "no-arrow": entries(even(2, 3000, 2500), plain(2)).replace(" --> ", "-->"),
        "latin-1": b"1\n00:00:00,000 --> 00:00:02,500\n" + (FONT % "caf\u00e9").encode("latin-1") + b"\n\n",
    }
    videos = {"hour": (30000 / 1001, 107892), "few-frames": (23.976023976023978, 71), "one-frame": (25.0, 1), "no-video": None}
    for what, content in text.items():
        yield what, content.encode() if isinstance(content, str) else content, videos.get(what, (25.0, 1500))


def second(start, end, text):
    return {"timestamp": [start, end], "text": text}


def clock(start, end, text):
    return {"start": "00:%02d:%06.3f" % divmod(start, 60), "end": "00:%02d:%06.3f" % divmod(end, 60), "line": text}


def json_cases():
    """(name, duration, starting_timestamp_for_subtitles, text of the file or None)."""
    text = ["first", "second \"quoted\"", "第三\nwith a break", "<image>", " ", "", "sixth"]

    def listed(make, step, length, n):
        return [make(i * step, i * step + length, text[i % 7] + " %d" % i) for i in range(n)]

    cases = [
        ("seconds", 10.5, 0.0, listed(second, 1.25, 1.5, 8)),
        ("clock", 190.16, 0.0, listed(clock, 7.3, 6.25, 25)),
        ("whole-ends", 40.25, 0.0, [second(1, 5, "both whole"), second(1.0, 5, "end whole"), second(6, 9.0, "start whole"),
                                   second(2.0, None, "no end")]),
        ("later-start", 60.0, 120.5, listed(lambda a, b, t: second(a + 120.5, b + 120.5, t), 3.0, 2.75, 20)),
        ("short-ones", 320.0, 0.0, listed(second, 5.0, 0.5, 60)),
        ("no-entries", 33.0, 0.0, []),
        ("both-forms", 31.9, 0.75, listed(second, 2.5, 2.0, 5) + listed(clock, 14.0, 3.5, 3)),
        ("sixteen", 16.0, 0.0, listed(second, 2.0, 1.0, 8)),
        ("over-sixteen", 16.5, 0.0, listed(second, 2.0625, 1.03125, 8)),
        ("under-one", 0.9, 0.0, [second(0.0, 0.5, "no frame")]),
        ("unordered", 64.0, 0.0, [second(40.0, 44.0, "late"), second(1.0, 3.0, "early"), second(-9.0, -1.0, "before"),
                                  second(50.0, 45.0, "backwards"), second(60.0, 99.0, "past the end")]),
        ("exponents", 160.0, 0.0, '[{"timestamp": [1e1, 2E1], "text": "ten"}, {"timestamp": [3e1, 40], "text": "forty"}, '
                                  '{"timestamp": [-0.0, 15.00], "text": "zero", "more": {"a": [1]}}]'),
        ("on-frames", 64.0, 0.0, [second(4.0, 8.0, "between two frames"), second(8.0, 8.0, "on one"), second(7.0, 9.0, "around one")]),
        ("one-digit", 90.0, 0.0, [{"start": "0:0:1.5", "end": " 0:1:2 ", "line": "digits"}]),
        ("commas", 90.0, 0.0, [{"start": "00:00:01,500", "end": "00:00:03,000", "line": "not a number"}]),
        ("three-times", 90.0, 0.0, [{"timestamp": [1.0, 2.0, 3.0], "text": "too many"}]),
        ("no-text", 90.0, 0.0, [{"timestamp": [0.0, 20.0]}]),
        ("missing", 90.0, 0.0, None),
    ]
    for name, duration, start, content in cases:
        if isinstance(content, list):
            content = json.dumps(content, ensure_ascii=False, indent=1)
        yield name, duration, start, content
