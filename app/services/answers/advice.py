"""Turns the faults of an answer into plain advice that an 11B model can follow."""

import re
from collections.abc import Iterator, Sequence

_BOX = re.compile(r"\b(?:box|bbox)(?:\.\d+)?$")
_MANY = 3
"""Maximum number of places named for the same fault."""

_PLAIN = (
    (r"Field required", "missing, add it"),
    (r"Input should be less than or equal to (\S+)", r"too large, at most \1"),
    (r"Input should be greater than or equal to (\S+)", r"too small, at least \1"),
    (r"Input should be a valid (?:number|integer).*", "write a number, in digits"),
    (r"Input should be a valid string.*", "write a text in quotes"),
    (r"Input should be a valid boolean.*", "write true or false"),
    (r"Input should be a valid list.*", "write a list in [ ]"),
    (r"Input should be a valid dictionary.*", "write an object in { }"),
    (r"Input should be (.+)", r"write \1"),
    (r"(?:String|Value) should have at least 1 (?:character|item).*", "empty, fill it in"),
    (r"String should have at most (\d+) characters?", r"too long, at most \1 characters"),
    (r"List should have at most (\d+) items?.*", r"too many entries, at most \1"),
    (r"List should have at least (\d+) items?.*", r"too few entries, at least \1"),
    (r".* is not a number", "write one number, in digits"),
    (r".* is less than the minimum of (\S+)", r"too small, at least \1"),
    (r".* is less than or equal to the minimum of (\S+)", r"too small, more than \1"),
    (r".* is greater than or equal to the maximum of (\S+)", r"too large, less than \1"),
    (r".* is greater than the maximum of (\S+)", r"too large, at most \1"),
    (r'"" is shorter than .*', "empty, fill it in"),
    (r".* is longer than (\d+) characters?", r"too long, at most \1 characters"),
    (r".* has more than (\d+) items?", r"too many entries, at most \1"),
    (r".* has less than (\d+) items?", r"too few entries, at least \1"),
    (r".* has non-unique elements", "entries come twice, write each once"),
    (r'"([^"]+)" is a required property', r"\1 is missing, add it"),
)
_OF_TYPE = re.compile(r".* is not of types? (.+)")
_TYPES = {
    "number": "a number, in digits",
    "integer": "a number, in digits",
    "string": "a text in quotes",
    "boolean": "true or false",
    "array": "a list in [ ]",
    "object": "an object in { }",
}
_NO_OBJECT = re.compile(r"no JSON object|no object", re.IGNORECASE)
_SHARES = (
    "write shares of the picture, 0 to 1: divide left and right by its width in pixels, top and "
    "bottom by its height"
)


def advice(faults: Sequence[str]) -> str:
    """Return the advice, one line for each kind of fault."""
    places: dict[str, list[str]] = {}
    for fault in faults:
        place, wish = _parted(fault)
        places.setdefault(wish, []).append(place)
    return "\n".join(_lines(places))


def _parted(fault: str) -> tuple[str, str]:
    """Return the place of a fault, empty if it has none, and the advice for that place."""
    if _NO_OBJECT.search(fault):
        return "", "Write the object alone: no words before or behind it."
    place, colon, message = fault.partition(": ")
    if not colon or not re.fullmatch(r"the object|[^\s:]+", place):
        return "", fault
    if _BOX.search(place) and "equal to" in message:
        return place.rpartition(".")[0] if place[-1:].isdigit() else place, _SHARES
    if names := _OF_TYPE.fullmatch(message):
        kinds = (_TYPES.get(name) for name in re.findall(r"\w+", names[1]))
        return place, f"write {' or '.join(dict.fromkeys(kind for kind in kinds if kind))}"
    for pattern, wish in _PLAIN:
        if match := re.fullmatch(pattern, message):
            return place, match.expand(wish)
    return place, message


def _lines(places: dict[str, list[str]]) -> Iterator[str]:
    for wish, at in places.items():
        named = list(dict.fromkeys(place for place in at if place))
        more = " and others" if len(named) > _MANY else ""
        where = f"{', '.join(named[:_MANY])}{more}"
        yield f"{where}: {wish}" if where else wish
