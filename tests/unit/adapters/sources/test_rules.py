"""Which URLs pass the allow-list."""

import pytest

from app.adapters.sources.rules import UrlRules, parse
from app.domain.errors import ImageUrlNotAllowedError

RULES = UrlRules(("Images.example.com", "*.cdn.example.net", "files.example.com:8443"))

ALLOWED = [
    "https://images.example.com/cat.jpg",
    "https://IMAGES.example.com/cat.jpg",
    "https://images.example.com./cat.jpg",
    "https://images.example.com:443/cat.jpg?X-Signature=1#part",
    "https://a.cdn.example.net/x",
    "https://a.b.cdn.example.net/x",
    "https://files.example.com:8443/x",
]

REFUSED = [
    "http://images.example.com/cat.jpg",
    "ftp://images.example.com/cat.jpg",
    "file:///etc/passwd",
    "data:image/png;base64,AAAA",
    "gopher://images.example.com/",
    "images.example.com/cat.jpg",
    "//images.example.com/cat.jpg",
    "",
    "https://",
    "https:///cat.jpg",
    "https://images.example.com:8080/cat.jpg",
    "https://images.example.com:22/",
    "https://files.example.com/x",
    "https://cdn.example.net/x",
    "https://evilcdn.example.net/x",
    "https://images.example.com.evil.org/x",
    "https://evil.org/images.example.com",
    "https://images.example.com@evil.org/",
    "https://user:secret@images.example.com/",
    "https://evil.org#@images.example.com/",
    "https://evil.org\\@images.example.com/",
    "https://127.0.0.1/",
    "https://[::1]/",
    "https://2130706433/",
    "https://images.example.com\r\nX-Injected: 1/",
    "https://images.example.com:99999/",
]


@pytest.mark.parametrize("url", ALLOWED)
def test_urls_on_the_list_pass(url):
    RULES.check(parse(url))


@pytest.mark.parametrize("url", REFUSED)
def test_urls_outside_the_list_are_refused(url):
    with pytest.raises(ImageUrlNotAllowedError) as raised:
        RULES.check(parse(url))

    assert "secret" not in raised.value.detail


def test_http_passes_only_where_allowed_and_on_its_own_port():
    rules = UrlRules(("images.example.com",), allow_http=True)

    rules.check(parse("http://images.example.com/x"))
    with pytest.raises(ImageUrlNotAllowedError):
        rules.check(parse("http://images.example.com:443/x"))


def test_an_ipv6_address_can_be_listed_with_its_port():
    rules = UrlRules(("[2606:4700::1111]:8443",))

    rules.check(parse("https://[2606:4700::1111]:8443/x"))
    with pytest.raises(ImageUrlNotAllowedError):
        rules.check(parse("https://[2606:4700::1111]/x"))
