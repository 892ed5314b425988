"""The issuer of tokens that the settings name."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Issuer:
    """A trusted issuer of tokens, and the claims that are read."""

    url: str
    audience: str
    jwks_url: str | None = None
    """The URL of its keys, by default found through the issuer's OpenID configuration."""
    scope_claim: str = "scope"
    scope_names: Mapping[str, str] = field(default_factory=dict)
    """The claim's values to our scopes, separated by spaces. By default our scopes' own names."""
    filter_claims: Mapping[str, str] = field(default_factory=dict)
    """Claims that narrow the documents their holder sees, to the attributes they stand for."""
    leeway: int = 30
    """Maximum difference of clocks, in seconds."""
