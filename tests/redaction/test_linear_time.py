"""Bodies that are made to cost time take time that is linear in their size."""

import struct
import time
import zlib
from collections.abc import Callable

import pytest

from sessiontap.redaction import Redactor
from sessiontap.redaction.names_and_values import is_secret
from sessiontap.redaction.shapes import OTHERS, PREFIXES

KEY = b"ghp_" + b"a1B2" * 9


def again(piece: bytes) -> Callable[[int], bytes]:
    """The piece over and over; a number in between makes each window of the body another one."""

    def body(size: int) -> bytes:
        many = piece * (700 // len(piece) + 1)
        return b"".join(many + b" %d " % number for number in range(size // len(many) + 1))[:size]

    return body


def lines(line: Callable[[int], bytes], length: int) -> Callable[[int], bytes]:
    """A line for each number; `length` is about that of a line."""
    return lambda size: b"\n".join(line(number) for number in range(size // length))


def frame(headers: bytes, payload: bytes) -> bytes:
    """A frame of an AWS event stream."""
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    head = prelude + zlib.crc32(prelude).to_bytes(4) + headers + payload
    return head + zlib.crc32(head).to_bytes(4)


BODIES: dict[str, Callable[[int], bytes]] = {
    "names": again(b"password="),
    "names in quotes": again(b'"password":'),
    "open quotes": again(b'password="x '),
    "names without an end": again(b"password_"),
    "names alone": again(b"key "),
    "backslashes": again(b"\\"),
    "names and backslashes": again(b"secret=" + b"\\" * 60),
    "quotes": again(b"token='"),
    "spaces": again(b"password" + b" " * 30),
    "value": again(b"token\n  value "),
    "xml": again(b"<token>a"),
    "parts": again(b'"token"\r\nA: b\r\n'),
    "logins": again(b"login\\nlogin password "),
    "options": again(b"curl -u a:"),
    "options with passwords": again(b"curl -u a:b1!xyz "),
    "dashes": again(b" -u"),
    "urls": again(b"://a:"),
    "at signs": again(b"://a:b c@"),
    "many at signs": again(b"://a:" + b"b" * 200 + b"@" * 190),
    "two names": again(b"?key=&token="),
    "form": lambda size: b"key=" + b"a" * size,
    "dots": again(b"aaaaaa.aaaaaa"),
    "hex": again(b"0123456789abcdef"),
    "credentials": again(KEY + b" "),
    "braces": again(b'{"'),
}
PIECES: dict[str, Callable[[int], bytes]] = {
    "lists beside": again(b'"top_logprobs":[["token":"a'),
    "open lists": again(b'"logprobs":["top_logprobs":[{"token":"a"},'),
    "open lists and quotes": again(b'"top_logprobs":["'),
    "lists of tokens": again(b'"logprobs":{"tokens":["a",'),
    "tokens": lambda size: b'{"logprobs":[' + b'{"token":"%s ","bytes":[1],"top_logprobs":[{}]},' % KEY * (size // 90),
    "a large token": lambda size: b'{"logprobs":1,"token":"' + (KEY + b" ") * (size // 41) + b'"}',
    "choices": lines(lambda number: b'{"logprobs":1,"index":%d,"token":"%s"}' % (number, KEY), 90),
    "choices in turn": lambda size: b"\n".join(
        b'{"logprobs":1,"index":%d,"token":"%s"}' % (number, KEY[at : at + 4])
        for at in range(0, 40, 4)
        for number in range(size // 400)
    ),
    "events": again(b'data: {"index":1,"text":"ghp_"}\n'),
    "events of many choices": lines(lambda number: b'data: {"index":%d,"text":"%s"}' % (number, KEY), 70),
    "credentials in two events": again(b'data: {"text":"%s"}\ndata: {"text":"%s "}\n' % (KEY[:20], KEY[20:])),
    "an event of many strings": lambda size: b'[{"index":1,' + b'"text":"a b",' * (size // 13),
    "frames": lambda size: frame(b"", b"x") * (size // 17),
    "frames with credentials": lambda size: frame(b"", b'{"text":"%s "}' % KEY) * (size // 70),
    "frames with strings": lambda size: frame(b"\x01a\x07\x00\x29" + KEY + b" ", b"x") * (size // 60),
}
"""Bodies that hold credentials in pieces: they are searched as a whole, not in windows."""
HEADS = sorted({head for _, head, _ in PREFIXES} | {part.replace("\\", "") for _, part, _, _ in OTHERS})
SHAPES = {
    **{f"{head} without its rest": again(b"/" + head.encode()) for head in HEADS},
    **{f"{head} and letters": again(b"/" + head.encode() + b"a1B2" * 30) for head in HEADS},
    **{f"{head} and escapes": again(b"/" + head.encode() + b"\\/" * 200) for head in HEADS},
}


def spent(find: Callable[[], object]) -> float:
    """Seconds of this thread's own time, the smaller of two."""
    taken = []
    for _ in range(2):
        begun = time.thread_time()
        find()
        taken.append(time.thread_time() - begun)
    return min(taken)


@pytest.mark.parametrize(
    ("body", "size"),
    [
        *((body, 1 << 15) for body in BODIES.values()),
        *((body, 1 << 16) for body in PIECES.values()),
        *((body, 1 << 13) for body in SHAPES.values()),
    ],
    ids=[*BODIES, *PIECES, *SHAPES],
)
def test_the_time_is_linear_in_the_text(body: Callable[[int], bytes], size: int) -> None:
    """Four times as much takes about four times as long, and by no means sixteen times."""
    small, large = body(size), body(4 * size)

    taken = spent(lambda: Redactor(b"k" * 32).body(small))

    assert spent(lambda: Redactor(b"k" * 32).body(large)) < max(8 * taken, 0.05)


def test_a_value_of_many_words_is_judged_in_linear_time() -> None:
    def judge(words: int) -> Callable[[], object]:
        return lambda: [is_secret(b"a" + b"-v1" * words + b"!", "weak", "quoted") for _ in range(20)]

    assert spent(judge(18)) < 10 * spent(judge(12))
