"""The days of a course: the label's table week by week, missed sessions, closed days."""

from collections import Counter
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openketamine import protocols
from openketamine.protocols import calendar
from openketamine.protocols.calendar import Choices, OpenDays, PastSession, propose

LIBRARY = protocols.load()
MONDAY = date(2026, 11, 30)
ALWAYS = OpenDays(frozenset(range(7)))
WITH_SCHEDULE = [r for r in LIBRARY.regimens.values() if r.phases]


def course(regimen, **kwargs):
    return propose(LIBRARY, LIBRARY.regimens[regimen], **{"start": MONDAY, **kwargs})


def day(number):
    """A day of the course: 0 is the first."""
    return MONDAY + timedelta(days=number)


def week_of(when):
    return (when - MONDAY).days // 7 + 1


def done(*numbers, dose=56):
    return [PastSession(day(number), "done", dose) for number in numbers]


def missed(*numbers):
    return [PastSession(day(number), "missed") for number in numbers]


INDUCTION = (0, 3, 7, 10, 14, 17, 21, 24)
OPTIMISATION = (28, 35, 42, 49)


# The label's table, stated again: sessions of each week from 1 to 14, by the rhythm from week 9 on.
@pytest.mark.parametrize(
    ("maintenance", "later"),
    [
        ("weekly", [1, 1, 1, 1, 1, 1]),
        # Two weeks after the session of week 8, so the first falls in week 10.
        ("every 2 weeks", [0, 1, 0, 1, 0, 1]),
    ],
)
@pytest.mark.parametrize("regimen", ["esketamine-trd-us", "esketamine-trd-eu"])
def test_the_table_of_the_label_week_by_week(regimen, maintenance, later):
    made = course(regimen, weeks=14, choices=Choices(rhythms={"maintenance": maintenance}))
    weeks = Counter(session.week for session in made.sessions)
    assert [weeks[week] for week in range(1, 15)] == [2, 2, 2, 2, 1, 1, 1, 1, *later]
    for session in made.sessions:
        phase = (
            "induction"
            if session.week <= 4
            else "optimisation"
            if session.week <= 8
            else "maintenance"
        )
        assert session.phase == phase
        assert session.reasons
    assert [(review.on, review.phase) for review in made.reviews] == [
        (day(28), "induction"),
        (day(56), "optimisation"),
    ]


def test_without_a_choice_maintenance_is_proposed_at_its_least_frequent():
    made = course("esketamine-trd-us", weeks=14)
    assert [s.week for s in made.sessions if s.phase == "maintenance"] == [10, 12, 14]


@pytest.mark.parametrize("regimen", ["esketamine-mdsi-us", "esketamine-emergency-eu"])
def test_acute_suicidality_is_eight_sessions_in_four_weeks_and_ends(regimen):
    made = course(regimen, weeks=30)
    assert Counter(s.week for s in made.sessions) == {1: 2, 2: 2, 3: 2, 4: 2}
    assert made.reviews[-1].on == day(28)


# Missed sessions: every phase, with and without worsening, and not known.
@pytest.mark.parametrize("worsened", [True, False, None])
@pytest.mark.parametrize("which", INDUCTION)
def test_a_session_missed_in_weeks_1_to_4_changes_nothing_that_follows(which, worsened):
    before = [n for n in INDUCTION if n < which]
    made = course(
        "esketamine-trd-us",
        history=[*done(*before), *missed(which)],
        worsened=worsened,
        today=day(which + 1),
        weeks=9,
    )
    if not before:
        # Nothing has been given: the course begins on the next open day.
        assert made.sessions[0].week == 1
        return
    left = [n for n in (*INDUCTION, *OPTIMISATION) if n > which]
    assert [s.on for s in made.sessions if s.week <= 8] == [day(n) for n in left]
    assert made.questions == ()
    assert any("ESK-MISSED-1" in note for note in made.notes)


