"""Answers a second and processor time of codepmp, with every answer durably committed, beside clients from PyPI.

    benches/clients.sh [--quick]         # makes the virtual environments and runs this file

Each asks the same server, which gives one fixed answer at once or after 200 ms, for the same prompts, 256 at a time.
Of codepmp the whole process is counted from its start, and so it is of `async-openai`, the Rust client whose types codepmp
uses: bare, with nothing committed, it shows what is the least there. Of the others, which are compared, it is what follows
their imports and one warm-up call.
"""

import argparse
import asyncio
import contextlib
import importlib.util
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

IN_FLIGHT = 256
SYSTEM = "You are a helpful coding assistant."
TEXT = "Describe this function in one paragraph. " * 20
CLIENTS = {"codepmp": "codepmp, committed", "bare": "async-openai, nothing kept",
           "openai": "openai, DefaultAioHttpClient", "curator": "bespokelabs-curator", "distilabel": "distilabel"}


def messages(number):
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"#{number} {TEXT}"}]


def own_seconds():
    """Processor seconds of this process and its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def report(answered, count, seconds, cpu, **more):
    print(json.dumps({"answered": answered, "count": count, "seconds": seconds, "cpu": cpu, **more}), flush=True)


# The clients from PyPI, each in a process and a virtual environment of its own


def ask_openai(url, count):
    import openai

    async def main():
        client = openai.AsyncOpenAI(base_url=url, api_key="x", http_client=openai.DefaultAioHttpClient())
        slots = asyncio.Semaphore(IN_FLIGHT)

        async def one(number):
            async with slots:
                reply = await client.chat.completions.create(model="fixed", messages=messages(number))
                return bool(reply.choices[0].message.content)

        await one(-1)
        cpu, start = own_seconds(), time.monotonic()
        answered = sum(await asyncio.gather(*map(one, range(count))))
        report(answered, count, time.monotonic() - start, own_seconds() - cpu, version=openai.__version__)

    asyncio.run(main())


def ask_curator(url, count):
    os.environ.update(CURATOR_DISABLE_CACHE="1", TELEMETRY_ENABLED="0", CURATOR_VIEWER="0", HF_HUB_OFFLINE="1",
                      CURATOR_CACHE_DIR=f"{os.getcwd()}/curator", HF_HOME=f"{os.getcwd()}/hf", OPENAI_API_KEY="x")
    from importlib.metadata import version

    # The tokenizer's files come with litellm, which curator needs anyhow; they would be downloaded else.
    litellm = Path(importlib.util.find_spec("litellm").origin).parent
    os.environ["TIKTOKEN_CACHE_DIR"] = str(litellm / "litellm_core_utils/tokenizers")
    from bespokelabs import curator

    class Ask(curator.LLM):
        def prompt(self, row):
            return messages(row["number"])

        def parse(self, row, response):
            return {"answer": response}

    settings = {"base_url": url, "api_key": "x", "max_requests_per_minute": 10_000_000, "max_retries": 1,
                "max_tokens_per_minute": 10_000_000_000, "max_concurrent_requests": IN_FLIGHT,
                "require_all_responses": False}
    asking = Ask(model_name="gpt-4o-mini", backend="openai", backend_params=settings)
    cpu, start = own_seconds(), time.monotonic()
    done = asking([{"number": number} for number in range(count)])
    rows = getattr(done, "dataset", done)
    answered = sum(map(bool, rows["answer"]))
    report(answered, count, time.monotonic() - start, own_seconds() - cpu, version=version("bespokelabs-curator"))


def ask_distilabel(url, count):
    from importlib.metadata import version

    from distilabel.models.llms import OpenAILLM
    from distilabel.pipeline import Pipeline
    from distilabel.steps import LoadDataFromDicts
    from distilabel.steps.tasks import TextGeneration

    cpu, start = own_seconds(), time.monotonic()
    with Pipeline(name="clients") as pipeline:
        rows = [{"instruction": f"#{number} {TEXT}", "system_prompt": SYSTEM} for number in range(count)]
        load = LoadDataFromDicts(data=rows, batch_size=IN_FLIGHT)
        ask = TextGeneration(llm=OpenAILLM(model="fixed", base_url=url, api_key="x"), input_batch_size=IN_FLIGHT)
        load >> ask
    done = pipeline.run(use_cache=False)
    answered = sum(map(bool, done["default"]["train"]["generation"]))
    report(answered, count, time.monotonic() - start, own_seconds() - cpu, version=version("distilabel"))


# codepmp


PIPELINE = """name = "clients"
[endpoints.fixed]
base_url = "{url}"
model = "fixed"
concurrency = {in_flight}
[[stages]]
name = "ingest"
kind = "ingest"
[[stages.sources]]
kind = "jsonl"
path = "rows.jsonl"
[[stages]]
name = "parse"
kind = "parse"
needs = ["ingest"]
[[stages]]
name = "ask"
kind = "describe"
needs = ["parse"]
endpoint = "fixed"
sampling = {{ seed = {seed} }}
prompt.system = "{system}"
prompt.user = "{{{{ docstring }}}}"
"""


def server_seconds(data):
    """Processor seconds of the Postgres server in the data folder, its children included."""
    pid = (data / "postgres/data/postmaster.pid").read_text().split()[0]
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            number, rest = path.read_text().split(" ", 1)
            fields = rest[rest.rindex(")") + 2:].split(" ")
            if number == pid:
                ticks += sum(map(int, fields[11:15]))
            elif fields[1] == pid:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


class Codepmp:
    """A data folder with the prompts in it, and its server, which syncs every commit."""

    def __init__(self, program, folder, rows):
        self.program, self.folder, self.data = program, folder, folder / "data"
        with open(folder / "rows.jsonl", "w") as lines:
            for number in range(rows):
                code = f'def function_{number}():\n    """#{number} {TEXT}"""\n' + f"    print({number})\n" * 5
                lines.write(json.dumps({"content": code}) + "\n")
        self.run("db", "start")
        self.write("http://127.0.0.1:1", 0)
        self.run("run", "pipeline.toml", "--select", "ingest,parse")

    def run(self, *arguments):
        ended = subprocess.run([self.program, "--data-dir", self.data, *arguments], cwd=self.folder,
                               capture_output=True, text=True, timeout=600)
        if ended.returncode != 0:
            sys.exit(f"codepmp {arguments}: {ended.stdout}{ended.stderr}")
        return ended.stdout

    def write(self, url, seed):
        text = PIPELINE.format(url=url, in_flight=IN_FLIGHT, seed=seed, system=SYSTEM)
        (self.folder / "pipeline.toml").write_text(text)

    def sql(self, query):
        return json.loads(self.run("sql", "--format", "json", query).splitlines()[0])

    def ask(self, url, count, seed):
        self.write(url, seed)
        own, server = own_seconds(), server_seconds(self.data)
        self.run("run", "pipeline.toml", "--select", "ask")
        own, server = own_seconds() - own, server_seconds(self.data) - server
        row = self.sql("select s.seconds, (select count(*) from descriptions d where d.stage_id = s.stage_id) as rows, "
                       "current_setting('fsync') as fsync from run_stages s where name = 'ask' and state = 'done' "
                       "order by run_id desc limit 1")
        assert row["fsync"] == "on", row
        return {"answered": row["rows"], "count": count, "seconds": row["seconds"], "cpu": own, "postgres": server}


