"""Circles and depth of a directed graph: a dict from each node to the nodes that it points at."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Set

Graph = Mapping[str, Set[str]]


def graph_of(nodes: Iterable[str], arrows: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """Return the graph of some arrows, those from a node to itself left out."""
    graph: dict[str, set[str]] = {node: set() for node in nodes}
    for source, target in arrows:
        if source != target:
            graph[source].add(target)
    return graph


def components(graph: Graph) -> list[list[str]]:
    """Return the strongly connected components, each sorted; a component comes after all that it points at.

    Tarjan, "Depth-first search and linear graph algorithms", 1972.
    """
    found: list[list[str]] = []
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    waiting: set[str] = set()

    def visit(node: str) -> None:
        number[node] = lowest[node] = len(number)
        stack.append(node)
        waiting.add(node)
        for target in sorted(graph[node]):
            if target not in number:
                visit(target)
                lowest[node] = min(lowest[node], lowest[target])
            elif target in waiting:
                lowest[node] = min(lowest[node], number[target])
        if lowest[node] == number[node]:
            place = stack.index(node)
            found.append(sorted(stack[place:]))
            waiting.difference_update(stack[place:])
            del stack[place:]

    for node in sorted(graph):
        if node not in number:
            visit(node)
    return found


def circles(graph: Graph) -> list[list[str]]:
    """Return the components of more than one node: in each, every node reaches every other."""
    return sorted(component for component in components(graph) if len(component) > 1)


def shortest_circle(graph: Graph, component: list[str]) -> list[str]:
    """Return a shortest way around within a component, its first node not repeated at the end."""
    members = set(component)
    best: list[str] = []
    for start in component:
        came: dict[str, str] = {}
        queue = deque([start])
        while queue and start not in came:
            node = queue.popleft()
            for target in sorted(graph[node] & members):
                if target not in came:
                    came[target] = node
                    queue.append(target)
        path, node = [start], came[start]
        while node != start:
            path.append(node)
            node = came[node]
        if not best or len(path) < len(best):
            best = path[:1] + path[:0:-1]
    return best


def floors(graph: Graph) -> int:
    """Return the number of components on the longest path: a graph without arrows has one floor."""
    component_of: dict[str, int] = {}
    depth: list[int] = []
    for place, component in enumerate(components(graph)):
        component_of.update(dict.fromkeys(component, place))
        below = {component_of[target] for node in component for target in graph[node]} - {place}
        depth.append(1 + max((depth[other] for other in below), default=0))
    return max(depth, default=0)
