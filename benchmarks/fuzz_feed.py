"""100,000 random or mutated messages against the monitor feed: no acknowledged loss, no crash.

    python benchmarks/fuzz_feed.py [--messages 100000] [--seed 1] [--json]

Real-shaped messages of four monitors, two of them at chairs in use, are changed at random (bytes
replaced, cut, doubled, put in; fields swapped; segments repeated) or replaced by random bytes, some
in frames that are truncated or run into each other. They go through the frame reader and the intake
into a clinic of its own on SQLite. Every message must be answered or refused with a reason, what is
answered AA must be in the record or held, and memory must not grow with the number of messages.
"""

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).parents[1]


def mutate(rng: random.Random, raw: bytes) -> bytes:
    data = bytearray(raw)
    for _ in range(rng.choice((0, 1, 1, 2, 4, 16))):
        at = rng.randrange(len(data) or 1)
        match rng.randrange(6):
            case 0:
                data[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del data[at : at + rng.randrange(1, 60)]
            case 2:
                data[at:at] = rng.randbytes(rng.randrange(1, 40))
            case 3:
                data[at:at] = data[rng.randrange(len(data) or 1) :][: rng.randrange(200)]
            case 4:
                lines = bytes(data).split(b"\r")
                lines.insert(rng.randrange(len(lines)), rng.choice(lines))
                data = bytearray(b"\r".join(lines))
            case 5:
                fields = bytes(data).split(b"|")
                a, b = rng.randrange(len(fields)), rng.randrange(len(fields))
                fields[a], fields[b] = fields[b], fields[a]
                data = bytearray(b"|".join(fields))
    return bytes(data)


def fuzz(messages: int, seed: int) -> dict[str, object]:
    """Send them, and count what became of them. Needs Django and an empty, migrated database."""
    from openketamine.clinic.devices import services as devices
    from openketamine.clinic.devices.models import Device, HeldReading
    from openketamine.clinic.record import clock
    from openketamine.clinic.record import services as record
    from openketamine.clinic.record.models import Event
    from openketamine.exchange.hl7v2 import intake
    from openketamine.exchange.hl7v2.mllp import BadFrame, Deframer, frame
    from openketamine.exchange.hl7v2.replay import code_of, oru

    rng = random.Random(seed)
    answers: Counter[str] = Counter()
    stored = repeated = held = 0
    receive = devices.receive

    def counted(deliveries):
        nonlocal stored, repeated, held
        receipts = receive(deliveries)
        stored += sum(r.stored for r in receipts)
        repeated += sum(r.repeated for r in receipts)
        held += sum(len(r.held) for r in receipts)
        return receipts

    intake.devices.receive = counted
    deframer, batch = Deframer(), []
    began, now = time.monotonic(), clock.now()
    memory_at_tenth = 0
    unanswered = 0
    try:
        for number in range(messages):
            now += timedelta(milliseconds=5)
            kind = rng.random()
            raw = oru(
                {"HR": str(rng.randint(40, 140)), "SpO2": str(rng.randint(0, 101)),
                 "NBPSys": str(rng.randint(80, 200)), "NBPDias": str(rng.randint(40, 120))},
                device=f"M{number % 4}", control_id=str(number), at=now,
                location=f"Chair {1 + number % 4}",
            )  # fmt: skip
            raw = rng.randbytes(rng.randrange(300)) if kind < 0.05 else mutate(rng, raw)
            wire = frame(raw)
            if kind > 0.97:
                wire = wire[: rng.randrange(len(wire))]  # cut off: runs into the next
            try:
                whole = deframer.feed(wire)
            except BadFrame:
                deframer, whole = Deframer(), []
                answers["bad frame"] += 1
            batch += [(message, now) for message in whole]
            if len(batch) >= 100 or number == messages - 1:
                for answer in intake.take(batch):
                    answers[answer.code] += 1
                    if answer.reply is None:
                        unanswered += 1
                    elif not code_of(answer.reply)[0]:
                        raise SystemExit("an answer that nobody can read")
                    if answer.code != "AA" and not answer.reason:
                        raise SystemExit("a refusal without a reason")
                batch = []
            if number == messages // 10:
                memory_at_tenth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    finally:
        intake.devices.receive = receive
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    in_record = Event.objects.filter(kind="session.vitals_recorded", source="monitor").count()
    expired = sum(e.data["readings"] for e in Event.objects.filter(kind="device.held_expired"))
    waiting = HeldReading.objects.count()
    return {
        "messages": messages,
        "answers": dict(answers),
        "wanted no answer": unanswered,
        "readings stored": stored,
        "in the record": in_record,
        "acknowledged and lost": stored - in_record,
        "held, by message": held,
        "held now": waiting,
        "held and let go, counted in the record": expired,
        "repeated": repeated,
        "devices": Device.objects.count(),
        "record intact": record.verify().intact,
        "memory MB at a tenth": round(memory_at_tenth / 1024, 1),
        "memory MB at the end": round(memory / 1024, 1),
        "messages a second": round(messages / (time.monotonic() - began)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    home = tempfile.mkdtemp(prefix="openketamine-fuzz-")
    os.environ["OPENKETAMINE_HOME"] = home
    os.environ.pop("OPENKETAMINE_DATABASE_URL", None)
    from openketamine.clinic.boot import prepare_database, start_django

    seed = [sys.executable, "-m", "tests.clinic.seed", "2"]
    subprocess.run(seed, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    start_django()
    prepare_database()
    try:
        result = fuzz(arguments.messages, arguments.seed)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print(json.dumps(result, indent=1))
    if result["acknowledged and lost"] or not result["record intact"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
