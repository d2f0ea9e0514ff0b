"""Ed25519 as RFC 8032 defines it, from its formulas (sections 5.1 and 6): slow, and enough for vectors.

`sign_with` lets its caller choose what an honest signer would not, so that there are signatures to be refused.
"""

import hashlib

P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)
IDENTITY = (0, 1, 1, 0)


def recover_x(y, sign):
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    assert (x * x - square) % P == 0, "no point"
    return P - x if x % 2 != sign else x


def point(x, y):
    return x, y, 1, x * y % P


BASE = point(recover_x(4 * pow(5, P - 2, P) % P, 0), 4 * pow(5, P - 2, P) % P)


def add(one, other):
    a, b = (one[1] - one[0]) * (other[1] - other[0]) % P, (one[1] + one[0]) * (other[1] + other[0]) % P
    c, d = 2 * one[3] * other[3] * D % P, 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(scalar, of):
    total = IDENTITY
    while scalar:
        if scalar & 1:
            total = add(total, of)
        of, scalar = add(of, of), scalar >> 1
    return total


def encode(of):
    inverse = pow(of[2], P - 2, P)
    x, y = of[0] * inverse % P, of[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decode(data):
    number = int.from_bytes(data, "little")
    y = number & (1 << 255) - 1
    return point(recover_x(y % P, number >> 255), y % P)


def number(data):
    return int.from_bytes(hashlib.sha512(data).digest(), "little") % L


def expand(seed):
    """The secret scalar and the prefix."""
    digest = bytearray(hashlib.sha512(seed).digest())
    digest[0] &= 248
    digest[31] = digest[31] & 127 | 64
    return int.from_bytes(digest[:32], "little"), bytes(digest[32:])


def public(seed):
    return encode(times(expand(seed)[0], BASE))


def sign(seed, message):
    scalar, prefix = expand(seed)
    return sign_with(scalar, public(seed), number(prefix + message), message)


def sign_with(scalar, key, nonce, message, shift=IDENTITY):
    """A signature whose R is moved by `shift`."""
    first = encode(add(times(nonce, BASE), shift))
    return first + ((nonce + number(first + key + message) * scalar) % L).to_bytes(32, "little")


def holds(key, message, signature, cofactor=1):
    """The equation alone, both sides times `cofactor`: which rules of strictness a signature breaks is not asked."""
    first, last = decode(signature[:32]), int.from_bytes(signature[32:], "little")
    right = add(first, times(number(signature[:32] + key + message), decode(key)))
    return encode(times(cofactor * last, BASE)) == encode(times(cofactor, right))


def small_order_point():
    """A point of order 8."""
    y = 2
    while True:
        try:
            found = times(L, point(recover_x(y, 0), y))
        except AssertionError:
            found = IDENTITY
        if encode(times(4, found)) != encode(IDENTITY):
            return found
        y += 1
