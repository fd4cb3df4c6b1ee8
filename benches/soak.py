"""Soak: three workers under mixed faults and limits, two of them killed, then everything counted from outside.

    python3 benches/soak.py --codepmp target/release/codepmp [--minutes 10] [--out benches/soak.txt]

The simulator (it is no model) keeps limits and injects 5 % faults; its log tells every request and what became of it.
Checked against the database: no answer that the server gave is lost and none is paid for twice, but for those in flight
at the kills, and no window of 60 seconds holds more requests or tokens than the limits allow.
"""

import argparse
import collections
import contextlib
import json
import platform
import random
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

RPM, LATENCY_MS, CONCURRENCY, WORKERS = 600, 300, 32, 3
FAULTS = {"500": 0.01, "503": 0.005, "429": 0.005, "timeout": 0.005, "drop": 0.01, "truncated": 0.005,
          "malformed": 0.005, "empty": 0.005}
DESCRIBE = "Write the instruction for this {{ unit }}. No code.\\n```python\\n{{ code }}\\n```"
STAGES = {"describe": "simulated-describer", "chosen": "simulated-strong", "rejected": "simulated-weak"}

HEAD = """name = "soak"
[[stages]]
name = "ingest"
kind = "ingest"
[[stages.sources]]
kind = "dir"
path = {corpus}
exclude = ["**/site-packages/**", "**/test/**", "**/tests/**"]
[[stages]]
name = "parse"
kind = "parse"
needs = ["ingest"]
limits = {{ min_lines = 4, max_lines = 60 }}
"""
STAGE = """
[endpoints.{name}]
base_url = "{url}"
model = "{model}"
concurrency = {concurrency}
requests_per_minute = {rpm}
tokens_per_minute = {tpm}
timeout_seconds = 10
price_input_per_million = 1.0
price_output_per_million = 1.0
[[stages]]
name = "{name}"
kind = "{kind}"
needs = ["{needs}"]
endpoint = "{name}"
sampling = {{ temperature = 0.7, max_tokens = 1024 }}
prompt.user = "{prompt}"
"""


def pipeline(url, corpus, tpm):
    text = HEAD.format(corpus=json.dumps(corpus))
    for name, model in STAGES.items():
        describes = name == "describe"
        prompt = DESCRIBE if describes else "{{ description }}"
        text += STAGE.format(name=name, url=url, model=model, concurrency=CONCURRENCY, rpm=RPM, tpm=tpm, prompt=prompt,
                             kind="describe" if describes else "generate", needs="parse" if describes else "describe")
        text += "" if describes else f'role = "{name}"\n'
    return text


