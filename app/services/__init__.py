"""Use cases. They know the domain, neither HTTP nor AWS."""
