"""Groups of questions that look alike but differ in one number, one word or the order of two words."""

from __future__ import annotations

from semantic_llm_cache.cli.demo.questions import TrapGroup, ask, lookalikes

__all__ = ["TRAPS"]

TRAPS: tuple[TrapGroup, ...] = (
    lookalikes(
        "number",
        ask(
            "miles-5",
            "5 miles are 8.05 kilometres.",
            "How many kilometers are 5 miles?",
            "How many kilometers is 5 miles?",
        ),
        ask("miles-6", "6 miles are 9.66 kilometres.", "How many kilometers are 6 miles?"),
    ),
    lookalikes(
        "order of words",
        ask("usd-eur", "100 USD are about 92 EUR at today's rate.", "Convert 100 USD to EUR"),
        ask("eur-usd", "100 EUR are about 109 USD at today's rate.", "Convert 100 EUR to USD"),
    ),
    lookalikes(
        "opposite",
        ask(
            "sort-asc",
            "numbers.sort() puts them in ascending order.",
            "How do I sort a list in ascending order in Python?",
            "How can I sort a list in ascending order in Python?",
        ),
        ask(
            "sort-desc",
            "numbers.sort(reverse=True) puts them in descending order.",
            "How do I sort a list in descending order in Python?",
            "How can I sort a list in descending order in Python?",
        ),
    ),
    lookalikes(
        "un- prefix",
        ask(
            "ibuprofen-safe",
            "No, not as a rule: together they irritate the stomach. Ask a doctor or pharmacist.",
            "Is it safe to take ibuprofen with alcohol?",
        ),
        ask(
            "ibuprofen-unsafe",
            "Yes: together they irritate the stomach and can cause bleeding. Ask a doctor or pharmacist.",
            "Is it unsafe to take ibuprofen with alcohol?",
        ),
    ),
    lookalikes(
        "time",
        ask(
            "weather-today",
            "Today Oslo has light rain and 9 degrees.",
            "What is the weather in Oslo today?",
            "What's the weather in Oslo today?",
        ),
        ask(
            "weather-tomorrow",
            "Tomorrow Oslo will be dry, with 12 degrees.",
            "What is the weather in Oslo tomorrow?",
        ),
    ),
    lookalikes(
        "manner",
        ask(
            "quantum-simple",
            "Ordinary bits are 0 or 1; quantum bits can be a mix of both until looked at, which makes "
            "some puzzles much faster to solve.",
            "Explain quantum computing in simple terms",
        ),
        ask(
            "quantum-detail",
            "A register of n qubits is a unit vector in a space of 2^n dimensions. Gates are unitary "
            "matrices, measurement samples a basis state, and algorithms arrange interference so that "
            "right answers are likely.",
            "Explain quantum computing in detail",
        ),
    ),
    lookalikes(
        "action",
        ask(
            "password-reset",
            "Choose Forgot password on the sign-in page and follow the link in the message. It is good for an hour.",
            "How do I reset my password?",
            "How can I reset my password?",
            "how to reset my password",
            "I forgot my password, how do I reset it?",
            "How do I reset my pasword?",
        ),
        ask(
            "password-delete",
            "Under Security choose Remove password. From then on you sign in with a passkey only.",
            "How do I delete my password?",
        ),
    ),
    lookalikes(
        "action",
        ask(
            "account-delete",
            "Settings, Account, Delete account. Everything is gone for good after 14 days.",
            "How do I delete my account?",
            "How can I delete my account?",
            "I want to delete my account",
        ),
        ask(
            "account-pause",
            "Settings, Account, Deactivate. Your notes stay, and signing in again brings the account back.",
            "How do I deactivate my account?",
        ),
    ),
    lookalikes(
        "code",
        ask(
            "range-10",
            "The ten numbers from 0 to 9.",
            "What does list(range(10)) return in Python?",
            "In Python, what does list(range(10)) return?",
        ),
        ask("range-11", "The eleven numbers from 0 to 10.", "What does list(range(11)) return in Python?"),
    ),
    lookalikes(
        "code",
        ask(
            "reset-soft",
            "It takes the last commit back and keeps its changes staged.",
            "What does git reset --soft HEAD~1 do?",
        ),
        ask(
            "reset-hard",
            "It takes the last commit back and throws its changes away.",
            "What does git reset --hard HEAD~1 do?",
        ),
    ),
    lookalikes(
        "code",
        ask("a-minus-b", "a - b is 4.", "If a = 7 and b = 3, what is a - b?"),
        ask("b-minus-a", "b - a is -4.", "If a = 7 and b = 3, what is b - a?"),
    ),
    lookalikes(
        "code",
        ask(
            "index-1",
            "It prints 20, the element at index 1.",
            "What does this print?\n\nx = [10, 20, 30]\nprint(x[1])",
        ),
        ask(
            "index-minus-1",
            "It prints 30, the last element.",
            "What does this print?\n\nx = [10, 20, 30]\nprint(x[-1])",
        ),
    ),
    lookalikes(
        "code",
        ask(
            "loop-less",
            "Five lines, 0 to 4.",
            "How many lines does this print?\n\ni = 0\nwhile i < 5:\n    print(i)\n    i += 1",
        ),
        ask(
            "loop-less-equal",
            "Six lines, 0 to 5.",
            "How many lines does this print?\n\ni = 0\nwhile i <= 5:\n    print(i)\n    i += 1",
        ),
    ),
    lookalikes(
        "order of words",
        ask(
            "london-sydney",
            "At noon in London it is 9 or 11 in the evening in Sydney, by the season.",
            "What time is it in Sydney when it is noon in London?",
        ),
        ask(
            "sydney-london",
            "At noon in Sydney it is 1 or 3 in the morning in London, by the season.",
            "What time is it in London when it is noon in Sydney?",
        ),
    ),
    lookalikes(
        "language",
        ask(
            "morning-es",
            "Buenos días.",
            "Translate 'good morning' into Spanish",
            "Please translate 'good morning' into Spanish",
        ),
        ask("morning-pt", "Bom dia.", "Translate 'good morning' into Portuguese"),
    ),
    lookalikes(
        "negation",
        ask(
            "diabetes-eat",
            "Vegetables, whole grains, beans, nuts and fish; ask your doctor for a plan of your own.",
            "Which foods should I eat with type 2 diabetes?",
        ),
        ask(
            "diabetes-avoid",
            "Sugary drinks, white bread, sweets and processed meat; ask your doctor for a plan of your own.",
            "Which foods should I not eat with type 2 diabetes?",
        ),
    ),
    lookalikes(
        "version",
        ask(
            "python-311",
            "A faster interpreter, exception groups, tomllib and finer error locations.",
            "What is new in Python 3.11?",
            "What's new in Python 3.11?",
        ),
        ask(
            "python-312",
            "Type parameter syntax, freer f-strings and a lock for each interpreter.",
            "What is new in Python 3.12?",
        ),
    ),
    lookalikes(
        "unit",
        ask(
            "c-to-f",
            "180 degrees Celsius are 356 degrees Fahrenheit.",
            "What is 180 Celsius in Fahrenheit?",
        ),
        ask(
            "f-to-c",
            "180 degrees Fahrenheit are 82.2 degrees Celsius.",
            "What is 180 Fahrenheit in Celsius?",
        ),
    ),
    lookalikes(
        "unit",
        ask(
            "pro-month",
            "8 dollars for each member and month.",
            "How much does the Pro plan cost per month?",
            "How much is the Pro plan per month?",
            "What does the Pro plan cost per month?",
        ),
        ask("pro-year", "80 dollars for each member and year.", "How much does the Pro plan cost per year?"),
    ),
    lookalikes(
        "opposite",
        ask(
            "2fa-on",
            "Settings, Security, Two-factor: scan the code with your authenticator app.",
            "How do I enable two-factor authentication?",
            "How can I enable two-factor authentication?",
            "How do I turn on two-factor authentication?",
        ),
        ask(
            "2fa-off",
            "Settings, Security, Two-factor, Turn off. You are asked for a code once more.",
            "How do I disable two-factor authentication?",
        ),
    ),
    lookalikes(
        "opposite",
        ask(
            "upgrade",
            "Settings, Billing, Change plan, and pick the larger one. It works at once, and you pay the difference.",
            "How do I upgrade my plan?",
            "How can I upgrade my plan?",
        ),
        ask(
            "downgrade",
            "Settings, Billing, Change plan, and pick the smaller one. It takes effect with the next bill.",
            "How do I downgrade my plan?",
        ),
    ),
    lookalikes(
        "opposite",
        ask(
            "export-md",
            "Settings, Export, Markdown. You get an archive with one file for each note.",
            "How do I export my notes to Markdown?",
            "How can I export my notes to Markdown?",
        ),
        ask(
            "import-md",
            "Settings, Import, Markdown, and drop the files or a folder there.",
            "How do I import my notes from Markdown?",
        ),
    ),
    lookalikes(
        "time",
        ask(
            "stretch-before",
            "Move rather than hold: a few minutes of leg swings and easy jogging.",
            "Should I stretch before running?",
        ),
        ask(
            "stretch-after",
            "Yes, gently: hold each stretch for half a minute while you are warm.",
            "Should I stretch after running?",
        ),
    ),
    lookalikes(
        "quoted words",
        ask("idiom-leg", "Good luck, mostly said to actors.", "What does the idiom 'break a leg' mean?"),
        ask("idiom-ice", "To ease a first meeting.", "What does the idiom 'break the ice' mean?"),
    ),
    lookalikes(
        "number",
        ask(
            "http-401",
            "The request carries no valid credentials: sign in and try again.",
            "What does HTTP status code 401 mean?",
            "What does the HTTP status code 401 mean?",
        ),
        ask(
            "http-403",
            "The server knows who you are and refuses: you lack the right.",
            "What does HTTP status code 403 mean?",
        ),
    ),
    lookalikes(
        "opposite",
        ask("moon-first", "Neil Armstrong, in July 1969.", "Who was the first person to walk on the moon?"),
        ask("moon-last", "Eugene Cernan, in December 1972.", "Who was the last person to walk on the moon?"),
    ),
    lookalikes(
        "opposite",
        ask(
            "sql-highest",
            "SELECT * FROM employees ORDER BY salary DESC LIMIT 1;",
            "Write a SQL query that finds the employee with the highest salary",
        ),
        ask(
            "sql-lowest",
            "SELECT * FROM employees ORDER BY salary ASC LIMIT 1;",
            "Write a SQL query that finds the employee with the lowest salary",
        ),
    ),
    lookalikes(
        "opposite",
        ask(
            "uploads-slow",
            "Large attachments are sent in parts, and most connections send slower than they receive.",
            "Why are my uploads so slow?",
        ),
        ask(
            "downloads-slow",
            "Attachments come from the nearest of three regions; a VPN can pick a far one.",
            "Why are my downloads so slow?",
        ),
    ),
    lookalikes(
        "number",
        ask(
            "refund-14",
            "Yes, in full: refunds are given within 30 days.",
            "Can I get a refund after 14 days?",
            "Can I still get a refund after 14 days?",
        ),
        ask("refund-40", "No: refunds are given within 30 days.", "Can I get a refund after 40 days?"),
    ),
    lookalikes(
        "opposite",
        ask(
            "font-up",
            "Ctrl and plus makes the text larger; Settings, Editor keeps the size.",
            "How do I increase the font size in the editor?",
            "How can I increase the font size in the editor?",
        ),
        ask(
            "font-down",
            "Ctrl and minus makes the text smaller; Settings, Editor keeps the size.",
            "How do I decrease the font size in the editor?",
        ),
    ),
    lookalikes(
        "order of words",
        ask(
            "admin-owner",
            "No. Only owners can change owners.",
            "Can an admin remove an owner from the workspace?",
        ),
        ask("owner-admin", "Yes, under Members.", "Can an owner remove an admin from the workspace?"),
    ),
    lookalikes(
        "name",
        ask(
            "capital-australia",
            "Canberra.",
            "What is the capital of Australia?",
            "What's the capital of Australia?",
        ),
        ask("capital-austria", "Vienna.", "What is the capital of Austria?"),
    ),
    lookalikes(
        "name",
        ask("port-redis", "6379.", "Which port does Redis use by default?"),
        ask("port-postgres", "5432.", "Which port does PostgreSQL use by default?"),
    ),
    lookalikes(
        "manner",
        ask(
            "mail-formal",
            "Dear Dr Meyer, I am writing to ask whether the deadline of 3 May could be moved by one "
            "week. Yours sincerely",
            "Write a formal email asking for a deadline extension",
        ),
        ask(
            "mail-informal",
            "Hi Sam, any chance I could hand this in a week later? Thanks a lot!",
            "Write an informal email asking for a deadline extension",
        ),
    ),
    lookalikes(
        "time",
        ask(
            "desk-saturday",
            "Yes, from 10 to 14 o'clock.",
            "Is the help desk open on Saturday?",
            "Is the help desk open on Saturdays?",
        ),
        ask("desk-sunday", "No. Write to us, and we answer on Monday.", "Is the help desk open on Sunday?"),
    ),
    lookalikes(
        "negation",
        ask(
            "pancakes-eggs",
            "200 g flour, 2 eggs, 300 ml milk, a pinch of salt; rest 20 minutes, fry in butter.",
            "Give me a recipe for pancakes with eggs",
        ),
        ask(
            "pancakes-no-eggs",
            "200 g flour, 350 ml milk, 2 spoons of apple sauce, baking powder; rest 20 minutes, fry in butter.",
            "Give me a recipe for pancakes without eggs",
        ),
    ),
    lookalikes(
        "name",
        ask(
            "shot-mac",
            "Command, Shift and 4, then draw the part you want.",
            "What is the keyboard shortcut for a screenshot on Mac?",
            "What's the keyboard shortcut for a screenshot on a Mac?",
        ),
        ask(
            "shot-windows",
            "Windows, Shift and S, then draw the part you want.",
            "What is the keyboard shortcut for a screenshot on Windows?",
        ),
    ),
)
