#!/usr/bin/python3
"""Kill the running program at random instants, or cut the power under it, while 32 clients enroll; then look at what is left.

    tests/torture/torture.py [--kill N] [--cut N] [--proof N] [--seed N] [--keep DIR]

  --kill N    rounds of kill -9: the server, the signer or both
  --cut N     rounds on a store and a signer's journal that forget at a random operation everything that was not synced
  --proof N   runs each of what is wrong on purpose and has to be found out: synchronous=OFF under power cuts; synchronous=OFF under kill -9
              where the page cache dies with the process, because it outlives a real one; a signer's journal that is never flushed

All rounds of a run are on one home, so that damage adds up. After each: the start is clean; every certificate whose answer a client had
completely is found by its serial and stands in the register; no serial and no number of the signer's chain stands there twice; the tree of
the newest checkpoint holds the very leaves that were seen before. Every 20 rounds and at the end the register is verified as a
whole; after a good end the store's tables are read as well. Exit status 0 when nothing was found.

TOUCHMARK names the program; libtm_torture.so is looked for beside it.
"""
import argparse
import collections
import os
import random
import re
import shutil
import sqlite3
import sys
import tempfile
import threading
import time

from audit import Auditor
from clients import Client, Ledger
from victim import START_SECONDS, Clock, Finding, Stock, Victim, kill

CLIENTS = 32
VERIFY_EVERY = 20
# What a start after a violent end may complain of: nothing. What a server may complain of whose signer was killed:
SIGNER_GONE = {"signer.died", "issue.sign-failed", "api.failed", "job.failed"}


class Run:
    def __init__(self, stock, name, seed, tell=None):
        self.stock = stock
        self.name = name
        self.seed = seed
        self.random = random.Random(seed)
        self.tell = tell or (lambda text: None)
        self.home = stock.copy(name)
        self.victim = Victim(self.home)
        self.token = self.victim.admin_token
        self.ledger = Ledger()
        self.open = threading.Event()
        self.over = False
        self.problems = []
        self.auditor = Auditor(self)
        self.clients = [Client(self, i) for i in range(CLIENTS)]
        self.rounds = collections.Counter()
        self.clock_path = self.home + ".clock"
        db = sqlite3.connect(os.path.join(self.home, "store", "touchmark.db"))
        self.initial = {row[0].hex() for row in db.execute("SELECT id FROM cert")}
        db.close()

    def __enter__(self):
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *exc):
        self.over = True
        self.open.clear()
        if self.victim.process:
            self.victim.end()
        for client in self.clients:
            client.join(15)

    def complaints(self, allowed=()):
        bad = [line for event, line in self.victim.complaints() if event not in allowed]
        if bad:
            raise Finding(f"the log complains: {bad[0][:500]}")
        if self.problems:
            raise Finding(self.problems[0])

    def load(self, seconds):
        self.open.set()
        time.sleep(seconds)

    def whole(self, i, rounds):
        return (i + 1) % VERIFY_EVERY == 0 or i + 1 == rounds

    def report(self, i, rounds, how):
        self.rounds[how] += 1
        self.tell(f"{self.name}: round {i + 1} of {rounds}, {how}; {self.ledger.answered} acknowledged, {len(self.auditor.serials)} issued")

    # --- kill -9 ---

    def kills(self, rounds, env=None, fresh_clock=False):
        self.start(env, fresh_clock)
        for i in range(rounds):
            how = self.random.choice(("server", "signer", "both"))
            self.load(self.random.uniform(0.05, 0.6))
            signer = self.victim.signer()
            if not signer:
                raise Finding("there is no signer process")
            if how == "signer":
                self.kill_signer(signer)
                self.open.clear()
            else:
                if how == "both":
                    kill(signer)
                kill(self.victim.process.pid)
                self.open.clear()
                self.victim.end()
                self.complaints(SIGNER_GONE if how == "both" else ())
                self.start(env, fresh_clock)
            self.auditor.look(self.whole(i, rounds))
            self.report(i, rounds, "kill " + how)
        self.finish()

    def kill_signer(self, pid):
        kill(pid)
        deadline = time.monotonic() + START_SECONDS
        while self.victim.signer() in (0, pid) or not self.victim.ready():
            if self.victim.process.poll() is not None:
                raise Finding("the server ended with its signer: " + self.victim.new_log()[-1500:])
            if time.monotonic() > deadline:
                raise Finding("the signer did not come back: " + self.victim.new_log()[-1500:])
            time.sleep(0.01)
        answered = self.ledger.answered
        while self.ledger.answered == answered:
            if time.monotonic() > deadline:
                raise Finding("nothing is issued after the signer came back: " + self.victim.new_log()[-1500:])
            time.sleep(0.01)
        self.complaints(SIGNER_GONE)
        self.victim.log_at = os.path.getsize(self.victim.log_path)

    def start(self, env=None, fresh_clock=False):
        clock = Clock(self.clock_path) if fresh_clock else None
        if clock:
            env = {**(env or {}), "TM_TORTURE_VFS": "cut=0"}
        self.victim.launch(env, clock)
        self.victim.wait_ready()
        self.complaints()

    # --- power cuts ---

    def cuts(self, rounds, env=None):
        for i in range(rounds):
            clock = Clock(self.clock_path)
            torn = self.random.randrange(2)
            in_start = self.random.random() < 0.15
            if in_start:
                clock.cut_at(self.random.randrange(1, 60))
            self.victim.launch({**(env or {}), "TM_TORTURE_VFS": f"cut=0,seed={self.random.randrange(1 << 30)},torn={torn}"}, clock)
            if self.victim.wait_ready():
                self.complaints()
                self.auditor.look(self.whole(i, rounds))
                clock.cut_at(0)
                self.load(self.random.uniform(0.05, 0.3))
                clock.cut_at(clock.operations + self.random.randrange(1, 300))
                deadline = time.monotonic() + 10
                while not clock.cut:
                    if time.monotonic() > deadline:
                        raise Finding("nothing was written for ten seconds: " + self.victim.new_log()[-1500:])
                    time.sleep(0.001)
            self.open.clear()
            self.victim.end()
            self.complaints(SIGNER_GONE)  # the signer may have been the one that the cut came to
            self.report(i, rounds, f"cut {'in start' if in_start else 'under load'}{', torn' if torn else ''}")
        self.start()
        self.auditor.look(True)
        self.finish()

    def finish(self):
        """A good end, and everything read once more without the server."""
        self.open.clear()
        time.sleep(0.3)
        self.auditor.look(True)
        if self.victim.stop() != 0:
            raise Finding("the server did not end well: " + self.victim.new_log()[-1500:])
        self.complaints()
        self.victim.process = None
        self.auditor.offline(self.victim)

    def figures(self):
        rounds = ", ".join(f"{n} × {how}" for how, n in sorted(self.rounds.items()))
        refused = ", ".join(f"{n} × {status}" for status, n in sorted(self.ledger.refused.items(), key=str))
        return (f"{sum(self.rounds.values())} rounds ({rounds}); {self.ledger.answered} certificates acknowledged of {self.ledger.asked}"
                f" asked for, {len(self.auditor.serials)} issued; other answers: {refused or 'none'}")


