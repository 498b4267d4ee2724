"""The bibliography names its entries as the text cites them, "Ouyang et al., 2022", in the order of those names."""

from pybtex.plugin import register_plugin
from pybtex.style.formatting.unsrt import Style
from pybtex.style.labels import BaseLabelStyle
from pybtex.style.sorting import BaseSortingStyle


def cited(entry) -> str:
    """The name under which an entry is cited, as sphinxcontrib-bibtex writes it."""
    names = [" ".join([*person.prelast_names, *person.last_names]) for person in entry.persons["author"]]
    who = names[0] if len(names) == 1 else " and ".join(names) if len(names) == 2 else f"{names[0]} et al."
    return f"{who}, {entry.fields['year']}"


class Labels(BaseLabelStyle):
    def format_labels(self, sorted_entries):
        return map(cited, sorted_entries)


class Sorting(BaseSortingStyle):
    def sorting_key(self, entry):
        return cited(entry).lower()


class Named(Style):
    default_label_style = Labels
    default_sorting_style = Sorting


def setup(app) -> dict:
    register_plugin("pybtex.style.formatting", "named", Named)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
