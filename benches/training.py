"""Training and scoring speed against a padded PyTorch loop, in one run: the same pairs, model, threads and settings.

    python benches/training.py --codepmp target/release/codepmp --pairs pairs.jsonl --model DIR

The loop is what TRL's reward trainer does with Hugging Face's model: both answers of a pair with their prompt as two
rows, padded to the longest of the micro-batch, SDPA attention, AdamW, clipping; the loss is that of preference
pretraining. It needs fixtures/interop/requirements.txt; ORT_DYLIB_PATH names the library for codepmp.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STEPS, STEP_PAIRS, MICRO_PAIRS, RATE = 4, 16, 4, 1e-4


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--codepmp", required=True)
    parser.add_argument("--pairs", required=True, help="JSON lines with prompt, chosen and rejected")
    parser.add_argument("--model", required=True, help="folder of codepmp init --preset small")
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--part", help=argparse.SUPPRESS)
    return parser.parse_args()


def fitting_pairs(options):
    """The first pairs that fit, as token rows; the rows are also what is written for codepmp."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(Path(options.model) / "tokenizer.json"))
    end = json.loads((Path(options.model) / "config.json").read_text())["eos_token_id"]
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
    found = []
    for line in open(options.pairs):
        row = json.loads(line)
        pair = {key: row[key] for key in ("prompt", "chosen", "rejected")}
        prompt = encode(pair["prompt"])
        chosen, rejected = encode(pair["chosen"]) + [end], encode(pair["rejected"]) + [end]
        if len(prompt) + max(len(chosen), len(rejected)) <= options.max_length:
            found.append((pair, prompt, chosen, rejected))
        if len(found) == STEPS * STEP_PAIRS:
            return found
    sys.exit(f"only {len(found)} pairs fit into {options.max_length} tokens, {STEPS * STEP_PAIRS} are needed")


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def torch_part(options):
    """Seconds of each optimizer step, and of scoring all pairs."""
    import torch
    import torch.nn.functional as F
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(options.threads)
    pairs = fitting_pairs(options)
    model = AutoModelForCausalLM.from_pretrained(options.model, attn_implementation="sdpa", dtype=torch.float32).train()
    score = torch.nn.Linear(model.config.hidden_size, 1, bias=False)
    parameters = [*model.parameters(), *score.parameters()]
    groups = [
        {"params": [p for p in parameters if p.ndim == 2], "weight_decay": 0.1},
        {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(groups, lr=RATE)

    def rewards_and_hidden(micro):
        rows = [prompt + chosen for _, prompt, chosen, _ in micro]
        rows += [prompt + rejected for _, prompt, _, rejected in micro]
        longest = max(map(len, rows))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        hidden = model.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        last = hidden[torch.arange(len(rows)), mask.sum(1) - 1]
        return score(last)[:, 0], hidden, ids

    def train(micro, tokens):
        rewards, hidden, ids = rewards_and_hidden(micro)
        half = len(micro)
        rm = -F.logsigmoid(rewards[:half] - rewards[half:]).sum() / STEP_PAIRS
        labels = torch.full_like(ids[:half], -100)
        for at, (_, prompt, chosen, _) in enumerate(micro):
            labels[at, len(prompt) : len(prompt) + len(chosen)] = torch.tensor(chosen)
        logits = model.lm_head(hidden[:half, :-1])
        lm = F.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100, reduction="sum") / tokens
        (rm + lm).backward()

    seconds = []
    for step in range(STEPS):
        start = time.perf_counter()
        batch = pairs[step * STEP_PAIRS : (step + 1) * STEP_PAIRS]
        tokens = sum(len(chosen) for _, _, chosen, _ in batch)
        for at in range(0, STEP_PAIRS, MICRO_PAIRS):
            train(batch[at : at + MICRO_PAIRS], tokens)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        adamw.step()
        adamw.zero_grad()
        seconds.append(time.perf_counter() - start)
    memory = peak()
    start = time.perf_counter()
    with torch.no_grad():
        for at in range(0, len(pairs), MICRO_PAIRS):
            rewards_and_hidden(pairs[at : at + MICRO_PAIRS])
    print(json.dumps({"seconds": seconds, "scoring": time.perf_counter() - start, "memory": memory}))


def run_torch(options):
    command = [sys.executable, __file__, *sys.argv[1:], "--part", "torch"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def run_codepmp(options, pairs_file, out, layout, more=()):
    """As `run_torch`; a step's seconds are those between its line and the one before."""
    command = [
        options.codepmp, "train", "pmp", "--data", pairs_file, "--model", options.model, "--out", out,
        "--max-length", str(options.max_length), "--batch", str(STEP_PAIRS), "--lr", str(RATE), "--layout", layout,
        "--threads", str(options.threads), "--no-db", "--json", "--held-out", "0", "--checkpoint-every", "1000",
        "--set", "export_onnx=false", *more,
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    times, memory = [time.perf_counter()], 0
    for line in process.stdout:
        event = json.loads(line)
        if event.get("event") == "step":
            times.append(time.perf_counter())
            memory = max(memory, event["memory_bytes"] / 2**20)
    if process.wait() != 0:
        sys.exit(f"{' '.join(command)} failed")
    return {"seconds": [b - a for a, b in zip(times, times[1:])], "memory": memory}


def run_scoring(options, model, pairs_file):
    """Seconds for all pairs, less those for one: what starting takes."""
    with tempfile.TemporaryDirectory() as out:
        one = f"{out}/one.jsonl"
        Path(one).write_text(Path(pairs_file).read_text().splitlines()[0] + "\n")
        spent = []
        for file in (one, pairs_file):
            start = time.perf_counter()
            command = [options.codepmp, "score", "--model", model, "--input", file, "--output", f"{out}/scored"]
            command += ["--max-length", str(options.max_length), "--threads", str(options.threads)]
            subprocess.run(command, check=True, capture_output=True)
            spent.append(time.perf_counter() - start)
    return spent[1] - spent[0]


def main():
    given = options()
    if given.part == "torch":
        return torch_part(given)
    pairs = fitting_pairs(given)
    lengths = sorted(len(p) + len(answer) for _, p, c, r in pairs for answer in (c, r))
    print(f"{len(pairs)} pairs, rows of {lengths[0]} to {lengths[-1]} tokens, median {lengths[len(lengths) // 2]}")
    with tempfile.TemporaryDirectory() as work:
        file = f"{work}/pairs.jsonl"
        Path(file).write_text("".join(json.dumps(pair) + "\n" for pair, *_ in pairs))
        # The first step of each warms up and is not counted; the loop runs before and after.
        runs = [("PyTorch, padded", run_torch(given))]
        runs.append(("codepmp, packed", run_codepmp(given, file, f"{work}/a", "packed")))
        runs.append(("codepmp, packed, saved", run_codepmp(given, file, f"{work}/b", "packed", ["--saving", "save"])))
        runs.append(("codepmp, padded, saved", run_codepmp(given, file, f"{work}/c", "padded", ["--saving", "save"])))
        runs.append(("PyTorch, padded", run_torch(given)))
        scoring = run_scoring(given, f"{work}/a", file)
    rate = lambda run: (STEPS - 1) * STEP_PAIRS / sum(run["seconds"][1:])
    loop = (rate(runs[0][1]) + rate(runs[-1][1])) / 2
    for name, run in runs:
        print(f"{name:24} {rate(run):6.2f} pairs/s, {rate(run) / loop:5.2f} of the loop; peak {run['memory']:6.0f} MB")
    by_loop = [len(pairs) / run["scoring"] for name, run in (runs[0], runs[-1])]
    print(f"scoring: PyTorch {by_loop[0]:.2f} and {by_loop[1]:.2f} pairs/s, codepmp {len(pairs) / scoring:.2f}")


main()
