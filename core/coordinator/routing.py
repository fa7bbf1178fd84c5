"""Which call an address belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Placed(NamedTuple, Generic[T]):
    """What hangs at an address for one method, and the names of the placeholders on the way there."""

    target: T
    names: tuple[str, ...]


class Router(Generic[T]):
    """A tree of path segments. `{name}` matches any one segment that is not empty; a literal goes before it, where it
    leads to a call."""

    def __init__(self) -> None:
        self._root = _Node[T]()

    def add(self, method: str, path: str, target: T) -> None:
        """Raises ValueError where the place is taken."""
        node, names = self._root, list[str]()
        for segment in path.split("/"):
            if segment.startswith("{"):
                names.append(segment[1:-1])
                node.any = node = node.any or _Node[T]()
            else:
                node = node.literals.setdefault(segment, _Node[T]())
        if method in node.placed:
            raise ValueError(f"{method} {path} is there already")
        node.placed[method] = Placed(target, tuple(names))

    def find(self, path: str) -> tuple[Mapping[str, Placed[T]], list[str]]:
        """What hangs at `path`, by method, and what stands there for the placeholders; nothing where nothing does."""
        node, values = self._root, list[str]()
        for segment in path.split("/"):
            found = node.literals.get(segment)
            if found is None:
                found = node.any
                if found is None or not segment:
                    return self._find_anywhere(path)
                values.append(segment)
            node = found
        return (node.placed, values) if node.placed else self._find_anywhere(path)

    def _find_anywhere(self, path: str) -> tuple[Mapping[str, Placed[T]], list[str]]:
        """For a path that its literals lead nowhere: what stands for a placeholder may be spelt like one of them."""
        ways: list[tuple[_Node[T], list[str]]] = [(self._root, [])]
        for segment in path.split("/"):
            ways = [way for node, values in ways for way in node.ways(segment, values)]
            if not ways:
                break
        return next(((node.placed, values) for node, values in ways if node.placed), ({}, []))


class _Node(Generic[T]):
    __slots__ = ("any", "literals", "placed")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[T]] = {}
        self.any: _Node[T] | None = None
        self.placed: dict[str, Placed[T]] = {}

    def ways(self, segment: str, values: list[str]) -> Iterator[tuple[_Node[T], list[str]]]:
        """Where a segment leads from here, the literal first, and the values of placeholders until there."""
        literal = self.literals.get(segment)
        if literal is not None:
            yield literal, values
        if self.any is not None and segment:
            yield self.any, [*values, segment]
