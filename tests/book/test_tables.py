from instructgpt_lite.book.tables import of_words, with_intervals
from instructgpt_lite.judging.intervals import Interval


def test_every_number_has_its_interval_and_what_was_not_measured_is_empty():
    table = with_intervals({"base": {"gold": Interval(0.123, 0.1, 0.149), "loss": Interval(2.0, 2.0, 2.0)},
                            "few-shot": {"gold": Interval(0.5, 0.444, 0.556), "loss": None}})
    assert table.loc["base"].tolist() == ["0.12 (0.10 to 0.15)", "2.00"]
    assert table.loc["few-shot"].tolist() == ["0.50 (0.44 to 0.56)", ""]


def test_columns_keep_their_order_where_a_row_lacks_one():
    table = with_intervals({"a": {"x": Interval(1, 0, 2)}, "b": {"x": Interval(1, 0, 2), "y": Interval(3, 2, 4)}},
                           digits=0)
    assert list(table.columns) == ["x", "y"]
    assert table.loc["a", "y"] == ""


def test_words_stay_words():
    table = of_words(["prompt", "gold"], [("Is *this* a|b\nhere?", 0.5), ("<b>{term}`x`</b> $1", "")]).data.split("\n")
    assert table == ["| prompt | gold |", "| --- | --- |", r"| Is \*this\* a\|b here? | 0.50 |",
                     r"| \<b\>\{term\}\`x\`\</b\> \$1 |  |"]
