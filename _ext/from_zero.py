"""Number chapters from 0, as their files are: 00_tour is chapter 0, and its first figure is Figure 0.1."""

from docutils import nodes
from sphinx_external_toc.collectors import TocTreeCollectorWithStyles as Collector

from_one = Collector.assign_section_numbers


def from_zero(self, env) -> list[str]:
    """What the table of contents numbers from 1, one less: in titles, in contents, for figures and equations."""
    from_one(self, env)
    for page, numbers in env.toc_secnumbers.items():
        for anchor, number in numbers.items():
            numbers[anchor] = number and (number[0] - 1, *number[1:])
        for node in [env.titles[page], *env.tocs[page].findall(nodes.reference)]:
            if number := node.get("secnumber"):
                node["secnumber"] = [number[0] - 1, *number[1:]]
    return list(env.toc_secnumbers)


def setup(app) -> dict:
    Collector.assign_section_numbers = from_zero
    return {"parallel_read_safe": True, "parallel_write_safe": True}
