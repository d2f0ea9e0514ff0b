"""Vectors for section 3.5: signatures that are good, and ones that each break one rule of strict Ed25519."""

import chancery_spec as spec
import ed25519
import messages

DOMAIN = b"chancery.signature.v1\0"
RFC_8032_TEST_1 = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
RFC_8032_KEY_1 = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"


def cases():
    assert ed25519.public(bytes.fromhex(RFC_8032_TEST_1)).hex() == RFC_8032_KEY_1
    source, made = messages.Source("signatures"), []

    def case(name, key, event, value, good=False, alg="ed25519"):
        made.append({"name": name, "key": key.hex(), "event_digest": event.hex(), "alg": alg, "value": value.hex(), "good": good})

    for seed in (bytes.fromhex(RFC_8032_TEST_1), source.fresh(32), source.fresh(32)):
        event = spec.event_digest(spec.Event(source.envelope()).envelope)
        value = ed25519.sign(seed, DOMAIN + event)
        assert ed25519.holds(ed25519.public(seed), DOMAIN + event, value)
        case("good", ed25519.public(seed), event, value, good=True)
    key, other = ed25519.public(seed), source.fresh(32)
    case("another_event", key, other, value)
    case("another_key", ed25519.public(other), event, value)
    case("another_algorithm", key, event, value, alg="ed25519ph")
    case("no_domain", key, event, ed25519.sign(seed, event))
    case("another_domain", key, event, ed25519.sign(seed, b"chancery.event.v1\0" + event))
    case("too_short", key, event, value[:-1])
    case("too_long", key, event, value + b"\0")
    case("a_bit_of_r_flipped", key, event, bytes([value[0] ^ 1]) + value[1:])
    case("a_bit_of_s_flipped", key, event, value[:32] + bytes([value[32] ^ 1]) + value[33:])
    s = int.from_bytes(value[32:], "little") + ed25519.L
    case("s_not_reduced", key, event, value[:32] + s.to_bytes(32, "little"))
    loose(case, seed, event)
    return made


def loose(case, seed, event):
    """What a verifier that is not strict would take."""
    message, torsion = DOMAIN + event, ed25519.small_order_point()
    identity = ed25519.encode(ed25519.IDENTITY)
    anything = identity + bytes(32)
    for name, key in (("key_is_the_identity", identity), ("key_of_order_8", ed25519.encode(torsion))):
        assert ed25519.holds(key, message, anything, cofactor=8)
        case(name, key, event, anything)
    unreduced = (ed25519.P + 1).to_bytes(32, "little")
    assert ed25519.holds(unreduced, message, anything)
    case("key_is_the_identity_unreduced", unreduced, event, anything)
    scalar, prefix = ed25519.expand(seed)
    key, nonce = ed25519.public(seed), ed25519.number(prefix + message)
    value = ed25519.sign_with(scalar, key, nonce, message, shift=torsion)
    assert ed25519.holds(key, message, value, cofactor=8) and not ed25519.holds(key, message, value)
    case("good_only_with_the_cofactor", key, event, value)
    value = ed25519.sign_with(scalar, key, 0, message)
    assert ed25519.holds(key, message, value)
    case("r_is_the_identity", key, event, value)
    mixed = ed25519.encode(ed25519.add(ed25519.decode(key), torsion))
    value = ed25519.sign_with(scalar, mixed, nonce, message)
    assert ed25519.holds(mixed, message, value, cofactor=8)
    case("key_of_mixed_order", mixed, event, value, good=ed25519.holds(mixed, message, value))
