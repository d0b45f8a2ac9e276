"""Reading one protocol file: its parse tree is kept, to say on which line a mistake stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

M = TypeVar("M", bound=BaseModel)
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser where there is one
LONGEST = 500_000  # characters; the library's longest file has less than a tenth of it
DEEPEST = 40


class ProtocolError(Exception):
    """A protocol file that cannot be used: `file:line: reason`."""

    def __init__(self, file: str, line: int, reason: str) -> None:
        super().__init__(f"{file}:{line}: {reason}")
        self.file, self.line, self.reason = file, line, reason


@dataclass(frozen=True)
class File:
    """One file's parse tree. `origin` names the file of each node that came from another one."""

    name: str
    shown: str
    node: yaml.Node | None
    data: Any
    origin: dict[int, str] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        return self.name.rpartition("/")[0]

    def scalars(self) -> Iterator[yaml.ScalarNode]:
        """Every key and value, in the order of the file."""
        return (node for node in nodes(self.node) if isinstance(node, yaml.ScalarNode))

    def error(self, node: yaml.Node | None, reason: str) -> ProtocolError:
        shown = self.origin.get(id(node), self.shown)
        return ProtocolError(shown, node.start_mark.line + 1 if node else 1, reason)


def nodes(top: yaml.Node | None) -> Iterator[yaml.Node]:
    """A node and all beneath it, in the order of the file."""
    pending = [top] if top else []
    while pending:
        node = pending.pop()
        yield node
        if isinstance(node, yaml.SequenceNode):
            pending.extend(reversed(node.value))
        elif isinstance(node, yaml.MappingNode):
            pending.extend(part for pair in reversed(node.value) for part in reversed(pair))


def parse(name: str, shown: str, text: str) -> File:
    """A file of one document.

    Raises:
        ProtocolError: it is not YAML, or YAML that nobody should have to read.
    """
    documents = parse_all(name, shown, text)
    if len(documents) > 1:
        raise documents[1].error(documents[1].node, "a second document begins here: one per file")
    return documents[0] if documents else File(name, shown, None, None)


def parse_all(name: str, shown: str, text: str) -> list[File]:
    """Every document of a text, each with its own tree.

    Raises:
        ProtocolError: as `parse`.
    """
    if len(text) > LONGEST:
        raise ProtocolError(shown, 1, f"longer than {LONGEST} characters")
    trees = []
    try:
        loader = _Loader(text)
        try:
            while loader.check_node():
                trees.append(loader.get_node())
        finally:
            loader.dispose()
        files = []
        for tree in trees:
            file = File(name, shown, tree, None)
            _refuse_what_hides(file)
            files.append(File(name, shown, tree, construct(tree)))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ProtocolError(shown, line, error.problem or "not YAML") from error
    except yaml.YAMLError as error:
        position = getattr(error, "position", 0)
        line = text.count("\n", 0, position if isinstance(position, int) else 0) + 1
        raise ProtocolError(shown, line, f"not YAML: {error}") from error
    except ValueError as error:  # a date that no calendar has
        raise ProtocolError(shown, 1, str(error)) from error
    return files


def construct(tree: yaml.Node) -> Any:
    """The plain values of a tree."""
    loader = _Loader("")
    try:
        return loader.construct_document(tree)
    finally:
        loader.dispose()


def _refuse_what_hides(file: File) -> None:
    """Whatever makes a file say something else than what a reader sees in it.

    YAML would quietly let the last of two equal keys win, and a limit could vanish unseen. Aliases
    and merge keys make text elsewhere count here, and a few of them grow without bound.
    """
    seen: set[int] = set()
    pending = [(file.node, 1)]
    while pending:
        node, depth = pending.pop()
        if node is None:
            continue
        if id(node) in seen:
            raise file.error(node, "an alias (*) points here. Write the text out where it counts")
        seen.add(id(node))
        if depth > DEEPEST:
            raise file.error(node, f"nested deeper than {DEEPEST} levels")
        if isinstance(node, yaml.SequenceNode):
            pending.extend((part, depth + 1) for part in node.value)
        elif isinstance(node, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
                    raise file.error(key, "a key here is a plain word")
                if key.value in keys:
                    raise file.error(key, f"the key {key.value!r} stands here twice")
                keys.add(key.value)
                pending.extend(((key, depth + 1), (value, depth + 1)))


def read(file: File, model: type[M]) -> M:
    """A file as its model.

    Raises:
        ProtocolError: it does not have the model's form; with the line of the first mistake.
    """
    try:
        return model.model_validate(file.data)
    except ValidationError as error:
        # A misspelt key is both unknown and missing; the unknown one says what to mend.
        first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        *place, last = first["loc"] or ("",)
        reason = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            reason = f"there is no key {last!r} here"
        else:
            place.append(last)
        path = ".".join(str(part) for part in place)
        where = _deepest(file.node, first["loc"])
        if first["type"] == "extra_forbidden":  # the key, not what stands under it
            above = _deepest(file.node, first["loc"][:-1])
            keys = above.value if isinstance(above, yaml.MappingNode) else ()
            where = next((key for key, _ in keys if key.value == str(last)), where)
        raise file.error(where, f"{path}: {reason}" if path else reason) from error


def _deepest(node: yaml.Node | None, location: tuple[int | str, ...]) -> yaml.Node | None:
    """The deepest part of a location that the file has."""
    for part in location:
        if isinstance(node, yaml.MappingNode):
            found = [value for key, value in node.value if key.value == str(part)]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            found = node.value[part : part + 1]
        else:
            break
        if not found:
            break
        node = found[0]
    return node