@pytest.mark.parametrize("which", OPTIMISATION)
def test_a_weekly_session_missed_without_worsening_goes_on_weekly(which):
    before = [n for n in (*INDUCTION, *OPTIMISATION) if n < which]
    made = course(
        "esketamine-trd-us",
        history=[*done(*before), *missed(which)],
        worsened=False,
        today=day(which + 1),
    )
    left = [n for n in OPTIMISATION if n > which]
    assert [s.on for s in made.sessions if s.week <= 8] == [day(n) for n in left]
    assert any("ESK-MISSED-2" in note for note in made.notes)


@pytest.mark.parametrize("which", OPTIMISATION)
def test_a_weekly_session_missed_with_worsening_goes_back_to_twice_a_week(which):
    before = [n for n in (*INDUCTION, *OPTIMISATION) if n < which]
    made = course(
        "esketamine-trd-us",
        history=[*done(*before), *missed(which)],
        worsened=True,
        today=day(which + 1),
    )
    assert len(made.sessions) == 8
    assert (made.sessions[-1].on - made.sessions[0].on).days < 28
    assert any("ESK-MISSED-3" in note for note in made.notes)
    (review,) = made.reviews
    assert review.on > made.sessions[-1].on
    assert all("one step back from weekly" in s.reasons[0] for s in made.sessions)


@pytest.mark.parametrize(
    ("rhythm", "days", "most"), [("every 2 weeks", (63, 77), 4), ("weekly", (56, 63), 8)]
)
def test_maintenance_missed_with_worsening_goes_one_step_back(rhythm, days, most):
    made = course(
        "esketamine-trd-us",
        history=[*done(*INDUCTION, *OPTIMISATION, days[0]), *missed(days[1])],
        worsened=True,
        today=day(days[1] + 1),
        choices=Choices(rhythms={"maintenance": rhythm}),
    )
    assert len(made.sessions) == most


def test_maintenance_every_2_weeks_missed_without_worsening_keeps_its_days():
    made = course(
        "esketamine-trd-us",
        history=[*done(*INDUCTION, *OPTIMISATION, 63), *missed(77)],
        worsened=False,
        today=day(78),
        weeks=6,
    )
    assert [s.on for s in made.sessions] == [day(91), day(105), day(119)]


def test_whether_depression_worsened_is_asked_and_never_assumed():
    made = course(
        "esketamine-trd-us",
        history=[*done(*INDUCTION, 28), *missed(35)],
        today=day(36),
    )
    assert made.provisional
    assert made.questions == ("Have symptoms worsened since the session missed on 04 January?",)
    assert [s.on for s in made.sessions if s.week <= 8] == [day(42), day(49)]


def test_a_missed_session_before_one_that_was_kept_asks_nothing_any_more():
    made = course(
        "esketamine-trd-us", history=[*done(*INDUCTION), *missed(28), *done(35)], today=day(36)
    )
    assert not made.provisional


def test_two_hundred_days_into_maintenance_the_calendar_still_looks_ahead():
    made = course(
        "esketamine-trd-us",
        history=done(*INDUCTION, *OPTIMISATION, *range(63, 200, 14)),
        today=day(200),
        weeks=8,
    )
    assert [s.on for s in made.sessions] == [day(203), day(217), day(231), day(245)]


def test_a_missed_infusion_moves_to_the_end_and_six_remain_six():
    made = course("iv-depression", history=[*done(0, 2), *missed(4)], today=day(5))
    assert len(made.sessions) == 4
    assert [s.number for s in made.sessions] == [3, 4, 5, 6]
    assert any("IV-MISSED" in note for note in made.notes)


@pytest.mark.parametrize("offset", range(14))
def test_six_infusions_fall_on_working_days_within_three_weeks(offset):
    made = course("iv-depression", start=MONDAY + timedelta(days=offset))
    days = [s.on for s in made.sessions]
    assert len(days) == 6
    assert all(d.weekday() < 5 for d in days)
    assert (days[-1] - days[0]).days <= 21


