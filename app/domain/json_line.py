"""JSON that stays on one line when a text is split by Unicode's rules."""

# U+0085, U+2028 and U+2029 in UTF-8: no line ends of server-sent events or of JSON lines, but
# Python's `splitlines` and what is built on it, such as `iter_lines` of requests, end lines there.
_UNICODE_LINE_ENDS = (
    (b"\xc2\x85", b"\\u0085"),
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
)


def on_one_line(json: bytes) -> bytes:
    """Return ``json`` with line ends of Unicode escaped: it holds them within texts only."""
    if json.isascii():
        return json
    for line_end, escaped in _UNICODE_LINE_ENDS:
        json = json.replace(line_end, escaped)
    return json
