"""Keeps JSON on one line for readers that split lines by Unicode's rules."""

# U+0085, U+2028 and U+2029 in UTF-8 do not end lines of server-sent events or JSON lines, but
# Python's `splitlines`, and code such as `iter_lines` of requests, ends lines there.
_UNICODE_LINE_ENDS = (
    (b"\xc2\x85", b"\\u0085"),
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
)


def on_one_line(json: bytes) -> bytes:
    """Return ``json`` with Unicode's line ends escaped, which occur only within its texts."""
    if json.isascii():
        return json
    for line_end, escaped in _UNICODE_LINE_ENDS:
        json = json.replace(line_end, escaped)
    return json
