"""A clinic's own text, laid over the library: entries changed, added or retired by their id.

An overlay is in the library's own format and holds only what differs. Whatever it states is clinic
policy: it can neither call itself a label or a guideline nor change one and keep its name. Every
change of what the library says, and every entry taken out, carries the clinic's reason.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .files import File, ProtocolError, construct, nodes, parse_all
from .schema import FILES, NAMED_BY, UNCHECKED, WHOLE

# What an overlay adds to the library's format.
_OVERLAYS, _RETIRE, _BECAUSE = "overlays", "retire", "because"
# The library's own words to a reader and its diary: a change leaves the marks of an entry alone.
_DIARY = frozenset({"reviewed_on", "review_by"})
_WORDING = _DIARY | {"patient", "note"}
OWN_SOURCE = "this-clinic"
_OWN_MARKS = {"certainty": "DESIGN", "authority": "clinic policy", "source": OWN_SOURCE}
# How a rule stands for each route: its marks, where it bears none itself.
_STANCES = "stances"
_STANCE_KEPT = ("routes", "finding", "note")
_OWN_STANCE = {"certainty": "DESIGN", "authority": "clinic policy"}
# A list whose members are clinic policy without saying so.
_MARKED_BY_DEFAULT = "thresholds"
SHORTEST_REASON = 10


@dataclass(frozen=True)
class Overlay:
    """(Name, text) of every file of a clinic's overlay."""

    files: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, path: Path) -> Overlay:
        """One file, or every `*.yaml` of a folder under its name in the folder.

        Raises:
            ProtocolError: a file is not UTF-8 text.
        """
        if path.is_file():
            return cls(((path.name, _text(path)),))
        found = sorted(path.rglob("*.yaml"))
        return cls(tuple((file.relative_to(path).as_posix(), _text(file)) for file in found))

    def joined(self) -> str:
        """All files as one text, each part saying which file of the library it is about."""
        parts = []
        for name, text in self.files:
            stated = re.search(r"^overlays:", text, re.MULTILINE)
            parts.append(text.strip() if stated else f"overlays: {name}\n{text.strip()}")
        return "\n---\n".join(part.removeprefix("---\n") for part in parts) + "\n"

    @property
    def digest(self) -> str:
        """SHA-256 of names and texts."""
        text = json.dumps(self.files, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def __bool__(self) -> bool:
        return any(text.strip() for _, text in self.files)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ProtocolError(path.name, 1, "not UTF-8 text") from error


@dataclass(frozen=True)
class Departure:
    """One entry in which the clinic departs from the library, and why."""

    file: str
    entry: str
    act: str  # changed, added or retired
    because: str
    said: str = ""  # what the library said, where it was retired


@dataclass
class _Merge:
    """The overlay's documents for one library file, laid over it one after the other."""

    name: str
    shown: str
    origin: dict[int, str] = field(default_factory=dict)
    kept: list[yaml.Node] = field(default_factory=list)  # so that no id of a node is used again
    departures: list[Departure] = field(default_factory=list)
    here: File | None = None

    def error(self, node: yaml.Node | None, reason: str) -> ProtocolError:
        assert self.here is not None
        return self.here.error(node, reason)


def lay_over(files: dict[str, File], overlay: Overlay) -> tuple[dict[str, File], list[Departure]]:
    """The library's files under a clinic's overlay, and where it departs from them.

    Raises:
        ProtocolError: with the overlay's file and line.
    """
    merges: dict[str, _Merge] = {}
    result = dict(files)
    for shown, text in overlay.files:
        for document in parse_all(shown, shown, text):
            name = _target(document, shown)
            merge = merges.setdefault(name, _Merge(name, shown))
            merge.here = document
            merge.origin |= {id(node): shown for node in nodes(document.node)}
            below = result.get(name)
            tree = _lay(merge, below.node if below else None, document.node)
            if tree is None:
                continue
            merge.kept += [document.node] if document.node else []
            shown_as = below.shown if below else shown
            result[name] = File(name, shown_as, tree, construct(tree), dict(merge.origin))
    return result, [each for merge in merges.values() for each in merge.departures]


def _target(document: File, shown: str) -> str:
    """Which file of the library a document is about: it says so, or its own name does."""
    if not isinstance(document.node, yaml.MappingNode):
        raise document.error(document.node, "an overlay's file begins with `overlays: FILE`")
    stated = _take(document.node, _OVERLAYS)
    if stated is None:
        if shown in FILES or shown.rpartition("/")[0] in FILES:
            return shown
        raise document.error(
            document.node, "say which file of the library this is about: `overlays: FILE`"
        )
    name = stated.value if isinstance(stated, yaml.ScalarNode) else ""
    if not re.fullmatch(r"([a-z]+/)?[a-z0-9][a-z0-9-]*\.yaml", name):
        raise document.error(stated, "a file of the library is named like monitoring/iv.yaml")
    return name


def _take(mapping: yaml.MappingNode, key: str) -> yaml.Node | None:
    """Remove a key from a mapping; its value."""
    for number, (name, value) in enumerate(mapping.value):
        if name.value == key:
            del mapping.value[number]
            return value  # type: ignore[no-any-return]
    return None


def _get(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == key:
                return value  # type: ignore[no-any-return]
    return None


def _word(node: yaml.Node | None) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def _lay(merge: _Merge, below: yaml.Node | None, above: yaml.Node | None) -> yaml.Node | None:
    assert isinstance(above, yaml.MappingNode)
    because = _reason(merge, above, "")
    retire = _take(above, _RETIRE)
    if below is None:
        if retire is not None:
            raise merge.error(retire, f"the library has no {merge.name} to retire anything from")
        _own_marks(merge, above, [])
        merge.departures.append(Departure(merge.name, merge.name, "added", because))
        return above
    known = [construct(node) for node in nodes(below) if _get(node, "certainty")]
    _own_marks(merge, above, known)
    itself = _word(_get(below, "id")) or merge.name if _marked(below) else ""
    tree = _mapping(merge, below, above, because, itself)
    if retire is not None:
        tree = _retire(merge, tree, retire)
    return tree


def _reason(merge: _Merge, mapping: yaml.MappingNode, otherwise: str) -> str:
    stated = _take(mapping, _BECAUSE)
    if stated is None:
        return otherwise
    if len(_word(stated).strip()) < SHORTEST_REASON:
        raise merge.error(stated, "give the clinic's reason in words after `because`")
    return _word(stated).strip()


def _own_marks(merge: _Merge, above: yaml.Node, known: list[Any]) -> None:
    """Refuse marks that no clinic can give: what it states rests on its own authority."""
    for node in nodes(above):
        certainty, authority = _get(node, "certainty"), _get(node, "authority")
        if certainty is None and authority is None:
            continue
        if construct(node) in known:  # the library's own entry, copied
            continue
        same = [each for each in known if _same_entry(each, node)]
        for mark, value, allowed in (
            ("certainty", certainty, UNCHECKED),
            ("authority", authority, {"clinic policy"}),
        ):
            if value is None or _word(value) in allowed:
                continue
            if any(each.get(mark) == _word(value) for each in same) and _is_copy(node, same):
                continue
            raise merge.error(
                value,
                f"{mark} {_word(value)!r}: what a clinic states or changes is clinic policy. Leave "
                f"`{mark}` out, or write {' or '.join(sorted(allowed))}",
            )


def _same_entry(known: Any, node: yaml.Node) -> bool:
    return any(
        key in known and str(known[key]) == _word(_get(node, key))
        for key in NAMED_BY
        if _get(node, key)
    )


def _is_copy(node: yaml.Node, same: list[Any]) -> bool:
    """Whether all that it states, wording apart, is what the library states."""
    stated = {key: value for key, value in construct(node).items() if key not in _WORDING}
    stated.pop(_BECAUSE, None)
    return any(
        all(key in each and each[key] == value for key, value in stated.items()) for each in same
    )


def _mapping(
    merge: _Merge, below: yaml.Node, above: yaml.Node, because: str, entry: str
) -> yaml.MappingNode:
    """A mapping with the overlay's keys in place of its own."""
    assert isinstance(below, yaml.MappingNode)
    if not isinstance(above, yaml.MappingNode):
        raise merge.error(above, "this has parts with names in the library, so give them by name")
    because = _reason(merge, above, because)
    pairs = {key.value: (key, value) for key, value in below.value}
    changed = []
    for key, value in above.value:
        old = pairs.get(key.value, (key, None))[1]
        new = _value(merge, key, old, value, because, entry)
        if old is None or construct(new) != construct(old):
            changed.append((key, old, new))
        pairs[key.value] = (pairs.get(key.value, (key, None))[0] if new is old else key, new)
    tree = yaml.MappingNode(below.tag, list(pairs.values()), above.start_mark, above.end_mark)
    merge.origin[id(tree)] = merge.origin.get(id(above), merge.shown)
    merge.kept.append(tree)
    if changed:
        _note_change(merge, below, tree, changed, because, entry)
    return tree


def _note_change(
    merge: _Merge,
    below: yaml.MappingNode,
    tree: yaml.MappingNode,
    changed: list[tuple[yaml.Node, yaml.Node | None, yaml.Node]],
    because: str,
    entry: str,
) -> None:
    """What follows from a change: a reason, words that agree with it, marks of the clinic's own."""
    own = [each for each in changed if not _named(each[1]) and each[0].value not in _DIARY]
    if entry and own:
        if not because:
            raise merge.error(
                own[0][0],
                f"{entry} differs from the library in {own[0][0].value!r}. Say why: `because: …`",
            )
        _words_agree(merge, below, tree, own, entry)
        merge.departures.append(Departure(merge.name, entry, "changed", because))
    # The marks of an entry cover what it states itself, and members that carry none of their own.
    if any(not _bears_marks(old) for key, old, _ in changed if key.value not in _WORDING):
        _give_own_marks(merge, below, tree)


def _named(old: yaml.Node | None) -> bool:
    """Whether a value is made of entries with names of their own, where a change is noted."""
    if isinstance(old, yaml.SequenceNode):
        return _key_of(old) is not None
    if isinstance(old, yaml.MappingNode):
        return _marked(old) or any(_named(value) for _, value in old.value)
    return False


def _bears_marks(old: yaml.Node | None) -> bool:
    """Whether a value is made of entries with marks of their own."""
    if isinstance(old, yaml.SequenceNode):
        return _key_of(old) is not None and _marked(old.value[0])
    return _marked(old)


def _marked(node: yaml.Node | None) -> bool:
    return _get(node, "certainty") is not None or _get(node, _STANCES) is not None


def _give_own_marks(merge: _Merge, pattern: yaml.Node, tree: yaml.MappingNode) -> None:
    """Mark an entry as the clinic's, wherever it is of a kind that bears marks."""
    for mark, value in _OWN_MARKS.items():
        stated = _get(tree, mark)
        if _get(pattern, mark) is not None and (stated is None or stated is _get(pattern, mark)):
            _set(merge, tree, mark, value)
    if _get(pattern, _STANCES) is not None:
        _own_stances(merge, tree)


def _own_stances(merge: _Merge, tree: yaml.MappingNode) -> None:
    """A rule that the clinic changes or adds is the clinic's own for every route."""
    stated = _take(tree, _STANCES)
    before = construct(stated) if isinstance(stated, yaml.SequenceNode) else None
    stances = [
        {**{key: stance[key] for key in _STANCE_KEPT if key in stance}, **_OWN_STANCE}
        for stance in before or [{"routes": ["all"]}]
        if isinstance(stance, dict)
    ]
    node = yaml.compose(yaml.safe_dump({_STANCES: stances}))
    assert isinstance(node, yaml.MappingNode)
    for part in nodes(node):
        part.start_mark, part.end_mark = tree.start_mark, tree.end_mark
        merge.origin[id(part)] = merge.origin.get(id(tree), merge.shown)
    merge.kept.append(node)
    tree.value += node.value


def _set(merge: _Merge, tree: yaml.MappingNode, key: str, value: str) -> None:
    _take(tree, key)
    name, node = (
        yaml.ScalarNode("tag:yaml.org,2002:str", word, tree.start_mark, tree.end_mark)
        for word in (key, value)
    )
    tree.value.append((name, node))
    merge.kept += [name, node]
    merge.origin |= dict.fromkeys((id(name), id(node)), merge.origin.get(id(tree), merge.shown))


def _words_agree(
    merge: _Merge,
    below: yaml.MappingNode,
    tree: yaml.MappingNode,
    own: list[tuple[yaml.Node, yaml.Node | None, yaml.Node]],
    entry: str,
) -> None:
    """A statement that names the old figure would be signed for the new one."""
    said = _word(_get(below, "statement"))
    if not said or _word(_get(tree, "statement")) != said:
        return
    left = _figures(tree)
    for key, old, _ in own:
        for figure in _figures(old) if old is not None else ():
            if figure not in left and re.search(
                rf"(?<![\d.]){re.escape(figure)}(?![\d.]*\d)", said
            ):
                raise merge.error(
                    key,
                    f"{entry}: the figure {figure} is gone, and the statement still names it: "
                    f"{said!r}. Change `statement` with it",
                )


def _figures(node: yaml.Node) -> set[str]:
    numbers = {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}
    return {_word(each) for each in nodes(node) if each.tag in numbers}


def _value(
    merge: _Merge,
    key: yaml.Node,
    below: yaml.Node | None,
    above: yaml.Node,
    because: str,
    entry: str,
) -> yaml.Node:
    if below is None or key.value in WHOLE or above.tag == "tag:yaml.org,2002:null":
        return above
    if isinstance(below, yaml.MappingNode):
        inner = f"{entry}.{key.value}" if entry else str(key.value)
        return _mapping(merge, below, above, because, inner if _marked(below) else entry)
    if isinstance(below, yaml.SequenceNode) and (by := _key_of(below)):
        return _members(merge, below, above, by, because, str(key.value))
    return above


def _key_of(sequence: yaml.SequenceNode) -> str | None:
    """By what the members of a list are told apart."""
    for key in NAMED_BY:
        names = [_word(_get(member, key)) for member in sequence.value]
        if names and all(names) and len(set(names)) == len(names):
            return key
    return None


def _members(
    merge: _Merge,
    below: yaml.SequenceNode,
    above: yaml.Node,
    by: str,
    because: str,
    what: str,
) -> yaml.SequenceNode:
    """A list with the overlay's members in place of those of the same name, others at its end."""
    if not isinstance(above, yaml.SequenceNode):
        raise merge.error(above, f"{what} is a list: begin each member with `- {by}: …`")
    members = {_word(_get(member, by)): member for member in below.value}
    named: set[str] = set()
    for member in above.value:
        name = _word(_get(member, by))
        if not name:
            raise merge.error(member, f"name the member of {what}: `{by}: …`")
        if name in named:
            raise merge.error(member, f"the {by} {name!r} is used twice")
        named.add(name)
        if name not in members:
            members[name] = _added(merge, below, member, because, name)
        else:
            old, new = members[name], _mapping(merge, members[name], member, because, name)
            if what == _MARKED_BY_DEFAULT and construct(new) == construct(old):
                continue
            members[name] = new
        if what == _MARKED_BY_DEFAULT and _get(member, "source") is None:
            _set(merge, members[name], "source", OWN_SOURCE)
    tree = yaml.SequenceNode(below.tag, list(members.values()), above.start_mark, above.end_mark)
    merge.origin[id(tree)] = merge.origin.get(id(above), merge.shown)
    merge.kept.append(tree)
    return tree


def _added(
    merge: _Merge, below: yaml.SequenceNode, member: yaml.MappingNode, because: str, name: str
) -> yaml.MappingNode:
    because = _reason(merge, member, because)
    _give_own_marks(merge, below.value[0], member)
    merge.departures.append(Departure(merge.name, name, "added", because))
    return member


def _retire(merge: _Merge, tree: yaml.MappingNode, retire: yaml.Node) -> yaml.MappingNode:
    """The tree without the entries that the clinic takes out."""
    if not isinstance(retire, yaml.SequenceNode):
        raise merge.error(retire, "retire is a list: `- {id: …, because: …}`")
    for wish in retire.value:
        name = _word(_get(wish, "id"))
        if not name or not isinstance(wish, yaml.MappingNode):
            raise merge.error(wish, "name what is retired: `- {id: …, because: …}`")
        if strangers := [k.value for k, _ in wish.value if k.value not in {"id", "in", _BECAUSE}]:
            raise merge.error(wish, f"there is no key {strangers[0]!r} here")
        within = _word(_get(wish, "in"))
        because = _reason(merge, wish, "")
        if not because:
            raise merge.error(wish, f"say why {name} is retired: `because: …`")
        found = [
            (sequence, member)
            for field_, sequence in _lists(tree)
            if within in {"", field_}
            for member in sequence.value
            if _word(_get(member, _key_of(sequence) or "")) == name
        ]
        if not found:
            raise merge.error(wish, f"there is no entry {name!r} in {merge.name} to retire")
        if len(found) > 1:
            raise merge.error(
                wish, f"{name!r} stands in more than one list: say which with `in: …`"
            )
        ((sequence, member),) = found
        tree = _without(merge, tree, sequence, member)
        said = _word(_get(member, "statement")) or _word(_get(member, "label"))
        merge.departures.append(Departure(merge.name, name, "retired", because, said))
    return tree


def _without(
    merge: _Merge, tree: yaml.MappingNode, sequence: yaml.SequenceNode, member: yaml.Node
) -> yaml.MappingNode:
    """A copy of the tree in which one list lacks one member; the library's own nodes stay whole."""

    def copy(node: yaml.Node) -> yaml.Node:
        if node is sequence:
            kept: list[Any] = [each for each in node.value if each is not member]
        elif isinstance(node, yaml.SequenceNode):
            kept = [copy(each) for each in node.value]
        elif isinstance(node, yaml.MappingNode):
            kept = [(key, copy(value)) for key, value in node.value]
        else:
            return node
        made = type(node)(node.tag, kept, node.start_mark, node.end_mark)
        if id(node) in merge.origin:
            merge.origin[id(made)] = merge.origin[id(node)]
        merge.kept.append(made)
        return made

    made = copy(tree)
    assert isinstance(made, yaml.MappingNode)
    return made


def _lists(tree: yaml.Node) -> Iterator[tuple[str, yaml.SequenceNode]]:
    """Every list of members that have names, with the field in which it stands."""
    for node in nodes(tree):
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if isinstance(value, yaml.SequenceNode) and _key_of(value):
                    yield key.value, value
