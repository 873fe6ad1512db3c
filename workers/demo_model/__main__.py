"""`python -m workers.demo_model`: makes the demo model, or evaluates the one that ships.

The weights that ship are those of the defaults, from nothing: 31 and 19 minutes for the two rounds, on two cores
without bfloat16 arithmetic. The second round was run from the first one's weights as they were saved.
"""

import argparse
import os
from pathlib import Path

# Set before torch is imported: spinning threads lose half their speed to one busy neighbour.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from tqdm import tqdm
from transformers import AutoModelForCausalLM, AutoTokenizer

from workers.demo_model import WEIGHTS, evaluation, training

DEFAULTS = training.Plan()


def main() -> None:
    """Parses the command line, trains if asked to, and prints the held-out figures."""
    options = _options()
    # The training brings threads of its own.
    torch.set_num_threads(1)
    if not options.evaluate_only:
        _make(training.Plan(seed=options.seed, rounds=tuple(options.rounds)), options.output)
    _evaluate(options.output, show_mistakes=options.mistakes)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m workers.demo_model", description="Makes or evaluates the demo model."
    )
    parser.add_argument("--rounds", type=int, nargs="+", default=DEFAULTS.rounds, metavar="STEPS")
    parser.add_argument("--seed", type=int, default=DEFAULTS.seed)
    parser.add_argument("--output", type=Path, default=WEIGHTS, help="folder of the weights")
    parser.add_argument("--evaluate-only", action="store_true", help="do not train, only grade the weights in --output")
    parser.add_argument("--mistakes", action="store_true", help="print every wrong answer of the held-out chats")
    return parser.parse_args()


def _make(plan: training.Plan, output: Path) -> None:
    tokenizer = training.new_tokenizer(plan.seed)
    model = training.new_model(tokenizer, plan)
    print(f"{model.num_parameters():,} parameters, {sum(plan.rounds):,} steps")
    with tqdm(total=100, unit="%", bar_format="{l_bar}{bar}| {elapsed}<{remaining}{postfix}") as bar:
        training.train(model, tokenizer, plan, on_step=_shown_on(bar))
    training.save(model, tokenizer, output)


def _shown_on(bar: "tqdm[None]") -> training.OnStep:
    losses: list[float] = []

    def show(progress: training.Progress) -> None:
        losses.append(progress.loss)
        recent = losses[-100:]
        bar.set_postfix_str(f"step {progress.step} loss {sum(recent) / len(recent):.4f}", refresh=False)
        bar.update(100 * progress.done - bar.n)

    return show


def _evaluate(folder: Path, *, show_mistakes: bool) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    questions = evaluation.exam()
    wrong = evaluation.grade(model, AutoTokenizer.from_pretrained(folder), questions)
    if show_mistakes:
        print("\n".join(map(evaluation.describe, wrong)))
    print(evaluation.report(questions, wrong))


if __name__ == "__main__":
    main()
