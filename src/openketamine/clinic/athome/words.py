"""What the library's entries are called on the pages of patients, in their language.

And what the record keeps of a session at home in English, so that staff read it in theirs.
"""

from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from openketamine.clinic.record.told import keep

SIGNS = {
    "chest_pain": _("Pain in the chest"),
    "breathless": _("Trouble breathing"),
    "headache_sudden": _("A sudden, very bad headache"),
    "vision": _("Trouble seeing"),
    "seizure": _("A seizure"),
    "unresponsive": _("Cannot be woken, or answers nothing"),
    "focal": _("Weakness on one side"),
    "other": _("Another emergency"),
}
EFFECTS = {
    "nausea": _("Feeling sick"),
    "vomiting": _("Throwing up"),
    "dizziness": _("Dizzy"),
    "vertigo": _("Everything spins"),
    "dissociation": _("Far away, and it frightens me"),
    "anxiety": _("Anxious"),
    "panic": _("Panic, or very restless"),
    "headache": _("Headache"),
    "sedation": _("Very sleepy"),
    "blurred_vision": _("Blurred sight"),
    "numbness": _("Numb"),
    "saliva": _("A lot of saliva"),
    "urinary": _("Having to pass urine often"),
    "other": _("Something else"),
}
GRADES = {"mild": _("a little"), "moderate": _("quite"), "severe": _("a lot")}

# What a check-in is kept with, by its ids.
KEPT = (
    gettext_noop("nausea"),
    gettext_noop("vomiting"),
    gettext_noop("dizziness"),
    gettext_noop("vertigo"),
    gettext_noop("dissociation"),
    gettext_noop("anxiety"),
    gettext_noop("panic"),
    gettext_noop("headache"),
    gettext_noop("sedation"),
    gettext_noop("blurred vision"),
    gettext_noop("numbness"),
    gettext_noop("saliva"),
    gettext_noop("urinary"),
    gettext_noop("other"),
    gettext_noop("mild"),
    gettext_noop("moderate"),
    gettext_noop("severe"),
    gettext_noop("swallow"),
    gettext_noop("spit"),
    gettext_noop("rather not say"),
    gettext_noop("contraindication"),
    gettext_noop("caution"),
    gettext_noop("missing"),
)
# Who did it, where that is no member of staff.
keep(gettext_noop("%(person)s (at home)"), gettext_noop("%(person)s (at hand)"))
# Why there is no dose, and what is in doubt about one.
keep(
    gettext_noop("%(crossed)s before the dose (clinic policy, %(rules)s)"),
    gettext_noop("No adult is at hand for the whole session"),
    gettext_noop("Does not promise not to drive until the next day"),
    gettext_noop("Alcohol, an opioid, a sleeping pill or a sedative today"),
    gettext_noop("%(what)s is not known"),
    gettext_noop("Has eaten or drunk later than the clinic asks"),
    gettext_noop("Thoughts of death or self-harm: %(told)s"),
    gettext_noop("says yes"),
    gettext_noop("would rather say it to a person"),
    gettext_noop("Mood %(mood)s of 10"),
    gettext_noop("Counts %(counted)s at home; %(held)s should be there"),
    gettext_noop("%(before)s and %(after)s"),
    gettext_noop("%(count)s of %(mg)s mg"),
    gettext_noop("none"),
    gettext_noop("systolic mmhg"),
    gettext_noop("diastolic mmhg"),
    gettext_noop("heart rate bpm"),
    gettext_noop("Nothing is in doubt, and the clinic's policy asks no person"),
)
# What was refused to the patient or the adult at hand.
keep(
    gettext_noop("The dose was taken already."),
    gettext_noop("Not answered: %(what)s."),
    gettext_noop("Mood is 0 to 10."),
    gettext_noop("No such answer."),
    gettext_noop("Picture too large."),
    gettext_noop("A picture that cannot be read."),
    gettext_noop("A dose was taken already in this session."),
    gettext_noop("No pieces were named."),
    gettext_noop("Fewer than none."),
    gettext_noop("%(mg)s mg is above the ceiling of %(cap)s mg (clinic policy, %(rule)s)."),
    gettext_noop("%(asked)s is more than the %(planned)s ordered (no self-escalation)."),
    gettext_noop("%(asked)s is more than was handed out: %(held)s should be at home."),
    gettext_noop("No dose is in the mouth."),
    gettext_noop("Neither swallowed nor spat out."),
    gettext_noop("No dose was taken yet."),
    gettext_noop("Nothing was said."),
    gettext_noop("Finished already."),
    gettext_noop("Finished %(minutes)s min after the dose: before its time."),
)
# What called the clinic.
keep(
    gettext_noop("Hard to wake"),
    gettext_noop("Says: I am not well"),
    gettext_noop("%(effect)s, mild"),
    gettext_noop("%(effect)s, moderate"),
    gettext_noop("%(effect)s, severe"),
    gettext_noop("pulse %(rate)s /min"),
    gettext_noop("%(pressure)s mmHg, pulse %(rate)s /min"),
    gettext_noop("%(what)s. %(pressure)s mmHg, pulse %(rate)s /min"),
    gettext_noop("%(what)s. %(pressure)s mmHg"),
    gettext_noop("At home: %(what)s"),
    gettext_noop("Nothing in doubt. %(pressure)s."),
    gettext_noop("Ready for the dose at home: speak with the patient and decide"),
    gettext_noop("No dose at home, and the patient needs a call"),
    gettext_noop("A dose was taken at home that was not allowed"),
    gettext_noop("Help is asked for at home by the patient"),
    gettext_noop("Help is asked for at home by the adult"),
    gettext_noop("No check-in from home %(minutes)s minutes after the dose"),
    gettext_noop(
        "Patient %(phone)s; %(adult)s, the adult at hand, %(adult_phone)s. Place: %(place)s."
    ),
    gettext_noop("without number"),
    gettext_noop("not stated"),
    gettext_noop("A session at home is still open: speak with the patient and close it"),
    gettext_noop("The first dose at home has not been reviewed"),
    gettext_noop(
        "Taken on %(at)s. No further session at home begins until a prescriber has reviewed it."
    ),
    gettext_noop("Reviewed: %(words)s"),
    gettext_noop("Decided: go. %(reason)s"),
    gettext_noop("Decided: go."),
    gettext_noop("Decided: no dose today. %(reason)s"),
)
# Refusals that the record keeps, as they are said to staff.
keep(
    "The patient counts %(counted)s, and %(held)s should be there. Find out first: record what was "
    "lost or brought back.",
    "The dose needs %(needed)s, and %(held)s should be at home. Hand them out first.",
    "This session is over: %(phase)s.",
    "The answers before the dose are older than %(valid)s minutes. They are asked again.",
    "Treatment at home is not switched on in %(place)s. The medical director reads the warnings "
    "and signs under Home sessions.",
    "The last dose was on %(at)s, and %(days)s days lie between two doses at home (clinic policy, "
    "HOME-GAP).",
    "The first dose at home, of %(day)s, has not been reviewed by a prescriber (clinic policy, "
    "%(rule)s).",
    "%(dose)s mg is above the ceiling of %(cap)s mg for a dose at home (clinic policy, %(rule)s).",
)
