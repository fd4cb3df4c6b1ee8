# Values that cross between the answer and its tests: plain data only, copied. An object of any other class arrives as
# one that equals nothing, so that no answer can bring an equality of its own into the tests.
import builtins

MANY = 1_000_000


class Opaque:
    pass


def pack(value, strict=False):
    def each(values):
        return [pack(item, strict) for item in values]

    if value is None or isinstance(value, bool):
        return value
    for plain in (int, float, str):
        if isinstance(value, plain):
            return plain(value)
    if isinstance(value, complex):
        return ["complex", value.real, value.imag]
    if isinstance(value, (bytes, bytearray)):
        return ["bytes", bytes(value).hex()]
    if isinstance(value, range):
        return ["range", value.start, value.stop, value.step]
    if isinstance(value, dict):
        return ["dict", each(list(value)), each(list(value.values()))]
    for kind in (list, tuple, set, frozenset):
        if isinstance(value, kind):
            return [kind.__name__, each(value)]
    if isinstance(value, (type({}.keys()), type({}.values()), type({}.items()))):
        return ["list", each(value)]
    if hasattr(value, "__next__"):
        items = []
        for item in value:
            items.append(item)
            if len(items) > MANY:
                raise ValueError(f"an iterator of more than {MANY} items")
        return ["iterator", each(items)]
    if isinstance(value, type) and getattr(builtins, value.__name__, None) is value:
        return ["builtin", value.__name__]
    if strict:
        raise TypeError(f"a value of type {type(value).__name__} cannot be handed to the answer")
    return ["opaque"]


def unpack(packed):
    if not isinstance(packed, list):
        return packed
    kind, rest = packed[0], packed[1:]
    if kind == "complex":
        return complex(*rest)
    if kind == "bytes":
        return bytes.fromhex(rest[0])
    if kind == "range":
        return range(*rest)
    if kind == "opaque":
        return Opaque()
    if kind == "builtin":
        found = getattr(builtins, str(rest[0]), None)
        return found if isinstance(found, type) else Opaque()
    values = [unpack(item) for item in rest[0]]
    if kind == "dict":
        return dict(zip(values, map(unpack, rest[1])))
    return {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset, "iterator": iter}[kind](values)
