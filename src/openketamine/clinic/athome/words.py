"""What the library's entries are called on the pages of patients, in their language."""

from django.utils.translation import gettext_lazy as _

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
