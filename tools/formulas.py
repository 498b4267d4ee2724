"""The index of chapters/notation.md: every formula of the package with its source, its tests and its chapter.

    python tools/formulas.py            write it
    python tools/formulas.py --check    exit with 1 if it is not what it would be

Equations and the tests that say most are listed here; lines are looked up in the files, chapters in the notebooks.
"""

import ast
import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "chapters" / "notation.md"
BEGIN, END = "<!-- formulas: tools/formulas.py writes what follows -->", "<!-- end -->"


class Row(NamedTuple):
    """A formula: what it computes, the tests that say most about it, and the chapter meant to show it."""

    equation: str
    tests: list[str]
    chapter: str                     # in words; only told while no chapter shows the function


PREFERENCES, SURPRISE, PPO = "preferences", "relative surprise", "PPO"
FORMULAS = {
    "theory/bradley_terry.py": ("Preferences and the reward model", {
        "preference_probability": Row(r"$P(y_1 \succ y_2 \mid x) = \sigma(r_1 - r_2)$", [
            "preference_is_the_sigmoid_of_the_difference", "four_hundred_elo_points_are_odds_of_ten_to_one"],
            PREFERENCES),
        "reward_loss": Row(
            r"eq. (1): $-\frac1B \sum_x \frac1{|P_x|} \sum_{(w,l) \in P_x} \log\sigma(r_w - r_l)$, where $P_x$ are the "
            r"pairs of prompt $x$ that do not tie", [
                "an_indifferent_model_is_surprised_by_exactly_one_bit",
                "loss_accuracy_and_gradient_equal_the_loop_over_pairs",
                "prompts_weigh_the_same_however_many_pairs_they_have",
                "a_constant_added_to_a_prompts_rewards_changes_nothing"], PREFERENCES),
        "pair_accuracy": Row(r"share of the pairs in $P_x$ with $r_w > r_l$, equal rewards counting one half, "
                             r"averaged over prompts", [
            "loss_accuracy_and_gradient_equal_the_loop_over_pairs",
            "a_constant_reward_orders_half_of_the_pairs"], "the reward model"),
        "plackett_luce_logp": Row(r"$\log \prod_{k} \frac{p_{(k)}}{\sum_{l \ge k} p_{(l)}}$, with $p_{(k)} = e^{r}$ of "
                                  r"the response of rank $k$", [
            "plackett_luce_of_strengths_four_two_one", "of_two_responses_plackett_luce_is_bradley_terry",
            "eq_1_is_not_the_plackett_luce_likelihood"], PREFERENCES),
        "strengths": Row(r"$p_i \leftarrow \frac{\sum_j w_{ij}\, p_j / (p_i + p_j)}{\sum_j w_{ji} / (p_i + p_j)}$, "
                         r"$s_i = \log p_i$, until nothing moves {cite:p}`newman2023`", [
            "expected_wins_at_the_strengths_are_the_observed_wins", "strengths_equal_choix_and_zermelo",
            "items_that_no_finite_strength_fits_are_named"], PREFERENCES),
    }),
    "theory/choices.py": ("What comparisons tell", {
        "information": Row(r"$\mathcal I_{ij} = -n_{ij}\, \sigma(s_i - s_j)\, \sigma(s_j - s_i)$ for $i \ne j$, rows "
                           r"sum to 0", [
            "information_is_the_curvature_of_the_log_likelihood", "information_says_nothing_about_the_level"],
            PREFERENCES),
        "threshold_ties": Row(r"$P(\text{win}) = \sigma(s_i - s_j - t)$, $P(\text{loss}) = \sigma(s_j - s_i - t)$, the "
                              r"rest are ties", [
            "without_a_threshold_nothing_ties", "threshold_of_two_equals"], PREFERENCES),
        "shared_ties": Row(r"win : tie : loss $= p_i : \nu \sqrt{p_i p_j} : p_j$", [
            "shared_ties_weigh_the_geometric_mean",
            "shared_ties_dropped_leave_bradley_terry_but_threshold_ties_do_not"], PREFERENCES),
        "circular_triads": Row(r"$\binom N3 - \sum_i \binom{w_i}{2}$", [
            "circular_triads_are_those_that_a_loop_finds",
            "a_strict_order_has_no_cycle_and_rock_paper_scissors_has_one"], PREFERENCES),
        "best_of_K_logp": Row(r"$r_{(1)} - \log \sum_{k} e^{r_k}$ {cite:p}`ziegler2019`", [
            "the_best_of_three_is_drawn_in_proportion_to_strength",
            "best_of_K_is_the_sum_of_the_rankings_that_it_heads"], PREFERENCES),
        "worth_in_pairs": Row(r"eq. (1): $\frac{3}{K+1} \binom K2$; Plackett-Luce: "
                              r"$2 \big(K - \sum_{k \le K} \tfrac1k\big)$; best of $K$: $2 (1 - \tfrac1K)$", [
            "worth_of_a_ranking_by_the_sandwich_formula_over_all_rankings", "worth_of_nine_ranked"], PREFERENCES),
        "elo_update": Row(r"the winner gets $k\, (1 - P(\text{win}))$ points and the loser pays them "
                          r"{cite:p}`elo1978`", [
            "elo_is_a_gradient_step_on_the_surprise_and_leaves_its_input_alone",
            "between_equals_half_of_k_changes_hands"], PREFERENCES),
    }),
    "theory/surprise.py": ("Surprise", {
        "surprise": Row(r"$I(x) = -\log p(x)$", [
            "a_fair_coin_surprises_by_one_bit", "surprises_of_independent_events_add"], SURPRISE),
        "bits": Row(r"nats $/ \log 2$", [
            "a_fair_coin_surprises_by_one_bit", "a_uniform_gpt2_is_surprised_by_15_6_bits_a_token"], SURPRISE),
        "expectation": Row(r"$E_p[f] = \sum_x p(x) f(x)$", [
            "estimators_from_policy_samples_have_the_known_means"], SURPRISE),
        "entropy": Row(r"$H(p) = E_p[-\log p]$", [
            "entropy_and_relative_surprise_of_a_half_and_two_quarters",
            "what_a_law_excludes_adds_nothing_to_it_and_infinity_to_another"], SURPRISE),
        "cross_entropy": Row(r"$H(p, q) = E_p[-\log q]$", [
            "relative_surprise_is_what_cross_entropy_adds_to_entropy"], SURPRISE),
        "relative_surprise": Row(r"$\mathrm{KL}(p \,\|\, q) = E_p[\log p - \log q]$", [
            "relative_surprise_depends_on_the_direction", "relative_surprise_between_gaussians_is_the_closed_form",
            "forward_kl_covers_both_modes_and_reverse_kl_seeks_one", "no_law_surprises_itself"], SURPRISE),
        "k1": Row(r"$k_1 = \log \frac{\pi(y)}{\pi^{\mathrm{SFT}}(y)}$ of a response drawn from $\pi$", [
            "estimators_from_policy_samples_have_the_known_means", "as_rewards_only_k1_has_the_gradient_of_kl"],
            SURPRISE),
        "k2": Row(r"$k_2 = \tfrac12 k_1^2$", [
            "estimators_on_gaussians_match_schulman", "as_losses_only_k2_has_the_gradient_of_kl"], SURPRISE),
        "k3": Row(r"$k_3 = e^{-k_1} - 1 + k_1$", [
            "k3_is_never_negative_and_vanishes_only_at_equality",
            "k3_keeps_its_digits_when_the_policies_nearly_agree"], SURPRISE),
        "regularised_reward": Row(r"$J(\pi) = E_\pi[r] - \beta\, \mathrm{KL}(\pi \,\|\, \pi^{\mathrm{SFT}})$", [
            "every_other_policy_falls_short_by_beta_times_its_kl_to_the_optimum",
            "climbing_the_objective_by_its_gradient_ends_at_the_optimum"], SURPRISE),
        "optimum": Row(r"$\pi^*(y) = \frac1Z\, \pi^{\mathrm{SFT}}(y)\, e^{r(y)/\beta}$", [
            "optimum_of_a_three_armed_bandit", "the_reward_can_be_read_off_the_optimum"], SURPRISE),
        "optimum_value": Row(r"$J(\pi^*) = \beta \log Z$", [
            "optimum_of_a_three_armed_bandit", "slopes_of_the_optimum_are_kl_and_variance"], SURPRISE),
        "best_of_n_bound": Row(r"$\mathrm{KL} \le \log n - \frac{n-1}{n}$ {cite:p}`beirami2024`", [
            "best_of_n_costs_at_most_the_known_nats", "ties_make_best_of_n_cheaper_than_its_bound"], "best-of-n"),
        "best_of_n": Row(r"$\pi^{\mathrm{SFT}}(y)\, \frac{P(r \le r_y)^n - P(r < r_y)^n}{P(r = r_y)}$", [
            "best_of_n_is_the_sum_over_all_draws_of_n_with_ties_shared",
            "best_of_n_never_keeps_what_is_never_drawn"], "best-of-n"),
        "sequence_logp": Row(r"$\log p(y) = \sum_t \log p(y_t \mid y_{<t})$", [
            "a_sequence_is_as_probable_as_its_words_after_their_prefixes"], SURPRISE),
        "token_relative_surprises": Row(r"$E_{y_{<t} \sim p}\, \mathrm{KL}\big(p(\cdot \mid y_{<t}) \,\|\, "
                                        r"q(\cdot \mid y_{<t})\big)$, one for every $t$", [
            "each_place_is_weighted_by_the_prefixes_that_p_writes",
            "surprises_of_places_sum_to_that_of_sequences_that_end_early"], SURPRISE),
    }),
    "theory/objective.py": ("The objective of reinforcement learning", {
        "tempered": Row(r"logits $/\, \tau$", [
            "temperature_divides_logits", "token_logp_is_the_log_softmax_at_the_token"], SURPRISE),
        "token_logp": Row(r"$\log \pi(y_t \mid x, y_{<t})$", [
            "token_logp_is_the_log_softmax_at_the_token",
            "token_logp_pulls_up_its_token_and_pushes_down_all_by_their_share"], SURPRISE),
        "token_rewards": Row(r"first bracket of eq. (2), by tokens: $-\beta \log \frac{\pi(y_t \mid x, y_{<t})}"
                             r"{\pi^{\mathrm{SFT}}(y_t \mid x, y_{<t})} + \mathbf 1[t = T]\, r_\theta(x, y)$", [
            "penalty_is_an_unbiased_estimate_of_kl", "token_rewards_add_up_to_the_bracket_of_eq_2"], PPO),
        "gae": Row(r"$\delta_t = \text{reward}_t + V_{t+1} - V_t$, $\hat A_t = \delta_t + \lambda \hat A_{t+1}$ "
                   r"{cite:p}`schulman2016gae`", [
            "gae_equals_the_double_sum", "with_the_true_value_function_advantages_average_zero"], PPO),
        "policy_loss": Row(r"$-\operatorname{mean}_t \min\big(\rho_t \hat A_t,\ \operatorname{clip}(\rho_t, 1 - "
                           r"\varepsilon, 1 + \varepsilon)\, \hat A_t\big)$ {cite:p}`schulman2017ppo`", [
            "clip_stops_gain_but_never_repair", "policy_loss_equals_the_loop_and_clips_the_share_without_gradient",
            "at_the_sampling_policy_the_gradient_is_the_plain_policy_gradient"], PPO),
        "clip_fraction": Row(r"share of tokens whose gradient `policy_loss` clips away", [
            "policy_loss_equals_the_loop_and_clips_the_share_without_gradient"], PPO),
        "value_loss": Row(r"$\tfrac12 \operatorname{mean}_t \max\big((V_t - R_t)^2, (V_t^{\text{near}} - R_t)^2\big)$, "
                          r"where $V^{\text{near}}$ is at most the clip away from the old value", [
            "value_loss_equals_the_loop", "value_loss_takes_the_worse_of_two_errors"], PPO),
        "explained_variance": Row(r"$1 - \operatorname{Var}(R - V) / \operatorname{Var}(R)$", [
            "explained_variance_is_one_for_the_truth_and_zero_for_a_constant"], PPO),
        "ptx_loss": Row(r"second term of eq. (2), per token: "
                        r"$-\operatorname{mean}_t \log \pi(x_{t+1} \mid x_{\le t})$", [
            "ptx_loss_predicts_the_next_token", "a_uniform_model_has_a_ptx_loss_of_log_V",
            "accumulating_two_backward_passes_is_one_step_on_their_sum_and_not_two_steps"], "PPO-ptx"),
    }),
    "theory/masked.py": ("Means over what counts", {
        "masked": Row(r"$x$ where the mask is true, 0 elsewhere", [
            "masked_keeps_counted_entries_and_zeroes_the_rest"], PPO),
        "masked_mean": Row(r"$\sum_{i \in M} x_i / |M|$, over all rows at once", [
            "mean_is_over_all_counted_tokens_at_once", "a_long_row_weighs_more_than_a_short_one"], PPO),
        "masked_var": Row(r"$\sum_{i \in M} (x_i - \bar x)^2 / |M|$", [
            "variance_divides_by_the_number_of_counted_tokens"], PPO),
        "masked_whiten": Row(r"$(x - \bar x) / \sqrt{\operatorname{Var} + 10^{-8}}$", [
            "whitened_tokens_have_mean_zero_and_variance_one", "equal_tokens_whiten_to_zero"], PPO),
    }),
    "training/reward.py": ("In the stages", {
        "center": Row(r"$b = -\operatorname{mean}$ of $r_\theta$ over demonstrations, added to every reward", [
            "centred_on_demonstrations_they_score_zero_on_average"], "the reward model"),
    }),
    "training/optim.py": ("", {
        "update_average": Row(r"EMA: $\bar\phi \leftarrow 0.992\, \bar\phi + 0.008\, \phi$ after each update", [
            "the_average_is_the_weighted_sum_of_all_weights_so_far"], "PPO-ptx"),
        "lr_scale": Row(r"warm-up in a line, then $\tfrac{1+f}{2} + \tfrac{1-f}{2} \cos(\pi u)$, "
                        r"$u$ from 0 to 1, down to the share $f$ of the peak", [
            "the_rate_rises_in_a_line_and_falls_in_a_cosine_to_its_final_share"], "SFT"),
    }),
}


