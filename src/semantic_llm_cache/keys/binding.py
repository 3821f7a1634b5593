"""Build a `Request` from a function's signature and a call's arguments."""

from __future__ import annotations

import enum
import inspect
import math
import types
import typing
import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from semantic_llm_cache.exceptions import CacheKeyError, CacheWarning
from semantic_llm_cache.keys.captures import Captured, Captures, is_fixed
from semantic_llm_cache.keys.fingerprint import canonical, canonical_field, digest, fingerprint_instance
from semantic_llm_cache.keys.functions import (
    attributes_of,
    brought_along,
    cells_of,
    code_digest,
    is_of_other_globals,
    is_wrapper_of_cache,
    module_name,
    name_of,
    rebound_names,
    written_function,
)
from semantic_llm_cache.keys.plain_forms import plain_token
from semantic_llm_cache.keys.request import Request, looks_like_messages, split_messages
from semantic_llm_cache.keys.walk import ARGUMENT_ADVICE, LEAVES
from semantic_llm_cache.runtime.breaker import logger
from semantic_llm_cache.values.introspection import answers_for_itself, own_state

if typing.TYPE_CHECKING:
    from semantic_llm_cache.keys.template import PromptTemplate

__all__ = ["PROMPT_NAMES", "BadCall", "CallBinder"]

PROMPT_NAMES = ("prompt", "messages", "question", "query", "input", "text", "message")

_MEMO_SIZE = 4096
_MEMO_TEXT = 8192  # longer prompts are hashed at each call, to keep the memo small


class BadCall(TypeError):
    """The arguments do not fit the signature. The function is called so that it raises its own TypeError."""


