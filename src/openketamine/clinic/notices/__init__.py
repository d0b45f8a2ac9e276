"""What the clinic sends, and whom it calls: an outbox for e-mail and text, and calls that somebody
must answer.

Two functions of `services` are all that a step of care needs:

`raise_call(actor, key=…, priority=…, headline=…, …) -> Call`
    A task that a clinician must answer and close with words. It reaches whoever is on call at once,
    and others after as many minutes as the clinic's policy says (`calls.yaml`), until one answers.
    The same `key` gives the call that stands already, so that raising it twice raises one.

`send(actor, key=…, channel=…, to=…, wording=…, …) -> Notice`
    One e-mail or text. What it can say is fixed in `wordings`: a link and a time, never anything
    about anybody's health. The same `key` gives the notice that stands already.

Call either inside the transaction of what causes it: they are kept together with their cause or not
at all, and are refused (`RuntimeError`) outside of one. Nothing is sent by these functions: the
runner (`runner.Runner`, a thread of the server, or `openketamine notices run`) sends, tries again
and escalates; what a crash interrupts is done by the next one that starts.

A step of care that must look at the clock (a check-in that did not come, a reminder that falls due)
connects to `signals.tick`, which the runner sends on every round.
"""
