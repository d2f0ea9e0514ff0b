"""Strict Ed25519 (section 3.5 of docs/format.md): RFC 8032 without the cofactor, no point of small order, nothing not canonical.

Verification alone, so nothing here need be quick or take the same time for every input.
"""

import functools
import hashlib

P = (1 << 255) - 19
ORDER = (1 << 252) + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)


def decompress(data):
    """The point (X, Y, Z, T) of 32 bytes, or None."""
    y, sign = int.from_bytes(data, "little") & (1 << 255) - 1, data[31] >> 7
    if y >= P:
        return None
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if v * x * x % P == -u % P:
        x = x * ROOT_OF_MINUS_1 % P
    if v * x * x % P != u or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def plus(p, q):
    """The complete formula of RFC 8032, section 5.1.4."""
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def twice(p):
    a, b, c = p[0] * p[0], p[1] * p[1], 2 * p[2] * p[2]
    h = a + b
    e = h - (p[0] + p[1]) ** 2
    g = a - b
    f = c + g
    return e * f % P, g * h % P, f * g % P, e * h % P


def is_neutral(p):
    return p[0] % P == 0 and (p[1] - p[2]) % P == 0


BASE = decompress((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def combined(s, k, point):
    """s · base + k · point, both at once from the highest bit."""
    both, total = plus(BASE, point), (0, 1, 1, 0)
    for bit in reversed(range(max(s.bit_length(), k.bit_length()))):
        total = twice(total)
        if step := (s >> bit & 1) + 2 * (k >> bit & 1):
            total = plus(total, (None, BASE, point, both)[step])
    return total


@functools.lru_cache(maxsize=64)
def public_key(data):
    """The negated point of a key, or None where it is no key that is allowed."""
    point = decompress(data) if len(data) == 32 else None
    if point is None or is_neutral(twice(twice(twice(point)))):
        return None
    return -point[0] % P, point[1], 1, -point[3] % P


def verifies(key, message, signature):
    """Whether the 64 bytes are the key's signature of the message."""
    negated = public_key(key)
    if negated is None or len(signature) != 64:
        return False
    first, s = decompress(signature[:32]), int.from_bytes(signature[32:], "little")
    if first is None or s >= ORDER or is_neutral(twice(twice(twice(first)))):
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    found = combined(s, k, negated)
    return (found[0] - first[0] * found[2]) % P == 0 and (found[1] - first[1] * found[2]) % P == 0
