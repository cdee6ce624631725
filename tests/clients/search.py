"""Looks for values of which only digests are given: who searches is not to be handed what is searched for.

A digest is SHA-256, in hexadecimal, of PIECE characters of a value that consists of letters, digits, `-` and `_`. It is
looked for as it is, and as URLs, JSON, base64 and hexadecimal would have it.
"""

import base64
import hashlib
import os
import pathlib
import re

PIECE = 36
PLAIN = re.compile(rb"[A-Za-z0-9_-]{%d,}" % PIECE)
# Of what makes a piece at least; both alphabets, without line breaks.
BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{%d,}" % (PIECE * 4 // 3))
HEXADECIMAL = re.compile(rb"[0-9A-Fa-f]{%d,}" % (2 * PIECE))
URL = re.compile(rb"%([0-9A-Fa-f]{2})")
JSON = re.compile(rb"\\u00([0-9A-Fa-f]{2})")


def spellings(content):
    """The content, and what it is if it is another spelling of bytes."""
    yield "plain", content
    for name, mark, escape in (("URL", b"%", URL), ("JSON", b"\\u00", JSON)):
        if mark in content:
            yield name, escape.sub(lambda found: bytes([int(found[1], 16)]), content)
    for run in BASE64.findall(content):
        standard = run.replace(b"-", b"+").replace(b"_", b"/")
        # Where in a group of four it begins is not known; the last group may be a part, of two at least.
        for skip in range(4):
            text = standard[skip:]
            text = text[: len(text) - (len(text) % 4 == 1)]
            yield "base64", base64.b64decode(text + b"=" * (-len(text) % 4))
    for run in HEXADECIMAL.findall(content):
        for skip in range(2):
            yield "hexadecimal", bytes.fromhex(run[skip : skip + (len(run) - skip) // 2 * 2].decode())


def found(content, digests):
    """The spellings in which a value is in the content."""
    seen = set()
    for name, text in spellings(content):
        for run in PLAIN.findall(text):
            pieces = (run[at : at + PIECE] for at in range(len(run) - PIECE + 1))
            if any(hashlib.sha256(piece).hexdigest() in digests for piece in pieces):
                seen.add(name)
    return sorted(seen)


def files(top, but=()):
    """Every file below a directory that can be read, with its content."""
    for place, directories, names in os.walk(top):
        directories[:] = [directory for directory in directories if os.path.join(place, directory) not in but]
        for name in names:
            path = os.path.join(place, name)
            # Not what never ends, such as a pipe.
            if os.path.isfile(path):
                try:
                    yield path, pathlib.Path(path).read_bytes()
                except OSError:
                    continue