def repository() -> str:
    """The address of a file in the repository; _config.yml has the one place where it stands."""
    config = (ROOT / "_config.yml").read_text()
    url, branch = (re.search(rf"^\s+{key}: (\S+)", config, re.MULTILINE)[1] for key in ("url", "branch"))
    return f"{url}/blob/{branch}/"


def functions(path: Path) -> dict[str, ast.FunctionDef]:
    """The functions of a module by name."""
    return {node.name: node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


def shown() -> dict[str, tuple[set[str], set[str]]]:
    """For every chapter's reference, the names it shows the source of, and all names its code uses."""
    found = {}
    for path in sorted((ROOT / "chapters").glob("[0-9][0-9]_*.ipynb")):
        cells = json.loads(path.read_text())["cells"]
        text = "".join("".join(cell["source"]) + "\n" for cell in cells if cell["cell_type"] == "code")
        label = re.search(r"^\((ch-[\w-]+)\)=", "".join(cells[0]["source"]), re.MULTILINE)
        sources = {name for call in re.findall(r"show_source\(([\w., ]+)\)", text) for name in re.findall(r"\w+", call)}
        if label:
            found[f"{{ref}}`chapter {int(path.name[:2])} <{label[1]}>`"] = sources, set(re.findall(r"\w+", text))
    return found


def where(name: str, row: Row, chapters: dict) -> str:
    """In which chapter the source of a function is on the page, and which use it."""
    showing = [chapter for chapter, (sources, _) in chapters.items() if name in sources]
    using = [chapter for chapter, (_, names) in chapters.items() if name in names and chapter not in showing]
    told = [f"Source shown in {' and '.join(showing)}"] if showing else []
    told += [f"{'used' if told else 'Used'} in {', '.join(using)}"] if using else []
    return "; ".join(told or [f"To come: the chapter on {row.chapter}"])


def entry(module: str, name: str, row: Row, chapters: dict) -> str:
    """One function: its name, its equation, its tests and its chapter, each with its link."""
    source, tests = f"instructgpt_lite/{module}", f"tests/{module.replace('/', '/test_')}"
    at, proofs = functions(ROOT / source)[name], functions(ROOT / tests)
    held = [f"[{test.replace('_', ' ')}]({repository()}{tests}#L{proofs['test_' + test].lineno})" for test in row.tests]
    return (f"[`{name}`]({repository()}{source}#L{at.lineno}-L{at.end_lineno})\n: {row.equation}\n"
            f": {where(name, row, chapters)}. Held by: {'; '.join(held)}.\n")


def index() -> str:
    """All formulas, module by module."""
    chapters, parts = shown(), []
    for module, (title, rows) in FORMULAS.items():
        parts += [f"### {title}\n"] if title else []
        parts += [f"`instructgpt_lite/{module}`\n"] + [entry(module, *each, chapters) for each in rows.items()]
    return "\n".join(parts)


def filled(text: str) -> str:
    """The page with its index made anew."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{index()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    wanted = filled(PAGE.read_text())
    if "--check" in sys.argv and wanted != PAGE.read_text():
        sys.exit("chapters/notation.md is not what tools/formulas.py writes: run it")
    PAGE.write_text(wanted)
