"""What nobody should send: texts that break whoever takes too much for granted of JSON and gzip."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import cache

from hypothesis import strategies as st

MIB = 1024 * 1024
# As much as fits into the largest request that a stage can take.
LARGE = 5 * MIB - 1_000

# JSON texts of one value, or what is meant to pass for one, by what is wrong or odd about them.
VALUES: dict[str, bytes] = {
    "arrays that never end": b"[" * 100_000,
    "arrays in arrays": b"[" * 100_000 + b"]" * 100_000,
    "objects in objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "as deep as can be read": b'[{"a":' * 90 + b"1" + b"}]" * 90,
    "as deep as can be stored": b"[" * 149 + b"]" * 149,
    "one level too many": b"[" * 151 + b"]" * 151,
    "NaN": b"NaN",
    "infinity": b"-Infinity",
    "a number beyond floats": b"1e999",
    "a negative number beyond floats": b"-1E+400",
    "a number below floats": b"1e-999",
    "a float of many digits": b"0." + b"1234567890" * 500,
    "the longest integer": b"-" + b"9" * 4_300,
    "a longer integer": b"9" * 4_301,
    "an integer of a million digits": b"1" * 1_000_000,
    "minus zero": b"-0",
    "an octal number": b"0123",
    "a lone surrogate": rb'"\ud800"',
    "surrogates in the wrong order": rb'"\udc00\ud800"',
    "a surrogate in UTF-8": b'"\xed\xa0\x80"',
    "no UTF-8": b'"\xff\xfe"',
    "UTF-8 that is too long": b'"\xc0\xaf"',
    "UTF-8 that is cut off": b'"\xe2\x82"',
    "NUL": rb'"a\u0000b"',
    "a raw NUL": b'"a\x00b"',
    "a raw line break": b'"a\nb"',
    "what XML has not": rb'"\ufffe\uffff\u001f"',
    "a character of four bytes": '"🎉"'.encode(),
    "equal keys": b'{"a":1,"a":{"b":2},"a":[3]}',
    "a key of 10 kB": b'{"' + b"k" * 10_000 + b'":1}',
    "a key that is a lone surrogate": rb'{"\udfff":1}',
    "a key with NUL": rb'{"\u0000":{"":{}}}',
    "keys of Python": b'{"__class__":1,"__proto__":{"a":1},"self":2,"$ref":"#"}',
    "50,000 keys": b"{" + b",".join(b'"%d":1' % n for n in range(50_000)) + b"}",
    "50,000 values": b"[" + b",".join([b"null"] * 50_000) + b"]",
    "a text of 5 MiB": b'"' + b"n" * LARGE + b'"',
    "nothing": b"",
    "a comment": b"1 /* one */",
    "single quotes": b"'a'",
    "a comma too many": b"[1,]",
}

# Whole texts, by what is odd about them.
TEXTS: dict[str, bytes] = {
    "nothing": b"",
    "white space of 5 MiB": b" \n" * (LARGE // 2),
    "NUL": b"\x00",
    "a BOM": b'\xef\xbb\xbf{"name":"app/a"}',
    "UTF-16": '{"name":"app/a"}'.encode("utf-16"),
    "UTF-32": '{"name":"app/a"}'.encode("utf-32"),
    "Latin-1": '{"name":"app/ä"}'.encode("latin-1"),
    "two texts": b'{"name":"app/a"}{"name":"app/a"}',
    "a text that is cut off": b'{"name":"app/a","data":{"n":',
    "a million tiny events": b"[" + b",".join([b"{}"] * 1_000_000) + b"]",
    "tiny events, one too many": b"[" + b",".join([b'{"name":"a"}'] * 5_001) + b"]",
    "200,000 names": b"{" + b",".join([b'"name":"a"'] * 200_000) + b"}",
    "a form": b"name=app%2Fa&data=%7B%7D",
    "a number": b"1",
    "null": b"null",
    "events in events": b'[[{"name":"app/a"}]]',
    "binary": bytes(range(256)) * 40,
    "gzip": gzip.compress(b'{"name":"app/a"}', mtime=0),
}


@cache
def bomb(megabytes: int = 50) -> bytes:
    """So many MB of spaces, as gzip: a thousandth of that."""
    return gzip.compress(b" " * (megabytes * 1_000_000), mtime=0)


def _damage(damage: Callable[[bytes], bytes]) -> bytes:
    return damage(gzip.compress(b'{"name":"app/a"}', mtime=0))


# What says that it is gzip, by what is odd about it.
GZIPS: dict[str, bytes] = {
    "nothing": b"",
    "no gzip": b'{"name":"app/a"}',
    "cut off": _damage(lambda data: data[:-6]),
    "a header alone": _damage(lambda data: data[:10]),
    "a wrong checksum": _damage(lambda data: data[:-8] + b"\0\0\0\0" + data[-4:]),
    "a wrong length": _damage(lambda data: data[:-4] + b"\xff\xff\xff\xff"),
    "a wrong byte": _damage(lambda data: data[:14] + b"\xff" + data[15:]),
    "more behind it": _damage(lambda data: data + b"more"),
    "two of them": _damage(lambda data: data + data),
    "gzip in gzip": _damage(lambda data: gzip.compress(data, mtime=0)),
    "of nothing": gzip.compress(b"", mtime=0),
    "of 5 MiB of spaces": gzip.compress(b" " * LARGE, mtime=0),
    "a bomb": bomb(),
    "a bomb in a bomb": gzip.compress(bomb(), mtime=0),
}

_SHORT = [value for value in VALUES.values() if len(value) <= 20_000]
_KEYS = st.sampled_from([b"a", b"name", b"data", b"", rb"\u0000", rb"\ud800", b"k" * 300])


def _joined(parts: list[bytes]) -> bytes:
    return b",".join(parts)


def _object(pairs: list[tuple[bytes, bytes]]) -> bytes:
    # Keys may come twice.
    return b"{" + b",".join(b'"' + key + b'":' + value for key, value in pairs) + b"}"


# Texts that are JSON, or nearly so, with something hostile at any place in them.
JSON_TEXTS: st.SearchStrategy[bytes] = st.recursive(
    st.sampled_from([b"null", b"1", b'"x"', b"{}", b"true", *_SHORT]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: b"[" + _joined(parts) + b"]")
        | st.lists(st.tuples(_KEYS, inner), max_size=3).map(_object)
    ),
    max_leaves=5,
)


def members(values: dict[str, bytes]) -> bytes:
    """The text of an object whose members have hostile values."""
    return _object([(key.encode(), value) for key, value in values.items()])


def in_place(value: bytes, template: dict[str, object]) -> bytes:
    """The JSON text of a value in which the text "HERE" is replaced by a hostile one."""
    return json.dumps(template).encode().replace(b'"HERE"', value)
