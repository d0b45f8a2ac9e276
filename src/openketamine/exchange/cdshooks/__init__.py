"""CDS Hooks: the eligibility findings, each with its source, for another record system's screen."""
