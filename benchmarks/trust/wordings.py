"""Labels as prose: each label in one of many wordings, so that a stream of labels reads like a model's answers.

All templates are ours. `{x}` stands for the label's words. There are five styles with at least thirty templates each;
an opening or a closing that says nothing makes the texts of one template differ from call to call.
"""

from __future__ import annotations

import random

__all__ = ["STYLES", "prose"]

_TERSE = """
{x}|{X}|{x}.|{X}.|"{x}"|intent: {x}|Intent: {X}|label: {x}|Label: {X}|category: {x}|Category: {X}|topic: {x}|Topic: {X}|
class: {x}|Class: {X}|Answer: {x}|Answer: {X}.|-> {x}|=> {X}|[{x}]|({x})|{x} intent|
{X} intent.|the {x} intent|The {x} topic|
{x} (intent)|{x} - intent|Type: {x}|Result: {x}|Result: {X}.|Final answer: {x}|Final answer: {X}.|It's {x}|It is {x}.
"""
_SENTENCE = """
The request is about {x}.|This is a question about {x}.|The user wants help with {x}.|The intent here is {x}.|
This belongs to the category {x}.|I would classify this as {x}.|The message concerns {x}.|The right label is {x}.|
This should go to {x}.|The topic of the request is {x}.|It falls under {x}.|The user is asking about {x}.|
The best match for this request is {x}.|That would be {x}.|The sentence expresses the intent {x}.|
This is a case of {x}.|The customer's concern is {x}.|The query can be filed under {x}.|Its category is {x}.|
The label that fits is {x}.|What the user means is {x}.|The purpose of this message is {x}.|I read this as {x}.|
The utterance has the intent {x}.|This one is {x}.|The user's goal is {x}.|The matching intent is {x}.|
The correct intent is {x}.|This message is labelled {x}.|Such a request belongs under {x}.|The answer is {x}.
"""
_PREAMBLE = """
Sure! The intent is {x}.|Certainly! This is {x}.|Of course. The category is {x}.|Great question! I'd label this {x}.|
Sure, here is the label: {x}|Here is the intent of the message: {x}.|Here's the category: {x}.|Okay. It is {x}.|
Happy to help! The topic is {x}.|Certainly. The label that fits best is {x}.|Sure! The user is asking about {x}.|
No problem! The request belongs to {x}.|Alright, the right category is {x}.|Of course! It falls under {x}.|
Sure thing! This is about {x}.|Absolutely! I'd file it under {x}.|Okay, the user wants {x}.|Got it. The intent is {x}.|
Let me see. The intent is {x}.|Let me classify this. The label is {x}.|Thanks for asking! The topic is {x}.|
Here you go: {x}|Based on the message, the intent is {x}.|Looking at the wording, the intent is {x}.|
After reading the message, I'd say the intent is {x}.|Judging by the words used, this is {x}.|
Good question! That is {x}.|I'd be happy to help! The category is {x}.|Sure. I classify the message as {x}.|
Certainly! The matching intent would be {x}.|Of course! The best label is {x}.
"""
_LIST = """
- {x}|* {x}|1. {x}|- Intent: {x}|* Intent: {x}|1. Intent: {x}|- Label: {x}|* Category: {x}|- Topic: {x}|1. Label: {x}|
Intents:\n- {x}|Labels:\n- {x}|Categories:\n* {x}|Topics:\n1. {x}|Matching intents:\n- {x}|Matching labels:\n* {x}|
The intents are:\n- {x}|The label is:\n- {x}|Result:\n- {x}|Results:\n1. {x}|Answer:\n- {x}|The category is:\n* {x}|
Here is the list:\n- {x}|Here are the intents:\n- {x}|Here are the matching labels:\n1. {x}|
Found:\n- {x}|Found one:\n* {x}|
I found one intent:\n- {x}|There is one intent:\n1. {x}|Only one label fits:\n- {x}|One category applies:\n* {x}
"""
_MARKDOWN = """
**{x}**|**{X}**|`{x}`|**Intent:** {x}|**Intent:** `{x}`|**Label:** {x}|### {X}|## Intent\n{x}|# Result\n**{x}**|
**Category**: {x}|*{x}*|> {x}|**Answer:** {x}|**Answer:** **{x}**|The intent is **{x}**.|This is `{x}`.|
The label is **{x}**.|The category is *{x}*.|## Classification\n- **Intent:** {x}|### Intent\n`{x}`|**Topic:** {X}|
The request is about **{x}**.|I would classify this as `{x}`.|The user wants help with **{x}**.|It falls under **{x}**.|
**Result**\n\n{x}|***{x}***|**Final answer:** {x}|## Answer\n\nThe intent is {x}.|```\n{x}\n```|**Type**: `{x}`
"""
_BEFORE = ("", "", "", "Well, ", "So, ", "OK, ", "In short: ", "To sum up: ", "Right: ", "In my view: ")
_AFTER = (
    "",
    "",
    "",
    " I hope this helps!",
    " Let me know if you need anything else.",
    " Hope that helps!",
    " Let me know if you have more messages.",
    " Feel free to send another one.",
    " Feel free to ask for more.",
)

STYLES: dict[str, tuple[str, ...]] = {
    name: tuple(part.strip("\n") for part in text.replace("|\n", "|").strip("\n").split("|"))
    for name, text in (
        ("terse", _TERSE),
        ("sentence", _SENTENCE),
        ("preamble", _PREAMBLE),
        ("list", _LIST),
        ("markdown", _MARKDOWN),
    )
}
"""Style -> its templates."""


def prose(label: str, draw: random.Random, taken: set[str]) -> str:
    """Return the label in a wording that is not in `taken`, and add it there; after a hundred tries any will do."""
    words = label.replace("_", " ")
    text = ""
    for _ in range(100):
        style = draw.choice(tuple(STYLES))
        body = draw.choice(STYLES[style])
        text = body.replace("{x}", words).replace("{X}", words[:1].upper() + words[1:])
        if style in ("sentence", "preamble"):
            text = text + draw.choice(_AFTER)
        if style == "sentence":
            before = draw.choice(_BEFORE)
            text = before + (text[0].lower() + text[1:] if before and not text.startswith("I ") else text)
        if text not in taken:
            break
    taken.add(text)
    return text
