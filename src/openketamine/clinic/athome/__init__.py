"""Treatment at home: switched on by name, screened anew, counted, watched from afar.

`services` holds the clinic's acts, `from_home` those of the patient and the adult at hand, who have
no sign-in but a signed link. What happens in a session is in the record; `timeline` folds it,
`gates` judges it. Nothing here decides that somebody may have a dose where anything is in doubt: a
person at the clinic does.
"""
