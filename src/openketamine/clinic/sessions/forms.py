"""What is entered on a session. Whether a value is possible is for the service to say."""

import uuid
from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.said import in_english
from openketamine.protocols.schema import DischargeFile, Medicine, MonitoringFile

from .models import Chair, Phase, Session, TransferDecision
from .monitoring_form import EVENTS, MEDICINES, OUTCOMES
from .queries import library_of
from .timeline import BASELINE, OBSERVATIONS, VITALS, Line, Timeline

# The steps of the scale in the clinic's own words; 5 is the normal response.
SEDATION = [
    (5, _("5 answers readily")),
    (4, _("4 slow to answer")),
    (3, _("3 only if called loudly")),
    (2, _("2 only to touch")),
    (1, _("1 only to pain")),
    (0, _("0 no response")),
]


# A time of day that lies further ahead than this is of yesterday.
HALF_A_DAY = timedelta(hours=12)


def time_of_day(typed: time, written_at: datetime) -> datetime:
    """The moment that a typed time of day means, in the clinic's time zone.

    It is of the day on which it was written down; shortly after midnight, of the day before.
    """
    day = timezone.localtime(written_at).date()
    moment = timezone.make_aware(datetime.combine(day, typed))
    if moment > written_at + HALF_A_DAY:
        moment = timezone.make_aware(datetime.combine(day - timedelta(days=1), typed))
    return moment


def _number(label: Any, *, required: bool = False, **widget: Any) -> forms.FloatField:
    attributes = {"inputmode": "decimal", "step": "any", "autocomplete": "off", **widget}
    return forms.FloatField(label=label, required=required, widget=forms.NumberInput(attributes))


def _bounds(protocol: MonitoringFile, name: str) -> tuple[str, str]:
    item = next(item for item in protocol.plausible if item.quantity == name)
    return gettext(item.label), gettext(item.unit)


