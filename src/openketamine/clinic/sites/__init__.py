"""The places of a clinic, who works where, and what that lets a person see.

`scope` says whose charts the work in hand may touch, `separation` holds every query to it, and
`rules` has PostgreSQL hold to it too. An installation with one site notices nothing of them.
"""
