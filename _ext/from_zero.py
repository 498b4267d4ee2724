"""Number chapters from 0, as their files are: 00_tour is chapter 0, and its first figure is Figure 0.1."""

from docutils import nodes
from sphinx.environment.collectors.toctree import TocTreeCollector


def setup(app) -> dict:
    app.setup_extension("sphinx_multitoc_numbering")
    from_one = TocTreeCollector.assign_section_numbers

    def from_zero(self, env) -> list[str]:
        from_one(self, env)
        for page, numbers in env.toc_secnumbers.items():
            for anchor, number in numbers.items():
                numbers[anchor] = number and (number[0] - 1, *number[1:])
            titled = [env.titles[page], *env.tocs[page].findall(nodes.reference)]
            for number in {id(n): n for n in (node.get("secnumber") for node in titled) if n}.values():
                number[0] -= 1                          # a page's title shares its list with the table of contents
        return list(env.toc_secnumbers)

    TocTreeCollector.assign_section_numbers = from_zero
    return {"parallel_read_safe": True, "parallel_write_safe": True}
