"""Plays all cases against a running suite and says which clauses of the contracts they show.

    python3 run.py --base 3000 --owner-key-file .crosspoint/owner.key --bin .build/release [--only FILTER]

Without the first two: from CROSSPOINT_HOME; without the third: from CROSSPOINT_BIN_DIR.
"""

import argparse
import asyncio
import collections
import importlib
import os
import pathlib
import re
import signal
import sys
import time
import traceback

sys.dont_write_bytecode = True

import cases
import clauses
import edge
import uncovered
from stage import Stage

HERE = pathlib.Path(__file__).resolve().parent
HARNESS = {"edge", "stage", "cases", "clauses", "uncovered", "run", "catalogue"}


def arguments():
    """What the command line and the environment say."""
    parser = argparse.ArgumentParser(description="Crosspoint's conformance suite.")
    parser.add_argument("--base", type=int, help="the first port of the running suite")
    parser.add_argument("--owner-key-file", type=pathlib.Path, help="reconnect.key is expected beside it")
    parser.add_argument("--bin", type=pathlib.Path, help="the folder of the executables")
    parser.add_argument("--gateways", type=int, default=2, help="how many replicas run")
    parser.add_argument("--only", default="", metavar="FILTER",
                        help="a regular expression; cases whose dialect, place, clauses or name it fits")
    parser.add_argument("--at-once", type=int, default=32, help="how many cases run beside each other")
    parser.add_argument("--list", action="store_true", help="print the cases and run none")
    given = parser.parse_args()
    home = pathlib.Path(os.environ.get("CROSSPOINT_HOME", HERE.parents[1] / ".crosspoint"))
    if given.base is None and not given.list:
        given.base, given.gateways = map(int, (home / "run" / "suite").read_text().split()[:2])
    given.owner_key_file = given.owner_key_file or home / "owner.key"
    given.bin = given.bin or pathlib.Path(os.environ.get("CROSSPOINT_BIN_DIR", HERE.parents[1] / ".build" / "release"))
    return given


def load():
    """Imports every file of cases."""
    for path in sorted(HERE.glob("*.py")):
        if path.stem not in HARNESS:
            importlib.import_module(path.stem)


def selected(pattern):
    """The registered cases that the filter fits."""
    fits = re.compile(pattern, re.IGNORECASE)
    return [case for case in cases.registry if fits.search(described(case))]


def described(case):
    """One line that names a case."""
    return f"{case.dialect} {case.place}: {case.name} [{'; '.join(case.clauses)}]"


async def play(case, stage):
    """Plays one case; returns None, or why it failed."""
    me, said = cases.Me(stage), None
    try:
        async with asyncio.timeout(case.seconds) as deadline:
            await case.test(stage, me, **case.arguments)
    except Exception as failure:
        said = f"not done within {case.seconds} s, at {_line(failure)}" if deadline.expired() else _explained(failure)
    await me.end()
    return said


def _explained(failure):
    kind = "" if isinstance(failure, AssertionError) else f"{type(failure).__name__}: "
    if isinstance(failure, edge.Refused):
        kind = "refused: "
    return f"{kind}{failure or 'assertion failed'} ({_line(failure)})"


def _line(failure):
    """Where in a file of cases it went wrong."""
    frames = traceback.extract_tb(failure.__traceback__)
    places = [pathlib.Path(frame.filename) for frame in frames]
    own = [frame for frame, path in zip(frames, places) if path.parent == HERE and path.stem not in HARNESS]
    frame = (own or frames)[-1]
    return f"{pathlib.Path(frame.filename).name}:{frame.lineno}: {frame.line}"


