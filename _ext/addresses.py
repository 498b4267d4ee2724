"""Where the book is published follows from its repository: github.com/NAME/REPO is read at NAME.github.io/REPO/."""

from urllib.parse import urlsplit


def pages_of(repository: str) -> str:
    """The address of the published book."""
    owner, name = urlsplit(repository).path.strip("/").removesuffix(".git").split("/")
    return f"https://{owner.lower()}.github.io/" + ("" if name == f"{owner}.github.io" else f"{name}/")


def use_address(app, config) -> None:
    """Canonical links, the sitemap and the social cards."""
    config.html_baseurl = config.ogp_site_url = pages_of(config.html_theme_options["repository_url"])


def setup(app) -> dict:
    app.connect("config-inited", use_address)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