class CallBinder:
    """Turns the arguments of one function's calls into requests.

    Args:
        function: the function as written.
        namespace: the namespace of its entries. In "default" the function itself is part of the scope.
        prompt: name of the prompt parameter, or None to find it.
        ignore: names of parameters or closed-over variables to leave out of the key.
        scope: a mapping added to the scope, or a callable that returns one for each call.
        version: starts a fresh space when it changes.
        normalizer: applied to the text.
        key_func: replaces the exact key.

    Raises:
        TypeError: no prompt parameter can be found, or a name is not in the signature.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        namespace: str = "default",
        prompt: str | None = None,
        ignore: Iterable[str] = (),
        scope: Mapping[str, Any] | Callable[[], Any] | None = None,
        version: str | int | None = None,
        normalizer: Callable[[str], str] | None = None,
        key_func: Callable[..., str] | None = None,
    ) -> None:
        self.function = function
        self.namespace = namespace
        self.name = name_of(function)
        self.signature = inspect.signature(function)
        self.key_func = key_func
        self.normalizer = normalizer
        self.version = version
        self.template: PromptTemplate | None = None
        self._scope = scope
        if not callable(scope) and scope is not None:
            canonical(scope, "scope")  # report a bad scope when decorating, not at the first call
        # What a bound method, a callable object or a partial adds to the call's arguments.
        self._owner, self._given = brought_along(function)
        known = [*self.signature.parameters, *self._given, *(() if self._owner is None else ("self",))]
        self._ignore = _check_ignore(ignore, self.signature, self.name, [*known, *cells_of(self.written)])
        self._rest_name = next((p.name for p in self.signature.parameters.values() if p.kind is p.VAR_KEYWORD), None)
        self.instance_name = _instance_parameter(function, self.signature)
        self.prompt_name = self._find_prompt(prompt)
        self._captures = self._closure()
        # Mutable defaults are read at each call that uses them.
        self._changing = [
            (name, math.inf if parameter.kind is parameter.KEYWORD_ONLY else place)
            for place, (name, parameter) in enumerate(self.signature.parameters.items())
            if parameter.default is not parameter.empty and name not in self._ignore and not is_fixed(parameter.default)
        ]
        self._memo: dict[Any, Request] = {}
        self._seen: dict[int, tuple[weakref.ref[Any], bytes]] = {}
        self._warned_instance = False
        self._plain = not (
            scope is not None
            or self.instance_name is not None
            or self._owner is not None
            or self._given
            or self._changing
        )
        if self._captures is not None:
            self._captures.now()
        self._instance_token: Callable[[Any, bool], Any]
        if self.instance_name is not None or self._owner is not None:
            self._load_instances()

    def _load_instances(self) -> None:
        """Import what reads instances: few functions are methods, and no call should wait for it."""
        from semantic_llm_cache.keys.instances import instance_token

        self._instance_token = instance_token

    @property
    def written(self) -> Any:
        """The original function, without partials and instances."""
        return written_function(self.function)

    def _closure(self) -> Captures | None:
        """Return what the function closes over, if it counts: only in the namespace "default"."""
        written = self.written
        if self.namespace != "default" or not isinstance(written, types.FunctionType):
            return None
        captures = Captures(
            {**cells_of(written), **attributes_of(written)},
            canonical_field,
            skip=self._ignore,
            once=rebound_names(written.__code__),
            itself=lambda value: (
                value is written
                or value is self.function
                or (is_wrapper_of_cache(value) and value.cache_controls.function is self.function)
            ),
        )
        return captures or None

    @property
    def opaque(self) -> tuple[str, ...]:
        """Closed-over variables whose values have no stable form. Such a function shares with no other."""
        return () if self._captures is None else self._captures.now().opaque

    @property
    def identity(self) -> str | None:
        """What two functions share an identity by, or None when `scope` tells them apart call by call."""
        if callable(self._scope):
            return None
        closure = None if self._captures is None else self._captures.now().forms
        if self._scope is None and self.version is None and not closure:
            return self.name
        return f"{self.name} (of the scope {digest(self._scope, self.version, closure)[:8]})"

    def treat_first_as_instance(self) -> None:
        """Treat the function as a method whose first parameter is not named self."""
        if self.instance_name is None:
            first = next(iter(self.signature.parameters), None)
            if first is not None and first != self.prompt_name:
                self.instance_name = first
                self._plain = False
                self._memo = {}
                self._load_instances()

    # ------------------------------------------------------------------ prompt parameter

    def _find_prompt(self, prompt: str | None) -> str:
        names = [
            p.name
            for p in self.signature.parameters.values()
            if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and p.name != self.instance_name
        ]
        if prompt is not None:
            if not isinstance(prompt, str):
                raise TypeError(f"prompt={prompt!r} must be the name of a parameter of {self.name}()")
            if prompt not in names and self._rest_name is None:
                raise TypeError(f"prompt={prompt!r} is no parameter of {self.name}(), which has {names}")
            return prompt
        for name in PROMPT_NAMES:
            if name in names:
                return name
        try:
            hints = typing.get_type_hints(self.function)
        except Exception:  # compare annotations that cannot be resolved here as text
            hints = dict(getattr(self.function, "__annotations__", {}))
        strings = [name for name in names if hints.get(name) in (str, "str")]
        if len(strings) == 1:
            return strings[0]
        if len(names) == 1 and names[0] not in hints:
            return names[0]
        raise TypeError(
            f"cannot tell which parameter of {self.name}({', '.join(names)}) is the prompt: name it with "
            f'prompt="...", or call it one of {", ".join(PROMPT_NAMES)}'
        )

    # ------------------------------------------------------------------ the short path

    def recall(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        """Return the request of an earlier call with the same plain arguments, without hashing anything."""
        # The remembered request is only valid for what the closure held then.
        memo = self._memo if self._captures is None else self._captures.now().memo
        if self._plain and not kwargs and len(args) == 1 and type(args[0]) is str:
            return memo.get(args[0])
        token = self._token(args, kwargs)
        return None if token is None else memo.get(token)

    def _token(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return something hashable that is equal only for calls with the same request, or None."""
        if self._changing and any(place >= len(args) and name not in kwargs for name, place in self._changing):
            return None
        if self._plain:
            if not kwargs:
                if len(args) == 1 and type(args[0]) is str:
                    return args[0]
                types = tuple(map(type, args))
                return (args, types) if LEAVES.issuperset(types) else None
            types = (*map(type, args), *map(type, kwargs.values()))
            return (args, tuple(kwargs.items()), types) if LEAVES.issuperset(types) else None
        scope = instance = None
        if self._given:
            return None
        if self._scope is not None:
            scope = plain_token(self._scope() if callable(self._scope) else self._scope)
            if scope is None:
                return None
        rest = args
        if self._owner is not None:
            instance = self._instance_token(self._owner, "self" in self._ignore)
            if instance is None:
                return None
        if self.instance_name is not None:
            if not args:
                return None
            token_of = self._instance_token  # quicker than calling it as an attribute
            instance = token_of(args[0], self.instance_name in self._ignore)
            if instance is None:
                return None
            rest = args[1:]
        types = (*map(type, rest), *map(type, kwargs.values()))
        if not LEAVES.issuperset(types):
            return None
        return (rest, tuple(kwargs.items()), types, instance, scope)

    # ------------------------------------------------------------------ the full path

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any], context_namespace: str | None = None) -> Request:
        """Return the request of a call.

        Raises:
            BadCall: the arguments do not fit the signature.
            CacheKeyError: an argument has no stable fingerprint; the message names it.
        """
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise BadCall(str(error)) from None
        bound.apply_defaults()
        values = dict(bound.arguments)
        extra = values.pop(self._rest_name, None) if self._rest_name is not None else None
        prompt = (values if self.prompt_name in values else extra or {}).pop(self.prompt_name, None)
        parts: dict[str, Any] = {"version": self.version}
        captured = None if self._captures is None else self._captures.now()
        if self.namespace == "default":
            parts.update(self._function_parts(captured))
        if context_namespace is not None:
            parts["within"] = self.namespace
        instance = values.pop(self.instance_name, None) if self.instance_name is not None else None
        if instance is not None and self.instance_name not in self._ignore:
            parts["self"] = self._instance(instance)
        if self._owner is not None and "self" not in self._ignore:
            parts["owner"] = self._instance(self._owner)
        text, rest = self._text(prompt)
        if self.key_func is None:
            parts["args"] = self._counted(values)
            # Kept apart from the named ones: a positional-only parameter may have the same name as one of these.
            rest_counted = self._counted(extra or {}) if self._rest_name not in self._ignore else {}
            for part, held in (("rest", rest_counted), ("given", self._counted(self._given))):
                if held:
                    parts[part] = held
            if rest is not None:
                parts["history"] = canonical(rest, f"argument {self.prompt_name!r} of {self.name}()")
        if self._scope is not None:
            added = self._scope() if callable(self._scope) else self._scope
            parts["scope"] = canonical(added, f"scope= of {self.name}()")
        if self.normalizer is not None:
            text = self.normalizer(text)
        request = Request(context_namespace or self.namespace, parts, text, key=self._custom_key(args, kwargs))
        if self.template is not None:
            request = self.template.applied(request)
        if context_namespace is None and len(text) <= _MEMO_TEXT and self.key_func is None:
            token = self._token(args, kwargs)
            if token is not None:
                memo = self._memo if captured is None else captured.memo
                if len(memo) >= _MEMO_SIZE:
                    memo.clear()
                memo[token] = request
        return request

    def _function_parts(self, captured: Captured | None) -> dict[str, Any]:
        """Return what identifies the function itself: its name, its closure, and the code of a lambda."""
        parts: dict[str, Any] = {"function": self.name}
        written = self.written
        if isinstance(written, types.FunctionType) and (written.__name__ == "<lambda>" or is_of_other_globals(written)):
            parts["code"] = code_digest(written.__code__)
        if captured is not None and captured.forms:
            parts["closure"] = captured.forms
        return parts

    def _counted(self, values: Mapping[str, Any]) -> dict[str, bytes]:
        return {
            name: canonical(value, f"argument {name!r} of {self.name}()")
            for name, value in values.items()
            if name not in self._ignore
        }

    def _text(self, prompt: Any) -> tuple[str, Any]:
        kind: Any = type(prompt)
        if kind is str:
            return prompt, None
        if issubclass(kind, str):
            return str.__str__(prompt), _beside_the_text(prompt, kind, self.prompt_name)
        if looks_like_messages(prompt):
            return split_messages(prompt, self.prompt_name)
        return "", {"prompt": prompt}  # no text to compare: exact hits only

    def _custom_key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
        if self.key_func is None:
            return None
        key = self.key_func(*args, **kwargs)
        if not isinstance(key, str):
            raise CacheKeyError(f"key_func of {self.name}() returned {type(key).__name__}: it must return a string")
        return key

    def _instance(self, instance: Any) -> bytes:
        if issubclass(type(instance), type):
            from semantic_llm_cache.keys.object_forms import class_captures

            captures = class_captures(instance)
            closure = captures.now().forms if captures else None
            return canonical(("class", module_name(instance.__module__), instance.__qualname__, closure))
        found = fingerprint_instance(instance, "self")
        before = self._seen.get(id(instance))
        if before is not None and before[0]() is instance and before[1] != found and not self._warned_instance:
            self._warned_instance = True
            text = (
                f"the {type(instance).__qualname__} whose {self.name}() is cached has changed between calls: "
                "answers from before are not found any more. If what changed does not matter (a counter), define "
                '__cache_scope__(self), or leave the instance out with ignore=("self",)'
            )
            try:
                warnings.warn(text, CacheWarning, stacklevel=6)
            except CacheWarning:  # under -W error, a warning must not keep the answer from the caller
                logger.warning("semantic-llm-cache: %s", text)
        key = id(instance)
        try:
            reference = weakref.ref(instance, lambda _: self._seen.pop(key, None) and None)
        except TypeError:
            return found
        self._seen[key] = (reference, found)
        return found