def kill_run(stock, rounds, seed, tell=None, name="kill"):
    with Run(stock, name, seed, tell) as run:
        run.kills(rounds)
        return run.figures()


def cut_run(stock, rounds, seed, tell=None, name="cut"):
    with Run(stock, name, seed, tell) as run:
        run.cuts(rounds)
        return run.figures()


# ---- counter-proof: each must be found out ----

WRONG = {
    "synchronous=OFF, power cut": ("cuts", {"TOUCHMARK_UNSAFE_ASYNC": "1"}, {}),
    "synchronous=OFF, kill -9 and no page cache": ("kills", {"TOUCHMARK_UNSAFE_ASYNC": "1"}, {"fresh_clock": True}),
    "journal never flushed, power cut": ("cuts", {"TM_TORTURE_DEAF": "journal"}, {}),
}
UNSAFE = {"store.unsafe"}


class WrongRun(Run):
    """A run whose complaints about being unsafe are expected."""

    def complaints(self, allowed=()):
        super().complaints((*allowed, *UNSAFE))

    def finish(self):
        """The loss shows at the start after the last round, before this."""


def proof_run(stock, what, seed, rounds=6, tell=None):
    """What gave it away; None where the run passed, which it must not."""
    method, env, options = WRONG[what]
    name = f"proof-{re.sub('[^a-z0-9]+', '-', what.lower())}-{seed}"
    try:
        with WrongRun(stock, name, seed, tell) as run:
            getattr(run, method)(rounds, env, **options)
    except Finding as found:
        return str(found)
    return None


def main():
    parser = argparse.ArgumentParser(description="kill -9 and power cuts under load, on the whole program")
    parser.add_argument("--kill", type=int, default=200, help="rounds of kill -9")
    parser.add_argument("--cut", type=int, default=200, help="rounds of power cuts")
    parser.add_argument("--proof", type=int, default=3, help="runs each of what has to be found out")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--keep", help="work here and leave it")
    args = parser.parse_args()
    directory = args.keep or tempfile.mkdtemp(prefix="touchmark-torture-")
    os.makedirs(directory, exist_ok=True)
    print(f"seed {args.seed}, in {directory}", flush=True)
    terminal = sys.stderr.isatty()
    said = time.monotonic()

    def tell(text):
        nonlocal said
        if terminal:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - said > 15:
            said = time.monotonic()
            print(text, flush=True)

    def clear():
        if terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    failed = 0
    stock = Stock(directory)
    for name, run, rounds in (("kill", kill_run, args.kill), ("cut", cut_run, args.cut)):
        if not rounds:
            continue
        started = time.monotonic()
        try:
            result = run(stock, rounds, args.seed, tell)
            clear()
            print(f"{name}: {result}; {time.monotonic() - started:.0f} s", flush=True)
        except Finding as found:
            clear()
            failed += 1
            print(f"{name}: FOUND: {found}", flush=True)
    for what in WRONG if args.proof else ():
        blind = 0
        for i in range(args.proof):
            found = proof_run(stock, what, args.seed + i, tell=tell)
            clear()
            blind += found is None
            print(f"proof, {what}: {'found out: ' + found[:160] if found else 'NOT SEEN'}", flush=True)
        failed += blind > 0
    if not args.keep and not failed:
        shutil.rmtree(directory)
    print("torture: " + (f"{failed} failed; see {directory}" if failed else "nothing was lost, nothing was doubled"), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
