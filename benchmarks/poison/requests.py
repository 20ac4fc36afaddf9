"""What broken clients send: requests that are wrong in every layer, from the connection up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from benchmarks.http.client import form, request
from benchmarks.poison.pictures import BrokenPictures

T = TypeVar("T")

Then = Literal["answer", "wait", "end", "cut", "slow", "deaf"]
"""What the client does after the last byte. `answer`: waits for the answer, which must come. `wait`: waits some
seconds for what may come. `end`: closes its sending side, then waits. `cut`: breaks the connection. `slow`: sends a
byte a second until the server answers or closes. `deaf`: reads nothing for some seconds."""

MEGABYTE = bytes(2**20)
_IMAGE = {"content_type": "image/jpeg"}
_FORM = "multipart/form-data; boundary=b"


@dataclass(frozen=True)
class Broken:
    """A broken request and its kind for the report; `again`: its connection can be used for the next request."""

    kind: str
    pieces: list[bytes]
    then: Then = "answer"
    again: bool = True


class Poison:
    """Makes broken requests by number; one number gives the same request each time."""

    def __init__(self, photographs: Sequence[bytes]) -> None:
        self._pictures = BrokenPictures(photographs)
        self._ways: list[tuple[int, Callable[[np.random.Generator], Broken]]] = [
            (30, self._mutated),
            (15, self._made),
            (4, self._empty),
            (4, self._wrong_type),
            (6, self._broken_form),
            (6, self._wrong_length),
            (6, self._bad_chunks),
            (8, self._cut),
            (6, self._parameters),
            (6, self._no_http),
            (4, self._other_routes),
            (1, self._too_large),
            (2, self._slow),
            (1, self._deaf),
            (1, self._silent),
        ]
        weights = np.array([weight for weight, _ in self._ways])
        self._shares = weights / weights.sum()

    def request(self, number: int) -> Broken:
        """The broken request of this number."""
        rng = np.random.default_rng(number)
        return self._ways[rng.choice(len(self._ways), p=self._shares)][1](rng)

    def _mutated(self, rng: np.random.Generator) -> Broken:
        return Broken("mutated picture", _upload(self._pictures.mutated(int(rng.integers(2**31))), rng))

    def _made(self, rng: np.random.Generator) -> Broken:
        kind = _one_of(list(self._pictures.made), rng)
        return Broken(kind, _upload(_one_of(self._pictures.made[kind], rng), rng))

    def _empty(self, rng: np.random.Generator) -> Broken:
        kind = _one_of(("image/jpeg", "application/octet-stream", _FORM), rng)
        return Broken("empty body", request([], content_type=kind))

    def _wrong_type(self, rng: np.random.Generator) -> Broken:
        kinds = ("text/plain", "application/json", "application/x-www-form-urlencoded", "x", "a/b; c=\xe9", ";;;")
        body = _one_of((self._pictures.whole, b'{"image": null}', b""), rng)
        return Broken("wrong content type", request([body], content_type=_one_of(kinds, rng)))

    def _broken_form(self, rng: np.random.Generator) -> Broken:
        whole, picture = b"".join(form(self._pictures.whole, "b")), b"--b\r\n" + _disposition("image")
        field = b"--b\r\n" + _disposition("a") + b"\r\nx\r\n"
        bodies = (
            whole[: int(rng.integers(len(whole)))],
            whole[: -int(rng.integers(3, 9))],
            whole[int(rng.integers(1, 100)) :],
            whole.replace(b"--b", b"--c"),
            whole.replace(b'name="image"', b'name="picture"'),
            whole.replace(b'; filename="picture.jpg"', b""),
            whole.replace(b"image/jpeg", b"text/html"),
            whole[:-5] + whole,
            field * 17 + whole,
            field * 100_000 + b"--b--\r\n",
            picture + b"A: " + b"x" * 5000 + b"\r\n\r\nx\r\n--b--\r\n",
            picture + b"A: x\r\n" * 9 + b"\r\nx\r\n--b--\r\n",
            picture + b"\r\n\r\n--b--\r\n",
            b"--b\r\nContent-Disposition: form-data; name*=UTF-8''%ff%fe\r\n\r\nx\r\n--b--\r\n",
            b"no boundary in here",
            rng.bytes(500),
        )
        kinds = (_FORM, _FORM, _FORM, "multipart/form-data", "multipart/form-data; boundary=" + 300 * "x")
        return Broken("broken form", request([_one_of(bodies, rng)], content_type=_one_of(kinds, rng)))

    def _wrong_length(self, rng: np.random.Generator) -> Broken:
        whole = self._pictures.whole
        if rng.random() < 0.3:
            length = _one_of(("-1", "abc", "1e3", "", "9" * 30, "0x10", "5, 6", "5\r\nContent-Length: 6"), rng)
            return Broken("Content-Length that is none", request([whole], length=length, **_IMAGE))
        off = int(rng.integers(1, 2000))
        if rng.random() < 0.5:
            return Broken(
                "Content-Length too small", request([whole], length=str(len(whole) - off), **_IMAGE), again=False
            )
        then: Then = _one_of(("wait", "end"), rng)
        return Broken("Content-Length too large", request([whole], length=str(len(whole) + off), **_IMAGE), then)

    def _bad_chunks(self, rng: np.random.Generator) -> Broken:
        head = _chunked_head()
        good = b"400\r\n" + self._pictures.whole[:1024] + b"\r\n"
        bad = _one_of(
            (
                b"zz\r\nxx\r\n0\r\n\r\n",
                b"-5\r\nxxxxx\r\n0\r\n\r\n",
                b"f" * 40 + b"\r\nx",
                b"5\r\nxxxxxxxxxx\r\n0\r\n\r\n",
                b"5;" + b"a=b;" * 5000 + b"\r\nxxxxx\r\n0\r\n\r\n",
                b"0\r\nA: " + b"x" * 50_000 + b"\r\n\r\n",
                b"\r\n\r\n\r\n",
                rng.bytes(200),
            ),
            rng,
        )
        return Broken("bad chunks", [head, good * int(rng.integers(3)), bad], _one_of(("wait", "end", "cut"), rng))

    def _cut(self, rng: np.random.Generator) -> Broken:
        whole = b"".join(request(form(self._pictures.whole)))
        at = int(rng.integers(1, 300 if rng.random() < 0.5 else len(whole)))
        # Sometimes all of it is sent, and the client leaves while the answer is computed.
        cut = whole if rng.random() < 0.25 else whole[:at]
        return Broken("cut in the middle", [cut], _one_of(("cut", "cut", "end"), rng))

    def _parameters(self, rng: np.random.Generator) -> Broken:
        ks = ("0", "-1", "1001", "9" * 4000, "ten", "", "1.5", "NaN", "%00", "10%0d%0aX:y", "\xff")
        boxes = (
            "",
            "0,0,0,0",
            "nan,0,1,1",
            "1,1,1,1",
            "a,b,c,d",
            "0,0,1e-9,1e-9",
            "0,0,2,2",
            "-1,0,1,1",
            "9" * 300,
        )
        points = ("2,2", "inf,nan", "", "0", "0.5,0.5&box=0,0,1,1")
        queries = [f"k={k}" for k in ks] + [f"box={box}" for box in boxes] + [f"at={point}" for point in points]
        target = f"/recommend?{_one_of(queries, rng)}"
        return Broken("unknown k, box or at", request([self._pictures.whole], target=target, **_IMAGE))

    def _no_http(self, rng: np.random.Generator) -> Broken:
        garbage = (
            b"hello\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET /\x80 HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
            b"POST /recommend HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"CONNECT host:443 HTTP/1.1\r\n\r\n",
            b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nA: " + b"x" * 40_000 + b"\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + b"A: x\r\n" * 8000 + b"\r\n",
        )
        if rng.random() < 0.7:
            return Broken("no HTTP", [_one_of(garbage, rng)])
        return Broken("random bytes", [rng.bytes(int(rng.integers(1, 5000)))], "wait")

    def _other_routes(self, rng: np.random.Generator) -> Broken:
        method, target = _one_of(
            (
                ("DELETE", "/sounds"),
                ("PUT", "/recommend"),
                ("POST", "/livez"),
                ("GET", "/recommend"),
                ("GET", "/nothing"),
                ("GET", "/sounds/%00"),
                ("GET", "/sounds/..%2f..%2fetc%2fpasswd"),
                ("GET", "/page/..%2fapp.py"),
                ("GET", "/sounds?material=nothing"),
                ("GET", "/sounds?limit=-1&offset=99999999999999999999"),
                ("GET", "/sounds?cursor=WzEsMl0&q=%00"),
                ("GET", "/sounds/5feceb66ffc86f38d952/similar?folder=&diversity=nan"),
                ("GET", "/sounds.zip?id=..%2f..%2fetc%2fpasswd"),
                ("POST", "/similar"),
                # In the index, but its file is missing.
                ("GET", "/sounds/5feceb66ffc86f38d952"),
                ("BREW", "/"),
            ),
            rng,
        )
        return Broken(
            "wrong route", request([b"x" * int(rng.integers(2000))], method=method, target=target), "wait"
        )

    def _too_large(self, rng: np.random.Generator) -> Broken:
        if rng.random() < 0.5:
            return Broken("too large", request([MEGABYTE], length=str(40 * 2**20), **_IMAGE), again=False)
        chunk = b"100000\r\n"
        return Broken("too large", [_chunked_head(), *[chunk, MEGABYTE, b"\r\n"] * 33, b"0\r\n\r\n"], "wait")

    def _slow(self, rng: np.random.Generator) -> Broken:
        head = b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n"
        return Broken("a byte a second", [head + _one_of((b"\r\n", b"A: "), rng)], "slow")

    def _deaf(self, rng: np.random.Generator) -> Broken:
        asked = _one_of(
            (b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 50, b"".join(request([self._pictures.whole]))), rng
        )
        return Broken("reads no answer", [asked], "deaf")

    def _silent(self, rng: np.random.Generator) -> Broken:
        return Broken("says nothing", [_one_of((b"", b"\r\n", b"GET "), rng)], "deaf")


def _one_of(choices: Sequence[T], rng: np.random.Generator) -> T:
    return choices[int(rng.integers(len(choices)))]


def _upload(picture: bytes, rng: np.random.Generator) -> list[bytes]:
    return request(form(picture)) if rng.random() < 0.5 else request([picture], **_IMAGE)


def _chunked_head() -> bytes:
    lines = (
        "POST /recommend HTTP/1.1",
        "Host: x",
        "Content-Type: image/jpeg",
        "Transfer-Encoding: chunked",
        "",
        "",
    )
    return "\r\n".join(lines).encode()


def _disposition(name: str) -> bytes:
    return f'Content-Disposition: form-data; name="{name}"; filename="x"\r\n'.encode()