async def play_all(chosen, stage, at_once):
    """Plays the slow ones first and the others beside them, then one by one those that want to be alone."""
    results, turns, patient = {}, asyncio.Semaphore(at_once), asyncio.Semaphore(4 * at_once)

    async def one(case):
        async with patient if case.slow else turns:
            await record(case)

    async def record(case):
        began = time.monotonic()
        results[case] = said = await play(case, stage)
        if said:
            print(f"FAILED {described(case)}\n       {said}\n       after {time.monotonic() - began:.1f} s", flush=True)

    async with asyncio.TaskGroup() as group:
        slow = [group.create_task(one(case)) for case in chosen if case.slow]
        # They measure time: whoever begins must not have to wait for its turn on this processor.
        await asyncio.sleep(3 if slow else 0)
        for case in chosen:
            if not case.slow and not case.alone:
                group.create_task(one(case))
    began = time.monotonic()
    for case in chosen:
        if case.alone:
            await record(case)
    print(f"\n{time.monotonic() - began:.0f} s for those alone", flush=True)
    # Many measure time, beside many others: what fails there and not by itself is the machine's fault.
    for case in [case for case, said in results.items() if said]:
        await record(case)
        if not results[case]:
            print(f"PASSED BY ITSELF {described(case)}", flush=True)
    return results


def named(case):
    """The clauses of a case as (document, clause)."""
    for clause in case.clauses:
        document, _, own = clause.rpartition("#")
        yield document or case.dialect, own


def show_table(results):
    """Prints dialect × section × passed and failed."""
    counts = collections.defaultdict(lambda: [0, 0])
    for case, said in results.items():
        for place in {(document, clause.split(" ")[0]) for document, clause in named(case)}:
            counts[place][said is not None] += 1
    print(f"\n{'contract':<14} {'section':<8} {'passed':>6} {'failed':>6}")
    for (document, section), (passed, failed) in sorted(counts.items(), key=lambda item: _natural(item[0])):
        print(f"{document:<14} {section:<8} {passed:>6} {failed or '':>6}")


def _natural(place):
    document, section = place
    order = clauses.NAMES.index(document) if document in clauses.NAMES else len(clauses.NAMES)
    return order, document, [(int(part) if part.isdigit() else 0, part) for part in section.split(".")]


def show_clauses(chosen):
    """Prints every clause without a case, and every name that no contract has; returns how many are at fault."""
    shown = collections.defaultdict(set)
    for case in chosen:
        for document, clause in named(case):
            shown[document].add(clause)
    faults = 0
    for document in clauses.NAMES:
        known = clauses.clauses(document)
        excused = uncovered.WITHOUT_CASE.get(document, {})
        print(f"\n{document}: {len(known)} clauses, {len(shown[document] & set(known))} shown")
        for clause in known:
            if clause not in shown[document]:
                reason = excused.get(clause) or excused.get(clause.split(" ")[0])
                print(f"  {clause}: {reason or 'NO CASE'}")
                faults += reason is None
        sections = {clause.split(" ")[0] for clause in known}
        for clause in sorted((shown[document] | set(excused)) - set(known) - sections):
            print(f"  {clause}: NOT IN THE CONTRACT")
            faults += 1
        for clause in sorted(shown[document] & set(excused)):
            print(f"  {clause}: HAS A CASE AND AN EXCUSE")
            faults += 1
    return faults


async def main():
    """Runs; 0 if all passed and every clause has a case or a reason to have none."""
    given = arguments()
    load()
    chosen = selected(given.only)
    if given.list:
        print(*map(described, chosen), sep="\n")
        return show_clauses(chosen) > 0
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    stage = Stage(given.base, given.owner_key_file.read_text().strip(), given.bin, given.gateways,
                  given.owner_key_file.resolve().with_name("reconnect.key"),
                  given.owner_key_file.resolve().with_name("proxy.key"))
    began = time.monotonic()
    try:
        await stage.settle()
        results = await play_all(chosen, stage, given.at_once)
    finally:
        await stage.end()
    show_table(results)
    faults = 0 if given.only else show_clauses(chosen)
    failed = sum(said is not None for said in results.values())
    if faults:
        print(f"\n{faults} clauses at fault")
    print(f"\n{time.monotonic() - began:.0f} s in all\n{len(results) - failed} passed, {failed} failed")
    return failed > 0 or faults > 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