def ask_bare(program, url, count):
    """The bench asks with `async-openai`."""
    cpu = own_seconds()
    ended = subprocess.run([program, "--ask", url, str(count), SYSTEM, TEXT], capture_output=True, text=True, timeout=600)
    if ended.returncode != 0:
        sys.exit(f"{program}: {ended.stderr}")
    return json.loads(ended.stdout.splitlines()[-1]) | {"cpu": own_seconds() - cpu}


@contextlib.contextmanager
def server(program, milliseconds):
    process = subprocess.Popen([program, "--serve", str(milliseconds)], stdout=subprocess.PIPE, text=True)
    try:
        yield f"http://{process.stdout.readline().strip()}/v1"
    finally:
        process.kill()
        process.wait()


def compare(options):
    print(f"{'client':<32} {'latency':>8} {'answers':>8} {'answers/s':>10} {'CPU s per 1,000':>16}")
    best, bare, ours = {}, {}, {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)  # the database's user goes through it
        # Of codepmp as many as it answers in a minute at 200 ms, as its start counts.
        counts = {"codepmp": 76_800, "bare": 76_800, "openai": 8000, "curator": 2000, "distilabel": 1000}
        counts = {name: count // (4 if options.quick else 1) for name, count in counts.items()}
        codepmp = Codepmp(options.codepmp, folder, counts["codepmp"])
        stack.callback(codepmp.run, "db", "stop")
        for latency in (0, 200):
            with server(options.server, latency) as url:
                for name, count in counts.items():
                    if name == "codepmp":
                        result = codepmp.ask(url, count, latency)
                    elif name == "bare":
                        result = ask_bare(options.server, url, count)
                    else:
                        python = options.venvs / name / "bin/python"
                        ended = subprocess.run([python, Path(__file__).resolve(), "--ask", name, url, str(count)],
                                               cwd=folder, capture_output=True, text=True, timeout=1200)
                        lines = [line for line in ended.stdout.splitlines() if line.startswith('{"answered"')]
                        if not lines:
                            print(f"{CLIENTS[name]:<32} {latency:>5} ms  failed: {ended.stderr[-300:]!r}")
                            continue
                        result = json.loads(lines[-1])
                    per = lambda seconds: seconds * 1000 / result["answered"] if result["answered"] else float("nan")
                    label = f"{CLIENTS[name]} {result.get('version', '')}".strip()
                    rate = result["answered"] / result["seconds"]
                    line = (f"{label:<32} {latency:>5} ms {result['answered']:>8} {rate:>10.0f} "
                            f"{per(result['cpu']):>16.3f}")
                    if name == "codepmp":
                        both = per(result["cpu"] + result["postgres"])
                        line += f" and Postgres {per(result['postgres']):.3f}: {both:.3f}"
                        ours[latency] = (both, per(result["cpu"]), rate)
                    elif name == "bare":
                        bare[latency] = per(result["cpu"])
                    else:
                        best[latency] = min(best.get(latency, float("inf")), per(result["cpu"]))
                    if result["answered"] != count:
                        line += f"  ({count} asked)"
                    print(line, flush=True)
    for latency, (both, own, rate) in ours.items():
        print(f"{latency} ms: the best of the others takes {best[latency] / own:.1f} times codepmp's processor time, "
              f"{best[latency] / both:.1f} times that with Postgres (goal: 20), "
              f"{best[latency] / bare[latency]:.1f} times that of bare async-openai")
        if latency:
            possible = IN_FLIGHT * 1000 / latency
            print(f"{latency} ms: {rate:.0f} answers/s are {rate / possible:.1%} of {possible:.0f} (goal: 95 %)")


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if sys.argv[1:2] == ["--ask"]:
        name, url, count = sys.argv[2:]
        {"openai": ask_openai, "curator": ask_curator, "distilabel": ask_distilabel}[name](url, int(count))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("--codepmp", type=Path, required=True, help="the program")
    parser.add_argument("--server", type=Path, required=True, help="the bench `answers`, whose server is asked")
    parser.add_argument("--venvs", type=Path, required=True, help="folder of the virtual environments")
    parser.add_argument("--quick", action="store_true", help="a quarter of the calls")
    compare(parser.parse_args())


main()
