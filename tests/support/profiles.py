"""Small colour profiles (ICC.1:2001-04), written by hand: of grey, of inks, and of wide RGB."""

import struct

_D50 = (0.9642, 1.0, 0.8249)


def grey_profile(gamma: float) -> bytes:
    """A profile of grey with a gamma."""
    return _profile(b"GRAY", b"XYZ ", {b"wtpt": _xyz(_D50), b"kTRC": _curve(gamma)})


def wide_profile() -> bytes:
    """A profile of RGB wider than sRGB: about Adobe RGB (1998)."""
    return _profile(
        b"RGB ",
        b"XYZ ",
        {
            b"wtpt": _xyz(_D50),
            b"rXYZ": _xyz((0.6097, 0.3111, 0.0195)),
            b"gXYZ": _xyz((0.2053, 0.6257, 0.0609)),
            b"bXYZ": _xyz((0.1492, 0.0632, 0.7446)),
            b"rTRC": _curve(2.2),
            b"gTRC": _curve(2.2),
            b"bTRC": _curve(2.2),
        },
    )


def ink_profile() -> bytes:
    """A profile of CMYK whose first ink is not cyan but red."""
    paper, red, black = (255, 128, 128), (136, 198, 178), (20, 128, 128)
    inks = ((first, key) for first in (0, 1) for _ in range(4) for key in (0, 1))
    colours = b"".join(bytes(black if key else red if first else paper) for first, key in inks)
    identity = struct.pack(">9i", 65_536, 0, 0, 0, 65_536, 0, 0, 0, 65_536)
    ramp = bytes(range(256))
    table = b"mft1\0\0\0\0" + struct.pack(">BBBx", 4, 3, 2) + identity + ramp * 4 + colours + ramp * 3
    return _profile(b"CMYK", b"Lab ", {b"wtpt": _xyz(_D50), b"A2B0": table}, kind=b"prtr")


def _xyz(value: tuple[float, float, float]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(item * 65_536) for item in value))


def _curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"


def _profile(space: bytes, connection: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntr") -> bytes:
    tags = {b"desc": b"desc\0\0\0\0\0\0\0\x05test\0" + bytes(80), b"cprt": b"text\0\0\0\0none\0", **tags}
    offset = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    illuminant = struct.pack(">3i", *(round(item * 65_536) for item in _D50))
    head = struct.pack(">I4sI4s4s4s", offset + len(body), b"none", 0x02400000, kind, space, connection)
    head += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + illuminant
    return head.ljust(128, b"\0") + table + body