def test_two_doses_a_day_apart_are_a_day_apart():
    made = course("iv-suicidality", choices=Choices(sessions=2))
    assert [s.on for s in made.sessions] == [day(0), day(1)]


def test_ten_daily_infusions_pass_over_the_weekend_and_say_so():
    made = course("pain-crps-daily")
    assert [s.on.weekday() for s in made.sessions] == [0, 1, 2, 3, 4] * 2
    assert "the clinic is closed on a Saturday" in made.sessions[5].reasons[1]


def test_a_closed_day_moves_one_session_and_not_those_after_it():
    made = course("esketamine-trd-us", open_days=OpenDays(closed=frozenset({day(7)})))
    assert [s.on for s in made.sessions[:6]] == [day(n) for n in (0, 3, 8, 10, 14, 17)]
    moved = made.sessions[2]
    assert moved.reasons[1] == "1 day later: the clinic is closed on 07 December."


def test_a_week_without_an_open_day_drops_its_sessions_and_says_so():
    closed = frozenset(day(n) for n in range(7, 14))
    made = course("esketamine-trd-us", open_days=OpenDays(closed=closed))
    assert 2 not in {s.week for s in made.sessions}
    assert [note for note in made.notes if note.startswith("Week 2")]


def test_the_days_on_which_a_patient_can_come_are_kept():
    made = course("esketamine-trd-us", choices=Choices(weekdays=frozenset({1, 4})), weeks=12)
    assert {s.on.weekday() for s in made.sessions} <= {1, 4}
    assert Counter(s.week for s in made.sessions)[1] == 2


def test_two_sessions_of_a_week_are_numbered_in_the_order_of_their_days():
    # Open on Mondays and Wednesdays only, one step back from a Wednesday: the second session of
    # each week finds no day after the first one, and takes the Monday before it.
    made = course(
        "esketamine-trd-us",
        history=[*done(*range(6)), *missed(28)],
        worsened=True,
        today=day(28),
        open_days=OpenDays(weekdays=frozenset({0, 2})),
    )
    days = [session.on for session in made.sessions]
    assert days == [day(n) for n in (30, 35, 37, 42, 44, 49, 51)]
    assert [session.number for session in made.sessions] == list(range(7, 14))
    assert [bool(session.dose) for session in made.sessions] == [True, *[False] * 6]


def test_a_clinic_that_never_opens_is_told_so():
    with pytest.raises(calendar.NoOpenDayError, match="no open day"):
        course("iv-depression", open_days=OpenDays(frozenset()))


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        (Choices(rhythms={"induction": "daily"}), "not offered; choose from twice a week"),
        (Choices(rhythms={"forever": "weekly"}), "no phase 'forever'"),
        (Choices(sessions=-1), "not below zero"),
    ],
)
def test_a_choice_that_the_regimen_does_not_offer_is_refused(choices, words):
    with pytest.raises(ValueError, match=words):
        course("esketamine-trd-us", choices=choices)


def test_a_regimen_without_a_schedule_says_why():
    with pytest.raises(ValueError, match="has no schedule: How often was not read"):
        course("sl-home-lozenge")


def test_two_sessions_of_the_past_on_one_day_are_refused():
    with pytest.raises(ValueError, match="two sessions on one day"):
        course("iv-depression", history=[*done(0), *missed(0)])


def test_questionnaires_come_with_the_sessions_and_no_more_often_than_their_occasion_allows():
    made = course("ptsd-series")
    after = [m for m in made.measurements if m.occasion == "24h"]
    assert [m.on for m in after] == [s.on + timedelta(days=1) for s in made.sessions]
    assert all("phq9" in m.instruments for m in after)
    weekly = [m.on for m in made.measurements if m.occasion == "weekly"]
    assert [(b - a).days for a, b in pairwise(weekly)] == [7]
    (four_weekly,) = [m for m in made.measurements if m.occasion == "4-weekly"]
    assert "pcl5" in four_weekly.instruments
    sadness = course("iv-depression")
    assert not [m for m in sadness.measurements if "pcl5" in m.instruments]


