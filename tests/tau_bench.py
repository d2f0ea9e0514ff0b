#!/usr/bin/env python3
"""Turns recorded tau-bench sessions into lines for `chancery import openai-chat`, on standard output.

    tests/tau_bench.py FOLDER | chancery import openai-chat - --dir DIR

FOLDER holds `tau-bench/gpt-4o-airline.json`. It changes nothing in a message. Standard library only.
"""

import json
import pathlib
import sys


def line(index, record):
    return {
        "session_id": f"tau-{record['task_id']}-{record['trial']}-{index}",
        "messages": record["traj"],
        "task_id": record["task_id"],
        "reward": record["reward"],
        "info": record["info"],
    }


def main():
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} FOLDER")
    path = pathlib.Path(sys.argv[1]) / "tau-bench" / "gpt-4o-airline.json"
    records = json.loads(path.read_text(encoding="utf-8"))
    for index, record in enumerate(records):
        print(json.dumps(line(index, record), ensure_ascii=False))


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    main()