def _beside_the_text(prompt: Any, kind: Any, name: str) -> Any:
    """Return what a prompt of a subclass of `str` holds besides its text, or None if nothing."""
    if answers_for_itself(kind):
        raise CacheKeyError(f"{name} is a {kind.__qualname__}, which hides what it holds: {ARGUMENT_ADVICE}")
    held = {} if issubclass(kind, enum.Enum) else own_state(prompt, kind, str)
    return {"attributes": held} if held else None


def _check_ignore(ignore: Any, signature: inspect.Signature, name: str, known: list[str]) -> frozenset[str]:
    if not isinstance(ignore, (str, Iterable)) or isinstance(ignore, (bytes, bytearray)):
        raise TypeError(f"ignore={ignore!r} must be the name of a parameter of {name}(), or several")
    names = (ignore,) if isinstance(ignore, str) else tuple(ignore)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    for item in names:
        if not isinstance(item, str):
            raise TypeError(f"ignore={ignore!r} must hold names of parameters")
        if item not in known and not takes_any:
            raise TypeError(f"ignore={item!r} is no parameter of {name}(), which has {known}")
    return frozenset(names)


def _instance_parameter(function: Callable[..., Any], signature: inspect.Signature) -> str | None:
    first = next(iter(signature.parameters.values()), None)
    if first is None or first.name not in ("self", "cls"):
        return None
    return first.name if first.kind in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD) else None