def test_the_first_dose_is_proposed_with_the_day_and_what_follows_waits_for_how_it_went():
    made = course("esketamine-trd-us")
    assert made.sessions[0].dose.options == (56,)
    assert all(s.dose is None for s in made.sessions[1:])
    later = course("esketamine-trd-us", history=done(0), today=day(1), tolerated=True)
    assert later.sessions[0].dose.options == (56, 84)


@st.composite
def situations(draw):
    """A regimen, a start, closed days and a past that could have happened."""
    regimen = draw(st.sampled_from(WITH_SCHEDULE))
    start = MONDAY + timedelta(days=draw(st.integers(0, 20)))
    weekdays = draw(st.sets(st.integers(0, 6), min_size=2))
    closed = draw(st.sets(st.integers(0, 90), max_size=12))
    rhythms = {p.id: draw(st.sampled_from(p.rhythms)) for p in regimen.phases}
    past = [
        PastSession(
            start + timedelta(days=n), draw(st.sampled_from(["done", "done", "missed"])), None
        )
        for n in sorted(draw(st.sets(st.integers(0, 80), max_size=10)))
    ]
    today = (past[-1].on if past else start) + timedelta(days=draw(st.integers(0, 20)))
    return {
        "regimen": regimen,
        "start": start,
        "weeks": draw(st.integers(1, 16)),
        "choices": Choices(rhythms=rhythms),
        "open_days": OpenDays(
            frozenset(weekdays), frozenset(start + timedelta(days=n) for n in closed)
        ),
        "history": past,
        "worsened": draw(st.sampled_from([True, False, None])),
        "today": today,
    }


@settings(max_examples=400, deadline=None)
@given(situations())
def test_whatever_happened_the_rules_of_the_calendar_hold(situation):
    regimen = situation.pop("regimen")
    made = propose(LIBRARY, regimen, **situation)
    days = [s.on for s in made.sessions]
    given_ = [p.on for p in situation["history"] if p.state == "done"]
    # Never two on a day, always forward, never in the past, never on a closed day.
    assert days == sorted(set(days))
    assert not set(days) & {p.on for p in situation["history"]}
    assert all(d >= situation["today"] for d in days)
    assert not [d for d in days if situation["open_days"].why_closed(d)]
    # Never denser than the densest rhythm that the phase or a step back allows.
    steps = {to for rule in regimen.missed for to in rule.step_back.values()}
    for session in made.sessions:
        phase = next(p for p in regimen.phases if p.id == session.phase)
        names = {situation["choices"].rhythms[phase.id]} | (
            steps if situation["worsened"] else set()
        )
        most = max(LIBRARY.rhythms[name].per_week for name in names)
        gap = min(LIBRARY.rhythms[name].least_gap_days for name in names)
        monday = session.on - timedelta(days=session.on.weekday())
        earlier = [d for d in (*given_, *days) if d < session.on]
        assert len([d for d in earlier if d >= monday]) + 1 <= most or most == 7
        assert all((session.on - d).days >= gap for d in earlier)
    if regimen.route == "IN_ESKETAMINE":
        assert max(Counter(s.week for s in made.sessions).values(), default=0) <= 2
    # What is counted in sessions ends with them; what is counted in weeks ends with the weeks.
    total = regimen.sessions
    if total is not None:
        assert len(days) == max(total - len(given_), 0)
        assert [s.number for s in made.sessions] == list(range(len(given_) + 1, total + 1))[
            : len(days)
        ]
    elif regimen.phases[-1].last_week and not situation["worsened"]:
        assert all(s.week <= regimen.phases[-1].last_week for s in made.sessions)
    for one, other in pairwise(made.measurements):
        assert one.on <= other.on


@settings(max_examples=60, deadline=None)
@given(situations())
def test_the_same_question_has_the_same_answer(situation):
    regimen = situation.pop("regimen")
    assert propose(LIBRARY, regimen, **situation) == propose(LIBRARY, regimen, **situation)