class Soak:
    def __init__(self, options, folder):
        self.options, self.folder, self.log = options, folder, folder / "requests.jsonl"
        self.tpm, self.lines = options.tpm, []

    def say(self, line=""):
        print(line, flush=True)
        self.lines.append(line)

    def codepmp(self, *arguments):
        return [self.options.codepmp.resolve(), "--data-dir", self.folder / "data", *map(str, arguments)]

    def ended(self, *arguments):
        ended = subprocess.run(self.codepmp(*arguments), cwd=self.folder, capture_output=True, text=True, timeout=600)
        if ended.returncode != 0:
            sys.exit(f"codepmp {arguments}: {ended.stdout}{ended.stderr}")
        return ended.stdout

    def sql(self, query):
        return [json.loads(line) for line in self.ended("sql", "--format", "json", query).splitlines()]

    def worker(self):
        log = open(self.folder / "workers.log", "a")
        return subprocess.Popen(self.codepmp("run", "pipeline.toml"), cwd=self.folder, stdout=log, stderr=log)

    @contextlib.contextmanager
    def simulator(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = "127.0.0.1:%d" % free.getsockname()[1]
        faults = [word for kind, share in FAULTS.items() for word in ("--fault", f"{kind}={share}")]
        command = self.codepmp("simulate", "--corpus", self.options.corpus, "--listen", address, "--seed", 1, "--rpm",
                               RPM, "--tpm", self.tpm, "--latency", LATENCY_MS, "--log", self.log, *faults)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            process.stdout.readline()  # it listens
            yield f"http://{address}/v1"
        finally:
            process.terminate()
            process.wait(30)

    def load(self):
        """The workers at work, for the time, with two kills."""
        workers, chance, seconds = [self.worker() for _ in range(WORKERS)], random.Random(1), self.options.minutes * 60
        start = time.monotonic()
        try:
            for kill in (1, 2):
                time.sleep(max(0.0, start + seconds * kill / 3 + chance.uniform(-1, 1) - time.monotonic()))
                victim = workers.pop(0)
                self.alive(victim)
                victim.kill()
                victim.wait()
                self.say(f"kill -9 after {time.monotonic() - start:.0f} s; another worker takes its place")
                workers.append(self.worker())
            time.sleep(max(0.0, start + seconds - time.monotonic()))
            for worker in workers:
                self.alive(worker)
                worker.send_signal(signal.SIGINT)
            codes = [worker.wait(120) for worker in workers]
            self.say(f"Ctrl-C after {time.monotonic() - start:.0f} s; exit codes {codes}")
            return codes == [130] * WORKERS
        finally:
            for worker in workers:
                if worker.poll() is None:
                    worker.kill()
                    worker.wait()

    def alive(self, worker):
        if worker.poll() is not None:
            sys.exit(f"a worker ended by itself: {(self.folder / 'workers.log').read_text()[-2000:]}")

    def check(self, what, holds):
        self.say(f"{'held' if holds else 'BROKEN'}: {what}")
        return holds

    def judge(self):
        requests = [json.loads(line) for line in self.log.read_text().splitlines()]
        answered = [r for r in requests if r["fate"] == "answered"]
        good = [r for r in answered if r["fault"] in (None, "several", "prose") and r["finish_reason"] == "stop"]
        given = collections.Counter((r["model"], r["content"]) for r in good)
        rows = self.sql("select model, answer, encode(request_key, 'hex') as key from llm_calls where class = 'ok'")
        kept = collections.Counter((row["model"], row["answer"]) for row in rows)
        classes = self.sql("select class, count(*) as calls from llm_calls group by class order by class")
        fates = collections.Counter(f"{r['fate']} ({r['fault']})" if r["fault"] else r["fate"] for r in requests)
        self.say("the server's requests: " + ", ".join(f"{n} {fate}" for fate, n in sorted(fates.items())))
        self.say("calls in the database: " + ", ".join(f"{row['calls']} {row['class']}" for row in classes))
        # A worker's stage has so many requests at most that are asked, or answered and not committed yet.
        in_flight = 2 * len(STAGES) * CONCURRENCY
        lost, made_up = given - kept, kept - given
        times = collections.Counter(r["key"] for r in good)
        again = sum(count - 1 for count in times.values())
        twice = sum(count - 1 for count in collections.Counter(row["key"] for row in rows).values())
        holds = [
            self.check(f"answers that the server gave and the database lacks: {lost.total()} of {given.total()}; "
                       f"in flight at the two kills: at most {in_flight}", lost.total() <= in_flight),
            self.check(f"answers in the database that the server did not give: {made_up.total()}", not made_up),
            self.check(f"answers that were given again: {again}; by lost answers explained: {lost.total()}; committed "
                       f"twice: {twice}", again <= lost.total() and twice == 0),
        ]
        for name, model in STAGES.items():
            came = sorted((r["at"], r["tokens"]) for r in requests if r["model"] == model)
            most, tokens = fullest(came)
            refused = sum(r["fate"] == "refused" for r in requests if r["model"] == model)
            used = ((len(came), RPM), (sum(cost for _, cost in came), self.tpm))
            share = [100 * n / limit / self.options.minutes for n, limit in used]
            holds.append(self.check(
                f"{name}: fullest 60 s {most} of {RPM} requests, {tokens} of {self.tpm} tokens by the server's count; "
                f"{refused} refused; over the time {share[0]:.0f} % and {share[1]:.0f} % used",
                most <= RPM and tokens <= self.tpm and refused == 0))
        open_rows = self.sql(
            "select count(*) filter (where t.state = 'done' and d.id is null and c.id is null) as unanswered, "
            "count(*) filter (where t.state <> 'done' and coalesce(d.id, c.id) is not null) as not_done, "
            "count(*) filter (where t.state = 'leased') as leased from tasks t "
            "left join descriptions d on (d.stage_id, d.snippet_id, d.sample) = (t.stage_id, t.input_id, t.sample) "
            "left join completions c on (c.stage_id, c.description_id, c.sample) = (t.stage_id, t.input_id, t.sample)"
        )[0]
        holds.append(self.check(f"rows done without an answer {open_rows['unanswered']}, answered and not done "
                                f"{open_rows['not_done']}", open_rows["unanswered"] == open_rows["not_done"] == 0))
        return all(holds)

    def run(self):
        self.say(f"{self.options.minutes:g} minutes, {WORKERS} workers, {100 * sum(FAULTS.values()):g} % faults "
                 f"({', '.join(FAULTS)}),")
        self.say(f"{LATENCY_MS} ms latency, {CONCURRENCY} calls in flight for each stage and worker, {RPM} requests "
                 f"and {self.tpm} tokens a minute for each of {len(STAGES)} models,")
        self.say(f"source: {Path(self.options.corpus).name} (Python {platform.python_version()} here)")
        self.say()
        self.ended("db", "start")
        try:
            with self.simulator() as url:
                (self.folder / "pipeline.toml").write_text(pipeline(url, self.options.corpus, self.tpm))
                drained = self.check("the workers drained and ended", self.load())
            return self.judge() and drained
        finally:
            self.ended("db", "stop")


def fullest(came):
    """The most requests, and the most tokens, that any half-open window of 60 seconds holds."""
    first = requests = tokens = 0
    most = [0, 0]
    for last, (at, cost) in enumerate(came):
        tokens += cost
        while at - came[first][0] >= 60:
            tokens -= came[first][1]
            first += 1
        most = [max(most[0], last - first + 1), max(most[1], tokens)]
    return most


def main():
    parser = argparse.ArgumentParser(description="Three workers, faults, limits and two kills; see the file's head.")
    parser.add_argument("--codepmp", type=Path, required=True, help="the program")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--tpm", type=int, default=300_000, help="tokens a minute; at 120,000 they are the tighter limit")
    parser.add_argument("--corpus", default=sysconfig.get_paths()["stdlib"], help="folder of Python source")
    parser.add_argument("--out", type=Path, help="file for the result")
    parser.add_argument("--keep", type=Path, help="folder to work in, and to leave as it is")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with contextlib.ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)  # the database's user goes through it
        soak = Soak(options, folder)
        held = soak.run()
        if options.out:
            options.out.write_text("\n".join(soak.lines) + "\n")
        sys.exit(not held)


main()
