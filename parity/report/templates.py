"""The page's templates, and what else of it is a file here."""

from importlib import resources

from jinja2 import Environment, StrictUndefined, Template


def template(name: str) -> Template:
    """Return a template of the page."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(resource(name))


def resource(name: str) -> str:
    """Return the text of a file in this folder."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
