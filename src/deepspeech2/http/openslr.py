"""Where OpenSLR and its mirrors are."""

MIRRORS = (
    "https://www.openslr.org/resources",
    "https://us.openslr.org/resources",
    "https://openslr.elda.org/resources",
    "https://openslr.trmal.net/resources",
)
"""Base addresses; ``/<resource>/<file>`` follows."""