class SheetForm(forms.Form):
    """Every entry carries the id under which it is stored once, however often it is sent."""

    client_id = forms.UUIDField(widget=forms.HiddenInput, required=False)
    units: dict[str, str] = {}
    # Reasons that a tap writes into the field, for a hand in a glove.
    reasons: tuple[Any, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["initial"] = {"client_id": uuid.uuid4(), **(kwargs.get("initial") or {})}
        kwargs.setdefault("use_required_attribute", False)
        super().__init__(*args, **kwargs)

    def clean_reason(self) -> str:
        """One that was tapped is kept in English, and told to every reader in their own words."""
        typed = self.cleaned_data["reason"]
        return in_english(next((words for words in self.reasons if words == typed), typed))

    def entry(self) -> dict[str, Any]:
        """What the service takes."""
        return dict(self.cleaned_data)

    def rows(self) -> list[tuple[forms.BoundField, str]]:
        """The visible fields with their units."""
        return [(bound, self.units.get(bound.name, "")) for bound in self.visible_fields()]


class TimedForm(SheetForm):
    """An entry that may have happened a little earlier than it is written down."""

    at = forms.TimeField(
        label=_("When, if not now"),
        required=False,
        widget=forms.TimeInput({"type": "time"}, format="%H:%M"),
    )
    # Set by a tablet that was cut off: when the entry was made, which is when it happened.
    made_at = forms.DateTimeField(widget=forms.HiddenInput, required=False)

    def entry(self) -> dict[str, Any]:
        entry = super().entry()
        made_at = entry.pop("made_at")
        return {**entry, "at": self.moment("at", made_at or clock.now()) or made_at}

    def moment(self, name: str, written_at: datetime) -> datetime | None:
        """The moment that a typed time of day means; None where none was typed."""
        typed = self.cleaned_data.get(name)
        return None if typed is None else time_of_day(typed, written_at)


class VitalsForm(TimedForm):
    def __init__(self, *args: Any, protocol: MonitoringFile, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.units = {}
        for name in VITALS:
            label, self.units[name] = _bounds(protocol, name)
            self.fields[name] = _number(label)
        self.order_fields([*VITALS, "at"])


class ObservationForm(TimedForm):
    note = forms.CharField(label=_("In words"), required=False, max_length=500)

    def __init__(self, *args: Any, protocol: MonitoringFile, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in OBSERVATIONS:
            label, unit = _bounds(protocol, name)
            scale = SEDATION if name == "sedation_moaas" else [(n, str(n)) for n in range(11)]
            self.fields[name] = forms.TypedChoiceField(
                label=label if name == "sedation_moaas" else f"{label}, {unit}",
                choices=scale,
                coerce=float,
                empty_value=None,
                required=False,
                widget=forms.RadioSelect,
            )
        self.order_fields([*OBSERVATIONS, "note", "at"])


class SideEffectForm(TimedForm):
    effect = forms.ChoiceField(label=_("Side effect"), widget=forms.RadioSelect)
    severity = forms.ChoiceField(label=_("How bad"), widget=forms.RadioSelect)
    note = forms.CharField(label=_("In words"), required=False, max_length=500)

    def __init__(self, *args: Any, protocol: MonitoringFile, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        listed = protocol.side_effects
        self.fields["effect"].choices = [(item.id, gettext(item.label)) for item in listed.items]
        self.fields["severity"].choices = [(name, gettext(name)) for name in listed.severities]
        self.order_fields(["effect", "severity", "note", "at"])


class MedicineForm(TimedForm):
    medicine = forms.ChoiceField(label=_("Medicine"), widget=forms.RadioSelect)
    dose = _number(_("Dose"), required=True)
    route = forms.ChoiceField(label=_("Route"), widget=forms.RadioSelect)
    reason = forms.CharField(label=pgettext_lazy("a reason", "For"), max_length=200)

    def __init__(self, *args: Any, protocol: MonitoringFile, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        listed = protocol.medicines.items
        self.fields["medicine"].choices = [(item.id, _offer(item)) for item in listed]
        routes = dict.fromkeys(route for item in listed for route in item.routes)
        self.fields["route"].choices = [(route, gettext(route)) for route in routes]
        self.fields["dose"].help_text = _("In the unit that stands beside the medicine")
        self.order_fields(["medicine", "dose", "route", "reason", "at"])


_ROUTES = (gettext_noop("PO"), gettext_noop("inhaled"))


def _offer(item: Medicine) -> str:
    warn = f" – {gettext(item.warn)}" if item.warn else ""
    purpose, usual = gettext(item.purpose), gettext(item.usual)
    return f"{gettext(item.label)}, {item.unit} ({purpose}; {usual}){warn}"


class NoteForm(TimedForm):
    text = forms.CharField(label=_("Note"), widget=forms.Textarea({"rows": 3}), max_length=4000)
    field_order = ["text", "at"]


class StartForm(TimedForm):
    pass


class ReasonForm(TimedForm):
    reason = forms.CharField(label=_("Reason"), max_length=300)
    field_order = ["reason", "at"]


class PauseForm(ReasonForm):
    reasons = (
        _("bathroom"),
        _("pressure"),
        _("distress"),
        _("nausea"),
        _("drowsy"),
        _("pump alarm"),
    )


class EndForm(TimedForm):
    reason = forms.CharField(
        label=_("Reason"),
        max_length=300,
        required=False,
        help_text=_("Needed where drug is left in the syringe"),
    )
    field_order = ["reason", "at"]
    reasons = (
        _("patient asks to stop"),
        _("pressure"),
        _("distress"),
        _("vomiting"),
        _("drowsy"),
        _("line lost"),
    )


class OrderedForm(TimedForm):
    """Something that may lie outside the plan, and then takes an order.

    A prescriber's own entry is the order. Anybody else names who gave it by voice, and confirms
    that it was read back; where an order stands on the screen already, neither is needed.
    """

    reason = forms.CharField(label=_("Reason"), max_length=300)
    ordered_by = forms.ModelChoiceField(
        User.objects.none(),
        label=_("Outside the plan: ordered by voice by"),
        required=False,
        empty_label=_("nobody, or on the screen already"),
    )
    read_back = forms.BooleanField(
        label=_("I read the order back, and it was right"), required=False
    )

    def __init__(self, *args: Any, actor: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if actor.role == Role.PRESCRIBER:
            del self.fields["ordered_by"], self.fields["read_back"]
        else:
            self.fields["ordered_by"].queryset = User.objects.filter(
                role=Role.PRESCRIBER, is_active=True
            ).order_by("display_name")


class RateForm(OrderedForm):
    rate_mg_per_h = _number(_("New rate"), required=True)
    field_order = ["rate_mg_per_h", "reason", "ordered_by", "read_back", "at"]
    units = {"rate_mg_per_h": "mg/h"}


class BolusForm(OrderedForm):
    dose_mg = _number(_("Bolus"), required=True)
    field_order = ["dose_mg", "reason", "ordered_by", "read_back", "at"]
    units = {"dose_mg": "mg"}


class TotalForm(OrderedForm):
    total_mg = _number(_("New total for the pump"), required=True)
    field_order = ["total_mg", "reason", "ordered_by", "read_back", "at"]
    units = {"total_mg": "mg"}


SITES = [
    ("deltoid left", _("deltoid left")),
    ("deltoid right", _("deltoid right")),
    ("thigh left", _("thigh left")),
    ("thigh right", _("thigh right")),
    ("gluteal left", _("gluteal left")),
    ("gluteal right", _("gluteal right")),
]


class InjectionForm(OrderedForm):
    dose_mg = _number(_("Dose"), required=True)
    site = forms.ChoiceField(label=_("Where"), choices=SITES, widget=forms.RadioSelect)
    reason = forms.CharField(label=_("Reason, if beyond the plan"), max_length=300, required=False)
    field_order = ["dose_mg", "site", "reason", "ordered_by", "read_back", "at"]
    units = {"dose_mg": "mg"}


_CAME_OUT = [("full", _("whole spray")), ("partial", _("only a part")), ("none", _("nothing"))]


class SprayForm(OrderedForm):
    """One device, or some sprays of a bottle. Beyond what was ordered it takes an order."""

    lot = forms.CharField(label=_("Lot"), max_length=60)
    expires_on = forms.DateField(
        label=_("Use by"), widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d")
    )
    reason = forms.CharField(label=_("Reason, beyond what was ordered"), max_length=300)
    deviation = forms.CharField(
        label=_("Used already, although a rule bars it: what happened"),
        help_text=_("Only for what cannot be undone. It is kept as a deviation."),
        max_length=300,
        required=False,
    )
    ORDER = ("reason", "ordered_by", "read_back")

    def __init__(self, *args: Any, session: Session, timeline: Timeline, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.beyond = (
            timeline.phase == Phase.RECOVERY or timeline.units_taken >= timeline.units_planned
        )
        if not self.beyond:
            for name in self.ORDER:
                self.fields.pop(name, None)
        if timeline.sprays and "lot" in self.fields and not isinstance(self, DeviceForm):
            last = timeline.sprays[-1].line.data  # of the same bottle, as a rule
            self.fields["lot"].initial = last["lot"]
            self.fields["expires_on"].initial = last["expires_on"]


class DeviceForm(SprayForm):
    scan = forms.CharField(
        label=_("Scan the device"),
        help_text=_("Lot, expiry and serial number are read off the code; or type them"),
        max_length=200,
        required=False,
        widget=forms.TextInput({"autocomplete": "off", "data-scan": "yes"}),
    )
    serial = forms.CharField(
        label=_("Serial number, where it has one"), max_length=60, required=False
    )
    left = forms.ChoiceField(label=_("Left nostril"), choices=_CAME_OUT, widget=forms.RadioSelect)
    right = forms.ChoiceField(label=_("Right nostril"), choices=_CAME_OUT, widget=forms.RadioSelect)
    field_order = [
        "scan",
        "left",
        "right",
        "lot",
        "expires_on",
        "serial",
        *SprayForm.ORDER,
        "at",
        "deviation",
    ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What the code says need not be typed; the service asks where both are missing.
        for name in ("lot", "expires_on"):
            self.fields[name].required, self.fields[name].is_answer = False, True


class BottleForm(SprayForm):
    sprays = forms.IntegerField(label=_("Sprays taken now"), min_value=1, max_value=20)
    field_order = ["sprays", "lot", "expires_on", *SprayForm.ORDER, "at", "deviation"]


class OrderForm(SheetForm):
    """A prescriber orders ahead; whoever is at the chair gives it when it is needed."""

    what = forms.ChoiceField(label=_("What"), widget=forms.RadioSelect)
    amount = _number(_("At most"), required=True)
    reason = forms.CharField(label=_("When, or why"), max_length=300)

    def __init__(self, *args: Any, session: Session, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        infusion = [
            ("bolus", _("a bolus, mg")),
            ("rate", _("a faster rate, mg/h")),
            ("total", _("a higher total, mg")),
        ]
        self.fields["what"].choices = {
            "infusion": infusion,
            "injection": [("injection", _("a further injection, mg"))],
            "spray": [("device", _("a further device or spray, mg"))],
        }[session.way]


class PrepareForm(TimedForm):
    volume_ml = _number(_("Volume drawn up"), required=True)
    concentration_mg_per_ml = _number(_("Concentration in the syringe"), required=True)
    lot = forms.CharField(label=_("Lot"), max_length=60)
    note = forms.CharField(label=_("Diluted with, or another note"), max_length=200, required=False)
    field_order = ["volume_ml", "concentration_mg_per_ml", "lot", "note", "at"]
    units = {"volume_ml": "mL", "concentration_mg_per_ml": "mg/mL"}


class CheckSyringeForm(SheetForm):
    """What the second person reads off the syringe, without seeing what the first wrote."""

    volume_ml = _number(_("Volume in the syringe"), required=True)
    concentration_mg_per_ml = _number(_("Concentration on its label"), required=True)
    units = PrepareForm.units


class ChangeSyringeForm(TimedForm):
    wasted_mg = _number(_("Left in the old syringe and thrown away"), required=True)
    reason = forms.CharField(label=_("Reason"), max_length=300)
    field_order = ["wasted_mg", "reason", "at"]
    units = {"wasted_mg": "mg"}


class EmergencyForm(SheetForm):
    """One tap on the sign. Not timed: an emergency cannot wait on a device for the network."""

    sign = forms.ChoiceField(label=_("Sign of an emergency"))
    note = forms.CharField(label=_("In words, if there is time"), max_length=300, required=False)

    def __init__(self, *args: Any, session: Session, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.signs = library_of(session).alarms.emergency.signs
        self.fields["sign"].choices = [(sign.id, gettext(sign.label)) for sign in self.signs]

    def rows(self) -> list[tuple[forms.BoundField, str]]:
        return [(self["note"], "")]


class SilenceForm(SheetForm):
    """This device is quiet for a while; who, why and for how long is kept."""

    minutes = forms.TypedChoiceField(
        label=pgettext_lazy("a time", "For"), coerce=float, widget=forms.RadioSelect
    )
    reason = forms.CharField(label=_("Why"), max_length=200)
    device = forms.UUIDField(widget=forms.HiddenInput)
    alarms = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = library().alarms.quiet.choices_min
        self.fields["minutes"].choices = [(f"{n:g}", f"{n:g} min") for n in choices]

    def entry(self) -> dict[str, Any]:
        data = self.cleaned_data
        return {**data, "alarms": data["alarms"].split()}


class AcknowledgeForm(SheetForm):
    """Quiets one alert; the reason is what makes it an answer."""

    reason = forms.CharField(label=_("What you did, or why it may wait"), max_length=300)
    reasons = (
        _("at the bedside, watching"),
        _("measuring again"),
        _("prescriber called to the bedside"),
    )


class EmergencyOverForm(SheetForm):
    reason = forms.CharField(label=_("What was done, or why it was none"), max_length=300)


class DecideForm(SheetForm):
    reason = forms.CharField(label=_("Why the session may go on"), max_length=300)


class WaiveForm(SheetForm):
    reason = forms.CharField(label=_("Why there is no need to wait"), max_length=300)


class TransferForm(TimedForm):
    where = forms.CharField(label=_("To which hospital or service"), max_length=200)
    why = forms.CharField(label=_("Why"), max_length=300)
    accompanied_by = forms.CharField(
        label=_("Who goes with the patient"),
        help_text=_("Name and role: the ambulance's crew, a nurse, the escort"),
        max_length=200,
    )
    field_order = ["where", "why", "accompanied_by", "at"]


class TransferDecisionForm(forms.Form):
    """Whether the course goes on after a transfer to hospital."""

    way = forms.ChoiceField(
        label=_("The course"), choices=TransferDecision.Way.choices, widget=forms.RadioSelect
    )
    reason = forms.CharField(
        label=_("Why, and what has to happen first"),
        max_length=1000,
        widget=forms.Textarea({"rows": 3}),
    )


class CancelForm(SheetForm):
    reason = forms.CharField(label=_("Why nothing is given today"), max_length=300)


_RESTATED = {"session.vitals_recorded", "session.bolus_given", "session.injection_given"}


class CorrectForm(SheetForm):
    """Put an earlier entry right. What it said stays in the record, struck through."""

    def __init__(self, *args: Any, line: Line, protocol: MonitoringFile, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.line = line
        self.units = {}
        choices = [("retime", _("It happened at another time"))]
        if line.can_be_corrected:
            choices.insert(0, ("retract", _("Take it back: it is wrong altogether")))
            if line.kind in _RESTATED:
                choices.insert(0, ("restate", _("Put the values right")))
        self.fields["action"] = forms.ChoiceField(
            label=_("What was wrong"),
            choices=choices,
            widget=forms.RadioSelect,
            initial=choices[0][0],
        )
        if line.kind == "session.vitals_recorded":
            for name in VITALS:
                label, self.units[name] = _bounds(protocol, name)
                self.fields[name] = _number(label)
                self.fields[name].initial = line.data.get(name)
        elif line.kind in _RESTATED:
            self.fields["dose_mg"] = _number(_("Dose"))
            self.fields["dose_mg"].initial = line.data["dose_mg"]
            self.units["dose_mg"] = "mg"
        self.fields["occurred_at"] = forms.TimeField(
            label=_("Time at which it happened"),
            required=False,
            initial=timezone.localtime(line.at).time(),
            widget=forms.TimeInput({"type": "time"}, format="%H:%M"),
        )
        self.fields["reason"] = forms.CharField(
            label=_("Reason for the correction"), max_length=300
        )

    def entry(self) -> dict[str, Any]:
        data = self.cleaned_data
        entry: dict[str, Any] = {"reason": data["reason"]}
        if data["action"] == "restate":
            entry["data"] = {name: data[name] for name in (*VITALS, "dose_mg") if name in data}
        elif data["action"] == "retime":
            day = timezone.localtime(self.line.at).date()
            typed = data.get("occurred_at")
            if typed is not None:
                entry["occurred_at"] = timezone.make_aware(datetime.combine(day, typed))
        return entry

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("action") == "retime" and cleaned.get("occurred_at") is None:
            self.add_error("occurred_at", _("Enter the time at which it happened."))
        return cleaned


class CheckForm(SheetForm):
    """The pre-session check."""

    weight_kg = _number(_("Weight today"), required=True)
    escort_name = forms.CharField(label=_("Escort, by name"), max_length=120)
    escort_relation = forms.CharField(label=_("Who that is"), max_length=60, required=False)
    escort_phone = forms.CharField(label=_("Telephone"), max_length=40, required=False)
    medicines_today = forms.CharField(
        label=_("Medicines, alcohol and drugs since yesterday"),
        help_text=_("Write 'none' if there were none"),
        widget=forms.Textarea({"rows": 2}),
        max_length=1000,
    )
    safety_concern = forms.BooleanField(
        label=_("There IS a concern about safety today: stop here"), required=False
    )

    def __init__(self, *args: Any, protocol: MonitoringFile, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.units = {"weight_kg": "kg"}
        self.items = [(item.item, item) for item in protocol.presession]
        self.waits = [wait for item in protocol.presession for wait in item.waits]
        for wait in self.waits:
            self.fields[f"wait_{wait.fact}"] = forms.TimeField(
                label=gettext(wait.label),
                required=False,
                widget=forms.TimeInput({"type": "time"}, format="%H:%M"),
            )
            self.fields[f"wait_{wait.fact}"].is_answer = True  # one of the two is asked for
            self.fields[f"none_{wait.fact}"] = forms.BooleanField(
                label=_("%(what)s: none since yesterday") % {"what": gettext(wait.label)},
                required=False,
            )
        for name, item in self.items:
            self.fields[name if name not in self.fields else f"{name}_confirmed"] = (
                forms.BooleanField(label=gettext(item.question), required=False)
            )
        for name in VITALS:
            label, self.units[name] = _bounds(protocol, name)
            self.fields[name] = _number(label, required=name in BASELINE)

    def field_of(self, item: str) -> str:
        return f"{item}_confirmed" if f"{item}_confirmed" in self.fields else item

    def checklist(self) -> list[tuple[forms.BoundField, Any]]:
        return [(self[self.field_of(name)], item) for name, item in self.items]

    def vitals(self) -> list[tuple[forms.BoundField, str]]:
        return [(self[name], self.units[name]) for name in VITALS]

    def wait_rows(self) -> list[tuple[forms.BoundField, forms.BoundField, Any]]:
        """For each wait: the field of its time, that of "none", and the wait itself."""
        return [(self[f"wait_{wait.fact}"], self[f"none_{wait.fact}"], wait) for wait in self.waits]

    def _waits(self) -> dict[str, datetime | None]:
        """When each thing was last; one that nobody has answered is left out."""
        now, told = clock.now(), {}
        for wait in self.waits:
            typed = self.cleaned_data.get(f"wait_{wait.fact}")
            if typed is not None:
                moment = time_of_day(typed, now)
                # Last night's meal is told before noon too.
                told[wait.fact] = moment - timedelta(days=1) if moment > now else moment
            elif self.cleaned_data.get(f"none_{wait.fact}"):
                told[wait.fact] = None
        return told

    def entry(self) -> dict[str, Any]:
        data = self.cleaned_data
        names = "weight_kg escort_name escort_relation escort_phone medicines_today safety_concern"
        return {
            **{name: data[name] for name in [*names.split(), "client_id"]},
            "confirmed": {name: data[self.field_of(name)] for name, _ in self.items},
            "vitals": {name: data[name] for name in VITALS},
            **({"waits": self._waits()} if self.waits else {}),
        }


class DischargeForm(SheetForm):
    """What only a person at the bedside can say of the criteria for going home."""

    escort_name = forms.CharField(label=_("Goes home with"), max_length=120)
    note = forms.CharField(label=_("Note"), required=False, max_length=1000)

    def __init__(self, *args: Any, protocol: DischargeFile, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.asked = [c for c in protocol.criteria if c.question]
        for criterion in self.asked:
            self.fields[criterion.fact] = forms.BooleanField(
                label=gettext(criterion.question), required=False
            )

    def questions(self) -> list[tuple[forms.BoundField, Any]]:
        return [(self[criterion.fact], criterion) for criterion in self.asked]

    def entry(self) -> dict[str, Any]:
        data = self.cleaned_data
        return {
            "answers": {criterion.fact: data[criterion.fact] for criterion in self.asked},
            **{name: data[name] for name in ("escort_name", "note", "client_id")},
        }


class OpenForm(forms.Form):
    """The patient has arrived and takes a chair."""

    chair = forms.ModelChoiceField(Chair.objects.all(), label=_("Chair"))


class ChairForm(forms.Form):
    name = forms.CharField(label=_("Name of the chair"), max_length=40)


class TargetForm(forms.Form):
    """What a session should reach and stay below, for the comparison of doses."""

    duration_min = forms.FloatField(label=_("Over"), min_value=1, max_value=240)
    dissociation_at_least = forms.FloatField(
        label=_("Dissociation felt, at least"), min_value=0, max_value=100, required=False
    )
    strong_at_most = forms.FloatField(
        label=_("Strong dissociation, at most"), min_value=0, max_value=100, required=False
    )
    systolic_limit_mmhg = forms.FloatField(label=_("Systolic limit"), min_value=60, max_value=300)
    systolic_at_most = forms.FloatField(
        label=_("Passes that limit, at most"), min_value=0, max_value=100
    )
    units = {
        "duration_min": "min",
        "dissociation_at_least": _("% likely"),
        "strong_at_most": _("% likely"),
        "systolic_limit_mmhg": "mmHg",
        "systolic_at_most": _("% likely"),
    }

    def __init__(self, *args: Any, at_once: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if at_once:
            del self.fields["duration_min"]

    def rows(self) -> list[tuple[forms.BoundField, str]]:
        """The fields with their units."""
        return [(bound, self.units[bound.name]) for bound in self]


def _yes_or_no(label: Any, help_text: Any = "") -> forms.TypedChoiceField:
    """Yes, no, or not answered yet, which is neither."""
    return forms.TypedChoiceField(
        label=label,
        help_text=help_text,
        choices=[("yes", _("yes")), ("no", _("no"))],
        coerce=lambda value: value == "yes",
        empty_value=None,
        required=False,
        widget=forms.RadioSelect,
    )


def _minutes(label: Any) -> forms.IntegerField:
    return forms.IntegerField(label=label, min_value=0, required=False)


class MonitoringAnswersForm(forms.Form):
    """The clinician's part of the safety programme's sheet."""

    ready_after_min = _minutes(_("Ready to leave after, had there been no two-hour minimum"))
    vitals_ok_before = _yes_or_no(_("Acceptable before the first device"))
    vitals_ok_after = _yes_or_no(_("Acceptable before monitoring ended"))

    def __init__(self, *args: Any, because: dict[str, str], **kwargs: Any) -> None:
        initial = {
            name: {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value
            for name, value in (kwargs.pop("initial", None) or {}).items()
        }
        super().__init__(*args, initial=initial, **kwargs)
        for key, (label, _fact) in MEDICINES.items():
            self.fields[key] = _yes_or_no(label)
        self.fields["medicines_named"] = forms.CharField(
            label=_("By name"), required=False, max_length=1000, widget=forms.Textarea({"rows": 2})
        )
        for key, label in EVENTS.items():
            self.fields[key] = _yes_or_no(label, _("The record: %(says)s") % {"says": because[key]})
            self.fields[f"{key}_onset_min"] = _minutes(_("%(event)s began") % {"event": label})
            self.fields[f"{key}_resolved_min"] = _minutes(
                _("%(event)s had gone") % {"event": label}
            )
        self.fields["serious"] = _yes_or_no(_("A serious adverse event happened"))
        self.fields["serious_what"] = forms.CharField(
            label=_("What happened"), required=False, max_length=1000, widget=forms.Textarea
        )
        self.fields["serious_what"].widget.attrs["rows"] = 2
        self.fields["serious_outcome"] = forms.ChoiceField(
            label=_("Why it is serious"),
            choices=[("", _("it is not")), *OUTCOMES.items()],
            required=False,
        )
        for name, label in (
            ("provider_name", _("Who did the monitoring")),
            ("provider_telephone", _("Telephone")),
            ("provider_email", _("E-mail")),
        ):
            self.fields[name] = forms.CharField(label=label, max_length=160, required=False)
            self.fields[name].is_answer = True
        self.fields["ready_after_min"].is_answer = True

    def groups(self) -> list[tuple[str, list[tuple[forms.BoundField, str]]]]:
        """The fields under their headings, each with its unit."""
        named = {
            gettext("Medicines taken now"): [*MEDICINES, "medicines_named"],
            gettext("Treatment"): ["ready_after_min", "vitals_ok_before", "vitals_ok_after"],
            **{
                str(label): [key, f"{key}_onset_min", f"{key}_resolved_min"]
                for key, label in EVENTS.items()
            },
            gettext("Serious adverse event"): ["serious", "serious_what", "serious_outcome"],
            gettext("Who did the monitoring"): [
                "provider_name",
                "provider_telephone",
                "provider_email",
            ],
        }
        return [
            (
                heading,
                [
                    (
                        self[name],
                        gettext("min from the first device") if name.endswith("_min") else "",
                    )
                    for name in names
                ],
            )
            for heading, names in named.items()
        ]


class SentForm(forms.Form):
    """A person has sent the sheet to the programme."""

    sent_on = forms.DateField(
        label=_("Sent on"), widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d")
    )
    how = forms.CharField(
        label=_("How, with the number of the confirmation"),
        max_length=200,
        help_text=_("For example: online, confirmation 4711"),
    )
