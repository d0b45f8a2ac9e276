"""Every outcomes page: server time and number of queries, with many simulated courses.

    python benchmarks/outcomes.py [--courses 1000] [--small 200] [--repeats 5] [--json]

On SQLite in a throw-away folder, or on the database that OPENKETAMINE_DATABASE_URL names, which
must be empty (`tools/with_postgresql.sh python benchmarks/outcomes.py --courses 10000`).

The pages are asked for twice: with `--small` courses and with all of them. The number of queries
must be the same. The time of a page is of the whole request in the server's process, sign-in and
template included; beside it stand the processor time of that process, and how many times as long
as a page of the same look that counts nothing.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable

PAGES = (
    "/outcomes/",
    "/outcomes/?condition=",
    "/outcomes/onset-and-relapse/",
    "/outcomes/scores-over-time/",
    "/outcomes/adverse-events/",
    "/outcomes/clinicians/",
    "/outcomes/clinicians/?measure=moderate&whose=therapist",
    "/outcomes/exports/",
)
PLAIN = "/outcomes/method/"
BUDGET_MS = 1000.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--courses", type=int, default=1000)
    parser.add_argument("--small", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["OPENKETAMINE_HOME"] = folder
        os.environ["OPENKETAMINE_FORECASTS"] = "0"
        report = run(arguments)
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        show(report)


def run(arguments: argparse.Namespace) -> dict[str, object]:
    from openketamine.clinic.boot import prepare_database, start_django

    start_django()
    prepare_database()
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from openketamine.clinic.accounts.models import Role, User
    from openketamine.clinic.outcomes import exports, fits, summaries
    from openketamine.clinic.outcomes.cohort import Filters
    from openketamine.clinic.people.models import Course
    from openketamine.clinic.policy import services as policy
    from openketamine.clinic.policy.queries import library
    from openketamine.clinic.record import clock
    from openketamine.demo.earlier import Simulation

    if User.objects.exists():
        raise SystemExit("The database is not empty. Name an empty one.")
    director = User.objects.create(
        username="director", role=Role.DIRECTOR, display_name="Dana Specimen"
    )
    policy.sign_policy(director, digest=library().policy_digest)
    client = Client(headers={"host": "localhost"})
    client.force_login(director)

    def timed(act: Callable[[], object]) -> float:
        start = time.perf_counter()
        act()
        return 1000 * (time.perf_counter() - start)

    def processor(act: Callable[[], object]) -> float:
        """Of this process: on a busy machine, what the page itself takes. Not the database's."""
        start = time.process_time()
        act()
        return 1000 * (time.process_time() - start)

    def ask(page: str) -> None:
        assert client.get(page).status_code == 200, page

    def costs(repeats: int) -> dict[str, dict[str, float]]:
        found = {}
        for page in (PLAIN, *PAGES):
            first_ms = timed(lambda page=page: ask(page))
            with CaptureQueriesContext(connection) as queries:
                ask(page)
            count = len(queries)  # the next request empties the log
            times = [timed(lambda page=page: ask(page)) for _ in range(repeats)]
            worked = [processor(lambda page=page: ask(page)) for _ in range(repeats)]
            found[page] = {
                "queries": count,
                "processor_ms": statistics.median(worked),
                "first_ms": first_ms,
                "median_ms": statistics.median(times),
                "best_ms": min(times),
                "worst_ms": max(times),
            }
        return found

    simulation = Simulation(1, until=clock.now())
    simulation.run(arguments.small)
    summaries.rebuild()
    few = costs(1)
    seed_s = time.perf_counter()
    Simulation(2, until=clock.now()).run(arguments.courses - arguments.small)
    seed_s = time.perf_counter() - seed_s
    rebuilt_ms = timed(lambda: summaries.rebuild(everything=True))
    before_fit = costs(arguments.repeats)
    fit_s = time.perf_counter()
    fits.ask(Filters(condition="TRD"), library().instruments["phq9"], background=False)
    fit_s = time.perf_counter() - fit_s
    page = "/outcomes/scores-over-time/"
    fitted = [timed(lambda: ask(page)) for _ in range(arguments.repeats)]
    worked = [processor(lambda: ask(page)) for _ in range(arguments.repeats)]
    before_fit[f"{page} (model fitted)"] = {
        **before_fit[page],
        "processor_ms": statistics.median(worked),
        "first_ms": fitted[0],
        "median_ms": statistics.median(fitted),
        "best_ms": min(fitted),
        "worst_ms": max(fitted),
    }
    taken = {
        name: timed(
            lambda name=name: exports.export(
                director, kind="registry", file_format=name, filters=Filters()
            )
        )
        for name in exports.FORMATS
    }
    plain_ms = before_fit[PLAIN]["median_ms"]
    return {
        "database": connection.vendor,
        "courses": Course.objects.count(),
        "simulated_s": round(seed_s, 1),
        "all_summaries_s": round(rebuilt_ms / 1000, 2),
        "model_fit_s": round(fit_s, 2),
        "exports_ms": {name: round(ms) for name, ms in taken.items()},
        "budget_ms": BUDGET_MS,
        "pages": [
            {
                "page": page,
                **{key: round(value, 1) for key, value in cost.items()},
                "times_a_plain_page": round(cost["median_ms"] / plain_ms, 1),
                "same_queries": cost["queries"] == few[page.partition(" (")[0]]["queries"],
            }
            for page, cost in before_fit.items()
        ],
    }


def show(report: dict) -> None:
    print(
        f"{report['courses']} courses on {report['database']}; all summaries worked out anew in "
        f"{report['all_summaries_s']} s, the mixed model in {report['model_fit_s']} s, exports in "
        f"{report['exports_ms']} ms"
    )
    print(f"{'page':<56} queries  first ms  median ms  best ms  worst ms  processor ms  x plain")
    for page in report["pages"]:
        mark = "" if page["same_queries"] else "  MORE QUERIES THAN WITH FEW COURSES"
        over = "" if page["median_ms"] <= report["budget_ms"] else "  OVER BUDGET"
        print(
            f"{page['page']:<56} {page['queries']:>7.0f} {page['first_ms']:>9.0f} "
            f"{page['median_ms']:>10.0f} {page['best_ms']:>8.0f} {page['worst_ms']:>9.0f} "
            f"{page['processor_ms']:>13.0f} {page['times_a_plain_page']:>8.1f}{mark}{over}"
        )


if __name__ == "__main__":
    main()
